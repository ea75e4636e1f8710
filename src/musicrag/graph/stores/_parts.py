"""Rows cut into what a database loads at once, put together again, and refused where it could not.

A store holds what the schema allows: labels and relationship types come from there and from
nowhere else, so that they may stand in a query. Knows no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from musicrag.artifacts import hash_json
from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows, canonical
from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.types import InputError, IntArray, Node, nearest

MAX_HOPS = 3
_LAYOUT = 1  # raise it when a store keeps nodes, edges or metadata in another form


@dataclass(frozen=True)
class Triple:
    """A relation between two node types that it may join."""

    source: str
    relation: str
    target: str

    def __str__(self) -> str:
        return f"({self.source})-[{self.relation}]->({self.target})"


TRIPLES = tuple(
    Triple(source, name, target)
    for name, relation in sorted(RELATIONS.items())
    for source, target in relation.pairs
)
"""All that a store may hold."""


def schema_version() -> str:
    """Changes with the schema and with the form in which stores keep a graph."""
    return hash_json([_LAYOUT, NODE_TYPES, [str(triple) for triple in TRIPLES]])[:16]


def quoted(name: str) -> str:
    """A label or relationship type, ready for a query; only names of the schema pass."""
    if name not in NODE_TYPES and name not in RELATIONS:
        raise InputError(
            f"{name!r} is neither a node type nor a relation."
            f"{nearest(name, [*NODE_TYPES, *RELATIONS])} "
            f"Node types: {', '.join(NODE_TYPES)}; relations: {', '.join(RELATIONS)}."
        )
    return f"`{name}`"


def node_parts(nodes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each node type that has rows, and its ``id, name``."""
    for node_type, part in nodes.groupby("node_type", sort=True):
        yield str(node_type), part[NODE_COLUMNS[1:]].set_axis(["id", "name"], axis=1)


def edge_parts(edges: pd.DataFrame) -> Iterator[tuple[Triple, pd.DataFrame]]:
    """Each triple that has rows, and its ``source, target, weight``."""
    columns = ["source_type", "relation", "target_type"]
    for key, part in edges.groupby(columns, sort=True):
        triple = Triple(*map(str, key))
        frame = part[["source_id", "target_id", "weight"]]
        yield triple, frame.set_axis(["source", "target", "weight"], axis=1)


def put_together(
    item_type: str,
    nodes: Iterable[tuple[str, pd.DataFrame]],
    edges: Iterable[tuple[Triple, pd.DataFrame]],
) -> GraphRows:
    """Inverse of :func:`node_parts` and :func:`edge_parts`."""
    found = [
        pd.DataFrame({"node_type": node_type, "node_id": part["id"], "name": part["name"]})
        for node_type, part in nodes
        if len(part)
    ]
    joins = [
        pd.DataFrame(
            {
                "source_type": triple.source,
                "source_id": part["source"],
                "relation": triple.relation,
                "target_type": triple.target,
                "target_id": part["target"],
                "weight": part["weight"].astype(np.float32),
            }
        )
        for triple, part in edges
        if len(part)
    ]
    return canonical(item_type, _stacked(found, NODE_COLUMNS), _stacked(joins, EDGE_COLUMNS))


def _stacked(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame({column: [] for column in columns}, dtype=object)
    return pd.concat(frames, ignore_index=True)


def check_same_items(stored: str, rows: GraphRows) -> None:
    """Raise :class:`InputError` unless the rows recommend what the stored graph recommends."""
    if stored != rows.item_type:
        raise InputError(
            f"The database holds a graph of {stored} items and cannot take in one of "
            f"{rows.item_type} items. Give that graph a database of its own."
        )


def check_hops(hops: int) -> None:
    """Raise :class:`InputError` unless a neighbourhood may be that wide."""
    if not 1 <= hops <= MAX_HOPS:
        raise InputError(f"hops={hops} is not possible; give 1 to {MAX_HOPS}.")


def unknown_node(node: Node) -> InputError:
    """What to raise for a node that is not in the store."""
    return InputError(
        f"No node {str(node)!r} in the database. Write it as 'Type:id' with an id of the loaded "
        f"graph; types are {', '.join(NODE_TYPES)}."
    )


def check_storable(rows: GraphRows, open_ends: bool = False) -> dict[str, list[str]]:
    """Refuse rows that a database could not hold as they are.

    Args:
        rows: what is to be loaded or merged.
        open_ends: True lets edges end in nodes that ``rows`` lacks, since a database may have them.

    Returns:
        Ids of such ends by node type; empty unless ``open_ends``.

    Raises:
        InputError: an unknown type or relation, a pair of types that the relation does not join, a
            node or an edge given twice, an edge without its node; names the first.
    """
    _check_names(rows.nodes["node_type"], NODE_TYPES, "node type")
    _check_names(rows.edges["relation"], RELATIONS, "relation")
    ids: dict[str, pa.Array] = {}
    for node_type, part in node_parts(rows.nodes):
        repeated = part["id"].duplicated()
        if repeated.any():
            raise InputError(
                f"Node {node_type}:{part['id'][repeated].iloc[0]} stands twice in the graph. "
                f"Keep one row for each type and id."
            )
        ids[node_type] = _arrow(part["id"])
    missing: dict[str, set[str]] = {}
    for triple, part in edge_parts(rows.edges):
        _check_pair(triple, part)
        ends = [
            _positions(part[end], ids.get(getattr(triple, end))) for end in ("source", "target")
        ]
        for end, places in zip(("source", "target"), ends, strict=True):
            lost = part[end].to_numpy()[places < 0]
            missing.setdefault(getattr(triple, end), set()).update(map(str, lost))
            if len(lost) and not open_ends:
                raise dangling(getattr(triple, end), str(lost[0]))
        _check_once(triple, part, *ends)
    return {node_type: sorted(lost) for node_type, lost in missing.items() if lost}


def dangling(node_type: str, node_id: str) -> InputError:
    """What to raise for an edge that ends in a node that is nowhere."""
    return InputError(
        f"An edge ends in {node_type}:{node_id}, but there is no such node. Add the node, or "
        f"leave the edge out."
    )


def _check_names(column: pd.Series[str], allowed: Iterable[str], what: str) -> None:
    for name in column.unique():
        if name not in allowed:
            raise InputError(
                f"Unknown {what} {name!r}.{nearest(str(name), allowed)} "
                f"Allowed: {', '.join(allowed)}."
            )


def _check_pair(triple: Triple, part: pd.DataFrame) -> None:
    pairs = RELATIONS[triple.relation].pairs
    if (triple.source, triple.target) not in pairs:
        source, target = part[["source", "target"]].iloc[0]
        raise InputError(
            f"Edge {triple.source}:{source} -{triple.relation}-> {triple.target}:{target} joins "
            f"types that {triple.relation} does not join. Allowed: "
            f"{', '.join(f'{a} -> {b}' for a, b in pairs)}. Turn it round, or give it the "
            f"relation that fits."
        )


def _check_once(triple: Triple, part: pd.DataFrame, source: IntArray, target: IntArray) -> None:
    """Each pair of nodes once in a relation, whichever way an edge points."""
    if (source < 0).any() or (target < 0).any():
        codes = pd.factorize(pd.concat([part["source"], part["target"]]))[0].astype(np.int64)
        source, target = codes[: len(part)], codes[len(part) :]
    if triple.source == triple.target:
        source, target = np.minimum(source, target), np.maximum(source, target)
    keys = source * (int(target.max(initial=0)) + 1) + target
    if len(np.unique(keys)) == len(keys):
        return
    a, b = part[["source", "target"]][pd.Series(keys).duplicated().to_numpy()].iloc[0]
    raise InputError(
        f"Edge {triple.source}:{a} -{triple.relation}-> {triple.target}:{b} stands twice in the "
        f"graph, in this or the other direction. Keep one row for each pair of nodes."
    )


def _positions(ids: pd.Series[str], known: pa.Array | None) -> IntArray:
    """Place of each id in ``known``, -1 where it is not there. Shape ``[len(ids)]``."""
    if known is None:
        return np.full(len(ids), -1, dtype=np.int64)
    places: IntArray = (
        pc.fill_null(pc.index_in(_arrow(ids), value_set=known), -1)
        .to_numpy(zero_copy_only=False)
        .astype(np.int64)
    )
    return places


def _arrow(ids: pd.Series[str]) -> pa.Array:
    return pa.array(ids.to_numpy(dtype=object), type=pa.large_string())
