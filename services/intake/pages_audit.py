"""The audit log as a page: who looked at what and who changed what, by time, person, application.
Values and people's words are sealed, and opened one line at a time, for a reason."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.intake import audit, store, words
from services.intake.audit_lines import (
    KINDS,
    Kind,
    Line,
    Place,
    Wanted,
    sealed_of,
)
from services.intake.desk import Desk
from services.intake.pages_reveal import SHOWN_SECONDS, missing_reason, revealing
from shared.calendar import business_day, day_of, span_of, start_of_day
from shared.messaging import Service
from shared.web import Permission, Problem, Scope, Viewer, page, requires
from shared.web.directory import staff_called, staff_names
from shared.web.i18n import _
from shared.web.limits import RowNumber
from shared.web.pages import with_query

PAGE_SIZE = 50
_DAYS = 7  # that are looked through where nobody says since when

_MAY_VIEW = requires(Permission.AUDIT_VIEW, scope=Scope.ALL)
_MAY_OPEN = requires(Permission.AUDIT_OPEN, scope=Scope.ALL)
_VALUES = "/audit/{source}/{number}/values"


def router(service: Service, desk: Desk) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)

    @routes.get("/audit")
    async def page_audit(
        request: Request,
        viewer: Annotated[Viewer, _MAY_VIEW],
        kind: str = "",
        who: Annotated[str, Query(max_length=80)] = "",
        q: Annotated[str, Query(max_length=40)] = "",
        since: str = "",
        until: str = "",
        before: Annotated[str, Query(max_length=80)] = "",
    ) -> Response:
        """What happened, the last first."""
        begin, end = span_of(day_of(since), day_of(until))
        first = business_day(begin or service.clock.now() - timedelta(days=_DAYS))
        async with service.pool.acquire() as conn:
            actors = await staff_called(conn, who.strip()) if who.strip() else None
            application = await store.id_of_number(conn, q.strip()) if q.strip() else None
            wanted = Wanted(
                since=start_of_day(first),
                until=end,
                kind=_kind(kind),
                who=None
                if actors is None
                else [
                    # what a customer did by a code that they printed, too
                    f"{by}staff:{one}"
                    for one in actors
                    for by in ("", "customer:")
                ],
                application_id=(application or "-") if q.strip() else None,
                before=Place.read(before),
            )
            lines = await audit.find(conn, wanted, PAGE_SIZE + 1)
            more, lines = len(lines) > PAGE_SIZE, lines[:PAGE_SIZE]
            staff = await staff_names(conn, _staff(lines))
        return page(
            request,
            "audit.html",
            lines=[(line, words.audited(line, staff)) for line in lines],
            # as it is read, not as it was asked for: whoever prints it sees what it covers
            first=first,
            filters=[
                {"name": "q", "label": _("Application number"), "type": "search"},
                {"name": "who", "label": _("Name or staff number"), "type": "text"},
                {
                    "name": "kind",
                    "label": _("Kind"),
                    "type": "select",
                    "options": [(code, _(text)) for code, text in words.AUDIT_KINDS.items()],
                },
                {
                    "name": "since",
                    "label": _("First day"),
                    "type": "date",
                    "value": first.isoformat(),
                },
                {"name": "until", "label": _("Last day"), "type": "date"},
            ],
            earlier=with_query(request, before=str(lines[-1].place)) if more else None,
            latest=with_query(request, before=None) if wanted.before else None,
            can_open=viewer.reach_of(Permission.AUDIT_OPEN).everywhere,
        )

    @routes.get(_VALUES)
    async def page_ask(
        request: Request, source: str, number: RowNumber, _viewer: Annotated[Viewer, _MAY_OPEN]
    ) -> Response:
        """Asks why it is needed."""
        return _answer(request, await _line(source, number))

    @routes.post(_VALUES)
    async def open_values(
        request: Request,
        source: str,
        number: RowNumber,
        viewer: Annotated[Viewer, _MAY_OPEN],
        why: Annotated[str, Form(max_length=20)] = "",
        text: Annotated[str, Form(max_length=300)] = "",
    ) -> Response:
        """What a line's values are in clear; that somebody reads them is a line of its own."""
        line = await _line(source, number)
        if error := missing_reason(why, text):
            return _answer(request, line, why=why, error=error)
        assert line.application_id is not None  # nothing else has anything sealed
        app = await desk.look(viewer, line.application_id)
        opened = await desk.open_sealed(
            viewer, app, sealed_of(line), f"audit {source} {number}", why, text
        )
        return _answer(request, line, rows=words.opened_values(opened))

    async def _line(source: str, number: int) -> Line:
        async with service.pool.acquire() as conn:
            line = await audit.get(conn, source, number)
        if line is None or not line.sealed:
            raise Problem(404, "not-found", "There is no such line, or nothing of it is sealed")
        return line

    return routes


def _answer(request: Request, line: Line, **more: Any) -> Response:
    return revealing(
        request,
        f"{line.place.source}-{line.place.id}",
        action=f"/intake/audit/{line.place.source}/{line.place.id}/values",
        back="/intake/audit",
        back_label=_("Audit log"),
        heading=line.number or "",
        label=_("the values"),
        seconds=SHOWN_SECONDS,
        **more,
    )


def _staff(lines: Iterable[Line]) -> list[str]:
    """Everybody of the office who is named."""
    found = set()
    for line in lines:
        for actor in (line.actor, line.details.get("second") or ""):
            found.update(words.staff_in([actor]))
        if line.kind == "office" and line.subject:
            found.add(line.subject)
    return sorted(found)


def _kind(text: str) -> Kind | None:
    return next((one for one in KINDS if one == text), None)
