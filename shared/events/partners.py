"""What partners publish to `banka.inbound.<partner>`.

These contracts are strict where ours are lenient: a field that is not named here is refused,
because it may be personal data in clear. Personal data come only inside a JWE (compact
serialisation, ECDH-ES with A256GCM) to the office's published key; its clear text is the JSON
object described at each field.
"""

from datetime import date
from typing import ClassVar

from pydantic import ConfigDict, Field

from shared.events.payload import ApplicantType, CreditConsent, Part, PartyRole, Payload
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
