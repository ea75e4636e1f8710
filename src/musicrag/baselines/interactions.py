"""What every baseline asks of the profile-item matrix: binary values, and rows that exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np
from scipy import sparse

from musicrag.contracts import Recommender
from musicrag.types import InputError, IntArray

Value = float | int
Params = dict[str, Value]
Grid = Mapping[str, tuple[Value, ...]]
"""Values to try for each hyper-parameter; empty where there is nothing to tune."""


class Baseline(Recommender, Protocol):
    """A recommender that says which hyper-parameters to try."""

    grid: ClassVar[Grid]


def binarise(train: sparse.csr_matrix, dtype: type[np.floating] = np.float32) -> sparse.csr_matrix:
    """Copy ``train`` with 1 for every stored value that is not 0, indices sorted.

    The published baselines take implicit feedback as binary; play counts span five orders of
    magnitude and would let a few heavy listeners decide.
    """
    binary = sparse.csr_matrix(train, copy=True)
    binary.sum_duplicates()
    binary.eliminate_zeros()
    return sparse.csr_matrix(
        (np.ones(binary.nnz, dtype=dtype), binary.indices, binary.indptr), shape=binary.shape
    )


def check_profiles(profiles: IntArray, num_profiles: int) -> None:
    """Refuse rows that were not fitted, negative ones too (numpy would count from the end).

    Raises:
        InputError: an index is below 0 or not below ``num_profiles``.
    """
    profiles = np.asarray(profiles)
    if profiles.size and not (profiles.min() >= 0 and profiles.max() < num_profiles):
        raise InputError(
            f"Profile indices run from {profiles.min()} to {profiles.max()}, but rows 0 to "
            f"{num_profiles - 1} were fitted. Fit on a matrix that holds these profiles."
        )


def check_positive(name: str, value: Value) -> None:
    """Refuse a hyper-parameter that is not above 0; raises ``InputError``."""
    if not 0 < value < float("inf"):
        raise InputError(f"{name} must be above 0 and finite, got {value}.")
