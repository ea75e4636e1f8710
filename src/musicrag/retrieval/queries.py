"""Profiles and text queries become the units that a retriever answers.

A user starts from its own node, a playlist from its training tracks, a text query from the nodes
that it mentions (docs/evaluation.md). Nothing here looks at held-out items except to exclude
validation items when testing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from musicrag.contracts import Dataset, Query, Split
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.types import IntArray, Node

_WORDS_OF_HISTORY = 12


def item_nodes(graph: KnowledgeGraph, dataset: Dataset) -> IntArray:
    """Global node index of each item. Shape ``[num_items]``."""
    return np.array([graph.index(Node(dataset.item_type, i)) for i in dataset.items.ids])


def profile_nodes(graph: KnowledgeGraph, split: Split) -> IntArray:
    """Global node index of each profile. Shape ``[num_profiles]``."""
    rows = split.profiles.itertuples(index=False)
    return np.array([graph.index(Node(t.capitalize(), i)) for t, i in rows], dtype=np.int64)


def item_texts(tables: Mapping[str, pd.DataFrame], dataset: Dataset) -> tuple[list[str], list[str]]:
    """Texts of all items from leak-free tables: labels (title, artist, album, tags) and lyrics."""
    items = tables["items"].set_index("item_id")
    artist: dict[str, str] = {}
    if "artists" in tables:
        artist = dict(zip(tables["artists"]["artist_id"], tables["artists"]["name"], strict=True))
    tags: dict[str, list[str]] = {}
    if "item_tags" in tables:
        unique = tables["item_tags"][["item_id", "tag"]].drop_duplicates()
        for item_id, tag in unique.itertuples(index=False):
            tags.setdefault(item_id, []).append(tag)
    lyrics = tables["lyrics"].set_index("item_id")["text"].to_dict() if "lyrics" in tables else {}
    labels = []
    for item_id in dataset.items.ids:
        row = items.loc[item_id]
        performer = artist.get(str(row.get("artist_id")), "")
        parts = [row["title"], performer, row.get("album"), *tags.get(item_id, [])]
        labels.append(" ".join(str(part) for part in parts if isinstance(part, str) and part))
    return labels, [str(lyrics.get(item_id, "")) for item_id in dataset.items.ids]


def profile_queries(
    split: Split,
    graph: KnowledgeGraph,
    dataset: Dataset,
    labels: Sequence[str],
    part: Literal["valid", "test"],
) -> list[Query]:
    """One query for each profile that has items in ``part``.

    Training items are excluded from the answer; for the test, validation items too.
    """
    titles: dict[str, str] = {}
    if "playlists" in dataset.tables:
        frame = dataset.tables["playlists"]
        titles = dict(zip(frame["playlist_id"], frame["title"], strict=True))
    target = split.valid if part == "valid" else split.test
    own, items = profile_nodes(graph, split), item_nodes(graph, dataset)
    ids = split.query_ids()
    queries = []
    for idx in np.flatnonzero(np.diff(target.indptr)).tolist():
        history = _row(split.train, idx)
        known = np.union1d(history, _row(split.valid, idx)) if part == "test" else history
        profile_type, profile_id = split.profiles.iloc[idx]
        is_user = profile_type == "user"
        anchors = own[[idx]] if is_user else items[history]
        title = "" if is_user else titles.get(profile_id, "")
        text = title or common_words(history, labels)
        queries.append(Query(ids[idx], idx, text, anchors, history, known))
    return queries


def text_queries(
    dataset: Dataset,
    graph: KnowledgeGraph,
    chosen: Sequence[str],
    split: Split,
) -> list[Query]:
    """One query for each chosen row of table ``queries``; its asker's history personalises it."""
    if not chosen:
        return []
    texts = dataset.tables["queries"].set_index("query_id")
    mentioned: dict[str, list[Node]] = {}
    if "query_anchors" in dataset.tables:
        for query_id, node_type, node_id in dataset.tables["query_anchors"].itertuples(index=False):
            mentioned.setdefault(query_id, []).append(Node(node_type, node_id))
    places = {q: idx for idx, q in enumerate(split.query_ids())}
    queries = []
    for query_id in chosen:
        row = texts.loc[query_id]
        anchors = [n for n in mentioned.get(query_id, []) if n.type in graph.nodes]
        anchors = [n for n in anchors if n.id in graph.nodes[n.type]]
        items = [n.id for n in anchors if n.type == dataset.item_type and n.id in dataset.items]
        seeds = dataset.items.encode(items)
        profile = places.get(f"user:{row.get('user_id')}", -1)
        nodes = np.array([graph.index(node) for node in anchors], dtype=np.int64)
        words = str(row["text"])
        queries.append(Query(f"text:{query_id}", profile, words, nodes, seeds, seeds))
    return queries


def _row(matrix: object, idx: int) -> IntArray:
    start, end = matrix.indptr[idx], matrix.indptr[idx + 1]  # type: ignore[attr-defined]
    return np.sort(matrix.indices[start:end]).astype(np.int64)  # type: ignore[attr-defined]


def common_words(history: IntArray, labels: Sequence[str]) -> str:
    """The words that most items of a history share, for profiles without a title."""
    counts = Counter(word for i in history for word in set(labels[i].lower().split()))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return " ".join(ranked[:_WORDS_OF_HISTORY])
