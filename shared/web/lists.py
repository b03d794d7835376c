"""Lists that are read from place to place: what an address asks for, and where a page begins.

Nothing but codes and days stands in such an address: it is kept by browsers and logs, so no number
of a person and no name ever comes into one. What is no code is as a code that nothing fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import ClassVar, Final, Generic, Self, TypeVar
from urllib.parse import urlencode

MOST_COUNTED: Final = 1000

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGITS = re.compile(r"\d{9,}")  # of which an account, a phone or an identity may be made
_NO_CODE: Final = "-"
_ORDER: Final = ("section", "sort")  # which part in which order, which leaves nothing out
_TEXT = re.compile(r"[0-9A-Za-z-]{1,40}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The filters and the order of a list, by codes; an empty one: all. `section`: of the work.
    `sort`: a key of SORTS, with a minus in front for the other way round; empty: the list's own."""

    SORTS: ClassVar[Sequence[str]] = ()

    section: str = ""
    sort: str = ""

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> Self:
        """What an address or a kept view says; names that are no filter are left out."""
        found = {one.name: sent.get(one.name, "").strip() for one in fields(cls)}
        sort = found.pop("sort")
        return cls(
            **{
                name: value if not value or _is_code(value) else _NO_CODE
                for name, value in found.items()
            },
            sort=sort if sort.removeprefix("-") in cls.SORTS else "",
        )

    def values(self) -> dict[str, str]:
        """{name: code} of what is set, in one order."""
        names = [one.name for one in fields(self) if one.name not in _ORDER]
        given = {name: getattr(self, name) for name in (*names, *_ORDER)}
        return {name: value for name, value in given.items() if value}

    def query(self, **changes: str) -> str:
        """What stands in the address behind the question mark, with some of it changed."""
        return urlencode(replace(self, **changes).values())

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return any(name not in _ORDER for name in self.values())


def _is_code(value: str) -> bool:
    code = _CODE.fullmatch(value) and not _DIGITS.search(value)
    return bool(code or _ID.fullmatch(value))


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list a row stands: what it is sorted by (None: by its id alone), and its id, which
    says what comes first among equals."""

    key: datetime | str | None
    id: str

    def __str__(self) -> str:
        key = self.key.isoformat() if isinstance(self.key, datetime) else self.key or ""
        return f"{key}~{self.id}"

    @classmethod
    def read(cls, text: str, key: type[datetime | str] | None) -> Place | None:
        """Of an address; None for anything that is no place in a list that is sorted by keys of
        that type."""
        first, _, last = text.partition("~")
        if not _TEXT.fullmatch(last):
            return None
        if key is None:
            return cls(None, last)
        if key is str:
            return cls(first, last) if _TEXT.fullmatch(first) else None
        try:
            at = datetime.fromisoformat(first)
            # one that leaves the calendar on its way to UTC is no place either
            return cls(at.astimezone(UTC), last) if at.tzinfo else None
        except (ValueError, OverflowError):
            return None


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some rows of a list, and behind and in front of which places it goes on, if it does."""

    rows: list[R]
    before: Place | None = None
    after: Place | None = None


def page_from(
    rows: list[R],
    places: Sequence[Place],
    size: int,
    *,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[R]:
    """A page of what was read from a place on, the row next to it first, one more than is shown;
    places: of the rows."""
    more, shown, places = len(rows) > size, rows[:size], places[:size]
    if not shown:
        return Page([])
    if before is not None:
        return Page(shown[::-1], places[-1] if more else None, places[0])
    return Page(shown, places[0] if after else None, places[-1] if more else None)


@dataclass(frozen=True, slots=True)
class Total:
    """So many, or more."""

    counted: int
    more: bool = False

    @classmethod
    def of(cls, counted: int) -> Total:
        """Of what was counted up to MOST_COUNTED and one."""
        return cls(min(counted, MOST_COUNTED), counted > MOST_COUNTED)

    @property
    def shown(self) -> str | int:
        """As a figure; beyond what is counted, that it is more."""
        return f"{self.counted:,}+" if self.more else self.counted
