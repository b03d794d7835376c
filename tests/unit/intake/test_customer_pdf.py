"""The customer's list as a PDF: readable, in both languages, and without anything else in it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pypdfium2
import pytest
from pypdf import PdfReader

from services.intake.customer_pdf import Row, Sheet, drawn

ROW = Row("工作证明", "加盖公章", "待补充", ("资料缺失 · 请补充提交该项资料",))


def sheet(*rows: Row, language: str = "zh-CN") -> Sheet:
    return Sheet(
        "资料清单", language, ["编号末六位 000017"], ("资料", "状态", "原因"), rows, "滨江支行"
    )


def text_of(content: bytes) -> str:
    document = pypdfium2.PdfDocument(content)
    return "\n".join(page.get_textpage().get_text_bounded() for page in document)


def test_what_the_list_says_can_be_read() -> None:
    content = drawn(sheet(ROW, Row("A < B & C", "", "Complete", ())))
    text = text_of(content)
    for words in (
        "资料清单",
        "000017",
        "工作证明",
        "加盖公章",
        "待补充",
        "资料缺失",
        "A < B & C",
        "—",
    ):
        assert words in text
    read = PdfReader(BytesIO(content))
    assert read.metadata is not None
    assert read.metadata.title == "资料清单"
    assert str(read.root_object["/Lang"]) == "zh-CN"


def test_its_letters_travel_with_it_rare_ones_too() -> None:
    names = "买买提·艾力 𠮷𬴊 堃喆"  # two of them beyond the basic plane
    content = drawn(sheet(Row(names, "", "", ())))
    assert names in text_of(content)
    used: list[Any] = []
    PdfReader(BytesIO(content)).pages[0].extract_text(
        visitor_text=lambda text, _cm, _tm, font, _size: used.append(font) if text.strip() else None
    )
    assert used
    assert all("/FontFile2" in font["/FontDescriptor"] for font in used)


def test_the_same_list_is_the_same_file() -> None:
    assert drawn(sheet(ROW)) == drawn(sheet(ROW))


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_long_list_goes_over_several_pages_with_its_heads(language: str) -> None:
    content = drawn(sheet(*[ROW] * 60, language=language))
    document = pypdfium2.PdfDocument(content)
    assert len(document) > 1
    for page in document:
        assert "原因" in page.get_textpage().get_text_bounded()
