"""The thin workload, as both the baseline and the kernel's stages do it: applications of some 700
bytes on an inbound topic, four stages, six events, twelve deliveries, relational rows.

    inbound      application        → intake: a row; submitted
    applications submitted          → review: a case, decided; check-completed, approved | declined
                                    → notify: a message; message-requested
                 approved, declined → notify: a message; message-requested
    contacts     message-requested
    reporting reads applications and contacts: a row for each application, a count for each day

Nine deliveries have an effect; review and notify are handed the other three and pass over them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

PARTITIONS = 8
STAGES = ("intake", "review", "notify", "reporting")
TOLD = ("submitted", "approved", "declined")  # what the customer gets a message about
EVENTS = 5  # that reporting applies for each application, before it is complete

MIGRATIONS = Path(__file__).parent / "migrations"  # the tables of both

# keys of complete lifecycles among those asked for, in reporting's database
COMPLETE = (
    f"SELECT application_id FROM progress WHERE events = {EVENTS} AND decision IS NOT NULL"
    " AND application_id = ANY ($1::text[])"
)

# seconds of one hop, intake to review, of the lifecycles asked for, in review's database
HOPS = (
    "SELECT extract(epoch FROM applied_at - recorded_at)::float AS seconds FROM review_case"
    " WHERE application_id = ANY ($1::text[]) ORDER BY 1"
)


def form(key: str, nth: int) -> dict[str, str | int]:
    """What a customer hands in: some 700 bytes as JSON."""
    return {
        "application_id": key,
        "product": ("gold", "classic", "platinum")[nth % 3],
        "branch": f"{1101 + nth % 40}",
        "channel": "mobile-app",
        "income": 300_000 + nth % 97 * 20_000,
        "wanted": 1_000_000 + nth % 89 * 50_000,
        "employer": "Changjiang Instruments and Measuring Devices Company Limited",
        "position": "senior technician, second workshop, calibration and repair",
        "address": "Building 7, Unit 3, Room 1204, 188 Heping Road, Jiang'an District, Wuhan",
        "mailing": "Building 2, Reception, 15 Instrument Street, Hanyang District, Wuhan",
        "remarks": "x" * 180,
        "consent": "the customer has read and signed version 2026-03 of the terms",
    }


def decide(income: int, wanted: int) -> tuple[str, int]:
    """The decision from two fields, and the limit."""
    limit = min(wanted, income * 6)
    return ("approved", limit) if limit >= 2_000_000 else ("declined", 0)


def day() -> date:
    """Today, as both count by."""
    return datetime.now(UTC).date()
