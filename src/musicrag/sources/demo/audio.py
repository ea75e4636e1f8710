"""A few seconds of synthesised sound per song that tell its arousal, valence, brightness and genre.

Arousal sets tempo, loudness and drums; valence sets register and major or minor; brightness sets
how fast the harmonics fall off; genre sets timbre, envelope and noise. Sounds are written once
below a folder named after all that they depend on; a second call writes only what is missing.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from tqdm import tqdm

from musicrag.artifacts import atomic_file, hash_file, hash_json
from musicrag.sources.demo.walks import song_node
from musicrag.sources.demo.world import (
    AROUSAL,
    BRIGHTNESS,
    VALENCE,
    Float64Array,
    World,
    blend,
    blend_labels,
    stream,
)
from musicrag.types import FloatArray, IntArray

_LOG = logging.getLogger(__name__)

_TABLE_SIZE = 2048
_NUM_HARMONICS = 12
_ROOTS = (0, -3, 5, 7)  # semitones of the chords' roots above the tonic
_MAJOR, _MINOR = (0, 4, 7), (0, 3, 7)
_TREMOLO_HZ = 6.0
_DRUM_DECAY_S = np.float32(0.03)


@dataclass(frozen=True)
class _Timbre:
    """How a genre sounds: weight of even harmonics, decay of notes, drums, noise floor, tremolo."""

    even: float
    note_decay_s: float
    drums: float
    noise: float
    tremolo: float


_TIMBRES = (  # one for each of GENRES
    _Timbre(even=0.5, note_decay_s=0.25, drums=0.1, noise=0.01, tremolo=0.0),
    _Timbre(even=0.8, note_decay_s=0.8, drums=0.6, noise=0.04, tremolo=0.0),
    _Timbre(even=1.0, note_decay_s=1.6, drums=0.9, noise=0.12, tremolo=0.0),
    _Timbre(even=0.1, note_decay_s=0.12, drums=0.9, noise=0.01, tremolo=0.0),
    _Timbre(even=0.3, note_decay_s=0.4, drums=1.3, noise=0.03, tremolo=0.0),
    _Timbre(even=0.6, note_decay_s=1.0, drums=0.35, noise=0.01, tremolo=0.5),
    _Timbre(even=0.05, note_decay_s=0.5, drums=0.2, noise=0.05, tremolo=0.2),
    _Timbre(even=0.7, note_decay_s=3.0, drums=0.0, noise=0.005, tremolo=0.3),
)


def write_audio(
    world: World, audio_signal: float, duration_s: float, sample_rate_hz: int, cache_dir: Path
) -> pd.DataFrame:
    """Write the missing wav files (16-bit mono) and return the table ``audio``.

    Args:
        world: the truth.
        audio_signal: correlation of the sound's latents with the song's, and chance that the
            timbre is of the song's genre, in [0, 1].
        duration_s: length of each sound in seconds.
        sample_rate_hz: samples per second.
        cache_dir: files go below ``cache_dir/demo/<hash>``.
    """
    started = time.perf_counter()
    latents, genre = _heard(world, audio_signal)
    key = {
        "world": [world.seed, np.round(latents, 6).tolist(), genre.tolist()],
        "format": [duration_s, sample_rate_hz],
        "recipe": hash_file(Path(__file__)),  # an edit of this module asks for new sounds
    }
    folder = cache_dir.absolute() / "demo" / hash_json(key)[:16]
    paths = [folder / f"{song_node(song).id}.wav" for song in range(world.num_songs)]
    missing = [song for song, path in enumerate(paths) if not path.exists()]
    for song in tqdm(missing, desc="demo audio", unit="song", disable=not missing):
        rng = stream(world.seed, f"audio:{song}")
        sound = synthesise(latents[song], int(genre[song]), duration_s, sample_rate_hz, rng)
        with atomic_file(paths[song]) as path:
            soundfile.write(path, sound, sample_rate_hz, subtype="PCM_16", format="WAV")
    seconds = time.perf_counter() - started
    _LOG.info("audio: %d sounds, %d written, %.1f s", len(paths), len(missing), seconds)
    ids = [song_node(song).id for song in range(world.num_songs)]
    return pd.DataFrame({"item_id": ids, "path": [str(path) for path in paths]})


def synthesise(
    latents: Float64Array,
    genre: int,
    duration_s: float,
    sample_rate_hz: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Make one sound.

    Args:
        latents: arousal, valence and brightness, standardised. Shape ``[3]``.
        genre: index into GENRES.
        duration_s: length in seconds.
        sample_rate_hz: samples per second.
        rng: the song's random stream; it draws key, first chord and noise.

    Returns:
        Samples in [-1, 1]. Shape ``[round(duration_s * sample_rate_hz)]``.
    """
    arousal, valence, brightness = np.clip(latents, -3.0, 3.0)[[AROUSAL, VALENCE, BRIGHTNESS]]
    timbre = _TIMBRES[genre]
    beat_s = 60.0 / (115.0 + 25.0 * arousal)
    t = (np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz).astype(np.float32)
    since_beat_s = np.mod(t, np.float32(beat_s))
    sound = _chords(t, 2 * beat_s, valence, _wave_table(timbre.even, brightness), rng)
    sound *= np.exp(-since_beat_s / np.float32(timbre.note_decay_s))
    sound *= 1 + np.float32(timbre.tremolo) * np.sin(np.float32(2 * np.pi * _TREMOLO_HZ) * t)
    sound /= _rms(sound)
    drums = np.float32(timbre.drums * np.exp(0.4 * arousal)) * np.exp(-since_beat_s / _DRUM_DECAY_S)
    sound += rng.standard_normal(len(t), dtype=np.float32) * (np.float32(timbre.noise) + drums)
    loudness = 10.0 ** ((-24.0 + 4.0 * arousal) / 20)
    return np.asarray(np.clip(sound * (loudness / _rms(sound)), -1.0, 1.0), dtype=np.float32)


def _chords(
    t: FloatArray, chord_s: float, valence: float, table: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Four triads in turn, major and high when valence is high. Shape ``[len(t)]``."""
    tonic_semitones = 5.0 * valence + rng.uniform(-1.0, 1.0)
    first = int(rng.integers(len(_ROOTS)))
    chord = (first + (t / np.float32(chord_s)).astype(np.int64)) % len(_ROOTS)
    root_hz = 220.0 * 2.0 ** ((tonic_semitones + np.array(_ROOTS)) / 12)
    periods = np.cumsum(root_hz[chord]) * float(t[1])
    sound: FloatArray = np.zeros(len(t), dtype=np.float32)
    for interval in _MAJOR if valence > 0 else _MINOR:
        phase = (periods * (2.0 ** (interval / 12) * _TABLE_SIZE)).astype(np.int64)
        sound += table[phase % _TABLE_SIZE]
    return sound


def _rms(sound: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def _heard(world: World, audio_signal: float) -> tuple[Float64Array, IntArray]:
    """The latents and genres that are sounded: the truth, mixed with a random donor's."""
    rng = stream(world.seed, "audio")
    donor = rng.integers(world.num_songs, size=world.num_songs)
    latents = blend(world.latents, audio_signal, donor)
    return latents, blend_labels(world.song_genre, audio_signal, donor, rng)


def _wave_table(even: float, brightness: float) -> FloatArray:
    """One period of a tone with 12 harmonics falling off as a power law. Shape ``[2048]``."""
    harmonic = np.arange(1, _NUM_HARMONICS + 1)
    level = harmonic ** -(1.8 - 0.45 * brightness) * np.where(harmonic % 2, 1.0, even)
    angle = 2 * np.pi * np.arange(_TABLE_SIZE) / _TABLE_SIZE
    return np.asarray(level @ np.sin(harmonic[:, None] * angle), dtype=np.float32)
