"""Calls to the outside world: bureau, registry, watchlist, SMS, mail, card factory.

A call is a row of work, written with the state that wants it. A worker claims it by a committed
lease, calls outside any transaction, and writes the result and its effects in one transaction,
only if its lease is still the valid one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.messaging.effects import Effect, Store


@dataclass(frozen=True, slots=True)
class ClaimedCall:
    """A call that this worker may make now. `key` goes to the other side as idempotency key.

    attempt: from 1; counts calls that were begun, by any process.
    """

    kind: str
    key: str
    subject: str
    payload: dict[str, Any]
    attempt: int


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The other side did it, or answered the question."""

    value: dict[str, Any]
    call: ClaimedCall | None = None  # filled in by the kernel before on_result


@dataclass(frozen=True, slots=True)
class Refused:
    """The other side understood and said no; asking again would not help. detail: no values."""

    reason: str
    detail: str = ""
    call: ClaimedCall | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have happened, and may not be repeated (SMTP, for one)."""

    reason: str
    call: ClaimedCall | None = None


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every allowed attempt failed on the way (time-outs, refused connections, 5xx)."""

    reason: str
    call: ClaimedCall | None = None


Result = Succeeded | Refused | Unknown | Exhausted


@dataclass(slots=True, kw_only=True)
class Worker:
    """Makes the calls of one kind.

    call: awaited outside any transaction, at most `timeout` seconds; raising (or the time-out)
      means retry with backoff and the same key, `attempts` times, then `Exhausted`.
    on_result: `(result, state, now) -> effects`; `result.call` is the call that was made.
    repeatable: False where the other side knows no idempotency key (SMTP): a time-out or a
      worker that died in mid-call is then `Unknown`, never repeated by itself.
    backoff: seconds before the second attempt, doubled each time, with jitter, up to 60.
    break_after: so many failures in a row make a pause of `break_seconds` (circuit breaker);
      no attempt is counted meanwhile.
    """

    kind: str
    store: Store[Any]
    call: Callable[[ClaimedCall], Awaitable[Result]]
    on_result: Callable[[Any, Any, datetime], Iterable[Effect]]
    timeout: float = 5.0
    attempts: int = 5
    concurrency: int = 8
    repeatable: bool = True
    backoff: float = 0.5
    break_after: int = 10
    break_seconds: float = 5.0
