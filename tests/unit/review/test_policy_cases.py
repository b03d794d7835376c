"""A policy's own cases: what they expect has to come, and every row has to be reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.review import workers
from services.review.policy import Policy, PolicyInputs, Verdict
from services.review.policy_cases import inputs_of, run_cases
from services.review.policy_folder import Cases, Expected, Held, PolicyCase
from tests.unit.review.builders import inputs, shipped


def held_with(*cases: PolicyCase) -> Held:
    held = shipped()
    return replace(held, cases=Cases(digest="", base=held.cases.base, cases=list(cases)))


def faults_of(expected: dict[str, Any], given: dict[str, Any] | None = None) -> tuple[str, ...]:
    case = PolicyCase(name="one", given=given or {}, expect=Expected.model_validate(expected))
    (result,) = run_cases(held_with(case)).results
    return result.faults


def test_what_comes_as_expected_has_no_fault() -> None:
    assert faults_of({"outcome": "approve", "findings": [], "limit": 5_000_000}) == ()


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        ({"outcome": "refer"}, "outcome: expected refer, came approve"),
        ({"advice": "examine"}, "advice: expected examine, came approve"),
        ({"limit": 1}, "limit: expected 1, came 5000000"),
        ({"ceiling": 1}, "ceiling: expected 1, came 5000000"),
        ({"points": None}, "points: expected None, came 795"),
        ({"strategy": "sound"}, "strategy: expected sound, came strong"),
        ({"pricing_class": "C"}, "pricing_class: expected C, came A"),
        ({"findings": ["NEW_TO_BANK"]}, "findings: expected NEW_TO_BANK, came none"),
        ({"finds": ["NEW_TO_BANK"]}, "did not find NEW_TO_BANK"),
    ],
)
def test_what_comes_otherwise_is_said(expected: dict[str, Any], fault: str) -> None:
    assert faults_of(expected) == (fault,)


def test_what_shall_not_fire_is_said() -> None:
    found = faults_of({"spares": ["NEW_TO_BANK"]}, {"new_to_bank": True})
    assert found == ("found NEW_TO_BANK",)


def test_a_row_that_no_case_reaches_fails_the_whole() -> None:
    report = run_cases(held_with(PolicyCase(name="one", expect=Expected(outcome="approve"))))
    assert not any(one.faults for one in report.results)
    assert "rules.json age_outside" in report.unreached
    assert "scorecard.json debt.low" not in report.unreached
    assert not report.holds


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agee": 1}, "the base inputs have no agee"),
        ({"bureau.scores": 1}, "the base inputs have no bureau.scores"),
        ({"age.years": 1}, "the base inputs have no age.years"),
        ({"bureau": 5}, "these are no inputs"),
    ],
)
def test_what_inputs_do_not_have_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        inputs_of(shipped().cases.base, given)
    (fault,) = faults_of({"outcome": "approve"}, given)
    assert said in fault


def test_a_case_leaves_the_base_as_it_is() -> None:
    base = shipped().cases.base
    inputs_of(base, {"bureau.score": 1})
    assert base["bureau"]["score"] != 1


def broken(change: Callable[[dict[str, Any]], None]) -> Policy:
    """The policy that ships with another rules.json."""
    texts = json.loads(shipped().policy.source)
    change(texts["rules.json"])
    return Policy(json.dumps(texts))


def renamed(what: str, other: str) -> Callable[[dict[str, Any]], None]:
    """What the rules answer has another name, or a value that no verdict has."""

    def change(graph: dict[str, Any]) -> None:
        text = json.dumps(graph)
        assert text.count(what) >= 1
        graph.clear()
        graph.update(json.loads(text.replace(what, other)))

    return change


BROKEN = {
    "an answer renamed": renamed('"key": "outcome"', '"key": "result"'),
    "the codes renamed": renamed('"key": "codes"', '"key": "reasons"'),
    "an outcome that there is not": renamed("'approve'", "'grant'"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_tables_that_answer_otherwise_than_a_verdict_are_said_and_break_nothing(how: str) -> None:
    held = shipped()
    policy = broken(BROKEN[how])
    with pytest.raises(ValueError, match=policy.version):
        policy.evaluate(inputs())
    report = run_cases(replace(held, policy=policy))
    assert not report.holds
    assert any(policy.version in fault for one in report.results for fault in one.faults)


@pytest.mark.parametrize("how", BROKEN)
def test_a_version_without_effect_holds_up_no_decision(how: str) -> None:
    assert workers._beside(broken(BROKEN[how]), inputs()) is None
    assert workers._beside(shipped().policy, inputs()) is not None


def test_whatever_a_version_without_effect_raises_holds_up_no_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_self: Policy, _inputs: PolicyInputs) -> Verdict:
        raise RuntimeError

    monkeypatch.setattr(Policy, "evaluate", fails)
    assert workers._beside(shipped().policy, inputs()) is None
