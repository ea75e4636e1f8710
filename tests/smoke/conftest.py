"""The command line, run within the test's own process to save the seconds of its imports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from commands import CONF, Finished

from musicrag import cli

Command = Callable[..., Finished]


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds and features that the commands of one test process share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def musicrag(
    tmp_path: Path,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """``musicrag(word, …)``: ``train.py word …``; results go to ``tmp_path/out``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSICRAG_RUNS", "[]")
    app = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(cli.run_one)

    def run(*words: str) -> Finished:
        argv = [*words, f"paths.output_dir={tmp_path / 'out'}", f"paths.cache_dir={cache_dir}"]
        monkeypatch.setattr(sys, "argv", ["train.py", *argv])
        code = 0
        try:
            cli.main(app, argv, CONF)
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capfd.readouterr()
        return Finished(code, said.out, said.err)

    return run
