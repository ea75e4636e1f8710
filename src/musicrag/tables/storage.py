"""A :class:`Dataset` becomes a folder of Parquet files and back, unchanged.

    <folder>/<table>.parquet …   one for each table
    <folder>/rejects.parquet     rows that were left out
    <folder>/manifest.json       name, item type, content hash, rows of each file

The folder appears whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from musicrag import artifacts
from musicrag.contracts import TABLES, Dataset
from musicrag.tables.clean import settle
from musicrag.tables.columns import TEXT
from musicrag.types import InputError

_MANIFEST = "manifest.json"
_REJECTS = "rejects"


def write(dataset: Dataset, folder: Path) -> None:
    """Store a data set; an existing folder stays as it is, as if another process had written it."""
    frames = {**dataset.tables, _REJECTS: dataset.rejects}
    with artifacts.atomic_folder(folder) as temporary:
        for name, frame in frames.items():
            artifacts.write_parquet(temporary / f"{name}.parquet", frame)
        manifest = {
            "name": dataset.name,
            "item_type": dataset.item_type,
            "content_hash": dataset.content_hash,
            "rows": {name: len(frame) for name, frame in frames.items()},
        }
        artifacts.write_json(temporary / _MANIFEST, manifest)


def read(folder: Path) -> Dataset:
    """Load what :func:`write` stored.

    Raises:
        InputError: the folder holds no stored data set, or a file is missing or cut off.
    """
    if not (folder / _MANIFEST).is_file():
        raise InputError(f"{folder} holds no stored tables: {_MANIFEST} is missing. Run again.")
    manifest = artifacts.read_json(folder / _MANIFEST)
    rows = manifest.get("rows")
    if not isinstance(rows, dict) or not {"name", "item_type", "content_hash"} <= set(manifest):
        raise InputError(f"{folder / _MANIFEST} is incomplete. Delete {folder} and run again.")
    tables = {
        name: settle(name, _read_frame(folder, name, rows[name])) for name in TABLES if name in rows
    }
    rejects = _read_frame(folder, _REJECTS, rows.get(_REJECTS))
    return Dataset(
        str(manifest["name"]),
        str(manifest["item_type"]),
        tables,
        rejects.astype({"table": TEXT, "row": "int64", "reason": TEXT}),
        str(manifest["content_hash"]),
    )


def _read_frame(folder: Path, name: str, num_rows: object) -> pd.DataFrame:
    path = folder / f"{name}.parquet"
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. Delete {folder} and run again."
        ) from error
    if len(frame) != num_rows:
        raise InputError(
            f"{path} has {len(frame)} rows, the manifest says {num_rows}. Delete {folder} and run "
            "again."
        )
    return frame
