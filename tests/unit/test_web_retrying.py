"""How often a service is asked, how long between, and what comes of it; no time passes here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from musicrag.sources.web.contract import TransientError
from musicrag.sources.web.retrying import (
    GarbledError,
    RateLimit,
    Retry,
    UnansweredError,
    UnusableError,
    check_status,
    retry_after,
)
from musicrag.types import InputError


class Clock:
    def __init__(self) -> None:
        self.now, self.sleeps = 100.0, list[float]()

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def policy(clock: Clock, attempts: int = 5, longest_wait_s: float = 60.0) -> Retry:
    return Retry(attempts, 1.0, longest_wait_s, clock.sleep, clock.time, clock.time)


def ask(outcomes: Iterator[Exception | str]) -> str:
    outcome = next(outcomes)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def test_waits_grow_twofold_with_jitter_and_never_pass_the_bound() -> None:
    clock = Clock()
    failures: list[Exception | str] = [UnansweredError("HTTP 500")] * 7
    outcomes = iter([*failures, "answer"])
    assert policy(clock, 8, 10.0).call("X", lambda: ask(outcomes)) == "answer"
    for number, wait in enumerate(clock.sleeps):
        assert min(2.0**number, 10.0) <= wait <= min(2.0**number + 1, 10.0)
    assert len(clock.sleeps) == 7
    assert len({wait % 1 for wait in clock.sleeps[:3]}) == 3


def test_gives_up_with_a_message_that_says_what_to_do() -> None:
    clock = Clock()
    outcomes = iter([UnansweredError("HTTP 500")] * 3)
    with pytest.raises(TransientError) as caught:
        policy(clock, 3).call("Last.fm", lambda: ask(outcomes))
    expected = "Last.fm did not answer in 3 attempts (HTTP 500). Try again later."
    assert str(caught.value) == expected
    assert len(clock.sleeps) == 2


def test_waits_exactly_as_long_as_asked() -> None:
    clock = Clock()
    outcomes = iter([UnansweredError("HTTP 429", 42.0), UnansweredError("HTTP 429", 0.0), "answer"])
    assert policy(clock).call("X", lambda: ask(outcomes)) == "answer"
    assert clock.sleeps == [42.0, 0.0]


def test_wait_that_is_too_long_ends_the_attempts_at_once() -> None:
    clock = Clock()
    outcomes = iter([UnansweredError("HTTP 429", 61.0), "answer"])
    with pytest.raises(TransientError, match=r"wants a pause of 61 s .*Try again later"):
        policy(clock).call("X", lambda: ask(outcomes))
    assert clock.sleeps == []


def test_garbled_body_is_asked_for_again_and_then_unusable() -> None:
    clock = Clock()
    once = iter([GarbledError("cut"), "answer"])
    assert policy(clock).call("X", lambda: ask(once)) == "answer"
    always = iter([GarbledError("cut", "body")] * 5)
    with pytest.raises(UnusableError, match="cut"):
        policy(clock).call("X", lambda: ask(always))
    assert len(clock.sleeps) == 1 + 4


@pytest.mark.parametrize("error", [UnusableError("shape"), InputError("key"), KeyError("bug")])
def test_nothing_else_is_asked_again(error: Exception) -> None:
    clock = Clock()
    outcomes = iter([error, "answer"])
    with pytest.raises(type(error)):
        policy(clock).call("X", lambda: ask(outcomes))
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 09:28:10 +0200", 10.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value, lambda: 1445412480.0) == seconds


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_busy_statuses_are_worth_another_attempt(status: int) -> None:
    with pytest.raises(UnansweredError, match=f"HTTP {status}") as caught:
        check_status(status, {"Retry-After": "7"}, "", "refused", lambda: 0.0)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("status", [204, 301, 400, 404, 410])
def test_other_statuses_are_unusable(status: int) -> None:
    with pytest.raises(UnusableError, match=f"HTTP {status}") as caught:
        check_status(status, {}, "body", "refused", lambda: 0.0)
    assert caught.value.body == "body"
    assert not isinstance(caught.value, GarbledError)


def test_rate_limit_waits_only_for_what_is_left_of_the_interval() -> None:
    clock = Clock()
    limit = RateLimit(1.0, clock.time, clock.sleep)
    limit.wait()
    limit.wait()
    clock.now += 0.75
    limit.wait()
    clock.now += 5.0
    limit.wait()
    assert clock.sleeps == pytest.approx([1.0, 0.25])
