"""What the log of messages shall show, as an address says it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final, Literal, get_args

from shared.calendar import day_of
from shared.web.lists import Chosen

SortKey = Literal["requested", "number"]
_KEYS: Final[Sequence[SortKey]] = get_args(SortKey)


@dataclass(frozen=True, slots=True)
class MessagesChosen(Chosen):
    """The filters and the order of the log; `application`: one of them, by its id; `first` and
    `last`: business days by when a message was requested."""

    SORTS: ClassVar[Sequence[str]] = _KEYS

    state: str = ""
    channel: str = ""
    template: str = ""
    branch: str = ""
    first: str = ""
    last: str = ""
    application: str = ""

    @property
    def order(self) -> tuple[SortKey, bool]:
        """The key, and whether the greatest stands first."""
        key = self.sort.removeprefix("-") or "requested"
        return next(one for one in _KEYS if one == key), self.sort[:1] in ("", "-")

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day; None for what is none."""
        return day_of(self.first), day_of(self.last)
