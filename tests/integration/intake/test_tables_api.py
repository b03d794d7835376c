"""Branches' tables through the API: the same as on the pages, narrowed to who loaded them."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from tests.eventually import eventually
from tests.integration.intake.office import API, BRANCH, NAME, OTHER_BRANCH, Office
from tests.integration.intake.test_api import MINE, OTHER
from tests.integration.intake.test_batches import row, sheet

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLES = f"{API}/tables"


async def load(
    client: httpx.AsyncClient, content: bytes, branch: str = BRANCH, status: int = 201
) -> dict[str, Any]:
    answer = await client.post(
        TABLES, data={"branch": branch}, files={"file": ("list.csv", content, "text/csv")}
    )
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def until(client: httpx.AsyncClient, table_id: str, state: str) -> dict[str, Any]:
    """The table once it is so far."""

    async def reached() -> dict[str, Any] | None:
        found: dict[str, Any] = (await client.get(f"{TABLES}/{table_id}")).json()
        return found if found["state"] == state else None

    found = await eventually(reached)
    assert found is not None
    return found


async def test_a_table_is_looked_at_taken_and_its_bad_rows_given_back(office: Office) -> None:
    client = office.client(MINE)
    good, spoilt = row(office), row(office, mobile="12", id_issued="yesterday")
    content = sheet(good, spoilt)
    table_id = (await load(client, content))["table_id"]
    looked = await until(client, table_id, "checked")
    assert looked["counts"] == {"good": 1, "bad": 1}
    (bad,) = looked["bad"]
    assert bad["row"] == 3
    assert {(one["column"], one["code"]) for one in bad["problems"]} == {
        ("mobile", "MOBILE_FORM"),
        ("id_issued", "DATE_FORM"),
    }
    assert "Write the day as 2026-10-12." in {one["detail"] for one in bad["problems"]}
    assert NAME not in str(looked)
    assert looked["taken"] == []

    again = await load(client, content, status=200)
    assert again["table_id"] == table_id
    for _ in range(2):  # asked twice it is done once
        assert (await client.post(f"{TABLES}/{table_id}/take")).status_code == 202
    done = await until(client, table_id, "done")
    (taken,) = done["taken"]
    assert (taken["row"], taken["outcome"]) == (2, "taken")
    shown = await client.get(f"{API}/applications/{taken['application_id']}")
    assert shown.json()["application_number"] == taken["application_number"]

    kept = await client.get(f"{TABLES}/{table_id}/rejected.xlsx", params={"language": "en"})
    cells = list(load_workbook(io.BytesIO(kept.content)).worksheets[0].iter_rows(values_only=True))
    assert cells[1][0] == NAME
    assert "Mobile number has the wrong form" in str(cells[1][-1])
    views = "SELECT staff_id FROM personal_view WHERE what = $1"
    assert [one["staff_id"] for one in await office.fetch(views, f"table {table_id}")] == [
        f"client:{MINE}"
    ]
    assert (await client.get(f"{TABLES}/{table_id}/rejected.pdf")).status_code == 404


async def test_another_channel_sees_neither_table_nor_application(office: Office) -> None:
    mine, other = office.client(MINE), office.client(OTHER)
    content = sheet(row(office))
    table_id = (await load(mine, content))["table_id"]
    await until(mine, table_id, "checked")
    for method, path in (
        ("GET", f"{TABLES}/{table_id}"),
        ("POST", f"{TABLES}/{table_id}/take"),
        ("GET", f"{TABLES}/{table_id}/rejected.csv"),
    ):
        answer = await other.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
    assert table_id not in str((await other.get(TABLES)).json())
    assert table_id in str((await mine.get(TABLES)).json())
    assert (await office.client().get(f"{TABLES}/{table_id}")).status_code == 200, "the branch does"

    await mine.post(f"{TABLES}/{table_id}/take")
    application = (await until(mine, table_id, "done"))["taken"][0]["application_id"]
    # the same file of theirs is another table, and its row is known: not whose it is
    theirs = (await load(other, content))["table_id"]
    assert theirs != table_id
    known = (await until(other, theirs, "checked"))["taken"]
    assert [(one["outcome"], one["application_id"]) for one in known] == [("known", None)]
    assert (await other.get(f"{API}/applications/{application}")).status_code == 404


async def test_what_cannot_be_done_is_said(office: Office) -> None:
    client = office.client()
    assert (await load(client, b"nothing", status=422))["code"] == "unknown-column"
    wide = office.client("one-branch")
    assert (await load(wide, sheet(row(office)), status=422))["code"] == "unknown-branch"
    reader = await office.colleague("auditor")
    assert (await reader.get(TABLES)).status_code == 403
    here = await office.colleague("assistant", branch=BRANCH)
    table_id = (await load(here, sheet(row(office, email="a@b.example"))))["table_id"]
    elsewhere = await office.colleague("assistant", branch=OTHER_BRANCH)
    assert (await elsewhere.get(f"{TABLES}/{table_id}")).status_code == 404
    await until(here, table_id, "checked")
    await office.service.pool.execute(
        "UPDATE batch SET state = 'closed', wrapped = NULL WHERE batch_id = $1", table_id
    )
    closed = await here.post(f"{TABLES}/{table_id}/take")
    assert (closed.status_code, closed.json()["code"]) == (409, "not-checked")
    gone = await here.get(f"{TABLES}/{table_id}/rejected.csv")
    assert (gone.status_code, gone.json()["code"]) == (409, "forgotten")
