"""The pages of limits' changes: the list of those that wait, and the limit of one card."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.review import limit_changes, limit_store, officer_store, queue, words
from services.review.api import MayDecide, MayRelease, MayView
from services.review.case import Case, Check
from services.review.desk import public_findings
from services.review.evidence import in_order, open_words
from services.review.limit_changes import ChangeState, LimitChange
from services.review.limit_desk import LimitDesk
from services.review.limit_grounds import RAISES, SUSPICION
from services.review.pages import PAGE_SIZE, MayReveal, act_and_say, away_days, receivers
from services.review.reason_codes import REASONS
from services.review.viewing import shown_change_state, shown_deciders
from shared.calendar import business_day
from shared.events.intake import LimitChangeKind
from shared.events.payload import ApplicantType, BalanceBand
from shared.messaging import Service
from shared.money import Money
from shared.parameters import load_limit_changes
from shared.web import Permission, Viewer, page
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, mark
from shared.web.limits import lenient
from shared.web.lists import Place
from shared.web.reveal import Text, Why, missing_reason, revealing

HERE = "/review/limit-changes"

KINDS: Mapping[LimitChangeKind, str] = {
    LimitChangeKind.INCREASE: mark("Increase"),
    LimitChangeKind.TEMPORARY: mark("Increase for a time"),
    LimitChangeKind.DECREASE: mark("Decrease"),
}
STATES: Mapping[ChangeState, tuple[str, str, str]] = {
    ChangeState.CHECKING: (mark("being checked"), "progress", "hourglass"),
    ChangeState.HELD: (mark("held for compliance"), "hold", "clock-pause"),
    ChangeState.DECIDING: (mark("to be decided"), "waiting", "gavel"),
    ChangeState.PROPOSED: (mark("to be signed"), "waiting", "signature"),
    ChangeState.IN_FORCE: (mark("in force for a time"), "good", "circle-check"),
    ChangeState.GRANTED: (mark("granted"), "good", "circle-check"),
    ChangeState.REFUSED: (mark("refused"), "neutral", "circle-x"),
    ChangeState.ENDED: (mark("ended"), "neutral", "hourglass"),
}
_OWNERS: Mapping[ChangeState, str] = {
    ChangeState.CHECKING: "systems",
    ChangeState.HELD: "compliance",
    ChangeState.DECIDING: "reviewers",
    ChangeState.PROPOSED: "signer",
}
OWNERS: Mapping[str, str] = {
    "systems": mark("the bank's systems"),
    "compliance": mark("Compliance"),
    "signer": mark("whoever signs"),
}
"""Who answers for a change that no officer decides about now."""
BANDS: Mapping[BalanceBand, str] = {
    BalanceBand.OVERPAID: mark("more was paid than is owed"),
    BalanceBand.ZERO: mark("nothing is owed"),
    BalanceBand.UNDER_1K: mark("below 1,000 yuan is owed"),
    BalanceBand.FROM_1K: mark("1,000 to 10,000 yuan are owed"),
    BalanceBand.FROM_10K: mark("10,000 to 50,000 yuan are owed"),
    BalanceBand.FROM_50K: mark("50,000 yuan or more are owed"),
}
REFUSALS: Mapping[str, str] = {
    "claimed": mark("Another officer has this change."),
    "not-yours": mark("Claim the change first."),
    "no-card": mark("Only the limit of an activated card is changed."),
    "no-own-limit": mark("The card has no limit of its own that is known here."),
    "limit-change-open": mark("A change of this limit waits for its decision."),
    "temporary-in-force": mark("A temporary limit is in force until its last day."),
    "nothing-to-decide": mark("No change of the limit waits for a decision."),
    "nothing-proposed": mark("Nothing waits for a signature."),
    "nothing-to-repeat": mark("Every check was answered, or is on its way."),
    "proposed": mark("A decision is proposed and waits for the second signature."),
    "same-person": mark("The second signature is another person's."),
    "risk-officer-needed": mark("The second signature is a risk officer's."),
    "not-approvable": mark("Something stands against it: see below."),
    "limit-too-high": mark("The limit is above what may be granted."),
    "limit-not-fitting": mark("The limit is too low, or no whole multiple of the product's step."),
    "no-opinion": mark("Please say in words what you found."),
    "not-held": mark("The case is not held."),
    "erased": mark("The applicant's data was deleted or is restricted; nothing can be added."),
}

Words = Annotated[str, Form(max_length=2000)]
Yuan = Annotated[int, Form(ge=0, le=10_000_000)]


def router(service: Service, desk: LimitDesk) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    _add_list(routes, service)
    _add_card(routes, service, desk)
    _add_commands(routes, desk)
    return routes


def _add_list(routes: APIRouter, service: Service) -> None:
    @routes.get("/limit-changes")
    async def page_limit_changes(
        request: Request,
        viewer: MayView,
        section: Annotated[str, Query(max_length=20), lenient("")] = "",
    ) -> Response:
        """What waits for its decision, due first; or what was decided, the newest first."""
        decided = section == "decided"
        after = Place.read(request.query_params.get("after", ""), datetime)
        before = None if after else Place.read(request.query_params.get("before", ""), datetime)
        now = service.clock.now()
        async with service.pool.acquire() as conn:
            found = await limit_store.page_of(
                conn, viewer.branch_list, PAGE_SIZE, decided=decided, after=after, before=before
            )
            waiting = await limit_store.waiting(conn, viewer.branch_list, now)
            total = await limit_store.decided(conn, viewer.branch_list) if decided else None
            branches = await branch_names(conn)
            people = await staff_names(
                conn, [row.change.claimed_by for row in found.rows if row.change.claimed_by]
            )
            given_to = await receivers(conn, viewer, now)
            away = away_days(await officer_store.officers(conn), now)
        return page(
            request,
            "limit_changes.html",
            decided=decided,
            found=found,
            rows=[
                (
                    row,
                    STATES[shown_change_state(row.change, viewer)],
                    queue.clock_of(row.change.due, now),
                    _OWNERS.get(shown_change_state(row.change, viewer)),
                )
                for row in found.rows
            ],
            owners=OWNERS,
            people=people,
            away=away,
            receivers=given_to,
            waiting=waiting,
            total=total or waiting.open,
            branches=branches,
            products=words.product_names(),
            kinds=KINDS,
        )


def _add_card(routes: APIRouter, service: Service, desk: LimitDesk) -> None:
    @routes.get("/cases/{application_id}/limit-change")
    async def page_limit(request: Request, viewer: MayView, application_id: str) -> Response:
        """The limit of one card: what it is, what core banking says of the account, the change that
        waits with its evidence, and those before."""
        case, now = await desk.look(viewer, application_id), service.clock.now()
        scope = case.need_scope()
        notes = [text for one in case.limit_changes for text in _sealed(one)]
        said = await open_words(await desk.vault(), notes)
        waiting = limit_changes.open_change(case)
        staff = [name for one in case.limit_changes for name in _people(one)]
        async with service.pool.acquire() as conn:
            people, branches = await staff_names(conn, staff), await branch_names(conn)
            given_to = await receivers(conn, viewer, now, case)
            away = away_days(await officer_store.officers(conn), now)
        return page(
            request,
            "limit_change.html",
            case=case,
            scope=scope,
            branches=branches,
            products=words.product_names(),
            people=people,
            owners=OWNERS,
            away=away,
            receivers=given_to,
            said=said,
            kinds=KINDS,
            band=BANDS[case.account_facts.balance] if case.account_facts else None,
            stale_days=load_limit_changes().account.stale_days,
            student=scope.applicant_type == ApplicantType.STUDENT,
            notice=load_limit_changes().decrease_notice_working_days,
            lasting=limit_changes.lasting_limit(case),
            temporary=limit_changes.temporary_one(case),
            step=limit_changes.rules_of(case).step,
            waiting=waiting and _waiting(case, waiting, viewer, now),
            earlier=[
                (one, STATES[one.state], shown_deciders(one, scope.branch, viewer))
                for one in reversed(case.limit_changes)
                if one.state is not None and not one.undecided
            ],
            lowest=limit_changes.not_below(case, now),
            may_lower=_may_lower(case, viewer),
            why_unavailable=words.WHY_UNAVAILABLE,
        )

    address = "/cases/{application_id}/limit-change/working"

    @routes.get(address)
    async def page_ask_working(
        request: Request, viewer: MayReveal, application_id: str
    ) -> Response:
        """Asks why it is needed."""
        case = await desk.worked_out(viewer, application_id)
        return _revealing(request, case)

    @routes.post(address)
    async def page_working(
        request: Request,
        viewer: MayReveal,
        application_id: str,
        why: Why = "",
        text: Text = "",
    ) -> Response:
        """How the limit was worked out, line by line; recorded with the reason before it is
        shown."""
        case = await desk.worked_out(viewer, application_id)
        if error := missing_reason(why, text):
            return _revealing(request, case, why=why, error=error)
        opened = await desk.reveal_working(viewer, case, why, text)
        rows = [(label, "", value) for label, value in words.limit_steps(opened)]
        return _revealing(request, case, rows=rows)


def _revealing(request: Request, case: Case, **more: Any) -> Response:
    here = f"/review/cases/{case.application_id}/limit-change"
    return revealing(
        request,
        "limit",
        action=f"{here}/working",
        back=here,
        back_label=case.need_scope().application_number,
        heading=words.shown_label("limit"),
        label=words.shown_label("limit"),
        **more,
    )


def _add_commands(routes: APIRouter, desk: LimitDesk) -> None:
    here = "/cases/{application_id}/limit-change"

    @routes.post(here + "/lower")
    async def page_lower(
        request: Request, viewer: MayDecide, application_id: str, limit: Yuan, note: Words = ""
    ) -> Response:
        """The bank's own wish."""
        command = desk.lower(viewer, application_id, Money.of(limit), note)
        return await _act(
            request, application_id, command, _("Proposed; a risk officer has to sign.")
        )

    @routes.post(here + "/claim")
    async def page_claim_limit(
        request: Request, viewer: MayDecide, application_id: str
    ) -> Response:
        command = desk.claim_change(viewer, application_id)
        return await _act(request, application_id, command, _("The change is yours."))

    @routes.post(here + "/put-back")
    async def page_put_back_limit(
        request: Request, viewer: MayDecide, application_id: str
    ) -> Response:
        command = desk.put_back_change(viewer, application_id)
        done = _("The change waits for somebody else.")
        return await _act(request, application_id, command, done)

    @routes.post(here + "/grant")
    async def page_grant(
        request: Request, viewer: MayDecide, application_id: str, limit: Yuan, note: Words = ""
    ) -> Response:
        command = desk.grant(viewer, application_id, Money.of(limit), note)
        return await _act(
            request, application_id, command, _("Proposed; a second person has to sign.")
        )

    @routes.post(here + "/refuse")
    async def page_refuse(
        request: Request, viewer: MayDecide, application_id: str, note: Words = ""
    ) -> Response:
        command = desk.refuse(viewer, application_id, note)
        done = _("The change is refused, and the customer is told.")
        return await _act(request, application_id, command, done)

    @routes.post(here + "/sign")
    async def page_sign_limit(request: Request, viewer: MayDecide, application_id: str) -> Response:
        command = desk.sign_change(viewer, application_id)
        done = _("The new limit is granted, and the customer is told.")
        return await _act(request, application_id, command, done)

    @routes.post(here + "/return")
    async def page_return_limit(
        request: Request, viewer: MayDecide, application_id: str, note: Words = ""
    ) -> Response:
        command = desk.return_change(viewer, application_id, note)
        return await _act(request, application_id, command, _("The proposal goes back."))

    @routes.post(here + "/examine")
    async def page_examine_limit(
        request: Request, viewer: MayDecide, application_id: str
    ) -> Response:
        command = desk.examine_again(viewer, application_id)
        return await _act(request, application_id, command, _("The evidence is asked anew."))

    @routes.post(here + "/release")
    async def page_release_limit(
        request: Request,
        viewer: MayRelease,
        application_id: str,
        finding: Annotated[Literal["clear", "confirmed"], Form()],
        note: Words = "",
    ) -> Response:
        command = desk.release_change(viewer, application_id, finding, note)
        return await _act(request, application_id, command, _("The hold has ended."))


async def _act(request: Request, application_id: str, command: Any, done: str) -> Response:
    here = f"/review/cases/{application_id}/limit-change"
    return await act_and_say(request, here, command, done, REFUSALS)


# --- what is shown -----------------------------------------------------------------------------


def _sealed(one: LimitChange) -> list[str]:
    return [text for text in (one.asked.words, one.note, one.returned) if text]


def _people(one: LimitChange) -> list[str]:
    asked_by = one.asked_by.removeprefix("staff:")
    return [name for name in (asked_by, one.claimed_by, one.proposed_by, *one.decided_by) if name]


def _waiting(case: Case, one: LimitChange, viewer: Viewer, now: datetime) -> dict[str, Any]:
    """The change that waits: what was asked, what it rests on with its age, what stands against
    it, what the viewer can do."""
    branch = case.need_scope().branch
    state = shown_change_state(one, viewer)
    confidential = viewer.may_in(Permission.REVIEW_COMPLIANCE, branch)
    may_decide = viewer.may_in(Permission.REVIEW_DECIDE, branch)
    signs = viewer.may_in(Permission.REVIEW_SIGN, branch)
    decides = (
        state is ChangeState.DECIDING and may_decide and one.claimed_by in (None, viewer.staff_id)
    )
    weighed = limit_changes.weighed(case, one, now)
    found = one.recommendation
    findings = public_findings(found.findings, confidential=confidential) if found else []
    stated = one.asked.income_on or business_day(case.need_hand_over().submitted_at)
    return {
        "one": one,
        "state": STATES[state],
        "owner": _OWNERS[state],
        "raises": one.kind in RAISES,
        "clock": queue.clock_of(one.due, now),
        "checks": [
            (words.CHECK_NAMES[check.name], check, _age(check, now))
            for check in in_order(one.checks)
        ],
        "stated": stated,
        "stated_age": (business_day(now) - stated).days,
        "obstacles": [
            limit_changes.REASONS_AGAINST[code]
            for code in weighed.obstacles
            if code != SUSPICION or confidential
        ],
        "found": [REASONS[code] for code in findings],
        "most": weighed.most,
        "least": weighed.least,
        "can": {
            "claim": state is ChangeState.DECIDING and may_decide and one.claimed_by is None,
            "put_back": state in (ChangeState.DECIDING, ChangeState.CHECKING)
            and may_decide
            and one.claimed_by is not None
            and (signs or one.claimed_by == viewer.staff_id),
            "give": signs
            and (
                state is ChangeState.DECIDING
                or (state is ChangeState.CHECKING and one.claimed_by is not None)
            ),
            "decide": decides,
            "examine": decides and one.kind in RAISES and limit_changes.mends(case, one, now),
            "sign": state is ChangeState.PROPOSED
            and may_decide
            and one.proposed_by != viewer.staff_id
            and (signs or limit_changes.peer_may_sign(case, one)),
            "release": one.state is ChangeState.HELD and confidential,
            "reveal": one.recommendation is not None
            and viewer.may_in(Permission.PERSONAL_REVEAL, branch),
        },
    }


def _age(check: Check, now: datetime) -> int | None:
    """How many days ago it was answered; None while it is on its way."""
    return (now - check.ended_at).days if check.ended_at is not None else None


def _may_lower(case: Case, viewer: Viewer) -> bool:
    may_decide = viewer.may_in(Permission.REVIEW_DECIDE, case.need_scope().branch)
    return may_decide and limit_changes.may_be_lowered(case)
