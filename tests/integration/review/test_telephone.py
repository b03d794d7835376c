"""Telephone verification as it is done: asked for by a finding or an officer, called, weighed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.parameters import load_checks, load_telephone
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, APPROVE, CONFIRM, case_of, do, handed

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEARD = "本人确认在职，单位地址一致"


async def doubtful(bank: Bank) -> Applicant:
    """Somebody whose income such work does not pay."""
    most = max(one.up_to for one in load_checks().plausibility.occupations)
    factor = load_checks().plausibility.regions["31"]
    income = int(most * factor) * 100 + 100_00
    return await handed(
        bank, "application.referred", new_to_bank=True, income=income, occupation="工程师"
    )


async def rescored(bank: Bank, applicant: Applicant, times: int) -> None:
    async def done() -> bool:
        rows = await bank.fetch(
            "SELECT count(*) AS n FROM case_history WHERE application_id = $1"
            " AND action = 'scored'",
            applicant.application_id,
        )
        return bool(rows[0]["n"] >= times)

    await eventually(done)


async def test_a_finding_asks_for_a_call_and_who_confirms_lets_two_people_approve(
    bank: Bank, desks: Desks
) -> None:
    applicant = await doubtful(bank)
    assert "TELEPHONE_MISSING" in (await case_of(desks.first, applicant))["findings"]
    listed = await desks.first.get(f"{API}/queue", flag="TELEPHONE_MISSING")
    assert applicant.application_id in listed.text
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", APPROVE) == 409
    said = {"heard": "confirmed", "note": HEARD}
    assert await do(desks.second, applicant, "calls", said) == 409  # the first has the case
    assert await do(desks.first, applicant, "calls", {"heard": "confirmed"}) == 422
    assert await do(desks.first, applicant, "calls", said) == 200
    await rescored(bank, applicant, 2)
    found = await case_of(desks.first, applicant)
    assert "TELEPHONE_MISSING" not in found["findings"]
    (check,) = [one for one in found["checks"] if one["check"] == "telephone"]
    assert (check["outcome"], check["attempts"]) == ("answered", 1)
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    answer = await desks.first.get(f"{API}/cases/{applicant.application_id}/verification")
    assert answer.json()["same"] is True
    told = await bank.said(applicant, "banka.review")
    assert [kind for kind, _, _ in told if kind.startswith("telephone.")] == [
        "telephone.ordered",
        "telephone.called",
    ]
    everything: Any = json.dumps([body for _, _, body in told], ensure_ascii=False)
    assert HEARD not in everything
    assert applicant.mobile not in everything


async def test_a_contradiction_is_weighed_and_nobody_approves(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "call-order", {"note": "核实单位"}) == 200
    assert await do(desks.first, applicant, "call-order", {"note": "再次"}) == 409
    await rescored(bank, applicant, 2)
    assert await do(desks.first, applicant, "decision", APPROVE) == 409
    heard = {"heard": "contradicted", "note": "称从未在该单位任职"}
    assert await do(desks.first, applicant, "calls", heard) == 200
    await rescored(bank, applicant, 3)
    assert "TELEPHONE_CONTRADICTED" in (await case_of(desks.first, applicant))["findings"]
    assert await do(desks.first, applicant, "decision", APPROVE) == 409
    decline = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": "电核不符"}
    assert await do(desks.first, applicant, "decision", decline) == 200


async def test_who_is_not_reached_is_called_at_another_time_and_then_a_person_goes_on(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "call-order", {"note": "核实单位"}) == 200
    morning, missed = bank.now, {"heard": "not_reached"}
    try:
        for nth in range(1, load_telephone().tries + 1):
            assert await do(desks.first, applicant, "calls", missed) == 200
            assert await do(desks.first, applicant, "calls", missed) == 409
            found = await case_of(desks.first, applicant)
            (check,) = [one for one in found["checks"] if one["check"] == "telephone"]
            assert (check["outcome"], check["attempts"]) == ("unavailable", nth)
            bank.step(bank.now + timedelta(days=1))
        assert check["why"] == "not-reached"
        assert await do(desks.first, applicant, "decision", APPROVE) == 409
    finally:
        bank.step(morning)


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_the_page_has_the_script_for_whoever_calls_and_takes_what_was_heard(
    bank: Bank, desks: Desks, language: str
) -> None:
    applicant = await doubtful(bank)
    here = f"/review/cases/{applicant.application_id}"
    terms = load_telephone()
    (income,) = [one for one in terms.questions if one.code == "income"]
    question = income.words.in_language(language)
    page = (await desks.first.get(here, lang=language)).text
    assert ("待电核" if language == "zh-CN" else "call awaited") in page
    assert question not in page  # nobody has the case yet
    assert await do(desks.first, applicant, "claim") == 200
    page = (await desks.first.get(here, lang=language)).text
    assert question in page
    assert 'data-key="t"' in page
    assert 'id="telephone"' in page
    assert question not in (await desks.second.get(here, lang=language)).text
    form = {"heard": "confirmed", "note": HEARD}
    answer = await desks.first.client.post(f"{here}/calls", data=form)
    assert answer.status_code == 303
    await rescored(bank, applicant, 2)
    page = (await desks.first.get(here, lang=language)).text
    assert ("已确认" if language == "zh-CN" else "Confirmed") in page
    assert HEARD in page  # in the history, for who may read the notes
