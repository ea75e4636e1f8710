"""Leak-free tables become a knowledge graph.

Takes the tables that :func:`musicrag.tables.leaks.training_tables` gave, never the full ones:
all that is derived from interactions here (listens, co-occurrence, tags seen through a profile)
has seen training rows only.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from musicrag.graph.knowledge import Edges, KnowledgeGraph
from musicrag.graph.schema import NODE_TYPES, RELATIONS, TAG_RELATIONS
from musicrag.types import FloatArray, InputError, IntArray, Node, Vocabulary, nearest

log = logging.getLogger(__name__)

_COLUMNS = ["source_type", "source_id", "relation", "target_type", "target_id", "weight"]


def build_graph(
    tables: Mapping[str, pd.DataFrame],
    item_type: str,
    profiles: pd.DataFrame,
    relations: Sequence[str] | None = None,
    min_tag_items: int = 1,
    num_cooccurring: int = 0,
) -> KnowledgeGraph:
    """Build the graph of one training split.

    Args:
        tables: clean tables with training rows only.
        item_type: node type of the items, ``Song`` or ``Artist``.
        profiles: ``profile_type, profile_id``; each becomes a User or Playlist node even if no
            training edge is left of it.
        relations: names to keep; None keeps every relation that the data gives.
        min_tag_items: tags, genres and moods on fewer items are left out.
        num_cooccurring: CO_OCCURS edges kept per item, highest PMI first; 0 builds none.

    Raises:
        InputError: an unknown relation or node type; names the nearest spelling.
    """
    _check_names(relations or [], RELATIONS, "relation")
    parts = [
        *_interaction_edges(tables, item_type),
        *_tag_edges(tables, item_type, min_tag_items),
        *_link_edges(tables, item_type),
    ]
    if num_cooccurring and "playlist_items" in tables:
        parts.append(_cooccurrence_edges(tables["playlist_items"], item_type, num_cooccurring))
    frame = pd.concat([pd.DataFrame(columns=_COLUMNS), *parts], ignore_index=True)
    _check_names(frame["relation"].unique(), RELATIONS, "relation")
    _check_names(frame["source_type"].unique(), NODE_TYPES, "node type")
    _check_names(frame["target_type"].unique(), NODE_TYPES, "node type")
    if relations is not None:
        frame = frame[frame["relation"].isin(relations)]
    nodes = _nodes(frame, tables, item_type, profiles)
    graph = KnowledgeGraph(nodes, {}, _names(tables, item_type), item_type)
    edges = {str(name): _edges(graph, part) for name, part in frame.groupby("relation")}
    graph = KnowledgeGraph(nodes, edges, graph.names, item_type)
    counts = ", ".join(f"{name} {len(part):,}" for name, part in graph.edges.items())
    log.info(
        "graph: %s nodes, %s edges (%s)", f"{graph.num_nodes:,}", f"{graph.num_edges:,}", counts
    )
    return graph


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
        columns=_COLUMNS,
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
    if item_type == "Song" and "artist_id" in tables["items"]:
        rows = tables["items"].dropna(subset=["artist_id"])
        yield _frame("Song", rows["item_id"], "PERFORMED_BY", "Artist", rows["artist_id"], 1.0)


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
            item_type, part["item_id"], relation.name, relation.target, part["tag"], weight
        )


def _link_edges(tables: Mapping[str, pd.DataFrame], item_type: str) -> Iterator[pd.DataFrame]:
    if "links" not in tables:
        return
    rows = tables["links"].assign(weight=_weight(tables["links"]))[_COLUMNS]
    for key, part in rows.groupby("relation"):
        name = str(key)
        if name in RELATIONS and RELATIONS[name].origin in ("interactions", "playlist_items"):
            origin = RELATIONS[name].origin
            raise InputError(f"links must not hold {name}: put those rows into table {origin!r}.")
        yield part


def _cooccurrence_edges(rows: pd.DataFrame, item_type: str, top: int) -> pd.DataFrame:
    """Positive pointwise mutual information of items in the same training playlist.

    PMI(i, j) = log(p(i, j) / (p(i) p(j))) over playlists; only pairs seen at least twice count.
    Source: Church and Hanks 1990.
    """
    items, lists = Vocabulary(rows["item_id"]), Vocabulary(rows["playlist_id"])
    cells = (lists.encode(rows["playlist_id"].array), items.encode(rows["item_id"].array))
    member = sparse.csr_matrix((np.ones(len(rows)), cells), shape=(len(lists), len(items)))
    together = sparse.triu(member.T @ member, k=1).tocoo()
    count = np.asarray(member.sum(axis=0)).ravel()
    pmi = np.log(together.data * len(lists) / (count[together.row] * count[together.col]))
    keep = (together.data >= 2) & (pmi > 0)
    a, b, pmi = together.row[keep], together.col[keep], pmi[keep]
    chosen = _strongest(np.concatenate([a, b]), np.concatenate([pmi, pmi]), top)
    pairs = np.unique(chosen % max(len(a), 1))
    ids = items.array
    return _frame(
        item_type,
        pd.Series(ids[a[pairs]], dtype="str"),
        "CO_OCCURS",
        item_type,
        pd.Series(ids[b[pairs]], dtype="str"),
        pd.Series(pmi[pairs]),
    )


def _strongest(owner: IntArray, value: FloatArray, top: int) -> IntArray:
    """Positions of the ``top`` highest values of each owner."""
    order = np.lexsort((np.arange(len(owner)), -value, owner))
    starts = np.searchsorted(owner[order], owner[order], side="left")
    positions: IntArray = order[np.arange(len(order)) - starts < top]
    return positions


def _nodes(
    frame: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    item_type: str,
    profiles: pd.DataFrame,
) -> dict[str, Vocabulary]:
    ids: dict[str, set[str]] = {item_type: set(tables["items"]["item_id"])}
    for profile_type, part in profiles.groupby("profile_type"):
        ids.setdefault(str(profile_type).capitalize(), set()).update(part["profile_id"])
    for end in ("source", "target"):
        for node_type, part in frame.groupby(f"{end}_type"):
            ids.setdefault(str(node_type), set()).update(part[f"{end}_id"])
    return {node_type: Vocabulary(found) for node_type, found in ids.items()}


def _names(tables: Mapping[str, pd.DataFrame], item_type: str) -> dict[Node, str]:
    names: dict[Node, str] = {}
    for table, node_type, key, name in (
        ("items", item_type, "item_id", "title"),
        ("artists", "Artist", "artist_id", "name"),
        ("playlists", "Playlist", "playlist_id", "title"),
    ):
        if table in tables:
            rows = tables[table]
            names |= {Node(node_type, i): n for i, n in zip(rows[key], rows[name], strict=True)}
    if "nodes" in tables:
        rows = tables["nodes"][["node_type", "node_id", "name"]]
        names |= {Node(t, i): n for t, i, n in rows.itertuples(index=False)}
    return names


def _edges(graph: KnowledgeGraph, part: pd.DataFrame) -> Edges:
    ends = {}
    for end in ("source", "target"):
        index = np.empty(len(part), dtype=np.int64)
        for node_type in part[f"{end}_type"].unique():
            rows = (part[f"{end}_type"] == node_type).to_numpy()
            ids = part.loc[rows, f"{end}_id"].array
            index[rows] = graph.nodes[node_type].encode(ids) + graph.offsets[node_type]
        ends[end] = index
    weight = part["weight"].to_numpy(dtype=np.float32)
    kept = _once(ends["source"], ends["target"], weight)
    return Edges(ends["source"][kept], ends["target"][kept], weight[kept])


def _once(source: IntArray, target: IntArray, weight: FloatArray) -> IntArray:
    """Positions of one edge for each pair of nodes, the strongest; none from a node to itself.

    Relations carry no direction, and two tables may give the same edge (``items`` and ``links``
    both say who performed a song): either would make one path count twice.
    """
    low, high = np.minimum(source, target), np.maximum(source, target)
    order = np.lexsort((-weight, high, low))
    pairs = np.stack([low, high])[:, order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    kept: IntArray = np.sort(order[is_first & (pairs[0] != pairs[1])])
    return kept
