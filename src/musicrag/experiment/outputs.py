"""What a run leaves behind, and how it is found again.

A run's folder is named by a hash of its resolved configuration and its data, so the same run is
never done twice; it appears in one step when everything in it is complete.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import musicrag
from musicrag.artifacts import atomic_file, code_hash, hash_json, read_json, write_json, write_text
from musicrag.contracts import Dataset, Ranking
from musicrag.evaluation.trec import write_run
from musicrag.schema import RunConfig
from musicrag.types import Run

SYSTEM = "musicrag"
"""Name of the trained system in ``per_query.parquet``; baselines stand under their own names."""

_ABANDONED_AFTER_S = 24 * 3600.0


@dataclass(frozen=True)
class FinishedRun:
    """A complete run folder."""

    folder: Path

    def per_query(self) -> pd.DataFrame:
        """Metrics of every query and system; columns as in ``results.COLUMNS``."""
        return pd.read_parquet(self.folder / "per_query.parquet")

    def manifest(self) -> dict[str, object]:
        return read_json(self.folder / "manifest.json")


def settings(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain values, without what cannot change a result."""
    resolved = config.model_dump(mode="json")
    for key in ("paths", "logger", "experiment"):
        del resolved[key]
    del resolved["trainer"]["progress_bar"]
    del resolved["graph"]["store"]["params"]
    return resolved


def run_hash(config: RunConfig, dataset: Dataset) -> str:
    """Sixteen hex digits over all that decides a run's result: configuration, data and code.

    Where results go, how training is logged and how progress is shown do not count; the data
    counts by its content, not by its place.
    """
    resolved = settings(config)
    for key in ("dir", "mood_dir", "cache_dir"):
        resolved["data"]["params"].pop(key, None)
    identity = {"config": resolved, "data": dataset.content_hash, "code": code_hash("musicrag")}
    return hash_json(identity)[:16]


def run_folder(config: RunConfig, dataset: Dataset) -> Path:
    """``<output_dir>/<experiment>/runs/<hash>``."""
    root = Path(config.paths.output_dir) / config.experiment.name / "runs"
    return root / run_hash(config, dataset)


def is_finished(folder: Path) -> bool:
    return (folder / "manifest.json").exists()


def remove_abandoned(folder: Path) -> None:
    """Delete drafts that killed runs left below ``folder``: those untouched for a day.

    A draft never looks finished, so leaving a younger one does no harm, while deleting it could
    hit a run of another process.
    """
    now = time.time()
    for draft in folder.rglob(".*.part"):
        files = [draft, *draft.rglob("*")]
        if now - max(file.stat().st_mtime for file in files) > _ABANDONED_AFTER_S:
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def write_rankings(folder: Path, rankings: Sequence[Ranking], item_ids: Sequence[str]) -> None:
    """Write ``run.trec`` and ``paths.jsonl``: the same bytes for the same rankings."""
    run: Run = {
        ranking.query_id: {
            item_ids[item]: float(score)
            for item, score in zip(ranking.item_idx, ranking.scores, strict=True)
        }
        for ranking in rankings
    }
    write_run(folder / "run.trec", run, SYSTEM)
    with atomic_file(folder / "paths.jsonl") as path, path.open("w", encoding="utf-8") as handle:
        for ranking in sorted(rankings, key=lambda ranking: ranking.query_id):
            for rank, scored in enumerate(ranking.paths, start=1):
                line = {
                    "query_id": ranking.query_id,
                    "rank": rank,
                    "score": scored.score,
                    "path": json.loads(scored.path.to_json()),
                }
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write ``recommendations.jsonl``: the generated text of each query."""
    lines = [
        json.dumps({"query_id": query_id, "text": texts[query_id]}, ensure_ascii=False)
        for query_id in sorted(texts)
    ]
    write_text(folder / "recommendations.jsonl", "".join(f"{line}\n" for line in lines))


def write_config(folder: Path, config: RunConfig) -> None:
    """Write the resolved configuration as ``config.yaml``."""
    write_text(folder / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))


def write_manifest(
    folder: Path, config: RunConfig, dataset: Dataset, facts: Mapping[str, object]
) -> None:
    """Write ``manifest.json``, last: its presence says that the run is complete."""
    manifest = {
        "data": {"name": dataset.name, "hash": dataset.content_hash},
        "seeds": {"run": config.seed, "split": config.split.seed},
        "commit": commit(),
        "version": musicrag.__version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }
    write_json(folder / "manifest.json", manifest)


def commit() -> str:
    """The checked-out commit, ``-dirty`` where tracked files differ, or ``unknown`` outside git."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
