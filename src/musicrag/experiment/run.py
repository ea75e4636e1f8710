"""The story of one run: data, split, features, graph, network, retrieval, metrics, files."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from musicrag.artifacts import atomic_folder, write_parquet
from musicrag.contracts import Generator, Ranking
from musicrag.experiment.baselines import evaluate_baselines
from musicrag.experiment.outputs import (
    SYSTEM,
    is_finished,
    run_folder,
    write_config,
    write_manifest,
    write_rankings,
    write_texts,
)
from musicrag.experiment.results import evaluate_answers, metric_names
from musicrag.experiment.system import (
    learn_features,
    taste_spaces,
    train_gnn,
    tuned_retriever,
)
from musicrag.experiment.world import World, build_world, open_dataset
from musicrag.schema import RunConfig

log = logging.getLogger(__name__)


def run(config: RunConfig) -> Path:
    """Do one run, unless it is already finished; return its folder.

    The folder appears in one step at the end: a killed run leaves nothing that looks finished.
    """
    dataset = open_dataset(config)
    folder = run_folder(config, dataset)
    if is_finished(folder):
        log.info("already finished: %s", folder)
        return folder
    started = time.perf_counter()
    world = build_world(config)
    features = learn_features(config, world)
    spaces = taste_spaces(features)
    with atomic_folder(folder) as draft:
        embeddings = None
        if "gnn" in config.retrieval.channels:
            embeddings = train_gnn(config, world, spaces, draft).embeddings
        retriever = tuned_retriever(config, world, spaces, embeddings)
        rankings = retriever.retrieve(world.test.queries, config.evaluation.depth)
        write_rankings(draft, rankings, world.dataset.items.ids)
        _write_texts(config, world, rankings, draft)
        scored, counts = evaluate_answers(SYSTEM, rankings, world, config.evaluation)
        compared, settings = evaluate_baselines(config, world, metric_names(config.evaluation))
        write_parquet(draft / "per_query.parquet", pd.concat([scored, compared]))
        write_config(draft, config)
        facts = {
            "encoders": {modality: learned.raw.encoder for modality, learned in features.items()},
            "taste_directions": {name: space.num_directions for name, space in spaces.items()},
            "fusion_weights": retriever.report(),
            "gnn_best_epoch": embeddings.best_epoch if embeddings else None,
            "baselines": settings,
            "split": dict(world.split.report),
            "rejects": len(dataset.rejects),
            **counts,
        }
        write_manifest(draft, config, dataset, facts)
    log.info("finished in %.1f s: %s", time.perf_counter() - started, folder)
    return folder


def _write_texts(
    config: RunConfig, world: World, rankings: Sequence[Ranking], folder: Path
) -> None:
    """Word the recommendations, if a generator is chosen."""
    if config.generator.target is None:
        return
    generator: Generator = config.generator.build(
        graph=world.graph, item_ids=world.dataset.items.ids
    )
    queries = {query.query_id: query for query in world.test.queries}
    texts = {r.query_id: generator.generate(queries[r.query_id], r) for r in rankings}
    write_texts(folder, texts)
