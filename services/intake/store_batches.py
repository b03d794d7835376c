"""Branches' tables as intake keeps them: what became of each row, and how far the work is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

BatchState = Literal["checking", "checked", "taking", "done", "closed"]
RowState = Literal["new", "good", "bad", "known", "taken"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A table. `stopped`: why its rows wait; `wrapped` None: nobody reads its rows any more."""

    batch_id: str
    branch: str
    digest: bytes = field(repr=False)
    state: BatchState
    stopped: str | None
    rows: int
    uploaded_by: str
    uploaded_at: datetime
    taken_by: str | None
    ended_at: datetime | None
    keep_until: datetime
    bank_key_id: str | None
    wrapped: bytes | None = field(repr=False)

    @property
    def working(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in ("checking", "taking")


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A row. `problems`: column, code and the other row of each. `who` and `content`: keyed digests
    of whose wish it is, and of what it says."""

    row: int
    state: RowState
    who: bytes | None = field(repr=False)
    content: bytes | None = field(repr=False)
    problems: list[dict[str, Any]] = field(default_factory=list)
    cells: bytes | None = field(default=None, repr=False)
    application_id: str | None = None


@dataclass(frozen=True, slots=True)
class TakenRow:
    """A row with the application that it became, here or before."""

    row: int
    state: RowState
    application_id: str
    application_number: str
    application_state: str
    client: str | None  # the program that began it


_ADD = """
INSERT INTO batch (batch_id, branch, digest, state, rows, uploaded_by, uploaded_at, keep_until,
    bank_key_id, wrapped)
VALUES ($1, $2, $3, 'checking', $4, $5, $6, $7, $8, $9)
ON CONFLICT (branch, digest) WHERE state <> 'closed' DO NOTHING
RETURNING batch_id
"""

_ADD_ROWS = """
INSERT INTO batch_row (batch_id, row, state, who, content, problems, cells)
SELECT $1, * FROM unnest($2::int[], $3::text[], $4::bytea[], $5::bytea[], $6::jsonb[], $7::bytea[])
"""

_SAVE_ROWS = """
UPDATE batch_row r SET state = w.state, problems = w.problems, application_id = w.application_id,
    cells = CASE WHEN w.state IN ('taken', 'known') THEN NULL ELSE r.cells END
FROM unnest($2::int[], $3::text[], $4::jsonb[], $5::text[])
    AS w (row, state, problems, application_id)
WHERE r.batch_id = $1 AND r.row = w.row
"""


async def add(conn: Any, batch: Batch, rows: Sequence[BatchRow]) -> bool:
    """Keep a new table; False where the same file of the branch is kept already."""
    added = await conn.fetchval(
        _ADD,
        batch.batch_id,
        batch.branch,
        batch.digest,
        batch.rows,
        batch.uploaded_by,
        batch.uploaded_at,
        batch.keep_until,
        batch.bank_key_id,
        batch.wrapped,
    )
    if added is None:
        return False
    columns = [
        (one.row, one.state, one.who, one.content, json.dumps(one.problems), one.cells)
        for one in rows
    ]
    await conn.execute(_ADD_ROWS, batch.batch_id, *map(list, zip(*columns, strict=True)))
    return True


async def of_file(conn: Any, branch: str, digest: bytes) -> Batch | None:
    """The table that this file of the branch is."""
    row = await conn.fetchrow(
        "SELECT * FROM batch WHERE branch = $1 AND digest = $2 AND state <> 'closed'",
        branch,
        digest,
    )
    return Batch(**row) if row else None


async def find(conn: Any, batch_id: str) -> Batch | None:
    """A table to look at, without a lock."""
    row = await conn.fetchrow("SELECT * FROM batch WHERE batch_id = $1", batch_id)
    return Batch(**row) if row else None


async def recent(
    conn: Any, branches: list[str] | None, uploaded_by: str | None, most: int
) -> list[Batch]:
    """The latest tables of these branches, of one who loaded them where named."""
    rows = await conn.fetch(
        "SELECT * FROM batch WHERE ($1::text[] IS NULL OR branch = ANY ($1))"
        " AND ($2::text IS NULL OR uploaded_by = $2)"
        " ORDER BY uploaded_at DESC, batch_id LIMIT $3",
        branches,
        uploaded_by,
        most,
    )
    return [Batch(**row) for row in rows]


async def next_batch(conn: Any, passed_over: Sequence[str]) -> Batch | None:
    """The table that has waited longest for somebody to go on with it."""
    row = await conn.fetchrow(
        "SELECT * FROM batch WHERE state IN ('checking', 'taking') AND batch_id <> ALL ($1)"
        " ORDER BY uploaded_at, batch_id LIMIT 1",
        list(passed_over),
    )
    return Batch(**row) if row else None


async def lock_free(conn: Any, batch_id: str) -> Batch | None:
    """`lock` where nobody holds it; a process that dies lets go of it at once."""
    row = await conn.fetchrow(
        "SELECT * FROM batch WHERE batch_id = $1 FOR UPDATE SKIP LOCKED", batch_id
    )
    return Batch(**row) if row else None


async def lock(conn: Any, batch_id: str) -> Batch | None:
    """A table, locked until the transaction ends."""
    row = await conn.fetchrow("SELECT * FROM batch WHERE batch_id = $1 FOR UPDATE", batch_id)
    return Batch(**row) if row else None


async def move(
    conn: Any,
    batch_id: str,
    state: BatchState,
    *,
    stopped: str | None = None,
    taken_by: str | None = None,
    ended_at: datetime | None = None,
) -> None:
    """Say how far a locked table is; who had it taken stays."""
    await conn.execute(
        "UPDATE batch SET state = $2, stopped = $3, taken_by = coalesce($4, taken_by),"
        " ended_at = $5 WHERE batch_id = $1",
        batch_id,
        state,
        stopped,
        taken_by,
        ended_at,
    )


async def rows_in(
    conn: Any, batch_id: str, state: RowState, most: int, *, after: int = 0
) -> list[BatchRow]:
    """The first rows of a table that are in this state, in their order."""
    rows = await conn.fetch(
        "SELECT row, state, who, content, problems, cells, application_id FROM batch_row"
        " WHERE batch_id = $1 AND state = $2 AND row > $4 ORDER BY row LIMIT $3",
        batch_id,
        state,
        most,
        after,
    )
    return [BatchRow(**{**row, "problems": json.loads(row["problems"])}) for row in rows]


async def save_rows(conn: Any, batch_id: str, rows: Sequence[BatchRow]) -> None:
    """Write what became of rows; what a row says is dropped once it is taken."""
    if rows:
        await conn.execute(
            _SAVE_ROWS,
            batch_id,
            [one.row for one in rows],
            [one.state for one in rows],
            [json.dumps(one.problems) for one in rows],
            [one.application_id for one in rows],
        )


async def counts(conn: Any, batch_id: str) -> dict[RowState, int]:
    """{state: rows} of a table."""
    rows = await conn.fetch(
        "SELECT state, count(*) AS n FROM batch_row WHERE batch_id = $1 GROUP BY state", batch_id
    )
    return {row["state"]: row["n"] for row in rows}


async def first_of(conn: Any, batch_id: str, who: Sequence[bytes]) -> dict[bytes, int]:
    """{whose wish: the first row that was found good for it} of a table."""
    rows = await conn.fetch(
        "SELECT who, min(row) AS row FROM batch_row WHERE batch_id = $1 AND who = ANY ($2)"
        " AND state IN ('good', 'taken') GROUP BY who",
        batch_id,
        list(who),
    )
    return {row["who"]: row["row"] for row in rows}


async def taken_before(
    conn: Any, content: Sequence[bytes], ended: Sequence[str]
) -> dict[bytes, str]:
    """{what a row says: the application that a row with these words became}; not one that has
    `ended`: it may be meant anew."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (r.content) r.content, r.application_id FROM batch_row r"
        " JOIN application a USING (application_id)"
        " WHERE r.content = ANY ($1) AND a.state <> ALL ($2) ORDER BY r.content, a.created_at DESC",
        list(content),
        list(ended),
    )
    return {row["content"]: row["application_id"] for row in rows}


async def page_of_bad(conn: Any, batch_id: str, *, page: int, page_size: int) -> list[BatchRow]:
    """A page of the rows that are not taken, in their order."""
    rows = await conn.fetch(
        "SELECT row, state, problems FROM batch_row WHERE batch_id = $1 AND state = 'bad'"
        " ORDER BY row LIMIT $2 OFFSET $3",
        batch_id,
        page_size,
        (page - 1) * page_size,
    )
    return [
        BatchRow(one["row"], one["state"], None, None, json.loads(one["problems"])) for one in rows
    ]


async def page_of_taken(conn: Any, batch_id: str, *, page: int, page_size: int) -> list[TakenRow]:
    """A page of the rows that are applications, in their order."""
    rows = await conn.fetch(
        "SELECT r.row, r.state, r.application_id, a.application_number,"
        " a.state AS application_state, a.client"
        " FROM batch_row r JOIN application a USING (application_id)"
        " WHERE r.batch_id = $1 AND r.state IN ('taken', 'known')"
        " ORDER BY r.row LIMIT $2 OFFSET $3",
        batch_id,
        page_size,
        (page - 1) * page_size,
    )
    return [TakenRow(**row) for row in rows]


async def close_old(conn: Any, now: datetime) -> list[str]:
    """Forget what stands in tables whose time has run out, their keys first; returns them."""
    closed = await conn.fetch(
        "UPDATE batch SET state = 'closed', bank_key_id = NULL, wrapped = NULL"
        " WHERE keep_until <= $1 AND state IN ('checked', 'done') RETURNING batch_id",
        now,
    )
    ids = [row["batch_id"] for row in closed]
    if ids:
        await conn.execute(
            "UPDATE batch_row SET cells = NULL, who = NULL,"
            " content = CASE WHEN application_id IS NULL THEN NULL ELSE content END"
            " WHERE batch_id = ANY ($1)",
            ids,
        )
    return ids
