"""The command line: check first, then run, then print the table.

Wraps Hydra's own entry point, so that every flag of Hydra still works.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from musicrag.experiment.outputs import is_finished, run_folder
from musicrag.experiment.resolve import check_hardware, resolve
from musicrag.experiment.run import run
from musicrag.experiment.sweep import Plan, check_composition, plan
from musicrag.experiment.table import make_table
from musicrag.experiment.world import build_world, open_dataset
from musicrag.schema import parse
from musicrag.types import InputError

log = logging.getLogger(__name__)

_EXIT_BAD_INPUT = 2
_NOISY = (
    *("bm25s", "httpx", "hydra", "lightning.pytorch", "matplotlib", "numba"),
    *("sentence_transformers", "transformers"),
)
_SHOWS_CONFIG = ("cfg", "info")
_SHOWS_HELP = ("help", "hydra_help", "shell_completion")
_CHANGES_CONFIG = ("config_name", "config_path", "config_dir", "package", "experimental_rerun")
_RUNS = "MUSICRAG_RUNS"
"""Environment variable with the names of a sweep's runs; launchers hand it on to their jobs."""


def main(app: Callable[[], object], argv: list[str], conf_dir: Path) -> None:
    """Check all runs of the command line, do them, and end with one table over them.

    Args:
        app: the function that ``hydra.main`` decorated; it reads ``sys.argv``.
        argv: the command line without the program's name; words and flags in any order.
        conf_dir: folder with ``config.yaml``.
    """
    configure_logging()
    arguments = get_args_parser().parse_intermixed_args(argv)
    words: list[str] = arguments.overrides
    sys.argv[1:] = [*words, *(flag for flag in argv if flag not in words)]
    if any(getattr(arguments, flag) for flag in _SHOWS_HELP):
        app()
        return
    try:
        _check_flags(arguments)
        if any(getattr(arguments, flag) for flag in _SHOWS_CONFIG):
            check_composition(words, conf_dir)
            app()
            return
        found = plan(words, conf_dir, arguments.multirun)
        _check_data(found)
    except InputError as error:
        _refuse(error)
    os.environ[_RUNS] = json.dumps([str(job) for job in found.jobs])
    app()
    if _is_main_process():
        _print_table(found)


def run_one(config: DictConfig) -> None:
    """Do one composed run; bad input ends the program with one line and exit code 2."""
    configure_logging()
    try:
        resolved = resolve(parse(config))
        check_hardware(resolved)
        _announce(json.loads(os.environ.get(_RUNS, "[]")))
        run(resolved)
    except InputError as error:
        _refuse(error)


def _check_flags(arguments: Namespace) -> None:
    for flag in _CHANGES_CONFIG:
        if getattr(arguments, flag):
            raise InputError(
                f"--{flag.replace('_', '-')} is not supported, because runs are checked against "
                f"conf/. Choose options with group=option, and add your own as files in conf/."
            )


def _check_data(found: Plan) -> None:
    """Read the data before Hydra makes a folder; the first run finds it in memory."""
    if not found.is_local:
        return
    configs = [job.config for job in found.jobs]
    for config in configs:
        open_dataset(config)
    todo = [c for c in configs if not is_finished(run_folder(c, open_dataset(c)))]
    if todo:
        build_world(todo[0])


def _announce(runs: Sequence[str]) -> None:
    """Say which run of how many starts."""
    if len(runs) > 1:
        number: int = HydraConfig.get().job.num
        log.info("run %d of %d: %s", number + 1, len(runs), runs[number])


def _print_table(found: Plan) -> None:
    try:
        print(make_table(found))
    except InputError as error:
        _refuse(error)


def _refuse(error: InputError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(_EXIT_BAD_INPUT)


def _is_main_process() -> bool:
    """False in the further ranks that a DDP launcher started with the same command line."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def configure_logging() -> None:
    """Log to stderr, without what libraries say and a user cannot act on."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Lightning 2.6 asks torch 2.13 in a way that torch calls deprecated
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
