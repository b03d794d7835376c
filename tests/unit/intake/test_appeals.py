"""What a declined customer may ask of review."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.intake.appeals import DISPUTE, may_ask, may_be_taken_up, may_dispute
from services.intake.application import Appeal, Application
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.parameters import load_clocks

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


@pytest.mark.parametrize(
    ("state", "outcome", "may"),
    [
        (State.PRE_CHECK, "upheld", False),  # no report was asked for
        (State.CHECKING, "upheld", True),
        (State.MANUAL_REVIEW, "upheld", True),
        (State.ON_HOLD, "upheld", True),  # as any other with a reviewer
        (State.DECLINED, "upheld", True),
        (State.DECLINED, None, False),  # one waits
        (State.WITHDRAWN, "upheld", False),
    ],
)
def test_a_credit_report_is_disputed_once_it_was_asked_for_and_once_at_a_time(
    state: State, outcome: str | None, may: bool
) -> None:
    app = Application("a", state=state)
    app.appeals = [Appeal("x", DISPUTE, MONDAY, outcome=outcome)]
    assert may_dispute(app) is may
    assert may_ask(app) == ([WHY, HUMAN] if state is State.DECLINED else [])


@pytest.mark.parametrize(("outcome", "may"), [("corrected", True), ("upheld", False)])
def test_a_decline_is_taken_up_again_from_a_correction_of_the_report_on(
    outcome: str, may: bool
) -> None:
    days = timedelta(days=load_clocks().reconsideration_days)
    app = Application("a", state=State.DECLINED, state_since=MONDAY)
    answered = MONDAY + timedelta(days=20)
    app.appeals = [Appeal("x", DISPUTE, MONDAY, outcome=outcome, answered_at=answered)]
    assert may_be_taken_up(app, answered + days) is may
