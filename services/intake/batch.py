"""A branch's table of applications: rows in, forms and findings out.

Pure. Everything that is wrong with a row is found at once and names column and mend, never the
value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from openpyxl.utils.datetime import from_excel
from pydantic import ValidationError

from services.intake.form import ApplicationForm
from services.intake.rules import CREDIT_PURPOSE, consented, examine
from services.intake.spreadsheet import BatchRefused, Computed, Line, read_sheet
from shared.calendar import BUSINESS_ZONE
from shared.events.payload import ApplicantType, Channel
from shared.parameters import Product, load_products, load_return_codes, product_on

LARGEST_TABLE = 10_000
"""Rows of one file; a larger one is split by the branch."""

_LONG_TERM_WORDS = frozenset({"长期", "long-term", "long term"})
_SERIALS = range(18_264, 73_051)  # days from 1950 to 2099 as spreadsheets count them
_LONGEST_KEPT = 500  # characters of a cell that is given back for mending

# column: (Chinese heading, English heading = its name)
COLUMNS: dict[str, str] = {
    "name": "姓名",
    "salutation": "称呼",
    "id_type": "证件种类",
    "id_number": "身份证号",
    "id_issued": "证件签发日",
    "id_expires": "证件到期日",
    "nationality": "国籍",
    "birth_date": "出生日期",
    "chinese_name": "中文姓名",
    "mrz": "护照机读码",
    "mobile": "手机",
    "email": "邮箱",
    "home_address": "住址",
    "postcode": "邮政编码",
    "employer": "单位",
    "credit_code": "统一社会信用代码",
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
FINDINGS = ("待修改", "to correct")
"""How the column is headed in which a file of bad rows says what is wrong; not read."""

NEEDED = ("name", "id_number", "applicant_type", "product")
_BY_HEADING = {
    **{heading: name for name, chinese in COLUMNS.items() for heading in (name, chinese)},
    **dict.fromkeys(FINDINGS, ""),
}
# where a field of the form stands under another name in the table
_COLUMN_OF_FIELD = {
    "monthly_income": "monthly_income_yuan",
    "other_bank_limits": "other_bank_limits_yuan",
    "requested_limit": "requested_limit_yuan",
    "consent": "consent_date",
}
_SALUTATIONS = {"先生": "mr", "女士": "ms", "mr": "mr", "ms": "ms"}
ID_TYPES = {
    "身份证件": "id_card",
    "护照": "passport",
    "id_card": "id_card",
    "passport": "passport",
}
APPLICANT_TYPES = {
    "受薪": ApplicantType.SALARIED,
    "自雇": ApplicantType.SELF_EMPLOYED,
    "资产": ApplicantType.ASSET_OWNER,
    "学生": ApplicantType.STUDENT,
    "存量客户": ApplicantType.EXISTING_CUSTOMER,
    **{kind.value: kind for kind in ApplicantType},
}
_OF_DIGITS = ("id_number", "mobile", "office_phone", "postcode", "credit_code")
_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?[eE]\+?[0-9]+")
_COLUMN_OF_REFUSAL = {
    "AGE_OUT_OF_RANGE": "id_number",
    "PRODUCT_NOT_FOR_APPLICANT": "applicant_type",
}
_UNSEEN = {
    "HIDDEN_ROW": "The row is hidden or filtered out: show it, or delete it",
    "HIDDEN_COLUMN": "The column is hidden: show it, or delete it",
    "MERGED_CELLS": "Cells are merged: split them, and fill in each",
}
CHOICES: dict[str, tuple[str, ...]] = {
    "salutation": tuple(_SALUTATIONS),
    "id_type": tuple(ID_TYPES),
    "applicant_type": tuple(APPLICANT_TYPES),
}
"""Of columns that know certain words alone: these."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One thing that is wrong with a row. `field`: the column's English name; `other`: the row
    with which it collides."""

    field: str
    code: str
    detail: str = ""
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row by its number in the file (the heading is 1). `form` None: see `problems`. `cells`:
    {column: what stands there as text}. `draft`: what can be read of the form, `guessed` the
    columns in place of which something else stands in it."""

    number: int
    form: ApplicationForm | None
    problems: tuple[RowProblem, ...]
    cells: Mapping[str, str] = field(default_factory=dict, repr=False)
    draft: ApplicationForm | None = field(default=None, repr=False)
    guessed: frozenset[str] = frozenset()


class _CellError(ValueError):
    """A cell cannot mean what its column asks for."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def read_batch(content: bytes, *, branch: str, most: int = LARGEST_TABLE) -> list[Row]:
    """The rows of a table, empty ones left out.

    CSV in UTF-8 (with or without BOM) or GB18030, or an Excel workbook's sheet with the headings.
    Raises BatchRefused.
    """
    sheet = read_sheet(content, _is_heading, most)
    heading = next(sheet.lines, None)
    if heading is None:
        raise BatchRefused("empty", "The file is empty; its first row names the columns")
    columns = _columns(heading.cells)
    hidden = frozenset(name for place, name in enumerate(columns) if place in sheet.hidden)
    rows: list[Row] = []
    for line in sheet.lines:
        if not any(_text(cell) for cell in line.cells):
            continue
        if len(rows) == most:
            raise BatchRefused("too-many-rows", f"At most {most} rows in one file; split it")
        rows.append(_row(line, columns, hidden, branch, sheet.epoch))
    if not rows:
        raise BatchRefused("empty", "The file holds no row below the heading")
    return rows


def findings(row: Row, today: date, region: str) -> tuple[RowProblem, ...]:
    """What the rules object to in a row, beyond its own problems, that the branch can mend in its
    sheet. Papers are none of it: they follow. Of a row whose product or applicant type is unknown,
    what can be said of its fields."""
    if row.draft is None:
        return ()
    product = product_on(row.draft.product, today)
    if product is None:
        return (_finding("product", "PRODUCT_NOT_OFFERED"),)
    found = examine(row.draft, (), product, today=today, region=region)
    told = {problem.field for problem in row.problems}
    problems = []
    for one in found.wanted:
        column = _column_of((one.field or "",)) or ("applicant_type" if one.field else "")
        if one.code == "HOLDER_MISSING":
            column = "applicant_type"
        if not column or column in told or (row.guessed and one.code == "EMPTY"):
            continue
        problems.append(_finding(column, one.code))
    if not row.guessed:
        problems += [
            _finding(_COLUMN_OF_REFUSAL.get(code, "product"), code) for code in found.refusals
        ]
    consent = row.draft.consent
    if consent is not None and not consented(consent, today):
        problems.append(RowProblem("consent_date", "CONSENT_AHEAD", "The day lies ahead"))
    return tuple(problems)


def offered() -> dict[str, Product]:
    """{code: product} of those that a branch's table may name."""
    return {
        code: product
        for code, product in load_products().items()
        if Channel.BATCH.value in product.channels
    }


def needed_by_product() -> frozenset[str]:
    """The columns that some product needs of some applicant."""
    names = {
        name
        for product in offered().values()
        for needed in product.form.needed.values()
        for name in needed
    }
    # the end of an ID card's term belongs to its beginning
    more = {"id_expires"} if "id_issued" in names else set()
    return frozenset(_COLUMN_OF_FIELD.get(name, name) for name in names | more)


# -- the heading -----------------------------------------------------------------------------------


def _heading(cell: Any) -> str:
    return _text(cell).lower().replace("（", "(").replace("）", ")")


def _is_heading(cells: Sequence[Any]) -> bool:
    """Whether these name two columns or more: a sheet with instructions does not."""
    return sum(bool(_BY_HEADING.get(_heading(cell))) for cell in cells) > 1


def _columns(heading: Sequence[Any]) -> list[str]:
    names = [_heading(cell) for cell in heading]
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
    known = [name for name in columns if name]
    if len(known) != len(set(known)):
        raise BatchRefused("column-twice", "A column stands in the table twice")
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise BatchRefused(
            "missing-column",
            "These columns are missing: "
            + ", ".join(f"{COLUMNS[name]} ({name})" for name in missing),
            missing,
        )
    return columns


# -- a row -----------------------------------------------------------------------------------------


def _row(
    line: Line, columns: Sequence[str], hidden: frozenset[str], branch: str, epoch: datetime
) -> Row:
    cells = {name: cell for name, cell in zip(columns, line.cells, strict=False) if name}
    problems: list[RowProblem] = []
    if line.unseen:
        problems.append(RowProblem("", line.unseen, _UNSEEN[line.unseen]))
    problems += [
        RowProblem(name, "HIDDEN_COLUMN", _UNSEEN["HIDDEN_COLUMN"])
        for name, cell in cells.items()
        if name in hidden and _text(cell)
    ]

    def read(name: str, convert: Callable[[Any], Any]) -> Any:
        cell = cells.get(name)
        if name in hidden or not _text(cell):
            return None
        try:
            if isinstance(cell, Computed):
                raise _CellError("FORMULA_CELL", "Put the value in place of the formula")
            return convert(cell)
        except _CellError as error:
            problems.append(RowProblem(name, error.code, error.detail))
            return None

    def day(cell: Any) -> date:
        return _day(cell, epoch)

    texts = (
        *("name", "chinese_name", "nationality", "mrz", "email", "home_address"),
        *("employer", "occupation", "work_address"),
    )
    expires = "" if "id_expires" in hidden else _text(cells.get("id_expires"))
    long_term = expires.lower() in _LONG_TERM_WORDS
    party = {
        **{name: read(name, _text) for name in texts},
        **{name: read(name, _digits) for name in _OF_DIGITS},
        "salutation": read("salutation", _one_of(_SALUTATIONS)),
        "id_type": read("id_type", _one_of(ID_TYPES)),
        "birth_date": read("birth_date", day),
        "id_issued": read("id_issued", day),
        "id_expires": None if long_term else read("id_expires", day),
        "id_long_term": long_term,
        "monthly_income": read("monthly_income_yuan", _fen),
        "other_bank_limits": read("other_bank_limits_yuan", _fen),
        "role": "applicant",
    }
    consent_day = read("consent_date", day)
    limit = read("requested_limit_yuan", _fen)
    values = {
        "branch": branch,
        "product": read("product", _product),
        "applicant_type": read("applicant_type", _one_of(APPLICANT_TYPES)),
        "channel": Channel.BATCH,
        "consent": None
        if consent_day is None
        else {
            "signed_at": datetime.combine(consent_day, time(0), BUSINESS_ZONE),
            "purpose": CREDIT_PURPOSE,
        },
        "requested_limit": None if limit is None else {"minor": int(limit)},
    }
    problems += [
        RowProblem(name, "EMPTY", "Fill in this column")
        for name in ("applicant_type", "product")
        if not _text(cells.get(name))
    ]
    draft, guessed = _draft(values, party, problems)
    return Row(
        line.number,
        None if problems else draft,
        tuple(problems),
        {name: _shown(name, cell) for name, cell in cells.items() if _text(cell)},
        draft,
        guessed,
    )


def _draft(
    values: dict[str, Any], party: dict[str, Any], problems: list[RowProblem]
) -> tuple[ApplicationForm | None, frozenset[str]]:
    """The form of what can be kept, so that the rest is judged too; what cannot is a problem more.
    Where nobody knows the product or the applicant type, some that are there stand in."""
    guessed: set[str] = set()
    for _ in range(3):
        unknown = [name for name in ("product", "applicant_type") if values[name] is None]
        stand_in = next(iter(offered().values()), None) if unknown else None
        if stand_in is not None:
            known = {"product": stand_in.product, "applicant_type": next(iter(stand_in.applicants))}
            values |= {name: known[name] for name in unknown}
            guessed |= set(unknown)
        try:
            draft = ApplicationForm.model_validate({**values, "parties": [party]})
            return draft, frozenset(guessed)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                column = _column_of(one["loc"])
                problems.append(RowProblem(column, one["type"], one["msg"]))
                for name in map(str, one["loc"]):
                    if name in values:
                        values[name] = None
                    elif name in party:
                        party[name] = None
    return None, frozenset()


def _column_of(place: tuple[str | int, ...]) -> str:
    """The column of a field of the form; "" where it is none."""
    names = [_COLUMN_OF_FIELD.get(str(part), str(part)) for part in place]
    return next((name for name in names if name in COLUMNS), "")


def _finding(column: str, code: str) -> RowProblem:
    known = load_return_codes().codes.get(code)
    return RowProblem(column, code, known.mend.en if known else code)


def _text(cell: Any) -> str:
    """What stands in a cell, without the spaces around it."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _shown(name: str, cell: Any) -> str:
    """A cell as text that is read again as what it was: a day as a day, an ID number that a number
    cell has spoilt as spoilt."""
    if isinstance(cell, datetime | date):
        return cell.strftime("%Y-%m-%d")
    if name in _OF_DIGITS and isinstance(cell, int | float) and _spoilt(cell):
        return f"{cell:.14E}"
    return _text(cell)[:_LONGEST_KEPT]


def _spoilt(cell: int | float) -> bool:
    """Whether a number cell may have lost digits: Excel keeps fifteen, and no 0 in front."""
    return not float(cell).is_integer() or abs(cell) >= 10**15


def _digits(cell: Any) -> str:
    """Digits that are no number. Raises _CellError where the cell has spoilt them."""
    if isinstance(cell, bool):
        raise _CellError("NUMBER_CELL", "Make the column text: a number cell loses digits")
    text = _text(cell)
    spoilt = isinstance(cell, int | float) and _spoilt(cell)
    if spoilt or _SCIENTIFIC.fullmatch(text):
        raise _CellError("NUMBER_CELL", "Make the column text: a number cell loses digits")
    return text


def _product(cell: Any) -> str:
    """A product by its code, or by its name in either language."""
    text = _text(cell)
    names = {
        name.lower(): code
        for code, product in load_products().items()
        for name in (product.names.zh, product.names.en)
    }
    return names.get(text.lower(), text)


def _day(cell: Any, epoch: datetime) -> date:
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
    # a day whose cell lost its format
    if len(text) == 5 and text.isascii() and text.isdigit() and int(text) in _SERIALS:
        found: Any = from_excel(int(text), epoch)
        return datetime.date(found)
    raise _CellError("DATE_FORM", "Write the day as 2026-10-12")


def _fen(cell: Any) -> str:
    try:
        fen = Decimal(_text(cell).replace(",", "")) * 100
        possible = 0 <= fen < 10**13  # asked first: an exponent makes endless digits
    except ArithmeticError:
        raise _CellError("AMOUNT_FORM", "Write an amount in yuan, such as 12000") from None
    if not possible or fen != (whole := int(fen)):
        raise _CellError("AMOUNT_FORM", "Write an amount in yuan, not below 0, at most 2 decimals")
    return str(whole)


def _one_of(known: dict[str, Any]) -> Callable[[Any], Any]:
    def convert(cell: Any) -> Any:
        found = known.get(_text(cell).lower())
        if found is None:
            raise _CellError("UNKNOWN_WORD", f"Write one of: {', '.join(known)}")
        return found

    return convert
