"""Whatever a partner's client can make a broker take is answered, and stops nobody behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from shared.events.envelope import decode
from tests.eventually import eventually
from tests.integration.messaging.desk import Desk, Name, good, put, structured


@pytest.mark.parametrize("name", ["id", "type", "correlationid", "traceparent", "subject"])
@pytest.mark.parametrize("text", ["\ud800", "a\x00b"])
async def test_an_attribute_that_is_no_text(desk: Desk, name: str, text: str) -> None:
    await put(desk, structured(desk, "A", **{name: text}), good(desk, "B"))
    answers = await desk.wait_for("A", [False])
    assert answers[0]["codes"] == [["envelope", f"wrong-characters at {name}"]]
    await desk.wait_for("B", [True])


async def test_text_in_a_payload_that_is_none(desk: Desk) -> None:
    await put(
        desk,
        structured(desk, "A", data={"number": "\ud800"}),
        structured(desk, "B", data={"number": 1, "\udfff": 1}),
        structured(desk, "C", data={"number": ["\x00"]}),
        structured(desk, "D", data={"number": 1, "\\u0000": 1}),
        good(desk, "E"),
    )
    for key in "ABC":
        answer = (await desk.wait_for(key, [False]))[0]
        assert answer["codes"] == [["body", "UNREADABLE"]]
        assert answer["event_id"] == f"id-{key}"
    answers = await desk.wait_for("D", [False])
    assert answers[0]["codes"] == [["\\u0000", "extra_forbidden"]], "text that only looks like it"
    await desk.wait_for("E", [True])


async def test_more_problems_than_an_answer_can_hold(desk: Desk) -> None:
    body = {"number": 1, "x" * 500: 1} | {f"field-{n}": n for n in range(20_000)}
    await put(desk, (b"A", json.dumps(body).encode(), good(desk, "A")[2]), good(desk, "B"))
    codes = (await desk.wait_for("A", [False]))[0]["codes"]
    assert codes[0] == ["x" * 200, "extra_forbidden"]
    assert codes[-1] == ["body", "MORE_PROBLEMS"]
    assert len(codes) == 101
    await desk.wait_for("B", [True])


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        (b"k" * 1024, "k" * 1024),
        (b"k" * 1025, "sha256:"),
        ("号".encode() * 1000, "sha256:"),
        (bytes(range(256)) * 100, "sha256:"),
        (b"a\nb", "hex:610a62"),
        (b"\xff", "hex:ff"),
    ],
)
async def test_a_key_that_nothing_can_be_known_by(desk: Desk, key: bytes, subject: str) -> None:
    _, value, headers = good(desk, "A")
    await put(desk, (key, value, headers), good(desk, "B"))
    await desk.wait_for("B", [True])
    answer = next(r for r in await desk.world.read(desk.outbound) if r.key != b"B")
    envelope, body = decode(answer.headers, answer.value)
    assert envelope.subject.encode() == answer.key
    said = json.loads(body)
    assert said["event_id"] == "id-A-1"
    if key == b"k" * 1024:
        assert (answer.key, said["accepted"]) == (key, True)
    else:
        assert said["codes"] == [["key", "KEY_UNREADABLE"]]
    assert envelope.subject.startswith(subject)


async def test_names_of_headers_that_are_no_text(desk: Desk) -> None:
    key, value, headers = good(desk, "B")
    odd = [*headers, (Name(b"\xff\xfe"), b"1"), (Name(b"ce_\xc3\x28"), b"1")]
    await put(desk, good(desk, "A"), (key, value, odd), good(desk, "C"))
    await put(desk, (b"D", b"{}", [(Name(b"\xff"), b"\xff")]), good(desk, "E"))
    for name in "ABCE":
        await desk.wait_for(name, [True])
    await desk.wait_for("D", [False])
    entries = await desk.world.entries(desk.world.databases[0])
    assert entries == {key: [1] for key in "ABCE"}


async def test_bits_of_a_record_that_no_version_uses(desk: Desk) -> None:
    await put(desk, good(desk, "A"), good(desk, "B"), odd=True)
    await put(desk, good(desk, "C"))
    for key in "ABC":
        await desk.wait_for(key, [True])


async def test_places_that_a_client_made_up(desk: Desk) -> None:
    records = [good(desk, key) for key in "ABCDEF"]
    await put(desk, *records, offsets=[1_000_000, 0, 0, -7, 4, 5])
    await put(desk, good(desk, "G"))
    for key in "ABCDEFG":
        await desk.wait_for(key, [True])
    stored = await desk.world.rows(
        desk.world.databases[0], "SELECT next FROM messaging.consumer_offset WHERE part = 0"
    )
    assert stored[0]["next"] == 7


async def test_an_odd_record_is_parked_and_comes_back(desk: Desk) -> None:
    desk.broken = True
    desk.keep_trying()
    key, value, headers = good(desk, "A", 99)
    await put(desk, (key, value, [*headers, (Name(b"\xff"), None)]), good(desk, "B"))
    await desk.wait_for("B", [True])
    assert await desk.answers("A") == []
    desk.broken = False
    await desk.wait_for("A", [True])


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_producer_may_compress_as_it_likes(desk: Desk, codec: str) -> None:
    producer = Producer({**desk.world.stack.kafka_admin(), "compression.type": codec})
    key, value, headers = good(desk, "A")
    producer.produce(desk.inbound, key=key, value=value + b" " * 10_000, headers=list(headers))
    assert producer.flush(20) == 0
    await desk.wait_for("A", [True])


async def test_what_a_partner_says_of_origin_and_numbers_counts_nothing(desk: Desk) -> None:
    desk.broken = True
    desk.keep_trying()
    said = {"origin": "imported", "sequence": 1, "state_version": 7}
    await put(desk, *(good(desk, "A", number, **said) for number in (99, 2, 3)), good(desk, "B"))
    await desk.wait_for("B", [True])
    desk.broken = False
    await desk.wait_for("A", [True, True, True])
    answers = [r for r in await desk.world.read(desk.outbound) if r.key == b"A"]
    assert {dict(answer.headers)["ce_origin"] for answer in answers} == {b"live"}
    entries = await desk.world.entries(desk.world.databases[0])
    assert entries["A"] == [99, 2, 3], "told apart though they carry one number"


async def test_a_reason_that_is_no_text_keeps_nothing_from_being_parked(desk: Desk) -> None:
    desk.complaint = "\ud800\x00" * 400
    await put(desk, good(desk, "A", 98), good(desk, "B"))
    await desk.wait_for("B", [True])

    async def parked() -> Any:
        return await desk.world.rows(
            desk.world.databases[0], "SELECT reason FROM messaging.blocked_key"
        )

    rows = await eventually(parked)
    assert rows[0]["reason"].startswith("ValueError: \\ud800\\x00")
