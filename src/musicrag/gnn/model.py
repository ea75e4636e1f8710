"""Node features, id embeddings and propagation layers become one vector per node.

Knows nothing of losses, training or ranking. The final vector is the mean over the layers'
unit-length outputs (after He et al. 2020, LightGCN, equation 4), itself of unit length, so that
an inner product is a cosine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicrag.contracts import FeatureMatrix
from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.types import IntArray

LayerFactory = Callable[[int, int], nn.Module]
"""``(embedding_dim, num_relations) -> layer``."""


class NodeFeatures(nn.Module):
    """Input vectors: an id embedding for every node, plus projected modalities for items.

    A missing modality row adds nothing, so items without lyrics or audio keep their id vector.

    Args:
        num_nodes: all nodes of the graph.
        item_nodes: global node index of each item. Shape ``[num_items]``.
        features: standardised feature matrices by modality; row i = item i.
        embedding_dim: width of the output.
    """

    item_nodes: Tensor

    def __init__(
        self,
        num_nodes: int,
        item_nodes: IntArray,
        features: Mapping[str, FeatureMatrix],
        embedding_dim: int,
    ) -> None:
        super().__init__()
        self.ids = nn.Embedding(num_nodes, embedding_dim)
        nn.init.normal_(self.ids.weight, std=0.1)
        self.register_buffer("item_nodes", torch.from_numpy(item_nodes))
        self.project = nn.ModuleDict()
        for modality, matrix in features.items():
            width = matrix.values.shape[1]
            project = nn.Linear(width, embedding_dim, bias=False)
            nn.init.normal_(project.weight, std=0.1 / width**0.5)
            self.project[modality] = project
            self.register_buffer(f"values_{modality}", torch.from_numpy(matrix.values))

    def forward(self) -> Tensor:
        """Return input vectors of all nodes. Shape ``[num_nodes, embedding_dim]``."""
        x = self.ids.weight
        for modality, project in self.project.items():
            x = x.index_add(0, self.item_nodes, project(getattr(self, f"values_{modality}")))
        return x


class GraphEncoder(nn.Module):
    """Propagates node features through ``num_layers`` layers.

    Args:
        features: input vectors.
        adjacency: the training graph.
        make_layer: builds one layer.
        num_layers: propagation steps; 0 gives matrix factorisation.
        dropout: share of input vector entries dropped in training.
    """

    def __init__(
        self,
        features: NodeFeatures,
        adjacency: RelationalAdjacency,
        make_layer: LayerFactory,
        embedding_dim: int,
        num_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.features = features
        self.adjacency = adjacency
        self.layers = nn.ModuleList(
            make_layer(embedding_dim, adjacency.num_relations) for _ in range(num_layers)
        )
        self.dropout = dropout

    def forward(self) -> Tensor:
        """Return vectors of all nodes. Shape ``[num_nodes, embedding_dim]``."""
        x = functional.dropout(self.features(), self.dropout, self.training)
        outputs = [functional.normalize(x)]
        for place, layer in enumerate(self.layers):
            x = layer(x, self.adjacency)
            if place + 1 < len(self.layers):
                x = functional.leaky_relu(x, 0.2)
            outputs.append(functional.normalize(x))
        return functional.normalize(torch.stack(outputs).mean(dim=0))
