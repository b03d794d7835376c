"""The JSON API: queue, cases, decisions. No personal data: that is for pages, where it is masked
and every look is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.review import queue, reason_codes, store
from services.review.case import Awaited, Case
from services.review.desk import (
    REASSIGNED_AT_ONCE,
    Desk,
    Reassigned,
    erased,
    public_findings,
    waits_for,
)
from services.review.evidence import in_order, verify
from services.review.explaining import grounds_of
from services.review.holds import HoldReason
from services.review.officer_desk import Line, OfficerDesk
from services.review.officers import Away, Kind, Load, Work
from services.review.policy_store import PolicyShelf
from services.review.preconditions import preconditions
from services.review.viewing import (
    hides_proposal,
    shown_case,
    shown_decision,
    shown_row,
    shown_version,
)
from services.review.workers import OpenVault
from shared.events.intake import WantedItem
from shared.events.lifecycle import State
from shared.messaging import Service
from shared.money import Money
from shared.privacy.vault import KeyUnavailableError
from shared.web import Permission, Problem, Viewer, requires
from shared.web.openapi import about

PAGE_SIZE_MAX = 200
_AMOUNT_MAX = 10**12  # fen
# why nothing can be done at a case that one has to have
OWN_CASE = ("not-found", "erased", "not-in-queue", "not-yours", "proposed")
_EXAMPLE_CASE = "0199b2f0-6401-7173-b7a3-b262ce30e36c"
_EXAMPLE_OFFICER = "0199b2f0-0000-7000-8000-000000000017"

MayView = Annotated[Viewer, requires(Permission.REVIEW_VIEW)]
MayClaim = Annotated[Viewer, requires(Permission.REVIEW_CLAIM)]
MayDecide = Annotated[Viewer, requires(Permission.REVIEW_DECIDE)]
MayManage = Annotated[Viewer, requires(Permission.STAFF_MANAGE, Permission.REVIEW_VIEW)]
MaySign = Annotated[Viewer, requires(Permission.REVIEW_SIGN)]
MayRelease = Annotated[Viewer, requires(Permission.REVIEW_COMPLIANCE)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


Note = Annotated[str, Field(max_length=2000)]


class ApprovalIn(_In):
    """The first reviewer wants to grant the card."""

    outcome: Literal["approve"]
    limit: Money
    note: Note


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
    """What compliance shall look into, by a reason of the catalogue and in words; neither is shown
    to anybody else."""

    reason: HoldReason
    note: Note


class HoldOut(BaseModel):
    """Why a case is held, by whom (`review`: by itself), and when compliance is to have said what
    it found."""

    reason: HoldReason
    by: str
    at: datetime
    due: datetime
    screening: str | None = Field(description="by which the watchlists were asked last")


class NoteIn(_In):
    """What colleagues should know of a case; it changes nothing."""

    note: Note


class EscalationIn(_In):
    """What the risk officers shall decide, and why it is not decided by a reviewer."""

    note: Note


class EscalationOut(BaseModel):
    """Who referred a case to the risk officers, and since when it is theirs."""

    staff_id: str
    at: datetime


class SnoozeIn(_In):
    """Until when a case is laid aside, or until what has come (the due date ends it anyway), and
    why."""

    until: AwareDatetime | None = None
    awaited: Awaited | None = None
    note: Note


class SnoozeOut(BaseModel):
    """Until when a case is laid aside at the latest, and what brings it back before."""

    until: datetime
    awaited: str | None


_Ids = Annotated[list[str], Field(max_length=REASSIGNED_AT_ONCE)]


class ReassignmentIn(_In):
    """Work for a colleague: these cases, appeals, disputes and changes of limits, each by its
    application's id, or all that is open `of` another one, at most 200 at once."""

    cases: _Ids = []
    appeals: _Ids = []
    disputes: _Ids = []
    limit_changes: _Ids = []
    of: str | None = None
    to: str

    @property
    def named(self) -> list[Work]:
        """Those that are named one by one."""
        return [
            *(Work("case", one) for one in self.cases),
            *(Work("appeal", one) for one in self.appeals),
            *(Work("dispute", one) for one in self.disputes),
            *(Work("limit_change", one) for one in self.limit_changes),
        ]

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if bool(self.named) == (self.of is not None):
            raise ValueError("name the cases and the like, or whose they are")
        if len(self.named) > REASSIGNED_AT_ONCE:
            raise ValueError(f"at most {REASSIGNED_AT_ONCE} are given at once")
        return self


class AbsenceIn(_In):
    """The days on which an officer is away, both included, and who may take over their cases then;
    no days: they are there."""

    staff_id: str
    first: date | None = None
    last: date | None = None
    deputy: str | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.first is None) != (self.last is None):
            raise ValueError("name both days, or neither")
        if self.deputy is not None and self.first is None:
            raise ValueError("name the days on which somebody stands in")
        return self


class TakeoverIn(_In):
    """Whose open work is taken over: an officer's who is away."""

    of: str


class SkillIn(_In):
    """The products that an officer takes; null: every one."""

    staff_id: str
    products: list[str] | None


class CountOut(BaseModel):
    """How many of one kind somebody has, and how many of these are due today or overdue."""

    open: int
    today: int
    overdue: int


class LoadOut(CountOut):
    """How many cases somebody has, those laid aside too, and what beside them; of changes of limits
    those that wait for a decision."""

    snoozed: int
    appeals: CountOut
    disputes: CountOut
    limit_changes: CountOut


class OfficerOut(BaseModel):
    """An officer; `away_today` is by the bank's calendar, `deputy` the staff id of who stands in
    while they are away, `products` null for every one. `left`: claims no more, and is listed for
    what they have open still."""

    staff_id: str
    name: str
    load: LoadOut
    away_from: date | None
    away_to: date | None
    away_today: bool
    deputy: str | None
    products: list[str] | None
    left: bool


class WorkloadOut(BaseModel):
    """Who has how many, and what is nobody's."""

    officers: list[OfficerOut]
    nobodys: LoadOut


class RefusedOut(BaseModel):
    """What was not given, and why: a problem's code."""

    kind: Kind
    application_id: str
    code: str


class ReassignmentOut(BaseModel):
    """What became of work that was to be given to a colleague; each is given by itself. `given`:
    the cases; all by their applications' ids."""

    given: list[str]
    appeals: list[str]
    disputes: list[str]
    limit_changes: list[str]
    refused: list[RefusedOut]


class ReleaseIn(_In):
    """What compliance found: `clear` sends the case to the reviewers, `confirmed` proposes to
    decline it for internal reasons."""

    finding: Literal["clear", "confirmed"]
    note: Note
    screening: str | None = Field(
        None,
        max_length=200,
        description="`hold.screening` as it was shown; null: as when the case was held",
    )


class CheckOut(BaseModel):
    """A check and what became of it; never the answer."""

    check: str
    outcome: str
    requested_at: datetime
    ended_at: datetime | None
    valid_until: datetime | None
    attempts: int
    why: str | None
    waits_since: datetime | None = Field(
        description="since when it waits for a system that is away; null once it has ended"
    )
    asked_again: datetime | None = Field(description="when that system is asked again, by itself")
    waits_until: datetime | None = Field(
        description="when a person goes on without that system's answer"
    )


class PreconditionOut(BaseModel):
    """One of what an approval needs, and whether it is there."""

    words: str
    met: bool | None = Field(description="null while it cannot be told, or is still to be done")
    against: list[str] = Field(description="why it is not met: codes")
    items: list[list[str]] = Field(description="documents that are missing, each by what would do")
    fields: list[str] = Field(description="fields of the form that are missing")
    checks: list[str] = Field(description="checks whose answer no decision may rest on any more")


class ProposalOut(BaseModel):
    """A decision that waits for its second signature. Who proposed it and why is told to who may
    know of holds. Where the second person gives an opinion before seeing the first, what is
    proposed is null for everybody but who proposed it."""

    outcome: str | None
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
    snooze: SnoozeOut | None
    escalation: EscalationOut | None = Field(
        description="of a case that is the risk officers'; null for who may not know of holds"
    )
    hold: HoldOut | None = Field(
        description="of a held case; null for whoever is not of compliance"
    )
    proposal: ProposalOut | None
    checks: list[CheckOut]
    preconditions: list[PreconditionOut] | None = Field(
        description="of an approval, each with its state; null once the case is not with review"
    )
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
    snoozed_until: datetime | None
    escalated_by: str | None
    amount: Money | None
    language: str | None
    hold_reason: str | None = Field(description="of a held case, as compliance sees it")
    hold_due: datetime | None
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
    """A decision, what it was made for, and what comes of its frozen inputs by the policy that made
    it. Who made it and for what is told to who may know of holds: compliance may be among them."""

    decision_id: str
    outcome: str
    automatic: bool
    decided_by: list[str]
    reasons: list[str] = Field(description="codes; of an approval what brought it to a person")
    primary_reason: str | None = Field(description="by which a decline is counted")
    found_beside: list[str] = Field(
        description="what review itself had found beside the policy when it was decided"
    )
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


@contextmanager
def auditing() -> Iterator[None]:
    """Say why a decision cannot be computed again."""
    try:
        yield
    except KeyUnavailableError:
        raise erased() from None


def router(
    service: Service,
    desk: Desk,
    officers: OfficerDesk,
    open_vault: OpenVault,
    shelf: PolicyShelf,
) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches."""
    routes = APIRouter(prefix="/review/api/v1", tags=["review"])
    _add_reading(routes, service, desk)
    _add_claiming(routes, desk)
    _add_officers(routes, officers)
    _add_deciding(routes, desk)
    _add_audit(routes, service, desk, open_vault, shelf)
    return routes


@dataclass(frozen=True, slots=True)
class _Filters:
    """The filters of the queue, as an address has them."""

    product: str | None = None
    branch: str | None = None
    flag: str | None = None
    language: str | None = None
    new_to_bank: bool | None = None
    amount_from: Annotated[int | None, Query(ge=0, le=_AMOUNT_MAX)] = None
    amount_to: Annotated[int | None, Query(ge=0, le=_AMOUNT_MAX)] = None

    def wanted(
        self, viewer: Viewer, section: queue.Section, number: str | None = None
    ) -> store.Wanted:
        """What they leave of a section. Raises as `wanted_of`."""
        return replace(
            wanted_of(viewer, section, number, self.product, self.branch, self.flag),
            language=self.language,
            new_to_bank=self.new_to_bank,
            amount_from=self.amount_from,
            amount_to=self.amount_to,
        )


def _add_reading(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.get("/queue", openapi_extra=about("unknown-flag"))
    async def api_queue(
        viewer: MayView,
        filters: Annotated[_Filters, Depends()],
        section: queue.Section = "open",
        number: str | None = None,
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> QueueOut:
        """Cases of a section: open, mine, snoozed, escalated (to the risk officers), to_sign,
        waiting (for a system that is away, or a policy that could not be applied), or held
        (compliance only). Amounts in fen, both included; `language` as in `zh-CN`, where it is
        known."""
        wanted = filters.wanted(viewer, section, number)
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
        return case_out(await desk.look(viewer, application_id), viewer, desk.now())

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


def _add_claiming(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/queue/next", openapi_extra=about("nothing-waits", "unknown-flag"))
    async def api_next(viewer: MayClaim, filters: Annotated[_Filters, Depends()]) -> CaseOut:
        """Take the case that stands first in the queue, or in the part of it that these filters
        leave (as of `GET …/queue`), and is nobody's."""
        case = await desk.claim_next(viewer, filters.wanted(viewer, "open"))
        if case is None:
            raise Problem(404, "nothing-waits", "No case waits that you may take")
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/claim",
        openapi_extra=about(
            "not-found", "erased", "not-in-queue", "claimed", "proposed", "escalated"
        ),
    )
    async def api_claim(viewer: MayClaim, application_id: str) -> CaseOut:
        """Take the case from the queue; 409 `claimed` if somebody else has it. An escalated one is
        a risk officer's to take, or whose who escalated it."""
        return case_out(await desk.claim(viewer, application_id), viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/put-back",
        openapi_extra=about(*OWN_CASE),
    )
    async def api_put_back(viewer: MayClaim, application_id: str) -> CaseOut:
        """Give the case back to the queue; who may sign, a colleague's too."""
        return case_out(await desk.put_back(viewer, application_id), viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/snooze",
        openapi_extra=about(
            *OWN_CASE,
            "no-opinion",
            "nothing-awaited",
            "time-passed",
            "overdue",
        ),
    )
    async def api_snooze(viewer: MayClaim, application_id: str, body: SnoozeIn) -> CaseOut:
        """Lay one's own case aside; it comes back by itself, with its due date at the latest."""
        case = await desk.snooze(viewer, application_id, body.until, body.awaited, body.note)
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/escalate",
        openapi_extra=about(*OWN_CASE, "no-opinion", "is-risk-officer"),
    )
    async def api_escalate(viewer: MayDecide, application_id: str, body: EscalationIn) -> CaseOut:
        """Refer one's own case to the risk officers."""
        case = await desk.escalate(viewer, application_id, body.note)
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/notes",
        openapi_extra=about("not-found", "erased", "not-open", "no-opinion"),
    )
    async def api_note(viewer: MayClaim, application_id: str, body: NoteIn) -> CaseOut:
        """Write a note for whoever works on the case; nothing else changes."""
        return case_out(await desk.note(viewer, application_id, body.note), viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/wake",
        openapi_extra=about("not-found", "not-in-queue", "not-yours", "proposed"),
    )
    async def api_wake(viewer: MayClaim, application_id: str) -> CaseOut:
        """Take up again a case of one's own that was laid aside."""
        return case_out(await desk.wake(viewer, application_id), viewer, desk.now())

    @routes.post(
        "/reassignments",
        openapi_extra=about(example={"cases": [_EXAMPLE_CASE], "to": _EXAMPLE_OFFICER}),
    )
    async def api_reassign(viewer: MaySign, body: ReassignmentIn) -> ReassignmentOut:
        """Give cases, appeals, disputes and changes of limits, colleagues' or nobody's, to an
        officer. Refused may be `not-found`, `not-in-queue`, `nothing-appealed`,
        `nothing-disputed`, `nothing-to-decide`, `proposed`, `unknown-officer`, `away`,
        `other-products`, `same-person` for an appeal against the officer's own decision,
        `not-permitted` for an appeal where whoever calls may not know of holds, and `escalated`
        for a case of the risk officers that another reviewer takes for themselves, or would be
        given with all that somebody has (`of`): named, it is given, and escalated no more."""
        if body.of is not None:
            found = await desk.reassign_all(viewer, body.of, body.to)
        else:
            found = await desk.reassign(viewer, body.named, body.to)
        return _reassignment_out(found)

    @routes.post("/takeovers", openapi_extra=about("not-deputy", example={"of": _EXAMPLE_OFFICER}))
    async def api_take_over(viewer: MayClaim, body: TakeoverIn) -> ReassignmentOut:
        """Take the open cases, appeals, disputes and changes of limits of an officer who is away
        and has named the caller as deputy, at most 200 at once, what is due first in front. Refused
        as by `/reassignments`."""
        return _reassignment_out(await desk.take_over(viewer, body.of))


def _reassignment_out(found: Reassigned) -> ReassignmentOut:
    def given(kind: Kind) -> list[str]:
        return [one.application_id for one in found.given if one.kind == kind]

    return ReassignmentOut(
        given=given("case"),
        appeals=given("appeal"),
        disputes=given("dispute"),
        limit_changes=given("limit_change"),
        refused=[
            RefusedOut(kind=one.kind, application_id=one.application_id, code=code)
            for one, code in found.refused.items()
        ],
    )


def _add_officers(routes: APIRouter, officers: OfficerDesk) -> None:
    @routes.get("/workload")
    async def api_workload(viewer: MayView) -> WorkloadOut:
        """Who has how many cases, appeals, disputes and changes of limits, for who may sign or
        manages staff; others see themselves."""
        found = await officers.look(viewer)
        return WorkloadOut(
            officers=[_officer_out(line) for line in found.lines], nobodys=_load_out(found.nobodys)
        )

    @routes.post("/absences", openapi_extra=about("not-found", "time-passed", "no-deputy"))
    async def api_absence(viewer: MayClaim, body: AbsenceIn) -> WorkloadOut:
        """Say when oneself is away and who stands in, or, for who may sign, of an officer of one's
        branches."""
        away = Away(body.first, body.last, body.deputy) if body.first and body.last else None
        await officers.mark_away(viewer, body.staff_id, away)
        return await api_workload(viewer)

    @routes.post("/skills", openapi_extra=about("not-found", "unknown-product"))
    async def api_skills(viewer: MayManage, body: SkillIn) -> WorkloadOut:
        """Say which products an officer takes, for who manages staff."""
        await officers.choose_products(viewer, body.staff_id, body.products)
        return await api_workload(viewer)


def _officer_out(line: Line) -> OfficerOut:
    one = line.officer
    return OfficerOut(
        staff_id=one.staff_id,
        name=one.name,
        load=_load_out(line.load),
        away_from=one.away.first if one.away else None,
        away_to=one.away.last if one.away else None,
        away_today=line.away,
        deputy=one.away.deputy if one.away else None,
        products=None if one.products is None else sorted(one.products),
        left=line.left,
    )


def _load_out(load: Load) -> LoadOut:
    def count(kind: Kind) -> CountOut:
        one = load.of(kind)
        return CountOut(open=one.open, today=one.today, overdue=one.overdue)

    return LoadOut(
        **count("case").model_dump(),
        snoozed=load.snoozed,
        appeals=count("appeal"),
        disputes=count("dispute"),
        limit_changes=count("limit_change"),
    )


def _add_deciding(routes: APIRouter, desk: Desk) -> None:
    @routes.post(
        "/cases/{application_id}/decision",
        openapi_extra=about(
            *OWN_CASE,
            "not-scored",
            "not-approvable",
            "answer-wrong",
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
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/opinion",
        openapi_extra=about(
            "not-found",
            "erased",
            "not-in-queue",
            "nothing-proposed",
            "same-person",
            "has-read",
            "risk-officer-needed",
            "not-blind",
            "not-scored",
            "not-approvable",
            "answer-wrong",
            "limit-too-high",
            "limit-not-fitting",
            "no-limit",
            "unknown-reason",
            "no-opinion",
        ),
    )
    async def api_opinion(
        viewer: MayDecide,
        application_id: str,
        body: Annotated[ApprovalIn | DeclineIn, Field(discriminator="outcome")],
    ) -> CaseOut:
        """The second person's own opinion, where the product wants it before the first is seen: the
        same outcome decides (with the lower limit), another goes back to the first person."""
        limit = body.limit if isinstance(body, ApprovalIn) else None
        reason = body.reason if isinstance(body, DeclineIn) else ""
        case = await desk.give_opinion(viewer, application_id, limit, reason, body.note)
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/signature",
        openapi_extra=about(
            "not-found",
            "erased",
            "not-in-queue",
            "nothing-proposed",
            "same-person",
            "has-read",
            "risk-officer-needed",
            "opinion-first",
            "not-scored",
            "not-approvable",
            "answer-wrong",
            "limit-too-high",
            "no-limit",
            "no-opinion",
        ),
    )
    async def api_signature(viewer: MayDecide, application_id: str, body: SignatureIn) -> CaseOut:
        """The second signature, of a risk officer above the product's limit; 403 `same-person` for
        who proposed."""
        if body.outcome == "confirmed":
            case = await desk.sign(viewer, application_id)
        else:
            case = await desk.send_back(viewer, application_id, body.note)
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/material",
        openapi_extra=about(
            *OWN_CASE,
            "unknown-item",
            "nothing-wanted",
        ),
    )
    async def api_material(viewer: MayDecide, application_id: str, body: MaterialIn) -> CaseOut:
        """Send the case back to intake for material that the customer shall bring."""
        return case_out(
            await desk.want_material(viewer, application_id, body.items), viewer, desk.now()
        )

    @routes.post(
        "/cases/{application_id}/checks",
        openapi_extra=about(*OWN_CASE, "nothing-to-repeat"),
    )
    async def api_repeat(viewer: MayDecide, application_id: str) -> CaseOut:
        """Ask again what could not be answered, or was answered too long ago; have the customer's
        other cards deducted as they are now, or the policy applied that could not be."""
        return case_out(await desk.repeat_checks(viewer, application_id), viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/hold",
        openapi_extra=about(
            *OWN_CASE,
            "no-opinion",
            "unknown-reason",
            example={"reason": "papers-forged", "note": "收入证明疑似伪造"},
        ),
    )
    async def api_hold(viewer: MayDecide, application_id: str, body: HoldIn) -> CaseOut:
        """Hand the case to compliance; nothing is decided while it is held."""
        case = await desk.hold(viewer, application_id, body.reason, body.note)
        return case_out(case, viewer, desk.now())

    @routes.post(
        "/cases/{application_id}/release",
        openapi_extra=about(
            "not-found", "erased", "not-held", "same-person", "answer-changed", "no-opinion"
        ),
    )
    async def api_release(viewer: MayRelease, application_id: str, body: ReleaseIn) -> CaseOut:
        """Compliance ends the hold; never whoever began it, and not by an answer of the watchlists
        that has been asked for anew since."""
        case = await desk.release(viewer, application_id, body.finding, body.note, body.screening)
        return case_out(case, viewer, desk.now())


def _add_audit(
    routes: APIRouter, service: Service, desk: Desk, open_vault: OpenVault, shelf: PolicyShelf
) -> None:
    @routes.get(
        "/cases/{application_id}/verification",
        openapi_extra=about("not-found", "not-decided", "erased", "policy-not-held"),
    )
    async def api_verification(viewer: MayView, application_id: str) -> VerificationOut:
        """Compute the decision again; 404 where there is none."""
        case = await desk.look(viewer, application_id)
        with auditing():
            async with service.pool.acquire() as conn:
                found = await verify(conn, open_vault, shelf, case)
                history = await store.history_of(conn, application_id, confidential=False)
        if found is None:
            raise Problem(404, "not-decided", "The case is not decided by review")
        decision = shown_decision(found.decision, viewer)
        grounds = grounds_of(decision, found.verdict, history)
        return VerificationOut(
            decision_id=decision.decision_id,
            outcome=decision.outcome,
            automatic=decision.automatic,
            decided_by=list(decision.decided_by),
            reasons=[code for code, _words in grounds.reasons],
            primary_reason=grounds.primary,
            found_beside=[code for code, _words in grounds.beside],
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
        snoozed_until=row.snoozed_until,
        escalated_by=row.escalated_by,
        amount=Money(minor=row.amount) if row.amount is not None else None,
        language=row.language,
        hold_reason=row.hold_reason,
        hold_due=row.hold_due,
        proposed_by=row.proposed_by or None,
        to_sign=row.proposed_by is not None,
    )


def case_out(case: Case, viewer: Viewer, now: datetime) -> CaseOut:
    """A case as this viewer may see it."""
    hidden = hides_proposal(case, viewer)
    case = shown_case(case, viewer)
    scope, found, proposal = case.need_scope(), case.recommendation, case.proposal
    confidential = viewer.may_in(Permission.REVIEW_COMPLIANCE, scope.branch)
    hold = case.hold if case.state is State.ON_HOLD else None  # compliance's, or it is None
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
        escalation=EscalationOut(staff_id=case.escalation.by, at=case.escalation.at)
        if case.escalation
        else None,
        snooze=SnoozeOut(until=case.snooze.until, awaited=case.snooze.awaited)
        if case.snooze
        else None,
        hold=HoldOut(
            reason=hold.reason, by=hold.by, at=hold.at, due=hold.due, screening=case.screening
        )
        if hold
        else None,
        proposal=ProposalOut(
            outcome=None if hidden else proposal.outcome,
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
                waits_since=check.waits_since if check.waits else None,
                asked_again=check.asked_again if check.waits else None,
                waits_until=check.waits_until if check.waits else None,
            )
            for check in in_order(case.checks)
        ],
        preconditions=[
            PreconditionOut(
                words=one.words,
                met=one.met,
                against=list(one.obstacles),
                items=[list(group) for group in one.items],
                fields=list(one.fields),
                checks=list(one.checks),
            )
            for one in preconditions(case, now, hidden=hidden)
        ]
        if case.open and case.hand_over is not None
        else None,
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
