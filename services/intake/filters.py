"""What a list shall show, as an address says it: read, and written back in one form. Pure.

Nothing but codes stands in it: an address is kept by browsers and logs, so no number of a person
and no name ever comes into one. What is no code is as a code that nothing fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from urllib.parse import urlencode

from shared.calendar import business_day, end_of_day, start_of_day
from shared.events.lifecycle import OWNERS, TERMINAL, State

SortKey = Literal["begun", "since", "due", "number"]
SORTS: Final = get_args(SortKey)
OPEN: Final = "open"
"""In place of a state: everything that has not ended."""

AGES: Final[Mapping[str, int]] = {
    "day": 0,  # begun today
    "week": 6,  # today or within the six days before
    "over-7": 7,
    "over-30": 30,
    "over-90": 90,
}
"""{code: days before today}; `over-…`: begun before that day, the others on it or later."""

DUES: Final[Mapping[str, int | None]] = {"any": None, "overdue": None, "in-3": 3, "in-7": 7}
"""{code: days from today until when the step that runs is due}; `any`: has a term at all."""

_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")
_NO_CODE: Final = "-"


@dataclass(frozen=True, slots=True)
class Span:
    """From an instant until before another one; None: without end on that side."""

    start: datetime | None = None
    end: datetime | None = None


ALWAYS: Final = Span()


@dataclass(frozen=True, slots=True)
class ListFilter:
    """The filters and the order of a list, by codes; an empty one: all. `section`: of the work.
    `sort`: a key of SORTS, with a minus in front for the other way round; empty: the list's own."""

    state: str = ""
    branch: str = ""
    product: str = ""
    channel: str = ""
    desk: str = ""
    waiting: str = ""
    age: str = ""
    due: str = ""
    section: str = ""
    sort: str = ""

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> ListFilter:
        """What an address or a kept view says; names that are no filter are left out."""
        found = {one.name: sent.get(one.name, "").strip() for one in fields(cls)}
        sort = found.pop("sort")
        return cls(
            **{
                name: value if not value or _CODE.fullmatch(value) else _NO_CODE
                for name, value in found.items()
            },
            sort=sort if sort.removeprefix("-") in SORTS else "",
        )

    def values(self) -> dict[str, str]:
        """{name: code} of what is set, in one order."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in given.items() if value}

    def query(self, **changes: str) -> str:
        """What stands in the address behind the question mark, with some of it changed."""
        return urlencode(replace(self, **changes).values())

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return any(name not in ("section", "sort") for name in self.values())

    @property
    def order(self) -> tuple[SortKey, bool]:
        """The key, and whether the greatest stands first. What has ended has no place in the
        order of terms."""
        key = self.sort.removeprefix("-") or "begun"
        descending = self.sort.startswith("-") if self.sort else True
        return next(one for one in SORTS if one == key), descending

    def states(self, shown: Callable[[str], str]) -> list[State]:
        """The states that fit; `shown` is how the viewer knows a state: by one that is hidden
        nobody finds anything, neither by its own name nor by who has it."""
        return [one for one in State if self._fits(State(shown(one.value)))]

    def _fits(self, shown: State) -> bool:
        owner = OWNERS.get(shown)
        with_a_term = self.due or self.order[0] == "due"
        under_way = self.state == OPEN and shown not in TERMINAL
        return (
            (under_way or self.state in ("", shown.value))
            and (not self.desk or (owner is not None and owner.desk == self.desk))
            and (not self.waiting or (owner is not None and owner.waiting_on == self.waiting))
            and (not with_a_term or owner is not None)
            and self.age in ("", *AGES)
            and self.due in ("", *DUES)
        )

    def begun(self, now: datetime) -> Span:
        """Between which instants an application of that age was begun."""
        days = AGES.get(self.age)
        if days is None:
            return Span()
        instant = start_of_day(business_day(now) - timedelta(days=days))
        return Span(end=instant) if self.age.startswith("over") else Span(start=instant)

    def term(self, now: datetime) -> Span:
        """Between which instants the step that runs is due."""
        if self.due == "overdue":
            return Span(end=now)
        days = DUES.get(self.due)
        if days is None:
            return Span()
        last = end_of_day(business_day(now) + timedelta(days=days))
        return Span(start=now, end=last + timedelta(seconds=1))
