"""A small office on the messaging kernel, to be broken: four services, a lifecycle with a race in
it, a partner, and an outside world that is asked and told.

    python -m tests.faults.office STACK TAG STAGE INSTANCE PORT OUTSIDE BUILD [BROKEN]

intake takes applications (HTTP commands and a partner's events) and orders the card; review asks
outside and decides, or grants a withdrawal that was quicker; notify tells the customer; reporting
counts. Every service writes down what it applied, in order, and forbids itself nothing, so that a
lost, doubled or reordered event shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import uvicorn
import uvloop
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy import local
from shared.identifiers import new_id
from shared.messaging import (
    Call,
    ClaimedCall,
    Consumer,
    Effect,
    Fact,
    Inbound,
    InboundEvent,
    InboundProblem,
    Received,
    Result,
    Succeeded,
    Worker,
)
from shared.messaging.effects import Connection
from shared.messaging.errors import Permanent, Rejected, Transient
from shared.observability import configure_logging
from tests.faults.lifecycle import advance
from tests.faults.proxy import ROUTES, redirect
from tests.integration.messaging.ledger import World

MIGRATIONS = Path(__file__).parent / "migrations"
STAGES = ("intake", "review", "notify", "reporting")
RUNNING = "the stage runs"
CALL_SECONDS = 3.0
LATE_SECONDS = 0.5  # how long an event fails from its first try
_PATIENCE_SECONDS = 12.0  # for a process to end


class Said(BaseModel):
    """What all events of the small office carry."""

    type: ClassVar[str]
    topic: ClassVar[str]

    application_id: str
    command_id: str | None = None
    mood: str = "fine"  # how whoever reads it shall behave; see `_behave`


class Submitted(Said):
    type = "banka.small.submitted.v1"
    topic = "applications"


class SubmittedNext(Submitted):
    """What the next build says instead; it reads both."""

    type = "banka.small.submitted.v2"


class WithdrawalRequested(Said):
    type = "banka.small.withdrawal-requested.v1"
    topic = "applications"


class Approved(Said):
    type = "banka.small.approved.v1"
    topic = "applications"


class Declined(Said):
    type = "banka.small.declined.v1"
    topic = "applications"


class Withdrawn(Said):
    type = "banka.small.withdrawn.v1"
    topic = "applications"


class WithdrawalRefused(Said):
    type = "banka.small.withdrawal-refused.v1"
    topic = "applications"


class CardOrdered(Said):
    type = "banka.small.card-ordered.v1"
    topic = "applications"


class MessageRequested(Said):
    type = "banka.small.message-requested.v1"
    topic = "contacts"

    message_id: str


class MessageSent(Said):
    type = "banka.small.message-sent.v1"
    topic = "contacts"

    message_id: str


class MessageGivenUp(Said):
    """It may or may not have gone out: nobody outside answered."""

    type = "banka.small.message-given-up.v1"
    topic = "contacts"

    message_id: str


class Answered(Said):
    """The answer to a partner's event."""

    type = "banka.small.answered.v1"
    topic = "outbound"

    accepted: bool


LIFECYCLE: tuple[type[Said], ...] = (
    Submitted, WithdrawalRequested, Approved, Declined, Withdrawn, WithdrawalRefused, CardOrdered,
)  # fmt: skip
MESSAGES: tuple[type[Said], ...] = (MessageRequested, MessageSent, MessageGivenUp)
READINGS: dict[str, tuple[str, ...]] = {
    "intake": ("applications", "inbound"),
    "review": ("applications",),
    "notify": ("applications",),
    "reporting": ("applications", "contacts"),
}
"""{stage: the topics that it reads}"""


@dataclass(frozen=True, slots=True)
class Names:
    """What one run's topics and groups are called."""

    tag: str

    def topic(self, name: str) -> str:
        return f"banka.{name}.{self.tag}"

    def group(self, stage: str, name: str) -> str:
        return f"{stage}.{self.tag}.{name}"

    def dead_letters(self) -> list[str]:
        """The topics of all groups' dead letters."""
        return [
            f"{self.group(stage, name)}.dead-letters"
            for stage, names in READINGS.items()
            for name in names
        ]

    @property
    def partner(self) -> str:
        return self.tag


@dataclass(slots=True)
class Kept:
    """An application as one service knows it, and what was applied to it just now."""

    application_id: str
    state: str = ""
    version: int = 0
    was: str = ""
    applied: list[tuple[Any, ...]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)  # what became of some, in words
    done: Sequence[str] = ()  # commands that were carried out before


class Store:
    """Loads with locks, saves in bulk; `counts`: keeps the tally of states and messages as well."""

    def __init__(self, *, counts: bool = False) -> None:
        self._counts = counts

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Kept]:
        # a row that is not there cannot be locked, and two topics tell of one application
        await conn.execute(
            "INSERT INTO application SELECT id, '', 0 FROM unnest($1::text[]) AS id ORDER BY id"
            " ON CONFLICT DO NOTHING",
            list(subjects),
        )
        rows = await conn.fetch(
            "SELECT application_id, state, version, (SELECT coalesce(array_agg(command_id), '{}')"
            " FROM command WHERE application_id = a.application_id) AS done FROM application a"
            " WHERE application_id = ANY ($1::text[]) ORDER BY application_id FOR UPDATE",
            list(subjects),
        )
        return {
            r["application_id"]: Kept(
                r["application_id"], r["state"], r["version"], r["state"], done=r["done"]
            )
            for r in rows
        }

    async def save(self, conn: Connection, states: Sequence[Kept]) -> None:
        ordered = sorted(states, key=lambda kept: kept.application_id)
        await conn.execute(
            "INSERT INTO application SELECT * FROM unnest($1::text[], $2::text[], $3::int[])"
            " ON CONFLICT (application_id) DO UPDATE"
            " SET state = excluded.state, version = excluded.version",
            [kept.application_id for kept in ordered],
            [kept.state for kept in ordered],
            [kept.version for kept in ordered],
        )
        journal = [(*line, nth) for kept in ordered for nth, line in enumerate(kept.applied)]
        if journal:
            columns = [list(column) for column in zip(*journal, strict=True)]
            await conn.execute(
                "INSERT INTO applied (topic, subject, source, sequence, event_id, version)"
                " SELECT a, b, c, d, e, f FROM unnest($1::text[], $2::text[], $3::text[],"
                " $4::bigint[], $5::text[], $6::int[], $7::int[]) AS u (a, b, c, d, e, f, g)"
                " ORDER BY b, g",
                *columns,
            )
        done = [(one, kept.application_id) for kept in ordered for one in kept.commands]
        if done:
            await conn.execute(
                "INSERT INTO command SELECT * FROM unnest($1::text[], $2::text[])",
                [one for one, _ in done],
                [about for _, about in done],
            )
        if self._counts:
            await self._count(conn, ordered)

    async def _count(self, conn: Connection, states: Sequence[Kept]) -> None:
        change: Counter[str] = Counter()
        for kept in states:
            change[kept.state] += 1
            change[kept.was] -= 1
            change.update(kept.messages)
        change.pop("", None)
        names = sorted(name for name, n in change.items() if n)
        await conn.execute(
            "INSERT INTO tally AS t SELECT * FROM unnest($1::text[], $2::int[])"
            " ON CONFLICT (state) DO UPDATE SET n = t.n + excluded.n",
            names,
            [change[name] for name in names],
        )


def shift_file(stack: local.Stack, names: Names) -> Path:
    """Where it stands, in seconds, how far an office's clock is off."""
    return stack.folder / f"clock-{names.tag}"


class ShiftedClock:
    """The machine's clock, and as far off as a file says."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        off = int(self._path.read_text()) if self._path.exists() else 0
        return datetime.now(UTC) + timedelta(seconds=off)


class Stage:
    """What the services of the office have in common."""

    def __init__(
        self, world: World, names: Names, stage: str, database: str, outside: str, build: int = 1
    ) -> None:
        self.names = names
        self.submitted = SubmittedNext if build > 1 else Submitted
        self.stage = stage
        self.store = Store(counts=stage == "reporting")
        self.outside = httpx.AsyncClient(base_url=outside, trust_env=False, timeout=CALL_SECONDS)
        self.mended = Path(world.stack.folder) / f"mended-{names.tag}"
        self.service = world.service(
            database,
            stage,
            clock=ShiftedClock(shift_file(world.stack, names)),
            migrations=MIGRATIONS,
            consumers=self._consumers(),
            inbound=[self._partner()] if stage == "intake" else [],
            workers=self._workers(),
        )

    def _consumers(self) -> list[Consumer]:
        topics: dict[str, Sequence[type[Said]]] = {
            "applications": list(dict.fromkeys((*LIFECYCLE, self.submitted)))
        }
        if self.stage == "reporting":
            topics["contacts"] = MESSAGES
        return [
            Consumer(
                name=self.names.group(self.stage, name),
                topic=self.names.topic(name),
                store=self.store,
                handlers=dict.fromkeys(payloads, self.on_event),
                max_records=200,
                attempts=4,
            )
            for name, payloads in topics.items()
        ]

    def _workers(self) -> list[Worker]:
        if self.stage == "review":
            return [self._worker("score", self.on_scored)]
        if self.stage == "notify":
            return [self._worker("send", self.on_sent)]
        return []

    def _worker(self, kind: str, on_result: Any) -> Worker:
        return Worker(
            kind=kind,
            store=self.store,
            call=self._call,
            on_result=on_result,
            timeout=CALL_SECONDS,
            attempts=8,
            concurrency=32,
            backoff=0.2,
        )

    async def _call(self, call: ClaimedCall) -> Result:
        answer = await self.outside.post(
            f"/{call.kind}", json=call.payload, headers={"Idempotency-Key": call.key}
        )
        answer.raise_for_status()
        return Succeeded(answer.json())

    def fact(self, kind: type[Said], kept: Kept, moves: int = 0, **more: Any) -> Fact:
        """The service's own fact about an application."""
        return Fact(
            kind(application_id=kept.application_id, **more),
            topic=self.names.topic(kind.topic),
            state_version=kept.version if kind.topic == "applications" else None,
        )

    def move(self, kind: type[Said], kept: Kept, **more: Any) -> Fact:
        """A transition that this service has the authority for."""
        kept.state = advance(kept.state, _word(kind))
        kept.version += 1
        return self.fact(kind, kept, **more)

    def on_event(self, event: Received[Any], kept: Kept, now: datetime) -> Iterable[Effect]:
        """Take the event over, then do what this service does about it."""
        self._behave(event.data.mood, event)
        own = event.source == f"/banka/{self.stage}"
        kept.applied.append(
            (event.topic, event.subject, event.source, event.sequence, event.id,
             event.state_version)
        )  # fmt: skip
        word = _word(type(event.data))
        if not own and event.state_version is not None and event.state_version > kept.version:
            kept.state, kept.version = advance(kept.state, word), event.state_version
        if isinstance(event.data, MESSAGES):
            kept.messages.append(word)
        return list(getattr(self, f"_{self.stage}_on_{word.replace('-', '_')}", _nothing)(
            event, kept
        ))  # fmt: skip

    def _behave(self, mood: str, event: Received[Any]) -> None:
        """Fail as the event asks for, where this stage is meant: `<stage>:<how>`."""
        stage, _, how = mood.partition(":")
        if stage != self.stage:
            return
        if how == "poison" and not self.mended.exists():
            raise Permanent("cannot be applied")
        if how == "deadly":
            sys.stdout.flush()
            signal.raise_signal(signal.SIGKILL)
        third = int(hashlib.sha256(event.id.encode()).hexdigest(), 16) % 3 == 0
        if how == "late" or (how == "flaky" and third):
            first = self.mended.with_name(f"{self.mended.name}-{event.id}")
            if not first.exists():
                first.touch()
            # one poll tries it up to three times at once: it has to fail all of them
            if time.time() - first.stat().st_mtime < LATE_SECONDS:
                raise Transient("not now")

    # --- intake ----------------------------------------------------------------------------------

    def _intake_on_approved(self, _event: Received[Any], kept: Kept) -> Iterable[Effect]:
        yield self.move(CardOrdered, kept)

    def _partner(self) -> Inbound:
        return Inbound(
            name=self.names.group("intake", "inbound"),
            topic=self.names.topic("inbound"),
            partner=self.names.partner,
            handle=self._handed_in,
            reject=self._refuse,
            lock=self._lock,
        )

    async def _lock(self, conn: Connection, keys: Sequence[str]) -> None:
        await self.store.load(conn, keys)

    async def _handed_in(
        self, conn: Connection, event: InboundEvent, now: datetime
    ) -> Iterable[Effect]:
        kept = (await self.store.load(conn, [event.key]))[event.key]
        if kept.state:
            raise Rejected(("application_id", "KNOWN"))
        effects = [self.move(self.submitted, kept, command_id=event.id, mood=event.data["mood"])]
        await self.store.save(conn, [kept])
        return [*effects, self.fact(Answered, kept, command_id=event.id, accepted=True)]

    def _refuse(self, problem: InboundProblem, now: datetime) -> Iterable[Effect]:
        yield Fact(
            Answered(application_id=problem.key or "", command_id=problem.event_id, accepted=False),
            topic=self.names.topic("outbound"),
        )

    async def submit(self, application_id: str, command_id: str, mood: str) -> int:
        """A command over HTTP; returns its status."""
        return await self._command(
            application_id,
            command_id,
            lambda kept: (
                [self.move(self.submitted, kept, command_id=command_id, mood=mood)]
                if not kept.state
                else None
            ),
        )

    async def withdraw(self, application_id: str, command_id: str) -> int:
        """A wish, over HTTP, that whoever has the authority grants or refuses; returns 201 or 409.
        What cannot be withdrawn any more is refused here."""
        return await self._command(
            application_id,
            command_id,
            lambda kept: (
                [self.fact(WithdrawalRequested, kept, command_id=command_id)]
                if kept.state == "submitted"
                else None
            ),
        )

    async def _command(self, application_id: str, command_id: str, decide: Any) -> int:
        class Refused(Exception):
            pass

        def once(kept: Kept, now: datetime) -> list[Effect]:
            if command_id in kept.done:
                return []
            effects = decide(kept)
            if effects is None:
                raise Refused
            kept.commands.append(command_id)
            return list(effects)

        try:
            await self.service.execute(self.store, application_id, once)
        except Refused:
            return 409
        return 201

    # --- review ----------------------------------------------------------------------------------

    def _review_on_submitted(self, event: Received[Any], kept: Kept) -> Iterable[Effect]:
        yield Call("score", kept.application_id, {"application_id": kept.application_id})

    def _review_on_withdrawal_requested(self, event: Received[Any], kept: Kept) -> Iterable[Effect]:
        if kept.state == "submitted":
            yield self.move(Withdrawn, kept)
        else:
            yield self.fact(WithdrawalRefused, kept)

    def on_scored(self, result: Result, kept: Kept, now: datetime) -> Iterable[Effect]:
        """Decide, unless the customer was quicker."""
        if kept.state != "submitted":
            return
        good = isinstance(result, Succeeded) and result.value["good"]
        yield self.move(Approved if good else Declined, kept)

    # --- notify ----------------------------------------------------------------------------------

    def _tell(self, event: Received[Any], kept: Kept) -> Iterable[Effect]:
        message_id = new_id()
        about = {"application_id": kept.application_id, "message_id": message_id}
        about["cause"] = event.id
        yield self.fact(MessageRequested, kept, message_id=message_id)
        yield Call("send", message_id, about)

    _notify_on_submitted = _notify_on_approved = _notify_on_declined = _tell
    _notify_on_withdrawn = _tell

    def on_sent(self, result: Result, kept: Kept, now: datetime) -> Iterable[Effect]:
        """The message is out, or nobody knows."""
        assert result.call is not None
        kind = MessageSent if isinstance(result, Succeeded) else MessageGivenUp
        yield self.fact(kind, kept, message_id=result.call.payload["message_id"])


def _nothing(event: Received[Any], kept: Kept) -> Iterable[Effect]:
    return ()


def _word(kind: type[Said]) -> str:
    return kind.type.split(".")[2]


def http(stage: Stage) -> Starlette:
    """intake's commands; a client's time-out is shorter than what a broken office takes."""

    async def applications(request: Request) -> JSONResponse:
        asked = await request.json()
        status = await stage.submit(
            asked["application_id"], asked["command_id"], asked.get("mood", "fine")
        )
        return JSONResponse({}, status)

    async def withdrawals(request: Request) -> JSONResponse:
        asked = await request.json()
        return JSONResponse({}, await stage.withdraw(asked["application_id"], asked["command_id"]))

    return Starlette(
        routes=[
            Route("/applications", applications, methods=["POST"]),
            Route("/withdrawals", withdrawals, methods=["POST"]),
        ]
    )


async def run(
    stack: str,
    tag: str,
    stage: str,
    instance: str,
    port: str,
    outside: str,
    build: str,
    broken: str = "",
) -> None:
    """Serve one stage until told to stop."""
    from tests.faults.broken import BROKEN

    configure_logging(stage, stream=sys.stdout)
    if broken:
        BROKEN[broken].break_it()
    if routes := os.environ.get(ROUTES):
        redirect(asyncio.get_running_loop(), routes)
    world = World(local.attach(stack), tag=tag, instance=instance)
    database = f"banka_{tag}_{STAGES.index(stage)}"
    one = Stage(world, Names(tag), stage, database, outside, int(build))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, _say_what_is_open)
    starting = asyncio.create_task(one.service.start())
    web: asyncio.Task[None] | None = None
    if int(port):
        config = uvicorn.Config(http(one), port=int(port), log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        web = asyncio.create_task(server._serve())  # the signals are the stage's
    await starting
    sys.stdout.write(f"{RUNNING}\n")
    sys.stdout.flush()
    await stop.wait()
    begun = time.monotonic()
    loop.call_later(_PATIENCE_SECONDS, _say_what_is_open)
    if web is not None:
        server.should_exit = True
        await web
    await one.service.stop()
    sys.stdout.write(f"stopped in {time.monotonic() - begun:.2f} s\n")
    sys.stdout.flush()


def _say_what_is_open() -> None:
    """Where every task stands, for whoever wonders why a process does not end."""
    for task in asyncio.all_tasks():
        sys.stdout.write(f"{task.get_name()} is open\n")
        step: Any = task.get_coro()
        while frame := getattr(step, "cr_frame", None):
            sys.stdout.write(f"    {frame.f_code.co_qualname} {frame.f_lineno}\n")
            step = step.cr_await
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
