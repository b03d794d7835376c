"""Load on the small office, and the world outside it: what was asked, answered and counted goes
into the history."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.local import HOST, free_port
from shared.events.envelope import Envelope, EnvelopeError, decode, encode
from shared.identifiers import new_id
from shared.messaging.broker import connection
from shared.settings import Settings
from tests.faults.history import Command, History, Outcome
from tests.faults.office import Names

ANSWER_SECONDS = 2.0  # a client waits no longer, and does not know then
PATIENCE_SECONDS = 150.0  # how long somebody goes on asking: longer than anything is away
MOST_OPEN = 100  # applications on their way: a slow machine gets no more
_WITHDRAWS = 0.2  # of the customers, somewhere between handing in and the decision
_BY_PARTNER = 0.4
_SEND_SECONDS = 15.0


class World:
    """Whoever the office asks and tells: answers `score`, takes `send` once per key.

    failing: share of requests that are answered with 503, or taken and not answered.
    answering: not set while what was sent is taken and nobody hears of it.
    """

    def __init__(self, history: History) -> None:
        self._seen = history.outside
        self.failing = 0.0
        self.answering = asyncio.Event()
        self.answering.set()
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer on a port of its own while the block runs."""
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        routes = [
            Route("/score", self._score, methods=["POST"]),
            Route("/send", self._send, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), port=port, log_level="critical", lifespan="off"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())  # our signals are not its own
        try:
            yield
        finally:
            self.answering.set()  # a fault that broke off may have left requests waiting
            server.should_exit = True
            await task

    def _trouble(self) -> JSONResponse | None:
        if random.random() < self.failing:
            return JSONResponse({}, 503)
        return None

    async def _score(self, request: Request) -> JSONResponse:
        key = request.headers["Idempotency-Key"]
        good = hashlib.sha256(key.encode()).digest()[0] % 3 > 0
        return self._trouble() or JSONResponse({"good": good})

    async def _send(self, request: Request) -> JSONResponse:
        key, about = request.headers["Idempotency-Key"], await request.json()
        self._seen.arrivals[key] += 1
        if trouble := self._trouble():
            return trouble
        if key not in self._seen.about:
            self._seen.about[key] = (about["application_id"], about["cause"])
            self._seen.effects[about["message_id"]] += 1
        await self.answering.wait()
        # taken, but the answer is lost on its way
        return self._trouble() or JSONResponse({"taken": True})


@dataclass
class Driver:
    """Customers and a partner. `address`: intake's, a getter because it may move."""

    settings: Settings
    names: Names
    history: History
    addresses: Callable[[], list[str]]
    chance: random.Random = field(default_factory=lambda: random.Random(20261126))
    moods: deque[str] = field(default_factory=deque)
    ended: int = 0  # applications that have come to their end, as far as is known
    pausing: bool = False  # no new customers come by themselves
    _serial: int = 0
    _open: set[asyncio.Task[str]] = field(default_factory=set)
    _answers: dict[str, asyncio.Future[bool]] = field(default_factory=dict)
    _producer: AIOKafkaProducer | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Clients that outlive every fault while the block runs."""
        self._http = httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS)
        self._listening = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            if self._producer is not None:
                await _quietly(self._producer.stop())
            await self._http.aclose()

    def next_id(self) -> str:
        self._serial += 1
        return f"{self.names.tag}-{self._serial}"

    async def load(self, per_second: float, stop: asyncio.Event) -> None:
        """So many customers a second, as long as the office keeps up with them, until told to stop;
        then wait for those on their way."""
        while not stop.is_set():
            await asyncio.sleep(1 / per_second)
            if self.pausing or self._serial - self.ended > MOST_OPEN:
                continue
            task = asyncio.create_task(self.customer(self.moods.popleft() if self.moods else None))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        if self._open:
            await asyncio.wait(self._open)

    async def customer(self, mood: str | None = None) -> str:
        """Hand in one application, and perhaps withdraw it. Tries again, under the same id, until
        it knows what became of it."""
        application = self.next_id()
        if mood is None and self.chance.random() < _BY_PARTNER:
            await self.partner(application)
            return application
        handed_in = self.command(application, "http", "submit")
        await self.until_known(handed_in, mood or "fine")
        if handed_in.outcome is Outcome.ACKNOWLEDGED and self.chance.random() < _WITHDRAWS:
            await asyncio.sleep(self.chance.uniform(0.0, 0.4))
            await self.until_known(self.command(application, "http", "withdraw"))
        return application

    def command(self, application: str, way: str, kind: str) -> Command:
        """A command that is about to be sent."""
        command = Command(new_id(), application, way, kind)
        self.history.commands[command.command_id] = command
        return command

    async def until_known(
        self, command: Command, mood: str = "fine", seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Send the command, again and again, until the answer is one."""
        end = time.monotonic() + seconds
        while command.outcome is Outcome.UNKNOWN and time.monotonic() < end:
            await self.send(command, mood)
            if command.outcome is Outcome.UNKNOWN:
                await asyncio.sleep(0.3)

    async def send(self, command: Command, mood: str = "fine") -> None:
        """Send the command once and note the answer."""
        path = {"submit": "/applications", "withdraw": "/withdrawals"}[command.kind]
        body = {
            "application_id": command.application_id,
            "command_id": command.command_id,
            "mood": mood,
        }
        addresses = self.addresses()
        if not addresses:
            command.ended(Outcome.UNKNOWN)
            return
        try:
            answer = await self._http.post(self.chance.choice(addresses) + path, json=body)
        except httpx.TransportError:
            command.ended(Outcome.UNKNOWN)
            return
        known = {201: Outcome.ACKNOWLEDGED, 409: Outcome.REFUSED}
        command.ended(known.get(answer.status_code, Outcome.UNKNOWN))

    async def partner(self, application: str) -> None:
        """The partner publishes an application, some of them twice, as after a lost
        acknowledgement."""
        command = self.command(application, "partner", "submit")
        answer = self._answers[command.command_id] = asyncio.get_running_loop().create_future()
        for _ in range(2 if self.chance.random() < 0.2 else 1):
            await self.publish(command)
        with contextlib.suppress(TimeoutError):
            taken = await asyncio.wait_for(answer, PATIENCE_SECONDS)
            command.ended(Outcome.ACKNOWLEDGED if taken else Outcome.REFUSED)

    async def publish(self, command: Command) -> None:
        """The partner's event, sent until the broker has it."""
        now = datetime.now(UTC)
        envelope = Envelope(
            id=command.command_id,
            type="banka.small.handed-in.v1",
            source=f"/partners/{self.names.partner}",
            subject=command.application_id,
            time=now,
        )
        while True:
            producer: AIOKafkaProducer | None = None
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    producer = await self._connected()
                    await producer.send_and_wait(
                        self.names.topic("inbound"),
                        b'{"mood": "fine"}',
                        key=command.application_id.encode(),
                        headers=encode(envelope),
                    )
                return
            except Exception:  # noqa: BLE001 - the broker is away: the partner tries again
                if producer is not None and producer is self._producer:
                    await self.forget_broker()
                await asyncio.sleep(0.3)

    async def forget_broker(self) -> None:
        """Connect anew before the next event: a producer may try for ever on a broker that does not
        know it any more."""
        lost, self._producer = self._producer, None
        if lost is not None:
            await _quietly(lost.stop())

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                patience = {"request_timeout_ms": 5000}
                producer = AIOKafkaProducer(
                    **connection(self.settings) | patience, enable_idempotence=True
                )
                try:
                    await producer.start()
                except BaseException:
                    await _quietly(producer.stop())
                    raise
                self._producer = producer
            return self._producer

    async def _listen(self) -> None:
        """The partner reads its answers, through every fault."""
        while True:
            consumer = AIOKafkaConsumer(
                self.names.topic("outbound"),
                **connection(self.settings),
                auto_offset_reset="earliest",
                metadata_max_age_ms=5000,  # its topic may be away, and come back
            )
            try:
                await consumer.start()
                async for record in consumer:
                    try:
                        envelope, body = decode(record.headers, record.value)
                    except EnvelopeError:
                        continue
                    answer = self._answers.get(envelope.causation_id or "")
                    if answer is not None and not answer.done():
                        answer.set_result(b'"accepted":true' in body)
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001 - as above
                await asyncio.sleep(0.3)
            finally:
                await _quietly(consumer.stop())


async def _quietly(stopping: Awaitable[Any]) -> None:
    try:
        await asyncio.wait_for(stopping, 5)
    except Exception:  # noqa: BLE001 - it is gone either way
        return
