"""Descriptors over one shared STFT equal librosa's plain calls on the waveform."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from musicrag.features.audio.descriptors import describe, descriptor_names, frame_descriptors

RATES_HZ = (16_000, 22_050)


def sound(rate_hz: int) -> np.ndarray:
    """Three seconds of a decaying chord with noise and a beat."""
    rng = np.random.default_rng(0)
    time_s = np.arange(3 * rate_hz) / rate_hz
    chord = sum(np.sin(2 * np.pi * f * time_s) for f in (196.0, 246.9, 293.7, 1174.7))
    beat = np.exp(-8 * (time_s % 0.5))
    return (0.2 * beat * chord + 0.02 * rng.normal(size=len(time_s))).astype(np.float32)


def plain(waveform: np.ndarray, rate_hz: int, num_mfcc: int) -> dict[str, np.ndarray]:
    feature, onset_strength = librosa.feature, librosa.onset.onset_strength
    return {
        "mfcc": feature.mfcc(y=waveform, sr=rate_hz, n_mfcc=num_mfcc),
        "chroma": feature.chroma_stft(y=waveform, sr=rate_hz, tuning=0.0),
        "contrast": feature.spectral_contrast(y=waveform, sr=rate_hz),
        "centroid": feature.spectral_centroid(y=waveform, sr=rate_hz),
        "bandwidth": feature.spectral_bandwidth(y=waveform, sr=rate_hz),
        "rolloff": feature.spectral_rolloff(y=waveform, sr=rate_hz),
        "zero_crossing_rate": feature.zero_crossing_rate(y=waveform),
        "rms": feature.rms(y=waveform),
        "onset": onset_strength(y=waveform, sr=rate_hz)[None],
        "pulse": onset_strength(y=waveform, sr=rate_hz, aggregate=np.median)[None],
    }


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_frames_equal_the_plain_calls(rate_hz: int) -> None:
    waveform = sound(rate_hz)
    expected = plain(waveform, rate_hz, num_mfcc=13)
    found = frame_descriptors(waveform, rate_hz, num_mfcc=13)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


def test_vector_holds_means_deviations_and_librosa_s_tempo() -> None:
    waveform = sound(22_050)
    stacked = np.concatenate(list(plain(waveform, 22_050, 20).values()))
    vector = describe(waveform, 22_050, 20)
    names = descriptor_names(20)
    assert len(vector) == len(names) == 2 * len(stacked) + 5
    np.testing.assert_allclose(vector[: len(stacked)], stacked.mean(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        vector[len(stacked) : 2 * len(stacked)], stacked.std(axis=1), rtol=1e-3, atol=1e-4
    )
    tempo = librosa.feature.tempo(y=waveform, sr=22_050)
    assert vector[names.index("tempo_bpm")] == pytest.approx(float(tempo[0]))
    tempo, _ = librosa.beat.beat_track(y=waveform, sr=22_050)
    assert vector[names.index("pulse_tempo_bpm")] == pytest.approx(float(tempo[0]))
    rolloff = librosa.feature.spectral_rolloff(y=waveform, sr=22_050)
    assert vector[names.index("rolloff_hz_mean")] == pytest.approx(rolloff.mean(), rel=1e-4)
    chroma = librosa.feature.chroma_stft(y=waveform, sr=22_050, tuning=0.0)
    assert vector[names.index("chroma_7_std")] == pytest.approx(chroma[7].std(), rel=1e-3)
