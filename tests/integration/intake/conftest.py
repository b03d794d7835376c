"""Intake as it is deployed, in the test's own process, on a real broker, database and vault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from deploy import local
from deploy.provision import provision
from tests.integration.intake.office import Office
from tests.stack import running

MORNING = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai


@pytest.fixture(scope="package")
def intake_stack() -> Iterator[local.Stack]:
    # a stack of its own: another suite's databases would not know what this one publishes
    with running("intake-test", durable=False) as stack:
        asyncio.run(provision(stack))
        yield stack


# One service for all tests: each has customers of its own, and to join the broker's groups takes
# seconds. Every test begins at the same moment of the business clock, which only ever moves on.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(
    intake_stack: local.Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    async with Office.on(intake_stack, tmp_path_factory.mktemp("intake"), MORNING) as office:
        yield office
