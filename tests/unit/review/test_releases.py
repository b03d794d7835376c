"""Releases of the policy: two people, never dated back, and which one decides when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.review import releases
from services.review.case import CaseError
from services.review.policy_cases import CaseResult, Report
from services.review.releases import Release, in_force

NOW = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD = Report("2026.3", (CaseResult("one", (), None),))


def proposal(known: list[Release] | None = None, **changes: Any) -> Release:
    given: dict[str, Any] = {
        "report": GOOD,
        "digest": "d3",
        "staff_id": "risk-1",
        "effective_from": NOW + HOUR,
        "why": "fewer bad debts",
        "now": NOW,
        **changes,
    }
    return releases.propose(known or [], given.pop("report"), given.pop("digest"), **given)


def approved(release: Release, at: datetime = NOW) -> Release:
    return replace(release, outcome="approved", decided_by="risk-2", decided_at=at)


def code_of(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(CaseError) as caught:
        call(*args, **named)
    return caught.value.code


def test_the_baseline_decides_until_another_begins() -> None:
    base = releases.first("2026.2", "d2", NOW)
    new = approved(proposal([base]))
    assert in_force([base, new], NOW) == base
    assert in_force([base, new], NOW + HOUR - timedelta(seconds=1)) == base
    assert in_force([base, new], NOW + HOUR) == new
    assert in_force([], NOW) is None


def test_what_is_approved_late_begins_then_and_not_before() -> None:
    base = releases.first("2026.2", "d2", NOW)
    late = approved(proposal([base]), NOW + 3 * HOUR)
    assert late.begins == NOW + 3 * HOUR
    assert in_force([base, late], NOW + 2 * HOUR) == base


@pytest.mark.parametrize("outcome", [None, "rejected", "withdrawn"])
def test_nothing_decides_that_was_not_approved(outcome: Any) -> None:
    base = releases.first("2026.2", "d2", NOW)
    other = replace(proposal([base]), outcome=outcome, decided_at=NOW if outcome else None)
    assert other.begins is None
    assert in_force([base, other], NOW + 9 * HOUR) == base


def test_of_two_that_begin_together_the_later_decision_counts() -> None:
    one = approved(proposal(digest="d3"), NOW)
    two = approved(proposal(digest="d4", report=replace(GOOD, version="2026.4")), NOW + HOUR / 2)
    assert in_force([two, one], NOW + HOUR) == two


def test_a_version_whose_cases_fail_is_not_proposed() -> None:
    bad = Report("2026.3", (CaseResult("one", ("outcome: …",), None),))
    assert code_of(proposal, report=bad) == "cases-fail"
    assert code_of(proposal, report=replace(GOOD, unreached=("rules.json x",))) == "cases-fail"


def test_nothing_is_dated_back_and_why_is_said() -> None:
    assert code_of(proposal, effective_from=NOW - timedelta(seconds=1)) == "time-passed"
    assert proposal(effective_from=NOW).effective_from == NOW
    assert code_of(proposal, why=" ") == "no-opinion"


def test_a_version_is_proposed_once_at_a_time_and_fixed_from_then_on() -> None:
    open_one = proposal()
    assert code_of(proposal, [open_one]) == "proposed"
    assert code_of(proposal, [open_one], digest="d3b") == "version-taken"
    rejected = replace(open_one, outcome="rejected", decided_by="risk-2", decided_at=NOW)
    assert proposal([rejected]).version == "2026.3"


def test_what_decides_already_is_not_proposed_but_what_did_before_may_come_back() -> None:
    old = approved(proposal(), NOW - 2 * HOUR)
    old = replace(old, effective_from=NOW - 2 * HOUR)
    assert code_of(proposal, [old]) == "in-force"
    newer = replace(
        approved(proposal([old], digest="d4", report=replace(GOOD, version="2026.4"))),
        effective_from=NOW - HOUR,
    )
    assert proposal([old, newer]).digest == "d3"


def test_the_second_person_is_another_one_and_decides_once() -> None:
    one = proposal()
    releases.decide(one, "approved", "risk-2", "")
    assert code_of(releases.decide, one, "approved", "risk-1", "") == "same-person"
    assert code_of(releases.decide, one, "rejected", "risk-2", " ") == "no-opinion"
    assert code_of(releases.decide, approved(one), "rejected", "risk-2", "no") == "decided"


def test_only_who_proposed_it_takes_it_back() -> None:
    one = proposal()
    releases.withdraw(one, "risk-1")
    assert code_of(releases.withdraw, one, "risk-2") == "not-yours"
    assert code_of(releases.withdraw, approved(one), "risk-1") == "decided"
