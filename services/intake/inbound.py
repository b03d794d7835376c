"""What partners' events do: applications, papers and withdrawals of the bank's app, facts about
cards, changes of watchlists. Everything is answered, with all that is wrong with it, and nothing
of what was in it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.intake import account_facts, answers, appeals, cards, store, watchlists
from services.intake import application as applications
from services.intake.application import Application, ApplicationError
from services.intake.desk import Desk, follow_mobile, new_document
from services.intake.form import ApplicationForm
from services.intake.partner_reading import (
    Findings,
    PartnerPaper,
    check_schema,
    read_correction,
    read_form,
    read_papers,
    read_words,
)
from services.intake.patience import Patience
from services.intake.store import ApplicationStore
from shared.calendar import CalendarEndsError, business_day
from shared.events import intake, partners
from shared.events.catalog import PARTNERS, Partner, group
from shared.events.intake import AppealWish
from shared.events.payload import Channel
from shared.messaging import (
    ClearDeadline,
    Deadline,
    Effect,
    Fact,
    Inbound,
    InboundEvent,
    InboundProblem,
)
from shared.messaging.errors import Rejected, Transient
from shared.paper_images import CheckedPaper, DocumentRefusedError
from shared.parameters import load_clocks, load_papers, load_return_codes
from shared.privacy.jwe import OfficeKeys
from shared.privacy.vault import KeyUnavailableError, PartyKeys
from shared.web.problems import pointer_of

APP = "mobile-app"
REFUSED_PAPER = "DOCUMENT_"  # before the code of a file that is no paper
EARLY_DEADLINE = "early-withdrawal"
UNREAD = "PAPERS_NOT_LOOKED_AT"
MOST_SECONDS = 20.0  # for the papers of one event; what is begun is brought to its end
MAX_RECORDS = 50  # one transaction; a new application takes a dozen steps in it

Number = Callable[[str, datetime], Awaitable[str]]
Command = Callable[[Any, InboundEvent, Findings, datetime], Awaitable[Iterable[Effect]]]
"""What an event of a partner does; the findings are those of its schema."""


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
        self._patience = Patience()
        self._store = ApplicationStore()
        self._commands: Mapping[type[partners.PartnerEvent], Command] = {
            partners.PartnerApplicationSubmitted: self._application,
            partners.PartnerDocumentSupplied: self._documents,
            partners.PartnerFieldsCorrected: self._correction,
            partners.PartnerWithdrawalRequested: self._withdrawal,
            partners.PartnerAppealRequested: self._objection,
            partners.PartnerDisputeRequested: self._objection,
            partners.PartnerPerformanceReported: self._account_fact,
            partners.PartnerHoldingReported: self._account_fact,
            partners.PartnerWatchlistChanged: self._list_change,
        }

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
            findings = Findings()
            check_schema(payload, event.data, findings)
            if findings.sound("reference") and event.data["reference"] != event.key:
                findings.add("NOT_THE_KEY", "reference")
            take = self._commands.get(payload, self._card_fact)
            try:
                return await take(conn, event, findings, now)
            except ApplicationError as error:
                _add_error(error, findings)
                raise findings.rejected() from None
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

    # -- the bank's app ---------------------------------------------------------------------------

    async def _application(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        partner, raw = event.partner, event.data
        channel = Channel.MOBILE_APP if partner == APP else Channel.PARTNER
        form = read_form(raw, channel, self._keys, findings)
        papers = await self._papers(event, now, findings)
        region = None
        if findings.sound("branch"):
            region = await store.region_of(conn, raw["branch"])
            if region is None:
                findings.add("UNKNOWN_BRANCH", "branch")
        known = await self._known(conn, event, findings)
        if known is not None:
            findings.add("KNOWN_REFERENCE", "reference")
        if findings or form is None or region is None:
            if form is not None:
                refusals = await self._desk.refusals_of(conn, form, known, now)
                _add_refusals(refusals, form, findings)
            raise findings.rejected()
        sealed = await self._desk.seal(form)
        app = Application(sealed.application_id)
        start = self._desk.beginning(
            form,
            sealed,
            await self._draw_number(form.branch, now),
            region,
            partner=partner,
            reference=event.key,
        )
        actor = f"partner:{partner}"
        effects = applications.begin(app, start, actor, now)
        early = await store.take_early(conn, partner, event.key)
        if early:
            return await self._withdrawn_before(conn, app, event, effects, early, now)
        await _have_person(conn, app)
        effects += await self._file(app, sealed.keys[app.holder.role], papers, actor, now)
        try:
            effects += await self._desk.submit_in(conn, app, actor, now)
        except ApplicationError as error:
            _add_refusals(error.codes, form, findings)
            raise findings.rejected() from None
        return await self._answer(conn, app, event, effects, applied=True)

    async def _withdrawn_before(
        self,
        conn: Any,
        app: Application,
        event: InboundEvent,
        effects: list[Effect],
        early: Sequence[store.EarlyWithdrawal],
        now: datetime,
    ) -> Iterable[Effect]:
        """The customer took back what comes only now: it is begun and withdrawn, and goes no
        further. Nobody asks the bureau, and no paper is kept."""
        effects += applications.withdraw(app, f"partner:{event.partner}", now)
        subject = store.Early.subject_of(event.partner, event.key)
        effects.append(ClearDeadline(EARLY_DEADLINE, subject=subject))
        answers = [
            _accepted(app, one.reference, one.partner_event_id, one.repaired_by, applied=not place)
            for place, one in enumerate(early)
        ]
        return await self._answer(conn, app, event, effects, applied=True, more=answers)

    async def _documents(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        papers = await self._papers(event, now, findings)
        app = await self._known(conn, event, findings)
        if app is None and findings.sound("reference"):
            findings.add("UNKNOWN_REFERENCE", "reference")
        if app is not None:
            _add_crowding(app, papers, findings)
        if app is None or findings:
            if app is not None and not app.takes_papers:
                findings.add("ALREADY_ENDED")
            raise findings.rejected()
        await _have_person(conn, app)
        keys = await self._desk.keys_of(app)
        effects = await self._file(app, keys, papers, f"partner:{event.partner}", now)
        applied = bool(effects)
        effects += await self._desk.recheck(conn, app, now)
        return await self._answer(conn, app, event, effects, applied=applied)

    async def _correction(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        correction = read_correction(event.data, self._keys, findings)
        app = await self._known(conn, event, findings)
        if app is not None:
            try:
                applications.require_correctable(app)
            except ApplicationError as error:
                _add_error(error, findings)
        elif findings.sound("reference"):
            findings.add("UNKNOWN_REFERENCE", "reference")
        if findings or app is None or correction is None:
            raise findings.rejected()
        actor = f"partner:{event.partner}"
        names = {name for party in correction.parties for name in party.fields()}
        async with self._desk.mending(app, correction) as parties:
            before = app.parties
            effects = applications.correct(app, parties, correction.consent, names, actor, now)
            await follow_mobile(conn, before, app, actor, now)
            await _have_person(conn, app)  # who another number may have made another one
            effects += await self._desk.recheck(conn, app, now)
            return await self._answer(conn, app, event, effects, applied=True)

    async def _withdrawal(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        app = await self._known(conn, event, findings)
        if app is None and not findings:
            return await self._keep(conn, event, now)
        if app is None:
            raise findings.rejected()
        effects = applications.withdraw(app, f"partner:{event.partner}", now)
        if findings:
            raise findings.rejected()
        return await self._answer(conn, app, event, effects, applied=bool(effects))

    async def _objection(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        """What a customer asks of review after the decision, or says of the credit report: as on
        their own page, and of the partner's own applications alone."""
        words = read_words(event.data, self._keys, findings)
        app = await self._known(conn, event, findings)
        if app is None and findings.sound("reference"):
            findings.add("UNKNOWN_REFERENCE", "reference")
        if app is None or findings:
            raise findings.rejected()
        sealed, actor = await self._desk.seal_note(app, words), f"partner:{event.partner}"
        if event.type == partners.PartnerDisputeRequested.type:
            effects = appeals.dispute(app, sealed, actor, now)
        else:
            effects = appeals.ask(app, AppealWish(event.data["wish"]), sealed, actor, now)
        return await self._answer(conn, app, event, effects, applied=True)

    async def _keep(self, conn: Any, event: InboundEvent, now: datetime) -> Iterable[Effect]:
        """The withdrawal overtook its application: wait for that, and answer then."""
        until = early_until(now)
        early = store.EarlyWithdrawal(
            event.partner, event.key, event.partner_event_id, event.repaired_by
        )
        await store.keep_early(conn, early, until)
        kept = intake.InboundKept(
            partner_event_id=event.partner_event_id,
            partner_reference=event.key,
            until=until,
            repaired_by=event.repaired_by,
        )
        return [
            Fact(kept, subject=event.key, topic=f"banka.outbound.{event.partner}"),
            Deadline(
                EARLY_DEADLINE, until, subject=store.Early.subject_of(event.partner, event.key)
            ),
        ]

    async def _known(
        self, conn: Any, event: InboundEvent, findings: Findings
    ) -> Application | None:
        """The application that the partner means, if there is one."""
        if not findings.sound("reference"):
            return None
        found = await store.id_of_reference(conn, event.partner, event.key)
        return (await self._store.load(conn, [found]))[found] if found is not None else None

    async def _papers(
        self, event: InboundEvent, now: datetime, findings: Findings
    ) -> list[tuple[PartnerPaper, CheckedPaper]]:
        """The papers of an event that can be filed. They are decoded while the transaction of a
        whole poll is open: what takes long is taken from its sender's patience."""
        readable = read_papers(event.data, business_day(now), self._keys, findings)
        if readable and not self._patience.left(event.partner):
            findings.add(UNREAD, "documents")
            return []
        checked, seconds = await self._desk.check_papers(
            [paper.content for paper in readable], MOST_SECONDS
        )
        self._patience.spend(event.partner, seconds)
        papers = []
        for paper, found in zip(readable, checked, strict=True):
            if found is None:
                findings.add(UNREAD, "documents", paper.place, "content")
            elif isinstance(found, DocumentRefusedError):
                code = f"{REFUSED_PAPER}{found.code.upper()}"
                findings.add(code, "documents", paper.place, "content")
            else:
                papers.append((paper, found))
        return papers

    async def _file(
        self,
        app: Application,
        keys: PartyKeys,
        papers: Sequence[tuple[PartnerPaper, CheckedPaper]],
        actor: str,
        now: datetime,
    ) -> list[Effect]:
        effects: list[Effect] = []
        for paper, checked in papers:
            stored = await self._desk.store_document(keys, checked)
            document = new_document(app, paper.item, stored, paper.issued_on, now)
            _, more = applications.receive(app, document, actor, now)
            effects += more
        return effects

    # -- the card's partners ----------------------------------------------------------------------

    async def _card_fact(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        app = await self._with_card(conn, event, findings)
        if app is None:
            raise findings.rejected()
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
            told = bool(findings)
            findings.add("NOT_POSSIBLE", "type")
            if told:  # an event that is none reports nothing
                raise findings.rejected() from None
            # not raised on: the office keeps that it was reported
            await self._store.save(conn, [app])
            answer = _rejection(
                event.partner,
                event.partner_event_id,
                event.key,
                findings.rejected().problems,
                event.repaired_by,
            )
            return [*_about(app, refusal.effects), answer]
        if findings:
            raise findings.rejected()
        return await self._answer(conn, app, event, effects, applied=applied)

    async def _account_fact(
        self, conn: Any, event: InboundEvent, findings: Findings, now: datetime
    ) -> Iterable[Effect]:
        app = await self._with_card(conn, event, findings)
        if app is None or findings:
            raise findings.rejected()
        holding = event.type == partners.PartnerHoldingReported.type
        model = partners.PartnerHoldingReported if holding else partners.PartnerPerformanceReported
        statement: account_facts.Statement = model.model_validate(event.data)
        for code, path in account_facts.faults(statement, business_day(now)):
            findings.add(code, *path)
        new = account_facts.stated(statement)
        known = await store.statement_of(conn, event.key, new.period)
        if account_facts.contradicts(new, known):
            findings.add("STATED_OTHERWISE", "revision")
        if findings:
            raise findings.rejected()
        effects: list[Effect] = []
        if account_facts.supersedes(new, known):
            await store.keep_statement(conn, event.key, new)
            marks = [one.card for one in getattr(statement, "cards", ())]
            ours = await store.ids_of_cards(conn, marks)
            effects = [Fact(account_facts.published(app, statement, ours))]
        return await self._answer(conn, app, event, effects, applied=bool(effects))

    async def _with_card(
        self, conn: Any, event: InboundEvent, findings: Findings
    ) -> Application | None:
        """The application whose card the partner means, if there is one."""
        if not findings.sound("reference"):
            return None
        found = await store.id_of_card(conn, event.key)
        if found is None:
            findings.add("UNKNOWN_CARD", "reference")
            return None
        return (await self._store.load(conn, [found]))[found]

    # -- the screening system ---------------------------------------------------------------------

    async def _list_change(
        self,
        conn: Any,  # noqa: ARG002 - every command is given it
        event: InboundEvent,
        findings: Findings,
        now: datetime,
    ) -> Iterable[Effect]:
        if findings:
            raise findings.rejected()
        statement = partners.PartnerWatchlistChanged.model_validate(event.data)
        for code, path in watchlists.faults(statement, now):
            findings.add(code, *path)
        if findings:
            raise findings.rejected()
        noted = intake.InboundNoted(
            partner_event_id=event.partner_event_id,
            partner_reference=event.key,
            repaired_by=event.repaired_by,
        )
        return [
            Fact(watchlists.published(statement), subject=event.key),
            Fact(noted, subject=event.key, topic=f"banka.outbound.{event.partner}"),
        ]

    # -- answers ----------------------------------------------------------------------------------

    async def _answer(
        self,
        conn: Any,
        app: Application,
        event: InboundEvent,
        effects: Iterable[Effect],
        *,
        applied: bool,
        more: Sequence[intake.InboundAccepted] = (),
    ) -> list[Effect]:
        """Save the application; what follows, the answers (to this event, then to `more` that
        waited), and then how the application stands."""
        own = _accepted(app, event.key, event.partner_event_id, event.repaired_by, applied=applied)
        topic = f"banka.outbound.{event.partner}"
        answers = [Fact(one, subject=event.key, topic=topic) for one in (own, *more)]
        effects = _about(app, [*effects, *answers, *applications.what_follows(app)])
        await self._store.save(conn, [app])
        return effects


def _accepted(
    app: Application,
    reference: str,
    partner_event_id: str,
    repaired_by: str | None,
    *,
    applied: bool,
) -> intake.InboundAccepted:
    assert app.state is not None  # it was begun or found
    return intake.InboundAccepted(
        partner_event_id=partner_event_id,
        partner_reference=reference,
        application_id=app.application_id,
        application_number=app.need_scope().application_number,
        state=str(applications.outside_state(app.state)),
        applied=applied,
        repaired_by=repaired_by,
    )


def on_early_deadline(early: store.Early, _now: datetime) -> Iterable[Effect]:
    """The application did not come: what waited for it is answered as unknown."""
    return [
        _rejection(
            one.partner,
            one.partner_event_id,
            one.reference,
            (("reference", "UNKNOWN_REFERENCE"),),
            one.repaired_by,
        )
        for one in early.withdrawals
    ]


def _add_error(error: ApplicationError, findings: Findings) -> None:
    """What the application does not allow."""
    for code in error.codes or (error.code.upper().replace("-", "_"),):
        findings.add(code)


def _add_crowding(
    app: Application, papers: Iterable[tuple[PartnerPaper, CheckedPaper]], findings: Findings
) -> None:
    """Papers for which the application has no room, each where it stands in the event. One that is
    there already needs none."""
    there = [one.item for one in app.documents]
    last = {one.item: (one.sha256, one.issued_on) for one in app.documents}
    for paper, checked in papers:
        this = (hashlib.sha256(checked.content).hexdigest(), paper.issued_on)
        if last.get(paper.item) == this:
            continue
        if not applications.has_room(there, paper.item):
            findings.add("TOO_MANY_PAPERS", "documents", paper.place)
            continue
        there.append(paper.item)
        last[paper.item] = this


def _add_refusals(codes: Iterable[str], form: ApplicationForm, findings: Findings) -> None:
    """Why the office cannot take the application, each where it shows."""
    holder = form.parties.index(form.holder)
    places: Mapping[str, tuple[str | int, ...]] = {
        "PRODUCT_NOT_FOR_APPLICANT": ("product",),
        "DUPLICATE_APPLICATION": ("product",),
        "AGE_OUT_OF_RANGE": ("parties", holder, "personal", "id_number"),
    }
    for code in codes:
        findings.add(code, *places.get(code, ()))


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
    placed = [_placed(field, code) for field, code in codes]
    ours = {code for _, code in placed if code.isupper()}
    payload = intake.InboundRejected(
        partner_event_id=event_id,
        partner_reference=reference,
        code=ours.pop() if len(ours) == 1 and len(placed) == 1 else "INVALID",
        problems=[
            intake.Problem(pointer=pointer_of(path), code=code, detail=_words_for(code))
            for path, code in placed
        ],
        repaired_by=repaired_by,
    )
    return Fact(payload, subject=reference, topic=f"banka.outbound.{partner}")


def _placed(field: str, code: str) -> tuple[Sequence[str], str]:
    """Where it is wrong, and how. Of an envelope the kernel says `code at attribute`, or `at an
    attribute` where a name is none that may be said again."""
    path = field.split(".") if field else []
    code, _, attribute = code.partition(" at ")
    return ([*path, attribute] if attribute and " " not in attribute else path), code


def _words_for(code: str) -> str:
    if code.startswith(REFUSED_PAPER):
        why = load_papers().refusals[code.removeprefix(REFUSED_PAPER).lower()]
        return f"{why.names.en}. {why.mend.en}."
    known = load_return_codes().codes.get(code)
    return known.mend.en if known else answers.words_of(code).in_english()


def early_until(now: datetime) -> datetime:
    """Until when a withdrawal that comes now waits for its application."""
    return now + timedelta(days=load_clocks().early_withdrawal_days)


def number_drawer(pool: Callable[[], Any]) -> Number:
    """Application numbers, each drawn in a transaction of its own."""

    async def draw(branch: str, now: datetime) -> str:
        return await store.draw_number(pool(), branch, business_day(now))

    return draw
