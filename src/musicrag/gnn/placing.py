"""A trained network gives vectors to the nodes of a graph that has grown, without training.

New nodes have no id vector: a song is placed by its features and by its edges to nodes that are
known, which training practised on songs treated as new. Only the nodes that the asked ones can
hear are computed. Knows nothing of losses or ranking.

Source: Hamilton et al. 2017, inductive representation learning (GraphSAGE, section 3.1).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.model import GraphEncoder, NodeFeatures
from musicrag.gnn.saved import SavedNetwork
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.types import BoolArray, FloatArray, InputError, IntArray, Vocabulary

log = logging.getLogger(__name__)

Items = Vocabulary | Sequence[str]
"""Item ids, row i of the item features = item i."""


def place(
    network: SavedNetwork,
    graph: KnowledgeGraph,
    item_features: Mapping[str, FloatArray],
    items: Items,
    nodes: IntArray,
) -> FloatArray:
    """Vectors of some nodes, equal (up to rounding) to their rows of :func:`full`.

    Nodes that the network was not trained on have no id vector; relations that it does not know
    are left out. Computes no more than the neighbourhood of ``num_layers`` hops.

    Args:
        network: what training learned.
        graph: the graph as it is now: with more or fewer nodes and edges than in training.
        item_features: rows by modality as in training (``TasteSpace.scaled()``), float32
            ``[num_items, d]``, zero where absent; rows of far items are not looked at.
        items: ids of these rows; every one is a node of the graph.
        nodes: global indices in ``graph``, in any order. Shape ``[n]``.

    Returns:
        Unit-length rows, float32 ``[n, embedding_dim]``.

    Raises:
        InputError: an item or node that the graph has not, or features of another kind or width
            than in training.
    """
    started = time.perf_counter()
    item_nodes = _item_nodes(network, graph, item_features, items)
    _check_nodes(graph, nodes)
    whole = RelationalAdjacency(graph, network.relations)
    adjacency, kept = whole.around(nodes, network.num_layers)
    vectors = _vectors(network, graph, adjacency, kept, item_features, item_nodes)
    log.info(
        "gnn: %d nodes placed by way of %d of %d in %.2f s",
        *(len(nodes), len(kept), graph.num_nodes, time.perf_counter() - started),
    )
    found: FloatArray = vectors[np.searchsorted(kept, nodes)]
    return found


def full(
    network: SavedNetwork,
    graph: KnowledgeGraph,
    item_features: Mapping[str, FloatArray],
    items: Items,
) -> FloatArray:
    """Vectors of all nodes: on the graph of the training, those of the trained encoder.

    Arguments and errors as in :func:`place`. Shape ``[num_nodes, embedding_dim]``.
    """
    item_nodes = _item_nodes(network, graph, item_features, items)
    adjacency = RelationalAdjacency(graph, network.relations)
    everything = np.arange(graph.num_nodes)
    return _vectors(network, graph, adjacency, everything, item_features, item_nodes)


def affected(
    network: SavedNetwork,
    graph: KnowledgeGraph,
    changed: IntArray,
    num_hops: int | None = None,
) -> IntArray:
    """Nodes whose vector may be another after a change; no other has to be computed anew.

    Args:
        network: what training learned.
        graph: the graph after the change.
        changed: global indices of new nodes, of items whose features are others, and of both ends
            of every edge that came, went or has another weight.
        num_hops: how far a change is followed; None follows it as far as it can be heard, which
            is ``num_layers``. One hop less is as exact for GraphSAGE and GAT, unless features of
            a known item changed; for GCN, whose senders are divided by their degree, it is not.

    Returns:
        Global indices, ascending.
    """
    _check_nodes(graph, changed)
    hops = network.num_layers if num_hops is None else num_hops
    # Every relation is there in both directions, so who hears a node is whom it hears.
    return RelationalAdjacency(graph, network.relations).reached(changed, hops)


def _vectors(
    network: SavedNetwork,
    graph: KnowledgeGraph,
    adjacency: RelationalAdjacency,
    kept: IntArray,
    item_features: Mapping[str, FloatArray],
    item_nodes: IntArray,
) -> FloatArray:
    """Output of the encoder over the nodes ``kept``, which ``adjacency`` joins."""
    local = np.full(graph.num_nodes, -1, dtype=np.int64)
    local[kept] = np.arange(len(kept))
    rows = np.flatnonzero(local[item_nodes] >= 0)
    dim = network.embedding_dim
    content = {name: _rows(item_features[name], rows) for name in network.feature_widths}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        inputs = NodeFeatures(
            len(kept), local[item_nodes[rows]], content, dim, np.ones(len(rows), dtype=bool)
        )
        layers = network.num_layers
        encoder = GraphEncoder(inputs, adjacency, network.make_layer, dim, layers, 0.0, 0.0)
        ids, has_id = _ids(network, graph, kept)
        learned = {
            **network.state,
            "features.ids.weight": torch.from_numpy(ids),
            "features.has_id": torch.from_numpy(has_id.astype(np.float32)[:, None]),
        }
        encoder.load_state_dict({**encoder.state_dict(), **learned})
        vectors: FloatArray = encoder.eval()().numpy()
    return vectors


def _rows(features: FloatArray, rows: IntArray) -> FloatArray:
    return np.ascontiguousarray(features[rows], dtype=np.float32)


def _ids(
    network: SavedNetwork, graph: KnowledgeGraph, kept: IntArray
) -> tuple[FloatArray, BoolArray]:
    """Id vectors of nodes, zero for those that training did not know, and whether they count."""
    row = np.full(len(kept), -1, dtype=np.int64)  # of network.ids; -1: unknown
    first = 0
    for node_type, known in network.nodes.items():
        vocabulary = graph.nodes.get(node_type, Vocabulary([]))
        offset = graph.offsets.get(node_type, 0)
        begin, end = np.searchsorted(kept, [offset, offset + len(vocabulary)])
        for node in range(begin, end):
            raw = vocabulary.ids[kept[node] - offset]
            if raw in known:
                row[node] = first + known.idx(raw)
        first += len(known)
    is_known = row >= 0
    ids = np.zeros((len(kept), network.embedding_dim), dtype=np.float32)
    ids[is_known] = network.ids[row[is_known]]
    has_id = np.zeros(len(kept), dtype=bool)
    has_id[is_known] = network.has_id[row[is_known]]
    return ids, has_id


def _item_nodes(
    network: SavedNetwork,
    graph: KnowledgeGraph,
    item_features: Mapping[str, FloatArray],
    items: Items,
) -> IntArray:
    """Global node of each item, after a check that the features are those of the training."""
    widths = {name: rows.shape for name, rows in item_features.items()}
    wanted = {name: (len(items), width) for name, width in network.feature_widths.items()}
    if widths != wanted:
        raise InputError(
            f"Item features have the shapes {widths}, but the network needs {wanted}. Give the "
            "modalities that it was trained with, a row for each item."
        )
    ids = items.ids if isinstance(items, Vocabulary) else items
    if len(set(ids)) != len(ids):
        raise InputError("Item features hold an item twice. Give one row for each item.")
    vocabulary = graph.nodes.get(graph.item_type, Vocabulary([]))
    nodes: IntArray = graph.offsets.get(graph.item_type, 0) + vocabulary.encode(ids)
    return nodes


def _check_nodes(graph: KnowledgeGraph, nodes: IntArray) -> None:
    outside = nodes[(nodes < 0) | (nodes >= graph.num_nodes)]
    if len(outside):
        raise InputError(
            f"Node {outside[0]} is not in the graph of {graph.num_nodes} nodes. Give global "
            "indices as KnowledgeGraph.index gives them."
        )
