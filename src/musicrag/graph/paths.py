"""Shortest typed paths between anchors and an item: the gold of Path Recall, and evidence.

Follows docs/evaluation.md: at most ``max_hops`` (3) edges, the shortest conforming length only,
paths with the lowest sum of intermediate degrees first, node ids break ties.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.types import BoolArray, InputError, IntArray, Path

Walks = tuple[IntArray, IntArray]
"""Nodes ``[num_paths, hops + 1]`` and relation indices ``[num_paths, hops]``."""


@dataclass(frozen=True)
class _Frontier:
    """What one anchor set reaches: edges of the first hop, and of the second."""

    anchor: IntArray  # [e1] anchor node of each first-hop edge
    middle: IntArray  # [e1] its other end
    relation: IntArray  # [e1]
    second_owner: IntArray  # [e2] first node of each second-hop edge
    second_node: IntArray  # [e2]
    second_relation: IntArray  # [e2]


class PathFinder:
    """Finds paths from one anchor set to many targets; the anchors' surroundings are read once.

    Args:
        graph: the training graph.
        anchors: global node indices. Shape ``[n]``.
        max_hops: 1, 2 or 3.
        metapaths: allowed sequences of relation names; None allows every typed path.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        anchors: IntArray,
        max_hops: int = 3,
        metapaths: Iterable[tuple[str, ...]] | None = None,
    ) -> None:
        if max_hops not in (1, 2, 3):
            raise InputError(f"max_hops={max_hops} is not supported. Allowed: 1, 2, 3.")
        self.graph = graph
        self.max_hops = max_hops
        self.allowed = None if metapaths is None else frozenset(metapaths)
        self._is_anchor = np.zeros(graph.num_nodes, dtype=bool)
        self._is_anchor[anchors] = True
        self._frontier = self._expand(np.unique(anchors))
        self._mark = np.zeros(graph.num_nodes, dtype=bool)

    def _expand(self, anchors: IntArray) -> _Frontier:
        near = self.graph.adjacency
        owner, place = near.rows(anchors)
        middle = near.neighbour[place]
        hubs = np.unique(middle)
        hubs = hubs[~self._is_anchor[hubs]]
        second, second_place = near.rows(hubs if self.max_hops == 3 else hubs[:0])
        return _Frontier(
            anchors[owner],
            middle,
            near.relation[place],
            hubs[second],
            near.neighbour[second_place],
            near.relation[second_place],
        )

    def shortest(self, target: int, limit: int) -> list[Path]:
        """Return at most ``limit`` shortest conforming paths to ``target``, best first."""
        if self._is_anchor[target]:
            return []
        for hops in range(1, self.max_hops + 1):
            nodes, relations = self._walks(target, hops, limit)
            paths = [self._path(n, r) for n, r in zip(nodes, relations, strict=True)]
            if paths:
                return paths
        return []

    def _walks(self, target: int, hops: int, limit: int) -> Walks:
        nodes, relations = (self._one, self._two, self._three)[hops - 1](target, limit)
        if self.allowed is not None:
            names = self.graph.relations
            fits = [tuple(names[r] for r in row) in self.allowed for row in relations]
            nodes, relations = nodes[fits], relations[fits]
        cost = self.graph.adjacency.degree[nodes[:, 1:-1]].sum(axis=1)
        keys = [*relations.T[::-1], *nodes.T[::-1], cost]
        order = np.lexsort(keys)[:limit] if len(nodes) else np.empty(0, dtype=np.int64)
        return nodes[order], relations[order]

    def _last_edges(self, target: int) -> tuple[IntArray, IntArray]:
        near = self.graph.adjacency
        row = slice(near.indptr[target], near.indptr[target + 1])
        return near.neighbour[row], near.relation[row]

    def _one(self, target: int, limit: int) -> Walks:
        f = self._frontier
        hit = f.middle == target
        ends = np.full(int(hit.sum()), target)
        return np.stack([f.anchor[hit], ends], axis=1), f.relation[hit][:, None]

    def _two(self, target: int, limit: int) -> Walks:
        f = self._frontier
        before, last = self._last_edges(target)
        fits = self._among(f.middle, before) & ~self._is_anchor[f.middle]
        hit = np.flatnonzero(fits & (f.middle != target))
        left, right = _join(f.middle[hit], before)
        first = hit[left]
        ends = np.full(len(first), target)
        nodes = np.stack([f.anchor[first], f.middle[first], ends], axis=1)
        return nodes, np.stack([f.relation[first], last[right]], axis=1)

    def _three(self, target: int, limit: int) -> Walks:
        f = self._frontier
        before, last = self._last_edges(target)
        fits = self._among(f.second_node, before) & ~self._is_anchor[f.second_node]
        fits &= (f.second_owner != target) & (f.second_node != target)
        hit = np.flatnonzero(fits & (f.second_owner != f.second_node))
        if self.allowed is None:
            hit = self._cheapest(hit, limit)
        to_last, right = _join(f.second_node[hit], before)
        middle_edges, last_relation = hit[to_last], last[right]
        to_first, left = _join(f.second_owner[middle_edges], f.middle)
        second, last_relation = middle_edges[to_first], last_relation[to_first]
        ends = np.full(len(second), target)
        columns = [f.anchor[left], f.second_owner[second], f.second_node[second], ends]
        relations = [f.relation[left], f.second_relation[second], last_relation]
        return np.stack(columns, axis=1), np.stack(relations, axis=1)

    def _cheapest(self, edges: IntArray, limit: int) -> IntArray:
        """Drop middle edges that ``limit`` others beat; ties stay, so no result is lost."""
        if len(edges) <= limit:
            return edges
        degree = self.graph.adjacency.degree
        f = self._frontier
        cost = degree[f.second_owner[edges]] + degree[f.second_node[edges]]
        bound = np.partition(cost, limit - 1)[limit - 1]
        kept: IntArray = edges[cost <= bound]
        return kept

    def _among(self, nodes: IntArray, members: IntArray) -> BoolArray:
        self._mark[members] = True
        found: BoolArray = self._mark[nodes]
        self._mark[members] = False
        return found

    def _path(self, nodes: IntArray, relations: IntArray) -> Path:
        names = self.graph.relations
        return Path(
            tuple(self.graph.node(int(n)) for n in nodes), tuple(names[int(r)] for r in relations)
        )


def _join(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of positions with ``left[i] == right[j]``."""
    order = np.argsort(right, kind="stable")
    low = np.searchsorted(right[order], left, side="left")
    high = np.searchsorted(right[order], left, side="right")
    counts = high - low
    i = np.repeat(np.arange(len(left)), counts)
    ends = np.cumsum(counts)
    j = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    return i, order[low[i] + j]
