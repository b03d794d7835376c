"""Schema changes: plain SQL files in order, each applied once, never edited afterwards.

Files are named `NNNN_what_it_does.sql`. The kernel's come first, then the service's own. What was
applied is recorded with its digest; a file that was changed afterwards is refused, because two
databases of the same version would differ.

The build of before goes on while the new one comes, so a file adds and takes nothing away that the
build of before needs, however many a release brings. One that does take something away is for a
later release, and says on a line of its own up to which file a build has to know the schema, to
work with it: `-- needs 0012`. That is recorded, too, because the build of before has no such file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from shared.postgres.pool import app_role, connect, owner_role

if TYPE_CHECKING:
    from asyncpg import Connection

    from shared.settings import Settings

KERNEL = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_NEEDS = re.compile(r"^-- needs (\d{4})$", re.MULTILINE)
_LOCK = 0x62616E6B61  # "banka": one migration at a time per database

log = structlog.get_logger(__name__)


class SchemaMismatch(RuntimeError):
    """The database's schema is not the one that this build works with."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. scope: "kernel" or the service's name; number: from 1, unbroken per scope."""

    scope: str
    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def needs(self) -> int:
        """The last number that a build has to know so as to work once this is applied; 0: any."""
        found = _NEEDS.search(self.sql)
        return int(found[1]) if found else 0


def read_migrations(scope: str, folder: Path) -> list[Migration]:
    """The files of a folder in order. Raises SchemaMismatch for a bad name, a missing number, or a
    need of a number that does not come before."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise SchemaMismatch(f"{path.name}: a migration is named NNNN_what_it_does.sql")
        found.append(Migration(scope, int(match[1]), path.name, path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise SchemaMismatch(f"{scope}: number {expected:04d} is missing or used twice")
        if migration.needs >= migration.number:
            raise SchemaMismatch(
                f"{migration.name}: needs {migration.needs:04d}, which is not before"
            )
    return found


def service_migrations(service: str) -> Path:
    """The folder of a service's own migrations."""
    return Path(__file__).parents[2] / "services" / service / "migrations"


async def migrate(
    settings: Settings,
    service: str,
    *,
    folder: Path | None = None,
    database: str | None = None,
) -> list[Migration]:
    """Bring the service's database up to date as its owner; returns what was applied now: nothing
    where a newer build was here before.

    Raises SchemaMismatch if an applied file was changed, or leaves this build behind.
    """
    conn = await connect(
        settings, service, database=database, role=owner_role(service), patient=True
    )
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await _prepare(conn, app_role(service))
        applied = []
        wanted = read_migrations("kernel", KERNEL) + read_migrations(
            service, folder or service_migrations(service)
        )
        known = await _known(conn)
        _refuse_unfit(wanted, known)
        for migration in wanted:
            if (migration.scope, migration.number) in known:
                continue
            async with conn.transaction():
                await conn.execute(
                    "SELECT set_config('banka.app_role', $1, true)", app_role(service)
                )
                await conn.execute(migration.sql)
                await conn.execute(
                    "INSERT INTO public.migration (scope, number, name, digest, needs)"
                    " VALUES ($1, $2, $3, $4, $5)",
                    migration.scope,
                    migration.number,
                    migration.name,
                    migration.digest,
                    migration.needs,
                )
            log.info("migration applied", scope=migration.scope, file=migration.name)
            applied.append(migration)
        return applied
    finally:
        await conn.close()


async def check_schema(conn: Any, service: str, *, folder: Path | None = None) -> None:
    """Refuse to run on a schema that this build does not work with.

    Everything this build brings must be applied and unchanged; newer migrations are fine, except
    where one needs a build that knows more than this one.
    """
    wanted = read_migrations("kernel", KERNEL) + read_migrations(
        service, folder or service_migrations(service)
    )
    if await conn.fetchval("SELECT to_regclass('public.migration')") is None:
        raise SchemaMismatch(f"the database is empty: run `python -m services.{service} migrate`")
    if not await _records_needs(conn):
        raise SchemaMismatch(f"an older build migrated: run `python -m services.{service} migrate`")
    known = await _known(conn)
    for migration in wanted:
        if (migration.scope, migration.number) not in known:
            raise SchemaMismatch(
                f"{migration.name} is not applied: run `python -m services.{service} migrate`"
            )
    _refuse_unfit(wanted, known)


async def _prepare(conn: Connection[Any], app: str) -> None:
    # Default rights, so that a later REVOKE inside a migration stays revoked.
    await conn.execute(f"""
        ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{app}";
        ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO "{app}";
        ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO "{app}";
    """)
    await conn.execute("""
        CREATE TABLE IF NOT EXISTS public.migration (
            scope text NOT NULL, number int NOT NULL, name text NOT NULL, digest text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (scope, number)
        )
    """)
    # asked first: to add what is there waits for whoever reads the table
    if not await _records_needs(conn):
        await conn.execute("ALTER TABLE public.migration ADD COLUMN needs int NOT NULL DEFAULT 0")
    await conn.execute(f'REVOKE INSERT, UPDATE, DELETE ON public.migration FROM "{app}"')


async def _records_needs(conn: Any) -> bool:
    """Whether the table is that of a build which knew what a migration needs."""
    return bool(
        await conn.fetchval(
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.migration'::regclass"
            " AND attname = 'needs' AND NOT attisdropped)"
        )
    )


@dataclass(frozen=True, slots=True)
class _Applied:
    """What the database records of a migration."""

    digest: str
    needs: int


async def _known(conn: Any) -> dict[tuple[str, int], _Applied]:
    rows = await conn.fetch("SELECT scope, number, digest, needs FROM public.migration")
    return {(row["scope"], row["number"]): _Applied(row["digest"], row["needs"]) for row in rows}


def _refuse_unfit(wanted: Sequence[Migration], known: dict[tuple[str, int], _Applied]) -> None:
    last: dict[str, int] = {}
    for migration in wanted:
        last[migration.scope] = max(last.get(migration.scope, 0), migration.number)
        applied = known.get((migration.scope, migration.number))
        if applied is not None and applied.digest != migration.digest:
            raise SchemaMismatch(
                f"{migration.scope} {migration.name} was changed after it was applied:"
                " write a new migration instead"
            )
    for (scope, number), applied in known.items():
        if number > last.get(scope, 0) < applied.needs:
            raise SchemaMismatch(
                f"{scope} {number:04d} was applied by a newer build and needs one that knows"
                f" {applied.needs:04d}: deploy that one"
            )
