"""In which order several services' facts go onto a topic that was made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from shared.redrive.restore import Entry, Order, merged

_NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def _entry(source: str, seconds: float, version: int | None, subject: str = "A") -> Entry:
    return Entry(source, "applications", subject, _NOON + timedelta(seconds=seconds), version)


async def _log(*entries: Entry) -> AsyncIterator[Entry]:
    for entry in entries:
        yield entry


async def _ordered(*logs: list[Entry], shared: bool = True) -> list[Entry]:
    order = Order(frozenset({"applications"} if shared else ()))
    found: list[Entry] = []
    async for entry in merged({str(n): _log(*log) for n, log in enumerate(logs)}):
        found += order.admit(entry)
    return found + list(order.rest())


async def test_logs_are_merged_by_the_moment_of_recording() -> None:
    first, second, third = _entry("i", 1, 1), _entry("r", 2, 2), _entry("i", 3, 3)
    assert await _ordered([first, third], [second]) == [first, second, third]


async def test_a_log_keeps_its_own_order_where_its_clock_was_set_back() -> None:
    first, second, other = _entry("i", 3600, 1), _entry("i", 1, 2), _entry("r", 3601, 3)
    assert await _ordered([first, second], [other]) == [first, second, other]


async def test_a_version_waits_for_the_one_before_it_wherever_that_comes_from() -> None:
    # review's clock is five seconds ahead
    submitted, approved, ordered = _entry("i", 1, 1), _entry("r", 7, 2), _entry("i", 3, 3)
    late = _entry("i", 4, None)
    assert await _ordered([submitted, ordered, late], [approved]) == [
        submitted, approved, ordered, late,
    ]  # fmt: skip


async def test_one_subject_holds_up_nobody_else() -> None:
    held, other = _entry("i", 1, 2), _entry("i", 2, 1, subject="B")
    before = _entry("r", 3, 1)
    assert await _ordered([held, other], [before]) == [other, before, held]


async def test_versions_that_no_log_has_hold_up_nothing_for_ever() -> None:
    imported, next_ = _entry("i", 1, 5), _entry("r", 2, 6)
    assert await _ordered([imported], [next_]) == [imported, next_]


async def test_versions_say_nothing_on_a_topic_of_one_publisher() -> None:
    first, second = _entry("i", 1, 7), _entry("i", 2, 3)
    assert await _ordered([first, second], shared=False) == [first, second]
