"""Every channel obeys the Channel protocol: the same suite over all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from worlds import NOTHING, Pairs, graph_of, pairs

from musicrag.contracts import Query
from musicrag.features.taste import TasteSpace
from musicrag.retrieval.channels import (
    Bm25Channel,
    Channel,
    ContentChannel,
    GraphVectorChannel,
    WalkChannel,
)
from musicrag.types import Node

CHANNELS: dict[str, Callable[[Pairs], Channel]] = {
    "gnn": lambda world: GraphVectorChannel(world.profiles, world.items),
    "content_audio": lambda world: ContentChannel("audio", world.space),
    "bm25": lambda world: Bm25Channel(world.texts),
    "walk": lambda world: WalkChannel(world.graph, world.item_nodes, num_steps=3),
}
WORLD = pairs()
NUM_ITEMS = len(WORLD.item_nodes)
NOBODY = Query("text:q", -1, "", NOTHING, NOTHING, NOTHING)

every_channel = pytest.mark.parametrize("name", sorted(CHANNELS))


def channel(name: str) -> Channel:
    return CHANNELS[name](WORLD)


@every_channel
def test_the_planted_item_comes_first(name: str) -> None:
    made = channel(name)
    assert made.name == name
    found = made.search(WORLD.queries, 3)
    assert found.item_idx[:, 0].tolist() == [2 * q + 1 for q in range(len(WORLD.queries))]


@every_channel
def test_shapes_types_and_order_are_as_promised(name: str) -> None:
    found = channel(name).search(WORLD.queries, 7)
    assert found.item_idx.shape == found.scores.shape == (len(WORLD.queries), 7)
    assert (found.item_idx.dtype, found.scores.dtype) == (np.int64, np.float32)
    assert found.item_idx.max() < NUM_ITEMS
    for items, scores in zip(found.item_idx, found.scores, strict=True):
        there = items >= 0
        assert (np.diff(scores[there]) <= 0).all()
        assert len(set(items[there])) == there.sum()


@every_channel
def test_a_batch_equals_its_single_queries(name: str) -> None:
    made = channel(name)
    rng = np.random.default_rng(0)
    queries = [
        replace(query, exclude=rng.choice(NUM_ITEMS, rng.integers(0, 9), replace=False))
        for query in [*WORLD.queries, NOBODY, *WORLD.queries]
    ]
    whole = made.search(queries, 6)
    for row, query in enumerate(queries):
        single = made.search([query], 6)
        np.testing.assert_array_equal(single.item_idx[0], whole.item_idx[row])
        np.testing.assert_allclose(single.scores[0], whole.scores[row], rtol=1e-5, atol=1e-5)


@every_channel
def test_excluded_items_never_come_back_and_others_move_up(name: str) -> None:
    made = channel(name)
    free = made.search([replace(query, exclude=NOTHING) for query in WORLD.queries], 8)
    excluding = [
        replace(query, exclude=items[[0, 2]])
        for query, items in zip(WORLD.queries, free.item_idx, strict=True)
    ]
    found = made.search(excluding, 6)
    for before, after in zip(free.item_idx, found.item_idx, strict=True):
        assert after[after >= 0].tolist() == [i for i in before[[1, 3, 4, 5, 6, 7]] if i >= 0]


@every_channel
def test_more_than_the_catalogue_is_padded_at_the_end(name: str) -> None:
    k = 3 * NUM_ITEMS
    found = channel(name).search(WORLD.queries, k)
    assert found.item_idx.shape == (len(WORLD.queries), k)
    for items, scores in zip(found.item_idx, found.scores, strict=True):
        count = int((items >= 0).sum())
        assert 0 < count < NUM_ITEMS
        assert (items[:count] >= 0).all()
        assert (items[count:] == -1).all()
        assert (scores[count:] == 0).all()


@every_channel
def test_an_item_without_data_is_never_returned(name: str) -> None:
    found = channel(name).search(WORLD.queries, NUM_ITEMS)
    assert NUM_ITEMS - 1 not in found.item_idx


@every_channel
def test_a_query_that_cannot_be_answered_gets_an_empty_row(name: str) -> None:
    found = channel(name).search([WORLD.queries[0], NOBODY], 4)
    assert found.item_idx[0, 0] >= 0
    assert found.item_idx[1].tolist() == [-1] * 4
    assert found.scores[1].tolist() == [0.0] * 4


@every_channel
def test_an_empty_batch_gives_an_empty_answer(name: str) -> None:
    found = channel(name).search([], 4)
    assert found.item_idx.shape == found.scores.shape == (0, 4)
    assert (found.item_idx.dtype, found.scores.dtype) == (np.int64, np.float32)


@every_channel
def test_the_same_input_gives_the_same_bytes(name: str) -> None:
    one, again = (channel(name).search(WORLD.queries, 9) for _ in range(2))
    assert one.item_idx.tobytes() == again.item_idx.tobytes()
    assert one.scores.tobytes() == again.scores.tobytes()


def alike(num_items: int) -> Pairs:
    """All items but the first are alike in everything; the query knows the first."""
    vectors = np.array([[1, 0], *num_items * [[0.6, 0.8]]], dtype=np.float32)
    songs = [f"Song:s{item:03d}" for item in range(num_items + 1)]
    rows = [("User:u", "LISTENED", songs[0], 1.0)]
    rows += [(song, "HAS_GENRE", "Genre:g", 1.0) for song in songs]
    graph = graph_of(rows)
    anchor = np.array([graph.index(Node("User", "u"))])
    return Pairs(
        graph,
        np.array([graph.index(Node.parse(song)) for song in songs]),
        ["rain song", *num_items * ["rain"]],
        TasteSpace(5 * vectors, np.ones(2), np.ones(num_items + 1, dtype=bool)),
        vectors[:1],
        vectors,
        [Query("user:u", 0, "rain", anchor, *2 * [np.array([0])])],
    )


@every_channel
@pytest.mark.parametrize("batch", [1, 40])
def test_ties_go_to_the_higher_item_index(name: str, batch: int) -> None:
    world = alike(num_items=150)
    found = CHANNELS[name](world).search(world.queries * batch, 150)
    assert found.item_idx.tolist() == batch * [list(range(150, 0, -1))]


@pytest.mark.parametrize("name", ["bm25", "walk"])  # FAISS keeps any of the tied at its cut
@pytest.mark.parametrize("k", [1, 4])
def test_ties_at_the_cut_go_to_the_higher_item_index(name: str, k: int) -> None:
    world = alike(num_items=150)
    found = CHANNELS[name](world).search(world.queries, k)
    assert found.item_idx.tolist() == [list(range(150, 150 - k, -1))]


def test_a_catalogue_without_words_answers_nothing() -> None:
    found = Bm25Channel(["", "", ""]).search(WORLD.queries[:2], 2)
    assert (found.item_idx == -1).all()


def test_words_that_no_item_has_find_nothing() -> None:
    found = channel("bm25").search([replace(NOBODY, text="unheard of")], 2)
    assert found.item_idx.tolist() == [[-1, -1]]


def test_vectors_of_nobody_find_nothing() -> None:
    empty = GraphVectorChannel(WORLD.profiles, np.zeros_like(WORLD.items))
    assert (empty.search(WORLD.queries, 2).item_idx == -1).all()


def test_walk_scores_equal_powers_of_the_transition_matrix() -> None:
    graph, query = WORLD.graph, replace(WORLD.queries[3], exclude=NOTHING)
    near = graph.adjacency
    step = np.zeros((graph.num_nodes, graph.num_nodes))
    for node in range(graph.num_nodes):
        for other in near.neighbour[near.indptr[node] : near.indptr[node + 1]]:
            step[node, other] += 1 / near.degree[node]
    start = np.zeros(graph.num_nodes)
    start[query.anchors] = 1 / len(query.anchors)
    expected = sum(0.5**h * start @ np.linalg.matrix_power(step, h) for h in (1, 2, 3))
    made = WalkChannel(graph, WORLD.item_nodes, num_steps=3, damping=0.5)
    found = made.search([query], NUM_ITEMS)
    there = found.item_idx[0] >= 0
    items = found.item_idx[0][there]
    np.testing.assert_allclose(found.scores[0][there], expected[WORLD.item_nodes[items]], rtol=1e-5)
    assert len(items) == (expected[WORLD.item_nodes] > 0).sum()


def test_walks_of_many_queries_are_the_same_in_every_chunk() -> None:
    queries = WORLD.queries * 20
    found = channel("walk").search(queries, 5)
    rows = found.item_idx.reshape(20, len(WORLD.queries), 5)
    assert (rows == rows[0]).all()
