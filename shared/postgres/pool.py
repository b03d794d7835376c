"""Connections to a service's own database, each role by its own password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from shared.settings import Settings

#: seconds; a statement of ours that takes longer is stuck, and a poll must not hang for ever
STATEMENT_TIMEOUT = 60
#: seconds; a server that recovers may take a connection and not answer it
CONNECT_TIMEOUT = 10
#: seconds; no transaction of ours waits for anything outside the database
IDLE_IN_TRANSACTION = 60
#: how long a plan is kept that was made for any arguments: tables grow
PLAN_SECONDS = 60
#: seconds; a client that is gone without a word (power, network) holds its locks no longer
GONE = 30


def database_of(service: str) -> str:
    """The name of a service's database."""
    return f"banka_{service}"


def app_role(service: str) -> str:
    """The role that reads and writes rows."""
    return f"{service}_app"


def owner_role(service: str) -> str:
    """The role that owns tables; used by migrations alone."""
    return f"{service}_owner"


def session_settings(name: str, *, patient: bool = False, by_key: bool = False) -> dict[str, str]:
    """What every session of ours sets; `synchronous_commit` stays on: a commit is a promise.

    patient: no statement is too long, as for an operator who reads whole logs. by_key: for work
    that finds its rows by key alone. A statement's plan is kept, and goes by index however small
    the table was when it was made; otherwise each run would be planned for the length of its
    arrays, which takes longer than the run. A join with an array says `= ANY` of it besides: the
    plan of a small table may else read all of it, and the table grows.
    """
    planned_once = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
    return {
        "application_name": name,
        "statement_timeout": "0" if patient else str(STATEMENT_TIMEOUT * 1000),
        "idle_in_transaction_session_timeout": "0" if patient else str(IDLE_IN_TRANSACTION * 1000),
        # the server asks for a sign of life three times; Linux' own way takes two hours
        "tcp_keepalives_idle": str(GONE // 2),
        "tcp_keepalives_interval": str(GONE // 6),
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": str(GONE * 1000),
        "timezone": "UTC",
        "jit": "off",
        **(planned_once if by_key else {}),
    }


async def open_pool(
    settings: Settings,
    service: str,
    *,
    database: str | None = None,
    role: str | None = None,
    min_size: int = 2,
    max_size: int = 12,
    by_key: bool = False,
) -> asyncpg.Pool[asyncpg.Record]:
    """A pool on the service's database as its application role; by_key: as in `session_settings`.
    Raises OSError if the database is away."""
    pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(
        settings.postgres_url(database or database_of(service), role or app_role(service)),
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=STATEMENT_TIMEOUT + 5,
        max_inactive_connection_lifetime=300,
        max_cached_statement_lifetime=PLAN_SECONDS if by_key else 300,
        reset=_keep,
        server_settings=session_settings(f"banka-{service}", by_key=by_key),
    )
    return pool


async def _keep(_: object) -> None:
    """Nothing to reset, and so no round trip for every transaction.

    asyncpg itself rolls back what is open; of a session's own state (`SET`, advisory locks,
    LISTEN) nothing of ours makes any on a pooled connection: use `SET LOCAL`.
    """


async def connect(
    settings: Settings,
    service: str,
    *,
    database: str | None = None,
    role: str | None = None,
    patient: bool = False,
    by_key: bool = False,
) -> asyncpg.Connection[Any]:
    """One direct connection outside any pool: for advisory locks, migrations and tools. patient,
    by_key: as in `session_settings`."""
    return await asyncpg.connect(
        settings.postgres_url(database or database_of(service), role or app_role(service)),
        timeout=CONNECT_TIMEOUT,
        command_timeout=None if patient else STATEMENT_TIMEOUT + 5,
        server_settings=session_settings(f"banka-{service}", patient=patient, by_key=by_key),
    )
