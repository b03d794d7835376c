"""A topic is held against its publisher's log, and mended out of it."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from shared.messaging import Fact, Service
from tests.eventually import eventually
from tests.integration.messaging.ledger import Echoed, LedgerStore, Moods, Noted, World, consumer


async def _say(service: Service, topic: str, subject: str, *numbers: int) -> None:
    await service.execute(
        LedgerStore(), subject, lambda s, n: [Fact(Echoed(number=x), topic=topic) for x in numbers]
    )


async def _say_and_lose(service: Service, topic: str, subject: str, lost: int) -> None:
    """Three facts, of which one never reaches the topic: as if the broker had lost it."""
    async with service.transaction() as tx:
        await tx.append([Fact(Echoed(number=x), topic=topic) for x in (1, 2, 3)], subject=subject)
        await tx.conn.execute(
            "DELETE FROM messaging.outbox WHERE position = (SELECT position FROM"
            " messaging.event_log WHERE subject = $1 AND sequence = $2)",
            subject, lost,
        )  # fmt: skip


async def _drained(world: World, database: str) -> None:
    async def empty() -> bool:
        return await world.rows(database, "SELECT 1 FROM messaging.outbox LIMIT 1") == []

    await eventually(empty)


async def test_a_gap_is_found_in_the_log_and_cured_by_republishing(world: World) -> None:
    topic = world.topic("echo")
    ours, theirs = await world.database(), await world.database()
    publisher = world.service(ours)
    await publisher.start()
    reader = world.service(
        theirs, consumers=[consumer(topic, Moods(), f"g.{world.tag}", payload=Echoed)]
    )
    await reader.start()
    await _say(publisher, topic, "B", 1)
    await _say_and_lose(publisher, topic, "A", 2)

    async def parked() -> bool:
        rows = await world.rows(theirs, "SELECT subject, state FROM messaging.blocked_key")
        return [tuple(row) for row in rows] == [("A", "gap")]

    await eventually(parked)
    number = (await world.rows(theirs, "SELECT id FROM messaging.parked_event"))[0]["id"]
    shown = await world.banka("parked", "show", "review", str(number), "--database", theirs)
    cure = f"banka events republish review --topic {topic} --subject A"
    assert cure in shown

    where = ("review", "--topic", topic, "--database", ours)
    found = await world.banka("events", "verify", *where, code=1)
    assert f"{topic}: 4 in the log, 3 on the topic" in found
    assert "the topic lacks number 2 of A" in found
    again = (*where, "--subject", "A", "--who", "ops", "--why", "lost")
    assert "3 would be sent" in await world.banka("events", "republish", *again, "--dry-run")
    assert len(await world.read(topic)) == 3
    assert f"{topic}: 3 are sent once more" in await world.banka("events", "republish", *again)

    async def applied() -> bool:
        return await world.entries(theirs) == {"A": [1, 2, 3], "B": [1]}

    await eventually(applied)
    assert await world.rows(theirs, "SELECT * FROM messaging.blocked_key") == []
    assert "4 in the log, 4 on the topic" in await world.banka("events", "verify", *where)
    audit = await world.rows(ours, "SELECT who, action, what, why FROM messaging.audit")
    assert [tuple(row) for row in audit] == [("ops", "republish", f"{topic} A", "lost")]


async def test_a_topic_whose_first_events_are_gone_is_read_again_after_republishing(
    world: World,
) -> None:
    topic, group = world.topic("echo", 1), f"g.{world.tag}"
    ours, theirs = await world.database(), await world.database()
    publisher = world.service(ours)
    await publisher.start()
    await _say(publisher, topic, "A", 1, 2, 3)
    await _drained(world, ours)
    admin, place = AdminClient(world.stack.kafka_admin()), TopicPartition(topic, 0, 2)
    admin.delete_records([place])[place].result(20)

    def reader() -> Service:
        reading = consumer(topic, Moods(), group, payload=Echoed)
        return world.service(theirs, consumers=[reading])

    refused = reader()
    await refused.start()
    on_topic = ("--topic", topic, "--why", "deleted")
    commands = (
        f"banka events republish <publisher> --topic {topic}",
        f"banka events accept-start review --consumer {group} --topic {topic}",
    )

    async def says_how() -> bool:
        state = (await refused.readiness()).checks[group]
        return all(command in state for command in commands)

    await eventually(says_how)
    await world.banka("events", "republish", "review", *on_topic, "--database", ours)
    accept = ("events", "accept-start", "review", "--consumer", group, *on_topic)
    said = await world.banka(*accept, "--database", theirs)
    assert said == f"{group} begins {topic}/0 at 2\n"
    again = await world.banka(*accept, "--database", theirs, code=1)
    assert again == f"banka: nothing is gone from {topic} that {group} has not read\n"
    await refused.stop()
    await reader().start()

    async def applied() -> bool:
        return await world.entries(theirs) == {"A": [1, 2, 3]}

    await eventually(applied)


@pytest.mark.parametrize(
    "otherwise",
    [
        "UPDATE messaging.consumer_offset SET next = 1",
        "UPDATE messaging.consumer_offset SET next = 99",
        "DELETE FROM messaging.consumer_offset",
    ],
    ids=["older", "beyond the end", "made anew"],
)
async def test_a_database_that_is_the_one_to_go_on_with_is_read_into_again(
    world: World, otherwise: str
) -> None:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    moods = Moods()

    def reader() -> Service:
        return world.service(database, consumers=[consumer(topic, moods, group)])

    first = reader()
    await first.start()
    for number in (1, 2, 3):
        await world.send(topic, "A", Noted(number=number), number)

    async def applied(*numbers: int) -> None:
        async def there() -> bool:
            return await world.entries(database) == {"A": list(numbers)}

        await eventually(there)

    await applied(1, 2, 3)
    await first._subscriptions[0].commit()
    on_topic = ("--consumer", group, "--topic", topic, "--why", "lost", "--who", "ops")
    command = ("events", "read-again", "review", *on_topic, "--database", database)
    runs = await world.banka(*command, code=1)
    assert runs == "banka: review still publishes: stop it first\n"
    await first.stop()
    await world.do(database, otherwise)
    if "99" not in otherwise:  # and what it knew of the three is gone with it
        await world.do(database, "DELETE FROM ledger")
        await world.do(database, "DELETE FROM messaging.cursor")
    refused = reader()
    await refused.start()

    async def says_how() -> bool:
        state = (await refused.readiness()).checks[group]
        return f"banka events read-again review --consumer {group} --topic {topic}" in state

    await eventually(says_how)
    await refused.stop()
    again = await world.banka(*command)
    assert again == f"{group} reads {topic} from the start, of 1 partitions: start review\n"
    await reader().start()
    await world.send(topic, "A", Noted(number=4), 4)
    await applied(1, 2, 3, 4)
    audit = await world.rows(database, "SELECT who, action, what, why FROM messaging.audit")
    assert [tuple(row) for row in audit] == [("ops", "read-again", f"{group} {topic}", "lost")]


async def test_what_cannot_be_read_again_is_said_in_one_line(world: World) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    command = ("events", "read-again", "review", "--database", database, "--why", "x")
    nothing = await world.banka(*command, "--consumer", "g", "--topic", topic, code=1)
    assert nothing == f"banka: g has read nothing of {topic}\n"
    absent = await world.banka(*command, "--consumer", "g", "--topic", "no.such", code=1)
    assert absent == "banka: no topic no.such on the broker that review may see\n"
    await world.do(
        database,
        "INSERT INTO messaging.consumer_offset (consumer, topic, part, next, cluster_id, topic_id)"
        f" VALUES ('g', '{topic}', 0, 3, 'x', 'x')",
    )
    other = await world.banka(*command, "--consumer", "g", "--topic", topic, code=1)
    assert other == f"banka: {topic} was made anew since: banka events restore --why …\n"
    rows = await world.rows(database, "SELECT next FROM messaging.consumer_offset")
    assert [row["next"] for row in rows] == [3]


async def test_an_event_that_the_log_does_not_know_is_named(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "A", 1, 2)
    await _drained(world, database)
    await world.do(database, "DELETE FROM messaging.event_log WHERE sequence = 2")
    where = ("review", "--topic", topic, "--database", database)
    found = await world.banka("events", "verify", *where, code=1)
    assert "1 in the log, 2 on the topic" in found
    assert "the log does not know number 2 of A" in found
    # the other application's partition is not read, and nothing is said of it
    assert "0 in the log, 0 on" in await world.banka("events", "verify", *where, "--subject", "Z")


async def test_the_commands_say_in_one_line_what_they_cannot_do(world: World) -> None:
    database = await world.database()
    where = ("--database", database)
    absent = await world.banka("events", "verify", "review", "--topic", "no.such", *where, code=1)
    assert absent == "banka: no topic no.such on the broker that review may see\n"
    unknown = await world.banka("events", "verify", "reviewer", *where, code=1)
    assert unknown == "banka: reviewer is no service: intake, review, notify, reporting\n"
    nothing = await world.banka(
        "events", "republish", "review", "--subject", "A", "--why", "x", *where, code=1
    )
    assert nothing == "banka: nothing in the log fits that is not on its way already\n"
    gone = await world.banka("parked", "list", "review", "--database", "no_such", code=1)
    assert gone.startswith("banka: InvalidCatalogNameError")
    assert gone.count("\n") == 1
