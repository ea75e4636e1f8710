"""The knowledge graph as sparse matrices, one per relation and direction, ready for propagation.

Knows edges, not features. A CSR product with a stored transpose replaces gather-scatter message
passing: no message is ever materialised, and the sum order is fixed, so results repeat bit for bit.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from musicrag.gnn.attention import Incoming
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.schema import RELATIONS
from musicrag.types import IntArray

Norm = Literal["mean", "symmetric"]
Degrees = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""For each edge, the weight into its receiver and out of its sender, within its relation."""

_REVERSED = "rev_"


@dataclass(frozen=True)
class Relations:
    """Over which relations a network propagates, in the order of its learned scales.

    Attributes:
        names: ``LISTENED``, ``rev_LISTENED``, …: each relation, then its reverse.
        units: weights of a relation are divided by this, its mean weight in training; a network
            that has been trained goes on with it, so that a new edge does not move the others.
    """

    names: tuple[str, ...]
    units: tuple[float, ...]

    @classmethod
    def of(cls, graph: KnowledgeGraph) -> Relations:
        """All relations of a graph, with the mean of its weights."""
        means = [float(e.weight.mean()) if len(e) else 1.0 for e in graph.edges.values()]
        names = [name for relation in graph.edges for name in (relation, _REVERSED + relation)]
        return cls(tuple(names), tuple(unit for unit in means for _ in range(2)))


@dataclass(frozen=True)
class SparsePair:
    """One relation as a constant sparse matrix between two windows of the node index.

    Nodes of a type are neighbours in the index, so a relation touches a small window of rows and
    one of columns; products and sums over the rest of the graph are never done. On a CPU SciPy
    multiplies, on one thread and in a fixed order, so that results repeat bit for bit.

    Shapes:
        host: CSR ``[R, C]`` and its transpose; device: the same as torch tensors, off the CPU
        only; rows (receivers) and columns (senders) say which nodes these are.
    """

    host: tuple[sparse.csr_matrix, sparse.csr_matrix]
    device: tuple[Tensor, Tensor] | None
    rows: slice
    columns: slice

    def product(self, x: Tensor, is_transposed: bool = False) -> Tensor:
        """``M x`` or ``M^T x``. Shapes: ``[C, d] -> [R, d]`` or ``[R, d] -> [C, d]``."""
        if self.device is not None:
            return self.device[is_transposed] @ x.contiguous()
        return torch.from_numpy(self.host[is_transposed] @ x.numpy())

    def to(self, device: torch.device) -> SparsePair:
        if device.type == "cpu":
            return self
        moved = _to_torch(self.host[0]).to(device), _to_torch(self.host[1]).to(device)
        return SparsePair(self.host, moved, self.rows, self.columns)


class _RelationSum(torch.autograd.Function):
    """``sum_r scale_r * seen * M_r (seen * x)`` with gradients for ``x`` and ``scale``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, seen: Tensor | None, adjacency: list[_Part]
    ) -> Tensor:
        total = torch.zeros_like(x)
        products = []
        for place, (pair, is_masked) in enumerate(adjacency):
            sent = x[pair.columns]
            if is_masked and seen is not None:
                product = seen[pair.rows] * pair.product(seen[pair.columns] * sent)
            else:
                product = pair.product(sent)
            total[pair.rows] += scale[place] * product
            products.append(product)
        ctx.parts, ctx.seen = adjacency, seen
        ctx.save_for_backward(scale, *products)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        scale, *products = ctx.saved_tensors
        into_x, into_scale = torch.zeros_like(grad), torch.zeros_like(scale)
        for place, (pair, is_masked) in enumerate(ctx.parts):
            received = grad[pair.rows]
            into_scale[place] = (received * products[place]).sum()
            if is_masked and ctx.seen is not None:
                back = pair.product(ctx.seen[pair.rows] * received, is_transposed=True)
                into_x[pair.columns] += scale[place] * ctx.seen[pair.columns] * back
            else:
                into_x[pair.columns] += scale[place] * pair.product(received, is_transposed=True)
        return into_x, into_scale, None, None


_Part = tuple[SparsePair, bool]


class RelationalAdjacency:
    """Edges of every relation in both directions, row = receiver, column = sender.

    Weights of a relation are divided by their mean, so that units do not matter.

    Args:
        graph: where the edges come from; relations of it that are not asked for are left out.
        relations: which relations in which order; one that the graph lacks keeps its place. None
            takes those of the graph.

    Attributes:
        names: ``LISTENED``, ``rev_LISTENED``, …; ``num_relations`` long.
        is_interaction: for each relation, whether listeners made it; a new item has none of these.
        edge_index: int64 ``[2, E]``, row 0 sender, row 1 receiver, over all relations.
        edge_weight: float32 ``[E]``; edge_type: int64 ``[E]``, place in ``names``.
    """

    def __init__(self, graph: KnowledgeGraph, relations: Relations | None = None) -> None:
        self.relations = Relations.of(graph) if relations is None else relations
        self.names = self.relations.names
        self.is_interaction = tuple(_is_interaction(name) for name in self.names)
        self.num_nodes = graph.num_nodes
        self._matrices: dict[tuple[Norm, torch.device], list[SparsePair]] = {}
        self._degrees_of_whole: Degrees | None = None
        self._incoming: Incoming | None = None
        empty = np.empty(0, dtype=np.int64)
        ends, weights, sizes = [np.stack([empty, empty])], [np.empty(0, dtype=np.float32)], []
        for name, unit in zip(self.names, self.relations.units, strict=True):
            edges = graph.edges.get(name.removeprefix(_REVERSED))
            sizes.append(0 if edges is None else len(edges))
            if edges is not None:
                pair = np.stack([edges.source, edges.target])
                ends.append(pair[::-1] if name.startswith(_REVERSED) else pair)
                weights.append(edges.weight / np.float32(unit))
        self.edge_index = torch.from_numpy(np.concatenate(ends, axis=1))
        self.edge_weight = torch.from_numpy(np.concatenate(weights))
        self.edge_type = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))

    def reached(self, nodes: IntArray, num_hops: int) -> IntArray:
        """Global indices of ``nodes`` and of all within ``num_hops`` of them, ascending."""
        return self._towards(nodes, num_hops)[0]

    def around(self, nodes: IntArray, num_hops: int) -> tuple[RelationalAdjacency, IntArray]:
        """Cut out what ``num_hops`` layers look at when they compute ``nodes``.

        Edges are kept into nodes that are fewer than ``num_hops`` away, and degrees stay those of
        the whole graph, so the rows of ``nodes`` come out as they would of the whole graph. Rows
        further out come out incomplete.

        Returns:
            The smaller adjacency, and the global index of each of its nodes, ascending.
        """
        kept, is_used = self._towards(nodes, num_hops)
        local = np.full(self.num_nodes, -1, dtype=np.int64)
        local[kept] = np.arange(len(kept))
        used = torch.from_numpy(np.flatnonzero(is_used))
        part = copy.copy(self)
        part.num_nodes = len(kept)
        part._matrices = {}
        part._incoming = None
        into, out_of = self._all_degrees()
        part._degrees_of_whole = into[is_used], out_of[is_used]
        part.edge_index = torch.from_numpy(local[self.edge_index[:, used].numpy()])
        part.edge_weight, part.edge_type = self.edge_weight[used], self.edge_type[used]
        return part, kept

    def _towards(self, nodes: IntArray, num_hops: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Nodes within ``num_hops`` of ``nodes``, and which edges lead from them there."""
        sender, receiver = self.edge_index.numpy()
        is_reached = np.zeros(self.num_nodes, dtype=bool)
        is_reached[nodes] = True
        is_used = np.zeros(len(sender), dtype=bool)
        for _ in range(num_hops):
            is_used = is_reached[receiver]
            is_reached[sender[is_used]] = True
        return np.flatnonzero(is_reached), is_used

    def relation_sum(self, x: Tensor, scale: Tensor, norm: Norm, seen: Tensor | None) -> Tensor:
        """``sum_r scale_r * M_r x`` over all relations, ``M_r`` normalised by ``norm``.

        Edges that listeners made carry nothing to or from nodes outside ``seen``. Mixed precision
        stops here: sparse products exist in full precision only.

        Shapes:
            x ``[N, d]``; scale ``[num_relations]``; seen ``[N, 1]`` of zeros and ones, or None.
        """
        parts = list(zip(self.matrices(norm, x.device), self.is_interaction, strict=True))
        with torch.autocast(x.device.type, enabled=False):
            full = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            total: Tensor = _RelationSum.apply(full, scale, seen, parts)  # type: ignore[no-untyped-call]
        return total

    @property
    def incoming(self) -> Incoming:
        """All edges in the order of their receivers, made once, for attention."""
        if self._incoming is None:
            self._incoming = Incoming.of(
                self.edge_index.numpy(),
                self.edge_type.numpy(),
                self.edge_weight.numpy(),
                self.num_nodes,
            )
        return self._incoming

    @property
    def num_relations(self) -> int:
        return len(self.names)

    def matrices(self, norm: Norm, device: torch.device) -> list[SparsePair]:
        """One normalised matrix for each relation, made once for each device.

        Args:
            norm: ``mean``: ``D_r^-1 A_r``, the weighted mean over a node's neighbours;
                ``symmetric``: ``D_r^-1/2 A_r D_r'^-1/2``, degrees of receiver and sender.
        """
        if (norm, device) not in self._matrices:
            made = [self._normalised(relation, norm) for relation in range(self.num_relations)]
            self._matrices[norm, device] = [pair.to(device) for pair in made]
        return self._matrices[norm, device]

    def _normalised(self, relation: int, norm: Norm) -> SparsePair:
        chosen = self.edge_type == relation
        sender, receiver = self.edge_index[:, chosen].numpy()
        weight = self.edge_weight[chosen].numpy().astype(np.float64)
        rows, columns = _window(receiver), _window(sender)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        into, out_of = self._degrees(relation)
        scale = into if norm == "mean" else np.sqrt(into * out_of)
        value = (weight / scale).astype(np.float32)
        cells = (receiver - rows.start, sender - columns.start)
        matrix = sparse.csr_matrix((value, cells), shape=shape)
        return SparsePair((matrix, matrix.T.tocsr()), None, rows, columns)

    def _degrees(self, relation: int) -> Degrees:
        """Those of the edges of one relation."""
        chosen = self.edge_type == relation
        if self._degrees_of_whole is not None:
            into, out_of = self._degrees_of_whole
            return into[chosen.numpy()], out_of[chosen.numpy()]
        sender, receiver = self.edge_index[:, chosen].numpy()
        weight = self.edge_weight[chosen].numpy().astype(np.float64)
        into = np.bincount(receiver, weight, minlength=self.num_nodes)[receiver]
        out_of = np.bincount(sender, weight, minlength=self.num_nodes)[sender]
        return into.astype(np.float64, copy=False), out_of.astype(np.float64, copy=False)

    def _all_degrees(self) -> Degrees:
        """Those of all edges; ``edge_type`` is ascending, so relations follow each other."""
        nothing = np.empty(0, dtype=np.float64)
        parts = [self._degrees(relation) for relation in range(self.num_relations)]
        into, out_of = zip((nothing, nothing), *parts, strict=True)
        return np.concatenate(into), np.concatenate(out_of)


def _window(nodes: IntArray) -> slice:
    """The smallest range of the node index that holds all of ``nodes``."""
    return slice(int(nodes.min()), int(nodes.max()) + 1) if len(nodes) else slice(0, 0)


def _is_interaction(name: str) -> bool:
    return RELATIONS[name.removeprefix(_REVERSED)].origin in ("interactions", "playlist_items")


def _to_torch(matrix: sparse.csr_matrix) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
        )
