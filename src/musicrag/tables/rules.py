"""What a valid row is, beyond the types of its columns.

Values in range and among the allowed words, rows that refer to rows which exist, no key twice,
no playlist too short to hide a song of, paths that parse, sound files that are there. Each rule
marks rows; none changes a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath

import numpy as np
import pandas as pd

from musicrag.contracts import TABLES
from musicrag.tables.albums import album_ids
from musicrag.tables.columns import Marks
from musicrag.types import QUERY_TYPES, BoolArray, InputError, Path, nearest

NODE_TYPES = ("Song", "Artist", "Genre", "Mood", "User", "Playlist", "Tag", "Album")
PROFILE_TYPES = ("user", "playlist")
TAG_KINDS = ("genre", "mood", "tag")

_CHOICES: dict[str, tuple[str, ...]] = {
    "kind": TAG_KINDS,
    "profile_type": PROFILE_TYPES,
    "query_type": QUERY_TYPES,
    "node_type": NODE_TYPES,
    "source_type": NODE_TYPES,
    "target_type": NODE_TYPES,
}
_POSITIVE = ("weight", "gain", "duration_s")
_NOT_NEGATIVE = ("position",)
_REFERENCES = {
    "item_id": "items",
    "artist_id": "artists",
    "playlist_id": "playlists",
    "query_id": "queries",
}
_NODE_COLUMNS = {
    "links": (("source_type", "source_id"), ("target_type", "target_id")),
    "query_anchors": (("node_type", "node_id"),),
}

Tables = Mapping[str, pd.DataFrame]


def mark_rows(name: str, frame: pd.DataFrame, clean: Tables, item_type: str, marks: Marks) -> None:
    """Mark the invalid rows of one coerced table.

    Args:
        name: the table.
        frame: its rows, typed.
        clean: the tables that are already clean: those that ``frame`` may refer to.
        item_type: node type of the items.
        marks: where invalid rows are noted.
    """
    _mark_values(frame, marks)
    _mark_references(name, frame, clean, marks)
    if name in _NODE_COLUMNS:
        known = known_nodes(clean, item_type)
        for type_column, id_column in _NODE_COLUMNS[name]:
            _mark_unknown_nodes(frame, type_column, id_column, known, marks)
    special = _SPECIAL.get(name)
    if special is not None:
        special(frame, clean, item_type, marks)
    key = [column for column in TABLES[name].key if column in frame]
    repeated = np.zeros(len(frame), dtype=np.bool_)
    repeated[marks.valid] = frame.loc[marks.valid, key].duplicated().to_numpy()
    values = pd.Series(list(frame[key].itertuples(index=False, name=None)))
    marks.add(repeated, f"an earlier row has the same {', '.join(key)}", values)


def mark_short_playlists(frame: pd.DataFrame, min_items: int, marks: Marks) -> None:
    """Mark all rows of playlists that have fewer than ``min_items`` valid rows."""
    counts = frame.loc[marks.valid, "playlist_id"].value_counts()
    short = frame["playlist_id"].map(counts).fillna(0).to_numpy() < min_items
    marks.add(short, f"the playlist has fewer than {min_items} songs", frame["playlist_id"])


def known_nodes(tables: Tables, item_type: str) -> dict[str, set[str]]:
    """Ids of each node type that the tables give rise to."""
    known: dict[str, set[str]] = {node_type: set() for node_type in NODE_TYPES}
    columns = (
        (item_type, "items", "item_id"),
        ("Artist", "items", "artist_id"),
        ("Artist", "artists", "artist_id"),
        ("User", "users", "user_id"),
        ("User", "interactions", "user_id"),
        ("Playlist", "playlists", "playlist_id"),
        ("Playlist", "playlist_items", "playlist_id"),
    )
    for node_type, name, column in columns:
        if name in tables and column in tables[name]:
            known[node_type] |= set(tables[name][column].dropna())
    if "items" in tables and "album" in tables["items"]:
        known["Album"] |= set(album_ids(tables["items"].dropna(subset=["album"])))
    for kind in TAG_KINDS:
        if "item_tags" in tables:
            tags = tables["item_tags"]
            known[kind.capitalize()] |= set(tags.loc[tags["kind"] == kind, "tag"])
    if "nodes" in tables:
        nodes = tables["nodes"]
        for node_type, ids in known.items():
            ids |= set(nodes.loc[nodes["node_type"] == node_type, "node_id"])
    return known


def _mark_values(frame: pd.DataFrame, marks: Marks) -> None:
    for column in map(str, frame.columns):
        values = frame[column]
        if column in _CHOICES:
            allowed = _CHOICES[column]
            bad = (values.notna() & ~values.isin(allowed)).to_numpy(dtype=np.bool_)
            hint = nearest(str(values[bad].iloc[0]), allowed) if bad.any() else ""
            marks.add(bad, f"{column} is not one of {', '.join(allowed)}.{hint}", values)
        elif column in _POSITIVE:
            with np.errstate(over="ignore", under="ignore"):
                single = values.to_numpy(dtype=np.float64).astype(np.float32)
            marks.add((single <= 0) | np.isinf(single), f"{column} must be > 0 in float32", values)
        elif column in _NOT_NEGATIVE:
            negative = (values < 0).fillna(False).to_numpy(dtype=np.bool_)
            marks.add(negative, f"{column} must be >= 0", values)


def _mark_references(name: str, frame: pd.DataFrame, clean: Tables, marks: Marks) -> None:
    for column, target in _REFERENCES.items():
        polymorphic = name == "gold_paths" and column == "query_id"
        if column in frame and target in clean and target != name and not polymorphic:
            unknown = frame[column].notna() & ~frame[column].isin(clean[target][column])
            bad = unknown.to_numpy(dtype=np.bool_)
            marks.add(bad, f"{column} is not in {target}", frame[column])


def _mark_unknown_nodes(
    frame: pd.DataFrame,
    type_column: str,
    id_column: str,
    known: Mapping[str, set[str]],
    marks: Marks,
) -> None:
    bad = np.zeros(len(frame), dtype=np.bool_)
    for node_type, ids in known.items():
        of_type = (frame[type_column] == node_type).to_numpy(dtype=np.bool_)
        bad |= of_type & ~frame[id_column].isin(ids).to_numpy(dtype=np.bool_)
    names = frame[type_column].astype(object) + ":" + frame[id_column].astype(object)
    marks.add(bad, f"{id_column} is no node of any table (add it to nodes)", names)


def _mark_profiles(frame: pd.DataFrame, clean: Tables, item_type: str, marks: Marks) -> None:
    type_given, id_given = (
        frame[column].notna().to_numpy()
        if column in frame
        else np.zeros(len(frame), dtype=np.bool_)
        for column in ("profile_type", "profile_id")
    )
    marks.add(type_given != id_given, "profile_type and profile_id must be given together")


def _mark_sound_files(frame: pd.DataFrame, clean: Tables, item_type: str, marks: Marks) -> None:
    there = [isinstance(path, str) and FilePath(path).is_file() for path in frame["path"]]
    marks.add(~np.array(there, dtype=np.bool_), "there is no such sound file", frame["path"])


def _mark_paths(frame: pd.DataFrame, clean: Tables, item_type: str, marks: Marks) -> None:
    """The path parses, ends at its item, and belongs to a query that exists."""
    broken, elsewhere = (np.zeros(len(frame), dtype=np.bool_) for _ in range(2))
    for row, (text, item_id) in enumerate(zip(frame["path"], frame["item_id"], strict=True)):
        try:
            target = Path.from_json(str(text)).target
        except InputError:
            broken[row] = True
        else:
            elsewhere[row] = str(target) != f"{item_type}:{item_id}"
    marks.add(broken, "path is not a JSON list of nodes and relations in turn", frame["path"])
    marks.add(elsewhere, f"path does not end at {item_type}:item_id", frame["path"])
    known = known_nodes(clean, item_type)
    queries = set(clean["queries"]["query_id"]) if "queries" in clean else set()
    unknown: BoolArray = np.zeros(len(frame), dtype=np.bool_)
    ids_of_type = {"user": known["User"], "playlist": known["Playlist"], "text": queries}
    for query_type, ids in ids_of_type.items():
        of_type = (frame["query_type"] == query_type).to_numpy(dtype=np.bool_)
        unknown |= of_type & ~frame["query_id"].isin(ids).to_numpy(dtype=np.bool_)
    marks.add(unknown, "query_id is no user, playlist or text query", frame["query_id"])


_SPECIAL: dict[str, Callable[[pd.DataFrame, Tables, str, Marks], None]] = {
    "item_tags": _mark_profiles,
    "audio": _mark_sound_files,
    "gold_paths": _mark_paths,
}
