from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from worlds import Row, graph_of, path, rows_of

from musicrag.types import InputError, Node

ROWS: list[Row] = [
    ("User:u1", "LISTENED", "Song:s1", 2.0),
    ("User:u1", "LISTENED", "Song:s2", 1.0),
    ("User:u2", "LISTENED", "Song:s1", 1.5),
    ("User:u1", "KNOWS", "User:u2", 1.0),
    ("Song:s1", "PERFORMED_BY", "Artist:a1", 1.0),
    ("Song:s1", "SIMILAR_TO", "Song:s2", 0.3),
    ("Song:s1", "SIMILAR_MOOD", "Song:s2", 0.7),  # a second relation between the same two
    ("Song:s1", "EVOKES", "Mood:calm", 0.5),
    ("Artist:a1", "EVOKES", "Mood:calm", 0.25),  # one relation from two node types
]


def test_global_indices_follow_type_and_id() -> None:
    graph = graph_of(ROWS, ["Song:s0", "Tag:t"])
    nodes = [graph.node(index) for index in range(graph.num_nodes)]
    assert nodes == sorted(nodes)
    assert [graph.index(node) for node in nodes] == list(range(graph.num_nodes))
    types = list(graph.nodes)
    assert [types[place] for place in graph.node_type_idx] == [node.type for node in nodes]


def test_unknown_nodes_are_named() -> None:
    graph = graph_of(ROWS)
    with pytest.raises(InputError, match="No nodes of type 'Genre'; there are Artist, Mood"):
        graph.index(Node("Genre", "rock"))
    with pytest.raises(InputError, match="Unknown id 's9'"):
        graph.index(Node("Song", "s9"))
    for index in (-1, graph.num_nodes):
        with pytest.raises(InputError, match=f"{index} is not in 0 … {graph.num_nodes - 1}"):
            graph.node(index)


def test_adjacency_equals_networkx() -> None:
    graph = graph_of(ROWS, ["Song:lonely"])
    reference = nx.MultiGraph()
    reference.add_nodes_from(range(graph.num_nodes))
    for a, relation, b, weight in rows_of(graph):
        ends = (graph.index(Node.parse(end)) for end in (a, b))
        reference.add_edge(*ends, relation=relation, weight=weight)
    near = graph.adjacency
    assert near.degree.tolist() == [degree for _, degree in sorted(reference.degree())]
    for node in range(graph.num_nodes):
        row = slice(near.indptr[node], near.indptr[node + 1])
        found = [
            (int(other), graph.relations[relation], float(weight))
            for other, relation, weight in zip(
                near.neighbour[row], near.relation[row], near.weight[row], strict=True
            )
        ]
        expected = [
            (other, data["relation"], data["weight"])
            for _, other, data in reference.edges(node, data=True)
        ]
        assert found == sorted(found)
        assert found == sorted(expected)


def test_rows_of_the_adjacency_belong_to_their_nodes() -> None:
    near = graph_of(ROWS, ["Song:lonely"]).adjacency
    nodes = np.array([4, 3, 0, 4])
    owner, place = near.rows(nodes)
    expected = [
        (row, at) for row, n in enumerate(nodes) for at in range(near.indptr[n], near.indptr[n + 1])
    ]
    assert list(zip(owner.tolist(), place.tolist(), strict=True)) == expected
    assert [len(part) for part in near.rows(np.empty(0, dtype=np.int64))] == [0, 0]


def test_paths_exist_in_either_direction_of_their_edges() -> None:
    graph = graph_of(ROWS)
    there = path("User:u2", "LISTENED", "Song:s1", "SIMILAR_TO", "Song:s2")
    assert graph.has_path(there)
    assert graph.has_path(type(there)(there.nodes[::-1], there.relations[::-1]))
    assert graph.has_path(path("Artist:a1", "PERFORMED_BY", "Song:s1"))


@pytest.mark.parametrize(
    "parts",
    [
        ("User:u2", "LISTENED", "Song:s2"),  # no such edge
        ("Song:s1", "LISTENED", "Song:s2"),  # joined, but by another relation
        ("User:u1", "LISTENED", "Song:s9"),  # no such node
        ("Genre:rock", "HAS_GENRE", "Song:s1"),  # no such node type
        ("User:u1", "TAGGED", "Song:s1"),  # no such relation
        ("User:u1", "LISTENED", "Song:s1", "EVOKES", "Artist:a1"),  # broken at the second hop
    ],
)
def test_paths_with_a_missing_edge_do_not_exist(parts: tuple[str, ...]) -> None:
    assert not graph_of(ROWS).has_path(path(*parts))


def test_hetero_export_holds_every_edge_in_both_directions() -> None:
    graph = graph_of(ROWS, ["Song:lonely"])
    data = graph.to_hetero()
    assert {t: data[t].num_nodes for t in data.node_types} == {
        name: len(ids) for name, ids in graph.nodes.items()
    }
    found: Counter[Row] = Counter()
    for source, relation, target in data.edge_types:
        store = data[source, relation, target]
        for a, b, weight in zip(
            *store.edge_index.tolist(), store.edge_weight.tolist(), strict=True
        ):
            ends = (
                f"{source}:{graph.nodes[source].ids[a]}",
                f"{target}:{graph.nodes[target].ids[b]}",
            )
            found[ends[0], relation, ends[1], weight] += 1
    expected = rows_of(graph)
    assert found == Counter(expected + [(b, f"rev_{name}", a, w) for a, name, b, w in expected])
    assert data["Artist", "EVOKES", "Mood"].edge_index.shape == (2, 1)
    assert data.validate()
