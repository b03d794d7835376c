"""The pages: the queue in its sections, the case with its evidence, what can be done with it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.review import (
    appeal_store,
    appeals,
    disputes,
    issuing,
    limit_store,
    officer_store,
    queue,
    reason_codes,
    store,
    words,
)
from services.review import case as cases
from services.review.api import (
    MayClaim,
    MayDecide,
    MayRelease,
    MaySign,
    MayView,
    wanted_of,
)
from services.review.case import Case, Entry, Recommendation
from services.review.checks import ASKED
from services.review.desk import REASSIGNED_AT_ONCE, Desk, Reassigned, public_findings, waits_for
from services.review.evidence import Opened, in_order, open_evidence
from services.review.examination import may_be_repeated, stuck
from services.review.explaining import words_of
from services.review.holds import BY_OFFICERS
from services.review.officer_desk import may_mark_away, may_see_others
from services.review.officers import KINDS, Beside, Kind, Load, Officer, Work
from services.review.policy_store import PolicyNotHeldError, PolicyShelf
from services.review.preconditions import preconditions
from services.review.queue import QueueFilter, Section
from services.review.telephone_section import section_of
from services.review.viewing import (
    hides_proposal,
    shown_case,
    shown_decision,
    shown_history,
    shown_row,
    without_opinions,
)
from services.review.workers import OpenVault
from shared.calendar import business_day, instant_typed
from shared.events.intake import WantedItem
from shared.events.lifecycle import TERMINAL, State
from shared.identifiers import ApplicationNumberError, parse_application_number
from shared.messaging import Service
from shared.money import Money
from shared.parameters import (
    load_checklist_items,
    load_clocks,
    load_phrases,
    load_return_codes,
    product_of,
)
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.audit import record_view
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language, mark, ngettext
from shared.web.kept_views import Listed, sharing, views_of
from shared.web.lists import Place, Total
from shared.web.reveal import Text, Why, missing_reason, revealing
from shared.web.state import web_state

MayReveal = Annotated[Viewer, requires(Permission.PERSONAL_REVEAL, Permission.REVIEW_VIEW)]

PAGE_SIZE = 25
QUEUE = Listed("/review/queue", QueueFilter.read)
# of the return codes those that a person finds on a paper; the rest is said of a form's fields
_PAPER_FAULTS = (
    "DOC_MISSING",
    "DOC_STALE",
    "DOC_UNREADABLE",
    "PHOTO_UNCLEAR",
    "UNSIGNED",
    "NO_STAMP",
    "NAME_MISMATCH",
    "EMPLOYER_MISMATCH",
    "ADDR_MISMATCH",
)
_SHOWN_ITEMS = ("income_proof", "work_proof", "tax_proof", "bank_statement", "address_proof")

REFUSALS: Mapping[str, str] = {
    "claimed": mark("Another reviewer has this case."),
    "nothing-awaited": mark("Say until when, or choose something that is on its way."),
    "time-passed": mark("Choose a time to come."),
    "overdue": mark("The case is due; it is not laid aside."),
    "away": mark("This colleague is away."),
    "other-products": mark("This colleague takes other products."),
    "unknown-officer": mark("This colleague may not claim cases of this branch."),
    "proposed": mark("A decision is proposed already and waits for its second signature."),
    "not-in-queue": mark("The case no longer lies in the queue."),
    "not-open": mark("The case is decided, or with the customer."),
    "not-yours": mark("Claim the case first."),
    "nothing-proposed": mark("Nothing waits for a signature."),
    "risk-officer-needed": mark("The second signature here is a risk officer's."),
    "escalated": mark("The case was escalated: a risk officer takes it."),
    "is-risk-officer": mark("You are a risk officer: give the case to a colleague instead."),
    "opinion-first": mark("Give your own opinion before you see the first."),
    "not-blind": mark("The first opinion is seen already: sign it or send it back."),
    "same-person": mark("The second signature must be another person's."),
    "has-read": mark("You read why it was escalated, and know the first opinion."),
    "no-opinion": mark("Please give your opinion in words."),
    "limit-too-high": mark("The limit is higher than the rules allow."),
    "limit-not-fitting": mark("The limit does not fit the product's smallest limit or step."),
    "no-limit": mark("An approval needs a limit."),
    "not-approvable": mark("Something needed for an approval is missing."),
    "answer-wrong": mark("An answer was corrected since; ask again before you decline."),
    "not-scored": mark("The policy has not spoken on this case yet."),
    "not-held": mark("The case is not held."),
    "answer-changed": mark("The watchlists were asked anew meanwhile; look at the answer first."),
    "nothing-wanted": mark("Choose at least one item."),
    "unknown-item": mark("Choose items of the checklist."),
    "unknown-reason": mark("Choose a reason from the list."),
    "nothing-to-repeat": mark("Every check was answered or is on its way."),
    "call-awaited": mark("A call is asked for already."),
    "no-call-awaited": mark("Nobody asked for a call, or it was made."),
    "called-just-now": mark("Nobody was reached just now; call again later."),
    "erased": mark("The applicant's data was deleted or is restricted; nothing can be added."),
}


_NOT_GIVEN: Mapping[str, str] = {
    **REFUSALS,
    "same-person": mark("Whoever took part in it before does not answer the appeal."),
    "not-permitted": mark("You may not give appeals to others."),
    "nothing-appealed": mark("No appeal waits for its answer."),
    "nothing-disputed": mark("No dispute waits for its answer."),
    "nothing-to-decide": mark("No change of the limit waits for a decision."),
}
_IS_YOURS: Mapping[Kind, str] = {
    "case": mark("The case is yours."),
    "appeal": mark("The appeal is yours. It is due before every case of the queue."),
    "dispute": mark("The dispute is yours. It is due before every case of the queue."),
    "limit_change": mark(
        "The change of the limit is yours. It is due before every case of the queue."
    ),
}
_WITHIN = "banka_queue"  # cookie: the filters within which the next case is taken; codes alone
_LISTS: Mapping[str, str] = {
    "appeals": "/review/appeals",
    "disputes": "/review/appeals?section=disputes",
    "limit-changes": "/review/limit-changes",
}


def router(service: Service, desk: Desk, open_vault: OpenVault, shelf: PolicyShelf) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    _add_queue(routes, service)
    _add_case(routes, service, desk, open_vault, shelf)
    _add_reveal(routes, service, desk, shelf)
    _add_claiming(routes, service, desk)
    _add_deciding(routes, desk)
    _add_signing(routes, desk)
    return routes


def _add_queue(routes: APIRouter, service: Service) -> None:
    @routes.get("")
    async def page_start(viewer: MayView) -> Response:  # noqa: ARG001 - the gate is the point
        """The service's address leads to its queue."""
        return RedirectResponse("/review/queue", status_code=303)

    @routes.get("/queue")
    async def page_queue(request: Request, viewer: MayView) -> Response:
        """The queue, one's own cases, those to sign, and the held ones for compliance."""
        chosen = QueueFilter.read(request.query_params).known_to(viewer)
        section = chosen.shown_section
        wanted = _wanted(viewer, chosen)
        key, descending = chosen.order
        kind = str if key == "number" else datetime
        after = Place.read(request.query_params.get("after", ""), kind)
        before = None if after else Place.read(request.query_params.get("before", ""), kind)
        now = service.clock.now()
        async with service.pool.acquire() as conn:
            officers = await officer_store.officers(conn)
            wanted = replace(wanted, products=_skill(chosen, viewer, officers))
            found = await store.page_of(
                conn, wanted, PAGE_SIZE, key, descending=descending, after=after, before=before
            )
            rows = [shown_row(row, viewer) for row in found.rows]
            total = await store.total_of(conn, wanted)
            counts = {
                name: await store.total_of(conn, wanted_of(viewer, name, None, "", "", ""))
                for name in _sections(viewer)
            }
            claiming = {one.staff_id for one in officers}
            nobodys, beside = await _beside(conn, viewer, chosen, officers, now)
            held = [row.claimed_by for row in beside]
            held += [who for row in rows for who in (row.claimed_by, row.proposed_by)]
            people = await staff_names(conn, [who for who in held if who])
            branches = await branch_names(conn)
            systems_away = await store.away(conn, viewer.branch_list)
            outlook = await issuing.look(conn, now)
            waits = await store.waits_of(conn, [row.application_id for row in rows])
            views = await views_of(conn, viewer, "queue", QUEUE)
            given_to = await receivers(conn, viewer, now)
            appealed = await appeal_store.waiting(conn, viewer.branch_list, now)
            disputed = await appeal_store.waiting(conn, viewer.branch_list, now, disputes=True)
            changing = await limit_store.waiting(conn, viewer.branch_list, now)
        return page(
            request,
            "queue.html",
            chosen=chosen,
            section=section,
            sort=chosen.sort or "due",
            found=found,
            rows=[(row, _clock(row.hold_due or row.due, now)) for row in rows],
            hold_reasons=words.HOLD_REASONS,
            total=total,
            tabs=_tabs(chosen, counts),
            current=QUEUE.at(chosen.query()),
            views=views,
            sharing=sharing(viewer, branches),
            receivers=given_to,
            filters=_filters(viewer, branches, officers),
            away=away_days(officers, now),
            waiting_beside=[
                (
                    row,
                    place_of(row.work),
                    queue.clock_of(row.due, now),
                    row.claimed_by is None
                    and viewer.may_in(Permission.REVIEW_DECIDE, row.branch)
                    and viewer.staff_id not in row.deciders,
                    row.claimed_by is not None and row.claimed_by not in claiming,
                )
                for row in beside
            ],
            beside_title=_("Due soon, and nobody's yet") if nobodys else _("Beside the cases"),
            beside_words=_("appeals, disputes and changes of limits: whoever claims one has it")
            if nobodys
            else _("appeals, disputes and changes of limits"),
            kinds=words.KINDS,
            people=people,
            branches=branches,
            products=words.product_names(),
            flags_of=queue.flags_of,
            systems_away=systems_away,
            outlook=outlook,
            appealed=appealed,
            disputed=disputed,
            changing=changing,
            waits=waits,
            check_names=words.AWAITED_NAMES,
            advice=words.ADVICE,
            awaited=words.AWAITED,
            languages=words.LANGUAGES,
            has_workload=may_see_others(viewer) or viewer.may_somewhere(Permission.REVIEW_CLAIM),
            applicant_types=words.APPLICANT_TYPES,
        )

    @routes.post("/queue/search")
    async def page_search(
        request: Request,
        viewer: MayView,
        value: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        """The case with that application number; what was typed stays out of the address."""
        found = None
        with suppress(ApplicationNumberError):
            number = str(parse_application_number(value))
            async with service.pool.acquire() as conn:
                found = await store.id_of_number(conn, viewer.branch_list, number)
        if found:
            return redirect(request, f"/review/cases/{found}")
        told = _("No case that you may see has this application number: 18 digits, all of them.")
        return redirect(request, QUEUE.address, flash=told, tone="warning")


async def _beside(
    conn: Any,
    viewer: Viewer,
    chosen: QueueFilter,
    officers: Sequence[Officer],
    now: datetime,
) -> tuple[bool, list[Beside]]:
    """Whether it is nobody's, and what stands on the queue beside the cases: among one's own
    cases, or with an officer's, all that is theirs; else what is near or overdue and nobody's, for
    who may give it to somebody also what somebody has who has left."""
    holder = viewer.staff_id if chosen.section == "mine" else chosen.holder
    if not holder and (chosen.section or chosen.narrows):
        return False, []
    found = await officer_store.beside_of(
        conn,
        viewer.branch_list,
        holder or None,
        PAGE_SIZE,
        knows_holds=viewer.knows_holds,
        before=None if holder else now + timedelta(days=load_clocks().warning_days),
        officers=[one.staff_id for one in officers]
        if not holder and viewer.may_somewhere(Permission.REVIEW_SIGN)
        else None,
    )
    return not holder, found


def away_days(officers: Iterable[Officer], now: datetime) -> dict[str, date]:
    """{staff id: until when} of those who are away today."""
    today = business_day(now)
    return {one.staff_id: one.away.last for one in officers if one.away_on(today) and one.away}


def _own(viewer: Viewer, officers: Iterable[Officer]) -> frozenset[str] | None:
    """The products that the viewer takes; None for every one."""
    return next((one.products for one in officers if one.staff_id == viewer.staff_id), None)


def _wanted(viewer: Viewer, chosen: QueueFilter) -> store.Wanted:
    """What the filters ask for; of whose skill, `_skill` says."""
    return replace(
        wanted_of(viewer, chosen.shown_section, None, chosen.product, chosen.branch, chosen.flag),
        holder=chosen.holder or None,
        language=chosen.language or None,
        new_to_bank=chosen.new_to_bank,
        amount_from=chosen.amounts[0],
        amount_to=chosen.amounts[1],
    )


def _skill(chosen: QueueFilter, viewer: Viewer, officers: Iterable[Officer]) -> list[str] | None:
    own = _own(viewer, officers) if chosen.skill == queue.OWN_SKILL else None
    return None if own is None else sorted(own)


def _filters(
    viewer: Viewer, branches: Mapping[str, str], officers: Sequence[Officer]
) -> list[dict[str, Any]]:
    seen = [(code, name) for code, name in branches.items() if viewer.sees(code)]
    found: list[dict[str, Any]] = [
        {"name": "product", "label": _("Product"), "options": words.product_names().items()},
        {"name": "branch", "label": _("Branch"), "options": seen},
        {
            "name": "flag",
            "label": _("Flag"),
            "options": [(code, _(label)) for code, label in queue.FLAGS.items()],
        },
    ]
    found += [
        {"name": "amount_from", "label": _("Amount from (yuan)"), "type": "number", "more": True},
        {"name": "amount_to", "label": _("Amount to (yuan)"), "type": "number", "more": True},
        {
            "name": "language",
            "label": _("Customer's language"),
            "options": [(code, _(label)) for code, label in words.LANGUAGES.items()],
            "more": True,
        },
    ]
    acquaintance = [
        (queue.NEW, _("New to the bank")),
        (queue.KNOWN, _("Known to the bank")),
    ]
    found.append(
        {"name": "acquaintance", "label": _("Acquaintance"), "options": acquaintance, "more": True}
    )
    if _own(viewer, officers) is not None:
        own = (queue.OWN_SKILL, _("those that I take"))
        found.append(
            {"name": "skill", "label": _("Products taken"), "options": [own], "more": True}
        )
    if viewer.knows_holds and viewer.may_somewhere(Permission.REVIEW_SIGN):
        known = [(one.staff_id, one.name) for one in officers if may_mark_away(viewer, one)]
        found.append({"name": "holder", "label": _("Reviewer"), "options": known, "more": True})
    return [one for one in found if one["name"] != "branch" or len(seen) > 1]


def _add_case(
    routes: APIRouter, service: Service, desk: Desk, open_vault: OpenVault, shelf: PolicyShelf
) -> None:
    @routes.get("/cases/{application_id}")
    async def page_case(request: Request, viewer: MayView, application_id: str) -> Response:
        """One case with its evidence; who looked is recorded."""
        looked_at = await desk.look(viewer, application_id)
        hidden = hides_proposal(looked_at, viewer)
        knows_first = cases.knows_first(looked_at, viewer.staff_id)
        case = shown_case(looked_at, viewer)
        branch = case.need_scope().branch
        confidential = viewer.may_in(Permission.REVIEW_COMPLIANCE, branch)
        now = service.clock.now()
        vault = await open_vault()
        async with service.pool.acquire() as conn:
            history = shown_history(
                await store.history_of(conn, application_id, confidential=confidential), viewer
            )
            decision = await store.decision_of(conn, application_id)
            if decision is None and case.state not in TERMINAL and case.review_rules.blind:
                history = without_opinions(history, viewer.staff_id)
            earlier = await _taken_up(conn, case, viewer)
            deciders = earlier["decision"].decided_by if earlier and earlier["decision"] else ()
            points = case.recommendation.points if case.recommendation else None
            alike = (
                await store.alike(
                    conn, case, points, viewer.reach_of(Permission.REVIEW_VIEW).branch_list
                )
                if points is not None
                else None
            )
            people = await staff_names(conn, [*_people(case, history), *deciders])
            branches = await branch_names(conn)
            officers = await officer_store.officers(conn)
            holder = next((one for one in officers if one.staff_id == case.claimed_by), None)
            given_to = await receivers(conn, viewer, now, case)
            await record_view(conn, application_id, viewer.staff_id, "case", now)
        opened = await open_evidence(vault, case, history)
        scope, found = case.need_scope(), case.recommendation
        items = _item_options(scope.product, scope.product_version, scope.applicant_type)
        findings = public_findings(found.findings, confidential=confidential) if found else []
        return page(
            request,
            "case.html",
            case=case,
            scope=scope,
            waits=waits_for(case),
            clock=_clock(case.due, now) if case.open else None,
            opened=opened,
            person=words.person_lines(opened),
            checks=[
                (
                    check,
                    words.CHECK_NAMES[check.name],
                    words.meeting_facts(case.need_hand_over().meeting)
                    if check.name == "meeting"
                    else words.telephone_facts(case.telephone)
                    if check.name == "telephone"
                    else words.facts_of(check, opened, confidential=confidential),
                )
                for check in in_order(case.checks)
            ],
            asked=ASKED,
            calling=section_of(case, viewer, findings),
            heard=words.HEARD,
            why_unavailable=words.WHY_UNAVAILABLE,
            noticed=_noticed(case),
            findings=[reason_codes.REASONS[code] for code in findings],
            advice=words.ADVICE.get(found.advice) if found else None,
            pricing=await _pricing(service, shelf, found),
            answered="bureau" in opened.answers,
            own_matches=confidential and bool(opened.answers.get("watchlist", {}).get("own")),
            worked_out=bool(words.limit_steps(opened)),
            reveal=viewer.may_in(Permission.PERSONAL_REVEAL, branch),
            obstacles=cases.approval_obstacles(case, now),
            preconditions=preconditions(case, now, hidden=hidden),
            lapsed=cases.lapsed(case, now),
            field_label=words.shown_label,
            check_names=words.CHECK_NAMES,
            history=_timeline(history, people, opened),
            decision=decision and shown_decision(decision, viewer),
            alike=alike,
            like_it=store.LIKE_IT,
            looked_through=store.LOOKED_THROUGH,
            reasons={code: one.words for code, one in reason_codes.REASONS.items()},
            decline_reasons=_reason_options(),
            categories={
                code: words.desk.in_language(current_language())
                for code, words in load_phrases().declines.items()
            },
            items=items,
            faults={
                item: [(f"{item}:{code}", words) for code, words in _fault_options()]
                for item, _name in items
            },
            item_names=words.item_names(),
            hold_clock=_hold_clock(case, now),
            suspicion=_suspicion(case, history, opened),
            hold_reasons=words.HOLD_REASONS,
            hold_options=[(one.value, _(words.HOLD_REASONS[one])) for one in BY_OFFICERS],
            limit_rules=product_of(scope.product, scope.product_version).limit,
            people=people,
            receivers=given_to,
            away=holder.away if holder and holder.away_on(business_day(now)) else None,
            away_days=away_days(officers, now),
            branches=branches,
            products=words.product_names(),
            applicant_types=words.APPLICANT_TYPES,
            channels=words.CHANNELS,
            awaited=words.AWAITED,
            languages=words.LANGUAGES,
            may_await=_may_await(case),
            confidential=confidential,
            hidden=hidden,
            can=_abilities(
                case,
                viewer,
                now,
                peer_may_sign=cases.peer_may_sign(looked_at),
                knows_first=knows_first,
            ),
            knows_first=knows_first,
            **_appeals(case, opened, viewer, now),
            earlier=earlier,
        )


def _add_reveal(routes: APIRouter, service: Service, desk: Desk, shelf: PolicyShelf) -> None:
    address = "/cases/{application_id}/fields/{field}"

    @routes.get(address)
    async def page_ask(
        request: Request, viewer: MayReveal, application_id: str, field: str
    ) -> Response:
        """Asks why it is needed."""
        return _revealing(request, await desk.revealable(viewer, application_id, field), field)

    @routes.post(address)
    async def reveal(
        request: Request,
        viewer: MayReveal,
        application_id: str,
        field: str,
        why: Why = "",
        text: Text = "",
    ) -> Response:
        """One field of the applicant, or one part of the evidence, in clear; recorded with the
        reason before it is shown."""
        case = await desk.revealable(viewer, application_id, field)
        if error := missing_reason(why, text):
            return _revealing(request, case, field, why=why, error=error)
        if field not in words.EVIDENCE:
            clear = await desk.reveal(viewer, case, field, why, text)
            return _revealing(request, case, field, clear=words.field_value(field, clear))
        opened = await desk.reveal_evidence(viewer, case, field, why, text)
        if field == "score":
            found = case.recommendation
            assert found is not None  # without one there is no such field
            async with service.pool.acquire() as conn:
                policy = await shelf.policy(conn, found.policy_digest)
            lines = words.score_lines(policy, opened)
        elif field == "bureau":
            lines = words.bureau_facts(opened)
        elif field == "watchlist":
            lines = words.own_matches(opened)
        else:
            lines = words.limit_steps(opened)
        rows = [(label, "", value) for label, value in lines]
        return _revealing(request, case, field, rows=rows)


def _revealing(request: Request, case: Case, field: str, **more: Any) -> Response:
    here = f"/review/cases/{case.application_id}"
    return revealing(
        request,
        field,
        action=f"{here}/fields/{field}",
        back=here,
        back_label=case.need_scope().application_number,
        heading=words.shown_label(field),
        label=words.shown_label(field),
        **more,
    )


def _add_claiming(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.post("/queue/next")
    async def page_next(
        request: Request,
        viewer: MayClaim,
        within: Annotated[str | None, Form(max_length=1000)] = None,
    ) -> Response:
        """The next case, or what is due before it beside the cases, claimed and opened. `within`:
        "?" and the filters of the queue where the key was pressed; from there on, from case to
        case, it is the next of that part of the queue, until the key is pressed in another."""
        kept = request.cookies.get(_WITHIN, "") if within is None else within
        chosen = QueueFilter.read(dict(parse_qsl(kept.removeprefix("?")))).known_to(viewer)
        chosen = replace(chosen, section="", holder="", sort="")
        if chosen.narrows:
            async with service.pool.acquire() as conn:
                officers = await officer_store.officers(conn)
            wanted = replace(_wanted(viewer, chosen), products=_skill(chosen, viewer, officers))
            case = await desk.claim_next(viewer, wanted)
            first = Work("case", case.application_id) if case else None
        else:
            first = await desk.claim_first(viewer)
        if first is None:
            told = _("No case waits that you may take.")
            answer = redirect(request, QUEUE.at(chosen.query()), flash=told, tone="info")
        else:
            answer = redirect(request, place_of(first), flash=_(_IS_YOURS[first.kind]))
        if within is not None:
            answer.set_cookie(
                _WITHIN,
                chosen.query(),
                path="/review",
                secure=web_state(request).secure_cookies,
                httponly=True,
                samesite="lax",
            )
        return answer

    @routes.post("/cases/{application_id}/claim")
    async def page_claim(request: Request, viewer: MayClaim, application_id: str) -> Response:
        return await act(
            request, application_id, desk.claim(viewer, application_id), _("The case is yours.")
        )

    @routes.post("/cases/{application_id}/put-back")
    async def page_put_back(request: Request, viewer: MayClaim, application_id: str) -> Response:
        return await act(
            request,
            application_id,
            desk.put_back(viewer, application_id),
            _("The case is back in the queue."),
        )

    @routes.post("/cases/{application_id}/snooze")
    async def page_snooze(
        request: Request,
        viewer: MayClaim,
        application_id: str,
        until: Annotated[str, Form(max_length=30)] = "",
        awaited: Annotated[Literal["", "material", "check"], Form()] = "",
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        """`until` by the bank's clock; empty: until what is awaited has come, or the case is
        due."""
        here = f"/review/cases/{application_id}"
        try:
            at = instant_typed(until)
        except ValueError:
            told = _("Give day and time, as 2026-12-01 08:00.")
            return redirect(request, here, flash=told, tone="danger")
        command = desk.snooze(viewer, application_id, at, awaited or None, note)
        return await act(request, application_id, command, _("The case is laid aside."))

    @routes.post("/cases/{application_id}/notes")
    async def page_note(
        request: Request,
        viewer: MayClaim,
        application_id: str,
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        command = desk.note(viewer, application_id, note)
        return await act(request, application_id, command, _("The note stands in the history."))

    @routes.post("/cases/{application_id}/wake")
    async def page_wake(request: Request, viewer: MayClaim, application_id: str) -> Response:
        return await act(
            request,
            application_id,
            desk.wake(viewer, application_id),
            _("The case is among your cases again."),
        )

    @routes.post("/queue/reassign")
    async def page_reassign(
        request: Request,
        viewer: MaySign,
        cases: Annotated[list[str], Form(max_length=40)] = [],  # noqa: B006 - read only
        to: Annotated[str, Form(max_length=40)] = "",
        back: Annotated[str, Form(max_length=1000)] = "",
    ) -> Response:
        """Give the chosen cases, and what waits beside them, to a colleague; `cases`: a case by its
        id, else `<kind>:<id>`; `back`: the list's filters, another list, or the one case."""
        chosen = [Work.read(one) for one in cases[:REASSIGNED_AT_ONCE]]
        where = _LISTS.get(back) or QUEUE.at(QUEUE.read(dict(parse_qsl(back))).query())
        if back == "case" and len(chosen) == 1:
            where = place_of(chosen[0])
        if not chosen:
            return redirect(request, where, flash=_("Choose cases first."), tone="danger")
        return redirect(request, where, **told_of(await desk.reassign(viewer, chosen, to)))


def _add_deciding(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/cases/{application_id}/approval")
    async def page_approve(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        limit: Annotated[int, Form(ge=0, le=10_000_000)],
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        """`limit` in whole yuan."""
        proposal = desk.propose_approval(viewer, application_id, Money.of(limit), note)
        return await act(
            request, application_id, proposal, _("Proposed. A second person signs now.")
        )

    @routes.post("/cases/{application_id}/decline")
    async def page_decline(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        reason: Annotated[str, Form(max_length=60)] = "",
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        proposal = desk.propose_decline(viewer, application_id, reason, note)
        return await act(
            request, application_id, proposal, _("Proposed. A second person signs now.")
        )

    @routes.post("/cases/{application_id}/material")
    async def page_material(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        items: Annotated[list[str], Form(max_length=40)] = [],  # noqa: B006 - read only
    ) -> Response:
        """`items`: `<item>:<return code>` for each line where something is chosen."""
        chosen = [item.partition(":") for item in items if item]
        wanted = [WantedItem(item=item, code=code) for item, _sep, code in chosen]
        return await act(
            request,
            application_id,
            desk.want_material(viewer, application_id, wanted),
            _("The customer is asked for the material."),
        )

    @routes.post("/cases/{application_id}/checks")
    async def page_repeat(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await act(
            request,
            application_id,
            desk.repeat_checks(viewer, application_id),
            _("The unanswered checks are asked again."),
        )

    @routes.post("/cases/{application_id}/escalate")
    async def page_escalate(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        return await act(
            request,
            application_id,
            desk.escalate(viewer, application_id, note),
            _("The case lies with the risk officers."),
        )

    @routes.post("/cases/{application_id}/hold")
    async def page_hold(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        reason: Annotated[str, Form(max_length=60)] = "",
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        return await act(
            request,
            application_id,
            desk.hold(viewer, application_id, reason, note),
            _("The case lies with compliance."),
        )


def _add_signing(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/cases/{application_id}/signature")
    async def page_sign(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await act(
            request,
            application_id,
            desk.sign(viewer, application_id),
            _("Signed. The application is decided."),
        )

    @routes.post("/cases/{application_id}/opinion")
    async def page_opinion(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        outcome: Annotated[Literal["approve", "decline"], Form()],
        limit: Annotated[int, Form(ge=0, le=10_000_000)] = 0,
        reason: Annotated[str, Form(max_length=60)] = "",
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        """`limit` in whole yuan, to approve; `reason` to decline."""
        granted = Money.of(limit) if outcome == "approve" else None
        return await act(
            request,
            application_id,
            desk.give_opinion(viewer, application_id, granted, reason, note),
            _("Your opinion is given. The history says what came of it."),
        )

    @routes.post("/cases/{application_id}/return")
    async def page_return(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        return await act(
            request,
            application_id,
            desk.send_back(viewer, application_id, note),
            _("Sent back to the first reviewer."),
        )

    @routes.post("/cases/{application_id}/release")
    async def page_release(
        request: Request,
        viewer: MayRelease,
        application_id: str,
        finding: Annotated[Literal["clear", "confirmed"], Form()],
        note: Annotated[str, Form(max_length=2000)] = "",
        screening: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        return await act(
            request,
            application_id,
            desk.release(viewer, application_id, finding, note, screening),
            _("The hold has ended."),
            {"same-person": mark("Whoever held the case does not end the hold.")},
        )


async def act(
    request: Request,
    application_id: str,
    command: Any,
    done: str,
    refusals: Mapping[str, str] = {},
) -> Response:
    """Run a command about a case; back on its page the outcome is said in one line. refusals: words
    of its own for some codes."""
    here, said = f"/review/cases/{application_id}", {**REFUSALS, **refusals}
    return await act_and_say(request, here, command, done, said)


async def act_and_say(
    request: Request, here: str, command: Any, done: str, refusals: Mapping[str, str]
) -> Response:
    """Run a command of a desk; back on the page its outcome is said in one line. refusals: {code:
    words}; a problem with another code is the page's own answer."""
    try:
        await command
    except Problem as problem:
        refusal = refusals.get(problem.code)
        if refusal is None:
            raise
        return redirect(request, here, flash=_(refusal), tone="danger")
    return redirect(request, here, flash=done)


def told_of(found: Reassigned) -> dict[str, Any]:
    """How much of each was given, and why the rest was not, in one line."""
    parts = []
    if found.given:
        given = Counter(one.kind for one in found.given)
        parts.append(_("Given on: %(what)s.") % {"what": in_kinds(given)})
    for code, number in Counter(found.refused.values()).items():
        why = _(_NOT_GIVEN.get(code, mark("There is no such case.")))
        parts.append(_("%(n)s not given: %(why)s") % {"n": number, "why": why})
    tone = "success" if not found.refused else "warning" if found.given else "danger"
    return {"flash": " ".join(parts), "tone": tone}


def in_kinds(numbers: Mapping[Kind, int]) -> str:
    """How many of each kind, in words; what there is none of is left out."""
    words: Mapping[Kind, Callable[[int], str]] = {
        "case": lambda n: ngettext("%(num)s case", "%(num)s cases", n),
        "appeal": lambda n: ngettext("%(num)s appeal", "%(num)s appeals", n),
        "dispute": lambda n: ngettext("%(num)s dispute", "%(num)s disputes", n),
        "limit_change": lambda n: ngettext(
            "%(num)s change of a limit", "%(num)s changes of limits", n
        ),
    }
    told = [words[kind](n) % {"num": n} for kind in KINDS if (n := numbers.get(kind, 0))]
    return _(", ").join(told)


def place_of(work: Work) -> str:
    """The page on which it is worked on."""
    here = f"/review/cases/{work.application_id}"
    return here + {"case": "", "appeal": "#appeal", "dispute": "#dispute"}.get(
        work.kind, "/limit-change"
    )


# --- what pages show ---------------------------------------------------------------------------


async def _pricing(service: Service, shelf: PolicyShelf, found: Recommendation | None) -> str:
    """The class of prices that the policy gave, in words; "" where it gave none. By its name where
    the policy's text was changed since: the case can be worked on all the same."""
    if found is None or found.pricing_class is None:
        return ""
    try:
        async with service.pool.acquire() as conn:
            policy = await shelf.policy(conn, found.policy_digest)
    except PolicyNotHeldError:
        return found.pricing_class
    return words_of(policy, "pricing", found.pricing_class, current_language())


def _clock(due: datetime | None, now: datetime) -> queue.Clock | None:
    return queue.clock_of(due, now) if due is not None else None


def _hold_clock(case: Case, now: datetime) -> queue.Clock | None:
    """The clock of the hold that the case rests on, for who may know its reason."""
    held = case.hold if case.state is State.ON_HOLD else None
    return _clock(held.due, now) if held else None


def _sections(viewer: Viewer) -> list[Section]:
    """The sections of the queue that this viewer has."""
    may_see_held = viewer.may_somewhere(Permission.REVIEW_COMPLIANCE)
    escalated = viewer.knows_holds and viewer.may_somewhere(Permission.REVIEW_SIGN)
    return [
        "open",
        "mine",
        "snoozed",
        *(("escalated",) if escalated else ()),
        "to_sign",
        "waiting",
        *(("held",) if may_see_held else ()),
    ]


def _tabs(chosen: QueueFilter, counts: Mapping[Section, Total]) -> list[tuple[str, str, str | int]]:
    names: Mapping[Section, str] = {
        "open": _("Queue"),
        "mine": _("My cases"),
        "snoozed": _("Laid aside"),
        "escalated": _("Escalated"),
        "to_sign": _("To sign"),
        "waiting": _("Waiting for a system"),
        "held": _("Held"),
    }
    return [
        (QUEUE.at(chosen.query(section="" if name == "open" else name)), names[name], count.shown)
        for name, count in counts.items()
    ]


def _people(case: Case, history: list[Entry]) -> list[str]:
    staff = {entry.actor for entry in history}
    staff |= {
        str(one)
        for entry in history
        for key in ("holder", "receiver")
        if (one := entry.details.get(key))
    }
    staff |= {one.claimed_by or "" for one in case.appeals}
    staff |= {one.answered_by or "" for one in case.appeals}
    staff |= {
        case.hold.by if case.hold else "",
        case.claimed_by or "",
        case.escalation.by if case.escalation else "",
        case.proposal.staff_id if case.proposal else "",
    }
    return sorted(staff)


def _suspicion(case: Case, history: list[Entry], opened: Opened) -> str:
    """What the officer wrote who handed the case to compliance; empty: nobody did, or the viewer's
    history does not have it."""
    wrote = [one for one in history if case.hold and one.at == case.hold.at]
    notes = [one.details.get("note", "") for one in wrote if one.action == "suspected"]
    return opened.notes.get(notes[-1], "") if notes else ""


def _timeline(
    history: list[Entry], people: Mapping[str, str], opened: Opened
) -> list[dict[str, Any]]:
    """The history, newest first, in words."""
    lines = []
    for entry in reversed(history):
        if entry.action in words.UNTOLD and "consent_signed_at" not in entry.details:
            continue
        known = (entry.action, "point", "neutral")
        title, icon_name, tone = words.ACTIONS.get(entry.action, known)
        note = opened.notes.get(str(entry.details.get("note") or ""), "")
        lines.append(
            {
                "title": _(title),
                "icon": icon_name,
                "tone": tone,
                "at": entry.at,
                "actor": people.get(entry.actor) or _(words.SERVICES.get(entry.actor, entry.actor)),
                "detail": " · ".join(filter(None, (words.details(entry.details, people), note))),
            }
        )
    return lines


async def receivers(
    conn: Any, viewer: Viewer, now: datetime, case: Case | None = None
) -> list[tuple[str, str]]:
    """[(staff id, name and how much they have)] of officers to whom the viewer may give this case
    or what waits beside it, or any."""
    reach = viewer.reach_of(Permission.REVIEW_SIGN)
    if Permission.REVIEW_SIGN not in viewer.grants:
        return []
    loads = await officer_store.loads(conn, reach.branch_list, now, knows_holds=viewer.knows_holds)
    today = business_day(now)
    return [
        (one.staff_id, f"{one.name} · {loads.get(one.staff_id, Load()).open}")
        for one in await officer_store.officers(conn)
        if not one.away_on(today) and (one.reach & reach).branches != frozenset()
        if case is None or one.can_take(case.need_scope().branch, case.need_scope().product, today)
    ]


async def _taken_up(conn: Any, case: Case, viewer: Viewer) -> dict[str, Any] | None:
    """Of the application that this one takes up again: the case, its decision as the viewer may
    know it, and by their digests the papers of this one that are new; None where there is none that
    the viewer sees."""
    hand_over = case.need_hand_over()
    old = await store.find_case(conn, hand_over.reopens) if hand_over.reopens else None
    if old is None or old.scope is None or not viewer.sees(old.scope.branch):
        return None
    decision = await store.decision_of(conn, old.application_id)
    known = {one.sha256 for one in old.hand_over.documents} if old.hand_over else set()
    return {
        "case": shown_case(old, viewer),
        "decision": decision and shown_decision(decision, viewer),
        "appeals": old.appeals,
        "appeal_outcomes": words.appeal_outcomes(appeals.about(old.state)),
        "new": {one.sha256 for one in hand_over.documents} - known,
    }


def _appeals(case: Case, opened: Opened, viewer: Viewer, now: datetime) -> dict[str, Any]:
    """What the case's page shows of the customer's appeals, and what can be done about them."""
    branch = case.need_scope().branch
    waiting = appeals.open_appeal(case)
    may_answer = viewer.may_in(Permission.REVIEW_DECIDE, branch)
    mine = waiting is not None and waiting.claimed_by == viewer.staff_id
    return {
        "appeals": [
            (one, queue.clock_of(one.due, now), opened.notes.get(one.words, ""))
            for one in reversed(case.appeals)
        ],
        "wishes": words.WISHES,
        "appeal_about": appeals.about(case.state),
        "appeal_outcomes": words.appeal_outcomes(appeals.about(case.state)),
        "dispute_outcomes": words.DISPUTE_OUTCOMES,
        "can_dispute": _may_dispute(case, viewer),
        "can_appeal": {
            "open": appeals.not_appealable(case) is None
            and waiting is None
            and viewer.may_in(Permission.REVIEW_CLAIM, branch),
            "claim": waiting is not None
            and waiting.claimed_by is None
            and may_answer
            and viewer.staff_id not in waiting.deciders,
            "give": waiting is not None
            and viewer.knows_holds
            and viewer.may_in(Permission.REVIEW_SIGN, branch),
            "put_back": waiting is not None
            and waiting.claimed_by is not None
            and may_answer
            and (mine or viewer.may_in(Permission.REVIEW_SIGN, branch)),
            "answer": mine and may_answer,
        },
    }


def _may_dispute(case: Case, viewer: Viewer) -> dict[str, bool]:
    """What this viewer can do about a dispute of the credit report."""
    branch, waiting = case.need_scope().branch, disputes.open_dispute(case)
    may_answer = viewer.may_in(Permission.REVIEW_DECIDE, branch)
    mine = waiting is not None and waiting.claimed_by == viewer.staff_id
    taken = waiting is not None and waiting.claimed_by is not None
    return {
        "open": disputes.may_open(case) and viewer.may_in(Permission.REVIEW_CLAIM, branch),
        "claim": waiting is not None and not taken and may_answer,
        "give": waiting is not None and viewer.may_in(Permission.REVIEW_SIGN, branch),
        "put_back": taken
        and may_answer
        and (mine or viewer.may_in(Permission.REVIEW_SIGN, branch)),
        "answer": mine and may_answer,
    }


def _may_await(case: Case) -> list[tuple[str, str]]:
    """What may bring the case back before its time, as options."""
    pending = any(check.outcome == "pending" for check in case.checks.values())
    return [(code, _(label)) for code, label in words.AWAITED.items() if code != "check" or pending]


def _reason_options() -> list[tuple[str, str]]:
    phrases = load_phrases().declines
    language = current_language()
    return [
        (
            reason.code,
            " — ".join(
                (
                    phrases[reason_codes.category_of(reason)].desk.in_language(language),
                    _(reason.words),
                )
            ),
        )
        for reason in reason_codes.DECLINE_REASONS
    ]


def _fault_options() -> list[tuple[str, str]]:
    """What may be wrong with a paper, as return codes with their names."""
    known, language = load_return_codes().codes, current_language()
    return [(code, known[code].names.in_language(language)) for code in _PAPER_FAULTS]


def _noticed(case: Case) -> list[tuple[str, str]]:
    """[(what the pre-check found worth a look, what to do about it)], in words."""
    known, language = load_return_codes().codes, current_language()
    codes = case.hand_over.warnings if case.hand_over else []
    return [
        (known[code].names.in_language(language), known[code].mend.in_language(language))
        if code in known
        else (code, "")
        for code in codes
    ]


def _item_options(product: str, version: str, applicant_type: str) -> list[tuple[str, str]]:
    """What may be asked of this applicant: the product's own list, papers only."""
    names, known = words.item_names(), load_checklist_items().items
    wanted = product_of(product, version).materials
    requirements = next(
        (lines for kind, lines in wanted.items() if str(kind) == applicant_type), []
    )
    codes = dict.fromkeys(item for line in requirements for item in line.items)
    codes.update(dict.fromkeys(_SHOWN_ITEMS))
    return [(code, names[code]) for code in codes if code in known and known[code].upload]


def _abilities(
    case: Case, viewer: Viewer, now: datetime, *, peer_may_sign: bool, knows_first: bool
) -> dict[str, bool]:
    """Which buttons are shown; the desk decides again when one is pressed."""
    waiting = case.state is State.MANUAL_REVIEW
    proposal = case.proposal
    began = case.hold.by if proposal and proposal.of_a_hold and case.hold else None
    signed = (proposal.staff_id if proposal else None, began)
    mine = waiting and proposal is None and case.claimed_by == viewer.staff_id

    def may(permission: Permission) -> bool:
        return viewer.may_in(permission, case.need_scope().branch)

    may_decide = may(Permission.REVIEW_DECIDE)
    second = (
        waiting
        and proposal is not None
        and viewer.staff_id not in signed
        and not knows_first
        and may_decide
        and (may(Permission.REVIEW_SIGN) or peer_may_sign)
    )
    return {
        "next": viewer.may_somewhere(Permission.REVIEW_CLAIM),
        "note": case.open and may(Permission.REVIEW_CLAIM),
        "read": may(Permission.MATERIAL_VIEW),
        "claim": waiting
        and proposal is None
        and case.claimed_by is None
        and may(Permission.REVIEW_CLAIM)
        and (
            case.escalation is None
            or case.escalation.by == viewer.staff_id
            or may(Permission.REVIEW_SIGN)
        ),
        "decide": mine and may_decide,
        "escalate": mine and may_decide and not may(Permission.REVIEW_SIGN),
        "snooze": mine and case.snooze is None and may(Permission.REVIEW_CLAIM),
        "take_back": waiting
        and proposal is None
        and case.claimed_by not in (None, viewer.staff_id)
        and may(Permission.REVIEW_SIGN)
        and may(Permission.REVIEW_CLAIM),
        "repeat": (waiting or stuck(case))
        and proposal is None
        and may_decide
        and may_be_repeated(case, now),
        "sign": second and not case.blind,
        "opinion": second and case.blind,
        "reassign": waiting and proposal is None and may(Permission.REVIEW_SIGN),
        "release": case.state is State.ON_HOLD and may(Permission.REVIEW_COMPLIANCE),
        "end_hold": case.hold is None or case.hold.by != viewer.staff_id,
    }
