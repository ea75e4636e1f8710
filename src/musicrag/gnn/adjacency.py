"""The knowledge graph as sparse matrices, one per relation and direction, ready for propagation.

Knows edges, not features. A CSR product with a stored transpose replaces gather–scatter message
passing: no message is ever materialised, and the sum order is fixed, so results repeat bit for bit.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.schema import RELATIONS

Norm = Literal["mean", "symmetric"]


@dataclass(frozen=True)
class SparsePair:
    """A constant sparse matrix ``[N, N]`` and its transpose, both CSR."""

    forward: Tensor
    backward: Tensor

    def to(self, device: torch.device) -> SparsePair:
        return SparsePair(self.forward.to(device), self.backward.to(device))


class _Product(torch.autograd.Function):
    """``A @ x`` whose gradient with respect to ``x`` is ``A^T @ grad``."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, pair: SparsePair) -> Tensor:
        ctx.pair = pair  # type: ignore[attr-defined]
        return pair.forward @ x

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.pair.backward @ grad.contiguous(), None  # type: ignore[attr-defined]


def propagate(pair: SparsePair, x: Tensor) -> Tensor:
    """Sparse times dense. Shapes: ``[N, N] @ [N, d] -> [N, d]``; only ``x`` gets a gradient.

    Mixed precision stops here: sparse products exist in full precision only.
    """
    with torch.autocast(x.device.type, enabled=False):
        product: Tensor = _Product.apply(x.to(pair.forward.dtype), pair)  # type: ignore[no-untyped-call]
    return product


class RelationalAdjacency:
    """Edges of every relation in both directions, row = receiver, column = sender.

    Weights of a relation are divided by their mean, so that units do not matter.

    Attributes:
        names: ``LISTENED``, ``rev_LISTENED``, …; ``num_relations`` long.
        is_interaction: for each relation, whether listeners made it; a new item has none of these.
        edge_index: int64 ``[2, E]``, row 0 sender, row 1 receiver, over all relations.
        edge_weight: float32 ``[E]``; edge_type: int64 ``[E]``, place in ``names``.
    """

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.num_nodes = graph.num_nodes
        self._matrices: dict[tuple[Norm, torch.device], list[SparsePair]] = {}
        senders, receivers, weights, names = [], [], [], []
        for relation, edges in graph.edges.items():
            weight = edges.weight / edges.weight.mean() if len(edges) else edges.weight
            for name, a, b in (
                (relation, edges.source, edges.target),
                (f"rev_{relation}", edges.target, edges.source),
            ):
                names.append(name)
                senders.append(a)
                receivers.append(b)
                weights.append(weight)
        self.names = tuple(names)
        self.is_interaction = tuple(_is_interaction(name) for name in names)
        sizes = [len(part) for part in senders]
        empty = np.empty(0, dtype=np.int64)
        self.edge_index = torch.from_numpy(
            np.stack([np.concatenate([empty, *senders]), np.concatenate([empty, *receivers])])
        )
        self.edge_weight = torch.from_numpy(
            np.concatenate([np.empty(0, dtype=np.float32), *weights])
        )
        self.edge_type = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))

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
        rows = self.edge_type == relation
        sender, receiver = self.edge_index[:, rows].numpy()
        weight = self.edge_weight[rows].numpy().astype(np.float64)
        shape = (self.num_nodes, self.num_nodes)
        into = np.bincount(receiver, weight, minlength=self.num_nodes)
        out_of = np.bincount(sender, weight, minlength=self.num_nodes)
        scale = into[receiver] if norm == "mean" else np.sqrt(into[receiver] * out_of[sender])
        value = (weight / scale).astype(np.float32)
        matrix = sparse.csr_matrix((value, (receiver, sender)), shape=shape)
        return SparsePair(_to_torch(matrix), _to_torch(matrix.T.tocsr()))


def _is_interaction(name: str) -> bool:
    return RELATIONS[name.removeprefix("rev_")].origin in ("interactions", "playlist_items")


def _to_torch(matrix: sparse.csr_matrix) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
        )
