"""Who is signed in: for managers of their branches, and for everybody of themselves."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.intake import accounts, words
from services.intake.accounts import Accounts, Member
from shared.messaging import Connection, Service
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.access import signed_in
from shared.web.directory import branch_names
from shared.web.i18n import _
from shared.web.pages import last_page, page_number
from shared.web.permissions import Reach

PAGE_SIZE = 50
_LONGEST = 80  # of what is looked for
WRONG_SINCE = timedelta(days=30)

_MAY_VIEW = requires(Permission.STAFF_VIEW)
_MANAGE = Permission.STAFF_MANAGE
_MAY_MANAGE = requires(_MANAGE)
_MAY_OWN = requires(Permission.SESSION_OWN)
_MEMBER = "/staff/{staff_id}"


def router(service: Service) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    keeper = Accounts(service)
    _staff(routes, service, keeper)
    _own(routes, service, keeper)
    return routes


def _staff(routes: APIRouter, service: Service, keeper: Accounts) -> None:
    @routes.get("/staff")
    async def page_staff(
        request: Request,
        viewer: Annotated[Viewer, _MAY_VIEW],
        q: str = "",
        show: str = "",
    ) -> Response:
        """The staff of the viewer's branches, with sessions and last sign-ins; beyond the last
        page, the last one."""
        number = page_number(request)
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            members = partial(
                accounts.members,
                conn,
                viewer.branch_list,
                service.clock.now() - WRONG_SINCE,
                words=q.strip()[:_LONGEST],
                signed_in=show == "signed-in",
                page_size=PAGE_SIZE,
            )
            found, total = await members(page=number)
            if not found and number > 1:
                _first, total = await members(page=1)
                number = last_page(total, PAGE_SIZE)
                found, total = await members(page=number)
        return page(
            request,
            "staff.html",
            members=found,
            branch_names=branches,
            total=total,
            number=number,
            page_size=PAGE_SIZE,
            filters=[
                {"name": "q", "label": _("Name or staff number"), "type": "search"},
                {
                    "name": "show",
                    "label": _("Show"),
                    "type": "select",
                    "options": [("signed-in", _("who is signed in"))],
                    "all_label": _("everybody"),
                },
            ],
            words=words,
        )

    @routes.get(_MEMBER)
    async def page_member(
        request: Request, staff_id: str, viewer: Annotated[Viewer, _MAY_VIEW]
    ) -> Response:
        """One member of staff: open sessions and last sign-ins."""
        async with service.pool.acquire() as conn:
            member = await _seen(service, conn, viewer.reach, staff_id)
            branches = await branch_names(conn)
            managed = await _find(service, conn, viewer.reach_of(_MANAGE), staff_id)
            sessions = await accounts.sessions_of(conn, staff_id)
            last = await accounts.last_sign_ins(conn, staff_id)
        return page(
            request,
            "member.html",
            member=member,
            branch_names=branches,
            sessions=sessions,
            last=last,
            here=f"/intake/staff/{staff_id}",
            idle=service.settings.session_idle,
            can_manage=managed is not None,
            words=words,
        )

    @routes.post(_MEMBER + "/sessions/end")
    async def end_one(
        request: Request,
        staff_id: str,
        viewer: Annotated[Viewer, _MAY_MANAGE],
        session: Annotated[str, Form(max_length=64)] = "",
    ) -> Response:
        """End one session of somebody, in all services."""
        async with service.pool.acquire() as conn:
            await _seen(service, conn, viewer.reach, staff_id)
        ended = await keeper.end(viewer.actor, staff_id, [session])
        return _back(request, f"/intake/staff/{staff_id}", bool(ended), _("The session is ended."))

    @routes.post(_MEMBER + "/sessions/end-all")
    async def end_all(
        request: Request, staff_id: str, viewer: Annotated[Viewer, _MAY_MANAGE]
    ) -> Response:
        """End every session of somebody, in all services."""
        async with service.pool.acquire() as conn:
            await _seen(service, conn, viewer.reach, staff_id)
        ended = await keeper.end_all(viewer.actor, staff_id)
        return _back(request, f"/intake/staff/{staff_id}", ended, _("All sessions are ended."))

    @routes.post(_MEMBER + "/unlock")
    async def unlock(
        request: Request, staff_id: str, viewer: Annotated[Viewer, _MAY_MANAGE]
    ) -> Response:
        """Let somebody try again who had too many wrong passwords."""
        async with service.pool.acquire() as conn:
            await _seen(service, conn, viewer.reach, staff_id)
        done = await keeper.unlock(viewer.actor, staff_id)
        return _back(request, f"/intake/staff/{staff_id}", done, _("The account is unlocked."))


def _own(routes: APIRouter, service: Service, keeper: Accounts) -> None:
    @routes.get("/sessions")
    async def page_sessions(request: Request, viewer: Annotated[Viewer, _MAY_OWN]) -> Response:
        """One's own open sessions and last sign-ins."""
        session, _member = await signed_in(request)
        async with service.pool.acquire() as conn:
            sessions = await accounts.sessions_of(conn, viewer.staff_id)
            last = await accounts.last_sign_ins(conn, viewer.staff_id)
        return page(
            request,
            "sessions.html",
            sessions=sessions,
            own=session.digest,
            last=last,
            idle=service.settings.session_idle,
            words=words,
        )

    @routes.post("/sessions/end")
    async def end_own(
        request: Request,
        viewer: Annotated[Viewer, _MAY_OWN],
        session: Annotated[str, Form(max_length=64)] = "",
    ) -> Response:
        """End one of one's own sessions, or all but this one."""
        current, _member = await signed_in(request)
        async with service.pool.acquire() as conn:
            others = [
                one.session
                for one in await accounts.sessions_of(conn, viewer.staff_id)
                if one.session != current.digest and session in ("", one.session)
            ]
        ended = await keeper.end(viewer.actor, viewer.staff_id, others)
        return _back(request, "/intake/sessions", bool(ended), _("The session is ended."))


async def _find(service: Service, conn: Connection, reach: Reach, staff_id: str) -> Member | None:
    """The member of staff, if they belong to a branch within the reach."""
    since = service.clock.now() - WRONG_SINCE
    found, _total = await accounts.members(conn, reach.branch_list, since, staff_id=staff_id)
    return found[0] if found else None


async def _seen(service: Service, conn: Connection, reach: Reach, staff_id: str) -> Member:
    """The same. Raises Problem 404 for nobody."""
    found = await _find(service, conn, reach, staff_id)
    if found is None:
        raise Problem(404, "not-found", "There is no such member of staff")
    return found


def _back(request: Request, where: str, done: bool, flash: str) -> Response:
    if done:
        return redirect(request, where, flash=flash)
    return redirect(request, where, flash=_("There was nothing to do any more."), tone="info")
