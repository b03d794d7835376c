"""Applications as intake keeps them, at every point of their way, without a vault."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from services.intake import application as applications
from services.intake import cards, handlers
from services.intake.application import Application, Beginning, Document, Scope
from services.intake.rules import Examination, Wanted
from shared.events import lifecycle, review
from shared.events.payload import CreditConsent, Party, PartyRole
from shared.identifiers import new_id
from shared.messaging import Effect, Fact, Received
from shared.money import Money

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai
ACTOR = "staff:1"
LIMIT = Money.of(15_000)
GRANTED: dict[str, Any] = {
    "decision_id": "d-1",
    "reason_codes": [],
    "policy_version": "2026.1",
    "policy_digest": "d" * 64,
    "automatic": True,
    "decided_by": [],
}


def found(
    *wanted: tuple[str, str] | tuple[str, str, str],
    refusals: Iterable[str] = (),
    whose: Iterable[tuple[PartyRole, str, str]] = (),
) -> Any:
    """What the rules say: (item, code[, field]) of what is wanted; whose: (role, code, field)."""
    return Examination(
        wanted=tuple(Wanted(*one) for one in wanted),
        warnings=(),
        refusals=tuple(refusals),
        age_band="36-45",
        income_band="10000-19999",
        whose=frozenset(whose),
    )


SOUND = found()


def draft(*, partner: str | None = None, consent: bool = True) -> Application:
    app = Application(new_id())
    start = Beginning(
        scope=Scope(
            "110120261012000017", "1101", "11", "counter", "standard", "2026.1", "salaried"
        ),
        parties=[Party(party_id=new_id(), person="p-1", role=PartyRole.APPLICANT, fields={})],
        consent=CreditConsent(signed_at=NOW, purpose="信用卡审批") if consent else None,
        requested_limit=None,
        reopens=None,
        partner=partner,
        partner_reference="ref-1" if partner else None,
    )
    applications.begin(app, start, ACTOR, NOW)
    return app


def paper(app: Application, item: str, content: str = "") -> Document:
    return Document(
        document_id=new_id(),
        document_number=applications.document_number(app),
        item=item,
        sha256=(content or new_id()).encode().hex()[:64].ljust(64, "0"),
        media_type="image/png",
        size=100,
        received_at=NOW,
    )


def submitted(*wanted: Any, partner: str | None = None) -> Application:
    """Handed in; awaiting material where something is wanted, else with review."""
    app = draft(partner=partner)
    hand_in(app, found(*wanted))
    return app


def hand_in(app: Application, examination: Examination = SOUND) -> list[Effect]:
    return applications.submit(app, examination, (), new_to_bank=True, actor=ACTOR, now=NOW)


def hear(app: Application, kind: type[Any], version: int | None = None, **more: Any) -> list[Any]:
    """What follows when review says it."""
    data = kind.model_validate({**app.fields(), **more})
    moves = lifecycle.advance(app.state, kind).moves if version is None else True
    event = Received(
        id=new_id(),
        type=kind.type,
        source="/banka/review",
        subject=app.application_id,
        time=NOW,
        recorded_time=NOW,
        sequence=1,
        state_version=version or app.state_version + (1 if moves else 0),
        causation_id=None,
        correlation_id="c",
        traceparent=None,
        origin="live",
        data=data,
        topic="banka.applications",
        partition=0,
        offset=0,
    )
    return list(handlers.HANDLERS[kind](event, app, NOW))


def ordered() -> Application:
    """Approved, and the card ordered."""
    app = submitted()
    hear(app, review.ChecksCompleted)
    hear(app, review.ApplicationApproved, **GRANTED, limit=LIMIT)
    return app


def fact(app: Application, kind: str, **more: Any) -> tuple[list[Effect], bool]:
    return cards.take_fact(
        app,
        f"banka.partner-card.{kind}.v1",
        partner="card-factory",
        partner_event_id=new_id(),
        reported=more.get("reported", NOW),
        now=more.get("now", NOW),
    )


def payloads(effects: Iterable[Effect]) -> list[Any]:
    return [effect.data for effect in effects if isinstance(effect, Fact)]


def names(effects: Iterable[Effect]) -> list[str]:
    return [type(payload).__name__ for payload in payloads(effects)]
