"""The form: what can be stored at all, and that sealing and opening give the same form again."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intake.form import LONG_TERM, ApplicationForm, FormCorrection, PartyForm
from shared.events.payload import FIELD_CLASSES, PartyRole
from shared.parameters import load_return_codes
from shared.web.problems import field_errors
from tests.unit.intake.builders import form, person

texts = st.one_of(st.none(), st.text(min_size=1, max_size=60))
days = st.one_of(st.none(), st.dates(date(1990, 1, 1), date(2060, 1, 1)))
fen = st.one_of(st.none(), st.integers(0, 10**12).map(str))


@given(
    st.fixed_dictionaries(
        {
            **dict.fromkeys(
                ("name", "id_number", "mobile", "home_address", "employer", "office_phone"), texts
            ),
            "id_issued": days,
            "id_expires": days,
            "monthly_income": fen,
        }
    )
)
def test_what_is_sealed_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    before = PartyForm(role=PartyRole.APPLICANT, **fields)
    assert PartyForm.from_fields(before.role, before.fields()) == before


def test_a_card_without_end_comes_back_as_one() -> None:
    before = PartyForm(role=PartyRole.APPLICANT, id_issued=date(2020, 1, 1), id_long_term=True)
    assert before.fields()["id_expires"] == LONG_TERM
    assert PartyForm.from_fields(before.role, before.fields()) == before


def test_every_field_has_a_class_to_be_sealed_under() -> None:
    # of the device a digest is kept, and nothing else
    named = set(PartyForm.model_fields) - {"role", "id_long_term", "device"}
    assert named == set(FIELD_CLASSES)


def test_wrong_values_are_kept_for_the_rules() -> None:
    wrong = form(parties=[person(id_number="123", mobile="no", name="?")])
    assert wrong.applicant.fields()["id_number"] == "123"


@pytest.mark.parametrize(
    "content",
    [
        {"parties": []},
        {"parties": [person(role="guardian")]},
        {"parties": [person(), person()]},
        {"parties": [person(id_long_term=True)]},
        {"parties": [person(monthly_income="12,000")]},
        {"parties": [{**person(), "card_number": "6200000000000005"}]},
        {"branch": "11"},
        {"applicant_type": "prince"},
        {"surprise": 1},
    ],
)
def test_what_cannot_be_stored_is_refused_without_its_value(content: dict[str, Any]) -> None:
    sound = form().model_dump(mode="json")
    with pytest.raises(ValidationError) as refusal:
        ApplicationForm.model_validate({**sound, **content})
    assert "13900001234" not in str(refusal.value)
    assert "6200000000000005" not in str(refusal.value)


def test_the_card_is_the_supplementary_holders() -> None:
    parties = [person(), person(role="supplementary_holder", name="持卡人")]
    both = form(parties=parties, applicant_type="supplementary")
    assert both.applicant.name == "测试员"
    assert both.holder.name == "持卡人"
    # of any other card it is the applicant's, whoever else is named
    assert form(parties=parties).holder.name == "测试员"
    assert form().holder is not None
    assert form().holder.name == "测试员"


def test_a_correction_names_something() -> None:
    with pytest.raises(ValidationError):
        FormCorrection.model_validate({"parties": [{"role": "applicant"}]})
    named = FormCorrection.model_validate(
        {"parties": [{"role": "applicant", "mobile": "13900004321"}]}
    )
    assert named.parties[0].fields() == {"mobile": "13900004321"}


def test_a_product_that_the_bank_does_not_have_is_a_fault_of_the_field() -> None:
    with pytest.raises(ValidationError) as refused:
        form(product="platinum")
    (fault,) = field_errors(refused.value.errors())
    assert (fault.pointer, fault.code) == ("/product", "UNKNOWN_PRODUCT")
    assert fault.detail == load_return_codes().codes["UNKNOWN_PRODUCT"].mend.en
    assert "platinum" not in str(fault)


@pytest.mark.parametrize(
    "consent",
    [
        {"signed_at": "9999-12-31T23:00:00Z", "purpose": "信用卡审批"},
        {"signed_at": "0001-01-01T00:00:00+08:00", "purpose": "信用卡审批"},
        {"signed_at": "2026-10-12T00:00:00Z", "purpose": "\x00"},
        {"signed_at": "2026-10-12T00:00:00Z", "purpose": "用" * 201},
    ],
)
def test_a_consent_that_cannot_be_kept_is_refused(consent: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="consent"):
        form(consent=consent)
    with pytest.raises(ValidationError, match="consent"):
        FormCorrection.model_validate({"consent": consent})
