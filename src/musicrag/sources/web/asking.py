"""How the web sources ask: one HTTP client under one policy, and one outcome for each unit.

A unit gives all its rows or none: whatever cannot be read makes the whole unit a reject, so that
a merge never takes half an answer for a whole one. Knows no service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from musicrag.contracts import RawTables
from musicrag.sources.web.contract import Harvest, Reject
from musicrag.sources.web.credentials import Secrets
from musicrag.sources.web.extra import sync_extra
from musicrag.sources.web.retrying import (
    GarbledError,
    RateLimit,
    Retry,
    UnansweredError,
    UnusableError,
)
from musicrag.types import InputError

with sync_extra():
    import httpx

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What came back, whole; ``headers`` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: str


class Web:
    """Sends requests one after another, at a bounded rate, again where that may help.

    Args:
        service: its name in messages.
        retry: the policy.
        interval_s: least time between two requests, in seconds.
        timeout_s: longest wait for a connection, and for each piece of an answer, in seconds.
        headers: sent along with each request.
    """

    def __init__(
        self,
        service: str,
        retry: Retry,
        interval_s: float,
        timeout_s: float,
        headers: Mapping[str, str],
    ) -> None:
        self._service, self.retry = service, retry
        self._limit = RateLimit(interval_s, retry.clock, retry.sleep)
        self._client = httpx.Client(timeout=timeout_s, headers=dict(headers))

    def get(self, url: str, params: Mapping[str, str], read: Callable[[Answer], T]) -> T:
        """Ask by GET; ``read`` may raise what :mod:`retrying` knows, and counts as the attempt."""
        return self._ask(lambda: self._client.build_request("GET", url, params=params), read)

    def post(self, url: str, form: Mapping[str, str], read: Callable[[Answer], T]) -> T:
        """Ask by POST of a form."""
        return self._ask(lambda: self._client.build_request("POST", url, data=form), read)

    def _ask(self, build: Callable[[], httpx.Request], read: Callable[[Answer], T]) -> T:
        def attempt() -> T:
            self._limit.wait()
            return read(self._send(build()))

        return self.retry.call(self._service, attempt)

    def _send(self, request: httpx.Request) -> Answer:
        try:
            response = self._client.send(request, stream=True)
        except httpx.TimeoutException:
            raise UnansweredError("no answer in time") from None
        except httpx.TransportError as error:
            raise UnansweredError(f"the connection failed: {type(error).__name__}") from None
        try:
            content = response.read()
        except httpx.TimeoutException:
            raise UnansweredError("the answer stopped") from None
        except (httpx.RemoteProtocolError, httpx.DecodingError):
            raise GarbledError("the answer breaks off") from None
        except httpx.TransportError as error:
            raise UnansweredError(f"the connection failed: {type(error).__name__}") from None
        finally:
            response.close()
        return Answer(response.status_code, response.headers, decode(content))


def decode(content: bytes) -> str:
    """UTF-8 text; all three services promise it.

    Raises:
        GarbledError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise GarbledError("the answer is not UTF-8", content.decode("utf-8", "replace")) from None


def check_url(base_url: str) -> str:
    """The address with one slash at its end.

    Raises:
        InputError: it does not start with ``https://`` or ``http://``.
    """
    if not base_url.startswith(("https://", "http://")):
        raise InputError(f"base_url must start with https:// or http://, got {base_url!r}.")
    return base_url.rstrip("/") + "/"


def harvest(source: str, unit: str, secrets: Secrets, collect: Callable[[], RawTables]) -> Harvest:
    """Run ``collect``; an answer that cannot be used becomes a reject without any rows."""
    try:
        tables = collect()
    except UnusableError as error:
        reason, excerpt = secrets.scrub(error.reason), secrets.excerpt(error.body)
        _log.warning("%s %s: rejected: %s", source, unit, reason)
        return Harvest({}, (Reject(source, unit, reason, excerpt),))
    counts = ", ".join(f"{name} {len(rows)}" for name, rows in tables.items()) or "nothing"
    _log.info("%s %s: %s", source, unit, counts)
    return Harvest(tables)
