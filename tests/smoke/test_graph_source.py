"""Training on what a database holds gives the bytes of training on the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from bolt import PASSWORD_ENV, USER, bolt_server
from commands import TINY
from conftest import Command

WORDS = [*TINY, "features/lyrics=none", "features/audio=none"]


def run_file(musicrag: Command, folder: Path, *words: str) -> bytes:
    """The run file of the only run that the words add."""
    before = set(folder.rglob("run.trec"))
    done = musicrag(*WORDS, *words)
    assert done.code == 0, done.err
    (made,) = set(folder.rglob("run.trec")) - before
    return made.read_bytes()


def test_store_server_and_tables_give_the_same_run_file(
    musicrag: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("arcadedb_embedded", reason="arcadedb-embedded is there on Linux only")
    out = tmp_path / "out"
    tables = run_file(musicrag, out, "graph.source=tables")
    assert run_file(musicrag, out, "graph.source=store") == tables
    folder = tmp_path / "bolt"
    folder.mkdir()
    with bolt_server(folder, ("music",)) as server:
        monkeypatch.setenv(PASSWORD_ENV, server.password)
        words = ["graph=neo4j", f"graph.store.uri={server.uri}", f"graph.store.user={USER}"]
        words += [f"graph.store.password_env={PASSWORD_ENV}", "graph.store.database=music"]
        assert run_file(musicrag, out, *words) == tables


def test_a_store_that_cannot_be_reached_is_one_error(
    musicrag: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "n0t-shown")
    done = musicrag(*WORDS, "graph=neo4j", "graph.store.uri=bolt://127.0.0.1:9")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: ")
    assert "n0t-shown" not in done.err
    assert not list((tmp_path / "out").rglob("run.trec"))


def test_a_source_without_a_store_is_refused(musicrag: Command) -> None:
    done = musicrag(*WORDS, "graph=interactions", "graph.source=store")
    assert done.code == 2
    assert "source=store needs a store" in done.err
