"""Bring-your-own data: formats, names, and slips that are caught before anything runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from musicrag.contracts import TABLES
from musicrag.sources.folder import TablesFolder
from musicrag.tables.clean import clean
from musicrag.types import InputError


def load(folder: Path) -> dict[str, pd.DataFrame]:
    return TablesFolder(str(folder)).load()


def test_documented_examples_are_a_valid_data_set(example_folder: Path) -> None:
    source = TablesFolder(str(example_folder))
    dataset = clean(source.name, source.item_type, source.load())
    assert source.name == "my_data"
    assert set(dataset.tables) == set(TABLES)
    assert dataset.rejects.empty


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_formats_give_the_same_clean_tables(example_folder: Path, suffix: str) -> None:
    expected = clean("x", "Song", load(example_folder))
    for name in TABLES:
        path = example_folder / f"{name}.csv"
        frame = pd.read_csv(path)
        if suffix == ".parquet":
            frame.to_parquet(path.with_suffix(suffix))
        else:
            frame.to_json(path.with_suffix(suffix), orient="records", lines=True)
        path.unlink()
    found = clean("x", "Song", load(example_folder))
    assert found.content_hash == expected.content_hash
    for name in TABLES:
        pd.testing.assert_frame_equal(found.tables[name], expected.tables[name])


def test_relative_audio_paths_start_at_the_folder_and_absolute_ones_stay(
    example_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example_folder.parent)
    (path,) = TablesFolder("my_data").load()["audio"]["path"]
    assert path == str(example_folder / "audio" / "glass_harbour.wav")
    (example_folder / "audio.csv").write_text(f"item_id,path\ns1,{path}\n")
    assert load(example_folder)["audio"]["path"].tolist() == [path]


def test_empty_cell_is_missing_and_na_is_a_name(example_folder: Path) -> None:
    (example_folder / "artists.csv").write_text("artist_id,name\na1,NA\na2,nan\n")
    assert load(example_folder)["artists"]["name"].tolist() == ["NA", "nan"]
    assert load(example_folder)["users"]["name"].isna().tolist() == [False, True]


def test_line_separators_inside_json_text_do_not_end_the_line(example_folder: Path) -> None:
    (example_folder / "lyrics.csv").unlink()
    text = '{"item_id": "s1", "text": "one\u2028two"}\n\n'
    (example_folder / "lyrics.jsonl").write_text(text, encoding="utf-8")
    assert load(example_folder)["lyrics"]["text"].tolist() == ["one\u2028two"]


def test_other_files_are_left_alone(example_folder: Path) -> None:
    for name in ("README.md", "dump.csv", "cover.jpg"):
        (example_folder / name).write_text("x")
    assert TablesFolder(str(example_folder)).available() == frozenset(TABLES)


def fails(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as error:
        load(folder)
    for word in words:
        assert word in str(error.value)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", "nowhere does not exist", "data.dir")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("interaction.csv", "interactions"), ("Items.csv", "items"), ("qrel.jsonl", "qrels")],
)
def test_misspelt_table_is_named_with_the_nearest(
    example_folder: Path, name: str, meant: str
) -> None:
    (example_folder / name).write_text("a,b\n1,2\n")
    fails(example_folder, name, f"Did you mean '{meant}'?")


def test_table_in_another_format_is_named(example_folder: Path) -> None:
    (example_folder / "items.csv").rename(example_folder / "items.tsv")
    fails(example_folder, "items.tsv", "items.csv or items.parquet or items.jsonl")


def test_two_files_for_one_table_are_refused(example_folder: Path) -> None:
    (example_folder / "items.jsonl").write_text('{"item_id": "s1", "title": "x"}\n')
    fails(example_folder, "both items.csv and items.jsonl")


def test_items_are_required(example_folder: Path) -> None:
    (example_folder / "items.csv").unlink()
    fails(example_folder, "'items' is required")


def test_something_to_rank_is_required(example_folder: Path) -> None:
    for name in ("interactions", "playlist_items", "qrels"):
        (example_folder / f"{name}.csv").unlink()
    fails(example_folder, "interactions, or playlist_items, or queries with qrels")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("lyrics.csv", b"", "is empty"),
        ("lyrics.csv", b"item_id,text\n", "no rows"),
        ("lyrics.csv", b'item_id,text\ns1,"open\ns2,b\n', "never closed"),
        ("lyrics.csv", b"item_id,text\ns1,\xff\n", "not utf8"),
        ("lyrics.csv", b"item_id,text,text\ns1,a,b\n", "two columns text"),
        ("lyrics.csv", b"item_id,text\ns1,a,b\n", "Expected 2 columns, got 3"),
        ("lyrics.csv", b"item_id,text\ns1,a\ns2\n", "Row #3: Expected 2 columns, got 1"),
        ("lyrics.jsonl", b"", "no rows"),
        ("lyrics.jsonl", b'{"item_id": 1}\n{oops\n', "line 2 is not JSON"),
        ("lyrics.jsonl", b"[1, 2]\n", "must be a JSON object"),
        ("lyrics.jsonl", b"\xff\n", "not UTF-8"),
        ("lyrics.parquet", b"PAR1 but not really", "is not a Parquet file"),
        ("lyrics.parquet", b"", "is not a Parquet file"),
    ],
)
def test_broken_file_is_named(example_folder: Path, name: str, content: bytes, words: str) -> None:
    (example_folder / "lyrics.csv").unlink()
    (example_folder / name).write_bytes(content)
    fails(example_folder, name, words)


def test_item_type_is_song_or_artist(example_folder: Path) -> None:
    with pytest.raises(InputError, match="'Song' or 'Artist', got 'Album'"):
        TablesFolder(str(example_folder), item_type="Album")
