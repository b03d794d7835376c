"""What stands on an ID card, found among the lines that a machine read on a picture of it.

Pure. What comes out is a suggestion: for each field the text, how sure the machine was of it, and
why it is doubtful all the same. Nothing here decides anything; a person reads the card.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from statistics import median
from typing import Literal

from shared.formats import (
    Severity,
    check_name,
    check_resident_id,
    normalise_name,
    read_resident_id,
)

Side = Literal["front", "back"]
Point = tuple[float, float]

FIELDS: Mapping[Side, tuple[str, ...]] = {
    "front": ("name", "sex", "ethnicity", "birth_date", "home_address", "id_number"),
    "back": ("authority", "id_issued", "id_expires"),
}
"""What a side says, in the order in which it stands there; by the form's names where it has one."""

LONG_TERM = "9999-12-31"  # as the form writes 长期
_WORDS_OF_SEX = {"男": "male", "女": "female"}
_TERMS = (5, 10, 20)  # years, 居民身份证法 Art. 5
_TERM_LEEWAY = 2  # days by which an end may miss its term: some cards name the day before
_SHORTEST_ADDRESS = 6
_FULL_LINE = 10  # a card writes eleven characters of an address on a line; a digit is half of one

# In heights of a line: what stands closer is one text, and a line of the address follows the other.
_GAP = 3.5  # between a label and what belongs to it
_CLOSE = 1.2
_BESIDE = 0.7
_BELOW = 2.4
_HIDES = 0.5  # of glare: room for a character, which is as wide as high


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a picture: each character with how sure the machine is of it (0 to 1), and
    where it stands, from where its reading begins. `glare`: how much on it or right beside it
    shines too brightly to show anything, in heights of the line."""

    text: str = field(repr=False)
    scores: tuple[float, ...]
    corners: tuple[Point, Point, Point, Point]
    glare: float = 0.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a field seems to say. `confidence`: how sure the machine was of the character of which
    it was least sure; `doubts`: codes of what speaks against it."""

    value: str = field(repr=False)
    confidence: float
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CardReading:
    """How far the reading of a card came. `says`: {field: sealed}; `told`: {field: (how sure, what
    speaks against it)}."""

    document_id: str
    side: Side
    state: Literal["waiting", "read", "failed"]
    failure: str | None
    says: Mapping[str, str] = field(repr=False)
    told: Mapping[str, tuple[float, tuple[str, ...]]]

    def is_sure(self, name: str, sure: float) -> bool:
        """Whether the machine was that sure of a field, and nothing speaks against it."""
        confidence, doubts = self.told.get(name, (0.0, ()))
        return confidence >= sure and not doubts


@dataclass(frozen=True, slots=True)
class _Text:
    """Characters with their scores, without spaces, in the ordinary width; the most glare on or
    beside the lines that they come from."""

    text: str = ""
    scores: tuple[float, ...] = ()
    glare: float = 0.0

    @classmethod
    def of(cls, line: Line) -> _Text:
        pairs = [
            (plain, score)
            for character, score in zip(line.text, line.scores, strict=True)
            for plain in unicodedata.normalize("NFKC", character)
            if not plain.isspace()
        ]
        return cls(
            "".join(plain for plain, _ in pairs), tuple(score for _, score in pairs), line.glare
        )

    def __add__(self, other: _Text) -> _Text:
        return _Text(
            self.text + other.text, self.scores + other.scores, max(self.glare, other.glare)
        )

    def part(self, found: re.Match[str], group: int | str) -> _Text:
        return _Text(found[group], self.scores[found.start(group) : found.end(group)], self.glare)

    @property
    def confidence(self) -> float:
        return min(self.scores, default=0.0)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Of a text that nothing vouches for: glare takes characters away without a trace."""
        return ("glare",) if self.glare >= _HIDES else ()


@dataclass(frozen=True, slots=True)
class _Placed:
    """A text with the upright rectangle around it."""

    text: _Text
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def with_next(self, other: _Placed) -> _Placed:
        """This text and the one beside it; its place in height is that of the latter, so that a
        row may rise or fall."""
        return replace(other, text=self.text + other.text, left=self.left)


def read_card(side: Side, pages: Iterable[Sequence[Line]], today: date) -> dict[str, Suggestion]:
    """What a side of a card says, from the lines on a paper's pages; fields that are not found are
    missing. Where several pages show one, the first counts."""
    found: dict[str, Suggestion] = {}
    for lines in pages:
        of_page = max((_find(side, turned) for turned in _turned(lines)), key=len, default={})
        found = {**of_page, **found}
    found = {name: found[name] for name in FIELDS[side] if name in found}
    return _doubted(found, today)


# -- where texts stand -----------------------------------------------------------------------------


def _turned(lines: Sequence[Line]) -> Iterator[list[_Placed]]:
    """The lines as on an upright picture, and as on one that is upside down: which of the two it
    is, the words tell."""
    texts = [(_Text.of(line), line.corners) for line in lines]
    texts = [(text, corners) for text, corners in texts if text.text]
    angle = _slope([corners for _, corners in texts])
    for turn in (angle, angle + math.pi):
        yield _rows([_place(text, corners, turn) for text, corners in texts])


def _slope(boxes: Sequence[Sequence[Point]]) -> float:
    """The angle at which the text runs, as most of the long lines have it."""
    angles, weights = [], []
    for first, second, third, _fourth in boxes:
        sides = sorted(((first, second), (second, third)), key=lambda one: math.dist(*one))
        (ax, ay), (bx, by) = sides[1]
        longest, shortest = math.dist(*sides[1]), math.dist(*sides[0])
        if longest < 2 * shortest:
            continue
        angles.append(math.atan2(by - ay, bx - ax))
        weights.append(longest)
    if not angles:
        return 0.0
    # a direction and its opposite are one: the longest line says which neighbourhood is meant
    main = angles[weights.index(max(weights))]
    return main + median((one - main + math.pi / 2) % math.pi - math.pi / 2 for one in angles)


def _place(text: _Text, corners: Sequence[Point], angle: float) -> _Placed:
    cosine, sine = math.cos(-angle), math.sin(-angle)
    points = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in corners]
    across, down = [x for x, _ in points], [y for _, y in points]
    return _Placed(text, min(across), min(down), max(across), max(down))


def _rows(placed: Sequence[_Placed]) -> list[_Placed]:
    """Texts that stand side by side, as one: a label and its value, a line in several pieces."""
    rows: list[_Placed] = []
    for one in sorted(placed, key=lambda one: one.left):
        before = [row for row in rows if _beside(row, one)]
        if before:
            closest = min(before, key=lambda row: abs(row.middle - one.middle))
            rows[rows.index(closest)] = closest.with_next(one)
        else:
            rows.append(one)
    return sorted(rows, key=lambda row: row.top)


_LABEL = "姓名|性别|民族|出生|住址|身份号码|签发机关|有效期限"
_AFTER_LABEL, _BEFORE_LABEL = re.compile(f"(?:{_LABEL})$"), re.compile(f"^(?:{_LABEL})")


def _beside(row: _Placed, one: _Placed) -> bool:
    height = min(row.height, one.height)
    of_label = _AFTER_LABEL.search(row.text.text) or _BEFORE_LABEL.search(one.text.text)
    return (
        abs(row.middle - one.middle) < _BESIDE * height
        and -height < one.left - row.right < (_GAP if of_label else _CLOSE) * height
    )


# -- what they say ---------------------------------------------------------------------------------

_UNVOUCHED = ("name", "ethnicity", "authority")  # of any length, and checked by nothing
_NAME = re.compile(r"^姓名[::]?(?P<value>.+)$")
_SEX = re.compile(r"性别[::]?(?P<value>[男女])")
_ETHNICITY = re.compile(r"民族[::]?(?P<value>[\u4e00-\u9fff]{1,6})$")
_BIRTH = re.compile(r"(?<!\d)(?P<value>(\d{4})年(\d{1,2})月(\d{1,2})日)")
_ADDRESS = re.compile(r"^住址[::]?(?P<value>.+)$")
_NUMBER = re.compile(r"(?<![0-9])(?P<value>[0-9]{17}[0-9Xx])(?![0-9])")
_ANY_LABEL = re.compile(r"^(?:姓名|性别|民族|出生|住址|公民身份|身份号码)|[0-9]{15}")
_AUTHORITY = re.compile(r"^签发机关[::]?(?P<value>[\u4e00-\u9fff]+局)")
_TERM = re.compile(r"^有效期限?[::]?(?P<value>[^\u4e00-\u9fff]*(?:长期)?)$")
_TERM_DATES = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{4})(\d{2})(\d{2})|长期)")


def _find(side: Side, rows: Sequence[_Placed]) -> dict[str, Suggestion]:
    texts = [row.text for row in rows]
    if side == "back":
        return {**_first("authority", _AUTHORITY, texts), **_term(texts)}
    return {
        **_first("name", _NAME, texts, normalise_name),
        **_first("sex", _SEX, texts, _WORDS_OF_SEX.__getitem__),
        **_first("ethnicity", _ETHNICITY, texts),
        **_first("birth_date", _BIRTH, texts, _day_in_words),
        **_address(rows),
        **_first("id_number", _NUMBER, texts, str.upper),
    }


def _first(
    name: str,
    pattern: re.Pattern[str],
    texts: Iterable[_Text],
    written: Callable[[str], str | None] = str,
) -> dict[str, Suggestion]:
    """The first text that says it, as the form would write it."""
    for text in texts:
        if found := pattern.search(text.text):
            value = text.part(found, "value")
            said = written(value.text)
            if said is not None:
                doubts = value.doubts if name in _UNVOUCHED else ()
                return {name: Suggestion(said, value.confidence, doubts)}
    return {}


def _day_in_words(text: str) -> str | None:
    return _day(*re.findall(r"\d+", text))


def _day(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def _address(rows: Sequence[_Placed]) -> dict[str, Suggestion]:
    """The line with the label, and those right below it."""
    for row in rows:
        if not (found := _ADDRESS.search(row.text.text)):
            continue
        value, last = row.text.part(found, "value"), row
        lines = [value]
        for below in rows:
            if (
                0 < below.middle - last.middle < _BELOW * min(last.height, below.height)
                and row.left - row.height < below.left < (row.left + row.right) / 2
                and not _ANY_LABEL.search(below.text.text)
            ):
                lines.append(below.text)
                value, last = value + below.text, below
        # a line is full where another follows, and only there: so it shows what is hidden
        *before, end = [_is_full(line.text) for line in lines]
        doubts = ("address_gap",) if end or not all(before) else ()
        return {"home_address": Suggestion(value.text, value.confidence, doubts + value.doubts)}
    return {}


def _is_full(line: str) -> bool:
    return sum(0.5 if one.isascii() else 1 for one in line) >= _FULL_LINE


def _term(texts: Iterable[_Text]) -> dict[str, Suggestion]:
    for text in texts:
        if not (found := _TERM.search(text.text)):
            continue
        value = text.part(found, "value")
        if not (dates := _TERM_DATES.fullmatch(re.sub(r"[^0-9长期]", "", value.text))):
            continue
        issued = _day(*dates.group(1, 2, 3))
        expires = _day(*dates.group(4, 5, 6)) if dates[4] else LONG_TERM
        if issued and expires:
            return {
                "id_issued": Suggestion(issued, value.confidence),
                "id_expires": Suggestion(expires, value.confidence),
            }
    return {}


# -- what speaks against it ------------------------------------------------------------------------


def _doubted(found: Mapping[str, Suggestion], today: date) -> dict[str, Suggestion]:
    doubts: dict[str, list[str]] = {name: list(one.doubts) for name, one in found.items()}

    def doubt(code: str, *names: str) -> None:
        for name in names:
            doubts[name].append(code)

    said = {name: one.value for name, one in found.items()}
    if "name" in said and check_name(said["name"]):
        doubt("name_form", "name")
    if len(said.get("home_address", "x" * _SHORTEST_ADDRESS)) < _SHORTEST_ADDRESS:
        doubt("address_short", "home_address")
    if "id_number" in said:
        faults = check_resident_id(said["id_number"], today)
        if any(one.severity is Severity.ERROR for one in faults):
            doubt("check_digit", "id_number")
        try:
            number = read_resident_id(said["id_number"])
        except ValueError:  # no day of birth in it: said already
            number = None
        if number is not None:
            if said.get("birth_date", number.birth_date.isoformat()) != (
                number.birth_date.isoformat()
            ):
                doubt("birth_and_number", "birth_date", "id_number")
            if said.get("sex", number.sex) != number.sex:
                doubt("sex_and_number", "sex", "id_number")
    if "id_issued" in said and not _is_term(said["id_issued"], said["id_expires"]):
        doubt("term", "id_issued", "id_expires")
    return {name: replace(one, doubts=tuple(doubts[name])) for name, one in found.items()}


def _is_term(issued: str, expires: str) -> bool:
    """Whether a card may be valid so long; for whom it may, the other side tells."""
    begins, ends = date.fromisoformat(issued), date.fromisoformat(expires)
    if expires == LONG_TERM:
        return True
    # one of 29 February ends a day later
    last = begins.replace(year=ends.year, day=28) if begins.day == 29 else begins.replace(ends.year)
    return ends.year - begins.year in _TERMS and abs((ends - last).days) <= _TERM_LEEWAY
