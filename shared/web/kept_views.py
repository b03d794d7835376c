"""Views of lists: filters and order that somebody keeps under a name, for oneself or for a branch.

Each service keeps its own (`saved_view`, in its own tables); the query is an address's: codes, and
nothing of a person.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from shared.identifiers import new_id
from shared.messaging import Service
from shared.web.access import requires
from shared.web.audit import record_office
from shared.web.i18n import _
from shared.web.lists import Chosen
from shared.web.pages import redirect
from shared.web.permissions import Permission, Viewer
from shared.web.problems import Problem

MOST_VIEWS: Final = 30  # of one list, that one person keeps
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of which views are kept: where it is, and how its filters are read."""

    address: str
    read: Callable[[Mapping[str, str]], Chosen]

    def at(self, query: str) -> str:
        """Its address with these filters."""
        return self.address + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class SavedView:
    """A list's filters and order under a name. `branch`: everybody there has it."""

    view_id: str
    list: str
    staff_id: str
    branch: str | None
    name: str
    query: str


def router(service: Service, lists: Mapping[str, Listed], permission: Permission) -> APIRouter:
    """Keeping and removing views of a service's lists, for whoever may see them."""
    routes = APIRouter(prefix=f"/{service.name}", include_in_schema=False)
    may_view = requires(permission)

    @routes.post("/views")
    async def keep(
        request: Request,
        viewer: Annotated[Viewer, may_view],
        listed: Annotated[str, Form(max_length=40)],
        name: Annotated[str, Form(max_length=200)] = "",
        query: Annotated[str, Form(max_length=1000)] = "",
        branch: Annotated[str, Form(max_length=4)] = "",
    ) -> Response:
        """Keep the filters and the order of a list under a name."""
        if listed not in lists:
            raise Problem(404, "not-found", "There is no such list")
        kept = lists[listed].read(dict(parse_qsl(query))).query()
        here, title = lists[listed].at(kept), " ".join(name.split())
        if not title or len(title) > _LONGEST_NAME or not title.isprintable():
            told = _("Give the view a name of at most %(most)s characters.")
            return redirect(request, here, flash=told % {"most": _LONGEST_NAME}, tone="danger")
        if branch and not viewer.may_in(Permission.VIEW_SHARE, branch):
            raise Problem(403, "not-permitted", "You may not do this")
        view = SavedView(new_id(), listed, viewer.staff_id, branch or None, title, kept)
        async with service.transaction(actor=viewer.actor) as tx:
            done = await _keep(tx.conn, view, tx.now)
            if done:
                # the name is somebody's words, which no log has
                said = {"query": kept, "branch": branch}
                await record_office(tx.conn, tx.now, viewer.actor, "view-kept", listed, new=said)
        if not done:
            told = _("You have %(most)s views of this list: remove one first.")
            return redirect(request, here, flash=told % {"most": MOST_VIEWS}, tone="danger")
        return redirect(request, here, flash=_("The view is saved."))

    @routes.post("/views/{view_id}/drop")
    async def drop(request: Request, view_id: str, viewer: Annotated[Viewer, may_view]) -> Response:
        """Keep a view no longer: one's own, or one of a branch for which one may keep views."""
        async with service.transaction(actor=viewer.actor) as tx:
            view = await _find(tx.conn, view_id)
            if view is None or view.list not in lists or not _may_drop(viewer, view):
                raise Problem(404, "not-found", "There is no such view")
            await tx.conn.execute("DELETE FROM saved_view WHERE view_id = $1", view_id)
            said = {"query": view.query, "branch": view.branch or ""}
            await record_office(tx.conn, tx.now, viewer.actor, "view-dropped", view.list, new=said)
        return redirect(request, lists[view.list].address, flash=_("The view is removed."))

    return routes


async def views_of(conn: Any, viewer: Viewer, name: str, listed: Listed) -> list[dict[str, Any]]:
    """The viewer's views of a list and those of their branches; who sees the whole bank has those
    of the branch to which they belong."""
    branches = viewer.branch_list
    if branches is None:
        branches = [viewer.home_branch] if viewer.home_branch else []
    rows = await conn.fetch(
        "SELECT view_id, list, staff_id, branch, name, query FROM saved_view"
        " WHERE list = $1 AND (staff_id = $2 OR branch = ANY ($3)) ORDER BY name, view_id LIMIT $4",
        name,
        viewer.staff_id,
        branches,
        MOST_VIEWS * 3,
    )
    return [
        {
            "id": one.view_id,
            "name": one.name,
            "branch": one.branch,
            "href": listed.at(one.query),
            "droppable": _may_drop(viewer, one),
        }
        for one in (SavedView(**row) for row in rows)
    ]


def sharing(viewer: Viewer, branches: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """For which of these branches ({code: name}) the viewer may keep a view."""
    return [
        (code, name)
        for code, name in branches.items()
        if viewer.may_in(Permission.VIEW_SHARE, code)
    ]


def _may_drop(viewer: Viewer, view: SavedView) -> bool:
    own = view.staff_id == viewer.staff_id
    return own or (view.branch is not None and viewer.may_in(Permission.VIEW_SHARE, view.branch))


async def _keep(conn: Any, view: SavedView, now: datetime) -> bool:
    """Keep a view, in place of one of the same name; False where its maker has too many."""
    kept = await conn.fetchval(
        "INSERT INTO saved_view (view_id, list, staff_id, branch, name, query, at)"
        " SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $5 IN"
        " (SELECT name FROM saved_view WHERE staff_id = $3 AND list = $2)"
        " OR (SELECT count(*) FROM saved_view WHERE staff_id = $3 AND list = $2) < $8"
        " ON CONFLICT (staff_id, list, name) DO UPDATE"
        " SET branch = excluded.branch, query = excluded.query, at = excluded.at"
        " RETURNING true",
        view.view_id,
        view.list,
        view.staff_id,
        view.branch,
        view.name,
        view.query,
        now,
        MOST_VIEWS,
    )
    return bool(kept)


async def _find(conn: Any, view_id: str) -> SavedView | None:
    row = await conn.fetchrow(
        "SELECT view_id, list, staff_id, branch, name, query FROM saved_view WHERE view_id = $1",
        view_id,
    )
    return None if row is None else SavedView(**row)
