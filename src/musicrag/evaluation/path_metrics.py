"""Gold paths and retrieved paths become path recall, path hit and edge recall (docs/evaluation.md).

For query q with relevant items R, gold(q) = all gold paths of its items, and the top k paths:
    ``path_recall@k`` |gold(q) & top-k| / |gold(q)|;
    ``path_hit@k`` share of R with one of its own gold paths in the top k;
    ``edge_recall@k`` share of gold(q)'s edges that lie on some top-k path.
Knows nothing of graphs: where gold paths come from, and that they avoid held-out edges, is
decided before. Relatives: triple recall of subgraph RAG; PGPR, PEARLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import pandas as pd

from musicrag.evaluation.metrics import Metric, parse_metric
from musicrag.types import InputError, Path, ScoredPath

PATH_METRICS = ("edge_recall", "path_hit", "path_recall")

GoldPaths = Mapping[str, Mapping[str, Sequence[Path]]]
"""``{query_id: {item_id: paths}}``: every relevant item has an entry, an empty one if no path."""
RankedPaths = Mapping[str, Sequence[ScoredPath]]
"""``{query_id: paths}``, best first."""


@dataclass(frozen=True)
class PathEvaluation:
    """Path metrics of every query that has a gold path.

    Attributes:
        per_query: float64, a column for each metric, indexed by query id.
        num_without_gold: queries of either input without any gold path, which are in no mean.
        share_without_gold: their share of all queries; report it beside the metrics.
        num_missing: queries with gold but for which no path was retrieved; they score 0.
    """

    per_query: pd.DataFrame
    num_without_gold: int
    share_without_gold: float
    num_missing: int

    def mean(self) -> dict[str, float]:
        """Mean over queries by metric.

        Raises:
            InputError: no query has a gold path.
        """
        if self.per_query.empty:
            raise InputError(
                f"None of {self.num_without_gold} queries has a gold path, so there is no mean. "
                "Raise max_hops or check that the graph holds the anchors."
            )
        return {str(name): float(value) for name, value in self.per_query.mean().items()}


def evaluate_paths(
    gold: GoldPaths, ranked: RankedPaths, metrics: Sequence[str] = ("path_recall@10",)
) -> PathEvaluation:
    """Compare retrieved paths with gold paths.

    Paths are equal when nodes and relations are, in order from anchor to item; an edge counts
    in either direction. A path that was retrieved twice counts once, at its first place.

    Args:
        gold: paths by query and relevant item.
        ranked: retrieved paths, best first.
        metrics: such as ``["path_recall@10", "edge_recall@10"]``.

    Raises:
        InputError: unknown metric, or a list whose scores rise or are NaN.
    """
    parsed = [parse_metric(text, PATH_METRICS) for text in metrics]
    query_ids = sorted(query for query, by_item in gold.items() if any(by_item.values()))
    rows = []
    for query in query_ids:
        paths = _distinct_paths(query, ranked.get(query, ()))
        rows.append([_value(metric, gold[query], paths[: metric.k]) for metric in parsed])
    num_queries = len(gold.keys() | ranked.keys())
    num_without_gold = num_queries - len(query_ids)
    return PathEvaluation(
        pd.DataFrame(
            rows,
            index=pd.Index(query_ids, name="query_id"),
            columns=[str(metric) for metric in parsed],
            dtype="float64",
        ),
        num_without_gold=num_without_gold,
        share_without_gold=num_without_gold / max(num_queries, 1),
        num_missing=sum(not ranked.get(query) for query in query_ids),
    )


def _distinct_paths(query: str, scored: Sequence[ScoredPath]) -> list[Path]:
    for better, worse in pairwise(scored):
        if not better.score >= worse.score:
            raise InputError(
                f"The paths of query {query!r} must come best first, but score "
                f"{better.score} stands before {worse.score}."
            )
    return list(dict.fromkeys(path.path for path in scored))


def _value(metric: Metric, by_item: Mapping[str, Sequence[Path]], top: Sequence[Path]) -> float:
    found = set(top)
    if metric.name == "path_hit":
        return sum(not found.isdisjoint(paths) for paths in by_item.values()) / len(by_item)
    gold = set(chain.from_iterable(by_item.values()))
    if metric.name == "path_recall":
        return len(gold & found) / len(gold)
    gold_edges = frozenset[object]().union(*(path.edges() for path in gold))
    found_edges = frozenset[object]().union(*(path.edges() for path in found))
    # A gold path of no hops (the anchor is the item) has no edge to find.
    return len(gold_edges & found_edges) / len(gold_edges) if gold_edges else 1.0
