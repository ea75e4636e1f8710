"""However rows are cut into updates, the tables and the stated graph come out the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from collection_world import GRAPH, assert_same, contents_of, raw_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from worlds import NO_PROFILES

from musicrag.collection.changes import merge_tables
from musicrag.collection.contents import Contents
from musicrag.collection.delta import difference
from musicrag.collection.update import update
from musicrag.contracts import RawTables
from musicrag.graph.build import graph_rows
from musicrag.graph.rows import merged
from musicrag.tables.clean import clean

RAW = raw_tables(num_songs=24, num_users=10)
WHOLE = clean("tiny", "Song", RAW, "error", 1)
DERIVED = ["CO_OCCURS", "SIMILAR_MOOD", "SIMILAR_TO"]
few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def cuts(draw: st.DrawFn) -> list[RawTables]:
    """Every row of the world in one of up to three parts, items before what refers to them."""
    seed = draw(st.integers(0, 2**16))
    num_parts = draw(st.integers(2, 3))
    rng = np.random.default_rng(seed)
    first = pd.Series(rng.integers(0, num_parts, len(RAW["items"])), RAW["items"]["item_id"])
    first.iloc[0] = 0
    parts: list[RawTables] = [{} for _ in range(num_parts)]
    for name, rows in RAW.items():
        earliest = (
            rows["item_id"].map(first).to_numpy() if "item_id" in rows else np.zeros(len(rows))
        )
        late = name != "items" and "item_id" in rows
        when = np.maximum(earliest, rng.integers(0, num_parts, len(rows)) if late else earliest)
        for number, part in enumerate(parts):
            if (when == number).any():
                part[name] = rows[when == number]
    return parts


@pytest.fixture(scope="module")
def start() -> Contents:
    return contents_of(RAW, {}, with_network=False)


def begun(part: RawTables) -> Contents:
    return contents_of(_usable(part), {}, with_network=False)


def _usable(part: RawTables) -> RawTables:
    """Titles only of playlists that have a song, as cleaning wants it."""
    lists = set(part["playlist_items"]["playlist_id"]) if "playlist_items" in part else set()
    titles = part["playlists"][part["playlists"]["playlist_id"].isin(lists)]
    rest = {name: rows for name, rows in part.items() if name != "playlists"}
    return {**rest, "playlists": titles} if len(titles) else rest


@few
@given(cuts())
def test_updates_one_by_one_are_the_world_at_once(parts: list[RawTables]) -> None:
    contents = begun(parts[0])
    for part in [{"playlists": RAW["playlists"]}, *parts[1:]]:
        before = contents
        contents, touched = update(before, part)
        assert len(touched.rejects) == 0
        assert update(contents, part)[0] is contents
        if touched.delta is not None and touched.delta.is_additive:
            grown = merged(before.rows, touched.delta.added)
            assert grown.content_hash == contents.rows.content_hash
    for name, frame in WHOLE.tables.items():
        assert_frame_equal(contents.tables[name], frame)
    edges = contents.rows.edges
    stated = edges[~edges["relation"].isin(DERIVED)].reset_index(drop=True)
    wanted = graph_rows(WHOLE.tables, "Song", NO_PROFILES, None, GRAPH.min_tag_items, 0, 0)
    assert_frame_equal(stated, wanted.edges)
    assert_frame_equal(contents.rows.nodes, wanted.nodes)


@few
@given(cuts())
def test_the_difference_of_two_graphs_leads_from_one_to_the_other(parts: list[RawTables]) -> None:
    whole = graph_rows(WHOLE.tables, "Song", NO_PROFILES, None, 1, 3, 3)
    some = begun(parts[0]).rows
    assert difference(whole, whole).is_empty
    there, back = difference(some, whole), difference(whole, some)
    assert len(there.removed_edges) == back.num_new_edges
    assert there.num_new_edges == len(back.removed_edges)
    assert there.num_changed_edges == back.num_changed_edges
    if there.is_additive:
        assert merged(some, there.added).content_hash == whole.content_hash


@few
@given(st.integers(0, 2**16), st.sampled_from(sorted(RAW)))
def test_rows_that_are_there_change_nothing(seed: int, table: str) -> None:
    rows = RAW[table].sample(frac=0.5, random_state=seed)
    found = merge_tables(WHOLE.tables, "Song", {table: rows})
    assert not found.changed


def test_an_empty_difference_leaves_the_contents_as_they_are(start: Contents) -> None:
    same, _ = update(start, RAW)
    assert_same(same, start)
