"""The composition root of review: what it reads, whom it asks, what it shows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response

from services.review import (
    accounts,
    api,
    appeal_api,
    appeal_pages,
    audit,
    dispute_api,
    dispute_pages,
    disputes,
    drift_pages,
    handlers,
    limit_api,
    limit_pages,
    officer_pages,
    pages,
    policy_pages,
    portfolio_pages,
    telephone_pages,
    watchlists,
)
from services.review.account_store import AccountStore
from services.review.api_problems import KINDS
from services.review.appeals import APPEAL_DEADLINE, on_appeal_deadline
from services.review.case import SNOOZE_DEADLINE, on_hold_deadline, on_snooze_deadline
from services.review.checks import ASKED, CheckName
from services.review.checks.breaker import Breaker
from services.review.desk import Desk
from services.review.disputes import DISPUTE_DEADLINE, DISPUTE_WARNING
from services.review.holds import HOLD_DEADLINE
from services.review.issuing import Issuing
from services.review.limit_changes import (
    DUE_DEADLINE,
    EXPIRY_DEADLINE,
    REMINDER_DEADLINE,
    on_due_deadline,
    on_expiry_deadline,
    on_reminder_deadline,
)
from services.review.limit_desk import LimitDesk
from services.review.officer_desk import OfficerDesk
from services.review.policy_desk import PolicyDesk
from services.review.policy_store import PolicyNotHeldError, PolicyShelf
from services.review.portfolio_desk import PortfolioDesk, PortfolioLoop
from services.review.screening import Screening
from services.review.store import CaseRecords, CaseStore
from services.review.watchlist_store import WatchlistStore
from services.review.weighing import Weighing
from services.review.workers import check_worker, limit_worker, policy_worker
from shared.clock import open_clock
from shared.events.catalog import group
from shared.messaging import Consumer, Deadlines, Service
from shared.privacy.vault import Vault
from shared.privacy.vault_database import open_vault, read_bank_key
from shared.settings import Environment, Settings
from shared.web import Permission, Problem, audit_pages, kept_views, operations
from shared.web.directory import directory_consumer
from shared.web.service import create_app

NAME = "review"
_CONNECTIONS = 32  # to the bank's systems, all together


class ReviewService(Service):
    """The kernel's service with what review needs beside it: the vault, and an HTTP client for the
    bank's systems, both opened when first needed and closed at the end; and a breaker for each."""

    breakers: Mapping[CheckName, Breaker] = {}
    _vault: Vault | None = None
    _vault_pool: Any = None
    _client: httpx.AsyncClient | None = None
    _opening: asyncio.Lock | None = None

    async def vault(self) -> Vault:
        """The vault as review's role sees it."""
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._vault is None:
                self._vault, self._vault_pool = await open_vault(self.settings, NAME)
            return self._vault

    def client(self) -> httpx.AsyncClient:
        """For the bank's systems; proxies of the environment do not apply to them."""
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False, limits=httpx.Limits(max_connections=_CONNECTIONS)
            )
        return self._client

    async def start(self) -> None:
        await super().start()
        self._spawn("review-screening", Screening(self, CaseStore()).run())
        shelf = PolicyShelf.beside(self.settings.parameters)
        self._spawn("review-weighing", Weighing(self, CaseStore(), shelf).run())
        self._spawn("review-issuing", Issuing(self).run())
        self._spawn("review-portfolio", PortfolioLoop(self, self.settings).run())

    async def notes(self) -> dict[str, str]:
        """Besides the kernel's, which systems do not answer."""
        away = {
            f"check {name}": f"no answer since {breaker.away_since:%Y-%m-%d %H:%M} UTC; cases wait"
            for name, breaker in self.breakers.items()
            if breaker.away_since is not None
        }
        return {**await super().notes(), **away}

    async def stop(self) -> None:
        await super().stop()
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._vault_pool is not None:
            await self._vault_pool.close()
            self._vault = self._vault_pool = None


def build_service(settings: Settings, *, database: str | None = None) -> ReviewService:
    """Review without its web pages; `database` is for tests."""
    clock = open_clock(settings)
    store = CaseStore()
    shelf = PolicyShelf.beside(settings.parameters)
    service = ReviewService(
        name=NAME,
        settings=settings,
        clock=clock,
        consumers=[
            Consumer(
                name=group(NAME, "banka.applications"),
                topic="banka.applications",
                store=store,
                handlers=handlers.HANDLERS,
            ),
            Consumer(
                name=group(NAME, "banka.accounts"),
                topic="banka.accounts",
                store=AccountStore(),
                handlers=accounts.HANDLERS,
            ),
            Consumer(
                name=group(NAME, "banka.watchlists"),
                topic="banka.watchlists",
                store=WatchlistStore(),
                handlers=watchlists.HANDLERS,
            ),
            directory_consumer(NAME),
        ],
        deadlines=[
            Deadlines(
                store=store,
                handlers={
                    HOLD_DEADLINE: on_hold_deadline,
                    SNOOZE_DEADLINE: on_snooze_deadline,
                    APPEAL_DEADLINE: on_appeal_deadline,
                    DUE_DEADLINE: on_due_deadline,
                    REMINDER_DEADLINE: on_reminder_deadline,
                    EXPIRY_DEADLINE: on_expiry_deadline,
                    DISPUTE_WARNING: disputes.on_warning,
                    DISPUTE_DEADLINE: disputes.on_deadline,
                },
            )
        ],
        database=database,
    )
    records = CaseRecords(lambda: service.by_key, shelf, read_bank_key(settings).blind)
    picked = picking(settings)
    service.breakers = {name: Breaker(name, clock.now) for name in ASKED}
    service.workers = [
        *(
            check_worker(
                name,
                store=store,
                client=service.client,
                url=settings.required(f"{name}_url"),
                open_vault=service.vault,
                records=records,
                breaker=service.breakers[name],
                backoff=settings.call_backoff,
            )
            for name in ASKED
        ),
        *(
            worker(
                store=store,
                open_vault=service.vault,
                records=records,
                now=clock.now,
                picked=picked,
                backoff=settings.call_backoff,
            )
            for worker in (policy_worker, limit_worker)
        ),
    ]
    return service


def picking(settings: Settings) -> Callable[[], bool]:
    """By chance, whether a person looks at what the policy would decide alone. Nobody can work out
    which: of whom compliance suspects something it is said that they were picked, too."""
    shipped = 0.01 if settings.environment is Environment.PRODUCTION else 0.0
    share = shipped if settings.sampled_share is None else settings.sampled_share
    return lambda: _chance() < share


log = structlog.get_logger(__name__)

_chance = secrets.SystemRandom().random


def build_app(service: ReviewService) -> FastAPI:
    """API and pages over a service."""
    desk = Desk(service, CaseStore(), service.vault)
    shelf = PolicyShelf.beside(service.settings.parameters)
    officers = OfficerDesk(service)
    limits = LimitDesk(service, CaseStore(), service.vault)
    app = create_app(
        service,
        routers=[
            api.router(service, desk, officers, service.vault, shelf),
            officer_pages.router(service, desk, officers),
            appeal_api.router(service, desk),
            appeal_pages.router(service, desk),
            limit_api.router(service, limits, shelf),
            limit_pages.router(service, limits),
            dispute_api.router(service, desk),
            dispute_pages.router(desk),
            telephone_pages.api(desk),
            telephone_pages.pages(desk),
            pages.router(service, desk, service.vault, shelf),
            # before the pages of a policy: `drift` is no digest
            drift_pages.router(service, PortfolioDesk(service, shelf), shelf),
            portfolio_pages.router(
                service, PolicyDesk(service, shelf), PortfolioDesk(service, shelf)
            ),
            policy_pages.router(service, PolicyDesk(service, shelf)),
            audit_pages.router(service, audit.LOG, audit.WORDS, desk.open_line),
            kept_views.router(service, {"queue": pages.QUEUE}, Permission.REVIEW_VIEW),
            operations.router(service),
        ],
        settings=service.settings,
        package=Path(__file__).parent,
        problems=KINDS,
    )
    app.add_exception_handler(PolicyNotHeldError, _on_policy_not_held)
    return app


async def _on_policy_not_held(request: Request, error: Exception) -> Response:
    """Somebody changed or took away a text that only releases may add."""
    log.error("a policy's text is not held", error=str(error))
    answer: Response = await request.app.exception_handlers[Problem](
        request, Problem(409, "policy-not-held", str(error))
    )
    return answer


def build(settings: Settings) -> FastAPI:
    """Review as it is served: consumers, workers, JSON API and pages."""
    return build_app(build_service(settings))
