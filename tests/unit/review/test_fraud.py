"""Fraud rules: each fires from its parameter on, says how many there are, and declines nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.review import case as cases
from services.review import examination
from services.review.checks import fraud
from services.review.checks.kind import Evidence, OwnReport, RuleHit
from services.review.policy import PolicyInputs
from services.review.queue import FLAGS
from services.review.reason_codes import REASONS, Effect
from services.review.words import facts_of
from services.review.workers import findings_of, look
from shared.events.lifecycle import State
from shared.parameters import load_checks
from shared.web.i18n import in_language
from tests.unit.review.builders import NOW, SEALED, case, hand_over, inputs, recommendation, shipped

RULES = load_checks().fraud
PERSON = {"mobile": "13900005678", "office_phone": "021-64567890", "work_address": "漕溪路1号"}
COUNTED = [
    ("person", "FRAUD_VELOCITY", RULES.same_person.count),
    ("mobile", "FRAUD_MOBILE", RULES.same_mobile.count),
    ("office_phone", "FRAUD_OFFICE_PHONE", RULES.same_office_phone.count),
    ("work_address", "FRAUD_WORK_ADDRESS", RULES.same_work_address.count),
    ("employer", "FRAUD_EMPLOYER", RULES.same_employer.count),
]


def seen(**changes: Any) -> list[RuleHit]:
    evidence = Evidence(person=PERSON, applicant_type="salaried", region="31")
    return fraud.look(replace(evidence, **changes)).hits


@pytest.mark.parametrize(("trace", "code", "enough"), COUNTED)
def test_as_many_as_the_parameter_says_are_a_hit_that_names_their_number(
    trace: str, code: str, enough: int
) -> None:
    assert seen(shared={trace: enough}) == [RuleHit(code=code, count=enough)]
    assert seen(shared={trace: enough + 5}) == [RuleHit(code=code, count=enough + 5)]


@pytest.mark.parametrize(("trace", "code", "enough"), COUNTED)
def test_one_less_stays_quiet(trace: str, code: str, enough: int) -> None:
    assert seen(shared={trace: enough - 1}) == []


def test_an_employer_may_have_more_applicants_than_anything_else_that_is_shared() -> None:
    others = (RULES.same_mobile, RULES.same_office_phone, RULES.same_work_address)
    assert all(RULES.same_employer.count > one.count for one in others)


def test_nothing_shared_is_no_hit() -> None:
    assert seen(shared=dict.fromkeys(fraud.TRACES, 1)) == []
    assert seen() == []


def test_a_device_that_intake_found_shared_is_a_hit_without_a_number() -> None:
    assert seen(warnings=["DEVICE_SHARED", "DOC_STALE"]) == [RuleHit(code="FRAUD_DEVICE")]


@pytest.mark.parametrize("warnings", [[], ["MOBILE_SHARED"], ["DOC_STALE"]])
def test_no_other_warning_is_a_shared_device(warnings: list[str]) -> None:
    assert seen(warnings=warnings) == []


def test_several_contradictions_are_a_hit_and_a_slip_of_the_pen_is_none() -> None:
    found = RULES.contradicts[: RULES.contradictions]
    hit = RuleHit(code="FRAUD_CONTRADICTION", count=RULES.contradictions)
    assert seen(warnings=[*found, "DOC_STALE"]) == [hit]
    assert seen(warnings=[found[0], found[0], "DOC_STALE"]) == []
    assert seen(warnings=["DOC_STALE", "DOC_SHORT", "ID_PROVINCE"]) == []


@pytest.mark.parametrize(
    ("field", "typed", "same"),
    [
        ("office_phone", "021-64567890", "（021）6456 7890"),
        ("work_address", "漕溪路１号 a座", "漕溪路1号A座"),
        ("mobile", "139 0000 5678", "13900005678"),
        ("employer", "恒远（上海）科技有限公司", "恒远(上海) 科技有限公司"),
        ("employer", "Ｓｔａｒ Light Co., Ltd.", "STAR LIGHT CO LTD"),
    ],
)
def test_what_is_typed_otherwise_is_found_as_the_same(field: str, typed: str, same: str) -> None:
    assert fraud.left_by({field: typed}) == fraud.left_by({field: same})


def test_what_is_not_there_leaves_nothing_to_be_found_by() -> None:
    assert fraud.left_by({"mobile": "13900005678", "office_phone": " - ", "name": "甲"}) == {
        "mobile": "13900005678"
    }


def looked(clear: Mapping[str, str]) -> OwnReport | None:
    payload = examination.scoring(case()).payload
    return look(payload, clear, {"person": 1})["fraud"]


def test_without_a_mobile_number_the_rules_have_no_answer() -> None:
    found = looked({"office_phone": "021-64567890"})
    assert found is None
    assert "FRAUD_UNAVAILABLE" in findings_of({}, {"fraud": found})


def test_who_has_no_office_is_looked_at_all_the_same() -> None:
    assert looked({"mobile": "13900005678"}) == OwnReport(hits=[], without=list(fraud.ALSO))


def test_fields_that_the_rules_look_at_are_opened_where_the_party_has_them() -> None:
    subject = case()
    (party,) = hand_over().parties
    bare = {"name": SEALED, "id_number": SEALED}
    subject.hand_over = hand_over(parties=[party.model_copy(update={"fields": bare})])
    assert "mobile" not in examination.scoring(subject).payload["fields"]
    fields = {**party.fields, "mobile": SEALED, "office_phone": SEALED}
    subject.hand_over = hand_over(parties=[party.model_copy(update={"fields": fields})])
    assert {"mobile", "office_phone"} < examination.scoring(subject).payload["fields"].keys()


BY_A_POLICY = "FRAUD_SUSPECTED"  # for which a policy's own row holds a case
CODES = [code for code in REASONS if code.startswith("FRAUD_") and code != BY_A_POLICY]


@pytest.mark.parametrize("code", CODES)
def test_a_hit_makes_a_person_look_whatever_the_tables_say(code: str) -> None:
    verdict = shipped().policy.evaluate(inputs(noticed=(code,)))
    assert (verdict.outcome, verdict.advice, verdict.findings) == ("refer", "examine", (code,))
    assert REASONS[code].effect is Effect.REFER
    assert code in FLAGS


def test_a_hit_does_not_soften_what_the_tables_found() -> None:
    found = shipped().policy.evaluate(inputs(noticed=("FRAUD_MOBILE",), age=80))
    assert (found.outcome, found.findings) == ("decline", ("AGE_OUTSIDE", "FRAUD_MOBILE"))
    new = shipped().policy.evaluate(inputs(noticed=("FRAUD_MOBILE",), new_to_bank=True))
    assert (new.outcome, new.advice) == ("refer", "examine")


def test_what_was_noticed_is_frozen_with_the_inputs() -> None:
    asked = inputs(noticed=("FRAUD_MOBILE", "FRAUD_DEVICE"))
    assert PolicyInputs.thaw(asked.freeze()) == asked


def test_the_answer_stands_beside_the_case_and_is_not_used_again() -> None:
    subject = case()
    effects = examination.looked_at(subject, {"fraud": {"answer": str(SEALED), "why": None}}, NOW)
    check = subject.checks["fraud"]
    assert (check.outcome, check.answer, check.valid_until) == ("answered", str(SEALED), None)
    assert len(effects) == 1
    assert "check.fraud" not in examination.scoring(subject).payload["answers"]


def test_nobody_is_approved_where_the_rules_had_nothing_to_look_at() -> None:
    subject = case()
    examination.looked_at(subject, {"fraud": {"answer": None, "why": cases.NO_FIELD}}, NOW)
    found = recommendation(outcome="approve", findings=())
    cases.apply_recommendation(subject, found, NOW)
    assert subject.state is State.MANUAL_REVIEW
    assert cases.approval_obstacles(subject, NOW) == ["FRAUD_UNAVAILABLE"]
    assert not subject.checks["fraud"].may_be_asked_again


def test_the_page_says_the_rule_and_how_many() -> None:
    report = OwnReport(hits=[RuleHit(code="FRAUD_MOBILE", count=4), RuleHit(code="FRAUD_DEVICE")])
    opened: Any = type("Opened", (), {"answers": {"fraud": report.model_dump()}})
    subject = case()
    examination.looked_at(subject, {"fraud": {"answer": str(SEALED), "why": None}}, NOW)
    with in_language("en"):
        facts = facts_of(subject.checks["fraud"], opened, confidential=False)
    assert [(fact.label, fact.value) for fact in facts] == [
        ("Several persons applied with this mobile number", "4 in all"),
        ("Several persons applied on one device", "worth a look"),
    ]
