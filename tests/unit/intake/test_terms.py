"""Terms and limits are the product's: what its file says is what the office does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.intake import application as applications
from services.intake import cards
from services.intake.application import Application, Card, Scope, dues, publish, waited_until
from services.intake.rules import examine
from shared.calendar import CalendarEndsError, last_known_year
from shared.events import intake, review
from shared.events.intake import Meeting, WantedItem
from shared.events.lifecycle import OWNERS, State
from shared.events.payload import CreditConsent, Party, PartyRole, Payload
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


def in_pre_check() -> Application:
    app = application(State.PRE_CHECK, submitted_at=NOW)
    app.consent = CreditConsent(signed_at=NOW, purpose="信用卡审批")
    app.parties = [Party(party_id="p", person="q", role=PartyRole.APPLICANT, fields={})]
    return app


def review_says(app: Application, payload: type[Payload], at: datetime) -> None:
    event = SimpleNamespace(
        type=payload.type,
        data=payload.model_construct(),
        time=at,
        state_version=app.state_version + 1,
    )
    applications.follow(app, event)


@pytest.fixture
def with_own_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The office with products that set terms of their own."""
    own = OwnTerms.model_validate(
        {
            "material": {"working_days": 4, "remind_working_days_before": 1},
            "draft_days": 7,
            "draft_remind_days_before": 2,
            "pre_check_working_days": 2,
            "first_contact_working_days": 1,
            "interview_days": 10,
            "activation_days": 20,
            "activation_remind_days_before": 5,
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
    assert deadlines(applications.draft_term(application(), NOW)) == {
        "draft": "2026-11-11T15:59:59+00:00",  # the last day is whole
        "draft-reminder": "2026-11-04T01:00:00+00:00",
    }
    assert deadlines(cards.activation_term(application(), NOW, NOW)) == {
        "activation": "2026-12-14T15:59:59+00:00",  # and three days for late facts
        "activation-reminder": "2026-11-27T01:00:00+00:00",
    }


@pytest.mark.usefixtures("with_own_terms")
def test_a_products_own_terms_go_before_the_clocks() -> None:
    assert wanted(application(State.PRE_CHECK)) == {
        "material": "2026-10-16T15:59:59+00:00",
        "material-reminder": "2026-10-15T09:00:00+08:00",
    }
    assert deadlines(applications.draft_term(application(), NOW)) == {
        "draft": "2026-10-19T15:59:59+00:00",
        "draft-reminder": "2026-10-17T01:00:00+00:00",
    }
    assert deadlines(cards.activation_term(application(), NOW, NOW)) == {
        "activation": "2026-11-04T15:59:59+00:00",
        "activation-reminder": "2026-10-27T01:00:00+00:00",
    }


def test_a_term_that_is_no_longer_than_its_reminder_comes_before_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A product may set a short term and leave the reminder to the clocks."""
    own = OwnTerms(draft_days=7, activation_days=14)
    found = product_of("standard").model_copy(update={"terms": own})
    monkeypatch.setattr(applications, "product_of", lambda *_: found)
    assert deadlines(applications.draft_term(application(), NOW)).keys() == {"draft"}
    activation = deadlines(cards.activation_term(application(), NOW, NOW))
    assert activation.keys() == {"activation"}


def test_who_hears_late_of_the_delivery_is_still_reminded_while_it_helps() -> None:
    late = NOW + timedelta(days=55)  # of sixty
    term = deadlines(cards.activation_term(application(State.DELIVERED), NOW, late))
    assert term["activation-reminder"] == "2026-11-27T01:00:00+00:00"  # at once, then
    app = application(State.DELIVERED, due_at=late)
    assert applications.on_activation_reminder(app, late - timedelta(seconds=1)) != []
    assert applications.on_activation_reminder(app, late) == []


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (State.DRAFT, {"step": date(2026, 10, 19)}),
        (State.PRE_CHECK, {"step": date(2026, 10, 14)}),
        (State.AWAITING_MATERIAL, {"step": date(2026, 10, 30)}),
        (
            State.MANUAL_REVIEW,
            {
                "step": date(2026, 10, 26),
                "first_contact": date(2026, 10, 13),
                "interview": date(2026, 10, 22),
            },
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


def test_who_was_spoken_with_need_not_be_called() -> None:
    app = application(State.MANUAL_REVIEW, passed_at=NOW)
    assert "first_contact" in dues(app)
    for at in (NOW, NOW + timedelta(days=1)):
        applications.record_contact(app, "staff:s", at)
    assert app.contacted_at == NOW  # the first time counts
    assert [one.action for one in app.entries] == ["contacted"]
    assert "first_contact" not in dues(app)
    with pytest.raises(applications.ApplicationError):
        applications.record_contact(application(State.PRE_CHECK), "staff:s", NOW)


def test_who_was_met_need_not_be_invited() -> None:
    app = application(State.CHECKING, passed_at=NOW)
    assert "interview" in dues(app)
    app.meeting = Meeting(
        saw_person=True, saw_original=True, saw_signing=True, staff_id="s", at=NOW, evidence=["d"]
    )
    assert "interview" not in dues(app)


@pytest.mark.parametrize("state", [State.CHECKING, State.SCORING, State.MANUAL_REVIEW])
def test_a_hold_does_not_show_by_its_deadline(state: State) -> None:
    """反洗钱法 35: what lies with compliance looks like what lies with a reviewer."""
    seen = [
        applications.step_due(application(one, passed_at=NOW, review_due=NOW + timedelta(days=9)))
        for one in (state, State.ON_HOLD)
    ]
    assert seen == [NOW + timedelta(days=9)] * 2


def test_review_has_its_term_from_the_first_hand_over_on() -> None:
    app = in_pre_check()
    applications.hand_over(app, NOW)
    assert app.due_at == app.review_due == datetime(2026, 10, 26, 15, 59, 59, tzinfo=UTC)
    review_says(app, review.ChecksCompleted, NOW + timedelta(days=1))
    review_says(app, review.ApplicationReferred, NOW + timedelta(days=1))
    assert app.due_at == app.review_due
    review_says(app, review.MaterialWanted, NOW + timedelta(days=2))
    item = WantedItem(item="work_proof", code="DOC_MISSING")
    applications.request_material(app, [item], NOW + timedelta(days=2))
    assert app.due_at == app.material_deadline
    publish(app, intake.MaterialCompleted(**app.fields()), NOW + timedelta(days=4))
    assert app.due_at == datetime(2026, 10, 27, 15, 59, 59, tzinfo=UTC)  # the office's seven
    applications.hand_over(app, NOW + timedelta(days=4))
    # two working days later: so long the customer was awaited
    assert app.due_at == datetime(2026, 10, 28, 15, 59, 59, tzinfo=UTC)


def test_whom_everybody_waited_for_is_recorded_at_each_change() -> None:
    app = application()
    publish(app, intake.ApplicationDrafted(**app.fields(), entered_by="staff:s"), NOW)
    assert app.waited == {"customer": 0, "bank": 0, "partner": 0}
    app.state, app.state_since = State.PRE_CHECK, NOW
    item = WantedItem(item="work_proof", code="DOC_MISSING")
    applications.request_material(app, [item], NOW + timedelta(hours=1))
    assert app.waited == {"customer": 0, "bank": 3600, "partner": 0}
    publish(app, intake.MaterialCompleted(**app.fields()), NOW + timedelta(hours=49))
    assert app.waited == {"customer": 48 * 3600, "bank": 3600, "partner": 0}
    later = waited_until(app, NOW + timedelta(hours=50))
    assert later == {"customer": 48 * 3600, "bank": 7200, "partner": 0}
    assert app.waited["bank"] == 3600

    older = application(State.PRE_CHECK)  # begun before it was counted
    applications.request_material(older, [item], NOW + timedelta(hours=1))
    assert older.waited is None
    assert waited_until(older, NOW) == {}


def test_a_late_fact_of_an_earlier_time_takes_nothing_from_what_was_waited() -> None:
    app = application(State.POSTED, waited={"customer": 5, "bank": 6, "partner": 7})
    app.card = Card("c", Money(minor=1), NOW)
    told = intake.CardDelivered(**app.fields(), card_id="c")
    publish(app, told, NOW, time=NOW - timedelta(days=1))
    assert app.waited == {"customer": 5, "bank": 6, "partner": 7}


def test_where_the_calendar_ends_the_office_has_a_deadline_and_the_customer_is_told_none() -> None:
    last = datetime(last_known_year(), 12, 28, 2, tzinfo=UTC)
    app = in_pre_check()
    app.state_since = last
    assert applications.step_due(app) == last + timedelta(days=11)  # about seven working days
    item = WantedItem(item="work_proof", code="DOC_MISSING")
    with pytest.raises(CalendarEndsError):
        applications.request_material(app, [item], last)
    applications.hand_over(app, last)
    assert app.due_at == last + timedelta(days=15)


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
    minors = {("guardian_consent", "DOC_MISSING"), ("application_form_signed", "GUARDIAN_MISSING")}
    for one, asked in ((product, minors), (grown_at_16, set())):
        found = examine(card, handed_in, one, today=TODAY, region=REGION)
        assert {(item.item, item.code) for item in found.wanted} == asked


def test_a_product_of_another_kind_of_applicant_asks_for_nothing() -> None:
    found = examine(
        form(product="student"), papers(), product_of("student"), today=TODAY, region=REGION
    )
    assert found.refusals == ("PRODUCT_NOT_FOR_APPLICANT",)
    assert found.wanted == ()
    assert load.held().on("student", TODAY) is not None
