"""Terms and limits are the product's: what its file says is what the office does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.intake import application as applications
from services.intake import cards
from services.intake.application import Application, Card, Scope, dues
from services.intake.rules import examine
from shared.events.intake import WantedItem
from shared.events.lifecycle import OWNERS, State
from shared.formats import make_synthetic_resident_id
from shared.messaging import Deadline
from shared.money import Money
from shared.parameters import UnknownVersionError, load, load_clocks, product_of
from shared.parameters.models import OwnTerms, Product
from tests.unit.intake.builders import REGION, TODAY, form, papers, person

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)  # a Monday


def application(state: State | None = None, **changed: Any) -> Application:
    product = product_of("standard")
    scope = Scope(
        "1", "1101", "11", "counter", "standard", product.version, "salaried", product.digest
    )
    return Application("a", state, scope=scope, state_since=NOW, **changed)


@pytest.fixture
def with_own_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The office with products that set terms of their own."""
    own = OwnTerms.model_validate(
        {
            "material": {"working_days": 4, "remind_working_days_before": 1},
            "draft_days": 7,
            "pre_check_working_days": 2,
            "first_contact_working_days": 1,
            "interview_days": 10,
            "activation_days": 20,
        }
    )
    found = product_of("standard").model_copy(update={"terms": own})
    monkeypatch.setattr(applications, "product_of", lambda *_: found)


def deadlines(effects: list[Any]) -> dict[str, str]:
    return {one.name: one.at.isoformat() for one in effects if isinstance(one, Deadline)}


def wanted(app: Application) -> dict[str, str]:
    item = WantedItem(item="work_proof", code="DOC_MISSING")
    return deadlines(applications.request_material(app, [item], NOW))


def test_terms_are_the_clocks_where_the_product_says_nothing() -> None:
    assert wanted(application(State.PRE_CHECK)) == {
        "material": "2026-10-26T15:59:59+00:00",
        "material-reminder": "2026-10-21T09:00:00+08:00",
    }
    assert applications.draft_ends(application(), NOW).date() == date(2026, 11, 11)


@pytest.mark.usefixtures("with_own_terms")
def test_a_products_own_terms_go_before_the_clocks() -> None:
    assert wanted(application(State.PRE_CHECK)) == {
        "material": "2026-10-16T15:59:59+00:00",
        "material-reminder": "2026-10-15T09:00:00+08:00",
    }
    assert applications.draft_ends(application(), NOW).date() == date(2026, 10, 19)


@pytest.mark.usefixtures("with_own_terms")
def test_a_delivered_card_waits_as_long_as_its_product_says() -> None:
    app = application(State.DELIVERED, card=Card("c", Money(minor=1), NOW))
    assert cards.activation_end(app, NOW).isoformat() == "2026-11-01T02:00:00+00:00"


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (State.DRAFT, {}),
        (State.PRE_CHECK, {"pre_check": date(2026, 10, 14)}),
        (State.AWAITING_MATERIAL, {"material": date(2026, 10, 30)}),
        (
            State.MANUAL_REVIEW,
            {"first_contact": date(2026, 10, 13), "interview": date(2026, 10, 22)},
        ),
        (State.DECLINED, {}),
    ],
)
@pytest.mark.usefixtures("with_own_terms")
def test_each_step_of_people_has_its_term(state: State, due: dict[str, date]) -> None:
    app = application(
        state, passed_at=NOW, material_deadline=datetime(2026, 10, 30, 15, 59, 59, tzinfo=UTC)
    )
    assert {step: at.date() for step, at in dues(app).items()} == due


def test_an_application_is_held_to_what_its_product_said() -> None:
    app = application()
    scope = app.need_scope()
    scope.product_digest = None  # begun before digests were kept
    found = applications.product_for(app).digest
    assert app.fields()["product_digest"] == found
    scope.product_digest = "0" * 64
    with pytest.raises(UnknownVersionError):
        applications.product_for(app)
    assert app.fields()["product_digest"] == "0" * 64


def test_the_lifecycle_is_silent_as_long_as_the_clocks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = load_clocks()
    limits = clocks.longest_silence
    shorter = limits.model_copy(
        update={"draft": limits.draft.model_copy(update={"days": 3, "unit": "working_days"})}
    )
    monkeypatch.setattr(
        "shared.events.lifecycle.load_clocks",
        lambda: clocks.model_copy(update={"longest_silence": shorter}),
    )
    assert str(OWNERS[State.DRAFT].silence) == "3 working days"
    assert str(OWNERS[State.DELIVERED].silence) == "64 days"


def changed(part: str, **fields: Any) -> Product:
    """The standard card with another parameter."""
    product = product_of("standard")
    if part == "form.fields":
        rules = product.form.fields.model_copy(update=fields)
        return product.model_copy(
            update={"form": product.form.model_copy(update={"fields": rules})}
        )
    inner = getattr(product, part).model_copy(update=fields)
    return product.model_copy(update={part: inner})


def codes(product: Product, **of_person: Any) -> set[str]:
    found = examine(
        form(parties=[person(**of_person)]), papers(), product, today=TODAY, region=REGION
    )
    return {one.code for one in found.wanted} | set(found.warnings)


@pytest.mark.parametrize(
    ("part", "fields", "of_person", "code"),
    [
        ("form.fields", {"employer_shortest": 10}, {}, "EMPLOYER_TOO_SHORT"),
        (
            "form.fields",
            {"employer_placeholders": ["恒远科技有限公司"]},
            {},
            "EMPLOYER_PLACEHOLDER",
        ),
        ("form.fields", {"virtual_operators": ["139"]}, {}, "MOBILE_VIRTUAL_OPERATOR"),
        ("form.fields", {"landline_digits": [7]}, {}, "OFFICE_PHONE_FORM"),
        ("form.fields", {"area_code_digits": [4]}, {}, "OFFICE_PHONE_FORM"),
        (
            "form.fields",
            {"office_phone_may_be_mobile": False},
            {"office_phone": "13800005678"},
            "OFFICE_PHONE_FORM",
        ),
        ("identity", {"term_tolerance_days": 0}, {"id_expires": date(2040, 2, 29)}, "ID_TERM"),
    ],
)
def test_the_limits_of_fields_are_the_products(
    part: str, fields: dict[str, Any], of_person: dict[str, Any], code: str
) -> None:
    assert codes(product_of("standard"), **of_person) == set()
    assert codes(changed(part, **fields), **of_person) == {code}


def test_the_length_of_an_address_is_the_products() -> None:
    length = product_of("standard").form.fields.address.model_copy(update={"shortest": 15})
    assert codes(changed("form.fields", address=length)) == {"ADDRESS_LENGTH"}


def test_needed_fields_bands_and_the_guardians_age_are_the_products() -> None:
    needed = {**product_of("standard").form.needed, "salaried": ["name", "id_number", "mobile"]}
    assert codes(changed("form", needed=needed), employer=None, monthly_income=None) == set()

    found = examine(
        form(), papers(), changed("bands", age=[30, 40], income=[0, 8000]), today=TODAY, region="11"
    )
    assert (found.age_band, found.income_band) == ("30-39", "8000+")

    youth = person(
        role="supplementary_holder",
        id_number=make_synthetic_resident_id("11", date(2009, 1, 2), 8),
        id_issued=date(2026, 2, 1),
        id_expires=date(2036, 2, 1),
    )
    card = form(product="supplementary", applicant_type="supplementary", parties=[person(), youth])
    handed_in = papers(["application_form_signed", "id_front", "id_back", "main_card_confirmation"])
    product = product_of("supplementary")
    grown_at_16 = product.model_copy(
        update={"identity": product.identity.model_copy(update={"minor_under": 16})}
    )
    for one, asked in ((product, ["guardian_consent"]), (grown_at_16, [])):
        found = examine(card, handed_in, one, today=TODAY, region=REGION)
        assert [item.item for item in found.wanted] == asked


def test_a_product_of_another_kind_of_applicant_asks_for_nothing() -> None:
    found = examine(
        form(product="student"), papers(), product_of("student"), today=TODAY, region=REGION
    )
    assert found.refusals == ("PRODUCT_NOT_FOR_APPLICANT",)
    assert found.wanted == ()
    assert load.held().on("student", TODAY) is not None
