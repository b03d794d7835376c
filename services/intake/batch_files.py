"""The files that a branch takes away: an empty table to fill in, and the bad rows to be corrected.

Pure. Nothing that is written is ever computed by a spreadsheet, and digits stay digits.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

import xlsxwriter
from xlsxwriter.utility import xl_rowcol_to_cell

from services.intake import words
from services.intake.batch import COLUMNS, FINDINGS, LARGEST_TABLE, NEEDED, needed_by_product
from shared.web.csv_table import csv_bytes, neutral
from shared.web.i18n import _

Kind = Literal["csv", "xlsx"]

_DAYS = ("id_issued", "birth_date", "consent_date")

_AMOUNTS = ("monthly_income_yuan", "other_bank_limits_yuan", "requested_limit_yuan")
_LONGEST = 200  # characters that are kept of a text


def template(kind: Kind) -> bytes:
    """An empty table in the reader's language; the workbook holds each cell to what may stand
    there, and says on a second sheet how it is filled in."""
    if kind == "csv":
        return csv_bytes([[words.column(name) for name in COLUMNS]])
    return _workbook([], findings=False)


def result(kind: Kind, rows: Sequence[tuple[Mapping[str, str], Sequence[str]]]) -> bytes:
    """The bad rows ({column: text}, what is wrong with it), to be corrected and loaded so."""
    if kind == "xlsx":
        return _workbook(rows, findings=True)
    lines = [
        [neutral(cells.get(name, "")) for name in COLUMNS] + [neutral("\n".join(findings))]
        for cells, findings in rows
    ]
    return csv_bytes([[*(words.column(name) for name in COLUMNS), _findings_heading()], *lines])


def _findings_heading() -> str:
    return FINDINGS[1] if words.in_english() else FINDINGS[0]


def _workbook(rows: Sequence[tuple[Mapping[str, str], Sequence[str]]], *, findings: bool) -> bytes:
    binary = io.BytesIO()
    book = xlsxwriter.Workbook(binary, {"in_memory": True})
    style = {
        "heading": book.add_format({"bold": True, "bg_color": "#E8EEF7", "border": 1}),
        "needed": book.add_format({"bold": True, "bg_color": "#FFE9C7", "border": 1}),
        "text": book.add_format({"num_format": "@"}),  # a number cell takes digits off an ID number
        "day": book.add_format({"num_format": "yyyy-mm-dd"}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
        "wrong": book.add_format({"text_wrap": True, "valign": "top", "bg_color": "#FBE3E4"}),
    }
    sheet = book.add_worksheet(_("applications"))
    sheet.freeze_panes(1, 1)
    for place, name in enumerate(COLUMNS):
        needed = style["needed" if name in NEEDED else "heading"]
        sheet.write_string(0, place, words.column(name), needed)
        width = 22 if name in ("id_number", "home_address", "employer", "work_address") else 14
        sheet.set_column(place, place, width, style["day" if name in _DAYS else "text"])
        sheet.data_validation(1, place, LARGEST_TABLE, place, _validation(name, place))
    for line, (cells, wrong) in enumerate(rows, start=1):
        for place, name in enumerate(COLUMNS):
            if name in cells:
                sheet.write_string(line, place, cells[name], style["text"])
        sheet.write_string(line, len(COLUMNS), "\n".join(wrong), style["wrong"])
    if findings:
        sheet.set_column(len(COLUMNS), len(COLUMNS), 60)
        sheet.write_string(0, len(COLUMNS), _findings_heading(), style["heading"])
    _explain(book.add_worksheet(_("how to fill in")), style)
    book.close()
    return binary.getvalue()


def _validation(name: str, place: int) -> dict[str, Any]:
    """What a cell of the column is held to while somebody types, and what they are told."""
    hint = words.column_hint(name)
    told = {
        "input_title": words.column(name)[:32],
        "input_message": hint[:255],
        "error_title": words.column(name)[:32],
        "error_message": hint[:255],
    }
    cell = xl_rowcol_to_cell(1, place)
    choices = words.column_choices(name)
    if choices:
        return {**told, "validate": "list", "source": choices}
    if name in _DAYS:
        first, last = date(1950, 1, 1), date(2099, 12, 31)
        return {
            **told,
            "validate": "date",
            "criteria": "between",
            "minimum": first,
            "maximum": last,
        }
    if name == "id_expires":
        long_term = f'OR({cell}="长期",{cell}="long-term",LEN({cell})=10,ISNUMBER({cell}))'
        return {**told, "validate": "custom", "value": f"={long_term}"}
    if name == "id_number":
        return {
            **told,
            "validate": "custom",
            # a passport's number has fewer characters
            "value": f"=AND(ISTEXT({cell}),OR(LEN({cell})<=12,LEN({cell})=15,LEN({cell})=18))",
        }
    if name == "mobile":
        return {**told, "validate": "length", "criteria": "==", "value": 11}
    if name in _AMOUNTS:
        amount = f"=AND(ISNUMBER(VALUE({cell})),VALUE({cell})>=0)"
        return {**told, "validate": "custom", "value": amount}
    return {**told, "validate": "length", "criteria": "<=", "value": _LONGEST}


def _explain(sheet: Any, style: Mapping[str, Any]) -> None:
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 12)
    sheet.set_column(2, 3, 60)
    for line, text in enumerate(words.table_hints()):
        sheet.merge_range(line, 0, line, 3, text, style["wrap"])
    first = len(words.table_hints()) + 1
    by_product = needed_by_product()
    titles = (_("Column"), _("Needed"), _("What stands there"), _("Choices"))
    for place, title in enumerate(titles):
        sheet.write_string(first, place, title, style["heading"])
    for line, name in enumerate(COLUMNS, start=first + 1):
        needed = _("always") if name in NEEDED else _("by product") if name in by_product else ""
        choices = words.listed(words.column_choices(name))
        for place, text in enumerate(
            (words.column(name), needed, words.column_hint(name), choices)
        ):
            sheet.write_string(line, place, text, style["wrap"])
