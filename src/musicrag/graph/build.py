"""Leak-free tables become a knowledge graph.

Takes the tables that :func:`musicrag.tables.leaks.training_tables` gave, never the full ones:
all that is derived from interactions here (listens, co-occurrence, tags seen through a profile)
has seen training rows only.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from musicrag.graph.derived import cooccurrence_pairs, similar_mood_pairs
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows, joined
from musicrag.graph.schema import NODE_TYPES, RELATIONS, TAG_RELATIONS
from musicrag.tables.albums import album_ids
from musicrag.types import FloatArray, InputError, nearest

log = logging.getLogger(__name__)


def build_graph(
    tables: Mapping[str, pd.DataFrame],
    item_type: str,
    profiles: pd.DataFrame,
    relations: Sequence[str] | None = None,
    min_tag_items: int = 1,
    num_cooccurring: int = 0,
    num_similar_mood: int = 0,
) -> KnowledgeGraph:
    """:func:`graph_rows`, ready for propagation and path search."""
    return KnowledgeGraph.from_rows(
        graph_rows(
            *(tables, item_type, profiles, relations),
            *(min_tag_items, num_cooccurring, num_similar_mood),
        )
    )


def graph_rows(
    tables: Mapping[str, pd.DataFrame],
    item_type: str,
    profiles: pd.DataFrame,
    relations: Sequence[str] | None = None,
    min_tag_items: int = 1,
    num_cooccurring: int = 0,
    num_similar_mood: int = 0,
) -> GraphRows:
    """Build the graph of one training split.

    Args:
        tables: clean tables with training rows only.
        item_type: node type of the items, ``Song`` or ``Artist``.
        profiles: ``profile_type, profile_id``; each becomes a User or Playlist node even if no
            training edge is left of it.
        relations: names to keep; None keeps every relation that the data gives.
        min_tag_items: tags, genres and moods on fewer items are left out.
        num_cooccurring: CO_OCCURS edges kept per item, highest PMI first; 0 builds none.
        num_similar_mood: SIMILAR_MOOD edges kept per item, nearest first; 0 builds none.

    Raises:
        InputError: an unknown relation or node type; names the nearest spelling.
    """
    _check_names(relations or [], RELATIONS, "relation")
    parts = [
        *_interaction_edges(tables, item_type),
        *_song_edges(tables, item_type),
        *_tag_edges(tables, item_type, min_tag_items),
        *_link_edges(tables),
        *_derived_edges(tables, item_type, num_cooccurring, num_similar_mood),
    ]
    if relations is not None:
        parts = [part[part["relation"].isin(relations)] for part in parts]
    required = pd.concat([_ends(item_type, tables["items"]["item_id"]), _profile_nodes(profiles)])
    rows = joined(item_type, parts, required, _names(tables, item_type))
    counts = ", ".join(f"{name} {len(part):,}" for name, part in rows.edges.groupby("relation"))
    log.info(
        "graph: %s nodes, %s edges (%s)", f"{len(rows.nodes):,}", f"{len(rows.edges):,}", counts
    )
    return rows


def _check_names(names: Iterable[str], allowed: Collection[str], what: str) -> None:
    for name in names:
        if name not in allowed:
            raise InputError(
                f"Unknown {what} {name!r}.{nearest(str(name), allowed)} "
                f"Allowed: {', '.join(allowed)}."
            )


def _frame(
    source_type: str,
    source_id: pd.Series[str],
    relation: str,
    target_type: str,
    target_id: pd.Series[str],
    weight: pd.Series[float] | FloatArray | float,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source_type": source_type,
            "source_id": source_id,
            "relation": relation,
            "target_type": target_type,
            "target_id": target_id,
            "weight": weight,
        },
        columns=EDGE_COLUMNS,
    )


def _weight(frame: pd.DataFrame) -> pd.Series[float]:
    if "weight" in frame:
        return frame["weight"].astype("float64").fillna(1.0)
    return pd.Series(1.0, index=frame.index)


def _interaction_edges(
    tables: Mapping[str, pd.DataFrame], item_type: str
) -> Iterator[pd.DataFrame]:
    if "interactions" in tables:
        rows = tables["interactions"]
        strength = 1.0 + _weight(rows).clip(lower=1.0).map(math.log)
        yield _frame("User", rows["user_id"], "LISTENED", item_type, rows["item_id"], strength)
    if "playlist_items" in tables:
        rows = tables["playlist_items"]
        yield _frame(
            item_type, rows["item_id"], "IN_PLAYLIST", "Playlist", rows["playlist_id"], 1.0
        )


def _song_edges(tables: Mapping[str, pd.DataFrame], item_type: str) -> Iterator[pd.DataFrame]:
    """Who performed a song and which album it is on, as table ``items`` says."""
    if item_type != "Song":
        return
    items = tables["items"]
    if "artist_id" in items:
        rows = items.dropna(subset=["artist_id"])
        yield _frame("Song", rows["item_id"], "PERFORMED_BY", "Artist", rows["artist_id"], 1.0)
    if "album" in items:
        rows = items.dropna(subset=["album"])
        yield _frame("Song", rows["item_id"], "ON_ALBUM", "Album", album_ids(rows), 1.0)


def _tag_edges(
    tables: Mapping[str, pd.DataFrame], item_type: str, min_items: int
) -> Iterator[pd.DataFrame]:
    """One edge per (item, tag): the strengths of all its observers together."""
    if "item_tags" not in tables:
        return
    rows = tables["item_tags"].assign(weight=_weight(tables["item_tags"]))
    summed = rows.groupby(["item_id", "tag", "kind"])["weight"].sum().reset_index()
    for kind, part in summed.groupby("kind"):
        _check_names([str(kind)], TAG_RELATIONS, "item_tags.kind")
        relation = RELATIONS[TAG_RELATIONS[str(kind)]]
        part = part[part.groupby("tag")["item_id"].transform("size") >= min_items]
        strength = part["weight"]
        weight = strength.map(math.log1p) if kind == "tag" else strength.clip(upper=1.0)
        yield _frame(
            item_type, part["item_id"], relation.name, relation.targets[0], part["tag"], weight
        )


def _link_edges(tables: Mapping[str, pd.DataFrame]) -> Iterator[pd.DataFrame]:
    if "links" not in tables:
        return
    rows = tables["links"].assign(weight=_weight(tables["links"]))[EDGE_COLUMNS]
    _check_names(rows["relation"].unique(), RELATIONS, "relation")
    for end in ("source", "target"):
        _check_names(rows[f"{end}_type"].unique(), NODE_TYPES, "node type")
    for key, part in rows.groupby("relation"):
        name = str(key)
        origin = RELATIONS[name].origin
        if origin in ("interactions", "playlist_items"):
            raise InputError(f"links must not hold {name}: put those rows into table {origin!r}.")
        yield part


def _derived_edges(
    tables: Mapping[str, pd.DataFrame], item_type: str, num_cooccurring: int, num_similar_mood: int
) -> Iterator[pd.DataFrame]:
    """Edges between items that no row states: what stands together, and what feels alike."""
    if num_cooccurring and "playlist_items" in tables:
        a, b, pmi = cooccurrence_pairs(tables["playlist_items"], num_cooccurring)
        yield _frame(item_type, a, "CO_OCCURS", item_type, b, pmi)
    if num_similar_mood and "emotion_features" in tables:
        a, b, closeness = similar_mood_pairs(tables["emotion_features"], num_similar_mood)
        yield _frame(item_type, a, "SIMILAR_MOOD", item_type, b, closeness)


def _ends(node_type: str, ids: pd.Series[str]) -> pd.DataFrame:
    return pd.DataFrame({"node_type": node_type, "node_id": ids})


def _profile_nodes(profiles: pd.DataFrame) -> pd.DataFrame:
    kinds = profiles["profile_type"].str.capitalize()
    return pd.DataFrame({"node_type": kinds, "node_id": profiles["profile_id"]})


def _names(tables: Mapping[str, pd.DataFrame], item_type: str) -> pd.DataFrame:
    """Shown names of nodes, those of table ``nodes`` last, so that they win."""
    found = [pd.DataFrame({column: [] for column in NODE_COLUMNS}, dtype=object)]
    for table, node_type, key, name in (
        ("items", item_type, "item_id", "title"),
        ("artists", "Artist", "artist_id", "name"),
        ("users", "User", "user_id", "name"),
        ("playlists", "Playlist", "playlist_id", "title"),
    ):
        if table in tables and name in tables[table]:
            rows = tables[table]
            found.append(_ends(node_type, rows[key]).assign(name=rows[name]))
    if item_type == "Song" and "album" in tables["items"]:
        rows = tables["items"].dropna(subset=["album"])
        found.append(_ends("Album", album_ids(rows)).assign(name=rows["album"]))
    if "nodes" in tables:
        found.append(tables["nodes"][NODE_COLUMNS])
    return pd.concat(found, ignore_index=True)
