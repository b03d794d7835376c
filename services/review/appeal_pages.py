"""The pages of appeals: the list of those that wait, and the commands on a case's page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.review import appeal_store, officer_store, queue, words
from services.review.api import MayClaim, MayDecide, MayView
from services.review.desk import Desk
from services.review.pages import PAGE_SIZE, act_and_say, away_days, receivers
from shared.events.intake import AppealWish
from shared.messaging import Service
from shared.parameters import load_phrases
from shared.web import page
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language, mark
from shared.web.limits import lenient
from shared.web.lists import Place, Total

HERE = "/review/appeals"

REFUSALS: Mapping[str, str] = {
    "not-declined": mark(
        "Only a decline, or a limit that the policy alone set, is appealed against."
    ),
    "not-automatic": mark(
        "The policy alone did not set this limit: the customer may ask for another one."
    ),
    "limit-changed": mark(
        "This limit was changed since the policy alone set it: the customer may ask for another."
    ),
    "appeal-open": mark("An appeal of this customer waits for its answer already."),
    "nothing-appealed": mark("No appeal waits for its answer."),
    "same-person": mark("Whoever took part in it before does not answer the appeal."),
    "claimed": mark("Another officer has this appeal."),
    "not-yours": mark("Claim the appeal first."),
    "other-wish": mark("This is no answer to what the customer asked for."),
    "no-opinion": mark("Please say in words what you found."),
    "no-card": mark("The application has ended: there is no limit to be raised."),
    "no-own-limit": mark("The card has no limit of its own that could be raised."),
    "limit-change-open": mark("A change of this limit waits for its decision: decide it first."),
    "erased": mark("The applicant's data was deleted or is restricted; nothing can be added."),
}

_SECTIONS = ("answered", "disputes", "disputes-answered")

Words = Annotated[str, Form(max_length=2000)]


def router(service: Service, desk: Desk) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    _add_list(routes, service)
    _add_commands(routes, desk)
    return routes


def _add_list(routes: APIRouter, service: Service) -> None:
    @routes.get("/appeals")
    async def page_appeals(
        request: Request,
        viewer: MayView,
        section: Annotated[str, Query(max_length=20), lenient("")] = "",
    ) -> Response:
        """What waits for its answer, due first; or what was answered, the newest first; of appeals
        or of disputes about the credit report."""
        chosen = section if section in _SECTIONS else ""
        answered, disputes = chosen.endswith("answered"), chosen.startswith("disputes")
        after = Place.read(request.query_params.get("after", ""), datetime)
        before = None if after else Place.read(request.query_params.get("before", ""), datetime)
        now = service.clock.now()
        async with service.pool.acquire() as conn:
            found = await appeal_store.page_of(
                conn,
                viewer.branch_list,
                PAGE_SIZE,
                answered=answered,
                disputes=disputes,
                after=after,
                before=before,
            )
            appealed = await appeal_store.waiting(conn, viewer.branch_list, now)
            disputed = await appeal_store.waiting(conn, viewer.branch_list, now, disputes=True)
            waiting = disputed if disputes else appealed
            total = (
                await appeal_store.answered(conn, viewer.branch_list, disputes=disputes)
                if answered
                else None
            )
            rows = [row.appeal for row in found.rows]
            people = await staff_names(
                conn, [one for row in rows for one in (row.claimed_by, row.answered_by) if one]
            )
            branches = await branch_names(conn)
            given_to = await receivers(conn, viewer, now)
            away = away_days(await officer_store.officers(conn), now)
        return page(
            request,
            "appeals.html",
            answered=answered,
            found=found,
            rows=[(row, queue.clock_of(row.appeal.due, now)) for row in found.rows],
            disputes=disputes,
            appealed=appealed,
            disputed=disputed,
            tabs=_tabs(appealed.open, disputed.open),
            current=HERE + (f"?section={chosen}" if chosen else ""),
            total=total or waiting.open,
            people=people,
            away=away,
            receivers=given_to,
            branches=branches,
            products=words.product_names(),
            wishes=words.WISHES,
            dispute_outcomes=words.DISPUTE_OUTCOMES,
            appeal_outcomes=words.appeal_outcomes,
            categories={
                code: phrase.desk.in_language(current_language())
                for code, phrase in load_phrases().declines.items()
            },
        )


def _tabs(appealed: Total, disputed: Total) -> list[tuple[str, str, str | None]]:
    return [
        (HERE, _("Appeals"), str(appealed.shown)),
        (f"{HERE}?section=disputes", _("Disputes"), str(disputed.shown)),
        (f"{HERE}?section=answered", _("Appeals answered"), None),
        (f"{HERE}?section=disputes-answered", _("Disputes answered"), None),
    ]


def _add_commands(routes: APIRouter, desk: Desk) -> None:
    here = "/cases/{application_id}/appeal"

    @routes.post(here)
    async def page_open(
        request: Request,
        viewer: MayClaim,
        application_id: str,
        wish: Annotated[AppealWish, Form()],
        note: Words = "",
    ) -> Response:
        """For the customer, who telephoned or came; `note`: what they say."""
        return await _act(
            request,
            application_id,
            desk.open_appeal(viewer, application_id, wish, note),
            _("The appeal is opened, and the customer is told."),
        )

    @routes.post(here + "/claim")
    async def page_claim(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.claim_appeal(viewer, application_id),
            _("The appeal is yours."),
        )

    @routes.post(here + "/put-back")
    async def page_put_back(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.put_back_appeal(viewer, application_id),
            _("The appeal waits for somebody else."),
        )

    @routes.post(here + "/answer")
    async def page_answer(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        answer: Annotated[Literal["explained", "upheld", "changed"], Form()],
        note: Words = "",
    ) -> Response:
        return await _act(
            request,
            application_id,
            desk.answer_appeal(viewer, application_id, answer, note),
            _("The appeal is answered, and the customer is told."),
        )


async def _act(request: Request, application_id: str, command: Any, done: str) -> Response:
    return await act_and_say(request, f"/review/cases/{application_id}", command, done, REFUSALS)
