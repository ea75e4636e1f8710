from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from worlds import NOTHING, dataset_of, graph_of, items_table, path

from musicrag.contracts import Query
from musicrag.evaluation.gold import gold_paths
from musicrag.graph.build import build_graph
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.paths import PathFinder
from musicrag.retrieval.queries import profile_queries
from musicrag.tables.leaks import training_tables
from musicrag.tables.splits import split
from musicrag.types import Node, Path

GRAPH = graph_of(
    [
        ("User:u1", "LISTENED", "Song:s1", 1.0),
        ("Song:s1", "PERFORMED_BY", "Artist:a", 1.0),
        ("Song:s2", "PERFORMED_BY", "Artist:a", 1.0),
        ("Song:s1", "SIMILAR_TO", "Song:s2", 1.0),
    ],
    ["Song:s3", "Playlist:p1"],
)
LONG = path("User:u1", "LISTENED", "Song:s1", "PERFORMED_BY", "Artist:a", "PERFORMED_BY", "Song:s2")
SHORT = path("User:u1", "LISTENED", "Song:s1", "SIMILAR_TO", "Song:s2")
ABSENT = path("User:u1", "KNOWS", "User:u1", "LISTENED", "Song:s2")


def query(name: str, *anchors: str) -> Query:
    start = np.array([GRAPH.index(Node.parse(a)) for a in anchors], dtype=np.int64)
    return Query(name, 0, "", start, NOTHING, NOTHING)


QUERIES = [query("user:u1", "User:u1"), query("playlist:p1", "Song:s1"), query("text:q1")]
RELEVANT = {"user:u1": ["s2", "s3"], "playlist:p1": ["s2"], "text:q1": ["s1"]}


def planted(*rows: tuple[str, str, str, Path]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["query_type", "query_id", "item_id", "path"])
    return frame.assign(path=frame["path"].map(Path.to_json))


def gold(known: pd.DataFrame | None, max_hops: int = 3) -> dict[str, dict[str, list[Path]]]:
    return gold_paths(QUERIES, RELEVANT, GRAPH, known, max_hops, gold_per_item=5)


def test_without_planted_paths_gold_is_the_shortest() -> None:
    assert gold(None) == {
        "user:u1": {"s2": [SHORT], "s3": []},
        "playlist:p1": {"s2": [path("Song:s1", "SIMILAR_TO", "Song:s2")]},
        "text:q1": {"s1": []},
    }


def test_planted_paths_are_gold_for_their_type_and_others_keep_the_shortest() -> None:
    found = gold(planted(("user", "u1", "s2", LONG), ("user", "u9", "s3", LONG)))
    assert found["user:u1"] == {"s2": [LONG], "s3": []}
    assert found["playlist:p1"]["s2"][0].num_hops == 1


def test_a_type_with_planted_paths_takes_no_others_even_where_a_query_has_none() -> None:
    found = gold(planted(("user", "another", "s2", LONG)))
    assert found["user:u1"] == {"s2": [], "s3": []}


def test_planted_paths_need_their_edges_in_the_graph_and_the_right_length() -> None:
    both = planted(("user", "u1", "s2", ABSENT), ("user", "u1", "s2", LONG))
    assert gold(both)["user:u1"]["s2"] == [LONG]
    assert gold(both, max_hops=2)["user:u1"]["s2"] == []


def test_planted_paths_to_items_that_are_not_relevant_are_no_gold() -> None:
    found = gold(planted(("user", "u1", "s1", path("User:u1", "LISTENED", "Song:s1"))))
    assert found["user:u1"] == {"s2": [], "s3": []}


def test_no_more_paths_are_gold_than_asked_for() -> None:
    rows = [("User:u1", "LISTENED", f"Song:m{n}", 1.0) for n in range(6)]
    rows += [(f"Song:m{n}", "SIMILAR_TO", "Song:s2", 1.0) for n in range(6)]
    graph = graph_of(rows)
    start = np.array([graph.index(Node("User", "u1"))])
    asked = [Query("user:u1", 0, "", start, NOTHING, NOTHING)]
    found = gold_paths(asked, {"user:u1": ["s2"]}, graph, None, 3, gold_per_item=4)
    assert len(found["user:u1"]["s2"]) == 4


@pytest.mark.parametrize("seed", range(3))
def test_held_out_edges_are_never_in_gold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"s{n:02d}" for n in range(15)]
    plays = [(f"u{u}", i) for u in range(8) for i in rng.choice(ids, 8, replace=False)]
    lists = [(f"p{p}", i) for p in range(8) for i in rng.choice(ids, 8, replace=False)]
    dataset = dataset_of(
        {
            "items": items_table(ids),
            "interactions": pd.DataFrame(plays, columns=["user_id", "item_id"]).assign(weight=1.0),
            "playlist_items": pd.DataFrame(lists, columns=["playlist_id", "item_id"]).assign(
                position=list(range(8)) * 8
            ),
        }
    )
    parts = split(dataset, rng)

    def graph_from(tables: dict[str, pd.DataFrame]) -> KnowledgeGraph:
        return build_graph(tables, "Song", parts.profiles)

    graph, leaky = graph_from(training_tables(dataset, parts)), graph_from(dict(dataset.tables))
    queries = profile_queries(parts, graph, dataset, ids, "test")
    relevant = {
        q.query_id: dataset.items.decode(parts.test[q.profile_idx].indices) for q in queries
    }
    found = gold_paths(queries, relevant, graph, None, 3, 5)
    hidden = {
        frozenset([str(Node(kind.capitalize(), name)), f"Song:{dataset.items.ids[item]}"])
        for part in (parts.valid, parts.test)
        for row, item in zip(*part.nonzero(), strict=True)
        for kind, name in [tuple(parts.profiles.iloc[row])]
    }
    edges = {
        frozenset([str(a), str(b)])
        for by_item in found.values()
        for paths in by_item.values()
        for one in paths
        for a, _, b in one.edges()
    }
    assert len(edges) > 50
    assert not edges & hidden
    user = next(q for q in queries if q.query_id.startswith("user:"))
    item = leaky.index(Node("Song", relevant[user.query_id][0]))
    assert PathFinder(leaky, user.anchors).shortest(item, 1)[0].num_hops == 1  # the leak would show
