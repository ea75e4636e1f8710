"""Encoders on data that nobody here generated; skipped where that data is absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from encoder_dataset import dataset, hymns, lyrics_dataset, real_data

from musicrag.contracts import FeatureMatrix
from musicrag.features.audio.librosa_audio import LibrosaAudio
from musicrag.features.choose import encoder_class
from musicrag.features.emotion.lexicons import LexiconEmotion
from musicrag.features.lyrics.sbert import SbertLyrics

SOUND_FILES = {".ogg", ".mp3", ".wav"}
RELATIVE, ABSOLUTE = 0.01, 0.05  # another librosa version, and MP3 in place of the original


def encode_clips(folder: Path) -> FeatureMatrix:
    files = sorted(path for path in folder.iterdir() if path.suffix in SOUND_FILES)
    ids = [path.name for path in files]
    frame = pd.DataFrame({"item_id": ids, "path": [str(path) for path in files]})
    return LibrosaAudio(max_duration_s=10.0).encode(dataset({"audio": frame}, ids))


@pytest.mark.parametrize("name", ["sbert", "tfidf"])
def test_both_halves_of_a_hymn_lie_close(name: str) -> None:
    texts: dict[str, str] = {}
    for number, hymn in enumerate(hymns(60).values()):
        verses = hymn.split("\n\n")
        middle = max(1, len(verses) // 2)
        texts[f"{number:03d}a"] = "\n\n".join(verses[:middle])
        texts[f"{number:03d}b"] = "\n\n".join(verses[middle:]) or verses[0]
    values = encoder_class("lyrics", name)().encode(lyrics_dataset(texts)).values
    first, second = values[::2], values[1::2]
    rank = (first @ second.T).argsort(axis=1)[:, ::-1]
    in_top_five = (rank[:, :5] == np.arange(len(first))[:, None]).any(axis=1)
    assert in_top_five.mean() > 0.4  # chance is 0.08


def test_hymns_are_chunked_not_cut() -> None:
    encoder = SbertLyrics()
    longest = max(hymns(285).values(), key=len)
    assert encoder._count(longest) > encoder._budget
    with_end, without_end = encoder.embed([longest, longest[: len(longest) // 2]])
    assert with_end @ without_end < 0.999


def test_hymns_of_praise_are_brighter_than_hymns_of_the_cross() -> None:
    texts = hymns(285)
    matrix = LexiconEmotion().encode(lyrics_dataset(texts))
    assert matrix.present.all()
    compound = matrix.values[:, matrix.names.index("vader_compound_mean")]
    words = [text.lower() for _, text in sorted(texts.items())]
    joyful = np.array(["joy" in text and "death" not in text for text in words])
    grave = np.array(["death" in text and "joy" not in text for text in words])
    assert min(joyful.sum(), grave.sum()) > 10
    assert compound[joyful].mean() > compound[grave].mean()


def test_free_clips_are_all_readable_and_differ() -> None:
    matrix = encode_clips(real_data("audio_cc"))
    assert matrix.present.all()
    assert len(matrix.values) >= 8
    assert len(np.unique(matrix.values, axis=0)) == len(matrix.values)
    tempo = matrix.values[:, matrix.names.index("tempo_bpm")]
    assert ((tempo > 30) & (tempo < 330)).all()


def test_mp3_and_wav_of_gtzan_are_readable() -> None:
    assert encode_clips(real_data("audio_gtzan")).present.all()


@pytest.mark.parametrize("clip", ["country.00000.wav", "blues.00099.mp3"])
def test_gtzan_clips_agree_with_their_published_features(clip: str) -> None:
    path = real_data("audio_gtzan", clip)
    published = pd.read_csv(real_data("gtzan", "features_30_sec.csv")).set_index("filename")
    row = published.loc[f"{path.stem}.au"]
    data = dataset({"audio": pd.DataFrame({"item_id": ["c"], "path": [str(path)]})}, ["c"])
    found = LibrosaAudio(max_duration_s=31.0).encode(data)
    pairs = {
        "centroid_hz_mean": "spectral_centroid_mean",
        "bandwidth_hz_mean": "spectral_bandwidth_mean",
        "rolloff_hz_mean": "rolloff_mean",
        "zero_crossing_rate_mean": "zero_crossing_rate_mean",
        "rms_mean": "rms_mean",
        "pulse_tempo_bpm": "tempo",
        **{f"mfcc_{i}_mean": f"mfcc{i + 1}_mean" for i in range(20)},
    }
    for ours, theirs in pairs.items():
        value = found.values[0, found.names.index(ours)]
        assert value == pytest.approx(row[theirs], rel=RELATIVE, abs=ABSOLUTE), ours
