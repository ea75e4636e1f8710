"""A property graph as two frames: the one form in which it is built, checked, stored and read.

Knows neither databases nor tensors. Rows stand in one canonical order, so the same graph is the
same frames, whichever store it went through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from musicrag.artifacts import hash_frames, hash_json
from musicrag.types import BoolArray, FloatArray, InputError, IntArray

NODE_COLUMNS = ["node_type", "node_id", "name"]
EDGE_COLUMNS = ["source_type", "source_id", "relation", "target_type", "target_id", "weight"]


@dataclass(frozen=True)
class GraphRows:
    """Nodes and edges of one graph.

    Attributes:
        item_type: node type of the items, ``Song`` or ``Artist``.
        nodes: ``node_type, node_id, name``, sorted by type and id; name is "" if there is none.
        edges: ``source_type, source_id, relation, target_type, target_id, weight`` (float32),
            sorted by relation, source and target; each pair of nodes once in a relation.
    """

    item_type: str
    nodes: pd.DataFrame
    edges: pd.DataFrame

    @property
    def content_hash(self) -> str:
        """Hex SHA-256 over all rows; equal graphs hash equal."""
        return hash_json([self.item_type, hash_frames({"nodes": self.nodes, "edges": self.edges})])


def canonical(item_type: str, nodes: pd.DataFrame, edges: pd.DataFrame) -> GraphRows:
    """Put frames with the right columns, in any row order, into canonical order and types.

    Nothing is added or left out: see :mod:`musicrag.graph.validation` for what may be wrong.

    Raises:
        InputError: a frame lacks a column or has one too many.
    """
    _check_columns("nodes", nodes, NODE_COLUMNS)
    _check_columns("edges", edges, EDGE_COLUMNS)
    nodes = nodes[NODE_COLUMNS].fillna({"name": ""}).astype("str")
    edges = edges[EDGE_COLUMNS].astype(dict.fromkeys(EDGE_COLUMNS[:-1], "str"))
    edges["weight"] = edges["weight"].astype(np.float32)
    order = ["relation", *EDGE_COLUMNS[:2], *EDGE_COLUMNS[3:]]
    return GraphRows(
        item_type,
        nodes.sort_values(NODE_COLUMNS, ignore_index=True, kind="stable"),
        edges.sort_values(order, ignore_index=True, kind="stable"),
    )


def merged(old: GraphRows, new: GraphRows) -> GraphRows:
    """The union of two graphs; where both have a row, the new name (if any) and weight count."""
    if old.item_type != new.item_type:
        raise InputError(
            f"A graph of {old.item_type} items cannot take in one of {new.item_type} items."
        )
    nodes = pd.concat([old.nodes, new.nodes], ignore_index=True)
    nodes["is_named"] = nodes["name"] != ""
    nodes = nodes.sort_values("is_named", kind="stable").drop_duplicates(
        NODE_COLUMNS[:2], keep="last"
    )
    edges = pd.concat([old.edges, new.edges], ignore_index=True)
    kept = last_of_each_pair(edges)
    return canonical(old.item_type, nodes[NODE_COLUMNS], edges.iloc[kept])


def last_of_each_pair(edges: pd.DataFrame) -> IntArray:
    """Positions of the last edge between two nodes in a relation, whichever way it points."""
    low, high = undirected(edges)
    keys = pd.DataFrame({"relation": edges["relation"].to_numpy(), "low": low, "high": high})
    positions: IntArray = np.flatnonzero(~keys.duplicated(keep="last").to_numpy())
    return positions


def strongest_of_each_pair(edges: pd.DataFrame) -> IntArray:
    """Positions of one edge for each pair of nodes in a relation, the strongest; no self-loops.

    Relations carry no direction, and two tables may give the same edge (``items`` and ``links``
    both say who performed a song): either would make one path count twice.
    """
    low, high = undirected(edges)
    relation = pd.factorize(edges["relation"], sort=True)[0]
    weight: FloatArray = edges["weight"].to_numpy(dtype=np.float32)
    order = np.lexsort((_is_backward(edges), -weight, high, low, relation))
    keys = np.stack([relation, low, high])[:, order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    kept: IntArray = np.sort(order[is_first & (keys[1] != keys[2])])
    return kept


def _is_backward(edges: pd.DataFrame) -> BoolArray:
    """Is the source after the target? Breaks ties, so that the order of rows does not."""
    ends = edges[EDGE_COLUMNS[:2] + EDGE_COLUMNS[3:5]].astype("str")
    source, target = ends["source_type"], ends["target_type"]
    is_later = (source > target) | ((source == target) & (ends["source_id"] > ends["target_id"]))
    return is_later.to_numpy(dtype=bool)


def undirected(edges: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """A code for each end of each edge, the smaller first. Shapes ``[num_edges]``."""
    ends = [
        pd.MultiIndex.from_arrays([edges[f"{end}_type"], edges[f"{end}_id"]])
        for end in ("source", "target")
    ]
    codes = pd.factorize(ends[0].append(ends[1]))[0].astype(np.int64)
    source, target = codes[: len(edges)], codes[len(edges) :]
    return np.minimum(source, target), np.maximum(source, target)


def _check_columns(what: str, frame: pd.DataFrame, wanted: list[str]) -> None:
    columns = [str(column) for column in frame]
    missing, extra = set(wanted) - set(columns), set(columns) - set(wanted)
    if missing or extra:
        raise InputError(
            f"Graph {what}: missing columns {sorted(missing)}, unknown columns {sorted(extra)}. "
            f"Needed: {', '.join(wanted)}."
        )


def joined(
    item_type: str,
    parts: Sequence[pd.DataFrame],
    required: pd.DataFrame,
    names: pd.DataFrame,
) -> GraphRows:
    """Join frames of edges into one graph; every end of an edge becomes a node.

    Args:
        parts: frames with :data:`EDGE_COLUMNS`.
        required: ``node_type, node_id`` of nodes that must be there even without an edge.
        names: :data:`NODE_COLUMNS`; the last row of a node counts, other nodes have no name.
    """
    empty = pd.DataFrame({column: [] for column in EDGE_COLUMNS}, dtype=object)
    edges = pd.concat([part for part in parts if len(part)] or [empty], ignore_index=True)
    edges = edges.iloc[strongest_of_each_pair(edges)]
    key = NODE_COLUMNS[:2]
    ends = [
        edges[[f"{end}_type", f"{end}_id"]].set_axis(key, axis=1) for end in ("source", "target")
    ]
    nodes = pd.concat([required[key], *ends]).drop_duplicates(ignore_index=True)
    named = nodes.merge(names.drop_duplicates(key, keep="last"), on=key, how="left")
    return canonical(item_type, named, edges)
