"""A collection answers: items for a user, a playlist or a text, each with the path to it.

The same channels, weights and kinds of query as in the run that the collection was published from
(:mod:`musicrag.retrieval`); what is known of a profile is all of its rows.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musicrag.collection.contents import Contents
from musicrag.contracts import Query, Ranking
from musicrag.rag.template import render
from musicrag.retrieval.channels import (
    Bm25Channel,
    Channel,
    ContentChannel,
    GraphVectorChannel,
    WalkChannel,
)
from musicrag.retrieval.hybrid import HybridRetriever
from musicrag.retrieval.queries import common_words, item_nodes, item_texts
from musicrag.types import InputError, IntArray, Node, Path, nearest

_LISTS = {"User": ("interactions", "user_id"), "Playlist": ("playlist_items", "playlist_id")}
_LINKED_TYPES = ("Artist", "Genre", "Mood", "Tag", "Album", "Song")  # first wins for equal names
_LONGEST_NAME = 8  # words of a text that may be one name
_NUM_SPELLINGS = 2_000
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Recommendation:
    """One item.

    Attributes:
        score: comparable within one answer only; higher is better.
        path: the best path from where the question starts to the item; None if there is none.
        reason: the path in words, or "".
    """

    item_id: str
    title: str
    score: float
    path: Path | None
    reason: str


class Recommender:
    """Answers from one state of a collection; building it takes seconds, asking milliseconds."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._graph = contents.knowledge
        self._dataset = contents.dataset
        self._items = item_nodes(self._graph, self._dataset)
        self._labels, self._lyrics = item_texts(contents.tables, self._dataset)
        self._titles = dict(
            zip(contents.tables["items"]["item_id"], contents.tables["items"]["title"], strict=True)
        )
        self._channels = self._make_channels()

    def for_user(self, user_id: str, k: int = 10) -> list[Recommendation]:
        """What a user may like; without what they have listened to.

        Raises:
            InputError: the user is unknown (names the nearest spelling), or ``k`` is not above 0.
        """
        node, history = self._profile("User", user_id)
        text = common_words(history, self._labels)
        return self._answer(
            Query(f"user:{user_id}", node, text, np.array([node]), history, history), k
        )

    def for_playlist(self, playlist_id: str, k: int = 10) -> list[Recommendation]:
        """What continues a playlist.

        Raises:
            InputError: the playlist is unknown, or ``k`` is not above 0.
        """
        node, history = self._profile("Playlist", playlist_id)
        text = self._graph.names.get(Node("Playlist", playlist_id)) or common_words(
            history, self._labels
        )
        anchors = self._items[history]
        query = Query(f"playlist:{playlist_id}", node, text, anchors, history, history)
        return self._answer(query, k)

    def for_text(self, text: str, k: int = 10, user_id: str | None = None) -> list[Recommendation]:
        """What fits a text; names in it of artists, genres, moods, tags, albums or songs count.

        Args:
            text: what somebody asks for.
            k: how many items.
            user_id: who asks; None for anybody.

        Raises:
            InputError: the text has no words, the user is unknown, or ``k`` is not above 0.
        """
        if not _tokens(text):
            raise InputError(f"The text {text!r} has no words. Say what you would like to hear.")
        profile = -1 if user_id is None else self._profile("User", user_id)[0]
        anchors = self.mentioned(text)
        seeds = np.flatnonzero(np.isin(self._items, anchors))
        return self._answer(Query("text:asked", profile, text, anchors, seeds, seeds), k)

    def mentioned(self, text: str) -> IntArray:
        """Nodes whose names stand in a text, longest names first; no word counts twice."""
        words = _tokens(text)
        is_free = [True] * len(words)
        found: list[int] = []
        for length in range(min(_LONGEST_NAME, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                span = slice(start, start + length)
                node = self._named.get(" ".join(words[span]))
                if node is not None and all(is_free[span]):
                    found.append(node)
                    is_free[span] = [False] * length
        return np.unique(np.array(found, dtype=np.int64))

    def _profile(self, node_type: str, raw_id: str) -> tuple[int, IntArray]:
        """Node of a user or playlist, and the items that they have."""
        known = self._graph.nodes.get(node_type)
        if known is None or raw_id not in known:
            ids = known.ids if known is not None else ()
            raise InputError(
                f"There is no {node_type.lower()} {raw_id!r} in this collection of {len(ids):,}."
                f"{nearest(raw_id, _around(raw_id, ids))}"
            )
        history = self._histories[node_type].get(raw_id, _NOTHING)
        return self._graph.index(Node(node_type, raw_id)), history

    @cached_property
    def _histories(self) -> dict[str, dict[str, IntArray]]:
        """Item indices of each user and playlist, ascending."""
        found: dict[str, dict[str, IntArray]] = {}
        for node_type, (table, column) in _LISTS.items():
            rows = self._contents.tables.get(table)
            if rows is None:
                found[node_type] = {}
                continue
            items = self._dataset.items.encode(rows["item_id"].array)
            groups = rows.groupby(column).indices
            found[node_type] = {str(raw): np.sort(items[at]) for raw, at in groups.items()}
        return found

    @cached_property
    def _named(self) -> dict[str, int]:
        """Node of each name, in lower case; a song needs a title of two words or more."""
        found: dict[str, int] = {}
        for node_type in (kind for kind in _LINKED_TYPES if kind in self._graph.nodes):
            for raw_id in self._graph.nodes[node_type].ids:
                node = Node(node_type, raw_id)
                words = _tokens(self._graph.name(node))
                if len(words) > (node_type == "Song"):
                    found.setdefault(" ".join(words), self._graph.index(node))
        return found

    def _make_channels(self) -> list[Channel]:
        contents, channels = self._contents, list[Channel]()
        for name in contents.retrieval.channels:
            if name == "gnn" and contents.vectors is not None:
                vectors = contents.vectors
                channels.append(GraphVectorChannel(vectors, vectors[self._items]))
            elif name == "content":
                channels += [
                    ContentChannel(modality, saved.space)
                    for modality, saved in contents.features.items()
                    if saved.space.num_directions
                ]
            elif name == "bm25":
                channels.append(Bm25Channel(self._texts()))
            elif name == "walk":
                steps = contents.retrieval.max_hops
                channels.append(WalkChannel(self._graph, self._items, steps))
        return channels

    def _texts(self) -> list[str]:
        """Labels and lyrics; lyrics only where the collection was made with them."""
        with_lyrics = "lyrics" in self._contents.features
        pairs = zip(self._labels, self._lyrics, strict=True)
        return [f"{label} {words if with_lyrics else ''}".strip() for label, words in pairs]

    def _answer(self, query: Query, k: int) -> list[Recommendation]:
        if k < 1:
            raise InputError(f"k={k} is not allowed. Ask for 1 item or more.")
        settings = self._contents.retrieval
        retriever = HybridRetriever(
            self._channels,
            self._graph,
            self._items,
            settings.fusion,
            settings.num_candidates,  # whatever k is: more items never change the first ones
            settings.max_hops,
            k * settings.paths_per_item,
            settings.paths_per_item,
        )
        retriever.weights = _weights(self._channels, self._contents.fusion_weights)
        return self._worded(retriever.retrieve([query], k)[0])

    def _worded(self, ranking: Ranking) -> list[Recommendation]:
        best: dict[str, Path] = {}
        for scored in ranking.paths:  # best first
            best.setdefault(scored.path.target.id, scored.path)
        answers = []
        for idx, score in zip(ranking.item_idx, ranking.scores, strict=True):
            item_id = self._dataset.items.ids[idx]
            path = best.get(item_id)
            reason = "" if path is None else render(path, self._graph)
            answers.append(
                Recommendation(item_id, str(self._titles[item_id]), float(score), path, reason)
            )
        return answers


def _weights(
    channels: Sequence[Channel], weights: Mapping[str, Mapping[str, float]]
) -> dict[str, np.ndarray]:
    """Weights of each query type in the order of the channels; an unnamed channel has none."""
    return {
        query_type: np.array([of_type.get(c.name, 0.0) for c in channels], dtype=np.float32)
        for query_type, of_type in weights.items()
    }


def _around(raw_id: str, ids: Sequence[str]) -> Sequence[str]:
    """Ids that sort near one: comparing the spelling of millions would take minutes."""
    place = bisect_left(ids, raw_id)
    return ids[max(place - _NUM_SPELLINGS, 0) : place + _NUM_SPELLINGS]


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
