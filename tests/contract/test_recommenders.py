"""Every baseline obeys the Recommender protocol: the same suite over all of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from musicrag.baselines.interactions import Baseline
from musicrag.baselines.registry import BASELINES, build
from musicrag.types import InputError

# ``build`` with settings that suit a tiny matrix; a new baseline needs at most a row here.
SMALL = {"ials": {"embedding_dim": 2, "l2": 0.1}}
PERSONAL = sorted(set(BASELINES) - {"popularity"})  # the same list for all knows no blocks

every_baseline = pytest.mark.parametrize("name", sorted(BASELINES))


def small(name: str) -> Baseline:
    return build(name, SMALL.get(name))


def blocks() -> sparse.csr_matrix:
    """Two groups of 10 profiles; each likes its own 8 items, 6 of them seen. Play counts."""
    rng = np.random.default_rng(0)
    matrix = np.zeros((20, 16))
    for profile in range(20):
        own = 8 * (profile // 10)
        matrix[profile, own + rng.choice(8, 6, replace=False)] = rng.integers(1, 9999, 6)
    return sparse.csr_matrix(matrix)


def ragged() -> sparse.csr_matrix:
    """More items than profiles, with empty rows and columns."""
    rng = np.random.default_rng(1)
    matrix = sparse.random(30, 70, density=0.1, format="lil", random_state=rng)
    matrix[3], matrix[:, 5] = 0, 0
    return matrix.tocsr()


def fitted(name: str, train: sparse.csr_matrix, seed: int = 0) -> Baseline:
    model = small(name)
    model.fit(train, np.random.default_rng(seed))
    return model


@pytest.mark.parametrize("name", PERSONAL)
def test_unseen_items_of_the_own_block_come_first(name: str) -> None:
    train = blocks()
    scores = fitted(name, train).score(np.arange(20))
    scores[train.toarray() > 0] = -np.inf
    best_two = np.argsort(-scores, axis=1)[:, :2]
    np.testing.assert_array_equal(best_two // 8, np.repeat([0, 1], 10)[:, None] * [1, 1])


@every_baseline
@pytest.mark.parametrize("train", [blocks(), ragged(), ragged().T.tocsr()])
def test_scores_are_finite_float32_for_every_row(name: str, train: sparse.csr_matrix) -> None:
    scores = fitted(name, train).score(np.arange(train.shape[0]))
    assert scores.shape == train.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


@every_baseline
@pytest.mark.parametrize("train", [blocks(), ragged(), ragged().T.tocsr()])
def test_a_batch_equals_its_single_rows(name: str, train: sparse.csr_matrix) -> None:
    model = fitted(name, train)
    rows = np.array([3, 0, 3, 7])
    singles = np.vstack([model.score(rows[n : n + 1]) for n in range(len(rows))])
    np.testing.assert_allclose(model.score(rows), singles, rtol=1e-5, atol=1e-6)
    assert model.score(np.array([], dtype=np.int64)).shape == (0, train.shape[1])


@every_baseline
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    train = ragged()
    first, second = (fitted(name, train, seed=7).score(np.arange(30)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@every_baseline
def test_weights_are_binarised_and_the_input_is_left_alone(name: str) -> None:
    train = blocks()
    train.data[0] = 0.0  # a stored zero is no interaction
    before = train.copy()
    binary = sparse.csr_matrix((train.toarray() > 0).astype(np.float64))
    weighted, plain = (fitted(name, x).score(np.arange(20)) for x in (train, binary))
    np.testing.assert_array_equal(weighted, plain)
    np.testing.assert_array_equal(train.data, before.data)
    assert train.nnz == before.nnz


@every_baseline
@pytest.mark.parametrize("num_items", [1, 5])
@pytest.mark.parametrize("num_profiles", [1, 2])
def test_the_smallest_matrices_work(name: str, num_profiles: int, num_items: int) -> None:
    for train in (np.zeros((num_profiles, num_items)), np.eye(num_profiles, num_items)):
        scores = fitted(name, sparse.csr_matrix(train)).score(np.arange(num_profiles))
        assert scores.shape == (num_profiles, num_items)
        assert np.isfinite(scores).all()


@every_baseline
@pytest.mark.parametrize("row", [-1, 20])
def test_rows_that_were_not_fitted_are_refused(name: str, row: int) -> None:
    with pytest.raises(InputError, match="rows 0 to 19 were fitted"):
        fitted(name, blocks()).score(np.array([0, row]))


@every_baseline
def test_grids_hold_enough_settings_and_each_can_be_built(name: str) -> None:
    grid = BASELINES[name].grid
    for param, values in grid.items():
        for value in values:
            assert getattr(build(name, {param: value}), param) == value
    assert not grid or np.prod([len(values) for values in grid.values()]) >= 8


@every_baseline
def test_unknown_hyper_parameters_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="has no hyper-parameter 'nonsense'"):
        build(name, {"nonsense": 1})
    with pytest.raises(InputError, match=f"Did you mean '{name}'"):
        build(name[:-1])
    for param in BASELINES[name].grid:
        if param != "beta":
            with pytest.raises(InputError, match=param):
                build(name, {param: -1.0})
