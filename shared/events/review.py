"""What review publishes: what it decided and asked for, and, on a topic of its own, how it got
there."""

from datetime import date
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from shared.events.intake import AppealWish, LimitChangeKind, WantedItem
from shared.events.payload import ApplicationEvent
from shared.money import Money


class DeclineCategory(StrEnum):
    """The broad reasons that may be told outside the bank; counts by category sum to the
    declines."""

    CREDIT_HISTORY = "credit_history"
    TOO_MANY_QUERIES = "too_many_queries"
    INCOME_DEBT_MISMATCH = "income_debt_mismatch"
    INCONSISTENT_INFORMATION = "inconsistent_information"
    MATERIAL_UNSOUND = "material_unsound"
    ELIGIBILITY = "eligibility"
    INTERNAL = "internal"


class LimitBasis(StrEnum):
    """What a limit that the policy alone set was bounded by, as far as it may be told outside the
    bank: the customer's own wish, what the bank grants at most with the product, the limits that
    the customer has already, or the income."""

    WISH = "wish"
    HIGHEST = "highest"
    OTHER_LIMITS = "other_limits"
    INCOME = "income"


class ChecksCompleted(ApplicationEvent):
    """Identity, credit bureau and watchlist have answered; the policy can be applied."""

    type: ClassVar[str] = "banka.application.checks-completed.v1"
    topic: ClassVar[str] = "banka.applications"


class ApplicationReferred(ApplicationEvent):
    """The policy wants a person to decide. What made it so stays with review, but for codes that
    may be told."""

    type: ClassVar[str] = "banka.application.referred.v1"
    topic: ClassVar[str] = "banka.applications"

    reason_codes: list[str]
    policy_version: str


class MaterialWanted(ApplicationEvent):
    """The reviewer needs more from the customer; the application goes back to intake."""

    type: ClassVar[str] = "banka.application.material-wanted.v1"
    topic: ClassVar[str] = "banka.applications"

    items: list[WantedItem] = Field(min_length=1)
    staff_id: str


class ApplicationHeld(ApplicationEvent):
    """The application rests while the bank looks into something; outside review the reason is only
    `internal`."""

    type: ClassVar[str] = "banka.application.held.v1"
    topic: ClassVar[str] = "banka.applications"

    reason: Literal["internal"] = "internal"


class ApplicationReleased(ApplicationEvent):
    """The application rests no longer and goes to a person."""

    type: ClassVar[str] = "banka.application.released.v1"
    topic: ClassVar[str] = "banka.applications"


class Decided(ApplicationEvent):
    """What every decision carries: enough to find the frozen evidence, nothing of the evidence
    itself."""

    decision_id: str
    reason_codes: list[str] = Field(description="codes that may be known outside review")
    policy_version: str
    policy_digest: str
    automatic: bool
    decided_by: list[str] = Field(
        description="staff ids, first decider then second signature; empty if automatic"
    )


class ApplicationApproved(Decided):
    """The bank grants the card, with this limit."""

    type: ClassVar[str] = "banka.application.approved.v1"
    topic: ClassVar[str] = "banka.applications"

    limit: Money


class ApplicationDeclined(Decided):
    """The bank does not grant the card."""

    type: ClassVar[str] = "banka.application.declined.v1"
    topic: ClassVar[str] = "banka.applications"

    category: DeclineCategory
    reapply_from: date = Field(
        description="first business day on which a new application is looked at"
    )


class WithdrawalGranted(ApplicationEvent):
    """Review let the application go, as the customer asked."""

    type: ClassVar[str] = "banka.application.withdrawal-granted.v1"
    topic: ClassVar[str] = "banka.applications"

    request_id: str


class WithdrawalRefused(ApplicationEvent):
    """The customer's wish to withdraw came after review had given the application away."""

    type: ClassVar[str] = "banka.application.withdrawal-refused.v1"
    topic: ClassVar[str] = "banka.applications"

    request_id: str
    reason: Literal["already-decided", "already-ended", "with-intake"]


class AppealOpened(ApplicationEvent):
    """A customer's question about a decline or about a limit that the policy alone set, or their
    objection, is a case of its own from now on; the decided application stays as it is. Opened
    anew for one that was asked for again."""

    type: ClassVar[str] = "banka.appeal.opened.v1"
    topic: ClassVar[str] = "banka.applications"

    appeal_id: str
    appeal_number: str = Field(description="the application's number and a running one: …-2")
    wish: AppealWish
    working_days: int = Field(ge=1, description="within which it is answered")
    about: Literal["decline", "limit"] = "decline"


class AppealAnswered(ApplicationEvent):
    """A person who took no part in the decision has answered. `explained`: why it was decided so;
    `upheld`: it stays; `changed`: the bank would decide otherwise by now, and after a decline
    invites a new application, about a limit begins to raise it or invites the customer to ask for
    that. What the customer is told of the reason is its category or basis alone."""

    type: ClassVar[str] = "banka.appeal.answered.v1"
    topic: ClassVar[str] = "banka.applications"

    appeal_id: str
    appeal_number: str
    outcome: Literal["explained", "upheld", "changed"]
    category: DeclineCategory | None = Field(
        description="of the decline; null for an imported one, and about a limit"
    )
    automatic: bool = Field(description="whether the policy alone had decided")
    reapply_from: date | None = Field(
        default=None,
        description="with `changed`: the business day from which a new application is looked at",
    )
    answered_by: str = Field(description="staff id")
    about: Literal["decline", "limit"] = "decline"
    basis: LimitBasis | None = Field(default=None, description="of the limit")
    change_number: str | None = Field(
        default=None,
        description="with `changed` about a limit: of the increase that was begun; null where the"
        " customer is invited to ask for one",
    )


class LimitChange(ApplicationEvent):
    """What every event about a change of a card's limit carries; the application stays as it is."""

    change_id: str
    change_number: str = Field(description="the application's number and a running one: …-L2")
    kind: LimitChangeKind


class LimitChangeOpened(LimitChange):
    """A change of a card's limit is a case of its own from now on: the customer asked for it, or
    the bank wants to lower it."""

    type: ClassVar[str] = "banka.limit-change.opened.v1"
    topic: ClassVar[str] = "banka.applications"

    by_bank: bool
    working_days: int = Field(ge=1, description="within which it is decided")


class LimitChangeDecided(LimitChange):
    """Review granted a change of the limit, or refused it."""

    type: ClassVar[str] = "banka.limit-change.decided.v1"
    topic: ClassVar[str] = "banka.applications"

    by_bank: bool
    outcome: Literal["granted", "refused"]
    limit: Money | None = Field(default=None, description="with `granted`: what the card has then")
    effective_on: date | None = Field(default=None, description="with `granted`: its first day")
    until: date | None = Field(default=None, description="last day of a temporary limit")
    automatic: bool = Field(description="whether the policy alone decided")
    decided_by: list[str] = Field(
        description="staff ids, first decider then second signature; of a refused increase nobody's"
    )


class LimitExpiring(LimitChange):
    """A temporary limit ends soon; the customer is told before."""

    type: ClassVar[str] = "banka.limit.expiring.v1"
    topic: ClassVar[str] = "banka.applications"

    until: date


class LimitExpired(LimitChange):
    """A temporary limit has ended and the card has its lasting one again: its term was over
    (`term`), or a lower limit took its place (`lowered`)."""

    type: ClassVar[str] = "banka.limit.expired.v1"
    topic: ClassVar[str] = "banka.applications"

    limit: Money = Field(description="what the card has from now on")
    why: Literal["term", "lowered"]


class DisputeOpened(ApplicationEvent):
    """A customer's dispute about the credit report (征信异议) is a case of its own from now on.
    While it waits no machine decides about the person. Opened anew for one that was asked for
    again."""

    type: ClassVar[str] = "banka.dispute.opened.v1"
    topic: ClassVar[str] = "banka.applications"

    dispute_id: str
    dispute_number: str = Field(description="the application's number and a running one: …-D1")
    days: int = Field(ge=1, description="of the calendar, within which it is answered")


class DisputeAnswered(ApplicationEvent):
    """The dispute has its answer. `corrected`: the report was wrong and is put right, and is asked
    for anew; `upheld`: it was right; `annotated`: that the customer disputes it stands beside the
    record."""

    type: ClassVar[str] = "banka.dispute.answered.v1"
    topic: ClassVar[str] = "banka.applications"

    dispute_id: str
    dispute_number: str
    outcome: Literal["corrected", "upheld", "annotated"]
    reapply_from: date | None = Field(
        default=None,
        description="with `corrected`, of a declined application: the business day from which a new"
        " one is looked at",
    )
    answered_by: str = Field(description="staff id")


class ReviewEvent(ApplicationEvent):
    """What every event on review's own topic carries."""

    topic: ClassVar[str] = "banka.review"


class CheckRequested(ReviewEvent):
    """One of the bank's systems is to be asked about the applicant."""

    type: ClassVar[str] = "banka.check.requested.v1"

    check: str
    attempt: int = Field(ge=1)


class CheckCompleted(ReviewEvent):
    """A check ended: it answered, or is known not to. The answer itself stays sealed in review's
    database."""

    type: ClassVar[str] = "banka.check.completed.v1"

    check: str
    outcome: Literal["answered", "unavailable"]


class TelephoneOrdered(ReviewEvent):
    """The applicant is to be called (电核) before a person decides."""

    type: ClassVar[str] = "banka.telephone.ordered.v1"

    ordered_by: str = Field(description="`staff:<id>`, or `review` where its findings ask for it")


class TelephoneCalled(ReviewEvent):
    """Somebody of the bank called the applicant. What was said stays sealed in review's
    database."""

    type: ClassVar[str] = "banka.telephone.called.v1"

    staff_id: str
    heard: Literal["confirmed", "contradicted", "not_reached", "refused", "wrong_number"]
    attempt: int = Field(ge=1)


class ReviewClaimed(ReviewEvent):
    """A reviewer took the case from the queue, or was given it."""

    type: ClassVar[str] = "banka.review.claimed.v1"

    staff_id: str


class ReviewEscalated(ReviewEvent):
    """A reviewer referred a case of theirs to the risk officers. Why stays sealed in review's
    database."""

    type: ClassVar[str] = "banka.review.escalated.v1"

    staff_id: str


class ReviewProposed(ReviewEvent):
    """A reviewer decided; a second person has yet to sign."""

    type: ClassVar[str] = "banka.review.proposed.v1"

    staff_id: str
    outcome: Literal["approve", "decline"]


class ReviewSigned(ReviewEvent):
    """A second person confirmed the decision, or sent it back."""

    type: ClassVar[str] = "banka.review.signed.v1"

    staff_id: str
    outcome: Literal["confirmed", "returned"]
