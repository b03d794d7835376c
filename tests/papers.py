"""Papers for tests: good ones by the demo's maker, and hostile ones, each made here by code."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject

from deploy.demo.papers import paper, pdf

PNG_BEGINS = b"\x89PNG\r\n\x1a\n"


def picture(text: str) -> bytes:
    """A small PNG that no other paper equals."""
    return paper("image/png", text)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_zeros(count: int) -> bytes:
    """What zlib makes of so many zeros; only the first of many like pieces is packed, for a bomb is
    made of a gigabyte of them."""
    size = 1 << 20
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    piece = packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    end = packer.compress(bytes(count % size)) + packer.flush()
    adler = (count % 65521) << 16 | 1
    return b"\x78\xda" + piece * (count // size) + end + struct.pack(">I", adler)


def png_of(width: int, height: int, data: bytes | None = None) -> bytes:
    """A grey PNG of any size: a bomb, where nothing but its header and packed zeros are there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    if data is None:
        data = packed_zeros((width + 1) * height)
    return PNG_BEGINS + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def turned_jpeg(orientation: int = 6) -> bytes:
    """A photograph on its side, as phones write them, with the name of the camera."""
    image = Image.new("RGB", (300, 200), "white")
    image.paste((200, 0, 0), (0, 0, 150, 200))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "CAMERA-OF-SOMEBODY"
    written = io.BytesIO()
    image.save(written, "JPEG", exif=exif, quality=90)
    return written.getvalue()


def animated_png() -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    written = io.BytesIO()
    frames[0].save(written, "PNG", save_all=True, append_images=frames[1:])
    return written.getvalue()


def zipped() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("run.js", "alert(1)")
    return written.getvalue()


def locked_pdf(password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["locked"]))))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def pdf_with_file() -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["carries"]))))
    writer.add_attachment("payload.exe", b"MZ")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def pdf_with_hidden_script() -> bytes:
    """The script's object lies in a compressed stream of objects and its name is written oddly."""
    inside = b"10 0 <</S/J#61vaScript/J#53(app.alert\\(1\\))>>"
    packed = zlib.compress(inside)
    stream = (
        f"<</Type/ObjStm/N 1/First 5/Filter/FlateDecode/Length {len(packed)}>>\nstream\n".encode()
        + packed
        + b"\nendstream"
    )
    body = b"%PDF-1.5\n"
    parts = {
        1: b"<</Type/Catalog/Pages 2 0 R/OpenAction 10 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
        5: stream,
    }
    places = {}
    for number, part in parts.items():
        places[number] = len(body)
        body += f"{number} 0 obj\n".encode() + part + b"\nendobj\n"
    start = places[6] = len(body)
    rows = b""
    for number in range(11):
        if number == 10:
            rows += struct.pack(">BIH", 2, 5, 0)
        elif number in places:
            rows += struct.pack(">BIH", 1, places[number], 0)
        else:
            rows += struct.pack(">BIH", 0, 0, 65535)
    table = zlib.compress(rows)
    body += (
        f"6 0 obj\n<</Type/XRef/Size 11/W[1 4 2]/Root 1 0 R/Filter/FlateDecode"
        f"/Length {len(table)}>>\nstream\n".encode()
        + table
        + f"\nendstream\nendobj\nstartxref\n{start}\n%%EOF\n".encode()
    )
    return body


def pdf_with_huge_image() -> bytes:
    """A page that shows a picture of ten thousand million pixels, packed into a few kilobytes."""
    packed = zlib.compress(bytes(10_000_000), 9)
    image = (
        "<</Type/XObject/Subtype/Image/Width 100000/Height 100000/ColorSpace/DeviceRGB"
        f"/BitsPerComponent 8/Filter/FlateDecode/Length {len(packed)}>>\nstream\n".encode()
        + packed
        + b"\nendstream"
    )
    return pdf(["bomb"], objects=[image])


def _drawing(objects: list[bytes]) -> bytes:
    """A PDF whose page shows the form that is its fourth object, and nothing else."""
    own = b"BT /F1 14 Tf 40 780 Td (x) Tj ET 40 760 515 1 re f"
    return (
        pdf(["x"], objects=objects)
        .replace(b"/Resources<</Font<</F1 3 0 R>>>>", b"/Resources<</XObject<</X 4 0 R>>>>")
        .replace(own, b"/X Do".ljust(len(own)))
    )


def _form(inner: bytes, resources: str) -> bytes:
    head = f"<</Type/XObject/Subtype/Form/BBox[0 0 595 842]/Resources<<{resources}>>"
    return f"{head}/Length {len(inner)}>>\nstream\n".encode() + inner + b"\nendstream"


def pdf_that_grows() -> bytes:
    """Forms that show one another, twenty times each: a few kilobytes that fill any memory."""
    forms = [_form(b"/X Do " * 20, f"/XObject<</X {5 + nth} 0 R>>") for nth in range(7)]
    return _drawing([*forms, _form(b"0 0 595 842 re f " * 2000, "")])


def pdf_that_takes_hours() -> bytes:
    """A page tiled by hundreds of millions of tiles: it needs no memory, and never ends."""
    tile = b"0 0 1 1 re f "
    pattern = (
        "<</Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 600 900]/XStep 0.05"
        f"/YStep 0.05/Resources<<>>/Length {len(tile)}>>\nstream\n".encode()
        + tile
        + b"\nendstream"
    )
    page = _form(b"/Pattern cs /P scn 0 0 595 842 re f", "/Pattern<</P 5 0 R>>")
    return _drawing([page, pattern])


def filled_pdf(*kinds: str) -> bytes:
    """A form that was filled in or signed: an empty page, with a field of each kind (`Tx` a text,
    `Btn` a tick, `Sig` a signature with its seal) that a black box stands for, one below the
    other, each 100 points high."""
    look = _form(b"0 0 400 100 re f", "").replace(b"595 842", b"400 100")
    fields = [
        f"<</Type/Annot/Subtype/Widget/FT/{kind}/T(field{nth})/F 4"
        f"/Rect[100 {700 - 150 * nth} 500 {800 - 150 * nth}]"
        f"/AP<</N {'<</Yes 4 0 R>>' if kind == 'Btn' else '4 0 R'}>>"
        f"{'/AS/Yes/V/Yes' if kind == 'Btn' else ''}>>".encode()
        for nth, kind in enumerate(kinds)
    ]
    named = " ".join(f"{5 + nth} 0 R" for nth in range(len(fields)))
    filled = pdf([""], objects=[look, *fields], more=f"/AcroForm<</Fields[{named}]>>")
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(filled)))
    root: Any = writer.root_object
    writer.pages[0][NameObject("/Annots")] = root["/AcroForm"]["/Fields"]
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _script(where: str) -> bytes:
    return pdf(["script"], more=where)


#: {what it is: (how it is made, why it is refused)}
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty"),
    "program": (lambda: b"MZ a program", "unknown_type"),
    "gif": (lambda: b"GIF89a not a paper", "unknown_type"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "unknown_type"),
    "html before a pdf": (lambda: b"<html>" + pdf(["x"]), "unknown_type"),
    "too large": (lambda: picture("x") + bytes(11_000_000), "too_large"),
    "png cut off": (lambda: picture("x")[:-20], "damaged"),
    "png without its last chunk": (lambda: picture("x")[:-12], "damaged"),
    "png with a flipped bit": (lambda: _flipped(picture("x")), "damaged"),
    "png of noise": (lambda: png_of(10, 10, b"noise"), "damaged"),
    "png that is only its ends": (lambda: PNG_BEGINS + chunk(b"IEND", b""), "damaged"),
    "jpeg cut off": (lambda: paper("image/jpeg", "x")[:-400], "damaged"),
    "jpeg without its end": (lambda: paper("image/jpeg", "x")[:-2], "damaged"),
    "jpeg that is only its ends": (lambda: b"\xff\xd8\xff\xe0 paper \xff\xd9", "damaged"),
    "pdf cut off": (lambda: pdf(["x"])[:-120], "damaged"),
    "pdf without a page": (lambda: pdf([]), "damaged"),
    "pdf in name": (lambda: b"%PDF-1.7\nincome of somebody\n%%EOF\n", "damaged"),
    "pdf with a password": (lambda: locked_pdf("secret"), "encrypted"),
    "pdf that opens without its password": (lambda: locked_pdf(""), "encrypted"),
    "pdf with a script": (
        lambda: _script("/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"),
        "active",
    ),
    "pdf with a named script": (
        lambda: _script("/Names<</JavaScript<</Names[(a)<</S/JavaScript/JS(x)>>]>>>>"),
        "active",
    ),
    "pdf with a hidden script": (pdf_with_hidden_script, "active"),
    "pdf that starts a program": (
        lambda: _script("/OpenAction<</S/Launch/F(calc.exe)>>"),
        "active",
    ),
    "pdf that sends a form": (
        lambda: _script("/OpenAction<</S/SubmitForm/F(http://e.example)>>"),
        "active",
    ),
    "pdf with a form of its own language": (lambda: _script("/AcroForm<</XFA(x)>>"), "active"),
    "pdf with a file": (pdf_with_file, "active"),
    "pdf of many pages": (lambda: pdf(["page"] * 21), "too_many_pages"),
    "moving png": (animated_png, "too_many_pages"),
    "png bomb": (lambda: png_of(30_000, 30_000), "too_many_pixels"),
    "png bomb without data": (lambda: png_of(2**31 - 1, 2**31 - 1, b""), "too_many_pixels"),
    "png and zip": (lambda: picture("x") + zipped(), "two_in_one"),
    "jpeg and zip": (lambda: paper("image/jpeg", "x") + zipped(), "two_in_one"),
    "jpeg and web page": (
        lambda: paper("image/jpeg", "x") + b"<script>alert(1)</script>",
        "two_in_one",
    ),
    "jpeg and pdf": (lambda: paper("image/jpeg", "%PDF-1.4 inside"), "two_in_one"),
    "pdf and zip": (lambda: _with_end(pdf(["x"]), zipped()), "two_in_one"),
    "pdf and web page": (
        lambda: pdf(["<script>alert(1)</script>"]),
        "two_in_one",
    ),
    "pdf that grows": (pdf_that_grows, "too_complex"),
}


def _flipped(content: bytes) -> bytes:
    place = content.index(b"IDAT") + 20
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _with_end(document: bytes, archive: bytes) -> bytes:
    """An archive between a PDF's last object and its last line."""
    return document.replace(b"%%EOF\n", b"%" + archive + b"\n%%EOF\n")
