"""Pictures of made-up ID cards, as phones take them: for `tests.bench.reading` and the tests.

Nobody's cards: the people are the demo's, whose numbers name a county that is allocated nowhere,
and the drawing is our own, with 样本 (specimen) on it. What it has in common with the real card is
which words stand beside which, for that is what is measured.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from deploy.demo.people import Crowd, Person
from services.intake.idcard import LONG_TERM, Side
from shared.fonts import FONT
from shared.formats import read_resident_id

CARD = (1100, 694)  # pixels, the card's proportions
PHOTO = (1600, 1200)
OPENING = date(2026, 10, 12)

_INK, _LABEL = (28, 28, 32), (44, 96, 140)
_LINE = 11  # characters of an address beside the portrait; a digit is half of one
_ETHNICITIES = ("汉", "汉", "汉", "汉", "汉", "回", "壮", "满", "维吾尔", "藏", "苗")
_DOTTED = ("古丽·买买提", "阿依努尔·艾山", "巴图·乌兰", "扎西·多吉")
_PLACES = ("望江区", "云锦县", "青岚市", "明湖区")


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of a side, and what really stands on it."""

    side: Side
    picture: bytes
    says: Mapping[str, str]


def people(seed: int, count: int) -> list[tuple[Person, str, str]]:
    """(somebody, their ethnicity, who issued their card), the same for the same seed."""
    chance = Random(seed)
    crowd = Crowd(chance, OPENING)
    found = []
    for nth in range(count):
        region = chance.choice(("11", "31", "33", "44", "51", "61"))
        person = crowd.make(region, work_region=region, ages=(17, 70))
        if nth % 12 == 5:
            person = replace(person, name=chance.choice(_DOTTED))
        found.append((person, chance.choice(_ETHNICITIES), chance.choice(_PLACES) + "公安局"))
    return found


def front(person: Person, ethnicity: str) -> tuple[Image.Image, dict[str, str]]:
    """The side with the portrait, and what it says."""
    number = read_resident_id(person.id_number)
    born = number.birth_date
    sex = number.sex or "female"  # numbers of 18 digits, which these persons have, say it
    image = _blank()
    drawing = ImageDraw.Draw(image)

    def line(y: int, label: str, text: str, x: int = 70, indent: int = 130) -> None:
        drawing.text((x, y + 5), label, font=_font(30), fill=_LABEL)
        drawing.text((x + indent, y), text, font=_font(40), fill=_INK)

    line(70, "姓 名", person.name)
    line(148, "性 别", {"male": "男", "female": "女"}[sex])
    line(148, "民 族", ethnicity, x=330)
    line(226, "出 生", f"{born.year} 年 {born.month} 月 {born.day} 日")
    for nth, part in enumerate(_wrapped(person.home_address)):
        line(304 + 54 * nth, "" if nth else "住 址", part)
    line(590, "公民身份号码", person.id_number, indent=270)
    drawing.rounded_rectangle((790, 90, 1030, 430), 20, fill=(196, 206, 214))
    drawing.ellipse((850, 140, 970, 280), fill=(168, 180, 190))
    drawing.text((855, 330), "样本", font=_font(56), fill=(120, 130, 140))
    return image, {
        "name": person.name,
        "sex": sex,
        "ethnicity": ethnicity,
        "birth_date": born.isoformat(),
        "home_address": person.home_address,
        "id_number": person.id_number,
    }


def _wrapped(address: str) -> list[str]:
    lines, room = [""], float(_LINE)
    for one in address:
        wide = 0.5 if one.isascii() else 1.0
        if wide > room:
            lines.append("")
            room = _LINE
        lines[-1] += one
        room -= wide
    return lines


def back(person: Person, authority: str) -> tuple[Image.Image, dict[str, str]]:
    """The side with the term, and what it says."""
    image = _blank()
    drawing = ImageDraw.Draw(image)
    drawing.ellipse((80, 80, 250, 250), outline=(190, 90, 80), width=8)
    drawing.text((109, 135), "样本", font=_font(56), fill=(190, 90, 80))
    drawing.text((330, 100), "居 民 证 件 样 本", font=_font(62), fill=_INK)
    ends = f"{person.id_expires:%Y.%m.%d}" if person.id_expires else "长期"
    for y, label, text in (
        (480, "签发机关", authority),
        (560, "有效期限", f"{person.id_issued:%Y.%m.%d}-{ends}"),
    ):
        drawing.text((230, y + 4), label, font=_font(30), fill=_LABEL)
        drawing.text((410, y), text, font=_font(36), fill=_INK)
    return image, {
        "authority": authority,
        "id_issued": person.id_issued.isoformat(),
        "id_expires": person.id_expires.isoformat() if person.id_expires else LONG_TERM,
    }


def _blank() -> Image.Image:
    image = Image.new("RGB", CARD, (226, 236, 242))
    drawing = ImageDraw.Draw(image)
    for nth in range(
        0, CARD[0] + CARD[1], 26
    ):  # a fine pattern, as on papers that are hard to copy
        drawing.line((nth, 0, nth - CARD[1], CARD[1]), fill=(214, 227, 236), width=2)
    for x, y in ((560, 470), (360, 20)):
        drawing.text((x, y), "样本 SPECIMEN", font=_font(26), fill=(198, 212, 222))
    return image


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)


# -- as a phone sees it ----------------------------------------------------------------------------

_Spoil = Callable[[Image.Image, Random], Image.Image]


def _noise(photo: Image.Image, chance: Random) -> Image.Image:
    grain = np.random.default_rng(chance.randrange(2**32)).normal(
        0, 24, (photo.height, photo.width, 3)
    )
    return Image.fromarray(np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8))


def _rotation(photo: Image.Image, chance: Random) -> Image.Image:
    angle = chance.choice((-1, 1)) * chance.uniform(2, 5)
    return photo.rotate(angle, Image.Resampling.BICUBIC, fillcolor=_at(photo, 0.01))


def _on_its_side(photo: Image.Image, chance: Random) -> Image.Image:
    return photo.rotate(chance.choice((90, 180, 270)), expand=True)


def _blur(photo: Image.Image, chance: Random) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(chance.uniform(1.8, 2.8)))


def _motion(photo: Image.Image, chance: Random) -> Image.Image:
    """The hand moved while the picture was taken."""
    pixels, steps = np.asarray(photo).astype(np.float32), chance.randint(7, 11)
    moved = [np.roll(pixels, (nth // 3, nth), (0, 1)) for nth in range(steps)]
    return Image.fromarray(np.mean(moved, axis=0).astype(np.uint8))


def _glare(photo: Image.Image, chance: Random) -> Image.Image:
    """A lamp that mirrors on the card: in its midst nothing is left."""
    x, y = chance.uniform(0.2, 0.7) * photo.width, chance.uniform(0.25, 0.75) * photo.height
    across, down = np.meshgrid(np.arange(photo.width), np.arange(photo.height))
    distance = np.hypot((across - x) / chance.uniform(1.0, 1.8), down - y)
    light = 330 * np.exp(-((distance / chance.uniform(90, 150)) ** 2))
    return Image.fromarray(np.clip(np.asarray(photo) + light[..., None], 0, 255).astype(np.uint8))


def _low_light(photo: Image.Image, chance: Random) -> Image.Image:
    dark = ImageEnhance.Brightness(photo).enhance(chance.uniform(0.16, 0.28))
    grain = np.random.default_rng(chance.randrange(2**32)).normal(
        0, 6, (photo.height, photo.width, 3)
    )
    return Image.fromarray(np.clip(np.asarray(dark) + grain, 0, 255).astype(np.uint8))


def _perspective(photo: Image.Image, chance: Random) -> Image.Image:
    """The phone was held at an angle."""
    wide, high = photo.size
    corners = [(0, 0), (wide, 0), (wide, high), (0, high)]
    seen = [
        (x + chance.uniform(-0.07, 0.07) * wide, y + chance.uniform(-0.07, 0.07) * high)
        for x, y in corners
    ]
    rows, right = [], []
    for (x, y), (u, v) in zip(corners, seen, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    bent = [float(one) for one in np.linalg.solve(np.array(rows), np.array(right))]
    return photo.transform(
        photo.size, Image.Transform.PERSPECTIVE, bent, Image.Resampling.BICUBIC,
        fillcolor=_at(photo, 0.01),
    )  # fmt: skip


def _small(photo: Image.Image, _chance: Random) -> Image.Image:
    """Sent on by a messenger that makes pictures small."""
    return photo.resize((photo.width * 2 // 5, photo.height * 2 // 5), Image.Resampling.BICUBIC)


def _at(photo: Image.Image, share: float) -> tuple[int, int, int]:
    red, green, blue = photo.getpixel((round(photo.width * share), round(photo.height * share)))  # type: ignore[misc]
    return red, green, blue


def _nothing(photo: Image.Image, _chance: Random) -> Image.Image:
    return photo


CONDITIONS: Mapping[str, tuple[tuple[_Spoil, ...], int]] = {
    "clean": ((_nothing,), 90),
    "noise": ((_noise,), 85),
    "rotated up to 5°": ((_rotation,), 85),
    "on its side or head": ((_on_its_side,), 85),
    "out of focus": ((_blur,), 85),
    "moved": ((_motion,), 85),
    "glare": ((_glare,), 85),
    "low light": ((_low_light,), 85),
    "JPEG quality 12": ((_nothing,), 12),
    "small (640 pixels)": ((_small,), 80),
    "held at an angle": ((_perspective,), 85),
    "phone: angle, turn, noise, glare": ((_perspective, _rotation, _noise, _glare), 75),
}
"""{what is wrong with the pictures: how they are spoiled, the quality of the JPEG}."""


def photograph(card: Image.Image, condition: str, chance: Random) -> bytes:
    """The card on a table, as a JPEG."""
    shade = chance.randint(70, 150)
    photo = Image.new("RGB", PHOTO, (shade, shade - 12, shade - 30))
    drawing = ImageDraw.Draw(photo)
    for y in range(0, PHOTO[1], 40):
        drawing.line((0, y, PHOTO[0], y + round(12 * math.sin(y))), fill=(shade - 8,) * 3, width=3)
    mask = Image.new("L", CARD)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, CARD[0] - 1, CARD[1] - 1), 34, fill=255)
    place = (
        (PHOTO[0] - CARD[0]) // 2 + chance.randint(-60, 60),
        (PHOTO[1] - CARD[1]) // 2 + chance.randint(-60, 60),
    )
    photo.paste(card, place, mask)
    spoils, quality = CONDITIONS[condition]
    for spoil in spoils:
        photo = spoil(photo, chance)
    written = io.BytesIO()
    photo.save(written, "JPEG", quality=quality)
    return written.getvalue()


def shown(seed: int, count: int, condition: str) -> list[Shown]:
    """Both sides of so many cards under one condition; every condition has its own people."""
    chance = Random(f"{seed} {condition}")
    found = []
    for person, ethnicity, authority in people(chance.randrange(2**32), count):
        for side, (image, says) in (
            ("front", front(person, ethnicity)),
            ("back", back(person, authority)),
        ):
            found.append(Shown(side, photograph(image, condition, chance), says))  # type: ignore[arg-type]
    return found
