"""The last days of the known calendar: terms would end after it, and everybody is told so."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from services.intake.customer import VIEWER
from shared.calendar import last_known_year
from shared.identifiers import new_id
from shared.privacy.jwe import encrypt
from tests.eventually import eventually
from tests.integration.intake.office import API, BRANCH, SALARIED_PAPERS, Customer, Office
from tests.integration.intake.test_many import table

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_is_refused_for_its_term_leaves_everybody_found_as_before(
    office: Office,
) -> None:
    office.step(datetime(last_known_year(), 12, 8, 2, tzinfo=UTC))
    fault = {"office_phone": "1"}
    waits = await office.begun(office.customer(party=fault))
    await office.all_papers(waits)
    assert (await office.submit(waits)).json()["state"] == "awaiting_material"
    of_partner = office.customer(party=fault)
    of_partner.reference = f"app-{new_id()}"
    event_id = await office.partner_says(
        "mobile-app",
        "application.submitted",
        of_partner.reference,
        office.app_form(of_partner, SALARIED_PAPERS),
    )
    (answer,) = await office.answers("mobile-app", event_id)
    assert (answer["kind"], answer["state"]) == ("accepted", "awaiting_material"), answer
    of_partner.application_id = answer["application_id"]
    draft = await office.begun()
    office.step(datetime(last_known_year(), 12, 21, 2, tzinfo=UTC))

    def other(mobile: str) -> dict[str, str]:
        """Somebody else's number, and a phone that is wrong in another way: asked for again."""
        number = office.customer().id_number
        return {"id_number": number, "mobile": mobile, "name": "另一人", "office_phone": "2"}

    async def as_before(customer: Customer, tried: dict[str, str]) -> None:
        said = customer.form["parties"][0]
        for kind in ("id_number", "mobile", "name"):
            for text, is_found in ((tried[kind], False), (said[kind], True)):
                found = await office.client().post(f"{API}/searches", json={kind: text})
                ids = {row["application_id"] for row in found.json()}
                assert (customer.application_id in ids) is is_found, kind
        (party,) = (await office.desk.look(VIEWER, customer.application_id)).parties
        vault = await office.service.archive.vault()
        keys = await vault.party_keys(party.party_id, customer.application_id)
        assert keys.person == party.person

    tried = other("13811113333")
    contact = {"role": "contact", "name": "联系人", "mobile": "13811113335"}
    path = f"{API}/applications/{waits.application_id}"
    body = {"parties": [{"role": "applicant", **tried}, contact]}
    refused = await office.client().patch(path, json=body)
    assert (refused.status_code, refused.json()["code"]) == (503, "calendar-ends"), refused.text
    await as_before(waits, tried)
    found = await office.client().post(f"{API}/searches", json={"mobile": contact["mobile"]})
    assert found.json() == []

    tried = other("13811113334")
    correction = {
        "reference": of_partner.reference,
        "parties": [{"role": "applicant", "personal": encrypt(json.dumps(tried), office.jwks)}],
    }
    event_id = await office.partner_says(
        "mobile-app", "fields.corrected", of_partner.reference, correction
    )
    (answer,) = await office.answers("mobile-app", event_id)
    assert (answer["kind"], answer["code"]) == ("rejected", "CALENDAR_ENDS")
    await as_before(of_partner, tried)

    tried = other("13811113336")
    form = {**draft.form, "parties": [{**draft.form["parties"][0], **tried}], "submit": True}
    path = f"{API}/applications/{draft.application_id}"
    refused = await office.client().put(path, json=form)
    assert (refused.status_code, refused.json()["code"]) == (503, "calendar-ends"), refused.text
    await as_before(draft, tried)


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
