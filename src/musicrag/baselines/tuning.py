"""Hyper-parameters are chosen on validation, with the same number of trials for every baseline.

A comparison in which one side was tuned harder measures the tuning. How a model is scored is the
caller's: this package stands left of ``evaluation`` and cannot import it.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from musicrag.baselines.interactions import Baseline, Grid, Params
from musicrag.types import InputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One setting, its validation score (higher is better) and the seconds that its fit took."""

    params: Params
    score: float
    fit_s: float


@dataclass(frozen=True)
class Tuning:
    """What was tried for one baseline; ``best`` is the first trial of the highest score."""

    name: str
    best: Trial
    trials: tuple[Trial, ...]


def tune(
    model: type[Baseline],
    train: sparse.csr_matrix,
    validate: Callable[[Baseline], float],
    rng: np.random.Generator,
    budget: int = 8,
) -> Tuning:
    """Fit ``budget`` settings of ``model.grid``, drawn without repetition, and keep the best.

    A model with an empty grid has nothing to choose and gets one trial. All trials start from
    the same random state, so that settings compete and not seeds.

    Args:
        model: a baseline class, such as those of ``registry.BASELINES``.
        train: training rows only.
        validate: scores a fitted model on validation rows, higher is better.
        rng: draws the settings and the models' seed.
        budget: trials for each model that has hyper-parameters.

    Raises:
        InputError: budget < 1, the grid holds fewer settings than it, or a score is NaN.
    """
    settings = draw_settings(model.name, model.grid, rng, budget)
    seed = int(rng.integers(2**63))
    trials = []
    for params in settings:
        fitted = model(**params)
        start = time.perf_counter()
        fitted.fit(train, np.random.default_rng(seed))
        fit_s = time.perf_counter() - start
        trial = Trial(params, float(validate(fitted)), fit_s)
        if trial.score != trial.score:
            raise InputError(f"The validation score of {model.name} with {params} is NaN.")
        trials.append(trial)
        _log.info("%s %s: %.4f (%.2f s)", model.name, params, trial.score, fit_s)
    return Tuning(model.name, max(trials, key=lambda trial: trial.score), tuple(trials))


def draw_settings(name: str, grid: Grid, rng: np.random.Generator, budget: int) -> list[Params]:
    """Draw ``budget`` different settings, in the order of the grid; one empty one of no grid.

    Raises:
        InputError: budget < 1, or the grid holds fewer settings than it.
    """
    if budget < 1:
        raise InputError(f"The tuning budget must be 1 or more, got {budget}.")
    if not grid:
        return [{}]
    settings = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    if len(settings) < budget:
        raise InputError(
            f"The grid of {name} holds {len(settings)} settings, the budget is {budget}. "
            "Every baseline gets the same number of trials: widen the grid or lower the budget."
        )
    chosen = np.sort(rng.choice(len(settings), size=budget, replace=False))
    return [settings[place] for place in chosen.tolist()]
