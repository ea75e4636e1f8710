"""Merged tables become the next graph: stated edges anew, derived ones only where data changed.

CO_OCCURS, SIMILAR_MOOD and the edges that hold a new song without any other are no rows of any
table; those between items that nothing new is known of stay as they are, so that a few songs do
not move a whole catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from musicrag.collection.changes import REJECT_COLUMNS, Merged
from musicrag.collection.contents import Contents, GraphSettings
from musicrag.collection.delta import difference
from musicrag.features.taste import TasteSpace
from musicrag.graph.build import graph_rows
from musicrag.graph.rows import EDGE_COLUMNS, GraphRows, canonical, strongest_of_each_pair
from musicrag.types import BoolArray, FloatArray, InputError, IntArray, Vocabulary

NUM_NEAREST = 5
"""Items that a new one without any edge is joined with."""

_DERIVED_FROM = {"CO_OCCURS": "playlist_items", "SIMILAR_MOOD": "emotion_features"}
_MAY_BE_DERIVED = (*_DERIVED_FROM, "SIMILAR_TO")
_ENDS = EDGE_COLUMNS[:-1]
_PROFILES = {"user": ("interactions", "user_id"), "playlist": ("playlist_items", "playlist_id")}


def grow(
    old: GraphRows, before: Mapping[str, pd.DataFrame], merged: Merged, settings: GraphSettings
) -> GraphRows:
    """The graph of the merged tables.

    Its stated relations are those that :func:`graph_rows` makes of the merged tables from
    scratch. Of derived relations, edges with an end in an item whose rows changed are made anew.

    Args:
        old: the graph of the tables before.
        before: these tables.
        merged: the tables now, and what changed.
        settings: how the graph was made.
    """
    stated = _stated(merged.tables, old, settings)
    may_be_derived = stated.edges["relation"].isin(_MAY_BE_DERIVED)
    kept = _derived(old, before, settings)
    kept = kept[~((kept["relation"] == "SIMILAR_TO") & _joins_a_pair_of(kept, stated.edges))]
    parts = [stated.edges[may_be_derived]]
    for relation, table in _DERIVED_FROM.items():
        touched = merged.changed_ids(table)
        if touched:
            kept = kept[~((kept["relation"] == relation) & _ends_in(kept, touched))]
            parts.append(_derived_anew(relation, merged.tables, old.item_type, settings, touched))
    edges = pd.concat([*parts, kept], ignore_index=True)
    edges = edges.iloc[strongest_of_each_pair(edges)]
    every = pd.concat([stated.edges[~may_be_derived], edges], ignore_index=True)
    return canonical(old.item_type, stated.nodes, every)


def connect_lonely(
    rows: GraphRows, candidates: Iterable[str], items: Vocabulary, spaces: Mapping[str, TasteSpace]
) -> tuple[GraphRows, int]:
    """Give items without any edge SIMILAR_TO edges to what is nearest in the taste spaces.

    So a song of which only words or sound are known stands in the graph: paths and walks reach it.
    ``weight = 1 / (1 + d)`` of the root mean squared distance ``d`` over the directions of those
    modalities that the item has, each scaled by its signal.

    Args:
        rows: the graph.
        candidates: items that may be joined, such as all new ones.
        items: all items, row i of the spaces is item i.
        spaces: the taste space of each modality.

    Returns:
        The graph with these edges, and how many there are.
    """
    has_edge = _with_edge(rows, items)
    lonely = [item for item in items.encode(sorted(candidates)) if not has_edge[item]]
    edges = [_nearest(item, has_edge, items, spaces, rows.item_type) for item in lonely]
    count = sum(len(part) for part in edges)
    if not count:
        return rows, 0
    every = pd.concat([rows.edges, *(part for part in edges if len(part))], ignore_index=True)
    return canonical(rows.item_type, rows.nodes, every), count


def require_grown(contents: Contents) -> None:
    """Refuse contents whose graph is not what their tables and settings give.

    Their first update would take away what does not belong there.

    Raises:
        InputError: names how much differs, and an example.
    """
    unchanged = Merged(dict(contents.tables), {}, pd.DataFrame(columns=REJECT_COLUMNS))
    rows = grow(contents.rows, contents.tables, unchanged, contents.graph)
    delta = difference(contents.rows, rows)
    if delta.is_empty:
        return
    edges = pd.concat([delta.removed_edges, delta.added.edges])
    example = f", such as {' '.join(map(str, edges.iloc[0][_ENDS]))}" if len(edges) else ""
    raise InputError(
        f"The graph is not the one that the tables and the graph settings of the collection give: "
        f"{len(delta.removed_nodes) + len(delta.new_nodes):,} nodes and {len(edges):,} edges "
        f"differ{example}. Give the training tables and the settings that it was made with."
    )


def _stated(
    tables: Mapping[str, pd.DataFrame], old: GraphRows, settings: GraphSettings
) -> GraphRows:
    """What the tables say; every profile stays a node, even one without an edge."""
    is_profile = old.nodes["node_type"].isin([kind.capitalize() for kind in _PROFILES])
    known = old.nodes[is_profile]
    parts = [
        pd.DataFrame(
            {"profile_type": known["node_type"].str.lower(), "profile_id": known["node_id"]}
        )
    ]
    for kind, (table, column) in _PROFILES.items():
        if table in tables:
            ids = tables[table][column].unique()
            parts.append(pd.DataFrame({"profile_type": kind, "profile_id": ids}))
    profiles = pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)
    return graph_rows(
        tables, old.item_type, profiles, settings.relations, settings.min_tag_items, 0, 0
    )


def _derived(
    old: GraphRows, tables: Mapping[str, pd.DataFrame], settings: GraphSettings
) -> pd.DataFrame:
    """Edges of the old graph that its tables do not state."""
    wanted = [r for r in _MAY_BE_DERIVED if settings.relations is None or r in settings.relations]
    some = {name: tables[name] for name in ("items", "links") if name in tables}
    nobody = pd.DataFrame({"profile_type": [], "profile_id": []}, dtype="str")
    stated = graph_rows(some, old.item_type, nobody, wanted).edges
    edges = old.edges[old.edges["relation"].isin(_MAY_BE_DERIVED)]
    codes = [pd.util.hash_pandas_object(frame, index=False) for frame in (edges, stated)]
    return edges[~codes[0].isin(codes[1]).to_numpy()]


def _derived_anew(
    relation: str,
    tables: Mapping[str, pd.DataFrame],
    item_type: str,
    settings: GraphSettings,
    touched: set[str],
) -> pd.DataFrame:
    """Edges of one derived relation with an end in ``touched``, from all rows of its table."""
    if settings.relations is not None and relation not in settings.relations:
        return pd.DataFrame({column: [] for column in EDGE_COLUMNS})
    some = {name: tables[name] for name in ("items", _DERIVED_FROM[relation])}
    nobody = pd.DataFrame({"profile_type": [], "profile_id": []}, dtype="str")
    numbers = (settings.num_cooccurring, settings.num_similar_mood)
    edges = graph_rows(some, item_type, nobody, [relation], settings.min_tag_items, *numbers).edges
    return edges[_ends_in(edges, touched)]


def _joins_a_pair_of(edges: pd.DataFrame, others: pd.DataFrame) -> BoolArray:
    """Which edges join two nodes that another edge of their relation joins, either way."""
    there = pd.MultiIndex.from_frame(others[_ENDS])
    back = pd.MultiIndex.from_frame(others[[*_ENDS[3:5], _ENDS[2], *_ENDS[:2]]])
    own = pd.MultiIndex.from_frame(edges[_ENDS])
    found: BoolArray = own.isin(there) | own.isin(back)
    return found


def _ends_in(edges: pd.DataFrame, items: set[str]) -> pd.Series[bool]:
    return edges["source_id"].isin(items) | edges["target_id"].isin(items)


def _with_edge(rows: GraphRows, items: Vocabulary) -> IntArray:
    """One for each item with an edge, else 0. Shape ``[num_items]``."""
    found = np.zeros(len(items), dtype=np.int64)
    for end in ("source", "target"):
        part = rows.edges.loc[rows.edges[f"{end}_type"] == rows.item_type, f"{end}_id"].unique()
        found[items.encode([item for item in part if item in items])] = 1
    return found


def _nearest(
    item: int,
    has_edge: IntArray,
    items: Vocabulary,
    spaces: Mapping[str, TasteSpace],
    item_type: str,
) -> pd.DataFrame:
    """SIMILAR_TO edges of one item to the nearest with an edge; none if nothing is known of it."""
    known = [space for space in spaces.values() if space.present[item] and space.num_directions]
    if not known:
        return pd.DataFrame({column: [] for column in EDGE_COLUMNS})
    joint: FloatArray = np.hstack([space.scaled() for space in known])
    share = np.mean([space.present for space in known], axis=0)
    others = np.flatnonzero(has_edge & (share == share[has_edge > 0].max(initial=0)) & (share > 0))
    distance = np.sqrt(np.square(joint[others] - joint[item]).mean(axis=1))
    near = np.lexsort((others, distance))[:NUM_NEAREST]
    return pd.DataFrame(
        {
            "source_type": item_type,
            "source_id": items.ids[item],
            "relation": "SIMILAR_TO",
            "target_type": item_type,
            "target_id": items.decode(others[near]),
            "weight": 1.0 / (1.0 + distance[near]),
        },
        columns=EDGE_COLUMNS,
    )
