"""What each client makes of its service's answers, row by row, and what it asks for."""

from __future__ import annotations

import importlib
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import trustme
from api_answers import KEYS, LYRICS, MBID, World, artists_catalogue, songs_catalogue
from api_stub import ApiStub, Reply, Request, failing

from musicrag.contracts import RawTables
from musicrag.sources.web.choose import SERVICES, make_source
from musicrag.sources.web.contract import Harvest, TransientError
from musicrag.sources.web.fields import is_before, parse_json
from musicrag.sources.web.genius import Genius
from musicrag.sources.web.lastfm import Lastfm
from musicrag.sources.web.musicbrainz import Musicbrainz
from musicrag.sources.web.retrying import GarbledError, Retry, UnusableError
from musicrag.types import InputError

SONG_UNIT, ARTIST_UNIT = "artist:a1", "artist:52"
NO_WAIT = Retry(2, sleep=lambda seconds: None)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable, key in KEYS.values():
        monkeypatch.setenv(variable, key)


@pytest.fixture
def stub() -> Iterator[ApiStub]:
    with ApiStub(World()) as running:
        yield running


def lastfm(stub: ApiStub, **settings: Any) -> Lastfm:
    return Lastfm(base_url=f"{stub.url}lastfm", retry=NO_WAIT, **settings)


def musicbrainz(stub: ApiStub, **settings: Any) -> Musicbrainz:
    return Musicbrainz(base_url=f"{stub.url}musicbrainz/", retry=NO_WAIT, **settings)


def genius(stub: ApiStub, **settings: Any) -> Genius:
    pages = f"{stub.url}genius/pages"
    return Genius(base_url=f"{stub.url}genius/api", pages_url=pages, retry=NO_WAIT, **settings)


def rows(harvest: Harvest, table: str, *columns: str) -> list[tuple[Any, ...]]:
    assert harvest.rejects == ()
    return list(harvest.tables[table][list(columns)].itertuples(index=False, name=None))


def changed(world: World, part: str, change: Callable[[str], str]) -> Callable[[Request], Reply]:
    """The world, but for answers of requests whose path or method holds ``part``."""

    def answer(request: Request) -> Reply:
        reply = world(request)
        is_hit = part in request.path or part in request.values.get("method", "")
        return Reply(change(reply.body)) if is_hit else reply

    return answer


# Last.fm


def test_lastfm_gives_songs_links_and_tags(stub: ApiStub) -> None:
    harvest = lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    songs = ["sigur-ros/agaetis-byrjun", "sigur-ros/hoppipolla", "sigur-ros/夜-and-海"]
    assert [row[0] for row in rows(harvest, "items", "item_id", "artist_id")] == songs
    assert rows(harvest, "artists", "artist_id", "name") == [("sigur-ros", "Sigur Rós")]
    # Amiina is not in the catalogue, Mira Holm has a match of 0.
    link = ("sigur-ros", "SIMILAR_TO", "bjork", 0.8)
    assert rows(harvest, "links", "source_id", "relation", "target_id", "weight") == [link]
    tags = rows(harvest, "item_tags", "item_id", "tag", "kind", "weight")
    assert tags[:2] == [(songs[0], "ambient", "tag", 40.0), (songs[0], "post-rock", "tag", 100.0)]
    assert len(tags) == 3 * 2


def test_lastfm_asks_for_as_many_tracks_and_tags_as_it_was_told(stub: ApiStub) -> None:
    source = lastfm(stub, num_tracks=1, num_tags=1)
    harvest = source.fetch(SONG_UNIT, songs_catalogue(), None)
    assert rows(harvest, "items", "title") == [("Hoppipolla",)]
    assert rows(harvest, "item_tags", "tag") == [("post-rock",)]


def test_lastfm_tags_artists_where_items_are_artists(stub: ApiStub) -> None:
    harvest = lastfm(stub, item_type="Artist").fetch(ARTIST_UNIT, artists_catalogue(), None)
    tags = rows(harvest, "item_tags", "item_id", "tag", "weight")
    assert tags == [("sigur-ros", "ambient", 40.0), ("sigur-ros", "post-rock", 100.0)]
    assert rows(harvest, "items", "item_id", "title") == [("sigur-ros", "Sigur Rós")]
    assert len(harvest.tables["nodes"]) == 3


def test_lastfm_counts_plays_of_users_since_a_day(stub: ApiStub) -> None:
    source = lastfm(stub, users=["ada"])
    assert source.units(songs_catalogue())[-1] == "user:ada"
    harvest = source.fetch("user:ada", songs_catalogue(), None)
    found = rows(harvest, "interactions", "user_id", "item_id", "weight", "timestamp")
    assert found == [
        ("ada", "bjork/joga", 1.0, 1700000300.0),
        ("ada", "nyr/lag", 1.0, 1700000000.0),
        ("ada", "sigur-ros/hoppipolla", 2.0, 1700000200.0),
    ]
    assert "now" not in "".join(harvest.tables["items"]["item_id"])
    stub.script([])
    assert source.fetch("user:ada", songs_catalogue(), date(2023, 11, 15)).tables == {}
    assert stub.requests[0].values["from"] == "1700006400"


def test_lastfm_plays_of_artists_where_items_are_artists(stub: ApiStub) -> None:
    source = lastfm(stub, item_type="Artist", users=["ada"])
    harvest = source.fetch("user:ada", artists_catalogue(), None)
    assert rows(harvest, "interactions", "item_id", "weight") == [
        ("bjork", 1.0),
        ("nyr", 1.0),
        ("sigur-ros", 2.0),
    ]


def test_lastfm_stops_at_the_most_plays(stub: ApiStub) -> None:
    harvest = lastfm(stub, users=["ada"], max_plays=1).fetch("user:ada", songs_catalogue(), None)
    assert rows(harvest, "interactions", "item_id") == [("bjork/joga",)]
    assert len(stub.requests) == 1


def test_lastfm_user_whom_nobody_knows_is_a_reject(stub: ApiStub) -> None:
    said = '<lfm status="failed"><error code="6">User not found</error></lfm>'
    stub.script([], then=failing(404, said))
    source = lastfm(stub, users=["ada"])
    (reject,) = source.fetch("user:ada", songs_catalogue(), None).rejects
    assert (reject.unit, reject.reason) == ("user:ada", "Last.fm's error 6: User not found")


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(10, InputError), (26, InputError), (29, TransientError), (8, TransientError), (3, None)],
)
def test_lastfm_error_codes_have_their_meaning_whatever_http_says(
    code: int, outcome: type[Exception] | None, stub: ApiStub
) -> None:
    said = f'<lfm status="failed"><error code="{code}">No</error></lfm>'
    stub.script([], then=failing(200, said))
    if outcome is not None:
        with pytest.raises(outcome):
            lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    else:
        assert lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None).rejects
    assert len(stub.requests) == (2 if outcome is TransientError else 1)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("getSimilar", "<match>0.7</match>", ""),
        ("getSimilar", "<match>0.7", "<match>much"),
        ("getSimilar", "<match>0.7", "<match>nan"),
        ("getSimilar", "similarartists", "artists"),
        ("getSimilar", "<artist>", "<band>"),
        ("getTopTags", "<count>40</count>", ""),
        ("getTopTracks", "totalPages", "pages"),
        ("getTopTracks", "<playcount>9", "<playcount>many"),
        ("getTopTracks", "<name>Sigur Rós</name>", ""),
    ],
)
def test_lastfm_missing_value_is_never_taken_from_the_next_entry(
    method: str, old: str, new: str, stub: ApiStub
) -> None:
    def change(body: str) -> str:
        assert old in body or method != "getSimilar"
        body = body.replace(old, new)
        return body.replace("</artist>", "</band>") if new == "<band>" else body

    stub.answer = changed(World(), method, change)
    harvest = lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    assert harvest.tables == {}
    assert len(harvest.rejects) == 1


def test_lastfm_characters_that_xml_forbids_are_dropped(stub: ApiStub) -> None:
    stub.answer = changed(
        World(), "getTopTracks", lambda body: body.replace("Hoppi", "Ho\x0bpp\x01i")
    )
    harvest = lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    assert ("Hoppipolla",) in rows(harvest, "items", "title")


def test_lastfm_speaks_tls_and_checks_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ApiStub(World(), tls=context) as stub:
        with pytest.raises(TransientError, match="the connection failed: ConnectError"):
            lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert lastfm(stub).fetch(SONG_UNIT, songs_catalogue(), None).tables
        assert stub.requests[0].values["api_key"] == KEYS["lastfm"][1]
        assert "api_key" not in stub.requests[0].path


# MusicBrainz


def test_musicbrainz_gives_songs_collaborations_and_genres(stub: ApiStub) -> None:
    harvest = musicbrainz(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    found = rows(harvest, "items", "item_id", "artist_id", "album", "year", "duration_s")
    # Two recordings of Stormur are one song: each fills what the other lacks.
    assert found == [
        ("bjork/haf", "bjork", None, None, None),
        ("sigur-ros/hoppipolla", "sigur-ros", "Takk…", 2005, 268.0),
        ("sigur-ros/stormur", "sigur-ros", None, 2024, 200.0),
    ]
    links = rows(harvest, "links", "source_id", "relation", "target_id", "weight")
    assert links == [
        ("amiina", "COLLABORATED_WITH", "sigur-ros", 1.0),
        ("bjork", "COLLABORATED_WITH", "sigur-ros", 1.0),
    ]
    tags = rows(harvest, "item_tags", "item_id", "tag", "kind", "weight")
    assert tags == [
        ("sigur-ros/hoppipolla", "ambient", "genre", 0.25),
        ("sigur-ros/hoppipolla", "post-rock", "genre", 1.0),
    ]


def test_musicbrainz_gives_genres_of_artists_where_those_are_items(stub: ApiStub) -> None:
    source = musicbrainz(stub, item_type="Artist")
    harvest = source.fetch(ARTIST_UNIT, artists_catalogue(), None)
    tags = rows(harvest, "item_tags", "item_id", "tag", "weight")
    assert tags == [("sigur-ros", "ambient", 0.25), ("sigur-ros", "post-rock", 1.0)]
    assert set(harvest.tables["links"]["relation"]) == {"PERFORMED_BY", "COLLABORATED_WITH"}


def test_musicbrainz_leaves_out_what_is_dated_before_since(stub: ApiStub) -> None:
    harvest = musicbrainz(stub).fetch(SONG_UNIT, songs_catalogue(), date(2024, 3, 20))
    # Stormur is dated to the month of that day, and Haf to no day at all.
    assert rows(harvest, "items", "item_id") == [("bjork/haf",), ("sigur-ros/stormur",)]
    query = next(r.values["query"] for r in stub.requests if r.path.endswith("/recording"))
    assert query == f"arid:{MBID} AND firstreleasedate:[2024 TO *]"


def test_musicbrainz_says_who_asks(stub: ApiStub) -> None:
    musicbrainz(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    for request in stub.requests:
        assert request.headers["User-Agent"].startswith("musicrag/")
        assert "ops@example.org" in request.headers["User-Agent"]
        assert request.values["fmt"] == "json"


def test_musicbrainz_reads_the_list_of_genres_once(stub: ApiStub) -> None:
    source = musicbrainz(stub)
    source.fetch(SONG_UNIT, songs_catalogue(), None)
    stub.script([])
    source.fetch(SONG_UNIT, songs_catalogue(), None)
    assert [r for r in stub.requests if "genre" in r.path] == []


def test_musicbrainz_stops_at_the_most_recordings(stub: ApiStub) -> None:
    source = musicbrainz(stub, max_recordings=1)
    harvest = source.fetch(SONG_UNIT, songs_catalogue(), None)
    assert rows(harvest, "items", "item_id") == [("sigur-ros/hoppipolla",)]


def test_musicbrainz_list_that_ends_early_is_a_reject(stub: ApiStub) -> None:
    def more(body: str) -> str:
        return body.replace('"count": 4, "offset"', '"count": 9, "offset"')

    stub.answer = changed(World(), "recording", more)
    harvest = musicbrainz(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    assert harvest.tables == {}
    assert harvest.rejects[0].reason == "answer: 4 recordings of 9"


def test_musicbrainz_finds_an_artist_by_alias_and_quotes_the_name(stub: ApiStub) -> None:
    hits = [{"id": "other", "name": "X"}]
    hits += [{"id": MBID, "name": "Prince", "aliases": [{"name": 'The "Artist" \\o/'}]}]

    def answer(request: Request) -> Reply:
        if request.path.endswith("/artist"):
            return Reply(json.dumps({"count": 2, "artists": hits}))
        return World()(request)

    stub.answer = answer
    catalogue = songs_catalogue()
    catalogue["artists"].loc[0, "name"] = 'The "Artist" \\o/'
    assert musicbrainz(stub).fetch(SONG_UNIT, catalogue, None).tables
    query = stub.requests[0].values["query"]
    assert query == r'artist:"The \"Artist\" \\o/" OR alias:"The \"Artist\" \\o/"'


# Genius


def test_genius_gives_own_songs_and_their_lyrics(stub: ApiStub) -> None:
    harvest = genius(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    # Neither the song of another artist nor the track list; Gold has no words.
    assert rows(harvest, "items", "item_id", "album", "year") == [
        ("sigur-ros/atta", "Takk...", 2020),
        ("sigur-ros/gold", None, 2023),
        ("sigur-ros/hoppipolla", "Takk...", 2005),
    ]
    words = rows(harvest, "lyrics", "item_id", "text")
    assert words == [("sigur-ros/atta", LYRICS), ("sigur-ros/hoppipolla", LYRICS)]


def test_genius_stops_at_the_first_page_that_is_older_as_a_whole(stub: ApiStub) -> None:
    harvest = genius(stub).fetch(SONG_UNIT, songs_catalogue(), date(2021, 1, 1))
    assert rows(harvest, "items", "item_id") == [("sigur-ros/gold",)]
    pages = [r.values["page"] for r in stub.requests if r.path.endswith("/songs")]
    assert pages == ["1", "2"]
    assert all(r.values["sort"] == "release_date" for r in stub.requests if "page" in r.values)


def test_genius_does_not_ask_for_lyrics_that_the_catalogue_has(stub: ApiStub) -> None:
    catalogue = songs_catalogue()
    catalogue["lyrics"] = pd.DataFrame({"item_id": ["s1"], "text": ["la"]})
    harvest = genius(stub).fetch(SONG_UNIT, catalogue, None)
    assert rows(harvest, "lyrics", "item_id") == [("sigur-ros/atta",)]


@pytest.mark.parametrize("settings", [{"has_lyrics": False}, {"item_type": "Artist"}])
def test_genius_asks_for_no_page_without_need(settings: dict[str, Any], stub: ApiStub) -> None:
    catalogue: RawTables = songs_catalogue() if "has_lyrics" in settings else artists_catalogue()
    unit = SONG_UNIT if "has_lyrics" in settings else ARTIST_UNIT
    harvest = genius(stub, **settings).fetch(unit, catalogue, None)
    assert "lyrics" not in harvest.tables
    assert [r for r in stub.requests if "pages" in r.path] == []


def test_genius_shows_its_token_to_the_api_and_not_to_pages(stub: ApiStub) -> None:
    genius(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    for request in stub.requests:
        token = request.headers.get("authorization")
        assert token == (None if "pages" in request.path else f"Bearer {KEYS['genius'][1]}")


def test_genius_page_that_is_refused_is_not_blamed_on_the_token(stub: ApiStub) -> None:
    stub.script([None] * 4, then=failing(403))
    with pytest.raises(InputError, match="does not show pages to this machine") as caught:
        genius(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    assert "TOKEN" not in str(caught.value)


def test_genius_page_that_has_moved_is_followed(stub: ApiStub) -> None:
    to = f"{stub.url}genius/pages/elsewhere"
    stub.script([*[None] * 4, failing(301, Location=to)])
    harvest = genius(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    assert len(rows(harvest, "lyrics", "text")) == 2
    assert stub.requests[5].path == "/genius/pages/elsewhere"


def test_genius_next_page_that_goes_back_is_a_reject(stub: ApiStub) -> None:
    stub.answer = changed(
        World(), "/songs", lambda body: body.replace('"next_page": 3', '"next_page": 2')
    )
    harvest = genius(stub).fetch(SONG_UNIT, songs_catalogue(), None)
    assert harvest.rejects[0].reason == "response: the next page is not a later one"


# What they share


def test_sources_are_made_by_name() -> None:
    for name in SERVICES:
        assert make_source(name).name == name
    assert make_source("lastfm", users=["ada"]).units(songs_catalogue())[-1] == "user:ada"
    with pytest.raises(InputError, match=r"'lastfn' is no web source.*Did you mean 'lastfm'"):
        make_source("lastfn")
    with pytest.raises(InputError, match="item_type must be one of Song, Artist"):
        make_source("genius", item_type="Album")


def test_base_url_without_a_scheme_is_an_input_error() -> None:
    with pytest.raises(InputError, match="base_url must start with https://"):
        Lastfm(base_url="127.0.0.1")


@pytest.mark.parametrize("name", SERVICES)
def test_catalogue_without_names_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError, match="names no artist: its table artists is missing or empty"):
        make_source(name).units({"items": songs_catalogue()["items"]})


def test_missing_extra_is_an_input_error_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "lyricsgenius", None)
    monkeypatch.delitem(sys.modules, "musicrag.sources.web.genius")
    with pytest.raises(InputError, match=r"pip install 'musicrag\[sync\]'"):
        make_source("genius")
    monkeypatch.undo()
    importlib.import_module("musicrag.sources.web.genius")


def test_names_units_and_choices_do_without_the_extra() -> None:
    blocked = ["tenacity", "httpx", "pylast", "lyricsgenius", "dotenv"]
    modules = ["contract", "choose", "identity", "rows", "units"]
    lines = ["import sys", *(f"sys.modules[{name!r}] = None" for name in blocked)]
    lines += [f"import musicrag.sources.web.{name}" for name in modules]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"a": {"b": 1}}', "answer.a.b is a number, not a text"),
        ('{"a": {"b": null}}', "answer.a.b is missing, not a text"),
        ('{"a": {"b": "  "}}', "answer.a.b is a text, not a text"),
        ('{"a": {"b": "\\ud800"}}', "answer.a.b is a text, not a text"),
        ('{"a": [1]}', "answer.a is a list, not an object"),
        ("[1]", "answer is a list, not an object"),
    ],
)
def test_field_of_another_type_is_named(body: str, reason: str) -> None:
    with pytest.raises(UnusableError) as caught:
        parse_json(body).object("a").text("b")
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", ["1", "[]", "{}", "true"])
def test_wrong_type_of_an_optional_field_is_not_taken_for_absent(value: str) -> None:
    fields = parse_json(f'{{"name": {value}}}')
    with pytest.raises(UnusableError, match=r"answer\.name is"):
        fields.text_or_none("name")


@pytest.mark.parametrize("body", ["", "<html>", '{"a": ', "[" * 100_000])
def test_text_that_is_not_json_is_garbled(body: str) -> None:
    with pytest.raises(GarbledError):
        parse_json(body)


@pytest.mark.parametrize("number", ["true", '"1"', "NaN", "1e999"])
def test_only_finite_numbers_are_numbers(number: str) -> None:
    with pytest.raises(UnusableError, match="not a number"):
        parse_json(f'{{"n": {number}}}').number_or_none("n")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((2023, None, None), True),
        ((2024, None, None), False),
        ((2024, 2, None), True),
        ((2024, 3, None), False),
        ((2024, 3, 14), True),
        ((2024, 3, 15), False),
    ],
)
def test_date_is_before_a_day_only_if_all_of_it_is(
    parts: tuple[int, int | None, int | None], expected: bool
) -> None:
    assert is_before(*parts, date(2024, 3, 15)) is expected
    assert not is_before(*parts, None)
