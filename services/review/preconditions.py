"""The preconditions of an approval as a list with the state of each, for whoever decides or signs.

Pure. Each is a group of the codes by which `case.approval_obstacles` refuses; a test holds that no
code is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.review import case as cases
from services.review.accounts import OVER_BOUND, UNREPORTED
from services.review.case import BLOCKS_APPROVAL, REASONS_AGAINST, Case
from shared.events.payload import ApplicantType
from shared.web.i18n import mark

OPINION: Final = mark("The reviewer's opinion in words, under their own name")

_BEFORE_THE_POLICY: Final[Mapping[str, frozenset[str]]] = {
    mark("Every document that the product requires"): frozenset(
        {"NO_DOCUMENTS", "DOCUMENT_MISSING"}
    ),
    mark("Every field that the product's form requires"): frozenset({"FIELD_MISSING"}),
    mark("The signed consent to the credit query"): frozenset({"NO_CONSENT"}),
    mark("The guarantee of the second source of repayment"): frozenset({"NO_SECOND_SOURCE"}),
    mark("The policy's verdict, with what it rests on"): frozenset({"NOT_SCORED", "NOT_APPLIED"}),
}
_AFTER_IT: Final[Mapping[str, frozenset[str]]] = {
    mark("No check on its way"): frozenset({"CHECK_PENDING"}),
    mark("Every answer within its validity"): frozenset({"EVIDENCE_STALE"}),
    mark("Every own card and limit deducted as it is now"): frozenset({"OWN_LIMITS_CHANGED"}),
    mark("Nothing found that rules an approval out"): BLOCKS_APPROVAL,
    mark("A limit left after the deductions"): frozenset({"NO_LIMIT_LEFT", "INCOME_UNKNOWN"}),
    mark("The bank issues cards"): frozenset({OVER_BOUND, UNREPORTED}),
}
LISTED: Final[Mapping[str, frozenset[str]]] = {**_BEFORE_THE_POLICY, **_AFTER_IT}
"""Words (message id) -> obstacles that say that it is not met."""


@dataclass(frozen=True, slots=True)
class Precondition:
    """One of them. met: None while it cannot be told. obstacles: codes of why it is not met, and
    `items`, `fields`, `checks`: what is missing or too old, each of `items` by what would do."""

    words: str
    met: bool | None
    obstacles: tuple[str, ...] = ()
    items: tuple[tuple[str, ...], ...] = ()
    fields: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    @property
    def against(self) -> tuple[str, ...]:
        """Why it is not met, in words (message ids)."""
        return tuple(REASONS_AGAINST[code] for code in self.obstacles)


def preconditions(case: Case, now: datetime, *, hidden: bool = False) -> list[Precondition]:
    """All that concern the case. The opinion is met once a proposal to approve stands; hidden: what
    is proposed is kept from the reader, who has to give an opinion of their own."""
    obstacles = cases.approval_obstacles(case, now)
    student = case.need_scope().applicant_type == ApplicantType.STUDENT
    found = []
    for words, codes in LISTED.items():
        if codes == {"NO_SECOND_SOURCE"} and not student:
            continue
        against = tuple(code for code in obstacles if code in codes)
        met: bool | None = not against
        if words in _AFTER_IT and case.recommendation is None:
            met = None
        found.append(
            Precondition(
                words,
                met,
                against,
                items=tuple(cases.missing_items(case)) if "DOCUMENT_MISSING" in codes else (),
                fields=_names_of_fields(case) if "FIELD_MISSING" in codes else (),
                checks=tuple(one.name for one in cases.lapsed(case, now))
                if "EVIDENCE_STALE" in codes
                else (),
            )
        )
    proposed = not hidden and case.proposal is not None and case.proposal.outcome == "approve"
    return [*found, Precondition(OPINION, True if proposed else None)]


def _names_of_fields(case: Case) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _role, name in cases.missing_fields(case)))
