"""The pre-check (初审): everything that is wrong with an application, found at once.

Pure: form, papers, product and the business day in, findings out. Reads clear personal fields and
returns none of them: a finding is a checklist item, a return code and, where the form is wrong, the
field's name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import Literal, assert_never

from services.intake.form import ApplicationForm, PartyForm
from shared.calendar import business_day
from shared.countries import is_country, normalise_country
from shared.events.payload import ApplicantType, CreditConsent, PartyRole
from shared.formats import (
    Finding,
    FormatCode,
    ResidentId,
    Severity,
    age_on,
    check_address,
    check_birth_date,
    check_card_number,
    check_chinese_name,
    check_credit_code,
    check_email,
    check_employer,
    check_id_place,
    check_id_term,
    check_latin_name,
    check_mobile,
    check_mrz,
    check_name,
    check_nationality,
    check_office_phone,
    check_passport_number,
    check_passport_term,
    check_postcode,
    check_resident_id,
    normalise_name,
    normalise_resident_id,
    read_mrz,
    read_resident_id,
)
from shared.parameters import Attention, Product, load_attention, load_checklist_items
from shared.parameters.models import Condition, PassportRules, PreCheck, Requirement
from shared.places import PROVINCES

CREDIT_PURPOSE = "信用卡审批"
"""The one purpose for which the bank asks the bureau (征信业管理条例 18)."""

CONSENT_ITEM = "credit_authorization"
FORM_ITEM = "application_form_signed"
GUARDIAN_ITEM = "guardian_consent"

# Which paper shows a field, and so is looked at again when the field is mended.
_CARD_OF_FIELD = {
    "name": "id_front",
    "id_type": "id_front",
    "id_number": "id_front",
    "id_issued": "id_back",
    "id_expires": "id_back",
}
_PASSPORT_PAGE = "passport_page"
_ON_PASSPORT = frozenset({*_CARD_OF_FIELD, "id_type", "nationality", "birth_date", "mrz"})
_NEEDED_WITH_PASSPORT = ("nationality", "birth_date")

NeedKind = Literal["mandatory", "one_of", "optional"]
_WEIGHT: dict[NeedKind, int] = {"mandatory": 0, "one_of": 1, "optional": 2}


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper that the office has. `issued_on`: the date it bears, where it is known; `says`: what
    somebody read on it, in clear, by the form's fields."""

    item: str
    received_on: date
    issued_on: date | None
    document_id: str
    says: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that the customer has to bring or mend; `field` where the form is wrong."""

    item: str
    code: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """An item of the product's matrix as it applies to this applicant."""

    item: str
    need: NeedKind
    group: str | None = None


@dataclass(frozen=True, slots=True)
class EarlierPaper:
    """A paper of an earlier application of the same person that was accepted. `fields`: what that
    application's form said, in clear, of the one whose paper it is; `says`: what somebody read on
    it."""

    item: str
    document_id: str
    application_id: str
    received_on: date
    issued_on: date | None
    fields: Mapping[str, str]
    says: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """A paper that the bank holds from an earlier application, and that still counts."""

    document_id: str
    application_id: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What the pre-check found. `wanted` stops the application until it is mended, `warnings` are
    codes for a person to look at, `refusals` codes that no paper mends. `age_band` and
    `income_band` are what reports may know of age (years) and income (yuan a month). `needs`: the
    product's matrix as it applies here; `held`: {item: what is taken over from an earlier
    application}; `there`: items that are no paper and have been given; `unsound`: items of which no
    paper counts that came; `whose`: see `whose_faults`; `pre_check`: how the product lets the
    pre-check be passed."""

    wanted: tuple[Wanted, ...]
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]
    age_band: str
    income_band: str
    needs: tuple[Need, ...] = ()
    held: Mapping[str, Held] = field(default_factory=dict)
    there: frozenset[str] = frozenset()
    unsound: frozenset[str] = frozenset()
    whose: frozenset[tuple[PartyRole, str, str]] = frozenset()
    pre_check: PreCheck = field(default_factory=PreCheck)

    def and_worth_a_look(self, codes: Iterable[str]) -> Examination:
        """The same with further warnings."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *codes))))


def examine(
    form: ApplicationForm,
    papers: Sequence[Paper],
    product: Product,
    *,
    today: date,
    region: str,
    filed: Sequence[EarlierPaper] = (),
    submitted_on: date | None = None,
) -> Examination:
    """Everything that the rules find, in the order in which the form is read.

    today: business day. region: province of the branch, 2 digits. filed: accepted papers of earlier
    applications. Papers count that are valid on the day of submission, or today; what comes after
    the submission, on the day on which it comes.
    """
    on = submitted_on or today
    held = still_valid(form, filed, product, on)
    faults, warnings = field_faults(form, product, today)
    refusals = []
    if form.applicant_type.value not in product.applicants or (
        form.channel.value not in product.channels
    ):
        refusals.append("PRODUCT_NOT_FOR_APPLICANT")
    elif not form.lacks_holder and (age := age_of(form.holder, today)) is not None:
        ages = product.applicants[form.applicant_type.value]
        if not ages.youngest <= age <= ages.oldest:
            refusals.append("AGE_OUT_OF_RANGE")
    wanted = list(faults)
    needs: dict[str, Need] = {}
    for requirement in applicable(form, product, today=today, region=region):
        for item in requirement.items:
            known = needs.get(item)
            if known is None or _WEIGHT[requirement.need] < _WEIGHT[known.need]:
                needs[item] = Need(item, requirement.need, requirement.group)
        wanted += _lacking(requirement, form, papers, product, today, on, held)
        warnings += _ageing(requirement, papers, product, on)
    if GUARDIAN_ITEM in needs and form.party(PartyRole.GUARDIAN) is None:
        wanted.append(Wanted(FORM_ITEM, "GUARDIAN_MISSING"))
    against, worth_a_look = comparisons(form, papers, product, today)
    wanted += against
    warnings += worth_a_look
    return Examination(
        wanted=tuple(dict.fromkeys(wanted)),
        warnings=tuple(dict.fromkeys(warnings)),
        refusals=tuple(refusals),
        age_band=_band_of(product.bands.age, age_of(form.holder, today)),
        income_band=_band_of(product.bands.income, _yuan(form.applicant.monthly_income)),
        needs=tuple(needs.values()),
        held=held,
        there=frozenset({CONSENT_ITEM}) if consented(form.consent, today) else frozenset(),
        unsound=frozenset(
            paper.item for paper in papers if not sound(paper.item, papers, product, on)
        ),
        whose=whose_faults(form, product, today),
        pre_check=product.pre_check,
    )


# -- fields ----------------------------------------------------------------------------------------


def field_faults(
    form: ApplicationForm, product: Product, today: date
) -> tuple[list[Wanted], list[str]]:
    """What is wrong with the form's fields, and codes of what is only worth a look."""
    wanted: list[Wanted] = []
    warnings: list[str] = []
    if form.lacks_holder:
        wanted.append(Wanted(FORM_ITEM, "HOLDER_MISSING"))
    # where no passport is taken, it is a card that is asked for
    by_passport = form.holder.has_passport and product.identity.passport is not None
    for _role, name, finding in field_findings(form, product, today):
        if finding.severity is Severity.WARNING:
            warnings.append(finding.code.value)
        else:
            item = item_of_field(name, with_passport=by_passport)
            wanted.append(Wanted(item, finding.code.value, name))
    return list(dict.fromkeys(wanted)), warnings


def whose_faults(
    form: ApplicationForm, product: Product, today: date
) -> frozenset[tuple[PartyRole, str, str]]:
    """(role, return code, field) of each field that is wanted: whom the customer has to ask."""
    found = {
        (role, finding.code.value, name)
        for role, name, finding in field_findings(form, product, today)
        if finding.severity is not Severity.WARNING
    }
    for one in _of_guardian(form, product, today):
        found.add((PartyRole.GUARDIAN, one.code, one.field or ""))
    return frozenset(found)


def field_findings(
    form: ApplicationForm, product: Product, today: date
) -> Iterator[tuple[PartyRole, str, Finding]]:
    """Everything that can be said of single fields: whose, which and what."""
    for party in form.parties:
        for name, finding in _party_findings(party, form.applicant_type, product, today):
            yield party.role, name, finding
        for name, code in _contradictions(party, product):
            yield party.role, name, Finding(code)


def item_of_field(name: str, *, with_passport: bool) -> str:
    """The paper on which a field stands, by what the holder is asked for."""
    if with_passport:
        return _PASSPORT_PAGE if name in _ON_PASSPORT else FORM_ITEM
    return _CARD_OF_FIELD.get(name, FORM_ITEM)


def item_of_refusal(code: str, needs: Iterable[Need]) -> str:
    """Where a refusal shows once the application has been taken, as an item of the list."""
    if code != "AGE_OUT_OF_RANGE":
        return FORM_ITEM
    asked = {need.item for need in needs}
    return _PASSPORT_PAGE if _PASSPORT_PAGE in asked else "id_front"


def _party_findings(
    party: PartyForm, applicant_type: ApplicantType, product: Product, today: date
) -> Iterable[tuple[str, Finding]]:
    needed = needed_of(party.role, applicant_type, product, with_passport=party.has_passport)
    for name in dict.fromkeys((*needed, *party.fields())):
        text = getattr(party, name)
        # a checker says itself that a value is missing
        if name in needed or text not in (None, ""):
            shown = "" if text is None else str(text)
            for finding in _field_findings(party, name, shown, product, today):
                # both days are looked at together; what ran out is the second
                yield "id_expires" if finding.code is FormatCode.ID_EXPIRED else name, finding
    if "id_issued" in needed and party.id_expires is None and not party.id_long_term:
        yield "id_expires", Finding(FormatCode.EMPTY)


def needed_of(
    role: PartyRole, applicant_type: ApplicantType, product: Product, *, with_passport: bool
) -> list[str]:
    """The fields that the form has to have of a person; of who has a passport also what the number
    of a card tells. Of an applicant for whom the product is not, none: that it is not says enough.
    """
    if role is PartyRole.APPLICANT:
        needed = product.form.needed.get(applicant_type.value, [])
    else:
        needed = product.form.needed_of[role.value]  # type: ignore[index]
    if not with_passport or "id_number" not in needed:
        return needed
    return list(dict.fromkeys((*needed, *_NEEDED_WITH_PASSPORT)))


def _field_findings(
    party: PartyForm, name: str, text: str, product: Product, today: date
) -> list[Finding]:
    rules = product.form.fields
    match name:
        case "name" | "id_number" | "id_issued":
            return _of_document(party, name, text, product, today)
        case "chinese_name":
            return check_chinese_name(text)
        case "birth_date" if party.birth_date is not None:
            return check_birth_date(party.birth_date, today)
        case "nationality" if party.has_passport:
            return check_nationality(text)
        case "mrz":
            return check_mrz(text)
        case "mobile":
            return check_mobile(text, rules)
        case "email":
            return check_email(text)
        case "home_address" | "work_address":
            return check_address(text, rules)
        case "employer":
            return check_employer(text, rules)
        case "office_phone":
            return check_office_phone(text, party.mobile or "", rules)
        case "credit_code":
            return check_credit_code(text)
        case "postcode":
            return check_postcode(text, rules)
        case "main_card_number":
            return check_card_number(text)
        case _:
            return [] if text.strip() else [Finding(FormatCode.EMPTY)]


def _contradictions(party: PartyForm, product: Product) -> Iterator[tuple[str, FormatCode]]:
    """Where a person's fields do not fit the product, or each other: the machine-readable line and
    what was typed beside it, a day of birth and the number that tells another one."""
    if party.has_passport and product.identity.passport is None:
        yield "id_type", FormatCode.PASSPORT_NOT_TAKEN
    number = _resident(party)
    if number is not None and party.birth_date not in (None, number.birth_date):
        yield "birth_date", FormatCode.BIRTH_DATE_MISMATCH
    if _contradicts(party):
        yield "mrz", FormatCode.MRZ_MISMATCH


def _contradicts(party: PartyForm) -> bool:
    """Whether the line says something else than the fields; what it leaves open fits all."""
    if not party.mrz or check_mrz(party.mrz):
        return False  # its own fault says enough
    line = read_mrz(party.mrz)
    born, expires = (
        day.strftime("%y%m%d") if day else "" for day in (party.birth_date, party.id_expires)
    )
    nationality = normalise_country(party.nationality or "")
    beside = (
        (normalise_resident_id(party.id_number or ""), line.number),
        (nationality if is_country(nationality) else "", line.nationality),
        (born, line.born),
        (expires, line.expires),
    )
    return any(typed and "<" not in said and typed != said for typed, said in beside)


def _of_document(
    party: PartyForm, name: str, text: str, product: Product, today: date
) -> list[Finding]:
    """What a card and a passport have both, and each in its own form."""
    if name == "id_issued":
        return _term(party, product, today) if text else [Finding(FormatCode.EMPTY)]
    if name == "name":
        return check_latin_name(text) if party.has_passport else check_name(text)
    if party.has_passport:
        return _passport_number(text, product.identity.passport)
    return [*check_resident_id(text, today), *_place(party)]


def _passport_number(text: str, rules: PassportRules | None) -> list[Finding]:
    if rules is None:
        return []  # that no passport is taken says enough
    findings = check_passport_number(text, rules)
    # a person looks: the registry of citizens knows no passport
    return findings or [Finding(FormatCode.ID_PASSPORT, Severity.WARNING)]


def _place(party: PartyForm) -> list[Finding]:
    number = _resident(party)
    return [] if number is None else check_id_place(number, load_attention().retired_place)


def _term(party: PartyForm, product: Product, today: date) -> list[Finding]:
    if party.has_passport:
        return _passport_term(party, product, today)
    number = _resident(party)
    if number is None or party.id_issued is None:
        return []  # the number's own fault says enough
    if party.id_expires is None and not party.id_long_term:
        return []
    return check_id_term(
        number.birth_date,
        party.id_issued,
        party.id_expires,
        today,
        tolerance_days=product.identity.term_tolerance_days,
        kind=number.kind,
    )


def _passport_term(party: PartyForm, product: Product, today: date) -> list[Finding]:
    rules = product.identity.passport
    if rules is None or party.id_issued is None:
        return []
    if party.id_expires is None and not party.id_long_term:
        return []
    return check_passport_term(
        party.id_issued,
        party.id_expires,
        today,
        rules,
        tolerance_days=product.identity.term_tolerance_days,
    )


def age_of(party: PartyForm, today: date) -> int | None:
    """Full years by the ID number, with a passport by the form; None where that tells none."""
    born = _birth_date(party)
    return None if born is None or born > today else age_on(born, today)


def _birth_date(party: PartyForm) -> date | None:
    if party.has_passport:
        return party.birth_date
    resident = _resident(party)
    return None if resident is None else resident.birth_date


def _resident(party: PartyForm) -> ResidentId | None:
    """What a card's number says; None of a wrong one, and of a passport's."""
    if party.has_passport:
        return None
    try:
        return read_resident_id(party.id_number or "")
    except ValueError:
        return None


# -- papers ----------------------------------------------------------------------------------------


def applicable(
    form: ApplicationForm,
    product: Product,
    *,
    today: date,
    region: str,
) -> list[Requirement]:
    """The lines of the product's material matrix that apply to this applicant."""
    return [
        requirement
        for requirement in product.materials.get(form.applicant_type.value, [])
        if _applies(requirement, form, product, today, region)
    ]


def _applies(
    requirement: Requirement, form: ApplicationForm, product: Product, today: date, region: str
) -> bool:
    match requirement.when:
        case Condition.ALWAYS | Condition.NOT_ON_FILE:
            # what the bank holds stands on the list, taken over
            return True
        case Condition.ID_PROVINCE_NOT_WORK_PROVINCE:
            holder = _resident(form.holder)
            # a number that names no province says nothing of where its holder is from
            return (
                holder is not None
                and holder.province in PROVINCES
                and holder.province != work_province(form, region)
            )
        case Condition.HOLDER_IS_MINOR:
            age = age_of(form.holder, today)
            return age is not None and age < product.identity.minor_under
        case Condition.HOLDER_HAS_ID_CARD:
            return not form.holder.has_passport
        case Condition.HOLDER_HAS_PASSPORT:
            return form.holder.has_passport
    assert_never(requirement.when)


def work_province(form: ApplicationForm, region: str) -> str:
    """The province that the work address begins with, else the branch's; 2 digits."""
    address = (form.applicant.work_address or "").strip()
    return next((code for code, name in PROVINCES.items() if address.startswith(name)), region)


def flaw(paper: Paper, product: Product, on: date) -> str | None:
    """Why the paper does not count, as a return code: it was too old when the application was
    handed in, or when it came after that, or its age is a matter and nobody said when it was
    issued. on: the day of the submission."""
    longest = product.validity.longest_days.get(paper.item)
    if longest is None:
        return None
    if paper.issued_on is None:
        return "DOC_UNDATED"
    return "DOC_STALE" if _age(paper, on) > longest else None


def _age(paper: Paper, on: date) -> int:
    """Days from its date to the submission: a draft with its papers may lie for weeks."""
    assert paper.issued_on is not None
    return (max(paper.received_on, on) - paper.issued_on).days


def still_valid(
    form: ApplicationForm, filed: Sequence[EarlierPaper], product: Product, on: date
) -> dict[str, Held]:
    """What of earlier applications' papers counts on that day: a paper that is the same for every
    application, shows what the form still says, and is within its age, or in force by the day that
    somebody read on it. {item: paper}, the newest of each."""
    items, validity = load_checklist_items().items, product.validity
    now = form.holder.fields()
    found: dict[str, Held] = {}
    for paper in sorted(filed, key=lambda one: one.received_on):
        known = items.get(paper.item)
        if known is None or not known.reusable:
            continue
        if any(now.get(name) != paper.fields.get(name) for name in known.shows):
            continue
        if known.until_read:
            ends = _in_force_until(paper.says)
            if ends is not None and ends >= on:
                found[paper.item] = Held(paper.document_id, paper.application_id)
            continue
        longest = validity.longest_days.get(paper.item)
        of = paper.received_on if longest is None else paper.issued_on
        days = validity.held_days if longest is None else longest
        # an ID card's own term is looked at with the form's fields, which are the card's
        if "id_expires" not in known.shows and (of is None or (on - of).days > days):
            continue
        found[paper.item] = Held(paper.document_id, paper.application_id)
    return found


def sound(item: str, papers: Sequence[Paper], product: Product, on: date) -> list[Paper]:
    """The papers of an item that count, on the day of the submission."""
    return [paper for paper in papers if paper.item == item and flaw(paper, product, on) is None]


def consented(consent: CreditConsent | None, today: date) -> bool:
    """Whether the bureau may be asked: consent in writing, for this purpose, not dated ahead."""
    return (
        consent is not None
        and consent.purpose == CREDIT_PURPOSE
        and business_day(consent.signed_at) <= today
    )


def _lacking(
    requirement: Requirement,
    form: ApplicationForm,
    papers: Sequence[Paper],
    product: Product,
    today: date,
    on: date,
    held: Mapping[str, Held],
) -> list[Wanted]:
    if requirement.need == "optional":
        return []
    for item in requirement.items:
        # their own goes before what is held, unless its age cannot be told
        if item in held and all(
            flaw(paper, product, on) == "DOC_UNDATED" for paper in papers if paper.item == item
        ):
            return []
        if item == CONSENT_ITEM:
            if consented(form.consent, today):
                return []
        elif sound(item, papers, product, on):
            return []
    return [_want(requirement.items, papers, product, on)]


def _want(items: Sequence[str], papers: Sequence[Paper], product: Product, on: date) -> Wanted:
    """Of a group, the paper that came but does not count, the last one of it; else the first."""
    if items[0] == CONSENT_ITEM:
        return Wanted(CONSENT_ITEM, "NO_CREDIT_AUTH")
    flaws = {paper.item: flaw(paper, product, on) for paper in papers}
    for item in items:
        code = flaws.get(item)
        if code is not None:
            return Wanted(item, code)
    return Wanted(items[0], "DOC_MISSING")


def _ageing(
    requirement: Requirement, papers: Sequence[Paper], product: Product, on: date
) -> list[str]:
    """DOC_STALE as a warning where the best paper is old but still counts."""
    for item in requirement.items:
        limit = product.validity.warn_days.get(item)
        ages = [
            _age(paper, on)
            for paper in sound(item, papers, product, on)
            if paper.issued_on is not None
        ]
        if limit is not None and ages and min(ages) > limit:
            return ["DOC_STALE"]
    return []


# -- one thing against another ---------------------------------------------------------------------

_DATES: Mapping[str, str] = {
    "id_issued": "ID_DATES_MISMATCH",
    "id_expires": "ID_DATES_MISMATCH",
    "birth_date": "BIRTH_DATE_MISMATCH",
}


def comparisons(
    form: ApplicationForm, papers: Sequence[Paper], product: Product, today: date
) -> tuple[list[Wanted], list[str]]:
    """Where persons of the form do not fit together, and where papers say something else than the
    form: what has to be mended, and codes of what is only worth a look."""
    wanted = [*_of_guardian(form, product, today)]
    warnings = [*_of_persons(form)]
    for paper in {one.item: one for one in papers}.values():  # the last of each counts
        short = _shortness(paper, product)
        wanted += [Wanted(paper.item, "DOC_SHORT")] if short == "return" else []
        warnings += ["DOC_SHORT"] if short == "warn" else []
        if _out_of_force(paper, today):
            wanted.append(Wanted(paper.item, "DOC_EXPIRED"))
        if _registered_of_late(paper):
            warnings.append("BUSINESS_YOUNG")
        for name in READABLE:
            said = paper.says.get(name)
            if said is None:
                continue
            code = mismatch(name, said, person_of(paper.item, form))
            if code == "ADDR_MISMATCH":
                warnings.append(code)  # one address is written in many ways
            elif code in _WHO and _may_be_spouses(paper.item):
                warnings.append(code)  # with a proof of marriage, at which somebody looks
            elif code is not None:
                wanted.append(Wanted(paper.item, code))
    return wanted, warnings


_WHO = frozenset({"NAME_MISMATCH", "ID_NUMBER_MISMATCH", "BIRTH_DATE_MISMATCH"})


def _may_be_spouses(item: str) -> bool:
    known = load_checklist_items().items.get(item)
    return known is not None and known.spouses


def _of_guardian(form: ApplicationForm, product: Product, today: date) -> list[Wanted]:
    """Who consents for a minor holder is of age, and so never the minor."""
    adult = product.identity.minor_under
    holder = age_of(form.holder, today)
    guardian = form.party(PartyRole.GUARDIAN)
    if guardian is None or holder is None or holder >= adult:
        return []
    age = age_of(guardian, today)
    if age is None or age >= adult:
        return []
    return [Wanted(GUARDIAN_ITEM, "GUARDIAN_UNDER_AGE", "id_number")]


_OF_CHINA = frozenset({"HKG", "MAC", "TWN"})  # ISO 3166-1; their people have permits of their own


def _of_persons(form: ApplicationForm) -> Iterator[str]:
    applicant, contact = form.applicant, form.party(PartyRole.CONTACT)
    if form.holder is not applicant and _same(form.holder.id_number, applicant.id_number):
        yield "HOLDER_IS_APPLICANT"
    if contact is not None and _same(contact.mobile, applicant.mobile):
        yield "CONTACT_IS_APPLICANT"
    chinese = {one.upper() for one in load_attention().chinese_nationality}
    for party in form.parties:
        number, nationality = _resident(party), normalise_country(party.nationality or "")
        if party.has_passport:
            # who lives abroad may have nothing else; a person looks
            if nationality in chinese | _OF_CHINA:
                yield "NATIONALITY_MISMATCH"
            continue
        # people of Hong Kong, Macau and Taiwan name theirs in several ways
        if number is None or not nationality or number.kind == "permit":
            continue
        if (number.kind == "foreign") is (nationality in chinese):
            yield "NATIONALITY_MISMATCH"


def _shortness(paper: Paper, product: Product) -> Literal["return", "warn"] | None:
    """Whether a paper covers too little time, by the months that somebody counted on it."""
    months = paper.says.get("months")
    if months is None:
        return None
    if int(months) < product.validity.shortest_months.get(paper.item, 0):
        return "return"
    return "warn" if int(months) < load_attention().short_months.get(paper.item, 0) else None


def _out_of_force(paper: Paper, today: date) -> bool:
    """Whether a paper that is good until the day which somebody read on it is so no more."""
    known, ends = load_checklist_items().items.get(paper.item), _in_force_until(paper.says)
    return known is not None and known.until_read and ends is not None and ends < today


def _in_force_until(says: Mapping[str, str]) -> date | None:
    """The last day of a visa or a permit, as somebody read it."""
    day = says.get("in_force_until")
    return None if day is None else date.fromisoformat(day)


def _registered_of_late(paper: Paper) -> bool:
    """Whether the business is young, by the date that somebody read on its licence."""
    day = paper.says.get("registered_on")
    if day is None:
        return False
    age = paper.received_on - date.fromisoformat(day)
    return age.days < load_attention().young_business_days


def _same(one: str | None, other: str | None) -> bool:
    return bool(one) and bool(other) and _plain(one or "") == _plain(other or "")


def person_of(item: str, form: ApplicationForm) -> PartyForm | None:
    """Whose paper it is."""
    known = load_checklist_items().items.get(item)
    match known.concerns if known else "holder":
        case "applicant":
            return form.applicant
        case "guardian":
            return form.party(PartyRole.GUARDIAN)
        case _:
            return form.holder


def mismatch(name: str, said: str, person: PartyForm | None) -> str | None:
    """The return code where a paper says something else than the form; None where they agree, or
    where the form says nothing: that is a fault of its own."""
    written = person.fields().get(name) if person is not None else None
    if not written or not said.strip():
        return None
    if name in _DATES:
        return None if written == said else _DATES[name]
    if name == "nationality" and not (is_country(written) and is_country(said)):
        return None  # in words it is named in many ways
    code, plain = _COMPARED[name]
    one, other = plain(written), plain(said)
    if code == "ADDR_MISMATCH":  # a card names no building, a form no province
        return None if one in other or other in one else code
    return None if one == other else code


def _plain(text: str) -> str:
    """A text as it is compared: width, case, brackets and spaces say nothing."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


_COMPARED: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "name": ("NAME_MISMATCH", normalise_name),
    "id_number": ("ID_NUMBER_MISMATCH", normalise_resident_id),
    "nationality": ("NATIONALITY_MISMATCH", normalise_country),
    "employer": ("EMPLOYER_MISMATCH", _plain),
    "credit_code": ("CREDIT_CODE_MISMATCH", _plain),
    "home_address": ("ADDR_MISMATCH", _plain),
    "work_address": ("ADDR_MISMATCH", _plain),
}
READABLE = (*_COMPARED, *_DATES)
"""Fields of the form that somebody may read on a paper."""

COUNTED: Mapping[str, str] = {
    "months": "financial",
    "registered_on": "financial",
    "in_force_until": "identity",
}
"""What else they may read, and the class of the key that seals it: how many months it covers, since
when the business is registered, until when a visa or a permit is in force."""


# -- patterns over several applications ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Traces:
    """What other applications have in common with this one, as counts; the applicant and the
    branch of this one are counted too. Of persons, not of applications: who applies twice has the
    same mobile."""

    on_mobile: int = 1
    on_device: int = 1
    branches: int = 1


PATTERNS = frozenset({"MOBILE_SHARED", "DEVICE_SHARED", "MANY_BRANCHES"})
"""Codes that `patterns` finds: what the bank notices, and no channel tells."""


def patterns(traces: Traces, attention: Attention) -> list[str]:
    """Codes of what is worth a look and stops nothing: there are families, and shared tablets."""
    found = []
    if traces.on_mobile >= attention.shared_mobile.persons:
        found.append("MOBILE_SHARED")
    if traces.on_device >= attention.shared_device.persons:
        found.append("DEVICE_SHARED")
    if traces.branches >= attention.branches.branches:
        found.append("MANY_BRANCHES")
    return found


# -- bands -----------------------------------------------------------------------------------------


def _yuan(fen: str | None) -> int | None:
    return None if fen is None else int(fen) // 100


def _band_of(starts: Sequence[int], value: int | None) -> str:
    if value is None:
        return "unknown"
    if value < starts[0]:
        return f"<{starts[0]}"
    for start, following in pairwise(starts):
        if value < following:
            return f"{start}-{following - 1}"
    return f"{starts[-1]}+"
