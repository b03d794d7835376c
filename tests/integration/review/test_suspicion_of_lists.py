"""That a list changed is no secret; that it brought a suspicion is compliance's (反洗钱法 35).

Two people whom nothing tells apart are screened again because a list changed; now one of them is on
it. Everybody else gets the same bytes of both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import pytest_asyncio

from deploy.demo import credit_systems
from services.review import screening
from shared.events.intake import WatchlistChanged
from shared.identifiers import new_id
from shared.web.permissions import Role
from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, said
from tests.integration.review.test_suspicion import (
    KNOWING,
    UNKNOWING,
    Twins,
    differences,
    numbers_of_twins,
    plain,
    seen,
)
from tests.integration.review.test_watchlists import settled

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """Lists are looked at all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "LOOK_SECONDS", 0.1)
        patch.setattr(screening, "AGAIN_SECONDS", 0.1)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def screened(bank: Bank, desks: Desks) -> Twins:
    """Twins who lay in the queue, of whom one is on a list since it changed."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(credit_systems.ANSWERS, "watchlist", lambda _number: {"hits": []})
        for number, mobile in zip(numbers_of_twins(), ("13711110001", "13722220001"), strict=True):
            one = await bank.applicant(id_number=number, mobile=mobile, new_to_bank=True)
            await bank.hand_over(one)
            await said(bank, one, "application.referred")
            made.append(one)
    bank.step(bank.now + timedelta(hours=1))
    name = f"list-{new_id()}"
    await bank.publish(name, WatchlistChanged(list_name=name, version="2", changed_at=bank.now))
    suspected, free = made
    await said(bank, suspected, "application.held")
    await settled(bank, free)
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    return Twins(suspected, free, people)


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_sees_that_both_were_screened_again_and_nothing_else(
    desks: Desks, screened: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, screened.people[role], one) for one in screened.both()]
    assert differences(suspected, free) == {}


async def test_a_reviewer_sees_why_they_were_screened_again(desks: Desks, screened: Twins) -> None:
    got = await seen(desks, screened.people[Role.REVIEWER], screened.suspected)
    page = got["/review/cases/{application_id} en"]
    assert "Screened again: a watchlist changed" in page
    assert "Sanctions" not in page


async def test_compliance_sees_what_the_list_brought(desks: Desks, screened: Twins) -> None:
    got = await seen(desks, screened.people[Role.COMPLIANCE], screened.suspected)
    assert "WATCHLIST_HIT" in got[f"{API}/cases/{{application_id}} zh-CN"]


@pytest.mark.parametrize("role", KNOWING)
async def test_who_knows_of_holds_does_not_learn_that_a_list_brought_this_one(
    desks: Desks, screened: Twins, role: Role
) -> None:
    got = await seen(desks, screened.people[role], screened.suspected)
    body = json.loads(got[f"{API}/cases/{{application_id}} zh-CN"].removeprefix("200 "))
    assert (body["state"], body["hold"]) == ("on_hold", None)
    assert "WATCHLIST_HIT" not in "\n".join(got.values())


async def test_no_topic_tells_the_two_apart_but_by_the_hold(bank: Bank, screened: Twins) -> None:
    records = [
        sorted(
            (kind, plain(json.dumps(body, sort_keys=True), one))
            for kind, _version, body in await bank.said(one, "banka.review")
        )
        for one in screened.both()
    ]
    assert records[0] == records[1]
    (own, other) = [await bank.said(one, "banka.applications") for one in screened.both()]
    assert [kind for kind, _, _ in own[: len(other)]] == [kind for kind, _, _ in other]
    ((kind, _, held),) = own[len(other) :]
    assert (kind, held["reason"]) == ("application.held", "internal")
    assert held.keys() - other[-1][2].keys() <= {"reason"}
