"""What differs between two graphs, so that a store need not be loaded anew for a few songs.

Knows rows only, neither tables nor databases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from musicrag.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, GraphRows, canonical
from musicrag.graph.stores.contract import GraphStore
from musicrag.types import BoolArray

_NODE_KEY = NODE_COLUMNS[:2]
_EDGE_KEY = EDGE_COLUMNS[:-1]


@dataclass(frozen=True)
class Delta:
    """The way from one graph to another.

    Attributes:
        added: new nodes and edges, those with a new name or weight, and the nodes that the edges
            end in; what :meth:`GraphStore.merge` takes.
        new_nodes: ``node_type, node_id`` of nodes that were not there.
        num_new_edges, num_changed_edges: how many edges are new, or have another weight.
        removed_nodes: ``node_type, node_id`` of nodes that are no more.
        removed_edges: edges that are no more, as they were.
        has_lost_names: whether a node that had a name has none now.
    """

    added: GraphRows
    new_nodes: pd.DataFrame
    num_new_edges: int
    num_changed_edges: int
    removed_nodes: pd.DataFrame
    removed_edges: pd.DataFrame
    has_lost_names: bool

    @property
    def is_empty(self) -> bool:
        return not (len(self.added.nodes) or len(self.removed_nodes) or len(self.removed_edges))

    @property
    def is_additive(self) -> bool:
        """Whether a merge says it all: nothing was taken away."""
        is_less = len(self.removed_nodes) or len(self.removed_edges) or self.has_lost_names
        return not is_less

    def touched(self) -> pd.DataFrame:
        """``node_type, node_id`` of every node that has another surrounding now, and is there."""
        ends = [
            edges[[f"{end}_type", f"{end}_id"]].set_axis(_NODE_KEY, axis=1)
            for edges in (self.added.edges, self.removed_edges)
            for end in ("source", "target")
        ]
        found = pd.concat([self.new_nodes, *ends]).drop_duplicates(ignore_index=True)
        return found[~_among(found, self.removed_nodes, _NODE_KEY)].reset_index(drop=True)


def difference(old: GraphRows, new: GraphRows) -> Delta:
    """Compare two graphs row by row; an edge that turned round counts as removed and added."""
    gone_nodes, new_nodes = _unlike(old.nodes, new.nodes)
    gone_edges, new_edges = _unlike(old.edges, new.edges)
    was_node = _among(new_nodes, gone_nodes, _NODE_KEY)
    was_edge = _among(new_edges, gone_edges, _EDGE_KEY)
    ends = [
        new_edges[[f"{end}_type", f"{end}_id"]].set_axis(_NODE_KEY, axis=1)
        for end in ("source", "target")
    ]
    needed = pd.concat([new_nodes[_NODE_KEY], *ends])
    nodes = new.nodes[_among(new.nodes, needed, _NODE_KEY)]
    renamed = gone_nodes.merge(new_nodes, on=_NODE_KEY, suffixes=("_old", ""))
    return Delta(
        canonical(new.item_type, nodes, new_edges),
        new_nodes.loc[~was_node, _NODE_KEY],
        int((~was_edge).sum()),
        int(was_edge.sum()),
        gone_nodes.loc[~_among(gone_nodes, new_nodes, _NODE_KEY), _NODE_KEY],
        gone_edges[~_among(gone_edges, new_edges, _EDGE_KEY)],
        bool((renamed["name"] == "").any()),
    )


def apply_delta(store: GraphStore, delta: Delta, rows: GraphRows) -> None:
    """Bring a store that holds the old graph to ``rows``: by a merge if that says it all."""
    if delta.is_additive:
        if not delta.is_empty:
            store.merge(delta.added)
    else:
        store.load(rows)


def _unlike(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of each frame that the other lacks. Rows are compared by a hash of 64 bits."""
    codes = [pd.util.hash_pandas_object(frame, index=False).to_numpy() for frame in (old, new)]
    gone, come = (~np.isin(codes[0], codes[1]), ~np.isin(codes[1], codes[0]))
    return old[gone].reset_index(drop=True), new[come].reset_index(drop=True)


def _among(rows: pd.DataFrame, others: pd.DataFrame, key: list[str]) -> BoolArray:
    """Which rows have their key among those of others. Shape ``[len(rows)]``."""
    found: BoolArray = pd.MultiIndex.from_frame(rows[key]).isin(
        pd.MultiIndex.from_frame(others[key])
    )
    return found
