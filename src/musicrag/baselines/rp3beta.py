"""RP3beta: three random steps profile -> item -> profile -> item, popular items toned down.

    P = rows of X normalised to 1, Q = rows of X^T normalised to 1, both raised to ``alpha``
    W = Q P, each column j divided by popularity(j)^beta        score(u) = x_u W

with only the ``num_neighbours`` largest weights kept in each row of W. (Row u of X scaled by its
first step would not change the ranking of u, so it is left out.)

Source:
    Paudel et al. 2017, "Updatable, accurate, diverse, and scalable recommendations for
    interactive applications", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from musicrag.baselines.interactions import Grid, binarise, check_positive, check_profiles
from musicrag.baselines.item_knn import keep_top
from musicrag.types import FloatArray, IntArray

_ROWS_PER_BLOCK = 4096


@dataclass
class RP3Beta:
    """Random walks of three steps; weights are binarised.

    Args:
        num_neighbours: weights kept for each item.
        alpha: > 0; exponent of the step probabilities.
        beta: exponent of the popularity that divides; 0 for none.
    """

    name: ClassVar[str] = "rp3beta"
    grid: ClassVar[Grid] = {
        "num_neighbours": (100, 200, 500),
        "alpha": (0.4, 0.7, 1.0, 1.3),
        "beta": (0.1, 0.3, 0.5, 0.7),
    }

    num_neighbours: int = 200
    alpha: float = 1.0
    beta: float = 0.5

    def __post_init__(self) -> None:
        check_positive("num_neighbours", self.num_neighbours)
        check_positive("alpha", self.alpha)

    def fit(self, train: sparse.csr_matrix, rng: np.random.Generator) -> None:
        """Walk; ``rng`` is not used."""
        self._train = binarise(train)
        from_profile = _step(self._train, self.alpha)
        from_item = _step(self._train.T.tocsr(), self.alpha)
        popularity = np.maximum(np.diff(self._train.tocsc().indptr), 1).astype(np.float32)
        discount = popularity**-self.beta
        blocks = []
        for start in range(0, from_item.shape[0], _ROWS_PER_BLOCK):
            weights = (from_item[start : start + _ROWS_PER_BLOCK] @ from_profile).tocsr()
            row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
            weights.data *= discount[weights.indices]
            weights.data[weights.indices == start + row] = 0
            blocks.append(keep_top(weights, self.num_neighbours))
        self._weights = sparse.vstack(blocks, format="csr")

    def score(self, profiles: IntArray) -> FloatArray:
        check_profiles(profiles, self._train.shape[0])
        scores = (self._train[profiles] @ self._weights).toarray()
        return np.asarray(scores, dtype=np.float32)


def _step(matrix: sparse.csr_matrix, alpha: float) -> sparse.csr_matrix:
    """Step probabilities of a binary matrix, ``(1 / degree)^alpha`` where it has an entry."""
    degree = np.diff(matrix.indptr)
    data = np.repeat(np.maximum(degree, 1).astype(np.float32) ** -alpha, degree)
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)
