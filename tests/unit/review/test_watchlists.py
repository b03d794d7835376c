"""When an answer of the watchlists is older than a change of one of the lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.review import case as cases
from services.review.case import Check
from services.review.watchlists import NOTHING_KNOWN, ListChange, Lists
from shared.clock import CLOCKS_APART

NOW = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)
CHANGE = ListChange("sanctions", "2", NOW)
MINUTES = st.integers(-10_000, 10_000).map(lambda count: timedelta(minutes=count))


def asked(at: datetime, known: int = 0) -> Check:
    return Check("watchlist", "r", 1, at, "answered", "sealed", at, None, lists_known=known)


@given(MINUTES, st.integers(0, 9))
def test_before_the_first_change_every_answer_is_of_the_lists_as_they_are(
    when: timedelta, known: int
) -> None:
    assert not NOTHING_KNOWN.changed_after(known, NOW + when)


@given(MINUTES, st.integers(1, 9))
def test_who_is_asked_about_after_review_heard_is_so_by_the_new_list_whatever_the_clocks_say(
    when: timedelta, number: int
) -> None:
    lists = Lists(number, CHANGE.since)
    assert cases.of_these_lists(asked(NOW + when, known=number), lists)


@given(MINUTES, MINUTES)
def test_whose_answer_came_after_the_change_but_was_asked_before_is_screened_again(
    before: timedelta, answered: timedelta
) -> None:
    check = asked(NOW - abs(before))
    check.ended_at = check.requested_at + abs(answered)
    assert not cases.of_these_lists(check, Lists(1, CHANGE.since))


@given(MINUTES.map(abs))
def test_a_change_that_is_heard_of_late_has_nobody_asked_about_who_was_so_since(
    after: timedelta,
) -> None:
    lists = Lists(1, CHANGE.since)
    assert cases.of_these_lists(asked(NOW + CLOCKS_APART + after), lists)


@given(st.lists(st.tuples(MINUTES, st.text("ab", min_size=1, max_size=2))), st.randoms())
def test_of_one_list_the_last_change_counts_in_whatever_order_they_come(
    told: list[tuple[timedelta, str]], chance: object
) -> None:
    changes = [ListChange("pep", version, NOW + when) for when, version in told]
    mixed = list(changes)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    last = max(changes, key=lambda one: one.place, default=None)
    assert max(mixed, key=lambda one: one.place, default=None) == last
    if last is not None:
        assert all(one.since <= last.since for one in changes)


def test_other_checks_rest_on_no_list() -> None:
    check = asked(NOW - timedelta(days=1))
    check.name = "bureau"
    assert cases.of_these_lists(check, Lists(7, CHANGE.since))
