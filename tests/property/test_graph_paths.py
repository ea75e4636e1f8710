"""PathFinder against an exhaustive search that follows docs/evaluation.md word by word."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import graph_of, path, rows_of

from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.paths import PathFinder
from musicrag.types import InputError, Node, Path

TYPES = ("Artist", "Genre", "Song", "User")
NAMES = ("KNOWS", "LISTENED", "SIMILAR_TO")
Metapaths = frozenset[tuple[str, ...]] | None


def random_graph(rng: np.random.Generator) -> KnowledgeGraph:
    """Up to 10 nodes, some with an edge to themselves.

    Two nodes may be joined by several relations, each once, in either direction.
    """
    nodes = [f"{rng.choice(TYPES)}:{n}" for n in range(rng.integers(4, 11))]
    density = rng.choice([0.05, 0.15, 0.4])
    rows = []
    for i, one in enumerate(nodes):
        for other in nodes[: i + 1]:
            for name in NAMES:
                if rng.random() < density:
                    ends = (one, other) if rng.random() < 0.5 else (other, one)
                    rows.append((ends[0], name, ends[1], 1.0))
    return graph_of(rows, nodes)


def exhaustive(
    graph: KnowledgeGraph, anchors: list[Node], target: Node, max_hops: int, metapaths: Metapaths
) -> list[Path]:
    """All shortest conforming simple paths, best first; inner nodes are no anchors."""
    edges = [(Node.parse(a), name, Node.parse(b)) for a, name, b, _ in rows_of(graph)]
    edges += [(b, name, a) for a, name, b in edges]
    degree = {graph.node(n): 0 for n in range(graph.num_nodes)}
    for a, _, _ in edges:
        degree[a] += 1
    reached = [Path((anchor,), ()) for anchor in sorted(set(anchors)) if target not in anchors]
    for _ in range(max_hops):
        reached = [
            Path((*walk.nodes, b), (*walk.relations, name))
            for walk in reached
            for a, name, b in edges
            if a == walk.target and b not in walk.nodes and b not in anchors
        ]
        found = [walk for walk in reached if walk.target == target]
        if metapaths is not None:
            found = [walk for walk in found if walk.relations in metapaths]
        if found:
            cost = {walk: sum(degree[n] for n in walk.nodes[1:-1]) for walk in found}
            return sorted(set(found), key=lambda w: (cost[w], w.nodes, w.relations))
        reached = [walk for walk in reached if walk.target != target]
    return []


def draw_metapaths(rng: np.random.Generator, max_hops: int) -> Metapaths:
    if rng.random() < 0.5:
        return None
    lengths = rng.integers(1, max_hops + 1, size=rng.integers(0, 6))
    return frozenset(tuple(str(name) for name in rng.choice(NAMES, size)) for size in lengths)


@pytest.mark.parametrize("seed", range(150))
def test_shortest_equals_an_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    anchors = rng.choice(graph.num_nodes, rng.integers(1, 4))  # repeats happen
    max_hops = int(rng.integers(1, 4))
    metapaths = draw_metapaths(rng, max_hops)
    finder = PathFinder(graph, anchors, max_hops, metapaths)
    nodes = [graph.node(int(anchor)) for anchor in anchors]
    for target in range(graph.num_nodes):
        expected = exhaustive(graph, nodes, graph.node(target), max_hops, metapaths)
        for limit in (1, 2, 5, 1000):
            assert finder.shortest(target, limit) == expected[:limit]


def test_the_random_graphs_exercise_every_length_and_the_filter() -> None:
    lengths = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng)
        start = graph.node(0)
        for target in range(1, graph.num_nodes):
            found = exhaustive(graph, [start], graph.node(target), 3, None)
            lengths.append(found[0].num_hops if found else 0)
    counts = np.bincount(lengths, minlength=4)
    assert counts.min() > 30


LADDER = graph_of(
    [
        ("User:u", "LISTENED", "Song:a", 1.0),
        ("User:u", "LISTENED", "Song:b", 1.0),
        ("Song:a", "SIMILAR_TO", "Song:t", 1.0),
        ("Song:a", "SIMILAR_MOOD", "Song:t", 1.0),
        ("Song:b", "SIMILAR_TO", "Song:t", 1.0),
        ("Song:b", "PERFORMED_BY", "Artist:x", 1.0),
        ("Artist:x", "COLLABORATED_WITH", "Artist:y", 1.0),
        ("Song:t", "PERFORMED_BY", "Artist:x", 1.0),
        ("Song:far", "PERFORMED_BY", "Artist:y", 1.0),
    ],
    ["Song:alone"],
)


def shortest(
    anchors: list[str], target: str, limit: int = 10, max_hops: int = 3, metapaths: Metapaths = None
) -> list[Path]:
    start = np.array([LADDER.index(Node.parse(a)) for a in anchors], dtype=np.int64)
    finder = PathFinder(LADDER, start, max_hops, metapaths)
    return finder.shortest(LADDER.index(Node.parse(target)), limit)


def test_order_is_degree_then_nodes_then_relations() -> None:
    through_a = [
        path("User:u", "LISTENED", "Song:a", name, "Song:t")
        for name in ("SIMILAR_MOOD", "SIMILAR_TO")
    ]
    through_b = path("User:u", "LISTENED", "Song:b", "SIMILAR_TO", "Song:t")
    assert shortest(["User:u"], "Song:t") == [*through_a, through_b]
    assert shortest(["User:u"], "Song:t", limit=1) == through_a[:1]


def test_a_filter_can_make_a_longer_length_the_shortest() -> None:
    longer = ("LISTENED", "PERFORMED_BY", "PERFORMED_BY")
    found = shortest(["User:u"], "Song:t", metapaths=frozenset([longer, ("LISTENED", "KNOWS")]))
    assert [(p.num_hops, p.relations) for p in found] == [(3, longer)]
    assert shortest(["User:u"], "Song:t", metapaths=frozenset()) == []


def test_the_filter_comes_before_the_limit() -> None:
    """The walk through the cheapest inner nodes does not conform; a dearer one does."""
    rows = [
        ("User:u", "LISTENED", "Song:a", 1.0),
        ("Song:a", "SIMILAR_TO", "Song:b", 1.0),
        ("Song:b", "SIMILAR_TO", "Song:t", 1.0),
        ("User:u", "LISTENED", "Song:c", 1.0),
        ("Song:c", "HAS_GENRE", "Genre:g", 1.0),
        ("Song:t", "HAS_GENRE", "Genre:g", 1.0),
        ("Song:more", "HAS_GENRE", "Genre:g", 1.0),
    ]
    graph = graph_of(rows)
    start = np.array([graph.index(Node("User", "u"))])
    wanted = ("LISTENED", "HAS_GENRE", "HAS_GENRE")
    finder = PathFinder(graph, start, 3, [wanted])
    found = finder.shortest(graph.index(Node("Song", "t")), limit=1)
    assert [p.relations for p in found] == [wanted]


def test_targets_out_of_reach_have_no_path() -> None:
    assert shortest(["User:u"], "Song:alone") == []
    assert shortest(["User:u"], "Song:far") == []  # four hops
    assert shortest(["User:u"], "Song:t", max_hops=1) == []
    assert shortest([], "Song:t") == []
    assert shortest(["Song:alone"], "Song:t") == []


def test_an_anchor_has_no_path_to_itself_nor_through_another_anchor() -> None:
    assert shortest(["User:u", "Song:t"], "Song:t") == []
    nearest = shortest(["User:u", "Artist:x"], "Song:t")
    assert nearest == [path("Artist:x", "PERFORMED_BY", "Song:t")]


def test_one_finder_answers_many_targets_like_fresh_ones() -> None:
    start = np.array([LADDER.index(Node("User", "u"))])
    finder = PathFinder(LADDER, start)
    targets = [*range(LADDER.num_nodes), *reversed(range(LADDER.num_nodes))]
    for target in targets:
        assert finder.shortest(target, 3) == PathFinder(LADDER, start).shortest(target, 3)


@pytest.mark.parametrize("max_hops", [0, 4])
def test_lengths_that_are_not_supported_are_refused(max_hops: int) -> None:
    with pytest.raises(InputError, match=f"max_hops={max_hops}.*Allowed: 1, 2, 3"):
        shortest(["User:u"], "Song:t", max_hops=max_hops)
