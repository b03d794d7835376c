"""Who comes to a customer's own page, and how: one code at a time, a session that ends, few tries.

A code lets in once, together with the ends of the application's number and of the mobile on the
form. Who is in may take a code for the next time. Whatever does not fit is answered alike and costs
the same work, whether there is such an application or not.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import Request

from services.intake import application as applications
from services.intake import store, store_customer
from services.intake.application import Application
from services.intake.desk import Desk, visible
from services.intake.store_customer import (
    CUSTOMER,
    Access,
    AccessEntry,
    Code,
    customer_by,
    is_customer,
)
from shared.events.intake import AccessCodeIssued
from shared.events.payload import ACCESS_CODE, FIELD_CLASSES
from shared.messaging import Service
from shared.parameters import Pace, load_customer_page
from shared.privacy.vault import KeyUnavailableError, Vault
from shared.web import Problem, Viewer
from shared.web.access import CodeNeeded, Guest
from shared.web.limits import Pacer, address_of
from shared.web.permissions import WHOLE_BANK

COOKIE: Final = "banka_customer"
HOME: Final = "/progress"
OWN: Final = "/progress/application"
NUMBER_END, MOBILE_END = 6, 4  # digits
_LETTERS: Final = (
    "BCDFGHJKMNPQRSTVWXYZ"  # none that looks like another one or like a digit; no words
)
_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class OwnViewer(Viewer):
    """A customer, to the commands of the desk: no permission; which application is theirs the
    session alone says. printed_by: who (an actor) printed the slip by whose code they came."""

    printed_by: str | None = None

    @property
    def actor(self) -> str:
        """How a customer is written into events and records."""
        return customer_by(self.printed_by)


VIEWER: Final = OwnViewer(
    staff_id="",
    name="",
    roles=frozenset(),
    grants={},
    reach=WHOLE_BANK,
    language="",
)


@dataclass(frozen=True, slots=True)
class Inside(Guest):
    """A customer who is in."""

    viewer: OwnViewer


@dataclass(frozen=True, slots=True)
class Given:
    """A new code, to be shown once."""

    code: str
    number_end: str
    valid_until: datetime
    app: Application


class Customers:
    """The codes and sessions of customers' own pages."""

    def __init__(
        self,
        service: Callable[[], Service],
        desk: Desk,
        open_vault: Callable[[], Awaitable[Vault]],
        blind: Callable[[str, str], bytes],
    ) -> None:
        self._find_service = service
        self._desk = desk
        self._open_vault = open_vault
        self._blind = blind
        self._entries = Pacer()
        self._changes = Pacer()

    @property
    def _service(self) -> Service:
        return self._find_service()

    # -- codes ------------------------------------------------------------------------------------

    async def give(self, viewer: Viewer, application_id: str) -> Given:
        """A new code for the customer, to be shown once; the one before lets in no longer. Raises
        Problem 404, and 409 `no-mobile` or `erased`."""
        async with self._service.transaction(actor=viewer.actor) as tx:
            await store_customer.lock_code(tx.conn, application_id)
            app = visible(await store.find_application(tx.conn, application_id), viewer)
            return await self._keep(tx.conn, app, "issued", viewer.actor, viewer.actor, tx.now)

    async def take(self, request: Request, guest: Inside) -> Given:
        """The customer's code for the next time, as `give`. Raises CodeNeeded where the session has
        ended meanwhile: who was put out comes back by no code of their own."""
        viewer = guest.viewer
        session = _token_digest(request.cookies.get(COOKIE, ""))
        async with self._service.transaction(actor=viewer.actor) as tx:
            await store_customer.lock_code(tx.conn, guest.application_id)
            if not await store_customer.is_in(tx.conn, session, guest.application_id):
                raise CodeNeeded(f"{HOME}?ended=1")
            app = visible(await store.find_application(tx.conn, guest.application_id), viewer)
            return await self._keep(tx.conn, app, "issued", viewer.actor, viewer.printed_by, tx.now)

    async def send(self, viewer: Viewer, application_id: str) -> None:
        """A new code that reaches the customer by message: nobody here sees it. Raises Problem 404,
        and 409 `not-handed-in`, `no-mobile` or `erased`."""
        app = await self._desk.look(viewer, application_id)
        if app.submitted_at is None:
            raise Problem(409, "not-handed-in", "A code is sent once the application is handed in")
        vault = await self._open_vault()
        async with self._desk.changing(viewer, application_id) as step:
            await store_customer.lock_code(step.conn, application_id)
            given = await self._keep(step.conn, step.app, "sent", viewer.actor, None, step.now)
            party = step.app.applicant
            keys = await vault.party_keys(party.party_id, application_id)
            issued = AccessCodeIssued(
                **step.app.fields(),
                party_id=party.party_id,
                code=keys.seal(FIELD_CLASSES["mobile"], ACCESS_CODE, given.code),
                valid_until=given.valid_until,
                issued_by=viewer.actor,
            )
            step.effects.append(applications.publish(step.app, issued, step.now))

    async def revoke(self, viewer: Viewer, application_id: str) -> None:
        """Nobody enters with the code any more, and whoever is in is out. Raises Problem 404."""
        await self._desk.look(viewer, application_id)
        async with self._service.transaction(actor=viewer.actor) as tx:
            await store_customer.lock_code(tx.conn, application_id)
            await store_customer.revoke_code(tx.conn, application_id)
            await store_customer.record_access(
                tx.conn, application_id, tx.now, viewer.actor, "revoked"
            )

    async def standing(
        self, viewer: Viewer, application_id: str
    ) -> tuple[Application, Code | None, list[AccessEntry], bool]:
        """The application, its last code, what was done with its codes, the newest first, and
        whether somebody may be in. Raises Problem 404."""
        async with self._service.pool.acquire() as conn:
            app = visible(await store.find_application(conn, application_id), viewer)
            return (
                app,
                await store_customer.code_of(conn, application_id),
                await store_customer.accesses_of(conn, application_id),
                await store_customer.has_sessions(conn, application_id),
            )

    # -- sessions ---------------------------------------------------------------------------------

    def pace_entry(self, request: Request) -> None:
        """Before anything of a try is read. Raises Problem 429 where an address tries too often."""
        host = request.client.host if request.client else ""
        _require_pace(self._entries, address_of(host), load_customer_page().entries)

    async def enter(self, number_end: str, mobile_end: str, code: str) -> str | None:
        """A session's token for whoever knows all three; None for anybody else, whatever did not
        fit."""
        who = self._who(_digits(number_end)[-NUMBER_END:], _digits(mobile_end)[-MOBILE_END:])
        digest, token = self._digest(_letters(code)), secrets.token_urlsafe(32)
        page = load_customer_page()
        async with self._service.transaction(actor=CUSTOMER) as tx:
            tried = await store_customer.try_code(tx.conn, who, digest, tx.now, page.code_tries)
            for one in tried:
                actor = customer_by(one.printed_by if one.became == "entered" else None)
                await store_customer.record_access(
                    tx.conn, one.application_id, tx.now, actor, one.became
                )
            if not tried:  # as much work as for a code that is there
                await store_customer.record_access(tx.conn, None, tx.now, CUSTOMER, "wrong")
            entered = next((one for one in tried if one.became == "entered"), None)
            if entered is None:
                return None
            await store_customer.begin_session(
                tx.conn,
                _token_digest(token),
                entered.application_id,
                entered.printed_by,
                longest_minutes=page.longest_minutes,
            )
        return token

    async def guest(self, request: Request) -> Inside:
        """Who is in. Raises CodeNeeded for nobody, Problem 429 where too much is changed."""
        token = request.cookies.get(COOKIE)
        if token is None:
            raise CodeNeeded(HOME)
        digest, page = _token_digest(token), load_customer_page()
        async with self._service.pool.acquire() as conn:
            found = await store_customer.session_of(
                conn,
                digest,
                idle_minutes=page.idle_minutes,
                longest_minutes=page.longest_minutes,
            )
        if found is None:
            raise CodeNeeded(f"{HOME}?ended=1")
        application_id, printed_by = found
        # one step, before what was sent is read; afterwards we are asked again
        if request.method == "POST" and not getattr(request.state, "customer_paced", False):
            self.pace_step(application_id)
            request.state.customer_paced = True
        viewer = replace(VIEWER, printed_by=printed_by)
        return Inside(application_id, f"{CUSTOMER} {digest.hex()}", viewer)

    def pace_step(self, application_id: str) -> None:
        """One step of those that cost something. Raises Problem 429 where there are too many."""
        _require_pace(self._changes, application_id, load_customer_page().changes)

    async def leave(self, request: Request, guest: Inside) -> None:
        """The customer has finished."""
        actor = guest.viewer.actor
        async with self._service.transaction(actor=actor) as tx:
            await store_customer.end_session(
                tx.conn, _token_digest(request.cookies.get(COOKIE, ""))
            )
            await store_customer.record_access(tx.conn, guest.application_id, tx.now, actor, "left")

    # -- inside -----------------------------------------------------------------------------------

    async def _keep(
        self,
        conn: Any,
        app: Application,
        what: Access,
        actor: str,
        printed_by: str | None,
        now: datetime,
    ) -> Given:
        """A new code lets in from now on, and no other one does: whoever came by an earlier one is
        out, too, where the office gives it. app: read after `lock_code`, for the code is for the
        mobile that the form names as it is kept."""
        mobile, code = await self._mobile(app), _new_code()
        if not is_customer(actor):
            await store_customer.end_sessions(conn, app.application_id)
        number_end = app.need_scope().application_number[-NUMBER_END:]
        valid_until = now + timedelta(days=load_customer_page().code_days)
        await store_customer.keep_code(
            conn,
            app.application_id,
            self._who(number_end, mobile[-MOBILE_END:]),
            self._digest(code),
            issued_at=now,
            issued_by=actor,
            printed_by=printed_by,
            valid_until=valid_until,
        )
        await store_customer.record_access(conn, app.application_id, now, actor, what)
        return Given(f"{code[:4]}-{code[4:]}", number_end, valid_until, app)

    async def _mobile(self, app: Application) -> str:
        """The digits of the applicant's mobile, to which messages go, too."""
        applicant = app.applicant
        sealed = {name: text for name, text in applicant.fields.items() if name == "mobile"}
        vault = await self._open_vault()
        try:
            opened = await vault.open(applicant.party_id, sealed)
        except KeyUnavailableError:
            raise Problem(
                409, "erased", "The customer's data was deleted or is restricted"
            ) from None
        digits = _digits(opened.get("mobile", ""))
        if len(digits) < MOBILE_END:
            raise Problem(
                409, "no-mobile", "The form names no mobile by which to know the customer"
            )
        return digits

    def _who(self, number_end: str, mobile_end: str) -> bytes:
        return self._blind("customer-who", f"{number_end} {mobile_end}")

    def _digest(self, code: str) -> bytes:
        return self._blind("customer-code", code)


def _new_code() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def _require_pace(pacer: Pacer, key: str, pace: Pace) -> None:
    seconds = pacer.wait(key, per_minute=pace.per_minute, burst=pace.burst)
    if seconds:
        raise Problem(
            429,
            "too-many-requests",
            "Too much at once: wait a little",
            headers={"Retry-After": str(seconds)},
        )


def _token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _digits(text: str) -> str:
    """The digits of what somebody typed, however a keyboard wrote them."""
    return "".join(one for one in unicodedata.normalize("NFKC", text) if one in "0123456789")


def _letters(code: str) -> str:
    """A code as it was given out, of what somebody typed."""
    plain = unicodedata.normalize("NFKC", code).upper()
    return "".join(one for one in plain if one.isascii() and one.isalnum())
