"""What the product demands, held against what was handed over: what is missing, and what is not
asked for because nobody could know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.intake.form import ApplicationForm
from services.review import case as cases
from services.review.materials import CONSENT_ITEM, SECOND_SOURCE, missing_fields, missing_items
from shared.events.payload import Party, PartyRole
from shared.formats import make_synthetic_resident_id
from shared.parameters import Product, load_checklist_items
from shared.parameters.load import held
from shared.parameters.models import ApplicantTypeName, Condition
from tests.unit.intake import builders as intake_forms
from tests.unit.review.builders import FIELDS, PAPERS, SEALED, case, hand_over, paper

PRODUCTS: list[tuple[Product, ApplicantTypeName]] = [
    (one.product, applicant_type)
    for versions in held().products.values()
    for one in versions.values()
    for applicant_type in one.product.materials
]
STANDARD = next(one for one, _ in PRODUCTS if (one.product, one.version) == ("standard", "2026.2"))
FOR_CERTAIN = (Condition.ALWAYS, Condition.NOT_ON_FILE)
ADULT = "26-35"


def needed(
    product: Product, applicant_type: ApplicantTypeName, *, but: str = "", passport: bool = False
) -> set[str]:
    """Papers that fulfil everything that may be needed; of a group the last item."""
    kinds = (Condition.HOLDER_HAS_ID_CARD, Condition.HOLDER_HAS_PASSPORT)
    return {
        one.items[-1]
        for one in product.materials[applicant_type]
        if one.need != "optional" and one.when is not kinds[not passport]
    } - {but, CONSENT_ITEM}


def missing(
    product: Product = STANDARD,
    applicant_type: ApplicantTypeName = "salaried",
    *,
    handed: set[str],
    **changes: Any,
) -> list[tuple[str, ...]]:
    told = {"waived": (), "age_band": ADULT, "kind_named": False, **changes}
    return missing_items(product, applicant_type, handed=handed, **told)


def each_requirement() -> Iterator[Any]:
    for product, applicant_type in PRODUCTS:
        for one in product.materials[applicant_type]:
            certain = one.when in FOR_CERTAIN or one.when is Condition.HOLDER_HAS_ID_CARD
            if (
                certain
                and one.need != "optional"
                and not {CONSENT_ITEM, SECOND_SOURCE} & {*one.items}
            ):
                name = f"{product.product}-{product.version}-{applicant_type}-{one.items[-1]}"
                yield pytest.param(product, applicant_type, tuple(one.items), id=name)


@pytest.mark.parametrize(("product", "applicant_type"), PRODUCTS)
def test_what_the_product_demands_is_enough(
    product: Product, applicant_type: ApplicantTypeName
) -> None:
    assert missing(product, applicant_type, handed=needed(product, applicant_type)) == []


@pytest.mark.parametrize(("product", "applicant_type", "items"), list(each_requirement()))
def test_each_paper_that_is_always_needed_is_missed(
    product: Product, applicant_type: ApplicantTypeName, items: tuple[str, ...]
) -> None:
    handed = needed(product, applicant_type, but=items[-1])
    assert missing(product, applicant_type, handed=handed) == [items]
    for one in items:  # whichever of a group it is, and whether it is there or done without
        assert missing(product, applicant_type, handed=handed | {one}) == []
        assert missing(product, applicant_type, handed=handed, waived=[one]) == []


def test_the_consent_and_a_students_guarantee_are_asked_for_by_rules_of_their_own() -> None:
    student = next(one for one, kind in PRODUCTS if kind == "student")
    handed = needed(student, "student", but=SECOND_SOURCE)
    assert missing(student, "student", handed=handed) == []


def test_what_intake_did_not_say_it_does_without_is_not_asked_for() -> None:
    """A hand-over of before, or of another system, may have waived whatever may be waived."""
    items = load_checklist_items().items
    for product, applicant_type in PRODUCTS:
        asked = {one for group in missing(product, applicant_type, handed=set(), waived=None)
                 for one in group}  # fmt: skip
        assert "application_form_signed" in asked
        assert not any(items[one].waivable for one in asked)
    # nor what the bank had on file, which a hand-over of before did not list
    older = next(one for one, _ in PRODUCTS if (one.product, one.version) == ("standard", "2026.1"))
    assert missing(older, "existing_customer", handed=set(), waived=None) == [
        ("application_form_signed",)
    ]


@pytest.mark.parametrize(
    ("papers", "kind_named", "lacking"),
    [
        ({"passport_page", "stay_permit"}, True, []),
        ({"id_front", "id_back"}, True, []),
        ({"id_front", "id_back"}, False, []),
        ({"passport_page"}, True, [("stay_permit",)]),
        ({"id_front", "passport_page"}, True, [("id_back",)]),
        ({"passport_page", "stay_permit"}, False, [("id_front",), ("id_back",)]),
    ],
)
def test_an_id_is_there_as_a_whole_of_whichever_kind_it_may_be(
    papers: set[str], kind_named: bool, lacking: list[tuple[str, ...]]
) -> None:
    others = {"application_form_signed", "work_proof", "tax_proof"}
    assert missing(handed=others | papers, kind_named=kind_named) == lacking


def test_a_proof_of_address_is_not_asked_for_because_its_ground_is_sealed() -> None:
    assert missing(handed=needed(STANDARD, "salaried", but="address_proof")) == []


@pytest.mark.parametrize(
    ("age_band", "asked"), [("<18", True), ("18-25", False), ("unknown", False)]
)
def test_a_guardian_consents_for_who_is_a_minor_for_certain(age_band: str, asked: bool) -> None:
    card = next(one for one, kind in PRODUCTS if kind == "supplementary")
    handed = needed(card, "supplementary", but="guardian_consent")
    lacking = missing(card, "supplementary", handed=handed, age_band=age_band)
    assert lacking == ([("guardian_consent",)] if asked else [])


def test_a_band_in_which_not_everybody_is_a_minor_tells_nothing() -> None:
    card = next(one for one, kind in PRODUCTS if kind == "supplementary")
    bands = card.bands.model_copy(update={"age": [20, 30]})
    handed = needed(card, "supplementary", but="guardian_consent")
    other = card.model_copy(update={"bands": bands})
    assert missing(other, "supplementary", handed=handed, age_band="<20") == []


# -- the form -------------------------------------------------------------------------------------


def party(role: PartyRole, *fields: str) -> Party:
    return Party(party_id="p", person="q", role=role, fields=dict.fromkeys(fields, SEALED))


def test_each_field_that_the_form_needs_is_missed() -> None:
    assert missing_fields(STANDARD, "salaried", [party(PartyRole.APPLICANT, *FIELDS)]) == []
    for name in FIELDS:
        left = [one for one in FIELDS if one != name]
        assert missing_fields(STANDARD, "salaried", [party(PartyRole.APPLICANT, *left)]) == [
            (PartyRole.APPLICANT, name)
        ]


def test_of_anybody_else_what_is_needed_of_them_is_asked() -> None:
    parties = [
        party(PartyRole.APPLICANT, *FIELDS),
        party(PartyRole.CONTACT, "name"),
        party(PartyRole.GUARDIAN, "name", "id_number", "mobile"),
    ]
    assert missing_fields(STANDARD, "salaried", parties) == [(PartyRole.CONTACT, "mobile")]


# -- of a case ------------------------------------------------------------------------------------


def test_a_paper_of_an_earlier_application_counts_as_its_own() -> None:
    subject = case()
    own = [paper(item) for item in PAPERS if item != "work_proof"]
    subject.hand_over = hand_over(documents=own)
    assert cases.missing_items(subject) == [("work_proof",)]
    taken = paper("work_proof").model_copy(update={"taken_from": "earlier"})
    subject.hand_over = hand_over(documents=[*own, taken])
    assert cases.missing_items(subject) == []


def test_what_an_applicant_of_another_kind_needs_is_not_asked() -> None:
    subject = case()
    scope = replace(subject.need_scope(), applicant_type="asset_owner")
    subject.scope = scope
    assert cases.missing_items(subject) == [("asset_proof",)]


@pytest.mark.parametrize(
    ("id_type", "age_band", "lacking"),
    [
        (True, "18-25", []),
        (False, "18-25", [("id_front",), ("id_back",)]),
        (True, "<18", [("guardian_consent",)]),
    ],
)
def test_id_and_age_are_those_of_who_will_hold_the_card(
    id_type: bool, age_band: str, lacking: list[tuple[str, ...]]
) -> None:
    """Of a supplementary card the main cardholder's own passport says nothing."""
    subject = case()
    subject.scope = replace(
        subject.need_scope(),
        product="supplementary",
        product_version="2026.2",
        applicant_type="supplementary",
    )
    kind = ("id_type",) if id_type else ()
    items = ("application_form_signed", "main_card_confirmation", "passport_page", "stay_permit")
    subject.hand_over = hand_over(
        applicant_type="supplementary",
        age_band=age_band,
        documents=[paper(item) for item in items],
        parties=[
            party(PartyRole.APPLICANT, "id_type"),
            party(PartyRole.SUPPLEMENTARY_HOLDER, *kind),
        ],
    )
    assert cases.missing_items(subject) == lacking


# -- beside intake ---------------------------------------------------------------------------------

GROWN, YOUNG = date(1990, 5, 20), date(2010, 5, 20)


def forms() -> Iterator[Any]:
    """Complete forms of everybody for whom there is a product, by ID card and by passport, grown up
    or not."""
    for product, applicant_type in PRODUCTS:
        for passport in (False, True) if product.identity.passport else (False,):
            for born in (GROWN, YOUNG) if applicant_type == "supplementary" else (GROWN,):
                number = make_synthetic_resident_id("11", born, 123)
                holder = (
                    intake_forms.foreigner(birth_date=born)
                    if passport
                    else intake_forms.person(id_number=number)
                )
                parties = [holder]
                if applicant_type == "supplementary":
                    parties = [intake_forms.person(), holder | {"role": "supplementary_holder"}]
                if born is YOUNG:
                    parties.append(intake_forms.person(role="guardian"))
                form = intake_forms.form(
                    parties=parties, product=product.product, applicant_type=applicant_type
                )
                kind = "passport" if passport else "card"
                name = f"{product.product}-{product.version}-{applicant_type}-{kind}-{born.year}"
                yield pytest.param(product, applicant_type, form, id=name)


def lacking(product: Product, form: ApplicationForm, items: set[str]) -> set[str]:
    """The papers that intake asks for beside these."""
    found = intake_forms.look(form, intake_forms.papers(items), product=product)
    return {one.item for one in found.wanted if one.code == "DOC_MISSING"}


@pytest.mark.parametrize(("product", "kind", "form"), list(forms()))
def test_what_intake_hands_over_is_never_missed(
    product: Product, kind: ApplicantTypeName, form: ApplicationForm
) -> None:
    """Nothing more than intake asks for: an obstacle that is none would stop a right approval."""
    items: set[str] = set()
    while more := lacking(product, form, items):
        items |= more
    told = intake_forms.look(form, intake_forms.papers(items), product=product)
    assert not [one for one in told.wanted if one.code in ("DOC_MISSING", "EMPTY")]
    parties = [party(one.role, *one.fields()) for one in form.parties]
    known = {
        "age_band": told.age_band,
        "kind_named": "id_type" in form.holder.fields(),
    }
    assert missing(product, kind, handed=items, **known) == []
    assert missing_fields(product, kind, parties) == []
    for one in items - {SECOND_SOURCE, "address_proof"}:
        assert missing(product, kind, handed=items - {one}, **known), one
