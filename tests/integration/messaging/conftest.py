"""A world of its own for every test of the kernel: topics, databases, services."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy import local
from tests.integration.messaging.ledger import World


@pytest.fixture
async def world(stack: local.Stack) -> AsyncIterator[World]:
    world = World(stack)
    yield world
    await world.close()
