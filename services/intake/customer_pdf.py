"""The customer's list on paper or in a file: a third rendering of what page and message say. Pure.

The letters that it needs are embedded, so that it looks the same on any phone and printer, and also
names with characters beyond the basic plane can be read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle, paragraph

from shared.fonts import FONT

_NAME = "office"
_WIDTHS = (54 * mm, 30 * mm, 89 * mm)  # within the frame's own margin, in line with the text


@dataclass(frozen=True, slots=True)
class Row:
    """One item, in words: what, how it must be, whether it is there, and why not."""

    name: str
    how: str
    state: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The list, in words."""

    title: str
    language: str
    facts: Sequence[str]
    heads: tuple[str, str, str]
    rows: Sequence[Row]
    foot: str


class _Font(TTFont):  # type: ignore[misc]
    """Tells whoever searches or copies what characters beyond the basic plane are, too."""

    def addObjects(self, doc: Any) -> None:  # noqa: N802
        super().addObjects(doc)
        for name, its in doc.idToObject.items():
            if name.startswith("toUnicodeCMap:"):
                its.content = re.sub("<([0-9A-F]{5,6})>", _in_utf16, its.content)


def _in_utf16(found: re.Match[str]) -> str:
    return f"<{chr(int(found[1], 16)).encode('utf-16-be').hex().upper()}>"


def drawn(sheet: Sheet) -> bytes:
    """The list as a PDF for A4; the same list gives the same bytes."""
    if _NAME not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(_Font(_NAME, FONT))
        # reportlab knows what begins no line in Japanese
        paragraph.ALL_CANNOT_START += "，：；！？）》”"
    plain = ParagraphStyle(
        "plain",
        fontName=_NAME,
        fontSize=10,
        leading=14,
        # English is broken between words, Chinese anywhere
        wordWrap=None if sheet.language.startswith("en") else "CJK",
    )
    large = ParagraphStyle("large", plain, fontSize=16, leading=24)
    small = ParagraphStyle(
        "small", plain, fontSize=8, leading=11, textColor=colors.HexColor(0x444444)
    )
    cells: list[list[Any]] = [[Paragraph(escape(head), small) for head in sheet.heads]]
    cells += [
        [
            [Paragraph(escape(row.name), plain), Paragraph(escape(row.how), small)],
            Paragraph(escape(row.state), plain),
            [Paragraph(escape(one), plain) for one in row.reasons] or Paragraph("—", plain),
        ]
        for row in sheet.rows
    ]
    table = Table(cells, colWidths=_WIDTHS, repeatRows=1, hAlign="LEFT")
    line = colors.HexColor(0xBBBBBB)
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.5, line),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
            ]
        )
    )
    written = io.BytesIO()
    document = SimpleDocTemplate(
        written,
        pagesize=A4,
        leftMargin=16 * mm,
        rightMargin=16 * mm,
        topMargin=16 * mm,
        bottomMargin=16 * mm,
        title=sheet.title,
        lang=sheet.language,
        invariant=1,
    )
    document.build(
        [
            Paragraph(escape(sheet.title), large),
            *(Paragraph(escape(fact), plain) for fact in sheet.facts),
            Spacer(1, 4 * mm),
            table,
            Spacer(1, 4 * mm),
            Paragraph(escape(sheet.foot), small),
        ]
    )
    return written.getvalue()
