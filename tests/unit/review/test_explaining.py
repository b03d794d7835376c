"""Why it was decided so: what was decided for, and what review had found beside the policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.review.case import Decision, Entry
from services.review.explaining import grounds_of
from services.review.reason_codes import REASONS
from shared.money import Money
from tests.unit.review.builders import NOW, SEALED

VERDICT = {"findings": ["NEW_TO_BANK"]}


def decision(*reasons: str, outcome: Any = "decline") -> Decision:
    declined = outcome == "decline"
    return Decision(
        decision_id="0193a1b2-0000-7000-8000-0000000000d1",
        outcome=outcome,
        automatic=False,
        decided_by=("first", "second"),
        reasons=reasons,
        limit=None if declined else Money.of(10_000),
        category="material_unsound" if declined else None,
        reapply_from=date(2027, 2, 1) if declined else None,
        inputs=str(SEALED),
        verdict=str(SEALED),
        policy_version="2026.2",
        policy_digest="f" * 64,
        at=NOW,
    )


def line(action: str, **details: Any) -> Entry:
    return Entry(NOW, "review", action, details)


def codes(lines: Any) -> list[str]:
    return [code for code, _words in lines]


def test_a_decline_has_its_primary_reason_first_and_all_in_words() -> None:
    found = grounds_of(decision("NEW_TO_BANK", "SCORE_TOO_LOW", "AGE_OUTSIDE"), VERDICT, [])
    assert found.primary == "AGE_OUTSIDE"
    assert codes(found.reasons) == ["AGE_OUTSIDE", "NEW_TO_BANK", "SCORE_TOO_LOW"]
    assert all(words == REASONS[code].words for code, words in found.reasons)


def test_an_approval_has_what_brought_it_to_a_person_and_nothing_by_which_it_is_counted() -> None:
    found = grounds_of(decision("NEW_TO_BANK", "CARDS_MANY", outcome="approve"), VERDICT, [])
    assert (found.primary, codes(found.reasons)) == (None, ["NEW_TO_BANK", "CARDS_MANY"])


@pytest.mark.parametrize("code", ["REPORT_DISPUTED", "TAKEN_UP_AGAIN", "DORMANCY_OVER_BOUND"])
def test_what_review_itself_found_is_what_the_policys_verdict_lacks(code: str) -> None:
    scored = line("scored", findings=["NEW_TO_BANK", code], outcome="refer")
    found = grounds_of(decision("MATERIAL_UNSOUND"), VERDICT, [scored, line("referred")])
    assert codes(found.beside) == [code]


def test_what_stood_when_it_was_decided_counts_not_what_stood_before() -> None:
    history = [
        line("scored", findings=["NEW_TO_BANK", "REPORT_DISPUTED"]),
        line("decided", outcome="decline", findings=["NEW_TO_BANK", "TELEPHONE_CONTRADICTED"]),
    ]
    found = grounds_of(decision("MATERIAL_UNSOUND"), VERDICT, history)
    assert codes(found.beside) == ["TELEPHONE_CONTRADICTED"]
    # one of before has no findings in its last line
    history[-1] = line("decided", outcome="decline")
    found = grounds_of(decision("MATERIAL_UNSOUND"), VERDICT, history)
    assert codes(found.beside) == ["REPORT_DISPUTED"]


def test_a_suspicion_is_in_none_of_it_and_who_is_told_no_reason_has_no_primary_one() -> None:
    held = decision("INTERNAL_RISK", "WATCHLIST_HIT")
    history = [line("scored", findings=["WATCHLIST_HIT", "NEW_TO_BANK"])]
    assert grounds_of(held, VERDICT, history) == grounds_of(
        decision("INTERNAL_RISK"), VERDICT, [line("scored", findings=["NEW_TO_BANK"])]
    )
    assert grounds_of(replace(held, reasons=()), VERDICT, []).primary is None
