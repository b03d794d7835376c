"""Changes of a limit: worked out like the first one, decided by two people, and the decided
application stays as it was."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from services.review.account_store import own_cards
from shared.calendar import business_day, end_of_day
from shared.events import intake
from shared.identifiers import new_id
from shared.money import Money
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_disputes import disputes
from tests.integration.review.test_service import APPROVE, do, handed, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = "/review/api/v1"


async def in_use(bank: Bank, applicant: Applicant, *, facts: bool = True, **stated: Any) -> None:
    """The card is made and activated, and core banking has reported its account."""
    applicant.version = (await last(bank, applicant))[1] or 0
    card = new_id()
    await bank.tell(
        applicant, intake.CardOrdered, card_id=card, limit=Money.of(10_000).model_dump()
    )
    await bank.tell(applicant, intake.CardActivated, card_id=card)
    if facts:
        await reported(bank, applicant, card=card, **stated)

    async def activated() -> bool:
        (row,) = await bank.fetch(
            "SELECT state FROM review_case WHERE application_id = $1", applicant.application_id
        )
        return bool(row["state"] == "activated")

    await eventually(activated)


async def reported(bank: Bank, applicant: Applicant, *, card: str, **stated: Any) -> None:
    said = {
        "card_id": card,
        "person": applicant.party.person,
        "month": (bank.now.date().replace(day=1) - timedelta(days=1)).strftime("%Y-%m"),
        "revision": 1,
        "opened_on": date(2026, 1, 5),
        "closed_on": None,
        "days_past_due": 0,
        "balance": "under_1k",
        "last_customer_transaction": None,
        "policy_card": False,
        **stated,
    }
    payload = intake.AccountPerformanceReported.model_validate({**applicant.about, **said})
    await bank.publish(applicant.application_id, payload)

    async def known() -> bool:
        rows = "SELECT FROM account_month WHERE application_id = $1 AND month = $2"
        return bool(await bank.fetch(rows, applicant.application_id, said["month"]))

    await eventually(known)


async def by_people(bank: Bank, desks: Desks, **more: Any) -> Applicant:
    """Somebody new to the bank, whom two people granted 10,000."""
    applicant = await handed(bank, "application.referred", new_to_bank=True, **more)
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", {"outcome": "confirmed"}) == 200
    return applicant


async def known_to_the_bank(bank: Bank, wish: int = 10_000) -> Applicant:
    """An existing customer to whom the policy granted what they wished, or as much as it could."""
    applicant = await bank.applicant()
    submitted = {"new_to_bank": False, "age_band": "26-35", "income_band": "10000-19999"}
    await bank.tell(applicant, intake.ApplicationDrafted)
    await bank.tell(applicant, intake.ApplicationSubmitted, **submitted, parties=[applicant.party])
    await bank.tell(applicant, intake.PreCheckStarted)
    await bank.pass_pre_check(applicant, requested_limit=Money.of(wish).model_dump())
    await said(bank, applicant, "application.approved")
    return applicant


async def asks(
    bank: Bank, applicant: Applicant, kind: str, yuan: int, then: str = "opened", **more: Any
) -> str:
    """The customer asks through intake; the change's id, once review has said so."""
    wish = {
        "change_id": new_id(),
        "kind": kind,
        "wanted": Money.of(yuan).model_dump(),
        "agreed_at": bank.now,
        "entered_by": "staff:clerk",
        **more,
    }
    await bank.tell(applicant, intake.LimitChangeRequested, **wish)
    await told(bank, applicant, f"limit-change.{then}", wish["change_id"])
    return str(wish["change_id"])


async def told(bank: Bank, applicant: Applicant, what: str, change_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = [
            data
            for kind, _, data in await bank.said(applicant, "banka.applications")
            if kind == what and data["change_id"] == change_id
        ]
        return bool(found)

    await eventually(there)
    return found[-1]


async def last(bank: Bank, applicant: Applicant) -> tuple[str, int | None, Any]:
    return (await bank.said(applicant, "banka.applications"))[-1]


async def change_of(colleague: Colleague, applicant: Applicant) -> dict[str, Any]:
    answer = await colleague.get(f"{API}/cases/{applicant.application_id}/limit-changes")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["limit_changes"][0]
    return found


async def deciding(colleague: Colleague, applicant: Applicant) -> dict[str, Any]:
    """The change, once a person has to decide."""

    async def waits() -> bool:
        return bool((await change_of(colleague, applicant))["state"] == "deciding")

    await eventually(waits)
    return await change_of(colleague, applicant)


def grant(yuan: int) -> dict[str, Any]:
    return {"outcome": "grant", "limit": {"minor": yuan * 100}, "note": "收入稳定"}


async def act(colleague: Colleague, applicant: Applicant, what: str, body: Any) -> tuple[int, str]:
    here = f"{API}/cases/{applicant.application_id}/limit-change/{what}"
    answer = await colleague.post(here, body)
    return answer.status_code, answer.json().get("code", "")


CONFIRM = {"outcome": "confirmed"}


async def test_two_people_raise_a_limit_and_the_decided_application_stays_as_it_was(
    bank: Bank, desks: Desks
) -> None:
    applicant = await by_people(bank, desks)
    await in_use(bank, applicant, facts=False)
    rows = (
        "SELECT d.*, c.granted_limit, c.state_version, f.body FROM decision d"
        " JOIN review_case c USING (application_id) JOIN case_file f USING (application_id)"
        " WHERE application_id = $1"
    )
    kept = (rows, applicant.application_id)
    before = await bank.fetch(*kept)
    change_id = await asks(bank, applicant, "increase", 30_000)
    waits = await deciding(desks.first, applicant)
    assert waits["number"] == applicant.about["application_number"] + "-L1"
    assert waits["obstacles"] == ["ACCOUNT_UNREPORTED"]  # what is not known never passes
    assert await act(desks.first, applicant, "proposal", grant(30_000)) == (409, "not-approvable")
    here = f"/review/cases/{applicant.application_id}/limit-change"
    page = (await desks.first.get(here, lang="en")).text
    assert "Core banking has not reported the account" in page
    await reported(bank, applicant, card=new_id())
    page = (await desks.first.get(here, lang="en")).text
    assert "It cannot be granted yet" not in page
    assert "below 1,000 yuan is owed" in page
    too_much = await act(desks.first, applicant, "proposal", grant(30_100))
    assert too_much == (422, "limit-too-high")  # never more than the customer agreed to
    shown = await desks.first.client.post(f"{here}/working", data={"why": "decide", "text": ""})
    for line in ("Limits at other banks", "Own existing limits", "Approvable, at least zero"):
        assert line in shown.text
    assert (await act(desks.first, applicant, "proposal", grant(30_000)))[0] == 200
    assert await act(desks.second, applicant, "proposal", grant(20_000)) == (409, "proposed")
    assert await act(desks.first, applicant, "signature", CONFIRM) == (403, "same-person")
    assert (await act(desks.second, applicant, "signature", CONFIRM))[0] == 200
    decided = await told(bank, applicant, "limit-change.decided", change_id)
    assert (decided["outcome"], decided["limit"]["minor"]) == ("granted", 30_000_00)
    assert decided["decided_by"] == [desks.first.staff_id, desks.second.staff_id]
    assert await act(desks.second, applicant, "signature", CONFIRM) == (409, "nothing-proposed")
    assert await bank.fetch(*kept) == before
    listed = (await desks.first.get("/review/limit-changes", section="decided", lang="en")).text
    assert waits["number"] in listed


async def test_an_existing_customers_temporary_limit_is_granted_by_the_policy_and_ends_by_itself(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank)
    await in_use(bank, applicant)
    until = business_day(bank.now) + timedelta(days=10)
    change_id = await asks(bank, applicant, "temporary", 20_000, "decided", until=until)
    decided = await told(bank, applicant, "limit-change.decided", change_id)
    assert (decided["outcome"], decided["automatic"], decided["decided_by"]) == (
        "granted",
        True,
        [],
    )
    beside = await asks(bank, applicant, "increase", 30_000, "decided")
    assert (await told(bank, applicant, "limit-change.decided", beside))["outcome"] == "refused"

    # what the person has counts it, for whatever else they ask for
    other = await bank.applicant(as_before=applicant)
    assert other.party.person == applicant.party.person
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        owned = await own_cards(conn, other.party.person, other.application_id)
    finally:
        await conn.close()
    assert owned.limits == 20_000_00
    bank.step(end_of_day(until) - timedelta(days=3))
    await told(bank, applicant, "limit.expiring", change_id)
    bank.step(end_of_day(until))
    over = await told(bank, applicant, "limit.expired", change_id)
    assert (over["limit"]["minor"], over["why"]) == (10_000_00, "term")
    first = next(
        one
        for one in (
            await desks.first.get(f"{API}/cases/{applicant.application_id}/limit-changes")
        ).json()["limit_changes"]
        if one["change_id"] == change_id
    )
    assert first["state"] == "ended"


async def test_the_same_request_twice_is_one_change_and_of_two_at_once_one_is_worked_on(
    bank: Bank, desks: Desks
) -> None:
    applicant = await by_people(bank, desks)
    await in_use(bank, applicant)
    wish = {
        "kind": "increase",
        "wanted": Money.of(20_000).model_dump(),
        "agreed_at": bank.now,
        "entered_by": "staff:clerk",
    }
    first, second = new_id(), new_id()
    for change_id in (first, first, second):
        await bank.tell(applicant, intake.LimitChangeRequested, **wish, change_id=change_id)
    refused = await told(bank, applicant, "limit-change.decided", second)
    assert refused["outcome"] == "refused"
    rows = await bank.fetch(
        "SELECT change_id, state FROM limit_change WHERE application_id = $1 ORDER BY number",
        applicant.application_id,
    )
    assert [row["change_id"] for row in rows] == [first, second]
    assert (await bank.types(applicant)).count("limit-change.opened") == 1
    # redelivered by the broker, byte for byte
    await bank.publish_all_again()
    third = await by_people(bank, desks)
    await in_use(bank, third)
    again = await bank.fetch(
        "SELECT change_id, state FROM limit_change WHERE application_id = $1 ORDER BY number",
        applicant.application_id,
    )
    assert [row["change_id"] for row in again] == [first, second]


async def test_two_limits_of_one_person_raised_at_once_never_exceed_the_deduction(
    bank: Bank, desks: Desks
) -> None:
    one = await by_people(bank, desks)
    two = await bank.applicant(new_to_bank=True, as_before=one)
    assert two.party.person == one.party.person
    await bank.hand_over(two)
    await said(bank, two, "application.referred")
    assert await do(desks.first, two, "claim") == 200
    assert await do(desks.first, two, "decision", APPROVE) == 200
    assert await do(desks.second, two, "signature", CONFIRM) == 200
    for applicant in (one, two):
        await in_use(bank, applicant)
        await asks(bank, applicant, "increase", 50_000)
        waits = await deciding(desks.first, applicant)
        assert waits["obstacles"] == []
        body = grant(waits["ceiling"]["minor"] // 100)
        assert (await act(desks.first, applicant, "proposal", body))[0] == 200
    answers = await asyncio.gather(
        *(act(desks.second, applicant, "signature", CONFIRM) for applicant in (one, two))
    )
    assert sorted(answers) == [(200, ""), (409, "not-approvable")]
    rows = await bank.fetch(
        "SELECT state FROM limit_change WHERE application_id = ANY ($1) ORDER BY state",
        [one.application_id, two.application_id],
    )
    assert [row["state"] for row in rows] == ["granted", "proposed"]


async def test_the_bank_lowers_a_limit_and_never_below_what_is_owed(
    bank: Bank, desks: Desks
) -> None:
    applicant = await by_people(bank, desks)
    await in_use(bank, applicant)
    lower = {"limit": {"minor": 900_00}, "note": "他行逾期"}
    assert await act(desks.first, applicant, "lower", lower) == (422, "limit-not-fitting")
    lower["limit"] = {"minor": 5_000_00}
    assert (await act(desks.first, applicant, "lower", lower))[0] == 200
    assert await act(desks.first, applicant, "lower", lower) == (409, "limit-change-open")
    peer = await bank.colleague(desks.transport, "reviewer")
    assert await act(peer, applicant, "signature", CONFIRM) == (403, "risk-officer-needed")
    assert (await act(desks.second, applicant, "signature", CONFIRM))[0] == 200
    kind, _, decided = await last(bank, applicant)
    assert (kind, decided["by_bank"], decided["limit"]["minor"]) == (
        "limit-change.decided",
        True,
        5_000_00,
    )
    assert date.fromisoformat(decided["effective_on"]) > business_day(bank.now)


async def test_answers_that_got_old_are_asked_anew_with_the_customers_consent_alone(
    bank: Bank, desks: Desks
) -> None:
    silent, agreed = await by_people(bank, desks), await by_people(bank, desks)
    for applicant in (silent, agreed):
        await in_use(bank, applicant, facts=False)
    bank.step(bank.now + timedelta(days=31))
    for applicant in (silent, agreed):
        await reported(bank, applicant, card=new_id())
    before = await bank.receipts(agreed)
    await asks(bank, silent, "increase", 20_000)
    assert "BUREAU_UNAVAILABLE" in (await deciding(desks.first, silent))["obstacles"]
    consent = {"signed_at": bank.now - timedelta(minutes=1), "purpose": "信用卡审批"}
    await asks(bank, agreed, "increase", 20_000, consent=consent)
    assert (await deciding(desks.first, agreed))["obstacles"] == []
    after = await bank.receipts(agreed)
    assert {name: len(keys) for name, keys in after.items()} == {
        name: len(keys) + 1 for name, keys in before.items()
    }
    asked = await bank.receipts(silent)
    assert len(asked["bureau"]) == len(before["bureau"])  # nothing was asked without a consent


async def test_an_income_stated_anew_is_looked_at_before_the_policy_may_raise_a_limit(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank)
    await in_use(bank, applicant)
    keys = await bank.vault.party_keys(applicant.party.party_id, applicant.application_id)
    stated: dict[str, Any] = {
        "monthly_income": str(keys.seal("financial", "monthly_income", str(300_000_00))),
        "income_on": business_day(bank.now),
    }
    await asks(bank, applicant, "increase", 20_000, **stated)
    assert (await deciding(desks.first, applicant))["obstacles"] == []
    here = f"/review/cases/{applicant.application_id}/limit-change"
    page = (await desks.first.get(here, lang="en")).text
    assert "INCOME_IMPLAUSIBLE" in page
    for looked in ("Fraud rules", "Income and employer"):
        assert looked in page
    rows = "SELECT body FROM limit_change WHERE application_id = $1"
    (row,) = await bank.fetch(rows, applicant.application_id)
    own = json.loads(row["body"])["checks"]["plausibility"]
    assert (own["outcome"], own["answer"].split(".")[0]) == ("answered", "bk1")
    assert (await act(desks.first, applicant, "proposal", grant(20_000)))[0] == 200
    assert (await act(desks.second, applicant, "signature", CONFIRM))[0] == 200
    found = await desks.first.get(
        f"{API}/cases/{applicant.application_id}/limit-change/verification"
    )
    assert found.json()["same"] is True


async def test_while_the_report_is_disputed_beside_another_application_people_raise_a_limit(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank)
    await in_use(bank, applicant)
    other = await bank.applicant(new_to_bank=True, as_before=applicant)
    await bank.hand_over(other)
    await said(bank, other, "application.referred")
    await disputes(bank, other)
    change_id = await asks(bank, applicant, "increase", 20_000)
    await deciding(desks.first, applicant)
    here = f"/review/cases/{applicant.application_id}/limit-change"
    assert (
        "The customer disputes the credit report." in (await desks.first.get(here, lang="en")).text
    )
    assert (await act(desks.first, applicant, "proposal", grant(20_000)))[0] == 200
    assert (await act(desks.second, applicant, "signature", CONFIRM))[0] == 200
    decided = await told(bank, applicant, "limit-change.decided", change_id)
    assert (decided["outcome"], decided["automatic"]) == ("granted", False)


async def test_a_corrected_report_is_asked_for_anew_by_a_change_that_waits_and_used_no_more(
    bank: Bank, desks: Desks
) -> None:
    applicant = await known_to_the_bank(bank)
    await in_use(bank, applicant)
    await disputes(bank, applicant)
    consent = {"signed_at": bank.now - timedelta(minutes=1), "purpose": "信用卡审批"}
    change_id = await asks(bank, applicant, "increase", 20_000, consent=consent)
    await deciding(desks.first, applicant)
    assert (await act(desks.first, applicant, "proposal", grant(20_000)))[0] == 200
    assert len((await bank.receipts(applicant))["bureau"]) == 1
    assert await do(desks.first, applicant, "dispute/claim") == 200
    body = {"outcome": "corrected", "note": "征信中心已更正"}
    assert await do(desks.first, applicant, "dispute/answer", body) == 200
    # nothing is disputed any more, so that the policy may grant it by the new report
    decided = await told(bank, applicant, "limit-change.decided", change_id)
    assert (decided["outcome"], decided["automatic"]) == ("granted", True)
    assert len((await bank.receipts(applicant))["bureau"]) == 2
    beside = await known_to_the_bank(bank)
    await in_use(bank, beside)
    await disputes(bank, beside)
    assert await do(desks.first, beside, "dispute/claim") == 200
    bank.step(bank.now + timedelta(minutes=1))  # the bureau was asked before it was put right
    assert await do(desks.first, beside, "dispute/answer", body) == 200
    await asks(bank, beside, "increase", 20_000)  # without a consent, and the old one is outdated
    assert "BUREAU_UNAVAILABLE" in (await deciding(desks.first, beside))["obstacles"]
    assert len((await bank.receipts(beside))["bureau"]) == 1
