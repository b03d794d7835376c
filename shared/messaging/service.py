"""A service: its pool, relay, consumers, workers and deadlines, started and stopped in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from asyncpg import Pool

from shared.messaging.calls import Worker
from shared.messaging.deadlines import Deadlines
from shared.messaging.effects import Connection, Effect, Received, Store
from shared.messaging.inbound import Inbound, InboundEvent
from shared.messaging.inbox import Consumer

S = TypeVar("S")

#: what made this happen: its id becomes `causationid`, its correlation id is passed on
Cause = Received[Any] | InboundEvent


@dataclass(slots=True)
class Transaction:
    """An open transaction for the rarer many-step command.

    conn: for your stores. now: business time, read once. actor: who asked (a staff id).
    """

    conn: Connection
    now: datetime
    actor: str | None = None
    cause: Cause | None = None

    async def append(self, effects: Iterable[Effect], *, subject: str | None = None) -> None:
        """Write the effects; `subject` is the default for those that name none."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Readiness:
    """ready: may take traffic. checks: {what: "ok" or one line that says what is wrong}."""

    ready: bool
    checks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is still on its way; all zero means that the business clock may move.

    outbox: facts not yet on Kafka. unapplied: events behind the end of consumed topics.
    parked: events, results and deadlines that wait for an operator (or a retry).
    open_calls: due now or leased. due_deadlines: due now. next_due: earliest of the rest.
    """

    outbox: int
    unapplied: int
    parked: int
    open_calls: int
    due_deadlines: int
    next_due: datetime | None = None


@dataclass(kw_only=True)
class Service:
    """Everything of a service that is not HTTP. Built once, in the composition root.

    name: also the database's and the roles' (`banka_<name>`, `<name>_app`) and the source of its
    events (`/banka/<name>`). database: another database name (tests).
    """

    name: str
    settings: Any
    clock: Any
    consumers: Sequence[Consumer] = ()
    inbound: Sequence[Inbound] = ()
    workers: Sequence[Worker] = ()
    deadlines: Sequence[Deadlines] = ()
    database: str | None = None
    pool: Pool = field(init=False, repr=False)

    async def start(self) -> None:
        """Connect, check the schema, prove that database and broker belong together, then run.

        Raises `errors.OlderDatabase`, or `postgres.migrate.SchemaMismatch`; waits for a broker
        that is not there yet.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop consuming, finish what is open, hand over, close. Never loses, may repeat."""
        raise NotImplementedError

    async def readiness(self) -> Readiness:
        """Broker, database, relay and progress of every consumer: a stuck handler shows."""
        raise NotImplementedError

    async def quiet(self) -> Quiet:
        """What is still on its way in this service (demo and tests)."""
        raise NotImplementedError

    async def execute(
        self,
        store: Store[S],
        subject: str,
        decide: Callable[[S, datetime], Iterable[Effect]],
        *,
        actor: str | None = None,
        causation: Cause | None = None,
    ) -> S:
        """A command: load and lock the subject, decide, save, append, commit; returns the state.

        Whatever `decide` raises rolls back and reaches the caller.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def transaction(
        self, *, actor: str | None = None, cause: Cause | None = None
    ) -> AsyncIterator[Transaction]:
        """For the rarer many-step command: `tx.conn`, `tx.now`, `await tx.append(effects)`."""
        raise NotImplementedError
        yield
