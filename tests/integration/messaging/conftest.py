"""A world of its own for every test of the kernel: topics, databases, services."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from deploy import local
from tests.integration.messaging.ledger import World


@pytest.fixture(scope="session")
def kernel_stack() -> local.Stack:
    return local.up(os.environ.get("BANKA_STACK") or "test")


@pytest.fixture
async def world(kernel_stack: local.Stack) -> AsyncIterator[World]:
    world = World(kernel_stack)
    yield world
    await world.close()
