"""Deadlines of every step, who answers for what is overdue, and whom everybody waited for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.reporting.projections import ApplicationRow, Seen, apply_lifecycle
from shared.calendar import business_day, due_after, end_of_day
from shared.clock import format_instant
from shared.events import review
from shared.events.lifecycle import BY_TYPE
from tests.eventually import eventually
from tests.integration.intake.office import Customer, Office, decision

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


async def row_of(office: Office, customer: Customer) -> Any:
    (row,) = await office.fetch(
        "SELECT * FROM application WHERE application_id = $1", customer.application_id
    )
    return row


async def asked_for_a_paper(office: Office) -> Customer:
    """Handed in without its proof of work."""
    customer = await office.begun()
    for item in ("application_form_signed", "id_front", "id_back", "income_proof"):
        assert (await office.upload(customer, item)).status_code == 201
    assert (await office.submit(customer)).json()["state"] == "awaiting_material"
    return customer


async def test_whom_everybody_waited_for_is_recorded_as_reporting_counts_it(
    office: Office,
) -> None:
    customer = await asked_for_a_paper(office)
    asked_at = office.now
    office.step(asked_at + timedelta(days=2))

    async def brought() -> bool:  # the service reads its clock now and then
        row = await row_of(office, customer)
        if row["state"] == "awaiting_material":
            await office.upload(customer, "work_proof")
        return bool(row["state"] == "checking")

    await eventually(brought)
    recorded = json.loads((await row_of(office, customer))["waited"])
    assert recorded["customer"] >= timedelta(days=2).total_seconds() - 60

    counted = ApplicationRow(customer.application_id)
    for number, (kind, version, body) in enumerate(await office.said(customer.application_id)):
        payload = BY_TYPE.get(f"banka.{kind}.v1")
        if payload is None:
            continue
        time = datetime.fromisoformat(body.pop("_time"))
        body.pop("_origin")
        seen = Seen(
            topic=payload.topic,
            partition=0,
            offset=number,
            id=str(number),
            type=payload.type,
            source="/banka/intake",
            application_id=customer.application_id,
            time=time,
            recorded_time=time,
            state_version=int(version) if version is not None else None,
        )
        apply_lifecycle(counted, seen, payload.model_validate(body))  # type: ignore[arg-type]
    assert counted.state == "checking"
    assert counted.waited == recorded

    page = await (await office.colleague("assistant")).get(
        f"/intake/applications/{customer.application_id}", params={"lang": "en"}
    )
    assert "Waited for the customer" in page.text
    assert "2 d" in page.text


async def test_a_step_is_overdue_with_whoever_answers_for_it_and_in_the_end_with_the_manager(
    office: Office,
) -> None:
    checking, held, waits = [
        *[await office.handed_over() for _ in "12"],
        await asked_for_a_paper(office),
    ]
    await office.review_says(held, review.ApplicationHeld)
    await office.until(held, "on_hold")
    due = due_after(office.now, 10)
    for customer in (checking, held):
        assert (await row_of(office, customer))["due_at"] == due
    material = await row_of(office, waits)
    assert material["due_at"] == material["material_deadline"]

    assistant, manager = [await office.colleague(role) for role in ("assistant", "manager")]

    async def listed(client: Any, section: str) -> dict[str, str]:
        """{application number: its row}."""
        answer = await client.get("/intake/work", params={"section": section, "lang": "en"})
        assert answer.status_code == 200
        return {
            customer.number: row
            for row in answer.text.split("<tr")
            for customer in (checking, held, waits)
            if customer.number in row
        }

    async def in_list() -> str:
        """Its row in the list of all applications: what can be filtered by is named outside."""
        found = await assistant.get("/intake/applications", params={"lang": "en"})
        (row,) = [one for one in found.text.split("<tr") if checking.number in one]
        return row

    assert await listed(assistant, "overdue") == {}
    office.step(due - timedelta(hours=30))

    async def warned() -> bool:
        return "soon due" in await in_list()

    await eventually(warned)
    office.step(due + timedelta(hours=1))

    async def late() -> bool:
        return {checking.number, held.number} <= (await listed(assistant, "overdue")).keys()

    await eventually(late)
    rows = await listed(assistant, "overdue")
    # what lies with compliance looks like what lies with a reviewer
    assert "Credit review" in rows[held.number]
    assert "Compliance" not in rows[held.number]
    assert "On hold" not in rows[held.number]
    assert "Risk" in rows[checking.number]
    assert "overdue" in await in_list()
    assert await listed(manager, "escalated") == {}

    office.step(due_after(due + timedelta(hours=1), 2) + timedelta(hours=1))

    async def escalated() -> bool:
        return {checking.number, held.number} <= (await listed(manager, "escalated")).keys()

    await eventually(escalated)
    assert "Office manager" in (await listed(manager, "escalated"))[checking.number]
    page = await manager.get(
        f"/intake/applications/{checking.application_id}", params={"lang": "en"}
    )
    assert "Office manager" in page.text
    assert "Answers for it" in page.text

    # it ends, and nobody answers for it any more
    await office.review_says(
        checking,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="credit_history",
        reapply_from=office.now.date() + timedelta(days=90),
    )

    async def gone() -> bool:
        return checking.number not in await listed(manager, "escalated")

    await eventually(gone)
    assert held.number in await listed(manager, "escalated")


async def test_customers_are_spoken_with_after_the_pass_within_their_term(office: Office) -> None:
    customer, held = [await office.handed_over() for _ in "12"]
    await office.review_says(held, review.ApplicationHeld)
    await office.until(held, "on_hold")
    client = await office.colleague("assistant")
    here = f"/intake/applications/{customer.application_id}"

    async def to_contact() -> list[str]:
        query = {"section": "to-contact", "lang": "en"}
        found = (await client.get("/intake/work", params=query)).text
        rows = [row for row in found.split("<tr") for one in (customer, held) if one.number in row]
        assert not any("On hold" in row for row in rows)
        due = due_after(office.now, 4)
        assert all(f"{due + timedelta(hours=8):%Y-%m-%d}" in row for row in rows)
        return [one.number for row in rows for one in (customer, held) if one.number in row]

    assert await to_contact() == [customer.number, held.number]
    assert "First contact until" in (await client.get(here, params={"lang": "en"})).text
    answer = await client.post(f"{here}/contact")
    assert (answer.status_code, answer.headers["location"]) == (303, here)
    page = await client.get(here, params={"lang": "en"})
    assert "First contact until" not in page.text
    assert "Customer contacted" in page.text
    assert await to_contact() == [held.number]
    # a program speaks with nobody, and a draft's customer is not waited for
    path = "/intake/api/v1/applications"
    refused = await office.client().post(f"{path}/{held.application_id}/contact")
    assert refused.status_code == 403
    draft = await office.begun()
    early = await client.post(f"{path}/{draft.application_id}/contact")
    assert (early.status_code, early.json()["code"]) == (409, "not-open")
    # who was met in the meantime need not be invited
    paper = (await office.shown(customer))["documents"][0]["document_id"]
    seen = dict.fromkeys(("saw_person", "saw_original", "saw_signing"), True)
    body = {**seen, "at": format_instant(office.now), "evidence": [paper]}
    assert "Interview until" in page.text
    met = await client.post(f"{path}/{customer.application_id}/meetings", json=body)
    assert (met.status_code, met.json()["state"]) == (200, "checking"), met.text
    assert "Interview until" not in (await client.get(here, params={"lang": "en"})).text


async def test_deadlines_of_steps_that_an_older_service_began_are_counted(office: Office) -> None:
    waits, over, ended = [await office.begun() for _ in "123"]
    handed = await office.handed_over()
    await office.withdraw(ended)
    known = [waits, over, handed]
    before = [(await row_of(office, one))["due_at"] for one in known]
    assert all(before)
    begun = business_day((await row_of(office, waits))["created_at"])
    assert before[0] == end_of_day(begun + timedelta(days=30))
    await office.fetch(
        "UPDATE application SET due_at = NULL, timed_version = NULL"
        " WHERE application_id = ANY ($1)",
        [one.application_id for one in (waits, handed, ended)],
    )
    # one that moved it on and left what was counted for the step before
    await office.fetch(
        "UPDATE application SET due_at = $2, timed_version = state_version - 1"
        " WHERE application_id = $1",
        over.application_id,
        datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert await office.service.timing.sweep() >= 3
    assert [(await row_of(office, one))["due_at"] for one in known] == before
    assert (await row_of(office, ended))["due_at"] is None
    # how long everybody waited for whom is not known of these
    assert (await row_of(office, over))["waited"] is None
    assert await office.service.timing.sweep() == 0
