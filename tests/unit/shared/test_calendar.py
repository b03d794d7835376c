"""Working days know the holidays and the make-up days, and refuse to guess a year."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import calendar
from shared.calendar import (
    CalendarEndsError,
    Urgency,
    add_working_days,
    add_working_hours,
    business_day,
    day_of,
    due_after,
    escalated_before,
    is_working_day,
    next_send_moment,
    span_of,
    urgency_of,
    working_days_between,
)
from shared.parameters import Calendar, load_clocks

DAYS = st.dates(date(2024, 1, 1), date(2026, 8, 31))


def test_national_day_2026_stops_the_clock_and_its_make_up_days_count() -> None:
    assert not is_working_day(date(2026, 10, 1))  # a Thursday
    assert not is_working_day(date(2026, 10, 7))
    assert is_working_day(date(2026, 9, 20))  # a Sunday, make-up day
    assert is_working_day(date(2026, 10, 10))  # a Saturday, make-up day
    assert add_working_days(date(2026, 9, 30), 3) == date(2026, 10, 10)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-03T10:00", 8, "2026-11-04T10:00"),
        ("2026-11-03T10:00", 7, "2026-11-03T17:00"),
        ("2026-11-03T06:00", 1, "2026-11-03T10:00"),
        ("2026-11-03T17:00", 1, "2026-11-04T10:00"),
        ("2026-11-06T16:00", 2, "2026-11-09T10:00"),  # over a weekend
        ("2026-09-30T16:00", 2, "2026-10-08T10:00"),  # over the National Day
        ("2099-11-07T10:00", 1, "2099-11-07T11:00"),  # nobody knows: every day counts
    ],
)
def test_working_hours_pass_on_working_days_between_opening_and_closing(
    start: str, hours: int, end: str
) -> None:
    begun = datetime.fromisoformat(f"{start}+08:00")
    found = add_working_hours(begun, hours, time(9), time(17))
    assert found == datetime.fromisoformat(f"{end}+08:00")


def test_an_office_opens_before_it_closes() -> None:
    with pytest.raises(ValueError, match="before it closes"):
        add_working_hours(datetime(2026, 11, 3, tzinfo=UTC), 1, time(9), time(9))


@given(DAYS, st.integers(1, 60))
def test_counting_is_the_inverse_of_adding(day: date, count: int) -> None:
    end = add_working_days(day, count)
    assert is_working_day(end)
    assert working_days_between(day, end) == count
    assert working_days_between(end, day) == -count


def test_adding_none_gives_the_day_itself_or_the_next_working_day() -> None:
    assert add_working_days(date(2026, 11, 23), 0) == date(2026, 11, 23)
    assert add_working_days(date(2026, 11, 21), 0) == date(2026, 11, 23)
    with pytest.raises(ValueError, match="forward"):
        add_working_days(date(2026, 11, 23), -1)


def test_a_year_without_a_notice_is_refused_with_how_to_mend_it() -> None:
    with pytest.raises(CalendarEndsError, match=r"calendar\.yaml"):
        is_working_day(date(calendar.last_known_year() + 1, 1, 4))
    with pytest.raises(CalendarEndsError):
        add_working_days(date(calendar.last_known_year(), 12, 30), 10)


def test_it_is_known_how_many_days_the_calendar_has_left() -> None:
    year = calendar.last_known_year()
    assert calendar.days_left(date(year, 12, 31)) == 0
    assert calendar.days_left(date(year, 11, 1)) == 60
    assert calendar.days_left(date(year + 1, 1, 2)) == -2


@pytest.mark.parametrize(
    ("left", "urgency"),
    [
        (timedelta(days=load_clocks().warning_days, seconds=1), Urgency.IN_TIME),
        (timedelta(days=load_clocks().warning_days), Urgency.SOON),
        (timedelta(0), Urgency.SOON),
        (timedelta(seconds=-1), Urgency.LATE),
    ],
)
def test_a_deadline_warns_before_it_and_is_late_after_it(left: timedelta, urgency: Urgency) -> None:
    now = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
    assert urgency_of(now + left, now) is urgency


@pytest.mark.parametrize(
    ("today", "escalated"),
    [
        (date(2026, 10, 13), False),  # a Tuesday: one working day since the Saturday
        (date(2026, 10, 14), True),
        (date(2026, 10, 17), True),
    ],
)
def test_what_is_overdue_for_two_working_days_is_the_managers(today: date, escalated: bool) -> None:
    due = due_after(datetime(2026, 10, 9, 2, 0, tzinfo=UTC), 1)  # 10 October was made up for
    assert business_day(due) == date(2026, 10, 10)
    assert load_clocks().escalation_working_days == 2
    assert (due < escalated_before(today)) is escalated


def test_after_the_calendars_end_the_manager_is_told_rather_early() -> None:
    beyond = date(calendar.last_known_year() + 1, 1, 20)
    assert business_day(escalated_before(beyond)) == date(beyond.year, 1, 18)


def stated(digest: str, holiday: str, working: str) -> Calendar:
    year = {"notice": "for this test", "holidays": [holiday], "working_weekends": [working]}
    return Calendar.model_validate({"version": "2030.1", "digest": digest, "years": {2030: year}})


def test_a_year_stated_by_the_bank_is_used_and_a_mended_one_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for known, works in (
        (stated("0" * 64, "2030-01-01", "2030-01-05"), {1: False, 2: True, 5: True, 6: False}),
        (stated("1" * 64, "2030-01-02", "2030-01-06"), {1: True, 2: False, 5: False, 6: True}),
    ):
        monkeypatch.setattr(calendar, "load_calendar", lambda known=known: known)
        assert {day: is_working_day(date(2030, 1, day)) for day in works} == works
        assert calendar.last_known_year() == 2030


def test_the_business_day_turns_at_midnight_in_shanghai() -> None:
    assert business_day(datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC)) == date(2026, 3, 1)
    assert business_day(datetime(2026, 3, 1, 16, 0, tzinfo=UTC)) == date(2026, 3, 2)
    with pytest.raises(ValueError, match="offset"):
        business_day(datetime(2026, 3, 1))  # noqa: DTZ001 - what must be refused


def test_a_term_ends_with_the_last_second_of_its_last_day() -> None:
    start = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    assert due_after(start, 10) == datetime(2026, 12, 7, 15, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "sent"),
    [
        ("2026-03-01T23:59:00", "2026-03-02T00:00:00"),  # 07:59 in Shanghai: at 08:00
        ("2026-03-02T00:00:00", "2026-03-02T00:00:00"),
        ("2026-03-02T12:59:59", "2026-03-02T12:59:59"),
        ("2026-03-02T13:00:00", "2026-03-03T00:00:00"),  # 21:00: tomorrow
    ],
)
def test_messages_that_may_wait_wait_for_the_window(now: str, sent: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert next_send_moment(moment, time(8), time(21)) == datetime.fromisoformat(sent).replace(
        tzinfo=UTC
    )
    assert next_send_moment(moment, time(8), time(21)) - moment < timedelta(hours=12)


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [
        ("2026-11-02", "2026-11-03", ("2026-11-01T16:00:00", "2026-11-03T16:00:00")),
        ("", "2026-11-02", (None, "2026-11-02T16:00:00")),
        ("2026-13-01", "tomorrow", (None, None)),
        # days on which no office has worked, up to the ends of the calendar
        ("0001-01-01", "9999-12-31", (None, None)),
        ("1999-12-31", "2200-01-01", (None, None)),
    ],
)
def test_a_list_is_narrowed_to_whole_days(
    first: str, last: str, span: tuple[str | None, str | None]
) -> None:
    found = span_of(day_of(first), day_of(last))
    assert span == tuple(at and at.astimezone(UTC).replace(tzinfo=None).isoformat() for at in found)
