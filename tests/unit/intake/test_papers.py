"""What results of the papers' calls add to the register."""

from __future__ import annotations

from datetime import UTC, datetime

from services.intake.application import DESTRUCTION, PREVIEW
from services.intake.paper_store import Drawn, End, Preview
from services.intake.papers import on_destroyed, on_drawn
from shared.messaging import ClaimedCall, Exhausted, Succeeded

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)
PAPERS = {"papers": [{"document_id": one, "sha256": "0" * 64} for one in ("a", "b", "c")]}


def test_what_was_drawn_and_what_was_not_stand_in_the_register() -> None:
    call = ClaimedCall(PREVIEW, "a", "app", PAPERS, 1)
    state = Drawn()
    assert on_drawn(Succeeded({"a": 3, "b": "too_complex"}, call), state, NOW) == []
    assert state.previews == [
        Preview("a", NOW, 3),
        Preview("b", NOW, 0, "too_complex"),
        Preview("c", NOW, 0, "unavailable"),
    ]


def test_where_every_attempt_failed_none_is_shown() -> None:
    call = ClaimedCall(PREVIEW, "a", "app", PAPERS, 20)
    state = Drawn()
    assert on_drawn(Exhausted("no answer", call), state, NOW) == []
    assert {one.failure for one in state.previews} == {"unavailable"}


def test_what_was_destroyed_stands_in_the_register() -> None:
    call = ClaimedCall(DESTRUCTION, "p-1", "p-1", {"why": "retention-ended"}, 1)
    state = Drawn()
    assert on_destroyed(Succeeded({"destroyed": ["a"]}, call), state, NOW) == []
    assert state.ends == [End("a", NOW, "retention-ended")]
    assert on_destroyed(Exhausted("no answer", call), state, NOW) == []
    assert len(state.ends) == 1
