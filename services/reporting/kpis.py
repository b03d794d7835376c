"""The office's figures, each made of the events that it counts.

A `Figure` always carries its evidence: a count is the number of its events and nothing else, so
that every number on a page can be opened. Each says what it counts by: `flow` (what happened in the
period, by the day of the event), `cohort` (what became of the applications submitted in the
period, 进件日), or `stock` (what lies there at the cut-off). Time is business time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from services.reporting.projections import AppliedEvent
from shared.calendar import BUSINESS_ZONE, business_day, due_about, end_of_day
from shared.events import intake, reporting, review
from shared.events.lifecycle import OWNERS, State

Basis = Literal["flow", "cohort", "stock"]
Unit = Literal["count", "ratio", "seconds"]

LIFECYCLE_TOPIC = intake.ApplicationSubmitted.topic

_SUBMITTED = intake.ApplicationSubmitted.type
_PASSED = intake.PreCheckPassed.type
_MATERIAL = intake.MaterialRequested.type
_APPROVED = review.ApplicationApproved.type
_DECLINED = review.ApplicationDeclined.type

# What is counted each day; a withdrawal is one whoever let the application go.
FLOWS: dict[str, tuple[str, ...]] = {
    "submitted": (_SUBMITTED,),
    "material_requested": (_MATERIAL,),
    "pre_check_passed": (_PASSED,),
    "approved": (_APPROVED,),
    "declined": (_DECLINED,),
    "withdrawn": (intake.ApplicationWithdrawn.type, review.WithdrawalGranted.type),
    "expired": (intake.ApplicationExpired.type,),
    "card_ordered": (intake.CardOrdered.type,),
    "card_posted": (intake.CardPosted.type,),
    "card_activated": (intake.CardActivated.type,),
    "card_first_used": (intake.CardFirstUsed.type,),
    "stalled": (reporting.CaseStalled.type,),
    "resumed": (reporting.CaseResumed.type,),
    "fact_refused": (intake.CardFactRefused.type,),
    "asked_again": (intake.ItemAskedAgain.type,),
}

# A case may stall, resume, be told nonsense or be asked again more than once; the rest happens once
# to each.
_EVERY_TIME = frozenset({"stalled", "resumed", "fact_refused", "asked_again"})

FUNNEL: dict[str, tuple[str, ...]] = {
    "submitted": (_SUBMITTED,),
    "pre_check_passed": (_PASSED,),
    "decided": (_APPROVED, _DECLINED),
    "approved": (_APPROVED,),
    "card_ordered": (intake.CardOrdered.type,),
    "delivered": (
        intake.CardDelivered.type,
        intake.CardActivated.type,
        intake.CardFirstUsed.type,
    ),
    "activated": (intake.CardActivated.type, intake.CardFirstUsed.type),
    "first_used": (intake.CardFirstUsed.type,),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and the events behind it.

    value: a count, a ratio of 1, or seconds; None where there is nothing to divide or to measure.
    basis: by what it counts. events: its evidence; for a count, `value == len(events)`.
    """

    key: str
    value: int | float | None
    unit: Unit
    basis: Basis
    events: tuple[AppliedEvent, ...]


@dataclass(frozen=True, slots=True)
class Stay:
    """A state that an application has left: how long it stayed and whom it waited for."""

    state: State
    seconds: int
    waiting_on: str
    entered: AppliedEvent
    left: AppliedEvent


@dataclass(frozen=True, slots=True)
class Journey:
    """What happened to one application, in order: its lifecycle events, and the states it left."""

    application_id: str
    events: tuple[AppliedEvent, ...]
    stays: tuple[Stay, ...]

    @property
    def last_move(self) -> AppliedEvent | None:
        return next((event for event in reversed(self.events) if event.moves), None)

    def first(self, types: Iterable[str]) -> AppliedEvent | None:
        """The first event of one of these types."""
        wanted = frozenset(types)
        return next((event for event in self.events if event.type in wanted), None)


def journeys(events: Iterable[AppliedEvent]) -> dict[str, Journey]:
    """{application id: its journey}; events of one application lie on one partition, so the offset
    is their order."""
    by_application: dict[str, list[AppliedEvent]] = {}
    for event in events:
        if event.seen.topic == LIFECYCLE_TOPIC:
            by_application.setdefault(event.application_id, []).append(event)
    found = {}
    for application_id in sorted(by_application):
        ordered = sorted(by_application[application_id], key=lambda e: e.seen.offset)
        found[application_id] = Journey(application_id, tuple(ordered), tuple(_stays(ordered)))
    return found


def _stays(events: Sequence[AppliedEvent]) -> Iterable[Stay]:
    entered: AppliedEvent | None = None
    for event in events:
        if not event.moves:
            continue
        if entered is not None and entered.state_after is not None:
            state = State(entered.state_after)
            owner = OWNERS.get(state)
            if owner is not None:
                seconds = max(0, int((event.time - entered.time).total_seconds()))
                yield Stay(state, seconds, owner.waiting_on, entered, event)
        entered = event


@dataclass(frozen=True, slots=True)
class Passage:
    """A state on one application's way: since when, until when (None: it is in it), for how many
    seconds so far, with whom it lay and whom it waited for."""

    state: State
    desk: str
    waiting_on: str
    since: datetime
    until: datetime | None
    seconds: int


def passages(events: Iterable[AppliedEvent], now: datetime) -> list[Passage]:
    """The states of one application in order, the present one at the end."""
    found: list[Passage] = []
    for journey in journeys(events).values():
        found += [
            Passage(
                stay.state,
                OWNERS[stay.state].desk,
                stay.waiting_on,
                stay.entered.time,
                stay.left.time,
                stay.seconds,
            )
            for stay in journey.stays
        ]
        last = journey.last_move
        if last is None or last.state_after is None:
            continue
        state = State(last.state_after)
        if state in OWNERS:
            owner, so_far = OWNERS[state], int((now - last.time).total_seconds())
            found.append(
                Passage(state, owner.desk, owner.waiting_on, last.time, None, max(0, so_far))
            )
    return found


@dataclass(frozen=True, slots=True)
class Period:
    """Whole business days, both ends included."""

    first: date
    last: date
    zone: ZoneInfo = BUSINESS_ZONE

    def covers(self, instant: datetime) -> bool:
        return self.first <= business_day(instant, self.zone) <= self.last


def count(key: str, events: Iterable[AppliedEvent], basis: Basis) -> Figure:
    """A count with its evidence, in an order that does not depend on how it was read."""
    ordered = tuple(sorted(events, key=_order))
    return Figure(key, len(ordered), "count", basis, ordered)


def ratio(key: str, part: Figure, whole: Sequence[Figure], basis: Basis) -> Figure:
    """A part of a whole; the evidence is the whole's. None where the whole is empty."""
    events = tuple(sorted((e for figure in whole for e in figure.events), key=_order))
    total = len(events)
    return Figure(key, len(part.events) / total if total else None, "ratio", basis, events)


def flow(key: str, events: Iterable[AppliedEvent], period: Period) -> Figure:
    """How often it happened in the period; imported history is not the office's work."""
    types = frozenset(FLOWS[key])
    hits = [
        event
        for event in events
        if event.type in types and event.seen.origin == "live" and period.covers(event.time)
    ]
    return count(key, hits if key in _EVERY_TIME else _once_each(hits), "flow")


def declines_by_category(
    events: Iterable[AppliedEvent], period: Period, key: str = "declined"
) -> dict[str, Figure]:
    """{category: declines}; every category is named, and together they are the declines."""
    declined = flow("declined", events, period).events
    return {
        category.value: count(
            f"{key}.{category.value}",
            [event for event in declined if event.facts.get("category") == category.value],
            "flow",
        )
        for category in review.DeclineCategory
    }


def by_region(key: str, whole: Figure) -> dict[str, Figure]:
    """{province of the accepting branch: its part of a count}, regions in order of their code."""
    regions = sorted({event.region or "" for event in whole.events})
    return {
        region: count(
            f"{key}.{region or 'unknown'}",
            [event for event in whole.events if (event.region or "") == region],
            whole.basis,
        )
        for region in regions
    }


def cohort(all_journeys: Iterable[Journey], period: Period) -> list[Journey]:
    """The applications that were submitted in the period."""
    found = []
    for journey in all_journeys:
        submitted = journey.first((_SUBMITTED,))
        if (
            submitted is not None
            and submitted.seen.origin == "live"
            and period.covers(submitted.time)
        ):
            found.append(journey)
    return found


def funnel(members: Sequence[Journey]) -> list[Figure]:
    """How far the applications of a cohort came; each step holds no more than the one before."""
    figures = []
    for step, types in FUNNEL.items():
        reached = [event for journey in members if (event := journey.first(types)) is not None]
        figures.append(count(f"funnel.{step}", reached, "cohort"))
    return figures


def rates(members: Sequence[Journey]) -> list[Figure]:
    """补件率, 一次通过率, 初审通过率, 审批通过率 and 激活率 of a cohort."""

    def having(types: tuple[str, ...], key: str) -> Figure:
        found = [event for journey in members if (event := journey.first(types)) is not None]
        return count(key, found, "cohort")

    asked = having((_MATERIAL,), "asked")
    completed = having((_MATERIAL, _PASSED), "pre_check_completed")
    passed = having((_PASSED,), "passed")
    at_once = count(
        "at_once",
        [
            event
            for journey in members
            if (event := journey.first((_MATERIAL, _PASSED))) is not None and event.type == _PASSED
        ],
        "cohort",
    )
    approved = having((_APPROVED,), "approved")
    declined = having((_DECLINED,), "declined")
    ordered = having((intake.CardOrdered.type,), "ordered")
    activated = having((intake.CardActivated.type, intake.CardFirstUsed.type), "activated")
    return [
        ratio("rate.material", asked, [completed], "cohort"),
        ratio("rate.first_pass", at_once, [completed], "cohort"),
        ratio("rate.pre_check", passed, [completed], "cohort"),
        ratio("rate.approval", approved, [approved, declined], "cohort"),
        ratio("rate.activation", activated, [ordered], "cohort"),
    ]


@dataclass(frozen=True, slots=True)
class TurnAround:
    """TAT from submission to decision; net leaves out the time that the customer took. Seconds."""

    decided: Figure
    gross_median: Figure
    gross_p90: Figure
    net_median: Figure
    net_p90: Figure


def turn_around(all_journeys: Iterable[Journey], period: Period, key: str) -> TurnAround:
    """TAT of the decisions of a period; imported applications bring no clock of ours."""
    decisions: list[AppliedEvent] = []
    gross: list[int] = []
    net: list[int] = []
    for journey in all_journeys:
        submitted = journey.first((_SUBMITTED,))
        decided = journey.first((_APPROVED, _DECLINED))
        if submitted is None or decided is None or not period.covers(decided.time):
            continue
        seconds = max(0, int((decided.time - submitted.time).total_seconds()))
        waited = sum(
            stay.seconds
            for stay in journey.stays
            if stay.waiting_on == "customer"
            and stay.entered.seen.offset >= submitted.seen.offset
            and stay.left.seen.offset <= decided.seen.offset
        )
        decisions.append(decided)
        gross.append(seconds)
        net.append(max(0, seconds - waited))
    decided_figure = count(f"{key}.decided", decisions, "flow")

    def measured(name: str, values: list[int], how: Callable[[list[int]], int]) -> Figure:
        value = how(values) if values else None
        return Figure(f"{key}.{name}", value, "seconds", "flow", decided_figure.events)

    return TurnAround(
        decided_figure,
        measured("gross_median", gross, median),
        measured("gross_p90", gross, percentile_90),
        measured("net_median", net, median),
        measured("net_p90", net, percentile_90),
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """How long applications stayed in one state, of the stays that ended in the period."""

    state: State
    waiting_on: str
    stays: Figure
    median: Figure
    p90: Figure
    mean_seconds: int


def stages(all_journeys: Iterable[Journey], period: Period) -> list[Stage]:
    """Time per stage in the lifecycle's order; stages that nobody left are not listed."""
    by_state: dict[State, list[Stay]] = {}
    for journey in all_journeys:
        for stay in journey.stays:
            if stay.entered.seen.origin == "live" and period.covers(stay.left.time):
                by_state.setdefault(stay.state, []).append(stay)
    found = []
    for state in State:
        stays = by_state.get(state)
        if not stays:
            continue
        key = f"stage.{state.value}"
        left = count(key, [stay.left for stay in stays], "flow")
        seconds = [stay.seconds for stay in stays]
        found.append(
            Stage(
                state,
                stays[0].waiting_on,
                left,
                Figure(f"{key}.median", median(seconds), "seconds", "flow", left.events),
                Figure(f"{key}.p90", percentile_90(seconds), "seconds", "flow", left.events),
                round(sum(seconds) / len(seconds)),
            )
        )
    return found


def waiting(all_journeys: Iterable[Journey], period: Period) -> dict[str, Figure]:
    """{customer, bank, partner: mean seconds that each decided application waited for them until
    its decision}, of the decisions in the period."""
    totals = dict.fromkeys(("customer", "bank", "partner"), 0)
    decisions: list[AppliedEvent] = []
    for journey in all_journeys:
        decided = journey.first((_APPROVED, _DECLINED))
        submitted = journey.first((_SUBMITTED,))
        if decided is None or submitted is None or not period.covers(decided.time):
            continue
        decisions.append(decided)
        for stay in journey.stays:
            after = stay.entered.seen.offset >= submitted.seen.offset
            if after and stay.left.seen.offset <= decided.seen.offset:
                totals[stay.waiting_on] += stay.seconds
    events = tuple(sorted(decisions, key=_order))
    return {
        whom: Figure(
            f"waiting.{whom}",
            round(total / len(events)) if events else None,
            "seconds",
            "flow",
            events,
        )
        for whom, total in totals.items()
    }


def stock(all_journeys: Iterable[Journey]) -> dict[State, Figure]:
    """{state: applications that are in it}, each by the event that brought it there."""
    found: dict[State, list[AppliedEvent]] = {state: [] for state in State}
    for journey in all_journeys:
        last = journey.last_move
        if last is not None and last.state_after is not None:
            found[State(last.state_after)].append(last)
    return {state: count(f"stock.{state.value}", found[state], "stock") for state in State}


def open_stalls(events: Iterable[AppliedEvent], all_journeys: dict[str, Journey]) -> Figure:
    """Cases that were reported silent and have not moved since: the state version has not grown."""
    latest: dict[str, AppliedEvent] = {}
    for event in events:
        if event.type == reporting.CaseStalled.type:
            held = latest.get(event.application_id)
            if held is None or _order(event) > _order(held):
                latest[event.application_id] = event
    still = []
    for application_id, event in latest.items():
        journey = all_journeys.get(application_id)
        moved = journey.last_move if journey is not None else None
        if moved is not None and moved.state_version == event.facts.get("state_version"):
            still.append(event)
    return count("stalled_open", still, "stock")


def messages(events: Iterable[AppliedEvent], period: Period) -> dict[tuple[str, str], Figure]:
    """{(channel, state): messages asked for in the period, by what became of them at the cut}."""
    requested: set[str] = set()
    latest: dict[str, AppliedEvent] = {}
    for event in sorted(
        (e for e in events if e.type.startswith("banka.message.")),
        key=lambda e: (e.seen.partition, e.seen.offset),
    ):
        message_id = str(event.facts["message_id"])
        if event.type == "banka.message.requested.v1" and period.covers(event.time):
            requested.add(message_id)
        latest[message_id] = event
    found: dict[tuple[str, str], list[AppliedEvent]] = {}
    for message_id in requested:
        event = latest[message_id]
        state = event.type.split(".")[2]
        found.setdefault((str(event.facts["channel"]), state), []).append(event)
    return {
        (channel, state): count(f"message.{channel}.{state}", found[channel, state], "flow")
        for channel, state in sorted(found)
    }


Asked = Literal["appeal", "reconsideration", "dispute"]
Became = Literal["opened", "in_time", "late", "overdue", "changed", "upheld"]

_OPENED = frozenset({review.AppealOpened.type, review.DisputeOpened.type})
_OF_A_REQUEST: dict[str, tuple[Asked, str]] = {
    review.AppealOpened.type: ("appeal", "appeal_id"),
    review.AppealAnswered.type: ("appeal", "appeal_id"),
    review.DisputeOpened.type: ("dispute", "dispute_id"),
    review.DisputeAnswered.type: ("dispute", "dispute_id"),
}
_FOR_THE_CUSTOMER = frozenset({"changed", "corrected"})  # who was right; an explanation is neither


def after_decisions(
    events: Iterable[AppliedEvent], period: Period, as_of: datetime, key: str = "after"
) -> dict[tuple[Asked, Became], Figure]:
    """What customers asked of decisions and credit reports: opened in the period; answered in it,
    in time or late by their own clock, and for whom; and overdue at the cut-off. A reconsideration
    is a new application that takes up an earlier one; it has the clock of any other."""
    known = sorted((e for e in events if e.seen.origin == "live"), key=_order)
    hits = [*_requests(known, period, as_of), *_taken_up_again(known, period)]
    return {
        (kind, became): count(
            f"{key}.{kind}.{became}",
            [event for asked, was, event in hits if (asked, was) == (kind, became)],
            "stock" if became == "overdue" else "flow",
        )
        for kind in get_args(Asked)
        for became in get_args(Became)
    }


def _requests(
    known: Iterable[AppliedEvent], period: Period, as_of: datetime
) -> Iterator[tuple[Asked, Became, AppliedEvent]]:
    """Appeals and disputes, by their own ids; an event of before they were kept has none."""
    opened: dict[str, tuple[Asked, AppliedEvent]] = {}
    answered: set[str] = set()
    for event in known:
        kind, name = _OF_A_REQUEST.get(event.type, (None, ""))
        one = event.facts.get(name)
        if kind is None or one is None:
            continue
        if event.type in _OPENED:
            if one not in opened:  # opened anew where it was asked for again
                opened[one] = kind, event
                if period.covers(event.time):
                    yield kind, "opened", event
        elif one in opened:
            answered.add(one)
            if period.covers(event.time):
                yield kind, "late" if event.time > _due(opened[one][1]) else "in_time", event
                outcome = event.facts["outcome"]
                if outcome != "explained":
                    yield kind, "changed" if outcome in _FOR_THE_CUSTOMER else "upheld", event
    for one, (kind, event) in opened.items():
        if one not in answered and as_of > _due(event):
            yield kind, "overdue", event


def _taken_up_again(
    known: Iterable[AppliedEvent], period: Period
) -> Iterator[tuple[Asked, Became, AppliedEvent]]:
    """Applications that take up an earlier one, and what was decided about them."""
    became: dict[str, Became] = {_APPROVED: "changed", _DECLINED: "upheld"}
    again: set[str] = set()
    for event in known:
        if event.type == _SUBMITTED and event.facts.get("reopens"):
            again.add(event.application_id)
            if period.covers(event.time):
                yield "reconsideration", "opened", event
        elif event.application_id in again and event.type in became and period.covers(event.time):
            yield "reconsideration", became[event.type], event


def _due(opened: AppliedEvent) -> datetime:
    """When it has to be answered: by what its event says of its term."""
    if "days" in opened.facts:
        return end_of_day(business_day(opened.time) + timedelta(days=opened.facts["days"]))
    return due_about(opened.time, opened.facts["working_days"])


def median(values: Sequence[int]) -> int:
    """The middle value; between two, their mean rounded down to the second."""
    return int(statistics.median(values))


def percentile_90(values: Sequence[int]) -> int:
    """The smallest value that at least nine in ten do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 9 // 10) - 1]


def _once_each(events: Iterable[AppliedEvent]) -> list[AppliedEvent]:
    """The earliest of each application's events."""
    first: dict[str, AppliedEvent] = {}
    for event in events:
        held = first.get(event.application_id)
        if held is None or _order(event) < _order(held):
            first[event.application_id] = event
    return list(first.values())


def _order(event: AppliedEvent) -> tuple[datetime, str, int, int]:
    seen = event.seen
    return (seen.time, seen.topic, seen.partition, seen.offset)
