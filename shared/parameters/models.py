"""The shape of every parameter file; the JSON Schemas in `schemas/` are written from here."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.events.payload import FIELD_CLASSES
from shared.formats import RetiredPlaces
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
ADULT: Final = 18  # years; 民法典 17: who is younger is a minor

OtherRoleName = Literal["supplementary_holder", "guardian", "contact"]

Version = Annotated[str, Field(pattern=r"^[0-9]{4}\.[0-9]+$")]  # year.number
Days = Annotated[int, Field(ge=0, le=3660)]
RemindDays = Annotated[int, Field(ge=0, le=365)]
WorkingDays = Annotated[int, Field(ge=1, le=250)]
Months = Annotated[int, Field(ge=1, le=60)]
ItemCode = Annotated[str, Field(pattern=r"^[a-z][a-z_]+$")]
ReasonCode = Annotated[str, Field(pattern=r"^[A-Z][A-Z_]+$")]


def _wrong(says: str, mend: str, *place: str) -> PydanticCustomError:
    """Parts of a file that do not fit together: what, where below this part, what to do then."""
    return PydanticCustomError(
        "wrong", "{says}; {mend}", {"says": says, "mend": mend, "place": place}
    )


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
    HOLDER_IS_MINOR = "holder_is_minor"  # younger than the product's `identity.minor_under`
    HOLDER_HAS_ID_CARD = "holder_has_id_card"
    HOLDER_HAS_PASSPORT = "holder_has_passport"
    NOT_ON_FILE = "not_on_file"  # listed all the same: taken over where the bank holds it


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
            raise _wrong(
                "a choice is a group of two items at least",
                "give it `group: …` and the items of which one is enough",
            )
        if self.need == "mandatory" and len(self.items) != 1:
            raise _wrong(
                "mandatory names exactly one item", "write a line for each, or one_of", "items"
            )
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
            raise _wrong("youngest is above oldest", "exchange them", "youngest")
        return self


class Validity(_Parameters):
    """How old a proof may be on submission, in days from its date, by item."""

    longest_days: dict[ItemCode, Days]
    warn_days: dict[ItemCode, Days] = {}  # older than that: a person looks
    # taken over from an earlier application, and without an age of its own: so long after it came
    held_days: Days = 365
    # how much time it has to cover, where somebody read it: less is returned
    shortest_months: dict[ItemCode, Months] = {}


class PreCheck(_Parameters):
    """How the pre-check (初审) is passed.

    by: `rules` hand over what they find nothing wrong with; `officer`: a person accepts each item
    and passes the case. other_than_entry: who entered the form may not pass it. meeting: the record
    that somebody saw the person, the original ID and the signing (三亲见) is needed.
    """

    by: Literal["rules", "officer"] = "rules"
    other_than_entry: bool = False
    meeting: Literal["none", "required"] = "none"

    @model_validator(mode="after")
    def _four_eyes_need_eyes(self) -> Self:
        if self.other_than_entry and self.by != "officer":
            raise ValueError("other_than_entry needs by: officer, rules enter nothing")
        return self


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
            raise _wrong("needs smallest ≤ largest ≤ total_cap", "correct one of them", "smallest")
        return self


class ReviewRules(_Parameters):
    """How two people decide.

    blind: the second gives an opinion of their own before seeing the first. risk_officer_above: an
    approval of a higher limit is signed by a risk officer, up to it by any other reviewer; without
    it, of a decline, and where it is blind, always by a risk officer.
    """

    blind: bool = False
    risk_officer_above: Money | None = None


class CoolDown(_Parameters):
    """When one may apply again after a decline."""

    days: Days
    waived_for: list[str]  # decline categories


class Characters(_Parameters):
    """How long a text may be, both ends included."""

    shortest: Annotated[int, Field(ge=1, le=200)]
    longest: Annotated[int, Field(ge=1, le=200)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.longest:
            raise _wrong("shortest is above longest", "exchange them", "shortest")
        return self


_Digits = Annotated[str, Field(pattern=r"^[0-9]+$")]
_Length = Annotated[int, Field(ge=1, le=20)]


class FieldRules(_Parameters):
    """What a field of the form may say, beyond what the standards of its number demand."""

    address: Characters
    employer_shortest: Annotated[int, Field(ge=1, le=50)]  # characters
    employer_placeholders: list[str]  # what people write who name no employer
    virtual_operators: list[_Digits]  # a mobile number that begins so is worth a look
    area_code_digits: list[_Length]  # of an office phone
    landline_digits: list[_Length]  # after the area code
    office_phone_may_be_mobile: bool  # 11 digits that begin with 1, if not the applicant's own
    repeated_postcodes: list[_Digits]  # of six times the same digit, and real all the same


FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z_]+$")]


class FormRules(_Parameters):
    """What the form has to say, and of whom. A field that is not needed may be left out; a field
    that is filled in must be right all the same."""

    needed: dict[ApplicantTypeName, list[FieldName]]  # of the applicant
    needed_of: dict[OtherRoleName, list[FieldName]]  # of anybody else
    fields: FieldRules


class PassportRules(_Parameters):
    """What a passport has to be with which one may apply."""

    number: Characters
    longest_years: Annotated[int, Field(ge=1, le=20)]  # from its issue to its end
    days_left: Days  # one that ends within so many days is worth a look


class IdentityRules(_Parameters):
    """How the holder's ID is looked at. Without `passport` nobody applies with one."""

    passport: PassportRules | None = None
    term_tolerance_days: Annotated[int, Field(ge=0, le=31)]  # by which its end may miss the term
    minor_under: Annotated[int, Field(ge=14, le=21)]  # years; a guardian consents for a minor


_Steps = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=20)]


class Bands(_Parameters):
    """What reports may know of age and income: where each band begins. The same in every product,
    or reports cannot add them up."""

    age: _Steps  # years
    income: _Steps  # yuan a month

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name in ("age", "income"):
            steps = getattr(self, name)
            if any(after <= before for before, after in pairwise(steps)):
                raise _wrong("the bands do not ascend", "put them in order", name)
        return self


class Reminder(_Parameters):
    """A term of the customer with its reminder."""

    working_days: WorkingDays
    remind_working_days_before: Annotated[int, Field(ge=0, le=60)]

    @model_validator(mode="after")
    def _reminder_within_term(self) -> Self:
        if self.remind_working_days_before >= self.working_days:
            raise _wrong(
                "the reminder falls outside the term",
                "remind fewer days before its end than it has",
                "remind_working_days_before",
            )
        return self


_T = TypeVar("_T", bound="Terms | OwnTerms")


def _reminders_within_terms(terms: _T) -> _T:
    """Refuse a term of the calendar whose reminder would come before it begins."""
    for step in ("draft", "activation"):
        days, before = (getattr(terms, f"{step}_{name}") for name in ("days", "remind_days_before"))
        if days is not None and before is not None and before >= days:
            raise _wrong(
                "the reminder falls outside the term",
                "remind fewer days before its end than it has",
                f"{step}_remind_days_before",
            )
    return terms


class Terms(_Parameters):
    """How long the customer and the office have for a step of an application."""

    material: Reminder
    draft_days: Days  # an abandoned draft is closed
    draft_remind_days_before: RemindDays
    pre_check_working_days: WorkingDays
    first_contact_working_days: WorkingDays  # after the pre-check was passed
    interview_days: Days  # 面签, after the pre-check was passed
    activation_days: Days  # after the delivery of the card
    activation_remind_days_before: RemindDays

    _reminders = model_validator(mode="after")(_reminders_within_terms)


class OwnTerms(_Parameters):
    """The terms that a product sets itself; for the others the clocks hold."""

    material: Reminder | None = None
    draft_days: Days | None = None
    draft_remind_days_before: RemindDays | None = None
    pre_check_working_days: WorkingDays | None = None
    first_contact_working_days: WorkingDays | None = None
    interview_days: Days | None = None
    activation_days: Days | None = None
    activation_remind_days_before: RemindDays | None = None

    _reminders = model_validator(mode="after")(_reminders_within_terms)

    def over(self, clocks: Terms) -> Terms:
        """The terms that hold for the product."""
        own = {name: getattr(self, name) for name in Terms.model_fields}
        held = {
            name: getattr(clocks, name) if value is None else value for name, value in own.items()
        }
        return Terms.model_construct(**held)


class Product(_File):
    """One version of a card product: who may have it, what must be handed in, what may be granted.
    An application keeps the version with which it began."""

    valid_from: date  # first business day on which an application may begin with this version
    product: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    names: Words
    applicants: dict[ApplicantTypeName, AgeRange]
    channels: list[Literal["counter", "mobile_app", "web", "batch", "partner"]]
    cards_per_customer: Annotated[int, Field(ge=1, le=20)]  # of the bank, whatever the product
    materials: dict[ApplicantTypeName, list[Requirement]]
    validity: Validity
    form: FormRules
    identity: IdentityRules
    bands: Bands
    terms: OwnTerms = OwnTerms()
    pre_check: PreCheck = PreCheck()
    limit: LimitRules
    review: ReviewRules = ReviewRules()
    cool_down: CoolDown
    daily_rate: Annotated[Decimal, Field(ge=0, le=Decimal("0.001"))]  # interest per day

    @model_validator(mode="after")
    def _every_applicant_has_matrix_and_fields(self) -> Self:
        places: dict[tuple[str, ...], set[ApplicantTypeName]] = {
            ("materials",): set(self.materials),
            ("form", "needed"): set(self.form.needed),
        }
        for place, stated in places.items():
            for applicant in sorted(set(self.applicants) - stated):
                raise _wrong(f"says nothing of {applicant}", "add it", *place)
            for applicant in sorted(stated - set(self.applicants)):
                raise _wrong("may not apply for this product", "take it away", *place, applicant)
        return self

    @model_validator(mode="after")
    def _main_cards_are_for_adults(self) -> Self:
        for applicant, ages in self.applicants.items():
            if applicant != "supplementary" and ages.youngest < ADULT:
                raise _wrong(
                    f"a main card is for nobody under {ADULT}",
                    f"state {ADULT} or more",
                    "applicants",
                    applicant,
                    "youngest",
                )
        return self

    @model_validator(mode="after")
    def _nobody_is_checked_without_consent(self) -> Self:
        for applicant, requirements in self.materials.items():
            if not any(one.asks_for_consent for one in requirements):
                raise _wrong(
                    "credit_authorization is not always asked for",
                    "add {need: mandatory, items: [credit_authorization]}",
                    "materials",
                    applicant,
                )
        return self


class ManyPersons(_Parameters):
    """From how many persons on, the applicant counted, something that they share is worth a look,
    within the last `days`."""

    persons: Annotated[int, Field(ge=2, le=1000)]
    days: Annotated[int, Field(ge=1, le=3660)]


class ManyBranches(_Parameters):
    """From how many branches on, the one of this application counted, one person's applications are
    worth a look, within the last `days`."""

    branches: Annotated[int, Field(ge=2, le=1000)]
    days: Annotated[int, Field(ge=1, le=3660)]


class Attention(_File):
    """What makes a person look at an application and stops nothing. Not a product's: a warning
    finds no fault with a form, so it may follow the newest wish of the bank."""

    # a code of a place that was given up: always, or only where that was before the holder's birth
    retired_place: RetiredPlaces
    chinese_nationality: Annotated[list[str], Field(min_length=1)]  # as forms name it
    shared_mobile: ManyPersons
    shared_device: ManyPersons
    branches: ManyBranches
    short_months: dict[ItemCode, Months]  # a paper that covers less is worth a look
    young_business_days: Days  # since the registration on its licence


class SilenceLimit(_Parameters):
    """How long a state may see no event before its owner is told."""

    days: Annotated[int, Field(ge=1, le=400)]
    unit: Literal["working_days", "days"]


class SendWindow(_Parameters):
    """When messages that may wait are sent, by the bank's wall clock."""

    opens: time
    closes: time

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.opens >= self.closes:
            raise _wrong("the window closes before it opens", "exchange them", "opens")
        return self


class LongestSilence(_Parameters):
    """How long an application may stay in a state without a sign, by state."""

    draft: SilenceLimit
    submitted: SilenceLimit
    pre_check: SilenceLimit
    awaiting_material: SilenceLimit
    checking: SilenceLimit
    scoring: SilenceLimit
    manual_review: SilenceLimit
    on_hold: SilenceLimit
    approved: SilenceLimit
    card_producing: SilenceLimit
    posted: SilenceLimit
    delivered: SilenceLimit
    activated: SilenceLimit

    def of(self, state: str) -> SilenceLimit:
        """The limit of a state that is not final."""
        limit: SilenceLimit = getattr(self, state)
        return limit


class Clocks(_File, Terms):
    """Terms of customers, the office and partners. A product's own terms go before these."""

    review_working_days: WorkingDays
    existing_customer_working_days: WorkingDays  # review of a further card of a customer
    appeal_working_days: WorkingDays  # an appeal about a decline or a limit is answered
    dispute_days: Days  # of the calendar: a dispute about the credit report is answered
    hold_working_days: WorkingDays  # compliance has looked into a held case
    reconsideration_days: Days  # how long after a decline a new application may take it up again
    warning_days: Days  # before its deadline a step is shown as urgent
    escalation_working_days: WorkingDays  # after its deadline a step is the manager's
    late_facts_days: Days  # what happened within the term may be told so long after it
    early_withdrawal_days: Days  # a withdrawal before its application is kept so long
    request_keys_days: Days  # how long a repetition under an idempotency key gets the old answer
    table_days: Days  # how long a branch's table is kept for its bad rows to be corrected
    retention_years: Annotated[int, Field(ge=1, le=100)]  # after the end of the relation
    reminder_time: time  # of the day, by the bank's wall clock
    send_window: SendWindow
    longest_silence: LongestSilence

    @model_validator(mode="after")
    def _the_reminder_can_be_sent(self) -> Self:
        if not self.send_window.opens <= self.reminder_time < self.send_window.closes:
            raise _wrong("lies outside the send window", "choose a time within it", "reminder_time")
        return self

    def review_days(self, applicant_type: str) -> int:
        """The working days that review has from the hand-over on."""
        add_on = applicant_type == "existing_customer"
        return self.existing_customer_working_days if add_on else self.review_working_days


class DeclinePhrase(_Parameters):
    """What may be said outside about a decline of that category."""

    desk: Words  # how reports inside the bank call the category
    customer: Words  # the approved neutral words


class DecidedBy(_Parameters):
    """Who made a decision, as a customer who asks is told (个人信息保护法 24)."""

    policy: Words
    people: Words


class LimitPhrases(_Parameters):
    """What a customer who asks is told of how a limit came about (个人信息保护法 24)."""

    way: Words  # how any limit is worked out
    wish: Words
    highest: Words
    other_limits: Words
    income: Words


class Phrases(_File):
    """Words approved by compliance: the only ones that reach a customer about a decision."""

    signature: Words  # SMS signature, inside 【】
    marketing_opt_out: Words
    your_rights: Words  # after a decline: credit report, explanation, human review, complaint
    decided_by: DecidedBy
    persons: dict[str, Words]  # by role: of whom something is wanted, where not of the applicant
    declines: dict[str, DeclinePhrase]
    limits: LimitPhrases
    forbidden: dict[str, list[str]]  # by language: words that no message may contain


class ChecklistItem(_Parameters):
    """One thing a customer may have to hand in."""

    names: Words
    how: Words  # what it must show to be accepted
    upload: bool  # false: given on the form or by a signature in branch
    concerns: Literal["holder", "applicant", "guardian"] = "holder"  # whose paper it is
    reusable: bool = False  # taken over from an earlier application while it is valid
    until_read: bool = False  # counts, and is taken over, until the day that was read on it
    shows: list[str] = []  # fields of the form; where one has changed since, it is not taken over
    spouses: bool = False  # may be the spouse's: that it names somebody else is only worth a look
    waivable: bool = True  # two people may do without it
    file_words: list[Annotated[str, Field(min_length=2, max_length=30)]] = []  # in a file's name

    @model_validator(mode="after")
    def _shows_fields_of_the_form(self) -> Self:
        unknown = sorted(set(self.shows) - FIELD_CLASSES.keys())
        if unknown:
            raise ValueError(f"shows names no fields of the form: {unknown}")
        return self


class ChecklistItems(_File):
    """Every item of the checklist by code, and why one is done without or asked for again."""

    items: dict[ItemCode, ChecklistItem]
    waiver_reasons: dict[ReasonCode, Words]
    ask_again_reasons: dict[ReasonCode, Words]


class ReturnCode(_Parameters):
    """Why something was handed back, and how the customer corrects it."""

    names: Words
    mend: Words
    of_papers: bool = False  # an officer may give a paper back for it


class ReturnCodes(_File):
    """Every reason for handing back (退件原因) by code; format findings included."""

    codes: dict[ReasonCode, ReturnCode]


class Refusal(_Parameters):
    """Why a file is no paper that the office takes, and how that is corrected."""

    names: Words
    mend: Words


class CardReading(_Parameters):
    """How ID cards are read by a machine, where the office has it do so: what it may take for one
    picture, and from where on it counts as sure of what it read."""

    items: dict[ItemCode, Literal["front", "back"]] = {"id_front": "front", "id_back": "back"}
    days: Annotated[int, Field(ge=1, le=366)] = 14  # how old a paper may be that is read late
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    pixels: Annotated[int, Field(ge=400, le=4000)] = 1600  # longest side of what is read
    pages: Annotated[int, Field(ge=1, le=10)] = 2  # of a PDF: the card's, and of its other side
    cpu_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    memory_bytes: Annotated[int, Field(ge=100_000_000, le=4_000_000_000)] = 1_000_000_000
    sure: Annotated[float, Field(gt=0, lt=1)] = 0.9  # of every character of a field


class PaperPatience(_Parameters):
    """How long the office bears with a sender whose papers take long to open, in seconds."""

    each: Annotated[float, Field(gt=0, le=60)] = 1  # of one event's papers, that costs nothing
    most: Annotated[float, Field(gt=0, le=3600)] = (
        20  # beyond that, when nothing was taken for long
    )
    back: Annotated[float, Field(gt=0, le=1)] = 0.1  # that come back with each second


class Papers(_File):
    """What the office takes as a paper, within which limits it is decoded, how long it is kept."""

    # a request with a file in it has at most 11 MB (shared.web.limits)
    largest_bytes: Annotated[int, Field(ge=100_000, le=10_485_760)]
    most_pages: Annotated[int, Field(ge=1, le=500)]  # of a PDF
    # papers, each better one included: one event of a partner may bring ten
    most_of_item: Annotated[int, Field(ge=10, le=200)]
    most_of_application: Annotated[int, Field(ge=10, le=1000)]
    most_pixels: Annotated[int, Field(ge=1_000_000, le=200_000_000)]  # of a picture
    preview_pixels: Annotated[int, Field(ge=400, le=4000)]  # longest side of what people are shown
    # shorter side of a photo; whoever takes a smaller one is asked to take it again
    readable_pixels: Annotated[int, Field(ge=100, le=4000)] = 800
    cpu_seconds: Annotated[int, Field(ge=1, le=120)]  # to decode one upload
    memory_bytes: Annotated[int, Field(ge=100_000_000, le=4_000_000_000)]  # to decode one upload
    keep_abandoned_days: Days  # what was never handed in, after it was closed
    patience: PaperPatience = PaperPatience()
    cards: CardReading = CardReading()
    refusals: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], Refusal]


class Pace(_Parameters):
    """How often something may be done: so many at once, and so many more each minute."""

    per_minute: Annotated[int, Field(ge=1, le=10_000)]
    burst: Annotated[int, Field(ge=1, le=10_000)]


class CustomerPage(_File):
    """The customer's own page: how long a code lets in, what it bears, how often may be tried."""

    code_days: Annotated[int, Field(ge=1, le=366)]  # until a code that nobody used is void
    code_tries: Annotated[int, Field(ge=1, le=10)]  # wrong ones, until it is void
    idle_minutes: Annotated[int, Field(ge=2, le=120)]  # without a step, then the session ends
    longest_minutes: Annotated[int, Field(ge=5, le=1440)]  # a session, whatever is done in it
    entries: Pace  # tries to enter, from one address
    changes: Pace  # steps that change something, of one application
    consent: Words  # what the customer agrees to where the consent to the credit query is wanted


class Tries(_Parameters):
    """How long tries that failed are kept, and how many of a kind at most."""

    days: Days
    most: Annotated[int, Field(ge=1_000, le=10_000_000)]


class SignIn(_File):
    """How often somebody may try to sign in without being let in, and what is kept of it."""

    addresses: Pace
    accounts: Pace  # of each user name that is typed
    tries: Tries  # those at a customer's own page as well


class AskedSystem(_Parameters):
    """How one of the bank's systems is asked about an applicant, and how long its answer serves."""

    valid_days: Annotated[int, Field(ge=1, le=366)]
    timeout_seconds: Annotated[float, Field(gt=0, le=30)]  # of one exchange; an attempt has two
    attempts: Annotated[int, Field(ge=1, le=20)]  # with growing pauses


class AskedSystems(_Parameters):
    """Every system that review asks, by the check's name."""

    identity: AskedSystem
    bureau: AskedSystem
    watchlist: AskedSystem

    def of(self, check: str) -> AskedSystem:
        """The terms of a check."""
        asked: AskedSystem = getattr(self, check)
        return asked


class Outage(_Parameters):
    """When a system counts as away, and how long its cases wait for it."""

    failures: Annotated[int, Field(ge=1, le=100)]  # questions in a row without an answer
    ask_again_minutes: Annotated[int, Field(ge=1, le=240)]
    longest_wait_hours: Annotated[int, Field(ge=1, le=400)]  # of working days, between these:
    opens: time
    closes: time

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.opens >= self.closes:
            raise _wrong("the office closes before it opens", "exchange them", "opens")
        return self


class Screening(_Parameters):
    """From which likeness on, 1 being the same, a name counts as one of a list."""

    outside: Annotated[float, Field(gt=0, le=1)]  # as the bank's screening system gives it
    # with a name of the bank's own list: of characters, and of pinyin without tones
    written: Annotated[float, Field(gt=0, le=1)]
    sound: Annotated[float, Field(gt=0, le=1)]
    alternatives: Annotated[float, Field(gt=0, le=1)]  # what is kept for whoever judges a match


class Shared(_Parameters):
    """From how many on, within how many days, something that applications share is worth a look."""

    count: Annotated[int, Field(ge=2, le=1_000)]
    days: Annotated[int, Field(ge=1, le=1_100)]


class FraudRules(_Parameters):
    """What makes a person look at an application for fraud. contradicts: findings of the pre-check
    by which form and papers contradict each other; `contradictions` of them are enough."""

    same_person: Shared  # applications of one person
    same_mobile: Shared  # persons; so are the following
    same_office_phone: Shared
    same_work_address: Shared
    same_employer: Shared
    contradictions: Annotated[int, Field(ge=1, le=20)]
    contradicts: list[ReasonCode]


class IncomeBand(_Parameters):
    """What an occupation, known by one of these words, pays at most: yuan a month."""

    words: Annotated[list[Annotated[str, Field(min_length=1, max_length=40)]], Field(min_length=1)]
    up_to: Annotated[int, Field(ge=1, le=10_000_000)]


class Plausibility(_Parameters):
    """From where on a stated income or an employer makes a person look; yuan a month.

    proofs: papers of which one has to be there for `proof_of` from `proof_from` on. up_to: where no
    band of `occupations` fits; times `regions` by the branch's province. arranged_by: papers by
    which an employer arranges the card.
    """

    proof_of: list[str]
    proof_from: Annotated[int, Field(ge=0, le=10_000_000)]
    proofs: list[ItemCode]
    up_to: Annotated[int, Field(ge=1, le=10_000_000)]
    occupations: list[IncomeBand]
    regions: dict[str, Annotated[Decimal, Field(gt=0, le=10)]]
    employer_words: list[Annotated[str, Field(min_length=1, max_length=40)]]
    doubtful_employers: list[Annotated[str, Field(min_length=2, max_length=120)]]
    arranged_by: list[ItemCode]


class Checks(_File):
    """The checks of an application: how the bank's systems are asked, what counts as a hit."""

    systems: AskedSystems
    outage: Outage
    fraud: FraudRules
    plausibility: Plausibility
    screening: Screening


class Dormancy(_Parameters):
    """When a card counts as dormant, and how many may be before the bank issues no more (2022 joint
    notice); cards with a function that public policy asks for are left out."""

    months: Annotated[int, Field(ge=1, le=120)]
    bound: Annotated[Decimal, Field(gt=0, le=1)]
    alerts: Annotated[list[Annotated[Decimal, Field(gt=0, le=1)]], Field(max_length=5)]
    stale_days: Annotated[int, Field(ge=31, le=400)]
    silent_share: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal("0.10")  # of files of before
    unreported_stops: bool

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if [*self.alerts, self.bound] != sorted({*self.alerts, self.bound}):
            raise _wrong(
                "the alerts do not rise up to the bound", "write them from the lowest, below it",
                "alerts",
            )  # fmt: skip
        return self


class EarlyArrears(_Parameters):
    """When an account counts as in arrears early."""

    days_past_due: Annotated[int, Field(ge=1, le=720)]
    months: Annotated[int, Field(ge=1, le=36)]


class Accounts(_File):
    """What is made of the facts about accounts that core banking reports."""

    dormancy: Dormancy
    early_arrears: EarlyArrears


class AccountTerms(_Parameters):
    """Which account is in good standing, as far as core banking reported it."""

    stale_days: Annotated[int, Field(ge=31, le=400)]  # facts older than so count as not reported
    most_days_past_due: Annotated[int, Field(ge=0, le=90)]


class TemporaryLimit(_Parameters):
    """How long a limit may be raised for a time, and from when on."""

    longest_days: Days
    held_days: Annotated[int, Field(ge=0, le=720)]  # so long an account has to be open
    remind_days_before: Days

    @model_validator(mode="after")
    def _reminded(self) -> Self:
        if self.remind_days_before >= self.longest_days:
            raise _wrong(
                "the reminder is not within the term", "make it shorter", "remind_days_before"
            )
        return self


class LimitChanges(_File):
    """How the limit of a card is changed after the decision."""

    working_days: WorkingDays  # from the request to the decision
    automatic_up_to: Money  # new limit that the policy may grant alone; 0: none
    account: AccountTerms
    income_days: Days  # a statement of income counts for so long
    guarantee_days: Days  # the guarantor's agreement to a student's increase is no older
    decrease_notice_working_days: WorkingDays  # before a decrease by the bank takes effect
    temporary: TemporaryLimit


class IndexBounds(_Parameters):
    """What a population stability index says: below `little` hardly anything, from `much` on that
    it is another population."""

    little: Annotated[float, Field(gt=0, le=1)]
    much: Annotated[float, Field(gt=0, le=10)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.little >= self.much:
            raise _wrong("little is not below much", "exchange them", "little")
        return self


FigureGroup = Literal["age_band", "region", "channel", "new_to_bank", "product", "applicant_type"]


class Figures(_File):
    """Figures about many decisions: by which groups, and how few decisions say nothing."""

    groups: Annotated[list[FigureGroup], Field(min_length=1)]
    score_band: Annotated[int, Field(ge=1, le=500)]  # points
    fewest_decisions: Annotated[int, Field(ge=1)]
    fewest_for_index: Annotated[int, Field(ge=1)]
    index: IndexBounds


class Question(_Parameters):
    """One question of a call; `products` and `findings`: only for these, none for everybody."""

    code: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    products: list[str] = []
    findings: list[ReasonCode] = []
    words: Words


class Telephoning(_File):
    """Telephone verification (电核). asked_for: findings of review that ask for a call; tries: so
    many that reach nobody, `again_hours` of the office between them."""

    asked_for: list[ReasonCode]
    tries: Annotated[int, Field(ge=1, le=20)]
    again_hours: Annotated[int, Field(ge=1, le=100)]
    opens: time
    closes: time
    opening: Words
    questions: Annotated[list[Question], Field(min_length=1)]
    closing: Words

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.opens >= self.closes:
            raise _wrong("the office closes before it opens", "exchange them", "opens")
        return self


ListedKind = Literal["fraud", "default", "internal", "sanctions", "pep"]


class Listed(_Parameters):
    """Somebody whom the bank itself watches. `entry` is their mark in the list, `reason` what
    compliance reads about them beside a match."""

    entry: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,40}$")]
    name: Annotated[str, Field(min_length=1, max_length=120)]
    aliases: list[Annotated[str, Field(min_length=1, max_length=120)]] = []
    kind: ListedKind
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class InternalList(_File):
    """The bank's own list of names, beside those of the screening system."""

    entries: Annotated[list[Listed], Field(max_length=20_000)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for number, one in enumerate(self.entries):
            if one.entry in seen:
                raise _wrong(
                    f"{one.entry} is listed twice", "give each a mark of its own",
                    "entries", str(number),
                )  # fmt: skip
            seen.add(one.entry)
        return self

    @property
    def mark(self) -> str:
        """Which list somebody was screened with; "" while it holds nobody."""
        return self.digest if self.entries else ""


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
            days = [*stated.holidays, *stated.working_weekends]
            for faults, says in (
                ([d for d in days if d.year != year], "lies in another year"),
                ([d for d in stated.working_weekends if d.weekday() < 5], "is on no weekend"),
                (
                    [d for d in stated.working_weekends if d in stated.holidays],
                    "is both holiday and make-up day",
                ),
            ):
                if faults:
                    raise _wrong(f"{faults[0]} {says}", "correct or drop it", "years", str(year))
        return self
