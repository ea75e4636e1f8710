"""Which systems are tested against which, corrected in which family, and in what words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from musicrag.evaluation.significance import compare, holm
from musicrag.report.comparison import NO_EVIDENCE, OUTPUT_COLUMNS, Table, compare_systems
from musicrag.types import InputError

NUM_QUERIES = 40


def _results(
    effects: dict[tuple[str, str], float],
    num_seeds: int = 3,
    metrics: tuple[str, ...] = ("ndcg@10",),
    query_type: str = "user",
    num_queries: int = NUM_QUERIES,
) -> pd.DataFrame:
    """Values around 0.5, plus the effect of each ``(label, role)``, as long rows."""
    rng = np.random.default_rng(7)
    hardness = rng.normal(0.5, 0.1, num_queries)
    rows = []
    for (label, role), effect in effects.items():
        for metric in metrics:
            for seed in range(1 if role == "baseline" else num_seeds):
                values = hardness + effect + rng.normal(0, 0.02, num_queries)
                rows += [
                    (label, role, seed, query_type, f"{query_type}:{q:02}", metric, value)
                    for q, value in enumerate(values)
                ]
    columns = ["label", "role", "seed", "query_type", "query_id", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


FULL = ("full", "reference")
EFFECTS = {
    FULL: 0.0,
    ("without", "variant"): -0.1,
    ("same", "variant"): 0.0,
    ("popularity", "baseline"): -0.3,
    ("ease", "baseline"): 0.2,
}


def _table(results: pd.DataFrame, metrics: tuple[str, ...] = ("ndcg@10",)) -> Table:
    return compare_systems(results, metrics, np.random.default_rng(0))


def _row(table: Table, label: str, metric: str = "ndcg@10") -> pd.Series:
    rows = table.rows[(table.rows["label"] == label) & (table.rows["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_verdicts_say_better_worse_or_no_evidence() -> None:
    table = _table(_results(EFFECTS))
    assert table.reference == "full"
    assert _row(table, "without")["verdict"] == "worse"
    assert _row(table, "same")["verdict"] == NO_EVIDENCE == "no evidence of a difference"
    assert _row(table, "ease")["verdict"] == "better"
    assert _row(table, "popularity")["verdict"] == "worse"
    assert _row(table, "full")["verdict"] == ""


def test_difference_is_system_minus_reference() -> None:
    table = _table(_results(EFFECTS))
    row = _row(table, "without")
    assert row["difference"] == pytest.approx(row["mean"] - _row(table, "full")["mean"])
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0
    assert row["effect_size"] < 0


def test_reference_has_no_test_against_itself() -> None:
    row = _row(_table(_results(EFFECTS)), "full")
    assert row[["difference", "p_value", "p_holm", "effect_size"]].isna().all()


def test_rows_have_all_columns_even_where_nothing_is_tested() -> None:
    table = _table(_results({FULL: 0.0}))
    assert list(table.rows.columns) == OUTPUT_COLUMNS
    assert table.rows["p_holm"].isna().all()


@pytest.mark.parametrize(("role", "other"), [("variant", "baseline"), ("baseline", "variant")])
def test_families_are_corrected_apart(role: str, other: str) -> None:
    both = _table(_results(EFFECTS)).rows
    family = both[both["role"] == role]
    np.testing.assert_allclose(family["p_holm"], holm(family["p_value"].tolist()))
    results = _results(EFFECTS)
    alone = _table(results[results["role"] != other]).rows
    np.testing.assert_array_equal(alone.loc[alone["role"] == role, "p_holm"], family["p_holm"])


def test_family_spans_metrics_and_query_types() -> None:
    effects = {FULL: 0.0, ("without", "variant"): -0.01}
    results = pd.concat(
        [
            _results(effects, metrics=("ndcg@10", "map@10")),
            _results(effects, metrics=("ndcg@10",), query_type="playlist"),
        ]
    )
    rows = _table(results, ("ndcg@10", "map@10")).rows
    tested = rows[rows["role"] == "variant"]
    assert len(tested) == 3
    np.testing.assert_allclose(tested["p_holm"], holm(tested["p_value"].tolist()))


def test_tests_pair_queries_and_seeds() -> None:
    results = _results({FULL: 0.0, ("without", "variant"): -0.05})
    shuffled = results.sample(frac=1.0, random_state=3)
    grids = {
        label: results[results["label"] == label].pivot(
            index="query_id", columns="seed", values="value"
        )
        for label in ("full", "without")
    }
    expected = compare(
        grids["without"].to_numpy(), grids["full"].to_numpy(), np.random.default_rng(0)
    )
    for frame in (results, pd.concat([results.iloc[:1], shuffled]).drop_duplicates()):
        row = _row(_table(frame), "without")
        assert row["p_value"] == pytest.approx(expected.p_value)
        assert row["difference"] == pytest.approx(expected.difference.mean)


def test_baseline_without_randomness_is_tested_against_every_seed() -> None:
    table = _table(_results({FULL: 0.0, ("popularity", "baseline"): -0.2}, num_seeds=5))
    row = _row(table, "popularity")
    assert row["num_seeds"] == 1
    assert row["verdict"] == "worse"


def test_other_queries_are_shown_but_not_tested() -> None:
    results = _results(EFFECTS)
    is_other = results["label"] == "without"
    results.loc[is_other, "query_id"] += " elsewhere"
    table = _table(results)
    assert np.isnan(_row(table, "without")["p_holm"])
    assert _row(table, "without")["verdict"] == ""
    assert "without: measured on other queries than the reference, so not tested." in table.notes


def test_one_seed_is_tested_with_a_warning() -> None:
    table = _table(_results({FULL: 0.0, ("without", "variant"): -0.1}, num_seeds=1))
    assert _row(table, "without")["verdict"] == "worse"
    assert any("one seed" in note for note in table.notes)
    assert not any("one seed" in note for note in _table(_results(EFFECTS)).notes)


def test_single_query_has_a_mean_but_no_interval() -> None:
    results = pd.concat(
        [
            _results(EFFECTS),
            _results({FULL: 0.0, ("same", "variant"): 0.1}, 3, query_type="text", num_queries=1),
        ]
    )
    table = _table(results)
    text = table.rows[table.rows["query_type"] == "text"]
    assert text["mean"].notna().all()
    assert text[["low", "high", "p_value"]].isna().all().all()
    assert any("single query" in note for note in table.notes)


def test_system_without_a_metric_gets_no_row() -> None:
    results = _results(EFFECTS, metrics=("ndcg@10", "path_recall@10"))
    is_gone = (results["role"] == "baseline") & (results["metric"] == "path_recall@10")
    table = _table(results[~is_gone], ("ndcg@10", "path_recall@10"))
    measured = table.rows.loc[table.rows["metric"] == "path_recall@10", "label"]
    assert list(measured) == ["full", "without", "same"]


def test_order_is_that_of_the_metrics_and_of_the_runs() -> None:
    table = _table(_results(EFFECTS, metrics=("map@10", "ndcg@10")), ("ndcg@10", "map@10"))
    assert list(table.rows["metric"].drop_duplicates()) == ["ndcg@10", "map@10"]
    assert list(table.rows["label"].drop_duplicates()) == [label for label, _ in EFFECTS]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (_results(EFFECTS).drop(columns="seed"), "lack the columns seed"),
        (_results({("a", "variant"): 0.0}), "one reference"),
        (_results({FULL: 0.0, ("b", "reference"): 0.0}), "one reference"),
        (_results(EFFECTS, metrics=("mrr@5",)), r"None of the metrics ndcg@10"),
        (_results(EFFECTS).iloc[1:], "same queries"),
    ],
)
def test_results_that_cannot_be_compared_are_refused(results: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _table(results)
