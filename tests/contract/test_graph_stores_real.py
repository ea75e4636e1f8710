"""Last.fm 2K with its layer of Deezer tracks goes through both stores and comes back the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bolt import PASSWORD_ENV, USER, Bolt
from graph_rows import counts_of, neighbours, reachable, same

from musicrag.graph.build import graph_rows
from musicrag.graph.rows import GraphRows, canonical
from musicrag.graph.stores.contract import GraphStore
from musicrag.graph.stores.ladybug import LadybugStore
from musicrag.graph.stores.neo4j import Neo4jStore
from musicrag.sources.lastfm import HetrecLastfm
from musicrag.tables.clean import clean
from musicrag.tables.leaks import training_tables
from musicrag.tables.splits import split

NUM_EDGES = {"TAGGED": 100_805, "LISTENED": 74_296, "EVOKES": 13_130, "KNOWS": 12_717}


@pytest.fixture(scope="module")
def lastfm() -> Callable[[Path], GraphRows]:
    """Builds the graph of training rows, once."""
    built: dict[Path, GraphRows] = {}

    def build(folder: Path) -> GraphRows:
        if folder not in built:
            source = HetrecLastfm(str(folder))
            dataset = clean(source.name, source.item_type, source.load(), on_invalid="reject")
            parts = split(dataset, np.random.default_rng(0))
            tables = training_tables(dataset, parts)
            built[folder] = graph_rows(tables, dataset.item_type, parts.profiles)
        return built[folder]

    return build


@pytest.fixture
def rows(lastfm: Callable[[Path], GraphRows], real_data: Callable[[str], Path]) -> GraphRows:
    real_data("joins_hetrec_deezer")
    return lastfm(real_data("hetrec2011_lastfm2k"))


def slice_of(rows: GraphRows, num_users: int) -> GraphRows:
    """What a few listeners heard, whom they know, and the tracks and moods of those artists."""
    users = sorted(set(rows.nodes[rows.nodes["node_type"] == "User"]["node_id"]))[:num_users]
    edges = rows.edges
    of_users = (edges["source_type"] == "User") & edges["source_id"].isin(users)
    of_users &= (edges["target_type"] != "User") | edges["target_id"].isin(users)
    artists = edges[of_users & (edges["target_type"] == "Artist")]["target_id"]
    performed = (edges["relation"] == "PERFORMED_BY") & edges["target_id"].isin(artists)
    songs = edges[performed]["source_id"]
    evoked = (edges["relation"] == "EVOKES") & edges["source_id"].isin(songs)
    edges = edges[of_users | performed | evoked]
    ends = {
        (str(row[0]), str(row[1]))
        for end in ("source", "target")
        for row in edges[[f"{end}_type", f"{end}_id"]].itertuples(index=False)
    }
    keys = zip(rows.nodes["node_type"], rows.nodes["node_id"], strict=True)
    return canonical(rows.item_type, rows.nodes[[key in ends for key in keys]], edges)


def degree_sums(rows: GraphRows) -> Counter[tuple[str, str]]:
    """Weight that meets at each node type, by relation, to float32's precision."""
    found: Counter[tuple[str, str]] = Counter()
    for end in ("source", "target"):
        for key, part in rows.edges.groupby(["relation", f"{end}_type"]):
            found[str(key[0]), str(key[1])] += len(part)
    return found


def check(store: GraphStore, rows: GraphRows, num_neighbourhoods: int) -> None:
    store.load(rows)
    held = store.read()
    same(held, rows)
    assert store.counts() == counts_of(rows)
    assert degree_sums(held) == degree_sums(rows)
    adjacency = neighbours(rows)
    nodes = sorted(adjacency)
    degrees = {node: len(store.neighbourhood(node, 1)) for node in nodes[::500]}
    assert degrees == {node: len(adjacency[node]) for node in degrees}
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(nodes), num_neighbourhoods):
        hops = int(rng.integers(1, 4))
        expected = reachable(adjacency, nodes[place], hops)
        assert store.neighbourhood(nodes[place], hops) == expected


def test_ladybug_holds_lastfm(tmp_path: Path, rows: GraphRows) -> None:
    assert len(rows.edges) > 200_000
    assert counts_of(rows).items() >= NUM_EDGES.items()
    check(LadybugStore(str(tmp_path / "music.lbug")), rows, 100)


@pytest.mark.slow
def test_ladybug_agrees_in_a_thousand_neighbourhoods(tmp_path: Path, rows: GraphRows) -> None:
    check(LadybugStore(str(tmp_path / "music.lbug")), rows, 1_000)


@pytest.fixture
def server(bolt: Bolt, monkeypatch: pytest.MonkeyPatch) -> GraphStore:
    monkeypatch.setenv(PASSWORD_ENV, bolt.password)
    return Neo4jStore(bolt.uri, USER, PASSWORD_ENV, "real")


def test_a_server_holds_a_slice_of_lastfm(server: GraphStore, rows: GraphRows) -> None:
    part = slice_of(rows, 60)
    assert {"Artist", "Mood", "Song", "User", "EVOKES", "KNOWS"} <= set(counts_of(part))
    check(server, part, 100)


@pytest.mark.slow
def test_a_server_holds_lastfm(server: GraphStore, rows: GraphRows) -> None:
    check(server, rows, 1_000)
