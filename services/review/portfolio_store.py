"""Review's tables of questions about all past decisions: what was asked, what is done of it, and
which applications a candidate would have decided otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.review.portfolio import Place, as_shown
from shared.messaging import Connection

_RUN = "run_id, kind, asked, source, asked_by, asked_at, ended_at, fault, tally, closed, sha256"
_NEXT_PART = f"""
SELECT p.number, p.begins_at, p.begins_with, n.begins_at AS ends_at, n.begins_with AS ends_with,
    {", ".join("r." + one for one in _RUN.split(", "))}
FROM portfolio_run r JOIN portfolio_run_part p USING (run_id)
LEFT JOIN portfolio_run_part n ON n.run_id = p.run_id AND n.number = p.number + 1
WHERE r.ended_at IS NULL AND p.tally IS NULL
ORDER BY r.asked_at, r.run_id, p.number LIMIT 1 FOR UPDATE OF p SKIP LOCKED
"""  # noqa: S608 - our own text
_DONE_RUN = f"""
SELECT {_RUN} FROM portfolio_run r
WHERE ended_at IS NULL AND NOT EXISTS (
    SELECT FROM portfolio_run_part p WHERE p.run_id = r.run_id AND p.tally IS NULL
) ORDER BY asked_at, run_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - our own text
_COLUMNS: Final = (
    *("run_id", "part", "place", "application_id", "old", "new", "old_limit", "new_limit"),
    *("reasons_gone", "reasons_new"),
)
# what a list of differences can be narrowed to: group of the report -> its condition on $5
_GROUPS: Final[Mapping[str, str]] = {
    "region": "c.region = $5",
    "age_band": "coalesce(f.body #>> '{hand_over,age_band}', 'unknown') = $5",
    "product": "c.product = $5",
    "applicant_type": "c.applicant_type = $5",
    "month": "to_char(x.decided_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') = $5",
    "reason": "$5 = ANY (d.reasons_gone || d.reasons_new)",
}
_DIFFERENCES = """
FROM portfolio_difference d JOIN review_case c USING (application_id)
    JOIN case_file f USING (application_id) JOIN decision x USING (application_id)
WHERE d.run_id = $1 AND ($2::text[] IS NULL OR c.branch = ANY ($2))
    AND ($3 = '' OR d.old = $3) AND ($4 = '' OR d.new = $4) AND ($5::text = '' OR {group})
"""
# the last word of each application
_LAST_SHADOWS = """
WITH last AS (
    SELECT DISTINCT ON (application_id) * FROM shadow_verdict
    WHERE digest = $1 ORDER BY application_id, scoring_round DESC
)
"""
_SHADOW_COUNTS = f"""{_LAST_SHADOWS}
SELECT s.live_outcome, s.outcome, s.live_findings, s.findings, p.version AS live_version,
    count(*) AS applications, count(*) FILTER (WHERE s.live_recommended <> s.recommended)
    AS otherwise, sum(s.live_recommended)::bigint AS live_limits,
    sum(s.recommended)::bigint AS limits
FROM last s LEFT JOIN policy_archive p ON p.digest = s.live_digest GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - our own text
_SHADOW_DIFFERENCES = """
FROM last s JOIN review_case c USING (application_id)
CROSS JOIN LATERAL (SELECT
    CASE s.live_outcome WHEN 'hold' THEN 'refer' ELSE s.live_outcome END AS old,
    CASE s.outcome WHEN 'hold' THEN 'refer' ELSE s.outcome END AS new) told
WHERE (told.old <> told.new OR s.live_recommended <> s.recommended)
    AND ($2::text[] IS NULL OR c.branch = ANY ($2))
    AND ($3 = '' OR told.old = $3) AND ($4 = '' OR told.new = $4)
    AND ($5 = '' OR ($5 = ANY (s.findings)) <> ($5 = ANY (s.live_findings)))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One question and what became of it. `asked`: as it stands in the report; `tally` None: not
    ended, or with a fault."""

    run_id: str
    kind: str
    asked: Mapping[str, Any]
    source: str | None
    asked_by: str
    asked_at: datetime
    ended_at: datetime | None
    fault: str | None
    tally: Mapping[str, Any] | None
    closed: int | None
    sha256: str | None

    @property
    def since(self) -> datetime:
        return datetime.fromisoformat(self.asked["since"])

    @property
    def until(self) -> datetime:
        return datetime.fromisoformat(self.asked["until"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which differences are wanted; "" is any. `branches` None: of all."""

    branches: Sequence[str] | None
    old: str = ""
    new: str = ""
    group: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Differing:
    """An application that would have been decided otherwise, as a list shows it. Limits in fen."""

    application_id: str
    application_number: str
    branch: str
    product: str
    decided_at: datetime
    old: str
    new: str
    old_limit: int
    new_limit: int
    reasons_gone: tuple[str, ...]
    reasons_new: tuple[str, ...]


async def begin_run(conn: Connection, run: Run, begins: Sequence[Place]) -> bool:
    """Write down a question and the parts to do; False where this request was made before."""
    done = await conn.execute(
        "INSERT INTO portfolio_run (run_id, kind, asked, source, asked_by, asked_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run_id) DO NOTHING",
        *(run.run_id, run.kind, json.dumps(run.asked), run.source, run.asked_by, run.asked_at),
    )
    if not str(done).endswith(" 1"):
        return False
    await conn.executemany(
        "INSERT INTO portfolio_run_part (run_id, number, begins_at, begins_with)"
        " VALUES ($1, $2, $3, $4)",
        [(run.run_id, number, *begin) for number, begin in enumerate(begins)],
    )
    return True


async def next_part(conn: Connection) -> tuple[Run, int, Place, Place] | None:
    """A part that nobody does yet, of the run that was asked first, with its first decision and
    before which it ends; it is this transaction's until it ends."""
    row = await conn.fetchrow(_NEXT_PART)
    if row is None:
        return None
    run, begin = _run(row), (row["begins_at"], row["begins_with"])
    last = row["ends_at"] is None
    return (
        run,
        row["number"],
        begin,
        (run.until, "") if last else (row["ends_at"], row["ends_with"]),
    )


async def save_part(
    conn: Connection,
    run_id: str,
    number: int,
    *,
    tally: Mapping[str, Any],
    closed: int,
    decisions: int,
    differences: Iterable[Mapping[str, Any]],
) -> None:
    """Write down what a part came to."""
    await conn.execute(
        "UPDATE portfolio_run_part SET tally = $3, closed = $4, decisions = $5"
        " WHERE run_id = $1 AND number = $2",
        *(run_id, number, json.dumps(tally), closed, decisions),
    )
    await conn.copy_records_to_table(
        "portfolio_difference",
        columns=_COLUMNS,
        records=[
            (run_id, number, place, *(one[name] for name in _COLUMNS[3:]))
            for place, one in enumerate(differences)
        ],
    )


async def done_run(conn: Connection) -> Run | None:
    """A run of which every part is done and that has not ended; it is this transaction's."""
    row = await conn.fetchrow(_DONE_RUN)
    return None if row is None else _run(row)


async def parts_of(conn: Any, run_id: str) -> list[tuple[Mapping[str, Any], int]]:
    """(tally, closed) of each part."""
    rows = await conn.fetch(
        "SELECT tally, closed FROM portfolio_run_part WHERE run_id = $1 ORDER BY number", run_id
    )
    return [(json.loads(row["tally"]), row["closed"]) for row in rows]


async def differences_of(conn: Any, run_id: str) -> list[dict[str, Any]]:
    """Every difference as the report has it, in the order of the decisions."""
    rows = await conn.fetch(
        f"SELECT {', '.join(_COLUMNS[3:])} FROM portfolio_difference"  # noqa: S608 - our own text
        " WHERE run_id = $1 ORDER BY part, place",
        run_id,
    )
    return [dict(row) for row in rows]


async def end_run(
    conn: Connection,
    run_id: str,
    now: datetime,
    *,
    tally: Mapping[str, Any] | None = None,
    closed: int = 0,
    sha256: str | None = None,
    fault: str | None = None,
) -> None:
    """Write what became of a run: a tally, or why there is none."""
    await conn.execute(
        "UPDATE portfolio_run SET ended_at = $2, tally = $3, closed = $4, sha256 = $5, fault = $6"
        " WHERE run_id = $1 AND ended_at IS NULL",
        *(run_id, now, None if tally is None else json.dumps(tally), closed, sha256, fault),
    )


async def find_run(conn: Any, kind: str, run_id: str) -> Run | None:
    """One run of a kind."""
    row = await conn.fetchrow(
        f"SELECT {_RUN} FROM portfolio_run WHERE kind = $1 AND run_id = $2",  # noqa: S608
        kind,
        run_id,
    )
    return None if row is None else _run(row)


async def latest_runs(conn: Any, kind: str, digest: str | None, most: int) -> list[Run]:
    """Runs of a kind, the newest first; digest: of the candidate, None for every one's."""
    rows = await conn.fetch(
        f"SELECT {_RUN} FROM portfolio_run WHERE kind = $1"  # noqa: S608 - our own text
        " AND ($2::text IS NULL OR asked ->> 'candidate_digest' = $2)"
        " ORDER BY asked_at DESC, run_id DESC LIMIT $3",
        *(kind, digest, most),
    )
    return [_run(row) for row in rows]


async def progress_of(conn: Any, run_id: str) -> int:
    """How many decisions are done."""
    return int(
        await conn.fetchval(
            "SELECT coalesce(sum(decisions), 0) FROM portfolio_run_part WHERE run_id = $1", run_id
        )
    )


async def list_differences(
    conn: Any, run_id: str, wanted: Wanted, *, page: int, page_size: int
) -> tuple[list[Differing], int]:
    """A page of the applications that would have been decided otherwise, and how many there are,
    as far as they belong to the wanted branches."""
    found = _DIFFERENCES.format(group=_GROUPS.get(wanted.group, "true"))
    value = wanted.value if wanted.group in _GROUPS else ""
    branches = None if wanted.branches is None else list(wanted.branches)
    arguments = (run_id, branches, wanted.old, wanted.new, value)
    total = await conn.fetchval(f"SELECT count(*) {found}", *arguments)
    rows = await conn.fetch(
        "SELECT application_id, c.application_number, c.branch, c.product, x.decided_at, d.old,"
        f" d.new, d.old_limit, d.new_limit, d.reasons_gone, d.reasons_new {found}"
        f" ORDER BY d.part, d.place LIMIT {page_size} OFFSET {(page - 1) * page_size}",
        *arguments,
    )
    return [_differing(row) for row in rows], total


async def shadow_counts(conn: Any, digest: str) -> list[dict[str, Any]]:
    """What a version without effect said beside the one in force, application by application added
    up where both said the same; where `live_outcome` is None nothing stands beside it."""
    return [dict(row) for row in await conn.fetch(_SHADOW_COUNTS, digest)]


async def shadow_differences(
    conn: Any, digest: str, wanted: Wanted, *, page: int, page_size: int
) -> tuple[list[Differing], int]:
    """A page of the applications about which both do not say the same, and how many there are."""
    reason = wanted.value if wanted.group == "reason" else ""
    branches = None if wanted.branches is None else list(wanted.branches)
    arguments = (digest, branches, wanted.old, wanted.new, reason)
    total = await conn.fetchval(
        f"{_LAST_SHADOWS} SELECT count(*) {_SHADOW_DIFFERENCES}", *arguments
    )
    rows = await conn.fetch(
        f"{_LAST_SHADOWS} SELECT application_id, c.application_number, c.branch, c.product,"
        " s.at AS decided_at, told.old, told.new, s.live_recommended AS old_limit,"
        " s.recommended AS new_limit, ARRAY(SELECT unnest(s.live_findings) EXCEPT"
        " SELECT unnest(s.findings)) AS reasons_gone, ARRAY(SELECT unnest(s.findings) EXCEPT"
        f" SELECT unnest(s.live_findings)) AS reasons_new {_SHADOW_DIFFERENCES}"
        f" ORDER BY s.at DESC, application_id LIMIT {page_size} OFFSET {(page - 1) * page_size}",
        *arguments,
    )
    return [_differing(row) for row in rows], total


def _differing(row: Any) -> Differing:
    told = {name: row[name] for name in Differing.__slots__}
    for name in ("reasons_gone", "reasons_new"):
        told[name] = tuple(sorted(as_shown(told[name])))
    return Differing(**told)


def _run(row: Any) -> Run:
    told = {name: row[name] for name in _RUN.split(", ")}
    told["asked"] = json.loads(told["asked"])
    told["tally"] = json.loads(told["tally"]) if told["tally"] is not None else None
    return Run(**told)
