"""What three services say about one small world, in the shapes of their real answers.

The catalogue knows Sigur Rós, Björk and Mira Holm. All three services know Sigur Rós and his song
Hoppípolla, each by another spelling, and each knows something that the others do not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
from api_stub import Reply, Request

from musicrag.contracts import RawTables

KEYS = {
    "lastfm": ("LASTFM_API_KEY", "k3y-of-lastfm"),
    "musicbrainz": ("MUSICBRAINZ_CONTACT", "ops@example.org"),
    "genius": ("GENIUS_ACCESS_TOKEN", "t0ken-of-genius"),
}
LYRICS = "Brosandi\nHendumst í hringi — 気 \U0001f30a"
MBID = "f6f2326f-6b25-4170-b89d-e235b25508e8"


def songs_catalogue() -> RawTables:
    """Items are songs of three artists."""
    items = [
        ("s1", "Hoppípolla", "a1", None),
        ("s2", "Jóga", "a2", 1997),
        ("s3", "Tide", "a3", 2020),
    ]
    return {
        "items": pd.DataFrame(items, columns=["item_id", "title", "artist_id", "year"]),
        "artists": pd.DataFrame(
            {"artist_id": ["a1", "a2", "a3"], "name": ["Sigur Rós", "Björk", "Mira Holm"]}
        ),
        "interactions": pd.DataFrame({"user_id": ["u1", "u1"], "item_id": ["s1", "s2"]}),
    }


def artists_catalogue() -> RawTables:
    """Items are artists, as in Last.fm's data sets."""
    names = {"item_id": ["52", "53", "54"], "title": ["Sigur Rós", "Björk", "Mira Holm"]}
    return {
        "items": pd.DataFrame(names),
        "interactions": pd.DataFrame({"user_id": ["u1", "u1"], "item_id": ["52", "53"]}),
    }


@dataclass
class World:
    """Answers of all services; with ``is_empty`` they know the artist and nothing about him."""

    is_empty: bool = False

    def __call__(self, request: Request) -> Reply:
        service, _, path = request.path.strip("/").partition("/")
        return getattr(self, f"_{service}")(path, request.values)

    def _lastfm(self, path: str, values: dict[str, str]) -> Reply:
        method = values["method"]
        body = {
            "artist.getTopTracks": self._top_tracks,
            "artist.getSimilar": self._similar,
            "artist.getTopTags": self._top_tags,
            "track.getTopTags": self._top_tags,
            "user.getRecentTracks": self._recent,
        }[method](values)
        return Reply(f'<?xml version="1.0" encoding="UTF-8"?>\n<lfm status="ok">\n{body}\n</lfm>')

    def _top_tracks(self, values: dict[str, str]) -> str:
        titles = [] if self.is_empty else ["Hoppipolla", "Ágætis byrjun", "夜 & 海"]
        page, size = int(values["page"]), 2
        tracks = "".join(
            f"<track><name>{escape(title)}</name><playcount>9</playcount><mbid></mbid>"
            f"<artist><name>{escape(values['artist'])}</name><mbid>{MBID}</mbid></artist></track>"
            for title in titles[(page - 1) * size : page * size]
        )
        pages = -(-len(titles) // size)
        return f'<toptracks artist="x" page="{page}" totalPages="{pages}">{tracks}</toptracks>'

    def _similar(self, values: dict[str, str]) -> str:
        found = [("BJORK", "0.8"), ("Amiina", "0.7"), ("Mira Holm", "0")]
        rows = "".join(
            f"<artist><name>{name}</name><mbid></mbid><match>{match}</match></artist>"
            for name, match in ([] if self.is_empty else found)
        )
        return f'<similarartists artist="x">{rows}</similarartists>'

    def _top_tags(self, values: dict[str, str]) -> str:
        found = [("Post-Rock", 100), ("ambient", 40), ("seen live", 0)]
        rows = "".join(
            f"<tag><name>{name}</name><count>{count}</count></tag>"
            for name, count in ([] if self.is_empty else found)
        )
        return f"<toptags>{rows}</toptags>"

    def _recent(self, values: dict[str, str]) -> str:
        plays = [("Björk", "Joga", 1700000300), ("Sigur Ros", "Hoppípolla", 1700000200)]
        plays += [("Sigur Rós", "Hoppípolla", 1700000100), ("Nýr", "Lag", 1700000000)]
        kept = [p for p in plays if p[2] >= int(values.get("from", "0"))] * (not self.is_empty)
        page, size = int(values["page"]), 2
        # A play that came in between moves the others: the second page repeats one.
        shown = kept[:size] if page == 1 else kept[size - 1 :]
        rows = "".join(
            f'<track><artist mbid="">{artist}</artist><name>{title}</name><album mbid=""></album>'
            f'<date uts="{when}">14 Nov 2023, 22:13</date></track>'
            for artist, title, when in shown
        )
        now = '<track nowplaying="true"><artist mbid="">Zed</artist><name>Now</name></track>'
        pages = 2 if len(kept) > size else 1
        return f'<recenttracks user="x" totalPages="{pages}">{now}{rows}</recenttracks>'

    def _musicbrainz(self, path: str, values: dict[str, str]) -> Reply:
        size, offset = 2, int(values.get("offset", "0"))
        if path == "artist":
            # The best hit has another name; the artist's own is the second.
            hits = [{"id": "0", "name": "Sigur Tribute", "score": 100}]
            hits += [{"id": MBID, "name": "Sigur Rós", "score": 90, "tags": _TAGS}]
            if '"Sigur Rós"' not in values["query"]:
                hits = []
            body: dict[str, Any] = {"count": len(hits), "offset": 0, "artists": hits}
        elif path == "genre/all":
            body = {"genre-count": 3, "genre-offset": offset, "genres": _GENRES[offset:][:size]}
        else:
            found = [] if self.is_empty else _RECORDINGS
            page = found[offset : offset + size]
            body = {"count": len(found), "offset": offset, "recordings": page}
        return Reply(json.dumps(body, ensure_ascii=False))

    def _genius(self, path: str, values: dict[str, str]) -> Reply:
        if path.startswith("pages/"):
            return Reply(_page(LYRICS))
        if path == "api/search":
            hits = [{"type": "song", "result": _genius_song(7, "Lag", "Sigurros Band", 9, None)}]
            hits += [
                {"type": "song", "result": _genius_song(1, "Hoppipolla", "Sigur Ros", 5, 2005)}
            ]
            response: dict[str, Any] = {"hits": [] if "Sigur" not in values["q"] else hits}
        else:
            page = int(values["page"])
            songs = [] if self.is_empty else _GENIUS_SONGS[(page - 1) * 2 : page * 2]
            more = page + 1 if songs and page * 2 < len(_GENIUS_SONGS) else None
            response = {"songs": songs, "next_page": more}
        return Reply(json.dumps({"meta": {"status": 200}, "response": response}))


def _credit(*names: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "artist": {"id": mbid, "name": name}} for mbid, name in names]


_TAGS = [{"name": "post-rock", "count": 8}, {"name": "icelandic", "count": 5}]
_TAGS += [{"name": "ambient", "count": 2}, {"name": "sleep", "count": -1}]
_GENRES = [{"id": str(i), "name": n} for i, n in enumerate(["ambient", "post-rock", "sleep"])]
_SIGUR, _BJORK, _AMIINA = (MBID, "Sigur Rós"), ("b", "Björk"), ("c", "amiina")
_RECORDINGS: list[dict[str, Any]] = [
    {
        "id": "r1",
        "title": "Hoppípolla",
        "length": 268000,
        "first-release-date": "2005-09-12",
        "artist-credit": _credit(_SIGUR),
        "releases": [
            {"id": "x", "title": "Best", "date": "2010"},
            {"id": "y", "title": "Takk…", "date": "2005-09-12"},
            {"id": "z", "title": "A bootleg"},
        ],
        "tags": _TAGS,
    },
    {
        "id": "r2",
        "title": "Stormur (feat. amiina)",
        "length": None,
        "first-release-date": "2024-03",
        "artist-credit": _credit(_SIGUR, _AMIINA),
    },
    {"id": "r3", "title": "Stormur", "artist-credit": _credit(_SIGUR, _AMIINA), "length": 200000},
    {
        "id": "r4",
        "title": "Haf",
        "first-release-date": "",
        "artist-credit": _credit(_BJORK, _SIGUR),
        "releases": [],
    },
]


def _genius_song(
    number: int, title: str, artist: str, artist_id: int, year: int | None
) -> dict[str, Any]:
    released = {"year": year, "month": 3, "day": 1} if year is not None else None
    return {
        "id": number,
        "title": title,
        "path": f"/Sigur-ros-{number}-lyrics",
        "lyrics_state": "complete",
        "instrumental": False,
        "album": None if number == 2 else {"id": 3, "name": "Takk..."},
        "release_date_components": released,
        "primary_artist": {"id": artist_id, "name": artist},
        "featured_artists": [],
    }


_GENIUS_SONGS = [
    {**_genius_song(2, "Gold", "Sigur Rós", 5, 2023), "instrumental": True},
    _genius_song(6, "Guest", "Other", 9, 2022),
    _genius_song(4, "ÁTTA", "Sigur Rós", 5, 2020),
    _genius_song(1, "HOPPÍPOLLA", "Sigur Rós", 5, 2005),
    _genius_song(3, "Takk [Tracklist]", "Sigur Rós", 5, 2005),
]


def _page(lyrics: str) -> str:
    lines = "<br/>".join(escape(line) for line in lyrics.split("\n"))
    return (
        '<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>'
        '<div class="LyricsHeader__Container">7 Contributors</div>'
        f'<div data-lyrics-container="true">[Verse 1]<br/>{lines}</div></body></html>'
    )
