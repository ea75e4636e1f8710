"""Choices that depend on what the data holds, made explicit before anything runs.

``features/audio=auto`` becomes the encoder that the data set can feed, or none; what is
impossible is refused here, by looking at file names only.
"""

from __future__ import annotations

import logging

from musicrag.baselines.registry import BASELINES
from musicrag.contracts import Source
from musicrag.evaluation.metrics import METRICS, parse_metric
from musicrag.evaluation.path_metrics import PATH_METRICS
from musicrag.features.choose import ENCODERS, choose, required_table
from musicrag.graph.schema import RELATIONS
from musicrag.schema import Component, EvaluationConfig, RunConfig, defaults_of
from musicrag.types import MODALITIES, InputError, Modality, nearest

log = logging.getLogger(__name__)


def resolve(config: RunConfig) -> RunConfig:
    """Replace ``auto`` encoders and check what the schema alone cannot see.

    Raises:
        InputError: the data folder is missing, an encoder needs a table that the data set does
            not have, or a metric, baseline or relation does not exist.
    """
    _check_evaluation(config.evaluation)
    _check_all(config.graph.relations or [], RELATIONS, "graph.relations")
    source: Source = config.data.build()
    tables = source.available()
    chosen: dict[str, Component] = {
        modality: _encoder(modality, getattr(config.features, modality), tables, config.data.name)
        for modality in MODALITIES
    }
    features = config.features.model_copy(update=chosen)
    return config.model_copy(update={"features": features})


def _encoder(
    modality: Modality, component: Component, tables: frozenset[str], data: str
) -> Component:
    if component.name == "auto":
        choice = choose(modality, tables)
        log.debug(choice.note)
        if choice.name is None:
            return Component(name="none", target=None)
        target = ENCODERS[modality][choice.name]
        return Component(name=choice.name, target=target, params=defaults_of(target))
    if component.target is not None:
        needed = required_table(modality, component.name)
        if needed not in tables:
            possible = [n for n in ENCODERS[modality] if required_table(modality, n) in tables]
            raise InputError(
                f"features/{modality}={component.name} needs table {needed!r}, which data={data} "
                f"does not have. Allowed here: {', '.join([*possible, 'auto', 'none'])}."
            )
    return component


def _check_evaluation(evaluation: EvaluationConfig) -> None:
    _check_all(evaluation.metrics, METRICS, "evaluation.metrics")
    _check_all(evaluation.baselines, BASELINES, "evaluation.baselines")
    primary = parse_metric(evaluation.primary)
    for metric in (
        primary,
        *(parse_metric(m, (*METRICS, *PATH_METRICS)) for m in evaluation.table),
    ):
        if metric.k not in evaluation.k:
            cuts = ", ".join(map(str, evaluation.k))
            raise InputError(
                f"{metric} is not computed: its cut-off is not in evaluation.k ({cuts}). "
                f"Add {metric.k} to evaluation.k."
            )


def _check_all(given: list[str], allowed: object, key: str) -> None:
    names = list(allowed)  # type: ignore[call-overload]
    for name in given:
        if name not in names:
            hint = nearest(name, names)
            raise InputError(f"{key}: {name!r} does not exist.{hint} Allowed: {', '.join(names)}.")
