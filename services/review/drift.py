"""Fairness and drift: who was approved, group by group over time, and how far the scores of today's
applicants are from those of a base period. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, Self

from services.review.portfolio import Index, index_of
from shared.calendar import business_day
from shared.parameters import Figures

BASE: Final = "base"
SCORE: Final = "score"
_BAND: Final = "band "
_NO_BAND: Final = "none"  # without a score
_ALL: Final = ("all", "all")
Step = Literal["month", "week"]


@dataclass(slots=True)
class Population:
    """What many decisions came to. Keys of `counts` are texts, so that it can be written down:
    `period|group|value|what`, what being `approve`, `decline`, `points` (their sum), `scored` (how
    many have points) or `band …` (of the score, not of everybody), and `period|band|factor|band`;
    the factor `score` is the whole score of everybody."""

    decisions: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def take(self, other: Population) -> None:
        """Add another one to this."""
        self.decisions += other.decisions
        self.counts.update(other.counts)

    def as_json(self) -> dict[str, Any]:
        """To be written down; equal populations are equal texts."""
        return {"decisions": self.decisions, "counts": dict(sorted(self.counts.items()))}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        return cls(told["decisions"], Counter(told["counts"]))


@dataclass(frozen=True, slots=True)
class Drift:
    """What is asked: the decisions from `since` to before `base_until` are the base, those from
    there to before `until` are held against it, month by month or week by week."""

    opens: ClassVar[tuple[str, ...]] = ("verdict",)

    since: datetime
    base_until: datetime
    until: datetime
    step: Step
    groups: tuple[str, ...]
    score_band: int
    decisions: int

    def as_json(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "base_until": self.base_until.isoformat(),
            "until": self.until.isoformat(),
            "step": self.step,
            "groups": list(self.groups),
            "score_band": self.score_band,
            "decisions": self.decisions,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        return cls(
            since=datetime.fromisoformat(told["since"]),
            base_until=datetime.fromisoformat(told["base_until"]),
            until=datetime.fromisoformat(told["until"]),
            step=told["step"],
            groups=tuple(told["groups"]),
            score_band=told["score_band"],
            decisions=told["decisions"],
        )

    def tally(self, told: Mapping[str, Any] | None = None) -> Population:
        return Population() if told is None else Population.from_json(told)

    def asker(self) -> Callable[[Any, Any, Mapping[str, str]], None]:
        def ask(population: Population, row: Any, opened: Mapping[str, str]) -> None:
            self.add(population, row, json.loads(opened["verdict"]))

        return ask

    def add(self, population: Population, row: Any, verdict: Mapping[str, Any]) -> None:
        """Count one decision. `row` has `decided_at`, the groups, and as `outcome` the bank's in
        the end, by whomever; `verdict` is what the policy said then."""
        population.decisions += 1
        counts, period = population.counts, self.period_of(row["decided_at"])
        score = verdict.get("score")
        band = _NO_BAND if score is None else f"{score['points'] // self.score_band:03d}"
        for group, value in (_ALL, *self._groups_of(row)):
            counts[f"{period}|{group}|{value}|{row['outcome']}"] += 1
            if score is not None:
                counts[f"{period}|{group}|{value}|points"] += score["points"]
                counts[f"{period}|{group}|{value}|scored"] += 1
            if group != _ALL[0]:
                counts[f"{period}|{group}|{value}|{_BAND}{band}"] += 1
        counts[f"{period}|band|{SCORE}|{band}"] += 1
        for factor in score["factors"] if score is not None else ():
            counts[f"{period}|band|{factor['factor']}|{factor['band']}"] += 1

    def period_of(self, at: datetime) -> str:
        """`base`, a month (2026-11), or a week by its Monday (2026-11-09)."""
        if at < self.base_until:
            return BASE
        day = business_day(at)
        return f"{day:%Y-%m}" if self.step == "month" else f"{_monday(day)}"

    def _groups_of(self, row: Any) -> Iterator[tuple[str, str]]:
        for group in self.groups:
            value = row[group]
            if group == "new_to_bank":
                value = "new" if value else "known"
            yield group, value


@dataclass(frozen=True, slots=True)
class Line:
    """A group's value in one period. `rate`: approved of all decided; `points`: the mean score;
    `middle`: the bands in which the middle half of the scores lie, as (lowest, highest) points. All
    None where there are too few decisions. `index`: how far its scores are from its own in the base
    period; None there, of everybody, whose index stands among the factors', and where no bands were
    counted."""

    decisions: int
    rate: float | None
    points: float | None
    middle: tuple[int, int] | None = None
    index: Index | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """What a page and a command say of a population. `lines`: {(group, value): {period: Line}},
    `("all", "all")` is everybody; `indices`: {factor: {period: Index}}, `score` first; `bands`:
    {period: {band of the score: decisions}}."""

    periods: Sequence[str]
    lines: Mapping[tuple[str, str], Mapping[str, Line]]
    indices: Mapping[str, Mapping[str, Index]]
    bands: Mapping[str, Mapping[str, int]]


def figure_of(population: Population, parameters: Figures, score_band: int) -> Figure:
    """The figures, without those that rest on too few decisions; score_band: of the question."""
    found: dict[tuple[str, str], dict[str, Counter[str]]] = {}
    bands: dict[str, dict[str, Counter[str]]] = {}
    spreads: dict[tuple[str, str], dict[str, Counter[str]]] = {}
    for key, count in population.counts.items():
        period, group, value, what = key.split("|")
        if group == "band":
            place = bands.setdefault(value, {})
        elif what.startswith(_BAND):
            place = spreads.setdefault((group, value), {})
        else:
            place = found.setdefault((group, value), {})
        place.setdefault(period, Counter())[what.removeprefix(_BAND)] += count
    everybody = bands.get(SCORE, {})
    periods = sorted(
        {period for one in found.values() for period in one}, key=lambda one: (one != BASE, one)
    )
    return Figure(
        periods,
        {
            place: {
                period: replace(
                    _line(counts, parameters),
                    middle=_middle(spread.get(period, Counter()), parameters, score_band),
                    index=index_of(spread.get(BASE, Counter()), spread[period], parameters)
                    if period != BASE and place != _ALL and period in spread
                    else None,
                )
                for period, counts in by_period.items()
            }
            for place, by_period in sorted(found.items())
            for spread in [everybody if place == _ALL else spreads.get(place, {})]
        },
        {
            factor: {
                period: index_of(by_period.get(BASE, Counter()), counts, parameters)
                for period, counts in by_period.items()
                if period != BASE
            }
            for factor, by_period in sorted(
                bands.items(), key=lambda one: (one[0] != SCORE, one[0])
            )
        },
        everybody,
    )


def _line(counts: Counter[str], parameters: Figures) -> Line:
    decided, scored = counts["approve"] + counts["decline"], counts["scored"]
    return Line(
        decided,
        counts["approve"] / decided if decided >= parameters.fewest_decisions else None,
        counts["points"] / scored if scored >= parameters.fewest_decisions else None,
    )


def _middle(spread: Counter[str], parameters: Figures, width: int) -> tuple[int, int] | None:
    """Of the bands in order, the first with a quarter of the scores in it or below, to the first
    with three quarters."""
    scored = sorted((int(band), count) for band, count in spread.items() if band != _NO_BAND)
    total = sum(count for _band, count in scored)
    if total < parameters.fewest_decisions:
        return None
    below = 0
    ends: list[int] = []
    for band, count in scored:
        below += count
        ends += [band] * (sum(4 * below >= part * total for part in (1, 3)) - len(ends))
    return ends[0] * width, (ends[1] + 1) * width - 1


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
