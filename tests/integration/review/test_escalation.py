"""A reviewer refers a case to the risk officers: whose it is then, and who reads why."""

from __future__ import annotations

import pytest

from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_desk import act, emptied, in_section, mine, waiting
from tests.integration.review.test_service import API, APPROVE

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHY = "额度超出本人把握，请定夺"


async def test_an_escalated_case_is_the_risk_officers_until_they_give_it_on(
    bank: Bank, desks: Desks
) -> None:
    await emptied(desks)
    (case,) = await waiting(bank, 1)
    reviewer, colleague, officer = (
        desks.first,
        await bank.colleague(desks.transport, "reviewer"),
        desks.second,
    )
    await act(reviewer, case, "claim")
    answer = await reviewer.post(f"{API}/cases/{case}/escalate", {"note": " "})
    assert (answer.status_code, answer.json()["code"]) == (422, "no-opinion")
    told = await act(reviewer, case, "escalate", {"note": WHY})
    assert told["escalation"]["staff_id"] == reviewer.staff_id
    assert told["claimed_by"] is None
    assert case not in await mine(reviewer)
    # the words are sealed in history and file
    rows = await bank.fetch(
        "SELECT details::text || f.body::text AS kept FROM case_history h JOIN case_file f"
        " USING (application_id) WHERE application_id = $1 AND action = 'escalated'",
        case,
    )
    assert len(rows) == 1
    assert WHY not in rows[0]["kept"]

    # no other reviewer is given it, or takes it
    assert (await colleague.post(f"{API}/queue/next")).status_code == 404
    answer = await colleague.post(f"{API}/cases/{case}/claim")
    assert (answer.status_code, answer.json()["code"]) == (403, "escalated")
    page = await colleague.get("/review/queue", lang="en")
    assert f"/review/cases/{case}/claim" not in page.text
    assert "section=escalated" not in page.text
    assert "Risk officers" in page.text

    # a risk officer finds it in a section of its own, and reads why
    assert case in await in_section(officer, "escalated")
    page = await officer.get("/review/queue", lang="en", section="escalated")
    assert f"/review/cases/{case}/claim" in page.text
    answer = await officer.post(f"{API}/queue/next")
    assert answer.json()["application_id"] == case
    page = await officer.get(f"/review/cases/{case}", lang="en")
    assert WHY in page.text
    assert "escalated this case to the risk officers" in page.text
    answer = await officer.post(f"{API}/cases/{case}/escalate", {"note": WHY})
    assert (answer.status_code, answer.json()["code"]) == (409, "is-risk-officer")

    # and decides like anybody who has a case, or gives it to a reviewer
    body = {"cases": [case], "to": colleague.staff_id}
    answer = await officer.post(f"{API}/reassignments", body)
    assert answer.json()["given"] == [case]
    assert case in await mine(colleague)
    told = (await colleague.get(f"{API}/cases/{case}")).json()
    assert told["escalation"] is None
    told = await act(colleague, case, "decision", APPROVE)
    assert told["waits_for"] == "signature"


async def test_who_may_not_know_of_holds_is_not_told_of_an_escalation(
    bank: Bank, desks: Desks
) -> None:
    (case,) = await waiting(bank, 1)
    await act(desks.first, case, "claim")
    page = await desks.first.client.post(f"/review/cases/{case}/escalate", data={"note": WHY})
    assert page.headers["location"] == f"/review/cases/{case}"
    manager = await bank.colleague(desks.transport, "manager")
    told = (await manager.get(f"{API}/cases/{case}")).json()
    assert (told["escalation"], told["claimed_by"]) == (None, None)
    assert await in_section(manager, "escalated") == set()
    for path in (f"/review/cases/{case}", "/review/queue"):
        assert "scalated" not in (await manager.get(path, lang="en")).text


async def test_who_escalated_by_mistake_takes_the_case_back(bank: Bank, desks: Desks) -> None:
    (case,) = await waiting(bank, 1)
    await act(desks.first, case, "claim")
    await act(desks.first, case, "escalate", {"note": WHY})
    told = await act(desks.first, case, "claim")
    assert (told["claimed_by"], told["escalation"]) == (desks.first.staff_id, None)
    assert case not in await in_section(desks.second, "escalated")


async def test_with_all_that_a_risk_officer_has_no_reviewer_is_given_an_escalated_case(
    bank: Bank, desks: Desks
) -> None:
    await emptied(desks)
    escalated, plain = await waiting(bank, 2)
    holder = await bank.colleague(desks.transport, "reviewer", "risk_officer")
    reviewer = await bank.colleague(desks.transport, "reviewer")
    await act(desks.first, escalated, "claim")
    await act(desks.first, escalated, "escalate", {"note": WHY})
    for case in (escalated, plain):
        await act(holder, case, "claim")
    body = {"of": holder.staff_id, "to": reviewer.staff_id}
    told = (await desks.second.post(f"{API}/reassignments", body)).json()
    assert told["given"] == [plain]
    refused = {"kind": "case", "application_id": escalated, "code": "escalated"}
    assert told["refused"] == [refused]
    assert escalated in await mine(holder)
    form = {"staff_id": holder.staff_id, "to": reviewer.staff_id}
    await desks.second.client.post("/review/workload/hand-over", data=form)
    page = (await desks.second.get("/review/workload", lang="en")).text
    assert "The case was escalated: a risk officer takes it." in page
    told = (
        await desks.second.post(f"{API}/reassignments", {**body, "to": desks.second.staff_id})
    ).json()
    assert told["given"] == [escalated]
    case = (await desks.second.get(f"{API}/cases/{escalated}")).json()
    assert case["escalation"]["staff_id"] == desks.first.staff_id
