"""The office bears with a sender for so long; others are not touched, and it comes back."""

from __future__ import annotations

import pytest

from services.intake import patience as patience_of_office
from services.intake.patience import Patience
from shared.parameters import load_papers

LIMITS = load_papers().patience
EACH, MOST, BACK = LIMITS.each, LIMITS.most, LIMITS.back


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_papers_that_open_as_papers_do_cost_nothing() -> None:
    patience = Patience(Clock())
    for _ in range(1000):
        patience.spend("app", EACH)
    assert patience.left("app")


def test_who_takes_long_waits_until_it_has_come_back_and_nobody_else() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.spend("app", EACH + MOST / 2)
    assert patience.left("app")
    patience.spend("app", EACH + MOST)
    assert not patience.left("app")
    assert patience.left("another")
    clock.now += (MOST / 2) / BACK
    assert not patience.left("app")
    clock.now += 1
    assert patience.left("app")


def test_how_much_is_borne_with_is_the_offices_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(Clock())
    patience.spend("app", EACH + MOST / 2)
    assert patience.left("app")
    stricter = LIMITS.model_copy(update={"most": MOST / 4})
    papers = load_papers().model_copy(update={"patience": stricter})
    monkeypatch.setattr(patience_of_office, "load_papers", lambda: papers)
    assert not patience.left("app")
