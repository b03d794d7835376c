"""A customer asks that their data be deleted (个人信息保护法 47): done at once where no duty to
keep it runs, else locked away until that ends."""

from __future__ import annotations

from services.intake import paper_store, store_customer
from services.intake.application import DESTRUCTION
from services.intake.store import ApplicationStore, forget_devices
from shared.clock import Clock
from shared.messaging import Call
from shared.messaging.broker import fetch_cluster
from shared.messaging.outbox import Outbox, Wanted, new_cause
from shared.postgres.pool import connect
from shared.privacy.vault import VAULT_DATABASE, Erasure
from shared.privacy.vault_database import open_vault
from shared.settings import Settings

_SOURCE = "/banka/intake"


class ErasureError(ValueError):
    """The data cannot be deleted; the text says why."""


async def erase(
    settings: Settings,
    clock: Clock,
    number: str,
    *,
    database: str | None = None,
    vault_database: str = VAULT_DATABASE,
) -> Erasure:
    """Delete, or restrict, the data of who applied under this number. Raises ErasureError where
    nobody did, or something of theirs goes on.

    Asked again it is done again: whatever stopped before the papers were deleted is made up for.
    """
    now = clock.now()
    cluster = await fetch_cluster(settings)
    vault, pool = await open_vault(settings, "intake", database=vault_database, max_size=1)
    conn = await connect(settings, "intake", database=database)
    try:
        async with conn.transaction():
            row = await conn.fetchrow(
                "SELECT application_id, person FROM application WHERE application_number = $1",
                number,
            )
            if row is None:
                raise ErasureError("there is no application with this number")
            if await paper_store.has_others(conn, row["person"]):
                raise ErasureError("an application or a card of this person goes on: end it first")
            until = await paper_store.duty_until(conn, row["person"])
            if until is not None:  # the vault may not have been told yet
                await vault.hold(row["person"], until)
            outcome = await vault.destroy(row["person"], now, on_duty=until is not None)
            await forget_devices(conn, row["person"])
            store = ApplicationStore()
            loaded = await store.load(conn, [row["application_id"]])  # type: ignore[arg-type]
            app = loaded[row["application_id"]]
            await store_customer.forget_person(conn, row["person"])
            app.note(now, "operator", f"erasure_{outcome}")
            await store.save(conn, [app])  # type: ignore[arg-type]
            call = Call(
                DESTRUCTION, f"{row['person']} {now.isoformat()}", {"why": paper_store.ASKED_FOR}
            )
            await Outbox(_SOURCE, cluster.topics).write(
                conn,  # type: ignore[arg-type]
                [Wanted(call, row["person"], new_cause("operator"))],
                now,
            )
    finally:
        await conn.close()
        await pool.close()
    return outcome
