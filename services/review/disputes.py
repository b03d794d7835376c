"""Disputes about the credit report (征信异议): a customer says that what the bureau reported is
wrong. It is a case of its own beside the application, kept as an appeal is, with a clock in days of
the calendar (征信业管理条例 25). While one is open no machine decides about the person by that
report; a correction has it asked for anew.

Pure, like `appeals`: the case of the application is the lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from services.review import appeals, examination, limit_changes
from services.review import case as cases
from services.review.appeals import DISPUTE, Appeal
from services.review.case import Case, CaseError
from services.review.officers import Officer
from shared.calendar import business_day, end_of_day
from shared.events import review
from shared.events.lifecycle import State
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.parameters import load_clocks

Outcome = Literal["corrected", "upheld", "annotated"]

DISPUTE_DEADLINE = "dispute"
DISPUTE_WARNING = "dispute-warning"


def due_at(asked_at: datetime) -> datetime:
    """When a dispute has to be answered: the end of the last day (UTC)."""
    return end_of_day(business_day(asked_at) + timedelta(days=load_clocks().dispute_days))


def open_dispute(case: Case) -> Appeal | None:
    """The one of the application that waits for its answer."""
    return next((one for one in case.appeals if one.open and one.wish == DISPUTE), None)


def may_open(case: Case) -> bool:
    """Whether there is a report to dispute, and no dispute about it that waits."""
    return _reported(case) and open_dispute(case) is None


def _reported(case: Case) -> bool:
    bureau = case.checks.get("bureau")
    return bureau is not None and bureau.answer is not None


def on_requested(
    case: Case,
    dispute_id: str,
    words: str,
    asked_by: str,
    now: datetime,
    *,
    asked_at: datetime | None = None,
) -> Iterable[Effect]:
    """The customer disputes the report by a channel, `asked_at` if it was not just now: their clock
    runs from then. Where one is open already, the two are one."""
    there = open_dispute(case)
    if there is None:
        return _open(case, dispute_id, words, asked_by, now, asked_at)
    there.changed = True
    case.note(now, appeals.actor(asked_by), "dispute_asked_again", number=there.number, note=words)
    return [_opened(case, there)]


def decide_open(
    case: Case, dispute_id: str, words: str, staff_id: str, now: datetime
) -> Iterable[Effect]:
    """An officer opens one for the customer, who telephoned or came to the branch."""
    if not _reported(case):
        raise CaseError("no-report", "The bank holds no credit report of this customer")
    if open_dispute(case) is not None:
        raise CaseError("dispute-open", "A dispute of this customer waits for its answer already")
    return _open(case, dispute_id, words, f"staff:{staff_id}", now)


def _open(
    case: Case,
    dispute_id: str,
    words: str,
    asked_by: str,
    now: datetime,
    asked_at: datetime | None = None,
) -> Iterable[Effect]:
    since = appeals.since_when(case, asked_at or now)
    count = sum(one.wish == DISPUTE for one in case.appeals)
    number = f"{case.need_scope().application_number}-D{count + 1}"
    one = Appeal(dispute_id, number, DISPUTE, asked_by, since, words, due_at(since), changed=True)
    case.appeals.append(one)
    case.note(now, appeals.actor(asked_by), "dispute_opened", number=number, note=words)
    cases.mark_disputed(case)
    warned = one.due - timedelta(days=load_clocks().warning_days)
    return [
        _opened(case, one),
        Deadline(DISPUTE_WARNING, warned),
        Deadline(DISPUTE_DEADLINE, one.due),
    ]


def _opened(case: Case, one: Appeal) -> Fact:
    event = review.DisputeOpened(
        **case.fields(),
        dispute_id=one.appeal_id,
        dispute_number=one.number,
        days=load_clocks().dispute_days,
    )
    return Fact(event, state_version=case.state_version)


def decide_claim(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Take the dispute: whoever has it answers for its clock."""
    return appeals.claim(case, _waiting(case), staff_id, now)


def decide_put_back(
    case: Case, staff_id: str, now: datetime, *, may_sign: bool = False
) -> Iterable[Effect]:
    """Give the dispute back. Whoever may sign may do it for a colleague who is away."""
    return appeals.put_back(case, _waiting(case), staff_id, now, may_sign=may_sign)


def decide_reassign(
    case: Case, staff_id: str, receiver: Officer | None, now: datetime
) -> Iterable[Effect]:
    """The dispute is given to an officer who can take it."""
    return appeals.reassign(case, _waiting(case), staff_id, receiver, now)


def decide_answer(
    case: Case, staff_id: str, outcome: Outcome, note: str, now: datetime
) -> Iterable[Effect]:
    """Say what became of it. `corrected`: the report was wrong and is put right, so that it is
    asked for anew and the old one counts no more; who was declined need not wait to apply again.
    `upheld`: it was right; `annotated`: that the customer disputes it stands beside the record."""
    one = _waiting(case)
    appeals.check_answer(one, staff_id, outcome, note)
    appeals.close(case, one, staff_id, outcome, note, now)
    cases.mark_disputed(case)
    event = review.DisputeAnswered(
        **case.fields(),
        dispute_id=one.appeal_id,
        dispute_number=one.number,
        outcome=outcome,
        reapply_from=business_day(now)
        if outcome == "corrected" and case.state is State.DECLINED
        else None,
        answered_by=staff_id,
    )
    answered = Fact(event, state_version=case.state_version)
    effects: list[Effect] = [
        answered,
        ClearDeadline(DISPUTE_WARNING),
        ClearDeadline(DISPUTE_DEADLINE),
    ]
    if outcome == "corrected":
        effects += cases.give_back(case, staff_id, now)
        effects += examination.ask_anew(case, "bureau", now)
        effects += limit_changes.ask_anew(case, "bureau", now)
    return effects


def on_warning(case: Case, now: datetime) -> Iterable[Effect]:
    """The answer is due soon: it stands in the history."""
    one = open_dispute(case)
    if one is not None and one.due - timedelta(days=load_clocks().warning_days) <= now < one.due:
        case.note(now, "review", "dispute_near", number=one.number)
    return []


def on_deadline(case: Case, now: datetime) -> Iterable[Effect]:
    """The dispute should have been answered by now: it stands in the history."""
    one = open_dispute(case)
    if one is not None and one.due <= now:
        case.note(now, "review", "dispute_overdue", number=one.number)
    return []


def _waiting(case: Case) -> Appeal:
    one = open_dispute(case)
    if one is None:
        raise CaseError("nothing-disputed", "No dispute waits for its answer")
    return one
