"""The baselines by name; a new one is one file and one row here."""

from __future__ import annotations

from collections.abc import Mapping

from musicrag.baselines.ease import EASE
from musicrag.baselines.ials import IALS
from musicrag.baselines.interactions import Baseline, Value
from musicrag.baselines.item_knn import ItemKNN
from musicrag.baselines.popularity import Popularity
from musicrag.baselines.rp3beta import RP3Beta
from musicrag.types import InputError, nearest

BASELINES: dict[str, type[Baseline]] = {
    model.name: model for model in (Popularity, ItemKNN, RP3Beta, EASE, IALS)
}


def build(name: str, params: Mapping[str, Value] | None = None) -> Baseline:
    """Make a baseline, unfitted, from its name and hyper-parameters (defaults if absent).

    Raises:
        InputError: unknown name or hyper-parameter (the nearest one is suggested).
    """
    if name not in BASELINES:
        raise InputError(
            f"Unknown baseline {name!r}. Allowed: {', '.join(BASELINES)}.{nearest(name, BASELINES)}"
        )
    params = dict(params or {})
    model = BASELINES[name]
    allowed = getattr(model, "__dataclass_fields__", {})
    for param in params:
        if param not in allowed:
            raise InputError(
                f"Baseline {name!r} has no hyper-parameter {param!r}. "
                f"Allowed: {', '.join(allowed) or 'none'}.{nearest(param, allowed)}"
            )
    return model(**params)
