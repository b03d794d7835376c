"""Disputes about the credit report: a case of its own with its clock; while one is open people
decide, and what is put right is asked for anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.events import intake
from shared.identifiers import new_id
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, do, handed, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "报告中的逾期记录不是我的"
POLICY_DECLINES = 911  # an applicant with an adverse record


async def disputes(bank: Bank, applicant: Applicant) -> str:
    """The customer disputes the report through intake; the dispute's id, once review has it."""
    dispute_id = new_id()
    keys = await bank.vault.party_keys(applicant.party.party_id, applicant.application_id)
    await bank.tell(
        applicant,
        intake.DisputeRequested,
        dispute_id=dispute_id,
        words=str(keys.seal("financial", "note", WORDS)),
        entered_by="customer",
    )
    await said(bank, applicant, "dispute.opened")
    return dispute_id


async def act(colleague: Colleague, applicant: Applicant, what: str = "", **form: str) -> str:
    """What the page says after a command on the case's dispute."""
    here = f"/review/cases/{applicant.application_id}"
    await colleague.get(here, lang="en")  # and stays in English
    posted = await colleague.client.post(f"{here}/dispute{what}", data=form)
    assert posted.status_code == 303, posted.text
    return (await colleague.get(here, lang="en")).text


async def last(bank: Bank, applicant: Applicant, kind: str) -> Any:
    told = await bank.said(applicant, "banka.applications")
    return [body for one, _version, body in told if one == kind][-1]


async def queries(bank: Bank, applicant: Applicant) -> int:
    """How often the bureau was asked about the application."""
    return len((await bank.receipts(applicant))["bureau"])


async def test_a_correction_of_an_open_case_has_the_bureau_asked_anew(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await queries(bank, applicant) == 1
    dispute_id = await disputes(bank, applicant)
    opened = await last(bank, applicant, "dispute.opened")
    assert (opened["dispute_id"], opened["days"]) == (dispute_id, 20)
    assert opened["dispute_number"] == applicant.about["application_number"] + "-D1"
    listed = (await desks.first.get("/review/appeals", section="disputes", lang="en")).text
    assert opened["dispute_number"] in listed
    assert opened["dispute_number"] not in (await desks.first.get("/review/appeals")).text
    flagged = (await desks.first.get(f"{API}/queue", flag="REPORT_DISPUTED")).json()["cases"]
    assert applicant.application_id in [one["application_id"] for one in flagged]

    page = await act(desks.first, applicant, "/claim")
    assert WORDS in page
    assert "Until there is an answer no machine decides by it" in page
    assert "Another officer has this dispute." in await act(desks.second, applicant, "/claim")
    page = await act(desks.first, applicant, "/answer", became="corrected")
    assert "Please say in words what you found." in page
    page = await act(desks.first, applicant, "/answer", became="corrected", note="征信中心已更正")
    assert "The dispute is answered" in page
    assert "Asked anew: the earlier answer was wrong" in page
    answered = await last(bank, applicant, "dispute.answered")
    assert (answered["outcome"], answered["answered_by"]) == ("corrected", desks.first.staff_id)
    assert answered["reapply_from"] is None

    async def asked_again() -> bool:
        return await queries(bank, applicant) == 2

    await eventually(asked_again)
    told = str(await bank.said(applicant, "banka.applications"))
    assert WORDS not in told
    assert "征信中心已更正" not in told


async def test_no_machine_declines_somebody_by_a_report_that_they_dispute_elsewhere(
    bank: Bank, desks: Desks
) -> None:
    first = await handed(bank, "application.declined", POLICY_DECLINES)
    await disputes(bank, first)
    again = await bank.applicant(as_before=first, mobile="13912340000")
    await bank.hand_over(again)
    await said(bank, again, "application.referred")
    assert "application.declined" not in await bank.types(again)
    page = (await desks.first.get(f"/review/cases/{again.application_id}", lang="en")).text
    assert "Disputes the credit report: until there is an answer a person decides" in page
    # once it is answered, the next application is the policy's again
    await act(desks.first, first, "/claim")
    await act(desks.first, first, "/answer", became="upheld", note="记录属实")
    third = await bank.applicant(as_before=first, mobile="13912340001")
    await bank.hand_over(third)
    await said(bank, third, "application.declined")


async def test_who_was_declined_by_a_wrong_report_may_apply_again_at_once(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.declined", POLICY_DECLINES)
    here = f"cases/{applicant.application_id}/dispute"
    opened = await desks.first.post(f"{API}/{here}", {"note": WORDS})
    assert opened.status_code == 200
    assert opened.json()["outcome"] is None
    assert (await desks.first.post(f"{API}/{here}", {"note": WORDS})).status_code == 409
    assert await do(desks.first, applicant, "dispute/claim") == 200
    body = {"outcome": "corrected", "note": "征信中心已更正"}
    assert await do(desks.first, applicant, "dispute/answer", body) == 200
    answered = await last(bank, applicant, "dispute.answered")
    assert answered["reapply_from"] is not None
    assert await queries(bank, applicant) == 1  # a decline has ended: nobody is asked about it
    done = (await desks.first.get(f"{API}/disputes", answered="true")).json()["disputes"]
    assert applicant.application_id in [one["application_id"] for one in done]
    listed = await desks.first.get("/review/appeals", section="disputes-answered", lang="en")
    assert "the report is put right" in listed.text
    (case,) = await bank.fetch(
        "SELECT state FROM review_case WHERE application_id = $1", applicant.application_id
    )
    assert case["state"] == "declined"


async def test_a_report_that_is_put_right_is_used_in_none_of_the_persons_cases(
    bank: Bank, desks: Desks
) -> None:
    declined = await handed(bank, "application.declined", POLICY_DECLINES)
    other = await bank.applicant(as_before=declined, mobile="13912340002", new_to_bank=True)
    await bank.hand_over(other)
    await said(bank, other, "application.referred")
    here = f"{API}/cases/{other.application_id}"

    async def told() -> tuple[bool, bool, bool]:
        """Whether the other application is marked as disputed: on its page, in the list, and in
        the part of it that is so marked."""
        case = (await desks.first.get(here)).json()
        whole = (await desks.first.get(f"{API}/queue", page_size="100")).json()["cases"]
        part = (await desks.first.get(f"{API}/queue", flag="REPORT_DISPUTED")).json()["cases"]
        (row,) = [one for one in whole if one["application_id"] == other.application_id]
        return (
            "REPORT_DISPUTED" in str(case),
            "REPORT_DISPUTED" in str(row),
            other.application_id in [one["application_id"] for one in part],
        )

    assert await told() == (False, False, False)
    await disputes(bank, declined)
    assert await told() == (True, True, True)
    assert await do(desks.first, other, "checks") == 409, "its answer is valid"
    await act(desks.first, declined, "/claim")
    bank.step(bank.now + timedelta(hours=1))
    await act(desks.first, declined, "/answer", became="corrected", note="征信中心已更正")
    assert await told() == (False, False, False)
    conditions = (await desks.first.get(here)).json()["preconditions"]
    assert ["bureau"] in [one["checks"] for one in conditions if one["met"] is False]
    assert await do(desks.first, other, "claim") == 200
    by_the_old = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": "征信不良"}
    refused = await desks.first.post(f"{here}/decision", by_the_old)
    assert (refused.status_code, refused.json()["code"]) == (409, "answer-wrong")
    assert await do(desks.first, other, "checks") == 200

    async def asked_again() -> bool:
        return await queries(bank, other) == 2

    await eventually(asked_again)
    assert await queries(bank, declined) == 1


async def test_a_dispute_is_escalated_when_its_answer_is_near_and_when_it_is_late(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.declined", POLICY_DECLINES)
    await disputes(bank, applicant)
    (row,) = await bank.fetch(
        "SELECT due FROM appeal WHERE application_id = $1", applicant.application_id
    )
    here = f"/review/cases/{applicant.application_id}"
    manager = await bank.colleague(desks.transport, "manager", branch=bank.branch)
    await bank.open_branch(bank.branch, "31")

    async def says(words: str) -> bool:
        return words in (await desks.first.get(here, lang="en")).text

    assert not await says("The answer to the dispute is due soon")
    bank.step(row["due"] - timedelta(days=2) + timedelta(minutes=1))
    await eventually(lambda: says("The answer to the dispute is due soon"))
    assert not await says("Dispute overdue")
    bank.step(row["due"] + timedelta(minutes=1))
    await eventually(lambda: says("Dispute overdue"))
    for colleague in (desks.first, manager):
        listed = (await colleague.get("/review/appeals", section="disputes", lang="en")).text
        assert "about the credit report is overdue" in listed or "are overdue" in listed
        assert "late by" in listed
