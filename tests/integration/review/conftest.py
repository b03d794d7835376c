"""Review as it is deployed, in the test's own process, on a real broker, database and vault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from deploy import local
from deploy.provision import provision
from services.review.app import build
from shared.postgres.migrate import migrate
from tests.integration.review.bank import Bank, Colleague, listening, settings_of
from tests.stack import empty, running

MORNING = datetime(2026, 11, 9, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai


@pytest.fixture(scope="package")
def review_stack() -> Iterator[local.Stack]:
    # a stack of its own: another suite's databases would not know what this one publishes
    with running("review-test", durable=False) as stack:
        yield stack


# One service for all tests of a module: each has applications of its own, and to join the broker's
# groups takes seconds. No module sees what another left: a policy that it released would decide.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bank(
    review_stack: local.Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bank]:
    await empty(review_stack)
    await provision(review_stack)
    clock_file = tmp_path_factory.mktemp("review") / "clock"
    async with listening() as systems:
        settings = settings_of(review_stack, clock_file, systems)
        await migrate(settings, "review")
        async with Bank.open(review_stack, settings, clock_file, systems, MORNING) as bank:
            yield bank


@dataclass
class Desks:
    """The running service and the people who work with it."""

    app: FastAPI
    transport: httpx.ASGITransport
    first: Colleague
    second: Colleague
    compliance: Colleague


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desks(bank: Bank) -> AsyncIterator[Desks]:
    # six tries without waiting for a quarter minute
    app = build(bank.settings.model_copy(update={"call_backoff": 0.05}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        yield Desks(
            app,
            transport,
            await bank.colleague(transport, "reviewer"),
            await bank.colleague(transport, "reviewer", "risk_officer"),
            await bank.colleague(transport, "compliance"),
        )
