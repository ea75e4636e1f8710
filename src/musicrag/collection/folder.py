"""A collection on disk: versions that never change, and one name that says which is current.

    <collection>/versions/<number>/   whole or absent
    <collection>/current              the number of the current version, replaced in one step
    <collection>/writer.lock          held by the one process that writes

A reader that opens the current version has all of it; a writer that is killed leaves nothing but
a draft, which the next writer removes.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from musicrag import artifacts
from musicrag.collection import storing
from musicrag.collection.contents import Contents
from musicrag.collection.delta import Delta
from musicrag.collection.growth import require_grown
from musicrag.types import InputError

log = logging.getLogger(__name__)

_VERSIONS, _CURRENT, _LOCK = "versions", "current", "writer.lock"
_NUM_KEPT = 2
_NUM_ATTEMPTS = 5


class Collection:
    """One folder. Opening it is cheap and reads nothing; see :meth:`create` for a new one."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = FileLock(self.path / _LOCK)

    @classmethod
    def create(cls, path: Path, contents: Contents) -> Collection:
        """Make a collection of its first version.

        Raises:
            InputError: the folder holds something, or the graph is not that of the tables.
        """
        cls.require_new(path)
        require_grown(contents)
        collection = cls(path)
        collection.path.mkdir(parents=True, exist_ok=True)
        with collection.writing():
            cls.require_new(path)  # another process may have made one meanwhile
            collection.publish(contents)
        return collection

    @classmethod
    def require_new(cls, path: Path) -> None:
        """Refuse a folder in which no collection can be made, before hours are spent on one.

        Raises:
            InputError: it holds a collection, which may have grown since, or something else.
        """
        collection = cls(path)
        if collection.exists:
            raise InputError(
                f"{path} holds a collection already, of version {collection.version}. Name "
                "another folder, or remove this one if nothing in it is needed."
            )
        strange = [f.name for f in _listing(collection.path) if f.name not in (_VERSIONS, _LOCK)]
        strange = [name for name in strange if not name.startswith(f".{_CURRENT}.")]
        if strange or collection.path.is_file():
            raise InputError(
                f"{path} is no collection but holds {', '.join(strange[:3]) or 'a file'}. Name a "
                "folder that is empty or does not exist yet."
            )

    @property
    def exists(self) -> bool:
        """Whether a version was ever published here."""
        return (self.path / _CURRENT).is_file()

    @property
    def version(self) -> int:
        """Number of the current version.

        Raises:
            InputError: there is no collection here, or its file ``current`` is damaged.
        """
        if not self.exists:
            raise InputError(
                f"{self.path} holds no collection. Publish one from a finished run, or correct "
                "the path."
            )
        text = (self.path / _CURRENT).read_text(encoding="utf-8").strip()
        if not text.isdigit():
            raise InputError(
                f"{self.path / _CURRENT} says {text[:40]!r}, which is no version number. Write "
                f"the highest number below {self.path / _VERSIONS} into it."
            )
        return int(text)

    def folder(self, version: int) -> Path:
        """Where a version lies, or would lie."""
        return self.path / _VERSIONS / f"{version:06d}"

    def read(self) -> Contents:
        """The current version; another process may publish meanwhile.

        Raises:
            InputError: there is no collection, or its current version is damaged.
        """
        return self.read_with_version()[1]

    def read_with_version(self) -> tuple[int, Contents]:
        """The current version's number and contents; see :meth:`read`."""
        for _ in range(_NUM_ATTEMPTS):
            version = self.version
            try:
                return version, storing.read(self.folder(version))
            except (InputError, OSError) as error:
                if self.version == version:  # else two versions came meanwhile, and ours went
                    raise InputError(
                        f"Version {version} of {self.path} is damaged: {error} An earlier "
                        f"version may lie beside it; its number belongs into {_CURRENT}."
                    ) from error
        raise InputError(f"{self.path} changes faster than it can be read. Try again.")

    def manifest(self) -> storing.Manifest:
        """What the current version says of itself, without reading it."""
        return storing.read_manifest(self.folder(self.version))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock, and clean up after a writer that was killed.

        Raises:
            InputError: another process is writing, or there is no folder.
        """
        if not self.path.is_dir():
            raise InputError(f"{self.path} holds no collection. Publish one, or correct the path.")
        try:
            with self._lock.acquire(timeout=0):
                if self._lock.lock_counter == 1:
                    self._remove_drafts()
                yield
        except Timeout as error:
            raise InputError(
                f"Another process is writing to {self.path}. Wait until it is done, then run the "
                "same command again."
            ) from error

    def publish(
        self, contents: Contents, delta: Delta | None = None, journal: str | None = None
    ) -> int:
        """Make contents the current version; readers see the old one or all of the new one.

        Args:
            contents: what to write.
            delta: the way from the graph of the current version; None writes the graph anew.
            journal: id of the sync that this version is the result of.

        Returns:
            Its number.
        """
        started = time.perf_counter()
        with self.writing():
            last = self.version if self.exists else 0
            base = self.folder(last) if last else None
            journals = self.manifest().journals if last else ()
            if journal is not None:
                journals = (*journals, journal)
            target = self.folder(last + 1)
            with artifacts.atomic_folder(target) as draft:
                storing.write(contents, draft, journals, base, delta)
            artifacts.write_text(self.path / _CURRENT, f"{last + 1}\n")
            for number in self._numbers():
                if number <= last + 1 - _NUM_KEPT:
                    shutil.rmtree(self.folder(number))
        seconds = time.perf_counter() - started
        log.info("%s: version %d published; %.1f s", self.path, last + 1, seconds)
        return last + 1

    def _numbers(self) -> list[int]:
        """Versions that lie here, whole."""
        names = [found.name for found in _listing(self.path / _VERSIONS)]
        return sorted(int(name) for name in names if name.isdigit())

    def _remove_drafts(self) -> None:
        """Remove what killed writers left: half versions, and whole ones never made current."""
        current = self.version if self.exists else 0
        left = [found for found in _listing(self.path / _VERSIONS) if found.suffix == ".part"]
        for cut_off in self.path.glob(f".{_CURRENT}.*.part"):
            cut_off.unlink()
        left += [self.folder(number) for number in self._numbers() if number > current]
        for draft in left:
            log.warning("%s: removed the draft of a writer that did not finish", draft)
            shutil.rmtree(draft)


def _listing(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
