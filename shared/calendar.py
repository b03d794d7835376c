"""Working days with China's public holidays and make-up days (调休), and the bank's business day.

Holidays stop working-day clocks. The State Council publishes the arrangement of a year late in the
year before, so no library knows the future: `calendar.yaml` of the parameters takes a new year as
soon as it is out, and a day beyond what is known is refused instead of guessed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import chinese_calendar

from shared.parameters import load_calendar, load_clocks

BUSINESS_ZONE = ZoneInfo("Asia/Shanghai")  # default of the setting business_zone

CALENDAR_WARNING_DAYS = 60  # before the known days end; the next year's are out by mid-November

OFFICE_YEARS = range(2000, 2200)  # what lies outside is no time of an office's

_DAY = timedelta(days=1)
# the library's first full year and the last year for which it holds an arrangement
_LIBRARY_FIRST_YEAR = min(chinese_calendar.holidays).year
_LIBRARY_LAST_YEAR = max(chinese_calendar.holidays).year


class CalendarEndsError(LookupError):
    """The working days of that year are not known yet.

    Add the year to `shared/parameters/calendar.yaml` from the State Council's notice.
    """

    def __init__(self, day: date) -> None:
        super().__init__(
            f"working days of {day.year} are not known (the calendar ends with"
            f" {last_known_year()}): add the year to shared/parameters/calendar.yaml"
        )
        self.day = day


def is_working_day(day: date) -> bool:
    """Whether offices work on that day. Raises CalendarEndsError outside the known years."""
    return _is_working_day(day, load_calendar().digest)


@lru_cache(maxsize=8192)
def _is_working_day(day: date, _digest: str) -> bool:
    # the digest: a calendar that is loaded anew is asked anew
    stated = load_calendar().years.get(day.year)
    if stated is not None:
        if day in stated.holidays:
            return False
        return day.weekday() < 5 or day in stated.working_weekends
    if not _LIBRARY_FIRST_YEAR <= day.year <= _LIBRARY_LAST_YEAR:
        raise CalendarEndsError(day)
    return bool(chinese_calendar.is_workday(day))


def last_known_year() -> int:
    """The last year whose working days are known; operators extend it once a year."""
    return max(int(_LIBRARY_LAST_YEAR), *load_calendar().years, 0)


def days_left(today: date) -> int:
    """Days of the calendar for which working days are known, today's not counted; below 0 after."""
    return (date(last_known_year(), 12, 31) - today).days


def add_working_days(day: date, count: int) -> date:
    """The `count`-th working day after `day`; the day itself does not count.

    `count` 0 gives `day` itself if it is a working day, else the next one.
    Raises CalendarEndsError if the count leads beyond the known years.
    """
    if count < 0:
        raise ValueError("a term runs forward")
    if count == 0:
        while not is_working_day(day):
            day += _DAY
        return day
    while count:
        day += _DAY
        if is_working_day(day):
            count -= 1
    return day


def working_days_between(start: date, end: date) -> int:
    """Working days after `start` up to and including `end`; negative if `end` lies before `start`.

    The inverse of adding: `working_days_between(d, add_working_days(d, n)) == n` for n ≥ 1.
    """
    if end < start:
        return -working_days_between(end, start)
    days = (end - start).days
    return sum(is_working_day(start + _DAY * step) for step in range(1, days + 1))


def business_day(instant: datetime, zone: ZoneInfo = BUSINESS_ZONE) -> date:
    """The date on the bank's wall calendar at that instant."""
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset from UTC")
    return instant.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo = BUSINESS_ZONE) -> datetime:
    """The first instant of a day, in that zone."""
    return datetime.combine(day, time(), zone)


def last_day_of(month: str) -> date:
    """The last day of a month, `2026-11`."""
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def day_of(text: str) -> date | None:
    """A day as a browser sends it; None for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def instant_typed(text: str, zone: ZoneInfo = BUSINESS_ZONE) -> datetime | None:
    """A moment as a form's field for day and time sends it, in that zone; None for an empty field.
    Raises ValueError for what is no moment on which an office can have worked."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.year not in OFFICE_YEARS:
        raise ValueError("no office has worked then")
    return at.replace(tzinfo=zone).astimezone(UTC)


def span_of(
    first: date | None, last: date | None, zone: ZoneInfo = BUSINESS_ZONE
) -> tuple[datetime | None, datetime | None]:
    """The first instant of the first day, and that after the last: to what a list is narrowed. None
    where a day is not given, or where no office has worked on it: it narrows nothing."""
    begin, end = (
        start_of_day(day, zone) if day is not None and day.year in OFFICE_YEARS else None
        for day in (first, None if last is None or last == date.max else last + _DAY)
    )
    return begin, end


def end_of_day(day: date, zone: ZoneInfo = BUSINESS_ZONE) -> datetime:
    """The last second of a business day, in UTC: when a term that ends on that day has run out."""
    return datetime.combine(day, time(23, 59, 59), zone).astimezone(UTC)


def due_after(start: datetime, working_days: int, zone: ZoneInfo = BUSINESS_ZONE) -> datetime:
    """When a term of so many working days that begins at `start` runs out (UTC)."""
    return end_of_day(add_working_days(business_day(start, zone), working_days), zone)


def due_about(start: datetime, working_days: int, zone: ZoneInfo = BUSINESS_ZONE) -> datetime:
    """As `due_after`; where the calendar ends before it, about then, seven days for every five
    working days. For what the office watches itself, where an alarm a few days off beats a case
    that stops at its alarm clock; never for what a customer is told."""
    try:
        return due_after(start, working_days, zone)
    except CalendarEndsError:
        return start + timedelta(days=-(-working_days * 7 // 5) + 1)


def moved_about(
    due: datetime, since: datetime, until: datetime, zone: ZoneInfo = BUSINESS_ZONE
) -> datetime:
    """When a term ends that stood still from `since` to `until` and would have ended at `due`: as
    many working days are left of it as were; about then where the calendar ends before it."""
    try:
        days = working_days_between(business_day(since, zone), business_day(until, zone))
    except CalendarEndsError:
        return due + max(until - since, timedelta())
    return due_about(due, days, zone) if days > 0 else due


def add_working_hours(
    start: datetime, hours: int, opens: time, closes: time, zone: ZoneInfo = BUSINESS_ZONE
) -> datetime:
    """When so many hours of working days, between `opens` and `closes` of the bank's wall clock,
    have passed since `start` (UTC). Beyond the known years every day counts: somebody who looks
    too early does no harm, and a case that stops at its alarm clock does."""
    if opens >= closes:
        raise ValueError("an office opens before it closes")
    left, moment = timedelta(hours=hours), start.astimezone(zone)
    while True:
        day = moment.date()
        begin = max(moment, datetime.combine(day, opens, zone))
        end = datetime.combine(day, closes, zone)
        if begin < end and _counts(day):
            if left <= end - begin:
                return (begin + left).astimezone(UTC)
            left -= end - begin
        moment = start_of_day(day + _DAY, zone)


def _counts(day: date) -> bool:
    try:
        return is_working_day(day)
    except CalendarEndsError:
        return True


class Urgency(StrEnum):
    """How a deadline stands."""

    IN_TIME = "in_time"
    SOON = "soon"
    LATE = "late"


def urgency_of(due: datetime, now: datetime) -> Urgency:
    """How a deadline stands now: near is what lies within the office's `warning_days`."""
    left = due - now
    if left < timedelta(0):
        return Urgency.LATE
    return Urgency.SOON if left <= timedelta(days=load_clocks().warning_days) else Urgency.IN_TIME


def escalated_before(today: date, zone: ZoneInfo = BUSINESS_ZONE) -> datetime:
    """What was due before this moment (UTC) and is not done has been overdue for the clocks'
    `escalation_working_days`, today not counted: the manager answers for it. Where the calendar
    has ended, days count as they come: an alarm that is early does no harm."""
    days = load_clocks().escalation_working_days
    yesterday = day = today - _DAY
    try:
        while working_days_between(day, yesterday) < days:
            day -= _DAY
    except CalendarEndsError:
        day = yesterday - _DAY * days
    return datetime.combine(day + _DAY, time(), zone).astimezone(UTC)


def next_send_moment(
    now: datetime, opens: time, closes: time, zone: ZoneInfo = BUSINESS_ZONE
) -> datetime:
    """The first moment from `now` on at which a message that may wait may be sent (UTC).

    Inside the window (`opens` ≤ local time < `closes`) that is now itself.
    """
    if opens >= closes:
        raise ValueError("a send window opens before it closes")
    local = now.astimezone(zone)
    if opens <= local.time() < closes:
        return now.astimezone(UTC)
    day = local.date() if local.time() < opens else local.date() + _DAY
    return datetime.combine(day, opens, zone).astimezone(UTC)
