from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from musicrag.retrieval.channels import Candidates
from musicrag.retrieval.fusion import Fusion, fuse, pool, tune_weights
from musicrag.types import FloatArray, IntArray

NUM_ITEMS = 30
every_fusion = pytest.mark.parametrize("fusion", ["convex", "rrf"])


def candidates(rng: np.random.Generator, num_queries: int, k: int) -> Candidates:
    """Random lists, best first, of random length: some empty, scores with ties."""
    items = np.full((num_queries, k), -1, dtype=np.int64)
    scores = np.zeros((num_queries, k), dtype=np.float32)
    for row in range(num_queries):
        count = rng.integers(0, k + 1)
        items[row, :count] = rng.choice(NUM_ITEMS, count, replace=False)
        scores[row, :count] = np.sort(rng.integers(0, 5, count))[::-1]
    return Candidates(items, scores)


def naive(
    channels: list[Candidates], weights: FloatArray, row: int, fusion: Fusion
) -> dict[int, float]:
    """Fused score of every item of the union, by dictionaries."""
    lists = [
        {int(i): float(s) for i, s in zip(c.item_idx[row], c.scores[row], strict=True) if i >= 0}
        for c in channels
    ]
    fused = dict.fromkeys((item for members in lists for item in members), 0.0)
    for members, weight in zip(lists, weights, strict=True):
        if fusion == "rrf":
            value = {item: 1 / (60 + rank) for rank, item in enumerate(members, start=1)}
            lowest = 0.0
        else:
            mean = sum(members.values()) / max(len(members), 1)
            variance = sum((s - mean) ** 2 for s in members.values()) / max(len(members), 1)
            value = {
                item: (s - mean) / math.sqrt(variance) if variance else 0.0
                for item, s in members.items()
            }
            lowest = min(value.values(), default=0.0) if variance or not members else -1.0
        for item in fused:
            fused[item] += float(weight) * value.get(item, lowest)
    return fused


@every_fusion
@pytest.mark.parametrize("seed", range(10))
def test_fusion_equals_a_naive_one(fusion: Fusion, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = [candidates(rng, 12, k) for k in (5, 9, 1)]
    weights = rng.choice((0.0, 0.1, 0.25, 0.5, 1.0, 2.0), 3).astype(np.float32)
    united = pool(channels, fusion)
    items, scores = fuse(united, weights, 8)
    assert items.shape == scores.shape == (12, 8)
    assert (np.diff(united.item_idx, axis=1)[united.item_idx[:, 1:] >= 0] < 0).all()
    for row in range(12):
        expected = naive(channels, weights, row, fusion)
        there = items[row] >= 0
        assert there.sum() == min(8, len(expected))
        assert (items[row] == np.where(there, items[row], -1)).all()
        assert np.isneginf(scores[row][~there]).all()
        found = dict(zip(items[row][there].tolist(), scores[row][there].tolist(), strict=True))
        assert found == pytest.approx({item: expected[item] for item in found}, abs=1e-5)
        left_out = [value for item, value in expected.items() if item not in found]
        assert max(left_out, default=-math.inf) <= min(found.values(), default=math.inf) + 1e-5
        assert (np.diff(scores[row][there]) <= 0).all()


@every_fusion
def test_ties_go_to_the_higher_item_index(fusion: Fusion) -> None:
    one = Candidates(np.array([[4, 9]]), np.array([[1.0, 0.0]], dtype=np.float32))
    other = Candidates(np.array([[9, 4]]), np.array([[1.0, 0.0]], dtype=np.float32))
    items, scores = fuse(pool([one, other], fusion), np.ones(2, dtype=np.float32), 2)
    assert items.tolist() == [[9, 4]]
    assert scores[0, 0] == scores[0, 1]


@every_fusion
def test_the_only_item_of_a_channel_beats_those_it_did_not_return(fusion: Fusion) -> None:
    single = Candidates(np.array([[2, -1, -1]]), np.array([[0.7, 0, 0]], dtype=np.float32))
    silent = Candidates(np.array([[9, 5, 7]]), np.array([[3.0, 2, 1]], dtype=np.float32))
    weights = np.array([1.0, 0.0], dtype=np.float32)
    assert fuse(pool([single, silent], fusion), weights, 2)[0].tolist() == [[2, 9]]


@every_fusion
def test_the_order_of_channels_does_not_matter(fusion: Fusion) -> None:
    rng = np.random.default_rng(0)
    channels = [candidates(rng, 20, 6) for _ in range(2)]
    weights = np.array([0.5, 2.0], dtype=np.float32)
    one = fuse(pool(channels, fusion), weights, 9)[0]
    other = fuse(pool(channels[::-1], fusion), weights[::-1], 9)[0]
    np.testing.assert_array_equal(one, other)


@every_fusion
def test_lists_without_items_give_an_empty_ranking(fusion: Fusion) -> None:
    nothing = Candidates(np.full((2, 3), -1), np.zeros((2, 3), dtype=np.float32))
    items, scores = fuse(pool([nothing, nothing], fusion), np.ones(2, dtype=np.float32), 4)
    assert (items == -1).all()
    assert np.isneginf(scores).all()
    no_queries = Candidates(np.empty((0, 3), dtype=np.int64), np.empty((0, 3), dtype=np.float32))
    assert fuse(pool([no_queries], fusion), np.ones(1, dtype=np.float32), 4)[0].shape == (0, 4)


def test_units_of_a_channel_do_not_matter_to_convex_fusion() -> None:
    rng = np.random.default_rng(3)
    one, other = (candidates(rng, 20, 6) for _ in range(2))
    scaled = Candidates(other.item_idx, other.scores * 1000 - 7)
    weights = np.array([1.0, 0.5], dtype=np.float32)
    found = [fuse(pool([one, two], "convex"), weights, 6)[0] for two in (other, scaled)]
    np.testing.assert_array_equal(*found)


def answers(wanted: IntArray) -> sparse.csr_matrix:
    """Relevance with one wanted item for each query."""
    rows = np.arange(len(wanted))
    return sparse.csr_matrix((np.ones(len(wanted)), (rows, wanted)), shape=(len(wanted), NUM_ITEMS))


class Hits:
    """Share of queries whose item stands among the first three."""

    def __init__(self, wanted: IntArray) -> None:
        self.wanted = wanted

    def __call__(self, ranked: IntArray) -> float:
        return float((ranked[:, :3] == self.wanted[:, None]).any(axis=1).mean())


def channel(rng: np.random.Generator, wanted: IntArray, share: float) -> Candidates:
    """A list of 20 items; in ``share`` of the queries the wanted item has the highest score."""
    items = np.array([rng.choice(NUM_ITEMS, 20, replace=False) for _ in wanted])
    knows = rng.random(len(wanted)) < share
    for row in np.flatnonzero(knows):
        others = items[row][items[row] != wanted[row]][:19]
        items[row] = [wanted[row], *np.resize(others, 19)] if len(others) == 19 else items[row]
    scores = np.tile(np.linspace(3, 0, 20, dtype=np.float32) ** 2, (len(wanted), 1))
    return Candidates(items, scores)


@every_fusion
def test_a_channel_of_pure_noise_keeps_weight_zero(fusion: Fusion) -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, NUM_ITEMS, 200)
    perfect, noise = channel(rng, wanted, share=1.0), channel(rng, wanted, share=0.0)
    for place in (0, 1):
        lists = [perfect, noise] if place == 0 else [noise, perfect]
        weights = tune_weights(pool(lists, fusion), answers(wanted), Hits(wanted), 10)
        assert weights[1 - place] == 0
        assert weights[place] > 0


def test_channels_that_know_different_things_are_both_used() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, NUM_ITEMS, 200)
    united = pool([channel(rng, wanted, 0.5), channel(rng, wanted, 0.5)], "convex")
    weights = tune_weights(united, answers(wanted), Hits(wanted), 10)
    assert (weights > 0).all()


@every_fusion
@pytest.mark.parametrize("seed", range(10))
def test_tuned_weights_are_never_worse_than_the_best_channel(fusion: Fusion, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.integers(0, NUM_ITEMS, 40)
    united = pool([channel(rng, wanted, share) for share in rng.random(3)], fusion)
    score = Hits(wanted)
    weights = tune_weights(united, answers(wanted), score, 10)
    alone = [score(fuse(united, row, 10)[0]) for row in np.eye(3, dtype=np.float32)]
    assert score(fuse(united, weights, 10)[0]) >= max(alone)
    assert weights.any()
    assert (weights >= 0).all()
    assert np.isfinite(weights).all()
