"""What a declined customer may ask of review."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.intake.appeals import may_ask
from services.intake.application import Appeal, Application
from shared.events.intake import AppealWish
from shared.events.lifecycle import State

HUMAN, WHY = AppealWish.HUMAN_REVIEW, AppealWish.EXPLANATION
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "may"),
    [
        ([], [WHY, HUMAN]),
        ([(WHY, None)], []),
        ([(WHY, "explained")], [HUMAN]),
        ([(WHY, "explained"), (HUMAN, "upheld")], []),
    ],
)
def test_a_customer_asks_each_once_and_one_at_a_time(
    asked: list[tuple[AppealWish, str | None]], may: list[AppealWish]
) -> None:
    app = Application("a", state=State.DECLINED)
    app.appeals = [Appeal("x", wish, MONDAY, outcome=done) for wish, done in asked]
    assert may_ask(app) == may
    app.state = State.APPROVED
    assert may_ask(app) == []
