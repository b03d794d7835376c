"""Branches, staff and their passwords in PostgreSQL; changes are told to the other services.

Loading works while intake runs and while it does not: the facts lie in the outbox, whichever
process publishes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

import asyncpg
from pwdlib import PasswordHash

from services.intake.organisation import (
    Branch,
    Organisation,
    Staff,
    changed_branches,
    changed_staff,
    differences,
)
from shared.clock import Clock
from shared.events.intake import SessionEnded
from shared.messaging import Fact, Service, Transaction
from shared.messaging.broker import fetch_cluster
from shared.messaging.outbox import Outbox, Wanted, new_cause
from shared.postgres.pool import connect
from shared.settings import Environment, Settings
from shared.web.audit import record_office
from shared.web.directory import end_sessions
from shared.web.session import Session
from shared.web.sign_in import Verified, Way

DEMO_PASSWORD = "banka-demo"  # noqa: S105 - of made-up staff; production never sets it
SHORTEST_PASSWORD = 10
FAILURES_ALLOWED = 5
LOCKED_SECONDS = 15 * 60

OPERATOR = "operator"  # who has a shell of the deployment, and did not say who they are

_SOURCE = "/banka/intake"
_hasher = PasswordHash.recommended()
# what an unknown name is compared with, so that it takes as long as a known one
_NOBODY = _hasher.hash("nobody has this password")

Outcome = Literal["signed-in", "wrong", "locked", "signed-out"]


class AccountError(ValueError):
    """An account cannot be changed so; the message is one line."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many entries of an organisation were new or other than before."""

    branches: int
    staff: int


async def load(
    settings: Settings,
    clock: Clock,
    wanted: Organisation,
    *,
    who: str = OPERATOR,
    why: str | None = None,
) -> Loaded:
    """Make the organisation what the file says, and tell the others what changed. Doing it again
    changes nothing."""
    cluster = await fetch_cluster(settings)
    conn = await connect(settings, "intake")
    try:
        async with conn.transaction():
            # one at a time: two loads would both find the same differences
            await conn.execute("LOCK TABLE branch, staff IN SHARE ROW EXCLUSIVE MODE")
            known_branches, known_staff = await _branches(conn), await _staff(conn)
            branches = changed_branches(known_branches, wanted)
            staff = changed_staff(known_staff, wanted)
            epochs = await _save(conn, branches, staff)
            note = partial(record_office, conn, clock.now(), who, why=why)
            for branch in branches:
                old, new = differences(known_branches.get(branch.branch), branch)
                await note("branch", branch.branch, old=old, new=new)
            for one in staff:
                old, new = differences(known_staff.get(one.staff_id), one)
                await note("staff", one.staff_id, old=old, new=new)
            if settings.environment is not Environment.PRODUCTION:
                await _give_demo_passwords(conn)
            cause = new_cause("organisation-file")
            facts = [
                *(Wanted(Fact(one.event()), one.branch, cause) for one in branches),
                *(
                    Wanted(Fact(one.event(epochs[one.staff_id])), one.staff_id, cause)
                    for one in staff
                ),
            ]
            await Outbox(_SOURCE, cluster.topics).write(conn, facts, clock.now())  # type: ignore[arg-type]
    finally:
        await conn.close()
    return Loaded(len(branches), len(staff))


async def set_password(
    settings: Settings, clock: Clock, username: str, password: str, *, who: str = OPERATOR
) -> None:
    """Give an account a password; open sessions end. Raises AccountError."""
    if len(password) < SHORTEST_PASSWORD:
        raise AccountError(f"a password has at least {SHORTEST_PASSWORD} characters")
    cluster = await fetch_cluster(settings)
    conn = await connect(settings, "intake")
    try:
        async with conn.transaction():
            row = await conn.fetchrow(
                "UPDATE staff SET session_epoch = session_epoch + 1"
                " WHERE username = $1 AND active RETURNING *",
                username,
            )
            if row is None:
                raise AccountError("there is no such user in the organisation")
            await conn.execute(
                "INSERT INTO account (staff_id, password_hash) VALUES ($1, $2)"
                " ON CONFLICT (staff_id) DO UPDATE SET password_hash = excluded.password_hash,"
                " failures = 0, locked_until = NULL",
                row["staff_id"],
                _hasher.hash(password),
            )
            await record_office(conn, clock.now(), who, "password", row["staff_id"])
            fact = Fact(_member(row).event(row["session_epoch"]))
            await Outbox(_SOURCE, cluster.topics).write(
                conn,  # type: ignore[arg-type]
                [Wanted(fact, row["staff_id"], new_cause("password"))],
                clock.now(),
            )
    finally:
        await conn.close()


class Accounts:
    """Who may sign in; one per process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # A comparison takes 64 MiB and every processor: several at once are no quicker, and anybody
        # could fill the memory by trying to sign in many times at once.
        self._comparing = asyncio.Lock()

    async def verify(self, username: str, password: str) -> Verified | None:
        """Compare, count failures, lock the account after too many; None where the pair is wrong or
        the account locked. As much work for a name that nobody has."""
        async with self._comparing:
            return await self._verify(username, password)

    async def _verify(self, username: str, password: str) -> Verified | None:
        # read when it is this try's turn: those before it may have locked the account
        row = await self._service.pool.fetchrow(
            "SELECT s.staff_id, s.session_epoch, a.password_hash,"
            " coalesce(a.locked_until > now(), false) AS locked"
            " FROM staff s JOIN account a USING (staff_id)"
            " WHERE s.username = $1 AND s.active",
            username.lower(),
        )
        digest = _NOBODY if row is None else row["password_hash"]
        right = await asyncio.to_thread(_hasher.verify, password, digest)
        if row is not None and right and not row["locked"]:
            await self._service.pool.execute(
                "UPDATE account SET failures = 0, locked_until = NULL WHERE staff_id = $1",
                row["staff_id"],
            )
            await self.note(row["staff_id"], "signed-in")
            return Verified(row["staff_id"], row["session_epoch"])
        # one statement for all of them: how long it takes tells nobody which one it was
        await self._service.pool.execute(
            "WITH counted AS (UPDATE account SET"
            "  failures = CASE WHEN failures + 1 >= $4 THEN 0 ELSE failures + 1 END,"
            "  locked_until = CASE WHEN failures + 1 >= $4"
            "   THEN now() + make_interval(secs => $5) ELSE locked_until END"
            "  WHERE staff_id = $2 AND $3 = 'wrong')"
            " INSERT INTO sign_in (at, staff_id, outcome) VALUES ($1, $2, $3)",
            self._service.clock.now(),
            row and row["staff_id"],
            "locked" if row is not None and row["locked"] else "wrong",
            FAILURES_ALLOWED,
            float(LOCKED_SECONDS),
        )
        return None

    async def vouched_for(self, claim: str, value: str) -> Verified | None:
        """Whose account it is that the bank's identity provider vouches for, by `username` or
        `staff_id`; None for whoever does not work here. A lock is one of our passwords, and does
        not count."""
        row = await self._service.pool.fetchrow(
            "SELECT staff_id, session_epoch FROM staff"
            " WHERE active AND CASE $1 WHEN 'username' THEN username = lower($2)"
            "  WHEN 'staff_id' THEN staff_id = upper($2) END",
            claim,
            value,
        )
        if row is None:
            return None
        await self.note(row["staff_id"], "signed-in", way="provider")
        return Verified(row["staff_id"], row["session_epoch"])

    async def began(self, session: Session, way: Way, address: str) -> None:
        """Keep that a session begins. Those that are long over are forgotten."""
        await self._service.pool.execute(
            "WITH over AS (DELETE FROM staff_session WHERE until < now() - interval '30 days')"
            " INSERT INTO staff_session (session, staff_id, way, address, epoch, began, until)"
            " VALUES ($1, $2, $3, $4, $5, to_timestamp($6), $7)",
            session.digest,
            session.staff_id,
            way,
            address[:64],
            session.epoch,
            session.issued_at,
            session.until,
        )

    async def signed_out(self, session: Session) -> None:
        """End the session and keep that somebody left. Raises what `Service.transaction` raises."""
        ended = SessionEnded(staff_id=session.staff_id, session=session.digest, until=session.until)
        async with self._service.transaction(actor=f"staff:{session.staff_id}") as tx:
            await self._end(tx, [ended])
        await self.note(session.staff_id, "signed-out")

    async def end(self, who: str, staff_id: str, sessions: Collection[str]) -> int:
        """End these sessions (digests) of somebody, as far as they are open; how many were."""
        async with self._service.transaction(actor=who) as tx:
            rows = await tx.conn.fetch(
                "SELECT session, until FROM staff_session WHERE staff_id = $1"
                " AND session = ANY ($2) AND ended IS NULL AND until > now()",
                staff_id,
                list(sessions),
            )
            await self._end(tx, [SessionEnded(staff_id=staff_id, **row) for row in rows])
            if rows:
                await record_office(tx.conn, tx.now, who, "session-ended", staff_id)
        return len(rows)

    async def end_all(self, who: str, staff_id: str) -> bool:
        """End every session of somebody in all services, also those that nobody has kept; whether
        there is such an account."""
        async with self._service.transaction(actor=who) as tx:
            row = await tx.conn.fetchrow(
                "UPDATE staff SET session_epoch = session_epoch + 1"
                " WHERE staff_id = $1 RETURNING *",
                staff_id,
            )
            if row is None:
                return False
            open_ones = await tx.conn.fetch(
                "SELECT session, until FROM staff_session WHERE staff_id = $1"
                " AND ended IS NULL AND until > now()",
                staff_id,
            )
            await self._end(tx, [SessionEnded(staff_id=staff_id, **one) for one in open_ones])
            fact = Fact(_member(row).event(row["session_epoch"]))
            await tx.append([fact], subject=staff_id)
            await record_office(tx.conn, tx.now, who, "sessions-ended", staff_id)
        return True

    async def unlock(self, who: str, staff_id: str) -> bool:
        """Let somebody try again at once who was locked out; whether they were."""
        async with self._service.transaction(actor=who) as tx:
            found = await tx.conn.fetchval(
                "UPDATE account SET failures = 0, locked_until = NULL"
                " WHERE staff_id = $1 AND locked_until > now() RETURNING staff_id",
                staff_id,
            )
            if found is not None:
                await record_office(tx.conn, tx.now, who, "unlocked", staff_id)
        return found is not None

    async def _end(self, tx: Transaction, ended: Sequence[SessionEnded]) -> None:
        """Here at once, in the other services by an event."""
        if not ended:
            return
        await end_sessions(tx.conn, ended)
        await tx.conn.execute(
            "UPDATE staff_session SET ended = now() WHERE session = ANY ($1)",
            [one.session for one in ended],
        )
        await tx.append([Fact(one) for one in ended], subject=ended[0].staff_id)

    async def note(self, staff_id: str, outcome: Outcome, way: Way = "password") -> None:
        """One line of the record of sign-ins."""
        await self._service.pool.execute(
            "INSERT INTO sign_in (at, staff_id, outcome, way) VALUES ($1, $2, $3, $4)",
            self._service.clock.now(),
            staff_id,
            outcome,
            way,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is, or was, open; times are machine time."""

    session: str
    staff_id: str
    way: Way
    address: str
    began: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A member of staff with how they came in last."""

    staff_id: str
    name: str
    roles: Sequence[str]
    branches: Sequence[str]
    active: bool
    locked: bool
    sessions: int
    last: datetime | None
    wrong: int


# whoever works for every branch is nobody's of one
_IN_SCOPE = "($1::text[] IS NULL OR (s.branches && $1::text[] AND NOT '*' = ANY (s.branches)))"
# ended by a sign-out or by somebody, by an epoch, or by itself
_OPEN = "o.ended IS NULL AND o.until > now() AND o.epoch = s.session_epoch AND s.active"


async def members(
    conn: Any,
    branches: Sequence[str] | None,
    since: datetime,
    *,
    words: str = "",
    staff_id: str | None = None,
    signed_in: bool = False,
    page: int = 1,
    page_size: int = 50,
) -> tuple[list[Member], int]:
    """The staff of these branches (None: of all), those who are signed in first, and how many fit.
    Whoever sees the whole bank is seen by nobody who does not. wrong: passwords since then."""
    rows = await conn.fetch(
        "SELECT s.staff_id, s.display_name AS name, s.roles, s.branches, s.active,"  # noqa: S608
        " coalesce(a.locked_until > now(), false) AS locked,"
        f" (SELECT count(*) FROM staff_session o WHERE o.staff_id = s.staff_id AND {_OPEN})"
        "  AS sessions,"
        " (SELECT max(i.at) FROM sign_in i WHERE i.staff_id = s.staff_id"
        "   AND i.outcome = 'signed-in') AS last,"
        " (SELECT count(*) FROM sign_in i WHERE i.staff_id = s.staff_id AND i.outcome = 'wrong'"
        "   AND i.at > $7) AS wrong,"
        " count(*) OVER () AS total"
        f" FROM staff s LEFT JOIN account a USING (staff_id) WHERE {_IN_SCOPE}"
        " AND ($2 = '' OR s.display_name = $2 OR s.staff_id = upper($2) OR s.username = lower($2))"
        " AND ($3::text IS NULL OR s.staff_id = $3)"
        " AND (NOT $4 OR EXISTS (SELECT FROM staff_session o"
        f"  WHERE o.staff_id = s.staff_id AND {_OPEN}))"
        " ORDER BY sessions DESC, s.active DESC, s.staff_id LIMIT $5 OFFSET $6",
        None if branches is None else list(branches),
        words,
        staff_id,
        signed_in,
        page_size,
        (page - 1) * page_size,
        since,
    )
    total = rows[0]["total"] if rows else 0
    return [Member(**{k: v for k, v in row.items() if k != "total"}) for row in rows], total


async def sessions_of(conn: Any, staff_id: str) -> list[Opened]:
    """The open sessions of somebody, the last first. One that was not used for long may have ended
    already: its cookie alone says so."""
    rows = await conn.fetch(
        "SELECT o.session, o.staff_id, o.way, o.address, o.began, o.until"  # noqa: S608
        f" FROM staff_session o JOIN staff s USING (staff_id) WHERE staff_id = $1 AND {_OPEN}"
        " ORDER BY o.began DESC",
        staff_id,
    )
    return [Opened(**row) for row in rows]


async def last_sign_ins(
    conn: Any, staff_id: str, limit: int = 20
) -> list[tuple[datetime, str, Way]]:
    """[(when, what came of it, how)], the last first."""
    rows = await conn.fetch(
        "SELECT at, outcome, way FROM sign_in WHERE staff_id = $1"
        " ORDER BY at DESC, id DESC LIMIT $2",
        staff_id,
        limit,
    )
    return [(row["at"], row["outcome"], row["way"]) for row in rows]


async def _branches(conn: asyncpg.Connection[Any]) -> dict[str, Branch]:
    return {row["branch"]: Branch(**row) for row in await conn.fetch("SELECT * FROM branch")}


async def _staff(conn: asyncpg.Connection[Any]) -> dict[str, Staff]:
    return {row["staff_id"]: _member(row) for row in await conn.fetch("SELECT * FROM staff")}


def _member(row: asyncpg.Record) -> Staff:
    return Staff.model_validate({name: row[name] for name in Staff.model_fields})


async def _save(
    conn: asyncpg.Connection[Any], branches: list[Branch], staff: list[Staff]
) -> dict[str, int]:
    """Writes both; {staff id: session epoch}. Sessions of whoever has left end."""
    await conn.executemany(
        "INSERT INTO branch (branch, name_zh, name_en, region, open) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (branch) DO UPDATE SET name_zh = excluded.name_zh,"
        " name_en = excluded.name_en, region = excluded.region, open = excluded.open",
        [(b.branch, b.name_zh, b.name_en, b.region, b.open) for b in branches],
    )
    epochs = {}
    for one in staff:
        epochs[one.staff_id] = await conn.fetchval(
            "INSERT INTO staff AS s (staff_id, username, display_name, roles, branches, desk,"
            " active) VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT (staff_id) DO UPDATE SET username = excluded.username,"
            " display_name = excluded.display_name, roles = excluded.roles,"
            " branches = excluded.branches, desk = excluded.desk, active = excluded.active,"
            " session_epoch = s.session_epoch"
            "  + CASE WHEN s.active AND NOT excluded.active THEN 1 ELSE 0 END"
            " RETURNING session_epoch",
            one.staff_id,
            one.username,
            one.display_name,
            [role.value for role in one.roles],
            one.branches,
            one.desk,
            one.active,
        )
    return epochs


async def _give_demo_passwords(conn: asyncpg.Connection[Any]) -> None:
    await conn.execute(
        "INSERT INTO account (staff_id, password_hash) SELECT staff_id, $1 FROM staff"
        " ON CONFLICT (staff_id) DO NOTHING",
        _hasher.hash(DEMO_PASSWORD),
    )
