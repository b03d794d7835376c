"""The page of the workload: who has how much, who is away, who takes what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.review import issuing, officer_store, words
from services.review.api import MayClaim, MayManage, MaySign, MayView
from services.review.desk import REASSIGNED_AT_ONCE, Desk, Reassigned
from services.review.officer_desk import OfficerDesk, may_see_others
from services.review.officers import KINDS, Away, Due, Kind, Load
from services.review.pages import in_kinds, receivers, told_of
from shared.calendar import day_of
from shared.messaging import Service
from shared.web import Permission, Problem, page, redirect
from shared.web.i18n import _, mark

HERE = "/review/workload"
StaffId = Annotated[str, Form(max_length=40)]

REFUSALS: Mapping[str, str] = {
    "time-passed": mark("The last day is before the first, or has passed."),
    "unknown-product": mark("Choose products of the list."),
    "not-deputy": mark("You do not stand in for this officer today."),
    "no-deputy": mark("Choose somebody who claims cases of the same branches and is there then."),
}


def router(service: Service, desk: Desk, officers: OfficerDesk) -> APIRouter:
    """The page of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/review", include_in_schema=False)

    @routes.get("/workload")
    async def page_workload(request: Request, viewer: MayView, officer: str = "") -> Response:
        """Who has how much; `officer`: who is looked at more closely."""
        found = await officers.look(viewer)
        own = [line for line in found.lines if line.officer.staff_id == viewer.staff_id]
        chosen = [line for line in found.lines if line.officer.staff_id == officer] or own
        async with service.pool.acquire() as conn:
            given_to = await receivers(conn, viewer, service.clock.now())
            known = await officer_store.officers(conn)
            outlook = await issuing.look(conn, service.clock.now())
        absentee = chosen[0].officer if chosen else None
        everybody = [*(line.load for line in found.lines), found.nobodys]
        away = [line.load for line in found.lines if line.away and not line.left]
        left = [line.load for line in found.lines if line.left]
        deputies = [
            (one.staff_id, one.name)
            for one in known
            if absentee is not None
            and one.staff_id != absentee.staff_id
            and (one.reach & absentee.reach).branches != frozenset()
        ]
        return page(
            request,
            "workload.html",
            found=found,
            chosen=chosen[0] if chosen else None,
            own=not may_see_others(viewer),
            absent=in_kinds(_together(away, "open")),
            left=in_kinds(_together(left, "open")),
            due_today=_together(everybody, "today"),
            overdue=_together(everybody, "overdue"),
            in_kinds=in_kinds,
            kinds=KINDS,
            names_of_kinds=words.KINDS,
            receivers=given_to,
            deputies=deputies,
            names={one.staff_id: one.name for one in known},
            outlook=outlook,
            most=REASSIGNED_AT_ONCE,
            products=words.product_names(),
            may_claim=viewer.may_somewhere(Permission.REVIEW_CLAIM),
        )

    @routes.post("/workload/away")
    async def page_away(
        request: Request,
        viewer: MayClaim,
        staff_id: StaffId = "",
        first: Annotated[str, Form(max_length=10)] = "",
        last: Annotated[str, Form(max_length=10)] = "",
        deputy: StaffId = "",
    ) -> Response:
        """`first` and `last`: days; both empty: the officer is there. `deputy`: who stands in."""
        begin, end = day_of(first), day_of(last)
        if [bool(first), bool(last)] != [begin is not None, end is not None] or (
            (begin is None) != (end is None)
        ):
            told = _("Give both days.")
            return redirect(request, _at(staff_id), flash=told, tone="danger")
        away = Away(begin, end, deputy or None) if begin and end else None
        return await _done(
            request,
            staff_id,
            officers.mark_away(viewer, staff_id, away),
            _("The absence is saved."),
        )

    @routes.post("/workload/products")
    async def page_products(
        request: Request,
        viewer: MayManage,
        staff_id: StaffId = "",
        every: Annotated[str, Form(max_length=5)] = "",
        products: Annotated[list[str], Form(max_length=40)] = [],  # noqa: B006 - read only
    ) -> Response:
        """`every`: whatever products there are; else those chosen."""
        chosen = None if every else products
        return await _done(
            request,
            staff_id,
            officers.choose_products(viewer, staff_id, chosen),
            _("The products are saved."),
        )

    @routes.post("/workload/hand-over")
    async def page_hand_over(
        request: Request, viewer: MaySign, staff_id: StaffId = "", to: StaffId = ""
    ) -> Response:
        """Give all that is open of an officer to another."""
        found = await desk.reassign_all(viewer, staff_id, to)
        return _given(request, staff_id, found)

    @routes.post("/workload/take-over")
    async def page_take_over(
        request: Request, viewer: MayClaim, staff_id: StaffId = ""
    ) -> Response:
        """Take what is open of an officer for whom the viewer stands in."""
        try:
            found = await desk.take_over(viewer, staff_id)
        except Problem as problem:
            return _refused(request, staff_id, problem)
        return _given(request, staff_id, found)

    return routes


def _together(loads: Iterable[Load], what: Due) -> dict[Kind, int]:
    """How many of each kind these have together."""
    loads = list(loads)
    return {kind: sum(load.numbers(what)[kind] for load in loads) for kind in KINDS}


def _at(staff_id: str) -> str:
    known = staff_id.replace("-", "").isalnum() and staff_id.isascii()
    return f"{HERE}?officer={staff_id}" if known else HERE


async def _done(request: Request, staff_id: str, command: Any, done: str) -> Response:
    try:
        await command
    except Problem as problem:
        return _refused(request, staff_id, problem)
    return redirect(request, _at(staff_id), flash=done)


def _given(request: Request, staff_id: str, found: Reassigned) -> Response:
    if not found.given and not found.refused:
        told = _("There is nothing to give.")
        return redirect(request, _at(staff_id), flash=told, tone="info")
    return redirect(request, _at(staff_id), **told_of(found))


def _refused(request: Request, staff_id: str, problem: Problem) -> Response:
    refusal = REFUSALS.get(problem.code)
    if refusal is None:
        raise problem
    return redirect(request, _at(staff_id), flash=_(refusal), tone="danger")
