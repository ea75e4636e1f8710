"""Loading and 3-hop neighbourhoods: both graph stores and NetworkX, on the same random graph.

    python benchmarks/graph_store.py [--edges 1000000] [--neo4j-edges 1000000] [--queries 50]

Listens of users to songs, 20 edges a user and song on average. A load is from rows in memory to a
database that answers; each store's rows are read back and compared. NetworkX takes the same edges
from Python tuples. The server is ArcadeDB on the loopback address, asked through the Neo4j driver;
it stands for Neo4j in function, not in speed. Every neighbourhood is checked against NetworkX.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bolt import PASSWORD_ENV, USER, Bolt, bolt_server
from graph_rows import listening

from musicrag.graph.rows import GraphRows
from musicrag.graph.stores.contract import GraphStore
from musicrag.graph.stores.ladybug import LadybugStore
from musicrag.graph.stores.neo4j import Neo4jStore
from musicrag.types import Node

EDGES_PER_NODE, HOPS = 20, 3
TARGET_EDGES_PER_S = 100_000


@dataclass(frozen=True)
class Timed:
    """One contender on one graph."""

    name: str
    num_edges: int
    load_s: float
    query_s: float

    def __str__(self) -> str:
        return (
            f"{self.name:28s} {self.num_edges:10,d} edges {self.num_edges / self.load_s:12,.0f} "
            f"edges/s {1 / self.query_s:10.2f} neighbourhoods/s"
        )


def graph(num_edges: int) -> GraphRows:
    side = max(num_edges // EDGES_PER_NODE, 10)
    return listening(side, side, num_edges)


def starts(rows: GraphRows, num_queries: int) -> list[Node]:
    users = rows.edges["source_id"].drop_duplicates()
    chosen = np.random.default_rng(1).choice(users, num_queries, replace=False)
    return [Node("User", str(user)) for user in chosen]


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def load_networkx(rows: GraphRows) -> nx.Graph:
    built = nx.Graph()
    nodes, edges = rows.nodes, rows.edges
    built.add_nodes_from(
        (Node(node_type, node_id), {"name": name})
        for node_type, node_id, name in nodes.itertuples(index=False, name=None)
    )
    built.add_weighted_edges_from(
        (Node(a_type, a), Node(b_type, b), weight)
        for a_type, a, _, b_type, b, weight in edges.itertuples(index=False, name=None)
    )
    return built


def within(built: nx.Graph, start: Node) -> frozenset[Node]:
    found = nx.single_source_shortest_path_length(built, start, cutoff=HOPS)
    return frozenset(found) - {start}


def time_store(name: str, store: GraphStore, rows: GraphRows, built: nx.Graph, n: int) -> Timed:
    load_s = seconds(lambda: store.load(rows))
    assert store.read().content_hash == rows.content_hash
    chosen = starts(rows, n)
    assert store.neighbourhood(chosen[0], HOPS) == within(built, chosen[0])
    query_s = seconds(lambda: [store.neighbourhood(node, HOPS) for node in chosen]) / n
    store.close()
    return Timed(name, len(rows.edges), load_s, query_s)


def time_networkx(rows: GraphRows, n: int) -> tuple[Timed, nx.Graph]:
    built: list[nx.Graph] = []
    load_s = seconds(lambda: built.append(load_networkx(rows)))
    query_s = seconds(lambda: [within(built[0], node) for node in starts(rows, n)]) / n
    return Timed("NetworkX", len(rows.edges), load_s, query_s), built[0]


def compare(rows: GraphRows, num_queries: int, folder: Path, server: Bolt | None) -> list[Timed]:
    reference, built = time_networkx(rows, num_queries)
    path = str(folder / f"{len(rows.edges)}.lbug")
    found = [
        reference,
        time_store("Ladybug (embedded)", LadybugStore(path), rows, built, num_queries),
    ]
    if server is not None:
        os.environ[PASSWORD_ENV] = server.password
        store = Neo4jStore(server.uri, USER, PASSWORD_ENV, "benchmark")
        found.append(time_store("Bolt server (ArcadeDB)", store, rows, built, num_queries))
    for one in found:
        load, query = reference.load_s / one.load_s, reference.query_s / one.query_s
        print(f"{one}   load {load:6.2f} x, query {query:6.3f} x as fast as NetworkX", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--neo4j-edges", type=int, default=1_000_000, help="0 leaves it out")
    parser.add_argument("--queries", type=int, default=50)
    arguments = parser.parse_args()
    bounded = min(arguments.edges, arguments.neo4j_edges)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        start = bolt_server(folder / "server", ("benchmark",)) if bounded else nullcontext(None)
        with start as server:
            first = server if bounded == arguments.edges else None
            found = compare(graph(arguments.edges), arguments.queries, folder, first)
            if bounded and first is None:
                compare(graph(bounded), arguments.queries, folder, server)
    speed = found[1].num_edges / found[1].load_s
    verdict = "met" if speed >= TARGET_EDGES_PER_S else "missed"
    print(f"target {TARGET_EDGES_PER_S:,} edges/s embedded: {verdict} ({speed:,.0f})")
    print(f"load average of this machine, 1 minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()}")


if __name__ == "__main__":
    main()
