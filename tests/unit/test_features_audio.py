"""What the audio descriptors mean, on sounds whose answer is known."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from musicrag.contracts import Dataset
from musicrag.features.audio.descriptors import describe, descriptor_names, mode_fit
from musicrag.features.audio.librosa_audio import LibrosaAudio
from musicrag.types import InputError

RATE_HZ = 22_050
A3_HZ = 220.0
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
HARMONIC_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 11)


def tones(semitones: tuple[int, ...], duration_s: float = 1.5) -> np.ndarray:
    """Sines on semitones above A3, together."""
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    waves = [np.sin(2 * np.pi * A3_HZ * 2 ** (step / 12) * time_s) for step in semitones]
    return (0.3 * np.mean(waves, axis=0)).astype(np.float32)


def cadence(third: int, tonic: int) -> np.ndarray:
    """I IV V I, the tonic and the subdominant with the given third."""
    chords = [(0, third, 7), (5, 5 + third, 12), (7, 11, 14), (0, third, 7)]
    return np.concatenate([tones(tuple(tonic + step for step in chord)) for chord in chords])


def clicks(tempo_bpm: float, duration_s: float = 12.0) -> np.ndarray:
    waveform = np.zeros(int(duration_s * RATE_HZ), dtype=np.float32)
    for start in np.arange(0.0, duration_s - 0.05, 60.0 / tempo_bpm):
        first = int(start * RATE_HZ)
        waveform[first : first + 200] = np.hanning(200) * np.tile([1, -1], 100)
    return waveform


def measure(waveform: np.ndarray) -> dict[str, float]:
    values = describe(waveform.astype(np.float32), RATE_HZ, 20)
    return dict(zip(descriptor_names(20), values.tolist(), strict=True))


def audio(paths: dict[str, Path]) -> Dataset:
    tables = {
        "items": pd.DataFrame({"item_id": list(paths), "title": list(paths)}),
        "audio": pd.DataFrame({"item_id": list(paths), "path": [str(p) for p in paths.values()]}),
    }
    return Dataset("clips", "Song", tables, pd.DataFrame(), "0")


@pytest.mark.parametrize("tonic", [0, 3, 8])
def test_mode_is_positive_in_major_and_negative_in_minor(tonic: int) -> None:
    assert measure(cadence(third=4, tonic=tonic))["mode"] > 0.05
    assert measure(cadence(third=3, tonic=tonic))["mode"] < -0.05


def test_chroma_peaks_at_the_notes_of_a_chord() -> None:
    found = measure(tones((0, 4, 7)))  # A, C sharp, E
    chroma = np.array([found[f"chroma_{pitch}_mean"] for pitch in range(12)])
    assert set(np.argsort(chroma)[-3:]) == {9, 1, 4}


def test_mode_fit_of_a_scale_is_the_same_in_every_key() -> None:
    chroma = np.zeros(12)
    chroma[list(MAJOR_SCALE)] = 1.0
    fits = np.stack([mode_fit(np.roll(chroma, tonic)) for tonic in range(12)])
    np.testing.assert_allclose(fits, np.tile(fits[0], (12, 1)))
    chroma = np.zeros(12)
    chroma[list(HARMONIC_MINOR_SCALE)] = 1.0
    assert mode_fit(chroma)[2] < 0


def test_mode_fit_is_a_correlation_and_zero_without_shape() -> None:
    profile = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
    assert mode_fit(np.roll(profile, 5))[0] == pytest.approx(1.0)
    rotations = [np.roll(profile, tonic) for tonic in range(12)]
    chroma = np.random.default_rng(0).random(12)
    expected = max(np.corrcoef(rotation, chroma)[0, 1] for rotation in rotations)
    assert mode_fit(chroma)[0] == pytest.approx(expected)
    assert mode_fit(np.full(12, 0.7)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("tempo_bpm", [80.0, 120.0, 150.0])
def test_tempo_of_a_click_track_is_found(tempo_bpm: float) -> None:
    assert measure(clicks(tempo_bpm))["tempo_bpm"] == pytest.approx(tempo_bpm, rel=0.04)


def test_brighter_sounds_have_higher_centroid_rolloff_and_crossings() -> None:
    found = [measure(tones((step,))) for step in (0, 12, 24, 36)]
    for name in ("centroid_hz_mean", "rolloff_hz_mean", "zero_crossing_rate_mean"):
        values = [row[name] for row in found]
        assert values == sorted(values)
        assert values[-1] > 3 * values[0]


def test_louder_sound_has_higher_rms_and_the_same_chroma() -> None:
    quiet, loud = measure(0.1 * tones((0, 4, 7))), measure(tones((0, 4, 7)))
    assert loud["rms_mean"] == pytest.approx(10 * quiet["rms_mean"], rel=1e-3)
    assert loud["chroma_9_mean"] == pytest.approx(quiet["chroma_9_mean"], abs=1e-3)


def test_unusable_files_are_absent_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = {name: tmp_path / f"{name}.wav" for name in ("good", "empty", "short", "silent")}
    soundfile.write(paths["good"], tones((0,)), RATE_HZ)
    soundfile.write(paths["short"], tones((0,), duration_s=0.2), RATE_HZ)
    soundfile.write(paths["silent"], np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ)
    paths["empty"].write_bytes(b"")
    paths["nan"] = tmp_path / "nan.wav"
    soundfile.write(paths["nan"], np.full(RATE_HZ, np.nan, np.float32), RATE_HZ, subtype="FLOAT")
    paths["no_samples"] = tmp_path / "no_samples.wav"
    soundfile.write(paths["no_samples"], np.zeros(0, dtype=np.float32), RATE_HZ)
    paths["gone"] = tmp_path / "gone.wav"
    data = audio(paths)
    with caplog.at_level(logging.WARNING):
        matrix = LibrosaAudio().encode(data)
    assert [data.items.ids[row] for row in np.flatnonzero(matrix.present)] == ["good"]
    assert "6 of 7 files cannot be used" in caplog.text
    assert "empty" in caplog.text
    assert "and 1 more" in caplog.text


def test_no_usable_file_at_all_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="None of the 2 rows"):
        LibrosaAudio().encode(audio({"a": tmp_path / "a.wav", "b": tmp_path / "b.mp3"}))


def test_stereo_and_other_sample_rates_describe_the_same_sound(tmp_path: Path) -> None:
    rate_hz = 44_100
    time_s = np.arange(2 * rate_hz) / rate_hz
    wave = 0.3 * np.sin(2 * np.pi * 440 * time_s)
    paths = {"mono": tmp_path / "mono.wav", "stereo": tmp_path / "stereo.flac"}
    soundfile.write(paths["mono"], wave[::2], rate_hz // 2)
    soundfile.write(paths["stereo"], np.stack([wave, wave], axis=1), rate_hz)
    matrix = LibrosaAudio().encode(audio(paths))
    centroid = matrix.values[:, matrix.names.index("centroid_hz_mean")]
    assert centroid[0] == pytest.approx(centroid[1], rel=0.02)


def test_only_the_first_seconds_are_read(tmp_path: Path) -> None:
    start, rest = tones((0,), duration_s=1.0), tones((24,), duration_s=1.0)
    paths = {"a": tmp_path / "a.wav", "b": tmp_path / "b.wav"}
    soundfile.write(paths["a"], start, RATE_HZ)
    soundfile.write(paths["b"], np.concatenate([start, rest]), RATE_HZ)
    cut = LibrosaAudio(max_duration_s=1.0).encode(audio(paths)).values
    np.testing.assert_array_equal(cut[0], cut[1])


@pytest.mark.parametrize(
    "arguments",
    [{"sample_rate_hz": 8_000}, {"max_duration_s": 0.1}, {"num_mfcc": 0}, {"num_workers": 0}],
)
def test_arguments_out_of_range_are_refused_by_name(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(arguments))):
        LibrosaAudio(**arguments)  # type: ignore[arg-type]
