"""Changes of a card's limit after the decision: an increase, one for a time, a decrease. Each is a
case of its own with its own clock and its own evidence; the decided application stays as it was.

Pure, like `case`: the case of the application is the lock, and carries its changes. What the
customer may have is worked out by the same policy and the same deduction as the first limit (2022
joint notice: increases, temporary ones too).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

from services.review import case as cases
from services.review import examination, limit_grounds
from services.review.case import BLOCKS_APPROVAL, Case, CaseError, Check, Recommendation
from services.review.checks import ASKED, CHECKS, CheckName
from services.review.limit_grounds import (
    RAISES,
    SUSPICION,
    Account,
    Evidence,
    Grounds,
    Terms,
    Weighed,
    WorkedOut,
    income_stale,
    weigh,
)
from services.review.limits import LIMIT_ROUNDING
from services.review.materials import SECOND_SOURCE
from services.review.officers import Officer
from services.review.reason_codes import REASONS, without_suspicion
from shared.calendar import (
    BUSINESS_ZONE,
    add_working_days,
    business_day,
    due_about,
    end_of_day,
)
from shared.events import review
from shared.events.intake import LimitChangeKind
from shared.events.lifecycle import HAS_CARD, Desk
from shared.events.payload import ApplicantType, CreditConsent
from shared.messaging import Call, ClearDeadline, Deadline, Effect, Exhausted, Fact, Succeeded
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_checks, load_clocks, load_limit_changes, product_of
from shared.parameters.models import LimitRules
from shared.web.i18n import mark

WORKING_OUT: Final = "limit"  # kind of the call that opens the evidence and applies the policy
DUE_DEADLINE: Final = "limit_change"
REMINDER_DEADLINE: Final = "limit_reminder"
EXPIRY_DEADLINE: Final = "limit_expiry"


class ChangeState(StrEnum):
    """Where a change stands."""

    CHECKING = "checking"
    HELD = "held"
    DECIDING = "deciding"
    PROPOSED = "proposed"
    IN_FORCE = "in_force"
    GRANTED = "granted"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a state, and by which clock: the change's due time, or its last day."""

    desk: Desk
    waiting_on: Literal["bank", "partner", "customer"]
    clock: Literal["due", "until"]


OWNERS: Final[Mapping[ChangeState, Owner]] = {
    ChangeState.CHECKING: Owner("risk", "partner", "due"),
    ChangeState.HELD: Owner("compliance", "bank", "due"),
    ChangeState.DECIDING: Owner("credit_review", "bank", "due"),
    ChangeState.PROPOSED: Owner("risk", "bank", "due"),
    ChangeState.IN_FORCE: Owner("credit_review", "customer", "until"),
}
"""Every state that something leaves; the others are final."""

UNDECIDED: Final = frozenset(
    {ChangeState.CHECKING, ChangeState.HELD, ChangeState.DECIDING, ChangeState.PROPOSED}
)

MOVES: Final[Mapping[ChangeState | None, frozenset[ChangeState]]] = {
    None: frozenset(
        {ChangeState.CHECKING, ChangeState.DECIDING, ChangeState.GRANTED, ChangeState.REFUSED}
    ),
    ChangeState.CHECKING: frozenset(
        {ChangeState.HELD, ChangeState.DECIDING, ChangeState.GRANTED, ChangeState.IN_FORCE}
    ),
    ChangeState.HELD: frozenset({ChangeState.CHECKING, ChangeState.DECIDING, ChangeState.REFUSED}),
    ChangeState.DECIDING: frozenset(
        {ChangeState.CHECKING, ChangeState.PROPOSED, ChangeState.REFUSED}
    ),
    ChangeState.PROPOSED: frozenset(
        {
            ChangeState.CHECKING,
            ChangeState.DECIDING,
            ChangeState.GRANTED,
            ChangeState.IN_FORCE,
            ChangeState.REFUSED,
        }
    ),
    ChangeState.IN_FORCE: frozenset({ChangeState.ENDED}),
}
"""State before -> states that may follow; None: not begun."""

FINAL: Final = frozenset(ChangeState) - OWNERS.keys()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `wanted`: the whole limit that the card shall have; `until`: last day of a
    temporary one. `agreed_at`: when the customer asked or agreed, None where the bank lowers by
    itself. `consent`: to a new query of the bureau. `guarantee_on`: a student's second source of
    repayment agreed in writing. `income`, `words`: sealed."""

    kind: LimitChangeKind
    wanted: Money
    until: date | None = None
    agreed_at: datetime | None = None
    consent: CreditConsent | None = None
    guarantee_on: date | None = None
    income: str | None = None
    income_on: date | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """The decision about a change with what it rests on; written once, never changed. `grounds`,
    `weighed`: frozen, of `limit_grounds`; `policy`: what the policy had said, with its sealed
    inputs; None where nobody asked it."""

    outcome: Literal["granted", "refused"]
    granted: Money | None
    decided_by: tuple[str, ...]
    at: datetime
    grounds: str
    weighed: str
    policy: Recommendation | None

    @property
    def automatic(self) -> bool:
        return not self.decided_by


@dataclass(slots=True)
class LimitChange:
    """One change. `before`: the lasting limit when it was opened. `own_existing`: fen of the
    person's other cards as the recommendation deducted them. `looked_into`: request of the
    watchlists' answer that compliance has judged. `claimed_by`: who has it; None: the branch's
    reviewers. `decision`: a new one, to be written; `changed`: to be written."""

    change_id: str
    number: str
    asked: Asked
    asked_by: str
    asked_at: datetime
    due: datetime
    before: Money
    state: ChangeState | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    round: int = 0
    recommendation: Recommendation | None = None
    own_existing: int | None = None
    looked_into: str | None = None
    proposed_by: str | None = None
    proposed_at: datetime | None = None
    proposed_limit: Money | None = None
    note: str = ""
    returned: str = ""
    claimed_by: str | None = None
    decided_by: tuple[str, ...] = ()
    decided_at: datetime | None = None
    granted: Money | None = None
    effective_on: date | None = None
    ended_at: datetime | None = None
    decision: LimitDecision | None = None
    changed: bool = False

    @property
    def kind(self) -> LimitChangeKind:
        return self.asked.kind

    @property
    def by_bank(self) -> bool:
        """Whether the bank wants it, without the customer."""
        return self.asked.agreed_at is None

    @property
    def undecided(self) -> bool:
        return self.state in UNDECIDED

    @property
    def names_deciders(self) -> bool:
        """Whether it is told who decided. Of an increase that was refused it is not: compliance
        refuses after a hold as well, and nothing may tell that refusal from an officer's."""
        return self.granted is not None or self.kind not in RAISES

    @property
    def suspicious(self) -> bool:
        """Whether the watchlists' answer is one that compliance has to look into."""
        screened = self.checks.get("watchlist")
        judged = screened is not None and screened.request_id == self.looked_into
        found = self.recommendation
        return (
            found is not None and not judged and without_suspicion(found.findings) != found.findings
        )

    def forget_proposal(self) -> None:
        """Nothing is proposed any more."""
        self.proposed_by = self.proposed_at = self.proposed_limit = None
        self.note = ""

    def to(self, state: ChangeState) -> None:
        """Raises CaseError where it cannot follow: that is a fault of ours."""
        if state not in MOVES.get(self.state, frozenset()):
            raise CaseError(
                "nothing-to-decide", f"A change that is {self.state} becomes no {state}"
            )
        self.state, self.changed = state, True


# --- limits ------------------------------------------------------------------------------------


def rules_of(case: Case) -> LimitRules:
    """The product's bounds for one card."""
    scope = case.need_scope()
    return product_of(scope.product, scope.product_version).limit


def lasting_limit(case: Case) -> Money | None:
    """What the card has for good: as it was decided, or as it was changed since, be it that the
    change takes effect in some days only; None where no limit is known."""
    return _lasting(case, date.max)


def _lasting(case: Case, day: date) -> Money | None:
    """The lasting limit that is in effect on this day."""
    for one in reversed(case.limit_changes):
        begun = one.effective_on is None or one.effective_on <= day
        if one.state is ChangeState.GRANTED and begun:
            return one.granted
    return case.limit


def changed_since(case: Case) -> bool:
    """Whether the card has another lasting limit than the one that was decided with it."""
    return any(one.state is ChangeState.GRANTED for one in case.limit_changes)


def temporary_one(case: Case) -> LimitChange | None:
    """The temporary limit that the card has now."""
    return next((one for one in case.limit_changes if one.state is ChangeState.IN_FORCE), None)


def limit_now(case: Case) -> Money | None:
    """What the card has now, a temporary limit included."""
    raised = temporary_one(case)
    return raised.granted if raised is not None else lasting_limit(case)


def open_change(case: Case) -> LimitChange | None:
    """The one that waits for its decision."""
    return next((one for one in case.limit_changes if one.undecided), None)


def grounds_of(case: Case, change: LimitChange, now: datetime) -> Grounds:
    """Everything that counts for a decision about this change now."""
    asked, scope, found = change.asked, case.need_scope(), change.recommendation
    raised = temporary_one(case)
    seen = {"IDENTITY_UNAVAILABLE"} if cases.seen_instead(case, change.checks) else set()
    items = {document.item for document in case.need_hand_over().documents}
    return Grounds(
        kind=change.kind,
        wanted=asked.wanted.minor,
        until=asked.until,
        at=now,
        agreed_at=asked.agreed_at,
        income_on=_income_on(case, asked),
        student=scope.applicant_type == ApplicantType.STUDENT,
        second_source=SECOND_SOURCE in items,
        guarantee_on=asked.guarantee_on,
        no_own_limit=scope.applicant_type == ApplicantType.SUPPLEMENTARY,
        beside=any(one.undecided and one is not change for one in case.limit_changes),
        raised=raised is not None and raised is not change,
        lasting=(lasting_limit(case) or Money.zero()).minor,
        own_limits=case.own_limits,
        account=_account_of(case),
        evidence=tuple(
            Evidence(one.name, one.outcome, one.ended_at, cases.still_holds(one, now, case))
            for one in change.checks.values()
            if one.name in ASKED  # what review looks at by itself counts as findings
        ),
        worked_out=WorkedOut(
            ceiling=found.ceiling.minor,
            own_existing=change.own_existing,
            blocking=tuple(one for one in found.findings if one in BLOCKS_APPROVAL - seen),
            suspicious=change.suspicious,
        )
        if found is not None
        else None,
        terms=_terms(case),
    )


def _income_on(case: Case, asked: Asked) -> date:
    return asked.income_on or business_day(case.need_hand_over().submitted_at)


def _account_of(case: Case) -> Account | None:
    facts = case.account_facts
    if facts is None:
        return None
    most_owed = facts.most_owed
    return Account(
        as_of=facts.as_of,
        opened_on=facts.opened_on,
        closed_on=facts.closed_on,
        days_past_due=facts.days_past_due,
        most_owed=most_owed.minor if most_owed is not None else None,
    )


def _terms(case: Case) -> Terms:
    terms, rules = load_limit_changes(), rules_of(case)
    return Terms(
        stale_days=terms.account.stale_days,
        most_days_past_due=terms.account.most_days_past_due,
        income_days=terms.income_days,
        guarantee_days=terms.guarantee_days,
        longest_days=terms.temporary.longest_days,
        held_days=terms.temporary.held_days,
        smallest=rules.smallest.minor,
        step=rules.step.minor,
    )


def weighed(case: Case, change: LimitChange, now: datetime) -> Weighed:
    """Whether anything stands against a change now, and between which bounds it may be granted."""
    return weigh(grounds_of(case, change, now))


def not_below(case: Case, now: datetime) -> Money | None:
    """How far the limit may be lowered, as `limit_grounds` says it."""
    return limit_grounds.not_below(_account_of(case), business_day(now), _terms(case))


# --- asking ------------------------------------------------------------------------------------


def on_requested(
    case: Case,
    change_id: str,
    asked: Asked,
    asked_by: str,
    now: datetime,
    *,
    asked_at: datetime | None = None,
) -> Iterable[Effect]:
    """The customer asks through intake, `asked_at` if it was not just now: the clock runs from
    then. What came twice has one effect; where another change waits
    for its decision it is refused, because the two would be worked out beside each other."""
    if any(one.change_id == change_id for one in case.limit_changes):
        return []
    refused = _not_changeable(case, asked)
    if refused is not None:
        if case.state not in HAS_CARD or lasting_limit(case) is None:
            raise Permanent(f"a change of a limit: {refused.words}")
        change = _new(case, change_id, asked, asked_by, asked_at or now)
        change.to(ChangeState.REFUSED)
        change.decided_at = now
        _keep(change, grounds_of(case, change, now))
        case.note(now, "review", "limit_change_refused", number=change.number, code=refused.code)
        return [_decided(case, change)]
    return _open(case, change_id, asked, asked_by, now, asked_at)


def begin_increase(
    case: Case, change_id: str, asked: Asked, asked_by: str, now: datetime
) -> list[Effect] | None:
    """An appeal found that the customer's wish for a higher limit deserves a new decision: it is
    begun, and goes by its own rules from here. None where the customer has to ask for it
    themselves: the card does not work yet, has a limit for a time, has as much already or another
    limit since; or it would need what only their request brings. Raises CaseError where its limit
    cannot be raised at all, or another change waits."""
    lasting = lasting_limit(case)
    refused = _no_own_limit(case) or _not_changeable(case, asked)
    if refused is not None and refused.code not in ("no-card", "temporary-in-force"):
        raise refused
    if refused is not None or lasting is None or asked.wanted <= lasting:
        return None
    if changed_since(case) or not _all_there(case, asked, now):
        return None
    return list(_open(case, change_id, asked, asked_by, now))


def _all_there(case: Case, asked: Asked, now: datetime) -> bool:
    """Whether an increase needs neither a query for which the customer has to consent nor a new
    proof of the income: nothing adds either to a change once it is open."""
    answers = [case.checks.get(name) for name, one in ASKED.items() if one.with_consent]
    if income_stale(_income_on(case, asked), business_day(now), _terms(case)):
        return False
    return all(one is not None and cases.still_holds(one, now, case) for one in answers)


def decide_lower(
    case: Case, change_id: str, limit: Money, note: str, staff_id: str, now: datetime
) -> Iterable[Effect]:
    """An officer proposes to lower a limit, a risk measure of the bank's own: a risk officer
    signs, and the customer is told before it takes effect."""
    if not note.strip():
        raise CaseError("no-opinion", "Say in words why the limit shall be lower")
    asked = Asked(LimitChangeKind.DECREASE, limit)
    refused = _not_changeable(case, asked)
    if refused is not None:
        raise refused
    effects = list(_open(case, change_id, asked, f"staff:{staff_id}", now))
    return [*effects, *decide_grant(case, staff_id, limit, note, now)]


def may_be_lowered(case: Case) -> bool:
    """Whether the bank may propose a lower limit now."""
    return _not_changeable(case, Asked(LimitChangeKind.DECREASE, Money.zero())) is None


def _not_changeable(case: Case, asked: Asked) -> CaseError | None:
    """Why the limit of this card is not changed now; None: it may be."""
    if case.state not in HAS_CARD:
        return CaseError("no-card", "Only the limit of an activated card is changed")
    no_own_limit = _no_own_limit(case)
    if no_own_limit is not None:
        return no_own_limit
    if open_change(case) is not None:
        return CaseError("limit-change-open", "A change of this limit waits for its decision")
    if asked.kind in RAISES and temporary_one(case) is not None:
        return CaseError("temporary-in-force", "A temporary limit is in force until its last day")
    return None


def _no_own_limit(case: Case) -> CaseError | None:
    supplementary = case.need_scope().applicant_type == ApplicantType.SUPPLEMENTARY
    if lasting_limit(case) is not None and not supplementary:
        return None
    return CaseError("no-own-limit", "The card has no limit of its own that is known here")


def _new(
    case: Case, change_id: str, asked: Asked, asked_by: str, asked_at: datetime
) -> LimitChange:
    since = max([asked_at, *(one.asked_at for one in case.limit_changes)])
    number = f"{case.need_scope().application_number}-L{len(case.limit_changes) + 1}"
    before = lasting_limit(case) or Money.zero()
    due = due_about(since, load_limit_changes().working_days)
    change = LimitChange(change_id, number, asked, asked_by, since, due, before, changed=True)
    case.limit_changes.append(change)
    return change


def _open(
    case: Case,
    change_id: str,
    asked: Asked,
    asked_by: str,
    now: datetime,
    asked_at: datetime | None = None,
) -> Iterable[Effect]:
    change = _new(case, change_id, asked, asked_by, asked_at or now)
    kind, _sep, staff_id = asked_by.partition(":")
    actor = staff_id if kind == "staff" else "customer"
    case.note(
        now, actor, "limit_change_opened", number=change.number, change=change.kind,
        limit=asked.wanted.minor, note=asked.words,
    )  # fmt: skip
    event = review.LimitChangeOpened(
        **_about(case, change),
        by_bank=change.by_bank,
        working_days=load_limit_changes().working_days,
    )
    opened: list[Effect] = [
        Fact(event, state_version=case.state_version),
        Deadline(DUE_DEADLINE, change.due),
    ]
    if change.kind in RAISES:
        change.to(ChangeState.CHECKING)
        return [*opened, *_examine(case, change, now)]
    if not change.by_bank and _may_be(case, change, asked.wanted, now) is None:
        return [*opened, *_grant(case, change, asked.wanted, (), now)]
    change.to(ChangeState.DECIDING)
    return opened


# --- evidence ----------------------------------------------------------------------------------


def decide_again(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Ask anew what is too old or could not be answered, and work the limit out again."""
    change = _deciding(case, staff_id)
    if change.kind not in RAISES or not mends(case, change, now):
        raise CaseError("nothing-to-repeat", "Every check was answered, or is on its way")
    change.to(ChangeState.CHECKING)
    case.note(now, staff_id, "limit_change_examined_again", number=change.number)
    return _examine(case, change, now)


def mends(case: Case, change: LimitChange, now: datetime) -> bool:
    """Whether asking again may take an obstacle away."""
    found = set(grant_obstacles(case, change, now))
    return bool(found & _MENDED_BY_ASKING) or any(
        check.may_be_asked_again for check in change.checks.values()
    )


def _examine(case: Case, change: LimitChange, now: datetime) -> list[Effect]:
    """Use again what is still valid of the application's answers and of this change's; ask the
    rest, the bureau only with a consent that the customer signed for it."""
    change.round += 1
    change.changed = True
    effects: list[Effect] = []
    for name in ASKED:
        held = [change.checks.get(name), case.checks.get(name)]
        usable = [one for one in held if one is not None and cases.still_holds(one, now, case)]
        if usable:
            change.checks[name] = replace(max(usable, key=lambda one: one.ended_at or now))
            case.note(now, "review", "check_reused", check=name, number=change.number)
        else:
            effects += _ask(case, change, name, now)
    return effects + _work_out_if_ended(case, change)


def _ask(case: Case, change: LimitChange, name: CheckName, now: datetime) -> list[Effect]:
    request_id = f"{case.application_id}:{name}:{change.change_id}:{change.round}"
    check, asked = Check(name, request_id, change.round, now), ASKED[name]
    check.lists_known = case.lists.number
    consent, fields = change.asked.consent, case.need_hand_over().examined.fields
    check.about = asked.digest(fields)
    check = examination.once_more(case, change.checks.get(name), check, consent)
    change.checks[name] = check
    if asked.with_consent and not examination.consent_covers(consent, now):
        return _close(case, change, check, "unavailable", now, why="no-consent")
    if any(one not in fields for one in asked.needs):
        return _close(case, change, check, "unavailable", now, why="no-data")
    case.note(
        now, "review", "check_requested", check=name, basis=CHECKS[name].basis,
        number=change.number, **(examination.consent_kept(consent) if asked.with_consent else {}),
    )  # fmt: skip
    event = review.CheckRequested(**case.fields(), check=name, attempt=change.round)
    return [Fact(event), examination.call_for(case, check, consent)]


def ask_anew(case: Case, name: CheckName, now: datetime) -> list[Effect]:
    """An answer is known to be wrong: a change that waits rests on it no more and has it asked for
    again, the bureau with the customer's consent to this change alone. What was proposed by it is
    proposed no more; one that is held is held again once it is worked out."""
    change = open_change(case)
    check = change.checks.get(name) if change is not None else None
    if change is None or check is None or check.outcome != "answered":
        return []
    if change.state is ChangeState.PROPOSED:
        change.forget_proposal()
        case.note(now, "review", "limit_change_returned", number=change.number)
    if change.state is not ChangeState.CHECKING:
        change.to(ChangeState.CHECKING)
    case.note(now, "review", "check_repeated", check=name, number=change.number)
    change.round += 1  # a working that is on its way rests on the old answer
    change.changed = True
    return [*_ask(case, change, name, now), *_work_out_if_ended(case, change)]


def awaits(case: Case, request_id: str) -> LimitChange | None:
    """The change that waits for the answer to this very question."""
    for change in case.limit_changes:
        for check in change.checks.values():
            if check.request_id == request_id and check.outcome == "pending":
                return change
    return None


def on_checked(
    case: Case, change: LimitChange, name: CheckName, result: Any, now: datetime
) -> list[Effect]:
    """One of the bank's systems answered, is known not to, or is away: then it is asked again by
    itself, as for an application."""
    check = change.checks[name]
    check.attempts += result.call.attempt
    change.changed = True
    if isinstance(result, Succeeded):
        check.answer = result.value["answer"]
        check.screened_with = result.value.get("screened_with", "")
        effects = _close(case, change, check, "answered", now)
    elif isinstance(result, Exhausted) and examination.keeps_waiting(check, now):
        if check.waits_since == now:
            case.note(now, "review", "check_waits", check=name, number=change.number)
        return [examination.call_for(case, check, change.asked.consent)]
    else:
        why = "away" if isinstance(result, Exhausted) else result.reason
        effects = _close(case, change, check, "unavailable", now, why=why)
    return effects + _work_out_if_ended(case, change)


def _close(
    case: Case,
    change: LimitChange,
    check: Check,
    outcome: Literal["answered", "unavailable"],
    now: datetime,
    why: str | None = None,
) -> list[Effect]:
    check.outcome, check.ended_at, check.why, check.asked_again = outcome, now, why, None
    held = outcome == "answered" and check.name in ASKED
    check.valid_until = examination.valid_until(check, now) if held else None
    case.note(
        now, "review", "check_ended", check=check.name, outcome=outcome, why=why,
        number=change.number,
    )  # fmt: skip
    return [Fact(review.CheckCompleted(**case.fields(), check=check.name, outcome=outcome))]


def _work_out_if_ended(case: Case, change: LimitChange) -> list[Effect]:
    if any(one.outcome == "pending" for one in change.checks.values()):
        return []
    payload = examination.evidence_of(case, change.checks)
    if change.asked.income is not None:
        payload["fields"] = {**payload["fields"], "monthly_income": change.asked.income}
        proofs = load_checks().plausibility.proofs  # the application's, of the income of that time
        payload["papers"] = [one for one in payload["papers"] if one not in proofs]
    return [
        Call(
            kind=WORKING_OUT,
            key=f"{change.change_id}:{WORKING_OUT}:{change.round}",
            payload={
                **payload,
                "requested_limit": change.asked.wanted.minor,
                "change_id": change.change_id,
                "round": change.round,
            },
        )
    ]


def on_worked_out(result: Any, case: Case, now: datetime) -> Iterable[Effect]:
    """The policy was applied to the evidence of the change. An outdated result changes nothing; one
    that could not be had goes to a person, who grants nothing on a guess."""
    payload = result.call.payload
    change = next(
        (one for one in case.limit_changes if one.change_id == payload["change_id"]), None
    )
    if (
        change is None
        or change.state is not ChangeState.CHECKING
        or change.round != payload["round"]
    ):
        return []
    if not isinstance(result, Succeeded):
        change.recommendation, change.own_existing = None, None
        case.note(now, "review", "scoring_failed", why=result.reason, number=change.number)
        change.to(ChangeState.DECIDING)
        return []
    value = result.value
    looked = _looked_at(case, change, value.get("own", {}), now)  # of before: none
    change.own_existing = value["own_existing"]
    change.recommendation = found = Recommendation(
        outcome=value["outcome"],
        advice=value["advice"],
        findings=tuple(value["findings"]),
        limit=Money(minor=value["limit"]),
        ceiling=Money(minor=value["ceiling"]),
        inputs=value["inputs"],
        verdict=value["verdict"],
        policy_version=value["policy_version"],
        policy_digest=value["policy_digest"],
        at=now,
        points=value["points"],
        pricing_class=value["pricing_class"],
    )
    told = without_suspicion(found.findings)
    alone = _machine_may(case, change, found, now)
    # with a suspicion always, or it would be told by nothing else being there
    picked = alone and bool(value.get("sampled") or change.suspicious)
    disputed = [cases.REPORT_DISPUTED] if case.disputed else []
    sampled = [cases.SAMPLED] if picked else []
    case.note(
        now, "review", "limit_change_worked_out", number=change.number,
        findings=[*told, *disputed, *sampled],
    )  # fmt: skip
    if change.suspicious:
        change.to(ChangeState.HELD)
        case.note(now, "review", "limit_change_held", confidential=True, number=change.number)
        return looked
    if alone and not picked:
        return [*looked, *_grant(case, change, change.asked.wanted, (), now)]
    change.to(ChangeState.DECIDING)
    return looked


def _looked_at(
    case: Case,
    change: LimitChange,
    found: Mapping[CheckName, Mapping[str, str | None]],
    now: datetime,
) -> list[Effect]:
    """Review has looked by itself at what counts now, with the evidence open, as for an
    application: {check: its sealed answer, or why there is none}."""
    effects: list[Effect] = []
    for name, said in found.items():
        request_id = f"{case.application_id}:{name}:{change.change_id}:{change.round}"
        check = Check(name, request_id, change.round, now, answer=said["answer"])
        change.checks[name] = check
        outcome: Literal["answered", "unavailable"]
        outcome = "answered" if check.answer is not None else "unavailable"
        effects += _close(case, change, check, outcome, now, why=said["why"])
    return effects


def _machine_may(case: Case, change: LimitChange, found: Recommendation, now: datetime) -> bool:
    """Whether the policy may grant it alone: what was asked for and nothing less, up to the bank's
    amount, and never to somebody who was new to the bank (2011 rules, Art. 43), or by a report
    that the person disputes. A suspicion set aside: of that its caller knows."""
    wanted = change.asked.wanted
    told, looked_at = without_suspicion(found.findings), weighed(case, change, now)
    obstacles = tuple(one for one in looked_at.obstacles if one != limit_grounds.SUSPICION)
    return (
        (found.outcome == "approve" or (change.suspicious and not told))
        and not case.need_hand_over().new_to_bank
        and not case.disputed
        and wanted <= load_limit_changes().automatic_up_to
        and _against(replace(looked_at, obstacles=obstacles), wanted, rules_of(case).step) is None
    )


# --- what stands against it --------------------------------------------------------------------

REASONS_AGAINST: Final[Mapping[str, str]] = {
    "NO_OWN_LIMIT": mark("The card has no limit of its own"),
    "ANOTHER_CHANGE": mark("Another change of this limit waits for its decision"),
    "TEMPORARY_IN_FORCE": mark("A temporary limit is in force"),
    "NOT_AGREED": mark("The customer's own agreement is missing"),
    "ACCOUNT_UNREPORTED": mark(
        "Core banking has not reported the account, or not lately: what is not known never passes"
    ),
    "ACCOUNT_CLOSED": mark("The account is closed"),
    "ACCOUNT_PAST_DUE": mark("The account is past due"),
    "OWED_UNKNOWN": mark(
        "The highest balance band has no upper end: how much is owed cannot be told"
    ),
    "NO_GUARANTEE": mark(
        "The second source of repayment has not agreed to the new limit in writing, or too long ago"
    ),
    "NO_SECOND_SOURCE": mark("The guarantee of the second source of repayment is missing"),
    "HELD_TOO_SHORT": mark("The account has not been open long enough for a temporary limit"),
    "UNTIL_PASSED": mark("The last day of the temporary limit has passed or is too far away"),
    "INCOME_STALE": mark("The income was stated too long ago: it has to be proved anew"),
    "NOT_WORKED_OUT": mark("The policy has not spoken on this change yet"),
    "CHECK_PENDING": mark("A check is on its way"),
    "EVIDENCE_STALE": mark("An answer is older than its validity: ask again"),
    "OWN_LIMITS_CHANGED": mark(
        "Another limit of the customer has changed since: work it out again"
    ),
    SUSPICION: mark("Compliance has to look into it first"),
    "NO_ROOM": mark("After deduction no higher limit is left"),
    **{code: REASONS[code].words for code in sorted(BLOCKS_APPROVAL)},
}
"""Obstacle -> words (message ids)."""

_MENDED_BY_ASKING: Final = frozenset({"EVIDENCE_STALE", "OWN_LIMITS_CHANGED", "NOT_WORKED_OUT"})


def grant_obstacles(case: Case, change: LimitChange, now: datetime) -> list[str]:
    """What stands in the way of granting it, whoever wants to, as codes of REASONS_AGAINST; empty:
    nothing."""
    return list(weighed(case, change, now).obstacles)


def _may_be(case: Case, change: LimitChange, limit: Money, now: datetime) -> CaseError | None:
    """Why this limit may not be granted; None: it may be."""
    return _against(weighed(case, change, now), limit, rules_of(case).step)


def _against(found: Weighed, limit: Money, step: Money) -> CaseError | None:
    if found.obstacles:
        against = "; ".join(REASONS_AGAINST[code] for code in found.obstacles)
        return CaseError("not-approvable", against)
    if found.most is None or found.least is None or limit > found.most:
        return CaseError("limit-too-high", f"At most {found.most} may be granted")
    if limit < found.least or limit != limit.to_step(step, LIMIT_ROUNDING):
        return CaseError(
            "limit-not-fitting", f"The limit is at least {found.least}, in steps of {step}"
        )
    return None


# --- whose it is -------------------------------------------------------------------------------


def decide_claim(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Take the change: whoever has it answers for its clock, and nobody else decides about it.
    One that is held is taken like one that waits for a decision, or the refusal would tell."""
    change = _unproposed(case)
    if change.state is ChangeState.CHECKING:
        raise CaseError("nothing-to-decide", "No change of the limit waits for a decision")
    if change.claimed_by == staff_id:
        return []
    if change.claimed_by is not None:
        raise CaseError("claimed", "Another officer has this change")
    change.claimed_by, change.changed = staff_id, True
    # who refuses an increase is told to compliance alone, and mostly it is who had it
    case.note(
        now, staff_id, "limit_change_claimed", confidential=not change.names_deciders,
        number=change.number,
    )  # fmt: skip
    return []


def decide_put_back(
    case: Case, staff_id: str, now: datetime, *, may_sign: bool = False
) -> Iterable[Effect]:
    """Give the change back. Whoever may sign may do it for a colleague who is away."""
    change = _unproposed(case)
    if change.claimed_by is None or (change.claimed_by != staff_id and not may_sign):
        raise CaseError("not-yours", "Claim the change first")
    change.claimed_by, change.changed = None, True
    case.note(
        now, staff_id, "limit_change_put_back", confidential=not change.names_deciders,
        number=change.number,
    )  # fmt: skip
    return []


def decide_reassign(
    case: Case, staff_id: str, receiver: Officer | None, now: datetime
) -> Iterable[Effect]:
    """The change, a colleague's or nobody's, is given to an officer who can take it; also while its
    evidence is asked for anew. To whom it belongs already nothing is given."""
    change = _unproposed(case)
    to = cases.receiver_of(case, receiver, now)
    if change.claimed_by != to:
        case.note(
            now, staff_id, "limit_change_reassigned", number=change.number,
            holder=change.claimed_by, receiver=to,
        )  # fmt: skip
        change.claimed_by, change.changed = to, True
    return []


# --- deciding ----------------------------------------------------------------------------------


def decide_grant(
    case: Case, staff_id: str, limit: Money, note: str, now: datetime
) -> Iterable[Effect]:
    """The first person wants to grant this limit; a second one signs."""
    change = _deciding(case, staff_id)
    if not note.strip():
        raise CaseError("no-opinion", "Say in words what you found")
    refused = _may_be(case, change, limit, now)
    if refused is not None:
        raise refused
    change.to(ChangeState.PROPOSED)
    change.proposed_by, change.proposed_at, change.proposed_limit = staff_id, now, limit
    change.claimed_by = staff_id  # if it comes back, to whom
    change.note, change.returned = note.strip(), ""
    case.note(
        now, staff_id, "limit_change_proposed", number=change.number, limit=limit.minor,
        note=change.note,
    )  # fmt: skip
    return []


def decide_refuse(case: Case, staff_id: str, note: str, now: datetime) -> Iterable[Effect]:
    """One person refuses it, with words for the file: the card keeps what it has."""
    change = _deciding(case, staff_id)
    if not note.strip():
        raise CaseError("no-opinion", "Say in words what you found")
    return _refuse(case, change, staff_id, note, now)


def _refuse(
    case: Case, change: LimitChange, staff_id: str, note: str, now: datetime
) -> list[Effect]:
    case.note(
        now, staff_id, "limit_change_refused", confidential=not change.names_deciders,
        number=change.number, note=note.strip(),
    )  # fmt: skip
    return _refused(case, change, staff_id, now)


def _refused(case: Case, change: LimitChange, staff_id: str, now: datetime) -> list[Effect]:
    """It is refused. Whoever did it, an officer or compliance after a hold, of an increase
    everybody else is told the same."""
    change.to(ChangeState.REFUSED)
    change.decided_by, change.decided_at = (staff_id,), now
    _keep(change, grounds_of(case, change, now))
    if not change.names_deciders:
        case.note(now, "review", "limit_change_refused", number=change.number)
    return [_decided(case, change), ClearDeadline(DUE_DEADLINE)]


def peer_may_sign(case: Case, change: LimitChange) -> bool:
    """Whether any other reviewer may be the second person: of what the customer asked for, up to
    the product's limit. What the bank lowers by itself a risk officer signs."""
    bound = case.review_rules.risk_officer_above
    limit = change.proposed_limit
    return not change.by_bank and bound is not None and limit is not None and limit <= bound


def decide_sign(
    case: Case, staff_id: str, now: datetime, *, risk_officer: bool = True
) -> Iterable[Effect]:
    """The second person confirms; only now is it granted. Looked at once more: evidence gets old,
    and another limit of the same customer may have been raised meanwhile."""
    change = _to_sign(case, staff_id, risk_officer=risk_officer)
    assert change.proposed_limit is not None  # it is proposed
    assert change.proposed_by is not None
    refused = _may_be(case, change, change.proposed_limit, now)
    if refused is not None:
        raise refused
    return _grant(case, change, change.proposed_limit, (change.proposed_by, staff_id), now)


def decide_return(
    case: Case, staff_id: str, note: str, now: datetime, *, risk_officer: bool = True
) -> Iterable[Effect]:
    """The second person does not sign and says why. What the bank wanted by itself ends there."""
    change = _to_sign(case, staff_id, risk_officer=risk_officer)
    if not note.strip():
        raise CaseError("no-opinion", "Say why the proposal goes back")
    if change.by_bank:
        return _refuse(case, change, staff_id, note, now)
    change.to(ChangeState.DECIDING)
    change.forget_proposal()
    change.returned = note.strip()
    case.note(now, staff_id, "limit_change_returned", number=change.number, note=note.strip())
    return []


def decide_release(
    case: Case, staff_id: str, finding: cases.Finding, note: str, now: datetime
) -> Iterable[Effect]:
    """Compliance has looked into it: a person goes on, or it is refused without a word why."""
    change = open_change(case)
    if change is None or change.state is not ChangeState.HELD:
        raise CaseError("not-held", "The case is not held")
    if not note.strip():
        raise CaseError("no-opinion", "Say what was found")
    case.note(
        now, staff_id, "finding", confidential=True, finding=finding, note=note.strip(),
        number=change.number,
    )  # fmt: skip
    if finding == "confirmed":
        return _refused(case, change, staff_id, now)
    screened = change.checks.get("watchlist")
    change.looked_into = screened.request_id if screened is not None else None
    change.to(ChangeState.DECIDING)
    return []


def _grant(
    case: Case, change: LimitChange, limit: Money, decided_by: tuple[str, ...], now: datetime
) -> list[Effect]:
    effects: list[Effect] = [ClearDeadline(DUE_DEADLINE)]
    grounds = grounds_of(case, change, now)  # before anything of it changes
    today = business_day(now)
    notice = load_limit_changes().decrease_notice_working_days
    change.effective_on = add_working_days(today, notice) if change.by_bank else today
    if change.kind is LimitChangeKind.DECREASE:
        effects += _end_by(case, change.effective_on, limit, now)
    change.granted, change.decided_by, change.decided_at = limit, decided_by, now
    _keep(change, grounds)
    actor = decided_by[-1] if decided_by else "review"
    case.note(now, actor, "limit_change_granted", number=change.number, limit=limit.minor)
    if change.kind is not LimitChangeKind.TEMPORARY:
        change.to(ChangeState.GRANTED)
        return [*effects, _decided(case, change)]
    change.to(ChangeState.IN_FORCE)
    until = change.asked.until
    assert until is not None  # or it would not fit
    reminded = until - timedelta(days=load_limit_changes().temporary.remind_days_before)
    at = datetime.combine(reminded, load_clocks().reminder_time, BUSINESS_ZONE).astimezone(UTC)
    effects += [Deadline(REMINDER_DEADLINE, at)] if at > now else []
    return [*effects, _decided(case, change), Deadline(EXPIRY_DEADLINE, end_of_day(until))]


def _keep(change: LimitChange, grounds: Grounds) -> None:
    """Freeze the decision with what it rests on. The change has its outcome."""
    assert change.decided_at is not None
    change.decision = LimitDecision(
        outcome="refused" if change.granted is None else "granted",
        granted=change.granted,
        decided_by=change.decided_by,
        at=change.decided_at,
        grounds=grounds.freeze(),
        weighed=weigh(grounds).freeze(),
        policy=change.recommendation,
    )


def _decided(case: Case, change: LimitChange) -> Fact:
    granted = change.granted is not None
    event = review.LimitChangeDecided(
        **_about(case, change),
        by_bank=change.by_bank,
        outcome="granted" if granted else "refused",
        limit=change.granted,
        effective_on=change.effective_on,
        until=change.asked.until if granted else None,
        automatic=not change.decided_by,
        decided_by=list(change.decided_by) if change.names_deciders else [],
    )
    return Fact(event, state_version=case.state_version)


def _about(case: Case, change: LimitChange) -> dict[str, Any]:
    return {
        **case.fields(),
        "change_id": change.change_id,
        "change_number": change.number,
        "kind": change.kind,
    }


# --- clocks ------------------------------------------------------------------------------------


def on_due_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """The change should have been decided by now: it stands in the history."""
    change = open_change(case)
    if change is not None and change.due <= now:
        case.note(now, "review", "limit_change_overdue", number=change.number)
    return []


def on_reminder_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """The customer is told that the temporary limit ends."""
    change = temporary_one(case)
    if change is None or change.asked.until is None or end_of_day(change.asked.until) <= now:
        return []
    event = review.LimitExpiring(**_about(case, change), until=change.asked.until)
    return [Fact(event, state_version=case.state_version)]


def on_expiry_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """The last day of the temporary limit is over, or what the bank lowers takes effect: the card
    has its lasting one again."""
    change = temporary_one(case)
    if change is None or change.asked.until is None:
        return []
    # a day's end, to the second, is the next day's begin
    left = _lasting(case, business_day(now + timedelta(seconds=1))) or change.before
    if now >= end_of_day(change.asked.until):
        return _end_temporary(case, left, "term", now)
    if left < change.before:
        return _end_temporary(case, left, "lowered", now)
    return []


def _end_by(case: Case, day: date, limit: Money, now: datetime) -> list[Effect]:
    """A temporary limit gives way to a lower one on the day on which that takes effect: what the
    bank lowers takes nothing away before."""
    change = temporary_one(case)
    if change is None or change.asked.until is None:
        return []
    if day <= business_day(now):
        return _end_temporary(case, limit, "lowered", now)
    # one that was told before takes effect first
    told = [one.effective_on for one in case.limit_changes if one.state is ChangeState.GRANTED]
    day = min([day, *(one for one in told if one is not None and one > business_day(now))])
    if day > change.asked.until:
        return []
    before = end_of_day(day - timedelta(days=1))
    return [ClearDeadline(REMINDER_DEADLINE), Deadline(EXPIRY_DEADLINE, before)]


def _end_temporary(
    case: Case, limit: Money, why: Literal["term", "lowered"], now: datetime
) -> list[Effect]:
    change = temporary_one(case)
    if change is None:
        return []
    change.to(ChangeState.ENDED)
    change.ended_at = now
    case.note(now, "review", "limit_expired", number=change.number, limit=limit.minor)
    event = review.LimitExpired(**_about(case, change), limit=limit, why=why)
    cleared = [ClearDeadline(REMINDER_DEADLINE), ClearDeadline(EXPIRY_DEADLINE)]
    return [Fact(event, state_version=case.state_version), *(cleared if why == "lowered" else [])]


def _unproposed(case: Case) -> LimitChange:
    change = open_change(case)
    if change is None:
        raise CaseError("nothing-to-decide", "No change of the limit waits for a decision")
    if change.state is ChangeState.PROPOSED:
        raise CaseError("proposed", "A decision is proposed and waits for the second signature")
    return change


def _deciding(case: Case, staff_id: str) -> LimitChange:
    change = _unproposed(case)
    if change.state is not ChangeState.DECIDING:
        raise CaseError("nothing-to-decide", "No change of the limit waits for a decision")
    if change.claimed_by not in (None, staff_id):
        raise CaseError("claimed", "Another officer has this change")
    return change


def _to_sign(case: Case, staff_id: str, *, risk_officer: bool) -> LimitChange:
    change = open_change(case)
    if change is None or change.state is not ChangeState.PROPOSED:
        raise CaseError("nothing-proposed", "Nothing waits for a signature")
    if change.proposed_by == staff_id:
        raise CaseError("same-person", "The second signature is another person's")
    if not risk_officer and not peer_may_sign(case, change):
        raise CaseError("risk-officer-needed", "The second signature is a risk officer's")
    return change
