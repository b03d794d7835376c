"""A suspicion that compliance confirmed ends in a decline like any other: who may not know of holds
gets the same bytes of it as of an officer's own, while it is proposed and once it is signed; who
knows of holds sees one more, and nothing of what it was for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest
import pytest_asyncio

from shared.web.permissions import Role
from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import CONFIRM, do
from tests.integration.review.test_suspicion import (
    KNOWING,
    UNKNOWING,
    Twins,
    differences,
    handed_twins,
    plain,
    seen,
    without_the_hold,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINDING = "与名单一致"
OPINION = "材料中的说法前后不一"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proposed(bank: Bank, desks: Desks) -> Twins:
    """Twins who are to be declined for the bank's own reasons: compliance proposes one, an officer
    the other."""
    suspected, free = await handed_twins(bank, ("13755550001", "13766660001"))
    found = {"finding": "confirmed", "note": FINDING}
    assert await do(desks.compliance, suspected, "release", found) == 200
    assert await do(desks.first, free, "claim") == 200
    decline = {"outcome": "decline", "reason": "INTERNAL_RISK", "note": OPINION}
    assert await do(desks.first, free, "decision", decline) == 200
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    return Twins(suspected, free, people)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def declined(proposed: Twins, desks: Desks) -> Twins:
    """The same once it is signed. Asked for last."""
    for one in proposed.both():
        assert await do(desks.second, one, "signature", CONFIRM) == 200
    return proposed


def unnamed(got: Mapping[str, str]) -> dict[str, str]:
    """Without what who knows of holds may see differ, and without the names of colleagues."""
    told = {asked: without_the_hold(asked, text) for asked, text in got.items()}
    return {asked: re.sub(r"甲[0-9a-f]{4}", "NAME", text) for asked, text in told.items()}


@pytest.mark.parametrize("role", UNKNOWING)
async def test_while_it_is_proposed_it_reads_like_an_officers_own(
    desks: Desks, proposed: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, proposed.people[role], one) for one in proposed.both()]
    assert differences(suspected, free) == {}


@pytest.mark.parametrize("role", UNKNOWING)
async def test_once_it_is_signed_it_reads_like_an_officers_own(
    desks: Desks, declined: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, declined.people[role], one) for one in declined.both()]
    assert differences(declined.unnumbered(suspected), declined.unnumbered(free)) == {}


@pytest.mark.parametrize("role", KNOWING)
async def test_who_knows_of_holds_does_not_learn_what_was_confirmed(
    desks: Desks, declined: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, declined.people[role], one) for one in declined.both()]
    pair = [unnamed(declined.unnumbered(got)) for got in (suspected, free)]
    assert differences(*pair) == {}
    everything = "\n".join(suspected.values())
    for trace in (FINDING, "WATCHLIST_HIT", "watchlist hit"):
        assert trace not in everything, trace


async def test_the_event_of_the_decline_says_the_same(bank: Bank, declined: Twins) -> None:
    told = []
    for one in declined.both():
        (decline,) = [
            body
            for kind, _version, body in await bank.said(one, "banka.applications")
            if kind == "application.declined"
        ]
        assert len(decline["decided_by"]) == 2
        told.append(plain(json.dumps(decline, sort_keys=True), one))
    assert told[0] == told[1]
    assert FINDING not in told[0]
