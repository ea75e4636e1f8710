"""Graph databases for the contract tests: one real Bolt server a test process, wiped each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bolt import PASSWORD_ENV, USER, Bolt, bolt_server

from musicrag.graph.stores.contract import GraphStore
from musicrag.graph.stores.ladybug import LadybugStore
from musicrag.graph.stores.neo4j import Neo4jStore

DATABASE = "contract"

OpenStore = Callable[[], GraphStore]


@pytest.fixture(scope="session")
def bolt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bolt]:
    """A server with the empty databases ``contract`` and ``real``."""
    pytest.importorskip("arcadedb_embedded", reason="arcadedb-embedded is there on Linux only")
    with bolt_server(tmp_path_factory.mktemp("bolt"), (DATABASE, "real")) as server:
        yield server


@pytest.fixture
def bolt_store(bolt: Bolt, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Neo4jStore]:
    """``bolt_store(batch_size=7)``: a store in database ``contract``, which is empty at first."""
    monkeypatch.setenv(PASSWORD_ENV, bolt.password)
    bolt.wipe(DATABASE)

    def connect(**settings: int) -> Neo4jStore:
        return Neo4jStore(bolt.uri, USER, PASSWORD_ENV, DATABASE, **settings)

    return connect


@pytest.fixture(params=["ladybug", "neo4j"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the same, at first empty, place as often as wanted; all are closed afterwards."""
    opened: list[GraphStore] = []

    def connect() -> GraphStore:
        if request.param == "ladybug":
            opened.append(LadybugStore(str(tmp_path / "graphs" / "music.lbug")))
        else:
            opened.append(request.getfixturevalue("bolt_store")(batch_size=7))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> GraphStore:
    return open_store()
