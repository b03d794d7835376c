"""The pages of one application: the case with its checklist, and its steps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import ValidationError

from services.intake import application as applications
from services.intake import pages_reading, store, store_customer, viewing, words
from services.intake.appeals import may_be_taken_up
from services.intake.application import Application, Entry, before_hand_over, held_product
from services.intake.checklist import Line, refusals, tally
from services.intake.counter import guess_item
from services.intake.desk import Begun, Desk, is_masked
from services.intake.items import Change
from services.intake.limit_changes import may_ask as may_ask_limit
from services.intake.pages_precheck import (
    Revision,
    Show,
    Typed,
    answers_for,
    expected,
    obstacles_of,
    staff_of,
    untaken,
)
from services.intake.papers import Papers
from services.intake.store_customer import AccessEntry
from services.intake.typed import faults_of, read_correction
from shared.calendar import business_day, day_of, escalated_before
from shared.events.lifecycle import BESIDE_REVIEW, State
from shared.events.payload import FIELD_CLASSES, PartyRole
from shared.formats import FormatCode
from shared.messaging import Connection, Service
from shared.parameters import load_checklist_items, load_papers
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _
from shared.web.limits import lenient
from shared.web.pages import last_page, page_number

_CORRECTABLE = frozenset({State.DRAFT, State.AWAITING_MATERIAL})
_BEFORE_CARD = frozenset(
    {
        State.DRAFT,
        State.SUBMITTED,
        State.PRE_CHECK,
        State.AWAITING_MATERIAL,
        State.CHECKING,
        State.SCORING,
        State.MANUAL_REVIEW,
        State.ON_HOLD,
        State.APPROVED,
    }
)

_LATEST = slice(6)  # lines of a history that the case itself shows
_MOST_SINCE = 10  # lines of what was done meanwhile
HISTORY_SIZE = 25  # lines of a page of the whole history
_CORRECTED = (*words.FIELDS, "consent_day")
"""The fields of a correction, as its form has them."""

_MAY_VIEW = requires(Permission.APPLICATION_VIEW)
_MAY_EDIT = requires(Permission.APPLICATION_EDIT)
_MAY_RECEIVE = requires(Permission.MATERIAL_RECEIVE)


def router(service: Service, desk: Desk, show: Show) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    _case(routes, service, desk, show)
    _filing(routes, service, desk)
    _steps(routes, desk, show)
    _correcting(routes, service, desk)
    return routes


def shower(service: Service, desk: Desk, papers: Papers) -> Show:
    """What shows an application of this service instance."""

    async def show(
        request: Request,
        viewer: Viewer,
        app: Application,
        since: int | None = None,
        *,
        typed: Typed | None = None,
    ) -> Response:
        fields = await desk.masked(app)
        lines, scope = await desk.checklist(app), app.need_scope()

        def may(permission: Permission) -> bool:
            return viewer.may_in(permission, scope.branch)

        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            office = may(Permission.PRE_CHECK_VIEW)
            past = await _past(conn, app, office=office)
            done, judged = await done_since(conn, app, since, office=office)
            entered = await store.who_entered(conn, app.application_id)
            may_read = may(Permission.MATERIAL_RECEIVE) and may(Permission.MATERIAL_VIEW)
            latest = [one for one in app.documents if one.document_id in shown_of(app, lines)]
            cards = [one.document_id for one in latest] if may_read else []
            suggestions = await pages_reading.of_papers(conn, cards)
            waivers = [line.waiver.by for line in lines if line.waiver]
            staff = await staff_names(conn, past.staff() + words.staff_in(waivers))
        needed = [line for line in lines if line.need != "optional" or line.reasons]
        counted, dues = tally(lines), applications.dues(app)
        # without the rules that it began with an application is shown, and every step by them waits
        product = held_product(app)
        meeting_required = product is not None and product.pre_check.meeting == "required"
        meeting_counts = product is not None and (
            product.pre_check.by == "officer"
            or meeting_required
            # review's registry does not know such documents: what counts is who saw them
            or not {FormatCode.ID_RESIDENCE_PERMIT, FormatCode.ID_PASSPORT}.isdisjoint(app.warnings)
        )
        return page(
            request,
            "application.html",
            status_code=200 if typed is None else 412,
            typed=typed,
            app=app,
            scope=scope,
            branch_name=branches.get(scope.branch, scope.branch),
            product_name=words.product_name(scope.product),
            needed=needed,
            welcome=[line for line in lines if line not in needed],
            done=counted.done,
            to_do=counted.needed,
            papers={one.document_id: one for one in (*app.documents, *app.taken_over)},
            shown_papers=[
                one
                for one in (await papers.of(app) if may(Permission.MATERIAL_VIEW) else [])
                if one.document.document_id in shown_of(app, lines)
            ],
            persons=[
                (party.role.value, _shown(fields.get(party.party_id, {}))) for party in app.parties
            ],
            roles=_roles(app, lines),
            wrong_fields=_to_correct(lines),
            values={},
            faults={},
            latest=latest,
            can=_steps_of(
                app,
                may,
                own_draft=app.state is State.DRAFT
                and applications.who_has_draft(past.history).actor == viewer.actor,
                ruled=product is not None,
                meeting_counts=meeting_counts,
                take_up=app.state is State.DECLINED and may_be_taken_up(app, service.clock.now()),
            ),
            obstacles=obstacles_of(app, viewer, entered)
            if product and app.state is State.PRE_CHECK
            else [],
            refusals=refusals(app, lines),
            suggestions=suggestions,
            meeting_required=meeting_required,
            changes=await past.changes_told(desk, staff, _LATEST),
            more_changes=len(past.changes) > _LATEST.stop,
            since=_since_told(done, judged, staff),
            staff=staff,
            history=past.history_told(viewer, staff)[_LATEST],
            more_history=len(past.history_told(viewer, staff)) > _LATEST.stop,
            today=business_day(service.clock.now()),
            dated=product.validity.longest_days if product else (),
            ruled=product is not None,
            words=words,
            dues=dues,
            task_desks=BESIDE_REVIEW,
            waited=applications.waited_until(app, service.clock.now()),
            answers=_answers(app, service.clock.now(), viewer),
        )

    return show


def _case(routes: APIRouter, service: Service, desk: Desk, show: Show) -> None:
    """One application as it stands, and all that was done with it."""

    @routes.get("/applications/{application_id}")
    async def page_application(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_VIEW],
        since: Annotated[int | None, Query(ge=0, lt=2**63), lenient(None)] = None,
    ) -> Response:
        """One application: checklist, papers, persons (masked), card, history. `since`: what was
        done after this revision is told first."""
        app = await desk.look(viewer, application_id)
        return await show(request, viewer, app, since)

    @routes.get("/applications/{application_id}/history")
    async def page_history(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_VIEW]
    ) -> Response:
        """Everything that was done with an application and its checklist, page by page."""
        app = await desk.look(viewer, application_id)
        office = viewer.may_in(Permission.PRE_CHECK_VIEW, app.need_scope().branch)
        async with service.pool.acquire() as conn:
            past = await _past(conn, app, office=office)
            staff = await staff_names(conn, past.staff())
        history = past.history_told(viewer, staff)
        total = max(len(history), len(past.changes))
        number = min(page_number(request), last_page(total, HISTORY_SIZE))
        these = slice((number - 1) * HISTORY_SIZE, number * HISTORY_SIZE)
        return page(
            request,
            "history.html",
            app=app,
            office=office,
            history=history[these],
            changes=await past.changes_told(desk, staff, these),
            page_number=number,
            page_size=HISTORY_SIZE,
            total=total,
        )


@dataclass(frozen=True, slots=True)
class _Past:
    """What was done with an application and, for the office, with its checklist; the oldest
    first. `opened`: when its customer came."""

    history: Sequence[Entry]
    changes: Sequence[Change]
    opened: Sequence[AccessEntry]

    def staff(self) -> list[str]:
        """The staff who are named in it."""
        actors = [one.actor for one in self.history] + [one.actor for one in self.opened]
        return staff_of(self.changes) + words.staff_in(actors)

    def history_told(self, viewer: Viewer, staff: Mapping[str, str]) -> list[dict[str, Any]]:
        """The lines that the viewer may see, the newest first."""
        lines = [
            words.happening(one, staff)
            for one in reversed(viewing.shown_history(self.history, viewer))
        ]
        lines += [
            {**words.access(one.at, one.actor, one.what, staff), "detail": _("Customer's page")}
            for one in self.opened
        ]
        # of the same moment the last that happened stays first
        return sorted(lines, key=lambda line: line["at"], reverse=True)

    async def changes_told(
        self, desk: Desk, staff: Mapping[str, str], these: slice
    ) -> list[dict[str, Any]]:
        """Some of the checklist's lines, counted from the newest, with their remarks."""
        changes = self.changes[::-1][these]
        remarks = await desk.open_notes(one.remark for one in changes if one.remark)
        return [words.change(one, staff, remarks.get(one.remark or "")) for one in changes]


async def _past(conn: Connection, app: Application, *, office: bool) -> _Past:
    return _Past(
        await store.history_of(conn, app.application_id),
        await store.changes_of(conn, app.application_id) if office else [],
        [
            one
            for one in await store_customer.accesses_of(conn, app.application_id)
            if one.what == "entered"
        ],
    )


def shown_of(app: Application, lines: Iterable[Line]) -> set[str]:
    """Which papers a case shows: those that count, and the last of each item; the register has
    all."""
    counting = {line.documents[0] for line in lines if line.documents}
    return counting | set({one.item: one.document_id for one in app.documents}.values())


async def done_since(
    conn: Connection, app: Application, since: int | None, *, office: bool
) -> tuple[list[Entry], list[Change]]:
    """What was done here since a revision that somebody saw, and for the office to which items."""
    if since is None:
        return [], []
    done = [
        one
        for one in await store.history_of(conn, app.application_id, after=since)
        if one.action != "moved"  # by review: cut out of its history, a move may tell of a hold
    ]
    return done, (await store.changes_of(conn, app.application_id, after=since) if office else [])


def _since_told(
    done: Sequence[Entry], judged: Sequence[Change], staff: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The last of it as lines, what was done with the case first."""
    lines = [words.happening(one, staff) for one in reversed(done)]
    lines += [words.change(one, staff, None) for one in reversed(judged)]
    return lines[:_MOST_SINCE]


def _filing(routes: APIRouter, _service: Service, desk: Desk) -> None:
    """Papers come in. They name no revision: a paper overwrites nothing."""

    @routes.post("/applications/{application_id}/documents")
    async def receive(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_RECEIVE],
        file: Annotated[list[UploadFile], File()],
        item: Annotated[str, Form(max_length=60)] = "",
        issued_on: Annotated[str, Form(max_length=10)] = "",
    ) -> Response:
        """File papers under an item of the checklist, or each by its name; each by itself. A script
        sends one at a time and is told in JSON what became of it."""
        await desk.look(viewer, application_id)
        told: list[tuple[bool, str]] = []
        state = ""
        for nth, one in enumerate(file, start=1):
            which = f"{nth}: " if len(file) > 1 else ""  # its name may be somebody's
            try:
                chosen, state = await _file_one(desk, viewer, application_id, one, item, issued_on)
            except Problem as problem:
                if problem.status == 404 or problem.status >= 500:
                    raise
                told.append((False, which + words.unfiled(problem.code)))
            else:
                told.append((True, _("%(item)s is filed.") % {"item": words.item_name(chosen)}))
        well = all(ok for ok, _words in told)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(
                {"words": " ".join(one for _ok, one in told), "state": state},
                status_code=201 if well else 422,
            )
        if state == State.CHECKING.value:
            told.append((True, _("Everything is in: the application is with review.")))
        return redirect(
            request,
            f"/intake/applications/{application_id}",
            flash=" ".join(one for _ok, one in told),
            tone="success" if well else "danger",
        )


def _steps(routes: APIRouter, desk: Desk, show: Show) -> None:
    """What is done with one application."""

    @routes.post("/applications/{application_id}/submit")
    async def submit(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        revision: Revision = None,
    ) -> Response:
        """Hand the application in."""
        try:
            expect = expected(revision)
            return after(request, await desk.submit(viewer, application_id, expect=expect))
        except Problem as problem:
            if problem.code != "not-acceptable":
                return untaken(request, application_id, revision, problem)
            return redirect(
                request,
                f"/intake/applications/{application_id}",
                flash=_refused([one.code for one in problem.errors]),
                tone="danger",
            )

    @routes.get("/applications/{application_id}/withdraw")
    async def look_again(application_id: str, viewer: Annotated[Viewer, _MAY_EDIT]) -> Response:
        """The case: what the language link asks for where a withdrawal came too late."""
        await desk.look(viewer, application_id)
        return RedirectResponse(f"/intake/applications/{application_id}", status_code=303)

    @routes.post("/applications/{application_id}/withdraw")
    async def withdraw(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        reason: Annotated[str, Form(max_length=300)] = "",
        revision: Revision = None,
    ) -> Response:
        """The customer wants out."""
        expect = expected(revision)
        try:
            app = await desk.withdraw(viewer, application_id, reason, expect=expect)
        except Problem as problem:
            if problem.code != "changed-meanwhile":
                return untaken(request, application_id, revision, problem)
            app = await desk.look(viewer, application_id)
            return await show(
                request, viewer, app, revision, typed=Typed("withdraw", "withdraw", reason=reason)
            )
        done = app.state is State.WITHDRAWN
        return redirect(
            request,
            f"/intake/applications/{application_id}",
            flash=_("The application is withdrawn.") if done else _("Review is asked; see below."),
            tone="success" if done else "info",
        )


def _correcting(routes: APIRouter, service: Service, desk: Desk) -> None:
    """Fields of the form are mended."""

    async def correction(
        request: Request,
        viewer: Viewer,
        app: Application,
        typed: Mapping[str, str],
        *,
        faults: Mapping[str, str] | None = None,
        since: int | None = None,
    ) -> Response:
        """The form of a correction with what was typed. faults: {field: words} of what cannot be
        kept, "" for the whole. since: the revision for which it was typed, where that is over."""
        lines, scope = await desk.checklist(app), app.need_scope()
        office = viewer.may_in(Permission.PRE_CHECK_VIEW, scope.branch)
        async with service.pool.acquire() as conn:
            done, judged = await done_since(conn, app, since, office=office)
            actors = words.staff_in(one.actor for one in done)
            staff = await staff_names(conn, staff_of(judged) + actors)
        return page(
            request,
            "corrections.html",
            status_code=422 if faults else 200 if since is None else 412,
            app=app,
            roles=_roles(app, lines),
            wrong_fields=_to_correct(lines),
            fields=_CORRECTED,
            values=typed,
            faults=faults or {},
            too_late=since is not None,
            since=_since_told(done, judged, staff),
            words=words,
        )

    @routes.get("/applications/{application_id}/corrections")
    async def page_correction(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_EDIT]
    ) -> Response:
        """Every field of the form, to be corrected."""
        app = await desk.look(viewer, application_id)
        if app.state not in _CORRECTABLE or held_product(app) is None:
            return redirect(request, f"/intake/applications/{application_id}")
        return await correction(request, viewer, app, {})

    @routes.post("/applications/{application_id}/corrections")
    async def correct(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        revision: Revision = None,
    ) -> Response:
        """Mend fields of the form; fields left empty stay as they are."""
        here = f"/intake/applications/{application_id}"
        sent = await sent_fields(request)
        try:
            mended = read_correction(sent, service.clock.now())
        except ValidationError as error:
            app = await desk.look(viewer, application_id)
            faults = words.faults(faults_of(error, sent))
            return await correction(request, viewer, app, sent, faults=faults)
        expect = expected(revision)
        try:
            begun = await desk.correct(viewer, application_id, mended, expect=expect)
        except Problem as problem:
            app = await desk.look(viewer, application_id)
            if problem.code != "changed-meanwhile" or app.state not in _CORRECTABLE:
                return untaken(request, application_id, revision, problem)
            return await correction(request, viewer, app, sent, since=revision)
        flash = _("The form is corrected.")
        if begun.application.state is State.CHECKING:
            flash += " " + _("Everything is in: the application is with review.")
        return redirect(request, here, flash=flash)


async def _file_one(
    desk: Desk, viewer: Viewer, application_id: str, file: UploadFile, item: str, issued_on: str
) -> tuple[str, str]:
    """File one paper: its item, by the file's name where none was chosen, and the state of the
    application as the viewer may know it. Raises Problem."""
    chosen = item or guess_item(file.filename or "", load_checklist_items().items)
    if chosen is None:
        raise Problem(422, "item-unknown", "Nobody said which paper this is")
    content = await file.read(load_papers().largest_bytes + 1)
    filed = await desk.receive(viewer, application_id, chosen, content, day_of(issued_on))
    return chosen, viewing.shown_state(str(filed.application.state), viewer)


# -- reading forms ---------------------------------------------------------------------------------


async def sent_fields(request: Request) -> dict[str, str]:
    """The fields of a form as text, those left empty left out."""
    form = await request.form()
    return {
        name: value.strip()
        for name, value in form.items()
        if isinstance(value, str) and value.strip() and name != "csrf_token"
    }


# -- what is shown ---------------------------------------------------------------------------------


def after(request: Request, begun: Begun) -> Response:
    """To the application's page, with what became of it."""
    app = begun.application
    here = f"/intake/applications/{app.application_id}"
    if begun.refused:
        return redirect(request, here, flash=_refused(list(begun.refused)), tone="danger")
    if app.state is State.AWAITING_MATERIAL:
        return redirect(
            request,
            here,
            flash=_("Handed in. Something is missing: the customer gets one list."),
            tone="warning",
        )
    if app.state is State.DRAFT:
        return redirect(request, here, flash=_("Saved as a draft."))
    if app.state is State.PRE_CHECK:
        return redirect(request, here, flash=_("Handed in: an officer checks it now."))
    return redirect(request, here, flash=_("Handed in, complete, and with review."))


def _refused(codes: list[str]) -> str:
    why = " ".join(words.reason(code, None) for code in dict.fromkeys(codes))
    return _("The office cannot take this application; it stays a draft.") + " " + why


def _roles(app: Application, lines: Iterable[Line]) -> list[str]:
    """Whose fields can be corrected: the form's persons, and those who are asked for."""
    roles = [party.role.value for party in app.parties]
    codes = {code for line in lines for code, _field in line.reasons}
    asked = {
        "HOLDER_MISSING": PartyRole.SUPPLEMENTARY_HOLDER,
        "GUARDIAN_MISSING": PartyRole.GUARDIAN,
    }
    return roles + [role.value for code, role in asked.items() if code in codes]


def _to_correct(lines: Iterable[Line]) -> list[str]:
    """The fields of the form that are wanted of the customer, as a correction has them."""
    reasons = [reason for line in lines for reason in line.reasons]
    wrong = {name for _code, name in reasons if name is not None}
    if any(code == "NO_CREDIT_AUTH" for code, _field in reasons):
        wrong.add("consent_day")
    return [name for name in _CORRECTED if name in wrong]


def _shown(fields: Mapping[str, str]) -> list[tuple[str, str, str, bool]]:
    """[(field, label, masked value, whether there is more to see)] of a person."""
    return [
        (
            name,
            _(words.FIELDS[name]),
            words.field_value(name, fields[name], clear=False),
            is_masked(name),
        )
        for name in FIELD_CLASSES
        if name in fields
    ]


def _steps_of(
    app: Application,
    may: Callable[[Permission], bool],
    *,
    own_draft: bool,
    ruled: bool,
    meeting_counts: bool,
    take_up: bool,
) -> dict[str, bool]:
    """What is offered on the page. own_draft: it is the viewer who has the draft; ruled: the rules
    that the application began with are held; take_up: it is a decline that a new application may
    take up again."""
    edit, decide = may(Permission.APPLICATION_EDIT), may(Permission.PRE_CHECK_DECIDE)
    reveal, receive = may(Permission.PERSONAL_REVEAL), may(Permission.MATERIAL_RECEIVE)
    draft, dues = app.state is State.DRAFT, applications.dues(app)
    looked_at = app.state in (State.PRE_CHECK, State.AWAITING_MATERIAL)
    steps = {
        "resume": draft and edit and reveal and own_draft,
        "take_over": draft and edit and reveal and not own_draft,
        "submit": draft and edit,
        "correct": app.state in _CORRECTABLE and edit,
        "receive": app.open and receive,
        "read": before_hand_over(app) and receive,
        "judge": looked_at and decide,
        "agree": looked_at and may(Permission.PRE_CHECK_AGREE),
        "end": app.state is State.PRE_CHECK and decide,
        "meet": decide and ("interview" in dues or (before_hand_over(app) and meeting_counts)),
    }
    return {name: ruled and offered for name, offered in steps.items()} | {
        "withdraw": app.state in _BEFORE_CARD
        and (app.withdrawal is None or app.withdrawal.outcome == "refused")
        and edit,
        "change_limit": may_ask_limit(app) and edit,
        "take_up": take_up and may(Permission.APPLICATION_CREATE),
        "contact": "first_contact" in dues and decide,
        "reveal": reveal,
        "look": may(Permission.MATERIAL_VIEW),
        "admit": may(Permission.CUSTOMER_ADMIT),
    }


def _answers(app: Application, now: datetime, viewer: Viewer) -> tuple[str, str] | None:
    """Who has to see to it that it goes on, and whom everybody waits for; None once it ended."""
    if app.state is None or not app.open:
        return None
    return answers_for(app.state, app.due_at, escalated_before(business_day(now)), viewer)
