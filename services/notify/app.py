"""The composition root of notify: what it hears, how it reaches customers, what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from asyncpg import Record
from asyncpg.pool import Pool
from fastapi import FastAPI

from services.notify import api, audit, channels, pages
from services.notify.handlers import REPORT, Handlers
from services.notify.messages import Channel
from services.notify.revealing import Revealing
from services.notify.store import ApplicationStore
from services.notify.wording import load_templates
from shared.clock import open_clock
from shared.events.catalog import group
from shared.events.lifecycle import BY_TYPE
from shared.messaging import Consumer, Service, Worker
from shared.parameters import load_clocks
from shared.parameters.models import SendWindow
from shared.privacy.vault import VAULT_DATABASE, PartyKeys, Vault
from shared.privacy.vault_database import open_vault
from shared.settings import Settings
from shared.web import Permission, audit_pages, kept_views, operations
from shared.web.directory import directory_consumer
from shared.web.service import create_app

NAME = "notify"
TOPIC = "banka.applications"


@dataclass(kw_only=True)
class Notify(Service):
    """The service with what its workers hold open besides: the vault and the HTTP client."""

    vault: ContactVault = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)

    async def start(self) -> None:
        """Opens the vault before anything is sent."""
        await self.vault.start()
        await super().start()

    async def stop(self) -> None:
        """Closes what the workers needed when the last of them has finished."""
        await super().stop()
        await self.vault.stop()
        await self.client.aclose()


class ContactVault:
    """The vault as notify may use it: its role sees contact fields alone."""

    def __init__(self, settings: Settings, database: str = VAULT_DATABASE) -> None:
        self._settings = settings
        self._database = database
        self._opened: tuple[Vault, Pool[Record]] | None = None

    async def start(self) -> None:
        """Log in; nothing may be opened before."""
        self._opened = await open_vault(self._settings, NAME, database=self._database)

    async def stop(self) -> None:
        """Log out."""
        if self._opened is not None:
            await self._opened[1].close()

    async def open(self, party_id: str, fields: dict[str, str]) -> dict[str, str]:
        """The clear text of a party's contact fields."""
        assert self._opened is not None
        return await self._opened[0].open(party_id, fields)

    async def party_keys(self, party_id: str, application_id: str) -> PartyKeys:
        """A party's contact key, to seal why somebody looked."""
        assert self._opened is not None
        return await self._opened[0].party_keys(party_id, application_id)


def build_service(
    settings: Settings,
    handlers: Handlers,
    *,
    database: str | None = None,
    vault_database: str = VAULT_DATABASE,
) -> Notify:
    """Notify without its web pages; the database names are for tests."""
    load_templates()  # a broken text is found now, not when it is to be sent
    store = ApplicationStore()
    vault = ContactVault(settings, vault_database)
    client = httpx.AsyncClient(
        headers={"Authorization": f"Bearer {settings.secret('sms-token')}"},
        limits=httpx.Limits(max_connections=40),
        trust_env=False,
    )
    service: Notify
    desk = channels.Desk(lambda: service.by_key, vault)
    sms_url = settings.required("sms_url")
    sms = channels.HttpChannel(client, desk, sms_url, "/messages")
    app = channels.HttpChannel(client, desk, settings.required("app_message_url"), "/push")
    email = channels.EmailChannel(desk, settings.required("smtp_host"), settings.smtp_port)
    sending: dict[str, Any] = {
        "store": store,
        "on_result": handlers.on_sent,
        "timeout": channels.CALL_SECONDS,
        "attempts": channels.ATTEMPTS,
        "backoff": settings.call_backoff,
    }
    service = Notify(
        name=NAME,
        settings=settings,
        clock=open_clock(settings),
        consumers=[
            Consumer(
                name=group(NAME, TOPIC),
                topic=TOPIC,
                store=store,
                handlers=dict.fromkeys(BY_TYPE.values(), handlers.on_event),
            ),
            directory_consumer(NAME),
        ],
        workers=[
            Worker(kind=Channel.SMS.value, call=sms.send, **sending),
            Worker(kind=Channel.APP.value, call=app.send, **sending),
            Worker(kind=Channel.EMAIL.value, call=email.send, repeatable=False, **sending),
            Worker(
                kind=REPORT,
                store=store,
                call=channels.SmsReports(client, sms_url).look,
                on_result=handlers.on_report,
                backoff=settings.call_backoff,
            ),
        ],
        database=database,
        vault=vault,
        client=client,
    )
    return service


def send_window() -> SendWindow:
    """When messages that may wait are sent, by the clocks as they are now."""
    return load_clocks().send_window


def build(settings: Settings) -> FastAPI:
    """Notify as it is served: consumers, channels, JSON API and pages."""
    handlers = Handlers(send_window, settings.zone)
    service = build_service(settings, handlers)
    revealing = Revealing(service, service.vault)
    return create_app(
        service,
        routers=[
            api.router(service),
            pages.router(service, handlers, revealing),
            audit_pages.router(service, audit.LOG, audit.WORDS, revealing.open_line),
            kept_views.router(service, {"messages": pages.MESSAGES}, Permission.MESSAGE_VIEW),
            operations.router(service),
        ],
        settings=settings,
        package=Path(__file__).parent,
    )
