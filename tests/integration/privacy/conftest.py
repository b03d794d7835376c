"""A vault of its own for every test, reached with the real roles and their passwords."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import asyncpg
import pytest

from deploy import local
from shared.identifiers import new_id
from shared.privacy.vault import Vault
from shared.privacy.vault_database import migrate_vault, open_vault
from shared.settings import Environment, Settings

ROLES = ("vault_owner", "intake_app", "review_app", "notify_app", "reporting_app")


@dataclass
class VaultWorld:
    """A migrated vault database and the way in for each service."""

    settings: Settings
    database: str
    superuser_url: str
    exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def vault_of(self, service: str) -> Vault:
        """The vault as the service sees it, with an empty cache."""
        vault, pool = await open_vault(self.settings, service, database=self.database)
        self.exits.push_async_callback(pool.close)
        return vault


@pytest.fixture
async def world(stack: local.Stack) -> AsyncIterator[VaultWorld]:
    database = "vault_" + new_id().replace("-", "")
    admin = await asyncpg.connect(stack.superuser_url())
    try:
        for role in ROLES:
            await _ensure_role(admin, role, stack.secret(f"postgres-{role}"))
        await admin.execute(f"CREATE DATABASE {database} OWNER vault_owner")
        await admin.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
        await admin.execute(
            f"GRANT CONNECT ON DATABASE {database} TO intake_app, review_app, notify_app"
        )
        settings = Settings(
            service="intake",
            environment=Environment.TEST,
            postgres_dsn=stack.postgres_dsn,
            secrets_dir=stack.secrets_dir,
        )
        assert await migrate_vault(settings, database=database)
        world = VaultWorld(settings, database, stack.superuser_url(database))
        async with world.exits:
            yield world
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        await admin.close()


async def _ensure_role(admin: asyncpg.Connection, role: str, password: str) -> None:
    # other test processes on the same server do the same at the same moment
    async with admin.transaction():
        await admin.execute("SELECT pg_advisory_xact_lock(7237128)")
        if await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) is None:
            await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
