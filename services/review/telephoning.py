"""What is done about a case's telephone verification: asked for, called, and what follows.

Pure, as `case`: each `decide_…` changes the case and returns what follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.review import examination
from services.review.case import Case, CaseError, note_telephone, unproposed_of
from services.review.telephone import HEARD, Heard, PhoneCall, Telephone
from shared.events import review
from shared.messaging import Effect, Fact


def decide_order(case: Case, staff_id: str, words: str, now: datetime) -> Iterable[Effect]:
    """Whoever has the case wants the applicant called, the first time or again, and says why."""
    unproposed_of(case, staff_id)
    if case.telephone is not None and not case.telephone.ended:
        raise CaseError("call-awaited", "A call is asked for already")
    if not words.strip():
        raise CaseError("no-opinion", "Say what the call shall find out")
    case.telephone = Telephone(now, staff_id)
    case.note(now, staff_id, "telephone_ordered", note=words.strip())
    note_telephone(case, now)
    fact = Fact(review.TelephoneOrdered(**case.fields(), ordered_by=f"staff:{staff_id}"))
    return [fact, *examination.score_if_ended(case, now)]


def decide_called(
    case: Case, staff_id: str, heard: Heard, words: str, now: datetime
) -> Iterable[Effect]:
    """Whoever has the case has called; what was heard is weighed with everything else."""
    unproposed_of(case, staff_id)
    asked = case.telephone
    if asked is None or asked.ended:
        raise CaseError("no-call-awaited", "Nobody asked for a call")
    if heard not in HEARD:
        raise CaseError("unknown-outcome", "Choose what came of the call")
    if heard == "not_reached" and asked.next_at is not None and now < asked.next_at:
        raise CaseError("called-just-now", "Call again at another time")
    if heard != "not_reached" and not words.strip():
        raise CaseError("no-opinion", "Write down what was heard")
    case.telephone = asked.after(PhoneCall(now, staff_id, heard, words.strip()))
    attempt = len(case.telephone.calls)
    case.note(now, staff_id, "telephone_called", call=heard, note=words.strip())
    note_telephone(case, now)
    fact = Fact(
        review.TelephoneCalled(**case.fields(), staff_id=staff_id, heard=heard, attempt=attempt)
    )
    return [fact, *examination.score_if_ended(case, now)] if case.telephone.ended else [fact]
