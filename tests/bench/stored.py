"""How the cost of a lifecycle depends on what is stored already: the thin stages' databases filled
with applications of the past, as they would have been left, and the same backlog drained each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from deploy.local import Stack
from tests.bench.thin import (
    APPLICATIONS,
    CONTACTS,
    DRIVER,
    INBOUND,
    CheckCompleted,
    MessageRequested,
    Submitted,
    database_of,
)
from tests.bench.workload import PARTITIONS, STAGES

STEP = 100_000  # applications of one statement

_ROWS = {
    "intake": (
        "INSERT INTO application SELECT 'old-' || n, 'gold', '1101', 300000, 1000000,"
        " repeat('x', 700) FROM generate_series($1::int, $2::int) n"
    ),
    "review": (
        "INSERT INTO review_case SELECT 'old-' || n, 'approved', 1000000, now(), now()"
        " FROM generate_series($1::int, $2::int) n"
    ),
    "notify": (
        "INSERT INTO message SELECT gen_random_uuid()::text, 'old-' || n, about FROM"
        " generate_series($1::int, $2::int) n, unnest(ARRAY['submitted', 'approved']) about"
    ),
    "reporting": (
        "INSERT INTO progress SELECT 'old-' || n, 'gold', '1101', 'approved', 1, 2, 5"
        " FROM generate_series($1::int, $2::int) n"
    ),
}

# topic, type and how many facts of it for each application, as the stage's log holds them
_LOGGED: dict[str, Sequence[tuple[str, str, int]]] = {
    "intake": [(APPLICATIONS, Submitted.type, 1)],
    "review": [(APPLICATIONS, CheckCompleted.type, 2)],
    "notify": [(CONTACTS, MessageRequested.type, 2)],
    "reporting": [],
}

# topic, source and how many of its events the stage has read of each application
_READ: dict[str, Sequence[tuple[str, str, int]]] = {
    "intake": [(INBOUND, DRIVER, 1)],
    "review": [(APPLICATIONS, "/banka/intake", 1), (APPLICATIONS, "/banka/review", 2)],
    "notify": [(APPLICATIONS, "/banka/intake", 1), (APPLICATIONS, "/banka/review", 2)],
    "reporting": [
        (APPLICATIONS, "/banka/intake", 1),
        (APPLICATIONS, "/banka/review", 2),
        (CONTACTS, "/banka/notify", 2),
    ],
}

_LOG = """
INSERT INTO messaging.event_log (topic, part, subject, sequence, id, type, attributes, body)
SELECT $3, n % $6, 'old-' || n, s, gen_random_uuid(), $4,
    '{"filler": "' || repeat('a', 240) || '"}', convert_to(repeat('b', 120), 'UTF8')
FROM generate_series($1::int, $2::int) n, generate_series(1, $5::int) s
"""

_NUMBERS = """
INSERT INTO messaging.subject_sequence
SELECT $3, 'old-' || n, $4 FROM generate_series($1::int, $2::int) n
"""

_CURSORS = """
INSERT INTO messaging.cursor
SELECT $3, $4, 'old-' || n, $5, $6, gen_random_uuid()::text
FROM generate_series($1::int, $2::int) n
"""


async def fill(stack: Stack, first: int, last: int) -> None:
    """Applications number `first` to `last` of the past, in every stage's database."""
    for stage in STAGES:
        conn = await asyncpg.connect(stack.superuser_url(database_of(stage)))
        try:
            for begin in range(first, last + 1, STEP):
                await _fill(conn, stage, begin, min(begin + STEP - 1, last))
            await conn.execute("VACUUM ANALYZE")
            await conn.execute("CHECKPOINT")
        finally:
            await conn.close()


async def _fill(conn: Any, stage: str, begin: int, end: int) -> None:
    await conn.execute(_ROWS[stage], begin, end)
    for topic, kind, count in _LOGGED[stage]:
        await conn.execute(_LOG, begin, end, topic, kind, count, PARTITIONS)
        await conn.execute(_NUMBERS, begin, end, topic, count)
    for topic, source, count in _READ[stage]:
        consumer = f"thin-{stage}.{topic.rpartition('-')[2]}"
        await conn.execute(_CURSORS, begin, end, consumer, topic, source, count)
