"""The lifecycle's table is whole: somebody answers for every state, and every event has a place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import intake, lifecycle, review
from shared.events.lifecycle import MILESTONES, MOVES, OWNERS, TERMINAL, State, advance
from shared.events.payload import Payload

EVENTS = sorted(lifecycle.BY_TYPE.values(), key=lambda payload: payload.type)


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


@pytest.mark.parametrize("state", [None, *State])
@pytest.mark.parametrize("payload", EVENTS, ids=lambda payload: payload.type)
def test_every_event_moves_is_a_milestone_or_is_refused(
    payload: type[Payload], state: State | None
) -> None:
    moves = state in MOVES.get(payload, {})
    milestone = state in MILESTONES.get(payload, frozenset())
    assert not (moves and milestone)
    if moves or milestone:
        step = advance(state, payload)
        assert step.moves is moves
        assert step.state == (MOVES[payload][state] if moves else state)
        assert advance(state, payload.type) == step
    else:
        with pytest.raises(lifecycle.IllegalTransition):
            advance(state, payload)


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
