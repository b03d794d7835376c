"""An application as intake keeps it, and everything that may happen to it here.

Pure: each function takes the application, what was found out before and the business time, changes
the application and returns what follows. The lifecycle alone says which transition is possible.
Rules that need clear text are applied by whoever may open it (`rules.examine`); this module gets
their findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypedDict

from services.intake.items import REVIEW_WISH, RULES, Checklist, ItemState, Reason
from services.intake.rules import Examination, Paper, item_of_refusal
from shared.calendar import (
    BUSINESS_ZONE,
    add_working_days,
    business_day,
    due_about,
    end_of_day,
    moved_about,
)
from shared.events import intake, lifecycle
from shared.events.intake import (
    AppealWish,
    HandedDocument,
    LimitChangeKind,
    Meeting,
    WantedItem,
)
from shared.events.lifecycle import OWNERS, TERMINAL, State
from shared.events.payload import (
    FIELD_CLASSES,
    ApplicantType,
    CreditConsent,
    Party,
    PartyRole,
    Payload,
)
from shared.identifiers import new_id
from shared.messaging import Call, ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import (
    Product,
    UnknownVersionError,
    load_clocks,
    load_papers,
    product_of,
    terms_of,
)

DRAFT_DEADLINE = "draft"
DRAFT_REMINDER = "draft-reminder"
MATERIAL_DEADLINE = "material"
MATERIAL_REMINDER = "material-reminder"
ACTIVATION_DEADLINE = "activation"
ACTIVATION_REMINDER = "activation-reminder"
PREVIEW = "preview"
RETENTION = "retention"
DESTRUCTION = "destruction"

OWN_SOURCE = RULES

CARD_STATES = frozenset(
    {State.CARD_PRODUCING, State.POSTED, State.DELIVERED, State.ACTIVATED, State.IN_USE}
)

# States in which the customer is met: the pre-check was passed and nothing is decided yet.
AFTER_PASS = frozenset({State.CHECKING, State.SCORING, State.MANUAL_REVIEW, State.ON_HOLD})


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
    product_digest: str | None = None  # None: begun before digests were kept


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
class Appeal:
    """What a customer asked of review about its decision, or a dispute about the credit report, and
    what became of it. `outcome`: explained, upheld or changed, of a dispute corrected, upheld or
    annotated; None while it waits. `working_days`: within which review answers, of a dispute
    `days`; None before it has a case of it."""

    appeal_id: str
    wish: AppealWish | Literal["report-dispute"]
    at: datetime
    working_days: int | None = None
    outcome: str | None = None
    answered_at: datetime | None = None
    days: int | None = None


@dataclass(slots=True)
class LimitChange:
    """A change of the card's limit that the customer asked for, or the bank wants, and what became
    of it. `wanted` None: the bank's own. `limit`: granted."""

    change_id: str
    kind: LimitChangeKind
    at: datetime
    wanted: Money | None
    until: date | None
    by_bank: bool = False
    state: Literal["waits", "granted", "refused", "ended"] = "waits"
    number: str | None = None
    limit: Money | None = None
    effective_on: date | None = None
    decided_at: datetime | None = None


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


def who_has_draft(history: Iterable[Entry]) -> Entry:
    """By which line of its history, the oldest first, somebody has a draft: who began it, or who
    took it over last. Their form stands open to them alone."""
    return [one for one in history if one.action in ("begun", "draft_taken_over")][-1]


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
    client: str | None = None
    device: bytes | None = None


@dataclass(slots=True)
class Application:
    """One application; `state` None: nothing known of it yet.

    `items` is the checklist as it stands, `wanted` the list that the customer was last given.
    `taken_over` are papers of earlier applications that count here too; `meeting` is the last
    record that somebody saw person, original and signing (三亲见). `entries` and `arrived` are new
    and to be written; `told` is what the partner who sent the application was last told. `client`:
    the program that began it. `device`: keyed digest of the device on which the form was filled
    in, known at the beginning alone. `limit_by_policy`: whether the policy alone approved it and
    set its limit. `revision`: see `count_revision`. `due_at`: until when the step that runs has to
    be done, see `step_due`; `review_due`: until when review has, counted from the first hand-over
    without the working days on which the customer was awaited. `waited`: {whom: seconds that
    everybody waited for them} in the states that were left, None where nobody counted from the
    beginning.
    """

    application_id: str
    state: State | None = None
    state_version: int = 0
    state_since: datetime | None = None
    due_at: datetime | None = None
    review_due: datetime | None = None
    waited: dict[str, int] | None = None
    scope: Scope | None = None
    parties: list[Party] = field(default_factory=list)
    consent: CreditConsent | None = None
    requested_limit: Money | None = None
    reopens: str | None = None
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    passed_at: datetime | None = None
    contacted_at: datetime | None = None
    documents: list[Document] = field(default_factory=list)
    new_to_bank: bool = True
    age_band: str = "unknown"
    income_band: str = "unknown"
    warnings: list[str] = field(default_factory=list)
    items: Checklist = field(default_factory=Checklist)
    taken_over: list[Document] = field(default_factory=list)
    meeting: Meeting | None = None
    wanted: list[WantedItem] = field(default_factory=list)
    material_deadline: datetime | None = None
    round: int = 0
    withdrawal: Withdrawal | None = None
    appeals: list[Appeal] = field(default_factory=list)  # and disputes, the oldest first
    limit_changes: list[LimitChange] = field(default_factory=list)  # of a card, decided ones first
    limit: Money | None = None
    limit_by_policy: bool = False
    category: str | None = None
    reapply_from: date | None = None
    card: Card | None = None
    partner: str | None = None
    partner_reference: str | None = None
    told: str | None = None
    imported: bool = False
    client: str | None = None
    device: bytes | None = None
    revision: int = 0
    entries: list[Entry] = field(default_factory=list)
    arrived: list[Document] = field(default_factory=list)

    @property
    def applicant(self) -> Party:
        """Who applies, and is told: for a supplementary card the main cardholder."""
        for party in self.parties:
            if party.role is PartyRole.APPLICANT:
                return party
        raise Permanent("the application names nobody who applies")

    @property
    def holder(self) -> Party:
        """Who will hold the card: whose applications count as the same person's. Only of a
        supplementary card somebody else than the applicant, whoever is named."""
        if self.need_scope().applicant_type != ApplicantType.SUPPLEMENTARY:
            return self.applicant
        by_role = {party.role: party for party in self.parties}
        return by_role.get(PartyRole.SUPPLEMENTARY_HOLDER) or self.applicant

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
    def never_settled(self) -> bool:
        """Whether the rules have never looked at its checklist as it is kept now."""
        return all(item.changed for item in self.items)

    @property
    def open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.state is not None and self.state not in TERMINAL

    @property
    def takes_papers(self) -> bool:
        """Whether papers may still come."""
        return self.open and self.state not in CARD_STATES

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
            "product_digest": scope.product_digest,
            "applicant_type": scope.applicant_type,
        }

    def count_revision(self) -> None:
        """Raise the revision where anything was done that whoever works on the application may see,
        an officer's verdict on an item among it. That review moved it is not counted: a hold would
        show by it (反洗钱法 35)."""
        done = any(one.action != "moved" for one in self.entries)
        judged = any(one.actor.startswith("staff:") for one in self.items.changes)
        if self.revision == 0 or done or judged:
            self.revision += 1

    def note(self, at: datetime, actor: str, action: str, **details: Any) -> None:
        """Add a line to the history."""
        self.entries.append(Entry(at, actor, action, details))


def product_for(app: Application) -> Product:
    """The product in the version that the application began with, and as it was then.

    Raises UnknownVersionError where it is not held.
    """
    scope = app.need_scope()
    product = product_of(scope.product, scope.product_version, scope.product_digest)
    # one that was begun before digests were kept is held to the version as it is found first
    scope.product_digest = product.digest
    return product


def held_product(app: Application) -> Product | None:
    """The same, to show an application by; None where it is not held."""
    try:
        return product_for(app)
    except UnknownVersionError:
        return None


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
        _enter(app, transition.state, time or now)
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
    _enter(app, transition.state, event.time)


def _enter(app: Application, state: State, since: datetime) -> None:
    """A step begins: how long the last one waited for whom is counted, and until when this one
    has to be done."""
    if app.state is None:
        app.waited = dict.fromkeys(("customer", "bank", "partner"), 0)
    elif app.waited is not None:
        app.waited = waited_until(app, since)
    if app.state is State.AWAITING_MATERIAL and app.state_since and app.review_due:
        # the clock of the review stands still while the customer is awaited; review's does alike
        app.review_due = moved_about(app.review_due, app.state_since, since)
    app.state, app.state_since = state, since
    app.state_version += 1
    app.due_at = step_due(app)


def waited_until(app: Application, now: datetime) -> dict[str, int]:
    """{whom: seconds that everybody waited for them}, the step that runs included; empty where
    nobody counted from the beginning."""
    if app.waited is None or app.state not in OWNERS or app.state_since is None:
        return app.waited or {}
    whom = OWNERS[app.state].waiting_on
    # a late fact may bear an earlier time than the one before it; nobody waited then
    stay = max(0, int((now - app.state_since).total_seconds()))
    return {**app.waited, whom: app.waited[whom] + stay}


def step_due(app: Application) -> datetime | None:
    """Until when the step that runs has to be done, by the lifecycle's clock for it; None once the
    application has ended, and where its product is not held."""
    if app.state not in OWNERS or app.state_since is None:
        return None
    if app.state is State.AWAITING_MATERIAL:
        return app.material_deadline  # as the customer was told
    since = app.state_since
    if OWNERS[app.state].authority == "review":
        if app.review_due is not None:
            return app.review_due
        since = app.passed_at or since
    try:
        terms, applicant_type = terms_of(product_for(app)), app.need_scope().applicant_type
        return lifecycle.step_ends(app.state, since, terms, applicant_type)
    except UnknownVersionError:
        return None


# --- from draft to hand-over -------------------------------------------------------------------


def fill(app: Application, start: Beginning) -> None:
    """What is known from the beginning."""
    app.scope = start.scope
    app.items.applicant_type = start.scope.applicant_type
    app.parties = start.parties
    app.consent = start.consent
    app.requested_limit = start.requested_limit
    app.reopens = start.reopens
    app.partner, app.partner_reference = start.partner, start.partner_reference
    app.client = start.client
    app.device = start.device


def begin(app: Application, start: Beginning, actor: str, now: datetime) -> list[Effect]:
    """An application is begun; it waits for its papers and to be handed in."""
    fill(app, start)
    app.created_at = now
    app.note(now, actor, "begun")
    return [
        publish(app, intake.ApplicationDrafted(**app.fields(), entered_by=actor), now),
        *draft_term(app, now),
    ]


def draft_term(app: Application, now: datetime) -> list[Effect]:
    """The term of a draft that is begun now, with a reminder before it ends."""
    app.due_at = ends = term_ends(app, State.DRAFT, now)
    return [
        Deadline(DRAFT_DEADLINE, ends),
        *reminder(app, DRAFT_REMINDER, State.DRAFT, now, ends),
    ]


def term_ends(
    app: Application, state: Literal[State.DRAFT, State.DELIVERED], since: datetime
) -> datetime:
    """When the customer's term in a state that began then ends. Raises UnknownVersionError."""
    terms, applicant_type = terms_of(product_for(app)), app.need_scope().applicant_type
    return lifecycle.step_ends(state, since, terms, applicant_type)


def reminder(
    app: Application,
    name: str,
    state: Literal[State.DRAFT, State.DELIVERED],
    since: datetime,
    ends: datetime,
) -> list[Effect]:
    """The reminder of a term from `since` to `ends`; none where the term is shorter than the time
    before its end at which it would come."""
    at = lifecycle.reminder_at(state, ends, terms_of(product_for(app)))
    return [Deadline(name, at)] if at > since else []


def late_reminder(app: Application, now: datetime) -> list[Effect]:
    """The reminder of a draft or of a card that lies unused, whose term a release began that set
    none; at once where its day is over."""
    names = {State.DRAFT: DRAFT_REMINDER, State.DELIVERED: ACTIVATION_REMINDER}
    state, since, ends = app.state, app.state_since, app.due_at
    if (state is not State.DRAFT and state is not State.DELIVERED) or since is None:
        return []
    return [] if ends is None or ends <= now else reminder(app, names[state], state, since, ends)


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
    if not app.takes_papers:
        raise ApplicationError("already-ended", "No more papers are taken for this application")
    require_room(app, document.item)
    app.documents.append(document)
    app.arrived.append(document)
    app.items.receive(document.item, document.document_id, actor, now)
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


def require_room(app: Application, item: str) -> None:
    """Raises ApplicationError where the office keeps as many papers of the item, or of the whole
    application, as it takes."""
    if not has_room([one.item for one in app.documents], item):
        raise ApplicationError(
            "too-many-papers", "So many papers of this kind are there: no more are taken"
        )


def has_room(there: Sequence[str], item: str) -> bool:
    """Whether one more paper of the item is taken, where papers of these items are there."""
    most = load_papers()
    return len(there) < most.most_of_application and there.count(item) < most.most_of_item


def document_number(app: Application) -> str:
    """The next running number of a paper: the application's number and a count."""
    return f"{app.need_scope().application_number}-{len(app.documents) + 1:02d}"


class Emptied(TypedDict):
    """A field of which nothing is left: what it said, and nothing, sealed."""

    role: str
    field: str
    old: str
    new: str


def replace_draft(
    app: Application, start: Beginning, emptied: Sequence[Emptied], actor: str, now: datetime
) -> list[Effect]:
    """The draft says something else now, as a whole: product, kind of applicant, persons, wishes.
    Branch, channel and number stay. Nobody was told of what stood there; what was said of whom it
    names no more is kept no longer than the rest of it."""
    changed: list[Mapping[str, Any]] = [*_changed(app.parties, start.parties), *emptied]
    names = dict.fromkeys(one["field"] for one in changed)
    if app.consent != start.consent:
        names["consent"] = None
    app.scope = start.scope
    app.items.turn_to(start.scope.applicant_type)
    named = {party.party_id for party in start.parties}
    gone = [party for party in app.parties if party.party_id not in named]
    app.parties = start.parties
    app.consent = start.consent
    app.requested_limit = start.requested_limit
    app.reopens = start.reopens
    app.device = start.device
    app.note(now, actor, "draft_saved", fields=list(names), changed=changed)
    # no key goes before the application has ended, nor before its own term
    until = now + timedelta(days=load_papers().keep_abandoned_days)
    return [_held(app, f"without {one.party_id}", {one.person}, until) for one in gone]


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
    told: dict[str, Any] = {"fields": names, "changed": _changed(app.parties, parties)}
    app.parties = list(parties)
    if consent is not None:
        if app.consent is not None:
            told["consent"] = app.consent.model_dump(mode="json")
        app.consent = consent
        names.append("consent")
    answered = app.items.mend(names)
    app.note(now, actor, "corrected", **told)
    if app.state is State.DRAFT:
        return []
    event = intake.ApplicationCorrected(
        **app.fields(),
        parties=app.parties,
        fields=names,
        items=answered,
        consent=consent,
        entered_by=actor,
    )
    return [publish(app, event, now)]


def _changed(before: Sequence[Party], after: Sequence[Party]) -> list[dict[str, str | None]]:
    """What fields said and say, as they are sealed: what a seal differs in was typed anew."""
    old = {one.role: one.fields for one in before}
    return [
        {
            "role": party.role.value,
            "field": name,
            "old": old.get(party.role, {}).get(name),
            "new": sealed,
        }
        for party in after
        for name, sealed in party.fields.items()
        if old.get(party.role, {}).get(name) != sealed
    ]


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
        ClearDeadline(DRAFT_REMINDER),
        publish(app, submitted, now),
        publish(app, intake.PreCheckStarted(**app.fields()), now),
        *verdict(app, found, (), now),
    ]


def before_hand_over(app: Application) -> bool:
    """Whether the office still collects and checks what belongs to it."""
    return app.state in (State.DRAFT, State.SUBMITTED, State.PRE_CHECK, State.AWAITING_MATERIAL)


def note_findings(app: Application, found: Examination) -> None:
    """Keep of an examination what later events carry."""
    app.age_band, app.income_band = found.age_band, found.income_band
    app.warnings = list(found.warnings)


def settle(app: Application, found: Examination, now: datetime) -> list[Effect]:
    """Bring the checklist to where the rules' findings put it, and tell what is asked for again."""
    app.items.settle(found.wanted, found.needs, found.held, found.there, now, unsound=found.unsound)
    return asked_again(app, now)


def asked_again(app: Application, now: datetime) -> list[Effect]:
    """Tell everybody of items that were settled and are wanted anew."""
    again, app.items.again = app.items.again, []
    return [
        publish(
            app,
            intake.ItemAskedAgain(
                **app.fields(),
                party=one.party,
                item=one.item,
                # a paper that came for one that was accepted is sent back for its own fault
                reason=one.why or one.codes[0],
                codes=list(one.codes),
                times=app.items.find(one.party, one.item).asked_again,
                asked_by=one.actor,
            ),
            now,
        )
        for one in again
    ]


def open_items(
    app: Application, found: Examination, refusals: Sequence[str] = ()
) -> list[WantedItem]:
    """Everything that stands in the way and is the customer's to mend, in one list."""
    items = [
        WantedItem(item=item.item, code=reason.code, field=reason.field, role=role)
        for item in app.items
        if item.open
        for reason in item.reasons
        for role in _whose(reason, found) or (None,)
    ]
    items += [
        WantedItem(item=item_of_refusal(code, found.needs), code=code)
        for code in (*found.refusals, *refusals)
    ]
    return list({(item.item, item.field, item.code, item.role): item for item in items}.values())


def _whose(reason: Reason, found: Examination) -> list[PartyRole]:
    """Whose field it is that is wrong, where it is a field."""
    fault = (reason.code, reason.field)
    return sorted(role for role, *what in found.whose if tuple(what) == fault)


def verdict(
    app: Application, found: Examination, refusals: Sequence[str], now: datetime
) -> list[Effect]:
    """What the pre-check comes to: one list of what is wanted, or the hand-over to review. Where an
    officer passes it, everything waits for what they say, so that the customer is asked once; and
    where somebody has to have seen the customer, the hand-over waits for that."""
    effects = settle(app, found, now)
    if found.pre_check.by == "officer":
        return effects
    items = open_items(app, found, refusals)
    if items:
        return [*effects, *request_material(app, items, now)]
    if found.pre_check.meeting == "required" and not met(app):
        return effects
    return [*effects, *hand_over(app, now)]


def record_contact(app: Application, actor: str, now: datetime) -> None:
    """Somebody spoke with the customer after the pre-check was passed; the first time counts."""
    if app.state not in AFTER_PASS:
        raise ApplicationError("not-open", "The application does not lie with review")
    if app.contacted_at is None:
        app.contacted_at = now
        app.note(now, actor, "contacted")


def met(app: Application) -> bool:
    """Whether somebody of the bank saw the person, the original and the signing (三亲见)."""
    meeting = app.meeting
    return meeting is not None and (
        meeting.saw_person and meeting.saw_original and meeting.saw_signing
    )


def hand_over(app: Application, now: datetime, *, officer: str | None = None) -> list[Effect]:
    """The pre-check is passed, by the rules or by an officer: review has the application now."""
    consent = app.consent
    if consent is None:
        raise Permanent("nothing is handed to review without the consent to the credit query")
    if officer is None:
        app.items.accept_all(now)
    app.wanted = []
    app.material_deadline = None
    app.passed_at = now
    if app.review_due is None:
        days = load_clocks().review_days(app.need_scope().applicant_type)
        app.review_due = due_about(now, days)
    app.note(now, officer or OWN_SOURCE, "handed_over")
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
        passed_by=officer,
        meeting=app.meeting,
        reopens=app.reopens,
        waived=[item.item for item in app.items if item.state is ItemState.WAIVED],
    )
    return [
        ClearDeadline(MATERIAL_DEADLINE),
        ClearDeadline(MATERIAL_REMINDER),
        publish(app, passed, now),
    ]


def handed_documents(app: Application) -> list[HandedDocument]:
    """The papers that review may look at, those taken over from earlier applications included."""
    source = {item.document_id: item.taken_from for item in app.items if item.taken_from}
    taken = [document for document in app.taken_over if document.document_id in source]
    return [
        HandedDocument(
            document_id=document.document_id,
            item=document.item,
            sha256=document.sha256,
            media_type=document.media_type,
            taken_from=source.get(document.document_id),
        )
        for document in (*app.documents, *taken)
    ]


def request_material(app: Application, items: Sequence[WantedItem], now: datetime) -> list[Effect]:
    """Ask the customer for everything in one list, with a term and a reminder before it ends."""
    term = terms_of(product_for(app)).material
    today = business_day(now)
    app.round += 1
    app.wanted = list(items)
    app.items.tell(now)
    app.material_deadline = end_of_day(add_working_days(today, term.working_days))
    remind_on = add_working_days(today, term.working_days - term.remind_working_days_before)
    app.note(now, OWN_SOURCE, "material_requested", items=[i.model_dump() for i in items])
    requested = intake.MaterialRequested(
        **app.fields(), items=list(items), deadline=app.material_deadline, round=app.round
    )
    fact = publish(app, requested, now)
    app.due_at = app.material_deadline  # review's wish has moved it already
    return [
        fact,
        Deadline(MATERIAL_DEADLINE, app.material_deadline),
        Deadline(
            MATERIAL_REMINDER,
            datetime.combine(remind_on, load_clocks().reminder_time, BUSINESS_ZONE),
        ),
    ]


def outstanding(app: Application) -> list[WantedItem]:
    """What the customer was asked for and has not brought or mended, as it was asked."""
    asked: dict[tuple[str, str, str | None], list[WantedItem]] = {}
    for one in app.wanted:
        asked.setdefault((one.item, one.code, one.field), []).append(one)
    return [
        one
        for item, reason in app.items.outstanding()
        for one in asked.get((item.item, reason.code, reason.field))
        or [WantedItem(item=item.item, code=reason.code, field=reason.field)]
    ]


def want_more(
    app: Application, items: Sequence[WantedItem], asked_by: str, now: datetime
) -> list[Effect]:
    """A reviewer wants more. What had been accepted is asked for again as the reviewer's wish."""
    by_item: dict[str, list[Reason]] = {}
    for one in items:
        by_item.setdefault(one.item, []).append(Reason(one.code, one.field))
    for item, reasons in by_item.items():
        app.items.ask(item, reasons, asked_by, now, why=REVIEW_WISH)
    return [*asked_again(app, now), *request_material(app, items, now)]


def recheck(
    app: Application, found: Examination, refusals: Sequence[str], now: datetime
) -> list[Effect]:
    """Something came. While material is awaited nothing happens before the last of the list is in;
    then the office checks again, and asks a further time or hands over."""
    effects = settle(app, found, now)
    if app.state is not State.AWAITING_MATERIAL or app.items.outstanding():
        return effects
    note_findings(app, found)
    app.note(now, OWN_SOURCE, "material_completed")
    return [
        *effects,
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
        ClearDeadline(DRAFT_REMINDER),
        ClearDeadline(MATERIAL_DEADLINE),
        ClearDeadline(MATERIAL_REMINDER),
        ClearDeadline(ACTIVATION_DEADLINE),
        ClearDeadline(ACTIVATION_REMINDER),
    ]


# --- deadlines ---------------------------------------------------------------------------------


def on_draft_deadline(app: Application, now: datetime) -> list[Effect]:
    """A draft that nobody handed in is closed."""
    if app.state is not State.DRAFT:
        return []
    return _expire(app, "draft-abandoned", now)


def on_draft_reminder(app: Application, now: datetime) -> list[Effect]:
    """Whoever applies is reminded once to hand the draft in."""
    if app.state is not State.DRAFT or app.due_at is None:
        return []
    addressee = app.applicant.model_copy(
        update={
            "fields": {
                name: value
                for name, value in app.applicant.fields.items()
                if FIELD_CLASSES[name] == "contact"
            }
        }
    )
    app.note(now, OWN_SOURCE, "reminded")
    reminded = intake.DraftReminded(**app.fields(), addressee=addressee, deadline=app.due_at)
    return [publish(app, reminded, now)]


def on_activation_reminder(app: Application, now: datetime) -> list[Effect]:
    """The customer is reminded once of a card that is not activated yet."""
    if app.state is not State.DELIVERED or app.due_at is None or now >= app.due_at:
        return []
    app.note(now, OWN_SOURCE, "reminded")
    reminded = intake.ActivationReminded(**app.fields(), deadline=app.due_at)
    return [publish(app, reminded, now)]


def on_material_reminder(app: Application, now: datetime) -> list[Effect]:
    """The customer is reminded once of what has not come."""
    if app.state is not State.AWAITING_MATERIAL or app.material_deadline is None:
        return []
    app.note(now, OWN_SOURCE, "reminded")
    reminded = intake.MaterialReminded(
        **app.fields(),
        items=outstanding(app) or app.wanted,
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


# --- until when --------------------------------------------------------------------------------

Task = Literal["step", "first_contact", "interview"]


def dues(app: Application) -> dict[Task, datetime]:
    """{task: until when it has to be done}, for what has to be done now: the step itself, and what
    the assistants do while review has the case. By the product's own terms, else the clocks'."""
    found: dict[Task, datetime] = {}
    due = app.due_at or step_due(app)
    if due is not None:
        found["step"] = due
    if app.state in AFTER_PASS and app.passed_at is not None:
        product = held_product(app)
        terms = load_clocks() if product is None else terms_of(product)
        if app.contacted_at is None:
            found["first_contact"] = due_about(app.passed_at, terms.first_contact_working_days)
        if not met(app):
            last = business_day(app.passed_at) + timedelta(days=terms.interview_days)
            found["interview"] = end_of_day(last)
    return found


# --- what a partner may know -------------------------------------------------------------------

STATUS: Mapping[State, intake.OutsideStatus] = {
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
    return [_held(app, key, {party.person for party in app.parties}, until)]


def _held(app: Application, key: str, persons: Iterable[str], until: datetime) -> Call:
    payload = {"persons": sorted(persons), "until": until.isoformat()}
    return Call(RETENTION, f"{app.application_id} {key}", payload)


def years_after(moment: datetime, years: int) -> datetime:
    """The same day so many years later; 1 March after a leap day."""
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, month=3, day=1)
