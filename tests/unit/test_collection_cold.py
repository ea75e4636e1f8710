"""Songs of which only words or sound are known reach those who will listen to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from collection_world import contents_of

from musicrag.collection.contents import Contents, EncoderSpec, GraphSettings
from musicrag.collection.growth import NUM_NEAREST
from musicrag.collection.recommend import Recommender
from musicrag.collection.update import update
from musicrag.contracts import RawTables
from musicrag.sources.demo.source import DemoSource
from musicrag.types import FloatArray

NUM_SONGS, NUM_HELD_OUT, NUM_SHUFFLES = 200, 30, 999
ENCODERS = {
    "lyrics": EncoderSpec("hashed", "collection_world.HashedWords"),
    "audio": EncoderSpec("librosa", "musicrag.features.audio.librosa_audio.LibrosaAudio"),
}
ANSWERS = ("qrels", "gold_paths", "queries", "query_anchors")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> RawTables:
    source = DemoSource(
        num_songs=NUM_SONGS,
        num_artists=50,
        num_users=200,
        num_playlists=30,
        num_text_queries=5,
        audio_signal=1.0,
        lyrics_signal=1.0,
        emotion_signal=1.0,
        seed=0,
        audio_duration_s=1.0,
        sample_rate_hz=8000,
        cache_dir=str(tmp_path_factory.mktemp("sounds")),
        interactions_per_song=20.0,
        new_release_share=0.0,
    )
    return {name: rows for name, rows in source.load().items() if name not in ANSWERS}


@pytest.fixture(scope="module")
def held_out(demo: RawTables) -> list[str]:
    ids = demo["items"]["item_id"].to_numpy(dtype=object)
    return sorted(np.random.default_rng(0).choice(ids, NUM_HELD_OUT, replace=False))


@pytest.fixture(scope="module")
def before(demo: RawTables, held_out: list[str]) -> Contents:
    """The collection of a world in which the held-out songs do not exist."""
    known = {
        name: rows[~rows["item_id"].isin(held_out)] if "item_id" in rows else rows
        for name, rows in demo.items()
    }
    made = contents_of(known, ENCODERS, 20, graph=GraphSettings(None, 2, 10, 0))
    share = replace(made.retrieval, num_candidates=NUM_SONGS // 3)  # 200 of 600, as conf/ has it
    return replace(made, retrieval=share)


def placed(
    contents: Contents, demo: RawTables, held_out: list[str]
) -> tuple[FloatArray, FloatArray]:
    """Of each user and held-out song: rank percentile (0 is best), and whether they listen."""
    asker = Recommender(contents)
    plays = demo["interactions"][demo["interactions"]["item_id"].isin(held_out)]
    users = sorted(set(plays["user_id"]) & set(contents.tables["interactions"]["user_id"]))
    place = np.ones((len(users), len(held_out)), dtype=np.float32)
    for row, user in enumerate(users):
        ranked = [found.item_id for found in asker.for_user(user, NUM_SONGS)]
        at = {item: rank / NUM_SONGS for rank, item in enumerate(ranked)}
        unranked = (len(ranked) + NUM_SONGS) / 2 / NUM_SONGS  # where chance would put it
        place[row] = [at.get(item, unranked) for item in held_out]
    listens = np.zeros_like(place)
    plays = plays[plays["user_id"].isin(users)]
    rows = pd.Index(users).get_indexer(plays["user_id"])
    listens[rows, pd.Index(held_out).get_indexer(plays["item_id"])] = 1
    return place, listens


@pytest.mark.parametrize("given", ["lyrics", "audio", "lyrics audio"])
def test_new_songs_rank_above_chance_for_those_who_will_listen(
    given: str, before: Contents, demo: RawTables, held_out: list[str]
) -> None:
    names = ["items", *given.split()]
    new = {name: demo[name][demo[name]["item_id"].isin(held_out)] for name in names}
    new["items"] = new["items"][["item_id", "title"]]
    grown, touched = update(before, new)
    assert touched.num_joined == NUM_NEAREST * NUM_HELD_OUT

    place, listens = placed(grown, demo, held_out)
    observed = float((place * listens).sum() / listens.sum())
    # If it did not matter which of the new songs is which, they could be shuffled. Users keep
    # their number of songs, so neither users nor songs are taken for independent.
    rng = np.random.default_rng(0)
    shuffled = [
        float((place[:, rng.permutation(NUM_HELD_OUT)] * listens).sum() / listens.sum())
        for _ in range(NUM_SHUFFLES)
    ]
    p_value = (1 + sum(value <= observed for value in shuffled)) / (1 + NUM_SHUFFLES)
    assert p_value <= 0.01
    assert observed < 0.4
