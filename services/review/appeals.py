"""Appeals: a declined customer asks why, or that a person who took no part decides anew (人工复核,
个人信息保护法 24). Each is a case of its own with its own clock; the declined application stays as
it was, with its state, its decision and its events.

Pure, like `case`: the case of the application is the lock, and carries its appeals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.review.case import Case, CaseError
from shared.calendar import business_day, due_about
from shared.events import review
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.parameters import load_clocks

Answer = Literal["explained", "upheld", "changed"]

APPEAL_DEADLINE = "appeal"


@dataclass(slots=True)
class Appeal:
    """One appeal. `asked_by`: as events have it; `words`: the customer's, sealed. `deciders`: staff
    ids of those who made the decision, none where the policy alone did (`automatic`); known once it
    is written. `changed`: to be written."""

    appeal_id: str
    number: str
    wish: AppealWish
    asked_by: str
    asked_at: datetime
    words: str
    due: datetime
    deciders: tuple[str, ...] = ()
    automatic: bool = False
    claimed_by: str | None = None
    outcome: Answer | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None
    changed: bool = False

    @property
    def open(self) -> bool:
        """Whether it waits for its answer."""
        return self.outcome is None

    def answers(self) -> tuple[Answer, ...]:
        """What it may be answered."""
        return ("explained",) if self.wish is AppealWish.EXPLANATION else ("upheld", "changed")


def due_at(asked_at: datetime) -> datetime:
    """When an appeal has to be answered (UTC)."""
    return due_about(asked_at, load_clocks().appeal_working_days)


def open_appeal(case: Case) -> Appeal | None:
    """The one of the application that waits for its answer."""
    return next((one for one in case.appeals if one.open), None)


def on_requested(
    case: Case, appeal_id: str, wish: AppealWish, words: str, asked_by: str, now: datetime
) -> Iterable[Effect]:
    """The customer asks by a channel. Where an officer opened one for them in the same moment, the
    two are one; a review by a person is the greater wish."""
    if case.state is not State.DECLINED:
        raise Permanent(f"an appeal against an application that is {case.state}")
    there = open_appeal(case)
    if there is None:
        return _open(case, appeal_id, wish, words, asked_by, now)
    if wish is AppealWish.HUMAN_REVIEW:
        there.wish = wish
    there.changed = True
    case.note(
        now, _actor(asked_by), "appeal_asked_again", number=there.number, wish=wish, note=words
    )
    return [_opened(case, there)]


def decide_open(
    case: Case, appeal_id: str, wish: AppealWish, words: str, staff_id: str, now: datetime
) -> Iterable[Effect]:
    """An officer opens one for the customer, who telephoned or came to the branch."""
    if case.state is not State.DECLINED:
        raise CaseError("not-declined", "Only a decline is appealed against")
    if open_appeal(case) is not None:
        raise CaseError("appeal-open", "An appeal of this customer waits for its answer already")
    return _open(case, appeal_id, wish, words, f"staff:{staff_id}", now)


def _open(
    case: Case, appeal_id: str, wish: AppealWish, words: str, asked_by: str, now: datetime
) -> Iterable[Effect]:
    number = f"{case.need_scope().application_number}-{len(case.appeals) + 1}"
    appeal = Appeal(appeal_id, number, wish, asked_by, now, words, due_at(now), changed=True)
    case.appeals.append(appeal)
    case.note(now, _actor(asked_by), "appeal_opened", number=number, wish=wish, note=words)
    return [_opened(case, appeal), Deadline(APPEAL_DEADLINE, appeal.due)]


def _opened(case: Case, appeal: Appeal) -> Fact:
    event = review.AppealOpened(
        **case.fields(),
        appeal_id=appeal.appeal_id,
        appeal_number=appeal.number,
        wish=appeal.wish,
        working_days=load_clocks().appeal_working_days,
    )
    return Fact(event, state_version=case.state_version)


def decide_claim(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Take the appeal; never whoever made the decision that it is about."""
    appeal = _waiting(case)
    if staff_id in appeal.deciders:
        raise CaseError("same-person", "Whoever made the decision does not answer the appeal")
    if appeal.claimed_by == staff_id:
        return []
    if appeal.claimed_by is not None:
        raise CaseError("claimed", "Another officer has this appeal")
    appeal.claimed_by, appeal.changed = staff_id, True
    case.note(now, staff_id, "appeal_claimed", number=appeal.number)
    return []


def decide_put_back(
    case: Case, staff_id: str, now: datetime, *, may_sign: bool = False
) -> Iterable[Effect]:
    """Give the appeal back. Whoever may sign may do it for a colleague who is away."""
    appeal = _waiting(case)
    if appeal.claimed_by is None or (appeal.claimed_by != staff_id and not may_sign):
        raise CaseError("not-yours", "Claim the appeal first")
    appeal.claimed_by, appeal.changed = None, True
    case.note(now, staff_id, "appeal_put_back", number=appeal.number)
    return []


def decide_answer(
    case: Case, staff_id: str, outcome: Answer, note: str, now: datetime
) -> Iterable[Effect]:
    """Answer it: an explanation is given, or a person who took no part decides anew. `changed`
    alters nothing of the decision: the customer is invited to apply again, and need not wait."""
    appeal = _waiting(case)
    if staff_id in appeal.deciders:
        raise CaseError("same-person", "Whoever made the decision does not answer the appeal")
    if appeal.claimed_by != staff_id:
        raise CaseError("not-yours", "Claim the appeal first")
    if outcome not in appeal.answers():
        raise CaseError("other-wish", "This is no answer to what the customer asked for")
    if not note.strip():
        raise CaseError("no-opinion", "Say in words what you found")
    appeal.outcome, appeal.answered_by, appeal.answered_at = outcome, staff_id, now
    appeal.changed = True
    case.note(
        now, staff_id, "appeal_answered", number=appeal.number, outcome=outcome, note=note.strip()
    )
    event = review.AppealAnswered(
        **case.fields(),
        appeal_id=appeal.appeal_id,
        appeal_number=appeal.number,
        outcome=outcome,
        category=review.DeclineCategory(case.category) if case.category else None,
        automatic=appeal.automatic,
        reapply_from=business_day(now) if outcome == "changed" else None,
        answered_by=staff_id,
    )
    return [Fact(event, state_version=case.state_version), ClearDeadline(APPEAL_DEADLINE)]


def on_appeal_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """The appeal should have been answered by now: it stands in the history."""
    appeal = open_appeal(case)
    if appeal is not None and appeal.due <= now:
        case.note(now, "review", "appeal_overdue", number=appeal.number)
    return []


def _actor(asked_by: str) -> str:
    """As the history names who asked: the officer who wrote it down, or the customer."""
    kind, _sep, staff_id = asked_by.partition(":")
    return staff_id if kind == "staff" else "customer"


def _waiting(case: Case) -> Appeal:
    appeal = open_appeal(case)
    if appeal is None:
        raise CaseError("nothing-appealed", "No appeal waits for its answer")
    return appeal
