"""Appeals: a customer who was declined, or whose limit the policy alone set, asks why, or that a
person who took no part decides anew (人工复核, 个人信息保护法 24). Each is a case of its own with
its own clock; the decided application stays as it was, with its state, its decision and its events.

Pure, like `case`: the case of the application is the lock, and carries its appeals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from services.review import limit_changes
from services.review.case import Case, CaseError, receiver_of
from services.review.officers import Officer
from shared.calendar import business_day, due_about
from shared.events import review
from shared.events.intake import AppealWish, LimitChangeKind
from shared.events.lifecycle import GRANTED, State
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_clocks

Answer = Literal["explained", "upheld", "changed"]
About = Literal["decline", "limit"]

APPEAL_DEADLINE = "appeal"
_TOOK_PART = "Whoever took part in it before does not answer the appeal"
DISPUTE: Final = "report-dispute"  # of the credit report: see `disputes`


@dataclass(slots=True)
class Appeal:
    """One appeal, or a dispute about the credit report. `asked_by`: as events have it; `words`: the
    customer's, sealed. `deciders`: staff ids of those who took part in the decision, signed or not,
    or answered an earlier appeal; none of a dispute; known once it is written. `automatic`: the
    policy alone decided. `changed`: to be written."""

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


def about(state: State | None) -> About:
    """What an appeal beside an application in this state is about: nothing that was granted becomes
    a decline, nor the other way round."""
    return "decline" if state is State.DECLINED else "limit"


def not_appealable(case: Case) -> CaseError | None:
    """Why nobody may appeal against what the bank has decided; None: the customer may. In an
    approval by people a machine alone decided nothing, and a limit that was changed since is the
    policy's no more: who wants a higher one asks for it."""
    if case.state is State.DECLINED:
        return None
    if case.state not in GRANTED:
        return CaseError(
            "not-declined", "Only a decline, or a limit that the policy alone set, is appealed"
        )
    if not case.by_policy:
        return CaseError("not-automatic", "The policy alone did not set this limit")
    if limit_changes.changed_since(case):
        return CaseError("limit-changed", "This limit was changed since the policy alone set it")
    return None


def on_requested(
    case: Case,
    appeal_id: str,
    wish: AppealWish,
    words: str,
    asked_by: str,
    now: datetime,
    *,
    asked_at: datetime | None = None,
) -> Iterable[Effect]:
    """The customer asks by a channel, `asked_at` if it was not just now: their clock runs from
    then. Where an officer opened one for them in the same moment, the two are one; a review by a
    person is the greater wish."""
    refused = not_appealable(case)
    # they asked before intake had heard of the change: somebody answers
    if refused is not None and refused.code != "limit-changed":
        raise Permanent(f"an appeal against an application that is {case.state}: {refused.words}")
    there = open_appeal(case)
    if there is None:
        return _open(case, appeal_id, wish, words, asked_by, now, asked_at)
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
    refused = not_appealable(case)
    if refused is not None:
        raise refused
    if open_appeal(case) is not None:
        raise CaseError("appeal-open", "An appeal of this customer waits for its answer already")
    return _open(case, appeal_id, wish, words, f"staff:{staff_id}", now)


def since_when(case: Case, asked_at: datetime) -> datetime:
    """From when the clock of what is opened runs: never from before an earlier one."""
    return max([asked_at, *(one.asked_at for one in case.appeals)])


def _open(
    case: Case,
    appeal_id: str,
    wish: AppealWish,
    words: str,
    asked_by: str,
    now: datetime,
    asked_at: datetime | None = None,
) -> Iterable[Effect]:
    since = since_when(case, asked_at or now)
    count = sum(one.wish != DISPUTE for one in case.appeals)
    number = f"{case.need_scope().application_number}-{count + 1}"
    appeal = Appeal(appeal_id, number, wish, asked_by, since, words, due_at(since), changed=True)
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
        about=about(case.state),
    )
    return Fact(event, state_version=case.state_version)


def decide_claim(case: Case, staff_id: str, now: datetime) -> Iterable[Effect]:
    """Take the appeal; never whoever took part before."""
    return claim(case, _waiting(case), staff_id, now)


def claim(case: Case, one: Appeal, staff_id: str, now: datetime) -> list[Effect]:
    """Take what waits for its answer; never whoever took part before."""
    if staff_id in one.deciders:
        raise CaseError("same-person", "Whoever took part in it before does not answer the appeal")
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
    """The appeal is given to an officer who can take it; never to whoever took part in what it is
    about."""
    return reassign(case, _waiting(case), staff_id, receiver, now)


def reassign(
    case: Case, one: Appeal, staff_id: str, receiver: Officer | None, now: datetime
) -> list[Effect]:
    """Give what waits for its answer, a colleague's or nobody's, to an officer. To whom it belongs
    already nothing is given."""
    to = receiver_of(case, receiver, now)
    if to in one.deciders:
        raise CaseError("same-person", "Whoever took part in it before does not answer the appeal")
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
        raise CaseError("same-person", "Whoever took part in it before does not answer the appeal")
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
    case.note(
        now, staff_id, f"{one.kind}_answered", number=one.number, outcome=outcome,
        note=note.strip(), about=about(case.state) if one.kind == "appeal" else None,
    )  # fmt: skip


def decide_answer(
    case: Case,
    staff_id: str,
    outcome: Answer,
    note: str,
    now: datetime,
    *,
    change_id: str = "",
    basis: review.LimitBasis | None = None,
) -> Iterable[Effect]:
    """Answer it: an explanation is given, or a person who took no part decides anew. `changed`
    alters nothing of the decision: after a decline the customer is invited to apply again, and need
    not wait; about a limit an increase to what they had wished for is begun (`change_id`: its id
    then), or they are invited to ask for one. `basis`: of the limit."""
    appeal = _waiting(case)
    check_answer(appeal, staff_id, outcome, note)
    declined = about(case.state) == "decline"
    raising: list[Effect] = []
    if outcome == "changed" and not declined:
        raising = _raise_limit(case, appeal, change_id, now)
    close(case, appeal, staff_id, outcome, note, now)
    begun = limit_changes.open_change(case) if raising else None
    event = review.AppealAnswered(
        **case.fields(),
        appeal_id=appeal.appeal_id,
        appeal_number=appeal.number,
        outcome=outcome,
        category=review.DeclineCategory(case.category) if declined and case.category else None,
        automatic=appeal.automatic,
        reapply_from=business_day(now) if outcome == "changed" and declined else None,
        answered_by=staff_id,
        about=about(case.state),
        basis=basis,
        change_number=begun.number if begun else None,
    )
    answered = Fact(event, state_version=case.state_version)
    return [answered, ClearDeadline(APPEAL_DEADLINE), *raising]


def _raise_limit(case: Case, appeal: Appeal, change_id: str, now: datetime) -> list[Effect]:
    """Begin to raise the limit to what the customer had wished for in the application: that is what
    they asked to have decided anew, and so what they have agreed to; to a query of the bureau they
    have not. Empty where they are invited to ask for it themselves. Raises CaseError where there is
    no card to raise the limit of."""
    if case.state not in GRANTED:
        raise CaseError("no-card", "The application has ended: there is no limit to be raised")
    wished = case.need_hand_over().requested_limit or Money.zero()
    asked = limit_changes.Asked(
        LimitChangeKind.INCREASE, wished, agreed_at=appeal.asked_at, words=appeal.words
    )
    return limit_changes.begin_increase(case, change_id, asked, appeal.asked_by, now) or []


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
