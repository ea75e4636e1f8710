from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional
from worlds import blocks

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.layers import GatLayer, GcnLayer, GraphSageLayer
from musicrag.gnn.model import GraphEncoder, NodeFeatures
from musicrag.gnn.training import Embeddings, GraphRecommender, Objective, Validate, fit
from musicrag.types import FloatArray

WORLD = blocks()
LAYERS: dict[str, Callable[[int, int], torch.nn.Module]] = {
    "graphsage": GraphSageLayer,
    "gcn": GcnLayer,
    "gat": partial(GatLayer, num_heads=2),
}
CPU = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
every_layer = pytest.mark.parametrize("layer", sorted(LAYERS))
every_loss = pytest.mark.parametrize("loss", ["softmax", "bpr"])


def objective(**changes: object) -> Objective:
    settings: dict[str, object] = {
        "loss": "softmax",
        "temperature": 0.2,
        "num_negatives": 8,
        "batches_per_epoch": 4,
        "lr": 0.02,
        "weight_decay": 1e-6,
        "num_epochs": 8,
        "validate_every": 2,
        "patience": 10,
    }
    return Objective(**{**settings, **changes})  # type: ignore[arg-type]


def rank_of_own_block(profiles: FloatArray, items: FloatArray) -> float:
    """Share of each profile's best unknown items that stand in its block."""
    scores = profiles @ items.T
    scores[WORLD.train.toarray() > 0] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :3]
    return float((WORLD.item_block[best] == WORLD.profile_block[:, None]).mean())


def module(
    layer: str = "graphsage",
    num_layers: int = 1,
    seed: int = 0,
    with_content: bool = True,
    validate: Validate = rank_of_own_block,
    train: sparse.csr_matrix = WORLD.train,
    **changes: object,
) -> GraphRecommender:
    torch.manual_seed(seed)
    content = {"audio": WORLD.features} if with_content else {}
    features = NodeFeatures(WORLD.graph.num_nodes, WORLD.item_nodes, content, 8, WORLD.is_warm)
    adjacency = RelationalAdjacency(WORLD.graph)
    encoder = GraphEncoder(features, adjacency, LAYERS[layer], 8, num_layers, 0.1, 0.5)
    return GraphRecommender(
        encoder, WORLD.profile_nodes, WORLD.item_nodes, train, objective(**changes), validate
    )


def trained(seed: int = 0, precision: str = "32-true", **changes: object) -> Embeddings:
    model = module(seed=seed, **changes)  # type: ignore[arg-type]
    return fit(model, WORLD.train, seed, {**CPU, "precision": precision})


@every_layer
@every_loss
def test_items_of_the_own_block_come_first(layer: str, loss: str) -> None:
    found = trained(layer=layer, loss=loss)
    assert rank_of_own_block(found.profiles, found.items) > 0.9
    assert found.valid_score == pytest.approx(rank_of_own_block(found.profiles, found.items))


@every_loss
def test_matrix_factorisation_learns_without_graph_and_content(loss: str) -> None:
    def share_of_known(profiles: FloatArray, items: FloatArray) -> float:
        best = np.argsort(-profiles @ items.T, axis=1)[:, :5]
        return float(np.take_along_axis(WORLD.train.toarray(), best, axis=1).mean())

    untrained = module(num_layers=0, with_content=False)
    assert share_of_known(*untrained.vectors()[:2]) < 0.5
    found = trained(
        loss=loss, num_layers=0, with_content=False, num_epochs=30, validate=share_of_known
    )
    assert share_of_known(found.profiles, found.items) > 0.9


@every_layer
def test_new_items_are_placed_by_their_content(layer: str) -> None:
    found = trained(layer=layer, num_epochs=20)
    new = np.flatnonzero(~WORLD.is_warm)
    scores = found.profiles @ found.items[new].T
    nearer = WORLD.item_block[new][scores.argmax(axis=1)]
    assert (nearer == WORLD.profile_block).mean() > 0.9


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, again, other = (trained(seed=seed, num_epochs=4) for seed in (3, 3, 4))
    for name in ("profiles", "items", "nodes"):
        assert getattr(one, name).dtype == np.float32
        assert getattr(one, name).tobytes() == getattr(again, name).tobytes()
        assert not np.allclose(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.nodes[WORLD.item_nodes], one.items)
    np.testing.assert_array_equal(one.nodes[WORLD.profile_nodes], one.profiles)


@every_layer
def test_mixed_precision_trains_as_well(layer: str) -> None:
    found = trained(layer=layer, precision="bf16-mixed", num_epochs=4)
    assert np.isfinite(found.nodes).all()
    assert found.nodes.dtype == np.float32


class Scripted:
    """Validation that gives the scores of a list and keeps the vectors it was shown."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores
        self.shown: list[bytes] = []

    def __call__(self, profiles: FloatArray, items: FloatArray) -> float:
        self.shown.append(items.tobytes())
        return self.scores[len(self.shown) - 1]


def test_the_best_epoch_is_returned_and_training_stops_after_patience() -> None:
    validate = Scripted([0.1, 0.2, 0.9, 0.3, 0.9, 0.4, 0.8, 0.99])
    found = trained(validate=validate, num_epochs=8, validate_every=1, patience=3)
    assert len(validate.shown) == 6  # three validations without a better score, then stop
    assert (found.best_epoch, found.valid_score) == (2, pytest.approx(0.9))
    assert found.items.tobytes() == validate.shown[2]
    assert len(set(validate.shown)) == 6


def test_validation_happens_every_so_many_epochs_and_at_least_once() -> None:
    validate = Scripted([0.1, 0.2])
    assert trained(validate=validate, num_epochs=7, validate_every=3).best_epoch == 5
    assert len(validate.shown) == 2
    validate = Scripted([0.5])
    assert trained(validate=validate, num_epochs=2, validate_every=5).best_epoch == 1


def test_known_pairs_are_recognised() -> None:
    drawn = torch.tensor([3, 0, 3, 8, 17, 12])  # repeats and items that nobody knows
    expected = WORLD.train.toarray()[:, drawn.numpy()] > 0
    assert expected.any()
    np.testing.assert_array_equal(module()._known(drawn).numpy(), expected)


def gradient(model: GraphRecommender) -> Tensor:
    """Length of the gradient of every node's id vector after one step."""
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    pairs = WORLD.train.tocoo()
    batch = tuple(torch.from_numpy(part[:20].astype(np.int64)) for part in (pairs.row, pairs.col))
    model.training_step(batch, 0).backward()
    weight = model.encoder.features.ids.weight
    assert weight.grad is not None
    return weight.grad.norm(dim=1)


def test_negatives_are_items_that_somebody_knows() -> None:
    model = module(num_layers=0, with_content=False, num_negatives=500)
    model.encoder.features.has_id.fill_(1.0)  # so that a new item could learn, were it drawn
    model.encoder.dropout = model.encoder.cold_dropout = 0.0
    length = gradient(model)
    assert model.warm.tolist() == np.flatnonzero(WORLD.is_warm).tolist()
    assert not length[WORLD.item_nodes[~WORLD.is_warm]].any()
    assert (length[WORLD.item_nodes[WORLD.is_warm]] > 0).all()


@every_loss
def test_what_a_profile_knows_is_never_its_negative(loss: str) -> None:
    everything = sparse.csr_matrix(np.ones(WORLD.train.shape))
    model = module(loss=loss, train=everything, num_negatives=50)
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    batch = (torch.arange(5), torch.arange(5))
    assert model.training_step(batch, 0).item() == 0.0


def test_losses_equal_their_formulas() -> None:
    positive, negative = torch.randn(4), torch.randn(4, 6)
    negative[1, 2:] = float("-inf")  # known pairs
    negative[3] = float("-inf")
    softmax = module(loss="softmax", temperature=0.5)._loss(positive, negative)
    top = (positive / 0.5).exp()
    expected = -(top / (top + (negative / 0.5).exp().sum(dim=1))).log().mean()
    torch.testing.assert_close(softmax, expected)
    bpr = module(loss="bpr", temperature=0.5)._loss(positive, negative)
    terms = -functional.logsigmoid((positive[:, None] - negative) / 0.5)
    torch.testing.assert_close(bpr, terms[torch.isfinite(negative)].mean())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_layer
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_runs_on_a_gpu(layer: str, precision: str) -> None:
    model = module(layer=layer)
    found = fit(model, WORLD.train, 0, {**CPU, "accelerator": "gpu", "precision": precision})
    assert rank_of_own_block(found.profiles, found.items) > 0.9
