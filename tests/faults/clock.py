"""The clock is set back and forward while the office runs: the machine's, as far as the office can
see it. No process here may set a real one, so each service's business clock reads how far it is off
from a file, and in each database `now()` and `clock_timestamp()` are ours, which read it from a
table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from tests.faults.office import STAGES, shift_file

if TYPE_CHECKING:
    from tests.faults.running import Office

_OURS = """
CREATE SCHEMA shifted;
CREATE TABLE shifted.clock (off_by interval NOT NULL);
INSERT INTO shifted.clock VALUES ('0');
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + off_by FROM shifted.clock';
CREATE FUNCTION shifted.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + off_by FROM shifted.clock';
GRANT USAGE ON SCHEMA shifted TO PUBLIC;
GRANT SELECT ON shifted.clock TO PUBLIC;
"""

_DEFAULTS = """
SELECT format('ALTER TABLE %I.%I ALTER %I SET DEFAULT shifted.%s', table_schema, table_name,
              column_name, column_default)
FROM information_schema.columns
WHERE table_schema = 'messaging' AND column_default IN ('now()', 'clock_timestamp()')
"""


async def set_back_and_forward(office: Office) -> str:
    """With calls and events in the air that wait for a moment, and calls whose worker is dead."""
    for stage in STAGES:
        await _install(office, stage)
        member = office.of(stage)
        await office.stop(member)
        await office.start(stage, member.instance)
    office.world.failing = 0.3
    office.driver.moods.extend(["review:flaky", "notify:flaky", "reporting:flaky"] * 10)
    for hours in (-1, 1):
        await office.ended(office.driver.ended + 15)
        member = office.of("notify")
        member.kill()
        await _set(office, hours)
        await office.start("notify", member.instance)
    await office.ended(office.driver.ended + 15)
    office.world.failing = 0.0
    return "the clock set back by an hour, then forward by two, with calls and retries in the air"


async def _install(office: Office, stage: str) -> None:
    name = office.database(stage)
    conn = await asyncpg.connect(office.stack.superuser_url(name))
    try:
        await conn.execute(_OURS)
        for (statement,) in await conn.fetch(_DEFAULTS):
            await conn.execute(statement)
        await conn.execute(f'ALTER DATABASE "{name}" SET search_path = shifted, pg_catalog, public')
    finally:
        await conn.close()


async def _set(office: Office, hours: int) -> None:
    """So far off is the clock now, everywhere."""
    path = shift_file(office.stack, office.names)
    incoming = path.with_suffix(".incoming")
    incoming.write_text(str(hours * 3600))
    incoming.replace(path)
    await asyncio.gather(
        *(
            office.fetch(
                stage, "UPDATE shifted.clock SET off_by = make_interval(hours => $1)", hours
            )
            for stage in STAGES
        )
    )
