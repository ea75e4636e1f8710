"""A web source's news become one new version of a collection, however often the way is cut.

Each unit that a source gives is kept in a journal. When all are there, they are resolved, merged
and published at once, so a collection never holds half a sync. A kill at any moment is mended by
the same command: before publication it goes on at the next unit, after it the version knows the
journal's id and nothing is applied twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from musicrag import artifacts
from musicrag.collection.folder import Collection
from musicrag.collection.journal import Journal, Plan
from musicrag.collection.mirror import Mirror
from musicrag.collection.update import Touched, update
from musicrag.contracts import TABLES, RawTables
from musicrag.sources.web.contract import Reject, TransientError, WebSource
from musicrag.sources.web.identity import artist_key, resolve
from musicrag.sources.web.units import artist_id_of, artists_of
from musicrag.types import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncReport:
    """What a sync did.

    Attributes:
        source: the source's name.
        since: the day from which on it was asked; None for everything.
        num_units: units of work; num_kept: those that an earlier, cut-off run had fetched.
        num_rejects: answers and rows that could not be used; ``rejects`` lists them.
        rejects: the file with all rejects of this source.
        touched: what changed; None if an earlier run had published it before it was cut off.
        version: the current version now.
    """

    source: str
    since: date | None
    num_units: int
    num_kept: int
    num_rejects: int
    rejects: Path
    touched: Touched | None
    version: int


def sync(
    collection: Collection,
    source: WebSource,
    since: date | None = None,
    today: date | None = None,
    restart: bool = False,
    mirror: Mirror | None = None,
) -> SyncReport:
    """Fetch what a source has, and publish it as one version; or go on with a sync cut off.

    Args:
        collection: what is to grow.
        source: whom to ask.
        since: leave out what is older; None: the day of the last sync, if there was one.
        today: the day that the next sync will ask from; None takes the clock's.
        restart: forget a sync that was cut off, instead of going on with it.
        mirror: a further store that is to hold the graph.

    Raises:
        TransientError: the source does not answer; all finished units are kept.
        InputError: a sync with another ``since`` was cut off, another process syncs or writes, or
            the source refuses the key.
    """
    catalogue = collection.read().tables
    journal = Journal(collection.path / "sync", source.name)
    with journal.held():
        if restart:
            journal.remove()
        plan = _resumed(journal, since) or journal.begin(
            source.units(catalogue), since or journal.last_sync(), today or date.today()
        )
        num_kept = _fetch(journal, plan, source, catalogue)
        touched, num_rejects = _apply(collection, journal, plan)
        if mirror is not None:
            mirror.bring_up_to(collection)
        journal.finish(plan)
    counts = (len(plan.units), num_kept, num_rejects)
    rejects = _rejects_file(collection, source.name)
    return SyncReport(source.name, plan.since, *counts, rejects, touched, collection.version)


def _resumed(journal: Journal, since: date | None) -> Plan | None:
    """The sync that was cut off, unless it asked from another day on."""
    plan = journal.plan()
    if plan is None:
        return None
    if since is not None and since != plan.since:
        asked = f"since {plan.since}" if plan.since else "for everything"
        raise InputError(
            f"A sync with {journal.source} that asked {asked} is unfinished, but this one asks "
            f"since {since}. Run again without a day to finish it, or restart to forget it."
        )
    log.info("%s: going on with the sync begun on %s", journal.source, plan.started)
    return plan


def _fetch(
    journal: Journal, plan: Plan, source: WebSource, catalogue: Mapping[str, pd.DataFrame]
) -> int:
    """Fetch the units that are missing, each kept as soon as it is whole; how many were there."""
    missing = [number for number in range(len(plan.units)) if not journal.is_done(number)]
    num_kept = done = len(plan.units) - len(missing)
    with tqdm(total=len(plan.units), initial=done, desc=source.name, disable=None) as progress:
        for number in missing:
            try:
                harvest = source.fetch(plan.units[number], catalogue, plan.since)
            except TransientError as error:
                raise TransientError(
                    f"{error} {done} of {len(plan.units)} units of {source.name} are done and "
                    "kept: run the same command again later to go on."
                ) from error
            journal.write(number, harvest)
            done += 1
            progress.update()
    return num_kept


def _apply(collection: Collection, journal: Journal, plan: Plan) -> tuple[Touched | None, int]:
    """Publish all units as one version, unless a run that was cut off has done so."""
    harvests = [journal.read(number) for number in range(len(plan.units))]
    rejects = [reject for harvest in harvests for reject in harvest.rejects]
    with collection.writing():
        if plan.id in collection.manifest().journals:
            log.info("%s: the sync was published before it was cut off", journal.source)
            return None, len(rejects)
        contents = collection.read()
        tables = [harvest.tables for harvest in harvests]
        changes = combined(plan.units, tables, contents.tables, contents.item_type)
        grown, touched = update(contents, changes) if changes else (contents, Touched())
        rejects += [
            Reject(journal.source, f"{table} row {row}", str(reason), "")
            for table, row, reason in touched.rejects.itertuples(index=False, name=None)
        ]
        _write_rejects(_rejects_file(collection, journal.source), plan.id, rejects)
        if not touched.is_nothing:
            collection.publish(grown, touched.delta, plan.id)
    return touched, len(rejects)


def combined(
    units: Sequence[str],
    harvests: Sequence[RawTables],
    catalogue: Mapping[str, pd.DataFrame],
    item_type: str,
) -> RawTables:
    """Rows of all units under the catalogue's ids; of equal keys the first unit's cells count.

    Units are resolved together, except where artists share a name and only the unit says which of
    them is meant.
    """
    names = artists_of(catalogue, item_type).assign(key=lambda rows: rows["name"].map(artist_key))
    shared = set(names.loc[names["key"].duplicated(keep=False), "artist_id"])
    alone = [number for number, unit in enumerate(units) if artist_id_of(unit) in shared]
    together = [harvest for number, harvest in enumerate(harvests) if number not in set(alone)]
    resolved = [resolve(_joined(together), catalogue, item_type)]
    resolved += [resolve(harvests[n], catalogue, item_type, units[n]) for n in alone]
    return _with_known_plays(_joined(resolved), catalogue)


def _with_known_plays(changes: RawTables, catalogue: Mapping[str, pd.DataFrame]) -> RawTables:
    """A service counts plays of some days only: a higher count that is known already stays.

    Days may overlap between syncs, so counts are not added: the same plays would count twice.
    """
    name, key = "interactions", ["user_id", "item_id"]
    if name not in changes or name not in catalogue:
        return changes
    new, known = changes[name], catalogue[name].reindex(columns=[*key, "weight"])
    before = new[key].merge(known.fillna({"weight": 1.0}), on=key, how="left")["weight"]
    plays = new["weight"].to_numpy(dtype=np.float64)
    return {**changes, name: new.assign(weight=np.fmax(plays, before.to_numpy(np.float64)))}


def _joined(parts: Iterable[RawTables]) -> RawTables:
    """Tables one below the other, one row for each key; later rows fill empty cells."""
    listed = list(parts)
    joined: RawTables = {}
    for name, spec in TABLES.items():
        frames = [part[name] for part in listed if name in part and len(part[name])]
        if frames:
            rows = pd.concat([frame.astype(object) for frame in frames], ignore_index=True)
            key = [column for column in spec.key if column in rows]
            filled = rows.groupby(key, sort=False, dropna=False, as_index=False).first()
            joined[name] = filled[list(rows.columns)]
    return joined


def _rejects_file(collection: Collection, source: str) -> Path:
    return collection.path / "rejects" / f"{source}.jsonl"


def _write_rejects(target: Path, journal_id: str, rejects: Sequence[Reject]) -> None:
    """Add rejects to the file of a source; those of the same sync are replaced, never doubled."""
    lines = target.read_text(encoding="utf-8").splitlines() if target.is_file() else []
    kept = [line for line in lines if json.loads(line)["sync"] != journal_id]
    kept += [
        json.dumps(
            {
                "sync": journal_id,
                "source": reject.source,
                "unit": reject.unit,
                "reason": reject.reason,
                "excerpt": reject.excerpt,
            },
            ensure_ascii=False,
        )
        for reject in rejects
    ]
    if kept != lines:
        artifacts.write_text(target, "".join(f"{line}\n" for line in kept))
