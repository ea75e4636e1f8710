"""One propagation step over the typed graph: GraphSAGE, GCN and GAT.

Each layer maps node vectors ``[N, d]`` to ``[N, d]`` given a :class:`RelationalAdjacency`. A mask
``seen`` ``[N, 1]`` of zeros and ones cuts nodes off from all edges that listeners made.
Every relation has a learned scale that starts at 1; with a single relation and scale 1, a layer
equals its PyG namesake (``tests/parity/test_layers.py``). Features and losses are elsewhere.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.attention import Attend
from musicrag.types import InputError


class Layer(Protocol):
    """What the model needs of a layer."""

    def __call__(
        self, x: Tensor, adjacency: RelationalAdjacency, seen: Tensor | None = None
    ) -> Tensor: ...


def _near_identity(size: int) -> nn.Linear:
    """A linear map that starts as the identity, so that an untrained layer only propagates."""
    linear = nn.Linear(size, size)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class GraphSageLayer(nn.Module):
    r"""GraphSAGE with mean aggregation, one mean per relation.

    .. math:: h_i = W_s x_i + W_n \sum_r \alpha_r \, \mathrm{mean}_{j \in N_r(i)} w_{ij} x_j

    Args:
        embedding_dim: width ``d`` of input and output.
        num_relations: number of relations, directions counted apart.

    Source: Hamilton et al. 2017, equation 2; relations summed as in Schlichtkrull et al. 2018.
    """

    def __init__(self, embedding_dim: int, num_relations: int) -> None:
        super().__init__()
        self.own = _near_identity(embedding_dim)
        self.neighbours = _near_identity(embedding_dim)
        self.scale = nn.Parameter(torch.ones(num_relations))

    def forward(
        self, x: Tensor, adjacency: RelationalAdjacency, seen: Tensor | None = None
    ) -> Tensor:
        mixed = adjacency.relation_sum(x, self.scale, "mean", seen)
        out: Tensor = self.own(x) + self.neighbours(mixed)
        return out


class GcnLayer(nn.Module):
    r"""Graph convolution with symmetric normalisation, one per relation.

    .. math:: h = \left(x + \sum_r \alpha_r D_r^{-1/2} A_r D_r'^{-1/2} x\right) W

    The self term has weight 1 instead of PyG's ``1 / (deg + 1)``: with typed bipartite relations
    there is no common degree to share.

    Source: Kipf and Welling 2017, equation 2.
    """

    def __init__(self, embedding_dim: int, num_relations: int) -> None:
        super().__init__()
        self.linear = _near_identity(embedding_dim)
        self.scale = nn.Parameter(torch.ones(num_relations))

    def forward(
        self, x: Tensor, adjacency: RelationalAdjacency, seen: Tensor | None = None
    ) -> Tensor:
        mixed = adjacency.relation_sum(x, self.scale, "symmetric", seen)
        out: Tensor = self.linear(x + mixed)
        return out


class GatLayer(nn.Module):
    """Graph attention over all relations at once: PyG's ``GATConv`` with our own propagation.

    The attention sees the relation (a learned vector) and the edge weight. On a CPU the sums are
    those of :mod:`musicrag.gnn.attention`, elsewhere PyG's; the two agree
    (``tests/parity/test_layers.py``).

    Args:
        num_heads: attention heads; their outputs are concatenated to ``embedding_dim``.

    Source: Veličković et al. 2018.
    """

    def __init__(self, embedding_dim: int, num_relations: int, num_heads: int = 2) -> None:
        super().__init__()
        if num_heads < 1 or embedding_dim % num_heads:
            raise InputError(
                f"gnn.embedding_dim={embedding_dim} is not divisible by "
                f"gnn.layer.num_heads={num_heads}."
            )
        width, relation_dim = embedding_dim // num_heads, 8
        self.relation = nn.Embedding(num_relations, relation_dim)
        self.attend = GATConv(
            embedding_dim, width, heads=num_heads, edge_dim=relation_dim + 1, residual=True
        )

    def forward(
        self, x: Tensor, adjacency: RelationalAdjacency, seen: Tensor | None = None
    ) -> Tensor:
        if x.device.type != "cpu":
            return self.by_messages(x, adjacency, seen)
        with torch.autocast("cpu", enabled=False):
            return self._by_rows(x.float(), adjacency, seen)

    def _by_rows(self, x: Tensor, adjacency: RelationalAdjacency, seen: Tensor | None) -> Tensor:
        conv, edges = self.attend, adjacency.incoming
        heads, width = conv.heads, conv.out_channels
        values = conv.lin(x).view(-1, heads, width)
        source, target = (values * conv.att_src).sum(dim=-1), (values * conv.att_dst).sum(dim=-1)
        by_feature = conv.lin_edge.weight.view(heads, width, -1)
        term = (by_feature * conv.att_edge.view(heads, width, 1)).sum(
            dim=1
        )  # [H, relation_dim + 1]
        relation = self.relation.weight @ term[:, :-1].T
        is_there = np.ones(len(edges.sender), dtype=bool)
        if seen is not None:
            shown = seen.squeeze(1).numpy() > 0
            made = np.array(adjacency.is_interaction, dtype=bool)[edges.kind]
            is_there = ~made | (shown[edges.sender] & shown[edges.receiver])
        mixed: Tensor = Attend.apply(  # type: ignore[no-untyped-call]
            *(values, source, target, relation, term[:, -1], edges, is_there)
        )
        out: Tensor = mixed + conv.res(x) + conv.bias
        return out

    def by_messages(
        self, x: Tensor, adjacency: RelationalAdjacency, seen: Tensor | None = None
    ) -> Tensor:
        """The same by PyG's message passing, which any device can do."""
        device = x.device
        ends, kind = adjacency.edge_index.to(device), adjacency.edge_type.to(device)
        weight = adjacency.edge_weight.to(device)
        if seen is not None:
            made = torch.tensor(adjacency.is_interaction, dtype=torch.bool, device=device)[kind]
            there = ~made | (seen[ends].squeeze(-1) > 0).all(dim=0)
            ends, kind, weight = ends[:, there], kind[there], weight[there]
        edge = torch.cat([self.relation(kind), weight[:, None]], dim=1)
        out: Tensor = self.attend(x, ends, edge)
        return out
