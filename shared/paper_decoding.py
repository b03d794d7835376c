"""Decodes papers, in a process of its own: `python -m shared.paper_decoding FD`.

The only module that touches Pillow, pdfium and pypdf. What customers upload is hostile until shown
otherwise, so each job runs in a fresh fork with limits of memory, processor and time: whatever a
file does to a decoder ends with that fork. `shared.paper_images` asks, and reads the answers.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import resource
import signal
import socket
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pypdfium2
from PIL import Image, ImageDraw, ImageFont, ImageOps
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

from shared.fonts import FONT
from shared.paper_messages import pack, unpack

_PROBE: Final = 200  # pixels: how large a page is drawn to see whether it can be
_LARGEST_PAGE: Final = 14_400  # points, the largest that PDF knows
_HEAD: Final = 1024  # bytes in which readers look for what a file is
_WALL_FACTOR: Final = 2  # seconds by the clock for each second of processor time

# From the PDF's own vocabulary: what runs, what fetches, what carries a file along.
_ACTIONS: Final = frozenset(
    {"/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/GoToR", "/GoToE", "/Rendition"}
)
_SUBTYPES: Final = frozenset(
    {"/FileAttachment", "/RichMedia", "/Screen", "/Movie", "/Sound", "/3D"}
)
_KEYS: Final = frozenset({"/JS", "/EF", "/EmbeddedFiles", "/XFA"})
_MARKUP: Final = re.compile(rb"<(?:!doctype|html|script|svg|iframe|body|\?php)", re.IGNORECASE)

Image.MAX_IMAGE_PIXELS = None  # counted here, before anything is decoded


class Refused(Exception):
    """The file is no paper; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# --- what a file is ------------------------------------------------------------------------------


def examine(content: bytes, limits: Mapping[str, int]) -> tuple[str, int]:
    """(media type, pages) of a paper that decodes wholly within the limits; raises Refused."""
    if not content:
        raise Refused("empty")
    if len(content) > limits["largest_bytes"]:
        raise Refused("too_large")
    media_type = sniff(content)
    if media_type is None:
        raise Refused("unknown_type")
    try:
        _require_one_meaning(content, media_type)
        if media_type == "application/pdf":
            pages = _examine_pdf(content, limits)
        else:
            pages = _examine_image(content, media_type, limits)
    except (Refused, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - decoders raise whatever they like at broken bytes
        raise Refused("damaged") from None
    return media_type, pages


def sniff(content: bytes) -> str | None:
    """PDF, JPEG or PNG by the first bytes; None for anything else."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return None


def _require_one_meaning(content: bytes, media_type: str) -> None:
    """A file that another program would take for something else is two files in one. Raises
    Refused."""
    head, tail = content[:_HEAD], b""
    if media_type == "image/png":
        tail = content[_png_end(content) :]
        if tail.strip(b"\0\r\n "):
            raise Refused("two_in_one")
    elif media_type == "image/jpeg":
        # phones put a second picture or a short film behind the first: that alone is no offence
        tail = content[_jpeg_end(content) :]
    pdf_too = media_type != "application/pdf" and (b"%PDF-" in head or b"%PDF-" in tail)
    markup = _MARKUP.search(head) or _MARKUP.search(tail)
    if pdf_too or markup or zipfile.is_zipfile(io.BytesIO(content)):
        raise Refused("two_in_one")


def _png_end(content: bytes) -> int:
    """Where the last chunk ends. Raises Refused."""
    place = 8
    while place + 12 <= len(content):
        kind = content[place + 4 : place + 8]
        place += 12 + int.from_bytes(content[place : place + 4], "big")
        if kind == b"IEND" and place <= len(content):
            return place
    raise Refused("damaged")


_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


def _jpeg_end(content: bytes) -> int:
    """Where the picture ends. Raises Refused."""
    place = 2
    while found := _MARKER.search(content, place):
        kind = found.group(1)[0]
        if kind == 0xD9:
            return found.end()
        # a segment says how long it is; the data after a scan's header have no length
        place = found.end()
        if kind != 0xD8:
            place += int.from_bytes(content[place : place + 2], "big")
    raise Refused("damaged")


def _examine_image(content: bytes, media_type: str, limits: Mapping[str, int]) -> int:
    if media_type == "image/png":
        Image.open(io.BytesIO(content), formats=("PNG",)).verify()  # every chunk's checksum
    with _open_image(content) as image:
        if image.width * image.height > limits["most_pixels"]:
            raise Refused("too_many_pixels")
        if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
            raise Refused("too_many_pages")
        image.load()
    return 1


def _open_image(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "MPO"))


def _examine_pdf(content: bytes, limits: Mapping[str, int]) -> int:
    if b"%%EOF" not in content[-_HEAD:]:
        raise Refused("damaged")
    reader = PdfReader(io.BytesIO(content), strict=False)
    if reader.is_encrypted:
        raise Refused("encrypted")
    if any(map(_is_active, _dictionaries(reader))):
        raise Refused("active")
    with _open_pdf(content) as document:
        if not len(document):
            raise Refused("damaged")
        if len(document) > limits["most_pages"]:
            raise Refused("too_many_pages")
        for page in document:
            _draw(page, _PROBE)
        return len(document)


def _dictionaries(reader: PdfReader) -> Iterator[DictionaryObject]:
    """Every dictionary of the file, those within compressed streams of objects included."""
    numbers = {(number, gen) for gen, known in reader.xref.items() for number in known}
    numbers |= {(number, 0) for number in reader.xref_objStm}
    whole: list[Any] = [reader.trailer]
    whole += [reader.get_object(IndirectObject(n, gen, reader)) for n, gen in sorted(numbers)]
    while whole:
        one = whole.pop()
        if isinstance(one, DictionaryObject):
            yield one
            whole += [one.raw_get(key) for key in one]
        elif isinstance(one, ArrayObject):
            whole += list(list.__iter__(one))


def _is_active(one: DictionaryObject) -> bool:
    def name(key: str) -> str:
        value = one.get(key)
        return value if isinstance(value, str) else ""

    return bool(
        _KEYS & one.keys()
        or name("/S") in _ACTIONS
        or name("/Subtype") in _SUBTYPES
        or name("/Type") == "/EmbeddedFile"
    )


def _open_pdf(content: bytes) -> pypdfium2.PdfDocument:
    """A PDF whose pages are drawn with what was filled in and signed: fields, ticks and seals are
    left out otherwise. No script of it runs: this pdfium has no engine for any."""
    document = pypdfium2.PdfDocument(content)
    document.init_forms()
    return document


def _draw(page: Any, longest: int) -> Image.Image:
    width, height = page.get_size()
    if not 1 <= min(width, height) <= max(width, height) <= _LARGEST_PAGE:
        raise Refused("damaged")
    image: Image.Image = page.render(scale=longest / max(width, height)).to_pil()
    return image


# --- what people are shown -----------------------------------------------------------------------


def render(content: bytes, limits: Mapping[str, int]) -> list[bytes]:
    """Every page of a paper as a JPEG of its own: nothing of the original's bytes, so no script, no
    reference, nothing of what a camera wrote into it."""
    return [_as_jpeg(page) for page in pages(content, limits["preview_pixels"])]


def pages(content: bytes, longest: int) -> Iterator[Image.Image]:
    """Every page of a paper as a picture of its own, upright, and at most so many pixels long."""
    if sniff(content) == "application/pdf":
        with _open_pdf(content) as document:
            for page in document:
                yield _plain(_draw(page, longest))
        return
    with _open_image(content) as image:
        image.draft("RGB", (longest, longest))
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I;16"):
            turned = turned.point(lambda value: value / 256).convert("L")
        if turned.mode == "P":
            turned = turned.convert("RGBA")
        turned.thumbnail((longest, longest))
        yield _plain(turned)


def _plain(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.new("RGB", layers.size, "white")
        image.paste(layers, mask=layers.getchannel("A"))
    # a picture of its own: `info` would carry profile, comment and camera's notes along
    plain = Image.new("RGB", image.size)
    plain.paste(image.convert("RGB"))
    return plain


def _as_jpeg(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=82)
    return written.getvalue()


def stamp(content: bytes, text: str, longest: int) -> bytes:
    """A page that we drew ourselves, with who looks at it written all over."""
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        image.draft("RGB", (longest, longest))
        page = image.convert("RGB")
    page.thumbnail((longest, longest))
    font = ImageFont.truetype(FONT, max(11, max(page.size) // 45))
    left, top, right, bottom = (round(side) for side in font.getbbox(text))
    words = Image.new("L", (right - left + 24, bottom - top + 16))
    ImageDraw.Draw(words).text((12 - left, 8 - top), text, fill=90, font=font)
    words = words.rotate(24, expand=True, resample=Image.Resampling.BICUBIC)
    mask = Image.new("L", page.size)
    for row, y in enumerate(range(-words.height // 2, page.height, words.height)):
        for x in range(-(row % 2) * words.width // 2, page.width, words.width):
            mask.paste(words, (x, y))
    # red on light, light on dark: it can be read on either
    page.paste(Image.new("RGB", page.size, (190, 20, 40)), mask=mask)
    written = io.BytesIO()
    page.save(written, "JPEG", quality=80)
    return written.getvalue()


# --- the process ---------------------------------------------------------------------------------


def answer(asked: Mapping[str, Any], blobs: Sequence[bytes]) -> tuple[Any, list[bytes]]:
    """What a job comes to: JSON, and bytes."""
    limits = asked["limits"]
    match asked["job"]:
        case "check":
            papers = [_checked(blob, limits) for blob in blobs]
            return {"papers": papers, "seconds": time.process_time()}, []
        case "render":
            rendered = [render(blob, limits) for blob in blobs]
            return [len(pages) for pages in rendered], list(itertools.chain(*rendered))
        case "stamp":
            return None, [stamp(blobs[0], asked["text"], asked["longest"])]
        case other:
            raise ValueError(f"no such job: {other}")


def _checked(content: bytes, limits: Mapping[str, int]) -> dict[str, Any]:
    try:
        media_type, pages = examine(content, limits)
    except Refused as refused:
        return {"code": refused.code}
    except MemoryError:
        return {"code": "too_complex"}
    return {"media_type": media_type, "pages": pages}


Answer: TypeAlias = Callable[[Mapping[str, Any], Sequence[bytes]], tuple[Any, list[bytes]]]


def serve(control: socket.socket, answers: Answer = answer, *, opens_files: bool = True) -> None:
    """Fork for each connection that arrives on the control socket, until that is closed.

    opens_files: whether a job needs any; one that does not can open neither file nor socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        told, handed, _flags, _address = socket.recv_fds(control, 1, 1)
        if not told:
            return
        if os.fork() == 0:
            control.close()
            status = 1
            try:
                _do(socket.socket(fileno=handed[0]), answers, opens_files=opens_files)
                status = 0
            finally:
                os._exit(status)
        for descriptor in handed:
            os.close(descriptor)


def _do(connection: socket.socket, answers: Answer, *, opens_files: bool) -> None:
    """One job, within its limits: the answer, or an end without one."""
    with connection, connection.makefile("rb") as incoming:
        asked, blobs = unpack(incoming.read())
        limits = asked["limits"]
        seconds = limits["cpu_seconds"]
        _confine(seconds, limits["memory_bytes"], wall=_WALL_FACTOR * seconds)
        if not opens_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        connection.sendall(pack(*answers(asked, blobs)))


def _confine(seconds: int, memory: int, *, wall: int) -> None:
    # where a whole container has too little memory, the fork ends and not its service
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = mapped * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder has nothing to write
    signal.setitimer(signal.ITIMER_REAL, wall)


if __name__ == "__main__":
    Image.preinit()
    serve(socket.socket(fileno=int(sys.argv[1])))
