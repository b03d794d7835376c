"""The lines of a CSV file or an Excel workbook, as somebody in a branch saved it.

Pure. The file may come from anywhere: it is bounded before it is unpacked, nothing in it is
computed, and what people do not see on their screen is marked.
"""

from __future__ import annotations

import csv
import io
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.datetime import CALENDAR_WINDOWS_1900
from openpyxl.worksheet._reader import WorkSheetParser

_LARGEST_WORKBOOK = 40_000_000  # bytes unpacked: a small file may hold a huge one
_MOST_TAGS = 1_600_000  # of all parts of a workbook: 10,000 rows of the template have a million
_MOST_EMPTY = 20_000  # rows that are there and hold nothing: the parser keeps something of each
_MOST_PARTS = 500
_MOST_COLUMNS = 200
_LAST_ROW = 1_048_576
_LONGEST_NUMBER = 10**20
_YES = ("1", "true")  # of an attribute
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!"})


class BatchRefused(ValueError):
    """The file is no table that can be read; `code` is stable, `detail` says how to mend it.
    `columns`: those that are meant, by number where the heading is unknown, else by English name.
    """

    def __init__(self, code: str, detail: str, columns: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.columns = tuple(columns)


class Computed(str):
    """A cell that holds a formula, or the error of one; the text is the formula's own."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line by its number in the file. `unseen`: why people may not see it as it is read."""

    number: int
    cells: Sequence[Any]
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Lines from top to bottom. `epoch`: the day from which the workbook counts days. `hidden`:
    the columns that people do not see, from 0."""

    lines: Iterator[Line]
    epoch: datetime = CALENDAR_WINDOWS_1900
    hidden: frozenset[int] = frozenset()


def read_sheet(content: bytes, is_heading: Callable[[Sequence[Any]], bool], most: int) -> Sheet:
    """The lines of the file, at most a few more than `most`; which format it is shows in the
    content. Of several sheets that are not hidden the one that begins with a heading. Raises
    BatchRefused."""
    if content.startswith(b"PK\x03\x04"):
        return _excel(content, is_heading, most)
    return Sheet(_csv(content))


def computed(text: str) -> bool:
    """Whether a spreadsheet would compute this text, or has failed to."""
    return (
        text.startswith(("=", "@", "＝", "＠"))
        or text in _ERRORS
        or (len(text) > 3 and set(text) == {"#"})
    )


# -- CSV -------------------------------------------------------------------------------------------


def _csv(content: bytes) -> Iterator[Line]:
    lines = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(lines, None)
        except csv.Error:
            raise BatchRefused("unreadable", "The CSV has an open quotation mark") from None
        if cells is None:
            return
        # the mark with which a spreadsheet is told that digits are text
        yield Line(number, [_read(cell) for cell in cells])


def _read(cell: str) -> str:
    text = cell.strip()
    text = text.removeprefix("'")
    return Computed(text) if computed(text) else text


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):  # the second: as Chinese Excel saves CSV
        try:
            text = content.decode(encoding)
            text.encode()
        except UnicodeError:
            continue
        if "\x00" not in text:
            return text
    raise BatchRefused("unreadable", "Save the table as CSV (UTF-8) or as an Excel workbook")


# -- Excel -----------------------------------------------------------------------------------------


def _excel(content: bytes, is_heading: Callable[[Sequence[Any]], bool], most: int) -> Sheet:
    try:
        _bound(content)
        book = load_workbook(io.BytesIO(content), read_only=True)
        try:
            # nobody means a table that nobody sees
            seen = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            sheets = [sheet for sheet in seen if is_heading(_first(book, sheet))]
            if len(sheets) > 1:
                raise BatchRefused(
                    "several-sheets",
                    "More than one sheet holds a table; save each as a file of its own",
                )
            sheet = (sheets or seen)[0]
            lines, hidden = _lines(book, sheet, most)
            return Sheet(iter(lines), book.epoch, hidden)
        finally:
            book.close()
    except BatchRefused:
        raise
    except Exception:  # noqa: BLE001 - whatever a reader of foreign files may stumble over
        raise BatchRefused(
            "unreadable", "The workbook is damaged; save it again as .xlsx"
        ) from None


def _bound(content: bytes) -> None:
    """Raises BatchRefused for a workbook that is too much, before anything reads it."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        parts = packed.infolist()
        if len(parts) > _MOST_PARTS or sum(one.file_size for one in parts) > _LARGEST_WORKBOOK:
            raise BatchRefused("too-large", "The workbook is too large; split it")
        tags = 0
        for one in parts:
            body = packed.read(one)  # no more than it says of itself
            tags += body.count(b"<")
            if tags > _MOST_TAGS:
                raise BatchRefused("too-large", "The workbook is too large; split it")
            if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
                raise BatchRefused("unreadable", "The workbook is damaged; save it again as .xlsx")


def _parser(book: Any, sheet: Any, source: Any) -> WorkSheetParser:
    return WorkSheetParser(
        source,
        sheet._shared_strings,  # as openpyxl's own reader does, which tells of no hidden row
        data_only=False,
        epoch=book.epoch,
        date_formats=book._date_formats,
        timedelta_formats=book._timedelta_formats,
    )


def _first(book: Any, sheet: Any) -> Sequence[Any]:
    with sheet._get_source() as source:
        for _number, cells in _parser(book, sheet, source).parse():
            return _spread(cells)
    return []


def _lines(book: Any, sheet: Any, most: int) -> tuple[list[Line], frozenset[int]]:
    """The lines, and which columns are hidden."""
    found: list[tuple[int, list[Any]]] = []
    with sheet._get_source() as source:
        parser = _parser(book, sheet, source)
        for count, (number, cells) in enumerate(parser.parse()):
            spread = _spread(cells)
            if any(cell not in (None, "") for cell in spread):
                found.append((number, spread))
            elif count > most + _MOST_EMPTY:
                raise BatchRefused("too-large", "The workbook is too large; split it")
            if len(found) > most + 1:
                break  # the rest says nothing new: it is too long
    numbers = [number for number, _ in found]
    if any(one >= following for one, following in pairwise([0, *numbers, _LAST_ROW + 1])):
        raise BatchRefused("unreadable", "The workbook is damaged; save it again as .xlsx")
    merges = [0] * (len(numbers) + 1)  # how many begin before each line, less those that end
    for one in parser.merged_cells.mergeCell if parser.merged_cells is not None else []:
        _left, first, _right, last = range_boundaries(one.ref)
        merges[bisect_left(numbers, first or 1)] += 1
        merges[bisect_right(numbers, last or _LAST_ROW)] -= 1
    unseen = {
        number: "MERGED_CELLS"
        for number, deep in zip(numbers, accumulate(merges), strict=False)
        if deep
    }
    for row, marks in parser.row_dimensions.items():
        if marks.get("hidden") in _YES:
            unseen[int(row)] = "HIDDEN_ROW"
    hidden = frozenset(
        place
        for marks in parser.column_dimensions.values()
        if marks.get("hidden") in _YES
        for place in range(int(marks["min"]) - 1, min(int(marks["max"]), _MOST_COLUMNS))
    )
    return [Line(number, cells, unseen.get(number)) for number, cells in found], hidden


def _spread(cells: Sequence[dict[str, Any]]) -> list[Any]:
    """The cells of a row, those left out filled up."""
    spread: list[Any] = []
    for cell in cells:
        place = cell["column"]
        if place > _MOST_COLUMNS:
            if cell["value"] is None:
                continue
            raise BatchRefused("too-large", "The table has too many columns")
        spread.extend([None] * (place - len(spread)))
        spread[place - 1] = _value(cell)
    return spread


def _value(cell: dict[str, Any]) -> Any:
    value = cell["value"]
    if cell["data_type"] in ("f", "e"):
        return Computed(getattr(value, "text", None) or value or "=")
    if type(value) is int and abs(value) > _LONGEST_NUMBER:
        return str(value)  # no number that a sheet could hold
    if not isinstance(value, str):
        return value
    text = value.strip().removeprefix("'")
    return Computed(text) if computed(text) else text
