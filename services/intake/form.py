"""The form as it is handed in: what a channel, a branch's table or a page fills in.

A field may be missing or wrong in form: the draft is kept all the same, and the rules say what has
to be corrected. Only what cannot be stored at all is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.calendar import BUSINESS_ZONE
from shared.events.payload import (
    FIELD_CLASSES,
    ApplicantType,
    Channel,
    CreditConsent,
    PartyRole,
)
from shared.formats import IdType, normalise_mrz, person_number
from shared.money import Money
from shared.parameters import load_products, load_return_codes

LONG_TERM = "9999-12-31"
"""How the end of an ID card without end (长期) is sealed."""

_LARGEST_PARTIES = 4
_Text = Annotated[str, Field(max_length=200)]
_Fen = Annotated[str, Field(pattern=r"^[0-9]{1,13}$", description="whole fen as digits")]
_LARGEST_PURPOSE = 200  # characters


def _known_product(code: str) -> str:
    if code not in load_products():
        words = load_return_codes().codes["UNKNOWN_PRODUCT"].mend
        raise PydanticCustomError("UNKNOWN_PRODUCT", words.en)
    return code


def _keepable(consent: CreditConsent) -> CreditConsent:
    """Whether its words and its time can be stored and shown at all."""
    if len(consent.purpose) > _LARGEST_PURPOSE or "\x00" in consent.purpose:
        raise ValueError("the purpose is too long, or no text")
    try:
        consent.signed_at.astimezone(BUSINESS_ZONE), consent.signed_at.astimezone(UTC)
    except OverflowError:
        raise ValueError("the consent is dated outside the calendar") from None
    return consent


_Product = Annotated[str, Field(max_length=40), AfterValidator(_known_product)]
_Consent = Annotated[CreditConsent, AfterValidator(_keepable)]


class _Input(BaseModel):
    # a wrong value may be somebody's ID number: no error repeats it
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=False
    )


class PartyForm(_Input):
    """A person as the form names them; every field may be missing. `id_type`: a card where nothing
    is said. `id_long_term`: the card has no end (长期), `id_expires` is then left out."""

    role: PartyRole
    name: _Text | None = None
    chinese_name: _Text | None = Field(
        default=None, description="of somebody whose passport has a Latin name, if there is one"
    )
    salutation: Literal["mr", "ms"] | None = None
    id_type: IdType | None = None
    id_number: _Text | None = None
    id_issued: date | None = None
    id_expires: date | None = None
    id_long_term: bool = False
    nationality: _Text | None = None
    birth_date: date | None = Field(
        default=None, description="needed with a passport; a card's number tells it"
    )
    mrz: Annotated[_Text, AfterValidator(normalise_mrz)] | None = Field(
        default=None,
        description="the lower machine-readable line of a passport, 44 characters; where both lines"
        " are given it alone is kept",
    )
    mobile: _Text | None = None
    email: _Text | None = None
    home_address: _Text | None = None
    employer: _Text | None = None
    occupation: _Text | None = None
    work_address: _Text | None = None
    office_phone: _Text | None = None
    monthly_income: _Fen | None = None
    other_bank_limits: _Fen | None = None
    postcode: _Text | None = None
    credit_code: _Text | None = None
    main_card_number: _Text | None = None
    device: _Text | None = Field(
        default=None,
        description="the device on which this person filled in the form, as the channel knows it;"
        " kept as a keyed digest alone",
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.id_long_term and self.id_expires is not None:
            raise ValueError("an ID card is either 长期 or ends on id_expires, not both")
        return self

    @property
    def has_passport(self) -> bool:
        """Whether they show who they are by a passport."""
        return self.id_type == "passport"

    @property
    def number(self) -> str | None:
        """By what number the person is known again; None where the form does not say enough."""
        return person_number(self.fields())

    def fields(self) -> dict[str, str]:
        """{field: text} of what is given, ready to be sealed; keys are those of FIELD_CLASSES."""
        given: dict[str, str] = {}
        for name in FIELD_CLASSES:
            value = getattr(self, name)
            if value not in (None, ""):
                given[name] = value.isoformat() if isinstance(value, date) else str(value)
        if self.id_long_term:
            given["id_expires"] = LONG_TERM
        return given

    @classmethod
    def from_fields(cls, role: PartyRole, fields: Mapping[str, str]) -> PartyForm:
        """The form again from opened fields; what was sealed is what comes back."""
        values: dict[str, Any] = dict(fields)
        if values.get("id_expires") == LONG_TERM:
            values["id_expires"] = None
            values["id_long_term"] = True
        return cls.model_validate({**values, "role": role})


class ApplicationForm(_Input):
    """An application as it is handed in. `reopens` names the application taken up again."""

    branch: str = Field(pattern=r"^[0-9]{4}$")
    product: _Product
    applicant_type: ApplicantType
    channel: Channel
    parties: list[PartyForm] = Field(min_length=1, max_length=_LARGEST_PARTIES)
    consent: _Consent | None = None
    requested_limit: Money | None = None
    reopens: str | None = Field(default=None, max_length=40, pattern=r"^[!-~]+$")

    @model_validator(mode="after")
    def _one_of_each_role(self) -> Self:
        _refuse_repeated_roles([party.role for party in self.parties])
        if all(party.role is not PartyRole.APPLICANT for party in self.parties):
            raise ValueError("parties name no applicant")
        return self

    @property
    def applicant(self) -> PartyForm:
        """Who applies: for a supplementary card the main cardholder."""
        return next(party for party in self.parties if party.role is PartyRole.APPLICANT)

    @property
    def holder(self) -> PartyForm:
        """Who will hold the card, and whom age and ID rules are about: of a supplementary card its
        holder, of any other the applicant, whoever else is named."""
        if self.applicant_type is not ApplicantType.SUPPLEMENTARY:
            return self.applicant
        return self.party(PartyRole.SUPPLEMENTARY_HOLDER) or self.applicant

    def party(self, role: PartyRole) -> PartyForm | None:
        """Who is named in that role."""
        return next((party for party in self.parties if party.role is role), None)

    @property
    def lacks_holder(self) -> bool:
        """Whether it is about a supplementary card and does not say who will hold it."""
        return (
            self.applicant_type is ApplicantType.SUPPLEMENTARY
            and self.party(PartyRole.SUPPLEMENTARY_HOLDER) is None
        )


class FormCorrection(_Input):
    """Fields that are corrected: of each party only those named; the rest stays."""

    parties: list[PartyForm] = Field(default=[], max_length=_LARGEST_PARTIES)
    consent: _Consent | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        _refuse_repeated_roles([party.role for party in self.parties])
        if self.consent is None and not any(party.fields() for party in self.parties):
            raise ValueError("the correction names no field")
        return self


def _refuse_repeated_roles(roles: Sequence[PartyRole]) -> None:
    if len(roles) != len(set(roles)):
        raise ValueError("parties name a role twice")
