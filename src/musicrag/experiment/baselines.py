"""Tuned collaborative-filtering baselines on the queries of a world, computed once and kept.

They know profiles and items only, so text queries and paths have no baseline row.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from musicrag.artifacts import code_hash, hash_json, read_json, write_json, write_parquet
from musicrag.baselines.interactions import Baseline
from musicrag.baselines.registry import BASELINES, build
from musicrag.baselines.tuning import tune
from musicrag.evaluation.metrics import Evaluation, evaluate_ranked
from musicrag.evaluation.ranking import rank_items
from musicrag.experiment.results import long_frame
from musicrag.experiment.world import Judged, World
from musicrag.schema import RunConfig
from musicrag.types import IntArray

_ROWS_PER_BLOCK = 512


def evaluate_baselines(
    config: RunConfig, world: World, metrics: list[str]
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Tune on validation, score the test queries; return long rows and the chosen settings."""
    if not world.test.queries or not config.evaluation.baselines:
        return long_frame({}), {}
    frames: list[pd.DataFrame] = []
    chosen: dict[str, object] = {}
    for name in config.evaluation.baselines:
        frame, about = _cached(config, world, name, metrics)
        frames.append(frame)
        chosen[name] = about
    return pd.concat(frames, ignore_index=True), chosen


def _cached(
    config: RunConfig, world: World, name: str, metrics: list[str]
) -> tuple[pd.DataFrame, dict[str, object]]:
    key = {
        "name": name,
        "data": world.dataset.content_hash,
        "split": config.split.model_dump(mode="json"),
        "evaluation": [config.evaluation.primary, config.evaluation.tuning_budget, metrics],
        "code": code_hash("musicrag.baselines"),
    }
    stem = Path(config.paths.cache_dir) / "baselines" / f"{name}-{hash_json(key)[:16]}"
    rows, about = stem.with_suffix(".parquet"), stem.with_suffix(".json")
    if not about.exists():
        frame, settings = _evaluate(config, world, name, metrics)
        write_parquet(rows, frame)
        write_json(about, settings)
    return pd.read_parquet(rows), read_json(about)


def _evaluate(
    config: RunConfig, world: World, name: str, metrics: list[str]
) -> tuple[pd.DataFrame, dict[str, object]]:
    primary, train = config.evaluation.primary, world.split.train
    valid = _profiles(world.valid)
    score = partial(_score, judged=world.valid, rows=valid, known=train)
    tuning = tune(
        BASELINES[name],
        train,
        lambda model: score(model, metrics=[primary]).mean()[primary],
        np.random.default_rng(config.split.seed),
        config.evaluation.tuning_budget,
    )
    model = build(name, tuning.best.params)
    model.fit(train, np.random.default_rng(config.split.seed))
    known = train + world.split.valid
    tested = _score(model, world.test, _profiles(world.test), known, metrics)
    settings: dict[str, object] = {
        "params": tuning.best.params,
        "valid": tuning.best.score,
        "num_trials": len(tuning.trials),
        "fit_s": round(tuning.best.fit_s, 3),
    }
    return long_frame({name: tested.per_query}), settings


def _profiles(judged: Judged) -> IntArray:
    """Rows of the queries that are profiles."""
    is_profile = [not query.query_id.startswith("text:") for query in judged.queries]
    return np.flatnonzero(is_profile)


def _score(
    model: Baseline, judged: Judged, rows: IntArray, known: sparse.csr_matrix, metrics: list[str]
) -> Evaluation:
    """Rank all items that a profile does not know, block by block, and score them."""
    k = max(int(metric.partition("@")[2]) for metric in metrics)
    profiles = np.array([judged.queries[row].profile_idx for row in rows], dtype=np.int64)
    ranked = [
        rank_items(model.score(block), known[block], k)
        for block in np.array_split(profiles, max(1, len(profiles) // _ROWS_PER_BLOCK))
    ]
    ids = [judged.queries[row].query_id for row in rows]
    return evaluate_ranked(ids, np.vstack(ranked), judged.relevance[rows], metrics)
