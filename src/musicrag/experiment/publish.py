"""A trained system becomes a collection: a folder that answers, and takes in new songs."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from musicrag.collection.contents import Contents, EncoderSpec, GraphSettings, RetrievalSettings
from musicrag.collection.folder import Collection
from musicrag.experiment.system import (
    Network,
    hidden_relations,
    learn_features,
    taste_spaces,
    train_gnn,
    tuned_retriever,
)
from musicrag.experiment.world import World, build_world
from musicrag.features.saved import SavedModality
from musicrag.gnn.saved import SavedNetwork, freeze
from musicrag.graph.rows import GraphRows, canonical
from musicrag.graph.schema import RELATIONS
from musicrag.retrieval.hybrid import HybridRetriever
from musicrag.schema import Component, RunConfig

log = logging.getLogger(__name__)


def publish(config: RunConfig, folder: Path) -> Collection:
    """Train the system of a configuration and keep it below ``folder``.

    It holds what training saw and nothing of the held-out rows, so it can still be evaluated.

    Raises:
        InputError: the folder holds something else, or the data cannot be used.
    """
    Collection.require_new(folder)
    world = build_world(config)
    features = learn_features(config, world)
    spaces = taste_spaces(features)
    network = None
    if "gnn" in config.retrieval.channels:
        with tempfile.TemporaryDirectory() as scratch:
            network = train_gnn(config, world, spaces, Path(scratch))
    embeddings = network.embeddings if network else None
    retriever = tuned_retriever(config, world, spaces, embeddings)
    return Collection.create(folder, _contents(config, world, features, network, retriever))


def _contents(
    config: RunConfig,
    world: World,
    features: dict[str, SavedModality],
    network: Network | None,
    retriever: HybridRetriever,
) -> Contents:
    retrieval = config.retrieval
    rows, graph = _known(config, world)
    return Contents(
        name=world.dataset.name,
        item_type=world.dataset.item_type,
        tables=world.tables,
        rows=rows,
        encoders={modality: _spec(config, modality) for modality in features},
        features=features,
        network=_frozen(config, world, network) if network else None,
        vectors=network.embeddings.nodes if network else None,
        graph=graph,
        retrieval=RetrievalSettings(
            tuple(retrieval.channels),
            retrieval.fusion,
            retrieval.num_candidates,
            retrieval.max_hops,
            retrieval.paths_per_item,
        ),
        fusion_weights=retriever.report(),
    )


def _known(config: RunConfig, world: World) -> tuple[GraphRows, GraphSettings]:
    """The graph that the system knew, and how it grows; see ``system.hidden_relations``."""
    hidden, graph = hidden_relations(config), config.graph
    edges = world.rows.edges
    rows = canonical(world.rows.item_type, world.rows.nodes, edges[~edges["relation"].isin(hidden)])
    stated = graph.relations if graph.relations is not None else list(RELATIONS)
    return rows, GraphSettings(
        tuple(name for name in stated if name not in hidden) if hidden else _tuple(graph.relations),
        graph.min_tag_items,
        graph.num_cooccurring,
        0 if "SIMILAR_MOOD" in hidden else graph.num_similar_mood,
    )


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _spec(config: RunConfig, modality: str) -> EncoderSpec:
    component: Component = getattr(config.features, modality)
    return EncoderSpec(component.name, component.target or "", component.params)


def _frozen(config: RunConfig, world: World, network: Network) -> SavedNetwork:
    layer = config.gnn.layer
    return freeze(network.encoder, world.graph, layer.target or "", layer.params)
