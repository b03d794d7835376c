"""The pre-check: every code appears where it should, and nowhere else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intake.rules import Paper, Wanted, field_faults, item_of_refusal
from shared.events.payload import ApplicantType, PartyRole
from shared.formats import make_synthetic_resident_id
from shared.parameters import Product, load_checklist_items, load_products, load_return_codes
from tests.unit.intake.builders import (
    ID_NUMBER,
    SALARIED_PAPERS,
    TODAY,
    foreigner,
    form,
    look,
    on_file,
    papers,
    person,
)


def test_a_sound_application_wants_nothing() -> None:
    found = look()
    assert found.wanted == ()
    assert found.warnings == ()
    assert found.refusals == ()
    assert (found.age_band, found.income_band) == ("36-45", "10000-19999")


def _wrong_check_digit(number: str) -> str:
    return number[:17] + ("1" if number[17] != "1" else "2")


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"name": None}, Wanted("id_front", "EMPTY", "name")),
        ({"name": "?"}, Wanted("id_front", "NAME_FORM", "name")),
        (
            {"id_number": _wrong_check_digit(ID_NUMBER)},
            Wanted("id_front", "ID_CHECK_DIGIT", "id_number"),
        ),
        ({"id_number": "12"}, Wanted("id_front", "ID_FORM", "id_number")),
        ({"id_issued": None}, Wanted("id_back", "EMPTY", "id_issued")),
        ({"id_expires": None}, Wanted("id_back", "EMPTY", "id_expires")),
        (
            {"id_issued": date(2014, 5, 1), "id_expires": date(2024, 5, 1)},
            Wanted("id_back", "ID_EXPIRED", "id_expires"),
        ),
        ({"id_expires": date(2030, 3, 1)}, Wanted("id_back", "ID_TERM", "id_issued")),
        (
            {"id_issued": date(2026, 11, 1), "id_expires": date(2046, 11, 1)},
            Wanted("id_back", "ID_NOT_YET_VALID", "id_issued"),
        ),
        ({"mobile": "12345"}, Wanted("application_form_signed", "MOBILE_FORM", "mobile")),
        ({"mobile": None}, Wanted("application_form_signed", "EMPTY", "mobile")),
        ({"email": "at"}, Wanted("application_form_signed", "EMAIL_FORM", "email")),
        (
            {"home_address": "近"},
            Wanted("application_form_signed", "ADDRESS_LENGTH", "home_address"),
        ),
        (
            {"employer": "待业"},
            Wanted("application_form_signed", "EMPLOYER_PLACEHOLDER", "employer"),
        ),
        (
            {"employer": " 恒远科技"},
            Wanted("application_form_signed", "EMPLOYER_EDGE_SPACE", "employer"),
        ),
        (
            {"office_phone": "13900001234"},
            Wanted("application_form_signed", "OFFICE_PHONE_IS_MOBILE", "office_phone"),
        ),
        (
            {"office_phone": "12"},
            Wanted("application_form_signed", "OFFICE_PHONE_FORM", "office_phone"),
        ),
        ({"monthly_income": None}, Wanted("application_form_signed", "EMPTY", "monthly_income")),
        ({"occupation": "  "}, Wanted("application_form_signed", "EMPTY", "occupation")),
    ],
)
def test_a_wrong_field_is_wanted_with_its_code(changed: dict[str, Any], wanted: Wanted) -> None:
    assert look(form(parties=[person(**changed)])).wanted == (wanted,)


def test_everything_wrong_is_told_at_once() -> None:
    bad = form(parties=[person(name=None, mobile="1", employer="")], consent=None)
    found = look(bad, papers(["application_form_signed"]))
    assert {(one.item, one.code) for one in found.wanted} == {
        ("id_front", "EMPTY"),
        ("application_form_signed", "MOBILE_FORM"),
        ("application_form_signed", "EMPTY"),
        ("credit_authorization", "NO_CREDIT_AUTH"),
        ("id_front", "DOC_MISSING"),
        ("id_back", "DOC_MISSING"),
        ("work_proof", "DOC_MISSING"),
        ("income_proof", "DOC_MISSING"),
    }


def test_a_virtual_operators_number_is_a_warning() -> None:
    found = look(form(parties=[person(mobile="17000001234")]))
    assert found.wanted == ()
    assert found.warnings == ("MOBILE_VIRTUAL_OPERATOR",)


@pytest.mark.parametrize(
    "consent",
    [
        None,
        {"signed_at": datetime(2026, 10, 12, tzinfo=UTC), "purpose": "贷后管理"},
        {"signed_at": datetime(2026, 10, 14, tzinfo=UTC), "purpose": "信用卡审批"},
    ],
)
def test_no_bureau_query_without_consent_for_this_purpose(consent: Any) -> None:
    assert look(form(consent=consent)).wanted == (Wanted("credit_authorization", "NO_CREDIT_AUTH"),)


@pytest.mark.parametrize("missing", [item for item in SALARIED_PAPERS if item != "income_proof"])
def test_a_missing_paper_is_wanted(missing: str) -> None:
    rest = papers(item for item in SALARIED_PAPERS if item != missing)
    assert look(handed_in=rest).wanted == (Wanted(missing, "DOC_MISSING"),)


@pytest.mark.parametrize("proof", ["income_proof", "tax_proof", "social_security_proof"])
def test_one_paper_of_a_group_is_enough(proof: str) -> None:
    assert look(handed_in=papers([*SALARIED_PAPERS[:-1], proof])).wanted == ()


@pytest.mark.parametrize(("age", "stale"), [(93, False), (94, True)])
def test_a_proof_is_stale_after_its_longest_days(age: int, stale: bool) -> None:
    old = papers(["work_proof"], issued_on=TODAY - timedelta(days=age))
    rest = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    wanted = (Wanted("work_proof", "DOC_STALE"),) if stale else ()
    assert look(handed_in=[*rest, *old]).wanted == wanted


@pytest.mark.parametrize(
    ("came", "submitted", "stale"),
    [
        (40, 0, True),  # it lay with a draft until it was too old
        (40, 35, False),  # and does not grow older once the application is handed in
        (0, 35, True),  # unless it came after that, and was too old by then
    ],
)
def test_a_proof_is_as_old_as_on_the_day_of_the_submission(
    came: int, submitted: int, stale: bool
) -> None:
    """Days before today; the paper is of a hundred days before."""
    rest = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    day = TODAY - timedelta(days=came)
    proof = papers(["work_proof"], received_on=day, issued_on=TODAY - timedelta(days=100))
    found = look(handed_in=[*rest, *proof], submitted_on=TODAY - timedelta(days=submitted))
    assert found.wanted == ((Wanted("work_proof", "DOC_STALE"),) if stale else ())
    # of a draft it is said before it is handed in
    assert look(handed_in=[*rest, *proof]).wanted == (Wanted("work_proof", "DOC_STALE"),)


def test_a_proof_without_a_date_is_asked_for_its_date() -> None:
    rest = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    undated = papers(["work_proof"], issued_on=None)
    assert look(handed_in=[*rest, *undated]).wanted == (Wanted("work_proof", "DOC_UNDATED"),)
    # the last paper of an item says what is wrong with it
    old = papers(["work_proof"], issued_on=TODAY - timedelta(days=200))
    for two, code in (([*old, *undated], "DOC_UNDATED"), ([*undated, *old], "DOC_STALE")):
        assert look(handed_in=[*rest, *two]).wanted == (Wanted("work_proof", code),)
    assert look(handed_in=[*rest, *undated, *papers(["work_proof"])]).wanted == ()
    # what does not grow old needs no date
    lasting = papers(["id_front", "id_back", "application_form_signed"], issued_on=None)
    assert look(handed_in=[*lasting, *papers(["work_proof", "income_proof"])]).wanted == ()


def test_a_fresh_paper_beside_a_stale_one_counts() -> None:
    old = papers(["work_proof"], issued_on=TODAY - timedelta(days=200))
    assert look(handed_in=[*old, *papers()]).wanted == ()


def test_a_stale_proof_of_a_group_is_the_one_asked_for() -> None:
    old = papers(["tax_proof"], issued_on=TODAY - timedelta(days=400))
    found = look(handed_in=[*papers(SALARIED_PAPERS[:-1]), *old])
    assert found.wanted == (Wanted("tax_proof", "DOC_STALE"),)


def test_an_old_tax_record_is_a_warning() -> None:
    old = papers(["tax_proof"], issued_on=TODAY - timedelta(days=200))
    found = look(handed_in=[*papers(SALARIED_PAPERS[:-1]), *old])
    assert found.wanted == ()
    assert found.warnings == ("DOC_STALE",)


@pytest.mark.parametrize(
    ("work_address", "region", "asked"),
    [
        ("北京市城东区人民路2号", "31", False),
        ("上海市城东区人民路2号", "11", True),
        ("城东区人民路2号院", "31", True),
        ("城东区人民路2号院", "11", False),
    ],
)
def test_who_works_in_another_province_proves_the_address(
    work_address: str, region: str, asked: bool
) -> None:
    found = look(form(parties=[person(work_address=work_address)]), region=region)
    assert found.wanted == ((Wanted("address_proof", "DOC_MISSING"),) if asked else ())


def test_what_the_bank_holds_is_not_asked_again() -> None:
    known = form(applicant_type="existing_customer")
    held = {"id_front", "id_back", "work_proof"}
    handed_in = papers(["application_form_signed"])
    assert look(known, handed_in, filed=on_file(held)).wanted == ()
    assert {one.item for one in look(known, handed_in).wanted} == held


def test_a_paper_whose_age_nobody_can_tell_does_not_keep_the_banks_own_from_counting() -> None:
    undated = [
        *papers(set(SALARIED_PAPERS) - {"work_proof"}),
        Paper("work_proof", TODAY, None, "undated"),
    ]
    assert look(None, undated).wanted == (Wanted("work_proof", "DOC_UNDATED"),)
    found = look(None, undated, filed=on_file(["work_proof"]))
    assert found.wanted == ()
    assert "work_proof" in found.held
    assert "work_proof" in found.unsound


@pytest.mark.parametrize(
    ("item", "changed", "counts"),
    [
        ("work_proof", {"issued_on": TODAY - timedelta(days=93)}, True),
        ("work_proof", {"issued_on": TODAY - timedelta(days=94)}, False),
        ("work_proof", {"issued_on": None}, False),
        ("work_proof", {"fields": {"employer": "云岭物流有限公司"}}, False),
        # an ID card's term is the form's, and it must be the same card
        ("id_back", {"issued_on": None, "received_on": date(2021, 1, 4)}, True),
        ("id_back", {"fields": {**form().applicant.fields(), "id_issued": "2010-03-01"}}, False),
        # what bears no age of its own is taken over for a year
        ("asset_proof", {"received_on": TODAY - timedelta(days=365), "issued_on": None}, True),
        ("asset_proof", {"received_on": TODAY - timedelta(days=366), "issued_on": None}, False),
        # what is signed for each application anew
        ("application_form_signed", {}, False),
    ],
)
def test_what_the_bank_holds_counts_while_it_is_valid_and_shows_the_same(
    item: str, changed: dict[str, Any], counts: bool
) -> None:
    found = look(filed=on_file([item], **changed))
    assert (item in found.held) is counts


PASSPORT = {
    "id_type": "passport",
    "id_number": "C01X00T47",
    "nationality": "DEU",
    "name": "Erika Mustermann",
    "birth_date": "1990-05-20",
    "id_issued": "2020-03-01",
    "id_expires": "2030-02-28",
}


@pytest.mark.parametrize(
    ("says", "changed", "counts"),
    [
        ({"in_force_until": TODAY.isoformat()}, {}, True),
        ({"in_force_until": (TODAY - timedelta(days=1)).isoformat()}, {}, False),
        # however new it is: nobody has read until when it is good
        ({}, {}, False),
        ({"in_force_until": "2030-01-01"}, {"id_number": "C01X00T48"}, False),
        ({"in_force_until": "2030-01-01"}, {"name": "Erika Meier", "employer": "另一家公司"}, True),
    ],
)
def test_a_permit_counts_until_the_day_that_was_read_on_it(
    says: dict[str, str], changed: dict[str, str], counts: bool
) -> None:
    applicant = {**person(), **PASSPORT}
    before = form(parties=[applicant]).applicant.fields()
    years_ago = {"received_on": date(2024, 1, 4), "issued_on": None}
    filed = on_file(["stay_permit"], fields=before, says=says, **years_ago)
    found = look(form(parties=[{**applicant, **changed}]), filed=filed)
    assert ("stay_permit" in found.held) is counts


def test_what_is_held_is_measured_on_the_day_of_submission() -> None:
    old = on_file(["work_proof"], issued_on=TODAY - timedelta(days=93))
    handed_in = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    later = TODAY + timedelta(days=8)
    found = look(handed_in=handed_in, filed=old, today=later, submitted_on=TODAY)
    assert found.wanted == ()
    assert [one.code for one in look(handed_in=handed_in, filed=old, today=later).wanted] == [
        "DOC_MISSING"
    ]


def test_a_new_paper_goes_before_what_is_held() -> None:
    stale = papers(["work_proof"], issued_on=TODAY - timedelta(days=200))
    rest = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    found = look(handed_in=[*rest, *stale], filed=on_file(["work_proof"]))
    assert [(one.item, one.code) for one in found.wanted] == [("work_proof", "DOC_STALE")]


@pytest.mark.parametrize(
    ("born", "refused"),
    [
        (date(2008, 10, 12), False),
        (date(2008, 10, 13), True),
        (date(1960, 10, 13), False),
        (date(1960, 10, 12), True),
    ],
)
def test_age_is_counted_to_the_day(born: date, refused: bool) -> None:
    number = make_synthetic_resident_id("11", born, 7)
    old = born.year < 2000
    term = (
        {"id_issued": date(2022, 1, 5), "id_expires": None, "id_long_term": True}
        if old
        else {"id_issued": date(2025, 1, 5), "id_expires": date(2035, 1, 5)}
    )
    found = look(form(parties=[person(id_number=number, **term)]))
    assert found.wanted == ()
    assert found.refusals == (("AGE_OUT_OF_RANGE",) if refused else ())


PERSON = {"name", "id_number", "id_issued", "id_expires", "mobile", "home_address"}
# What the form must say of whom, by the office's rules and not by the code's tables.
NEEDED_OF_APPLICANT = {
    "salaried": PERSON
    | {"employer", "occupation", "work_address", "office_phone", "monthly_income"},
    "self_employed": PERSON | {"employer", "occupation", "work_address", "monthly_income"},
    "asset_owner": PERSON | {"monthly_income"},
    "student": PERSON,
    "existing_customer": PERSON | {"monthly_income"},
    "supplementary": {"name", "id_number", "mobile"},
}
NEEDED_OF_OTHERS = {
    "supplementary_holder": PERSON,
    "guardian": {"name", "id_number", "mobile"},
    "contact": {"name", "mobile"},
}


def _empty(role: str) -> dict[str, Any]:
    return {**dict.fromkeys(person()), "role": role}


def _asked_for(applicant_type: str, parties: list[dict[str, Any]]) -> set[str | None]:
    product = next(one for one in load_products().values() if applicant_type in one.applicants)
    asked = form(applicant_type=applicant_type, product=product.product, parties=parties)
    found, _ = field_faults(asked, product, TODAY)
    assert {one.code for one in found} <= {"EMPTY"}
    return {one.field for one in found}


@pytest.mark.parametrize(("applicant_type", "needed"), NEEDED_OF_APPLICANT.items())
def test_an_applicant_is_asked_for_what_his_kind_has_to_say(
    applicant_type: str, needed: set[str]
) -> None:
    parties = [_empty("applicant")]
    if applicant_type == "supplementary":
        parties.append(person(role="supplementary_holder"))
    assert _asked_for(applicant_type, parties) == needed


@pytest.mark.parametrize(("role", "needed"), NEEDED_OF_OTHERS.items())
def test_anybody_else_is_asked_for_what_the_role_has_to_say(role: str, needed: set[str]) -> None:
    kind = "supplementary" if role == "supplementary_holder" else "salaried"
    assert _asked_for(kind, [person(), _empty(role)]) == needed


def test_every_kind_of_applicant_and_every_role_has_its_fields() -> None:
    assert NEEDED_OF_APPLICANT.keys() == {one.value for one in ApplicantType}
    assert NEEDED_OF_OTHERS.keys() | {"applicant"} == {one.value for one in PartyRole}


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (17, "<18"), (18, "18-25"), (25, "18-25"), (26, "26-35"), (35, "26-35"), (36, "36-45"),
        (45, "36-45"), (46, "46-55"), (55, "46-55"), (56, "56-65"), (65, "56-65"), (66, "66+"),
    ],
)  # fmt: skip
def test_age_is_told_in_bands(age: int, band: str) -> None:
    born = TODAY.replace(year=TODAY.year - age)
    number = make_synthetic_resident_id("11", born, 7)
    assert look(form(parties=[person(id_number=number)])).age_band == band


def test_a_product_is_for_its_applicants_and_channels() -> None:
    assert look(form(product="student")).refusals == ("PRODUCT_NOT_FOR_APPLICANT",)
    by_batch = form(product="supplementary", applicant_type="supplementary", channel="batch")
    assert look(by_batch).refusals == ("PRODUCT_NOT_FOR_APPLICANT",)


SUPPLEMENTARY = {"product": "supplementary", "applicant_type": "supplementary"}
SUPPLEMENTARY_PAPERS = ("application_form_signed", "id_front", "id_back", "main_card_confirmation")


def test_nobody_is_too_young_or_too_old_for_a_card_under_the_name_of_another() -> None:
    child = person(id_number=make_synthetic_resident_id("11", date(2012, 5, 5), 1))
    adult = person(role="supplementary_holder", name="持卡人")
    assert look(form(parties=[child, adult])).refusals == ("AGE_OUT_OF_RANGE",)


def test_a_supplementary_card_wants_its_holder_and_their_consent() -> None:
    # the main cardholder's age says nothing about the holder's
    old = person(
        id_number=make_synthetic_resident_id("11", date(1950, 1, 5), 12),
        id_issued=date(2022, 1, 5),
        id_expires=None,
        id_long_term=True,
    )
    nobody = look(form(parties=[old], consent=None, **SUPPLEMENTARY), papers(SUPPLEMENTARY_PAPERS))
    assert nobody.refusals == ()
    assert nobody.wanted == (
        Wanted("application_form_signed", "HOLDER_MISSING"),
        Wanted("credit_authorization", "NO_CREDIT_AUTH"),
    )


@pytest.mark.parametrize("product", load_products().values(), ids=lambda one: one.product)
def test_every_matrix_asks_for_the_consent(product: Product) -> None:
    for requirements in product.materials.values():
        assert any(one.asks_for_consent for one in requirements)
    without = product.model_dump()
    for requirements in without["materials"].values():
        requirements[:] = [one for one in requirements if "credit" not in str(one["items"])]
    with pytest.raises(ValidationError, match="credit_authorization"):
        Product.model_validate(without)


def test_a_minor_holder_needs_the_guardians_consent() -> None:
    number = make_synthetic_resident_id("11", date(2010, 1, 2), 8)
    minor = person(
        role="supplementary_holder",
        id_number=number,
        id_issued=date(2026, 2, 1),
        id_expires=date(2036, 2, 1),
    )
    handed_in = papers(SUPPLEMENTARY_PAPERS)
    assert look(form(parties=[person(), minor], **SUPPLEMENTARY), handed_in).wanted == (
        Wanted("guardian_consent", "DOC_MISSING"),
        Wanted("application_form_signed", "GUARDIAN_MISSING"),
    )
    guardian = person(role="guardian")
    with_both = [*handed_in, *papers(["guardian_consent"])]
    assert look(form(parties=[person(), minor, guardian], **SUPPLEMENTARY), with_both).wanted == ()
    grown = person(role="supplementary_holder")
    assert look(form(parties=[person(), grown], **SUPPLEMENTARY), handed_in).wanted == ()


@pytest.mark.parametrize(
    ("income", "band"),
    [
        ("0", "0-2999"),
        ("299999", "0-2999"),
        ("300000", "3000-4999"),
        ("499999", "3000-4999"),
        ("500000", "5000-9999"),
        ("999999", "5000-9999"),
        ("1000000", "10000-19999"),
        ("1999999", "10000-19999"),
        ("2000000", "20000-49999"),
        ("4999999", "20000-49999"),
        ("5000000", "50000+"),
        (None, "unknown"),
    ],
)
def test_income_is_told_in_bands(income: str | None, band: str) -> None:
    assert look(form(parties=[person(monthly_income=income)])).income_band == band


def test_an_unreadable_id_tells_no_age() -> None:
    found = look(form(parties=[person(id_number="x")]))
    assert found.age_band == "unknown"
    assert found.refusals == ()


fields = st.sampled_from(
    ["name", "id_number", "mobile", "email", "home_address", "employer", "office_phone"]
)


@given(st.dictionaries(fields, st.one_of(st.none(), st.text(max_size=30))), st.booleans())
def test_whatever_is_typed_finds_known_codes_and_never_a_value(
    typed: dict[str, str | None], with_papers: bool
) -> None:
    found = look(form(parties=[person(**typed)]), papers() if with_papers else [])
    codes, items = load_return_codes().codes, load_checklist_items().items
    for wanted in found.wanted:
        assert wanted.code in codes
        assert wanted.item in items
    assert set(found.warnings) <= set(codes)
    assert set(found.refusals) <= set(codes)


def test_what_a_passport_says_wrongly_is_asked_for_with_its_page() -> None:
    wrong = foreigner(birth_date=None, nationality="Germany", name="安娜")
    found = look(form(parties=[wrong]), papers(["passport_page", "stay_permit"]))
    assert {(one.item, one.field) for one in found.wanted if one.field} == {
        ("passport_page", "birth_date"),
        ("passport_page", "nationality"),
        ("passport_page", "name"),
    }
    assert not {"id_front", "id_back"} & {one.item for one in found.needs}


def test_where_no_passport_is_taken_a_card_is_asked_for() -> None:
    found = look(form(parties=[foreigner()], product="business"), [])
    told = [(one.item, one.field) for one in found.wanted if one.code == "PASSPORT_NOT_TAKEN"]
    assert told == [("id_front", "id_type")]
    assert "passport_page" not in {one.item for one in found.wanted}
    assert "passport_page" not in {one.item for one in found.needs}


def test_an_age_that_no_paper_mends_shows_with_what_tells_it() -> None:
    young = foreigner(birth_date=TODAY - timedelta(days=10))
    for party, item in ((young, "passport_page"), (person(), "id_front")):
        found = look(form(parties=[party]))
        assert item_of_refusal("AGE_OUT_OF_RANGE", found.needs) == item
    assert look(form(parties=[young])).refusals == ("AGE_OUT_OF_RANGE",)
