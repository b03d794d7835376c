"""Names of who applied before they could be searched are entered for search, Chinese names beside a
passport among them; the rest of the office goes on meanwhile, and it may be done again whenever it
was stopped."""

from __future__ import annotations

import json
from typing import get_args

import structlog

from shared.postgres.pool import connect
from shared.privacy.vault import VAULT_DATABASE, NameKind
from shared.privacy.vault_database import open_vault
from shared.settings import Settings

log = structlog.get_logger(__name__)

_STEP = 500  # applications at once: their keys are in memory for a minute

_PARTIES = """
SELECT f.application_id, f.body -> 'parties' AS parties FROM application_file f
WHERE f.application_id > $1 ORDER BY f.application_id LIMIT $2
"""


async def index_names(
    settings: Settings, *, database: str | None = None, vault_database: str = VAULT_DATABASE
) -> int:
    """Enter the names of all parties who cannot be found by theirs; how many were entered. Whoever
    is locked or erased is left out."""
    vault, pool = await open_vault(settings, "intake", database=vault_database, max_size=1)
    conn = await connect(settings, "intake", database=database)
    entered, last = 0, ""
    try:
        while rows := await conn.fetch(_PARTIES, last, _STEP):
            last = rows[-1]["application_id"]
            parties = [party for row in rows for party in json.loads(row["parties"] or "[]")]
            for kind in get_args(NameKind):
                sealed = {
                    party["party_id"]: {kind: party["fields"][kind]}
                    for party in parties
                    if kind in party["fields"]
                }
                lacking = await vault.unnamed(list(sealed), kind)
                opened = await vault.open_parties(
                    {party_id: sealed[party_id] for party_id in lacking}, leave_out_unavailable=True
                )
                names = {who: fields[kind] for who, fields in opened.items() if kind in fields}
                entered += await vault.enter_names(names, kind)
            log.info("names are entered for search", application_id=last, count=entered)
    finally:
        await conn.close()
        await pool.close()
    return entered
