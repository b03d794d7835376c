"""A database that does not belong to the broker is refused before anything is applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.messaging import Fact, Service
from shared.messaging.broker import connection
from shared.messaging.outbox import partition_of
from shared.postgres.migrate import SchemaMismatch, migrate
from tests.eventually import eventually
from tests.integration.messaging.ledger import (
    MIGRATIONS,
    Echoed,
    LedgerStore,
    Moods,
    Noted,
    World,
    consumer,
)


async def _applied(world: World) -> tuple[str, str, str]:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    for number in range(1, 4):
        await world.send(topic, "A", Noted(number=number), number)

    async def there() -> bool:
        return await world.entries(database) == {"A": [1, 2, 3]}

    await eventually(there)
    await service._subscriptions[0].commit()
    await service.stop()
    return topic, database, group


async def _refused(world: World, database: str, topic: str, group: str, words: str) -> None:
    moods = Moods()
    service = world.service(database, consumers=[consumer(topic, moods, group)])
    await service.start()

    async def says_so() -> bool:
        return words in (await service.readiness()).checks[group]

    await eventually(says_so)
    assert not (await service.readiness()).ready
    assert moods.seen == []


async def test_an_offset_behind_what_kafka_saw_is_refused(world: World) -> None:
    topic, database, group = await _applied(world)
    await world.do(database, "UPDATE messaging.consumer_offset SET next = 1")
    await _refused(world, database, topic, group, "older than the broker")


async def test_a_database_without_the_offset_that_kafka_knows_is_refused(world: World) -> None:
    topic, database, group = await _applied(world)
    await world.do(database, "DELETE FROM messaging.consumer_offset")
    await _refused(world, database, topic, group, "older than the broker")


async def test_an_offset_beyond_the_end_is_refused(world: World) -> None:
    topic, database, group = await _applied(world)
    await world.do(database, "UPDATE messaging.consumer_offset SET next = 99")
    await _refused(world, database, topic, group, "beyond the end")


async def test_a_topic_that_was_made_anew_is_refused(world: World) -> None:
    topic, database, group = await _applied(world)
    world.remove_topic(topic)
    await world.topic_again(topic)
    await _refused(world, database, topic, group, "made anew")


async def test_another_cluster_is_refused(world: World) -> None:
    topic, database, group = await _applied(world)
    await world.do(database, "UPDATE messaging.consumer_offset SET cluster_id = 'other'")
    await _refused(world, database, topic, group, "another cluster")


_PUT_BACK = ("messaging.consumer_offset", "messaging.cursor", "ledger")


async def _copy(world: World, database: str) -> None:
    for table in _PUT_BACK:
        await world.do(database, f'CREATE TABLE "copy of {table}" AS TABLE {table}')


async def _put_back(conn: asyncpg.Connection[Any]) -> None:
    """Everything as it was copied, under whoever is connected."""
    async with conn.transaction():
        for table in _PUT_BACK:
            await conn.execute(f"DELETE FROM {table}")
            await conn.execute(f'INSERT INTO {table} TABLE "copy of {table}"')


async def _kafka_has(world: World, topic: str, group: str, part: int) -> int | None:
    """The offset that the group has committed."""
    reader = AIOKafkaConsumer(
        **connection(world.settings), group_id=group, enable_auto_commit=False
    )
    await reader.start()
    try:
        found: int | None = await reader.committed(TopicPartition(topic, part))
        return found
    finally:
        await reader.stop()


async def _note(world: World, topic: str, subject: str, *numbers: int) -> None:
    for number in numbers:
        await world.send(topic, subject, Noted(number=number), number)


async def _until_entries(world: World, database: str, **expected: list[int]) -> None:
    async def there() -> bool:
        return await world.entries(database) == expected

    await eventually(there)


async def _until_it_says(service: Service, group: str, words: str) -> None:
    async def says_so() -> bool:
        return words in (await service.readiness()).checks[group]

    await eventually(says_so)
    assert not (await service.readiness()).ready


async def test_a_database_put_back_under_a_running_service_is_refused(world: World) -> None:
    """And Kafka keeps the offset that shows it, whatever happens to the group afterwards."""
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    moods = Moods()
    service = world.service(database, consumers=[consumer(topic, moods, group)])
    await service.start()
    await _note(world, topic, "A", 1)
    await _until_entries(world, database, A=[1])
    await _copy(world, database)
    await _note(world, topic, "A", 2, 3)
    await _until_entries(world, database, A=[1, 2, 3])
    conn = await world.connect(database)
    await _put_back(conn)
    await conn.close()
    await _note(world, topic, "A", 4)
    await _until_it_says(service, group, "put back while the service ran")
    assert [number for _, number in moods.seen] == [1, 2, 3]
    assert await world.entries(database) == {"A": [1]}
    subscription = service._subscriptions[0]
    await subscription.commit()
    assert await _kafka_has(world, topic, group, 0) == 3
    # handed out anew: the group's next member sees it too
    subscription._consumer._coordinator.request_rejoin()
    await _until_it_says(service, group, "Kafka saw us at 3, the database says 1")
    await service.stop()
    assert await _kafka_has(world, topic, group, 0) == 3
    assert await world.entries(database) == {"A": [1]}


async def test_what_waits_in_a_database_put_back_is_not_tried_again(world: World) -> None:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    moods = Moods()
    moods.transient_left = 99
    service = world.service(database, consumers=[consumer(topic, moods, group, attempts=99)])
    await service.start()
    await _note(world, topic, "A", 1)
    await world.send(topic, "B", Noted(number=1, mood="flaky"), 1)

    async def waits() -> Any:
        return await world.rows(database, "SELECT 1 FROM messaging.blocked_key")

    await eventually(waits)
    await world.do(database, "UPDATE messaging.consumer_offset SET next = 1")
    await _note(world, topic, "A", 2)
    await _until_it_says(service, group, "put back while the service ran")
    lot = service._other["parking"]
    await world.do(database, "UPDATE messaging.blocked_key SET retry_at = clock_timestamp()")
    seen = len(moods.seen)
    assert await lot._retry() == 0
    assert len(moods.seen) == seen


async def test_a_poll_with_one_offset_put_back_is_not_applied_at_all(world: World) -> None:
    topic, database, group = world.topic("notes", 2), await world.database(), f"g.{world.tag}"
    one, other = (next(s for s in "ABCDEFGH" if partition_of(s, 2) == part) for part in (0, 1))
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    await _note(world, topic, one, 1)
    await _note(world, topic, other, 1)
    await _until_entries(world, database, **{one: [1], other: [1]})
    await _copy(world, database)
    await _note(world, topic, one, 2)
    await _until_entries(world, database, **{one: [1, 2], other: [1]})
    async with world.held(database, "messaging.consumer_offset") as conn:
        await _note(world, topic, other, 2)  # of its partition the copy knows no less
        await world.waiting(database)
        await _note(world, topic, other, 3)  # these two are one poll
        await _note(world, topic, one, 3)
        await _put_back(conn)
    await _until_it_says(service, group, "put back while the service ran")
    assert await world.entries(database) == {one: [1], other: [1, 2]}


async def test_a_database_without_the_offset_of_a_running_service_is_refused(world: World) -> None:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    await _note(world, topic, "A", 1)
    await _until_entries(world, database, A=[1])
    await world.do(database, "DELETE FROM messaging.consumer_offset")
    await _note(world, topic, "A", 2)
    await _until_it_says(service, group, "the database now says nothing")
    assert await world.entries(database) == {"A": [1]}


async def _swap(world: World, database: str, other: str) -> None:
    """Another database in its place, under running services: their sessions end."""
    admin = await asyncpg.connect(world.stack.superuser_url())
    try:
        await admin.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
        await admin.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1",
            database,
        )
        await admin.execute(f'ALTER DATABASE "{database}" RENAME TO "{other}_newer"')
        await admin.execute(f'ALTER DATABASE "{other}" RENAME TO "{database}"')
        world.databases.append(f"{other}_newer")
    finally:
        await admin.close()


async def test_nothing_is_applied_while_the_relay_refuses(world: World) -> None:
    """The older database knows no less of what was consumed, but less of what was published."""
    topic, echo, database = world.topic("notes", 1), world.topic("echo", 1), await world.database()
    group, moods = f"g.{world.tag}", Moods(echo)

    def service() -> Service:
        return world.service(database, consumers=[consumer(topic, moods, group)])

    first = service()
    await first.start()
    await _note(world, topic, "A", 1)
    await _until_entries(world, database, A=[1])
    await first.stop()
    await world.kept.close()  # a database is copied that nobody looks into
    admin = await asyncpg.connect(world.stack.superuser_url())
    await admin.execute(f'CREATE DATABASE "{database}_backup" TEMPLATE "{database}"')
    await admin.close()
    running = service()
    await running.start()
    await running.execute(
        LedgerStore(), "A", lambda state, now: [Fact(Echoed(number=9), topic=echo)]
    )

    async def published() -> bool:
        return len(await world.read(echo)) == 2

    await eventually(published)
    await _swap(world, database, f"{database}_backup")

    async def relay_refuses() -> bool:
        return "older than the broker" in running._relay.refused

    await eventually(relay_refuses)
    await _note(world, topic, "A", 2)
    await _until_it_says(running, group, "the relay refuses")
    assert [number for _, number in moods.seen] == [1]
    assert await world.entries(database) == {"A": [1]}
    # and what is handed out anew is not taken over
    subscription = running._subscriptions[0]
    assert subscription.positions
    subscription._consumer._coordinator.request_rejoin()

    async def not_taken_over() -> bool:
        return bool(subscription._assigned and subscription.refused and not subscription.positions)

    await eventually(not_taken_over)


async def test_deleted_history_is_refused_once_and_parks_nothing(world: World) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    for number in range(1, 4):
        await world.send(topic, "A", Noted(number=number), number)
    admin = AdminClient(world.stack.kafka_admin())
    place = TopicPartition(topic, 0, 2)
    admin.delete_records([place])[place].result(20)
    await _refused(world, database, topic, group, "are gone from the topic")
    assert await world.rows(database, "SELECT * FROM messaging.parked_event") == []


async def test_an_empty_database_is_refused_with_the_command_to_mend_it(world: World) -> None:
    database = await world.database()
    await world.do(database, "DROP TABLE public.migration")
    with pytest.raises(SchemaMismatch, match=r"python -m services\.review migrate"):
        await world.service(database).start()


async def test_a_changed_migration_is_refused(world: World, tmp_path: Path) -> None:
    database = await world.database()
    (tmp_path / "0001_ledger.sql").write_text("CREATE TABLE ledger (other int)")
    with pytest.raises(SchemaMismatch, match="was changed after it was applied"):
        await migrate(world.settings, "review", folder=tmp_path, database=database)
    service = world.service(database)
    service.migrations = tmp_path
    with pytest.raises(SchemaMismatch, match="changed"):
        await service.start()


async def test_a_failed_migration_leaves_nothing_and_can_be_mended(
    world: World, tmp_path: Path
) -> None:
    database = await world.database()
    first = tmp_path / "0001_ledger.sql"
    first.write_text((MIGRATIONS / "0001_ledger.sql").read_text())
    second = tmp_path / "0002_more.sql"
    second.write_text("CREATE TABLE more (id int); SELECT 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        await migrate(world.settings, "review", folder=tmp_path, database=database)
    second.write_text("CREATE TABLE more (id int);")
    applied = await migrate(world.settings, "review", folder=tmp_path, database=database)
    assert [m.name for m in applied] == ["0002_more.sql"]
    assert await migrate(world.settings, "review", folder=tmp_path, database=database) == []


async def test_a_service_works_with_all_that_the_next_release_adds_until_one_needs_more(
    world: World, tmp_path: Path
) -> None:
    database, topic = await world.database(), world.topic("notes", 1)
    (tmp_path / "0001_ledger.sql").write_text((MIGRATIONS / "0001_ledger.sql").read_text())
    release = {
        "0002_more.sql": "CREATE TABLE more (id int);",
        "0003_remark.sql": "ALTER TABLE ledger ADD COLUMN remark text NOT NULL DEFAULT '';",
        "0004_index.sql": "CREATE INDEX more_id ON more (id);",
    }
    for name, sql in release.items():
        (tmp_path / name).write_text(sql)
    applied = await migrate(world.settings, "review", folder=tmp_path, database=database)
    assert [one.name for one in applied] == list(release)

    before = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    await before.start()
    await world.send(topic, "A", Noted(number=1), 1)

    async def entered() -> bool:
        return await world.entries(database) == {"A": [1]}

    await eventually(entered)
    await before.stop()
    # somebody goes back to the release before: there is nothing to do
    assert await migrate(world.settings, "review", folder=MIGRATIONS, database=database) == []

    (tmp_path / "0005_without.sql").write_text("-- needs 0003\nALTER TABLE more DROP COLUMN id;")
    await migrate(world.settings, "review", folder=tmp_path, database=database)
    with pytest.raises(
        SchemaMismatch, match="0005 was applied by a newer build and needs one that"
    ):
        await world.service(database).start()
    with pytest.raises(SchemaMismatch, match="knows 0003"):
        await migrate(world.settings, "review", folder=MIGRATIONS, database=database)
    for name in ("0004_index.sql", "0005_without.sql"):
        (tmp_path / name).unlink()
    await world.service(database, migrations=tmp_path).start()


async def test_a_database_of_a_build_that_recorded_no_needs_is_brought_up_to_date(
    world: World,
) -> None:
    database = await world.database()
    await world.do(database, "ALTER TABLE public.migration DROP COLUMN needs")
    with pytest.raises(SchemaMismatch, match=r"python -m services\.review migrate"):
        await world.service(database).start()
    assert await migrate(world.settings, "review", folder=MIGRATIONS, database=database) == []
    await world.service(database).start()
