"""Last.fm becomes rows: top tracks, similar artists, tags, and what users played.

Answers are read by pylast. It speaks to :class:`_Gateway` instead of the network, so that this
package's retries, rate limit and address hold, and an answer is checked before pylast reads it:
pylast pairs names with values by position, and would take a missing value for the next one's.

Top tracks have no date, so ``since`` bounds only the plays of users. Similar artists become links
only where the catalogue has them, so that no link dangles; the log counts the others.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.web.asking import Answer, Web, check_url, harvest
from musicrag.sources.web.contract import Harvest, TransientError
from musicrag.sources.web.credentials import Secrets, guard_logs, read_key
from musicrag.sources.web.extra import sync_extra
from musicrag.sources.web.identity import artist_key
from musicrag.sources.web.retrying import (
    GarbledError,
    Retry,
    UnansweredError,
    UnusableError,
    check_status,
)
from musicrag.sources.web.rows import Rows
from musicrag.sources.web.units import (
    USER,
    artist_name,
    artist_units,
    artists_of,
    check_item_type,
)
from musicrag.types import InputError

with sync_extra():
    import pylast

T = TypeVar("T")
_log = logging.getLogger(__name__)

_HOST = "ws.audioscrobbler.com"
_URL = f"https://{_HOST}/2.0/"
_KEY = "LASTFM_API_KEY"
_REFUSAL = f"Last.fm refuses the key in {_KEY}: check it at https://www.last.fm/api/accounts"
_INTERVAL_S = 0.2
"""Between requests; section 4.4 of https://www.last.fm/api/tos speaks of several a second."""

_REFUSED = {"4", "9", "10", "13", "26"}
"""Codes of https://www.last.fm/api/errorcodes: the key is wrong, expired or suspended."""
_BUSY = {"8", "11", "16", "29"}
_NOT_FOUND = "6"
_FAILED = '<lfm status="failed"><error code="0">see the gateway</error></lfm>'
"""A code that pylast does not retry: its own retries of one second would come on top of ours."""

_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that XML forbids and names at Last.fm hold at times; pylast drops them too."""

_SHAPES = {
    "artist.getTopTracks": ("toptracks", "track", ("name", "artist/name"), ()),
    "artist.getSimilar": ("similarartists", "artist", ("name",), ("match",)),
    "artist.getTopTags": ("toptags", "tag", ("name",), ("count",)),
    "track.getTopTags": ("toptags", "tag", ("name",), ("count",)),
    "user.getRecentTracks": ("recenttracks", "track", ("name", "artist"), ()),
}
"""Of each method: the list, its entries, and what each entry must say in words and in numbers."""


class Lastfm:
    """A client of the Last.fm API. One unit is an artist, or a user of ``users``.

    Args:
        item_type: node type of the catalogue's items. Tags are those of songs or of artists alike.
        users: names of Last.fm users whose plays are wanted.
        num_tracks: top tracks asked for, each artist.
        num_tags: top tags kept, each item.
        max_plays: plays read, each user, from the latest on.
        base_url: address of the service.
        timeout_s: longest wait for an answer, in seconds.
        retry: the policy.

    Raises:
        InputError: no key.
    """

    name = "lastfm"

    def __init__(
        self,
        item_type: str = "Song",
        users: Sequence[str] = (),
        num_tracks: int = 20,
        num_tags: int = 10,
        max_plays: int = 1000,
        base_url: str = _URL,
        timeout_s: float = 20.0,
        retry: Retry | None = None,
    ) -> None:
        check_item_type(item_type)
        key = read_key(_KEY, "https://www.last.fm/api/account/create")
        self._secrets = Secrets([key])
        guard_logs(self._secrets)
        self._item_type, self._users = item_type, tuple(users)
        self._num_tracks, self._num_tags, self._max_plays = num_tracks, num_tags, max_plays
        web = Web("Last.fm", retry or Retry(), _INTERVAL_S, timeout_s, {})
        self._gateway = _Gateway(web, check_url(base_url))
        # The one transport that pylast lets in. Named by host, it comes before any proxy of the
        # environment, which the gateway's own client heeds.
        self._network = pylast.LastFMNetwork(key, proxy={f"https://{_HOST}": self._gateway})

    def units(self, tables: Mapping[str, pd.DataFrame]) -> list[str]:
        """``artist:<id>`` for each artist, then ``user:<name>`` for each user."""
        users = sorted({USER + name for name in self._users})
        return artist_units(tables, self._item_type) + users

    def fetch(self, unit: str, tables: Mapping[str, pd.DataFrame], since: date | None) -> Harvest:
        """Ask for one unit; see :class:`musicrag.sources.web.contract.WebSource`."""
        if unit.startswith(USER):
            name = unit.removeprefix(USER)
            collect = partial(self._user, name, since)
        else:
            name = artist_name(unit, tables, self._item_type)
            known = artists_of(tables, self._item_type)["name"]
            collect = partial(self._artist, unit, name, {artist_key(other) for other in known})
        return harvest(self.name, unit, self._secrets, collect)

    def _artist(self, unit: str, name: str, known: set[str]) -> RawTables:
        rows = Rows(self._item_type)
        artist = self._network.get_artist(name)
        tracks = self._listing(lambda: artist.get_top_tracks(limit=self._num_tracks))
        similar = self._listing(artist.get_similar)
        # By the catalogue's name, as Last.fm may answer under a corrected one.
        songs = {rows.song(name, track.item.title): track.item for track in tracks}
        self._link_similar(rows, unit, name, similar, known)
        tagged = songs if self._item_type == "Song" else {artist_key(name): artist}
        for key, thing in tagged.items():
            for tag in self._listing(partial(thing.get_top_tags, limit=self._num_tags)):
                rows.tag(key, tag.item.name, "tag", float(tag.weight))
        return rows.tables()

    def _link_similar(
        self, rows: Rows, unit: str, name: str, similar: Sequence[Any], known: set[str]
    ) -> None:
        own, num_unknown = artist_key(name), 0
        for other in similar:
            key = artist_key(other.item.name)
            num_unknown += key not in known
            if key in known and key != own and other.match > 0:
                rows.link("Artist", own, "SIMILAR_TO", key, float(other.match))
        if num_unknown:
            _log.info("lastfm %s: %d similar artists not in the catalogue", unit, num_unknown)

    def _user(self, name: str, since: date | None) -> RawTables:
        start = None
        if since is not None:
            start = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp())
        user = self._network.get_user(name)
        plays = self._ask(lambda: self._plays(user, start))
        # A play that comes while pages are read moves the others on, so one may come twice.
        times: dict[str, set[int]] = {}
        rows = Rows(self._item_type)
        for when, artist, title in sorted(plays):
            is_song = self._item_type == "Song"
            item = rows.song(artist, title) if is_song else rows.artist(artist)
            times.setdefault(item, set()).add(when)
        for item, moments in times.items():
            rows.plays(name, item, len(moments), float(max(moments)))
        return rows.tables()

    def _plays(self, user: pylast.User, start: int | None) -> list[tuple[int, str, str]]:
        played = user.get_recent_tracks(limit=None, time_from=start, stream=True)
        return [
            (int(play.timestamp), play.track.artist.name, play.track.title)
            for play in islice(played, self._max_plays)
        ]

    def _listing(self, ask: Callable[[], list[T]]) -> list[T]:
        """What pylast lists; nothing for an artist or track that Last.fm does not know."""
        try:
            return self._ask(ask)
        except _UnknownError as unknown:
            _log.info("lastfm: %s", unknown.reason)
            return []

    def _ask(self, ask: Callable[[], T]) -> T:
        """Let pylast ask and read; what went wrong in the gateway comes out as it went in."""
        self._gateway.failure = None
        try:
            return ask()
        except pylast.PyLastError as error:
            failure = self._gateway.failure or UnusableError(f"pylast: {type(error).__name__}")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            failure = UnusableError(
                f"pylast cannot read it: {type(error).__name__}", self._gateway.body
            )
        raise failure


class _UnknownError(UnusableError):
    """Last.fm knows no artist, track or user of that name."""


class _Gateway:
    """What pylast takes for its transport; never raises, as pylast would ask again at will."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url = web, url
        self.failure: Exception | None = None
        self.body = ""

    def __enter__(self) -> _Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        """Stay open: pylast opens and closes its transport for each request."""

    def handle_request(self, request: Any) -> Any:
        """Send pylast's form to the service, and check what comes back."""
        form = dict(parse_qsl(request.read().decode("utf-8"), keep_blank_values=True))
        read = partial(_read, method=form["method"], now=self._web.retry.now)
        try:
            self.body = self._web.post(self._url, form, read)
        except (InputError, TransientError, UnusableError) as failure:
            self.failure, self.body = failure, _FAILED
        http = pylast.httpx  # type: ignore[attr-defined]  # the HTTP library that pylast speaks
        return http.Response(200, content=self.body.encode("utf-8"))


def _read(answer: Answer, method: str, now: Callable[[], float]) -> str:
    """The body, if it says what ``method`` promises."""
    body = _ILLEGAL.sub("", answer.body)
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        check_status(answer.status, answer.headers, body, _REFUSAL, now)
        raise GarbledError("the answer is not XML", body) from None
    # An error has a status of its own in the body; it says more than the one of HTTP.
    if root.tag == "lfm" and root.get("status") == "failed":
        _raise_error(root, body)
    check_status(answer.status, answer.headers, body, _REFUSAL, now)
    if root.tag != "lfm":
        raise GarbledError(f"the answer is <{root.tag}>, not <lfm>", body)
    _check_shape(root, method, body)
    return body


def _raise_error(root: ElementTree.Element, body: str) -> None:
    error = root.find("error")
    code = "" if error is None else error.get("code", "")
    words = "" if error is None else error.text or ""
    if code in _REFUSED:
        raise InputError(f"{_REFUSAL} (error {code})")
    if code in _BUSY:
        raise UnansweredError(f"Last.fm's error {code}")
    # The same code says that a parameter is wrong, and that would be our fault.
    is_unknown = code == _NOT_FOUND and "found" in words
    raise (_UnknownError if is_unknown else UnusableError)(
        f"Last.fm's error {code}: {words.strip()}", body
    )


def _check_shape(root: ElementTree.Element, method: str, body: str) -> None:
    outer, inner, words, numbers = _SHAPES[method]
    listing = root.find(outer)
    if listing is None:
        raise UnusableError(f"{method}: no <{outer}>", body)
    strange = {entry.tag for entry in listing} - {inner}
    if strange:
        raise UnusableError(f"{method}: <{outer}> holds <{min(strange)}>", body)
    for entry in listing:
        for path in (*words, *numbers):
            found = entry.findall(path)
            text = (found[0].text or "").strip() if len(found) == 1 else ""
            if not text or (path in numbers and not _is_number(text)):
                raise UnusableError(f"{method}: <{inner}> without a usable {path}", body)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
