"""Fairness and drift: the index by hand, periods, and what is not said of few."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from math import log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.review.drift import BASE, SCORE, Drift, Population, Step, figure_of
from services.review.portfolio import stability_index
from shared.parameters import load_figures

FIGURES = load_figures()
GROUPS = ("age_band", "region", "channel", "new_to_bank")


def question(step: Step = "month") -> Drift:
    begin, base, end = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 4, 7))
    return Drift(begin, base, end, step, GROUPS, FIGURES.score_band, 0)


def decision(at: datetime, outcome: str = "approve", region: str = "31") -> dict[str, Any]:
    return {
        "decided_at": at, "outcome": outcome, "region": region,
        "age_band": "26-35", "channel": "web", "new_to_bank": True,
    }  # fmt: skip


def verdict(points: int, band: str = "good") -> dict[str, Any]:
    factor = {"factor": "record", "band": band, "points": points, "most": 100}
    return {"score": {"points": points, "factors": [factor]}}


def test_the_index_of_two_halves_that_become_sixty_and_forty() -> None:
    """By hand: 0.1 x ln 1.2 + (-0.1) x ln 0.8 = 0.1 x 0.182322 + 0.1 x 0.223144 = 0.040547."""
    found = stability_index({"a": 50, "b": 50}, {"a": 60, "b": 40})
    assert found == pytest.approx(0.1 * log(1.2) - 0.1 * log(0.8), abs=1e-15)
    assert round(found, 6) == 0.040547


def test_the_index_of_four_bands_by_hand() -> None:
    """10, 20, 30, 40 % of the base, 20, 30, 30, 20 % now: 0.1 ln 2 + 0.1 ln 1.5 + 0 + 0.2 ln 2
    = 0.069315 + 0.040547 + 0.138629 = 0.248491, of counts of any size."""
    base = {"a": 100, "b": 200, "c": 300, "d": 400}
    now = {"a": 20, "b": 30, "c": 30, "d": 20}
    assert round(stability_index(base, now), 6) == 0.248491


def test_a_band_that_has_become_empty_counts_as_half_a_case() -> None:
    """100 and 100 against 200 and 0: shares 1/2, 1/2 and 400/401, 1/401."""
    expected = (400 / 401 - 1 / 2) * log(800 / 401) + (1 / 401 - 1 / 2) * log(2 / 401)
    assert stability_index({"a": 100, "b": 100}, {"a": 200}) == pytest.approx(expected, abs=1e-14)


BANDS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10_000), min_size=1)


@given(BANDS, BANDS)
def test_the_index_is_never_negative_and_the_same_both_ways(
    old: dict[str, int], new: dict[str, int]
) -> None:
    found = stability_index(old, new)
    assert found >= -1e-12
    assert found == pytest.approx(stability_index(new, old))
    assert stability_index(old, old) == 0


def test_a_period_is_the_bases_a_month_or_a_week_by_the_banks_calendar() -> None:
    late = datetime(2026, 4, 30, 17, tzinfo=UTC)  # 1 May in Shanghai, a Friday
    assert question().period_of(datetime(2026, 3, 31, tzinfo=UTC)) == BASE
    assert question().period_of(late) == "2026-05"
    assert question("week").period_of(late) == "2026-04-27"


def populated(base: int, later: int, *, approved: int, points: int = 620) -> Population:
    population = Population()
    for number in range(base):
        row = decision(datetime(2026, 2, 1, tzinfo=UTC))
        question().add(population, row, verdict(500 + number % 5 * 20))
    for number in range(later):
        outcome = "approve" if number < approved else "decline"
        row = decision(datetime(2026, 5, 4, tzinfo=UTC), outcome)
        question().add(population, row, verdict(points, "poor"))
    return population


def test_a_rate_a_mean_and_an_index_that_enough_decisions_carry() -> None:
    figure = figure_of(populated(200, 200, approved=50), FIGURES, FIGURES.score_band)
    assert figure.periods == [BASE, "2026-05"]
    line = figure.lines["region", "31"]["2026-05"]
    assert (line.decisions, line.rate, line.points) == (200, 0.25, 620)
    assert figure.lines["all", "all"][BASE].rate == 1
    index = figure.indices[SCORE]["2026-05"]
    assert (index.reading, index.decisions) == ("much", 200)
    assert figure.indices["record"]["2026-05"].reading == "much"
    assert list(figure.indices) == [SCORE, "record"]


def grouped(**bands: dict[int, int]) -> Population:
    """So many decisions by points, of a region before (`base_31`) or after (`later_31`)."""
    population = Population()
    for name, counts in bands.items():
        period, region = name.split("_")
        at = datetime(2026, 2 if period == "base" else 5, 4, tzinfo=UTC)
        for points, count in counts.items():
            for _ in range(count):
                question().add(population, decision(at, region=region), verdict(points))
    return population


def of_two_regions() -> Population:
    """Of one the scores have become others, of the other they are as they were."""
    counted = ((20, 40, 60, 80), (20, 30, 30, 20), (80, 60, 40, 20), (40, 30, 20, 10))
    names = ("base_31", "later_31", "base_11", "later_11")
    points = (500, 520, 540, 560)
    return grouped(
        **{
            name: dict(zip(points, counts, strict=True))
            for name, counts in zip(names, counted, strict=True)
        }
    )


def test_each_group_is_held_against_its_own_base_period_by_hand() -> None:
    """Region 31: 10, 20, 30, 40 % of 200 become 20, 30, 30, 20 % of 100: 0.248491 as above. Region
    11 stays as it was. Of both together four quarters become 30, 30, 25, 15 %: 2 x 0.05 ln 1.2 + 0
    - 0.1 ln 0.6 = 0.018232 + 0.051083 = 0.069315."""
    population = of_two_regions()
    figure = figure_of(population, FIGURES, FIGURES.score_band)
    changed, stayed = (figure.lines["region", one]["2026-05"].index for one in ("31", "11"))
    assert changed is not None
    assert stayed is not None
    assert (round(changed.value or 0, 6), changed.reading) == (0.248491, "some")
    assert (stayed.value, stayed.reading, stayed.decisions) == (0, "little", 100)
    whole = figure.indices[SCORE]["2026-05"]
    assert (round(whole.value or 0, 6), whole.reading) == (0.069315, "little")
    assert figure.lines["region", "31"][BASE].index is None
    assert figure.lines["all", "all"]["2026-05"].index is None


def test_the_middle_half_of_a_groups_scores_by_hand() -> None:
    """Of 200: 20, 40, 60, 80; the 50th lies in the second band, the 150th in the fourth."""
    counts = {500: 20, 525: 40, 540: 60, 570: 80}
    figure = figure_of(grouped(base_31=counts), FIGURES, FIGURES.score_band)
    assert figure.lines["region", "31"][BASE].middle == (520, 579)
    assert figure.lines["all", "all"][BASE].middle == (520, 579)
    # a quarter exactly is reached with the first band, three quarters with the third
    counts = {500: 50, 525: 40, 540: 60, 570: 50}
    figure = figure_of(grouped(base_31=counts), FIGURES, FIGURES.score_band)
    assert figure.lines["region", "31"][BASE].middle == (500, 559)


def test_a_group_with_few_decisions_has_no_distribution_and_one_of_before_none_either() -> None:
    few = {500: FIGURES.fewest_decisions - 1}
    figure = figure_of(grouped(base_31=few, later_31={500: 200}), FIGURES, FIGURES.score_band)
    assert figure.lines["region", "31"][BASE].middle is None
    index = figure.lines["region", "31"]["2026-05"].index
    assert index is not None
    assert (index.value, index.reading) == (None, "few")
    old = grouped(base_31={500: 200}, later_31={500: 200})
    old.counts = Counter({key: n for key, n in old.counts.items() if "|band 0" not in key})
    figure = figure_of(old, FIGURES, FIGURES.score_band)
    assert figure.lines["region", "31"]["2026-05"].index is None


@pytest.mark.parametrize("fewer", [0, 1])
def test_what_rests_on_too_few_is_not_said(fewer: int) -> None:
    later = FIGURES.fewest_decisions - fewer
    figure = figure_of(
        populated(FIGURES.fewest_for_index, later, approved=1), FIGURES, FIGURES.score_band
    )
    line = figure.lines["region", "31"]["2026-05"]
    assert (line.rate is None, line.points is None) == (bool(fewer), bool(fewer))
    assert line.decisions == later
    assert figure.indices[SCORE]["2026-05"].reading == "few"
    assert figure.indices[SCORE]["2026-05"].value is None
    enough = FIGURES.fewest_for_index - fewer
    figure = figure_of(
        populated(FIGURES.fewest_for_index, enough, approved=1), FIGURES, FIGURES.score_band
    )
    assert (figure.indices[SCORE]["2026-05"].value is None) == bool(fewer)


def test_one_without_a_score_has_a_band_of_its_own_and_no_mean() -> None:
    population = Population()
    question().add(population, decision(datetime(2026, 5, 4, tzinfo=UTC)), {"score": None})
    assert population.counts["2026-05|band|score|none"] == 1
    assert population.counts["2026-05|region|31|scored"] == 0
    assert population.counts["2026-05|region|31|band none"] == 1


def test_populations_add_up_in_any_order_to_the_same_text() -> None:
    one, two = populated(3, 4, approved=2), populated(5, 1, approved=0)
    left, right = Population(), Population()
    for part in (one, two):
        left.take(part)
    for part in (two, one):
        right.take(Population.from_json(part.as_json()))
    assert left.as_json() == right.as_json()
    assert left.decisions == 13
    assert sum(Counter(left.counts)[f"{one}|all|all|approve"] for one in (BASE, "2026-05")) == 10
