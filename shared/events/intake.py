"""What intake publishes: the application until it is handed to review and again after the decision,
its papers, the card's facts once they are checked, and the organisation."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.payload import (
    ApplicationEvent,
    BalanceBand,
    CreditConsent,
    Instant,
    Month,
    Part,
    Party,
    PartyRole,
    Payload,
    Revision,
)
from shared.money import Money
from shared.privacy.sealing import Sealed

EnteredBy = Annotated[
    str | None,
    Field(
        description="who entered it for the customer: `staff:<id>`, or the `client:<name>` or"
        " `partner:<name>` through which the customer did so; `customer` on their own page, or"
        " `customer:staff:<id>` by a code that the named staff had printed; absent where it is not"
        " known"
    ),
]


class ApplicationDrafted(ApplicationEvent):
    """An application was begun; nothing has been handed in yet."""

    type: ClassVar[str] = "banka.application.drafted.v1"
    topic: ClassVar[str] = "banka.applications"

    entered_by: EnteredBy = None


class ApplicationSubmitted(ApplicationEvent):
    """The customer handed the application in."""

    type: ClassVar[str] = "banka.application.submitted.v1"
    topic: ClassVar[str] = "banka.applications"

    parties: list[Party]
    consent: CreditConsent | None = None
    new_to_bank: bool
    age_band: str = Field(description="such as 26-35; `unknown` where the ID does not tell")
    income_band: str = Field(
        description="monthly, in yuan, such as 5000-9999; `unknown` where not given"
    )
    requested_limit: Money | None = None
    reopens: str | None = Field(
        default=None, description="application that this one takes up again"
    )
    entered_by: EnteredBy = None


class ApplicationCorrected(ApplicationEvent):
    """Fields of an application that had been handed in were corrected; from now on the parties are
    these. `fields` names what was corrected, never a value; `items` are checklist items of which
    nothing that was asked of the customer is open any more."""

    type: ClassVar[str] = "banka.application.corrected.v1"
    topic: ClassVar[str] = "banka.applications"

    parties: list[Party] = Field(description="all of the application, as they are now")
    fields: list[str] = Field(min_length=1)
    items: list[str] = Field(default=[])
    consent: CreditConsent | None = Field(
        default=None, description="to the credit query, where it was given with the correction"
    )
    entered_by: EnteredBy = None


class PreCheckStarted(ApplicationEvent):
    """The office began to check the form and the papers (初审)."""

    type: ClassVar[str] = "banka.application.pre-check-started.v1"
    topic: ClassVar[str] = "banka.applications"


class WantedItem(Part):
    """One paper or one field that the customer has to bring or correct. `item` is a checklist item,
    `code` the return code; `field` names the form's field where the fault is there, and `role`
    whose it is."""

    item: str
    code: str
    field: str | None = None
    role: PartyRole | None = Field(
        default=None, description="none of a paper, nor where an earlier release asked"
    )


class MaterialRequested(ApplicationEvent):
    """Something is missing or wrong: here is everything that is, in one list, and by when it is
    needed."""

    type: ClassVar[str] = "banka.application.material-requested.v1"
    topic: ClassVar[str] = "banka.applications"

    items: list[WantedItem] = Field(min_length=1)
    deadline: Instant
    round: int = Field(ge=1, description="how many times the customer has been asked")


class MaterialReminded(ApplicationEvent):
    """The deadline for the missing material is near and the customer was reminded."""

    type: ClassVar[str] = "banka.application.material-reminded.v1"
    topic: ClassVar[str] = "banka.applications"

    items: list[WantedItem]
    deadline: Instant


class DraftReminded(ApplicationEvent):
    """The draft is closed soon and the customer was reminded to hand it in."""

    type: ClassVar[str] = "banka.application.draft-reminded.v1"
    topic: ClassVar[str] = "banka.applications"

    addressee: Party = Field(
        description="the applicant, by contact fields alone: nothing was handed in yet"
    )
    deadline: Instant


class ActivationReminded(ApplicationEvent):
    """The days in which the card may be activated end soon and the customer was reminded."""

    type: ClassVar[str] = "banka.application.activation-reminded.v1"
    topic: ClassVar[str] = "banka.applications"

    deadline: Instant


class DocumentReceived(ApplicationEvent):
    """A paper arrived and is kept, encrypted, in the document store."""

    type: ClassVar[str] = "banka.document.received.v1"
    topic: ClassVar[str] = "banka.applications"

    document_id: str
    document_number: str = Field(description="the office's running number of the paper")
    item: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    media_type: Literal["application/pdf", "image/jpeg", "image/png"]
    size: int = Field(ge=1, description="bytes")
    entered_by: EnteredBy = None


class MaterialCompleted(ApplicationEvent):
    """Everything that was asked for is in; the office checks again."""

    type: ClassVar[str] = "banka.application.material-completed.v1"
    topic: ClassVar[str] = "banka.applications"


class HandedDocument(Part):
    """A paper that review may look at."""

    document_id: str
    item: str
    sha256: str
    media_type: str
    taken_from: str | None = Field(
        default=None,
        description="the earlier application with which it came, where the customer was not asked"
        " again for what the bank holds",
    )


class Meeting(Part):
    """That somebody of the bank saw the person, the original ID and the signing (三亲见)."""

    saw_person: bool
    saw_original: bool
    saw_signing: bool
    staff_id: str
    at: Instant
    evidence: list[str] = Field(description="documents that show it")


class PreCheckPassed(ApplicationEvent):
    """The form and the papers are complete: the application is handed to review, with all that
    review needs."""

    type: ClassVar[str] = "banka.application.pre-check-passed.v1"
    topic: ClassVar[str] = "banka.applications"

    parties: list[Party]
    consent: CreditConsent
    documents: list[HandedDocument]
    new_to_bank: bool
    age_band: str
    income_band: str
    requested_limit: Money | None = None
    warnings: list[str] = Field(
        default=[], description="codes of findings that did not stop the application"
    )
    submitted_at: Instant
    passed_by: str | None = Field(
        default=None, description="`staff:<id>` who passed it; null where the rules did"
    )
    meeting: Meeting | None = None
    reopens: str | None = Field(
        default=None, description="application that this one takes up again, with new material"
    )
    waived: list[str] | None = Field(
        default=None,
        description="checklist items that two people of the office do without; null where the"
        " publisher did not say",
    )


class ItemAskedAgain(ApplicationEvent):
    """The customer has to bring again what the office had accepted, or had done without. That is to
    be rare: `reason` says why, `codes` what is wrong with it."""

    type: ClassVar[str] = "banka.item.asked-again.v1"
    topic: ClassVar[str] = "banka.applications"

    party: str = Field(description="role of the person whose paper it is")
    item: str
    reason: str
    codes: list[str]
    times: int = Field(ge=1, description="how many times that has happened to this item")
    asked_by: str = Field(description="`staff:<id>`, or the service whose rules ask")


class AccessCodeIssued(ApplicationEvent):
    """A code for the customer's own page is to reach the customer by message. It lets in once, and
    only together with what the customer knows."""

    type: ClassVar[str] = "banka.access-code.issued.v1"
    topic: ClassVar[str] = "banka.applications"

    party_id: str = Field(description="whose page it opens, and under whose key the code is sealed")
    code: Sealed = Field(description="sealed as the contact field `access_code` of that party")
    valid_until: Instant
    issued_by: str = Field(description="`staff:<id>` who had it sent")


class ApplicationImported(ApplicationEvent):
    """An application came over from another system in the state that it had there, with its dates
    (`origin` is imported: nobody is told, no alarm is raised)."""

    type: ClassVar[str] = "banka.application.imported.v1"
    topic: ClassVar[str] = "banka.applications"

    state: str = Field(description="a state of the lifecycle, in which the application goes on")
    parties: list[Party]
    consent: CreditConsent | None = None
    documents: list[HandedDocument] = Field(default=[])
    new_to_bank: bool
    age_band: str
    income_band: str
    submitted_at: Instant
    limit: Money | None = Field(default=None, description="granted, where it was approved")
    card_id: str | None = None


class WithdrawalRequested(ApplicationEvent):
    """The customer wants out while review holds the application; review grants or refuses."""

    type: ClassVar[str] = "banka.application.withdrawal-requested.v1"
    topic: ClassVar[str] = "banka.applications"

    request_id: str
    entered_by: EnteredBy = None


class AppealWish(StrEnum):
    """What a customer asks for who was declined, or whose limit the policy alone set
    (个人信息保护法 24): why it was decided so, or that a person who took no part decides about it
    anew (人工复核)."""

    EXPLANATION = "explanation"
    HUMAN_REVIEW = "human-review"


class AppealRequested(ApplicationEvent):
    """The customer asks about a decline or about a limit that the policy alone set, or objects to
    it. The decided application stays as it is: review opens a case of its own."""

    type: ClassVar[str] = "banka.appeal.requested.v1"
    topic: ClassVar[str] = "banka.applications"

    appeal_id: str
    wish: AppealWish
    words: Sealed | None = Field(
        default=None, description="what the customer says, sealed as a note under their keys"
    )
    entered_by: EnteredBy = None


class LimitChangeKind(StrEnum):
    """How the limit of a card is to change: for good, or up to a day."""

    INCREASE = "increase"
    TEMPORARY = "temporary"
    DECREASE = "decrease"


class LimitChangeRequested(ApplicationEvent):
    """The customer wants another limit for the card of this application. The decided application
    stays as it is: review opens a case of its own. A higher limit bears the customer's own
    agreement, a student's the guarantor's as well."""

    type: ClassVar[str] = "banka.limit-change.requested.v1"
    topic: ClassVar[str] = "banka.applications"

    change_id: str
    kind: LimitChangeKind
    wanted: Money = Field(description="the whole limit that the card shall have")
    until: date | None = Field(default=None, description="last day of a temporary one")
    agreed_at: Instant = Field(description="when the customer asked for it, or agreed to it")
    consent: CreditConsent | None = Field(
        default=None, description="to a new query of the credit bureau; null: none is made"
    )
    guarantee_on: date | None = Field(
        default=None,
        description="of a student: day on which the second source of repayment agreed in writing",
    )
    monthly_income: Sealed | None = Field(
        default=None, description="stated anew, sealed as that field of the applicant"
    )
    income_on: date | None = Field(default=None, description="day of the proof of that income")
    words: Sealed | None = Field(
        default=None, description="what the customer says, sealed as a note under their keys"
    )
    entered_by: EnteredBy = None


class DisputeRequested(ApplicationEvent):
    """The customer says that the credit report of which the bank was told is wrong (征信异议). The
    application stays as it is: review opens a case of its own."""

    type: ClassVar[str] = "banka.dispute.requested.v1"
    topic: ClassVar[str] = "banka.applications"

    dispute_id: str
    words: Sealed | None = Field(
        default=None, description="what the customer says, sealed as a note under their keys"
    )
    entered_by: EnteredBy = None


class ApplicationWithdrawn(ApplicationEvent):
    """The customer took the application back while it lay with intake."""

    type: ClassVar[str] = "banka.application.withdrawn.v1"
    topic: ClassVar[str] = "banka.applications"

    request_id: str
    entered_by: EnteredBy = None


class ApplicationExpired(ApplicationEvent):
    """A deadline of the customer passed and the application was closed (超时关闭)."""

    type: ClassVar[str] = "banka.application.expired.v1"
    topic: ClassVar[str] = "banka.applications"

    reason: Literal["draft-abandoned", "material-not-supplied", "card-not-activated"]


class CardEvent(ApplicationEvent):
    """What every event about the card carries. `card_id` is ours; a card number never leaves core
    banking."""

    card_id: str


class CardOrdered(CardEvent):
    """The card factory was asked to make the card."""

    type: ClassVar[str] = "banka.card.ordered.v1"
    topic: ClassVar[str] = "banka.applications"

    limit: Money


class CardProduced(CardEvent):
    """The card factory made the card."""

    type: ClassVar[str] = "banka.card.produced.v1"
    topic: ClassVar[str] = "banka.applications"


class CardPosted(CardEvent):
    """The card is in the post."""

    type: ClassVar[str] = "banka.card.posted.v1"
    topic: ClassVar[str] = "banka.applications"


class CardDelivered(CardEvent):
    """The customer signed for the card."""

    type: ClassVar[str] = "banka.card.delivered.v1"
    topic: ClassVar[str] = "banka.applications"


class CardActivated(CardEvent):
    """The customer activated the card after the identity check."""

    type: ClassVar[str] = "banka.card.activated.v1"
    topic: ClassVar[str] = "banka.applications"


class CardFirstUsed(CardEvent):
    """The customer paid with the card for the first time (首刷)."""

    type: ClassVar[str] = "banka.card.first-used.v1"
    topic: ClassVar[str] = "banka.applications"


class CardFactRefused(ApplicationEvent):
    """A partner reported something about a card that cannot be true, such as activated on a
    declined application; it was answered `rejected` and somebody has to look."""

    type: ClassVar[str] = "banka.card.fact-refused.v1"
    topic: ClassVar[str] = "banka.applications"

    partner: str
    reported: str = Field(description="type of the partner's event")
    partner_event_id: str


class AccountPerformanceReported(CardEvent):
    """Core banking told how the account of a card stood at the end of a month. The statement with
    the highest revision on a month counts, of several months the latest."""

    type: ClassVar[str] = "banka.account.performance-reported.v1"
    topic: ClassVar[str] = "banka.accounts"

    person: str = Field(description="pseudonym of who holds the card")
    month: Month
    revision: Revision
    opened_on: date
    closed_on: date | None
    days_past_due: int
    balance: BalanceBand
    last_customer_transaction: date | None = Field(
        description="last one that the customer began; null where there was none"
    )
    policy_card: bool = Field(description="left out of the dormancy ratio")


class HeldCard(Part):
    """A card that somebody holds."""

    card: str = Field(description="core banking's mark; of a card of ours the card_id")
    application_id: str | None = Field(description="of a card that the office ordered")
    limit: Money | None = Field(description="null where it shares the limit of another card")
    dormant: bool
    policy_card: bool


class AccountHoldingReported(CardEvent):
    """Core banking told which cards of the bank the holder of a card holds at the end of a day.
    The latest day counts, on one day the highest revision."""

    type: ClassVar[str] = "banka.account.holding-reported.v1"
    topic: ClassVar[str] = "banka.accounts"

    person: str = Field(description="pseudonym of who holds the cards")
    as_of: date
    revision: Revision
    cards: list[HeldCard]


class WatchlistChanged(Payload):
    """A list of the bank's screening system changed: who was asked about before is asked about
    again. Of several changes of one list the one with the latest `changed_at` counts."""

    type: ClassVar[str] = "banka.watchlist.changed.v1"
    topic: ClassVar[str] = "banka.watchlists"

    list_name: str
    version: str = Field(description="the screening system's own mark for what the list holds")
    changed_at: Instant = Field(description="since when the system answers by it, by its clock")


class BranchChanged(Payload):
    """A branch as it is now; the whole state, not a difference."""

    type: ClassVar[str] = "banka.branch.changed.v1"
    topic: ClassVar[str] = "banka.reference"

    branch: str = Field(pattern=r"^\d{4}$")
    name_zh: str
    name_en: str
    region: str = Field(pattern=r"^\d{2}$")
    open: bool = True


class StaffChanged(Payload):
    """A member of staff as they are now: roles, branches, and the epoch that ends older sessions.
    Staff are known by their number and the name they go by at work."""

    type: ClassVar[str] = "banka.staff.changed.v1"
    topic: ClassVar[str] = "banka.reference"

    staff_id: str
    username: str
    display_name: str
    roles: list[str]
    branches: list[str] = Field(description="branches whose cases they may see; `*` for all")
    desk: str
    session_epoch: int = Field(ge=0, description="sessions signed with a lower epoch have ended")
    active: bool = True


class SessionEnded(Payload):
    """A sign-in has ended before its time: whoever has its cookie gets in nowhere any more."""

    type: ClassVar[str] = "banka.session.ended.v1"
    topic: ClassVar[str] = "banka.reference"

    staff_id: str
    session: str = Field(description="digest of the session's own mark; says nothing else")
    until: Instant = Field(
        description="machine time at which it would have ended by itself; it may be forgotten then"
    )


class InboundAccepted(Payload):
    """Answer to a partner: your event was taken."""

    type: ClassVar[str] = "banka.inbound.accepted.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    partner_event_id: str
    partner_reference: str
    application_id: str
    application_number: str
    state: str
    applied: bool = Field(
        description="false for a fact that changed nothing, such as one that came late"
    )
    repaired_by: str | None = Field(
        default=None,
        description="id of the office's event that stood in for yours; null where it was taken as"
        " it came",
    )


class InboundKept(Payload):
    """Answer to a partner: your withdrawal came before its application and is kept for it. The
    final answer follows: accepted once the application has come, else rejected."""

    type: ClassVar[str] = "banka.inbound.kept.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    partner_event_id: str
    partner_reference: str
    until: Instant = Field(description="at least so long; a further withdrawal prolongs it")
    repaired_by: str | None = Field(
        default=None,
        description="id of the office's event that stood in for yours; null where it was kept as"
        " it came",
    )


class InboundNoted(Payload):
    """Answer to a partner: what you told about no single application is noted."""

    type: ClassVar[str] = "banka.inbound.noted.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    partner_event_id: str
    partner_reference: str
    repaired_by: str | None = Field(
        default=None,
        description="id of the office's event that stood in for yours; null where it was noted as"
        " it came",
    )


class Problem(Part):
    """One thing that is wrong: a JSON pointer, a code, and how to correct it. Never a value."""

    pointer: str
    code: str
    detail: str


class InboundRejected(Payload):
    """Answer to a partner: your event was not taken, and this is everything that is wrong with
    it."""

    type: ClassVar[str] = "banka.inbound.rejected.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    partner_event_id: str | None = None
    partner_reference: str | None = None
    code: str
    problems: list[Problem]
    repaired_by: str | None = Field(
        default=None,
        description="id of the office's event that stood in for yours; null where it was judged as"
        " it came",
    )


OutsideStatus = Literal[
    "received",
    "material-wanted",
    "in-review",
    "approved",
    "declined",
    "card-on-its-way",
    "closed",
    "in-use",
]
"""How far an application is, as a partner may know it."""


class ApplicationStatusChanged(Payload):
    """The part of an application's progress that the partner who sent it may know."""

    type: ClassVar[str] = "banka.application-status.changed.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    partner_reference: str
    application_id: str
    application_number: str
    status: OutsideStatus
    wanted: list[WantedItem] = Field(default=[])
    deadline: Instant | None = None
    reapply_from: date | None = None


class CardOrderRequested(Payload):
    """Order to the card factory, and notice to core banking, that a card is wanted. Addressee and
    embossing name are JWE to the partner's key; without one, the partner fetches them from core
    banking by `card_id`."""

    type: ClassVar[str] = "banka.card-order.requested.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    card_id: str
    application_id: str
    application_number: str
    product: str
    limit: Money


class CardLimitReason(StrEnum):
    """Why a card has another limit."""

    INCREASE = "increase"
    TEMPORARY = "temporary"
    DECREASE = "decrease"
    TEMPORARY_ENDED = "temporary-ended"


class CardLimitChanged(Payload):
    """Notice to core banking that a card has another limit from a day on: raised, raised for a
    time, lowered, or back at its lasting one because a temporary limit has ended. `limit` is the
    whole of it. Of several about one card the one that was said last counts, from its day on."""

    type: ClassVar[str] = "banka.card-limit.changed.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    card_id: str
    application_id: str
    application_number: str
    change_number: str = Field(description="the application's number and a running one: …-L2")
    reason: CardLimitReason
    limit: Money
    effective_on: date = Field(description="first business day of this limit")
    until: date | None = Field(
        default=None,
        description="last day of a temporary limit; that it has ended is said as well",
    )
