"""A customer asks that their data be deleted (个人信息保护法 47): done at once where no duty to
keep it runs, else locked away until that ends."""

from __future__ import annotations

from collections.abc import Iterable

from services.intake import paper_store, store
from services.intake.application import DESTRUCTION, Application
from services.intake.store import ApplicationStore
from shared.calendar import business_day
from shared.clock import Clock
from shared.events.payload import PartyRole
from shared.messaging import Call
from shared.messaging.broker import fetch_cluster
from shared.messaging.outbox import Outbox, Wanted, new_cause
from shared.postgres.pool import connect
from shared.privacy.vault import VAULT_DATABASE, Erasure, Vault
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
    role there (the main applicant of a supplementary card, a contact person). Raises ErasureError
    where nobody has, or something goes on that needs them: it names the applications.

    Whom somebody else merely names as a contact is forgotten all the same: what that application
    says of them stays as long as it goes on, and no longer belongs to the person they were known
    as. The duty to keep is about customers: of a contact person nothing is kept for it.

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
            asked = await store.find_application(conn, application_id)
            assert asked is not None  # nobody deletes one
            roles = {party.role: party.person for party in asked.parties}
            person = asked.holder.person if role is None else roles.get(role)
            if person is None:
                raise ErasureError("nobody has this role in the application")
            kept = ApplicationStore()
            named = await kept.load(conn, await store.naming(conn, person))  # type: ignore[arg-type]
            known, over = await paper_store.over(conn, named)
            customers = {one for one, app in named.items() if not _contact_alone(app, person)}
            going_on = known - over
            parted = going_on - customers - {application_id}
            if needed := going_on - parted:
                raise ErasureError(_goes_on([named[one] for one in needed]))
            for one in parted:
                await _part(vault, named[one], person)
            until = await paper_store.duty_until(conn, customers)
            if until is not None:  # the vault may not have been told yet
                await vault.hold(person, until)
            outcome = await vault.destroy(person, now, on_duty=until is not None)
            await store.forget_person(conn, sorted(named.keys() - parted))
            app = named[application_id]
            app.note(now, "operator", f"erasure_{outcome}")
            await kept.save(conn, [app, *(named[one] for one in parted)])  # type: ignore[arg-type]
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


def _contact_alone(app: Application, person: str) -> bool:
    """Whether the application merely names them as a contact."""
    return {one.role for one in app.parties if one.person == person} == {PartyRole.CONTACT}


def _goes_on(apps: Iterable[Application]) -> str:
    """Why nothing is deleted now: which applications go on, and until when their step does."""
    told = []
    for app in sorted(apps, key=lambda one: one.need_scope().application_number):
        due = f", due by {business_day(app.due_at)}" if app.due_at else ""
        told.append(f"{app.need_scope().application_number} ({app.state}{due})")
    return (
        "an application or a card goes on that needs this person; ask again when it has ended: "
        + ("; ".join(told))
    )


async def _part(vault: Vault, app: Application, person: str) -> None:
    """Whom the application names as a contact is somebody of their own from now on."""
    for place, party in enumerate(app.parties):
        if party.person == person:
            own = await vault.part(party.party_id)
            app.parties[place] = party.model_copy(update={"person": own})
