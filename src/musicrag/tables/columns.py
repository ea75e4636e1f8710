"""The shape of a raw table is checked, and each of its columns becomes its declared type.

A wrong shape (unknown table, missing or extra column, no rows) is always an error. A value that
does not fit is a *mark* on its row: the rule it breaks and the value, for ``clean`` to act on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from musicrag.contracts import TABLES, Column, TableSpec
from musicrag.types import BoolArray, InputError, nearest

TEXT = pd.StringDtype(na_value=np.nan)
"""Strings with NaN for a missing value: the ``str`` of pandas 3, on pandas 2.3 too."""

_MAX_WHOLE = 2.0**53


class Marks:
    """Which rows of one table are invalid, and why; the first rule that a row breaks counts."""

    def __init__(self, num_rows: int) -> None:
        self.rules = np.full(num_rows, "", dtype=object)
        self.values = np.full(num_rows, "", dtype=object)

    @property
    def valid(self) -> BoolArray:
        return np.asarray(self.rules == "", dtype=np.bool_)

    def add(self, bad: BoolArray, rule: str, values: pd.Series | None = None) -> None:
        """Mark rows that have no mark yet.

        Args:
            bad: rows that break the rule. Shape ``[num_rows]``.
            rule: what is wrong, without the value: rows are counted by it.
            values: the offending values of all rows, shown in the message.
        """
        new = np.flatnonzero(bad & self.valid)
        self.rules[new] = rule
        if values is not None:
            self.values[new] = [repr(value) for value in values.iloc[new]]


def check_shape(raw: Mapping[str, pd.DataFrame]) -> None:
    """Check table names and columns against :data:`TABLES`, and that no table is empty.

    Raises:
        InputError: lists every unknown table, missing and extra column, and empty table.
    """
    problems = [
        f"{name!r} is not a table.{nearest(name, TABLES)}" for name in raw if name not in TABLES
    ]
    if "items" not in raw:
        problems.append("items: this table is required.")
    for name, frame in raw.items():
        if name in TABLES:
            problems += _shape_problems(name, frame, TABLES[name])
    if problems:
        raise InputError(
            "The tables cannot be used:\n  "
            + "\n  ".join(problems)
            + "\nCorrect them; docs/data_format.md lists every table and column."
        )


def _shape_problems(name: str, frame: pd.DataFrame, spec: TableSpec) -> list[str]:
    present = [str(column) for column in frame.columns]
    required = [column for column, about in spec.columns.items() if about.required]
    missing = [column for column in required if column not in present]
    extra = [column for column in present if column not in spec.columns]
    problems = []
    if len(set(present)) < len(present):
        problems.append(f"{name}: a column stands twice among {', '.join(present)}.")
    if missing or (extra and not spec.has_feature_columns):
        absent = [column for column in spec.columns if column not in present]
        hints = "".join(nearest(column, absent) for column in extra)
        problems.append(
            f"{name}: missing columns: {', '.join(missing) or 'none'}; "
            f"extra columns: {', '.join(extra) or 'none'}.{hints}"
        )
    if spec.has_feature_columns and not extra:
        problems.append(f"{name}: there is no feature column beside {', '.join(required)}.")
    if frame.empty:
        problems.append(f"{name}: the table has no rows. Fill it, or leave it out.")
    return problems


def coerce(name: str, raw: pd.DataFrame, marks: Marks) -> pd.DataFrame:
    """Return the table in declared column order and types; values that do not fit are marked.

    Text and ids lose white space at their ends, and an empty one is missing. An absent or empty
    ``weight`` becomes 1, but one that is no number is marked. Further columns of a feature table
    become float64.
    """
    spec = TABLES[name]
    raw = raw.reset_index(drop=True).rename(columns=str)
    columns = {column: about for column, about in spec.columns.items() if column in raw}
    for column in raw.columns:
        columns.setdefault(str(column), Column("float", "a feature"))
    frame = pd.DataFrame(
        {column: _convert(raw[column], about, marks) for column, about in columns.items()}
    )
    if "weight" in spec.columns:
        given = frame["weight"] if "weight" in frame else pd.Series(np.nan, index=frame.index)
        frame["weight"] = given.fillna(1.0)
    return frame


def _convert(values: pd.Series, about: Column, marks: Marks) -> pd.Series:
    if about.type in ("float", "int"):
        converted = _to_numbers(values, about, marks)
    else:
        converted = _to_text(values, marks)
    if about.required:
        marks.add(converted.isna().to_numpy(), f"{values.name} is missing")
    return converted


def _to_text(values: pd.Series, marks: Marks) -> pd.Series:
    if not isinstance(values.dtype, pd.StringDtype):
        scalar = values.map(lambda value: isinstance(value, str | int | float | np.number))
        bad = ~(scalar | values.isna()).to_numpy(dtype=np.bool_)
        marks.add(bad, f"{values.name} is not text", values)
        values = values.map(_spell, na_action="ignore")
    text = values.astype(TEXT).str.strip()
    return text.where(text != "")


def _spell(value: object) -> str:
    """Write a scalar as an id: a whole float such as 52.0 is the id ``52``."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _to_numbers(values: pd.Series, about: Column, marks: Marks) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.astype(TEXT)  # not nanoseconds by accident: a date is marked below
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64").astype("float64")
    given = values.notna().to_numpy() & (values.astype(object) != "").to_numpy()
    finite = np.isfinite(numbers.to_numpy())
    marks.add(given & ~finite, f"{values.name} is not a finite number", values)
    if about.type == "float":
        return numbers.where(finite)
    whole = finite & (numbers % 1 == 0).to_numpy() & (numbers.abs() < _MAX_WHOLE).to_numpy()
    marks.add(finite & ~whole, f"{values.name} is not a whole number", values)
    return numbers.where(whole).astype("Int64")
