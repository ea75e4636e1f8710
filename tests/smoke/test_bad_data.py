"""Data that cannot be used is refused through the real command line, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Command

SMALL = (
    *("evaluation.k=[3]", "evaluation.primary=ndcg@3", "evaluation.table=[ndcg@3,path_recall@3]"),
    *("evaluation.depth=12", "features=none", "+debug=fast", "data=tables"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve songs, eight users with six each, three playlists, two questions: good data."""
    where = tmp_path / "mine"
    where.mkdir()
    songs = [f"s{number:02}" for number in range(12)]
    plays = [(f"u{u}", songs[(u + step) % 12]) for u in range(8) for step in range(6)]
    listed = [(f"p{p}", songs[(p * 3 + step) % 12], step) for p in range(3) for step in range(5)]
    frames = {
        "items": pd.DataFrame({"item_id": songs, "title": [f"Song {song}" for song in songs]}),
        "interactions": pd.DataFrame(plays, columns=["user_id", "item_id"]).assign(weight=1.5),
        "playlists": pd.DataFrame({"playlist_id": ["p0", "p1", "p2"], "title": ["A", "B", "C"]}),
        "playlist_items": pd.DataFrame(listed, columns=["playlist_id", "item_id", "position"]),
        "queries": pd.DataFrame({"query_id": ["q1", "q2"], "text": ["song s01", "song s02"]}),
        "qrels": pd.DataFrame({"query_id": ["q1", "q2"], "item_id": ["s01", "s02"], "gain": 1.0}),
    }
    for name, frame in frames.items():
        frame.to_csv(where / f"{name}.csv", index=False)
    return where


def _edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / f"{name}.csv"
        change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)

    return edit


def _repeat_first(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[:1]])


def _keep_one_song(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["playlist_id"] != "p1") | (frame["position"] == "0")]


def _blank_first_weight(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(weight=["nan", *frame["weight"][1:]])


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a column gone": (_edit("items", lambda f: f.drop(columns="title")), "title"),
    "NaN": (_edit("interactions", _blank_first_weight), "weight"),
    "an empty file": (lambda folder: (folder / "interactions.csv").write_text(""), "interactions"),
    "only a header": (_edit("interactions", lambda f: f.iloc[:0]), "interactions"),
    "a duplicate id": (_edit("items", _repeat_first), "s00"),
    "an unknown id": (_edit("qrels", lambda f: f.assign(item_id="s99")), "s99"),
    "a playlist of one song": (_edit("playlist_items", _keep_one_song), "p1"),
    "a table gone": (lambda folder: (folder / "items.csv").unlink(), "items"),
    "a misspelt file": (
        lambda folder: (
            (folder / "lyrics.csv").rename(folder / "lyrcs.csv")
            if (folder / "lyrics.csv").exists()
            else (folder / "lyrcs.csv").write_text("item_id,text\ns00,la\n")
        ),
        "'lyrics'",
    ),
    "bytes that are no text": (
        lambda folder: (folder / "items.csv").write_bytes(b"item_id,title\n\xff\xfe,x\n"),
        "UTF-8",
    ),
}


def test_good_folder_ends_with_a_table(musicrag: Command, folder: Path) -> None:
    done = musicrag(f"data.dir={folder}", *SMALL)
    assert done.code == 0, done.err
    assert "single on " in done.out


@pytest.mark.parametrize("fault", BAD)
def test_fault_in_the_data_is_named_and_leaves_nothing(
    fault: str, musicrag: Command, folder: Path, tmp_path: Path
) -> None:
    spoil, named = BAD[fault]
    spoil(folder)
    done = musicrag("-m", "seed=0,1", f"data.dir={folder}", *SMALL)
    assert done.code == 2, done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert named in done.err.partition("error: ")[2]
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not (tmp_path / "out").exists()


def test_missing_folder_is_named(musicrag: Command, tmp_path: Path) -> None:
    done = musicrag(f"data.dir={tmp_path / 'gone'}", *SMALL)
    assert done.code == 2
    assert f"{tmp_path / 'gone'} does not exist" in done.err
    assert not (tmp_path / "out").exists()


def test_rankings_longer_than_the_catalogue_are_refused(
    musicrag: Command, folder: Path, tmp_path: Path
) -> None:
    done = musicrag(f"data.dir={folder}", *SMALL, "evaluation.depth=13")
    assert done.code == 2
    assert "evaluation.depth=13 is larger than the catalogue of 12 items" in done.err
    assert not (tmp_path / "out").exists()


def test_short_playlist_is_left_out_where_asked(
    musicrag: Command, folder: Path, tmp_path: Path
) -> None:
    BAD["a playlist of one song"][0](folder)
    done = musicrag(f"data.dir={folder}", *SMALL, "tables.on_invalid=reject")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "out" / "single" / "runs").iterdir()
    assert json.loads((run / "manifest.json").read_text())["rejects"] > 0
