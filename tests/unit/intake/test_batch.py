"""A branch's table: read whatever spreadsheets write, refuse what cannot be meant."""

from __future__ import annotations

import contextlib
import csv
import io
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from services.intake.batch import COLUMNS, LARGEST_TABLE, BatchRefused, Row, read_batch, template
from tests.unit.intake.builders import ID_NUMBER

CELLS: dict[str, Any] = {
    "name": "测试员",
    "salutation": "先生",
    "id_number": ID_NUMBER,
    "id_issued": "2020-03-01",
    "id_expires": "2040/3/1",
    "mobile": "13900001234",
    "email": "",
    "home_address": "北京市城东区建设路1号",
    "employer": "恒远科技有限公司",
    "occupation": "工程师",
    "work_address": "北京市城东区人民路2号",
    "office_phone": "010-66001234",
    "monthly_income_yuan": "12,000.50",
    "other_bank_limits_yuan": "0",
    "applicant_type": "salaried",
    "product": "standard",
    "requested_limit_yuan": "20000",
    "consent_date": "2026年10月12日",
}


def as_csv(*rows: dict[str, Any], encoding: str = "utf-8", chinese: bool = True) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS.values() if chinese else COLUMNS)
    writer.writerows([[row[name] for name in COLUMNS] for row in rows])
    return text.getvalue().encode(encoding)


def as_workbook(*rows: dict[str, Any]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    for row in rows:
        sheet.append([row[name] for name in COLUMNS])
    binary = io.BytesIO()
    book.save(binary)
    return binary.getvalue()


def one(content: bytes) -> Row:
    (row,) = read_batch(content, branch="1101")
    return row


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("chinese", [True, False])
def test_a_row_becomes_a_form(encoding: str, chinese: bool) -> None:
    row = one(as_csv(CELLS, encoding=encoding, chinese=chinese))
    assert row.number == 2
    assert row.problems == ()
    assert row.form is not None
    assert row.form.branch == "1101"
    assert row.form.channel == "batch"
    applicant = row.form.applicant
    assert applicant.name == "测试员"
    assert applicant.salutation == "mr"
    assert applicant.id_expires == date(2040, 3, 1)
    assert applicant.monthly_income == "1200050"
    assert applicant.email is None
    assert row.form.requested_limit is not None
    assert row.form.requested_limit.minor == 2_000_000
    assert row.form.consent is not None
    assert row.form.consent.purpose == "信用卡审批"
    assert row.form.consent.signed_at.isoformat() == "2026-10-11T16:00:00+00:00"  # midnight here


def test_a_workbook_says_the_same_as_a_csv() -> None:
    typed = {
        **CELLS,
        "id_issued": datetime(2020, 3, 1),  # noqa: DTZ001 - as a spreadsheet holds a day
        "mobile": 13900001234.0,
        "monthly_income_yuan": 12000.5,
    }
    assert one(as_workbook(typed)).form == one(as_csv(CELLS)).form


def test_a_card_without_end() -> None:
    row = one(as_csv({**CELLS, "id_expires": "长期"}))
    assert row.form is not None
    assert row.form.applicant.id_long_term
    assert row.form.applicant.id_expires is None


WRONG_CELLS = [
    ("id_issued", "yesterday", "DATE_FORM"),
    ("monthly_income_yuan", "a lot", "AMOUNT_FORM"),
    ("monthly_income_yuan", "-1", "AMOUNT_FORM"),
    ("monthly_income_yuan", "0.001", "AMOUNT_FORM"),
    ("monthly_income_yuan", "Infinity", "AMOUNT_FORM"),
    ("applicant_type", "prince", "UNKNOWN_WORD"),
    ("applicant_type", "", "EMPTY"),
    ("product", "", "EMPTY"),
    ("salutation", "Sir", "UNKNOWN_WORD"),
    ("product", "platinum", "UNKNOWN_PRODUCT"),
    ("employer", "司" * 201, "string_too_long"),
]


@pytest.mark.parametrize(("column", "cell", "code"), WRONG_CELLS)
def test_a_wrong_cell_is_named_and_the_other_rows_go_on(column: str, cell: str, code: str) -> None:
    bad, good = read_batch(as_csv({**CELLS, column: cell}, CELLS), branch="1101")
    assert bad.form is None
    assert [(problem.field, problem.code) for problem in bad.problems] == [(column, code)]
    assert good.form is not None
    if cell:
        assert cell not in str(bad.problems)


def test_an_id_in_a_number_cell_is_refused() -> None:
    row = one(as_workbook({**CELLS, "id_number": 119999199005201230}))
    assert [(problem.field, problem.code) for problem in row.problems] == [
        ("id_number", "NUMBER_CELL")
    ]


def test_everything_wrong_with_a_row_is_told_at_once() -> None:
    row = one(as_csv({**CELLS, "id_issued": "?", "consent_date": "?", "product": ""}))
    assert {problem.field for problem in row.problems} == {"id_issued", "consent_date", "product"}


def test_empty_rows_are_left_out_and_numbers_are_those_of_the_file() -> None:
    empty = dict.fromkeys(COLUMNS, "")
    rows = read_batch(as_csv(CELLS, empty, CELLS), branch="1101")
    assert [row.number for row in rows] == [2, 4]


NO_TABLES = [
    (b"", "empty"),
    (as_csv(), "empty"),
    (b"\xff\xfe\x00\x01", "unreadable"),
    (b"PK\x03\x04 not a workbook", "unreadable"),
    ("姓名,颜色\n".encode(), "unknown-column"),
    ("姓名,身份证号\n".encode(), "missing-column"),
    ("姓名,姓名\n".encode(), "column-twice"),
    (as_csv(*[CELLS] * (LARGEST_TABLE + 1)), "too-many-rows"),
]


@pytest.mark.parametrize(("content", "code"), NO_TABLES)
def test_what_is_no_table_is_refused_with_what_to_do(content: bytes, code: str) -> None:
    with pytest.raises(BatchRefused) as refusal:
        read_batch(content, branch="1101")
    assert refusal.value.code == code
    assert refusal.value.detail


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_no_bytes_make_it_fall_over(content: bytes) -> None:
    with contextlib.suppress(BatchRefused):
        read_batch(content, branch="1101")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_template_is_read_back_as_a_table_without_rows(language: str) -> None:
    for kind in ("csv", "xlsx"):
        with pytest.raises(BatchRefused) as refusal:
            read_batch(template(kind, language), branch="1101")
        assert refusal.value.code == "empty"
    book = load_workbook(io.BytesIO(template("xlsx", language)))
    assert book.worksheets[0].max_column == len(COLUMNS)
