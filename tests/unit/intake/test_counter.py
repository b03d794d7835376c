"""The assistant's form while it is filled in: marks, needed fields, what the number says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from services.intake import words
from services.intake.counter import Looked, guess_item, look_at, papers, what_id_says
from services.intake.form import ApplicationForm, PartyForm
from services.intake.typed import Kept, faults_of, read_correction, read_form, read_in_part, typed
from shared.formats import make_synthetic_resident_id
from shared.parameters import load_checklist_items
from shared.places import PROVINCES
from tests.unit.intake.builders import ID_NUMBER, MRZ, REGION, TODAY, foreigner, form, person

NOW = datetime(2026, 10, 12, 3, 0, tzinfo=UTC)
CHILD = make_synthetic_resident_id("11", date(2012, 5, 20), 122)


def look(region: str | None = REGION, **changed: Any) -> Looked:
    return look_at(form(**changed), TODAY, region)


def sent(**changed: str) -> dict[str, str]:
    """What an assistant has typed."""
    values = typed(form()) | {"then": "keep"}
    return {name: text for name, text in (values | changed).items() if text}


# -- what is said of a field -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "name", "tone", "codes"),
    [
        ({"mobile": "1390"}, "mobile", "bad", ("MOBILE_FORM",)),
        ({"mobile": "17012345678"}, "mobile", "warn", ("MOBILE_VIRTUAL_OPERATOR",)),
        ({"employer": ""}, "employer", "missing", ("EMPTY",)),
        ({"id_number": ID_NUMBER[:17] + "0"}, "id_number", "bad", ("ID_CHECK_DIGIT",)),
        ({"office_phone": "13900001234"}, "office_phone", "bad", ("OFFICE_PHONE_IS_MOBILE",)),
        ({"id_expires": None}, "id_expires", "missing", ("EMPTY",)),
    ],
)
def test_a_field_is_marked_as_the_rules_find_it(
    changed: dict[str, Any], name: str, tone: str, codes: tuple[str, ...]
) -> None:
    mark = look(parties=[person(**changed)]).marks[name]
    assert (mark.tone, mark.codes) == (tone, codes)


def test_a_form_in_good_order_has_no_mark() -> None:
    assert look().marks == {}


def test_what_is_wrong_counts_before_what_is_worth_a_look() -> None:
    other = make_synthetic_resident_id("99", date(1990, 5, 20), 123)
    number = other[:17] + ("0" if other[17] != "0" else "1")
    mark = look(parties=[person(id_number=number)]).marks["id_number"]
    assert (mark.tone, mark.codes) == ("bad", ("ID_CHECK_DIGIT",))


def test_a_holders_field_is_marked_under_its_own_name() -> None:
    holder = person(role="supplementary_holder", mobile="1")
    looked = look(
        product="supplementary", applicant_type="supplementary", parties=[person(), holder]
    )
    assert looked.marks["holder_mobile"].tone == "bad"
    assert "mobile" not in looked.marks


# -- which fields ----------------------------------------------------------------------------------


def test_a_student_is_not_asked_for_work_and_income() -> None:
    work = ("employer", "occupation", "work_address", "office_phone")
    empty = dict.fromkeys((*work, "monthly_income", "other_bank_limits"))
    student = look(product="student", applicant_type="student", parties=[person(**empty)])
    assert {*empty, "credit_code", "main_card_number"} <= student.elsewhere
    assert student.needed == {
        *("name", "id_number", "id_issued", "id_expires", "mobile", "home_address")
    }
    salaried = look()
    of_passport = {"mrz", "chinese_name", "birth_date"}
    of_others = {
        prefix + name
        for prefix in ("holder_", "guardian_", "contact_")
        for name in (*of_passport, "nationality")
    }
    assert salaried.elsewhere == {"main_card_number", *of_passport, *of_others}
    assert {"employer", "monthly_income"} <= salaried.needed


def test_nothing_that_was_filled_in_is_left_away() -> None:
    student = look(product="student", applicant_type="student")
    assert not {"employer", "monthly_income"} & student.elsewhere


def test_a_card_without_end_needs_no_last_day() -> None:
    looked = look(parties=[person(id_expires=None, id_long_term=True)])
    assert "id_expires" not in looked.needed


@pytest.mark.parametrize(
    ("changed", "persons"),
    [
        ({}, frozenset()),
        ({"product": "supplementary", "applicant_type": "supplementary"}, {"holder_"}),
        (
            {
                "product": "supplementary",
                "applicant_type": "supplementary",
                "parties": [person(), person(role="supplementary_holder", id_number=CHILD)],
            },
            {"holder_", "guardian_"},
        ),
    ],
)
def test_other_persons_are_asked_for_where_they_are_needed(
    changed: dict[str, Any], persons: frozenset[str]
) -> None:
    assert look(**changed).persons == persons


def test_who_has_a_passport_is_asked_what_a_cards_number_tells() -> None:
    looked = look(parties=[foreigner(birth_date=None, nationality=None)])
    assert {"birth_date", "nationality"} <= looked.needed
    assert {name: mark.tone for name, mark in looked.marks.items()} == {
        "id_number": "warn",
        "birth_date": "missing",
        "nationality": "missing",
    }
    assert not {"mrz", "chinese_name", "birth_date"} & looked.elsewhere
    assert {"holder_mrz", "guardian_birth_date"} <= looked.elsewhere
    asked, _welcome = papers(looked.found.needs) if looked.found else ([], [])
    assert [one for one in asked if one[0] not in BESIDE] == [["passport_page"], ["stay_permit"]]


BESIDE = {"application_form_signed", "credit_authorization", "work_proof", "income_proof"}


@pytest.mark.parametrize("role", ["guardian", "supplementary_holder"])
def test_anybody_may_have_a_passport(role: str) -> None:
    prefix = {"guardian": "guardian_", "supplementary_holder": "holder_"}[role]
    other = foreigner(role=role, birth_date=None)
    looked = look(
        product="supplementary", applicant_type="supplementary", parties=[person(), other]
    )
    assert f"{prefix}birth_date" in looked.needed
    assert f"{prefix}mrz" not in looked.elsewhere
    assert "mrz" in looked.elsewhere


# -- what the number says --------------------------------------------------------------------------


def test_the_number_says_birth_sex_and_place() -> None:
    said = what_id_says(PartyForm.model_validate(person()), TODAY)
    assert said is not None
    assert (said.born, said.age, said.sex, said.place) == (date(1990, 5, 20), 36, "male", "11")


@pytest.mark.parametrize("number", ["", "123", ID_NUMBER[:17] + "0"])
def test_a_wrong_number_says_nothing(number: str) -> None:
    assert what_id_says(PartyForm.model_validate(person(id_number=number)), TODAY) is None


def test_a_card_of_15_characters_does_not_say_whom_one_writes_to() -> None:
    foreigner = person(id_number="USA110085030412", salutation=None, nationality=None)
    looked = look(parties=[foreigner])
    assert looked.suggested == {}
    said = looked.says[""]
    assert (said.born, said.sex, said.place) == (date(1985, 3, 4), None, "11")


def test_with_a_passport_the_form_says_birth_age_and_country() -> None:
    said = what_id_says(PartyForm.model_validate(foreigner(mrz=MRZ)), TODAY)
    assert said is not None
    assert (said.born, said.age, said.sex) == (date(1990, 5, 20), 36, "female")
    assert (said.place, said.country) == (None, "DEU")
    assert words.id_says(said).endswith("德国")
    for changed in ({"birth_date": None}, {"birth_date": date(2027, 1, 1)}):
        assert what_id_says(PartyForm.model_validate(foreigner(**changed)), TODAY) is None


def test_the_machine_readable_line_answers_what_is_empty() -> None:
    says = ("id_number", "nationality", "birth_date", "id_expires", "salutation")
    empty = foreigner(mrz=MRZ, **dict.fromkeys(says))
    assert look(parties=[empty]).suggested == {
        "id_number": "C01X00T47",
        "nationality": "DEU",
        "birth_date": "1990-05-20",
        "id_expires": "2030-02-28",
        "salutation": "ms",
    }
    assert look(parties=[{**empty, "nationality": "AUT"}]).suggested.keys() == {*says} - {
        "nationality"
    }
    wrong = {**empty, "mrz": MRZ[:-1] + "0"}
    assert look(parties=[wrong]).suggested == {}


def test_what_the_number_answers_is_suggested_for_empty_fields_alone() -> None:
    empty = person(salutation=None, nationality=None)
    assert look(parties=[empty]).suggested == {"salutation": "mr", "nationality": "CHN"}
    assert look(parties=[person(nationality="USA")]).suggested == {}


# -- papers ----------------------------------------------------------------------------------------


def test_papers_are_told_by_product_and_kind_of_applicant() -> None:
    found = look().found
    assert found is not None
    asked, welcome = papers(found.needs)
    assert ["work_proof"] in asked
    assert ["income_proof", "tax_proof", "social_security_proof"] in asked
    assert welcome == ["address_proof", "asset_proof"]


@pytest.mark.parametrize(("region", "asked"), [("31", True), ("11", False), (None, False)])
def test_who_works_elsewhere_proves_the_address(region: str | None, asked: bool) -> None:
    found = look(region, parties=[person(work_address="建设路十八号")]).found
    assert found is not None
    assert (["address_proof"] in papers(found.needs)[0]) is asked


def test_a_product_that_is_not_offered_yet_says_nothing() -> None:
    looked = look_at(form(), date(2020, 1, 1), REGION)
    assert (looked.marks, looked.found) == ({}, None)


# -- what was typed --------------------------------------------------------------------------------


def whole() -> ApplicationForm:
    holder = person(role="supplementary_holder", id_expires=None, id_long_term=True)
    return form(
        product="supplementary",
        applicant_type="supplementary",
        parties=[person(monthly_income="1234567"), holder, person(role="contact")],
        requested_limit={"minor": 2_000_000},
    )


def test_a_form_is_shown_as_it_was_typed_and_read_as_it_was() -> None:
    values = typed(whole())
    assert values["monthly_income"] == "12345.67"
    assert values["requested_limit"] == "20000"
    assert values["holder_id_long_term"] == "yes"
    kept = Kept("1101", "counter", whole().consent, None)
    assert read_form(values, NOW, kept) == whole()


def test_a_draft_keeps_branch_channel_and_the_time_of_a_consent() -> None:
    kept = Kept("3101", "web", form().consent, "earlier")
    read = read_form(sent(branch="1101"), NOW, kept)
    assert (read.branch, read.channel, read.reopens) == ("3101", "web", "earlier")
    assert read.consent == form().consent
    anew = read_form(sent(consent_day="2026-10-11"), NOW, kept).consent
    assert anew is not None
    assert anew != form().consent


def test_what_cannot_be_kept_is_named_and_the_rest_is_read() -> None:
    typed_wrong = sent(
        id_issued="yesterday", monthly_income="a lot", consent_day="1.1.", requested_limit="x"
    )
    read = read_in_part({**typed_wrong, "holder_id_expires": "never"}, NOW)
    assert set(read.faults) == {
        *("id_issued", "monthly_income", "consent_day", "requested_limit", "holder_id_expires")
    }
    assert read.form is not None
    assert read.form.applicant.name == form().applicant.name


def test_without_a_branch_everything_else_is_judged() -> None:
    read = read_in_part(sent(branch=""), NOW)
    assert set(read.faults) == {"branch"}
    assert read.form is not None


def test_a_product_that_nobody_knows_leaves_nothing_to_judge() -> None:
    read = read_in_part(sent(product="platinum"), NOW)
    assert read.form is None
    assert read.faults["product"] == "UNKNOWN_PRODUCT"


def test_a_correction_is_of_the_person_who_was_chosen() -> None:
    (party,) = read_correction(
        {"role": "supplementary_holder", "mobile": "13900001111"}, NOW
    ).parties
    assert party.fields() == {"mobile": "13900001111"}
    assert party.role == "supplementary_holder"


def test_a_correction_that_cannot_be_kept_says_of_which_fields() -> None:
    sent = {"role": "somebody", "monthly_income": "a lot", "consent_day": "yesterday"}
    with pytest.raises(ValidationError) as refused:
        read_correction(sent, NOW)
    assert set(faults_of(refused.value, sent)) == {"role", "monthly_income", "consent_day"}


def test_a_fault_of_the_form_as_a_whole_has_no_field() -> None:
    with pytest.raises(ValidationError) as refused:
        ApplicationForm.model_validate({**form().model_dump(), "parties": []})
    assert set(faults_of(refused.value, {})) == {""}


# -- papers by their files' names ------------------------------------------------------------------

ITEMS = tuple(load_checklist_items().items)


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("身份证正面.jpg", "id_front"),
        ("李某_身份证_反面.PNG", "id_back"),
        ("ID-Front.jpeg", "id_front"),
        ("2026-10 工资单.pdf", "income_proof"),
        ("bank_statement.pdf", "bank_statement"),  # longer than `statement`
        ("营业执照副本.pdf", "business_licence"),
        ("IMG_20261012_0931.jpg", None),
        ("正面反面.jpg", None),  # both say as much
        ("", None),
    ],
)
def test_a_file_is_taken_for_the_paper_that_its_name_says(name: str, item: str | None) -> None:
    assert guess_item(name, ITEMS) == item


def test_only_papers_of_the_list_are_guessed() -> None:
    assert guess_item("营业执照.pdf", ["id_front"]) is None


def test_no_word_stands_for_two_papers() -> None:
    words = [word for one in load_checklist_items().items.values() for word in one.file_words]
    assert len(words) == len(set(words))
    assert words == [word.lower() for word in words]


def test_every_province_has_a_name_in_both_languages() -> None:
    assert words.PLACES.keys() == PROVINCES.keys()
