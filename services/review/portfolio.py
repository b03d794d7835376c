"""A candidate policy held against what was decided before: who would have been decided otherwise.

Both policies are asked about the same frozen inputs, so that nothing but the policy differs. Pure;
tallies add up in any order to the same report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import log
from typing import Any, Final, Literal

from services.review.accounts import Arrears
from services.review.policy import Policy, PolicyInputs
from services.review.reason_codes import REASONS, Effect, primary
from shared.parameters import Figures

GROUPS: Final = ("region", "age_band", "product", "applicant_type", "month", "reason")
"""By what a report is broken down; `reason`: every rule that fired, by either policy."""

NO_CLASS: Final = "none"
Place = tuple[datetime, str]
"""(decided_at, application_id): a decision among the others, in their order."""

_COUNTERS: Final = (
    *("matrix", "groups", "limits", "activated", "arrears", "scores"),
    *("declined", "classes", "scored"),
)
_LATER: Final = frozenset({"declined", "classes", "scored"})
"""Left out where nothing was counted: reports of before there were these stay the same bytes."""

Reading = Literal["little", "some", "much", "few"]


@dataclass(frozen=True, slots=True)
class Past:
    """One decision of before. `outcome`, `granted` (fen) are the bank's in the end, by whomever;
    `verdict` is what the policy said then, as it was frozen. `arrears`, `activated`: of the card
    and its account, as far as review had heard; where it had not, unknown and False."""

    application_id: str
    region: str
    age_band: str
    product: str
    applicant_type: str
    month: str
    outcome: str
    granted: int | None
    inputs: PolicyInputs
    verdict: Mapping[str, Any]
    arrears: Arrears = "unknown"
    activated: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One application that the candidate would have decided otherwise; where outcome and limit are
    the same, in another pricing class. Limits in fen."""

    application_id: str
    old: str
    new: str
    old_limit: int
    new_limit: int
    reasons_gone: tuple[str, ...]
    reasons_new: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "application_id": self.application_id,
            "old": self.old,
            "new": self.new,
            "old_limit": self.old_limit,
            "new_limit": self.new_limit,
            "reasons_gone": list(self.reasons_gone),
            "reasons_new": list(self.reasons_new),
        }


@dataclass(slots=True)
class Tally:
    """What many decisions came to. Keys are texts so that it can be written down: `matrix` has
    `old>new`, `groups` `group:value:what` with what is `all`, `old:…` or `new:…` an outcome, and
    `limit:old` or `limit:new` the limits that the policy alone approved, in fen; `limits` has them
    of all (`old`, `new`), those that it recommended to people (`old:refer`, `new:refer`), and what
    people granted of the ones referred then (`granted`). `declined` has `old:code` and `new:code`,
    of each decline the primary reason; `classes` the pricing classes of whom neither declined,
    `old>new`, `none` by a policy without. `scores` are bands of points, `scored` the same of those
    that both have points for. `activated` and `arrears` are about the cards that the bank granted,
    `old>new:found` of those that would have been decided otherwise; `same:found` are the arrears of
    the others."""

    decisions: int = 0
    otherwise: int = 0
    matrix: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    activated: Counter[str] = field(default_factory=Counter)
    arrears: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)

    def add(self, past: Past, candidate: Policy) -> Difference | None:
        """Ask the candidate about one decision; the difference where there is one."""
        verdict = candidate.evaluate(past.inputs)
        old, new = as_told(past.verdict["outcome"]), as_told(verdict.outcome)
        old_limit, new_limit = _limit_of(past.verdict), verdict.limit.minor
        self.decisions += 1
        self.matrix[f"{old}>{new}"] += 1
        before, after = set(past.verdict["findings"]), set(verdict.findings)
        for which, outcome, limit, found in (
            ("old", old, old_limit, before),
            ("new", new, new_limit, after),
        ):
            self.limits[which] += limit if outcome == "approve" else 0
            self.limits[f"{which}:refer"] += limit if outcome == "refer" else 0
            if outcome == "decline":
                self.declined[f"{which}:{primary(as_shown(found)).code}"] += 1
        self.limits["granted"] += (past.granted or 0) if old == "refer" else 0
        for group, value in _groups_of(past, before, after):
            self.groups[f"{group}:{value}:all"] += 1
            self.groups[f"{group}:{value}:old:{old}"] += 1
            self.groups[f"{group}:{value}:new:{new}"] += 1
            for which, outcome, limit in (("old", old, old_limit), ("new", new, new_limit)):
                if outcome == "approve":
                    self.groups[f"{group}:{value}:limit:{which}"] += limit
        old_points = (past.verdict.get("score") or {}).get("points")
        new_points = verdict.score.points if verdict.score else None
        both = old_points is not None and new_points is not None
        for name, points in (("old", old_points), ("new", new_points)):
            self.scores[f"{name}:{_band(points)}"] += 1
            if both:
                self.scored[f"{name}:{_band(points)}"] += 1
        same = (old, old_limit) == (new, new_limit)
        if "decline" not in (old, new):
            old_class, new_class = past.verdict.get("pricing_class"), verdict.pricing_class
            self.classes[f"{old_class or NO_CLASS}>{new_class or NO_CLASS}"] += 1
            # a policy of the first form said nothing about prices
            same = same and (old_class == new_class or None in (old_class, new_class))
        if past.outcome == "approve":
            self.arrears[f"{'same' if same else f'{old}>{new}'}:{past.arrears}"] += 1
        if same:
            return None
        self.otherwise += 1
        if past.outcome == "approve":
            self.activated[f"{old}>{new}:{'yes' if past.activated else 'not yet'}"] += 1
        return Difference(
            past.application_id,
            old,
            new,
            old_limit,
            new_limit,
            tuple(sorted(as_shown(before - after))),
            tuple(sorted(as_shown(after - before))),
        )

    def take(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.decisions += other.decisions
        self.otherwise += other.otherwise
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        """The tally to be written down; equal tallies are equal texts."""
        return {
            "decisions": self.decisions,
            "otherwise": self.otherwise,
            **{
                name: dict(sorted(counts.items()))
                for name in _COUNTERS
                if (counts := getattr(self, name)) or name not in _LATER
            },
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Tally:
        return cls(
            decisions=told["decisions"],
            otherwise=told["otherwise"],
            **{name: Counter(told.get(name, {})) for name in _COUNTERS},
        )

    def stability(self, parameters: Figures) -> Index:
        """How far the candidate's scores are from those of then, of the decisions with both."""
        old, new = (
            Counter(
                {
                    band: count
                    for key, count in self.scored.items()
                    for which, _, band in [key.partition(":")]
                    if which == one
                }
            )
            for one in ("old", "new")
        )
        return index_of(old, new, parameters)


@dataclass(frozen=True, slots=True)
class Index:
    """How far a distribution is from the one before it; `value` None: too few decisions."""

    value: float | None
    reading: Reading
    decisions: int


def index_of(base: Counter[str], counts: Counter[str], parameters: Figures) -> Index:
    """The stability index of these counts against the base, and how it is read."""
    fewest = parameters.fewest_for_index
    if base.total() < fewest or counts.total() < fewest:
        return Index(None, "few", counts.total())
    value = stability_index(base, counts)
    if value < parameters.index.little:
        return Index(value, "little", counts.total())
    return Index(value, "some" if value < parameters.index.much else "much", counts.total())


def stability_index(old: Mapping[str, int], new: Mapping[str, int]) -> float:
    """Population stability index of two distributions over the same bands: 0 where they are alike;
    conventionally little below 0.1, worth a look to 0.25, another population above.

    Each band counts as half a case at least, so that an empty one is no division by nothing.
    """
    bands = sorted(old.keys() | new.keys())
    total_old = sum(max(old.get(one, 0), 0.5) for one in bands)
    total_new = sum(max(new.get(one, 0), 0.5) for one in bands)
    index = 0.0
    for one in bands:
        before = max(old.get(one, 0), 0.5) / total_old
        after = max(new.get(one, 0), 0.5) / total_new
        index += (after - before) * log(after / before)
    return index


def as_told(outcome: str) -> str:
    """Whoever compares policies is not told who was held: such a case went to a person."""
    return "refer" if outcome == "hold" else outcome


def as_shown(codes: Iterable[str]) -> Iterator[str]:
    return (code for code in codes if REASONS[code].effect is not Effect.HOLD)


@dataclass(slots=True)
class Comparison:
    """A version that runs without effect beside the one in force, each application once.

    `matrix` has (live, shadow); `reasons` is {code: (the shadow alone finds it, the live one
    alone)}; `limits`: what each alone approved, in fen. `uncompared`: applications of before the
    live verdict was kept beside."""

    compared: int = 0
    otherwise: int = 0
    uncompared: int = 0
    matrix: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: dict[str, tuple[int, int]] = field(default_factory=dict)
    limits: tuple[int, int] = (0, 0)
    live: Counter[str] = field(default_factory=Counter)

    @property
    def agreement(self) -> float | None:
        """The share with the same outcome and the same limit; None where nothing is compared."""
        return (self.compared - self.otherwise) / self.compared if self.compared else None

    def add(self, row: Mapping[str, Any]) -> None:
        """Many applications of which both said the same; `applications` and `otherwise` are counts,
        the limits sums in fen, `live_version` the one in force."""
        number = row["applications"]
        old, new = as_told(row["live_outcome"]), as_told(row["outcome"])
        self.compared += number
        self.otherwise += number if old != new else row["otherwise"]
        self.matrix[old, new] += number
        self.live[row["live_version"]] += number
        live, shadow = self.limits
        self.limits = (
            live + (row["live_limits"] if old == "approve" else 0),
            shadow + (row["limits"] if new == "approve" else 0),
        )
        before, after = set(row["live_findings"]), set(row["findings"])
        for code in as_shown(before ^ after):
            found, gone = self.reasons.get(code, (0, 0))
            more = code in after
            self.reasons[code] = (found + number * more, gone + number * (not more))


def _limit_of(verdict: Mapping[str, Any]) -> int:
    working = verdict.get("working")
    if working is None or verdict["advice"] == "decline":
        return 0
    recommended: int = working["recommended"]
    return recommended


def _groups_of(past: Past, before: set[str], after: set[str]) -> Iterator[tuple[str, str]]:
    yield "region", past.region
    yield "age_band", past.age_band
    yield "product", past.product
    yield "applicant_type", past.applicant_type
    yield "month", past.month
    for code in sorted(as_shown(before | after)):
        yield "reason", code


def _band(points: int | None) -> str:
    """Bands of twenty points."""
    return "none" if points is None else f"{points // 20 * 20:03d}"
