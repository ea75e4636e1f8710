"""Choices that depend on what the data holds, made explicit before anything runs.

``features/audio=auto`` becomes the encoder that the data set can feed, or none; what is
impossible is refused here, by looking at file names and constructors only.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch

from musicrag.baselines.registry import BASELINES
from musicrag.contracts import Source
from musicrag.evaluation.metrics import METRICS, parse_metric
from musicrag.evaluation.path_metrics import PATH_METRICS
from musicrag.features.choose import ENCODERS, choose, required_table
from musicrag.graph.schema import RELATIONS
from musicrag.schema import Component, EvaluationConfig, GnnConfig, RunConfig, defaults_of
from musicrag.types import MODALITIES, InputError, Modality, nearest

log = logging.getLogger(__name__)


def resolve(config: RunConfig) -> RunConfig:
    """Replace ``auto`` encoders and check what the schema alone cannot see.

    Raises:
        InputError: the data folder is missing, an encoder needs a table that the data set does
            not have, a constructor refuses its arguments, or a metric, baseline or relation
            does not exist.
    """
    _check_evaluation(config.evaluation)
    _check_all(config.graph.relations or [], RELATIONS, "graph.relations")
    _check_layer(config.gnn)
    _check_logger(config)
    tables = _named(f"data={config.data.name}", lambda: _tables(config.data))
    chosen: dict[str, Component] = {
        modality: _encoder(modality, getattr(config.features, modality), tables, config.data.name)
        for modality in MODALITIES
    }
    _check_channels(config.retrieval.channels, chosen)
    features = config.features.model_copy(update=chosen)
    return config.model_copy(update={"features": features})


def check_hardware(config: RunConfig) -> None:
    """Check that this machine has the GPUs that a run asks for.

    Raises:
        InputError: it has not.
    """
    trainer = config.trainer
    if trainer.accelerator != "gpu" or torch.backends.mps.is_available():
        return
    found = torch.cuda.device_count()
    if found < trainer.devices:
        raise InputError(
            f"trainer={trainer.name} needs {trainer.devices} GPU(s) on this machine, which shows "
            f"{found}. Choose trainer=cpu, or set trainer.devices."
        )


def _named(where: str, build: Callable[[], Any]) -> Any:
    """Call a constructor; what it refuses is reported with the choice that led there."""
    try:
        return build()
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _tables(data: Component) -> frozenset[str]:
    source: Source = data.build()
    return source.available()


def _check_layer(gnn: GnnConfig) -> None:
    """Let the layer's own constructor judge its arguments, without memory for its weights."""

    def build() -> None:
        with torch.device("meta"):
            gnn.layer.build(embedding_dim=gnn.embedding_dim, num_relations=1)

    _named(f"gnn={gnn.name}", build)


def _check_logger(config: RunConfig) -> None:
    if config.logger.name == "wandb" and importlib.util.find_spec("wandb") is None:
        raise InputError(
            "logger=wandb needs wandb, which is not installed. Run "
            "`pip install 'musicrag[tracking]'`, or choose logger=csv."
        )


def _check_channels(channels: Sequence[str], encoders: dict[str, Component]) -> None:
    if list(channels) == ["content"] and all(e.target is None for e in encoders.values()):
        raise InputError(
            "retrieval.channels holds content only, but no modality is encoded, so nothing can "
            "be retrieved. Add gnn, bm25 or walk, or choose an encoder in features."
        )


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
        _named(f"features/{modality}={component.name}", component.build)
    return component


def _check_evaluation(evaluation: EvaluationConfig) -> None:
    _check_all(evaluation.metrics, METRICS, "evaluation.metrics")
    _check_all(evaluation.baselines, BASELINES, "evaluation.baselines")
    _check_metric("evaluation.primary", evaluation.primary, METRICS, evaluation)
    computed = {evaluation.primary.partition("@")[0], *evaluation.metrics, *PATH_METRICS}
    for text in evaluation.table:
        _check_metric("evaluation.table", text, (*METRICS, *PATH_METRICS), evaluation)
        name = text.partition("@")[0]
        if name not in computed:
            raise InputError(
                f"evaluation.table: {text} is not computed. Add {name} to evaluation.metrics."
            )


def _check_metric(key: str, text: str, names: Sequence[str], evaluation: EvaluationConfig) -> None:
    metric = _named(key, lambda: parse_metric(text, names))
    if metric.k not in evaluation.k:
        cuts = ", ".join(map(str, evaluation.k))
        raise InputError(
            f"{key}: {text} is not computed, because its cut-off is not in evaluation.k ({cuts}). "
            f"Add {metric.k} to evaluation.k."
        )


def _check_all(given: list[str], allowed: object, key: str) -> None:
    names = list(allowed)  # type: ignore[call-overload]
    for name in given:
        if name not in names:
            hint = nearest(name, names)
            raise InputError(f"{key}: {name!r} does not exist.{hint} Allowed: {', '.join(names)}.")
