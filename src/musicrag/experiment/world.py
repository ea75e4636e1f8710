"""What all runs over the same data share: tables, split, graph, queries, and their truth.

Built once a process for each combination of data, split and graph settings. Features and seeds
are not in here, so every variant of an ablation is measured on one and the same world.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel
from scipy import sparse

from musicrag.contracts import Dataset, Query, Source, Split
from musicrag.evaluation.gold import Gold, gold_paths
from musicrag.evaluation.metrics import evaluate_ranked
from musicrag.experiment.stored import stored
from musicrag.graph.build import graph_rows
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.report import write_report
from musicrag.graph.rows import GraphRows
from musicrag.graph.validation import require_valid
from musicrag.retrieval.queries import (
    item_nodes,
    item_texts,
    profile_nodes,
    profile_queries,
    text_queries,
)
from musicrag.schema import Component, GraphConfig, RunConfig, SplitConfig, TablesConfig
from musicrag.tables.clean import clean
from musicrag.tables.leaks import check_no_leak, training_tables
from musicrag.tables.splits import HasPredefinedTest, split
from musicrag.types import InputError, IntArray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """Queries and which items answer them; row i of ``relevance`` belongs to query i."""

    queries: tuple[Query, ...]
    relevance: sparse.csr_matrix

    def score(self, queries: Sequence[Query], ranked: IntArray, metric: str) -> float:
        """Mean of one metric over some of the queries, for tuning. Shape of ranked ``[Q, k]``."""
        places = {query.query_id: row for row, query in enumerate(self.queries)}
        rows = [places[query.query_id] for query in queries]
        ids = [query.query_id for query in queries]
        return evaluate_ranked(ids, ranked, self.relevance[rows], [metric]).mean()[metric]


@dataclass(frozen=True)
class World:
    """Everything that a run needs apart from features, models and seeds.

    Attributes:
        tables: leak-free tables with training rows only.
        rows, graph: built from ``tables``, as the store holds them.
        item_nodes, profile_nodes: global node indices.
        labels, lyrics: item texts for word search.
        valid, test: queries with their relevant items.
        gold: gold paths of the test queries.
    """

    dataset: Dataset
    split: Split
    tables: Mapping[str, pd.DataFrame]
    rows: GraphRows
    graph: KnowledgeGraph
    item_nodes: IntArray
    profile_nodes: IntArray
    labels: Sequence[str]
    lyrics: Sequence[str]
    valid: Judged
    test: Judged
    gold: Gold


class _DataKey(BaseModel):
    """The settings that a data set depends on."""

    data: Component
    tables: TablesConfig


class _WorldKey(_DataKey):
    """The settings that a world depends on."""

    split: SplitConfig
    graph: GraphConfig
    max_hops: int
    gold_per_item: int


def open_dataset(config: RunConfig) -> Dataset:
    """Load and clean the data of a run; memoised within the process."""
    return _open(_data_key(config))[0]


def build_world(config: RunConfig) -> World:
    """Load, clean, split and connect the data of a run; memoised within the process.

    Raises:
        InputError: the data cannot be used, or a cut-off exceeds the catalogue.
    """
    key = _WorldKey(
        data=config.data,
        tables=config.tables,
        split=config.split,
        graph=config.graph,
        max_hops=config.evaluation.max_hops,
        gold_per_item=config.evaluation.gold_per_item,
    )
    num_items = len(open_dataset(config).items)
    if config.evaluation.depth > num_items:
        raise InputError(
            f"evaluation.depth={config.evaluation.depth} is larger than the catalogue of "
            f"{num_items} items. Set evaluation.depth={num_items} or lower, and "
            f"evaluation.k to values up to it."
        )
    return _build_world(key.model_dump_json())


def check_graph(config: RunConfig) -> Path:
    """Build the graph of a run, report on it, check it, and load it into its store.

    Returns:
        The report; it is there even if a rule is violated.

    Raises:
        InputError: a rule is violated, or the store cannot be reached.
    """
    dataset, source = _open(_data_key(config))
    parts = _split(config.split, dataset, source)
    rows = connect(config.graph, training_tables(dataset, parts), dataset, parts)
    folder = Path(config.paths.output_dir) / "graphs" / rows.content_hash[:16]
    report = write_report(rows, folder)
    require_valid(rows)
    stored(config.graph, rows)
    return report


def _data_key(config: RunConfig | _WorldKey) -> str:
    return _DataKey(data=config.data, tables=config.tables).model_dump_json()


@lru_cache(maxsize=2)
def _open(key: str) -> tuple[Dataset, Source]:
    config = _DataKey.model_validate_json(key)
    source: Source = config.data.build()
    raw = source.load()
    tables = config.tables
    dataset = clean(
        source.name, source.item_type, raw, tables.on_invalid, tables.min_playlist_items
    )
    return dataset, source


@lru_cache(maxsize=2)
def _build_world(key: str) -> World:
    config = _WorldKey.model_validate_json(key)
    dataset, source = _open(_data_key(config))
    parts = _split(config.split, dataset, source)
    tables = training_tables(dataset, parts)
    check_no_leak(tables, dataset, parts)
    rows = connect(config.graph, tables, dataset, parts)
    require_valid(rows)
    rows = stored(config.graph, rows)
    graph = KnowledgeGraph.from_rows(rows)
    labels, lyrics = item_texts(tables, dataset)
    valid = _judged(dataset, parts, graph, labels, "valid")
    test = _judged(dataset, parts, graph, labels, "test")
    ids = dataset.items.ids
    relevant = {
        query.query_id: [ids[i] for i in test.relevance[row].indices]
        for row, query in enumerate(test.queries)
    }
    planted = dataset.tables.get("gold_paths")
    started = time.perf_counter()
    gold = gold_paths(test.queries, relevant, graph, planted, config.max_hops, config.gold_per_item)
    log.info("gold paths of %d queries; %.1f s", len(gold), time.perf_counter() - started)
    places = (item_nodes(graph, dataset), profile_nodes(graph, parts))
    texts = (labels, lyrics)
    return World(dataset, parts, tables, rows, graph, *places, *texts, valid, test, gold)


def connect(
    config: GraphConfig, tables: Mapping[str, pd.DataFrame], dataset: Dataset, parts: Split
) -> GraphRows:
    """The graph of leak-free tables."""
    return graph_rows(
        tables,
        dataset.item_type,
        parts.profiles,
        config.relations,
        config.min_tag_items,
        config.num_cooccurring,
        config.num_similar_mood,
    )


def _split(config: SplitConfig, dataset: Dataset, source: Source) -> Split:
    given = source.predefined_test() if isinstance(source, HasPredefinedTest) else None
    train_ratio = 1.0 - config.valid_ratio - config.test_ratio
    return split(
        dataset,
        np.random.default_rng(config.seed),
        (train_ratio, config.valid_ratio, config.test_ratio),
        config.strategy,
        given,
    )


def _judged(
    dataset: Dataset,
    parts: Split,
    graph: KnowledgeGraph,
    labels: Sequence[str],
    part: Literal["valid", "test"],
) -> Judged:
    """Profile queries and text queries of one part, with their relevant items."""
    profiles = profile_queries(parts, graph, dataset, labels, part)
    chosen = parts.text_valid if part == "valid" else parts.text_test
    texts = text_queries(dataset, graph, chosen, parts)
    held_out = parts.valid if part == "valid" else parts.test
    rows = held_out[[query.profile_idx for query in profiles]]
    rows = sparse.csr_matrix((np.ones_like(rows.data), rows.indices, rows.indptr), rows.shape)
    answers = _text_relevance(dataset, [query.query_id.partition(":")[2] for query in texts])
    return Judged((*profiles, *texts), sparse.vstack([rows, answers], format="csr"))


def _text_relevance(dataset: Dataset, query_ids: Sequence[str]) -> sparse.csr_matrix:
    shape = (len(query_ids), len(dataset.items))
    if not query_ids:
        return sparse.csr_matrix(np.zeros(shape, dtype=np.float32))
    places = {query_id: row for row, query_id in enumerate(query_ids)}
    qrels = dataset.tables["qrels"]
    qrels = qrels[qrels["query_id"].isin(places)]
    rows = qrels["query_id"].map(places).to_numpy()
    items = dataset.items.encode(qrels["item_id"].array)
    gains = qrels["gain"].to_numpy(dtype=np.float32)
    return sparse.csr_matrix((gains, (rows, items)), shape=shape)
