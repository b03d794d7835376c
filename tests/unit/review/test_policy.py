"""Each rule of the policy: it fires, it stays quiet, and where exactly it begins."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.review.limits import work_out
from services.review.policy import (
    BureauRecord,
    Policy,
    PolicyInputs,
    basis_of,
    binding,
    debt_ratio_bp,
)
from services.review.policy_folder import SHIPPED, read_policies, tables_of
from services.review.reason_codes import REASONS, Effect
from shared.events.payload import ApplicantType
from shared.events.review import LimitBasis
from shared.money import Money
from tests.unit.review.builders import RECORD, TERMS, heedless, inputs, shipped

_WEAK_RECORD: dict[str, Any] = {
    "bureau_score": 505,
    "bureau_queries_3m": 5,
    "bureau_open_cards": 10,
    "bureau_monthly_debt": 480_000,
    "monthly_income": 600_000,
    "new_to_bank": True,
}
_WEAK_MEANS: dict[str, Any] = {
    "bureau_score": 665,
    "bureau_overdue_24m": 2,
    "bureau_queries_3m": 8,
    "bureau_open_cards": 10,
    "bureau_monthly_debt": 240_000,
    "monthly_income": 400_000,
}
_MIDDLING: dict[str, Any] = {
    "bureau_score": 565,
    "bureau_queries_3m": 8,
    "bureau_monthly_debt": 300_000,
    "new_to_bank": True,
}

# code: (inputs just inside the rule, inputs just outside it)
BOUNDARIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "WATCHLIST_HIT": ({"watchlist": "hit"}, {"watchlist": "clear"}),
    "ID_MISMATCH": ({"identity": "mismatch"}, {"identity": "match"}),
    "ID_CANCELLED": ({"identity": "cancelled"}, {"identity": "match"}),
    "AGE_OUTSIDE": ({"age": 17}, {"age": 18}),
    "CARDS_AT_CAP": ({"bureau_open_cards": 16}, {"bureau_open_cards": 15}),
    "BUREAU_ADVERSE": ({"bureau_adverse": True}, {"bureau_adverse": False}),
    "OVERDUE_SERIOUS": ({"bureau_overdue_24m": 6}, {"bureau_overdue_24m": 5}),
    "SCORE_TOO_LOW": ({"bureau_score": 499}, {"bureau_score": 500}),
    # 455 points; with fewer queries 480, as a known customer 495
    "SCORECARD_LOW_RECORD": (_WEAK_RECORD, {**_WEAK_RECORD, "bureau_queries_3m": 3}),
    "SCORECARD_LOW_MEANS": (
        {**_WEAK_MEANS, "new_to_bank": True},
        {**_WEAK_MEANS, "new_to_bank": False},
    ),
    "LENDERS_EXCESSIVE": ({"bureau_lenders_6m": 9}, {"bureau_lenders_6m": 8}),
    "LENDERS_MANY": ({"bureau_lenders_6m": 5}, {"bureau_lenders_6m": 4}),
    "LENDERS_UNKNOWN": ({"bureau_lenders_6m": None}, {"bureau_lenders_6m": 0}),
    "QUERIES_EXCESSIVE": ({"bureau_queries_3m": 11}, {"bureau_queries_3m": 10}),
    "DEBT_RATIO_EXCESSIVE": ({"bureau_monthly_debt": 700_100}, {"bureau_monthly_debt": 700_000}),
    # 60,000 - 57,000.01 leaves less than the smallest limit of 3,000 yuan
    "NO_LIMIT_LEFT": (
        {"bureau_other_bank_limits": 5_700_001},
        {"bureau_other_bank_limits": 5_700_000},
    ),
    "NEW_TO_BANK": ({"new_to_bank": True}, {"new_to_bank": False}),
    "NO_CREDIT_RECORD": ({"bureau_score": None}, {"bureau_score": 700}),
    "SCORE_MIDDLING": ({"bureau_score": 619}, {"bureau_score": 620}),
    # 545 points, and 560
    "SCORECARD_MIDDLING": (
        {**_MIDDLING, "monthly_income": 799_900},
        {**_MIDDLING, "monthly_income": 800_000},
    ),
    "OVERDUE_MINOR": ({"bureau_overdue_24m": 1}, {"bureau_overdue_24m": 0}),
    "QUERIES_MANY": ({"bureau_queries_3m": 7}, {"bureau_queries_3m": 6}),
    "DEBT_RATIO_HIGH": ({"bureau_monthly_debt": 500_100}, {"bureau_monthly_debt": 500_000}),
    "CARDS_MANY": ({"bureau_open_cards": 9}, {"bureau_open_cards": 8}),
    "INCOME_UNKNOWN": ({"monthly_income": None}, {"monthly_income": 1}),
    "STUDENT_SECOND_SOURCE": ({"applicant_type": "student"}, {"applicant_type": "salaried"}),
    "PRE_CHECK_WARNINGS": ({"warnings": 1}, {"warnings": 0}),
    "IDENTITY_UNAVAILABLE": ({"identity": "unavailable"}, {"identity": "match"}),
    "BUREAU_UNAVAILABLE": ({"bureau": None}, {}),
    "WATCHLIST_UNAVAILABLE": ({"watchlist": "unavailable"}, {"watchlist": "clear"}),
}
OTHER_SIDE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "AGE_OUTSIDE": ({"age": 66}, {"age": 65}),
    "OVERDUE_SERIOUS": ({"bureau_max_overdue_days_24m": 90}, {"bureau_max_overdue_days_24m": 89}),
    "SCORE_MIDDLING": ({"bureau_score": 500}, {"bureau_score": 499}),
    "OVERDUE_MINOR": ({"bureau_overdue_24m": 5}, {"bureau_overdue_24m": 6}),
    "QUERIES_MANY": ({"bureau_queries_3m": 10}, {"bureau_queries_3m": 11}),
    "DEBT_RATIO_HIGH": ({"bureau_monthly_debt": 700_000}, {"bureau_monthly_debt": 700_100}),
    "CARDS_MANY": ({"bureau_open_cards": 15}, {"bureau_open_cards": 16}),
    "INCOME_UNKNOWN": (
        {"monthly_income": None, "applicant_type": "existing_customer"},
        {"monthly_income": None, "applicant_type": "supplementary"},
    ),
    # no income: what is lacking is said, not that others' limits leave nothing
    "NO_LIMIT_LEFT": (
        {
            "monthly_income": None,
            "applicant_type": "supplementary",
            "bureau_other_bank_limits": 700_001,
        },
        {"monthly_income": None, "bureau_other_bank_limits": 9_000_000},
    ),
}
OTHER_SIDE["SCORECARD_MIDDLING"] = ({**_WEAK_RECORD, "bureau_queries_3m": 3}, _WEAK_RECORD)
_CASES = [*BOUNDARIES.items(), *OTHER_SIDE.items()]


# version: (digest of its text, of its frozen verdicts)
_SHIPPED = {
    "2026.2": (
        "c0cad7618700077bcc92eca7b0683efaba2eca316db6448ab11bd79a883f5334",
        "8d4afc6fac9966cef86c2c6e5082731617db80b1a5a492c2bfcfc374411943d1",
    ),
    "2026.3": (
        "9dc45b9130651ad0953f2ac310725d1cd09ecd5d56d7cf2295ffabcf82f76c39",
        "397bd8765d17ea0f26c7857edc0cd7ca3f89ba54f8b43234d6b8ec3616181780",
    ),
    "2026.4": (
        "fea7323749cc55bceaf33d6bfea1b3751e332ba344143774ce30dba567e8c48b",
        "9e44339bfd0d4f007433ef0e9fdb40198e01b31b1078a1b1c9c1185f5ca7ccba",
    ),
}
_OF_THE_FIRST_FORM = "47702464405e278f9c08ee93289cb9fc30e498ba50e7fdbaa2b35a0f93b00519"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return shipped().policy


def test_a_good_applicant_known_to_the_bank_is_approved_by_the_policy_alone(policy: Policy) -> None:
    verdict = policy.evaluate(inputs())
    assert (verdict.outcome, verdict.advice, verdict.findings) == ("approve", "approve", ())
    assert verdict.limit == Money.of(50_000)


@pytest.mark.parametrize(("code", "sides"), _CASES, ids=[code for code, _ in _CASES])
def test_rule_fires_inside_its_boundary_and_is_quiet_outside(
    policy: Policy, code: str, sides: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    inside, outside = sides
    assert code in policy.evaluate(inputs(**inside)).findings
    assert code not in policy.evaluate(inputs(**outside)).findings


def test_every_rule_of_the_policy_is_tested_and_in_the_catalogue(policy: Policy) -> None:
    rules = tables_of(policy)["rules.json"]
    effects = {rule["code"].strip("'"): rule["effect"].strip("'") for rule in rules}
    assert effects.keys() == BOUNDARIES.keys()
    assert effects == {code: REASONS[code].effect.value for code in effects}


# what each finding is made of that holds whatever the tables say
BINDING = {
    code: BOUNDARIES[code][0]
    for code in (
        *("WATCHLIST_HIT", "ID_MISMATCH", "ID_CANCELLED", "AGE_OUTSIDE", "NEW_TO_BANK"),
        *("NO_CREDIT_RECORD", "STUDENT_SECOND_SOURCE"),
        *("IDENTITY_UNAVAILABLE", "BUREAU_UNAVAILABLE", "WATCHLIST_UNAVAILABLE"),
    )
} | {
    "OWN_CARDS_AT_CAP": {"terms": replace(TERMS, cards_per_customer=5), "own_cards": 5},
}


@pytest.mark.parametrize("code", BINDING)
def test_no_policy_overlooks_what_binds_every_bank(code: str) -> None:
    verdict = heedless().evaluate(inputs(**BINDING[code]))
    assert verdict.findings == (code,)
    effect = REASONS[code].effect
    assert verdict.outcome == effect.value
    advice = {"WATCHLIST_HIT": "examine", "NEW_TO_BANK": "approve"}
    usual = "decline" if effect is Effect.DECLINE else "examine"
    assert verdict.advice == advice.get(code, usual)


def test_the_last_of_the_banks_cards_may_be_granted_and_none_was_counted_before() -> None:
    terms = replace(TERMS, cards_per_customer=5)
    assert heedless().evaluate(inputs(terms=terms, own_cards=4)).outcome == "approve"
    assert binding(inputs(own_cards=99)) == ()


def test_what_was_overlooked_never_makes_a_verdict_milder() -> None:
    """Beside a decline of the tables a new customer is a person's; anybody else stays declined."""
    debt = {"bureau_monthly_debt": 900_000}
    declined = heedless().evaluate(inputs(**debt))
    new = heedless().evaluate(inputs(**debt, new_to_bank=True))
    unread = heedless().evaluate(inputs(**debt, watchlist="unavailable"))
    assert (declined.outcome, new.outcome, unread.outcome) == ("decline", "refer", "decline")
    assert {one.advice for one in (declined, new, unread)} == {"decline"}


@pytest.mark.parametrize(("code", "sides"), BOUNDARIES.items(), ids=list(BOUNDARIES))
def test_one_finding_alone_leads_to_its_effect(
    policy: Policy, code: str, sides: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    verdict = policy.evaluate(inputs(**sides[0]))
    strongest = {REASONS[found].effect for found in verdict.findings}
    expected = next(
        effect for effect in (Effect.HOLD, Effect.DECLINE, Effect.REFER) if effect in strongest
    )
    if "NEW_TO_BANK" in verdict.findings and expected is Effect.DECLINE:
        assert (verdict.outcome, verdict.advice) == ("refer", "decline")
    else:
        assert verdict.outcome == expected.value


@pytest.mark.parametrize("change", [{}, {"identity": "mismatch"}, {"bureau_score": 560}])
def test_new_to_bank_always_ends_at_a_person(policy: Policy, change: dict[str, Any]) -> None:
    assert policy.evaluate(inputs(new_to_bank=True, **change)).outcome == "refer"


def test_a_new_customer_with_a_knock_out_is_referred_with_the_advice_to_decline(
    policy: Policy,
) -> None:
    verdict = policy.evaluate(inputs(new_to_bank=True, bureau_adverse=True))
    assert (verdict.outcome, verdict.advice) == ("refer", "decline")
    assert verdict.limit == Money.zero()


def test_suspicion_comes_before_everything_else(policy: Policy) -> None:
    verdict = policy.evaluate(inputs(watchlist="hit", identity="mismatch", new_to_bank=True))
    assert verdict.outcome == "hold"


def holding_on(when: str) -> Policy:
    """The policy as it ships, and a row that holds a case."""
    texts = json.loads(shipped().policy.source)
    (table,) = (one for one in texts["rules.json"]["nodes"] if one["id"] == "findings")
    row = {"_id": "fraud", "when": when, "code": "'FRAUD_SUSPECTED'", "effect": "'hold'"}
    table["content"]["rules"].append(row)
    return Policy(json.dumps(texts))


@pytest.mark.parametrize(
    ("noticed", "outcome"),
    [
        ((), "approve"),
        (("FRAUD_MOBILE",), "refer"),
        (("FRAUD_MOBILE", "FRAUD_CONTRADICTION"), "hold"),
    ],
)
def test_a_policy_may_hold_a_case_for_what_the_fraud_rules_noticed(
    noticed: tuple[str, ...], outcome: str
) -> None:
    both = "'FRAUD_MOBILE' in noticed and 'FRAUD_CONTRADICTION' in noticed"
    verdict = holding_on(both).evaluate(inputs(noticed=noticed))
    assert verdict.outcome == outcome
    assert ("FRAUD_SUSPECTED" in verdict.findings) == (outcome == "hold")
    assert set(noticed) <= set(verdict.findings)


def test_without_the_bureau_there_is_no_limit_and_no_approval(policy: Policy) -> None:
    verdict = policy.evaluate(inputs(bureau=None))
    assert verdict.outcome == "refer"
    assert verdict.working is None
    assert (verdict.limit, verdict.ceiling) == (Money.zero(), Money.zero())


def test_the_larger_of_stated_and_reported_limits_is_deducted(policy: Policy) -> None:
    stated = policy.evaluate(inputs(stated_limits=5_000_000))
    reported = policy.evaluate(inputs(bureau_other_bank_limits=5_000_000))
    assert stated.ceiling == reported.ceiling == Money.of(10_000)


@pytest.mark.parametrize(
    ("debt", "income", "expected"),
    [(0, 0, 0), (1, 0, 10_000), (50, 100, 5000), (1, 3, 3333), (2, 3, 6667), (1, 20_000, 1)],
)
def test_debt_ratio_is_rounded_half_up(debt: int, income: int, expected: int) -> None:
    assert debt_ratio_bp(debt, income) == expected


def test_a_frozen_decision_computed_again_gives_the_same_bytes(policy: Policy) -> None:
    frozen = inputs(new_to_bank=True, requested_limit=2_345_600, bureau_score=None)
    verdict = policy.evaluate(frozen)
    again = Policy(policy.source).evaluate(PolicyInputs.thaw(frozen.freeze()))
    assert again.freeze() == verdict.freeze()


def test_a_decision_by_the_first_form_is_still_computed_to_the_same_bytes() -> None:
    old = _first_form()
    assert old.digest == "a0979e65e6f0ceb0b0d58d896e335295e06650aa779b8a2cc56ddf07021879c9"
    frozen = inputs(new_to_bank=True, requested_limit=2_345_600, bureau_score=None).freeze()
    verdict = old.evaluate(PolicyInputs.thaw(frozen)).freeze()
    assert hashlib.sha256(verdict.encode()).hexdigest() == _OF_THE_FIRST_FORM


@pytest.mark.parametrize("version", _SHIPPED)
def test_a_decision_by_a_version_that_ships_is_computed_to_the_same_bytes(version: str) -> None:
    """A published policy never changes, nor what follows from it."""
    policy, (digest, frozen) = read_policies(SHIPPED)[version].policy, _SHIPPED[version]
    assert policy.digest == digest
    verdicts = [
        policy.evaluate(inputs(applicant_type=kind, monthly_income=income)).freeze()
        for kind in ("existing_customer", "student", "supplementary")
        for income in (None, 800_00)
    ]
    assert hashlib.sha256("".join(verdicts).encode()).hexdigest() == frozen


def test_every_version_that_ships_is_frozen() -> None:
    assert _SHIPPED.keys() == read_policies(SHIPPED).keys()


def test_another_policy_has_another_digest(policy: Policy) -> None:
    changed = policy.source.replace("bureau.score < 500", "bureau.score < 501")
    assert changed != policy.source
    other = Policy(changed)
    assert other.digest != policy.digest
    assert "SCORE_TOO_LOW" in other.evaluate(inputs(bureau_score=500)).findings


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"card-policy.json": {}}', '{"policy": {"version": "1"}}']
)
def test_a_text_that_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a policy"):
        Policy(text)


@cache
def _first_form() -> Policy:
    """2026.1, by which nothing is decided any more."""
    folder = Path(__file__).with_name("first_form")
    texts = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}
    return Policy(json.dumps(texts, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def _every_version() -> list[Policy]:
    """Every version that ships, and the one of the first form."""
    return [_first_form(), *(held.policy for held in read_policies(SHIPPED).values())]


_RECORDS = st.builds(
    BureauRecord,
    score=st.none() | st.integers(300, 900),
    overdue_24m=st.integers(0, 24),
    max_overdue_days_24m=st.integers(0, 200),
    queries_3m=st.integers(0, 30),
    open_cards=st.integers(0, 20),
    other_bank_limits=st.integers(0, 30_000_000),
    monthly_debt=st.integers(0, 3_000_000),
    adverse=st.booleans(),
    lenders_6m=st.integers(0, 20),
)


@pytest.mark.parametrize("policy", _every_version(), ids=lambda one: one.version)
@given(record=_RECORDS, income=st.integers(1, 10_000_000), more=st.integers(0, 10_000_000))
def test_more_income_never_lowers_the_limit(
    policy: Policy, record: BureauRecord, income: int, more: int
) -> None:
    before = policy.evaluate(inputs(bureau=record, monthly_income=income))
    after = policy.evaluate(inputs(bureau=record, monthly_income=income + more))
    assert after.ceiling >= before.ceiling
    assert after.limit >= before.limit


@pytest.mark.parametrize("applicant_type", list(ApplicantType))
@given(record=_RECORDS, income=st.integers(0, 10_000_000), own=st.integers(0, 10_000_000))
def test_not_stating_an_income_never_gives_more_than_stating_any(
    applicant_type: ApplicantType, record: BureauRecord, income: int, own: int
) -> None:
    known = {"applicant_type": applicant_type.value, "bureau": record, "own_existing": own}
    untold = shipped().policy.evaluate(inputs(**known, monthly_income=None))
    told = shipped().policy.evaluate(inputs(**known, monthly_income=income))
    assert untold.ceiling <= told.ceiling
    if applicant_type in (ApplicantType.STUDENT, ApplicantType.SUPPLEMENTARY):
        assert untold.ceiling == told.ceiling  # what they earn does not count
    else:
        assert untold.limit <= told.limit
        assert "INCOME_UNKNOWN" in untold.findings
        assert untold.outcome != "approve"


@pytest.mark.parametrize("applicant_type", ["student", "supplementary"])
@given(
    record=st.none() | _RECORDS,
    income=st.integers(0, 10_000_000),
    new=st.booleans(),
    own=st.integers(0, 10_000_000),
)
@example(record=RECORD, income=1, new=False, own=0)
@example(record=replace(RECORD, monthly_debt=250_000), income=100_000, new=False, own=0)
@example(record=replace(RECORD, monthly_debt=60_000), income=100_000, new=False, own=0)
def test_of_students_and_supplementary_cards_an_income_changes_nothing_from_the_first_fen(
    applicant_type: str, record: BureauRecord | None, income: int, new: bool, own: int
) -> None:
    known: dict[str, Any] = {
        "applicant_type": applicant_type,
        "bureau": record,
        "new_to_bank": new,
        "own_existing": own,
    }
    untold = shipped().policy.evaluate(inputs(**known, monthly_income=None))
    told = shipped().policy.evaluate(inputs(**known, monthly_income=income))
    assert (told.outcome, told.limit, told.ceiling) == (
        *(untold.outcome, untold.limit, untold.ceiling),
    )
    assert told.freeze() == untold.freeze()


def test_who_states_no_income_no_longer_gets_what_a_small_one_was_declined_for() -> None:
    """A supplementary holder known to the bank; a student."""
    versions = {name: held.policy for name, held in read_policies(SHIPPED).items()}
    debt = replace(RECORD, monthly_debt=250_000)
    found = {
        (name, kind): [
            versions[name].evaluate(inputs(applicant_type=kind, bureau=debt, monthly_income=one))
            for one in (None, 1_000_00)
        ]
        for name in ("2026.3", "2026.4")
        for kind in ("supplementary", "student")
    }
    outcomes = {key: [one.outcome for one in both] for key, both in found.items()}
    assert outcomes == {
        ("2026.3", "supplementary"): ["approve", "decline"],
        ("2026.3", "student"): ["refer", "decline"],
        ("2026.4", "supplementary"): ["approve", "approve"],
        ("2026.4", "student"): ["refer", "refer"],
    }
    assert {one.limit for one in found["2026.4", "supplementary"]} == {Money.of(4_000)}


@pytest.mark.parametrize("policy", _every_version(), ids=lambda one: one.version)
@given(record=_RECORDS, more=st.integers(0, 30_000_000))
def test_more_limits_elsewhere_never_raise_the_limit(
    policy: Policy, record: BureauRecord, more: int
) -> None:
    worse = replace(record, other_bank_limits=record.other_bank_limits + more)
    assert (
        policy.evaluate(inputs(bureau=worse)).limit <= policy.evaluate(inputs(bureau=record)).limit
    )


# {what of a record gets worse: how}
_WORSE: dict[str, st.SearchStrategy[Any]] = {
    "score": st.integers(-600, 0),
    "overdue_24m": st.integers(0, 24),
    "max_overdue_days_24m": st.integers(0, 200),
    "queries_3m": st.integers(0, 30),
    "open_cards": st.integers(0, 20),
    "monthly_debt": st.integers(0, 3_000_000),
    "lenders_6m": st.integers(0, 20),
}


@pytest.mark.parametrize("policy", _every_version(), ids=lambda one: one.version)
@given(
    record=_RECORDS.filter(lambda one: one.score is not None),
    income=st.none() | st.integers(1, 10_000_000),
    changes=st.fixed_dictionaries({}, optional=_WORSE),
    adverse=st.booleans(),
)
def test_a_worse_record_never_raises_the_score_or_the_limit(
    policy: Policy,
    record: BureauRecord,
    income: int | None,
    changes: dict[str, int],
    adverse: bool,
) -> None:
    values = {name: max(0, getattr(record, name) + more) for name, more in changes.items()}
    worse = replace(record, **values, adverse=record.adverse or adverse)
    before = policy.evaluate(inputs(bureau=record, monthly_income=income))
    after = policy.evaluate(inputs(bureau=worse, monthly_income=income))
    if policy is not _first_form():  # which has no score card
        assert before.score
        assert after.score
        assert after.score.points <= before.score.points
    assert after.ceiling <= before.ceiling
    assert after.limit <= before.limit


@given(record=st.none() | _RECORDS, new=st.booleans())
def test_points_are_the_sum_of_what_the_factors_gave(
    record: BureauRecord | None, new: bool
) -> None:
    score = shipped().policy.evaluate(inputs(bureau=record, new_to_bank=new)).score
    assert (score is None) == (record is None)
    if score is not None:
        assert [one.factor for one in score.factors] == list(shipped().manifest.factors)
        assert score.points == sum(one.points for one in score.factors)
        assert all(0 <= one.points <= one.most for one in score.factors)


@given(record=st.none() | _RECORDS, new=st.booleans())
def test_the_policy_alone_never_approves_what_it_should_not(
    record: BureauRecord | None, new: bool
) -> None:
    facts = inputs(bureau=record, new_to_bank=new)
    verdict = shipped().policy.evaluate(facts)
    assert set(binding(facts)) <= set(verdict.findings)
    if verdict.outcome == "approve":
        assert not new
        assert record is not None
        assert verdict.findings == ()
        assert verdict.limit > Money.zero()


@pytest.mark.parametrize(
    ("applicant_type", "score", "on_5000", "on_unknown"),
    [
        # the product multiplies an income by 6 and grants at most 50,000
        ("salaried", 720, 30_000, 0),
        ("existing_customer", 700, 30_000, 0),
        ("salaried", 699, 24_000, 0),
        ("self_employed", 620, 24_000, 0),
        ("salaried", 619, 15_000, 0),
        ("salaried", 400, 15_000, 0),
        ("salaried", None, 12_000, 0),
        ("student", 720, 50_000, 50_000),
        ("student", None, 50_000, 50_000),
        ("supplementary", 720, 10_000, 10_000),
        ("supplementary", None, 10_000, 10_000),
    ],
)
def test_the_limit_of_every_band_of_scores(
    applicant_type: str, score: int | None, on_5000: int, on_unknown: int
) -> None:
    for income, expected in ((5_000_00, on_5000), (None, on_unknown)):
        verdict = shipped().policy.evaluate(
            inputs(
                applicant_type=applicant_type,
                monthly_income=income,
                bureau_score=score,
                bureau_other_bank_limits=0,
            )
        )
        assert verdict.working is not None
        assert verdict.working.ceiling == Money.of(expected), income


_CAPPED = replace(TERMS, limit=replace(TERMS.limit, customer_cap=Money.of(10_000)))


@pytest.mark.parametrize(
    ("facts", "basis"),
    [
        ({"requested_limit": 500_000, "own_existing": 100_000}, LimitBasis.WISH),
        ({"monthly_income": 100_000_000, "bureau_other_bank_limits": 0}, LimitBasis.HIGHEST),
        ({"monthly_income": 100_000_000, "requested_limit": 10**10}, LimitBasis.HIGHEST),
        ({"bureau_other_bank_limits": 100, "monthly_income": 500_000}, LimitBasis.INCOME),
        ({"bureau_other_bank_limits": 0, "own_existing": 5_000_000}, LimitBasis.OTHER_LIMITS),
        ({"bureau_other_bank_limits": 0, "stated_limits": 5_000_000}, LimitBasis.OTHER_LIMITS),
        ({"bureau_other_bank_limits": 0, "monthly_income": 500_000}, LimitBasis.INCOME),
        ({"bureau_other_bank_limits": 0, "terms": _CAPPED}, LimitBasis.HIGHEST),
        ({"bureau_other_bank_limits": 500_000, "terms": _CAPPED}, LimitBasis.OTHER_LIMITS),
        (
            {"applicant_type": "supplementary", "bureau_other_bank_limits": 0},
            LimitBasis.HIGHEST,  # its share of the product's largest, whatever the income
        ),
    ],
)
def test_what_bounded_a_limit_is_told_by_its_kind(facts: dict[str, Any], basis: LimitBasis) -> None:
    seen = inputs(**facts)
    frozen = json.loads(shipped().policy.evaluate(seen).freeze())
    assert basis_of(seen, frozen["working"]) is basis


@given(
    income=st.none() | st.integers(300_000, 3_000_000),
    counts=st.booleans(),
    other=st.integers(0, 2_000_000),
    own=st.integers(0, 500_000),
    cap=st.integers(1_500_000, 20_000_000),
    share=st.integers(1_000_000, 6_000_000),
)
def test_a_limit_is_told_by_the_bound_without_which_there_would_be_more(
    income: int | None, counts: bool, other: int, own: int, cap: int, share: int
) -> None:
    terms = replace(TERMS.limit, customer_cap=Money(minor=cap))
    facts: dict[str, Any] = {
        "monthly_income": Money(minor=income) if income is not None else None,
        "income_counts": counts,
        "income_multiple": Decimal(6),
        "cap_without_income": Money(minor=share),
        "other_bank_limits": Money(minor=other),
        "own_existing": Money(minor=own),
        "requested": None,
    }
    working = work_out(terms, **facts)
    assume(working.ceiling > Money.zero())
    boundless = replace(terms, largest=_ANY, customer_cap=_ANY)
    without = {
        LimitBasis.OTHER_LIMITS: work_out(
            terms, **{**facts, "other_bank_limits": Money.zero(), "own_existing": Money.zero()}
        ),
        LimitBasis.HIGHEST: work_out(boundless, **{**facts, "cap_without_income": _ANY}),
    }
    if counts and income is not None:
        without[LimitBasis.INCOME] = work_out(terms, **{**facts, "monthly_income": _ANY})
    gained = {basis: one.ceiling - working.ceiling for basis, one in without.items()}
    told = basis_of(
        inputs(
            monthly_income=income,
            bureau_other_bank_limits=other,
            own_existing=own,
            terms=replace(TERMS, limit=terms),
        ),
        json.loads(json.dumps(working.as_json())),
    )
    assert told in gained, "no income is named that did not count"
    # of two bounds that are as near only both together give way
    assert gained[told] > Money.zero() or not any(gained.values())
    if told is not LimitBasis.HIGHEST:
        assert gained[told] == max(gained[one] for one in gained if one is not LimitBasis.HIGHEST)


_ANY = Money.of(1_000_000_000)
