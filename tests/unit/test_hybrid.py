from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from worlds import NOTHING, blocks, pairs

from musicrag.contracts import Query
from musicrag.graph.paths import PathFinder
from musicrag.retrieval.channels import Bm25Channel, WalkChannel
from musicrag.retrieval.hybrid import HybridRetriever, by_type
from musicrag.types import IntArray

WORLD = pairs()
NUM = len(WORLD.queries)


def retriever(num_paths: int = 6, max_hops: int = 3) -> HybridRetriever:
    channels = [
        Bm25Channel(WORLD.texts),
        WalkChannel(WORLD.graph, WORLD.item_nodes, num_steps=3),
    ]
    return HybridRetriever(
        channels,
        WORLD.graph,
        WORLD.item_nodes,
        "convex",
        num_candidates=20,
        max_hops=max_hops,
        num_paths=num_paths,
        paths_per_item=2,
    )


def typed_queries() -> list[Query]:
    """Users, whose words mislead, and texts, whose anchors mislead, in turn."""
    queries = []
    for q, query in enumerate(WORLD.queries):
        other = WORLD.queries[(q + 1) % NUM]
        queries.append(replace(query, text=other.text))
        text = replace(query, query_id=f"text:{q}", profile_idx=-1, anchors=other.anchors)
        queries.append(replace(text, history=NOTHING))
    return queries


def answers(queries: Sequence[Query]) -> sparse.csr_matrix:
    """The pair of each query is what answers it."""
    wanted = [query.exclude[0] + 1 for query in queries]
    cells = (np.ones(len(wanted)), (np.arange(len(wanted)), wanted))
    return sparse.csr_matrix(cells, shape=(len(wanted), max(wanted) + 1))


def score(queries: Sequence[Query], ranked: IntArray) -> float:
    """Share of queries whose pair comes first."""
    wanted = np.array([query.exclude[0] + 1 for query in queries])
    return float((ranked[:, 0] == wanted).mean())


def test_answers_keep_the_order_of_queries_whatever_their_type() -> None:
    queries = typed_queries()
    shuffled = [queries[place] for place in np.random.default_rng(0).permutation(len(queries))]
    made = retriever()
    made.tune(queries, answers(queries), score, 5)
    found = made.retrieve(shuffled, 5)
    assert [ranking.query_id for ranking in found] == [query.query_id for query in shuffled]
    for query, ranking in zip(shuffled, found, strict=True):
        assert ranking.item_idx[0] == query.exclude[0] + 1
        assert not set(ranking.item_idx) & set(query.exclude)
        assert (np.diff(ranking.scores) <= 0).all()
        assert len(ranking.item_idx) == len(ranking.scores) <= 5


def test_weights_are_tuned_for_each_type_apart() -> None:
    made = retriever()
    made.tune(typed_queries(), answers(typed_queries()), score, 5)
    report = made.report()
    assert report["user"]["bm25"] == report["text"]["walk"] == 0.0
    assert min(report["user"]["walk"], report["text"]["bm25"]) > 0.0


def test_an_untuned_type_weighs_its_channels_equally() -> None:
    made = retriever()
    users = [query for query in typed_queries() if query.profile_idx >= 0]
    made.tune(users, answers(users), score, 5)
    assert set(made.weights) == {"user"}
    text = [query for query in typed_queries() if query.profile_idx < 0]
    again = retriever().retrieve(text, 5)
    for one, other in zip(made.retrieve(text, 5), again, strict=True):
        np.testing.assert_array_equal(one.item_idx, other.item_idx)


def test_a_batch_equals_its_single_queries() -> None:
    made, queries = retriever(), typed_queries()
    whole = made.retrieve(queries, 5)
    for query, ranking in zip(queries, whole, strict=True):
        single = made.retrieve([query], 5)[0]
        np.testing.assert_array_equal(single.item_idx, ranking.item_idx)
        np.testing.assert_array_equal(single.scores, ranking.scores)
        assert single.paths == ranking.paths


def test_no_queries_give_no_answers() -> None:
    assert retriever().retrieve([], 5) == []


@pytest.mark.parametrize("max_hops", [1, 2, 3])
def test_paths_lead_from_an_anchor_to_a_ranked_item_best_first(max_hops: int) -> None:
    made = retriever(max_hops=max_hops)
    num_paths = []
    for query, ranking in zip(WORLD.queries, made.retrieve(WORLD.queries, 5), strict=True):
        anchors = {WORLD.graph.node(int(anchor)) for anchor in query.anchors}
        items = [WORLD.graph.node(int(WORLD.item_nodes[i])) for i in ranking.item_idx]
        scores = [found.score for found in ranking.paths]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= 6
        assert len({found.path for found in ranking.paths}) == len(scores)
        for found in ranking.paths:
            assert WORLD.graph.has_path(found.path)
            assert found.path.num_hops <= max_hops
            assert found.path.nodes[0] in anchors
            assert found.path.target in items
        num_paths.append(len(scores))
    if max_hops == 3:
        assert min(num_paths) >= 1
    else:
        assert max(num_paths) == 0  # the pair is three hops away


def test_the_best_item_has_the_best_path() -> None:
    for ranking in retriever().retrieve(WORLD.queries, 5):
        assert ranking.paths[0].path.target.id == WORLD.graph.nodes["Song"].ids[ranking.item_idx[0]]
        assert ranking.paths[0].score == 1.0


def test_paths_of_many_items_are_ordered_by_rank_and_place_and_cut() -> None:
    world = blocks()
    known = world.train[0].indices.astype(np.int64)
    query = Query("user:u00", 0, "", world.profile_nodes[:1], known, known)
    walk = WalkChannel(world.graph, world.item_nodes, num_steps=3)
    made = HybridRetriever([walk], world.graph, world.item_nodes, "rrf", 20, 3, 7, 3)
    ranking = made.retrieve([query], 5)[0]
    items = [world.graph.node(int(world.item_nodes[i])) for i in ranking.item_idx]
    finder = PathFinder(world.graph, query.anchors)
    scores = {
        path: 1 / ((rank + 1) * (place + 1))
        for rank, item in enumerate(items)
        for place, path in enumerate(finder.shortest(world.graph.index(item), 3))
    }
    expected = sorted(scores, key=lambda path: (-scores[path], path))
    assert len(expected) > 7
    assert [found.path for found in ranking.paths] == expected[:7]
    assert [found.score for found in ranking.paths] == [scores[path] for path in expected[:7]]


def test_no_more_paths_come_than_asked_for() -> None:
    anchored = [replace(query, anchors=WORLD.queries[0].anchors) for query in WORLD.queries]
    wide = [
        replace(q, anchors=np.concatenate([o.anchors for o in WORLD.queries])) for q in anchored
    ]
    found = retriever(num_paths=3).retrieve(wide, 10)
    assert {len(ranking.paths) for ranking in found} == {3}


def test_a_text_without_profile_and_anchors_is_ranked_by_words_alone() -> None:
    query = Query("text:q", -1, "word3 common", NOTHING, NOTHING, NOTHING)
    ranking = retriever().retrieve([query], 4)[0]
    assert ranking.item_idx[:2].tolist() == [7, 6]  # both have the word; ties to the higher
    assert ranking.paths == ()
    silent = retriever().retrieve([replace(query, text="")], 4)[0]
    assert (len(silent.item_idx), silent.paths) == (0, ())


def test_queries_are_grouped_by_type_in_their_order() -> None:
    groups = by_type(typed_queries())
    assert list(groups) == ["user", "text"]
    assert [query.query_id for query in groups["text"]] == [f"text:{q}" for q in range(NUM)]
