"""The officer's desk: the next case, whose it is, and how cases come and go."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, handed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


async def waiting(bank: Bank, number: int, applicant_type: str = "existing_customer") -> list[str]:
    """Ids of so many cases that were referred to a person and are nobody's."""
    found = [
        await handed(bank, "application.referred", new_to_bank=True, applicant_type=applicant_type)
        for _ in range(number)
    ]
    return [one.application_id for one in found]


async def emptied(desks: Desks) -> None:
    """What earlier tests left waiting is taken: nothing waits any more."""
    while (await desks.second.post(f"{API}/queue/next")).status_code == 200:
        pass


async def test_the_next_case_is_the_first_that_is_due_and_nobodys(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    (salaried,) = await waiting(bank, 1, "salaried")  # ten working days
    first, second = await waiting(bank, 2)  # five
    claimed = [(await desks.first.post(f"{API}/queue/next")).json() for _ in range(3)]
    assert [one["application_id"] for one in claimed] == [first, second, salaried]
    assert {one["claimed_by"] for one in claimed} == {desks.first.staff_id}
    answer = await desks.first.post(f"{API}/queue/next")
    assert (answer.status_code, answer.json()["code"]) == (404, "nothing-waits")
    page = await desks.first.client.post("/review/queue/next")
    assert (page.status_code, page.headers["location"]) == (303, "/review/queue")
    assert (await desks.compliance.post(f"{API}/queue/next")).status_code == 403


async def test_officers_who_ask_at_once_get_a_case_each(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    there = await waiting(bank, 6)
    officers = [desks.first, desks.second] * 3
    answers = await asyncio.gather(*(one.post(f"{API}/queue/next") for one in officers))
    assert [one.status_code for one in answers] == [200] * 6
    assert sorted(one.json()["application_id"] for one in answers) == sorted(there)
    for answer, officer in zip(answers, officers, strict=True):
        assert answer.json()["claimed_by"] == officer.staff_id


async def test_the_next_case_opens_on_its_page(bank: Bank, desks: Desks) -> None:
    await emptied(desks)
    (case,) = await waiting(bank, 1)
    queue = await desks.first.get("/review/queue", lang="en")
    assert 'data-key="n"' in queue.text
    answer = await desks.first.client.post("/review/queue/next")
    assert answer.headers["location"] == f"/review/cases/{case}"
    page = await desks.first.get(answer.headers["location"], lang="en")
    assert "The case is yours." in page.text
    assert 'data-key="n"' in page.text
    auditor = await bank.colleague(desks.transport, "auditor")
    for path in ("/review/queue", f"/review/cases/{case}"):
        assert 'data-key="n"' not in (await auditor.get(path, lang="en")).text
