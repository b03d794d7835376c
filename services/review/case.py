"""A case: an application as review sees it, and everything that may be decided about it.

Pure: each `decide_…` takes the case, who asks and the business time, changes the case and returns
what follows. The lifecycle alone says which transition is possible; review publishes transitions
only out of the states whose authority it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from services.review import holds, materials, queue, reason_codes
from services.review.accounts import OVER_BOUND, UNREPORTED, AccountFacts, DormancyFigure, stop_of
from services.review.checks import ASKED, CHECKS, CheckName
from services.review.holds import HOLD_DEADLINE, Hold, HoldReason
from services.review.limits import LIMIT_ROUNDING, cash_limit
from services.review.materials import SECOND_SOURCE
from services.review.officers import Officer
from services.review.reason_codes import REASONS
from services.review.telephone import AWAITED, WITHOUT_ANSWER, Telephone, asked_for
from services.review.watchlists import NOTHING_KNOWN, Lists
from shared.calendar import business_day, moved_about
from shared.events import lifecycle, review
from shared.events.intake import HandedDocument, Meeting, WantedItem
from shared.events.lifecycle import OWNERS, TERMINAL, State
from shared.events.payload import ApplicantType, CreditConsent, Party, PartyRole, Payload
from shared.identifiers import new_id
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import digest_held, load_accounts, load_internal_list, product_of
from shared.parameters.models import ReviewRules
from shared.web.i18n import mark

if TYPE_CHECKING:
    from services.review.appeals import Appeal
    from services.review.limit_changes import LimitChange

Finding = Literal["clear", "confirmed"]
Awaited = Literal["material", "check"]  # what may bring a snoozed case back: a paper, an answer

SNOOZE_DEADLINE = "snooze"

# An approval rests on these answers; without one nobody may approve, however good the rest looks.
BLOCKS_APPROVAL = frozenset(
    {
        "ID_MISMATCH",
        "ID_CANCELLED",
        "AGE_OUTSIDE",
        "OWN_CARDS_AT_CAP",
        "TELEPHONE_CONTRADICTED",
        *(kind.absence for kind in CHECKS.values()),
    }
)

TAKEN_UP_AGAIN = "TAKEN_UP_AGAIN"  # the reason by which a reconsideration goes to a person
SAMPLED = "SAMPLED"  # that by which somebody goes to a person whom the policy would decide about
REPORT_DISPUTED = "REPORT_DISPUTED"  # and that by which somebody goes who disputes the report

UNWEIGHED = "policy"  # what a case waits for, as for a system, that the policy is not applied to

# why a check has no answer, where asking again brings none
OTHER_DOCUMENT = "other-document"  # the registry does not hold such documents
NOT_SEEN = "not-seen"  # nobody recorded to have seen customer, original and signing
NO_FIELD = "no-field"  # the hand-over lacks what review would look at by itself


class CaseError(Exception):
    """The case does not allow this now. `code` is stable, the text says why in plain English."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(slots=True)
class Scope:
    """Where an application belongs: stands in every event and narrows every query."""

    application_number: str
    branch: str
    region: str
    channel: str
    product: str
    product_version: str
    applicant_type: str

    @classmethod
    def of(cls, event: Any) -> Scope:
        """From any event about the application."""
        return cls(
            application_number=event.application_number,
            branch=event.branch,
            region=event.region,
            channel=str(event.channel),
            product=event.product,
            product_version=event.product_version,
            applicant_type=str(event.applicant_type),
        )


@dataclass(slots=True)
class HandOver:
    """What intake handed to review, the last time that it did."""

    parties: list[Party]
    consent: CreditConsent | None
    documents: list[HandedDocument]
    new_to_bank: bool
    age_band: str
    income_band: str
    requested_limit: Money | None
    warnings: list[str]
    submitted_at: datetime
    handed_at: datetime
    meeting: Meeting | None = None
    applicant_type: str = ApplicantType.SUPPLEMENTARY  # of what was handed over before it was kept
    reopens: str | None = None  # the application that it takes up again
    waived: list[str] | None = None  # items that the office does without; None: it did not say
    arrived: tuple[str, ...] = ()  # documents that came since, which the office has not looked at

    @property
    def examined(self) -> Party:
        """The person whom the checks are about: who will hold the card. Of a supplementary card
        alone that is somebody else than the applicant, whoever is named."""
        by_role = {party.role: party for party in self.parties}
        found = by_role.get(PartyRole.APPLICANT)
        if self.applicant_type == ApplicantType.SUPPLEMENTARY:
            found = by_role.get(PartyRole.SUPPLEMENTARY_HOLDER) or found
        if found is None:
            raise Permanent("the hand-over names nobody who applies")
        return found


@dataclass(slots=True)
class Check:
    """One question to one of the bank's systems. `answer` is sealed; `valid_until` says how long
    it may be used again. `why`: reason code of an outcome without an answer, never a value.

    `calls`: how often the workers were sent with it. While it waits for a system that is away,
    `waits_since` says since when, `asked_again` when next, `waits_until` when a person goes on.
    """

    name: CheckName
    request_id: str
    round: int
    requested_at: datetime
    outcome: Literal["pending", "answered", "unavailable"] = "pending"
    answer: str | None = None
    ended_at: datetime | None = None
    valid_until: datetime | None = None
    attempts: int = 0
    why: str | None = None
    calls: int = 1
    waits_since: datetime | None = None
    asked_again: datetime | None = None
    waits_until: datetime | None = None
    about: str = (
        ""  # digest of what was asked about (`AskedOf.digest`); empty: of before it was kept
    )
    screened_with: str = ""  # the own list that an answer of the watchlists rests on, by its mark
    lists_known: int = 0  # the last change of the screening system's lists known when it was asked

    @property
    def waits(self) -> bool:
        """Whether it waits for a system that is away."""
        return self.outcome == "pending" and self.waits_since is not None

    @property
    def may_be_asked_again(self) -> bool:
        """Whether nobody answered who might another time."""
        return self.outcome == "unavailable" and self.why not in (
            OTHER_DOCUMENT,
            NOT_SEEN,
            NO_FIELD,
            AWAITED,
            *WITHOUT_ANSWER.values(),
        )


def of_this_list(check: Check) -> bool:
    """Whether the bank's own list is the one that the answer rests on."""
    return check.name != "watchlist" or check.screened_with == load_internal_list().mark


def of_these_lists(check: Check, lists: Lists) -> bool:
    """Whether the answer rests on the lists as they are: the bank's own, and those of the screening
    system, which are known to be the same since it was asked, whenever it answered."""
    if check.name == "watchlist" and lists.changed_after(check.lists_known, check.requested_at):
        return False
    return of_this_list(check)


def about_this_person(check: Check, hand_over: HandOver) -> bool:
    """Whether the question is about what the hand-over says now: name or number may have been
    corrected since it was asked, and then the answer is somebody else's. Of one of before its
    digest was kept that is known only where it was asked after this hand-over."""
    if not check.about:
        return check.requested_at >= hand_over.handed_at
    return check.about == ASKED[check.name].digest(hand_over.examined.fields)


def put_right_since(check: Check, case: Case) -> bool:
    """Whether the credit report was corrected after this question: beside whatever application of
    the person, the bureau may have answered by the wrong record."""
    corrected = case.report_corrected
    return check.name == "bureau" and corrected is not None and check.requested_at < corrected


def wrong_by_now(check: Check, case: Case) -> bool:
    """Whether the answer is about somebody else than the form names now, or by a credit report that
    was put right since."""
    return put_right_since(check, case) or not about_this_person(check, case.need_hand_over())


def still_holds(check: Check, now: datetime, case: Case) -> bool:
    """Whether a decision may still rest on this answer: within its validity, about the person as
    the form names them now, screened with the lists as they are, and no report that was put right
    since."""
    if not of_these_lists(check, case.lists) or wrong_by_now(check, case):
        return False
    return check.outcome == "answered" and check.valid_until is not None and now < check.valid_until


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the policy said last, with everything that it rested on. `inputs` and `verdict` are
    sealed; `findings` are internal reason codes; `ceiling` bounds what a person may grant."""

    outcome: str
    advice: str
    findings: tuple[str, ...]
    limit: Money
    ceiling: Money
    inputs: str
    verdict: str
    policy_version: str
    policy_digest: str
    at: datetime
    points: int | None = None  # of the score card; None without the bureau's answer
    pricing_class: str | None = None
    own_existing: int = 0  # fen of the person's other cards as they were deducted
    own_cards: int = 0  # and how many these were; of before both were kept in the inputs alone


@dataclass(frozen=True, slots=True)
class ShadowVerdict:
    """What a version that runs beside the one in force would have said; `live`: what that one said
    of the same inputs. Nothing rests on it."""

    live: Recommendation
    digest: str
    scoring_round: int
    outcome: str
    advice: str
    findings: tuple[str, ...]
    recommended: Money
    points: int | None
    pricing_class: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the first person decided; it counts once a second person has signed. `of_a_hold`:
    compliance proposes it after a hold, and no reviewer has the case."""

    outcome: Literal["approve", "decline"]
    staff_id: str
    at: datetime
    limit: Money | None
    reasons: tuple[str, ...]
    note: str
    of_a_hold: bool = False


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the second person would decide: with a limit to approve, else to decline for `reason`.
    `note`: sealed words."""

    limit: Money | None
    reason: str
    note: str

    @property
    def outcome(self) -> Literal["approve", "decline"]:
        return "decline" if self.limit is None else "approve"


@dataclass(frozen=True, slots=True)
class Escalation:
    """A case that a reviewer referred to the risk officers: who did, when, and why in words
    (sealed)."""

    by: str
    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Snooze:
    """Whoever has the case has laid it aside: until then at the latest, which is never beyond the
    due date, or until something awaited has come."""

    until: datetime
    awaited: Awaited | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision with its frozen evidence; written once, never changed."""

    decision_id: str
    outcome: Literal["approve", "decline"]
    automatic: bool
    decided_by: tuple[str, ...]
    reasons: tuple[str, ...]
    limit: Money | None
    category: str | None
    reapply_from: date | None
    inputs: str
    verdict: str
    policy_version: str
    policy_digest: str
    at: datetime
    points: int | None = None
    pricing_class: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a case's history: who did what. `confidential`: for compliance's eyes only."""

    at: datetime
    actor: str  # staff id, or the service's name
    action: str
    details: Mapping[str, Any] = field(default_factory=dict)
    confidential: bool = False


@dataclass(slots=True)
class Case:
    """The case of one application; `state` None: nothing known of it yet.

    `entries`, `decisions`, `shadows` are new ones, to be written; `touched`: the hand-over or what
    hangs on it changed, so that the file has to be written as well; `waits_changed`: so did what it
    waits for, `screened_changed`: so did when or with what it was screened.
    """

    application_id: str
    state: State | None = None
    state_version: int = 0
    scope: Scope | None = None
    hand_over: HandOver | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    round: int = 0
    scoring_round: int = 0
    weighed_round: int | None = None  # that of the recommendation; None: of before it was kept
    scoring_failures: int = 0  # since the policy was last asked about other answers
    unweighed_since: datetime | None = None  # the policy could not be applied and is asked no more
    recommendation: Recommendation | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    snooze: Snooze | None = None
    escalation: Escalation | None = None
    has_read: tuple[tuple[str, str], ...] = ()  # who had it while it was escalated, and by whom
    proposal: Proposal | None = None
    returned: str | None = None  # the second person's words when they sent the proposal back
    telephone: Telephone | None = None
    looked_into: str | None = None  # request of the watchlist's answer that compliance has judged
    cleared: tuple[str, ...] = ()  # what else of the policy's holds compliance has judged
    hold: Hold | None = None  # the last one; while the case is held, the one it rests on
    due: datetime | None = None
    awaited_since: datetime | None = None  # the customer, while material is awaited
    first_due: datetime | None = None  # as it was before the customer was awaited
    queued_at: datetime | None = None
    held_at: datetime | None = None
    limit: Money | None = None  # granted
    category: str | None = None  # of a decline
    imported: bool = False
    by_policy: bool = False  # whether the policy alone approved it; not the case's own
    dormancy: DormancyFigure | None = None  # of the bank's cards; not the case's own
    lists: Lists = NOTHING_KNOWN  # of the screening system; not the case's own
    entries: list[Entry] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    shadows: list[ShadowVerdict] = field(default_factory=list)
    appeals: list[Appeal] = field(default_factory=list)  # and disputes, the oldest first
    person_disputes: bool = (
        False  # the credit report, beside another application; not the case's own
    )
    corrected_beside: datetime | None = None  # when it last was, beside another; not the case's own
    limit_changes: list[LimitChange] = field(default_factory=list)  # of a card, the oldest first
    account_facts: AccountFacts | None = None  # not the case's own; of a card that is active
    # Of the person's other cards, while a decision may come: fen, and how many there are. None:
    # another case of the person may be decided with this one. Not the case's own.
    own_limits: int | None = 0
    own_cards: int | None = 0
    touched: bool = False
    waits_changed: bool = False
    screened_changed: bool = False
    stored: tuple[Any, ...] | None = None  # its row as it was read: one that is the same stays

    def fields(self) -> dict[str, Any]:
        """What every event about the application carries."""
        scope = self.need_scope()
        return {
            "application_id": self.application_id,
            "application_number": scope.application_number,
            "branch": scope.branch,
            "region": scope.region,
            "channel": scope.channel,
            "product": scope.product,
            "product_version": scope.product_version,
            "product_digest": digest_held(scope.product, scope.product_version),
            "applicant_type": scope.applicant_type,
        }

    def need_scope(self) -> Scope:
        if self.scope is None:
            raise Permanent("the case is not known to review")
        return self.scope

    def need_hand_over(self) -> HandOver:
        if self.hand_over is None:
            raise Permanent("the case was never handed to review")
        return self.hand_over

    @property
    def cash_limit(self) -> Money | None:
        """What of the granted limit may be drawn in cash; None before a limit was granted, and
        where an imported application names a product that is not held."""
        scope = self.need_scope()
        if self.limit is None or digest_held(scope.product, scope.product_version) is None:
            return None
        rules = product_of(scope.product, scope.product_version).limit
        return cash_limit(self.limit, rules.cash_share, rules.step)

    @property
    def open(self) -> bool:
        """Whether review is the one who decides what happens next."""
        return (
            self.state is not None
            and self.state in OWNERS
            and OWNERS[self.state].authority == "review"
        )

    @property
    def amount(self) -> Money | None:
        """What is at stake: the limit that the policy names, else the one that is wished for. Of
        whom it would decline but for a suspicion it names one, and of whom it declines none: the
        amount stands in lists, and must not tell the two apart."""
        found = self.recommendation
        if found is not None and found.limit:
            told = reason_codes.without_suspicion(found.findings)
            if reason_codes.advice_on(told) != "decline":
                return found.limit
        return self.hand_over.requested_limit if self.hand_over else None

    @property
    def language(self) -> str | None:
        """The customer's: that in which they read what they agreed to; None for papers."""
        consent = self.hand_over.consent if self.hand_over else None
        return consent.text.language if consent is not None and consent.text is not None else None

    @property
    def review_rules(self) -> ReviewRules:
        """How two people decide about the product."""
        scope = self.need_scope()
        return product_of(scope.product, scope.product_version).review

    @property
    def weighing(self) -> bool:
        """Whether the policy has not weighed yet what was answered since its last verdict."""
        return self.weighed_round is not None and self.weighed_round != self.scoring_round

    @property
    def checked(self) -> bool:
        """Whether review has the case and every check has ended: it may be decided next."""
        return self.open and bool(self.checks) and not _checks_pending(self)

    @property
    def screening(self) -> str | None:
        """The request by which the watchlists were asked last."""
        check = self.checks.get("watchlist")
        return check.request_id if check is not None else None

    @property
    def blind(self) -> bool:
        """Whether the second person has to give an opinion before seeing the first; of what
        compliance proposes after a hold nobody else could have one."""
        proposal = self.proposal
        return proposal is not None and not proposal.of_a_hold and self.review_rules.blind

    @property
    def decided(self) -> bool:
        """Whether the bank has decided, whatever became of the card since."""
        return self.state not in (
            None,
            State.DRAFT,
            State.SUBMITTED,
            State.PRE_CHECK,
            State.AWAITING_MATERIAL,
        )

    @property
    def disputed(self) -> bool:
        """Whether the person disputes their credit report and has no answer yet."""
        return self.person_disputes or any(
            one.open and one.kind == "dispute" for one in self.appeals
        )

    @property
    def report_corrected(self) -> datetime | None:
        """When the person's credit report was last put right, beside whatever application."""
        own = (one.answered_at for one in self.appeals if one.outcome == "corrected")
        return max((at for at in (*own, self.corrected_beside) if at is not None), default=None)

    def note(
        self, at: datetime, actor: str, action: str, *, confidential: bool = False, **details: Any
    ) -> None:
        """Add a line to the history."""
        self.entries.append(Entry(at, actor, action, details, confidential))


# --- moving ------------------------------------------------------------------------------------


def follow(
    case: Case,
    event: type[Payload],
    version: int | None,
    at: datetime,
    into: str | None = None,
) -> None:
    """Take over a transition that another service published; at: the event's time.

    Raises Permanent where the lifecycle or the count of transitions says that it cannot be.
    """
    try:
        transition = lifecycle.advance(case.state, event, into=into)
    except lifecycle.IllegalTransition as error:
        raise Permanent(str(error)) from error
    if transition.moves:
        if version is not None and into is None and version != case.state_version + 1:
            raise Permanent(
                f"{event.type} is transition {version}, but {case.state_version} was the last"
            )
        case.state_version = version if version is not None else case.state_version + 1
    _enter(case, transition.state, at)
    if case.state in TERMINAL or not case.open:
        _leave_the_desk(case)


def _enter(case: Case, state: State, at: datetime) -> None:
    """The clock of the review stands still while the customer is awaited; intake's does alike."""
    if state is case.state:
        return
    if case.awaited_since is not None and case.due is not None:
        case.first_due = case.first_due or case.due
        case.due = moved_about(case.due, case.awaited_since, at)
    if State.AWAITING_MATERIAL in (case.state, state):
        case.awaited_since = at if state is State.AWAITING_MATERIAL else None
        case.touched = True
    case.state = state


def move(case: Case, payload: Payload) -> Fact:
    """Publish a transition of our own. Raises Permanent if we are not the authority or it cannot
    happen: that is a fault of ours and must not be published."""
    if not case.open:
        raise Permanent(f"review may not move an application that is {case.state}")
    try:
        transition = lifecycle.advance(case.state, type(payload))
    except lifecycle.IllegalTransition as error:
        raise Permanent(str(error)) from error
    case.state = transition.state
    case.state_version += 1
    if OWNERS.get(transition.state) is None or OWNERS[transition.state].authority != "review":
        _leave_the_desk(case)
    return Fact(payload, state_version=case.state_version)


def _leave_the_desk(case: Case) -> None:
    case.claimed_by = case.claimed_at = case.proposal = case.queued_at = case.held_at = None
    case.snooze = None


# --- the policy's verdict ----------------------------------------------------------------------


def apply_recommendation(
    case: Case, found: Recommendation, now: datetime, *, sampled: bool = False
) -> Iterable[Effect]:
    """The checks have ended and the policy has spoken: approve, decline, refer or hold. `sampled`:
    a person looks at it by chance.

    While the case lies with a person only the recommendation is renewed, except that a suspicion
    takes it from the desk. What compliance has looked into holds the case no second time; only a
    new answer of the watchlists does.
    """
    if not case.open:
        return []
    effects: list[Effect] = _ask_for_a_call(case, found, now)
    found = _with_own_findings(case, found, now, sampled=sampled)
    case.recommendation = found
    case.touched = True
    case.note(now, "review", "scored", findings=_shown(found.findings), outcome=found.outcome)
    suspicious = _unjudged(case, found)
    if case.state is State.MANUAL_REVIEW:
        return [*effects, *_hold_by_itself(case, suspicious, now)] if suspicious else effects
    if case.state is not State.CHECKING:
        return effects
    effects.append(move(case, review.ChecksCompleted(**case.fields())))
    if suspicious:
        return [*effects, *_hold_by_itself(case, suspicious, now)]
    if found.outcome in ("refer", "hold") or not _machine_may(case, found, now):
        return [*effects, *_refer(case, found, now)]
    outcome: Literal["approve", "decline"] = "approve" if found.outcome == "approve" else "decline"
    effects.append(_decide(case, outcome, found.limit, found.findings, (), now))
    return effects


def _ask_for_a_call(case: Case, found: Recommendation, now: datetime) -> list[Effect]:
    """Some findings want the applicant called before a person decides; once, and of a held case as
    of any other."""
    reasons = asked_for(found.findings)
    if case.telephone is not None or found.outcome not in ("refer", "hold") or not reasons:
        return []
    case.telephone = Telephone(now, "review", reasons)
    case.note(now, "review", "telephone_ordered")
    note_telephone(case, now)
    return [Fact(review.TelephoneOrdered(**case.fields(), ordered_by="review"))]


def note_telephone(case: Case, now: datetime) -> None:
    """What came of the telephone verification so far, as a check beside the others."""
    asked = case.telephone
    assert asked is not None  # it was asked for
    case.checks["telephone"] = Check(
        "telephone",
        f"{case.application_id}:telephone:{asked.ordered_at.isoformat()}",
        case.round,
        asked.ordered_at,
        outcome="answered" if asked.why is None else "unavailable",
        ended_at=now if asked.ended else None,
        attempts=len(asked.calls),
        why=asked.why,
    )
    case.touched = True
    if case.recommendation is not None:
        kept = tuple(one for one in case.recommendation.findings if one not in _OF_A_CALL)
        case.recommendation = replace(
            case.recommendation, findings=(*kept, *telephone_findings(case))
        )


_OF_A_CALL = frozenset({CHECKS["telephone"].absence, "TELEPHONE_CONTRADICTED"})


def telephone_findings(case: Case) -> tuple[str, ...]:
    """What the telephone verification adds to what was found: nothing where none was asked for, or
    the applicant confirmed."""
    asked = case.telephone
    if asked is None:
        return ()
    if asked.why is not None:
        return (CHECKS["telephone"].absence,)
    heard = asked.last.heard if asked.last else None
    return ("TELEPHONE_CONTRADICTED",) if heard == "contradicted" else ()


def unproposed_of(case: Case, staff_id: str) -> None:
    """Raises CaseError unless the case is this officer's and nothing is proposed."""
    _own(case, staff_id)


def _with_own_findings(
    case: Case, found: Recommendation, now: datetime, *, sampled: bool
) -> Recommendation:
    """The policy's word, and beside it what review looks at by itself: no policy approves over
    that."""
    own = tuple(
        CHECKS[check.name].absence
        for check in case.checks.values()
        if check.outcome == "unavailable"
        and check.name not in ASKED
        and CHECKS[check.name].absence not in found.findings
    )
    stopped = issuing_stop(case, now)
    # of whom it would approve but for a suspicion the same is said
    suspected = found.outcome == "hold" and not reason_codes.without_suspicion(found.findings)
    if stopped and (found.outcome == "approve" or suspected):
        own = (*own, stopped)
    if case.need_hand_over().reopens is not None:
        own = (*own, TAKEN_UP_AGAIN)
    if case.disputed:
        own = (*own, REPORT_DISPUTED)
    if not own and _goes_by_chance(case, found, sampled=sampled):
        own = (SAMPLED,)
    if not own:
        return found
    to_people = ("approve", "decline") if SAMPLED in own else ("approve",)
    return replace(
        found,
        outcome="refer" if found.outcome in to_people else found.outcome,
        findings=(*found.findings, *own),
    )


def _goes_by_chance(case: Case, found: Recommendation, *, sampled: bool) -> bool:
    """Whether a person looks at what the policy alone would decide: where chance wants it, once it
    did, and where there is a suspicion; the three look alike, or the suspicion would be told by
    nothing else being there."""
    told = reason_codes.without_suspicion(found.findings)
    if case.need_hand_over().new_to_bank or not reason_codes.decides_alone(told):
        return False
    before = case.recommendation
    stays = before is not None and SAMPLED in before.findings
    return sampled or stays or told != found.findings


def _machine_may(case: Case, found: Recommendation, now: datetime) -> bool:
    """Whether the policy may decide alone, whatever it says: never about a new customer (2011
    rules, Art. 43), what takes up an earlier application again, or whom a paper came of since the
    hand-over, whose new material a person looks at, what was escalated, by a report that the person
    disputes or by an answer past its validity, and no approval against which something stands
    (Art. 42)."""
    hand_over = case.need_hand_over()
    if hand_over.new_to_bank or hand_over.reopens is not None or case.disputed:
        return False
    if hand_over.arrived:
        return False
    if case.escalation is not None:
        return False
    if lapsed(case, now):
        return False
    return found.outcome == "decline" or bool(found.limit and not approval_obstacles(case, now))


def _unjudged(case: Case, found: Recommendation) -> list[str]:
    """Of the findings that hold a case those that compliance has not looked into; of the watchlists
    that is the very answer that they rest on."""
    screened = case.checks.get("watchlist")
    cleared = set(case.cleared)
    if screened is not None and screened.request_id == case.looked_into:
        cleared.add("WATCHLIST_HIT")
    return [code for code in _holding(found) if code not in cleared]


def _holding(found: Recommendation) -> list[str]:
    return [code for code in found.findings if REASONS[code].effect is reason_codes.Effect.HOLD]


def _shown(findings: Sequence[str]) -> list[str]:
    """Findings for a history that reviewers read: nothing of what compliance looks into."""
    return [code for code in findings if REASONS[code].effect is not reason_codes.Effect.HOLD]


def _hold_by_itself(case: Case, suspicious: Sequence[str], now: datetime) -> list[Effect]:
    reason = HoldReason.WATCHLIST if "WATCHLIST_HIT" in suspicious else HoldReason.FRAUD_RULE
    return _hold(case, holds.begin(reason, holds.BY_ITSELF, now))


def _hold(case: Case, hold: Hold) -> list[Effect]:
    _leave_the_desk(case)
    held = move(case, review.ApplicationHeld(**case.fields()))
    case.hold, case.held_at, case.touched = replace(hold, screening=case.screening), hold.at, True
    case.note(hold.at, "review", "held")
    return [held, Deadline(HOLD_DEADLINE, hold.due)]


def _refer(case: Case, found: Recommendation, now: datetime) -> list[Effect]:
    codes = reason_codes.public_codes(_shown(found.findings))
    event = review.ApplicationReferred(
        **case.fields(), reason_codes=codes, policy_version=found.policy_version
    )
    fact = move(case, event)
    case.queued_at = now
    case.note(now, "review", "referred")
    return [fact]


def _decide(
    case: Case,
    outcome: Literal["approve", "decline"],
    limit: Money | None,
    reasons: Sequence[str],
    decided_by: tuple[str, ...],
    now: datetime,
) -> Fact:
    """Freeze the evidence and publish the decision."""
    found = case.recommendation
    if found is None:
        raise CaseError("not-scored", "The policy has not spoken on this case yet")
    common = {
        **case.fields(),
        "decision_id": new_id(),
        "reason_codes": reason_codes.public_codes(reasons),
        "policy_version": found.policy_version,
        "policy_digest": found.policy_digest,
        "automatic": not decided_by,
        "decided_by": list(decided_by),
    }
    category, reapply = None, None
    event: Payload
    if outcome == "approve":
        if limit is None or not limit:
            raise CaseError("no-limit", "An approval needs a limit")
        event = review.ApplicationApproved(**common, limit=limit)
        case.limit, case.by_policy = limit, not decided_by
    else:
        category = reason_codes.category_of(reason_codes.primary(reasons))
        reapply = reapply_from(case.need_scope(), reasons, now)
        event = review.ApplicationDeclined(**common, category=category, reapply_from=reapply)
        case.category = category
        limit = None
    fact = move(case, event)
    case.decisions.append(
        Decision(
            decision_id=common["decision_id"],
            outcome=outcome,
            automatic=not decided_by,
            decided_by=decided_by,
            reasons=tuple(reasons),
            limit=limit,
            category=category,
            reapply_from=reapply,
            inputs=found.inputs,
            verdict=found.verdict,
            policy_version=found.policy_version,
            policy_digest=found.policy_digest,
            at=now,
            points=found.points,
            pricing_class=found.pricing_class if outcome == "approve" else None,
        )
    )
    case.note(
        now,
        decided_by[-1] if decided_by else "review",
        "decided",
        outcome=outcome,
        limit=limit.minor if limit else None,
        findings=_shown(found.findings),  # review's own too, which no frozen verdict has
    )
    return fact


def reapply_from(scope: Scope, reasons: Sequence[str], now: datetime) -> date:
    """First business day on which a new application is looked at: after the product's cool-down, or
    today where missing material was the only reason."""
    rule = product_of(scope.product, scope.product_version).cool_down
    category = reason_codes.category_of(reason_codes.primary(reasons))
    deciding = {code for code in reasons if REASONS[code].effect is not reason_codes.Effect.REFER}
    waived = deciding <= reason_codes.WAIVES_COOL_DOWN and category in rule.waived_for
    return business_day(now) + timedelta(days=0 if waived else rule.days)


def mark_disputed(case: Case) -> None:
    """What the policy said of an open case carries a dispute about the report, beside whatever
    application of the person, as long as there is one."""
    found = case.recommendation
    if found is None or not case.open or case.disputed == (REPORT_DISPUTED in found.findings):
        return
    kept = tuple(code for code in found.findings if code != REPORT_DISPUTED)
    findings = (*kept, REPORT_DISPUTED) if case.disputed else kept
    case.recommendation, case.touched = replace(found, findings=findings), True


# --- people ------------------------------------------------------------------------------------


def decide_claim(
    case: Case, staff_id: str, now: datetime, *, risk_officer: bool = True
) -> Iterable[Effect]:
    """Take a case from the queue. Taking one's own again does nothing; a case never has two. One
    that was escalated is taken by a risk officer, or back by who escalated it."""
    _in_queue(case)
    if case.claimed_by == staff_id:
        return []
    if case.claimed_by is not None:
        raise CaseError("claimed", "Another reviewer has this case")
    if case.proposal is not None:
        raise CaseError("proposed", "The case waits for a second signature, not for a reviewer")
    escalated = case.escalation
    if escalated is not None and not risk_officer:
        if escalated.by != staff_id:
            raise CaseError("escalated", "The case was escalated: a risk officer takes it")
        case.escalation, case.touched = None, True
    case.claimed_by, case.claimed_at = staff_id, now
    _reads(case, staff_id)
    case.note(now, staff_id, "claimed")
    return [Fact(review.ReviewClaimed(**case.fields(), staff_id=staff_id))]


def decide_put_back(
    case: Case, staff_id: str, now: datetime, *, may_sign: bool = False
) -> Iterable[Effect]:
    """Give a case back to the queue. Whoever may sign may do it for a colleague who is away."""
    holder = case.claimed_by
    if may_sign and holder not in (None, staff_id):
        _unproposed(case)
        case.note(now, staff_id, "taken_back", holder=holder)
    else:
        _own(case, staff_id)
        case.note(now, staff_id, "put_back")
    case.claimed_by = case.claimed_at = case.snooze = None
    return []


def decide_reassign(
    case: Case, staff_id: str, receiver: Officer | None, now: datetime, *, named: bool = True
) -> Iterable[Effect]:
    """Whoever may sign gives a case, a colleague's or nobody's, to an officer who can take it. To
    whom it belongs already nothing is given. One that was escalated is the risk officers' no more
    once it is given to another reviewer, who may not take it on by themselves; nor is it given so
    unseen. named: whoever gives it chose this case, not all that somebody has."""
    _unproposed(case)
    to = receiver_of(case, receiver, now)
    if case.claimed_by == to:
        return []
    stays = receiver is not None and receiver.is_risk_officer(case.need_scope().branch)
    if case.escalation is not None and not stays:
        if staff_id == to or not named:
            raise CaseError("escalated", "The case was escalated: a risk officer takes it")
        case.escalation, case.touched = None, True
    case.note(now, staff_id, "reassigned", holder=case.claimed_by, receiver=to)
    case.claimed_by, case.claimed_at, case.snooze = to, now, None
    _reads(case, to)
    return [Fact(review.ReviewClaimed(**case.fields(), staff_id=to))]


def _reads(case: Case, staff_id: str) -> None:
    """Whoever has an escalated case has read what its reviewer thinks of it."""
    escalated = case.escalation
    if escalated is not None and (staff_id, escalated.by) not in case.has_read:
        case.has_read, case.touched = (*case.has_read, (staff_id, escalated.by)), True


def receiver_of(case: Case, receiver: Officer | None, now: datetime) -> str:
    """The staff id of an officer who can be given the case, or an appeal, a dispute or a change of
    the limit that hangs on it. Raises CaseError for anybody else."""
    scope = case.need_scope()
    if receiver is None or not receiver.may_claim(scope.branch):
        raise CaseError("unknown-officer", "Nobody of that name may claim cases of this branch")
    if receiver.away_on(business_day(now)):
        raise CaseError("away", "The officer is away")
    if not receiver.takes(scope.product):
        raise CaseError("other-products", "The officer takes other products")
    return receiver.staff_id


def decide_escalate(
    case: Case, staff_id: str, words: str, now: datetime, *, risk_officer: bool = False
) -> Iterable[Effect]:
    """Refer one's own case to the risk officers, who read why. They alone take it from the queue
    until one of them gives it to another reviewer; its clock runs on."""
    _own(case, staff_id)
    if risk_officer:
        raise CaseError("is-risk-officer", "You are a risk officer: give the case to a colleague")
    if not words.strip():
        raise CaseError("no-opinion", "Say what the risk officers shall decide")
    case.escalation, case.touched = Escalation(staff_id, now, words.strip()), True
    case.claimed_by = case.claimed_at = case.snooze = case.returned = None
    case.note(now, staff_id, "escalated", note=words.strip())
    return [Fact(review.ReviewEscalated(**case.fields(), staff_id=staff_id))]


def decide_snooze(
    case: Case,
    staff_id: str,
    until: datetime | None,
    awaited: Awaited | None,
    words: str,
    now: datetime,
) -> Iterable[Effect]:
    """Lay one's own case aside until a time, or until a paper or a check's answer has come, and
    say why. Its clock runs on: what is due is not laid aside, and what falls due comes back."""
    _own(case, staff_id)
    if not words.strip():
        raise CaseError("no-opinion", "Say why the case is laid aside")
    if until is None and awaited is None:
        raise CaseError("nothing-awaited", "Say until when, or until what has come")
    if until is not None and until <= now:
        raise CaseError("time-passed", "Choose a time to come")
    if case.due is None or case.due <= now:
        raise CaseError("overdue", "The case is due and is not laid aside")
    if awaited == "check" and not _checks_pending(case):
        raise CaseError("nothing-awaited", "No check is on its way")
    case.snooze = Snooze(min(until or case.due, case.due), awaited)
    details: dict[str, Any] = {"until": case.snooze.until.isoformat(), "awaited": awaited}
    case.note(now, staff_id, "snoozed", note=words.strip(), **details)
    return [Deadline(SNOOZE_DEADLINE, case.snooze.until)]


def decide_note(case: Case, staff_id: str, words: str, now: datetime) -> Iterable[Effect]:
    """Say something about the case to whoever works on it after; nothing else changes."""
    if not case.open:
        raise CaseError("not-open", "The case is not with review")
    if not words.strip():
        raise CaseError("no-opinion", "Write the note")
    case.note(now, staff_id, "noted", note=words.strip())
    return []


def decide_wake(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Take up again a case of one's own that was laid aside."""
    _own(case, staff_id)
    return _wake(case, staff_id, now)


def on_snooze_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """The time has come until which the case was laid aside; its owner finds it again."""
    if case.snooze is None or now < case.snooze.until:
        return []
    return _wake(case, "review", now)


def on_arrived(case: Case, what: Awaited, now: datetime) -> Iterable[Effect]:
    """A paper or a check's answer has come: a case that was laid aside until then comes back, of
    several checks with the last answer."""
    if case.snooze is None or case.snooze.awaited != what:
        return []
    if what == "check" and _checks_pending(case):
        return []
    return _wake(case, "review", now)


def _wake(case: Case, actor: str, now: datetime) -> Iterable[Effect]:
    if case.snooze is None:
        return []
    case.snooze = None
    case.note(now, actor, "woken")
    return [ClearDeadline(SNOOZE_DEADLINE)]


def _checks_pending(case: Case) -> bool:
    return any(check.outcome == "pending" for check in case.checks.values())


def decide_propose_approval(
    case: Case, staff_id: str, limit: Money, note: str, now: datetime
) -> Iterable[Effect]:
    """The first reviewer wants to grant the card with this limit, and says why in words for the
    file. Raises CaseError where a precondition of an approval is missing."""
    _own(case, staff_id)
    found = _approvable(case, limit, note, now)
    return _propose(
        case, Proposal("approve", staff_id, now, limit, _grounds(found), note.strip()), now
    )


def _approvable(case: Case, limit: Money, note: str, now: datetime) -> Recommendation:
    """Refuse an approval whose preconditions are missing, the reviewer's opinion among them, or a
    limit that may not be granted."""
    obstacles = approval_obstacles(case, now)
    if obstacles:
        raise CaseError("not-approvable", "; ".join(REASONS_AGAINST[code] for code in obstacles))
    found = case.recommendation
    assert found is not None  # a missing one is an obstacle
    rules = product_of(case.need_scope().product, case.need_scope().product_version).limit
    if limit > found.ceiling:
        raise CaseError("limit-too-high", f"At most {found.ceiling} may be granted")
    if limit < rules.smallest or limit != limit.to_step(rules.step, LIMIT_ROUNDING):
        raise CaseError(
            "limit-not-fitting", f"The limit is at least {rules.smallest}, in steps of {rules.step}"
        )
    if not note.strip():
        raise CaseError("no-opinion", "An approval needs the reviewer's opinion in words")
    return found


def _declinable(case: Case, reason: str, note: str) -> None:
    """Refuse a decline without a reason of the catalogue, an opinion or the policy's word, and one
    by what is known to be wrong."""
    _refuse_wrong(case)
    if reason not in {known.code for known in reason_codes.DECLINE_REASONS}:
        raise CaseError("unknown-reason", "Choose a reason of the catalogue")
    if case.recommendation is None:
        raise CaseError("not-scored", "The policy has not spoken on this case yet")
    if not note.strip():
        raise CaseError("no-opinion", "A decline needs the reviewer's opinion in words")


def _refuse_wrong(case: Case) -> None:
    """Refuse to decline anybody by an answer that is known to be wrong by now."""
    answered = (
        one for one in case.checks.values() if one.name in ASKED and one.outcome == "answered"
    )
    if any(wrong_by_now(one, case) for one in answered):
        raise CaseError("answer-wrong", "An answer was corrected since: ask again first")


def decide_propose_decline(
    case: Case, staff_id: str, reason: str, note: str, now: datetime
) -> Iterable[Effect]:
    """The first reviewer wants to decline for this reason; why is said in words for the file."""
    _own(case, staff_id)
    _declinable(case, reason, note)
    return _propose(case, Proposal("decline", staff_id, now, None, (reason,), note.strip()), now)


def _propose(case: Case, proposal: Proposal, now: datetime) -> Iterable[Effect]:
    case.proposal, case.returned, case.touched = proposal, None, True
    case.snooze = None
    case.note(
        now,
        proposal.staff_id,
        "proposed",
        outcome=proposal.outcome,
        limit=proposal.limit.minor if proposal.limit else None,
        reasons=list(proposal.reasons) if proposal.outcome == "decline" else [],
        note=proposal.note,
    )
    event = review.ReviewProposed(
        **case.fields(), staff_id=proposal.staff_id, outcome=proposal.outcome
    )
    return [Fact(event)]


def decide_sign(
    case: Case, staff_id: str, now: datetime, *, risk_officer: bool = True
) -> Iterable[Effect]:
    """The second person confirms; only now is the application decided. Never the first person, and
    above the product's limit a risk officer."""
    proposal = _to_sign(case, staff_id, risk_officer=risk_officer)
    if case.blind:
        raise CaseError("opinion-first", "Give your own opinion before you see the first")
    if proposal.outcome == "approve" and approval_obstacles(case, now):
        raise CaseError("not-approvable", "The evidence changed since the proposal: send it back")
    if proposal.outcome == "decline" and not proposal.of_a_hold:
        _refuse_wrong(case)
    found = case.recommendation
    if proposal.limit is not None and found is not None and proposal.limit > found.ceiling:
        raise CaseError("limit-too-high", f"At most {found.ceiling} may be granted by now")
    signed = review.ReviewSigned(**case.fields(), staff_id=staff_id, outcome="confirmed")
    case.note(now, staff_id, "signed")
    decided = _decide(
        case,
        proposal.outcome,
        proposal.limit,
        proposal.reasons,
        (proposal.staff_id, staff_id),
        now,
    )
    return [Fact(signed), decided]


def decide_opinion(
    case: Case,
    staff_id: str,
    opinion: Opinion,
    now: datetime,
    *,
    risk_officer: bool = True,
) -> Iterable[Effect]:
    """Where the product wants it blind: the second person's own opinion, given before they have
    seen the first. If both would approve, the application is approved with the lower of the two
    limits; if both would decline, it is declined for the first person's reason; if they differ,
    the case is the first person's again, who reads what the second thinks."""
    proposal = _to_sign(case, staff_id, risk_officer=risk_officer)
    if not case.blind:
        raise CaseError("not-blind", "The first opinion is seen: sign it or send it back")
    if not opinion.note.strip():
        raise CaseError("no-opinion", "Say in words what you think")
    if opinion.limit is not None:
        _approvable(case, opinion.limit, opinion.note, now)
    else:
        _declinable(case, opinion.reason, opinion.note)
    case.note(
        now,
        staff_id,
        "opinion",
        outcome=opinion.outcome,
        limit=opinion.limit.minor if opinion.limit else None,
        reasons=[opinion.reason] if opinion.limit is None else [],
        note=opinion.note.strip(),
    )
    if opinion.outcome != proposal.outcome:
        case.note(now, staff_id, "returned")
        return [_give_back(case, proposal, staff_id, opinion.note, now)]
    limit = min(proposal.limit, opinion.limit) if proposal.limit and opinion.limit else None
    if limit is not None:
        # the evidence may have changed since the proposal
        _approvable(case, limit, opinion.note, now)
    signed = review.ReviewSigned(**case.fields(), staff_id=staff_id, outcome="confirmed")
    decided = _decide(
        case, proposal.outcome, limit, proposal.reasons, (proposal.staff_id, staff_id), now
    )
    return [Fact(signed), decided]


def give_back(case: Case, staff_id: str, now: datetime) -> list[Effect]:
    """What is proposed rests on evidence that counts no more: the case is the first person's again.
    What compliance proposes after a hold rests on something else."""
    proposal = case.proposal
    if proposal is None or proposal.of_a_hold:
        return []
    case.note(now, staff_id, "returned")
    return [_give_back(case, proposal, staff_id, "", now)]


def _give_back(case: Case, proposal: Proposal, staff_id: str, words: str, now: datetime) -> Effect:
    case.proposal, case.returned, case.touched = None, words.strip(), True
    case.claimed_by, case.claimed_at = proposal.staff_id, now
    return Fact(review.ReviewSigned(**case.fields(), staff_id=staff_id, outcome="returned"))


def decide_return(
    case: Case, staff_id: str, words: str, now: datetime, *, risk_officer: bool = True
) -> Iterable[Effect]:
    """The second person does not sign and says why; the case is the first person's again: the
    reviewer's, or held once more for compliance to look into. A blind opinion cannot be had while
    an answer is past its validity: then it goes back unseen, to be asked again."""
    proposal = _to_sign(case, staff_id, risk_officer=risk_officer)
    if case.blind and not lapsed(case, now):
        raise CaseError("opinion-first", "Give your own opinion before you see the first")
    if not words.strip():
        raise CaseError("no-opinion", "Say why the proposal goes back")
    returned = _give_back(case, proposal, staff_id, words, now)
    case.note(now, staff_id, "returned", note=words.strip())
    if not proposal.of_a_hold:
        return [returned]
    held = case.hold or holds.begin(HoldReason.OTHER, holds.BY_ITSELF, now)  # of before: unknown
    return [returned, *_hold(case, holds.begin(held.reason, held.by, now))]


def decide_want_material(
    case: Case, staff_id: str, items: Sequence[WantedItem], now: datetime
) -> Iterable[Effect]:
    """The reviewer needs more from the customer: the case goes back to intake with one list."""
    _own(case, staff_id)
    if not items:
        raise CaseError("nothing-wanted", "Name what the customer shall bring")
    event = review.MaterialWanted(**case.fields(), items=list(items), staff_id=staff_id)
    case.returned = None
    case.note(now, staff_id, "wanted_material", items=[item.item for item in items])
    wanted = move(case, event)
    case.awaited_since, case.touched = now, True
    return [wanted]


def decide_hold(
    case: Case, staff_id: str, reason: HoldReason | None, words: str, now: datetime
) -> Iterable[Effect]:
    """A reviewer suspects something and hands the case to compliance, with a reason of the
    catalogue and words that only compliance reads. Nothing is decided until compliance has said
    what it found."""
    _own(case, staff_id)
    if reason is None or reason not in holds.BY_OFFICERS:
        raise CaseError("unknown-reason", "Choose a reason of the catalogue")
    if not words.strip():
        raise CaseError("no-opinion", "Say what compliance shall look into")
    case.note(now, staff_id, "suspected", confidential=True, hold_reason=reason, note=words.strip())
    return _hold(case, holds.begin(reason, staff_id, now))


def on_hold_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """Compliance should have said by now what it found: it stands in the history."""
    held = case.hold
    if case.state is State.ON_HOLD and held is not None and held.due <= now:
        case.note(now, "review", "hold_overdue", confidential=True)
    return []


def decide_release(
    case: Case,
    staff_id: str,
    finding: Finding,
    words: str,
    now: datetime,
    *,
    screening: str | None = None,
) -> Iterable[Effect]:
    """Compliance has looked into a held case; never whoever held it. `screening`: the watchlists'
    answer that they were shown, else the one that was there when the case was held; one that came
    since is looked at first, and one that the policy has yet to weigh may hold the case again.

    `clear`: it goes to the reviewers' queue. `confirmed`: it goes there with compliance's own
    proposal to decline for internal reasons, which a second person has to sign.
    """
    if case.state is not State.ON_HOLD:
        raise CaseError("not-held", "The case is not held")
    if case.hold is not None and case.hold.by == staff_id:
        raise CaseError("same-person", "Whoever held the case does not end the hold")
    if not words.strip():
        raise CaseError("no-opinion", "Say what was found")
    shown = screening or (case.hold.screening if case.hold else None)
    if shown is not None and shown != case.screening:
        raise CaseError("answer-changed", "The watchlists were asked anew since: look at it first")
    released = move(case, review.ApplicationReleased(**case.fields()))
    case.queued_at, case.held_at = now, None
    screened = case.checks.get("watchlist")
    if screened is not None and screened.outcome == "answered" and not case.weighing:
        case.looked_into = screened.request_id
    if case.recommendation is not None:
        found = {*case.cleared, *_holding(case.recommendation)} - {"WATCHLIST_HIT"}
        case.cleared = tuple(sorted(found))
    case.returned, case.touched = None, True
    case.note(now, staff_id, "finding", confidential=True, finding=finding, note=words.strip())
    case.note(now, staff_id, "released")
    ended = ClearDeadline(HOLD_DEADLINE)
    if finding == "clear":
        return [released, ended]
    proposal = Proposal("decline", staff_id, now, None, ("INTERNAL_RISK",), "", of_a_hold=True)
    case.claimed_by, case.claimed_at = staff_id, now
    return [released, ended, *_propose(case, proposal, now)]


def approval_obstacles(case: Case, now: datetime) -> list[str]:
    """What stands in the way of an approval now, as codes of REASONS_AGAINST; empty: nothing.

    2022 joint notice: none while too many of the bank's cards lie dormant, whoever it is;
    2011 rules, Art. 42: no approval while a document, a field of the form, the consent, the
    reviewer's number or the record of the examination is missing; 2024 law 28: none for somebody
    unidentified; 2022 joint notice: none to a student without a second source of repayment. None
    by an answer that is past its validity, whose record would say otherwise by now, nor by a
    deduction that the person's other cards have outgrown since (2022 joint notice).
    """
    obstacles = []
    hand_over, found = case.hand_over, case.recommendation
    if hand_over is None or not hand_over.documents:
        obstacles.append("NO_DOCUMENTS")
    elif missing_items(case):
        obstacles.append("DOCUMENT_MISSING")
    if missing_fields(case):
        obstacles.append("FIELD_MISSING")
    if hand_over is None or hand_over.consent is None:
        obstacles.append("NO_CONSENT")
    items = {document.item for document in hand_over.documents} if hand_over else set()
    if case.need_scope().applicant_type == ApplicantType.STUDENT and SECOND_SOURCE not in items:
        obstacles.append("NO_SECOND_SOURCE")
    if found is None:
        return [*obstacles, "NOT_SCORED" if case.unweighed_since is None else "NOT_APPLIED"]
    if _checks_pending(case) or case.weighing:
        obstacles.append("CHECK_PENDING")
    if lapsed(case, now):
        obstacles.append("EVIDENCE_STALE")
    if stopped := issuing_stop(case, now):
        obstacles.append(stopped)
    if own_grown(case, found):
        obstacles.append("OWN_LIMITS_CHANGED")
    seen = {"IDENTITY_UNAVAILABLE"} if seen_instead(case, case.checks) else set()
    against = [*found.findings, *(["OWN_CARDS_AT_CAP"] if _cards_at_cap(case) else [])]
    obstacles.extend(code for code in dict.fromkeys(against) if code in BLOCKS_APPROVAL - seen)
    if not found.ceiling and "BUREAU_UNAVAILABLE" not in found.findings:
        unknown = "INCOME_UNKNOWN" in found.findings  # without it no limit is worked out
        obstacles.append("INCOME_UNKNOWN" if unknown else "NO_LIMIT_LEFT")
    return obstacles


def issuing_stop(case: Case, now: datetime) -> str | None:
    """Why the bank issues no card today, as the code of an obstacle; None: it does."""
    return stop_of(case.dormancy, load_accounts().dormancy, business_day(now))


def own_grown(case: Case, found: Recommendation) -> bool:
    """Whether the person has more of the bank's cards, or higher limits, than this deducted; what
    is not known counts as more."""
    limits, cards = case.own_limits, case.own_cards
    if limits is None or cards is None:
        return True
    return limits > found.own_existing or cards > found.own_cards


def own_differs(case: Case, found: Recommendation) -> bool:
    """Whether the person has other cards or limits than this deducted, more or fewer."""
    return (case.own_limits, case.own_cards) != (found.own_existing, found.own_cards)


def _cards_at_cap(case: Case) -> bool:
    """Whether the person has as many cards by now as the product allows."""
    scope = case.need_scope()
    most = product_of(scope.product, scope.product_version).cards_per_customer
    return case.own_cards is not None and case.own_cards >= most


def lapsed(case: Case, now: datetime) -> list[Check]:
    """The answers of the bank's systems on which no decision may rest any more."""
    return [
        check
        for check in case.checks.values()
        if check.name in ASKED and check.outcome == "answered" and not still_holds(check, now, case)
    ]


def missing_items(case: Case) -> list[tuple[str, ...]]:
    """What the product demands and nobody handed over, each by the items of which one would do."""
    scope, hand_over = case.need_scope(), case.need_hand_over()
    return materials.missing_items(
        product_of(scope.product, scope.product_version),
        scope.applicant_type,
        handed={document.item for document in hand_over.documents},
        waived=hand_over.waived,
        age_band=hand_over.age_band,
        kind_named="id_type" in hand_over.examined.fields,
    )


def missing_fields(case: Case) -> list[tuple[PartyRole, str]]:
    """The fields that the product's form has to have and has not: whose, and which."""
    scope = case.need_scope()
    return materials.missing_fields(
        product_of(scope.product, scope.product_version),
        scope.applicant_type,
        case.hand_over.parties if case.hand_over else [],
    )


def seen_instead(case: Case, checks: Mapping[str, Check]) -> bool:
    """Whether, by these checks, the registry does not hold documents such as the customer's, and
    somebody of the bank saw the customer with the original (三亲见)."""
    check = checks.get("identity")
    meeting = case.hand_over.meeting if case.hand_over else None
    return (
        check is not None
        and check.why == OTHER_DOCUMENT
        and meeting is not None
        and meeting.saw_person
        and meeting.saw_original
    )


REASONS_AGAINST: dict[str, str] = {
    "NO_DOCUMENTS": mark("No document lies with the case"),
    "DOCUMENT_MISSING": mark("A document is missing that the product requires"),
    "FIELD_MISSING": mark("A field of the form is missing that the product requires"),
    "NO_CONSENT": mark("The consent to the credit query is missing"),
    "NO_SECOND_SOURCE": mark("The guarantee of the second source of repayment is missing"),
    "NOT_SCORED": mark("The policy has not spoken on this case yet"),
    "NOT_APPLIED": mark("The policy could not be applied to this case: ask again"),
    "CHECK_PENDING": mark("A check is on its way, or its answer is not weighed yet"),
    "EVIDENCE_STALE": mark("An answer is older than its validity: ask again"),
    "OWN_LIMITS_CHANGED": mark(
        "The customer has got further cards or higher limits since: ask again"
    ),
    **{code: REASONS[code].words for code in sorted(BLOCKS_APPROVAL)},
    **{code: REASONS[code].words for code in (OVER_BOUND, UNREPORTED)},
    **{code: REASONS[code].words for code in ("NO_LIMIT_LEFT", "INCOME_UNKNOWN")},
}
"""Obstacle -> words (message ids)."""


def _grounds(found: Recommendation) -> tuple[str, ...]:
    """The reasons that stand beside an approval by people: what made the policy refer the case."""
    return tuple(
        code for code in found.findings if REASONS[code].effect is reason_codes.Effect.REFER
    )


def _in_queue(case: Case) -> None:
    if case.state is not State.MANUAL_REVIEW:
        raise CaseError("not-in-queue", "The case does not lie in the reviewers' queue")


def _unproposed(case: Case) -> None:
    _in_queue(case)
    if case.proposal is not None:
        raise CaseError("proposed", "A decision is proposed and waits for the second signature")


def _own(case: Case, staff_id: str) -> None:
    _unproposed(case)
    if case.claimed_by != staff_id:
        raise CaseError("not-yours", "Claim the case first")


def peer_may_sign(case: Case) -> bool:
    """Whether any other reviewer may be the second person: of an approval up to the product's
    limit. Of whatever else it is a risk officer; where the second opinion is blind always, or
    whoever may give one would know the first."""
    limit, rules = case.proposal.limit if case.proposal else None, case.review_rules
    most = None if rules.blind else rules.risk_officer_above
    return limit is not None and most is not None and limit <= most


def knows_first(case: Case, staff_id: str) -> bool:
    """Whether somebody has no blind opinion to give: they had the case while it was escalated by
    the first person, and read why."""
    proposal = case.proposal
    return case.blind and proposal is not None and (staff_id, proposal.staff_id) in case.has_read


def _to_sign(case: Case, staff_id: str, *, risk_officer: bool) -> Proposal:
    _in_queue(case)
    if case.proposal is None:
        raise CaseError("nothing-proposed", "Nothing waits for a signature")
    began = case.hold.by if case.proposal.of_a_hold and case.hold else None
    if staff_id in (case.proposal.staff_id, began):
        raise CaseError("same-person", "The second signature is another person's")
    if knows_first(case, staff_id):
        raise CaseError("has-read", "Whoever read why it was escalated knows the first opinion")
    if not risk_officer and not peer_may_sign(case):
        raise CaseError("risk-officer-needed", "The second signature is a risk officer's")
    return case.proposal


# --- the customer withdraws --------------------------------------------------------------------


def answer_withdrawal(case: Case, request_id: str, now: datetime) -> Iterable[Effect]:
    """The customer wants out: granted while review holds the application, refused with the reason
    where it was given away before the request came."""
    if case.open:
        event = review.WithdrawalGranted(**case.fields(), request_id=request_id)
        fact = move(case, event)
        case.note(now, "review", "withdrawal_granted")
        return [fact]
    reason: Literal["already-decided", "already-ended", "with-intake"] = "with-intake"
    if case.state in (State.WITHDRAWN, State.EXPIRED, State.IN_USE):
        reason = "already-ended"
    elif case.decided:
        reason = "already-decided"
    refusal = review.WithdrawalRefused(**case.fields(), request_id=request_id, reason=reason)
    case.note(now, "review", "withdrawal_refused", reason=reason)
    return [Fact(refusal, state_version=case.state_version)]


def begin_review(case: Case, hand_over: HandOver) -> None:
    """Keep what intake handed over; the clock runs from the first hand-over, except while the
    customer is awaited. What compliance found was found about the person whom the form named
    then."""
    before = case.hand_over
    if before is not None:
        for check in case.checks.values():
            if check.name in ASKED and about_this_person(check, before):
                check.about = ASKED[check.name].digest(before.examined.fields)
        screened = ASKED["watchlist"]
        if screened.about(before.examined.fields) != screened.about(hand_over.examined.fields):
            case.looked_into, case.cleared = None, ()
    case.hand_over = hand_over
    case.touched = True
    if case.due is None:
        case.due = queue.due_at(hand_over.handed_at, case.need_scope().applicant_type)
