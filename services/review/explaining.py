"""A decision in words: what the policy found, what each factor gave, how the limit came about.

Everything comes from what was frozen with the decision and from the text of the policy that made
it, so that it reads the same in three years' time. What compliance alone may know is left out
unless asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.review import reason_codes
from services.review.case import Decision, Entry
from services.review.policy import LIMITS, Policy
from services.review.policy_folder import tables_of
from services.review.reason_codes import REASONS, Effect, advice_on


@dataclass(frozen=True, slots=True)
class FactorLine:
    """One factor of the score card: which band fitted, in words; `lost` is what a better one would
    have given more."""

    label: str
    band: str
    points: int
    most: int

    @property
    def lost(self) -> int:
        return self.most - self.points


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a verdict rests on. `findings`: (code, words as a message id) of every rule that fired;
    `factors` in the score card's order; `strategy`: what the row of the limit strategy says of
    itself; `steps`: the working of the limit as it was frozen."""

    outcome: str
    advice: str
    findings: Sequence[tuple[str, str]]
    points: int | None
    factors: Sequence[FactorLine]
    strategy: str
    steps: Sequence[Mapping[str, Any]]
    pricing: str

    @property
    def against(self) -> list[FactorLine]:
        """The factors that cost points, the dearest first."""
        return sorted((one for one in self.factors if one.lost), key=lambda one: -one.lost)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What was decided for, whoever decided. `reasons`: (code, words as a message id), of a decline
    the one first by which it is counted, of an approval what had brought the case to a person;
    `primary`: that first code, None of an approval; `beside`: what review itself had found beside
    the policy by then, which stands in no frozen verdict."""

    reasons: Sequence[tuple[str, str]]
    primary: str | None
    beside: Sequence[tuple[str, str]]


def grounds_of(decision: Decision, verdict: Mapping[str, Any], history: Iterable[Entry]) -> Grounds:
    """Why it was decided so. What compliance alone may know is left out, whoever asks, of every
    decision alike."""
    codes = list(reason_codes.without_suspicion(decision.reasons))
    # none for whoever is not told, and in a decision that somebody has changed
    may_decline = any(REASONS[code].category is not None for code in codes)
    declined = decision.outcome == "decline" and may_decline
    primary = reason_codes.primary(codes).code if declined else None
    codes.sort(key=lambda code: code != primary)
    found: Sequence[str] = ()
    for entry in history:
        if entry.action in ("scored", "decided"):  # of before, only the first has it
            found = entry.details.get("findings", found)
    beside = [
        code for code in reason_codes.without_suspicion(found) if code not in verdict["findings"]
    ]
    return Grounds(
        [(code, REASONS[code].words) for code in codes],
        primary,
        [(code, REASONS[code].words) for code in beside],
    )


def explain(
    policy: Policy, verdict: Mapping[str, Any], language: str, *, confidential: bool
) -> Explanation:
    """A frozen verdict in words, in English for `en…`, else in Chinese."""
    held = {code for code in verdict["findings"] if REASONS[code].effect is Effect.HOLD}
    shown = [code for code in verdict["findings"] if confidential or code not in held]
    told = not held or confidential
    score = verdict.get("score")
    return Explanation(
        outcome=verdict["outcome"] if told else "refer",
        advice=verdict["advice"] if told else advice_on(shown),
        findings=[(code, REASONS[code].words) for code in shown],
        points=score["points"] if score else None,
        factors=[_factor(policy, one, language) for one in (score["factors"] if score else ())],
        strategy=_strategy(policy, verdict.get("strategy"), language),
        steps=(verdict.get("working") or {}).get("steps", ()),
        pricing=words_of(policy, "pricing", verdict.get("pricing_class") or "", language),
    )


def words_of(
    policy: Policy, part: str, name: str, language: str, otherwise: str | None = None
) -> str:
    """What a policy calls something of its own: a factor, a band, a pricing class, a row's note;
    otherwise: where it has no words for it, by default the name."""
    words: Mapping[str, str] = policy.manifest.get(part, {}).get(name, {})
    fallback = name if otherwise is None else otherwise
    return words.get("en" if language.startswith("en") else "zh", fallback)


def _factor(policy: Policy, factor: Mapping[str, Any], language: str) -> FactorLine:
    name, band = factor["factor"], factor["band"]
    return FactorLine(
        words_of(policy, "factors", name, language),
        words_of(policy, "bands", f"{name}.{band}", language),
        factor["points"],
        factor["most"],
    )


def _strategy(policy: Policy, name: str | None, language: str) -> str:
    rows = tables_of(policy)[LIMITS]
    found = next((row["_id"] for row in rows if row.get("rule") == f"'{name}'"), "")
    return words_of(policy, "notes", found, language)
