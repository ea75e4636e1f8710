"""What was learned of each modality becomes one file, and back.

Holds raw rows, their scale and their taste space, so that later items can be measured and placed
by the same rule. Arrays only, no pickle: reading a file runs no code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musicrag.artifacts import atomic_file
from musicrag.contracts import FeatureMatrix
from musicrag.features.standardise import Scale
from musicrag.features.taste import Projection, TasteSpace
from musicrag.types import InputError

FILE = "features.npz"
_FORMAT = 1
_Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class SavedModality:
    """One modality of all items, and the rules by which further items join it.

    Attributes:
        raw: rows as the encoder gave them, ``[num_items, num_features]``.
        scale: standardises such rows.
        space: the standardised rows' taste space, row i = item i.
    """

    raw: FeatureMatrix
    scale: Scale
    space: TasteSpace


def save_features(folder: Path, features: Mapping[str, SavedModality]) -> None:
    """Write all modalities into one file below ``folder``; it replaces an older one whole."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "format": np.array(_FORMAT),
        "modalities": np.array(list(features), dtype=str),
    }
    for modality, saved in features.items():
        for name, array in _arrays(saved).items():
            arrays[f"{modality}.{name}"] = array
    with atomic_file(folder / FILE) as path, path.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def load_features(folder: Path) -> dict[str, SavedModality]:
    """Inverse of :func:`save_features`, in the same order of modalities.

    Raises:
        InputError: the file does not exist, is damaged or comes from another version.
    """
    source = folder / FILE
    if not source.is_file():
        raise InputError(f"{source} does not exist. Build the features first, then load them.")
    try:
        with np.load(source, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        found = int(arrays["format"])
        names = [str(modality) for modality in arrays["modalities"]]
        features = {modality: _modality(arrays, f"{modality}.") for modality in names}
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, ValueError) as error:
        raise InputError(
            f"{source} is damaged or no file of features ({error}). Delete it and build the "
            "features again."
        ) from error
    if found != _FORMAT:
        raise InputError(
            f"{source} has format {found}, this version reads {_FORMAT}. Build the features again."
        )
    return features


def _arrays(saved: SavedModality) -> _Arrays:
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "values": saved.raw.values,
        "present": saved.raw.present,
        "names": np.array(saved.raw.names, dtype=str),
        "encoder": np.array(saved.raw.encoder),
        "scale_mean": saved.scale.mean,
        "scale_spread": saved.scale.spread,
        "space_items": saved.space.items,
        "space_signal": saved.space.signal,
        "space_present": saved.space.present,
    }
    if saved.space.projection is not None:
        arrays["projection_weight"] = saved.space.projection.weight
        arrays["projection_offset"] = saved.space.projection.offset
    return arrays


def _modality(arrays: Mapping[str, npt.NDArray[np.generic]], prefix: str) -> SavedModality:
    stored = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    raw = FeatureMatrix(
        np.asarray(stored["values"], dtype=np.float32),
        np.asarray(stored["present"], dtype=bool),
        tuple(str(name) for name in stored["names"]),
        str(stored["encoder"]),
    )
    has_projection = "projection_weight" in stored
    projection = (
        Projection(_float64(stored["projection_weight"]), _float64(stored["projection_offset"]))
        if has_projection
        else None
    )
    space = TasteSpace(
        np.asarray(stored["space_items"], dtype=np.float32),
        _float64(stored["space_signal"]),
        np.asarray(stored["space_present"], dtype=bool),
        projection,
    )
    scale = Scale(_float64(stored["scale_mean"]), _float64(stored["scale_spread"]))
    return SavedModality(raw, scale, space)


def _float64(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64)
