"""What the Neo4j store asks its server, in Cypher that Neo4j 5 and ArcadeDB both speak.

Values are parameters. Labels and relationship types cannot be, so they pass through ``quoted``,
which knows the schema's names only. Nodes and relationships carry the ``stamp`` of the load that
wrote them last, so that a load can tell what is not its own.
"""

from __future__ import annotations

from musicrag.graph.stores._parts import Triple, quoted

_GRAPH = "(g:MusicragGraph {id: 'graph'})"

METADATA = (
    f"MATCH {_GRAPH} RETURN g.status AS status, g.stamp AS stamp, g.item_type AS item_type, "
    f"g.content_hash AS content_hash, g.schema_version AS schema_version"
)
BEGIN = (
    f"MERGE {_GRAPH} SET g.status = 'loading', g.stamp = $stamp, g.item_type = $item_type, "
    f"g.content_hash = $content_hash, g.schema_version = $schema_version"
)
# Writes to the graph's node before anybody looks at it: who holds its lock sees what came last.
LOCK = f"MERGE {_GRAPH} SET g.lock = true"
_LOCKED = f"MATCH {_GRAPH} SET g.lock = true WITH g"
OWNED = f"{_LOCKED} WHERE g.stamp = $stamp RETURN count(g) AS n"
FINISH = f"{_LOCKED} WHERE g.stamp = $stamp SET g.status = 'complete' RETURN count(g) AS n"
CHANGED = (
    f"{_LOCKED} WHERE g.status = 'complete' SET g.content_hash = '', g.stamp = $stamp "
    f"RETURN g.item_type AS item_type"
)
METADATA_CONSTRAINT = (
    "CREATE CONSTRAINT musicrag_graph IF NOT EXISTS FOR (g:MusicragGraph) REQUIRE g.id IS UNIQUE"
)


def constraint(node_type: str) -> str:
    """Ids are unique in their label; the index behind it makes MERGE fast."""
    return (
        f"CREATE CONSTRAINT musicrag_{node_type.lower()}_id IF NOT EXISTS "
        f"FOR (n:{quoted(node_type)}) REQUIRE n.id IS UNIQUE"
    )


def any_node(node_type: str) -> str:
    """Column ``id``; a row if the label has a node."""
    return f"MATCH (n:{quoted(node_type)}) RETURN n.id AS id LIMIT 1"


def put_nodes(node_type: str) -> str:
    """Make nodes have these names."""
    return (
        f"UNWIND $rows AS row MERGE (n:{quoted(node_type)} {{id: row.id}}) "
        f"SET n.name = row.name, n.stamp = $stamp"
    )


def merge_nodes(node_type: str) -> str:
    """Make nodes have these names, except where the name is empty."""
    return (
        f"UNWIND $rows AS row MERGE (n:{quoted(node_type)} {{id: row.id}}) "
        f"SET n.name = CASE WHEN row.name = '' THEN coalesce(n.name, '') ELSE row.name END, "
        f"n.stamp = $stamp"
    )


def put_edges(triple: Triple) -> str:
    """Make edges have these weights."""
    return (
        f"UNWIND $rows AS row "
        f"MATCH (a:{quoted(triple.source)} {{id: row.source}}) "
        f"MATCH (b:{quoted(triple.target)} {{id: row.target}}) "
        f"MERGE (a)-[r:{quoted(triple.relation)}]->(b) "
        f"SET r.weight = row.weight, r.stamp = $stamp"
    )


def remove_turned(triple: Triple) -> str:
    """Remove the edges that point the other way."""
    return (
        f"UNWIND $rows AS row "
        f"MATCH (a:{quoted(triple.source)} {{id: row.source}})"
        f"<-[r:{quoted(triple.relation)}]-(b:{quoted(triple.target)} {{id: row.target}}) "
        f"DELETE r"
    )


def sweep_edges(relation: str) -> str:
    """Column ``n``: how many of at most ``$limit`` edges of another load were removed."""
    return (
        f"MATCH ()-[r:{quoted(relation)}]->() WHERE r.stamp IS NULL OR r.stamp <> $stamp "
        f"WITH r LIMIT $limit DELETE r RETURN count(*) AS n"
    )


def sweep_nodes(node_type: str) -> str:
    """Column ``n``: how many of at most ``$limit`` nodes of another load were removed."""
    return (
        f"MATCH (n:{quoted(node_type)}) WHERE n.stamp IS NULL OR n.stamp <> $stamp "
        f"WITH n LIMIT $limit DETACH DELETE n RETURN count(*) AS n"
    )


def which_ids(node_type: str) -> str:
    """Column ``id``: those of ``$ids`` that are there."""
    return f"UNWIND $ids AS wanted MATCH (n:{quoted(node_type)} {{id: wanted}}) RETURN n.id AS id"


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


def count_nodes(node_type: str) -> str:
    """Column ``n``."""
    return f"MATCH (n:{quoted(node_type)}) RETURN count(n) AS n"


def count_edges(relation: str) -> str:
    """Column ``n``."""
    return f"MATCH ()-[r:{quoted(relation)}]->() RETURN count(r) AS n"


def within(node_type: str, hops: int) -> str:
    """Columns ``type, id`` of each node at most so many edges from ``$id``, itself included.

    A walk may turn back, so the ends of walks of ``hops`` and ``hops - 1`` edges are all of them.
    Each hop starts from the nodes of the last one once, where ``*1..3`` would follow every walk.
    """
    return " UNION ".join(_walk(node_type, n) for n in (hops - 1, hops) if n)


def _walk(node_type: str, length: int) -> str:
    walk = f"MATCH (n0:{quoted(node_type)} {{id: $id}})--(n1) "
    for step in range(1, length):
        walk += f"WITH DISTINCT n{step} MATCH (n{step})--(n{step + 1}) "
    return f"{walk}RETURN DISTINCT labels(n{length})[0] AS type, n{length}.id AS id"
