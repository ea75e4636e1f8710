from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from musicrag.baselines.ease import EASE
from musicrag.baselines.ials import IALS
from musicrag.baselines.item_knn import ItemKNN
from musicrag.baselines.popularity import Popularity
from musicrag.baselines.registry import BASELINES
from musicrag.baselines.tuning import draw_settings, tune
from musicrag.types import InputError

TRAIN = sparse.csr_matrix(np.random.default_rng(0).random((12, 9)) < 0.4, dtype=np.float32)


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("budget", [1, 8])
def test_every_baseline_gets_the_same_budget(name: str, budget: int) -> None:
    settings = draw_settings(name, BASELINES[name].grid, np.random.default_rng(0), budget)
    assert len(settings) == (budget if BASELINES[name].grid else 1)
    assert len({tuple(setting.items()) for setting in settings}) == len(settings)


def test_the_best_trial_wins_and_all_are_reported() -> None:
    wanted = {"num_neighbours": 50, "shrinkage": 5.0}

    def validate(model: ItemKNN) -> float:
        return float(vars(model).items() >= wanted.items())

    result = tune(ItemKNN, TRAIN, validate, np.random.default_rng(0), budget=25)
    assert result.best.params == wanted
    assert (result.best.score, len(result.trials)) == (1.0, 25)
    assert all(trial.fit_s >= 0 for trial in result.trials)


def test_equal_scores_leave_the_first_setting() -> None:
    result = tune(EASE, TRAIN, lambda model: 0.5, np.random.default_rng(0))
    assert result.best == result.trials[0]
    assert result.best.params == {"l2": 5.0}


def test_trials_differ_in_setting_only_and_repeat_with_the_rng() -> None:
    seen: list[bytes] = []

    class OneSetting(IALS):
        grid = {"embedding_dim": (4,), "num_epochs": (1,), "alpha": (1.0, 1.0)}  # noqa: RUF012

    def validate(model: IALS) -> float:
        seen.append(model.score(np.arange(3)).tobytes())
        return float(model.score(np.arange(3)).sum())

    first, again = (
        tune(OneSetting, TRAIN, validate, np.random.default_rng(3), budget=2) for _ in range(2)
    )
    assert len(set(seen)) == 1
    assert [t.score for t in first.trials] == [t.score for t in again.trials]


def test_a_model_without_hyper_parameters_gets_one_trial() -> None:
    result = tune(Popularity, TRAIN, lambda model: 0.1, np.random.default_rng(0))
    assert [trial.params for trial in result.trials] == [{}]


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="grid of ease holds 8 settings, the budget is 9"):
        tune(EASE, TRAIN, lambda model: 0.0, rng, budget=9)
    with pytest.raises(InputError, match="1 or more, got 0"):
        tune(EASE, TRAIN, lambda model: 0.0, rng, budget=0)
    with pytest.raises(InputError, match=r"score of ease with \{'l2': 5.0\} is NaN"):
        tune(EASE, TRAIN, lambda model: float("nan"), rng)
