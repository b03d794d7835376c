"""What the outside may send at its worst: texts, JSON that was spoilt, papers, sheets. Everything
is made here by code; nothing was downloaded, and nothing does harm.

`CANARY` stands in every text: where it is found again, something that was sent was kept in clear.
"""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import xlsxwriter
from hypothesis import strategies as st
from openpyxl import Workbook
from PIL import Image, PngImagePlugin

from deploy.demo.papers import paper, pdf
from services.intake.batch import COLUMNS
from tests.papers import HOSTILE, chunk, picture, turned_jpeg, zipped

CANARY = "Kanarie7Q"
MARKS = (f"<b id=k>{CANARY}", f"<script>{CANARY}", f"onerror={CANARY}>")
"""Markup that no page may show as such."""

TEXTS: tuple[str, ...] = (
    CANARY,
    f"{MARKS[0]}</b>",
    f'">{MARKS[1]}</script>',
    f"'\"><img src=x {MARKS[2]}",
    f"{{{{7*7}}}}${{7*7}}{{% raw %}}{CANARY}",
    f"' OR 1=1; DROP TABLE application; -- {CANARY}",
    f"%' AND pg_sleep(9) -- {CANARY}",
    f"../../../../etc/passwd%00{CANARY}",
    f"..\\..\\{CANARY}",
    f"file:///etc/passwd#{CANARY}",
    f"=cmd|' /C calc'!A0 {CANARY}",
    f"@SUM(1+1)*{CANARY}",
    f"+{CANARY}",
    f"-2+3+{CANARY}",
    f"\t={CANARY}",
    f"{CANARY}\x00",
    f"\ud800{CANARY}",
    f"{CANARY}\udfff\ud800",
    f"\u202e{CANARY}\u202d\u2066",
    f"{CANARY}\ufeff\u200b\u00ad",
    f"{CANARY}\r\nSet-Cookie: k=1",
    f"{CANARY}\x1b[2J\x07\x08\x7f",
    "e" + "\u0301" * 40 + CANARY,
    f"𠮷\U0010ffff\ue000{CANARY}",
    f"İıſß{CANARY}",
    f"{CANARY}" * 200,
    f"{CANARY}{'长' * 5000}",
    "",
    " ",
    "0",
    "-1",
    "9" * 400,
    "١٢٣٤",
    "NaN",
    "1e309",
    "null",
    "[]",
    "true",
    "9999-12-31",
    "0000-00-00",
    "2026-02-30",
    "2026-10-12T00:00:00+99:99",
    "110101190001011234",
    "％００",
)
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 2**31, 2**63, -(2**63) - 1, 10**40, 1e308, -0.0, 0.1 + 0.2, 5e-324),
    *(float("nan"), float("inf")),
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": {}}, [None] * 50)


def deep(levels: int) -> str:
    """JSON that is nothing but brackets: a parser that calls itself does not come back."""
    return "[" * levels + "]" * levels


texts = st.sampled_from(TEXTS) | st.text(max_size=60).map(lambda text: text + CANARY)
# each time a copy: a document that was spoilt twice would write into the list here
leaves = texts | st.sampled_from(NUMBERS) | st.sampled_from(OTHERS).map(copy.deepcopy)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Everything in a JSON document, by its path; not the document itself."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for name, one in entries:
        yield (*path, name)
        yield from _places(one, (*path, name))


@st.composite
def spoilt(draw: st.DrawFn, value: Any, most: int = 3) -> Any:
    """The document with some things dropped, doubled, renamed, moved or of another kind; now and
    then as it was."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.sampled_from((0, *range(1, most + 1), 1, 1)))):
        places = list(_places(value))
        if not places:
            return draw(leaves)
        *path, name = draw(st.sampled_from(places))
        around = value
        for step in path:
            around = around[step]
        match draw(st.sampled_from(("leaf", "leaf", "leaf", "drop", "double", "rename", "deep"))):
            case "leaf":
                around[name] = draw(leaves)
            case "drop":
                del around[name]
            case "double" if isinstance(around, list):
                around += [around[name]] * draw(st.sampled_from((1, 5, 300)))
            case "rename" | "double" if isinstance(around, dict):
                around[draw(st.sampled_from((f"{name}_", "", "__proto__", "x" * 300)))] = around[
                    name
                ]
            case _:
                around[name] = {"a": [[[[{"b": around[name]}]]]]}
    return value


@st.composite
def written(draw: st.DrawFn, value: Any) -> bytes:
    """The document as bytes, now and then as no JSON, or as JSON that no writer would make."""
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 39)):
        case 0:
            return body[: len(body) // 2]
        case 1:
            return b"\xef\xbb\xbf" + body
        case 2:
            return body.decode("utf-8", "replace").encode("utf-16")
        case 3:
            return deep(draw(st.sampled_from((50, 5_000, 100_000)))).encode()
        case 4:
            return b"\xff\xfe\x80" + body
        case 5:
            return body[:-1] + b',"a":1,"a":2}' if body.endswith(b"}") else body * 2
        case 6:
            return b""
        case 7:
            return b'{"a":' + b"9" * 5000 + b"}"
    return body


# -- papers ---------------------------------------------------------------------------------------


def _png_with(kind: bytes, data: bytes) -> bytes:
    content = picture(f"with {kind!r}")
    end = content.index(b"IEND") - 4
    return content[:end] + chunk(kind, data) + content[end:]


def _png_with_text() -> bytes:
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", f"<svg onload={CANARY}>")
    about.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{CANARY}</x:xmpmeta>", zip=True)
    written = io.BytesIO()
    Image.new("RGB", (50, 50), "white").save(written, "PNG", pnginfo=about)
    return written.getvalue()


def _jpeg_with_place() -> bytes:
    """A photograph that says where it was taken, and by whom."""
    exif = Image.Exif()
    exif[0x013B] = CANARY
    exif[0x8825] = {1: "N", 2: (31.0, 14.0, 0.0)}
    written = io.BytesIO()
    Image.new("RGB", (60, 60), "white").save(written, "JPEG", exif=exif)
    return written.getvalue()


def _svg_in_png() -> bytes:
    svg = f"<svg xmlns='http://www.w3.org/2000/svg'><script>{CANARY}</script></svg>"
    return _png_with(b"iTXt", b"x\0\0\0\0\0" + svg.encode())


def _text_bomb() -> bytes:
    """A comment of a hundred million letters, packed."""
    return _png_with(b"zTXt", b"x\0\0" + zlib.compress(bytes(100_000_000), 9))


def _jpeg_of_size(width: int, height: int) -> bytes:
    content = bytearray(paper("image/jpeg", "size"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


PAPERS: dict[str, Callable[[], bytes]] = {
    **{name: make for name, (make, _why) in HOSTILE.items()},
    "turned jpeg": turned_jpeg,
    "png with text": _png_with_text,
    "svg in png": _svg_in_png,
    "png with a text bomb": _text_bomb,
    "jpeg with a place": _jpeg_with_place,
    "jpeg that lies of its size": lambda: _jpeg_of_size(60_000, 60_000),
    "jpeg of no size": lambda: _jpeg_of_size(0, 0),
    "pdf that repeats itself": lambda: pdf(["x"]) * 3,
    "pdf with canary": lambda: pdf([CANARY]),
    "pdf whose pages are one another": lambda: pdf(["x"]).replace(b"/Kids[", b"/Kids[2 0 R "),
    "pdf of many zeros": lambda: b"%PDF-1.7\n" + bytes(2_000_000) + b"%%EOF\n",
    "heic": lambda: b"\0\0\0\x18ftypheic" + bytes(200),
    "zip": zipped,
    "text": lambda: CANARY.encode(),
    "good": lambda: picture("good"),
}
FILE_NAMES: tuple[str, ...] = (
    "scan.png",
    f"../../../../tmp/{CANARY}",
    f"..\\{CANARY}.exe",
    f"{CANARY}\u202egnp.exe",
    f"{CANARY};rm -rf /;.png",
    f"=HYPERLINK({CANARY}).csv",
    f"{CANARY}.php%00.png",
    "CON",
    "a" * 4000,
    "",
    ".",
    "身份证.jpg",
)


# -- sheets ---------------------------------------------------------------------------------------

_ROW = {
    "name": f"{CANARY} 望月",
    "product": "standard",
    "applicant_type": "salaried",
}


def _line(**cells: Any) -> list[Any]:
    return [{**_ROW, **cells}.get(name, "") for name in COLUMNS]


def _workbook(fill: Callable[[Any], None]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    fill(sheet)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _with_shared_texts() -> bytes:
    """As Excel writes it: cells name their texts by number."""
    written = io.BytesIO()
    book = xlsxwriter.Workbook(written)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, list(COLUMNS))
    sheet.write_row(1, 0, _line())
    book.close()
    return written.getvalue()


def _one_row(sheet: Any) -> None:
    sheet.append(_line())


def repacked(book: bytes, changes: dict[str, Callable[[bytes], bytes]], **more: bytes) -> bytes:
    """A workbook with parts of it changed, and others added."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(book)) as source,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, changes.get(name, bytes)(source.read(name)))
        for name, content in more.items():
            target.writestr(name, content)
    return written.getvalue()


_SHEET = "xl/worksheets/sheet1.xml"


def _with_entities(body: bytes) -> bytes:
    laughs = "".join(f'<!ENTITY l{n} "{(f"&l{n - 1};" * 10) if n else CANARY}">' for n in range(10))
    return f"<!DOCTYPE x [{laughs}]>".encode() + body.replace(b"</sheetData>", b"&l9;</sheetData>")


def _with_outside(body: bytes) -> bytes:
    return b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + body.replace(
        b"</sheetData>", b"<row><c t='inlineStr'><is><t>&f;</t></is></c></row></sheetData>"
    )


def _bad_marks(body: bytes) -> bytes:
    return body.replace(b"<row ", b"<row hidden='maybe' ", 1).replace(b'r="A1"', b'r="A0"', 1)


def _formulas(sheet: Any) -> None:
    sheet.append(_line(name=f'=1+1&"{CANARY}"', employer=f"=cmd|' /C calc'!A0 {CANARY}"))
    for text in ("+", "-", "@", "\t=", "＝", "'="):
        sheet.append(_line(name=f"{text}1+{CANARY}", home_address=f"{text}{CANARY}"))


def _merged(sheet: Any) -> None:
    _one_row(sheet)
    _one_row(sheet)
    sheet.merge_cells("A2:D3")


def _wide(sheet: Any) -> None:
    _one_row(sheet)
    sheet.cell(row=2, column=16_384, value=CANARY)


def _odd_cells(sheet: Any) -> None:
    for value in (True, 1e300, -1, "#REF!", "\x01".replace("\x01", "_x0001_"), "9" * 30000):
        sheet.append(_line(name=value, id_number=value, id_issued=value))


def _zip_bomb() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_SHEET, bytes(60_000_000))
    return written.getvalue()


def _overlapping() -> bytes:
    """A central directory whose entries all name the same bytes, and lie about their size."""
    content = bytearray(_workbook(_one_row))
    place = content.index(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 0)
    return bytes(content)


def _storable(text: str) -> str:
    """As one cell of a row that is read."""
    return "".join(one for one in text if one.isprintable() and one not in ',"').strip()


def _csv(*lines: Sequence[Any], encoding: str = "utf-8-sig", between: str = ",") -> bytes:
    rows = [COLUMNS, *lines]
    text = "\r\n".join(between.join(map(str, row)) for row in rows)
    return text.encode(encoding, "replace")


SHEETS: dict[str, Callable[[], bytes]] = {
    "good sheet": lambda: _workbook(_one_row),
    "formulas": lambda: _workbook(_formulas),
    "merged cells": lambda: _workbook(_merged),
    "sixteen thousand columns": lambda: _workbook(_wide),
    "odd cells": lambda: _workbook(_odd_cells),
    "billion laughs": lambda: repacked(_workbook(_one_row), {_SHEET: _with_entities}),
    "an entity from outside": lambda: repacked(_workbook(_one_row), {_SHEET: _with_outside}),
    "strings with entities": lambda: repacked(
        _with_shared_texts(), {"xl/sharedStrings.xml": _with_entities}
    ),
    "bad marks": lambda: repacked(_workbook(_one_row), {_SHEET: _bad_marks}),
    "no sheet": lambda: repacked(_workbook(_one_row), {_SHEET: lambda _: b""}),
    "html for a sheet": lambda: repacked(_workbook(_one_row), {_SHEET: lambda _: b"<html><p>"}),
    "a string that is not there": lambda: repacked(
        _with_shared_texts(), {_SHEET: lambda body: body.replace(b"<v>1</v>", b"<v>99999999</v>")}
    ),
    "a million columns": lambda: repacked(
        _workbook(_one_row), {_SHEET: lambda body: body.replace(b'r="B2"', b'r="ZZZZZZ2"')}
    ),
    "a row beyond the end": lambda: repacked(
        _workbook(_one_row), {_SHEET: lambda body: body.replace(b'row r="2"', b'row r="99999999"')}
    ),
    "merges without end": lambda: repacked(
        _workbook(_merged), {_SHEET: lambda body: body.replace(b"A2:D3", b"A1:ZZZ9999999")}
    ),
    "macros": lambda: repacked(_workbook(_one_row), {}, **{"xl/vbaProject.bin": b"MZ"}),
    "a path that climbs": lambda: repacked(
        _workbook(_one_row), {}, **{"../../../../tmp/kanarie": b"x"}
    ),
    "a bomb": _zip_bomb,
    "a lie about its size": _overlapping,
    "half a workbook": lambda: _workbook(_one_row)[:-300],
    "a zip": zipped,
    "old excel": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "csv": lambda: _csv(_line()),
    "csv with formulas": lambda: _csv(
        *(_line(name=f"{text}{CANARY}", employer=f"{text}1+1") for text in "=+-@\t'")
    ),
    "csv with text that is hostile": lambda: _csv(
        *(_line(name=text.replace(",", " "), email=text.replace(",", " ")) for text in TEXTS)
    ),
    "csv with text that can be stored": lambda: _csv(
        *(_line(name=text, employer=text) for text in map(_storable, TEXTS))
    ),
    "csv in gb18030": lambda: _csv(_line(), encoding="gb18030"),
    "csv in utf-16": lambda: _csv(_line(), encoding="utf-16"),
    "csv with two marks": lambda: b"\xef\xbb\xbf" + _csv(_line()),
    "csv of semicolons": lambda: _csv(_line(), between=";"),
    "csv with an open quote": lambda: _csv(_line(name='"' + CANARY)) + b"x" * 200_000,
    "csv of nulls": lambda: _csv(_line()).replace(b",", b"\0,"),
    "csv of a million columns": lambda: _csv() + b"\r\n" + b"," * 1_000_000,
    "csv of empty lines": lambda: _csv() + b"\r\n" * 1_000_000,
    "csv without an end of line": lambda: b",".join([CANARY.encode()] * 100_000),
    "csv of noise": lambda: bytes(range(256)) * 40,
    "empty sheet": lambda: b"",
    "only a mark": lambda: b"\xef\xbb\xbf",
}


@cache
def made(name: str) -> bytes:
    """A paper or sheet by its name; the same bytes each time."""
    return (SHEETS | PAPERS)[name]()
