"""A card's fields are found among lines of text wherever they stand; what cannot be is doubted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import pytest

from services.intake.idcard import LONG_TERM, CardReading, Line, read_card
from shared.formats import make_synthetic_resident_id

TODAY = date(2026, 10, 12)
NUMBER = make_synthetic_resident_id("31", date(1990, 3, 7), 121)  # odd: male
HEIGHT = 40


def line(
    text: str, x: float, y: float, scores: Sequence[float] | float = 0.99, glare: float = 0.0
) -> Line:
    """A line that begins at x; every character is as wide as high."""
    wide = HEIGHT * len(text)
    corners = ((x, y), (x + wide, y), (x + wide, y + HEIGHT), (x, y + HEIGHT))
    each = (scores,) * len(text) if isinstance(scores, float) else tuple(scores)
    return Line(text, each, corners, glare)


def front(**changes: Line | None) -> list[Line]:
    """The side with the portrait; each line may be another, or be missing."""
    lines: dict[str, Line | None] = {
        "name_label": line("姓名", 60, 60),
        "name": line("司徒望月", 190, 64),
        "sex": line("性别男", 60, 140),
        "ethnicity": line("民族汉", 250, 140),
        "born": line("出生1990年3月7日", 60, 220),
        "address": line("住址上海市浦东新区望江路七十", 60, 300),
        "address_more": line("七号3单元502室", 165, 360),
        "number": line(f"公民身份号码{NUMBER}", 60, 540),
        **changes,
    }
    return [one for one in lines.values() if one is not None]


def back(
    term: str = "2019.03.07-2039.03.07", authority: str = "望江区公安局", glare: float = 0.0
) -> list[Line]:
    return [
        line("居民证件样本", 400, 80),
        line("签发机关", 200, 400),
        line(authority, 400, 400, glare=glare),
        line("有效期限" + term, 200, 480),
    ]


def turned(lines: Sequence[Line], degrees: float) -> list[Line]:
    """The picture turned. The machine reads each text rightly all the same, and names its corners
    as they lie: from the upper left one, clockwise."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    found = []
    for one in lines:
        points = sorted((x * cosine - y * sine, x * sine + y * cosine) for x, y in one.corners)
        (upper_left, lower_left), (upper_right, lower_right) = (
            sorted(pair, key=lambda point: point[1]) for pair in (points[:2], points[2:])
        )
        corners = (upper_left, upper_right, lower_right, lower_left)
        found.append(Line(one.text, one.scores, corners, one.glare))
    return found


def said(lines: Sequence[Line], side: str = "front") -> dict[str, str]:
    found = read_card(side, [lines], TODAY)  # type: ignore[arg-type]
    return {name: one.value for name, one in found.items()}


WHOLE = {
    "name": "司徒望月",
    "sex": "male",
    "ethnicity": "汉",
    "birth_date": "1990-03-07",
    "home_address": "上海市浦东新区望江路七十七号3单元502室",
    "id_number": NUMBER,
}


@pytest.mark.parametrize("degrees", [0, 5, -5, 90, 180, 270, 93])
def test_a_card_is_read_however_the_phone_was_held(degrees: float) -> None:
    assert said(turned(front(), degrees)) == WHOLE
    assert said(turned(back(), degrees), "back") == {
        "authority": "望江区公安局",
        "id_issued": "2019-03-07",
        "id_expires": "2039-03-07",
    }


def test_a_long_text_beside_the_card_that_lies_askew_turns_nothing() -> None:
    (askew,) = turned([line("桌上的一行长长的广告文字" * 3, 900, 900)], 30)
    assert said([askew, *front()]) == WHOLE


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (front(name_label=None, name=line("姓 名 司徒望月", 60, 60)), "name", "司徒望月"),
        (front(name=line("古丽•买买提", 190, 64)), "name", "古丽·买买提"),
        (front(sex=line("性别", 60, 140), more=line("女", 150, 138)), "sex", "female"),
        (front(number=line("公民身份号码 " + NUMBER[:17] + "ｘ", 60, 540)), "id_number",
         NUMBER[:17] + "X"),
        (front(address_more=None), "home_address", "上海市浦东新区望江路七十"),
        # what lies on the table, or is printed far to the side, is no part of it
        (front(far=line("仅供参考", 1100, 62)), "name", "司徒望月"),
        (front(mark=line("样本", 700, 302)), "home_address", WHOLE["home_address"]),
        (front(below=line("复印无效", 165, 700)), "home_address", WHOLE["home_address"]),
    ],
)  # fmt: skip
def test_words_and_values_stand_in_one_piece_or_in_several(
    lines: list[Line], name: str, value: str
) -> None:
    assert said(lines)[name] == value


@pytest.mark.parametrize(
    ("term", "expires"),
    [
        ("2019.03.07-2039.03.07", "2039-03-07"),
        ("2019.03.07—长期", LONG_TERM),
        ("2019030720390307", "2039-03-07"),
    ],
)
def test_the_term_is_read_with_any_dash_and_without_end(term: str, expires: str) -> None:
    assert said(back(term), "back")["id_expires"] == expires


@pytest.mark.parametrize(
    ("lines", "side", "missing"),
    [
        (front(name=None), "front", {"name"}),
        (front(sex=None), "front", {"sex"}),
        (front(number=line(NUMBER[:17], 60, 540)), "front", {"id_number"}),
        (front(number=line(NUMBER + "1", 60, 540)), "front", {"id_number"}),
        (front(born=line("出生1990年3月", 60, 220)), "front", {"birth_date"}),
        (front(born=line("出生1990年13月7日", 60, 220)), "front", {"birth_date"}),
        (front(address=None), "front", {"home_address"}),
        (back("2019.03.0"), "back", {"id_issued", "id_expires"}),
        (back("2019.02.30-2039.03.07"), "back", {"id_issued", "id_expires"}),
        (back(authority="望江区"), "back", {"authority"}),
        ([], "front", set(WHOLE)),
        (back(), "front", set(WHOLE)),
    ],
)
def test_what_is_not_there_is_not_guessed(lines: list[Line], side: str, missing: set[str]) -> None:
    whole = set(WHOLE) if side == "front" else {"authority", "id_issued", "id_expires"}
    assert set(said(lines, side)) == whole - missing


_WRONG = NUMBER[:17] + ("1" if NUMBER[17] != "1" else "2")
_OF_A_WOMAN = make_synthetic_resident_id("31", date(1990, 3, 7), 122)


@pytest.mark.parametrize(
    ("lines", "side", "doubts"),
    [
        (front(), "front", {}),
        (front(number=line(_WRONG, 60, 540)), "front", {"id_number": ("check_digit",)}),
        (
            front(born=line("出生1996年3月7日", 60, 220)),
            "front",
            {"birth_date": ("birth_and_number",), "id_number": ("birth_and_number",)},
        ),
        (
            front(number=line(_OF_A_WOMAN, 60, 540)),
            "front",
            {"sex": ("sex_and_number",), "id_number": ("sex_and_number",)},
        ),
        (front(name=line("司徒望7", 190, 64)), "front", {"name": ("name_form",)}),
        # a line ends early, or the next one is gone
        *(
            (
                front(
                    address=line("住址" + first, 60, 300),
                    address_more=line(second, 165, 360) if second else None,
                ),
                "front",
                {"home_address": ("address_gap",)},
            )
            for first, second in (
                ("上海市望江路", "七号3单元"),
                ("上海市浦东新区望江路七十", ""),
                ("上海市浦东新区望江路七十", "七号望江小区三单元1502"),
            )
        ),
        (front(address=line("住址上海市望江路7号", 60, 300), address_more=None), "front", {}),
        (
            front(address=line("住址上海市", 60, 300), address_more=None),
            "front",
            {"home_address": ("address_short",)},
        ),
        # room for a character that glare hides: on a line, or in any of several pieces
        (front(name=line("司徒望月", 190, 64, glare=0.5)), "front", {"name": ("glare",)}),
        (front(name=line("司徒望月", 190, 64, glare=0.4)), "front", {}),
        (
            front(name=line("司徒", 190, 64, glare=1.5), more=line("月", 290, 64)),
            "front",
            {"name": ("glare",)},
        ),
        (
            front(address_more=line("七号3单元502室", 165, 360, glare=2.0)),
            "front",
            {"home_address": ("glare",)},
        ),
        (front(ethnicity=line("民族汉", 250, 140, glare=1.0)), "front", {"ethnicity": ("glare",)}),
        # these vouch for themselves: by a check digit, by a form that has no gaps
        (
            front(
                number=line(f"公民身份号码{NUMBER}", 60, 540, glare=3.0),
                born=line("出生1990年3月7日", 60, 220, glare=3.0),
            ),
            "front",
            {},
        ),
        (back(glare=1.0), "back", {"authority": ("glare",)}),
        (back(), "back", {}),
        (back("2019.03.07-2039.03.06"), "back", {}),  # some cards name the day before
        (back("2004.02.29-2024.02.29"), "back", {}),
        (back("2020.02.29-2030.03.01"), "back", {}),
        (back("2019.03.07-长期"), "back", {}),
        *(
            (back(f"2019.03.07-{ends}"), "back", {"id_issued": ("term",), "id_expires": ("term",)})
            for ends in ("2089.03.07", "2039.08.07", "2019.03.07")
        ),
    ],
)
def test_what_cannot_be_is_doubtful(
    lines: list[Line], side: str, doubts: dict[str, tuple[str, ...]]
) -> None:
    found = read_card(side, [lines], TODAY)  # type: ignore[arg-type]
    assert {name: one.doubts for name, one in found.items() if one.doubts} == doubts


def test_a_field_is_as_sure_as_the_worst_of_its_characters() -> None:
    lines = front(
        name=line("司徒望月", 190, 64, (0.99, 0.98, 0.41, 0.99)),
        name_label=line("姓名", 60, 60, 0.2),  # of the label nobody wants to know
        address_more=line("七号3单元502室", 165, 360, 0.7),
    )
    found = read_card("front", [lines], TODAY)
    assert found["name"].confidence == 0.41
    assert found["home_address"].confidence == 0.7
    reading = CardReading(
        "d", "front", "read", None, {}, {n: (o.confidence, o.doubts) for n, o in found.items()}
    )
    assert reading.is_sure("id_number", 0.9)
    assert not reading.is_sure("name", 0.9)
    assert not reading.is_sure("employer", 0.9)
    doubted = CardReading("d", "front", "read", None, {}, {"name": (0.99, ("name_form",))})
    assert not doubted.is_sure("name", 0.9)


def test_each_page_adds_what_those_before_did_not_show() -> None:
    other = line("姓名欧阳明", 60, 60)
    found = read_card("front", [front(name=None, name_label=None), [other]], TODAY)
    assert {name: one.value for name, one in found.items()} == {**WHOLE, "name": "欧阳明"}
    found = read_card("front", [front(), [other]], TODAY)
    assert found["name"].value == "司徒望月"


def test_a_suggestion_shows_no_value_where_it_is_printed() -> None:
    lines = front()
    found = read_card("front", [lines], TODAY)
    assert NUMBER not in repr((lines, found))
    assert "司徒望月" not in repr((lines, found))
