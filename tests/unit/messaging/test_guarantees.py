"""The page of guarantees names what is there: symbols, tests, faults and letters."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.checker import PROMISES
from tests.faults.faults import FAULTS

_PAGE = Path(__file__).parents[3] / "docs" / "guarantees.md"
_LINK = re.compile(r"\[(`?)([^\]`]+)`?\]\(([^)]+)\)")
_ROW = re.compile(r"^\| ([A-Z]) \|(.*)\|$", re.MULTILINE)


def test_every_promise_has_a_row_and_every_row_a_promise() -> None:
    assert [row[1] for row in _ROW.finditer(_PAGE.read_text())] == sorted(PROMISES)


def test_symbols_and_tests_are_where_the_page_says() -> None:
    links = list(_LINK.finditer(_PAGE.read_text()))
    assert len(links) > 40
    for _, code, name, path in (link.group(0, 1, 2, 3) for link in links):
        text = (_PAGE.parent / path).read_text()
        if code:
            owner, _, own = name.rpartition(".")
            assert re.search(rf"(def|^) ?{own}\b", text, re.MULTILINE), name
            assert not owner or f"class {owner}" in text, name
        else:
            assert f"def test_{name.replace(' ', '_')}(" in text, name


def test_faults_are_called_as_they_are_called() -> None:
    for row in _ROW.finditer(_PAGE.read_text()):
        faults = {name.strip() for name in row[2].split("|")[3].split(";")}
        assert faults <= FAULTS.keys() | {"all"}, row[1]
