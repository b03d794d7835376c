"""The queue of ID cards that a machine reads, and what it suggests, in the database.

Rows are claimed for a while, so several readers share the work, and what one had in hand that died
is taken up again; a card that ends its reader each time is given up after some tries.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.intake.idcard import CardReading, Side, Suggestion
from shared.events.lifecycle import State

# where the office still holds papers against the form
_CHECKED = [State.DRAFT, State.SUBMITTED, State.PRE_CHECK, State.AWAITING_MATERIAL]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A card to be read; `tries` with this one."""

    document_id: str
    application_id: str
    side: Side
    sha256: str
    tries: int


async def enlist(conn: Any, cards: Mapping[str, Side], since: datetime) -> None:
    """Queue the cards of these items that arrived since then and still matter."""
    await conn.execute(
        "INSERT INTO card_reading (document_id, application_id, side)"
        " SELECT d.document_id, d.application_id, c.side"
        " FROM unnest($1::text[], $2::text[]) AS c (item, side)"
        " JOIN document d ON d.item = c.item AND d.received_at >= $3"
        " JOIN application a USING (application_id)"
        " WHERE a.state = ANY ($4)"
        " AND NOT EXISTS (SELECT FROM card_reading r WHERE r.document_id = d.document_id)"
        " AND NOT EXISTS (SELECT FROM paper_end e WHERE e.document_id = d.document_id)"
        " ON CONFLICT DO NOTHING",
        list(cards),
        list(cards.values()),
        since,
        [state.value for state in _CHECKED],
    )


async def claim(conn: Any, seconds: float) -> Claimed | None:
    """A card that nobody else has in hand, the first that came; None where none waits."""
    row = await conn.fetchrow(
        "UPDATE card_reading r SET tries = tries + 1,"
        " claimed_until = clock_timestamp() + make_interval(secs => $1)"
        " FROM document d WHERE d.document_id = r.document_id AND r.document_id = ("
        " SELECT document_id FROM card_reading WHERE state = 'waiting'"
        " AND (claimed_until IS NULL OR claimed_until < clock_timestamp())"
        " ORDER BY document_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING r.document_id, r.application_id, r.side, d.sha256, r.tries",
        seconds,
    )
    return None if row is None else Claimed(**row)


async def keep(
    conn: Any,
    claimed: Claimed,
    says: Mapping[str, str],
    suggested: Mapping[str, Suggestion],
    now: datetime,
) -> bool:
    """Keep what was read; False where somebody else has the card by now, or it is destroyed."""
    told = {name: [one.confidence, one.doubts] for name, one in suggested.items()}
    done = await conn.execute(
        "UPDATE card_reading SET state = 'read', at = $3, says = $4, told = $5,"
        " claimed_until = NULL WHERE document_id = $1 AND tries = $2 AND state = 'waiting'",
        claimed.document_id,
        claimed.tries,
        now,
        json.dumps(dict(says)),
        json.dumps(told),
    )
    return bool(done == "UPDATE 1")


async def give_up(conn: Any, claimed: Claimed, failure: str, now: datetime) -> None:
    """Nothing can be read on it; nobody tries again."""
    await conn.execute(
        "UPDATE card_reading SET state = 'failed', at = $3, failure = $4, claimed_until = NULL"
        " WHERE document_id = $1 AND tries = $2 AND state = 'waiting'",
        claimed.document_id,
        claimed.tries,
        now,
        failure,
    )


async def put_back(conn: Any, claimed: Claimed, *, seconds: float, counts: bool) -> None:
    """Have it tried again, so many seconds on; whether this counts as a try."""
    await conn.execute(
        "UPDATE card_reading SET tries = tries - $3,"
        " claimed_until = clock_timestamp() + make_interval(secs => $4)"
        " WHERE document_id = $1 AND tries = $2 AND state = 'waiting'",
        claimed.document_id,
        claimed.tries,
        0 if counts else 1,
        seconds,
    )


async def card_readings(conn: Any, document_ids: Collection[str]) -> dict[str, CardReading]:
    """{document id: how far its reading came} of those that are read by a machine."""
    rows = await conn.fetch(
        "SELECT document_id, side, state, failure, says, told FROM card_reading"
        " WHERE document_id = ANY ($1)",
        list(document_ids),
    )
    return {
        row["document_id"]: CardReading(
            row["document_id"],
            row["side"],
            row["state"],
            row["failure"],
            json.loads(row["says"] or "{}"),
            {
                name: (confidence, tuple(doubts))
                for name, (confidence, doubts) in json.loads(row["told"] or "{}").items()
            },
        )
        for row in rows
    }
