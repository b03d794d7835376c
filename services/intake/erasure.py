"""A customer asks that their data be deleted (个人信息保护法 47): done at once where no duty to
keep it runs, else locked away until that ends."""

from __future__ import annotations

from services.intake import paper_store, store
from services.intake.application import DESTRUCTION
from services.intake.store import ApplicationStore
from shared.clock import Clock
from shared.events.payload import PartyRole
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
    role: PartyRole | None = None,
    *,
    database: str | None = None,
    vault_database: str = VAULT_DATABASE,
) -> Erasure:
    """Delete, or restrict, the data of whose card it is under this number, or of who has another
    role there (the main applicant of a supplementary card). Raises ErasureError where nobody has,
    or something goes on in which they have a part.

    Asked again it is done again: whatever stopped before the papers were deleted is made up for.
    """
    now = clock.now()
    cluster = await fetch_cluster(settings)
    vault, pool = await open_vault(settings, "intake", database=vault_database, max_size=1)
    conn = await connect(settings, "intake", database=database)
    try:
        async with conn.transaction():
            application_id = await store.id_of_number(conn, number)
            if application_id is None:
                raise ErasureError("there is no application with this number")
            app = await store.find_application(conn, application_id)
            assert app is not None  # nobody deletes one
            roles = {party.role: party.person for party in app.parties}
            person = app.holder.person if role is None else roles.get(role)
            if person is None:
                raise ErasureError("nobody has this role in the application")
            named = await store.naming(conn, person)
            kept = ApplicationStore()
            app = (await kept.load(conn, named))[application_id]  # type: ignore[arg-type]
            known, over = await paper_store.over(conn, named)
            if known - over:
                raise ErasureError(
                    "an application or a card goes on in which this person has a part: end it first"
                )
            until = await paper_store.duty_until(conn, named)
            if until is not None:  # the vault may not have been told yet
                await vault.hold(person, until)
            outcome = await vault.destroy(person, now, on_duty=until is not None)
            await store.forget_person(conn, named)
            app.note(now, "operator", f"erasure_{outcome}")
            await kept.save(conn, [app])  # type: ignore[arg-type]
            call = Call(DESTRUCTION, f"{person} {now.isoformat()}", {"why": paper_store.ASKED_FOR})
            await Outbox(_SOURCE, cluster.topics).write(
                conn,  # type: ignore[arg-type]
                [Wanted(call, person, new_cause("operator"))],
                now,
            )
    finally:
        await conn.close()
        await pool.close()
    return outcome
