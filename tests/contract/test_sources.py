"""Every source obeys the same contract: what it announces, gives, and gives again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musicrag.contracts import TABLES, Dataset, Source
from musicrag.sources.demo.source import DemoSource
from musicrag.sources.folder import TablesFolder
from musicrag.sources.lastfm import HetrecLastfm
from musicrag.sources.lightgcn import LightgcnLastfm
from musicrag.sources.spotify_playlists import SpotifyPlaylists
from musicrag.tables.clean import clean
from musicrag.tables.leaks import find_leaks, training_tables
from musicrag.tables.splits import split

TINY = ["demo", "tables", "spotify_playlists", "lastfm", "lastfm_no_moods", "lightgcn_lastfm"]
REAL = {
    "real_spotify": "spotify_playlists_genre",
    "real_lastfm": "hetrec2011_lastfm2k",
    "real_lightgcn": "lightgcn_lastfm",
}
TYPES = {"id": "str", "text": "str", "json_path": "str", "float": "float64"}


def build(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if name == "demo":
        return DemoSource(
            num_songs=40,
            num_artists=10,
            num_users=12,
            num_playlists=8,
            num_text_queries=6,
            audio_signal=1.0,
            lyrics_signal=1.0,
            emotion_signal=1.0,
            seed=0,
            audio_duration_s=0.5,
            sample_rate_hz=8000,
            cache_dir=str(tmp_path / "cache"),
            interactions_per_song=4.0,
        )
    if name in REAL:
        folder = str(request.getfixturevalue("real_data")(REAL[name]))
        real = {"real_spotify": SpotifyPlaylists, "real_lastfm": HetrecLastfm}
        return real.get(name, LightgcnLastfm)(folder)
    if name == "tables":
        return TablesFolder(str(request.getfixturevalue("example_folder")))
    if name == "spotify_playlists":
        return SpotifyPlaylists(str(request.getfixturevalue("spotify_folder")))
    if name == "lightgcn_lastfm":
        return LightgcnLastfm(str(request.getfixturevalue("lightgcn_folder")))
    folder = str(request.getfixturevalue("hetrec_folder"))
    return HetrecLastfm(folder, use_moods=name == "lastfm")


@pytest.fixture(params=[*TINY, *REAL])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return build(request.param, request, tmp_path)


def cleaned(source: Source) -> Dataset:
    return clean(source.name, source.item_type, source.load(), on_invalid="reject")


def test_available_names_what_load_gives(source: Source) -> None:
    assert source.available() == frozenset(source.load())
    assert source.available() <= frozenset(TABLES)


def test_loading_twice_gives_the_same_tables(source: Source) -> None:
    first, second = source.load(), source.load()
    for name in first:
        pd.testing.assert_frame_equal(first[name], second[name])


def test_clean_tables_obey_their_specification(source: Source) -> None:
    dataset = cleaned(source)
    assert source.item_type in ("Song", "Artist")
    for name, frame in dataset.tables.items():
        spec = TABLES[name]
        required = {column for column, about in spec.columns.items() if about.required}
        assert required <= set(frame.columns)
        assert spec.has_feature_columns or set(frame.columns) <= set(spec.columns)
        key = [column for column in spec.key if column in frame]
        assert not frame.duplicated(key).any()
        pd.testing.assert_frame_equal(frame, frame.sort_values(key, ignore_index=True))
        for column in frame:
            about = spec.columns.get(column)
            expected = "float64" if about is None else TYPES.get(about.type)
            expected = expected or ("int64" if about.required else "Int64")
            assert str(frame[column].dtype) == expected, (name, column)
            assert column not in required or not frame[column].isna().any()


def test_no_required_row_is_lost_but_those_of_one_song_playlists(source: Source) -> None:
    rejects = cleaned(source).rejects
    assert set(rejects["table"]) <= {"playlists", "playlist_items"}
    assert rejects["reason"].str.contains("playlist has").all()


def test_content_hash_depends_on_the_content_alone(source: Source) -> None:
    raw = source.load()
    name = "interactions" if "interactions" in raw else "playlist_items"
    shuffled = raw | {name: raw[name].sample(frac=1.0, random_state=0)}
    first = clean("a", source.item_type, raw, on_invalid="reject")
    again = clean("b", source.item_type, shuffled, on_invalid="reject")
    fewer = clean("a", source.item_type, raw | {name: raw[name].iloc[1:]}, on_invalid="reject")
    assert first.content_hash == again.content_hash
    assert first.content_hash != fewer.content_hash


def test_training_tables_show_no_held_out_pair(source: Source) -> None:
    dataset = cleaned(source)
    parts = split(dataset, np.random.default_rng(0))
    assert find_leaks(training_tables(dataset, parts), dataset, parts) == []
