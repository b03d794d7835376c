"""The pages of one application: the case with its checklist, and its steps."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from services.intake import application as applications
from services.intake import pages_reading, store, store_customer, viewing, words
from services.intake.application import Application, before_hand_over, product_for
from services.intake.checklist import Line, refusals, tally
from services.intake.counter import guess_item
from services.intake.desk import Begun, Desk, is_masked
from services.intake.pages_precheck import answers_for, obstacles_of, staff_of
from services.intake.papers import Papers
from services.intake.rules import COUNTED, READABLE
from services.intake.typed import read_correction
from shared.calendar import business_day, day_of, escalated_before
from shared.events.lifecycle import BESIDE_REVIEW, State
from shared.events.payload import FIELD_CLASSES, PartyRole
from shared.formats import FormatCode
from shared.messaging import Service
from shared.parameters import load_checklist_items, load_papers, load_products
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language

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

_MAY_VIEW = requires(Permission.APPLICATION_VIEW)
_MAY_EDIT = requires(Permission.APPLICATION_EDIT)
_MAY_RECEIVE = requires(Permission.MATERIAL_RECEIVE)

# What the page showed when somebody decided on it. Filing a paper has none: it overwrites nothing.
_Revision = Annotated[int | None, Form(ge=0)]


def router(service: Service, desk: Desk, papers: Papers) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    for part in (_filing, _steps):
        part(routes, service, desk)
    _case(routes, service, desk, papers)
    return routes


def _case(routes: APIRouter, service: Service, desk: Desk, papers: Papers) -> None:
    """One application as it stands."""

    @routes.get("/applications/{application_id}")
    async def page_application(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_VIEW]
    ) -> Response:
        """One application: checklist, papers, persons (masked), card, history."""
        app = await desk.look(viewer, application_id)
        return await _application_page(request, viewer, app, await desk.masked(app))

    async def _application_page(
        request: Request,
        viewer: Viewer,
        app: Application,
        fields: Mapping[str, Mapping[str, str]],
    ) -> Response:
        lines, scope = await desk.checklist(app), app.need_scope()

        def may(permission: Permission) -> bool:
            return viewer.may_in(permission, scope.branch)

        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            history = await store.history_of(conn, app.application_id)
            office = may(Permission.PRE_CHECK_VIEW)
            changes = await store.changes_of(conn, app.application_id) if office else []
            entered = await store.who_entered(conn, app.application_id)
            may_read = may(Permission.MATERIAL_RECEIVE) and may(Permission.MATERIAL_VIEW)
            cards = [one.document_id for one in app.documents] if may_read else []
            suggestions = await pages_reading.of_papers(conn, cards)
            waivers = [line.waiver.by for line in lines if line.waiver]
            opened = [
                one
                for one in await store_customer.accesses_of(conn, app.application_id)
                if one.what == "entered"
            ]
            actors = [one.actor for one in history] + [one.actor for one in opened] + waivers
            staff = await staff_names(conn, staff_of(changes) + words.staff_in(actors))
        remarks = await desk.open_notes(one.remark for one in changes if one.remark)
        correctable = app.state in _CORRECTABLE and may(Permission.APPLICATION_EDIT)
        needed = [line for line in lines if line.need != "optional" or line.reasons]
        counted, rules = tally(lines), product_for(app).pre_check
        dues = applications.dues(app)
        meeting_counts = (
            rules.by == "officer"
            or rules.meeting == "required"
            # review's registry does not know such documents: what counts is who saw them
            or {FormatCode.ID_RESIDENCE_PERMIT, FormatCode.ID_PASSPORT} & set(app.warnings)
        )
        return page(
            request,
            "application.html",
            app=app,
            scope=scope,
            branch_name=branches.get(scope.branch, scope.branch),
            product_name=_product_name(scope.product),
            needed=needed,
            welcome=[line for line in lines if line not in needed],
            done=counted.done,
            to_do=counted.needed,
            papers={one.document_id: one for one in (*app.documents, *app.taken_over)},
            shown_papers=await papers.of(app) if may(Permission.MATERIAL_VIEW) else [],
            persons=[
                (party.role.value, _shown(fields.get(party.party_id, {}))) for party in app.parties
            ],
            roles=_roles(app, lines),
            wrong_fields=sorted(
                {name for line in lines for _code, name in line.reasons if name is not None},
                key=list(FIELD_CLASSES).index,
            ),
            can={
                "resume": app.state is State.DRAFT
                and may(Permission.APPLICATION_EDIT)
                and may(Permission.PERSONAL_REVEAL),
                "submit": app.state is State.DRAFT and may(Permission.APPLICATION_EDIT),
                "correct": correctable,
                "receive": app.open and may(Permission.MATERIAL_RECEIVE),
                "read": before_hand_over(app) and may(Permission.MATERIAL_RECEIVE),
                "withdraw": app.state in _BEFORE_CARD
                and (app.withdrawal is None or app.withdrawal.outcome == "refused")
                and may(Permission.APPLICATION_EDIT),
                "reveal": may(Permission.PERSONAL_REVEAL),
                "look": may(Permission.MATERIAL_VIEW),
                "admit": may(Permission.CUSTOMER_ADMIT),
                "judge": app.state in (State.PRE_CHECK, State.AWAITING_MATERIAL)
                and may(Permission.PRE_CHECK_DECIDE),
                "agree": app.state in (State.PRE_CHECK, State.AWAITING_MATERIAL)
                and may(Permission.PRE_CHECK_AGREE),
                "end": app.state is State.PRE_CHECK and may(Permission.PRE_CHECK_DECIDE),
                "contact": "first_contact" in dues and may(Permission.PRE_CHECK_DECIDE),
                "meet": may(Permission.PRE_CHECK_DECIDE)
                and ("interview" in dues or (before_hand_over(app) and meeting_counts)),
            },
            obstacles=obstacles_of(app, viewer, entered) if app.state is State.PRE_CHECK else [],
            refusals=refusals(app, lines),
            readable=(*READABLE, *COUNTED),
            suggestions=suggestions,
            meeting_required=rules.meeting == "required",
            changes=[
                words.change(one, staff, remarks.get(one.remark or "")) for one in reversed(changes)
            ],
            staff=staff,
            history=sorted(
                [
                    words.happening(one, staff)
                    for one in reversed(viewing.shown_history(history, viewer))
                ]
                + [
                    {
                        **words.access(one.at, one.actor, one.what, staff),
                        "detail": _("Customer's page"),
                    }
                    for one in opened
                ],
                key=lambda line: line["at"],
                reverse=True,  # of the same moment the last that happened stays first
            ),
            today=business_day(service.clock.now()),
            dated=product_for(app).validity.longest_days,
            words=words,
            dues=dues,
            task_desks=BESIDE_REVIEW,
            waited=applications.waited_until(app, service.clock.now()),
            answers=_answers(app, service.clock.now(), viewer),
        )


def _filing(routes: APIRouter, _service: Service, desk: Desk) -> None:
    """Papers come in."""

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


def _steps(routes: APIRouter, service: Service, desk: Desk) -> None:
    """What is done with one application."""

    @routes.post("/applications/{application_id}/submit")
    async def submit(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        revision: _Revision = None,
    ) -> Response:
        """Hand the application in."""
        try:
            expect = expected(revision)
            return after(request, await desk.submit(viewer, application_id, expect=expect))
        except Problem as problem:
            if problem.code != "not-acceptable":
                raise
            return redirect(
                request,
                f"/intake/applications/{application_id}",
                flash=_refused([one.code for one in problem.errors]),
                tone="danger",
            )

    @routes.post("/applications/{application_id}/corrections")
    async def correct(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        revision: _Revision = None,
    ) -> Response:
        """Mend fields of the form; fields left empty stay as they are."""
        here = f"/intake/applications/{application_id}"
        sent = await sent_fields(request)
        try:
            correction = read_correction(sent, service.clock.now())
        except ValidationError:
            return redirect(
                request,
                here,
                flash=_("Nothing was changed: fill in at least one field, days as 2026-10-12."),
                tone="danger",
            )
        expect = expected(revision)
        begun = await desk.correct(viewer, application_id, correction, expect=expect)
        flash = _("The form is corrected.")
        if begun.application.state is State.CHECKING:
            flash += " " + _("Everything is in: the application is with review.")
        return redirect(request, here, flash=flash)

    @routes.post("/applications/{application_id}/withdraw")
    async def withdraw(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        reason: Annotated[str, Form(max_length=300)] = "",
        revision: _Revision = None,
    ) -> Response:
        """The customer wants out."""
        expect = expected(revision)
        app = await desk.withdraw(viewer, application_id, reason, expect=expect)
        done = app.state is State.WITHDRAWN
        return redirect(
            request,
            f"/intake/applications/{application_id}",
            flash=_("The application is withdrawn.") if done else _("Review is asked; see below."),
            tone="success" if done else "info",
        )


async def _file_one(
    desk: Desk, viewer: Viewer, application_id: str, file: UploadFile, item: str, issued_on: str
) -> tuple[str, str]:
    """File one paper: its item, by the file's name where none was chosen, and the state of the
    application. Raises Problem."""
    chosen = item or guess_item(file.filename or "", load_checklist_items().items)
    if chosen is None:
        raise Problem(422, "item-unknown", "Nobody said which paper this is")
    content = await file.read(load_papers().largest_bytes + 1)
    filed = await desk.receive(viewer, application_id, chosen, content, day_of(issued_on))
    return chosen, str(filed.application.state)


# -- reading forms ---------------------------------------------------------------------------------


async def sent_fields(request: Request) -> dict[str, str]:
    """The fields of a form as text, those left empty left out."""
    form = await request.form()
    return {
        name: value.strip()
        for name, value in form.items()
        if isinstance(value, str) and value.strip() and name != "csrf_token"
    }


def expected(revision: int | None) -> frozenset[int] | None:
    return None if revision is None else frozenset({revision})


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
        return redirect(request, here, flash=_("Kept as a draft."))
    if app.state is State.PRE_CHECK:
        return redirect(request, here, flash=_("Handed in: an officer checks it now."))
    return redirect(request, here, flash=_("Handed in, complete, and with review."))


def _refused(codes: list[str]) -> str:
    why = " ".join(words.reason(code, None) for code in dict.fromkeys(codes))
    return _("The office cannot take this application; it stays a draft.") + " " + why


def _roles(app: Application, lines: Iterable[Line]) -> list[str]:
    """Whose fields can be corrected: the form's persons, and a holder who is asked for."""
    roles = [party.role.value for party in app.parties]
    if any(code == "HOLDER_MISSING" for line in lines for code, _field in line.reasons):
        roles.append(PartyRole.SUPPLEMENTARY_HOLDER.value)
    return roles


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


def _answers(app: Application, now: datetime, viewer: Viewer) -> tuple[str, str] | None:
    """Who has to see to it that it goes on, and whom everybody waits for; None once it ended."""
    if app.state is None or not app.open:
        return None
    return answers_for(app.state, app.due_at, escalated_before(business_day(now)), viewer)


def _product_name(code: str) -> str:
    """In the reader's language; one that is no longer held goes by its code."""
    known = load_products().get(code)
    return code if known is None else known.names.in_language(current_language())
