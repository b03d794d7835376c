"""What an application may be, what moves it, and who answers for it while it rests.

One table: state x event -> next state. Every state that is not final names its **authority** (the
only service that publishes transitions out of it), its **desk** (the people who own the case), whom
everybody is **waiting** for, and the **longest silence** after which the case counts as stuck.
Services keep an application's state through `advance` alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from shared.events import intake, review
from shared.events.payload import Payload


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


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a state."""

    authority: Literal["intake", "review"]
    desk: Literal["assistant", "credit_review", "risk", "compliance", "operations"]
    waiting_on: Literal["customer", "bank", "partner"]
    silence: Silence


def _working(days: int) -> Silence:
    return Silence(days, "working days")


# The defaults of the office's own clocks; a state that waits for the customer may stay silent one
# day longer than the customer's deadline, so that the deadline closes the case before anybody is
# alarmed.
OWNERS: dict[State, Owner] = {
    State.DRAFT: Owner("intake", "assistant", "customer", Silence(31, "days")),
    State.SUBMITTED: Owner("intake", "assistant", "bank", _working(1)),
    State.PRE_CHECK: Owner("intake", "assistant", "bank", _working(7)),
    State.AWAITING_MATERIAL: Owner("intake", "assistant", "customer", _working(11)),
    State.CHECKING: Owner("review", "risk", "partner", _working(1)),
    State.SCORING: Owner("review", "risk", "bank", _working(1)),
    State.MANUAL_REVIEW: Owner("review", "credit_review", "bank", _working(3)),
    State.ON_HOLD: Owner("review", "compliance", "bank", _working(5)),
    State.APPROVED: Owner("intake", "operations", "bank", _working(1)),
    State.CARD_PRODUCING: Owner("intake", "operations", "partner", _working(3)),
    State.POSTED: Owner("intake", "operations", "partner", Silence(15, "days")),
    State.DELIVERED: Owner("intake", "assistant", "customer", Silence(61, "days")),
    State.ACTIVATED: Owner("intake", "assistant", "customer", Silence(90, "days")),
}

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

MILESTONES: dict[type[Payload], frozenset[State]] = {
    # Asked for by one service while another decides, so they may come to lie behind any decision.
    intake.DocumentReceived: _EVERYWHERE,
    intake.WithdrawalRequested: _EVERYWHERE,
    review.WithdrawalRefused: _EVERYWHERE,
    intake.CardFactRefused: _EVERYWHERE,
    intake.ItemAskedAgain: _EVERYWHERE,
    intake.MaterialReminded: frozenset({_S.AWAITING_MATERIAL}),
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
