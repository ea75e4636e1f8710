from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats
from worlds import NOTHING

from musicrag.contracts import FeatureMatrix
from musicrag.features.taste import TasteSpace, fit_taste_space
from musicrag.types import BoolArray, InputError

NUM_ITEMS, NUM_PROFILES, WIDTH = 80, 40, 5


def matrix(values: np.ndarray, present: BoolArray | None = None) -> FeatureMatrix:
    there = np.ones(len(values), dtype=bool) if present is None else present
    values = np.where(there[:, None], values, 0.0).astype(np.float32)
    return FeatureMatrix(values, there, tuple(f"f{n}" for n in range(values.shape[1])), "planted")


def planted(strength: float, seed: int = 0) -> tuple[np.ndarray, sparse.csr_matrix, np.ndarray]:
    """Features, train and taste: profiles choose items whose hidden taste is near their own."""
    rng = np.random.default_rng(seed)
    taste, wish = rng.normal(size=NUM_ITEMS), rng.normal(size=NUM_PROFILES)
    liking = -((taste[None, :] - wish[:, None]) ** 2) + rng.gumbel(
        0, 0.5, (NUM_PROFILES, NUM_ITEMS)
    )
    train = np.zeros((NUM_PROFILES, NUM_ITEMS))
    np.put_along_axis(train, np.argsort(-liking, axis=1)[:, :8], 1.0, axis=1)
    values = rng.normal(size=(NUM_ITEMS, WIDTH))
    values += strength * taste[:, None] * np.array([2.0, 1.0, 0, 0, 0])
    return values, sparse.csr_matrix(train), taste


def fitted(values: FeatureMatrix, train: sparse.csr_matrix, seed: int = 0) -> TasteSpace:
    return fit_taste_space("audio", values, train, np.random.default_rng(seed))


def test_the_planted_direction_is_kept_and_comes_first() -> None:
    values, train, taste = planted(strength=1.0)
    space = fitted(matrix(values), train)
    assert space.num_directions >= 1
    assert (np.diff(space.signal) <= 0).all()
    assert abs(np.corrcoef(space.items[:, 0], taste)[0, 1]) > 0.85
    assert space.signal[0] > 1.0


def test_the_query_vector_ranks_the_right_items_first() -> None:
    values, train, taste = planted(strength=2.0)
    space = fitted(matrix(values), train)
    vectors = space.item_vectors()
    gaps = []
    for profile in range(NUM_PROFILES):
        history = train[profile].indices.astype(np.int64)
        scores = vectors @ space.query_vector(history)
        wish = taste[history].mean()
        best, worst = np.argsort(-scores)[:8], np.argsort(scores)[:8]
        gaps.append(np.abs(taste[worst] - wish).mean() - np.abs(taste[best] - wish).mean())
    assert np.mean(gaps) > 1.0
    assert np.mean(np.array(gaps) > 0) == 1.0


@pytest.mark.parametrize("num_known", [1, 2, 7])
def test_the_inner_product_is_the_log_likelihood_ratio(num_known: int) -> None:
    rng = np.random.default_rng(num_known)
    signal = np.array([3.0, 0.7, 0.05])
    items = rng.normal(0, 1.5, (30, 3)).astype(np.float32)
    space = TasteSpace(items, signal, np.ones(30, dtype=bool))
    history = rng.choice(30, num_known, replace=False)
    expected = np.zeros(30)
    for direction, e in enumerate(signal):
        z = items[:, direction].astype(np.float64)
        # Items of one listener share a taste of variance e, and each has its own noise.
        alone = stats.multivariate_normal(cov=e * np.ones((num_known,) * 2) + np.eye(num_known))
        size = num_known + 1
        joint = stats.multivariate_normal(cov=e * np.ones((size, size)) + np.eye(size))
        anybody = stats.norm(scale=np.sqrt(e + 1))
        with_new = np.column_stack([np.tile(z[history], (30, 1)), z])
        expected += joint.logpdf(with_new) - alone.logpdf(z[history]) - anybody.logpdf(z)
    found = space.item_vectors() @ space.query_vector(history)
    constant = expected - found
    np.testing.assert_allclose(constant, constant[0], atol=1e-4)
    assert np.std(expected) > 0.1


def noise(seed: int) -> tuple[FeatureMatrix, sparse.csr_matrix]:
    rng = np.random.default_rng(seed)
    train = sparse.csr_matrix((rng.random((NUM_PROFILES, 60)) < 0.12).astype(np.float64))
    return matrix(rng.normal(size=(60, WIDTH))), train


def test_pure_noise_seldom_keeps_a_direction() -> None:
    kept = [fitted(*noise(seed), seed=seed).num_directions > 0 for seed in range(400)]
    # The cut promises at most 5 %, so 20 of 400; interpolating it gave 38.
    assert sum(kept) <= 28


def test_rows_without_data_are_zero_and_leave_the_others_as_they_were() -> None:
    values, train, _ = planted(strength=2.0)
    present = np.arange(NUM_ITEMS) % 4 != 0
    space = fitted(matrix(values, present), train)
    wild = fitted(FeatureMatrix(np.where(present[:, None], values, 99.0).astype(np.float32),
                                present, tuple("abcde"), "planted"), train)  # fmt: skip
    assert space.num_directions >= 1
    for rows in (space.items, space.item_vectors(), space.scaled()):
        assert not rows[~present].any()
        assert rows[present].any(axis=1).all()
    np.testing.assert_array_equal(space.items, wild.items)


def test_item_vectors_of_absent_rows_are_zero_whatever_stands_there() -> None:
    space = TasteSpace(np.ones((2, 2), dtype=np.float32), np.ones(2), np.array([True, False]))
    np.testing.assert_array_equal(space.item_vectors(), [[1, 1, 1, 1], [0, 0, 0, 0]])


def test_a_history_without_data_gives_a_zero_vector() -> None:
    values, train, _ = planted(strength=2.0)
    present = np.arange(NUM_ITEMS) % 4 != 0
    space = fitted(matrix(values, present), train)
    assert not space.query_vector(NOTHING).any()
    assert not space.query_vector(np.array([0, 4, 8])).any()
    mixed, known = space.query_vector(np.array([0, 1, 2, 4])), space.query_vector(np.array([1, 2]))
    np.testing.assert_array_equal(mixed, known)
    assert mixed.any()


def test_scaled_items_are_as_long_as_their_direction_is_telling() -> None:
    space = TasteSpace(np.ones((2, 2), dtype=np.float32), np.array([4.0, 0.25]), np.ones(2, bool))
    np.testing.assert_allclose(space.scaled(), [[2.0, 0.5], [2.0, 0.5]])


def test_the_same_generator_gives_the_same_space() -> None:
    values, train, _ = planted(strength=1.0)
    one, again = (fitted(matrix(values), train, seed=5) for _ in range(2))
    assert one.items.tobytes() == again.items.tobytes()
    assert one.signal.tobytes() == again.signal.tobytes()


def test_weights_and_stored_zeros_of_train_do_not_count() -> None:
    values, train, _ = planted(strength=1.0)
    weighted = train.copy()
    weighted.data = np.random.default_rng(0).uniform(1, 50, len(weighted.data))
    pairs, absent = train.tocoo(), np.flatnonzero(train[0].toarray() == 0)[0]
    cells = np.append(pairs.row, 0), np.append(pairs.col, absent)
    spare = sparse.csr_matrix((np.append(pairs.data, 0.0), cells), shape=train.shape)
    assert spare.nnz == train.nnz + 1
    np.testing.assert_array_equal(
        fitted(matrix(values), weighted).items, fitted(matrix(values), train).items
    )
    np.testing.assert_array_equal(
        fitted(matrix(values), spare).items, fitted(matrix(values), train).items
    )


ROWS = np.random.default_rng(0).normal(size=(6, 3))
FULL = sparse.csr_matrix(np.ones((4, 6)))


@pytest.mark.parametrize(
    ("values", "train"),
    [
        (matrix(ROWS[:1]), sparse.csr_matrix(np.ones((4, 1)))),  # one item
        (matrix(ROWS), sparse.csr_matrix(np.eye(6))),  # every profile has one item
        (matrix(ROWS), sparse.csr_matrix((4, 6))),  # nobody chose anything
        (matrix(np.ones((6, 3))), FULL),  # constant features
        (matrix(ROWS, np.zeros(6, dtype=bool)), FULL),  # no item has data
        (matrix(ROWS, np.arange(6) == 2), FULL),  # one item has data
        (matrix(ROWS), FULL),  # everybody chose everything
    ],
)
def test_data_that_tell_nothing_give_no_direction(
    values: FeatureMatrix, train: sparse.csr_matrix
) -> None:
    space = fitted(values, train)
    assert space.num_directions == 0
    assert space.items.shape == (len(values.present), 0)
    assert space.query_vector(np.array([0])).shape == (0,)


def test_choices_that_agree_exactly_are_a_signal_not_an_error() -> None:
    values = np.repeat(np.eye(3), 10, axis=0)  # three kinds of items, all alike within
    train = np.kron(np.eye(3), np.ones((4, 10)))
    space = fitted(matrix(values), sparse.csr_matrix(train))
    assert space.num_directions == 2
    scores = space.item_vectors() @ space.query_vector(np.array([10, 11]))
    assert set(np.argsort(-scores, kind="stable")[:10]) == set(range(10, 20))
    assert np.isfinite(space.items).all()


@pytest.mark.parametrize("width", [3, 100])  # fewer and more features than items
def test_the_items_of_the_fit_are_placed_where_they_are(width: int) -> None:
    values, train, _ = planted(strength=2.0)
    more = np.random.default_rng(1).normal(size=(NUM_ITEMS, width)) * 3 + 7
    values = np.hstack([values, more])
    present = np.arange(NUM_ITEMS) % 4 != 0
    known = matrix(values, present)
    space = fitted(known, train)
    assert space.num_directions >= 1
    placed = space.place(known)
    np.testing.assert_allclose(placed.items, space.items, atol=1e-5)
    assert placed.items.dtype == np.float32
    assert placed.present is known.present
    np.testing.assert_array_equal(placed.signal, space.signal)
    some = FeatureMatrix(known.values[5:9], known.present[5:9], known.names, "planted")
    np.testing.assert_allclose(space.place(some).items, space.items[5:9], atol=1e-5)


def test_new_items_are_placed_by_their_taste() -> None:
    values, train, taste = planted(strength=2.0)
    space = fitted(matrix(values), train)
    wish = np.linspace(-2, 2, 30)
    new = np.random.default_rng(1).normal(size=(30, WIDTH))
    new += 2.0 * wish[:, None] * np.array([2.0, 1.0, 0, 0, 0])
    placed = space.place(matrix(new))
    sign = np.sign(np.corrcoef(space.items[:, 0], taste)[0, 1])
    assert sign * np.corrcoef(placed.items[:, 0], wish)[0, 1] > 0.9


def test_a_space_that_was_not_fitted_places_nothing() -> None:
    space = TasteSpace(np.ones((2, 2), dtype=np.float32), np.ones(2), np.ones(2, bool))
    with pytest.raises(InputError, match="made without features"):
        space.place(matrix(np.ones((2, 2))))


def test_a_space_without_directions_places_items_nowhere() -> None:
    space = fitted(matrix(ROWS, np.zeros(6, dtype=bool)), FULL)
    assert space.place(matrix(ROWS)).items.shape == (6, 0)
