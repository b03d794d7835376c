"""What an approval needs, as it is enforced and shown: papers, fields, the opinion, and answers
that still hold when somebody proposes and when somebody signs."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from services.review.preconditions import OPINION
from shared.events import intake
from shared.events.payload import CreditConsent
from shared.parameters import load_checks
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, APPROVE, CONFIRM, do, handed, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAPERS = "Every document that the product requires"
FIELDS = "Every field that the product's form requires"
VALID = "Every answer within its validity"


async def listed(who: Colleague, applicant: Applicant) -> dict[str, tuple[str, str]]:
    """{precondition: (its state, what is said beside it)} as the case's page shows them; empty
    where it does not."""
    page = await who.get(f"/review/cases/{applicant.application_id}", lang="en")
    assert page.status_code == 200
    shown = page.text.partition('<ul id="preconditions">')[2].partition("</ul>")[0]
    found = {}
    for line in shown.split("<li>")[1:]:
        text = unescape(re.sub(r"<[^>]+>", "|", line))
        state, words, *beside = [one.strip() for one in text.split("|") if one.strip()]
        found[words] = (state, "; ".join(beside))
    return found


async def told(who: Colleague, applicant: Applicant) -> dict[str, dict[str, Any]] | None:
    """{precondition: what the API says of it}; None where it says nothing of any."""
    answer = await who.get(f"{API}/cases/{applicant.application_id}")
    assert answer.status_code == 200
    found = answer.json()["preconditions"]
    return found and {one.pop("words"): one for one in found}


async def refused(who: Colleague, applicant: Applicant, act: str, body: Any) -> tuple[int, str]:
    answer = await who.post(f"{API}/cases/{applicant.application_id}/{act}", body)
    return answer.status_code, answer.json()["code"]


async def begun(bank: Bank, applicant: Applicant, **more: Any) -> None:
    """An application whose hand-over says something else."""
    bands = bank.handed_over(applicant)
    for name in ("documents", "waived", "warnings", "submitted_at"):
        bands.pop(name)
    await bank.tell(applicant, intake.ApplicationDrafted)
    await bank.tell(applicant, intake.ApplicationSubmitted, **bands)
    await bank.tell(applicant, intake.PreCheckStarted)
    await bank.pass_pre_check(applicant, **more)


async def test_one_paper_of_four_is_no_file_and_nobody_approves_by_it(
    bank: Bank, desks: Desks
) -> None:
    applicant = await bank.applicant()  # the policy would approve it
    papers = bank.handed_over(applicant)["documents"]
    short = [one for one in papers if one["item"] != "work_proof"]
    await begun(bank, applicant, documents=short)
    await said(bank, applicant, "application.referred")
    assert await do(desks.first, applicant, "claim") == 200
    assert await refused(desks.first, applicant, "decision", APPROVE) == (409, "not-approvable")
    state, beside = (await listed(desks.first, applicant))[PAPERS]
    assert state == "not met"
    assert "Proof of work" in beside
    papers = (await told(desks.first, applicant) or {})[PAPERS]
    assert (papers["met"], papers["against"]) == (False, ["DOCUMENT_MISSING"])
    assert papers["items"] == [["work_proof"]]


async def test_the_api_says_what_the_page_lists(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    await do(desks.first, applicant, "claim")
    meant = {True: "met", False: "not met", None: "open"}
    for days in (0, load_checks().systems.watchlist.valid_days):
        bank.step(bank.now + timedelta(days=days))
        page = {name: state for name, (state, _) in (await listed(desks.first, applicant)).items()}
        said_of = await told(desks.first, applicant) or {}
        assert {name: meant[one["met"]] for name, one in said_of.items()} == page
        assert said_of[VALID]["checks"] == (["watchlist"] if days else [])
        assert said_of[VALID]["against"] == (["EVIDENCE_STALE"] if days else [])
    decline = {"outcome": "decline", "reason": "SCORE_TOO_LOW", "note": "评分不足"}
    assert await do(desks.first, applicant, "decision", decline) == 200
    assert (await told(desks.second, applicant) or {})[OPINION]["met"] is None
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    assert await told(desks.second, applicant) is None  # nothing is to be approved any more


async def test_what_two_people_do_without_is_not_missed(bank: Bank, desks: Desks) -> None:
    applicant = await bank.applicant(new_to_bank=True)
    papers = bank.handed_over(applicant)["documents"]
    short = [one for one in papers if one["item"] != "work_proof"]
    await begun(bank, applicant, documents=short, waived=["work_proof"])
    await said(bank, applicant, "application.referred")
    await do(desks.first, applicant, "claim")
    assert (await listed(desks.first, applicant))[PAPERS] == ("met", "")
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200


async def test_a_field_that_the_form_has_not_stops_an_approval(bank: Bank, desks: Desks) -> None:
    applicant = await bank.applicant(new_to_bank=True)
    left = {name: text for name, text in applicant.party.fields.items() if name != "mobile"}
    applicant.party = applicant.party.model_copy(update={"fields": left})
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.referred")
    await do(desks.first, applicant, "claim")
    assert await refused(desks.first, applicant, "decision", APPROVE) == (409, "not-approvable")
    state, beside = (await listed(desks.first, applicant))[FIELDS]
    assert (state, "Mobile" in beside) == ("not met", True)


async def test_an_approval_without_an_opinion_is_refused_by_api_and_page(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    await do(desks.first, applicant, "claim")
    silent = {**APPROVE, "note": " "}
    assert await refused(desks.first, applicant, "decision", silent) == (422, "no-opinion")
    none = {name: value for name, value in APPROVE.items() if name != "note"}
    answer = await desks.first.post(f"{API}/cases/{applicant.application_id}/decision", none)
    assert answer.status_code == 422
    here = f"/review/cases/{applicant.application_id}"
    form = (await desks.first.get(here, lang="en")).text.partition(f'{here}/approval"')[2]
    (field,) = re.findall(r'<textarea[^>]*name="note"[^>]*>', form.partition("</form>")[0])
    assert "required" in field
    await desks.first.client.post(f"{here}/approval", data={"limit": "10000"})
    assert (await listed(desks.first, applicant))[OPINION] == ("open", "")
    assert await do(desks.first, applicant, "decision", APPROVE) == 200


async def test_who_signs_sees_the_list_that_who_proposed_saw(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    await do(desks.first, applicant, "claim")
    before = await listed(desks.first, applicant)
    assert before.pop(OPINION)[0] == "open"
    assert {state for state, _ in before.values()} == {"met"}
    await do(desks.first, applicant, "decision", APPROVE)
    assert await listed(desks.first, applicant) == {}  # there is nothing for them to do
    after = await listed(desks.second, applicant)
    assert after.pop(OPINION)[0] == "met"
    assert after == before
    # an answer lapses before the second signature
    bank.step(bank.now + timedelta(days=load_checks().systems.watchlist.valid_days))
    assert (await listed(desks.second, applicant))[VALID][0] == "not met"
    assert await refused(desks.second, applicant, "signature", CONFIRM) == (409, "not-approvable")
    back = {"outcome": "returned", "note": "名单查询已过期"}
    assert await do(desks.second, applicant, "signature", back) == 200
    # and who proposed has it asked again
    assert await refused(desks.first, applicant, "decision", APPROVE) == (409, "not-approvable")
    state, beside = (await listed(desks.first, applicant))[VALID]
    assert state == "not met"
    assert "ask again" in beside
    asked = await bank.receipts(applicant)
    assert await do(desks.first, applicant, "checks") == 200

    async def renewed() -> bool:
        return {state for state, _ in (await listed(desks.first, applicant)).values()} == {
            "met",
            "open",
        }

    await eventually(renewed)
    again = await bank.receipts(applicant)
    assert {name: len(again[name]) - len(asked[name]) for name in asked} == {
        "identity": 0,
        "bureau": 0,
        "watchlist": 1,
    }
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200


async def test_each_query_of_the_bureau_stands_with_its_consent_in_the_history(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    first = bank.now - timedelta(days=1)  # as the bank hands over
    await do(desks.first, applicant, "claim")
    wanted = {"items": [{"item": "income_proof", "code": "DOC_MISSING"}]}
    assert await do(desks.first, applicant, "material", wanted) == 200
    applicant.version = (await bank.said(applicant, "banka.applications"))[-1][1] or 0
    bank.step(bank.now + timedelta(days=load_checks().systems.bureau.valid_days))
    second = bank.now - timedelta(hours=1)
    await bank.tell(
        applicant,
        intake.MaterialRequested,
        items=wanted["items"],
        deadline=bank.now + timedelta(days=9),
        round=1,
    )
    await bank.tell(applicant, intake.MaterialCompleted)
    anew = CreditConsent(signed_at=second, purpose="信用卡审批")
    await bank.pass_pre_check(applicant, consent=anew)

    async def queried() -> list[Any]:
        return await bank.fetch(
            "SELECT details->>'consent_signed_at' AS at, details->>'purpose' AS purpose"
            " FROM case_history WHERE application_id = $1 AND action = 'check_requested'"
            " AND details->>'check' = 'bureau' ORDER BY id",
            applicant.application_id,
        )

    async def twice() -> bool:
        return len(await queried()) == 2

    await eventually(twice)
    assert [tuple(row) for row in await queried()] == [
        (first.isoformat(), "信用卡审批"),
        (second.isoformat(), "信用卡审批"),
    ]
    page = (await desks.first.get(f"/review/cases/{applicant.application_id}", lang="en")).text
    assert page.count("by a consent signed") == 2
