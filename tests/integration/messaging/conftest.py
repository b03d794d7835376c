"""A world of its own for every test of the kernel: topics, databases, services."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy import local
from deploy.provision import topic_settings
from shared.events.catalog import FOREVER, DeployedTopic
from tests.integration.messaging.desk import Desk
from tests.integration.messaging.ledger import PARTITIONS, World


@pytest.fixture
async def world(stack: local.Stack) -> AsyncIterator[World]:
    world = World(stack)
    yield world
    await world.close()


@pytest.fixture
async def desk(world: World) -> Desk:
    partner = f"p{world.tag}"
    topics = [f"banka.{way}.{partner}" for way in ("inbound", "outbound")]
    for topic in topics:
        config = topic_settings(DeployedTopic(topic, PARTITIONS, FOREVER, (), ()))
        world.topic("", full=topic, config=config)
    desk = Desk(world, *topics)
    database = await world.database()
    await world.service(database, inbound=[desk.declaration()]).start()
    return desk
