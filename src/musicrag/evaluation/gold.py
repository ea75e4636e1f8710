"""Gold paths of each query: planted ones where the data has them, else the shortest ones.

Follows docs/evaluation.md. Gold depends on the data, the split and the graph of training rows only,
never on a modality or a model, so every variant of an ablation is held to the same paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from tqdm import tqdm

from musicrag.contracts import Query
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.graph.paths import PathFinder
from musicrag.types import Node, Path

Gold = dict[str, dict[str, list[Path]]]
"""``{query_id: {item_id: paths}}``: every relevant item has an entry, an empty one if no path."""


def gold_paths(
    queries: Sequence[Query],
    relevant: Mapping[str, Iterable[str]],
    graph: KnowledgeGraph,
    planted: pd.DataFrame | None,
    max_hops: int,
    gold_per_item: int,
) -> Gold:
    """Collect the gold paths of queries.

    Args:
        queries: the evaluation units.
        relevant: relevant item ids by query id.
        graph: the training graph.
        planted: table ``gold_paths``; query types that occur in it take their gold from it alone.
        max_hops: longest path.
        gold_per_item: paths kept for each relevant item.
    """
    by_query = _planted_by_query(planted)
    planted_types = {query_id.partition(":")[0] for query_id in by_query}
    gold: Gold = {}
    for query in tqdm(queries, desc="gold paths", leave=False, disable=len(queries) < 500):
        if query.query_id.partition(":")[0] in planted_types:
            known = by_query.get(query.query_id, {})
            gold[query.query_id] = {
                item: [
                    p for p in known.get(item, []) if p.num_hops <= max_hops and graph.has_path(p)
                ]
                for item in relevant[query.query_id]
            }
            continue
        finder = PathFinder(graph, query.anchors, max_hops)
        gold[query.query_id] = {
            item: finder.shortest(graph.index(Node(graph.item_type, item)), gold_per_item)
            for item in relevant[query.query_id]
        }
    return gold


def _planted_by_query(planted: pd.DataFrame | None) -> dict[str, dict[str, list[Path]]]:
    found: dict[str, dict[str, list[Path]]] = {}
    if planted is not None:
        columns = ["query_type", "query_id", "item_id", "path"]
        for query_type, query_id, item_id, path in planted[columns].itertuples(index=False):
            by_item = found.setdefault(f"{query_type}:{query_id}", {})
            by_item.setdefault(item_id, []).append(Path.from_json(path))
    return found
