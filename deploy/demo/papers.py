"""Made-up papers: small files that are what they say, for the demo, the tests and the examples."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

PaperType = Literal["application/pdf", "image/jpeg", "image/png"]

_SIZE = (428, 270)  # a card's proportions


def paper(media_type: PaperType, words: str) -> bytes:
    """A file that decodes, and that no other words make; they also stand in it as plain text."""
    if media_type == "application/pdf":
        return pdf([words])
    written = io.BytesIO()
    image = _drawn(words)
    if media_type == "image/jpeg":
        image.save(written, "JPEG", quality=60, comment=words.encode())
    else:
        notes = PngInfo()
        notes.add_itxt("Comment", words)
        image.save(written, "PNG", pnginfo=notes, compress_level=6)
    return written.getvalue()


def pdf(pages: list[str], *, more: str = "", objects: list[bytes] | None = None) -> bytes:
    """A PDF with a line of text on each page. What a hostile one needs: `more` goes into
    the catalogue, `objects` are numbered on from 4."""
    extra = objects or []
    first = 4 + len(extra)
    kids = " ".join(f"{first + 2 * nth} 0 R" for nth in range(len(pages)))
    parts = [
        f"<</Type/Catalog/Pages 2 0 R{more}>>".encode(),
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *extra,
    ]
    for nth, words in enumerate(pages):
        shown = _plain(words).replace("\\", "").replace("(", "").replace(")", "")
        drawn = f"BT /F1 14 Tf 40 780 Td ({shown}) Tj ET 40 760 515 1 re f".encode()
        parts += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {first + 2 * nth + 1} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>".encode(),
            f"<</Length {len(drawn)}>>\nstream\n".encode() + drawn + b"\nendstream",
        ]
    body = b"%PDF-1.4\n% " + " ".join(pages).encode() + b"\n"
    places = []
    for number, part in enumerate(parts, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n".encode() + part + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        body
        + (
            f"xref\n0 {len(parts) + 1}\n0000000000 65535 f \n{table}"
            f"trailer\n<</Size {len(parts) + 1}/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF\n"
        ).encode()
    )


def _drawn(words: str) -> Image.Image:
    shade = hashlib.sha256(words.encode()).digest()
    image = Image.new("L", _SIZE, 140 + shade[0] % 90)
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((12, 12, _SIZE[0] - 13, _SIZE[1] - 13), outline=255, width=3)
    drawing.rectangle((290, 40, 400, 180), fill=255)
    drawing.text((30, 40), "SPECIMEN", fill=0, font=_font())
    for place, line in enumerate(_plain(words).split()[:5]):
        drawing.text((30, 80 + 32 * place), line[:24], fill=0, font=_font())
    return image


def _plain(words: str) -> str:
    return words.encode("ascii", "replace").decode()


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(18)
