"""What a handler receives and what it may bring about.

A handler is synchronous and pure: it gets the event, the subject's state and the business time,
changes the state and returns effects. The kernel writes state and effects in one transaction.
There is no way to publish outside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from asyncpg.pool import PoolConnectionProxy


class Payload(Protocol):
    """A payload model of `shared.events`: pydantic, with its event type and topic."""

    type: ClassVar[str]
    topic: ClassVar[str]

    def model_dump_json(self) -> str: ...


P = TypeVar("P", covariant=True)
S = TypeVar("S")

#: A connection inside a transaction. A store never commits and never opens another.
Connection = PoolConnectionProxy


@dataclass(frozen=True, slots=True)
class Received(Generic[P]):
    """A past fact as a consumer sees it.

    id: UUIDv7 of the event. source: `/banka/<service>`. subject: also the Kafka key.
    time: when it happened in the business. recorded_time: when the publisher committed it.
    sequence: per topic, source and subject, from 1 without gaps (None only for inbound).
    state_version: the application's unbroken count of transitions across services.
    origin: "live" | "imported" (imported: no message, no alarm, no SLA breach).
    """

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    recorded_time: datetime
    sequence: int | None
    state_version: int | None
    causation_id: str | None
    correlation_id: str
    traceparent: str | None
    origin: str
    data: P
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Fact:
    """An event to publish, recorded in the same transaction as the change of state.

    subject: default the subject being handled. time: when it happened; default business now.
    state_version: previous + 1 for a transition, the current one for a milestone.
    topic: only where the payload's own topic is a pattern (`banka.outbound.<partner>`).
    origin: default inherited from the cause, else "live".
    """

    data: Payload
    subject: str | None = None
    time: datetime | None = None
    state_version: int | None = None
    topic: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the outside world, later, by a worker, outside any transaction.

    key: idempotency key, unique per kind; asking again with a known key does nothing.
    payload: JSON; sealed values only, never clear personal data.
    not_before: business time.
    """

    kind: str
    key: str
    payload: dict[str, Any] = field(default_factory=dict)
    not_before: datetime | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Deadline:
    """Come back to this subject at `at` (business time). One per (subject, name); replaces."""

    name: str
    at: datetime
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class ClearDeadline:
    """The deadline `name` of this subject no longer matters; clearing an unset one is fine."""

    name: str
    subject: str | None = None


Effect = Fact | Call | Deadline | ClearDeadline

#: `on_<event>(event, state, now) -> effects`; may raise `Permanent` or `Transient`.
Handler = Callable[[Any, Any, datetime], Iterable[Effect]]
#: `on_<name>_deadline(state, now) -> effects`
DeadlineHandler = Callable[[Any, datetime], Iterable[Effect]]


class Store(Protocol[S]):
    """One concrete class per aggregate, in the service's store.py. SQL sits in its methods."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, S]:
        """The states, rows locked `FOR UPDATE` in sorted order; a fresh state where unknown."""
        ...

    async def save(self, conn: Connection, states: Sequence[S]) -> None:
        """Write all states in bulk (`unnest`), new and old ones alike."""
        ...
