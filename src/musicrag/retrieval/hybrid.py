"""Channels, fusion and evidence behind one ``retrieve`` call.

Fusion weights are tuned for each query type apart, because a text query has no profile and a
profile without a title has few words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from scipy import sparse

from musicrag.contracts import Query, Ranking
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.paths import PathFinder
from musicrag.retrieval.channels import Channel
from musicrag.retrieval.fusion import Fusion, Pool, fuse, pool, tune_weights
from musicrag.types import FloatArray, IntArray, ScoredPath

ScoreOf = Callable[[Sequence[Query], IntArray], float]
"""``(queries, fused item indices [Q, k]) -> quality`` on validation."""


class HybridRetriever:
    """Fuses the candidates of its channels and explains the best items by paths.

    Args:
        channels: sources of candidates.
        graph: the training graph, for paths.
        items: global node index of each item. Shape ``[num_items]``.
        fusion: how lists become one.
        num_candidates: items that each channel gives.
        max_hops: longest path returned.
        num_paths: paths returned for each query.
        paths_per_item: paths that explain one item.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        graph: KnowledgeGraph,
        items: IntArray,
        fusion: Fusion,
        num_candidates: int,
        max_hops: int,
        num_paths: int,
        paths_per_item: int,
    ) -> None:
        self.channels = tuple(channels)
        self.weights: dict[str, FloatArray] = {}
        self._graph = graph
        self._items = items
        self._fusion = fusion
        self._num_candidates = num_candidates
        self._max_hops = max_hops
        self._num_paths = num_paths
        self._paths_per_item = paths_per_item

    def tune(
        self, queries: Sequence[Query], relevance: sparse.csr_matrix, score: ScoreOf, k: int
    ) -> None:
        """Choose fusion weights for each query type on validation queries.

        Args:
            relevance: which items answer; row i belongs to query i. ``[Q, num_items]``.
        """
        place = {query.query_id: row for row, query in enumerate(queries)}
        for query_type, part in by_type(queries).items():
            answers = relevance[[place[query.query_id] for query in part]]
            self.weights[query_type] = tune_weights(
                self._pool(part), answers, partial(score, part), k
            )

    def report(self) -> dict[str, dict[str, float]]:
        """Weight of each channel for each query type, for the manifest."""
        names = [channel.name for channel in self.channels]
        return {
            query_type: dict(zip(names, weights.tolist(), strict=True))
            for query_type, weights in self.weights.items()
        }

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]:
        """Rank ``k`` items and up to ``num_paths`` paths for each query, in the given order."""
        found: dict[str, Ranking] = {}
        equal = np.ones(len(self.channels), dtype=np.float32)
        for query_type, part in by_type(queries).items():
            weights = self.weights.get(query_type, equal)
            items, scores = fuse(self._pool(part), weights, k)
            for query, row, values in zip(part, items, scores, strict=True):
                there = row >= 0
                ranked, value = row[there], values[there]
                found[query.query_id] = Ranking(
                    query.query_id, ranked, value, self._paths(query, ranked)
                )
        return [found[query.query_id] for query in queries]

    def _pool(self, queries: Sequence[Query]) -> Pool:
        lists = [channel.search(queries, self._num_candidates) for channel in self.channels]
        return pool(lists, self._fusion)

    def _paths(self, query: Query, items: IntArray) -> tuple[ScoredPath, ...]:
        """Shortest paths to the best items; an item's rank and a path's place discount it."""
        if not len(query.anchors):
            return ()
        finder = PathFinder(self._graph, query.anchors, self._max_hops)
        scored: list[ScoredPath] = []
        for rank, item in enumerate(items[: self._num_paths]):
            paths = finder.shortest(int(self._items[item]), self._paths_per_item)
            scored += [
                ScoredPath(path, 1.0 / ((rank + 1) * (place + 1)))
                for place, path in enumerate(paths)
            ]
        scored.sort(key=lambda found: (-found.score, found.path))
        return tuple(scored[: self._num_paths])


def by_type(queries: Sequence[Query]) -> Mapping[str, list[Query]]:
    """Group queries by the word before the colon of their id, order kept."""
    groups: dict[str, list[Query]] = {}
    for query in queries:
        groups.setdefault(query.query_id.partition(":")[0], []).append(query)
    return groups
