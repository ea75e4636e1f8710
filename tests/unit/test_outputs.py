"""A run's name follows what decides its result; drafts of killed runs go after a day."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from musicrag.contracts import Dataset
from musicrag.experiment.outputs import is_finished, remove_abandoned, run_hash
from musicrag.experiment.sweep import plan

CONF = Path(__file__).parents[2] / "conf"


def _dataset(content_hash: str) -> Dataset:
    return Dataset("demo", "Song", {}, pd.DataFrame(), content_hash)


@pytest.fixture(scope="module")
def named() -> Callable[..., str]:
    def name(*words: str, data: str = "a") -> str:
        return run_hash(plan(words, CONF, False).jobs[0].config, _dataset(data))

    return name


@pytest.mark.parametrize(
    "word",
    [
        *("paths.output_dir=elsewhere", "paths.cache_dir=elsewhere", "logger=none"),
        *("trainer.progress_bar=false", "experiment.name=other", "features/audio=librosa"),
    ],
)
def test_name_of_a_run_ignores_what_cannot_change_its_result(
    word: str, named: Callable[..., str]
) -> None:
    assert named(word) == named()


@pytest.mark.parametrize(
    "word",
    ["seed=1", "split.seed=1", "gnn=gcn", "gnn.lr=0.1", "features/audio=none", "data.seed=2"],
)
def test_name_of_a_run_follows_what_changes_its_result(
    word: str, named: Callable[..., str]
) -> None:
    assert named(word) != named()


def test_name_of_a_run_follows_the_data(named: Callable[..., str]) -> None:
    assert named(data="b") != named()


def test_only_old_drafts_are_removed(tmp_path: Path) -> None:
    day_ago = time.time() - 25 * 3600
    old, young, resumed = (
        tmp_path / "runs" / f".{name}.part" for name in ("old", "young", "resumed")
    )
    for draft in (old, young, resumed):
        draft.mkdir(parents=True)
        (draft / "run.trec").write_text("")
        for path in (draft / "run.trec", draft):
            os.utime(path, (day_ago, day_ago))
    (young / "fresh").mkdir()
    os.utime(resumed / "run.trec")
    (tmp_path / "runs" / "0123").mkdir()
    remove_abandoned(tmp_path)
    assert [path.name for path in sorted((tmp_path / "runs").iterdir())] == [
        *(".resumed.part", ".young.part"),
        "0123",
    ]


def test_folder_without_manifest_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("")
    assert not is_finished(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert is_finished(tmp_path)
