from __future__ import annotations

from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicrag.graph.rows import (
    EDGE_COLUMNS,
    NODE_COLUMNS,
    GraphRows,
    canonical,
    joined,
    last_of_each_pair,
    merged,
    strongest_of_each_pair,
    undirected,
)
from musicrag.types import InputError

NodeRow = tuple[str, str, str]
EdgeRow = tuple[str, str, str, str, str, float]


def node_frame(*rows: NodeRow) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=NODE_COLUMNS, dtype="str")


def edge_frame(*rows: EdgeRow) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=EDGE_COLUMNS)


def graph(nodes: list[NodeRow], edges: list[EdgeRow], item_type: str = "Song") -> GraphRows:
    return canonical(item_type, node_frame(*nodes), edge_frame(*edges))


def same(one: GraphRows, other: GraphRows) -> bool:
    """Equal types, rows, order and dtypes; the hash must say the same."""
    equal = one.item_type == other.item_type
    equal &= one.nodes.equals(other.nodes) and one.edges.equals(other.edges)
    assert (one.content_hash == other.content_hash) == equal
    return equal


NODES = [("Song", "s2", "Two"), ("Song", "s10", "Ten"), ("User", "u1", ""), ("User", "u2", "Bo")]
EDGES = [
    ("User", "u2", "LISTENED", "Song", "s2", 1.5),
    ("User", "u1", "LISTENED", "Song", "s2", 1.0),
    ("User", "u1", "KNOWS", "User", "u2", 1.0),
]

_NODE = st.tuples(st.sampled_from(["Song", "User"]), st.sampled_from(["1", "2", "3"]))
_NODE_ROW = st.tuples(_NODE, st.sampled_from(["", "A", "B"])).map(lambda row: (*row[0], row[1]))
_NAME = st.sampled_from(["KNOWS", "LISTENED"])
_WEIGHT = st.sampled_from([0.5, 1.0, 2.0])
_EDGE_ROW = st.tuples(_NODE, _NAME, _NODE, _WEIGHT).map(
    lambda row: (*row[0], row[1], *row[2], row[3])
)
_NODE_ROWS, _EDGE_ROWS = st.lists(_NODE_ROW, max_size=8), st.lists(_EDGE_ROW, max_size=12)
_GRAPH = st.builds(
    lambda edges, nodes: joined("Song", [edge_frame(*edges)], node_frame(), node_frame(*nodes)),
    _EDGE_ROWS,
    _NODE_ROWS,
)


def test_canonical_rows_are_sorted_and_typed() -> None:
    rows = graph(NODES, EDGES)
    assert rows.nodes["node_id"].tolist() == ["s10", "s2", "u1", "u2"]
    ends = rows.edges[["relation", "source_id", "target_id"]].itertuples(index=False, name=None)
    assert list(ends) == [
        ("KNOWS", "u1", "u2"), ("LISTENED", "u1", "s2"), ("LISTENED", "u2", "s2"),
    ]  # fmt: skip
    assert rows.edges["weight"].dtype == np.float32
    assert (list(rows.nodes), list(rows.edges)) == (NODE_COLUMNS, EDGE_COLUMNS)
    assert rows.edges.index.equals(pd.RangeIndex(3))


@settings(deadline=None)
@given(_NODE_ROWS, _EDGE_ROWS, st.randoms())
def test_canonical_rows_do_not_depend_on_the_order_of_rows_or_columns(
    nodes: list[NodeRow], edges: list[EdgeRow], random: Random
) -> None:
    expected = graph(nodes, edges)
    random.shuffle(nodes)
    random.shuffle(edges)
    assert same(graph(nodes, edges), expected)
    turned = canonical(
        "Song", node_frame(*nodes)[NODE_COLUMNS[::-1]], edge_frame(*edges)[EDGE_COLUMNS[::-1]]
    )
    assert same(turned, expected)
    assert same(canonical("Song", expected.nodes, expected.edges), expected)


def test_canonical_adds_and_drops_nothing() -> None:
    twice = graph(NODES + NODES, EDGES + EDGES)
    assert (len(twice.nodes), len(twice.edges)) == (8, 6)


def test_missing_names_are_empty() -> None:
    nodes = node_frame(*NODES)
    nodes.loc[0, "name"] = None
    assert same(canonical("Song", nodes, edge_frame()), graph([("Song", "s2", ""), *NODES[1:]], []))


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (node_frame().drop(columns="name"), edge_frame(), r"nodes: missing columns \['name'\]"),
        (node_frame().assign(age=1), edge_frame(), r"nodes: .* unknown columns \['age'\]"),
        (node_frame(), edge_frame().drop(columns="weight"), r"edges: missing .*\['weight'\]"),
        (node_frame(), edge_frame().assign(since=1), r"edges: .*\['since'\]. Needed: source_type"),
    ],
)
def test_wrong_columns_are_named(nodes: pd.DataFrame, edges: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        canonical("Song", nodes, edges)


def test_the_hash_sees_every_part_of_a_graph() -> None:
    lighter = [(*EDGES[0][:5], 1.25), *EDGES[1:]]
    renamed = [("Song", "s2", "Deux"), *NODES[1:]]
    variants = [
        graph(NODES, EDGES),
        graph(NODES, EDGES, "Artist"),
        graph(NODES, EDGES[1:]),
        graph(NODES[1:], EDGES),
        graph(NODES, lighter),
        graph(renamed, EDGES),
        graph(NODES, [(*EDGES[0][:2], "KNOWS", *EDGES[0][3:]), *EDGES[1:]]),
    ]
    assert len({rows.content_hash for rows in variants}) == len(variants)
    assert variants[0].content_hash == graph(NODES[::-1], EDGES[::-1]).content_hash


@given(_EDGE_ROWS)
def test_undirected_ends_are_equal_for_equal_pairs_only(edges: list[EdgeRow]) -> None:
    low, high = undirected(edge_frame(*edges))
    assert (low <= high).all()
    pairs = [frozenset((edge[:2], edge[3:5])) for edge in edges]
    for i, one in enumerate(pairs):
        for j, other in enumerate(pairs):
            assert ((low[i], high[i]) == (low[j], high[j])) == (one == other)


def pair_of(edge: EdgeRow) -> tuple[str, frozenset[tuple[str, str]]]:
    return edge[2], frozenset((edge[:2], edge[3:5]))


@given(_EDGE_ROWS)
def test_the_strongest_edge_of_each_pair_is_kept(edges: list[EdgeRow]) -> None:
    kept = [edges[place] for place in strongest_of_each_pair(edge_frame(*edges))]
    best: dict[object, float] = {}
    for edge in edges:
        if edge[:2] != edge[3:5]:  # nobody is a neighbour of himself
            best[pair_of(edge)] = max(edge[5], best.get(pair_of(edge), 0.0))
    assert len(kept) == len(best)
    assert {pair_of(edge): edge[5] for edge in kept} == best


@given(_EDGE_ROWS)
def test_the_last_edge_of_each_pair_is_kept(edges: list[EdgeRow]) -> None:
    kept = last_of_each_pair(edge_frame(*edges)).tolist()
    last = {pair_of(edge): place for place, edge in enumerate(edges)}
    assert kept == sorted(last.values())


@settings(deadline=None)
@given(_EDGE_ROWS, st.integers(0, 12), st.randoms())
def test_joined_rows_do_not_depend_on_the_order_of_parts_and_rows(
    edges: list[EdgeRow], cut: int, random: Random
) -> None:
    required = pd.DataFrame({"node_type": ["Song", "User"], "node_id": ["9", "1"]})
    names = node_frame(("User", "1", "Ada"), ("Song", "77", "Unused"))
    whole = joined("Song", [edge_frame(*edges)], required, names)
    random.shuffle(edges)
    parts = [edge_frame(*edges[cut:]), edge_frame(*edges[:cut])]
    assert same(joined("Song", parts, required.iloc[::-1], names.iloc[::-1]), whole)


def test_joined_graphs_have_a_node_for_each_end_and_no_other() -> None:
    required = pd.DataFrame({"node_type": ["Song", "Song"], "node_id": ["s9", "s9"]})
    names = node_frame(("User", "u1", "Old"), ("User", "u1", "New"), ("User", "u3", "Nobody"))
    rows = joined("Song", [edge_frame(*EDGES), edge_frame()], required, names)
    assert list(rows.nodes.itertuples(index=False, name=None)) == [
        ("Song", "s2", ""), ("Song", "s9", ""), ("User", "u1", "New"), ("User", "u2", ""),
    ]  # fmt: skip


def test_a_graph_of_no_edges_can_be_joined() -> None:
    required = pd.DataFrame({"node_type": ["Song"], "node_id": ["s1"]})
    assert same(joined("Song", [], required, node_frame()), graph([("Song", "s1", "")], []))


def test_merging_takes_the_new_weight_and_the_new_name_if_there_is_one() -> None:
    new = graph(
        [("Song", "s2", "Deux"), ("User", "u2", ""), ("User", "u3", "Cy")],
        [("User", "u2", "KNOWS", "User", "u1", 3.0), ("User", "u3", "KNOWS", "User", "u1", 1.0)],
    )
    rows = merged(graph(NODES, EDGES), new)
    assert dict(zip(rows.nodes["node_id"], rows.nodes["name"], strict=True)) == {
        "s10": "Ten", "s2": "Deux", "u1": "", "u2": "Bo", "u3": "Cy",
    }  # fmt: skip
    knows = rows.edges[rows.edges["relation"] == "KNOWS"]
    found = knows[["source_id", "target_id", "weight"]].itertuples(index=False, name=None)
    assert list(found) == [("u2", "u1", 3.0), ("u3", "u1", 1.0)]
    assert len(rows.edges) == 4


@settings(deadline=None, max_examples=40)
@given(_GRAPH, _GRAPH)
def test_merging_is_a_union_that_a_second_time_does_not_change(
    old: GraphRows, new: GraphRows
) -> None:
    both = merged(old, new)
    assert same(merged(both, new), both)
    assert same(merged(old, old), old)
    key = NODE_COLUMNS[:2]
    every = pd.concat([old.nodes, new.nodes])[key].drop_duplicates()
    assert len(both.nodes) == len(every) == len(both.nodes.drop_duplicates(key))
    assert len(last_of_each_pair(both.edges)) == len(both.edges)


@settings(deadline=None, max_examples=20)
@given(_GRAPH)
def test_merging_an_empty_graph_changes_nothing(old: GraphRows) -> None:
    empty = graph([], [])
    assert same(merged(old, empty), old)
    assert same(merged(empty, old), old)


def test_graphs_of_other_items_do_not_merge() -> None:
    with pytest.raises(InputError, match="Song items cannot take in one of Artist items"):
        merged(graph(NODES, EDGES), graph(NODES, EDGES, "Artist"))
