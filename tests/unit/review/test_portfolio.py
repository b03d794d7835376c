"""What many decisions come to: arrears and use of the cards that the bank granted."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from services.review.accounts import Arrears
from services.review.policy import Policy
from services.review.portfolio import Past, Tally
from services.review.reason_codes import primary
from shared.parameters import load_figures
from tests.bench.replay import inputs_of_a_portfolio
from tests.unit.review.builders import inputs, shipped


def past(
    policy: Policy, outcome: str = "approve", arrears: Arrears = "unknown", **changes: Any
) -> Past:
    asked = inputs(**changes)
    return Past(
        application_id="A-1",
        region="31",
        age_band="26-35",
        product="standard",
        applicant_type="salaried",
        month="2026-01",
        outcome=outcome,
        granted=20_000_00 if outcome == "approve" else None,
        inputs=asked,
        verdict=json.loads(policy.evaluate(asked).freeze()),
        arrears=arrears,
    )


def test_arrears_are_told_of_who_would_have_been_decided_otherwise_and_of_the_others() -> None:
    candidate = shipped().policy
    tally = Tally()
    for arrears in ("yes", "no", "unknown"):
        tally.add(past(candidate, arrears=arrears), candidate)
    one = past(candidate, arrears="yes")
    working = {**one.verdict["working"], "recommended": 100_00}
    one = replace(one, verdict={**one.verdict, "working": working})  # it had said less
    affected = tally.add(one, candidate)
    assert affected is not None
    way = f"{affected.old}>{affected.new}"
    assert tally.arrears == {"same:yes": 1, "same:no": 1, "same:unknown": 1, f"{way}:yes": 1}
    assert tally.activated == {f"{way}:not yet": 1}
    tally.add(replace(one, activated=True), candidate)
    assert tally.activated == {f"{way}:not yet": 1, f"{way}:yes": 1}


def test_who_got_no_card_has_no_arrears() -> None:
    candidate = shipped().policy
    tally = Tally()
    tally.add(past(candidate, outcome="decline", arrears="yes"), candidate)
    assert tally.arrears == {}


def test_a_tally_is_read_as_it_was_written() -> None:
    candidate = shipped().policy
    tally = Tally()
    tally.add(past(candidate, arrears="yes"), candidate)
    again = Tally.from_json(json.loads(json.dumps(tally.as_json())))
    assert again.as_json() == tally.as_json()
    again.take(tally)
    assert again.arrears == {"same:yes": 2}


def everybody_of_class(name: str) -> Policy:
    """The policy that ships, but for its prices."""
    texts = json.loads(shipped().policy.source)
    (table,) = (
        node for node in texts["pricing.json"]["nodes"] if node["type"] == "decisionTableNode"
    )
    for row in table["content"]["rules"]:
        row["pricing_class"] = f"'{name}'"
    return Policy(json.dumps(texts))


def test_another_class_of_prices_is_another_decision() -> None:
    then = shipped().policy
    one = past(then)
    had = one.verdict["pricing_class"]
    other = next(name for name in "ABC" if name != had)
    tally = Tally()
    found = tally.add(one, everybody_of_class(other))
    assert found is not None
    assert (found.old, found.old_limit) == (found.new, found.new_limit)
    assert (tally.otherwise, tally.classes) == (1, {f"{had}>{other}": 1})
    # neither of whom is declined, nor by a policy that says nothing about prices
    declined = past(then, "decline", bureau_adverse=True)
    assert declined.verdict["outcome"] == "decline"
    assert tally.add(declined, everybody_of_class(other)) is None
    before = {name: one.verdict[name] for name in ("outcome", "advice", "findings", "working")}
    assert tally.add(replace(one, verdict=before), everybody_of_class(other)) is None
    assert tally.classes == {f"{had}>{other}": 1, f"none>{other}": 1}


def test_limits_that_go_to_people_are_a_sum_of_their_own_beside_what_they_granted() -> None:
    candidate = shipped().policy
    tally = Tally()
    new = past(candidate, new_to_bank=True)
    assert new.verdict["outcome"] == "refer"
    tally.add(new, candidate)
    tally.add(replace(new, outcome="decline", granted=None), candidate)
    recommended = new.verdict["working"]["recommended"]
    assert recommended > 0
    assert tally.limits == {
        "old": 0, "new": 0, "old:refer": 2 * recommended, "new:refer": 2 * recommended,
        "granted": 20_000_00,
    }  # fmt: skip
    approved = past(candidate)
    tally.add(approved, candidate)
    assert tally.limits["old"] == approved.verdict["working"]["recommended"]
    assert tally.limits["granted"] == 20_000_00  # what the policy grants is no people's


def test_the_primary_reasons_of_declines_add_up_to_the_declines() -> None:
    chance, then, tally = random.Random(5), shipped().policy, Tally()
    for number in range(300):
        asked = inputs_of_a_portfolio(chance)
        verdict = json.loads(then.evaluate(asked).freeze())
        stricter = replace(asked, age=17) if number % 7 == 0 else asked
        tally.add(replace(past(then), inputs=stricter, verdict=verdict), then)
    for which, ways in (("old", "decline>{}"), ("new", "{}>decline")):
        declines = sum(tally.matrix[ways.format(one)] for one in ("approve", "refer", "decline"))
        told = [count for key, count in tally.declined.items() if key.startswith(f"{which}:")]
        assert sum(told) == declines > 0
    several = past(then, "decline", bureau_overdue_24m=6, bureau_lenders_6m=9)
    findings = several.verdict["findings"]
    assert primary(findings).code != min(findings)
    one = Tally()
    one.add(several, then)
    assert one.declined == {f"{which}:{primary(findings).code}": 1 for which in ("old", "new")}
    every = [count for key, count in tally.groups.items() if key.startswith("reason:")]
    assert sum(every) > sum(tally.declined.values()), "of every rule that fired there are more"


def test_an_index_of_scores_needs_enough_decisions_that_both_score() -> None:
    then, figures, tally = shipped().policy, load_figures(), Tally()
    nothing = tally.stability(figures)
    assert (nothing.value, nothing.reading) == (None, "few")
    one = past(then)
    unscored = {name: told for name, told in one.verdict.items() if name != "score"}
    for _ in range(figures.fewest_for_index):
        tally.add(replace(one, verdict=unscored), then)
    assert tally.stability(figures).reading == "few", "who had no score is no other population"
    for _ in range(figures.fewest_for_index - 1):
        tally.add(one, then)
    assert tally.stability(figures).reading == "few"
    tally.add(one, then)
    index = tally.stability(figures)
    assert index.value == pytest.approx(0)
    assert (index.reading, index.decisions) == ("little", figures.fewest_for_index)


def test_a_tally_of_before_is_written_as_it_was() -> None:
    """Its report keeps its digest."""
    names = ("matrix", "groups", "limits", "activated", "arrears", "scores")
    before = {"decisions": 0, "otherwise": 0, **{name: {} for name in names}}
    assert Tally.from_json(before).as_json() == before
