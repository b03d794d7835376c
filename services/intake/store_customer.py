"""Codes and sessions of customers' own pages as intake keeps them: digests alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

CUSTOMER: Final = "customer"
"""How a customer who acts for themselves is written into events and records; `customer:staff:<id>`
where they came by a code whose slip that member of staff had printed, and so might have used."""

Access = Literal["issued", "sent", "revoked", "entered", "wrong", "died", "left"]


@dataclass(frozen=True, slots=True)
class Code:
    """The last code of an application. `ended` None: it lets in while it is valid."""

    issued_at: datetime
    issued_by: str
    valid_until: datetime
    tries: int
    ended: str | None

    def lets_in(self, now: datetime) -> bool:
        """Whether somebody may still enter with it."""
        return self.ended is None and now < self.valid_until


def is_customer(actor: str) -> bool:
    """Whether a customer acts, by whatever code."""
    return actor.partition(":")[0] == CUSTOMER


def customer_by(printed_by: str | None) -> str:
    """How a customer is written who came by a code whose slip somebody (an actor) had printed."""
    return CUSTOMER if printed_by is None else f"{CUSTOMER}:{printed_by}"


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One line of what was done with an application's codes."""

    at: datetime
    actor: str
    what: Access


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a try at the code of one application. printed_by: see `keep_code`."""

    application_id: str
    became: Access
    printed_by: str | None


async def lock_code(conn: Any, application_id: str) -> None:
    """Of those who enter, take a code and end one, each waits for the one before: what it left is
    seen by whatever is asked next. The application is held first, as whoever changes it does."""
    await conn.execute(
        "SELECT 1 FROM application WHERE application_id = $1 FOR KEY SHARE", application_id
    )
    await conn.execute(
        "SELECT 1 FROM access_code WHERE application_id = $1 FOR UPDATE", application_id
    )


async def keep_code(
    conn: Any,
    application_id: str,
    who: bytes,
    digest: bytes,
    *,
    issued_at: datetime,
    issued_by: str,
    printed_by: str | None,
    valid_until: datetime,
) -> None:
    """A new code; the one before, if there was one, lets in no longer. printed_by: who of the
    office saw it, or the one by which the customer came who takes this one."""
    await conn.execute(
        "INSERT INTO access_code"
        " (application_id, who, digest, issued_at, issued_by, valid_until, printed_by)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)"
        " ON CONFLICT (application_id) DO UPDATE SET who = excluded.who, digest = excluded.digest,"
        " issued_at = excluded.issued_at, issued_by = excluded.issued_by,"
        " valid_until = excluded.valid_until, printed_by = excluded.printed_by,"
        " tries = 0, ended = NULL",
        application_id,
        who,
        digest,
        issued_at,
        issued_by,
        valid_until,
        printed_by,
    )


async def code_of(conn: Any, application_id: str) -> Code | None:
    """The last code of an application."""
    row = await conn.fetchrow(
        "SELECT issued_at, issued_by, valid_until, tries, ended FROM access_code"
        " WHERE application_id = $1",
        application_id,
    )
    return None if row is None else Code(**row)


async def try_code(
    conn: Any, who: bytes, digest: bytes, now: datetime, most: int
) -> Sequence[Tried]:
    """One try against every code that it may be meant for. The one that fits is used up; a wrong
    try counts, and the last one ends the code."""
    await conn.execute(  # in the order in which `lock_code` does
        "SELECT 1 FROM application WHERE application_id IN"
        " (SELECT application_id FROM access_code WHERE who = $1 AND ended IS NULL)"
        " ORDER BY application_id FOR KEY SHARE",
        who,
    )
    rows = await conn.fetch(
        "UPDATE access_code SET tries = tries + (digest <> $2)::int,"
        " ended = CASE WHEN digest = $2 THEN 'used' WHEN tries + 1 >= $4 THEN 'tries' END"
        " WHERE who = $1 AND ended IS NULL AND valid_until > $3"
        " RETURNING application_id, ended, printed_by",
        who,
        digest,
        now,
        most,
    )
    became: dict[str | None, Access] = {"used": "entered", "tries": "died", None: "wrong"}
    return [Tried(row["application_id"], became[row["ended"]], row["printed_by"]) for row in rows]


async def revoke_code(conn: Any, application_id: str) -> None:
    """Nobody enters with the code any more, and whoever is in is out."""
    await conn.execute(
        "UPDATE access_code SET ended = 'revoked' WHERE application_id = $1 AND ended IS NULL",
        application_id,
    )
    await end_sessions(conn, application_id)


async def follow_mobile(conn: Any, application_id: str, actor: str, now: datetime) -> None:
    """The form names another mobile. The code was for whoever has the one before: nobody enters
    with it any more, and whoever is in is out, unless it is they who changed it."""
    await lock_code(conn, application_id)
    ended = await conn.execute(
        "UPDATE access_code SET ended = 'revoked' WHERE application_id = $1 AND ended IS NULL",
        application_id,
    )
    inside = not is_customer(actor) and await has_sessions(conn, application_id)
    if inside:
        await end_sessions(conn, application_id)
    if inside or ended != "UPDATE 0":
        await record_access(conn, application_id, now, actor, "revoked")


async def end_sessions(conn: Any, application_id: str) -> None:
    """Whoever is in is out."""
    await conn.execute("DELETE FROM customer_session WHERE application_id = $1", application_id)


async def has_sessions(conn: Any, application_id: str) -> bool:
    """Whether somebody may be in."""
    found = await conn.fetchval(
        "SELECT EXISTS (SELECT 1 FROM customer_session WHERE application_id = $1)", application_id
    )
    return bool(found)


async def record_access(
    conn: Any, application_id: str | None, now: datetime, actor: str, what: Access
) -> None:
    """A line of what was done with codes; application_id None: of nobody's."""
    await conn.execute(
        "INSERT INTO customer_access (application_id, at, actor, what) VALUES ($1, $2, $3, $4)",
        application_id,
        now,
        actor,
        what,
    )


async def accesses_of(conn: Any, application_id: str) -> list[AccessEntry]:
    """What was done with an application's codes, the newest first."""
    rows = await conn.fetch(
        "SELECT at, actor, what FROM customer_access WHERE application_id = $1"
        " ORDER BY id DESC LIMIT 100",
        application_id,
    )
    return [AccessEntry(**row) for row in rows]


async def begin_session(
    conn: Any, digest: bytes, application_id: str, printed_by: str | None, *, longest_minutes: int
) -> None:
    """A customer is in, by a code whose slip somebody may have printed; sessions whose time is over
    are swept by the way."""
    await conn.execute(
        "DELETE FROM customer_session WHERE began_at <= now() - make_interval(mins => $1)",
        longest_minutes,
    )
    await conn.execute(
        "INSERT INTO customer_session (digest, application_id, printed_by, began_at, seen_at)"
        " VALUES ($1, $2, $3, now(), now())",
        digest,
        application_id,
        printed_by,
    )


async def session_of(
    conn: Any, digest: bytes, *, idle_minutes: int, longest_minutes: int
) -> tuple[str, str | None] | None:
    """Whose application the session opens and who printed the slip by whose code it began, and that
    it was used now; None where it is over."""
    row = await conn.fetchrow(
        "UPDATE customer_session SET seen_at = now() WHERE digest = $1"
        " AND seen_at > now() - make_interval(mins => $2)"
        " AND began_at > now() - make_interval(mins => $3) RETURNING application_id, printed_by",
        digest,
        idle_minutes,
        longest_minutes,
    )
    return None if row is None else (row["application_id"], row["printed_by"])


async def is_in(conn: Any, digest: bytes, application_id: str) -> bool:
    """Whether the session is there, and nobody ends it before this transaction does."""
    found = await conn.fetchval(
        "SELECT true FROM customer_session WHERE digest = $1 AND application_id = $2 FOR UPDATE",
        digest,
        application_id,
    )
    return found is True


async def end_session(conn: Any, digest: bytes) -> None:
    """Whoever was in by it is out."""
    await conn.execute("DELETE FROM customer_session WHERE digest = $1", digest)
