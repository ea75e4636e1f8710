"""Node features, id embeddings and propagation layers become one vector per node.

Knows nothing of losses, training or ranking. The final vector is the mean over the layers'
unit-length outputs (after He et al. 2020, LightGCN, equation 4), itself of unit length, so that
an inner product is a cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.types import BoolArray, FloatArray, IntArray

LayerFactory = Callable[[int, int], nn.Module]
"""``(embedding_dim, num_relations) -> layer``."""


class NodeFeatures(nn.Module):
    """Input vectors: an id embedding for every node, plus projected modalities for items.

    A missing modality row adds nothing, so items without lyrics or audio keep their id vector.
    Items that no profile has in training have no id vector, which would be noise: they live by
    content and by edges that listeners did not make.

    Args:
        num_nodes: all nodes of the graph.
        item_nodes: global node index of each item. Shape ``[num_items]``.
        features: feature rows by modality, ``[num_items, d]``; row i = item i, zero if absent.
        embedding_dim: width of the output.
        is_warm: False for items without a training interaction. Shape ``[num_items]``.
    """

    item_nodes: Tensor
    has_id: Tensor

    def __init__(
        self,
        num_nodes: int,
        item_nodes: IntArray,
        features: Mapping[str, FloatArray],
        embedding_dim: int,
        is_warm: BoolArray,
    ) -> None:
        super().__init__()
        has_id = np.ones((num_nodes, 1), dtype=np.float32)
        has_id[item_nodes[~is_warm]] = 0.0
        self.register_buffer("has_id", torch.from_numpy(has_id))
        self.ids = nn.Embedding(num_nodes, embedding_dim)
        nn.init.normal_(self.ids.weight, std=0.1)
        self.register_buffer("item_nodes", torch.from_numpy(item_nodes))
        self.project = nn.ModuleDict()
        for modality, values in features.items():
            width = values.shape[1]
            project = nn.Linear(width, embedding_dim, bias=False)
            nn.init.normal_(project.weight, std=0.1 / width**0.5)
            self.project[modality] = project
            self.register_buffer(f"values_{modality}", torch.from_numpy(values))

    def forward(self, seen: Tensor | None = None) -> Tensor:
        """Return input vectors of all nodes, ids only where ``seen``. Shape ``[num_nodes, d]``."""
        x = self.ids.weight * (self.has_id if seen is None else self.has_id * seen)
        for modality, project in self.project.items():
            content = project(getattr(self, f"values_{modality}"))
            x = x.index_add(0, self.item_nodes, content.to(x.dtype))  # half in mixed precision
        return x


class GraphEncoder(nn.Module):
    """Propagates node features through ``num_layers`` layers.

    In training a random share of items is treated as new in every step: no id vector, no edge
    that listeners made (after Volkovs et al. 2017, DropoutNet). So the network learns to place a
    song by what is known of it on its first day, and content is not drowned by memory.

    Args:
        features: input vectors.
        adjacency: the training graph.
        make_layer: builds one layer.
        num_layers: propagation steps; 0 gives matrix factorisation.
        dropout: share of input vector entries dropped in training.
        cold_dropout: share of items treated as new in a training step.
    """

    def __init__(
        self,
        features: NodeFeatures,
        adjacency: RelationalAdjacency,
        make_layer: LayerFactory,
        embedding_dim: int,
        num_layers: int,
        dropout: float,
        cold_dropout: float,
    ) -> None:
        super().__init__()
        self.features = features
        self.adjacency = adjacency
        self.layers = nn.ModuleList(
            make_layer(embedding_dim, adjacency.num_relations) for _ in range(num_layers)
        )
        self.dropout = dropout
        self.cold_dropout = cold_dropout

    def forward(self) -> Tensor:
        """Return vectors of all nodes. Shape ``[num_nodes, embedding_dim]``."""
        seen = self._draw_seen() if self.training and self.cold_dropout else None
        x = functional.dropout(self.features(seen), self.dropout, self.training)
        outputs = [functional.normalize(x)]
        for place, layer in enumerate(self.layers):
            x = layer(x, self.adjacency, seen)
            if place + 1 < len(self.layers):
                x = functional.leaky_relu(x, 0.2)
            outputs.append(functional.normalize(x))
        return functional.normalize(torch.stack(outputs).mean(dim=0))

    def _draw_seen(self) -> Tensor:
        """One for nodes seen as they are, zero for items treated as new. Shape ``[N, 1]``."""
        items = self.features.item_nodes
        is_new = torch.rand(len(items), 1, device=items.device) < self.cold_dropout
        seen = torch.ones(self.adjacency.num_nodes, 1, device=items.device)
        return seen.index_fill(0, items[is_new.squeeze(1)], 0.0)
