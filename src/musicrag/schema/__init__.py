"""The typed shape of a run's configuration, and the checks made before any data is loaded.

Hydra composes YAML; :func:`parse` turns the result into a frozen :class:`RunConfig` or raises one
:class:`InputError` that lists every wrong key with the allowed values and the nearest spelling.
"""

from musicrag.schema.component import Component, defaults_of, locate, signature_model
from musicrag.schema.models import (
    EvaluationConfig,
    ExperimentConfig,
    FeaturesConfig,
    GnnConfig,
    GraphConfig,
    LoggerConfig,
    PathsConfig,
    RetrievalConfig,
    RunConfig,
    SplitConfig,
    TablesConfig,
    TrainerConfig,
)
from musicrag.schema.parsing import parse

__all__ = [
    "Component",
    "EvaluationConfig",
    "ExperimentConfig",
    "FeaturesConfig",
    "GnnConfig",
    "GraphConfig",
    "LoggerConfig",
    "PathsConfig",
    "RetrievalConfig",
    "RunConfig",
    "SplitConfig",
    "TablesConfig",
    "TrainerConfig",
    "defaults_of",
    "locate",
    "parse",
    "signature_model",
]
