"""A branch's table of applications: CSV or Excel in, forms and problems out.

Pure. Every problem of a row is found at once and names column and mend, never the value.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from openpyxl import Workbook, load_workbook
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from pydantic import ValidationError

from services.intake.form import ApplicationForm
from services.intake.rules import CREDIT_PURPOSE
from shared.calendar import BUSINESS_ZONE
from shared.events.payload import ApplicantType, Channel

LARGEST_TABLE = 2_000
"""Rows of one file; a larger one is split by the branch."""

_LONG_TERM_WORDS = frozenset({"长期", "long-term", "long term"})
_LARGEST_SHEET = 60_000_000  # bytes unpacked: a small file may hold a huge one

# column: (Chinese heading, English heading = its name)
COLUMNS: dict[str, str] = {
    "name": "姓名",
    "salutation": "称呼",
    "id_number": "身份证号",
    "id_issued": "证件签发日",
    "id_expires": "证件到期日",
    "mobile": "手机",
    "email": "邮箱",
    "home_address": "住址",
    "employer": "单位",
    "occupation": "职业",
    "work_address": "单位地址",
    "office_phone": "单位电话",
    "monthly_income_yuan": "月收入(元)",
    "other_bank_limits_yuan": "他行授信(元)",
    "applicant_type": "申请人类型",
    "product": "产品",
    "requested_limit_yuan": "申请额度(元)",
    "consent_date": "征信授权日",
}
_NEEDED = ("name", "id_number", "applicant_type", "product")
_BY_HEADING = {heading: name for name, chinese in COLUMNS.items() for heading in (name, chinese)}
# where a field of the form stands under another name in the table
_COLUMN_OF_FIELD = {
    "monthly_income": "monthly_income_yuan",
    "other_bank_limits": "other_bank_limits_yuan",
    "requested_limit": "requested_limit_yuan",
    "consent": "consent_date",
}
_SALUTATIONS = {"先生": "mr", "女士": "ms", "mr": "mr", "ms": "ms"}
_APPLICANT_TYPES = {
    "受薪": ApplicantType.SALARIED,
    "自雇": ApplicantType.SELF_EMPLOYED,
    "资产": ApplicantType.ASSET_OWNER,
    "学生": ApplicantType.STUDENT,
    "存量客户": ApplicantType.EXISTING_CUSTOMER,
    **{kind.value: kind for kind in ApplicantType},
}
CHOICES: dict[str, tuple[str, ...]] = {
    "salutation": tuple(_SALUTATIONS),
    "applicant_type": tuple(_APPLICANT_TYPES),
}
"""Of columns that know certain words alone: these."""


class BatchRefused(ValueError):
    """The file is no table that can be read; `code` is stable, `detail` says how to mend it.
    `columns`: those that are meant, by number where the heading is unknown, else by English name.
    """

    def __init__(self, code: str, detail: str, columns: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.columns = tuple(columns)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One thing that is wrong with a row. `field`: the column's English name."""

    field: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row by its number in the file (the heading is 1). `form` None: see `problems`."""

    number: int
    form: ApplicationForm | None
    problems: tuple[RowProblem, ...]


class _CellError(ValueError):
    """A cell cannot mean what its column asks for."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def read_batch(content: bytes, *, branch: str) -> list[Row]:
    """The rows of a table, empty ones left out.

    CSV in UTF-8 (with or without BOM) or GB18030, or an Excel workbook's first sheet; which of them
    shows in the content. Raises BatchRefused.
    """
    lines = _excel(content) if content.startswith(b"PK\x03\x04") else _csv(content)
    heading = next(lines, None)
    if heading is None:
        raise BatchRefused("empty", "The file is empty; its first row names the columns")
    columns = _columns(heading[1])
    rows: list[Row] = []
    for number, cells in lines:
        if not any(_text(cell) for cell in cells):
            continue
        if len(rows) == LARGEST_TABLE:
            raise BatchRefused(
                "too-many-rows", f"At most {LARGEST_TABLE} rows in one file; split it"
            )
        rows.append(_row(number, dict(zip(columns, cells, strict=False)), branch))
    if not rows:
        raise BatchRefused("empty", "The file holds no row below the heading")
    return rows


def template(kind: Literal["csv", "xlsx"], language: str) -> bytes:
    """An empty table with the headings in the language (`en…`, else Chinese)."""
    headings = list(COLUMNS) if language.startswith("en") else list(COLUMNS.values())
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text).writerow(headings)
        return text.getvalue().encode("utf-8-sig")
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "applications"
    sheet.append(headings)
    for place in range(1, len(headings) + 1):
        column = sheet.column_dimensions[get_column_letter(place)]
        column.number_format = "@"  # text: Excel would take the last digits off an ID number
        column.width = 18
    binary = io.BytesIO()
    book.save(binary)
    return binary.getvalue()


# -- the file --------------------------------------------------------------------------------------


def _csv(content: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            break
    else:
        raise BatchRefused("unreadable", "Save the table as CSV (UTF-8) or as an Excel workbook")
    try:
        return iter(
            list(enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), start=1))
        )
    except csv.Error:
        raise BatchRefused("unreadable", "The CSV has an open quotation mark") from None


def _excel(content: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > _LARGEST_SHEET:
                raise BatchRefused("too-large", "The workbook is too large; split it")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        lines = list(
            enumerate(
                book.worksheets[0].iter_rows(max_row=LARGEST_TABLE * 2, values_only=True), start=1
            )
        )
    except BatchRefused:
        raise
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError):
        raise BatchRefused(
            "unreadable", "The workbook is damaged; save it again as .xlsx"
        ) from None
    return iter(lines)


def _columns(heading: Sequence[Any]) -> list[str]:
    names = [_text(cell).strip().lower().replace("（", "(").replace("）", ")") for cell in heading]
    unknown = [str(place + 1) for place, name in enumerate(names) if name not in _BY_HEADING]
    # a column without any heading at the end is what spreadsheets leave behind
    while names and not names[-1]:
        names.pop()
    unknown = [place for place in unknown if int(place) <= len(names)]
    if unknown:
        raise BatchRefused(
            "unknown-column",
            f"Column {', '.join(unknown)} has a heading that the template lacks",
            unknown,
        )
    columns = [_BY_HEADING[name] for name in names]
    if len(columns) != len(set(columns)):
        raise BatchRefused("column-twice", "A column stands in the table twice")
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise BatchRefused(
            "missing-column",
            "These columns are missing: "
            + ", ".join(f"{COLUMNS[name]} ({name})" for name in missing),
            missing,
        )
    return columns


# -- a row -----------------------------------------------------------------------------------------


def _row(number: int, cells: dict[str, Any], branch: str) -> Row:
    problems: list[RowProblem] = []

    def read(name: str, convert: Callable[[Any], Any]) -> Any:
        cell = cells.get(name)
        if not _text(cell):
            return None
        try:
            return convert(cell)
        except _CellError as error:
            problems.append(RowProblem(name, error.code, error.detail))
            return None

    texts = ("name", "mobile", "email", "home_address", "employer", "occupation")
    expires = _text(cells.get("id_expires"))
    long_term = expires.lower() in _LONG_TERM_WORDS
    party = {
        **{name: read(name, _text) for name in (*texts, "work_address", "office_phone")},
        "id_number": read("id_number", _id_number),
        "salutation": read("salutation", _one_of(_SALUTATIONS)),
        "id_issued": read("id_issued", _day),
        "id_expires": None if long_term else read("id_expires", _day),
        "id_long_term": long_term,
        "monthly_income": read("monthly_income_yuan", _fen),
        "other_bank_limits": read("other_bank_limits_yuan", _fen),
        "role": "applicant",
    }
    consent_day = read("consent_date", _day)
    limit = read("requested_limit_yuan", _fen)
    kind = read("applicant_type", _one_of(_APPLICANT_TYPES))
    product = read("product", _text)
    problems += [
        RowProblem(name, "EMPTY", "Fill in this column")
        for name in ("applicant_type", "product")
        if not _text(cells.get(name))
    ]
    if problems:
        return Row(number, None, tuple(problems))
    try:
        form = ApplicationForm.model_validate(
            {
                "branch": branch,
                "product": product,
                "applicant_type": kind,
                "channel": Channel.BATCH,
                "parties": [party],
                "consent": None
                if consent_day is None
                else {
                    "signed_at": datetime.combine(consent_day, time(0), BUSINESS_ZONE),
                    "purpose": CREDIT_PURPOSE,
                },
                "requested_limit": None if limit is None else {"minor": int(limit)},
            }
        )
    except ValidationError as error:
        return Row(
            number,
            None,
            tuple(
                RowProblem(_column_of(one["loc"]), one["type"], one["msg"])
                for one in error.errors(include_url=False, include_input=False)
            ),
        )
    return Row(number, form, ())


def _column_of(place: tuple[str | int, ...]) -> str:
    """The column of a field of the form; "" where it is none."""
    names = [_COLUMN_OF_FIELD.get(str(part), str(part)) for part in place]
    return next((name for name in names if name in COLUMNS), "")


def _text(cell: Any) -> str:
    """What stands in a cell, without the spaces around it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _id_number(cell: Any) -> str:
    if isinstance(cell, int | float):
        raise _CellError("NUMBER_CELL", "Make the column text: a number cell loses digits of an ID")
    return _text(cell)


def _day(cell: Any) -> date:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = _text(cell).replace("/", "-").replace(".", "-")
    for form in ("%Y-%m-%d", "%Y%m%d", "%Y年%m月%d日"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise _CellError("DATE_FORM", "Write the day as 2026-10-12")


def _fen(cell: Any) -> str:
    try:
        fen = Decimal(_text(cell).replace(",", "")) * 100
        whole = int(fen)
    except (InvalidOperation, ValueError, OverflowError):
        raise _CellError("AMOUNT_FORM", "Write an amount in yuan, such as 12000") from None
    if fen != whole or not 0 <= whole < 10**13:
        raise _CellError("AMOUNT_FORM", "Write an amount in yuan, not below 0, at most 2 decimals")
    return str(whole)


def _one_of(known: dict[str, Any]) -> Callable[[Any], Any]:
    def convert(cell: Any) -> Any:
        found = known.get(_text(cell).lower())
        if found is None:
            raise _CellError("UNKNOWN_WORD", f"Write one of: {', '.join(known)}")
        return found

    return convert
