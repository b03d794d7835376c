"""A line of the audit log: who looked at whose personal data, or changed what, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from services.intake.application import Entry
from services.intake.items import Change, ItemState
from shared.calendar import OFFICE_YEARS

Kind = Literal["read", "change", "checklist", "sign-in", "office"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Office = Literal["staff", "branch", "password", "unlocked", "session-ended", "sessions-ended"]


# where somebody's words are: a history's `reason` is a code
_NOTES = {"view": "reason", "paper": "reason", "checklist": "remark", "history": "text"}
_SOURCE = re.compile(r"[a-z-]{1,20}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands; the lines run from the last that happened to the first."""

    at: datetime
    source: str
    id: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()},{self.source},{self.id}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """None for what is no place."""
        parts = text.split(",")
        try:
            at, number = datetime.fromisoformat(parts[0]), int(parts[2])
        except (ValueError, IndexError):
            return None
        known = len(parts) == 3 and _SOURCE.fullmatch(parts[1]) and at.tzinfo is not None
        known = known and at.year in OFFICE_YEARS
        return cls(at, parts[1], number) if known and 0 <= number < 2**63 else None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that somebody did. details: as the source has them; personal values and people's
    words among them are sealed."""

    place: Place
    kind: Kind
    actor: str
    action: str
    application_id: str | None
    number: str | None
    subject: str | None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sealed(self) -> bool:
        """Whether something of it has to be opened to be read."""
        return bool(sealed_of(self))

    def entry(self) -> Entry:
        """As the history of its application tells it."""
        return Entry(self.place.at, self.actor, self.action, self.details)

    def change(self) -> Change:
        """As the checklist's history tells it."""
        told = self.details
        return Change(
            party=told["party"],
            item=told["item"],
            at=self.place.at,
            actor=self.actor,
            action=told["action"],
            was=ItemState(told["was"]) if told["was"] else None,
            state=ItemState(told["state"]),
            codes=tuple(told["codes"]),
            why=told["why"],
            document_id=told["document_id"],
            second=told["second"],
            remark=None,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; `who`: any of these, as actors are written (`staff:…`)."""

    since: datetime | None = None
    until: datetime | None = None
    kind: Kind | None = None
    who: Sequence[str] | None = None
    application_id: str | None = None
    before: Place | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """Something of a line that is sealed: a field of a person as it was and is, or somebody's
    words (role and field are then empty)."""

    role: str
    field: str
    old: str | None
    new: str | None
    had: bool = False  # whether there was anything before


def sealed_of(line: Line) -> list[Sealed]:
    """What has to be opened to read the line."""
    changed = [
        Sealed(one["role"], one["field"], one["old"], one["new"], had=one["old"] is not None)
        for one in line.details.get("changed") or ()
    ]
    note = line.details.get(_NOTES.get(line.place.source, ""))
    return changed + ([Sealed("", "", None, note)] if note else [])
