"""A second graph store, such as a Neo4j server, that follows a collection.

A note beside the versions says which of them the store holds, so that an interrupted merge is
repeated, and a store that fell too far behind is loaded anew.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from musicrag import artifacts
from musicrag.collection import storing
from musicrag.collection.delta import apply_delta, difference
from musicrag.collection.folder import Collection
from musicrag.graph.stores.contract import GraphStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mirror:
    """A store and the name under which the collection remembers what it holds.

    Attributes:
        name: one word, such as ``neo4j``; another server needs another name.
        store: open; whoever opened it closes it.
    """

    name: str
    store: GraphStore

    def bring_up_to(self, collection: Collection) -> int:
        """Make the store hold the graph of the current version; repeatable.

        Returns:
            The version's number.

        Raises:
            InputError: the store or the collection cannot be used.
        """
        note = collection.path / "mirrors" / f"{self.name}.json"
        with collection.writing():  # else a version could go while it is read
            version = collection.version
            held = artifacts.read_json(note).get("version") if note.is_file() else None
            if held != version:
                self._move(collection, held, version)
                artifacts.write_json(note, {"version": version})
        return version

    def _move(self, collection: Collection, held: object, version: int) -> None:
        """By the difference of two versions if the older is still there, else by a load."""
        rows = storing.read_rows(collection.folder(version))
        known = collection.folder(held) if isinstance(held, int) else None
        if known is not None and known.is_dir():
            apply_delta(self.store, difference(storing.read_rows(known), rows), rows)
        else:
            self.store.load(rows)
        log.info("%s: holds version %d", self.name, version)
