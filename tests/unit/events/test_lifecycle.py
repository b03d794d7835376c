"""The lifecycle's table is whole: somebody answers for every state, and every event has a place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import intake, lifecycle, review
from shared.events.lifecycle import (
    MILESTONES,
    MOVES,
    OWNERS,
    REMINDERS,
    TERMINAL,
    State,
    Unreminded,
    advance,
)
from shared.events.payload import Payload

EVENTS = sorted(lifecycle.BY_TYPE.values(), key=lambda payload: payload.type)


# What the office agreed on, written down a second time: a desk, a clock or a way that changes in
# the code alone is a mistake. State: authority, desk, who waits, longest silence.
ANSWERS = {
    "draft": ("intake", "assistant", "customer", "draft_days", "31 days"),
    "submitted": ("intake", "assistant", "bank", "longest_silence", "1 working day"),
    "pre_check": ("intake", "assistant", "bank", "pre_check_working_days", "7 working days"),
    "awaiting_material": ("intake", "assistant", "customer", "material", "11 working days"),
    "checking": ("review", "risk", "partner", "review_working_days", "1 working day"),
    "scoring": ("review", "risk", "bank", "review_working_days", "1 working day"),
    "manual_review": ("review", "credit_review", "bank", "review_working_days", "3 working days"),
    "on_hold": ("review", "compliance", "bank", "review_working_days", "5 working days"),
    "approved": ("intake", "operations", "bank", "longest_silence", "1 working day"),
    "card_producing": ("intake", "operations", "partner", "longest_silence", "3 working days"),
    "posted": ("intake", "operations", "partner", "longest_silence", "15 days"),
    "delivered": ("intake", "assistant", "customer", "activation_days", "64 days"),
    "activated": ("intake", "assistant", "customer", "longest_silence", "90 days"),
}
ENDS = {"in_use", "declined", "withdrawn", "expired"}
# Before: {event: after}. "-" is an application that has not begun.
WAYS = {
    "-": {"application.drafted": "draft"},
    "draft": {
        "application.submitted": "submitted",
        "application.withdrawn": "withdrawn",
        "application.expired": "expired",
    },
    "submitted": {
        "application.pre-check-started": "pre_check",
        "application.withdrawn": "withdrawn",
    },
    "pre_check": {
        "application.material-requested": "awaiting_material",
        "application.pre-check-passed": "checking",
        "application.withdrawn": "withdrawn",
    },
    "awaiting_material": {
        "application.material-completed": "pre_check",
        "application.withdrawn": "withdrawn",
        "application.expired": "expired",
    },
    "checking": {
        "application.checks-completed": "scoring",
        "application.held": "on_hold",
        "application.withdrawal-granted": "withdrawn",
    },
    "scoring": {
        "application.referred": "manual_review",
        "application.held": "on_hold",
        "application.approved": "approved",
        "application.declined": "declined",
        "application.withdrawal-granted": "withdrawn",
    },
    "manual_review": {
        "application.material-wanted": "awaiting_material",
        "application.held": "on_hold",
        "application.approved": "approved",
        "application.declined": "declined",
        "application.withdrawal-granted": "withdrawn",
    },
    "on_hold": {
        "application.released": "manual_review",
        "application.withdrawal-granted": "withdrawn",
    },
    "approved": {"card.ordered": "card_producing", "application.withdrawn": "withdrawn"},
    "card_producing": {
        "card.posted": "posted",
        "card.delivered": "delivered",
        "card.activated": "activated",
        "card.first-used": "in_use",
    },
    "posted": {
        "card.delivered": "delivered",
        "card.activated": "activated",
        "card.first-used": "in_use",
    },
    "delivered": {
        "card.activated": "activated",
        "card.first-used": "in_use",
        "application.expired": "expired",
    },
    "activated": {"card.first-used": "in_use"},
}
# Facts that move nothing, by the states in which they are one; those of the first line in any.
ANYWHERE = {
    "document.received", "application.withdrawal-requested", "application.withdrawal-refused",
    "card.fact-refused", "item.asked-again", "access-code.issued",
    "dispute.requested", "dispute.opened", "dispute.answered",
}  # fmt: skip
OF_A_LIMIT = {
    "limit-change.requested", "limit-change.opened", "limit-change.decided", "limit.expiring",
    "limit.expired",
}  # fmt: skip
FACTS_IN = {
    "submitted": {"application.corrected"},
    "pre_check": {"application.corrected"},
    "draft": {"application.draft-reminded"},
    "awaiting_material": {
        "application.corrected", "application.material-reminded", "application.material-requested",
    },
    "card_producing": {"card.produced"},
    "posted": {"card.produced", "card.posted"},
    "delivered": {
        "application.activation-reminded", "card.produced", "card.posted", "card.delivered",
    },
    "activated": {"card.produced", "card.posted", "card.delivered", "card.activated", *OF_A_LIMIT},
    "in_use": {
        "card.produced", "card.posted", "card.delivered", "card.activated", "card.first-used",
        *OF_A_LIMIT,
    },
}  # fmt: skip
# Of a decline or of a limit that was granted; what was asked is answered, too, where the card came
# to nothing meanwhile.
APPEALED_IN = {
    "approved", "card_producing", "posted", "delivered", "activated", "in_use", "declined",
}  # fmt: skip
ANSWERED_IN = {*APPEALED_IN, "withdrawn", "expired"}
APPEALS = {
    "appeal.requested": APPEALED_IN, "appeal.opened": ANSWERED_IN, "appeal.answered": ANSWERED_IN,
}  # fmt: skip


# Of what ends for the customer the customer is reminded; of what does not, why not.
REMINDED = {
    "draft": "application.draft-reminded",
    "awaiting_material": "application.material-reminded",
    "delivered": "application.activation-reminded",
    "activated": "not using a card ends nothing, and asking to use it would be advertising",
}


def _short(payload: type[Payload]) -> str:
    return payload.type.removeprefix("banka.").removesuffix(".v1")


def test_who_answers_for_a_state_is_what_the_office_agreed_on() -> None:
    assert {
        state.value: (
            owner.authority,
            owner.desk,
            owner.waiting_on,
            owner.clock,
            str(owner.silence),
        )
        for state, owner in OWNERS.items()
    } == ANSWERS
    assert {state.value for state in State} == ANSWERS.keys() | ENDS


@pytest.mark.parametrize("state", [state for state in State if state not in TERMINAL])
def test_the_customer_is_reminded_of_every_deadline_of_theirs_or_the_table_says_why_not(
    state: State,
) -> None:
    owner = OWNERS[state]
    if isinstance(owner.reminder, Unreminded):
        said = str(owner.reminder)
        # nothing may end for the customer of which nobody reminded them
        assert state not in MOVES[intake.ApplicationExpired]
        assert owner.waiting_on != "customer" or owner.clock == "longest_silence"
    else:
        said = _short(owner.reminder)
        assert REMINDERS[owner.reminder] is state
        assert advance(state, owner.reminder) == lifecycle.Transition(state, moves=False)
    others = "the bank or a partner acts: the desk sees it as urgent, then as overdue"
    assert said == REMINDED.get(state.value, others)


def test_the_table_names_every_event_of_the_lifecycle() -> None:
    named = ANYWHERE.union(*WAYS.values(), *FACTS_IN.values(), APPEALS)
    assert named | {"application.imported"} == {_short(payload) for payload in EVENTS}


@pytest.mark.parametrize("state", [None, *State])
@pytest.mark.parametrize("payload", EVENTS, ids=_short)
def test_every_event_does_in_every_state_what_the_office_agreed_on(
    payload: type[Payload], state: State | None
) -> None:
    name, before = _short(payload), state.value if state else "-"
    after = WAYS.get(before, {}).get(name)
    fact = state is not None and name in ANYWHERE | FACTS_IN.get(before, set())
    fact = fact or before in APPEALS.get(name, set())
    for event in (payload, payload.type):
        if after is None and not fact:
            with pytest.raises(lifecycle.IllegalTransition):
                advance(state, event)
        else:
            step = advance(state, event)
            assert (step.state.value, step.moves) == (after or before, after is not None)


def _moves(state: State | None) -> dict[type[Payload], State]:
    return {payload: moves[state] for payload, moves in MOVES.items() if state in moves}


@pytest.mark.parametrize("state", [state for state in State if state not in TERMINAL])
def test_a_state_that_is_not_final_has_an_authority_an_owner_and_a_clock(state: State) -> None:
    owner = OWNERS[state]
    assert owner.silence.days >= 1
    assert {lifecycle.publisher(payload) for payload in _moves(state)} == {owner.authority}


def test_only_the_known_ends_are_final() -> None:
    assert {State.DECLINED, State.WITHDRAWN, State.EXPIRED, State.IN_USE} == TERMINAL
    for state in TERMINAL:
        assert _moves(state) == {}


def test_every_state_can_be_reached_and_leads_to_an_end() -> None:
    def reach(start: State | None) -> set[State]:
        seen: set[State] = set()
        front = set(_moves(start).values())
        while front:
            seen |= front
            front = {after for state in front for after in _moves(state).values()} - seen
        return seen

    assert reach(None) == set(State)
    for state in OWNERS:
        assert reach(state) & TERMINAL


def test_no_event_is_a_move_and_a_mere_fact_in_one_state() -> None:
    for payload, moves in MOVES.items():
        assert not moves.keys() & MILESTONES.get(payload, frozenset())


@given(st.data())
def test_a_random_walk_ends_only_where_the_lifecycle_ends(data: st.DataObject) -> None:
    state: State | None = None
    for _ in range(60):
        choices = _moves(state)
        if not choices:
            assert state in TERMINAL
            return
        payload = data.draw(st.sampled_from(sorted(choices, key=lambda item: item.type)))
        before = OWNERS[state].authority if state else "intake"
        assert lifecycle.publisher(payload) == before
        state = advance(state, payload).state


FACTS = (
    intake.CardProduced,
    intake.CardPosted,
    intake.CardDelivered,
    intake.CardActivated,
    intake.CardFirstUsed,
)


@given(st.permutations(FACTS))
def test_card_facts_in_any_order_end_in_the_furthest_state(facts: list[type[Payload]]) -> None:
    state = State.CARD_PRODUCING
    for fact in facts:
        state = advance(state, fact).state
    assert state is State.IN_USE


def test_a_card_fact_on_a_declined_application_is_refused() -> None:
    with pytest.raises(lifecycle.IllegalTransition, match="declined"):
        advance(State.DECLINED, intake.CardActivated)


def test_an_imported_application_comes_in_at_its_state() -> None:
    step = advance(None, intake.ApplicationImported, into="manual_review")
    assert step == lifecycle.Transition(State.MANUAL_REVIEW, moves=True)
    with pytest.raises(lifecycle.IllegalTransition):
        advance("draft", intake.ApplicationImported, into="manual_review")
    with pytest.raises(lifecycle.IllegalTransition):
        advance(None, intake.ApplicationImported)


def test_the_decision_and_the_withdrawal_cannot_both_be_taken() -> None:
    decided = advance(State.MANUAL_REVIEW, review.ApplicationApproved).state
    with pytest.raises(lifecycle.IllegalTransition):
        advance(decided, review.WithdrawalGranted)
    withdrawn = advance(State.MANUAL_REVIEW, review.WithdrawalGranted).state
    with pytest.raises(lifecycle.IllegalTransition):
        advance(withdrawn, review.ApplicationApproved)


def test_the_diagram_shows_every_move() -> None:
    drawn = lifecycle.diagram()
    for payload, moves in MOVES.items():
        verb = payload.type.removeprefix("banka.").removesuffix(".v1").removeprefix("application.")
        for before, after in moves.items():
            line = next(
                line
                for line in drawn.splitlines()
                if line.strip().startswith(f"{before or '[*]'} --> {after}:")
            )
            assert verb in line
