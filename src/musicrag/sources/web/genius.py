"""Genius becomes rows: songs of an artist, by date of release, and their lyrics.

Answers are fetched and pages read by lyricsgenius. Its client looks at no status of a page and
loses ``Retry-After``, so a hook checks each response before the library reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.web.asking import check_url, decode, harvest
from musicrag.sources.web.contract import Harvest
from musicrag.sources.web.credentials import Secrets, guard_logs, read_key
from musicrag.sources.web.extra import sync_extra
from musicrag.sources.web.fields import Fields, is_before, parse_json
from musicrag.sources.web.identity import artist_key, song_key
from musicrag.sources.web.retrying import (
    GarbledError,
    RateLimit,
    Retry,
    UnansweredError,
    UnusableError,
    check_status,
)
from musicrag.sources.web.rows import Rows
from musicrag.sources.web.units import artist_id_of, artist_name, artist_units, check_item_type

with sync_extra():
    import lyricsgenius
    import requests  # what lyricsgenius speaks

_log = logging.getLogger(__name__)

_URL = "https://api.genius.com/"
_PAGES_URL = "https://genius.com/"
_KEY = "GENIUS_ACCESS_TOKEN"
_WHERE = "https://genius.com/api-clients"
_REFUSAL = f"Genius refuses the token in {_KEY}: check it at {_WHERE}"
_PAGE_REFUSAL = "genius.com does not show pages to this machine. Turn lyrics off to get songs only."
_INTERVAL_S = 0.2
_PER_PAGE = 50


class Genius:
    """A client of Genius.

    The artist is that of the first hit whose artist's name equals the catalogue's. Songs on which
    the artist is only a guest, and titles that lyricsgenius takes for no songs (track lists,
    interviews), are left out; the log counts them.

    Args:
        item_type: node type of the catalogue's items; lyrics belong to songs.
        has_lyrics: ask for the page of each song whose lyrics the catalogue lacks.
        max_songs: songs read, each artist, from the latest on.
        base_url: address of the API.
        pages_url: address of the pages with the lyrics; they never see the token.
        timeout_s: longest wait for an answer, in seconds.
        retry: the policy.

    Raises:
        InputError: no token.
    """

    name = "genius"

    def __init__(
        self,
        item_type: str = "Song",
        has_lyrics: bool = True,
        max_songs: int = 200,
        base_url: str = _URL,
        pages_url: str = _PAGES_URL,
        timeout_s: float = 20.0,
        retry: Retry | None = None,
    ) -> None:
        check_item_type(item_type)
        token = read_key(_KEY, _WHERE)
        self._secrets = Secrets([token])
        guard_logs(self._secrets)
        self._item_type, self._max_songs = item_type, max_songs
        self._has_lyrics = has_lyrics and item_type == "Song"
        self._client = _Client(token, timeout_s, retry or Retry())
        self._client.API_ROOT, self._client.WEB_ROOT = check_url(base_url), check_url(pages_url)

    def units(self, tables: Mapping[str, pd.DataFrame]) -> list[str]:
        """``artist:<id>`` for each artist of the catalogue, sorted."""
        return artist_units(tables, self._item_type)

    def fetch(self, unit: str, tables: Mapping[str, pd.DataFrame], since: date | None) -> Harvest:
        """Ask for one unit; see :class:`musicrag.sources.web.contract.WebSource`."""
        name = artist_name(unit, tables, self._item_type)
        collect = partial(self._artist, unit, name, tables, since)
        return harvest(self.name, unit, self._secrets, collect)

    def _artist(
        self, unit: str, name: str, tables: Mapping[str, pd.DataFrame], since: date | None
    ) -> RawTables:
        rows = Rows(self._item_type)
        genius_id = self._find_artist(name)
        if genius_id is None:
            _log.info("genius %s: Genius does not know %r", unit, name)
            return rows.tables()
        pages: dict[str, str] = {}
        for song in self._songs(unit, genius_id, since):
            key = self._add_song(rows, name, song)
            if song.text_or_none("lyrics_state") == "complete" and not song.flag("instrumental"):
                pages.setdefault(key, song.text("path"))
        if self._has_lyrics:
            self._add_lyrics(rows, pages, _with_lyrics(unit, name, tables))
        return rows.tables()

    def _add_song(self, rows: Rows, name: str, song: Fields) -> str:
        album = song.object_or_none("album")
        released = _released(song)
        return rows.song(
            name,
            song.text("title"),
            album=album.text("name") if album is not None else None,
            year=released[0] if released else None,
        )

    def _add_lyrics(self, rows: Rows, pages: Mapping[str, str], known: set[str]) -> None:
        for key in sorted(set(pages) - known):
            text = self._client.lyrics(song_url=pages[key].lstrip("/"))
            if text is None:
                raise UnusableError(f"the page {pages[key]} shows no lyrics")
            if text.strip():
                rows.lyrics(key, text.strip())

    def _find_artist(self, name: str) -> int | None:
        answer = self._fields(self._client.search_songs(name))
        for hit in answer.objects("hits"):
            artist = hit.object("result").object("primary_artist")
            if artist_key(artist.text("name")) == artist_key(name):
                return int(artist.number("id"))
        return None

    def _songs(self, unit: str, genius_id: int, since: date | None) -> list[Fields]:
        """Songs of the artist, latest first; stops at a page that is older as a whole."""
        kept: list[Fields] = []
        num_read, page = 0, 1.0
        while True:
            answer = self._fields(
                self._client.artist_songs(
                    genius_id, per_page=_PER_PAGE, page=int(page), sort="release_date"
                )
            )
            songs = answer.objects("songs")
            dates = [_released(song) for song in songs]
            new = [d is None or not is_before(*d, since) for d in dates]
            kept += [
                song
                for song, is_new in zip(songs, new, strict=True)
                if is_new and self._is_own_song(song, genius_id)
            ]
            num_read += len(songs)
            following = answer.number_or_none("next_page")
            if following is None or num_read >= self._max_songs or not any(new):
                _log.info("genius %s: %d of %d songs are new", unit, len(kept), num_read)
                return kept[: self._max_songs]
            if following <= page:
                raise answer.wrong("the next page is not a later one")
            page = following

    def _is_own_song(self, song: Fields, genius_id: int) -> bool:
        if song.object("primary_artist").number("id") != genius_id:
            return False
        title = song.text("title").casefold()
        return not any(term in title for term in self._client.excluded_terms)

    def _fields(self, answer: object) -> Fields:
        return Fields(answer, "response", self._client.body)


def _with_lyrics(unit: str, name: str, tables: Mapping[str, pd.DataFrame]) -> set[str]:
    """Keys of the artist's songs whose lyrics the catalogue has."""
    if "lyrics" not in tables or "artist_id" not in tables["items"]:
        return set()
    items = tables["items"]
    own = items["artist_id"] == artist_id_of(unit)
    has_lyrics = items["item_id"].isin(tables["lyrics"]["item_id"])
    return {song_key(name, title) for title in items.loc[own & has_lyrics, "title"]}


def _released(song: Fields) -> tuple[int, int | None, int | None] | None:
    parts = song.object_or_none("release_date_components")
    if parts is None:
        return None
    year, month, day = (parts.number_or_none(name) for name in ("year", "month", "day"))
    if year is None:
        return None
    return int(year), int(month) if month else None, int(day) if day else None


class _Client(lyricsgenius.Genius):  # type: ignore[misc]  # lyricsgenius ships no types
    """lyricsgenius under this package's policy: each request is one call of it."""

    def __init__(self, token: str, timeout_s: float, retry: Retry) -> None:
        super().__init__(
            token, timeout=timeout_s, sleep_time=0, retries=0, remove_section_headers=True
        )
        # lyricsgenius gives the header to no class but one that is called "Genius".
        self.authorization_header = {"authorization": f"Bearer {token}"}
        self._retry = retry
        self._limit = RateLimit(_INTERVAL_S, retry.clock, retry.sleep)
        self._is_page = False
        self.body = ""
        self._session.hooks["response"].append(self._check)

    def _make_request(self, *args: Any, **kwargs: Any) -> Any:
        send: Callable[..., Any] = super()._make_request

        def attempt() -> Any:
            self._limit.wait()
            try:
                return send(*args, **kwargs)
            except requests.exceptions.RequestException as error:
                raise _as_failure(error) from None

        self._is_page = bool(kwargs.get("web"))
        return self._retry.call("Genius", attempt)

    def _check(self, response: Any, **_: Any) -> None:
        """Raise unless the response is whole, welcome and in its format."""
        if response.is_redirect:
            return  # requests goes there and comes back with another response
        self.body = decode(response.content)
        refusal = _PAGE_REFUSAL if self._is_page else _REFUSAL
        check_status(response.status_code, response.headers, self.body, refusal, self._retry.now)
        if self._is_page:
            if "</html>" not in self.body:
                raise GarbledError("the page breaks off", self.body)
            response.encoding = "utf-8"
        else:
            parse_json(self.body).object("response")


def _as_failure(error: Exception) -> Exception:
    """What requests met, in the words of the policy; its own words may hold the address."""
    if isinstance(error, requests.exceptions.Timeout):
        return UnansweredError("no answer in time")
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return GarbledError("the answer breaks off")
    if isinstance(error, requests.exceptions.ChunkedEncodingError) and "Incomplete" in str(error):
        return GarbledError("the answer breaks off")
    if isinstance(
        error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError
    ):
        return UnansweredError(f"the connection failed: {type(error).__name__}")
    return UnusableError(f"the request failed: {type(error).__name__}")
