"""Edges between items that no row states: what stands together, and what feels alike.

Knows frames only. Co-occurrence must be given training rows; emotion is content, not behaviour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, spatial

from musicrag.types import FloatArray, IntArray, Vocabulary

Pairs = tuple["pd.Series[str]", "pd.Series[str]", "pd.Series[float]"]
"""Item ids of both ends, each pair once, and the weight."""

_VAD = ("valence", "arousal", "dominance")


def cooccurrence_pairs(rows: pd.DataFrame, top: int) -> Pairs:
    """Positive pointwise mutual information of items in the same training playlist.

    PMI(i, j) = log(p(i, j) / (p(i) p(j))) over playlists; only pairs seen at least twice count.
    Source: Church and Hanks 1990.

    Args:
        rows: table ``playlist_items``, training rows only.
        top: pairs kept for each item, highest PMI first.
    """
    items, lists = Vocabulary(rows["item_id"]), Vocabulary(rows["playlist_id"])
    cells = (lists.encode(rows["playlist_id"].array), items.encode(rows["item_id"].array))
    member = sparse.csr_matrix((np.ones(len(rows)), cells), shape=(len(lists), len(items)))
    together = sparse.triu(member.T @ member, k=1).tocoo()
    count = np.asarray(member.sum(axis=0)).ravel()
    pmi = np.log(together.data * len(lists) / (count[together.row] * count[together.col]))
    keep = (together.data >= 2) & (pmi > 0)
    a, b, pmi = together.row[keep], together.col[keep], pmi[keep]
    chosen = _strongest(np.concatenate([a, b]), np.concatenate([pmi, pmi]), top)
    pairs = np.unique(chosen % max(len(a), 1))
    return _pairs(items.array, a, b, pmi, pairs)


def similar_mood_pairs(features: pd.DataFrame, top: int) -> Pairs:
    r"""The nearest items of each item in valence, arousal and (where known) dominance.

    Axes are standardised to z-scores; ``weight = exp(-d)`` of the Euclidean distance ``d``, so a
    pair that feels the same weighs 1. Without valence and arousal there are no pairs, and an item
    that lacks a value of an axis is in none.

    Args:
        features: table ``emotion_features``; the axes are columns ``valence`` or
            ``valence_mean``, and so on.
        top: neighbours kept for each item.
    """
    features = features.sort_values("item_id")  # else the order of rows would break ties
    found_axes = [[name for name in (axis, f"{axis}_mean") if name in features] for axis in _VAD]
    axes = [names[0] for names in found_axes if names]
    values = features[axes].to_numpy(dtype=np.float64)
    known = np.isfinite(values).all(axis=1)
    ids, values = features["item_id"].to_numpy(dtype=object)[known], values[known]
    count = min(top, len(values) - 1)
    if not all(found_axes[:2]) or count < 1:
        nothing = np.empty(0, dtype=np.int64)
        return _pairs(ids, nothing, nothing, nothing, nothing)
    spread = values.std(axis=0)
    scores = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    found = spatial.KDTree(scores).query(scores, k=count + 1)
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    own = np.arange(len(ids))[:, None]
    is_other = near != own  # equal points may push an item out of its own list
    is_other[is_other.all(axis=1), -1] = False
    weight = np.exp(-distance)
    is_alike = weight >= np.finfo(np.float32).tiny  # else an outlier's edges would weigh 0
    a = np.repeat(own, near.shape[1], axis=1).ravel()
    return _pairs(ids, a, near.ravel(), weight.ravel(), np.flatnonzero(is_other & is_alike))


def _pairs(ids: object, a: Any, b: Any, weight: Any, kept: IntArray) -> Pairs:
    names = np.asarray(ids, dtype=object)
    return (
        pd.Series(names[a[kept]], dtype="str"),
        pd.Series(names[b[kept]], dtype="str"),
        pd.Series(weight[kept], dtype="float64"),
    )


def _strongest(owner: IntArray, value: FloatArray, top: int) -> IntArray:
    """Positions of the ``top`` highest values of each owner."""
    order = np.lexsort((np.arange(len(owner)), -value, owner))
    starts = np.searchsorted(owner[order], owner[order], side="left")
    positions: IntArray = order[np.arange(len(order)) - starts < top]
    return positions
