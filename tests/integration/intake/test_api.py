"""The API as a channel's engineer relies on it: repetitions, whose applications, which revision,
how often, and that all of it is as it is described."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, get_args

import httpx
import pytest
from fastapi import UploadFile
from fastapi.routing import iter_route_contexts

from services.intake.api_examples import APPLICATION, DRAFT, DRAFT_ANSWER
from shared.events import intake, review
from shared.identifiers import new_id
from shared.messaging import Fact
from shared.parameters import load_clocks
from shared.web.access import declared_access
from shared.web.limits import BODY_MOST, MULTIPART_MOST
from shared.web.permissions import Permission
from tests.eventually import eventually
from tests.integration.intake.described import as_described, description
from tests.integration.intake.office import (
    API,
    MOBILE,
    NAME,
    OTHER_BRANCH,
    SECRET,
    TOKENS,
    Customer,
    Office,
)
from tests.integration.intake.test_many import table
from tests.papers import picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE, OTHER = "web-channel", "web-partner"


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def of_the_web(office: Office, **changes: Any) -> Customer:
    """A draft that the web channel began."""
    customer = office.customer(channel="web", **changes)
    answer = await office.client(MINE).post(f"{API}/applications", json=customer.form)
    assert answer.status_code == 201, answer.text
    customer.application_id = answer.json()["application_id"]
    customer.number = answer.json()["application_number"]
    return customer


def path_of(customer: Customer) -> str:
    return f"{API}/applications/{customer.application_id}"


# --- once ----------------------------------------------------------------------------------------


async def test_a_refusal_is_repeated_and_not_run_again(office: Office) -> None:
    first = await office.begun()
    await office.submit(first)
    second = await office.begun(Customer(first.id_number, form=first.form))
    client, key = office.client(), keyed(new_id())
    submit = f"{path_of(second)}/submit"
    refused = await client.post(submit, headers=key)
    assert refused.status_code == 422
    assert [one["code"] for one in refused.json()["errors"]] == ["DUPLICATE_APPLICATION"]

    assert (await office.withdraw(first)).status_code == 200  # nothing stands in the way any more
    again = await client.post(submit, headers=key)
    assert (again.status_code, again.json()) == (422, refused.json())
    assert again.headers["content-type"] == "application/problem+json"
    assert await office.state(second) == "draft"
    assert (await client.post(submit, headers=keyed(new_id()))).json()["state"] != "draft"


@pytest.mark.parametrize(
    ("content", "status"), [(b"GIF89a nothing", 415), (b"%PDF-1.7 cut off", 422)]
)
async def test_a_refused_paper_is_refused_alike(
    office: Office, content: bytes, status: int
) -> None:
    customer, key = await office.begun(), new_id()
    first = await office.upload(customer, "id_front", content=content, key=key)
    again = await office.upload(customer, "id_front", content=content, key=key)
    assert (first.status_code, again.status_code) == (status, status)
    assert first.json() == again.json()
    # what is mended is another request: it needs a key of its own
    mended = await office.upload(customer, "id_front", key=key)
    assert (mended.status_code, mended.json()["code"]) == (422, "key-reused")
    assert (await office.upload(customer, "id_front", key=new_id())).status_code == 201


async def test_who_has_an_application_under_way_hides_behind_no_other_person(
    office: Office,
) -> None:
    """A holder of a supplementary card who is named elsewhere takes nobody's place: a cool-down, a
    cap and an age are those of whoever gets the card."""
    first = await office.handed_over()
    again = office.customer(party={"id_number": first.id_number})
    other = {**office.customer().form["parties"][0], "role": "supplementary_holder"}
    again.form["parties"].append(other)
    await office.begun(again)
    refused = await office.submit(again)
    assert (refused.status_code, refused.json()["code"]) == (422, "not-acceptable")
    assert [one["code"] for one in refused.json()["errors"]] == ["DUPLICATE_APPLICATION"]


async def test_of_refused_requests_at_once_all_get_one_answer(office: Office) -> None:
    customer, key = await office.begun(), keyed(new_id())
    await office.withdraw(customer)
    answers = await asyncio.gather(
        *(office.client().post(f"{path_of(customer)}/submit", headers=key) for _ in "12345")
    )
    assert {answer.status_code for answer in answers} == {409}
    assert all(answer.json() == answers[0].json() for answer in answers)


async def test_of_one_request_sent_many_times_at_once_all_get_what_came_of_it(
    office: Office,
) -> None:
    customer, key = await office.begun(), keyed(new_id())
    answers = await asyncio.gather(
        *(office.client().post(f"{path_of(customer)}/submit", headers=key) for _ in "12345")
    )
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert (await office.types(customer)).count("application.submitted") == 1


async def test_a_fault_in_the_form_uses_up_no_key(office: Office) -> None:
    customer, key = await office.begun(), keyed(new_id())
    path, client = path_of(customer), office.client()
    broken = {"parties": [{"role": "nobody", "mobile": MOBILE}]}
    answer = await client.patch(path, json=broken, headers=key)
    assert answer.json()["code"] == "invalid-request"
    good = {"parties": [{"role": "applicant", "mobile": MOBILE}]}
    assert (await client.patch(path, json=good, headers=key)).status_code == 200


# --- whose applications --------------------------------------------------------------------------

# What stands in a path besides the application, where it has to be something that is there.
PARTS = {"party": "applicant", "role": "applicant", "item": "id_front", "field": "mobile"}


def about_one_application(office: Office) -> list[tuple[str, Any, str]]:
    """[(method, route, permission)] of every route with an application's id, read from the app."""
    access = declared_access(office.app)
    found = []
    for route in iter_route_contexts(office.app.routes):
        if "{application_id}" in (route.path or ""):
            method = "".join(route.methods or ())
            found.append((method, route, access[f"{method} {route.path}"]))
    return found


def sent_to(method: str, route: Any) -> dict[str, Any]:
    """A body that the route can read: the example of the description, for a page made up."""
    said = description()["paths"].get(route.path, {}).get(method.lower())
    if said is None:
        # some read the form by themselves and declare no field
        fields, files = {"mobile": MOBILE, "then": "check"}, {}
        for one in route.dependant.body_params:
            if one.field_info.annotation in (UploadFile, list[UploadFile]):
                files[one.alias] = ("scan.png", picture(new_id()), "image/png")
            elif one.field_info.is_required():
                choice = get_args(one.field_info.annotation)
                fields[one.alias] = choice[0] if choice else "id_front"  # as good as any other text
        return {} if method == "GET" else {"data": fields, "files": files or None}
    content = said.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        return {"json": content["application/json"]["example"]}
    if "multipart/form-data" in content:
        example = dict(content["multipart/form-data"]["example"])
        name = example.pop("file")
        return {"data": example, "files": {"file": (name, picture(new_id()))}}
    return {}


async def call(
    client: httpx.AsyncClient, method: str, route: Any, customer: Customer, document: str
) -> httpx.Response:
    named = {**PARTS, "application_id": customer.application_id, "document_id": document}
    path = re.sub(r"\{(\w+)[^}]*\}", lambda found: named.get(found[1], "1"), route.path)
    return await client.request(method, path, **sent_to(method, route))


async def test_of_another_channels_application_no_route_knows_anything(office: Office) -> None:
    """Over every route that is declared, so that none can be forgotten."""
    routes = about_one_application(office)
    assert len(routes) > 10, "the test sees the routes"
    for method, route, demand in routes:
        customer = await of_the_web(office)
        filed = await office.client(MINE).post(
            f"{path_of(customer)}/documents",
            data={"item": "id_front"},
            files={"file": ("scan.png", picture(new_id()))},
        )
        document = filed.json()["document_id"]
        where = f"{method} {route.path}"
        api = "/api/" in route.path
        if api and Permission(demand.split("@")[0]) in CHANNEL_MAY:
            stranger = await call(office.client(OTHER), method, route, customer, document)
            assert (stranger.status_code, stranger.json()["code"]) == (404, "not-found"), where
            untouched = await office.client(MINE).get(path_of(customer))
            assert untouched.headers["etag"] == '"2"', where
            own = await call(office.client(MINE), method, route, customer, document)
            assert own.status_code not in {401, 403, 404}, f"{where}: {own.text}"
            assert (
                own.json()
                if isinstance(own.json(), list)
                else own.json().get("code") != ("invalid-request")
            ), f"{where}: {own.text}"
        else:
            stranger = await call(office.client(OTHER), method, route, customer, document)
            assert stranger.status_code in {401, 403}, where


CHANNEL_MAY = {
    Permission.APPLICATION_CREATE,
    Permission.APPLICATION_EDIT,
    Permission.APPLICATION_VIEW,
    Permission.MATERIAL_RECEIVE,
}


async def test_a_channel_lists_and_finds_its_own_alone(office: Office) -> None:
    customer = await of_the_web(office)
    counter = await office.begun(Customer(customer.id_number, form=office.customer().form))
    search = {"id_number": customer.id_number}
    for name, sees in ((MINE, {customer.application_id}), (OTHER, set())):
        client = office.client(name)
        found = (await client.post(f"{API}/searches", json=search)).json()
        assert {row["application_id"] for row in found} == sees
        for one in (customer, counter):
            answer = await client.get(f"{API}/applications", params={"number": one.number})
            rows = {row["application_id"] for row in answer.json()["applications"]}
            assert rows == sees & {one.application_id}
    # a terminal of the office sees its branches, whoever began
    terminal = await office.client().get(f"{API}/applications", params={"number": customer.number})
    assert terminal.json()["total"] == 1


async def test_a_channel_takes_up_no_application_of_another(office: Office) -> None:
    customer = await of_the_web(office)
    await office.client(MINE).post(f"{path_of(customer)}/withdraw")
    form = {**customer.form, "reopens": customer.application_id}
    answer = await office.client(OTHER).post(f"{API}/applications", json=form)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-application")
    assert (await office.client(MINE).post(f"{API}/applications", json=form)).status_code == 201


async def test_what_adds_up_the_whole_bank_is_not_for_a_channel_of_its_own(office: Office) -> None:
    assert (await office.client(MINE).get(f"{API}/reconciliation")).status_code == 403


# --- on what one decided -------------------------------------------------------------------------


async def test_a_change_that_was_decided_on_an_older_look_is_refused(office: Office) -> None:
    customer, client = await of_the_web(office), office.client(MINE)
    path = path_of(customer)
    looked = await client.get(path)
    seen = looked.headers["etag"]
    assert seen == f'"{looked.json()["revision"]}"'
    assert (await client.get(f"{path}/checklist")).headers["etag"] == seen
    mended = {"parties": [{"role": "applicant", "mobile": "13900001111"}]}
    first = await client.patch(path, json=mended, headers={"If-Match": seen})
    assert first.status_code == 200
    assert first.headers["etag"] != seen
    assert first.headers["etag"] == (await client.get(path)).headers["etag"]

    paper = {"files": {"file": ("scan.png", picture(new_id()))}, "data": {"item": "id_front"}}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"json": mended}),
        ("POST", f"{path}/documents", paper),
        ("POST", f"{path}/submit", {}),
        ("POST", f"{path}/withdraw", {}),
    ]
    for method, where, body in changes:
        for stale in (seen, f"W/{first.headers['etag']}", '"x"', "nonsense"):
            late = await client.request(method, where, headers={"If-Match": stale}, **body)
            assert (late.status_code, late.json()["code"]) == (412, "changed-meanwhile"), where
            assert late.headers["etag"] == first.headers["etag"]
    now = (await client.get(path)).headers["etag"]
    assert now == first.headers["etag"], "nothing was changed by what was refused"
    for match in (f'"7777", {now}', "*"):
        assert (await client.patch(path, json=mended, headers={"If-Match": match})).is_success


async def test_one_of_two_who_decide_at_once_is_refused(office: Office) -> None:
    customer, client = await of_the_web(office), office.client(MINE)
    seen = {"If-Match": (await client.get(path_of(customer))).headers["etag"]}
    answers = await asyncio.gather(
        *(
            client.patch(
                path_of(customer),
                json={"parties": [{"role": "applicant", "mobile": f"1390000{n}{n}{n}{n}"}]},
                headers=seen,
            )
            for n in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_a_repetition_gets_its_answer_whatever_happened_since(office: Office) -> None:
    customer, client = await of_the_web(office), office.client(MINE)
    path, key = path_of(customer), keyed(new_id())
    seen = (await client.get(path)).headers["etag"]
    mended = {"parties": [{"role": "applicant", "mobile": "13900002222"}]}
    late = await client.patch(path, json=mended, headers={**key, "If-Match": '"77"'})
    assert late.status_code == 412
    # it was not looked at: under its key it may come again
    first = await client.patch(path, json=mended, headers={**key, "If-Match": seen})
    again = await client.patch(path, json=mended, headers={**key, "If-Match": seen})
    assert (first.status_code, again.status_code) == (200, 200)
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])


async def test_whoever_has_to_says_which_revision(office: Office) -> None:
    client = office.client("web-careful")
    form = office.customer(channel="web").form
    begun = await client.post(f"{API}/applications", json=form)
    path, seen = f"{API}/applications/{begun.json()['application_id']}", begun.headers["etag"]
    mended = {"parties": [{"role": "applicant", "mobile": MOBILE}]}
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"json": mended}),
        ("POST", f"{path}/submit", {}),
        ("POST", f"{path}/withdraw", {}),
    ]
    for method, where, body in changes:
        answer = await client.request(method, where, **body)
        assert (answer.status_code, answer.json()["code"]) == (428, "if-match-needed"), where
    filed = await client.post(  # overwrites nothing
        f"{path}/documents",
        data={"item": "id_front"},
        files={"file": ("scan.png", picture(new_id()))},
    )
    assert filed.status_code == 201
    assert filed.headers["etag"] != seen
    match = {"If-Match": filed.headers["etag"]}
    assert (await client.patch(path, json=mended, headers=match)).status_code == 200


async def test_the_revision_tells_nothing_of_review_at_work(office: Office) -> None:
    customer = await office.handed_over()
    client, path = office.client(), path_of(customer)
    seen = (await client.get(path)).headers["etag"]
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationReferred,
        reason_codes=[],
        policy_version="2026.1",
    )
    await office.until(customer, "manual_review")
    await office.review_says(customer, review.ApplicationHeld)
    await office.until(customer, "on_hold")
    held = await client.get(path)
    assert (held.headers["etag"], held.json()["state"]) == (seen, "checking")


# --- with a secret -------------------------------------------------------------------------------


async def buy(
    office: Office, secret: str = SECRET, name: str = "web-sealed", **asked: str
) -> httpx.Response:
    transport = httpx.ASGITransport(office.app)
    hooks = {"response": [as_described]}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://intake.test", event_hooks=hooks
    ) as web:
        data = {"grant_type": "client_credentials", **asked}
        return await web.post(f"{API}/token", data=data, auth=(name, secret))


async def test_a_secret_buys_a_token_for_what_is_asked(office: Office) -> None:
    form = office.customer(channel="web").form
    whole = await buy(office)
    assert whole.status_code == 200
    assert whole.headers["cache-control"] == "no-store"
    assert whole.headers["ratelimit"].startswith('"client";')
    assert (whole.json()["token_type"], whole.json()["expires_in"]) == ("Bearer", 900)
    looking = await buy(office, scope="application.view")
    assert looking.json()["scope"] == "application.view"
    bearer = {
        name: {"Authorization": f"Bearer {answer.json()['access_token']}"}
        for name, answer in (("whole", whole), ("looking", looking))
    }
    transport = httpx.ASGITransport(office.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://intake.test") as web:
        begun = await web.post(f"{API}/applications", json=form, headers=bearer["whole"])
        assert begun.status_code == 201
        path = f"{API}/applications/{begun.json()['application_id']}"
        assert (await web.get(path, headers=bearer["looking"])).status_code == 200
        refused = await web.post(f"{path}/withdraw", headers=bearer["looking"])
        assert (refused.status_code, refused.json()["permission"]) == (403, "application.edit")
        # the secret itself opens nothing else, and a token buys no further one
        for shown in (httpx.BasicAuth("web-sealed", SECRET), None):
            answer = await web.get(f"{API}/applications", auth=shown)
            assert answer.status_code == 401
        answer = await web.post(
            f"{API}/token", data={"grant_type": "client_credentials"}, headers=bearer["whole"]
        )
        assert answer.json() == {"error": "invalid_client"}


@pytest.mark.parametrize(
    ("status", "error", "asked"),
    [
        (401, "invalid_client", {"secret": "wrong"}),
        (401, "invalid_client", {"name": "web-channel", "secret": TOKENS["web-channel"]}),
        (400, "unsupported_grant_type", {"grant_type": "password"}),
        (400, "invalid_scope", {"scope": "application.view operations.redrive"}),
        (400, "invalid_scope", {"scope": "everything"}),
    ],
)
async def test_no_token_is_sold_for_less(
    office: Office, status: int, error: str, asked: dict[str, str]
) -> None:
    answer = await buy(office, **asked)
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert ("www-authenticate" in answer.headers) is (status == 401)


# --- how much and how often ----------------------------------------------------------------------


async def test_whoever_calls_too_often_is_told_when_to_come_again(office: Office) -> None:
    hasty = office.client("web-hasty")
    for left in (1, 0):
        answer = await hasty.get(f"{API}/applications")
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"client";q=2;w=200'
        assert answer.headers["ratelimit"].startswith(f'"client";r={left};t=')
    refused = await hasty.get(f"{API}/applications")
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-requests")
    assert 90 < int(refused.headers["retry-after"]) <= 100
    assert (await office.client(MINE).get(f"{API}/applications")).status_code == 200


async def test_what_is_too_large_is_not_read(office: Office) -> None:
    client, customer = office.client(MINE), await of_the_web(office)
    answer = await client.post(f"{API}/searches", content=b" " * (BODY_MOST + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    scan = {"file": ("scan.png", b"\x89PNG\r\n\x1a\n" + bytes(MULTIPART_MOST))}
    answer = await client.post(
        f"{path_of(customer)}/documents", data={"item": "id_front"}, files=scan
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    colleague = await office.colleague("assistant")
    page = await colleague.post(
        f"/intake/applications/{customer.application_id}/documents",
        data={"item": "id_front"},
        files=scan,
        headers={"accept": "text/html"},
        params={"lang": "en"},
    )
    assert page.status_code == 413
    assert "That is too large" in page.text


# --- a draft as a whole --------------------------------------------------------------------------


async def test_a_draft_is_replaced_as_a_whole(office: Office) -> None:
    """What the new form does not name is gone, for lists and searches too."""
    client = office.client(MINE)
    customer = await of_the_web(office)
    one, other = path_of(customer), office.customer(channel="web")
    person = {**other.form["parties"][0], "mobile": "13900008642"}
    person.pop("email")
    form = {
        **customer.form,
        "product": "gold",
        "applicant_type": "asset_owner",
        "parties": [person],
        "requested_limit": None,
    }
    saved = await client.put(one, json=form)
    assert saved.status_code == 200, saved.text
    assert (saved.json()["state"], saved.json()["revision"]) == ("draft", 2)
    assert {line["item"] for line in saved.json()["checklist"] if line["need"] == "mandatory"} >= {
        "asset_proof"
    }
    shown = (await client.get(one)).json()
    assert (shown["product"], shown["applicant_type"]) == ("gold", "asset_owner")
    assert shown["application_number"] == customer.number
    assert shown["requested_limit"] is None
    assert "email" not in shown["parties"][0]["fields"]
    finds = {customer.id_number: 0, other.id_number: 1}
    for number, count in finds.items():
        found = await client.post(f"{API}/searches", json={"id_number": number})
        assert len(found.json()) == count, "it is another person now"
    told = await office.said(customer.application_id)
    assert [kind for kind, _, _ in told] == ["application.drafted"], "nobody was told of a draft"
    handed_in = await client.put(one, json={**form, "submit": True})
    assert handed_in.json()["state"] == "awaiting_material", handed_in.text
    submitted = await office.last(customer, "application.submitted")
    assert submitted["product"] == "gold"


async def test_a_draft_that_is_resumed_says_what_is_set_and_what_is_wanted(office: Office) -> None:
    """As the description shows it: fields masked, and each that is missing by its name."""
    branch = intake.BranchChanged(
        branch=DRAFT["branch"], name_zh="北京支行", name_en="Beijing branch", region="11"
    )
    async with office.service.transaction() as tx:
        await tx.append([Fact(branch)], subject=branch.branch)
    client = office.client(MINE)

    async def begun_there() -> dict[str, Any]:
        answer = await client.post(f"{API}/applications", json=DRAFT)
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 201 else {}

    begun = await eventually(begun_there)
    answer = (await client.get(f"{API}/applications/{begun['application_id']}")).json()
    own = ("application_id", "application_number")
    assert {name: text for name, text in answer.items() if name not in own} == {
        name: text for name, text in DRAFT_ANSWER.items() if name not in own
    }
    assert set(answer) == set(DRAFT_ANSWER)
    said = DRAFT["parties"][0]
    assert set(answer["parties"][0]["fields"]) == set(said) - {"role"}
    for name in ("name", "id_number", "mobile"):
        assert said[name] not in str(answer)


async def test_a_draft_saved_again_and_again_stays_one_person(office: Office) -> None:
    client, customer = office.client(MINE), await of_the_web(office)
    vault = (
        await office.fetch(
            "SELECT person FROM application WHERE application_id = $1", customer.application_id
        )
    )[0]["person"]
    for mobile in ("13900001357", "13900002468"):
        person = {**customer.form["parties"][0], "mobile": mobile}
        form = {**customer.form, "parties": [person]}
        assert (await client.put(path_of(customer), json=form)).status_code == 200
    row = (
        await office.fetch(
            "SELECT person FROM application WHERE application_id = $1", customer.application_id
        )
    )[0]
    assert row["person"] == vault
    for mobile, count in (("13900001357", 0), ("13900002468", 1)):
        found = (await client.post(f"{API}/searches", json={"mobile": mobile})).json()
        assert sum(one["application_id"] == customer.application_id for one in found) == count
    without = {name: text for name, text in person.items() if name != "id_number"}
    answer = await client.put(path_of(customer), json={**customer.form, "parties": [without]})
    assert answer.status_code == 200, answer.text
    found = await client.post(f"{API}/searches", json={"id_number": customer.id_number})
    assert found.json() == []


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [({"branch": OTHER_BRANCH}, "/branch"), ({"channel": "counter"}, "/channel")],
)
async def test_a_draft_keeps_its_branch_and_its_channel(
    office: Office, changed: dict[str, str], pointer: str
) -> None:
    customer = await of_the_web(office)
    form = {**customer.form, **changed}
    answer = await office.client(MINE).put(path_of(customer), json=form)
    assert (answer.status_code, answer.json()["code"]) == (422, "differs-from-draft")
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_a_draft_keeps_the_device_of_its_last_form(office: Office) -> None:
    customer = await of_the_web(office)
    person = {**customer.form["parties"][0], "device": f"device-{new_id()}"}
    answer = await office.client(MINE).put(
        path_of(customer), json={**customer.form, "parties": [person]}
    )
    assert answer.status_code == 200, answer.text
    kept = await office.fetch(
        "SELECT digest FROM application_device WHERE application_id = $1", customer.application_id
    )
    assert len(kept) == 1


async def test_a_draft_that_is_refused_is_found_as_it_was(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches follow a form that is kept, and no other."""
    customer, other = await of_the_web(office), office.customer(channel="web")
    monkeypatch.setattr("services.intake.desk.product_on", lambda *_: None)
    form = {**customer.form, "parties": other.form["parties"]}
    refused = await office.client(MINE).put(path_of(customer), json=form)
    assert (refused.status_code, refused.json()["code"]) == (422, "not-acceptable")
    for number, count in ((customer.id_number, 1), (other.id_number, 0)):
        found = await office.client(MINE).post(f"{API}/searches", json={"id_number": number})
        assert len(found.json()) == count


async def test_what_was_handed_in_is_replaced_no_more(office: Office) -> None:
    customer = await of_the_web(office)
    await office.client(MINE).post(f"{path_of(customer)}/submit")
    answer = await office.client(MINE).put(path_of(customer), json=customer.form)
    assert (answer.status_code, answer.json()["code"]) == (409, "no-draft")


async def test_a_draft_is_replaced_as_it_was_looked_at(office: Office) -> None:
    careful = office.client("web-careful")
    customer = office.customer(channel="web")
    begun = await careful.post(f"{API}/applications", json=customer.form)
    customer.application_id = begun.json()["application_id"]
    path, key = path_of(customer), keyed(new_id())
    assert (await careful.put(path, json=customer.form)).json()["code"] == "if-match-needed"
    older = await careful.put(path, json=customer.form, headers={"If-Match": '"7"'})
    assert (older.status_code, older.headers["etag"]) == (412, '"1"')
    first = await careful.put(path, json=customer.form, headers={"If-Match": '"1"', **key})
    again = await careful.put(path, json=customer.form, headers={"If-Match": '"1"', **key})
    assert (first.status_code, first.json()) == (200, again.json())
    refused = await careful.put(
        path,
        json={**customer.form, "product": "student", "submit": True},
        headers={"If-Match": '"2"'},
    )
    assert (refused.status_code, refused.json()["state"]) == (422, "draft")
    assert [one["code"] for one in refused.json()["errors"]] == ["PRODUCT_NOT_FOR_APPLICANT"]


# --- as it is described --------------------------------------------------------------------------


async def test_every_example_of_the_description_is_taken(office: Office) -> None:
    branch = APPLICATION["branch"]
    opened = intake.BranchChanged(
        branch=branch, name_zh="示例支行", name_en="Example branch", region=branch[:2]
    )
    async with office.service.transaction() as tx:
        await tx.append([Fact(opened)], subject=branch)

    async def known() -> bool:
        sql = "SELECT count(*) FROM directory_branch WHERE branch = $1"
        return bool(await office.service.pool.fetchval(sql, branch))

    await eventually(known)
    examples = {
        (method, path.removeprefix(API)): next(iter(said["requestBody"]["content"].values()))[
            "example"
        ]
        for path, methods in description()["paths"].items()
        for method, said in methods.items()
        if "requestBody" in said
    }
    client = office.client(MINE)

    def taken(method: str, path: str) -> Any:
        return dict(examples.pop((method, path)))

    begun = await client.post(f"{API}/applications", json=taken("post", "/applications"))
    assert begun.status_code == 201, begun.text
    one = f"{API}/applications/{begun.json()['application_id']}"
    saved = await client.put(one, json=taken("put", "/applications/{application_id}"))
    assert saved.status_code == 200, saved.text
    mended = taken("patch", "/applications/{application_id}")
    assert (await client.patch(one, json=mended)).status_code == 200
    paper = taken("post", "/applications/{application_id}/documents")
    scan = {"file": (paper.pop("file"), picture(new_id()))}
    filed = await client.post(f"{one}/documents", data=paper, files=scan)
    assert filed.status_code == 201, filed.text
    reading = "/applications/{application_id}/documents/{document_id}/reading"
    read = await client.post(
        f"{one}/documents/{filed.json()['document_id']}/reading", json=taken("post", reading)
    )
    assert read.status_code == 200, read.text
    found = await client.post(f"{API}/searches", json=taken("post", "/searches"))
    assert found.json() == []  # the mobile was corrected
    left = await client.post(
        f"{one}/withdraw", json=taken("post", "/applications/{application_id}/withdraw")
    )
    assert (left.status_code, left.json()["state"]) == (200, "withdrawn")
    officer = await office.colleague("assistant")
    verdicts = [path for method, path in examples if "/items/" in path or "/meetings" in path]
    for path in verdicts:
        named = {"{party}": "applicant", "{item}": "id_front"}
        place = f"{one}{path.removeprefix('/applications/{application_id}')}"
        for name, value in named.items():
            place = place.replace(name, value)
        said = await officer.post(place, json=taken("post", path))
        # it has ended, and nobody judges it any more: its body was read all the same
        assert (said.status_code, said.json()["code"]) in {
            (409, "not-in-pre-check"),
            (409, "not-open"),
        }
    limit = taken("post", "/applications/{application_id}/limit-changes")
    wished = await officer.post(f"{one}/limit-changes", json=limit, headers={"If-Match": "*"})
    assert (wished.status_code, wished.json()["code"]) == (409, "limit-not-changeable")  # read, too
    rows = taken("post", "/tables")
    table_file = (rows.pop("file"), table([office.customer()]))
    kept = await office.client().post(f"{API}/tables", data=rows, files={"file": table_file})
    assert kept.status_code == 201, kept.text
    rows = taken("post", "/batches")
    name = rows.pop("file")
    batch = await office.client().post(
        f"{API}/batches", data=rows, files={"file": (name, table([office.customer()]))}
    )
    assert len(batch.json()["accepted"]) == 1, batch.text
    operations = await office.colleague("ops")
    stock = await operations.post(f"{API}/imports", json=taken("post", "/imports"))
    assert [row["problems"] for row in stock.json()["results"]] == [[]]
    token = await buy(office, **taken("post", "/token"))
    assert token.json()["scope"] == "application.create application.view"
    assert examples == {}, "an example that nobody posts"


async def test_the_service_gives_the_description_that_is_published(office: Office) -> None:
    answer = await office.client().get(f"{API}/openapi.json")
    assert answer.json() == description()


async def test_no_answer_says_what_was_sent(office: Office) -> None:
    broken = office.customer(
        channel="web", product="x" * 60, party={"id_issued": NAME, "salutation": MOBILE}
    )
    answer = await office.client(MINE).post(f"{API}/applications", json=broken.form)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 3
    assert not any(text in answer.text for text in (NAME, MOBILE, "xxx", broken.id_number))


# --- and at last, because the clock only moves on ------------------------------------------------


async def test_a_key_counts_for_its_time_and_is_swept(office: Office) -> None:
    client, key = office.client(MINE), keyed(new_id())
    customer = office.customer(channel="web")
    first = await client.post(f"{API}/applications", json=customer.form, headers=key)
    for _ in range(7):
        path = f"{API}/applications/{first.json()['application_id']}/submit"
        await client.post(path, headers=keyed(new_id()))
    office.step(office.now + timedelta(days=load_clocks().request_keys_days))
    again = await client.post(f"{API}/applications", json=customer.form, headers=key)
    assert again.json() == first.json()
    office.step(office.now + timedelta(seconds=1))
    other = office.customer(channel="web")
    later = await client.post(f"{API}/applications", json=other.form, headers=key)
    assert later.status_code == 201, later.text
    assert later.json()["application_id"] != first.json()["application_id"]

    async def old() -> int:
        (row,) = await office.fetch(
            "SELECT count(*) AS n FROM request WHERE at < $1",
            office.now - timedelta(days=load_clocks().request_keys_days),
        )
        return int(row["n"])

    before = await old()
    assert before >= 7
    for _ in range(before // 2):  # each that comes takes a few with it
        await client.post(
            f"{API}/applications",
            json=office.customer(channel="web").form,
            headers=keyed(new_id()),
        )
        if not await old():
            break
    assert await old() == 0


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/applications?number=1%00", ("number", "query")),
        ("/applications/a%00b", ("application_id", "path")),
    ],
)
async def test_nul_in_an_address_is_pointed_out(
    office: Office, path: str, wrong: tuple[str, str]
) -> None:
    answer = await office.client().get(f"{API}{path}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert [(one["parameter"], one["in"]) for one in answer.json()["errors"]] == [wrong]
    page = await (await office.colleague("assistant")).get(
        "/intake/applications?q=1%00", headers={"Accept": "text/html"}
    )
    assert page.status_code in {200, 422}
    assert "<h1>" in page.text
