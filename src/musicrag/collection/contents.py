"""All that a collection holds, as one immutable value.

Everything that answers or grows is a function of it. Knows neither folders nor how it was trained.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from musicrag.artifacts import hash_frames
from musicrag.collection.changes import ANSWERS, REJECT_COLUMNS
from musicrag.contracts import Dataset, Encoder
from musicrag.features.saved import SavedModality
from musicrag.gnn.saved import SavedNetwork
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.rows import GraphRows
from musicrag.retrieval.fusion import Fusion
from musicrag.types import FloatArray, InputError


@dataclass(frozen=True)
class EncoderSpec:
    """How to build an encoder again: its name, its class, and the arguments of its constructor."""

    name: str
    target: str
    params: Mapping[str, object] = field(default_factory=dict)

    def build(self) -> Encoder:
        """Construct it; raises :class:`InputError` if there is no such class."""
        module, _, attribute = self.target.rpartition(".")
        try:
            encoder: Encoder = getattr(importlib.import_module(module), attribute)(**self.params)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"The collection's encoder {self.name!r} cannot be built from {self.target} "
                f"({error}). Install the version of musicrag that made the collection."
            ) from error
        return encoder


@dataclass(frozen=True)
class GraphSettings:
    """How the graph was made of the tables; the arguments of ``graph.build.graph_rows``."""

    relations: tuple[str, ...] | None
    min_tag_items: int
    num_cooccurring: int
    num_similar_mood: int


@dataclass(frozen=True)
class RetrievalSettings:
    """How candidates are found and fused; the names are those of ``conf/retrieval``."""

    channels: tuple[str, ...]
    fusion: Fusion
    num_candidates: int
    max_hops: int
    paths_per_item: int


@dataclass(frozen=True)
class Contents:
    """One state of a collection.

    Attributes:
        name: the data set's name.
        item_type: node type of the items, ``Song`` or ``Artist``.
        tables: clean tables with training rows only, without answers.
        rows: the graph of these tables, made with ``graph``, and its derived edges.
        encoders: what made the features, by modality.
        features: raw rows, scale and taste space by modality; row i = item i.
        network: the trained graph network, or None.
        vectors: a vector for each row of ``rows.nodes``, float32 ``[num_nodes, d]``, or None.
        graph: how the graph is made.
        retrieval: how candidates are found.
        fusion_weights: weight of each channel for each query type, as
            ``HybridRetriever.report`` gives them; a query type that is not in here weighs all
            channels alike.

    Raises:
        InputError: the parts do not fit each other.
    """

    name: str
    item_type: str
    tables: Mapping[str, pd.DataFrame]
    rows: GraphRows
    encoders: Mapping[str, EncoderSpec]
    features: Mapping[str, SavedModality]
    network: SavedNetwork | None
    vectors: FloatArray | None
    graph: GraphSettings
    retrieval: RetrievalSettings
    fusion_weights: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        faults = [f"table {name} holds answers" for name in ANSWERS if name in self.tables]
        if self.item_type != self.rows.item_type:
            faults.append(f"items are {self.item_type}, those of the graph {self.rows.item_type}")
        if set(self.encoders) != set(self.features):
            faults.append(
                f"encoders of {sorted(self.encoders)} but features of {sorted(self.features)}"
            )
        num_items, num_nodes = len(self.tables["items"]), len(self.rows.nodes)
        for modality, saved in self.features.items():
            counts = {len(saved.raw.present), len(saved.space.items)}
            if counts != {num_items}:
                faults.append(f"{num_items} items but {sorted(counts)} rows of {modality}")
        if (self.network is None) != (self.vectors is None):
            faults.append("a network without vectors, or vectors without a network")
        if self.vectors is not None and len(self.vectors) != num_nodes:
            faults.append(f"{num_nodes} nodes but {len(self.vectors)} vectors")
        if faults:
            raise InputError(f"The contents of a collection do not fit: {'; '.join(faults)}.")

    @cached_property
    def dataset(self) -> Dataset:
        """The tables as encoders take them; its hash is of the tables, not of sound files."""
        rejects = pd.DataFrame({column: [] for column in REJECT_COLUMNS})
        digest = hash_frames(self.tables)
        return Dataset(self.name, self.item_type, self.tables, rejects, digest)

    @cached_property
    def knowledge(self) -> KnowledgeGraph:
        """The graph, ready for propagation and path search."""
        return KnowledgeGraph.from_rows(self.rows)
