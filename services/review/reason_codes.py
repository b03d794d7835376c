"""Why the policy or a person decided as they did: one catalogue, inside words and outside words.

An internal code never leaves review's database unless it says so here. What concerns suspicion has
no public code at all: outside review it is `INTERNAL` and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from shared.events.review import DeclineCategory
from shared.web.i18n import mark

INTERNAL = "INTERNAL"  # the only thing told outside about what compliance looks into


class Effect(StrEnum):
    """What a finding of the policy leads to; the strongest of all findings decides."""

    REFER = "refer"
    DECLINE = "decline"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """One reason. `public` is the code that may be told outside review, None for none.

    `category` is set where the reason may end in a decline; `rank` orders several of them, the
    lowest is the primary one. `words` explain it to a reviewer (a message id).
    """

    code: str
    effect: Effect
    words: str
    public: str | None
    category: DeclineCategory | None = None
    rank: int = 100


_C = DeclineCategory
_D, _R, _H = Effect.DECLINE, Effect.REFER, Effect.HOLD

_CODES = (
    ReasonCode(
        "WATCHLIST_HIT",
        _H,
        mark("The name or ID number resembles an entry of a watchlist"),
        None,
        _C.INTERNAL,
        1,
    ),
    ReasonCode(
        "FRAUD_SUSPECTED",
        _H,
        mark("What the fraud rules noticed together is looked into by compliance"),
        None,
        _C.INTERNAL,
        3,
    ),
    ReasonCode(
        "INTERNAL_RISK",
        _D,
        mark("The bank's own risk knowledge speaks against the application"),
        INTERNAL,
        _C.INTERNAL,
        2,
    ),
    ReasonCode(
        "ID_MISMATCH",
        _D,
        mark("The identity registry does not know this name with this ID number"),
        "IDENTITY_NOT_CONFIRMED",
        _C.INCONSISTENT_INFORMATION,
        10,
    ),
    ReasonCode(
        "ID_CANCELLED",
        _D,
        mark("The identity registry reports the ID number as cancelled"),
        "IDENTITY_NOT_CONFIRMED",
        _C.INCONSISTENT_INFORMATION,
        11,
    ),
    ReasonCode(
        "MATERIAL_UNSOUND",
        _D,
        mark("The material is contradictory or does not hold"),
        "MATERIAL_UNSOUND",
        _C.MATERIAL_UNSOUND,
        15,
    ),
    ReasonCode(
        "MATERIAL_MISSING",
        _D,
        mark("Material that is needed was not supplied"),
        "MATERIAL_MISSING",
        _C.MATERIAL_UNSOUND,
        90,
    ),
    ReasonCode(
        "AGE_OUTSIDE",
        _D,
        mark("The applicant's age lies outside what the product allows"),
        "AGE_OUTSIDE",
        _C.ELIGIBILITY,
        20,
    ),
    ReasonCode(
        "CARDS_AT_CAP",
        _D,
        mark("The bureau counts more open cards than the policy allows"),
        "CARDS_AT_CAP",
        _C.ELIGIBILITY,
        21,
    ),
    ReasonCode(
        "OWN_CARDS_AT_CAP",
        _D,
        mark("Has as many cards of the bank as one customer may"),
        "CARDS_AT_CAP",
        _C.ELIGIBILITY,
        22,
    ),
    ReasonCode(
        "BUREAU_ADVERSE",
        _D,
        mark("The bureau reports an adverse record, such as a bad debt or an enforcement"),
        "CREDIT_HISTORY",
        _C.CREDIT_HISTORY,
        30,
    ),
    ReasonCode(
        "OVERDUE_SERIOUS",
        _D,
        mark("Six or more overdue months, or 90 or more days overdue, within 24 months"),
        "CREDIT_HISTORY",
        _C.CREDIT_HISTORY,
        31,
    ),
    ReasonCode(
        "SCORE_TOO_LOW",
        _D,
        mark("The bureau's score lies below the lowest that the policy accepts"),
        "CREDIT_HISTORY",
        _C.CREDIT_HISTORY,
        32,
    ),
    ReasonCode(
        "SCORECARD_LOW_RECORD",
        _D,
        mark("Too few points of the score card; the credit record cost most of them"),
        "CREDIT_HISTORY",
        _C.CREDIT_HISTORY,
        60,
    ),
    ReasonCode(
        "SCORECARD_LOW_MEANS",
        _D,
        mark("Too few points of the score card; income and debt cost most of them"),
        "INCOME_DEBT_MISMATCH",
        _C.INCOME_DEBT_MISMATCH,
        61,
    ),
    ReasonCode(
        "QUERIES_EXCESSIVE",
        _D,
        mark("More than ten lenders asked the bureau within three months"),
        "TOO_MANY_QUERIES",
        _C.TOO_MANY_QUERIES,
        40,
    ),
    ReasonCode(
        "LENDERS_EXCESSIVE",
        _D,
        mark("More than eight institutions lent to the applicant within six months"),
        "TOO_MANY_QUERIES",
        _C.TOO_MANY_QUERIES,
        41,
    ),
    ReasonCode(
        "DEBT_RATIO_EXCESSIVE",
        _D,
        mark("Monthly debt takes more than 70 % of the income"),
        "INCOME_DEBT_MISMATCH",
        _C.INCOME_DEBT_MISMATCH,
        50,
    ),
    ReasonCode(
        "NO_LIMIT_LEFT",
        _D,
        mark("After other banks' limits too little is left for the product's smallest limit"),
        "INCOME_DEBT_MISMATCH",
        _C.INCOME_DEBT_MISMATCH,
        51,
    ),
    ReasonCode(
        "NEW_TO_BANK",
        _R,
        mark("New to the bank: a person decides, never the policy alone"),
        "NEW_TO_BANK",
    ),
    ReasonCode(
        "TAKEN_UP_AGAIN",
        _R,
        mark("Takes up an earlier application again: a person looks at the new material"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "REPORT_DISPUTED",
        _R,
        mark("Disputes the credit report: until there is an answer a person decides"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "SAMPLED",
        _R,
        mark("Picked by chance: a person looks at what the policy would have decided alone"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "NO_CREDIT_RECORD",
        _R,
        mark("The bureau has no record of the applicant"),
        "NO_CREDIT_RECORD",
    ),
    ReasonCode(
        "SCORE_MIDDLING", _R, mark("The bureau's score is middling: look closer"), "CLOSER_LOOK"
    ),
    ReasonCode(
        "SCORECARD_MIDDLING",
        _R,
        mark("The points of the score card are middling: look closer"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "OVERDUE_MINOR",
        _R,
        mark("One to five overdue months within 24 months"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "QUERIES_MANY",
        _R,
        mark("Seven to ten lenders asked the bureau within three months"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "LENDERS_MANY",
        _R,
        mark("Five to eight institutions lent to the applicant within six months"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "LENDERS_UNKNOWN",
        _R,
        mark("The bureau does not say how many institutions lend; missing data never passes"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "DEBT_RATIO_HIGH",
        _R,
        mark("Monthly debt takes more than half of the income"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "CARDS_MANY",
        _R,
        mark("The bureau counts many open cards"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "INCOME_UNKNOWN",
        _R,
        mark("No income is stated, so debt cannot be weighed against it"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "STUDENT_SECOND_SOURCE",
        _R,
        mark("Student: the second source of repayment has to be confirmed by a person"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "PRE_CHECK_WARNINGS",
        _R,
        mark("The pre-check left warnings that a person has to weigh"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "DORMANCY_OVER_BOUND",
        _R,
        mark("Too many of the bank's cards lie dormant; nothing is issued until there are fewer"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "DORMANCY_UNREPORTED",
        _R,
        mark("Without a report of how many cards lie dormant the bank issues nothing"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "FRAUD_VELOCITY",
        _R,
        mark("The same person applied several times within a short time"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "FRAUD_MOBILE", _R, mark("Several persons applied with this mobile number"), "CLOSER_LOOK"
    ),
    ReasonCode("FRAUD_DEVICE", _R, mark("Several persons applied on one device"), "CLOSER_LOOK"),
    ReasonCode(
        "FRAUD_OFFICE_PHONE",
        _R,
        mark("Many persons applied with this office phone"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "FRAUD_WORK_ADDRESS",
        _R,
        mark("Many persons applied with this work address"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "FRAUD_EMPLOYER",
        _R,
        mark("Very many persons applied with this employer"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "FRAUD_CONTRADICTION",
        _R,
        mark("Form and papers contradict each other in several respects"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "FRAUD_UNAVAILABLE",
        _R,
        mark("The fraud rules had no mobile number to look at; missing data never passes"),
        "CHECK_UNAVAILABLE",
    ),
    ReasonCode(
        "INCOME_UNPROVEN",
        _R,
        mark("A high income is stated and no payroll, tax or social insurance paper shows it"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "INCOME_IMPLAUSIBLE",
        _R,
        mark("The stated income lies above what the occupation pays in the region"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "EMPLOYER_UNUSUAL",
        _R,
        mark("The employer's name is not like that of an organisation"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "EMPLOYER_LISTED",
        _R,
        mark("The employer is one that the bank wants to be looked at"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "EMPLOYER_ARRANGED",
        _R,
        mark("An employer arranges the card, which is looked at more closely"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "PLAUSIBILITY_UNAVAILABLE",
        _R,
        mark("Salaried, and no employer is named; missing data never passes"),
        "CHECK_UNAVAILABLE",
    ),
    ReasonCode(
        "TELEPHONE_MISSING",
        _R,
        mark("A call is asked for and nobody has confirmed; missing data never passes"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "TELEPHONE_CONTRADICTED",
        _R,
        mark("What was said on the telephone contradicts the application"),
        "CLOSER_LOOK",
    ),
    ReasonCode(
        "IDENTITY_UNAVAILABLE",
        _R,
        mark("The identity registry could not be asked; missing data never passes"),
        "CHECK_UNAVAILABLE",
    ),
    ReasonCode(
        "MEETING_INCOMPLETE",
        _R,
        mark("Nobody recorded to have seen the customer, the original and the signing"),
        "CHECK_UNAVAILABLE",
    ),
    ReasonCode(
        "BUREAU_UNAVAILABLE",
        _R,
        mark("The credit bureau could not be asked; missing data never passes"),
        "CHECK_UNAVAILABLE",
    ),
    ReasonCode(
        "WATCHLIST_UNAVAILABLE",
        _R,
        mark("The watchlists could not be searched; missing data never passes"),
        None,
    ),
)

REASONS: dict[str, ReasonCode] = {reason.code: reason for reason in _CODES}
"""Every reason by its internal code."""

BESIDE = frozenset(
    {
        *("TAKEN_UP_AGAIN", "REPORT_DISPUTED", "SAMPLED"),
        *("DORMANCY_OVER_BOUND", "DORMANCY_UNREPORTED"),
    }
)
"""What review itself adds to the findings of a policy, whose advice does not know of it."""

DECLINE_REASONS: tuple[ReasonCode, ...] = tuple(
    reason for reason in _CODES if reason.effect is Effect.DECLINE
)
"""What a reviewer may give as the reason of a decline."""

WAIVES_COOL_DOWN = frozenset({"MATERIAL_MISSING"})
"""Reasons that alone let the customer apply again at once (domain: cool-down, waived where the only
reason was missing material)."""


def without_suspicion(codes: Iterable[str]) -> tuple[str, ...]:
    """What of these findings whoever is not of compliance may know (反洗钱法 35). A code that there
    is not, as only somebody who changes a decision in the database writes, is left out."""
    return tuple(
        code for code in codes if code in REASONS and REASONS[code].effect is not Effect.HOLD
    )


def advice_on(codes: Iterable[str]) -> Literal["approve", "decline", "examine"]:
    """What a policy advises that found no more than this: as it is said to whoever may not know
    that there is something more."""
    found = set(codes)
    if any(REASONS[code].effect is Effect.DECLINE for code in found):
        return "decline"
    return "examine" if found - {"NEW_TO_BANK", *BESIDE} else "approve"


def decides_alone(codes: Iterable[str]) -> bool:
    """Whether a policy that found no more than this approves or declines of itself."""
    found = set(codes)
    return not found or any(REASONS[code].effect is Effect.DECLINE for code in found)


def primary(codes: Iterable[str]) -> ReasonCode:
    """The reason by which a decline is counted: the lowest rank among those that may decline.

    Raises ValueError if none of them may.
    """
    candidates = [REASONS[code] for code in codes if REASONS[code].category is not None]
    if not candidates:
        raise ValueError("a decline needs a reason that may decline")
    return min(candidates, key=lambda reason: (reason.rank, reason.code))


def category_of(reason: ReasonCode) -> DeclineCategory:
    """The broad category that may be told. Raises ValueError for a reason that cannot decline."""
    if reason.category is None:
        raise ValueError(f"{reason.code} cannot decline")
    return reason.category


def public_codes(codes: Sequence[str]) -> list[str]:
    """What of these reasons may be known outside review: sorted, without repetition.

    Where an internal matter is among the reasons, it alone decides what is said: other codes beside
    `INTERNAL` would tell that there is something more.
    """
    reasons = [REASONS[code] for code in codes]
    if any(reason.category is DeclineCategory.INTERNAL for reason in reasons):
        return [INTERNAL]
    return sorted({reason.public for reason in reasons if reason.public is not None})
