"""Sound files become one vector each, by librosa; a file that cannot be used leaves its item out.

Reads, mixes to mono, resamples and cuts; what is measured then stands in
:mod:`musicrag.features.audio.descriptors`. Paths are opened as they stand in the table: a source
has already made them absolute.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from musicrag.contracts import Dataset, FeatureMatrix
from musicrag.features.audio.descriptors import (
    LOWEST_SAMPLE_RATE_HZ,
    describe,
    descriptor_names,
)
from musicrag.features.rows import ItemRows
from musicrag.types import FloatArray, InputError, Modality

logger = logging.getLogger(__name__)

MIN_DURATION_S = 0.5
SILENCE = 1e-4
"""Peak amplitude (-80 dBFS) below which a file counts as silent."""
_NUM_NAMED = 5  # unusable files that the warning names


class LibrosaAudio:
    """MFCC, chroma, contrast, centroid, bandwidth, rolloff, crossings, RMS, onsets, tempo, mode.

    Args:
        sample_rate_hz: files are resampled to it, ≥ 16,000.
        max_duration_s: seconds read from the start of a file, ≥ 0.5.
        num_mfcc: cepstral coefficients, 1 to 128.
        num_workers: processes; 1 stays in this one. With more, a script needs the usual
            ``if __name__ == "__main__"`` guard, since workers are spawned.
    """

    modality: ClassVar[Modality] = "audio"
    requires: ClassVar[str] = "audio"
    is_rowwise: ClassVar[bool] = True

    def __init__(
        self,
        sample_rate_hz: int = 22_050,
        max_duration_s: float = 30.0,
        num_mfcc: int = 20,
        num_workers: int = 1,
    ) -> None:
        limits = {
            "sample_rate_hz": (sample_rate_hz, LOWEST_SAMPLE_RATE_HZ, 384_000),
            "max_duration_s": (max_duration_s, MIN_DURATION_S, float("inf")),
            "num_mfcc": (num_mfcc, 1, 128),
            "num_workers": (num_workers, 1, 1024),
        }
        for name, (value, lowest, highest) in limits.items():
            if not lowest <= value <= highest:
                raise InputError(f"{name} must be from {lowest} to {highest}, got {value}.")
        self.sample_rate_hz = sample_rate_hz
        self.max_duration_s = max_duration_s
        self.num_mfcc = num_mfcc
        self.num_workers = num_workers

    def encode(self, dataset: Dataset) -> FeatureMatrix:
        rows = ItemRows.read(dataset, self.requires)
        paths = [str(path) for path in rows.frame["path"]]
        names = descriptor_names(self.num_mfcc)
        values = np.zeros((len(paths), len(names)), dtype=np.float32)
        problems: dict[int, str] = {}
        for row, result in enumerate(self._measure_all(paths)):
            if isinstance(result, str):
                problems[row] = result
            else:
                values[row] = result
        is_usable = np.array([row not in problems for row in range(len(paths))], dtype=bool)
        if problems:
            _warn(problems, rows.frame["item_id"].tolist(), paths)
        return rows.matrix(values, names, "librosa", is_usable)

    def _measure_all(self, paths: Sequence[str]) -> Iterable[FloatArray | str]:
        """Results in the order of ``paths``, behind a progress bar."""
        from tqdm import tqdm

        measure = functools.partial(
            measure_file,
            sample_rate_hz=self.sample_rate_hz,
            max_duration_s=self.max_duration_s,
            num_mfcc=self.num_mfcc,
        )
        progress = functools.partial(tqdm, total=len(paths), desc="librosa", disable=None)
        if self.num_workers == 1 or len(paths) < 2:
            yield from progress(map(measure, paths))
            return
        # Spawned, not forked: a fork of a process with running threads (torch, numba) may hang.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            self.num_workers, mp_context=spawn, initializer=_use_one_thread
        ) as pool:
            yield from progress(pool.map(measure, paths, chunksize=8))


def measure_file(
    path: str, sample_rate_hz: int, max_duration_s: float, num_mfcc: int
) -> FloatArray | str:
    """Return the descriptors of a sound file, or the reason why it has none."""
    import audioread  # type: ignore[import-untyped]
    import librosa

    try:
        waveform = _read(path, sample_rate_hz, max_duration_s)
        if len(waveform) < MIN_DURATION_S * sample_rate_hz:
            return f"shorter than {MIN_DURATION_S} s"
        if not np.abs(waveform).max() >= SILENCE:  # also true for NaN
            return "silent"
        values = describe(waveform, sample_rate_hz, num_mfcc)
    except (
        OSError,
        RuntimeError,  # soundfile.LibsndfileError
        EOFError,
        audioread.DecodeError,
        librosa.ParameterError,
    ) as error:
        return f"{type(error).__name__} {error}".strip()
    return values if np.isfinite(values).all() else "features are not finite"


def _read(path: str, sample_rate_hz: int, max_duration_s: float) -> FloatArray:
    import librosa

    with warnings.catch_warnings():
        # librosa announces the decoder it falls back to for m4a and the like.
        warnings.filterwarnings("ignore", "PySoundFile failed", UserWarning)
        warnings.filterwarnings("ignore", "librosa.core.audio.__audioread_load", FutureWarning)
        waveform: npt.NDArray[np.float32]
        waveform, _ = librosa.load(path, sr=sample_rate_hz, mono=True, duration=max_duration_s)
    return waveform


def _use_one_thread() -> None:
    """Keep the processes from starting as many BLAS threads each as the machine has cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(limits=1)


def _warn(problems: dict[int, str], item_ids: list[str], paths: list[str]) -> None:
    named = [
        f"{item_ids[row]} ({paths[row]}: {reason})"
        for row, reason in list(problems.items())[:_NUM_NAMED]
    ]
    rest = f" and {len(problems) - _NUM_NAMED} more" if len(problems) > _NUM_NAMED else ""
    logger.warning(
        "audio: %d of %d files cannot be used, their items count as absent: %s%s",
        len(problems),
        len(paths),
        "; ".join(named),
        rest,
    )
