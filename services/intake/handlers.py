"""What intake does when review has said something: its copy of the application follows, and what
follows from that for the customer and the card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from services.intake import appeals, cards, limit_changes
from services.intake import application as applications
from services.intake.application import Application
from shared.events import review
from shared.events.lifecycle import BY_TYPE, publisher
from shared.events.payload import Payload
from shared.messaging import Effect, Received
from shared.messaging.errors import Permanent

Handler = Callable[[Any, Application, datetime], Iterable[Effect]]


def on_moved(event: Received[Any], app: Application, now: datetime) -> Iterable[Effect]:
    """Review moved the application on."""
    _follow(event, app)
    app.note(now, "review", "moved", state=str(app.state))
    return applications.what_follows(app)


def on_approved(
    event: Received[review.ApplicationApproved], app: Application, now: datetime
) -> Iterable[Effect]:
    """The bank grants the card: order it, unless the customer wants out."""
    _follow(event, app)
    app.limit, app.limit_by_policy = event.data.limit, event.data.automatic
    app.note(now, "review", "approved", limit=event.data.limit.minor)
    if _wants_out(app):
        effects = applications.let_go(app, now)
    else:
        effects = cards.order(app, event.data.limit, now)
    return [*effects, *applications.what_follows(app)]


def on_declined(
    event: Received[review.ApplicationDeclined], app: Application, now: datetime
) -> Iterable[Effect]:
    """The bank does not grant the card; from when on the person may apply again is remembered."""
    _follow(event, app)
    app.category, app.reapply_from = event.data.category.value, event.data.reapply_from
    app.note(now, "review", "declined", category=app.category)
    if app.withdrawal is not None and app.withdrawal.outcome == "asked":
        app.withdrawal.outcome, app.withdrawal.why = "refused", "already-decided"
    return applications.what_follows(app)


def on_material_wanted(
    event: Received[review.MaterialWanted], app: Application, now: datetime
) -> Iterable[Effect]:
    """A reviewer wants more: ask the customer, unless the customer wants out."""
    _follow(event, app)
    app.note(now, f"staff:{event.data.staff_id}", "material_wanted")
    if _wants_out(app):
        effects = applications.let_go(app, now)
    else:
        asked_by = f"staff:{event.data.staff_id}"
        effects = applications.want_more(app, event.data.items, asked_by, now)
    return [*effects, *applications.what_follows(app)]


def on_withdrawal_granted(
    event: Received[review.WithdrawalGranted], app: Application, now: datetime
) -> Iterable[Effect]:
    """Review let the application go."""
    _follow(event, app)
    if app.withdrawal is not None:
        app.withdrawal.outcome = "withdrawn"
    app.note(now, "review", "withdrawn")
    return [*applications.no_more_terms(app), *applications.what_follows(app)]


def on_withdrawal_refused(
    event: Received[review.WithdrawalRefused], app: Application, now: datetime
) -> Iterable[Effect]:
    """The wish to withdraw came when review had given the application away. Where it went back to
    intake the wish was fulfilled there; a decline or an end stands."""
    _follow(event, app)
    wish = app.withdrawal
    if wish is not None and wish.request_id == event.data.request_id and wish.outcome == "asked":
        if app.ours and app.card is None:
            return [*applications.let_go(app, now), *applications.what_follows(app)]
        wish.outcome, wish.why = "refused", event.data.reason
        app.note(now, "review", "withdrawal_refused", reason=event.data.reason)
    return []


def on_appeal_opened(
    event: Received[review.AppealOpened], app: Application, now: datetime
) -> Iterable[Effect]:
    """Review has a case of what the customer asks about its decision."""
    _follow(event, app)
    appeals.on_opened(app, event.data, now)
    return []


def on_appeal_answered(
    event: Received[review.AppealAnswered], app: Application, now: datetime
) -> Iterable[Effect]:
    """Review has answered the customer."""
    _follow(event, app)
    appeals.on_answered(app, event.data, now)
    return []


def on_limit_change_opened(
    event: Received[review.LimitChangeOpened], app: Application, now: datetime
) -> Iterable[Effect]:
    """Review has a case of another limit for the card."""
    _follow(event, app)
    limit_changes.on_opened(app, event.data, now)
    return []


def on_limit_change_decided(
    event: Received[review.LimitChangeDecided], app: Application, now: datetime
) -> Iterable[Effect]:
    """Review has granted another limit, or refused it."""
    _follow(event, app)
    return limit_changes.on_decided(app, event.data, now)


def on_limit_expired(
    event: Received[review.LimitExpired], app: Application, now: datetime
) -> Iterable[Effect]:
    """A temporary limit has ended."""
    _follow(event, app)
    return limit_changes.on_expired(app, event.data, now)


def on_dispute_opened(
    event: Received[review.DisputeOpened], app: Application, now: datetime
) -> Iterable[Effect]:
    """Review has a case of what the customer says of the credit report."""
    _follow(event, app)
    appeals.on_dispute_opened(app, event.data, now)
    return []


def on_dispute_answered(
    event: Received[review.DisputeAnswered], app: Application, now: datetime
) -> Iterable[Effect]:
    """The dispute has its answer."""
    _follow(event, app)
    appeals.on_dispute_answered(app, event.data, now)
    return []


def _wants_out(app: Application) -> bool:
    return app.withdrawal is not None and app.withdrawal.outcome == "asked"


def _follow(event: Received[Any], app: Application) -> None:
    if app.scope is None:
        raise Permanent("review tells of an application that intake does not know")
    applications.follow(app, event)


_SPECIAL: dict[type[Payload], Handler] = {
    review.ApplicationApproved: on_approved,
    review.ApplicationDeclined: on_declined,
    review.MaterialWanted: on_material_wanted,
    review.WithdrawalGranted: on_withdrawal_granted,
    review.WithdrawalRefused: on_withdrawal_refused,
    review.AppealOpened: on_appeal_opened,
    review.AppealAnswered: on_appeal_answered,
    review.LimitChangeOpened: on_limit_change_opened,
    review.LimitChangeDecided: on_limit_change_decided,
    review.LimitExpired: on_limit_expired,
    review.DisputeOpened: on_dispute_opened,
    review.DisputeAnswered: on_dispute_answered,
}

HANDLERS: Mapping[type[Payload], Handler] = {
    payload: _SPECIAL.get(payload, on_moved)
    for payload in BY_TYPE.values()
    if publisher(payload) == "review"
}
"""Every event of review; intake's own come back on the same topic and are passed over."""

DEADLINES: Mapping[str, Callable[[Application, datetime], Iterable[Effect]]] = {
    applications.DRAFT_DEADLINE: applications.on_draft_deadline,
    applications.DRAFT_REMINDER: applications.on_draft_reminder,
    applications.MATERIAL_REMINDER: applications.on_material_reminder,
    applications.MATERIAL_DEADLINE: applications.on_material_deadline,
    applications.ACTIVATION_DEADLINE: applications.on_activation_deadline,
    applications.ACTIVATION_REMINDER: applications.on_activation_reminder,
}
