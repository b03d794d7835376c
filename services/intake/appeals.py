"""What a customer asks of review who was declined, or whose limit the policy alone set: an
explanation, or a review by a person (个人信息保护法 24); a dispute about the credit report
(征信业管理条例 25); and until when a decline is taken up again.
Review answers; here stands what was asked and what became of it. The application moves nowhere.
Pure, as `application`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from services.intake import application as applications
from services.intake.application import Appeal, Application, ApplicationError
from services.intake.limit_changes import changed_since
from shared.calendar import business_day
from shared.events import intake
from shared.events.intake import AppealWish
from shared.events.lifecycle import GRANTED, State
from shared.identifiers import new_id
from shared.messaging import Effect
from shared.parameters import load_clocks
from shared.privacy.sealing import Sealed

DISPUTE: Final = "report-dispute"


def may_ask(app: Application) -> list[AppealWish]:
    """What the customer can ask for now, of a decline or of a limit that the policy alone set: each
    once, one at a time."""
    made = [one for one in app.appeals if one.wish != DISPUTE]
    decided = app.state is State.DECLINED or about_limit(app)
    if not decided or any(one.outcome is None for one in made):
        return []
    asked = {one.wish for one in made}
    return [wish for wish in AppealWish if wish not in asked]


def about_limit(app: Application) -> bool:
    """Whether what can be asked is about a limit that the policy alone set and that the card still
    has for good, and no decline."""
    return app.state in GRANTED and app.limit_by_policy and not changed_since(app)


def ask(app: Application, wish: AppealWish, words: str, actor: str, now: datetime) -> list[Effect]:
    """The customer asks. words: sealed; empty: none. Raises ApplicationError `not-appealable`."""
    if wish not in may_ask(app):
        raise ApplicationError(
            "not-appealable",
            "Only a decline, or a limit that the policy alone set and nobody changed since, is"
            " appealed, once by each way",
        )
    appeal = Appeal(new_id(), wish, now)
    app.appeals.append(appeal)
    app.note(now, actor, "appeal_asked", wish=wish)
    request = intake.AppealRequested(
        **app.fields(),
        appeal_id=appeal.appeal_id,
        wish=wish,
        words=Sealed(words) if words else None,
        entered_by=actor,
    )
    return [applications.publish(app, request, now)]


def on_opened(app: Application, opened: Any, now: datetime) -> None:
    """Review has a case of it. One that an officer opened for the customer counts as theirs; what
    was asked meanwhile is answered with it."""
    appeal = _the_one(app, opened.appeal_id, opened.wish, now)
    appeal.wish, appeal.working_days = opened.wish, opened.working_days
    app.note(now, "review", "appeal_opened", wish=opened.wish)


def _the_one(
    app: Application, appeal_id: str, wish: AppealWish | Literal["report-dispute"], now: datetime
) -> Appeal:
    """What review has a case of; of those of its kind that wait there is no other."""
    app.appeals = [
        one
        for one in app.appeals
        if one.outcome is not None
        or one.appeal_id == appeal_id
        or (one.wish == DISPUTE) != (wish == DISPUTE)
    ]
    found = next((one for one in app.appeals if one.appeal_id == appeal_id), None)
    if found is None:
        found = Appeal(appeal_id, wish, now)
        app.appeals.append(found)
    return found


def on_answered(app: Application, answer: Any, now: datetime) -> None:
    """Review has answered. Where it would decide otherwise by now, the customer need not wait to
    apply again; the decline itself stays what it is."""
    _close(app, answer.appeal_id, answer, now)
    app.note(now, "review", "appeal_answered", outcome=answer.outcome)


def _close(app: Application, appeal_id: str, answer: Any, now: datetime) -> None:
    for one in app.appeals:
        if one.appeal_id == appeal_id:
            one.outcome, one.answered_at = answer.outcome, now
    if answer.reapply_from is not None:
        app.reapply_from = answer.reapply_from


def may_dispute(app: Application) -> bool:
    """Whether the customer can say now that the credit report is wrong: once review has asked for
    one, and one at a time."""
    asked_for = app.state in applications.AFTER_PASS or app.state is State.DECLINED
    return asked_for and not any(one.wish == DISPUTE and one.outcome is None for one in app.appeals)


def dispute(app: Application, words: str, actor: str, now: datetime) -> list[Effect]:
    """The customer disputes the credit report. words: sealed; empty: none. Raises ApplicationError
    `not-disputable`."""
    if not may_dispute(app):
        raise ApplicationError(
            "not-disputable", "Only a report that was asked for is disputed, and once at a time"
        )
    one = Appeal(new_id(), DISPUTE, now)
    app.appeals.append(one)
    app.note(now, actor, "dispute_asked")
    request = intake.DisputeRequested(
        **app.fields(),
        dispute_id=one.appeal_id,
        words=Sealed(words) if words else None,
        entered_by=actor,
    )
    return [applications.publish(app, request, now)]


def on_dispute_opened(app: Application, opened: Any, now: datetime) -> None:
    """Review has a case of it, as of an appeal."""
    _the_one(app, opened.dispute_id, DISPUTE, now).days = opened.days
    app.note(now, "review", "dispute_opened")


def on_dispute_answered(app: Application, answer: Any, now: datetime) -> None:
    """Review has answered. Where the report is put right, who was declined need not wait to apply
    again."""
    _close(app, answer.dispute_id, answer, now)
    app.note(now, "review", "dispute_answered", outcome=answer.outcome)


def may_be_taken_up(app: Application, now: datetime) -> bool:
    """Whether a new application may take this one up again: of a decline so many days long, from
    the decision on or from an answer that changed it or put the report right; of anything else that
    has ended at any time."""
    if app.open:
        return False
    if app.state is not State.DECLINED or app.state_since is None:
        return True
    changed = [one.answered_at for one in app.appeals if one.outcome in ("changed", "corrected")]
    since = max([app.state_since, *(at for at in changed if at is not None)])
    days = load_clocks().reconsideration_days
    return business_day(now) <= business_day(since) + timedelta(days=days)
