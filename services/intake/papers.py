"""Papers as people see them, the register of who saw them, and their end.

Three kinds of work wait as calls of the kernel, so that none is lost and each may be made again:
`preview` draws what arrived, `retention` tells the vault how long a person's data is kept at least,
`destruction` ends somebody's key and papers once every term is over.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.intake import audit, paper_store, store
from services.intake.application import (
    DESTRUCTION,
    PREVIEW,
    RETENTION,
    Application,
    Document,
)
from services.intake.desk import NOTE_CLASS, NOTE_FIELD, Desk
from services.intake.paper_store import Drawn, End, Preview, RegisterStore, Use
from shared.calendar import BUSINESS_ZONE
from shared.documents import DocumentDamagedError, DocumentMissingError, DocumentStore
from shared.identifiers import new_id
from shared.messaging import (
    Call,
    ClaimedCall,
    Effect,
    Result,
    Service,
    Succeeded,
    Worker,
)
from shared.messaging.errors import one_line
from shared.paper_images import DRAWING, THUMBNAIL, DocumentRefusedError, PaperReader
from shared.parameters import load_sign_in
from shared.privacy.sealing import Sealed
from shared.privacy.vault import KeyUnavailableError, Vault
from shared.web import Permission, Problem, Viewer

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 3600.0  # terms are counted in years
_ATTEMPTS = 20
_UNUSED_SECONDS = 86_400  # a key without an application is left from a creation that failed
_AT_ONCE = 5000  # lines that one statement drops
_LATE = timedelta(hours=1)  # after which a paper that was not drawn has nobody who does it
_TOGETHER = 2 * 1024 * 1024  # bytes of papers that are drawn in one fork


@dataclass(frozen=True, slots=True)
class Shown:
    """A paper as its page has it, with the application under which it is kept: an earlier one's may
    count here too. `preview` None: it is being prepared."""

    document: Document
    application_id: str
    preview: Preview | None
    end: End | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the register: what became of a paper, or who (as an actor) handed it in or used
    it. `reason`: in clear."""

    at: datetime
    document: Document
    what: str  # as `words.register_line` has it
    who: str | None = None
    page: int | None = None
    reason: str | None = None


class Papers:
    """What is shown of papers, and to whom; and the workers behind it."""

    def __init__(
        self,
        service: Callable[[], Service],
        desk: Desk,
        open_vault: Callable[[], Awaitable[Vault]],
        open_documents: Callable[[], Awaitable[DocumentStore]],
        reader: PaperReader,
    ) -> None:
        self._find_service = service
        self._desk = desk
        self._open_vault = open_vault
        self._open_documents = open_documents
        self._reader = reader

    @property
    def _service(self) -> Service:
        return self._find_service()

    # -- what people see --------------------------------------------------------------------------

    async def of(self, app: Application) -> list[Shown]:
        """Every paper of an application, the latest first, and then those of earlier applications
        that count here too."""
        sources = {one.document_id: one.taken_from for one in app.items if one.taken_from}
        papers = [(one, app.application_id) for one in reversed(app.documents)]
        papers += [
            (one, sources[one.document_id]) for one in app.taken_over if one.document_id in sources
        ]
        ids = [one.document_id for one, _ in papers]
        async with self._service.pool.acquire() as conn:
            previews = await paper_store.previews_of(conn, ids)
            ends = await paper_store.ends_of(conn, ids)
        shown = [
            Shown(one, source, previews.get(one.document_id), ends.get(one.document_id))
            for one, source in papers
        ]
        await self._draw_late(shown)
        return shown

    async def _draw_late(self, papers: Sequence[Shown]) -> None:
        """Have those drawn that nobody else draws: of a release before, which drew none or did it
        another way. Of a million at which nobody looks none is."""
        now = self._service.clock.now()
        late = [_drawing(one, key) for one in papers if (key := _late(one, now))]
        if late:
            async with self._service.transaction(actor="papers") as tx:
                await tx.append(late)

    async def find(
        self, viewer: Viewer, application_id: str, document_id: str
    ) -> tuple[Application, Shown]:
        """One paper of an application that the viewer may see. Raises Problem 404."""
        app = await self._desk.look(viewer, application_id)
        for shown in await self.of(app):
            if shown.document.document_id == document_id:
                return app, shown
        raise Problem(404, "not-found", "There is no such paper")

    async def page(
        self, viewer: Viewer, application_id: str, document_id: str, number: int
    ) -> bytes:
        """A page with who looks at it written on it, recorded before it is shown. Raises Problem
        404 where there is none, 409 where the key is gone."""
        _, shown = await self.find(viewer, application_id, document_id)
        async with self._service.transaction(actor=viewer.actor) as tx:
            use = Use(document_id, tx.now, viewer.staff_id, "page", number, None)
            self._require_page(shown, number)
            await paper_store.record_use(tx.conn, use)
            now = tx.now
        return await self._stamped(viewer, shown, number, now)

    async def thumbnail(self, viewer: Viewer, application_id: str, document_id: str) -> bytes:
        """The first page in small. Raises Problem as `page` does."""
        _, shown = await self.find(viewer, application_id, document_id)
        self._require_page(shown, 1)
        async with self._service.transaction(actor=viewer.actor) as tx:
            await paper_store.record_thumbnail(tx.conn, document_id, viewer.staff_id, tx.now)
            now = tx.now
        return await self._stamped(viewer, shown, 1, now, longest=THUMBNAIL)

    async def original(
        self, viewer: Viewer, application_id: str, document_id: str, reason: str
    ) -> tuple[Document, bytes]:
        """A paper as it was handed in, recorded with the reason before it is given out. Raises
        Problem 404, 409, 422."""
        if not reason.strip():
            raise Problem(422, "no-reason", "Say why you need to see it")
        app, shown = await self.find(viewer, application_id, document_id)
        with _plainly():
            keys = await self._desk.keys_of(app)
            sealed = str(keys.seal(NOTE_CLASS, NOTE_FIELD, reason.strip()[:2000]))
            async with self._service.transaction(actor=viewer.actor) as tx:
                use = Use(document_id, tx.now, viewer.staff_id, "original", None, sealed)
                await paper_store.record_use(tx.conn, use)
            documents = await self._open_documents()
            content = await documents.get(shown.application_id, shown.document.sha256)
            return shown.document, content

    async def prepare_again(self, viewer: Viewer, application_id: str, document_id: str) -> None:
        """Have a paper drawn that was not, or could not be. Raises Problem 404."""
        _, shown = await self.find(viewer, application_id, document_id)
        if shown.end is not None or (shown.preview is not None and shown.preview.pages):
            return
        async with self._service.transaction(actor=viewer.actor) as tx:
            await tx.append([_drawing(shown, new_id())])

    async def register(
        self, viewer: Viewer, application_id: str
    ) -> tuple[Application, list[Entry]]:
        """Entry, use and end of every paper of an application, the latest first. The reasons are in
        clear for who may give one or oversees staff, while the customer's keys are there. Raises
        Problem 404."""
        app = await self._desk.look(viewer, application_id)
        papers = await self.of(app)
        by_id = {one.document.document_id: one.document for one in papers}
        async with self._service.pool.acquire() as conn:
            uses = await paper_store.uses_of(conn, by_id)
            brought = {
                one.details["number"]: one.actor
                for one in await store.history_of(conn, application_id)
                if one.action == "paper_received"
            }
        branch = app.need_scope().branch
        overseer = any(
            viewer.may_in(one, branch) for one in (Permission.ORIGINAL_TAKE, Permission.STAFF_VIEW)
        )
        reasons = await self._reasons(uses if overseer else [])
        lines = [
            Entry(one.received_at, one, "entered", brought.get(one.document_number))
            for one in by_id.values()
        ]
        lines += [
            Entry(one.preview.at, one.document, "prepared", page=one.preview.pages)
            for one in papers
            if one.preview is not None and one.preview.pages
        ]
        lines += [
            Entry(
                one.at,
                by_id[one.document_id],
                one.what,
                f"staff:{one.staff_id}",
                one.page,
                reasons.get(one.reason or ""),
            )
            for one in reversed(uses)
        ]
        lines += [
            Entry(one.end.at, one.document, one.end.why) for one in papers if one.end is not None
        ]
        lines.sort(key=lambda one: one.at)
        return app, lines[::-1]  # of the same moment the last that happened comes first, too

    async def _reasons(self, uses: Iterable[Use]) -> dict[str, str]:
        """{sealed: clear} of those reasons that can still be opened."""
        sealed = {one.reason: Sealed(one.reason) for one in uses if one.reason is not None}
        vault = await self._open_vault()
        keys = await vault.data_keys(
            {one.parts.data_key_id for one in sealed.values()}, leave_out_unavailable=True
        )
        return {
            text: keys[one.parts.data_key_id].open(NOTE_FIELD, one)
            for text, one in sealed.items()
            if one.parts.data_key_id in keys
        }

    def _require_page(self, shown: Shown, number: int) -> None:
        if shown.end is not None or shown.preview is None:
            raise Problem(404, "not-found", "There is nothing to be seen of this paper")
        if not 1 <= number <= shown.preview.pages:
            raise Problem(404, "not-found", "The paper has no such page")

    async def _stamped(
        self,
        viewer: Viewer,
        shown: Shown,
        number: int,
        now: datetime,
        *,
        longest: int | None = None,
    ) -> bytes:
        with _plainly():
            documents = await self._open_documents()
            page = await documents.get_page(shown.application_id, shown.document.sha256, number)
            local = now.astimezone(BUSINESS_ZONE)
            text = f"{viewer.name} · {viewer.staff_id} · {local:%Y-%m-%d %H:%M}"
            return await self._reader.stamp(page, text, longest=longest)

    # -- work that waits --------------------------------------------------------------------------

    def workers(self) -> list[Worker]:
        """Who does it, within the kernel."""
        store = RegisterStore()
        return [
            Worker(
                kind=PREVIEW,
                store=store,
                call=self._draw,
                on_result=on_drawn,
                timeout=60.0,  # and so long nobody else draws what a process had in hand that died
                attempts=_ATTEMPTS,
                concurrency=1,  # it is the processor's work
            ),
            Worker(
                kind=RETENTION,
                store=store,
                call=self._keep,
                on_result=on_kept,
                attempts=_ATTEMPTS,
                concurrency=2,
            ),
            Worker(
                kind=DESTRUCTION,
                store=store,
                call=self._destroy,
                on_result=on_destroyed,
                timeout=60.0,
                attempts=_ATTEMPTS,
                concurrency=1,
            ),
        ]

    async def _draw(self, call: ClaimedCall) -> Result:
        """Draw the pages of papers and keep them beside; drawn twice they are the same."""
        documents = await self._open_documents()
        told: dict[str, Any] = {}
        together: list[tuple[dict[str, str], bytes]] = []
        for paper in call.payload["papers"]:
            try:
                together.append((paper, await documents.get(call.subject, paper["sha256"])))
            except KeyUnavailableError:
                told[paper["document_id"]] = "erased"
            except (DocumentMissingError, DocumentDamagedError):
                told[paper["document_id"]] = "missing"
            # an app's photographs in one go, scans one by one: their bytes are all in memory
            if sum(len(content) for _, content in together) > _TOGETHER:
                told |= await self._draw_all(documents, call.subject, together)
                together = []
        return Succeeded(told | await self._draw_all(documents, call.subject, together))

    async def _draw_all(
        self,
        documents: DocumentStore,
        application_id: str,
        papers: Sequence[tuple[dict[str, str], bytes]],
    ) -> dict[str, Any]:
        """{document id: how many pages were drawn, or why none}."""
        told: dict[str, Any] = {}
        drawn = await self._reader.render_all([content for _, content in papers])
        for (paper, _), pages in zip(papers, drawn, strict=True):
            if isinstance(pages, DocumentRefusedError):
                told[paper["document_id"]] = pages.code
                continue
            try:
                await documents.put_pages(application_id, paper["sha256"], pages)
                told[paper["document_id"]] = len(pages)
            except KeyUnavailableError:
                told[paper["document_id"]] = "erased"
            except DocumentMissingError:
                told[paper["document_id"]] = "missing"
        return told

    async def _keep(self, call: ClaimedCall) -> Result:
        """Hold the keys of an application's persons; a term is never shortened."""
        vault = await self._open_vault()
        for person in call.payload["persons"]:
            await vault.hold(person, datetime.fromisoformat(call.payload["until"]))
        return Succeeded({})

    async def _destroy(self, call: ClaimedCall) -> Result:
        """End somebody's key and then the papers under it, where nothing of theirs goes on."""
        person, now = call.subject, self._service.clock.now()
        vault = await self._open_vault()
        ids = await vault.applications_of(person)
        async with self._service.pool.acquire() as conn:
            # the vault names none where it was asked before, or the data is locked
            named = ids or await store.naming(conn, person)
            known, over = await paper_store.over(conn, named)
            others = await paper_store.has_others(conn, person)
            until = await paper_store.duty_until(conn, named)
        if until is not None and until > now:
            await vault.hold(person, until)  # it had not been told
            return Succeeded({"destroyed": []})
        unused = {one for one in set(ids) - known if _age(one) > _UNUSED_SECONDS}
        if others or not await vault.destroy_ended(person, now, over | unused):
            return Succeeded({"destroyed": []})
        async with self._service.pool.acquire() as conn:
            async with conn.transaction():
                await store.forget_person(conn, named)
            papers = await paper_store.papers_of_person(conn, person)
        documents = await self._open_documents()
        for paper in papers:
            await documents.delete(paper.application_id, paper.sha256)
        return Succeeded({"destroyed": [paper.document_id for paper in papers]})

    # -- the sweep --------------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Ask for the end of everybody whose retention term is over; how many those are. Asked
        twice is once, as long as the term is the same."""
        vault, found, last = await self._open_vault(), 0, None
        while released := await vault.released(self._service.clock.now(), after=last):
            async with self._service.transaction(actor="retention") as tx:
                await tx.append(
                    Call(
                        DESTRUCTION,
                        f"{person} {until.isoformat()}",
                        {"why": paper_store.RETENTION_ENDED},
                        subject=person,
                    )
                    for person, until in released
                )
            found, last = found + len(released), released[-1][0]
        return found

    async def forget_tries(self) -> int:
        """Drop what nobody has to keep of tries to come in that failed; how many lines."""
        kept, dropped = load_sign_in().tries, 0
        before = self._service.clock.now() - timedelta(days=kept.days)
        async with self._service.pool.acquire() as conn:
            while found := await audit.forget_tries(conn, before, kept.most, _AT_ONCE):
                dropped += found
        return dropped

    async def sweeping(self) -> None:
        """Sweep from time to time, until cancelled."""
        while True:
            try:
                await self.sweep()
                await self.forget_tries()
            except Exception as error:  # noqa: BLE001 - something is away: the next round does it
                log.warning("retention was not swept", error=one_line(error))
            await asyncio.sleep(SWEEP_SECONDS)


def _drawing(paper: Shown, key: str) -> Call:
    """Has one paper drawn that is there already; a key counts once."""
    document = paper.document
    return Call(
        PREVIEW,
        f"{document.document_id} {key}",
        {"papers": [{"document_id": document.document_id, "sha256": document.sha256}]},
        subject=paper.application_id,
    )


def _late(paper: Shown, now: datetime) -> str:
    """The key by which a paper is drawn that was not: once, or once a day where an older version
    drew it, for that may work then; "" where it is drawn as it should be, or has ended."""
    if paper.end is not None:
        return ""
    if paper.preview is None:
        return "late" if paper.document.received_at < now - _LATE else ""
    old = paper.preview.drawing < DRAWING and paper.document.media_type == "application/pdf"
    return f"by {DRAWING} on {now:%Y-%m-%d}" if old else ""


def on_drawn(result: Result, state: Drawn, now: datetime) -> Iterable[Effect]:
    """What was drawn stands in the register; what could not be, with why."""
    assert result.call is not None  # the kernel has filled it in
    drawn = result.value if isinstance(result, Succeeded) else {}
    for paper in result.call.payload["papers"]:
        told = drawn.get(paper["document_id"], "unavailable")
        if isinstance(told, int):
            state.previews.append(Preview(paper["document_id"], now, told))
        else:
            state.previews.append(Preview(paper["document_id"], now, 0, told))
    return []


def on_kept(result: Result, _state: Drawn, _now: datetime) -> Iterable[Effect]:
    """The vault knows; where it could not be told, nothing is destroyed without asking again."""
    if not isinstance(result, Succeeded):
        log.error("retention not told to the vault", error=type(result).__name__)
    return []


def on_destroyed(result: Result, state: Drawn, now: datetime) -> Iterable[Effect]:
    """What was destroyed stands in the register."""
    assert result.call is not None  # the kernel has filled it in
    if isinstance(result, Succeeded):
        why = result.call.payload["why"]
        state.ends += [End(one, now, why) for one in result.value["destroyed"]]
    else:
        log.error("papers not destroyed", error=type(result).__name__)
    return []


def _age(version_7: str) -> float:
    """Seconds since an id was drawn."""
    return time.time() - (uuid.UUID(version_7).int >> 80) / 1000


@contextmanager
def _plainly() -> Iterator[None]:
    """What cannot be shown, as a problem for people."""
    try:
        yield
    except KeyUnavailableError:
        raise Problem(409, "erased", "The customer's data was erased or restricted") from None
    except DocumentMissingError:
        raise Problem(404, "not-found", "The paper is no longer kept") from None
    except (DocumentDamagedError, DocumentRefusedError):
        raise Problem(409, "damaged", "The stored paper is damaged: tell operations") from None
