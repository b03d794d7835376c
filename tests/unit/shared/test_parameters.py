"""The parameters that ship are whole; a broken file is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from shared.events.lifecycle import OWNERS
from shared.events.payload import ApplicantType
from shared.events.review import DeclineCategory
from shared.formats import FormatCode
from shared.parameters import (
    APPLICANT_TYPES,
    ParametersError,
    UnknownVersionError,
    load_calendar,
    load_checklist_items,
    load_clocks,
    load_phrases,
    load_products,
    load_return_codes,
    product_of,
)
from shared.parameters.held import SHIPPED
from shared.parameters.load import schemas
from shared.parameters.models import ChecklistItem, Clocks, LongestSilence, Product
from shared.parameters.reading import digest_of, read


def test_there_is_a_product_for_every_kind_of_applicant() -> None:
    products = load_products()
    assert sorted(products) == ["business", "gold", "standard", "student", "supplementary"]
    assert set(APPLICANT_TYPES) == {kind.value for kind in ApplicantType}
    assert {a for product in products.values() for a in product.applicants} == set(APPLICANT_TYPES)


def test_every_primary_card_needs_id_signature_and_consent() -> None:
    for product in load_products().values():
        for applicant, requirements in product.materials.items():
            asked = {
                item for line in requirements if line.need == "mandatory" for item in line.items
            }
            assert {"id_front", "id_back", "application_form_signed"} <= asked
            assert applicant == "supplementary" or "credit_authorization" in asked
            if applicant != "supplementary":
                assert product.applicants[applicant].youngest >= 18
            if applicant == "student":
                assert {"enrolment_proof", "second_repayment_guarantee"} <= asked


def test_every_code_category_state_and_item_has_its_words() -> None:
    assert set(FormatCode) <= load_return_codes().codes.keys()
    assert load_phrases().declines.keys() == {category.value for category in DeclineCategory}
    assert set(LongestSilence.model_fields) == {state.value for state in OWNERS}
    used = {
        item
        for product in load_products().values()
        for lines in product.materials.values()
        for line in lines
        for item in line.items
    }
    assert used == load_checklist_items().items.keys()
    assert load_calendar().version


def test_approved_words_contain_no_forbidden_one() -> None:
    phrases = load_phrases()
    for phrase in phrases.declines.values():
        assert not any(word in phrase.customer.zh for word in phrases.forbidden["zh"])
        assert not any(word in phrase.customer.en.lower() for word in phrases.forbidden["en"])
        assert "【" not in phrase.customer.zh


def test_an_unknown_product_or_version_is_never_guessed() -> None:
    assert product_of("standard", load_products()["standard"].version).product == "standard"
    for code, version in (("platinum", None), ("standard", "1999.1")):
        with pytest.raises(UnknownVersionError):
            product_of(code, version)


def test_the_digest_follows_the_content_and_not_the_comments(tmp_path: Path) -> None:
    original = (SHIPPED / "clocks.yaml").read_text(encoding="utf-8")
    changed = tmp_path / "clocks.yaml"
    changed.write_text("# another comment\n" + original, encoding="utf-8")
    assert read(changed, Clocks).digest == load_clocks().digest
    changed.write_text(
        original.replace("working_days: 10 ", "working_days: 9 ", 1), encoding="utf-8"
    )
    assert read(changed, Clocks).digest != load_clocks().digest
    assert len(digest_of({})) == 64


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("draft_days: 30", "draft_days: soon", "draft_days"),
        ("working_days: 10 ", "working_days: 0 ", "material.working_days"),
        ("remind_working_days_before: 3", "remind_working_days_before: 10", "material"),
        ("draft_days: 30", "draft_dayz: 30", "draft_dayz"),
        ("material:", "material: [", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_place(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    text = (SHIPPED / "clocks.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "clocks.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ParametersError, match=rf"clocks\.yaml:\d+:\d+: .*{place}"):
        read(path, Clocks)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (b"draft_days: 2026-02-30", "13:1: draft_days: is a day or a number that cannot be"),
        (b"draft_days: " + b"9" * 5000, "13:1: draft_days: is a day or a number that cannot be"),
        (b"draft_days: 3\x070", r"13:14: holds a character that nobody sees \(U\+0007\)"),
        ("draft_days: 30  # 草稿".encode("gb18030"), "13:1: is no text in UTF-8"),
        (b"draft_days: " + b"[" * 20_000 + b"]" * 20_000, "13:33: draft_days.*: lies too deep"),
    ],
)
def test_what_no_parameter_can_be_is_refused_with_its_line(
    tmp_path: Path, line: bytes, place: str
) -> None:
    path = tmp_path / "clocks.yaml"
    path.write_bytes(b"# nothing\n" * 12 + line + b"\n")
    with pytest.raises(ParametersError, match=rf"^clocks\.yaml:{place}"):
        read(path, Clocks)


@pytest.mark.parametrize(
    ("pre_check", "place"),
    [
        ({"other_than_entry": True}, "other_than_entry needs by: officer"),
        ({"by": "anybody"}, "pre_check.by"),
        ({"meeting": "perhaps"}, "pre_check.meeting"),
    ],
)
def test_a_pre_check_that_nobody_can_pass_is_refused(pre_check: object, place: str) -> None:
    content = load_products()["business"].model_dump() | {"pre_check": pre_check}
    with pytest.raises(ValidationError) as refused:
        Product.model_validate(content)
    assert place in str(refused.value).replace("\n", ".")


def test_what_the_law_asks_for_is_neither_waived_nor_signed_once_for_all() -> None:
    items = load_checklist_items().items
    for code in ("id_front", "id_back", "application_form_signed", "credit_authorization"):
        assert not items[code].waivable
    for code in ("application_form_signed", "credit_authorization", "guardian_consent"):
        assert not items[code].reusable
    assert all(items[code].shows == [] or items[code].reusable for code in items)


def test_an_item_shows_fields_of_the_form() -> None:
    content = load_checklist_items().items["work_proof"].model_dump() | {"shows": ["shoe_size"]}
    with pytest.raises(ValidationError, match="shoe_size"):
        ChecklistItem.model_validate(content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParametersError, match=r"none\.yaml"):
        read(tmp_path / "none.yaml", Product)


def test_the_schemas_that_ship_are_those_of_the_models_and_accept_the_files() -> None:
    for name, text in schemas().items():
        assert (SHIPPED / "schemas" / f"{name}.json").read_text(encoding="utf-8") == text
        files = (
            sorted((SHIPPED / "products").glob("*/*.yaml"))
            if name == "product"
            else [SHIPPED / f"{name}.yaml"]
        )
        assert files
        for path in files:
            content = json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str))
            jsonschema.validate(content, json.loads(text))
