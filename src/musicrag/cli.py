"""The command line: check first, then run, then print the table.

Wraps Hydra's own entry point, so that every flag of Hydra still works.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from musicrag.experiment.resolve import resolve
from musicrag.experiment.run import run
from musicrag.experiment.sweep import Plan, plan
from musicrag.experiment.table import make_table
from musicrag.schema import parse
from musicrag.types import InputError

_EXIT_BAD_INPUT = 2
_NOISY = ("bm25s", "httpx", "matplotlib", "sentence_transformers", "numba", "lightning.pytorch")
_HYDRA_ONLY = ("help", "hydra_help", "info", "cfg", "shell_completion")


def main(app: Callable[[], object], argv: list[str], conf_dir: Path) -> None:
    """Check all runs of the command line, do them, and end with one table over them.

    Args:
        app: the function that ``hydra.main`` decorated; it reads ``sys.argv``.
        argv: the command line without the program's name.
        conf_dir: folder with ``config.yaml``.
    """
    _configure_logging()
    arguments = get_args_parser().parse_args(argv)
    if any(getattr(arguments, flag) for flag in _HYDRA_ONLY):
        app()
        return
    try:
        found = plan(arguments.overrides, conf_dir, arguments.multirun)
    except InputError as error:
        _refuse(error)
    sys.argv += [f"~hydra.sweeper.params.{key}" for key in found.dropped]
    app()
    if _is_main_process():
        _print_table(found)


def run_one(config: DictConfig) -> None:
    """Do one composed run; bad input ends the program with one line and exit code 2."""
    try:
        run(resolve(parse(config)))
    except InputError as error:
        _refuse(error)


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


def _configure_logging() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
