from __future__ import annotations

from pathlib import Path

import matplotlib.image
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Row

from musicrag.graph import report as report_module
from musicrag.graph.report import write_report
from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows, canonical
from musicrag.graph.statistics import MAX_STARTS, GraphStatistics, describe
from musicrag.graph.validation import RULES, require_valid
from musicrag.types import InputError

NODES = [
    *("Artist:a1", "Mood:calm", "Song:s1", "Song:s2", "Song:s3", "Song:s4"),
    *("User:u1", "User:u2"),
]
EDGES: list[Row] = [
    ("User:u1", "LISTENED", "Song:s1", 2.0),
    ("User:u2", "LISTENED", "Song:s4", 1.0),
    ("Song:s1", "PERFORMED_BY", "Artist:a1", 1.0),
    ("Song:s1", "EVOKES", "Mood:calm", 0.5),
    ("Artist:a1", "EVOKES", "Mood:calm", 1.0),
    ("Song:s1", "SIMILAR_MOOD", "Song:s2", 0.7),
    ("Song:s1", "SIMILAR_TO", "Song:s2", 3.25),  # a second relation between the same two
]


def rows_from(nodes: list[str], edges: list[Row], item_type: str = "Song") -> GraphRows:
    known = [(*node.split(":", 1), "") for node in nodes]
    joins = [(*a.split(":", 1), name, *b.split(":", 1), weight) for a, name, b, weight in edges]
    return canonical(
        item_type,
        pd.DataFrame(known, columns=NODE_COLUMNS, dtype="str"),
        pd.DataFrame(joins, columns=EDGE_COLUMNS),
    )


def described(rows: GraphRows) -> GraphStatistics:
    return describe(rows, np.random.default_rng(0))


def text_of(rows: GraphRows, folder: Path) -> str:
    return write_report(rows, folder).read_text(encoding="utf-8")


def table_row(text: str, first: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_first_lines_say_verdict_hash_and_counts(tmp_path: Path) -> None:
    rows = rows_from(NODES, EDGES)
    lines = text_of(rows, tmp_path).splitlines()
    assert lines[:6] == [
        "# Knowledge graph",
        "",
        f"**Valid**: all {len(RULES)} rules hold.",
        "",
        f"Content hash `{rows.content_hash}`.",
        "8 nodes of 4 types, 7 edges of 5 relations; items are of type Song.",
    ]
    assert "## Broken rules" not in lines


def test_a_broken_graph_is_reported_and_can_then_be_refused(tmp_path: Path) -> None:
    edges: list[Row] = [
        ("User:u9", "LISTENED", "Song:s1", 1.0),
        ("User:u2", "KNOWS", "User:u2", 1.0),
        ("Band:b1", "HEARD", "Song:s1", float("nan")),
    ]
    rows = rows_from([*NODES, "Song:s1"], EDGES + edges)
    text = text_of(rows, tmp_path)
    assert text.splitlines()[2] == (
        f"**Invalid**: 5 of {len(RULES)} rules are broken: unknown relation (1), "
        "duplicate node (1), dangling edge (2), self-loop (1), weight that is not finite (1)."
    )
    assert table_row(text, "self-loop")[1:3] == ["1", "User:u2 -KNOWS-> User:u2"]
    assert "2 edges have an end that is no node" in text
    assert table_row(text, "HEARD")[1:6] == ["Band -> Song", "1", "nan", "nan", "nan"]
    with pytest.raises(InputError, match="5 of 13 rules"):
        require_valid(rows)


def test_degrees_count_every_relation_and_orphans_are_named(tmp_path: Path) -> None:
    text = text_of(rows_from(NODES, EDGES), tmp_path)
    # s1: one listener, artist, mood, and two relations with s2; s2: two; s3: none; s4: one
    assert table_row(text, "Song") == ["Song", "4", "0", "1.5", "2.0", "5", "1", "s3"]
    assert table_row(text, "User") == ["User", "2", "1", "1.0", "1.0", "1", "0", ""]


def test_only_three_orphans_are_shown_of_many(tmp_path: Path) -> None:
    rows = rows_from([f"Song:s{n}" for n in range(1200)], [])
    cells = table_row(text_of(rows, tmp_path), "Song")
    assert cells[1] == cells[6] == "1,200"
    assert cells[7] == "s0, s1, s10"


def test_relations_show_weights_and_what_the_schema_says(tmp_path: Path) -> None:
    text = text_of(rows_from(NODES, EDGES), tmp_path)
    assert table_row(text, "EVOKES") == [
        *("EVOKES", "Artist -> Mood, Song -> Mood", "2", "0.5", "0.75", "1"),
        *("clarity", "above 0 to 1", "item_tags or links", "yes: training rows only"),
    ]
    assert table_row(text, "LISTENED")[7:] == [
        "from 1", "interactions", "yes: training rows only",
    ]  # fmt: skip
    assert table_row(text, "SIMILAR_TO")[6:] == [
        "similarity by the source",
        "above 0",
        "links",
        "no",
    ]


def test_components_are_counted_with_the_sizes_of_the_largest(tmp_path: Path) -> None:
    found = described(rows_from(NODES, EDGES)).components
    assert (found.num_components, found.largest_share) == (3, 5 / 8)
    assert found.next_sizes == (2, 1)
    text = text_of(rows_from(NODES, EDGES), tmp_path)
    assert "3 connected components. The largest holds 62.5% of all nodes" in text
    assert "sizes of the next: 2, 1." in text


def test_dangling_edges_join_nothing() -> None:
    stray: list[Row] = [("User:u9", "LISTENED", "Song:s3", 1.0), ("Song:s3", "HAS", "X:", 1.0)]
    found = described(rows_from(NODES, EDGES + stray))
    expected = described(rows_from(NODES, EDGES))
    assert (found.num_skipped, expected.num_skipped) == (2, 0)
    assert found.degrees.tolist() == expected.degrees.tolist()
    pd.testing.assert_frame_equal(found.reach.shares, expected.reach.shares)


def test_reach_starts_at_users_and_counts_items_within_hops() -> None:
    found = described(rows_from(NODES, EDGES)).reach
    assert (found.start_type, found.num_starts, found.num_candidates) == ("User", 2, 2)
    # u1: s1, then s2 (and the artist), then nothing new; u2: s4 only
    assert found.shares["hops"].tolist() == [1, 2, 3]
    assert found.shares["mean"].tolist() == [0.25, 0.375, 0.375]
    assert found.shares["max"].tolist() == [0.25, 0.5, 0.5]
    assert found.shares["min"].tolist() == [0.25, 0.25, 0.25]


def test_reach_starts_at_items_where_there_are_no_users(tmp_path: Path) -> None:
    nodes = ["Song:s1", "Song:s2", "Song:s3", "Genre:pop"]
    edges: list[Row] = [(f"Song:s{n}", "HAS_GENRE", "Genre:pop", 1.0) for n in (1, 2)]
    found = described(rows_from(nodes, edges)).reach
    assert found.start_type == "Song"
    # s1 and s2 reach each other, one of two other songs; s3 reaches none
    assert found.shares["mean"].tolist() == pytest.approx([0.0, 1 / 3, 1 / 3])
    assert "over 3 Song nodes.\n" in text_of(rows_from(nodes, edges), tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_degrees_components_and_reach_are_those_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = [f"{kind}:{n}" for kind in ("Artist", "Song", "User") for n in range(4)]
    names = ("KNOWS", "SIMILAR_TO")
    pairs = [(a, b) for i, a in enumerate(nodes) for b in nodes[:i]]
    edges: list[Row] = [
        (a, name, b, 1.0) for a, b in pairs for name in names if rng.random() < rng.choice([0, 0.2])
    ]
    found = described(rows_from(nodes, edges))
    graph = nx.MultiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((a, b) for a, _, b, _ in edges)
    assert found.degrees.tolist() == [graph.degree(node) for node in nodes]
    assert found.components.num_components == nx.number_connected_components(graph)
    for row in found.reach.shares.to_dict("records"):
        shares = []
        for user in nodes[8:]:
            near = nx.single_source_shortest_path_length(graph, user, cutoff=row["hops"])
            shares.append(sum(node.startswith("Song") for node in near) / 4)
        assert [row["mean"], row["min"], row["max"]] == pytest.approx(
            [np.mean(shares), min(shares), max(shares)]
        )


def test_reach_of_many_users_is_sampled_and_the_report_says_so(tmp_path: Path) -> None:
    users = [f"User:u{n:03d}" for n in range(MAX_STARTS + 50)]
    edges: list[Row] = [(user, "LISTENED", "Song:s1", 1.0) for user in users[::2]]
    rows = rows_from(["Song:s1", *users], edges)
    text = text_of(rows, tmp_path)
    assert "over 200 User nodes, drawn of 250 with seed 0." in text
    found = described(rows).reach.shares["mean"]
    assert 0.4 < found[0] < 0.6
    assert found[0] != 0.5  # a sample, not all


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        ([], []),
        ([], [("User:u1", "LISTENED", "Song:s1", 1.0)]),
        (["Song:s1"], []),
        (["Mood:calm"], []),
        (["Song:s1", "$x^^$:b", "User:u1"], [("$x^^$:b", "$^^$", "User:u1", 1.0)]),
        (["Song:s1", ":", "Band:"], [("Song:s1", "LISTENED", ":", float("inf"))]),
    ],
)
def test_even_an_empty_or_senseless_graph_is_reported(
    nodes: list[str], edges: list[Row], tmp_path: Path
) -> None:
    text = text_of(rows_from(nodes, edges), tmp_path)
    assert text.startswith("# Knowledge graph\n\n**")
    assert matplotlib.image.imread(tmp_path / "graph_report.png").size


def test_a_missing_id_is_reported_as_empty(tmp_path: Path) -> None:
    rows = rows_from(NODES, EDGES)
    nodes, edges = rows.nodes.copy(), rows.edges.copy()
    nodes.loc[0, ["node_type", "node_id"]] = None
    edges.loc[0, ["source_id", "target_type"]] = None
    text = text_of(canonical("Song", nodes, edges), tmp_path)
    assert "unknown node type (1), empty node id (1)" in text
    assert table_row(text, "")[1] == "1"


def test_the_same_graph_has_the_same_report_in_every_byte(tmp_path: Path) -> None:
    users = [f"User:u{n:03d}" for n in range(MAX_STARTS + 50)]  # enough to be sampled
    nodes = ["Song:s1", *users]
    edges: list[Row] = [(user, "LISTENED", "Song:s1", 1.0) for user in users[::2]]
    first = write_report(rows_from(nodes, edges), tmp_path / "one")
    second = write_report(rows_from(nodes[::-1], edges[::-1]), tmp_path / "two")
    for name in ("graph_report.md", "graph_report.png"):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()


def test_ids_cannot_break_a_table(tmp_path: Path) -> None:
    text = text_of(rows_from(["Song:a|b\n<img>", "Tag:t"], []), tmp_path)
    assert "| a\\|b \\<img> |" in text


def test_the_picture_is_readable_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = write_report(rows_from(NODES, EDGES), tmp_path / "new" / "folder")
    assert target.name == "graph_report.md"
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "graph_report.md", "graph_report.png",
    ]  # fmt: skip
    assert "](graph_report.png)" in target.read_text(encoding="utf-8")
    height, width, _ = matplotlib.image.imread(target.parent / "graph_report.png").shape
    assert (height, width) > (700, 1400)


def test_a_report_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = text_of(rows_from(NODES, EDGES), tmp_path)

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(report_module, "draw", fail)
    with pytest.raises(OSError, match="no space left"):
        write_report(rows_from(NODES[1:], []), tmp_path)
    assert (tmp_path / "graph_report.md").read_text(encoding="utf-8") == old
    assert len(list(tmp_path.iterdir())) == 2
