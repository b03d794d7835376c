"""The reviewers' queue: who may take a case, what it is marked with, how much time is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, get_args

from shared.calendar import Urgency, due_about, urgency_of
from shared.parameters import load_clocks
from shared.web import Viewer
from shared.web.i18n import mark
from shared.web.lists import Chosen

Section = Literal["open", "mine", "to_sign", "waiting", "held", "snoozed", "escalated"]
_SECTIONS: Final[Sequence[Section]] = get_args(Section)

FLAGS: dict[str, str] = {
    "NEW_TO_BANK": mark("New to bank"),
    "TAKEN_UP_AGAIN": mark("Taken up again"),
    "REPORT_DISPUTED": mark("Disputes the report"),
    "SAMPLED": mark("Picked by chance"),
    "NO_CREDIT_RECORD": mark("No credit record"),
    "SCORE_MIDDLING": mark("Middling score"),
    "OVERDUE_MINOR": mark("Arrears"),
    "QUERIES_MANY": mark("Many queries"),
    "LENDERS_MANY": mark("Many lenders"),
    "LENDERS_UNKNOWN": mark("Lenders not known"),
    "DEBT_RATIO_HIGH": mark("High debt"),
    "CARDS_MANY": mark("Many cards"),
    "INCOME_UNKNOWN": mark("No income stated"),
    "STUDENT_SECOND_SOURCE": mark("Second source"),
    "PRE_CHECK_WARNINGS": mark("Pre-check warnings"),
    "FRAUD_VELOCITY": mark("Applies often"),
    "FRAUD_MOBILE": mark("Shared mobile"),
    "FRAUD_DEVICE": mark("Shared device"),
    "FRAUD_OFFICE_PHONE": mark("Shared office phone"),
    "FRAUD_WORK_ADDRESS": mark("Shared work address"),
    "FRAUD_EMPLOYER": mark("Shared employer"),
    "FRAUD_CONTRADICTION": mark("Contradictions"),
    "FRAUD_UNAVAILABLE": mark("Fraud rules not applied"),
    "INCOME_UNPROVEN": mark("Income not proved"),
    "INCOME_IMPLAUSIBLE": mark("Income unlikely"),
    "EMPLOYER_UNUSUAL": mark("Unusual employer"),
    "EMPLOYER_LISTED": mark("Employer to be looked at"),
    "EMPLOYER_ARRANGED": mark("Arranged by the employer"),
    "PLAUSIBILITY_UNAVAILABLE": mark("No employer"),
    "TELEPHONE_MISSING": mark("Call awaited"),
    "TELEPHONE_CONTRADICTED": mark("Contradicted on the telephone"),
    "IDENTITY_UNAVAILABLE": mark("Identity not checked"),
    "MEETING_INCOMPLETE": mark("Not seen in person"),
    "BUREAU_UNAVAILABLE": mark("Bureau not asked"),
    "WATCHLIST_UNAVAILABLE": mark("Watchlist not searched"),
}
"""Reason code -> the short label by which a case is marked in the queue."""


OWN_SKILL: Final = "own"
NEW, KNOWN = "new", "known"

SortKey = Literal["due", "since", "number"]
_KEYS: Final[Sequence[SortKey]] = get_args(SortKey)


@dataclass(frozen=True, slots=True)
class QueueFilter(Chosen):
    """The filters and the order of the queue; an empty section is the first."""

    SORTS: ClassVar[Sequence[str]] = _KEYS

    product: str = ""
    branch: str = ""
    flag: str = ""
    holder: str = ""  # staff id of who has the case
    skill: str = ""  # OWN_SKILL: the products that the viewer takes
    language: str = ""
    acquaintance: str = ""  # NEW or KNOWN to the bank
    amount_from: str = ""  # whole yuan
    amount_to: str = ""

    def known_to(self, viewer: Viewer) -> QueueFilter:
        """As this viewer may ask: a case comes into the queue anew when a hold ends, so the order
        of coming there is for whoever may know of holds; so is whose a case is, which for
        one that waits for its signature might be compliance."""
        section = self.section if self.section in _SECTIONS[1:] else ""
        since = self.sort.removeprefix("-") == "since" and (
            not viewer.knows_holds or section == "waiting"  # none of these came to anybody yet
        )
        holder = self.holder if viewer.knows_holds else ""
        return replace(self, section=section, sort="" if since else self.sort, holder=holder)

    @property
    def new_to_bank(self) -> bool | None:
        """Whether the customer shall be new to the bank; None for either."""
        return {NEW: True, KNOWN: False}.get(self.acquaintance)

    @property
    def amounts(self) -> tuple[int | None, int | None]:
        """From which amount to which, in fen; what is no amount narrows nothing."""
        first, last = (
            int(text) * 100 if text.isascii() and text.isdecimal() else None
            for text in (self.amount_from, self.amount_to)
        )
        return first, last

    @property
    def shown_section(self) -> Section:
        """The section by its name."""
        return next((one for one in _SECTIONS if one == self.section), _SECTIONS[0])

    @property
    def order(self) -> tuple[SortKey, bool]:
        """The key, and whether the greatest stands first."""
        key = self.sort.removeprefix("-") or "due"
        return next(one for one in _KEYS if one == key), self.sort.startswith("-")


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that a case has left by the business clock; negative when it is late."""

    due: datetime
    left: timedelta
    urgency: Urgency


def due_at(handed_at: datetime, applicant_type: str) -> datetime:
    """When review has to be done, from the first hand-over (UTC)."""
    return due_about(handed_at, load_clocks().review_days(applicant_type))


def clock_of(due: datetime, now: datetime) -> Clock:
    """How the case's clock stands now."""
    return Clock(due, due - now, urgency_of(due, now))


def flags_of(codes: Iterable[str]) -> list[str]:
    """The labels of a case, in the table's order; reasons without a label are left out, because
    what compliance looks into marks nothing."""
    present = set(codes)
    return [label for code, label in FLAGS.items() if code in present]
