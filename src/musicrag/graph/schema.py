"""The node types and relations of the knowledge graph, in one place.

Each relation says what it joins, what its weight means, which weights are possible and where it
comes from. No relation may be built from held-out rows; one marked ``from_interactions`` could be,
so its table must have gone through :func:`musicrag.tables.leaks.training_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

NODE_TYPES = ("Album", "Artist", "Genre", "Mood", "Playlist", "Song", "Tag", "User")

ITEMS = ("Artist", "Song")
"""Node types that a data set may recommend."""


@dataclass(frozen=True)
class Relation:
    """One edge type.

    Attributes:
        name: upper-case name, the same in tables, paths, stores and tables of the paper.
        sources, targets: node types that it may join.
        weight: what the weight means; every weight is above 0.
        weight_range: smallest and largest possible weight, both included.
        origin: the table it is built from.
        from_interactions: True where held-out rows could leak, so training rows only.
        may_use_test_rows: never.
    """

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str
    weight_range: tuple[float, float]
    origin: str
    from_interactions: bool = False
    may_use_test_rows: ClassVar[bool] = False

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Allowed ``(source type, target type)``; items are joined with items of their own type."""
        same = self.sources == self.targets
        return tuple((a, b) for a in self.sources for b in self.targets if a == b or not same)


_USER, _SONG, _ARTIST = ("User",), ("Song",), ("Artist",)
_POSITIVE, _SHARE, _FROM_ONE = (0.0, float("inf")), (0.0, 1.0), (1.0, float("inf"))
_PMI = "PMI over training playlists"
_VAD = "exp(-distance) in valence, arousal and dominance"

RELATIONS: Mapping[str, Relation] = {
    relation.name: relation
    for relation in (
        Relation("LISTENED", _USER, ITEMS, "1 + log(plays)", _FROM_ONE, "interactions", True),
        Relation("IN_PLAYLIST", ITEMS, ("Playlist",), "1", (1.0, 1.0), "playlist_items", True),
        Relation("CO_OCCURS", ITEMS, ITEMS, _PMI, _POSITIVE, "playlist_items", True),
        Relation("HAS_GENRE", ITEMS, ("Genre",), "strength", _SHARE, "item_tags", True),
        Relation("EVOKES", ITEMS, ("Mood",), "clarity", _SHARE, "item_tags or links", True),
        Relation("TAGGED", ITEMS, ("Tag",), "log(1 + users)", _POSITIVE, "item_tags", True),
        Relation("PERFORMED_BY", _SONG, _ARTIST, "1", _POSITIVE, "items or links"),
        Relation("ON_ALBUM", _SONG, ("Album",), "1", _POSITIVE, "items or links"),
        Relation("COLLABORATED_WITH", _ARTIST, _ARTIST, "number of works", _POSITIVE, "links"),
        Relation("KNOWS", _USER, _USER, "1", _POSITIVE, "links"),
        Relation("SIMILAR_MOOD", ITEMS, ITEMS, _VAD, _SHARE, "emotion_features or links"),
        Relation("SIMILAR_TO", ITEMS, ITEMS, "similarity by the source", _POSITIVE, "links"),
    )
}
"""Every relation by its name. ``links`` may give another strength where the weight says 1."""

TAG_RELATIONS = {"genre": "HAS_GENRE", "mood": "EVOKES", "tag": "TAGGED"}
"""``item_tags.kind`` to relation; the node type is the relation's target."""
