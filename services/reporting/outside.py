"""What those see of an application who may not know that a case is held.

Suspicion must not reach the customer (反洗钱法 35), and who speaks to customers cannot let slip
what they never saw. To them a held case lies with a reviewer: it is told as referred when it is
held, and nothing happens when the hold begins in a reviewer's hands or ends. Who decided, and for
which codes, is not theirs either: compliance might be among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.reporting.projections import AppliedEvent
from shared.events import reporting, review
from shared.events.lifecycle import OWNERS, State
from shared.web.states import shown_state

_WITHHELD = frozenset({"decided_by", "reason_codes", "policy_version"})
HELD, RELEASED = review.ApplicationHeld.type, review.ApplicationReleased.type


def outside(state: str) -> str:
    """The state as it is told outside."""
    return shown_state(state, knows_holds=False)


def outside_events(events: Iterable[AppliedEvent]) -> list[AppliedEvent]:
    """The events as they are told outside, in the same order."""
    known = list(events)
    versions = _versions(known)
    untold = {(e.application_id, e.time) for e in known if _untold(e)}
    return [
        _told(event, versions)
        for event in known
        if not _untold(event)
        # a silence that ended with what is not told has not ended
        and not (
            event.type == reporting.CaseResumed.type
            and (event.application_id, event.time) in untold
        )
    ]


def _untold(event: AppliedEvent) -> bool:
    return (
        event.moves
        and event.state_before is not None
        and event.state_after is not None
        and event.state_before != event.state_after
        and outside(event.state_before) == outside(event.state_after)
    )


def _versions(events: Iterable[AppliedEvent]) -> dict[tuple[str, int], int]:
    """{(application, state version of a move that is not told): that of the move before it}."""
    found: dict[tuple[str, int], int] = {}
    untold = sorted(
        (e for e in events if _untold(e)), key=lambda e: (e.application_id, e.state_version)
    )
    for event in untold:
        before = event.state_version - 1
        key = (event.application_id, event.state_version)
        found[key] = found.get((event.application_id, before), before)
    return found


def _told(event: AppliedEvent, versions: Mapping[tuple[str, int], int]) -> AppliedEvent:
    facts = {name: value for name, value in event.facts.items() if name not in _WITHHELD}
    if "state_version" in facts:
        silent = facts["state_version"]
        facts["state_version"] = versions.get((event.application_id, silent), silent)
    if "state" in facts:
        facts["state"] = outside(facts["state"])
        if "desk" in facts:
            facts["desk"] = OWNERS[State(facts["state"])].desk
    told = review.ApplicationReferred.type if event.type == HELD else event.type
    return replace(
        event,
        seen=replace(event.seen, type=told),
        state_before=None if event.state_before is None else outside(event.state_before),
        state_after=None if event.state_after is None else outside(event.state_after),
        state_version=versions.get(
            (event.application_id, event.state_version), event.state_version
        ),
        facts=facts,
    )
