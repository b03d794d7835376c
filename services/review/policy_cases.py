"""A policy's own tests: cases that its author wrote beside it, each with what has to follow.

A policy whose cases do not hold, or that has a row which no case reaches, is not proposed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from services.review.policy import (
    LIMITS,
    PRICING,
    RULES,
    SCORE_CARD,
    PolicyInputs,
    Verdict,
)
from services.review.policy_folder import Expected, Held, PolicyCase, tables_of


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case that was run: what it expected and did not get, one line each."""

    name: str
    faults: tuple[str, ...]
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a policy's cases came to. `unreached`: rows, as `table row`, that no case reaches."""

    version: str
    results: tuple[CaseResult, ...]
    unreached: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether every case came as expected and every row was reached."""
        return not self.unreached and not any(one.faults for one in self.results)


def run_cases(held: Held) -> Report:
    """Run a policy's cases against it."""
    results = [_run(held, case) for case in held.cases.cases]
    reached = {row for one in results if one.verdict for row in rows_reached(one.verdict)}
    every = [
        (table, row["_id"], _said(table, row))
        for table, rows in tables_of(held.policy).items()
        for row in rows
    ]
    unreached = [f"{table} {name}" for table, name, said in every if (table, said) not in reached]
    return Report(held.policy.version, tuple(results), tuple(unreached))


def rows_reached(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """(table, what the row says) of every row that counted in a verdict."""
    for code in verdict.findings:
        yield RULES, code
    for factor in verdict.score.factors if verdict.score else ():
        yield SCORE_CARD, f"{factor.factor}.{factor.band}"
    if verdict.strategy:
        yield LIMITS, verdict.strategy
    if verdict.pricing_class:
        yield PRICING, verdict.pricing_class


def inputs_of(base: dict[str, Any], given: dict[str, Any]) -> PolicyInputs:
    """The inputs of a case. Raises ValueError for a name that inputs do not have, or a value that
    they cannot hold."""
    inputs = copy.deepcopy(base)
    for name, value in given.items():
        *parts, last = name.split(".")
        place: Any = inputs
        for part in parts:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise ValueError(f"the base inputs have no {name}")
        place[last] = value
    try:
        return PolicyInputs.thaw(json.dumps(inputs))
    except (TypeError, KeyError, AttributeError) as problem:
        raise ValueError(f"these are no inputs: {problem}") from None


def _run(held: Held, case: PolicyCase) -> CaseResult:
    try:
        verdict = held.policy.evaluate(inputs_of(held.cases.base, case.given))
    except ValueError as problem:
        return CaseResult(case.name, (str(problem),), None)
    return CaseResult(case.name, tuple(_differences(case.expect, verdict)), verdict)


def _differences(expected: Expected, verdict: Verdict) -> Iterator[str]:
    got: dict[str, Any] = {
        "outcome": verdict.outcome,
        "advice": verdict.advice,
        "limit": verdict.limit.minor,
        "ceiling": verdict.ceiling.minor,
        "points": verdict.score.points if verdict.score else None,
        "strategy": verdict.strategy,
        "pricing_class": verdict.pricing_class,
    }
    for name, value in got.items():
        wanted = getattr(expected, name)
        if name in expected.model_fields_set and wanted != value:
            yield f"{name}: expected {wanted}, came {value}"
    found = set(verdict.findings)
    if expected.findings is not None and set(expected.findings) != found:
        yield f"findings: expected {_listed(expected.findings)}, came {_listed(found)}"
    if missing := set(expected.finds) - found:
        yield f"did not find {_listed(missing)}"
    if many := set(expected.spares) & found:
        yield f"found {_listed(many)}"


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(sorted(codes)) or "none"


def _said(table: str, row: Any) -> str:
    """By what a verdict names this row."""
    match table:
        case "rules.json":
            return str(row["code"]).strip("'")
        case "scorecard.json":
            return f"{row['factor']}.{row['band']}".replace("'", "")
        case "limits.json":
            return str(row["rule"]).strip("'")
        case _:
            return str(row["pricing_class"]).strip("'")
