"""A customer wants another limit for their card, and an assistant writes it down. Review decides;
here stands what was asked and what became of it. The decided application moves nowhere. Pure, as
`application`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from services.intake import application as applications
from services.intake import cards
from services.intake.application import Application, ApplicationError, LimitChange
from shared.calendar import business_day, start_of_day
from shared.events import intake
from shared.events.intake import CardLimitReason, LimitChangeKind
from shared.events.lifecycle import HAS_CARD
from shared.events.payload import ApplicantType, CreditConsent
from shared.identifiers import new_id
from shared.messaging import Effect
from shared.money import Money
from shared.parameters import load_limit_changes
from shared.privacy.sealing import Sealed

CREDIT_PURPOSE = "信用卡审批"  # the purpose for which a consent lets the bureau be asked


@dataclass(frozen=True, slots=True)
class LimitWish:
    """What the customer asks for: the whole limit that the card shall have, up to which day if for
    a time. `agreed_on`: when they said so; `consent_on`: signed a consent to a new query of the
    bureau; `guarantee_on`: a student's second source of repayment agreed in writing; `income_on`:
    day of the proof of an income stated anew."""

    kind: LimitChangeKind
    wanted: Money
    agreed_on: date | None
    until: date | None = None
    consent_on: date | None = None
    guarantee_on: date | None = None
    income_on: date | None = None


def limit_now(app: Application) -> Money | None:
    """The lasting limit of the card, as review granted or changed it; None where none is known."""
    for one in reversed(app.limit_changes):
        if _for_good(one):
            return one.limit
    return app.card.limit if app.card is not None else app.limit


def changed_since(app: Application) -> bool:
    """Whether the card has another lasting limit than the one that review granted with it."""
    return any(_for_good(one) for one in app.limit_changes)


def _for_good(one: LimitChange) -> bool:
    return one.state == "granted" and one.kind is not LimitChangeKind.TEMPORARY


def may_ask(app: Application) -> bool:
    """Whether the customer can ask for another limit now: of a card that works and has a limit of
    its own, one at a time."""
    return (
        app.state in HAS_CARD
        and limit_now(app) is not None
        and app.need_scope().applicant_type != ApplicantType.SUPPLEMENTARY
        and all(one.state != "waits" for one in app.limit_changes)
    )


def ask(
    app: Application,
    wish: LimitWish,
    actor: str,
    now: datetime,
    *,
    income: str | None = None,
    words: str = "",
) -> list[Effect]:
    """The customer asks. income, words: sealed. Raises ApplicationError `limit-not-changeable`, or
    one that says what is wrong with the wish."""
    if not may_ask(app):
        raise ApplicationError(
            "limit-not-changeable",
            "Only the limit of an activated card is changed, one change at a time",
        )
    _fitting(app, wish, business_day(now), stated_anew=income is not None)
    change = LimitChange(new_id(), wish.kind, now, wish.wanted, wish.until)
    app.limit_changes.append(change)
    app.note(now, actor, "limit_change_asked", kind=wish.kind)
    assert wish.agreed_on is not None  # it fits
    request = intake.LimitChangeRequested(
        **app.fields(),
        change_id=change.change_id,
        kind=wish.kind,
        wanted=wish.wanted,
        until=wish.until,
        agreed_at=start_of_day(wish.agreed_on),
        consent=CreditConsent(signed_at=start_of_day(wish.consent_on), purpose=CREDIT_PURPOSE)
        if wish.consent_on is not None
        else None,
        guarantee_on=wish.guarantee_on,
        monthly_income=Sealed(income) if income is not None else None,
        income_on=wish.income_on,
        words=Sealed(words) if words else None,
        entered_by=actor,
    )
    return [applications.publish(app, request, now)]


def _fitting(app: Application, wish: LimitWish, today: date, *, stated_anew: bool) -> None:
    """Raises ApplicationError where the wish cannot be worked on; review looks again at all of
    it."""
    if wish.agreed_on is None or wish.agreed_on > today:
        raise ApplicationError(
            "not-agreed", "No limit is changed without the customer's own agreement"
        )
    lasting = limit_now(app)
    assert lasting is not None  # or nobody may ask
    lowers = wish.kind is LimitChangeKind.DECREASE
    if (wish.wanted >= lasting) if lowers else (wish.wanted <= lasting):
        raise ApplicationError(
            "limit-not-fitting",
            f"The card has {lasting}: an increase is above it, a decrease below",
        )
    longest = load_limit_changes().temporary.longest_days
    temporary = wish.kind is LimitChangeKind.TEMPORARY
    fits = wish.until is not None and today < wish.until <= today + timedelta(days=longest)
    if temporary != (wish.until is not None) or (temporary and not fits):
        raise ApplicationError(
            "until-not-fitting",
            f"A temporary limit, and no other, has a last day within {longest} days",
        )
    student = app.need_scope().applicant_type == ApplicantType.STUDENT
    guaranteed = wish.guarantee_on is not None and wish.guarantee_on <= today
    if student and not lowers and not guaranteed:
        raise ApplicationError(
            "no-guarantee",
            "A student's second source of repayment agrees in writing before any increase",
        )
    proved = wish.income_on is not None and wish.income_on <= today
    if stated_anew != (wish.income_on is not None) or (stated_anew and not proved):
        raise ApplicationError(
            "income-not-proved", "An income stated anew is proved: say from when"
        )
    if wish.consent_on is not None and wish.consent_on > today:
        raise ApplicationError("not-agreed", "A consent is signed before the query")


def _find(app: Application, told: Any) -> LimitChange | None:
    return next((one for one in app.limit_changes if one.change_id == told.change_id), None)


def on_opened(app: Application, opened: Any, now: datetime) -> None:
    """Review has a case of it; one that the bank began itself is known from now on."""
    change = _find(app, opened)
    if change is None:
        change = LimitChange(opened.change_id, opened.kind, now, None, None, by_bank=opened.by_bank)
        app.limit_changes.append(change)
    change.number = opened.change_number
    app.note(now, "review", "limit_change_opened", kind=opened.kind)


def on_decided(app: Application, decided: Any, now: datetime) -> list[Effect]:
    """Review has granted or refused it; of several the last that was granted counts, and core
    banking hears of it."""
    change = _find(app, decided)
    if change is None:
        return []
    change.number, change.decided_at = decided.change_number, now
    change.state, change.limit = decided.outcome, decided.limit
    change.until, change.effective_on = decided.until, decided.effective_on
    app.limit_changes.sort(key=lambda one: one.decided_at or now)
    app.note(now, "review", f"limit_change_{decided.outcome}", kind=decided.kind)
    if decided.limit is None:
        return []
    since = decided.effective_on or business_day(now)
    return [cards.limit_changed(app, decided, CardLimitReason(decided.kind), since, decided.until)]


def on_expired(app: Application, expired: Any, now: datetime) -> list[Effect]:
    """The temporary limit has ended, and core banking hears of it."""
    change = _find(app, expired)
    since = business_day(now)
    if change is not None:
        change.state = "ended"
        if expired.why == "term" and change.until is not None:
            since = change.until + timedelta(days=1)
    app.note(now, "review", "limit_expired")
    return [cards.limit_changed(app, expired, CardLimitReason.TEMPORARY_ENDED, since, None)]
