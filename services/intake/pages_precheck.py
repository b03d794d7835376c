"""The pages of the pre-check: verdicts, and the list to print."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.intake import precheck, store, viewing, words
from services.intake.application import Application, product_for
from services.intake.checklist import for_customer, tally
from services.intake.desk import Desk
from services.intake.items import Change
from services.intake.officers import Officers
from services.intake.store_lists import WorkRow
from shared.calendar import BUSINESS_ZONE, due_about
from shared.events.lifecycle import OWNERS, State
from shared.messaging import Service
from shared.parameters import (
    UnknownVersionError,
    load_clocks,
    product_of,
    terms_of,
)
from shared.parameters.models import Terms
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _
from shared.web.permissions import ROLE_NAMES, Role
from shared.web.states import named

_MOST_PRINTED = 50  # lines of the checklist's history

_MAY_VIEW = requires(Permission.APPLICATION_VIEW)
_MAY_DECIDE = requires(Permission.PRE_CHECK_DECIDE)
_MAY_AGREE = requires(Permission.PRE_CHECK_AGREE)

_Remark = Annotated[str, Form(max_length=2000)]

Revision = Annotated[int | None, Form(ge=0)]
"""What the page showed when somebody decided on it."""


def expected(revision: int | None) -> frozenset[int] | None:
    """The same as the desk wants it."""
    return None if revision is None else frozenset({revision})


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for a step that was not taken, because somebody was quicker.

    `step`: "withdraw" and "meetings", as in the address of the form, or what the officer says of an
    item: "return", "again", "ask", "waive". `action`: the form's address below the case.
    """

    step: str
    action: str
    item: str = ""
    reason: str = field(default="", repr=False)
    codes: Sequence[str] = ()
    remark: str = field(default="", repr=False)
    at: str = ""
    saw: Sequence[str] = ()
    evidence: Sequence[str] = ()


class Show(Protocol):
    """Shows an application as it stands."""

    async def __call__(
        self,
        request: Request,
        viewer: Viewer,
        app: Application,
        since: int | None = None,
        *,
        typed: Typed | None = None,
    ) -> Response:
        """since: what was done after this revision is told first. typed: for a step that was
        decided on that revision, and not taken."""


def router(service: Service, desk: Desk, show: Show) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    officers = Officers(desk)
    back = _Back(desk, show)
    _print(routes, service, desk)
    _items(routes, officers, back)
    _case(routes, officers, back)
    _looking_again(routes, desk)
    return routes


def contact_due(row: WorkRow) -> datetime | None:
    """Until when somebody has to speak with the customer, by the product's own term if it is
    held."""
    if row.passed_at is None:
        return None
    try:
        terms: Terms = terms_of(product_of(row.product, row.product_version))
    except UnknownVersionError:
        terms = load_clocks()
    return due_about(row.passed_at, terms.first_contact_working_days)


def answers_for(
    state: str, due: datetime | None, escalated: datetime, viewer: Viewer
) -> tuple[str, str]:
    """(who has to see to it that a case goes on, whom everybody waits for), by the lifecycle as far
    as the viewer may know it; the manager, where it was due before `escalated`."""
    owner = OWNERS[State(viewing.shown_state(state, viewer))]
    if due is not None and due < escalated:
        return _(ROLE_NAMES[Role.MANAGER]), owner.waiting_on
    return named(owner.desk, "desk"), owner.waiting_on


def _print(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.get("/applications/{application_id}/checklist")
    async def page_checklist(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_VIEW],
        reader: str = "",
    ) -> Response:
        """The checklist to print: for the customer in plain words, or for the office with codes and
        remarks; two renderings of one state."""
        app = await desk.look(viewer, application_id)
        lines, scope = await desk.checklist(app), app.need_scope()
        may_switch = viewer.may_in(Permission.PRE_CHECK_VIEW, scope.branch)
        office = reader == "office" and may_switch
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            told = await store.changes_of(conn, application_id) if office else []
            changes = told[-_MOST_PRINTED:]
            staff = await staff_names(conn, staff_of(changes))
        return page(
            request,
            "checklist.html",
            app=app,
            scope=scope,
            office=office,
            may_switch=may_switch,
            lines=lines if office else for_customer(lines),
            counted=tally(lines),
            branch_name=branches.get(scope.branch, scope.branch),
            product_name=words.product_name(scope.product),
            remarks=await desk.open_notes(one.remark for one in changes if one.remark),
            changes=changes,
            more_changes=len(told) > len(changes),
            staff=staff,
            words=words,
        )


def staff_of(changes: Iterable[Change]) -> list[str]:
    """The staff who are named in the checklist's history."""
    return words.staff_in(name for one in changes for name in (one.actor, one.second))


@dataclass(frozen=True, slots=True)
class _Case:
    """The case that a form is about, as whoever sent it saw it, and the way back to it."""

    request: Request
    application_id: str
    revision: int | None

    @property
    def expect(self) -> frozenset[int] | None:
        """What the verdict may have been decided on."""
        return expected(self.revision)


@dataclass(frozen=True, slots=True)
class _Back:
    """The way back to a case from what somebody did on its page."""

    desk: Desk
    show: Show

    async def told(
        self,
        case: _Case,
        viewer: Viewer,
        act: Awaitable[Application],
        done: str,
        item: str = "",
        typed: Typed | None = None,
    ) -> Response:
        """With what became of it; to the line of the item, so that the keyboard goes on from there.
        In `done`, %(item)s is the item's name. Where somebody was quicker, what was typed comes
        back on the case as it is now."""
        line = f"#item-{item}" if words.is_item(item) else ""
        try:
            await act
        except Problem as problem:
            if typed is None or problem.code != "changed-meanwhile":
                return untaken(case.request, case.application_id, case.revision, problem, line)
            app = await self.desk.look(viewer, case.application_id)
            return await self.show(case.request, viewer, app, case.revision, typed=typed)
        here = f"/intake/applications/{case.application_id}"
        return redirect(case.request, here + line, flash=done % {"item": words.item_name(item)})


def untaken(
    request: Request, application_id: str, revision: int | None, problem: Problem, line: str = ""
) -> Response:
    """Back to the case, at a line of it, with why a step was not taken; where somebody changed it
    since the revision that was looked at, with what they did. Raises what is no refusal."""
    if problem.status >= 500 or problem.code == "not-found":
        raise problem
    here = f"/intake/applications/{application_id}"
    told = words.refusal(problem.code)
    if problem.code in ("not-passable", "not-returnable"):
        # the page lists what stands in the way; the line says that it does
        refusals = [one.detail for one in problem.errors if one.code == "refused"]
        why = " ".join(words.reason_name(code) for code in refusals if code)
        line = "#verdict"
        told = _("The verdict was not taken; see what stands in the way.") + f" {why}"
    if problem.code == "changed-meanwhile":
        here, line = f"{here}?since={revision}", "#since"
    return redirect(request, here + line, flash=told, tone="danger")


def _find_case(request: Request, application_id: str, revision: Revision = None) -> _Case:
    return _Case(request, application_id, revision)


_Here = Annotated[_Case, Depends(_find_case)]


def _items(routes: APIRouter, officers: Officers, back: _Back) -> None:
    here = "/applications/{application_id}/items"

    @routes.post(here + "/{party}/{item}/accept")
    async def accept(
        case: _Here,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        document_id: Annotated[str, Form(max_length=60)] = "",
    ) -> Response:
        """It will do."""
        act = officers.accept(
            viewer, case.application_id, party, item, document_id or None, expect=case.expect
        )
        return await back.told(case, viewer, act, _("%(item)s: accepted."), item)

    @routes.post(here + "/{party}/{item}/return")
    async def give_back(
        case: _Here,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        codes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        remark: _Remark = "",
    ) -> Response:
        """It will not do."""
        act = officers.give_back(
            viewer, case.application_id, party, item, codes, remark, expect=case.expect
        )
        done = _("%(item)s: returned. The customer is asked when the case is sent back.")
        typed = Typed("return", f"items/{party}/{item}/return", item, codes=codes, remark=remark)
        return await back.told(case, viewer, act, done, item, typed)

    @routes.post(here + "/{item}/ask")
    async def ask(
        case: _Here,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        codes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
        reason: Annotated[str, Form(max_length=60)] = "",
        remark: _Remark = "",
    ) -> Response:
        """The customer has to bring it, or to bring it again."""
        act = officers.ask(
            viewer, case.application_id, item, codes, reason or None, remark, expect=case.expect
        )
        step = "again" if reason else "ask"
        typed = Typed(step, f"items/{item}/ask", item, reason, codes, remark)
        done = _("%(item)s: the customer will be asked.")
        return await back.told(case, viewer, act, done, item, typed)

    @routes.post(here + "/{party}/{item}/waive")
    async def waive(
        case: _Here,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_DECIDE],
        reason: Annotated[str, Form(max_length=60)] = "",
        remark: _Remark = "",
    ) -> Response:
        """The officer would do without it."""
        act = officers.ask_waiver(
            viewer, case.application_id, party, item, reason, remark, expect=case.expect
        )
        typed = Typed("waive", f"items/{party}/{item}/waive", item, reason, remark=remark)
        done = _("%(item)s: a second person has to agree.")
        return await back.told(case, viewer, act, done, item, typed)

    @routes.post(here + "/{party}/{item}/waiver")
    async def answer_waiver(
        case: _Here,
        party: str,
        item: str,
        viewer: Annotated[Viewer, _MAY_AGREE],
        agreed: Annotated[Literal["yes", "no"], Form()],
        remark: _Remark = "",
    ) -> Response:
        """The second person agrees, or does not."""
        said = agreed == "yes"
        act = officers.answer_waiver(
            viewer, case.application_id, party, item, said, remark, expect=case.expect
        )
        return await back.told(case, viewer, act, _("Your answer is saved."), item)


def _case(routes: APIRouter, officers: Officers, back: _Back) -> None:
    @routes.post("/applications/{application_id}/pass")
    async def pass_on(case: _Here, viewer: Annotated[Viewer, _MAY_DECIDE]) -> Response:
        """The pre-check is passed."""
        act = officers.pass_on(viewer, case.application_id, expect=case.expect)
        return await back.told(case, viewer, act, _("Passed: the application is with review."))

    @routes.post("/applications/{application_id}/return")
    async def send_back(case: _Here, viewer: Annotated[Viewer, _MAY_DECIDE]) -> Response:
        """The customer gets one list of all that is open."""
        act = officers.send_back(viewer, case.application_id, expect=case.expect)
        return await back.told(case, viewer, act, _("Sent back: the customer gets one list."))

    @routes.post("/applications/{application_id}/contact")
    async def contact(case: _Here, viewer: Annotated[Viewer, _MAY_DECIDE]) -> Response:
        """The viewer spoke with the customer."""
        act = officers.record_contact(viewer, case.application_id, expect=case.expect)
        return await back.told(
            case, viewer, act, _("That you spoke with the customer is recorded.")
        )

    @routes.post("/applications/{application_id}/meetings")
    async def meeting(
        case: _Here,
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
        act = officers.record_meeting(
            viewer,
            case.application_id,
            saw_person="saw_person" in saw,
            saw_original="saw_original" in saw,
            saw_signing="saw_signing" in saw,
            at=when,
            evidence=evidence,
            expect=case.expect,
        )
        typed = Typed("meetings", "meetings", at=at, saw=saw, evidence=evidence)
        return await back.told(case, viewer, act, _("What you saw is recorded."), typed=typed)


def _looking_again(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/applications/{application_id}/items/{item}/ask")
    @routes.get("/applications/{application_id}/items/{party}/{item}/{verdict}")
    @routes.get("/applications/{application_id}/meetings")
    async def look_again(application_id: str, viewer: Annotated[Viewer, _MAY_VIEW]) -> Response:
        """The case: what the language link asks for where somebody was quicker."""
        await desk.look(viewer, application_id)
        return RedirectResponse(f"/intake/applications/{application_id}", status_code=303)


def obstacles_of(app: Application, viewer: Viewer, entered: set[str]) -> list[str]:
    """What stands in the way of passing the case, as far as its own state tells."""
    found = precheck.against_passing(
        app, product_for(app).pre_check, (), officer=viewer.actor, entered=entered
    )
    return [words.obstacle(one) for one in found]
