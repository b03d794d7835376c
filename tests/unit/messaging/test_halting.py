"""When too many failures stop a consumer."""

from __future__ import annotations

import pytest

from shared.messaging.errors import Halted, Transient
from shared.messaging.halting import Recent

FAILED, FLAKY = ValueError("x"), Transient("later")


def run(recent: Recent, outcomes: str) -> Recent:
    """+ applied, - failed, ~ transient."""
    for one in outcomes:
        recent = recent.succeeded() if one == "+" else recent.after(FAILED if one == "-" else FLAKY)
    return recent


@pytest.mark.parametrize("outcomes", ["-" * 5, "+-" * 20, "~" * 9, "~~+" * 30, "-----+++++-----"])
def test_so_many_failures_are_borne(outcomes: str) -> None:
    run(Recent(window=10, share=0.5), outcomes)


@pytest.mark.parametrize("outcomes", ["-" * 6, "--+" * 4, "~" * 10, "-----+++------"])
def test_more_than_the_share_stops_it(outcomes: str) -> None:
    with pytest.raises(Halted, match="events failed, the last with"):
        run(Recent(window=10, share=0.5), outcomes)


def test_what_is_rolled_back_or_resumed_is_not_counted() -> None:
    before = run(Recent(window=10, share=0.5), "-----")
    with pytest.raises(Halted):
        before.after(FAILED)
    run(before.anew(), "-----")


def test_many_successes_at_once_leave_no_failure_in_sight() -> None:
    assert run(Recent(window=10, share=0.5), "--").succeeded(500) == Recent(window=10, share=0.5)
