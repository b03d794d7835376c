"""`banka decision explain` says what was decided for, by whom, and what review had found beside the
policy; of a suspicion nothing, and of a decision after one as much as of any other."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from deploy.local import Stack
from services.review.policy_store import PolicyNotHeldError, PolicyShelf
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_disputes import POLICY_DECLINES, disputes
from tests.integration.review.test_limit_decisions import Operator
from tests.integration.review.test_service import API, APPROVE, CONFIRM, do, handed, said
from tests.integration.review.test_suspicion import numbers_of_twins

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def operator(bank: Bank, review_stack: Stack) -> Operator:
    return Operator(bank, review_stack)


async def in_words(operator: Operator, applicant: Applicant) -> str:
    """What the command prints, on one line."""
    number = applicant.about["application_number"]
    return " ".join((await operator("explain", number, "--why", "审计")).split())


async def in_json(operator: Operator, applicant: Applicant) -> dict[str, Any]:
    number = applicant.about["application_number"]
    told: dict[str, Any] = json.loads(await operator("explain", number, "--why", "审计", "--json"))
    return told


async def verified(colleague: Colleague, applicant: Applicant) -> dict[str, Any]:
    answer = await colleague.get(f"{API}/cases/{applicant.application_id}/verification")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def declined_by_people(desks: Desks, applicant: Applicant, reason: str) -> None:
    decline = {"outcome": "decline", "reason": reason, "note": "工作证明系伪造"}
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", decline) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200


async def test_why_people_declined_and_what_review_had_found_itself(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    first = await handed(bank, "application.declined", POLICY_DECLINES)
    words = await in_words(operator, first)
    assert "by the policy alone" in words
    assert "declined for, as credit_history: OVERDUE_SERIOUS: Six or more overdue months" in words
    assert "review itself" not in words

    await disputes(bank, first)
    again = await bank.applicant(as_before=first, mobile="13912345001")
    await bank.hand_over(again)
    await said(bank, again, "application.referred")
    await declined_by_people(desks, again, "MATERIAL_UNSOUND")
    words = await in_words(operator, again)
    assert f"proposed by {desks.first.staff_id}, signed by {desks.second.staff_id}" in words
    assert (
        "declined for, as material_unsound: MATERIAL_UNSOUND: The material is contradictory or does"
        " not hold (primary) may apply again from 2027-02-07" in words
    )
    assert "review itself had found: REPORT_DISPUTED: Disputes the credit report" in words
    assert "工作证明系伪造" not in words  # an officer's words are opened in the audit log alone
    told = await in_json(operator, again)
    auditor = await bank.colleague(desks.transport, "auditor")
    shown = await verified(auditor, again)
    for name in ("reasons", "found_beside"):
        assert shown[name] == list(told[name])
    for name in ("primary_reason", "category", "reapply_from", "decided_by", "automatic"):
        assert shown[name] == told[name]
    assert shown["primary_reason"] == "MATERIAL_UNSOUND"
    manager = await bank.colleague(desks.transport, "manager")
    hidden = await verified(manager, again)
    assert (hidden["reasons"], hidden["primary_reason"], hidden["decided_by"]) == ([], None, [])


async def test_what_brought_an_approval_to_people_is_said(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    approve = {"outcome": "approve", "limit": {"minor": 10_000_00}, "note": "资料齐全"}
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", approve) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    words = await in_words(operator, applicant)
    assert "approved although: NEW_TO_BANK: New to the bank" in words
    assert "may apply again" not in words
    told = await in_json(operator, applicant)
    assert (told["primary_reason"], told["category"], told["reapply_from"]) == (None, None, None)


async def test_a_decline_after_a_suspicion_is_explained_as_any_other_for_internal_reasons(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    listed, free = numbers_of_twins()
    told, words = [], []
    for number, mobile in ((listed, "13711119001"), (free, "13722229001")):
        one = await bank.applicant(id_number=number, mobile=mobile, new_to_bank=True)
        await bank.hand_over(one)
        if number == listed:
            await said(bank, one, "application.held")
            found = {"finding": "confirmed", "note": "与名单一致"}
            assert await do(desks.compliance, one, "release", found) == 200
            assert await do(desks.second, one, "signature", CONFIRM) == 200
        else:
            await said(bank, one, "application.referred")
            await declined_by_people(desks, one, "INTERNAL_RISK")
        said_of_it = await in_words(operator, one)
        for who in (desks.first, desks.compliance):
            said_of_it = said_of_it.replace(who.staff_id, "somebody")
        words.append(said_of_it)
        told.append(await in_json(operator, one))
    for each in told:
        for name in ("decision_id", "decided_by"):
            assert each.pop(name)
    assert told[0] == told[1]
    assert told[0]["reasons"] == {
        "INTERNAL_RISK": "The bank's own risk knowledge speaks against the application"
    }
    assert words[0] == words[1]
    assert "WATCHLIST" not in words[0] + json.dumps(told)


async def changes_in_the_table(bank: Bank, applicant: Applicant, change: str) -> None:
    """What nobody but the database's owner can do to a decision."""
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        done = await conn.execute(
            f"UPDATE decision SET {change} WHERE application_id = $1", applicant.application_id
        )
    finally:
        await conn.close()
    assert done == "UPDATE 1"


@pytest.mark.parametrize(
    "change",
    [
        "granted_limit = granted_limit + 100000",
        (
            "outcome = 'decline', granted_limit = NULL, category = 'other',"
            " reapply_from = '2026-12-01'"
        ),
        "policy_version = '2025.1'",
        "points = points + 1",
        "pricing_class = 'Z'",
        "reasons = ARRAY['NO_SUCH_CODE']",
    ],
    ids=["the limit", "the outcome", "the version", "the points", "the class", "the reasons"],
)
async def test_a_decision_that_does_not_follow_from_its_grounds_shows(
    bank: Bank, desks: Desks, operator: Operator, change: str
) -> None:
    applicant = await handed(bank, "application.approved")
    number = applicant.about["application_number"]
    assert "same bytes" in await operator("verify", number)
    await changes_in_the_table(bank, applicant, change)
    assert "OTHER BYTES" in await operator("verify", number, code=1)
    assert (await verified(desks.first, applicant))["same"] is False


@pytest.mark.parametrize(
    "change",
    [
        "category = 'internal'",
        "reasons = ARRAY['MATERIAL_MISSING'], category = 'material_unsound'",
        "reasons = ARRAY['NEW_TO_BANK']",
        "pricing_class = 'A'",
    ],
    ids=["the category", "another reason", "no reason to decline", "a class"],
)
async def test_a_decline_that_does_not_follow_from_what_the_policy_found_shows(
    bank: Bank, desks: Desks, change: str
) -> None:
    applicant = await handed(bank, "application.declined", sequence=POLICY_DECLINES)
    assert (await verified(desks.first, applicant))["same"] is True
    await changes_in_the_table(bank, applicant, change)
    assert (await verified(desks.first, applicant))["same"] is False


async def test_a_limit_that_people_set_lies_within_what_the_policy_found(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", APPROVE) == 200
    assert await do(desks.second, applicant, "signature", CONFIRM) == 200
    assert (await verified(desks.first, applicant))["same"] is True
    await changes_in_the_table(bank, applicant, "granted_limit = 100000000")
    assert (await verified(desks.first, applicant))["same"] is False


async def test_a_broken_seal_is_told_as_such_to_programs_and_people(
    bank: Bank, desks: Desks, operator: Operator
) -> None:
    applicant = await handed(bank, "application.approved")
    await changes_in_the_table(bank, applicant, "verdict = inputs")  # a seal opens under its name
    number = applicant.about["application_number"]
    assert "somebody has changed it" in await operator("verify", number, code=1)
    here = f"/cases/{applicant.application_id}"
    answer = await desks.first.get(f"{API}{here}/verification")
    assert (answer.status_code, answer.json()["code"]) == (500, "altered")
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        await conn.execute(
            "UPDATE case_file SET body = replace(body::text, r.verdict, r.inputs)::jsonb FROM"
            " (SELECT body #>> '{recommendation,verdict}' AS verdict,"
            "   body #>> '{recommendation,inputs}' AS inputs FROM case_file WHERE"
            "   application_id = $1) r WHERE application_id = $1",
            applicant.application_id,
        )
    finally:
        await conn.close()
    page = await desks.first.client.get(f"/review{here}", headers={"Accept": "text/html"})
    assert page.status_code == 500
    assert "保存的内容被改动过" in page.text


async def test_nothing_is_computed_by_a_policy_that_was_changed_in_the_archive(bank: Bank) -> None:
    applicant = await handed(bank, "application.approved")
    conn: Any = await asyncpg.connect(bank.superuser_url)
    change = conn.transaction()
    try:
        digest = await conn.fetchval(
            "SELECT policy_digest FROM decision WHERE application_id = $1",
            applicant.application_id,
        )
        assert (await PolicyShelf().policy(conn, digest)).digest == digest
        await change.start()
        await conn.execute("UPDATE policy_archive SET source = source || ' '")
        with pytest.raises(PolicyNotHeldError, match="was changed in the archive"):
            await PolicyShelf().policy(conn, digest)
        await conn.execute("ALTER TABLE policy_archive DISABLE TRIGGER ALL")
        await conn.execute("DELETE FROM policy_archive WHERE digest = $1", digest)
        with pytest.raises(PolicyNotHeldError, match="is not in the archive"):
            await PolicyShelf().policy(conn, digest)
        await change.rollback()
    finally:
        await conn.close()
