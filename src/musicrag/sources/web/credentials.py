"""Keys of services: where they come from, and how they stay out of everything that is written.

A key is read from the environment or, where that has none, from ``.env`` in the working folder; it
is never a setting, so it cannot end in a configuration that gets saved. A :class:`Secrets` blanks
it in texts, and :func:`guard_logs` blanks it in log records of this package and of the libraries.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

from musicrag.sources.web.extra import sync_extra
from musicrag.types import InputError

with sync_extra():
    from dotenv import dotenv_values

_BLANK = "[key removed]"
_EXCERPT_CHARS = 160

_LOGGERS = (
    "musicrag.sources.web.genius",
    "musicrag.sources.web.lastfm",
    "musicrag.sources.web.musicbrainz",
    "musicrag.sources.web.units",
    "pylast",
    "httpx",
    "httpx2",
    *(f"{core}.{part}" for core in ("httpcore", "httpcore2") for part in ("connection", "http11")),
    "lyricsgenius",
    "lyricsgenius.genius",
    "requests",
    "urllib3",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
"""A filter sees only records of its own logger, not of the loggers below it: so each is named."""


def read_key(variable: str, where: str, folder: Path | None = None) -> str:
    """Read a key from the environment, or from ``.env``.

    Args:
        variable: name of the variable, such as ``LASTFM_API_KEY``.
        where: where to get one, for the message.
        folder: folder of ``.env``; the working folder if ``None``.

    Raises:
        InputError: neither has it.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        path = (folder or Path.cwd()) / ".env"
        value = (dotenv_values(path).get(variable) or "").strip() if path.is_file() else ""
    if not value:
        raise InputError(
            f"{variable} is not set. Get one at {where}, then export {variable}=… or add the line "
            f"{variable}=… to .env."
        )
    if not value.isascii() or not value.isprintable():
        raise InputError(f"{variable} holds characters that no key has. Copy it again.")
    return value


class Secrets:
    """Blanks known keys in texts, as they are and as they look in a URL."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        spellings = {spell(key) for key in keys if key for spell in (str, quote, quote_plus)}
        # Longest first, so that no key is left half blanked by another that it contains.
        self._spellings = sorted(spellings, key=lambda text: (-len(text), text))

    def __repr__(self) -> str:
        return f"Secrets({len(self._spellings)} spellings)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secrets) and self._spellings == other._spellings

    def __hash__(self) -> int:
        return hash(tuple(self._spellings))

    def scrub(self, text: str) -> str:
        """The text without keys."""
        for spelling in self._spellings:
            text = text.replace(spelling, _BLANK)
        return text

    def excerpt(self, text: str) -> str:
        """The first characters on one line; scrubbed before the cut, or half a key would stay."""
        line = " ".join(self.scrub(text).split())
        return line if len(line) <= _EXCERPT_CHARS else line[: _EXCERPT_CHARS - 1] + "…"


class _Scrubber(logging.Filter):
    """Rewrites records that hold a key, their traceback included."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def __eq__(self, other: object) -> bool:  # a logger takes equal filters once
        return isinstance(other, _Scrubber) and self._secrets == other._secrets

    def __hash__(self) -> int:
        return hash(self._secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        clean = self._secrets.scrub(text)
        if clean != text:
            record.msg, record.args = clean, None
        self._scrub_trace(record)
        return True

    def _scrub_trace(self, record: logging.LogRecord) -> None:
        """The trace as text, where it holds a key: the exception itself cannot be rewritten."""
        trace = record.exc_text or ""
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
        clean = self._secrets.scrub(trace)
        if clean != trace:
            record.exc_text, record.exc_info = clean, None


def guard_logs(secrets: Secrets) -> None:
    """Blank the keys in all that this package and the libraries below it log from now on."""
    scrubber = _Scrubber(secrets)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(scrubber)
