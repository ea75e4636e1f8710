"""A small world as tables, trained into the contents of a collection, and encoders that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from pandas.testing import assert_frame_equal
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from musicrag.collection.contents import (
    Contents,
    EncoderSpec,
    GraphSettings,
    RetrievalSettings,
)
from musicrag.contracts import Dataset, FeatureMatrix, RawTables
from musicrag.features.rows import ItemRows
from musicrag.features.saved import SavedModality
from musicrag.features.standardise import fit_scale
from musicrag.features.taste import fit_taste_space
from musicrag.gnn.adjacency import RelationalAdjacency
from musicrag.gnn.layers import GraphSageLayer
from musicrag.gnn.model import GraphEncoder, NodeFeatures
from musicrag.gnn.placing import full
from musicrag.gnn.saved import freeze
from musicrag.gnn.training import GraphRecommender, Objective, fit
from musicrag.graph.build import graph_rows
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.retrieval.queries import item_nodes
from musicrag.tables.clean import clean
from musicrag.types import FloatArray, IntArray, Modality, Node

WORDS = ("sun", "rain", "road", "night", "heart", "fire")
GRAPH = GraphSettings(None, 1, 3, 3)
WEIGHTS = {"user": {"gnn": 1.0, "content_lyrics": 1.0, "content_audio": 1.0, "walk": 0.5}}
RETRIEVAL = RetrievalSettings(("gnn", "content", "bm25", "walk"), "convex", 200, 3, 2)


class WordCounts:
    """Counts a few words; writes down whom it encoded."""

    modality: ClassVar[Modality] = "lyrics"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = True
    calls: ClassVar[list[tuple[str, ...]]] = []

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        rows = ItemRows.read(dataset, "lyrics")
        type(self).calls.append(tuple(rows.frame["item_id"]))
        texts = [text.split() for text in rows.texts()]
        values = np.array([[words.count(word) for word in WORDS] for words in texts])
        return rows.matrix(values.reshape(-1, len(WORDS)).astype(np.float64), WORDS, "word counts")


WORD_COUNTS = EncoderSpec("words", "collection_world.WordCounts")
TABULAR = EncoderSpec("tabular", "musicrag.features.audio.tabular.TabularAudio")
ENCODERS = {"lyrics": WORD_COUNTS, "audio": TABULAR}


def raw_tables(num_songs: int = 36, num_users: int = 24, seed: int = 0) -> RawTables:
    """Two tastes: even songs and users have one, odd ones the other; words and sound tell it."""
    rng = np.random.default_rng(seed)
    songs = [f"s{song:03d}" for song in range(num_songs)]
    taste = np.arange(num_songs) % 2
    plays = []
    for user in range(num_users):
        liked = np.flatnonzero(taste == user % 2)
        plays += [
            (f"u{user:02d}", songs[s], float(rng.integers(1, 9)))
            for s in rng.choice(liked, 6, False)
        ]
    lists = []
    for number in range(8):
        liked = np.flatnonzero(taste == number % 2)
        lists += [
            (f"p{number}", songs[s], place) for place, s in enumerate(rng.choice(liked, 5, False))
        ]
    artists = [f"a{song // 4:02d}" for song in range(num_songs)]
    return {
        "items": pd.DataFrame(
            {"item_id": songs, "title": [f"Title {s}" for s in songs], "artist_id": artists}
        ),
        "artists": pd.DataFrame({"artist_id": sorted(set(artists))}).assign(
            name=lambda rows: "Artist " + rows["artist_id"]
        ),
        "interactions": pd.DataFrame(plays, columns=["user_id", "item_id", "weight"]),
        "playlists": pd.DataFrame({"playlist_id": [f"p{n}" for n in range(8)]}).assign(title="Mix"),
        "playlist_items": pd.DataFrame(lists, columns=["playlist_id", "item_id", "position"]),
        "item_tags": pd.DataFrame(
            {"item_id": songs, "tag": [f"g{s % 6}" for s in range(num_songs)], "kind": "genre"}
        ),
        "lyrics": pd.DataFrame({"item_id": songs, "text": [lyrics_of(t, rng) for t in taste]}),
        "audio_features": pd.DataFrame(
            {
                "item_id": songs,
                "energy": taste + rng.normal(0, 0.2, num_songs),
                "tempo": 100 + 20 * taste + rng.normal(0, 5, num_songs),
            }
        ),
        "emotion_features": pd.DataFrame(
            {
                "item_id": songs,
                "valence": rng.normal(size=num_songs),
                "arousal": rng.normal(size=num_songs),
            }
        ),
    }


def lyrics_of(taste: int, rng: np.random.Generator) -> str:
    """Words of one taste, most of them."""
    own, other = WORDS[3 * taste : 3 * taste + 3], WORDS[3 - 3 * taste : 6 - 3 * taste]
    return " ".join([*rng.choice(own, 12), *rng.choice(other, 2)])


def contents_of(
    raw: RawTables,
    encoders: Mapping[str, EncoderSpec] = ENCODERS,
    num_epochs: int = 6,
    with_network: bool = True,
    graph: GraphSettings = GRAPH,
) -> Contents:
    """Clean, connect, encode and train, as a run does, on all rows."""
    dataset = clean("tiny", "Song", raw, "error", 1)
    profiles, train = profile_matrix(dataset)
    rows = graph_rows(dataset.tables, "Song", profiles, *_arguments(graph))
    rng = np.random.default_rng(0)
    features = {}
    for modality, spec in encoders.items():
        matrix = spec.build().encode(dataset)
        scale = fit_scale(matrix)
        space = fit_taste_space(modality, scale.apply(matrix), train, rng)
        features[modality] = SavedModality(matrix, scale, space)
    WordCounts.calls.clear()
    bare = Contents(
        *("tiny", "Song", dataset.tables, rows, dict(encoders), features, None, None),
        *(graph, RETRIEVAL, WEIGHTS),
    )
    return _trained(bare, profiles, train, num_epochs) if with_network else bare


def _arguments(graph: GraphSettings) -> tuple[object, ...]:
    return graph.relations, graph.min_tag_items, graph.num_cooccurring, graph.num_similar_mood


def profile_matrix(dataset: Dataset) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """All users and playlists, and their items."""
    pairs = [
        ("user", u, i) for u, i in zip(*_columns(dataset, "interactions", "user_id"), strict=True)
    ]
    if "playlist_items" in dataset.tables:
        lists = zip(*_columns(dataset, "playlist_items", "playlist_id"), strict=True)
        pairs += [("playlist", p, i) for p, i in lists]
    names = sorted({pair[:2] for pair in pairs})
    place = {name: row for row, name in enumerate(names)}
    cells = ([place[pair[:2]] for pair in pairs], dataset.items.encode([pair[2] for pair in pairs]))
    shape = (len(names), len(dataset.items))
    matrix = sparse.csr_matrix((np.ones(len(pairs)), cells), shape=shape)
    return pd.DataFrame(names, columns=["profile_type", "profile_id"]), matrix


def _columns(dataset: Dataset, table: str, column: str) -> tuple[list[str], list[str]]:
    rows = dataset.tables[table]
    return rows[column].tolist(), rows["item_id"].tolist()


def _trained(
    bare: Contents, profiles: pd.DataFrame, train: sparse.csr_matrix, num_epochs: int
) -> Contents:
    torch.manual_seed(0)
    graph = bare.knowledge
    items = item_nodes(graph, bare.dataset)
    scaled = scaled_features(bare)
    is_warm = np.asarray((train > 0).sum(axis=0)).ravel() > 0
    inputs = NodeFeatures(graph.num_nodes, items, scaled, 16, is_warm)
    encoder = GraphEncoder(inputs, RelationalAdjacency(graph), GraphSageLayer, 16, 2, 0.1, 0.3)
    objective = Objective("softmax", 0.2, 64, 4, 0.02, 1e-6, num_epochs, num_epochs, 10)
    own = np.array(
        [graph.index(Node(t.capitalize(), i)) for t, i in profiles.itertuples(index=False)]
    )
    module = GraphRecommender(encoder, own, items, train, objective, _any)
    hardware: dict[str, object] = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
    fit(module, train, 0, hardware)
    network = freeze(encoder, graph, "musicrag.gnn.layers.GraphSageLayer", {})
    vectors = full(network, graph, scaled, bare.dataset.items)
    return replace(bare, network=network, vectors=vectors)


def _any(profiles: FloatArray, items: FloatArray) -> float:
    return 0.5


def scaled_features(contents: Contents) -> dict[str, FloatArray]:
    """Item features as the network takes them."""
    widths = None if contents.network is None else contents.network.feature_widths
    return {
        modality: saved.space.scaled()
        for modality, saved in contents.features.items()
        if (saved.space.num_directions if widths is None else modality in widths)
    }


def recomputed(contents: Contents) -> FloatArray:
    """The vectors of all nodes, as if nothing were kept."""
    assert contents.network is not None
    return full(
        contents.network, contents.knowledge, scaled_features(contents), contents.dataset.items
    )


def places(contents: Contents, nodes: pd.DataFrame) -> IntArray:
    """Row of each ``node_type, node_id`` in the contents' vectors."""
    index = pd.MultiIndex.from_frame(contents.rows.nodes[["node_type", "node_id"]])
    found: IntArray = index.get_indexer(pd.MultiIndex.from_frame(nodes[["node_type", "node_id"]]))
    return found


def assert_same(one: Contents, other: Contents) -> None:
    """Every part of two contents is equal, to the byte."""
    assert list(one.tables) == list(other.tables)
    for name in one.tables:
        assert_frame_equal(one.tables[name], other.tables[name])
    assert_frame_equal(one.rows.nodes, other.rows.nodes)
    assert_frame_equal(one.rows.edges, other.rows.edges)
    assert dict(one.encoders) == dict(other.encoders)
    assert list(one.features) == list(other.features)
    for modality, saved in one.features.items():
        assert _bytes(saved) == _bytes(other.features[modality])
    assert (one.vectors is None) == (other.vectors is None)
    if one.vectors is not None and other.vectors is not None:
        assert one.vectors.tobytes() == other.vectors.tobytes()
        np.testing.assert_array_equal(recomputed(one), recomputed(other))
    assert (one.graph, one.retrieval) == (other.graph, other.retrieval)
    assert one.fusion_weights == other.fusion_weights


def _bytes(saved: SavedModality) -> list[bytes]:
    assert saved.space.projection is not None
    return [
        saved.raw.values.tobytes(),
        saved.raw.present.tobytes(),
        str(saved.raw.names).encode(),
        saved.scale.mean.tobytes(),
        saved.scale.spread.tobytes(),
        saved.space.items.tobytes(),
        saved.space.present.tobytes(),
        saved.space.signal.tobytes(),
        saved.space.projection.weight.tobytes(),
    ]


def knowledge_of(contents: Contents) -> KnowledgeGraph:
    return contents.knowledge


class HashedWords:
    """Counts words by a hash of them: a lyrics encoder without a model and without a vocabulary."""

    modality: ClassVar[Modality] = "lyrics"
    requires: ClassVar[str] = "lyrics"
    is_rowwise: ClassVar[bool] = True

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        rows = ItemRows.read(dataset, "lyrics")
        hashing = HashingVectorizer(n_features=512, alternate_sign=False, norm="l2")
        values = hashing.transform(rows.texts()).toarray()
        return rows.matrix(values, [f"word_{i}" for i in range(512)], "hashed words")
