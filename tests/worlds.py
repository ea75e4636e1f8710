"""Small graphs, planted worlds and queries that the tests of graph, gnn and retrieval share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from musicrag.contracts import Dataset, Query, Split
from musicrag.features.taste import TasteSpace
from musicrag.graph.build import build_graph
from musicrag.graph.knowledge import Edges, KnowledgeGraph
from musicrag.types import BoolArray, FloatArray, IntArray, Node, Path, Vocabulary

Row = tuple[str, str, str, float]
"""``("User:u1", "LISTENED", "Song:s1", 2.0)``: one edge and its weight."""

NOTHING = np.empty(0, dtype=np.int64)
NO_PROFILES = pd.DataFrame({"profile_type": [], "profile_id": []}, dtype=str)


def path(*parts: str) -> Path:
    """``path("User:u1", "LISTENED", "Song:s1")``: nodes and relations in turn."""
    return Path(tuple(Node.parse(part) for part in parts[::2]), tuple(parts[1::2]))


def graph_of(
    rows: Iterable[Row], nodes: Iterable[str] = (), item_type: str = "Song"
) -> KnowledgeGraph:
    """A graph made without the builder, exactly of these edges and further nodes."""
    rows = list(rows)
    ids: dict[str, set[str]] = {item_type: set()}
    for text in [*nodes, *(end for source, _, target, _ in rows for end in (source, target))]:
        ids.setdefault(Node.parse(text).type, set()).add(Node.parse(text).id)
    found = {node_type: Vocabulary(members) for node_type, members in ids.items()}
    bare = KnowledgeGraph(found, {}, {}, item_type)
    edges = {}
    for name in {relation for _, relation, _, _ in rows}:
        part = [row for row in rows if row[1] == name]
        ends = [
            np.array([bare.index(Node.parse(str(row[end]))) for row in part], dtype=np.int64)
            for end in (0, 2)
        ]
        edges[name] = Edges(*ends, np.array([row[3] for row in part], dtype=np.float32))
    return KnowledgeGraph(found, edges, {}, item_type)


def rows_of(graph: KnowledgeGraph) -> list[Row]:
    """Inverse of :func:`graph_of`."""
    return [
        (str(graph.node(int(a))), name, str(graph.node(int(b))), float(w))
        for name, edges in graph.edges.items()
        for a, b, w in zip(edges.source, edges.target, edges.weight, strict=True)
    ]


def items_table(ids: Sequence[str], **columns: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame({"item_id": list(ids), "title": [f"Title {i}" for i in ids], **columns})


def dataset_of(tables: dict[str, pd.DataFrame], item_type: str = "Song") -> Dataset:
    rejects = pd.DataFrame(columns=["table", "row", "reason"])
    return Dataset("tiny", item_type, tables, rejects, "0" * 64)


def csr(shape: tuple[int, int], pairs: Iterable[tuple[int, int]]) -> sparse.csr_matrix:
    """Ones at ``pairs``."""
    rows, columns = np.array(list(pairs), dtype=np.int64).reshape(-1, 2).T
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)


@dataclass(frozen=True)
class Blocks:
    """Profiles that listen within their own block of items; the last item of each block is new."""

    graph: KnowledgeGraph
    train: sparse.csr_matrix
    item_nodes: IntArray
    profile_nodes: IntArray
    features: FloatArray
    item_block: IntArray
    profile_block: IntArray
    is_warm: BoolArray


def blocks(num_profiles: int = 8, num_items: int = 9, num_known: int = 5) -> Blocks:
    """Two blocks. A profile knows ``num_known`` of its block; features tell the block, noisily."""
    rng = np.random.default_rng(0)
    pairs, new = [], [num_items - 1, 2 * num_items - 1]
    for profile in range(2 * num_profiles):
        first = profile // num_profiles * num_items
        known = first + rng.permutation(num_items - 1)[:num_known]
        pairs += [(profile, int(item)) for item in known]
    items = [f"s{item:02d}" for item in range(2 * num_items)]
    users = [f"u{profile:02d}" for profile in range(2 * num_profiles)]
    item_block = np.repeat([0, 1], num_items)
    tables = {
        "items": items_table(items, artist_id=[f"a{block}" for block in item_block]),
        "interactions": pd.DataFrame(
            {"user_id": [users[p] for p, _ in pairs], "item_id": [items[i] for _, i in pairs]}
        ),
    }
    profiles = pd.DataFrame({"profile_type": "user", "profile_id": users})
    graph = build_graph(tables, "Song", profiles, relations=["LISTENED"])
    signal = np.eye(2)[item_block] * 2 + rng.normal(0, 0.3, (2 * num_items, 2))
    is_warm = ~np.isin(np.arange(2 * num_items), new)
    return Blocks(
        graph,
        csr((len(users), len(items)), pairs),
        np.array([graph.index(Node("Song", i)) for i in items]),
        np.array([graph.index(Node("User", u)) for u in users]),
        signal.astype(np.float32),
        item_block,
        np.repeat([0, 1], num_profiles),
        is_warm,
    )


@dataclass(frozen=True)
class Pairs:
    """Items in pairs: who knows item ``2 q`` is to be given item ``2 q + 1``, whatever the channel.

    The last item has no vector, no feature, no text and no edge.
    """

    graph: KnowledgeGraph
    item_nodes: IntArray
    texts: list[str]
    space: TasteSpace
    profiles: FloatArray
    items: FloatArray
    queries: list[Query]


def pairs(num_pairs: int = 24) -> Pairs:
    """User ``q`` listened to item ``2 q``, which shares genre, word and place with its pair."""
    rng = np.random.default_rng(1)
    ids = [f"s{item:02d}" for item in range(2 * num_pairs + 1)]
    rows: list[Row] = []
    for q in range(num_pairs):
        rows.append((f"User:u{q:02d}", "LISTENED", f"Song:{ids[2 * q]}", 1.0))
        rows += [(f"Song:{ids[i]}", "HAS_GENRE", f"Genre:g{q}", 1.0) for i in (2 * q, 2 * q + 1)]
        rows += [(f"Song:{ids[2 * q + 1]}", "EVOKES", "Mood:any", 1.0)]
    graph = graph_of(rows, [f"Song:{item}" for item in ids])
    place = np.repeat(rng.normal(size=(num_pairs, 8)), 2, axis=0)
    place += rng.normal(0, 0.01, place.shape)
    vectors = np.vstack([place / np.linalg.norm(place, axis=1, keepdims=True), np.zeros(8)])
    present = np.arange(2 * num_pairs + 1) < 2 * num_pairs
    features = (10 * vectors).astype(np.float32)
    texts = [f"word{i // 2} song common" for i in range(2 * num_pairs)] + [""]
    queries = [
        Query(
            f"user:u{q:02d}",
            q,
            f"word{q} common",
            np.array([graph.index(Node("User", f"u{q:02d}"))]),
            np.array([2 * q]),
            np.array([2 * q]),
        )
        for q in range(num_pairs)
    ]
    return Pairs(
        graph,
        np.array([graph.index(Node("Song", item)) for item in ids]),
        texts,
        TasteSpace(features, np.full(8, 50.0), present),
        vectors[: 2 * num_pairs : 2].astype(np.float32),
        vectors.astype(np.float32),
        queries,
    )


def split_of(
    dataset: Dataset, train: dict[str, str], valid: dict[str, str], test: dict[str, str]
) -> Split:
    """A split by hand: ``{"user:u1": "s1 s2"}`` for each part; profiles in the order of train."""
    names = list(train)
    profiles = pd.DataFrame(
        [name.split(":") for name in names], columns=["profile_type", "profile_id"]
    )
    shape = (len(names), len(dataset.items))
    parts = [
        csr(
            shape,
            [
                (row, dataset.items.idx(i))
                for row, n in enumerate(names)
                for i in part.get(n, "").split()
            ],
        )
        for part in (train, valid, test)
    ]
    return Split(profiles, *parts)
