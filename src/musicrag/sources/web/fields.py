"""Reading JSON whose shape may have changed: each field has a type, and says so if it has not.

Absent and ``null`` are one thing. A wrong type is never taken for absent: that would lose rows
without a word.
"""

from __future__ import annotations

import json
import math
from datetime import date

from musicrag.sources.web.retrying import GarbledError, UnusableError


def parse_json(body: str) -> Fields:
    """Read a JSON object.

    Raises:
        GarbledError: the text is no JSON: HTML, or cut off.
        UnusableError: it is JSON, but no object.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise GarbledError("the answer is not JSON", body) from None
    return Fields(value, "answer", body)


class Fields:
    """One JSON object, with the path that leads to it for messages.

    Raises:
        UnusableError: ``value`` is no object; any method: a field is missing or of another type.
    """

    def __init__(self, value: object, path: str, body: str) -> None:
        if not isinstance(value, dict):
            raise UnusableError(f"{path} is {_kind(value)}, not an object", body)
        self._value, self._path, self._body = value, path, body

    def text(self, name: str) -> str:
        """A text that is not blank, with single spaces."""
        found = self.text_or_none(name)
        if found is None:
            raise self._wrong(name, "a text")
        return found

    def text_or_none(self, name: str) -> str | None:
        """A text with single spaces; ``None`` where it is absent or blank."""
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
            raise self._wrong(name, "a text")
        return " ".join(value.split()) or None

    def number(self, name: str) -> float:
        found = self.number_or_none(name)
        if found is None:
            raise self._wrong(name, "a number")
        return found

    def number_or_none(self, name: str) -> float | None:
        value = self._value.get(name)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self._wrong(name, "a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """A truth value; absent is false."""
        value = self._value.get(name)
        if not isinstance(value, bool | None):
            raise self._wrong(name, "true or false")
        return bool(value)

    def object(self, name: str) -> Fields:
        return Fields(self._value.get(name), f"{self._path}.{name}", self._body)

    def object_or_none(self, name: str) -> Fields | None:
        return None if self._value.get(name) is None else self.object(name)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects, which must be there."""
        values = self._value.get(name)
        if not isinstance(values, list):
            raise self._wrong(name, "a list")
        path = f"{self._path}.{name}"
        return [Fields(value, f"{path}[{i}]", self._body) for i, value in enumerate(values)]

    def objects_or_none(self, name: str) -> list[Fields]:
        """A list of objects; empty where it is absent."""
        return [] if self._value.get(name) is None else self.objects(name)

    def wrong(self, reason: str) -> UnusableError:
        """The error for an object that contradicts itself."""
        return UnusableError(f"{self._path}: {reason}", self._body)

    def _wrong(self, name: str, expected: str) -> UnusableError:
        return UnusableError(
            f"{self._path}.{name} is {_kind(self._value.get(name))}, not {expected}", self._body
        )


def is_before(year: int, month: int | None, day: int | None, since: date | None) -> bool:
    """Whether a date, maybe only a year or a month, lies wholly before ``since``."""
    if since is None:
        return False
    if month is None:
        return year < since.year
    if day is None:
        return (year, month) < (since.year, since.month)
    return (year, month, day) < (since.year, since.month, since.day)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "missing" if value is None else kinds[type(value)]
