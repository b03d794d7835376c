"""What a customer may ask of review about its decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.intake.appeals import (
    DISPUTE,
    about_limit,
    ask,
    may_ask,
    may_be_taken_up,
    may_dispute,
)
from services.intake.application import Appeal, Application, ApplicationError, LimitChange
from services.intake.customer_view import answer_to
from shared.events.intake import AppealWish, LimitChangeKind
from shared.events.lifecycle import GRANTED, State
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
    app.state = State.MANUAL_REVIEW
    assert may_ask(app) == []


@pytest.mark.parametrize("state", sorted(State))
@pytest.mark.parametrize("by_policy", [True, False])
def test_of_a_limit_the_customer_asks_where_the_policy_alone_set_it(
    state: State, by_policy: bool
) -> None:
    app = Application("a", state=state, limit_by_policy=by_policy)
    may = state is State.DECLINED or (by_policy and state in GRANTED)
    assert may_ask(app) == ([WHY, HUMAN] if may else [])
    assert about_limit(app) is (by_policy and state in GRANTED)


@pytest.mark.parametrize("kind", LimitChangeKind)
@pytest.mark.parametrize("state", ["waits", "granted", "refused", "ended"])
def test_of_a_limit_that_was_changed_for_good_nothing_is_asked_any_more(
    kind: LimitChangeKind, state: Any
) -> None:
    app = Application("a", state=State.IN_USE, limit_by_policy=True)
    app.limit_changes = [LimitChange("c", kind, MONDAY, None, None, state=state)]
    changed = state == "granted" and kind is not LimitChangeKind.TEMPORARY
    assert (about_limit(app), bool(may_ask(app))) == (not changed, not changed)
    if changed:
        with pytest.raises(ApplicationError, match="nobody changed since"):
            ask(app, HUMAN, "", "customer", MONDAY)
    app.state = State.DECLINED
    assert may_ask(app) == [WHY, HUMAN]


@pytest.mark.parametrize(
    ("state", "says"),
    [(State.DECLINED, "apply anew at once"), (State.IN_USE, "a higher limit is possible")],
)
def test_what_became_of_it_is_said_of_a_decline_or_of_a_limit(state: State, says: str) -> None:
    one = Appeal("x", HUMAN, MONDAY, outcome="changed")
    assert says in answer_to(Application("a", state=state), one)


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
