"""New rows meet the tables of a collection: checked, typed, and merged by each table's key.

A row is taken whole or goes to the rejects with its reason; rows that were there are never
checked again, since nothing that they refer to can vanish. What a change leaves empty it does not
know, so it never erases a value. Knows nothing of graphs, features or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from musicrag.contracts import TABLES, RawTables
from musicrag.tables import rules
from musicrag.tables.clean import settle
from musicrag.tables.columns import TEXT, Marks, check_shape, coerce
from musicrag.types import BoolArray, InputError, IntArray

ANSWERS = ("qrels", "gold_paths")
"""Tables that a collection never holds: they say what the right answers are."""

REJECT_COLUMNS = ["table", "row", "reason"]


@dataclass(frozen=True)
class Merged:
    """The tables after a change.

    Attributes:
        tables: all rows, sorted by key; a table that did not change is the same object as before.
        changed: of each table that changed, the rows that are new or have another value.
        rejects: rows of the change that were left out: ``table, row, reason``, rows from 1.
    """

    tables: dict[str, pd.DataFrame]
    changed: dict[str, pd.DataFrame]
    rejects: pd.DataFrame

    def changed_ids(self, table: str, column: str = "item_id") -> set[str]:
        """Ids in the rows of one table that changed."""
        return set(self.changed[table][column]) if table in self.changed else set()


def merge_tables(tables: Mapping[str, pd.DataFrame], item_type: str, changes: RawTables) -> Merged:
    """Add new rows, replace those whose key is there, leave out invalid ones.

    Args:
        tables: clean tables of the collection.
        item_type: node type of the items.
        changes: raw rows; they may refer to each other and to rows of ``tables``, and may bring
            tables and columns that the collection did not have.

    Raises:
        InputError: a table or column is unknown, a required column is missing, a table has no
            rows, or there are answers among the tables.
    """
    _check(tables, changes)
    merged = dict(tables)
    changed: dict[str, pd.DataFrame] = {}
    rejects: list[pd.DataFrame] = []
    for name in ("artists", *(other for other in TABLES if other != "artists")):
        if name not in changes:
            continue
        raw = changes[name].reset_index(drop=True)
        marks = Marks(len(raw))
        frame = coerce(name, raw, marks)
        rules.mark_rows(name, frame, merged, item_type, marks)
        rejects.append(_rejected(name, marks))
        valid = _unweighted_where_silent(frame, raw)[marks.valid]
        if len(valid):
            whole, new = _merge(name, merged.get(name), valid)
            if len(new):
                merged[name], changed[name] = whole, new
    ordered = {name: merged[name] for name in TABLES if name in merged}
    return Merged(ordered, changed, _joined(rejects))


def _check(tables: Mapping[str, pd.DataFrame], changes: RawTables) -> None:
    answers = [name for name in ANSWERS if name in changes]
    if answers:
        raise InputError(
            f"A change must not hold {', '.join(answers)}: a collection has no answers to learn "
            "from. Leave out these tables."
        )
    check_shape({"items": tables["items"], **changes})


def _rejected(table: str, marks: Marks) -> pd.DataFrame:
    invalid = np.flatnonzero(~marks.valid)
    reasons = [
        f"{rule}: {value}" if value else str(rule)
        for rule, value in zip(marks.rules[invalid], marks.values[invalid], strict=True)
    ]
    return pd.DataFrame(
        {
            "table": pd.Series([table] * len(invalid), dtype=TEXT),
            "row": pd.Series(invalid + 1, dtype="int64"),
            "reason": pd.Series(reasons, dtype=TEXT),
        }
    )


def _joined(rejects: list[pd.DataFrame]) -> pd.DataFrame:
    nothing = _rejected("", Marks(0))
    return pd.concat([nothing, *(part for part in rejects if len(part))], ignore_index=True)


def _unweighted_where_silent(frame: pd.DataFrame, raw: pd.DataFrame) -> pd.DataFrame:
    """Cleaning makes an absent weight 1; here it must not overwrite a weight that is known."""
    if "weight" not in frame:
        return frame
    if "weight" not in raw:
        return frame.assign(weight=np.nan)
    is_silent = raw["weight"].isna() | (raw["weight"].astype(object) == "")
    return frame.assign(weight=frame["weight"].mask(is_silent.to_numpy(dtype=bool)))


def _merge(
    name: str, old: pd.DataFrame | None, new: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All rows of one table in its order, and those of them that are new or different."""
    spec = TABLES[name]
    before = new.iloc[:0] if old is None else old
    given = [*map(str, before.columns), *map(str, new.columns)]
    columns = [c for c in spec.columns if c in given]
    columns += [c for c in dict.fromkeys(given) if c not in spec.columns]
    before, new = (_with_columns(name, frame, columns) for frame in (before, new))
    key = [column for column in spec.key if column in columns]
    place = _places(before[key], new[key])
    is_old = place >= 0
    replaced = before.iloc[place[is_old]].reset_index(drop=True)
    filled = new[is_old].reset_index(drop=True)
    filled = filled.where(filled.notna(), replaced)
    added = new[~is_old]
    if "weight" in columns:
        added = added.fillna({"weight": 1.0})
    is_different = _differ(replaced, filled)
    changed = _concat(name, [filled[is_different], added])
    kept = np.ones(len(before), dtype=bool)
    kept[place[is_old][is_different]] = False
    whole = _concat(name, [before[kept], changed]).sort_values(key, ignore_index=True)
    return whole, changed.sort_values(key, ignore_index=True)


def _with_columns(name: str, frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return settle(name, frame.reindex(columns=columns).reset_index(drop=True))


def _concat(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)] or parts[:1]
    return settle(name, pd.concat(filled, ignore_index=True))


def _places(old: pd.DataFrame, new: pd.DataFrame) -> IntArray:
    """Row of ``old`` with the same key for each row of ``new``, or -1; empty equals empty."""
    keys = [
        pd.MultiIndex.from_frame(frame.astype(object).where(frame.notna(), ""))
        for frame in (old, new)
    ]
    places: IntArray = np.asarray(keys[0].get_indexer(keys[1]), dtype=np.int64)
    return places


def _differ(a: pd.DataFrame, b: pd.DataFrame) -> BoolArray:
    """Which rows of two frames of the same shape have another value. Shape ``[num_rows]``."""
    differs = np.zeros(len(a), dtype=bool)
    for column in a.columns:
        missing_a, missing_b = (frame[column].isna().to_numpy(dtype=bool) for frame in (a, b))
        values = (a[column].astype(object) != b[column].astype(object)).fillna(True)
        differs |= values.to_numpy(dtype=bool) & ~(missing_a & missing_b)
    return differs
