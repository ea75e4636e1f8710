"""Files that are either whole or absent, content hashes, and a content-addressed cache.

Everything that musicrag writes goes through here: into a temporary neighbour first, then one
atomic rename, so that a kill at any moment leaves the old file or the new one, never half of it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from musicrag.contracts import FeatureMatrix
from musicrag.types import InputError


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it replaces ``target`` in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; on success it becomes ``target`` in one step.

    If another process finished ``target`` meanwhile, that one stays and ours is dropped.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        yield temporary
        temporary.chmod(0o755)
        if not target.exists():
            try:
                os.replace(temporary, target)
            except OSError:
                if not target.is_dir():  # else it was finished since the look above
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    with atomic_file(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: Path, value: object) -> None:
    """Write sorted, indented JSON; NaN is refused, because JSON has none."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(source: Path) -> dict[str, object]:
    try:
        value = json.loads(source.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source} is not valid JSON ({error}). Delete it and run again."
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{source} must hold a JSON object. Delete it and run again.")
    return value


def write_parquet(target: Path, frame: pd.DataFrame) -> None:
    with atomic_file(target) as path:
        frame.to_parquet(path, index=False)


def hash_json(value: object) -> str:
    """Hex SHA-256 of the canonical JSON of ``value``; equal values hash equal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_frames(frames: Mapping[str, pd.DataFrame]) -> str:
    """Hex SHA-256 over the names, columns and values of frames, row order included."""
    digest = hashlib.sha256()
    for name in sorted(frames):
        frame = frames[name]
        digest.update(json.dumps([name, list(frame.columns), len(frame)]).encode())
        rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
        digest.update(np.ascontiguousarray(rows).tobytes())
    return digest.hexdigest()


def hash_file(source: Path) -> str:
    with source.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@lru_cache(maxsize=16)
def code_hash(package: str) -> str:
    """Hex SHA-256 over the Python files of an installed package: new code, new results."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{package!r} is no installed package.")
    root = Path(next(iter(spec.submodule_search_locations)))
    digest = hashlib.sha256()
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()


class Cache:
    """Content-addressed results below one folder: the key says everything that went in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def features(
        self, key: Mapping[str, object], compute: Callable[[], FeatureMatrix]
    ) -> FeatureMatrix:
        """Return the stored feature matrix for ``key``, computing and storing it if absent."""
        target = self.folder / "features" / f"{hash_json(dict(key))[:16]}.npz"
        if target.exists():
            with np.load(target, allow_pickle=False) as stored:
                return FeatureMatrix(
                    stored["values"],
                    stored["present"],
                    tuple(stored["names"].tolist()),
                    str(stored["encoder"]),
                )
        matrix = compute()
        with atomic_file(target) as path, path.open("wb") as handle:
            np.savez(
                handle,
                values=matrix.values,
                present=matrix.present,
                names=np.array(matrix.names, dtype=str),
                encoder=np.array(matrix.encoder),
            )
        return matrix
