"""A folder of the user's own files becomes tables: one file for each table, named after it.

``items.csv``, ``interactions.parquet``, ``lyrics.jsonl``, …: the format is described in
``docs/data_format.md``. This module finds and parses files; whether the rows make sense is
checked by ``musicrag.tables.clean``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from musicrag.contracts import TABLES, RawTables
from musicrag.sources.delimited import read_table
from musicrag.types import InputError, nearest

_log = logging.getLogger(__name__)

FORMATS = (".csv", ".parquet", ".jsonl")
_TO_RANK = (("interactions",), ("playlist_items",), ("queries", "qrels"))


class TablesFolder:
    """Bring your own data: ``<table>.csv``, ``.parquet`` or ``.jsonl`` for each table.

    In CSV an empty cell is a missing value and everything else is taken as written (``NA`` is a
    text). Relative paths in ``audio`` start at the folder. Files whose names are not like any
    table's are left alone.

    Args:
        dir: the folder; its name becomes the data set's name.
        item_type: node type of the items, ``Song`` or ``Artist``.
    """

    def __init__(self, dir: str, item_type: str = "Song") -> None:
        if item_type not in ("Song", "Artist"):
            raise InputError(f"item_type must be 'Song' or 'Artist', got {item_type!r}.")
        self._folder = Path(dir).expanduser()
        self.name = self._folder.resolve().name or "tables"
        self.item_type = item_type

    def available(self) -> frozenset[str]:
        return frozenset(self._files())

    def load(self) -> RawTables:
        return _load(self._folder, self._files())

    def _files(self) -> dict[str, Path]:
        if not self._folder.is_dir():
            raise InputError(
                f"The data folder {self._folder} does not exist. Set data.dir to the folder that "
                "holds items.csv and the other tables (docs/data_format.md)."
            )
        files = _files(self._folder)
        self._check_names(files)
        return files

    def _check_names(self, files: dict[str, Path]) -> None:
        choices = ", or ".join(" with ".join(names) for names in _TO_RANK)
        found = f"found {', '.join(sorted(files)) or 'no table'} in {self._folder}"
        if "items" not in files:
            raise InputError(f"The table 'items' is required; {found}. Add items.csv.")
        if not any(all(name in files for name in names) for names in _TO_RANK):
            raise InputError(
                f"Nothing to recommend from: besides 'items' a data set needs {choices}; {found}."
            )


def read_tables(folder: Path) -> RawTables:
    """Whatever tables a folder holds, such as new rows for a collection.

    Raises:
        InputError: there is no such folder, or none in it.
    """
    files = _files(folder) if folder.is_dir() else {}
    if not files:
        raise InputError(
            f"{folder} holds no table. Name a folder with items.csv, lyrics.csv or another table "
            "of docs/data_format.md."
        )
    return _load(folder, files)


def _files(folder: Path) -> dict[str, Path]:
    """The file of each table that is there, in the order of :data:`TABLES`."""
    files: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if not _is_table(path):
            continue
        if path.stem in files:
            raise InputError(
                f"{folder} holds both {files[path.stem].name} and {path.name}. Keep one "
                f"file for the table {path.stem!r}."
            )
        files[path.stem] = path
    return {name: files[name] for name in TABLES if name in files}


def _load(folder: Path, files: Mapping[str, Path]) -> RawTables:
    tables = {}
    for name, path in files.items():
        tables[name] = _read(path)
        _log.info("%s: %d rows from %s", name, len(tables[name]), path)
    if "audio" in tables and "path" in tables["audio"]:
        tables["audio"]["path"] = tables["audio"]["path"].map(
            lambda path: str(folder.resolve() / str(path)), na_action="ignore"
        )
    return tables


def _is_table(path: Path) -> bool:
    """Whether the file holds a table; a name that looks like a slip is an error."""
    if path.stem in TABLES and path.suffix in FORMATS:
        return True
    if path.stem in TABLES:
        raise InputError(
            f"{path} has the name of a table but not its format. Write it as "
            f"{' or '.join(path.stem + suffix for suffix in FORMATS)}."
        )
    hint = nearest(path.stem.casefold(), TABLES) if path.suffix.lower() in FORMATS else ""
    if hint:
        raise InputError(
            f"{path}: {path.stem!r} is not a table.{hint} Tables are {', '.join(TABLES)}. Rename "
            "the file, or move it elsewhere."
        )
    return False


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        frame = read_table(path, [])
        return frame.where(frame != "")
    frame = _read_parquet(path) if path.suffix == ".parquet" else _read_jsonl(path)
    if frame.empty:
        raise InputError(f"{path} has no rows. Fill it, or remove it.")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a Parquet file: {error}. Write it again.") from error


def _read_jsonl(path: Path) -> pd.DataFrame:
    """One JSON object a line; blank lines are skipped."""
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is not JSON: {error}. Correct it.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number} must be a JSON object, got {line[:60]!r}.")
        rows.append(row)
    return pd.DataFrame(rows)
