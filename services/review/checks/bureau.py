"""Credit bureau (征信): score, overdue months, queries, cards and debts of the applicant, and how
many lend to them (多头借贷).

Ground: 征信业管理条例 18, 19, written consent with agreed purpose before any query; a query is
recorded at the bureau and weighs on the customer, so it is never made twice within its validity.
Absence: no limit can be worked out, so nobody is approved. How many lend to the applicant comes
with the same answer, under the same consent: a second source would be a second disclosure. From how
many on a person looks, or nobody is approved, says the policy, and that an answer without it is
never decided by the policy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.review.checks.kind import AskedOf, CheckKind
from services.review.checks.subject import subject
from services.review.policy import BureauRecord
from shared.privacy.sealing import DataClass
from shared.web.i18n import mark

_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Fen = Annotated[int, Field(ge=0, le=10**14)]


class BureauReport(BaseModel):
    """What the bureau answers; amounts in fen."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    score: Annotated[int, Field(ge=0, le=1000)] | None
    overdue_24m: _Count
    max_overdue_days_24m: _Count
    queries_3m: _Count
    open_cards: _Count
    other_bank_limits: _Fen
    monthly_debt: _Fen
    adverse: bool
    lenders_6m: _Count | None = None  # what a bureau does not tell is not known

    @property
    def as_record(self) -> BureauRecord:
        return BureauRecord(**self.model_dump())


def question(person: Mapping[str, str], call: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked, with the consent that allows it."""
    return {
        **subject(person),
        "consent_signed_at": call["consent_signed_at"],
        "purpose": call["purpose"],
    }


CHECK = CheckKind(
    name="bureau",
    title=mark("Credit bureau"),
    basis="征信业管理条例 18, 19",
    absence="BUREAU_UNAVAILABLE",
    system=AskedOf(
        needs=("name", "id_number"),
        sealed_as=DataClass.FINANCIAL,
        resource="reports",
        report=BureauReport,
        question=question,
        with_consent=True,
    ),
)
