"""Rows of the read models and archived reports. Holds no pool and never commits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any

from services.reporting import outside
from services.reporting.filters import SortKey
from services.reporting.projections import ApplicationRow, AppliedEvent, MessageRow, Seen
from services.reporting.reports.manifest import Cut, Parked, Position
from shared.clock import format_instant
from shared.events import lifecycle
from shared.events.catalog import group
from shared.messaging import Connection
from shared.web.lists import MOST_COUNTED, Page, Place, Total, page_from

#: the topics that reports are made of
TOPICS = ("banka.applications", "banka.contacts", "banka.cases")

_NOT_COLUMNS = frozenset({"new_events", "new_messages"})
_COLUMNS = tuple(f.name for f in fields(ApplicationRow) if f.name not in _NOT_COLUMNS)
_MESSAGE_COLUMNS = tuple(f.name for f in fields(MessageRow))
_JSON = frozenset({"wanted", "waited", "outside_waited"})

# Column names come from the dataclasses above, never from outside.


def _table(*, knows_holds: bool) -> str:
    """Where the applications are read for somebody who may, or may not, know of holds."""
    return "projection.application" if knows_holds else "projection.application_outside"


def _select(*, knows_holds: bool) -> str:
    return f"SELECT {', '.join(_COLUMNS)} FROM {_table(knows_holds=knows_holds)}"  # noqa: S608


_UPSERT = f"""
INSERT INTO projection.application ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM jsonb_populate_recordset(NULL::projection.application, $1::jsonb)
ON CONFLICT (application_id) DO UPDATE SET
{", ".join(f"{c} = excluded.{c}" for c in _COLUMNS if c != "application_id")}
"""  # noqa: S608
_UPSERT_MESSAGES = f"""
INSERT INTO projection.message AS m ({", ".join(_MESSAGE_COLUMNS)})
SELECT {", ".join(_MESSAGE_COLUMNS)}
  FROM jsonb_populate_recordset(NULL::projection.message, $1::jsonb)
ON CONFLICT (message_id) DO UPDATE SET
    state = excluded.state, reason = excluded.reason, changed_at = excluded.changed_at,
    not_before = coalesce(excluded.not_before, m.not_before)
"""  # noqa: S608
_INSERT_EVENTS = """
INSERT INTO projection.event
SELECT * FROM jsonb_populate_recordset(NULL::projection.event, $1::jsonb)
"""

# {sort key: columns}; the key comes from the address, the columns only from here
SORTS = {
    "number": "number",
    "submitted": "submitted_at",
    "state": "state",
    "since": "since",
    "branch": "branch",
    "product": "product",
}


class ApplicationStore:
    """The read-model row of an application, with what each transaction adds beside it."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, ApplicationRow]:
        """{application id: row}, locked in sorted order. Rows of unknown applications are made
        here, so that three topics that begin at once have something to lock."""
        wanted = sorted(set(subjects))
        await conn.execute(
            """
            INSERT INTO projection.application
                   (application_id, state_version, origin, wanted, rounds, refused_facts, waited,
                    outside_waited)
            SELECT id, 0, 'live', '[]', 0, 0, nobody, nobody
              FROM (VALUES ('{"customer":0,"bank":0,"partner":0}'::jsonb)) AS w (nobody),
                    unnest($1::text[]) AS id ORDER BY id
            ON CONFLICT (application_id) DO NOTHING
            """,
            wanted,
        )
        rows = await conn.fetch(
            _select(knows_holds=True)
            + " WHERE application_id = ANY ($1) ORDER BY application_id FOR UPDATE",
            wanted,
        )
        return {row["application_id"]: _application(row) for row in rows}

    async def save(self, conn: Connection, states: Sequence[ApplicationRow]) -> None:
        """Writes rows, applied events and messages, each in one statement."""
        ordered = sorted(states, key=lambda row: row.application_id)
        await conn.execute(_UPSERT, _dump([_row_json(row) for row in ordered]))
        events = [event for row in ordered for event in row.new_events]
        if events:
            await conn.execute(_INSERT_EVENTS, _dump([_event_json(event) for event in events]))
        messages = [message for row in ordered for message in row.new_messages.values()]
        if messages:
            await conn.execute(_UPSERT_MESSAGES, _dump([asdict(message) for message in messages]))
        for row in ordered:
            row.new_events.clear()
            row.new_messages.clear()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which applications a list shows. branches: those the viewer sees, None for all. knows_holds:
    whether the viewer may know that a case is held.

    number: whole, or its end. attention: `stalled`, `owing` or `refused`. submitted_from and
    submitted_to are instants, the second exclusive. sort: a key of SORTS, with a minus in front for
    the other way round.
    """

    branches: list[str] | None = None
    knows_holds: bool = False
    number: str | None = None
    state: str | None = None
    branch: str | None = None
    region: str | None = None
    channel: str | None = None
    product: str | None = None
    desk: str | None = None
    attention: str | None = None
    submitted_from: datetime | None = None
    submitted_to: datetime | None = None
    sort: str = "-submitted"


# of what is not handed in, or in no state yet: behind all that is
_NEVER = "'2000-01-01 00:00:00+00'"
_KEYS: Mapping[SortKey, str] = {
    "submitted": f"coalesce(submitted_at, {_NEVER})",
    "since": f"coalesce(since, {_NEVER})",
    "number": 'number COLLATE "C"',
}
_NUMBER_END = 'reverse(number) COLLATE "C"'

_ATTENTION: Mapping[str, str] = {
    "stalled": "stalled_version = state_version AND state <> ALL ({}::text[])",
    "owing": "wanted <> '[]'::jsonb AND {}::text[] IS NOT NULL",
    "refused": "refused_facts > 0 AND {}::text[] IS NOT NULL",
}


def _fitting(wanted: Wanted) -> tuple[str, list[Any]]:
    """The condition of a list and its arguments: of the filters only those that are set, or no
    index would serve."""
    one = wanted.branches[0] if wanted.branches and len(wanted.branches) == 1 else None
    several = wanted.branches if one is None else None
    ending = None if wanted.number is None else wanted.number[::-1]
    # a held case reads as one of its reviewers' where it must not show
    states = [s.value for s, owner in lifecycle.OWNERS.items() if owner.desk == wanted.desk]
    handed_in = f"submitted_at IS NOT NULL AND {_KEYS['submitted']}"
    asked: list[tuple[str, Any]] = [
        ("branch = {}::text", one),
        ("branch = ANY ({}::text[])", several),
        # a ":" comes behind every digit
        (f"{_NUMBER_END} >= {{}}::text", ending),
        (f"{_NUMBER_END} < {{}}::text || ':'", ending),
        ("state = ANY ({}::text[])", states if wanted.desk is not None else None),
        (handed_in + " >= {}::timestamptz", wanted.submitted_from),
        (handed_in + " < {}::timestamptz", wanted.submitted_to),
        *(
            (f"{column} = {{}}::text", getattr(wanted, column))
            for column in ("state", "branch", "region", "channel", "product")
        ),
    ]
    if wanted.attention is not None:
        # by a word that is none nothing is found
        asked.append((_ATTENTION.get(wanted.attention, "{}::text[] IS NULL"), _TERMINAL))
    conditions, arguments = ["number IS NOT NULL"], list[Any]()
    for condition, value in asked:
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))
    return " AND ".join(conditions), arguments


def page_statement(
    wanted: Wanted,
    size: int,
    key: SortKey,
    *,
    descending: bool,
    after: Place | None = None,
    before: Place | None = None,
) -> tuple[str, list[Any]]:
    """The rows of a page and one more, which tells whether the list goes on; the statement and its
    arguments."""
    condition, arguments = _fitting(wanted)
    column, kind = _KEYS[key], "text" if key == "number" else "timestamptz"
    way = "DESC" if descending != (before is not None) else "ASC"
    place = before or after
    if place is not None:
        than, count = "<" if way == "DESC" else ">", len(arguments)
        condition += f" AND ({column}, application_id) {than} (${count + 1}::{kind}, ${count + 2})"
        arguments += [place.key, place.id]
    return (
        f"SELECT {', '.join(_COLUMNS)}, {column} AS key"  # noqa: S608 - our own text
        f" FROM {_table(knows_holds=wanted.knows_holds)} WHERE {condition}"
        f" ORDER BY {column} {way}, application_id {way} LIMIT {size + 1}"
    ), arguments


async def page_of(
    conn: Connection,
    wanted: Wanted,
    size: int,
    key: SortKey,
    *,
    descending: bool,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[ApplicationRow]:
    """The page of the list behind a place, or the one in front of it; else the first."""
    statement, arguments = page_statement(
        wanted, size, key, descending=descending, after=after, before=before
    )
    rows = await conn.fetch(statement, *arguments)
    places = [Place(row["key"], row["application_id"]) for row in rows]
    return page_from([_application(row) for row in rows], places, size, after=after, before=before)


async def total_of(conn: Connection, wanted: Wanted) -> Total:
    """How many fit, as far as is counted."""
    condition, arguments = _fitting(wanted)
    counted = await conn.fetchval(
        "SELECT count(*) FROM"  # noqa: S608 - our own text
        f" (SELECT FROM {_table(knows_holds=wanted.knows_holds)}"
        f" WHERE {condition} LIMIT {MOST_COUNTED + 1}) one",
        *arguments,
    )
    return Total.of(counted)


async def list_applications(
    conn: Connection, wanted: Wanted, *, page: int, page_size: int
) -> tuple[list[ApplicationRow], int]:
    """(one page of applications by its number, how many there are), for programs, which go through
    a list once. page counts from 1."""
    column = SORTS.get(wanted.sort.lstrip("-"), "submitted_at")
    direction = "DESC NULLS LAST" if wanted.sort.startswith("-") else "ASC NULLS LAST"
    condition, arguments = _fitting(wanted)
    total = await conn.fetchval(
        f"SELECT count(*) FROM {_table(knows_holds=wanted.knows_holds)}"  # noqa: S608 - our own text
        f" WHERE {condition}",
        *arguments,
    )
    rows = await conn.fetch(
        _select(knows_holds=wanted.knows_holds)
        + f" WHERE {condition} ORDER BY {column} {direction},"
        + f" application_id {direction.split(maxsplit=1)[0]}"
        + f" LIMIT {page_size} OFFSET {(page - 1) * page_size}",
        *arguments,
    )
    return [_application(row) for row in rows], total


_TERMINAL = sorted(state.value for state in lifecycle.TERMINAL)


async def find_application(
    conn: Connection, application_id: str, *, knows_holds: bool
) -> ApplicationRow | None:
    """The application's row; None if nothing, or only a message, was ever told of it."""
    row = await conn.fetchrow(
        _select(knows_holds=knows_holds) + " WHERE application_id = $1 AND number IS NOT NULL",
        application_id,
    )
    return None if row is None else _application(row)


async def events_of(
    conn: Connection, application_id: str, *, knows_holds: bool
) -> list[AppliedEvent]:
    """Everything that was applied to the application, in the order in which it happened."""
    rows = await conn.fetch(
        "SELECT * FROM projection.event WHERE application_id = $1"
        " ORDER BY time, recorded_time, topic, part, kafka_offset",
        application_id,
    )
    return _events(rows, knows_holds=knows_holds)


async def messages_of(conn: Connection, application_id: str) -> list[MessageRow]:
    """The application's messages as they stand, the latest first."""
    rows = await conn.fetch(
        "SELECT * FROM projection.message WHERE application_id = $1 ORDER BY changed_at DESC",
        application_id,
    )
    return [MessageRow(**{name: row[name] for name in _MESSAGE_COLUMNS}) for row in rows]


async def board_rows(
    conn: Connection, branches: list[str] | None, refused_since: datetime, *, knows_holds: bool
) -> list[ApplicationRow]:
    """Open applications, and those about which a card fact was refused lately."""
    rows = await conn.fetch(
        _select(knows_holds=knows_holds)
        + """
         WHERE number IS NOT NULL AND ($1::text[] IS NULL OR branch = ANY ($1))
           AND (state <> ALL ($2::text[]) OR refused_at >= $3)
        """,
        branches,
        _TERMINAL,
        refused_since,
    )
    return [_application(row) for row in rows]


async def events_between(
    conn: Connection,
    branches: list[str] | None,
    start: datetime,
    end: datetime,
    *,
    knows_holds: bool,
) -> list[AppliedEvent]:
    """What happened from `start` until before `end`, business time."""
    rows = await conn.fetch(
        """
        SELECT * FROM projection.event
         WHERE time >= $2 AND time < $3 AND ($1::text[] IS NULL OR branch = ANY ($1))
        """,
        branches,
        start,
        end,
    )
    return _events(rows, knows_holds=knows_holds)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the whole read model adds up to, to be held against the other services."""

    states: dict[str, int]
    declines: dict[str, int]
    messages: dict[str, int]
    stalled: int
    refused_facts: int
    applications: int
    events: int


async def count_everything(
    conn: Connection, branches: list[str] | None, *, knows_holds: bool
) -> Counts:
    """Applications by state, declines by category, messages by state, open stalls."""
    narrowed = "($1::text[] IS NULL OR branch = ANY ($1))"
    table = _table(knows_holds=knows_holds)
    states = await conn.fetch(
        f"SELECT state AS name, count(*) AS n FROM {table}"  # noqa: S608
        f" WHERE state IS NOT NULL AND {narrowed} GROUP BY state ORDER BY state",
        branches,
    )
    declines = await conn.fetch(
        f"SELECT decline_category AS name, count(*) AS n FROM {table}"  # noqa: S608
        f" WHERE state = 'declined' AND decline_category IS NOT NULL AND {narrowed}"
        " GROUP BY 1 ORDER BY 1",
        branches,
    )
    messages = await conn.fetch(
        "SELECT state AS name, count(*) AS n FROM projection.message"  # noqa: S608
        f" WHERE {narrowed} GROUP BY state ORDER BY state",
        branches,
    )
    sums = await conn.fetchrow(
        f"""
        SELECT count(*) FILTER (WHERE stalled_version = state_version AND state <> ALL ($2))
                 AS stalled,
               coalesce(sum(refused_facts), 0)::int AS refused_facts,
               (SELECT count(*) FROM projection.event WHERE {narrowed}
                   AND ($3 OR type <> $4 AND (type <> $5 OR state_before <> 'manual_review')))
                 AS events
          FROM {table} WHERE number IS NOT NULL AND {narrowed}
        """,  # noqa: S608
        branches,
        _TERMINAL,
        knows_holds,
        outside.RELEASED,
        outside.HELD,
    )
    assert sums is not None
    by_state = {row["name"]: row["n"] for row in states}
    return Counts(
        states=by_state,
        declines={row["name"]: row["n"] for row in declines},
        messages={row["name"]: row["n"] for row in messages},
        stalled=sums["stalled"],
        refused_facts=sums["refused_facts"],
        applications=sum(by_state.values()),
        events=sums["events"],
    )


# --- reports ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArchivedReport:
    """A report that was handed out; `content` is its bytes."""

    manifest_id: str
    kind: str
    day: date
    language: str
    branches: list[str] | None
    knows_holds: bool
    manifest: str
    sha256: str
    made_at: datetime
    made_by: str
    size: int
    content: bytes


async def take_cut(conn: Connection) -> Cut:
    """Up to where this service has read, and what waits below that. Needs one snapshot
    (REPEATABLE READ) for both and for the events."""
    groups = {group("reporting", topic): topic for topic in TOPICS}
    positions = await conn.fetch(
        "SELECT topic, part, next FROM messaging.consumer_offset"
        " WHERE consumer = ANY ($1) ORDER BY topic, part",
        list(groups),
    )
    parked = await conn.fetch(
        "SELECT topic, part, kafka_offset FROM messaging.parked_event"
        " WHERE consumer = ANY ($1) ORDER BY topic, part, kafka_offset",
        list(groups),
    )
    return Cut(
        tuple(Position(row["topic"], row["part"], row["next"]) for row in positions),
        tuple(Parked(row["topic"], row["part"], row["kafka_offset"]) for row in parked),
    )


async def events_up_to(
    conn: Connection, cut: Cut, branches: Sequence[str] | None, *, knows_holds: bool
) -> list[AppliedEvent]:
    """The events below the cut, without those that were parked when it was taken."""
    rows = await conn.fetch(
        """
        SELECT e.* FROM projection.event e
          JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS c (topic, part, next)
            ON c.topic = e.topic AND c.part = e.part AND e.kafka_offset < c.next
         WHERE ($7::text[] IS NULL OR e.branch = ANY ($7))
           AND NOT EXISTS (
               SELECT 1 FROM unnest($4::text[], $5::int[], $6::bigint[]) AS p (topic, part, at)
                WHERE p.topic = e.topic AND p.part = e.part AND p.at = e.kafka_offset)
         ORDER BY e.topic, e.part, e.kafka_offset
        """,
        [position.topic for position in cut.positions],
        [position.partition for position in cut.positions],
        [position.next for position in cut.positions],
        [parked.topic for parked in cut.parked],
        [parked.partition for parked in cut.parked],
        [parked.offset for parked in cut.parked],
        None if branches is None else list(branches),
    )
    return _events(rows, knows_holds=knows_holds)


async def archive_report(conn: Connection, report: ArchivedReport) -> None:
    """Keeps the report; the same one again is kept once."""
    await conn.execute(
        """
        INSERT INTO owned.report (manifest_id, kind, day, language, branches, knows_holds, manifest,
                                  sha256, content, made_at, made_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (manifest_id) DO NOTHING
        """,
        report.manifest_id,
        report.kind,
        report.day,
        report.language,
        report.branches,
        report.knows_holds,
        report.manifest,
        report.sha256,
        report.content,
        report.made_at,
        report.made_by,
    )


async def find_report(conn: Connection, manifest_id: str) -> ArchivedReport | None:
    """The archived report with its bytes."""
    row = await conn.fetchrow(
        "SELECT *, length(content) AS size FROM owned.report WHERE manifest_id = $1", manifest_id
    )
    return None if row is None else ArchivedReport(**dict(row))


_SEEN_REPORTS = """
          FROM owned.report
         WHERE ($1::text[] IS NULL OR (branches IS NOT NULL AND branches <@ $1))
           AND ($2 OR NOT knows_holds)
"""


async def list_reports(
    conn: Connection,
    branches: list[str] | None,
    *,
    knows_holds: bool,
    limit: int = 200,
    offset: int = 0,
) -> list[ArchivedReport]:
    """Archived reports without their bytes, the latest first. Who sees some branches sees reports
    that cover no other; who may not know of holds, those that tell of none."""
    rows = await conn.fetch(
        f"""
        SELECT manifest_id, kind, day, language, branches, knows_holds, manifest, sha256, made_at,
               made_by, length(content) AS size, ''::bytea AS content
        {_SEEN_REPORTS}
         ORDER BY day DESC, made_at DESC, manifest_id LIMIT $3 OFFSET $4
        """,
        branches,
        knows_holds,
        limit,
        offset,
    )
    return [ArchivedReport(**dict(row)) for row in rows]


async def count_reports(conn: Connection, branches: list[str] | None, *, knows_holds: bool) -> int:
    """How many archived reports `list_reports` would go through."""
    found = await conn.fetchval(f"SELECT count(*) {_SEEN_REPORTS}", branches, knows_holds)
    return int(found)


# --- rows -------------------------------------------------------------------------------------


def _application(row: Any) -> ApplicationRow:
    values = {name: json.loads(row[name]) if name in _JSON else row[name] for name in _COLUMNS}
    return ApplicationRow(**values)


def _row_json(row: ApplicationRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _COLUMNS}


def _events(rows: Sequence[Any], *, knows_holds: bool) -> list[AppliedEvent]:
    events = [_event(row) for row in rows]
    return events if knows_holds else outside.outside_events(events)


def _event(row: Any) -> AppliedEvent:
    return AppliedEvent(
        seen=Seen(
            topic=row["topic"],
            partition=row["part"],
            offset=row["kafka_offset"],
            id=row["id"],
            type=row["type"],
            source=row["source"],
            application_id=row["application_id"],
            time=row["time"],
            recorded_time=row["recorded_time"],
            origin=row["origin"],
            state_version=row["state_version"],
        ),
        state_before=row["state_before"],
        state_after=row["state_after"],
        state_version=row["state_version"],
        moves=row["moves"],
        number=row["number"],
        branch=row["branch"],
        region=row["region"],
        channel=row["channel"],
        product=row["product"],
        product_version=row["product_version"],
        applicant_type=row["applicant_type"],
        facts=json.loads(row["facts"]),
    )


def _event_json(event: AppliedEvent) -> dict[str, Any]:
    seen = event.seen
    return {
        "topic": seen.topic,
        "part": seen.partition,
        "kafka_offset": seen.offset,
        "id": seen.id,
        "type": seen.type,
        "source": seen.source,
        "application_id": seen.application_id,
        "time": seen.time,
        "recorded_time": seen.recorded_time,
        "origin": seen.origin,
        "state_before": event.state_before,
        "state_after": event.state_after,
        "state_version": event.state_version,
        "moves": event.moves,
        "number": event.number,
        "branch": event.branch,
        "region": event.region,
        "channel": event.channel,
        "product": event.product,
        "product_version": event.product_version,
        "applicant_type": event.applicant_type,
        "facts": dict(event.facts),
    }


def _dump(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    raise TypeError(type(value).__name__)
