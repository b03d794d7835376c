"""What core banking states about accounts, in review on a real broker and database: which cards
lie dormant, whether any is issued, and what a person holds already."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
import yaml

from services.review import account_store, issuing
from services.review.account_store import Own
from services.review.accounts import DormancyFigure
from services.review.app import build_app, build_service
from services.review.case import REASONS_AGAINST
from services.review.issuing import Issuing, look
from shared.calendar import business_day
from shared.events import intake
from shared.identifiers import new_id
from shared.parameters import load_accounts
from shared.parameters.held import SHIPPED
from shared.parameters.load import take
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = "/review/api/v1"
OLD = "2025-01-31"  # more than 18 months before the months that are told


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bank's own parameters; those that ship are taken again at the end."""
    folder = tmp_path_factory.mktemp("parameters")
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    yield folder
    take(None)


def set_terms(folder: Path, **dormancy: Any) -> None:
    file = SHIPPED / "accounts.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    said["dormancy"].update(dormancy)
    (folder / "accounts.yaml").write_text(json.dumps(said), encoding="utf-8")
    take(folder)


@dataclass
class Office:
    """The running service, its people, and its look at the cards."""

    issuing: Issuing
    reviewer: Colleague
    signer: Colleague
    manager: Colleague


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(bank: Bank, folder: Path) -> AsyncIterator[Office]:
    set_terms(folder)
    settings = bank.settings.model_copy(update={"call_backoff": 0.05, "parameters": folder})
    service = build_service(settings)
    app = build_app(service)
    with pytest.MonkeyPatch.context() as quiet:
        # the tests count; what the service began to count before might be kept after that
        quiet.setattr(issuing, "LOOK_SECONDS", 86_400.0)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            yield Office(
                Issuing(service),
                await bank.colleague(transport, "reviewer"),
                await bank.colleague(transport, "risk_officer"),
                await bank.colleague(transport, "manager"),
            )


class Holder:
    """Somebody with a card of the office, of whose account core banking tells."""

    def __init__(self, bank: Bank, applicant: Applicant) -> None:
        self.bank, self.applicant, self.card = bank, applicant, new_id()

    @property
    def person(self) -> str:
        return self.applicant.party.person

    async def month(self, month: str, revision: int = 1, **changes: Any) -> None:
        data = {
            "month": month,
            "revision": revision,
            "opened_on": "2024-12-01",
            "closed_on": None,
            "days_past_due": 0,
            "balance": "zero",
            "last_customer_transaction": f"{month}-01",
            "policy_card": False,
            **changes,
        }
        await self._tell(intake.AccountPerformanceReported, data)

    async def holds(self, as_of: str, *cards: dict[str, Any], revision: int = 1) -> None:
        data = {"as_of": as_of, "revision": revision, "cards": list(cards)}
        await self._tell(intake.AccountHoldingReported, data)

    def listed(self, limit: int | None = 10_000_00, **changes: Any) -> dict[str, Any]:
        """This card as a holding has it."""
        return held(self.card, limit, application_id=self.applicant.application_id, **changes)

    async def _tell(self, kind: type[Any], data: dict[str, Any]) -> None:
        about = {**self.applicant.about, "card_id": self.card, "person": self.person}
        payload = kind.model_validate({**about, **data})
        await self.bank.publish(self.applicant.application_id, payload)


def held(
    card: str,
    limit: int | None = 10_000_00,
    *,
    application_id: str | None = None,
    dormant: bool = False,
    policy_card: bool = False,
) -> dict[str, Any]:
    money = None if limit is None else {"minor": limit}
    return {
        "card": card,
        "application_id": application_id,
        "limit": money,
        "dormant": dormant,
        "policy_card": policy_card,
    }


async def holder(bank: Bank) -> Holder:
    return Holder(bank, await bank.applicant())


async def cleared(bank: Bank) -> None:
    """No card is known to core banking."""
    for table in ("account_standing", "account_holding", "account_month", "dormancy_figure"):
        await bank.fetch(f"DELETE FROM {table}")


async def figure(office: Office, issued: int, dormant: int) -> DormancyFigure:
    """The figure once it is that: what was told travels."""

    async def counted() -> list[DormancyFigure]:
        found = await office.issuing.round()
        return [found] if (found.issued, found.dormant) == (issued, dormant) else []

    return (await eventually(counted))[0]


async def test_a_card_is_dormant_by_its_latest_month_in_whatever_order_they_come(
    bank: Bank, office: Office
) -> None:
    await cleared(bank)
    one, other, third = [await holder(bank) for _ in range(3)]
    idle: dict[str, Any] = {"last_customer_transaction": OLD}
    await one.month("2026-09", **idle)
    await figure(office, 1, 1)
    await one.month("2026-10")  # used again
    await figure(office, 1, 0)
    await other.month("2026-10", **idle)
    await other.month("2026-09")
    await figure(office, 2, 1)
    await other.month("2026-10", revision=2, balance="from_1k", **idle)  # something stands on it
    await figure(office, 2, 0)
    await other.month("2026-10", revision=3, **idle)
    await figure(office, 2, 1)
    # 18 months to the day are not more than 18 months
    await third.month("2026-10", last_customer_transaction="2025-04-30")
    await figure(office, 3, 1)
    await third.month("2026-10", revision=2, last_customer_transaction="2025-04-29")
    await figure(office, 3, 2)
    await third.month("2026-10", revision=3, policy_card=True, **idle)
    await figure(office, 2, 1)
    await other.month("2026-11", closed_on="2026-11-03", **idle)
    found = await figure(office, 1, 0)
    assert found.as_of is not None
    assert found.as_of.isoformat() == "2026-10-31"


async def test_a_holding_tells_of_cards_that_the_office_did_not_order(
    bank: Bank, office: Office
) -> None:
    await cleared(bank)
    one = await holder(bank)
    await one.month("2026-10")
    await figure(office, 1, 0)
    # as old as the month: of the card itself the month counts, of the others the holding
    await one.holds("2026-10-31", one.listed(dormant=True), held("core-1", dormant=True))
    await figure(office, 2, 1)
    await one.holds("2026-10-30", held("core-1"), held("core-2"))  # came late
    await one.holds(
        "2026-10-31", one.listed(), held("core-1", policy_card=True), held("core-3"), revision=2
    )
    await figure(office, 2, 0)
    await one.holds("2026-11-02", held("core-3", dormant=True))  # its own card is gone
    await figure(office, 1, 1)


async def test_the_figure_is_the_same_however_many_persons_are_counted_at_once(
    bank: Bank, office: Office
) -> None:
    await cleared(bank)
    people = [await holder(bank) for _ in range(7)]
    for nth, one in enumerate(people):
        if nth % 3:
            await one.month("2026-10", last_customer_transaction=OLD)
        if nth % 2:
            await one.holds("2026-10-15", one.listed(), held(f"core-{nth}", dormant=True))
    # four by their month; three holdings with a card each beside it, one of them without a month
    told = await figure(office, 4 + 3 + 1, 4 + 3)
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        for at_once in (1, 2, 3, 100):
            terms = load_accounts().dormancy
            found = await account_store.count_dormant(
                conn, terms, told.day, told.at, at_once=at_once
            )
            assert (found.issued, found.dormant, found.as_of) == (
                told.issued,
                told.dormant,
                told.as_of,
            )
    finally:
        await conn.close()


async def handed(bank: Bank, last: str, **about: Any) -> Applicant:
    applicant = await bank.applicant(**about)
    await bank.hand_over(applicant)

    async def decided() -> bool:
        return last in await bank.types(applicant)

    await eventually(decided)
    return applicant


async def hindered(who: Colleague, applicant: Applicant, code: str) -> bool:
    """Whether the case's page says that this stands in the way of an approval."""
    page = await who.get(f"/review/cases/{applicant.application_id}", lang="en")
    assert page.status_code == 200
    told = unescape(page.text).partition("An approval is not possible yet:")[2]
    return REASONS_AGAINST[code] in told.partition("</ul>")[0]


async def act(who: Colleague, applicant: Applicant, what: str, body: Any = None) -> httpx.Response:
    return await who.post(f"{API}/cases/{applicant.application_id}/{what}", body)


async def test_no_card_is_issued_above_the_bound_and_the_case_says_why(
    bank: Bank, office: Office, folder: Path
) -> None:
    await cleared(bank)
    holders = [await holder(bank) for _ in range(4)]
    for nth, one in enumerate(holders):
        last = "2026-10-01" if nth else OLD
        await one.month("2026-10", last_customer_transaction=last)
    await figure(office, 4, 1)  # a quarter
    applicant = await handed(bank, "application.referred")
    shown = (await office.reviewer.get(f"{API}/cases/{applicant.application_id}")).json()
    assert "DORMANCY_OVER_BOUND" in shown["findings"]
    assert (await act(office.reviewer, applicant, "claim")).status_code == 200
    wish = {"outcome": "approve", "limit": {"minor": 5_000_00}, "note": "可批准"}
    refused = await act(office.reviewer, applicant, "decision", wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "not-approvable")
    assert await hindered(office.reviewer, applicant, "DORMANCY_OVER_BOUND")
    for who in (office.reviewer, office.manager):
        page = await who.get("/review/queue", lang="zh-CN")
        assert "停止发卡" in page.text
    page = await office.manager.get("/review/workload", lang="en")
    assert "25" in page.text
    assert "Dormant cards" in page.text
    page = await office.signer.get("/review/policies", lang="en")
    assert "1 of 4, as of" in page.text

    # one more card that is used, and the fifth is no more than the bound
    await (await holder(bank)).month("2026-10")
    await figure(office, 5, 1)
    approved = await act(office.reviewer, applicant, "decision", wish)
    assert approved.status_code == 200, approved.text
    # while it waits for its signature the bank stops again
    set_terms(folder, bound="0.19")
    refused = await act(office.signer, applicant, "signature", {"outcome": "confirmed"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not-approvable")
    set_terms(folder)
    signed = await act(office.signer, applicant, "signature", {"outcome": "confirmed"})
    assert signed.status_code == 200, signed.text
    page = await office.reviewer.get("/review/queue", lang="en")
    assert "Above 20" in page.text  # near the bound


async def test_facts_that_are_missing_or_old_are_shown_and_stop_where_the_bank_says_so(
    bank: Bank, office: Office, folder: Path
) -> None:
    await cleared(bank)
    await office.issuing.round()
    page = await office.signer.get("/review/policies", lang="en")
    assert "not reported" in page.text
    assert "no facts from core banking yet" in page.text
    await handed(bank, "application.approved")
    set_terms(folder, unreported_stops=True)
    try:
        applicant = await handed(bank, "application.referred")
        assert (await act(office.reviewer, applicant, "claim")).status_code == 200
        assert await hindered(office.reviewer, applicant, "DORMANCY_UNREPORTED")
        page = await office.reviewer.get("/review/queue", lang="en")
        assert "No card is issued" in page.text
        silent = await holder(bank)
        await silent.month("2026-08")
        await figure(office, 1, 0)
        stale = load_accounts().dormancy.stale_days
        assert (business_day(bank.now) - timedelta(days=stale)).isoformat() > "2026-08-31"
        assert await hindered(office.reviewer, applicant, "DORMANCY_UNREPORTED")
        # a card that is reported does not speak for one that is not
        await (await holder(bank)).month("2026-10")
        await figure(office, 2, 0)
        assert await hindered(office.reviewer, applicant, "DORMANCY_UNREPORTED")
        await silent.month("2026-10")

        async def known() -> bool:
            await office.issuing.round()
            return not await hindered(office.reviewer, applicant, "DORMANCY_UNREPORTED")

        await eventually(known)
        # the last figure of a service that counts no more gets old
        conn = await asyncpg.connect(bank.superuser_url)
        try:
            later = bank.now + timedelta(days=stale + 15)
            assert (await look(conn, bank.now)).standing == "fine"
            assert (await look(conn, later)).stop == "DORMANCY_UNREPORTED"
        finally:
            await conn.close()
    finally:
        set_terms(folder)


async def test_the_figure_is_told_to_the_metrics(bank: Bank, office: Office) -> None:
    await cleared(bank)
    for last in (OLD, "2026-10-05"):
        await (await holder(bank)).month("2026-10", last_customer_transaction=last)
    await figure(office, 2, 1)
    told = (await office.reviewer.get("/metrics")).text
    assert "banka_dormant_card_share 0.5" in told
    assert "banka_issuing_stopped 1.0" in told
    await cleared(bank)
    await office.issuing.round()
    told = (await office.reviewer.get("/metrics")).text
    assert "banka_dormant_card_share NaN" in told
    assert "banka_issuing_stopped 0.0" in told


async def own(bank: Bank, person: str, besides: str = "-") -> Own:
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        return await account_store.own_cards(conn, person, besides)
    finally:
        await conn.close()


async def until(bank: Bank, person: str, limits: int, cards: int) -> None:
    async def counted() -> bool:
        return await own(bank, person) == Own(limits, cards)

    await eventually(counted)


async def test_what_core_banking_lists_is_deducted_in_place_of_what_was_granted(
    bank: Bank, office: Office
) -> None:
    await cleared(bank)
    await office.issuing.round()
    one = Holder(bank, await handed(bank, "application.approved"))
    granted = (await own(bank, one.person)).limits
    assert (granted > 0, (await own(bank, one.person)).cards) == (True, 1)
    # an older card of the bank; the new one is still being made
    await one.holds("2026-11-01", held("core-1", 3_000_00), held("core-2", None))
    await until(bank, one.person, granted + 3_000_00, 3)
    # the new one is there, with another limit by now
    await one.holds("2026-11-05", held("core-1", 3_000_00), one.listed(25_000_00))
    await until(bank, one.person, 28_000_00, 2)
    assert await own(bank, one.person, one.applicant.application_id) == Own(3_000_00, 1)
    # known to core banking and listed no more: it is gone
    await one.month("2026-10", opened_on="2026-10-20")
    await one.holds("2026-11-06", held("core-1", 3_000_00))
    await until(bank, one.person, 3_000_00, 1)
    # a closed one is gone before the next holding says so
    await one.holds("2026-11-07", one.listed(25_000_00))
    await until(bank, one.person, 25_000_00, 1)
    await one.month("2026-11", opened_on="2026-10-20", closed_on="2026-11-08")
    await until(bank, one.person, 0, 0)


async def test_who_holds_as_much_as_the_cap_according_to_core_banking_gets_no_next_card(
    bank: Bank, office: Office
) -> None:
    await cleared(bank)
    await office.issuing.round()
    await handed(bank, "application.approved", income=3_000_00)
    again = await bank.applicant(income=3_000_00)
    one = Holder(bank, again)
    await one.holds("2026-11-05", held("core-1", 18_000_00))  # six months' income
    await until(bank, one.person, 18_000_00, 1)
    await bank.hand_over(again)

    async def decided() -> bool:
        return len(await bank.types(again)) >= 2

    await eventually(decided)
    assert (await bank.types(again))[-1] == "application.declined"
    shown = (await office.reviewer.get(f"{API}/cases/{again.application_id}")).json()
    assert "NO_LIMIT_LEFT" in shown["findings"]
