"""The vault's own database: its schema, brought up to date by intake, and a service's way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from shared.postgres.migrate import read_migrations
from shared.postgres.pool import connect, open_pool
from shared.privacy.bank_key import BankKey, BankKeyError
from shared.privacy.vault import VAULT_DATABASE, VAULT_MIGRATIONS, Vault
from shared.settings import SettingsError

if TYPE_CHECKING:
    import asyncpg

    from shared.settings import Settings

VAULT_OWNER = "vault_owner"
_WRAPPED_BY_ANOTHER = (
    "SELECT bank_key_id FROM vault.person_key WHERE bank_key_id <> ALL ($1::text[]) LIMIT 1"
)
_FIRST_INDEX_KEY = "INSERT INTO vault.index_key (bank_key_id) VALUES ($1) ON CONFLICT DO NOTHING"
_LOCK = 0x7661756C74  # "vault": one migration at a time

log = structlog.get_logger(__name__)


class VaultSchemaError(RuntimeError):
    """The vault's schema is not the one of this build."""


async def migrate_vault(settings: Settings, *, database: str = VAULT_DATABASE) -> list[str]:
    """Bring the vault's schema up to date as its owner; returns the files applied now.

    Raises VaultSchemaError if a file was changed after it was applied.
    """
    conn = await connect(settings, "vault", database=database, role=VAULT_OWNER)
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS public.vault_migration"
            " (number int PRIMARY KEY, name text NOT NULL, digest text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {
            row["number"]: row["digest"]
            for row in await conn.fetch("SELECT number, digest FROM public.vault_migration")
        }
        applied = []
        for migration in read_migrations("vault", VAULT_MIGRATIONS):
            if migration.number in known:
                if known[migration.number] != migration.digest:
                    raise VaultSchemaError(f"{migration.name} was changed after it was applied")
                continue
            async with conn.transaction():
                await conn.execute(migration.sql)
                await conn.execute(
                    "INSERT INTO public.vault_migration (number, name, digest) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.digest,
                )
            log.info("migration applied", scope="vault", file=migration.name)
            applied.append(migration.name)
        return applied
    finally:
        await conn.close()


def read_bank_key(settings: Settings) -> BankKey:
    """The bank key from its secret file; raises SettingsError."""
    try:
        return BankKey.from_secret(settings.secret("bank-key"))
    except BankKeyError as problem:
        raise SettingsError(f"secret {settings.secrets_dir / 'bank-key'}: {problem}") from None


async def open_vault(
    settings: Settings, service: str, *, database: str = VAULT_DATABASE, max_size: int = 4
) -> tuple[Vault, asyncpg.Pool[asyncpg.Record]]:
    """The vault as this service sees it, and its pool, which the caller closes in the end.

    Raises SettingsError where the bank key of the secret's file is not the one that wrapped what
    lies in the vault: nothing could be opened, and what came next would be sealed for another key.
    Likewise where its last line is not the one that the search began with: nobody would be found,
    and whoever is known would be taken for somebody new.
    """
    key = read_bank_key(settings)
    pool = await open_pool(settings, service, database=database, min_size=1, max_size=max_size)
    try:
        wrong = await _not_of_this_vault(pool, key, service)
    except BaseException:
        pool.terminate()
        raise
    if wrong is not None:
        await pool.close()
        raise SettingsError(f"secret {settings.secrets_dir / 'bank-key'}: {wrong}")
    return Vault(pool, key), pool


async def _not_of_this_vault(
    pool: asyncpg.Pool[asyncpg.Record], key: BankKey, service: str
) -> str | None:
    """Why the file's keys are not those of this vault; None where they are."""
    if unknown := await pool.fetchval(_WRAPPED_BY_ANOTHER, list(key.ids)):
        return (
            f"lacks the key {unknown}, which wrapped persons' keys in the vault; put its line back,"
            " or the database that belongs to this file"
        )
    if service == "intake":  # which fills the index
        await pool.execute(_FIRST_INDEX_KEY, key.index_id)
    began = await pool.fetchval("SELECT bank_key_id FROM vault.index_key")
    if began not in (None, key.index_id):
        return (
            f"its last line is not the key {began}, by which people are found; put that line last,"
            " and a new one first"
        )
    return None


async def rotate_bank_key(settings: Settings, *, database: str = VAULT_DATABASE) -> int:
    """Wrap all persons' keys under the first key of the secret's file; how many were not yet. It
    may be stopped and begun again, while the services run. Raises SettingsError."""
    vault, pool = await open_vault(settings, "intake", database=database, max_size=1)
    try:
        wrapped = 0
        while some := await vault.rotate():
            wrapped += some
        return wrapped
    finally:
        await pool.close()
