"""A partner's event that our code fails on, replaced by one of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from shared.events.catalog import PARTNERS, source
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.messaging.errors import one_line
from shared.messaging.parking import freeze_headers, thaw
from shared.redrive.parked import (
    TRY_NOW,
    described,
    event_row,
    keep_skipped,
    locked,
    must_be_first,
    partner_of,
)
from shared.redrive.selection import CannotRedrive, audit

Payloads = Mapping[str, type[BaseModel]]


def partner_payloads() -> Payloads:
    """{type: payload} of everything that a partner may send."""
    return {payload.type: payload for partner in PARTNERS for payload in partner.sends}


def edited(body: bytes, changes: Mapping[str, Any], drops: Sequence[str] = ()) -> bytes:
    """A JSON body with some places changed or left out, unseen by who edits.

    changes: {JSON pointer: new value}. Raises CannotRedrive for a place that is not there.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise CannotRedrive("the body is no JSON: give a whole one") from None
    for pointer, value in changes.items():
        holder, last = _place(document, pointer)
        if isinstance(holder, list) and isinstance(last, int) and last == len(holder):
            holder.append(value)
        else:
            holder[last] = value
    for pointer in drops:
        holder, last = _place(document, pointer)
        if isinstance(holder, dict) and last not in holder:
            raise CannotRedrive(f"there is no {pointer}")
        del holder[last]
    return json.dumps(document, ensure_ascii=False).encode()


def _place(document: Any, pointer: str) -> tuple[Any, Any]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    if len(parts) < 2 or parts[0]:
        raise CannotRedrive(f"{pointer!r} is no JSON pointer, such as /documents/0/item")
    holder = document
    for part in parts[1:-1]:
        try:
            holder = holder[int(part) if isinstance(holder, list) else part]
        except (LookupError, ValueError, TypeError):
            raise CannotRedrive(f"there is no {pointer}") from None
    last: Any = parts[-1]
    if isinstance(holder, list):
        last = int(last) if last.isdecimal() and int(last) <= len(holder) else None
    elif not isinstance(holder, dict):
        last = None
    if last is None:
        raise CannotRedrive(f"there is no {pointer}")
    return holder, last


async def body_of(conn: Any, parked_id: int) -> bytes:
    """The payload as the partner sent it, to be edited and never shown."""
    row = await event_row(conn, parked_id)
    return thaw(row).body


async def repair_parked(
    conn: Any,
    parked_id: int,
    body: bytes,
    *,
    who: str,
    why: str,
    service: str = "intake",
    payloads: Payloads | None = None,
    seen: datetime | None = None,
    dry_run: bool = False,
) -> str:
    """Put an event of ours in the place of a partner's that our code fails on; returns its new id.

    Only the first that waits of a partner's key, and only a body that the schema of its type
    allows. The new event is the service's own (`source`, a new id), names the partner's by
    `causationid`, and stands in the same place of the queue, so that the order is kept; it is never
    written to the partner's topic, where the partner alone speaks. The partner's is kept as it
    came, counts as skipped with the reason, and counts as answered should it be sent again; the
    answer names it and says `repaired_by`. One transaction. Raises CannotRedrive.
    """
    if not why.strip():
        raise CannotRedrive("repairing needs a reason")
    async with conn.transaction():
        row = await locked(conn, parked_id, seen)
        partner = partner_of(row)
        event = thaw(row)
        if partner is None or event.envelope is None:
            raise CannotRedrive(
                "only a partner's event can be repaired: for one of ours its publisher sends a"
                " correction"
            )
        if row["repairs"]:
            raise CannotRedrive(f"{parked_id} was repaired already: skip it, or fix what fails")
        await must_be_first(conn, row)
        _validate(event.type, body, payloads or partner_payloads())
        old = event.envelope
        envelope = Envelope(
            id=new_id(),
            type=old.type,
            source=source(service),
            subject=old.subject or event.subject,
            time=old.time,
            recorded_time=datetime.now(UTC),
            causation_id=old.id,
            correlation_id=old.correlation_id or old.id,
            traceparent=old.traceparent,
        )
        if dry_run:
            return envelope.id
        await keep_skipped(conn, row, who, why)
        await conn.execute(
            "INSERT INTO messaging.repaired_event (event_id, consumer, topic, subject, repaired_id,"
            " headers, body, who, why) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            envelope.id, row["consumer"], row["topic"], row["subject"], old.id, row["headers"],
            row["body"], who, why,
        )  # fmt: skip
        await conn.execute(
            "INSERT INTO messaging.inbound_event (partner, event_id, digest)"
            " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            partner, old.id, hashlib.sha256(event.body).hexdigest(),
        )  # fmt: skip
        await conn.execute(
            "UPDATE messaging.parked_event SET source = $2, event_id = $3, headers = $4, body = $5,"
            " repairs = $6, failed = false, copied = false, tries = 0, first_tried = NULL"
            " WHERE id = $1",
            parked_id, envelope.source, envelope.id, freeze_headers(encode(envelope)), body, old.id,
        )  # fmt: skip
        await conn.execute(TRY_NOW, row["consumer"], row["topic"], row["subject"])
        await audit(conn, who, "repair", f"{described(row)} by {envelope.id}", why)
        return envelope.id


def _validate(event_type: str, body: bytes, payloads: Payloads) -> None:
    payload = payloads.get(event_type)
    if payload is None:
        raise CannotRedrive(f"no schema is known of {event_type}")
    try:
        payload.model_validate_json(body)
    except ValidationError as error:
        raise CannotRedrive(f"the schema forbids it: {one_line(error)}") from None
