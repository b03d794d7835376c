"""Appeals: a declined customer asks why, or that a person who took no part decides anew (人工复核,
个人信息保护法 24). Each is a case of its own with its own clock; the declined application stays as
it was, with its state, its decision and its events.

Pure, like `case`: the case of the application is the lock, and carries its appeals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from services.review.case import Case, CaseError, receiver_of
from services.review.officers import Officer
from shared.calendar import business_day, due_about
from shared.events import review
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.parameters import load_clocks

Answer = Literal["explained", "upheld", "changed"]

APPEAL_DEADLINE = "appeal"
DISPUTE: Final = "report-dispute"  # of the credit report: see `disputes`


@dataclass(slots=True)
class Appeal:
    """One appeal, or a dispute about the credit report. `asked_by`: as events have it; `words`: the
    customer's, sealed. `deciders`: staff ids of those who made the decision, none where the policy
    alone did (`automatic`), and of a dispute; known once it is written. `changed`: to be
    written."""

    appeal_id: str
    number: str
    wish: AppealWish | Literal["report-dispute"]
    asked_by: str
    asked_at: datetime
    words: str
    due: datetime
    deciders: tuple[str, ...] = ()
    automatic: bool = False
    claimed_by: str | None = None
    outcome: Answer | Literal["corrected", "annotated"] | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None
    changed: bool = False

    @property
    def open(self) -> bool:
        """Whether it waits for its answer."""
        return self.outcome is None

    def answers(self) -> tuple[str, ...]:
        """What it may be answered."""
        if self.wish == DISPUTE:
            return ("corrected", "upheld", "annotated")
        return ("explained",) if self.wish is AppealWish.EXPLANATION else ("upheld", "changed")

    @property
    def kind(self) -> Literal["appeal", "dispute"]:
        """As the history calls it."""
        return "dispute" if self.wish == DISPUTE else "appeal"


def due_at(asked_at: datetime) -> datetime:
    """When an appeal has to be answered (UTC)."""
    return due_about(asked_at, load_clocks().appeal_working_days)


def open_appeal(case: Case) -> Appeal | None:
    """The one against the decision that waits for its answer."""
    return next((one for one in case.appeals if one.open and one.wish != DISPUTE), None)


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
        now, actor(asked_by), "appeal_asked_again", number=there.number, wish=wish, note=words
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
    count = sum(one.wish != DISPUTE for one in case.appeals)
    number = f"{case.need_scope().application_number}-{count + 1}"
    appeal = Appeal(appeal_id, number, wish, asked_by, now, words, due_at(now), changed=True)
    case.appeals.append(appeal)
    case.note(now, actor(asked_by), "appeal_opened", number=number, wish=wish, note=words)
    return [_opened(case, appeal), Deadline(APPEAL_DEADLINE, appeal.due)]


def _opened(case: Case, appeal: Appeal) -> Fact:
    event = review.AppealOpened(
        **case.fields(),
        appeal_id=appeal.appeal_id,
        appeal_number=appeal.number,
        wish=AppealWish(appeal.wish),
        working_days=load_clocks().appeal_working_days,
    )
    return Fact(event, state_version=case.state_version)


def decide_claim(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Take the appeal; never whoever made the decision that it is about."""
    return claim(case, _waiting(case), staff_id, now)


def claim(case: Case, one: Appeal, staff_id: str, now: datetime) -> list[Effect]:
    """Take what waits for its answer; never whoever made the decision that it is about."""
    if staff_id in one.deciders:
        raise CaseError("same-person", "Whoever made the decision does not answer the appeal")
    if one.claimed_by == staff_id:
        return []
    if one.claimed_by is not None:
        raise CaseError("claimed", f"Another officer has this {one.kind}")
    one.claimed_by, one.changed = staff_id, True
    case.note(now, staff_id, f"{one.kind}_claimed", number=one.number)
    return []


def decide_put_back(
    case: Case, staff_id: str, now: datetime, *, may_sign: bool = False
) -> Iterable[Effect]:
    """Give the appeal back. Whoever may sign may do it for a colleague who is away."""
    return put_back(case, _waiting(case), staff_id, now, may_sign=may_sign)


def put_back(
    case: Case, one: Appeal, staff_id: str, now: datetime, *, may_sign: bool
) -> list[Effect]:
    """Give back what waits for its answer."""
    if one.claimed_by is None or (one.claimed_by != staff_id and not may_sign):
        raise CaseError("not-yours", f"Claim the {one.kind} first")
    one.claimed_by, one.changed = None, True
    case.note(now, staff_id, f"{one.kind}_put_back", number=one.number)
    return []


def decide_reassign(
    case: Case, staff_id: str, receiver: Officer | None, now: datetime
) -> Iterable[Effect]:
    """The appeal is given to an officer who can take it; never to whoever made the decision that
    it is about."""
    return reassign(case, _waiting(case), staff_id, receiver, now)


def reassign(
    case: Case, one: Appeal, staff_id: str, receiver: Officer | None, now: datetime
) -> list[Effect]:
    """Give what waits for its answer, a colleague's or nobody's, to an officer. To whom it belongs
    already nothing is given."""
    to = receiver_of(case, receiver, now)
    if to in one.deciders:
        raise CaseError("same-person", "Whoever made the decision does not answer the appeal")
    if one.claimed_by != to:
        case.note(
            now, staff_id, f"{one.kind}_reassigned", number=one.number, holder=one.claimed_by,
            receiver=to,
        )  # fmt: skip
        one.claimed_by, one.changed = to, True
    return []


def check_answer(one: Appeal, staff_id: str, outcome: str, note: str) -> None:
    """Refuse an answer by somebody who may not give it, one to another question, or one without
    words."""
    if staff_id in one.deciders:
        raise CaseError("same-person", "Whoever made the decision does not answer the appeal")
    if one.claimed_by != staff_id:
        raise CaseError("not-yours", f"Claim the {one.kind} first")
    if outcome not in one.answers():
        raise CaseError("other-wish", "This is no answer to what the customer asked for")
    if not note.strip():
        raise CaseError("no-opinion", "Say in words what you found")


def close(
    case: Case,
    one: Appeal,
    staff_id: str,
    outcome: Answer | Literal["corrected", "annotated"],
    note: str,
    now: datetime,
) -> None:
    """Keep the answer; nothing else of the case changes."""
    one.outcome, one.answered_by, one.answered_at = outcome, staff_id, now
    one.changed = True
    said = note.strip()
    case.note(now, staff_id, f"{one.kind}_answered", number=one.number, outcome=outcome, note=said)


def decide_answer(
    case: Case, staff_id: str, outcome: Answer, note: str, now: datetime
) -> Iterable[Effect]:
    """Answer it: an explanation is given, or a person who took no part decides anew. `changed`
    alters nothing of the decision: the customer is invited to apply again, and need not wait."""
    appeal = _waiting(case)
    check_answer(appeal, staff_id, outcome, note)
    close(case, appeal, staff_id, outcome, note, now)
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


def actor(asked_by: str) -> str:
    """As the history names who asked: the officer who wrote it down, or the customer."""
    kind, _sep, staff_id = asked_by.partition(":")
    return staff_id if kind == "staff" else "customer"


def _waiting(case: Case) -> Appeal:
    appeal = open_appeal(case)
    if appeal is None:
        raise CaseError("nothing-appealed", "No appeal waits for its answer")
    return appeal
