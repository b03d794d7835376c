"""The queue's clock and flags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.review.queue import FLAGS, QueueFilter, clock_of, due_at, flags_of
from services.review.reason_codes import REASONS, Effect
from shared.calendar import Urgency
from shared.parameters import load_clocks

MONDAY = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
WARNING = timedelta(days=load_clocks().warning_days)


def test_review_has_ten_working_days_and_five_for_an_add_on() -> None:
    assert due_at(MONDAY, "salaried") == datetime(2026, 11, 16, 15, 59, 59, tzinfo=UTC)
    assert due_at(MONDAY, "existing_customer") == datetime(2026, 11, 9, 15, 59, 59, tzinfo=UTC)


def test_reviews_clock_is_the_offices(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = load_clocks().model_copy(
        update={"review_working_days": 3, "existing_customer_working_days": 1}
    )
    monkeypatch.setattr("services.review.queue.load_clocks", lambda: clocks)
    assert due_at(MONDAY, "salaried").day == 5
    assert due_at(MONDAY, "existing_customer").day == 3


@pytest.mark.parametrize(
    ("left", "urgency"),
    [
        (WARNING + timedelta(seconds=1), Urgency.IN_TIME),
        (WARNING, Urgency.SOON),
        (timedelta(0), Urgency.SOON),
        (timedelta(seconds=-1), Urgency.LATE),
    ],
)
def test_urgency_by_time_left(left: timedelta, urgency: Urgency) -> None:
    assert clock_of(MONDAY + left, MONDAY).urgency is urgency


def test_what_compliance_looks_into_marks_nothing() -> None:
    assert flags_of(["WATCHLIST_HIT"]) == []
    assert all(REASONS[code].effect is Effect.REFER for code in FLAGS)


def test_flags_keep_the_tables_order() -> None:
    assert flags_of(["INCOME_UNKNOWN", "NEW_TO_BANK"]) == ["New to bank", "No income stated"]


@pytest.mark.parametrize(
    ("first", "last", "fen"),
    [
        ("", "", (None, None)),
        ("20000", "", (2_000_000, None)),
        ("", "0", (None, 0)),
        ("-5", "1e3", (None, None)),
        ("٣", "12", (None, 1200)),
    ],
)
def test_amounts_are_whole_yuan_and_anything_else_narrows_nothing(
    first: str, last: str, fen: tuple[int | None, int | None]
) -> None:
    chosen = QueueFilter.read({"amount_from": first, "amount_to": last})
    assert chosen.amounts == fen
