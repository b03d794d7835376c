"""When a system counts as away, and how it is noticed that it is back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.review.checks.breaker import AWAY, Breaker
from shared.parameters import load_checks
from tests.unit.review.builders import NOW

pytestmark = pytest.mark.asyncio

FAILURES = load_checks().outage.failures
PAUSE = timedelta(minutes=load_checks().outage.ask_again_minutes)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> object:
        return self.now


def away(clock: Clock, check: str = "bureau") -> Breaker:
    """A breaker of a system that has just stopped answering."""
    breaker = Breaker(check, clock)  # type: ignore[arg-type]
    for _ in range(FAILURES):
        breaker.failed()
    return breaker


async def test_a_system_is_away_after_so_many_failures_in_a_row_and_not_before() -> None:
    clock = Clock()
    breaker = Breaker("bureau", clock)  # type: ignore[arg-type]
    for _ in range(FAILURES - 1):
        assert not breaker.failed()
    breaker.answered()
    for number in range(1, FAILURES + 1):
        clock.now += timedelta(seconds=1)
        assert await breaker.may_ask()
        assert breaker.failed() is (number == FAILURES)
    assert breaker.away_since == NOW + timedelta(seconds=1)
    assert not await breaker.may_ask()


async def test_while_it_is_away_one_question_tells_and_the_others_wait_for_it() -> None:
    clock = Clock()
    breaker = away(clock)
    clock.now += PAUSE
    assert await breaker.may_ask()
    others = [asyncio.ensure_future(breaker.may_ask()) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(other.done() for other in others)
    breaker.answered()
    assert await asyncio.gather(*others) == [True] * 3
    assert breaker.away_since is None


async def test_a_question_that_is_not_answered_either_keeps_it_away_as_long_again() -> None:
    clock = Clock()
    breaker = away(clock)
    clock.now += PAUSE
    assert await breaker.may_ask()
    other = asyncio.ensure_future(breaker.may_ask())
    await asyncio.sleep(0)
    assert breaker.failed()
    assert await other is False
    clock.now += PAUSE - timedelta(seconds=1)
    assert not await breaker.may_ask()
    clock.now += timedelta(seconds=1)
    assert await breaker.may_ask()
    assert breaker.away_since == NOW


async def test_the_metric_says_which_system_is_away() -> None:
    def told(check: str) -> float:
        (metric,) = AWAY.collect()
        return next(one.value for one in metric.samples if one.labels == {"check": check})

    clock = Clock()
    breaker = away(clock, "watchlist")
    assert told("watchlist") == 1
    clock.now += PAUSE
    assert await breaker.may_ask()
    breaker.answered()
    assert told("watchlist") == 0
