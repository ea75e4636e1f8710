"""Listeners' histories and playlists: both are walks by preference, and their reasons are kept.

Users and playlists draw from separate streams and are not linked: a playlist says nothing about
who listened to what. Each song after the first few comes with its planted gold paths.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from musicrag.contracts import RawTables
from musicrag.sources.demo.walks import HOP_KINDS, HopKind, SongGraph, Step, song_node
from musicrag.sources.demo.words import GENRES, MOODS, THEMES
from musicrag.sources.demo.world import World, concept_tastes, stream, user_tastes
from musicrag.types import IntArray, Node

_LENGTH_SPREAD = 0.5  # standard deviation of log history length
_MIN_HISTORY = 5
_USER_KINDS: tuple[HopKind, ...] = ("artist", "genre", "mood")  # 3 hops from the user
_PLAYLIST_LENGTHS = (10, 21)  # half-open
_FIRST_DAY_S = 1_640_995_200.0  # 2022-01-01
_PERIOD_S = 365 * 86_400.0  # the period in which listeners are observed
_MAX_MEAN_PLAYS = 6.0  # plays of a song that fits the user best
_TITLES = (
    "{theme} {genre}",
    "{mood} {genre}",
    "{mood} {theme} {genre}",
    "{mood} {genre}, {theme}",
    "{genre}: {theme} and {mood}",
)

GoldRow = tuple[str, str, str, str]
"""query_type, query_id, item_id, path as JSON: a row of the table ``gold_paths``."""


def gold_frame(rows: list[GoldRow]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_type", "query_id", "item_id", "path"])


def listen(
    world: World, graph: SongGraph, num_users: int, interactions_per_song: float
) -> RawTables:
    """Let every user walk through the catalogue.

    Returns:
        Tables ``users``, ``interactions`` (weight is the play count; timestamps rise along each
        history, and all histories span one period) and ``gold_paths`` (User–Song–artist, genre or
        mood–Song).
    """
    tastes, rng = user_tastes(num_users, world.seed), stream(world.seed, "listening")
    lengths = _history_lengths(world.num_songs, num_users, interactions_per_song, rng)
    user_ids = [f"u{user:03d}" for user in range(num_users)]
    interactions: list[tuple[str, str, float, float]] = []
    gold: list[GoldRow] = []
    for user, user_id in enumerate(user_ids):
        preference = world.preference(tastes, user)
        moments = np.sort(rng.random(lengths[user]))
        steps = graph.walk(preference, len(moments), _USER_KINDS, rng, moments)
        songs = np.array([step.song for step in steps])
        liking = np.exp((preference[songs] - preference.max()) / 2)
        plays = 1 + rng.poisson((_MAX_MEAN_PLAYS - 1) * liking)
        times = _FIRST_DAY_S + np.floor(moments * _PERIOD_S) + np.arange(len(songs))
        for step, weight, time in zip(steps, plays.tolist(), times.tolist(), strict=True):
            interactions.append((user_id, song_node(step.song).id, float(weight), float(time)))
        gold += _gold_rows("user", user_id, steps, (Node("User", user_id), "LISTENED"))
    columns = ["user_id", "item_id", "weight", "timestamp"]
    return {
        "users": pd.DataFrame({"user_id": user_ids}),
        "interactions": pd.DataFrame(interactions, columns=columns),
        "gold_paths": gold_frame(gold),
    }


def compile_playlists(world: World, graph: SongGraph, num_playlists: int) -> RawTables:
    """Write playlists, each about one genre, mood and theme, and named after them.

    Returns:
        Tables ``playlists``, ``playlist_items`` and ``gold_paths`` (earlier track–…–later track).
    """
    rng = stream(world.seed, "playlists")
    genre, mood, theme = (
        rng.integers(len(names), size=num_playlists) for names in (GENRES, MOODS, THEMES)
    )
    tastes = concept_tastes(genre, mood, theme, world.seed)
    playlists, tracks = [], []
    gold: list[GoldRow] = []
    for row in range(num_playlists):
        playlist_id = f"p{row:03d}"
        title = _title(int(genre[row]), int(mood[row]), int(theme[row]), rng)
        playlists.append((playlist_id, title))
        num_tracks = min(int(rng.integers(*_PLAYLIST_LENGTHS)), world.num_songs)
        moments = np.full(num_tracks, rng.random())  # when it was put together
        steps = graph.walk(world.preference(tastes, row), num_tracks, HOP_KINDS, rng, moments)
        for position, step in enumerate(steps):
            tracks.append((playlist_id, song_node(step.song).id, position))
        gold += _gold_rows("playlist", playlist_id, steps, None)
    return {
        "playlists": pd.DataFrame(playlists, columns=["playlist_id", "title"]),
        "playlist_items": pd.DataFrame(tracks, columns=["playlist_id", "item_id", "position"]),
        "gold_paths": gold_frame(gold),
    }


def _history_lengths(
    num_songs: int, num_users: int, interactions_per_song: float, rng: np.random.Generator
) -> IntArray:
    factor = np.exp(rng.normal(-(_LENGTH_SPREAD**2) / 2, _LENGTH_SPREAD, size=num_users))
    lengths = np.rint(factor * interactions_per_song * num_songs / num_users)
    return np.clip(lengths, _MIN_HISTORY, num_songs // 2).astype(np.int64)


def _gold_rows(
    query_type: str, query_id: str, steps: list[Step], prefix: tuple[Node, str] | None
) -> list[GoldRow]:
    return [
        (
            query_type,
            query_id,
            song_node(step.song).id,
            bridge.path(start, step.song, prefix).to_json(),
        )
        for step in steps
        for start, bridge in step.reasons
    ]


def _title(genre: int, mood: int, theme: int, rng: np.random.Generator) -> str:
    pattern = _TITLES[rng.integers(len(_TITLES))]
    return pattern.format(genre=GENRES[genre], mood=MOODS[mood], theme=THEMES[theme].title)
