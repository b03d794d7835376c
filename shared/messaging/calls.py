"""Calls to the outside world: bureau, registry, watchlist, SMS, mail, card factory.

A call is a row of work, written with the state that wants it. A worker claims it by a committed
lease, calls outside any transaction, and writes the result and its effects in one transaction,
only if its lease is still the valid one. What came back is written again and again while the
database is away: a result that is lost is a call made twice, or a mail of which nobody knows.

Results that come while others are being written go together in the next transaction, of whatever
kind the calls are: three answers about one subject would wait for its row one after the other.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from asyncpg import Record

from shared.messaging import metrics
from shared.messaging.effects import Call, Effect, Store
from shared.messaging.errors import is_infrastructure, one_line
from shared.messaging.outbox import Cause, Outbox, Wanted
from shared.messaging.parking import backoff, come
from shared.messaging.waking import woken

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5  # for work that another process wrote, or that became due
GATHER_SECONDS = 0.01  # between two claims, at least: the first call goes at once, a flood in lots
LEASE_GRACE = 10.0  # seconds beyond the time-out before another worker may take the call
WRITE_SECONDS = 3.0  # for results and their effects; after that the results alone are kept
KEPT_SECONDS = 1.0  # before a result that was kept for the machinery's sake is applied again
APPLY_ATTEMPTS = 5  # tries to write a result's effects before it waits for an operator


@dataclass(frozen=True, slots=True)
class ClaimedCall:
    """A call that this worker may make now. `key` goes to the other side as idempotency key.

    attempt: from 1; counts calls that were begun, by any process. before: one line, how the attempt
    before this one ended; "" if its worker died over it.
    """

    kind: str
    key: str
    subject: str
    payload: dict[str, Any]
    attempt: int
    before: str = ""


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


_CLAIM = f"""
UPDATE messaging.call c
SET state = 'leased', lease_owner = $3, attempt = c.attempt + (c.result IS NULL)::int,
    lease_until = clock_timestamp() + make_interval(secs => $4)
FROM (
    SELECT id, state FROM messaging.call
    WHERE kind = $1 AND id <> ALL ($6::bigint[]) AND {come("retry_at")}
        AND (not_before IS NULL OR not_before <= $2)
        AND (state = 'open' OR (state = 'leased' AND {come("lease_until", "$4::float8")}))
    ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED
) due
WHERE c.id = due.id
RETURNING c.id, c.kind, c.key, c.subject, c.payload, c.cause, c.attempt, c.result, c.applying,
    c.error, due.state = 'leased' AS interrupted
"""  # noqa: S608 - constants of ours

_FINISH = """
UPDATE messaging.call c
SET state = 'done', done_at = now(), lease_owner = NULL, result = NULL, error = NULL
FROM (SELECT * FROM unnest($2::bigint[], $3::int[]) AS u (id, attempt) ORDER BY id) d
WHERE c.id = d.id AND c.id = ANY ($2) AND c.state = 'leased' AND c.lease_owner = $1
    AND c.attempt = d.attempt
RETURNING c.id
"""

_RETRY = """
UPDATE messaging.call
SET state = 'open', lease_owner = NULL, error = $4,
    retry_at = clock_timestamp() + make_interval(secs => $5)
WHERE id = $1 AND state = 'leased' AND lease_owner = $2 AND attempt = $3
"""

_KEEP_RESULT = """
UPDATE messaging.call
SET state = CASE WHEN applying + $6 >= $7 THEN 'failed' ELSE 'open' END, lease_owner = NULL,
    result = $4, error = $5, applying = applying + $6,
    retry_at = clock_timestamp() + make_interval(secs => $8)
WHERE id = $1 AND state = 'leased' AND lease_owner = $2 AND attempt = $3
"""

_RESULTS = {kind.__name__: kind for kind in (Succeeded, Refused, Unknown, Exhausted)}


class WorkerLoop:
    """Runs one worker in one process, with up to `concurrency` calls open."""

    def __init__(
        self, worker: Worker, pool: Any, outbox: Outbox, clock: Any, results: Results
    ) -> None:
        self.worker = worker
        self._pool = pool
        self._outbox = outbox
        self._clock = clock
        self._results = results
        self._open: dict[asyncio.Task[None], int] = {}  # with the call's id
        self._wake = asyncio.Event()
        self._full = False  # the last claim took as many as it could: there may be more
        self._failures = 0
        self._closed_until = 0.0
        self.state = ""

    def wake(self) -> None:
        """There may be work: called after commits of this process."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; waits for the calls in hand as long as their time-outs allow."""
        delay = POLL_SECONDS
        try:
            while True:
                self._wake.clear()
                begun = time.monotonic()
                try:
                    claimed = await self._claim()
                    delay = POLL_SECONDS
                    self.state = ""
                except Exception as error:  # noqa: BLE001 - the database is away: try again later
                    claimed, delay = [], min(delay * 2, 5.0)
                    self.state = one_line(error)
                for row in claimed:
                    task = asyncio.create_task(self._work(row))
                    self._open[task] = row["id"]
                    task.add_done_callback(self._done)
                await woken(self._wake, delay)
                await asyncio.sleep(max(0.0, begun + GATHER_SECONDS - time.monotonic()))
        finally:
            if self._open:
                await asyncio.wait(list(self._open), timeout=self.worker.timeout + 2)
            for task in list(self._open):
                task.cancel()  # it would write for ever to what is closed next

    def _done(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        if self._full:
            self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # the lease runs out and somebody tries again
            log.error("call not finished", kind=self.worker.kind, error=one_line(error))

    async def _claim(self) -> list[Record]:
        self._outbox.check()
        self._full = True  # whoever ends from now on leaves room that this claim does not count
        free = self.worker.concurrency - len(self._open)
        if self._failures >= self.worker.break_after:
            if time.monotonic() < self._closed_until:
                return []
            free = min(free, 1) if not self._open else 0  # half open: one call tells
        if free <= 0:
            return []
        rows: list[Record] = await self._pool.fetch(
            _CLAIM,
            self.worker.kind,
            self._clock.now(),
            self._results.owner,
            self.worker.timeout + LEASE_GRACE,
            free,
            list(self._open.values()),  # a lease may end while we cannot write what came back
        )
        self._full = len(rows) == free
        return rows

    async def _work(self, row: Record) -> None:
        before = "" if row["interrupted"] else row["error"] or ""
        payload = json.loads(row["payload"])
        call = ClaimedCall(row["kind"], row["key"], row["subject"], payload, row["attempt"], before)
        if row["result"] is not None:
            name, values = json.loads(row["result"])
            # by itself: whatever kept it from being written may not keep others
            kept = replace(_RESULTS[name](**values), call=call)
            await self._results.write([_Back(self.worker, row, kept)])
            return
        if row["interrupted"] and not self.worker.repeatable:
            await self._apply(row, Unknown("the worker stopped in mid-call", call=call))
            return
        if call.attempt > self.worker.attempts:
            # every attempt was begun and none came back: do not try for ever
            await self._apply(row, Exhausted("the worker stopped in mid-call", call=call))
            return
        result, error = await self._make(call)
        if result is None and call.attempt >= self.worker.attempts:
            result = Exhausted(error)
        if result is None:
            wait = backoff(call.attempt, first=self.worker.backoff)
            metrics.CALLS.labels(call.kind, "retried").inc()
            await self._results.surely(
                _RETRY, [(row["id"], self._results.owner, call.attempt, error, wait)]
            )
            return
        metrics.CALLS.labels(call.kind, type(result).__name__.lower()).inc()
        await self._apply(row, replace(result, call=call))

    async def _make(self, call: ClaimedCall) -> tuple[Result | None, str]:
        """The outside call itself; None and one line if it is to be tried again."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.worker.timeout):
                result = await self.worker.call(call)
        except TimeoutError:
            error = f"no answer within {self.worker.timeout:g} s"
            self._count_failure()
            # cancelled does not mean undone: it may have arrived
            return (None if self.worker.repeatable else Unknown(error)), error
        except Exception as problem:  # noqa: BLE001 - whatever the other side does is a failed attempt
            self._count_failure()
            return None, one_line(problem)
        finally:
            metrics.CALL_SECONDS.labels(call.kind).observe(time.monotonic() - begun)
        self._failures = 0
        return result, ""

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= self.worker.break_after:
            self._closed_until = time.monotonic() + self.worker.break_seconds

    async def _apply(self, row: Record, result: Result) -> None:
        await self._results.apply(_Back(self.worker, row, result))


@dataclass(frozen=True, slots=True)
class _Back:
    """What came back of a call that was claimed."""

    worker: Worker
    row: Record
    result: Result


class Results:
    """Writes what came back of the calls about one store's subjects, whatever their kind.

    owner: under which this process leases these calls.
    """

    def __init__(self, store: Store[Any], pool: Any, outbox: Outbox, clock: Any) -> None:
        self._store = store
        self._pool = pool
        self._outbox = outbox
        self._clock = clock
        self.owner = uuid.uuid4()
        self._waiting: list[_Back] = []  # not written yet
        self._applying = asyncio.Lock()

    async def apply(self, back: _Back) -> None:
        """Write the result and its effects, together with those that came back meanwhile."""
        self._waiting.append(back)
        async with self._applying:
            together, self._waiting = self._waiting, []
            if together:  # else whoever was here before took ours along
                await self.write(together)

    async def write(self, together: Sequence[_Back]) -> None:
        """Write results and effects; what cannot be written now is kept with its call, for later.

        A broken session or a deadlock is tried again at once. A row that somebody holds must not
        cost the others their leases: after a while the results alone are kept.
        """
        tries = 0
        failure: Exception = TimeoutError(f"not written within {WRITE_SECONDS:g} s")
        try:
            async with asyncio.timeout(WRITE_SECONDS) as limit:
                # a break-off that meets the end of a session may come as that session's error
                while not limit.expired():
                    try:
                        await self._apply_all(together)
                        return
                    except Exception as error:
                        if not is_infrastructure(error):
                            raise
                        failure = error
                    tries += 1
                    await asyncio.sleep(backoff(tries, first=GATHER_SECONDS))
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - some result's own failure
            failure = error
        if is_infrastructure(failure):
            metrics.BACKOFF.labels("calls").inc()
            kinds = sorted({back.row["kind"] for back in together})
            log.warning("results kept for later", kind=kinds, count=len(together),
                        error=one_line(failure))  # fmt: skip
            await self._keep(together, failure)
        elif len(together) == 1:
            row = together[0].row
            log.error("result not applied", kind=row["kind"], key=row["key"],
                      error=one_line(failure))  # fmt: skip
            await self._keep(together, failure)
        else:
            for one in together:
                await self.write([one])

    async def _keep(self, together: Sequence[_Back], error: Exception) -> None:
        """Keep results with their calls: they are applied later, the calls not made again."""
        counted = 0 if is_infrastructure(error) else 1
        values = []
        for back in together:
            row, result = back.row, back.result
            parts = {f: getattr(result, f) for f in result.__dataclass_fields__ if f != "call"}
            values.append((
                row["id"],
                self.owner,
                row["attempt"],
                json.dumps([type(result).__name__, parts], default=str),
                one_line(error),
                counted,
                APPLY_ATTEMPTS,
                backoff(row["applying"] + 1) if counted else KEPT_SECONDS,
            ))  # fmt: skip
        await self.surely(_KEEP_RESULT, values)

    async def surely(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Note what became of calls, however long the database is away.

        Twice is once: the statement does nothing where the lease is not ours any more.
        """
        tries = 0
        while True:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._pool.executemany(statement, rows)
                return
            except Exception as error:
                if not is_infrastructure(error):
                    raise
            tries += 1
            await asyncio.sleep(backoff(tries, first=GATHER_SECONDS, most=1.0))

    async def _apply_all(self, together: Sequence[_Back]) -> None:
        """Results and effects in one transaction, only where the lease is still ours."""
        wanted: list[Wanted] = []
        async with self._pool.acquire() as conn, conn.transaction():
            # the subjects first: the order in which everybody locks
            subjects = sorted({back.row["subject"] for back in together})
            states = await self._store.load(conn, subjects)
            ids, attempts = zip(
                *((back.row["id"], back.row["attempt"]) for back in together), strict=True
            )
            ours = {row["id"] for row in await conn.fetch(_FINISH, self.owner, ids, attempts)}
            now = self._clock.now()
            changed: dict[str, Any] = {}
            for back in together:
                row = back.row
                if row["id"] not in ours:
                    # another has it, or it was written and the answer to our COMMIT was lost
                    log.warning("call not ours any more", kind=row["kind"], key=row["key"])
                    continue
                state = changed[row["subject"]] = states[row["subject"]]
                cause = Cause.from_json(row["cause"])
                wanted += [
                    Wanted(effect, row["subject"], cause)
                    for effect in back.worker.on_result(back.result, state, now)
                ]
            if changed:
                await self._store.save(conn, list(changed.values()))
                await self._outbox.write(conn, wanted, now)
        # of a transaction whose COMMIT was not answered it is not known any more what it wrote
        kinds = {one.effect.kind for one in wanted if isinstance(one.effect, Call)}
        self._outbox.wake(kinds if len(ours) == len(together) else None)
