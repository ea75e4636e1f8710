"""Rankings and paths become metrics per query, in one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from musicrag.contracts import Ranking
from musicrag.evaluation.beyond import beyond_accuracy
from musicrag.evaluation.metrics import evaluate_ranked
from musicrag.evaluation.path_metrics import PATH_METRICS, evaluate_paths
from musicrag.experiment.world import World
from musicrag.schema import EvaluationConfig
from musicrag.types import IntArray

COLUMNS = ["system", "query_type", "query_id", "metric", "value"]


def metric_names(evaluation: EvaluationConfig) -> list[str]:
    """Every item metric at every cut-off, the primary one included."""
    names = [f"{metric}@{k}" for metric in evaluation.metrics for k in evaluation.k]
    return list(dict.fromkeys([*names, evaluation.primary]))


def evaluate_answers(
    system: str, rankings: Sequence[Ranking], world: World, evaluation: EvaluationConfig
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Score the answers to the test queries; return long rows and the counts beside them."""
    ids = [ranking.query_id for ranking in rankings]
    ranked = padded([ranking.item_idx for ranking in rankings], evaluation.depth)
    items = evaluate_ranked(ids, ranked, world.test.relevance, metric_names(evaluation))
    shown = {ranking.query_id: ranking.paths for ranking in rankings}
    names = [f"{metric}@{k}" for metric in PATH_METRICS for k in evaluation.k]
    paths = evaluate_paths(world.gold, shown, names)
    popularity = np.asarray((world.split.train > 0).sum(axis=0)).ravel().astype(np.int64)
    cut = min(10, evaluation.depth)
    counts: dict[str, object] = {
        "queries_without_relevant_item": items.num_skipped,
        "queries_without_answer": items.num_missing,
        "share_without_gold_path": paths.share_without_gold,
        "beyond_accuracy": beyond_accuracy(ranked, popularity, world.split.train.shape[0], cut),
    }
    frame = pd.concat(
        [long_frame({system: items.per_query}), long_frame({system: paths.per_query})]
    )
    return frame.reset_index(drop=True), counts


def padded(lists: Sequence[IntArray], depth: int) -> IntArray:
    """Stack ragged rankings to ``[num_queries, depth]``, -1 where a list is short."""
    stacked = np.full((len(lists), depth), -1, dtype=np.int64)
    for row, items in enumerate(lists):
        stacked[row, : len(items)] = items[:depth]
    return stacked


def long_frame(per_query: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Turn wide frames by system (index query_id, a column each metric) into :data:`COLUMNS`."""
    parts = [pd.DataFrame(columns=COLUMNS)]
    for system, wide in per_query.items():
        rows = wide.rename_axis("query_id").reset_index()
        rows = rows.melt("query_id", var_name="metric", value_name="value")
        rows.insert(0, "system", system)
        rows.insert(1, "query_type", rows["query_id"].str.partition(":")[0])
        parts.append(rows[COLUMNS])
    return pd.concat(parts[1:] or parts, ignore_index=True)
