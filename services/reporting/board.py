"""The morning board 晨会: what happened yesterday, what is to do today and for whom.

Pure: from the rows of open applications and yesterday's events to what the board shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.reporting import kpis
from services.reporting.kpis import Figure, Period
from services.reporting.projections import ApplicationRow, AppliedEvent
from shared.calendar import (
    BUSINESS_ZONE,
    CALENDAR_WARNING_DAYS,
    CalendarEndsError,
    business_day,
    days_left,
    end_of_day,
    escalated_before,
    is_working_day,
)

_DESKS = ("assistant", "credit_review", "risk", "compliance", "operations")
SHOWN = 12  # rows of a list on the board; the rest is a link away
REFUSED_SHOWN_FOR = timedelta(days=10)  # a refused card fact stays on the board so long

YESTERDAY = (
    "submitted",
    "material_requested",
    "pre_check_passed",
    "approved",
    "declined",
    "withdrawn",
    "expired",
    "card_ordered",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What lies with one desk this morning: its open cases, those due by tonight, those silent for
    too long, and those among them that wait for the bank itself."""

    name: str
    open: int
    waiting_on_bank: int
    due_today: int
    stalled: int


@dataclass(frozen=True, slots=True)
class Owed:
    """An application whose customer owes material; `left` is negative once the time is over."""

    row: ApplicationRow
    left: timedelta | None
    due_today: bool


@dataclass(frozen=True, slots=True)
class Stalled:
    """A case that nobody moved in time: whose desk it is and how long it has been silent;
    escalated: so long that the office manager has to see to it."""

    row: ApplicationRow
    desk: str
    waiting_on: str
    silent_for: timedelta
    escalated: bool


@dataclass(frozen=True, slots=True)
class Board:
    """The morning board. The lists are whole; the page shows the first of each. calendar_days: how
    many days the working days are still known for, where that is soon over, else None."""

    today: date
    yesterday: date
    results: Mapping[str, Figure]
    desks: Sequence[Desk]
    owed: Sequence[Owed]
    due_today: Sequence[ApplicationRow]
    stalled: Sequence[Stalled]
    refused: Sequence[ApplicationRow]
    calendar_days: int | None = None


def desks_of(*, knows_holds: bool) -> tuple[str, ...]:
    """The desks that a viewer is shown; with compliance lie held cases alone."""
    return tuple(desk for desk in _DESKS if knows_holds or desk != "compliance")


def last_working_day(today: date) -> date:
    """The working day before today: on a Monday, what is reported is Friday."""
    day = today - timedelta(days=1)
    for _ in range(15):  # the longest holiday of a year is shorter
        try:
            if is_working_day(day):
                return day
        except CalendarEndsError:
            if day.weekday() < 5:
                return day
        day -= timedelta(days=1)
    return today - timedelta(days=1)


def make_board(
    rows: Iterable[ApplicationRow],
    events: Sequence[AppliedEvent],
    now: datetime,
    zone: ZoneInfo = BUSINESS_ZONE,
    *,
    knows_holds: bool = True,
) -> Board:
    """The board of a morning.

    rows: open applications, and those with a refused card fact. events: at least those since the
    last working day began. Both as the viewer may see them.
    """
    today = business_day(now, zone)
    tonight = end_of_day(today, zone)
    before = last_working_day(today)
    # weekends and holidays belong to the working day before them: nobody reported them yet
    period = Period(before, today - timedelta(days=1), zone)
    everything = list(rows)
    open_rows = [row for row in everything if row.owner is not None]
    owed = [
        Owed(
            row,
            None if row.wanted_deadline is None else row.wanted_deadline - now,
            row.wanted_deadline is not None and row.wanted_deadline <= tonight,
        )
        for row in open_rows
        if row.wanted
    ]
    for_long = escalated_before(today, zone)
    stalled = [
        Stalled(
            row,
            row.owner.desk,
            row.owner.waiting_on,
            now - (row.last_sign or now),
            row.silence_due is not None and row.silence_due < for_long,
        )
        for row in open_rows
        if row.stalled and row.owner is not None
    ]
    due = [row for row in open_rows if _due_by(row, tonight)]
    return Board(
        today=today,
        yesterday=before,
        results={key: kpis.flow(key, events, period) for key in YESTERDAY},
        desks=[_desk(name, open_rows, tonight) for name in desks_of(knows_holds=knows_holds)],
        owed=sorted(owed, key=lambda o: (o.row.wanted_deadline or tonight, o.row.number or "")),
        due_today=sorted(due, key=lambda r: (r.silence_due or tonight, r.number or "")),
        stalled=sorted(stalled, key=lambda s: (-s.silent_for, s.row.number or "")),
        refused=sorted(
            (
                row
                for row in everything
                if row.refused_at is not None and now - row.refused_at <= REFUSED_SHOWN_FOR
            ),
            key=lambda row: (row.refused_at or now, row.number or ""),
            reverse=True,
        ),
        calendar_days=_calendar_days(today),
    )


def _calendar_days(today: date) -> int | None:
    """Whoever sees the board has to ask for the next year's holidays before terms reach into it."""
    left = days_left(today)
    return max(left, 0) if left < CALENDAR_WARNING_DAYS else None


def _due_by(row: ApplicationRow, tonight: datetime) -> bool:
    """Whether the bank has to move the case by tonight, or it will count as silent."""
    owner = row.owner
    return (
        owner is not None
        and owner.waiting_on == "bank"
        and not row.stalled
        and row.silence_due is not None
        and row.silence_due <= tonight
    )


def _desk(name: str, rows: Sequence[ApplicationRow], tonight: datetime) -> Desk:
    mine = [row for row in rows if row.owner is not None and row.owner.desk == name]
    return Desk(
        name=name,
        open=len(mine),
        waiting_on_bank=sum(
            row.owner is not None and row.owner.waiting_on == "bank" for row in mine
        ),
        due_today=sum(_due_by(row, tonight) for row in mine),
        stalled=sum(row.stalled for row in mine),
    )
