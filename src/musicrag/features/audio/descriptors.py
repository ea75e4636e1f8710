"""A waveform becomes one vector of timbre, harmony, loudness and rhythm.

All spectral descriptors are librosa's own functions over one shared STFT: the values are those of
the plain calls with ``y=`` (parity-tested), in about half the time. ``tuning`` is fixed at 0.0,
which is what makes chroma cheap and independent of clip length; ``rms`` stays on the waveform,
because librosa's ``rms(S=)`` is another quantity. Knows nothing of files or items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musicrag.types import FloatArray

NUM_CHROMA = 12
NUM_CONTRAST_BANDS = 7
LOWEST_SAMPLE_RATE_HZ = 16_000
"""The highest contrast band starts at 6.4 kHz, which has to lie below half the sample rate."""
_SINGLE = (
    "centroid_hz",
    "bandwidth_hz",
    "rolloff_hz",
    "zero_crossing_rate",
    "rms",
    "onset",
    "pulse",
)
_TEMPI = ("tempo_bpm", "pulse_tempo_bpm")

_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


def descriptor_names(num_mfcc: int) -> tuple[str, ...]:
    """Names of :func:`describe`'s values, in order."""
    frames = (
        *(f"mfcc_{i}" for i in range(num_mfcc)),
        *(f"chroma_{i}" for i in range(NUM_CHROMA)),
        *(f"contrast_{i}" for i in range(NUM_CONTRAST_BANDS)),
        *_SINGLE,
    )
    means = tuple(f"{name}_mean" for name in frames)
    deviations = tuple(f"{name}_std" for name in frames)
    return (*means, *deviations, *_TEMPI, "major_fit", "minor_fit", "mode")


def describe(waveform: FloatArray, sample_rate_hz: int, num_mfcc: int) -> FloatArray:
    """Mean and deviation of each frame descriptor, then tempi and mode.

    Args:
        waveform: mono samples, half a second at least. Shape ``[num_samples]``.
        sample_rate_hz: ≥ 16,000.
        num_mfcc: cepstral coefficients, 1 to 128.

    Returns:
        Shape ``[2 * (num_mfcc + 26) + 5]``.
    """
    import librosa

    frames = frame_descriptors(waveform, sample_rate_hz, num_mfcc)
    stacked = np.concatenate(list(frames.values()))  # [num_mfcc + 26, num_frames]
    tempi = [
        librosa.feature.tempo(onset_envelope=frames[name][0], sr=sample_rate_hz)
        for name in ("onset", "pulse")
    ]
    mode = mode_fit(frames["chroma"].mean(axis=1))
    return np.concatenate([stacked.mean(axis=1), stacked.std(axis=1), *tempi, mode]).astype(
        np.float32
    )


def frame_descriptors(
    waveform: FloatArray, sample_rate_hz: int, num_mfcc: int
) -> dict[str, npt.NDArray[np.floating]]:
    """Every descriptor per frame, from one STFT. Each has shape ``[size, num_frames]``.

    ``onset`` is the mean over bands, which also hears a single tone start; ``pulse`` the median, as
    in ``librosa.beat.beat_track``, which hears events in most bands at once, such as drums.
    """
    import librosa

    rate = sample_rate_hz
    feature = librosa.feature
    magnitude = np.abs(librosa.stft(waveform))  # [num_bins, num_frames]
    power = magnitude**2
    mel_db = librosa.power_to_db(feature.melspectrogram(S=power, sr=rate))
    centroid = feature.spectral_centroid(S=magnitude, sr=rate)
    return {
        "mfcc": feature.mfcc(S=mel_db, sr=rate, n_mfcc=num_mfcc),
        "chroma": feature.chroma_stft(S=power, sr=rate, tuning=0.0),
        "contrast": feature.spectral_contrast(S=magnitude, sr=rate),
        "centroid": centroid,
        "bandwidth": feature.spectral_bandwidth(S=magnitude, sr=rate, centroid=centroid),
        "rolloff": feature.spectral_rolloff(S=magnitude, sr=rate),
        "zero_crossing_rate": feature.zero_crossing_rate(waveform),
        "rms": feature.rms(y=waveform),
        "onset": librosa.onset.onset_strength(S=mel_db, sr=rate)[None],
        "pulse": librosa.onset.onset_strength(S=mel_db, sr=rate, aggregate=np.median)[None],
    }


def mode_fit(chroma: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """How well a mean chroma fits the best major key, the best minor key, and their difference.

    The fit is the Pearson correlation with a key profile, maximal over the twelve tonics; the
    third value is positive for major and negative for minor. A chroma without any shape gives 0.

    Source: Krumhansl & Kessler (1982) profiles, as in Krumhansl (1990), Cognitive Foundations of
    Musical Pitch.

    Args:
        chroma: energy of C, C sharp, … B. Shape ``[12]``.

    Returns:
        Shape ``[3]``.
    """
    centred = chroma.astype(np.float64) - chroma.mean()
    length = float(np.linalg.norm(centred))
    if length < 1e-9:
        return np.zeros(3)
    fits = []
    for profile in (_MAJOR, _MINOR):
        keys = np.stack([np.roll(profile, tonic) for tonic in range(NUM_CHROMA)])
        keys -= profile.mean()
        fits.append(float((keys @ centred).max() / (np.linalg.norm(keys[0]) * length)))
    return np.array([*fits, fits[0] - fits[1]])
