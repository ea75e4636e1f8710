from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Row

from musicrag.contracts import Source
from musicrag.graph.build import graph_rows
from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows, canonical
from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.graph.validation import RULES, Violation, find_violations, require_valid
from musicrag.sources.demo.source import DemoSource
from musicrag.sources.lastfm import HetrecLastfm
from musicrag.sources.spotify_playlists import SpotifyPlaylists
from musicrag.tables.clean import clean
from musicrag.tables.leaks import training_tables
from musicrag.tables.splits import split
from musicrag.types import InputError

NODES = ["Artist:a1", "Mood:calm", "Song:s1", "Song:s2", "Song:s3", "User:u1", "User:u2"]
EDGES: list[Row] = [
    ("User:u1", "LISTENED", "Song:s1", 2.0),
    ("User:u2", "LISTENED", "Song:s2", 1.0),
    ("User:u1", "KNOWS", "User:u2", 1.0),
    ("Song:s1", "PERFORMED_BY", "Artist:a1", 3.5),  # links may give another strength
    ("Song:s1", "EVOKES", "Mood:calm", 0.5),
    ("Artist:a1", "EVOKES", "Mood:calm", 1.0),
    ("Song:s1", "SIMILAR_MOOD", "Song:s2", 0.7),
    ("Song:s1", "SIMILAR_TO", "Song:s2", 0.7),  # the same pair in another relation is no duplicate
]
INFINITE, NOTHING = float("inf"), float("nan")


def rows_from(nodes: list[str], edges: list[Row], item_type: str = "Song") -> GraphRows:
    """Canonical rows of exactly these nodes and edges; ``"Song:"`` has an empty id."""
    known = [(*node.split(":", 1), "") for node in nodes]
    joins = [(*a.split(":", 1), name, *b.split(":", 1), weight) for a, name, b, weight in edges]
    return canonical(
        item_type,
        pd.DataFrame(known, columns=NODE_COLUMNS, dtype="str"),
        pd.DataFrame(joins, columns=EDGE_COLUMNS),
    )


def test_a_graph_that_follows_the_schema_is_valid() -> None:
    assert find_violations(rows_from(NODES, EDGES)) == ()
    require_valid(rows_from(NODES, EDGES))


def test_items_alone_are_a_valid_graph() -> None:
    assert find_violations(rows_from(["Artist:a1"], [], "Artist")) == ()


PLANTED: list[tuple[list[str], list[Row], str, str, str]] = [
    (["Band:b1"], [], "unknown node type", "Band:b1", "Use one of Album, Artist"),
    (["song:s1"], [], "unknown node type", "song:s1", "Did you mean 'Song'"),
    (
        [],
        [("User:u2", "LISTEND", "Song:s3", 1.0)],
        "unknown relation",
        "User:u2 -LISTEND-> Song:s3",
        "Did you mean 'LISTENED'",
    ),
    (["Song:"], [], "empty node id", "Song:", "Give each node an id"),
    (["Song: \t"], [], "empty node id", "Song: \t", "visible character"),
    (
        [],
        [("User:u1", "LISTENED", "Song:", 1.0)],
        "empty id at an edge's end",
        "User:u1 -LISTENED-> Song:",
        "Give both ends an id",
    ),
    (["Song:s1"], [], "duplicate node", "Song:s1", "Keep one row"),
    (
        [],
        [("User:u1", "LISTENED", "Song:s9", 1.0)],
        "dangling edge",
        "User:u1 -LISTENED-> Song:s9",
        "Add the missing node",
    ),
    (
        [],
        [("User:a1", "LISTENED", "Song:s1", 1.0)],  # there is an Artist:a1, but no User:a1
        "dangling edge",
        "User:a1 -LISTENED-> Song:s1",
        "leave the edge out",
    ),
    (
        [],
        [("Song:s3", "LISTENED", "User:u1", 1.0)],
        "type violation",
        "Song:s3 -LISTENED-> User:u1",
        "LISTENED joins User -> Artist, User -> Song. Turn the edge round",
    ),
    (
        [],
        [("Song:s3", "SIMILAR_TO", "Artist:a1", 1.0)],
        "type violation",
        "Song:s3 -SIMILAR_TO-> Artist:a1",
        "SIMILAR_TO joins Artist -> Artist, Song -> Song",
    ),
    (
        [],
        [("User:u2", "KNOWS", "User:u2", 1.0)],
        "self-loop",
        "User:u2 -KNOWS-> User:u2",
        "no node is its own neighbour",
    ),
    (
        [],
        [("User:u2", "LISTENED", "Song:s2", 1.0)],
        "duplicate edge",
        "User:u2 -LISTENED-> Song:s2",
        "Keep one edge",
    ),
    (
        [],
        [("User:u2", "KNOWS", "User:u1", 1.0)],
        "duplicate edge",
        "User:u2 -KNOWS-> User:u1",
        "whichever way it points",
    ),
    (
        [],
        [("Song:s3", "SIMILAR_TO", "Song:s1", NOTHING)],
        "weight that is not finite",
        "Song:s3 -SIMILAR_TO-> Song:s1 (weight nan)",
        "float32 can hold",
    ),
    (
        [],
        [("Song:s3", "SIMILAR_TO", "Song:s1", INFINITE)],
        "weight that is not finite",
        "Song:s3 -SIMILAR_TO-> Song:s1 (weight inf)",
        "below 3.4e38",
    ),
    (
        [],
        [("Song:s3", "SIMILAR_TO", "Song:s1", 0.0)],
        "weight not above 0",
        "Song:s3 -SIMILAR_TO-> Song:s1 (weight 0)",
        "Leave out an edge",
    ),
    (
        [],
        [("Song:s3", "EVOKES", "Mood:calm", -0.5)],
        "weight not above 0",
        "Song:s3 -EVOKES-> Mood:calm (weight -0.5)",
        "above 0 in float32",
    ),
    (
        [],
        [("Song:s3", "EVOKES", "Mood:calm", 1.001)],
        "weight out of range",
        "Song:s3 -EVOKES-> Mood:calm (weight 1.001)",
        "EVOKES weighs 0 to 1. Scale",
    ),
    (
        [],
        [("User:u1", "LISTENED", "Song:s3", 0.99)],
        "weight out of range",
        "User:u1 -LISTENED-> Song:s3 (weight 0.99)",
        "LISTENED weighs 1 to inf",
    ),
]


@pytest.mark.parametrize(("nodes", "edges", "rule", "example", "advice"), PLANTED)
def test_a_planted_fault_is_named_by_its_rule_alone(
    nodes: list[str], edges: list[Row], rule: str, example: str, advice: str
) -> None:
    rows = rows_from(NODES + nodes, EDGES + edges)
    (found,) = find_violations(rows)
    assert (found.rule, found.count, found.examples) == (rule, 1, (example,))
    assert advice in found.advice
    with pytest.raises(InputError) as raised:
        require_valid(rows)
    assert f"{rule}: 1, such as {example}. {found.advice}" in str(raised.value)


@pytest.mark.parametrize("item_type", ["Artist", "Song", "User", "Band"])
def test_a_graph_needs_a_node_of_an_item_type(item_type: str) -> None:
    rows = rows_from(["Mood:calm", "User:u1"], [], item_type)
    (found,) = find_violations(rows)
    assert (found.rule, found.count) == ("no items", 1)
    assert found.examples == (f"no {item_type} node to recommend",)
    assert "Artist or Song" in found.advice


def test_every_rule_has_a_planted_fault() -> None:
    assert len({rule for _, _, rule, _, _ in PLANTED} | {"no items"}) == len(RULES)


def test_missing_ids_and_types_are_named_too() -> None:
    rows = rows_from(NODES, EDGES)
    nodes = pd.concat([rows.nodes, pd.DataFrame({"node_type": ["Song", None], "name": ["", ""]})])
    edges = rows.edges.copy()
    edges.loc[edges["relation"] == "KNOWS", "target_id"] = None
    found = find_violations(canonical("Song", nodes, edges))
    assert Counter({v.rule: v.count for v in found}) == {
        "unknown node type": 1, "empty node id": 2, "empty id at an edge's end": 1,
    }  # fmt: skip
    assert found[2].examples == ("User:u1 -KNOWS-> User:",)


def test_examples_are_three_at_most_and_the_count_is_whole() -> None:
    strays: list[Row] = [(f"User:x{n}", "LISTENED", "Song:s1", 1.0) for n in range(7)]
    (found,) = find_violations(rows_from(NODES, EDGES + strays))
    assert found.count == 7
    assert found.examples == tuple(f"User:x{n} -LISTENED-> Song:s1" for n in range(3))


def test_all_broken_rules_stand_in_one_error() -> None:
    edges: list[Row] = [("User:u2", "KNOWS", "User:u2", 1.0), ("User:u9", "KNOWS", "User:u1", -1.0)]
    with pytest.raises(InputError) as raised:
        require_valid(rows_from([*NODES, "Band:b1"], EDGES + edges))
    lines = str(raised.value).splitlines()
    assert lines[0] == f"The graph breaks 4 of {len(RULES)} rules."
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "unknown node type", "dangling edge", "self-loop", "weight not above 0",
    ]  # fmt: skip


def test_a_rounding_of_float32_does_not_break_a_range() -> None:
    above = float(np.nextafter(np.float32(1), np.float32(2)))
    below = float(np.nextafter(np.float32(1), np.float32(0)))
    edges: list[Row] = [
        ("Song:s3", "EVOKES", "Mood:calm", above),
        ("User:u1", "LISTENED", "Song:s3", below),
    ]
    assert find_violations(rows_from(NODES, EDGES + edges)) == ()


_TYPE = st.sampled_from(["Artist", "Band", "Song", "User"])
_END = st.tuples(_TYPE, st.sampled_from(["", "1", "2"])).map(":".join)
_WEIGHT = st.sampled_from([NOTHING, INFINITE, -1.0, 0.0, 0.25, 1.0, 7.0])
_NAME = st.sampled_from(["KNOWS", "LISTENED", "SIMILAR_MOOD", "HEARD"])


def naive(rows: GraphRows) -> Counter[str]:
    """Each rule as a sentence over single rows."""
    nodes = [
        f"{t}:{i}" for t, i in zip(rows.nodes["node_type"], rows.nodes["node_id"], strict=True)
    ]
    found: Counter[str] = Counter()
    seen = set()
    found["no items"] = int(rows.item_type not in [node.split(":")[0] for node in nodes])
    found["duplicate node"] = len(nodes) - len(set(nodes))
    found["unknown node type"] = sum(node.split(":")[0] not in NODE_TYPES for node in nodes)
    found["empty node id"] = sum(node.endswith(":") for node in nodes)
    for a_type, a_id, name, b_type, b_id, weight in rows.edges.itertuples(index=False):
        a, b = f"{a_type}:{a_id}", f"{b_type}:{b_id}"
        relation = RELATIONS.get(name)
        found["unknown relation"] += relation is None
        found["empty id at an edge's end"] += "" in (a_id, b_id)
        found["dangling edge"] += any(e not in nodes and not e.endswith(":") for e in (a, b))
        if relation and {a_type, b_type} <= set(NODE_TYPES) and {a, b} <= set(nodes):
            found["type violation"] += (a_type, b_type) not in relation.pairs
        found["self-loop"] += a == b
        found["duplicate edge"] += (name, frozenset((a, b))) in seen
        seen.add((name, frozenset((a, b))))
        found["weight that is not finite"] += not np.isfinite(weight)
        found["weight not above 0"] += weight <= 0
        low, high = relation.weight_range if relation else (0.0, INFINITE)
        found["weight out of range"] += 0 < weight < INFINITE and not low <= weight <= high
    return +found


@settings(max_examples=300, deadline=None)
@given(st.lists(_END, max_size=9), st.lists(st.tuples(_END, _NAME, _END, _WEIGHT), max_size=9))
def test_counts_equal_those_of_naive_rules(nodes: list[str], edges: list[Row]) -> None:
    rows = rows_from(nodes, edges)
    found = find_violations(rows)
    assert {violation.rule: violation.count for violation in found} == naive(rows)
    assert all(1 <= len(violation.examples) <= 3 for violation in found)


def built(source: Source) -> GraphRows:
    dataset = clean(source.name, source.item_type, source.load(), on_invalid="reject")
    parts = split(dataset, np.random.default_rng(0))
    tables = training_tables(dataset, parts)
    return graph_rows(tables, dataset.item_type, parts.profiles, None, 2, 10, 10)


def test_the_demo_world_gives_a_valid_graph(tmp_path: Path) -> None:
    source = DemoSource(
        num_songs=40,
        num_artists=10,
        num_users=12,
        num_playlists=8,
        num_text_queries=6,
        audio_signal=1.0,
        lyrics_signal=1.0,
        emotion_signal=1.0,
        seed=0,
        audio_duration_s=0.5,
        sample_rate_hz=8000,
        cache_dir=str(tmp_path / "cache"),
        interactions_per_song=4.0,
    )
    rows = built(source)
    assert {"LISTENED", "ON_ALBUM", "PERFORMED_BY"} <= set(rows.edges["relation"])
    assert find_violations(rows) == ()


@pytest.mark.parametrize(
    ("name", "source"),
    [("hetrec2011_lastfm2k", HetrecLastfm), ("spotify_playlists_genre", SpotifyPlaylists)],
)
def test_real_data_give_a_valid_graph(
    name: str, source: Callable[[str], Source], real_data: Callable[[str], Path]
) -> None:
    rows = built(source(str(real_data(name))))
    assert len(rows.edges) > 10_000
    assert find_violations(rows) == ()


def test_a_violation_reads_as_one_line() -> None:
    violation = Violation("self-loop", 1234, ("User:u1 -KNOWS-> User:u1", "…"), "Leave it out.")
    assert str(violation) == (
        "self-loop: 1,234, such as User:u1 -KNOWS-> User:u1; …. Leave it out."
    )
