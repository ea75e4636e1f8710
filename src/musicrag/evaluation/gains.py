"""Runs and rankings become the gains along each ranked list: what ``metrics`` then weighs.

Two ways in: dictionaries of ids (``gains_of_run``) and matrices of indices (``gains_of_indices``).
Order and comparison follow trec_eval: score as float32 descending, then item id descending.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy import sparse

from musicrag.types import FloatArray, InputError, IntArray, Qrels

Float64Array = npt.NDArray[np.float64]

_CELLS_PER_BLOCK = 1 << 19  # 4 MB of float64


def ideal_gains(gains: Float64Array, counts: IntArray, depth: int) -> Float64Array:
    """Sort each query's gains, which lie one query after the other: ``[num_queries, depth]``."""
    row = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-gains, row))
    rank = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_kept = rank < depth
    ideal = np.zeros((len(counts), depth))
    ideal[row[is_kept], rank[is_kept]] = gains[order][is_kept]
    return ideal


def relevant_items(query: str, gains: dict[str, float]) -> dict[str, float]:
    """Keep the items of gain > 0; raises ``InputError`` for a gain that is not finite."""
    for item, gain in gains.items():
        if not -np.inf < gain < np.inf:
            raise InputError(f"The gain of item {item!r} for query {query!r} is {gain}.")
    return {item: gain for item, gain in gains.items() if gain > 0}


def gains_of_run(
    lists: Sequence[dict[str, float]], query_ids: Sequence[str], relevant: Qrels, depth: int
) -> Float64Array:
    """Gains along the run's lists, ``[len(lists), <= depth]``."""
    lengths = np.array([len(scores) for scores in lists])
    filled = np.arange(max(1, lengths.max())) < lengths[:, None]  # [B, L]
    with np.errstate(over="ignore"):  # beyond float32 is infinite, in trec_eval too
        flat = np.fromiter(chain.from_iterable(s.values() for s in lists), np.float32)
    if np.isnan(flat).any():
        place = int(np.argwhere(filled)[np.isnan(flat).argmax(), 0])
        raise InputError(f"The run holds a NaN score for query {query_ids[place]!r}.")
    scores = np.full(filled.shape, np.nan, dtype=np.float32)  # NaN sorts behind -inf
    scores[filled] = flat
    gains = np.zeros(filled.shape)
    gains[filled] = np.fromiter(
        chain.from_iterable(
            map(relevant[query].get, items, [0.0] * len(items))
            for query, items in zip(query_ids, lists, strict=True)
        ),
        np.float64,
        count=len(flat),
    )
    order = np.argsort(-scores, axis=1)
    _break_ties(order, scores, lists)
    return np.take_along_axis(gains, order[:, :depth], axis=1)


def _break_ties(order: IntArray, scores: FloatArray, lists: Sequence[dict[str, float]]) -> None:
    """Sort again, in place and by id too, the few rows of ``order`` that hold equal scores."""
    ordered = np.take_along_axis(scores, order, axis=1)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)).tolist():
        ids = list(lists[row])
        keys = zip(scores[row, : len(ids)].tolist(), ids, range(len(ids)), strict=True)
        order[row, : len(ids)] = [place for _, _, place in sorted(keys, reverse=True)]


def positive_entries(relevance: sparse.csr_matrix) -> sparse.csr_matrix:
    """Copy the entries > 0; raises ``InputError`` for a gain that is not finite."""
    if not np.isfinite(relevance.data).all():
        raise InputError("The relevance matrix holds a gain that is not finite.")
    positive = relevance.astype(np.float64)  # a copy
    positive.sum_duplicates()
    positive.data[positive.data < 0] = 0
    positive.eliminate_zeros()
    return positive


def gains_of_indices(ranked: IntArray, relevance: sparse.csr_matrix) -> Float64Array:
    """Look gains up in a small dense buffer, block by block: faster than searching CSR rows."""
    num_queries, num_items = relevance.shape
    gains = np.zeros(ranked.shape)
    rows_per_block = max(1, _CELLS_PER_BLOCK // (num_items + 1))
    buffer = np.zeros((rows_per_block, num_items + 1))  # the last column answers index -1
    for start in range(0, num_queries, rows_per_block):
        stop = min(start + rows_per_block, num_queries)
        bounds = relevance.indptr[start : stop + 1]
        row = np.repeat(np.arange(stop - start), np.diff(bounds))
        item = relevance.indices[bounds[0] : bounds[-1]]
        buffer[row, item] = relevance.data[bounds[0] : bounds[-1]]
        gains[start:stop] = np.take_along_axis(
            buffer[: stop - start], ranked[start:stop] % (num_items + 1), axis=1
        )
        buffer[row, item] = 0
    row, rank = np.nonzero(gains)
    hits = row * num_items + ranked[row, rank]
    if len(np.unique(hits)) < len(hits):
        raise InputError("A ranking holds the same item twice; each item may be ranked once.")
    return gains
