"""Telephone verification of a case: who asked for it, which calls were made, what came of them.

Pure. A call that reaches nobody is made again at another time, so many times; what was heard enters
the decision as a check and is frozen with its inputs. What the officer writes down is sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, get_args

from shared.calendar import add_working_hours
from shared.parameters import load_telephone
from shared.parameters.models import Question, Telephoning

Heard = Literal["confirmed", "contradicted", "not_reached", "refused", "wrong_number"]
HEARD: Final[tuple[Heard, ...]] = get_args(Heard)

AWAITED: Final = "call-awaited"  # why there is no answer: nobody has called, or reached anybody
WITHOUT_ANSWER: Final[dict[Heard, str]] = {
    "not_reached": "not-reached",
    "refused": "refused-to-answer",
    "wrong_number": "wrong-number",
}


@dataclass(frozen=True, slots=True)
class PhoneCall:
    """One call. `note`: what the officer wrote down, sealed."""

    at: datetime
    staff_id: str
    heard: Heard
    note: str


@dataclass(frozen=True, slots=True)
class Telephone:
    """What was asked for, and what came of it. `reasons`: findings that asked for it, none where an
    officer did; `next_at`: not to be called before, after nobody was reached; `ended`: no call is
    awaited any more."""

    ordered_at: datetime
    ordered_by: str
    reasons: tuple[str, ...] = ()
    calls: tuple[PhoneCall, ...] = ()
    next_at: datetime | None = None
    ended: bool = False

    @property
    def last(self) -> PhoneCall | None:
        return self.calls[-1] if self.calls else None

    @property
    def why(self) -> str | None:
        """Why there is no answer; None where somebody confirmed or contradicted."""
        if not self.ended or self.last is None:
            return AWAITED
        return WITHOUT_ANSWER.get(self.last.heard)

    def after(self, call: PhoneCall) -> Telephone:
        """With one call more. Who was not reached is called again after some hours of the office,
        as often as the parameters say; everything else ends it."""
        terms, calls = load_telephone(), (*self.calls, call)
        again = call.heard == "not_reached" and len(calls) < terms.tries
        next_at = (
            add_working_hours(call.at, terms.again_hours, terms.opens, terms.closes)
            if again
            else None
        )
        return replace(self, calls=calls, next_at=next_at, ended=not again)


def asked_for(findings: Iterable[str]) -> tuple[str, ...]:
    """Those of the findings that ask for a call."""
    wanted = load_telephone().asked_for
    return tuple(code for code in findings if code in wanted)


def script_of(terms: Telephoning, product: str, findings: Sequence[str]) -> list[Question]:
    """What is asked, in its order: what everybody is, and what product or finding asks for."""
    return [
        one
        for one in terms.questions
        if (not one.products or product in one.products)
        and (not one.findings or set(one.findings) & set(findings))
    ]
