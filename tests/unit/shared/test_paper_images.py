"""A paper is what its bytes say, decoded elsewhere and within limits; people see a new drawing."""

from __future__ import annotations

import io
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from deploy.demo.papers import paper, pdf
from shared import paper_images
from shared.paper_images import DocumentRefusedError, MediaType, PaperReader
from shared.paper_messages import Refusal
from shared.parameters import load_papers
from tests.eventually import eventually
from tests.papers import (
    HOSTILE,
    filled_pdf,
    pdf_that_grows,
    pdf_that_takes_hours,
    pdf_with_huge_image,
    picture,
    png_of,
    turned_jpeg,
)

EXAMPLE = Path(__file__).parents[3] / "docs" / "partner" / "paper.pdf"


@pytest.fixture(scope="module")
def reader() -> Iterator[PaperReader]:
    reader = PaperReader()
    yield reader
    reader.close()


def limit(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    changed = load_papers().model_copy(update=limits)
    monkeypatch.setattr(paper_images, "load_papers", lambda: changed)


async def refusal(reader: PaperReader, content: bytes) -> str:
    with pytest.raises(DocumentRefusedError) as refused:
        await reader.check(content)
    return refused.value.code


@pytest.mark.parametrize("media_type", get_args(MediaType))
async def test_the_three_types_are_known_by_content(
    reader: PaperReader, media_type: MediaType
) -> None:
    found = await reader.check(paper(media_type, "income of 司徒望月"))
    assert (found.media_type, found.pages) == (media_type, 1)


async def test_the_partners_example_is_a_paper(reader: PaperReader) -> None:
    assert (await reader.check(EXAMPLE.read_bytes())).media_type == "application/pdf"


async def test_what_phones_write_behind_a_photograph_is_no_offence(reader: PaperReader) -> None:
    again = paper("image/jpeg", "front") + paper("image/jpeg", "a second picture")
    assert (await reader.check(again)).pages == 1
    assert (await reader.check(pdf(["one", "two", "three"]))).pages == 3


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_file_is_refused_with_a_code(reader: PaperReader, kind: str) -> None:
    make, code = HOSTILE[kind]
    assert await refusal(reader, make()) == code


def test_every_refusal_is_provoked_and_has_words() -> None:
    codes = set(get_args(Refusal))
    assert {code for _, code in HOSTILE.values()} == codes
    assert load_papers().refusals.keys() == codes


@pytest.mark.parametrize(
    ("limits", "content", "code"),
    [
        ({"largest_bytes": 500}, picture("x"), "too_large"),
        ({"most_pages": 2}, pdf(["1", "2", "3"]), "too_many_pages"),
        ({"most_pixels": 9_999}, png_of(100, 100), "too_many_pixels"),
        ({"cpu_seconds": 1}, pdf_that_takes_hours(), "too_complex"),
    ],
)
async def test_the_limits_are_the_parameters(
    reader: PaperReader,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    content: bytes,
    code: str,
) -> None:
    limit(monkeypatch, **limits)
    assert await refusal(reader, content) == code


async def test_as_much_as_the_limits_allow_is_taken(
    reader: PaperReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, most_pages=3, most_pixels=10_000)
    found = await reader.check_all([pdf(["1", "2", "3"]), png_of(100, 100)])
    assert not any(isinstance(one, DocumentRefusedError) for one in found)


@pytest.mark.parametrize(
    ("wall", "does", "ended"),
    [
        (50, "bytearray(300_000_000)", "MemoryError"),
        (50, "while True: pass", -signal.SIGKILL),
        (2, "import time; time.sleep(60)", -signal.SIGALRM),
        (50, "open('written', 'wb', buffering=0).write(b'x')", "File too large"),
    ],
)
def test_a_fork_is_confined(wall: int, does: str, ended: int | str, tmp_path: Path) -> None:
    confined = f"import shared.paper_decoding as d; d._confine(1, 100_000_000, wall={wall})\n{does}"
    env = {"PYTHONPATH": str(EXAMPLE.parents[2])}
    told = subprocess.run(
        [sys.executable, "-c", confined],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if isinstance(ended, int):
        assert told.returncode == ended
    else:
        assert ended in told.stderr


async def test_a_file_that_ends_its_decoder_harms_no_other(reader: PaperReader) -> None:
    found = await reader.check_all([picture("before"), pdf_that_grows(), b"GIF89a", pdf(["after"])])
    told = [one.code if isinstance(one, DocumentRefusedError) else one.media_type for one in found]
    assert told == ["image/png", "too_complex", "unknown_type", "application/pdf"]


@pytest.mark.parametrize(
    ("most_seconds", "told"),
    [(math.inf, ["too_complex", "image/png"]), (0.0, [None, None])],
)
async def test_what_is_left_when_the_time_is_over_is_not_looked_at(
    reader: PaperReader, most_seconds: float, told: list[str | None]
) -> None:
    found, seconds = await reader.check_within([pdf_that_grows(), picture("x")], most_seconds)
    assert [
        one.code if isinstance(one, DocumentRefusedError) else one and one.media_type
        for one in found
    ] == told
    assert seconds > 0


async def test_a_packed_picture_in_a_pdf_does_not_fill_the_memory(reader: PaperReader) -> None:
    content = pdf_with_huge_image()
    await reader.check(content)
    (page,) = await drawn(reader, content)  # the picture itself is not drawn
    assert max(opened(page).size) <= 1600


async def test_the_helper_comes_back_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PaperReader()
    monkeypatch.setenv("BANKA_POSTGRES_DSN", "postgres://somebody:secret@somewhere")
    await reader.check(picture("first"))
    helper = reader._helper
    assert helper is not None
    assert b"BANKA" not in Path(f"/proc/{helper.pid}/environ").read_bytes()
    helper.kill()
    helper.wait()
    assert (await reader.check(picture("second"))).media_type == "image/png"
    reader.close()


async def test_the_helper_ends_with_its_service() -> None:
    reader = PaperReader()
    await reader.check(picture("x"))
    helper = reader._helper
    assert helper is not None
    assert reader._control is not None
    reader._control.close()  # as when the service is killed

    async def ended() -> bool:
        return helper.poll() is not None

    await eventually(ended)


def test_a_service_never_loads_a_decoder() -> None:
    asked = (
        "import services.intake.app, sys\n"
        # openpyxl looks whether Pillow is there, and opens nothing with it
        "decoders = {'PIL.PngImagePlugin', 'PIL.JpegImagePlugin', 'pypdf', 'pypdfium2'}\n"
        "print(sorted(decoders & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "[]"


# --- what people are shown -----------------------------------------------------------------------


async def drawn(reader: PaperReader, content: bytes) -> list[bytes]:
    (pages,) = await reader.render_all([content])
    assert not isinstance(pages, DocumentRefusedError)
    return pages


def opened(page: bytes) -> Image.Image:
    return Image.open(io.BytesIO(page), formats=("JPEG",))


async def test_a_photograph_is_shown_upright_and_tells_nothing_of_its_camera(
    reader: PaperReader,
) -> None:
    content = turned_jpeg()
    assert b"CAMERA-OF-SOMEBODY" in content
    (page,) = await drawn(reader, content)
    shown = opened(page)
    assert shown.size == (200, 300)
    # what was on the left is on top once the picture is turned
    assert shown.getpixel((100, 20))[0] > 150 > shown.getpixel((100, 20))[1]  # type: ignore[index]
    assert min(shown.getpixel((100, 280))) > 200  # type: ignore[arg-type]
    assert b"CAMERA-OF-SOMEBODY" not in page
    assert not shown.getexif()


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (pdf(["first", "second"]), (1131, 1600)),
        (png_of(4000, 1000), (1600, 400)),
        (png_of(30, 20), (30, 20)),
    ],
)
async def test_every_page_is_shown_and_none_is_larger_than_it_may_be(
    reader: PaperReader, content: bytes, size: tuple[int, int]
) -> None:
    paper = await reader.check(content)
    pages = await drawn(reader, content)
    assert len(pages) == paper.pages
    assert {opened(page).size for page in pages} == {size}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "1", "CMYK"])
async def test_pictures_of_any_kind_are_shown(reader: PaperReader, mode: str) -> None:
    written = io.BytesIO()
    image = Image.new(mode, (40, 30))  # transparent, where that can be
    image.save(written, "JPEG" if mode == "CMYK" else "PNG")
    await reader.check(written.getvalue())
    (page,) = await drawn(reader, written.getvalue())
    shown = opened(page)
    assert (shown.mode, shown.size) == ("RGB", (40, 30))
    light = mode in ("RGBA", "LA", "CMYK")
    assert (min(shown.getpixel((20, 15))) > 200) is light  # type: ignore[arg-type]


async def test_a_form_is_shown_with_what_was_filled_in_ticked_and_signed(
    reader: PaperReader,
) -> None:
    content = filled_pdf("Tx", "Btn", "Sig")
    await reader.check(content)
    (page,) = await drawn(reader, content)
    shown = opened(page)
    scale = shown.height / 842
    fields = [
        shown.getpixel((int(300 * scale), int((842 - 750 + 150 * nth) * scale))) for nth in range(3)
    ]
    assert all(max(one) < 60 for one in fields)  # type: ignore[arg-type]
    assert min(shown.getpixel((int(300 * scale), int(780 * scale)))) > 200  # type: ignore[arg-type]


async def test_who_looks_stands_all_over_the_page(reader: PaperReader) -> None:
    (page,) = await drawn(reader, png_of(1600, 1000))
    stamped = await reader.stamp(page, "司徒望月 · 8001 · 2026-10-12 10:00")
    assert stamped != page
    before, after = opened(page).convert("RGB"), opened(stamped).convert("RGB")
    assert before.size == after.size
    for left in range(0, 1600, 400):
        for top in range(0, 1000, 250):
            box = (left, top, left + 400, top + 250)
            changed = before.crop(box).tobytes() != after.crop(box).tobytes()
            assert changed, f"nothing is written at {box}"
    small = await reader.stamp(page, "甲", longest=paper_images.THUMBNAIL)
    assert max(opened(small).size) == paper_images.THUMBNAIL


async def test_one_that_cannot_be_drawn_keeps_no_other_from_it(reader: PaperReader) -> None:
    papers = [pdf(["1", "2"]), pdf_that_grows(), picture("after")]
    told = await reader.render_all(papers)
    assert [one.code if isinstance(one, DocumentRefusedError) else len(one) for one in told] == [
        2,
        "too_complex",
        1,
    ]


async def test_a_job_that_needs_no_file_can_open_nothing() -> None:
    class Opening(PaperReader):
        module = "tests.opening"

    opening = Opening()
    try:
        assert await opening.ask({"job": "any"}, []) == ([], [])
    finally:
        opening.close()
