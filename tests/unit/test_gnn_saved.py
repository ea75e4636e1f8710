"""What training learned goes into one file and comes back, or an error says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from worlds import blocks, graph_of

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.layers import GatLayer, GraphSageLayer
from musicrag.gnn.model import GraphEncoder, NodeFeatures
from musicrag.gnn.placing import full
from musicrag.gnn.saved import FILE, SavedNetwork, freeze, load_network, save_network
from musicrag.gnn.training import GraphRecommender, Objective, fit
from musicrag.types import FloatArray, InputError

WORLD = blocks()
ITEMS = WORLD.graph.nodes["Song"]
FEATURES = {"lyrics": WORLD.features, "audio": WORLD.features[:, :1].copy()}
SAGE, GAT = "musicrag.gnn.layers.GraphSageLayer", "musicrag.gnn.layers.GatLayer"


def encoder_of(make_layer: Callable[[int, int], torch.nn.Module], seed: int = 0) -> GraphEncoder:
    torch.manual_seed(seed)
    inputs = NodeFeatures(WORLD.graph.num_nodes, WORLD.item_nodes, FEATURES, 8, WORLD.is_warm)
    adjacency = RelationalAdjacency(WORLD.graph)
    return GraphEncoder(inputs, adjacency, make_layer, 8, 2, dropout=0.1, cold_dropout=0.5)


def sage() -> SavedNetwork:
    return freeze(encoder_of(GraphSageLayer), WORLD.graph, SAGE, {})


def gat(num_heads: int = 4) -> SavedNetwork:
    layers = encoder_of(lambda dim, count: GatLayer(dim, count, num_heads))
    return freeze(layers, WORLD.graph, GAT, {"num_heads": num_heads})


@pytest.mark.parametrize("network", [sage(), gat()], ids=["graphsage", "gat"])
def test_a_saved_network_comes_back_to_the_byte(network: SavedNetwork, tmp_path: Path) -> None:
    save_network(tmp_path / "new", network)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]
    found = load_network(tmp_path / "new")
    for name in ("relations", "layer_target", "layer_params", "embedding_dim", "num_layers"):
        assert getattr(found, name) == getattr(network, name)
    assert list(found.feature_widths.items()) == [("lyrics", 2), ("audio", 1)]
    assert {t: v.ids for t, v in found.nodes.items()} == {
        t: v.ids for t, v in network.nodes.items()
    }
    assert list(found.nodes) == ["Song", "User"]
    assert found.ids.tobytes() == network.ids.tobytes()
    assert found.has_id.tolist() == network.has_id.tolist()
    assert found.has_id.sum() == WORLD.graph.num_nodes - 2
    assert found.state.keys() == network.state.keys()
    assert all(torch.equal(found.state[name], network.state[name]) for name in network.state)
    one, other = (full(n, WORLD.graph, FEATURES, ITEMS) for n in (network, found))
    assert one.tobytes() == other.tobytes()
    assert len(fields(network)) == 10  # each of them is compared above


def test_the_file_is_replaced_by_the_next_network(tmp_path: Path) -> None:
    save_network(tmp_path, sage())
    save_network(tmp_path, gat())
    assert load_network(tmp_path).layer_target == GAT
    assert len(list(tmp_path.iterdir())) == 1


def test_units_of_relations_are_the_mean_weights_of_training(tmp_path: Path) -> None:
    graph = graph_of([("User:a", "KNOWS", "User:b", 0.1), ("User:b", "KNOWS", "User:c", 0.7)])
    inputs = NodeFeatures(3, np.empty(0, dtype=np.int64), {}, 4, np.empty(0, dtype=bool))
    model = GraphEncoder(inputs, RelationalAdjacency(graph), GraphSageLayer, 4, 1, 0.0, 0.0)
    save_network(tmp_path, freeze(model, graph, SAGE, {}))
    relations = load_network(tmp_path).relations
    assert relations.names == ("KNOWS", "rev_KNOWS")
    assert relations.units == (float(graph.edges["KNOWS"].weight.mean()),) * 2


def test_a_frozen_network_does_not_change_with_its_encoder() -> None:
    model = encoder_of(GraphSageLayer)
    network = freeze(model, WORLD.graph, SAGE, {})
    before = full(network, WORLD.graph, FEATURES, ITEMS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1.0
    model.features.has_id.fill_(0.0)
    np.testing.assert_array_equal(full(network, WORLD.graph, FEATURES, ITEMS), before)


def test_after_training_the_encoder_holds_the_best_epoch() -> None:
    shown: list[FloatArray] = []

    def second_is_best(profiles: FloatArray, items: FloatArray) -> float:
        shown.append(items.copy())
        return 1.0 if len(shown) == 2 else 0.1 / len(shown)

    module = GraphRecommender(
        encoder_of(GraphSageLayer),
        WORLD.profile_nodes,
        WORLD.item_nodes,
        WORLD.train,
        Objective("softmax", 0.2, 8, 2, 0.05, 0.0, 5, 1, 10),
        second_is_best,
    )
    trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    found = fit(module, WORLD.train, 0, trainer)
    network = freeze(module.encoder, WORLD.graph, SAGE, {})
    vectors = full(network, WORLD.graph, FEATURES, ITEMS)
    assert found.best_epoch == 1
    assert len(shown) == 5
    assert vectors.tobytes() == found.nodes.tobytes()
    assert vectors[WORLD.item_nodes].tobytes() == shown[1].tobytes()
    assert vectors[WORLD.item_nodes].tobytes() != shown[4].tobytes()


def test_another_graph_cannot_be_frozen_with_an_encoder() -> None:
    with pytest.raises(InputError, match="knows 34 nodes, the graph has 1"):
        freeze(encoder_of(GraphSageLayer), graph_of([], ["Song:a"]), SAGE, {})


@pytest.mark.parametrize(
    ("target", "params", "message"),
    [
        (GAT, {"num_heads": 2}, "do not fit musicrag.gnn.layers.GatLayer"),
        (SAGE, {"num_heads": 2}, "makes no layer"),
        ("musicrag.gnn.layers.NoLayer", {}, "makes no layer"),
        ("musicrag.nowhere.Layer", {}, "makes no layer"),
        ("Layer", {}, "makes no layer"),
        ("os.system", {}, "it is no torch module"),
        (GAT, {"num_heads": 3}, "makes no layer .*num_heads=3"),
    ],
)
def test_layers_that_do_not_fit_are_an_input_error(
    target: str, params: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message.replace(".", r"\.").replace(r"\.*", ".*")):
        freeze(encoder_of(GraphSageLayer), WORLD.graph, target, params)


def test_a_missing_or_damaged_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"network\.safetensors does not exist"):
        load_network(tmp_path)
    save_network(tmp_path, sage())
    whole = (tmp_path / FILE).read_bytes()
    for damaged in (b"", b"no tensors at all", whole[: len(whole) // 2], whole[:-1]):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(InputError, match=r"network\.safetensors is damaged"):
            load_network(tmp_path)
    (tmp_path / FILE).write_bytes(whole.replace(b'"format":"1"', b'"format":"7"'))
    with pytest.raises(InputError, match="has format 7, this version reads 1"):
        load_network(tmp_path)


def test_a_file_of_other_tensors_is_an_input_error(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / FILE)
    with pytest.raises(InputError, match="holds no network"):
        load_network(tmp_path)


def test_parts_that_do_not_belong_together_are_an_input_error(tmp_path: Path) -> None:
    network = sage()
    unknown = replace(network.relations, names=("LIKED", "rev_LIKED"))
    for changed, message in (
        (replace(network, ids=network.ids[:-1]), "do not fit"),
        (replace(network, feature_widths={"lyrics": 2}), "do not fit"),
        (replace(network, num_layers=1), "do not fit"),
        (replace(network, relations=unknown), "LIKED"),
    ):
        save_network(tmp_path, changed)
        with pytest.raises(InputError, match=message):
            load_network(tmp_path)


def test_loading_and_placing_leave_the_random_state_alone(tmp_path: Path) -> None:
    network = sage()
    save_network(tmp_path, network)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    full(load_network(tmp_path), WORLD.graph, FEATURES, ITEMS)
    assert torch.equal(torch.rand(3), expected)
