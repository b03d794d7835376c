"""What somebody reads on a paper, to be held against the form: by a page, and by a channel's own
reader. What was read is sealed like the form itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.intake import application as applications
from services.intake import store, words
from services.intake.api_examples import READING
from services.intake.api_models import BegunOut, begun_out
from services.intake.application import Application, ApplicationError
from services.intake.checklist import checklist
from services.intake.desk import Begun, Desk
from services.intake.form import LONG_TERM
from services.intake.rules import COUNTED, READABLE
from shared.events.payload import FIELD_CLASSES
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.i18n import _
from shared.web.openapi import about

MayReceive = Annotated[Viewer, requires(Permission.MATERIAL_RECEIVE)]

_Text = Annotated[str, Field(min_length=1, max_length=200)]


class ReadingIn(BaseModel):
    """What a paper says, by the form's fields; only what was read on it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: _Text | None = None
    id_number: _Text | None = None
    nationality: _Text | None = None
    birth_date: date | None = None
    id_issued: date | None = None
    id_expires: date | None = Field(
        default=None, description="9999-12-31 for an ID card without end (长期)"
    )
    employer: _Text | None = None
    credit_code: _Text | None = None
    home_address: _Text | None = None
    work_address: _Text | None = None
    months: Annotated[int, Field(ge=0, le=600)] | None = Field(
        default=None, description="how many months it covers"
    )
    registered_on: date | None = Field(
        default=None, description="since when the business is registered"
    )
    in_force_until: date | None = Field(
        default=None, description="the last day of a visa or a residence permit"
    )

    @model_validator(mode="after")
    def _something(self) -> ReadingIn:
        if not self.fields():
            raise ValueError("the reading names no field")
        return self

    def fields(self) -> dict[str, str]:
        """{field: what was read}, as the form has it."""
        read = {name: getattr(self, name) for name in (*READABLE, *COUNTED)}
        return {
            name: value.isoformat() if isinstance(value, date) else str(value)
            for name, value in read.items()
            if value is not None and str(value).strip()
        }


class Readings:
    """The one command."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def record(
        self, viewer: Viewer, application_id: str, document_id: str, says: Mapping[str, str]
    ) -> Application:
        """Keep what was read, and look at the application again. What was read last counts. Raises
        Problem 404 for a paper that is none of the application's, 409 `not-open`."""
        async with self._desk.changing(viewer, application_id) as step:
            app, now = step.app, step.now
            if not applications.before_hand_over(app):
                raise ApplicationError("not-open", "The application is not with the office")
            paper = next((one for one in app.documents if one.document_id == document_id), None)
            if paper is None:
                raise Problem(404, "not-found", "There is no such paper")
            keys = await self._desk.keys_of(app)
            sealed = keys.seal_fields(says, {**FIELD_CLASSES, **COUNTED})
            await store.add_reading(
                step.conn, application_id, document_id, sealed, viewer.actor, now
            )
            app.note(
                now,
                viewer.actor,
                "paper_read",
                number=paper.document_number,
                fields=sorted(says),
            )
            found = await self._desk.examine(step.conn, app, now)
            applications.note_findings(app, found.examination)
            step.effects.extend(applications.recheck(app, found.examination, found.refusals, now))
        return app


def api(desk: Desk) -> APIRouter:
    """The route for channels and people."""
    routes = APIRouter(prefix="/intake/api/v1/applications/{application_id}", tags=["pre-check"])
    readings = Readings(desk)

    @routes.post(
        "/documents/{document_id}/reading",
        openapi_extra=about("not-found", "erased", "not-open", "calendar-ends", example=READING),
    )
    async def api_reading(
        viewer: MayReceive, application_id: str, document_id: str, body: ReadingIn
    ) -> BegunOut:
        """What somebody read on a paper: it is held against the form, and where they differ the
        paper is returned with the code that says so. The last reading counts."""
        app = await readings.record(viewer, application_id, document_id, body.fields())
        return BegunOut.model_validate(begun_out(Begun(app, checklist(app)), viewer))

    return routes


def pages(desk: Desk) -> APIRouter:
    """The form on the case's page."""
    routes = APIRouter(prefix="/intake/applications/{application_id}", include_in_schema=False)
    readings = Readings(desk)

    @routes.get("/readings")
    async def page_readings(request: Request, application_id: str, viewer: MayReceive) -> Response:
        """What a paper says, to be typed."""
        app = await desk.look(viewer, application_id)
        if not applications.before_hand_over(app) or not app.documents:
            return redirect(request, f"/intake/applications/{application_id}")
        return _page(request, app, {})

    @routes.post("/readings")
    async def read(
        request: Request,
        application_id: str,
        viewer: MayReceive,
        document_id: Annotated[str, Form(max_length=60)] = "",
    ) -> Response:
        """What the viewer read on a paper."""
        app = await desk.look(viewer, application_id)  # before anything of it is judged
        here = f"/intake/applications/{application_id}"
        sent = await request.form()
        typed = {
            name: text
            for name in (*READABLE, *COUNTED)
            if (text := str(sent.get(name, "")).strip())
        }
        given: dict[str, Any] = dict(typed)
        long_term = "id_long_term" in sent
        if long_term:
            # a day beside it: one of them was not read
            given["id_expires"] = "" if "id_expires" in given else LONG_TERM
        try:
            says = ReadingIn.model_validate(given).fields()
        except ValidationError:
            error = _("Nothing was saved: fill in what you read, days as 2026-10-12.")
            return _page(request, app, typed, document_id, error, long_term=long_term)
        try:
            await readings.record(viewer, application_id, document_id, says)
        except Problem as problem:
            if problem.status >= 500 or problem.code == "not-found":
                raise
            return redirect(request, here, flash=words.refusal(problem.code), tone="danger")
        return redirect(
            request, here + "#checklist", flash=_("What you read was held against the form.")
        )

    return routes


def _page(
    request: Request,
    app: Application,
    values: Mapping[str, str],
    document_id: str = "",
    error: str = "",
    *,
    long_term: bool = False,
) -> Response:
    """The form of a reading, with what was typed."""
    return page(
        request,
        "readings.html",
        status_code=422 if error else 200,
        app=app,
        readable=(*READABLE, *COUNTED),
        values=values,
        document_id=document_id,
        error=error,
        long_term=long_term,
        words=words,
    )
