"""What the list of applications shall show, as an address says it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final, Literal, get_args

from shared.calendar import day_of
from shared.web.lists import Chosen

SortKey = Literal["submitted", "since", "number"]
_KEYS: Final[Sequence[SortKey]] = get_args(SortKey)


@dataclass(frozen=True, slots=True)
class ApplicationsChosen(Chosen):
    """The filters and the order of the list; `attention`: `stalled`, `owing` or `refused`; `first`
    and `last`: business days by when an application was handed in."""

    SORTS: ClassVar[Sequence[str]] = _KEYS

    state: str = ""
    branch: str = ""
    region: str = ""
    channel: str = ""
    product: str = ""
    desk: str = ""
    attention: str = ""
    first: str = ""
    last: str = ""

    @property
    def order(self) -> tuple[SortKey, bool]:
        """The key, and whether the greatest stands first."""
        key = self.sort.removeprefix("-") or "submitted"
        return next(one for one in _KEYS if one == key), self.sort[:1] in ("", "-")

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day; None for what is none."""
        return day_of(self.first), day_of(self.last)
