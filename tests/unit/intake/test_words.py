"""The pages' words: everything has a Chinese text, every code a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.intake import words
from services.intake.application import Entry
from services.intake.batch import COLUMNS, LARGEST_TABLE, read_batch
from services.intake.items import Change, ItemState
from services.intake.precheck import Obstacle
from services.intake.spreadsheet import BatchRefused
from shared.events.payload import FIELD_CLASSES, CreditConsent, PartyRole
from shared.parameters import load_checklist_items, load_return_codes
from shared.web import i18n
from tests.unit.intake.test_batch import NO_TABLES, WRONG_CELLS

PACKAGE = Path(__file__).parents[3] / "services" / "intake"
SHARED = Path(i18n.__file__).parent / "locale"


def test_every_text_has_a_chinese_one() -> None:
    assert [str(found) for found in i18n.untranslated(PACKAGE, [SHARED])] == []


def test_everything_that_is_shown_has_a_name() -> None:
    assert set(words.FIELDS) == set(FIELD_CLASSES)
    assert set(words.ROLES) == {role.value for role in PartyRole}


def test_items_and_reasons_are_told_in_the_readers_language() -> None:
    i18n.load([SHARED, PACKAGE / "locale"])
    for language, name, why in (
        ("zh-CN", "身份证人像面", "手机：手机号码格式有误 · 请填写 11 位手机号码"),
        ("en", "ID card, portrait side", "Mobile: Mobile number has the wrong form"),
    ):
        with i18n.in_language(language):
            assert words.item_name("id_front") == name
            assert words.reason("MOBILE_FORM", "mobile").startswith(why)
            assert all(words.item_name(code) != code for code in load_checklist_items().items)
            assert all(words.reason(code, None) != code for code in load_return_codes().codes)


def test_a_line_of_the_history_names_who_and_what() -> None:
    i18n.load([SHARED, PACKAGE / "locale"])
    at = datetime(2026, 10, 12, tzinfo=UTC)
    entry = Entry(at, "staff:A1", "paper_received", {"item": "id_front", "number": "7"})
    with i18n.in_language("en"):
        told = words.happening(entry, {"A1": "Lin"})
    assert (told["title"], told["actor"]) == ("Paper received", "Lin")
    assert told["detail"] == "ID card, portrait side · 7"
    wanted = Entry(at, "intake", "material_requested", {"items": [{"item": "id_back"}]})
    with i18n.in_language("zh-CN"):
        told = words.happening(wanted, {})
    assert (told["title"], told["actor"]) == ("要求补件", "系统自动")
    assert told["detail"] == "身份证国徽面"
    by_machine = Entry(at, "client:branch-terminal", "submitted")
    with i18n.in_language("zh-CN"):
        assert words.happening(by_machine, {})["actor"] == "网点终端"


def test_no_code_is_shown_where_a_thing_has_a_name() -> None:
    names = {"3101": "滨江支行"}
    assert in_both(lambda: words.field_value("nationality", "CHN", clear=False)) == {
        "zh-CN": "中国",
        "en": "China",
    }
    assert in_both(lambda: words.branches(["3101", "9999"], names))["zh-CN"] == "滨江支行、9999"
    assert in_both(lambda: words.branches(["*"], names)) == {
        "zh-CN": "全部网点",
        "en": "all branches",
    }


def test_a_consent_that_names_a_day_alone_is_told_without_an_hour() -> None:
    paper = CreditConsent(signed_at=datetime(2026, 11, 8, 16, 0, tzinfo=UTC), purpose="信用卡审批")
    assert in_both(lambda: words.consent(paper))["en"] == "signed 2026-11-09"
    online = paper.model_copy(update={"signed_at": datetime(2026, 11, 9, 1, 30, tzinfo=UTC)})
    assert in_both(lambda: words.consent(online))["en"] == "signed 2026-11-09 09:30"


def in_both(told: Callable[[], str]) -> dict[str, str]:
    """{language: words}."""
    i18n.load([SHARED, PACKAGE / "locale"])
    found = {}
    for language in i18n.LANGUAGES:
        with i18n.in_language(language):
            found[language] = told()
    return found


@pytest.mark.parametrize(("content", "code"), NO_TABLES, ids=[code for _, code in NO_TABLES])
def test_a_file_that_is_no_table_is_told_in_both_languages(content: bytes, code: str) -> None:
    with pytest.raises(BatchRefused) as refused:
        read_batch(content, branch="1101")
    assert refused.value.code == code
    told = in_both(lambda: words.no_table(refused.value))
    assert told["zh-CN"] != told["en"]
    assert "%(" not in str(told)
    if code == "too-many-rows":
        assert all(f"{LARGEST_TABLE:,}" in text for text in told.values())
    if code == "missing-column":
        assert "申请人类型" in told["zh-CN"]
        assert "applicant_type" in told["en"]


@pytest.mark.parametrize(("column", "code"), sorted({(c, code) for c, _, code in WRONG_CELLS}))
def test_what_is_wrong_with_a_row_is_told_in_both_languages(column: str, code: str) -> None:
    told = in_both(lambda: f"{words.column(column)} {words.row_problem(column, code)}")
    assert told["zh-CN"].startswith(COLUMNS[column])
    assert told["en"].startswith(column)
    assert told["zh-CN"] != told["en"]
    kept = in_both(lambda: words.row_problem(column, "no such code"))
    assert told["en"].removeprefix(f"{column} ") != kept["en"]


@pytest.mark.parametrize(
    "one",
    [
        Obstacle("item-open", "applicant", "id_back", "DOC_MISSING"),
        Obstacle("item-unchecked", "applicant", "id_back"),
        Obstacle("waiver-unanswered", "applicant", "id_back"),
        Obstacle("refused", detail="COOL_DOWN"),
        Obstacle("no-consent", detail="NO_CREDIT_AUTH"),
        Obstacle("no-meeting"),
        Obstacle("entered-by-same-person"),
        Obstacle("nothing-open"),
    ],
    ids=lambda one: str(one.code),
)
def test_what_stands_in_the_way_is_told_in_both_languages(one: Obstacle) -> None:
    told = in_both(lambda: words.obstacle(one))
    assert told["zh-CN"] != told["en"]
    assert "%(" not in str(told)


def test_a_change_of_the_checklist_names_what_why_and_both_people() -> None:
    at = datetime(2026, 10, 12, tzinfo=UTC)
    waived = Change(
        "applicant", "work_proof", at, "staff:A1", "moved", ItemState.WANTED, ItemState.WAIVED,
        why="COVERED_BY_OTHER", second="staff:A2",
    )  # fmt: skip
    asked = replace(waived, action="asked", state=ItemState.RETURNED, codes=("NO_STAMP",), why=None)
    i18n.load([SHARED, PACKAGE / "locale"])
    with i18n.in_language("en"):
        told = words.change(waived, {"A1": "Lin", "A2": "He"}, "a remark")
        told_asked = words.change(asked, {"A1": "Lin", "A2": "He"}, None)
    assert (told["title"], told["actor"]) == ("Proof of work · Waived", "Lin, He")
    assert told["detail"] == "Another paper proves the same · a remark"
    assert told_asked["title"] == "Proof of work · the customer was asked"
    assert told_asked["detail"] == "No stamp"


def test_reasons_are_offered_in_the_readers_language() -> None:
    for offered in (words.reasons_of_papers, words.waiver_reasons, words.ask_again_reasons):
        told = in_both(lambda offered=offered: str(offered()))  # type: ignore[misc]
        assert told["zh-CN"] != told["en"]
    assert "REVIEW_WISH" not in dict(words.ask_again_reasons())  # that is review's to say


@pytest.mark.parametrize("code", ["unknown-branch", "calendar-ends", "erased", "key-reused"])
def test_a_row_that_the_desk_refuses_is_told_in_both_languages(code: str) -> None:
    told = in_both(lambda: words.row_problem("", code))
    assert told["zh-CN"] != told["en"]
