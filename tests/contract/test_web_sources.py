"""Every web source obeys one contract, whatever its service does.

Each fault meets each client at each of its requests. A fault that ends leaves no trace in the
harvest; one that does not end gives a ``TransientError`` or a reject, and never some of the rows.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pandas as pd
import pytest
from api_answers import KEYS, LYRICS, World, artists_catalogue, songs_catalogue
from api_stub import HANG, RESET, TRUNCATE, ApiStub, Fault, failing

from musicrag.contracts import TABLES, RawTables
from musicrag.sources.web.contract import Harvest, TransientError, WebSource
from musicrag.sources.web.genius import Genius
from musicrag.sources.web.identity import resolve
from musicrag.sources.web.lastfm import Lastfm
from musicrag.sources.web.musicbrainz import Musicbrainz
from musicrag.sources.web.retrying import Retry
from musicrag.tables.clean import clean
from musicrag.types import InputError

CERTIFICATES = httpx.create_ssl_context()
SERVICES = ["lastfm", "musicbrainz", "genius"]
UNIT = "artist:a1"
ATTEMPTS = 2
PATIENT_S, HASTY_S = 10.0, 0.3
NUM_REQUESTS = {"lastfm": 6, "musicbrainz": 5, "genius": 6}
"""Pages of lists, tags of three tracks, pages of two lyrics."""

TRANSIENT = {
    "429_retry_after": failing(429, Retry_After="3"),
    "500": failing(500),
    "503": failing(503),
    "time_out": HANG,
    "connection_reset": RESET,
}
BROKEN = {
    "truncated_body": TRUNCATE,
    "cut_body": Fault("change", change=lambda body: body[: len(body) // 2]),
    "page_of_a_portal": failing(200, "<p>Sign in to the network"),
}


def _retype(body: str) -> str:
    """The same answer with fields of another type; a page keeps its frame and loses its lyrics."""
    if body.startswith("<!DOCTYPE"):
        return body.replace("data-lyrics-container", "data-words")
    if body.startswith("<"):
        return re.sub(r"<name>[^<]*</name>", "<name><first/></name>", body)
    return re.sub(r'"(title|name)": "[^"]*"', r'"\1": ["two", "words"]', body)


WRONG_TYPE = Fault("change", change=_retype)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now, self.sleeps = 0.0, list[float]()

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def no_real_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(seconds: float) -> None:
        assert seconds == 0, "a library sleeps by itself"

    monkeypatch.setattr(time, "sleep", sleep)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable, key in KEYS.values():
        monkeypatch.setenv(variable, key)


@pytest.fixture(autouse=True)
def one_set_of_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take 40 ms to load for each client, and the stub needs none."""
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, verify=CERTIFICATES))


@pytest.fixture
def stub() -> Iterator[ApiStub]:
    with ApiStub(World()) as running:
        yield running


def build(name: str, stub: ApiStub, clock: Clock | None = None, **settings: object) -> WebSource:
    clock = clock or Clock()
    retry = Retry(ATTEMPTS, sleep=clock.sleep, clock=clock.time, now=clock.time)
    common = {"timeout_s": PATIENT_S, "retry": retry, **settings}
    if name == "lastfm":
        return Lastfm(base_url=f"{stub.url}lastfm", **common)
    if name == "musicbrainz":
        return Musicbrainz(base_url=f"{stub.url}musicbrainz", **common)
    pages = f"{stub.url}genius/pages"
    return Genius(base_url=f"{stub.url}genius/api", pages_url=pages, **common)


def fetch(name: str, stub: ApiStub, clock: Clock | None = None, **settings: object) -> Harvest:
    return build(name, stub, clock, **settings).fetch(UNIT, songs_catalogue(), None)


def assert_equal(found: RawTables, expected: RawTables) -> None:
    assert list(found) == list(expected)
    for name in expected:
        pd.testing.assert_frame_equal(found[name], expected[name])


def merge(catalogue: RawTables, rows: RawTables, keep: str = "first") -> RawTables:
    """Rows by key; where both have one, the catalogue's (``first``) or the new one (``last``)."""
    merged = dict(catalogue)
    for name, frame in rows.items():
        both = pd.concat([catalogue[name], frame]) if name in catalogue else frame
        key = [column for column in TABLES[name].key if column in both]
        merged[name] = both.drop_duplicates(key, keep=keep).sort_values(key, ignore_index=True)
    return merged


@pytest.mark.parametrize("name", SERVICES)
def test_units_are_the_artists_of_either_kind_of_catalogue(name: str, stub: ApiStub) -> None:
    songs, artists = build(name, stub), build(name, stub, item_type="Artist")
    assert songs.name == name
    assert songs.units(songs_catalogue()) == ["artist:a1", "artist:a2", "artist:a3"]
    assert artists.units(artists_catalogue()) == ["artist:52", "artist:53", "artist:54"]
    assert stub.requests == []


@pytest.mark.parametrize("name", SERVICES)
def test_harvest_holds_only_known_tables_and_columns_without_duplicates(
    name: str, stub: ApiStub
) -> None:
    harvest = fetch(name, stub)
    assert harvest.rejects == ()
    assert len(stub.requests) == NUM_REQUESTS[name]
    assert len(harvest.tables["items"]) >= 2
    for table, frame in harvest.tables.items():
        assert set(frame.columns) <= set(TABLES[table].columns)
        key = [column for column in TABLES[table].key if column in frame]
        assert not frame.duplicated(key).any()


@pytest.mark.parametrize("name", SERVICES)
def test_same_answers_give_the_same_rows(name: str, stub: ApiStub) -> None:
    assert_equal(fetch(name, stub).tables, fetch(name, stub).tables)


@pytest.mark.parametrize("fault", [*TRANSIENT, *BROKEN])
@pytest.mark.parametrize("name", SERVICES)
def test_fault_that_ends_leaves_no_trace(name: str, fault: str, stub: ApiStub) -> None:
    expected = fetch(name, stub)
    once = {**TRANSIENT, **BROKEN}[fault]
    stub.script([once, None] * NUM_REQUESTS[name])
    harvest = fetch(name, stub, timeout_s=HASTY_S if once is HANG else PATIENT_S)
    assert len(stub.requests) == 2 * NUM_REQUESTS[name]
    assert harvest.rejects == ()
    assert_equal(harvest.tables, expected.tables)


@pytest.mark.parametrize("fault", TRANSIENT)
@pytest.mark.parametrize("name", SERVICES)
def test_service_that_stays_away_gives_no_harvest(name: str, fault: str, stub: ApiStub) -> None:
    timeout_s = HASTY_S if fault == "time_out" else PATIENT_S
    for position in range(NUM_REQUESTS[name]):
        if fault == "time_out" and 0 < position < NUM_REQUESTS[name] - 1:
            continue  # each takes real time
        stub.script([None] * position, then=TRANSIENT[fault])
        with pytest.raises(TransientError, match=r"did not answer in 2 attempts .*Try again later"):
            fetch(name, stub, timeout_s=timeout_s)
        assert len(stub.requests) == position + ATTEMPTS


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("name", SERVICES)
def test_broken_body_is_asked_for_again_and_then_rejects_the_whole_unit(
    name: str, fault: str, stub: ApiStub
) -> None:
    for position in range(NUM_REQUESTS[name]):
        stub.script([None] * position, then=BROKEN[fault])
        harvest = fetch(name, stub)
        assert harvest.tables == {}
        assert [(r.source, r.unit) for r in harvest.rejects] == [(name, UNIT)]
        assert len(stub.requests) == position + ATTEMPTS


@pytest.mark.parametrize("name", SERVICES)
def test_changed_shape_rejects_the_whole_unit_at_once(name: str, stub: ApiStub) -> None:
    expected = fetch(name, stub)
    for position in range(NUM_REQUESTS[name]):
        stub.script([*[None] * position, WRONG_TYPE])
        harvest = fetch(name, stub)
        assert harvest.tables == {}
        (reject,) = harvest.rejects
        assert (reject.source, reject.unit) == (name, UNIT)
        assert reject.reason
        assert len(reject.excerpt) <= 160
        assert len({repr(request) for request in stub.requests}) == len(stub.requests)
    assert_equal(fetch(name, stub).tables, expected.tables)


@pytest.mark.parametrize("name", SERVICES)
def test_empty_answer_is_an_empty_harvest(name: str, stub: ApiStub) -> None:
    stub.answer = World(is_empty=True)
    assert fetch(name, stub) == Harvest({})


@pytest.mark.parametrize("name", SERVICES)
def test_unknown_artist_is_an_empty_harvest(name: str, stub: ApiStub) -> None:
    if name == "lastfm":
        said = '<lfm status="failed"><error code="6">The artist could not be found</error></lfm>'
        stub.script([], then=failing(400, said))
    unit = "artist:a3"
    assert build(name, stub).fetch(unit, songs_catalogue(), None) == Harvest({})


def test_unicode_survives_every_client(stub: ApiStub) -> None:
    titles = {name: set(fetch(name, stub).tables["items"]["title"]) for name in SERVICES}
    assert titles["lastfm"] == {"Hoppipolla", "Ágætis byrjun", "夜 & 海"}
    assert titles["musicbrainz"] == {"Hoppípolla", "Stormur (feat. amiina)", "Haf"}
    assert titles["genius"] == {"HOPPÍPOLLA", "ÁTTA", "Gold"}
    assert set(fetch("genius", stub).tables["lyrics"]["text"]) == {LYRICS}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("name", SERVICES)
def test_refused_key_is_an_input_error_that_names_the_variable(
    name: str, status: int, stub: ApiStub
) -> None:
    variable, key = KEYS[name]
    stub.script([], then=failing(status, f"bad key {key}"))
    with pytest.raises(InputError, match=variable) as caught:
        fetch(name, stub)
    assert key not in str(caught.value)
    assert len(stub.requests) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_other_refusal_is_a_reject_without_retry(name: str, stub: ApiStub) -> None:
    stub.script([], then=failing(404))
    (reject,) = fetch(name, stub).rejects
    assert reject.reason == "HTTP 404"
    assert len(stub.requests) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_missing_key_is_an_input_error_that_names_the_variable(
    name: str, stub: ApiStub, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.delenv(KEYS[name][0])
    with pytest.raises(InputError, match=f"{KEYS[name][0]} is not set"):
        build(name, stub)


@pytest.mark.parametrize("name", SERVICES)
def test_unknown_unit_is_an_input_error(name: str, stub: ApiStub) -> None:
    with pytest.raises(InputError, match=r"'artist:zz' is no unit"):
        build(name, stub).fetch("artist:zz", songs_catalogue(), None)


@pytest.mark.parametrize("name", SERVICES)
def test_waits_as_long_as_the_service_asks(name: str, stub: ApiStub) -> None:
    clock = Clock()
    stub.script([failing(429, Retry_After="37")])
    fetch(name, stub, clock)
    assert 37.0 in clock.sleeps


@pytest.mark.parametrize(
    ("name", "interval"), [("lastfm", 0.2), ("musicbrainz", 1), ("genius", 0.2)]
)
def test_requests_keep_their_distance(name: str, interval: float, stub: ApiStub) -> None:
    clock = Clock()
    fetch(name, stub, clock)
    assert clock.sleeps == pytest.approx([interval] * (NUM_REQUESTS[name] - 1))


@pytest.mark.parametrize("name", ["lastfm", "genius"])
def test_key_is_in_no_log_error_or_reject(
    name: str, stub: ApiStub, caplog: pytest.LogCaptureFixture
) -> None:
    key = KEYS[name][1]
    caplog.set_level(logging.DEBUG)
    echo = failing(200, f"<lfm status='ok'>{key} {'x' * 140}{key}</lfm>")
    echoes = [echo, failing(404, f"{key} " * 30), failing(500, key), failing(302, Location=key)]
    said = list[str]()
    for fault in [*TRANSIENT.values(), *BROKEN.values(), WRONG_TYPE, *echoes, failing(401, key)]:
        for position in (0, NUM_REQUESTS[name] - 1):
            stub.script([None] * position, then=fault)
            try:
                harvest = fetch(name, stub, timeout_s=HASTY_S if fault is HANG else PATIENT_S)
                said += [repr(reject) for reject in harvest.rejects]
            except (TransientError, InputError) as error:
                said += traceback.format_exception(error)
    assert len(said) > 10
    assert caplog.records
    assert key not in "".join(said)
    assert key not in caplog.text
    assert "[key removed]" in "".join(said)


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize(
    ("catalogue", "item_type", "unit"),
    [(songs_catalogue, "Song", UNIT), (artists_catalogue, "Artist", "artist:52")],
)
def test_three_spellings_are_one_row_and_a_second_sync_adds_nothing(
    catalogue: Callable[[], RawTables], item_type: str, unit: str, keep: str, stub: ApiStub
) -> None:
    sources = [build(name, stub, item_type=item_type) for name in SERVICES]
    merged, rounds = dict(clean("start", item_type, catalogue()).tables), list[RawTables]()
    harvests = [source.fetch(unit, merged, None) for source in sources]
    for _ in range(2):
        for harvest in harvests:
            merged = merge(merged, resolve(harvest.tables, merged, item_type, unit), keep)
            merged = dict(clean("merged", item_type, merged).tables)
        rounds.append(merged)
    assert_equal(rounds[1], rounds[0])
    if item_type == "Song":
        titles = merged["items"].set_index("item_id")["title"]
        assert titles["s1"] == "Hoppípolla"
        assert [t for t in titles if "pp" in t.casefold()] == ["Hoppípolla"]
        assert len(titles) == 3 + len(
            ["Ágætis byrjun", "夜 & 海", "Stormur", "Haf", "ÁTTA", "Gold"]
        )
    else:
        nodes = merged["nodes"]
        assert [n for n in nodes["name"] if "pp" in n.casefold()] == ["Hoppipolla"]
