"""Made-up people of the demo: names, papers and numbers that pass every check and are nobody's.

ID numbers carry a county code that is allocated nowhere; the three digits of their sequence choose
what the played credit systems answer (`deploy.demo.credit_systems`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from random import Random

from shared.formats import age_on, make_synthetic_resident_id
from shared.places import PROVINCES

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华玉萍红玲建文辉力晨曦若轩子涵雨桐"
_DOUBLE_SURNAMES = ("欧阳", "司马", "上官", "诸葛")
_FIRMS = ("恒远", "瑞丰", "嘉禾", "启明", "安泰", "汇通", "博雅", "云帆", "德润", "华信")
_TRADES = ("科技", "贸易", "建材", "物流", "餐饮管理", "信息技术", "医疗器械", "教育咨询")
_STREETS = ("建设路", "人民路", "解放大街", "和平路", "文化街", "科技大道", "新华街", "中山路")
_OCCUPATIONS = ("工程师", "会计", "销售经理", "教师", "护士", "行政主管", "技术员", "设计师")
_BRANDS = ("139", "138", "158", "188", "150", "136", "186", "133")
_MUNICIPALITIES = frozenset({"11", "12", "31", "50"})
_AREA_CODES = {"11": "010", "31": "021", "44": "020", "32": "025", "33": "0571", "51": "028"}
_LISTED = 900  # sequences from here on stand for a scenario; below, and from 990 on, all is well


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who applies. Money in whole fen; `id_expires` None is 长期. `id_type`, `birth_date`:
    of who shows a passport."""

    name: str
    salutation: str
    id_number: str
    id_issued: date
    id_expires: date | None
    mobile: str
    email: str
    home_address: str
    employer: str
    occupation: str
    work_address: str
    office_phone: str
    monthly_income: int
    other_bank_limits: int
    nationality: str = "CHN"
    id_type: str | None = None
    birth_date: date | None = None

    @property
    def born(self) -> date:
        if self.birth_date is not None:
            return self.birth_date
        digits = self.id_number[6:14]
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))

    @property
    def province(self) -> str:
        return self.id_number[:2]

    def with_id_mistyped(self) -> Person:
        """The same person with a check digit that is wrong."""
        right = self.id_number[17]
        return replace(self, id_number=self.id_number[:17] + ("1" if right != "1" else "2"))


class Crowd:
    """Makes people from one seed; no two have the same ID number or mobile."""

    def __init__(self, chance: Random, opening: date) -> None:
        self._chance = chance
        self._opening = opening
        self._numbers: set[str] = set()
        self._made = 0

    def make(
        self,
        region: str,
        *,
        work_region: str,
        ages: tuple[int, int] = (24, 55),
        scenario: Sequence[int] | None = None,
        income_yuan: tuple[int, int] = (9_000, 32_000),
        id_expired: bool = False,
    ) -> Person:
        """Somebody of `ages` (both included) whose ID names `region` and who works in
        `work_region`.

        scenario: sequences of which one is taken; None for one that stands for nothing.
        """
        chance = self._chance
        self._made += 1
        born = self._birth(ages)
        id_number = self._number(region, born, scenario)
        male = int(id_number[16]) % 2 == 1
        issued, expires = self._term(born, expired=id_expired)
        surname = chance.choice(_SURNAMES)
        if chance.random() < 0.02:
            surname = chance.choice(_DOUBLE_SURNAMES)
        given = "".join(chance.sample(_GIVEN, chance.choice((1, 2, 2))))
        city = place(work_region)
        area = _AREA_CODES.get(work_region, "0791")
        mobile = f"{chance.choice(_BRANDS)}{self._made:05d}{chance.randrange(1000):03d}"
        person = Person(
            name=surname + given,
            salutation="mr" if male else "ms",
            id_number=id_number,
            id_issued=issued,
            id_expires=expires,
            mobile=mobile,
            email=f"customer{self._made:04d}@mail.example",
            home_address=f"{city}{chance.choice(_STREETS)}{chance.randrange(1, 300)}号"
            f"{chance.randrange(1, 20)}栋{chance.randrange(101, 2500)}室",
            employer=f"{chance.choice(_FIRMS)}{chance.choice(_TRADES)}有限公司",
            occupation=chance.choice(_OCCUPATIONS),
            work_address=f"{city}{chance.choice(_STREETS)}{chance.randrange(1, 300)}号",
            office_phone=f"{area}-{chance.randrange(6_000_0000, 8_999_9999)}",
            monthly_income=chance.randrange(*income_yuan, 100) * 100,
            other_bank_limits=chance.choice((0, 0, 200_000, 500_000)),
        )
        # of the young the bureau knows no cards elsewhere, and they state none
        return replace(person, other_bank_limits=0) if born.year >= 2000 else person

    def _birth(self, ages: tuple[int, int]) -> date:
        youngest, oldest = ages
        while True:
            year = self._opening.year - self._chance.randint(youngest, oldest + 1)
            born = date(year, self._chance.randint(1, 12), self._chance.randint(1, 28))
            # nobody has a birthday while the demo runs
            if youngest <= age_on(born, self._opening) <= oldest and born.month < 10:
                return born

    def _number(self, region: str, born: date, scenario: Sequence[int] | None) -> str:
        while True:
            sequence = (
                self._chance.choice(scenario)
                if scenario is not None
                else self._chance.randrange(_LISTED)
            )
            number = make_synthetic_resident_id(region, born, sequence)
            if number not in self._numbers:
                self._numbers.add(number)
                return number
            born = born.replace(day=self._chance.randint(1, 28))

    def _term(self, born: date, *, expired: bool) -> tuple[date, date | None]:
        """First and last day of the ID card, as the law fits them to the age at issue."""
        years = range(2015, 2017) if expired else range(2018, 2026)
        fitting = [year for year in years if year - born.year >= 17]
        issued = date(self._chance.choice(fitting or [2025]), self._chance.randint(1, 9), 10)
        return issued, _end_of_term(born, issued)


def _end_of_term(born: date, issued: date) -> date | None:
    """居民身份证法 Art. 5."""
    age = age_on(born, issued)
    if age >= 46:
        return None
    return issued.replace(year=issued.year + (5 if age < 16 else 10 if age < 26 else 20))


def renewed(person: Person, issued: date) -> Person:
    """The same person with a new ID card."""
    return replace(person, id_issued=issued, id_expires=_end_of_term(person.born, issued))


def with_passport(person: Person) -> Person:
    """Somebody as old who comes from abroad. No passport of any country bears such a number."""
    return replace(
        person,
        name="Anna-Maria Müller" if person.salutation == "ms" else "Jonas Müller",
        id_type="passport",
        id_number=f"SYN{person.mobile[-6:]}",
        nationality="DEU",
        birth_date=person.born,
        id_issued=date(2021, 3, 1),
        id_expires=date(2031, 2, 28),
    )


def place(region: str) -> str:
    """The beginning of an address in a province."""
    name = PROVINCES[region]
    return f"{name}市城东区" if region in _MUNICIPALITIES else f"{name}省城东区"
