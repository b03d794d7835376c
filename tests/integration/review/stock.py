"""Review with years of cases: as many as one likes, put into its table as they would have been
left. What hangs on a case is not there: lists do not look at it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

BRANCHES: Final = [f"44{n:02d}" for n in range(10, 70)]
REVIEWERS: Final = [f"R{n:04d}" for n in range(40)]

# Every row is made of its number `n` alone. In a hundred cases nine lie in the queue, of which one
# in eight waits for its second signature and one in two is somebody's; one is held.
_CASES = """
WITH numbered AS (
    SELECT n, n % 100 AS percent, (n / 100) % 1000 AS mille,
        ('x' || substr(md5(n::text), 1, 8))::bit(32)::bigint AS hash
    FROM generate_series(1, $1::int) n
), placed AS (
    SELECT *, CASE WHEN percent < 9 THEN 'manual_review' WHEN percent < 10 THEN 'on_hold'
            WHEN percent < 75 THEN 'in_use' ELSE 'declined' END AS state,
        ($2::text[])[1 + hash % cardinality($2)] AS branch,
        ($3::text[])[1 + (hash / 64) % cardinality($3)] AS reviewer
    FROM numbered
)
INSERT INTO review_case (application_id, state, state_version, application_number, branch, region,
    channel, product, product_version, applicant_type, claimed_by, claimed_at, proposed_by,
    queued_at, held_at, due, findings)
SELECT lpad(to_hex(hash), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'), state, 5,
    branch || '20261' || lpad((hash % 10000000000)::text, 10, '0') || lpad((n % 1000)::text, 3, '0')
    || n, branch, '44', 'counter', CASE WHEN mille % 10 = 0 THEN 'gold' ELSE 'standard' END,
    '2026.1', 'salaried',
    CASE WHEN state = 'manual_review' AND (mille % 2 = 0 OR mille % 8 = 1) THEN reviewer END,
    CASE WHEN state = 'manual_review' AND (mille % 2 = 0 OR mille % 8 = 1) THEN $4::timestamptz END,
    CASE WHEN state = 'manual_review' AND mille % 8 = 1 THEN reviewer END,
    CASE WHEN state = 'manual_review' THEN $4::timestamptz - make_interval(mins => mille::int) END,
    CASE WHEN state = 'on_hold' THEN $4::timestamptz - make_interval(mins => mille::int) END,
    $4::timestamptz + make_interval(hours => (mille % 300)::int - 40),
    CASE WHEN mille % 50 = 0 THEN ARRAY['CARDS_MANY'] ELSE '{}' END
FROM placed
"""


async def fill(conn: Any, rows: int, *, now: datetime) -> None:
    """Put cases into the database, to which the superuser is connected."""
    await conn.execute(_CASES, rows, BRANCHES, REVIEWERS, now)
    await conn.execute("VACUUM (ANALYZE) review_case")
