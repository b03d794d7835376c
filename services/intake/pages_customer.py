"""The customer's own page, and the office's page on who may enter it.

Everything of it works without JavaScript, on a phone. What is done goes through the desk, as at the
counter: papers are decoded as anybody's, fields are checked by the same rules.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import qrcode
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from services.intake import words
from services.intake.appeals import about_limit, may_ask, may_dispute
from services.intake.application import Application, product_for
from services.intake.checklist import Line, for_customer, refusals, tally
from services.intake.customer import COOKIE, HOME, NUMBER_END, OWN, Customers, Inside
from services.intake.customer_pdf import Row, Sheet, drawn
from services.intake.customer_view import (
    SAYS,
    WISHES,
    Shown,
    answer_to,
    may_withdraw,
    shown,
    state_outside,
    steps,
    wanted_fields,
    wanted_of,
)
from services.intake.desk import Desk
from services.intake.form import FormCorrection
from services.intake.items import mending_fields
from services.intake.pages import sent_fields
from services.intake.rules import CREDIT_PURPOSE
from services.intake.typed import faults_of, read_correction
from shared.calendar import day_of
from shared.events.lifecycle import State
from shared.events.payload import ConsentText, PartyRole
from shared.messaging import Service
from shared.parameters import load_customer_page, load_papers, load_products
from shared.privacy.masking import HIDDEN
from shared.web import Permission, Problem, Viewer, page, public, redirect, requires
from shared.web.access import CodeNeeded, own_page
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import LANGUAGES, _, current_language, show_date, show_datetime
from shared.web.limits import lenient
from shared.web.state import web_state
from shared.web.states import item_badge

_TOKEN_COOKIE = "banka_customer_form"  # noqa: S105 - a cookie's name
_HOUR = 3600  # seconds that the page with the code stays usable
_LONGEST_REASON = 300
_MAY_ADMIT = requires(Permission.CUSTOMER_ADMIT)


def router(service: Service, desk: Desk, customers: Customers, customer_url: str) -> APIRouter:
    """Both parts over one service. customer_url: the fixed address that slips name; empty: the one
    under which the assistant's browser sees us."""
    routes = APIRouter(include_in_schema=False)
    _office(routes, service, customers, customer_url)
    _lists(routes, service, desk, customers)
    _entrance(routes, customers)
    _own_list(routes, desk, customers)
    _own_papers(routes, desk, customers)
    _own_form(routes, service, desk, customers)
    _own_consent(routes, service, desk, customers)
    _own_end(routes, desk, customers)
    _own_appeal(routes, desk, customers)
    _own_dispute(routes, desk, customers)
    return routes


# -- the office's part -----------------------------------------------------------------------------


def _office(routes: APIRouter, service: Service, customers: Customers, customer_url: str) -> None:
    here = "/intake/applications/{application_id}/access"

    @routes.get(here)
    async def page_access(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_ADMIT]
    ) -> Response:
        """The customer's code as it stands, and who came in by one."""
        app, code, accesses, inside = await customers.standing(viewer, application_id)
        actors = [one.actor for one in accesses] + ([code.issued_by] if code else [])
        async with service.pool.acquire() as conn:
            staff = await staff_names(conn, words.staff_in(actors))
        return page(
            request,
            "customer/access.html",
            app=app,
            scope=app.need_scope(),
            code=code,
            inside=inside,
            lets_in=code is not None and code.lets_in(service.clock.now()),
            accesses=[words.access(one.at, one.actor, one.what, staff) for one in accesses],
            issued_by=words.actor(code.issued_by, staff) if code else "",
            most=load_customer_page().code_tries,
        )

    @routes.post(here + "/give")
    async def give(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_ADMIT]
    ) -> Response:
        """A new code, on a slip to print: this one answer alone shows it."""
        try:
            given = await customers.give(viewer, application_id)
        except Problem as problem:
            return _not_given(request, application_id, problem)
        address = customer_url or str(request.base_url).rstrip("/") + HOME
        scope = given.app.need_scope()
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
        response = page(
            request,
            "customer/slip.html",
            app=given.app,
            given=given,
            address=address,
            squares=_squares(address),
            branch_name=branches.get(scope.branch, scope.branch),
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.post(here + "/send")
    async def send(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_ADMIT]
    ) -> Response:
        """A new code, by message: the customer alone sees it."""
        try:
            await customers.send(viewer, application_id)
        except Problem as problem:
            return _not_given(request, application_id, problem)
        return redirect(
            request,
            f"/intake/applications/{application_id}/access",
            flash=_("The code goes to the customer by message."),
        )

    @routes.get(here + "/give")
    async def given_before(application_id: str, viewer: Annotated[Viewer, _MAY_ADMIT]) -> Response:
        """A slip is not shown again: what its language link or a reload asks for."""
        await customers.standing(viewer, application_id)
        return RedirectResponse(f"/intake/applications/{application_id}/access", status_code=303)

    @routes.post(here + "/revoke")
    async def revoke(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_ADMIT]
    ) -> Response:
        """The code ends, and whoever is in by one is out."""
        await customers.revoke(viewer, application_id)
        return redirect(
            request,
            f"/intake/applications/{application_id}/access",
            flash=_("Nobody enters with the code any more."),
        )


def _not_given(request: Request, application_id: str, problem: Problem) -> Response:
    """Why the customer gets no code."""
    if problem.code not in ("no-mobile", "not-handed-in", "erased"):
        raise problem
    return redirect(
        request,
        f"/intake/applications/{application_id}/access",
        flash=words.refusal(problem.code),
        tone="danger",
    )


def _squares(address: str) -> tuple[int, str]:
    """A QR code of the fixed address: its width in squares, and an SVG path of the dark ones."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(address)
    matrix = code.get_matrix()
    path = "".join(
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark
    )
    return len(matrix), path


def _lists(routes: APIRouter, service: Service, desk: Desk, customers: Customers) -> None:
    """The customer's list as a file, for who hands it out and for the customer."""

    @routes.get("/intake/applications/{application_id}/checklist.pdf")
    async def office_list(
        application_id: str, viewer: Annotated[Viewer, requires(Permission.APPLICATION_VIEW)]
    ) -> Response:
        """As it is printed at the counter."""
        return await _list_of(await desk.look(viewer, application_id))

    @routes.get(OWN + "/list.pdf")
    async def own_list(guest: Annotated[Inside, own_page(customers.guest)]) -> Response:
        """To keep, or to show to somebody."""
        customers.pace_step(guest.application_id)
        return await _list_of(await desk.look(guest.viewer, guest.application_id))

    async def _list_of(app: Application) -> Response:
        lines = for_customer(await desk.checklist(app))
        content = await asyncio.to_thread(drawn, _sheet(app, lines, service.clock.now()))
        name = f"checklist-{app.need_scope().application_number[-NUMBER_END:]}.pdf"
        return Response(
            content,
            media_type="application/pdf",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
            },
        )


def _sheet(app: Application, lines: Sequence[Line], now: datetime) -> Sheet:
    """The list in words, as the page says them."""
    scope, counted = app.need_scope(), tally(lines)
    product = words.product_name(scope.product)
    ending = _("application number ending %(end)s") % {"end": scope.application_number[-6:]}
    facts = [
        f"{product} · {ending}",
        _("%(done)s of %(needed)s are complete.")
        % {"done": counted.done, "needed": counted.needed},
    ]
    if app.state is State.AWAITING_MATERIAL and app.material_deadline is not None:
        day = show_date(app.material_deadline)
        facts.append(_("Please hand in what is missing by %(day)s.") % {"day": day})
    facts += [words.reason(code, None) for code in refusals(app, lines)]
    return Sheet(
        title=_("Checklist"),
        language=current_language(),
        facts=facts,
        heads=(_("Item"), _("State"), _("What to do")),
        rows=[_row(line) for line in lines],
        foot=_("As of %(time)s.") % {"time": show_datetime(now)},
    )


def _row(line: Line) -> Row:
    group = _(words.GROUPS.get(line.group, line.group)) if line.group else ""
    reasons = tuple(words.reason(code, field) for code, field in line.reasons)
    if not reasons and not line.done and line.group:
        reasons = (_("one of these will do"),)
    return Row(
        name=words.item_name(line.item),
        how=" · ".join(part for part in (group, words.item_how(line.item)) if part),
        state=_(item_badge("complete" if line.done else "wanted").label),
        reasons=reasons,
    )


# -- the entrance ----------------------------------------------------------------------------------


def _entrance(routes: APIRouter, customers: Customers) -> None:
    @routes.get(HOME, dependencies=[public("a customer enters a code here")])
    async def page_enter(
        request: Request, ended: Annotated[bool, lenient(False)] = False
    ) -> Response:
        """Where a customer enters a code; who is in already goes on to their page."""
        try:
            await customers.guest(request)
        except CodeNeeded:
            note = _("You were away for a while, so we closed the page.") if ended else ""
            return _form(request, note=note)
        return redirect(request, OWN)

    @routes.post(HOME, dependencies=[public("a customer enters a code here")])
    async def enter(request: Request) -> Response:
        """In, or the same words whatever did not fit."""
        try:
            customers.pace_entry(request)
        except Problem as problem:
            return _form(
                request,
                error=_("Too many tries. Please wait a minute, then try again."),
                status_code=429,
                headers=problem.headers,
            )
        sent = await request.form(max_files=0)
        state = web_state(request)
        nonce = request.cookies.get(_TOKEN_COOKIE)
        token = _text(sent, "csrf_token")
        if nonce is None or not state.signer.accepts_form(f"customer {nonce}", token):
            return _form(request, error=_("The page had expired. Please try again."))
        number_end = _text(sent, "number_end")
        session = await customers.enter(number_end, _text(sent, "mobile_end"), _text(sent, "code"))
        if session is None:
            return _form(
                request,
                number_end,
                error=_(
                    "These three do not fit together, or the code counts no longer. After several"
                    " wrong tries your branch gives you a new one."
                ),
                status_code=401,
            )
        response = redirect(request, OWN)
        response.set_cookie(
            COOKIE,
            session,
            path=HOME,
            max_age=load_customer_page().longest_minutes * 60,
            secure=state.secure_cookies,
            httponly=True,
            samesite="lax",
        )
        response.delete_cookie(_TOKEN_COOKIE, path=HOME)
        return response

    def _form(
        request: Request,
        number_end: str = "",
        *,
        error: str = "",
        note: str = "",
        status_code: int = 200,
        headers: Any = None,
    ) -> Response:
        state = web_state(request)
        nonce = request.cookies.get(_TOKEN_COOKIE) or secrets.token_urlsafe(12)
        request.state.form_token = state.signer.form_token(f"customer {nonce}")
        response = page(
            request,
            "customer/enter.html",
            status_code=status_code,
            number_end=number_end[:18],
            error=error,
            note=note,
        )
        response.headers.update(headers or {})
        response.set_cookie(
            _TOKEN_COOKIE,
            nonce,
            max_age=_HOUR,
            path=HOME,
            secure=state.secure_cookies,
            httponly=True,
            samesite="strict",
        )
        return response


# -- the customer's part ---------------------------------------------------------------------------


def _own_list(routes: APIRouter, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN)
    async def page_own(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """How the application stands, and what is missing and why."""
        app, items = await _look(desk, guest)
        return await _own_page(request, desk, app, items)

    @routes.get(OWN + "/code", dependencies=[mine])
    async def code_before() -> Response:
        """A code is not shown again."""
        return RedirectResponse(OWN, status_code=303)

    @routes.post(OWN + "/code")
    async def code(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """A code for the next time: the one by which the customer came is used up."""
        app, _items = await _look(desk, guest)
        try:
            given = await customers.take(request, guest)
        except Problem as problem:
            return _refused(request, problem)
        return page(
            request,
            "customer/code.html",
            app=app,
            given=given,
        )

    @routes.post(OWN + "/leave")
    async def leave(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """Out."""
        await customers.leave(request, guest)
        response = redirect(request, HOME, flash=_("You have left your page."), tone="info")
        response.delete_cookie(COOKIE, path=HOME)
        return response


def _own_papers(routes: APIRouter, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN + "/items/{item}")
    async def page_item(request: Request, item: str, guest: Annotated[Inside, mine]) -> Response:
        """Hand in one paper."""
        app, items = await _look(desk, guest)
        one = _found(items, item)
        return redirect(request, OWN) if one is None else _item_page(request, desk, app, one)

    @routes.post(OWN + "/items/{item}")
    async def bring(request: Request, item: str, guest: Annotated[Inside, mine]) -> Response:
        """A paper for an item that is wanted; it is decoded as anybody's."""
        app, items = await _look(desk, guest)
        one = _found(items, item)
        if one is None:
            return redirect(
                request, OWN, flash=_("Nothing more is needed for this item."), tone="info"
            )
        sent = await request.form()
        file = sent.get("file")
        issued_on = day_of(_text(sent, "issued_on"))
        if not isinstance(file, UploadFile) or not file.filename:
            return _item_page(request, desk, app, one, _("Choose a photo or a file first."))
        if _is_dated(app, item) and issued_on is None:
            return _item_page(request, desk, app, one, _("Enter the date that the paper bears."))
        content = await file.read(load_papers().largest_bytes + 1)
        try:
            filed = await desk.receive(guest.viewer, guest.application_id, item, content, issued_on)
        except Problem as problem:
            if problem.status >= 500:
                raise
            return _item_page(request, desk, app, one, words.unfiled(problem.code))
        return _done(
            request,
            filed.application,
            _("We have received: %(item)s.") % {"item": words.item_name(item)},
        )


def _own_form(routes: APIRouter, service: Service, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN + "/fields")
    async def page_fields(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """The fields of the form that are wanted."""
        app, items = await _look(desk, guest)
        if not wanted_fields(items):
            return redirect(request, OWN)
        return await _fields_page(request, desk, app, items)

    @routes.post(OWN + "/fields")
    async def correct(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """Those fields of those persons and no others, checked by the rules that found them
        wrong."""
        app, items = await _look(desk, guest)
        sent = await sent_fields(request)
        if not wanted_fields(items):
            return redirect(request, OWN, flash=_("Nothing has to be corrected any more."))
        wanted = wanted_of(items, await desk.whose_faults(app))
        role = sent.get("role", "")
        allowed = {
            one.value: {*names, "id_long_term"} if "id_expires" in names else set(names)
            for one, names in wanted.items()
        }
        others = set().union(*allowed.values()) - allowed.get(role, set())
        if astray := [name for name in wanted_fields(items) if name in others and name in sent]:
            return await _fields_page(
                request,
                desk,
                app,
                items,
                _("Of this person it is not asked for: %(fields)s.")
                % {"fields": words.listed([words.field_name(name) for name in astray])},
                typed=sent,
            )
        mended = {name: text for name, text in sent.items() if name in allowed.get(role, set())}
        mended["role"] = role if role in allowed else PartyRole.APPLICANT.value
        try:
            correction = read_correction(mended, service.clock.now())
        except ValidationError as error:
            faults = words.faults(faults_of(error, mended))
            return await _fields_page(
                request,
                desk,
                app,
                items,
                faults.get("", _("Nothing was changed: correct the marked fields.")),
                typed=sent,
                faults=faults,
            )
        expect = _revision(sent)
        try:
            begun = await desk.correct(
                guest.viewer, guest.application_id, correction, expect=expect
            )
        except Problem as problem:
            return _refused(request, problem)
        still = wanted_of(
            shown(begun.application, for_customer(begun.lines)),
            await desk.whose_faults(begun.application),
        )
        left = still.get(PartyRole(mended["role"]), [])
        wrong = [words.field_name(name) for name in left if name in mended]
        if wrong:
            flash = _("Saved, but not right yet: %(fields)s.") % {"fields": words.listed(wrong)}
            return redirect(request, OWN + "/fields", flash=flash, tone="warning")
        return _done(request, begun.application, _("Thank you, that is corrected."))


def _own_consent(routes: APIRouter, service: Service, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN + "/consent")
    async def page_consent(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """The consent to the credit query, where it is wanted."""
        app, items = await _look(desk, guest)
        if not any(one.agree for one in items):
            return redirect(request, OWN)
        return _consent_page(request, app)

    @routes.post(OWN + "/consent")
    async def consent(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """The customer consents, now and in these words."""
        app, items = await _look(desk, guest)
        if not any(one.agree for one in items):
            return redirect(request, OWN)
        sent = await sent_fields(request)
        if "agree" not in sent:
            return _consent_page(request, app, _("Tick the box if you agree."))
        agreed = _agreed(sent.get("words", ""))
        if agreed is None:
            return _consent_page(request, app, _("The words have changed: please read them again."))
        given = {"signed_at": service.clock.now(), "purpose": CREDIT_PURPOSE, "text": agreed}
        correction = FormCorrection.model_validate({"consent": given})
        try:
            begun = await desk.correct(
                guest.viewer, guest.application_id, correction, expect=_revision(sent)
            )
        except Problem as problem:
            return _refused(request, problem)
        return _done(request, begun.application, _("Thank you, we have your consent."))


def _own_end(routes: APIRouter, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN + "/withdraw")
    async def page_withdraw(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """Whether the customer is sure."""
        app, _items = await _look(desk, guest)
        return _withdraw_page(request, app) if may_withdraw(app) else redirect(request, OWN)

    @routes.post(OWN + "/withdraw")
    async def withdraw(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """The customer wants out, and has said so twice."""
        app, _items = await _look(desk, guest)
        sent = await sent_fields(request)
        if "sure" not in sent and may_withdraw(app):
            return _withdraw_page(request, app, _("Tick the box if you are sure."))
        try:
            app = await desk.withdraw(
                guest.viewer,
                guest.application_id,
                sent.get("reason", "")[:_LONGEST_REASON],
                expect=_revision(sent),
            )
        except Problem as problem:
            return _refused(request, problem)
        if app.state is State.WITHDRAWN:
            return redirect(request, OWN, flash=_("Your application is withdrawn."))
        return redirect(
            request, OWN, flash=_("We have your wish to withdraw and answer soon."), tone="info"
        )


def _own_appeal(routes: APIRouter, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN + "/appeal")
    async def page_appeal(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """What the customer can ask about the decision."""
        app, _items = await _look(desk, guest)
        return _appeal_page(request, app) if may_ask(app) else redirect(request, OWN)

    @routes.post(OWN + "/appeal")
    async def appeal(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """The customer asks why, or for a review by a person."""
        app, _items = await _look(desk, guest)
        sent = await sent_fields(request)
        wish = next((one for one in may_ask(app) if one == sent.get("wish")), None)
        if wish is None:
            error = _("Choose what you want.")
            return _appeal_page(request, app, error) if may_ask(app) else redirect(request, OWN)
        try:
            await desk.appeal(
                guest.viewer,
                guest.application_id,
                wish,
                sent.get("words", "")[:_LONGEST_REASON],
                expect=_revision(sent),
            )
        except Problem as problem:
            return _refused(request, problem)
        return redirect(request, OWN, flash=_("We have your question and answer soon."))


def _own_dispute(routes: APIRouter, desk: Desk, customers: Customers) -> None:
    mine = own_page(customers.guest)

    @routes.get(OWN + "/dispute")
    async def page_dispute(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """What the customer says is wrong in the credit report."""
        app, _items = await _look(desk, guest)
        return _dispute_page(request, app) if may_dispute(app) else redirect(request, OWN)

    @routes.post(OWN + "/dispute")
    async def dispute(request: Request, guest: Annotated[Inside, mine]) -> Response:
        """The customer disputes it."""
        app, _items = await _look(desk, guest)
        sent = await sent_fields(request)
        said = sent.get("words", "").strip()[:_LONGEST_REASON]
        if not may_dispute(app):
            return redirect(request, OWN)
        if not said:
            return _dispute_page(request, app, _("Say what is wrong in it."))
        try:
            await desk.dispute(guest.viewer, guest.application_id, said, expect=_revision(sent))
        except Problem as problem:
            return _refused(request, problem)
        return redirect(request, OWN, flash=_("We have it looked into and answer in writing."))


# -- what is shown ---------------------------------------------------------------------------------


async def _look(desk: Desk, guest: Inside) -> tuple[Application, list[Shown]]:
    """The guest's application, and its list with what may be done about each item."""
    app = await desk.look(guest.viewer, guest.application_id)
    return app, shown(app, for_customer(await desk.checklist(app)))


async def _own_page(
    request: Request, desk: Desk, app: Application, items: Sequence[Shown]
) -> Response:
    fields = (await desk.masked(app)).get(app.applicant.party_id, {})
    scope = app.need_scope()
    known = load_products().get(scope.product)
    lines = [one.line for one in items]
    title, advice = SAYS[state_outside(app)]
    return page(
        request,
        "customer/application.html",
        app=app,
        number_end=scope.application_number[-6:],
        product_name=known.names.in_language(current_language()) if known else "",
        name=fields.get("name", ""),
        mobile=fields.get("mobile", ""),
        title=_(title),
        advice=_(advice),
        steps=[(_(label), progress, None) for label, progress in steps(app)],
        to_do=[one for one in items if not one.line.done],
        done=[one for one in items if one.line.done],
        counted=tally(lines),
        refusals=refusals(app, lines),
        wanted=[words.field_name(name) for name in wanted_fields(items)],
        waiting=app.state in (State.DRAFT, State.AWAITING_MATERIAL),
        may_withdraw=may_withdraw(app),
        may_appeal=bool(may_ask(app)),
        about_limit=about_limit(app),
        may_dispute=may_dispute(app),
        appeals=[(_(WISHES[one.wish][0]), _(answer_to(app, one)), one) for one in app.appeals],
        words=words,
    )


async def _fields_page(
    request: Request,
    desk: Desk,
    app: Application,
    items: Sequence[Shown],
    error: str = "",
    *,
    typed: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> Response:
    wanted = wanted_fields(items)
    masked = await desk.masked(app)
    # of several persons it is not said here whose value it is
    known = {
        name: text
        for name, text in masked.get(app.applicant.party_id, {}).items()
        if len(app.parties) == 1 and text != HIDDEN
    }
    why = {
        name: list(
            dict.fromkeys(
                words.reason(code, None)
                for item in items
                if name in item.fields
                for code, field in item.line.reasons
                if field == name or name in mending_fields(code)
            )
        )
        for name in wanted
    }
    return page(
        request,
        "customer/fields.html",
        status_code=422 if error else 200,
        app=app,
        wanted=wanted,
        why=why,
        roles=[role.value for role in wanted_of(items, await desk.whose_faults(app))],
        known=known,
        error=error,
        typed=typed or {},
        faults=faults or {},
        words=words,
    )


def _item_page(
    request: Request, desk: Desk, app: Application, one: Shown, error: str = ""
) -> Response:
    return page(
        request,
        "customer/item.html",
        status_code=422 if error else 200,
        app=app,
        one=one,
        dated=_is_dated(app, one.line.item),
        today=desk.today(),
        most=load_papers().largest_bytes,
        readable=load_papers().readable_pixels,
        error=error,
        words=words,
    )


def _agreed(digest: str) -> ConsentText | None:
    """The words that the customer had before their eyes; None where we show others by now."""
    shown = load_customer_page()
    for language in LANGUAGES:
        text = shown.consent.in_language(language)
        if _digest(text) == digest:
            return ConsentText(version=shown.version, language=language, digest=digest)
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _consent_page(request: Request, app: Application, error: str = "") -> Response:
    text = load_customer_page().consent.in_language(current_language())
    return page(
        request,
        "customer/consent.html",
        status_code=422 if error else 200,
        app=app,
        text=text,
        digest=_digest(text),
        error=error,
    )


def _withdraw_page(request: Request, app: Application, error: str = "") -> Response:
    return page(
        request,
        "customer/withdraw.html",
        status_code=422 if error else 200,
        app=app,
        longest=_LONGEST_REASON,
        error=error,
    )


def _appeal_page(request: Request, app: Application, error: str = "") -> Response:
    return page(
        request,
        "customer/appeal.html",
        status_code=422 if error else 200,
        app=app,
        about_limit=about_limit(app),
        options=[(wish.value, _(WISHES[wish][0]), _(WISHES[wish][1])) for wish in may_ask(app)],
        longest=_LONGEST_REASON,
        error=error,
    )


def _dispute_page(request: Request, app: Application, error: str = "") -> Response:
    return page(
        request,
        "customer/dispute.html",
        status_code=422 if error else 200,
        app=app,
        longest=_LONGEST_REASON,
        error=error,
    )


def _done(request: Request, app: Application, flash: str) -> Response:
    """Back to the list, which says more where everything is in now."""
    if app.state not in (State.DRAFT, State.AWAITING_MATERIAL):
        flash += " " + _("Everything is there now.")
    return redirect(request, OWN, flash=flash)


def _refused(request: Request, problem: Problem) -> Response:
    """Why nothing was done, in words; what is our own fault stays one."""
    if problem.status >= 500 or problem.status == 404:
        raise problem
    flash = {
        "changed-meanwhile": _("Something changed meanwhile. Please look again."),
        "erased": _("Your data is locked: please speak to your branch."),
        "no-mobile": _("Without a mobile number on the form your branch has to help."),
    }.get(problem.code, _("That is not possible any more. This is how it stands now."))
    return redirect(request, OWN, flash=flash, tone="warning")


def _found(items: Sequence[Shown], item: str) -> Shown | None:
    """The item, if a paper may be handed in for it."""
    return next((one for one in items if one.line.item == item and (one.bring or one.again)), None)


def _is_dated(app: Application, item: str) -> bool:
    """Whether the paper has to bear a date: old ones of its kind do not count."""
    return item in product_for(app).validity.longest_days


def _revision(sent: dict[str, str]) -> frozenset[int]:
    """What the customer had before their eyes; none, which is never what there is, where the form
    does not say it."""
    text = sent.get("revision", "")
    return frozenset({int(text)} if text.isdecimal() and len(text) < 10 else ())


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name)
    return value.strip()[:200] if isinstance(value, str) else ""
