"""The credit policy: inputs in, verdict out, the same bytes for ever.

The rules are decision tables (JDM) in `policies/`, changed without a programmer. A verdict needs
nothing but the policy's text and the inputs, product terms included: both are kept with every
decision, so that it can be computed again years later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import zen

from services.review.limits import LimitTerms, LimitWorking, work_out
from shared.money import Money, Rounding

FOLDER = Path(__file__).with_name("policies")
_FILES = ("card-policy.json", "limit-strategy.json")
_BASIS_POINTS = 10_000
CAP_ROUNDING = Rounding.DOWN  # a share of the product's largest limit, to the fen

Outcome = Literal["approve", "decline", "refer", "hold"]
Advice = Literal["approve", "decline", "examine"]
IdentityAnswer = Literal["match", "mismatch", "cancelled", "unavailable"]
WatchlistAnswer = Literal["clear", "hit", "unavailable"]


@dataclass(frozen=True, slots=True)
class BureauRecord:
    """What the credit bureau knows. Amounts in fen; `score` None: no credit record."""

    score: int | None
    overdue_24m: int
    max_overdue_days_24m: int
    queries_3m: int
    open_cards: int
    other_bank_limits: int
    monthly_debt: int
    adverse: bool


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """The product's bounds as they were when the application was decided."""

    limit: LimitTerms
    income_multiple: str  # decimal
    youngest: int
    oldest: int


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """Everything that a verdict rests on. `bureau` None: not asked or no answer. Amounts in fen.

    `stated_limits`: other banks' limits as the form states them; the larger of form and bureau
    counts.
    """

    applicant_type: str
    product: str
    product_version: str
    new_to_bank: bool
    age: int
    monthly_income: int | None
    stated_limits: int
    requested_limit: int | None
    own_existing: int
    warnings: int
    identity: IdentityAnswer
    watchlist: WatchlistAnswer
    bureau: BureauRecord | None
    terms: ProductTerms

    def freeze(self) -> str:
        """Canonical JSON: equal inputs are equal bytes."""
        frozen = asdict(self)
        frozen["terms"]["limit"] = self.terms.limit.as_json()
        return json.dumps(frozen, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def thaw(cls, text: str) -> Self:
        """The inputs from their frozen form."""
        frozen: dict[str, Any] = json.loads(text)
        bureau, terms = frozen.pop("bureau"), frozen.pop("terms")
        limit = LimitTerms.from_json(terms.pop("limit"))
        return cls(
            **frozen,
            bureau=BureauRecord(**bureau) if bureau is not None else None,
            terms=ProductTerms(limit=limit, **terms),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says. `findings` are the codes of every rule that fired, in the table's
    order; `advice` is for the person who decides in the end; `working` None: no limit can be worked
    out because the bureau did not answer."""

    outcome: Outcome
    advice: Advice
    findings: tuple[str, ...]
    working: LimitWorking | None

    def freeze(self) -> str:
        """Canonical JSON, to compare a verdict with the one computed again."""
        return json.dumps(
            {
                "outcome": self.outcome,
                "advice": self.advice,
                "findings": list(self.findings),
                "working": self.working.as_json() if self.working else None,
            },
            sort_keys=True,
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @property
    def limit(self) -> Money:
        """The limit that the policy recommends; zero where it recommends none."""
        if self.working is None or self.advice == "decline":
            return Money.zero()
        return self.working.recommended

    @property
    def ceiling(self) -> Money:
        """The most that anybody may grant; zero without the bureau's answer, because what other
        banks have granted is then not known."""
        return self.working.ceiling if self.working else Money.zero()


class Policy:
    """One version of the rules. `source` is its whole text, from which it can be built again."""

    def __init__(self, source: str) -> None:
        """Raises ValueError for a text that is not a policy."""
        try:
            texts: dict[str, Any] = json.loads(source)
            rules, strategy = (texts[name] for name in _FILES)
            self.version = str(rules["version"])
        except (ValueError, KeyError, TypeError):
            raise ValueError("not a policy: needs " + " and ".join(_FILES)) from None
        self.source = source
        self.digest = hashlib.sha256(source.encode()).hexdigest()
        engine = zen.ZenEngine()
        self._rules = engine.create_decision(json.dumps(rules))
        self._strategy = engine.create_decision(json.dumps(strategy))

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Self:
        """The policy in a folder; white space in the files does not change its digest."""
        texts = {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in _FILES}
        return cls(json.dumps(texts, sort_keys=True, ensure_ascii=False, separators=(",", ":")))

    def evaluate(self, inputs: PolicyInputs) -> Verdict:
        """The verdict on these inputs. Pure: no clock, no database, no chance."""
        facts = _facts(inputs)
        working = self._work_out(inputs, facts)
        facts["limit"] = {
            "known": working is not None,
            "ceiling": working.ceiling.minor if working else 0,
        }
        result = self._rules.evaluate(facts)["result"]
        return Verdict(
            outcome=result["outcome"],
            advice=result["advice"],
            findings=tuple(result["codes"]),
            working=working,
        )

    def _work_out(self, inputs: PolicyInputs, facts: Mapping[str, Any]) -> LimitWorking | None:
        if inputs.bureau is None:
            return None
        shares = self._strategy.evaluate(dict(facts))["result"]
        income = inputs.monthly_income
        other = max(inputs.bureau.other_bank_limits, inputs.stated_limits)
        return work_out(
            inputs.terms.limit,
            monthly_income=Money(minor=income) if income is not None else None,
            income_multiple=Decimal(inputs.terms.income_multiple) * Decimal(shares["income_share"]),
            cap_without_income=inputs.terms.limit.largest.times(shares["cap_share"], CAP_ROUNDING),
            other_bank_limits=Money(minor=other),
            own_existing=Money(minor=inputs.own_existing),
            requested=Money(minor=inputs.requested_limit)
            if inputs.requested_limit is not None
            else None,
        )


@cache
def current_policy() -> Policy:
    """The policy of this release."""
    return Policy.read()


def debt_ratio_bp(monthly_debt: int, monthly_income: int) -> int:
    """Monthly debt per monthly income in hundredths of a per cent, rounded half up; an income of
    nothing with a debt counts as the whole income."""
    if monthly_income == 0:
        return _BASIS_POINTS if monthly_debt else 0
    ratio = Decimal(monthly_debt) * _BASIS_POINTS / Decimal(monthly_income)
    return int(ratio.to_integral_value(rounding=ROUND_HALF_UP))


def _facts(inputs: PolicyInputs) -> dict[str, Any]:
    """The inputs as the decision tables name them; what is not known says so."""
    bureau, income = inputs.bureau, inputs.monthly_income
    facts: dict[str, Any] = {
        "applicant_type": inputs.applicant_type,
        "new_to_bank": inputs.new_to_bank,
        "age": inputs.age,
        "warnings": inputs.warnings,
        "identity": inputs.identity,
        "watchlist": inputs.watchlist,
        "terms": {"youngest": inputs.terms.youngest, "oldest": inputs.terms.oldest},
        "bureau": {"known": False, "scored": False},
        "debt": {"known": False, "ratio_bp": 0, "income_stated": income is not None},
    }
    if bureau is not None:
        facts["bureau"] = {"known": True, "scored": bureau.score is not None, **asdict(bureau)}
        if income is not None:
            ratio = debt_ratio_bp(bureau.monthly_debt, income)
            facts["debt"] = {"known": True, "ratio_bp": ratio, "income_stated": True}
    return facts
