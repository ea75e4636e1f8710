"""Ranked lists become coverage, novelty, popularity, concentration and diversity.

What accuracy does not see: whether the system only repeats the hits everyone knows. Popularity
counts come from training rows only; the caller passes them. Lists are item indices, -1 where a
list is short. Knows nothing of relevance.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musicrag.types import FloatArray, InputError, IntArray

Float64Array = npt.NDArray[np.float64]

_CELLS_PER_BLOCK = 1 << 22  # 16 MB of float32


def coverage(ranked: IntArray, num_items: int) -> float:
    """Share of the catalogue that stands in at least one list."""
    return len(np.unique(ranked[ranked >= 0])) / num_items


def novelty(ranked: IntArray, popularity: IntArray, num_profiles: int) -> float:
    """Mean self-information of the recommended items, in bits; 0 if nothing is recommended.

    ``-log2((popularity + 1) / (num_profiles + 1))``; the added one keeps unheard items finite.
    Mean over each list, then over lists.

    Source:
        Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma"; Vargas and Castells
        2011 (free discovery).
    """
    bits = -np.log2((popularity + 1) / (num_profiles + 1))
    return _mean_over_lists(ranked, bits)


def mean_popularity(ranked: IntArray, popularity: IntArray) -> float:
    """Average recommendation popularity: training profiles that hold an item, mean as above.

    Source:
        Yin et al. 2012; Abdollahpouri et al. 2019.
    """
    return _mean_over_lists(ranked, popularity.astype(np.float64))


def gini(ranked: IntArray, num_items: int) -> float:
    """Gini coefficient of how often each item is recommended: 0 all alike, near 1 a single item.

    ``sum_i (2 i - n - 1) x_(i) / (n sum x)`` over ascending counts; 0 if nothing is recommended.
    """
    counts = np.sort(np.bincount(ranked[ranked >= 0], minlength=num_items)).astype(np.float64)
    weights = 2 * np.arange(1, num_items + 1) - num_items - 1
    return float(weights @ counts / (num_items * max(counts.sum(), 1)))


def intra_list_diversity(ranked: IntArray, vectors: FloatArray) -> float:
    """Mean cosine distance between the items of a list, averaged over lists.

    By ``sum over pairs of cos = (|sum v|^2 - n) / 2`` for n unit vectors, without forming pairs.
    Items with a zero vector (no data) are left out; so are lists of fewer than two items with
    data. 0 if no list remains.

    Shapes:
        ranked ``[num_queries, k]``; vectors ``[num_items, dim]``.

    Source:
        Ziegler et al. 2005, "Improving recommendation lists through topic diversification".
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    units = np.vstack([units, np.zeros((1, vectors.shape[1]), dtype=units.dtype)])  # for -1
    has_vector = np.append(norms[:, 0] > 0, False)
    distances = []
    rows_per_block = max(1, _CELLS_PER_BLOCK // max(1, ranked.shape[1] * vectors.shape[1]))
    for start in range(0, len(ranked), rows_per_block):
        block = ranked[start : start + rows_per_block]
        size = has_vector[block].sum(axis=1)
        total = units[block].sum(axis=1, dtype=np.float64)  # [B, dim]
        mean_cosine = ((total**2).sum(axis=1) - size) / np.maximum(size * (size - 1), 1)
        distances.append(1 - mean_cosine[size >= 2])
    flat = np.concatenate([np.zeros(0), *distances])
    return float(flat.mean()) if len(flat) else 0.0


def beyond_accuracy(
    ranked: IntArray,
    popularity: IntArray,
    num_profiles: int,
    k: int,
    vectors: FloatArray | None = None,
) -> dict[str, float]:
    """All of the above at cut-off ``k``, by name: ``coverage@10``, ``novelty@10``, …

    Args:
        ranked: item indices, best first, -1 where a list is short.
        popularity: number of training profiles that hold each item.
        num_profiles: number of training profiles.
        k: cut-off.
        vectors: item vectors for ``diversity@k``, which is left out without them.

    Shapes:
        ranked ``[num_queries, >= k]``; popularity ``[num_items]``; vectors ``[num_items, dim]``.

    Raises:
        InputError: shapes disagree, or the lists are shorter than ``k``.
    """
    num_items = len(popularity)
    if not 1 <= k <= ranked.shape[1]:
        raise InputError(f"k={k} must lie between 1 and the length of lists, {ranked.shape[1]}.")
    if vectors is not None and len(vectors) != num_items:
        raise InputError(f"{len(vectors)} item vectors for {num_items} items; give one each.")
    top = ranked[:, :k]
    values = {
        f"coverage@{k}": coverage(top, num_items),
        f"novelty@{k}": novelty(top, popularity, num_profiles),
        f"popularity@{k}": mean_popularity(top, popularity),
        f"gini@{k}": gini(top, num_items),
    }
    if vectors is not None:
        values[f"diversity@{k}"] = intra_list_diversity(top, vectors)
    return values


def _mean_over_lists(ranked: IntArray, item_values: Float64Array) -> float:
    is_item = ranked >= 0
    size = is_item.sum(axis=1)
    totals = np.where(is_item, item_values[ranked], 0).sum(axis=1)
    return float((totals[size > 0] / size[size > 0]).mean()) if size.any() else 0.0
