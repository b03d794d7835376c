"""The reviewers' desk: what people do with cases, for pages and API alike.

Every command runs under the case's lock in one transaction; what a person writes is sealed with the
applicant's keys first, because a remark about somebody is personal data too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from services.review import (
    appeals,
    disputes,
    examination,
    holds,
    limit_changes,
    officer_store,
    reason_codes,
    store,
    telephoning,
)
from services.review import case as cases
from services.review.case import Awaited, Case, CaseError, Finding, Opinion
from services.review.evidence import NOTE_FIELD, SHOWN_FIELDS, Opened, basis_of, open_evidence
from services.review.officers import Kind, Officer, Work
from services.review.telephone import Heard
from shared.calendar import business_day
from shared.events.intake import AppealWish, WantedItem
from shared.events.lifecycle import State
from shared.events.review import LimitBasis
from shared.identifiers import new_id
from shared.messaging import Effect, Service, Store
from shared.money import Money
from shared.parameters import load_checklist_items, load_return_codes
from shared.privacy.sealing import Sealed
from shared.privacy.vault import KeyUnavailableError, Vault
from shared.web import Permission, Problem, Viewer
from shared.web.audit import Line, record_view
from shared.web.audit_pages import told_words

NOTE_CLASS = "financial"
REASSIGNED_AT_ONCE = 200  # cases and what waits beside them

_STATUS = {
    "same-person": 403,
    "has-read": 403,
    "risk-officer-needed": 403,
    "escalated": 403,
    "unknown-reason": 422,
    "no-opinion": 422,
    "limit-too-high": 422,
    "limit-not-fitting": 422,
    "no-limit": 422,
    "nothing-wanted": 422,
    "unknown-item": 422,
    "unknown-outcome": 422,
    "unknown-officer": 422,
    "nothing-awaited": 422,
    "time-passed": 422,
    "other-wish": 422,
}  # any other refusal is a conflict with what the case has become

Decide = Callable[[Case, datetime], Iterable[Effect]]


@dataclass(frozen=True, slots=True)
class Reassigned:
    """What became of work that was to be given to somebody; refused: {what: problem code}."""

    given: list[Work]
    refused: dict[Work, str]


class Desk:
    """Commands on cases. Each raises Problem: 404 for a case that the viewer may not see, 403, 409
    or 422 with a code and plain words where the case does not allow it."""

    def __init__(
        self, service: Service, case_store: Store[Case], open_vault: Callable[[], Awaitable[Vault]]
    ) -> None:
        self._service = service
        self._store = case_store
        self._open_vault = open_vault

    async def claim(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_claim(
                case, viewer.staff_id, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def claim_next(self, viewer: Viewer, within: store.Wanted | None = None) -> Case | None:
        """Take the case that stands first in the queue, or in this part of it, of those that the
        viewer may take; None where there is none."""
        async with self._service.transaction(actor=viewer.actor) as tx:
            own = await officer_store.officer(tx.conn, viewer.staff_id)
            products = own.products if own else None
            escalated_in = viewer.reach_of(Permission.REVIEW_SIGN).branch_list
            wanted = within or _whole_queue(viewer)
            found = await store.next_waiting(tx.conn, wanted, products, escalated_in)
            if found is None:
                return None
            case = (await self._store.load(tx.conn, [found]))[found]
            effects = list(cases.decide_claim(case, viewer.staff_id, tx.now))
            await self._store.save(tx.conn, [case])
            await tx.append(effects, subject=found)
        return case

    async def claim_first(self, viewer: Viewer) -> Work | None:
        """Take what is due first of what is nobody's: an appeal, a dispute or a change of a limit
        that is due before every case of the queue, else the first case; None where there is nothing
        that the viewer may take. What somebody else took in the same moment, or what is about the
        viewer's own decision, is passed over."""
        async with self._service.pool.acquire() as conn:
            own = await officer_store.officer(conn, viewer.staff_id)
            products = own.products if own else None
            beside = await officer_store.beside_of(
                conn,
                viewer.reach_of(Permission.REVIEW_DECIDE).branch_list,
                None,
                REASSIGNED_AT_ONCE,
                knows_holds=viewer.knows_holds,
                products=products,
                before=await store.first_due(
                    conn,
                    _whole_queue(viewer),
                    products,
                    viewer.reach_of(Permission.REVIEW_SIGN).branch_list,
                ),
            )
        for one in beside:
            with suppress(Problem):
                await self._claim(viewer, one.work)
                return one.work
        case = await self.claim_next(viewer)
        return Work("case", case.application_id) if case else None

    async def reassign(
        self, viewer: Viewer, work: Iterable[Work], to: str, *, named: bool = True
    ) -> Reassigned:
        """Give cases, and what waits beside them, to an officer, each by itself: what one of them
        refuses holds up no other. named: one by one, not as all that somebody has."""
        async with self._service.pool.acquire() as conn:
            receiver = await officer_store.officer(conn, to)
        given: list[Work] = []
        refused: dict[Work, str] = {}
        for one in dict.fromkeys(work):
            try:
                await self._give(viewer, one, receiver, named=named)
            except Problem as problem:
                refused[one] = problem.code
            else:
                given.append(one)
        return Reassigned(given, refused)

    async def _claim(self, viewer: Viewer, one: Work) -> None:
        decide = _claiming(one.kind)
        await self._run(
            viewer,
            one.application_id,
            lambda case, now: decide(case, viewer.staff_id, now),
        )

    async def _give(
        self, viewer: Viewer, one: Work, receiver: Officer | None, *, named: bool
    ) -> None:
        # An appeal goes to nobody who decided: whoever may not know of holds would find by trying
        # whether all of those are officers.
        to_oneself = receiver is not None and receiver.staff_id == viewer.staff_id
        if one.kind == "appeal" and not viewer.knows_holds and not to_oneself:
            raise Problem(403, "not-permitted", "You may not do this")
        decide = _giving(one.kind, named=named)
        await self._run(
            viewer,
            one.application_id,
            lambda case, now: decide(case, viewer.staff_id, receiver, now),
        )

    async def reassign_all(self, viewer: Viewer, holder: str, to: str) -> Reassigned:
        """Give what an officer has open to another, what is due first in front, as many as are
        given at once. An escalated case goes to a risk officer alone."""
        async with self._service.pool.acquire() as conn:
            found = await officer_store.work_of(
                conn, viewer.branch_list, holder, REASSIGNED_AT_ONCE
            )
        return await self.reassign(viewer, found, to, named=False)

    async def take_over(self, viewer: Viewer, holder: str) -> Reassigned:
        """Take what is open of an officer who is away and for whom the viewer stands in; raises
        Problem 403 for anybody else."""
        today = business_day(self._service.clock.now())
        async with self._service.pool.acquire() as conn:
            absent = await officer_store.holders(conn, [holder])
        if not any(one.stood_in_for_by(viewer.staff_id, today) for one in absent):
            raise Problem(403, "not-deputy", "You do not stand in for this officer today")
        return await self.reassign_all(viewer, holder, viewer.staff_id)

    async def put_back(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_put_back(
                case,
                viewer.staff_id,
                now,
                may_sign=viewer.may_in(Permission.REVIEW_SIGN, case.need_scope().branch),
            ),
        )

    async def propose_approval(
        self, viewer: Viewer, application_id: str, limit: Money, note: str
    ) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_propose_approval(
                case, viewer.staff_id, limit, sealed, now
            ),
        )

    async def propose_decline(
        self, viewer: Viewer, application_id: str, reason: str, note: str
    ) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_propose_decline(
                case, viewer.staff_id, reason, sealed, now
            ),
        )

    async def sign(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_sign(
                case, viewer.staff_id, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def give_opinion(
        self, viewer: Viewer, application_id: str, limit: Money | None, reason: str, note: str
    ) -> Case:
        """limit: to approve; None: to decline for `reason`."""
        opinion = Opinion(limit, reason, await self._seal(viewer, application_id, note))
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_opinion(
                case, viewer.staff_id, opinion, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def send_back(self, viewer: Viewer, application_id: str, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_return(
                case, viewer.staff_id, sealed, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def want_material(
        self, viewer: Viewer, application_id: str, items: Sequence[WantedItem]
    ) -> Case:
        known, codes = load_checklist_items().items, load_return_codes().codes
        if any(item.item not in known or item.code not in codes for item in items):
            raise _problem(CaseError("unknown-item", "Choose items and codes of the catalogue"))
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_want_material(case, viewer.staff_id, items, now),
        )

    async def hold(self, viewer: Viewer, application_id: str, reason: str, note: str) -> Case:
        """reason: a code of the catalogue of holds."""
        known = next((one for one in holds.BY_OFFICERS if one == reason), None)
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_hold(case, viewer.staff_id, known, sealed, now),
        )

    async def release(
        self,
        viewer: Viewer,
        application_id: str,
        finding: Finding,
        note: str,
        screening: str | None = None,
    ) -> Case:
        """`screening`: the watchlists' answer that the viewer was shown, by its request."""
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_release(
                case, viewer.staff_id, finding, sealed, now, screening=screening
            ),
        )

    async def snooze(
        self,
        viewer: Viewer,
        application_id: str,
        until: datetime | None,
        awaited: Awaited | None,
        note: str,
    ) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_snooze(
                case, viewer.staff_id, until, awaited, sealed, now
            ),
        )

    async def escalate(self, viewer: Viewer, application_id: str, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_escalate(
                case, viewer.staff_id, sealed, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def note(self, viewer: Viewer, application_id: str, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: cases.decide_note(case, viewer.staff_id, sealed, now),
        )

    async def order_call(self, viewer: Viewer, application_id: str, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: telephoning.decide_order(case, viewer.staff_id, sealed, now),
        )

    async def called(self, viewer: Viewer, application_id: str, heard: Heard, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: telephoning.decide_called(case, viewer.staff_id, heard, sealed, now),
        )

    async def wake(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer, application_id, lambda case, now: cases.decide_wake(case, viewer.staff_id, now)
        )

    async def open_appeal(
        self, viewer: Viewer, application_id: str, wish: AppealWish, words: str
    ) -> Case:
        """For the customer, who telephoned or came to the branch."""
        sealed = await self._seal(viewer, application_id, words)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: appeals.decide_open(
                case, new_id(), wish, sealed, viewer.staff_id, now
            ),
        )

    async def claim_appeal(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: appeals.decide_claim(case, viewer.staff_id, now),
        )

    async def put_back_appeal(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: appeals.decide_put_back(
                case, viewer.staff_id, now, may_sign=is_risk_officer(viewer, case)
            ),
        )

    async def answer_appeal(
        self, viewer: Viewer, application_id: str, outcome: appeals.Answer, note: str
    ) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        basis = await self._basis(await self.look(viewer, application_id))
        return await self._run(
            viewer,
            application_id,
            lambda case, now: appeals.decide_answer(
                case, viewer.staff_id, outcome, sealed, now, change_id=new_id(), basis=basis
            ),
        )

    async def open_dispute(self, viewer: Viewer, application_id: str, words: str) -> Case:
        """For the customer, who telephoned or came to the branch."""
        sealed = await self._seal(viewer, application_id, words)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: disputes.decide_open(case, new_id(), sealed, viewer.staff_id, now),
        )

    async def claim_dispute(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: disputes.decide_claim(case, viewer.staff_id, now),
        )

    async def put_back_dispute(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: disputes.decide_put_back(
                case, viewer.staff_id, now, may_sign=is_risk_officer(viewer, case)
            ),
        )

    async def answer_dispute(
        self, viewer: Viewer, application_id: str, outcome: disputes.Outcome, note: str
    ) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: disputes.decide_answer(case, viewer.staff_id, outcome, sealed, now),
        )

    async def repeat_checks(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: examination.repeat(case, viewer.staff_id, now),
        )

    def now(self) -> datetime:
        """The business time."""
        return self._service.clock.now()

    async def look(self, viewer: Viewer, application_id: str) -> Case:
        """The case, if the viewer may see it."""
        async with self._service.pool.acquire() as conn:
            found = await store.find_case(conn, application_id)
        if found is None:
            raise _unknown()
        return visible(found, viewer)

    async def revealable(self, viewer: Viewer, application_id: str, field: str) -> Case:
        """The case, if the viewer may see it and it has that field of the applicant, or that part
        of the evidence. Raises Problem 404."""
        case = await self.look(viewer, application_id)
        bureau, screened = case.checks.get("bureau"), case.checks.get("watchlist")
        there = {
            "bureau": bureau is not None and bureau.answer is not None,
            "limit": case.recommendation is not None,
            "score": case.recommendation is not None and case.recommendation.points is not None,
            "watchlist": screened is not None
            and screened.answer is not None
            and viewer.may_in(Permission.REVIEW_COMPLIANCE, case.need_scope().branch),
        }
        fields = case.need_hand_over().examined.fields
        if not there.get(field, field in SHOWN_FIELDS and field in fields):
            raise Problem(404, "not-found", "There is no such field")
        return case

    async def reveal(self, viewer: Viewer, case: Case, field: str, why: str, text: str) -> str:
        """A field of the applicant in clear for a viewer who may see it, recorded before it is
        shown: whose, which, why (a code) and, sealed, in what words."""
        party = case.need_hand_over().examined
        vault = await self._open_vault()
        try:
            opened = await vault.open(party.party_id, {field: str(party.fields[field])})
        except KeyUnavailableError:
            raise erased() from None
        await self._note_view(viewer, case, field, why, text)
        return opened[field]

    async def reveal_evidence(
        self, viewer: Viewer, case: Case, field: str, why: str, text: str
    ) -> Opened:
        """The evidence in clear, recorded as a look at that part of it. Raises Problem 409 where
        its key is gone."""
        opened = await open_evidence(await self._open_vault(), case, [])
        gone = (
            opened.verdict is None if field in ("limit", "score") else field not in opened.answers
        )
        if gone:
            raise erased()
        await self._note_view(viewer, case, field, why, text)
        return opened

    async def open_line(
        self, viewer: Viewer, line: Line, why: str, text: str
    ) -> list[tuple[str, str, str]]:
        """What somebody wrote on a line of the audit log, in clear as far as its key is there:
        [(what, old, new)]; recorded before it is shown."""
        assert line.application_id is not None  # nothing else has anything sealed
        case = await self.look(viewer, line.application_id)
        notes = [Sealed(one.new) for one in line.sealed if one.new]
        vault = await self._open_vault()
        keys = await vault.data_keys(
            {one.parts.data_key_id for one in notes}, leave_out_unavailable=True
        )
        what = f"audit {line.place.source} {line.place.id}"
        await self._note_view(viewer, case, None, why, text, what=what)
        return [
            told_words(key.open(NOTE_FIELD, one) if key else None)
            for one in notes
            for key in [keys.get(one.parts.data_key_id)]
        ]

    async def _note_view(
        self,
        viewer: Viewer,
        case: Case,
        field: str | None,
        why: str,
        text: str,
        what: str = "field",
    ) -> None:
        reason = None
        with suppress(KeyUnavailableError):  # the code of the reason is kept all the same
            reason = await self._sealed(case, text)
        async with self._service.transaction(actor=viewer.actor) as tx:
            await record_view(
                tx.conn,
                case.application_id,
                viewer.staff_id,
                what,
                tx.now,
                field=(case.need_hand_over().examined.role.value, field) if field else None,
                why=why,
                reason=reason or None,
            )

    async def _run(self, viewer: Viewer, application_id: str, decide: Decide) -> Case:
        def guarded(case: Case, now: datetime) -> Iterable[Effect]:
            return list(decide(visible(case, viewer), now))

        try:
            return await self._service.execute(
                self._store, application_id, guarded, actor=viewer.actor
            )
        except CaseError as error:
            raise _problem(error) from error

    async def _seal(self, viewer: Viewer, application_id: str, note: str) -> str:
        """The note under the applicant's keys; an empty one stays empty and is refused where an
        opinion is needed."""
        found = await self.look(viewer, application_id)
        try:
            return await self._sealed(found, note)
        except KeyUnavailableError:
            raise erased() from None

    async def _basis(self, case: Case) -> LimitBasis | None:
        """What bounded a limit that the policy alone set, for an answer about it."""
        if appeals.about(case.state) == "decline":
            return None
        try:
            async with self._service.pool.acquire() as conn:
                return await basis_of(conn, self._open_vault, case)
        except KeyUnavailableError:
            raise erased() from None

    async def _sealed(self, case: Case, words: str) -> str:
        """Words under the applicant's keys. Raises KeyUnavailableError."""
        if not words.strip():
            return ""
        party = case.need_hand_over().examined
        vault = await self._open_vault()
        keys = await vault.party_keys(party.party_id, case.application_id)
        return str(keys.seal(NOTE_CLASS, NOTE_FIELD, words.strip()))


def _whole_queue(viewer: Viewer) -> store.Wanted:
    return store.Wanted("open", viewer.staff_id, viewer.branch_list)


def _claiming(kind: Kind) -> Callable[[Case, str, datetime], Iterable[Effect]]:
    """What is decided when an officer takes it."""
    match kind:
        case "appeal":
            return appeals.decide_claim
        case "dispute":
            return disputes.decide_claim
        case "limit_change":
            return limit_changes.decide_claim
        case _:
            return cases.decide_claim


def _giving(
    kind: Kind, *, named: bool
) -> Callable[[Case, str, Officer | None, datetime], Iterable[Effect]]:
    """What is decided when it is given to an officer."""
    match kind:
        case "appeal":
            return appeals.decide_reassign
        case "dispute":
            return disputes.decide_reassign
        case "limit_change":
            return limit_changes.decide_reassign
        case _:
            return partial(cases.decide_reassign, named=named)


def is_risk_officer(viewer: Viewer, case: Case) -> bool:
    """Whether the viewer is one there: may sign whatever the amount."""
    return viewer.may_in(Permission.REVIEW_SIGN, case.need_scope().branch)


def visible(case: Case, viewer: Viewer) -> Case:
    """The case itself. Raises Problem 404 where the viewer may not see it, so that nobody learns
    what exists elsewhere."""
    if case.state is None or case.hand_over is None or case.scope is None:
        raise _unknown()
    if not viewer.sees(case.scope.branch):
        raise _unknown()
    return case


def public_findings(codes: Iterable[str], *, confidential: bool) -> list[str]:
    """The findings that this reader may see: what compliance looks into only for compliance."""
    return [
        code
        for code in codes
        if confidential or reason_codes.REASONS[code].effect is not reason_codes.Effect.HOLD
    ]


def waits_for(case: Case) -> str:
    """What the case needs next, as a stable word: reviewer, decision, signature, compliance, checks
    or nothing."""
    if case.state is State.ON_HOLD:
        return "compliance"
    if case.state in (State.CHECKING, State.SCORING):
        return "checks"
    if case.state is not State.MANUAL_REVIEW:
        return "nothing"
    if case.proposal is not None:
        return "signature"
    return "decision" if case.claimed_by else "reviewer"


def erased() -> Problem:
    """What of a case can be opened no more."""
    return Problem(
        409, "erased", "The applicant's data was erased or restricted: nothing is added or shown"
    )


def _unknown() -> Problem:
    return Problem(404, "not-found", "There is no such case")


def _problem(error: CaseError) -> Problem:
    return Problem(_STATUS.get(error.code, 409), error.code, error.words)
