"""The JSON API of appeals: what waits, and what is done about the one of a case."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from services.review import appeal_store
from services.review.api import PAGE_SIZE_MAX, MayClaim, MayDecide, MayView, Note
from services.review.appeals import About, Answer, Appeal
from services.review.appeals import about as about_what
from services.review.case import Case
from services.review.desk import Desk
from shared.calendar import urgency_of
from shared.events.intake import AppealWish
from shared.messaging import Service
from shared.web.openapi import about


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class AppealIn(_In):
    """What a customer asks for who telephoned or came, of a decline or of a limit that the policy
    alone set; `note`: what they say, kept sealed."""

    wish: AppealWish
    note: Note = ""


class AnswerIn(_In):
    """`explained` of an explanation, `upheld` or `changed` of a review by a person; `note`: what
    was found, kept sealed."""

    outcome: Answer
    note: Note


class AppealOut(BaseModel):
    """One appeal. `about`: a decline, or a limit that the policy alone set; `automatic`: the policy
    alone had decided; `urgency`: of one that waits."""

    appeal_id: str
    number: str
    application_id: str
    about: About
    wish: AppealWish
    asked_at: datetime
    due: datetime
    urgency: str | None
    automatic: bool
    claimed_by: str | None
    outcome: str | None
    answered_by: str | None
    answered_at: datetime | None


class AppealsOut(BaseModel):
    """What waits for its answer, due first; or what was answered, the newest first."""

    appeals: list[AppealOut]


def router(service: Service, desk: Desk) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches."""
    routes = APIRouter(prefix="/review/api/v1", tags=["review"])
    here = "/cases/{application_id}/appeal"

    @routes.get("/appeals")
    async def api_appeals(
        viewer: MayView,
        *,
        answered: bool = False,
        size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> AppealsOut:
        """The first so many appeals that wait, or with `answered` those that were answered."""
        async with service.pool.acquire() as conn:
            found = await appeal_store.page_of(conn, viewer.branch_list, size, answered=answered)
        now = service.clock.now()
        return AppealsOut(
            appeals=[_out(row.application_id, row.about, row.appeal, now) for row in found.rows]
        )

    @routes.post(
        here,
        openapi_extra=about(
            *("not-found", "erased", "not-declined", "not-automatic", "limit-changed"),
            "appeal-open",
            example={"wish": "explanation", "note": "客户来电询问"},
        ),
    )
    async def api_open_appeal(viewer: MayClaim, application_id: str, body: AppealIn) -> AppealOut:
        """Open an appeal for the customer."""
        case = await desk.open_appeal(viewer, application_id, body.wish, body.note)
        return _last(case, service.clock.now())

    @routes.post(
        here + "/claim",
        openapi_extra=about("not-found", "nothing-appealed", "same-person", "claimed"),
    )
    async def api_claim_appeal(viewer: MayDecide, application_id: str) -> AppealOut:
        """Take the appeal; never whoever took part in the decision, or answered an
        earlier one."""
        case = await desk.claim_appeal(viewer, application_id)
        return _last(case, service.clock.now())

    @routes.post(
        here + "/put-back",
        openapi_extra=about("not-found", "nothing-appealed", "not-yours"),
    )
    async def api_put_back_appeal(viewer: MayDecide, application_id: str) -> AppealOut:
        """Give it back; who may sign does so for a colleague."""
        case = await desk.put_back_appeal(viewer, application_id)
        return _last(case, service.clock.now())

    @routes.post(
        here + "/answer",
        openapi_extra=about(
            *("not-found", "erased", "nothing-appealed", "same-person", "not-yours"),
            *("other-wish", "no-opinion", "no-card", "no-own-limit", "limit-change-open"),
            example={"outcome": "upheld", "note": "复核无误"},
        ),
    )
    async def api_answer_appeal(
        viewer: MayDecide, application_id: str, body: AnswerIn
    ) -> AppealOut:
        """Answer the customer, who is told in approved words. `changed` about a limit begins to
        raise it to what they had wished for, or invites them to ask for that."""
        case = await desk.answer_appeal(viewer, application_id, body.outcome, body.note)
        return _last(case, service.clock.now())

    return routes


def _last(case: Case, now: datetime) -> AppealOut:
    last = next(one for one in reversed(case.appeals) if one.kind == "appeal")
    return _out(case.application_id, about_what(case.state), last, now)


def _out(application_id: str, of: About, one: Appeal, now: datetime) -> AppealOut:
    return AppealOut(
        appeal_id=one.appeal_id,
        number=one.number,
        application_id=application_id,
        about=of,
        wish=AppealWish(one.wish),
        asked_at=one.asked_at,
        due=one.due,
        urgency=urgency_of(one.due, now).value if one.open else None,
        automatic=one.automatic,
        claimed_by=one.claimed_by,
        outcome=one.outcome,
        answered_by=one.answered_by,
        answered_at=one.answered_at,
    )
