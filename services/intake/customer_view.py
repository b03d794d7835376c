"""What a customer sees of their own application and may do with it; pure.

The list is the one that the office sees, without codes and remarks. That a case rests, or lies with
a person, is told to nobody outside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.intake.appeals import DISPUTE
from services.intake.application import Appeal, Application, outside_state
from services.intake.checklist import Line
from services.intake.items import ItemState, mending_fields
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.events.payload import FIELD_CLASSES, PartyRole
from shared.parameters import load_checklist_items
from shared.web.i18n import mark

CONSENT = "consent"
"""What mends a missing consent, beside the fields of the form."""

Progress = Literal["done", "now", "ahead"]

# While nobody at the bank works on the application.
_OPEN = frozenset({State.DRAFT, State.AWAITING_MATERIAL})

STEPS: Sequence[str] = (
    mark("Handed in"),
    mark("Papers checked"),
    mark("Application examined"),
    mark("Approved"),
    mark("Card on its way"),
    mark("Card in use"),
)

# How many steps are behind, as far as anybody outside may know.
_BEHIND: Mapping[State, int] = {
    State.DRAFT: 0,
    State.SUBMITTED: 1,
    State.PRE_CHECK: 1,
    State.AWAITING_MATERIAL: 1,
    State.CHECKING: 2,
    State.APPROVED: 4,
    State.CARD_PRODUCING: 4,
    State.POSTED: 4,
    State.DELIVERED: 5,
    State.ACTIVATED: 5,
    State.IN_USE: 6,
}

SAYS: Mapping[State, tuple[str, str]] = {
    State.DRAFT: (
        mark("Your application has not been handed in yet"),
        mark("Please hand it in where you began it, once everything below is there."),
    ),
    State.SUBMITTED: (
        mark("We are checking your papers"),
        mark("There is nothing for you to do. What is missing we tell you all at once."),
    ),
    State.PRE_CHECK: (
        mark("We are checking your papers"),
        mark("There is nothing for you to do. What is missing we tell you all at once."),
    ),
    State.AWAITING_MATERIAL: (
        mark("Something is missing"),
        mark("Your application goes on as soon as everything below is there."),
    ),
    State.CHECKING: (
        mark("Your application is being examined"),
        mark("Your papers are complete. There is nothing for you to do; we tell you the result."),
    ),
    State.APPROVED: (
        mark("Your application was approved"),
        mark("Your card is being prepared."),
    ),
    State.CARD_PRODUCING: (
        mark("Your application was approved"),
        mark("Your card is being made."),
    ),
    State.POSTED: (
        mark("Your card is on its way"),
        mark("It is sent to the address that you gave."),
    ),
    State.DELIVERED: (
        mark("Your card has been delivered"),
        mark("Please activate it before you use it; the letter with the card says how."),
    ),
    State.ACTIVATED: (mark("Your card is activated"), mark("You can use it now.")),
    State.IN_USE: (mark("Your card is in use"), mark("Your application is finished.")),
    State.DECLINED: (
        mark("Your application was not approved"),
        mark("We wrote to you. If you have a question, your branch helps you."),
    ),
    State.WITHDRAWN: (
        mark("Your application is withdrawn"),
        mark("We do nothing more about it. You may apply again at any time."),
    ),
    State.EXPIRED: (
        mark("Your application is closed"),
        mark("A deadline has passed. You may apply again at any time."),
    ),
}


WISHES: Mapping[AppealWish | Literal["report-dispute"], tuple[str, str]] = {
    AppealWish.EXPLANATION: (
        mark("An explanation"),
        mark("We tell you how the decision was made, and its main reason."),
    ),
    AppealWish.HUMAN_REVIEW: (
        mark("A review by a person"),
        mark("A person who took no part in the decision looks at it again."),
    ),
    DISPUTE: (
        mark("The credit report"),
        mark("We have what you say about it looked into, and tell you what came of it."),
    ),
}
"""What may be asked about a decision or a credit report, and what comes of it."""

_ANSWERS: Mapping[str | None, str] = {
    None: mark("We have it. The answer comes by message."),
    "explained": mark("Answered: we wrote to you."),
    "upheld": mark("Looked at again: the result stays. We wrote to you."),
    "changed": mark("Looked at again: you may apply anew at once. We wrote to you."),
}

_ANSWERS_ABOUT_LIMITS: Mapping[str | None, str] = {
    **_ANSWERS,
    "changed": mark("Looked at again: a higher limit is possible. We wrote to you."),
}

_ANSWERS_TO_DISPUTES: Mapping[str | None, str] = {
    None: _ANSWERS[None],
    "corrected": mark("The credit report is put right. We wrote to you."),
    "upheld": mark("No error was found in the credit report. We wrote to you."),
    "annotated": mark("Your objection stands beside the record now. We wrote to you."),
}


def answer_to(app: Application, one: Appeal) -> str:
    """What became of what the customer asked, as a message id."""
    if one.wish == DISPUTE:
        return _ANSWERS_TO_DISPUTES[one.outcome]
    return (_ANSWERS if app.state is State.DECLINED else _ANSWERS_ABOUT_LIMITS)[one.outcome]


"""How it stands with what was asked, by its outcome."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One item as the customer sees it. bring: a paper may be handed in for it now; again: one is
    there that may be replaced. fields: those of the form that mend it; agree: a consent does."""

    line: Line
    bring: bool
    again: bool
    fields: tuple[str, ...]
    agree: bool


def state_outside(app: Application) -> State:
    """Where the application stands, as its customer may know it."""
    assert app.state is not None  # a code is given for one that was begun
    return outside_state(app.state)


def steps(app: Application) -> list[tuple[str, Progress]]:
    """The way of the application; nothing where it has ended without a card."""
    behind = _BEHIND.get(state_outside(app))
    if behind is None:
        return []
    return [
        (label, "done" if number < behind else "now" if number == behind else "ahead")
        for number, label in enumerate(STEPS)
    ]


def shown(app: Application, lines: Iterable[Line]) -> list[Shown]:
    """Each line with what the customer can do about it. Only what is wanted may be brought,
    corrected or agreed to, and only while the bank waits for it."""
    return [_shown(line, is_open=app.state in _OPEN) for line in lines]


def _shown(line: Line, *, is_open: bool) -> Shown:
    known = load_checklist_items().items.get(line.item)
    wanted = is_open and (line.to_do or not line.done)
    mends = _mending(line) if wanted and line.to_do else set()
    of_papers = not line.reasons or any(field is None for _code, field in line.reasons)
    takes = is_open and known is not None and known.upload
    return Shown(
        line=line,
        bring=takes and wanted and of_papers,
        again=takes and line.done and line.state is ItemState.RECEIVED and bool(line.documents),
        fields=tuple(name for name in FIELD_CLASSES if name in mends),
        agree=CONSENT in mends,
    )


def _mending(line: Line) -> set[str]:
    """Fields of the form that mend what is open about an item; CONSENT where that does."""
    named = {field for _code, field in line.reasons if field is not None}
    return named.union(*(mending_fields(code) for code, _field in line.reasons))


def wanted_fields(items: Iterable[Shown]) -> list[str]:
    """The fields of the form that the customer may correct, in the form's order."""
    wanted = {name for item in items for name in item.fields}
    return [name for name in FIELD_CLASSES if name in wanted]


def wanted_of(
    items: Iterable[Shown], faults: Collection[tuple[PartyRole, str, str]]
) -> dict[PartyRole, list[str]]:
    """The same fields by whose they are. faults: (role, return code, field) as the rules find them;
    what they do not find is of whoever the item is of."""
    wanted: dict[PartyRole, set[str]] = {}
    for item in items:
        party = PartyRole(item.line.party)
        for code, field in item.line.reasons:
            whose = {role for role, *found in faults if found == [code, field]} or {party}
            for name in item.fields:
                for role in whose if name == field else {party}:
                    if name == field or name in mending_fields(code):
                        wanted.setdefault(role, set()).add(name)
    return {
        role: [name for name in FIELD_CLASSES if name in wanted[role]]
        for role in PartyRole
        if role in wanted
    }


def may_withdraw(app: Application) -> bool:
    """Whether the customer can still withdraw, and has not asked already."""
    asked = app.withdrawal is not None and app.withdrawal.outcome != "refused"
    return app.takes_papers and not asked
