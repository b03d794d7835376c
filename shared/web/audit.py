"""The audit log: who looked at whose personal data, or changed what, and why.

Each service reads its own from where it is kept anyway (histories, views, registers) and keeps
besides only what has no other place: reads (`personal_view`) and changes of the office itself
(`office_change`). No service reads another's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.calendar import OFFICE_YEARS
from shared.web.permissions import Permission, Viewer

_SOURCE = re.compile(r"[a-z-]{1,20}")
_NONE = "NULL::text"


@dataclass(frozen=True, slots=True)
class Source:
    """A table of what happened (`t`, with `at` and `id`), in the words of all of them.

    All but `kind` and `table` are SQL. note: the key among the details where somebody's words lie,
    sealed. permission: whoever lacks it sees no line of it.
    """

    kind: str
    table: str
    actor: str
    action: str
    application: str = _NONE
    subject: str = _NONE
    details: str = "'{}'::jsonb"
    joined: str = ""
    where: str = ""
    note: str = ""
    permission: Permission | None = None


VIEWS = Source(
    "read",
    "personal_view",
    "CASE WHEN t.staff_id LIKE 'client:%' THEN t.staff_id ELSE 'staff:' || t.staff_id END",
    "t.what",
    "t.application_id",
    details="jsonb_build_object("
    "'party', t.party, 'field', t.field, 'why', t.why, 'reason', t.reason)",
    note="reason",
)
OFFICE = Source(
    "office",
    "office_change",
    "t.actor",
    "t.action",
    subject="t.subject",
    details="jsonb_build_object('old', t.old, 'new', t.new, 'why', t.why)",
)


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
class Sealed:
    """Something of a line that is sealed: a field of a person as it was and is, or somebody's
    words (role and field are then empty)."""

    role: str
    field: str
    old: str | None
    new: str | None
    had: bool = False  # whether there was anything before


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that somebody did. details: as the source has them; personal values among them,
    and somebody's words (`note`), are sealed."""

    place: Place
    kind: str
    actor: str
    action: str
    application_id: str | None
    number: str | None
    subject: str | None
    details: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None

    @property
    def sealed(self) -> list[Sealed]:
        """What has to be opened to read it."""
        changed = [
            Sealed(one["role"], one["field"], one["old"], one["new"], had=one["old"] is not None)
            for one in self.details.get("changed") or ()
        ]
        return changed + ([Sealed("", "", None, self.note)] if self.note else [])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; `who`: any of these, as actors are written (`staff:…`)."""

    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    who: Sequence[str] | None = None
    application_id: str | None = None
    before: Place | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A line in words: what, about what, why, and [(field, old, new, language)]. about_language: of
    what it is about, where that is not the reader's."""

    title: str
    about: str = ""
    why: Sequence[str] = ()
    values: Sequence[tuple[str, str, str, str]] = ()
    about_language: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """What a service's log is read from. applications: a table or a query with `application_id`
    and `number`."""

    sources: Mapping[str, Source]
    applications: str

    def seen_by(self, viewer: Viewer) -> Log:
        """The log as somebody may see it: what a further permission is needed for, only where it
        reaches the whole bank, as the log itself."""
        seen = {
            name: source
            for name, source in self.sources.items()
            if source.permission is None or viewer.reach_of(source.permission).everywhere
        }
        return Log(seen, self.applications)

    async def find(self, conn: Any, wanted: Wanted, limit: int) -> list[Line]:
        """The lines that fit, the last first, at most so many; `before` goes on where one
        stopped."""
        given: list[Any] = []

        def value(of: Any) -> str:
            given.append(of)
            return f"${len(given)}"

        most, parts = value(limit), []
        for name, source in self.sources.items():
            if wanted.kind in (None, source.kind):
                parts.append(_select(name, source, _conditions(name, source, wanted, value), most))
        if not parts:
            return []
        rows = await conn.fetch(
            "SELECT line.*, a.number FROM ("  # noqa: S608 - made of our own words
            + " UNION ALL ".join(parts)
            + f") line LEFT JOIN ({self.applications}) a USING (application_id)"
            f" ORDER BY at DESC, source DESC, id DESC LIMIT {most}",
            *given,
        )
        return [self._line(row) for row in rows]

    async def get(self, conn: Any, source: str, number: int) -> Line | None:
        """One line."""
        if source not in self.sources:
            return None
        row = await conn.fetchrow(
            "SELECT line.*, a.number FROM ("  # noqa: S608 - made of our own words
            + _select(source, self.sources[source], ["t.id = $2"], "$1")
            + f") line LEFT JOIN ({self.applications}) a USING (application_id)",
            1,
            number,
        )
        return None if row is None else self._line(row)

    async def application_of(self, conn: Any, number: str) -> str | None:
        """The application of that number."""
        found: str | None = await conn.fetchval(
            f"SELECT application_id FROM ({self.applications}) a WHERE a.number = $1",  # noqa: S608
            number,
        )
        return found

    async def number_of(self, conn: Any, application_id: str) -> str | None:
        """The number of that application."""
        found: str | None = await conn.fetchval(
            f"SELECT number FROM ({self.applications}) a WHERE a.application_id = $1",  # noqa: S608
            application_id,
        )
        return found

    def _line(self, row: Any) -> Line:
        source = self.sources[row["source"]]
        details = json.loads(row["details"])
        return Line(
            place=Place(row["at"], row["source"], row["id"]),
            kind=source.kind,
            actor=row["actor"],
            action=row["action"],
            application_id=row["application_id"],
            number=row["number"],
            subject=row["subject"],
            details=details,
            note=details.get(source.note) or None,
        )


def _conditions(name: str, source: Source, wanted: Wanted, value: Any) -> list[str]:
    found = []
    if wanted.since is not None:
        found.append(f"t.at >= {value(wanted.since)}")
    if wanted.until is not None:
        found.append(f"t.at < {value(wanted.until)}")
    if wanted.who is not None:
        found.append(f"{source.actor} = ANY ({value(wanted.who)}::text[])")
    if wanted.application_id is not None:
        found.append(f"{source.application} = {value(wanted.application_id)}")
    if (place := wanted.before) is not None:
        at = value(place.at)
        found.append(f"t.at <= {at}")
        found.append(
            f"(t.at, '{name}'::text, t.id) < ({at}, {value(place.source)}, {value(place.id)})"
        )
    return found


def _select(name: str, source: Source, conditions: Sequence[str], limit: str) -> str:
    narrowed = [*conditions, *([source.where] if source.where else [])]
    where = f" WHERE {' AND '.join(narrowed)}" if narrowed else ""
    return (
        f"(SELECT t.at, '{name}'::text AS source, t.id, {source.actor} AS actor,"  # noqa: S608
        f" {source.action} AS action, {source.application} AS application_id,"
        f" {source.subject} AS subject, {source.details} AS details"
        f" FROM {source.table} t {source.joined}{where}"
        f" ORDER BY t.at DESC, t.id DESC LIMIT {limit})"
    )


async def record_view(
    conn: Any,
    application_id: str | None,
    staff_id: str,
    what: str,
    now: datetime,
    *,
    field: tuple[str, str] | None = None,
    why: str | None = None,
    reason: str | None = None,
) -> None:
    """Note that somebody was shown personal data, or searched with some. field: whose (the role)
    and which; why: a code, reason: sealed words."""
    party, name = field or (None, None)
    await conn.execute(
        "INSERT INTO personal_view (application_id, at, staff_id, what, party, field, why, reason)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        application_id,
        now,
        staff_id,
        what,
        party,
        name,
        why,
        reason,
    )


async def record_office(
    conn: Any,
    now: datetime,
    actor: str,
    action: str,
    subject: str,
    *,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> None:
    """Note a change of the office itself, or something that left it. subject: of what (staff id,
    branch, list, report); old and new: what is other than before. Nothing of a customer's."""
    await conn.execute(
        "INSERT INTO office_change (at, actor, action, subject, old, new, why)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        now,
        actor,
        action,
        subject,
        None if old is None else json.dumps(old, ensure_ascii=False),
        None if new is None else json.dumps(new, ensure_ascii=False),
        why,
    )
