"""From events to read-model rows, without a database: what each event says about an application.

Every event that is applied is kept as an `AppliedEvent`: when it happened, what state it led to,
and the few facts that may be shown. Reports are made from these rows, so what is not kept here can
never appear in one. Sealed fields are never kept: each fact is named below, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.calendar import BUSINESS_ZONE, due_about
from shared.clock import format_instant
from shared.events import intake, lifecycle, notify, reporting, review
from shared.events.lifecycle import REMINDERS
from shared.events.payload import ApplicationEvent, Party, PartyRole, Payload
from shared.money import Money
from shared.parameters import digest_held
from shared.web.states import shown_state

_WAITED: tuple[str, ...] = ("customer", "bank", "partner")
# Upper ends in whole yuan; the last band is open. Bands, because an amount tells a person.
_LIMIT_BANDS = (9_999, 29_999, 49_999, 99_999)
# A backlog that is read late says nothing about silence: the rest of it gets time to be read first.
LATE_READING_GRACE = timedelta(hours=1)

# Facts that nobody did for the case's progress: they do not end a silence.
_NO_SIGN_OF_LIFE: frozenset[str] = frozenset(
    {
        *(reminder.type for reminder in REMINDERS),
        intake.CardFactRefused.type,
        review.WithdrawalRefused.type,
        # a case of its own beside the application
        intake.DisputeRequested.type,
        review.DisputeOpened.type,
        review.DisputeAnswered.type,
    }
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The envelope of an event, and where on the broker it lay."""

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    source: str
    application_id: str
    time: datetime
    recorded_time: datetime
    origin: str = "live"
    state_version: int | None = None


@dataclass(frozen=True, slots=True)
class AppliedEvent:
    """An event as it was applied: one row of `projection.event`, never changed afterwards.

    state_after is the application's state once this was applied; None while a message or a case
    event came before the application itself. moves: whether it changed the state.
    """

    seen: Seen
    state_before: str | None
    state_after: str | None
    state_version: int
    moves: bool
    number: str | None
    branch: str | None
    region: str | None
    channel: str | None
    product: str | None
    product_version: str | None
    applicant_type: str | None
    facts: Mapping[str, Any]

    @property
    def type(self) -> str:
        return self.seen.type

    @property
    def time(self) -> datetime:
        return self.seen.time

    @property
    def application_id(self) -> str:
        return self.seen.application_id


@dataclass(slots=True)
class MessageRow:
    """What became of one message: `requested`, `sent`, `delivered`, `failed` or `unresolved`."""

    message_id: str
    application_id: str
    branch: str
    template: str
    channel: str
    language: str
    state: str
    reason: str | None
    changed_at: datetime
    not_before: datetime | None = None


@dataclass(slots=True)
class ApplicationRow:
    """An application as the office sees it now; one row of `projection.application`.

    waited: seconds spent in states already left, by whom everybody waited for. since: when the
    state began. last_sign: when somebody last did something about it. stalled_version: the state
    version in which silence was reported; while it equals state_version the case is stalled.
    """

    application_id: str
    number: str | None = None
    branch: str | None = None
    region: str | None = None
    channel: str | None = None
    product: str | None = None
    applicant_type: str | None = None
    product_version: str | None = None
    state: str | None = None
    state_version: int = 0
    since: datetime | None = None
    last_sign: datetime | None = None
    silence_due: datetime | None = None
    stalled_version: int | None = None
    stalled_at: datetime | None = None
    origin: str = "live"
    person: str | None = None
    new_to_bank: bool | None = None
    age_band: str | None = None
    income_band: str | None = None
    limit_band: str | None = None
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    closed_at: datetime | None = None
    decline_category: str | None = None
    reopens: str | None = None
    wanted: list[dict[str, str]] = field(default_factory=list)
    wanted_deadline: datetime | None = None
    rounds: int = 0
    refused_facts: int = 0
    refused_at: datetime | None = None
    waited: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WAITED, 0))
    # the same as who may not know of holds sees it: services/reporting/outside.py
    outside_version: int = 0
    outside_since: datetime | None = None
    outside_sign: datetime | None = None
    outside_silence_due: datetime | None = None
    outside_stalled: bool = False
    outside_waited: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WAITED, 0))
    # not columns of the row: what this transaction adds to the tables beside it
    new_events: list[AppliedEvent] = field(default_factory=list)
    new_messages: dict[str, MessageRow] = field(default_factory=dict)

    @property
    def owner(self) -> lifecycle.Owner | None:
        """Who answers for the case now; None before it began and once it has ended."""
        return lifecycle.OWNERS.get(lifecycle.State(self.state)) if self.state else None

    @property
    def stalled(self) -> bool:
        return self.stalled_version is not None and self.stalled_version == self.state_version


def apply_lifecycle(
    row: ApplicationRow, seen: Seen, data: ApplicationEvent, zone: ZoneInfo = BUSINESS_ZONE
) -> AppliedEvent:
    """An event of the lifecycle happened to the application; returns it as kept.

    Raises lifecycle.IllegalTransition where it cannot have happened; the row is then unchanged.
    """
    into = data.state if isinstance(data, intake.ApplicationImported) else None
    before = row.state
    transition = lifecycle.advance(before, type(data), into=into)
    _describe(row, data)
    if transition.moves:
        _enter(row, transition.state, seen)
    _remember(row, seen, data)
    if transition.moves or seen.type not in _NO_SIGN_OF_LIFE:
        row.last_sign = max(seen.time, row.last_sign or seen.time)
        row.silence_due = (
            _silence_due(row.state, row.last_sign, zone) if seen.origin == "live" else None
        )
        _seen_outside(row, seen, before, zone, moves=transition.moves)
    return _keep(row, seen, before, data, moves=transition.moves)


def apply_message(row: ApplicationRow, seen: Seen, data: notify.MessageEvent) -> AppliedEvent:
    """Something became of a message; it may be told before the application itself is known."""
    state = seen.type.split(".")[2]  # banka.message.<state>.v1
    row.branch = row.branch or data.branch
    row.new_messages[data.message_id] = MessageRow(
        message_id=data.message_id,
        application_id=seen.application_id,
        branch=data.branch,
        template=data.template,
        channel=data.channel,
        language=data.language,
        state=state,
        reason=data.reason if isinstance(data, notify.MessageFailed) else None,
        changed_at=seen.time,
        not_before=data.not_before if isinstance(data, notify.MessageRequested) else None,
    )
    return _keep(row, seen, row.state, data, moves=False)


def apply_case(
    row: ApplicationRow,
    seen: Seen,
    data: reporting.CaseStalled | reporting.CaseResumed,
) -> AppliedEvent:
    """Our own report of a silent or resumed case came back: it goes into the timeline, and into the
    row where the row was rebuilt and does not know it yet."""
    if row.number is None:
        _describe(row, data)
    if isinstance(data, reporting.CaseStalled) and data.state_version >= row.state_version:
        row.stalled_version = data.state_version
        row.stalled_at = seen.time
        row.outside_stalled = True
    return _keep(row, seen, row.state, data, moves=False)


def find_silence(row: ApplicationRow, now: datetime) -> reporting.CaseStalled | None:
    """What is to be reported about the application if nobody moved it in time, once per state.

    None if it has ended, is known to be stalled, or something happened since the clock was set.
    """
    owner = row.owner
    if owner is None or row.stalled or row.silence_due is None or row.silence_due > now:
        return None
    row.stalled_version = row.state_version
    row.stalled_at = now
    row.outside_stalled = True
    return reporting.CaseStalled(
        **_identity(row),
        state=str(row.state),
        state_version=row.state_version,
        desk=owner.desk,
        waiting_on=owner.waiting_on,
        silent_since=row.last_sign or now,
        due_at=row.silence_due,
    )


def resumed(row: ApplicationRow) -> reporting.CaseResumed:
    """A stalled application moved again."""
    return reporting.CaseResumed(
        **_identity(row), state=str(row.state), state_version=row.state_version
    )


def limit_band(amount: Money | None) -> str | None:
    """The band of a credit limit in whole yuan, such as `10000-29999` or `100000+`."""
    if amount is None:
        return None
    yuan = amount.minor // 100
    low = 0
    for high in _LIMIT_BANDS:
        if yuan <= high:
            return f"{low}-{high}"
        low = high + 1
    return f"{low}+"


def clear_facts(data: Payload) -> dict[str, Any]:
    """The facts of an event that may be kept and shown; a type that is not listed keeps none but
    who entered it."""
    chosen = _FACTS.get(type(data))
    facts = {} if chosen is None else chosen(data)
    entered_by = getattr(data, "entered_by", None)
    return facts if entered_by is None else {**facts, "entered_by": entered_by}


# --- the row ----------------------------------------------------------------------------------


def _describe(row: ApplicationRow, data: ApplicationEvent) -> None:
    row.number = data.application_number
    row.branch = data.branch
    row.region = data.region
    row.channel = data.channel.value
    row.product = data.product
    row.product_version = data.product_version
    row.applicant_type = data.applicant_type.value


def _identity(row: ApplicationRow) -> dict[str, Any]:
    return {
        "application_id": row.application_id,
        "application_number": row.number,
        "branch": row.branch,
        "region": row.region,
        "channel": row.channel,
        "product": row.product,
        "product_version": row.product_version,
        "product_digest": digest_held(row.product or "", row.product_version or ""),
        "applicant_type": row.applicant_type,
    }


def _enter(row: ApplicationRow, state: lifecycle.State, seen: Seen) -> None:
    _wait(row.waited, row.state, row.since, seen.time)
    row.state = state.value
    row.state_version = (
        seen.state_version if seen.state_version is not None else row.state_version + 1
    )
    row.since = seen.time
    row.closed_at = seen.time if state in lifecycle.TERMINAL else None
    if row.stalled_version is not None and row.stalled_version < row.state_version:
        row.stalled_at = None
    if state is not lifecycle.State.AWAITING_MATERIAL:
        row.wanted, row.wanted_deadline = [], None


def _wait(
    waited: dict[str, int], left: str | None, since: datetime | None, until: datetime
) -> None:
    """Counts the stay in the state that was left for whom everybody waited for."""
    owner = None if left is None else lifecycle.OWNERS.get(lifecycle.State(left))
    if owner is not None and since is not None:
        # a late fact may bear an earlier time than the one before it; nobody waited then
        waited[owner.waiting_on] += max(0, int((until - since).total_seconds()))


def _seen_outside(
    row: ApplicationRow, seen: Seen, before: str | None, zone: ZoneInfo, *, moves: bool
) -> None:
    """The same for those who may not know of holds: to them a held case lies with a reviewer."""
    assert row.state is not None
    state = shown_state(row.state, knows_holds=False)
    if moves:
        left = None if before is None else shown_state(before, knows_holds=False)
        if left == state:
            return  # into the hold or out of it: nothing happened
        _wait(row.outside_waited, left, row.outside_since, seen.time)
        first = before is None and seen.state_version is not None
        row.outside_version = seen.state_version or 1 if first else row.outside_version + 1
        row.outside_since = seen.time
        row.outside_stalled = False
    row.outside_sign = max(seen.time, row.outside_sign or seen.time)
    row.outside_silence_due = (
        _silence_due(state, row.outside_sign, zone) if seen.origin == "live" else None
    )


def _remember(row: ApplicationRow, seen: Seen, data: ApplicationEvent) -> None:
    if isinstance(data, intake.ApplicationSubmitted):
        row.submitted_at = seen.time
        row.reopens = data.reopens
        row.limit_band = limit_band(data.requested_limit)
        _remember_applicant(row, data)
    elif isinstance(data, intake.ApplicationImported):
        row.origin = "imported"
        row.submitted_at = data.submitted_at
        row.limit_band = limit_band(data.limit)
        _remember_applicant(row, data)
    elif isinstance(data, intake.MaterialRequested):
        row.wanted, row.wanted_deadline = _items(data.items), data.deadline
        row.rounds = max(row.rounds, data.round)
    elif isinstance(data, review.MaterialWanted):
        row.wanted, row.wanted_deadline = _items(data.items), None
    elif isinstance(data, intake.MaterialReminded):
        row.wanted, row.wanted_deadline = _items(data.items), data.deadline
    elif isinstance(data, intake.DocumentReceived):
        # A paper that has come is owed no longer, even while the list is not complete; what is
        # wrong in a field, no paper mends.
        row.wanted = [item for item in row.wanted if item["item"] != data.item or "field" in item]
    elif isinstance(data, intake.ApplicationCorrected):
        row.wanted = [
            item
            for item in row.wanted
            if item["item"] not in data.items and item.get("field") not in data.fields
        ]
    elif isinstance(data, intake.CardFactRefused):
        row.refused_facts += 1
        row.refused_at = seen.time
    elif isinstance(data, review.Decided):
        row.decided_at = seen.time
        if isinstance(data, review.ApplicationApproved):
            row.limit_band = limit_band(data.limit)
        elif isinstance(data, review.ApplicationDeclined):
            row.decline_category = data.category.value


def _remember_applicant(
    row: ApplicationRow, data: intake.ApplicationSubmitted | intake.ApplicationImported
) -> None:
    row.person = _applicant(data.parties)
    row.new_to_bank = data.new_to_bank
    row.age_band = data.age_band
    row.income_band = data.income_band


def _silence_due(state: str | None, last_sign: datetime | None, zone: ZoneInfo) -> datetime | None:
    """When the case counts as stuck unless something happens; None once it has ended."""
    owner = None if state is None else lifecycle.OWNERS.get(lifecycle.State(state))
    if owner is None or last_sign is None:
        return None
    if owner.silence.unit == "days":
        return last_sign + timedelta(days=owner.silence.days)
    return due_about(last_sign, owner.silence.days, zone)


def _keep(
    row: ApplicationRow, seen: Seen, before: str | None, data: Payload, *, moves: bool
) -> AppliedEvent:
    kept = AppliedEvent(
        seen=seen,
        state_before=before,
        state_after=row.state,
        state_version=row.state_version,
        moves=moves,
        number=row.number,
        branch=row.branch,
        region=row.region,
        channel=row.channel,
        product=row.product,
        product_version=row.product_version,
        applicant_type=row.applicant_type,
        facts=clear_facts(data),
    )
    row.new_events.append(kept)
    return kept


# --- the facts --------------------------------------------------------------------------------


def _applicant(parties: list[Party]) -> str | None:
    """The pseudonym of the applicant."""
    return next((party.person for party in parties if party.role is PartyRole.APPLICANT), None)


def _items(items: list[intake.WantedItem]) -> list[dict[str, str]]:
    return [
        {
            "item": item.item,
            "code": item.code,
            **({"field": item.field} if item.field else {}),
            **({"role": item.role.value} if item.role else {}),
        }
        for item in items
    ]


def _staff(actor: str | None) -> dict[str, str]:
    """The member of staff who is meant, if it is one."""
    kind, _sep, staff_id = (actor or "").partition(":")
    return {"staff_id": staff_id} if kind == "staff" else {}


def _submitted(data: Any) -> dict[str, Any]:
    return {
        "new_to_bank": data.new_to_bank,
        "age_band": data.age_band,
        "income_band": data.income_band,
    }


def _material(data: Any) -> dict[str, Any]:
    return {"items": _items(data.items), "deadline": format_instant(data.deadline)}


def _decision(data: review.Decided) -> dict[str, Any]:
    return {
        "automatic": data.automatic,
        "decided_by": list(data.decided_by),
        "reason_codes": list(data.reason_codes),
        "policy_version": data.policy_version,
    }


def _message(data: Any) -> dict[str, Any]:
    facts = {
        "message_id": data.message_id,
        "template": data.template,
        "channel": data.channel,
        "language": data.language,
    }
    if isinstance(data, notify.MessageFailed):
        facts["reason"] = data.reason
    return facts


_FACTS: dict[type[Payload], Callable[[Any], dict[str, Any]]] = {
    intake.ApplicationSubmitted: lambda d: {
        **_submitted(d),
        **({"reopens": d.reopens} if d.reopens else {}),
    },
    intake.ApplicationImported: lambda d: {
        **_submitted(d),
        "state": d.state,
        "submitted_at": format_instant(d.submitted_at),
    },
    intake.MaterialRequested: lambda d: {**_material(d), "round": d.round},
    intake.MaterialReminded: _material,
    intake.DraftReminded: lambda d: {"deadline": format_instant(d.deadline)},
    intake.ActivationReminded: lambda d: {"deadline": format_instant(d.deadline)},
    intake.DocumentReceived: lambda d: {
        "item": d.item,
        "document_number": d.document_number,
        "media_type": d.media_type,
        "size": d.size,
    },
    intake.ApplicationCorrected: lambda d: {"mended": list(d.fields)},
    intake.PreCheckPassed: lambda d: {
        "warnings": list(d.warnings),
        "submitted_at": format_instant(d.submitted_at),
        **_staff(d.passed_by),
    },
    intake.ItemAskedAgain: lambda d: {
        "items": [{"item": d.item, "code": code} for code in d.codes],
        "asked_again": d.reason,
        **_staff(d.asked_by),
    },
    intake.AccessCodeIssued: lambda d: _staff(d.issued_by),
    intake.ApplicationExpired: lambda d: {"reason": d.reason},
    intake.CardOrdered: lambda d: {"limit_band": limit_band(d.limit)},
    intake.CardFactRefused: lambda d: {"partner": d.partner, "reported": d.reported},
    review.ApplicationReferred: lambda d: {
        "reason_codes": list(d.reason_codes),
        "policy_version": d.policy_version,
    },
    review.MaterialWanted: lambda d: {"items": _items(d.items), "staff_id": d.staff_id},
    review.ApplicationApproved: lambda d: {**_decision(d), "limit_band": limit_band(d.limit)},
    review.ApplicationDeclined: lambda d: {
        **_decision(d),
        "category": d.category.value,
        "reapply_from": d.reapply_from.isoformat(),
    },
    review.WithdrawalRefused: lambda d: {"reason": d.reason},
    intake.AppealRequested: lambda d: {"wish": d.wish.value},
    intake.LimitChangeRequested: lambda d: {"change": d.kind.value},
    review.LimitChangeOpened: lambda d: {"change": d.kind.value},
    review.LimitChangeDecided: lambda d: {
        "change": d.kind.value,
        "outcome": d.outcome,
        "limit_band": limit_band(d.limit) if d.limit is not None else None,
        "automatic": d.automatic,
        "decided_by": list(d.decided_by),
    },
    review.LimitExpired: lambda d: {"change": d.kind.value},
    review.AppealOpened: lambda d: {
        "wish": d.wish.value,
        "appeal_id": d.appeal_id,
        "working_days": d.working_days,
    },
    review.AppealAnswered: lambda d: {
        "outcome": d.outcome,
        "appeal_id": d.appeal_id,
        "staff_id": d.answered_by,
    },
    review.DisputeOpened: lambda d: {"dispute_id": d.dispute_id, "days": d.days},
    review.DisputeAnswered: lambda d: {
        "outcome": d.outcome,
        "dispute_id": d.dispute_id,
        "staff_id": d.answered_by,
    },
    notify.MessageRequested: _message,
    notify.MessageSent: _message,
    notify.MessageDelivered: _message,
    notify.MessageFailed: _message,
    notify.MessageUnresolved: _message,
    reporting.CaseStalled: lambda d: {
        "state": d.state,
        "state_version": d.state_version,
        "desk": d.desk,
        "waiting_on": d.waiting_on,
        "silent_since": format_instant(d.silent_since),
    },
    reporting.CaseResumed: lambda d: {"state": d.state},
}
