"""Income and employer: each doubt begins where the parameters say, and none declines."""

from __future__ import annotations

from typing import Any

import pytest

from services.review import examination
from services.review.checks import CHECKS, plausibility
from services.review.checks.kind import Evidence
from services.review.queue import FLAGS
from services.review.reason_codes import REASONS, Effect
from services.review.workers import findings_of, look
from shared.parameters import load_checklist_items, load_checks, product_of
from tests.unit.review.builders import case, inputs, shipped

TERMS = load_checks().plausibility
GOOD = {"employer": "星河灯塔科技有限公司", "occupation": "工程师", "monthly_income": "1000000"}


def doubts(
    papers: tuple[str, ...] = ("income_proof",),
    applicant_type: str = "salaried",
    region: str = "36",
    **changes: str,
) -> list[str]:
    evidence = Evidence(
        person={**GOOD, **changes}, applicant_type=applicant_type, region=region, papers=papers
    )
    return [hit.code for hit in plausibility.look(evidence).hits]


def yuan(amount: int) -> str:
    return str(amount * 100)


def test_who_earns_what_such_work_pays_is_not_doubted() -> None:
    assert doubts() == []


def test_a_high_income_wants_a_paper_that_shows_it() -> None:
    income = yuan(TERMS.proof_from)
    assert doubts(papers=("id_front",), monthly_income=income) == ["INCOME_UNPROVEN"]
    for paper in TERMS.proofs:
        assert doubts(papers=("id_front", paper), monthly_income=income) == []
    assert doubts(papers=("id_front",), monthly_income=yuan(TERMS.proof_from - 1)) == []
    # whose papers lie with the bank brings none again
    assert doubts((), "existing_customer", monthly_income=income) == []


@pytest.mark.parametrize("band", TERMS.occupations, ids=lambda band: str(band.words[0]))
def test_an_income_beyond_the_occupations_band_is_doubted(band: Any) -> None:
    work = f"高级{band.words[-1]}"
    assert doubts(occupation=work, monthly_income=yuan(band.up_to)) == []
    assert doubts(occupation=work, monthly_income=yuan(band.up_to + 1)) == ["INCOME_IMPLAUSIBLE"]


def test_an_occupation_that_no_band_knows_has_the_general_one() -> None:
    assert doubts(occupation="潜水员", monthly_income=yuan(TERMS.up_to)) == []
    assert doubts(occupation="潜水员", monthly_income=yuan(TERMS.up_to + 1)) == [
        "INCOME_IMPLAUSIBLE"
    ]


def test_where_more_is_paid_more_is_plausible() -> None:
    most = next(one.up_to for one in TERMS.occupations if "工程师" in one.words)
    in_shanghai = int(most * TERMS.regions["31"])
    assert doubts(region="31", monthly_income=yuan(in_shanghai)) == []
    assert doubts(region="31", monthly_income=yuan(in_shanghai + 1)) == ["INCOME_IMPLAUSIBLE"]


@pytest.mark.parametrize("name", ["发财", "ABCD", "老王家"])
def test_an_employer_that_is_called_like_no_organisation_is_doubted(name: str) -> None:
    assert doubts(employer=name) == ["EMPLOYER_UNUSUAL"]


@pytest.mark.parametrize(
    "name", ["市第一人民医院", "实验小学校", "Acme Co., Ltd.", "ＡＢＣ　ｌｔｄ"]
)
def test_an_organisation_is_known_by_one_word(name: str) -> None:
    assert doubts(employer=name) == []


def test_who_works_for_themselves_may_call_it_as_they_like() -> None:
    assert doubts(applicant_type="self_employed", employer="老王家") == []


def test_an_employer_of_the_banks_own_list_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    named = load_checks().model_copy(
        update={"plausibility": TERMS.model_copy(update={"doubtful_employers": ["星河灯塔"]})}
    )
    assert doubts() == []
    monkeypatch.setattr(plausibility, "load_checks", lambda: named)
    assert doubts() == ["EMPLOYER_LISTED"]
    assert doubts(employer="月亮灯塔公司") == []


def test_no_income_is_the_policys_to_weigh() -> None:
    assert doubts(monthly_income="") == []


def test_a_salaried_person_without_an_employer_is_not_approved() -> None:
    payload = examination.scoring(case()).payload
    assert look(payload, {"mobile": "13900005678"}, {})["plausibility"] is None
    found = look(payload | {"applicant_type": "student"}, {"mobile": "13900005678"}, {})
    assert found["plausibility"] is not None
    absent = CHECKS["plausibility"].absence
    assert absent in findings_of({}, {"plausibility": None})


def test_a_card_that_an_employer_arranges_is_looked_at_more_closely() -> None:
    for paper in TERMS.arranged_by:
        assert doubts(("income_proof", paper)) == ["EMPLOYER_ARRANGED"]
    assert doubts(("income_proof", "work_proof")) == []


def test_every_product_that_wants_an_employers_authorisation_is_seen_to_be_arranged() -> None:
    wanted = {
        item
        for product in ("standard", "gold", "student", "supplementary", "business")
        for lines in product_of(product, "2026.2").materials.values()
        for line in lines
        for item in line.items
    }
    assert {one for one in wanted if one.startswith("employer_")} == {*TERMS.arranged_by}


CODES = [
    *("INCOME_UNPROVEN", "INCOME_IMPLAUSIBLE", "EMPLOYER_UNUSUAL", "EMPLOYER_LISTED"),
    "EMPLOYER_ARRANGED",
]


@pytest.mark.parametrize("code", CODES)
def test_a_doubt_makes_a_person_look(code: str) -> None:
    verdict = shipped().policy.evaluate(inputs(noticed=(code,)))
    assert (verdict.outcome, verdict.advice, verdict.findings) == ("refer", "examine", (code,))
    assert REASONS[code].effect is Effect.REFER
    assert code in FLAGS


def test_the_papers_that_are_named_are_papers_of_the_checklist() -> None:
    assert {*TERMS.proofs, *TERMS.arranged_by} <= load_checklist_items().items.keys()
