"""Who is signed in: seen and ended by managers of the branch, and by everybody of themselves."""

from __future__ import annotations

import re
import time

import httpx
import pytest
import pytest_asyncio

from services.intake.accounts import DEMO_PASSWORD, FAILURES_ALLOWED, load
from services.intake.audit import LOG
from services.intake.organisation import read_organisation
from shared.web.audit import Wanted
from shared.web.session import COOKIE, Signer
from tests.eventually import eventually
from tests.integration.intake.office import API, Office

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORGANISATION = """
branches:
  - {branch: "6101", name_zh: 长安支行, name_en: Changan, region: "61"}
  - {branch: "6102", name_zh: 雁塔支行, name_en: Yanta, region: "61"}
  - {branch: "6501", name_zh: 天山支行, name_en: Tianshan, region: "65"}
staff:
  - {staff_id: S6101, username: changan, display_name: 秦一, roles: [assistant],
     branches: ["6101"], desk: assistant}
  - {staff_id: S6102, username: yanta, display_name: 秦二, roles: [assistant],
     branches: ["6102"], desk: assistant}
  - {staff_id: S6501, username: tianshan, display_name: 秦三, roles: [assistant],
     branches: ["6501"], desk: assistant}
  - {staff_id: S9999, username: whole, display_name: 秦四, roles: [reviewer],
     branches: ["*"], desk: credit_review}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def organisation(office: Office) -> None:
    await load(office.service.settings, office.service.clock, read_organisation(ORGANISATION))

    async def told() -> bool:
        staff = "SELECT FROM directory_staff WHERE staff_id = ANY ($1) AND active"
        branches = "SELECT FROM directory_branch WHERE branch = ANY ($1)"
        return (
            len(await office.fetch(staff, ["S6101", "S6102", "S6501", "S9999"])) == 4
            and len(await office.fetch(branches, ["6101", "6102", "6501"])) == 3
        )

    await eventually(told)


async def sign_in(
    office: Office, username: str, password: str = DEMO_PASSWORD
) -> httpx.AsyncClient:
    """A browser of somebody who comes in by the sign-in page, or tries to."""
    browser = httpx.AsyncClient(
        transport=httpx.ASGITransport(office.app), base_url="http://intake.test"
    )
    token = re.search(r'name="csrf_token" value="([^"]*)"', (await browser.get("/sign-in")).text)
    assert token is not None
    fields = {"username": username, "password": password, "csrf_token": token[1]}
    await browser.post("/sign-in", data=fields)
    browser.headers["X-CSRF-Token"] = await form_token(browser)
    return browser


async def form_token(browser: httpx.AsyncClient) -> str:
    page = (await browser.get("/intake/sessions")).text
    found = re.search(r'name="csrf-token" content="([^"]*)"', page)
    return found[1] if found else ""


async def is_in(browser: httpx.AsyncClient) -> bool:
    return (await browser.get(f"{API}/applications")).status_code == 200


def own(office: Office, browser: httpx.AsyncClient) -> str:
    """The session that a browser has, as it is known by."""
    signer = Signer(office.settings.secret("session-key").encode())
    session = signer.open(browser.cookies[COOKIE], time.time())
    assert session is not None
    return session.digest


def sessions(page: httpx.Response) -> list[str]:
    return re.findall(r'name="session" value="([0-9a-f]+)"', page.text)


async def test_a_manager_sees_and_ends_sessions_of_the_region_alone(
    office: Office, organisation: None
) -> None:
    manager = await office.colleague("manager", branch="6101")
    first, second = await sign_in(office, "changan"), await sign_in(office, "changan")
    elsewhere = await sign_in(office, "tianshan")
    assert await is_in(first)
    assert await is_in(second)
    page = await manager.get("/intake/staff", params={"lang": "en"})
    assert "S6101" in page.text
    assert "S6102" in page.text, "the region's other branch"
    assert "S6501" not in page.text
    assert "S9999" not in page.text, "who sees the whole bank"
    for beyond in ("99999", "2", "0", "²"):
        last = await manager.get("/intake/staff", params={"lang": "en", "page": beyond})
        assert (last.status_code, "S6101" in last.text) == (200, True), beyond
    page = await manager.get("/intake/staff/S6101", params={"lang": "en"})
    assert "with a password" in page.text
    assert set(sessions(page)) == {own(office, first), own(office, second)}
    ended = {"session": own(office, second)}
    answer = await manager.post("/intake/staff/S6101/sessions/end", data=ended)
    assert answer.status_code == 303
    assert (await is_in(first), await is_in(second)) == (True, False)
    assert sessions(await manager.get("/intake/staff/S6101")) == [own(office, first)]
    # nothing of another region, neither by its page nor by its session
    for path in ("", "/sessions/end", "/sessions/end-all", "/unlock"):
        method = "GET" if path == "" else "POST"
        answer = await manager.request(method, f"/intake/staff/S6501{path}", data={"session": "x"})
        assert answer.status_code == 404, path
    theirs = {"session": own(office, elsewhere)}
    await manager.post("/intake/staff/S6101/sessions/end", data=theirs)
    assert await is_in(elsewhere)
    async with office.service.pool.acquire() as conn:
        lines = await LOG.find(conn, Wanted(kind="office"), 5)
    assert (lines[0].action, lines[0].subject) == ("session-ended", "S6101")
    assert lines[0].actor.startswith("staff:")


async def test_all_sessions_of_somebody_end_everywhere(office: Office, organisation: None) -> None:
    manager = await office.colleague("manager", branch="6102")
    browser = await sign_in(office, "yanta")
    assert await is_in(browser)
    assert (await manager.post("/intake/staff/S6102/sessions/end-all")).status_code == 303
    assert not await is_in(browser)
    assert sessions(await manager.get("/intake/staff/S6102")) == []
    # in the other services, by what they hear: the session, and the epoch
    told = await office.fetch(
        "SELECT type FROM messaging.event_log WHERE subject = 'S6102'"
        " AND type IN ('banka.session.ended.v1', 'banka.staff.changed.v1') ORDER BY sequence"
    )
    assert [row["type"] for row in told][-2:] == [
        "banka.session.ended.v1",
        "banka.staff.changed.v1",
    ]

    async def new_epoch() -> bool:
        rows = await office.fetch(
            "SELECT d.session_epoch = s.session_epoch AS same FROM directory_staff d"
            " JOIN staff s USING (staff_id) WHERE staff_id = 'S6102'"
        )
        return bool(rows[0]["same"])

    await eventually(new_epoch)
    assert await is_in(await sign_in(office, "yanta"))


async def test_a_locked_account_is_opened_by_a_manager(office: Office, organisation: None) -> None:
    manager = await office.colleague("manager", branch="6101")
    for _ in range(FAILURES_ALLOWED):
        await sign_in(office, "changan", "wrong")
    assert not await is_in(await sign_in(office, "changan"))
    page = await manager.get("/intake/staff/S6101", params={"lang": "en"})
    assert "Too many wrong passwords" in page.text
    assert (await manager.post("/intake/staff/S6101/unlock")).status_code == 303
    assert await is_in(await sign_in(office, "changan"))
    page = await manager.get("/intake/staff/S6101", params={"lang": "en"})
    assert "Too many wrong passwords" not in page.text
    assert page.text.count("Wrong password") >= FAILURES_ALLOWED


async def test_everybody_sees_and_ends_their_own(office: Office, organisation: None) -> None:
    here, there = await sign_in(office, "whole"), await sign_in(office, "whole")
    neighbour = await sign_in(office, "changan")
    page = await here.get("/intake/sessions", params={"lang": "en"})
    assert "this one" in page.text
    assert sessions(page) == [own(office, there)]
    await here.post("/intake/sessions/end", data={"session": own(office, neighbour)})
    assert await is_in(neighbour)
    ended = {"session": own(office, there)}
    assert (await here.post("/intake/sessions/end", data=ended)).status_code == 303
    assert (await is_in(here), await is_in(there)) == (True, False)
    third = await sign_in(office, "whole")
    await here.post("/intake/sessions/end")
    assert (await is_in(here), await is_in(third)) == (True, False)


async def test_whoever_signs_out_is_not_signed_in_any_more(
    office: Office, organisation: None
) -> None:
    manager = await office.colleague("manager")
    browser = await sign_in(office, "tianshan")
    before = len(sessions(await manager.get("/intake/staff/S6501")))
    assert before >= 1
    assert (await browser.post("/sign-out")).status_code == 303
    assert len(sessions(await manager.get("/intake/staff/S6501"))) == before - 1


@pytest.mark.parametrize(
    ("role", "sees", "manages"),
    [("assistant", 403, 403), ("auditor", 200, 403), ("manager", 200, 303), ("ops", 403, 403)],
)
async def test_who_may_see_and_who_may_end(
    office: Office, organisation: None, role: str, sees: int, manages: int
) -> None:
    client = await office.colleague(role)
    assert (await client.get("/intake/staff")).status_code == sees
    page = await client.get("/intake/staff/S6101")
    assert page.status_code == sees
    assert ("/sessions/end" in page.text) is (manages == 303)
    answer = await client.post("/intake/staff/S6101/sessions/end-all")
    assert answer.status_code == manages
    assert (await client.get("/intake/sessions")).status_code == 200
