"""Item k-nearest neighbours: a profile gets the items most alike to the items it holds.

    sim(i, j) = (x_i . x_j) / (|x_i| |x_j| + shrinkage)     score(u, j) = sum over i in u of sim

with only the ``num_neighbours`` most similar i kept for each j. All sparse.

Source:
    Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms"; the
    shrinkage of Ferrari Dacrema, Cremonesi and Jannach 2019 (arXiv:1907.06902), who show that
    this baseline, tuned, beats many neural ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from musicrag.baselines.interactions import Grid, binarise, check_positive, check_profiles
from musicrag.types import FloatArray, InputError, IntArray

_ROWS_PER_BLOCK = 4096


@dataclass
class ItemKNN:
    """Cosine item neighbours; weights are binarised.

    Args:
        num_neighbours: similar items kept for each item.
        shrinkage: >= 0; takes similarity from pairs that few profiles support.
    """

    name: ClassVar[str] = "item_knn"
    grid: ClassVar[Grid] = {
        "num_neighbours": (20, 50, 100, 200, 500),
        "shrinkage": (0.0, 1.0, 5.0, 20.0, 50.0),
    }

    num_neighbours: int = 100
    shrinkage: float = 5.0

    def __post_init__(self) -> None:
        check_positive("num_neighbours", self.num_neighbours)
        if not 0 <= self.shrinkage < float("inf"):
            raise InputError(f"shrinkage must be 0 or more and finite, got {self.shrinkage}.")

    def fit(self, train: sparse.csr_matrix, rng: np.random.Generator) -> None:
        """Find the neighbours; ``rng`` is not used."""
        self._train = binarise(train)
        by_item = self._train.T.tocsr()
        norms = np.sqrt(np.diff(by_item.indptr)).astype(np.float32)
        blocks = []
        for start in range(0, by_item.shape[0], _ROWS_PER_BLOCK):
            similar = (by_item[start : start + _ROWS_PER_BLOCK] @ self._train).tocsr()
            row = np.repeat(np.arange(similar.shape[0]), np.diff(similar.indptr))
            similar.data /= norms[start + row] * norms[similar.indices] + self.shrinkage
            similar.data[similar.indices == start + row] = 0
            blocks.append(keep_top(similar, self.num_neighbours))
        self._item_by_neighbour = sparse.vstack(blocks, format="csr").T.tocsr()

    def score(self, profiles: IntArray) -> FloatArray:
        check_profiles(profiles, self._train.shape[0])
        scores = (self._train[profiles] @ self._item_by_neighbour).toarray()
        return np.asarray(scores, dtype=np.float32)


def keep_top(weights: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """Keep the ``k`` largest positive entries of each row, of equal ones the lower columns."""
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    is_positive = weights.data > 0
    row, column, data = row[is_positive], weights.indices[is_positive], weights.data[is_positive]
    order = np.lexsort((column, -data, row))
    row, column, data = row[order], column[order], data[order]
    first = np.searchsorted(row, np.arange(weights.shape[0]))
    kept = np.arange(len(row)) - first[row] < k
    return sparse.csr_matrix((data[kept], (row[kept], column[kept])), shape=weights.shape)
