"""One configuration becomes rankings and paths: features, graph network, fusion, evidence."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, Logger

from musicrag.artifacts import Cache, code_hash
from musicrag.contracts import FeatureMatrix
from musicrag.evaluation.metrics import evaluate_ranked
from musicrag.evaluation.ranking import rank_items
from musicrag.experiment.world import World
from musicrag.features.saved import SavedModality
from musicrag.features.standardise import fit_scale
from musicrag.features.taste import TasteSpace, fit_taste_space
from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.model import GraphEncoder, NodeFeatures
from musicrag.gnn.training import Embeddings, GraphRecommender, Objective, fit
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.retrieval.channels import (
    Bm25Channel,
    Channel,
    ContentChannel,
    GraphVectorChannel,
    WalkChannel,
)
from musicrag.retrieval.hybrid import HybridRetriever
from musicrag.schema import GnnConfig, LoggerConfig, RunConfig, TrainerConfig
from musicrag.types import MODALITIES, FloatArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """A trained graph network: its vectors, and the encoder with the weights of its best epoch."""

    embeddings: Embeddings
    encoder: GraphEncoder


def learn_features(config: RunConfig, world: World) -> dict[str, SavedModality]:
    """Encode every modality that is switched on, and find what training profiles agree on."""
    rng = np.random.default_rng(config.split.seed)
    learned: dict[str, SavedModality] = {}
    for modality, raw in encode_features(config, world).items():
        scale = fit_scale(raw)
        space = fit_taste_space(modality, scale.apply(raw), world.split.train, rng)
        learned[modality] = SavedModality(raw, scale, space)
    return learned


def encode_features(config: RunConfig, world: World) -> dict[str, FeatureMatrix]:
    """Encode every modality that is switched on; cached by data and encoder."""
    cache = Cache(Path(config.paths.cache_dir))
    features: dict[str, FeatureMatrix] = {}
    for modality in MODALITIES:
        component = getattr(config.features, modality)
        if component.target is None:
            continue
        encoder = component.build()
        key = {
            "data": world.dataset.content_hash,
            "code": code_hash("musicrag.features"),
            **component.model_dump(),
        }
        matrix = cache.features(key, partial(encoder.encode, world.dataset))
        features[modality] = matrix
        share = float(matrix.present.mean())
        log.info(
            "%s: %s, %d columns, %.0f %% of items",
            modality,
            matrix.encoder,
            matrix.values.shape[1],
            100 * share,
        )
    return features


def hidden_relations(config: RunConfig) -> list[str]:
    """What a system may not use: without emotion it does not know what feels alike."""
    return [] if config.features.emotion.target is not None else ["SIMILAR_MOOD"]


def known_graph(config: RunConfig, world: World) -> KnowledgeGraph:
    """The graph that a system may use.

    The gold paths stay those of the whole graph, so that both arms of an ablation share them.
    """
    return world.graph.without(hidden_relations(config))


def taste_spaces(features: Mapping[str, SavedModality]) -> dict[str, TasteSpace]:
    """The taste space of each modality; modalities that tell nothing fall out."""
    spaces = {modality: learned.space for modality, learned in features.items()}
    return {modality: space for modality, space in spaces.items() if space.num_directions}


def train_gnn(
    config: RunConfig, world: World, spaces: Mapping[str, TasteSpace], folder: Path
) -> Network:
    """Train the graph network; validation is the primary metric over all profiles."""
    gnn = config.gnn
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    if config.trainer.num_threads:
        torch.set_num_threads(config.trainer.num_threads)
    is_warm = np.asarray((world.split.train > 0).sum(axis=0)).ravel() > 0
    inputs = NodeFeatures(
        world.graph.num_nodes,
        world.item_nodes,
        {modality: space.scaled() for modality, space in spaces.items()},
        gnn.embedding_dim,
        is_warm,
    )
    encoder = GraphEncoder(
        inputs,
        RelationalAdjacency(known_graph(config, world)),
        lambda dim, relations: gnn.layer.build(embedding_dim=dim, num_relations=relations),
        gnn.embedding_dim,
        gnn.num_layers,
        gnn.dropout,
        gnn.cold_dropout,
    )
    module = GraphRecommender(
        encoder,
        world.profile_nodes,
        world.item_nodes,
        world.split.train,
        _objective(gnn),
        partial(_validate, world, config.evaluation.primary),
    )
    embeddings = fit(
        module,
        world.split.train,
        config.seed,
        _hardware(config.trainer),
        _logger(config.logger, folder),
    )
    return Network(embeddings, encoder)


def tuned_retriever(
    config: RunConfig,
    world: World,
    spaces: Mapping[str, TasteSpace],
    embeddings: Embeddings | None,
) -> HybridRetriever:
    """The retriever of a system, its fusion tuned on validation."""
    retrieval, evaluation = config.retrieval, config.evaluation
    retriever = HybridRetriever(
        _channels(config, world, spaces, embeddings),
        known_graph(config, world),
        world.item_nodes,
        retrieval.fusion,
        retrieval.num_candidates,
        retrieval.max_hops,
        evaluation.num_paths,
        retrieval.paths_per_item,
    )
    score = partial(world.valid.score, metric=evaluation.primary)
    retriever.tune(world.valid.queries, world.valid.relevance, score, max(evaluation.k))
    return retriever


def _channels(
    config: RunConfig,
    world: World,
    spaces: Mapping[str, TasteSpace],
    embeddings: Embeddings | None,
) -> list[Channel]:
    channels: list[Channel] = []
    for name in config.retrieval.channels:
        if name == "gnn" and embeddings is not None:
            channels.append(GraphVectorChannel(embeddings.profiles, embeddings.items))
        elif name == "content":
            channels += [ContentChannel(modality, space) for modality, space in spaces.items()]
        elif name == "bm25":
            texts = [_text(label, words) for label, words in _texts(config, world)]
            channels.append(Bm25Channel(texts))
        elif name == "walk":
            steps = config.retrieval.max_hops
            channels.append(WalkChannel(known_graph(config, world), world.item_nodes, steps))
    return channels


def _texts(config: RunConfig, world: World) -> list[tuple[str, str]]:
    """Labels and lyrics; lyrics leave the words too where their modality is switched off."""
    has_lyrics = config.features.lyrics.target is not None
    return [
        (label, words if has_lyrics else "")
        for label, words in zip(world.labels, world.lyrics, strict=True)
    ]


def _text(label: str, words: str) -> str:
    return f"{label} {words}".strip()


def _validate(world: World, metric: str, profiles: FloatArray, items: FloatArray) -> float:
    """The primary metric of inner-product ranking on validation items."""
    rows = np.flatnonzero(np.diff(world.split.valid.indptr))
    scores = profiles[rows] @ items.T
    k = int(metric.partition("@")[2])
    ranked = rank_items(scores, world.split.train[rows], min(k, len(items)))
    ids = [str(row) for row in rows]
    return evaluate_ranked(ids, ranked, world.split.valid[rows], [metric]).mean()[metric]


def _objective(gnn: GnnConfig) -> Objective:
    names = Objective.__dataclass_fields__
    return Objective(**{name: getattr(gnn, name) for name in names})


def _hardware(trainer: TrainerConfig) -> dict[str, object]:
    names = ("accelerator", "devices", "num_nodes", "strategy", "precision", "gradient_clip_val")
    chosen: dict[str, object] = {name: getattr(trainer, name) for name in names}
    is_cpu = trainer.accelerator == "cpu"  # a GPU has no repeatable kernel for some operations
    return chosen | {
        "deterministic": True if is_cpu else "warn",
        "enable_progress_bar": trainer.progress_bar and os.isatty(2),
    }


def _logger(logger: LoggerConfig, folder: Path) -> Logger | None:
    if logger.name == "csv":
        return CSVLogger(folder, name="training", version="")
    if logger.name == "wandb":
        from lightning.pytorch.loggers import WandbLogger

        return WandbLogger(
            project=logger.project, offline=logger.mode == "offline", save_dir=folder
        )
    return None
