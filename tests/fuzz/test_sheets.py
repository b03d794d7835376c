"""Sheets that were spoilt at random: each is read, or refused in words; no reader falls over."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from services.intake.batch import COLUMNS, FINDINGS, read_batch
from services.intake.spreadsheet import BatchRefused
from tests.fuzz.hostile import SHEETS, TEXTS, made, repacked

_BOOKS = ("good sheet", "formulas", "merged cells", "odd cells", "strings with entities")
_PARTS = (
    *("xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml", "xl/sharedStrings.xml"),
    *("[Content_Types].xml", "xl/_rels/workbook.xml.rels", "_rels/.rels"),
)
_TOKENS = (
    *(b"", b"<", b"/>", b"</c>", b"<c>", b"<row>", b"<v>", b"-1", b"99999999999", b"A0", b"ZZZZ9"),
    *(b't="s"', b't="d"', b't="n"', b't="e"', b's="999"', b"NaN", b"1e999", b"\x00", b"&amp;"),
    *(b"<mergeCell ref='B1:A9'/>", b"<f>1</f>", b"xmlns='x'", b"&#0;", b"&#xD800;", b"<!--"),
)
_settings = hypothesis.settings(max_examples=200, deadline=None, derandomize=True, database=None)


@st.composite
def _changes(draw: st.DrawFn, content: bytes) -> bytes:
    """Some places of it replaced."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from((0, 1, 3, 10, 40)))
        token = draw(st.sampled_from(_TOKENS) | st.binary(max_size=4))
        content = content[:place] + token + content[place + length :]
    return content


def _read(content: bytes) -> None:
    """Raises whatever is no refusal, and where one has no words."""
    try:
        numbers = [row.number for row in read_batch(content, branch="1101")]
    except BatchRefused as refused:
        said = (refused.code, refused.detail.strip())
    else:
        said = ("", "")
        assert all(number >= 1 for number in numbers)
    assert all(said) or not any(said)


@_settings
@hypothesis.given(st.data())
def test_a_workbook_that_was_spoilt_inside(data: st.DataObject) -> None:
    book = made(data.draw(st.sampled_from(_BOOKS)))
    part = data.draw(st.sampled_from(_PARTS))
    _read(repacked(book, {part: lambda body: data.draw(_changes(body))}))


@_settings
@hypothesis.given(st.data())
def test_a_workbook_that_was_spoilt_on_its_way(data: st.DataObject) -> None:
    _read(data.draw(_changes(made(data.draw(st.sampled_from(_BOOKS))))))


@_settings
@hypothesis.given(st.data())
def test_a_list_of_anything(data: st.DataObject) -> None:
    cells = st.sampled_from(TEXTS) | st.sampled_from([*COLUMNS, *COLUMNS.values(), *FINDINGS])
    lines = data.draw(st.lists(st.lists(cells | st.text(max_size=8), max_size=20), max_size=6))
    between = data.draw(st.sampled_from(",;\t|"))
    heading = [between.join(COLUMNS)] if data.draw(st.booleans()) else []
    text = data.draw(st.sampled_from(("\n", "\r\n", "\r"))).join(
        [*heading, *(between.join(line) for line in lines)]
    )
    encoding = data.draw(st.sampled_from(("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-7")))
    _read(text.encode(encoding, "ignore" if encoding != "utf-8" else "surrogatepass"))


def test_every_sheet_of_the_corpus() -> None:
    for name in SHEETS:
        _read(made(name))
