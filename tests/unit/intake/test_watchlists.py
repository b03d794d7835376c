"""What the screening system may say of its lists, and what the office is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.intake.watchlists import faults, published
from shared.clock import CLOCKS_APART
from shared.events.intake import WatchlistChanged
from shared.events.partners import PartnerWatchlistChanged

NOW = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)


def statement(**changes: Any) -> PartnerWatchlistChanged:
    told = {"reference": "sanctions", "version": "2026-11-03.1", "changed_at": NOW, **changes}
    return PartnerWatchlistChanged.model_validate(told)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=-400), CLOCKS_APART])
def test_a_change_may_be_old_or_a_clock_a_little_fast(late: timedelta) -> None:
    assert list(faults(statement(changed_at=NOW + late), NOW)) == []


def test_a_change_that_is_still_to_come_is_refused() -> None:
    early = statement(changed_at=NOW + CLOCKS_APART + timedelta(microseconds=1))
    assert list(faults(early, NOW)) == [("TIME_IN_FUTURE", ("changed_at",))]


def test_the_office_is_told_which_list_and_since_when() -> None:
    assert published(statement()) == WatchlistChanged(
        list_name="sanctions", version="2026-11-03.1", changed_at=NOW
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"changed_at": "2026-11-03T02:00:00"},  # of which zone?
        {"version": ""},
        {"version": "含有姓名"},
        {"reference": "two words"},
        {"entries": [{"name": "张三"}]},  # what is in a list stays with the system
    ],
)
def test_nothing_else_is_taken(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        statement(**wrong)
