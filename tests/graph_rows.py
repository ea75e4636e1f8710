"""Small graphs as rows for the tests of graph stores, and a plain Python reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd

from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows, canonical, joined
from musicrag.graph.schema import RELATIONS
from musicrag.types import Node

Edge = tuple[str, str, str, float]
"""``("User:u1", "LISTENED", "Song:s1", 2.0)``"""

HOSTILE = [
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "\\u0041 \\n $id {id}",
    "}) DETACH DELETE n //",
    "'}) MATCH (n) DETACH DELETE n //",
    "`) DETACH DELETE n //",
    "; DROP TABLE Song;",
    "<rows>",
    "🎵👩‍🎤",
    "line\nbreak\r\nand\ttab",
    "\x01\x07\x1b[31m\x7f\x85\u2028",
    "مرحبا \u202e بالعالم",
    "e\u0301 is not é",
    " blank ",
    "007",
    "7",
    "-0",
    "1e5",
    "1_000",
    "NaN",
    "null",
    "None",
    "true",
    "2020-01-01",
    "Song:s1",
]
LONG = "ä'\"\\ " * 1_700  # more than 10 kB


def rows_of(
    edges: Iterable[Edge], nodes: dict[str, str] | None = None, item_type: str = "Song"
) -> GraphRows:
    """Exactly these edges, their ends, and further nodes: ``{"Song:s1": "its name"}``."""
    edges = list(edges)
    named = dict.fromkeys((end for a, _, b, _ in edges for end in (a, b)), "") | (nodes or {})
    parsed = [(*text.split(":", 1), name) for text, name in named.items()]
    joins = [(*a.split(":", 1), name, *b.split(":", 1), weight) for a, name, b, weight in edges]
    return canonical(
        item_type,
        pd.DataFrame(parsed, columns=NODE_COLUMNS, dtype=object),
        pd.DataFrame(joins, columns=EDGE_COLUMNS, dtype=object),
    )


def random_rows(seed: int, num_ids: int = 12, num_edges: int = 30) -> GraphRows:
    """Edges of every relation between nodes of odd ids, weights over the range of float32."""
    rng = np.random.default_rng(seed)
    ids = np.array([*HOSTILE, *(f"n{number}" for number in range(num_ids))], dtype=object)
    ids = rng.choice(ids, num_ids, replace=False)
    parts = []
    for name, relation in RELATIONS.items():
        for source, target in relation.pairs:
            n = int(rng.integers(0, num_edges))
            ends = [rng.choice(ids, n), rng.choice(ids, n)]
            weight = (10.0 ** rng.uniform(-30, 38, n)).astype(np.float32)
            columns = (source, ends[0], name, target, ends[1], weight)
            parts.append(pd.DataFrame(dict(zip(EDGE_COLUMNS, columns, strict=True))))
    alone = pd.DataFrame({"node_type": "Song", "node_id": ["alone", *ids[:3]]})
    names = alone.assign(name=["", *rng.choice([*HOSTILE, LONG], 3)])
    return joined("Song", parts, alone, names)


def neighbours(rows: GraphRows) -> dict[Node, set[Node]]:
    """Each node and the nodes that an edge of any direction joins it with."""
    found: dict[Node, set[Node]] = defaultdict(set)
    for source_type, source_id, _, target_type, target_id, _ in rows.edges.itertuples(index=False):
        a, b = Node(source_type, source_id), Node(target_type, target_id)
        found[a].add(b)
        found[b].add(a)
    for node_type, node_id, _ in rows.nodes.itertuples(index=False):
        found[Node(node_type, node_id)].discard(Node(node_type, node_id))
    return found


def reachable(adjacency: dict[Node, set[Node]], start: Node, hops: int) -> frozenset[Node]:
    """Breadth first, in plain Python."""
    seen, ring = {start}, {start}
    for _ in range(hops):
        ring = {b for a in ring for b in adjacency[a]} - seen
        seen |= ring
    return frozenset(seen - {start})


def counts_of(rows: GraphRows) -> dict[str, int]:
    found = rows.nodes["node_type"].value_counts().to_dict()
    return found | rows.edges["relation"].value_counts().to_dict()


def same(found: GraphRows, expected: GraphRows) -> None:
    """Fails unless both are the same, types and order included."""
    assert found.item_type == expected.item_type
    pd.testing.assert_frame_equal(found.nodes, expected.nodes, check_exact=True)
    pd.testing.assert_frame_equal(found.edges, expected.edges, check_exact=True)
    assert found.content_hash == expected.content_hash


def listening(num_users: int, num_songs: int, num_edges: int, seed: int = 0) -> GraphRows:
    """Users and songs of plain ids and names, joined at random."""
    rng = np.random.default_rng(seed)
    pairs = rng.choice(num_users * num_songs, num_edges, replace=False)
    users = np.array([f"u{number:06d}" for number in range(num_users)], dtype=object)
    songs = np.array([f"s{number:06d}" for number in range(num_songs)], dtype=object)
    columns = (
        *("User", users[pairs // num_songs], "LISTENED", "Song", songs[pairs % num_songs]),
        1 + rng.random(num_edges),
    )
    node_type = np.repeat(np.array(["User", "Song"], dtype=object), [num_users, num_songs])
    ids = np.concatenate([users, songs])
    nodes = pd.DataFrame({"node_type": node_type, "node_id": ids, "name": "Name of " + ids})
    return canonical("Song", nodes, pd.DataFrame(dict(zip(EDGE_COLUMNS, columns, strict=True))))
