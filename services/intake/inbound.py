"""What partners' events do: applications, papers and withdrawals of the bank's app, facts about
cards. Everything is answered, with all that is wrong with it, and nothing of what was in it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from services.intake import application as applications
from services.intake import cards, store
from services.intake.application import Application, ApplicationError
from services.intake.desk import Desk, new_document
from services.intake.form import ApplicationForm
from services.intake.store import ApplicationStore
from shared.calendar import CalendarEndsError, business_day
from shared.events import intake, partners
from shared.events.catalog import PARTNERS, Partner, group
from shared.events.payload import Channel
from shared.messaging import Effect, Fact, Inbound, InboundEvent, InboundProblem
from shared.messaging.errors import Rejected, Transient
from shared.paper_images import CheckedPaper, DocumentRefusedError
from shared.parameters import load_checklist_items, load_papers, load_return_codes
from shared.privacy.jwe import JweError, OfficeKeys
from shared.privacy.vault import KeyUnavailableError, PartyKeys
from shared.web.problems import pointer_of

APP = "mobile-app"
MAX_RECORDS = 50  # one transaction; a new application takes a dozen steps in it

_WORDS = {
    "NOT_THE_KEY": "The record's key and the reference must be the same",
    "KNOWN_REFERENCE": "An application with this reference was taken before",
    "UNKNOWN_REFERENCE": "There is no application with this reference",
    "UNKNOWN_BRANCH": "There is no such branch, or it is closed",
    "UNKNOWN_CARD": "No card was ordered with this id",
    "UNKNOWN_TYPE": "This partner may not send events of this type",
    "ISSUED_IN_FUTURE": "A paper cannot be issued in the future",
    "UNKNOWN_ITEM": "There is no such paper on the checklist",
    "NOT_POSSIBLE": "This cannot have happened to the application as it stands",
    "CARD_ORDERED": "The card is ordered already",
    "ALREADY_ENDED": "The application has ended",
    "ERASED": "The customer's data was erased or restricted",
    "CALENDAR_ENDS": "A term would end after the office's calendar: later, under a new id",
    "WRONG_SOURCE": "The event's source is not this partner's",
    "SAME_ID_OTHER_BODY": "An event with this id and another content was taken before",
    "UNREADABLE": "The content is not a JSON object of Unicode text",
    "KEY_UNREADABLE": "The record's key is not text of at most 1024 bytes in UTF-8",
    "MORE_PROBLEMS": "There are more problems than these",
    "LEFT_OUT": "The office decided not to take this event: ask it, or say it anew under a new id",
    "JWE_CLEAR": "Personal data come encrypted to the office's key, never in clear",
    "JWE_UNKNOWN_KEY": "The key is not one of the office's; fetch the current ones",
    "JWE_ALGORITHM": "Use ECDH-ES with A256GCM, without compression",
    "JWE_BROKEN": "It cannot be decrypted, or is not what it must be",
}

_DOCUMENT = "DOCUMENT_"  # before the code of a refused paper

# item of the checklist, content, date of issue
_Paper = tuple[str, CheckedPaper, date | None]

Number = Callable[[str, datetime], Awaitable[str]]


class Reception:
    """Takes partners' events within the kernel's transaction.

    draw_number: an application number in a transaction of its own, because the kernel's spans many
    events, and two processes that hold counters of several branches would wait for each other; a
    number that a refusal leaves unused is a gap, nothing more.
    """

    def __init__(self, desk: Desk, keys: OfficeKeys, draw_number: Number) -> None:
        self._desk = desk
        self._keys = keys
        self._draw_number = draw_number
        self._store = ApplicationStore()

    def inbound(self) -> list[Inbound]:
        """A gate for each partner of the catalogue."""
        return [self._gate(partner) for partner in PARTNERS]

    def _gate(self, partner: Partner) -> Inbound:
        topic = f"banka.inbound.{partner.name}"
        allowed = {payload.type: payload for payload in partner.sends}

        async def handle(conn: Any, event: InboundEvent, now: datetime) -> Iterable[Effect]:
            payload = allowed.get(event.type)
            if payload is None:
                raise Rejected(("type", "UNKNOWN_TYPE"))
            data = payload.model_validate(event.data)
            if data.reference != event.key:
                raise Rejected(("reference", "NOT_THE_KEY"))
            try:
                return await self._take(conn, event, data, now)
            except ApplicationError as error:
                codes = error.codes or (error.code.upper().replace("-", "_"),)
                raise Rejected(*(("", code) for code in codes)) from None
            except KeyUnavailableError:
                raise Rejected(("", "ERASED")) from None
            except CalendarEndsError:
                raise Rejected(("", "CALENDAR_ENDS")) from None

        return Inbound(
            name=group("intake", topic),
            topic=topic,
            partner=partner.name,
            handle=handle,
            reject=rejected,
            lock=lambda conn, keys: store.lock_known(conn, partner.name, keys),
            max_records=MAX_RECORDS,
        )

    async def _take(
        self, conn: Any, event: InboundEvent, data: Any, now: datetime
    ) -> Iterable[Effect]:
        if isinstance(data, partners.PartnerApplicationSubmitted):
            return await self._application(conn, event, data, now)
        if isinstance(data, partners.PartnerDocumentSupplied):
            return await self._documents(conn, event, data, now)
        if isinstance(data, partners.PartnerWithdrawalRequested):
            return await self._withdrawal(conn, event, data, now)
        return await self._card_fact(conn, event, data, now)

    # -- the bank's app ---------------------------------------------------------------------------

    async def _application(
        self,
        conn: Any,
        event: InboundEvent,
        data: partners.PartnerApplicationSubmitted,
        now: datetime,
    ) -> Iterable[Effect]:
        if await store.id_of_reference(conn, event.partner, data.reference) is not None:
            raise Rejected(("reference", "KNOWN_REFERENCE"))
        problems: list[tuple[str, str]] = []
        form = self._form(event.partner, data, problems)
        papers = await self._papers(data.documents, business_day(now), problems)
        region = await store.region_of(conn, data.branch)
        if region is None:
            problems.append(("branch", "UNKNOWN_BRANCH"))
        if problems or form is None or region is None:
            raise Rejected(*problems)
        sealed = await self._desk.seal(form)
        app = Application(sealed.application_id)
        start = self._desk.beginning(
            form,
            sealed,
            await self._draw_number(form.branch, now),
            region,
            partner=event.partner,
            reference=data.reference,
        )
        actor = f"partner:{event.partner}"
        effects = applications.begin(app, start, actor, now)
        await _have_person(conn, app)
        effects += await self._file(app, sealed.keys[app.holder.role], papers, actor, now)
        effects += await self._desk.submit_in(conn, app, actor, now)
        return await self._answer(conn, app, event, effects, applied=True)

    async def _documents(
        self, conn: Any, event: InboundEvent, data: partners.PartnerDocumentSupplied, now: datetime
    ) -> Iterable[Effect]:
        problems: list[tuple[str, str]] = []
        papers = await self._papers(data.documents, business_day(now), problems)
        app = await self._known(conn, event.partner, data.reference)
        if problems:
            raise Rejected(*problems)
        await _have_person(conn, app)
        keys = await self._desk.keys_of(app)
        effects = await self._file(app, keys, papers, f"partner:{event.partner}", now)
        applied = bool(effects)
        effects += await self._desk.recheck(conn, app, now)
        return await self._answer(conn, app, event, effects, applied=applied)

    async def _withdrawal(
        self,
        conn: Any,
        event: InboundEvent,
        data: partners.PartnerWithdrawalRequested,
        now: datetime,
    ) -> Iterable[Effect]:
        app = await self._known(conn, event.partner, data.reference)
        effects = applications.withdraw(app, f"partner:{event.partner}", now)
        applied = bool(effects)
        return await self._answer(conn, app, event, effects, applied=applied)

    async def _known(self, conn: Any, partner: str, reference: str) -> Application:
        found = await store.id_of_reference(conn, partner, reference)
        if found is None:
            raise Rejected(("reference", "UNKNOWN_REFERENCE"))
        return (await self._store.load(conn, [found]))[found]

    def _form(
        self,
        partner: str,
        data: partners.PartnerApplicationSubmitted,
        problems: list[tuple[str, str]],
    ) -> ApplicationForm | None:
        people: list[dict[str, Any]] = []
        for place, party in enumerate(data.parties):
            where = f"parties.{place}.personal"
            try:
                personal = json.loads(self._keys.decrypt(party.personal))
            except JweError as error:
                problems.append((where, f"JWE_{error.code.upper()}"))
                continue
            except (ValueError, RecursionError):
                problems.append((where, "JWE_BROKEN"))
                continue
            if not isinstance(personal, dict):
                problems.append((where, "JWE_BROKEN"))
                continue
            # as a form has it: an ID without an end of its term says so in words of its own
            if personal.get("id_expires") == "9999-12-31":
                personal = {**personal, "id_expires": None, "id_long_term": True}
            people.append({**personal, "role": party.role})
        if len(people) < len(data.parties):
            return None
        try:
            return ApplicationForm.model_validate(
                {
                    "branch": data.branch,
                    "product": data.product,
                    "applicant_type": data.applicant_type,
                    "channel": Channel.MOBILE_APP if partner == APP else Channel.PARTNER,
                    "parties": people,
                    "consent": data.consent,
                    "requested_limit": data.requested_limit,
                }
            )
        except ValidationError as error:
            problems += [
                (".".join(map(str, one["loc"])) or "body", one["type"])
                for one in error.errors(include_input=False, include_url=False)
            ]
            return None

    async def _papers(
        self,
        documents: Sequence[partners.PartnerDocument],
        today: date,
        problems: list[tuple[str, str]],
    ) -> list[_Paper]:
        items, readable = load_checklist_items().items, []
        for place, document in enumerate(documents):
            if document.item not in items or not items[document.item].upload:
                problems.append((f"documents.{place}.item", "UNKNOWN_ITEM"))
            if document.issued_on is not None and document.issued_on > today:
                problems.append((f"documents.{place}.issued_on", "ISSUED_IN_FUTURE"))
            try:
                content = self._keys.decrypt_bytes(document.content)
            except JweError as error:
                problems.append((f"documents.{place}.content", f"JWE_{error.code.upper()}"))
            else:
                readable.append((place, document, content))
        papers = []
        checked = await self._desk.check_papers([content for _, _, content in readable])
        for (place, document, _), paper in zip(readable, checked, strict=True):
            if isinstance(paper, DocumentRefusedError):
                problems.append((f"documents.{place}.content", f"{_DOCUMENT}{paper.code.upper()}"))
            else:
                papers.append((document.item, paper, document.issued_on))
        return papers

    async def _file(
        self,
        app: Application,
        keys: PartyKeys,
        papers: Sequence[_Paper],
        actor: str,
        now: datetime,
    ) -> list[Effect]:
        effects: list[Effect] = []
        for item, paper, issued_on in papers:
            stored = await self._desk.store_document(keys, paper)
            _, more = applications.receive(
                app, new_document(app, item, stored, issued_on, now), actor, now
            )
            effects += more
        return effects

    # -- the card's partners ----------------------------------------------------------------------

    async def _card_fact(
        self, conn: Any, event: InboundEvent, data: partners.PartnerEvent, now: datetime
    ) -> Iterable[Effect]:
        found = await store.id_of_card(conn, data.reference)
        if found is None:
            raise Rejected(("reference", "UNKNOWN_CARD"))
        app = (await self._store.load(conn, [found]))[found]
        try:
            effects, applied = cards.take_fact(
                app,
                event.type,
                partner=event.partner,
                partner_event_id=event.partner_event_id,
                reported=event.time,
                now=now,
            )
        except cards.NotPossible as refusal:
            # not raised on: the office keeps that it was reported
            await self._store.save(conn, [app])
            answer = _rejection(
                event.partner,
                event.partner_event_id,
                data.reference,
                (("type", "NOT_POSSIBLE"),),
                event.repaired_by,
            )
            return [*_about(app, refusal.effects), answer]
        return await self._answer(conn, app, event, effects, applied=applied)

    async def _answer(
        self,
        conn: Any,
        app: Application,
        event: InboundEvent,
        effects: Iterable[Effect],
        *,
        applied: bool,
    ) -> list[Effect]:
        """Save the application; what follows, the answer, and then how the application stands."""
        assert app.state is not None  # it was begun or found
        accepted = intake.InboundAccepted(
            partner_event_id=event.partner_event_id,
            partner_reference=event.key,
            application_id=app.application_id,
            application_number=app.need_scope().application_number,
            state=str(applications.outside_state(app.state)),
            applied=applied,
            repaired_by=event.repaired_by,
        )
        answer = Fact(accepted, subject=event.key, topic=f"banka.outbound.{event.partner}")
        effects = _about(app, [*effects, answer, *applications.what_follows(app)])
        await self._store.save(conn, [app])
        return effects


async def _have_person(conn: Any, app: Application) -> None:
    """Lock the person without waiting: the poll holds persons and applications of other events by
    now, and whoever has this one may wait for those. The event is tried again by itself."""
    if not await store.try_lock_person(conn, app.holder.person):
        raise Transient("another application of the person is being worked on")


def _about(app: Application, effects: Iterable[Effect]) -> list[Effect]:
    """The effects, about the application where they name nothing else: the kernel would take the
    partner's reference."""
    return [
        effect if effect.subject else replace(effect, subject=app.application_id)
        for effect in effects
    ]


def rejected(problem: InboundProblem, _now: datetime) -> Iterable[Effect]:
    """The answer to an event that is not taken."""
    return [
        _rejection(
            problem.partner, problem.event_id, problem.key, problem.codes, problem.repaired_by
        )
    ]


def _rejection(
    partner: str,
    event_id: str | None,
    reference: str | None,
    codes: Sequence[tuple[str, str]],
    repaired_by: str | None,
) -> Fact:
    ours = {code for _, code in codes if code.isupper()}
    payload = intake.InboundRejected(
        partner_event_id=event_id,
        partner_reference=reference,
        code=ours.pop() if len(ours) == 1 and len(codes) == 1 else "INVALID",
        problems=[
            intake.Problem(
                pointer=pointer_of(field.split(".")) if field else "",
                code=code,
                detail=_words_for(code),
            )
            for field, code in codes
        ],
        repaired_by=repaired_by,
    )
    return Fact(payload, subject=reference, topic=f"banka.outbound.{partner}")


def _words_for(code: str) -> str:
    no_paper = load_papers().refusals.get(code.removeprefix(_DOCUMENT).lower())
    if code.startswith(_DOCUMENT) and no_paper is not None:
        return f"{no_paper.names.en}. {no_paper.mend.en}"
    known = load_return_codes().codes.get(code)
    return known.mend.en if known else _WORDS.get(code, "This is not what the contract asks for")


def number_drawer(pool: Callable[[], Any]) -> Number:
    """Application numbers, each drawn in a transaction of its own."""

    async def draw(branch: str, now: datetime) -> str:
        return await store.draw_number(pool(), branch, business_day(now))

    return draw
