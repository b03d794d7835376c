"""Events from partners: no unbroken sequence, no trust, an answer to every one.

A topic per partner; `source` must be that partner's; one permanent row per (partner, event id)
with a digest of the body: the same body again gets the same answer, another body is rejected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.messaging.effects import Connection, Effect


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """A partner's event as it came, binary or structured mode.

    key: the partner's own reference (Kafka key, else the envelope's subject).
    data: the body parsed as JSON, not validated yet: validate with your payload model and raise
      `errors.Rejected(("field", "CODE"), ...)`; a pydantic ValidationError is answered likewise.
    digest: SHA-256 of the body.
    """

    partner: str
    id: str
    type: str
    source: str
    key: str
    time: datetime | None
    correlation_id: str
    traceparent: str | None
    data: Any
    body: bytes
    digest: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class InboundProblem:
    """Why a partner's event is refused: fields and codes, never values.

    event_id, type, key: as far as they could be read. codes: `(field, code)` pairs; the kernel's
    own are UNREADABLE, MISSING, WRONG_SOURCE, SAME_ID_OTHER_BODY and pydantic's error types.
    """

    partner: str
    event_id: str | None
    type: str | None
    key: str | None
    codes: tuple[tuple[str, str], ...]
    correlation_id: str


@dataclass(slots=True, kw_only=True)
class Inbound:
    """The gate for one partner's topic.

    name: Kafka group id. handle: async, gets the connection of the open transaction (a savepoint
    of its own per event), the event and business now; loads and saves state itself through its
    stores and returns effects. reject: turns a problem into the answering fact.
    Effects without a subject take the event's key.
    """

    name: str
    topic: str
    partner: str
    handle: Callable[[Connection, InboundEvent, datetime], Awaitable[Iterable[Effect]]]
    reject: Callable[[InboundProblem, datetime], Iterable[Effect]]
    max_records: int = 200
