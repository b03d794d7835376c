"""The pages of disputes about the credit report: what is done about that of a case. Their list is
that of the appeals (`appeal_pages`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.review.api import MayClaim, MayDecide
from services.review.desk import Desk
from services.review.pages import act_and_say
from shared.web.i18n import _, mark

REFUSALS: Mapping[str, str] = {
    "no-report": mark("The bank holds no credit report of this customer."),
    "dispute-open": mark("A dispute of this customer waits for its answer already."),
    "nothing-disputed": mark("No dispute waits for its answer."),
    "claimed": mark("Another officer has this dispute."),
    "not-yours": mark("Claim the dispute first."),
    "no-opinion": mark("Please say in words what you found."),
    "erased": mark("The applicant's data was deleted or is restricted; nothing can be added."),
}

Words = Annotated[str, Form(max_length=2000)]


def router(desk: Desk) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    here = "/cases/{application_id}/dispute"

    @routes.post(here)
    async def page_open(
        request: Request, viewer: MayClaim, application_id: str, note: Words = ""
    ) -> Response:
        """For the customer, who telephoned or came; `note`: what they say."""
        return await _act(
            request,
            application_id,
            desk.open_dispute(viewer, application_id, note),
            _("The dispute is opened, and the customer is told."),
        )

    @routes.post(here + "/claim")
    async def page_claim(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.claim_dispute(viewer, application_id),
            _("The dispute is yours."),
        )

    @routes.post(here + "/put-back")
    async def page_put_back(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.put_back_dispute(viewer, application_id),
            _("The dispute waits for somebody else."),
        )

    @routes.post(here + "/answer")
    async def page_answer(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        answer: Annotated[Literal["corrected", "upheld", "annotated"], Form()],
        note: Words = "",
    ) -> Response:
        return await _act(
            request,
            application_id,
            desk.answer_dispute(viewer, application_id, answer, note),
            _("The dispute is answered, and the customer is told."),
        )

    return routes


async def _act(request: Request, application_id: str, command: Any, done: str) -> Response:
    return await act_and_say(request, f"/review/cases/{application_id}", command, done, REFUSALS)
