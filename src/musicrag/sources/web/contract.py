"""What every web source gives: rows for one unit of work at a time, and what it could not read.

Ids in a harvest are keys that :mod:`musicrag.sources.web.identity` made from names, so that three
services that spell one song in three ways mean one song.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import pandas as pd

from musicrag.contracts import RawTables


class TransientError(RuntimeError):
    """A service did not answer even after retries: stop, keep what is done, try again later."""


@dataclass(frozen=True)
class Reject:
    """An answer, or a part of one, that could not be used; never a key or token in ``excerpt``."""

    source: str
    unit: str
    reason: str
    excerpt: str


@dataclass(frozen=True)
class Harvest:
    """All rows that one unit gave, complete or not at all."""

    tables: RawTables
    rejects: tuple[Reject, ...] = field(default=())


class WebSource(Protocol):
    """A client of one service. Construction reads the key and sends nothing."""

    name: str

    def units(self, tables: Mapping[str, pd.DataFrame]) -> list[str]:
        """Units of work for a catalogue, sorted, such as ``artist:a12`` for each artist."""
        ...

    def fetch(self, unit: str, tables: Mapping[str, pd.DataFrame], since: date | None) -> Harvest:
        """Ask for one unit. The same answers give the same rows.

        Args:
            tables: the catalogue, to know what is there already.
            since: leave out what the service dates before this day.

        Raises:
            TransientError: no usable answer after all retries.
            InputError: the service refuses the key.
        """
        ...
