"""The pages of the pre-check: verdicts, and the list to print."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.intake import precheck, store, words
from services.intake.application import Application, product_for
from services.intake.checklist import for_customer, tally
from services.intake.desk import Desk
from services.intake.officers import Officers
from shared.calendar import BUSINESS_ZONE
from shared.messaging import Service
from shared.parameters import load_products
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language

_MAY_VIEW = requires(Permission.APPLICATION_VIEW)
_MAY_DECIDE = requires(Permission.PRE_CHECK_DECIDE)
_MAY_AGREE = requires(Permission.PRE_CHECK_AGREE)

_Remark = Annotated[str, Form(max_length=2000)]


def router(service: Service, desk: Desk) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    officers = Officers(desk)
    _print(routes, service, desk)
    _items(routes, officers)
    _case(routes, officers)
    return routes


def _print(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.get("/applications/{application_id}/checklist")
    async def page_checklist(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_VIEW],
        reader: Literal["customer", "office"] = "customer",
    ) -> Response:
        """The checklist to print: for the customer in plain words, or for the office with codes and
        remarks; two renderings of one state."""
        office = reader == "office" and viewer.may(Permission.PRE_CHECK_VIEW)
        app = await desk.look(viewer, application_id)
        lines = await desk.checklist(app)
        scope = app.need_scope()
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            changes = await store.changes_of(conn, application_id) if office else []
            staff = await staff_names(conn, staff_of(changes))
        return page(
            request,
            "checklist.html",
            app=app,
            scope=scope,
            office=office,
            lines=lines if office else for_customer(lines),
            counted=tally(lines),
            branch_name=branches.get(scope.branch, scope.branch),
            product_name=load_products()[scope.product].names.in_language(current_language()),
            remarks=await desk.open_notes(one.remark for one in changes if one.remark),
            changes=changes,
            staff=staff,
            words=words,
        )


def staff_of(changes: list[Any]) -> list[str]:
    """The staff who are named in the checklist's history."""
    named = {name for one in changes for name in (one.actor, one.second) if name}
    return sorted(name.removeprefix("staff:") for name in named if name.startswith("staff:"))


def _items(routes: APIRouter, officers: Officers) -> None:
    here = "/applications/{application_id}/items"

    @routes.post(here + "/{party}/{item}/accept")
    async def accept(
        request: Request,
        application_id: str,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        document_id: Annotated[str, Form(max_length=60)] = "",
    ) -> Response:
        """It will do."""
        return await _told(
            request,
            application_id,
            lambda: officers.accept(viewer, application_id, party, item, document_id or None),
            _("%(item)s: accepted.") % {"item": words.item_name(item)},
            item,
        )

    @routes.post(here + "/{party}/{item}/return")
    async def give_back(
        request: Request,
        application_id: str,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        codes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        remark: _Remark = "",
    ) -> Response:
        """It will not do."""
        return await _told(
            request,
            application_id,
            lambda: officers.give_back(viewer, application_id, party, item, codes, remark),
            _("%(item)s: returned. The customer is asked when the case is sent back.")
            % {"item": words.item_name(item)},
            item,
        )

    @routes.post(here + "/{item}/ask")
    async def ask(
        request: Request,
        application_id: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        codes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        reason: Annotated[str, Form(max_length=60)] = "",
        remark: _Remark = "",
    ) -> Response:
        """The customer has to bring it, or to bring it again."""
        return await _told(
            request,
            application_id,
            lambda: officers.ask(viewer, application_id, item, codes, reason or None, remark),
            _("%(item)s: the customer will be asked.") % {"item": words.item_name(item)},
            item,
        )

    @routes.post(here + "/{party}/{item}/waive")
    async def waive(
        request: Request,
        application_id: str,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        reason: Annotated[str, Form(max_length=60)] = "",
        remark: _Remark = "",
    ) -> Response:
        """The officer would do without it."""
        return await _told(
            request,
            application_id,
            lambda: officers.ask_waiver(viewer, application_id, party, item, reason, remark),
            _("%(item)s: a second person has to agree.") % {"item": words.item_name(item)},
            item,
        )

    @routes.post(here + "/{party}/{item}/waiver")
    async def answer_waiver(
        request: Request,
        application_id: str,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_AGREE],
        agreed: Annotated[Literal["yes", "no"], Form()],
        remark: _Remark = "",
    ) -> Response:
        """The second person agrees, or does not."""
        return await _told(
            request,
            application_id,
            lambda: officers.answer_waiver(
                viewer, application_id, party, item, agreed == "yes", remark
            ),
            _("Your answer is kept."),
            item,
        )


def _case(routes: APIRouter, officers: Officers) -> None:
    @routes.post("/applications/{application_id}/pass")
    async def pass_on(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_DECIDE]
    ) -> Response:
        """The pre-check is passed."""
        return await _told(
            request,
            application_id,
            lambda: officers.pass_on(viewer, application_id),
            _("Passed: the application is with review."),
        )

    @routes.post("/applications/{application_id}/return")
    async def send_back(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_DECIDE]
    ) -> Response:
        """The customer gets one list of all that is open."""
        return await _told(
            request,
            application_id,
            lambda: officers.send_back(viewer, application_id),
            _("Sent back: the customer gets one list."),
        )

    @routes.post("/applications/{application_id}/meetings")
    async def meeting(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        at: Annotated[str, Form(max_length=20)] = "",
        saw: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        evidence: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
    ) -> Response:
        """The viewer saw person, original ID, signing."""
        try:
            when = datetime.fromisoformat(at).replace(tzinfo=BUSINESS_ZONE)
        except ValueError:
            when = datetime(1970, 1, 1, tzinfo=BUSINESS_ZONE)  # long before any meeting
        return await _told(
            request,
            application_id,
            lambda: officers.record_meeting(
                viewer,
                application_id,
                saw_person="saw_person" in saw,
                saw_original="saw_original" in saw,
                saw_signing="saw_signing" in saw,
                at=when,
                evidence=evidence,
            ),
            _("What you saw is recorded."),
        )


async def _told(
    request: Request,
    application_id: str,
    act: Callable[[], Awaitable[Application]],
    done: str,
    item: str = "",
) -> Response:
    """Back to the case with what became of it; to the line of the item, so that the keyboard goes
    on from there."""
    here = f"/intake/applications/{application_id}"
    line = f"#item-{item}" if words.is_item(item) else ""
    try:
        await act()
    except Problem as problem:
        if problem.status >= 500 or problem.code == "not-found":
            raise
        if problem.code in ("not-passable", "not-returnable"):
            # the page lists what stands in the way; the line says that it does
            refusals = [one.detail for one in problem.errors if one.code == "refused"]
            why = " ".join(words.reason_name(code) for code in refusals if code)
            told = _("The verdict was not taken; see what stands in the way.")
            return redirect(request, here + "#verdict", flash=f"{told} {why}", tone="danger")
        return redirect(request, here + line, flash=words.refusal(problem.code), tone="danger")
    return redirect(request, here + line, flash=done)


def obstacles_of(app: Application, viewer: Viewer, entered: set[str]) -> list[str]:
    """What stands in the way of passing the case, as far as its own state tells."""
    found = precheck.against_passing(
        app, product_for(app).pre_check, (), officer=viewer.actor, entered=entered
    )
    return [words.obstacle(one) for one in found]
