"""``train.py`` for tests: in a fresh process or in this one, on a demo world of sixty songs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
TINY = (
    *("data.num_songs=60", "data.num_artists=12", "data.num_users=24", "data.num_playlists=8"),
    *("data.num_text_queries=6", "data.interactions_per_song=6", "data.audio_duration_s=0.5"),
    *("evaluation.depth=20", "+debug=fast"),
)
FAST_LYRICS = "features/lyrics=tfidf"


@dataclass(frozen=True)
class Finished:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


def command(words: Sequence[str], output_dir: Path) -> list[str]:
    """The words that start ``train.py`` in a fresh process."""
    return [sys.executable, str(ROOT / "train.py"), *words, f"paths.output_dir={output_dir}"]


def environment() -> dict[str, str]:
    """One thread a process, because tests run beside each other."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(words: Sequence[str], output_dir: Path) -> Finished:
    """Run ``train.py`` in a fresh process and wait for it."""
    done = subprocess.run(
        command(words, output_dir),
        cwd=output_dir.parent,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and what is in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
