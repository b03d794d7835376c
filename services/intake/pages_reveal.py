"""One masked field of a person in clear, with a reason."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.intake import words
from services.intake.application import Application
from services.intake.desk import Desk
from shared.events.payload import PartyRole
from shared.web import Permission, Viewer, requires
from shared.web.i18n import _
from shared.web.reveal import Text, Why, missing_reason, revealing

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
        why: Why = "",
        text: Text = "",
    ) -> Response:
        """The field in clear, on this one answer; recorded with the reason before it is shown."""
        app = await desk.maskable(viewer, application_id, role, field)
        if error := missing_reason(why, text):
            return _answer(request, app, role, field, why=why, error=error)
        clear = await desk.reveal(viewer, app, role, field, why, text)
        return _answer(request, app, role, field, clear=words.field_value(field, clear, clear=True))

    return routes


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
        **more,
    )
