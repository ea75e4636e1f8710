"""The knowledge graph in memory: typed nodes in one index space, weighted edges per relation.

Global node indices run through the node types in alphabetical order and through the ids of each
type in sorted order, so "smaller index" and "smaller (type, id)" are the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from musicrag.graph.rows import GraphRows
from musicrag.types import FloatArray, InputError, IntArray, Node, Path, Vocabulary


@dataclass(frozen=True)
class Edges:
    """All edges of one relation, each once, from source to target.

    Shapes:
        source, target: int64 ``[num_edges]``, global node indices; weight: float32, > 0.
    """

    source: IntArray
    target: IntArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Adjacency:
    """Neighbours of every node in CSR form, each edge in both directions.

    Row ``i`` is ``neighbour[indptr[i]:indptr[i + 1]]``, sorted by neighbour, then relation.

    Shapes:
        indptr ``[num_nodes + 1]``; neighbour, relation ``[2 * num_edges]``; weight float32.
    """

    indptr: IntArray
    neighbour: IntArray
    relation: IntArray
    weight: FloatArray

    @cached_property
    def degree(self) -> IntArray:
        """Number of incident edges of each node. Shape ``[num_nodes]``."""
        return np.diff(self.indptr)

    def rows(self, nodes: IntArray) -> tuple[IntArray, IntArray]:
        """Return, for the edges leaving ``nodes``, their place in ``nodes`` and in the CSR."""
        counts = self.degree[nodes]
        owner = np.repeat(np.arange(len(nodes)), counts)
        ends = np.cumsum(counts)
        place = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return owner, self.indptr[nodes][owner] + place


class KnowledgeGraph:
    """Typed property graph of one training split.

    Args:
        nodes: node type to its ids.
        edges: relation name to edges in global indices, as :meth:`index` gives them.
        names: shown names of nodes; a node without one shows its id.
        item_type: node type of the items.
    """

    def __init__(
        self,
        nodes: Mapping[str, Vocabulary],
        edges: Mapping[str, Edges],
        names: Mapping[Node, str],
        item_type: str,
    ) -> None:
        self.nodes = {node_type: nodes[node_type] for node_type in sorted(nodes)}
        self.edges = {relation: edges[relation] for relation in sorted(edges)}
        self.names = names
        self.item_type = item_type
        self.relations = tuple(self.edges)
        sizes = [len(vocabulary) for vocabulary in self.nodes.values()]
        self.offsets = dict(zip(self.nodes, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        self.num_nodes = sum(sizes)

    @classmethod
    def from_rows(cls, rows: GraphRows) -> KnowledgeGraph:
        """The graph of canonical rows; raises :class:`InputError` for an edge without its node."""
        kinds = rows.nodes.groupby("node_type")["node_id"]
        nodes = {str(node_type): Vocabulary(ids) for node_type, ids in kinds}
        named = rows.nodes[rows.nodes["name"] != ""]
        names = {Node(t, i): n for t, i, n in named.itertuples(index=False, name=None)}
        graph = cls(nodes, {}, names, rows.item_type)
        edges = {
            str(name): Edges(
                graph.indices(part["source_type"], part["source_id"]),
                graph.indices(part["target_type"], part["target_id"]),
                part["weight"].to_numpy(dtype=np.float32),
            )
            for name, part in rows.edges.groupby("relation")
        }
        return cls(nodes, edges, names, rows.item_type)

    def without(self, relations: Collection[str]) -> KnowledgeGraph:
        """The same nodes with the same indices, and only the other relations."""
        kept = {name: edges for name, edges in self.edges.items() if name not in relations}
        if len(kept) == len(self.edges):
            return self
        return KnowledgeGraph(self.nodes, kept, self.names, self.item_type)

    def indices(self, types: pd.Series[str], ids: pd.Series[str]) -> IntArray:
        """Global indices of many nodes. Shape ``[len(ids)]``."""
        found = np.empty(len(ids), dtype=np.int64)
        for node_type in types.unique():
            if node_type not in self.nodes:
                raise InputError(f"An edge ends in a {node_type} node, but there is none.")
            rows = (types == node_type).to_numpy()
            found[rows] = self.nodes[node_type].encode(ids[rows].array) + self.offsets[node_type]
        return found

    @property
    def num_edges(self) -> int:
        return sum(len(edges) for edges in self.edges.values())

    def index(self, node: Node) -> int:
        """Global index of a node; raises :class:`InputError` for an unknown one."""
        if node.type not in self.nodes:
            raise InputError(f"No nodes of type {node.type!r}; there are {', '.join(self.nodes)}.")
        return int(self.offsets[node.type]) + self.nodes[node.type].idx(node.id)

    def node(self, index: int) -> Node:
        """The node with a global index."""
        if not 0 <= index < self.num_nodes:
            raise InputError(f"Node index {index} is not in 0 … {self.num_nodes - 1}.")
        node_type = tuple(self.nodes)[self.node_type_idx[index]]
        return Node(node_type, self.nodes[node_type].ids[index - self.offsets[node_type]])

    def name(self, node: Node) -> str:
        return self.names.get(node, node.id)

    @cached_property
    def node_type_idx(self) -> IntArray:
        """Place of each node's type in ``nodes``. Shape ``[num_nodes]``."""
        sizes = [len(vocabulary) for vocabulary in self.nodes.values()]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def adjacency(self) -> Adjacency:
        source = [np.concatenate([e.source, e.target]) for e in self.edges.values()]
        target = [np.concatenate([e.target, e.source]) for e in self.edges.values()]
        weight = [np.concatenate([e.weight, e.weight]) for e in self.edges.values()]
        sizes = [len(part) for part in source]
        relation = np.repeat(np.arange(len(sizes)), sizes)
        src, dst = _concatenate(source, np.int64), _concatenate(target, np.int64)
        order = np.lexsort((relation, dst, src))
        indptr = np.zeros(self.num_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(src, minlength=self.num_nodes), out=indptr[1:])
        return Adjacency(
            indptr, dst[order], relation[order], _concatenate(weight, np.float32)[order]
        )

    def has_path(self, path: Path) -> bool:
        """Is every edge of ``path`` in this graph, in either direction?"""
        try:
            walk = [self.index(node) for node in path.nodes]
        except InputError:
            return False
        graph = self.adjacency
        for a, relation, b in zip(walk, path.relations, walk[1:], strict=False):
            if relation not in self.edges:
                return False
            row = slice(graph.indptr[a], graph.indptr[a + 1])
            wanted = self.relations.index(relation)
            if not np.any((graph.neighbour[row] == b) & (graph.relation[row] == wanted)):
                return False
        return True

    def to_hetero(self) -> HeteroData:
        """Export to PyG; reverse edges are named ``rev_<RELATION>``.

        Shapes:
            ``data[type].num_nodes``; ``data[source, relation, target].edge_index`` int64
            ``[2, num_edges]`` in per-type indices, ``edge_weight`` float32 ``[num_edges]``.
        """
        import torch

        data = HeteroData()
        for node_type, vocabulary in self.nodes.items():
            data[node_type].num_nodes = len(vocabulary)
        types, starts = list(self.nodes), np.array(list(self.offsets.values()))
        for relation, edges in self.edges.items():
            pair_type = self.node_type_idx[edges.source] * len(types)
            pair_type += self.node_type_idx[edges.target]
            for code in np.unique(pair_type):
                rows = pair_type == code
                a, b = divmod(int(code), len(types))
                pair = np.stack([edges.source[rows] - starts[a], edges.target[rows] - starts[b]])
                index, weight = torch.from_numpy(pair), torch.from_numpy(edges.weight[rows])
                for key, way in (
                    ((types[a], relation, types[b]), index),
                    ((types[b], f"rev_{relation}", types[a]), index.flip(0)),
                ):
                    data[key].edge_index, data[key].edge_weight = way.contiguous(), weight
        return data


def _concatenate(parts: list[Any], dtype: type) -> Any:
    return np.concatenate([np.empty(0, dtype=dtype), *parts]).astype(dtype, copy=False)
