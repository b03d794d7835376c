"""What belongs to another branch, or to another channel, is not there: tried on every route that
takes an id, as the app itself lists them. A route that is added needs no test of its own here, only
a value for whatever it asks for."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.identifiers import new_id
from shared.web.permissions import Permission, Role
from tests.integration.intake import test_batches as tables
from tests.integration.intake.office import (
    API,
    BRANCH,
    EMPLOYER,
    MOBILE,
    NAME,
    OTHER_BRANCH,
    STAFF_PERMISSIONS,
    Customer,
    Office,
)
from tests.integration.intake.test_staff import ORGANISATION, organisation
from tests.integration.scope import Route, address_of, listed_for, routes_of
from tests.papers import picture

__all__ = ["organisation"]  # a fixture

pytestmark = pytest.mark.asyncio(loop_scope="module")

NARROW = (Role.ASSISTANT, Role.MANAGER)  # the roles that do not see the whole bank
# Of nobody's branch: the template of a sheet. Customers come by a code, to what is theirs alone: no
# branch is asked for.
OF_NO_BRANCH = {f"{API}/batches/template.{{kind}}", "customer@own"}

# What is asked for within, beyond what lets in.
WITHIN = {"/intake/views/{view_id}/drop": {Permission.VIEW_SHARE}}

# What has to be seen without an id, by whoever belongs there.
LISTS = {
    "application_id": {
        "GET /intake/applications",
        "POST /intake/applications/search",
        f"GET {API}/applications",
        f"POST {API}/searches",
    },
    "table_id": {"GET /intake/batches/new", f"GET {API}/tables"},
    "staff_id": {"GET /intake/staff"},
}

OFFERS = re.compile(r'(?:href|action|hx-get|hx-post)="(/intake/[^"#?]*)')


@dataclass(frozen=True)
class Case:
    """Everything that has an id, of one branch."""

    customer: Customer
    ids: Mapping[str, str]


def sample(name: str, case: Case) -> Any:
    """A value that gets past the form of what a page asks for."""
    known: dict[str, Any] = {
        "reason": "核对客户资料",
        "text": "核对客户资料",
        "why": "contact",
        "item": "id_front",
        "code": "PHOTO_UNCLEAR",
        "codes": ["PHOTO_UNCLEAR"],
        "remark": "核对",
        "agreed": "yes",
        "at": "2026-10-12T09:00",
        "saw": ["saw_person"],
        "evidence": [case.ids["document_id"]],
        "session": "0" * 32,
        "party": "applicant",
        "document_id": case.ids["document_id"],
        "revision": "",
        "issued_on": "2026-10-01",
    }
    return known.get(name, "1")


async def ask(
    client: httpx.AsyncClient, route: Route, case: Case, office: Office
) -> httpx.Response:
    """The request with everything that the route wants."""
    address = route.address(case.ids)
    if "/api/" in address:
        described = office.app.openapi()["paths"][route.path][route.method.lower()]
        content = described.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            body = content["application/json"]["example"]
            # papers of the example are nobody's: ours are
            own = {name: sample(name, case) for name in ("document_id", "evidence") if name in body}
            return await client.request(route.method, address, json=body | own)
    names = route.fields({})
    fields = {name: sample(name, case) for name in names if name != "file"}
    fields |= {"mobile": "13911112222", "employer": EMPLOYER}  # of forms that are read as they come
    files = {"file": ("paper.png", io.BytesIO(picture(route.path)), "image/png")}
    return await client.request(
        route.method,
        address,
        data=fields if route.method != "GET" else None,
        files=files if "file" in names else None,
    )


@pytest_asyncio.fixture(loop_scope="module")
async def case(office: Office, organisation: None) -> Case:
    """An application with a paper that is drawn, a table, and a member of staff, all of BRANCH."""
    customer = await office.begun()
    document = (await office.upload(customer, "id_front")).json()["document_id"]
    await office.drawn(document)
    await office.fetch(
        "INSERT INTO card_reading (document_id, application_id, side) VALUES ($1, $2, 'front')",
        document,
        customer.application_id,
    )
    assistant = await office.colleague("assistant", branch=BRANCH)
    where = await tables.load(assistant, tables.sheet(tables.row(office), {"name": "x"}))
    await tables.until(office, where, "checked")
    view = new_id()
    await office.fetch(
        "INSERT INTO saved_view (view_id, list, staff_id, branch, name, query, at)"
        " VALUES ($1, 'applications', 'S6101', $2, $1, '', now())",
        view,
        BRANCH,
    )
    return Case(
        customer,
        {
            "application_id": customer.application_id,
            "document_id": document,
            "batch_id": tables.number(where),
            "table_id": tables.number(where),
            "number": "1",
            "party": "applicant",
            "role": "applicant",
            "field": "mobile",
            "item": "id_front",
            "verdict": "accept",
            "kind": "csv",
            "staff_id": "S6101",
            "view_id": view,
            "source": "view",
        },
    )


async def test_every_route_with_an_id_hides_what_belongs_to_another_branch(
    office: Office, case: Case
) -> None:
    tried = []
    strangers = {role: await office.colleague(role.value, branch=OTHER_BRANCH) for role in NARROW}
    wrong = []
    for route in routes_of(office.app, OF_NO_BRANCH):
        for role, stranger in strangers.items():
            answer = await ask(stranger, route, case, office)
            expected = 404 if route.opens_to(role) else 403
            tried += [route.path] if expected == 404 else []
            if answer.status_code != expected or case.customer.number in answer.text:
                wrong.append((route.method, route.path, role, answer.status_code))
    assert wrong == []
    assert len(set(tried)) > 25, "the test sees the routes"


async def test_no_list_and_no_search_shows_what_belongs_to_another_branch(
    office: Office, case: Case
) -> None:
    asked = [
        {"branch": BRANCH},
        {"number": case.customer.number},
        *(
            {"value": one}
            for one in (case.customer.number, case.customer.number[:16], MOBILE, NAME)
        ),
        {"value": case.customer.id_number},
        {"id_number": case.customer.id_number},
        {"mobile": MOBILE},
        {"name": NAME},
    ]
    # first in their lists, however many later ones other tests have begun
    await office.fetch(
        "UPDATE application SET created_at = '2100-01-01' WHERE application_id = $1",
        case.customer.application_id,
    )
    await office.fetch(
        "UPDATE batch SET uploaded_at = '2100-01-01' WHERE batch_id = $1", case.ids["table_id"]
    )
    for shown in ("application_id", "table_id", "staff_id"):
        own = await office.colleague(*NARROW, branch="6101" if shown == "staff_id" else BRANCH)
        stranger = await office.colleague(*NARROW, branch=OTHER_BRANCH)
        known = await listed_for(own, office.app, asked, case.ids[shown])
        assert LISTS[shown] <= known, "or the next would find nothing because nothing is there"
        assert await listed_for(stranger, office.app, asked, case.ids[shown]) == set()


async def test_who_belongs_there_finds_it(office: Office, case: Case) -> None:
    """Or the test above would find nothing because nothing is there."""
    own = {role: await office.colleague(role.value, branch=BRANCH) for role in NARROW}
    elsewhere = await office.colleague("manager", branch="6101")
    missing = []
    for route in routes_of(office.app, OF_NO_BRANCH):
        may = [role for role in NARROW if route.opens_to(role)]
        clients = [elsewhere] if "{staff_id}" in route.path else [own[role] for role in may]
        answers = [await ask(client, route, case, office) for client in clients]
        # each of them holds the permission, and one at least finds what it is about
        found = [one.status_code for one in answers]
        if may and (403 in found or set(found) == {404} or max(found) >= 500):
            missing.append((route.method, route.path, found, answers[0].text[:200]))
    assert missing == []


@pytest.mark.parametrize("wide", [Role.AUDITOR, Role.REVIEWER, Role.OPS])
async def test_two_roles_of_different_reach_do_no_more_elsewhere_than_the_wide_one_allows(
    office: Office, case: Case, wide: Role
) -> None:
    """Somebody of another branch whose third role sees the whole bank: what the others alone allow
    stops at their branches, on every route, and no page offers it."""
    roles = (*NARROW, wide)
    person = await office.colleague(*roles, branch=OTHER_BRANCH)
    routes = [one for one in routes_of(office.app, OF_NO_BRANCH) if one.of_a_branch]
    wrong, hidden, offered = [], set(), set()
    for route in routes:
        answer = await ask(person, route, case, office)
        if not route.opens_to(*roles):
            right = answer.status_code == 403
        elif route.reaches_the_bank(*roles, within=WITHIN):
            right = answer.status_code not in (403, 404) and answer.status_code < 500
            offered |= set(OFFERS.findall(answer.text))
        else:
            right = answer.status_code == 404 and case.customer.number not in answer.text
            hidden.add(route.path)
        if not right:
            wrong.append((route.method, route.path, answer.status_code))
    assert wrong == []
    assert len(hidden) > 10, "the test sees what the narrow role alone may do"
    assert not offered & {address_of(path, case.ids) for path in hidden}
    assert f"/intake/applications/{case.ids['application_id']}" in offered


async def test_who_has_both_roles_where_the_case_is_does_what_they_allow(
    office: Office, case: Case
) -> None:
    """Or the test above would find nothing because two roles are let in nowhere."""
    roles = (*NARROW, Role.AUDITOR)
    person = await office.colleague(*roles, branch=BRANCH)
    missing = []
    for route in routes_of(office.app, OF_NO_BRANCH):
        if "{staff_id}" in route.path or not (route.of_a_branch and route.opens_to(*roles)):
            continue
        answer = await ask(person, route, case, office)
        if answer.status_code in (403, 404) or answer.status_code >= 500:
            missing.append((route.method, route.path, answer.status_code))
    assert missing == []


async def test_every_route_of_the_api_hides_what_another_channel_began(
    office: Office, case: Case
) -> None:
    tried, wrong = [], []
    for route in routes_of(office.app, OF_NO_BRANCH):
        if "/api/" not in route.path or "{application_id}" not in route.path:
            continue
        for name in ("web-channel", "one-branch"):
            allowed = {one.value for one in route.demands} <= set(STAFF_PERMISSIONS)
            answer = await ask(office.client(name), route, case, office)
            tried.append(route.path)
            if answer.status_code != (404 if allowed else 403):
                wrong.append((name, route.method, route.path, answer.status_code))
    assert wrong == []
    assert len(set(tried)) > 10


async def test_a_channel_gets_into_no_page(office: Office, case: Case) -> None:
    for route in routes_of(office.app, OF_NO_BRANCH):
        if "/api/" not in route.path:
            answer = await ask(office.client(), route, case, office)
            assert answer.status_code == 401, route


async def test_the_organisation_of_the_tests_has_who_is_looked_for() -> None:
    assert "S6101" in ORGANISATION
