"""One masked field in clear, with a reason: asked for within the case's page, or on one of its own
where a browser runs no script. It is hidden again after a minute."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.intake import words
from services.intake.application import Application
from services.intake.desk import Desk
from shared.events.payload import PartyRole
from shared.web import Permission, Viewer, page, requires
from shared.web.i18n import _

SHOWN_SECONDS = 60
SHORTEST_REASON = 4  # characters

_MAY_REVEAL = requires(Permission.PERSONAL_REVEAL)
_FIELD = "/applications/{application_id}/persons/{role}/{field}"


def router(desk: Desk) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)

    @routes.get(_FIELD)
    async def page_ask(
        request: Request,
        application_id: str,
        role: PartyRole,
        field: str,
        viewer: Annotated[Viewer, _MAY_REVEAL],
    ) -> Response:
        """Asks why it is needed."""
        app = await desk.maskable(viewer, application_id, role, field)
        return _answer(request, app, role, field)

    @routes.post(_FIELD)
    async def reveal(
        request: Request,
        application_id: str,
        role: PartyRole,
        field: str,
        viewer: Annotated[Viewer, _MAY_REVEAL],
        why: Annotated[str, Form(max_length=20)] = "",
        text: Annotated[str, Form(max_length=300)] = "",
    ) -> Response:
        """The field in clear, on this one answer; recorded with the reason before it is shown."""
        app = await desk.maskable(viewer, application_id, role, field)
        if error := missing_reason(why, text):
            return _answer(request, app, role, field, why=why, error=error)
        clear = await desk.reveal(viewer, app, role, field, why, text)
        return _answer(request, app, role, field, clear=words.field_value(field, clear, clear=True))

    return routes


def missing_reason(why: str, text: str, known: Container[str] = words.REVEAL_REASONS) -> str:
    """What is wrong with a reason; nothing where it is one of those known."""
    if why not in known:
        return _("Choose a reason.")
    if why == "other" and len(text.strip()) < SHORTEST_REASON:
        return _("Say what the reason is.")
    return ""


def _answer(
    request: Request, app: Application, role: PartyRole, field: str, **more: Any
) -> Response:
    here = f"/intake/applications/{app.application_id}"
    return revealing(
        request,
        f"{role}-{field}",
        action=f"{here}/persons/{role}/{field}",
        back=here,
        back_label=app.need_scope().application_number,
        heading=_(words.ROLES.get(role, role)),
        label=_(words.FIELDS[field]),
        seconds=SHOWN_SECONDS,
        **more,
    )


def revealing(
    request: Request,
    name: str,
    *,
    back: str,
    clear: str | None = None,
    rows: Sequence[tuple[str, str, str]] | None = None,
    error: str = "",
    why: str = "",
    seconds: int,
    **shown: Any,
) -> Response:
    """Asks for a reason, or shows what was asked for: `clear`, or rows of what, old and new."""
    within = request.headers.get("hx-request") == "true"
    opened = clear is not None or rows is not None
    response = page(
        request,
        "reveal_field.html" if within else "reveal.html",
        # what is swapped into a page is swapped whatever it says
        status_code=422 if error and not within else 200,
        id=f"reveal-{name}",
        back=back,
        clear=clear,
        rows=rows,
        error=error or None,
        why=why,
        opened=opened,
        reasons=[(code, _(text)) for code, text in words.REVEAL_REASONS.items()],
        seconds=seconds,
        **shown,
    )
    response.headers["Cache-Control"] = "no-store"
    if opened and not within:
        response.headers["Refresh"] = f"{seconds}; url={back}"
    return response
