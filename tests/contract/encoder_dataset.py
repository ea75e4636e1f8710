"""Tiny data sets for the encoder tests: built directly, so that no source or table code runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from musicrag.contracts import Dataset

RATE_HZ = 22_050
LYRICS = {
    "s1": "I love this happy sunny day\nJoy and laughter fill the air\n\nSmile, sweet darling",
    "s2": "Tears and sorrow, death and pain\nI cry alone in bitter rain",
    "s3": "   ",
    "s5": "Wonderful, wonderful music\nDance with a friend tonight",
}
"""Item s3 has a blank lyric and s4 has no row at all: neither has usable lyrics."""


def dataset(tables: Mapping[str, pd.DataFrame], item_ids: Sequence[str]) -> Dataset:
    items = pd.DataFrame({"item_id": list(item_ids), "title": [f"title {i}" for i in item_ids]})
    rejects = pd.DataFrame(columns=["table", "row", "reason"])
    return Dataset("tiny", "Song", {"items": items, **tables}, rejects, "0" * 64)


def lyrics_dataset(texts: Mapping[str, str]) -> Dataset:
    frame = pd.DataFrame({"item_id": list(texts), "text": list(texts.values())})
    return dataset({"lyrics": frame}, list(texts))


def tone(*frequencies_hz: float, duration_s: float = 1.0) -> np.ndarray:
    """Equally loud sines. Shape ``[num_samples]``."""
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    waves = [np.sin(2 * np.pi * frequency * time_s) for frequency in frequencies_hz]
    return (0.5 * np.mean(waves, axis=0)).astype(np.float32)


def write_clips(folder: Path) -> dict[str, Path]:
    """Sound files of s1, s2 and s5; s3 is no sound file and s4 has none."""
    clips = {"s1": tone(220.0), "s2": tone(440.0, 554.4), "s5": tone(1760.0)}
    paths = {item: folder / f"{item}.wav" for item in (*clips, "s3")}
    for item, waveform in clips.items():
        soundfile.write(paths[item], waveform, RATE_HZ)
    paths["s3"].write_text("this is no sound file")
    return paths


def full_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Every table an encoder may require; s1, s2 and s5 have usable rows, s3 and s4 have not."""
    paths = write_clips(folder)
    gap = float("nan")
    columns = {
        "item_id": ["s1", "s2", "s3", "s5"],
        "tempo_bpm": [90.0, 120.0, gap, gap],
        "key": [0.0, 7.0, gap, 11.0],
    }
    return {
        "lyrics": pd.DataFrame({"item_id": list(LYRICS), "text": list(LYRICS.values())}),
        "audio": pd.DataFrame({"item_id": list(paths), "path": [str(p) for p in paths.values()]}),
        "audio_features": pd.DataFrame(columns),
        "emotion_features": pd.DataFrame(columns).rename(columns={"tempo_bpm": "valence"}),
    }


def real_data(*parts: str) -> Path:
    """A path below the folder of real data; skips the test where it is not there."""
    folder = os.environ.get("MUSICRAG_REAL_DATA")
    if not folder:
        pytest.skip("MUSICRAG_REAL_DATA is not set: no real data on this machine")
    path = Path(folder, *parts)
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def hymns(num_items: int) -> dict[str, str]:
    """Public-domain hymn texts, one verse a paragraph."""
    bundle = json.loads(real_data("hymns_pd", "openhymnal-bundle.json").read_text("utf-8"))
    return {hymn["id"]: "\n\n".join(hymn["lyrics"]) for hymn in bundle[:num_items]}
