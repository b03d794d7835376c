"""What a customer may ask about the limit of their card, and what intake knows of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.intake import limit_changes
from services.intake.application import Application, ApplicationError, LimitChange, Scope
from services.intake.limit_changes import LimitWish, limit_now, may_ask
from shared.events import intake
from shared.events.intake import LimitChangeKind
from shared.events.lifecycle import State
from shared.messaging import Fact
from shared.money import Money

MONDAY = datetime(2026, 11, 2, 2, tzinfo=UTC)
TODAY = date(2026, 11, 2)
INCREASE, TEMPORARY = LimitChangeKind.INCREASE, LimitChangeKind.TEMPORARY
DECREASE = LimitChangeKind.DECREASE


def card(applicant_type: str = "salaried", state: State = State.IN_USE) -> Application:
    app = Application("a", state=state)
    app.scope = Scope(
        application_number="110120261103000017",
        branch="1101",
        region="11",
        channel="web",
        product="standard",
        product_version="2026.1",
        applicant_type=applicant_type,
    )
    app.limit = Money.of(20_000)
    return app


def wish(kind: LimitChangeKind = INCREASE, yuan: int = 30_000, **changes: Any) -> LimitWish:
    return replace(LimitWish(kind, Money.of(yuan), TODAY), **changes)


def refusal(app: Application, asked: LimitWish, **more: Any) -> str:
    with pytest.raises(ApplicationError) as refused:
        limit_changes.ask(app, asked, "staff:a", MONDAY, **more)
    return refused.value.code


@pytest.mark.parametrize("state", sorted(State))
def test_only_the_limit_of_an_activated_card_is_changed(state: State) -> None:
    assert may_ask(card(state=state)) is (state in (State.ACTIVATED, State.IN_USE))


def test_a_card_without_a_limit_of_its_own_has_none_to_change() -> None:
    assert not may_ask(card("supplementary"))
    imported = card()
    imported.limit = None
    assert not may_ask(imported)


def test_what_is_asked_says_when_the_customer_agreed_and_one_waits_at_a_time() -> None:
    app = card()
    (fact,) = limit_changes.ask(app, wish(), "staff:a", MONDAY)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, intake.LimitChangeRequested)
    assert (fact.data.wanted, fact.data.consent) == (Money.of(30_000), None)
    assert app.state is State.IN_USE
    assert refusal(app, wish()) == "limit-not-changeable"


WRONG: dict[str, tuple[LimitWish, str]] = {
    "no agreement": (wish(agreed_on=None), "not-agreed"),
    "agreed tomorrow": (wish(agreed_on=TODAY + timedelta(days=1)), "not-agreed"),
    "no more": (wish(yuan=20_000), "limit-not-fitting"),
    "no less": (wish(DECREASE, 20_000), "limit-not-fitting"),
    "no last day": (wish(TEMPORARY), "until-not-fitting"),
    "too long": (wish(TEMPORARY, until=TODAY + timedelta(days=31)), "until-not-fitting"),
    "for good until": (wish(until=TODAY + timedelta(days=3)), "until-not-fitting"),
    "proof of nothing": (wish(income_on=TODAY), "income-not-proved"),
    "consent tomorrow": (wish(consent_on=TODAY + timedelta(days=1)), "not-agreed"),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_a_wish_that_cannot_be_worked_on_is_refused(what: str) -> None:
    asked, code = WRONG[what]
    assert refusal(card(), asked) == code


def test_a_student_needs_the_guarantors_agreement_for_an_increase_alone() -> None:
    assert refusal(card("student"), wish()) == "no-guarantee"
    assert limit_changes.ask(card("student"), wish(guarantee_on=TODAY), "staff:a", MONDAY)
    assert limit_changes.ask(card("student"), wish(DECREASE, 10_000), "staff:a", MONDAY)


def test_the_last_lasting_limit_counts_and_a_temporary_one_never_does() -> None:
    app = card()
    for kind, yuan in ((INCREASE, 30_000), (TEMPORARY, 50_000)):
        app.limit_changes.append(
            LimitChange("x", kind, MONDAY, None, None, state="granted", limit=Money.of(yuan))
        )
    assert limit_now(app) == Money.of(30_000)
