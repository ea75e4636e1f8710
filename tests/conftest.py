"""What several test files share: real data (or a skip that says why), tiny files, tiny tables."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from musicrag.contracts import RawTables
from musicrag.tables.describe import EXAMPLES

SPOTIFY_HEADER = (
    "track_name,track_artist,track_popularity,track_album_name,track_album_release_date,"
    "playlist_name,playlist_genre,playlist_subgenre,danceability,energy,key,loudness,mode,"
    "speechiness,acousticness,instrumentalness,liveness,valence,tempo,duration_ms"
)
_SOUND = "0.5,{energy},{key},-5,1,0.1,0.2,0,0.3,0.4,120,{duration}"
# title, artist, popularity, album, released, playlist, genre, subgenre, energy, key, duration_ms
_SPOTIFY_ROWS = [
    ("Señorita", "Émile", 50, "One", "2019-06-14", "Mix A", "pop", "dance pop", 0.2, 7, 200000),
    ("SEÑORITA ", "émile", 90, "Two", "2020", "Mix B", "latin", "reggaeton", 0.6, 2, 202000),
    ("Señorita", "Émile", 10, "Three", "2018", "Mix A", "pop", "dance pop", 0.4, 5, "2e+05"),
    ("It Ain\u2019t", "Bo", 40, "Four", "1999-01", "Mix A", "pop", "dance pop", 0.9, 7, 180000),
    ("It Ain't", "Bo", 30, "", "", "Mix B", "latin", "reggaeton", 0.9, 7, 180000),
    ("夜に駆ける", "Y <U+1F499>", 70, "Five", "2021", "Mix A", "pop", "j-pop", 0.7, 0, 260000),
    ("Alone", "Bo", 20, "Six", "2001", "Solo \u2013 one", "rock", "hard rock", 0.8, 2, 150000),
]


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """``real_data("lightgcn_lastfm")``: that folder of the real data, or a skip."""

    def find(name: str) -> Path:
        root = os.environ.get("MUSICRAG_REAL_DATA")
        if root is None:
            pytest.skip("MUSICRAG_REAL_DATA is not set; set it to the folder of real data sets")
        folder = Path(root) / name
        if not folder.is_dir():
            pytest.skip(f"{folder} does not exist")
        return folder

    return find


@pytest.fixture
def tiny_raw() -> RawTables:
    """Six songs, three users, two playlists, tags seen through profiles, one text query."""
    items = [f"s{number}" for number in range(1, 7)]
    plays = [("u1", item) for item in items] + [("u2", item) for item in items[:4]]
    plays += [("u3", "s6")]
    tags = [("s1", "pop", "genre", None, None), ("s2", "loud", "tag", "user", "u1")]
    tags += [("s5", "soft", "tag", "playlist", "p1"), ("s6", "sad", "mood", "user", "u9")]
    return {
        "items": pd.DataFrame({"item_id": items, "title": [f"Song {item}" for item in items]}),
        "interactions": pd.DataFrame(plays, columns=["user_id", "item_id"]).assign(weight=2.0),
        "playlists": pd.DataFrame({"playlist_id": ["p1", "p2"], "title": ["First", "Second"]}),
        "playlist_items": pd.DataFrame(
            {
                "playlist_id": ["p1"] * 5 + ["p2"] * 2,
                "item_id": ["s5", "s4", "s3", "s2", "s1", "s1", "s6"],
                "position": [4, 3, 2, 1, 0, 0, 1],
            }
        ),
        "item_tags": pd.DataFrame(
            tags, columns=["item_id", "tag", "kind", "profile_type", "profile_id"]
        ),
        "queries": pd.DataFrame({"query_id": ["q1"], "text": ["something sad"]}),
        "qrels": pd.DataFrame({"query_id": ["q1"], "item_id": ["s6"], "gain": [1.0]}),
    }


@pytest.fixture
def example_folder(tmp_path: Path) -> Path:
    """The example rows of the documentation as files, with the sound file that they mention."""
    folder = tmp_path / "my_data"
    (folder / "audio").mkdir(parents=True)
    for name, text in EXAMPLES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    with wave.open(str(folder / "audio" / "glass_harbour.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\1" * 800)
    return folder


@pytest.fixture
def spotify_folder(tmp_path: Path) -> Path:
    """``spotify_songs.csv`` with versions, a repeated song, curly quotes, a one-song playlist."""
    lines = [SPOTIFY_HEADER]
    for *texts, energy, key, duration in _SPOTIFY_ROWS:
        sound = _SOUND.format(energy=energy, key=key, duration=duration)
        lines.append(",".join(f'"{text}"' for text in texts) + f",{sound}")
    folder = tmp_path / "spotify"
    folder.mkdir()
    (folder / "spotify_songs.csv").write_bytes(("\r\n".join(lines) + "\r\n").encode())
    return folder


@pytest.fixture
def hetrec_folder(tmp_path: Path) -> Path:
    """HetRec files in Windows line ends, with the mood layer in the neighbouring folder."""
    files = {
        "artists.dat": 'id\tname\turl\tpictureURL\n1\t"Duo\thttp://a\t\n2\tNA\t\t\n3\tÅsa\t\t\n',
        "user_artists.dat": "userID\tartistID\tweight\n7\t1\t13\n7\t2\t5\n8\t1\t1\n8\t3\t4\n",
        "user_friends.dat": "userID\tfriendID\n7\t8\n8\t7\n8\t9\n",
        "tags.utf8.dat": "tagID\ttagValue\n1\t80s\n2\tdrum n bass\n3\t80s\n",
        "tags.dat": "tagID\ttagValue\n1\t80's\n2\tdrum 'n' bass\n3\t80's\n",
        "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\n7\t1\t1\t1\t4\t2009\n"
        "7\t1\t3\t1\t4\t2009\n8\t3\t2\t1\t4\t2009\n8\t99\t2\t1\t4\t2009\n",
    }
    folder = tmp_path / "hetrec"
    folder.mkdir()
    for name, text in files.items():
        encoding = "latin-1" if name == "tags.dat" else "utf-8"
        (folder / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    moods = tmp_path / "joins_hetrec_deezer"
    moods.mkdir()
    rows = ["1,Duo,Up,100,T1,1.5,1.0", "1,Duo,Down,101,T2,-1.0,-1.5", "3,Åsa,Rest,102,T3,1.0,-1.0"]
    rows += ["3,Åsa,Rage,103,T4,-1.5,1.5"]
    header = "hetrec_artist_id,artist_name,track_name,dzr_sng_id,MSD_track_id,valence,arousal"
    text = "\r\n".join([header, *rows]) + "\r\n"
    (moods / "artist_track_mood.csv").write_bytes(text.encode())
    return folder


@pytest.fixture
def lightgcn_folder(tmp_path: Path) -> Path:
    """LightGCN files with a test split and a trust network."""
    files = {
        "data1.txt": "".join(f"1\t{item}\t{item}0\n" for item in range(1, 8)) + "2\t1\t3.2e+05\n",
        "test1.txt": "1\t9\t1\n2\t2\t4\n",
        "trustnetwork.txt": "1\t2\n2\t1\n3\t1\n",
    }
    folder = tmp_path / "lightgcn"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_bytes(text.replace("\n", "\r\n").encode())
    return folder
