"""Every yaml in conf/ composes, has the right types, and binds to the class that it names."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from commands import CONF
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from musicrag.experiment.composing import compose_checked
from musicrag.schema import RunConfig, parse
from musicrag.types import InputError

FILES = sorted(
    path
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and not path.name.startswith("_") and path.parent.name != "launcher"
)
LAUNCHERS = sorted((CONF / "launcher").glob("*.yaml"))
PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit": "hydra_plugins.hydra_submitit_launcher",
}
GROUPS = (
    *("data", "features", "features/lyrics", "features/audio", "features/emotion", "graph", "gnn"),
    *("retrieval", "generator", "evaluation", "trainer", "logger", "launcher", "experiment"),
    "debug",
)


def _name(path: Path) -> str:
    return path.relative_to(CONF).with_suffix("").as_posix()


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _parsed(words: list[str]) -> RunConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose_checked(words)
        plain = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
        needed = [f"{key}=/somewhere" for key in OmegaConf.missing_keys(plain)]
        return parse(compose_checked([*words, *needed]) if needed else config)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_every_option_composes_and_binds(path: Path) -> None:
    group, _, option = _name(path).rpartition("/")
    plus = "+" if group in ("experiment", "debug") else ""
    config = _parsed([f"{plus}{group}={option}"])
    if group == "experiment":
        assert config.experiment.name == option


@pytest.mark.parametrize("path", LAUNCHERS, ids=_name)
def test_a_launcher_composes_or_says_which_extra_it_needs(path: Path) -> None:
    plugin = PLUGINS.get(path.stem)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        if plugin is None or _is_installed(plugin):
            assert compose_checked([f"launcher={path.stem}"]).hydra.launcher
        else:
            with pytest.raises(InputError, match=r"pip install 'musicrag\[cluster\]'"):
                compose_checked([f"launcher={path.stem}"])


@pytest.mark.parametrize("group", GROUPS)
def test_every_promised_group_has_options(group: str) -> None:
    assert list((CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=_name)
def test_an_experiment_begins_with_its_command(path: Path) -> None:
    second = path.read_text(encoding="utf-8").splitlines()[1]
    assert second.startswith(f"# python train.py +experiment={path.stem} — ")


@pytest.mark.parametrize("path", [CONF / "gnn" / "_training.yaml", *FILES], ids=_name)
def test_every_value_carries_its_unit_or_meaning(path: Path) -> None:
    if path.parent.name in ("experiment", "debug", "launcher"):
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r"\s*(?!_target_)\w+: +[^\s#]", line)]
    assert [line for line in values if "#" not in line] == []
