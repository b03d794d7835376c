"""Every route of every service says who may enter; nothing is open because somebody forgot."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from annotated_types import Le, Lt
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from structlog.testing import capture_logs

from deploy.secret_files import make_channels, make_secrets
from shared.events.catalog import SERVICES
from shared.settings import Environment, Settings
from shared.web import Permission, Scope, oidc, routes_without_permission
from shared.web.access import declared_access
from shared.web.clients import FILE
from shared.web.navigation import SECTIONS
from shared.web.permissions import GRANTS

# Looking for a person is a POST so that what is looked for stands in no address and no log.
SEARCHES = {
    "POST /intake/api/v1/searches",
    "POST /intake/applications/search",
    "POST /review/queue/search",
    "POST /notify/messages/search",
    "POST /reporting/applications/search",
    *(f"POST /{service}/audit" for service in SERVICES),
}
# What somebody keeps for themselves, about how they look and not about what there is.
OWN = {f"POST /{service}/views{more}" for service in SERVICES for more in ("", "/{view_id}/drop")}
PUBLIC = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /internal/quiet"}


def build(service: str, folder: Path) -> FastAPI:
    """The service as it is deployed; nothing is connected before it is started."""
    secrets = folder / "secrets"
    make_secrets(secrets)
    make_channels(secrets)
    # with everything that a bank may switch on
    (secrets / oidc.FILE).write_text(
        json.dumps(
            {
                "issuer": "http://127.0.0.1:1",
                "client_id": "banka",
                "public_url": "http://banka.test",
            }
        )
    )
    settings = Settings(
        service=service,
        environment=Environment.TEST,
        kafka_bootstrap="127.0.0.1:1",
        postgres_dsn="postgresql://127.0.0.1:1",
        secrets_dir=secrets,
        documents_url=folder.as_uri(),
        clock_file=folder / "clock",
        identity_url="http://127.0.0.1:1",
        bureau_url="http://127.0.0.1:1",
        watchlist_url="http://127.0.0.1:1",
        sms_url="http://127.0.0.1:1",
        app_message_url="http://127.0.0.1:1",
        smtp_host="127.0.0.1",
    )
    app: FastAPI = importlib.import_module(f"services.{service}.app").build(settings)
    return app


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_route_declares_a_permission_or_that_it_is_public(
    service: str, tmp_path: Path
) -> None:
    app = build(service, tmp_path)
    assert routes_without_permission(app) == []
    declared = declared_access(app)
    pages = [route for route in declared if f" /{service}" in route]
    assert len(pages) > 5, "the test sees the service's routes"


async def test_head_is_answered_as_get_without_the_body(service: str, tmp_path: Path) -> None:
    app = build(service, tmp_path)
    asked = [
        re.sub(r"{[^}]*}", "1", route.removeprefix("GET "))
        for route in declared_access(app)
        if route.startswith("GET ")
    ]
    assert len(asked) > 10, "the test sees the service's routes"
    # nothing is connected: whoever gets past the gate fails there, by either method
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://banka.test")
    with capture_logs():  # to write each crash is dear
        for path in asked:
            got, headed = await client.get(path), await client.head(path)
            assert (headed.status_code, headed.content) == (got.status_code, b""), path
            said = {"content-type", "location", "www-authenticate"}
            assert {name: headed.headers.get(name) for name in said} == {
                name: got.headers.get(name) for name in said
            }, path


def _of_an_address(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for dependency in dependant.dependencies:
        yield from _of_an_address(dependency)


def test_a_page_takes_whatever_stands_in_its_address(service: str, tmp_path: Path) -> None:
    app = build(service, tmp_path)
    asked = [
        (f"{route.path}?{one.alias}", one)
        for route in iter_route_contexts(app.routes)
        if "GET" in (route.methods or ()) and "/api/" not in (route.path or "")
        if isinstance(dependant := getattr(route, "dependant", None), Dependant)
        for one in _of_an_address(dependant)
        if not (route.path or "").startswith("/sign-in/provider")  # a provider's, not a person's
    ]
    assert len(asked) > 5, "the test sees what pages are asked for"
    for where, one in asked:
        for given in ("", "x", "-1", "0", "9" * 30, "x" * 5000):
            _value, wrong = one.validate(given, {}, loc=("query", where))
            assert not wrong, f"{where}={given[:40]}: {wrong}"


def test_what_is_public_is_known_by_name(service: str, tmp_path: Path) -> None:
    app = build(service, tmp_path)
    public = {route for route, demand in declared_access(app).items() if "public:" in demand}
    own = {
        "intake": {
            "GET /sign-in",
            "POST /sign-in",
            "POST /sign-out",
            "GET /sign-in/provider",
            "GET /sign-in/provider/callback",
            "POST /intake/api/v1/token",  # a channel's secret opens it
            "GET /intake/api/v1/keys",  # the office's public key, to which partners seal
            "GET /progress",  # a customer's code opens it
            "POST /progress",
        }
    }
    assert public == PUBLIC | own.get(service, set())


def test_customers_have_a_page_of_their_own_at_intake_and_nowhere_else(
    service: str, tmp_path: Path
) -> None:
    """Nothing but a session says whose it is: no route of theirs names an application."""
    declared = declared_access(build(service, tmp_path))
    own = {route for route, demand in declared.items() if demand == "customer@own"}
    assert all("{application_id}" not in route for route in own)
    under = {route for route in declared if " /progress/" in route}
    assert own == under
    assert bool(own) is (service == "intake")


def test_every_change_needs_more_than_to_look(service: str, tmp_path: Path) -> None:
    looks = {one.value for one in Permission if one.value.split(".")[1] in {"view", "export"}}
    for route, demand in declared_access(build(service, tmp_path)).items():
        methods = route.split()[0].split(",")
        if {"GET", "HEAD"} & set(methods) or route in SEARCHES | OWN:
            continue
        if not demand.startswith("public:"):
            assert demand.split("@")[0] not in looks, route


def test_whoever_sees_a_link_of_the_side_bar_may_follow_it(service: str, tmp_path: Path) -> None:
    declared = declared_access(build(service, tmp_path))
    for entry in [entry for section in SECTIONS for entry in section.entries]:
        if not entry.href.startswith(f"/{service}/"):
            continue
        permission, scope = declared[f"GET {entry.href}"].split("@")
        for role, granted in GRANTS.items():
            if entry.permission in granted:
                reach = granted.get(Permission(permission), 0)
                assert reach >= Scope[scope.upper()], f"{role} on {entry.href}"


@pytest.mark.parametrize("service", [one for one in SERVICES if one != "intake"])
async def test_a_channel_enters_no_route_of_the_offices_own_services(
    service: str, tmp_path: Path
) -> None:
    """A channel speaks to customers: it hands in and is told by intake what it may know."""
    app = build(service, tmp_path)
    clients = json.loads((tmp_path / "secrets" / FILE).read_text(encoding="utf-8"))
    routes = [route for route in declared_access(app) if f" /{service}/api/" in route]
    assert len(routes) > 3
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://banka.test"
    ) as web:
        for route in routes:
            method, path = route.split(" ", 1)
            if path.endswith("/openapi.json"):
                continue
            for client in clients:
                answer = await web.request(
                    method.split(",")[0],
                    re.sub(r"\{.*?\}", "2026-11-09", path),
                    headers={"Authorization": f"Bearer {client['token']}"},
                    json={},
                )
                assert answer.status_code == 401, route


def test_a_number_in_an_address_has_a_bound(service: str, tmp_path: Path) -> None:
    """A database knows no number beyond its own: asked for one it fails, and the answer is 500."""
    app = build(service, tmp_path)
    open_ended = [
        f"{route.path} {one.alias}"
        for route in iter_route_contexts(app.routes)
        if isinstance(dependant := getattr(route, "dependant", None), Dependant)
        for one in numbers(dependant)
        if not any(isinstance(bound, Le | Lt) for bound in one.field_info.metadata)
    ]
    assert open_ended == []


def numbers(dependant: Dependant) -> Iterator[Any]:
    """Whole numbers that a route takes from path and query."""
    for one in (*dependant.path_params, *dependant.query_params):
        if one.field_info.annotation in (int, int | None):
            yield one
    for inner in dependant.dependencies:
        yield from numbers(inner)
