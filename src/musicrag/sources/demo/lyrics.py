"""Lyrics whose nouns tell a song's theme and feeling, as clearly as two dials say.

Every line has one theme noun and one emotion noun in an otherwise neutral sentence. All other
random choices stay the same when a dial moves: one dial changes theme nouns only, the other
emotion nouns only. At 0 the nouns follow another random song, so their mix stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from musicrag.sources.demo.walks import song_node
from musicrag.sources.demo.words import EMOTION_WORDS, LINES, THEMES
from musicrag.sources.demo.world import (
    AROUSAL,
    VALENCE,
    Float64Array,
    World,
    blend,
    blend_labels,
    stream,
)
from musicrag.types import BoolArray, IntArray

_LINES_PER_PART = 4
_PARTS = ("verse", "chorus", "verse")
_SUNG = (0, 1, 2, 1)  # the order in which the parts are sung
_NUM_LINES = len(_PARTS) * _LINES_PER_PART


@dataclass(frozen=True)
class _Choices:
    """What is said in each line of each song; every array but ``theme`` is ``[num_songs, 12]``."""

    theme: IntArray  # [num_songs]
    sentence: IntArray
    theme_noun: IntArray
    emotion_noun: IntArray
    is_pleasant: BoolArray
    is_aroused: BoolArray

    def text(self, song: int) -> str:
        lines = [self._line(song, line) for line in range(_NUM_LINES)]
        parts = [lines[i : i + _LINES_PER_PART] for i in range(0, _NUM_LINES, _LINES_PER_PART)]
        return "\n\n".join("\n".join(parts[part]) for part in _SUNG)

    def _line(self, song: int, line: int) -> str:
        at = (song, line)
        bank = EMOTION_WORDS[bool(self.is_pleasant[at]), bool(self.is_aroused[at])]
        return LINES[self.sentence[at]].format(
            theme=THEMES[self.theme[song]].nouns[self.theme_noun[at]],
            emotion=bank[self.emotion_noun[at]],
        )


def write_lyrics(world: World, lyrics_signal: float, emotion_signal: float) -> pd.DataFrame:
    """Write the table ``lyrics``.

    Args:
        world: the truth.
        lyrics_signal: chance that a song's theme nouns are of its own theme, in [0, 1].
        emotion_signal: correlation of the nouns' valence and arousal with the song's, in [0, 1].
    """
    choices = _choose_words(world, lyrics_signal, emotion_signal)
    songs = range(world.num_songs)
    ids = [song_node(song).id for song in songs]
    return pd.DataFrame({"item_id": ids, "text": [choices.text(song) for song in songs]})


def _choose_words(world: World, lyrics_signal: float, emotion_signal: float) -> _Choices:
    topic_rng, feeling_rng, rng = (
        stream(world.seed, key) for key in ("lyrics_theme", "lyrics_emotion", "lyrics_words")
    )
    num_songs, shape = world.num_songs, (world.num_songs, _NUM_LINES)
    donor = topic_rng.integers(num_songs, size=num_songs)
    theme = blend_labels(world.song_theme, lyrics_signal, donor, topic_rng)
    donor = feeling_rng.integers(num_songs, size=num_songs)
    feeling = blend(world.latents, emotion_signal, donor)
    sentences = np.tile(np.arange(len(LINES)), (num_songs, 1))
    return _Choices(
        theme=theme,
        sentence=rng.permuted(sentences, axis=1)[:, :_NUM_LINES],
        theme_noun=rng.integers(len(THEMES[0].nouns), size=shape),
        emotion_noun=rng.integers(len(EMOTION_WORDS[True, True]), size=shape),
        is_pleasant=_share_of_lines(feeling[:, VALENCE], rng),
        is_aroused=_share_of_lines(feeling[:, AROUSAL], rng),
    )


def _share_of_lines(latent: Float64Array, rng: np.random.Generator) -> BoolArray:
    """Mark about Φ(latent) of each song's lines, at random places. Shape ``[num_songs, 12]``."""
    ranks = np.tile((np.arange(_NUM_LINES) + 0.5) / _NUM_LINES, (len(latent), 1))
    return np.asarray(rng.permuted(ranks, axis=1) < ndtr(latent)[:, None])
