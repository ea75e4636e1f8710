"""EASE^R: the linear item-item model with zero diagonal, in closed form, by the smaller side.

With X the binary profile-item matrix and P = (X^T X + l2 I)^-1:

    B = I - P diag(1 / P_jj)        scores = X B        score_uj = x_uj - (X P)_uj / P_jj

If there are fewer profiles than items, nothing of size num_items^2 is formed: by Woodbury

    K = (l2 I + X X^T)^-1           X P = K X           P_jj = (1 - x_j^T K x_j) / l2

Source:
    Steck 2019, "Embarrassingly shallow autoencoders for sparse data", equations 5-8
    (arXiv:1905.03375). The dual form is ours; a test holds it to the plain inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from musicrag.baselines.interactions import Grid, binarise, check_positive, check_profiles
from musicrag.types import FloatArray, InputError, IntArray

Float64Array = npt.NDArray[np.float64]

_ROWS_PER_BLOCK = 256
_MAX_SIDE = 40_000  # a dense float64 matrix of this side takes 13 GB


@dataclass
class EASE:
    """Ridge regression of each item on all others; weights are binarised.

    Args:
        l2: > 0; ridge penalty, the only hyper-parameter.
    """

    name: ClassVar[str] = "ease"
    grid: ClassVar[Grid] = {"l2": (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)}

    l2: float = 100.0

    def __post_init__(self) -> None:
        check_positive("l2", self.l2)

    def fit(self, train: sparse.csr_matrix, rng: np.random.Generator) -> None:
        """Solve, in float64; ``rng`` is not used.

        Raises:
            InputError: both sides of ``train`` are too large for a dense matrix.
        """
        self._train = binarise(train, np.float64)
        num_profiles, num_items = train.shape
        if min(num_profiles, num_items) > _MAX_SIDE:
            raise InputError(
                f"EASE needs a dense matrix over {min(num_profiles, num_items)} rows; at most "
                f"{_MAX_SIDE} are supported. Leave it out, or filter rare items first."
            )
        self._is_dual = num_profiles < num_items
        if self._is_dual:
            self._fit_dual()
        else:
            self._fit_primal()

    def score(self, profiles: IntArray) -> FloatArray:
        check_profiles(profiles, self._train.shape[0])
        rows = self._train[profiles]
        if not self._is_dual:
            return np.asarray(rows @ self._weights, dtype=np.float32)
        scores = -(self._by_item @ self._kernel[:, profiles]).T / self._diagonal
        row = np.repeat(np.arange(len(profiles)), np.diff(rows.indptr))
        scores[row, rows.indices] += 1
        return np.ascontiguousarray(scores, dtype=np.float32)

    def _fit_dual(self) -> None:
        x = self._train
        num_profiles, num_items = x.shape
        self._by_item = x.T.tocsr()
        self._kernel = _inverse((x @ self._by_item).toarray(), self.l2)
        explained = np.zeros(num_items)  # x_j^T K x_j
        for start in range(0, num_profiles, _ROWS_PER_BLOCK):
            rows = x[start : start + _ROWS_PER_BLOCK]
            smoothed = self._by_item @ self._kernel[:, start : start + _ROWS_PER_BLOCK]
            row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
            explained += np.bincount(rows.indices, smoothed[rows.indices, row], num_items)
        self._diagonal = (1 - explained) / self.l2  # P_jj

    def _fit_primal(self) -> None:
        inverse = _inverse((self._train.T @ self._train).toarray(), self.l2)
        inverse /= -np.diag(inverse).copy()
        np.fill_diagonal(inverse, 0)
        self._weights = inverse.astype(np.float32)


def _inverse(gram: Float64Array, l2: float) -> Float64Array:
    """Inverse of ``gram + l2 I`` by Cholesky, a third of the work of a general inverse."""
    gram[np.diag_indices_from(gram)] += l2
    factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
    if failed:
        raise InputError(f"X^T X + l2 I is not positive definite at l2={l2}; raise l2.")
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(inverse, -1)
    return np.asarray(lower + lower.T + np.diag(np.diag(inverse)))
