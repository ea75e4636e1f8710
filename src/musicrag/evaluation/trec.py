"""Runs and qrels to TREC files and back, byte-identical for equal input, whole or absent.

Run lines are ``query_id Q0 item_id rank score tag``, qrels lines ``query_id 0 item_id gain``.
The format separates by whitespace, so whitespace and ``%`` inside an id are percent-encoded
(UTF-8, as in a URL) and decoded on reading. Scores are written by ``repr``, which loses nothing.
Queries without any item have no line and so do not survive the round trip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from musicrag.artifacts import atomic_file
from musicrag.types import InputError, Qrels, Run

_RUN_FIELDS = ("query_id", "Q0", "item_id", "rank", "score", "tag")
_QRELS_FIELDS = ("query_id", "0", "item_id", "gain")


def write_run(target: Path, run: Run, tag: str) -> None:
    """Write a run, queries by id, items by score (as float32) descending, then id descending.

    Raises:
        InputError: an id or the tag is empty, or a score is NaN.
    """
    name = _encode(tag, "tag")
    with atomic_file(target) as path, path.open("w", encoding="utf-8", newline="\n") as handle:
        for query, scores in sorted(run.items()):
            query_id = _encode(query, "query id")
            for rank, item in enumerate(_best_first(query, scores), start=1):
                score = repr(float(scores[item]))
                handle.write(f"{query_id} Q0 {_encode(item, 'item id')} {rank} {score} {name}\n")


def read_run(source: Path) -> Run:
    """Read a run; as in trec_eval the score orders it, and rank and tag are not looked at.

    Raises:
        InputError: no such file, or a malformed line, named by its number.
    """
    return _read(source, _RUN_FIELDS, item_at=2, value_at=4)


def write_qrels(target: Path, qrels: Qrels) -> None:
    """Write qrels sorted by query and item; whole gains are written as integers.

    Raises:
        InputError: an id is empty or a gain is NaN.
    """
    with atomic_file(target) as path, path.open("w", encoding="utf-8", newline="\n") as handle:
        for query, gains in sorted(qrels.items()):
            query_id = _encode(query, "query id")
            for item, gain in sorted(gains.items()):
                _refuse_nan(gain, query, item)
                value = str(int(gain)) if float(gain).is_integer() else repr(float(gain))
                handle.write(f"{query_id} 0 {_encode(item, 'item id')} {value}\n")


def read_qrels(source: Path) -> Qrels:
    """Read qrels.

    Raises:
        InputError: no such file, or a malformed line, named by its number.
    """
    return _read(source, _QRELS_FIELDS, item_at=2, value_at=3)


def _best_first(query: str, scores: Mapping[str, float]) -> list[str]:
    for item, score in scores.items():
        _refuse_nan(score, query, item)
    with np.errstate(over="ignore"):
        values = np.fromiter(scores.values(), np.float32, count=len(scores)).tolist()
    return [item for _, item in sorted(zip(values, scores, strict=True), reverse=True)]


def _refuse_nan(value: float, query: str, item: str) -> None:
    if value != value:
        raise InputError(f"The value of item {item!r} for query {query!r} is NaN.")


def _encode(text: str, what: str) -> str:
    if not text:
        raise InputError(f"An empty {what} cannot be written to a TREC file.")
    if "%" not in text and text.split() == [text]:
        return text
    return "".join(quote(c, safe="") if c == "%" or c.isspace() else c for c in text)


def _decode(text: str, where: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: {text!r} is not percent-encoded UTF-8 ({error}).") from error


def _read(
    source: Path, fields: tuple[str, ...], item_at: int, value_at: int
) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for number, line in _lines(source):
        parts = line.split()
        where = f"{source}, line {number}"
        if len(parts) != len(fields):
            raise InputError(
                f"{where}: {len(parts)} fields instead of {len(fields)} "
                f"({' '.join(fields)}): {line!r}."
            )
        query, item = _decode(parts[0], where), _decode(parts[item_at], where)
        of_query = values.setdefault(query, {})
        if item in of_query:
            raise InputError(f"{where}: item {item!r} stands twice for query {query!r}.")
        of_query[item] = _number(parts[value_at], where, fields[value_at])
    return values


def _lines(source: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line that is not blank."""
    number = 0
    try:
        with source.open(encoding="utf-8", newline="\n") as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"There is no file {source}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{source}, after line {number}: not UTF-8 ({error}).") from error


def _number(text: str, where: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value:
        raise InputError(f"{where}: the {what} must be a number, got {text!r}.")
    return value
