from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from musicrag.evaluation.significance import compare, compare_differences, holm, interval
from musicrag.types import InputError

NUM_QUERIES, NUM_SEEDS, NUM_SIMULATIONS = 60, 5, 2000


def simulate(
    rng: np.random.Generator, spreads: tuple[float, float, float], effect: float = 0.0
) -> np.ndarray:
    """``d = effect + query + seed + cell``, ``[num_simulations, num_queries, num_seeds]``."""
    of_query, of_seed, of_cell = spreads
    return (
        effect
        + of_query * rng.normal(size=(NUM_SIMULATIONS, NUM_QUERIES, 1))
        + of_seed * rng.normal(size=(NUM_SIMULATIONS, 1, NUM_SEEDS))
        + of_cell * rng.normal(size=(NUM_SIMULATIONS, NUM_QUERIES, NUM_SEEDS))
    )


def share_found(differences: np.ndarray) -> float:
    """How often the 95 % interval leaves out 0, which is p < 0.05."""
    intervals = [interval(d) for d in differences]
    return float(np.mean([not found.low <= 0 <= found.high for found in intervals]))


@pytest.mark.parametrize(
    "spreads", [(1, 0, 0), (1, 0.3, 1), (1, 0.1, 1), (0.3, 0.3, 1), (0, 0, 1), (1, 0, 1), (1, 1, 1)]
)
def test_false_positives_stay_near_five_percent(spreads: tuple[float, float, float]) -> None:
    assert 0.005 < share_found(simulate(np.random.default_rng(1), spreads)) <= 0.062


def test_a_test_over_queries_alone_takes_training_noise_for_an_effect() -> None:
    differences = simulate(np.random.default_rng(1), (1, 0.3, 1))
    per_query = stats.ttest_1samp(differences.mean(axis=2), 0, axis=1).pvalue
    assert (per_query < 0.05).mean() > 0.12
    assert share_found(differences) < 0.06


def test_power_is_near_that_of_the_best_possible_test() -> None:
    spreads = (1.0, 0.1, 1.0)
    error = np.sqrt(1 / NUM_QUERIES + 0.01 / NUM_SEEDS + 1 / NUM_QUERIES / NUM_SEEDS)
    found = share_found(simulate(np.random.default_rng(2), spreads, effect=3 * error))
    known_variance = stats.norm.sf(1.96 - 3)  # 0.85
    assert 0.75 < found <= known_variance


def test_interval_covers_the_true_mean() -> None:
    values = simulate(np.random.default_rng(3), (1, 0.3, 1), effect=7.0)
    covered = [found.low <= 7 <= found.high for found in map(interval, values)]
    assert 0.94 < np.mean(covered) < 0.97


def test_model_by_hand() -> None:
    # Means of queries 1, 3; of seeds 1, 3; no interaction: V = 2/2 + 2/2 - 0, df = 4/(1 + 1).
    result = compare_differences(np.array([[0.0, 2.0], [2.0, 4.0]]), np.random.default_rng(0))
    t = 2 / np.sqrt(2)
    assert result.difference.mean == 2.0
    assert result.degrees_of_freedom == pytest.approx(2)
    assert result.p_value == pytest.approx(2 * stats.t.sf(t, 2))
    half_width = stats.t.ppf(0.975, 2) * np.sqrt(2)
    assert result.difference.high == pytest.approx(2 + half_width)
    assert result.difference.low == pytest.approx(2 - half_width)
    assert result.effect_size == pytest.approx(2 / np.sqrt(2))
    assert (result.difference.num_queries, result.difference.num_seeds) == (2, 2)


def test_variance_never_falls_below_that_of_queries_alone() -> None:
    # Rows of equal mean and a strong interaction: V_q + V_s - V_e would be negative.
    values = np.tile([[1.0, -1.0], [-1.0, 1.0]], (20, 1))
    values[0] += 0.5
    found = interval(values)
    of_queries = values.mean(axis=1).std(ddof=1) / np.sqrt(len(values))
    assert found.high - found.mean >= stats.t.ppf(0.975, len(values) - 1) * of_queries


def test_one_seed_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((30, 1)), rng.random((30, 1))
    result = compare(a, b, rng)
    expected = stats.ttest_rel(a[:, 0], b[:, 0])
    assert result.p_value == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert (result.difference.low, result.difference.high) == pytest.approx((low, high))
    assert result.degrees_of_freedom == 29


def test_compare_is_antisymmetric_and_ignores_order() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((20, 3)), rng.random((20, 3)) + 0.1
    forward, backward = (compare(x, y, np.random.default_rng(0)) for x, y in ((a, b), (b, a)))
    assert forward.difference.mean == -backward.difference.mean
    assert forward.effect_size == -backward.effect_size
    assert forward.p_value == backward.p_value
    order = rng.permutation(20)
    shuffled = compare(a[order][:, ::-1], b[order][:, ::-1], np.random.default_rng(0))
    assert shuffled.p_value == pytest.approx(forward.p_value)


def test_randomisation_equals_scipy() -> None:
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.4, 0.8):
        values = rng.normal(shift, 1, 12)
        exact = stats.permutation_test(
            (values, np.zeros(12)),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
        ).pvalue
        ours = compare_differences(values[:, None], rng, num_flips=40_000).p_randomisation
        assert ours == pytest.approx(exact, abs=4 * np.sqrt(exact / 40_000) + 1e-4)


def test_the_same_rng_gives_the_same_result() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, (50, 3))
    first, second = (compare_differences(values, np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_equal_systems_are_not_different() -> None:
    a = np.random.default_rng(0).random((10, 3))
    result = compare(a, a.copy(), np.random.default_rng(0))
    assert (result.p_value, result.p_randomisation, result.effect_size) == (1.0, 1.0, 0.0)
    assert (result.difference.low, result.difference.high) == (0.0, 0.0)


def test_a_constant_difference_is_judged_by_randomisation() -> None:
    a = np.random.default_rng(0).random((10, 3))
    result = compare(a + 0.1, a, np.random.default_rng(0))  # constant but for rounding
    assert result.p_value == result.p_randomisation == pytest.approx(2 / 2**10, abs=1e-3)
    assert result.effect_size == 0.0


def test_holm_by_hand() -> None:
    # Sorted: .005 x 4, .01 x 3, .03 x 2, .04 x 1 -> .02, .03, .06, then at least .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9, 0.6]) == pytest.approx([1.0, 1.0, 1.0])
    assert holm([0.02]) == pytest.approx([0.02])
    assert len(holm([])) == 0


def test_holm_rejects_what_the_stepwise_procedure_rejects() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        p = rng.random(8) ** 3
        rejected = np.zeros(8, dtype=bool)
        for step, place in enumerate(np.argsort(p)):
            if p[place] > 0.05 / (8 - step):
                break
            rejected[place] = True
        np.testing.assert_array_equal(holm(list(p)) <= 0.05, rejected)


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="cannot be paired"):
        compare(np.zeros((3, 2)), np.zeros((3, 1)), rng)
    with pytest.raises(InputError, match=r"at least 2 queries and 1 seed, got shape \(1, 2\)"):
        interval(np.zeros((1, 2)))
    with pytest.raises(InputError, match="num_queries, num_seeds"):
        interval(np.zeros(3))
    with pytest.raises(InputError, match="NaN or infinite"):
        interval(np.array([[0.0], [np.nan]]))
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, 1.5])
