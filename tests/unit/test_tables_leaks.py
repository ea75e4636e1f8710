"""Planted leaks: each is found in each table, and none survives ``training_tables``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from musicrag.contracts import Dataset, RawTables, Split
from musicrag.tables.clean import clean
from musicrag.tables.leaks import check_no_leak, find_leaks, held_out_pairs, training_tables
from musicrag.tables.splits import split


@pytest.fixture
def world(tiny_raw: RawTables) -> tuple[Dataset, Split]:
    """A split, and tags and links that show held-out pairs beside harmless ones."""
    plain = clean("tiny", "Song", tiny_raw)
    parts = split(plain, np.random.default_rng(0))
    hidden = held_out_pairs(plain, parts)
    tags = hidden.assign(tag="planted", kind="tag")
    tiny_raw["item_tags"] = pd.concat([tiny_raw["item_tags"], tags], ignore_index=True)
    user = hidden[hidden["profile_type"] == "user"].iloc[0]
    playlist = hidden[hidden["profile_type"] == "playlist"].iloc[0]
    tiny_raw["links"] = pd.DataFrame(
        [
            ("User", "u1", "KNOWS", "User", "u2"),
            ("User", user.profile_id, "SIMILAR_TO", "Song", user.item_id),
            ("Song", playlist.item_id, "SIMILAR_TO", "Playlist", playlist.profile_id),
        ],
        columns=["source_type", "source_id", "relation", "target_type", "target_id"],
    )
    return clean("tiny", "Song", tiny_raw), parts


def test_held_out_pairs_are_those_of_valid_and_test(world: tuple[Dataset, Split]) -> None:
    dataset, parts = world
    pairs = held_out_pairs(dataset, parts)
    assert len(pairs) == parts.valid.nnz + parts.test.nnz == 6
    assert ("playlist", "p1", "s5") in set(pairs.itertuples(index=False, name=None))


def test_training_tables_have_no_leak_and_lose_nothing_else(world: tuple[Dataset, Split]) -> None:
    dataset, parts = world
    tables = training_tables(dataset, parts)
    assert find_leaks(tables, dataset, parts) == []
    check_no_leak(tables, dataset, parts)
    assert len(tables["interactions"]) + len(tables["playlist_items"]) == parts.train.nnz
    assert "planted" not in set(tables["item_tags"]["tag"])
    assert {"pop", "sad"} <= set(tables["item_tags"]["tag"])
    assert tables["links"]["relation"].tolist() == ["KNOWS"]
    assert len(tables["items"]) == len(dataset.tables["items"])


def test_answers_of_queries_are_no_training_tables(world: tuple[Dataset, Split]) -> None:
    dataset, parts = world
    assert "qrels" not in training_tables(dataset, parts)
    assert "queries" in training_tables(dataset, parts)
    leaks = find_leaks({"qrels": dataset.tables["qrels"]}, dataset, parts)
    assert leaks == ["qrels: holds answers of queries"]


@pytest.mark.parametrize("table", ["interactions", "playlist_items", "item_tags", "links"])
def test_leak_planted_in_one_table_is_found_there(world: tuple[Dataset, Split], table: str) -> None:
    dataset, parts = world
    tables = training_tables(dataset, parts)
    kept = len(tables[table])
    tables[table] = dataset.tables[table]
    (leak,) = find_leaks(tables, dataset, parts)
    assert leak.startswith(f"{table}: {len(dataset.tables[table]) - kept} rows show a held-out")
    with pytest.raises(RuntimeError, match=table):
        check_no_leak(tables, dataset, parts)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_one_row_of_either_part_is_enough(world: tuple[Dataset, Split], part: str) -> None:
    dataset, parts = world
    matrix = getattr(parts, part).tocoo()
    row = [parts.query_ids().index("user:u1")]
    item = dataset.items.ids[matrix.col[matrix.row == row][0]]
    tables = training_tables(dataset, parts)
    extra = pd.DataFrame({"user_id": ["u1"], "item_id": [item], "weight": [1.0]})
    tables["interactions"] = pd.concat([tables["interactions"], extra], ignore_index=True)
    (leak,) = find_leaks(tables, dataset, parts)
    assert f"1 rows show a held-out pair, such as user:u1 with {item}" in leak


def test_ids_shared_by_users_and_items_are_not_mistaken(tiny_raw: RawTables) -> None:
    raw = {
        "items": pd.DataFrame({"item_id": list("1234"), "title": list("abcd")}),
        "interactions": pd.DataFrame({"user_id": "1", "item_id": list("1234")}),
        "users": pd.DataFrame({"user_id": list("1234")}),
    }
    ends = {"source_type": "User", "source_id": "1", "relation": "KNOWS", "target_type": "User"}
    raw["links"] = pd.DataFrame({**ends, "target_id": list("234")})
    dataset = clean("shared", "Artist", raw)
    parts = split(dataset, np.random.default_rng(0))
    assert len(training_tables(dataset, parts)["links"]) == 3
