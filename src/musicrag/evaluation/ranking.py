"""Dense scores become ranked item indices: exact under ties, without a full sort.

Ties are broken as trec_eval does, by item id descending; ``Vocabulary`` keeps ids sorted, so that
is index descending. Knows nothing of ids, metrics or models.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from musicrag.types import BoolArray, FloatArray, InputError, IntArray

_CELLS_PER_BLOCK = 1 << 20  # 4 MB of float32: the temporaries of a block stay near the cache


def rank_items(
    scores: npt.NDArray[np.floating],
    exclude: sparse.csr_matrix | BoolArray | None,
    k: int,
) -> IntArray:
    """Return the ``k`` best items of each row: score descending, then index descending.

    Scores are compared as float32, as trec_eval does. An item that is excluded or has score
    ``-inf`` is never returned; a row that runs out of items ends in -1.

    Args:
        scores: one row a query, any float type.
        exclude: items to leave out, as a bool mask or as the stored entries of a CSR matrix
            (whatever their value), such as the training rows of these queries.
        k: length of the lists, from 1 to the number of items.

    Shapes:
        scores and exclude ``[num_queries, num_items]``; result ``[num_queries, k]``.

    Raises:
        InputError: ``k`` does not fit the catalogue, shapes differ, or a score is NaN.
    """
    num_queries, num_items = _checked_shape(scores, exclude, k)
    ranked = np.empty((num_queries, k), dtype=np.int64)
    rows_per_block = max(1, _CELLS_PER_BLOCK // num_items)
    for start in range(0, num_queries, rows_per_block):
        rows = slice(start, min(start + rows_per_block, num_queries))
        with np.errstate(over="ignore"):  # beyond float32 is infinite, in trec_eval too
            block = scores[rows].astype(np.float32, copy=True)
        if np.isnan(block).any():
            row, item = np.argwhere(np.isnan(block))[0]
            raise InputError(f"The score of item index {item} in row {start + row} is NaN.")
        _drop(block, exclude, rows)
        ranked[rows] = _top_k(block, k)
    return ranked


def _checked_shape(
    scores: npt.NDArray[np.floating], exclude: sparse.csr_matrix | BoolArray | None, k: int
) -> tuple[int, int]:
    if scores.ndim != 2:
        raise InputError(f"Scores must be [num_queries, num_items], got shape {scores.shape}.")
    num_queries, num_items = scores.shape
    if exclude is not None and exclude.shape != scores.shape:
        raise InputError(
            f"`exclude` has shape {exclude.shape}, the scores {scores.shape}; they must agree. "
            "Select the rows of these queries first."
        )
    if not 1 <= k <= num_items:
        raise InputError(
            f"k={k} items were asked of a catalogue of {num_items}. "
            f"Choose a cut-off between 1 and {num_items}."
        )
    return num_queries, num_items


def _drop(block: FloatArray, exclude: sparse.csr_matrix | BoolArray | None, rows: slice) -> None:
    if exclude is None:
        return
    if isinstance(exclude, np.ndarray):
        block[exclude[rows]] = -np.inf
        return
    bounds = exclude.indptr[rows.start : rows.stop + 1]
    row = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    block[row, exclude.indices[bounds[0] : bounds[-1]]] = -np.inf


def _top_k(block: FloatArray, k: int) -> IntArray:
    """Rank one block: all items above the k-th score, then the highest indices that equal it."""
    num_rows, num_items = block.shape
    threshold = np.partition(block, num_items - k, axis=1)[:, num_items - k]
    row, item = np.nonzero(block >= threshold[:, None])  # per row: ascending index, k or more
    surplus = np.bincount(row, minlength=num_rows) - k
    if surplus.any():
        is_tied = block[row, item] == threshold[row]
        tie_number = np.cumsum(is_tied)  # over the whole block; made per row below, from 1
        before_row = np.concatenate([[0], np.cumsum(np.bincount(row, is_tied, num_rows))[:-1]])
        keep = ~is_tied | (tie_number - before_row[row] > surplus[row])
        item = item[keep]
    item = item.reshape(num_rows, k)[:, ::-1]  # index descending, so a stable sort keeps ties
    score = np.take_along_axis(block, item, axis=1)
    order = np.argsort(-score, axis=1, kind="stable")
    ranked = np.take_along_axis(item, order, axis=1)
    ranked[np.take_along_axis(score, order, axis=1) == -np.inf] = -1
    return ranked
