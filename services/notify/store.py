"""Applications and their messages in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from asyncpg import Record
from asyncpg.pool import Pool

from services.notify.application import FINAL, Application, Message, MessageState
from services.notify.filters import SortKey
from services.notify.messages import Channel, Template
from shared.calendar import span_of
from shared.messaging import Connection
from shared.web.lists import MOST_COUNTED, Page, Place, Total, page_from

PAGE_SIZE = 50  # of the API


class ApplicationStore:
    """An application with its messages that are not final; a final one needs nobody's care."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Application]:
        """{application id: state}; rows locked in sorted order, a fresh one where unknown."""
        rows = await conn.fetch(
            "SELECT * FROM application WHERE application_id = ANY ($1::text[])"
            " ORDER BY application_id FOR UPDATE",
            sorted(subjects),
        )
        found = {
            row["application_id"]: Application(
                application_id=row["application_id"],
                state=row["state"],
                state_version=row["state_version"],
                number=row["number"],
                branch=row["branch"],
                region=row["region"],
                channel=row["channel"],
                product=row["product"],
                product_version=row["product_version"],
                language=row["language"],
                party_id=row["party_id"],
                contact=json.loads(row["contact"]),
            )
            for row in rows
        }
        if found:
            for row in await conn.fetch(
                "SELECT * FROM message WHERE application_id = ANY ($1::text[])"
                " AND state IN ('requested', 'sent', 'unresolved')"
                " ORDER BY requested_at, message_id",
                list(found),
            ):
                message = _message(row)
                found[row["application_id"]].messages[message.message_id] = message
        return {
            subject: found.get(subject) or Application(application_id=subject)
            for subject in subjects
        }

    async def save(self, conn: Connection, states: Sequence[Application]) -> None:
        """Writes applications and the messages that changed, in bulk; adds to the history."""
        known = [one for one in states if one.state is not None]
        if known:
            await conn.execute(
                """
                INSERT INTO application (application_id, state, state_version, number, branch,
                       region, channel, product, product_version, language, party_id, contact)
                SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[],
                       $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                       $12::jsonb[])
                ON CONFLICT (application_id) DO UPDATE
                   SET state = excluded.state, state_version = excluded.state_version,
                       number = excluded.number, branch = excluded.branch,
                       region = excluded.region, channel = excluded.channel,
                       product = excluded.product,
                       product_version = excluded.product_version, language = excluded.language,
                       party_id = excluded.party_id, contact = excluded.contact
                """,
                [one.application_id for one in known],
                [one.state for one in known],
                [one.state_version for one in known],
                [one.number for one in known],
                [one.branch for one in known],
                [one.region for one in known],
                [one.channel for one in known],
                [one.product for one in known],
                [one.product_version for one in known],
                [one.language for one in known],
                [one.party_id for one in known],
                [json.dumps(one.contact) for one in known],
            )
            chosen = [(one, change) for one in known for change in one.languages]
            await conn.executemany(
                "INSERT INTO language_change (at, actor, application_id, was, is_now)"
                " VALUES ($1, $2, $3, $4, $5)",
                [
                    (change.at, change.actor, one.application_id, change.was, change.is_now)
                    for one, change in chosen
                ],
            )
            for one, _ in chosen:
                one.languages.clear()
        changed = [(one, one.messages[key]) for one in known for key in sorted(one.touched)]
        if not changed:
            return
        await conn.executemany(_UPSERT_MESSAGE, [_values(one, msg) for one, msg in changed])
        history = [(msg.message_id, entry) for _, msg in changed for entry in msg.history]
        await conn.execute(
            "INSERT INTO message_history (message_id, at, state, detail, actor)"
            " SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[],"
            " $5::text[])",
            [key for key, _ in history],
            [entry.at for _, entry in history],
            [entry.state for _, entry in history],
            [entry.detail for _, entry in history],
            [entry.actor for _, entry in history],
        )
        for one, msg in changed:
            one.touched.clear()
            msg.history.clear()
            if msg.state in FINAL:
                del one.messages[msg.message_id]


_UPSERT_MESSAGE = """
INSERT INTO message (message_id, application_id, number, branch, template, template_version,
       channel, language, cause_id, cause_type, state, reason, title, body, details, recipient,
       gateway_id, round, not_before, requested_at, sent_at, delivered_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        $21, $22, $23)
ON CONFLICT (message_id) DO UPDATE
   SET state = excluded.state, reason = excluded.reason,
       gateway_id = excluded.gateway_id, round = excluded.round, not_before = excluded.not_before,
       sent_at = excluded.sent_at, delivered_at = excluded.delivered_at,
       ended_at = excluded.ended_at
"""


def _values(one: Application, msg: Message) -> tuple[Any, ...]:
    return (
        msg.message_id,
        one.application_id,
        one.number,
        one.branch,
        msg.template.value,
        msg.template_version,
        msg.channel.value,
        msg.language,
        msg.cause_id,
        msg.cause_type,
        msg.state.value,
        msg.reason,
        msg.title,
        msg.body,
        json.dumps(msg.details, ensure_ascii=False),
        msg.recipient,
        msg.gateway_id,
        msg.round,
        msg.not_before,
        msg.requested_at,
        msg.sent_at,
        msg.delivered_at,
        msg.ended_at,
    )


def _message(row: Record) -> Message:
    return Message(
        message_id=row["message_id"],
        template=Template(row["template"]),
        template_version=row["template_version"],
        channel=Channel(row["channel"]),
        language=row["language"],
        cause_id=row["cause_id"],
        cause_type=row["cause_type"],
        title=row["title"],
        body=row["body"],
        details=json.loads(row["details"]),
        not_before=row["not_before"],
        requested_at=row["requested_at"],
        state=MessageState(row["state"]),
        reason=row["reason"],
        round=row["round"],
        recipient=row["recipient"],
        gateway_id=row["gateway_id"],
        sent_at=row["sent_at"],
        delivered_at=row["delivered_at"],
        ended_at=row["ended_at"],
    )


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What a worker needs to send one message; the contact fields are still sealed."""

    message_id: str
    number: str  # of the application
    state: MessageState
    template: Template
    channel: Channel
    language: str
    title: str
    body: str
    party_id: str | None
    contact: dict[str, str]
    code: str | None = None  # for the customer's own page, sealed too


async def find_dispatch(pool: Pool[Record], message_id: str) -> Dispatch | None:
    """The message as it is now, with where it goes; None if there is none."""
    row = await pool.fetchrow(
        "SELECT m.message_id, m.number, m.state, m.template, m.channel, m.language,"
        " m.title, m.body, a.party_id, a.contact, m.details ->> 'code' AS code"
        " FROM message m JOIN application a USING (application_id) WHERE m.message_id = $1",
        message_id,
    )
    if row is None:
        return None
    return Dispatch(
        message_id=row["message_id"],
        number=row["number"],
        state=MessageState(row["state"]),
        template=Template(row["template"]),
        channel=Channel(row["channel"]),
        language=row["language"],
        title=row["title"],
        body=row["body"],
        party_id=row["party_id"],
        contact=json.loads(row["contact"]),
        code=row["code"],
    )


async def note_recipient(pool: Pool[Record], message_id: str, recipient: str) -> None:
    """Keeps to whom a message is about to go, masked, so that the desk can look whatever comes."""
    await pool.execute(
        "UPDATE message SET recipient = $2 WHERE message_id = $1 AND recipient <> $2",
        message_id,
        recipient,
    )


# --- what pages and the API read ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages to list; None and empty mean all. Days are business days, both included."""

    branches: Sequence[str] | None  # that the viewer may see
    states: Sequence[str] = ()
    channel: str = ""
    branch: str = ""
    template: str = ""
    number: str = ""  # of the application
    application_id: str = ""
    first_day: date | None = None
    last_day: date | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its arguments."""
        clauses = ["($1::text[] IS NULL OR branch = ANY ($1))"]
        arguments: list[Any] = [list(self.branches) if self.branches is not None else None]

        def add(clause: str, value: Any) -> None:
            arguments.append(value)
            clauses.append(clause.format(f"${len(arguments)}"))

        if self.states:
            add("state = ANY ({}::text[])", list(self.states))
        for column in ("channel", "branch", "template", "application_id"):
            value = getattr(self, column)
            if value:
                add(column + " = {}", value)
        if self.number:
            add("number = {}", self.number)
        begin, end = span_of(self.first_day, self.last_day)
        if begin is not None:
            add("requested_at >= {}", begin)
        if end is not None:
            add("requested_at < {}", end)
        return " AND ".join(clauses), arguments


_COLUMNS: dict[SortKey, str] = {"requested": "requested_at", "number": 'number COLLATE "C"'}


async def page_of(
    pool: Pool[Record],
    wanted: MessageFilter,
    size: int,
    key: SortKey,
    *,
    descending: bool = True,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[Record]:
    """The page of messages behind a place, or the one in front of it; else the first."""
    where, arguments = wanted.where()
    column, kind = _COLUMNS[key], "text" if key == "number" else "timestamptz"
    way = "DESC" if descending != (before is not None) else "ASC"
    place = before or after
    if place is not None:
        than, last = "<" if way == "DESC" else ">", len(arguments)
        arguments += [place.key, place.id]
        where += f" AND ({column}, message_id) {than} (${last + 1}::{kind}, ${last + 2}::text)"
    rows = await pool.fetch(
        f"SELECT *, {column} AS sort_key FROM message WHERE {where}"  # noqa: S608 - the clauses are ours, values are arguments
        f" ORDER BY {column} {way}, message_id {way} LIMIT {size + 1}",
        *arguments,
    )
    places = [Place(row["sort_key"], row["message_id"]) for row in rows]
    return page_from(list(rows), places, size, after=after, before=before)


async def total_of(pool: Pool[Record], wanted: MessageFilter) -> Total:
    """How many fit, as far as is counted."""
    where, arguments = wanted.where()
    counted = await pool.fetchval(
        f"SELECT count(*) FROM (SELECT FROM message WHERE {where}"  # noqa: S608
        f" LIMIT {MOST_COUNTED + 1}) one",
        *arguments,
    )
    return Total.of(counted)


async def list_messages(
    pool: Pool[Record], wanted: MessageFilter, *, page: int = 1
) -> tuple[list[Record], int]:
    """One page of messages by its number, newest first, and how many there are in all."""
    where, arguments = wanted.where()
    total = await pool.fetchval(f"SELECT count(*) FROM message WHERE {where}", *arguments)  # noqa: S608
    rows = await pool.fetch(
        f"SELECT * FROM message WHERE {where} ORDER BY requested_at DESC, message_id DESC"  # noqa: S608
        f" LIMIT {PAGE_SIZE} OFFSET {(page - 1) * PAGE_SIZE}",
        *arguments,
    )
    return list(rows), int(total)


async def ids_of_number(
    pool: Pool[Record], branches: Sequence[str] | None, number: str
) -> list[str]:
    """The applications that have this number, or one that ends so: two at most, for with several
    more digits are asked for."""
    rows = await pool.fetch(
        # a ":" comes behind every digit
        "SELECT application_id FROM application"
        ' WHERE reverse(number) COLLATE "C" >= $1 AND reverse(number) COLLATE "C" < $1 || \':\''
        " AND ($2::text[] IS NULL OR branch = ANY ($2)) LIMIT 2",
        number[::-1],
        list(branches) if branches is not None else None,
    )
    return [row["application_id"] for row in rows]


async def count_by_state(pool: Pool[Record], wanted: MessageFilter) -> dict[str, int]:
    """{state: messages}, every state named."""
    where, arguments = wanted.where()
    rows = await pool.fetch(
        f"SELECT state, count(*) AS n FROM message WHERE {where} GROUP BY state",  # noqa: S608
        *arguments,
    )
    counted = {row["state"]: int(row["n"]) for row in rows}
    return {state.value: counted.get(state.value, 0) for state in MessageState}


async def find_message(
    pool: Pool[Record], message_id: str, branches: Sequence[str] | None
) -> Record | None:
    """One message with the customer's language; None if there is none in these branches."""
    row: Record | None = await pool.fetchrow(
        "SELECT m.*, a.language AS preferred_language, a.state AS application_state,"
        " a.product, a.channel AS came_by"
        " FROM message m JOIN application a USING (application_id)"
        " WHERE m.message_id = $1 AND ($2::text[] IS NULL OR m.branch = ANY ($2))",
        message_id,
        list(branches) if branches is not None else None,
    )
    return row


async def history_of(pool: Pool[Record], message_id: str) -> list[Record]:
    """What happened to a message, oldest first."""
    return list(
        await pool.fetch(
            "SELECT * FROM message_history WHERE message_id = $1 ORDER BY id", message_id
        )
    )
