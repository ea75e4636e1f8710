"""The typed shape of a run's configuration, and the checks made before any data is loaded.

Hydra composes YAML; :func:`parse` turns the result into a frozen :class:`RunConfig` or raises one
:class:`InputError` that lists every wrong key with the allowed values and the nearest spelling.
Nodes with a ``_target_`` (sources, encoders, layers, generators) are checked against the
signature of the class that they name, so a new component needs no line here.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from musicrag.types import InputError, nearest

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(gt=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    """Refuse a list that names something twice."""
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice")
    return values


Distinct = Annotated[list[T], AfterValidator(_distinct)]
DistinctSome = Annotated[list[T], Field(min_length=1), AfterValidator(_distinct)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Component(BaseModel):
    """A choice with a class behind it: its name, the class path, and constructor arguments."""

    model_config = ConfigDict(frozen=True)

    name: str
    target: str | None
    params: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _split(cls, node: Any) -> Any:
        if not isinstance(node, Mapping) or "_target_" not in node:
            return node
        params = {key: value for key, value in node.items() if key not in ("name", "_target_")}
        return {"name": node.get("name"), "target": node["_target_"], "params": params}

    def build(self, **extra: Any) -> Any:
        """Construct the component; ``extra`` holds what the run, not the yaml, knows."""
        if self.target is None:
            raise InputError(f"{self.name!r} is no component to build.")
        return locate(self.target)(**self.params, **extra)


class _NoArguments(_Strict):
    """What ``auto`` and ``none`` take."""


class TablesConfig(_Strict):
    """How rows are checked on their way in."""

    on_invalid: Literal["error", "reject"]
    min_playlist_items: Annotated[int, Field(ge=2)]


class SplitConfig(_Strict):
    """How profiles are parted into train, valid and test."""

    strategy: Literal["auto", "random", "temporal", "tail", "cold_items"]
    seed: NonNegative
    valid_ratio: Ratio
    test_ratio: Ratio

    @model_validator(mode="after")
    def _leave_train(self) -> SplitConfig:
        if self.valid_ratio + self.test_ratio >= 1.0:
            raise ValueError("valid_ratio + test_ratio must be below 1, so that train has rows")
        return self


class FeaturesConfig(_Strict):
    """One encoder for each modality; ``none`` leaves the modality out."""

    lyrics: Component
    audio: Component
    emotion: Component


class GraphConfig(_Strict):
    """Which relations the knowledge graph holds."""

    name: str
    relations: Distinct[str] | None
    min_tag_items: Positive
    num_cooccurring: NonNegative
    num_similar_mood: NonNegative


class GnnConfig(_Strict):
    """The graph network and how it is trained."""

    name: str
    layer: Component
    embedding_dim: Positive
    num_layers: NonNegative
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    cold_dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    loss: Literal["softmax", "bpr"]
    temperature: PositiveFloat
    num_negatives: Positive
    batches_per_epoch: Positive
    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    num_epochs: Positive
    validate_every: Positive
    patience: Positive


class RetrievalConfig(_Strict):
    """Which channels give candidates and how their lists become one."""

    name: str
    channels: DistinctSome[Literal["gnn", "content", "bm25", "walk"]]
    fusion: Literal["convex", "rrf"]
    num_candidates: Positive
    max_hops: Annotated[int, Field(ge=1, le=3)]
    paths_per_item: Positive


class EvaluationConfig(_Strict):
    """What is measured, and against which baselines."""

    name: str
    k: DistinctSome[Positive]
    metrics: DistinctSome[str]
    primary: str
    table: DistinctSome[str]
    depth: Positive
    num_paths: Positive
    max_hops: Annotated[int, Field(ge=1, le=3)]
    gold_per_item: Positive
    baselines: Distinct[str]
    tuning_budget: Positive

    @model_validator(mode="after")
    def _depth_covers_k(self) -> EvaluationConfig:
        if max(self.k) > self.depth:
            raise ValueError(f"depth must be at least the largest k, {max(self.k)}")
        if max(self.k) > self.num_paths:
            raise ValueError(f"num_paths must be at least the largest k, {max(self.k)}")
        return self


class TrainerConfig(_Strict):
    """Where training runs; the words are Lightning's."""

    name: str
    accelerator: Literal["cpu", "gpu", "auto"]
    devices: Positive
    num_nodes: Positive
    strategy: Literal["auto", "ddp", "ddp_spawn", "ddp_fork"]
    precision: Literal["32-true", "16-mixed", "bf16-mixed"]
    gradient_clip_val: NonNegativeFloat | None
    num_threads: NonNegative
    progress_bar: bool

    @model_validator(mode="after")
    def _cpu_has_no_half(self) -> TrainerConfig:
        if self.accelerator == "cpu" and self.precision == "16-mixed":
            raise ValueError("precision 16-mixed needs a GPU; on a CPU take 32-true or bf16-mixed")
        return self


class LoggerConfig(_Strict):
    """Where training curves go."""

    name: Literal["csv", "wandb", "none"]
    project: str
    mode: Literal["online", "offline"]


class ExperimentConfig(_Strict):
    """The study that a run belongs to; its name is the folder below ``paths.output_dir``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class PathsConfig(_Strict):
    """Where results and caches go."""

    output_dir: Annotated[str, Field(min_length=1)]
    cache_dir: Annotated[str, Field(min_length=1)]


class RunConfig(_Strict):
    """Everything that one run depends on."""

    seed: NonNegative
    experiment: ExperimentConfig
    data: Component
    tables: TablesConfig
    split: SplitConfig
    features: FeaturesConfig
    graph: GraphConfig
    gnn: GnnConfig
    retrieval: RetrievalConfig
    generator: Component
    evaluation: EvaluationConfig
    trainer: TrainerConfig
    logger: LoggerConfig
    paths: PathsConfig


def locate(target: str) -> Callable[..., Any]:
    """Import the class that a ``_target_`` names; only musicrag's own and installed ones exist.

    Raises:
        InputError: there is no such module or class; names the nearest spelling.
    """
    module_name, _, attribute = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise InputError(f"_target_ {target!r} cannot be imported: {error}.") from error
    found = getattr(module, attribute, None)
    if not inspect.isclass(found):
        hint = nearest(attribute, (n for n, v in vars(module).items() if inspect.isclass(v)))
        raise InputError(f"_target_ {target!r}: {module_name} has no class {attribute!r}.{hint}")
    constructor: Callable[..., Any] = found
    return constructor


_INJECTED = frozenset({"embedding_dim", "num_relations", "graph", "item_ids"})
"""Arguments of layers and generators that the run fills in, so a yaml must not."""


def signature_model(target: str) -> type[BaseModel]:
    """Return a pydantic model of the constructor arguments of the class ``target``."""
    constructor = locate(target)
    hints = get_type_hints(constructor.__init__)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        if name in _INJECTED:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    return create_model(target.rpartition(".")[2], __config__=config, **fields)


def defaults_of(target: str) -> dict[str, Any]:
    """Constructor defaults of a component, for ``auto`` choices that no yaml spells out."""
    fields = signature_model(target).model_fields
    return {name: field.default for name, field in fields.items() if not field.is_required()}


def parse(config: DictConfig) -> RunConfig:
    """Resolve and check a composed config.

    Raises:
        InputError: lists every unknown key, wrong type, bad value and impossible combination.
    """
    plain = OmegaConf.create({key: node for key, node in _nodes(config) if key != "hydra"})
    values = _plain_values(plain)
    try:
        run = RunConfig.model_validate(values)
        problems = []
    except ValidationError as error:
        problems = list(error.errors())
    problems += _component_problems(RunConfig, values, ())
    if problems:
        lines = [_explain(problem, values) for problem in problems]
        raise InputError("The configuration is wrong:\n" + "\n".join(lines))
    return run


def _plain_values(config: DictConfig) -> Any:
    """All interpolations replaced; a value that is still ``???`` is an error."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise InputError(
                f"Not set: {', '.join(missing)}. Give a value, such as "
                f"{missing[0]}=/path/to/folder."
            )
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).replace("\n", ";")
        raise InputError(f"The configuration cannot be resolved: {reason}.") from error


def _nodes(config: DictConfig) -> Iterator[tuple[str, Any]]:
    for key in config:
        yield str(key), config._get_node(key)


def _component_problems(
    model: type[BaseModel], values: Any, location: tuple[str, ...]
) -> list[Any]:
    """What the constructors behind all ``_target_`` nodes say about their arguments."""
    problems: list[Any] = []
    for name, info in model.model_fields.items():
        node = values.get(name) if isinstance(values, Mapping) else None
        if not isinstance(node, Mapping) or not inspect.isclass(info.annotation):
            continue
        here = (*location, name)
        if info.annotation is Component and "_target_" in node:
            problems += _signature_problems(node, here)
        elif issubclass(info.annotation, BaseModel):
            problems += _component_problems(info.annotation, node, here)
    return problems


def _signature_problems(node: Mapping[str, Any], location: tuple[str, ...]) -> list[Any]:
    arguments = {key: value for key, value in node.items() if key not in ("name", "_target_")}
    try:
        if node["_target_"] is None:
            _NoArguments.model_validate(arguments)
        else:
            signature_model(node["_target_"]).model_validate(arguments)
    except InputError as error:
        return [{"type": "value_error", "loc": location, "ctx": {"error": error}}]
    except ValidationError as error:
        return [{**problem, "loc": (*location, *problem["loc"])} for problem in error.errors()]
    return []


def _explain(problem: Mapping[str, Any], values: Any) -> str:
    """One line for one pydantic error: dotted key, what is wrong, what is allowed."""
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    siblings = _known_keys(location[:-1], values)
    if problem["type"] == "extra_forbidden":
        hint = nearest(location[-1], siblings)
        return f"  {dotted}: unknown key.{hint} Allowed here: {', '.join(sorted(siblings))}."
    if problem["type"] == "missing":
        return f"  {dotted}: this key is missing. Give it a value."
    if problem["type"] == "value_error":
        reason = str(problem["ctx"]["error"])
        return f"  {dotted or 'config'}: {reason}{'' if reason[-1] in '.?' else '.'}"
    if problem["type"] in ("model_type", "model_attributes_type"):
        return (
            f"  {dotted}: a section of keys, got {problem['input']!r}. Choose one with "
            f"{'/'.join(location)}=OPTION, or set a key inside."
        )
    if problem["type"] == "list_type":
        return (
            f"  {dotted}: needs a list, got {problem['input']!r}. "
            f"Write {dotted}=[{problem['input']}]."
        )
    if problem["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
        hint = nearest(str(problem["input"]), allowed)
        return f"  {dotted}: {problem['input']!r} is not one of {', '.join(allowed)}.{hint}"
    return f"  {dotted}: {problem['msg']}, got {problem['input']!r}."


def _known_keys(location: list[str], values: Any) -> list[str]:
    """Keys allowed in the section ``location``."""
    model: type[BaseModel] = RunConfig
    node = values
    for part in location:
        if part not in model.model_fields:
            return []
        annotation = model.model_fields[part].annotation
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
        if annotation is Component:
            target = node.get("_target_")
            model = signature_model(target) if target else _NoArguments
        elif inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            model = annotation
        else:
            return []
    return list(model.model_fields)
