"""The pages: the queue in its sections, the case with its evidence, what can be done with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.review import case as cases
from services.review import queue, reason_codes, store
from services.review.api import (
    MayClaim,
    MayDecide,
    MayRelease,
    MaySign,
    MayView,
    wanted_of,
)
from services.review.case import OTHER_DOCUMENT, Case, Check, Entry
from services.review.desk import Desk, public_findings, waits_for
from services.review.evidence import Opened, in_order, open_evidence
from services.review.policy import debt_ratio_bp
from services.review.viewing import shown_case, shown_decision, shown_history, shown_row
from services.review.workers import OpenVault
from shared.events.intake import WantedItem
from shared.events.lifecycle import State
from shared.messaging import Service
from shared.money import Money
from shared.parameters import (
    load_checklist_items,
    load_phrases,
    load_products,
    load_return_codes,
    product_of,
)
from shared.privacy.masking import HIDDEN
from shared.web import Permission, Problem, Viewer, page, redirect
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language, mark, show_money, show_percent
from shared.web.states import state_badge

PAGE_SIZE = 25
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

CHECK_NAMES: Mapping[str, str] = {
    "identity": mark("Identity registry"),
    "bureau": mark("Credit bureau"),
    "watchlist": mark("Watchlists"),
}
WHY_UNAVAILABLE: Mapping[str, str] = {
    "no-consent": mark("No valid consent to the credit query"),
    "no-data": mark("Name or ID number is missing in the hand-over"),
    OTHER_DOCUMENT: mark(
        "The registry holds citizens' ID cards alone and was not asked. An approval rests on"
        " whoever of the bank saw the customer with the original; without that, ask for it"
    ),
    "no-key": mark("The applicant's data was deleted or is restricted"),
    "not-open": mark("The application was no longer open"),
    "": mark("No answer after several tries"),
    "unreadable-answer": mark("The answer could not be read"),
}
ACTIONS: Mapping[str, tuple[str, str, str]] = {
    "handed_over": (mark("Handed over by intake"), "inbox", "info"),
    "imported": (mark("Imported from another system"), "inbox", "info"),
    "moved": (mark("State changed by intake"), "arrow-right", "neutral"),
    "check_requested": (mark("Check requested"), "shield", "progress"),
    "check_reused": (mark("Earlier answer is still valid"), "refresh", "progress"),
    "check_ended": (mark("Check ended"), "shield", "progress"),
    "checks_repeated": (mark("Unanswered checks asked again"), "refresh", "progress"),
    "scored": (mark("Policy applied"), "scale", "progress"),
    "scoring_failed": (mark("Policy could not be applied"), "alert-triangle", "bad"),
    "referred": (mark("Referred to a person"), "gavel", "waiting"),
    "held": (mark("Held"), "clock-pause", "hold"),
    "suspected": (mark("Handed to compliance"), "clock-pause", "hold"),
    "finding": (mark("Compliance's finding"), "shield", "hold"),
    "released": (mark("Released from hold"), "lock-open", "good"),
    "claimed": (mark("Claimed"), "user", "info"),
    "put_back": (mark("Put back into the queue"), "arrow-left", "neutral"),
    "taken_back": (mark("A colleague's case put back into the queue"), "arrow-left", "neutral"),
    "proposed": (mark("Decision proposed"), "pencil", "waiting"),
    "signed": (mark("Second signature given"), "circle-check", "good"),
    "returned": (mark("Proposal sent back"), "arrow-left", "bad"),
    "wanted_material": (mark("More material wanted"), "paperclip", "waiting"),
    "decided": (mark("Decided"), "circle-check", "good"),
    "withdrawal_granted": (mark("Withdrawal granted"), "arrow-left", "neutral"),
    "withdrawal_refused": (mark("Withdrawal refused"), "x", "neutral"),
}
UNTOLD = frozenset({"check_requested"})  # its end says the same
SERVICES: Mapping[str, str] = {"intake": mark("Intake"), "review": mark("Review, by itself")}
ADVICE: Mapping[str, tuple[str, str]] = {
    "approve": (mark("Approve"), "good"),
    "decline": (mark("Decline"), "bad"),
    "examine": (mark("Look closer"), "waiting"),
}
OUTCOMES: Mapping[str, str] = {
    "approve": mark("Approve"),
    "decline": mark("Decline"),
    "answered": mark("answered"),
    "unavailable": mark("not available"),
    "clear": mark("no concern"),
    "confirmed": mark("suspicion confirmed"),
    "refer": mark("refer to a person"),
    "hold": mark("hold"),
}
REFUSALS: Mapping[str, str] = {
    "claimed": mark("Another reviewer has this case."),
    "proposed": mark("A decision is proposed already and waits for its second signature."),
    "not-in-queue": mark("The case no longer lies in the queue."),
    "not-yours": mark("Claim the case first."),
    "nothing-proposed": mark("Nothing waits for a signature."),
    "same-person": mark("The second signature must be another person's."),
    "no-opinion": mark("Please give your opinion in words."),
    "limit-too-high": mark("The limit is higher than the rules allow."),
    "limit-not-fitting": mark("The limit does not fit the product's smallest limit or step."),
    "no-limit": mark("An approval needs a limit."),
    "not-approvable": mark("Something needed for an approval is missing."),
    "not-scored": mark("The policy has not spoken on this case yet."),
    "not-held": mark("The case is not held."),
    "nothing-wanted": mark("Choose at least one item."),
    "unknown-item": mark("Choose items of the checklist."),
    "unknown-reason": mark("Choose a reason from the list."),
    "nothing-to-repeat": mark("Every check was answered or is on its way."),
    "erased": mark("The applicant's data was deleted or is restricted; nothing can be added."),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a check's answer in words; `tone` as in the style sheet."""

    label: str
    value: str
    tone: str = "neutral"


def router(service: Service, desk: Desk, open_vault: OpenVault) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    _add_queue(routes, service)
    _add_case(routes, service, desk, open_vault)
    _add_deciding(routes, desk)
    _add_signing(routes, desk)
    return routes


def _add_queue(routes: APIRouter, service: Service) -> None:
    @routes.get("")
    async def page_start(viewer: MayView) -> Response:  # noqa: ARG001 - the gate is the point
        """The service's address leads to its queue."""
        return RedirectResponse("/review/queue", status_code=303)

    @routes.get("/queue")
    async def page_queue(
        request: Request,
        viewer: MayView,
        section: store.Section = "open",
        q: str = "",
        product: str = "",
        branch: str = "",
        flag: str = "",
        number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
    ) -> Response:
        """The queue, one's own cases, those to sign, and the held ones for compliance."""
        wanted = wanted_of(viewer, section, q.strip(), product, branch, flag)
        now = service.clock.now()
        async with service.pool.acquire() as conn:
            rows, total = await store.list_cases(conn, wanted, page=number, page_size=PAGE_SIZE)
            rows = [shown_row(row, viewer) for row in rows]
            counts = await store.count_sections(
                conn, viewer.staff_id, viewer.branch_list, knows_holds=viewer.knows_holds
            )
            people = await staff_names(
                conn, [who for row in rows for who in (row.claimed_by, row.proposed_by) if who]
            )
            branches = await branch_names(conn)
        return page(
            request,
            "queue.html",
            section=section,
            rows=[(row, _clock(row.due, now)) for row in rows],
            total=total,
            page_number=number,
            page_size=PAGE_SIZE,
            counts=counts,
            tabs=_tabs(viewer, counts),
            people=people,
            branches=branches,
            products=product_names(),
            flag_labels=queue.FLAGS,
            flags_of=queue.flags_of,
            advice=ADVICE,
            applicant_types=APPLICANT_TYPES,
        )


def _add_case(routes: APIRouter, service: Service, desk: Desk, open_vault: OpenVault) -> None:
    @routes.get("/cases/{application_id}")
    async def page_case(request: Request, viewer: MayView, application_id: str) -> Response:
        """One case with its evidence; who looked is recorded."""
        case = shown_case(await desk.look(viewer, application_id), viewer)
        branch = case.need_scope().branch
        confidential = viewer.may_in(Permission.REVIEW_COMPLIANCE, branch)
        reveal = viewer.may_in(Permission.PERSONAL_REVEAL, branch)
        now = service.clock.now()
        vault = await open_vault()
        async with service.pool.acquire() as conn:
            history = shown_history(
                await store.history_of(conn, application_id, confidential=confidential), viewer
            )
            decision = await store.decision_of(conn, application_id)
            people = await staff_names(conn, _people(case, history))
            branches = await branch_names(conn)
            await store.record_view(conn, application_id, viewer.staff_id, "case page", now)
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
            person=person_lines(opened, reveal=reveal),
            checks=[
                (
                    check,
                    CHECK_NAMES[check.name],
                    facts_of(check, opened, confidential=confidential, reveal=reveal),
                )
                for check in in_order(case.checks)
            ],
            why_unavailable=WHY_UNAVAILABLE,
            noticed=_noticed(case),
            findings=[reason_codes.REASONS[code] for code in findings],
            advice=ADVICE.get(found.advice) if found else None,
            steps=_steps(opened) if reveal else [],
            reveal=reveal,
            obstacles=[cases.REASONS_AGAINST[code] for code in cases.approval_obstacles(case)],
            history=_timeline(history, people, opened),
            decision=decision and shown_decision(decision, viewer),
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
            item_names=item_names(),
            limit_rules=product_of(scope.product, scope.product_version).limit,
            people=people,
            branches=branches,
            products=product_names(),
            applicant_types=APPLICANT_TYPES,
            channels=CHANNELS,
            confidential=confidential,
            can=_abilities(case, viewer),
        )


def _add_deciding(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/cases/{application_id}/claim")
    async def page_claim(request: Request, viewer: MayClaim, application_id: str) -> Response:
        return await _act(
            request, application_id, desk.claim(viewer, application_id), _("The case is yours.")
        )

    @routes.post("/cases/{application_id}/put-back")
    async def page_put_back(request: Request, viewer: MayClaim, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.put_back(viewer, application_id),
            _("The case is back in the queue."),
        )

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
        return await _act(
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
        return await _act(
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
        return await _act(
            request,
            application_id,
            desk.want_material(viewer, application_id, wanted),
            _("The customer is asked for the material."),
        )

    @routes.post("/cases/{application_id}/checks")
    async def page_repeat(request: Request, viewer: MayDecide, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.repeat_checks(viewer, application_id),
            _("The unanswered checks are asked again."),
        )

    @routes.post("/cases/{application_id}/hold")
    async def page_hold(
        request: Request,
        viewer: MayDecide,
        application_id: str,
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        return await _act(
            request,
            application_id,
            desk.hold(viewer, application_id, note),
            _("The case lies with compliance."),
        )


def _add_signing(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/cases/{application_id}/signature")
    async def page_sign(request: Request, viewer: MaySign, application_id: str) -> Response:
        return await _act(
            request,
            application_id,
            desk.sign(viewer, application_id),
            _("Signed. The application is decided."),
        )

    @routes.post("/cases/{application_id}/return")
    async def page_return(
        request: Request,
        viewer: MaySign,
        application_id: str,
        note: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        return await _act(
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
    ) -> Response:
        return await _act(
            request,
            application_id,
            desk.release(viewer, application_id, finding, note),
            _("The hold has ended."),
        )


async def _act(request: Request, application_id: str, command: Any, done: str) -> Response:
    """Run a command of the desk; back on the case's page its outcome is said in one line."""
    try:
        await command
    except Problem as problem:
        words = REFUSALS.get(problem.code)
        if words is None:
            raise
        return redirect(request, f"/review/cases/{application_id}", flash=_(words), tone="danger")
    return redirect(request, f"/review/cases/{application_id}", flash=done)


# --- what pages show ---------------------------------------------------------------------------

APPLICANT_TYPES: Mapping[str, str] = {
    "salaried": mark("Salaried"),
    "self_employed": mark("Self-employed"),
    "asset_owner": mark("Asset owner"),
    "student": mark("Student"),
    "existing_customer": mark("Existing customer"),
    "supplementary": mark("Supplementary"),
}
CHANNELS: Mapping[str, str] = {
    "counter": mark("Counter"),
    "web": mark("Web"),
    "mobile_app": mark("Mobile app"),
    "batch": mark("Batch"),
    "partner": mark("Partner"),
}
_PERSON_LABELS: Mapping[str, str] = {
    "name": mark("Name"),
    "id_type": mark("Kind of ID"),
    "id_number": mark("ID number"),
    "nationality": mark("Nationality"),
    "mobile": mark("Mobile"),
    "employer": mark("Employer"),
    "occupation": mark("Occupation"),
    "monthly_income": mark("Monthly income"),
}
_WEIGHED = frozenset({"employer", "occupation", "monthly_income"})


def product_names() -> dict[str, str]:
    """{product code: its name in the reader's language}."""
    language = current_language()
    return {code: one.names.in_language(language) for code, one in load_products().items()}


def item_names() -> dict[str, str]:
    """{checklist item: its name in the reader's language}."""
    language = current_language()
    return {
        code: one.names.in_language(language) for code, one in load_checklist_items().items.items()
    }


def person_lines(opened: Opened, *, reveal: bool) -> list[tuple[str, str]]:
    """The applicant as the page shows them: recognised, not known. Work and income are shown to
    those who weigh them (`reveal`), hidden from everybody else."""
    shown = dict(opened.person)
    kind = shown.get("id_type", "id_card")
    shown["id_type"] = _("Passport") if kind == "passport" else _("ID card or residence card")
    if income := shown.get("monthly_income"):
        shown["monthly_income"] = show_money(int(income))
    if not reveal:
        shown.update(dict.fromkeys(_WEIGHED & shown.keys(), HIDDEN))
    return [(_(label), shown.get(name, "—")) for name, label in _PERSON_LABELS.items()]


def facts_of(check: Check, opened: Opened, *, confidential: bool, reveal: bool) -> list[Fact]:
    """What a system answered, in words. Of the watchlists only compliance reads the answer, of the
    bureau, as of the income, only who weighs it (`reveal`)."""
    answer = opened.answers.get(check.name)
    if answer is None:
        return []
    if check.name == "identity":
        matches = answer["match"] and answer["status"] == "normal"
        return [
            Fact(
                _("Name and ID number"),
                _("match") if answer["match"] else _("do not match"),
                "good" if answer["match"] else "bad",
            ),
            Fact(
                _("Status of the number"),
                _("in force") if answer["status"] == "normal" else _("cancelled"),
                "good" if matches else "bad",
            ),
        ]
    if check.name == "watchlist":
        if not confidential:
            return []
        hits = answer["hits"]
        if not hits:
            return [Fact(_("Resemblances"), _("none"), "good")]
        return [Fact(hit["list"], show_percent(hit["score"], 0), "bad") for hit in hits]
    return _bureau_facts(answer, opened) if reveal else []


def _bureau_facts(answer: Mapping[str, Any], opened: Opened) -> list[Fact]:
    income = int(opened.person["monthly_income"]) if "monthly_income" in opened.person else None
    score, overdue = answer["score"], answer["overdue_24m"]
    facts = [
        Fact(
            _("Score"),
            _("no record") if score is None else str(score),
            "waiting" if score is None or score < 620 else "good",
        ),
        Fact(
            _("Overdue months in 24"),
            _("%(n)s, at most %(days)s days")
            % {"n": overdue, "days": answer["max_overdue_days_24m"]},
            "bad" if overdue else "good",
        ),
        Fact(
            _("Queries in 3 months"),
            str(answer["queries_3m"]),
            "bad" if answer["queries_3m"] > 6 else "good",
        ),
        Fact(_("Open cards"), str(answer["open_cards"])),
        Fact(_("Limits at other banks"), show_money(answer["other_bank_limits"])),
        Fact(_("Monthly debt"), show_money(answer["monthly_debt"])),
    ]
    if income:
        ratio = debt_ratio_bp(answer["monthly_debt"], income)
        facts.append(
            Fact(
                _("Debt to income"),
                show_percent(ratio / 10_000, 1),
                "bad" if ratio > 5000 else "good",
            )
        )
    facts.append(
        Fact(
            _("Adverse record"),
            _("yes") if answer["adverse"] else _("none"),
            "bad" if answer["adverse"] else "good",
        )
    )
    return facts


def _steps(opened: Opened) -> list[dict[str, Any]]:
    """The limit's working, line by line; empty where none could be worked out."""
    working = (opened.verdict or {}).get("working") or {}
    return list(working.get("steps", []))


def _clock(due: datetime | None, now: datetime) -> queue.Clock | None:
    return queue.clock_of(due, now) if due is not None else None


def _tabs(viewer: Viewer, counts: Mapping[Any, int]) -> list[tuple[str, str, int]]:
    tabs = [("open", _("Queue")), ("mine", _("My cases")), ("to_sign", _("To sign"))]
    if viewer.may_somewhere(Permission.REVIEW_COMPLIANCE):
        tabs.append(("held", _("Held")))
    return [(f"/review/queue?section={name}", words, counts[name]) for name, words in tabs]


def _people(case: Case, history: list[Entry]) -> list[str]:
    staff = {entry.actor for entry in history}
    staff |= {str(entry.details["holder"]) for entry in history if "holder" in entry.details}
    staff |= {case.claimed_by or "", case.proposal.staff_id if case.proposal else ""}
    return sorted(staff)


def _timeline(
    history: list[Entry], people: Mapping[str, str], opened: Opened
) -> list[dict[str, Any]]:
    """The history, newest first, in words."""
    lines = []
    for entry in reversed(history):
        if entry.action in UNTOLD:
            continue
        words, icon_name, tone = ACTIONS.get(entry.action, (entry.action, "point", "neutral"))
        note = opened.notes.get(str(entry.details.get("note") or ""), "")
        lines.append(
            {
                "title": _(words),
                "icon": icon_name,
                "tone": tone,
                "at": entry.at,
                "actor": people.get(entry.actor) or _(SERVICES.get(entry.actor, entry.actor)),
                "detail": " · ".join(filter(None, (_details(entry.details, people), note))),
            }
        )
    return lines


def _details(details: Mapping[str, Any], people: Mapping[str, str]) -> str:
    parts = []
    if holder := details.get("holder"):
        parts.append(people.get(holder, holder))
    if state := details.get("state"):
        parts.append(_(state_badge(state).label))
    if check := details.get("check"):
        parts.append(_(CHECK_NAMES.get(check, check)))
    for key in ("outcome", "finding"):
        if (value := details.get(key)) and value not in ("refer", "hold"):
            parts.append(_(OUTCOMES.get(value, value)))
    if limit := details.get("limit"):
        parts.append(show_money(limit))
    parts.extend(_(reason_codes.REASONS[code].words) for code in details.get("reasons") or [])
    if items := details.get("items"):
        names = item_names()
        parts.extend(names.get(item, item) for item in items)
    return " · ".join(parts)


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
    names, known = item_names(), load_checklist_items().items
    wanted = product_of(product, version).materials
    requirements = next(
        (lines for kind, lines in wanted.items() if str(kind) == applicant_type), []
    )
    codes = dict.fromkeys(item for line in requirements for item in line.items)
    codes.update(dict.fromkeys(_SHOWN_ITEMS))
    return [(code, names[code]) for code in codes if code in known and known[code].upload]


def _abilities(case: Case, viewer: Viewer) -> dict[str, bool]:
    """Which buttons are shown; the desk decides again when one is pressed."""
    waiting = case.state is State.MANUAL_REVIEW
    proposal = case.proposal
    mine = waiting and proposal is None and case.claimed_by == viewer.staff_id

    def may(permission: Permission) -> bool:
        return viewer.may_in(permission, case.need_scope().branch)

    may_decide = may(Permission.REVIEW_DECIDE)
    return {
        "claim": waiting
        and proposal is None
        and case.claimed_by is None
        and may(Permission.REVIEW_CLAIM),
        "decide": mine and may_decide,
        "take_back": waiting
        and proposal is None
        and case.claimed_by not in (None, viewer.staff_id)
        and may(Permission.REVIEW_SIGN)
        and may(Permission.REVIEW_CLAIM),
        "repeat": waiting
        and proposal is None
        and may_decide
        and any(one.may_be_asked_again for one in case.checks.values()),
        "sign": waiting
        and proposal is not None
        and proposal.staff_id != viewer.staff_id
        and may(Permission.REVIEW_SIGN),
        "release": case.state is State.ON_HOLD and may(Permission.REVIEW_COMPLIANCE),
    }
