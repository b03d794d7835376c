"""When a message may go out."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.messages import Template
from services.notify.schedule import REPORT_LOOKS, may_wait, next_look, send_moment
from shared.parameters.models import SendWindow

ZONE = ZoneInfo("Asia/Shanghai")
WINDOW = SendWindow(opens=time(8), closes=time(21))


def at(hour: int, minute: int = 0, day: int = 2) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


@pytest.mark.parametrize(
    ("template", "came_by", "now", "expected"),
    [
        (Template.APPROVED, "web", at(9), at(9)),
        (Template.APPROVED, "web", at(7, 59), at(8)),
        (Template.APPROVED, "web", at(21), at(8, day=3)),
        (Template.APPROVED, "web", at(23), at(8, day=3)),
        (Template.RECEIVED, "web", at(23), at(23)),
        (Template.RECEIVED, "batch", at(23), at(8, day=3)),
        (Template.WITHDRAWN, "mobile_app", at(2), at(2)),
        (Template.MATERIAL_WANTED, "counter", at(2), at(8)),
    ],
)
def test_send_moment(template: Template, came_by: str, now: datetime, expected: datetime) -> None:
    assert send_moment(template, came_by, now, WINDOW, ZONE) == expected


@given(
    template=st.sampled_from(Template),
    came_by=st.sampled_from(["counter", "web", "mobile_app", "batch", "partner"]),
    minutes=st.integers(0, 90 * 24 * 60),
)
def test_a_message_that_may_wait_goes_out_within_the_window_and_never_late(
    template: Template, came_by: str, minutes: int
) -> None:
    now = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    moment = send_moment(template, came_by, now, WINDOW, ZONE)
    assert now <= moment <= now + timedelta(hours=11)
    if may_wait(template, came_by):
        assert WINDOW.opens <= moment.astimezone(ZONE).time() < WINDOW.closes
    else:
        assert moment == now


def test_the_gateway_is_not_asked_for_ever() -> None:
    now = at(9)
    assert next_look(0, now) == now + REPORT_LOOKS[0]
    assert next_look(len(REPORT_LOOKS), now) is None
