"""Some items become feature rows, without encoding the others again.

What a sync brings is a handful of songs, while encoding a catalogue of sounds takes hours. Only an
encoder whose rows do not depend on each other can do this; which one can, it says itself
(``is_rowwise``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from musicrag.contracts import Dataset, Encoder, FeatureMatrix
from musicrag.features.rows import DatasetPart
from musicrag.types import InputError

log = logging.getLogger(__name__)


def encode_items(
    encoder: Encoder,
    dataset: Dataset,
    item_ids: Sequence[str],
    names: Sequence[str] | None = None,
) -> FeatureMatrix:
    """Rows of some items, as :meth:`~musicrag.contracts.Encoder.encode` would give them for all.

    Items without usable data are absent, even if that is all of them.

    Args:
        encoder: the encoder, with the settings, that made the matrix which the rows will join.
        dataset: the data set that holds these items; its other items are not encoded.
        item_ids: the items wanted, in the order wanted.
        names: columns of the matrix which the rows will join. Columns that it lacks, which only
            ready-made tables bring, are left out; None takes all columns.

    Returns:
        Values of shape ``[len(item_ids), num_features]``.

    Raises:
        InputError: an unknown item, an encoder that must see all items at once, a data set
            without the encoder's table, or a column that the rows lack.
    """
    if not encoder.is_rowwise:
        raise InputError(
            f"{type(encoder).__name__} places every item relative to all others, so it cannot "
            "encode a few. Encode all items and train anew, or choose another encoder of "
            f"{encoder.modality}."
        )
    dataset.items.encode(item_ids)  # an unknown item is an error
    if encoder.requires not in dataset.tables and names is not None:
        return _absent(len(item_ids), names, type(encoder).__name__)
    part = DatasetPart.of(dataset, frozenset(item_ids), encoder.requires)
    matrix = encoder.encode(part)
    rows = part.items.encode(item_ids)
    found = replace(matrix, values=matrix.values[rows], present=matrix.present[rows])
    log.info(
        "%s: %d items encoded apart from the other %d, %d have data",
        found.encoder,
        len(part.items),
        len(dataset.items) - len(part.items),
        found.present.sum(),
    )
    return found if names is None else _aligned(found, tuple(names))


def _absent(num_items: int, names: Sequence[str], encoder: str) -> FeatureMatrix:
    values = np.zeros((num_items, len(names)), dtype=np.float32)
    return FeatureMatrix(values, np.zeros(num_items, dtype=bool), tuple(names), encoder)


def _aligned(matrix: FeatureMatrix, names: tuple[str, ...]) -> FeatureMatrix:
    """The columns ``names`` of a matrix, in their order."""
    places = {name: place for place, name in enumerate(matrix.names)}
    missing = [name for name in names if name not in places]
    if missing:
        raise InputError(
            f"{matrix.encoder} gives no {', '.join(missing[:5])}, which the earlier items have. "
            "Encode with the encoder that they were encoded with, or encode all items anew."
        )
    extra = [name for name in matrix.names if name not in names]
    if extra:
        log.warning("%s: left out columns that are new: %s", matrix.encoder, ", ".join(extra))
    values = matrix.values[:, [places[name] for name in names]]
    return replace(matrix, values=values, names=names)
