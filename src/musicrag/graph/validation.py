"""What a graph must satisfy before anything is learnt from it or stored, rule by rule.

Takes canonical rows and the schema; knows nothing of tables, stores or models. A rule is a
function that marks rows; a rule that another one explains (an edge of an unknown relation has no
allowed types) stays silent, so that each fault is named once. Nodes without an edge are no fault:
:mod:`musicrag.graph.statistics` counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from musicrag.graph.rows import EDGE_COLUMNS, GraphRows
from musicrag.graph.schema import ITEMS, NODE_TYPES, RELATIONS
from musicrag.types import BoolArray, FloatArray, InputError, IntArray, nearest

_MAX_EXAMPLES = 3
_TOLERANCE = 1e-6  # relative; some roundings of float32, which may make 1 + 1e-7 of a share of 1


@dataclass(frozen=True)
class Violation:
    """A rule that some rows of a graph break.

    Attributes:
        rule: the rule's name.
        count: how many rows break it, at least 1.
        examples: up to 3 of them, such as ``User:u1 -LISTENED-> Song:s9``.
        advice: what to do next.
    """

    rule: str
    count: int
    examples: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.count:,}, such as {'; '.join(self.examples)}. {self.advice}"


def find_violations(rows: GraphRows) -> tuple[Violation, ...]:
    """Hold a graph against every rule of :data:`RULES`; empty if it is valid."""
    indexed = _Indexed(rows)
    found = (rule(indexed) for rule in RULES)
    return tuple(violation for violation in found if violation.count)


def require_valid(rows: GraphRows) -> None:
    """Refuse a graph that breaks a rule.

    Raises:
        InputError: names every broken rule, how often, with examples and what to do.
    """
    violations = find_violations(rows)
    if violations:
        lines = "\n  ".join(map(str, violations))
        raise InputError(f"The graph breaks {len(violations)} of {len(RULES)} rules.\n  {lines}")


class _Indexed:
    """Rows with an integer in place of each node, so that rules compare integers.

    Types and ids are told apart by codes into ``types`` and ``ids``; a missing one counts as "".

    Shapes:
        node ``[num_nodes]``; source, target ``[num_edges]``: equal integers, equal type and id.
    """

    def __init__(self, rows: GraphRows) -> None:
        self.rows = rows
        nodes, edges = rows.nodes, rows.edges
        sizes = [len(nodes), len(nodes) + len(edges)]
        types, self.types = _factorize(nodes, edges, "type")
        ids, self.ids = _factorize(nodes, edges, "id")
        keys = types * max(len(self.ids), 1) + ids
        self.node, self.source, self.target = np.split(keys, sizes)
        self._node_type, self._source_type, self._target_type = np.split(types, sizes)
        self.is_blank = np.split((self.ids.str.strip() == "").to_numpy(dtype=bool)[ids], sizes)

    @cached_property
    def has_ends(self) -> tuple[BoolArray, BoolArray]:
        """Is the source, is the target of each edge a node?"""
        known = np.unique(self.node)
        return np.isin(self.source, known), np.isin(self.target, known)

    @cached_property
    def relation(self) -> tuple[IntArray, list[str]]:
        """A code for each edge's relation, and the relation's name for each code."""
        codes, names = pd.factorize(self.rows.edges["relation"].fillna(""))
        return codes.astype(np.int64), [str(name) for name in names]

    @cached_property
    def weight(self) -> FloatArray:
        """Weight of each edge. Shape ``[num_edges]``."""
        return self.rows.edges["weight"].to_numpy(dtype=np.float32)

    @property
    def has_positive_weight(self) -> BoolArray:
        is_positive: BoolArray = np.isfinite(self.weight) & (self.weight > 0)
        return is_positive

    def type_pair(self) -> tuple[IntArray, list[tuple[str, str]]]:
        """A code for each edge's (source type, target type), and the pair for each code."""
        width = max(len(self.types), 1)
        codes, found = pd.factorize(self._source_type * width + self._target_type)
        names = [str(name) for name in self.types]
        return codes.astype(np.int64), [(names[p // width], names[p % width]) for p in found]

    def nodes_where(self, rule: str, mask: BoolArray, advice: str) -> Violation:
        """A violation by the marked nodes, the first of them as examples."""
        rows = self.rows.nodes.iloc[np.flatnonzero(mask)[:_MAX_EXAMPLES]]
        rows = rows.fillna({"node_type": "", "node_id": ""})
        examples = (rows["node_type"] + ":" + rows["node_id"]).tolist()
        return Violation(rule, int(mask.sum()), tuple(examples), advice)

    def edges_where(
        self, rule: str, mask: BoolArray, advice: str, with_weight: bool = False
    ) -> Violation:
        """A violation by the marked edges, the first of them as examples."""
        rows = self.rows.edges.iloc[np.flatnonzero(mask)[:_MAX_EXAMPLES]]
        rows = rows.fillna(dict.fromkeys(EDGE_COLUMNS[:-1], ""))
        examples = [
            _edge(row) + (f" (weight {row['weight']:.6g})" if with_weight else "")
            for row in rows.to_dict("records")
        ]
        return Violation(rule, int(mask.sum()), tuple(examples), advice)


def _factorize(
    nodes: pd.DataFrame, edges: pd.DataFrame, what: str
) -> tuple[IntArray, pd.Series[str]]:
    """Codes of a column over nodes, sources and targets in turn, and the value of each code."""
    columns = [nodes[f"node_{what}"], edges[f"source_{what}"], edges[f"target_{what}"]]
    codes, values = pd.factorize(pd.concat(columns, ignore_index=True).fillna("").astype("str"))
    return codes.astype(np.int64), pd.Series(values, dtype="str")


def _edge(row: dict[Any, Any]) -> str:
    source = f"{row['source_type']}:{row['source_id']}"
    return f"{source} -{row['relation']}-> {row['target_type']}:{row['target_id']}"


def _unknown_node_types(graph: _Indexed) -> Violation:
    types = graph.rows.nodes["node_type"].fillna("")
    mask = ~types.isin(NODE_TYPES).to_numpy(dtype=bool)
    hint = nearest(str(types[mask].iloc[0]), NODE_TYPES) if mask.any() else ""
    advice = f"Use one of {', '.join(NODE_TYPES)}.{hint}"
    return graph.nodes_where("unknown node type", mask, advice)


def _unknown_relations(graph: _Indexed) -> Violation:
    codes, names = graph.relation
    is_unknown = np.array([name not in RELATIONS for name in names], dtype=bool)
    hints = [nearest(name, RELATIONS) for name in names if name not in RELATIONS]
    advice = f"Use one of {', '.join(RELATIONS)}.{hints[0] if hints else ''}"
    return graph.edges_where("unknown relation", is_unknown[codes], advice)


def _empty_node_ids(graph: _Indexed) -> Violation:
    advice = "Give each node an id of at least one visible character, or leave its rows out."
    return graph.nodes_where("empty node id", graph.is_blank[0], advice)


def _empty_edge_ends(graph: _Indexed) -> Violation:
    mask = graph.is_blank[1] | graph.is_blank[2]
    advice = "Give both ends an id, or leave the edge out."
    return graph.edges_where("empty id at an edge's end", mask, advice)


def _duplicate_nodes(graph: _Indexed) -> Violation:
    mask = pd.Series(graph.node).duplicated().to_numpy()
    advice = "Keep one row for each type and id; graph.rows.merged joins two graphs."
    return graph.nodes_where("duplicate node", mask, advice)


def _dangling_edges(graph: _Indexed) -> Violation:
    """An end without an id is named by the rule of empty ids."""
    lacks = [
        ~has & ~is_blank for has, is_blank in zip(graph.has_ends, graph.is_blank[1:], strict=True)
    ]
    advice = "Add the missing node to the nodes, or leave the edge out."
    return graph.edges_where("dangling edge", lacks[0] | lacks[1], advice)


def _type_violations(graph: _Indexed) -> Violation:
    """Edges of known relations between nodes that are there; what else is wrong has its rule."""
    relation, names = graph.relation
    pair, types = graph.type_pair()
    is_allowed = np.ones((max(len(names), 1), max(len(types), 1)), dtype=bool)
    for row, name in enumerate(names):
        if name in RELATIONS:
            is_allowed[row, : len(types)] = [ends in RELATIONS[name].pairs for ends in types]
    mask = ~is_allowed[relation, pair] & graph.has_ends[0] & graph.has_ends[1]
    known = np.array([{*ends} <= set(NODE_TYPES) for ends in types], dtype=bool)
    broken = sorted({names[code] for code in relation[mask & known[pair]]})
    allowed = "; ".join(f"{name} joins {_joins(name)}" for name in broken)
    advice = f"{allowed}. Turn the edge round, or give it the relation that fits."
    return graph.edges_where("type violation", mask & known[pair], advice)


def _joins(relation: str) -> str:
    return ", ".join(f"{source} -> {target}" for source, target in RELATIONS[relation].pairs)


def _self_loops(graph: _Indexed) -> Violation:
    advice = "Leave it out: no node is its own neighbour."
    return graph.edges_where("self-loop", graph.source == graph.target, advice)


def _duplicate_edges(graph: _Indexed) -> Violation:
    """All rows of a pair but the first, whichever way they point."""
    low = np.minimum(graph.source, graph.target)
    high = np.maximum(graph.source, graph.target)
    keys = pd.DataFrame({"relation": graph.relation[0], "low": low, "high": high})
    advice = (
        "Keep one edge for each pair and relation, whichever way it points; "
        "graph.rows.joined keeps the strongest."
    )
    return graph.edges_where("duplicate edge", keys.duplicated().to_numpy(), advice)


def _infinite_weights(graph: _Indexed) -> Violation:
    advice = "Give a number that float32 can hold (below 3.4e38), 1 where no strength is known."
    mask = ~np.isfinite(graph.weight)
    return graph.edges_where("weight that is not finite", mask, advice, with_weight=True)


def _weights_not_above_zero(graph: _Indexed) -> Violation:
    mask = np.isfinite(graph.weight) & (graph.weight <= 0)
    advice = "Leave out an edge that means nothing; a weight that does is above 0 in float32."
    return graph.edges_where("weight not above 0", mask, advice, with_weight=True)


def _weights_out_of_range(graph: _Indexed) -> Violation:
    """Weights above 0 that the schema's range of their relation excludes."""
    codes, names = graph.relation
    ranges = [RELATIONS[n].weight_range if n in RELATIONS else (0.0, np.inf) for n in names]
    low, high = np.array(ranges, dtype=np.float64).reshape(-1, 2).T
    low, high = low * (1 - _TOLERANCE), high * (1 + _TOLERANCE)
    mask = (graph.weight < low[codes]) | (graph.weight > high[codes])
    mask &= graph.has_positive_weight
    allowed = "; ".join(
        f"{names[code]} weighs {ranges[code][0]:g} to {ranges[code][1]:g}"
        for code in np.unique(codes[mask])
    )
    advice = f"{allowed}. Scale the weights before the graph is built."
    return graph.edges_where("weight out of range", mask, advice, with_weight=True)


def _no_items(graph: _Indexed) -> Violation:
    item_type = graph.rows.item_type
    is_there = item_type in ITEMS and bool((graph.rows.nodes["node_type"] == item_type).any())
    return Violation(
        "no items",
        int(not is_there),
        (f"no {item_type} node to recommend",),
        f"Items are nodes of type {' or '.join(ITEMS)}: fill table items, or correct item_type.",
    )


RULES: tuple[Callable[[_Indexed], Violation], ...] = (
    _no_items,
    _unknown_node_types,
    _unknown_relations,
    _empty_node_ids,
    _empty_edge_ends,
    _duplicate_nodes,
    _dangling_edges,
    _type_violations,
    _self_loops,
    _duplicate_edges,
    _infinite_weights,
    _weights_not_above_zero,
    _weights_out_of_range,
)
"""Every rule; a violation of count 0 means that the graph keeps it."""
