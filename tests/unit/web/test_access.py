"""Who gets into a route: by session, role, scope, form token or a channel's token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from shared.web import Permission, Scope, Viewer, public, requires, routes_without_permission
from shared.web.access import CSRF_HEADER, declared_access, viewer_of
from shared.web.clients import FILE, ApiClients
from shared.web.directory import EVERY_BRANCH, StaffMember
from shared.web.permissions import NOWHERE, WHOLE_BANK, Reach, Role
from shared.web.session import LIFETIME, Session
from tests.browser.sample import CLIENT_TOKEN, STAFF
from tests.unit.web.conftest import Visit, state_of

COMPONENTS = "/sample/components"


async def test_nobody_is_led_to_sign_in_and_back(visit: Visit) -> None:
    answer = await visit().get(f"{COMPONENTS}?sort=-number")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/sample/components%3Fsort%3D-number"


async def test_a_form_of_nobody_leads_back_to_the_start_not_to_the_form(visit: Visit) -> None:
    answer = await visit().post("/sample/decide", {"reason": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/")


async def test_htmx_is_told_to_leave_the_page(visit: Visit) -> None:
    answer = await visit().get(COMPONENTS, **{"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"][:9]) == (204, "/sign-in?")


async def test_the_api_answers_401_and_how_to_come_in(visit: Visit) -> None:
    answer = await visit().get("/sample/api/v1/whoami")
    assert answer.status_code == 401
    assert answer.json()["code"] == "sign-in-needed"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_signed_in_member_of_staff_enters(visit: Visit) -> None:
    answer = await visit("A0101").get(COMPONENTS)
    assert answer.status_code == 200
    assert "林晓岚" in answer.text


async def test_a_session_ends_with_the_shift_the_epoch_and_the_job(
    app: FastAPI, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def enters(staff_id: str, *, epoch: int | None = None, age: float = 0) -> bool:
        answer = await visit(staff_id, epoch=epoch, age=age, idle=0).get(COMPONENTS)
        return answer.status_code == 200

    assert await enters("A0101", age=LIFETIME - 5)
    assert not await enters("A0101", age=LIFETIME + 1)
    assert not await enters("A0101", epoch=2)
    assert not await enters("X9999")
    monkeypatch.setitem(STAFF, "A0101", replace(STAFF["A0101"], active=False))
    assert not await enters("A0101")


async def test_a_role_without_the_permission_is_refused_by_name_of_the_permission(
    visit: Visit,
) -> None:
    answer = await visit("A0101").client.get("/sample/operations")
    assert answer.status_code == 403
    assert (answer.json()["code"], answer.json()["permission"]) == (
        "not-permitted",
        "operations.view",
    )
    assert (await visit("P0001").get("/sample/operations")).status_code == 200


async def test_a_permission_within_a_branch_does_not_open_what_needs_the_whole_bank(
    visit: Visit, app: FastAPI
) -> None:
    router = APIRouter()

    @router.get("/sample/whole")
    async def whole(viewer: object = requires(Permission.BOARD_VIEW, scope=Scope.ALL)) -> str:
        return "in"

    app.include_router(router)
    assert (await visit("A0101").get("/sample/whole")).status_code == 403
    assert (await visit("M0101").get("/sample/whole")).status_code == 403
    assert (await visit("R0001").get("/sample/whole")).status_code == 200


@pytest.mark.parametrize(
    ("role", "branches", "permission", "seen"),
    [
        (Role.ASSISTANT, {"0101"}, Permission.BOARD_VIEW, {"0101"}),
        (Role.ASSISTANT, {"0101", "0203"}, Permission.BOARD_VIEW, {"0101", "0203"}),
        (Role.ASSISTANT, set(), Permission.BOARD_VIEW, set()),
        (Role.MANAGER, {"0101"}, Permission.BOARD_VIEW, {"0101", "0102"}),
        (Role.REVIEWER, {"0101"}, Permission.BOARD_VIEW, None),
        (Role.ASSISTANT, {EVERY_BRANCH}, Permission.BOARD_VIEW, None),
    ],
)
def test_the_scope_of_the_role_and_the_directory_decide_which_branches_are_seen(
    app: FastAPI,
    role: Role,
    branches: set[str],
    permission: Permission,
    seen: set[str] | None,
) -> None:
    member = StaffMember(
        staff_id="N0001",
        name="新人",
        roles=frozenset({role}),
        branches=frozenset(branches),
        region_branches=frozenset({"0101", "0102"}),
        desk="assistant",
        active=True,
        session_epoch=1,
    )
    request = Request({"type": "http", "app": app, "headers": []})
    session = Session.begin("N0001", 1, 0)
    viewer = viewer_of(request, session, member, [permission])
    assert viewer.reach.branches == (None if seen is None else frozenset(seen))
    assert viewer.home_branch == min(branches - {EVERY_BRANCH}, default=None)
    assert viewer.csrf_token == state_of(app).signer.form_token(session.nonce)


def test_each_permission_of_somebody_with_two_roles_reaches_as_far_as_the_role_that_grants_it(
    app: FastAPI,
) -> None:
    """An assistant reveals fields, a manager sees the region: nobody reveals in the region."""
    member = StaffMember(
        staff_id="N0001",
        name="新人",
        roles=frozenset({Role.ASSISTANT, Role.MANAGER}),
        branches=frozenset({"0101"}),
        region_branches=frozenset({"0101", "0102"}),
        desk="assistant",
        active=True,
        session_epoch=1,
    )
    request = Request({"type": "http", "app": app, "headers": []})
    session = Session.begin("N0001", 1, 0)
    branch, region = Reach(frozenset({"0101"})), Reach(frozenset({"0101", "0102"}))

    def reach(*entered: Permission) -> Reach:
        return viewer_of(request, session, member, entered).reach

    view, reveal = Permission.APPLICATION_VIEW, Permission.PERSONAL_REVEAL
    assert (reach(view), reach(reveal)) == (region, branch)
    assert reach(view, reveal) == reach(reveal, view) == branch
    assert reach() == NOWHERE
    viewer = viewer_of(request, session, member, [view])
    assert viewer.sees("0102")
    assert viewer.may_in(view, "0102")
    assert viewer.may_in(reveal, "0101")
    assert not viewer.may_in(reveal, "0102")
    assert viewer.may_somewhere(reveal)
    whole = viewer_of(request, session, replace(member, branches=frozenset({EVERY_BRANCH})), [view])
    assert whole.reach_of(reveal) == WHOLE_BANK


async def test_a_route_that_demands_two_permissions_reaches_where_both_hold(
    visit: Visit, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = APIRouter()
    both = requires(Permission.APPLICATION_VIEW, Permission.PERSONAL_REVEAL)

    @router.get("/sample/both")
    async def page_both(viewer: Viewer = both) -> list[str] | None:
        return viewer.branch_list

    app.include_router(router)
    assert (
        declared_access(app)["GET /sample/both"]
        == "application.view@branch + personal.reveal@branch"
    )
    answer = await visit("M0101").client.get("/sample/both")
    assert (answer.status_code, answer.json()["permission"]) == (403, "personal.reveal")
    roles = frozenset({Role.ASSISTANT, Role.MANAGER})
    monkeypatch.setitem(STAFF, "M0101", replace(STAFF["M0101"], roles=roles))
    assert (await visit("M0101").get("/sample/both")).json() == ["0101"]


async def test_a_form_needs_the_token_of_its_session(visit: Visit) -> None:
    mine, other = visit("A0101"), visit("A0101")
    for token in ("", "x", other.form_token):
        answer = await mine.post("/sample/decide", {"csrf_token": token})
        assert answer.status_code == 403, token
        assert "表单" in answer.text
    answer = await mine.post("/sample/decide", {"csrf_token": mine.form_token})
    assert (answer.status_code, answer.headers["location"]) == (303, COMPONENTS)


@pytest.mark.parametrize("by_header", [False, True])
async def test_who_is_shut_out_while_a_form_is_sent_does_nothing_by_it(
    app: FastAPI, visit: Visit, monkeypatch: pytest.MonkeyPatch, by_header: bool
) -> None:
    done: list[str] = []

    @app.post("/sample/late")
    async def late(
        request: Request, viewer: Annotated[Viewer, requires(Permission.BOARD_VIEW)]
    ) -> None:
        done.append(str((await request.form())["csrf_token"]))

    mine = visit("A0101")

    async def slowly() -> AsyncIterator[bytes]:
        yield f"csrf_token={mine.form_token}".encode()
        monkeypatch.setitem(STAFF, "A0101", replace(STAFF["A0101"], active=False))
        yield b"&more="

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if by_header:
        headers[CSRF_HEADER] = mine.form_token
    answer = await mine.client.post("/sample/late", content=slowly(), headers=headers)
    assert (answer.status_code, done) == (401, []), answer.text


async def test_the_token_may_come_in_a_header_or_beside_a_file(visit: Visit) -> None:
    mine = visit("A0101")
    file = {"document": ("a.pdf", b"%PDF-1.7", "application/pdf")}
    refused = await mine.client.post("/sample/upload", files=file)
    assert (refused.status_code, refused.json()["code"]) == (403, "form-expired")
    beside = {"csrf_token": mine.form_token}
    assert (await mine.client.post("/sample/upload", data=beside, files=file)).status_code == 303
    header = {CSRF_HEADER: mine.form_token}
    assert (await mine.client.post("/sample/decide", headers=header)).status_code == 303


async def test_json_of_a_session_needs_the_header_too(visit: Visit) -> None:
    mine = visit("A0101")
    body = {"product": "gold", "parties": [{"name": "王小明", "id_number": "44010119900101123X"}]}
    path = "/sample/api/v1/drafts"
    assert (await mine.client.post(path, json=body)).status_code == 403
    header = {CSRF_HEADER: mine.form_token}
    answer = await mine.client.post(path, json=body, headers=header)
    assert answer.json() == {"product": "gold", "actor": "staff:A0101"}


async def ask_as_channel(visit: Visit, path: str, authorization: str) -> httpx.Response:
    return await visit().client.get(path, headers={"Authorization": authorization})


async def test_a_channel_enters_the_api_with_its_own_permissions_and_branches(visit: Visit) -> None:
    bearer = f"Bearer {CLIENT_TOKEN}"
    answer = await ask_as_channel(visit, "/sample/api/v1/whoami", bearer)
    assert answer.json() == {
        "actor": "client:mobile-app",
        "branches": ["0101"],
        "language": "zh-CN",
    }
    refused = await ask_as_channel(visit, COMPONENTS, bearer)
    assert refused.status_code == 401  # channels have no business on pages


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({"sees": "branch"}, 200),
        ({"sees": "own"}, 403),
        ({}, 403),
        ({"sees": "branch", "branches": ["0101"]}, 403),
    ],
)
async def test_the_whole_bank_is_open_to_a_client_that_sees_all_of_it(
    app: FastAPI, tmp_path: Path, entry: dict[str, object], status: int
) -> None:
    router = APIRouter()

    @router.get("/sample/api/v1/whole")
    async def whole(viewer: object = requires(Permission.BOARD_VIEW, scope=Scope.ALL)) -> str:
        return "in"

    app.include_router(router)
    listed = {
        "id": "terminal",
        "token": CLIENT_TOKEN,
        "channel": "counter",
        "permissions": [Permission.BOARD_VIEW],
        **entry,
    }
    (tmp_path / FILE).write_text(json.dumps([listed]), encoding="utf-8")
    app.state.web = replace(state_of(app), clients=ApiClients.load(tmp_path))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://banka.test"
    ) as web:
        answer = await web.get(
            "/sample/api/v1/whole", headers={"Authorization": f"Bearer {CLIENT_TOKEN}"}
        )
    assert answer.status_code == status


@pytest.mark.parametrize(
    "authorization", ["Bearer wrong", "Bearer ", "", "Basic abc", f"Basic {CLIENT_TOKEN}"]
)
async def test_a_wrong_token_is_refused_even_beside_a_good_session(
    visit: Visit, authorization: str
) -> None:
    answer = await visit("A0101").client.get(
        "/sample/api/v1/whoami", headers={"Authorization": authorization}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "bad-credentials")


def test_a_route_that_says_nothing_or_two_things_is_found() -> None:
    app = FastAPI(openapi_url=None)
    router = APIRouter()

    @router.get("/open", dependencies=[public("a test")])
    async def opened() -> str:
        return ""

    @router.post("/forgotten")
    async def forgotten() -> str:
        return ""

    @router.get("/closed", dependencies=[requires(Permission.BOARD_VIEW, scope=Scope.ALL)])
    async def closed() -> str:
        return ""

    twice = [requires(Permission.BOARD_VIEW), requires(Permission.REPORT_VIEW)]

    @router.get("/twice", dependencies=twice)  # whose reach would hold?
    async def doubled() -> str:
        return ""

    app.include_router(router)
    assert routes_without_permission(app) == ["POST /forgotten", "GET /twice"]
    app.add_route("/bare", lambda request: Response())
    app.mount("/mounted", FastAPI(openapi_url=None))
    assert routes_without_permission(app) == [
        "POST /forgotten",
        "GET /twice",
        "GET,HEAD /bare",
        "* /mounted",
    ]
    assert declared_access(app) == {
        "GET,HEAD /bare": "",
        "* /mounted": "",
        "GET /open": "public: a test",
        "POST /forgotten": "",
        "GET /closed": "board.view@all",
        "GET /twice": "board.view@branch + report.view@branch",
    }
