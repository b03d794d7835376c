"""A list of the bank's screening system changes: who is open is screened again, in every process,
and nobody is approved until then; on a real broker, database and vault."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.demo import credit_systems
from services.review import screening, store
from services.review.app import build
from services.review.watchlist_store import WatchlistStore, lists
from services.review.watchlists import ListChange, ToldOfList
from shared.events.intake import WatchlistChanged
from shared.identifiers import new_id
from shared.settings import Settings
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.stock import fill
from tests.integration.review.test_service import API, APPROVE, CONFIRM, do, handed, said
from tests.plans import explained, rows_read

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIT = 940  # sequence digits of somebody whom the played screening system has on a list


@pytest.fixture(scope="module", autouse=True)
def at_once() -> Iterator[None]:
    """Lists are looked at all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "LOOK_SECONDS", 0.1)
        patch.setattr(screening, "AGAIN_SECONDS", 0.1)
        patch.setattr(screening, "SETTLED_SECONDS", 0.5)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def another(bank: Bank, desks: Desks) -> AsyncIterator[None]:
    """A second process of review beside the one that is looked at."""
    settings: Settings = bank.settings.model_copy(update={"call_backoff": 0.05})
    app = build(settings)
    async with app.router.lifespan_context(app):
        yield


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody is on a list yet; undone by the test when the list changes."""
    monkeypatch.setitem(credit_systems.ANSWERS, "watchlist", lambda _number: {"hits": []})
    return monkeypatch


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody is screened again until the test lets it."""

    async def later(_self: screening.Screening) -> int:
        return 0

    monkeypatch.setattr(screening.Screening, "round", later)
    return monkeypatch


async def changes(
    bank: Bank, name: str = "", version: str = "2", at: datetime | None = None
) -> str:
    """A list changes, now unless it is said; its name, once review has heard of it."""
    name = name or f"list-{new_id()}"
    payload = WatchlistChanged(list_name=name, version=version, changed_at=at or bank.now)
    await bank.publish(name, payload)
    number = bank.sequences[("banka.watchlists", name)]

    async def heard() -> bool:
        rows = await bank.fetch(
            "SELECT FROM messaging.cursor"
            " WHERE topic = 'banka.watchlists' AND subject = $1 AND sequence >= $2",
            name,
            number,
        )
        return bool(rows)

    await eventually(heard)
    return name


async def asked(bank: Bank, applicant: Applicant) -> int:
    """How many questions about somebody the screening system had, each counted once."""
    return len((await bank.receipts(applicant))["watchlist"])


async def becomes_asked(bank: Bank, applicant: Applicant, count: int) -> None:
    async def so() -> bool:
        return await asked(bank, applicant) == count

    await eventually(so)


async def rests_on_the_lists(bank: Bank, applicant: Applicant) -> bool:
    """Whether the last answer about somebody rests on the lists as they are."""
    rows = await bank.fetch(
        "SELECT FROM screened JOIN case_file USING (application_id)"
        " WHERE application_id = $1 AND lists = (SELECT max(number) FROM watchlist)"
        " AND body #>> '{checks,watchlist,outcome}' = 'answered'",
        applicant.application_id,
    )
    return bool(rows)


async def settled(bank: Bank, applicant: Applicant) -> None:
    await eventually(partial(rests_on_the_lists, bank, applicant))


async def signing(who: Colleague, applicant: Applicant) -> tuple[int, str]:
    answer = await who.post(f"{API}/cases/{applicant.application_id}/signature", CONFIRM)
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["code"]


async def test_who_is_open_is_screened_again_once_and_whoever_is_found_is_held(
    bank: Bank, desks: Desks, unlisted: pytest.MonkeyPatch
) -> None:
    found = await handed(bank, "application.referred", HIT, new_to_bank=True)
    other = await handed(bank, "application.referred", new_to_bank=True)
    decided = await handed(bank, "application.approved")
    bank.step(bank.now + timedelta(hours=1))
    unlisted.undo()
    await changes(bank)
    await said(bank, found, "application.held")
    for one in (found, other):
        await settled(bank, one)
        assert await asked(bank, one) == 2  # two processes look, and each is asked about once
    assert await asked(bank, decided) == 1
    page = (await desks.first.get(f"/review/cases/{other.application_id}", lang="en")).text
    assert page.count("Screened again: a watchlist changed") == 1
    assert (await bank.types(other))[-1] == "application.referred"
    # a case that compliance looks into is screened again as well
    bank.step(bank.now + timedelta(hours=1))
    await changes(bank)
    await becomes_asked(bank, found, 3)
    assert (await bank.types(found))[-1] == "application.held"


async def test_nobody_approves_by_the_old_answer_and_everybody_may_by_the_new_one(
    bank: Bank, desks: Desks, waits: pytest.MonkeyPatch
) -> None:
    proposed = await handed(bank, "application.referred", new_to_bank=True)
    claimed = await handed(bank, "application.referred", new_to_bank=True)
    for one in (proposed, claimed):
        assert await do(desks.first, one, "claim") == 200
    assert await do(desks.first, proposed, "decision", APPROVE) == 200
    bank.step(bank.now + timedelta(hours=1))
    await changes(bank)
    assert await signing(desks.second, proposed) == (409, "not-approvable")
    assert await do(desks.first, claimed, "decision", APPROVE) == 409
    page = (await desks.second.get(f"/review/cases/{proposed.application_id}", lang="en")).text
    assert "An answer is older than its validity" in page
    waits.undo()
    for one in (proposed, claimed):
        await settled(bank, one)

    async def approved() -> bool:
        return (await signing(desks.second, proposed))[0] == 200

    await eventually(approved)
    await said(bank, proposed, "application.approved")
    assert await do(desks.first, claimed, "decision", APPROVE) == 200


async def step_until(bank: Bank, check: Callable[[], Awaitable[bool]]) -> None:
    """A try that failed just before has the next one made some minutes later by the clock."""
    for _ in range(12):
        bank.step(bank.now + timedelta(hours=1))
        with contextlib.suppress(AssertionError):
            await eventually(check, 15)
            return
    await eventually(check)


async def test_the_policy_does_not_approve_by_the_old_answer_either(
    bank: Bank, waits: pytest.MonkeyPatch
) -> None:
    await bank.systems.post("/control/outage", json={"system": "bureau", "calls": 1000})
    applicant = await bank.applicant()  # the policy approves it once the bureau answers
    await bank.hand_over(applicant)

    async def waiting() -> bool:
        return bool(
            await bank.fetch(
                "SELECT FROM check_waiting WHERE application_id = $1", applicant.application_id
            )
        )

    await eventually(waiting)
    await becomes_asked(bank, applicant, 1)
    bank.step(bank.now + timedelta(hours=1))
    await changes(bank)
    await bank.systems.post("/control/outage", json={"system": "bureau", "calls": 0})

    async def approved() -> bool:
        return "application.approved" in await bank.types(applicant)

    await step_until(bank, approved)
    assert await asked(bank, applicant) == 2
    waits.undo()


async def test_a_question_that_is_on_its_way_when_the_list_changes_is_asked_again(
    bank: Bank, unlisted: pytest.MonkeyPatch
) -> None:
    await bank.systems.post("/control/outage", json={"system": "watchlist", "calls": 1000})
    applicant = await bank.applicant(HIT, new_to_bank=True)
    await bank.hand_over(applicant)

    async def waiting() -> bool:
        return bool(
            await bank.fetch(
                "SELECT FROM check_waiting WHERE application_id = $1", applicant.application_id
            )
        )

    await eventually(waiting)
    bank.step(bank.now + timedelta(hours=1))
    await changes(bank)
    # what is answered now to what was asked before may still be of the old list
    before = await asked(bank, applicant)
    await bank.systems.post("/control/outage", json={"system": "watchlist", "calls": 0})
    await step_until(bank, partial(rests_on_the_lists, bank, applicant))
    assert (before, await asked(bank, applicant)) == (1, 2)
    unlisted.undo()


async def test_what_is_older_or_comes_again_has_nobody_asked_about(bank: Bank) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    bank.step(bank.now + timedelta(hours=1))
    name = await changes(bank, version="3")
    await settled(bank, applicant)
    known = await bank.fetch("SELECT * FROM watchlist WHERE name = $1", name)
    await changes(bank, name, version="2", at=bank.now - timedelta(minutes=30))
    await changes(bank, name, version="3")
    await bank.publish_all_again()
    # a list that changed long before anybody was asked about, heard of only now
    asked_at = bank.now
    bank.step(bank.now + timedelta(hours=1))
    late = await changes(bank, at=asked_at - timedelta(minutes=5))
    # and one of now, which has them asked about once
    await changes(bank)
    await settled(bank, applicant)
    assert await asked(bank, applicant) == 3
    assert await bank.fetch("SELECT * FROM watchlist WHERE name = $1", name) == known
    assert await bank.fetch("SELECT FROM watchlist WHERE name = $1", late)


async def test_in_whatever_order_changes_come_the_same_is_known(bank: Bank) -> None:
    told = [
        ListChange("order", "1", bank.now - timedelta(days=2)),
        ListChange("order", "2", bank.now - timedelta(days=1)),
        ListChange("order", "2a", bank.now - timedelta(days=1)),
        ListChange("order", "3", bank.now),
    ]
    conn: Any = await asyncpg.connect(bank.superuser_url)
    try:
        for batches in itertools.permutations(told):
            transaction = conn.transaction()
            await transaction.start()
            for size in (1, 3):
                for first in range(0, len(batches), size):
                    state = ToldOfList("order", list(batches[first : first + size]))
                    await WatchlistStore().save(conn, [state])
                row = await conn.fetchrow("SELECT * FROM watchlist WHERE name = 'order'")
                assert (row["version"], row["changed_at"]) == ("3", bank.now)
            assert (await lists(conn)).number == row["number"]
            await transaction.rollback()
    finally:
        await conn.close()


@pytest.mark.usefixtures("waits")
async def test_open_cases_are_found_page_by_page_however_many_are_decided(bank: Bank) -> None:
    conn = await asyncpg.connect(bank.superuser_url)
    transaction: Any = None
    try:
        await fill(conn, 20_000, now=bank.now)  # of which a tenth is open
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(
            "INSERT INTO watchlist (name, version, changed_at, since)"
            " VALUES ('pages', '1', $1, $1)",
            bank.now + timedelta(days=365),
        )
        known, after, found = await lists(conn), "", 0
        open_now = await conn.fetchval(
            "SELECT count(*) FROM review_case"
            " WHERE state IN ('checking', 'manual_review', 'on_hold', 'scoring')"
        )
        while True:
            values = ["", known.number + 1, known.since, after]
            plan = await explained(conn, store.SCREENED_OTHERWISE, values)
            read = [rows_read(node) for node in plan if node.get("Relation Name") == "review_case"]
            assert [rows for rows in read if rows > open_now] == []
            page = await conn.fetch(store.SCREENED_OTHERWISE, *values)
            assert len(page) <= 1000
            if not page:
                break
            found, after = found + len(page), page[-1]["application_id"]
        assert found >= 2000
    finally:
        if transaction is not None:
            await transaction.rollback()
        await conn.execute("DELETE FROM review_case WHERE application_id LIKE '%-0000-7000-8000-%'")
        await conn.close()
