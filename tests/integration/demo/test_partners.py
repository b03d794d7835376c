"""Card factory, core banking and the app as processes and clients on a real broker."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from typer.testing import CliRunner, Result

from deploy import local, processes
from deploy.cli import app as cli
from deploy.demo.fates import TROUBLES, Message, Trouble, fate_of, messages
from deploy.demo.mobile_app import MobileApp, NoAnswerError
from deploy.demo.partners import PARTNERS
from deploy.demo.plan import MALFORMED
from deploy.demo.statements import statements
from deploy.partner_cli import sealed
from deploy.partner_link import settings_for
from deploy.processes import Office
from deploy.provision import provision
from deploy.runtime import CHECKOUT
from shared.clock import SteppedClock, parse_instant, step_clock
from shared.events.catalog import source
from shared.events.envelope import Envelope, EnvelopeError, decode, encode
from shared.events.intake import (
    CardOrderRequested,
    InboundAccepted,
    InboundRejected,
    Problem,
)
from shared.events.partners import PartnerApplicationSubmitted
from shared.events.payload import Payload
from shared.identifiers import make_application_number, new_id
from shared.messaging.broker import connection, fetch_cluster
from shared.money import Money
from shared.privacy.jwe import OfficeKeys
from tests.eventually import eventually
from tests.papers import picture
from tests.stack import running

MORNING = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai
SEED = 0  # what the process takes by default
NAME, MOBILE = "端木清扬", "13900005678"
LIMIT = Money(minor=1_000_000)


@dataclass(frozen=True, slots=True)
class Told:
    """A partner's record as intake reads it."""

    partner: str
    envelope: Envelope | None
    key: str
    body: bytes


@dataclass
class Intake:
    """Orders cards and answers partners as intake does, under its user and rights."""

    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    told: list[Told] = field(default_factory=list)
    answering: bool = True
    unanswered: list[Told] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: local.Stack) -> AsyncIterator[Intake]:
        settings = settings_for(stack, "intake")
        producer = AIOKafkaProducer(**connection(settings), acks="all")
        consumer = AIOKafkaConsumer(**connection(settings), enable_auto_commit=False)
        topics = (await fetch_cluster(settings)).topics
        parts = [
            TopicPartition(f"banka.inbound.{name}", part)
            for name in (*PARTNERS, "mobile-app")
            for part in range(topics[f"banka.inbound.{name}"].partitions)
        ]
        consumer.assign(parts)
        await producer.start()
        await consumer.start()
        await consumer.seek_to_end(*parts)
        intake = cls(producer, consumer)
        reading = asyncio.create_task(intake._read())
        try:
            yield intake
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await consumer.stop()
            await producer.stop()

    async def order(self, number: str, now: datetime) -> str:
        """Order a card with both partners; gives its id."""
        card_id = new_id()
        order = CardOrderRequested(
            card_id=card_id,
            application_id=new_id(),
            application_number=number,
            product="standard",
            limit=LIMIT,
        )
        for partner in PARTNERS:
            await self.say(partner, order, card_id, now)
        return card_id

    async def say(self, partner: str, payload: Payload, subject: str, now: datetime) -> None:
        envelope = Envelope(new_id(), payload.type, source("intake"), subject, now)
        await self.producer.send_and_wait(
            f"banka.outbound.{partner}",
            payload.model_dump_json().encode(),
            key=subject.encode(),
            headers=encode(envelope),
        )

    async def _read(self) -> None:
        record: ConsumerRecord[bytes, bytes]
        async for record in self.consumer:
            told = self._told(record)
            self.told.append(told)
            if self.answering:
                await self._answer(told)
            else:
                self.unanswered.append(told)

    @staticmethod
    def _told(record: ConsumerRecord[bytes, bytes]) -> Told:
        partner = record.topic.removeprefix("banka.inbound.")
        key = (record.key or b"").decode()
        try:
            envelope, body = decode(record.headers, record.value)
        except EnvelopeError:
            return Told(partner, None, key, record.value or b"")
        return Told(partner, envelope, key, body)

    async def answer_the_rest(self) -> None:
        self.answering = True
        while self.unanswered:
            await self._answer(self.unanswered.pop(0))

    async def _answer(self, told: Told) -> None:
        event_id = told.envelope.id if told.envelope else None
        known = self.bodies.setdefault(event_id or "", told.body)
        payload: Payload
        if event_id is None or known != told.body:
            code = "SAME_ID_OTHER_BODY" if event_id else "not-a-cloudevent"
            payload = InboundRejected(
                partner_event_id=event_id,
                partner_reference=told.key,
                code=code,
                problems=[Problem(pointer="", code=code, detail="mend it")],
            )
        else:
            payload = InboundAccepted(
                partner_event_id=event_id,
                partner_reference=told.key,
                application_id=new_id(),
                application_number="x",
                state="card_producing",
                applied=True,
            )
        await self.say(told.partner, payload, told.key, MORNING)

    def of(self, card_id: str) -> list[Told]:
        """What was told under a card's key, in the order of the topic, partner by partner."""
        return [told for partner in PARTNERS for told in self.told
                if told.partner == partner and told.key == card_id]  # fmt: skip

    def ids(self) -> set[str]:
        return {told.envelope.id for told in self.told if told.envelope}


@dataclass
class Bank:
    """The partners' process, its clock, and intake."""

    office: Office
    clock_file: Path
    intake: Intake
    client: httpx.AsyncClient
    now: datetime = MORNING

    def step(self, to: datetime) -> None:
        self.now = to
        step_clock(self.clock_file, to)

    async def quiet(self) -> dict[str, Any]:
        """Once there is nothing left to do at this moment."""

        async def look() -> dict[str, Any]:
            answer = await self.client.get(self.office.url("partners") + "/internal/quiet")
            found: dict[str, Any] = answer.json()
            done = answer.is_success and not found["outbox"] + found["unapplied"]
            return found if done else {}

        return await eventually(look)

    async def receipts(self) -> dict[str, Any]:
        answer = await self.client.get(self.office.url("partners") + "/receipts")
        return dict(answer.json())

    async def answered(self) -> dict[str, Any]:
        """The receipts, once every answer has come back."""

        async def look() -> dict[str, Any]:
            found = await self.receipts()
            return {} if any(one["unanswered"] for one in found.values()) else found

        return await eventually(look)

    async def heard(self, plan: list[Message]) -> None:
        """Once intake has read all of the plan; the broker has it a little earlier."""
        wanted = {(one.event_id, one.reference) for one in plan}

        async def look() -> bool:
            read = [
                (one.envelope.id, json.loads(one.body)["reference"])
                for one in self.intake.told
                if one.envelope
            ]
            return wanted <= set(read) and sum(one in wanted for one in read) >= len(plan)

        await eventually(look)

    async def live_until(self, end: datetime) -> list[datetime]:
        """Step from due moment to due moment as the demo does; gives the moments."""
        moments = []
        while (due := (await self.quiet())["next_due"]) and parse_instant(due) <= end:
            self.step(parse_instant(due))
            moments.append(self.now)
        self.step(end)
        await self.quiet()
        return moments


@pytest.fixture(scope="module")
def partners_stack() -> Iterator[local.Stack]:
    with running("partners-test", durable=False) as stack:
        yield stack


@pytest.fixture
async def intake(partners_stack: local.Stack) -> AsyncIterator[Intake]:
    await provision(partners_stack)
    async with Intake.open(partners_stack) as intake:
        yield intake


@pytest.fixture
async def bank(partners_stack: local.Stack, intake: Intake, tmp_path: Path) -> AsyncIterator[Bank]:
    clock_file = tmp_path / "clock"
    step_clock(clock_file, MORNING)
    async with (
        processes.running(
            partners_stack,
            names=["partners"],
            extra_env={"BANKA_CLOCK_FILE": str(clock_file), "BANKA_ENVIRONMENT": "test"},
            migrate=False,
        ) as office,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        yield Bank(office, clock_file, intake, client)


def number_with(trouble: Trouble | None) -> str:
    """An application whose card is activated in the end and meets this trouble."""
    first = random.randint(1, 80_000)
    for running_number in range(first, first + 19_000):
        number = make_application_number("1101", MORNING.date(), running_number)
        fate = fate_of(SEED, number, MORNING, TROUBLES)
        if fate.trouble is trouble and fate.activated:
            return number
    raise AssertionError("no such number")


def planned(number: str, card_id: str) -> list[Message]:
    fate = fate_of(SEED, number, MORNING)
    stated = statements(SEED, number, MORNING, fate, card_id, LIMIT)
    told = sorted((*messages(fate, card_id), *stated), key=lambda one: one.due)
    return [one for partner in PARTNERS for one in told if one.partner == partner]


def as_planned(told: list[Told]) -> list[tuple[str, str, str, datetime]]:
    return [
        (one.envelope.id, one.envelope.type, json.loads(one.body)["reference"], one.envelope.time)
        for one in told
        if one.envelope
    ]


def as_told(plan: list[Message], card_id: str) -> list[tuple[str, str, str, datetime]]:
    return [
        (one.event_id, one.kind.type, one.reference, one.happened)
        for one in plan
        if one.key == card_id
    ]


async def test_partners_tell_each_cards_life_in_order_when_it_is_due(bank: Bank) -> None:
    numbers = {trouble: number_with(trouble) for trouble in (None, *Trouble)}
    cards = {number: await bank.intake.order(number, MORNING) for number in numbers.values()}
    moments = await bank.live_until(MORNING + timedelta(days=60))
    assert moments == sorted(moments)
    for number, card_id in cards.items():
        await bank.heard(planned(number, card_id))
    receipts = await bank.answered()
    for number, card_id in cards.items():
        plan = planned(number, card_id)
        assert as_planned(bank.intake.of(card_id)) == as_told(plan, card_id)
        assert {one.due for one in plan} <= set(moments)
    told = bank.intake.told
    assert all(one.envelope and one.envelope.source == f"/partners/{one.partner}" for one in told)
    stray = next(
        one for one in planned(numbers[Trouble.UNKNOWN_CARD], cards[numbers[Trouble.UNKNOWN_CARD]])
        if one.trouble
    )  # fmt: skip
    assert stray.event_id in bank.intake.ids()
    assert receipts["card-factory"]["orders"] >= len(cards)
    refused = sum(one["rejected"].get("SAME_ID_OTHER_BODY", 0) for one in receipts.values())
    assert refused >= 1


async def test_nothing_is_told_before_it_is_due(bank: Bank) -> None:
    number = number_with(None)
    card_id = await bank.intake.order(number, MORNING)
    first = planned(number, card_id)[0].due
    found = await bank.quiet()
    assert parse_instant(found["next_due"]) <= first
    bank.step(first - timedelta(seconds=1))
    await bank.quiet()
    assert bank.intake.of(card_id) == []
    bank.step(first)
    await bank.quiet()

    async def told() -> bool:
        return len(bank.intake.of(card_id)) == 1

    await eventually(told)


async def test_a_killed_partner_loses_nothing_and_tells_nothing_under_another_id(
    bank: Bank,
) -> None:
    intake = bank.intake
    numbers = [number_with(trouble) for trouble in (None, None, *Trouble)]
    cards = {number: await intake.order(number, MORNING) for number in dict.fromkeys(numbers)}
    await bank.live_until(MORNING + timedelta(days=4))
    await bank.answered()
    before = len(intake.told)
    intake.answering = False  # told, but the partners do not know that it was heard
    await bank.live_until(MORNING + timedelta(days=8))
    await bank.office.kill("partners")
    await intake.order(number := number_with(None), MORNING)  # while nobody listens
    bank.step(MORNING + timedelta(days=9))
    await intake.answer_the_rest()
    await bank.office.start("partners")
    await bank.live_until(MORNING + timedelta(days=60))
    await bank.answered()

    assert number
    for number, card_id in cards.items():
        plan = planned(number, card_id)
        await bank.heard(plan)
        told = as_planned(intake.of(card_id))
        expected = as_told(plan, card_id)
        assert sorted(set(told)) == sorted(set(expected))
        # what was answered before the crash is not told again
        counts = {one: told.count(one) for one in told}
        answered = {
            one.envelope.id for one in intake.told[:before] if one.envelope and one.key == card_id
        }
        again = {one.event_id for one in plan if one.turn}
        assert all(counts[one] == 1 for one in told if one[0] in answered - again)
    assert len(intake.told) > before


@pytest.fixture
async def app(
    partners_stack: local.Stack,
    intake: Intake,  # somebody has to answer
    tmp_path: Path,
) -> AsyncIterator[MobileApp]:
    clock_file = tmp_path / "app-clock"
    step_clock(clock_file, MORNING)
    keys = OfficeKeys.from_secret(partners_stack.secret("office-key.json"))
    async with MobileApp.open(
        settings_for(partners_stack, "mobile-app"), keys.public_jwks(), SteppedClock(clock_file)
    ) as app:
        yield app


def form() -> dict[str, Any]:
    return {
        "branch": "1101",
        "product": "standard",
        "applicant_type": "salaried",
        "channel": "mobile_app",
        "parties": [{"role": "applicant", "name": NAME, "mobile": MOBILE, "id_long_term": True}],
        "consent": {"signed_at": "2026-10-12T01:30:00Z", "purpose": "信用卡审批"},
    }


async def test_the_app_hands_in_nothing_in_clear_and_hears_the_answer(
    app: MobileApp, intake: Intake, partners_stack: local.Stack
) -> None:
    paper = picture("id_front") + bytes(200_000)  # as large as a scan
    event_id = await app.submit("APP-1", form(), [("id_front", paper, date(2026, 10, 8))])
    answer = await app.answer(event_id)
    assert (answer.accepted, answer.applied) == (True, True)
    (told,) = [one for one in intake.told if one.envelope and one.envelope.id == event_id]
    assert NAME.encode() not in told.body
    assert MOBILE.encode() not in told.body
    assert told.envelope is not None
    assert (told.key, told.envelope.subject, told.envelope.time) == ("APP-1", "APP-1", MORNING)
    payload = PartnerApplicationSubmitted.model_validate_json(told.body)
    keys = OfficeKeys.from_secret(partners_stack.secret("office-key.json"))
    personal = json.loads(keys.decrypt(payload.parties[0].personal))
    assert personal == {"name": NAME, "mobile": MOBILE, "id_long_term": True}
    assert keys.decrypt_bytes(payload.documents[0].content) == paper
    assert payload.documents[0].issued_on == date(2026, 10, 8)


async def test_answers_find_those_who_wait_for_them_side_by_side(app: MobileApp) -> None:
    ids = await asyncio.gather(*(app.withdraw(f"APP-{n}") for n in range(20)))
    answers = await asyncio.gather(*(app.answer(event_id) for event_id in ids))
    assert all(answer.accepted for answer in answers)
    await app.gather()
    with pytest.raises(NoAnswerError):
        await app.answer("never sent", seconds=0.1)


async def test_every_malformed_event_reaches_the_topic_and_is_wrong_in_its_own_way(
    app: MobileApp, intake: Intake
) -> None:
    first = await app.submit("APP-9", form())
    await app.answer(first)
    for number, kind in enumerate(MALFORMED):
        before = len(intake.told)
        event_id = await app.send_malformed(kind, f"BAD-{number}", form())

        async def arrived(count: int = before) -> bool:
            return len(intake.told) > count

        await eventually(arrived)
        told = intake.told[-1]
        assert (told.envelope is None) is (event_id == "")
        if kind == "same-id-other-content":
            assert event_id == first
            assert not (await app.answer(event_id, nth=2)).accepted
    await app.gather()
    assert any(answer.codes == ("not-a-cloudevent",) for answer in app.answers[""])
    with pytest.raises(ValueError, match="not among"):
        await app.send_malformed("polite", "BAD", form())


def test_a_file_for_the_terminal_leaves_with_nothing_personal_in_clear(
    partners_stack: local.Stack, tmp_path: Path
) -> None:
    keys = OfficeKeys.from_secret(partners_stack.secret("office-key.json"))
    (tmp_path / "id.png").write_bytes(b"picture")
    data = {
        "reference": "R-1",
        "parties": [{"role": "applicant", "personal": {"name": NAME}}],
        "documents": [{"item": "id_front", "content": {"file": "id.png"}}],
        "words": {"text": NAME},
    }
    done = sealed(data, keys.public_jwks(), tmp_path)
    text = json.dumps(done, ensure_ascii=False)
    assert NAME not in text
    assert base64.b64encode(b"picture").decode() not in text
    assert json.loads(keys.decrypt(done["parties"][0]["personal"])) == {"name": NAME}
    assert keys.decrypt_bytes(done["documents"][0]["content"]) == b"picture"
    assert keys.decrypt_bytes(done["words"]).decode() == NAME
    assert (done["reference"], done["documents"][0]["item"]) == ("R-1", "id_front")


async def test_from_the_terminal_the_example_is_sent_and_answered(
    partners_stack: local.Stack, intake: Intake, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    office = OfficeKeys.from_secret(partners_stack.secret("office-key.json"))
    keys.write_text(json.dumps(office.public_jwks()))
    example = CHECKOUT / "docs/partner/application.json"

    async def banka(*words: str) -> Result:
        def run() -> Result:
            return CliRunner().invoke(
                cli,
                ["partner", *words, "--name", partners_stack.name],
                env=partners_stack.environment(),
            )

        return await asyncio.to_thread(run)

    said = await banka("send", str(example), "--keys", str(keys), "--wait", "180")
    assert said.exit_code == 0, said.output
    answer = json.loads(said.stdout)
    assert answer["type"] == InboundAccepted.type
    event_id = answer["data"]["partner_event_id"]
    (told,) = [one for one in intake.told if one.envelope and one.envelope.id == event_id]
    payload = PartnerApplicationSubmitted.model_validate_json(told.body)
    sent = json.loads(example.read_text())["data"]["parties"][0]["personal"]
    assert json.loads(office.decrypt(payload.parties[0].personal)) == sent

    event = json.loads((example.parent / "withdrawal.json").read_text()) | {"id": event_id}
    (tmp_path / "again.json").write_text(json.dumps(event))
    said = await banka("send", str(tmp_path / "again.json"), "--keys", str(keys))
    assert said.exit_code == 1
    assert json.loads(said.stdout)["data"]["code"] == "SAME_ID_OTHER_BODY"

    said = await banka("listen", "--no-follow")
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [line["type"] for line in lines if line["data"].get("partner_event_id") == event_id] == [
        InboundAccepted.type,
        InboundRejected.type,
    ]
    (tmp_path / "wrong.json").write_text("[]")
    said = await banka("send", str(tmp_path / "wrong.json"), "--keys", str(keys))
    assert isinstance(said.exception, local.StackProblem)


def test_what_a_partner_is_handed_comes_as_variables_for_a_shell(
    partners_stack: local.Stack,
) -> None:
    def banka(partner: str) -> Result:
        words = ["partner", "access", "--partner", partner, "--name", partners_stack.name]
        return CliRunner().invoke(cli, words, env=partners_stack.environment())

    ports = partners_stack.folder / "http.json"
    ports.unlink(missing_ok=True)  # another test's office may have run on it
    assert "no office has run" in str(banka("card-factory").exception)
    ports.write_text(json.dumps({"intake": 8123}))
    said = banka("card-factory")
    ports.unlink()
    shown = subprocess.run(
        ["bash", "-c", 'eval "$0"; env', said.stdout], capture_output=True, text=True, check=True
    )
    variables = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    assert variables["PARTNER"] == "card-factory"
    assert variables["PARTNER_PASSWORD"] == partners_stack.secret("kafka-card-factory")
    assert variables["OFFICE_KAFKA"] == partners_stack.kafka_bootstrap
    assert variables["OFFICE_SECURITY"] == partners_stack.kafka_security
    assert variables["OFFICE_URL"] == "http://127.0.0.1:8123"
    assert "there is no partner" in str(banka("postman").exception)
