"""MusicBrainz becomes rows: recordings with album, year and length, collaborations, genres.

Recordings come from the search index, as that alone gives releases and first release dates in
pages. It gives tags instead of genres; a genre is a tag that stands in MusicBrainz' list of genres,
which is read once. The first artist of a credit is a song's artist.

Source: https://musicbrainz.org/doc/MusicBrainz_API
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import date
from functools import partial

import pandas as pd

from musicrag import __version__
from musicrag.contracts import RawTables
from musicrag.sources.web.asking import Answer, Web, check_url, harvest
from musicrag.sources.web.contract import Harvest
from musicrag.sources.web.credentials import Secrets, read_key
from musicrag.sources.web.fields import Fields, is_before, parse_json
from musicrag.sources.web.identity import artist_key
from musicrag.sources.web.retrying import Retry, check_status
from musicrag.sources.web.rows import Rows
from musicrag.sources.web.units import artist_name, artist_units, check_item_type

_log = logging.getLogger(__name__)

_URL = "https://musicbrainz.org/ws/2/"
_CONTACT = "MUSICBRAINZ_CONTACT"
_REFUSAL = f"MusicBrainz refuses this program: is {_CONTACT} your e-mail or web address?"
_INTERVAL_S = 1.0
"""Between requests, the rate that MusicBrainz allows one program."""
_PAGE = 100
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_NO_ARTISTS = ("Various Artists", "[unknown]", "[anonymous]", "[traditional]", "[no artist]")


class Musicbrainz:
    """A client of the MusicBrainz web service, which needs no key but a contact.

    An artist is the best hit of a search by name whose name or alias equals the catalogue's; of
    several artists with one name that may be another than the one meant.

    Args:
        item_type: node type of the catalogue's items.
        max_recordings: recordings read, each artist.
        base_url: address of the service.
        timeout_s: longest wait for an answer, in seconds.
        retry: the policy.

    Raises:
        InputError: no contact.
    """

    name = "musicbrainz"

    def __init__(
        self,
        item_type: str = "Song",
        max_recordings: int = 500,
        base_url: str = _URL,
        timeout_s: float = 20.0,
        retry: Retry | None = None,
    ) -> None:
        check_item_type(item_type)
        contact = read_key(_CONTACT, "no office: it is your own e-mail or web address")
        agent = f"musicrag/{__version__} ( {contact} )"
        headers = {"User-Agent": agent, "Accept": "application/json"}
        self._web = Web("MusicBrainz", retry or Retry(), _INTERVAL_S, timeout_s, headers)
        self._item_type, self._max_recordings = item_type, max_recordings
        self._url = check_url(base_url)
        self._secrets = Secrets()
        self._genres: frozenset[str] | None = None

    def units(self, tables: Mapping[str, pd.DataFrame]) -> list[str]:
        """``artist:<id>`` for each artist of the catalogue, sorted."""
        return artist_units(tables, self._item_type)

    def fetch(self, unit: str, tables: Mapping[str, pd.DataFrame], since: date | None) -> Harvest:
        """Ask for one unit; see :class:`musicrag.sources.web.contract.WebSource`."""
        name = artist_name(unit, tables, self._item_type)
        return harvest(self.name, unit, self._secrets, partial(self._artist, unit, name, since))

    def _artist(self, unit: str, name: str, since: date | None) -> RawTables:
        rows = Rows(self._item_type)
        found = self._find_artist(name)
        if found is None:
            _log.info("musicbrainz %s: MusicBrainz does not know %r", unit, name)
            return rows.tables()
        mbid = found.text("id")
        if self._item_type == "Artist":
            self._add_genres(rows, artist_key(name), found)
        works: dict[str, set[str]] = {}
        for recording in self._recordings(unit, mbid, since):
            artists = [name if i == mbid else other for i, other in _credits(recording)]
            if not artists or _is_older(recording, since):
                continue
            key = self._add_recording(rows, artists, recording)
            works.setdefault(key, set()).update(rows.artist(artist) for artist in artists)
        rows.collaborations(works.values())
        return rows.tables()

    def _add_recording(self, rows: Rows, artists: list[str], recording: Fields) -> str:
        length_ms = recording.number_or_none("length")
        released = _date(recording, "first-release-date")
        key = rows.song(
            artists[0],
            recording.text("title"),
            album=_album(recording),
            year=released[0] if released else None,
            duration_s=length_ms / 1000 if length_ms else None,
        )
        if self._item_type == "Song":
            self._add_genres(rows, key, recording)
        return key

    def _add_genres(self, rows: Rows, key: str, thing: Fields) -> None:
        """Genres by their share of the votes for the strongest one."""
        votes = {
            tag.text("name").lower(): tag.number("count") for tag in thing.objects_or_none("tags")
        }
        votes = {tag: count for tag, count in votes.items() if count > 0}
        genres = {tag: votes[tag] for tag in votes if tag in self._genre_names()}
        for tag, count in genres.items():
            rows.tag(key, tag, "genre", count / max(genres.values()))

    def _find_artist(self, name: str) -> Fields | None:
        quoted = name.replace("\\", r"\\").replace('"', r"\"")
        query = f'artist:"{quoted}" OR alias:"{quoted}"'
        hits = self._page("artist", {"query": query, "limit": "25"}).objects("artists")
        key = artist_key(name)
        for hit in hits:
            if artist_key(hit.text("name")) == key:
                return hit
        for hit in hits:
            if any(artist_key(a.text("name")) == key for a in hit.objects_or_none("aliases")):
                return hit
        return None

    def _recordings(self, unit: str, mbid: str, since: date | None) -> list[Fields]:
        # By year: a recording dated "2024" only sorts before 2024-01-01 there.
        dated = f" AND firstreleasedate:[{since.year} TO *]" if since is not None else ""
        query = {"query": f"arid:{mbid}{dated}"}
        found = self._pages("recording", query, "recordings", "count", self._max_recordings)
        if len(found) >= self._max_recordings:
            _log.warning("musicbrainz %s: only the first %d recordings", unit, len(found))
        return found

    def _genre_names(self) -> frozenset[str]:
        if self._genres is None:
            found = self._pages("genre/all", {}, "genres", "genre-count", None)
            self._genres = frozenset(genre.text("name").lower() for genre in found)
        return self._genres

    def _pages(
        self, path: str, query: Mapping[str, str], name: str, count: str, most: int | None
    ) -> list[Fields]:
        """All objects of a list that comes in pages, or the first ``most``.

        Raises:
            UnusableError: the list ends before the number that it announces.
        """
        found: list[Fields] = []
        while True:
            part = {**query, "limit": str(_PAGE), "offset": str(len(found))}
            page = self._page(path, part)
            objects = page.objects(name)
            found += objects
            total = page.number(count)
            if len(found) >= (total if most is None else min(total, most)):
                return found[:most]
            if not objects:
                raise page.wrong(f"{len(found)} {name} of {total:.0f}")

    def _page(self, path: str, query: Mapping[str, str]) -> Fields:
        return self._web.get(self._url + path, {**query, "fmt": "json"}, self._read)

    def _read(self, answer: Answer) -> Fields:
        now = self._web.retry.now
        check_status(answer.status, answer.headers, answer.body, _REFUSAL, now)
        return parse_json(answer.body)


def _credits(recording: Fields) -> list[tuple[str, str]]:
    """Id and name of each credited artist, without those who stand for nobody."""
    artists = [credit.object("artist") for credit in recording.objects("artist-credit")]
    named = [(artist.text("id"), artist.text("name")) for artist in artists]
    return [(mbid, name) for mbid, name in named if name not in _NO_ARTISTS]


def _date(thing: Fields, name: str) -> tuple[int, int | None, int | None] | None:
    text = thing.text_or_none(name)
    if text is None:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise thing.wrong(f"{name} is no date")
    year, month, day = (int(part) if part else None for part in found.groups())
    return (year, month, day) if year else None


def _is_older(recording: Fields, since: date | None) -> bool:
    released = _date(recording, "first-release-date")
    return released is not None and is_before(*released, since)


def _album(recording: Fields) -> str | None:
    """Title of the earliest release; those without a date come last, equals by title."""
    dated = [
        (release.text_or_none("date") or "9999", release.text("title"))
        for release in recording.objects_or_none("releases")
    ]
    return min(dated)[1] if dated else None
