"""What partners publish to `banka.inbound.<partner>`.

These contracts are strict where ours are lenient: a field that is not named here is refused,
because it may be personal data in clear. Personal data come only inside a JWE (compact
serialisation, ECDH-ES with A256GCM) to the office's published key; its clear text is the JSON
object described at each field.
"""

from datetime import date
from typing import ClassVar

from pydantic import ConfigDict, Field

from shared.events.intake import AppealWish
from shared.events.payload import (
    ApplicantType,
    BalanceBand,
    CreditConsent,
    Instant,
    Month,
    Part,
    PartyRole,
    Payload,
    Revision,
)
from shared.money import Money

Jwe = str
"""A compact JWE: five base64url parts with dots between them."""

_JWE = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"


class PartnerEvent(Payload):
    """What every event of a partner carries. `reference` is the partner's own name for the
    application and the key of the Kafka record."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    topic: ClassVar[str] = "banka.inbound.<partner>"

    reference: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._:-]+$")


class PartnerParty(Part):
    """A person, with the personal fields as one JWE of a JSON object `{field: text}`; the fields
    are those of `shared.events.payload.FIELD_CLASSES`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    role: PartyRole
    personal: Jwe = Field(pattern=_JWE, max_length=20_000)


class PartnerDocument(Part):
    """A paper; `content` is the JWE of its bytes, `issued_on` the date that it bears. Proofs that
    grow old count with their date alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    item: str
    content: Jwe = Field(pattern=_JWE, max_length=700_000)
    issued_on: date | None = None


class PartnerApplicationSubmitted(PartnerEvent):
    """A customer of the partner hands in an application."""

    type: ClassVar[str] = "banka.partner-application.submitted.v1"

    branch: str = Field(pattern=r"^\d{4}$")
    product: str
    applicant_type: ApplicantType
    parties: list[PartnerParty] = Field(min_length=1, max_length=4)
    consent: CreditConsent | None = None
    requested_limit: Money | None = None
    documents: list[PartnerDocument] = Field(default=[], max_length=10)


class PartnerDocumentSupplied(PartnerEvent):
    """A customer of the partner supplies papers that were missing."""

    type: ClassVar[str] = "banka.partner-document.supplied.v1"

    documents: list[PartnerDocument] = Field(min_length=1, max_length=10)


class PartnerFieldsCorrected(PartnerEvent):
    """A customer of the partner corrects fields of the form while material is wanted: of each party
    only the fields that `personal` names; the rest stays."""

    type: ClassVar[str] = "banka.partner-fields.corrected.v1"

    parties: list[PartnerParty] = Field(default=[], max_length=4)
    consent: CreditConsent | None = None


class PartnerWithdrawalRequested(PartnerEvent):
    """A customer of the partner wants to withdraw."""

    type: ClassVar[str] = "banka.partner-withdrawal.requested.v1"


class PartnerAppealRequested(PartnerEvent):
    """A customer of the partner who was declined, or whose limit the policy alone set, asks why, or
    that a person decides anew (个人信息保护法 24). `words`: JWE of what the customer says, UTF-8
    text of at most 2,000 characters."""

    type: ClassVar[str] = "banka.partner-appeal.requested.v1"

    wish: AppealWish
    words: Jwe | None = Field(default=None, pattern=_JWE, max_length=20_000)


class PartnerDisputeRequested(PartnerEvent):
    """A customer of the partner says that the credit report is wrong (征信异议). `words`: JWE of
    what is wrong in it, UTF-8 text of at most 2,000 characters."""

    type: ClassVar[str] = "banka.partner-dispute.requested.v1"

    words: Jwe = Field(pattern=_JWE, max_length=20_000)


class PartnerCardEvent(PartnerEvent):
    """A fact about a card; `reference` is the `card_id` of the order."""


class PartnerCardProduced(PartnerCardEvent):
    """The card was made."""

    type: ClassVar[str] = "banka.partner-card.produced.v1"


class PartnerCardPosted(PartnerCardEvent):
    """The card was handed to the post."""

    type: ClassVar[str] = "banka.partner-card.posted.v1"


class PartnerCardDelivered(PartnerCardEvent):
    """The customer signed for the card."""

    type: ClassVar[str] = "banka.partner-card.delivered.v1"


class PartnerCardActivated(PartnerCardEvent):
    """The card was activated."""

    type: ClassVar[str] = "banka.partner-card.activated.v1"


class PartnerCardFirstUsed(PartnerCardEvent):
    """The card was used for the first time."""

    type: ClassVar[str] = "banka.partner-card.first-used.v1"


class PartnerPerformanceReported(PartnerCardEvent):
    """How the account of a card stood at the end of a month. `policy_card`: issued with a function
    that public policy asks for, which the dormancy ratio leaves out."""

    type: ClassVar[str] = "banka.partner-account.performance-reported.v1"

    month: Month
    revision: Revision = 1
    opened_on: date
    closed_on: date | None = None
    days_past_due: int = Field(ge=0, le=9999)
    balance: BalanceBand
    last_customer_transaction: date | None = Field(
        default=None, description="last one that the customer began; null where there was none"
    )
    policy_card: bool = False


class PartnerHeldCard(Part):
    """A card of the bank that somebody holds. `card` is core banking's own mark for it, of a card
    that the office ordered the `card_id`; never a card number. `limit` None: it shares the limit of
    another card, as a supplementary one does."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    card: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._:-]+$")
    limit: Money | None = None
    dormant: bool
    policy_card: bool = False


class PartnerHoldingReported(PartnerCardEvent):
    """All cards of the bank that the holder of this card holds at the end of a day, this one
    included where it is still open."""

    type: ClassVar[str] = "banka.partner-account.holding-reported.v1"

    as_of: date
    revision: Revision = 1
    cards: list[PartnerHeldCard] = Field(max_length=50)


class PartnerWatchlistChanged(PartnerEvent):
    """One of the screening system's lists changed; `reference` is the list's name. `version` is the
    system's own mark for what the list holds now, `changed_at` since when it answers by that."""

    type: ClassVar[str] = "banka.partner-watchlist.changed.v1"

    version: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._:-]+$")
    changed_at: Instant
