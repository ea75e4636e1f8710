"""A web source that answers from a script: it prints what it does, waits, and fails on demand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date

import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.web.contract import Harvest, Reject, TransientError
from musicrag.sources.web.identity import artist_key, song_key


class ScriptedSource:
    """For each artist: one known song with an album and a tag, and one new song with lyrics.

    Args:
        pause_s: seconds that each answer takes.
        on_unit: called before each answer, such as a print.
        fails_at: number of the answer that does not come, counted over the source's life.
    """

    name = "scripted"

    def __init__(
        self,
        pause_s: float = 0.0,
        on_unit: Callable[[str], None] = lambda unit: None,
        fails_at: int | None = None,
    ) -> None:
        self.asked: list[tuple[str, date | None]] = []
        self._pause_s, self._on_unit, self._fails_at = pause_s, on_unit, fails_at

    def units(self, tables: Mapping[str, pd.DataFrame]) -> list[str]:
        return sorted(f"artist:{artist_id}" for artist_id in tables["artists"]["artist_id"])

    def fetch(self, unit: str, tables: Mapping[str, pd.DataFrame], since: date | None) -> Harvest:
        self._on_unit(unit)
        if self._fails_at == len(self.asked):
            raise TransientError("The service does not answer.")
        self.asked.append((unit, since))
        time.sleep(self._pause_s)
        artist_id = unit.removeprefix("artist:")
        rejects = (Reject(self.name, unit, "year is no number", "1999?"),) * (artist_id == "a02")
        return Harvest(self._tables(artist_id, tables), rejects)

    def _tables(self, artist_id: str, tables: Mapping[str, pd.DataFrame]) -> RawTables:
        names = tables["artists"].set_index("artist_id")["name"]
        songs = tables["items"][tables["items"]["title"] != "Bonus Track"]
        artist = names[artist_id]
        title = songs.loc[songs["artist_id"] == artist_id, "title"].iloc[0]
        known, new = song_key(artist, title), song_key(artist, "Bonus Track")
        return {
            "artists": pd.DataFrame({"artist_id": [artist_key(artist)], "name": [artist.upper()]}),
            "items": pd.DataFrame(
                {
                    "item_id": [known, new],
                    "title": [title.upper(), "Bonus Track"],
                    "artist_id": artist_key(artist),
                    "album": ["First", None],
                    "year": [1999, None],
                    "duration_s": [None, 200.123456789012],
                },
                dtype=object,
            ),
            "item_tags": pd.DataFrame(
                {"item_id": [known], "tag": ["dream pop"], "kind": ["tag"], "weight": [3.0]}
            ),
            "lyrics": pd.DataFrame({"item_id": [new], "text": ["sun rain\nNA 'quoted' ½ 夜"]}),
        }
