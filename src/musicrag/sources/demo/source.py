"""The demo world as a source: a hidden truth, and the tables in which it can be seen.

Nothing is read from outside. Three dials say how clearly each modality shows the truth; turning
one changes that modality only, never the catalogue, the listening or the queries.
"""

from __future__ import annotations

import logging
import math
import time
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd

from musicrag.contracts import TABLES, RawTables
from musicrag.sources.demo.audio import write_audio
from musicrag.sources.demo.catalogue import list_catalogue
from musicrag.sources.demo.listening import compile_playlists, listen
from musicrag.sources.demo.lyrics import write_lyrics
from musicrag.sources.demo.queries import ask
from musicrag.sources.demo.walks import SongGraph
from musicrag.sources.demo.world import World, build_world
from musicrag.types import InputError

_LOG = logging.getLogger(__name__)

_NOT_GIVEN = {"audio_features", "emotion_features", "nodes"}
_MIN_SONGS = 20

_Number = TypeVar("_Number", int, float)


class DemoSource:
    """Generates the demo world; the same arguments give the same tables and the same bytes.

    Args:
        num_songs: songs, at least 20 and at least ``num_artists``.
        num_artists: artists, at least 2.
        num_users: listeners, at least 1.
        num_playlists: playlists, at least 1.
        num_text_queries: different text queries, at least 1.
        audio_signal: how much the sound tells of arousal, valence, brightness and genre; [0, 1].
        lyrics_signal: how much the lyrics' nouns tell of the theme; [0, 1].
        emotion_signal: how much the lyrics' emotion words tell of valence and arousal; [0, 1].
        seed: root of all randomness, at least 0.
        audio_duration_s: length of each sound in seconds, at least 0.5.
        sample_rate_hz: samples per second, at least 8000.
        cache_dir: sounds are kept below ``cache_dir/demo``.
        mood_coverage: share of songs with a crowd label of their mood; [0, 1].
        interactions_per_song: mean number of listeners of a song, at most half the users.
        new_release_share: share of songs that come out while listeners are observed; [0, 1]. Few
            or none have heard them in the training part, so only content and artist tell.

    Raises:
        InputError: an argument is out of range.
    """

    name = "demo"
    item_type = "Song"

    def __init__(
        self,
        *,
        num_songs: int,
        num_artists: int,
        num_users: int,
        num_playlists: int,
        num_text_queries: int,
        audio_signal: float,
        lyrics_signal: float,
        emotion_signal: float,
        seed: int,
        audio_duration_s: float,
        sample_rate_hz: int,
        cache_dir: str,
        mood_coverage: float = 0.4,
        interactions_per_song: float = 10.0,
        new_release_share: float = 0.4,
    ) -> None:
        self.num_songs = _within("num_songs", num_songs, _MIN_SONGS)
        self.num_artists = _within("num_artists", num_artists, 2, num_songs)
        self.num_users = _within("num_users", num_users, 1)
        self.num_playlists = _within("num_playlists", num_playlists, 1)
        self.num_text_queries = _within("num_text_queries", num_text_queries, 1)
        self.audio_signal = _within("audio_signal", audio_signal, 0, 1)
        self.lyrics_signal = _within("lyrics_signal", lyrics_signal, 0, 1)
        self.emotion_signal = _within("emotion_signal", emotion_signal, 0, 1)
        self.seed = _within("seed", seed, 0)
        self.audio_duration_s = _within("audio_duration_s", audio_duration_s, 0.5)
        self.sample_rate_hz = _within("sample_rate_hz", sample_rate_hz, 8000)
        self.mood_coverage = _within("mood_coverage", mood_coverage, 0, 1)
        self.interactions_per_song = _within(
            "interactions_per_song", interactions_per_song, 0, num_users / 2
        )
        self.new_release_share = _within("new_release_share", new_release_share, 0, 1)
        self.cache_dir = Path(cache_dir)

    @cached_property
    def world(self) -> World:
        """The hidden truth behind the tables; for tests and oracles."""
        return build_world(
            self.num_songs,
            self.num_artists,
            self.mood_coverage,
            self.seed,
            self.new_release_share,
        )

    def available(self) -> frozenset[str]:
        return frozenset(TABLES) - _NOT_GIVEN

    def load(self) -> RawTables:
        """Generate all tables and write the sounds that are missing.

        Raises:
            InputError: the world is too small for ``num_text_queries`` different queries.
        """
        started = time.perf_counter()
        world, graph = self.world, SongGraph(self.world)
        catalogue = list_catalogue(world, graph)
        titles, names = catalogue["items"]["title"], catalogue["artists"]["name"]
        parts = [
            listen(world, graph, self.num_users, self.interactions_per_song),
            compile_playlists(world, graph, self.num_playlists),
            ask(world, graph, titles.tolist(), names.tolist(), self.num_text_queries),
        ]
        tables = catalogue | {name: frame for part in parts for name, frame in part.items()}
        gold = [part["gold_paths"] for part in parts]
        tables["gold_paths"] = pd.concat(gold, ignore_index=True)
        tables["lyrics"] = write_lyrics(world, self.lyrics_signal, self.emotion_signal)
        tables["audio"] = write_audio(
            world, self.audio_signal, self.audio_duration_s, self.sample_rate_hz, self.cache_dir
        )
        counts = ", ".join(f"{name} {len(frame)}" for name, frame in sorted(tables.items()))
        _LOG.info("demo: %s in %.1f s", counts, time.perf_counter() - started)
        return tables


def _within(name: str, value: _Number, low: float, high: float = math.inf) -> _Number:
    """Return ``value`` if it lies in [low, high], else raise an InputError that says so."""
    if not low <= value <= high:
        allowed = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise InputError(f"{name}={value!r} is out of range. Choose a value {allowed}.")
    return value
