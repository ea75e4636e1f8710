from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from worlds import NO_PROFILES, items_table, rows_of

from musicrag.graph.build import build_graph
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.schema import NODE_TYPES, RELATIONS, TAG_RELATIONS
from musicrag.types import InputError, Node

LINK_COLUMNS = ["source_type", "source_id", "relation", "target_type", "target_id", "weight"]


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    tags = [
        ("s1", "rock", "genre", 0.4, "u1"),
        ("s1", "rock", "genre", 0.9, "u2"),
        ("s2", "rock", "genre", 0.5, None),
        ("s1", "sad", "mood", 0.25, None),
        ("s1", "rainy", "tag", 1.0, "u1"),
        ("s1", "rainy", "tag", 1.0, "u2"),
        ("s3", "rock", "tag", 1.0, "u2"),
    ]
    return {
        "items": items_table(["s1", "s2", "s3"], artist_id=["a1", "a1", None]),
        "artists": pd.DataFrame({"artist_id": ["a1"], "name": ["Mira Holm"]}),
        "interactions": pd.DataFrame(
            {"user_id": ["u1", "u1", "u2"], "item_id": ["s1", "s2", "s1"], "weight": [1, 10, 0.5]}
        ),
        "playlists": pd.DataFrame({"playlist_id": ["p1"], "title": ["Rain"]}),
        "playlist_items": pd.DataFrame(
            {"playlist_id": ["p1", "p1"], "item_id": ["s1", "s3"], "position": [0, 1]}
        ),
        "item_tags": pd.DataFrame(tags, columns=["item_id", "tag", "kind", "weight", "profile_id"]),
    }


def links(*rows: tuple[str, str, str, str, str, float]) -> dict[str, pd.DataFrame]:
    return {"links": pd.DataFrame(list(rows), columns=LINK_COLUMNS)}


def weights(graph: KnowledgeGraph, relation: str) -> dict[tuple[str, str], float]:
    found = {(a, b): w for a, name, b, w in rows_of(graph) if name == relation}
    assert len(found) == len(graph.edges[relation])
    return found


def test_every_relation_joins_known_node_types_and_says_its_weight() -> None:
    for name, relation in RELATIONS.items():
        assert (name, relation.name) == (name.upper(), name)
        assert {*relation.sources, *relation.targets} <= set(NODE_TYPES)
        assert min(len(relation.pairs), len(relation.weight)) > 0
        assert not relation.may_use_test_rows
    assert {RELATIONS[name].origin for name in TAG_RELATIONS.values()} <= {
        "item_tags",
        "item_tags or links",
    }


def test_counts_of_nodes_and_edges_are_those_of_the_tables(tables: dict[str, pd.DataFrame]) -> None:
    graph = build_graph(tables, "Song", NO_PROFILES)
    assert {name: len(found) for name, found in graph.nodes.items()} == {
        "Artist": 1, "Genre": 1, "Mood": 1, "Playlist": 1, "Song": 3, "Tag": 2, "User": 2,
    }  # fmt: skip
    assert {name: len(found) for name, found in graph.edges.items()} == {
        "EVOKES": 1, "HAS_GENRE": 2, "IN_PLAYLIST": 2,
        "LISTENED": 3, "PERFORMED_BY": 2, "TAGGED": 2,
    }  # fmt: skip
    assert (graph.num_nodes, graph.num_edges) == (11, 12)


def test_weights_mean_what_the_schema_says(tables: dict[str, pd.DataFrame]) -> None:
    graph = build_graph(tables, "Song", NO_PROFILES)
    assert weights(graph, "LISTENED") == pytest.approx(
        {
            ("User:u1", "Song:s1"): 1.0,
            ("User:u1", "Song:s2"): 1 + math.log(10),
            ("User:u2", "Song:s1"): 1.0,  # a play count below 1 counts as one
        }
    )
    assert weights(graph, "HAS_GENRE") == pytest.approx(
        {("Song:s1", "Genre:rock"): 1.0, ("Song:s2", "Genre:rock"): 0.5}  # 0.4 + 0.9, at most 1
    )
    assert weights(graph, "EVOKES") == pytest.approx({("Song:s1", "Mood:sad"): 0.25})
    assert weights(graph, "TAGGED") == pytest.approx(
        {("Song:s1", "Tag:rainy"): math.log(3), ("Song:s3", "Tag:rock"): math.log(2)}
    )
    assert set(weights(graph, "IN_PLAYLIST").values()) == {1.0}
    assert set(weights(graph, "PERFORMED_BY")) == {
        ("Song:s1", "Artist:a1"), ("Song:s2", "Artist:a1")
    }  # fmt: skip


def test_absent_weights_count_as_one(tables: dict[str, pd.DataFrame]) -> None:
    bare = {name: frame.drop(columns="weight", errors="ignore") for name, frame in tables.items()}
    graph = build_graph(bare, "Song", NO_PROFILES)
    assert set(weights(graph, "LISTENED").values()) == {1.0}
    assert weights(graph, "TAGGED")["Song:s1", "Tag:rainy"] == pytest.approx(math.log(3))


def test_tags_on_too_few_items_are_left_out_by_kind(tables: dict[str, pd.DataFrame]) -> None:
    graph = build_graph(tables, "Song", NO_PROFILES, min_tag_items=2)
    # "rock" is the genre of two items and a free tag of one: kinds are counted apart.
    assert set(graph.edges) == {"HAS_GENRE", "IN_PLAYLIST", "LISTENED", "PERFORMED_BY"}
    assert not {"Mood", "Tag"} & set(graph.nodes)


def test_names_are_shown_and_default_to_the_id(tables: dict[str, pd.DataFrame]) -> None:
    nodes = pd.DataFrame({"node_type": ["Genre"], "node_id": ["rock"], "name": ["Rock"]})
    graph = build_graph({**tables, "nodes": nodes}, "Song", NO_PROFILES)
    shown = {text: graph.name(Node.parse(text)) for text in ("Song:s1", "Artist:a1", "Tag:rainy")}
    assert shown == {"Song:s1": "Title s1", "Artist:a1": "Mira Holm", "Tag:rainy": "rainy"}
    assert graph.name(Node("Playlist", "p1")) == "Rain"
    assert graph.name(Node("Genre", "rock")) == "Rock"


def test_profiles_and_items_without_edges_are_nodes(tables: dict[str, pd.DataFrame]) -> None:
    profiles = pd.DataFrame({"profile_type": ["user", "playlist"], "profile_id": ["u9", "p9"]})
    graph = build_graph(tables, "Song", profiles, relations=[])
    assert graph.num_edges == 0
    assert {name: found.ids for name, found in graph.nodes.items()} == {
        "Playlist": ("p9",), "Song": ("s1", "s2", "s3"), "User": ("u9",),
    }  # fmt: skip
    assert graph.adjacency.degree.tolist() == [0] * 5


def test_only_chosen_relations_are_kept_and_so_are_only_their_nodes(
    tables: dict[str, pd.DataFrame],
) -> None:
    graph = build_graph(tables, "Song", NO_PROFILES, relations=["TAGGED", "KNOWS"])
    assert graph.relations == ("TAGGED",)
    assert set(graph.nodes) == {"Song", "Tag"}


def random_playlists(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    member = rng.random((14, 9)) < 0.35
    rows, columns = np.nonzero(member)
    frame = pd.DataFrame({"playlist_id": rows, "item_id": columns}).astype(str)
    return frame.assign(position=0)


def naive_pmi(rows: pd.DataFrame) -> dict[tuple[str, str], float]:
    lists = rows.groupby("playlist_id")["item_id"].agg(set)
    single = Counter(item for members in lists for item in members)
    double = Counter(pair for members in lists for pair in combinations(sorted(members), 2))
    n = len(lists)
    pmi = {
        (a, b): math.log((both / n) / (single[a] / n * single[b] / n))
        for (a, b), both in double.items()
        if both >= 2
    }
    return {pair: value for pair, value in pmi.items() if value > 0}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top", [1, 2, 100])
def test_co_occurrence_equals_a_naive_pmi(seed: int, top: int) -> None:
    rows = random_playlists(seed)
    tables = {"items": items_table(list("012345678")), "playlist_items": rows}
    graph = build_graph(tables, "Song", NO_PROFILES, num_cooccurring=top)
    expected = naive_pmi(rows)
    found = {
        (a.removeprefix("Song:"), b.removeprefix("Song:")): value
        for (a, b), value in weights(graph, "CO_OCCURS").items()
    }
    assert found == pytest.approx({pair: expected[pair] for pair in found})
    for pair, value in expected.items():
        stronger = [
            sum(other > value + 1e-12 for ends, other in expected.items() if end in ends)
            for end in pair
        ]
        equal = [
            sum(abs(other - value) < 1e-12 for ends, other in expected.items() if end in ends)
            for end in pair
        ]
        if pair in found:
            assert min(stronger) < top
        else:  # beaten, or tied with others, at both of its ends
            assert min(s + e for s, e in zip(stronger, equal, strict=True)) > top


def test_no_co_occurrence_is_built_unless_asked_for(tables: dict[str, pd.DataFrame]) -> None:
    assert "CO_OCCURS" not in build_graph(tables, "Song", NO_PROFILES).edges
    once = build_graph(tables, "Song", NO_PROFILES, num_cooccurring=5)
    assert "CO_OCCURS" not in once.edges  # s1 and s3 share one playlist only


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (("User", "u1", "KNOW", "User", "u2", 1.0), r"Unknown relation 'KNOW'.*'KNOWS'"),
        (("Usr", "u1", "KNOWS", "User", "u2", 1.0), r"Unknown node type 'Usr'.*'User'"),
        (("User", "u1", "KNOWS", "user", "u2", 1.0), r"Unknown node type 'user'.*'User'"),
        (("User", "u1", "LISTENED", "Song", "s1", 1.0), "LISTENED.*table 'interactions'"),
        (("Song", "s1", "IN_PLAYLIST", "Playlist", "p", 1.0), "IN_PLAYLIST.*'playlist_items'"),
        (("Song", "s1", "CO_OCCURS", "Song", "s2", 1.0), "CO_OCCURS.*'playlist_items'"),
    ],
)
def test_links_that_the_schema_does_not_know_are_refused(
    tables: dict[str, pd.DataFrame], link: tuple[str, str, str, str, str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_graph({**tables, **links(link)}, "Song", NO_PROFILES)


def test_unknown_names_in_settings_and_tags_are_refused(tables: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(InputError, match=r"Unknown relation 'LISTEND'.*'LISTENED'"):
        build_graph(tables, "Song", NO_PROFILES, relations=["LISTEND"])
    odd = tables["item_tags"].assign(kind="genres")
    with pytest.raises(InputError, match=r"Unknown item_tags.kind 'genres'.*'genre'"):
        build_graph({**tables, "item_tags": odd}, "Song", NO_PROFILES)


def test_an_edge_that_two_rows_give_is_one_edge_of_the_larger_weight(
    tables: dict[str, pd.DataFrame],
) -> None:
    both = links(
        ("User", "u2", "KNOWS", "User", "u1", 3.0),
        ("User", "u1", "KNOWS", "User", "u2", 5.0),
        ("User", "u1", "KNOWS", "User", "u1", 9.0),  # nobody is a neighbour of himself
        ("Song", "s1", "PERFORMED_BY", "Artist", "a1", 1.0),  # items says so too
        ("Song", "s1", "EVOKES", "Mood", "sad", 0.75),
    )
    graph = build_graph({**tables, **both}, "Song", NO_PROFILES)
    assert weights(graph, "KNOWS") == {("User:u1", "User:u2"): 5.0}
    assert weights(graph, "EVOKES") == {("Song:s1", "Mood:sad"): 0.75}
    assert len(weights(graph, "PERFORMED_BY")) == 2


def test_artists_may_be_the_items_above_a_layer_of_songs() -> None:
    tables = {
        "items": items_table(["a1", "a2"]),
        "interactions": pd.DataFrame({"user_id": ["u1"], "item_id": ["a1"]}),
        **links(
            ("Song", "t1", "PERFORMED_BY", "Artist", "a1", 1.0),
            ("Song", "t2", "PERFORMED_BY", "Artist", "a1", 1.0),
            ("Song", "t1", "EVOKES", "Mood", "calm", 0.5),
        ),
    }
    graph = build_graph(tables, "Artist", NO_PROFILES)
    assert graph.item_type == "Artist"
    assert graph.nodes["Artist"].ids == ("a1", "a2")
    assert graph.nodes["Song"].ids == ("t1", "t2")
    assert ("User:u1", "LISTENED", "Artist:a1", 1.0) in rows_of(graph)
    assert len(graph.edges["PERFORMED_BY"]) == 2
    assert graph.name(Node("Artist", "a1")) == "Title a1"
