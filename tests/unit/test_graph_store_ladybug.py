"""What only a file can do wrong: locks, other people's files, odd paths, leftovers of a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import ladybug
import pytest
from graph_rows import listening, random_rows, rows_of, same

from musicrag.graph.stores import _ladybug_cypher as cypher
from musicrag.graph.stores import _parts
from musicrag.graph.stores._one_writer import one_writer
from musicrag.graph.stores.ladybug import LadybugStore
from musicrag.types import InputError

ROWS = rows_of([("User:u1", "LISTENED", "Song:s1", 1.0), ("User:u2", "LISTENED", "Song:s1", 2.0)])
MORE = rows_of([("User:u3", "LISTENED", "Song:s2", 1.0)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "music.lbug"


@pytest.mark.parametrize(
    "name", ["it's", "x[1]", "a?b", "st*r", "back\\slash", '"q"', "{a,b}", "夜 🎵", "$id", "<rows>"]
)
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "aab").mkdir()
    store = LadybugStore(str(tmp_path / name / f"{name}.lbug"))
    store.load(ROWS)
    store.merge(MORE)
    assert store.counts()["User"] == 3


def test_one_file_is_left_and_nothing_else(path: Path) -> None:
    store = LadybugStore(str(path))
    store.load(ROWS)
    store.merge(MORE)
    assert os.listdir(path.parent) == [path.name]
    store.close()
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_merge_leaves_the_very_file_and_no_draft(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LadybugStore(str(path))
    store.load(ROWS)
    before = path.read_bytes()
    monkeypatch.setattr(cypher, "copy_edges", lambda triple: "this is no Cypher")
    with pytest.raises(RuntimeError):
        store.merge(MORE)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    same(store.read(), ROWS)


def test_leftovers_of_a_killed_writer_are_no_hindrance(path: Path) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.mkdir()
    (draft / "graph.lbug").write_bytes(b"half a graph")
    path.with_name(f".{path.name}.lock").touch()
    store = LadybugStore(str(path), lock_timeout_s=0)
    store.load(ROWS)
    same(store.read(), ROWS)
    assert os.listdir(path.parent) == [path.name]


def test_a_second_writer_is_told_that_the_file_is_locked(path: Path) -> None:
    store = LadybugStore(str(path), lock_timeout_s=0)
    store.load(ROWS)
    with one_writer(path, 0):
        for change in (store.load, store.merge):
            with pytest.raises(InputError, match=r"locked: another process.*Wait until"):
                change(MORE)
        store.load(ROWS)  # nothing to do, so nothing to lock
        same(store.read(), ROWS)
    store.load(MORE)
    same(store.read(), MORE)


def test_a_second_writer_waits_for_the_first(path: Path) -> None:
    store = LadybugStore(str(path), lock_timeout_s=30)
    held, done = threading.Event(), []

    def hold() -> None:
        with one_writer(path, 0):
            held.set()
            time.sleep(0.3)
            done.append("first")

    first = threading.Thread(target=hold)
    first.start()
    held.wait()
    store.load(ROWS)
    done.append("second")
    first.join()
    assert done == ["first", "second"]


def test_a_program_that_has_the_file_open_to_write_locks_it(path: Path) -> None:
    LadybugStore(str(path)).load(ROWS)
    code = """
        import sys, ladybug
        database = ladybug.Database(sys.argv[1])
        print("open", flush=True)
        sys.stdin.read()
    """
    words = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        store = LadybugStore(str(path))
        same(store.read(), ROWS)
        with pytest.raises(InputError, match=r"locked: another program.*Close that"):
            store.load(MORE)
        other.communicate()
    store.load(MORE)
    same(store.read(), MORE)


def test_read_only_stores_read_beside_each_other_and_never_write(path: Path) -> None:
    with pytest.raises(InputError, match="no graph at"):
        LadybugStore(str(path), read_only=True)
    writer = LadybugStore(str(path))
    writer.load(ROWS)
    readers = [LadybugStore(str(path), read_only=True) for _ in range(2)]
    code = "import sys; from musicrag.graph.stores.ladybug import LadybugStore as L; "
    code += "print(L(sys.argv[1], read_only=True).counts())"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout.strip() == str(writer.counts()), done.stderr
    for reader in readers:
        same(reader.read(), ROWS)
        for change in (reader.load, reader.merge):
            with pytest.raises(InputError, match=r"read-only.*read_only=False"):
                change(MORE)
    writer.load(MORE)
    for reader in readers:
        same(reader.read(), MORE)


def test_a_file_that_is_no_graph_of_ours_is_left_alone(path: Path) -> None:
    path.write_bytes(b"precious" * 1000)
    with pytest.raises(InputError, match="cannot be opened as a Ladybug database"):
        LadybugStore(str(path))
    assert path.read_bytes() == b"precious" * 1000
    other = path.with_name("other.lbug")
    database = ladybug.Database(str(other))
    ladybug.Connection(database).execute("CREATE NODE TABLE T(id STRING PRIMARY KEY)").close()
    database.close()
    with pytest.raises(InputError, match="none that musicrag wrote"):
        LadybugStore(str(other))
    with pytest.raises(InputError, match="cannot be opened"):
        LadybugStore(str(path.parent))


def test_a_graph_of_another_version_is_not_read_but_may_be_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_parts, "_LAYOUT", 0)
        LadybugStore(str(path)).load(ROWS)
    store = LadybugStore(str(path))
    for ask in (store.read, store.counts, lambda: store.merge(MORE)):
        with pytest.raises(InputError, match=r"another version.*[Ll]oad the graph again"):
            ask()
    store.load(ROWS)
    same(store.read(), ROWS)


def test_loading_the_same_graph_again_does_not_touch_the_file(path: Path) -> None:
    rows = random_rows(3)
    LadybugStore(str(path)).load(rows)
    before = path.stat()
    LadybugStore(str(path)).load(random_rows(3))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_larger_merge_equals_a_load_of_the_union(path: Path) -> None:
    whole = listening(500, 400, 30_000)
    old = type(whole)("Song", whole.nodes, whole.edges.iloc[::2].reset_index(drop=True))
    store = LadybugStore(str(path))
    store.load(old)
    store.merge(whole)
    same(store.read(), whole)
