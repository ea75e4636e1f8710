"""What a graph looks like: sizes, degrees, components, lonely nodes, reach and weights.

Describes a graph as it is, valid or not: an edge without its nodes is counted and left out.
Relations carry no direction, so neither do degrees, components and hops. Numbers only; see
:mod:`musicrag.graph.report` for the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd

from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows
from musicrag.types import BoolArray, IntArray

MAX_STARTS = 200
"""Start nodes from which reach is measured; of more, a sample is drawn."""
MAX_HOPS = 3
_MAX_EXAMPLES = 3
_MAX_SIZES = 5


@dataclass(frozen=True)
class Components:
    """Connected components, relations taken without direction.

    Attributes:
        num_components: how many, lonely nodes included.
        largest_share: share of all nodes in the largest, 0 to 1.
        next_sizes: number of nodes of the next (at most 5), largest first.
    """

    num_components: int
    largest_share: float
    next_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Reach:
    """Share of the items within some hops of a start node, the start itself left out.

    Attributes:
        start_type: node type of the start nodes.
        num_starts, num_candidates: how many starts were drawn, and of how many.
        shares: ``hops, mean, min, median, max`` over the starts; shares are 0 to 1.
    """

    start_type: str
    num_starts: int
    num_candidates: int
    shares: pd.DataFrame


@dataclass(frozen=True)
class GraphStatistics:
    """Statistics of one graph.

    Attributes:
        node_types: ``node_type, num_nodes, min, median, mean, max, num_orphans, examples``; min to
            max are of the degree (number of incident edges), orphans have none, examples are up to
            3 of their ids.
        relations: ``relation, num_edges, joins, min, median, max``; min to max are of the weight.
        degrees: degree of each node. Shape ``[num_nodes]``, in the order of the rows' nodes without
            their duplicates.
        degree_types: node type of each degree.
        num_skipped: edges with an end that is no node.
    """

    node_types: pd.DataFrame
    relations: pd.DataFrame
    components: Components
    reach: Reach
    degrees: IntArray
    degree_types: pd.Series[str]
    num_skipped: int


def describe(rows: GraphRows, rng: np.random.Generator) -> GraphStatistics:
    """Measure a graph; memory and time grow with its edges (2e5 edges: 3 s, 1e6: 20 s).

    Args:
        rows: canonical rows; they need not be valid.
        rng: draws the start nodes of reach; equal state, equal statistics.
    """
    nodes = rows.nodes.fillna("").drop_duplicates(NODE_COLUMNS[:2], ignore_index=True)
    edges = rows.edges.fillna(dict.fromkeys(EDGE_COLUMNS[:-1], ""))
    source, target = _places(nodes, edges)
    is_whole = (source >= 0) & (target >= 0)
    graph = _network(len(nodes), source[is_whole], target[is_whole])
    degrees = np.fromiter((d for _, d in graph.degree(weight="num_edges")), dtype=np.int64)
    return GraphStatistics(
        _node_types(nodes, degrees),
        _relations(edges),
        _components(graph),
        _reach(graph, nodes["node_type"], rows.item_type, rng),
        degrees,
        nodes["node_type"],
        int((~is_whole).sum()),
    )


def _places(nodes: pd.DataFrame, edges: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Row of each edge's source and target in ``nodes``, -1 where there is none."""
    known = pd.MultiIndex.from_frame(nodes[NODE_COLUMNS[:2]])
    places = []
    for end in ("source", "target"):
        ends = pd.MultiIndex.from_arrays([edges[f"{end}_type"], edges[f"{end}_id"]])
        places.append(known.get_indexer(ends).astype(np.int64))
    return places[0], places[1]


def _network(num_nodes: int, source: IntArray, target: IntArray) -> nx.Graph:
    """Nodes are their places; several edges between two nodes are one with ``num_edges``.

    One edge a pair takes half the memory of a MultiGraph, and degrees still count all relations.
    """
    ends = np.stack([np.minimum(source, target), np.maximum(source, target)], axis=1)
    pairs, counts = np.unique(ends, axis=0, return_counts=True)
    graph = nx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_weighted_edges_from(
        zip(*pairs.T.tolist(), counts.tolist(), strict=True), weight="num_edges"
    )
    return graph


def _node_types(nodes: pd.DataFrame, degrees: IntArray) -> pd.DataFrame:
    frame = nodes.assign(degree=degrees)
    lonely = frame[frame["degree"] == 0].groupby("node_type")["node_id"]
    examples = lonely.agg(lambda ids: ", ".join(ids.head(_MAX_EXAMPLES)))
    found = frame.groupby("node_type")["degree"].agg(["size", "min", "median", "mean", "max"])
    found = found.rename(columns={"size": "num_nodes"})
    found["num_orphans"] = lonely.size().reindex(found.index, fill_value=0)
    found["examples"] = examples.reindex(found.index).fillna("").astype("str")
    return found.reset_index()


def _relations(edges: pd.DataFrame) -> pd.DataFrame:
    joins = edges["source_type"] + " -> " + edges["target_type"]
    groups = edges.assign(joins=joins).groupby("relation")
    found = groups["weight"].agg(["size", "min", "median", "max"])
    found = found.rename(columns={"size": "num_edges"})
    found.insert(1, "joins", groups["joins"].agg(lambda pairs: ", ".join(sorted(set(pairs)))))
    return found.reset_index()


def _components(graph: nx.Graph) -> Components:
    sizes = sorted((len(members) for members in nx.connected_components(graph)), reverse=True)
    share = sizes[0] / len(graph) if sizes else 0.0
    return Components(len(sizes), share, tuple(sizes[1 : 1 + _MAX_SIZES]))


def _reach(
    graph: nx.Graph, types: pd.Series[str], item_type: str, rng: np.random.Generator
) -> Reach:
    """From users, or from items where there are no users."""
    is_item = (types == item_type).to_numpy(dtype=bool)
    is_user = (types == "User").to_numpy(dtype=bool)
    candidates = np.flatnonzero(is_user if is_user.any() else is_item)
    starts = candidates
    if len(candidates) > MAX_STARTS:
        starts = np.sort(rng.choice(candidates, MAX_STARTS, replace=False))
    shares = _shares(graph, starts, is_item)
    rows = [
        {"hops": hops, "mean": s.mean(), "min": s.min(), "median": np.median(s), "max": s.max()}
        for hops, s in enumerate(shares, start=1)
        if len(s)
    ]
    frame = pd.DataFrame(rows, columns=["hops", "mean", "min", "median", "max"])
    return Reach("User" if is_user.any() else item_type, len(starts), len(candidates), frame)


def _shares(graph: nx.Graph, starts: IntArray, is_item: BoolArray) -> list[np.ndarray]:
    """Share of items within 1, 2, … hops of each start. One array ``[num_starts]`` a hop.

    All starts step at once, as columns of a matrix: about 5 times as fast as NetworkX's own
    search from one start after another (HetRec Last.fm, 2e5 edges).
    """
    if not len(starts) or not graph.number_of_edges():
        return [np.zeros(len(starts)) for _ in range(MAX_HOPS)]
    near = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=None, format="csr")
    near = near.astype(np.float32)
    is_reached = np.zeros((len(graph), len(starts)), dtype=bool)
    is_reached[starts, np.arange(len(starts))] = True
    num_others = np.maximum(is_item.sum() - is_item[starts], 1)
    shares = []
    for _ in range(MAX_HOPS):
        is_reached |= (near @ is_reached.astype(np.float32)) > 0
        shares.append((is_reached[is_item].sum(axis=0) - is_item[starts]) / num_others)
    return shares
