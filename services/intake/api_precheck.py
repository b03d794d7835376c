"""The JSON API of the pre-check: what officers say of items and cases, and the checklist with all
that the office knows of it. For people; a channel's program gives no verdict.

Saying the same again changes nothing, so that a request that was lost can simply be sent again;
with If-Match it is 412 where the first one came through.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from services.intake import store
from services.intake.api_examples import ACCEPT, AGREEMENT, ASK, MEETING, RETURN, WAIVER
from services.intake.api_once import etag, named
from services.intake.application import Application
from services.intake.checklist import Line, checklist
from services.intake.desk import Desk
from services.intake.items import Change
from services.intake.officers import Officers
from shared.events.payload import Instant
from shared.messaging import Service
from shared.web import Permission, Viewer, requires
from shared.web.openapi import about

_SAID = (
    *("not-found", "erased", "people-only", "not-on-list", "not-in-pre-check"),
    *("changed-meanwhile", "calendar-ends"),
)

MayView = Annotated[Viewer, requires(Permission.PRE_CHECK_VIEW)]
MayDecide = Annotated[Viewer, requires(Permission.PRE_CHECK_DECIDE)]
Seen = Annotated[frozenset[int] | None, Depends(named)]
MayAgree = Annotated[Viewer, requires(Permission.PRE_CHECK_AGREE)]

_Code = Annotated[str, Field(pattern=r"^[A-Z][A-Z_]+$", max_length=60)]
_Codes = Annotated[list[_Code], Field(min_length=1, max_length=20)]
_Remark = Annotated[str, Field(max_length=2000)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class AcceptIn(_In):
    """`document_id`: the paper that was looked at; 409 where another has come since."""

    document_id: Annotated[str, Field(max_length=60)] | None = None


class ReturnIn(_In):
    """Why it will not do, as return codes; `remark` is for the office alone and kept sealed."""

    codes: _Codes
    remark: _Remark = ""


class AskIn(ReturnIn):
    """`reason`: why what was accepted is asked for again; without one that is impossible."""

    reason: _Code | None = None


class WaiverIn(_In):
    """Why two people do without it."""

    reason: _Code
    remark: _Remark = ""


class AgreeIn(_In):
    """What the second person says."""

    agreed: bool
    remark: _Remark = ""


class MeetingIn(_In):
    """What the caller saw (三亲见), when, and which papers show it."""

    saw_person: bool
    saw_original: bool
    saw_signing: bool
    at: Instant
    evidence: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=20)]


class WaiverOut(BaseModel):
    """The wish to do without an item; it counts once `second_by` has agreed."""

    reason: str
    by: str
    at: datetime
    second_by: str | None


class ItemOut(BaseModel):
    """An item as the office sees it. document_id: the paper that counts; taken_from: the earlier
    application with which it came; asked: how often the customer was asked for it, asked_again: of
    these after it had been settled."""

    party: str
    item: str
    state: str
    need: str
    group: str | None
    reasons: list[dict[str, str | None]]
    documents: list[str]
    taken_from: str | None
    asked: int
    asked_again: int
    waiver: WaiverOut | None
    since: datetime | None
    by: str


class ChangeOut(BaseModel):
    """One line of the checklist's history; `remark` in clear, null where its key is gone."""

    party: str
    item: str
    at: datetime
    actor: str
    action: str
    was: str | None
    state: str
    codes: list[str]
    why: str | None
    document_id: str | None
    second: str | None
    remark: str | None


class OfficeListOut(BaseModel):
    """The checklist with everything that the office knows of it. revision: for If-Match."""

    revision: int
    items: list[ItemOut]
    changes: list[ChangeOut]


class JudgedOut(BaseModel):
    """The application after a verdict."""

    application_id: str
    state: str
    revision: int
    items: list[ItemOut]


def router(service: Service, desk: Desk) -> APIRouter:
    """The pre-check of one service instance, narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake/api/v1/applications/{application_id}", tags=["pre-check"])
    officers = Officers(desk)
    _add_items(routes, officers)
    _add_case(routes, service, desk, officers)
    return routes


def _add_items(routes: APIRouter, officers: Officers) -> None:
    @routes.post(
        "/items/{party}/{item}/accept",
        openapi_extra=about(
            *(*_SAID, "newer-paper", "rules-object", "nothing-there"), example=ACCEPT, revised=True
        ),
    )
    async def api_accept(
        viewer: MayDecide,
        application_id: str,
        party: str,
        item: str,
        response: Response,
        seen: Seen,
        body: AcceptIn | None = None,
    ) -> JudgedOut:
        """The item will do. 409 `rules-object`, `nothing-there`, `newer-paper`."""
        looked_at = body.document_id if body else None
        return judged(
            await officers.accept(
                viewer,
                application_id,
                party,
                item,
                looked_at,
                expect=seen,
            ),
            response,
        )

    @routes.post(
        "/items/{party}/{item}/return",
        openapi_extra=about(
            *(*_SAID, "item-accepted", "unknown-code"), example=RETURN, revised=True
        ),
    )
    async def api_return_item(
        viewer: MayDecide,
        application_id: str,
        party: str,
        item: str,
        body: ReturnIn,
        response: Response,
        seen: Seen,
    ) -> JudgedOut:
        """The item will not do. 409 `item-accepted` for what was settled."""
        return judged(
            await officers.give_back(
                viewer,
                application_id,
                party,
                item,
                body.codes,
                body.remark,
                expect=seen,
            ),
            response,
        )

    @routes.post(
        "/items/{item}/ask",
        openapi_extra=about(
            *(*_SAID, "item-accepted", "unknown-code", "unknown-item", "unknown-reason"),
            example=ASK,
            revised=True,
        ),
    )
    async def api_ask(
        viewer: MayDecide,
        application_id: str,
        item: str,
        body: AskIn,
        response: Response,
        seen: Seen,
    ) -> JudgedOut:
        """The customer has to bring it. 409 `item-accepted` where it was settled and no `reason`
        is given; with one it is asked for again, which is counted."""
        return judged(
            await officers.ask(
                viewer,
                application_id,
                item,
                body.codes,
                body.reason,
                body.remark,
                expect=seen,
            ),
            response,
        )

    @routes.post(
        "/items/{party}/{item}/waive",
        openapi_extra=about(
            *(*_SAID, "item-accepted", "not-waivable", "unknown-reason"),
            example=WAIVER,
            revised=True,
        ),
    )
    async def api_waive(
        viewer: MayDecide,
        application_id: str,
        party: str,
        item: str,
        body: WaiverIn,
        response: Response,
        seen: Seen,
    ) -> JudgedOut:
        """The officer would do without it; a second person has to agree. 409 `not-waivable`."""
        return judged(
            await officers.ask_waiver(
                viewer,
                application_id,
                party,
                item,
                body.reason,
                body.remark,
                expect=seen,
            ),
            response,
        )

    @routes.post(
        "/items/{party}/{item}/waiver",
        openapi_extra=about(
            *(*_SAID, "same-person", "no-waiver-asked"), example=AGREEMENT, revised=True
        ),
    )
    async def api_answer_waiver(
        viewer: MayAgree,
        application_id: str,
        party: str,
        item: str,
        body: AgreeIn,
        response: Response,
        seen: Seen,
    ) -> JudgedOut:
        """The second person agrees, or does not. 403 `same-person`, 409 `no-waiver-asked`."""
        return judged(
            await officers.answer_waiver(
                viewer,
                application_id,
                party,
                item,
                body.agreed,
                body.remark,
                expect=seen,
            ),
            response,
        )


def _add_case(routes: APIRouter, service: Service, desk: Desk, officers: Officers) -> None:
    @routes.post("/pass", openapi_extra=about(*_SAID, "not-passable", revised=True))
    async def api_pass(
        viewer: MayDecide, application_id: str, response: Response, seen: Seen
    ) -> JudgedOut:
        """The pre-check is passed; review has the application. 422 `not-passable` with every
        obstacle."""
        return judged(
            await officers.pass_on(viewer, application_id, expect=seen),
            response,
        )

    @routes.post("/return", openapi_extra=about(*_SAID, "not-returnable", revised=True))
    async def api_return(
        viewer: MayDecide, application_id: str, response: Response, seen: Seen
    ) -> JudgedOut:
        """The customer gets one list of all that is open. 422 `not-returnable` while something was
        not looked at."""
        return judged(
            await officers.send_back(viewer, application_id, expect=seen),
            response,
        )

    @routes.post(
        "/meetings",
        openapi_extra=about(
            *(*_SAID, "not-open", "no-evidence", "not-then"), example=MEETING, revised=True
        ),
    )
    async def api_meeting(
        viewer: MayDecide,
        application_id: str,
        body: MeetingIn,
        response: Response,
        seen: Seen,
    ) -> JudgedOut:
        """The caller saw the person, the original ID, the signing (三亲见)."""
        return judged(
            await officers.record_meeting(
                viewer,
                application_id,
                saw_person=body.saw_person,
                saw_original=body.saw_original,
                saw_signing=body.saw_signing,
                at=body.at,
                evidence=body.evidence,
                expect=seen,
            ),
            response,
        )

    @routes.post("/contact", openapi_extra=about(*_SAID, "not-open", revised=True))
    async def api_contact(
        viewer: MayDecide, application_id: str, response: Response, seen: Seen
    ) -> JudgedOut:
        """The caller spoke with the customer after the pre-check was passed; the first time
        counts. 409 `not-open` where the application does not lie with review."""
        return judged(
            await officers.record_contact(viewer, application_id, expect=seen),
            response,
        )

    @routes.get("/checklist/office", openapi_extra=about("not-found", revised=True))
    async def api_office_list(
        viewer: MayView, application_id: str, response: Response
    ) -> OfficeListOut:
        """Every item with its state, and every change of it with who, when, why and which paper."""
        app = await desk.look(viewer, application_id)
        lines = await desk.checklist(app)
        async with service.pool.acquire() as conn:
            changes = await store.changes_of(conn, application_id)
        remarks = await desk.open_notes(one.remark for one in changes if one.remark)
        response.headers["ETag"] = etag(app.revision)
        return OfficeListOut(
            revision=app.revision,
            items=[item_out(line) for line in lines],
            changes=[change_out(one, remarks) for one in changes],
        )


def judged(app: Application, response: Response) -> JudgedOut:
    """The application as it stands after a verdict, with its revision in the head, too."""
    response.headers["ETag"] = etag(app.revision)
    return JudgedOut(
        application_id=app.application_id,
        state=str(app.state),
        revision=app.revision,
        items=[item_out(line) for line in checklist(app)],
    )


def item_out(line: Line) -> ItemOut:
    """An item as JSON."""
    waiver = line.waiver
    return ItemOut(
        party=line.party,
        item=line.item,
        state=line.state,
        need=line.need,
        group=line.group,
        reasons=[{"code": code, "field": name} for code, name in line.reasons],
        documents=list(line.documents),
        taken_from=line.taken_from,
        asked=line.asked,
        asked_again=line.asked_again,
        waiver=WaiverOut(
            reason=waiver.reason, by=waiver.by, at=waiver.at, second_by=waiver.second_by
        )
        if waiver
        else None,
        since=line.since,
        by=line.by,
    )


def change_out(change: Change, remarks: dict[str, str]) -> ChangeOut:
    """A change as JSON, with its remark in clear."""
    return ChangeOut(
        party=change.party,
        item=change.item,
        at=change.at,
        actor=change.actor,
        action=change.action,
        was=change.was,
        state=change.state,
        codes=list(change.codes),
        why=change.why,
        document_id=change.document_id,
        second=change.second,
        remark=remarks.get(change.remark or ""),
    )
