"""The checklist as people see it: two renderings of the one state that `items` keeps.

The customer's says of each item 已完成 or 待补充 and why, the office's everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.intake.application import Application, Document
from services.intake.items import OPEN, ItemState, Waiver
from services.intake.rules import NeedKind
from shared.events.lifecycle import State

_MENDED_BY_NO_PAPER = frozenset(
    {
        "AGE_OUT_OF_RANGE",
        "PRODUCT_NOT_FOR_APPLICANT",
        "DUPLICATE_APPLICATION",
        "TOO_MANY_CARDS",
        "COOL_DOWN",
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """One item for the office. `need`: it is needed, it is one of a `group` of which one is enough,
    or it is welcome. `reasons`: (return code, field of the form or None) for everything that is
    open. `documents`: ids of its papers, the one that counts first; `taken_from`: the earlier
    application with which that one came. `asked`: how often the customer was asked for it,
    `asked_again`: of these after it had been settled."""

    party: str
    item: str
    state: ItemState
    need: NeedKind
    group: str | None
    reasons: tuple[tuple[str, str | None], ...]
    documents: tuple[str, ...]
    taken_from: str | None
    asked: int
    asked_again: int
    waiver: Waiver | None
    since: datetime | None
    by: str

    @property
    def done(self) -> bool:
        """Whether the customer has nothing to do about it (已完成)."""
        there = (ItemState.RECEIVED, ItemState.ACCEPTED, ItemState.WAIVED)
        return self.state in there and not self.reasons

    @property
    def to_do(self) -> bool:
        """Whether the customer has to do something about it (待补充)."""
        return self.state in OPEN and bool(self.reasons)


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of what is needed is done; a group counts once."""

    done: int
    needed: int
    settled_groups: frozenset[str]


def checklist(app: Application) -> list[Line]:
    """Every item, in the order of the product's matrix."""
    return [
        Line(
            party=item.party,
            item=item.item,
            state=item.state,
            need=item.need,
            group=item.group,
            reasons=tuple(dict.fromkeys((one.code, one.field) for one in item.reasons)),
            documents=_papers(item.item, item.document_id, app.documents),
            taken_from=item.taken_from,
            asked=item.asked,
            asked_again=item.asked_again,
            waiver=item.waiver,
            since=item.since,
            by=item.by,
        )
        for item in app.items
        if item.state is not None
    ]


def _papers(item: str, counts: str | None, documents: Sequence[Document]) -> tuple[str, ...]:
    own = [one.document_id for one in reversed(documents) if one.item == item]
    return tuple(dict.fromkeys(([counts] if counts else []) + own))


def for_customer(lines: Iterable[Line]) -> list[Line]:
    """What the customer has to know: what is needed or was brought, in the same order. Of a group
    in which nothing is open only what is there."""
    lines = list(lines)
    settled = tally(lines).settled_groups
    return [
        line
        for line in lines
        if line.done
        or line.to_do
        or line.need == "mandatory"
        or (line.group is not None and line.group not in settled)
    ]


def tally(lines: Iterable[Line]) -> Tally:
    """The count over all lines. A group is settled when one of it is there and nothing that is
    open has been asked of it."""
    lines = list(lines)
    needed = [line for line in lines if not line.group and (line.need != "optional" or line.to_do)]
    groups = {line.group for line in lines if line.group}
    settled = frozenset(
        group
        for group in groups
        if any(line.done for line in lines if line.group == group)
        and not any(line.to_do for line in lines if line.group == group)
    )
    return Tally(
        done=sum(line.done for line in needed) + len(settled),
        needed=len(needed) + len(groups),
        settled_groups=settled,
    )


def refusals(app: Application, lines: Iterable[Line]) -> list[str]:
    """Return codes of the customer's list that no item stands for: no paper mends them."""
    of_items = {(line.item, code) for line in lines for code, _field in line.reasons}
    if app.state is not State.AWAITING_MATERIAL:
        return []
    return [
        one.code
        for one in app.wanted
        if (one.item, one.code) not in of_items and one.code in _MENDED_BY_NO_PAPER
    ]
