"""Who asks to be forgotten is: table by table, whatever an application leaves in intake's database
and in the vault. A table that nobody has decided about fails."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake.erasure import ErasureError, erase
from shared.events import review
from shared.events.payload import PartyRole
from shared.formats import make_synthetic_resident_id
from shared.identifiers import new_id
from tests.integration.intake.office import API, BRANCH, Customer, Office, decision
from tests.integration.intake.test_api import MINE
from tests.integration.intake.test_batches import row, sheet
from tests.integration.intake.test_customer import Phone, code_for
from tests.integration.intake.test_tables_api import load, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SEALED = "holds personal values sealed under the person's key alone, which is destroyed or locked"
_PSEUDONYM = "codes, times and pseudonyms; nothing that was made of a personal value"
_DELETED = "rows, or what was made of personal values in them, are deleted"
_OFFICE = "of the office and its staff"
_KERNEL = "of the messaging kernel: ids, positions and times"
DECISIONS = {
    "public.access_code": _DELETED,
    "public.account": _OFFICE,
    "public.account_statement": "months and digests by the card's random id",
    "public.application": _PSEUDONYM,
    "public.application_device": _DELETED,
    "public.application_file": _SEALED,
    "public.application_history": _SEALED,
    "public.batch": "the digest is of a branch's whole file; the key of its rows ends in days",
    "public.batch_row": _DELETED,
    "public.branch": _OFFICE,
    "public.card_reading": _SEALED,
    "public.checklist_change": _SEALED,
    "public.checklist_item": _PSEUDONYM,
    "public.customer_access": _PSEUDONYM,
    "public.customer_session": _DELETED,
    "public.directory_branch": _OFFICE,
    "public.directory_ended_session": _OFFICE,
    "public.directory_staff": _OFFICE,
    "public.document": "the register of papers: entry and end are kept; the bytes are destroyed",
    "public.early_withdrawal": "a partner's own names, before there is an application",
    "public.migration": "of the schema",
    "public.vault_migration": "of the schema",
    "public.number_counter": _OFFICE,
    "public.office_change": _OFFICE,
    "public.paper_end": _PSEUDONYM,
    "public.paper_preview": _PSEUDONYM,
    "public.paper_reading": _SEALED,
    "public.paper_use": _SEALED,
    "public.personal_view": _SEALED,
    "public.request": _DELETED,
    "public.saved_view": _OFFICE,
    "public.sign_in": _OFFICE,
    "public.staff": _OFFICE,
    "public.staff_session": _OFFICE,
    "messaging.audit": _KERNEL,
    "messaging.blocked_key": _KERNEL,
    "messaging.call": _KERNEL,
    "messaging.consumer_offset": _KERNEL,
    "messaging.cursor": _KERNEL,
    "messaging.deadline": _KERNEL,
    "messaging.event_log": _SEALED,
    "messaging.halted_consumer": _KERNEL,
    "messaging.inbound_event": "the digest is of an encrypted event: nobody makes it again",
    "messaging.outbox": _SEALED,
    "messaging.parked_event": "a partner's event as it came, encrypted, until somebody decides",
    "messaging.published_topic": _KERNEL,
    "messaging.repaired_event": "an event of ours in a partner's place, encrypted as theirs",
    "messaging.skipped_event": _KERNEL,
    "messaging.subject_sequence": _KERNEL,
    "vault.blind_index": _DELETED,
    "vault.data_key": _DELETED,
    "vault.index_key": "the name of a key of the bank",
    "vault.person": "the row outlives the key, as proof that data was restricted or destroyed",
    "vault.person_key": _DELETED,
}
_DIGEST = re.compile(r"\\x([0-9a-f]{64})(?![0-9a-f])")
_KEY_OF_SEALED = re.compile(r"bk1\.([0-9a-f-]{36})\.")
_BORN = date(2006, 3, 1)
DECLINED = {**decision(), "category": "internal", "reapply_from": date(2027, 1, 1)}


async def _tables(url: str) -> list[str]:
    conn = await asyncpg.connect(url)
    try:
        rows = await conn.fetch(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        )
    finally:
        await conn.close()
    return [one["name"] for one in rows]


async def _all_tables(office: Office) -> dict[str, str]:
    """{table: where it is}, of intake's database and the vault."""
    return {
        name: url for url in (office.superuser_url, office.vault_url) for name in await _tables(url)
    }


async def _everything(office: Office) -> dict[str, list[str]]:
    """{table: each of its rows, as text}."""
    found: dict[str, list[str]] = {}
    for name, url in (await _all_tables(office)).items():
        conn = await asyncpg.connect(url)
        try:
            rows = await conn.fetch(f"SELECT t::text AS row FROM {name} t")
        finally:
            await conn.close()
        found[name] = [one["row"] for one in rows]
    return found


def _digests(everything: dict[str, list[str]], *ids: str) -> set[str]:
    """What intake made of personal values in rows about these applications; the vault's own index
    goes with the keys, or is locked with them."""
    return {
        digest
        for table, rows in everything.items()
        if table.startswith("public.")
        for one in rows
        if any(each in one for each in ids)
        for digest in _DIGEST.findall(one)
    }


def _somebody(office: Office, **changes: Any) -> tuple[Customer, list[str]]:
    """A customer, and everything by which they could be told from others."""
    mobile = f"139{int(new_id()[-8:], 16) % 10**8:08d}"
    person = {
        "name": "上官静澜",
        "mobile": mobile,
        "email": f"{new_id()}@customer.example",
        "home_address": f"上海市黄浦区永年路{mobile[-4:]}弄",
        "device": f"device of {new_id()}",
    }
    customer = office.customer(party=person, **changes)
    clear = [customer.id_number, *person.values()]
    return customer, clear + [one.encode().hex() for one in clear]


async def _leave_traces(office: Office, customer: Customer, client: httpx.AsyncClient) -> None:
    """Papers, a code, a session and a request under a key."""
    answer = await office.client().patch(
        f"{API}/applications/{customer.application_id}",
        json={"parties": [{"role": "applicant", "occupation": "测量员"}]},
        headers={"Idempotency-Key": new_id()},
    )
    assert answer.status_code == 200, answer.text
    assert (await office.upload(customer, "id_front")).status_code == 201
    phone = Phone.at(office)
    mobile = customer.form["parties"][0]["mobile"]
    code = await code_for(office, customer, client)
    assert (await phone.enter(customer.number, code, mobile[-4:])).status_code == 303
    await phone.get("/progress/application")
    assert (await phone.post("/progress/application/code")).status_code == 200


async def test_of_every_table_it_is_decided_what_becomes_of_it(office: Office) -> None:
    assert sorted(DECISIONS) == sorted(await _all_tables(office))


async def test_nothing_is_left_of_who_was_never_a_customer(office: Office) -> None:
    client = await office.colleague("assistant", branch=BRANCH)
    customer, canaries = _somebody(office)
    await office.begun(customer)
    await _leave_traces(office, customer, client)
    before = await _everything(office)
    digests = _digests(before, customer.application_id)
    assert len(digests) >= 5, "code and whose it is, session, device, request"
    person = await _person(office, customer)
    keys = {one.split(",")[0].lstrip("(") for one in before["vault.data_key"] if person in one}
    assert keys
    await office.withdraw(customer)
    assert await erase(office.settings, office.service.clock, customer.number) == "destroyed"

    left = await _everything(office)
    for table, rows in left.items():
        for one in rows:
            assert not [canary for canary in canaries if canary in one], table
            assert not digests & set(_DIGEST.findall(one)), table
    for table in ("vault.data_key", "vault.person_key", "vault.blind_index"):
        assert person not in str(left[table]), table
    # whatever is sealed about the application is sealed under one of the keys that are gone
    sealed_under = {
        key
        for rows in left.values()
        for one in rows
        if customer.application_id in one
        for key in _KEY_OF_SEALED.findall(one)
    }
    assert sealed_under
    assert sealed_under <= keys
    again = await office.client().post(
        f"{API}/applications", json=customer.form, headers={"Idempotency-Key": new_id()}
    )
    assert again.status_code == 201, "who comes back is somebody new"
    assert await _person(office, Customer("", again.json()["application_id"])) != person


async def test_what_a_branchs_row_said_goes_with_the_person_whom_it_was_about(
    office: Office,
) -> None:
    terminal = office.client(MINE)
    said = row(office)
    table = (await load(terminal, sheet(said)))["table_id"]
    await until(terminal, table, "checked")
    await terminal.post(f"{API}/tables/{table}/take")
    (taken,) = (await until(terminal, table, "done"))["taken"]
    known = (await load(terminal, sheet(said, row(office))))["table_id"]
    await until(terminal, known, "checked")
    customer = Customer("", taken["application_id"], taken["application_number"])
    digests = _digests(await _everything(office), customer.application_id)
    assert len(digests) >= 2, "whose wish, and in which words"
    await office.withdraw(customer)
    assert await erase(office.settings, office.service.clock, customer.number) == "restricted"
    left = await _everything(office)
    assert not digests & set(_DIGEST.findall(str(left))), "although the vault keeps what it has to"
    vault = await office.service.archive.vault()
    assert await vault.applications_of(await _person(office, customer)) == [], "locked"


async def test_who_vouches_for_another_card_is_forgotten_there_too(office: Office) -> None:
    client = await office.colleague("assistant", branch=BRANCH)
    main, canaries = _somebody(office)
    await office.begun(main)
    child = {
        **office.customer().form["parties"][0],
        "role": "supplementary_holder",
        "id_number": make_synthetic_resident_id("31", _BORN, 531),
        "name": "司徒小满",
        "mobile": "13911112222",
    }
    applicant = {**main.form["parties"][0], "role": "applicant"}
    other = office.customer(
        product="supplementary", applicant_type="supplementary", parties=[applicant, child]
    )
    await office.begun(other)
    await _leave_traces(office, other, client)
    digests = _digests(await _everything(office), other.application_id)
    await office.withdraw(main)
    told = rf"goes on .* {other.number} \(draft, due by 2026-11-11\)$"
    with pytest.raises(ErasureError, match=told):
        await erase(office.settings, office.service.clock, main.number)
    await office.withdraw(other)
    clock = office.service.clock
    assert await erase(office.settings, clock, main.number) == "destroyed"
    left = await _everything(office)
    assert not digests & set(_DIGEST.findall(str(left)))
    assert not [canary for canary in canaries if canary in str(left)]
    holder = await office.fetch(
        "SELECT person FROM application WHERE application_id = $1", other.application_id
    )
    assert str(holder[0]["person"]) in str(left["vault.person_key"]), "nobody asked for the child"
    with pytest.raises(ErasureError, match="role"):
        await erase(office.settings, clock, other.number, PartyRole.GUARDIAN)
    # by the number of the other's card alone
    assert await erase(office.settings, clock, other.number, PartyRole.APPLICANT) == "destroyed"
    assert await erase(office.settings, clock, other.number) == "destroyed"


async def test_who_is_merely_named_as_a_contact_is_forgotten_but_for_what_goes_on(
    office: Office,
) -> None:
    """The other's application keeps its contact as long as it needs one."""
    clock = office.service.clock
    somebody, canaries = _somebody(office)
    await office.begun(somebody)
    named = {
        **{name: somebody.form["parties"][0][name] for name in ("name", "mobile", "id_number")},
        "role": "contact",
    }
    other = office.customer()
    other.form["parties"].append(named)
    await office.handed_over(other)
    person = await _person(office, somebody)
    assert person == await _contact(office, other), "known by the number"
    other_digests = _digests(await _everything(office), other.application_id)
    await office.withdraw(somebody)
    assert await erase(office.settings, clock, somebody.number) == "destroyed"
    left = await _everything(office)
    for table in ("vault.data_key", "vault.person_key", "vault.blind_index"):
        assert person not in str(left[table]), table
    assert not [canary for canary in canaries if canary in str(left)]
    assert _digests(left, other.application_id) == other_digests, "nothing of the other's"

    # the other's application goes on with its contact, whom nobody takes for the same person
    vault = await office.service.archive.vault()
    contact = await _contact(office, other)
    assert contact != person
    assert await vault.applications_of(contact) == [other.application_id]
    client = await office.colleague("assistant", branch=BRANCH)
    here = f"/intake/applications/{other.application_id}/persons/contact/name"
    shown = await client.post(here, data={"why": "contact"}, headers={"HX-Request": "true"})
    assert named["name"] in shown.text
    again = office.customer(party=somebody.form["parties"][0])
    await office.begun(again)
    assert await _person(office, again) not in (person, contact)

    # who asks as that contact is told which application needs them, and is gone when it has ended
    told = rf" {other.number} \(checking, due by 2026-"
    with pytest.raises(ErasureError, match=told):
        await erase(office.settings, clock, other.number, PartyRole.CONTACT)
    await office.review_says(other, review.ChecksCompleted, review.ApplicationDeclined, **DECLINED)
    await office.until(other, "declined")
    assert await erase(office.settings, clock, other.number, PartyRole.CONTACT) == "destroyed"
    assert await erase(office.settings, clock, other.number) == "restricted", "the bank's duty"


async def _contact(office: Office, customer: Customer) -> str:
    rows = await office.fetch(
        "SELECT p ->> 'person' AS person FROM application_file,"
        " jsonb_array_elements(body -> 'parties') p"
        " WHERE application_id = $1 AND p ->> 'role' = 'contact'",
        customer.application_id,
    )
    return str(rows[0]["person"])


async def _person(office: Office, customer: Customer) -> str:
    rows = await office.fetch(
        "SELECT person FROM application WHERE application_id = $1", customer.application_id
    )
    return str(rows[0]["person"])
