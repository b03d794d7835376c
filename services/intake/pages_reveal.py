"""One masked field in clear, with a reason: asked for within the case's page, or on one of its own
where a browser runs no script. It is hidden again after a minute."""

from __future__ import annotations

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
        if why not in words.REVEAL_REASONS:
            return _answer(request, app, role, field, error=_("Choose a reason."))
        if why == "other" and len(text.strip()) < 4:
            return _answer(request, app, role, field, why=why, error=_("Say what the reason is."))
        clear = await desk.reveal(viewer, app, role, field, why, text)
        return _answer(request, app, role, field, clear=words.field_value(field, clear, clear=True))

    return routes


def _answer(
    request: Request, app: Application, role: PartyRole, field: str, **more: Any
) -> Response:
    within = request.headers.get("hx-request") == "true"
    shown = {"clear": None, "error": None, "why": "", **more}
    response = page(
        request,
        "reveal_field.html" if within else "reveal.html",
        # what is swapped into a page is swapped whatever it says
        status_code=422 if shown["error"] and not within else 200,
        app=app,
        here=f"/intake/applications/{app.application_id}",
        role=role.value,
        field=field,
        label=_(words.FIELDS[field]),
        reasons=[(code, _(text)) for code, text in words.REVEAL_REASONS.items()],
        seconds=SHOWN_SECONDS,
        words=words,
        **shown,
    )
    response.headers["Cache-Control"] = "no-store"
    if shown["clear"] is not None and not within:
        back = f"/intake/applications/{app.application_id}"
        response.headers["Refresh"] = f"{SHOWN_SECONDS}; url={back}"
    return response
