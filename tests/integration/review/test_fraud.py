"""The fraud rules on the real database: what applications share is found by keyed digests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.parameters import load_checks
from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import case_of, handed, said

pytestmark = pytest.mark.asyncio(loop_scope="module")
RULES = load_checks().fraud


async def test_the_last_of_several_with_one_number_goes_to_a_person_and_the_others_did_not(
    bank: Bank, desks: Desks
) -> None:
    for _ in range(RULES.same_mobile.count - 1):
        await handed(bank, "application.approved", mobile="13911112222")
    caught = await handed(bank, "application.referred", mobile="139 1111 2222")
    assert (await case_of(desks.first, caught))["findings"] == ["FRAUD_MOBILE"]
    page = await desks.first.get(f"/review/cases/{caught.application_id}", lang="en")
    assert "Several persons applied with this mobile number" in page.text
    assert f"{RULES.same_mobile.count} in all" in page.text
    told = (await bank.said(caught, "banka.applications"))[-1][2]
    assert told["reason_codes"] == ["CLOSER_LOOK"]


async def test_the_last_of_very_many_with_one_employer_goes_to_a_person_and_nobody_is_declined(
    bank: Bank, desks: Desks
) -> None:
    many = []
    for _ in range(RULES.same_employer.count - 1):
        many.append(await bank.applicant(employer="云岭（上海）茶业有限公司"))
        await bank.hand_over(many[-1])
    for one in many:
        await said(bank, one, "application.approved")
    caught = await handed(bank, "application.referred", employer="云岭(上海) 茶业有限公司")
    assert (await case_of(desks.first, caught))["findings"] == ["FRAUD_EMPLOYER"]
    page = await desks.first.get(f"/review/cases/{caught.application_id}", lang="en")
    assert "Very many persons applied with this employer" in page.text
    assert f"{RULES.same_employer.count} in all" in page.text
    await handed(bank, "application.approved", employer="青岚茶业有限公司")


async def test_what_was_handed_over_before_the_term_counts_no_more_and_is_forgotten(
    bank: Bank,
    desks: Desks,
) -> None:
    kept = "SELECT count(*) AS n FROM fraud_trace WHERE application_id = $1 AND kind = 'mobile'"
    old = [
        await handed(bank, "application.approved", mobile="13911113333")
        for _ in range(RULES.same_mobile.count - 1)
    ]
    assert [(await bank.fetch(kept, one.application_id))[0]["n"] for one in old] == [1, 1]
    morning = bank.now
    bank.step(morning + timedelta(days=RULES.same_mobile.days, hours=1))
    try:
        await handed(bank, "application.approved", mobile="13911113333")
        assert [(await bank.fetch(kept, one.application_id))[0]["n"] for one in old] == [0, 0]
    finally:
        bank.step(morning)


async def test_a_person_who_applies_often_goes_to_a_person_and_is_counted_as_one_elsewhere(
    bank: Bank, desks: Desks
) -> None:
    first = await handed(bank, "application.approved", mobile="13911114444", income=60_000_00)
    for nth in range(2, RULES.same_person.count + 1):
        last = nth == RULES.same_person.count
        again = await bank.applicant(mobile="13911114444", as_before=first, income=60_000_00)
        await bank.hand_over(again)
        await said(bank, again, "application.referred" if last else "application.approved")
    assert (await case_of(desks.first, again))["findings"] == ["FRAUD_VELOCITY"]


async def test_nothing_that_is_left_to_be_found_by_can_be_read(
    bank: Bank,
    desks: Desks,
) -> None:
    applicant = await handed(
        bank, "application.approved", office_phone="021-64567891", work_address="漕溪路9号"
    )
    rows = await bank.fetch(
        "SELECT * FROM fraud_trace WHERE application_id = $1 ORDER BY kind",
        applicant.application_id,
    )
    assert [row["kind"] for row in rows] == [
        *("employer", "mobile", "office_phone", "person", "work_address")
    ]
    assert all(len(row["digest"]) == 32 for row in rows)
    for row in rows:
        assert "02164567891" not in str(row)
        assert "漕溪路" not in str(row)
