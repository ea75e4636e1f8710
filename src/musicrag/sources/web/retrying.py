"""What happens when a service does not answer well: one policy for every client.

| answer | what it becomes |
|---|---|
| 408, 429, 5xx, time-out, lost connection | asked again, then :class:`TransientError` |
| 429 or 503 with ``Retry-After`` | asked again after that time, not before |
| a body that is broken or in another format | asked again, then :class:`UnusableError` |
| a body of another shape, another 4xx | :class:`UnusableError` at once: asking again cannot help |
| 401, 403 | ``InputError`` that names the variable of the key, never the key |

Waits grow exponentially with jitter. The libraries' own retries are off, so waits never multiply.
Sleep and clocks come in from outside: tests do not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from musicrag.sources.web.contract import TransientError
from musicrag.sources.web.extra import sync_extra
from musicrag.types import InputError

with sync_extra():
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
    from tenacity.wait import wait_exponential_jitter

T = TypeVar("T")

_BUSY = (408, 429)


class UnansweredError(Exception):
    """No answer this time; ``retry_after`` is the wait in seconds that the service asked for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class UnusableError(Exception):
    """An answer that cannot be used; ``body`` is what came, still with whatever it holds."""

    def __init__(self, reason: str, body: str = "") -> None:
        super().__init__(reason)
        self.reason, self.body = reason, body


class GarbledError(UnusableError):
    """A body that breaks off or is in another format: often the transport, so asked for again."""


class RateLimit:
    """Keeps calls at least ``interval_s`` seconds apart."""

    def __init__(
        self, interval_s: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._interval_s, self._clock, self._sleep = interval_s, clock, sleep
        self._next: float | None = None

    def wait(self) -> None:
        """Sleep until the next call is allowed."""
        if self._next is not None and (pause := self._next - self._clock()) > 0:
            self._sleep(pause)
        self._next = self._clock() + self._interval_s


@dataclass(frozen=True)
class Retry:
    """How often and how long to try; the same for all clients.

    Args:
        attempts: calls in all, at least 1.
        first_wait_s: wait after the first failure; doubled each time, plus up to as much jitter.
        longest_wait_s: bound of one wait. A service that asks for more is not asked again now, as
            coming back early would only be refused.
        sleep, clock, now: for tests; ``clock`` is monotonic, ``now`` is Unix time.
    """

    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time

    def call(self, service: str, ask: Callable[[], T]) -> T:
        """Call ``ask`` until it gives an answer.

        Raises:
            TransientError: it raised :class:`UnansweredError` each time.
            UnusableError: the answer cannot be used; :class:`GarbledError` after retries.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=retry_if_exception(self._is_worth_another),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(ask)
        except UnansweredError as failure:
            # ``from None``: the cause may hold the request, and the request holds the key.
            raise TransientError(self._gave_up(service, failure)) from None

    def _gave_up(self, service: str, failure: UnansweredError) -> str:
        if self._asks_too_much(failure):
            return (
                f"{service} wants a pause of {failure.retry_after:.0f} s ({failure.reason}), more "
                f"than the {self.longest_wait_s:.0f} s that one wait may take. Try again later."
            )
        return (
            f"{service} did not answer in {self.attempts} attempts ({failure.reason}). "
            "Try again later."
        )

    def _asks_too_much(self, failure: UnansweredError) -> bool:
        return failure.retry_after is not None and failure.retry_after > self.longest_wait_s

    def _is_worth_another(self, error: BaseException) -> bool:
        if isinstance(error, UnansweredError):
            return not self._asks_too_much(error)
        return isinstance(error, GarbledError)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, UnansweredError) and error.retry_after is not None:
            return error.retry_after
        backoff = wait_exponential_jitter(
            self.first_wait_s, self.longest_wait_s, jitter=self.first_wait_s
        )
        return backoff(state)


def check_status(
    status: int, headers: Mapping[str, str], body: str, refusal: str, now: Callable[[], float]
) -> None:
    """Pass for 200; otherwise raise what the table at the top of this module says.

    Args:
        headers: looked up by ``Retry-After``, so of a case-insensitive kind.
        refusal: the message for 401 and 403; says which variable to check.
        now: Unix time, to read a ``Retry-After`` that is a date.
    """
    if status in (401, 403):
        raise InputError(f"{refusal} (HTTP {status})")
    if status in _BUSY or status >= 500:
        raise UnansweredError(f"HTTP {status}", retry_after(headers.get("Retry-After"), now))
    if status != 200:
        raise UnusableError(f"HTTP {status}", body)


def retry_after(value: str | None, now: Callable[[], float]) -> float | None:
    """Seconds to wait, from a ``Retry-After`` of seconds or an HTTP date; ``None`` if neither."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # RFC 9110 dates are in GMT, also where "-0000" says nothing
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now())
