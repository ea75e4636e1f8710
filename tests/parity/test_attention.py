"""Our attention equals PyG's message passing, outputs and every gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from worlds import graph_of

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.layers import GatLayer

DIM = 8


def random_adjacency(seed: int, num_edges: int) -> RelationalAdjacency:
    """Users, songs and artists; some nodes have no edge at all."""
    rng = np.random.default_rng(seed)
    rows = {
        (f"User:{rng.integers(8)}", "LISTENED", f"Song:{rng.integers(12)}")
        for _ in range(num_edges)
    } | {
        (f"Song:{rng.integers(12)}", "PERFORMED_BY", f"Artist:{rng.integers(4)}")
        for _ in range(num_edges // 2)
    }
    weighted = [(*row, float(rng.uniform(0.1, 3))) for row in sorted(rows)]
    nodes = [*(f"Song:{i}" for i in range(13)), *(f"User:{i}" for i in range(9))]
    return RelationalAdjacency(graph_of(weighted, nodes))


def gradients(output: Tensor, inputs: list[Tensor], seed: int) -> tuple[Tensor, ...]:
    weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed))
    return torch.autograd.grad((output * weight).sum(), inputs)


@pytest.mark.parametrize("num_edges", [0, 1, 40, 120])
@pytest.mark.parametrize("num_heads", [1, 2, 4])
@pytest.mark.parametrize("is_masked", [False, True])
def test_outputs_and_gradients_equal_message_passing(
    num_edges: int, num_heads: int, is_masked: bool
) -> None:
    adjacency = random_adjacency(num_edges + num_heads, num_edges)
    torch.manual_seed(num_edges)
    layer = GatLayer(DIM, adjacency.num_relations, num_heads)
    torch.nn.init.normal_(layer.attend.bias)
    x = torch.randn(adjacency.num_nodes, DIM, requires_grad=True)
    seen = (torch.rand(adjacency.num_nodes, 1) < 0.6).float() if is_masked else None
    inputs = [x, *layer.parameters()] if num_edges else [x, layer.attend.lin.weight]
    ours, theirs = layer(x, adjacency, seen), layer.by_messages(x, adjacency, seen)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    found, expected = (gradients(output, inputs, seed=1) for output in (ours, theirs))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_same_input_gives_the_same_bytes() -> None:
    adjacency = random_adjacency(0, 120)
    layer = GatLayer(DIM, adjacency.num_relations)
    x = torch.randn(adjacency.num_nodes, DIM, requires_grad=True)
    once, twice = (gradients(layer(x, adjacency), list(layer.parameters()), 2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))
