"""Notify as it is deployed, in the test's own process, on a real broker, database and gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from deploy import local
from deploy.demo.message_gateways import Gateways
from services.notify.app import build
from shared.postgres.migrate import migrate
from tests.integration.notify.office import Office, Ports, listening, provide, settings_of
from tests.stack import running

MORNING = datetime(2026, 11, 9, 2, 0, tzinfo=UTC)  # a Monday, 10:00 in Shanghai


@pytest.fixture(scope="package")
def notify_stack() -> Iterator[local.Stack]:
    # a stack of its own: another suite's databases would not know what this one publishes
    with running("notify-test", durable=False) as stack:
        yield stack


@pytest.fixture
def gateways() -> Gateways:
    """Gateways that keep texts and meet no trouble; a test gives them some."""
    return Gateways(
        keep_texts=True,
        late_seconds=3.5,
        fates={"sms": {}, "app": {}, "email": {}},
        undelivered_per_thousand=0,
    )


@pytest.fixture
async def ports(gateways: Gateways) -> AsyncIterator[Ports]:
    async with listening(gateways) as ports:
        yield ports


@pytest.fixture
async def office(notify_stack: local.Stack, ports: Ports, tmp_path: Path) -> AsyncIterator[Office]:
    await provide(notify_stack)
    clock_file = tmp_path / "clock"
    settings = settings_of(notify_stack, clock_file, ports)
    await migrate(settings, "notify")
    async with Office.open(settings, clock_file, MORNING) as office:
        yield office


@dataclass
class Web:
    """The running service: its app and a browser's way to it."""

    app: FastAPI
    client: httpx.AsyncClient


@pytest.fixture
async def web(office: Office) -> AsyncIterator[Web]:
    app = build(office.settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://notify.test"
        ) as client,
    ):
        yield Web(app, client)
