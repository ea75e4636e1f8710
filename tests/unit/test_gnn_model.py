from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from worlds import Blocks, blocks

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.layers import GatLayer, GcnLayer, GraphSageLayer
from musicrag.gnn.model import GraphEncoder, NodeFeatures

DIM = 8
WORLD = blocks()


def node_features(world: Blocks = WORLD, with_content: bool = True) -> NodeFeatures:
    torch.manual_seed(0)
    content = {"audio": world.features} if with_content else {}
    return NodeFeatures(world.graph.num_nodes, world.item_nodes, content, DIM, world.is_warm)


def encoder(num_layers: int = 2, dropout: float = 0.0, cold_dropout: float = 0.0) -> GraphEncoder:
    features = node_features()
    return GraphEncoder(
        features,
        RelationalAdjacency(WORLD.graph),
        GraphSageLayer,
        DIM,
        num_layers,
        dropout,
        cold_dropout,
    )


def shift_ids(features: NodeFeatures, nodes: np.ndarray) -> None:
    with torch.no_grad():
        features.ids.weight[nodes] += 3.0


def test_only_items_that_somebody_knows_have_an_id_vector() -> None:
    x = node_features(with_content=False)()
    cold = WORLD.item_nodes[~WORLD.is_warm]
    assert len(cold) == 2
    assert not x[cold].any()
    others = np.setdiff1d(np.arange(WORLD.graph.num_nodes), cold)
    assert x[others].any(dim=1).all()


def test_content_is_added_to_the_items_it_belongs_to() -> None:
    features, bare = node_features(), node_features(with_content=False)
    added = features() - bare()
    expected = features.project["audio"](torch.from_numpy(WORLD.features))
    torch.testing.assert_close(added[WORLD.item_nodes], expected)
    assert not added[WORLD.profile_nodes].any()


def test_a_missing_modality_row_adds_nothing() -> None:
    rows = WORLD.features.copy()
    rows[3] = 0.0
    torch.manual_seed(0)
    one = NodeFeatures(WORLD.graph.num_nodes, WORLD.item_nodes, {"audio": rows}, DIM, WORLD.is_warm)
    item = WORLD.item_nodes[3]
    torch.testing.assert_close(one()[item], one.ids.weight[item])


def test_unseen_items_lose_their_id_and_keep_their_content() -> None:
    features = node_features()
    seen = torch.ones(WORLD.graph.num_nodes, 1)
    item = WORLD.item_nodes[0]
    seen[item] = 0.0
    content = features.project["audio"](torch.from_numpy(WORLD.features[:1]))[0]
    torch.testing.assert_close(features(seen)[item], content)


@pytest.mark.parametrize("kind", [GraphSageLayer, GcnLayer, partial(GatLayer, num_heads=2)])
def test_vectors_have_unit_length_with_every_layer(kind: type[torch.nn.Module]) -> None:
    model = GraphEncoder(
        node_features(),
        RelationalAdjacency(WORLD.graph),
        kind,
        DIM,
        2,
        dropout=0.1,
        cold_dropout=0.5,
    )
    for vectors in (model(), model.eval()()):
        assert vectors.shape == (WORLD.graph.num_nodes, DIM)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))


def test_without_layers_the_vectors_are_the_normalised_inputs() -> None:
    model = encoder(num_layers=0)
    torch.testing.assert_close(model(), functional.normalize(model.features()))


def test_vectors_are_the_mean_of_the_layers_unit_outputs() -> None:
    model = encoder(num_layers=2)
    x = model.features()
    hidden = functional.leaky_relu(model.layers[0](x, model.adjacency), 0.2)
    last = model.layers[1](hidden, model.adjacency)  # no activation after the last
    parts = [functional.normalize(part) for part in (x, hidden, last)]
    torch.testing.assert_close(model(), functional.normalize(sum(parts) / 3))


def test_items_treated_as_new_do_not_show_their_ids() -> None:
    def vectors(model: GraphEncoder) -> Tensor:
        before = model()
        shift_ids(model.features, WORLD.item_nodes)
        return (model() - before).abs().amax(dim=1)

    assert vectors(encoder(cold_dropout=1.0).train()).max() < 1e-6
    assert vectors(encoder(cold_dropout=1.0).eval()).min() >= 0
    assert vectors(encoder(cold_dropout=1.0).eval())[WORLD.item_nodes[WORLD.is_warm]].min() > 1e-3
    assert vectors(encoder(cold_dropout=0.0).train()).max() > 1e-3


def test_the_share_of_items_treated_as_new_is_the_one_asked_for() -> None:
    model = encoder(cold_dropout=0.3)
    torch.manual_seed(0)
    drawn = torch.stack([model._draw_seen() for _ in range(500)]).squeeze(-1)
    assert (drawn[:, WORLD.profile_nodes] == 1).all()
    assert drawn[:, WORLD.item_nodes].mean() == pytest.approx(0.7, abs=0.02)
