"""Implicit ALS: matrix factorisation on all pairs, observed ones with more confidence.

Minimises over profile factors x_u and item factors y_i

    sum over all (u, i) of c_ui (p_ui - x_u . y_i)^2 + sum_u r_u |x_u|^2 + sum_i r_i |y_i|^2

with p = 1, c = 1 + alpha where observed and p = 0, c = 1 elsewhere. ``r_u = l2 (sum_i c_ui)^nu``:
``nu = 0`` is Hu et al.'s constant penalty, ``nu = 1`` Rendle et al.'s, scaled by frequency.

One side is solved at a time. In the eigenbasis of Y^T Y the part that all rows share is diagonal,
so a row of n < embedding_dim entries costs an n x n system (push-through identity) and not a
d x d one; rows are batched by n, and most items of a long tail have n <= 5.

Source:
    Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets";
    Rendle et al. 2022, "Revisiting the performance of iALS" (arXiv:2110.14037), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from musicrag.baselines.interactions import Grid, binarise, check_positive, check_profiles
from musicrag.types import BoolArray, FloatArray, InputError, IntArray

_CELLS_PER_BLOCK = 1 << 20  # 4 MB of float32


@dataclass
class IALS:
    """Alternating least squares on implicit feedback; weights are binarised.

    Args:
        embedding_dim: length of the factors.
        num_epochs: sweeps over both sides.
        alpha: > 0; extra confidence of an observed pair.
        l2: > 0; penalty, before it is scaled.
        reg_exponent: nu in [0, 1]; how far the penalty grows with a row's confidence.
    """

    name: ClassVar[str] = "ials"
    grid: ClassVar[Grid] = {
        "embedding_dim": (64, 128),
        "alpha": (3.0, 10.0, 30.0),
        "l2": (0.001, 0.002, 0.005, 0.01),
    }

    embedding_dim: int = 64
    num_epochs: int = 8
    alpha: float = 10.0
    l2: float = 0.003
    reg_exponent: float = 1.0

    def __post_init__(self) -> None:
        for name in ("embedding_dim", "num_epochs", "alpha", "l2"):
            check_positive(name, getattr(self, name))
        if not 0 <= self.reg_exponent <= 1:
            raise InputError(f"reg_exponent must lie in [0, 1], got {self.reg_exponent}.")

    def fit(self, train: sparse.csr_matrix, rng: np.random.Generator) -> None:
        """Alternate ``num_epochs`` times, from item factors of standard deviation 0.1/sqrt(d)."""
        by_profile = binarise(train)
        by_item = by_profile.T.tocsr()
        shape = (by_item.shape[0], self.embedding_dim)
        scale = 0.1 / np.sqrt(self.embedding_dim)
        items: FloatArray = (scale * rng.standard_normal(shape)).astype(np.float32)
        for _ in range(self.num_epochs):
            profiles = solve_side(by_profile, items, self.alpha, self.l2, self.reg_exponent)
            items = solve_side(by_item, profiles, self.alpha, self.l2, self.reg_exponent)
        self._profiles, self._items = profiles, items

    def score(self, profiles: IntArray) -> FloatArray:
        check_profiles(profiles, len(self._profiles))
        return self._profiles[profiles] @ self._items.T


def solve_side(
    matrix: sparse.csr_matrix, fixed: FloatArray, alpha: float, l2: float, reg_exponent: float
) -> FloatArray:
    """Best factors of the rows of ``matrix``, given those of its columns.

    Row r solves ``(Y^T Y + alpha Y_r^T Y_r + reg_r I) x = (1 + alpha) Y_r^T 1``, where Y_r are
    the factors of its entries; a row without entries gets zeros.

    Shapes:
        matrix ``[num_rows, num_columns]`` binary; fixed ``[num_columns, d]``; result
        ``[num_rows, d]``.
    """
    num_columns, dim = fixed.shape
    eigenvalues, basis = np.linalg.eigh((fixed.T @ fixed).astype(np.float64))
    rotated = (fixed @ basis).astype(np.float32)
    padded = np.vstack([rotated, np.zeros((1, dim), dtype=np.float32)])  # last row: no entry
    degree = np.diff(matrix.indptr)
    penalty = l2 * (num_columns + alpha * degree) ** reg_exponent
    diagonal = (np.maximum(eigenvalues, 0) + penalty[:, None]).astype(np.float32)  # [rows, d]
    solved = np.zeros((matrix.shape[0], dim), dtype=np.float32)
    for rows in _blocks(degree, dim):
        width = int(degree[rows].max())
        place = np.arange(width)
        is_entry = place < degree[rows, None]  # [B, width]
        column = np.full(is_entry.shape, num_columns)
        column[is_entry] = matrix.indices[(matrix.indptr[rows, None] + place)[is_entry]]
        solve = _solve_by_entries if width < dim else _solve_by_factors
        solved[rows] = solve(padded[column], is_entry, diagonal[rows], alpha)
    return np.asarray(solved @ basis.T.astype(np.float32))


def _blocks(degree: IntArray, dim: int) -> list[IntArray]:
    """Part the rows that have entries into blocks of similar degree and bounded memory."""
    rows = np.argsort(degree, kind="stable")
    rows = rows[np.searchsorted(degree[rows], 1) :]
    blocks = []
    while len(rows):  # from the widest row down, which bounds the memory of its block
        width = int(degree[rows[-1]])
        num_rows = max(1, _CELLS_PER_BLOCK // (width * dim))
        block = rows[-num_rows:]
        block = block[degree[block] * 2 > width]  # little padding
        blocks.append(block)
        rows = rows[: len(rows) - len(block)]
    return blocks


def _solve_by_entries(
    factors: FloatArray, is_entry: BoolArray, diagonal: FloatArray, alpha: float
) -> FloatArray:
    """``x = (1 + alpha) D^-1 Y^T (I + alpha Y D^-1 Y^T)^-1 1``: one n x n system a row.

    Shapes:
        factors ``[B, n, d]``, zero where ``is_entry [B, n]`` is False; diagonal ``[B, d]``.
    """
    scaled = factors / diagonal[:, None, :]
    system = alpha * (factors @ scaled.transpose(0, 2, 1))
    system += np.eye(is_entry.shape[1], dtype=np.float32)
    right = (1 + alpha) * is_entry[:, :, None].astype(np.float32)
    weights = np.linalg.solve(system, right)  # LU: numpy has no batched triangular solve
    return np.asarray((scaled * weights).sum(axis=1), dtype=np.float32)


def _solve_by_factors(
    factors: FloatArray, is_entry: BoolArray, diagonal: FloatArray, alpha: float
) -> FloatArray:
    """``x = (D + alpha Y^T Y)^-1 (1 + alpha) Y^T 1``: one d x d system a row; shapes as above."""
    system = alpha * (factors.transpose(0, 2, 1) @ factors)
    system += diagonal[:, :, None] * np.eye(diagonal.shape[1], dtype=np.float32)
    right = (1 + alpha) * (factors * is_entry[:, :, None]).sum(axis=1)
    return np.asarray(np.linalg.solve(system, right[:, :, None])[:, :, 0], dtype=np.float32)
