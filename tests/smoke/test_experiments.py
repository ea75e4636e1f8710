"""Every experiment runs from data to its table in one fast step, and leaves all its files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from commands import CONF, FAST_LYRICS, TINY
from conftest import Command

from musicrag.evaluation.trec import read_run

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
RUN_FILES = {
    *("run.trec", "paths.jsonl", "recommendations.jsonl", "config.yaml", "manifest.json"),
    "per_query.parquet",
}
TABLE_FILES = {"table.csv", "table.md", "table.tex", "figure.png", "runs.json"}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _table_folder(root: Path) -> Path:
    (folder,) = {path.parent for path in root.glob("*/table.csv")}
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_ends_with_its_table(name: str, musicrag: Command, tmp_path: Path) -> None:
    swept = yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text("utf-8"))
    params = swept["hydra"]["sweeper"]["params"]
    sbert = [FAST_LYRICS] if not {"features", "features/lyrics"} & set(params) else []
    lyrics = ["features/lyrics=tfidf,none"] if "features/lyrics" in params else sbert
    done = musicrag(f"+experiment={name}", "seed=0,1", *lyrics, *TINY)
    assert done.code == 0, done.err
    root = tmp_path / "out" / name
    runs = sorted((root / "runs").iterdir())
    assert all(_names(run) >= RUN_FILES for run in runs)
    folder = _table_folder(root)
    assert _names(folder) == TABLE_FILES
    assert (folder / "table.md").read_text("utf-8") in done.out
    listed = json.loads((folder / "runs.json").read_text())["runs"]
    assert sorted(run["folder"] for run in listed) == [run.name for run in runs]
    assert {run["seed"] for run in listed} == {0, 1}
    table = pd.read_csv(folder / "table.csv")
    assert {"popularity", "item_knn", "ease", "ials"} < set(table["label"])
    assert set(table["role"]) == {"reference", "variant", "baseline"}
    variants = table[(table["role"] == "variant") & (table["metric"] == "ndcg@10")]
    assert (variants["num_seeds"] == 2).all()
    assert variants["p_holm"].notna().all()


def test_plain_run_leaves_what_another_needs_to_repeat_it(
    musicrag: Command, tmp_path: Path
) -> None:
    done = musicrag(FAST_LYRICS, "seed=3", "split.seed=5", *TINY)
    assert done.code == 0, done.err
    (folder,) = (tmp_path / "out" / "single" / "runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seeds"] == {"run": 3, "split": 5}
    assert len(manifest["data"]["hash"]) == 64
    assert manifest["commit"] == "unknown" or len(manifest["commit"].split("-")[0]) == 40
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    assert config["features"]["audio"]["name"] == "librosa"
    assert "???" not in json.dumps(config)
    run = read_run(folder / "run.trec")
    assert {query.partition(":")[0] for query in run} == {"user", "playlist", "text"}
    assert all(len(items) <= 20 for items in run.values())
    paths = [json.loads(line) for line in (folder / "paths.jsonl").read_text("utf-8").splitlines()]
    assert paths
    assert all(set(path) == {"query_id", "rank", "score", "path"} for path in paths)
    texts = (folder / "recommendations.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["query_id"] for line in texts} == set(run)
    assert "musicrag (reference)" in done.out
    assert "popularity" in done.out


def test_sweep_over_splits_is_shown_but_not_tested(musicrag: Command, tmp_path: Path) -> None:
    done = musicrag("-m", "split.seed=0,1", "features=none", "retrieval=graph", *TINY)
    assert done.code == 0, done.err
    assert "split.seed=1: measured on other queries than the reference, so not tested" in done.out
    table = pd.read_csv(_table_folder(tmp_path / "out" / "single") / "table.csv")
    variants = table[table["label"] == "split.seed=1"]
    assert len(variants)
    assert variants["p_holm"].isna().all()
