"""Layers against PyG's with copied weights, and against plain dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from worlds import Row, graph_of, rows_of

from musicrag.gnn.adjacency import Norm, RelationalAdjacency
from musicrag.gnn.layers import GatLayer, GcnLayer, GraphSageLayer
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.schema import RELATIONS
from musicrag.types import InputError, Node

DIM = 6


def directed(weighted: bool, symmetric: bool = False) -> KnowledgeGraph:
    """One relation among users; ``symmetric`` stores each edge in both directions."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for a in range(9):
        for b in range(9):
            if a != b and rng.random() < 0.3 and (not symmetric or a < b):
                weight = float(np.float32(rng.uniform(0.2, 3.0))) if weighted else 1.0
                rows.append((f"User:{a}", "KNOWS", f"User:{b}", weight))
                if symmetric:
                    rows.append((f"User:{b}", "KNOWS", f"User:{a}", weight))
    return graph_of(rows, ["User:lonely"])


TYPED = graph_of(
    [
        ("User:u1", "LISTENED", "Song:s1", 1.0),
        ("User:u1", "LISTENED", "Song:s2", 1.0),
        ("User:u2", "LISTENED", "Song:s1", 1.0),
        ("User:u2", "LISTENED", "Song:s3", 1.0),
        ("Song:s1", "IN_PLAYLIST", "Playlist:p", 1.0),
        ("Song:s1", "PERFORMED_BY", "Artist:a", 1.0),
        ("Song:s2", "PERFORMED_BY", "Artist:a", 1.0),
        ("Song:s1", "HAS_GENRE", "Genre:g", 1.0),
    ]
)
UNSEEN = {"Song:s1"}


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights everywhere, so that no parameter hides behind its initial value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


def inputs(graph: KnowledgeGraph) -> Tensor:
    return torch.randn(graph.num_nodes, DIM, generator=torch.Generator().manual_seed(1))


def edges_of(graph: KnowledgeGraph, relation: str) -> tuple[Tensor, Tensor]:
    part = graph.edges[relation]
    return torch.from_numpy(np.stack([part.source, part.target])), torch.from_numpy(part.weight)


def only_forward(layer: GraphSageLayer | GcnLayer) -> None:
    with torch.no_grad():
        layer.scale.copy_(torch.tensor([1.0, 0.0]))  # the relation, and no rev_ of it


def seen_mask(graph: KnowledgeGraph) -> Tensor:
    seen = torch.ones(graph.num_nodes, 1)
    seen[[graph.index(Node.parse(node)) for node in UNSEEN]] = 0.0
    return seen


def test_graphsage_equals_pyg_sageconv() -> None:
    graph = directed(weighted=False)
    layer = filled(GraphSageLayer(DIM, 2))
    only_forward(layer)
    reference = SAGEConv(DIM, DIM, aggr="mean")
    with torch.no_grad():
        reference.lin_l.weight.copy_(layer.neighbours.weight)
        reference.lin_l.bias.copy_(layer.neighbours.bias + layer.own.bias)
        reference.lin_r.weight.copy_(layer.own.weight)
    x = inputs(graph)
    found = layer(x, RelationalAdjacency(graph))
    torch.testing.assert_close(found, reference(x, edges_of(graph, "KNOWS")[0]))


def test_graphsage_weighs_the_mean_by_edge_weights() -> None:
    graph = directed(weighted=True)
    adjacency = RelationalAdjacency(graph)
    dense = torch.zeros(graph.num_nodes, graph.num_nodes)
    (source, target), weight = edges_of(graph, "KNOWS")
    dense[target, source] = weight
    dense /= dense.sum(dim=1, keepdim=True).clamp(min=1e-9)
    x, only_this = inputs(graph), torch.tensor([1.0, 0.0])
    torch.testing.assert_close(adjacency.relation_sum(x, only_this, "mean", None), dense @ x)


@pytest.mark.parametrize("weighted", [False, True])
def test_gcn_equals_pyg_gcnconv_and_a_self_term(weighted: bool) -> None:
    graph = directed(weighted, symmetric=True)
    layer = filled(GcnLayer(DIM, 2))
    only_forward(layer)
    reference = GCNConv(DIM, DIM, add_self_loops=False, normalize=True)
    with torch.no_grad():
        reference.lin.weight.copy_(layer.linear.weight)
        reference.bias.copy_(layer.linear.bias)
    x = inputs(graph)
    expected = reference(x, *edges_of(graph, "KNOWS")) + x @ layer.linear.weight.T
    torch.testing.assert_close(layer(x, RelationalAdjacency(graph)), expected)


def test_gcn_over_both_directions_of_a_bipartite_relation_equals_pyg() -> None:
    rows = [("User:u1", "Song:s1", 2.0), ("User:u1", "Song:s2", 0.5), ("User:u2", "Song:s1", 1.0)]
    graph = graph_of([(a, "LISTENED", b, weight) for a, b, weight in rows])
    layer = filled(GcnLayer(DIM, 2))
    with torch.no_grad():
        layer.scale.fill_(1.0)
    reference = GCNConv(DIM, DIM, add_self_loops=False, normalize=True)
    with torch.no_grad():
        reference.lin.weight.copy_(layer.linear.weight)
        reference.bias.copy_(layer.linear.bias)
    x = inputs(graph)
    ends, weight = edges_of(graph, "LISTENED")
    both = torch.cat([ends, ends.flip(0)], dim=1), torch.cat([weight, weight])
    expected = reference(x, *both) + x @ layer.linear.weight.T
    torch.testing.assert_close(layer(x, RelationalAdjacency(graph)), expected)


def test_gat_equals_pyg_gatconv_with_relation_and_weight_as_edge_features() -> None:
    graph = graph_of(
        [
            *rows_of(TYPED),
            ("User:u1", "KNOWS", "User:u2", 3.0),
            ("User:u2", "KNOWS", "User:u3", 1.0),
        ]
    )
    adjacency = RelationalAdjacency(graph)
    layer = filled(GatLayer(DIM, adjacency.num_relations))
    reference = GATConv(DIM, DIM // 2, heads=2, edge_dim=9, residual=True)
    reference.load_state_dict(layer.attend.state_dict())
    ends, features = [], []
    for name in sorted(graph.edges, reverse=True):  # another order than the layer's
        index, weight = edges_of(graph, name)
        for place, way in ((0, index), (1, index.flip(0))):
            kind = layer.relation.weight[adjacency.names.index("rev_" * place + name)]
            ends.append(way)
            features += [torch.cat([kind, w[None]]) for w in weight / weight.mean()]
    x = inputs(graph)
    expected = reference(x, torch.cat(ends, dim=1), torch.stack(features))
    torch.testing.assert_close(layer(x, adjacency), expected)


def test_gat_refuses_a_width_that_its_heads_cannot_share() -> None:
    with pytest.raises(InputError, match=r"embedding_dim=7 .*num_heads=2"):
        GatLayer(7, 2, num_heads=2)


@pytest.mark.parametrize("norm", ["mean", "symmetric"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_the_relation_sum_are_right(norm: Norm, masked: bool) -> None:
    adjacency = RelationalAdjacency(TYPED)
    seen = seen_mask(TYPED).double() if masked else None
    x = inputs(TYPED).double().requires_grad_()
    scale = torch.linspace(
        0.5, 2.0, adjacency.num_relations, dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(
        lambda value, weight: adjacency.relation_sum(value, weight, norm, seen), (x, scale)
    )


def dense_relation_sum(
    graph: KnowledgeGraph, layer: GraphSageLayer | GcnLayer, x: Tensor, seen: Tensor | None
) -> Tensor:
    """The sum over relations in dense algebra, straight from the edges."""
    adjacency = RelationalAdjacency(graph)
    norm = "mean" if isinstance(layer, GraphSageLayer) else "symmetric"
    total = torch.zeros_like(x)
    for place, name in enumerate(adjacency.names):
        (source, target), weight = edges_of(graph, name.removeprefix("rev_"))
        if name.startswith("rev_"):
            source, target = target, source
        dense = torch.zeros(graph.num_nodes, graph.num_nodes)
        dense[target, source] = weight
        into, out_of = dense.sum(dim=1, keepdim=True), dense.sum(dim=0, keepdim=True)
        scale = into if norm == "mean" else (into * out_of).sqrt()
        dense = torch.where(dense > 0, dense / scale, 0.0)
        if seen is not None and name.removeprefix("rev_") in ("LISTENED", "IN_PLAYLIST"):
            dense = dense * seen * seen.T
        total = total + layer.scale[place] * (dense @ x)
    return total


@pytest.mark.parametrize("kind", [GraphSageLayer, GcnLayer])
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_and_gradients_equal_dense_algebra(
    kind: type[GraphSageLayer] | type[GcnLayer], masked: bool
) -> None:
    adjacency = RelationalAdjacency(TYPED)
    layer = filled(kind(DIM, adjacency.num_relations))
    seen = seen_mask(TYPED) if masked else None
    sparse_x, dense_x = (inputs(TYPED).requires_grad_() for _ in range(2))
    found = layer(sparse_x, adjacency, seen)
    mixed = dense_relation_sum(TYPED, layer, dense_x, seen)
    if isinstance(layer, GraphSageLayer):
        expected = layer.own(dense_x) + layer.neighbours(mixed)
    else:
        expected = layer.linear(dense_x + mixed)
    torch.testing.assert_close(found, expected)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    parameters = list(layer.parameters())
    ours = torch.autograd.grad((found * pull).sum(), [sparse_x, *parameters])
    reference = torch.autograd.grad((expected * pull).sum(), [dense_x, *parameters])
    for one, other in zip(ours, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_gat_with_unseen_items_equals_the_graph_without_their_listeners() -> None:
    rows = [row for row in rows_of(TYPED) if row[1] != "IN_PLAYLIST"]
    full = graph_of([*rows, ("Song:s2", "IN_PLAYLIST", "Playlist:p", 1.0)])
    cut_rows = [
        row for row in rows_of(full) if row[1] != "LISTENED" or not {row[0], row[2]} & UNSEEN
    ]
    cut = graph_of(cut_rows, [str(full.node(n)) for n in range(full.num_nodes)])
    adjacency = RelationalAdjacency(full)
    layer = filled(GatLayer(DIM, adjacency.num_relations))
    x = inputs(full)
    found = layer(x, adjacency, seen_mask(full))
    torch.testing.assert_close(found, layer(x, RelationalAdjacency(cut)))
    assert not torch.allclose(found, layer(x, adjacency))


@pytest.mark.parametrize("kind", [GraphSageLayer, GcnLayer, GatLayer])
def test_unseen_items_speak_over_content_edges_only(kind: type[nn.Module]) -> None:
    adjacency = RelationalAdjacency(TYPED)
    layer = filled(kind(DIM, adjacency.num_relations))
    x, changed = inputs(TYPED), inputs(TYPED)
    song = TYPED.index(Node("Song", "s1"))
    changed[song] += 5.0
    seen = seen_mask(TYPED)
    moved = ((layer(x, adjacency, seen) - layer(changed, adjacency, seen)).abs() > 1e-6).any(dim=1)
    heard = {str(TYPED.node(int(n))) for n in torch.nonzero(moved)}
    assert heard == {"Song:s1", "Artist:a", "Genre:g"}  # no user, no playlist
    if kind is not GatLayer:  # attention would move its neighbours too, by the softmax
        changed = inputs(TYPED)
        changed[TYPED.index(Node("User", "u1"))] += 5.0
        gap = layer(x, adjacency, seen)[song] - layer(changed, adjacency, seen)[song]
        assert gap.abs().max() < 1e-6


def test_a_mask_of_ones_changes_nothing() -> None:
    adjacency = RelationalAdjacency(TYPED)
    x, seen = inputs(TYPED), torch.ones(TYPED.num_nodes, 1)
    for kind in (GraphSageLayer, GcnLayer, GatLayer):
        layer = filled(kind(DIM, adjacency.num_relations))
        torch.testing.assert_close(layer(x, adjacency, seen), layer(x, adjacency))


def test_interaction_relations_are_those_of_listeners() -> None:
    rows: list[Row] = []
    for name, relation in RELATIONS.items():
        a, b = (f"{end}:{place}" for place, end in enumerate(relation.pairs[-1]))
        rows.append((a, name, b, 1.0))
    adjacency = RelationalAdjacency(graph_of(rows))
    made = {
        name
        for name, is_made in zip(adjacency.names, adjacency.is_interaction, strict=True)
        if is_made
    }
    forward = {"LISTENED", "IN_PLAYLIST", "CO_OCCURS"}
    assert made == forward | {f"rev_{name}" for name in forward}


def test_units_of_a_relation_do_not_matter() -> None:
    graph, scaled = directed(weighted=True), directed(weighted=True)
    scaled = graph_of([(a, name, b, 100 * w) for a, name, b, w in rows_of(graph)], ["User:lonely"])
    x = inputs(graph)
    for kind in (GraphSageLayer, GcnLayer, GatLayer):
        layer = filled(kind(DIM, 2))
        one, other = (layer(x, RelationalAdjacency(g)) for g in (graph, scaled))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_graph_without_edges_propagates_nothing() -> None:
    graph = graph_of([], ["Song:a", "User:u"])
    adjacency = RelationalAdjacency(graph)
    x = inputs(graph)
    assert adjacency.num_relations == 0
    for kind in (GraphSageLayer, GcnLayer, GatLayer):
        assert filled(kind(DIM, 0))(x, adjacency).shape == x.shape


def test_matrices_are_made_once_for_each_norm() -> None:
    adjacency, device = RelationalAdjacency(TYPED), torch.device("cpu")
    once = adjacency.matrices("mean", device)
    assert adjacency.matrices("mean", device) is once
    assert adjacency.matrices("symmetric", device) is not once
