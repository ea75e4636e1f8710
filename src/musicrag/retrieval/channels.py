"""Four ways to find candidates: graph vectors, content vectors, words, and walks.

Each channel answers a batch of queries with ``k`` items and their scores, best first. A query
that a channel cannot answer (no profile, no words, no anchors) gets an empty row, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import bm25s
import faiss
import numpy as np
from scipy import sparse

from musicrag.contracts import Query
from musicrag.features.taste import TasteSpace
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.types import FloatArray, IntArray


@dataclass(frozen=True)
class Candidates:
    """Items of one channel for each query.

    Shapes:
        item_idx int64 ``[Q, k]``, -1 where there is no further item; scores float32 ``[Q, k]``.
    """

    item_idx: IntArray
    scores: FloatArray


class Channel(Protocol):
    """One source of candidates."""

    name: str

    def search(self, queries: Sequence[Query], k: int) -> Candidates: ...


class _VectorIndex:
    """Exact inner-product search in FAISS; zero rows are items without data, never returned."""

    def __init__(self, items: FloatArray) -> None:
        self._with_data = np.flatnonzero(np.any(items != 0, axis=1))
        self._index = faiss.IndexFlatIP(items.shape[1])
        self._index.add(np.ascontiguousarray(items[self._with_data], dtype=np.float32))

    def search(self, vectors: FloatArray, queries: Sequence[Query], k: int) -> Candidates:
        """Search with one vector ``[d]`` a query; a zero vector finds nothing."""
        depth = min(_depth(queries, k), len(self._with_data))
        if not (depth and len(queries)):
            shape = (len(queries), k)
            return Candidates(np.full(shape, -1), np.zeros(shape, dtype=np.float32))
        scores, place = self._index.search(np.ascontiguousarray(vectors), depth)
        items = np.where(place >= 0, self._with_data[place], -1)
        items[~np.any(vectors != 0, axis=1)] = -1
        order = np.lexsort((-items, -scores))  # ties within the list by item index descending
        items, scores = (np.take_along_axis(part, order, axis=1) for part in (items, scores))
        return _without_known(items, scores, queries, k)


class GraphVectorChannel:
    """Nearest items to the profile's vector in the space that the graph network learned."""

    name = "gnn"

    def __init__(self, profiles: FloatArray, items: FloatArray) -> None:
        self._index = _VectorIndex(items)
        nobody = np.zeros((1, profiles.shape[1]), dtype=np.float32)
        self._profiles = np.vstack([profiles, nobody])  # profile_idx -1 finds the zero row

    def search(self, queries: Sequence[Query], k: int) -> Candidates:
        vectors = self._profiles[[query.profile_idx for query in queries]]
        return self._index.search(vectors, queries, k)


class ContentChannel:
    """Items whose features fit the taste behind the query's history, in one modality.

    The log-likelihood ratio of :class:`TasteSpace` is an inner product, so the index is exact.
    """

    def __init__(self, modality: str, space: TasteSpace) -> None:
        self.name = f"content_{modality}"
        self._space = space
        self._index = _VectorIndex(space.item_vectors())

    def search(self, queries: Sequence[Query], k: int) -> Candidates:
        vectors = np.zeros((len(queries), 2 * self._space.num_directions), dtype=np.float32)
        for row, query in enumerate(queries):
            vectors[row] = self._space.query_vector(query.history)
        return self._index.search(vectors, queries, k)


class Bm25Channel:
    """BM25 (Lucene's variant, Kamphuis et al. 2020) over item texts, by bm25s."""

    name = "bm25"

    def __init__(self, texts: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        tokens = bm25s.tokenize(list(texts), stopwords=None, show_progress=False)
        self._has_words = bool(tokens.vocab)
        self._num_items = len(texts)
        self._index = bm25s.BM25(k1=k1, b=b)
        if self._has_words:
            self._index.index(tokens, show_progress=False)

    def search(self, queries: Sequence[Query], k: int) -> Candidates:
        depth = min(_depth(queries, k), self._num_items)
        items = np.full((len(queries), depth), -1, dtype=np.int64)
        scores = np.zeros((len(queries), depth), dtype=np.float32)
        for row, query in enumerate(queries):
            words = bm25s.tokenize(
                [query.text], stopwords=None, return_ids=False, show_progress=False
            )
            if not (self._has_words and words[0]):
                continue
            all_scores = self._index.get_scores(words[0])
            found = _best(all_scores, depth)
            items[row, : len(found)], scores[row, : len(found)] = found, all_scores[found]
        return _without_known(items, scores, queries, k)


class WalkChannel:
    r"""Random walks of a few steps from the anchors over the typed graph.

    .. math:: s = \sum_{h=1}^{H} \gamma^h \, e_A P^h

    with ``P`` the row-normalised adjacency: the first terms of personalised PageRank
    (Haveliwala 2002), cut at the longest path that can be shown as evidence.
    """

    name = "walk"

    def __init__(
        self, graph: KnowledgeGraph, items: IntArray, num_steps: int, damping: float = 0.8
    ) -> None:
        near = graph.adjacency
        shape = (graph.num_nodes, graph.num_nodes)
        data = np.repeat(1.0 / np.maximum(near.degree, 1), near.degree).astype(np.float32)
        step = sparse.csr_matrix((data, near.neighbour, near.indptr), shape=shape)
        self._back = step.T.tocsr()
        self._items = items
        self._num_steps = num_steps
        self._damping = damping

    def search(self, queries: Sequence[Query], k: int) -> Candidates:
        parts = [self._search(queries[i : i + 256], k) for i in range(0, len(queries), 256)]
        if not parts:
            return Candidates(np.empty((0, k), dtype=np.int64), np.empty((0, k), dtype=np.float32))
        return Candidates(
            np.vstack([part.item_idx for part in parts]), np.vstack([p.scores for p in parts])
        )

    def _search(self, queries: Sequence[Query], k: int) -> Candidates:
        mass = np.zeros((self._back.shape[0], len(queries)), dtype=np.float32)
        for column, query in enumerate(queries):
            if len(query.anchors):
                mass[query.anchors, column] = 1.0 / len(query.anchors)
        total = np.zeros((len(self._items), len(queries)), dtype=np.float32)
        for step in range(1, self._num_steps + 1):
            mass = self._back @ mass
            total += self._damping**step * mass[self._items]
        depth = min(_depth(queries, k), len(self._items))
        items = np.full((len(queries), depth), -1, dtype=np.int64)
        scores = np.zeros((len(queries), depth), dtype=np.float32)
        for row, reached in enumerate(total.T):
            found = _best(reached, depth)
            items[row, : len(found)], scores[row, : len(found)] = found, reached[found]
        return _without_known(items, scores, queries, k)


def _best(scores: FloatArray, depth: int) -> IntArray:
    """Items of the ``depth`` highest scores above 0: score descending, then index descending."""
    positive = np.flatnonzero(scores > 0)
    if len(positive) > depth:
        bound = np.partition(scores[positive], -depth)[-depth]
        positive = positive[scores[positive] >= bound]
    order: IntArray = positive[np.lexsort((-positive, -scores[positive]))][:depth]
    return order


def _depth(queries: Sequence[Query], k: int) -> int:
    """How many items to ask for, so that ``k`` are left when the known ones are dropped."""
    return k + max((len(query.exclude) for query in queries), default=0)


def _without_known(
    items: IntArray, scores: FloatArray, queries: Sequence[Query], k: int
) -> Candidates:
    """Drop excluded items from each row and close the gaps. Shapes ``[Q, depth] -> [Q, k]``."""
    kept_items = np.full((len(queries), k), -1, dtype=np.int64)
    kept_scores = np.zeros((len(queries), k), dtype=np.float32)
    for row, query in enumerate(queries):
        keep = (items[row] >= 0) & ~np.isin(items[row], query.exclude)
        found = np.flatnonzero(keep)[:k]
        kept_items[row, : len(found)] = items[row, found]
        kept_scores[row, : len(found)] = scores[row, found]
    return Candidates(kept_items, kept_scores)
