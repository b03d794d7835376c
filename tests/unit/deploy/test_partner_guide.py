"""The partner guide: whole in both languages, and its examples need nothing of ours."""

from __future__ import annotations

import ast
import re
import sys
from datetime import date

import pytest

from deploy import partner_guide
from deploy.partner_guide import FOLDER, GUIDES, TABLES, UnknownTableError, with_tables
from services.intake.answers import CODES, REFUSALS
from shared.events.catalog import PARTNERS
from shared.events.payload import FIELD_CLASSES
from shared.formats import check_resident_id
from shared.parameters import load_checklist_items, load_papers, load_return_codes

TEXTS = {language: (FOLDER / name).read_text(encoding="utf-8") for language, name in GUIDES.items()}
_THEIRS = {"confluent_kafka", "joserfc"}


def test_both_guides_have_every_table_in_the_same_places() -> None:
    asked = {
        language: re.findall(r"<!-- table: (\w+) -->", text) for language, text in TEXTS.items()
    }
    assert asked["en"] == asked["zh-CN"]
    assert sorted(asked["en"]) == sorted(TABLES)


def test_both_guides_have_the_same_parts() -> None:
    parts = [re.findall(r"^(#+) ", text, re.MULTILINE) for text in TEXTS.values()]
    assert parts[0] == parts[1]
    rows = {language: text.count("\n|") for language, text in TEXTS.items()}
    assert rows["en"] == rows["zh-CN"]


@pytest.mark.parametrize("language", GUIDES)
def test_a_guide_names_every_type_code_item_and_field(language: str) -> None:
    named = set(re.findall(r"`([^`\n]+)`", TEXTS[language]))
    types = {one.type for partner in PARTNERS for one in (*partner.sends, *partner.receives)}
    papers = {code for code, item in load_checklist_items().items.items() if item.upload}
    files = {f"DOCUMENT_{one.upper()}" for one in load_papers().refusals}
    codes = {*CODES, *REFUSALS, *files, *load_return_codes().codes}
    assert types | papers | codes | FIELD_CLASSES.keys() <= named


@pytest.mark.parametrize("language", GUIDES)
def test_a_guide_leads_nowhere_that_is_not(language: str) -> None:
    text = TEXTS[language]
    heads = {
        re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-")
        for head in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in heads, target
        elif "://" not in target:
            assert (FOLDER / target).exists(), target


@pytest.mark.parametrize("language", GUIDES)
def test_the_tables_are_written_whole(language: str) -> None:
    assert with_tables(TEXTS[language], language) == TEXTS[language]
    for name, rows in TABLES.items():
        head, *body = rows(language)
        assert body, name
        assert all(len(row) == len(head) for row in body), name


def test_a_table_that_nobody_writes_is_refused() -> None:
    with pytest.raises(UnknownTableError, match="'prices'"):
        with_tables("<!-- table: prices -->\n<!-- end -->\n", "en")


def test_a_bar_in_a_cell_ends_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("a",), ("b|c",)]
    monkeypatch.setitem(partner_guide.TABLES, "bars", lambda _language: rows)
    asked = "<!-- table: bars -->\nold\n<!-- end -->\n"
    assert with_tables(asked, "en") == (
        "<!-- table: bars -->\n| a |\n| --- |\n| b\\|c |\n<!-- end -->\n"
    )


def test_the_made_up_people_pass_every_check_and_are_nobody() -> None:
    numbers = set(re.findall(r"\b\d{17}[\dX]\b", TEXTS["en"]))
    numbers = {number for number in numbers if number[6:10] == "1991"}
    assert len(numbers) > 10
    for number in numbers:
        assert number[2:6] == "9999"
        assert check_resident_id(number, date(2026, 10, 12)) == []


@pytest.mark.parametrize("name", ["send.py", "seal.py"])
def test_the_examples_import_nothing_of_ours(name: str) -> None:
    source = (FOLDER / name).read_text(encoding="utf-8")
    assert source.count("\n") <= 150
    imported = {
        found.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for found in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names | _THEIRS
