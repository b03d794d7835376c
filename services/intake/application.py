"""An application as intake keeps it, and everything that may happen to it here.

Pure: each function takes the application, what was found out before and the business time, changes
the application and returns what follows. The lifecycle alone says which transition is possible.
Rules that need clear text are applied by whoever may open it (`rules.examine`); this module gets
their findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from services.intake.rules import CONSENT_ITEM, FORM_ITEM, Examination, Paper, Wanted
from shared.calendar import BUSINESS_ZONE, add_working_days, business_day, end_of_day
from shared.events import intake, lifecycle
from shared.events.intake import HandedDocument, WantedItem
from shared.events.lifecycle import OWNERS, TERMINAL, State
from shared.events.payload import CreditConsent, Party, PartyRole, Payload
from shared.identifiers import new_id
from shared.messaging import Call, ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_clocks, load_papers

DRAFT_DEADLINE = "draft"
MATERIAL_DEADLINE = "material"
MATERIAL_REMINDER = "material-reminder"
ACTIVATION_DEADLINE = "activation"
PREVIEW = "preview"
RETENTION = "retention"
DESTRUCTION = "destruction"

REMINDER_TIME = time(9)  # by the bank's wall clock: within every send window
OWN_SOURCE = "intake"

# Where a refusal shows once the application has been taken, as an item of the customer's list.
_ITEM_OF_REFUSAL = {"AGE_OUT_OF_RANGE": "id_front"}

CARD_STATES = frozenset(
    {State.CARD_PRODUCING, State.POSTED, State.DELIVERED, State.ACTIVATED, State.IN_USE}
)


class ApplicationError(Exception):
    """The application does not allow this now. `code` is stable, the text says why in plain
    English; `codes` are return codes where the office cannot take the application."""

    def __init__(self, code: str, words: str, codes: Sequence[str] = ()) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.codes = tuple(codes)


@dataclass(slots=True)
class Scope:
    """Where an application belongs: stands in every event and narrows every query."""

    application_number: str
    branch: str
    region: str
    channel: str
    product: str
    product_version: str
    applicant_type: str


@dataclass(frozen=True, slots=True)
class Document:
    """A paper that the office keeps."""

    document_id: str
    document_number: str
    item: str
    sha256: str
    media_type: Literal["application/pdf", "image/jpeg", "image/png"]
    size: int
    received_at: datetime
    issued_on: date | None = None


@dataclass(slots=True)
class Withdrawal:
    """The customer's wish to withdraw, and what became of it. `entered_by`: as events have it."""

    request_id: str
    at: datetime
    outcome: Literal["asked", "withdrawn", "refused"] = "asked"
    why: str | None = None
    entered_by: str | None = None


@dataclass(slots=True)
class Card:
    """The card that was ordered. `facts`: what its partners reported, by kind, and when it was."""

    card_id: str
    limit: Money
    ordered_at: datetime
    facts: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an application's history: who did what."""

    at: datetime
    actor: str
    action: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known when an application is begun: scope, persons (sealed), wishes."""

    scope: Scope
    parties: list[Party]
    consent: CreditConsent | None
    requested_limit: Money | None
    reopens: str | None
    partner: str | None = None
    partner_reference: str | None = None


@dataclass(slots=True)
class Application:
    """One application; `state` None: nothing known of it yet.

    `wanted` is the list that the customer was last given, `asked` the part of it that a reviewer
    wants beyond the rules, `answered` the items and fields that came since the customer was asked.
    `entries` and `arrived` are new and to be written; `told` is what the partner who sent the
    application was last told.
    """

    application_id: str
    state: State | None = None
    state_version: int = 0
    state_since: datetime | None = None
    scope: Scope | None = None
    parties: list[Party] = field(default_factory=list)
    consent: CreditConsent | None = None
    requested_limit: Money | None = None
    reopens: str | None = None
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    passed_at: datetime | None = None
    documents: list[Document] = field(default_factory=list)
    new_to_bank: bool = True
    age_band: str = "unknown"
    income_band: str = "unknown"
    warnings: list[str] = field(default_factory=list)
    wanted: list[WantedItem] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    asked: list[WantedItem] = field(default_factory=list)
    material_deadline: datetime | None = None
    round: int = 0
    withdrawal: Withdrawal | None = None
    limit: Money | None = None
    category: str | None = None
    reapply_from: date | None = None
    card: Card | None = None
    partner: str | None = None
    partner_reference: str | None = None
    told: str | None = None
    imported: bool = False
    entries: list[Entry] = field(default_factory=list)
    arrived: list[Document] = field(default_factory=list)

    @property
    def holder(self) -> Party:
        """Who will hold the card: whose applications count as the same person's."""
        by_role = {party.role: party for party in self.parties}
        found = by_role.get(PartyRole.SUPPLEMENTARY_HOLDER) or by_role.get(PartyRole.APPLICANT)
        if found is None:
            raise Permanent("the application names nobody who applies")
        return found

    @property
    def papers(self) -> list[Paper]:
        """The papers as the rules look at them."""
        return [
            Paper(
                item=document.item,
                received_on=business_day(document.received_at),
                issued_on=document.issued_on,
                document_id=document.document_id,
            )
            for document in self.documents
        ]

    @property
    def open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.state is not None and self.state not in TERMINAL

    @property
    def ours(self) -> bool:
        """Whether intake decides what happens next."""
        return (
            self.state is not None
            and self.state in OWNERS
            and OWNERS[self.state].authority == "intake"
        )

    def need_scope(self) -> Scope:
        if self.scope is None:
            raise Permanent("the application is not known to intake")
        return self.scope

    def fields(self) -> dict[str, Any]:
        """What every event about the application carries."""
        scope = self.need_scope()
        return {
            "application_id": self.application_id,
            "application_number": scope.application_number,
            "branch": scope.branch,
            "region": scope.region,
            "channel": scope.channel,
            "product": scope.product,
            "product_version": scope.product_version,
            "applicant_type": scope.applicant_type,
        }

    def note(self, at: datetime, actor: str, action: str, **details: Any) -> None:
        """Add a line to the history."""
        self.entries.append(Entry(at, actor, action, details))

    def unanswered(self, items: Iterable[WantedItem]) -> list[WantedItem]:
        """Those of the items for which nothing has come since the customer was asked."""
        return [item for item in items if answer_key(item.item, item.field) not in self.answered]


def answer_key(item: str, field_name: str | None) -> str:
    """Under what the arrival of a paper, or the correction of a field, is remembered."""
    return f"field:{field_name}" if field_name else f"item:{item}"


# --- moving ------------------------------------------------------------------------------------


def publish(
    app: Application, payload: Payload, now: datetime, *, time: datetime | None = None
) -> Fact:
    """Publish a fact of our own about the application and move it, if it moves.

    Raises Permanent where the lifecycle says that it cannot be: that is a fault of ours.
    """
    into = payload.state if isinstance(payload, intake.ApplicationImported) else None
    try:
        transition = lifecycle.advance(app.state, type(payload), into=into)
    except lifecycle.IllegalTransition as error:
        raise Permanent(str(error)) from error
    if transition.moves:
        app.state, app.state_since = transition.state, time or now
        app.state_version += 1
    return Fact(payload, state_version=app.state_version, time=time)


def follow(app: Application, event: Any) -> None:
    """Take over what review published. Raises Permanent where it cannot be."""
    try:
        transition = lifecycle.advance(app.state, type(event.data))
    except lifecycle.IllegalTransition as error:
        raise Permanent(str(error)) from error
    if not transition.moves:
        return
    version = event.state_version
    if version is not None and version != app.state_version + 1:
        raise Permanent(
            f"{event.type} is transition {version}, but {app.state_version} was the last"
        )
    app.state, app.state_since = transition.state, event.time
    app.state_version += 1


# --- from draft to hand-over -------------------------------------------------------------------


def fill(app: Application, start: Beginning) -> None:
    """What is known from the beginning."""
    app.scope = start.scope
    app.parties = start.parties
    app.consent = start.consent
    app.requested_limit = start.requested_limit
    app.reopens = start.reopens
    app.partner, app.partner_reference = start.partner, start.partner_reference


def begin(app: Application, start: Beginning, actor: str, now: datetime) -> list[Effect]:
    """An application is begun; it waits for its papers and to be handed in."""
    fill(app, start)
    app.created_at = now
    app.note(now, actor, "begun")
    return [
        publish(app, intake.ApplicationDrafted(**app.fields(), entered_by=actor), now),
        Deadline(DRAFT_DEADLINE, now + timedelta(days=load_clocks().draft_days)),
    ]


def receive(
    app: Application, document: Document, actor: str, now: datetime
) -> tuple[Document, list[Effect]]:
    """A paper arrived. The same bytes for the same item are the same paper, told once; with another
    date of issue they are a new one, for the date that was stated first may have been the mistake.
    """
    for known in reversed(app.documents):
        if known.item != document.item:
            continue
        if (known.sha256, known.issued_on) == (document.sha256, document.issued_on):
            return known, []
        break  # only the latest counts: going back to an earlier one is a change too
    if not app.open or app.state in CARD_STATES:
        raise ApplicationError("already-ended", "No more papers are taken for this application")
    app.documents.append(document)
    app.arrived.append(document)
    app.answered.add(answer_key(document.item, None))
    app.note(now, actor, "paper_received", item=document.item, number=document.document_number)
    payload = intake.DocumentReceived(
        **app.fields(),
        document_id=document.document_id,
        document_number=document.document_number,
        item=document.item,
        sha256=document.sha256,
        media_type=document.media_type,
        size=document.size,
        entered_by=actor,
    )
    return document, [publish(app, payload, now)]


def document_number(app: Application) -> str:
    """The next running number of a paper: the application's number and a count."""
    return f"{app.need_scope().application_number}-{len(app.documents) + 1:02d}"


def require_correctable(app: Application) -> None:
    """Raises ApplicationError where the form is out of the customer's hands."""
    if app.state not in (State.DRAFT, State.AWAITING_MATERIAL):
        raise ApplicationError(
            "not-open", "Fields can be corrected in a draft or while material is awaited"
        )


def correct(
    app: Application,
    parties: Sequence[Party],
    consent: CreditConsent | None,
    corrected: Iterable[str],
    actor: str,
    now: datetime,
) -> list[Effect]:
    """Fields were mended; `parties` are all of the application as they are now. Whoever was told of
    the form that was handed in learns what it says now."""
    require_correctable(app)
    names = sorted(corrected)
    app.parties = list(parties)
    open_before = {item.item for item in app.unanswered(app.wanted)}
    app.answered.update(answer_key("", name) for name in names)
    if consent is not None:
        app.consent = consent
        app.answered |= {answer_key(CONSENT_ITEM, None), answer_key("", "consent")}
        names.append("consent")
    app.note(now, actor, "corrected", fields=names)
    if app.state is State.DRAFT:
        return []
    still_open = {item.item for item in app.unanswered(app.wanted)}
    told = intake.ApplicationCorrected(
        **app.fields(),
        parties=app.parties,
        fields=names,
        items=sorted(open_before - still_open),
        entered_by=actor,
    )
    return [publish(app, told, now)]


def submit(
    app: Application,
    found: Examination,
    refusals: Sequence[str],
    *,
    new_to_bank: bool,
    actor: str,
    now: datetime,
) -> list[Effect]:
    """The customer hands the application in: it is taken and pre-checked at once.

    Raises ApplicationError `not-acceptable` with every return code that no paper mends.
    """
    if app.state is not State.DRAFT:
        raise ApplicationError("already-submitted", "The application was handed in before")
    codes = [*found.refusals, *refusals]
    if codes:
        raise ApplicationError(
            "not-acceptable", "The office cannot take this application", list(dict.fromkeys(codes))
        )
    app.submitted_at = now
    app.new_to_bank = new_to_bank
    note_findings(app, found)
    app.note(now, actor, "submitted")
    submitted = intake.ApplicationSubmitted(
        **app.fields(),
        parties=app.parties,
        consent=app.consent,
        new_to_bank=app.new_to_bank,
        age_band=app.age_band,
        income_band=app.income_band,
        requested_limit=app.requested_limit,
        reopens=app.reopens,
        entered_by=actor,
    )
    return [
        ClearDeadline(DRAFT_DEADLINE),
        publish(app, submitted, now),
        publish(app, intake.PreCheckStarted(**app.fields()), now),
        *verdict(app, found, (), now),
    ]


def note_findings(app: Application, found: Examination) -> None:
    """Keep of an examination what later events carry."""
    app.age_band, app.income_band = found.age_band, found.income_band
    app.warnings = list(found.warnings)


def open_items(
    app: Application, found: Examination, refusals: Sequence[str] = ()
) -> list[WantedItem]:
    """Everything that stands in the way, in one list without repetition."""
    items = [WantedItem(item=w.item, code=w.code, field=w.field) for w in found.wanted]
    items += app.unanswered(app.asked)
    items += [
        WantedItem(item=_ITEM_OF_REFUSAL.get(code, FORM_ITEM), code=code)
        for code in (*found.refusals, *refusals)
    ]
    return list({(item.item, item.field, item.code): item for item in items}.values())


def verdict(
    app: Application, found: Examination, refusals: Sequence[str], now: datetime
) -> list[Effect]:
    """What the pre-check comes to: one list of what is wanted, or the hand-over to review."""
    items = open_items(app, found, refusals)
    if items:
        return request_material(app, items, now)
    consent = app.consent
    if consent is None:
        raise Permanent("nothing is handed to review without the consent to the credit query")
    app.wanted, app.asked, app.answered = [], [], set()
    app.material_deadline = None
    app.passed_at = now
    app.note(now, OWN_SOURCE, "handed_over")
    assert app.submitted_at is not None  # the pre-check follows the submission
    passed = intake.PreCheckPassed(
        **app.fields(),
        parties=app.parties,
        consent=consent,
        documents=handed_documents(app),
        new_to_bank=app.new_to_bank,
        age_band=app.age_band,
        income_band=app.income_band,
        requested_limit=app.requested_limit,
        warnings=app.warnings,
        submitted_at=app.submitted_at,
    )
    return [
        ClearDeadline(MATERIAL_DEADLINE),
        ClearDeadline(MATERIAL_REMINDER),
        publish(app, passed, now),
    ]


def handed_documents(app: Application) -> list[HandedDocument]:
    """The papers that review may look at."""
    return [
        HandedDocument(
            document_id=document.document_id,
            item=document.item,
            sha256=document.sha256,
            media_type=document.media_type,
        )
        for document in app.documents
    ]


def request_material(app: Application, items: Sequence[WantedItem], now: datetime) -> list[Effect]:
    """Ask the customer for everything in one list, with a term and a reminder before it ends."""
    term = load_clocks().material
    today = business_day(now)
    app.round += 1
    app.wanted, app.asked, app.answered = list(items), app.unanswered(app.asked), set()
    app.material_deadline = end_of_day(add_working_days(today, term.working_days))
    remind_on = add_working_days(today, term.working_days - term.remind_working_days_before)
    app.note(now, OWN_SOURCE, "material_requested", items=[i.model_dump() for i in items])
    requested = intake.MaterialRequested(
        **app.fields(), items=list(items), deadline=app.material_deadline, round=app.round
    )
    return [
        publish(app, requested, now),
        Deadline(MATERIAL_DEADLINE, app.material_deadline),
        Deadline(MATERIAL_REMINDER, datetime.combine(remind_on, REMINDER_TIME, BUSINESS_ZONE)),
    ]


def outstanding(app: Application, found: Examination) -> list[WantedItem]:
    """What of the customer's list has not come: neither answered since, nor needless by now (such
    as one paper of a group, when another has come)."""
    needed = {(w.item, w.field) for w in found.wanted}
    needed |= {(ask.item, ask.field) for ask in app.asked}
    return [item for item in app.unanswered(app.wanted) if (item.item, item.field) in needed]


def recheck(
    app: Application, found: Examination, refusals: Sequence[str], now: datetime
) -> list[Effect]:
    """Something came while material is awaited. Nothing happens before the last of the list is in;
    then the office checks again, and asks a further time or hands over."""
    if app.state is not State.AWAITING_MATERIAL or outstanding(app, found):
        return []
    note_findings(app, found)
    app.note(now, OWN_SOURCE, "material_completed")
    return [
        publish(app, intake.MaterialCompleted(**app.fields()), now),
        *verdict(app, found, refusals, now),
    ]


# --- out of it ---------------------------------------------------------------------------------


def withdraw(app: Application, actor: str, now: datetime) -> list[Effect]:
    """The customer wants out. Where intake holds the application it ends at once; review is asked
    where review holds it; once the card is ordered it is too late."""
    if app.state is None or app.state in TERMINAL:
        if app.state is State.WITHDRAWN:
            return []
        raise ApplicationError("already-ended", "The application has ended")
    if app.state in CARD_STATES:
        raise ApplicationError(
            "card-ordered",
            "The card is ordered already; the customer can cancel it once it has arrived",
        )
    if app.withdrawal is not None and app.withdrawal.outcome == "asked":
        return []
    app.withdrawal = wish = Withdrawal(new_id(), now, entered_by=actor)
    app.note(now, actor, "withdrawal_asked")
    if app.ours:
        return let_go(app, now)
    request = intake.WithdrawalRequested(
        **app.fields(), request_id=wish.request_id, entered_by=actor
    )
    return [publish(app, request, now)]


def let_go(app: Application, now: datetime) -> list[Effect]:
    """End an application that lies with intake, as the customer asked."""
    wish = app.withdrawal
    assert wish is not None
    wish.outcome = "withdrawn"
    app.note(now, OWN_SOURCE, "withdrawn")
    withdrawn = intake.ApplicationWithdrawn(
        **app.fields(), request_id=wish.request_id, entered_by=wish.entered_by
    )
    return [publish(app, withdrawn, now), *no_more_terms(app)]


def no_more_terms(app: Application) -> list[Effect]:
    """Nobody is waited for any longer."""
    app.material_deadline = None
    return [
        ClearDeadline(DRAFT_DEADLINE),
        ClearDeadline(MATERIAL_DEADLINE),
        ClearDeadline(MATERIAL_REMINDER),
        ClearDeadline(ACTIVATION_DEADLINE),
    ]


# --- deadlines ---------------------------------------------------------------------------------


def on_draft_deadline(app: Application, now: datetime) -> list[Effect]:
    """A draft that nobody handed in is closed."""
    if app.state is not State.DRAFT:
        return []
    return _expire(app, "draft-abandoned", now)


def on_material_reminder(app: Application, now: datetime) -> list[Effect]:
    """The customer is reminded once of what has not come."""
    if app.state is not State.AWAITING_MATERIAL or app.material_deadline is None:
        return []
    app.note(now, OWN_SOURCE, "reminded")
    reminded = intake.MaterialReminded(
        **app.fields(),
        items=app.unanswered(app.wanted) or app.wanted,
        deadline=app.material_deadline,
    )
    return [publish(app, reminded, now)]


def on_material_deadline(app: Application, now: datetime) -> list[Effect]:
    """The material did not come in time."""
    if app.state is not State.AWAITING_MATERIAL or app.material_deadline is None:
        return []
    if now < app.material_deadline:  # asked again meanwhile
        return [Deadline(MATERIAL_DEADLINE, app.material_deadline)]
    return _expire(app, "material-not-supplied", now)


def on_activation_deadline(app: Application, now: datetime) -> list[Effect]:
    """The card lies unused: the application is closed."""
    if app.state is not State.DELIVERED:
        return []
    return _expire(app, "card-not-activated", now)


def _expire(
    app: Application,
    reason: Literal["draft-abandoned", "material-not-supplied", "card-not-activated"],
    now: datetime,
) -> list[Effect]:
    app.note(now, OWN_SOURCE, "expired", reason=reason)
    expired = intake.ApplicationExpired(**app.fields(), reason=reason)
    return [publish(app, expired, now), *no_more_terms(app), *what_follows(app)]


# --- what a partner may know -------------------------------------------------------------------

Status = Literal[
    "received",
    "material-wanted",
    "in-review",
    "approved",
    "declined",
    "card-on-its-way",
    "closed",
    "in-use",
]

STATUS: Mapping[State, Status] = {
    State.SUBMITTED: "received",
    State.PRE_CHECK: "received",
    State.AWAITING_MATERIAL: "material-wanted",
    State.CHECKING: "in-review",
    State.SCORING: "in-review",
    State.MANUAL_REVIEW: "in-review",
    State.ON_HOLD: "in-review",
    State.APPROVED: "approved",
    State.CARD_PRODUCING: "approved",
    State.POSTED: "card-on-its-way",
    State.DELIVERED: "card-on-its-way",
    State.ACTIVATED: "in-use",
    State.IN_USE: "in-use",
    State.DECLINED: "declined",
    State.WITHDRAWN: "closed",
    State.EXPIRED: "closed",
}


def outside_state(state: State) -> State:
    """The state as anybody outside the office may know it: that a case rests, or lies with a
    person, is the bank's own affair."""
    hidden = (State.SCORING, State.MANUAL_REVIEW, State.ON_HOLD)
    return State.CHECKING if state in hidden else state


def partner_news(app: Application) -> list[Effect]:
    """Tell the partner who sent the application how it stands, once per change. Called after
    whatever happened; the last status counts, not each on the way."""
    status = STATUS.get(app.state) if app.state is not None else None
    if app.partner is None or app.partner_reference is None or status is None:
        return []
    waiting = status == "material-wanted"
    told = f"{status} {app.round}" if waiting else status
    if told == app.told:
        return []
    app.told = told
    news = intake.ApplicationStatusChanged(
        partner_reference=app.partner_reference,
        application_id=app.application_id,
        application_number=app.need_scope().application_number,
        status=status,
        wanted=app.wanted if waiting else [],
        deadline=app.material_deadline if waiting else None,
        reapply_from=app.reapply_from if status == "declined" else None,
    )
    return [Fact(news, subject=app.partner_reference, topic=f"banka.outbound.{app.partner}")]


# --- papers that arrived, and how long everything is kept ---------------------------------------


def what_follows(app: Application) -> list[Effect]:
    """What follows from any change, whatever it was. Called when all else has happened."""
    return [*previews(app), *retention(app), *partner_news(app)]


def previews(app: Application) -> list[Effect]:
    """Have the papers that arrived drawn for people to look at."""
    if not app.arrived:
        return []
    papers = [{"document_id": one.document_id, "sha256": one.sha256} for one in app.arrived]
    return [Call(PREVIEW, app.arrived[0].document_id, {"papers": papers})]


def retention(app: Application) -> list[Effect]:
    """Tell the vault how long the persons' data is kept at least: from the hand-over to review on,
    and anew from the end. What was never handed in is kept for a short while only."""
    ended = app.state in TERMINAL
    if ended:
        since, key = app.state_since, "ended"
    elif any(entry.action == "handed_over" for entry in app.entries):
        since, key = app.passed_at, f"handed over {app.round}"
    else:
        return []
    assert since is not None  # both are moments of its life
    if app.submitted_at is None and not app.imported:
        until = since + timedelta(days=load_papers().keep_abandoned_days)
    else:
        until = years_after(since, load_clocks().retention_years)
    payload = {
        "persons": sorted({party.person for party in app.parties}),
        "until": until.isoformat(),
    }
    return [Call(RETENTION, f"{app.application_id} {key}", payload)]


def years_after(moment: datetime, years: int) -> datetime:
    """The same day so many years later; 1 March after a leap day."""
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, month=3, day=1)


def as_wanted(items: Iterable[WantedItem]) -> list[Wanted]:
    """Open asks as the checklist shows them."""
    return [Wanted(item.item, item.code, item.field) for item in items]
