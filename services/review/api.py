"""The JSON API: queue, cases, decisions. No personal data: that is for pages, where it is masked
and every look is recorded."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from services.review import queue, reason_codes, store
from services.review.case import Case
from services.review.desk import Desk, public_findings, waits_for
from services.review.evidence import in_order, verify
from services.review.policy_store import PolicyShelf
from services.review.viewing import shown_case, shown_decision, shown_row, shown_version
from services.review.workers import OpenVault
from shared.events.intake import WantedItem
from shared.messaging import Service
from shared.money import Money
from shared.privacy.vault import KeyUnavailableError
from shared.web import Permission, Problem, Viewer, requires
from shared.web.openapi import about

PAGE_SIZE_MAX = 200

MayView = Annotated[Viewer, requires(Permission.REVIEW_VIEW)]
MayClaim = Annotated[Viewer, requires(Permission.REVIEW_CLAIM)]
MayDecide = Annotated[Viewer, requires(Permission.REVIEW_DECIDE)]
MaySign = Annotated[Viewer, requires(Permission.REVIEW_SIGN)]
MayRelease = Annotated[Viewer, requires(Permission.REVIEW_COMPLIANCE)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


Note = Annotated[str, Field(max_length=2000)]


class ApprovalIn(_In):
    """The first reviewer wants to grant the card."""

    outcome: Literal["approve"]
    limit: Money
    note: Note = ""


class DeclineIn(_In):
    """The first reviewer wants to decline; `reason` is a code of `GET …/decline-reasons`."""

    outcome: Literal["decline"]
    reason: str
    note: Note


class SignatureIn(_In):
    """The second person confirms, or sends the proposal back with words."""

    outcome: Literal["confirmed", "returned"]
    note: Note = ""


class MaterialIn(_In):
    """What the customer shall bring: checklist items with return codes, in one list."""

    items: Annotated[list[WantedItem], Field(min_length=1, max_length=30)]


class HoldIn(_In):
    """What compliance shall look into."""

    note: Note


class ReleaseIn(_In):
    """What compliance found: `clear` sends the case to the reviewers, `confirmed` proposes to
    decline it for internal reasons."""

    finding: Literal["clear", "confirmed"]
    note: Note


class CheckOut(BaseModel):
    """A check and what became of it; never the answer."""

    check: str
    outcome: str
    requested_at: datetime
    ended_at: datetime | None
    valid_until: datetime | None
    attempts: int
    why: str | None


class ProposalOut(BaseModel):
    """A decision that waits for its second signature. Who proposed it and why is told to who may
    know of holds."""

    outcome: str
    staff_id: str | None
    at: datetime
    limit: Money | None
    reasons: list[str]


class CaseOut(BaseModel):
    """A case. `waits_for`: reviewer, decision, signature, compliance, checks or nothing."""

    application_id: str
    application_number: str
    branch: str
    product: str
    applicant_type: str
    state: str
    state_version: int | None
    waits_for: str
    due: datetime | None
    claimed_by: str | None
    proposal: ProposalOut | None
    checks: list[CheckOut]
    findings: list[str]
    advice: str | None
    recommended_limit: Money | None
    ceiling: Money | None
    policy_version: str | None
    policy_digest: str | None
    limit: Money | None
    cash_limit: Money | None
    category: str | None


class QueueItemOut(BaseModel):
    """One case of a list."""

    application_id: str
    application_number: str
    branch: str
    product: str
    applicant_type: str
    state: str
    queued_at: datetime | None
    due: datetime | None
    urgency: str | None
    flags: list[str]
    advice: str | None
    claimed_by: str | None
    proposed_by: str | None
    to_sign: bool


class QueueOut(BaseModel):
    """One page of a list, what is due first in front."""

    cases: list[QueueItemOut]
    total: int
    page: int
    page_size: int


class CountsOut(BaseModel):
    """What review's tables add up to."""

    applications: int
    states: dict[str, int]
    declines: dict[str, int]
    automatic: int
    by_people: int


class VerificationOut(BaseModel):
    """A decision computed again from its frozen inputs by the policy that made it."""

    decision_id: str
    outcome: str
    automatic: bool
    decided_by: list[str]
    limit: Money | None
    category: str | None
    reapply_from: date | None
    policy_version: str
    policy_digest: str
    policy_outcome: str
    same: bool


class ReasonOut(BaseModel):
    """A reason that a reviewer may give for a decline."""

    code: str
    category: str
    words: str


def router(service: Service, desk: Desk, open_vault: OpenVault, shelf: PolicyShelf) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches."""
    routes = APIRouter(prefix="/review/api/v1", tags=["review"])
    _add_reading(routes, service, desk)
    _add_deciding(routes, desk)
    _add_audit(routes, service, desk, open_vault, shelf)
    return routes


def _add_reading(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.get("/queue", openapi_extra=about("unknown-flag"))
    async def api_queue(
        viewer: MayView,
        section: queue.Section = "open",
        number: str | None = None,
        product: str | None = None,
        branch: str | None = None,
        flag: str | None = None,
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> QueueOut:
        """Cases of a section: open, mine, to_sign, or held (compliance only)."""
        wanted = wanted_of(viewer, section, number, product, branch, flag)
        async with service.pool.acquire() as conn:
            rows, total = await store.list_cases(conn, wanted, page=page, page_size=page_size)
        now = service.clock.now()
        return QueueOut(
            cases=[queue_item(row, now, viewer) for row in rows],
            total=total,
            page=page,
            page_size=page_size,
        )

    @routes.get("/cases/{application_id}", openapi_extra=about("not-found"))
    async def api_case(viewer: MayView, application_id: str) -> CaseOut:
        """One case."""
        return case_out(await desk.look(viewer, application_id), viewer)

    @routes.get("/decline-reasons", dependencies=[requires(Permission.REVIEW_VIEW)])
    async def api_reasons() -> list[ReasonOut]:
        """The catalogue of reasons for a decline."""
        return [
            ReasonOut(
                code=reason.code,
                category=reason_codes.category_of(reason).value,
                words=reason.words,
            )
            for reason in reason_codes.DECLINE_REASONS
        ]


def _add_deciding(routes: APIRouter, desk: Desk) -> None:
    @routes.post(
        "/cases/{application_id}/claim",
        openapi_extra=about("not-found", "erased", "not-in-queue", "claimed", "proposed"),
    )
    async def api_claim(viewer: MayClaim, application_id: str) -> CaseOut:
        """Take the case from the queue; 409 `claimed` if somebody else has it."""
        return case_out(await desk.claim(viewer, application_id), viewer)

    @routes.post(
        "/cases/{application_id}/put-back",
        openapi_extra=about("not-found", "erased", "not-in-queue", "not-yours", "proposed"),
    )
    async def api_put_back(viewer: MayClaim, application_id: str) -> CaseOut:
        """Give the case back to the queue; who may sign, a colleague's too."""
        return case_out(await desk.put_back(viewer, application_id), viewer)

    @routes.post(
        "/cases/{application_id}/decision",
        openapi_extra=about(
            "not-found",
            "erased",
            "not-in-queue",
            "not-yours",
            "proposed",
            "not-scored",
            "not-approvable",
            "limit-too-high",
            "limit-not-fitting",
            "no-limit",
            "unknown-reason",
            "no-opinion",
        ),
    )
    async def api_decision(
        viewer: MayDecide,
        application_id: str,
        body: Annotated[ApprovalIn | DeclineIn, Field(discriminator="outcome")],
    ) -> CaseOut:
        """Propose a decision on one's own case; it counts once a second person has signed."""
        if isinstance(body, ApprovalIn):
            case = await desk.propose_approval(viewer, application_id, body.limit, body.note)
        else:
            case = await desk.propose_decline(viewer, application_id, body.reason, body.note)
        return case_out(case, viewer)

    @routes.post(
        "/cases/{application_id}/signature",
        openapi_extra=about(
            "not-found",
            "erased",
            "not-in-queue",
            "nothing-proposed",
            "same-person",
            "not-scored",
            "not-approvable",
            "limit-too-high",
            "no-limit",
            "no-opinion",
        ),
    )
    async def api_signature(viewer: MaySign, application_id: str, body: SignatureIn) -> CaseOut:
        """The second signature; 403 `same-person` for who proposed."""
        if body.outcome == "confirmed":
            case = await desk.sign(viewer, application_id)
        else:
            case = await desk.send_back(viewer, application_id, body.note)
        return case_out(case, viewer)

    @routes.post(
        "/cases/{application_id}/material",
        openapi_extra=about(
            "not-found",
            "erased",
            "not-in-queue",
            "not-yours",
            "proposed",
            "unknown-item",
            "nothing-wanted",
        ),
    )
    async def api_material(viewer: MayDecide, application_id: str, body: MaterialIn) -> CaseOut:
        """Send the case back to intake for material that the customer shall bring."""
        return case_out(await desk.want_material(viewer, application_id, body.items), viewer)

    @routes.post(
        "/cases/{application_id}/checks",
        openapi_extra=about(
            "not-found", "erased", "not-in-queue", "not-yours", "proposed", "nothing-to-repeat"
        ),
    )
    async def api_repeat(viewer: MayDecide, application_id: str) -> CaseOut:
        """Ask again what could not be answered."""
        return case_out(await desk.repeat_checks(viewer, application_id), viewer)

    @routes.post(
        "/cases/{application_id}/hold",
        openapi_extra=about(
            "not-found", "erased", "not-in-queue", "not-yours", "proposed", "no-opinion"
        ),
    )
    async def api_hold(viewer: MayDecide, application_id: str, body: HoldIn) -> CaseOut:
        """Hand the case to compliance."""
        return case_out(await desk.hold(viewer, application_id, body.note), viewer)

    @routes.post(
        "/cases/{application_id}/release",
        openapi_extra=about("not-found", "erased", "not-held", "no-opinion"),
    )
    async def api_release(viewer: MayRelease, application_id: str, body: ReleaseIn) -> CaseOut:
        """Compliance ends the hold."""
        return case_out(await desk.release(viewer, application_id, body.finding, body.note), viewer)


def _add_audit(
    routes: APIRouter, service: Service, desk: Desk, open_vault: OpenVault, shelf: PolicyShelf
) -> None:
    @routes.get(
        "/cases/{application_id}/verification",
        openapi_extra=about("not-found", "not-decided", "erased"),
    )
    async def api_verification(viewer: MayView, application_id: str) -> VerificationOut:
        """Compute the decision again; 404 where there is none."""
        case = await desk.look(viewer, application_id)
        try:
            async with service.pool.acquire() as conn:
                found = await verify(conn, open_vault, shelf, case)
        except KeyUnavailableError:
            raise Problem(
                409, "erased", "The applicant's data was erased or restricted: it cannot be opened"
            ) from None
        if found is None:
            raise Problem(404, "not-decided", "The case is not decided by review")
        decision = shown_decision(found.decision, viewer)
        return VerificationOut(
            decision_id=decision.decision_id,
            outcome=decision.outcome,
            automatic=decision.automatic,
            decided_by=list(decision.decided_by),
            limit=decision.limit,
            category=decision.category,
            reapply_from=decision.reapply_from,
            policy_version=found.policy.version,
            policy_digest=found.policy.digest,
            policy_outcome=_public_outcome(found.again.outcome, case.need_scope().branch, viewer),
            same=found.same,
        )

    @routes.get("/reconciliation")
    async def api_reconciliation(viewer: MayView) -> CountsOut:
        """Counts to hold against the other services: by state and by category of the declines."""
        async with (
            service.pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            counts = await store.count_everything(
                conn, viewer.branch_list, knows_holds=viewer.knows_holds
            )
        return CountsOut(
            applications=counts.applications,
            states=counts.states,
            declines=counts.declines,
            automatic=counts.automatic,
            by_people=counts.by_people,
        )


def wanted_of(
    viewer: Viewer,
    section: queue.Section,
    number: str | None,
    product: str | None,
    branch: str | None,
    flag: str | None,
) -> store.Wanted:
    """A list's filter. Raises Problem 403 for held cases unless the viewer is compliance, 422 for a
    flag that no list shows: filtering by a hidden finding would tell it."""
    reach = viewer.reach
    if section == "held":
        if not viewer.may_somewhere(Permission.REVIEW_COMPLIANCE):
            raise Problem(403, "not-permitted", "Held cases are compliance's alone")
        reach &= viewer.reach_of(Permission.REVIEW_COMPLIANCE)
    if flag and flag not in queue.FLAGS:
        raise Problem(422, "unknown-flag", "There is no such flag")
    return store.Wanted(
        section=section,
        staff_id=viewer.staff_id,
        branches=reach.branch_list,
        knows_holds=viewer.knows_holds,
        number=number or None,
        product=product or None,
        branch=branch or None,
        flag=flag or None,
    )


def queue_item(row: store.QueueRow, now: datetime, viewer: Viewer) -> QueueItemOut:
    """A line of a list as this viewer may see it."""
    row = shown_row(row, viewer)
    return QueueItemOut(
        application_id=row.application_id,
        application_number=row.application_number,
        branch=row.branch,
        product=row.product,
        applicant_type=row.applicant_type,
        state=row.state,
        queued_at=row.queued_at,
        due=row.due,
        urgency=queue.clock_of(row.due, now).urgency.value if row.due else None,
        flags=[code for code in queue.FLAGS if code in row.findings],
        advice=row.advice,
        claimed_by=row.claimed_by,
        proposed_by=row.proposed_by or None,
        to_sign=row.proposed_by is not None,
    )


def case_out(case: Case, viewer: Viewer) -> CaseOut:
    """A case as this viewer may see it."""
    case = shown_case(case, viewer)
    scope, found, proposal = case.need_scope(), case.recommendation, case.proposal
    confidential = viewer.may_in(Permission.REVIEW_COMPLIANCE, scope.branch)
    return CaseOut(
        application_id=case.application_id,
        application_number=scope.application_number,
        branch=scope.branch,
        product=scope.product,
        applicant_type=scope.applicant_type,
        state=str(case.state),
        state_version=shown_version(case, viewer),
        waits_for=waits_for(case),
        due=case.due,
        claimed_by=case.claimed_by,
        proposal=ProposalOut(
            outcome=proposal.outcome,
            staff_id=proposal.staff_id or None,
            at=proposal.at,
            limit=proposal.limit,
            reasons=list(proposal.reasons),
        )
        if proposal
        else None,
        checks=[
            CheckOut(
                check=check.name,
                outcome=check.outcome,
                requested_at=check.requested_at,
                ended_at=check.ended_at,
                valid_until=check.valid_until,
                attempts=check.attempts,
                why=check.why,
            )
            for check in in_order(case.checks)
        ],
        findings=public_findings(found.findings, confidential=confidential) if found else [],
        advice=found.advice if found else None,
        recommended_limit=found.limit if found else None,
        ceiling=found.ceiling if found else None,
        policy_version=found.policy_version if found else None,
        policy_digest=found.policy_digest if found else None,
        limit=case.limit,
        cash_limit=case.cash_limit,
        category=case.category,
    )


def _public_outcome(outcome: str, branch: str, viewer: Viewer) -> str:
    """`hold` is compliance's word; to others such a case went to a person, as it did."""
    hidden = outcome == "hold" and not viewer.may_in(Permission.REVIEW_COMPLIANCE, branch)
    return "refer" if hidden else outcome
