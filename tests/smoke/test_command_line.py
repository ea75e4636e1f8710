"""Flags, messages and exit codes of ``train.py``; and Hydra starts exactly the runs of the plan."""

from __future__ import annotations

import sys
from pathlib import Path

import hydra
import pytest
from commands import CONF, start
from conftest import Command
from omegaconf import DictConfig

from musicrag import cli
from musicrag.experiment.resolve import resolve
from musicrag.experiment.sweep import plan
from musicrag.schema import RunConfig, parse

REFUSED = [
    ("gnn.embeding_dim=8", "Did you mean 'gnn.embedding_dim'?"),
    ("+experiment=ablation_audoi", "Did you mean 'ablation_audio'?"),
    ("data=tables data.dir=/nowhere", "The data folder /nowhere does not exist"),
    ("--config-name other", "--config-name is not supported"),
    ("--cfg job gnn=graphsag", "Did you mean 'graphsage'?"),
]


@pytest.mark.parametrize(("line", "advice"), REFUSED, ids=[line for line, _ in REFUSED])
def test_bad_command_ends_with_one_message(
    line: str, advice: str, musicrag: Command, tmp_path: Path
) -> None:
    done = musicrag(*line.split())
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert advice in done.err
    assert list(tmp_path.iterdir()) == []


def test_fresh_process_refuses_without_traceback_or_folder(tmp_path: Path) -> None:
    done = start(["+gnn.embeding_dim=8", "-m", "seed=0,1"], tmp_path / "out")
    assert done.code == 2
    assert done.err.startswith("error: The configuration is wrong:")
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "+experiment=ablation_audio seed=7",
        "+experiment=ablation_audio seed=0,1 features/audio=none,librosa",
        "+experiment=ablation_modalities seed=2 features=all,none gnn.lr=0.1",
        "-m gnn=graphsage,gat,gcn seed=0,1",
        "gnn.lr=0.1,0.2 -m gnn=gcn hydra.job.chdir=false",
        "-m seed=range(3) +debug=fast",
        "seed=4",
    ],
)
def test_hydra_starts_exactly_the_runs_of_the_plan(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[RunConfig] = []

    def record(config: DictConfig) -> None:
        started.append(resolve(parse(config)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSICRAG_RUNS", "[]")
    monkeypatch.setattr(cli, "_check_data", lambda found: None)
    monkeypatch.setattr(cli, "make_table", lambda found: "")
    words = line.split()
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    app = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(record)
    cli.main(app, words, CONF)
    overrides = [word for word in words if word != "-m"]
    planned = plan(overrides, CONF, "-m" in words)
    assert started == [job.config for job in planned.jobs]


def test_help_names_the_two_commands_and_all_groups(musicrag: Command) -> None:
    done = musicrag("--help")
    assert "python train.py +experiment=ablation_audio" in done.out
    assert "gnn: " in done.out


@pytest.mark.parametrize("words", [("gnn=gat",), ("+experiment=ablation_gnn", "gnn=gat")])
def test_cfg_shows_the_composed_configuration(words: tuple[str, ...], musicrag: Command) -> None:
    done = musicrag("--cfg", "job", *words)
    assert done.code == 0
    assert "musicrag.gnn.layers.GatLayer" in done.out
