"""What a viewer may see of a case.

Who may not know that a case is held (反洗钱法 35) sees it with the reviewers, and nothing that
tells it from a case that was never held: no count of transitions, nobody's name beside a decision,
for it might be compliance's, and of what was done at the desk only what ends in an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from services.review import reason_codes
from services.review.case import Case, Decision, Entry, Recommendation
from services.review.limit_changes import ChangeState, LimitChange
from services.review.store import QueueRow
from shared.events.lifecycle import State
from shared.money import Money
from shared.web import Permission, Viewer
from shared.web import states as words

_OF_A_HOLD = frozenset({"held", "suspected", "hold_overdue", "finding", "released"})
_AT_THE_DESK = frozenset(
    {
        "claimed",
        "put_back",
        "taken_back",
        "reassigned",
        "escalated",
        "snoozed",
        "woken",
        "noted",
        "proposed",
        "opinion",
        "signed",
        "returned",
        "telephone_ordered",
        "telephone_called",
    }
)


def hides_proposal(case: Case, viewer: Viewer) -> bool:
    """Whether what is proposed is kept from this viewer until the second person has given their
    own opinion: from everybody but who proposed it. Who may not know of holds sees nothing of any
    proposal for such a product, or those that compliance makes would stand out."""
    proposal = case.proposal
    if proposal is None or proposal.staff_id == viewer.staff_id:
        return False
    return case.blind if viewer.knows_holds else case.review_rules.blind


def shown_case(case: Case, viewer: Viewer) -> Case:
    """The case as this viewer may know it."""
    proposal = case.proposal
    if proposal is not None and hides_proposal(case, viewer):
        proposal = replace(proposal, limit=None, reasons=(), note="")
        case = replace(case, proposal=proposal)
        if case.escalation is not None and case.escalation.by == proposal.staff_id:
            case = replace(case, escalation=replace(case.escalation, words=""))
    if case.scope is not None:
        confidential = viewer.may_in(Permission.REVIEW_COMPLIANCE, case.scope.branch)
        found = shown_recommendation(case.recommendation, confidential=confidential)
        case = replace(case, recommendation=found, hold=case.hold if confidential else None)
    if viewer.knows_holds or case.state is None:
        return case
    return replace(
        case,
        state=State(words.shown_state(case.state, knows_holds=False)),
        claimed_by=None if proposal else case.claimed_by,
        escalation=None,
        proposal=proposal and replace(proposal, staff_id="", reasons=(), note=""),
    )


def shown_recommendation(
    found: Recommendation | None, *, confidential: bool
) -> Recommendation | None:
    """What the policy said; for whoever is not of compliance as if there were no suspicion, its
    advice included: that it wants a case looked at without a word why would tell that there is
    one."""
    if found is None or confidential:
        return found
    told = reason_codes.without_suspicion(found.findings)
    if told == found.findings:
        return found
    advice = reason_codes.advice_on(told)
    limit = Money.zero() if advice == "decline" else found.limit
    return replace(found, outcome="refer", advice=advice, findings=told, limit=limit)


def shown_change_state(change: LimitChange, viewer: Viewer) -> ChangeState:
    """Where a change of a limit stands; one that is held waits for a decision like any other, for
    whoever may not know of holds."""
    assert change.state is not None  # it was begun
    hidden = change.state is ChangeState.HELD and not viewer.knows_holds
    return ChangeState.DECIDING if hidden else change.state


def shown_deciders(change: LimitChange, branch: str, viewer: Viewer) -> tuple[str, ...] | None:
    """Who decided about a change of a limit, nobody: the policy alone; None: that is not told. Of
    who refused an increase compliance knows, and who did it themselves."""
    if not viewer.knows_holds:
        return None
    told = change.names_deciders or not change.decided_by or viewer.staff_id in change.decided_by
    if told or viewer.may_in(Permission.REVIEW_COMPLIANCE, branch):
        return change.decided_by
    return None


def shown_version(case: Case, viewer: Viewer) -> int | None:
    """The count of transitions; None for whoever could find a hold by it."""
    return case.state_version if viewer.knows_holds else None


def shown_row(row: QueueRow, viewer: Viewer) -> QueueRow:
    """A line of a list; of a proposal that waits for its signature only that it does, and of what
    the policy said nothing by which a suspicion shows."""
    told = reason_codes.without_suspicion(row.findings)
    if not viewer.may_in(Permission.REVIEW_COMPLIANCE, row.branch):
        advice = row.advice if told == row.findings else reason_codes.advice_on(told)
        row = replace(row, findings=told, advice=advice, hold_reason=None, hold_due=None)
    if viewer.knows_holds:
        return row
    return replace(
        row,
        state=words.shown_state(row.state, knows_holds=False),
        queued_at=None,  # begins anew when a hold does, and when it ends
        claimed_by=None if row.proposed_by else row.claimed_by,
        escalated_by=None,
        proposed_by=row.proposed_by and "",
    )


def shown_decision(decision: Decision, viewer: Viewer) -> Decision:
    """The decision; without who made it, and for what, for whoever might find compliance among
    them, and without a suspicion for everybody."""
    if not viewer.knows_holds:
        return replace(decision, decided_by=(), reasons=())
    return replace(decision, reasons=reason_codes.without_suspicion(decision.reasons))


def shown_history(history: Iterable[Entry], viewer: Viewer) -> list[Entry]:
    """The lines of the history, the oldest first. A case that was held at once is told as referred,
    like any other that goes to a person."""
    if viewer.knows_holds:
        return list(history)
    shown: list[Entry] = []
    referred = False
    for entry in history:
        if entry.action in ("held", "referred"):
            if not referred:
                shown.append(replace(entry, action="referred"))
            referred = True
        elif entry.action not in _OF_A_HOLD | _AT_THE_DESK:
            told = replace(entry, details=_told(entry))
            if entry.action == "decided":
                told = replace(told, actor="review")
            elif entry.action in ("handed_over", "imported"):
                # one that came while a person had it was referred elsewhere
                referred = told.details.get("state") == State.MANUAL_REVIEW
            shown.append(told)
    return shown


def without_opinions(history: Iterable[Entry], reader: str) -> list[Entry]:
    """The history of an undecided case of a blind product: of what others proposed or thought only
    that they did, and nothing that they wrote on any line, until the reader has said what they
    think themselves. Whoever proposed reads what the second person answers; what compliance
    proposes as it ends a hold is nobody's opinion."""
    lines = list(history)
    said = [place for place, one in enumerate(lines) if _is_opinion(lines, place)]
    own = [place for place in said if lines[place].actor == reader]
    asked = [place for place in own if lines[place].action == "proposed"]

    def told(place: int) -> bool:
        if (own and place <= own[-1]) or lines[place].actor == reader:
            return True
        return lines[place].action == "opinion" and bool(asked) and asked[-1] < place

    kept_back = {place for place in said if not told(place)}
    authors = {lines[place].actor for place in kept_back}
    return [
        replace(one, details={})
        if place in kept_back
        else _without_words(one)
        if one.actor in authors
        else one
        for place, one in enumerate(lines)
    ]


def _is_opinion(lines: Sequence[Entry], place: int) -> bool:
    one, before = lines[place], lines[place - 1] if place else None
    if one.action == "proposed":
        return before is None or (before.action, before.actor) != ("released", one.actor)
    return one.action == "opinion"


def _without_words(entry: Entry) -> Entry:
    told = {name: value for name, value in entry.details.items() if name != "note"}
    return replace(entry, details=told)


def _told(entry: Entry) -> dict[str, Any]:
    details = {name: value for name, value in entry.details.items() if name != "reasons"}
    if "state" in details:
        details["state"] = words.shown_state(details["state"], knows_holds=False)
    return details
