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

from musicrag.contracts import FeatureMatrix
from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.types import BoolArray, IntArray

LayerFactory = Callable[[int, int], nn.Module]
"""``(embedding_dim, num_relations) -> layer``."""


class NodeFeatures(nn.Module):
    """Input vectors: an id embedding for every node, plus projected modalities for items.

    A missing modality row adds nothing, so items without lyrics or audio keep their id vector.
    Items that no profile has in training have no id vector, which would be noise: they live by
    content and neighbours. To learn that case, training drops whole id vectors of items at random
    (Volkovs et al. 2017, DropoutNet).

    Args:
        num_nodes: all nodes of the graph.
        item_nodes: global node index of each item. Shape ``[num_items]``.
        features: standardised feature matrices by modality; row i = item i.
        embedding_dim: width of the output.
        is_warm: False for items without a training interaction. Shape ``[num_items]``.
        id_dropout: share of item id vectors dropped in training.
    """

    item_nodes: Tensor
    has_id: Tensor
    is_item: Tensor

    def __init__(
        self,
        num_nodes: int,
        item_nodes: IntArray,
        features: Mapping[str, FeatureMatrix],
        embedding_dim: int,
        is_warm: BoolArray,
        id_dropout: float,
    ) -> None:
        super().__init__()
        self.id_dropout = id_dropout
        has_id, is_item = np.ones((num_nodes, 1), np.float32), np.zeros((num_nodes, 1), bool)
        has_id[item_nodes[~is_warm]] = 0.0
        is_item[item_nodes] = True
        self.register_buffer("has_id", torch.from_numpy(has_id))
        self.register_buffer("is_item", torch.from_numpy(is_item))
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
        has_id = self.has_id
        if self.training and self.id_dropout:
            is_dropped = torch.rand_like(has_id) < self.id_dropout
            has_id = has_id.masked_fill(is_dropped & self.is_item, 0.0)
        x = self.ids.weight * has_id
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
