"""Who speaks to customers sees no trace of a hold: a held case is like one with a reviewer."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting import kpis
from services.reporting.outside import outside_events
from services.reporting.projections import (
    ApplicationRow,
    AppliedEvent,
    Seen,
    apply_case,
    find_silence,
    resumed,
)
from services.reporting.reports.daily import make_daily_report
from shared.events import intake, lifecycle, review
from shared.events.payload import Payload
from shared.events.reporting import CaseResumed, CaseStalled
from tests.unit.reporting.walks import MONDAY, Office, Step, live, walks

HOUR = timedelta(hours=1)
BEGUN: tuple[type[Payload], ...] = (
    intake.ApplicationDrafted,
    intake.ApplicationSubmitted,
    intake.PreCheckStarted,
    intake.PreCheckPassed,
    review.ChecksCompleted,
)
HELD, RELEASED, REFERRED = (
    review.ApplicationHeld,
    review.ApplicationReleased,
    review.ApplicationReferred,
)
DECLINED = review.ApplicationDeclined


def lived(*events: tuple[type[Payload], int]) -> Office:
    """An application that was begun and to which these happened, each after so many hours."""
    office = Office()
    for what in BEGUN:
        office.happen("a", what, MONDAY)
    for what, hours in events:
        office.happen("a", what, MONDAY + hours * HOUR)
    return office


def told(office: Office) -> list[tuple[str, str | None, int]]:
    return [
        (event.type, event.state_after, round((event.time - MONDAY) / HOUR))
        for event in outside_events(office.events)
    ]


def as_seen_outside(row: ApplicationRow) -> dict[str, object]:
    """The columns of `projection.application_outside` that differ from the row's own."""
    state = "manual_review" if row.state == "on_hold" else row.state
    return {
        "state": state,
        "version": row.outside_version,
        "since": row.outside_since,
        "sign": row.outside_sign,
        "silence_due": row.outside_silence_due,
        "waited": row.outside_waited,
    }


def as_it_is(row: ApplicationRow) -> dict[str, object]:
    return {
        "state": row.state,
        "version": row.state_version,
        "since": row.since,
        "sign": row.last_sign,
        "silence_due": row.silence_due,
        "waited": row.waited,
    }


@pytest.mark.parametrize(
    ("happened", "as_if"),
    [
        (((HELD, 1),), ((REFERRED, 1),)),
        (((HELD, 1), (RELEASED, 30)), ((REFERRED, 1),)),
        (((HELD, 1), (RELEASED, 30), (DECLINED, 40)), ((REFERRED, 1), (DECLINED, 40))),
        (((REFERRED, 1), (HELD, 5)), ((REFERRED, 1),)),
        (
            ((REFERRED, 1), (HELD, 5), (RELEASED, 30), (DECLINED, 40)),
            ((REFERRED, 1), (DECLINED, 40)),
        ),
        (
            ((HELD, 1), (RELEASED, 9), (HELD, 11), (review.WithdrawalGranted, 20)),
            ((REFERRED, 1), (review.WithdrawalGranted, 20)),
        ),
    ],
)
def test_a_held_case_is_told_as_if_it_lay_with_a_reviewer_all_the_time(
    happened: Sequence[tuple[type[Payload], int]], as_if: Sequence[tuple[type[Payload], int]]
) -> None:
    held, ordinary = lived(*happened), lived(*as_if)
    assert told(held) == told(ordinary)
    assert as_seen_outside(held.row("a")) == as_it_is(ordinary.row("a"))
    assert as_seen_outside(ordinary.row("a")) == as_it_is(ordinary.row("a"))


def test_who_decided_and_for_which_codes_is_told_to_nobody_outside() -> None:
    for event in outside_events(lived((HELD, 1), (RELEASED, 2), (DECLINED, 3)).events):
        assert not {"decided_by", "reason_codes", "policy_version"} & event.facts.keys()


def _case_event(office: Office, data: CaseStalled | CaseResumed, hours: int) -> None:
    row = office.row("a")
    at = MONDAY + hours * HOUR
    seen = Seen(
        "banka.cases", 0, hours, f"case-{hours}", data.type, "/banka/reporting", "a", at, at
    )
    office.events.append(apply_case(row, seen, data))


def test_a_silent_hold_is_a_silent_reviewer_and_its_end_moves_nothing() -> None:
    office = lived((REFERRED, 1), (HELD, 5))
    row = office.row("a")
    silent = find_silence(row, MONDAY + 1000 * HOUR)
    assert silent is not None
    assert row.outside_stalled
    _case_event(office, silent, 200)
    (stalled,) = [e for e in outside_events(office.events) if e.type == CaseStalled.type]
    assert stalled.facts["desk"] == "credit_review"
    assert stalled.facts["state"] == "manual_review"
    known = outside_events(office.events)
    assert kpis.open_stalls(known, kpis.journeys(known)).value == 1
    office.happen("a", RELEASED, MONDAY + 300 * HOUR)
    _case_event(office, resumed(row), 300)
    known = outside_events(office.events)
    assert CaseResumed.type not in {event.type for event in known}
    assert kpis.open_stalls(known, kpis.journeys(known)).value == 1
    assert row.outside_stalled
    office.happen("a", DECLINED, MONDAY + 301 * HOUR)
    assert not row.outside_stalled


def test_the_report_of_somebody_outside_counts_no_hold() -> None:
    office = lived((HELD, 1))
    day = date(2026, 10, 12)
    outside = make_daily_report(
        outside_events(office.events), day, MONDAY + 10 * HOUR, knows_holds=False
    )
    inside = make_daily_report(office.events, day, MONDAY + 10 * HOUR)
    assert inside.figures["stock.on_hold"].value == 1
    assert not [key for key in outside.figures if "on_hold" in key]
    assert outside.figures["stock.manual_review"].value == 1


@given(st.lists(walks(), min_size=1, max_size=4))
def test_whatever_happens_no_trace_is_left(lives: Sequence[Sequence[Step]]) -> None:
    office = Office()
    live(office, lives)
    known = outside_events(office.events)
    for word in ("on_hold", "compliance", ".held", ".released"):
        assert word not in str([asdict(event) for event in known])
    by_application: dict[str, list[AppliedEvent]] = {}
    for event in known:
        by_application.setdefault(event.application_id, []).append(event)
    for events in by_application.values():
        before = None
        for event in events:
            assert event.state_before == before
            before = event.state_after
            # review never holds a case that is still being checked without saying that the checks
            # are complete, though the lifecycle would let it
            if event.moves and event.state_before != "checking":
                assert event.state_after == lifecycle.advance(event.state_before, event.type).state


def test_an_event_that_tells_nothing_of_a_hold_is_told_as_it_is() -> None:
    office = lived((REFERRED, 1))
    (submitted,) = [e for e in office.events if e.type == intake.ApplicationSubmitted.type]
    assert submitted in outside_events(office.events)
