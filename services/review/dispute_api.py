"""The JSON API of disputes about the credit report: what waits, and what is done about that of a
case."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from services.review import appeal_store
from services.review.api import PAGE_SIZE_MAX, MayClaim, MayDecide, MayView, Note
from services.review.appeals import Appeal
from services.review.case import Case
from services.review.desk import Desk
from services.review.disputes import Outcome
from shared.calendar import urgency_of
from shared.messaging import Service
from shared.web.openapi import about


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class DisputeIn(_In):
    """What a customer says is wrong who telephoned or came; kept sealed."""

    note: Note = ""


class OutcomeIn(_In):
    """`corrected`: the report was wrong and is put right; `upheld`: it was right; `annotated`: the
    customer's objection stands beside the record. `note`: what was found, kept sealed."""

    outcome: Outcome
    note: Note


class DisputeOut(BaseModel):
    """One dispute; `urgency`: of one that waits."""

    dispute_id: str
    number: str
    application_id: str
    asked_at: datetime
    due: datetime
    urgency: str | None
    claimed_by: str | None
    outcome: str | None
    answered_by: str | None
    answered_at: datetime | None


class DisputesOut(BaseModel):
    """What waits for its answer, due first; or what was answered, the newest first."""

    disputes: list[DisputeOut]


def router(service: Service, desk: Desk) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches."""
    routes = APIRouter(prefix="/review/api/v1", tags=["review"])
    here = "/cases/{application_id}/dispute"

    @routes.get("/disputes")
    async def api_disputes(
        viewer: MayView,
        *,
        answered: bool = False,
        size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> DisputesOut:
        """The first so many disputes that wait, or with `answered` those that were answered."""
        async with service.pool.acquire() as conn:
            found = await appeal_store.page_of(
                conn, viewer.branch_list, size, answered=answered, disputes=True
            )
        now = service.clock.now()
        rows = [_out(row.application_id, row.appeal, now) for row in found.rows]
        return DisputesOut(disputes=rows)

    @routes.post(
        here,
        openapi_extra=about(
            *("not-found", "erased", "no-report", "dispute-open"),
            example={"note": "客户称征信逾期记录有误"},
        ),
    )
    async def api_open_dispute(
        viewer: MayClaim, application_id: str, body: DisputeIn
    ) -> DisputeOut:
        """Open a dispute for the customer."""
        case = await desk.open_dispute(viewer, application_id, body.note)
        return _last(case, service.clock.now())

    @routes.post(here + "/claim", openapi_extra=about("not-found", "nothing-disputed", "claimed"))
    async def api_claim_dispute(viewer: MayDecide, application_id: str) -> DisputeOut:
        """Take the dispute."""
        case = await desk.claim_dispute(viewer, application_id)
        return _last(case, service.clock.now())

    @routes.post(
        here + "/put-back", openapi_extra=about("not-found", "nothing-disputed", "not-yours")
    )
    async def api_put_back_dispute(viewer: MayDecide, application_id: str) -> DisputeOut:
        """Give it back; who may sign does so for a colleague."""
        case = await desk.put_back_dispute(viewer, application_id)
        return _last(case, service.clock.now())

    @routes.post(
        here + "/answer",
        openapi_extra=about(
            *("not-found", "erased", "nothing-disputed", "not-yours", "no-opinion"),
            example={"outcome": "corrected", "note": "征信中心已更正"},
        ),
    )
    async def api_answer_dispute(
        viewer: MayDecide, application_id: str, body: OutcomeIn
    ) -> DisputeOut:
        """Answer the customer, who is told in approved words."""
        case = await desk.answer_dispute(viewer, application_id, body.outcome, body.note)
        return _last(case, service.clock.now())

    return routes


def _last(case: Case, now: datetime) -> DisputeOut:
    last = next(one for one in reversed(case.appeals) if one.kind == "dispute")
    return _out(case.application_id, last, now)


def _out(application_id: str, one: Appeal, now: datetime) -> DisputeOut:
    return DisputeOut(
        dispute_id=one.appeal_id,
        number=one.number,
        application_id=application_id,
        asked_at=one.asked_at,
        due=one.due,
        urgency=urgency_of(one.due, now).value if one.open else None,
        claimed_by=one.claimed_by,
        outcome=one.outcome,
        answered_by=one.answered_by,
        answered_at=one.answered_at,
    )
