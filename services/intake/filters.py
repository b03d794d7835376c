"""What intake's lists shall show, as an address says it: which states, ages and terms fit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, get_args

from shared.calendar import business_day, end_of_day, start_of_day
from shared.events.lifecycle import OWNERS, TERMINAL, State
from shared.web.lists import Chosen

SortKey = Literal["begun", "since", "due", "number"]
_KEYS: Final[Sequence[SortKey]] = get_args(SortKey)
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


@dataclass(frozen=True, slots=True)
class Span:
    """From an instant until before another one; None: without end on that side."""

    start: datetime | None = None
    end: datetime | None = None


ALWAYS: Final = Span()


@dataclass(frozen=True, slots=True)
class ListFilter(Chosen):
    """The filters and the order of intake's lists."""

    SORTS: ClassVar[Sequence[str]] = _KEYS

    state: str = ""
    branch: str = ""
    product: str = ""
    channel: str = ""
    desk: str = ""
    waiting: str = ""
    age: str = ""
    due: str = ""

    @property
    def order(self) -> tuple[SortKey, bool]:
        """The key, and whether the greatest stands first. What has ended has no place in the
        order of terms."""
        key = self.sort.removeprefix("-") or "begun"
        descending = self.sort.startswith("-") if self.sort else True
        return next(one for one in _KEYS if one == key), descending

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
