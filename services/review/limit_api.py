"""The JSON API of limits' changes: what waits, and what is done about the one of a card."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from services.review import limit_changes, limit_store
from services.review.api import PAGE_SIZE_MAX, MayDecide, MayRelease, MayView, Note, auditing
from services.review.case import Case
from services.review.evidence import verify_change
from services.review.limit_changes import ChangeState, LimitChange
from services.review.limit_desk import LimitDesk
from services.review.limit_grounds import SUSPICION
from services.review.policy_store import PolicyShelf
from services.review.viewing import shown_change_state, shown_deciders
from shared.calendar import urgency_of
from shared.events.intake import LimitChangeKind
from shared.messaging import Service
from shared.money import Money
from shared.web import Problem, Viewer
from shared.web.openapi import about


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class LowerIn(_In):
    """The bank lowers a limit by itself; `note`: why, kept sealed."""

    limit: Money
    note: Note


class LimitDecisionIn(_In):
    """`grant` with the whole limit that the card shall have, or `refuse`; `note`: what was found,
    kept sealed."""

    outcome: Literal["grant", "refuse"]
    limit: Money | None = None
    note: Note


class LimitSignatureIn(_In):
    """`confirmed`, or `returned` with a word why."""

    outcome: Literal["confirmed", "returned"]
    note: Note = ""


class LimitReleaseIn(_In):
    """What compliance found; `note` is for compliance alone."""

    finding: Literal["clear", "confirmed"]
    note: Note


class LimitChangeOut(BaseModel):
    """One change of a limit. `before`: what the card had for good when it was asked for;
    `claimed_by`: who has it, null: the branch's reviewers; `obstacles`: what stands against
    granting it, of one that waits for a decision."""

    change_id: str
    number: str
    application_id: str
    kind: LimitChangeKind
    by_bank: bool
    state: str
    before: Money
    wanted: Money
    until: date | None
    asked_at: datetime
    due: datetime
    urgency: str | None
    claimed_by: str | None
    ceiling: Money | None
    obstacles: list[str]
    granted: Money | None
    effective_on: date | None
    decided_at: datetime | None
    ended_at: datetime | None


class LimitVerificationOut(BaseModel):
    """A decision about a change of a limit, weighed again from its frozen grounds, and computed
    again by the policy that was asked. `decided_by`: of a refused increase told to compliance and
    to who refused it alone; `obstacles`: what stood against it; `least`, `most`: bounds of what
    could be granted."""

    change_id: str
    number: str
    kind: LimitChangeKind
    outcome: str
    automatic: bool
    decided_by: list[str]
    decided_at: datetime
    granted: Money | None
    obstacles: list[str]
    least: Money | None
    most: Money | None
    policy_version: str | None
    policy_digest: str | None
    same: bool


class LimitChangesOut(BaseModel):
    """What waits for its decision, due first; or what was decided, the newest first."""

    limit_changes: list[LimitChangeOut]


def router(service: Service, desk: LimitDesk, shelf: PolicyShelf) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches."""
    routes = APIRouter(prefix="/review/api/v1", tags=["review"])
    here = "/cases/{application_id}/limit-change"

    @routes.get("/limit-changes")
    async def api_limit_changes(
        viewer: MayView,
        *,
        decided: bool = False,
        size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> LimitChangesOut:
        """The first so many changes that wait, or with `decided` those that were decided. What
        stands against one is told of each card alone."""
        async with service.pool.acquire() as conn:
            found = await limit_store.page_of(conn, viewer.branch_list, size, decided=decided)
        now = service.clock.now()
        return LimitChangesOut(
            limit_changes=[
                _out(row.application_id, row.change, viewer, now, []) for row in found.rows
            ]
        )

    @routes.get("/cases/{application_id}/limit-changes", openapi_extra=about("not-found"))
    async def api_limit_changes_of(viewer: MayView, application_id: str) -> LimitChangesOut:
        """All changes of one card's limit, the newest first."""
        case, now = await desk.look(viewer, application_id), service.clock.now()
        return LimitChangesOut(
            limit_changes=[_told(case, one, viewer, now) for one in reversed(case.limit_changes)]
        )

    @routes.get(
        here + "/verification",
        openapi_extra=about("not-found", "not-decided", "erased", "policy-not-held"),
    )
    async def api_verify_limit_change(
        viewer: MayView,
        application_id: str,
        change_id: Annotated[str | None, Query(max_length=80)] = None,
    ) -> LimitVerificationOut:
        """Weigh and compute the decision about a change of this card's limit again, of the last
        one where none is named; 404 where none was kept."""
        case = await desk.look(viewer, application_id)
        decided = [one.change_id for one in case.limit_changes if one.decided_at is not None]
        change_id = change_id or (decided[-1] if decided else "")
        with auditing():
            async with service.pool.acquire() as conn:
                found = await verify_change(conn, desk.vault, shelf, case, change_id)
        if found is None:
            raise Problem(404, "not-decided", "The change is not decided by review")
        decision = found.decision
        (change,) = (one for one in case.limit_changes if one.change_id == decision.change_id)
        return LimitVerificationOut(
            change_id=decision.change_id,
            number=decision.number,
            kind=found.grounds.kind,
            outcome=decision.outcome,
            automatic=not decision.decided_by,
            decided_by=list(shown_deciders(change, case.need_scope().branch, viewer) or ()),
            decided_at=decision.at,
            granted=decision.granted,
            obstacles=[code for code in found.weighed.obstacles if code != SUSPICION],
            least=found.weighed.least,
            most=found.weighed.most,
            policy_version=decision.policy_version,
            policy_digest=decision.policy_digest,
            same=found.same,
        )

    @routes.post(
        here + "/lower",
        openapi_extra=about(
            *("not-found", "erased", "no-card", "no-own-limit", "limit-change-open"),
            *("not-approvable", "limit-too-high", "limit-not-fitting", "no-opinion"),
            example={"limit": {"minor": 1_000_000}, "note": "近三个月他行有逾期"},
        ),
    )
    async def api_lower_limit(
        viewer: MayDecide, application_id: str, body: LowerIn
    ) -> LimitChangeOut:
        """Propose to lower a limit, as a measure of risk; a risk officer signs."""
        case = await desk.lower(viewer, application_id, body.limit, body.note)
        return _last(case, viewer, service.clock.now())

    _add_claiming(routes, service, desk)

    @routes.post(
        here + "/proposal",
        openapi_extra=about(
            *("not-found", "erased", "nothing-to-decide", "proposed", "claimed", "not-approvable"),
            *("limit-too-high", "limit-not-fitting", "no-limit", "no-opinion"),
            example={"outcome": "grant", "limit": {"minor": 3_000_000}, "note": "收入稳定"},
        ),
    )
    async def api_decide_limit(
        viewer: MayDecide, application_id: str, body: LimitDecisionIn
    ) -> LimitChangeOut:
        """Propose a limit, which a second person signs; or refuse the change, which counts at
        once."""
        if body.outcome == "refuse":
            case = await desk.refuse(viewer, application_id, body.note)
        elif body.limit is None:
            raise Problem(422, "no-limit", "Say which limit the card shall have")
        else:
            case = await desk.grant(viewer, application_id, body.limit, body.note)
        return _last(case, viewer, service.clock.now())

    @routes.post(
        here + "/signature",
        openapi_extra=about(
            *("not-found", "erased", "nothing-proposed", "same-person", "risk-officer-needed"),
            *("not-approvable", "limit-too-high", "limit-not-fitting", "no-opinion"),
            example={"outcome": "confirmed"},
        ),
    )
    async def api_sign_limit(
        viewer: MayDecide, application_id: str, body: LimitSignatureIn
    ) -> LimitChangeOut:
        """Sign what another person proposed, or send it back."""
        if body.outcome == "confirmed":
            case = await desk.sign_change(viewer, application_id)
        else:
            case = await desk.return_change(viewer, application_id, body.note)
        return _last(case, viewer, service.clock.now())

    @routes.post(
        here + "/examination",
        openapi_extra=about(
            "not-found", "nothing-to-decide", "proposed", "claimed", "nothing-to-repeat"
        ),
    )
    async def api_examine_limit(viewer: MayDecide, application_id: str) -> LimitChangeOut:
        """Ask anew what is too old or was not answered, and work the limit out again."""
        case = await desk.examine_again(viewer, application_id)
        return _last(case, viewer, service.clock.now())

    @routes.post(
        here + "/release",
        openapi_extra=about(
            *("not-found", "erased", "not-held", "no-opinion"),
            example={"finding": "clear", "note": "同名不同人"},
        ),
    )
    async def api_release_limit(
        viewer: MayRelease, application_id: str, body: LimitReleaseIn
    ) -> LimitChangeOut:
        """Compliance has looked into it: a person goes on, or it is refused."""
        case = await desk.release_change(viewer, application_id, body.finding, body.note)
        return _last(case, viewer, service.clock.now())

    return routes


def _add_claiming(routes: APIRouter, service: Service, desk: LimitDesk) -> None:
    here = "/cases/{application_id}/limit-change"

    @routes.post(
        here + "/claim",
        openapi_extra=about("not-found", "nothing-to-decide", "claimed", "proposed"),
    )
    async def api_claim_limit(viewer: MayDecide, application_id: str) -> LimitChangeOut:
        """Take the change; while somebody has it nobody else decides about it."""
        case = await desk.claim_change(viewer, application_id)
        return _last(case, viewer, service.clock.now())

    @routes.post(
        here + "/put-back",
        openapi_extra=about("not-found", "nothing-to-decide", "not-yours", "proposed"),
    )
    async def api_put_back_limit(viewer: MayDecide, application_id: str) -> LimitChangeOut:
        """Give it back; who may sign does so for a colleague."""
        case = await desk.put_back_change(viewer, application_id)
        return _last(case, viewer, service.clock.now())


def _last(case: Case, viewer: Viewer, now: datetime) -> LimitChangeOut:
    return _told(case, case.limit_changes[-1], viewer, now)


def _told(case: Case, one: LimitChange, viewer: Viewer, now: datetime) -> LimitChangeOut:
    waits = shown_change_state(one, viewer) in (ChangeState.DECIDING, ChangeState.PROPOSED)
    obstacles = limit_changes.grant_obstacles(case, one, now) if waits else []
    return _out(case.application_id, one, viewer, now, obstacles)


def _out(
    application_id: str,
    one: LimitChange,
    viewer: Viewer,
    now: datetime,
    obstacles: list[str],
) -> LimitChangeOut:
    found = one.recommendation
    return LimitChangeOut(
        change_id=one.change_id,
        number=one.number,
        application_id=application_id,
        kind=one.kind,
        by_bank=one.by_bank,
        state=shown_change_state(one, viewer).value,
        before=one.before,
        wanted=one.asked.wanted,
        until=one.asked.until,
        asked_at=one.asked_at,
        due=one.due,
        urgency=urgency_of(one.due, now).value if one.undecided else None,
        claimed_by=one.claimed_by if one.undecided else None,
        ceiling=found.ceiling if found else None,
        obstacles=[code for code in obstacles if code != SUSPICION],
        granted=one.granted,
        effective_on=one.effective_on,
        decided_at=one.decided_at,
        ended_at=one.ended_at,
    )
