"""A branch's table: read whatever spreadsheets write, refuse what cannot be meant."""

from __future__ import annotations

import contextlib
import csv
import io
import time
import zipfile
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.formula import ArrayFormula

from services.intake.api_models import ApplicationIn
from services.intake.batch import (
    COLUMNS,
    FINDINGS,
    LARGEST_TABLE,
    Row,
    RowProblem,
    findings,
    offered,
    read_batch,
)
from services.intake.batch_files import Kind, result, template
from services.intake.form import PartyForm
from services.intake.spreadsheet import BatchRefused, computed
from shared.events.payload import FIELD_CLASSES
from shared.web import i18n
from tests.unit.intake.builders import ID_NUMBER, MRZ

CELLS: dict[str, Any] = {
    "name": "测试员",
    "salutation": "先生",
    "id_type": "",
    "id_number": ID_NUMBER,
    "id_issued": "2020-03-01",
    "id_expires": "2040/3/1",
    "nationality": "CHN",
    "birth_date": "",
    "chinese_name": "",
    "mrz": "",
    "mobile": "13900001234",
    "email": "",
    "home_address": "北京市城东区建设路1号",
    "postcode": "100010",
    "employer": "恒远科技有限公司",
    "credit_code": "",
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


def as_workbook(*rows: dict[str, Any], epoch_1904: bool = False) -> bytes:
    book = Workbook()
    if epoch_1904:
        book.epoch = CALENDAR_MAC_1904
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
    ("monthly_income_yuan", "NaN", "AMOUNT_FORM"),
    ("monthly_income_yuan", "1e999999", "AMOUNT_FORM"),
    ("monthly_income_yuan", "1e999990", "AMOUNT_FORM"),
    ("id_issued", "4" * 5000, "DATE_FORM"),
    ("applicant_type", "prince", "UNKNOWN_WORD"),
    ("applicant_type", "", "EMPTY"),
    ("product", "", "EMPTY"),
    ("salutation", "Sir", "UNKNOWN_WORD"),
    ("product", "platinum", "UNKNOWN_PRODUCT"),
    ("employer", "司" * 201, "string_too_long"),
    ("id_number", "1.1E+17", "NUMBER_CELL"),
    ("mobile", "1.39E+10", "NUMBER_CELL"),
    ("home_address", '=HYPERLINK("http://x.example","a")', "FORMULA_CELL"),
    ("employer", "@SUM(A1)", "FORMULA_CELL"),
    ("employer", "＝SUM(A1)", "FORMULA_CELL"),  # computed, too, where Chinese is typed
    ("employer", "#REF!", "FORMULA_CELL"),
    ("id_issued", "########", "FORMULA_CELL"),
    ("id_issued", "45000.5", "DATE_FORM"),
    ("id_issued", "99", "DATE_FORM"),
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
        with pytest.raises(BatchRefused) as refusal, i18n.in_language(language):
            read_batch(template(kind), branch="1101")
        assert refusal.value.code == "empty"


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_template_holds_each_cell_to_what_may_stand_there(language: str) -> None:
    with i18n.in_language(language):
        book = load_workbook(io.BytesIO(template("xlsx")))
    table, how = book.worksheets
    held = {str(one.sqref).split(":")[0]: one for one in table.data_validations.dataValidation}
    assert len(held) == len(COLUMNS)
    assert all(str(one.sqref).endswith(str(LARGEST_TABLE + 1)) for one in held.values())
    assert all(one.prompt and one.error for one in held.values())
    places = {name: held[f"{chr(ord('A') + place)}2"] for place, name in enumerate(COLUMNS)}
    assert places["product"].type == "list"
    named = [one.names.in_language(language) for one in offered().values()]
    assert places["product"].formula1.strip('"').split(",") == named
    assert places["id_issued"].type == "date"
    assert places["mobile"].formula1 == "11"
    # what it offers is what is read
    for name in ("salutation", "id_type", "applicant_type", "product"):
        for word in places[name].formula1.strip('"').split(","):
            assert one(as_csv({**CELLS, name: word})).problems == ()
    said = [str(cell.value) for row in how.iter_rows() for cell in row if cell.value]
    assert all(any(heading == text for text in said) for heading in _headings(language))
    needs = {str(row[0].value): row[1].value for row in how.iter_rows()}
    named = _headings(language)
    assert needs[named[list(COLUMNS).index("id_expires")]] in ("by product", "视产品而定")
    assert not needs[named[list(COLUMNS).index("email")]]


def _headings(language: str) -> list[str]:
    return list(COLUMNS) if language == "en" else list(COLUMNS.values())


# --- what spreadsheets do to a table --------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch_1904", "serial"), [(False, 43891), (True, 43891 - 1462)], ids=["1900", "1904"]
)
def test_a_day_whose_cell_lost_its_format_is_the_day_that_was_meant(
    epoch_1904: bool, serial: int
) -> None:
    content = as_workbook({**CELLS, "id_issued": serial}, epoch_1904=epoch_1904)
    form = one(content).form
    assert form is not None
    assert form.applicant.id_issued == date(2020, 3, 1)


def test_a_formula_is_not_computed_and_not_taken() -> None:
    row = one(as_workbook({**CELLS, "name": '="测试"&"员"', "employer": "=A1"}))
    told = [(problem.field, problem.code) for problem in row.problems]
    assert told == [("name", "FORMULA_CELL"), ("employer", "FORMULA_CELL")]
    matrix = one(as_workbook({**CELLS, "employer": ArrayFormula("I2:I2", "=A1&B1")}))
    assert [problem.code for problem in matrix.problems] == ["FORMULA_CELL"]
    assert matrix.cells["employer"] == "=A1&B1"


def test_a_row_that_nobody_sees_is_named_instead_of_taken_or_left_out() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (list(COLUMNS), *[list(CELLS.values())] * 4):
        sheet.append(row)
    sheet.row_dimensions[3].hidden = True
    sheet.merge_cells("D4:D5")
    rows = read_batch(saved(book), branch="1101")
    told = [[problem.code for problem in row.problems] for row in rows]
    assert told[:2] == [[], ["HIDDEN_ROW"]]
    assert [codes[0] for codes in told[2:]] == ["MERGED_CELLS", "MERGED_CELLS"]


def test_a_column_that_nobody_sees_is_not_read_and_named_where_something_stands_in_it() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (COLUMNS, CELLS.values(), {**CELLS, "employer": "", "id_expires": ""}.values()):
        sheet.append(list(row))
    for name in ("employer", "id_expires"):
        letter = get_column_letter(list(COLUMNS).index(name) + 1)
        sheet.column_dimensions[letter].hidden = True
    filled, empty = read_batch(saved(book), branch="1101")
    told = {(problem.field, problem.code) for problem in filled.problems}
    assert told == {("employer", "HIDDEN_COLUMN"), ("id_expires", "HIDDEN_COLUMN")}
    assert filled.form is None
    assert filled.draft is not None
    assert filled.draft.applicant.employer is None
    assert filled.draft.applicant.id_expires is None
    assert empty.problems == ()


def test_the_sheet_with_the_table_is_found_among_others() -> None:
    book = Workbook()
    book.worksheets[0].append(["说明", "请看第二张"])
    table = book.create_sheet("x")
    table.append(list(COLUMNS.values()))
    table.append(list(CELLS.values()))
    assert len(read_batch(saved(book), branch="1101")) == 1
    again = book.create_sheet("y")
    again.append(list(COLUMNS))
    with pytest.raises(BatchRefused) as refusal:
        read_batch(saved(book), branch="1101")
    assert refusal.value.code == "several-sheets"
    # what nobody sees is no table, whatever stands there
    again.sheet_state = "veryHidden"
    assert len(read_batch(saved(book), branch="1101")) == 1
    table.sheet_state = "hidden"
    with pytest.raises(BatchRefused) as refusal:
        read_batch(saved(book), branch="1101")
    assert refusal.value.code == "unknown-column"


def test_merged_cells_without_end_cost_no_time() -> None:
    merges = b'<mergeCell ref="A1:B1048576"/>' * 50_000
    end = b"<mergeCells>" + merges + b"</mergeCells></worksheet>"
    begun = time.process_time()
    with pytest.raises(BatchRefused):
        read_batch(bomb(sheet1=rows_xml("1", "2").replace(b"</worksheet>", end)), branch="1101")
    assert time.process_time() - begun < 30


def test_a_number_that_no_sheet_could_hold_is_a_wrong_cell_like_others() -> None:
    content = as_workbook({**CELLS, "id_number": 111_111, "mobile": 222_222, "id_issued": 333_333})
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        sheet1 = packed.read("xl/worksheets/sheet1.xml")
    for small, large in ((b"111111", b"9" * 400), (b"222222", b"1e999"), (b"333333", b"9" * 30)):
        assert small in sheet1
        sheet1 = sheet1.replace(small, large)
    row = one(bomb(sheet1=sheet1))
    wrong = {problem.field for problem in row.problems}
    assert wrong == {"id_number", "mobile", "id_issued"}


def saved(book: Workbook) -> bytes:
    binary = io.BytesIO()
    book.save(binary)
    return binary.getvalue()


def bomb(**parts: bytes) -> bytes:
    """A workbook of which some parts are others."""
    binary = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(as_workbook(CELLS))) as plain,
        zipfile.ZipFile(binary, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, parts.get(name.split("/")[-1].split(".")[0], plain.read(name)))
    return binary.getvalue()


_SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


def rows_xml(*numbers: str) -> bytes:
    """A sheet of rows that say these numbers of themselves."""
    rows = "".join(f'<row r="{one}"><c><v>1</v></c></row>' for one in numbers)
    return _SHEET + rows.encode() + b"</sheetData></worksheet>"


LAUGHS = (
    b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    + _SHEET
    + b'<row><c t="inlineStr"><is><t>&b;</t></is></c></row></sheetData></worksheet>'
)
BOMBS = [
    (bomb(sheet1=_SHEET + b" " * 41_000_000), "too-large"),
    (bomb(sheet1=_SHEET + b"<row/>" * 1_700_000), "too-large"),
    (bomb(sheet1=_SHEET + b"<row/>" * 100_000 + b"</sheetData></worksheet>"), "too-large"),
    (bomb(sheet1=LAUGHS), "unreadable"),
    (bomb(sheet1=_SHEET + b"<row><c"), "unreadable"),
    (bomb(sheet1=b"<svg/>"), "empty"),
    (
        bomb(sheet1=_SHEET + b'<row r="1"><c r="XFD1"><v>1</v></c></row></sheetData></worksheet>'),
        "too-large",
    ),
    (bomb(sheet1=rows_xml("2", "2")), "unreadable"),
    (bomb(sheet1=rows_xml("99999999999")), "unreadable"),
    (bomb(sheet1=_SHEET + b"<row><c><v>" + b"9" * 5000 + b"</v></c></row>"), "unreadable"),
    (b"PK\x03\x04" + b"\x00" * 50, "unreadable"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 500, "unreadable"),  # an old .xls
    ("姓名,身份证号".encode("utf-16"), "unreadable"),
    ('姓名,"身份证号\n'.encode(), "unreadable"),
]


@pytest.mark.parametrize(("content", "code"), BOMBS, ids=[str(n) for n in range(len(BOMBS))])
def test_a_file_that_would_burst_is_refused_in_no_time(content: bytes, code: str) -> None:
    begun = time.process_time()
    with pytest.raises(BatchRefused) as refusal:
        read_batch(content, branch="1101")
    assert refusal.value.code == code
    assert time.process_time() - begun < 20


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.sampled_from(["sheet1", "sharedStrings", "styles", "workbook"]))
def test_no_part_of_a_workbook_makes_it_fall_over(content: bytes, part: str) -> None:
    with contextlib.suppress(BatchRefused):
        read_batch(bomb(**{part: _SHEET + content}), branch="1101")


_ANY_CELL = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["=1+1", "1.1E+17", "长期", "\x00", "45000", "９", "1e999", "-0", "'=x"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(COLUMNS)), _ANY_CELL, max_size=6))
def test_no_cell_makes_it_fall_over(cells: dict[str, str]) -> None:
    with contextlib.suppress(BatchRefused, UnicodeEncodeError):
        for row in read_batch(as_csv({**CELLS, **cells}), branch="1101"):
            findings(row, DAY, "11")


# --- what the rules say of a row ------------------------------------------------------------------

DAY = date(2026, 10, 12)


def told(cells: dict[str, Any], *, day: date = DAY) -> list[tuple[str, str]]:
    """Everything that a branch hears of a row: of its cells, then of what the rules say."""
    row = one(as_csv(cells))
    return [(one.field, one.code) for one in (*row.problems, *findings(row, day, "11"))]


def test_a_row_in_good_order_is_found_good_though_its_papers_are_to_come() -> None:
    assert told(CELLS) == []
    assert told({**CELLS, "consent_date": ""}) == []


def test_cells_and_rules_speak_at_once_and_no_column_twice() -> None:
    wrong = {
        **CELLS,
        "id_number": ID_NUMBER[:-1] + ("0" if ID_NUMBER[-1] != "0" else "1"),
        "id_issued": "gestern",
        "mobile": "12345",
        "office_phone": "2166001234",  # its 0 was lost
        "monthly_income_yuan": "",
        "consent_date": "2026-10-13",
    }
    assert sorted(told(wrong)) == [
        ("consent_date", "CONSENT_AHEAD"),
        ("id_issued", "DATE_FORM"),
        ("id_number", "ID_CHECK_DIGIT"),
        ("mobile", "MOBILE_FORM"),
        ("monthly_income_yuan", "EMPTY"),
        ("office_phone", "OFFICE_PHONE_FORM"),
    ]


@pytest.mark.parametrize("product", ["", "platinum"])
def test_fields_are_judged_though_the_product_is_unknown(product: str) -> None:
    found = told({**CELLS, "product": product, "mobile": "12345", "employer": ""})
    assert ("mobile", "MOBILE_FORM") in found
    assert [column for column, _ in found] == ["product", "mobile"]


def test_what_no_paper_mends_names_its_column() -> None:
    assert told({**CELLS, "product": "student", "applicant_type": "student"})[-1] == (
        "applicant_type",
        "PRODUCT_NOT_FOR_APPLICANT",
    )
    assert told(CELLS, day=date(2070, 1, 1))[-1][1] in ("AGE_OUT_OF_RANGE", "ID_EXPIRED")


# --- the file of bad rows -------------------------------------------------------------------------

NASTY = {
    "name": "=cmd|' /C calc'!A0",
    "salutation": "-1+1",
    "employer": "+SUM(A1)",
    "home_address": "@x",
    "work_address": "\tx",
    "id_number": "110101199003071234",
    "office_phone": "01066001234",
    "occupation": "'quoted",
    "email": "＝1+1",
}


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_bad_rows_are_given_back_as_they_were_and_nothing_is_computed(
    kind: Kind, language: str
) -> None:
    with i18n.in_language(language):
        content = result(kind, [({**CELLS, **NASTY}, ["=1+1", "second"])])
    if kind == "csv":
        heading, line = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        assert not any(cell.startswith(("=", "+", "-", "@", "＝", "\t", "\r")) for cell in line)
        assert line[COLUMN_PLACES["id_number"]] == "'110101199003071234"  # else 1.10101E+17
    else:
        cells = list(load_workbook(io.BytesIO(content)).worksheets[0].iter_rows())
        heading, line = [[str(cell.value or "") for cell in row] for row in cells[:2]]
        assert {cell.data_type for cell in cells[1] if cell.value} == {"s"}
        assert line[-1] == "=1+1\nsecond"
    assert heading[-1] in FINDINGS
    (row,) = read_batch(content, branch="1101")
    assert {name: row.cells.get(name) for name in NASTY} == {
        **NASTY,
        "work_address": "x",
        # one mark in front of a cell is never read
        "occupation": "'quoted" if kind == "csv" else "quoted",
    }


# fields of the form that a branch's table has no column for, and why
WITHOUT_COLUMN = {
    "role": "a row is about one person, who applies",
    "device": "a branch's table is filled in on no device of a customer's",
    "main_card_number": "supplementary cards are not applied for by table",
    "id_long_term": "id_expires says 长期",
    "channel": "it is a table's",
    "branch": "a table is one branch's",
    "parties": "their fields have columns",
    "reopens": "an application is taken up again where somebody knows it",
    "submit": "rows are handed in",
}


def test_every_field_of_the_form_has_a_column() -> None:
    """Whoever adds a field adds its column, or says here why there is none."""
    read = {"monthly_income", "other_bank_limits", "requested_limit"}
    columns = {name.removesuffix("_yuan") if name[:-5] in read else name for name in COLUMNS}
    columns = {"consent" if name == "consent_date" else name for name in columns}
    fields = {*PartyForm.model_fields, *ApplicationIn.model_fields}
    assert fields - columns == WITHOUT_COLUMN.keys()
    assert columns <= fields
    offered_types = {kind for product in offered().values() for kind in product.applicants}
    assert "supplementary" not in offered_types


def test_every_column_reaches_the_form() -> None:
    cells = {
        **CELLS,
        "name": "Anna Müller",
        "chinese_name": "安娜",
        "id_type": "护照",
        "id_number": "C01X00T47",
        "id_expires": "2030-02-28",
        "nationality": "DEU",
        "birth_date": "1990-05-20",
        "mrz": MRZ,
        "email": "a@mail.example",
        "credit_code": "91350100M000100Y43",
    }
    for kind in ("csv", "xlsx"):
        row = one(as_csv(cells) if kind == "csv" else as_workbook(cells))
        assert row.form is not None, row.problems
        given = row.form.applicant.fields()
        assert given.keys() == {*FIELD_CLASSES} - WITHOUT_COLUMN.keys()
        assert (given["id_type"], given["birth_date"]) == ("passport", "1990-05-20")
    assert told(cells) == []


def test_a_passport_without_day_of_birth_is_named_by_its_column() -> None:
    passport = {"id_type": "passport", "id_number": "C01X00T47", "id_expires": "2030-02-28"}
    cells = {**CELLS, **passport, "name": "Anna Müller", "nationality": "Germany"}
    assert set(told(cells)) == {("nationality", "NATIONALITY_FORM"), ("birth_date", "EMPTY")}
    assert ("id_type", "UNKNOWN_WORD") in told({**cells, "id_type": "驾照"})


COLUMN_PLACES = {name: place for place, name in enumerate(COLUMNS)}


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize(("column", "cell", "code"), WRONG_CELLS)
def test_what_was_wrong_is_wrong_again_and_mended_it_is_good(
    kind: Kind, column: str, cell: str, code: str
) -> None:
    bad = one(as_csv({**CELLS, column: cell}))
    content = result(kind, [(bad.cells, ["what is wrong"])])
    again = one(content)
    assert [problem.code for problem in again.problems] == [code]
    mended = one(result(kind, [({**again.cells, column: CELLS[column]}, ["what is wrong"])]))
    assert mended.form == one(as_csv(CELLS)).form


def test_digits_that_a_number_cell_has_spoilt_do_not_come_back_as_good_ones() -> None:
    bad = one(as_workbook({**CELLS, "id_number": 119999199005201230}))
    for kind in ("csv", "xlsx"):
        again = one(result(kind, [(bad.cells, [])]))
        assert RowProblem("id_number", "NUMBER_CELL") in [
            RowProblem(problem.field, problem.code) for problem in again.problems
        ]


def test_what_a_spreadsheet_would_compute_is_known() -> None:
    assert all(computed(text) for text in ("=1", "@a", "#N/A", "#####"))
    assert not any(computed(text) for text in ("+86139", "-5", "#12", "a=b", ""))
