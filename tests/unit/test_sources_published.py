"""The readers of published data sets: what becomes of odd rows, and what a broken file says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musicrag.sources.lastfm import HetrecLastfm, quadrant_moods
from musicrag.sources.lightgcn import LightgcnLastfm
from musicrag.sources.spotify_playlists import SpotifyPlaylists, slug_id
from musicrag.types import InputError


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


def test_versions_of_a_song_become_one_item_named_after_the_most_popular(
    spotify_folder: Path,
) -> None:
    tables = SpotifyPlaylists(str(spotify_folder)).load()
    song = tables["items"].iloc[0]
    assert len(tables["items"]) == 4
    assert (song["title"], song["album"], song["year"]) == ("SEÑORITA", "Two", 2020)
    assert song["duration_s"] == 200.0
    features = tables["audio_features"].set_index("item_id").loc[song["item_id"]]
    assert (features["energy"], features["key"]) == (0.4, 2)
    assert len(tables["audio_features"].columns) == 1 + 12


def test_song_named_twice_in_a_playlist_keeps_its_first_place(spotify_folder: Path) -> None:
    tables = SpotifyPlaylists(str(spotify_folder)).load()
    sizes = tables["playlist_items"].groupby("playlist_id")["position"].agg(["size", "max"])
    assert sorted(sizes["size"]) == [1, 2, 3]
    assert (sizes["max"] == sizes["size"] - 1).all()


def test_genre_rows_carry_the_playlist_they_were_seen_in(spotify_folder: Path) -> None:
    tables = SpotifyPlaylists(str(spotify_folder)).load()
    tags = tables["item_tags"]
    seen = set(tags[["profile_id", "item_id"]].itertuples(index=False, name=None))
    entries = tables["playlist_items"][["playlist_id", "item_id"]]
    assert (tags["profile_type"] == "playlist").all()
    assert seen == set(entries.itertuples(index=False, name=None))
    assert set(tags.loc[tags["kind"] == "genre", "tag"]) == {"pop", "latin", "rock"}


def test_escaped_and_windows_characters_are_read(spotify_folder: Path) -> None:
    path = spotify_folder / "spotify_songs.csv"
    utf8 = SpotifyPlaylists(str(spotify_folder)).load()
    path.write_bytes(
        path.read_text(encoding="utf-8").replace("夜に駆ける", "Yoru").encode("cp1252")
    )
    windows = SpotifyPlaylists(str(spotify_folder)).load()
    assert "Y 💙" in set(utf8["artists"]["name"])
    assert set(utf8["playlists"]["title"]) == set(windows["playlists"]["title"])
    assert "Solo – one" in set(windows["playlists"]["title"])  # noqa: RUF001


def test_slugs_are_readable_unicode_safe_and_distinct() -> None:
    ids = [slug_id(name) for name in ("Beyoncé", "beyonce", "!!!", "夜に駆ける", "a b/c")]
    assert ids[0].startswith("beyonce.")
    assert ids[3].startswith("夜に")
    assert len(set(ids)) == len(ids)
    assert not any(re.search(r"\s", slug) for slug in ids)


def test_hetrec_quotes_and_na_are_names(hetrec_folder: Path) -> None:
    tables = HetrecLastfm(str(hetrec_folder)).load()
    assert tables["items"]["title"].tolist() == ['"Duo', "NA", "Åsa"]
    assert tables["users"]["user_id"].tolist() == ["7", "8", "9"]


def test_friends_become_one_link_a_pair(hetrec_folder: Path) -> None:
    links = HetrecLastfm(str(hetrec_folder), use_moods=False).load()["links"]
    assert links[["source_id", "relation", "target_id"]].to_numpy().tolist() == [
        ["7", "KNOWS", "8"],
        ["8", "KNOWS", "9"],
    ]


def test_tags_of_equal_text_are_one_and_unnamed_artists_are_logged(
    hetrec_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tags = HetrecLastfm(str(hetrec_folder)).load()["item_tags"]
    assert tags[["item_id", "tag", "profile_type", "profile_id"]].to_numpy().tolist() == [
        ["1", "80s", "user", "7"],
        ["3", "drum n bass", "user", "8"],
    ]
    assert "1 tag rows on 1 artists" in caplog.text


def test_latin1_tags_are_taken_where_there_is_no_utf8_copy(hetrec_folder: Path) -> None:
    (hetrec_folder / "tags.utf8.dat").unlink()
    assert "80's" in set(HetrecLastfm(str(hetrec_folder)).load()["item_tags"]["tag"])


def test_each_quadrant_has_its_mood_and_the_centre_is_weak() -> None:
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1], [0.01, 0.01], [-0.01, -0.01]])
    moods = quadrant_moods(pd.Series(signs[:, 0]), pd.Series(signs[:, 1]))
    assert moods["mood"].tolist()[:4] == ["happy", "angry", "sad", "calm"]
    assert ((moods["weight"] > 0) & (moods["weight"] <= 1)).all()
    assert moods["weight"][4] < 0.01 < 0.6 < moods["weight"][0]


def test_mood_of_a_single_constant_track_is_defined() -> None:
    moods = quadrant_moods(pd.Series([0.3]), pd.Series([0.2]))
    assert moods["mood"].tolist() == ["happy"]
    assert 0 < moods["weight"][0] < 1e-3


def test_artist_emotion_is_the_mean_of_its_tracks(hetrec_folder: Path) -> None:
    emotion = HetrecLastfm(str(hetrec_folder)).load()["emotion_features"].set_index("item_id")
    assert emotion.loc["1", "valence_mean"] == pytest.approx(0.25)
    assert emotion.loc["1", "valence_std"] == pytest.approx(1.25)
    assert emotion.loc["3", "log_num_tracks"] == pytest.approx(np.log(3))


def test_lightgcn_test_pairs_are_interactions_and_predefined_test(lightgcn_folder: Path) -> None:
    source = LightgcnLastfm(str(lightgcn_folder))
    interactions, test = source.load()["interactions"], source.predefined_test()
    assert test is not None
    assert test.to_numpy().tolist() == [["1", "9"], ["2", "2"]]
    assert len(interactions) == 10
    assert interactions["weight"].max() == 320_000.0


def test_lightgcn_without_test_file_predefines_nothing(lightgcn_folder: Path) -> None:
    (lightgcn_folder / "test1.txt").unlink()
    assert LightgcnLastfm(str(lightgcn_folder)).predefined_test() is None


def test_lightgcn_pair_in_train_and_test_is_refused(lightgcn_folder: Path) -> None:
    edit(lightgcn_folder / "test1.txt", "1\t9\t1", "1\t3\t1")
    with pytest.raises(InputError, match=r"test1.txt repeats 1 pairs of data1.txt"):
        LightgcnLastfm(str(lightgcn_folder)).load()


REAL_COUNTS = {
    "spotify_playlists_genre": (
        SpotifyPlaylists,
        {"items": 3055, "artists": 97, "playlists": 336, "playlist_items": 4973},
    ),
    "hetrec2011_lastfm2k": (
        HetrecLastfm,
        {"items": 17_632, "users": 1892, "interactions": 92_834, "item_tags": 184_716},
    ),
    "lightgcn_lastfm": (
        LightgcnLastfm,
        {"items": 4476, "users": 1892, "interactions": 42_135, "links": 12_717},
    ),
}


@pytest.mark.parametrize("name", REAL_COUNTS)
def test_real_files_give_the_published_counts(name: str, real_data: Callable[[str], Path]) -> None:
    source, counts = REAL_COUNTS[name]
    tables = source(str(real_data(name))).load()
    assert {table: len(tables[table]) for table in counts} == counts


READERS = {
    "spotify_folder": (SpotifyPlaylists, "spotify_songs.csv", "tempo", "120", "fast"),
    "hetrec_folder": (HetrecLastfm, "user_artists.dat", "weight", "13", "1,3"),
    "lightgcn_folder": (LightgcnLastfm, "data1.txt", None, "3.2e+05", "nan"),
}


@pytest.fixture(params=sorted(READERS))
def reader(request: pytest.FixtureRequest) -> tuple[Path, type, str, str | None, str, str]:
    return request.getfixturevalue(request.param), *READERS[request.param]


@pytest.fixture(params=sorted(name for name in READERS if READERS[name][2] is not None))
def headed_reader(request: pytest.FixtureRequest) -> tuple[Path, type, str, str, str, str]:
    return request.getfixturevalue(request.param), *READERS[request.param]


def fails(source: Callable[[str], SpotifyPlaylists], folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as error:
        source(str(folder)).load()
    for word in words:
        assert word in str(error.value)


def test_missing_folder_names_it_and_its_files(reader) -> None:
    folder, source, name, *_ = reader
    fails(source, folder / "elsewhere", "elsewhere", "does not exist", "data.dir", name)
    with pytest.raises(InputError, match="does not exist"):
        source(str(folder / "elsewhere")).available()


def test_folder_that_is_a_file_is_named(reader) -> None:
    folder, source, name, *_ = reader
    fails(source, folder / name, "is a file, not a folder")


def test_missing_file_is_named_with_the_nearest_one(reader) -> None:
    folder, source, name, *_ = reader
    shutil.move(folder / name, folder / f"{name}.bak")
    fails(source, folder, f"lacks {name}", f"Did you mean '{name}.bak'?")


def test_empty_file_is_named(reader) -> None:
    folder, source, name, *_ = reader
    (folder / name).write_bytes(b"")
    fails(source, folder, name, "is empty")


def test_header_without_rows_is_named(headed_reader) -> None:
    folder, source, name, *_ = headed_reader
    first = (folder / name).read_bytes().splitlines()[0]
    (folder / name).write_bytes(first + b"\n")
    fails(source, folder, name, "no rows")


def test_column_gone_is_named_with_the_nearest_one(headed_reader) -> None:
    folder, source, name, column, *_ = headed_reader
    edit(folder / name, column, f"{column}s")
    fails(source, folder, name, f"lacks the column {column}", f"Did you mean '{column}s'?")


def test_value_that_is_no_number_is_named_with_its_row(reader) -> None:
    folder, source, name, _, old, new = reader
    edit(folder / name, old, f'"{new}"' if name.endswith(".csv") else new)
    fails(source, folder, name, f"holds '{new}'", "data row", "a finite number is expected")


@pytest.mark.parametrize("end", [b"7", b"7" + b"\t,x" * 30], ids=["short", "long"])
def test_row_with_too_few_or_too_many_fields_is_named(reader, end: bytes) -> None:
    folder, source, name, *_ = reader
    lines = (folder / name).read_bytes().splitlines()
    (folder / name).write_bytes(b"\n".join([*lines[:-1], end]))
    fails(source, folder, name, f"Row #{len(lines)}: Expected", "may be cut off")


def test_undecodable_bytes_are_named(hetrec_folder: Path) -> None:
    (hetrec_folder / "artists.dat").write_bytes(b"id\tname\n1\t\xff\xfe\n")
    fails(HetrecLastfm, hetrec_folder, "artists.dat", "Save it as UTF-8")


def test_missing_tags_and_missing_mood_folder_are_named(hetrec_folder: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        HetrecLastfm(str(hetrec_folder), mood_dir=str(hetrec_folder / "nowhere")).available()
    (hetrec_folder / "tags.dat").unlink()
    (hetrec_folder / "tags.utf8.dat").unlink()
    fails(HetrecLastfm, hetrec_folder, "lacks tags.dat")
