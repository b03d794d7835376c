"""The pages of intake: an application, its checklist, the form."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response
from pydantic import ValidationError

from services.intake import application as applications
from services.intake import pages_reading, store, viewing, words
from services.intake.application import Application, before_hand_over, product_for
from services.intake.checklist import Line, tally
from services.intake.desk import Begun, Desk, is_masked
from services.intake.form import ApplicationForm, FormCorrection
from services.intake.pages_precheck import obstacles_of, staff_of
from services.intake.papers import Papers
from services.intake.rules import COUNTED, CREDIT_PURPOSE, READABLE
from shared.calendar import CalendarEndsError, business_day
from shared.events.lifecycle import State
from shared.events.payload import FIELD_CLASSES, PartyRole
from shared.messaging import Service
from shared.money import Money
from shared.parameters import load_papers, load_products
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


_MENDED_BY_NO_PAPER = frozenset(
    {
        "AGE_OUT_OF_RANGE",
        "PRODUCT_NOT_FOR_APPLICANT",
        "DUPLICATE_APPLICATION",
        "TOO_MANY_CARDS",
        "COOL_DOWN",
    }
)

_MAY_VIEW = requires(Permission.APPLICATION_VIEW)
_MAY_CREATE = requires(Permission.APPLICATION_CREATE)
_MAY_EDIT = requires(Permission.APPLICATION_EDIT)
_MAY_RECEIVE = requires(Permission.MATERIAL_RECEIVE)

# What the page showed when somebody decided on it. Filing a paper has none: it overwrites nothing.
_Revision = Annotated[int | None, Form(ge=0)]


def router(service: Service, desk: Desk, papers: Papers) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    # the form's address is not an application's: it comes first
    for part in (_forms, _steps):
        part(routes, service, desk)
    _case(routes, service, desk, papers)
    return routes


def _forms(routes: APIRouter, service: Service, desk: Desk) -> None:
    """A new application."""

    @routes.get("/applications/new")
    async def page_new(request: Request, viewer: Annotated[Viewer, _MAY_CREATE]) -> Response:
        """An empty form."""
        return await _form_page(request, viewer, {}, {})

    @routes.post("/applications")
    async def create(request: Request, viewer: Annotated[Viewer, _MAY_CREATE]) -> Response:
        """Keep the form as a draft, or hand it in at once."""
        sent = await _sent(request)
        try:
            form = _read_form(sent, service.clock.now())
        except ValidationError as error:
            return await _form_page(request, viewer, sent, _field_errors(error), status_code=422)
        try:
            begun = await desk.create(viewer, form, submit=sent.get("then") == "submit")
        except Problem as problem:
            errors = {"branch": _("There is no such branch, or it is closed")}
            if problem.code != "unknown-branch":
                raise
            return await _form_page(request, viewer, sent, errors, status_code=422)
        return _after(request, begun)

    async def _form_page(
        request: Request,
        viewer: Viewer,
        values: Mapping[str, str],
        errors: Mapping[str, str],
        *,
        status_code: int = 200,
    ) -> Response:
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
        return page(
            request,
            "new.html",
            status_code=status_code,
            values=values,
            errors=errors,
            branches=[(code, name) for code, name in branches.items() if viewer.sees(code)],
            products=[
                (code, one.names.in_language(current_language()))
                for code, one in load_products().items()
            ],
            today=business_day(service.clock.now()),
        )


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
        lines = await desk.checklist(app)
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            history = await store.history_of(conn, app.application_id)
            office = viewer.may(Permission.PRE_CHECK_VIEW)
            changes = await store.changes_of(conn, app.application_id) if office else []
            entered = await store.who_entered(conn, app.application_id)
            may_read = viewer.may(Permission.MATERIAL_RECEIVE) and viewer.may(
                Permission.MATERIAL_VIEW
            )
            cards = [one.document_id for one in app.documents] if may_read else []
            suggestions = await pages_reading.of_papers(conn, cards)
            waivers = [line.waiver.by for line in lines if line.waiver]
            actors = [one.actor for one in history] + waivers
            staff = await staff_names(
                conn,
                staff_of(changes)
                + [one.removeprefix("staff:") for one in actors if "staff:" in one],
            )
        remarks = await desk.open_notes(one.remark for one in changes if one.remark)
        scope = app.need_scope()
        correctable = app.state in _CORRECTABLE and viewer.may(Permission.APPLICATION_EDIT)
        needed = [line for line in lines if line.need != "optional" or line.reasons]
        counted, rules = tally(lines), product_for(app).pre_check
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
            shown_papers=await papers.of(app) if viewer.may(Permission.MATERIAL_VIEW) else [],
            persons=[
                (party.role.value, _shown(fields.get(party.party_id, {}))) for party in app.parties
            ],
            roles=_roles(app, lines),
            wrong_fields=sorted(
                {name for line in lines for _code, name in line.reasons if name is not None},
                key=list(FIELD_CLASSES).index,
            ),
            can={
                "submit": app.state is State.DRAFT and viewer.may(Permission.APPLICATION_EDIT),
                "correct": correctable,
                "receive": app.open and viewer.may(Permission.MATERIAL_RECEIVE),
                "read": before_hand_over(app) and viewer.may(Permission.MATERIAL_RECEIVE),
                "withdraw": app.state in _BEFORE_CARD
                and (app.withdrawal is None or app.withdrawal.outcome == "refused")
                and viewer.may(Permission.APPLICATION_EDIT),
                "reveal": viewer.may(Permission.PERSONAL_REVEAL),
                "look": viewer.may(Permission.MATERIAL_VIEW),
                "judge": app.state in (State.PRE_CHECK, State.AWAITING_MATERIAL)
                and viewer.may(Permission.PRE_CHECK_DECIDE),
                "agree": app.state in (State.PRE_CHECK, State.AWAITING_MATERIAL)
                and viewer.may(Permission.PRE_CHECK_AGREE),
                "end": app.state is State.PRE_CHECK and viewer.may(Permission.PRE_CHECK_DECIDE),
                "meet": before_hand_over(app)
                and (rules.by == "officer" or rules.meeting == "required")
                and viewer.may(Permission.PRE_CHECK_DECIDE),
            },
            obstacles=obstacles_of(app, viewer, entered) if app.state is State.PRE_CHECK else [],
            refusals=_refusals(app, lines),
            readable=(*READABLE, *COUNTED),
            suggestions=suggestions,
            meeting_required=rules.meeting == "required",
            changes=[
                words.change(one, staff, remarks.get(one.remark or "")) for one in reversed(changes)
            ],
            staff=staff,
            history=[
                words.happening(one, staff)
                for one in reversed(viewing.shown_history(history, viewer))
            ],
            today=business_day(service.clock.now()),
            words=words,
            dues=_dues(app),
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
            expect = _expected(revision)
            return _after(request, await desk.submit(viewer, application_id, expect=expect))
        except Problem as problem:
            if problem.code != "not-acceptable":
                raise
            return redirect(
                request,
                f"/intake/applications/{application_id}",
                flash=_refused([one.code for one in problem.errors]),
                tone="danger",
            )

    @routes.post("/applications/{application_id}/documents")
    async def receive(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_RECEIVE],
        item: Annotated[str, Form(max_length=60)],
        file: Annotated[UploadFile, File()],
        issued_on: Annotated[str, Form(max_length=10)] = "",
    ) -> Response:
        """File a paper under an item of the checklist."""
        here = f"/intake/applications/{application_id}"
        content = await file.read(load_papers().largest_bytes + 1)
        try:
            filed = await desk.receive(viewer, application_id, item, content, _day(issued_on))
        except Problem as problem:
            if problem.status == 404 or problem.status >= 500:
                raise
            return redirect(request, here, flash=_unfiled(problem.code), tone="danger")
        flash = _("%(item)s is filed.") % {"item": words.item_name(item)}
        if filed.application.state is State.CHECKING:
            flash += " " + _("Everything is in: the application is with review.")
        return redirect(request, here, flash=flash)

    @routes.post("/applications/{application_id}/corrections")
    async def correct(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_EDIT],
        revision: _Revision = None,
    ) -> Response:
        """Mend fields of the form; fields left empty stay as they are."""
        here = f"/intake/applications/{application_id}"
        sent = await _sent(request)
        try:
            correction = _read_correction(sent, service.clock.now())
        except ValidationError:
            return redirect(
                request,
                here,
                flash=_("Nothing was changed: fill in at least one field, days as 2026-10-12."),
                tone="danger",
            )
        expect = _expected(revision)
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
        expect = _expected(revision)
        app = await desk.withdraw(viewer, application_id, reason, expect=expect)
        done = app.state is State.WITHDRAWN
        return redirect(
            request,
            f"/intake/applications/{application_id}",
            flash=_("The application is withdrawn.") if done else _("Review is asked; see below."),
            tone="success" if done else "info",
        )


# -- reading forms ---------------------------------------------------------------------------------


async def _sent(request: Request) -> dict[str, str]:
    """The fields of a form as text, those left empty left out."""
    form = await request.form()
    return {
        name: value.strip()
        for name, value in form.items()
        if isinstance(value, str) and value.strip() and name != "csrf_token"
    }


def _read_party(sent: Mapping[str, str]) -> dict[str, Any]:
    party: dict[str, Any] = {"role": sent.get("role", "applicant")}
    for name in FIELD_CLASSES:
        if name in sent:
            party[name] = _fen(sent[name]) if name in words.MONEY_FIELDS else sent[name]
    if sent.get("id_long_term"):
        party["id_long_term"] = True
        party.pop("id_expires", None)
    return party


def _consent(day: date | None, now: datetime) -> dict[str, Any] | None:
    if day is None:
        return None
    # a day ahead is kept as it is: the rules say what is wrong with it
    signed_at = now if day == business_day(now) else f"{day.isoformat()}T00:00:00+08:00"
    return {"signed_at": signed_at, "purpose": CREDIT_PURPOSE}


def _read_form(sent: Mapping[str, str], now: datetime) -> ApplicationForm:
    """Raises ValidationError."""
    content: dict[str, Any] = {
        "branch": sent.get("branch", ""),
        "product": sent.get("product", ""),
        "applicant_type": sent.get("applicant_type", ""),
        "channel": "counter",
        "parties": [_read_party(sent)],
        "consent": _consent(_day(sent.get("consent_day", "")), now),
    }
    holder = {
        name.removeprefix("holder_"): text
        for name, text in sent.items()
        if name.startswith("holder_")
    }
    if holder:
        content["parties"].append(_read_party({**holder, "role": "supplementary_holder"}))
    if "requested_limit" in sent:
        limit = _fen(sent["requested_limit"])
        content["requested_limit"] = {"minor": int(limit) if limit.isdecimal() else limit}
    return ApplicationForm.model_validate(content)


def _read_correction(sent: Mapping[str, str], now: datetime) -> FormCorrection:
    """Raises ValidationError."""
    consent = _consent(_day(sent.get("consent_day", "")), now)
    party = _read_party(sent)
    # a role alone corrects nothing
    parties = [party] if len(party) > 1 else []
    return FormCorrection.model_validate({"parties": parties, "consent": consent})


def _fen(yuan: str) -> str:
    """Whole fen as digits of an amount in yuan; what is none stays for the form to refuse."""
    try:
        return str(Money.of(yuan.replace(",", "").replace("，", "")).minor)
    except (ValueError, ArithmeticError):
        return yuan


def _field_errors(error: ValidationError) -> dict[str, str]:
    """{field: what is wrong with it} by the last name of its place, without the value."""
    found: dict[str, str] = {}
    for fault in error.errors(include_input=False, include_url=False):
        names = [part for part in fault["loc"] if isinstance(part, str)]
        of_holder = 1 in fault["loc"] and "parties" in names
        name = names[-1] if names else ""
        name = {"minor": "requested_limit", "parties": ""}.get(name, name)
        found[f"holder_{name}" if of_holder and name else name] = _words_for(fault["type"])
    return found


def _words_for(kind: str) -> str:
    if words.is_known(kind):
        return words.reason(kind, None)
    if kind.startswith("date"):
        return _("Write the day as 2026-10-12.")
    if kind in {"enum", "literal_error", "string_too_short", "string_pattern_mismatch", "int_type"}:
        return _("Choose or write a value that is possible here.")
    return _("This cannot be kept as it is.")


def _expected(revision: int | None) -> frozenset[int] | None:
    return None if revision is None else frozenset({revision})


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


# -- what is shown ---------------------------------------------------------------------------------


def _after(request: Request, begun: Begun) -> Response:
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


def _refusals(app: Application, lines: Iterable[Line]) -> list[str]:
    """Return codes of the customer's list that no item stands for: no paper mends them."""
    of_items = {(line.item, code) for line in lines for code, _field in line.reasons}
    if app.state is not State.AWAITING_MATERIAL:
        return []
    return [
        one.code
        for one in app.wanted
        if (one.item, one.code) not in of_items and one.code in _MENDED_BY_NO_PAPER
    ]


def _unfiled(code: str) -> str:
    if code.startswith("document-"):
        return words.no_paper(code.removeprefix("document-").replace("-", "_"))
    known = {
        "issued-in-future": _("A paper cannot be issued in the future."),
        "already-ended": _("The application has ended; nothing is added."),
    }
    return known.get(code, _("The paper could not be filed."))


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


def _dues(app: Application) -> Mapping[applications.Step, datetime]:
    """Until when the office has to do its steps; none where nobody can count so far yet."""
    try:
        return applications.dues(app)
    except CalendarEndsError:
        return {}


def _product_name(code: str) -> str:
    """In the reader's language; one that is no longer held goes by its code."""
    known = load_products().get(code)
    return code if known is None else known.names.in_language(current_language())
