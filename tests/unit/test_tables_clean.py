"""Cleaning: the matrix of bad input, once as an error and once as rejects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musicrag.contracts import RawTables
from musicrag.graph.schema import NODE_TYPES as GRAPH_NODE_TYPES
from musicrag.tables.clean import clean
from musicrag.tables.rules import NODE_TYPES
from musicrag.types import InputError


def add(raw: RawTables, table: str, **row: object) -> None:
    """Append one row; columns that are not given are missing."""
    raw[table] = pd.concat([raw[table], pd.DataFrame([row])], ignore_index=True)


def add_table(raw: RawTables, table: str, **columns: list[object]) -> None:
    raw[table] = pd.DataFrame(columns)


BAD_ROWS: dict[str, tuple[Callable[[RawTables], None], str, str]] = {
    "duplicate_id": (
        lambda raw: add(raw, "items", item_id="s1", title="Again"),
        "items",
        "an earlier row has the same item_id",
    ),
    "missing_id": (
        lambda raw: add(raw, "items", item_id=None, title="No id"),
        "items",
        "item_id is missing",
    ),
    "blank_title": (
        lambda raw: add(raw, "items", item_id="s7", title="  "),
        "items",
        "title is missing",
    ),
    "dangling_item": (
        lambda raw: add(raw, "interactions", user_id="u1", item_id="s99", weight=1),
        "interactions",
        "item_id is not in items",
    ),
    "weight_is_text": (
        lambda raw: add(raw, "interactions", user_id="u3", item_id="s1", weight="many"),
        "interactions",
        "weight is not a finite number",
    ),
    "weight_is_infinite": (
        lambda raw: add(raw, "interactions", user_id="u3", item_id="s1", weight=np.inf),
        "interactions",
        "weight is not a finite number",
    ),
    "weight_is_zero": (
        lambda raw: add(raw, "interactions", user_id="u3", item_id="s1", weight=0.0),
        "interactions",
        "weight must be > 0",
    ),
    "weight_is_lost_in_float32": (
        lambda raw: add(raw, "interactions", user_id="u3", item_id="s1", weight=1e-60),
        "interactions",
        "weight must be > 0 in float32",
    ),
    "gain_is_missing": (
        lambda raw: add(raw, "qrels", query_id="q1", item_id="s1"),
        "qrels",
        "gain is missing",
    ),
    "dangling_query": (
        lambda raw: add(raw, "qrels", query_id="q9", item_id="s1", gain=1),
        "qrels",
        "query_id is not in queries",
    ),
    "dangling_playlist": (
        lambda raw: add(raw, "playlist_items", playlist_id="p9", item_id="s1", position=0),
        "playlist_items",
        "playlist_id is not in playlists",
    ),
    "position_is_no_whole_number": (
        lambda raw: add(raw, "playlist_items", playlist_id="p2", item_id="s3", position=1.5),
        "playlist_items",
        "position is not a whole number",
    ),
    "position_is_negative": (
        lambda raw: add(raw, "playlist_items", playlist_id="p2", item_id="s3", position=-1),
        "playlist_items",
        "position must be >= 0",
    ),
    "playlist_without_songs": (
        lambda raw: add(raw, "playlists", playlist_id="p3", title="Empty"),
        "playlists",
        "the playlist has no valid songs",
    ),
    "unknown_kind": (
        lambda raw: add(raw, "item_tags", item_id="s1", tag="x", kind="genres"),
        "item_tags",
        "Did you mean 'genre'?",
    ),
    "profile_without_type": (
        lambda raw: add(raw, "item_tags", item_id="s1", tag="x", kind="tag", profile_id="u1"),
        "item_tags",
        "must be given together",
    ),
    "feature_is_nan": (
        lambda raw: add_table(raw, "audio_features", item_id=["s1", "s2"], energy=[0.1, np.nan]),
        "audio_features",
        "energy is missing",
    ),
    "sound_file_is_gone": (
        lambda raw: add_table(raw, "audio", item_id=["s1", "s2"], path=[__file__, "/no/such.wav"]),
        "audio",
        "there is no such sound file",
    ),
    "link_to_nowhere": (
        lambda raw: add_table(
            raw,
            "links",
            source_type=["User", "User"],
            source_id=["u1", "u1"],
            relation=["KNOWS", "KNOWS"],
            target_type=["User", "User"],
            target_id=["u2", "u77"],
        ),
        "links",
        "target_id is no node of any table",
    ),
    "anchor_of_unknown_type": (
        lambda raw: add_table(
            raw,
            "query_anchors",
            query_id=["q1", "q1"],
            node_type=["Mood", "Moods"],
            node_id=["sad", "sad"],
        ),
        "query_anchors",
        "Did you mean 'Mood'?",
    ),
    "path_is_no_json": (
        lambda raw: add_path(raw, "Song:s1"),
        "gold_paths",
        "path is not a JSON list",
    ),
    "path_ends_elsewhere": (
        lambda raw: add_path(raw, '["User:u1", "LISTENED", "Song:s2"]'),
        "gold_paths",
        "path does not end at Song:item_id",
    ),
    "date_as_timestamp": (
        lambda raw: raw.update(
            interactions=raw["interactions"].assign(
                timestamp=["2024-01-01", *range(len(raw["interactions"]) - 1)]
            )
        ),
        "interactions",
        "timestamp is not a finite number",
    ),
}


def add_path(raw: RawTables, broken: str) -> None:
    good = '["User:u1", "LISTENED", "Song:s1"]'
    queries = {"query_type": ["user"] * 2, "query_id": ["u1"] * 2, "item_id": ["s1"] * 2}
    add_table(raw, "gold_paths", **queries, path=[good, broken])


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row_is_an_error_that_names_table_and_reason(case: str, tiny_raw: RawTables) -> None:
    spoil, table, reason = BAD_ROWS[case]
    spoil(tiny_raw)
    with pytest.raises(InputError) as error:
        clean("tiny", "Song", tiny_raw)
    assert f"{table}: 1 rows: " in str(error.value)
    assert reason in str(error.value)
    assert "tables.on_invalid=reject" in str(error.value)


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_row_alone_is_rejected_with_table_row_and_reason(
    case: str, tiny_raw: RawTables
) -> None:
    spoil, table, reason = BAD_ROWS[case]
    spoil(tiny_raw)
    dataset = clean("tiny", "Song", tiny_raw, on_invalid="reject")
    (reject,) = dataset.rejects.itertuples(index=False)
    expected_row = 1 if case == "date_as_timestamp" else len(tiny_raw[table])
    assert (reject.table, reject.row) == (table, expected_row)
    assert reason in reject.reason
    assert len(dataset.tables[table]) == len(tiny_raw[table]) - 1


def test_good_tables_have_no_rejects(tiny_raw: RawTables) -> None:
    dataset = clean("tiny", "Song", tiny_raw)
    assert dataset.rejects.empty
    assert list(dataset.rejects.columns) == ["table", "row", "reason"]
    assert {name: len(frame) for name, frame in dataset.tables.items()} == {
        name: len(frame) for name, frame in tiny_raw.items()
    }


def test_playlist_of_one_song_goes_with_its_title(tiny_raw: RawTables) -> None:
    add(tiny_raw, "playlists", playlist_id="p3", title="Solo")
    add(tiny_raw, "playlist_items", playlist_id="p3", item_id="s1", position=0)
    with pytest.raises(InputError, match="fewer than 2 songs"):
        clean("tiny", "Song", tiny_raw)
    dataset = clean("tiny", "Song", tiny_raw, on_invalid="reject")
    assert sorted(dataset.rejects["table"]) == ["playlist_items", "playlists"]
    assert dataset.tables["playlists"]["playlist_id"].tolist() == ["p1", "p2"]


def test_min_playlist_items_counts_valid_songs_only(tiny_raw: RawTables) -> None:
    add(tiny_raw, "playlist_items", playlist_id="p2", item_id="gone", position=2)
    dataset = clean("tiny", "Song", tiny_raw, on_invalid="reject", min_playlist_items=3)
    assert dataset.tables["playlists"]["playlist_id"].tolist() == ["p1"]


def test_rejected_item_takes_the_rows_that_mention_it(tiny_raw: RawTables) -> None:
    tiny_raw["items"].loc[0, "title"] = None
    dataset = clean("tiny", "Song", tiny_raw, on_invalid="reject")
    for name in ("interactions", "playlist_items", "item_tags"):
        assert "s1" not in set(dataset.tables[name]["item_id"])


def test_first_of_two_rows_with_one_id_stays_unless_it_is_invalid(tiny_raw: RawTables) -> None:
    tiny_raw["items"].loc[0, "title"] = None
    add(tiny_raw, "items", item_id="s1", title="Second try")
    dataset = clean("tiny", "Song", tiny_raw, on_invalid="reject")
    assert dataset.tables["items"]["title"][0] == "Second try"


def test_error_counts_each_kind_and_shows_three_examples(tiny_raw: RawTables) -> None:
    for number in range(5):
        add(tiny_raw, "interactions", user_id="u1", item_id=f"x{number}", weight=1)
    with pytest.raises(InputError) as error:
        clean("tiny", "Song", tiny_raw)
    assert "5 rows: item_id is not in items (row 12 'x0', row 13 'x1', row 14 'x2', …)" in str(
        error.value
    )


def test_missing_and_extra_columns_of_all_tables_are_listed_together(tiny_raw: RawTables) -> None:
    tiny_raw["interactions"] = tiny_raw["interactions"].rename(columns={"user_id": "usr_id"})
    tiny_raw["item_tags"] = tiny_raw["item_tags"].assign(wieght=1.0)
    tiny_raw["lyric"] = tiny_raw["items"]
    with pytest.raises(InputError) as error:
        clean("tiny", "Song", tiny_raw, on_invalid="reject")
    for words in (
        "interactions: missing columns: user_id; extra columns: usr_id. Did you mean 'user_id'?",
        "item_tags: missing columns: none; extra columns: wieght. Did you mean 'weight'?",
        "'lyric' is not a table. Did you mean 'lyrics'?",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize("on_invalid", ["error", "reject"])
def test_empty_table_is_always_an_error(tiny_raw: RawTables, on_invalid: str) -> None:
    tiny_raw["qrels"] = tiny_raw["qrels"].iloc[:0]
    with pytest.raises(InputError, match="qrels: the table has no rows"):
        clean("tiny", "Song", tiny_raw, on_invalid=on_invalid)


def test_table_of_which_no_row_is_left_is_an_error(tiny_raw: RawTables) -> None:
    tiny_raw["qrels"]["item_id"] = "gone"
    with pytest.raises(InputError, match=r"no valid row is left in qrels(.|\n)*is not in items"):
        clean("tiny", "Song", tiny_raw, on_invalid="reject")


def test_items_are_required(tiny_raw: RawTables) -> None:
    del tiny_raw["items"]
    with pytest.raises(InputError, match="items: this table is required"):
        clean("tiny", "Song", tiny_raw)


def test_feature_table_needs_a_feature(tiny_raw: RawTables) -> None:
    add_table(tiny_raw, "audio_features", item_id=["s1"])
    with pytest.raises(InputError, match="no feature column beside item_id"):
        clean("tiny", "Song", tiny_raw)


def test_on_invalid_is_error_or_reject(tiny_raw: RawTables) -> None:
    with pytest.raises(InputError, match="'error' or 'reject', got 'drop'"):
        clean("tiny", "Song", tiny_raw, on_invalid="drop")  # type: ignore[arg-type]


def test_ids_become_text_and_absent_weights_one() -> None:
    raw = {
        "items": pd.DataFrame({"item_id": [2, 10], "title": ["a", " b "], "year": [None, 1999.0]}),
        "interactions": pd.DataFrame({"user_id": [1.0, 1.0], "item_id": ["10 ", 2]}),
    }
    dataset = clean("x", "Song", raw)
    items, interactions = dataset.tables["items"], dataset.tables["interactions"]
    assert items["item_id"].tolist() == ["10", "2"]
    assert items["title"].tolist() == ["b", "a"]
    assert items["year"].tolist() == [1999, pd.NA]
    assert interactions["user_id"].tolist() == ["1", "1"]
    assert interactions["weight"].tolist() == [1.0, 1.0]


def test_id_that_is_no_scalar_is_invalid(tiny_raw: RawTables) -> None:
    tiny_raw["items"]["title"] = [["a", "list"], *tiny_raw["items"]["title"][1:]]
    with pytest.raises(InputError, match="title is not text"):
        clean("tiny", "Song", tiny_raw)


def test_real_dates_are_not_taken_for_numbers(tiny_raw: RawTables) -> None:
    rows = tiny_raw["interactions"]
    tiny_raw["interactions"] = rows.assign(timestamp=pd.Timestamp("2024-01-01"))
    with pytest.raises(InputError, match="timestamp is not a finite number"):
        clean("tiny", "Song", tiny_raw)


def test_hash_sees_the_bytes_of_sound_files_but_not_their_folder(
    tiny_raw: RawTables, tmp_path: Path
) -> None:
    hashes = []
    for folder, sound in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.wav").write_bytes(sound)
        add_table(tiny_raw, "audio", item_id=["s1"], path=[str(tmp_path / folder / "x.wav")])
        hashes.append(clean("tiny", "Song", tiny_raw).content_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_raw_tables_are_not_changed(tiny_raw: RawTables) -> None:
    before = {name: frame.copy() for name, frame in tiny_raw.items()}
    clean("tiny", "Song", tiny_raw)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(tiny_raw[name], frame)


def test_node_types_are_those_of_the_graph() -> None:
    assert set(NODE_TYPES) == set(GRAPH_NODE_TYPES)
