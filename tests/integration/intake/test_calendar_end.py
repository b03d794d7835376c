"""The last days of the known calendar: terms would end after it, and everybody is told so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from shared.calendar import last_known_year
from shared.identifiers import new_id
from tests.eventually import eventually
from tests.integration.intake.office import API, BRANCH, Office
from tests.integration.intake.test_many import table

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_nothing_is_taken_whose_term_nobody_can_count(office: Office) -> None:
    office.step(datetime(last_known_year(), 12, 30, 2, tzinfo=UTC))

    # nobody is taken by surprise
    async def told() -> bool:
        ready = await office.client().get("/readyz")
        note = ready.json()["notes"].get("calendar", "")
        return ready.status_code == 200 and "known for 1 more days" in note

    await eventually(told)

    async def counted() -> bool:
        return REGISTRY.get_sample_value("banka_calendar_days_left") == 1

    await eventually(counted)

    customer = office.customer()
    customer.reference = f"app-{new_id()}"
    event_id = await office.partner_says(
        "mobile-app", "application.submitted", customer.reference, office.app_form(customer)
    )
    (answer,) = await office.answers("mobile-app", event_id)
    assert (answer["kind"], answer["code"]) == ("rejected", "CALENDAR_ENDS")
    assert (await office.service.quiet()).parked == 0

    begun = await office.begun()
    handed_in = await office.submit(begun)
    assert (handed_in.status_code, handed_in.json()["code"]) == (503, "calendar-ends")
    assert await office.state(begun) == "draft"

    outcome = await office.client().post(
        f"{API}/batches",
        data={"branch": BRANCH},
        files={"file": ("list.csv", table([office.customer(), office.customer()]))},
    )
    assert outcome.status_code == 200
    assert [
        (row["row"], [one["code"] for one in row["problems"]]) for row in outcome.json()["rejected"]
    ] == [(2, ["calendar-ends"]), (3, ["calendar-ends"])]

    # a table that is being taken waits, and nothing of it is lost
    client = await office.colleague("assistant")
    loaded = await client.post(
        "/intake/batches",
        data={"branch": BRANCH},
        files={"file": ("list.csv", table([office.customer(), office.customer()]))},
    )
    where = loaded.headers["location"]

    async def stands(state: str, stopped: str | None) -> bool:
        (found,) = await office.fetch(
            "SELECT state, stopped FROM batch WHERE batch_id = $1", where.rpartition("/")[2]
        )
        return (found["state"], found["stopped"]) == (state, stopped)

    await eventually(lambda: stands("checked", None))
    for _ in range(2):
        assert (await client.post(f"{where}/take")).status_code == 303
        await eventually(lambda: stands("checked", "calendar-ends"))
        assert "工作日历" in (await client.get(where, params={"lang": "zh-CN"})).text
    rows = await office.fetch(
        "SELECT state FROM batch_row WHERE batch_id = $1", where.rpartition("/")[2]
    )
    assert {one["state"] for one in rows} == {"good"}
