"""Every partner event is answered once, the same one always in the same way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from shared.events.envelope import Envelope, encode
from shared.messaging import Connection, Effect, Fact, Inbound, InboundEvent, InboundProblem
from shared.messaging.errors import Rejected
from tests.integration.messaging.ledger import LedgerStore, World, until

pytestmark = pytest.mark.timeout(120)
TYPE = "banka.partner-note.sent.v1"


class Wanted(BaseModel):
    model_config = {"hide_input_in_errors": True}

    number: int


class Answered(BaseModel):
    type: ClassVar[str] = "banka.inbound.answered.v1"
    topic: ClassVar[str] = "banka.outbound.<partner>"

    accepted: bool
    codes: list[list[str]] = []


class Desk:
    """The gate of one partner in the test's own topics."""

    def __init__(self, world: World, inbound: str, outbound: str) -> None:
        self.world, self.inbound, self.outbound = world, inbound, outbound
        self.broken = False
        self.store = LedgerStore()

    def declaration(self) -> Inbound:
        return Inbound(
            name=f"g.{self.world.tag}",
            topic=self.inbound,
            partner=self.partner,
            handle=self.handle,
            reject=self.reject,
        )

    @property
    def partner(self) -> str:
        return f"p{self.world.tag}"

    async def handle(
        self, conn: Connection, event: InboundEvent, now: datetime
    ) -> Iterable[Effect]:
        wanted = Wanted.model_validate(event.data)
        state = (await self.store.load(conn, [event.key]))[event.key]
        state.entries.append(wanted.number)
        await self.store.save(conn, [state])
        if wanted.number == 13:
            raise Rejected(("number", "UNLUCKY"))
        if wanted.number == 99 and self.broken:
            raise RuntimeError("a bug of ours")
        return [Fact(Answered(accepted=True), topic=self.outbound)]

    def reject(self, problem: InboundProblem, now: datetime) -> Iterable[Effect]:
        codes = [list(code) for code in problem.codes]
        return [Fact(Answered(accepted=False, codes=codes), topic=self.outbound)]

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

        answers: list[Any] = await until(there)
        return answers


@pytest.fixture
async def desk(world: World) -> Desk:
    partner = f"p{world.tag}"
    desk = Desk(
        world,
        world.topic("", full=f"banka.inbound.{partner}"),
        world.topic("", full=f"banka.outbound.{partner}"),
    )
    database = await world.database()
    await world.service(database, inbound=[desk.declaration()]).start()
    return desk


async def test_an_event_is_handled_and_answered(desk: Desk) -> None:
    await desk.send("A", {"number": 1})
    await desk.wait_for("A", [True])
    assert await desk.world.entries(desk.world.databases[0]) == {"A": [1]}


async def test_the_same_event_again_gets_the_same_answer_and_no_second_effect(desk: Desk) -> None:
    for count in range(1, 4):
        await desk.send("A", {"number": 1}, "one")
        await desk.wait_for("A", [True] * count)
    ids = {dict(r.headers)["ce_id"] for r in await desk.world.read(desk.outbound)}
    assert len(ids) == 1, "the same answer has the same id"
    assert await desk.world.entries(desk.world.databases[0]) == {"A": [1]}


async def test_a_known_id_with_another_body_is_rejected(desk: Desk) -> None:
    await desk.send("A", {"number": 1}, "one")
    await desk.send("A", {"number": 2}, "one")
    answers = await desk.wait_for("A", [True, False])
    assert answers[1]["codes"] == [["id", "SAME_ID_OTHER_BODY"]]
    assert await desk.world.entries(desk.world.databases[0]) == {"A": [1]}


async def test_a_refusal_undoes_what_the_handler_wrote_and_names_codes_only(desk: Desk) -> None:
    await desk.send("A", {"number": 13})
    await desk.send("B", {"number": "thirteen"})
    await desk.send("C", {"number": 1})
    assert (await desk.wait_for("A", [False]))[0]["codes"] == [["number", "UNLUCKY"]]
    assert (await desk.wait_for("B", [False]))[0]["codes"] == [["number", "int_parsing"]]
    await desk.wait_for("C", [True])
    assert await desk.world.entries(desk.world.databases[0]) == {"C": [1]}


async def test_a_refusal_again_gets_the_same_refusal(desk: Desk) -> None:
    for count in range(1, 3):
        await desk.send("A", {"number": 13}, "bad")
        await desk.wait_for("A", [False] * count)
    ids = {dict(r.headers)["ce_id"] for r in await desk.world.read(desk.outbound)}
    assert len(ids) == 1


async def test_unreadable_events_are_answered_and_stop_nobody(desk: Desk) -> None:
    await desk.send("A", b"{broken")
    await desk.world.send_raw(desk.inbound, b"B", b"{}", [("ce_id", b"\xff")])
    await desk.world.send_raw(desk.inbound, b"C", None, [])
    await desk.send("D", {"number": 1}, source="/partners/somebody-else")
    await desk.send("E", {"number": 1})
    assert (await desk.wait_for("A", [False]))[0]["codes"] == [["body", "UNREADABLE"]]
    assert (await desk.wait_for("B", [False]))[0]["codes"] == [["envelope", "not-utf-8 at ce_id"]]
    await desk.wait_for("C", [False])
    assert (await desk.wait_for("D", [False]))[0]["codes"] == [["source", "WRONG_SOURCE"]]
    await desk.wait_for("E", [True])


async def test_structured_mode_is_read_as_well(desk: Desk) -> None:
    document = {
        "specversion": "1.0", "id": "s1", "type": TYPE, "source": f"/partners/{desk.partner}",
        "subject": "A", "time": "2026-11-02T01:30:00Z", "data": {"number": 5},
    }  # fmt: skip
    await desk.world.send_raw(
        desk.inbound,
        b"A",
        json.dumps(document).encode(),
        [("content-type", b"application/cloudevents+json")],
    )
    await desk.wait_for("A", [True])
    assert await desk.world.entries(desk.world.databases[0]) == {"A": [5]}


async def test_a_bug_of_ours_blocks_one_reference_until_it_is_mended(desk: Desk) -> None:
    desk.broken = True
    await desk.send("A", {"number": 99})
    await desk.send("A", {"number": 2})
    await desk.send("B", {"number": 1})
    await desk.wait_for("B", [True])
    assert await desk.answers("A") == []
    desk.broken = False  # the retry with backoff finds the mended build
    await desk.wait_for("A", [True, True])
    assert (await desk.world.entries(desk.world.databases[0]))["A"] == [99, 2]
