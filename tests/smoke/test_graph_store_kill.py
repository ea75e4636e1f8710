"""A load that is killed leaves the old graph or nothing; the next one completes it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bolt import PASSWORD_ENV, USER, Bolt, bolt_server
from commands import environment
from graph_rows import listening, rows_of, same

from musicrag.graph.rows import GraphRows
from musicrag.graph.stores.ladybug import LadybugStore
from musicrag.graph.stores.neo4j import Neo4jStore
from musicrag.types import InputError

OLD = rows_of([("User:old", "LISTENED", "Song:old", 1.0)])
LOAD = """
import pickle, sys
from musicrag.graph.stores.{module} import {store}
rows = pickle.load(open(sys.argv[1], "rb"))
store = {store}(*sys.argv[3:])
store.{verb}(rows)
"""


@pytest.fixture(scope="module")
def bolt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bolt]:
    pytest.importorskip("arcadedb_embedded", reason="arcadedb-embedded is there on Linux only")
    with bolt_server(tmp_path_factory.mktemp("bolt"), ("kill",)) as server:
        yield server


def kill_when(code: str, words: list[str], is_time: Callable[[], bool]) -> None:
    """Start Python code, and kill it as soon as ``is_time()``; fails if it ends before."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=environment(),
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not is_time() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


def pickled(rows: GraphRows, folder: Path) -> str:
    (folder / "rows.pickle").write_bytes(pickle.dumps(rows))
    return str(folder / "rows.pickle")


@pytest.mark.parametrize(("verb", "moment_s"), [("load", 0.0), ("load", 0.2), ("merge", 0.1)])
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_finishes(
    tmp_path: Path, verb: str, moment_s: float
) -> None:
    path = tmp_path / "graphs" / "music.lbug"
    draft = path.with_name(f".{path.name}.part")
    store = LadybugStore(str(path), lock_timeout_s=0)
    store.load(OLD)
    rows = listening(4_000, 4_000, 400_000)
    code = LOAD.format(module="ladybug", store="LadybugStore", verb=verb)
    started: list[float] = []

    def is_time() -> bool:
        if not started and draft.exists():
            started.append(time.monotonic())
        return bool(started) and time.monotonic() - started[0] >= moment_s

    kill_when(code, [pickled(rows, tmp_path), "", str(path)], is_time)
    assert draft.exists()  # the kill came in the middle
    same(store.read(), OLD)
    same(LadybugStore(str(path), read_only=True).read(), OLD)
    store.load(rows)
    same(store.read(), rows)
    assert os.listdir(path.parent) == [path.name]


def test_a_load_killed_on_the_server_is_not_read_and_the_next_one_finishes(
    tmp_path: Path, bolt: Bolt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_ENV, bolt.password)
    place = (bolt.uri, USER, PASSWORD_ENV, "kill")
    store = Neo4jStore(*place)
    store.load(OLD)
    rows = listening(300, 300, 8_000)
    code = LOAD.format(module="neo4j", store="Neo4jStore", verb="load")
    code = code.replace("*sys.argv[3:]", "*sys.argv[3:], batch_size=200")

    def num_edges() -> int:
        found = bolt.query("kill", "MATCH (:User)-[r:LISTENED]->(:Song) RETURN count(r) AS n")
        return int(str(found[0]["n"]))

    kill_when(code, [pickled(rows, tmp_path), "", *place], lambda: num_edges() > 500)
    assert 500 < num_edges() < 8_000  # the kill came in the middle
    with pytest.raises(InputError, match="not completed"):
        store.read()
    store.load(rows)
    same(store.read(), rows)
    assert num_edges() == 8_000
