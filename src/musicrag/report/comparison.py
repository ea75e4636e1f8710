"""Metrics per query and seed become means with intervals, and tests against a reference.

Two families of tests, corrected apart by Holm's method: variants of the system against the
reference variant, and baselines against it. A family holds all its query types and metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from musicrag.evaluation.significance import (
    Comparison,
    Float64Array,
    compare,
    holm,
    interval,
)
from musicrag.types import InputError

ALPHA = 0.05
"""Family-wise error rate at which a difference is called one."""

NO_EVIDENCE = "no evidence of a difference"
Role = Literal["reference", "variant", "baseline"]

INPUT_COLUMNS = ["label", "role", "seed", "query_type", "query_id", "metric", "value"]
OUTPUT_COLUMNS = [
    *("query_type", "label", "role", "metric", "mean", "low", "high", "num_queries", "num_seeds"),
    *("difference", "difference_low", "difference_high", "effect_size"),
    *("p_value", "p_holm", "p_randomisation", "verdict"),
]


@dataclass(frozen=True)
class Table:
    """The finished comparison.

    Attributes:
        rows: one row for each query type, system and metric; columns :data:`OUTPUT_COLUMNS`.
        reference: label of the system that all others are tested against.
        notes: sentences that belong below the table.
    """

    rows: pd.DataFrame
    reference: str
    notes: tuple[str, ...]


def compare_systems(
    results: pd.DataFrame, metrics: Sequence[str], rng: np.random.Generator
) -> Table:
    """Build the comparison table.

    Args:
        results: columns :data:`INPUT_COLUMNS`; exactly one label has the role ``reference``. A
            system without randomness has one seed.
        metrics: columns of the table, in order; a system without one gets no row for it.
        rng: for the randomisation test beside the main one.

    Returns:
        Means with 95 % intervals and, but for the reference, tests. Differences are system
        minus reference. A verdict is ``better``, ``worse``, :data:`NO_EVIDENCE`, or empty where
        nothing was tested. With a single query there is neither interval nor test.

    Raises:
        InputError: columns are missing, there is not exactly one reference, or none of the
            metrics was measured.
    """
    _check(results)
    reference = str(results.loc[results["role"] == "reference", "label"].iloc[0])
    chosen = results[results["metric"].isin(metrics)]
    if chosen.empty:
        raise InputError(f"None of the metrics {', '.join(metrics)} was measured on any query.")
    rows: list[dict[str, object]] = []
    unpaired: set[str] = set()
    for query_type in _in_order(chosen["query_type"]):
        for metric in metrics:
            part = chosen[(chosen["query_type"] == query_type) & (chosen["metric"] == metric)]
            found, skipped = _rows_of_metric(part, reference, rng)
            rows += [{"query_type": query_type, "metric": metric, **row} for row in found]
            unpaired |= skipped
    table = _with_verdicts(pd.DataFrame(rows))
    notes = [
        f"{label}: measured on other queries than the reference, so not tested."
        for label in sorted(unpaired)
    ]
    if (table["num_queries"] < 2).any():
        notes.append("A mean over a single query has no interval and is not tested.")
    if not (table.loc[table["role"] != "baseline", "num_seeds"] > 1).any():
        notes.append("With one seed the tests say nothing about the luck of a training run.")
    return Table(table, reference, tuple(notes))


def _check(results: pd.DataFrame) -> None:
    missing = [name for name in INPUT_COLUMNS if name not in results]
    if missing:
        raise InputError(f"Results lack the columns {', '.join(missing)}.")
    references = results.loc[results["role"] == "reference", "label"].unique()
    if len(references) != 1:
        raise InputError(f"A table needs one reference, got {list(references)}.")


def _rows_of_metric(
    part: pd.DataFrame, reference: str, rng: np.random.Generator
) -> tuple[list[dict[str, object]], set[str]]:
    grids = {label: _grid(part[part["label"] == label]) for label in _in_order(part["label"])}
    base = grids.get(reference)
    rows: list[dict[str, object]] = []
    unpaired: set[str] = set()
    for label, grid in grids.items():
        role = part.loc[part["label"] == label, "role"].iloc[0]
        row = {"label": label, "role": role, **_mean(grid)}
        if label != reference and base is not None:
            paired = _paired(grid, base)
            if paired is None:
                unpaired.add(label)
            elif len(grid) > 1:
                row |= _tested(compare(*paired, rng))
        rows.append(row)
    return rows, unpaired


def _mean(grid: pd.DataFrame) -> dict[str, object]:
    """Mean and interval; a single query has no interval."""
    num_queries, num_seeds = grid.shape
    if num_queries < 2:
        low, high = np.nan, np.nan
    else:
        shown = interval(grid.to_numpy())
        low, high = shown.low, shown.high
    return {
        "mean": float(grid.to_numpy().mean()),
        "low": low,
        "high": high,
        "num_queries": num_queries,
        "num_seeds": num_seeds,
    }


def _grid(part: pd.DataFrame) -> pd.DataFrame:
    """Values by query (rows) and seed (columns).

    Raises:
        InputError: a query lacks a seed, so the runs were not over the same data.
    """
    grid = part.pivot(index="query_id", columns="seed", values="value")
    if grid.isna().to_numpy().any():
        label = part["label"].iloc[0]
        raise InputError(f"{label}: its seeds were not measured on the same queries.")
    return grid


def _paired(grid: pd.DataFrame, base: pd.DataFrame) -> tuple[Float64Array, Float64Array] | None:
    """Two matrices of one shape, or None where queries or seeds cannot be paired."""
    if not grid.index.equals(base.index):
        return None
    if grid.shape[1] == 1:  # without randomness: the same value for every seed
        return np.repeat(grid.to_numpy(), base.shape[1], axis=1), base.to_numpy()
    if not grid.columns.equals(base.columns):
        return None
    return grid.to_numpy(), base.to_numpy()


def _tested(comparison: Comparison) -> dict[str, object]:
    return {
        "difference": comparison.difference.mean,
        "difference_low": comparison.difference.low,
        "difference_high": comparison.difference.high,
        "effect_size": comparison.effect_size,
        "p_value": comparison.p_value,
        "p_randomisation": comparison.p_randomisation,
    }


def _with_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    table = table.reindex(columns=OUTPUT_COLUMNS)
    table["p_holm"] = np.nan
    for role in ("variant", "baseline"):
        rows = (table["role"] == role) & table["p_value"].notna()
        table.loc[rows, "p_holm"] = holm(table.loc[rows, "p_value"].tolist())
    is_tested = table["p_holm"].notna()
    is_different = is_tested & (table["p_holm"] < ALPHA)
    table["verdict"] = np.where(is_tested, NO_EVIDENCE, "")
    table.loc[is_different & (table["difference"] > 0), "verdict"] = "better"
    table.loc[is_different & (table["difference"] < 0), "verdict"] = "worse"
    return table


def _in_order(values: pd.Series[str]) -> list[str]:
    return [str(value) for value in values.drop_duplicates()]
