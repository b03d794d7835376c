"""The officer's verdict on a case (初审): what still stands in the way of it, all of it at once.

Pure. A case is passed when every item is settled, and returned when every item was looked at: so
that review gets nothing unchecked, and the customer is asked once for everything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.intake.application import Application, met
from services.intake.items import Item, ItemState
from shared.parameters.models import PreCheck


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that stands in the way; an item's, or the case's own where `item` is None. `detail`
    is a return code where one says more."""

    code: str
    party: str | None = None
    item: str | None = None
    detail: str | None = None


def against_passing(
    app: Application,
    rules: PreCheck,
    refusals: Sequence[str],
    *,
    officer: str,
    entered: Collection[str],
) -> list[Obstacle]:
    """Why this officer cannot pass the case now. refusals: return codes that no paper mends;
    entered: who entered the form."""
    found = [
        _of_item("item-open", item, code) for item in app.items if item.open for code in item.codes
    ]
    found += unchecked(app)
    found += [_of_item("waiver-unanswered", item) for item in app.items if item.waiver_asked]
    found += [Obstacle("refused", detail=code) for code in refusals]
    if app.consent is None:
        found.append(Obstacle("no-consent", detail="NO_CREDIT_AUTH"))
    if rules.meeting == "required" and not met(app):
        found.append(Obstacle("no-meeting"))
    if rules.other_than_entry and officer in entered:
        found.append(Obstacle("entered-by-same-person"))
    return found


def against_returning(app: Application) -> list[Obstacle]:
    """Why the case cannot go back to the customer now: what nobody has looked at might be wrong
    too, and would be asked for in a second letter."""
    found = unchecked(app)
    found += [_of_item("waiver-unanswered", item) for item in app.items if item.waiver_asked]
    return found


def unchecked(app: Application) -> list[Obstacle]:
    """What came and nobody has looked at."""
    return [
        _of_item("item-unchecked", item) for item in app.items if item.state is ItemState.RECEIVED
    ]


def _of_item(code: str, item: Item, detail: str | None = None) -> Obstacle:
    return Obstacle(code, item.party, item.item, detail)
