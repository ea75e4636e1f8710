"""Most popular: every profile gets the items that most profiles hold. The floor of any table.

Source:
    Cremonesi, Koren and Turrin 2010, "Performance of recommender algorithms on top-N
    recommendation tasks" (TopPop).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse

from musicrag.baselines.interactions import Grid, binarise, check_profiles
from musicrag.types import FloatArray, IntArray


class Popularity:
    """Scores an item by the number of profiles that hold it; weights are binarised."""

    name: ClassVar[str] = "popularity"
    grid: ClassVar[Grid] = {}

    def fit(self, train: sparse.csr_matrix, rng: np.random.Generator) -> None:
        """Count; ``rng`` is not used."""
        self._num_profiles = train.shape[0]
        counts = np.asarray(binarise(train).sum(axis=0)).ravel()
        self._counts: FloatArray = counts.astype(np.float32)

    def score(self, profiles: IntArray) -> FloatArray:
        check_profiles(profiles, self._num_profiles)
        return np.tile(self._counts, (len(profiles), 1))
