"""Deadlines of every step, who answers for what is overdue, and whom everybody waited for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services import intake
from services.reporting.projections import ApplicationRow, Seen, apply_lifecycle
from shared.calendar import business_day, due_after, end_of_day
from shared.clock import format_instant
from shared.events import review
from shared.events.lifecycle import BY_TYPE
from shared.parameters import load_clocks
from tests.eventually import eventually
from tests.integration.intake.office import Customer, Office, decision
from tests.integration.intake.test_card_facts import cards_on_order, say

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


def _migrated(name: str) -> str:
    """What that migration of intake does with what is there."""
    text = (Path(intake.__file__).parent / "migrations" / name).read_text(encoding="utf-8")
    (statement,) = [part for part in text.split(";") if "UPDATE" in part]
    return statement


async def test_what_a_release_without_reminders_began_gets_its_reminder_once(
    office: Office,
) -> None:
    draft, reminded = [await office.begun() for _ in "12"]
    ((card_id, delivered),) = (await cards_on_order(office, 1)).items()
    await say(office, "delivered", card_id)
    await office.until(Customer("", delivered), "delivered")
    ids = [draft.application_id, reminded.application_id, delivered]

    async def reminders() -> dict[str, datetime]:
        rows = await office.fetch(
            "SELECT subject, at FROM messaging.deadline"
            " WHERE subject = ANY ($1) AND name LIKE '%-reminder'",
            ids,
        )
        return {row["subject"]: row["at"] for row in rows}

    before = await reminders()
    assert before.keys() == set(ids)
    await office.fetch(
        "DELETE FROM messaging.deadline WHERE subject = ANY ($1) AND name LIKE '%-reminder'", ids
    )
    await office.fetch(
        "INSERT INTO application_history (application_id, at, actor, action, details)"
        " VALUES ($1, $2, 'intake', 'reminded', '{}')",
        reminded.application_id,
        office.now,
    )
    await office.fetch(_migrated("0019_due_meanwhile.sql"))
    await office.service.timing.sweep()
    again = [draft.application_id, delivered]
    assert await reminders() == {one: before[one] for one in again}
    assert await office.service.timing.sweep() == 0


async def test_who_was_not_met_in_time_stands_in_the_work_until_somebody_saw_them(
    office: Office,
) -> None:
    """An older service's case, too; and what lies with compliance as any other."""
    late, held, met = [await office.handed_over() for _ in "123"]
    await office.review_says(held, review.ApplicationHeld)
    await office.until(held, "on_hold")
    client = await office.colleague("assistant")
    path = "/intake/api/v1/applications"

    async def see(customer: Customer) -> None:
        paper = (await office.shown(customer))["documents"][0]["document_id"]
        seen = dict.fromkeys(("saw_person", "saw_original", "saw_signing"), True)
        body = {**seen, "at": format_instant(office.now), "evidence": [paper]}
        answer = await client.post(f"{path}/{customer.application_id}/meetings", json=body)
        assert answer.status_code == 200, answer.text

    async def listed() -> dict[str, str]:
        """{application number: its row}; the tab counts them."""
        query = {"section": "to-meet", "lang": "en"}
        page = (await client.get("/intake/work", params=query)).text
        known = {one.number for one in (late, held, met)}
        rows = {number: row for row in page.split("<tr") for number in known if number in row}
        assert not any("On hold" in row for row in rows.values())
        shown = page.count('data-label="Application"')
        assert f'Interview overdue<span class="count">{shown}</span>' in page
        return rows

    await see(met)
    due = end_of_day(business_day(office.now) + timedelta(days=load_clocks().interview_days))
    found = {one.number: (await row_of(office, one))["interview_due"] for one in (late, held, met)}
    assert found == {late.number: due, held.number: due, met.number: None}
    await office.fetch(
        "UPDATE application SET interview_due = NULL WHERE application_id = $1",
        held.application_id,
    )
    await office.fetch(_migrated("0019_due_meanwhile.sql"))
    await office.service.timing.sweep()
    assert (await row_of(office, held))["interview_due"] == due

    office.step(due - timedelta(hours=1))
    assert await listed() == {}
    office.step(due + timedelta(hours=1))

    async def overdue() -> bool:
        return (await listed()).keys() == {late.number, held.number}

    await eventually(overdue)
    assert all("overdue" in row for row in (await listed()).values())
    await see(late)
    assert (await listed()).keys() == {held.number}
