"""Facts of the demo world that hold for every size, seed and dial."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicrag.sources.demo.walks import HOP_KINDS, NUM_STARTS, SongGraph, song_node
from musicrag.sources.demo.words import MOODS, unique_names
from musicrag.sources.demo.world import blend, blend_labels, build_world, nearest_mood, stream

SEEDS = st.integers(0, 1_000)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, num_artists=st.integers(2, 30), extra=st.integers(0, 60))
def test_world_is_complete(seed: int, num_artists: int, extra: int) -> None:
    world = build_world(num_artists + extra + 2, num_artists, 0.5, seed)
    assert set(world.song_artist.tolist()) == set(range(num_artists))
    assert np.allclose(world.latents.mean(axis=0), 0)
    assert np.allclose(world.latents.std(axis=0), 1)
    assert (world.links[:, 0] < world.links[:, 1]).all()
    assert len(np.unique(world.links, axis=0)) == len(world.links) >= 1


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, num_steps=st.integers(1, 40), coverage=st.sampled_from([0.0, 0.5, 1.0]))
def test_walk_never_repeats_and_each_reason_joins_its_two_songs(
    seed: int, num_steps: int, coverage: float
) -> None:
    world = build_world(40, 8, coverage, seed)
    graph = SongGraph(world)
    steps = graph.walk(np.zeros(40), num_steps, HOP_KINDS, stream(seed, "test"))
    songs = [step.song for step in steps]
    assert len(set(songs)) == num_steps
    assert all(not step.reasons for step in steps[:NUM_STARTS])
    for place, step in enumerate(steps):
        starts = [start for start, _ in step.reasons]
        assert set(starts) <= set(songs[:place])
        assert len(set(starts)) == len(starts)
        for start, bridge in step.reasons:
            assert step.song in bridge.reached
            assert bridge in graph.bridges(start, bridge.kind)
            path = bridge.path(start, step.song)
            assert (path.nodes[0], path.target) == (song_node(start), song_node(step.song))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, signal=st.floats(0, 1))
def test_dial_is_the_correlation_and_keeps_the_spread(seed: int, signal: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(4_000, 3))
    seen = blend(truth, signal, rng.integers(4_000, size=4_000))
    assert np.allclose(seen.std(axis=0), 1, atol=0.1)
    for column in range(3):
        correlation = np.corrcoef(seen[:, column], truth[:, column])[0, 1]
        assert correlation == pytest.approx(signal, abs=0.08)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, signal=st.floats(0, 1))
def test_label_dial_is_the_share_of_true_labels_beyond_chance(seed: int, signal: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(8, size=4_000)
    seen = blend_labels(truth, signal, rng.integers(4_000, size=4_000), rng)
    expected = signal + (1 - signal) / 8
    assert (seen == truth).mean() == pytest.approx(expected, abs=0.05)


@given(st.integers(0, len(MOODS) - 1))
def test_centre_of_each_mood_is_that_mood(mood: int) -> None:
    angle = (mood + 0.5) * 2 * np.pi / len(MOODS)
    assert nearest_mood(np.array([[np.sin(angle), np.cos(angle), 0.0]])) == [mood]


@given(seed=SEEDS, num=st.integers(0, 4_000))
@settings(max_examples=10, deadline=None)
def test_names_are_unique(seed: int, num: int) -> None:
    names = unique_names(num, np.random.default_rng(seed), "{first} {noun}")
    assert len(set(names)) == num


def test_streams_of_different_keys_differ_and_of_same_key_agree() -> None:
    draws = [stream(1, key).random() for key in ("songs", "users", "songs")]
    assert draws[0] == draws[2] != draws[1]
