"""Appeals: what may be asked about a decline, who may answer, and that the decline stays."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.review import appeals
from services.review.case import Case, CaseError
from services.review.officers import Away, Officer
from shared.events import review
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.messaging import ClearDeadline, Deadline, Fact
from shared.messaging.errors import Permanent
from tests.unit.review.builders import NOW, officer
from tests.unit.review.builders import case as begun

HUMAN, WHY = AppealWish.HUMAN_REVIEW, AppealWish.EXPLANATION
FIRST, SECOND, OTHER = "first", "second", "other"


def declined(*deciders: str) -> Case:
    """Declined by these, and appealed against; by nobody: by the policy."""
    case = begun()
    case.state, case.category, case.state_version = State.DECLINED, "credit_history", 7
    list(appeals.decide_open(case, "a-1", HUMAN, "sealed", OTHER, NOW))
    case.appeals[0].deciders, case.appeals[0].automatic = deciders, not deciders
    return case


def refusal(decide: Any, *arguments: Any) -> str:
    with pytest.raises(CaseError) as refused:
        list(decide(*arguments))
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


@pytest.mark.parametrize("state", sorted(set(State) - {State.DECLINED}))
def test_nothing_but_a_decline_is_appealed_against(state: State) -> None:
    case = begun()
    case.state = state
    assert refusal(appeals.decide_open, case, "a-1", WHY, "", OTHER, NOW) == "not-declined"
    with pytest.raises(Permanent):
        appeals.on_requested(case, "a-1", WHY, "", "customer", NOW)


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
