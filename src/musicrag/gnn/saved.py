"""A trained graph network becomes one file, and back, without its graph and without pickle.

Holds what training learned (weights, id vectors) and what it takes to use it on another graph:
which node each id vector belongs to, which relation each learned scale belongs to, and the class
of its layers. Where the nodes of a grown graph get their vectors is :mod:`musicrag.gnn.placing`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from musicrag.artifacts import atomic_file
from musicrag.gnn.adjacency import Relations
from musicrag.gnn.model import GraphEncoder
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.schema import RELATIONS
from musicrag.types import BoolArray, FloatArray, InputError, Vocabulary

FILE = "network.safetensors"
_FORMAT = "1"
_STATE, _PROJECT = "state.", "features.project.{}.weight"


@dataclass(frozen=True)
class SavedNetwork:
    """A trained encoder apart from its graph.

    Attributes:
        relations: names and units in training order, both directions.
        nodes: ids of the nodes of the training graph by type. Types in alphabetical order and
            their ids in sorted order give the rows of ``ids``.
        ids: id vectors, float32 ``[num_known, embedding_dim]``.
        has_id: False for nodes whose id vector is not used. ``[num_known]``.
        state: weights of layers and projections, under the names that
            :class:`~musicrag.gnn.model.GraphEncoder` gives them.
        layer_target: class path of a layer, such as ``musicrag.gnn.layers.GatLayer``.
        layer_params: its constructor arguments, other than width and number of relations.
        embedding_dim: width of every vector.
        num_layers: propagation steps.
        feature_widths: columns of each modality's item features, in training order.
    """

    relations: Relations
    nodes: Mapping[str, Vocabulary]
    ids: FloatArray
    has_id: BoolArray
    state: Mapping[str, Tensor]
    layer_target: str
    layer_params: Mapping[str, object]
    embedding_dim: int
    num_layers: int
    feature_widths: Mapping[str, int]

    def make_layer(self, embedding_dim: int, num_relations: int) -> nn.Module:
        """An untrained layer; leaves the global random state as it is.

        Raises:
            InputError: the class path leads to no layer, or it refuses the arguments.
        """
        module, _, name = self.layer_target.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
            if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
                raise TypeError("it is no torch module")
            with torch.random.fork_rng(devices=[]):
                return kind(embedding_dim, num_relations, **self.layer_params)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.layer_target!r} with {dict(self.layer_params)} makes no layer ({error}). "
                "Give the class path and arguments that the network was trained with."
            ) from error


def freeze(
    encoder: GraphEncoder,
    graph: KnowledgeGraph,
    layer_target: str,
    layer_params: Mapping[str, object],
) -> SavedNetwork:
    """Copy what an encoder has learned; training it further does not change the copy.

    After :func:`musicrag.gnn.training.fit` the encoder holds the weights of the best epoch.

    Args:
        encoder: a trained encoder.
        graph: the graph whose nodes it was trained on.
        layer_target: class path of its layers.
        layer_params: arguments of its layers, other than width and number of relations.

    Raises:
        InputError: the graph has other nodes, or such layers have other weights.
    """
    features = encoder.features
    num_known, embedding_dim = features.ids.weight.shape
    state = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in encoder.state_dict().items()
        if name.startswith(("layers.", "features.project."))
    }
    network = SavedNetwork(
        encoder.adjacency.relations,
        graph.nodes,
        features.ids.weight.detach().cpu().numpy().copy(),
        features.has_id.squeeze(1).cpu().numpy() > 0,
        state,
        layer_target,
        dict(layer_params),
        embedding_dim,
        len(encoder.layers),
        {name: cast(nn.Linear, part).in_features for name, part in features.project.items()},
    )
    if num_known != graph.num_nodes:
        raise InputError(
            f"The encoder knows {num_known} nodes, the graph has {graph.num_nodes}. Give the "
            "graph that it was trained on."
        )
    _check(network)
    return network


def save_network(folder: Path, network: SavedNetwork) -> None:
    """Write one file below ``folder``; it replaces an older one whole, or not at all."""
    ids = {node_type: list(vocabulary.ids) for node_type, vocabulary in network.nodes.items()}
    # Ids of millions of nodes would not fit into the header of a safetensors file.
    nodes = np.frombuffer(json.dumps(ids, ensure_ascii=False).encode(), dtype=np.uint8).copy()
    description = {
        "relations": list(network.relations.names),
        "units": list(network.relations.units),
        "layer_target": network.layer_target,
        "layer_params": dict(network.layer_params),
        "embedding_dim": network.embedding_dim,
        "num_layers": network.num_layers,
        "feature_widths": list(network.feature_widths.items()),  # an order that JSON keeps
    }
    tensors = {
        "ids": torch.from_numpy(network.ids),
        "has_id": torch.from_numpy(network.has_id),
        "nodes": torch.from_numpy(nodes),
        **{_STATE + name: tensor for name, tensor in network.state.items()},
    }
    with atomic_file(folder / FILE) as path:
        about = {"format": _FORMAT, "network": json.dumps(description, allow_nan=False)}
        save_file(tensors, path, metadata=about)


def load_network(folder: Path) -> SavedNetwork:
    """Inverse of :func:`save_network`.

    Raises:
        InputError: the file does not exist, is damaged, or comes from another version.
    """
    source = folder / FILE
    if not source.is_file():
        raise InputError(f"{source} does not exist. Train and save a network first.")
    advice = "Delete it, then train and save the network again."
    try:
        with safe_open(source, framework="pt") as handle:
            about = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        found = about["format"]
        network = _network(json.loads(about["network"]), tensors) if found == _FORMAT else None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source} is damaged or holds no network ({error}). {advice}") from error
    if network is None:
        raise InputError(f"{source} has format {found}, this version reads {_FORMAT}. {advice}")
    _check(network)
    return network


def _network(about: Mapping[str, object], tensors: Mapping[str, Tensor]) -> SavedNetwork:
    nodes = json.loads(tensors["nodes"].numpy().tobytes())
    names = tuple(str(name) for name in cast(list[str], about["relations"]))
    units = tuple(float(unit) for unit in cast(list[float], about["units"]))
    state = {
        name.removeprefix(_STATE): tensor
        for name, tensor in tensors.items()
        if name.startswith(_STATE)
    }
    return SavedNetwork(
        Relations(names, units),
        {str(node_type): Vocabulary(ids) for node_type, ids in sorted(nodes.items())},
        tensors["ids"].numpy(),
        tensors["has_id"].numpy(),
        state,
        str(about["layer_target"]),
        cast(dict[str, object], about["layer_params"]),
        int(cast(int, about["embedding_dim"])),
        int(cast(int, about["num_layers"])),
        {str(name): int(n) for name, n in cast(list[tuple[str, int]], about["feature_widths"])},
    )


def _check(network: SavedNetwork) -> None:
    """Raise :class:`InputError` unless the parts belong together."""
    unknown = [n for n in network.relations.names if n.removeprefix("rev_") not in RELATIONS]
    if unknown or len(network.relations.names) != len(network.relations.units):
        raise InputError(f"The network's relations do not belong to this version: {unknown}.")
    num_known = sum(len(vocabulary) for vocabulary in network.nodes.values())
    dim = network.embedding_dim
    wanted = {"ids": (num_known, dim), "has_id": (num_known,)}
    found = {"ids": network.ids.shape, "has_id": network.has_id.shape}
    for modality, width in network.feature_widths.items():
        wanted[_PROJECT.format(modality)] = (dim, width)
    for place in range(network.num_layers):
        layer = network.make_layer(dim, len(network.relations.names))
        weights = layer.state_dict().items()
        wanted |= {f"layers.{place}.{name}": tuple(tensor.shape) for name, tensor in weights}
    found |= {name: tuple(tensor.shape) for name, tensor in network.state.items()}
    if found != wanted:
        wrong = sorted(set(found.items()) ^ set(wanted.items()))[:4]
        raise InputError(
            f"The weights of the network do not fit {network.layer_target} with "
            f"{dict(network.layer_params)}, such as {wrong}. Give the class path and arguments "
            "that it was trained with."
        )
