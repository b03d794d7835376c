"""The stepped clock moves only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from shared.clock import (
    ClockUnreadableError,
    SteppedClock,
    SystemClock,
    format_instant,
    open_clock,
    parse_instant,
    step_clock,
)
from shared.settings import Environment, Settings

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def test_every_reader_sees_each_step(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    step_clock(path, START)
    settings = Settings(environment=Environment.DEMO, clock_file=path)
    readers = [SteppedClock(path), open_clock(settings)]
    for step in range(300):
        now = START + timedelta(seconds=step)
        step_clock(path, now)
        assert [reader.now() for reader in readers] == [now, now]
    assert [entry.name for entry in tmp_path.iterdir()] == ["clock"]


@pytest.mark.parametrize("content", [None, "", "2026-03-02T09:00:00", "soon"])
def test_an_unreadable_clock_is_said_so(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "clock"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClockUnreadableError, match="RFC 3339"):
        SteppedClock(path).now()


def test_the_machine_s_clock_is_the_default() -> None:
    clock = open_clock(Settings())
    assert isinstance(clock, SystemClock)
    assert clock.now().tzinfo is UTC


def test_instants_are_written_in_utc_with_z() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert format_instant(datetime(2026, 3, 2, 9, tzinfo=shanghai)) == "2026-03-02T01:00:00Z"
    assert parse_instant("2026-03-02T09:00:00+08:00") == START
    with pytest.raises(ValueError, match="offset"):
        format_instant(datetime(2026, 3, 2, 9))  # noqa: DTZ001 - what must be refused
