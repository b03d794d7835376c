"""The machine itself, on a few drawn cards: it reads, stays within its limits, and calls nobody."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from deploy.demo.papers import pdf
from services.intake import reader as reader_module
from services.intake.idcard import FIELDS, read_card
from services.intake.reader import CardReader, serve
from shared.paper_images import DocumentRefusedError
from shared.parameters import load_papers
from shared.settings import Settings, SettingsError
from tests.bench.cards import CONDITIONS, OPENING, front, people, shown
from tests.bench.reading import outcome, read
from tests.papers import png_of

ROOT = Path(__file__).parents[3]

# the machine's models are loaded once for all tests of this file


@pytest.fixture(scope="module")
def reader() -> Iterator[CardReader]:
    reader = CardReader()
    yield reader
    reader.close()


def limit(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    papers = load_papers()
    cards = papers.cards.model_copy(update=limits)
    changed = papers.model_copy(update={"cards": cards})
    monkeypatch.setattr(reader_module, "load_papers", lambda: changed)


# the worst of what a clear picture may suffer; the rates stand in docs/reading.md
@pytest.mark.parametrize(
    ("condition", "right"),
    [("clean", 9), ("rotated up to 5°", 8), ("phone: angle, turn, noise, glare", 4)],
)
async def test_a_drawn_card_is_read_and_nothing_is_wrong_unwarned(
    reader: CardReader, condition: str, right: int
) -> None:
    counted: Counter[str] = Counter()
    for one in shown(7, 1, condition):
        found = await read(reader, one)
        for name in FIELDS[one.side]:
            counted[outcome(found.get(name), one.says[name], load_papers().cards.sure)] += 1
    assert sum(counted.values()) == 9
    assert counted["right"] >= right, counted
    assert counted["wrong and sure"] == 0, counted


def front_of(letters: int, *, burnt: bool, white: bool = False) -> tuple[bytes, str]:
    """A card without any noise, and the name on it; its last character may lie under glare, and
    the card may be a copy on white paper."""
    person, ethnicity, _ = people(7, 1)[0]
    person = replace(person, name="司徒望月"[:letters])
    image, says = front(person, ethnicity)
    if white:
        image = image.point(lambda value: min(255, value * 255 // 200))
    if burnt:
        begins = 200 + 40 * (letters - 1)
        ImageDraw.Draw(image).ellipse((begins, 50, begins + 110, 130), fill="white")
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue(), says["name"]


async def test_what_glare_takes_from_a_name_is_doubted(reader: CardReader) -> None:
    picture, name = front_of(4, burnt=True)
    found = read_card("front", await reader.lines(picture), OPENING)["name"]
    # its edge may be taken for a mark
    assert found.value.startswith(name[:-1])
    assert found.value != name
    assert found.doubts[0] == "glare"


@pytest.mark.parametrize("white", [False, True], ids=["as it is", "a copy on white paper"])
async def test_what_is_bright_all_over_is_not_taken_for_glare(
    reader: CardReader, white: bool
) -> None:
    picture, name = front_of(4, burnt=False, white=white)
    lines = await reader.lines(picture)
    found = read_card("front", lines, OPENING)
    assert found["name"].value == name
    assert {one.doubts for one in found.values()} == {()}
    assert max(line.glare for page in lines for line in page) < 0.5


def test_the_same_seed_draws_the_same_cards() -> None:
    first, second = [shown(3, 1, "noise") for _ in "12"]
    assert first == second
    assert set(CONDITIONS) >= {"noise", "glare", "low light", "rotated up to 5°"}
    assert shown(3, 1, "noise")[0].picture != shown(4, 1, "noise")[0].picture


def crowded() -> bytes:
    """Hundreds of words: reading them takes longer than any card."""
    image = Image.new("RGB", (1600, 1600), "white")
    drawing = ImageDraw.Draw(image)
    for y in range(0, 1600, 24):
        for x in range(0, 1600, 100):
            drawing.text((x, y), f"{x}{y}", fill="black", font_size=16)
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize(
    ("make", "limits"),
    [
        (lambda: b"no picture at all", {}),
        (lambda: png_of(30_000, 30_000), {"memory_bytes": 300_000_000}),
        (crowded, {"cpu_seconds": 1}),
    ],
    ids=["no picture", "a bomb", "endless"],
)
async def test_a_hostile_picture_ends_its_own_reading_alone(
    reader: CardReader,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], bytes],
    limits: dict[str, int],
) -> None:
    with monkeypatch.context() as within:
        limit(within, **limits)
        with pytest.raises(DocumentRefusedError) as refused:
            await reader.lines(make())
        assert refused.value.code == "too_complex"
    blank = io.BytesIO()
    Image.new("RGB", (400, 300), "white").save(blank, "PNG")
    assert await reader.lines(blank.getvalue()) == [[]]


async def test_a_pdf_is_read_page_by_page_and_no_further(
    reader: CardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, pages=2, pixels=800)
    pages = await reader.lines(pdf(["first card", "other side", "never read"]))
    told = ["".join(line.text for line in lines) for lines in pages]
    assert ["first" in told[0], "other" in told[1], len(told)] == [True, True, 2]


_LISTENS = """
import sys

def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        raise RuntimeError(event)

sys.addaudithook(hook)
from services.intake import card_ocr
card_ocr.engine()
print("loaded")
"""


def test_the_machine_loads_without_a_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LISTENS],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "loaded\n"), done.stderr


async def test_what_a_fork_writes_is_not_believed(
    reader: CardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lines in (
        [["name", [0.9], [[0, 0]] * 4, 0.0]],
        [["a", [0.9], [[0, 0]] * 3, 0.0]],
        [["a", [0.9], [[0, 0]] * 4, "glare"]],
        [["a", [0.9], [[0, 0]] * 4]],
        7,
    ):

        async def broken(*_: object, told: object = lines) -> tuple[object, list[bytes]]:
            return [told], []

        monkeypatch.setattr(reader, "ask", broken)
        with pytest.raises(DocumentRefusedError):
            await reader.lines(b"")


_SERVED = """
import runpy, sys
sys.argv = ["services.intake", "help"]
try:
    runpy.run_module("services.intake", run_name="__main__")
except SystemExit as left:
    print(left.code, sys.modules["numpy"], "openpyxl" in sys.modules)
"""


def test_the_service_is_as_small_here_as_where_there_is_no_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SERVED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "2 None True\n", done.stderr


_ALONE = """
import sys
import services.intake.app
loaded = {"rapidocr", "onnxruntime", "cv2"} & set(sys.modules)
print(*loaded or ["nothing"])
"""


def test_the_service_itself_never_loads_the_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "nothing\n"


async def test_without_the_machine_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"requirements-reading\.lock"):
        await serve(Settings(service="intake"))


def test_the_machine_keeps_nothing_of_its_own_and_so_has_nothing_to_report(tmp_path: Path) -> None:
    """onnxruntime reports to its maker, and keeps what it will send in the user's folder."""
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    subprocess.run(
        [sys.executable, "-c", "from services.intake.card_ocr import engine; engine()"],
        env={**elsewhere, "HOME": str(tmp_path)},
        cwd=ROOT,
        check=True,
        timeout=150,
    )
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []
