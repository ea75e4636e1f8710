"""What a sync has fetched so far, one whole file for each finished unit.

    <collection>/sync/<source>/journal.json     id, since, day of start, units in order
    <collection>/sync/<source>/units/<n>.json   rows and rejects of the n-th unit
    <collection>/sync/<source>.json             day of the last sync that was applied
    <collection>/sync/<source>.lock             held by the process that runs the sync

A kill loses the unit in work and no other. Without ``journal.json`` there is no journal: what
else lies there is left over and removed.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from musicrag import artifacts
from musicrag.contracts import RawTables
from musicrag.sources.web.contract import Harvest, Reject
from musicrag.types import InputError


@dataclass(frozen=True)
class Plan:
    """What a sync set out to do.

    Attributes:
        id: unlike that of any other sync.
        since: the day from which on the source is asked; None asks for everything.
        started: the day it was begun; the next sync asks from here on.
        units: all units of work, in order.
    """

    id: str
    since: date | None
    started: date
    units: tuple[str, ...]


class Journal:
    """The folder of one source's unfinished sync, if there is one.

    Args:
        folder: ``<collection>/sync``.
        source: the source's name.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self.source = source
        self.folder = folder / source
        self._last = folder / f"{source}.json"
        self._lock = FileLock(folder / f"{source}.lock")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from the same sync.

        Raises:
            InputError: another process runs it.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._lock.acquire(timeout=0):
                yield
        except Timeout as error:
            raise InputError(
                f"A sync with {self.source} is running already. Wait until it is done, or stop it."
            ) from error

    def plan(self) -> Plan | None:
        """The unfinished sync, or None."""
        source = self.folder / "journal.json"
        if not source.is_file():
            return None
        stored = artifacts.read_json(source)
        units, since = stored.get("units"), stored.get("since")
        if not isinstance(units, list) or not {"id", "started"} <= set(stored):
            raise InputError(f"{source} is incomplete. Delete {self.folder} and run again.")
        return Plan(
            str(stored["id"]),
            date.fromisoformat(str(since)) if since is not None else None,
            date.fromisoformat(str(stored["started"])),
            tuple(map(str, units)),
        )

    def begin(self, units: Sequence[str], since: date | None, today: date) -> Plan:
        """Start anew; what an earlier sync left is removed."""
        self.remove()
        plan = Plan(uuid.uuid4().hex, since, today, tuple(units))
        stored = asdict(plan) | {"since": since and since.isoformat(), "started": today.isoformat()}
        artifacts.write_json(self.folder / "journal.json", stored)
        return plan

    def is_done(self, number: int) -> bool:
        """Whether the unit at this place was fetched."""
        return self._unit(number).is_file()

    def write(self, number: int, harvest: Harvest) -> None:
        """Keep what a unit gave."""
        stored = {
            "tables": {
                name: {"columns": list(map(str, frame.columns)), "rows": _plain(frame)}
                for name, frame in harvest.tables.items()
            },
            "rejects": [asdict(reject) for reject in harvest.rejects],
        }
        artifacts.write_json(self._unit(number), stored)

    def read(self, number: int) -> Harvest:
        """What a unit gave.

        Raises:
            InputError: the file is damaged.
        """
        stored = artifacts.read_json(self._unit(number))
        tables, rejects = stored.get("tables"), stored.get("rejects")
        if not isinstance(tables, dict) or not isinstance(rejects, list):
            raise InputError(f"{self._unit(number)} is incomplete. Delete it and run again.")
        frames: RawTables = {
            str(name): pd.DataFrame(frame["rows"], columns=frame["columns"], dtype=object)
            for name, frame in tables.items()
        }
        return Harvest(frames, tuple(Reject(**reject) for reject in rejects))

    def last_sync(self) -> date | None:
        """The day on which the last sync that was applied began, or None."""
        if not self._last.is_file():
            return None
        return date.fromisoformat(str(artifacts.read_json(self._last)["last"]))

    def finish(self, plan: Plan) -> None:
        """Note the day, then forget the journal; a kill between the two does no harm."""
        artifacts.write_json(self._last, {"last": plan.started.isoformat()})
        self.remove()

    def remove(self) -> None:
        """Forget an unfinished sync."""
        (self.folder / "journal.json").unlink(missing_ok=True)  # first, so that no half is left
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unit(self, number: int) -> Path:
        return self.folder / "units" / f"{number:06d}.json"


def _plain(frame: pd.DataFrame) -> list[list[object]]:
    """Cells as JSON knows them; a missing one is null."""
    cells = frame.astype(object).where(frame.notna(), None).to_numpy(dtype=object)
    return [
        [cell.item() if isinstance(cell, np.generic) else cell for cell in row] for row in cells
    ]
