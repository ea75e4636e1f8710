from __future__ import annotations

import itertools

import numpy as np
import pytest

from musicrag.evaluation import beyond
from musicrag.evaluation.beyond import beyond_accuracy
from musicrag.types import InputError

NUM_ITEMS, NUM_PROFILES, K = 40, 25, 8


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of 0 to 8 of 40 items; popularity with zeros; vectors, some missing."""
    rng = np.random.default_rng(0)
    ranked = np.full((30, K), -1)
    for row in ranked:
        size = rng.integers(0, K + 1)
        row[:size] = rng.choice(NUM_ITEMS, size, replace=False)
    ranked[0], ranked[1, 1:] = -1, -1
    vectors = rng.normal(size=(NUM_ITEMS, 5)).astype(np.float32)
    vectors[::7] = 0
    return ranked, rng.integers(0, NUM_PROFILES, NUM_ITEMS), vectors


def test_beyond_accuracy_equals_a_naive_reference(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    ranked, popularity, vectors = case
    values = beyond_accuracy(ranked, popularity, NUM_PROFILES, 5, vectors)
    lists = [[i for i in row[:5] if i >= 0] for row in ranked.tolist()]
    shown = [i for items in lists for i in items]
    bits = [[-np.log2((popularity[i] + 1) / (NUM_PROFILES + 1)) for i in s] for s in lists if s]
    counts = [shown.count(i) for i in range(NUM_ITEMS)]
    pairs = sum(abs(x - y) for x in counts for y in counts)
    distances = []
    for items in lists:
        known = [vectors[i] / np.linalg.norm(vectors[i]) for i in items if vectors[i].any()]
        if len(known) > 1:
            distances.append(np.mean([1 - x @ y for x, y in itertools.combinations(known, 2)]))
    assert values == pytest.approx(
        {
            "coverage@5": len(set(shown)) / NUM_ITEMS,
            "novelty@5": np.mean([np.mean(b) for b in bits]),
            "popularity@5": np.mean([np.mean(popularity[items]) for items in lists if items]),
            "gini@5": pairs / (2 * NUM_ITEMS * sum(counts)),
            "diversity@5": np.mean(distances),
        },
        rel=1e-5,
    )


def test_blocks_do_not_change_diversity(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked, _, vectors = case
    whole = beyond.intra_list_diversity(ranked, vectors)
    monkeypatch.setattr(beyond, "_CELLS_PER_BLOCK", 100)
    assert beyond.intra_list_diversity(ranked, vectors) == pytest.approx(whole, rel=1e-12)


def test_extremes() -> None:
    one_hit = np.zeros((50, 1), dtype=np.int64)
    assert beyond.gini(one_hit, 100) == pytest.approx(0.99)
    assert beyond.gini(np.arange(100).reshape(50, 2), 100) == pytest.approx(0.0)
    assert beyond.coverage(np.arange(100).reshape(50, 2), 100) == 1.0
    twins = np.ones((2, 3), dtype=np.float32)
    assert beyond.intra_list_diversity(np.array([[0, 1]]), twins) == pytest.approx(0.0, abs=1e-6)


def test_without_any_item_every_value_is_zero() -> None:
    nothing = np.full((3, 4), -1)
    values = beyond_accuracy(nothing, np.ones(5, int), 5, 4, np.ones((5, 2), np.float32))
    assert set(values.values()) == {0.0}


def test_bad_input_is_refused() -> None:
    ranked = np.zeros((2, 3), dtype=np.int64)
    with pytest.raises(InputError, match="k=4 must lie between 1"):
        beyond_accuracy(ranked, np.ones(5, int), 5, 4)
    with pytest.raises(InputError, match="4 item vectors for 5 items"):
        beyond_accuracy(ranked, np.ones(5, int), 5, 3, np.ones((4, 2), np.float32))
