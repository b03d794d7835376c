"""The shape of every parameter file; the JSON Schemas in `schemas/` are written from here."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.money import Money

ApplicantTypeName = Literal[
    "salaried", "self_employed", "asset_owner", "student", "existing_customer", "supplementary"
]
APPLICANT_TYPES: tuple[ApplicantTypeName, ...] = (
    "salaried",
    "self_employed",
    "asset_owner",
    "student",
    "existing_customer",
    "supplementary",
)

Version = Annotated[str, Field(pattern=r"^[0-9]{4}\.[0-9]+$")]  # year.number
Days = Annotated[int, Field(ge=0, le=3660)]
WorkingDays = Annotated[int, Field(ge=1, le=250)]
ItemCode = Annotated[str, Field(pattern=r"^[a-z][a-z_]+$")]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Parameters):
    """A name or sentence for people in both languages."""

    zh: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]

    def in_language(self, language: str) -> str:
        """English for `en…`, else Chinese, which is the users' default."""
        return self.en if language.startswith("en") else self.zh


class _File(_Parameters):
    """What every parameter file begins with; `digest` is of its content, not of its comments."""

    version: Version
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # SHA-256, set on load


class Condition(StrEnum):
    """When a requirement applies; intake knows how to decide each of them."""

    ALWAYS = "always"
    ID_PROVINCE_NOT_WORK_PROVINCE = "id_province_not_work_province"
    HOLDER_UNDER_18 = "holder_under_18"
    NOT_ON_FILE = "not_on_file"  # the bank does not hold it from before


class Requirement(_Parameters):
    """One line of the material matrix.

    `mandatory`: the one item is needed. `one_of`: any of the items satisfies the group. `optional`:
    welcome, may raise the limit, never asked for.
    """

    need: Literal["mandatory", "one_of", "optional"]
    items: Annotated[list[ItemCode], Field(min_length=1)]
    when: Condition = Condition.ALWAYS
    group: ItemCode | None = None  # name of a one_of group

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.need == "one_of" and (len(self.items) < 2 or self.group is None):
            raise ValueError("one_of needs a group name and at least two items")
        if self.need == "mandatory" and len(self.items) != 1:
            raise ValueError("mandatory names exactly one item")
        return self

    @property
    def asks_for_consent(self) -> bool:
        """Whether nothing goes to review without the consent to the credit query."""
        return (
            self.need == "mandatory"
            and self.items == ["credit_authorization"]
            and self.when is Condition.ALWAYS
        )


class AgeRange(_Parameters):
    """Ages at submission, both ends included."""

    youngest: Annotated[int, Field(ge=14, le=100)]
    oldest: Annotated[int, Field(ge=14, le=100)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.youngest > self.oldest:
            raise ValueError("youngest is above oldest")
        return self


class Validity(_Parameters):
    """How old a proof may be on submission, in days from its date, by item."""

    longest_days: dict[ItemCode, Days]
    warn_days: dict[ItemCode, Days] = {}  # older than that: a person looks


class LimitRules(_Parameters):
    """What limit may be granted."""

    smallest: Money
    largest: Money
    step: Money  # a granted limit is a multiple of it, rounded down
    total_cap: Money  # all banks together; deducted: other banks' limits and own existing ones
    income_multiple: Annotated[Decimal, Field(gt=0, le=100)]  # of monthly income
    cash_share: Annotated[Decimal, Field(ge=0, le=1)]  # cash limit ≤ this share of the limit

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.smallest <= self.largest <= self.total_cap:
            raise ValueError("needs smallest ≤ largest ≤ total_cap")
        return self


class CoolDown(_Parameters):
    """When one may apply again after a decline."""

    days: Days
    waived_for: list[str]  # decline categories


class Product(_File):
    """One card product: who may have it, what must be handed in, what may be granted."""

    product: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    names: Words
    applicants: dict[ApplicantTypeName, AgeRange]
    channels: list[Literal["counter", "mobile_app", "web", "batch", "partner"]]
    cards_per_customer: Annotated[int, Field(ge=1, le=20)]  # of the bank, whatever the product
    materials: dict[ApplicantTypeName, list[Requirement]]
    validity: Validity
    limit: LimitRules
    cool_down: CoolDown
    daily_rate: Annotated[Decimal, Field(ge=0, le=Decimal("0.001"))]  # interest per day

    @model_validator(mode="after")
    def _every_applicant_has_a_matrix(self) -> Self:
        if set(self.applicants) != set(self.materials):
            raise ValueError("applicants and materials must name the same applicant types")
        return self

    @model_validator(mode="after")
    def _nobody_is_checked_without_consent(self) -> Self:
        for applicant, requirements in self.materials.items():
            if not any(one.asks_for_consent for one in requirements):
                raise ValueError(f"materials.{applicant} must always ask for credit_authorization")
        return self


class Reminder(_Parameters):
    """A term of the customer with its reminder."""

    working_days: WorkingDays
    remind_working_days_before: Annotated[int, Field(ge=0, le=60)]

    @model_validator(mode="after")
    def _reminder_within_term(self) -> Self:
        if self.remind_working_days_before >= self.working_days:
            raise ValueError("the reminder must fall within the term")
        return self


class SilenceLimit(_Parameters):
    """How long a state may see no event before its owner is told."""

    days: Annotated[int, Field(ge=1, le=400)]
    unit: Literal["working_days", "days"]


class SendWindow(_Parameters):
    """When messages that may wait are sent, by the bank's wall clock."""

    opens: time
    closes: time


class Clocks(_File):
    """Terms of customers, the office and partners."""

    material: Reminder
    draft_days: Days  # an abandoned draft is closed
    pre_check_working_days: WorkingDays
    first_contact_working_days: WorkingDays
    interview_days: Days
    review_working_days: WorkingDays
    existing_customer_working_days: WorkingDays
    card_production_working_days: WorkingDays
    card_posting_days: Days
    activation_days: Days
    activation_reminder_days_before: Days
    complaint_days: Days
    complaint_complex_days: Days
    bureau_dispute_days: Days
    retention_years: Annotated[int, Field(ge=1, le=100)]
    send_window: SendWindow
    longest_silence: dict[str, SilenceLimit]  # by lifecycle state


class DeclinePhrase(_Parameters):
    """What may be said outside about a decline of that category."""

    desk: Words  # how reports inside the bank call the category
    customer: Words  # the approved neutral words


class Phrases(_File):
    """Words approved by compliance: the only ones that reach a customer about a decline."""

    signature: Words  # SMS signature, inside 【】
    marketing_opt_out: Words
    your_rights: Words  # after a decline: credit report, explanation, human review, complaint
    declines: dict[str, DeclinePhrase]
    forbidden: dict[str, list[str]]  # by language: words that no message may contain


class ChecklistItem(_Parameters):
    """One thing a customer may have to hand in."""

    names: Words
    how: Words  # what it must show to be accepted
    upload: bool  # false: given on the form or by a signature in branch


class ChecklistItems(_File):
    """Every item of the checklist by code."""

    items: dict[ItemCode, ChecklistItem]


class ReturnCode(_Parameters):
    """Why something was handed back, and how the customer mends it."""

    names: Words
    mend: Words


class ReturnCodes(_File):
    """Every reason for handing back (退件原因) by code; format findings included."""

    codes: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z_]+$")], ReturnCode]


class Refusal(_Parameters):
    """Why a file is no paper that the office takes, and how that is mended."""

    names: Words
    mend: Words


class Papers(_File):
    """What the office takes as a paper, within which limits it is decoded, how long it is kept."""

    largest_bytes: Annotated[int, Field(ge=100_000, le=50_000_000)]
    most_pages: Annotated[int, Field(ge=1, le=500)]  # of a PDF
    most_pixels: Annotated[int, Field(ge=1_000_000, le=200_000_000)]  # of a picture
    preview_pixels: Annotated[int, Field(ge=400, le=4000)]  # longest side of what people are shown
    cpu_seconds: Annotated[int, Field(ge=1, le=120)]  # to decode one upload
    memory_bytes: Annotated[int, Field(ge=100_000_000, le=4_000_000_000)]  # to decode one upload
    keep_abandoned_days: Days  # what was never handed in, after it was closed
    refusals: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], Refusal]


class CalendarYear(_Parameters):
    """One year as the State Council's notice arranges it."""

    notice: Annotated[str, Field(min_length=1)]  # number or title of the notice
    holidays: list[date]  # days off, weekends within a holiday included
    working_weekends: list[date]  # make-up days (调休)


class Calendar(_File):
    """Years that the working-day library does not know yet, or knows wrongly."""

    years: dict[int, CalendarYear]

    @model_validator(mode="after")
    def _days_lie_in_their_year(self) -> Self:
        for year, stated in self.years.items():
            if any(day.year != year for day in [*stated.holidays, *stated.working_weekends]):
                raise ValueError(f"a day listed under {year} lies in another year")
            if any(day.weekday() < 5 for day in stated.working_weekends):
                raise ValueError(f"a make-up day of {year} is not on a weekend")
            if set(stated.holidays) & set(stated.working_weekends):
                raise ValueError(f"a day of {year} is both holiday and make-up day")
        return self
