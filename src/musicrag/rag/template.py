"""A ranking becomes fixed sentences; each reason is a rendering of one retrieved path.

The deterministic generator that every learned one is compared with.
"""

from __future__ import annotations

from musicrag.contracts import Query, Ranking
from musicrag.graph.knowledge import KnowledgeGraph
from musicrag.types import Node, Path

_PHRASES = {
    "LISTENED": "is listened to with",
    "IN_PLAYLIST": "shares a playlist with",
    "CO_OCCURS": "often stands beside",
    "HAS_GENRE": "has the genre of",
    "EVOKES": "has the mood of",
    "TAGGED": "shares a tag with",
    "PERFORMED_BY": "is tied by performance to",
    "ON_ALBUM": "shares an album with",
    "COLLABORATED_WITH": "worked with",
    "KNOWS": "knows",
    "SIMILAR_MOOD": "feels like",
    "SIMILAR_TO": "is similar to",
}


class TemplateGenerator:
    """Names the best items and words the first path that leads to each.

    Args:
        num_items: items that the text names.
        graph: the training graph, for names.
        item_ids: id of each item index.
    """

    def __init__(self, num_items: int, graph: KnowledgeGraph, item_ids: tuple[str, ...]) -> None:
        self.num_items = num_items
        self._graph = graph
        self._item_ids = item_ids

    def generate(self, query: Query, ranking: Ranking) -> str:
        """Return one line per item; an item without a path is named without a reason."""
        reasons: dict[Node, str] = {}
        for scored in ranking.paths:
            reasons.setdefault(scored.path.target, render(scored.path, self._graph))
        lines = []
        for idx in ranking.item_idx[: self.num_items]:
            node = Node(self._graph.item_type, self._item_ids[idx])
            because = f": {reasons[node]}" if node in reasons else ""
            lines.append(f"{self._graph.name(node)}{because}")
        return "\n".join(lines)


def render(path: Path, graph: KnowledgeGraph) -> str:
    """Word a path as ``A worked with B, B …``; names every node and relation of the path."""
    steps = zip(path.nodes, path.relations, path.nodes[1:], strict=False)
    return ", ".join(
        f"{graph.name(a)} {_PHRASES.get(relation, relation.lower())} {graph.name(b)}"
        for a, relation, b in steps
    )
