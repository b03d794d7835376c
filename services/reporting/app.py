"""The composition root of reporting: what it reads, what it watches, what it shows."""

from pathlib import Path

from fastapi import FastAPI

from services.reporting import api, audit, handlers, pages
from services.reporting.store import ApplicationStore
from shared.clock import open_clock
from shared.events import notify, reporting
from shared.events.catalog import group
from shared.events.lifecycle import BY_TYPE
from shared.messaging import Consumer, Deadlines, Service
from shared.settings import Settings
from shared.web import Permission, audit_pages, kept_views, operations
from shared.web.directory import directory_consumer
from shared.web.service import create_app

NAME = "reporting"

_MESSAGES = (
    notify.MessageRequested,
    notify.MessageSent,
    notify.MessageDelivered,
    notify.MessageFailed,
    notify.MessageUnresolved,
)
_CASES = (reporting.CaseStalled, reporting.CaseResumed)


def build_service(settings: Settings, *, database: str | None = None) -> Service:
    """Reporting without its web pages; `database` is for tests."""
    store = ApplicationStore()
    return Service(
        name=NAME,
        settings=settings,
        clock=open_clock(settings),
        consumers=[
            Consumer(
                name=group(NAME, "banka.applications"),
                topic="banka.applications",
                store=store,
                handlers=dict.fromkeys(BY_TYPE.values(), handlers.on_lifecycle_event),
            ),
            Consumer(
                name=group(NAME, "banka.contacts"),
                topic="banka.contacts",
                store=store,
                handlers=dict.fromkeys(_MESSAGES, handlers.on_message_event),
            ),
            Consumer(
                name=group(NAME, "banka.cases"),
                topic="banka.cases",
                store=store,
                handlers=dict.fromkeys(_CASES, handlers.on_case_event),
            ),
            directory_consumer(NAME),
        ],
        deadlines=[Deadlines(store=store, handlers={handlers.SILENCE: handlers.on_silence})],
        database=database,
    )


def build(settings: Settings) -> FastAPI:
    """Reporting as it is served: consumers, silence watch, JSON API and pages."""
    service = build_service(settings)
    return create_app(
        service,
        routers=[
            api.router(service, settings.zone),
            pages.router(service, settings.zone),
            audit_pages.router(service, audit.LOG, audit.WORDS),
            kept_views.router(
                service, {"applications": pages.APPLICATIONS}, Permission.APPLICATION_VIEW
            ),
            operations.router(service),
        ],
        settings=settings,
        package=Path(__file__).parent,
    )
