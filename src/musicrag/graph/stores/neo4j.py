"""The graph in Neo4j, or in any server that speaks Bolt and Cypher.

Works unchanged against one server (``bolt://``) or a cluster (``neo4j://``). Knows what to ask in
which order; :mod:`._bolt` knows the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pandas as pd
from tqdm import tqdm

from musicrag.graph.rows import GraphRows
from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.graph.stores import _bolt_cypher as cypher
from musicrag.graph.stores._bolt import BoltServer
from musicrag.graph.stores._parts import (
    TRIPLES,
    Triple,
    check_hops,
    check_same_items,
    check_storable,
    dangling,
    edge_parts,
    node_parts,
    put_together,
    schema_version,
    unknown_node,
)
from musicrag.types import InputError, Node

if TYPE_CHECKING:
    from neo4j import ManagedTransaction as Transaction

_MERGED = "merged"  # no load's stamp, so that every load sees what a merge has added


class Neo4jStore:
    """A graph in a database of its own on a Neo4j server or cluster.

    Ids stand in an index, so Neo4j limits them to about 8 kB; names have no limit.

    Args:
        uri: ``neo4j://host`` for a cluster or server, ``bolt://host`` for one server; ``+s``
            encrypts.
        user: user name.
        password_env: environment variable that holds the password.
        database: database name; None takes the user's default.
        batch_size: rows in one transaction of a load.

    Raises:
        InputError: the variable is not set, the server cannot be reached or refuses the password.
    """

    def __init__(
        self,
        uri: str,
        user: str,
        password_env: str = "NEO4J_PASSWORD",
        database: str | None = None,
        batch_size: int = 10_000,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size} is not possible; give 1 or more.")
        self._batch_size = batch_size
        self._server = BoltServer(uri, user, password_env, database)

    def load(self, rows: GraphRows) -> None:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`.

        Batches of ``batch_size`` rows, each a transaction that may be repeated; what another load
        wrote goes last. Until then the database says ``loading`` and is not read.

        Raises:
            InputError: also if the database holds nodes that musicrag did not load, or another
                load began meanwhile.
        """
        wanted = _metadata(rows)
        found = self._server.read(lambda tx: _one(tx, cypher.METADATA))
        if found == wanted:
            return
        check_storable(rows)
        if found is None:
            self._check_empty()
        for constraint in (*map(cypher.constraint, NODE_TYPES), cypher.METADATA_CONSTRAINT):
            self._write(constraint)
        if not self._begin(wanted):
            return
        self._put(rows, wanted["stamp"])
        self._sweep(wanted["stamp"])
        if not self._write(cypher.FINISH, stamp=wanted["stamp"]):
            raise self._overtaken()

    def merge(self, rows: GraphRows) -> None:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`.

        One transaction, which the server holds in memory: about 1 kB a row in Neo4j, bounded by
        its ``db.memory.transaction.max``. Load what is larger. Where nothing was loaded yet, this
        is a load.
        """
        if self._server.read(lambda tx: _one(tx, cypher.METADATA)) is None:
            self.load(rows)
            return
        open_ends = check_storable(rows, open_ends=True)

        def work(tx: Transaction) -> None:
            graph = _one(
                tx, cypher.CHANGED, stamp=_MERGED
            )  # locks the graph: merges come one after another
            if graph is None:
                raise self._unfinished()
            check_same_items(graph["item_type"], rows)
            _check_ends(tx, open_ends)
            for query, part in _merging(rows):
                for batch in self._batches(part):
                    tx.run(query, rows=batch, stamp=_MERGED).consume()

        self._server.write(work)

    def read(self) -> GraphRows:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        node, edge = ["id", "name"], ["source", "target", "weight"]

        def work(tx: Transaction) -> GraphRows:
            return put_together(
                self._loaded(tx),
                ((name, _frame(tx, cypher.all_nodes(name), node)) for name in NODE_TYPES),
                ((triple, _frame(tx, cypher.all_edges(triple), edge)) for triple in TRIPLES),
            )

        return self._server.read(work)

    def counts(self) -> dict[str, int]:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        queries = {name: cypher.count_nodes(name) for name in NODE_TYPES}
        queries |= {name: cypher.count_edges(name) for name in RELATIONS}

        def work(tx: Transaction) -> dict[str, int]:
            self._loaded(tx)
            found = {name: tx.run(query).single(strict=True) for name, query in queries.items()}
            return {name: int(row["n"]) for name, row in found.items() if row["n"]}

        return self._server.read(work)

    def neighbourhood(self, node: Node, hops: int) -> frozenset[Node]:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        check_hops(hops)

        def work(tx: Transaction) -> frozenset[Node]:
            self._loaded(tx)
            if node.type not in NODE_TYPES or not _known(tx, node.type, [node.id]):
                raise unknown_node(node)
            found = tx.run(cypher.within(node.type, hops), id=node.id)
            return frozenset(Node(row["type"], row["id"]) for row in found) - {node}

        return self._server.read(work)

    def close(self) -> None:
        """See :class:`~musicrag.graph.stores.contract.GraphStore`."""
        self._server.close()

    def _begin(self, wanted: Mapping[str, str]) -> bool:
        """Announce a load, unless another process has completed the same one meanwhile."""

        def work(tx: Transaction) -> bool:
            tx.run(cypher.LOCK).consume()
            if _one(tx, cypher.METADATA) == wanted:
                return False
            tx.run(cypher.BEGIN, dict(wanted)).consume()
            return True

        return self._server.write(work)

    def _write(self, query: str, **parameters: object) -> int:
        """Run one statement in a transaction of its own; its column ``n`` if it has one, else 0."""

        def work(tx: Transaction) -> int:
            row = tx.run(query, parameters).single()
            return int(row["n"]) if row is not None else 0

        return self._server.write(work)

    def _write_own(self, query: str, stamp: str, **parameters: object) -> int:
        """:meth:`_write`, unless another load has begun since ours: then raise."""

        def work(tx: Transaction) -> int:
            if not tx.run(cypher.OWNED, stamp=stamp).single(strict=True)["n"]:
                raise self._overtaken()
            row = tx.run(query, parameters, stamp=stamp).single()
            return int(row["n"]) if row is not None else 0

        return self._server.write(work)

    def _put(self, rows: GraphRows, stamp: str) -> None:
        total = len(rows.nodes) + len(rows.edges)
        with tqdm(total=total, desc="load graph", unit="row", disable=None) as bar:
            for query, part in _statements(rows, cypher.put_nodes, cypher.put_edges):
                for batch in self._batches(part):
                    self._write_own(query, stamp, rows=batch)
                    bar.update(len(batch))

    def _sweep(self, stamp: str) -> None:
        """Remove what carries another stamp, edges first."""
        queries = [cypher.sweep_edges(name) for name in RELATIONS]
        queries += [cypher.sweep_nodes(name) for name in NODE_TYPES]
        for query in queries:
            while self._write_own(query, stamp, limit=self._batch_size):
                pass

    def _batches(self, part: pd.DataFrame) -> Iterator[list[dict[str, object]]]:
        columns = [str(column) for column in part]
        for start in range(0, len(part), self._batch_size):
            batch = part.iloc[start : start + self._batch_size]
            values = zip(*(batch[column].tolist() for column in columns), strict=True)
            yield [dict(zip(columns, row, strict=True)) for row in values]

    def _check_empty(self) -> None:
        """A database without our metadata that has nodes of our labels is somebody else's."""
        foreign = self._server.read(
            lambda tx: [name for name in NODE_TYPES if tx.run(cypher.any_node(name)).single()]
        )
        if foreign:
            raise InputError(
                f"{self._server} holds {', '.join(foreign)} nodes that musicrag did not load, and "
                f"a load would remove them. Give the graph an empty database of its own."
            )

    def _loaded(self, tx: Transaction) -> str:
        """The node type of the items; raises unless a load was completed."""
        found = _one(tx, cypher.METADATA)
        if found is None:
            raise InputError(f"No graph was loaded into {self._server} yet. Load one first.")
        if found["status"] != "complete":
            raise self._unfinished()
        if found["schema_version"] != schema_version():
            raise InputError(
                f"The graph in {self._server} was written by another version of musicrag. Load "
                f"it again."
            )
        return found["item_type"]

    def _unfinished(self) -> InputError:
        return InputError(
            f"A load into {self._server} was not completed: it still runs, or it was stopped. "
            f"Wait for it, or load again."
        )

    def _overtaken(self) -> InputError:
        return InputError(
            f"Another load into {self._server} began before this one was done. Load one graph at "
            f"a time, or give each a database of its own."
        )


def _metadata(rows: GraphRows) -> dict[str, str]:
    """What a complete load leaves."""
    content_hash = rows.content_hash
    return {
        "status": "complete",
        "stamp": content_hash[:16],
        "item_type": rows.item_type,
        "content_hash": content_hash,
        "schema_version": schema_version(),
    }


def _statements(
    rows: GraphRows, for_nodes: Callable[[str], str], for_edges: Callable[[Triple], str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each statement that rows need, and its rows; nodes before the edges that join them."""
    for node_type, part in node_parts(rows.nodes):
        yield for_nodes(node_type), part
    for triple, part in edge_parts(rows.edges):
        yield for_edges(triple), part


def _merging(rows: GraphRows) -> Iterator[tuple[str, pd.DataFrame]]:
    """Edges that point the other way go first: there is one for a pair of nodes."""
    for triple, part in edge_parts(rows.edges):
        if triple.source == triple.target:
            yield cypher.remove_turned(triple), part
    yield from _statements(rows, cypher.merge_nodes, cypher.put_edges)


def _check_ends(tx: Transaction, open_ends: Mapping[str, list[str]]) -> None:
    for node_type, ids in open_ends.items():
        found = _known(tx, node_type, ids)
        for lost in (node_id for node_id in ids if node_id not in found):
            raise dangling(node_type, lost)


def _one(tx: Transaction, query: str, **parameters: str) -> dict[str, str] | None:
    row = tx.run(query, parameters).single()
    return None if row is None else {key: str(value) for key, value in row.data().items()}


def _known(tx: Transaction, node_type: str, ids: list[str]) -> set[str]:
    return {row["id"] for row in tx.run(cypher.which_ids(node_type), ids=ids)}


def _frame(tx: Transaction, query: str, columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(tx.run(query).values(), columns=columns)
