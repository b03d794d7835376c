"""Reporting as it is deployed, in the test's own process, on a real broker and database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deploy import local
from services.reporting.app import build
from shared.postgres.migrate import migrate
from tests.integration.reporting.bank import Bank, provide, settings_of
from tests.stack import running

MORNING = datetime(2026, 11, 9, 1, 0, tzinfo=UTC)  # a Monday, 09:00 in Shanghai


@pytest.fixture(scope="package")
def reporting_stack() -> Iterator[local.Stack]:
    # a stack of its own: another suite's databases would not know what this one publishes
    with running("reporting-test", durable=False) as stack:
        yield stack


@pytest.fixture
async def bank(reporting_stack: local.Stack, tmp_path: Path) -> AsyncIterator[Bank]:
    await provide(reporting_stack)
    clock_file = tmp_path / "clock"
    settings = settings_of(reporting_stack, clock_file)
    await migrate(settings, "reporting")
    bank = await Bank.open(settings, clock_file, MORNING)
    yield bank
    await bank.close()


@pytest.fixture
async def web(bank: Bank) -> AsyncIterator[httpx.AsyncClient]:
    """The service's app, started; its consumers run."""
    app = build(bank.settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://reporting.test"
        ) as client,
    ):
        yield client
