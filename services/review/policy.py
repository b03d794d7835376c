"""The credit policy: inputs in, verdict out, the same bytes for ever.

The rules are decision tables (JDM) in `policies/<version>/`, changed without a programmer. A
verdict needs nothing but the policy's text and the inputs, product terms included: both are kept
with every decision, so that it can be computed again years later.

A policy's text has the tables of one of two forms. The first, of 2026.1, has rules and a limit
strategy; the second has a score card and pricing classes as well. Nothing decides by the first any
more, but what was decided by it is still computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, Literal, Self, get_args

import zen

from services.review.limits import EARNED, LimitTerms, LimitWorking, grantable, work_out
from services.review.reason_codes import REASONS, Effect
from shared.events.review import LimitBasis
from shared.money import Money, Rounding

MANIFEST: Final = "policy"
SCORE_CARD: Final = "scorecard.json"
LIMITS: Final = "limits.json"
RULES: Final = "rules.json"
PRICING: Final = "pricing.json"
TABLES: Final = (SCORE_CARD, LIMITS, RULES, PRICING)
FIRST_RULES, FIRST_LIMITS = "card-policy.json", "limit-strategy.json"
_BASIS_POINTS = 10_000
CAP_ROUNDING = Rounding.DOWN  # a share of the product's largest limit, to the fen

Outcome = Literal["approve", "decline", "refer", "hold"]
Advice = Literal["approve", "decline", "examine"]
_OUTCOMES, _ADVICES = frozenset(get_args(Outcome)), frozenset(get_args(Advice))
IdentityAnswer = Literal["match", "mismatch", "cancelled", "unavailable"]
WatchlistAnswer = Literal["clear", "hit", "unavailable"]


@dataclass(frozen=True, slots=True)
class BureauRecord:
    """What the credit bureau knows. Amounts in fen; `score` None: no credit record; `lenders_6m`:
    institutions that lend to the applicant, or did within six months (多头借贷), None: the bureau
    does not say."""

    score: int | None
    overdue_24m: int
    max_overdue_days_24m: int
    queries_3m: int
    open_cards: int
    other_bank_limits: int
    monthly_debt: int
    adverse: bool
    lenders_6m: int | None = None


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """The product's bounds as they were when the application was decided."""

    limit: LimitTerms
    income_multiple: str  # decimal
    youngest: int
    oldest: int
    cards_per_customer: int | None = None  # None: frozen before this was weighed


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """Everything that a verdict rests on. `bureau` None: not asked or no answer. Amounts in fen.

    `stated_limits`: other banks' limits as the form states them; the larger of form and bureau
    counts. `own_cards`: of this bank, that the person has or is being made. `noticed`: what
    review's own checks found.
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
    own_cards: int = 0
    noticed: tuple[str, ...] = ()  # none were frozen before they were looked for

    def freeze(self) -> str:
        """Canonical JSON: equal inputs are equal bytes."""
        frozen = asdict(self)
        frozen["terms"]["limit"] = self.terms.limit.as_json()
        return canonical(frozen)

    @classmethod
    def thaw(cls, text: str) -> Self:
        """The inputs from their frozen form."""
        frozen: dict[str, Any] = json.loads(text)
        bureau, terms = frozen.pop("bureau"), frozen.pop("terms")
        limit = LimitTerms.from_json(terms.pop("limit"))
        noticed = tuple(frozen.pop("noticed", ()))
        return cls(
            **frozen,
            noticed=noticed,
            bureau=BureauRecord(**bureau) if bureau is not None else None,
            terms=ProductTerms(limit=limit, **terms),
        )


@dataclass(frozen=True, slots=True)
class Factor:
    """What one factor of the score card gave: `band` of its table fitted, for `points` out of at
    `most` so many."""

    factor: str
    band: str
    points: int
    most: int


@dataclass(frozen=True, slots=True)
class Score:
    """The score card of one application; `points` is the sum of its factors."""

    points: int
    factors: tuple[Factor, ...]

    @property
    def weakest(self) -> str:
        """The factor that cost most points, the first of several in the card's order."""
        return max(self.factors, key=lambda factor: factor.most - factor.points).factor


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says. `findings` are the codes of every rule that fired, in the table's
    order, and after them what its tables overlooked of `binding`; `advice` is for the person who
    decides in the end; `working` None: no limit can be worked out because the bureau did not
    answer.

    `score` None: no score without the bureau's answer, or a policy of the first form; so are
    `strategy`, the row of the limit strategy that fitted, and `pricing_class`.
    """

    outcome: Outcome
    advice: Advice
    findings: tuple[str, ...]
    working: LimitWorking | None
    score: Score | None = None
    strategy: str | None = None
    pricing_class: str | None = None

    def freeze(self) -> str:
        """Canonical JSON, to compare a verdict with the one computed again."""
        frozen: dict[str, Any] = {
            "outcome": self.outcome,
            "advice": self.advice,
            "findings": list(self.findings),
            "working": self.working.as_json() if self.working else None,
        }
        if self.pricing_class is not None:  # of the second form
            frozen |= {
                "score": asdict(self.score) if self.score else None,
                "strategy": self.strategy,
                "pricing_class": self.pricing_class,
            }
        return canonical(frozen)

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
    """One version of the rules. `source` is its whole text, from which it can be built again;
    `manifest` what the text says about itself, empty in the first form."""

    def __init__(self, source: str) -> None:
        """Raises ValueError for a text that is not a policy."""
        try:
            texts: dict[str, Any] = json.loads(source)
            self.manifest: Mapping[str, Any] = texts.get(MANIFEST, {})
            self._scored = MANIFEST in texts
            names = TABLES if self._scored else (FIRST_RULES, FIRST_LIMITS)
            contents = {name: zen.ZenDecisionContent(json.dumps(texts[name])) for name in names}
            self.version = str((self.manifest or texts[FIRST_RULES])["version"])
            self._most = _most_points(texts[SCORE_CARD]) if self._scored else {}
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            raise ValueError(f"not a policy: needs {MANIFEST}, " + ", ".join(TABLES)) from None
        self.source = source
        self.digest = hashlib.sha256(source.encode()).hexdigest()
        # A decision that the engine looks up is compiled once; one of its own is at each turn.
        self._engine = zen.ZenEngine({"loader": contents.__getitem__})
        self._rules = RULES if self._scored else FIRST_RULES
        self._limits = LIMITS if self._scored else FIRST_LIMITS

    def evaluate(self, inputs: PolicyInputs) -> Verdict:
        """The verdict on these inputs. Pure: no clock, no database, no chance.

        Raises ValueError where a table gives no answer, or one that is no part of a verdict.
        """
        try:
            return self._evaluate(inputs)
        except (ArithmeticError, AttributeError, LookupError, TypeError) as problem:
            # an author renamed or left out what a table answers
            said = f"a table answers in a form that no verdict has ({type(problem).__name__})"
            raise ValueError(f"{self.version}: {said}") from problem

    def _evaluate(self, inputs: PolicyInputs) -> Verdict:
        facts = _facts(inputs)
        score = self._score(facts) if self._scored else None
        facts["score"] = {
            "known": score is not None,
            "points": score.points if score else 0,
            "weakest": score.weakest if score else "",
        }
        shares = self._ask(self._limits, facts) if inputs.bureau is not None else None
        working = _work_out(inputs, shares) if shares is not None else None
        facts["limit"] = {
            "known": working is not None,
            "ceiling": working.ceiling.minor if working else 0,
        }
        result = self._ask(self._rules, facts)
        codes = tuple(result["codes"])
        overlooked = tuple(code for code in binding(inputs) if code not in codes)
        outcome, advice = result["outcome"], result["advice"]
        if outcome not in _OUTCOMES or advice not in _ADVICES or not REASONS.keys() >= set(codes):
            raise ValueError(f"{self.version}: {self._rules} names what no verdict has")
        if overlooked:
            outcome, advice = _weighed(advice, (*codes, *overlooked))
        return Verdict(
            outcome=outcome,
            advice=advice,
            findings=(*codes, *overlooked),
            working=working,
            score=score,
            strategy=shares["rule"] if shares and self._scored else None,
            pricing_class=self._ask(PRICING, facts)["pricing_class"] if self._scored else None,
        )

    def _score(self, facts: Mapping[str, Any]) -> Score | None:
        """The score card's factors in its own order; of each the first band that fits counts."""
        if not facts["bureau"]["known"]:
            return None
        found: dict[str, Factor] = {}
        for row in self._ask(SCORE_CARD, facts):
            name = row["factor"]
            if name not in found:
                found[name] = Factor(name, row["band"], row["points"], self._most[name])
        factors = tuple(found.values())
        return Score(sum(factor.points for factor in factors), factors)

    def _ask(self, table: str, facts: Mapping[str, Any]) -> Any:
        try:
            return self._engine.evaluate(table, dict(facts))["result"]
        except RuntimeError as problem:
            # the engine's words may repeat a value
            raise ValueError(f"{self.version}: {table} gave no answer") from problem


def binding(inputs: PolicyInputs) -> tuple[str, ...]:
    """The findings that no policy may overlook, whatever its tables say: a bank sets thresholds,
    but nobody unidentified, of the wrong age or on a watchlist gets a card, a machine alone issues
    none to a new customer, what is not known never passes, and what review itself noticed counts.

    2011 rules, Art. 42, 43; 2022 joint notice; 2024 law 28, 29.
    """
    bureau, terms = inputs.bureau, inputs.terms
    held = {
        "WATCHLIST_HIT": inputs.watchlist == "hit",
        "ID_MISMATCH": inputs.identity == "mismatch",
        "ID_CANCELLED": inputs.identity == "cancelled",
        "AGE_OUTSIDE": not terms.youngest <= inputs.age <= terms.oldest,
        "OWN_CARDS_AT_CAP": terms.cards_per_customer is not None
        and inputs.own_cards >= terms.cards_per_customer,
        "NEW_TO_BANK": inputs.new_to_bank,
        "NO_CREDIT_RECORD": bureau is not None and bureau.score is None,
        "STUDENT_SECOND_SOURCE": inputs.applicant_type == "student",
        "IDENTITY_UNAVAILABLE": inputs.identity == "unavailable",
        "BUREAU_UNAVAILABLE": bureau is None,
        "WATCHLIST_UNAVAILABLE": inputs.watchlist == "unavailable",
    }
    return (*(code for code, holds in held.items() if holds), *inputs.noticed)


def _weighed(advice: Advice, findings: tuple[str, ...]) -> tuple[Outcome, Advice]:
    """Outcome and advice where the tables overlooked some of these findings; `advice`: theirs. The
    strongest finding counts, but that a new customer is a person's to decide."""
    effects = {REASONS[code].effect for code in findings}
    if Effect.HOLD in effects:
        return "hold", "examine"
    if Effect.DECLINE in effects:
        advice = "decline"
    elif any(code != "NEW_TO_BANK" for code in findings):
        advice = "examine"
    declines = advice == "decline" and "NEW_TO_BANK" not in findings
    return ("decline" if declines else "refer"), advice


def _work_out(inputs: PolicyInputs, shares: Mapping[str, Any]) -> LimitWorking:
    assert inputs.bureau is not None  # without it there are no shares
    income, wish = inputs.monthly_income, inputs.requested_limit
    other = max(inputs.bureau.other_bank_limits, inputs.stated_limits)
    return work_out(
        inputs.terms.limit,
        monthly_income=Money(minor=income) if income is not None else None,
        income_counts=shares.get("counts_income", True),  # before 2026.3 no row said otherwise
        income_multiple=Decimal(inputs.terms.income_multiple) * Decimal(shares["income_share"]),
        cap_without_income=inputs.terms.limit.largest.times(shares["cap_share"], CAP_ROUNDING),
        other_bank_limits=Money(minor=other),
        own_existing=Money(minor=inputs.own_existing),
        requested=Money(minor=wish) if wish is not None else None,
    )


def basis_of(inputs: PolicyInputs, working: Mapping[str, Any]) -> LimitBasis:
    """What bounded the limit that was recommended on these inputs, in words that may be told: of
    several bounds the one without which there would be the most. working: as it was frozen."""
    limit, wish = inputs.terms.limit, inputs.requested_limit
    if wish is not None and wish <= working["ceiling"]:
        return LimitBasis.WISH
    stated = inputs.stated_limits
    other = max(inputs.bureau.other_bank_limits, stated) if inputs.bureau is not None else stated
    left, deducted = working["approvable"], other + inputs.own_existing
    if left >= limit.largest.minor:
        return LimitBasis.HIGHEST
    total_cap = left + deducted  # something is left: a limit was recommended
    undeducted = _at_most(total_cap, limit)
    earned = any(one["words"] == EARNED for one in working["steps"])
    if total_cap >= limit.customer_cap.minor:  # no income would raise it
        own, uncapped = LimitBasis.HIGHEST, working["ceiling"]
    else:
        own = LimitBasis.INCOME if earned else LimitBasis.HIGHEST
        uncapped = _at_most(limit.customer_cap.minor - deducted, limit)
    if undeducted > working["ceiling"] and undeducted >= uncapped:
        return LimitBasis.OTHER_LIMITS
    return own


def _at_most(left: int, limit: LimitTerms) -> int:
    """The ceiling, fen, where so much is left."""
    return grantable(min(Money(minor=left), limit.largest), limit).minor


def rows_of(graph: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """The rows of a graph's decision table, as they stand in its file."""
    (table,) = (node for node in graph["nodes"] if node["type"] == "decisionTableNode")
    rows: list[Mapping[str, str]] = table["content"]["rules"]
    return rows


def _most_points(score_card: Mapping[str, Any]) -> dict[str, int]:
    """{factor: the most that it can give}"""
    most: dict[str, int] = {}
    for row in rows_of(score_card):
        name, points = row["factor"].strip("'"), int(row["points"])
        most[name] = max(points, most.get(name, points))
    return most


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
        "income": income or 0,
        "warnings": inputs.warnings,
        "noticed": list(inputs.noticed),
        "identity": inputs.identity,
        "watchlist": inputs.watchlist,
        "terms": {"youngest": inputs.terms.youngest, "oldest": inputs.terms.oldest},
        "bureau": {"known": False, "scored": False},
        "lenders": {"known": False, "count": 0},
        "debt": {"known": False, "ratio_bp": 0, "income_stated": income is not None},
    }
    if bureau is not None:
        # flat: `asdict` would copy it in depth, which takes a tenth of a verdict
        record = {name: getattr(bureau, name) for name in BureauRecord.__slots__}
        facts["bureau"] = {"known": True, "scored": bureau.score is not None, **record}
        if bureau.lenders_6m is not None:
            facts["lenders"] = {"known": True, "count": bureau.lenders_6m}
        if income is not None:
            ratio = debt_ratio_bp(bureau.monthly_debt, income)
            facts["debt"] = {"known": True, "ratio_bp": ratio, "income_stated": True}
    return facts


def canonical(value: Any) -> str:
    """JSON of which equal values are equal texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
