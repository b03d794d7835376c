"""What operators may know of a parked event: not that a case is held (反洗钱法 35)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.events.review import ApplicationApproved, ApplicationHeld, ApplicationReferred
from shared.redrive import ParkedKey
from shared.web.operations import Chosen, _told
from shared.web.permissions import Role
from tests.unit.web.test_permissions import viewer

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def key(event_type: str, topic: str = "banka.applications", subject: str = "a") -> ParkedKey:
    return ParkedKey(
        1, "g", topic, subject, event_type, "parked", "Permanent: held", 1, 1, 1, NOW, NOW, NOW,
        None,
    )  # fmt: skip


@pytest.mark.parametrize("event", [ApplicationHeld, ApplicationReferred])
def test_a_hold_and_a_referral_look_alike_to_operations(event: type) -> None:
    told = _told(key(event.type), viewer(Role.OPS))  # type: ignore[attr-defined]
    assert (told.type, told.reason, told.hidden) == ("application.referred.v1", "", True)
    known = _told(key(event.type), viewer(Role.AUDITOR))  # type: ignore[attr-defined]
    assert known.type == event.type.removeprefix("banka.")  # type: ignore[attr-defined]
    assert (known.reason, known.hidden) == ("Permanent: held", False)


def test_everything_else_is_told_as_it_is() -> None:
    told = _told(key(ApplicationApproved.type), viewer(Role.OPS))
    assert (told.type, told.reason) == ("application.approved.v1", "Permanent: held")
    assert told.href == "/reporting/applications/a"


def test_a_partner_s_reference_leads_nowhere_and_shows_no_number() -> None:
    told = _told(key("x", "banka.inbound.mobile-app", "13800138000"), viewer(Role.OPS))
    assert told.href is None
    assert "13800138000" not in told.subject


def test_holds_cannot_be_asked_for_by_who_may_not_know_of_them() -> None:
    chosen = Chosen(type=ApplicationHeld.type, state="nonsense", age="2h", text=" x ")
    assert chosen.selection(viewer(Role.AUDITOR)).event_type == ApplicationHeld.type
    narrowed = chosen.selection(viewer(Role.OPS))
    assert (narrowed.event_type, narrowed.state, narrowed.text) == (None, None, "x")
    assert narrowed.older is not None
