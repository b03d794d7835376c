"""The clock of the review stands still while the customer is awaited, by intake's record as by
review's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.intake import application as applications
from services.intake.application import Application, publish
from services.intake.application import Scope as IntakeScope
from services.review import case as cases
from services.review import queue
from services.review.case import Case
from shared.calendar import (
    add_working_days,
    business_day,
    due_after,
    end_of_day,
    last_known_year,
    moved_about,
    working_days_between,
)
from shared.events import intake, review
from shared.events.intake import WantedItem
from shared.events.lifecycle import State
from shared.parameters import product_of
from tests.unit.intake.test_terms import in_pre_check, review_says
from tests.unit.review.builders import NOW, case, hand_over

ITEMS = [WantedItem(item="work_proof", code="DOC_MISSING")]
HOURS = timedelta(hours=1)


class Both:
    """An application as intake has it, and as review has it."""

    def __init__(self) -> None:
        product = product_of("standard")
        self.app: Application = in_pre_check()
        self.app.scope = IntakeScope(
            *("1", "1101", "11", "counter", "standard"),
            *(product.version, "salaried", product.digest),
        )
        applications.hand_over(self.app, NOW)
        self.case: Case = case(State.CHECKING)
        cases.begin_review(self.case, hand_over(handed_at=NOW))

    def wanted(self, at: datetime) -> None:
        """A reviewer wants material."""
        self.app.state = self.case.state = State.MANUAL_REVIEW
        self.case.claimed_by = "r"
        list(cases.decide_want_material(self.case, "r", ITEMS, at))
        review_says(self.app, review.MaterialWanted, at)

    def brought(self, at: datetime) -> None:
        """The customer brings the last of it; intake hands it over a day later."""
        publish(self.app, intake.MaterialCompleted(**self.app.fields()), at)
        self._follows(intake.MaterialCompleted, at)
        applications.hand_over(self.app, at + 24 * HOURS)
        self._follows(intake.PreCheckPassed, at + 24 * HOURS)
        cases.begin_review(self.case, hand_over(handed_at=at + 24 * HOURS))

    def _follows(self, event: Any, at: datetime) -> None:
        cases.follow(self.case, event, self.case.state_version + 1, at)


@example([(0, 1)]).via("the same day")
@example([(70, 9 * 24)]).via("a long wait")
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 150)), min_size=1, max_size=4))
def test_both_services_have_the_same_due_date_and_it_gives_back_the_days_of_waiting(
    waits: list[tuple[int, int]],
) -> None:
    both, at, stood = Both(), NOW, 0
    before = both.case.due
    assert before is not None
    assert before == both.app.review_due == due_after(NOW, 10)
    for works, waiting in waits:
        asked = at + works * HOURS
        both.wanted(asked)
        at = asked + waiting * HOURS
        both.brought(at)
        stood += working_days_between(business_day(asked), business_day(at))
        assert both.case.due == both.app.review_due == both.app.due_at
        at += 24 * HOURS
    assert both.case.due == end_of_day(add_working_days(business_day(before), stood))
    assert both.case.awaited_since is None
    assert both.case.first_due == before


def test_who_comes_back_after_a_long_wait_is_not_late_and_can_be_laid_aside() -> None:
    """Asked on the third day, brought after nine working days."""
    both = Both()
    asked = NOW + timedelta(days=3)
    both.wanted(asked)
    back = asked + timedelta(days=13)
    both.brought(back)
    both.case.state, both.case.claimed_by = State.MANUAL_REVIEW, "r"
    assert both.case.due is not None
    assert queue.clock_of(both.case.due, back + timedelta(days=1)).urgency != "late"
    until = back + timedelta(days=2)
    list(cases.decide_snooze(both.case, "r", until, None, "sealed", back + timedelta(days=1)))
    assert both.case.snooze is not None


def test_what_moves_nothing_leaves_the_clock_standing() -> None:
    both = Both()
    both.wanted(NOW)
    since = both.case.awaited_since
    cases.follow(both.case, intake.MaterialRequested, None, NOW + 72 * HOURS)
    assert both.case.awaited_since == since == NOW


def test_what_is_asked_for_before_the_hand_over_moves_no_clock() -> None:
    mine = case(State.PRE_CHECK, due=None)
    cases.follow(mine, intake.MaterialRequested, 5, NOW)
    cases.follow(mine, intake.MaterialCompleted, 6, NOW + 100 * HOURS)
    assert (mine.due, mine.first_due, mine.awaited_since) == (None, None, None)


@pytest.mark.parametrize("back", [0, 1])
def test_a_term_moves_never_back(back: int) -> None:
    """A late fact may bear an earlier time than the one before it."""
    assert moved_about(NOW, NOW, NOW - timedelta(days=9 * back)) == NOW


def test_where_the_calendar_ends_a_term_moves_by_days() -> None:
    since = datetime(last_known_year() + 2, 3, 1, 2, tzinfo=UTC)
    due = since + timedelta(days=4)
    assert moved_about(due, since, since + timedelta(days=3)) == due + timedelta(days=3)
