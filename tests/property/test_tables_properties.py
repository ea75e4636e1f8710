"""Whatever the data: parts never overlap, nothing is lost, no leak is left, storage is exact."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicrag.contracts import Dataset
from musicrag.tables import storage
from musicrag.tables.clean import clean
from musicrag.tables.leaks import find_leaks, training_tables
from musicrag.tables.splits import Strategy, split
from musicrag.types import InputError

STRATEGIES: list[Strategy] = ["auto", "random", "cold_items"]
ids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=4)
profiles = st.dictionaries(ids, st.sets(st.integers(0, 14), min_size=2, max_size=15), min_size=1)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    items = draw(st.lists(ids, min_size=15, max_size=15, unique=True))
    users, playlists = draw(profiles), draw(profiles)
    plays = [(user, items[item]) for user, chosen in users.items() for item in chosen]
    entries = [
        (playlist, items[item], position)
        for playlist, chosen in playlists.items()
        for position, item in enumerate(draw(st.permutations(sorted(chosen))))
    ]
    tags = [(item, "t", "tag", "user", user) for user, item in plays[::2]]
    raw = {
        "items": pd.DataFrame({"item_id": items, "title": items}),
        "interactions": pd.DataFrame(plays, columns=["user_id", "item_id"]),
        "playlist_items": pd.DataFrame(entries, columns=["playlist_id", "item_id", "position"]),
        "item_tags": pd.DataFrame(
            tags, columns=["item_id", "tag", "kind", "profile_type", "profile_id"]
        ),
    }
    return clean("any", "Song", raw)


@given(datasets(), st.sampled_from(STRATEGIES), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_parts_never_overlap_and_nothing_is_lost_or_leaks(
    dataset: Dataset, strategy: Strategy, seed: int
) -> None:
    parts = split(dataset, np.random.default_rng(seed), strategy=strategy)
    counts = (parts.train > 0).astype(int) + (parts.valid > 0).astype(int)
    counts = counts + (parts.test > 0).astype(int)
    rows = len(dataset.tables["interactions"]) + len(dataset.tables["playlist_items"])
    assert counts.max() == 1
    assert counts.nnz == rows
    assert strategy == "cold_items" or parts.report["profiles_without_train_item"] == 0
    tables = training_tables(dataset, parts)
    assert find_leaks(tables, dataset, parts) == []
    assert len(tables["interactions"]) + len(tables["playlist_items"]) == parts.train.nnz


@given(datasets())
@settings(max_examples=10, deadline=None)
def test_stored_tables_come_back_unchanged(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage.write(dataset, Path(folder) / "x")
        found = storage.read(Path(folder) / "x")
    for name in dataset.tables:
        pd.testing.assert_frame_equal(found.tables[name], dataset.tables[name])


cells = st.one_of(st.none(), st.text(max_size=3), st.integers(), st.floats(), st.booleans())


@given(st.lists(st.tuples(cells, cells, cells, cells), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_cells_are_cleaned_rejected_or_refused_with_an_input_error(
    rows: list[tuple[object, ...]],
) -> None:
    raw = {
        "items": pd.DataFrame({"item_id": ["1", "a"], "title": ["x", "y"]}),
        "interactions": pd.DataFrame(
            rows, columns=["user_id", "item_id", "weight", "timestamp"], dtype=object
        ),
    }
    raw["interactions"].loc[len(rows)] = ["u", "a", 1.0, 0.0]
    dataset = clean("any", "Song", raw, on_invalid="reject")
    kept = dataset.tables["interactions"]
    assert len(kept) + (dataset.rejects["table"] == "interactions").sum() == len(rows) + 1
    assert kept["item_id"].isin(["1", "a"]).all()
    assert (kept["weight"] > 0).all()
    if len(dataset.rejects):
        with pytest.raises(InputError, match="rows are invalid"):
            clean("any", "Song", raw)
