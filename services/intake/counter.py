"""The assistant's form while it is filled in: what is to be said of each field, which fields this
applicant needs, what the ID number says, and the papers that will be asked for.

Pure, and nothing of its own: the rules of the pre-check are the one authority.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from services.intake.form import ApplicationForm, PartyForm
from services.intake.rules import (
    GUARDIAN_ITEM,
    Examination,
    Need,
    age_of,
    examine,
    field_findings,
    needed_of,
)
from services.intake.typed import PREFIXES
from shared.countries import is_country
from shared.events.payload import ApplicantType, PartyRole
from shared.formats import (
    FormatCode,
    Mrz,
    Severity,
    check_mrz,
    check_resident_id,
    read_mrz,
    read_resident_id,
)
from shared.parameters import (
    Product,
    load_attention,
    load_checklist_items,
    load_products,
    product_on,
)
from shared.places import PROVINCES

Tone = Literal["bad", "warn", "missing"]

# Fields that no product demands and that go with one that some do.
_GOES_WITH: Mapping[str, str] = {"credit_code": "employer", "other_bank_limits": "monthly_income"}
_OF_SUPPLEMENTARY = "main_card_number"
# asked of who has a passport alone; the applicant's nationality is asked of everybody
_OF_PASSPORT = ("mrz", "chinese_name", "birth_date")
_OF_OTHERS_PASSPORT = (*_OF_PASSPORT, "nationality")
# what the form asks where a product needs the one
_TOGETHER: Mapping[str, Iterable[str]] = {
    "id_number": ("id_type", "mrz", "id_number", "chinese_name", "nationality", "birth_date"),
    "id_issued": ("id_issued", "id_expires"),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to be said of a field: return codes. bad: to be mended, warn: worth a look, missing:
    it is needed and may follow."""

    tone: Tone
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdSays:
    """What a card's number says of its holder, or the form of who has a passport. `place`: key of
    PROVINCES, None where it names none; `country`: of a passport."""

    born: date
    age: int
    sex: Literal["female", "male"] | None
    place: str | None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """The form as it stands. By field as it is typed: marks, `needed` ones, and `elsewhere`, those
    that other applicants need and this one does not. `says`: {prefix: what the number says};
    `suggested`: {field: value} of empty fields that the number answers; `persons`: prefixes of who
    else is to be named."""

    marks: Mapping[str, Mark] = field(repr=False)
    needed: frozenset[str]
    elsewhere: frozenset[str]
    says: Mapping[str, IdSays] = field(repr=False)
    suggested: Mapping[str, str] = field(repr=False)
    persons: frozenset[str]
    found: Examination | None


def look_at(
    form: ApplicationForm, today: date, region: str | None, product: Product | None = None
) -> Looked:
    """Everything that can be said of a form that is being filled in. region: of its branch, None
    where that is not chosen yet: nothing is concluded from the customer's being from elsewhere.
    product: the version with which a draft began."""
    product = product or product_on(form.product, today)
    if product is None:  # not offered yet: that is said when it is handed in
        return Looked({}, frozenset(), frozenset(), {}, {}, frozenset(), None)
    if region is None:
        said = what_id_says(form.holder, today)
        region = said.place or "" if said else ""
    found = examine(form, (), product, today=today, region=region)
    needed = _needed(form, product)
    says = {
        PREFIXES[party.role]: said
        for party in form.parties
        if (said := what_id_says(party, today)) is not None
    }
    persons = {PREFIXES[party.role] for party in form.parties}
    if form.applicant_type is ApplicantType.SUPPLEMENTARY:
        persons.add(PREFIXES[PartyRole.SUPPLEMENTARY_HOLDER])
    if any(need.item == GUARDIAN_ITEM for need in found.needs):
        persons.add(PREFIXES[PartyRole.GUARDIAN])
    return Looked(
        marks=_marks(form, product, today),
        needed=needed,
        elsewhere=_elsewhere(form, needed),
        says=says,
        suggested=_suggested(form, today),
        persons=frozenset(persons - {""}),
        found=found,
    )


def what_id_says(party: PartyForm, today: date) -> IdSays | None:
    """Birth, age, sex and place, or country; None of a number that is wrong, and of a day of birth
    that is none."""
    if party.has_passport:
        age = age_of(party, today)
        if party.birth_date is None or age is None:
            return None
        country = party.nationality or ""
        line = _line_of(party)
        sex = line.sex if line else None
        return IdSays(party.birth_date, age, sex, None, country if is_country(country) else None)
    number = party.id_number or ""
    if any(one.severity is Severity.ERROR for one in check_resident_id(number, today)):
        return None
    read, age = read_resident_id(number), age_of(party, today)
    assert age is not None  # the number is right
    place = read.province if read.province in PROVINCES else None
    return IdSays(read.birth_date, age, read.sex, place)


def papers(needs: tuple[Need, ...]) -> tuple[list[list[str]], list[str]]:
    """What will be asked for, each as the items of which one is enough; and what is welcome."""
    asked: dict[str, list[str]] = {}
    for need in needs:
        if need.need != "optional":
            asked.setdefault(need.group or need.item, []).append(need.item)
    return list(asked.values()), [need.item for need in needs if need.need == "optional"]


def asked_of_others() -> dict[PartyRole, list[str]]:
    """What the form asks of persons other than the applicant: all that any product needs, of who
    has a card or a passport."""
    asked: dict[PartyRole, list[str]] = {}
    for product in load_products().values():
        for role, needed in product.form.needed_of.items():
            names = asked.setdefault(PartyRole(role), [])
            for name in needed:
                names += _TOGETHER.get(name, [name])
    return {role: list(dict.fromkeys(names)) for role, names in asked.items()}


def guess_item(file_name: str, items: Iterable[str]) -> str | None:
    """The paper that a file seems to be by its name: the longest word that stands in it says so.
    None where none does, or where two say different things."""
    name = re.sub(r"[\s_.-]+", " ", file_name).lower()
    known = load_checklist_items().items
    fitting = {
        word: item
        for item in items
        for word in (known[item].file_words if item in known else [])
        if word in name
    }
    longest = max(map(len, fitting), default=0)
    found = {item for word, item in fitting.items() if len(word) == longest}
    return found.pop() if len(found) == 1 else None


def _marks(form: ApplicationForm, product: Product, today: date) -> dict[str, Mark]:
    codes: dict[str, dict[Tone, list[str]]] = {}
    for role, name, finding in field_findings(form, product, today):
        tone: Tone = "warn" if finding.severity is Severity.WARNING else "bad"
        if finding.code is FormatCode.EMPTY:
            tone = "missing"
        codes.setdefault(PREFIXES[role] + name, {}).setdefault(tone, []).append(finding.code.value)
    order: tuple[Tone, ...] = ("bad", "missing", "warn")
    return {
        name: next(
            Mark(tone, tuple(dict.fromkeys(by_tone[tone]))) for tone in order if tone in by_tone
        )
        for name, by_tone in codes.items()
    }


def _needed(form: ApplicationForm, product: Product) -> frozenset[str]:
    roles = {party.role for party in form.parties}
    if form.applicant_type is ApplicantType.SUPPLEMENTARY:
        roles.add(PartyRole.SUPPLEMENTARY_HOLDER)
    needed = set()
    for role in roles:
        party = form.party(role)
        with_passport = party is not None and party.has_passport
        names = set(needed_of(role, form.applicant_type, product, with_passport=with_passport))
        if "id_issued" in names and not (party and party.id_long_term):
            names.add("id_expires")
        needed |= {PREFIXES[role] + name for name in names}
    return frozenset(needed)


def _elsewhere(form: ApplicationForm, needed: frozenset[str]) -> frozenset[str]:
    """The fields that are left away: others need them, and nothing stands there."""
    anywhere = {
        name
        for product in load_products().values()
        for names in product.form.needed.values()
        for name in names
    }
    away = anywhere - needed
    away |= {name for name, lead in _GOES_WITH.items() if lead in away}
    if form.applicant_type is not ApplicantType.SUPPLEMENTARY:
        away.add(_OF_SUPPLEMENTARY)
    typed = set()
    for role, prefix in PREFIXES.items():
        party = form.party(role)
        if party is None or not party.has_passport:
            of_passport = _OF_OTHERS_PASSPORT if prefix else _OF_PASSPORT
            away |= {prefix + name for name in of_passport}
        typed |= {prefix + name for name in party.fields()} if party else set()
    return frozenset(away - needed - typed)


def _suggested(form: ApplicationForm, today: date) -> dict[str, str]:
    """What is answered already: by a passport's machine-readable line its number, nationality, days
    of birth and end; by the applicant's number whom one writes to, and the nationality of who bears
    a citizen's card. Nobody else is asked for these."""
    suggested: dict[str, str] = {}
    for one in form.parties:
        if line := _line_of(one):
            suggested |= _by_line(one, line, today)
    return {**suggested, **_by_number(form.applicant)}


def _line_of(party: PartyForm) -> Mrz | None:
    """What the machine-readable line says, where it is right and of a passport."""
    sound = party.has_passport and party.mrz and not check_mrz(party.mrz)
    return read_mrz(party.mrz or "") if sound else None


def _by_line(party: PartyForm, line: Mrz, today: date) -> dict[str, str]:
    born, expires = line.birth_date(today), line.expiry_date()
    says = {
        "id_number": line.number,
        "nationality": line.nationality,
        "birth_date": born.isoformat() if born else "",
        "id_expires": expires.isoformat() if expires else "",
    }
    if party.role is PartyRole.APPLICANT and line.sex is not None:
        says["salutation"] = "ms" if line.sex == "female" else "mr"
    there = party.fields()
    return {
        PREFIXES[party.role] + name: text
        for name, text in says.items()
        if text and name not in there
    }


def _by_number(party: PartyForm) -> dict[str, str]:
    if party.has_passport:
        return {}
    try:
        read = read_resident_id(party.id_number or "")
    except ValueError:
        return {}
    suggested = {}
    if party.salutation is None and read.sex is not None:
        suggested["salutation"] = "ms" if read.sex == "female" else "mr"
    if not party.nationality and read.kind == "resident":
        suggested["nationality"] = load_attention().chinese_nationality[0]
    return suggested
