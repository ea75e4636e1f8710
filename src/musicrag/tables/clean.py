"""Raw rows become a :class:`Dataset`: typed, checked, sorted, with rejects and a content hash.

An invalid row either stops everything (one error that lists the first of each kind) or goes to
``rejects`` with its reason; it is never repaired in silence. A table without a required column or
without rows is always an error. Knows nothing of splits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from musicrag import artifacts
from musicrag.contracts import TABLES, Dataset, RawTables
from musicrag.tables import rules
from musicrag.tables.columns import TEXT, Marks, check_shape, coerce
from musicrag.types import InputError

_log = logging.getLogger(__name__)

OnInvalid = Literal["error", "reject"]
_EXAMPLES = 3


def clean(
    name: str,
    item_type: str,
    raw: RawTables,
    on_invalid: OnInvalid = "error",
    min_playlist_items: int = 2,
) -> Dataset:
    """Check and type the tables of a source.

    Args:
        name: the data set's name.
        item_type: node type of the items, ``Song`` or ``Artist``.
        raw: what :meth:`Source.load` gave.
        on_invalid: ``error`` stops at invalid rows; ``reject`` leaves them out and lists them.
        min_playlist_items: rows of shorter playlists are invalid, as nothing can be hidden there.

    Raises:
        InputError: a table or column is missing, unknown or empty; rows are invalid and
            ``on_invalid`` is ``error``; or nothing of a table is left.
    """
    started = time.perf_counter()
    if on_invalid not in ("error", "reject"):
        raise InputError(f"on_invalid must be 'error' or 'reject', got {on_invalid!r}.")
    check_shape(raw)
    tables, problems = _clean_tables(item_type, raw, min_playlist_items)
    _stop_or_log(name, problems, on_invalid, tables)
    dataset = _finish(name, item_type, tables, problems)
    counts = ", ".join(f"{table} {len(rows)}" for table, rows in dataset.tables.items())
    _log.info(
        "%s: %s; %d rows rejected; %.1f s",
        name,
        counts,
        len(dataset.rejects),
        time.perf_counter() - started,
    )
    return dataset


def _clean_tables(
    item_type: str, raw: RawTables, min_playlist_items: int
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The valid rows of each table, and a listing of the others.

    Tables come in an order in which each refers only to clean ones, so that a rejected item takes
    the rows that mention it along.
    """
    tables: dict[str, pd.DataFrame] = {}
    problems: list[pd.DataFrame] = []
    for table in ("artists", *(other for other in TABLES if other != "artists")):
        if table in raw:
            marks = Marks(len(raw[table]))
            frame = coerce(table, raw[table], marks)
            rules.mark_rows(table, frame, tables, item_type, marks)
            if table == "playlist_items":
                rules.mark_short_playlists(frame, min_playlist_items, marks)
            tables[table] = frame[marks.valid]
            problems.append(_listing(table, marks))
    problems.append(_drop_empty_playlists(tables, raw))
    return tables, pd.concat(problems, ignore_index=True)


def content_hash(item_type: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """Hex digest of the clean tables, with the bytes of sound files in place of their paths."""
    hashed = dict(tables)
    if "audio" in tables:
        digests = [artifacts.hash_file(Path(path)) for path in tables["audio"]["path"]]
        hashed["audio"] = tables["audio"][["item_id"]].assign(sha256=digests)
    return artifacts.hash_json([item_type, artifacts.hash_frames(hashed)])


def _listing(table: str, marks: Marks) -> pd.DataFrame:
    """The marked rows: table, 1-based data row, rule, value."""
    invalid = ~marks.valid
    return pd.DataFrame(
        {
            "table": pd.Series([table] * int(invalid.sum()), dtype=TEXT),
            "row": pd.Series(invalid.nonzero()[0] + 1, dtype="int64"),
            "rule": pd.Series(marks.rules[invalid], dtype=TEXT),
            "value": pd.Series(marks.values[invalid], dtype=TEXT),
        }
    )


def _drop_empty_playlists(tables: dict[str, pd.DataFrame], raw: RawTables) -> pd.DataFrame:
    """Drop titles of playlists of which no song is left."""
    marks = Marks(len(raw["playlists"]) if "playlists" in tables else 0)
    if "playlists" in tables:
        playlists = tables["playlists"]
        filled = tables["playlist_items"]["playlist_id"] if "playlist_items" in tables else ()
        empty = ~playlists["playlist_id"].isin(filled)
        marks.rules[playlists.index[empty]] = "the playlist has no valid songs"
        marks.values[playlists.index[empty]] = playlists.loc[empty, "playlist_id"].map(repr)
        tables["playlists"] = playlists[~empty]
    return _listing("playlists", marks)


def _stop_or_log(
    name: str, problems: pd.DataFrame, on_invalid: OnInvalid, tables: Mapping[str, pd.DataFrame]
) -> None:
    lines = []
    for (table, rule), rows in problems.groupby(["table", "rule"], sort=False):
        first = rows.head(_EXAMPLES)
        shown = [
            f"row {row} {value}".strip()
            for row, value in zip(first["row"], first["value"], strict=True)
        ]
        more = ", …" if len(rows) > len(first) else ""
        lines.append(f"{table}: {len(rows)} rows: {rule} ({', '.join(shown)}{more})")
    if lines and on_invalid == "error":
        raise InputError(
            f"{name}: {len(problems)} rows are invalid; row 1 is the first below the header.\n  "
            + "\n  ".join(lines)
            + "\nCorrect these rows, or set tables.on_invalid=reject to leave them out."
        )
    emptied = [table for table, frame in tables.items() if frame.empty]
    if emptied:
        raise InputError(
            f"{name}: no valid row is left in {', '.join(emptied)}.\n  "
            + "\n  ".join(lines)
            + "\nCorrect these rows, or leave the table out."
        )
    for line in lines:
        _log.warning("%s: rejected %s", name, line)


def _finish(
    name: str, item_type: str, tables: Mapping[str, pd.DataFrame], problems: pd.DataFrame
) -> Dataset:
    """Sort by key, settle integer types, and hash."""
    ordered = {}
    for table, spec in TABLES.items():
        if table in tables:
            key = [column for column in spec.key if column in tables[table]]
            ordered[table] = settle(table, tables[table].sort_values(key, ignore_index=True))
    values = problems["value"].where(problems["value"] == "", ": " + problems["value"])
    rejects = problems[["table", "row"]].assign(reason=problems["rule"] + values)
    return Dataset(name, item_type, ordered, rejects, content_hash(item_type, ordered))


def settle(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Give clean columns their final types: required whole numbers are plain int64."""
    types: dict[str, str | pd.StringDtype] = {
        "id": TEXT,
        "text": TEXT,
        "json_path": TEXT,
        "float": "float64",
    }
    for column in map(str, frame.columns):
        about = TABLES[name].columns.get(column)
        if about is None:
            dtype = types["float"]
        elif about.type == "int":
            dtype = "int64" if about.required else "Int64"
        else:
            dtype = types[about.type]
        frame = frame.astype({column: dtype})
    return frame
