"""Every run that a command line asks for, composed and checked before the first one starts.

Hydra composes; this module asks it for each job of a sweep in turn, so that a misspelt key in
the last variant is found before the first has loaded its data. The jobs are those that Hydra's
own sweeper will start, in its order (``tests/smoke/test_command_line.py`` compares the two).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode

from musicrag.artifacts import hash_json
from musicrag.experiment.composing import compose_checked, parse_overrides
from musicrag.experiment.outputs import settings
from musicrag.experiment.resolve import check_hardware, resolve
from musicrag.schema import RunConfig, parse
from musicrag.types import MODALITIES, InputError

_LOCAL_LAUNCHERS = ("basic", "joblib")


@dataclass(frozen=True)
class Job:
    """One run of a plan: its variant label, without the seed, and its configuration."""

    variant: str
    config: RunConfig

    def __str__(self) -> str:
        return f"{self.variant}, seed={self.config.seed}"


@dataclass(frozen=True)
class Plan:
    """All runs of a command line, in order; the first job's variant is the reference.

    ``is_local`` tells whether they run on this machine.
    """

    jobs: tuple[Job, ...]
    is_local: bool = True

    @property
    def experiment(self) -> str:
        return self.jobs[0].config.experiment.name


def plan(overrides: Sequence[str], conf_dir: Path, is_multirun: bool) -> Plan:
    """Compose and check every run.

    A key on the command line replaces the same key of an experiment's own sweep.

    Args:
        overrides: what stands on the command line, Hydra flags taken out.
        conf_dir: folder with ``config.yaml``.
        is_multirun: whether ``-m`` was given.

    Raises:
        InputError: anything is misspelt, of a wrong type, or cannot be combined; or two runs
            of a sweep come out as the same run.
    """
    with _hydra(conf_dir):
        parsed = parse_overrides(overrides)
        swept = [o for o in parsed if o.is_sweep_override()]
        base = compose_checked([str(o.input_line) for o in parsed if not o.is_sweep_override()])
        multirun = is_multirun or base.hydra.mode == RunMode.MULTIRUN
        if swept and not multirun:
            raise InputError(
                f"{swept[0].input_line} has several values: add -m to run them all as a sweep."
            )
        own = (base.hydra.sweeper.params or {}) if multirun else {}
        task = [o for o in parsed if not o.is_hydra_override()]
        every = [*parse_overrides([f"{key}={value}" for key, value in own.items()]), *task]
        expanded = _expand(every) if multirun else [list(overrides)]
        keys = {o.key_or_group for o in every if o.is_sweep_override()} - {"seed"}
        jobs = tuple(Job(_label(job, keys), _config(job)) for job in expanded)
        is_local = base.hydra.runtime.choices["hydra/launcher"] in _LOCAL_LAUNCHERS
    _check_distinct(jobs)
    if is_local:
        for job in jobs:
            check_hardware(job.config)
    return Plan(jobs, is_local)


def check_composition(overrides: Sequence[str], conf_dir: Path) -> None:
    """Check that Hydra can compose a command line; values are not looked at.

    Raises:
        InputError: a group, an option or a key does not exist.
    """
    with _hydra(conf_dir):
        parsed = parse_overrides(overrides)
        compose_checked([str(o.input_line) for o in parsed if not o.is_sweep_override()])


@contextmanager
def _hydra(conf_dir: Path) -> Iterator[None]:
    with initialize_config_dir(str(conf_dir.resolve()), version_base="1.3"):
        yield


def _expand(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job, by the sweeper that will start them."""
    for override in overrides:
        if override.is_sweep_override() and override.key_or_group == "experiment":
            raise InputError(
                f"{override.input_line}: an experiment is a sweep of its own. Start one command "
                f"for each."
            )
    try:
        expanded: list[list[str]] = BasicSweeper.split_arguments(list(overrides), None)[0]
    except HydraException as error:
        raise InputError(f"{error}. Write the values out, such as gnn.lr=0.01,0.001.") from error
    return expanded


def _config(overrides: Sequence[str]) -> RunConfig:
    return resolve(parse(compose_checked(overrides)))


def _label(overrides: Sequence[str], keys: set[str]) -> str:
    """The swept choices of one job, such as ``features/audio=none``."""
    chosen = [text.lstrip("+") for text in overrides]
    return ", ".join(text for text in chosen if text.partition("=")[0] in keys) or "musicrag"


def _check_distinct(jobs: Sequence[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        twin = seen.setdefault(hash_json(settings(job.config)), job)
        if twin is job:
            continue
        if twin.variant == job.variant:
            raise InputError(f"The sweep asks twice for the same run: {job}. Leave one out.")
        encoders = ", ".join(f"{m} {getattr(job.config.features, m).name}" for m in MODALITIES)
        raise InputError(
            f"{twin.variant} and {job.variant} come out as the same run on data="
            f"{job.config.data.name} ({encoders}), so there is nothing to compare. "
            f"Leave one of the two out."
        )
