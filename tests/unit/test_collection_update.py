"""An update touches what it touches, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from collection_world import (
    ENCODERS,
    GRAPH,
    WordCounts,
    assert_same,
    contents_of,
    places,
    raw_tables,
    recomputed,
)
from pandas.testing import assert_frame_equal
from worlds import NO_PROFILES

from musicrag.collection.contents import Contents, EncoderSpec, GraphSettings
from musicrag.collection.growth import NUM_NEAREST
from musicrag.collection.update import Touched, update
from musicrag.contracts import RawTables
from musicrag.graph.build import graph_rows
from musicrag.types import InputError

DERIVED = ("CO_OCCURS", "SIMILAR_MOOD")


@pytest.fixture(scope="module")
def contents() -> Contents:
    return contents_of(raw_tables())


def frame(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def news() -> RawTables:
    """A song that sorts into the middle with all that can be known, a bare one, plays, a list."""
    return {
        "artists": frame(artist_id=["a01x"], name=["Newcomer"]),
        "items": frame(item_id=["s010x", "zz"], title=["Newer", "Bare"], artist_id=["a01x", None]),
        "lyrics": frame(item_id=["s010x", "s003"], text=["sun sun rain", "fire fire heart"]),
        "audio_features": frame(item_id=["s010x"], energy=[0.1], tempo=[101.0]),
        "emotion_features": frame(item_id=["s010x"], valence=[0.0], arousal=[0.1]),
        "interactions": frame(
            user_id=["u00", "u_new", "u_new"], item_id=["s010x", "s000", "s002"], weight=[5, 1, 2]
        ),
        "playlist_items": frame(
            playlist_id=["p0", "p9"], item_id=["s010x", "s004"], position=[5, 0]
        ),
        "playlists": frame(playlist_id=["p9"], title=["Short"]),
        "item_tags": frame(item_id=["s010x"], tag=["g0"], kind=["genre"]),
    }


def from_scratch(grown: Contents) -> pd.DataFrame:
    """The stated edges that the builder makes of the merged tables."""
    return graph_rows(grown.tables, "Song", NO_PROFILES, None, 1, 0, 0).edges


def test_the_grown_graph_states_what_one_built_from_scratch_states(contents: Contents) -> None:
    grown, _ = update(contents, news())
    edges = grown.rows.edges
    stated = edges[~edges["relation"].isin([*DERIVED, "SIMILAR_TO"])].reset_index(drop=True)
    assert_frame_equal(stated, from_scratch(grown))


def test_derived_edges_between_untouched_items_stay(contents: Contents) -> None:
    grown, _ = update(contents, news())
    touched = {"CO_OCCURS": {"s010x", "s004"}, "SIMILAR_MOOD": {"s010x"}}
    for relation, items in touched.items():
        old, new = (
            rows[
                (rows["relation"] == relation)
                & ~rows["source_id"].isin(items)
                & ~rows["target_id"].isin(items)
            ].reset_index(drop=True)
            for rows in (contents.rows.edges, grown.rows.edges)
        )
        assert len(old)
        assert_frame_equal(old, new)
    near = grown.rows.edges[grown.rows.edges["relation"] == "SIMILAR_MOOD"]
    assert (near["source_id"].eq("s010x") | near["target_id"].eq("s010x")).sum() >= 3


def test_only_touched_items_are_encoded(contents: Contents) -> None:
    WordCounts.calls.clear()
    _, touched = update(contents, news())
    assert WordCounts.calls == [("s003", "s010x")]
    assert touched.num_encoded == {"lyrics": 2, "audio": 1}


def test_nothing_is_encoded_if_only_listeners_are_new(contents: Contents) -> None:
    WordCounts.calls.clear()
    grown, touched = update(contents, {"interactions": frame(user_id=["u_new"], item_id=["s001"])})
    assert WordCounts.calls == []
    assert touched.num_encoded == {}
    assert grown.features["lyrics"] is contents.features["lyrics"]


def test_features_of_other_items_stay_to_the_byte(contents: Contents) -> None:
    grown, _ = update(contents, news())
    kept = [i for i in contents.dataset.items.ids if i != "s003"]
    was, now = contents.dataset.items.encode(kept), grown.dataset.items.encode(kept)
    for modality, saved in contents.features.items():
        other = grown.features[modality]
        assert other.raw.values[now].tobytes() == saved.raw.values[was].tobytes()
        assert other.space.items[now].tobytes() == saved.space.items[was].tobytes()
        assert other.space.present[now].tobytes() == saved.space.present[was].tobytes()


def test_new_features_are_those_of_the_encoder_at_the_items_place(contents: Contents) -> None:
    grown, _ = update(contents, news())
    at = grown.dataset.items.idx("s010x")
    lyrics = grown.features["lyrics"]
    assert lyrics.raw.values[at].tolist() == [2, 1, 0, 0, 0, 0]
    assert lyrics.raw.present[at]
    # an even song's words put it among the even ones
    sides = lyrics.space.items[:, 0] * lyrics.space.items[at, 0] > 0
    even = [int(i[1:4]) % 2 == 0 for i in contents.dataset.items.ids if i != "s003"]
    known = grown.dataset.items.encode([i for i in contents.dataset.items.ids if i != "s003"])
    assert np.mean(sides[known] == even) > 0.9
    assert not lyrics.raw.present[grown.dataset.items.idx("zz")]


def touched_places(contents: Contents, grown: Contents, touched: Touched) -> np.ndarray:
    """Where vectors may differ: new nodes, ends of edges, items with other features."""
    assert touched.delta is not None
    own = frame(node_type=["Song"] * 3, node_id=["s010x", "zz", "s003"])
    return np.unique(places(grown, pd.concat([touched.delta.touched(), own])))


def test_vectors_of_touched_nodes_are_those_of_a_full_computation(contents: Contents) -> None:
    grown, touched = update(contents, news())
    at = touched_places(contents, grown, touched)
    assert grown.vectors is not None
    np.testing.assert_allclose(grown.vectors[at], recomputed(grown)[at], atol=1e-6)
    assert touched.num_placed == len(at) < len(grown.vectors)


def test_vectors_of_other_nodes_stay_to_the_byte(contents: Contents) -> None:
    grown, touched = update(contents, news())
    at = touched_places(contents, grown, touched)
    assert contents.vectors is not None
    assert grown.vectors is not None
    nodes = contents.rows.nodes
    moved = places(grown, nodes)
    untouched = ~np.isin(moved, at)
    assert untouched.sum() > 10
    assert grown.vectors[moved[untouched]].tobytes() == contents.vectors[untouched].tobytes()
    # Some of these would come out differently if computed anew: keeping them is a choice.
    assert not np.allclose(recomputed(grown)[moved[untouched]], contents.vectors[untouched])


def test_a_user_with_new_plays_gets_another_vector(contents: Contents) -> None:
    grown, _ = update(contents, {"interactions": frame(user_id=["u00"], item_id=["s001"])})
    user = frame(node_type=["User"], node_id=["u00"])
    assert grown.vectors is not None
    assert contents.vectors is not None
    before, after = contents.vectors[places(contents, user)], grown.vectors[places(grown, user)]
    assert np.abs(before - after).max() > 1e-3


def test_twice_is_once(contents: Contents) -> None:
    once, _ = update(contents, news())
    twice, touched = update(once, news())
    assert twice is once
    assert touched.is_nothing


def test_known_rows_change_nothing(contents: Contents) -> None:
    WordCounts.calls.clear()
    same, touched = update(contents, raw_tables())
    assert same is contents
    assert touched.is_nothing
    assert touched.num_placed == 0
    assert WordCounts.calls == []


def test_a_row_that_is_replaced_takes_its_old_edge_along(contents: Contents) -> None:
    change = {"items": frame(item_id=["s000"], title=["Title s000"], artist_id=["a05"])}
    grown, touched = update(contents, change)
    assert touched.delta is not None
    assert not touched.delta.is_additive
    assert_frame_equal(
        grown.rows.edges[~grown.rows.edges["relation"].isin(DERIVED)].reset_index(drop=True),
        from_scratch(grown),
    )


def test_a_rejected_row_is_listed_and_the_rest_goes_in(contents: Contents) -> None:
    change = {"interactions": frame(user_id=["u00", "u00"], item_id=["nowhere", "s001"])}
    grown, touched = update(contents, change)
    assert touched.rows == {"interactions": 1}
    assert touched.rejects["reason"].tolist() == ["item_id is not in items: 'nowhere'"]
    assert len(grown.tables["interactions"]) == len(contents.tables["interactions"]) + 1


def test_a_graph_that_would_break_a_rule_changes_nothing(contents: Contents) -> None:
    link = frame(
        source_type=["Song"], source_id=["s000"], relation=["KNOWS"],
        target_type=["Song"], target_id=["s001"],
    )  # fmt: skip
    with pytest.raises(InputError, match="KNOWS"):
        update(contents, {"links": link})


@pytest.mark.parametrize("given", ["lyrics", "audio_features"])
def test_a_song_without_any_edge_is_joined_with_the_nearest(contents: Contents, given: str) -> None:
    rows = {
        "lyrics": frame(item_id=["new"], text=["sun rain road sun rain road sun"]),
        "audio_features": frame(item_id=["new"], energy=[0.0], tempo=[100.0]),
    }
    change = {"items": frame(item_id=["new"], title=["New"]), given: rows[given]}
    grown, touched = update(contents, change)
    near = grown.rows.edges[grown.rows.edges["relation"] == "SIMILAR_TO"]
    assert touched.num_joined == len(near) == NUM_NEAREST
    assert near["weight"].between(0, 1, inclusive="right").all()
    ends = set(near["source_id"]) | set(near["target_id"])
    assert len(ends) == NUM_NEAREST + 1
    assert all(int(song[1:]) % 2 == 0 for song in ends - {"new"})


def test_a_song_of_which_nothing_is_known_stays_without_edges(contents: Contents) -> None:
    grown, touched = update(contents, {"items": frame(item_id=["new"], title=["New"])})
    assert touched.num_joined == 0
    assert "new" in set(grown.rows.nodes["node_id"])
    later, touched = update(grown, {"lyrics": frame(item_id=["new"], text=["sun rain"])})
    assert touched.num_joined == NUM_NEAREST
    assert_same(update(later, {"lyrics": frame(item_id=["new"], text=["sun rain"])})[0], later)


def test_a_link_of_the_source_replaces_the_edge_that_held_a_song(contents: Contents) -> None:
    change = {
        "items": frame(item_id=["new"], title=["New"]),
        "lyrics": frame(item_id=["new"], text=["sun rain"]),
    }
    grown, _ = update(contents, change)
    near = grown.rows.edges[grown.rows.edges["relation"] == "SIMILAR_TO"].iloc[0]
    link = near.to_frame().T.assign(weight=0.001)
    later, _ = update(grown, {"links": link})
    found = later.rows.edges[later.rows.edges["relation"] == "SIMILAR_TO"]
    assert len(found) == NUM_NEAREST
    assert found["weight"].min() == np.float32(0.001)


def test_an_encoder_that_needs_all_items_at_once_leaves_new_ones_out(
    contents: Contents, caplog: pytest.LogCaptureFixture
) -> None:
    tfidf = EncoderSpec("tfidf", "musicrag.features.lyrics.tfidf.TfidfLyrics")
    other = replace(contents, encoders={**contents.encoders, "lyrics": tfidf})
    grown, touched = update(other, news())
    assert touched.num_encoded == {"audio": 1}
    assert not grown.features["lyrics"].raw.present[grown.dataset.items.idx("s010x")]
    assert "wait for the next training" in caplog.text


def test_relations_that_the_graph_does_not_hold_do_not_come_in() -> None:
    graph = GraphSettings(("LISTENED", "IN_PLAYLIST"), 1, 3, 3)
    contents = contents_of(raw_tables(), ENCODERS, with_network=False, graph=graph)
    grown, touched = update(contents, news())
    assert set(grown.rows.edges["relation"]) == {"LISTENED", "IN_PLAYLIST"}
    assert grown.vectors is None
    assert touched.num_placed == 0


def test_a_profile_without_an_edge_stays_a_node(contents: Contents) -> None:
    tables = dict(contents.tables)
    tables["interactions"] = tables["interactions"][tables["interactions"]["user_id"] != "u03"]
    profiles = frame(profile_type=["user"], profile_id=["u03"])
    rows = graph_rows(tables, "Song", profiles, None, 1, 3, 3)
    bare = replace(contents, tables=tables, rows=rows, network=None, vectors=None)
    grown, touched = update(bare, {"interactions": frame(user_id=["u_new"], item_id=["s000"])})
    assert "u03" in set(grown.rows.nodes["node_id"])
    assert touched.delta is not None
    assert touched.delta.is_additive


def test_contents_that_do_not_fit_are_refused(contents: Contents) -> None:
    with pytest.raises(InputError, match="vectors"):
        replace(contents, vectors=contents.vectors[:-1])  # type: ignore[index]
    with pytest.raises(InputError, match="encoders of"):
        replace(contents, encoders={})
    with pytest.raises(InputError, match="answers"):
        replace(contents, tables={**contents.tables, "qrels": frame(query_id=["q"])})
    with pytest.raises(InputError, match="cannot be built"):
        EncoderSpec("lost", "musicrag.features.lost.Lost").build()
    assert contents.graph == GRAPH
