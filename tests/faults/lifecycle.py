"""The small office's lifecycle: which event leads from where to where, and who may say it."""

from __future__ import annotations

MOVES: dict[tuple[str, str], str] = {
    ("", "submitted"): "submitted",
    ("submitted", "approved"): "approved",
    ("submitted", "declined"): "declined",
    ("submitted", "withdrawn"): "withdrawn",
    ("approved", "card-ordered"): "card-ordered",
}
AUTHORITY = {"": "intake", "submitted": "review", "approved": "intake"}
MILESTONES = frozenset({"withdrawal-requested", "withdrawal-refused"})
ENDS = frozenset({"declined", "withdrawn", "card-ordered"})


class IllegalMove(ValueError):
    """The event does not lead anywhere from this state."""


def advance(state: str, word: str) -> str:
    """The next state. Raises IllegalMove."""
    if word in MILESTONES:
        return state
    try:
        return MOVES[state, word]
    except KeyError:
        raise IllegalMove(f"{word} in state {state or 'none'}") from None
