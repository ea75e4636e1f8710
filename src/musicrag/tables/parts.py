"""Which pair goes to which part: the arithmetic of splits on plain arrays.

Knows profiles and items as integers only; where they come from is known to ``splits``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musicrag.types import IntArray

TRAIN, VALID, TEST = 0, 1, 2
MIN_ITEMS = 3
"""A profile with fewer items has not one for each part, and stays in train."""

Ratios = tuple[float, float, float]


def part_sizes(num_items: IntArray, ratios: Ratios) -> tuple[IntArray, IntArray]:
    """Numbers of validation and of test items, by RecBole's rounding.

    ``int(ratio * n)``; where that is zero, test and then valid take one item as long as train
    keeps one. Both are zero for ``n < 3`` (RecBole would still take a test item from 2).

    Args:
        num_items: items of each profile. Shape ``[num_profiles]``.
        ratios: shares of train, valid and test.

    Source:
        RecBole 1.2, ``recbole.data.dataset.Dataset._calcu_split_ids``.
    """
    enough = num_items >= MIN_ITEMS
    num_valid = (num_items * ratios[1]).astype(np.int64) * enough
    num_test = (num_items * ratios[2]).astype(np.int64) * enough
    num_test += enough & (num_test == 0) & (num_items - num_valid > 1)
    num_valid += enough & (num_valid == 0) & (num_items - num_test > 1)
    return num_valid, num_test


def hide_last(
    profile_idx: IntArray,
    rank: npt.NDArray[np.float64],
    num_valid: IntArray,
    num_test: IntArray,
) -> IntArray:
    """Part of each pair: a profile's last by rank are test, those before them valid.

    Args:
        profile_idx: profile of each pair. Shape ``[num_pairs]``.
        rank: sorts the pairs of a profile. Shape ``[num_pairs]``.
        num_valid, num_test: items to hide of each profile. Shape ``[num_profiles]``.
    """
    ends = np.cumsum(np.bincount(profile_idx, minlength=len(num_test)))
    by_rank = np.lexsort((rank, profile_idx))
    from_end = np.empty(len(profile_idx), dtype=np.int64)
    from_end[by_rank] = ends[profile_idx[by_rank]] - 1 - np.arange(len(profile_idx))
    part = np.full(len(profile_idx), TRAIN, dtype=np.int64)
    part[from_end < (num_valid + num_test)[profile_idx]] = VALID
    part[from_end < num_test[profile_idx]] = TEST
    return part


def hide_items(item_idx: IntArray, ratios: Ratios, rng: np.random.Generator) -> IntArray:
    """Part of each pair by its item, so that an item occurs in one part only. ``[num_pairs]``."""
    items, inverse = np.unique(item_idx, return_inverse=True)
    num_valid, num_test = (int(size[0]) for size in part_sizes(np.array([len(items)]), ratios))
    shuffled = rng.permutation(len(items))
    item_part = np.full(len(items), TRAIN, dtype=np.int64)
    item_part[shuffled[:num_test]] = TEST
    item_part[shuffled[num_test : num_test + num_valid]] = VALID
    return item_part[inverse]
