"""The checklist as history and the officer's verdict, on the real stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import asyncpg
import httpx
import pytest

from shared.clock import format_instant
from shared.events import review
from shared.formats import resident_id_check_digit
from shared.identifiers import new_id
from shared.parameters import Product, load
from shared.parameters.models import PreCheck
from tests.eventually import eventually
from tests.integration.intake.office import (
    API,
    EMPLOYER,
    SALARIED_PAPERS,
    Customer,
    Office,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUSINESS_PAPERS = (*SALARIED_PAPERS, "employer_authorization")
REMARK = "章的日期看不清"


def passed_by(product: str, rules: PreCheck) -> Iterator[None]:
    """A product whose pre-check is passed otherwise."""
    find = load._find

    def found(code: str, version: str | None) -> Product | None:
        one = find(code, version)
        return one.model_copy(update={"pre_check": rules}) if one and code == product else one

    with patch.object(load, "_find", found):
        yield


@pytest.fixture
def with_meeting() -> Iterator[None]:
    yield from passed_by("gold", PreCheck(meeting="required"))


VERDICTS = re.compile(r"/items/|/(pass|return|meetings|contact)$")


def business(office: Office, **changed: Any) -> Customer:
    return office.customer(product="business", **changed)


async def handed_in(
    office: Office, client: httpx.AsyncClient, papers: tuple[str, ...] = BUSINESS_PAPERS
) -> Customer:
    """An application that a member of staff entered and handed in."""
    customer = business(office)
    answer = await client.post(f"{API}/applications", json=customer.form)
    customer.application_id = answer.json()["application_id"]
    customer.number = answer.json()["application_number"]
    for item in papers:
        assert (await office.upload(customer, item)).status_code == 201
    answer = await client.post(f"{API}/applications/{customer.application_id}/submit")
    assert answer.json()["state"] == "pre_check", answer.text
    return customer


async def say(
    client: httpx.AsyncClient, customer: Customer, what: str, body: Any = None
) -> httpx.Response:
    return await client.post(f"{API}/applications/{customer.application_id}/{what}", json=body)


async def office_list(client: httpx.AsyncClient, customer: Customer) -> dict[str, Any]:
    answer = await client.get(f"{API}/applications/{customer.application_id}/checklist/office")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def accept_all(client: httpx.AsyncClient, customer: Customer) -> None:
    for item in (await office_list(client, customer))["items"]:
        if item["state"] == "received":
            looked_at = {"document_id": item["documents"][0]} if item["documents"] else None
            path = f"items/{item['party']}/{item['item']}/accept"
            answer = await say(client, customer, path, looked_at)
            assert answer.status_code == 200, answer.text


async def test_who_fills_a_draft_in_has_entered_it(office: Office) -> None:
    """Others may begin it and hand it in: whoever saved the form does not pass it."""
    begins, fills = [await office.colleague("assistant") for _ in "12"]
    customer = business(office)
    begun = await begins.post(f"{API}/applications", json=customer.form)
    customer.application_id = begun.json()["application_id"]
    one = f"{API}/applications/{customer.application_id}"
    refused = await fills.put(one, json=customer.form)
    assert (refused.status_code, refused.json()["code"]) == (403, "others-draft")
    taken = f"/intake/applications/{customer.application_id}/take-over"
    await fills.post(taken, data={"why": "assigned"})
    assert (await fills.put(one, json=customer.form)).status_code == 200
    assert (await begins.put(one, json=customer.form)).json()["code"] == "others-draft"
    assert (await office.client().put(one, json=customer.form)).json()["code"] == "others-draft"
    for item in BUSINESS_PAPERS:
        assert (await office.upload(customer, item)).status_code == 201
    assert (await begins.post(f"{one}/submit")).json()["state"] == "pre_check"
    hasty = await say(fills, customer, "pass")
    assert "entered-by-same-person" in {fault["code"] for fault in hasty.json()["errors"]}


async def test_officers_look_at_every_item_and_the_customer_is_asked_once(office: Office) -> None:
    enters, checks = [await office.colleague("assistant") for _ in "12"]
    papers = tuple(item for item in BUSINESS_PAPERS if item != "id_back")
    customer = await handed_in(office, enters, papers)
    assert (await office.types(customer))[-1] == "application.pre-check-started"

    hasty = await say(enters, customer, "pass")
    assert (hasty.status_code, hasty.json()["code"]) == (422, "not-passable")
    told = {(one["pointer"], one["code"]) for one in hasty.json()["errors"]}
    assert {
        ("/items/applicant/id_back", "item-open"),
        ("/items/applicant/work_proof", "item-unchecked"),
        ("", "entered-by-same-person"),
    } <= told
    assert (await say(checks, customer, "return")).json()["code"] == "not-returnable"

    await accept_all(checks, customer)
    work_proof = "items/applicant/work_proof"
    refused = await say(checks, customer, f"{work_proof}/return", {"codes": ["NO_STAMP"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "item-accepted")
    for body in ({"codes": ["NO_STAMP"]}, {"codes": ["NO_STAMP"], "reason": "BECAUSE"}):
        refused = await say(checks, customer, "items/work_proof/ask", body)
        assert refused.status_code in (409, 422)
    again = {"codes": ["NO_STAMP"], "reason": "ACCEPTED_IN_ERROR", "remark": REMARK}
    assert (await say(checks, customer, "items/work_proof/ask", again)).status_code == 200
    told_again = await office.last(customer, "item.asked-again")
    assert (told_again["item"], told_again["reason"], told_again["times"]) == (
        "work_proof",
        "ACCEPTED_IN_ERROR",
        1,
    )

    answer = await say(checks, customer, "return")
    assert (answer.status_code, answer.json()["state"]) == (200, "awaiting_material"), answer.text
    wanted = await office.last(customer, "application.material-requested")
    assert {(one["item"], one["code"]) for one in wanted["items"]} == {
        ("id_back", "DOC_MISSING"),
        ("work_proof", "NO_STAMP"),
    }

    await office.upload(customer, "work_proof")
    await office.upload(customer, "id_back")
    assert await office.state(customer) == "pre_check"
    await accept_all(checks, customer)
    assert (await say(enters, customer, "pass")).status_code == 422
    passed = await say(checks, customer, "pass")
    assert (passed.status_code, passed.json()["state"]) == (200, "checking"), passed.text
    event = await office.last(customer, "application.pre-check-passed")
    assert event["passed_by"].startswith("staff:")
    assert len(event["documents"]) == len(BUSINESS_PAPERS) + 1

    kept = await office_list(checks, customer)
    changes = [one for one in kept["changes"] if one["item"] == "work_proof"]
    assert [(one["action"], one["state"]) for one in changes] == [
        ("moved", "wanted"),
        ("moved", "received"),
        ("moved", "accepted"),
        ("moved", "returned"),
        ("asked", "returned"),
        ("moved", "received"),
        ("moved", "accepted"),
    ]
    assert (changes[3]["remark"], changes[3]["why"]) == (REMARK, "ACCEPTED_IN_ERROR")
    assert len({one["document_id"] for one in changes[1:]}) == 2
    rows = await office.fetch("SELECT remark FROM checklist_change WHERE remark IS NOT NULL")
    assert rows
    assert all(row["remark"].startswith("bk1.") for row in rows)


async def test_another_paper_of_the_group_does_in_place_of_what_was_sent_back(
    office: Office,
) -> None:
    officer, customer = await office.colleague("assistant"), await office.begun()
    for item in SALARIED_PAPERS:
        if item != "id_back":
            await office.upload(customer, item)
    assert (await office.submit(customer)).json()["state"] == "awaiting_material"
    unclear = {"codes": ["PHOTO_UNCLEAR"]}
    sent_back = await say(officer, customer, "items/applicant/income_proof/return", unclear)
    assert sent_back.status_code == 200
    assert (await office.upload(customer, "id_back")).json()["state"] == "awaiting_material"
    assert (await office.shown(customer))["wanted"] == [
        {"item": "income_proof", "code": "PHOTO_UNCLEAR", "field": None, "role": None}
    ]
    office.step(office.now + timedelta(minutes=1))
    assert (await office.upload(customer, "tax_proof")).json()["state"] == "checking"
    states = {one["item"]: one["state"] for one in (await office_list(officer, customer))["items"]}
    assert (states["income_proof"], states["tax_proof"]) == ("not_needed", "accepted")


async def test_a_paper_that_came_meanwhile_is_not_accepted_unseen(office: Office) -> None:
    enters, checks = [await office.colleague("assistant") for _ in "12"]
    customer = await handed_in(office, enters)
    before = {one["item"]: one for one in (await office_list(checks, customer))["items"]}
    looked_at = {"document_id": before["id_front"]["documents"][0]}
    await office.upload(customer, "id_front")
    path = "items/applicant/id_front/accept"
    refused = await say(checks, customer, path, looked_at)
    assert (refused.status_code, refused.json()["code"]) == (409, "newer-paper")


async def test_a_verdict_on_what_another_officer_has_changed_is_refused(office: Office) -> None:
    """Each route of a verdict; what was sent without a revision is about whatever there is."""
    enters, first, second = [await office.colleague("assistant") for _ in "123"]
    customer = await handed_in(office, enters)
    one = f"{API}/applications/{customer.application_id}"
    looked = await second.get(f"{one}/checklist/office")
    old = {"If-Match": looked.headers["etag"]}
    assert looked.json()["revision"] == int(looked.headers["etag"].strip('"'))
    accepted = await say(first, customer, "items/applicant/id_back/accept")
    assert accepted.headers["etag"] != looked.headers["etag"], "a verdict is a change"
    assert accepted.headers["etag"] == (await second.get(one)).headers["etag"]
    again = await say(first, customer, "items/applicant/id_back/accept")
    assert again.headers["etag"] == accepted.headers["etag"], "said twice it is once"

    before = await office_list(second, customer)
    evidence = before["items"][0]["documents"]
    meeting = {"saw_person": True, "saw_original": True, "saw_signing": True}
    bodies: dict[str, Any] = {
        "items/applicant/id_front/accept": None,
        "items/applicant/id_front/return": {"codes": ["PHOTO_UNCLEAR"]},
        "items/id_back/ask": {"codes": ["PHOTO_UNCLEAR"], "reason": "ACCEPTED_IN_ERROR"},
        "items/applicant/work_proof/waive": {"reason": "COVERED_BY_OTHER"},
        "items/applicant/work_proof/waiver": {"agreed": True},
        "pass": None,
        "return": None,
        "meetings": {**meeting, "at": "2026-10-12T01:30:00Z", "evidence": evidence},
        "contact": None,
    }
    for what, body in bodies.items():
        late = await second.post(f"{one}/{what}", json=body, headers=old)
        assert (late.status_code, late.json()["code"]) == (412, "changed-meanwhile"), what
        assert late.headers["etag"] == accepted.headers["etag"]
    assert await office_list(second, customer) == before, "nothing was done"

    now = {"If-Match": f'"0", {accepted.headers["etag"]}'}
    front = f"{one}/items/applicant/id_front/accept"
    assert (await second.post(front, headers=now)).status_code == 200
    assert (await say(second, customer, "items/applicant/work_proof/accept")).status_code == 200


async def test_an_officer_is_shown_what_another_did_meanwhile(office: Office) -> None:
    enters, first, second = [await office.colleague("assistant") for _ in "123"]
    customer = await handed_in(office, enters)
    here = f"/intake/applications/{customer.application_id}"
    page = await second.get(here, params={"lang": "en"})
    assert "Done since you looked" not in page.text
    forms = re.findall(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', page.text, re.DOTALL)
    verdicts = [(action, body) for action, body in forms if VERDICTS.search(action)]
    (dialog,) = re.findall(r'<dialog id="judge".*?(<form.*?</form>)', page.text, re.DOTALL)
    (pressed,) = re.findall(r'<form[^>]*id="verdicts".*?</form>', page.text, re.DOTALL)
    asked = re.findall(r'data-dialog-open="judge"[^>]* data-dialog-action="([^"]*)"', page.text)
    at_once = re.findall(r'form="verdicts" formaction="([^"]*)"', page.text)
    assert asked
    assert at_once
    assert all(VERDICTS.search(action) for action in asked + at_once)
    verdicts += [(action, dialog) for action in asked] + [(action, pressed) for action in at_once]
    assert len({action for action, _ in verdicts}) > 8
    for action, body in verdicts:
        assert re.search(r'name="revision" value="\d+"', body), action
    (seen,) = {re.search(r'name="revision" value="(\d+)"', body)[1] for _, body in verdicts}  # type: ignore[index]

    await first.post(f"{here}/items/applicant/id_back/accept", data={"revision": seen})
    late = await second.post(f"{here}/pass", data={"revision": seen})
    assert late.headers["location"] == f"{here}?since={seen}#since"
    assert await office.state(customer) == "pre_check"
    told = await second.get(here, params={"since": seen, "lang": "en"})
    assert "Somebody was quicker" in told.text
    (card,) = re.findall(r'id="since".*?</section>', told.text, re.DOTALL)
    assert "ID card, emblem side · Accepted" in card
    assert card.count("<li") == 1, "and nothing of before"
    (now,) = set(re.findall(r'name="revision" value="(\d+)"', told.text))
    assert int(now) == int(seen) + 1
    # who does not see the office's list is told of what they may know of alone
    reviewer = await office.colleague("reviewer")
    assert (
        "ID card, emblem side · Accepted"
        not in (await reviewer.get(here, params={"since": seen})).text
    )


async def test_two_people_do_without_an_item(office: Office) -> None:
    enters, checks, agrees = [await office.colleague("assistant") for _ in "123"]
    papers = tuple(item for item in BUSINESS_PAPERS if item not in ("work_proof", "id_back"))
    customer = await handed_in(office, enters, papers)
    reason = {"reason": "COVERED_BY_OTHER", "remark": REMARK}
    waive = "items/applicant/work_proof/waive"
    assert (await say(checks, customer, waive, {"reason": "BECAUSE"})).status_code == 422
    assert (await say(checks, customer, waive, reason)).status_code == 200
    never = await say(checks, customer, "items/applicant/id_back/waive", reason)
    assert (never.status_code, never.json()["code"]) == (409, "not-waivable")

    answer = "items/applicant/work_proof/waiver"
    alone = await say(checks, customer, answer, {"agreed": True})
    assert (alone.status_code, alone.json()["code"]) == (403, "same-person")
    agreed = await say(agrees, customer, answer, {"agreed": True})
    assert agreed.status_code == 200, agreed.text
    kept = await office_list(checks, customer)
    item = next(one for one in kept["items"] if one["item"] == "work_proof")
    assert item["state"] == "waived"
    assert item["waiver"]["by"] != item["waiver"]["second_by"]
    last = [one for one in kept["changes"] if one["item"] == "work_proof"][-1]
    assert (last["why"], last["actor"], last["second"]) == (
        "COVERED_BY_OTHER",
        item["waiver"]["by"],
        item["waiver"]["second_by"],
    )


async def test_somebody_must_have_seen_the_customer(office: Office, with_meeting: None) -> None:
    assistant = await office.colleague("assistant")
    customer = await office.begun(office.customer(product="gold"))
    await office.all_papers(customer)
    assert (await office.submit(customer)).json()["state"] == "pre_check"
    papers = [one["document_id"] for one in (await office.shown(customer))["documents"]]
    seen = {
        "saw_person": True,
        "saw_original": True,
        "saw_signing": True,
        "at": format_instant(office.now - timedelta(hours=1)),
        "evidence": papers[:1],
    }
    wrongs: list[dict[str, Any]] = [
        {"evidence": []},
        {"evidence": [new_id()]},
        {"at": format_instant(office.now + timedelta(hours=1))},
    ]
    for wrong in wrongs:
        assert (await say(assistant, customer, "meetings", {**seen, **wrong})).status_code == 422
    half = await say(assistant, customer, "meetings", {**seen, "saw_signing": False})
    assert half.json()["state"] == "pre_check"
    here = f"/intake/applications/{customer.application_id}"
    page = await assistant.get(here, params={"lang": "en"})
    assert "Nobody has recorded that they saw person, original ID and signing" in page.text
    typed = {"at": "yesterday", "saw": ["saw_person"], "evidence": papers[:1]}
    await assistant.post(f"{here}/meetings", data=typed)
    assert "within the last year" in (await assistant.get(here)).text
    typed |= {"at": "2026-10-12T09:00", "saw": ["saw_person", "saw_original", "saw_signing"]}
    await assistant.post(f"{here}/meetings", data=typed)
    assert await office.state(customer) == "checking"
    assert "the person, the original ID card, the signing" in (await assistant.get(here)).text
    met = (await office.last(customer, "application.pre-check-passed"))["meeting"]
    assert (met["saw_person"], met["evidence"]) == (True, papers[:1])


async def test_a_program_gives_no_verdict_and_another_branch_sees_none(office: Office) -> None:
    customer = await handed_in(office, await office.colleague("assistant"))
    for what in ("pass", "return", "items/applicant/id_front/accept"):
        assert (await say(office.client(), customer, what)).status_code == 403
    auditor = await office.colleague("auditor")
    assert (await say(auditor, customer, "pass")).status_code == 403
    assert (await office_list(auditor, customer))["items"]
    stranger = await office.colleague("assistant")
    nowhere = Customer("", application_id=new_id())
    assert (await say(stranger, nowhere, "pass")).status_code == 404


async def test_a_reviewers_wish_for_what_was_accepted_is_counted_and_never_parked(
    office: Office,
) -> None:
    customer = await office.handed_over()
    referred = {"reason_codes": [], "policy_version": "2026.1"}
    await office.review_says(
        customer, review.ChecksCompleted, review.ApplicationReferred, **referred
    )
    await office.until(customer, "manual_review")
    wanted = [{"item": "work_proof", "code": "NO_STAMP"}]
    await office.review_says(customer, review.MaterialWanted, items=wanted, staff_id=new_id())
    await office.until(customer, "awaiting_material")
    told = await office.last(customer, "item.asked-again")
    assert (told["item"], told["reason"], told["codes"]) == (
        "work_proof",
        "REVIEW_WISH",
        ["NO_STAMP"],
    )
    await office.upload(customer, "work_proof")
    assert await office.state(customer) == "checking"


async def test_the_history_cannot_be_rewritten(office: Office) -> None:
    for change in ("UPDATE checklist_change SET actor = 'nobody'", "DELETE FROM checklist_change"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await office.service.pool.execute(change)


# --- once only ----------------------------------------------------------------------------------


async def test_a_second_application_takes_over_what_the_bank_holds(office: Office) -> None:
    first = await office.handed_over()
    form = {**first.form, "product": "gold"}
    second = await office.begun(Customer(first.id_number, form=form))
    lines = {one["item"]: one for one in (await office.shown(second))["checklist"]}
    assert [item for item, line in lines.items() if line["reasons"]] == ["application_form_signed"]
    await office.upload(second, "application_form_signed")
    assert (await office.submit(second)).json()["state"] == "checking"

    assistant = await office.colleague("assistant")
    taken = {
        one["item"]: one["documents"][0]
        for one in (await office_list(assistant, second))["items"]
        if one["taken_from"] == first.application_id
    }
    assert set(taken) == set(SALARIED_PAPERS) - {"application_form_signed"}
    passed = await office.last(second, "application.pre-check-passed")
    handed = {one["document_id"]: one["taken_from"] for one in passed["documents"]}
    assert [handed[document_id] for document_id in taken.values()] == [first.application_id] * 4
    here = f"/intake/applications/{second.application_id}"
    page = await assistant.get(here, params={"lang": "en"})
    assert "taken over from an earlier application" in page.text
    # it lies with the earlier application, and is seen, registered and given out with this one too
    paper = f"{here}/documents/{taken['id_front']}"
    await office.drawn(taken["id_front"])
    assert (await assistant.get(f"{paper}/pages/1")).status_code == 200
    for one in (first, second):
        register = f"/intake/applications/{one.application_id}/register"
        assert "Seen, page 1" in (await assistant.get(register, params={"lang": "en"})).text
    reviewer = await office.colleague("reviewer")
    original = await reviewer.post(f"{paper}/original", data={"reason": "核对证件"})
    assert original.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({"id_issued": "2024-03-01", "id_expires": "2044-03-01"}, {"id_front", "id_back"}),
        ({"employer": f"{EMPLOYER}分公司"}, {"work_proof", "income_proof"}),
    ],
)
async def test_what_shows_something_else_is_asked_for(
    office: Office, changed: dict[str, str], asked: set[str]
) -> None:
    first = await office.handed_over()
    party = {**first.form["parties"][0], **changed}
    form = {**first.form, "product": "gold", "parties": [party]}
    second = await office.begun(Customer(first.id_number, form=form))
    lines = (await office.shown(second))["checklist"]
    missing = {one["item"] for one in lines if one["reasons"]}
    assert missing == {"application_form_signed", *asked}


async def test_papers_of_a_declined_application_are_not_taken_over(office: Office) -> None:
    first = await office.handed_over()
    row = "UPDATE application SET state = 'declined' WHERE application_id = $1"
    conn = await asyncpg.connect(office.superuser_url)
    await conn.execute(row, first.application_id)
    await conn.close()
    form = {**first.form, "product": "gold"}
    second = await office.begun(Customer(first.id_number, form=form))
    lines = (await office.shown(second))["checklist"]
    assert {one["item"] for one in lines if one["reasons"]} == set(SALARIED_PAPERS)


# --- applications of the release before -----------------------------------------------------------


async def as_before(office: Office, customer: Customer, **body: Any) -> None:
    """Puts an application back to how it was kept before each item had a state."""
    conn = await asyncpg.connect(office.superuser_url)
    for table in ("checklist_item", "checklist_change"):
        await conn.execute(
            f"DELETE FROM {table} WHERE application_id = $1",
            customer.application_id,
        )
    await conn.execute(
        "UPDATE application_file SET body = body || $2::jsonb WHERE application_id = $1",
        customer.application_id,
        json.dumps({"answered": [], "asked": [], **body}),
    )
    await conn.close()


async def test_an_older_application_that_waits_for_material_goes_on(office: Office) -> None:
    customer = await office.begun()
    for item in SALARIED_PAPERS[:-2]:
        await office.upload(customer, item)
    await office.submit(customer)
    await as_before(office, customer, answered=["item:work_proof"])
    lines = {one["item"]: one for one in (await office.shown(customer))["checklist"]}
    assert lines["id_front"]["done"]
    assert lines["income_proof"]["reasons"] == [{"code": "DOC_MISSING", "field": None}]
    await office.upload(customer, "work_proof")
    assert await office.state(customer) == "awaiting_material"
    await office.upload(customer, "income_proof")
    assert await office.state(customer) == "checking"
    rows = await office.fetch(
        "SELECT item, state FROM checklist_item WHERE application_id = $1", customer.application_id
    )
    kept = {row["item"]: row["state"] for row in rows}
    assert {kept[item] for item in SALARIED_PAPERS} == {"accepted"}


async def test_an_older_application_of_which_a_reviewer_wants_more_goes_on(office: Office) -> None:
    customer = await office.handed_over()
    await as_before(office, customer)
    referred = {"reason_codes": [], "policy_version": "2026.1"}
    await office.review_says(
        customer, review.ChecksCompleted, review.ApplicationReferred, **referred
    )
    await office.until(customer, "manual_review")
    wanted = [{"item": "tax_proof", "code": "DOC_MISSING"}]
    await office.review_says(customer, review.MaterialWanted, items=wanted, staff_id=new_id())
    await office.until(customer, "awaiting_material")
    await as_before(office, customer, asked=wanted)
    await office.upload(customer, "work_proof")
    assert await office.state(customer) == "awaiting_material"
    await office.upload(customer, "tax_proof")
    assert await office.state(customer) == "checking"


async def test_an_older_draft_goes_on_and_its_papers_serve_the_next_application(
    office: Office,
) -> None:
    customer = await office.begun()
    await office.all_papers(customer)
    await as_before(office, customer)
    assert (await office.submit(customer)).json()["state"] == "checking"
    await as_before(office, customer)
    form = {**customer.form, "product": "gold"}
    second = await office.begun(Customer(customer.id_number, form=form))
    lines = (await office.shown(second))["checklist"]
    assert [one["item"] for one in lines if one["reasons"]] == ["application_form_signed"]


async def test_a_paper_that_a_service_of_the_release_before_took_is_seen(office: Office) -> None:
    """While a release is rolled out the older services know nothing of items' states."""
    customer = await office.begun()
    await office.upload(customer, "id_front")
    conn = await asyncpg.connect(office.superuser_url)
    await conn.execute(
        "UPDATE checklist_item SET state = 'wanted', document_id = NULL,"
        " since = since - interval '1 minute', reasons = '[{\"code\": \"DOC_MISSING\"}]'"
        " WHERE application_id = $1 AND item = 'id_front'",
        customer.application_id,
    )
    await conn.close()
    lines = {one["item"]: one for one in (await office.shown(customer))["checklist"]}
    assert (lines["id_front"]["done"], lines["id_back"]["done"]) == (True, False)


# --- pages --------------------------------------------------------------------------------------


async def test_an_officer_works_with_the_pages(office: Office) -> None:
    enters, checks = [await office.colleague("assistant") for _ in "12"]
    customer = await handed_in(office, enters)
    here = f"/intake/applications/{customer.application_id}"
    for language, words in (("en", "To check"), ("zh-CN", "待核验")):
        work = await checks.get("/intake/work", params={"lang": language})
        assert words in work.text
        assert customer.number in work.text
    page = await checks.get(here, params={"lang": "en"})
    assert "Nobody has looked at this yet: Proof of work" in page.text

    item = f"{here}/items/applicant"
    page = await checks.post(f"{item}/work_proof/return", data={"remark": REMARK})
    assert page.status_code == 303
    assert "Choose at least one reason." in (await checks.get(here)).text
    codes = {"codes": ["NO_STAMP", "PHOTO_UNCLEAR"], "remark": REMARK}
    await checks.post(f"{item}/work_proof/return", data=codes)
    for code in ("application_form_signed", "id_front", "id_back", "income_proof"):
        await checks.post(f"{item}/{code}/accept", data={})
    for code in ("employer_authorization", "credit_authorization"):
        await checks.post(f"{item}/{code}/accept", data={})
    assert REMARK in (await checks.get(here + "/history")).text
    page = await checks.get(here, params={"lang": "en"})
    assert "Proof of work is open: No stamp" in page.text
    answer = await checks.post(f"{here}/pass")
    assert answer.headers["location"] == f"{here}#verdict"
    await checks.post(f"{here}/return")
    assert await office.state(customer) == "awaiting_material"
    returned = await checks.get("/intake/work", params={"section": "returned"})
    assert customer.number in returned.text


@pytest.mark.parametrize("permit", [False, True])
async def test_a_document_that_the_registry_does_not_hold_can_be_recorded_as_seen(
    office: Office, permit: bool
) -> None:
    officer = await office.colleague("assistant")
    customer = office.customer()
    if permit:
        body = f"810000{customer.id_number[6:17]}"
        days = {"id_issued": "2024-03-01", "id_expires": "2029-03-01"}
        number = {"id_number": body + resident_id_check_digit(body)}
        customer = office.customer(party={**days, **number})
    await office.begun(customer)
    assert (await office.submit(customer)).json()["state"] == "awaiting_material"
    page = await officer.get(f"/intake/applications/{customer.application_id}")
    assert ('id="meeting"' in page.text) is permit


async def test_both_lists_are_printed_from_one_state(office: Office) -> None:
    enters, checks = [await office.colleague("assistant") for _ in "12"]
    customer = await handed_in(office, enters)
    body = {"codes": ["NO_STAMP"], "remark": REMARK}
    await say(checks, customer, "items/applicant/work_proof/return", body)
    path = f"/intake/applications/{customer.application_id}/checklist"
    for language, done, wanted in (
        ("zh-CN", "已完成", "待补充"),
        ("en", "Complete", "To be supplied"),
    ):
        sheet = await checks.get(path, params={"lang": language})
        assert done in sheet.text
        assert wanted in sheet.text
        assert "NO_STAMP" not in sheet.text
        assert REMARK not in sheet.text
        internal = await checks.get(path, params={"lang": language, "reader": "office"})
        assert "NO_STAMP" in internal.text
        assert REMARK in internal.text
    # a channel's program prints the customer's alone
    assert REMARK not in (await office.client().get(path, params={"reader": "office"})).text


async def test_what_nobody_looked_at_for_seven_working_days_is_overdue(office: Office) -> None:
    enters = await office.colleague("assistant")
    customer = await handed_in(office, enters)
    path, query = "/intake/work", {"section": "overdue"}
    assert customer.number not in (await enters.get(path, params=query)).text
    office.step(office.now + timedelta(days=12))

    async def late() -> bool:
        found = await enters.get(path, params=query)
        return found.status_code == 200 and customer.number in found.text

    await eventually(late)
