"""Reporting's audit log, and that nothing of another branch is there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.reporting.app import build
from shared.postgres.pool import app_role
from shared.web.permissions import Permission, Role
from shared.web.session import COOKIE
from tests.eventually import eventually
from tests.integration.reporting.bank import Bank
from tests.integration.reporting.test_service import API, in_state
from tests.integration.scope import (
    ask,
    entered,
    everything_in_a_branch,
    hidden_from,
    listed_for,
    reached_by,
    routes_of,
)

__all__ = ["everything_in_a_branch"]  # a fixture

# Of no branch: a day's figures are of whatever the reader sees.
DAYS = {
    "/reporting/reports/daily/{day}",
    "/reporting/reports/daily/{day}/figures/{key}",
    "/reporting/reports/daily/{day}/excel",
    "/reporting/api/v1/reports/daily/{day}",
}


# What is asked for within, beyond what lets in.
WITHIN = {"/reporting/views/{view_id}/drop": {Permission.VIEW_SHARE}}


@pytest.fixture
async def app(bank: Bank) -> AsyncIterator[FastAPI]:
    app = build(bank.settings)
    async with app.router.lifespan_context(app):
        yield app


@asynccontextmanager
async def colleague(
    app: FastAPI, bank: Bank, role: str, branch: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A member of staff in a browser of their own."""
    cookie = (await bank.staff(role, branch))[COOKIE]
    async with entered(app, bank.settings, cookie) as client:

        async def known() -> bool:
            return (await client.get(f"{API}/applications")).status_code in (200, 403)

        await eventually(known)
        yield client


async def a_case(client: httpx.AsyncClient, bank: Bank) -> str:
    case = bank.application()
    await bank.to_review(case)
    await in_state(client, case, "manual_review")
    return case


async def log(client: httpx.AsyncClient, **asked: str) -> str:
    found = await client.post("/reporting/audit", data=asked)
    assert found.status_code == 303
    return (await client.get(f"{found.headers['location']}&lang=en")).text


async def test_reports_that_leave_the_office_stand_in_the_log(app: FastAPI, bank: Bank) -> None:
    async with (
        colleague(app, bank, "assistant", bank.branch) as clerk,
        colleague(app, bank, "auditor", "*") as auditor,
    ):
        await a_case(clerk, bank)
        day = bank.now.date().isoformat()
        made = await clerk.get(f"/reporting/reports/daily/{day}/excel")
        assert made.status_code == 200
        taken = await clerk.get(f"/reporting/reports/archive/{made.headers['x-manifest']}")
        assert taken.status_code == 200
        lines = await log(auditor, kind="office")
        for words in ("Report made and taken as a file", "Archived report taken as a file", day):
            assert words in lines, words
        assert bank.branch in lines
        file = await auditor.get("/reporting/audit/table")
        assert "Report made and taken as a file" in file.text or "生成并导出报表" in file.text
        assert "Audit log taken away as a file" in await log(auditor)
        # what was typed into the address is not kept: it may be of a person
        typed = {"who": "18612345678", "application": "44018612345678"}
        assert (await auditor.get("/reporting/audit/table", params=typed)).status_code == 200
        assert "18612345678" not in await log(auditor)
        assert (await clerk.get("/reporting/audit")).status_code == 403
        assert (await clerk.get("/reporting/audit/table")).status_code == 403
    url = bank.settings.postgres_url("banka_reporting", app_role("reporting"))
    conn = await asyncpg.connect(url)
    try:
        for change in ("DELETE FROM office_change", "UPDATE office_change SET at = now()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(change)
    finally:
        await conn.close()


async def _ids(own: httpx.AsyncClient, bank: Bank, case: str) -> dict[str, str]:
    """Of a case, of a report in which it counts, and of a view that its reader keeps."""
    day = bank.now.date().isoformat()
    home = "/reporting/applications"
    keep = {"listed": "applications", "name": "积压", "query": "state=manual_review&q=13911112222"}
    assert (await own.post("/reporting/views", data=keep)).status_code == 303
    page = (await own.get(home)).text
    assert f'href="{home}?state=manual_review"' in page, "nothing else comes into an address"
    view = re.search(r"/reporting/views/([0-9a-f-]{36})/drop", page)
    assert view is not None
    made = await own.get(f"/reporting/reports/daily/{day}/excel")
    return {
        "application_id": case,
        "day": day,
        "key": "submitted",
        "manifest_id": made.headers["x-manifest"],
        "number": "1",
        "view_id": view[1],
    }


async def test_every_route_with_an_id_hides_what_belongs_to_another_branch(
    app: FastAPI, bank: Bank, everything_in_a_branch: None
) -> None:
    async with (
        colleague(app, bank, "assistant", bank.branch) as own,
        colleague(app, bank, "assistant", "0001") as stranger,
    ):
        case = await a_case(own, bank)
        ids = await _ids(own, bank, case)
        day = ids["day"]
        nothing: dict[str, Any] = {}
        secret = bank.number(case)
        routes = routes_of(app, DAYS)
        assert await hidden_from(stranger, routes, ids, nothing, nothing, secret) == []
        for route in routes:
            answer = await ask(own, route, ids, nothing, nothing)
            assert not route.of_a_branch or answer.status_code in (200, 303), route
        for route in (one for one in routes_of(app, set()) if one.path in DAYS):
            answer = await ask(stranger, route, ids, nothing, nothing)
            assert answer.status_code == 200, route
            assert secret not in answer.text
        shown = await own.get(f"/reporting/reports/daily/{day}/figures/submitted")
        assert secret in shown.text, "or the above would find nothing because nothing is there"
    assert len(routes) > 3, "the test sees the routes"


async def test_no_list_and_no_search_shows_what_belongs_to_another_branch(
    app: FastAPI, bank: Bank, everything_in_a_branch: None
) -> None:
    async with (
        colleague(app, bank, "assistant", bank.branch) as own,
        colleague(app, bank, "assistant", "0001") as stranger,
    ):
        case = await a_case(own, bank)
        asked = [
            {"branch": bank.branch},
            {"number": bank.number(case)},
            {"value": bank.number(case)},
        ]
        known = await listed_for(own, app, asked, case)
        assert {
            "GET /reporting/applications",
            "POST /reporting/applications/search",
            f"GET {API}/applications",
        } <= known
        assert await listed_for(stranger, app, asked, case) == set()
        manifest = (await _ids(own, bank, case))["manifest_id"]
        assert await listed_for(own, app, asked, manifest) >= {
            "GET /reporting/reports",
            f"GET {API}/reports",
        }
        assert await listed_for(stranger, app, asked, manifest) == set()


@pytest.mark.parametrize("wide", [Role.AUDITOR, Role.REVIEWER, Role.OPS])
async def test_several_roles_do_no_more_elsewhere_than_the_one_that_sees_the_whole_bank(
    app: FastAPI, bank: Bank, wide: Role
) -> None:
    """What the others alone allow stops at their branches, on every route: who takes reports of one
    branch and reads all of them takes none of another."""
    roles = (Role.ASSISTANT, Role.MANAGER, wide)
    async with (
        colleague(app, bank, "assistant", bank.branch) as own,
        colleague(app, bank, " ".join(roles), "0001") as person,
    ):
        case = await a_case(own, bank)
        ids, number = await _ids(own, bank, case), bank.number(case)
        wrong, opened, hidden = await reached_by(
            person, roles, routes_of(app, DAYS), ids, {}, {}, number, WITHIN
        )
        assert wrong == []
        assert "/reporting/applications/{application_id}" in opened
        takes = "/reporting/reports/archive/{manifest_id}"
        assert takes in (opened if wide is Role.AUDITOR else hidden)
        # a day's figures are of what the permission for them reaches
        for address, reached in (
            (f"/reporting/reports/daily/{ids['day']}/figures/submitted", wide is not Role.OPS),
            ("/reporting/applications", True),
        ):
            assert (number in (await person.get(address)).text) is reached, address
