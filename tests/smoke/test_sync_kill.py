"""kill -9 at any moment of a sync, then the same command again: the same tables as without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from collection_world import assert_same, contents_of, raw_tables
from web_source import ScriptedSource

from musicrag.collection.contents import Contents
from musicrag.collection.folder import Collection
from musicrag.collection.sync import sync

TESTS = Path(__file__).parents[1]
NUM_UNITS = 9

_CHILD = """
import sys, time
from datetime import date
from pathlib import Path
from musicrag.collection import folder, journal, sync
from musicrag.collection.storing import LadybugStore
from web_source import ScriptedSource

def stop_at(owner, name, word):
    function = getattr(owner, name)
    def wrapped(*arguments, **named):
        print(word, flush=True)
        time.sleep(0.3)  # the kill comes here, or shortly after
        return function(*arguments, **named)
    setattr(owner, name, wrapped)

stop_at(LadybugStore, "merge", "merging")
stop_at(folder.artifacts, "write_text", "writing")
stop_at(journal.Journal, "finish", "finishing")
source = ScriptedSource(pause_s=0.02, on_unit=lambda unit: print(unit, flush=True))
sync.sync(folder.Collection(Path(sys.argv[1])), source, today=date(2026, 1, 5))
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def contents() -> Contents:
    return contents_of(raw_tables(), {}, with_network=False)


@pytest.fixture(scope="module")
def expected(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    whole = Collection.create(tmp_path_factory.mktemp("whole") / "c", contents)
    sync(whole, ScriptedSource(), today=date(2026, 1, 5))
    return whole.read()


def run_until(path: Path, word: str | None) -> list[str]:
    """Sync in a process of its own and kill it at the line ``word``; returns the lines it wrote."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line.strip())
        if lines[-1] == word:
            child.send_signal(signal.SIGKILL)
            break
    child.stdout.close()
    code = child.wait()
    assert code == (0 if word is None else -signal.SIGKILL), lines
    return lines


@pytest.mark.slow
def test_a_sync_that_is_killed_again_and_again_ends_as_one_that_is_not(
    contents: Contents, expected: Contents, tmp_path: Path
) -> None:
    collection = Collection.create(tmp_path / "c", contents)
    asked: list[str] = []
    for word in ("artist:a00", "artist:a02", "artist:a07", "merging"):
        lines = run_until(collection.path, word)
        asked += [line for line in lines if line.startswith("artist:")]
        assert collection.version == 1
        assert_same(Collection(collection.path).read(), contents)
    lines = run_until(collection.path, None)
    assert lines[-1] == "done"
    assert not any(line.startswith("artist:") for line in lines)
    # a kill costs the unit in work and no other
    assert len(asked) == NUM_UNITS + 3
    assert_same(collection.read(), expected)
    assert collection.version == 2
    rejects = (collection.path / "rejects" / "scripted.jsonl").read_text().splitlines()
    assert len(rejects) == 1
    left = [p.name for p in collection.path.rglob("*") if p.name.endswith(".part")]
    assert not left


def test_a_kill_after_the_publication_publishes_no_second_time(
    contents: Contents, expected: Contents, tmp_path: Path
) -> None:
    collection = Collection.create(tmp_path / "c", contents)
    run_until(collection.path, "finishing")
    assert collection.version == 2
    lines = run_until(collection.path, None)
    assert lines == ["finishing", "writing", "done"]
    assert collection.version == 2
    assert_same(collection.read(), expected)
    assert not (collection.path / "sync" / "scripted").exists()
