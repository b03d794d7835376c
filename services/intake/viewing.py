"""What each viewer may see of how an application stands.

Channels speak to customers and learn nothing of how review works. Staff who may not know that a
case is held (反洗钱法 35) see it with a reviewer, and nothing that tells when a hold began or
ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.intake.application import Entry, outside_state
from services.intake.rules import PATTERNS
from shared.events.lifecycle import State
from shared.web import Viewer
from shared.web import states as words

_WITH_A_REVIEWER = words.shown_state(State.ON_HOLD, knows_holds=False)


def shown_state(state: str, viewer: Viewer) -> str:
    """The state as this viewer may know it."""
    if viewer.client:
        return outside_state(State(state)).value
    return words.shown_state(state, knows_holds=viewer.knows_holds)


def states_shown_as(state: str, viewer: Viewer) -> list[str]:
    """The states that this viewer knows by that name: filtering by a hidden one would tell it."""
    return [one.value for one in State if shown_state(one.value, viewer) == state]


def shown_since(state: str, since: datetime | None, viewer: Viewer) -> datetime | None:
    """Since when the application is in its state; None where that might tell of a hold."""
    telling = viewer.client or shown_state(state, viewer) == _WITH_A_REVIEWER
    return None if telling and not viewer.knows_holds else since


def states_of_unknown_age(viewer: Viewer) -> frozenset[State]:
    """The states of which this viewer may not know since when an application is in them: in which
    order they came there would tell it, too."""
    moment = datetime.min.replace(tzinfo=UTC)
    return frozenset(one for one in State if shown_since(one.value, moment, viewer) is None)


def shown_version(version: int, viewer: Viewer) -> int | None:
    """The count of transitions; None for whoever could find a hold by it."""
    return version if viewer.knows_holds else None


def shown_warnings(codes: Iterable[str], viewer: Viewer) -> list[str]:
    """The warnings that this viewer may know of. That several applications look alike is the bank's
    own affair: a channel would tell whoever tries it how far they may go."""
    return [code for code in codes if not (viewer.client and code in PATTERNS)]


def shown_history(history: Iterable[Entry], viewer: Viewer) -> Sequence[Entry]:
    """The lines of the history, the oldest first, without moves that this viewer does not see."""
    shown: list[Entry] = []
    last = ""
    for entry in history:
        if entry.action != "moved":
            shown.append(entry)
            continue
        state = shown_state(entry.details["state"], viewer)
        if state != last:
            shown.append(replace(entry, details={**entry.details, "state": state}))
        last = state
    return shown
