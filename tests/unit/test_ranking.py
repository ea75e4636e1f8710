from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from musicrag.evaluation import ranking
from musicrag.evaluation.ranking import rank_items
from musicrag.types import InputError

VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 1e-9, 2.0, -3.0, np.inf, -np.inf, 1e39])
MATRIX = hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=VALUES)


def by_sorting(scores: np.ndarray, exclude: np.ndarray, k: int) -> np.ndarray:
    ranked = np.full((len(scores), k), -1)
    for row, (values, is_out) in enumerate(zip(scores, exclude, strict=True)):
        with np.errstate(over="ignore"):
            pairs = [(np.float32(v), i) for i, v in enumerate(values) if not is_out[i]]
        best = [i for v, i in sorted(pairs, reverse=True) if v > -np.inf][:k]
        ranked[row, : len(best)] = best
    return ranked


@settings(max_examples=300, deadline=None)
@given(MATRIX, st.data())
def test_ranking_equals_a_full_sort(scores: np.ndarray, data: st.DataObject) -> None:
    exclude = data.draw(hnp.arrays(np.bool_, scores.shape))
    k = data.draw(st.integers(1, scores.shape[1]))
    expected = by_sorting(scores, exclude, k)
    np.testing.assert_array_equal(rank_items(scores, exclude, k), expected)
    np.testing.assert_array_equal(rank_items(scores, sparse.csr_matrix(exclude), k), expected)


def test_blocks_do_not_change_the_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, (37, 50)).astype(np.float32)
    exclude = sparse.random(37, 50, density=0.2, format="csr", random_state=rng)
    whole = rank_items(scores, exclude, 10)
    monkeypatch.setattr(ranking, "_CELLS_PER_BLOCK", 200)  # four rows a block
    np.testing.assert_array_equal(rank_items(scores, exclude, 10), whole)
    np.testing.assert_array_equal(whole, by_sorting(scores, exclude.toarray() > 0, 10))


def test_scores_of_the_caller_stay_as_they_are() -> None:
    scores = np.ones((2, 3), dtype=np.float32)
    rank_items(scores, np.ones((2, 3), dtype=bool), 2)
    assert (scores == 1).all()


def test_stored_zeros_are_excluded_too() -> None:
    stored = sparse.csr_matrix((np.array([0.0]), np.array([2]), np.array([0, 1])), shape=(1, 3))
    assert rank_items(np.zeros((1, 3)), stored, 3).tolist() == [[1, 0, -1]]


@pytest.mark.parametrize("k", [0, -1, 4])
def test_cutoff_outside_the_catalogue_is_refused(k: int) -> None:
    with pytest.raises(InputError, match=f"k={k} .*catalogue of 3.*between 1 and 3"):
        rank_items(np.zeros((1, 3)), None, k)


def test_bad_scores_are_refused() -> None:
    with pytest.raises(InputError, match="item index 1 in row 0 is NaN"):
        rank_items(np.array([[0.0, np.nan]]), None, 1)
    with pytest.raises(InputError, match="must agree"):
        rank_items(np.zeros((1, 3)), np.zeros((2, 3), dtype=bool), 1)
    with pytest.raises(InputError, match="num_queries, num_items"):
        rank_items(np.zeros(3), None, 1)
