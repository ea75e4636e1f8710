"""What the Ladybug store asks its database, in Cypher. Labels pass through ``quoted``.

Rows to load stand in a Parquet file; ``ROWS`` in a statement marks the place of its name.
"""

from __future__ import annotations

import re
from pathlib import Path

from musicrag.graph.schema import NODE_TYPES, RELATIONS
from musicrag.graph.stores._parts import Triple, quoted

ROWS = "<rows>"
METADATA = "MATCH (m:MusicragGraph) RETURN m.key AS key, m.value AS value"
SET_METADATA = "MERGE (m:MusicragGraph {key: $key}) SET m.value = $value"


def schema() -> list[str]:
    """A table for each node type and relation, and one for metadata."""
    nodes = [
        f"CREATE NODE TABLE {quoted(name)}(id STRING PRIMARY KEY, name STRING)"
        for name in NODE_TYPES
    ]
    edges = [
        f"CREATE REL TABLE {quoted(name)}("
        + ", ".join(f"FROM {quoted(a)} TO {quoted(b)}" for a, b in relation.pairs)
        + ", weight FLOAT)"
        for name, relation in RELATIONS.items()
    ]
    metadata = "CREATE NODE TABLE MusicragGraph(key STRING PRIMARY KEY, value STRING)"
    return [*nodes, *edges, metadata]


def file_literal(path: Path) -> str:
    """A path as a string of Cypher; what Ladybug would read as a pattern stands for itself."""
    text = re.sub(r"([*?\[])", r"[\1]", str(path))
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def copy_nodes(node_type: str) -> str:
    """Add nodes that are not there yet."""
    return f"COPY {quoted(node_type)} FROM {ROWS}"


def copy_edges(triple: Triple) -> str:
    """Add edges without a look at those that are there."""
    ends = f"(from={_text(triple.source)}, to={_text(triple.target)})"
    return f"COPY {quoted(triple.relation)} FROM {ROWS} {ends}"


def _text(name: str) -> str:
    return quoted(name).replace("`", "'")


def merge_nodes(node_type: str) -> str:
    """Add nodes, or give those that are there a new name unless it is empty."""
    return (
        f"LOAD FROM {ROWS} MERGE (n:{quoted(node_type)} {{id: id}}) ON CREATE SET n.name = name "
        f"ON MATCH SET n.name = CASE WHEN name = '' THEN n.name ELSE name END"
    )


def remove_edges(triple: Triple) -> list[str]:
    """Remove the edges between pairs of nodes, whichever way they point.

    MERGE of edges from a file runs out of memory (0.22), and so does an undirected DELETE fail.
    """
    a, b = quoted(triple.source), quoted(triple.target)
    ways = [("source", "target")]
    if triple.source == triple.target:
        ways.append(("target", "source"))
    return [
        f"LOAD FROM {ROWS} MATCH (a:{a} {{id: {source}}})-[r:{quoted(triple.relation)}]->"
        f"(b:{b} {{id: {target}}}) DELETE r"
        for source, target in ways
    ]


def all_nodes(node_type: str) -> str:
    """Columns ``id, name``."""
    return f"MATCH (n:{quoted(node_type)}) RETURN n.id AS id, n.name AS name"


def all_edges(triple: Triple) -> str:
    """Columns ``source, target, weight``."""
    return (
        f"MATCH (a:{quoted(triple.source)})-[r:{quoted(triple.relation)}]->"
        f"(b:{quoted(triple.target)}) "
        f"RETURN a.id AS source, b.id AS target, r.weight AS weight"
    )


def which_ids(node_type: str) -> str:
    """Column ``id``: those of ``$ids`` that are there."""
    return f"UNWIND $ids AS wanted MATCH (n:{quoted(node_type)} {{id: wanted}}) RETURN n.id AS id"


def within(node_type: str, hops: int) -> str:
    """Columns ``type, id`` of each node at most so many edges from ``$id``.

    SHORTEST visits each node once; without it every walk would be followed.
    """
    return (
        f"MATCH (n:{quoted(node_type)} {{id: $id}})-[* SHORTEST 1..{hops:d}]-(m) "
        f"RETURN DISTINCT label(m) AS type, m.id AS id"
    )
