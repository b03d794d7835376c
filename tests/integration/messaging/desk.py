"""A partner's gate that writes down what it is told, for the tests of the kernel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from pydantic import BaseModel

from shared.events.envelope import STRUCTURED_TYPE, Envelope, encode
from shared.messaging import Connection, Effect, Fact, Inbound, InboundEvent, InboundProblem
from shared.messaging.errors import Rejected
from shared.messaging.outbox import MAX_BODY
from tests.eventually import eventually
from tests.integration.messaging.ledger import LedgerStore, World

TYPE = "banka.partner-note.sent.v1"


class Wanted(BaseModel):
    model_config = {"extra": "forbid", "hide_input_in_errors": True}

    number: int


class Answered(BaseModel):
    type: ClassVar[str] = "banka.inbound.answered.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    accepted: bool
    codes: list[list[str]] = []
    event_id: str | None = None


class Desk:
    """The gate of one partner in the test's own topics."""

    def __init__(self, world: World, inbound: str, outbound: str) -> None:
        self.world, self.inbound, self.outbound = world, inbound, outbound
        self.now = datetime.now(UTC)
        self.broken = False
        self.complaint = ""
        self.store = LedgerStore()

    def declaration(self) -> Inbound:
        return Inbound(
            name=f"g.{self.world.tag}",
            topic=self.inbound,
            partner=self.partner,
            handle=self.handle,
            reject=self.reject,
            lock=self.lock,
        )

    def keep_trying(self) -> None:
        """However long the mending takes, what fails is not parked meanwhile."""
        (reader,) = self.world.services[0]._readers
        reader.attempts = 999

    @property
    def partner(self) -> str:
        return f"p{self.world.tag}"

    async def lock(self, conn: Connection, keys: Sequence[str]) -> None:
        await self.store.load(conn, keys)

    async def handle(
        self, conn: Connection, event: InboundEvent, now: datetime
    ) -> Iterable[Effect]:
        wanted = Wanted.model_validate(event.data)
        state = (await self.store.load(conn, [event.key]))[event.key]
        state.entries.append(wanted.number)
        await self.store.save(conn, [state])
        if wanted.number == 13:
            raise Rejected(("number", "UNLUCKY"))
        if self.complaint and wanted.number == 98:
            raise ValueError(self.complaint)
        if wanted.number == 99 and self.broken:
            raise RuntimeError("a bug of ours")
        answer = Answered(accepted=True, event_id=event.partner_event_id)
        if wanted.number == 97:
            answer.codes = [["no record can hold this", "x" * MAX_BODY]]
        return [Fact(answer, topic=self.outbound)]

    def reject(self, problem: InboundProblem, now: datetime) -> Iterable[Effect]:
        codes = [list(code) for code in problem.codes]
        answer = Answered(accepted=False, codes=codes, event_id=problem.event_id)
        return [Fact(answer, topic=self.outbound)]

    async def send(
        self, key: str, body: Any, event_id: str = "", source: str | None = None
    ) -> None:
        envelope = Envelope(
            event_id or f"id-{key}-{body}",
            TYPE,
            source or f"/partners/{self.partner}",
            key,
            datetime.now(UTC),
        )
        value = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.world.send_raw(self.inbound, key.encode(), value, encode(envelope))

    async def answers(self, key: str) -> list[Any]:
        return [
            json.loads(record.value)
            for record in await self.world.read(self.outbound)
            if record.key == key.encode()
        ]

    async def wait_for(self, key: str, accepted: list[bool]) -> list[Any]:
        async def there() -> Any:
            answers = await self.answers(key)
            return [a["accepted"] for a in answers] == accepted and answers

        answers: list[Any] = await eventually(there)
        return answers


class Name(str):
    """The name of a header as bytes that no client of repute would send."""

    __slots__ = ("raw",)
    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        name = super().__new__(cls, "x" * len(raw))
        name.raw = raw
        return name

    def encode(self, *_: Any) -> bytes:
        return self.raw


Raw = tuple[bytes, bytes, Sequence[tuple[str, bytes | None]]]


async def put(
    desk: Desk, *records: Raw, odd: bool = False, offsets: Sequence[int] | None = None
) -> None:
    """Records as one batch into partition 0.

    odd: with bits set that no version uses. offsets: what the records say of their places.
    """
    producer = await desk.world.producer()
    batch = producer.create_batch()
    builder = _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, 0, 1 << 20)
    batch._builder = builder
    for place, (key, value, headers) in enumerate(records):
        begin = len(builder._buffer)
        if offsets is not None:
            batch._relative_offset = offsets[place]
        batch.append(timestamp=None, key=key, value=value, headers=headers)
        if odd:
            assert len(builder._buffer) - begin < 64 * 128, "two bytes of length"
            builder._buffer[begin + 2] = 0xFF
    await (await producer.send_batch(batch, desk.inbound, partition=0))


def good(desk: Desk, key: str, number: int = 1, **attributes: Any) -> Raw:
    envelope = Envelope(
        **{
            "id": f"id-{key}-{number}",
            "type": TYPE,
            "source": f"/partners/{desk.partner}",
            "subject": key,
            "time": desk.now,
            **attributes,
        }
    )
    return key.encode(), json.dumps({"number": number}).encode(), encode(envelope)


def structured(desk: Desk, key: str, **attributes: Any) -> Raw:
    document = {
        "specversion": "1.0",
        "id": f"id-{key}",
        "type": TYPE,
        "source": f"/partners/{desk.partner}",
        "subject": key,
        "time": "2026-11-02T01:30:00Z",
        "data": {"number": 1},
        **attributes,
    }
    headers = [("content-type", STRUCTURED_TYPE.encode())]
    return key.encode(), json.dumps(document).encode(), headers
