"""That lists of the bank's screening system have changed: which answers are older than that.

Pure. A change is known by its number, which review gives it when it hears of it: whoever is asked
about from then on is asked about by the new list, whatever the clocks say. Who was asked about
before may have been so too: if that was after the time that the screening system states, and by so
much that its clock and ours cannot differ, the answer stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from shared.clock import CLOCKS_APART
from shared.events.intake import WatchlistChanged
from shared.events.payload import Payload
from shared.messaging import Effect, Received

LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lists:
    """All that review knows of the lists. number: of the last change that it heard of, 0 before the
    first; since: who was asked about from then on was so after every one of them."""

    number: int = 0
    since: datetime = LONG_AGO

    def changed_after(self, number: int, asked_at: datetime) -> bool:
        """Whether a list changed after somebody was asked about, which was at that time and when
        the change of that number was the last that review knew of."""
        return number < self.number and asked_at < self.since


NOTHING_KNOWN: Final = Lists()


@dataclass(frozen=True, slots=True)
class ListChange:
    """What the screening system stated of a list."""

    name: str
    version: str
    changed_at: datetime

    @property
    def since(self) -> datetime:
        """From when on it is sure that it answered by the new list, by our clock."""
        return self.changed_at + CLOCKS_APART

    @property
    def place(self) -> tuple[datetime, str]:
        """By which the last change of a list is found, in whatever order they come."""
        return self.changed_at, self.version


@dataclass(slots=True)
class ToldOfList:
    """What was newly stated of one list; nothing of it needs what was stated before."""

    name: str
    changes: list[ListChange] = field(default_factory=list)


def on_changed(
    event: Received[WatchlistChanged],
    told: ToldOfList,
    now: datetime,  # noqa: ARG001 - every handler is given it
) -> Iterable[Effect]:
    """A list changed: who is open is screened again (`screening`)."""
    data = event.data
    told.changes.append(ListChange(data.list_name, data.version, data.changed_at))
    return ()


HANDLERS: Mapping[type[Payload], Any] = {WatchlistChanged: on_changed}
