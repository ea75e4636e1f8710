"""A feature matrix becomes one whose columns can be compared: z-scores, clipped.

Used before features meet in a graph network or in dense retrieval. It sees items only, never
interactions, so nothing of a held-out split can leak through it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musicrag.contracts import FeatureMatrix

CLIP = 5.0
"""Largest absolute z-score that is kept; one broken file must not dominate a distance."""
_CONSTANT = 1e-6  # spread relative to magnitude below which float32 holds rounding noise only


def standardise(matrix: FeatureMatrix) -> FeatureMatrix:
    """Z-score each column over the items that have the modality, ``(x - mean) / std``, clipped.

    The standard deviation is the population's (divided by n). Constant columns become 0, and
    absent rows stay 0, which is then the mean of those present.

    Args:
        matrix: values of shape ``[num_items, num_features]``.

    Returns:
        A matrix of the same shape, mask and names, with values in ``[-5, 5]``.
    """
    values = np.zeros_like(matrix.values)
    if matrix.present.any():
        rows = matrix.values[matrix.present].astype(np.float64)  # [num_present, num_features]
        spread = rows.std(axis=0)
        varies = spread > _CONSTANT * np.abs(rows).max(axis=0)
        scores = (rows - rows.mean(axis=0)) / np.where(varies, spread, 1.0)
        values[matrix.present] = np.clip(np.where(varies, scores, 0.0), -CLIP, CLIP)
    return replace(matrix, values=values)
