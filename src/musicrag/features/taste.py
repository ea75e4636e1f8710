r"""Features become a taste space: the directions in which listeners' choices hold together.

Probabilistic linear discriminant analysis with profiles as classes. A feature row is modelled as
the taste of whoever chose it plus noise,

.. math:: f_i = \mu + t_u + \epsilon, \quad t_u \sim N(0, S_b), \; \epsilon \sim N(0, S_w),

so that an item fits a profile as far as its features are likelier under the profile's posterior
taste than under anybody's. Only directions that beat permuted features are kept (parallel
analysis), so a modality that says nothing comes out with no direction at all.

Source: Ioffe 2006, "Probabilistic linear discriminant analysis"; Horn 1965 for the cut.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from musicrag.contracts import FeatureMatrix
from musicrag.types import BoolArray, FloatArray, InputError, IntArray

log = logging.getLogger(__name__)

Float64Array = npt.NDArray[np.float64]

_RIDGE = 0.1  # share of the mean within-profile variance added to every direction
_FLOOR = 1e-6  # of the mean variance, for profiles whose items are all alike
_QUANTILE = 0.95


@dataclass(frozen=True)
class Projection:
    """The map from standardised features to directions of taste, ``x @ weight + offset``.

    Shapes:
        weight: float64 ``[num_features, d]``; offset: float64 ``[d]``.
    """

    weight: Float64Array
    offset: Float64Array


@dataclass(frozen=True)
class TasteSpace:
    """Items in the directions that tell tastes apart, whitened within profiles.

    Attributes:
        items: float32 ``[num_items, d]``; rows without data are zero. ``d`` may be 0.
        signal: between-profile over within-profile variance of each direction, > 0. ``[d]``.
        present: bool ``[num_items]``.
        projection: what made ``items``, so that others can be placed; None in a space that was
            not fitted to features.
    """

    items: FloatArray
    signal: Float64Array
    present: BoolArray
    projection: Projection | None = None

    @property
    def num_directions(self) -> int:
        return len(self.signal)

    def scaled(self) -> FloatArray:
        """Items with each direction as long as it is telling. Shape ``[num_items, d]``."""
        scaled: FloatArray = (self.items * np.sqrt(self.signal)).astype(np.float32)
        return scaled

    def place(self, matrix: FeatureMatrix) -> TasteSpace:
        """Put items that the fit may not have seen into the same directions.

        The items of the fit come out where they are, up to rounding.

        Args:
            matrix: features ``[n, num_features]``, standardised by the scale of the fit.

        Raises:
            InputError: the space has no projection, or one of another number of features.
        """
        if self.projection is None:
            raise InputError(
                "This taste space was made without features, so no item can be placed in it. "
                "Make one with fit_taste_space."
            )
        weight = self.projection.weight
        if matrix.values.shape[1] != len(weight):
            raise InputError(
                f"{matrix.encoder} gives {matrix.values.shape[1]} features, but the taste space "
                f"was fitted on {len(weight)}. Encode with the encoder that it was fitted with, "
                "or fit anew."
            )
        items = np.zeros((len(matrix.present), self.num_directions), dtype=np.float32)
        rows = matrix.values[matrix.present].astype(np.float64)
        items[matrix.present] = rows @ weight + self.projection.offset
        return TasteSpace(items, self.signal, matrix.present, self.projection)

    def item_vectors(self) -> FloatArray:
        """Vectors whose inner product with :meth:`query_vector` ranks items. ``[num_items, 2d]``.

        Absent items are zero rows.
        """
        both = np.hstack([self.items, np.square(self.items)])
        vectors: FloatArray = (both * self.present[:, None]).astype(np.float32)
        return vectors

    def query_vector(self, history: IntArray) -> FloatArray:
        r"""The taste behind a history, as a vector ``[2d]``; zero if nothing is known of it.

        With ``n`` items of mean ``m``, signal ``e``: posterior mean ``p = n e m / (n e + 1)``,
        predictive variance ``v = e / (n e + 1) + 1``; the log-likelihood ratio against
        ``N(0, e + 1)`` is linear in ``(z, z^2)`` with weights ``(p / v, (1/(e+1) - 1/v) / 2)``.
        """
        known = history[self.present[history]]
        if not len(known):
            return np.zeros(2 * self.num_directions, dtype=np.float32)
        n, e = len(known), self.signal
        posterior = n * e / (n * e + 1) * self.items[known].mean(axis=0)
        variance = e / (n * e + 1) + 1
        weights = [posterior / variance, (1 / (e + 1) - 1 / variance) / 2]
        return np.concatenate(weights).astype(np.float32)


def fit_taste_space(
    modality: str,
    matrix: FeatureMatrix,
    train: sparse.csr_matrix,
    rng: np.random.Generator,
    max_components: int = 64,
    num_permutations: int = 20,
) -> TasteSpace:
    """Find the directions of one modality that training profiles agree on.

    Args:
        modality: for the log.
        matrix: standardised features, row i = item i.
        train: training pairs ``[num_profiles, num_items]``; profiles of one item say nothing.
        rng: permutes items for the cut.
        max_components: principal components that enter the analysis.
        num_permutations: feature permutations; the 95 % quantile of their largest signal is the
            least that a direction must have.
    """
    present = matrix.present
    values = matrix.values[present].astype(np.float64)
    rows, components = _principal(values, max_components)
    member = sparse.csr_matrix((train > 0).astype(np.float64)[:, np.flatnonzero(present)])
    member = member[np.flatnonzero(np.diff(member.indptr) >= 2)]
    directions, signal = _directions(rows, member)
    cut = _chance(rows, member, rng, num_permutations)
    kept = signal > max(cut, 1e-9)
    directions, centre = directions[:, kept], _mean(rows, member)
    items = np.zeros((len(present), int(kept.sum())), dtype=np.float32)
    items[present] = ((rows - centre) @ directions).astype(np.float32)
    log.info(
        "%s: %d of %d directions tell tastes apart (signal %s, chance %.3f)",
        modality,
        kept.sum(),
        rows.shape[1],
        np.round(signal[:3], 3).tolist(),
        cut,
    )
    offset = -(components.mean @ components.weight + centre) @ directions
    projection = Projection(components.weight @ directions, offset)
    return TasteSpace(items, signal[kept], present, projection)


def _chance(
    rows: Float64Array, member: sparse.csr_matrix, rng: np.random.Generator, num_permutations: int
) -> float:
    """The signal that permuted features seldom exceed."""
    largest = [
        float(_directions(rng.permutation(rows), member)[1].max(initial=0.0))
        for _ in range(num_permutations)
    ]
    # The higher neighbour: interpolation would let one in ten modalities of pure noise pass.
    return float(np.quantile(largest, _QUANTILE, method="higher")) if largest else 0.0


@dataclass(frozen=True)
class _Components:
    """Scores are ``(x - mean) @ weight``; mean ``[num_features]``, weight ``[num_features, d]``."""

    mean: Float64Array
    weight: Float64Array


def _principal(values: Float64Array, max_components: int) -> tuple[Float64Array, _Components]:
    """Scores on the leading principal components, all scaled by one number."""
    if not len(values):
        width = values.shape[1]
        return np.zeros((0, 0)), _Components(np.zeros(width), np.zeros((width, 0)))
    mean = values.mean(axis=0)
    left, singular, right = np.linalg.svd(values - mean, full_matrices=False)
    count = min(max_components, int((singular > 1e-6 * max(singular.max(), 1e-12)).sum()))
    scores = left[:, :count] * singular[:count]
    spread = float(scores.std()) if count else 0.0
    unit = spread if spread > 0 else 1.0
    return scores / unit, _Components(mean, right[:count].T / unit)


def _mean(rows: Float64Array, member: sparse.csr_matrix) -> Float64Array:
    """Mean feature row over all choices. Shape ``[d]``."""
    weight = np.asarray(member.sum(axis=0)).ravel()
    return np.asarray(weight @ rows / max(weight.sum(), 1.0))


def _directions(rows: Float64Array, member: sparse.csr_matrix) -> tuple[Float64Array, Float64Array]:
    """Generalised eigenvectors of between against within variance, by the method of moments."""
    width = rows.shape[1]
    num_profiles, num_choices = member.shape[0], float(member.nnz)
    if not width or num_choices <= num_profiles:
        return np.zeros((width, 0)), np.zeros(0)
    count = np.diff(member.indptr).astype(np.float64)
    centred = rows - _mean(rows, member)
    means = (member @ centred) / count[:, None]
    weight = np.asarray(member.sum(axis=0)).ravel()
    scatter = (means.T * count) @ means
    within = ((centred.T * weight) @ centred - scatter) / (num_choices - num_profiles)
    within += (_RIDGE * np.trace(within) / width + _FLOOR) * np.eye(width)
    between = scatter / num_choices - within * num_profiles / num_choices
    signal, directions = linalg.eigh(between, within)
    order = np.argsort(-signal, kind="stable")
    return directions[:, order], np.clip(signal[order], 0.0, None)
