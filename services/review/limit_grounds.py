"""What a decision about a card's limit rests on beside the policy, frozen; and what follows of it:
whether anything stands against the change, and between which bounds it may be granted.

Nothing here asks the clock, the parameters or the case: whatever counts is in the grounds, so that
a decision is weighed again to the same bytes in three years' time. No personal field is among them;
what the policy rested on is sealed beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Self

from pydantic import TypeAdapter

from services.review.limits import Step
from services.review.policy import canonical
from shared.calendar import business_day
from shared.events.intake import LimitChangeKind
from shared.money import Money
from shared.web.i18n import mark

RAISES: Final = frozenset({LimitChangeKind.INCREASE, LimitChangeKind.TEMPORARY})
SUSPICION: Final = "SUSPICION"  # told to nobody but compliance


@dataclass(frozen=True, slots=True)
class Terms:
    """The bank's bounds as they were then: days of `limit_changes.yaml`, fen of the product."""

    stale_days: int
    most_days_past_due: int
    income_days: int
    guarantee_days: int
    longest_days: int
    held_days: int
    smallest: int
    step: int


@dataclass(frozen=True, slots=True)
class Account:
    """What core banking had stated last. `most_owed`: fen, upper end of the balance's band; None:
    it has none."""

    as_of: date
    opened_on: date
    closed_on: date | None
    days_past_due: int
    most_owed: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a check stood. `holds`: whether a decision could rest on its answer at that time."""

    check: str
    outcome: str
    answered_at: datetime | None
    holds: bool


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """What the policy had said, in fen. `blocking`: its findings that bar everybody from granting;
    `own_existing`: limits of the person's other cards as it deducted them."""

    ceiling: int
    own_existing: int | None
    blocking: tuple[str, ...]
    suspicious: bool


@dataclass(frozen=True, slots=True)
class Grounds:
    """Everything that was known of a change when it was weighed; amounts in fen.

    `lasting`: what the card has for good; `own_limits`: of the person's other cards at that time,
    None: not known while another of their limits was decided;
    `income_on`: from when the income is that counts; `agreed_at`: None where the bank lowers by
    itself; `beside`: another change waits; `raised`: a temporary limit is in force; `no_own_limit`:
    the card shares another one's.
    """

    kind: LimitChangeKind
    wanted: int
    until: date | None
    at: datetime
    agreed_at: datetime | None
    income_on: date
    student: bool
    second_source: bool
    guarantee_on: date | None
    no_own_limit: bool
    beside: bool
    raised: bool
    lasting: int
    own_limits: int | None
    account: Account | None
    evidence: tuple[Evidence, ...]
    worked_out: WorkedOut | None
    terms: Terms

    @property
    def today(self) -> date:
        return business_day(self.at)

    def freeze(self) -> str:
        """Canonical JSON: equal grounds are equal bytes."""
        return canonical(_FORM.dump_python(self, mode="json"))

    @classmethod
    def thaw(cls, text: str) -> Self:
        """The grounds from their frozen form."""
        found = _FORM.validate_json(text)
        assert isinstance(found, cls)
        return found


_FORM: TypeAdapter[Grounds] = TypeAdapter(Grounds)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What follows from the grounds. `obstacles`: codes, none: it may be granted; `least`, `most`:
    bounds of the new limit, None: nobody can tell; `steps`: how they come about."""

    obstacles: tuple[str, ...]
    least: Money | None
    most: Money | None
    steps: tuple[Step, ...]

    def freeze(self) -> str:
        """Canonical JSON, to compare with what is weighed again."""
        return canonical(
            {
                "obstacles": self.obstacles,
                "least": self.least.minor if self.least is not None else None,
                "most": self.most.minor if self.most is not None else None,
                "steps": [one.as_json() for one in self.steps],
            }
        )


def weigh(grounds: Grounds) -> Weighed:
    """Whether anything stands against the change, and between which bounds it may be granted."""
    lowest, highest = least(grounds), most(grounds)
    steps: list[Step] = [Step(mark("The card's lasting limit"), Money(minor=grounds.lasting))]
    if grounds.kind in RAISES and grounds.worked_out is not None:
        ceiling = Money(minor=grounds.worked_out.ceiling)
        steps.append(Step(mark("Left by the policy's deduction"), ceiling))
        steps.append(Step(mark("The customer's wish"), Money(minor=grounds.wanted), "≤"))
    if highest is not None:
        steps.append(Step(mark("The most that may be granted"), highest, "="))
    if lowest is not None:
        steps.append(Step(mark("The least that may be granted"), lowest, "="))
    return Weighed(tuple(obstacles(grounds)), lowest, highest, tuple(steps))


def most(grounds: Grounds) -> Money | None:
    """The highest limit that may be granted: never more than the customer asked for, than the
    policy's deduction leaves, or, lowering, than below what the card has. None: not worked out."""
    if grounds.kind not in RAISES:
        return Money(minor=grounds.lasting - grounds.terms.step)
    if grounds.worked_out is None:
        return None
    return Money(minor=min(grounds.worked_out.ceiling, grounds.wanted))


def least(grounds: Grounds) -> Money | None:
    """The lowest limit that may be granted: above the present one, or, lowering, what `not_below`
    says. None: nobody can tell."""
    if grounds.kind in RAISES:
        return _lowest_raise(grounds)
    return not_below(grounds.account, grounds.today, grounds.terms)


def _lowest_raise(grounds: Grounds) -> Money:
    return Money(minor=max(grounds.lasting + grounds.terms.step, grounds.terms.smallest))


def not_below(account: Account | None, today: date, terms: Terms) -> Money | None:
    """How far the limit may be lowered: not below what is owed, as far as the balance band of core
    banking's last report tells. None: nobody can tell."""
    if account is None or account.most_owed is None or _account_obstacles(account, today, terms):
        return None
    return Money(minor=account.most_owed)


def obstacles(grounds: Grounds) -> list[str]:
    """What stands in the way of granting it, whoever wants to, as codes; empty: nothing.

    2022 joint notice: every increase is deducted, and needs a student's second source of repayment;
    2011 rules, Art. 45: its guarantee in writing, before the increase. What is missing or too old
    never passes.
    """
    account, terms, today = grounds.account, grounds.terms, grounds.today
    found = _unchangeable(grounds) + _account_obstacles(account, today, terms)
    if grounds.kind not in RAISES:
        if account is not None and account.most_owed is None and not found:
            found.append("OWED_UNKNOWN")
        return found
    if grounds.agreed_at is None or grounds.agreed_at > grounds.at:
        found.append("NOT_AGREED")
    if "ACCOUNT_UNREPORTED" not in found and account is not None:
        if account.days_past_due > terms.most_days_past_due:
            found.append("ACCOUNT_PAST_DUE")
        open_days = (today - account.opened_on).days
        if grounds.kind is LimitChangeKind.TEMPORARY and open_days < terms.held_days:
            found.append("HELD_TOO_SHORT")
    if grounds.kind is LimitChangeKind.TEMPORARY and not until_fits(grounds):
        found.append("UNTIL_PASSED")
    found += _guarantee_obstacles(grounds)
    if income_stale(grounds.income_on, today, terms):
        found.append("INCOME_STALE")
    return [*found, *_evidence_obstacles(grounds)]


def income_stale(income_on: date, today: date, terms: Terms) -> bool:
    """Whether an income that counts from that day on has to be proved anew."""
    return (today - income_on).days > terms.income_days


def _unchangeable(grounds: Grounds) -> list[str]:
    found = ["NO_OWN_LIMIT"] if grounds.no_own_limit else []
    if grounds.beside:
        found.append("ANOTHER_CHANGE")
    if grounds.raised and grounds.kind in RAISES:
        found.append("TEMPORARY_IN_FORCE")
    return found


def until_fits(grounds: Grounds) -> bool:
    """Whether a temporary limit may last until its day."""
    longest = grounds.today + timedelta(days=grounds.terms.longest_days)
    return grounds.until is not None and grounds.today < grounds.until <= longest


def _account_obstacles(account: Account | None, today: date, terms: Terms) -> list[str]:
    if account is None:
        return ["ACCOUNT_UNREPORTED"]
    if account.closed_on is not None:
        return ["ACCOUNT_CLOSED"]
    return ["ACCOUNT_UNREPORTED"] if (today - account.as_of).days > terms.stale_days else []


def _guarantee_obstacles(grounds: Grounds) -> list[str]:
    """Of a student: the second source of repayment that lies with the application, and its
    agreement in writing to this increase."""
    if not grounds.student:
        return []
    found = [] if grounds.second_source else ["NO_SECOND_SOURCE"]
    given, today = grounds.guarantee_on, grounds.today
    oldest = today - timedelta(days=grounds.terms.guarantee_days)
    if given is None or not oldest <= given <= today:
        found.append("NO_GUARANTEE")
    return found


def _evidence_obstacles(grounds: Grounds) -> list[str]:
    worked_out = grounds.worked_out
    if any(one.outcome == "pending" for one in grounds.evidence):
        return ["CHECK_PENDING"]
    if worked_out is None:
        return ["NOT_WORKED_OUT"]
    found = []
    if not all(one.holds for one in grounds.evidence if one.outcome == "answered"):
        found.append("EVIDENCE_STALE")
    deducted = worked_out.own_existing
    if deducted is None or grounds.own_limits is None or grounds.own_limits > deducted:
        found.append("OWN_LIMITS_CHANGED")
    if worked_out.suspicious:
        found.append(SUSPICION)
    found += worked_out.blocking
    too_little = worked_out.ceiling < _lowest_raise(grounds).minor
    if too_little and "BUREAU_UNAVAILABLE" not in worked_out.blocking:
        found.append("NO_ROOM")
    return found
