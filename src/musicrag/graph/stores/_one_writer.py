"""One writer at a time: a lock beside a file that ends with the process, however it ends.

Readers take no lock: a file is replaced as a whole, so they see the old one or the new one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicrag.types import InputError

_PAUSE_S = 0.05


@contextmanager
def one_writer(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the right to replace ``path``; the lock file beside it is gone afterwards.

    Raises:
        InputError: another process still writes after ``timeout_s`` seconds.
    """
    lock = path.with_name(f".{path.name}.lock")
    deadline = time.monotonic() + timeout_s
    while (handle := _try_lock(lock)) is None:
        if time.monotonic() >= deadline:
            raise InputError(
                f"{path} is locked: another process is writing to it. Wait until that one is done "
                f"and start again, or give this graph a path of its own."
            )
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def refuse_if_locked(path: Path) -> None:
    """Raise :class:`InputError` if another program has the database open to write."""
    if not path.exists():
        return
    with path.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # the kind of lock that Ladybug takes
        except BlockingIOError as error:
            raise InputError(
                f"{path} is locked: another program has it open to write. Close that one and start "
                f"again, or give this graph a path of its own."
            ) from error


def _try_lock(lock: Path) -> int | None:
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before us may have removed this very file: then the lock locks nothing.
        if os.fstat(handle).st_ino == os.stat(lock).st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None
