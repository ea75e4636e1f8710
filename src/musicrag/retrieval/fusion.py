"""Lists of several channels become one, by weights that validation chose.

Works on padded arrays for all queries at once. What "better" means comes in as a function of the
fused ranking, because this package stands left of evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse

from musicrag.retrieval.channels import Candidates
from musicrag.types import FloatArray, IntArray

Fusion = Literal["convex", "rrf"]
Score = Callable[[IntArray], float]
"""``fused item indices [Q, k], -1 padded -> quality``; higher is better."""

_RRF_OFFSET = 60.0  # Cormack et al. 2009
_RIDGE = 1e-4  # of squared weights: keeps channels that never matter at 0


@dataclass(frozen=True)
class Pool:
    """The union of all channels' candidates for each query.

    Shapes:
        item_idx int64 ``[Q, M]``, descending, -1 padded; values float32 ``[C, Q, M]``, one
        comparable score per channel, lowest where the channel did not return the item.
    """

    item_idx: IntArray
    values: FloatArray


def pool(channels: Sequence[Candidates], fusion: Fusion) -> Pool:
    """Unite the candidate lists and make their scores comparable.

    ``convex`` standardises each list to mean 0 and deviation 1 (an item that a channel did not
    return gets that list's lowest value, or -1 if all scores of the list are equal, as in a list
    of one item); ``rrf`` takes ``1 / (60 + rank)``, else 0.
    """
    num_queries = channels[0].item_idx.shape[0]
    span = 1 + max(int(c.item_idx.max(initial=-1)) for c in channels)
    rows = np.arange(num_queries, dtype=np.int64)[:, None]
    codes = [(rows * span + c.item_idx)[c.item_idx >= 0] for c in channels]
    union = np.unique(np.concatenate(codes))[::-1]  # descending: ties go to the higher id
    owner = union // max(span, 1)
    counts = np.bincount(owner, minlength=num_queries)
    width = max(int(counts.max(initial=0)), 1)
    starts = np.concatenate([[0], np.cumsum(counts[::-1])[:-1]])[::-1]
    column = np.arange(len(union)) - starts[owner]
    items = np.full((num_queries, width), -1, dtype=np.int64)
    items[owner, column] = union % max(span, 1)
    values = np.zeros((len(channels), num_queries, width), dtype=np.float32)
    for place, candidates in enumerate(channels):
        comparable, lowest = _comparable(candidates, fusion)
        values[place] = lowest[:, None]
        found = union.size - 1 - np.searchsorted(union[::-1], codes[place])
        values[place, owner[found], column[found]] = comparable[candidates.item_idx >= 0]
    return Pool(items, values)


def _comparable(candidates: Candidates, fusion: Fusion) -> tuple[FloatArray, FloatArray]:
    is_there = candidates.item_idx >= 0
    if fusion == "rrf":
        rank = np.arange(candidates.item_idx.shape[1], dtype=np.float32)
        values = np.broadcast_to(1.0 / (_RRF_OFFSET + 1.0 + rank), is_there.shape)
        return values.astype(np.float32), np.zeros(len(is_there), dtype=np.float32)
    count = np.maximum(is_there.sum(axis=1, keepdims=True), 1)
    scores = np.where(is_there, candidates.scores, 0.0).astype(np.float64)
    mean = scores.sum(axis=1, keepdims=True) / count
    spread = np.where(is_there, scores - mean, 0.0)
    deviation = np.sqrt((spread**2).sum(axis=1, keepdims=True) / count)
    values = np.divide(spread, deviation, out=np.zeros_like(spread), where=deviation > 0)
    is_flat = is_there.any(axis=1) & (deviation[:, 0] == 0)
    lowest = np.where(is_flat, -1.0, values.min(axis=1, initial=0.0))
    return values.astype(np.float32), lowest.astype(np.float32)


def fuse(candidates: Pool, weights: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Rank the pool by the weighted sum of channel values.

    Returns:
        Item indices ``[Q, k]`` (-1 padded) and float32 scores; ties by item index descending.
    """
    total = np.tensordot(weights.astype(np.float32), candidates.values, axes=1)
    total = np.where(candidates.item_idx >= 0, total, -np.inf).astype(np.float32)
    order = np.argsort(-total, axis=1, kind="stable")[:, :k]
    items = np.take_along_axis(candidates.item_idx, order, axis=1)
    scores = np.take_along_axis(total, order, axis=1)
    missing = k - items.shape[1]
    if missing > 0:
        items = np.pad(items, ((0, 0), (0, missing)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    return items, scores


def tune_weights(
    candidates: Pool, relevance: sparse.csr_matrix, score: Score, k: int
) -> FloatArray:
    r"""Choose channel weights on validation: likelihood first, then a check by the metric.

    The weights maximise the softmax likelihood of relevant candidates within each query's pool,
    a convex problem with one answer, so that another training seed cannot land in another local
    optimum of a stepwise metric. Then a channel whose removal does not lower the score gets
    weight 0, and if a single channel beats the mixture, it alone is taken.

    Args:
        relevance: validation answers, rows as in ``candidates``. Shape ``[Q, num_items]``.
        score: quality of a fused ranking, higher is better.
        k: length of the rankings that ``score`` sees.

    Source: Cao et al. 2007, "Learning to rank: from pairwise to listwise approach".
    """
    num_channels = candidates.values.shape[0]
    weights = _likeliest_weights(candidates, relevance)
    reached = score(fuse(candidates, weights, k)[0])
    for channel in np.argsort(weights):
        without = weights.copy()
        without[channel] = 0.0
        found = score(fuse(candidates, without, k)[0]) if without.any() else -np.inf
        if found >= reached:
            weights, reached = without, found
    for single in np.eye(num_channels, dtype=np.float32):
        found = score(fuse(candidates, single, k)[0])
        if found > reached:
            weights, reached = single, found
    return weights


def _likeliest_weights(candidates: Pool, relevance: sparse.csr_matrix) -> FloatArray:
    """Non-negative weights of highest regularised likelihood; equal ones if nothing is relevant."""
    values = candidates.values.astype(np.float64)
    num_channels = len(values)
    is_there = candidates.item_idx >= 0
    rows = np.arange(len(is_there), dtype=np.int64)[:, None]
    codes = rows * relevance.shape[1] + candidates.item_idx
    answers = relevance.tocoo()
    wanted = answers.row.astype(np.int64) * relevance.shape[1] + answers.col
    hits = (np.isin(codes, wanted) & is_there).astype(np.float64)
    per_query = hits.sum(axis=1)
    total = per_query.sum()
    if not total:
        return np.ones(num_channels, dtype=np.float32)
    observed = np.tensordot(values, hits, axes=([1, 2], [0, 1]))

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scores = np.where(is_there, np.tensordot(weights, values, axes=1), -np.inf)
        top = np.where(is_there.any(axis=1), scores.max(axis=1), 0.0)
        mass = np.exp(scores - top[:, None])
        norm = np.maximum(mass.sum(axis=1), 1e-300)
        expected = np.tensordot(values, mass * (per_query / norm)[:, None], axes=([1, 2], [0, 1]))
        fit = weights @ observed - (per_query * (np.log(norm) + top)).sum()
        slope = (expected - observed) / total + 2 * _RIDGE * weights
        return float(-fit / total + _RIDGE * weights @ weights), slope

    found = optimize.minimize(
        loss,
        np.full(num_channels, 0.5),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * num_channels,
    )
    weights: FloatArray = found.x.astype(np.float32)
    return weights if weights.any() else np.ones(num_channels, dtype=np.float32)
