"""Collects what one unit says, under keys, and ends as tables in a fixed order.

Where items are songs, artists go to ``artists``. Where items are artists, those are the items, and
songs are nodes of the graph that hang on them: a track layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import pandas as pd

from musicrag.contracts import TABLES, RawTables
from musicrag.sources.web.identity import artist_key, song_key

_Row = dict[str, object]


class Rows:
    """The rows of one unit. The first of equal rows counts; later ones fill its empty cells.

    Args:
        item_type: node type of the catalogue's items, ``Song`` or ``Artist``.
    """

    def __init__(self, item_type: str) -> None:
        self._has_songs = item_type == "Song"
        self._rows: dict[str, dict[tuple[object, ...], _Row]] = {}

    def artist(self, name: str) -> str:
        """Add an artist; returns its key."""
        key = artist_key(name)
        if self._has_songs:
            self._add("artists", artist_id=key, name=name)
        else:
            self._add("items", item_id=key, title=name)
        return key

    def song(
        self,
        artist: str,
        title: str,
        album: str | None = None,
        year: int | None = None,
        duration_s: float | None = None,
    ) -> str:
        """Add a song and its artist; returns the song's key."""
        key, by = song_key(artist, title), self.artist(artist)
        if self._has_songs:
            cells = {"album": album, "year": year, "duration_s": duration_s}
            self._add("items", item_id=key, title=title, artist_id=by, **cells)
        else:
            self._add("nodes", node_type="Song", node_id=key, name=title)
            self.link("Song", key, "PERFORMED_BY", by, 1.0)
        return key

    def link(
        self, source_type: str, source: str, relation: str, artist: str, weight: float
    ) -> None:
        """Add an edge from a node to an artist."""
        self._add(
            "links",
            source_type=source_type,
            source_id=source,
            relation=relation,
            target_type="Artist",
            target_id=artist,
            weight=weight,
        )

    def collaborations(self, works: Iterable[Iterable[str]]) -> None:
        """Add COLLABORATED_WITH between artists, weighted by the number of common works.

        Each pair once, smaller key first: both artists' units then give the same row.

        Args:
            works: keys of the artists of each work.
        """
        counts: dict[tuple[str, str], int] = {}
        for artists in works:
            for pair in combinations(sorted(set(artists)), 2):
                counts[pair] = counts.get(pair, 0) + 1
        for (one, other), count in counts.items():
            self.link("Artist", one, "COLLABORATED_WITH", other, float(count))

    def tag(self, item: str, tag: str, kind: str, weight: float) -> None:
        """Add a tag in lower case to an item; a weight that is not above 0 says nothing."""
        text = " ".join(tag.lower().split())
        if text and weight > 0:
            self._add("item_tags", item_id=item, tag=text, kind=kind, weight=weight)

    def lyrics(self, item: str, text: str) -> None:
        """Add the words of a song."""
        self._add("lyrics", item_id=item, text=text)

    def plays(self, user: str, item: str, count: int, last_played: float) -> None:
        """Add how often a user played an item, and when last (Unix seconds)."""
        self._add("users", user_id=user, name=user)
        cells = {"weight": float(count), "timestamp": last_played}
        self._add("interactions", user_id=user, item_id=item, **cells)

    def tables(self) -> RawTables:
        """All rows: tables in the order of :data:`TABLES`, rows sorted by key."""
        frames: RawTables = {}
        for name, spec in TABLES.items():
            if name in self._rows:
                rows = self._rows[name]
                columns = [column for column in spec.columns if column in next(iter(rows.values()))]
                ordered = [rows[key] for key in sorted(rows, key=str)]
                frames[name] = pd.DataFrame(ordered, columns=columns, dtype=object)
        return frames

    def _add(self, table: str, /, **cells: object) -> None:
        key = tuple(cells[column] for column in TABLES[table].key if column in cells)
        row = self._rows.setdefault(table, {}).setdefault(key, {})
        for column, value in cells.items():
            if row.get(column) is None:
                row[column] = value
