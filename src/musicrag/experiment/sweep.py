"""Every run that a command line asks for, composed and checked before the first one starts.

Hydra composes; this module asks it for each job of a sweep in turn, so that a misspelt key in
the last variant is found before the first has loaded its data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from musicrag.experiment.resolve import resolve
from musicrag.schema import RunConfig, parse
from musicrag.types import InputError, nearest

_NOT_A_VARIANT = ("seed", "split.seed")


@dataclass(frozen=True)
class Job:
    """One run of a plan: its variant label, without the seed, and its configuration."""

    variant: str
    config: RunConfig


@dataclass(frozen=True)
class Plan:
    """All runs of a command line, in order; the first job's variant is the reference."""

    jobs: tuple[Job, ...]
    dropped: tuple[str, ...] = ()
    """Keys of the experiment's own sweep that the command line replaces."""

    @property
    def experiment(self) -> str:
        return self.jobs[0].config.experiment.name


def plan(overrides: Sequence[str], conf_dir: Path, is_multirun: bool) -> Plan:
    """Compose and check every run.

    Args:
        overrides: what stands on the command line, Hydra flags taken out.
        conf_dir: folder with ``config.yaml``.
        is_multirun: whether ``-m`` was given.

    Raises:
        InputError: anything is misspelt, of a wrong type, or cannot be combined; or two variants
            of a sweep come out as the same run.
    """
    parsed = _parse(overrides)
    swept = [o for o in parsed if o.is_sweep_override()]
    with initialize_config_dir(str(conf_dir.resolve()), version_base="1.3"):
        fixed = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
        base = _compose(fixed, conf_dir)
        multirun = is_multirun or base.hydra.mode == RunMode.MULTIRUN
        if swept and not multirun:
            raise InputError(
                f"{swept[0].input_line} has several values: add -m to run them all as a sweep."
            )
        own = dict(base.hydra.sweeper.params or {}) if multirun else {}
        dropped = tuple(key for key in own if key in {o.key_or_group for o in parsed})
        params = [f"{key}={value}" for key, value in own.items() if key not in dropped]
        every = _parse([*params, *overrides])
        expanded = BasicSweeper.split_arguments(every, None)[0] if multirun else [list(overrides)]
        labels = {o.key_or_group for o in every if o.is_sweep_override()} - set(_NOT_A_VARIANT)
        jobs = tuple(Job(_label(job, labels), _job(job, conf_dir)) for job in expanded)
    _check_distinct(jobs)
    return Plan(jobs, dropped)


def _job(overrides: Sequence[str], conf_dir: Path) -> RunConfig:
    return resolve(parse(_compose(overrides, conf_dir)))


def _label(overrides: Sequence[str], keys: set[str]) -> str:
    """The swept choices of one job, such as ``features/audio=none``."""
    chosen = [text for text in overrides if text.lstrip("+").partition("=")[0] in keys]
    return ", ".join(chosen) or "musicrag"


def _check_distinct(jobs: Sequence[Job]) -> None:
    seen: dict[str, str] = {}
    for job in jobs:
        key = job.config.model_dump_json()
        if key in seen and seen[key] != job.variant:
            raise InputError(
                f"{seen[key]} and {job.variant} come out as the same run, so there is nothing to "
                f"compare: data {job.config.data.name!r} may have nothing for that choice."
            )
        seen[key] = job.variant


def _parse(overrides: Sequence[str]) -> list[Override]:
    try:
        parsed: list[Override] = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(
            f"Cannot read the command line: {error}. Write group=option or key=value."
        ) from error
    return parsed


def _compose(overrides: Sequence[str], conf_dir: Path) -> DictConfig:
    try:
        return compose("config", overrides=list(overrides), return_hydra_config=True)
    except HydraException as error:
        raise InputError(_explain(error, overrides, conf_dir)) from error


def _explain(error: HydraException, overrides: Sequence[str], conf_dir: Path) -> str:
    """Say what Hydra said, with the override at fault and the nearest spelling."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    groups = _groups(conf_dir)
    for override in _parse(overrides):
        key, value = override.key_or_group, override.value()
        if key in groups:
            options = groups[key]
            if isinstance(value, str) and value not in options:
                hint = nearest(value, options)
                return f"{key}={value}: no such option.{hint} Allowed: {', '.join(options)}."
        elif not _exists(key):
            where = [*_keys(), *groups]
            return f"{override.input_line}: unknown key {key!r}.{nearest(key, where)} {text}"
    return text


def _groups(conf_dir: Path) -> dict[str, list[str]]:
    """Config groups and their options."""
    found: dict[str, list[str]] = {}
    for file in sorted(conf_dir.rglob("*.yaml")):
        group = file.parent.relative_to(conf_dir).as_posix()
        if group != "." and not file.stem.startswith("_"):
            found.setdefault(group, []).append(file.stem)
    return found


def _keys() -> list[str]:
    """Dotted keys of the default configuration."""
    return _dotted(OmegaConf.to_container(compose("config"), resolve=False), "")


def _exists(key: str) -> bool:
    return key.startswith("hydra") or key in _keys()


def _dotted(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        found += [f"{prefix}{key}", *_dotted(value, f"{prefix}{key}.")]
    return found
