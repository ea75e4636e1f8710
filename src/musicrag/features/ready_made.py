"""Numeric columns that came with the data become a feature matrix, as they are.

Shared by the tabular encoders of audio and emotion. Gaps: a row without any number is absent; a
single gap takes the column's mean, which is 0 after :func:`~musicrag.features.standardise`. The
column ``key``, a pitch class, is put on the circle of fifths, because 11 (B) and 0 (C) are
neighbours that the plain number holds far apart.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.rows import DatasetPart, ItemRows
from musicrag.types import InputError

logger = logging.getLogger(__name__)

NUM_PITCH_CLASSES = 12
_UNKNOWN_KEY = -1  # how Spotify writes "no key found"
_SEMITONES_PER_FIFTH = 7  # its own inverse modulo 12, so it also maps semitones to fifths


def circle_of_fifths(pitch_class: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    r"""Sine and cosine of a key's place on the circle of fifths.

    .. math:: \theta = 2\pi \cdot (7 \cdot \text{key} \bmod 12) / 12

    C (0) and G (7), which share six of seven notes, are neighbours; C and F sharp are opposite.

    Args:
        pitch_class: 0 = C, 1 = C sharp, … 11 = B; NaN stays NaN. Shape ``[n]``.

    Returns:
        Shape ``[n, 2]``.
    """
    fifths = (_SEMITONES_PER_FIFTH * pitch_class) % NUM_PITCH_CLASSES
    angle = 2 * np.pi * fifths / NUM_PITCH_CLASSES
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def encode_columns(dataset: Dataset, table: str, encoder: str) -> FeatureMatrix:
    """Turn every column of ``table`` but ``item_id`` into features.

    Which columns hold a number, what fills their gaps and whether ``key`` is a pitch class depend
    on all rows, so a part of a data set is cut from the whole, which costs next to nothing.

    Raises:
        InputError: the table has no further column, one that is not numeric, or no number at all.
    """
    if isinstance(dataset, DatasetPart):
        matrix = encode_columns(dataset.whole, table, encoder)
        kept = dataset.whole.items.encode(dataset.items.array)
        return replace(matrix, values=matrix.values[kept], present=matrix.present[kept])
    rows = ItemRows.read(dataset, table)
    columns = rows.frame.drop(columns="item_id")
    wrong = columns.columns.difference(columns.select_dtypes(["number", "bool"]).columns)
    if columns.empty or len(wrong):
        found = f"not numeric: {', '.join(wrong)}" if len(wrong) else "there is none"
        raise InputError(
            f"Table {table!r} of {dataset.name!r} needs numeric columns beside item_id; {found}."
        )
    values, names = _expand(columns)
    values[np.abs(values) > np.finfo(np.float32).max] = np.nan  # infinite, or would become so
    is_usable = np.asarray(np.isfinite(values).any(axis=1))
    values, names = _without_empty_columns(values, names, table)
    return rows.matrix(_fill_gaps(values, table), names, encoder, is_usable)


def _expand(columns: pd.DataFrame) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Columns side by side, ``key`` as two. Shape ``[num_rows, num_features]``."""
    blocks: list[npt.NDArray[np.float64]] = []
    names: list[str] = []
    for name in columns.columns:
        column = columns[name].to_numpy(dtype=np.float64, na_value=np.nan)
        if name == "key" and _is_pitch_class(column):
            column = np.where(column == _UNKNOWN_KEY, np.nan, column)
            blocks.append(circle_of_fifths(column))
            names += ["key_fifths_sin", "key_fifths_cos"]
        else:
            blocks.append(column[:, None])
            names.append(str(name))
    return np.concatenate(blocks, axis=1), names


def _is_pitch_class(column: npt.NDArray[np.float64]) -> bool:
    known = column[~np.isnan(column)]
    allowed = np.arange(_UNKNOWN_KEY, NUM_PITCH_CLASSES)
    return len(known) > 0 and bool(np.isin(known, allowed).all())


def _without_empty_columns(
    values: npt.NDArray[np.float64], names: list[str], table: str
) -> tuple[npt.NDArray[np.float64], list[str]]:
    is_empty = np.asarray(np.isnan(values).all(axis=0))
    if is_empty.any():
        empty = [name for name, gone in zip(names, is_empty, strict=True) if gone]
        logger.warning("%s: left out columns without a number: %s", table, ", ".join(empty))
    kept = [name for name, gone in zip(names, is_empty, strict=True) if not gone]
    return values[:, ~is_empty], kept


def _fill_gaps(values: npt.NDArray[np.float64], table: str) -> npt.NDArray[np.float64]:
    """Replace each NaN by the mean of its column, which holds at least one number."""
    is_gap = np.isnan(values)
    num_gaps = int(is_gap[~is_gap.all(axis=1)].sum())
    if num_gaps:
        logger.warning("%s: %d gaps filled with their column's mean", table, num_gaps)
    return np.where(is_gap, np.nanmean(values, axis=0), values) if is_gap.any() else values
