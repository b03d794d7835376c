"""Notify's audit log, what of a message is shown for a reason, its log as it is searched and kept,
and that nothing of another branch is there."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from deploy.local import Stack
from shared.identifiers import new_id
from shared.postgres.pool import app_role
from shared.web.permissions import Permission, Role
from shared.web.session import COOKIE
from tests.eventually import eventually
from tests.integration.notify.conftest import Web
from tests.integration.notify.office import MOBILE, NAME, Customer, Office
from tests.integration.notify.test_service import in_states, signed_in
from tests.integration.scope import (
    Route,
    ask,
    entered,
    everything_in_a_branch,
    hidden_from,
    listed_for,
    reached_by,
    routes_of,
)

__all__ = ["everything_in_a_branch"]  # a fixture

LOG = "/notify/messages"
WORDS = "客户说没有收到"
WITHIN = {"HX-Request": "true"}


@asynccontextmanager
async def colleague(
    web: Web, office: Office, role: str, *branches: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody else in the office, in a browser of their own; of the test's branch, where none is
    named."""
    cookie = (await office.staff(role, *(branches or (office.branch,))))[COOKIE]
    async with entered(web.app, office.settings, cookie) as client:

        async def known() -> bool:
            return (await client.get(LOG)).status_code in (200, 403)

        await eventually(known)
        yield client


async def a_message(web: Web, office: Office) -> tuple[Customer, str]:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer)
    [message] = await in_states(web, customer, "sent")
    return customer, message["message_id"]


async def log(client: httpx.AsyncClient, **asked: str) -> str:
    found = await client.post("/notify/audit", data=asked)
    assert found.status_code == 303
    assert asked.get("number", "no number") not in found.headers["location"]
    return (await client.get(f"{found.headers['location']}&lang=en")).text


async def test_who_reads_a_message_in_clear_says_why_and_stands_in_the_log(
    web: Web, office: Office, notify_stack: Stack
) -> None:
    customer, message = await a_message(web, office)
    here = f"{LOG}/{message}"
    clear = {"text": "尊敬的诸葛先生", "recipient": MOBILE}
    async with (
        colleague(web, office, "assistant") as clerk,
        colleague(web, office, "auditor") as auditor,
    ):
        page = (await clerk.get(here)).text
        for field, text in clear.items():
            where = f"{here}/fields/{field}"
            assert text not in page
            assert f'href="{where}"' in page
            assert text not in (await clerk.get(where, headers=WITHIN)).text
            for reason in ({}, {"why": "other"}, {"why": "because"}):
                refused = await clerk.post(where, data=reason, headers=WITHIN)
                assert text not in refused.text
                assert "is-invalid" in refused.text
            shown = await clerk.post(where, data={"why": "contact", "text": WORDS}, headers=WITHIN)
            assert text in shown.text, shown.text
            assert shown.headers["cache-control"] == "no-store"
        assert (await clerk.get(f"{here}/fields/body")).status_code == 404
        # who may look at messages alone is not offered it
        assert "/fields/" not in (await auditor.get(here)).text
        assert (await auditor.post(f"{here}/fields/text")).status_code == 403

        lines = await log(auditor, number=customer.about["application_number"])
        for words in (
            "Message, addressee masked",
            "One field in clear",
            "Text as the customer read it",
            "Recipient",
            "To call or write to the customer",
        ):
            assert words in lines, words
        for secret in (NAME, "诸葛", MOBILE, WORDS):
            assert secret not in lines
        values = re.search(r'href="(/notify/audit/view/\d+/values)"', lines)
        assert values is not None
        opened = await auditor.post(values[1], data={"why": "inspection"}, headers=WITHIN)
        assert WORDS in opened.text
        assert "A line of the audit log opened" in await log(auditor, kind="read")
        for role in ("assistant", "manager"):
            async with colleague(web, office, role) as other:
                assert (await other.get("/notify/audit")).status_code == 403
    conn = await asyncpg.connect(office.settings.postgres_url("banka_notify", app_role("notify")))
    try:
        tables = ("personal_view", "office_change", "language_change", "message_history")
        for table in tables:
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET at = now()"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(change)
        kept = await conn.fetch("SELECT t::text AS row FROM personal_view t")
    finally:
        await conn.close()
    assert kept
    assert not [row for row in kept if WORDS in row["row"] or MOBILE in row["row"]]


async def test_what_the_desk_decides_by_hand_stands_in_the_log(web: Web, office: Office) -> None:
    customer, message = await a_message(web, office)
    async with (
        colleague(web, office, "assistant") as clerk,
        colleague(web, office, "auditor") as auditor,
    ):
        for language in ("en", "en"):
            chosen = await clerk.post(f"{LOG}/{message}/language", data={"language": language})
            assert chosen.status_code == 303
        lines = await log(auditor, number=customer.about["application_number"], kind="change")
        assert lines.count("Language of further messages") == 1, "chosen again it is no change"
        assert "<del>中文</del>" in lines
        assert "The gateway took the message" not in lines, "nobody did that by hand"


async def test_what_is_typed_to_find_messages_comes_into_no_address(
    web: Web, office: Office
) -> None:
    customer, _message = await a_message(web, office)
    number = customer.about["application_number"]
    async with colleague(web, office, "assistant") as clerk:
        for value in (number, f" {number[:4]} {number[4:]}", number[-6:]):
            found = await clerk.post(f"{LOG}/search", data={"value": value})
            address = found.headers["location"]
            assert address == f"{LOG}?application={customer.application_id}"
            assert number in (await clerk.get(address)).text
        for value in (MOBILE, NAME, "11010519491231002X", "0", "", number[-3:]):
            found = await clerk.post(f"{LOG}/search", data={"value": value})
            assert found.headers["location"] == LOG
            assert not value or value not in str(found.headers.get("location"))
        kept = {"listed": "messages", "name": "待核实", "query": f"state=unresolved&q={MOBILE}"}
        assert (await clerk.post("/notify/views", data=kept)).status_code == 303
        page = (await clerk.get(LOG)).text
        view = re.search(r'href="([^"]*)"[^>]*><svg[^>]*>.*?</svg>待核实<', page)
        assert view is not None
        assert view[1] == f"{LOG}?state=unresolved"


async def test_the_log_of_messages_is_read_page_by_page_in_any_order(
    web: Web, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notify.pages.PAGE_SIZE", 2)
    await signed_in(web, office, "assistant")
    for _ in range(3):
        await office.submit(await office.customer())

    async def all_there() -> list[str]:
        answer = await web.client.get("/notify/api/v1/messages", params={"branch": office.branch})
        found = [one["message_id"] for one in answer.json()["messages"]]
        return found if len(found) == 3 else []

    wanted = await eventually(all_there)
    for sort in ("", "requested", "-requested", "number", "-number"):
        met: list[str] = []
        address: str | None = f"{LOG}?branch={office.branch}&sort={sort}"
        while address:
            page = (await web.client.get(address)).text
            met += re.findall(r'<a href="/notify/messages/([0-9a-f-]{36})"', page)
            further = re.search(r'rel="next" href="([^"]+)"', page)
            address = html.unescape(further[1]) if further else None
        assert sorted(met) == sorted(wanted), sort
        assert len(met) == len(set(met)), sort


# What is asked for within, beyond what lets in.
WITHIN_REACH = {"/notify/views/{view_id}/drop": {Permission.VIEW_SHARE}}
FIELDS = {"evidence": "gateway-has-it", "language": "en", "why": "contact"}


async def _ids(
    own: httpx.AsyncClient, manager: httpx.AsyncClient, office: Office, message: str
) -> dict[str, str]:
    """Of a message, somebody's look at it, and a view that its branch keeps."""
    name = new_id()
    keep = {"listed": "messages", "name": name, "query": "", "branch": office.branch}
    assert (await manager.post("/notify/views", data=keep)).status_code == 303
    view = re.search(r"/notify/views/([0-9a-f-]{36})/drop", (await manager.get(LOG)).text)
    assert view is not None
    assert (await own.get(f"{LOG}/{message}")).status_code == 200
    return {
        "message_id": message,
        "field": "text",
        "view_id": view[1],
        "source": "view",
        "number": "1",
    }


def _asked(routes: list[Route]) -> list[tuple[list[Route], dict[str, str]]]:
    """The routes with what is filled in there: how one knows is chosen from another list where a
    message is sent again."""
    again = [one for one in routes if one.path.endswith("send-again")]
    others = [one for one in routes if one not in again]
    return [(again, FIELDS | {"evidence": "gateway-lacks-it"}), (others, FIELDS)]


async def test_every_route_with_an_id_hides_what_belongs_to_another_branch(
    web: Web, office: Office, everything_in_a_branch: None
) -> None:
    customer, message = await a_message(web, office)
    routes = routes_of(web.app, set())
    bodies: dict[str, object] = {}
    async with (
        colleague(web, office, "assistant") as own,
        colleague(web, office, "assistant", "0001") as stranger,
    ):
        ids = await _ids(own, own, office, message)
        secret = customer.about["application_number"]
        missing = []
        for some, fields in _asked(routes):
            assert await hidden_from(stranger, some, ids, fields, bodies, secret) == []
            for route in some:
                answer = await ask(own, route, ids, fields, bodies)
                if route.of_a_branch and answer.status_code in (403, 404, 422):
                    missing.append((route.method, route.path, answer.status_code))
        assert missing == []
    assert len({one.path for one in routes if one.of_a_branch}) >= 7, "the test sees the routes"


async def test_no_list_and_no_search_shows_what_belongs_to_another_branch(
    web: Web, office: Office, everything_in_a_branch: None
) -> None:
    customer, message = await a_message(web, office)
    number = customer.about["application_number"]
    asked = [{"branch": office.branch}, {"number": number}, {"value": number}]
    async with (
        colleague(web, office, "assistant") as own,
        colleague(web, office, "assistant", "0001") as stranger,
    ):
        known = await listed_for(own, web.app, asked, message)
        assert {"GET /notify/messages", "GET /notify/api/v1/messages"} <= known
        assert await listed_for(stranger, web.app, asked, message) == set()
        found = await listed_for(own, web.app, asked, customer.application_id)
        assert "POST /notify/messages/search" in found
        assert await listed_for(stranger, web.app, asked, customer.application_id) == set()


@pytest.mark.parametrize(
    ("wide", "opens", "hides"), [(Role.AUDITOR, 2, 4), (Role.REVIEWER, 3, 3), (Role.OPS, 4, 3)]
)
async def test_several_roles_do_no_more_elsewhere_than_the_one_that_sees_the_whole_bank(
    web: Web, office: Office, wide: Role, opens: int, hides: int
) -> None:
    """What the others alone allow stops at their branches, on every route; and of the permissions
    of a route each has to reach there."""
    customer, message = await a_message(web, office)
    roles = (Role.ASSISTANT, Role.MANAGER, wide)
    async with (
        colleague(web, office, "assistant") as own,
        colleague(web, office, "manager") as manager,
        colleague(web, office, " ".join(roles), "0001") as person,
    ):
        ids, number = (
            await _ids(own, manager, office, message),
            customer.about["application_number"],
        )
        found = []
        for routes, fields in _asked(routes_of(web.app, set())):
            found.append(
                await reached_by(person, roles, routes, ids, fields, {}, number, WITHIN_REACH)
            )
        assert [one for wrong, _, _ in found for one in wrong] == []
        assert len({one for _, opened, _ in found for one in opened}) >= opens
        assert len({one for _, _, hidden in found for one in hidden}) >= hides
        assert number in (await person.get(f"{LOG}?branch={office.branch}")).text
