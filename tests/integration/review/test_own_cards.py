"""What a person gets of the bank's cards is counted when a decision falls, not when the policy was
asked: two applications of one person together get no more than one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.review import handlers
from services.review.app import build
from services.review.case import Case, Check
from services.review.checks import ASKED
from services.review.store import CaseStore
from shared.events.lifecycle import State
from shared.identifiers import new_id
from shared.messaging import Call, ClaimedCall, Effect, Succeeded
from shared.parameters import product_of
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_accounts import Holder, held
from tests.integration.review.test_limit_changes import act, asks, deciding, grant, in_use
from tests.integration.review.test_preconditions import listed, refused, told
from tests.integration.review.test_service import CONFIRM, case_of, do, said
from tests.unit.review.builders import NOW, SIGNED, case, hand_over

pytestmark = pytest.mark.asyncio(loop_scope="module")

INCOME = 3_000_00
TOTAL = 18_000_00  # six months' income, of all cards together
DEDUCTED = "Every own card and limit deducted as it is now"
FOUND = "Nothing found that rules an approval out"
GROWN = "The customer has got further cards or higher limits since: ask again"


async def two_of_one(bank: Bank) -> tuple[Applicant, Applicant]:
    """Somebody new to the bank who applies for two cards; both lie with people."""
    one = await bank.applicant(new_to_bank=True, income=INCOME)
    two = await bank.applicant(new_to_bank=True, income=INCOME, as_before=one)
    assert two.party.person == one.party.person
    for applicant in (one, two):
        await bank.hand_over(applicant)
        await said(bank, applicant, "application.referred")
    return one, two


async def proposed(desks: Desks, applicant: Applicant) -> int:
    """The first reviewer proposes the most that may be granted; fen."""
    ceiling: int = (await case_of(desks.first, applicant))["ceiling"]["minor"]
    body = {"outcome": "approve", "limit": {"minor": ceiling}, "note": "资料齐全"}
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "decision", body) == 200
    return ceiling


async def granted(bank: Bank, *applicants: Applicant) -> list[int]:
    """The limits that these have, fen."""
    rows = await bank.fetch(
        "SELECT granted_limit FROM review_case WHERE application_id = ANY ($1)"
        " AND granted_limit IS NOT NULL ORDER BY application_id",
        [one.application_id for one in applicants],
    )
    return [row["granted_limit"] for row in rows]


async def sent_back_and_asked_again(desks: Desks, applicant: Applicant) -> dict[str, Any]:
    """The second person cannot sign; the first has it worked out again."""
    assert await refused(desks.second, applicant, "signature", CONFIRM) == (409, "not-approvable")
    assert (await listed(desks.second, applicant))[DEDUCTED] == ("not met", GROWN)
    back = {"outcome": "returned", "note": "额度已变"}
    assert await do(desks.second, applicant, "signature", back) == 200
    before = (await told(desks.first, applicant) or {})[DEDUCTED]
    assert (before["met"], before["against"]) == (False, ["OWN_LIMITS_CHANGED"])
    assert await do(desks.first, applicant, "checks") == 200

    async def deducted() -> bool:
        return bool((await told(desks.first, applicant) or {})[DEDUCTED]["met"])

    await eventually(deducted)
    return await case_of(desks.first, applicant)


async def test_of_two_proposals_for_one_person_the_second_is_worked_out_again(
    bank: Bank, desks: Desks
) -> None:
    one, two = await two_of_one(bank)
    most = await proposed(desks, one)
    assert await proposed(desks, two) == most  # nothing was granted yet
    assert (await listed(desks.second, two))[DEDUCTED][0] == "met"
    assert await do(desks.second, one, "signature", CONFIRM) == 200
    after = await sent_back_and_asked_again(desks, two)
    assert after["ceiling"]["minor"] <= TOTAL - most
    assert await granted(bank, one, two) == [most]


async def test_of_two_that_are_signed_at_once_one_is_granted(bank: Bank, desks: Desks) -> None:
    one, two = await two_of_one(bank)
    most = await proposed(desks, one)
    await proposed(desks, two)
    answers = await asyncio.gather(
        do(desks.second, one, "signature", CONFIRM), do(desks.second, two, "signature", CONFIRM)
    )
    assert sorted(answers) == [200, 409]
    assert await granted(bank, one, two) == [most]


async def test_an_increase_that_was_granted_since_is_deducted(bank: Bank, desks: Desks) -> None:
    one, two = await two_of_one(bank)
    small = {"outcome": "approve", "limit": {"minor": 5_000_00}, "note": "资料齐全"}
    assert await do(desks.first, one, "claim") == 200
    assert await do(desks.first, one, "decision", small) == 200
    assert await do(desks.second, one, "signature", CONFIRM) == 200
    await in_use(bank, one)
    # worked out with the first card deducted, and proposed
    assert await do(desks.first, two, "claim") == 200
    assert await do(desks.first, two, "checks") == 200

    async def less() -> bool:
        return bool((await told(desks.first, two) or {})[DEDUCTED]["met"])

    await eventually(less)
    assert await do(desks.first, two, "put-back") == 200
    left = await proposed(desks, two)
    assert 0 < left <= TOTAL - 5_000_00
    await asks(bank, one, "increase", 8_000)
    await deciding(desks.first, one)
    assert (await act(desks.first, one, "proposal", grant(8_000)))[0] == 200
    assert (await act(desks.second, one, "signature", CONFIRM))[0] == 200
    after = await sent_back_and_asked_again(desks, two)
    assert after["ceiling"]["minor"] <= TOTAL - 8_000_00 < left


async def test_who_holds_as_many_cards_as_one_may_by_now_gets_no_next_one(
    bank: Bank, desks: Desks
) -> None:
    applicant = await bank.applicant(new_to_bank=True, income=INCOME)
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.referred")
    await proposed(desks, applicant)
    most = product_of("standard", "2026.1").cards_per_customer
    one = Holder(bank, applicant)
    cards = [held(f"{applicant.application_id}-{nth}", None) for nth in range(most)]
    await one.holds("2026-11-05", *cards)

    async def known() -> bool:
        shown = await told(desks.first, applicant) or {}
        return "OWN_CARDS_AT_CAP" in shown[FOUND]["against"]

    await eventually(known)
    await sent_back_and_asked_again(desks, applicant)
    assert "OWN_CARDS_AT_CAP" in (await case_of(desks.first, applicant))["findings"]
    body = {"outcome": "approve", "limit": {"minor": 5_000_00}, "note": "资料齐全"}
    assert await refused(desks.first, applicant, "decision", body) == (409, "not-approvable")


async def test_the_machine_grants_two_applications_at_once_no_more_than_one(
    bank: Bank, desks: Desks
) -> None:
    """Two processes of the service, whose workers take the calls as they come."""
    async with AsyncExitStack() as also:
        other = build(bank.settings.model_copy(update={"call_backoff": 0.05}))
        await also.enter_async_context(other.router.lifespan_context(other))
        pairs = []
        for _ in range(6):
            one = await bank.applicant(income=INCOME)
            pairs.append((one, await bank.applicant(income=INCOME, as_before=one)))
        await asyncio.gather(*(bank.hand_over(one) for pair in pairs for one in pair))

        async def decided() -> bool:
            rows = await bank.fetch(
                "SELECT FROM decision WHERE application_id = ANY ($1)",
                [one.application_id for pair in pairs for one in pair],
            )
            return len(rows) == 2 * len(pairs)

        await eventually(decided)
    for pair in pairs:
        assert 0 < sum(await granted(bank, *pair)) <= TOTAL


# -- the race itself, without a service ------------------------------------------------------------


@asynccontextmanager
async def line(bank: Bank) -> AsyncIterator[Any]:
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        yield conn
    finally:
        await conn.close()


async def examined(bank: Bank) -> list[Case]:
    """Two cases of one person, about which every system has answered."""
    found = []
    party = hand_over().parties[0].model_copy(update={"person": new_id()})
    for _ in range(2):
        subject = case(scoring_round=1)
        subject.application_id = new_id()
        bank.running += 1
        scope = subject.need_scope()
        subject.scope = replace(
            scope, application_number=f"{bank.branch}20261103{bank.running:06d}"
        )
        subject.hand_over = hand_over(parties=[party], new_to_bank=False)
        subject.due, subject.touched = NOW + timedelta(days=9), True
        subject.checks["bureau"] = Check(
            "bureau", "r", 1, SIGNED, "answered", "sealed", SIGNED, NOW + timedelta(days=1)
        )
        subject.checks["bureau"].about = ASKED["bureau"].digest(
            subject.need_hand_over().examined.fields
        )
        found.append(subject)
    async with line(bank) as conn:
        await CaseStore().save(conn, found)
    return found


async def verdict(bank: Bank, subject: Case) -> Succeeded:
    """The policy would grant 18,000, and has deducted nothing."""
    (row,) = await bank.fetch("SELECT digest, version FROM policy_archive LIMIT 1")
    value = {
        "outcome": "approve",
        "advice": "approve",
        "findings": [],
        "limit": TOTAL,
        "ceiling": TOTAL,
        "inputs": "sealed",
        "verdict": "sealed",
        "policy_version": row["version"],
        "policy_digest": row["digest"],
        "own_existing": 0,
        "own_cards": 0,
        "pricing_class": "standard",
        "points": 80,
    }
    call = ClaimedCall("policy", "k", subject.application_id, {"scoring_round": 1}, 1)
    return Succeeded(value, call=call)


async def test_whoever_is_decided_second_sees_the_first_although_both_were_worked_out_before(
    bank: Bank, desks: Desks
) -> None:
    await said_once(bank)
    one, two = await examined(bank)
    verdicts = [await verdict(bank, subject) for subject in (one, two)]
    store = CaseStore()
    effects: list[Effect] = []

    async def second() -> State | None:
        async with line(bank) as conn, conn.transaction():
            loaded = (await store.load(conn, [two.application_id]))[two.application_id]
            effects.extend(handlers.on_scored(verdicts[1], loaded, NOW))
            await store.save(conn, [loaded])
            return loaded.state

    async def waits_for_the_person() -> bool:
        rows = """
            SELECT FROM pg_locks l JOIN pg_stat_activity USING (pid)
            WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
        """
        return bool(await bank.fetch(rows))

    async with line(bank) as conn:
        async with conn.transaction():
            first = (await store.load(conn, [one.application_id]))[one.application_id]
            beside = asyncio.create_task(second())
            await eventually(waits_for_the_person)
            list(handlers.on_scored(verdicts[0], first, NOW))
            await store.save(conn, [first])
        assert (await beside, first.state) == (State.CHECKING, State.APPROVED)
    assert [one.kind for one in effects if isinstance(one, Call)] == ["policy"]


async def test_of_two_that_are_decided_in_one_transaction_one_is_worked_out_again(
    bank: Bank, desks: Desks
) -> None:
    await said_once(bank)
    subjects = await examined(bank)
    async with line(bank) as conn, conn.transaction():
        loaded = await CaseStore().load(conn, sorted(one.application_id for one in subjects))
        for subject in loaded.values():
            list(handlers.on_scored(await verdict(bank, subject), subject, NOW))
        states = sorted(str(one.state) for one in loaded.values())
        await CaseStore().save(conn, list(loaded.values()))
    assert states == ["approved", "checking"]


async def said_once(bank: Bank) -> None:
    """A policy is archived with the first application that it decides."""
    applicant = await bank.applicant()
    await bank.hand_over(applicant)
    await said(bank, applicant, "application.approved")
