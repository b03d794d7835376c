"""What applications share, found by keyed digests: written before it is counted, so that of two at
once the later one sees both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from services.review.checks.fraud import TRACES, Trace, terms_of
from shared.parameters.models import FraudRules

_MOST_COUNTED = 1_000  # of one trace; more tell nothing more

# What was corrected meanwhile is found no more, and what is older than any rule counts is
# forgotten; of this application's own by the next one. It is not waited for until the disk has it:
# the log of a database is one, and the decision's commit, which is waited for, lies behind.
_LEAVE = """
WITH at_ease AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), swept AS (
    DELETE FROM fraud_trace WHERE at < $6 AND application_id <> $1
), dropped AS (
    DELETE FROM fraud_trace WHERE application_id = $1 AND kind <> ALL ($4::text[])
)
INSERT INTO fraud_trace (application_id, kind, digest, person, at)
SELECT $1, kind, digest, $2, $3
FROM at_ease, unnest($4::text[], $5::bytea[]) AS left_by (kind, digest)
ON CONFLICT (application_id, kind)
DO UPDATE SET digest = excluded.digest, person = excluded.person, at = excluded.at
"""

_COUNT = f"""
SELECT kind, persons, applications
FROM unnest($1::text[], $2::bytea[], $3::timestamptz[]) AS wanted (kind, digest, since),
LATERAL (
    SELECT count(DISTINCT person) AS persons, count(*) AS applications FROM (
        SELECT person FROM fraud_trace t
        WHERE t.kind = wanted.kind AND t.digest = wanted.digest AND t.at >= wanted.since
        LIMIT {_MOST_COUNTED}
    ) recent
) counted
"""  # noqa: S608 - a constant of ours


async def leave(
    conn: Any,
    application_id: str,
    person: str,
    at: datetime,
    digests: Mapping[Trace, bytes],
    now: datetime,
    rules: FraudRules,
) -> None:
    """Keep what an application is found by, in place of what it was, and forget what is older than
    any rule counts; `at`: of the hand-over."""
    oldest = now - timedelta(days=max(terms_of(trace, rules).days for trace in TRACES))
    await conn.execute(
        _LEAVE, application_id, person, at, list(digests), list(digests.values()), oldest
    )


async def shared(
    conn: Any, digests: Mapping[Trace, bytes], now: datetime, rules: FraudRules
) -> dict[str, int]:
    """{trace: how many persons have it, or applications the person}, within the rule's term."""
    kinds = list(digests)
    since = [now - timedelta(days=terms_of(kind, rules).days) for kind in kinds]
    rows = await conn.fetch(_COUNT, kinds, list(digests.values()), since)
    return {
        row["kind"]: row["applications" if row["kind"] == "person" else "persons"] for row in rows
    }
