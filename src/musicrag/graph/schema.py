"""The node types and relations of the knowledge graph, in one place.

Each relation says what it joins, what its weight means and where it comes from. A relation
marked ``from_interactions`` is built from training rows only, never from held-out ones.
"""

from __future__ import annotations

from dataclasses import dataclass

NODE_TYPES = ("Album", "Artist", "Genre", "Mood", "Playlist", "Song", "Tag", "User")

ITEM = "<item>"
"""Stands for the data set's item type, ``Song`` or ``Artist``."""


@dataclass(frozen=True)
class Relation:
    """One edge type.

    Attributes:
        name: upper-case name, the same in tables, paths, stores and tables of the paper.
        source, target: node types; :data:`ITEM` for the data set's item type.
        weight: what the weight means.
        origin: the table it is built from.
        from_interactions: True where held-out rows could leak, so training rows only.
    """

    name: str
    source: str
    target: str
    weight: str
    origin: str
    from_interactions: bool = False


RELATIONS: dict[str, Relation] = {
    relation.name: relation
    for relation in (
        Relation("LISTENED", "User", ITEM, "1 + log(play count)", "interactions", True),
        Relation("IN_PLAYLIST", ITEM, "Playlist", "1", "playlist_items", True),
        Relation("CO_OCCURS", ITEM, ITEM, "PMI over training playlists", "playlist_items", True),
        Relation("HAS_GENRE", ITEM, "Genre", "strength, at most 1", "item_tags", True),
        Relation("EVOKES", ITEM, "Mood", "strength, at most 1", "item_tags or links", True),
        Relation("TAGGED", ITEM, "Tag", "log(1 + users who gave it)", "item_tags", True),
        Relation("PERFORMED_BY", "Song", "Artist", "1", "items or links"),
        Relation("COLLABORATED_WITH", "Artist", "Artist", "number of works", "links"),
        Relation("KNOWS", "User", "User", "1", "links"),
        Relation("SIMILAR_MOOD", ITEM, ITEM, "closeness in valence and arousal", "links"),
        Relation("SIMILAR_TO", ITEM, ITEM, "similarity given by the source", "links"),
    )
}

TAG_RELATIONS = {"genre": "HAS_GENRE", "mood": "EVOKES", "tag": "TAGGED"}
"""``item_tags.kind`` to relation; the node type is the relation's target."""
