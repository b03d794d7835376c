"""The composition root of intake: what it hears, from whom it takes applications, what it shows."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from asyncpg import Record
from asyncpg.pool import Pool
from fastapi import FastAPI

from services.intake import (
    api,
    api_precheck,
    audit,
    audit_words,
    page_papers,
    pages,
    pages_batches,
    pages_counter,
    pages_customer,
    pages_limits,
    pages_lists,
    pages_precheck,
    pages_reading,
    pages_reveal,
    pages_staff,
    readings,
    signin,
)
from services.intake.api_problems import KINDS
from services.intake.customer import Customers
from services.intake.desk import Desk
from services.intake.handlers import DEADLINES, HANDLERS
from services.intake.inbound import EARLY_DEADLINE, Reception, number_drawer, on_early_deadline
from services.intake.papers import Papers
from services.intake.store import ApplicationStore, EarlyStore, products_in_use
from services.intake.tables import Tables
from services.intake.timing import Timing
from shared import places
from shared.clock import open_clock
from shared.documents import DocumentStore
from shared.events.catalog import group
from shared.messaging import Consumer, Deadlines, Service
from shared.paper_images import PaperReader
from shared.parameters.held import Held
from shared.parameters.load import held
from shared.privacy.jwe import OfficeKeys
from shared.privacy.vault import VAULT_DATABASE, Vault
from shared.privacy.vault_database import open_vault, read_bank_key
from shared.settings import Environment, Settings, SettingsError
from shared.web import Permission, audit_pages, kept_views, operations
from shared.web.clients import ApiClients
from shared.web.directory import directory_consumer
from shared.web.oidc import load_provider
from shared.web.service import create_app

log = structlog.get_logger(__name__)

NAME = "intake"
TOPIC = "banka.applications"
_VAULT_CONNECTIONS = 8


class Archive:
    """The vault and the papers as intake's role sees them; opened when the service starts."""

    def __init__(self, settings: Settings, database: str = VAULT_DATABASE) -> None:
        self._settings = settings
        self._database = database
        self._opened: tuple[Vault, Pool[Record]] | None = None
        self._documents: DocumentStore | None = None
        settings.required("documents_url")

    async def start(self) -> None:
        """Log in; nothing may be opened before."""
        self._opened = await open_vault(
            self._settings, NAME, database=self._database, max_size=_VAULT_CONNECTIONS
        )
        self._documents = DocumentStore(self._settings.documents_url, self._opened[0])

    async def stop(self) -> None:
        """Log out."""
        if self._opened is not None:
            await self._opened[1].close()
            self._opened = self._documents = None

    async def vault(self) -> Vault:
        """Where persons' keys are."""
        assert self._opened is not None
        return self._opened[0]

    async def documents(self) -> DocumentStore:
        """Where papers are."""
        assert self._documents is not None
        return self._documents

    def failing(self) -> dict[str, str]:
        """{put, get or delete: why the store of papers failed the last time}."""
        return {} if self._documents is None else self._documents.failing


@dataclass(kw_only=True)
class Intake(Service):
    """The service with what its desk holds open besides: vault, papers, and who decodes them."""

    archive: Archive = field(repr=False)
    reader: PaperReader = field(repr=False)
    papers: Papers = field(repr=False)
    tables: Tables = field(repr=False)
    timing: Timing = field(repr=False)
    customers: Customers = field(repr=False)
    _compared: tuple[Held, dict[str, str]] | None = field(default=None, init=False, repr=False)

    async def start(self) -> None:
        """Opens the vault before anything is taken."""
        await self._patiently(self.archive.start)
        await super().start()
        self._spawn("intake-retention", self.papers.sweeping())
        self._spawn("intake-timing", self.timing.sweeping())
        self._spawn("intake-tables", self.tables.run())

    async def notes(self) -> dict[str, str]:
        """Also whether applications under way began with rules that are not held any more."""
        now = held()
        if self._compared is None or self._compared[0] is not now:
            # the database is away, or not there yet: the checks say so
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2.0), self.pool.acquire() as conn:
                    self._compared = now, await unheld(conn, now)
        return {
            **(self._compared[1] if self._compared else {}),
            **{f"papers ({what})": why for what, why in self.archive.failing().items()},
            **await super().notes(),
        }

    async def stop(self) -> None:
        """Closes the vault when the last that needed it has finished."""
        await super().stop()
        self.reader.close()
        await self.archive.stop()


async def unheld(conn: Any, now: Held) -> dict[str, str]:
    """{product version: how many open applications began with it as it is not held}; logged."""
    digests = now.digests()
    counts: Counter[tuple[str, str]] = Counter()
    for product, version, digest, count in await products_in_use(conn):
        here = digests.get((product, version))
        if here is None or digest not in (None, here):
            counts[product, version] += count
    found = {}
    for (product, version), count in counts.items():
        what = "was changed" if (product, version) in digests else "is missing"
        found[f"product {product} {version}"] = (
            f"{what}; {count} open applications began with it: put its file back"
        )
    if found:
        log.error("open applications began with other parameters", detail=found)
    return found


def build_service(
    settings: Settings, *, database: str | None = None, vault_database: str = VAULT_DATABASE
) -> tuple[Intake, Desk, OfficeKeys]:
    """Intake without its web pages, its desk, and the keys to which partners encrypt; the database
    names are for tests."""
    service: Intake
    store, archive, keys = (
        ApplicationStore(),
        Archive(settings, vault_database),
        office_keys(settings),
    )
    bank_key = read_bank_key(settings)
    reader = PaperReader()
    desk = Desk(lambda: service, archive.vault, archive.documents, bank_key.blind, reader)
    papers = Papers(lambda: service, desk, archive.vault, archive.documents, reader)
    reception = Reception(desk, keys, number_drawer(lambda: service.pool))
    service = Intake(
        name=NAME,
        settings=settings,
        clock=open_clock(settings),
        consumers=[
            Consumer(name=group(NAME, TOPIC), topic=TOPIC, store=store, handlers=HANDLERS),
            directory_consumer(NAME),
        ],
        inbound=reception.inbound(),
        workers=papers.workers(),
        deadlines=[
            Deadlines(store=store, handlers=DEADLINES),
            Deadlines(store=EarlyStore(), handlers={EARLY_DEADLINE: on_early_deadline}),
        ],
        database=database,
        archive=archive,
        reader=reader,
        papers=papers,
        tables=Tables(lambda: service, desk, bank_key),
        timing=Timing(lambda: service),
        customers=Customers(lambda: service, desk, archive.vault, bank_key.blind),
    )
    return service, desk, keys


def office_keys(settings: Settings) -> OfficeKeys:
    """The keys to which partners encrypt; raises SettingsError."""
    try:
        return OfficeKeys.from_secret(settings.secret("office-key.json"))
    except ValueError as problem:
        raise SettingsError(str(problem)) from None


def build_app(service: Intake, desk: Desk, keys: OfficeKeys) -> FastAPI:
    """API and pages over a service."""
    settings = service.settings
    production = settings.environment is Environment.PRODUCTION
    provider = load_provider(settings.secrets_dir, production=production)
    show = pages.shower(service, desk, service.papers)
    return create_app(
        service,
        routers=[
            api.router(service, desk, service.tables, keys.public_jwks),
            api_precheck.router(service, desk),
            readings.api(desk),
            # the form's address is not an application's: it comes first
            pages_counter.router(service, desk),
            pages_lists.router(service, desk),
            pages_limits.router(service, desk),
            pages.router(service, desk, show),
            page_papers.router(service, service.papers),
            readings.pages(desk),
            pages_precheck.router(service, desk, show),
            pages_reveal.router(desk),
            pages_reading.router(service, desk, service.papers),
            audit_pages.router(service, audit.LOG, audit_words.WORDS, desk.open_line),
            kept_views.router(service, pages_lists.LISTS, Permission.APPLICATION_VIEW),
            pages_staff.router(service),
            pages_batches.router(service, service.tables),
            pages_customer.router(service, desk, service.customers, service.settings.customer_url),
            signin.router(service, provider),
            operations.router(service),
        ],
        settings=service.settings,
        package=Path(__file__).parent,
        clients=ApiClients.load(
            service.settings.secrets_dir, key=service.settings.secret("session-key").encode()
        ),
        problems=KINDS,
    )


def build(settings: Settings) -> FastAPI:
    """Intake as it is served: consumers, partners' topics, deadlines, JSON API and pages."""
    places.load()
    return build_app(*build_service(settings))
