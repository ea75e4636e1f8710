"""A source's news become one version, once, wherever the way is cut."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collection_world import assert_same, contents_of, raw_tables
from web_source import ScriptedSource

from musicrag.collection import sync as sync_module
from musicrag.collection.contents import Contents
from musicrag.collection.folder import Collection
from musicrag.collection.journal import Journal
from musicrag.collection.sync import combined, sync
from musicrag.sources.web.contract import Harvest, TransientError
from musicrag.sources.web.identity import artist_key, song_key
from musicrag.types import InputError

FIRST, SECOND = date(2026, 1, 5), date(2026, 2, 5)


@pytest.fixture(scope="module")
def contents() -> Contents:
    return contents_of(raw_tables(), {}, with_network=False)


@pytest.fixture
def collection(contents: Contents, tmp_path: Path) -> Collection:
    return Collection.create(tmp_path / "c", contents)


@pytest.fixture(scope="module")
def expected(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What a sync without any trouble gives."""
    whole = Collection.create(tmp_path_factory.mktemp("whole") / "c", contents)
    sync(whole, ScriptedSource(), today=FIRST)
    return whole.read()


def test_a_sync_brings_new_songs_and_new_facts_of_known_ones(
    collection: Collection, contents: Contents
) -> None:
    report = sync(collection, ScriptedSource(), today=FIRST)
    assert (report.num_units, report.num_kept, report.version) == (9, 0, 2)
    items = collection.read().tables["items"].set_index("item_id")
    assert len(items) == len(contents.tables["items"]) + 9
    assert items.loc["s000", ["title", "album", "year"]].tolist() == ["Title s000", "First", 1999]
    assert items.loc["artist-a00/bonus-track", "artist_id"] == "a00"
    assert items.loc["artist-a00/bonus-track", "duration_s"] == 200.123456789012
    lyrics = collection.read().tables["lyrics"].set_index("item_id")["text"]
    assert lyrics["artist-a00/bonus-track"] == "sun rain\nNA 'quoted' ½ 夜"


def test_the_same_answers_again_make_no_version(collection: Collection) -> None:
    sync(collection, ScriptedSource(), today=FIRST)
    report = sync(collection, ScriptedSource(), today=SECOND)
    assert report.touched is not None
    assert report.touched.is_nothing
    assert report.version == 2


def test_each_sync_asks_from_the_day_of_the_one_before(collection: Collection) -> None:
    source = ScriptedSource()
    for since, today in ((None, FIRST), (None, SECOND), (date(2020, 1, 1), SECOND)):
        sync(collection, source, since=since, today=today)
    assert [since for _, since in source.asked[::9]] == [None, FIRST, date(2020, 1, 1)]


def test_a_silent_service_keeps_what_is_done_and_says_run_again(
    collection: Collection, expected: Contents
) -> None:
    with pytest.raises(TransientError, match=r"4 of 9 units .* run the same command again"):
        sync(collection, ScriptedSource(fails_at=4), today=FIRST)
    assert collection.version == 1
    source = ScriptedSource()
    report = sync(collection, source, today=SECOND)
    assert report.num_kept == 4
    assert len(source.asked) == 5
    assert_same(collection.read(), expected)
    # what came while the first half was fetched is asked for next time
    assert Journal(collection.path / "sync", "scripted").last_sync() == FIRST


def test_a_sync_that_goes_on_keeps_its_day_and_refuses_another(collection: Collection) -> None:
    day = date(2025, 7, 1)
    with pytest.raises(TransientError):
        sync(collection, ScriptedSource(fails_at=4), since=day, today=FIRST)
    with pytest.raises(InputError, match="asked since 2025-07-01 is unfinished"):
        sync(collection, ScriptedSource(), since=date(2025, 8, 1), today=FIRST)
    source = ScriptedSource()
    assert sync(collection, source, since=day, today=FIRST).num_kept == 4
    assert {since for _, since in source.asked} == {day}


def test_a_restart_forgets_what_was_fetched(collection: Collection) -> None:
    with pytest.raises(TransientError):
        sync(collection, ScriptedSource(fails_at=4), today=FIRST)
    source = ScriptedSource()
    report = sync(collection, source, since=SECOND, today=SECOND, restart=True)
    assert (report.num_kept, len(source.asked)) == (0, 9)


def test_rejects_are_listed_once(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Collection, *arguments: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(collection, ScriptedSource(), today=FIRST)
    report = sync(collection, ScriptedSource(), today=FIRST)
    assert report.num_rejects == 1
    lines = [json.loads(line) for line in report.rejects.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["year is no number"]
    sync(collection, ScriptedSource(), today=SECOND)
    assert len(report.rejects.read_text().splitlines()) == 2  # those of another sync come below


def test_a_row_that_does_not_fit_is_rejected_and_the_others_go_in(collection: Collection) -> None:
    class Wrong(ScriptedSource):
        def _tables(
            self, artist_id: str, tables: dict[str, pd.DataFrame]
        ) -> dict[str, pd.DataFrame]:
            found = super()._tables(artist_id, tables)
            if artist_id == "a03":
                found["item_tags"]["weight"] = -1.0
            return found

    report = sync(collection, Wrong(), today=FIRST)
    assert report.touched is not None
    assert report.touched.rows["item_tags"] == 8
    assert report.num_rejects == 2
    assert "weight must be > 0" in report.rejects.read_text()


def test_a_kill_after_publication_applies_nothing_twice(
    collection: Collection, monkeypatch: pytest.MonkeyPatch, expected: Contents
) -> None:
    def killed(self: Journal, plan: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            sync(collection, ScriptedSource(), today=FIRST)
    assert collection.version == 2
    # Meanwhile somebody corrects a row that the sync had brought.
    corrected = {"items": pd.DataFrame({"item_id": ["s000"], "title": ["T"], "year": [2001]})}
    grown, touched = sync_module.update(collection.read(), corrected)
    collection.publish(grown, touched.delta)
    source = ScriptedSource()
    report = sync(collection, source, today=FIRST)
    assert source.asked == []
    assert report.touched is None
    assert collection.version == 3
    assert_same(collection.read(), grown)
    assert not (collection.path / "sync" / "scripted").exists()


def test_a_half_written_unit_is_fetched_again(collection: Collection, expected: Contents) -> None:
    with pytest.raises(TransientError):
        sync(collection, ScriptedSource(fails_at=4), today=FIRST)
    units = collection.path / "sync" / "scripted" / "units"
    (units / ".000004.json.xyz.part").write_text('{"tables": {')
    sync(collection, ScriptedSource(), today=FIRST)
    assert_same(collection.read(), expected)


def test_a_second_sync_of_the_same_source_is_refused(collection: Collection) -> None:
    refused = []

    def also_sync(unit: str) -> None:
        with pytest.raises(InputError, match="running already"):
            sync(Collection(collection.path), ScriptedSource(), today=FIRST)
        refused.append(unit)

    sync(collection, ScriptedSource(on_unit=also_sync), today=FIRST)
    assert len(refused) == 9


def test_an_update_may_come_while_units_are_fetched(
    collection: Collection, contents: Contents
) -> None:
    done = []

    def update_once(unit: str) -> None:
        if not done:
            other = Collection(collection.path)
            play = {"interactions": pd.DataFrame({"user_id": ["u_new"], "item_id": ["s000"]})}
            grown, touched = sync_module.update(other.read(), play)
            done.append(other.publish(grown, touched.delta))

    assert sync(collection, ScriptedSource(on_unit=update_once), today=FIRST).version == 3
    plays = collection.read().tables["interactions"]
    assert len(plays) == len(contents.tables["interactions"]) + 1


def test_units_of_artists_who_share_a_name_go_to_the_artist_asked_for() -> None:
    catalogue = {
        "artists": pd.DataFrame(
            {"artist_id": ["a1", "a2", "a3"], "name": ["Twin", "TWIN", "Other"]}
        ),
        "items": pd.DataFrame({"item_id": ["s"], "title": ["T"], "artist_id": ["a1"]}),
    }

    def song(artist: str, title: str) -> dict[str, pd.DataFrame]:
        key = f"{artist}/{title}"
        rows = {"item_id": [key], "title": [title], "artist_id": [artist], "year": [None]}
        return {"items": pd.DataFrame(rows)}

    units = ["artist:a1", "artist:a2", "artist:a3"]
    harvests = [song("twin", "x"), song("twin", "y"), song("other", "z")]
    found = combined(units, harvests, catalogue, "Song")["items"]
    assert dict(zip(found["title"], found["artist_id"], strict=True)) == {
        "x": "a1",
        "y": "a2",
        "z": "a3",
    }


def test_of_two_units_with_the_same_row_the_first_counts_and_the_second_fills_gaps() -> None:
    catalogue = {"artists": pd.DataFrame({"artist_id": ["a"], "name": ["A"]})}
    rows = [
        {
            "items": pd.DataFrame(
                {"item_id": ["k"], "title": ["T"], "album": [None], "year": [1999]}
            )
        },
        {"items": pd.DataFrame({"item_id": ["k"], "title": ["U"], "album": ["B"], "year": [2005]})},
    ]
    found = combined(["artist:a", "user:x"], rows, catalogue, "Song")["items"]
    assert found.to_dict("records") == [{"item_id": "k", "title": "T", "album": "B", "year": 1999}]


@pytest.mark.parametrize(("plays", "kept"), [(3.0, 40.0), (50.0, 50.0)])
def test_plays_of_a_few_days_never_lower_a_known_count(plays: float, kept: float) -> None:
    song = song_key("Mira Holm", "Tide")
    catalogue = {
        "items": pd.DataFrame({"item_id": ["s3"], "title": ["Tide"], "artist_id": ["a3"]}),
        "artists": pd.DataFrame({"artist_id": ["a3"], "name": ["Mira Holm"]}),
        "interactions": pd.DataFrame({"user_id": ["u1"], "item_id": ["s3"], "weight": [40.0]}),
    }
    heard = {
        "items": pd.DataFrame(
            {"item_id": [song], "title": ["Tide"], "artist_id": [artist_key("Mira Holm")]}
        ),
        "artists": pd.DataFrame({"artist_id": [artist_key("Mira Holm")], "name": ["Mira Holm"]}),
        "interactions": pd.DataFrame({"user_id": ["u1"], "item_id": [song], "weight": [plays]}),
    }
    rows = combined(["user:u1"], [heard], catalogue, "Song")["interactions"]
    assert rows[["item_id", "weight"]].values.tolist() == [["s3", kept]]


def test_a_journal_gives_back_every_cell_as_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"item_id": ["a", "NA", "1.0"], "n": [1, None, 3], "x": [0.1 + 0.2, np.nan, 1e300]},
        dtype=object,
    )
    journal = Journal(tmp_path, "x")
    journal.write(0, Harvest({"items": frame}))
    found = journal.read(0).tables["items"]
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == [
        ["a", 1, 0.1 + 0.2],
        ["NA", None, None],
        ["1.0", 3, 1e300],
    ]


def test_a_sync_without_a_collection_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no collection"):
        sync(Collection(tmp_path / "nowhere"), ScriptedSource())
    assert not (tmp_path / "nowhere").exists()
