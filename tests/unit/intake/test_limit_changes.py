"""What a customer may ask about the limit of their card, and what intake knows of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.intake import limit_changes
from services.intake.application import Application, ApplicationError, Card, LimitChange, Scope
from services.intake.limit_changes import LimitWish, limit_now, may_ask
from shared.events import intake, review
from shared.events.intake import LimitChangeKind
from shared.events.lifecycle import State
from shared.messaging import Fact
from shared.messaging.errors import Permanent
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


def told(event: type[Any], limit: int | None, **more: Any) -> Any:
    """What review says of the first change of the card."""
    return event(
        application_id="a", application_number="110120261103000017", branch="1101", region="11",
        channel="web", product="standard", product_version="2026.1", product_digest=None,
        applicant_type="salaried", change_id="c", change_number="110120261103000017-L1",
        limit=None if limit is None else Money.of(limit), **more,
    )  # fmt: skip


def with_card(kind: LimitChangeKind = INCREASE) -> Application:
    app = card()
    app.card = Card("card-1", Money.of(20_000), MONDAY)
    app.limit_changes.append(LimitChange("c", kind, MONDAY, None, None))
    return app


def decided(kind: LimitChangeKind, limit: int | None, **more: Any) -> Any:
    said = {"by_bank": False, "automatic": True, "decided_by": [], **more}
    outcome = "refused" if limit is None else "granted"
    return told(review.LimitChangeDecided, limit, kind=kind, outcome=outcome, **said)


def test_core_banking_hears_of_a_limit_that_was_granted_and_of_none_that_was_refused() -> None:
    for kind, since in ((INCREASE, TODAY), (DECREASE, TODAY + timedelta(days=3))):
        app = with_card(kind)
        (fact,) = limit_changes.on_decided(
            app, decided(kind, 30_000, effective_on=since), MONDAY + timedelta(days=9)
        )
        assert isinstance(fact, Fact)
        assert (fact.topic, fact.subject) == ("banka.outbound.core-banking", "card-1")
        assert fact.data == intake.CardLimitChanged(
            card_id="card-1",
            application_id="a",
            application_number="110120261103000017",
            change_number="110120261103000017-L1",
            reason=intake.CardLimitReason(kind),
            limit=Money.of(30_000),
            effective_on=since,
        )
    assert limit_changes.on_decided(with_card(), decided(INCREASE, None), MONDAY) == []


def test_a_temporary_limit_says_its_last_day_and_the_day_after_the_card_has_its_lasting_one() -> (
    None
):
    app, until = with_card(TEMPORARY), TODAY + timedelta(days=20)
    (raised,) = limit_changes.on_decided(
        app, decided(TEMPORARY, 30_000, effective_on=TODAY, until=until), MONDAY
    )
    assert isinstance(raised, Fact)
    assert isinstance(raised.data, intake.CardLimitChanged)
    assert (raised.data.reason, raised.data.until) == ("temporary", until)
    late = MONDAY + timedelta(days=25)  # the office heard of it late
    over = told(review.LimitExpired, 20_000, kind=TEMPORARY, why="term")
    (back,) = limit_changes.on_expired(app, over, late)
    assert isinstance(back, Fact)
    assert isinstance(back.data, intake.CardLimitChanged)
    assert (back.data.reason, back.data.limit) == ("temporary-ended", Money.of(20_000))
    assert (back.data.effective_on, back.data.until) == (until + timedelta(days=1), None)
    lowered = told(review.LimitExpired, 10_000, kind=TEMPORARY, why="lowered")
    (at_once,) = limit_changes.on_expired(with_card(TEMPORARY), lowered, late)
    assert isinstance(at_once, Fact)
    assert isinstance(at_once.data, intake.CardLimitChanged)
    assert at_once.data.effective_on == TODAY + timedelta(days=25)


def test_a_limit_of_a_card_that_is_not_known_waits_for_an_operator() -> None:
    app = with_card()
    app.card = None
    with pytest.raises(Permanent):
        limit_changes.on_decided(app, decided(INCREASE, 30_000, effective_on=TODAY), MONDAY)
