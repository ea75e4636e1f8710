"""Every graph store obeys the same contract: what goes in comes out, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from graph_rows import (
    HOSTILE,
    LONG,
    counts_of,
    neighbours,
    random_rows,
    reachable,
    rows_of,
    same,
)
from worlds import NO_PROFILES

from musicrag.contracts import RawTables
from musicrag.graph.build import build_graph, graph_rows
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.rows import GraphRows, merged
from musicrag.graph.stores.contract import GraphStore
from musicrag.types import InputError, Node

OpenStore = Callable[[], GraphStore]

TINY = rows_of(
    [
        ("User:u1", "LISTENED", "Song:s1", 0.1),
        ("User:u1", "LISTENED", "Song:s2", 1.0),
        ("User:u2", "LISTENED", "Song:s2", 2.5),
        ("User:u2", "KNOWS", "User:u1", 1.0),
        ("Song:s1", "PERFORMED_BY", "Artist:a1", 1.0),
        ("Artist:a1", "HAS_GENRE", "Genre:rock", 0.7),
        ("Song:s2", "HAS_GENRE", "Genre:rock", 0.3),
    ],
    {"Song:s1": "First", "Song:s9": "without an edge", "Artist:a1": "Åsa"},
)
OTHER = rows_of(
    [
        ("User:u2", "LISTENED", "Artist:a1", 3.0),
        ("User:u1", "KNOWS", "User:u2", 1.0),  # turned round
        ("User:u3", "KNOWS", "User:u3", 4.0),
    ],
    {"Artist:a1": "", "User:u1": "now named"},
    item_type="Artist",
)


@pytest.mark.parametrize("rows", [TINY, OTHER, rows_of([], {"Song:s1": ""}), rows_of([])])
def test_what_was_loaded_is_read(store: GraphStore, rows: GraphRows) -> None:
    store.load(rows)
    same(store.read(), rows)
    assert store.counts() == counts_of(rows)


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs_come_back_bit_by_bit(store: GraphStore, seed: int) -> None:
    rows = random_rows(seed)
    assert len(rows.edges) > 100
    store.load(rows)
    same(store.read(), rows)


def test_ids_and_names_are_data_whatever_they_hold(store: GraphStore) -> None:
    edges = [
        (f"User:{text}", "LISTENED", f"Song:{text}", 1 + place / 3)
        for place, text in enumerate(HOSTILE)
    ]
    names = {f"Song:{text}": text for text in HOSTILE} | {f"User:{text}": "" for text in HOSTILE}
    rows = rows_of(edges, names | {"Tag:long": LONG, f"Tag:{LONG[:4000]}": "a long id"})
    store.load(rows)
    same(store.read(), rows)
    store.merge(rows)
    same(store.read(), rows)
    for text in HOSTILE:
        near = store.neighbourhood(Node("User", text), 3)
        assert near == {Node("Song", text)}


def test_loading_twice_is_loading_once(open_store: OpenStore) -> None:
    first, second = open_store(), open_store()
    first.load(TINY)
    first.load(TINY)
    second.load(TINY)
    same(first.read(), TINY)
    assert second.counts() == counts_of(TINY)


@pytest.mark.parametrize(("old", "new"), [(TINY, OTHER), (OTHER, TINY)])
def test_another_graph_takes_the_place_of_the_old_one(
    open_store: OpenStore, old: GraphRows, new: GraphRows
) -> None:
    store, watching = open_store(), open_store()
    store.load(old)
    same(watching.read(), old)
    store.load(new)
    for one in (store, watching, open_store()):
        same(one.read(), new)
        assert one.counts() == counts_of(new)


def test_a_graph_stays_when_its_store_is_closed(open_store: OpenStore) -> None:
    first = open_store()
    first.load(TINY)
    first.close()
    first.close()
    same(open_store().read(), TINY)


NEW = rows_of(
    [
        ("User:u1", "LISTENED", "Song:s1", 9.0),  # another weight
        ("User:u1", "KNOWS", "User:u2", 5.0),  # turned round
        ("User:u1", "KNOWS", "User:u4", 1.0),
        ("Artist:a1", "COLLABORATED_WITH", "Artist:a2", 2.0),
    ],
    {"Song:s2": "Second", "Artist:a1": "", "User:u1": ""},
)


def test_merging_gives_the_union_and_the_new_row_counts(store: GraphStore) -> None:
    store.load(TINY)
    store.merge(NEW)
    same(store.read(), merged(TINY, NEW))
    store.merge(NEW)
    same(store.read(), merged(TINY, NEW))
    edges = store.read().edges
    assert (edges["relation"] == "KNOWS").sum() == 2


@pytest.mark.parametrize("seed", range(3))
def test_random_merges_equal_the_merged_rows(store: GraphStore, seed: int) -> None:
    old, new = random_rows(10 + seed), random_rows(20 + seed)
    assert len(set(map(tuple, old.nodes.values)) & set(map(tuple, new.nodes.values))) > 5
    store.load(old)
    store.merge(new)
    same(store.read(), merged(old, new))


def test_edges_may_be_merged_between_nodes_of_the_store(store: GraphStore) -> None:
    new = rows_of([("User:u2", "LISTENED", "Song:s9", 1.5), ("User:u2", "KNOWS", "User:u5", 1.0)])
    only_new = GraphRows("Song", new.nodes[new.nodes["node_id"] == "u5"], new.edges)
    store.load(TINY)
    store.merge(only_new)
    same(store.read(), merged(TINY, only_new))


def test_a_merge_that_fails_changes_nothing(store: GraphStore) -> None:
    store.load(TINY)
    dangling = GraphRows("Song", NEW.nodes[NEW.nodes["node_id"] != "a2"], NEW.edges)
    with pytest.raises(InputError, match="Artist:a2"):
        store.merge(dangling)
    with pytest.raises(InputError, match="Song items"):
        store.merge(OTHER)
    same(store.read(), TINY)


def test_loading_again_takes_a_merge_back(store: GraphStore) -> None:
    store.load(TINY)
    store.merge(NEW)
    store.load(TINY)
    same(store.read(), TINY)


def test_merging_into_an_empty_store_loads(store: GraphStore) -> None:
    store.merge(TINY)
    same(store.read(), TINY)


@pytest.mark.parametrize("seed", range(2))
def test_neighbourhood_equals_a_plain_breadth_first_search(store: GraphStore, seed: int) -> None:
    rows = random_rows(30 + seed, num_ids=30, num_edges=12)
    store.load(rows)
    adjacency = neighbours(rows)
    chosen = np.random.default_rng(seed).choice(len(adjacency), 25, replace=False)
    sizes = set()
    for start in (list(adjacency)[place] for place in chosen):
        for hops in (1, 2, 3):
            expected = reachable(adjacency, start, hops)
            assert store.neighbourhood(start, hops) == expected
            sizes.add(len(expected))
    assert len(sizes) > 10
    assert store.neighbourhood(Node("Song", "alone"), 3) == frozenset()


def test_a_node_is_not_in_its_own_neighbourhood(store: GraphStore) -> None:
    store.load(OTHER)
    assert store.neighbourhood(Node("User", "u3"), 3) == frozenset()  # a self-loop
    assert store.neighbourhood(Node("User", "u1"), 2) == {Node("User", "u2"), Node("Artist", "a1")}


@pytest.mark.parametrize("node", [Node("Song", "s7"), Node("Genre", "s1"), Node("Sogn", "s1")])
def test_an_unknown_node_is_an_input_error(store: GraphStore, node: Node) -> None:
    store.load(TINY)
    with pytest.raises(InputError, match=f"{node}"):
        store.neighbourhood(node, 1)


@pytest.mark.parametrize("hops", [0, 4, -1])
def test_only_one_to_three_hops_are_possible(store: GraphStore, hops: int) -> None:
    store.load(TINY)
    with pytest.raises(InputError, match=f"hops={hops}.*1 to 3"):
        store.neighbourhood(Node("Song", "s1"), hops)


def test_nothing_can_be_read_before_a_load(store: GraphStore) -> None:
    for ask in (
        store.read,
        store.counts,
        lambda: store.neighbourhood(Node("Song", "s1"), 1),
    ):
        with pytest.raises(InputError, match=r"No graph was loaded.*Load one first"):
            ask()


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (("Song:s1", "LISTENED", "User:u1", 1.0), r"Song:s1 -LISTENED-> User:u1.*User -> Song"),
        (("User:u1", "LISTENT", "Song:s1", 1.0), r"'LISTENT'.*'LISTENED'"),
        (("Usr:u1", "LISTENED", "Song:s1", 1.0), r"'Usr'.*'User'"),
        (("Song:s1", "SIMILAR_TO", "Artist:a1", 1.0), r"Song:s1 -SIMILAR_TO-> Artist:a1"),
        (("User:u1", "KNOWS`]->() DETACH DELETE a //", "User:u2", 1.0), "Unknown relation"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused_and_nothing_changes(
    store: GraphStore, edge: tuple[str, str, str, float], message: str
) -> None:
    store.load(TINY)
    for change in (store.load, store.merge):
        with pytest.raises(InputError, match=message):
            change(rows_of([edge]))
    same(store.read(), TINY)


def test_rows_given_twice_and_edges_without_nodes_are_refused(store: GraphStore) -> None:
    edges = pd.concat([TINY.edges, TINY.edges.iloc[:1]], ignore_index=True)
    with pytest.raises(InputError, match="stands twice"):
        store.load(GraphRows("Song", TINY.nodes, edges))
    nodes = pd.concat([TINY.nodes, TINY.nodes.iloc[:1]], ignore_index=True)
    with pytest.raises(InputError, match="stands twice"):
        store.load(GraphRows("Song", nodes, TINY.edges))
    with pytest.raises(InputError, match="no such node"):
        store.load(GraphRows("Song", TINY.nodes.iloc[1:], TINY.edges))
    both = [("User:u1", "KNOWS", "User:u2", 1.0), ("User:u2", "KNOWS", "User:u1", 1.0)]
    with pytest.raises(InputError, match="stands twice"):
        store.load(rows_of(both))


def test_the_same_graph_may_be_loaded_by_several_at_once(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda store: store.load(TINY), stores))
    for store in stores:
        same(store.read(), TINY)


def test_tensors_from_a_store_equal_those_from_the_tables(
    store: GraphStore, tiny_raw: RawTables
) -> None:
    tables = {name: frame for name, frame in tiny_raw.items() if name not in ("queries", "qrels")}
    store.load(graph_rows(tables, "Song", NO_PROFILES))
    found = KnowledgeGraph.from_rows(store.read()).to_hetero()
    expected = build_graph(tables, "Song", NO_PROFILES).to_hetero()
    assert found.metadata() == expected.metadata()
    assert len(expected.edge_types) > 6
    for node_type in expected.node_types:
        assert found[node_type].num_nodes == expected[node_type].num_nodes
    for edge_type in expected.edge_types:
        for name in ("edge_index", "edge_weight"):
            one, other = found[edge_type][name], expected[edge_type][name]
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
