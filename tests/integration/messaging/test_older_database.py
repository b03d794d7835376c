"""A database that does not belong to the broker is refused before anything is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.messaging import Service
from shared.postgres.migrate import SchemaMismatch, migrate
from tests.integration.messaging.ledger import Moods, Noted, World, consumer, until

pytestmark = pytest.mark.timeout(120)


async def _applied(world: World) -> tuple[str, str, str]:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    for number in range(1, 4):
        await world.send(topic, "A", Noted(number=number), number)

    async def there() -> bool:
        return await world.entries(database) == {"A": [1, 2, 3]}

    await until(there)
    await service._subscriptions[0].commit()
    await service.stop()
    return topic, database, group


async def _refused(world: World, database: str, topic: str, group: str, words: str) -> None:
    moods = Moods()
    service = world.service(database, consumers=[consumer(topic, moods, group)])
    await service.start()

    async def says_so() -> bool:
        return words in (await service.readiness()).checks[group]

    await until(says_so)
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
    from tests.integration.messaging.ledger import MIGRATIONS

    first.write_text((MIGRATIONS / "0001_ledger.sql").read_text())
    second = tmp_path / "0002_more.sql"
    second.write_text("CREATE TABLE more (id int); SELECT 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        await migrate(world.settings, "review", folder=tmp_path, database=database)
    second.write_text("CREATE TABLE more (id int);")
    applied = await migrate(world.settings, "review", folder=tmp_path, database=database)
    assert [m.name for m in applied] == ["0002_more.sql"]
    assert await migrate(world.settings, "review", folder=tmp_path, database=database) == []


async def test_a_schema_one_ahead_is_fine_and_two_ahead_is_refused(world: World) -> None:
    database = await world.database()
    insert = (
        "INSERT INTO public.migration (scope, number, name, digest) VALUES ('review', $1, 'x', 'x')"
    )
    await world.do(database, insert, 2)
    service: Service = world.service(database)
    await service.start()
    await service.stop()
    await world.do(database, insert, 3)
    with pytest.raises(SchemaMismatch, match="newer build"):
        await world.service(database).start()
