"""Every partner event is answered once, the same one always in the same way."""

from __future__ import annotations

import json

from shared.messaging import metrics
from tests.eventually import eventually
from tests.integration.messaging.desk import TYPE, Desk, good, put


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
    desk.keep_trying()
    await desk.send("A", {"number": 99})
    await desk.send("A", {"number": 2})
    await desk.send("B", {"number": 1})
    await desk.wait_for("B", [True])
    assert await desk.answers("A") == []
    desk.broken = False  # the retry with backoff finds the mended build
    await desk.wait_for("A", [True, True])
    assert (await desk.world.entries(desk.world.databases[0]))["A"] == [99, 2]


async def test_a_poll_of_all_kinds_is_answered_in_its_order(desk: Desk) -> None:
    one = {"id": "one"}
    await put(
        desk, good(desk, "A", 1, **one), good(desk, "A", 13), good(desk, "A", 2),
        good(desk, "A", 1, **one), good(desk, "A", 3, **one), good(desk, "B", 4),
    )  # fmt: skip
    # said twice before the first was answered: one answer is for both
    answers = await desk.wait_for("A", [True, False, True, False])
    await desk.wait_for("B", [True])
    assert [answer["codes"] for answer in answers[1::2]] == [
        [["number", "UNLUCKY"]],
        [["id", "SAME_ID_OTHER_BODY"]],
    ]
    assert await desk.world.entries(desk.world.databases[0]) == {"A": [1, 2], "B": [4]}


async def test_an_answer_that_cannot_be_written_stops_nobody_else_of_its_poll(desk: Desk) -> None:
    await put(desk, good(desk, "A", 1), good(desk, "B", 97), good(desk, "B", 2), good(desk, "C", 3))
    await desk.wait_for("A", [True])
    await desk.wait_for("C", [True])
    assert await desk.answers("B") == []
    assert await desk.world.entries(desk.world.databases[0]) == {"A": [1], "C": [3]}
    rows = await desk.world.rows(
        desk.world.databases[0], "SELECT subject, state FROM messaging.blocked_key"
    )
    assert [tuple(row) for row in rows] == [("B", "parked")]


async def test_a_poll_locks_what_it_knows_in_the_order_of_everybody_else(desk: Desk) -> None:
    """Whoever holds A and wants B must not meet a poll that holds B and wants A."""
    database = desk.world.databases[0]
    for key in "AB":
        await desk.send(key, {"number": 1})
        await desk.wait_for(key, [True])
    other = await desk.world.connect(database)
    rolled_back = metrics.BACKOFF.labels("poll")._value.get()
    lock = "SELECT FROM ledger WHERE subject = $1 FOR UPDATE"

    async def poll_waits() -> bool:
        rows = await desk.world.rows(
            database,
            "SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        return bool(rows)

    async with other.transaction():
        await other.execute(lock, "A")
        await put(desk, good(desk, "B", 2), good(desk, "A", 2))
        await eventually(poll_waits)
        await other.execute(lock, "B")
    await other.close()
    for key in "AB":
        await desk.wait_for(key, [True, True])
    assert metrics.BACKOFF.labels("poll")._value.get() == rolled_back
