"""What many decisions come to: arrears and use of the cards that the bank granted."""

from __future__ import annotations

import json
from dataclasses import replace

from services.review.accounts import Arrears
from services.review.policy import Policy
from services.review.portfolio import Past, Tally
from tests.unit.review.builders import inputs, shipped


def past(policy: Policy, outcome: str = "approve", arrears: Arrears = "unknown") -> Past:
    asked = inputs()
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
