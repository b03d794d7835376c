"""The page on which an assistant writes down that a customer wants another limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from services.intake import words
from services.intake.api_limits import LimitChangeIn
from services.intake.application import Application
from services.intake.desk import Desk
from services.intake.limit_changes import limit_now, may_ask
from services.intake.pages import sent_fields
from services.intake.pages_precheck import expected
from shared.calendar import business_day
from shared.events.payload import ApplicantType
from shared.messaging import Service
from shared.money import Money
from shared.parameters import load_limit_changes
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.i18n import _, mark

REFUSALS: Mapping[str, str] = {
    "limit-not-changeable": mark(
        "Only the limit of an activated card is changed, one change at a time."
    ),
    "not-agreed": mark(
        "Without the customer's own agreement no limit is changed: say when they gave it."
    ),
    "limit-not-fitting": mark("An increase is above the present limit, a decrease below it."),
    "until-not-fitting": mark("A temporary limit, and no other, has a last day within its term."),
    "no-guarantee": mark(
        "A student's second source of repayment agrees in writing before any increase."
    ),
    "income-not-proved": mark("An income stated anew needs the day of its proof."),
    "changed-meanwhile": mark("Somebody was quicker, and nothing was changed."),
    "erased": mark("The customer's data was deleted or is restricted."),
}

_MAY_EDIT = requires(Permission.APPLICATION_EDIT)


def router(service: Service, desk: Desk) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    address = "/applications/{application_id}/limit-change"

    def form(
        request: Request, app: Application, sent: Mapping[str, str], error: str = ""
    ) -> Response:
        return page(
            request,
            "limit_change.html",
            status_code=422 if error else 200,
            app=app,
            values=sent,
            error=error,
            changeable=may_ask(app),
            lasting=limit_now(app),
            student=app.need_scope().applicant_type == ApplicantType.STUDENT,
            kinds=[(kind.value, _(label)) for kind, label in words.LIMIT_CHANGES.items()],
            longest=load_limit_changes().temporary.longest_days,
            today=business_day(service.clock.now()),
        )

    @routes.get(address)
    async def page_limit_change(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_EDIT]
    ) -> Response:
        """The form, where a change can be asked for now."""
        return form(request, await desk.look(viewer, application_id), {})

    @routes.post(address)
    async def change_limit(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_EDIT]
    ) -> Response:
        """The customer wants another limit; review decides."""
        sent = await sent_fields(request)
        app = await desk.look(viewer, application_id)
        try:
            body = LimitChangeIn.model_validate(_typed(sent))
            revision = int(sent.get("revision", ""))
        except (ValidationError, ValueError, ArithmeticError):
            return form(request, app, sent, _("Please look at what you typed: it cannot be read."))
        try:
            await desk.change_limit(
                viewer,
                application_id,
                body.wish(),
                income=body.monthly_income,
                words=body.note,
                expect=expected(revision),
            )
        except Problem as problem:
            if problem.code not in REFUSALS:
                raise
            app = await desk.look(viewer, application_id)
            return form(request, app, sent, _(REFUSALS[problem.code]))
        done = _("Review has it now, and decides by its own clock.")
        return redirect(request, f"/intake/applications/{application_id}", flash=done)

    return routes


def _typed(sent: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, amounts in yuan. Raises ValueError or ArithmeticError for no amount."""
    amounts = {"wanted", "monthly_income"}
    known = LimitChangeIn.model_fields.keys()
    return {
        name: Money.of(text) if name in amounts else text
        for name, text in sent.items()
        if name in known
    }
