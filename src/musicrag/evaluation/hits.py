"""Runs and rankings become hits: which relevant item stands at which rank, with which gain.

Two ways in: dictionaries of ids (``hits_of_run``) and matrices of indices (``hits_of_ranking``).
Order and comparison follow trec_eval: score as float32 descending, then item id descending.
Hits are few where lists are long, so ``metrics`` works on them and never on whole lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy import sparse

from musicrag.types import FloatArray, InputError, IntArray, Qrels

Float64Array = npt.NDArray[np.float64]

_QUERIES_PER_BLOCK = 512
_CELLS_PER_BLOCK = 1 << 19  # 0.5 MB of bool: stays in the cache


@dataclass(frozen=True)
class Hits:
    """Relevant items in ranked lists, by query and then by rank.

    Attributes:
        row: the query. Shape ``[num_hits]``.
        rank: place in its list, from 1. Shape ``[num_hits]``.
        gain: > 0. Shape ``[num_hits]``.
        num_queries: rows run below it; a row may have no hit.
    """

    row: IntArray
    rank: IntArray
    gain: Float64Array
    num_queries: int

    @cached_property
    def number(self) -> IntArray:
        """1 for the first hit of a query, 2 for its second, … Shape ``[num_hits]``."""
        counts = np.bincount(self.row, minlength=self.num_queries)
        return np.arange(1, len(self.row) + 1) - np.repeat(np.cumsum(counts) - counts, counts)


def ideal_hits(gains: Float64Array, counts: IntArray) -> Hits:
    """Hits of the perfect lists; ``gains`` holds ``counts[row]`` values for each query in turn."""
    row = np.repeat(np.arange(len(counts)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    order = np.lexsort((-gains, row))
    return Hits(row, np.arange(1, len(row) + 1) - first, gains[order], len(counts))


def relevant_items(qrels: Qrels) -> Qrels:
    """Keep the items of gain > 0 and the queries that have one, sorted by query.

    Raises:
        InputError: a gain is not finite.
    """
    flat = np.fromiter(chain.from_iterable(gains.values() for gains in qrels.values()), np.float64)
    if not np.isfinite(flat).all():
        place = int((~np.isfinite(flat)).argmax())
        pairs = [(query, item) for query, gains in qrels.items() for item in gains]
        query, item = pairs[place]
        raise InputError(f"The gain of item {item!r} for query {query!r} is {flat[place]}.")
    kept = {}
    for query, gains in sorted(qrels.items()):
        relevant = gains
        if min(gains.values(), default=0) <= 0:
            relevant = {item: gain for item, gain in gains.items() if gain > 0}
        if relevant:
            kept[query] = relevant
    return kept


def hits_of_run(lists: Sequence[dict[str, float]], relevant: Qrels) -> Hits:
    """Find the hits of scored lists, which stand in the order of ``relevant``'s queries.

    Raises:
        InputError: a score is NaN.
    """
    queries = list(relevant)
    blocks = [
        slice(start, start + _QUERIES_PER_BLOCK)
        for start in range(0, max(1, len(queries)), _QUERIES_PER_BLOCK)
    ]
    parts = [_hits_of_block(lists[block], queries[block], relevant) for block in blocks]
    return Hits(
        np.concatenate(
            [row + block.start for (row, _, _), block in zip(parts, blocks, strict=True)]
        ),
        np.concatenate([rank for _, rank, _ in parts]),
        np.concatenate([gain for _, _, gain in parts]),
        len(queries),
    )


def _hits_of_block(
    lists: Sequence[dict[str, float]], queries: Sequence[str], relevant: Qrels
) -> tuple[IntArray, IntArray, Float64Array]:
    """Row in the block, rank and gain of each hit."""
    lengths = np.array([len(scores) for scores in lists], dtype=np.int64)
    filled = np.arange(lengths.max(initial=1)) < lengths[:, None]  # [B, L]
    with np.errstate(over="ignore"):  # beyond float32 is infinite, in trec_eval too
        flat = np.fromiter(chain.from_iterable(s.values() for s in lists), np.float32)
    if np.isnan(flat).any():
        row_of_nan = int(np.argwhere(filled)[np.isnan(flat).argmax(), 0])
        raise InputError(f"The run holds a NaN score for query {queries[row_of_nan]!r}.")
    scores = np.full(filled.shape, np.nan, dtype=np.float32)  # NaN sorts behind -inf
    scores[filled] = flat
    gains = np.zeros(filled.shape)
    gains[filled] = np.fromiter(
        chain.from_iterable(
            map(relevant[query].get, items, [0.0] * len(items))
            for query, items in zip(queries, lists, strict=True)
        ),
        np.float64,
        count=len(flat),
    )
    order = np.argsort(-scores, axis=1)
    _break_ties(order, scores, lists)
    gains = np.take_along_axis(gains, order, axis=1)
    row, place = np.nonzero(gains)
    return row, place + 1, gains[row, place]


def _break_ties(order: IntArray, scores: FloatArray, lists: Sequence[dict[str, float]]) -> None:
    """Sort again, in place and by id too, the few rows of ``order`` that hold equal scores."""
    ordered = np.take_along_axis(scores, order, axis=1)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)).tolist():
        ids = list(lists[row])
        keys = zip(scores[row, : len(ids)].tolist(), ids, range(len(ids)), strict=True)
        order[row, : len(ids)] = [place for _, _, place in sorted(keys, reverse=True)]


def positive_entries(relevance: sparse.csr_matrix) -> sparse.csr_matrix:
    """Copy the entries > 0, sorted; raises ``InputError`` for a gain that is not finite."""
    if not np.isfinite(relevance.data).all():
        raise InputError("The relevance matrix holds a gain that is not finite.")
    positive = relevance.astype(np.float64)  # a copy
    positive.sum_duplicates()
    positive.data[positive.data < 0] = 0
    positive.eliminate_zeros()
    return positive


def hits_of_ranking(ranked: IntArray, relevance: sparse.csr_matrix) -> Hits:
    """Find the hits of ranked indices (-1: none) in ``positive_entries``.

    A small dense buffer answers "is it relevant?", block by block, faster than a search would.

    Raises:
        InputError: a relevant item stands twice in a list.
    """
    num_queries, num_items = relevance.shape
    is_hit = np.zeros(ranked.shape, dtype=np.bool_)
    width = num_items + 1  # the last column of the row before answers for index -1
    rows_per_block = max(1, _CELLS_PER_BLOCK // width)
    buffer = np.zeros(rows_per_block * width, dtype=np.bool_)
    for start in range(0, num_queries, rows_per_block):
        stop = min(start + rows_per_block, num_queries)
        bounds = relevance.indptr[start : stop + 1]
        offset = np.arange(stop - start) * width
        cell = np.repeat(offset, np.diff(bounds)) + relevance.indices[bounds[0] : bounds[-1]]
        buffer[cell] = True
        is_hit[start:stop] = buffer[ranked[start:stop] + offset[:, None]]
        buffer[cell] = False
    row, place = np.nonzero(is_hit)
    hit = row * num_items + ranked[row, place]
    if len(np.unique(hit)) < len(hit):
        raise InputError("A ranking holds the same item twice; each item may be ranked once.")
    entry = np.repeat(np.arange(num_queries), np.diff(relevance.indptr)) * num_items
    gain = relevance.data[np.searchsorted(entry + relevance.indices, hit)]
    return Hits(row, place + 1, gain, num_queries)
