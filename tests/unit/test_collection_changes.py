"""New rows meet the tables of a collection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from collection_world import raw_tables
from pandas.testing import assert_frame_equal

from musicrag.collection.changes import Merged, merge_tables
from musicrag.contracts import RawTables
from musicrag.tables.clean import clean
from musicrag.types import InputError

RAW = raw_tables()
TABLES = dict(clean("tiny", "Song", RAW).tables)


def merge(**changes: pd.DataFrame) -> Merged:
    return merge_tables(TABLES, "Song", dict(changes))


def cell(merged: Merged, table: str, column: str, **key: object) -> object:
    rows = merged.tables[table]
    found = rows[np.logical_and.reduce([rows[c] == v for c, v in key.items()])]
    assert len(found) == 1
    return found[column].iloc[0]


def songs(*ids: str, **columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"item_id": list(ids), "title": [f"New {i}" for i in ids], **columns})


def test_new_rows_are_added_and_known_keys_replaced() -> None:
    merged = merge(items=songs("s001", "zz"))
    assert len(merged.tables["items"]) == len(TABLES["items"]) + 1
    assert cell(merged, "items", "title", item_id="s001") == "New s001"
    assert list(merged.changed["items"]["item_id"]) == ["s001", "zz"]


def test_what_a_change_leaves_empty_stays() -> None:
    change = songs("s001", "s002", artist_id=[None, "a05"])
    merged = merge(items=change)
    assert cell(merged, "items", "artist_id", item_id="s001") == "a00"
    assert cell(merged, "items", "artist_id", item_id="s002") == "a05"


def test_a_change_without_weight_does_not_overwrite_a_known_weight() -> None:
    known = TABLES["interactions"].iloc[0]
    pair = {"user_id": known["user_id"], "item_id": known["item_id"]}
    other = {"user_id": "u_new", "item_id": known["item_id"]}
    merged = merge(interactions=pd.DataFrame([pair, other]))
    assert list(merged.changed["interactions"]["user_id"]) == ["u_new"]
    assert cell(merged, "interactions", "weight", **pair) == known["weight"]
    assert cell(merged, "interactions", "weight", **other) == 1.0


def test_a_new_column_is_missing_where_nothing_is_known() -> None:
    merged = merge(items=songs("s001", year=["1999"]))
    years = merged.tables["items"].set_index("item_id")["year"]
    assert years["s001"] == 1999
    assert years.drop("s001").isna().all()


def test_the_same_rows_again_change_nothing() -> None:
    merged = merge(**RAW)
    assert not merged.changed
    assert len(merged.rejects) == 0
    assert all(merged.tables[name] is TABLES[name] for name in TABLES)


def test_parts_merged_one_by_one_are_the_whole_cleaned_at_once() -> None:
    known = RAW["items"]["item_id"].isin(RAW["playlist_items"]["item_id"])
    known[::5] = True
    first = {name: rows for name, rows in RAW.items() if "item_id" not in rows}
    kept = set(RAW["items"].loc[known, "item_id"])
    first |= {n: r[r["item_id"].isin(kept)] for n, r in RAW.items() if "item_id" in r}
    first["interactions"] = first["interactions"][::2]
    start = dict(clean("tiny", "Song", first, "error", 1).tables)
    merged = merge_tables(start, "Song", RAW)
    for name, frame in TABLES.items():
        assert_frame_equal(merged.tables[name], frame)


def test_an_invalid_row_goes_to_the_rejects_and_leaves_the_old_one() -> None:
    known = TABLES["interactions"].iloc[0]
    change = pd.DataFrame(
        {
            "user_id": [known["user_id"], "u01", "u02"],
            "item_id": [known["item_id"], "nowhere", "s000"],
            "weight": ["-3", "2", "2"],
        }
    )
    merged = merge(interactions=change)
    assert list(merged.rejects["row"]) == [1, 2]
    assert "weight must be > 0" in merged.rejects["reason"][0]
    assert "item_id is not in items: 'nowhere'" in merged.rejects["reason"][1]
    assert list(merged.changed["interactions"]["user_id"]) == ["u02"]
    pair = {"user_id": known["user_id"], "item_id": known["item_id"]}
    assert cell(merged, "interactions", "weight", **pair) == known["weight"]


def test_a_rejected_new_item_takes_its_rows_along_but_no_old_rows() -> None:
    items = pd.DataFrame({"item_id": ["zz", "s001"], "title": [None, None]})
    plays = pd.DataFrame({"user_id": ["u00", "u00"], "item_id": ["zz", "s001"]})
    merged = merge(items=items, interactions=plays)
    assert merged.rejects["table"].tolist() == ["items", "items", "interactions"]
    assert list(merged.changed["interactions"]["item_id"]) == ["s001"]
    assert_frame_equal(merged.tables["items"], TABLES["items"])


def test_rows_may_refer_to_rows_of_the_same_change() -> None:
    merged = merge(
        artists=pd.DataFrame({"artist_id": ["a_new"], "name": ["New"]}),
        items=songs("zz", artist_id=["a_new"]),
        lyrics=pd.DataFrame({"item_id": ["zz"], "text": ["sun"]}),
    )
    assert set(merged.changed) == {"artists", "items", "lyrics"}
    assert len(merged.rejects) == 0


def test_a_sound_file_that_is_gone_does_not_take_its_old_row_along() -> None:
    sounds = pd.DataFrame({"item_id": ["s000"], "path": ["/no/such/file.wav"]})
    tables = TABLES | {"audio": sounds}
    merged = merge_tables(tables, "Song", {"items": songs("zz")})
    assert merged.tables["audio"] is sounds
    assert len(merged.rejects) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"itemz": songs("zz")}, "Did you mean 'items'"),
        ({"items": songs("zz", genre=["pop"])}, "extra columns: genre"),
        ({"lyrics": pd.DataFrame({"item_id": ["s000"]})}, "missing columns: text"),
        ({"items": songs()}, "no rows"),
        ({"qrels": pd.DataFrame({"query_id": ["q"]})}, "must not hold qrels"),
    ],
)
def test_a_change_of_the_wrong_shape_is_an_input_error(changes: RawTables, message: str) -> None:
    with pytest.raises(InputError, match=message):
        merge_tables(TABLES, "Song", changes)
