"""What may be said outside about a reason, and which reason counts."""

from __future__ import annotations

import pytest

from services.review.reason_codes import (
    DECLINE_REASONS,
    INTERNAL,
    REASONS,
    Effect,
    category_of,
    primary,
    public_codes,
)
from shared.events.review import DeclineCategory
from shared.parameters import load_phrases

FORBIDDEN = ("WATCHLIST", "HIT", "SCORE", "FRAUD", "AML", "RISK", "ADVERSE", "LIST")


def test_every_decline_has_a_category_with_approved_words() -> None:
    phrases = load_phrases().declines
    for reason in DECLINE_REASONS:
        assert category_of(reason).value in phrases
    assert {category_of(reason) for reason in DECLINE_REASONS} == set(DeclineCategory)


def test_no_public_code_tells_what_was_suspected() -> None:
    told = {reason.public for reason in REASONS.values() if reason.public is not None}
    for code in told:
        assert not any(part in code.split("_") for part in FORBIDDEN), code


def test_an_internal_reason_hides_every_other() -> None:
    assert public_codes(["INTERNAL_RISK", "QUERIES_MANY"]) == [INTERNAL]
    assert public_codes(["WATCHLIST_HIT", "ID_MISMATCH"]) == [INTERNAL]


def test_public_codes_are_sorted_and_never_repeated() -> None:
    assert public_codes(["SCORE_TOO_LOW", "BUREAU_ADVERSE", "AGE_OUTSIDE"]) == [
        "AGE_OUTSIDE",
        "CREDIT_HISTORY",
    ]


def test_a_watchlist_that_was_not_searched_is_not_mentioned() -> None:
    assert public_codes(["WATCHLIST_UNAVAILABLE", "NEW_TO_BANK"]) == ["NEW_TO_BANK"]


def test_identity_outranks_history_and_missing_material_comes_last() -> None:
    assert primary(["OVERDUE_SERIOUS", "ID_MISMATCH"]).code == "ID_MISMATCH"
    assert primary(["MATERIAL_MISSING", "NO_LIMIT_LEFT"]).code == "NO_LIMIT_LEFT"


def test_a_decline_without_a_reason_that_declines_is_refused() -> None:
    for codes in ([], ["NEW_TO_BANK"], ["SCORE_MIDDLING", "INCOME_UNKNOWN"]):
        with pytest.raises(ValueError, match="reason"):
            primary(codes)


def test_what_refers_has_no_category() -> None:
    for reason in REASONS.values():
        assert (reason.category is None) is (reason.effect is Effect.REFER)
