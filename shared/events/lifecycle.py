"""What an application may be, what moves it, and who answers for it while it rests.

One table: state x event -> next state. Every state that is not final names its **authority** (the
only service that publishes transitions out of it), its **desk** (the people who own the case), whom
everybody is **waiting** for, the **clock** by which its step has to be done, and by the office's
clocks the **longest silence** after which the case counts as stuck.
Services keep an application's state through `advance` alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from shared.calendar import BUSINESS_ZONE, business_day, due_about, end_of_day
from shared.events import intake, review
from shared.events.payload import Payload
from shared.parameters.load import load_clocks
from shared.parameters.models import Terms


class State(StrEnum):
    """Where an application stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    PRE_CHECK = "pre_check"
    AWAITING_MATERIAL = "awaiting_material"
    CHECKING = "checking"
    SCORING = "scoring"
    MANUAL_REVIEW = "manual_review"
    ON_HOLD = "on_hold"
    APPROVED = "approved"
    CARD_PRODUCING = "card_producing"
    POSTED = "posted"
    DELIVERED = "delivered"
    ACTIVATED = "activated"
    IN_USE = "in_use"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Silence:
    """How long nothing may happen: so many working days, or so many days of the calendar."""

    days: int
    unit: Literal["working days", "days"]

    def __str__(self) -> str:
        return f"{self.days} {self.unit if self.days != 1 else self.unit.removesuffix('s')}"


Clock = Literal[
    "draft_days",
    "material",
    "pre_check_working_days",
    "review_working_days",
    "activation_days",
    "longest_silence",
]
"""The parameter that says how long a step may take. Review has one term for all of its states,
from the hand-over on: by a term of its own a hold would show."""


Desk = Literal["assistant", "credit_review", "risk", "compliance", "operations"]
"""People who own cases."""


class Unreminded(StrEnum):
    """Why nobody outside is reminded before a step has to be done."""

    WAITS_FOR_THE_OFFICE = "the bank or a partner acts: the desk sees it as urgent, then as overdue"
    NOTHING_ENDS = "not using a card ends nothing, and asking to use it would be advertising"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a state, by which clock, and by which event the customer is reminded."""

    state: State
    authority: Literal["intake", "review"]
    desk: Desk
    waiting_on: Literal["customer", "bank", "partner"]
    clock: Clock
    reminder: type[Payload] | Unreminded = Unreminded.WAITS_FOR_THE_OFFICE

    @property
    def silence(self) -> Silence:
        """How long the state may stay silent, by the clocks as they are now."""
        limit = load_clocks().longest_silence.of(self.state)
        return Silence(limit.days, "days" if limit.unit == "days" else "working days")


OWNERS: dict[State, Owner] = {
    owner.state: owner
    for owner in (
        Owner(State.DRAFT, "intake", "assistant", "customer", "draft_days", intake.DraftReminded),
        Owner(State.SUBMITTED, "intake", "assistant", "bank", "longest_silence"),
        Owner(State.PRE_CHECK, "intake", "assistant", "bank", "pre_check_working_days"),
        Owner(
            State.AWAITING_MATERIAL,
            "intake",
            "assistant",
            "customer",
            "material",
            intake.MaterialReminded,
        ),
        Owner(State.CHECKING, "review", "risk", "partner", "review_working_days"),
        Owner(State.SCORING, "review", "risk", "bank", "review_working_days"),
        Owner(State.MANUAL_REVIEW, "review", "credit_review", "bank", "review_working_days"),
        Owner(State.ON_HOLD, "review", "compliance", "bank", "review_working_days"),
        Owner(State.APPROVED, "intake", "operations", "bank", "longest_silence"),
        Owner(State.CARD_PRODUCING, "intake", "operations", "partner", "longest_silence"),
        Owner(State.POSTED, "intake", "operations", "partner", "longest_silence"),
        Owner(
            State.DELIVERED,
            "intake",
            "assistant",
            "customer",
            "activation_days",
            intake.ActivationReminded,
        ),
        Owner(
            State.ACTIVATED,
            "intake",
            "assistant",
            "customer",
            "longest_silence",
            Unreminded.NOTHING_ENDS,
        ),
    )
}

BESIDE_REVIEW: dict[Literal["first_contact", "interview", "hold"], Desk] = {
    "first_contact": "assistant",
    "interview": "assistant",
    "hold": "compliance",
}
"""What has a clock of its own while review has the case -> the desk that answers for it."""

BESIDE_DECISION: dict[Literal["appeal", "dispute"], Desk] = {
    "appeal": "credit_review",
    "dispute": "credit_review",
}
"""What is a case of its own with a clock of its own -> the desk that answers for it."""

REMINDERS: dict[type[Payload], State] = {
    owner.reminder: owner.state
    for owner in OWNERS.values()
    if not isinstance(owner.reminder, Unreminded)
}
"""Event by which the customer is reminded -> the state that is about to end."""


def step_ends(state: State, since: datetime, terms: Terms, applicant_type: str) -> datetime:
    """When the step that began then has to be done (UTC): by the product's own `terms` where they
    say so, else by the office's clocks. `since` is the hand-over for what lies with review. A term
    in days of the calendar has its last day whole: customers are told the day.
    """
    owner = OWNERS[state]
    if owner.clock == "longest_silence":
        limit = owner.silence
        if limit.unit == "working days":
            return due_about(since, limit.days)
        return since + timedelta(days=limit.days)
    if owner.clock == "review_working_days":
        return due_about(since, load_clocks().review_days(applicant_type))
    if owner.clock == "material":
        return due_about(since, terms.material.working_days)
    days: int = getattr(terms, owner.clock)
    if owner.clock.endswith("working_days"):
        return due_about(since, days)
    return end_of_day(business_day(since) + timedelta(days=days))


def reminder_at(
    state: Literal[State.DRAFT, State.DELIVERED], ends: datetime, terms: Terms
) -> datetime:
    """When the customer is reminded of a term in days of the calendar that `ends` then (UTC)."""
    before: int = getattr(terms, OWNERS[state].clock.replace("_days", "_remind_days_before"))
    day = business_day(ends) - timedelta(days=before)
    return datetime.combine(day, load_clocks().reminder_time, BUSINESS_ZONE).astimezone(UTC)


TERMINAL: frozenset[State] = frozenset(State) - frozenset(OWNERS)
"""States that nothing leaves: an objection or a new wish is a new case that names the old one."""

_S = State
_BEFORE_USE = (_S.CARD_PRODUCING, _S.POSTED, _S.DELIVERED, _S.ACTIVATED)

MOVES: dict[type[Payload], dict[State | None, State]] = {
    intake.ApplicationDrafted: {None: _S.DRAFT},
    intake.ApplicationSubmitted: {_S.DRAFT: _S.SUBMITTED},
    intake.PreCheckStarted: {_S.SUBMITTED: _S.PRE_CHECK},
    intake.MaterialRequested: {_S.PRE_CHECK: _S.AWAITING_MATERIAL},
    intake.MaterialCompleted: {_S.AWAITING_MATERIAL: _S.PRE_CHECK},
    intake.PreCheckPassed: {_S.PRE_CHECK: _S.CHECKING},
    intake.ApplicationWithdrawn: dict.fromkeys(
        (_S.DRAFT, _S.SUBMITTED, _S.PRE_CHECK, _S.AWAITING_MATERIAL, _S.APPROVED), _S.WITHDRAWN
    ),
    intake.ApplicationExpired: dict.fromkeys(
        (_S.DRAFT, _S.AWAITING_MATERIAL, _S.DELIVERED), _S.EXPIRED
    ),
    review.ChecksCompleted: {_S.CHECKING: _S.SCORING},
    review.ApplicationReferred: {_S.SCORING: _S.MANUAL_REVIEW},
    review.MaterialWanted: {_S.MANUAL_REVIEW: _S.AWAITING_MATERIAL},
    review.ApplicationHeld: dict.fromkeys((_S.CHECKING, _S.SCORING, _S.MANUAL_REVIEW), _S.ON_HOLD),
    review.ApplicationReleased: {_S.ON_HOLD: _S.MANUAL_REVIEW},
    review.ApplicationApproved: dict.fromkeys((_S.SCORING, _S.MANUAL_REVIEW), _S.APPROVED),
    review.ApplicationDeclined: dict.fromkeys((_S.SCORING, _S.MANUAL_REVIEW), _S.DECLINED),
    review.WithdrawalGranted: dict.fromkeys(
        (_S.CHECKING, _S.SCORING, _S.MANUAL_REVIEW, _S.ON_HOLD), _S.WITHDRAWN
    ),
    intake.CardOrdered: {_S.APPROVED: _S.CARD_PRODUCING},
    intake.CardPosted: {_S.CARD_PRODUCING: _S.POSTED},
    intake.CardDelivered: dict.fromkeys((_S.CARD_PRODUCING, _S.POSTED), _S.DELIVERED),
    intake.CardActivated: dict.fromkeys((_S.CARD_PRODUCING, _S.POSTED, _S.DELIVERED), _S.ACTIVATED),
    intake.CardFirstUsed: dict.fromkeys(_BEFORE_USE, _S.IN_USE),
}
"""Event -> {state before: state after}."""

_EVERYWHERE = frozenset(State)
_CARD_IS_MADE = frozenset({*_BEFORE_USE, _S.IN_USE})

GRANTED: frozenset[State] = _CARD_IS_MADE | {_S.APPROVED}
"""States in which the bank has granted a limit, and the application has not ended without a
card."""

_APPEALED = GRANTED | {_S.DECLINED}

HAS_CARD: frozenset[State] = frozenset({_S.ACTIVATED, _S.IN_USE})
"""States in which the customer has a card that works: its limit may be changed."""

MILESTONES: dict[type[Payload], frozenset[State]] = {
    # Asked for by one service while another decides, so they may come to lie behind any decision.
    intake.DocumentReceived: _EVERYWHERE,
    intake.WithdrawalRequested: _EVERYWHERE,
    review.WithdrawalRefused: _EVERYWHERE,
    intake.CardFactRefused: _EVERYWHERE,
    intake.ItemAskedAgain: _EVERYWHERE,
    intake.AccessCodeIssued: _EVERYWHERE,
    # A case of its own, which moves the application nowhere and outlives it.
    intake.DisputeRequested: _EVERYWHERE,
    review.DisputeOpened: _EVERYWHERE,
    review.DisputeAnswered: _EVERYWHERE,
    # A case of its own, which moves the decided application nowhere; meanwhile the customer may
    # withdraw from a card that was granted, or let it lapse.
    intake.AppealRequested: _APPEALED,
    review.AppealOpened: _APPEALED | {_S.WITHDRAWN, _S.EXPIRED},
    review.AppealAnswered: _APPEALED | {_S.WITHDRAWN, _S.EXPIRED},
    # So is a change of the limit, of a card that its holder has activated.
    intake.LimitChangeRequested: HAS_CARD,
    review.LimitChangeOpened: HAS_CARD,
    review.LimitChangeDecided: HAS_CARD,
    review.LimitExpiring: HAS_CARD,
    review.LimitExpired: HAS_CARD,
    **{reminder: frozenset({state}) for reminder, state in REMINDERS.items()},
    intake.ApplicationCorrected: frozenset({_S.SUBMITTED, _S.PRE_CHECK, _S.AWAITING_MATERIAL}),
    # Review asked for more material; intake says which and by when.
    intake.MaterialRequested: frozenset({_S.AWAITING_MATERIAL}),
    # A partner's fact that comes late fills the timeline and moves nothing.
    intake.CardProduced: _CARD_IS_MADE,
    intake.CardPosted: _CARD_IS_MADE - {_S.CARD_PRODUCING},
    intake.CardDelivered: _CARD_IS_MADE - {_S.CARD_PRODUCING, _S.POSTED},
    intake.CardActivated: frozenset({_S.ACTIVATED, _S.IN_USE}),
    intake.CardFirstUsed: frozenset({_S.IN_USE}),
}
"""Event -> states in which it is a fact worth telling that moves nothing."""

_LIFECYCLE: tuple[type[Payload], ...] = (intake.ApplicationImported, *MOVES, *MILESTONES)

BY_TYPE: dict[str, type[Payload]] = {payload.type: payload for payload in _LIFECYCLE}
"""The events of an application's lifecycle by CloudEvents type."""


class IllegalTransition(Exception):
    """This event cannot happen to an application in this state."""

    def __init__(self, state: State | None, event_type: str) -> None:
        super().__init__(
            f"{event_type} cannot happen to an application that is {state or 'not begun'}"
        )
        self.state = state
        self.event_type = event_type


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event does to an application: its state afterwards, and whether that is a move (which
    counts in `stateversion`) or a milestone (which does not)."""

    state: State
    moves: bool


def advance(
    state: str | None, event: type[Payload] | str, *, into: str | None = None
) -> Transition:
    """What `event` (a payload class or a CloudEvents type) does to an application in `state` (None:
    not begun). `into` is the state that an imported application comes in (`ApplicationImported`).

    Raises IllegalTransition where it cannot happen, KeyError for an event that is no part of the
    lifecycle.
    """
    payload = BY_TYPE[event] if isinstance(event, str) else event
    before = State(state) if state is not None else None
    if payload is intake.ApplicationImported and before is None and into is not None:
        return Transition(State(into), moves=True)
    after = MOVES.get(payload, {}).get(before)
    if after is not None:
        return Transition(after, moves=True)
    if before is not None and before in MILESTONES.get(payload, frozenset()):
        return Transition(before, moves=False)
    raise IllegalTransition(before, payload.type)


def publisher(payload: type[Payload]) -> Literal["intake", "review"]:
    """The service that publishes this event of the lifecycle; a payload lives in its publisher's
    file."""
    return "intake" if payload.__module__ == intake.__name__ else "review"


def diagram() -> str:
    """The lifecycle as a Mermaid state diagram; the README shows exactly this."""
    lines = ["stateDiagram-v2", "    direction LR"]
    arrows: dict[tuple[str, str], list[str]] = {}
    for payload, moves in MOVES.items():
        verb = payload.type.removeprefix("banka.").removesuffix(".v1").removeprefix("application.")
        for before, after in moves.items():
            arrows.setdefault((before or "[*]", after), []).append(verb)
    for (start, end), verbs in arrows.items():
        lines.append(f"    {start} --> {end}: {', '.join(verbs)}")
    lines.extend(f"    {state} --> [*]" for state in State if state in TERMINAL)
    return "\n".join(lines)
