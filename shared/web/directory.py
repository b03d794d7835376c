"""Who works here and where: each service's own copy of staff and branches, fed by events.

Intake owns the organisation. The copy lets every service check a session, a role and a branch
without asking anybody, and end a session as soon as the event has come.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.events.intake import BranchChanged, SessionEnded, StaffChanged
from shared.messaging import Connection, Consumer, Effect, Received
from shared.web.i18n import current_language
from shared.web.permissions import (
    NOWHERE,
    WHOLE_BANK,
    Permission,
    Reach,
    Role,
    Scope,
    roles_with,
    scopes_of,
)

EVERY_BRANCH = "*"  # among a member's branches: may see the whole bank


@dataclass(frozen=True, slots=True)
class StaffMember:
    """A member of staff as the last event told.

    `region_branches`: all branches of their regions.
    """

    staff_id: str
    name: str
    roles: frozenset[Role]
    branches: frozenset[str]
    region_branches: frozenset[str]
    desk: str
    active: bool
    session_epoch: int

    @property
    def home_branch(self) -> str | None:
        """The branch shown beside the name: the first of theirs, if they belong to one."""
        return min(self.branches - {EVERY_BRANCH}, default=None)

    @property
    def sees_every_branch(self) -> bool:
        """Whether the organisation lets them see the whole bank, whatever the role's scope."""
        return EVERY_BRANCH in self.branches

    @property
    def grants(self) -> dict[Permission, Reach]:
        """What they may do, and each of it how far."""
        reaches: dict[Scope, Reach] = {
            Scope.BRANCH: Reach(self.branches),
            Scope.REGION: Reach(self.branches | self.region_branches),
            Scope.ALL: WHOLE_BANK,
        }
        return {
            permission: WHOLE_BANK if self.sees_every_branch else reaches[scope]
            for permission, scope in scopes_of(self.roles).items()
        }

    def reach_of(self, permission: Permission) -> Reach:
        """How far they may do this; NOWHERE without the permission."""
        return self.grants.get(permission, NOWHERE)


@dataclass(slots=True)
class DirectoryEntry:
    """One subject of `banka.reference`: the staff or the branch that its last event told of."""

    subject: str
    staff: StaffChanged | None = field(default=None)
    branch: BranchChanged | None = field(default=None)
    ended: list[SessionEnded] = field(default_factory=list)


def on_staff_changed(
    event: Received[StaffChanged], entry: DirectoryEntry, _now: datetime
) -> Iterable[Effect]:
    """A member of staff came, changed or left: the event carries the whole state."""
    entry.staff = event.data
    return ()


def on_branch_changed(
    event: Received[BranchChanged], entry: DirectoryEntry, _now: datetime
) -> Iterable[Effect]:
    """A branch opened, changed or closed: the event carries the whole state."""
    entry.branch = event.data
    return ()


def on_session_ended(
    event: Received[SessionEnded], entry: DirectoryEntry, _now: datetime
) -> Iterable[Effect]:
    """Somebody signed out, or was signed out."""
    entry.ended.append(event.data)
    return ()


class DirectoryStore:
    """Writes the copy for a Consumer; events carry whole states, so nothing is read before."""

    async def load(self, _conn: Connection, subjects: Sequence[str]) -> dict[str, DirectoryEntry]:
        """{subject: an empty entry}; the rows are locked by the writes themselves."""
        return {subject: DirectoryEntry(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[DirectoryEntry]) -> None:
        """Replaces the rows of every entry that an event has set."""
        staff = [entry.staff for entry in states if entry.staff is not None]
        branches = [entry.branch for entry in states if entry.branch is not None]
        await end_sessions(conn, [one for entry in states for one in entry.ended])
        if branches:
            await conn.executemany(
                """
                INSERT INTO directory_branch (branch, name_zh, name_en, region, open)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (branch) DO UPDATE
                   SET name_zh = excluded.name_zh, name_en = excluded.name_en,
                       region = excluded.region, open = excluded.open
                """,
                [(b.branch, b.name_zh, b.name_en, b.region, b.open) for b in branches],
            )
        if staff:
            await conn.executemany(
                """
                INSERT INTO directory_staff
                       (staff_id, name, roles, branches, desk, active, session_epoch)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (staff_id) DO UPDATE
                   SET name = excluded.name, roles = excluded.roles, branches = excluded.branches,
                       desk = excluded.desk, active = excluded.active,
                       session_epoch = excluded.session_epoch
                """,
                [
                    (
                        s.staff_id,
                        s.display_name,
                        s.roles,
                        s.branches,
                        s.desk,
                        s.active,
                        s.session_epoch,
                    )
                    for s in staff
                ],
            )


async def end_sessions(conn: Connection, ended: Sequence[SessionEnded]) -> None:
    """Let nobody in with these sessions. Forgets those that have ended by themselves."""
    if ended:
        await conn.execute(
            "WITH over AS (DELETE FROM directory_ended_session WHERE until < now())"
            " INSERT INTO directory_ended_session (session, until)"
            " SELECT * FROM unnest($1::text[], $2::timestamptz[]) ON CONFLICT DO NOTHING",
            [one.session for one in ended],
            [one.until for one in ended],
        )


def directory_consumer(service: str) -> Consumer:
    """The consumer that keeps the copy; every service has it in its composition root."""
    return Consumer(
        name=f"{service}.reference",
        topic=StaffChanged.topic,
        store=DirectoryStore(),
        handlers={
            StaffChanged: on_staff_changed,
            BranchChanged: on_branch_changed,
            SessionEnded: on_session_ended,
        },
    )


_MEMBERS = """
SELECT s.staff_id, s.name, s.roles, s.branches, s.desk, s.active, s.session_epoch,
       ARRAY(SELECT b.branch FROM directory_branch b
              WHERE b.region IN (SELECT own.region FROM directory_branch own
                                  WHERE own.branch = ANY (s.branches))) AS region_branches
  FROM directory_staff s
"""


async def find_staff(conn: Connection, staff_id: str, session: str) -> StaffMember | None:
    """The member of staff, with the branches of their regions; None if no event told of them, or if
    the session (its digest) was ended.

    A role that this release does not know grants nothing.
    """
    row = await conn.fetchrow(
        f"{_MEMBERS} WHERE s.staff_id = $1"
        " AND NOT EXISTS (SELECT FROM directory_ended_session e WHERE e.session = $2)",
        staff_id,
        session,
    )
    return _member(row) if row is not None else None


async def staff_with(conn: Connection, permission: Permission) -> list[StaffMember]:
    """Everybody active whose roles grant the permission, wherever it reaches, by name."""
    rows = await conn.fetch(
        f"{_MEMBERS} WHERE s.active AND s.roles && $1::text[] ORDER BY s.name, s.staff_id",
        [role.value for role in roles_with(permission)],
    )
    return [_member(row) for row in rows]


async def staff_numbered(conn: Connection, staff_ids: Collection[str]) -> list[StaffMember]:
    """These, active or not, by name; of those known."""
    rows = await conn.fetch(
        f"{_MEMBERS} WHERE s.staff_id = ANY ($1) ORDER BY s.name, s.staff_id", list(staff_ids)
    )
    return [_member(row) for row in rows]


def _member(row: Any) -> StaffMember:
    known = {role.value for role in Role}
    return StaffMember(
        staff_id=row["staff_id"],
        name=row["name"],
        roles=frozenset(Role(role) for role in row["roles"] if role in known),
        branches=frozenset(row["branches"]),
        region_branches=frozenset(row["region_branches"]),
        desk=row["desk"],
        active=row["active"],
        session_epoch=row["session_epoch"],
    )


async def staff_names(conn: Connection, staff_ids: Sequence[str]) -> dict[str, str]:
    """{staff id: name} of those known; for pages that say who did what."""
    rows = await conn.fetch(
        "SELECT staff_id, name FROM directory_staff WHERE staff_id = ANY ($1)", list(staff_ids)
    )
    return {row["staff_id"]: row["name"] for row in rows}


async def staff_called(conn: Connection, words: str) -> list[str]:
    """The staff ids of whoever has this name or number; they may be several, or have left."""
    rows = await conn.fetch(
        "SELECT staff_id FROM directory_staff WHERE name = $1 OR staff_id = upper($1)"
        " OR staff_id = $1 ORDER BY staff_id",
        words,
    )
    return [row["staff_id"] for row in rows]


async def branch_names(conn: Connection) -> dict[str, str]:
    """{branch code: name in the reader's language} of all branches; for filters and tables."""
    rows = await conn.fetch("SELECT branch, name_zh, name_en FROM directory_branch ORDER BY branch")
    column = "name_en" if current_language() == "en" else "name_zh"
    return {row["branch"]: row[column] for row in rows}
