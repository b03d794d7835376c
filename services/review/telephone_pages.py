"""Telephone verification: what a case's page posts, and the same by the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from services.review.api import OWN_CASE, CaseOut, MayDecide, Note, case_out
from services.review.desk import Desk
from services.review.pages import act
from services.review.telephone import Heard
from shared.web.i18n import _
from shared.web.openapi import about


class CallIn(BaseModel):
    """What came of a call, and what was heard in words, which are kept sealed."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    heard: Heard
    note: Note = ""


class CallOrderIn(BaseModel):
    """What the call shall find out."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    note: Note


def pages(desk: Desk) -> APIRouter:
    """What the section posts."""
    routes = APIRouter(prefix="/review", include_in_schema=False)

    @routes.post("/cases/{application_id}/call-order")
    async def page_order_call(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        command = desk.order_call(viewer, application_id, note)
        return await act(request, application_id, command, _("The call is asked for."))

    @routes.post("/cases/{application_id}/calls")
    async def page_called(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        heard: Annotated[Heard, Form()],
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        command = desk.called(viewer, application_id, heard, note)
        return await act(request, application_id, command, _("The call is recorded."))

    return routes


def api(desk: Desk) -> APIRouter:
    """The same by the API."""
    routes = APIRouter(prefix="/review/api/v1", tags=["review"])

    @routes.post(
        "/cases/{application_id}/call-order",
        openapi_extra=about(
            *OWN_CASE,
            "no-opinion",
            "call-awaited",
        ),
    )
    async def api_order_call(viewer: MayDecide, application_id: str, body: CallOrderIn) -> CaseOut:
        """Ask for a call to the applicant; nobody is approved until it is made and confirmed."""
        return case_out(
            await desk.order_call(viewer, application_id, body.note), viewer, desk.now()
        )

    @routes.post(
        "/cases/{application_id}/calls",
        openapi_extra=about(
            *OWN_CASE,
            "no-opinion",
            "no-call-awaited",
            "called-just-now",
        ),
    )
    async def api_called(viewer: MayDecide, application_id: str, body: CallIn) -> CaseOut:
        """Record what came of a call. Words are needed unless nobody was reached."""
        return case_out(
            await desk.called(viewer, application_id, body.heard, body.note), viewer, desk.now()
        )

    return routes
