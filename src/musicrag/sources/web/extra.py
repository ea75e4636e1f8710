"""The optional packages that talk to services, and what to say where they are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from musicrag.types import InputError


@contextmanager
def sync_extra() -> Iterator[None]:
    """Wrap the imports of a module that needs the ``sync`` extra.

    Raises:
        InputError: one of the packages is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed, and web sources need it: pip install 'musicrag[sync]'"
        ) from error
