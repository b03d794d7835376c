"""What a poll comes to, before anything is applied: apply, drop, or park behind a gap."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.events.envelope import Envelope
from shared.identifiers import new_id
from shared.messaging.inbox import Consumer, Inbox
from shared.messaging.outbox import Outbox
from shared.messaging.parking import Arrived

SOURCE = "/banka/intake"
NOW = datetime(2026, 10, 12, tzinfo=UTC)


class _NoStore:
    """Nothing is loaded or saved for a plan."""

    async def load(self, *_: object) -> dict[str, object]:
        raise AssertionError

    async def save(self, *_: object) -> None:
        raise AssertionError


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(Consumer(name="g", topic="t", store=_NoStore(), handlers={}), Outbox("/banka/x"))


def event(sequence: int, subject: str = "a") -> Arrived:
    envelope = Envelope(
        id=new_id(),
        type="banka.x.happened.v1",
        source=SOURCE,
        subject=subject,
        time=NOW,
        sequence=sequence,
    )
    return Arrived("t", 0, sequence, 0, subject.encode(), (), b"{}", subject, envelope)


def planned(
    inbox: Inbox, events: list[Arrived], known: int, blocked: dict[str, str] | None = None
) -> tuple[list[int | None], list[tuple[str, int | None]], set[str]]:
    """(sequences applied of "a", [(state, sequence)] parked, keys to fill)."""
    cursors = {("a", SOURCE): (known, "id")} if known else {}
    plan = inbox._plan(events, blocked or {}, cursors, None)
    return (
        [one.sequence for one in plan.apply.get("a", [])],
        [(one.state, one.event.sequence) for one in plan.park],
        plan.fill,
    )


def test_the_next_events_are_applied_in_order(inbox: Inbox) -> None:
    assert planned(inbox, [event(3), event(4)], known=2) == ([3, 4], [], set())


def test_a_known_event_is_dropped_and_never_parked(inbox: Inbox) -> None:
    assert planned(inbox, [event(1), event(2), event(3)], known=2) == ([3], [], set())
    waiting = {"a": "parked"}
    assert planned(inbox, [event(2)], known=2, blocked=waiting) == ([], [], set())


def test_what_follows_a_gap_waits_behind_it_even_if_it_is_filled_at_once(inbox: Inbox) -> None:
    found = planned(inbox, [event(3), event(5), event(6), event(4)], known=2)
    assert found == ([3], [("gap", 5), ("", 6), ("", 4)], {"a"})


def test_behind_a_failure_nothing_is_filled(inbox: Inbox) -> None:
    found = planned(inbox, [event(4), event(5)], known=2, blocked={"a": "parked"})
    assert found == ([], [("", 4), ("", 5)], set())


def test_a_gap_of_one_application_stops_no_other(inbox: Inbox) -> None:
    others = inbox._plan([event(7), event(1, "b"), event(2, "b")], {}, {}, None)
    assert [one.sequence for one in others.apply["b"]] == [1, 2]
    assert "a" not in others.apply
