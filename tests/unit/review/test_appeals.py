"""Appeals: what may be asked about a decline or a limit that the policy alone set, who may answer,
and that what was decided stays."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.review import appeals, limit_changes
from services.review.case import Case, CaseError
from services.review.officers import Away, Officer
from shared.calendar import business_day
from shared.events import review
from shared.events.intake import AppealWish, LimitChangeKind
from shared.events.lifecycle import GRANTED, State
from shared.messaging import ClearDeadline, Deadline, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_limit_changes
from tests.unit.review.builders import NOW, hand_over, officer
from tests.unit.review.builders import case as begun
from tests.unit.review.test_limit_changes import asked, card

HUMAN, WHY = AppealWish.HUMAN_REVIEW, AppealWish.EXPLANATION
FIRST, SECOND, OTHER = "first", "second", "other"
INCOME_DAYS = load_limit_changes().income_days
GRANTED_CHANGE = limit_changes.ChangeState.GRANTED


def declined(*deciders: str) -> Case:
    """Declined by these, and appealed against; by nobody: by the policy."""
    case = begun()
    case.state, case.category, case.state_version = State.DECLINED, "credit_history", 7
    list(appeals.decide_open(case, "a-1", HUMAN, "sealed", OTHER, NOW))
    case.appeals[0].deciders, case.appeals[0].automatic = deciders, not deciders
    return case


def refusal(decide: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(CaseError) as refused:
        list(decide(*arguments, **named))
    return refused.value.code


def test_an_appeal_has_a_number_of_its_own_and_a_clock_and_moves_nothing() -> None:
    case = begun()
    case.state, case.state_version = State.DECLINED, 7
    fact, deadline = appeals.decide_open(case, "a-1", WHY, "", OTHER, NOW)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, review.AppealOpened)
    assert (fact.data.appeal_number, fact.state_version) == (
        f"{case.need_scope().application_number}-1",
        7,
    )
    assert deadline == Deadline(appeals.APPEAL_DEADLINE, appeals.due_at(NOW))
    assert (case.state, case.state_version, case.decisions) == (State.DECLINED, 7, [])


@pytest.mark.parametrize("state", sorted(set(State) - {State.DECLINED} - GRANTED))
def test_nothing_is_appealed_against_that_is_not_decided_or_has_ended(state: State) -> None:
    case = begun(state, by_policy=True)
    assert refusal(appeals.decide_open, case, "a-1", WHY, "", OTHER, NOW) == "not-declined"
    with pytest.raises(Permanent):
        appeals.on_requested(case, "a-1", WHY, "", "customer", NOW)


@pytest.mark.parametrize("state", sorted(GRANTED))
def test_of_a_limit_only_one_that_the_policy_alone_set_is_appealed_against(state: State) -> None:
    case = begun(state)
    assert refusal(appeals.decide_open, case, "a-1", WHY, "", OTHER, NOW) == "not-automatic"
    with pytest.raises(Permanent):
        appeals.on_requested(case, "a-1", WHY, "", "customer", NOW)
    case.by_policy = True
    fact, deadline = appeals.on_requested(case, "a-1", WHY, "", "customer", NOW)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, review.AppealOpened)
    assert (fact.data.about, fact.state_version) == ("limit", case.state_version)
    assert deadline == Deadline(appeals.APPEAL_DEADLINE, appeals.due_at(NOW))
    assert case.state is state


def about_limit(state: State, wished: int | None, wish: AppealWish = HUMAN) -> Case:
    """A limit of 20,000 that the policy alone set, appealed against by whoever had wished for so
    much, and claimed."""
    case = card(by_policy=True)
    wanted = Money.of(wished) if wished is not None else None
    case.hand_over = hand_over(new_to_bank=False, requested_limit=wanted)
    list(appeals.decide_open(case, "a-1", wish, "sealed", OTHER, NOW))
    case.appeals[0].automatic = True
    list(appeals.decide_claim(case, FIRST, NOW))
    case.state = state
    return case


def answered(case: Case, outcome: Any) -> tuple[review.AppealAnswered, list[Any]]:
    said, *more = appeals.decide_answer(
        case, FIRST, outcome, "x", NOW, change_id="c", basis=review.LimitBasis.INCOME
    )
    assert isinstance(said, Fact)
    assert isinstance(said.data, review.AppealAnswered)
    return said.data, more


@pytest.mark.parametrize(("wish", "outcome"), [(WHY, "explained"), (HUMAN, "upheld")])
def test_an_answer_about_a_limit_says_what_bounded_it_and_changes_nothing(
    wish: AppealWish, outcome: str
) -> None:
    case = about_limit(State.DELIVERED, 50_000, wish)
    said, more = answered(case, outcome)
    assert (said.about, said.basis, said.automatic) == ("limit", review.LimitBasis.INCOME, True)
    assert (said.category, said.reapply_from, said.change_number) == (None, None, None)
    assert more == [ClearDeadline(appeals.APPEAL_DEADLINE)]
    assert case.limit_changes == []


def test_a_limit_that_deserves_a_new_decision_is_raised_by_a_change_of_its_own() -> None:
    case = about_limit(State.IN_USE, 50_000)
    before = (case.state, case.state_version, case.limit, list(case.decisions))
    said, (cleared, *begun_by_it) = answered(case, "changed")
    (change,) = case.limit_changes
    assert said.change_number == change.number
    assert (change.asked.kind, change.asked.wanted) == (LimitChangeKind.INCREASE, Money.of(50_000))
    assert (change.asked.agreed_at, change.by_bank, change.state) == (NOW, False, "checking")
    assert cleared == ClearDeadline(appeals.APPEAL_DEADLINE)
    opened = next(one for one in begun_by_it if isinstance(one, Fact))
    assert isinstance(opened.data, review.LimitChangeOpened)
    assert opened.data.change_number == change.number
    assert before == (case.state, case.state_version, case.limit, list(case.decisions))


@pytest.mark.parametrize(
    ("state", "wished"),
    [
        (State.APPROVED, 50_000),
        (State.DELIVERED, 50_000),
        (State.IN_USE, None),
        (State.IN_USE, 20_000),  # as much as the card has
    ],
)
def test_where_nothing_can_be_raised_now_the_customer_is_invited_to_ask(
    state: State, wished: int | None
) -> None:
    case = about_limit(state, wished)
    said, more = answered(case, "changed")
    assert (said.outcome, said.change_number, said.reapply_from) == ("changed", None, None)
    assert more == [ClearDeadline(appeals.APPEAL_DEADLINE)]
    assert case.limit_changes == []


_HANDED = business_day(hand_over().submitted_at)


@pytest.mark.parametrize(
    ("bureau", "days", "begun_by_it"),
    [
        (timedelta(seconds=1), INCOME_DAYS, True),
        (timedelta(0), 0, False),  # its answer's validity has passed
        (None, 0, False),
        (timedelta(seconds=1), INCOME_DAYS + 1, False),
    ],
)
def test_an_increase_is_begun_where_it_needs_no_consent_and_no_proof_of_the_customer(
    bureau: timedelta | None, days: int, begun_by_it: bool
) -> None:
    """An appeal brings neither, and nothing adds them to a change that is open."""
    case = about_limit(State.IN_USE, 50_000)
    now = NOW + (timedelta(days=days) - (business_day(NOW) - _HANDED))
    for name in list(case.checks):
        case.checks[name].valid_until = now + timedelta(days=1)
    if bureau is None:
        del case.checks["bureau"]
    else:
        case.checks["bureau"].valid_until = now + bureau
    said, *_ = appeals.decide_answer(case, FIRST, "changed", "x", now, change_id="c")
    assert isinstance(said, Fact)
    assert isinstance(said.data, review.AppealAnswered)
    assert (said.data.change_number is not None) is begun_by_it
    assert [one.change_id for one in case.limit_changes] == ["c"] * begun_by_it
    if begun_by_it:
        (change,) = case.limit_changes
        assert "unavailable" not in {one.outcome for one in change.checks.values()}


def changed_for_good(case: Case, kind: LimitChangeKind, yuan: int) -> None:
    """A change of this limit was granted and has not ended."""
    if kind is LimitChangeKind.DECREASE:
        by_bank = limit_changes.decide_lower(case, "b", Money.of(yuan), "s", OTHER, NOW)
        assert len(list(by_bank)) == 2
        list(limit_changes.decide_sign(case, SECOND, NOW))
        return
    list(limit_changes.on_requested(case, "b", asked(kind, yuan), "customer", NOW))
    change = case.limit_changes[-1]
    temporary = kind is LimitChangeKind.TEMPORARY
    change.state = limit_changes.ChangeState.IN_FORCE if temporary else GRANTED_CHANGE
    change.granted = Money.of(yuan)


@pytest.mark.parametrize(
    ("kind", "yuan", "code"),
    [
        (LimitChangeKind.INCREASE, 30_000, "limit-changed"),
        (LimitChangeKind.DECREASE, 10_000, "limit-changed"),
        (LimitChangeKind.TEMPORARY, 30_000, ""),  # the policy's goes on after it
    ],
)
def test_a_limit_that_was_changed_for_good_is_the_policys_no_more(
    kind: LimitChangeKind, yuan: int, code: str
) -> None:
    case = card(by_policy=True)
    changed_for_good(case, kind, yuan)
    refused = appeals.not_appealable(case)
    assert (refused.code if refused else "") == code
    if code:
        assert refusal(appeals.decide_open, case, "a-1", HUMAN, "", OTHER, NOW) == code
    # whoever asked before intake had heard of it has an answer
    fact, _ = appeals.on_requested(case, "a-2", HUMAN, "", "customer", NOW)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, review.AppealOpened)


def test_no_increase_is_begun_against_a_limit_that_the_bank_lowered_meanwhile() -> None:
    case = about_limit(State.IN_USE, 50_000)
    changed_for_good(case, LimitChangeKind.DECREASE, 10_000)
    said, more = answered(case, "changed")
    assert (said.outcome, said.change_number) == ("changed", None)
    assert more == [ClearDeadline(appeals.APPEAL_DEADLINE)]
    assert [one.kind for one in case.limit_changes] == [LimitChangeKind.DECREASE]


@pytest.mark.parametrize("state", [State.WITHDRAWN, State.EXPIRED])
def test_what_was_asked_is_answered_though_the_card_came_to_nothing(state: State) -> None:
    case = about_limit(state, 50_000)
    assert refusal(appeals.decide_answer, case, FIRST, "changed", "x", NOW) == "no-card"
    assert case.appeals[0].open
    assert answered(case, "upheld")[0].about == "limit"


@pytest.mark.parametrize("decider", [FIRST, SECOND])
def test_whoever_decided_neither_takes_nor_answers_it(decider: str) -> None:
    case = declined(FIRST, SECOND)
    assert refusal(appeals.decide_claim, case, decider, NOW) == "same-person"
    case.appeals[0].claimed_by = decider
    assert refusal(appeals.decide_answer, case, decider, "upheld", "x", NOW) == "same-person"


def test_of_what_the_policy_decided_any_officer_answers() -> None:
    case = declined()
    assert list(appeals.decide_claim(case, FIRST, NOW)) == []
    fact, cleared = appeals.decide_answer(case, FIRST, "changed", "x", NOW)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, review.AppealAnswered)
    assert (fact.data.outcome, fact.data.automatic) == ("changed", True)
    assert fact.data.reapply_from == date(2026, 11, 3)
    assert cleared == ClearDeadline(appeals.APPEAL_DEADLINE)
    assert (case.state, case.state_version, case.category) == (
        State.DECLINED,
        7,
        "credit_history",
    )
    assert refusal(appeals.decide_claim, case, OTHER, NOW) == "nothing-appealed"


@pytest.mark.parametrize(
    ("wish", "outcome", "code"),
    [(HUMAN, "explained", "other-wish"), (WHY, "upheld", "other-wish"), (HUMAN, "upheld", "")],
)
def test_an_answer_is_one_to_what_was_asked(wish: AppealWish, outcome: Any, code: str) -> None:
    case = declined(FIRST, SECOND)
    case.appeals[0].wish, case.appeals[0].claimed_by = wish, OTHER
    if code:
        assert refusal(appeals.decide_answer, case, OTHER, outcome, "x", NOW) == code
    else:
        assert refusal(appeals.decide_answer, case, OTHER, outcome, " ", NOW) == "no-opinion"
        assert len(list(appeals.decide_answer(case, OTHER, outcome, "x", NOW))) == 2


def test_one_that_an_officer_opened_in_the_same_moment_is_the_customers() -> None:
    case = declined()
    case.appeals[0].wish = WHY
    (fact,) = appeals.on_requested(case, "a-2", HUMAN, "sealed", "customer", NOW)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, review.AppealOpened)
    assert (fact.data.appeal_id, fact.data.wish) == ("a-1", HUMAN)
    assert len(case.appeals) == 1


@pytest.mark.parametrize(("late", "lines"), [(timedelta(0), 1), (-timedelta(seconds=1), 0)])
def test_what_is_overdue_stands_in_the_history_once(late: timedelta, lines: int) -> None:
    case = declined()
    case.entries.clear()
    assert list(appeals.on_appeal_deadline(case, case.appeals[0].due + late)) == []
    assert [one.action for one in case.entries] == ["appeal_overdue"] * lines


def test_it_is_given_to_an_officer_who_took_no_part_and_the_history_says_by_whom() -> None:
    case = declined(FIRST, SECOND)
    list(appeals.decide_claim(case, OTHER, NOW))
    assert list(appeals.decide_reassign(case, "signer", officer("fourth"), NOW)) == []
    (appeal,) = case.appeals
    assert (appeal.claimed_by, appeal.changed) == ("fourth", True)
    line = case.entries[-1]
    assert (line.actor, line.action) == ("signer", "appeal_reassigned")
    assert line.details == {"number": appeal.number, "holder": OTHER, "receiver": "fourth"}
    lines = len(case.entries)
    assert list(appeals.decide_reassign(case, "signer", officer("fourth"), NOW)) == []
    assert len(case.entries) == lines, "it was theirs"


@pytest.mark.parametrize(
    ("receiver", "code"),
    [
        (officer(FIRST), "same-person"),
        (officer(SECOND), "same-person"),
        (None, "unknown-officer"),
        (officer(OTHER, away=Away(NOW.date(), NOW.date())), "away"),
        (officer(OTHER, products=frozenset({"gold"})), "other-products"),
    ],
)
def test_it_is_given_to_nobody_who_decided_or_cannot_take_it(
    receiver: Officer | None, code: str
) -> None:
    case = declined(FIRST, SECOND)
    assert refusal(appeals.decide_reassign, case, "signer", receiver, NOW) == code
    assert case.appeals[0].claimed_by is None


@pytest.mark.parametrize("outcome", ["explained", "upheld", "changed"])
def test_a_change_of_the_limit_that_is_held_shows_in_no_answer(outcome: str) -> None:
    """A suspicion is compliance's: an answer is the one that a change brings that only waits."""

    def said(state: limit_changes.ChangeState) -> Any:
        case = about_limit(State.IN_USE, 50_000, WHY if outcome == "explained" else HUMAN)
        list(limit_changes.on_requested(case, "c-1", asked(), "customer", NOW))
        case.limit_changes[0].state = state
        case.entries.clear()
        if outcome == "changed":
            return refusal(appeals.decide_answer, case, FIRST, outcome, "x", NOW, change_id="c")
        return answered(case, outcome), case.entries

    waits = said(limit_changes.ChangeState.DECIDING)
    assert said(limit_changes.ChangeState.HELD) == waits
    assert outcome != "changed" or waits == "limit-change-open"
