"""The graph goes through its database: what training reads is what the store holds."""

from __future__ import annotations

import logging
import time
from typing import Any

from musicrag.graph.rows import GraphRows
from musicrag.graph.stores.contract import GraphStore
from musicrag.schema import Component, GraphConfig
from musicrag.types import InputError

log = logging.getLogger(__name__)

_DIGITS = 16


def stored(config: GraphConfig, rows: GraphRows) -> GraphRows:
    """Load a graph into the chosen store and read it back; without one, the rows themselves.

    Raises:
        InputError: the store cannot be reached, or another run has changed it meanwhile.
    """
    if config.source == "tables":
        return rows
    started = time.perf_counter()
    store = open_store(config.store, rows)
    try:
        store.load(rows)
        held = store.read()
    finally:
        store.close()
    if held.content_hash != rows.content_hash:
        raise InputError(
            f"graph={config.name}: the database holds another graph than the one just loaded, so "
            f"another run writes to it. Give each graph a database of its own, or wait."
        )
    log.info("graph: in store %s; %.1f s", config.store.name, time.perf_counter() - started)
    return held


def open_store(component: Component, rows: GraphRows) -> GraphStore:
    """The store of a configuration; ``{hash}`` in a value becomes the graph's content hash."""
    store: GraphStore = component.model_copy(
        update={"params": {key: _filled(value, rows) for key, value in component.params.items()}}
    ).build()
    return store


def _filled(value: Any, rows: GraphRows) -> Any:
    if isinstance(value, str) and "{hash}" in value:
        return value.replace("{hash}", rows.content_hash[:_DIGITS])
    return value
