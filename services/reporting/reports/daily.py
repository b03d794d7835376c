"""The daily report 日报: what happened on one business day, and what the last weeks looked like.

A pure function of events and day: the same events give the same report, whenever it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.reporting import kpis
from services.reporting.kpis import Figure, Period, Stage, TurnAround
from services.reporting.projections import AppliedEvent
from shared.calendar import BUSINESS_ZONE
from shared.events.lifecycle import OWNERS, State
from shared.web.states import shown_state

WINDOW_DAYS = 30  # of the calendar, the reported day included: what a single day is too small for
TREND_DAYS = 14

_TREND = ("submitted", "approved", "declined")


@dataclass(frozen=True, slots=True)
class DailyReport:
    """The figures of one day. `figures` finds every one of them by its key.

    day and window are periods by business time; as_of is the cut-off of all that is stock.
    """

    day: date
    as_of: datetime
    window: Period
    headline: Mapping[str, Figure]
    regions: Mapping[str, tuple[Figure, Figure]]  # {region: (day, window)}
    declines: Mapping[str, tuple[Figure, Figure]]  # {category: (day, window)}
    declined_in_window: Figure
    funnel: Sequence[Figure]
    rates: Sequence[Figure]
    stages: Sequence[Stage]
    waiting: Mapping[str, Figure]
    tat_day: TurnAround
    tat_window: TurnAround
    trend: Sequence[tuple[date, Mapping[str, Figure]]]
    messages: Mapping[tuple[str, str], Figure]
    after_day: Mapping[tuple[kpis.Asked, kpis.Became], Figure]  # what is overdue is at the cut-off
    after_window: Mapping[tuple[kpis.Asked, kpis.Became], Figure]
    stock: Mapping[State, Figure]
    stalled_open: Figure
    figures: Mapping[str, Figure]


def make_daily_report(
    events: Iterable[AppliedEvent],
    day: date,
    as_of: datetime,
    zone: ZoneInfo = BUSINESS_ZONE,
    *,
    knows_holds: bool = True,
) -> DailyReport:
    """The report of a day from the events that had happened by `as_of` (business time), as the
    reader may know them."""
    known = [event for event in events if event.time <= as_of]
    travelled = kpis.journeys(known)
    every = list(travelled.values())
    today = Period(day, day, zone)
    window = Period(day - timedelta(days=WINDOW_DAYS - 1), day, zone)
    headline = {key: kpis.flow(key, known, today) for key in kpis.FLOWS}
    cohort = kpis.cohort(every, window)
    submitted_in_window = kpis.flow("submitted", known, window)
    regions_day = kpis.by_region("region", headline["submitted"])
    regions_window = kpis.by_region("region30", submitted_in_window)
    declines_day = kpis.declines_by_category(known, today)
    declines_window = kpis.declines_by_category(known, window, "declined30")
    declined_in_window = _renamed(kpis.flow("declined", known, window), "declined30")
    trend = _trend(known, day, zone)
    stock = {
        state: figure
        for state, figure in kpis.stock(every).items()
        # what has ended is no stock
        if state in OWNERS and shown_state(state, knows_holds=knows_holds) == state
    }
    stages = kpis.stages(every, window)
    tat_day = kpis.turn_around(every, today, "tat")
    tat_window = kpis.turn_around(every, window, "tat30")
    waiting = kpis.waiting(every, window)
    funnel = kpis.funnel(cohort)
    rates = kpis.rates(cohort)
    messages = kpis.messages(known, window)
    stalled_open = kpis.open_stalls(known, travelled)
    after_day = kpis.after_decisions(known, today, as_of)
    after_window = kpis.after_decisions(known, window, as_of, "after30")
    found = [
        *headline.values(),
        *regions_day.values(),
        *regions_window.values(),
        *declines_day.values(),
        *declines_window.values(),
        declined_in_window,
        *funnel,
        *rates,
        *(figure for stage in stages for figure in (stage.stays, stage.median, stage.p90)),
        *waiting.values(),
        *_parts(tat_day),
        *_parts(tat_window),
        *(figure for _, figures in trend for figure in figures.values()),
        *messages.values(),
        *after_day.values(),
        *after_window.values(),
        *stock.values(),
        stalled_open,
    ]
    return DailyReport(
        day=day,
        as_of=as_of,
        window=window,
        headline=headline,
        regions={
            region: (
                regions_day.get(region, kpis.count(f"region.{region}", (), "flow")),
                regions_window[region],
            )
            for region in regions_window
        },
        declines={
            category: (declines_day[category], declines_window[category])
            for category in declines_window
        },
        declined_in_window=declined_in_window,
        funnel=funnel,
        rates=rates,
        stages=stages,
        waiting=waiting,
        tat_day=tat_day,
        tat_window=tat_window,
        trend=trend,
        messages=messages,
        after_day=after_day,
        after_window=after_window,
        stock=stock,
        stalled_open=stalled_open,
        figures={figure.key: figure for figure in found},
    )


def _parts(tat: TurnAround) -> tuple[Figure, ...]:
    return (tat.decided, tat.gross_median, tat.gross_p90, tat.net_median, tat.net_p90)


def _renamed(figure: Figure, key: str) -> Figure:
    return Figure(key, figure.value, figure.unit, figure.basis, figure.events)


def _trend(
    events: Sequence[AppliedEvent], day: date, zone: ZoneInfo
) -> list[tuple[date, Mapping[str, Figure]]]:
    found: list[tuple[date, Mapping[str, Figure]]] = []
    for back in range(TREND_DAYS - 1, -1, -1):
        one = day - timedelta(days=back)
        period = Period(one, one, zone)
        found.append(
            (
                one,
                {
                    key: _renamed(kpis.flow(key, events, period), f"{key}@{one.isoformat()}")
                    for key in _TREND
                },
            )
        )
    return found
