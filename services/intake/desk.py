"""The intake desk: the commands of many steps, for API, pages, batches and partners alike.

The order is always the same: keys of new persons are committed in the vault, fields are sealed,
papers are stored; then one transaction locks the application, decides, saves, and appends what
follows. Whatever fails before it leaves an unused key or paper behind, which does no harm.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from services.intake import appeals, limit_changes, store, store_customer, store_lists
from services.intake import application as applications
from services.intake.api_problems import KINDS
from services.intake.application import (
    Application,
    ApplicationError,
    Beginning,
    Document,
    Entry,
    Scope,
    product_for,
)
from services.intake.audit_words import opened_values
from services.intake.checklist import Line, checklist
from services.intake.form import ApplicationForm, FormCorrection, PartyForm
from services.intake.items import ItemError
from services.intake.limit_changes import LimitWish
from services.intake.rules import (
    EarlierPaper,
    Examination,
    Paper,
    Traces,
    examine,
    patterns,
    whose_faults,
)
from services.intake.store import Answer, ApplicationStore, Standing
from shared.calendar import CalendarEndsError, business_day
from shared.documents import DocumentStore, StoredDocument
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.events.payload import FIELD_CLASSES, ApplicantType, Channel, Party, PartyRole
from shared.formats import NUMBERED_BY, person_number
from shared.identifiers import new_id
from shared.messaging import Effect, Service, Transaction
from shared.money import Money
from shared.paper_images import CheckedPaper, DocumentRefusedError, PaperReader
from shared.parameters import (
    Product,
    UnknownVersionError,
    load_attention,
    load_checklist_items,
    load_clocks,
    load_papers,
    load_return_codes,
    product_on,
)
from shared.privacy import masking
from shared.privacy.sealing import Sealed
from shared.privacy.vault import (
    INDEXED,
    MOST_FOUND,
    KeyUnavailableError,
    NewParty,
    PartyKeys,
    Vault,
)
from shared.web import FieldError, Problem, Viewer, audit
from shared.web.audit import record_view
from shared.web.i18n import current_language
from shared.web.problems import parameters_problem

NOTE_FIELD = "note"
NOTE_CLASS = "financial"
KEY_REUSED = "key-reused"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Remember:
    """An idempotency key: the answer to what is done now is kept in the same transaction, so that a
    repetition gets it again. `answer` makes (status, body) of the result; no personal data."""

    client: str
    key: str
    digest: bytes
    answer: Callable[[Any], tuple[int, Any]]


class Repeated(Exception):
    """The request was answered before; here is the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class SealedForm:
    """The persons of a new application: their keys are committed, their fields sealed."""

    application_id: str
    parties: list[Party]
    keys: dict[PartyRole, PartyKeys] = field(repr=False)

    def person_of(self, form: ApplicationForm) -> str:
        """Who will hold the card of this form, as the office knows them."""
        return self.keys[form.holder.role].person


@dataclass(frozen=True, slots=True)
class Begun:
    """A new application. `refused`: return codes that kept it a draft when it was to be submitted
    at once."""

    application: Application
    lines: list[Line]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filed:
    """A paper that arrived, and what the checklist says now."""

    document: Document
    application: Application
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Found:
    """What the rules say of an application now."""

    examination: Examination
    standing: Standing
    refusals: tuple[str, ...]
    new_to_bank: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A locked application within a transaction, and what follows from what is done with it."""

    tx: Transaction
    app: Application
    effects: list[Effect] = field(default_factory=list)

    @property
    def conn(self) -> Any:
        return self.tx.conn

    @property
    def now(self) -> datetime:
        return self.tx.now


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found, the newest first, and whether there is more than that."""

    rows: list[store_lists.Row]
    more: bool


class Desk:
    """Commands on applications. Each raises Problem: 404 for an application that the viewer may not
    see, 409 or 422 with a code and plain words where the application does not allow it.

    `expect`: the revisions that the caller may have decided on; 412 `changed-meanwhile` where the
    application has another one by now. None: whatever it says."""

    def __init__(
        self,
        service: Callable[[], Service],
        open_vault: Callable[[], Awaitable[Vault]],
        open_documents: Callable[[], Awaitable[DocumentStore]],
        blind: Callable[[str, str], bytes],
        reader: PaperReader,
    ) -> None:
        self._find_service = service
        self._store = ApplicationStore()
        self._open_vault = open_vault
        self._open_documents = open_documents
        self._blind = blind
        self._reader = reader

    @property
    def _service(self) -> Service:
        # asked for late: the service's own gates for partners are built on this desk
        return self._find_service()

    # -- what people and channels do --------------------------------------------------------------

    async def create(
        self,
        viewer: Viewer,
        form: ApplicationForm,
        *,
        submit: bool = False,
        remember: Remember | None = None,
    ) -> Begun:
        """Begin an application, and hand it in at once where asked. One that the office cannot take
        stays a draft (`refused` says why). Raises Problem 422 for a branch that is not there, and
        Repeated."""
        await self._not_before(remember)
        region = await self._region(viewer, form)
        await self._check_reopened(viewer, form)
        async with self._plainly():
            sealed = await self.seal(form)
            async with self._transaction(viewer.actor, remember) as tx:
                app = Application(sealed.application_id, parties=sealed.parties)
                if submit:
                    # before the number: a partner's gate draws one while it holds persons, and
                    # the database does not see that it would wait for itself
                    await store.lock_person(tx.conn, sealed.person_of(form))
                number = await store.draw_number(tx.conn, form.branch, business_day(tx.now))
                start = self.beginning(form, sealed, number, region, client=viewer.client)
                effects = applications.begin(app, start, viewer.actor, tx.now)
                return await self._settle(tx, viewer, app, effects, submit, remember)

    async def bring_in(
        self,
        viewer: Viewer,
        form: ApplicationForm,
        day: date,
        decide: Callable[[Application, Found, datetime], list[Effect]],
        *,
        remember: Remember | None = None,
    ) -> Application:
        """Begin an application otherwise than as a draft: `decide` says as what. `day` is the
        business day of its number. Raises Problem, Repeated."""
        await self._not_before(remember)
        region = await self._region(viewer, form)
        async with self._plainly():
            sealed = await self.seal(form)
            async with self._transaction(viewer.actor, remember) as tx:
                app = Application(sealed.application_id, parties=sealed.parties)
                await store.lock_person(tx.conn, sealed.person_of(form))  # as above
                number = await store.draw_number(tx.conn, form.branch, day)
                start = self.beginning(form, sealed, number, region, client=viewer.client)
                applications.fill(app, start)
                found = await self.examine(tx.conn, app, tx.now)
                await self._write(tx, app, decide(app, found, tx.now))
                await self._keep(tx, remember, app)
        return app

    async def correct(
        self,
        viewer: Viewer,
        application_id: str,
        correction: FormCorrection,
        *,
        expect: Collection[int] | None = None,
        remember: Remember | None = None,
    ) -> Begun:
        """Mend fields of a draft, or of an application for which material is awaited; what was
        wanted is checked again."""
        await self._not_before(remember)
        app = await self.look(viewer, application_id)
        async with self._plainly():
            corrected = {name for party in correction.parties for name in party.fields()}
            async with self._transaction(viewer.actor, remember) as tx:
                app = await self._load(tx, viewer, application_id, expect)
                applications.require_correctable(app)
                async with self.mending(app, correction) as parties:
                    before = app.parties
                    effects = applications.correct(
                        app, parties, correction.consent, corrected, viewer.actor, tx.now
                    )
                    await follow_mobile(tx.conn, before, app, viewer.actor, tx.now)
                    effects += await self.recheck(tx.conn, app, tx.now)
                    await self._write(tx, app, effects)
                    begun = Begun(app, checklist(app))
                    await self._keep(tx, remember, begun)
        return begun

    async def replace_draft(
        self,
        viewer: Viewer,
        application_id: str,
        form: ApplicationForm,
        *,
        submit: bool = False,
        expect: Collection[int] | None = None,
        remember: Remember | None = None,
    ) -> Begun:
        """Put another form in the place of a draft's, as a whole: what it does not name is gone. It
        is handed in at once where asked, as in `create`. Raises Problem 409 `no-draft`, 403
        `others-draft`, 422 where it names another branch or channel."""
        await self._not_before(remember)
        app = await self.look(viewer, application_id)
        _require_draft(app)
        _require_same(app, form)
        await self._check_reopened(viewer, form, before=app.reopens)
        async with self._plainly():
            self._offered(form)
            async with self._transaction(viewer.actor, remember) as tx:
                app = await self._load(tx, viewer, application_id)
                _require_draft(app)
                # whose it is comes first: who has it no longer is not helped by a newer revision
                _require_own(viewer, await store.history_of(tx.conn, application_id))
                require_expected(app, expect)
                async with self._moving(app) as added:
                    sealed, emptied = await self._sealed_anew(app, form, added)
                    scope = app.need_scope()
                    start = self.beginning(form, sealed, scope.application_number, scope.region)
                    if form.product == scope.product:
                        # it stays with the version that it began with
                        start.scope.product_version = scope.product_version
                        start.scope.product_digest = scope.product_digest
                    before = app.parties
                    effects = applications.replace_draft(app, start, emptied, viewer.actor, tx.now)
                    await follow_mobile(tx.conn, before, app, viewer.actor, tx.now)
                    return await self._settle(tx, viewer, app, effects, submit, remember)

    async def _settle(
        self,
        tx: Transaction,
        viewer: Viewer,
        app: Application,
        effects: list[Effect],
        submit: bool,
        remember: Remember | None,
    ) -> Begun:
        """A form that was just entered: handed in where asked, else a draft with its list; kept,
        with what the request is answered."""
        refused: tuple[str, ...] = ()
        if submit:
            try:
                effects += await self.submit_in(tx.conn, app, viewer.actor, tx.now)
            except ApplicationError as error:
                refused = error.codes
        if app.state is State.DRAFT:
            effects += await self.recheck(tx.conn, app, tx.now)
        await self._write(tx, app, effects)
        begun = Begun(app, checklist(app), refused)
        await self._keep(tx, remember, begun)
        return begun

    async def draft(self, viewer: Viewer, application_id: str) -> tuple[Application, Entry]:
        """A draft, and the line of its history by which somebody has it. Raises Problem 409
        `no-draft`."""
        app = await self.look(viewer, application_id)
        _require_draft(app)
        async with self._service.pool.acquire() as conn:
            return app, applications.who_has_draft(await store.history_of(conn, application_id))

    async def resume(
        self, viewer: Viewer, application_id: str
    ) -> tuple[Application, ApplicationForm]:
        """A draft with its form in clear, for whoever has it to go on with; that they saw it is
        recorded. Raises Problem 409 `no-draft`, 403 `others-draft`."""
        app, has = await self.draft(viewer, application_id)
        if has.actor != viewer.actor:
            raise _others_draft()
        async with self._plainly():
            form = await self.open_form(app)
            async with self._service.transaction(actor=viewer.actor) as tx:
                await record_view(tx.conn, application_id, viewer.staff_id, "draft", tx.now)
        return app, form

    async def take_over(self, viewer: Viewer, application_id: str, why: str, text: str) -> None:
        """A draft is the viewer's from now on. why: a code; text: sealed. Taken over twice it is
        once. Raises Problem 409 `no-draft`."""
        async with self.changing(viewer, application_id) as step:
            _require_draft(step.app)
            has = applications.who_has_draft(await store.history_of(step.conn, application_id))
            if has.actor == viewer.actor:
                return
            sealed = await self.seal_note(step.app, text)
            told = {"why": why, "before": has.actor} | ({"text": sealed} if sealed else {})
            step.app.note(step.now, viewer.actor, "draft_taken_over", **told)

    async def receive(
        self,
        viewer: Viewer,
        application_id: str,
        item: str,
        content: bytes,
        issued_on: date | None = None,
        *,
        expect: Collection[int] | None = None,
        remember: Remember | None = None,
    ) -> Filed:
        """File a paper. Raises Problem 413, 415 or 422 for bytes that are none, 409
        `too-many-papers`."""
        await self._not_before(remember)
        known = load_checklist_items().items.get(item)
        if known is None or not known.upload:
            raise Problem(422, "unknown-item", "There is no such paper on the checklist")
        app = await self.look(viewer, application_id)
        if issued_on is not None and issued_on > business_day(self._service.clock.now()):
            raise Problem(422, "issued-in-future", "A paper cannot be issued in the future")
        async with self._plainly():
            last = next((one for one in reversed(app.documents) if one.item == item), None)
            if last is None or last.sha256 != hashlib.sha256(content).hexdigest():
                applications.require_room(app, item)  # before anything is decoded and stored
            paper = await self._reader.check(content)
            stored = await self.store_document(await self.keys_of(app), paper)
            async with self._transaction(viewer.actor, remember) as tx:
                app = await self._load(tx, viewer, application_id, expect)
                document, effects = applications.receive(
                    app,
                    new_document(app, item, stored, issued_on, tx.now),
                    viewer.actor,
                    tx.now,
                )
                effects += await self.recheck(tx.conn, app, tx.now)
                await self._write(tx, app, effects)
                filed = Filed(document, app, checklist(app))
                await self._keep(tx, remember, filed)
        return filed

    async def submit(
        self,
        viewer: Viewer,
        application_id: str,
        *,
        expect: Collection[int] | None = None,
        remember: Remember | None = None,
    ) -> Begun:
        """Hand the application in. Raises Problem 422 `not-acceptable` with every return code that
        no paper mends, 409 `already-submitted`."""
        await self._not_before(remember)
        async with self._plainly(), self._transaction(viewer.actor, remember) as tx:
            app = await self._load(tx, viewer, application_id, expect)
            effects = await self.submit_in(tx.conn, app, viewer.actor, tx.now)
            await self._write(tx, app, effects)
            begun = Begun(app, checklist(app))
            await self._keep(tx, remember, begun)
        return begun

    async def withdraw(
        self,
        viewer: Viewer,
        application_id: str,
        reason: str = "",
        *,
        expect: Collection[int] | None = None,
        remember: Remember | None = None,
    ) -> Application:
        """The customer wants out. Raises Problem 409 `card-ordered` or `already-ended`."""
        await self._not_before(remember)
        app = await self.look(viewer, application_id)
        async with self._plainly():
            sealed = await self.seal_note(app, reason)
            async with self._transaction(viewer.actor, remember) as tx:
                app = await self._load(tx, viewer, application_id, expect)
                effects = applications.withdraw(app, viewer.actor, tx.now)
                if sealed:
                    app.note(tx.now, viewer.actor, "withdrawal_reason", text=sealed)
                await self._write(tx, app, effects)
                await self._keep(tx, remember, app)
        return app

    async def appeal(
        self,
        viewer: Viewer,
        application_id: str,
        wish: AppealWish,
        words: str = "",
        *,
        expect: Collection[int] | None = None,
    ) -> None:
        """The customer asks about the decision. Raises Problem 409 `not-appealable` or `erased`."""
        app = await self.look(viewer, application_id)
        async with self._plainly():
            sealed = await self.seal_note(app, words)
        async with self.changing(viewer, application_id, expect=expect) as step:
            step.effects.extend(appeals.ask(step.app, wish, sealed, viewer.actor, step.now))

    async def change_limit(
        self,
        viewer: Viewer,
        application_id: str,
        wish: LimitWish,
        *,
        income: Money | None = None,
        words: str = "",
        expect: Collection[int] | None = None,
        remember: Remember | None = None,
    ) -> Application:
        """The customer wants another limit. income: a month, stated anew. Raises Problem 409
        `limit-not-changeable` or `erased`, 422 where the wish cannot be worked on."""
        await self._not_before(remember)
        app = await self.look(viewer, application_id)
        async with self._plainly():
            sealed = await self.seal_note(app, words)
            stated = None
            if income is not None:
                keys = await self.keys_of(app)
                stated = str(keys.seal(NOTE_CLASS, "monthly_income", str(income.minor)))
            async with self._transaction(viewer.actor, remember) as tx:
                app = await self._load(tx, viewer, application_id, expect)
                effects = limit_changes.ask(
                    app, wish, viewer.actor, tx.now, income=stated, words=sealed
                )
                await self._write(tx, app, effects)
                await self._keep(tx, remember, app)
        return app

    async def dispute(
        self,
        viewer: Viewer,
        application_id: str,
        words: str = "",
        *,
        expect: Collection[int] | None = None,
    ) -> None:
        """The customer says that the credit report is wrong. Raises Problem 409 `not-disputable` or
        `erased`."""
        app = await self.look(viewer, application_id)
        async with self._plainly():
            sealed = await self.seal_note(app, words)
        async with self.changing(viewer, application_id, expect=expect) as step:
            step.effects.extend(appeals.dispute(step.app, sealed, viewer.actor, step.now))

    async def look(self, viewer: Viewer, application_id: str) -> Application:
        """The application, if the viewer may see it."""
        async with self._service.pool.acquire() as conn:
            found = await store.find_application(conn, application_id)
        return visible(found, viewer)

    async def checklist(self, app: Application) -> list[Line]:
        """The checklist as it stands. Of an application that was begun before each item had a
        state, as the rules would put it at the next step; where the persons' data was erased, as
        far as papers tell."""
        if app.never_settled and applications.before_hand_over(app):
            now = self._service.clock.now()
            async with self._plainly(), self._service.pool.acquire() as conn:
                with suppress(KeyUnavailableError):
                    _, found = await self._look_over(conn, app, now)
                    applications.settle(app, found, now)
        return checklist(app)

    async def whose_faults(self, app: Application) -> frozenset[tuple[PartyRole, str, str]]:
        """(role, return code, field) of each field of the form that is wanted; none where the
        persons' data was erased."""
        try:
            form = await self.open_form(app)
        except KeyUnavailableError:
            return frozenset()
        return whose_faults(form, product_for(app), self.today())

    async def search(
        self,
        viewer: Viewer,
        *,
        mobile: str | None = None,
        id_number: str | None = None,
        name: str | None = None,
    ) -> Hits:
        """Applications of the viewer's branches in which somebody has exactly this mobile, ID
        number or name; that somebody searched is recorded, what for is not."""
        vault = await self._open_vault()
        found = await vault.find(id_number=id_number, mobile=mobile, name=name)
        ids = sorted({party.application_id for party in found})
        async with self._service.transaction(actor=viewer.actor) as tx:
            await record_view(tx.conn, None, seer(viewer), "search", tx.now)
            rows, more = await store_lists.with_ids(
                tx.conn, viewer.branch_list, viewer.own_client, ids
            )
        return Hits(rows, more or len(found) >= MOST_FOUND)

    async def masked(self, app: Application) -> dict[str, dict[str, str]]:
        """{party id: {field: masked text}}; fields whose key is gone are missing."""
        opened = await self._open(app, leave_out_unavailable=True)
        return {
            party_id: {name: masked_field(name, text) for name, text in fields.items()}
            for party_id, fields in opened.items()
        }

    async def maskable(
        self, viewer: Viewer, application_id: str, role: PartyRole, field: str
    ) -> Application:
        """The application, if the viewer may see it and it has such a field that is masked. Raises
        Problem 404."""
        app = await self.look(viewer, application_id)
        party = next((one for one in app.parties if one.role is role), None)
        if party is None or field not in party.fields or not is_masked(field):
            raise Problem(404, "not-found", "There is no such field")
        return app

    async def reveal(
        self, viewer: Viewer, app: Application, role: PartyRole, field: str, why: str, text: str
    ) -> str:
        """A field in clear for a viewer who may see it, recorded before it is shown: whose, which,
        why (a code) and, sealed, in what words."""
        party = next(one for one in app.parties if one.role is role)
        async with self._plainly():
            vault = await self._open_vault()
            opened = await vault.open(party.party_id, {field: party.fields[field]})
            sealed = await self.seal_note(app, text)
            async with self._service.transaction(actor=viewer.actor) as tx:
                await record_view(
                    tx.conn,
                    app.application_id,
                    viewer.staff_id,
                    "field",
                    tx.now,
                    field=(role.value, field),
                    why=why,
                    reason=sealed or None,
                )
        return opened[field]

    async def open_line(
        self, viewer: Viewer, line: audit.Line, why: str, text: str
    ) -> list[tuple[str, str, str]]:
        """What of a line of the audit log is sealed, in clear as far as its key is there: [(what,
        old, new)]; recorded before anything is shown."""
        assert line.application_id is not None  # nothing else has anything sealed
        app = await self.look(viewer, line.application_id)
        sealed = line.sealed
        tokens = {token: Sealed(token) for one in sealed for token in (one.old, one.new) if token}
        vault = await self._open_vault()
        keys = await vault.data_keys(
            {one.parts.data_key_id for one in tokens.values()}, leave_out_unavailable=True
        )

        def clear(field: str, token: str | None) -> str | None:
            key = keys.get(tokens[token].parts.data_key_id) if token else None
            return key.open(field or NOTE_FIELD, tokens[token]) if key and token else None

        opened = [
            replace(one, old=clear(one.field, one.old), new=clear(one.field, one.new))
            for one in sealed
        ]
        async with self._plainly():
            reason = ""
            with suppress(KeyUnavailableError):  # the code of the reason is kept all the same
                reason = await self.seal_note(app, text)
            async with self._service.transaction(actor=viewer.actor) as tx:
                await record_view(
                    tx.conn,
                    app.application_id,
                    viewer.staff_id,
                    f"audit {line.place.source} {line.place.id}",
                    tx.now,
                    why=why,
                    reason=reason or None,
                )
        return opened_values(opened)

    # -- steps that partners' events share --------------------------------------------------------

    async def seal(self, form: ApplicationForm, application_id: str | None = None) -> SealedForm:
        """Keys for every person of the form, committed, and the fields sealed under them."""
        subject = application_id or new_id()
        vault = await self._open_vault()
        parties, keys = [], {}
        for person in form.parties:
            clear = person.fields()
            own = await vault.new_party(
                subject,
                id_number=person.number,
                mobile=clear.get("mobile"),
                name=clear.get("name"),
                chinese_name=clear.get("chinese_name"),
            )
            keys[person.role] = own
            parties.append(_party(person, own))
        return SealedForm(subject, parties, keys)

    async def seal_many(self, forms: Sequence[ApplicationForm]) -> list[SealedForm]:
        """`seal` of new applications, with one step of the vault."""
        subjects = [new_id() for _ in forms]
        persons = [
            (subject, person)
            for subject, form in zip(subjects, forms, strict=True)
            for person in form.parties
        ]
        vault = await self._open_vault()
        made = await vault.new_parties(
            [
                NewParty(
                    subject,
                    one.number,
                    one.mobile,
                    name=one.name,
                    chinese_name=one.chinese_name,
                )
                for subject, one in persons
            ]
        )
        sealed = {subject: SealedForm(subject, [], {}) for subject in subjects}
        for (subject, person), own in zip(persons, made, strict=True):
            sealed[subject].keys[person.role] = own
            sealed[subject].parties.append(_party(person, own))
        return list(sealed.values())

    def now(self) -> datetime:
        """The business time."""
        return self._service.clock.now()

    def today(self) -> date:
        """The business day."""
        return business_day(self.now())

    async def region_of(self, branch: str) -> str | None:
        """The region of a branch that is open."""
        async with self._service.pool.acquire() as conn:
            return await store.region_of(conn, branch)

    async def persons(self, id_numbers: Collection[str]) -> dict[str, str]:
        """{number: person} of those whom the office knows by `PartyForm.number`."""
        vault = await self._open_vault()
        return await vault.persons(id_numbers)

    async def begin_many(
        self,
        tx: Transaction,
        entries: Sequence[tuple[ApplicationForm, SealedForm]],
        region: str,
        *,
        entered_by: str | None = None,
        client: str | None = None,
    ) -> list[Application | tuple[str, ...]]:
        """Hand in new applications of one branch within the caller's transaction, no two of one
        person. `entered_by`: whose the forms are, where it is not who hands them in; `client`: the
        program whose they become. Of each the application, or the return
        codes for which the office cannot take it: of such a one nothing is written. Raises
        CalendarEndsError."""
        actor = tx.actor or applications.OWN_SOURCE
        apps = [Application(sealed.application_id, parties=sealed.parties) for _, sealed in entries]
        holders = [sealed.person_of(form) for form, sealed in entries]
        await store.lock_persons(tx.conn, holders)
        known = await store.standings_of(tx.conn, holders)
        outcome: list[Application | tuple[str, ...]] = []
        begun: list[tuple[Application, Beginning, Found]] = []
        for app, (form, sealed) in zip(apps, entries, strict=True):
            try:
                start = self.beginning(form, sealed, "", region, client=client)
            except ApplicationError as error:
                outcome.append(error.codes)
                continue
            applications.fill(app, start)
            if app.holder.person in known:
                found = await self.examine(tx.conn, app, tx.now)
            else:
                found = self._examine_newcomer(app, form, region, tx.now)
            codes = (*found.examination.refusals, *found.refusals)
            outcome.append(tuple(dict.fromkeys(codes)) or app)
            if not codes:
                begun.append((app, start, found))
            await asyncio.sleep(0)  # others wait for this process, too
        if not begun:
            return outcome
        # after the persons, as everywhere
        day = business_day(tx.now)
        branch = begun[0][1].scope.branch
        numbers = await store.draw_numbers(tx.conn, branch, day, len(begun))
        effects: list[Effect] = []
        for (app, start, found), number in zip(begun, numbers, strict=True):
            start.scope.application_number = number
            own = applications.begin(app, start, entered_by or actor, tx.now)
            own += applications.submit(
                app,
                found.examination,
                found.refusals,
                new_to_bank=found.new_to_bank,
                actor=actor,
                now=tx.now,
            )
            effects += [replace(effect, subject=app.application_id) for effect in own]
            await asyncio.sleep(0)
        await self._store.save(tx.conn, [app for app, _, _ in begun])
        await tx.append(effects)
        return outcome

    def _examine_newcomer(
        self, app: Application, form: ApplicationForm, region: str, now: datetime
    ) -> Found:
        """What the rules say of an application of somebody who has no other."""
        examination = examine(form, (), product_for(app), today=business_day(now), region=region)
        return Found(examination, Standing(), (), new_to_bank=True)

    def beginning(
        self,
        form: ApplicationForm,
        sealed: SealedForm,
        number: str,
        region: str,
        *,
        partner: str | None = None,
        reference: str | None = None,
        client: str | None = None,
    ) -> Beginning:
        """What a new application starts from: the product in the version that holds today."""
        product = self._offered(form)
        return Beginning(
            scope=Scope(
                application_number=number,
                branch=form.branch,
                region=region,
                channel=str(form.channel),
                product=form.product,
                product_version=product.version,
                product_digest=product.digest,
                applicant_type=str(form.applicant_type),
            ),
            parties=sealed.parties,
            consent=form.consent,
            requested_limit=form.requested_limit,
            reopens=form.reopens,
            partner=partner,
            partner_reference=reference,
            client=client,
            device=self._device(form),
        )

    def _offered(self, form: ApplicationForm) -> Product:
        product = product_on(form.product, business_day(self._service.clock.now()))
        if product is None:
            raise ApplicationError(
                "not-acceptable", "The product is not offered yet", ["PRODUCT_NOT_OFFERED"]
            )
        return product

    def _device(self, form: ApplicationForm) -> bytes | None:
        """The device as a keyed digest: the same one is known again, and which it is is not."""
        device = (form.holder.device or form.applicant.device or "").strip()
        return self._blind("device", device) if device else None

    async def keys_of(self, app: Application) -> PartyKeys:
        """The keys of who will hold the card. Raises KeyUnavailableError."""
        vault = await self._open_vault()
        return await vault.party_keys(app.holder.party_id, app.application_id)

    async def check_papers(
        self, contents: Sequence[bytes], most_seconds: float
    ) -> tuple[list[CheckedPaper | DocumentRefusedError | None], float]:
        """What each of these files is, and how many seconds it took; None for those at which nobody
        looked, because it had taken so many by then."""
        return await self._reader.check_within(contents, most_seconds)

    async def store_document(self, keys: PartyKeys, paper: CheckedPaper) -> StoredDocument:
        """Keep a paper's bytes under these keys."""
        documents = await self._open_documents()
        return await documents.put(keys, paper)

    async def submit_in(
        self, conn: Any, app: Application, actor: str, now: datetime
    ) -> list[Effect]:
        """Hand a locked application in, within the caller's transaction. Raises Problem 422
        `other-person` where it takes up again what is not the same person's."""
        if app.reopens is not None:
            old = await store.find_application(conn, app.reopens)
            if old is None or old.holder.person != app.holder.person:
                raise _other_person()
        found = await self.examine(conn, app, now)
        return applications.submit(
            app,
            found.examination,
            found.refusals,
            new_to_bank=found.new_to_bank,
            actor=actor,
            now=now,
        )

    @asynccontextmanager
    async def mending(
        self, app: Application, correction: FormCorrection
    ) -> AsyncIterator[list[Party]]:
        """The parties of a locked application as they are with the corrected fields, sealed. The
        vault knows them so from now on, unless the correction is refused within after all."""
        async with self._moving(app) as added:
            mended = [
                await self._mend(app, party.role, party.fields(), added)
                for party in correction.parties
            ]
            yield merged(app.parties, mended)

    async def refusals_of(
        self, conn: Any, form: ApplicationForm, known: Application | None, now: datetime
    ) -> tuple[str, ...]:
        """Every return code that stands against a form which is not taken anyway: nobody becomes
        known by it, and nothing is locked. known: an application that is no other one."""
        today = business_day(now)
        product = product_on(form.product, today)
        if product is None:
            return ("PRODUCT_NOT_OFFERED",)
        refusals = examine(form, (), product, today=today, region="").refusals
        id_number = form.holder.number
        vault = await self._open_vault()
        found = await vault.find(id_number=id_number) if id_number else []
        if not found:
            return refusals
        other_than = known.application_id if known else ""
        standing = await store.standing_of(conn, found[0].person, other_than, reopens=form.reopens)
        return (*refusals, *standing.refusals(product, today))

    async def examine(self, conn: Any, app: Application, now: datetime) -> Found:
        """What the rules say of the application, other applications of the person included; the
        person is locked until the transaction ends."""
        await store.lock_person(conn, app.holder.person)
        standing, examination = await self._look_over(conn, app, now)
        seen = patterns(await self._traces(conn, app, now), load_attention())
        return Found(
            examination=examination.and_worth_a_look(seen),
            standing=standing,
            refusals=tuple(standing.refusals(product_for(app), business_day(now))),
            # saying that one is a customer is not enough: a person looks at whoever has no card
            new_to_bank=not standing.has_card,
        )

    async def _traces(self, conn: Any, app: Application, now: datetime) -> Traces:
        """What others' applications have in common with this one, found by keyed digests alone.
        Whoever is named in it does not count as another: a family shares a number."""
        attention, vault = load_attention(), await self._open_vault()
        own = {party.person for party in app.parties}
        on_mobile = await vault.sharing_mobile(app.holder.party_id, app.application_id)
        since = now - timedelta(days=attention.shared_mobile.days)
        recent = await store.submitted_since(
            conn, [one.application_id for one in on_mobile if one.person not in own], since
        )
        persons = {one.person for one in on_mobile if one.application_id in recent} - own
        on_device, branches = await store.traces_of(
            conn,
            app,
            own,
            devices_since=now - timedelta(days=attention.shared_device.days),
            branches_since=now - timedelta(days=attention.branches.days),
        )
        return Traces(on_mobile=1 + len(persons), on_device=1 + on_device, branches=branches)

    async def _look_over(
        self, conn: Any, app: Application, now: datetime
    ) -> tuple[Standing, Examination]:
        standing = await store.standing_of(
            conn,
            app.holder.person,
            app.application_id,
            reopens=app.reopens,
            submitted_at=app.submitted_at,
        )
        papers = await self._papers_on_file(conn, app) if standing.known else []
        examination = examine(
            await self.open_form(app),
            await self._papers_read(conn, app),
            product_for(app),
            today=business_day(now),
            region=app.need_scope().region,
            filed=await self._filed(app, papers),
            submitted_on=business_day(app.submitted_at) if app.submitted_at else None,
        )
        held = {one.document_id for one in examination.held.values()}
        kept = {one.document_id: one for one in app.taken_over}
        kept |= {one.document.document_id: one.document for one in papers}
        app.taken_over = [
            document
            for document in kept.values()
            if document.document_id in held
            or any(document.document_id == item.document_id for item in app.items)
        ]
        return standing, examination

    async def _papers_read(self, conn: Any, app: Application) -> list[Paper]:
        """The papers with what somebody read on them, in clear: for rules, never to be kept. Where
        a key is gone nobody knows what was read."""
        readings = await store.readings_of(conn, app.application_id) if app.documents else {}
        if not readings:
            return app.papers
        opened = await self.open_readings(readings)
        return [replace(paper, says=opened.get(paper.document_id, {})) for paper in app.papers]

    async def open_readings(
        self, readings: Mapping[str, Mapping[str, str]]
    ) -> dict[str, dict[str, str]]:
        """{document id: {field: what was read}}, in clear; what has no key any more is missing."""
        sealed = {
            document_id: {name: Sealed(text) for name, text in says.items()}
            for document_id, says in readings.items()
        }
        vault = await self._open_vault()
        keys = await vault.data_keys(
            {one.parts.data_key_id for says in sealed.values() for one in says.values()},
            leave_out_unavailable=True,
        )
        return {
            document_id: {
                name: keys[one.parts.data_key_id].open(name, one)
                for name, one in says.items()
                if one.parts.data_key_id in keys
            }
            for document_id, says in sealed.items()
        }

    async def _papers_on_file(self, conn: Any, app: Application) -> list[store.PaperOnFile]:
        items = [code for code, one in load_checklist_items().items.items() if one.reusable]
        return await store.papers_on_file(conn, app, items)

    async def _filed(
        self, app: Application, papers: Sequence[store.PaperOnFile]
    ) -> list[EarlierPaper]:
        """Accepted papers of the person's other applications, with what their forms said. Where
        the key is gone nobody knows what a paper shows: it is not taken over."""
        theirs = {
            party.party_id: party.fields
            for paper in papers
            for party in paper.parties
            if party.person == app.holder.person
        }
        vault = await self._open_vault()
        opened = await vault.open_parties(theirs, leave_out_unavailable=True) if theirs else {}
        read = await self.open_readings(
            {paper.document.document_id: paper.says for paper in papers if paper.says}
        )
        return [
            EarlierPaper(
                item=paper.document.item,
                document_id=paper.document.document_id,
                application_id=paper.application_id,
                received_on=business_day(paper.document.received_at),
                issued_on=paper.document.issued_on,
                fields=opened[party.party_id],
                says=read.get(paper.document.document_id, {}),
            )
            for paper in papers
            for party in paper.parties
            if party.person == app.holder.person and opened.get(party.party_id)
        ]

    async def recheck(self, conn: Any, app: Application, now: datetime) -> list[Effect]:
        """Look at a locked application again after something came: the checklist follows; nothing
        is asked or handed over while more of what was asked for is missing."""
        if not applications.before_hand_over(app):
            return []
        if app.state is not State.AWAITING_MATERIAL:
            _, examination = await self._look_over(conn, app, now)
            return applications.recheck(app, examination, (), now)
        found = await self.examine(conn, app, now)
        return applications.recheck(app, found.examination, found.refusals, now)

    async def open_form(self, app: Application) -> ApplicationForm:
        """The form as it was filled in, in clear: for rules, never to be kept. Raises
        KeyUnavailableError."""
        scope = app.need_scope()
        opened = await self._open(app)
        return ApplicationForm(
            branch=scope.branch,
            product=scope.product,
            applicant_type=ApplicantType(scope.applicant_type),
            channel=Channel(scope.channel),
            parties=[
                PartyForm.from_fields(party.role, opened[party.party_id]) for party in app.parties
            ],
            consent=app.consent,
            requested_limit=app.requested_limit,
            reopens=app.reopens,
        )

    @asynccontextmanager
    async def changing(
        self, viewer: Viewer, application_id: str, *, expect: Collection[int] | None = None
    ) -> AsyncIterator[Step]:
        """One step with an application that the viewer may see: locked meanwhile, and written at
        the end with what follows."""
        async with self._plainly(), self._transaction(viewer.actor, None) as tx:
            step = Step(tx, await self._load(tx, viewer, application_id, expect))
            yield step
            await self._write(tx, step.app, step.effects)

    async def seal_note(self, app: Application, text: str) -> str:
        """A remark about somebody is personal data too."""
        if not text.strip():
            return ""
        keys = await self.keys_of(app)
        return str(keys.seal(NOTE_CLASS, NOTE_FIELD, text.strip()[:2000]))

    async def open_notes(self, notes: Iterable[str]) -> dict[str, str]:
        """{sealed remark: text} for the office; those whose key is gone are missing."""
        sealed = {note: Sealed(note) for note in notes}
        vault = await self._open_vault()
        keys = await vault.data_keys(
            {one.parts.data_key_id for one in sealed.values()}, leave_out_unavailable=True
        )
        return {
            note: keys[one.parts.data_key_id].open(NOTE_FIELD, one)
            for note, one in sealed.items()
            if one.parts.data_key_id in keys
        }

    # -- inside ----------------------------------------------------------------------------------

    async def _open(
        self, app: Application, *, leave_out_unavailable: bool = False
    ) -> dict[str, dict[str, str]]:
        vault = await self._open_vault()
        return await vault.open_parties(
            {party.party_id: party.fields for party in app.parties},
            leave_out_unavailable=leave_out_unavailable,
        )

    @asynccontextmanager
    async def _moving(self, app: Application) -> AsyncIterator[list[str]]:
        """The vault is changed before it shows whether the step can be taken: the rules look at
        what it says then. Where it is refused within, a locked application's persons are again who
        they were, and found by what they were found by. Yields the list for the ids of parties that
        are added."""
        before, added = list(app.parties), []  # type: tuple[list[Party], list[str]]
        try:
            yield added
        except BaseException:
            with suppress(KeyUnavailableError):  # who was erased meanwhile is found by nothing
                await self._move_back(app.application_id, before, added)
            raise

    async def _move_back(
        self, application_id: str, before: Sequence[Party], added: Iterable[str]
    ) -> None:
        vault = await self._open_vault()
        for party_id in added:
            await vault.unindex(party_id, application_id, *INDEXED)
        opened = await vault.open_parties({party.party_id: party.fields for party in before})
        for party in before:
            keys = await vault.party_keys(party.party_id, application_id)
            if keys.person != party.person:
                await vault.relink(party.party_id, party.person)
                keys = await vault.party_keys(party.party_id, application_id)
            clear = opened[party.party_id]
            found_by = {kind: clear.get(kind) for kind in INDEXED}
            number = person_number(clear)
            known = await vault.persons([number] if number else [])
            # whom somebody parted from a person is no longer found by that one's number
            parted = bool(known) and party.person not in known.values()
            found_by["id_number"] = None if parted else number
            gone = [kind for kind, text in found_by.items() if not text]
            await vault.unindex(party.party_id, application_id, *gone)
            await vault.reindex(keys, **found_by)

    async def _mend(
        self, app: Application, role: PartyRole, clear: Mapping[str, str], added: list[str]
    ) -> Party:
        """The party with only its corrected fields, sealed; another person where the number by
        which one is known says so. What was typed again and says the same keeps its seal, by which
        review knows that nothing has to be asked anew. added: gets the id of one who was not
        there."""
        vault = await self._open_vault()
        party = next((one for one in app.parties if one.role == role), None)
        same: dict[str, Sealed] = {}
        if party is None:
            keys = await vault.new_party(
                app.application_id,
                id_number=person_number(clear),
                mobile=clear.get("mobile"),
                name=clear.get("name"),
                chinese_name=clear.get("chinese_name"),
            )
            added.append(keys.party_id)
        else:
            keys = await vault.party_keys(party.party_id, app.application_id)
            number = None
            needed = clear.keys() | (NUMBERED_BY if clear.keys() & NUMBERED_BY else set())
            said = {name: party.fields[name] for name in party.fields.keys() & needed}
            before = await vault.open(party.party_id, said)
            same = {name: said[name] for name in said.keys() & clear.keys()
                    if before[name] == clear[name]}  # fmt: skip
            if clear.keys() & NUMBERED_BY:
                number = person_number({**before, **clear})
                if number != person_number(before):
                    keys = await self._named(app, keys, number)
                if number is None:
                    await vault.unindex(party.party_id, app.application_id, "id_number")
            await vault.reindex(
                keys,
                id_number=number,
                mobile=clear.get("mobile"),
                name=clear.get("name"),
                chinese_name=clear.get("chinese_name"),
            )
        return Party(
            party_id=keys.party_id,
            person=keys.person,
            role=role,
            fields={**keys.seal_fields(clear, FIELD_CLASSES), **same},
        )

    async def _named(self, app: Application, keys: PartyKeys, id_number: str | None) -> PartyKeys:
        """The keys of a party once it is whoever has that number, known or new; somebody whom
        nobody knows where there is none any more."""
        vault = await self._open_vault()
        known = await vault.persons([id_number] if id_number else [])
        if keys.person in known.values():
            return keys
        # their keys here serve to name them
        named = await vault.new_party(app.application_id, id_number=id_number)
        await vault.relink(keys.party_id, named.person)
        keys = await vault.party_keys(keys.party_id, app.application_id)
        await vault.reindex(keys, id_number=id_number)
        await vault.unindex(named.party_id, app.application_id, "id_number")
        return keys

    async def _sealed_anew(
        self, app: Application, form: ApplicationForm, added: list[str]
    ) -> tuple[SealedForm, list[applications.Emptied]]:
        """The persons of a form that takes a draft's place, sealed under the keys that they have,
        and what is emptied by it. What stays the same keeps its seal; whoever is not named any
        more, and values that are gone, are found by no search. added: as for `_mend`."""
        vault = await self._open_vault()
        before = {party.role: party for party in app.parties}
        opened = await self._open(app)
        sealed = SealedForm(app.application_id, [], {})
        emptied: list[applications.Emptied] = []
        for person in form.parties:
            clear, known = person.fields(), before.pop(person.role, None)
            found_by = {**{k: clear.get(k) for k in INDEXED}, "id_number": person.number}
            if known is None:
                keys = await vault.new_party(app.application_id, **found_by)
                added.append(keys.party_id)
            else:
                keys = await vault.party_keys(known.party_id, app.application_id)
                if person.number or "id_number" in known.fields:
                    keys = await self._named(app, keys, person.number)
                await vault.unindex(
                    known.party_id,
                    app.application_id,
                    *[kind for kind in INDEXED if kind in known.fields and not found_by[kind]],
                )
                await vault.reindex(keys, **found_by)
            sealed.keys[person.role] = keys
            party = _party(person, keys)
            if known is not None:
                was = opened[known.party_id]
                same = {n: known.fields[n] for n in clear if n in was and was[n] == clear[n]}
                party = party.model_copy(update={"fields": {**party.fields, **same}})
                emptied += _emptied(known, keys, known.fields.keys() - clear.keys())
            sealed.parties.append(party)
        for gone in before.values():
            await vault.unindex(gone.party_id, app.application_id, *INDEXED)
            keys = await vault.party_keys(gone.party_id, app.application_id)
            emptied += _emptied(gone, keys, gone.fields)
        return sealed, emptied

    async def _region(self, viewer: Viewer, form: ApplicationForm) -> str:
        async with self._service.pool.acquire() as conn:
            region = await store.region_of(conn, form.branch)
        if region is None or not viewer.sees(form.branch):
            raise Problem(
                422,
                "unknown-branch",
                "There is no such branch, or it is closed",
                errors=[FieldError("/branch", "unknown-branch")],
            )
        return region

    async def _check_reopened(
        self, viewer: Viewer, form: ApplicationForm, *, before: str | None = None
    ) -> None:
        """Raises Problem 422 where the form takes up again what is no application that has ended,
        of a decline not any more (`too-late`), or is somebody else's. Of whom it does not name yet
        `submit_in` asks. before: what the draft takes up already."""
        if form.reopens is None:
            return
        async with self._service.pool.acquire() as conn:
            old = await store.find_application(conn, form.reopens)
        if old is None or (form.reopens != before and (old.open or not may_see(old, viewer))):
            raise Problem(
                422,
                "unknown-application",
                "Only an application that has ended can be taken up again",
                errors=[FieldError("/reopens", "unknown-application")],
            )
        if form.reopens != before and not appeals.may_be_taken_up(old, self._service.clock.now()):
            raise Problem(
                422,
                "too-late",
                "The time has passed in which this decline is taken up again",
                errors=[FieldError("/reopens", "too-late")],
            )
        number = None if form.lacks_holder else form.holder.number
        if number and old.holder.person not in (await self.persons([number])).values():
            raise _other_person()

    async def _load(
        self,
        tx: Transaction,
        viewer: Viewer,
        application_id: str,
        expect: Collection[int] | None = None,
    ) -> Application:
        loaded = await self._store.load(tx.conn, [application_id])
        app = visible(loaded[application_id], viewer)
        require_expected(app, expect)
        return app

    async def _write(self, tx: Transaction, app: Application, effects: Iterable[Effect]) -> None:
        facts = [*effects, *applications.what_follows(app)]
        await self._store.save(tx.conn, [app])
        await tx.append(facts, subject=app.application_id)

    def digest(self, *parts: str | bytes) -> bytes:
        """What was asked, as a keyed digest: what a body says cannot be guessed from it."""
        plain = hashlib.sha256()
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            plain.update(len(data).to_bytes(8, "big") + data)
        return self._blind("request", plain.hexdigest())

    async def keep_refusal(self, remember: Remember, status: int, body: Any) -> Answer:
        """Remember that a request was refused, so that a repetition is not run again; the answer
        that it gets now: where the same request was answered meanwhile, that answer. Raises Problem
        422 where the key was used for something else meanwhile."""
        answer = Answer(remember.digest, status, body)
        async with self._service.transaction(actor=remember.client) as tx:
            kept = await store.remember_answer(
                tx.conn, remember.client, remember.key, answer, tx.now, remembered_since(tx.now)
            )
        if kept:
            return answer
        try:
            await self._not_before(remember)
        except Repeated as before:
            return before.answer
        return answer

    async def _not_before(self, remember: Remember | None) -> None:
        """Raises Repeated, or Problem 422 where the key was used for something else."""
        if remember is None:
            return
        since = remembered_since(self._service.clock.now())
        async with self._service.pool.acquire() as conn:
            known = await store.answer_to(conn, remember.client, remember.key, since)
        if known is None:
            return
        if known.digest != remember.digest:
            raise Problem(422, KEY_REUSED, "The idempotency key was used for another request")
        raise Repeated(known)

    async def _keep(self, tx: Transaction, remember: Remember | None, result: object) -> None:
        if remember is None:
            return
        status, body = remember.answer(result)
        answer = Answer(remember.digest, status, body)
        since = remembered_since(tx.now)
        if not await store.remember_answer(
            tx.conn, remember.client, remember.key, answer, tx.now, since
        ):
            raise _Raced

    @asynccontextmanager
    async def _transaction(
        self, actor: str, remember: Remember | None
    ) -> AsyncIterator[Transaction]:
        """A transaction that is undone where the same request was answered meanwhile."""
        try:
            async with self._service.transaction(actor=actor) as tx:
                yield tx
        except _Raced:
            await self._not_before(remember)
            raise

    @asynccontextmanager
    async def _plainly(self) -> AsyncIterator[None]:
        """What the rules refuse, as a problem for people."""
        try:
            yield
        except ApplicationError as error:
            raise problem_of(error) from error
        except ItemError as error:
            raise item_problem(error) from error
        except KeyUnavailableError:
            raise Problem(
                409, "erased", "The customer's data was erased or restricted: nothing is added"
            ) from None
        except DocumentRefusedError as error:
            raise document_problem(error) from None
        except CalendarEndsError as error:
            raise Problem(503, "calendar-ends", str(error)) from None
        except UnknownVersionError as error:
            raise parameters_problem(error) from None


def remembered_since(now: datetime) -> datetime:
    """Requests from before that may come under their key once more, as new ones."""
    return now - timedelta(days=load_clocks().request_keys_days)


class _Raced(Exception):
    """The same request was faster."""


def new_document(
    app: Application, item: str, stored: StoredDocument, issued_on: date | None, now: datetime
) -> Document:
    """A paper with the office's running number."""
    return Document(
        document_id=new_id(),
        document_number=applications.document_number(app),
        item=item,
        sha256=stored.sha256,
        media_type=stored.media_type,
        size=stored.size,
        received_at=now,
        issued_on=issued_on,
    )


def _party(person: PartyForm, keys: PartyKeys) -> Party:
    """The person of a form, sealed."""
    return Party(
        party_id=keys.party_id,
        person=keys.person,
        role=person.role,
        fields=keys.seal_fields(person.fields(), FIELD_CLASSES),
    )


def _emptied(party: Party, keys: PartyKeys, names: Iterable[str]) -> list[applications.Emptied]:
    """Fields of a person of which nothing is left: what stood there, and nothing, sealed."""
    return [
        applications.Emptied(
            role=party.role.value,
            field=name,
            old=party.fields[name],
            new=keys.seal(FIELD_CLASSES[name], name, ""),
        )
        for name in sorted(names)
    ]


def merged(parties: Sequence[Party], mended: Sequence[Party]) -> list[Party]:
    """The parties with their corrected fields; roles that were not there are added."""
    by_role = {party.role: party for party in parties}
    for party in mended:
        before = by_role.get(party.role)
        fields = {**before.fields, **party.fields} if before else party.fields
        by_role[party.role] = party.model_copy(update={"fields": fields})
    return list(by_role.values())


async def follow_mobile(
    conn: Any, before: Iterable[Party], app: Application, actor: str, now: datetime
) -> None:
    """Where the applicant has another mobile now, the code for the one before ends."""
    was, is_now = (
        [one.fields.get("mobile") for one in parties if one.role is PartyRole.APPLICANT]
        for parties in (before, app.parties)
    )
    if was != is_now:
        await store_customer.follow_mobile(conn, app.application_id, actor, now)


def may_see(app: Application, viewer: Viewer) -> bool:
    """Whether the application is of a branch of the viewer's, and, where the viewer is a program
    that sees its own alone, begun by it."""
    return (
        app.scope is not None
        and viewer.sees(app.scope.branch)
        and viewer.own_client in (None, app.client)
    )


def visible(app: Application | None, viewer: Viewer) -> Application:
    """The application itself. Raises Problem 404 where the viewer may not see it, so that nobody
    learns what exists elsewhere."""
    if app is None or not may_see(app, viewer):
        raise Problem(404, "not-found", "There is no such application")
    return app


def seer(viewer: Viewer) -> str:
    """How the register of views names who looked: a member of staff, or `client:` and a program."""
    return viewer.actor.removeprefix("staff:")


def require_expected(app: Application, expect: Collection[int] | None) -> None:
    """Raises Problem 412 where the application has none of these revisions."""
    if expect is not None and app.revision not in expect:
        raise Problem(
            412,
            "changed-meanwhile",
            "The application was changed meanwhile: look at it again and decide anew",
            headers={"ETag": f'"{app.revision}"'},
        )


def _require_draft(app: Application) -> None:
    """Raises Problem 409 where the application was handed in, or has ended."""
    if app.state is not State.DRAFT:
        raise Problem(409, "no-draft", "Only a draft can be replaced as a whole")


def _require_own(viewer: Viewer, history: Iterable[Entry]) -> None:
    """Raises Problem 403 where the draft is somebody else's: a member of staff's, whoever asks, and
    for a member of staff anybody's. Programs save what no member of staff has."""
    has = applications.who_has_draft(history).actor
    if has != viewer.actor and (viewer.client is None or has.startswith("staff:")):
        raise _others_draft()


def _others_draft() -> Problem:
    return Problem(403, "others-draft", "Somebody else has this draft: take it over first")


def _other_person() -> Problem:
    return Problem(
        422,
        "other-person",
        "Only the same person's application can be taken up again",
        errors=[FieldError("/reopens", "other-person")],
    )


def _require_same(app: Application, form: ApplicationForm) -> None:
    """Raises Problem 422 where a form is of another branch or channel than the draft: its number is
    the branch's, and whoever began it is told of it."""
    scope = app.need_scope()
    faults = [
        FieldError(f"/{name}", "differs-from-draft")
        for name, is_same in (
            ("branch", form.branch == scope.branch),
            ("channel", str(form.channel) == scope.channel),
        )
        if not is_same
    ]
    if faults:
        raise Problem(
            422,
            "differs-from-draft",
            "A draft keeps its branch and its channel: begin another application",
            errors=faults,
        )


_UNFIT = frozenset(
    {
        *("not-acceptable", "not-agreed", "limit-not-fitting", "until-not-fitting"),
        *("no-guarantee", "income-not-proved"),
    }
)  # what is wrong with what was sent; any other refusal is a conflict with what stands here


def problem_of(error: ApplicationError) -> Problem:
    """A refusal of the rules as a problem, with how each return code is mended."""
    codes = load_return_codes().codes
    status = 422 if error.code in _UNFIT else 409
    return Problem(
        status,
        error.code,
        error.words,
        errors=[
            FieldError("", code, codes[code].mend.en if code in codes else None)
            for code in error.codes
        ],
    )


_ITEM_STATUS = {"not-on-list": 404, "same-person": 403}


def item_problem(error: ItemError) -> Problem:
    """Why an item does not allow it."""
    return Problem(
        _ITEM_STATUS.get(error.code, 409),
        error.code,
        error.words,
        errors=[FieldError("", code) for code in error.codes],
    )


def document_problem(error: DocumentRefusedError) -> Problem:
    """Why the bytes are no paper, and how that is mended."""
    code, why = f"document-{error.code.replace('_', '-')}", load_papers().refusals[error.code]
    return Problem(
        KINDS[code].status,
        code,
        why.names.en,
        errors=[FieldError("/file", code, why.mend.in_language(current_language()))],
    )


_MASKS: Mapping[str, Callable[[str], str]] = {
    "name": masking.mask_name,
    "chinese_name": masking.mask_name,
    "id_type": str,
    "id_number": masking.mask_id_number,
    "mobile": masking.mask_mobile,
    "email": masking.mask_email,
    "home_address": masking.mask_address,
    "work_address": masking.mask_address,
    "salutation": str,
    "nationality": str,
}


def is_masked(name: str) -> bool:
    """Whether less of a field is shown than there is."""
    return name in FIELD_CLASSES and _MASKS.get(name) is not str


def masked_field(name: str, text: str) -> str:
    """A personal field as people see it without a reason to see more."""
    mask = _MASKS.get(name)
    return mask(text) if mask is not None else masking.HIDDEN
