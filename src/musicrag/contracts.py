"""What passes between packages: the tables, the split, the feature matrix, and the protocols.

Each protocol has one contract test that runs over every implementation (``tests/contract``).
The column specifications below are the only ones: ``docs/data_format.md`` is checked against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from musicrag.types import (
    BoolArray,
    FloatArray,
    IntArray,
    Modality,
    Path,
    Qrels,
    Run,
    ScoredPath,
    Vocabulary,
)

ColumnType = Literal["id", "text", "float", "int", "json_path"]


@dataclass(frozen=True)
class Column:
    """One column of a table: its type, whether a file must have it, and what it means."""

    type: ColumnType
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class TableSpec:
    """The columns of one table, its unique key, and whether more numeric columns may follow."""

    meaning: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    has_feature_columns: bool = False


def _columns(**columns: tuple[ColumnType, str] | tuple[ColumnType, str, bool]) -> dict[str, Column]:
    return {name: Column(*spec) for name, spec in columns.items()}


_OBSERVER = "of the profile through which the row was seen; dropped when that pair is held out"

TABLES: dict[str, TableSpec] = {
    "items": TableSpec(
        "What is recommended, one row an item.",
        _columns(
            item_id=("id", "unique id"),
            title=("text", "name shown to a person"),
            artist_id=("id", "id of the performing artist", False),
            album=("text", "album title; its node id is `artist_id/title`", False),
            year=("int", "year of release", False),
            duration_s=("float", "length in seconds", False),
        ),
        key=("item_id",),
    ),
    "artists": TableSpec(
        "Names of the artists.",
        _columns(artist_id=("id", "unique id"), name=("text", "artist name")),
        key=("artist_id",),
    ),
    "users": TableSpec(
        "Listeners; users who occur only in `interactions` need no row here.",
        _columns(user_id=("id", "unique id"), name=("text", "shown name", False)),
        key=("user_id",),
    ),
    "interactions": TableSpec(
        "Who listened to what.",
        _columns(
            user_id=("id", "the listener"),
            item_id=("id", "the item, a row of `items`"),
            weight=("float", "play count or rating, > 0; 1 if absent", False),
            timestamp=("float", "Unix seconds; with it the split is temporal", False),
        ),
        key=("user_id", "item_id"),
    ),
    "playlists": TableSpec(
        "Titles of playlists.",
        _columns(playlist_id=("id", "unique id"), title=("text", "playlist title")),
        key=("playlist_id",),
    ),
    "playlist_items": TableSpec(
        "The tracks of each playlist, in order.",
        _columns(
            playlist_id=("id", "a row of `playlists`"),
            item_id=("id", "a row of `items`"),
            position=("int", "0-based place in the playlist"),
        ),
        key=("playlist_id", "item_id"),
    ),
    "item_tags": TableSpec(
        "Genres, moods and free tags of items.",
        _columns(
            item_id=("id", "a row of `items`"),
            tag=("id", "the tag itself, such as 'shoegaze'"),
            kind=("text", "genre, mood or tag"),
            weight=("float", "strength, > 0; 1 if absent", False),
            profile_type=("text", f"user or playlist: type {_OBSERVER}", False),
            profile_id=("id", f"id {_OBSERVER}", False),
        ),
        key=("item_id", "tag", "kind", "profile_type", "profile_id"),
    ),
    "lyrics": TableSpec(
        "The words of a song.",
        _columns(item_id=("id", "a row of `items`"), text=("text", "lyrics, UTF-8")),
        key=("item_id",),
    ),
    "audio": TableSpec(
        "Where a song's sound file lies.",
        _columns(
            item_id=("id", "a row of `items`"),
            path=("text", "file path; relative paths start at the data folder"),
        ),
        key=("item_id",),
    ),
    "audio_features": TableSpec(
        "Ready-made audio features instead of sound files; every further column is numeric.",
        _columns(item_id=("id", "a row of `items`")),
        key=("item_id",),
        has_feature_columns=True,
    ),
    "emotion_features": TableSpec(
        "Ready-made emotion features (valence, arousal, …); every further column is numeric.",
        _columns(item_id=("id", "a row of `items`")),
        key=("item_id",),
        has_feature_columns=True,
    ),
    "nodes": TableSpec(
        "Names of further graph nodes that `links` mentions.",
        _columns(
            node_type=("text", "Song, Artist, Genre, Mood, User, Playlist, Tag or Album"),
            node_id=("id", "id, unique within its type"),
            name=("text", "name shown to a person"),
        ),
        key=("node_type", "node_id"),
    ),
    "links": TableSpec(
        "Further typed edges that no held-out interaction could have produced: friends, "
        "collaborations, a track layer below artists.",
        _columns(
            source_type=("text", "node type of the source"),
            source_id=("id", "node id of the source"),
            relation=("text", "a relation of the graph schema, such as KNOWS"),
            target_type=("text", "node type of the target"),
            target_id=("id", "node id of the target"),
            weight=("float", "strength, > 0; 1 if absent", False),
        ),
        key=("source_type", "source_id", "relation", "target_type", "target_id"),
    ),
    "queries": TableSpec(
        "Text queries.",
        _columns(
            query_id=("id", "unique id"),
            text=("text", "what the listener asks"),
            user_id=("id", "who asks, for personalised answers", False),
        ),
        key=("query_id",),
    ),
    "query_anchors": TableSpec(
        "Graph nodes that a text query mentions.",
        _columns(
            query_id=("id", "a row of `queries`"),
            node_type=("text", "node type of the anchor"),
            node_id=("id", "node id of the anchor"),
        ),
        key=("query_id", "node_type", "node_id"),
    ),
    "qrels": TableSpec(
        "Which items answer which text query.",
        _columns(
            query_id=("id", "a row of `queries`"),
            item_id=("id", "a row of `items`"),
            gain=("float", "relevance, > 0"),
        ),
        key=("query_id", "item_id"),
    ),
    "gold_paths": TableSpec(
        "Known reasons: the paths that explain an item for a query. Planted by the demo world.",
        _columns(
            query_type=("text", "user, playlist or text"),
            query_id=("id", "user_id, playlist_id or query_id"),
            item_id=("id", "the item at the end of the path"),
            path=("json_path", 'JSON list, ["User:u1", "LISTENED", "Song:s3", …]'),
        ),
        key=("query_type", "query_id", "item_id", "path"),
    ),
}

RawTables = dict[str, pd.DataFrame]
"""Normalised rows as a source gives them: a frame for each name in :data:`TABLES` that it has."""


@dataclass(frozen=True)
class Dataset:
    """Clean tables: every frame obeys its :class:`TableSpec`, ids are strings, rows are sorted.

    Attributes:
        name: the data set's name in tables and folders.
        item_type: node type of the items in the graph, ``Song`` or ``Artist``.
        tables: the clean frames; an absent table is absent from the mapping.
        rejects: rows that were left out; columns ``table, row, reason``.
        content_hash: hex digest over all clean tables (and the bytes of referenced sound files).
    """

    name: str
    item_type: str
    tables: Mapping[str, pd.DataFrame]
    rejects: pd.DataFrame
    content_hash: str

    @cached_property
    def items(self) -> Vocabulary:
        return Vocabulary(self.tables["items"]["item_id"])


@dataclass(frozen=True)
class Split:
    """Profiles (users and playlists) and their items, parted before anything is derived.

    A *profile* is one row of the interaction matrix. ``profiles`` is a frame ``profile_type,
    profile_id`` whose row number is ``profile_idx``; ``train``, ``valid`` and ``test`` are CSR
    matrices ``[num_profiles, num_items]`` with the interaction weight as value; no pair is in two.

    Attributes:
        text_valid, text_test: query ids of text queries for tuning and for the report.
        report: counts for the log and the manifest, such as profiles without a test item.
    """

    profiles: pd.DataFrame
    train: sparse.csr_matrix
    valid: sparse.csr_matrix
    test: sparse.csr_matrix
    text_valid: tuple[str, ...] = ()
    text_test: tuple[str, ...] = ()
    report: Mapping[str, int] = field(default_factory=dict)

    def query_ids(self) -> list[str]:
        """``user:u1``, ``playlist:p2``, … for each profile_idx."""
        return [f"{t}:{i}" for t, i in self.profiles.itertuples(index=False)]


@dataclass(frozen=True)
class FeatureMatrix:
    """One modality of all items.

    Attributes:
        values: float32 ``[num_items, num_features]``; rows without data are zero.
        present: bool ``[num_items]``; False where the item has no such data.
        names: feature names, ``num_features`` long.
        encoder: what made it, for captions, such as ``all-MiniLM-L6-v2`` or ``librosa``.
    """

    values: FloatArray
    present: BoolArray
    names: tuple[str, ...]
    encoder: str


class Source(Protocol):
    """Reads one data set into normalised rows. Construction is cheap and reads no data."""

    name: str
    item_type: str

    def available(self) -> frozenset[str]:
        """Names of the tables that :meth:`load` will give; may look at file names only.

        Raises:
            InputError: the folder or a file that is needed does not exist.
        """
        ...

    def load(self) -> RawTables:
        """Read everything.

        Raises:
            InputError: a file is empty, lacks a column or cannot be parsed.
        """
        ...


class Encoder(Protocol):
    """Turns one table into one feature row per item. Encoding never looks at interactions."""

    modality: ClassVar[Modality]
    requires: ClassVar[str]
    """Name of the table it reads; a key of :data:`TABLES`."""
    is_rowwise: ClassVar[bool]
    """Whether rows of some items can be had without the others: ``features.partial``."""

    def encode(self, dataset: Dataset) -> FeatureMatrix: ...


class Recommender(Protocol):
    """A collaborative-filtering baseline over the profile–item matrix."""

    name: ClassVar[str]

    def fit(self, train: sparse.csr_matrix, rng: np.random.Generator) -> None: ...

    def score(self, profiles: IntArray) -> FloatArray:
        """Scores of all items for fitted rows. Shape ``[len(profiles), num_items]``."""
        ...


@dataclass(frozen=True)
class Query:
    """One evaluation unit for a retriever.

    Attributes:
        query_id: ``user:…``, ``playlist:…`` or ``text:…``.
        profile_idx: row of the profile matrix, or -1 for a text query without a user.
        text: words of the query (playlist title, question), maybe empty.
        anchors: global node indices that the search starts from. Shape ``[n]``.
        history: item indices that stand for the taste behind the query. Shape ``[n]``.
        exclude: item indices that must not be returned (already known). Shape ``[n]``.
    """

    query_id: str
    profile_idx: int
    text: str
    anchors: IntArray
    history: IntArray
    exclude: IntArray


@dataclass(frozen=True)
class Ranking:
    """What a retriever gives back for one query: items and paths, best first."""

    query_id: str
    item_idx: IntArray  # [k]
    scores: FloatArray  # [k]
    paths: tuple[ScoredPath, ...] = ()


class Retriever(Protocol):
    """Ranks items and paths for a batch of queries; batch = single, same input = same output."""

    def retrieve(self, queries: Sequence[Query], k: int) -> list[Ranking]: ...


class Generator(Protocol):
    """Words a recommendation from a ranking; every claim must stand in one of its paths."""

    def generate(self, query: Query, ranking: Ranking) -> str: ...


__all__ = [
    "TABLES",
    "Column",
    "Dataset",
    "Encoder",
    "FeatureMatrix",
    "Generator",
    "Path",
    "Qrels",
    "Query",
    "Ranking",
    "RawTables",
    "Recommender",
    "Retriever",
    "Run",
    "Source",
    "Split",
    "TableSpec",
]
