"""Every rule of the pre-check: why there is one, its words, and three tests of what it does.

A rule fires on what is wrong, stays quiet on what is right, and at its boundary does both: the last
case that is right, and the first that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from services.intake.rule_book import BY_KEY, RULES, Rule, applied_by
from services.intake.rules import Paper, Traces, patterns
from services.intake.store import Standing
from shared.events.payload import FIELD_CLASSES
from shared.formats import (
    FormatCode,
    credit_code_check_character,
    make_synthetic_resident_id,
    resident_id_check_digit,
)
from shared.identifiers import luhn_check_digit
from shared.parameters import (
    Attention,
    Product,
    load_attention,
    load_return_codes,
    product_of,
    product_on,
)
from shared.parameters.models import ChecklistItem
from tests.unit.intake.builders import (
    ID_NUMBER,
    MRZ,
    SALARIED_PAPERS,
    TODAY,
    foreigner,
    form,
    look,
    papers,
    person,
)

Found = set[tuple[str, str]]
Case = Callable[[], Found]


class Three(NamedTuple):
    """The tests of one rule. boundary: the last that is right, the first that is wrong."""

    fires: Case
    quiet: Case
    boundary: tuple[Case, Case]


# -- what the rules find, in one shape ------------------------------------------------------------


def of(application: Any = None, handed_in: Any = None, **other: Any) -> Found:
    found = look(application, handed_in, **other)
    return {
        *((code, "block") for code in found.refusals),
        *((one.code, "return") for one in found.wanted),
        *((code, "warn") for code in found.warnings),
    }


def says(**fields: Any) -> Case:
    """The applicant's form with these fields."""
    return lambda: of(form(parties=[person(**fields)]))


def bears(product: str = "standard", **fields: Any) -> Case:
    """The form of an applicant with a passport, with these fields."""
    asked = {"product": product, "channel": "counter"}
    return lambda: of(form(parties=[foreigner(**fields)], **asked))


def on_page(**on_paper: str) -> Case:
    """A passport on which somebody read this, beside the form."""
    read = Paper("passport_page", TODAY, None, "paper", on_paper)
    return lambda: of(form(parties=[foreigner()]), [*papers(), read])


def bearing(county: str, born: date = date(1990, 5, 20)) -> Case:
    """The applicant's ID number from that place, with a right check digit."""
    body = f"{county}{born:%Y%m%d}123"
    return says(id_number=body + resident_id_check_digit(body))


def card(issued: date, expires: date | None, number: str = ID_NUMBER) -> Case:
    return says(
        id_number=number, id_issued=issued, id_expires=expires, id_long_term=expires is None
    )


def born(day: date) -> Case:
    return says(id_number=make_synthetic_resident_id("11", day, 7))


def consent(at: datetime | None, purpose: str = "信用卡审批") -> Case:
    given = None if at is None else {"signed_at": at, "purpose": purpose}
    return lambda: of(form(consent=given))


def standing(**known: Any) -> Case:
    product = product_of("standard")
    found = Standing(known=True, **known)
    return lambda: {(code, "block") for code in found.refusals(product, TODAY)}


def traced(**counts: int) -> Case:
    return lambda: {(code, "warn") for code in patterns(Traces(**counts), load_attention())}


def dated(item: str, age: int | None) -> Case:
    """A salaried applicant's papers, one of them of so many days ago, or without a date."""
    rest = papers(one for one in SALARIED_PAPERS if one not in (item, "income_proof"))
    day = None if age is None else TODAY - timedelta(days=age)
    more = [] if item == "income_proof" else papers(["income_proof"])
    if item == "tax_proof":
        more = []
    return lambda: of(handed_in=[*rest, *papers([item], issued_on=day), *more])


_standard = product_of("standard")
STRICT = _standard.model_copy(
    update={
        "validity": _standard.validity.model_copy(update={"shortest_months": {"income_proof": 3}})
    }
)


def reads(
    item: str,
    changed: Mapping[str, Any] | None = None,
    product: Product | None = None,
    **on_paper: str,
) -> Case:
    """A paper on which somebody read this, beside the form."""
    read = [
        Paper(one.item, one.received_on, one.issued_on, one.document_id, on_paper)
        if one.item == item
        else one
        for one in papers(dict.fromkeys((*SALARIED_PAPERS, item)))
    ]
    return lambda: of(form(parties=[person(**(changed or {}))]), read, product=product)


def family(
    holder: Mapping[str, Any] | None = None, channel: str = "counter", **others: Mapping[str, Any]
) -> Case:
    """A supplementary card for somebody else, and who else is named."""
    grown = make_synthetic_resident_id("11", date(1992, 2, 2), 8)
    parties = [person()]
    if holder is not None:
        parties.append(person(role="supplementary_holder", **{"id_number": grown, **holder}))
    parties += [person(role=role, **fields) for role, fields in others.items()]
    asked = {"product": "supplementary", "applicant_type": "supplementary", "channel": channel}
    return lambda: of(form(parties=parties, **asked))


CHILD = {
    "id_number": make_synthetic_resident_id("11", date(2010, 1, 2), 8),
    "id_issued": date(2026, 2, 1),
    "id_expires": date(2036, 2, 1),
}


def with_guardian(birthday: date) -> Case:
    number = make_synthetic_resident_id("11", birthday, 9)
    return family(CHILD, guardian={"id_number": number})


def holder_born(day: date) -> Case:
    return family({"id_number": make_synthetic_resident_id("11", day, 9)})


def offered(product: str) -> Found:
    try:
        form(product=product)
    except ValidationError as error:
        return {(one["type"], "block") for one in error.errors()}
    return set()


def begun_on(day: date) -> Case:
    """An application for the standard card, of which there is a version from 2026 on."""
    return lambda: set() if product_on("standard", day) else {("PRODUCT_NOT_OFFERED", "block")}


def _digit_wrong(number: str) -> str:
    return number[:-1] + ("1" if number[-1] != "1" else "2")


def _credit_code(first17: str = "91350100M000100Y4") -> str:
    return first17 + credit_code_check_character(first17)


def _card_number(body: str = "621234567890123") -> str:
    return body + luhn_check_digit(body)


BORN_18 = date(2008, 10, 12)
VALID = says()
TWO = date(2020, 3, 1)

TESTS: dict[tuple[str, str], Three] = {
    ("UNKNOWN_PRODUCT", "block"): Three(
        lambda: offered("platinum"),
        lambda: offered("gold"),
        (lambda: offered("standard"), lambda: offered("Standard")),
    ),
    ("PRODUCT_NOT_OFFERED", "block"): Three(
        begun_on(date(2020, 1, 1)),
        begun_on(TODAY),
        (begun_on(date(2026, 1, 1)), begun_on(date(2025, 12, 31))),
    ),
    ("PRODUCT_NOT_FOR_APPLICANT", "block"): Three(
        lambda: of(form(product="student")),
        VALID,
        (
            lambda: of(form(channel="batch")),
            family({}, channel="batch"),
        ),
    ),
    ("AGE_OUT_OF_RANGE", "block"): Three(
        born(date(2015, 1, 1)), VALID, (born(BORN_18), born(BORN_18 + timedelta(days=1)))
    ),
    ("DUPLICATE_APPLICATION", "block"): Three(
        standing(open_products=frozenset({"standard", "gold"})),
        standing(),
        (
            standing(open_products=frozenset({"gold"})),
            standing(open_products=frozenset({"standard"})),
        ),
    ),
    ("TOO_MANY_CARDS", "block"): Three(
        standing(cards=9), standing(cards=0), (standing(cards=4), standing(cards=5))
    ),
    ("COOL_DOWN", "block"): Three(
        standing(reapply_from=TODAY + timedelta(days=60)),
        standing(),
        (standing(reapply_from=TODAY), standing(reapply_from=TODAY + timedelta(days=1))),
    ),
    ("EMPTY", "return"): Three(
        says(mobile=None), VALID, (says(occupation="工"), says(occupation=" "))
    ),
    ("NAME_FORM", "return"): Three(
        says(name="?"), says(name="买买提·艾力"), (says(name="张一"), says(name="张"))
    ),
    ("NAME_PRIVATE_CHARACTER", "warn"): Three(
        says(name="张\ue863"), VALID, (says(name="张𠮷"), says(name="张\ue000"))
    ),
    ("ID_FORM", "return"): Three(
        says(id_number="12"),
        VALID,
        (says(id_number="USA110085030412"), says(id_number="US1110085030412")),
    ),
    ("ID_BIRTH_DATE", "return"): Three(
        says(id_number="110101199013010071"),
        VALID,
        (born(TODAY), born(TODAY + timedelta(days=1))),
    ),
    ("ID_CHECK_DIGIT", "return"): Three(
        says(id_number=_digit_wrong(ID_NUMBER)),
        says(id_number="360426199101010071"),
        (says(id_number="11010519491231002x"), says(id_number="110105194912310021")),
    ),
    ("ID_PROVINCE", "warn"): Three(
        bearing("990101"), VALID, (bearing("659999"), bearing("669999"))
    ),
    ("ID_PLACE_UNKNOWN", "warn"): Three(
        bearing("110199"), VALID, (bearing("110101"), bearing("110100"))
    ),
    ("ID_PLACE_RETIRED", "warn"): Three(
        bearing("110103"), bearing("110101"), (bearing("119999"), bearing("110104"))
    ),
    ("ID_RESIDENCE_PERMIT", "warn"): Three(
        bearing("911124"), VALID, (bearing("710000"), bearing("810000"))
    ),
    ("ID_PASSPORT", "warn"): Three(bears(), VALID, (says(id_type="id_card"), bears())),
    ("PASSPORT_NOT_TAKEN", "return"): Three(
        bears("business"), bears(), (lambda: of(form(product="business")), bears("business"))
    ),
    ("PASSPORT_NUMBER", "return"): Three(
        bears(id_number="AB-12345"),
        bears(id_number=" c01x00t47 "),
        (bears(id_number="A1234"), bears(id_number="A123")),
    ),
    ("PASSPORT_ENDS_SOON", "warn"): Three(
        bears(id_expires=TODAY),
        bears(),
        (
            bears(id_expires=TODAY + timedelta(days=180)),
            bears(id_expires=TODAY + timedelta(days=179)),
        ),
    ),
    ("MRZ_FORM", "return"): Three(
        bears(mrz="C01X00T47"), bears(mrz=MRZ), (bears(mrz=f" {MRZ.lower()}"), bears(mrz=MRZ[1:]))
    ),
    ("MRZ_CHECK_DIGIT", "return"): Three(
        bears(mrz=MRZ.replace("C01X00T478", "C01X00T479")),
        bears(mrz=MRZ),
        (bears(mrz=MRZ), bears(mrz=_digit_wrong(MRZ))),
    ),
    ("MRZ_MISMATCH", "return"): Three(
        bears(mrz=MRZ, id_number="C01X00T48"),
        bears(mrz=MRZ),
        (bears(mrz=MRZ, id_expires=None), bears(mrz=MRZ, id_expires=date(2030, 3, 1))),
    ),
    ("BIRTH_DATE", "return"): Three(
        bears(birth_date=date(1899, 12, 31)),
        bears(),
        (bears(birth_date=TODAY), bears(birth_date=TODAY + timedelta(days=1))),
    ),
    ("BIRTH_DATE_MISMATCH", "return"): Three(
        on_page(birth_date="1990-05-21"),
        on_page(birth_date="1990-05-20"),
        (says(birth_date=date(1990, 5, 20)), says(birth_date=date(1990, 5, 21))),
    ),
    ("NATIONALITY_FORM", "return"): Three(
        bears(nationality="德国"),
        says(nationality="德国"),  # beside a card's number it is named as people like
        (bears(nationality=" deu "), bears(nationality="DE")),
    ),
    ("NAME_NOT_LATIN", "return"): Three(
        bears(name="安娜"), VALID, (bears(name="Li"), bears(name="李一"))
    ),
    ("NAME_NOT_CHINESE", "return"): Three(
        bears(chinese_name="Anna"), bears(), (bears(chinese_name="安娜"), bears(chinese_name="An"))
    ),
    ("ID_EXPIRED", "return"): Three(
        card(date(2010, 5, 1), date(2020, 5, 1)),
        VALID,
        (
            card(
                TODAY.replace(year=2006),
                TODAY,
                make_synthetic_resident_id("11", date(1970, 5, 20), 3),
            ),
            card(
                TODAY.replace(year=2006) - timedelta(days=1),
                TODAY - timedelta(days=1),
                make_synthetic_resident_id("11", date(1970, 5, 20), 3),
            ),
        ),
    ),
    ("ID_NOT_YET_VALID", "return"): Three(
        card(date(2027, 1, 1), date(2047, 1, 1)),
        VALID,
        (
            card(TODAY, TODAY.replace(year=2046)),
            card(TODAY + timedelta(days=1), TODAY.replace(year=2046) + timedelta(days=1)),
        ),
    ),
    ("ID_TERM", "return"): Three(
        card(TWO, date(2030, 3, 1)),
        VALID,
        (card(TWO, date(2040, 2, 29)), card(TWO, date(2040, 2, 28))),
    ),
    ("MOBILE_FORM", "return"): Three(
        says(mobile="12345"), VALID, (says(mobile="13000000000"), says(mobile="12999999999"))
    ),
    ("MOBILE_VIRTUAL_OPERATOR", "warn"): Three(
        says(mobile="17012345678"), VALID, (says(mobile="17200000000"), says(mobile="17199999999"))
    ),
    ("EMAIL_FORM", "return"): Three(
        says(email="at"), VALID, (says(email="a@b.cn"), says(email="a@b.c"))
    ),
    ("ADDRESS_LENGTH", "return"): Three(
        says(home_address="近"), VALID, (says(home_address="路" * 80), says(home_address="路" * 81))
    ),
    ("EMPLOYER_TOO_SHORT", "return"): Three(
        says(employer="厂"), VALID, (says(employer="一厂"), says(employer="厂"))
    ),
    ("EMPLOYER_EDGE_SPACE", "return"): Three(
        says(employer=" 恒远科技 "), VALID, (says(employer="恒远 科技"), says(employer="恒远科技 "))
    ),
    ("EMPLOYER_PLACEHOLDER", "return"): Three(
        says(employer="待业"), VALID, (says(employer="待业指导中心"), says(employer="待业 "))
    ),
    ("OFFICE_PHONE_FORM", "return"): Three(
        says(office_phone="12"),
        VALID,
        (says(office_phone="010-6600123"), says(office_phone="010-660012")),
    ),
    ("OFFICE_PHONE_IS_MOBILE", "return"): Three(
        says(office_phone="13900001234"),
        VALID,
        (says(office_phone="13900001235"), says(office_phone="13900001234")),
    ),
    ("POSTCODE_FORM", "return"): Three(
        says(postcode="邮编"), VALID, (says(postcode="100000"), says(postcode="10000"))
    ),
    ("POSTCODE_REPEATED", "return"): Three(
        says(postcode="000000"),
        says(postcode="100000"),
        (says(postcode="222222"), says(postcode="333333")),
    ),
    ("CREDIT_CODE_FORM", "return"): Three(
        says(credit_code="9135"),
        VALID,
        (says(credit_code=_credit_code()), says(credit_code=_credit_code()[1:])),
    ),
    ("CREDIT_CODE_CHECK_DIGIT", "return"): Three(
        says(credit_code="914403001922038217"),
        says(credit_code="914403001922038216"),
        (says(credit_code=_credit_code()), says(credit_code=_digit_wrong(_credit_code()))),
    ),
    ("CARD_FORM", "return"): Three(
        says(main_card_number="62"),
        VALID,
        (says(main_card_number=_card_number()), says(main_card_number=_card_number() + "0")),
    ),
    ("CARD_CHECK_DIGIT", "return"): Three(
        says(main_card_number="6212345678901234"),
        VALID,
        (
            says(main_card_number=_card_number()),
            says(main_card_number=_digit_wrong(_card_number())),
        ),
    ),
    ("CARD_NOT_UNIONPAY", "warn"): Three(
        says(main_card_number="4111111111111111"),
        VALID,
        (
            says(main_card_number=_card_number()),
            says(main_card_number=_card_number("631234567890123")),
        ),
    ),
    ("NO_CREDIT_AUTH", "return"): Three(
        consent(None),
        VALID,
        (
            consent(datetime(2026, 10, 12, 15, 59, tzinfo=UTC)),  # midnight in Shanghai is 16:00
            consent(datetime(2026, 10, 12, 16, 0, tzinfo=UTC)),
        ),
    ),
    ("HOLDER_MISSING", "return"): Three(
        family(), VALID, (family({}), family(guardian={"id_number": ID_NUMBER}))
    ),
    ("GUARDIAN_MISSING", "return"): Three(
        family(CHILD), family({}), (holder_born(BORN_18), holder_born(BORN_18 + timedelta(days=1)))
    ),
    ("GUARDIAN_UNDER_AGE", "return"): Three(
        with_guardian(date(2012, 1, 1)),
        family({}, guardian={"id_number": make_synthetic_resident_id("11", date(2012, 1, 1), 9)}),
        (with_guardian(BORN_18), with_guardian(BORN_18 + timedelta(days=1))),
    ),
    ("HOLDER_IS_APPLICANT", "warn"): Three(
        family({"id_number": ID_NUMBER}),
        VALID,
        (family({}), family({"id_number": f"{ID_NUMBER} "})),
    ),
    ("CONTACT_IS_APPLICANT", "warn"): Three(
        family({}, contact={"mobile": "13900001234"}),
        VALID,
        (
            family({}, contact={"mobile": "13900001235"}),
            family({}, contact={"mobile": "1390000 1234"}),
        ),
    ),
    ("NATIONALITY_MISMATCH", "warn"): Three(
        says(nationality="CAN"),
        says(nationality="中国"),
        (says(nationality="chn "), says(nationality="CHE")),
    ),
    ("NATIONALITY_MISMATCH", "return"): Three(
        on_page(nationality="AUT"),
        on_page(nationality="德国"),  # in words it is named in many ways
        (on_page(nationality="deu"), on_page(nationality="AUT")),
    ),
    ("DOC_MISSING", "return"): Three(
        lambda: of(handed_in=[]),
        VALID,
        (VALID, lambda: of(handed_in=papers(SALARIED_PAPERS[:-1]))),
    ),
    ("DOC_STALE", "return"): Three(
        dated("work_proof", 400), VALID, (dated("work_proof", 93), dated("work_proof", 94))
    ),
    ("DOC_STALE", "warn"): Three(
        dated("tax_proof", 300), VALID, (dated("tax_proof", 186), dated("tax_proof", 187))
    ),
    ("DOC_UNDATED", "return"): Three(
        dated("work_proof", None), VALID, (dated("id_front", None), dated("income_proof", None))
    ),
    ("NAME_MISMATCH", "return"): Three(
        reads("id_front", name="另一人"),
        reads("id_front", name="测试员"),
        (
            reads("id_front", {"name": "买买提·艾力"}, name="买买提•艾力"),
            reads("id_front", {"name": "买买提·艾力"}, name="买买提艾力"),
        ),
    ),
    ("ID_NUMBER_MISMATCH", "return"): Three(
        reads("id_front", id_number="360426199101010071"),
        reads("id_front", id_number=ID_NUMBER),
        (
            reads("id_front", id_number=f" {ID_NUMBER.lower()}"),
            reads("id_front", id_number=_digit_wrong(ID_NUMBER)),
        ),
    ),
    ("ID_DATES_MISMATCH", "return"): Three(
        reads("id_back", id_issued="2010-03-01"),
        reads("id_back", id_issued="2020-03-01", id_expires="2040-03-01"),
        (reads("id_back", id_expires="2040-03-01"), reads("id_back", id_expires="2040-03-02")),
    ),
    ("EMPLOYER_MISMATCH", "return"): Three(
        reads("work_proof", employer="云岭物流有限公司"),
        reads("work_proof", employer="恒远科技有限公司"),
        (
            reads(
                "work_proof", {"employer": "恒远科技(北京)公司"}, employer="恒远科技（北京） 公司"
            ),
            reads("work_proof", {"employer": "恒远科技(北京)公司"}, employer="恒远科技公司"),
        ),
    ),
    ("CREDIT_CODE_MISMATCH", "return"): Three(
        reads("work_proof", {"credit_code": _credit_code()}, credit_code="914403001922038216"),
        reads("work_proof", credit_code="914403001922038216"),  # the form names none
        (
            reads(
                "work_proof", {"credit_code": _credit_code()}, credit_code=_credit_code().lower()
            ),
            reads("work_proof", {"credit_code": _credit_code()}, credit_code=_credit_code()[1:]),
        ),
    ),
    ("DOC_EXPIRED", "return"): Three(
        reads("stay_permit", in_force_until="2026-01-31"),
        reads("work_proof", in_force_until="2026-01-31"),  # of no permit
        (
            reads("stay_permit", in_force_until=TODAY.isoformat()),
            reads("stay_permit", in_force_until=(TODAY - timedelta(days=1)).isoformat()),
        ),
    ),
    ("DOC_SHORT", "return"): Three(
        reads("income_proof", product=STRICT, months="1"),
        reads("income_proof", months="1"),  # the product that ships returns none
        (
            reads("income_proof", product=STRICT, months="3"),
            reads("income_proof", product=STRICT, months="2"),
        ),
    ),
    ("DOC_SHORT", "warn"): Three(
        reads("income_proof", months="1"),
        reads("work_proof", months="1"),
        (reads("income_proof", months="6"), reads("income_proof", months="5")),
    ),
    ("BUSINESS_YOUNG", "warn"): Three(
        reads("work_proof", registered_on="2026-09-01"),
        reads("work_proof", registered_on="2001-09-01"),
        (
            reads("work_proof", registered_on="2025-10-12"),
            reads("work_proof", registered_on="2025-10-13"),
        ),
    ),
    ("ADDR_MISMATCH", "warn"): Three(
        reads("id_front", home_address="上海市静安区南京路9号"),
        reads("id_front", home_address="北京市城东区建设路1号"),
        (
            reads("id_front", home_address="城东区建设路1号"),
            reads("id_front", home_address="城东区建设路2号"),
        ),
    ),
    ("NAME_MISMATCH", "warn"): Three(
        reads("asset_proof", name="另一人"),  # the spouse's, with a proof of marriage
        reads("asset_proof", name="测试员"),
        (reads("asset_proof", name=" 测试员"), reads("asset_proof", name="测试人")),
    ),
    ("ID_NUMBER_MISMATCH", "warn"): Three(
        reads("asset_proof", id_number="360426199101010071"),
        reads("asset_proof", id_number=ID_NUMBER),
        (
            reads("asset_proof", id_number=f" {ID_NUMBER.lower()}"),
            reads("asset_proof", id_number=_digit_wrong(ID_NUMBER)),
        ),
    ),
    ("BIRTH_DATE_MISMATCH", "warn"): Three(
        reads("asset_proof", {"birth_date": "1990-05-20"}, birth_date="1991-05-20"),
        reads("asset_proof", {"birth_date": "1990-05-20"}, birth_date="1990-05-20"),
        (
            reads("asset_proof", birth_date="1991-05-20"),  # the form names none
            reads("asset_proof", {"birth_date": "1990-05-20"}, birth_date="1990-05-21"),
        ),
    ),
    ("MOBILE_SHARED", "warn"): Three(
        traced(on_mobile=50), traced(), (traced(on_mobile=2), traced(on_mobile=3))
    ),
    ("DEVICE_SHARED", "warn"): Three(
        traced(on_device=50), traced(), (traced(on_device=2), traced(on_device=3))
    ),
    ("MANY_BRANCHES", "warn"): Three(
        traced(branches=50), traced(), (traced(branches=2), traced(branches=3))
    ),
}


def test_every_rule_that_the_program_applies_has_its_three_tests() -> None:
    assert TESTS.keys() == {rule.key for rule in applied_by("rules")}
    assert len(BY_KEY) == len(RULES), "a rule stands there twice"


@pytest.mark.parametrize("key", TESTS, ids="-".join)
def test_it_fires(key: tuple[str, str]) -> None:
    assert key in TESTS[key].fires()


@pytest.mark.parametrize("key", TESTS, ids="-".join)
def test_it_stays_quiet(key: tuple[str, str]) -> None:
    assert key not in TESTS[key].quiet()


@pytest.mark.parametrize("key", TESTS, ids="-".join)
def test_it_knows_its_boundary(key: tuple[str, str]) -> None:
    right, wrong = TESTS[key].boundary
    assert key not in right()
    assert key in wrong()


# -- what a person has to know of a rule ----------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(rule.key))
def test_a_rule_says_why_and_has_words_in_both_languages(rule: Rule) -> None:
    assert rule.citation.strip()
    assert rule.looks_at
    known = load_return_codes().codes[rule.code]
    for words in (known.names, known.mend):
        assert words.zh.strip()
        assert words.en.strip()
    if rule.by == "people":
        assert known.of_papers
        assert rule.severity == "return"


_FILES: Mapping[str, type[BaseModel]] = {
    "product": Product,
    "attention": Attention,
    "checklist_items": ChecklistItem,
}


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.parameter], ids=lambda rule: "-".join(rule.key)
)
def test_the_parameter_that_it_names_is_there(rule: Rule) -> None:
    assert rule.parameter is not None
    file, _, path = rule.parameter.partition(": ")
    model: Any = _FILES[file]
    for name in path.split("."):
        model = model.model_fields[name].annotation


def test_what_a_bank_made_up_itself_can_be_set_by_it() -> None:
    """A rule that no statute or standard asks for has a parameter, or is of one value."""
    fixed = {
        "DUPLICATE_APPLICATION", "EMPLOYER_EDGE_SPACE", "OFFICE_PHONE_IS_MOBILE", "POSTCODE_FORM",
        "CARD_NOT_UNIONPAY", "NAME_NOT_CHINESE", "DOC_EXPIRED",
    }  # fmt: skip
    own = {
        rule.code
        for rule in applied_by("rules")
        if rule.citation == "bank's policy" and rule.parameter is None
    }
    assert own == fixed


def test_every_code_that_has_words_is_a_rules() -> None:
    known = {rule.code for rule in RULES}
    assert set(load_return_codes().codes) == known
    assert {code.value for code in FormatCode} <= known


fields = st.sampled_from(
    sorted(
        FIELD_CLASSES.keys()
        - {"salutation", "id_type", "id_issued", "id_expires", "birth_date"}
        - {"monthly_income", "other_bank_limits"}
    )
)
texts = st.one_of(st.none(), st.text(max_size=30), st.from_regex(r"\A[0-9]{16,18}\Z"))


@given(st.dictionaries(fields, texts), st.dictionaries(fields, texts), st.booleans())
def test_whatever_is_typed_is_found_by_a_rule_of_the_book(
    typed: Mapping[str, str | None], beside: Mapping[str, str | None], handed_in: bool
) -> None:
    parties = [person(**typed), person(role="guardian", **beside)]
    assert of(form(parties=parties), papers() if handed_in else []) <= BY_KEY.keys()
    parties[0]["id_type"] = "passport"
    assert of(form(parties=parties), papers() if handed_in else []) <= BY_KEY.keys()


def test_everything_is_told_at_once() -> None:
    """Form, persons, papers, and what papers say, in one list."""
    bad: Sequence[dict[str, Any]] = [
        person(name="?", mobile="17012345678", postcode="1", nationality="CAN"),
        person(role="contact", name="李四", mobile="17012345678"),
    ]
    read = Paper("work_proof", TODAY, None, "paper", {"employer": "云岭物流有限公司"})
    assert of(form(parties=list(bad), consent=None, applicant_type="student"), [read]) >= {
        ("PRODUCT_NOT_FOR_APPLICANT", "block"),
    }
    assert of(form(parties=list(bad), consent=None), [read]) == {
        ("NAME_FORM", "return"),
        ("POSTCODE_FORM", "return"),
        ("NO_CREDIT_AUTH", "return"),
        ("DOC_MISSING", "return"),
        ("DOC_UNDATED", "return"),
        ("EMPLOYER_MISMATCH", "return"),
        ("MOBILE_VIRTUAL_OPERATOR", "warn"),
        ("NATIONALITY_MISMATCH", "warn"),
        ("CONTACT_IS_APPLICANT", "warn"),
    }
