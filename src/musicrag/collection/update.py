"""New rows become the next contents, by touching what they touch and nothing else.

Tables are merged, the graph's stated edges follow them, features are encoded for items whose
words, sounds or columns are new, and vectors are computed for nodes whose surroundings changed.
All other rows of features and vectors stay byte for byte. The network is not trained: that takes
a new run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from musicrag.collection.changes import REJECT_COLUMNS, Merged, merge_tables
from musicrag.collection.contents import Contents, EncoderSpec
from musicrag.collection.delta import Delta, difference
from musicrag.collection.growth import connect_lonely, grow
from musicrag.contracts import Dataset, RawTables
from musicrag.features.partial import encode_items
from musicrag.features.saved import SavedModality
from musicrag.gnn.placing import place
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.rows import NODE_COLUMNS, GraphRows
from musicrag.graph.validation import require_valid
from musicrag.types import BoolArray, FloatArray, IntArray, Vocabulary

log = logging.getLogger(__name__)

_Array = TypeVar("_Array", FloatArray, BoolArray)
_ENCODED = ("lyrics", "audio", "audio_features", "emotion_features")


def _no_rejects() -> pd.DataFrame:
    return pd.DataFrame({column: [] for column in REJECT_COLUMNS}, dtype="str")


@dataclass(frozen=True)
class Touched:
    """What an update did.

    Attributes:
        rows: new or changed rows of each table that changed.
        num_new_items: items that were not there.
        num_encoded: items encoded, by modality.
        num_placed: nodes whose vector was computed.
        num_joined: SIMILAR_TO edges given to items that had no edge.
        delta: what is different in the graph; None if nothing changed at all.
        rejects: rows of the change that were left out: ``table, row, reason``.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    num_new_items: int = 0
    num_encoded: Mapping[str, int] = field(default_factory=dict)
    num_placed: int = 0
    num_joined: int = 0
    delta: Delta | None = None
    rejects: pd.DataFrame = field(default_factory=_no_rejects)

    @property
    def is_nothing(self) -> bool:
        """Whether the contents are the same as before."""
        return not self.rows

    def describe(self) -> str:
        """One line for the log and the terminal."""
        counts = [f"{name} {count:,}" for name, count in self.rows.items()]
        if self.delta is not None:
            counts.append(f"{len(self.delta.new_nodes):,} new nodes")
            counts.append(f"{self.delta.num_new_edges:,} new edges")
        counts += [f"{count:,} {name} encoded" for name, count in self.num_encoded.items()]
        counts.append(f"{self.num_placed:,} nodes placed")
        rejected = f"; {len(self.rejects):,} rows rejected" if len(self.rejects) else ""
        return (", ".join(counts) if self.rows else "nothing new") + rejected


def update(contents: Contents, changes: RawTables) -> tuple[Contents, Touched]:
    """Add rows, or replace those whose key is there.

    The same change twice is the same as once. A cell that a change leaves empty stays as it was.

    Args:
        contents: what is there.
        changes: raw rows; invalid ones are left out and listed, whole.

    Returns:
        The next contents (the same object if nothing changed), and what was done.

    Raises:
        InputError: a table or column is unknown or missing, or the graph would break a rule.
    """
    started = time.perf_counter()
    merged = merge_tables(contents.tables, contents.item_type, changes)
    if not merged.changed:
        return contents, Touched(rejects=merged.rejects)
    tables = replace(contents.dataset, tables=merged.tables, content_hash="")
    features, num_encoded = _features(contents, tables, merged)
    fresh = _fresh_items(contents, features, tables.items)
    rows = grow(contents.rows, contents.tables, merged, contents.graph)
    spaces = {modality: saved.space for modality, saved in features.items()}
    rows, num_joined = connect_lonely(rows, fresh, tables.items, spaces)
    require_valid(rows)
    delta = difference(contents.rows, rows)
    vectors, num_placed = _vectors(contents, rows, delta, features, tables.items, fresh)
    grown = replace(contents, tables=merged.tables, rows=rows, features=features, vectors=vectors)
    touched = Touched(
        {name: len(part) for name, part in merged.changed.items()},
        len(tables.items) - len(contents.dataset.items),
        num_encoded,
        num_placed,
        num_joined,
        delta,
        merged.rejects,
    )
    log.info("update: %s; %.1f s", touched.describe(), time.perf_counter() - started)
    return grown, touched


def _features(
    contents: Contents, dataset: Dataset, merged: Merged
) -> tuple[dict[str, SavedModality], dict[str, int]]:
    """Every modality with a row for each item, and how many of them were encoded."""
    grown: dict[str, SavedModality] = {}
    num_encoded: dict[str, int] = {}
    place_of_old = dataset.items.encode(contents.dataset.items.array)
    can_be_new = any(table in merged.changed for table in _ENCODED)
    for modality, saved in contents.features.items():
        moved = _moved(saved, place_of_old, len(dataset.items))
        if can_be_new:
            moved, count = _encoded(moved, contents.encoders[modality], dataset, merged)
            num_encoded |= {modality: count} if count else {}
        grown[modality] = moved
    return grown, num_encoded


def _moved(saved: SavedModality, place_of_old: IntArray, num_items: int) -> SavedModality:
    """The same rows at their items' new places; further items are absent."""
    if num_items == len(place_of_old):
        return saved

    def spread(rows: FloatArray) -> FloatArray:
        values = np.zeros((num_items, rows.shape[1]), dtype=np.float32)
        values[place_of_old] = rows
        return values

    def mask(rows: BoolArray) -> BoolArray:
        present = np.zeros(num_items, dtype=bool)
        present[place_of_old] = rows
        return present

    raw, space = saved.raw, saved.space
    return SavedModality(
        replace(raw, values=spread(raw.values), present=mask(raw.present)),
        saved.scale,
        replace(space, items=spread(space.items), present=mask(space.present)),
    )


def _encoded(
    saved: SavedModality, spec: EncoderSpec, dataset: Dataset, merged: Merged
) -> tuple[SavedModality, int]:
    """Encode the items whose data changed, and put them into the taste space as it is."""
    encoder = spec.build()
    ids = sorted(merged.changed_ids(encoder.requires))
    if not ids:
        return saved, 0
    if not encoder.is_rowwise:
        log.warning(
            "%s: %s places items relative to each other, so %d new rows wait for the next training",
            *(encoder.modality, spec.name, len(ids)),
        )
        return saved, 0
    part = encode_items(encoder, dataset, ids, saved.raw.names)
    placed = saved.space.place(saved.scale.apply(part))
    at = dataset.items.encode(ids)
    raw, space = saved.raw, saved.space
    raw = replace(
        raw,
        values=_with_rows(raw.values, at, part.values),
        present=_with_rows(raw.present, at, part.present),
    )
    space = replace(
        space,
        items=_with_rows(space.items, at, placed.items),
        present=_with_rows(space.present, at, placed.present),
    )
    return SavedModality(raw, saved.scale, space), len(ids)


def _with_rows(old: _Array, at: IntArray, rows: _Array) -> _Array:
    changed = old.copy()
    changed[at] = rows
    return changed


def _fresh_items(
    contents: Contents, features: Mapping[str, SavedModality], items: Vocabulary
) -> list[str]:
    """Items that are new, or of which other features are known now."""
    old = contents.dataset.items
    place_of_old = items.encode(old.array)
    is_fresh = np.ones(len(items), dtype=bool)
    is_fresh[place_of_old] = False
    for modality, saved in features.items():
        was, now = contents.features[modality].raw, saved.raw
        differs = (now.values[place_of_old] != was.values).any(axis=1)
        is_fresh[place_of_old] |= differs | (now.present[place_of_old] != was.present)
    return items.decode(np.flatnonzero(is_fresh).tolist())


def _vectors(
    contents: Contents,
    rows: GraphRows,
    delta: Delta,
    features: Mapping[str, SavedModality],
    items: Vocabulary,
    fresh: list[str],
) -> tuple[FloatArray | None, int]:
    """Old vectors at their new places; those of touched nodes computed on the grown graph."""
    network, old = contents.network, contents.vectors
    if network is None or old is None:
        return None, 0
    key = NODE_COLUMNS[:2]
    index = pd.MultiIndex.from_frame(rows.nodes[key])
    before = index.get_indexer(pd.MultiIndex.from_frame(contents.rows.nodes[key]))
    vectors = np.zeros((len(rows.nodes), old.shape[1]), dtype=np.float32)
    vectors[before[before >= 0]] = old[before >= 0]
    own = pd.DataFrame({"node_type": rows.item_type, "node_id": fresh}, columns=key)
    touched = pd.concat([delta.touched(), own]).drop_duplicates()
    at = np.sort(index.get_indexer(pd.MultiIndex.from_frame(touched[key])))
    if len(at):
        known = _scaled(features, network.feature_widths)
        graph = KnowledgeGraph.from_rows(rows)
        vectors[at] = place(network, graph, known, items, at)
    return vectors, len(at)


def _scaled(
    features: Mapping[str, SavedModality], wanted: Mapping[str, int]
) -> dict[str, FloatArray]:
    """Item features as the network takes them, those of its modalities only."""
    return {name: features[name].space.scaled() for name in wanted}
