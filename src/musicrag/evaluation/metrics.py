"""Qrels and runs become per-query metrics at any cut-off, vectorised, as trec_eval defines them.

Definitions, over the relevant items R (gain > 0) and the hits in the top k:
    ``hit_rate@k`` 1 if there is a hit; ``precision@k`` hits / k, short lists too;
    ``recall@k`` hits / |R|; ``mrr@k`` 1 / rank of the first hit, 0 beyond k;
    ``map@k`` sum of the precision at each hit / |R| (trec ``map_cut``, not min(|R|, k));
    ``ndcg@k`` sum of gain / log2(rank + 1), over the same sum for the ideal order of all gains.
Knows nothing of models, nor of averages over seeds (see ``significance``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from scipy import sparse

from musicrag.evaluation.hits import (
    Float64Array,
    Hits,
    hits_of_ranking,
    hits_of_run,
    ideal_hits,
    positive_entries,
    relevant_items,
)
from musicrag.types import InputError, IntArray, Qrels, Run, nearest

METRICS = ("hit_rate", "map", "mrr", "ndcg", "precision", "recall")


@dataclass(frozen=True)
class Metric:
    """A metric's name and its cut-off; ``str()`` gives ``ndcg@10``."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


@dataclass(frozen=True)
class Evaluation:
    """Metrics of every query that has a relevant item.

    Attributes:
        per_query: float64, a column for each metric, indexed by query id.
        num_skipped: queries without a relevant item, which are in no mean.
        num_missing: queries that have one but for which nothing was ranked; they score 0.
            (pytrec_eval drops them from the result, which flatters a run that gives up.)
    """

    per_query: pd.DataFrame
    num_skipped: int
    num_missing: int

    def mean(self) -> dict[str, float]:
        """Mean over queries by metric.

        Raises:
            InputError: no query has a relevant item.
        """
        if self.per_query.empty:
            raise InputError(
                f"None of {self.num_skipped} queries has a relevant item, so there is no mean. "
                "Check that qrels and split belong together."
            )
        return {str(name): float(value) for name, value in self.per_query.mean().items()}


@dataclass(frozen=True)
class _Judged:
    """Hits of queries that have a relevant item, those of perfect lists, and the sizes |R|."""

    hits: Hits
    ideal: Hits
    num_relevant: IntArray


def parse_metric(text: str, names: Sequence[str] = METRICS) -> Metric:
    """Read ``name@k``.

    Raises:
        InputError: unknown name (the nearest one is suggested), no cut-off, or k < 1.
    """
    match = re.fullmatch(r"([^@]*)@([+-]?\d+)", text)
    name = match[1] if match else text.partition("@")[0]
    if name not in names:
        raise InputError(
            f"Unknown metric {text!r}. Allowed, each with '@k': {', '.join(names)}."
            f"{nearest(name, names)}"
        )
    if not match or int(match[2]) < 1:
        raise InputError(f"Metric {text!r} needs a cut-off of 1 or more, such as '{name}@10'.")
    return Metric(name, int(match[2]))


def evaluate(qrels: Qrels, run: Run, metrics: Sequence[str]) -> Evaluation:
    """Score a run against qrels: score descending, then item id descending.

    As in trec_eval, scores are compared as float32: two that differ only beyond it are tied.
    Queries of the run that qrels do not know count as skipped.

    Args:
        qrels: gains by query and item; > 0 is relevant.
        run: scores by query and item; +-inf is allowed.
        metrics: such as ``["ndcg@10", "recall@100"]``.

    Raises:
        InputError: unknown metric, a NaN score, or a gain that is not finite.
    """
    parsed = [parse_metric(text) for text in metrics]
    relevant = relevant_items(qrels)
    lists = [run.get(query, {}) for query in relevant]
    num_relevant = np.array([len(gains) for gains in relevant.values()], dtype=np.int64)
    gains = np.fromiter(chain.from_iterable(g.values() for g in relevant.values()), np.float64)
    judged = _Judged(hits_of_run(lists, relevant), ideal_hits(gains, num_relevant), num_relevant)
    return Evaluation(
        _frame(judged, parsed, list(relevant)),
        num_skipped=len(qrels.keys() | run.keys()) - len(relevant),
        num_missing=sum(not scores for scores in lists),
    )


def evaluate_ranked(
    query_ids: Sequence[str], ranked: IntArray, relevance: sparse.csr_matrix, metrics: Sequence[str]
) -> Evaluation:
    """Score ranked item indices, such as those of ``rank_items``: the fast way.

    Args:
        query_ids: a name for each row.
        ranked: best first; -1 where a list is short.
        relevance: gains; entries > 0 are relevant.
        metrics: such as ``["ndcg@10"]``; no k may exceed the length of the lists.

    Shapes:
        ranked ``[num_queries, k]``; relevance ``[num_queries, num_items]``.

    Raises:
        InputError: unknown metric, shapes that disagree, lists shorter than a cut-off, an index
            outside the catalogue, a relevant item twice in a list, a gain that is not finite.
    """
    parsed = [parse_metric(text) for text in metrics]
    depth = max((metric.k for metric in parsed), default=1)
    _check_ranked(query_ids, ranked, relevance, depth)
    relevance = positive_entries(relevance)
    has_relevant = np.diff(relevance.indptr) > 0
    rows = np.flatnonzero(has_relevant)
    ranked, relevance = ranked[rows, :depth], relevance[rows]
    num_relevant = np.diff(relevance.indptr)
    judged = _Judged(
        hits_of_ranking(ranked, relevance), ideal_hits(relevance.data, num_relevant), num_relevant
    )
    return Evaluation(
        _frame(judged, parsed, [query_ids[row] for row in rows.tolist()]),
        num_skipped=int((~has_relevant).sum()),
        num_missing=int((ranked < 0).all(axis=1).sum()),
    )


def _frame(judged: _Judged, metrics: Sequence[Metric], query_ids: list[str]) -> pd.DataFrame:
    columns = {str(metric): _FORMULAS[metric.name](judged, metric.k) for metric in metrics}
    return pd.DataFrame(columns, index=pd.Index(query_ids, name="query_id"))


def _sum(hits: Hits, weights: Float64Array, k: int) -> Float64Array:
    """Sum of ``weights`` over the hits of each query in its top k."""
    is_top = hits.rank <= k
    sums = np.bincount(hits.row[is_top], weights[is_top], hits.num_queries)
    return np.asarray(sums, dtype=np.float64)  # of no hits at all, bincount gives integers


def _num_hits(judged: _Judged, k: int) -> Float64Array:
    return _sum(judged.hits, np.ones(len(judged.hits.row)), k)


def _average_precision(judged: _Judged, k: int) -> Float64Array:
    hits = judged.hits
    return _sum(hits, hits.number / hits.rank, k) / judged.num_relevant


def _reciprocal_rank(judged: _Judged, k: int) -> Float64Array:
    hits = judged.hits
    return _sum(hits, (hits.number == 1) / hits.rank, k)


def _dcg(hits: Hits, k: int) -> Float64Array:
    return _sum(hits, hits.gain / np.log2(hits.rank + 1), k)


_FORMULAS: dict[str, Callable[[_Judged, int], Float64Array]] = {
    "hit_rate": lambda judged, k: np.minimum(_num_hits(judged, k), 1),
    "map": _average_precision,
    "mrr": _reciprocal_rank,
    "ndcg": lambda judged, k: _dcg(judged.hits, k) / _dcg(judged.ideal, k),
    "precision": lambda judged, k: _num_hits(judged, k) / k,
    "recall": lambda judged, k: _num_hits(judged, k) / judged.num_relevant,
}


def _check_ranked(
    query_ids: Sequence[str], ranked: IntArray, relevance: sparse.csr_matrix, depth: int
) -> None:
    num_queries, num_items = relevance.shape
    if ranked.ndim != 2 or not len(query_ids) == len(ranked) == num_queries:
        raise InputError(
            f"{len(query_ids)} query ids, a ranking of shape {ranked.shape} and relevance of "
            f"{num_queries} rows must have the same number of rows."
        )
    if ranked.shape[1] < depth:
        raise InputError(
            f"A cut-off of {depth} needs lists of {depth} items, these have {ranked.shape[1]}. "
            "Rank more items or choose a smaller cut-off."
        )
    if ranked.size and not (ranked.min() >= -1 and ranked.max() < num_items):
        raise InputError(
            f"Item indices run from {ranked.min()} to {ranked.max()}; "
            f"allowed are -1 (none) to {num_items - 1}."
        )
