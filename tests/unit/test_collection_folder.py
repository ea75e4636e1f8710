"""A collection on disk: what is written is what is read, by anybody, at any moment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from collection_world import assert_same, contents_of, raw_tables

from musicrag.collection import storing
from musicrag.collection.contents import Contents
from musicrag.collection.delta import difference
from musicrag.collection.folder import Collection
from musicrag.collection.mirror import Mirror
from musicrag.collection.update import update
from musicrag.graph.rows import GraphRows, merged
from musicrag.types import InputError, Node


@pytest.fixture(scope="module")
def contents() -> Contents:
    return contents_of(raw_tables())


@pytest.fixture(scope="module")
def bare() -> Contents:
    return contents_of(raw_tables(), {}, with_network=False)


def play(user: str, item: str = "s000") -> dict[str, pd.DataFrame]:
    return {"interactions": pd.DataFrame({"user_id": [user], "item_id": [item]})}


def test_what_is_written_is_what_is_read(contents: Contents, tmp_path: Path) -> None:
    assert_same(Collection.create(tmp_path / "c", contents).read(), contents)


def test_contents_without_features_and_network_come_back(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    assert_same(collection.read(), bare)
    assert collection.manifest().counts["table items"] == 36


def test_a_grown_version_comes_back_by_merge_and_by_load(
    contents: Contents, tmp_path: Path
) -> None:
    by_merge = Collection.create(tmp_path / "merge", contents)
    by_load = Collection.create(tmp_path / "load", contents)
    grown, touched = update(contents, play("u_new"))
    assert by_merge.publish(grown, touched.delta) == by_load.publish(grown) == 2
    assert_same(by_merge.read(), grown)
    assert_same(by_load.read(), grown)


def test_an_addition_is_merged_into_the_store_and_not_loaded(
    bare: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    grown, touched = update(bare, play("u_new"))
    monkeypatch.setattr(storing.LadybugStore, "load", _must_not_be_called)
    collection.publish(grown, touched.delta)
    assert_same(collection.read(), grown)


def _must_not_be_called(self: object, rows: GraphRows) -> None:
    raise AssertionError("the store was loaded anew")


def test_an_edge_that_went_is_gone_from_the_store(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    items = pd.DataFrame({"item_id": ["s000"], "title": ["T"], "artist_id": ["a05"]})
    grown, touched = update(bare, {"items": items})
    collection.publish(grown, touched.delta)
    assert_same(collection.read(), grown)


def test_two_versions_are_kept(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    for _ in range(3):
        collection.publish(bare)
    assert sorted(found.name for found in (tmp_path / "c" / "versions").iterdir()) == [
        "000003",
        "000004",
    ]
    assert collection.version == 4


def test_a_killed_writer_leaves_the_old_version_and_its_draft_is_removed(
    bare: Contents, tmp_path: Path
) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    versions = tmp_path / "c" / "versions"
    (versions / ".000002.abc.part").mkdir()  # killed while it wrote
    shutil.copytree(versions / "000001", versions / "000002")  # killed before the switch
    assert collection.version == 1
    grown, _ = update(bare, play("u_new"))
    assert collection.publish(grown) == 2
    assert_same(collection.read(), grown)
    assert sorted(found.name for found in versions.iterdir()) == ["000001", "000002"]


def test_a_version_that_cannot_be_written_leaves_nothing(
    bare: Contents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    monkeypatch.setattr(storing, "save_features", _full_disk)
    with pytest.raises(OSError, match="full"):
        collection.publish(bare)
    assert [found.name for found in (tmp_path / "c" / "versions").iterdir()] == ["000001"]
    assert collection.version == 1


def _full_disk(*arguments: object) -> None:
    raise OSError("disk full")


def test_a_reader_during_publication_sees_the_old_or_the_new_version(
    bare: Contents, tmp_path: Path
) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    states = {0: bare}
    for number in range(1, 4):
        states[number], _ = update(states[number - 1], play(f"u_new{number}"))
    sizes = {len(state.tables["interactions"]): state for state in states.values()}
    seen: list[Contents] = []
    failures: list[Exception] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                seen.append(Collection(tmp_path / "c").read())
            except Exception as error:
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 4):
        collection.publish(states[number])
    is_over.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert seen
    for state in seen:
        assert_same(state, sizes[len(state.tables["interactions"])])


_HOLD = """
import sys
from pathlib import Path
from musicrag.collection.delta import difference
from musicrag.collection.folder import Collection
with Collection(Path(sys.argv[1])).writing():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_until_the_first_is_gone(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "c")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="Another process is writing"):
            collection.publish(bare)
        collection.read()  # reading needs no lock
    finally:
        other.kill()
        other.communicate()
    assert collection.publish(bare) == 2  # the lock went with the process


def test_a_folder_without_a_collection_is_an_input_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match="holds no collection"):
            Collection(path).read()


def test_a_folder_with_something_else_is_left_alone(bare: Contents, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"holds thesis\.tex"):
        Collection.create(tmp_path, bare)
    assert [found.name for found in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_collection_that_is_there_is_not_made_again(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    for make in (Collection.require_new, lambda path: Collection.create(path, bare)):
        with pytest.raises(InputError, match="holds a collection already, of version 1"):
            make(tmp_path / "c")
    assert collection.version == 1


def test_a_creation_that_was_killed_can_be_repeated(bare: Contents, tmp_path: Path) -> None:
    (tmp_path / "c" / "versions" / ".000001.abc.part").mkdir(parents=True)
    (tmp_path / "c" / "writer.lock").touch()
    collection = Collection.create(tmp_path / "c", bare)
    assert [found.name for found in (collection.path / "versions").iterdir()] == ["000001"]


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "graph.lbug",
        "vectors.npy",
        "features.npz",
        "network",
        "tables/items.parquet",
    ],
)
@pytest.mark.parametrize("how", ["missing", "cut off"])
def test_a_damaged_version_is_an_input_error(
    contents: Contents, tmp_path: Path, name: str, how: str
) -> None:
    collection = Collection.create(tmp_path / "c", contents)
    target = collection.folder(1) / name
    if target.is_dir():
        target = next(target.iterdir())
    if how == "missing":
        target.unlink()
    else:
        target.write_bytes(target.read_bytes()[:40])
    with pytest.raises(InputError, match=r"Version 1 of .* is damaged"):
        collection.read()


def test_another_format_is_refused(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    manifest = collection.folder(1) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        collection.read()
    (tmp_path / "c" / "current").write_text("one")
    with pytest.raises(InputError, match="no version number"):
        collection.read()


class Store:
    """A graph store in memory that counts and can be made to fail."""

    def __init__(self) -> None:
        self.rows: GraphRows | None = None
        self.calls: list[str] = []
        self.is_down = False

    def load(self, rows: GraphRows) -> None:
        self._count("load")
        self.rows = rows

    def merge(self, rows: GraphRows) -> None:
        self._count("merge")
        assert self.rows is not None
        self.rows = merged(self.rows, rows)

    def _count(self, what: str) -> None:
        if self.is_down:
            raise InputError("The server does not answer.")
        self.calls.append(what)

    def read(self) -> GraphRows:
        assert self.rows is not None
        return self.rows

    def counts(self) -> dict[str, int]:
        raise NotImplementedError

    def neighbourhood(self, node: Node, hops: int) -> frozenset[Node]:
        raise NotImplementedError

    def close(self) -> None:
        return


def test_a_mirror_follows_by_merges_and_catches_up_after_a_failure(
    bare: Contents, tmp_path: Path
) -> None:
    collection, store = Collection.create(tmp_path / "c", bare), Store()
    mirror = Mirror("neo4j", store)
    assert mirror.bring_up_to(collection) == mirror.bring_up_to(collection) == 1
    assert store.calls == ["load"]
    grown, touched = update(bare, play("u_new"))
    collection.publish(grown, touched.delta)
    store.is_down = True
    with pytest.raises(InputError, match="does not answer"):
        mirror.bring_up_to(collection)
    store.is_down = False
    assert mirror.bring_up_to(collection) == 2
    assert store.calls == ["load", "merge"]
    assert store.read().content_hash == grown.rows.content_hash
    for _ in range(2):  # its version is gone meanwhile
        collection.publish(grown)
    assert mirror.bring_up_to(collection) == 4
    assert store.calls == ["load", "merge", "load"]


def test_the_same_contents_are_the_same_files(contents: Contents, tmp_path: Path) -> None:
    folders = [Collection.create(tmp_path / name, contents).folder(1) for name in "ab"]
    names = [
        sorted(found.relative_to(folder).as_posix() for found in folder.rglob("*"))
        for folder in folders
    ]
    assert names[0] == names[1]
    manifests = [(folder / "manifest.json").read_text() for folder in folders]
    assert manifests[0] == manifests[1]


def test_a_graph_that_is_not_that_of_the_tables_is_refused(bare: Contents, tmp_path: Path) -> None:
    first = bare.rows.edges["relation"].eq("PERFORMED_BY").idxmax()
    fewer = replace(bare.rows, edges=bare.rows.edges.drop(index=first).reset_index(drop=True))
    with pytest.raises(
        InputError, match="0 nodes and 1 edges differ, such as Song s000 PERFORMED_BY"
    ):
        Collection.create(tmp_path / "c", replace(bare, rows=fewer))
    other = replace(bare.graph, relations=("LISTENED",))
    with pytest.raises(InputError, match="settings that it was made with"):
        Collection.create(tmp_path / "c", replace(bare, graph=other))
    assert not (tmp_path / "c").exists()


def test_a_name_that_is_lost_is_no_addition(bare: Contents) -> None:
    nodes = bare.rows.nodes.copy()
    nodes.loc[nodes["node_id"] == "s000", "name"] = ""
    nameless = replace(bare.rows, nodes=nodes)
    assert not difference(bare.rows, nameless).is_additive
    assert difference(nameless, bare.rows).is_additive


def test_journals_stay_known_in_later_versions(bare: Contents, tmp_path: Path) -> None:
    collection = Collection.create(tmp_path / "c", bare)
    collection.publish(bare, journal="first")
    collection.publish(replace(bare, name="renamed"))
    assert collection.manifest().journals == ("first",)
