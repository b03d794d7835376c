"""What every payload has in common."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.privacy.sealing import Sealed


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset from UTC, e.g. 2026-11-02T01:30:00Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant must lie within the calendar") from None


Instant = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time; read with any offset, kept and written in UTC."""


class Payload(BaseModel):
    """The business data of one event.

    `type` is the CloudEvents type, `banka.<thing>.<past tense>.v<n>`; `topic` the Kafka topic it is
    published to, or a pattern with `<partner>` in it. Readers ignore fields that they do not know,
    so a publisher may add one; taking one away, or asking for one more, is a new version of the
    type.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    type: ClassVar[str]
    topic: ClassVar[str]


class Part(BaseModel):
    """A part of a payload that is not an event by itself."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class ApplicantType(StrEnum):
    """Who applies, because that decides which papers are needed."""

    SALARIED = "salaried"
    SELF_EMPLOYED = "self_employed"
    ASSET_OWNER = "asset_owner"
    STUDENT = "student"
    EXISTING_CUSTOMER = "existing_customer"
    SUPPLEMENTARY = "supplementary"


class Channel(StrEnum):
    """The way by which an application reached the bank."""

    COUNTER = "counter"
    WEB = "web"
    MOBILE_APP = "mobile_app"
    BATCH = "batch"
    PARTNER = "partner"


class PartyRole(StrEnum):
    """What a person is to an application."""

    APPLICANT = "applicant"
    SUPPLEMENTARY_HOLDER = "supplementary_holder"
    GUARDIAN = "guardian"
    CONTACT = "contact"


FIELD_CLASSES: dict[str, str] = {
    "name": "contact",
    "mobile": "contact",
    "email": "contact",
    "salutation": "contact",
    "chinese_name": "contact",
    "id_type": "identity",
    "id_number": "identity",
    "id_issued": "identity",
    "id_expires": "identity",
    "home_address": "identity",
    "nationality": "identity",
    "birth_date": "identity",
    "mrz": "identity",
    "employer": "financial",
    "occupation": "financial",
    "work_address": "financial",
    "office_phone": "financial",
    "monthly_income": "financial",
    "other_bank_limits": "financial",
    "postcode": "financial",
    "credit_code": "financial",
    "main_card_number": "financial",
}
"""Every personal field of a party and the class of the key that seals it. `monthly_income` and
`other_bank_limits` are whole fen as digits; dates are ISO 8601; `salutation` is `mr` or `ms`;
`id_type` is `id_card`, which is meant where there is none, or `passport`; `birth_date`, three
letters of `nationality` (ISO 3166-1) and, if any, `chinese_name` and `mrz` (the lower
machine-readable line) go with a passport, whose number tells none of it;
`credit_code` is the employer's (统一社会信用代码), `postcode` that of the home address,
`main_card_number` the card to which a supplementary one is wished."""


class BalanceBand(StrEnum):
    """What stands on a card's account at the end of a month, in bands of what the
    customer owes, in yuan, the lower bound included."""

    OVERPAID = "overpaid"
    ZERO = "zero"
    UNDER_1K = "under_1k"
    FROM_1K = "from_1k"  # to 10,000
    FROM_10K = "from_10k"  # to 50,000
    FROM_50K = "from_50k"


Month = Annotated[str, Field(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$")]
"""A calendar month by the bank's clock, `2026-11`."""

Revision = Annotated[int, Field(ge=1, le=9999)]
"""Which statement on the same month or day this is: from 1; a correction has the next one."""


ACCESS_CODE = "access_code"
"""A code for the customer's own page, sealed under a party's contact key by this name. It is no
field of a party."""


class Party(Part):
    """A person in an application, known by a random `party_id`; `person` is the pseudonym that
    links a person's parties. `fields` holds sealed values by field name, each of a class named in
    `FIELD_CLASSES`."""

    party_id: str
    person: str
    role: PartyRole
    fields: dict[str, Sealed]


class ConsentText(Part):
    """The words to which somebody agreed on a page, as whoever showed them knows them again."""

    version: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._-]+$")
    language: str = Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the words in UTF-8")


class CreditConsent(Part):
    """The written consent without which no bureau may be asked (征信业管理条例 18, 19)."""

    signed_at: Instant
    purpose: str
    text: ConsentText | None = Field(
        default=None, description="where it was given on a page; null for one on paper"
    )


class ApplicationEvent(Payload):
    """What every event about an application carries, so that no reader has to look it up."""

    application_id: str
    application_number: str
    branch: str = Field(description="legal branch that accepted the application, 4 digits")
    region: str = Field(description="province of the branch, 2 digits as in the resident ID")
    channel: Channel
    product: str
    product_version: str = Field(
        description="version of the product's parameters, fixed at the start"
    )
    product_digest: str | None = Field(
        default=None,
        description="SHA-256 of what that version says; null where the publisher does not know it",
    )
    applicant_type: ApplicantType
