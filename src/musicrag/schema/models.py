"""The typed shape of a run's configuration: one frozen model for each section."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from musicrag.schema.component import Component

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
    """Which relations the knowledge graph holds, and which database holds it."""

    name: str
    relations: Distinct[str] | None
    min_tag_items: Positive
    num_cooccurring: NonNegative
    num_similar_mood: NonNegative
    source: Literal["tables", "store"]
    store: Component

    @model_validator(mode="after")
    def _source_is_there(self) -> GraphConfig:
        if self.source == "store" and self.store.target is None:
            raise ValueError("source=store needs a store; choose graph=ladybug or graph=neo4j")
        return self


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
