"""What only a server can do wrong: passwords, addresses, other people's data, broken loads."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from bolt import PASSWORD_ENV, USER, Bolt
from graph_rows import random_rows, rows_of, same
from neo4j.exceptions import ConstraintError

from musicrag.graph.rows import GraphRows, merged
from musicrag.graph.stores import _bolt_cypher as cypher
from musicrag.graph.stores._parts import Triple
from musicrag.graph.stores.neo4j import Neo4jStore
from musicrag.types import InputError

BoltStore = Callable[..., Neo4jStore]

ROWS = rows_of([("User:u1", "LISTENED", "Song:s1", 1.0), ("User:u2", "LISTENED", "Song:s1", 2.0)])
MORE = rows_of([("User:u3", "LISTENED", "Song:s2", 1.0)])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def everything_said(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    said = [caplog.text]
    cause: BaseException | None = error
    while cause is not None:
        said += [str(cause), repr(cause)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(said)


def test_a_wrong_password_is_an_input_error_and_is_not_repeated(
    bolt: Bolt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(PASSWORD_ENV, "wrong-hunter2")
    with pytest.raises(InputError, match=f"refuses user 'root'.*{PASSWORD_ENV}") as caught:
        Neo4jStore(bolt.uri, USER, PASSWORD_ENV, "contract")
    said = everything_said(caught.value, caplog)
    assert "Unauthorized" in said
    assert "hunter2" not in said


def test_a_right_password_is_in_no_log_and_no_repr(
    bolt: Bolt, bolt_store: BoltStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = bolt_store()
    store.load(ROWS)
    assert "LOGON" in caplog.text or "HELLO" in caplog.text  # the driver's own log is on
    assert bolt.password not in caplog.text + repr(store) + repr(vars(store))


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_server_that_is_not_there_is_an_input_error(
    scheme: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(PASSWORD_ENV, "hunter2")
    with pytest.raises(InputError, match=r"cannot be reached.*server runs") as caught:
        Neo4jStore(f"{scheme}://127.0.0.1:{free_port()}", USER, PASSWORD_ENV)
    assert "hunter2" not in everything_said(caught.value, caplog)


@pytest.mark.parametrize("value", [None, ""])
def test_a_password_that_is_not_set_is_an_input_error(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEO4J_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("NEO4J_PASSWORD", value)
    with pytest.raises(InputError, match="Set the environment variable NEO4J_PASSWORD"):
        Neo4jStore("bolt://127.0.0.1:1", "neo4j")


@pytest.mark.parametrize(
    "uri", ["neo4j://root:hunter2@127.0.0.1", "bolt://hunter2@127.0.0.1", "//a:hunter2@[b"]
)
def test_a_password_in_the_address_is_refused_and_not_repeated(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "other")
    with pytest.raises(InputError, match="must not hold a user or password") as caught:
        Neo4jStore(uri, "neo4j")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:7687", "127.0.0.1:7687", "bolt://", ""])
def test_an_address_of_another_kind_is_an_input_error(uri: str) -> None:
    with pytest.raises(InputError, match=r"no address of a Neo4j server.*neo4j://host:7687"):
        Neo4jStore(uri, "neo4j")


def test_a_batch_holds_at_least_one_row() -> None:
    with pytest.raises(InputError, match="batch_size=0"):
        Neo4jStore("bolt://127.0.0.1:1", "neo4j", batch_size=0)


def test_an_unknown_database_is_an_input_error(bolt: Bolt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_ENV, bolt.password)
    store = Neo4jStore(bolt.uri, USER, PASSWORD_ENV, "nowhere")
    with pytest.raises(InputError, match=r"'nowhere'.*DatabaseNotFound.*name of the database"):
        store.load(ROWS)


def test_a_routing_address_works_too(
    bolt: Bolt, bolt_store: BoltStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bolt_store().load(ROWS)
    uri = bolt.uri.replace("bolt://", "neo4j://")
    same(Neo4jStore(uri, USER, PASSWORD_ENV, "contract").read(), ROWS)


def test_a_closed_store_says_so(bolt_store: BoltStore) -> None:
    store = bolt_store()
    store.close()
    with pytest.raises(InputError, match="closed"):
        store.read()


def test_data_that_musicrag_did_not_load_are_left_alone(bolt: Bolt, bolt_store: BoltStore) -> None:
    store = bolt_store()
    bolt.query("contract", "CREATE (:User {id: 'precious'})")
    with pytest.raises(InputError, match="User nodes that musicrag did not load"):
        store.load(ROWS)
    assert bolt.query("contract", "MATCH (n:User) RETURN n.id AS id") == [{"id": "precious"}]


def test_other_labels_survive_a_load(bolt: Bolt, bolt_store: BoltStore) -> None:
    store = bolt_store()
    bolt.query("contract", "CREATE (:Other {id: 'u1'})")
    store.load(ROWS)
    store.load(MORE)
    same(store.read(), MORE)
    assert bolt.query("contract", "MATCH (n:Other) RETURN n.id AS id") == [{"id": "u1"}]


def break_off(store: Neo4jStore, rows: GraphRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load nodes, and stop before the edges."""
    with monkeypatch.context() as patch:
        patch.setattr(cypher, "put_edges", lambda triple: "this is no Cypher")
        with pytest.raises(InputError, match="refused a request"):
            store.load(rows)


@pytest.mark.parametrize("old", [None, MORE])
def test_a_broken_load_is_not_read_and_the_next_completes_it(
    bolt_store: BoltStore, monkeypatch: pytest.MonkeyPatch, old: GraphRows | None
) -> None:
    store = bolt_store(batch_size=1)
    if old is not None:
        store.load(old)
    break_off(store, ROWS, monkeypatch)
    for ask in (store.read, store.counts, lambda: store.merge(MORE)):
        with pytest.raises(InputError, match=r"not completed.*load again"):
            ask()
    store.load(ROWS)
    same(store.read(), ROWS)


def test_the_old_graph_may_be_loaded_after_a_broken_load(
    bolt_store: BoltStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bolt_store()
    store.load(MORE)
    break_off(store, ROWS, monkeypatch)
    store.load(MORE)
    same(store.read(), MORE)


def test_a_load_that_another_one_overtook_stops_and_the_other_one_stands(
    bolt_store: BoltStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = bolt_store(batch_size=1), bolt_store()
    put_edges = cypher.put_edges

    def overtaken(triple: Triple) -> str:
        monkeypatch.setattr(cypher, "put_edges", put_edges)
        other.load(MORE)
        return put_edges(triple)

    monkeypatch.setattr(cypher, "put_edges", overtaken)
    with pytest.raises(InputError, match=r"Another load into .* began"):
        store.load(ROWS)
    same(other.read(), MORE)


def test_merges_at_once_are_all_there(bolt_store: BoltStore) -> None:
    stores = [bolt_store() for _ in range(3)]
    stores[0].load(ROWS)
    new = [rows_of([(f"User:m{k}", "LISTENED", f"Song:m{k}", 1.0)]) for k in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda store, rows: store.merge(rows), stores, new))
    expected = ROWS
    for rows in new:
        expected = merged(expected, rows)
    same(stores[0].read(), expected)


def test_a_merge_that_breaks_late_is_rolled_back(
    bolt_store: BoltStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bolt_store(batch_size=5)
    rows = random_rows(50)
    store.load(rows)
    with monkeypatch.context() as patch:
        patch.setattr(cypher, "put_edges", lambda triple: "this is no Cypher")
        with pytest.raises(InputError, match="refused a request"):
            store.merge(random_rows(51))
    same(store.read(), rows)


def test_ids_are_unique_by_constraint(bolt: Bolt, bolt_store: BoltStore) -> None:
    bolt_store().load(ROWS)
    with pytest.raises(ConstraintError):
        bolt.query("contract", "CREATE (:User {id: 'u1'})")
