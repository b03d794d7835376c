"""About a customer whom the bank knows the policy decides alone. Who waits for a person without a
finding would be known to be suspected: so some wait by chance, and a suspicion looks like that to
everybody but compliance."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from services.review import app as review_app
from shared.web.permissions import Role
from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import APPROVE, do, handed, said
from tests.integration.review.test_suspicion import (
    KNOWING,
    UNKNOWING,
    Twins,
    differences,
    numbers_of_twins,
    seen,
    without_the_hold,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(bank: Bank, desks: Desks) -> Twins:
    """Twins whom the bank knows: the one is suspected, the other was picked by chance."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(review_app, "_chance", lambda: -1.0)
        for number, mobile in zip(numbers_of_twins(), ("13711110001", "13722220001"), strict=True):
            one = await bank.applicant(id_number=number, mobile=mobile, new_to_bank=False)
            await bank.hand_over(one)
            made.append(one)
        await said(bank, made[0], "application.held")
        await said(bank, made[1], "application.referred")
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    return Twins(made[0], made[1], people)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def released(held: Twins) -> Twins:
    """The same after compliance has found nothing: both lie in the queue. Asked for last."""
    done = {"finding": "clear", "note": "同名不同人"}
    assert await do(held.people[Role.COMPLIANCE], held.suspected, "release", done) == 200
    return held


async def test_whom_the_policy_decides_about_alone_goes_to_a_person_by_chance(
    bank: Bank, desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await handed(bank, "application.approved")
    monkeypatch.setattr(review_app, "_chance", lambda: -1.0)
    picked = await handed(bank, "application.referred")
    page = (await desks.first.get(f"/review/cases/{picked.application_id}", lang="en")).text
    assert "Picked by chance" in page
    assert await do(desks.first, picked, "claim") == 200
    assert await do(desks.first, picked, "decision", APPROVE) == 200


async def test_the_twin_would_have_been_decided_about_by_the_policy(
    held: Twins, bank: Bank
) -> None:
    (row,) = await bank.fetch(
        "SELECT body -> 'recommendation' AS said FROM case_file WHERE application_id = $1",
        held.plain.application_id,
    )
    told = json.loads(row["said"])
    assert (told["advice"], told["findings"]) == ("approve", ["SAMPLED"])


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_bytes_while_one_is_held(
    desks: Desks, held: Twins, role: Role
) -> None:
    suspected, picked = [await seen(desks, held.people[role], one) for one in held.both()]
    assert differences(suspected, picked) == {}


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_bytes_after_it(
    desks: Desks, released: Twins, role: Role
) -> None:
    suspected, picked = [await seen(desks, released.people[role], one) for one in released.both()]
    assert differences(suspected, picked) == {}


@pytest.mark.parametrize("role", KNOWING)
async def test_who_knows_of_holds_learns_nothing_of_what_it_was_for(
    desks: Desks, released: Twins, role: Role
) -> None:
    suspected, picked = [
        {asked: without_the_hold(asked, text) for asked, text in got.items()}
        for got in [await seen(desks, released.people[role], one) for one in released.both()]
    ]
    assert differences(suspected, picked) == {}
