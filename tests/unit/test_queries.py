from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from worlds import dataset_of, items_table, split_of

from musicrag.contracts import Dataset, Split
from musicrag.graph.build import build_graph
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.retrieval.queries import (
    item_nodes,
    item_texts,
    profile_nodes,
    profile_queries,
    text_queries,
)
from musicrag.tables.leaks import training_tables
from musicrag.types import Node

LABELS = ["rain song", "rain night song", "sun", "sun song", "storm", "snow"]


@pytest.fixture
def dataset() -> Dataset:
    """User ``7`` and playlist ``7`` share an id; playlist ``8`` has no title."""
    items = [f"s{n}" for n in range(6)]
    tables = {
        "items": items_table(
            items, artist_id=["a1", None, *4 * ["a2"]], album=["Tides", *5 * [None]]
        ),
        "artists": pd.DataFrame({"artist_id": ["a1"], "name": ["Mira Holm"]}),
        "interactions": pd.DataFrame({"user_id": ["7", "7", "7"], "item_id": ["s0", "s1", "s2"]}),
        "playlists": pd.DataFrame({"playlist_id": ["7"], "title": ["Calm evening"]}),
        "playlist_items": pd.DataFrame(
            {
                "playlist_id": ["7", "7", "7", "8", "8"],
                "item_id": ["s3", "s4", "s5", "s0", "s3"],
                "position": [0, 1, 2, 0, 1],
            }
        ),
        "item_tags": pd.DataFrame(
            [("s0", "rock", "genre"), ("s0", "calm", "mood"), ("s0", "rock", "tag")],
            columns=["item_id", "tag", "kind"],
        ),
        "lyrics": pd.DataFrame({"item_id": ["s4"], "text": ["snow falls"]}),
        "nodes": pd.DataFrame({"node_type": ["Song"], "node_id": ["demo"], "name": ["A demo"]}),
        "links": pd.DataFrame(
            [["Song", "demo", "PERFORMED_BY", "Artist", "a1"]],
            columns=["source_type", "source_id", "relation", "target_type", "target_id"],
        ),
        "queries": pd.DataFrame(
            [("q1", "something calm", "7"), ("q2", "more", None), ("q3", "?", "9")],
            columns=["query_id", "text", "user_id"],
        ),
        "query_anchors": pd.DataFrame(
            [
                ("q1", "Song", "s3"),
                ("q1", "Mood", "calm"),
                ("q1", "Mood", "gone"),  # no such node is left
                ("q1", "Tag", "none"),
                ("q1", "Album", "Tides"),  # no node of that type at all
                ("q2", "Song", "demo"),  # a node, but no item
            ],
            columns=["query_id", "node_type", "node_id"],
        ),
    }
    return dataset_of(tables)


@pytest.fixture
def split(dataset: Dataset) -> Split:
    return split_of(
        dataset,
        {"playlist:7": "s4", "playlist:8": "s0", "user:7": "s1 s0"},
        {"playlist:7": "s3", "user:7": ""},
        {"playlist:7": "s5", "playlist:8": "s3", "user:7": "s2"},
    )


@pytest.fixture
def graph(dataset: Dataset, split: Split) -> KnowledgeGraph:
    return build_graph(training_tables(dataset, split), "Song", split.profiles)


def nodes(graph: KnowledgeGraph, indices: np.ndarray) -> list[str]:
    return [str(graph.node(int(index))) for index in indices]


def test_node_indices_follow_items_and_profiles(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    assert nodes(graph, item_nodes(graph, dataset)) == [f"Song:s{n}" for n in range(6)]
    assert nodes(graph, profile_nodes(graph, split)) == ["Playlist:7", "Playlist:8", "User:7"]


def test_the_test_excludes_training_and_validation_items(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    found = profile_queries(split, graph, dataset, LABELS, "test")
    assert [query.query_id for query in found] == ["playlist:7", "playlist:8", "user:7"]
    assert [query.profile_idx for query in found] == [0, 1, 2]
    assert [query.exclude.tolist() for query in found] == [[3, 4], [0], [0, 1]]
    assert [query.history.tolist() for query in found] == [[4], [0], [0, 1]]


def test_validation_excludes_training_items_and_asks_only_those_who_have_any(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    (found,) = profile_queries(split, graph, dataset, LABELS, "valid")
    assert found.query_id == "playlist:7"
    assert found.exclude.tolist() == found.history.tolist() == [4]


def test_playlists_start_from_training_tracks_and_users_from_themselves(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    found = profile_queries(split, graph, dataset, LABELS, "test")
    assert [nodes(graph, query.anchors) for query in found] == [
        ["Song:s4"],
        ["Song:s0"],
        ["User:7"],
    ]


def test_words_are_the_title_or_what_the_history_shares(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    playlist, untitled, user = profile_queries(split, graph, dataset, LABELS, "test")
    assert playlist.text == "Calm evening"
    assert untitled.text == "rain song"
    # The user has a playlist's id, and none of its words. Shared words come first.
    assert user.text == "rain song night"


def test_a_text_query_starts_from_the_nodes_that_the_graph_knows(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    calm, more, unknown = text_queries(dataset, graph, ["q1", "q2", "q3"], split)
    assert [query.query_id for query in (calm, more, unknown)] == ["text:q1", "text:q2", "text:q3"]
    assert nodes(graph, calm.anchors) == ["Song:s3", "Mood:calm"]
    assert calm.history.tolist() == calm.exclude.tolist() == [3]
    assert (calm.text, calm.profile_idx) == ("something calm", 2)
    assert nodes(graph, more.anchors) == ["Song:demo"]
    assert (more.history.tolist(), more.profile_idx) == ([], -1)
    assert (unknown.anchors.tolist(), unknown.profile_idx) == ([], -1)  # user 9 is no profile
    assert unknown.anchors.dtype == unknown.history.dtype == np.int64


def test_only_chosen_text_queries_are_asked_in_their_order(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    found = text_queries(dataset, graph, ["q3", "q1"], split)
    assert [query.query_id for query in found] == ["text:q3", "text:q1"]
    assert text_queries(dataset, graph, [], split) == []


def test_a_dataset_without_anchors_has_text_queries_without_them(
    dataset: Dataset, split: Split, graph: KnowledgeGraph
) -> None:
    tables = {name: frame for name, frame in dataset.tables.items() if name != "query_anchors"}
    found = text_queries(dataset_of(tables), graph, ["q1"], split)
    assert found[0].anchors.tolist() == []
    assert Node("Mood", "calm").id in graph.nodes["Mood"]


def test_item_texts_hold_title_artist_album_and_tags_once(dataset: Dataset) -> None:
    labels, lyrics = item_texts(dataset.tables, dataset)
    assert labels[0] == "Title s0 Mira Holm Tides rock calm"
    assert labels[1:3] == ["Title s1", "Title s2"]  # no artist; an artist without a name
    assert lyrics == ["", "", "", "", "snow falls", ""]


def test_item_texts_work_from_titles_alone(dataset: Dataset) -> None:
    bare = {"items": dataset.tables["items"][["item_id", "title"]]}
    labels, lyrics = item_texts(bare, dataset)
    assert labels == [f"Title s{n}" for n in range(6)]
    assert set(lyrics) == {""}
