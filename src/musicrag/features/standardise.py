"""A feature matrix becomes one whose columns can be compared: z-scores, clipped.

Used before features meet in a graph network or in dense retrieval. It sees items only, never
interactions, so nothing of a held-out split can leak through it. The scale can be kept, so that
items that come later are measured with the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from musicrag.contracts import FeatureMatrix
from musicrag.types import InputError

CLIP = 5.0
"""Largest absolute z-score that is kept; one broken file must not dominate a distance."""
_CONSTANT = 1e-6  # spread relative to magnitude below which float32 holds rounding noise only


@dataclass(frozen=True)
class Scale:
    """What :func:`fit_scale` learned of each column.

    Attributes:
        mean: over the items that have the modality. float64 ``[num_features]``.
        spread: population standard deviation; 0 for a column that does not vary, which says
            nothing and becomes 0 for every item. float64 ``[num_features]``.
    """

    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    def apply(self, matrix: FeatureMatrix) -> FeatureMatrix:
        """Z-scores ``(x - mean) / spread`` of any items, clipped to ``[-5, 5]``.

        Args:
            matrix: values of shape ``[n, num_features]``; absent rows stay 0.

        Raises:
            InputError: the matrix has another number of columns.
        """
        if matrix.values.shape[1] != len(self.mean):
            raise InputError(
                f"{matrix.encoder} gives {matrix.values.shape[1]} features, but the scale was "
                f"fitted on {len(self.mean)}. Encode with the encoder that it was fitted with, "
                "or fit anew."
            )
        varies = self.spread > 0
        rows = matrix.values[matrix.present].astype(np.float64)  # [num_present, num_features]
        scores = (rows - self.mean) / np.where(varies, self.spread, 1.0)
        values = np.zeros_like(matrix.values)
        values[matrix.present] = np.clip(np.where(varies, scores, 0.0), -CLIP, CLIP)
        return replace(matrix, values=values)


def fit_scale(matrix: FeatureMatrix) -> Scale:
    """Mean and spread of each column over the items that have the modality.

    Args:
        matrix: values of shape ``[num_items, num_features]``; without a present row, all is 0.
    """
    if not matrix.present.any():
        nothing = np.zeros(matrix.values.shape[1])
        return Scale(nothing, nothing)
    rows = matrix.values[matrix.present].astype(np.float64)  # [num_present, num_features]
    spread = rows.std(axis=0)
    varies = spread > _CONSTANT * np.abs(rows).max(axis=0)
    return Scale(rows.mean(axis=0), np.where(varies, spread, 0.0))


def standardise(matrix: FeatureMatrix) -> FeatureMatrix:
    """Z-score each column over the items that have the modality, ``(x - mean) / std``, clipped.

    The standard deviation is the population's (divided by n). Constant columns become 0, and
    absent rows stay 0, which is then the mean of those present.

    Args:
        matrix: values of shape ``[num_items, num_features]``.

    Returns:
        A matrix of the same shape, mask and names, with values in ``[-5, 5]``.
    """
    return fit_scale(matrix).apply(matrix)
