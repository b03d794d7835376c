"""What belongs to another branch is not there: tried on every route with an id, as an app itself
lists them, by somebody who may do everything in one branch alone."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from shared.settings import Settings
from shared.web import permissions
from shared.web.access import CSRF_HEADER, declared_access
from shared.web.permissions import GRANTS, Permission, Role, Scope
from shared.web.session import COOKIE, Signer


@dataclass(frozen=True)
class Route:
    """One route with an id in its address."""

    method: str
    path: str
    demands: Mapping[Permission, Scope]
    route: Any

    def opens_to(self, *roles: Role) -> bool:
        """Whether the roles together are let in, to whatever they may see."""
        return all(_widest(roles, one) >= scope for one, scope in self.demands.items())

    @property
    def of_a_branch(self) -> bool:
        """Whether what it is about belongs to a branch; the machinery and the audit log do not."""
        return Scope.ALL not in self.demands.values()

    def reaches_the_bank(self, *roles: Role, within: Mapping[str, Collection[Permission]]) -> bool:
        """Whether one of the roles grants each permission for the whole bank; within: {path: what
        it asks for besides what lets in}."""
        needed = {*self.demands, *within.get(self.path, ())}
        return all(_widest(roles, one) == Scope.ALL for one in needed)

    def address(self, ids: Mapping[str, str]) -> str:
        """With everything that it asks for."""
        return address_of(self.path, ids)

    def fields(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """A value for each field of its form."""
        names = [one.alias or one.name for one in self.route.dependant.body_params]
        return {name: known.get(name, "1") for name in names}


def _widest(roles: Iterable[Role], permission: Permission) -> int:
    """How far the role goes with it that goes farthest; 0 where none has it."""
    return max((GRANTS[role].get(permission, 0) for role in roles), default=0)


def address_of(path: str, ids: Mapping[str, str]) -> str:
    """A route's path with everything that it asks for."""
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"no value for {path}"
    return path


def routes_of(app: FastAPI, left_out: set[str]) -> list[Route]:
    """Every route with an id; none may be left out because nobody thought of it. left_out: paths,
    and what they demand, that are of no branch."""
    declared = declared_access(app)
    found = []
    for context in iter_route_contexts(app.routes):
        methods, path = sorted(context.methods or ()), str(context.path)
        demand = declared[f"{','.join(methods) or '*'} {path}"]
        if "{" not in path or path == "/static/{path:path}" or {path, demand} & left_out:
            continue
        demands = dict(one.split("@") for one in demand.split(" + "))
        found.append(
            Route(
                methods[0],
                path,
                {Permission(name): Scope[reach.upper()] for name, reach in demands.items()},
                context,
            )
        )
    return found


@pytest.fixture
def everything_in_a_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on every role may do everything, in its own branch alone."""
    granted = dict.fromkeys(Permission, Scope.BRANCH)
    monkeypatch.setattr(permissions, "GRANTS", dict.fromkeys(Role, granted))


def entered(app: FastAPI, settings: Settings, cookie: str) -> httpx.AsyncClient:
    """A browser of somebody who is signed in; its forms carry the token."""
    signer = Signer(settings.secret("session-key").encode())
    session = signer.open(cookie, time.time())
    assert session is not None
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://office.test",
        cookies={COOKIE: cookie},
        headers={CSRF_HEADER: signer.form_token(session.nonce)},
    )


async def hidden_from(
    client: httpx.AsyncClient,
    routes: list[Route],
    ids: Mapping[str, str],
    fields: Mapping[str, Any],
    bodies: Mapping[str, Any],
    secret: str,
) -> list[tuple[str, str, int]]:
    """The routes that do not hide what the ids name from somebody of another branch; secret: what
    no answer may have in it."""
    wrong = []
    for route in routes:
        answer = await ask(client, route, ids, fields, bodies)
        expected = 404 if route.of_a_branch else 403
        if answer.status_code != expected or secret in answer.text:
            wrong.append((route.method, route.path, answer.status_code))
    return wrong


async def reached_by(
    client: httpx.AsyncClient,
    roles: Collection[Role],
    routes: Iterable[Route],
    ids: Mapping[str, str],
    fields: Mapping[str, Any],
    bodies: Mapping[str, Any],
    secret: str,
    within: Mapping[str, Collection[Permission]],
) -> tuple[list[tuple[str, str, int]], set[str], set[str]]:
    """What somebody of another branch with several roles, of which one sees the whole bank, gets of
    routes about a branch: (those that answer otherwise than each role's permissions say, paths that
    were opened, paths that were hidden). within: as `Route.reaches_the_bank`."""
    wrong, opened, hidden = [], set(), set()
    for route in (one for one in routes if one.of_a_branch):
        answer = await ask(client, route, ids, fields, bodies)
        if not route.opens_to(*roles):
            right = answer.status_code == 403
        elif route.reaches_the_bank(*roles, within=within):
            right = answer.status_code not in (403, 404) and answer.status_code < 500
            opened.add(route.path)
        else:
            right = answer.status_code == 404 and secret not in answer.text
            hidden.add(route.path)
        if not right:
            wrong.append((route.method, route.path, answer.status_code))
    return wrong, opened, hidden


async def listed_for(
    client: httpx.AsyncClient, app: FastAPI, asked: Iterable[Mapping[str, str]], wanted: str
) -> set[str]:
    """The lists and searches in which an id stands: {"GET /intake/work"}. asked: what is asked for,
    one after the other, as narrowing in an address and as what is typed into a search."""
    shown = set()
    for context in iter_route_contexts(app.routes):
        path, methods = str(context.path), context.methods or ()
        if "{" in path or path.startswith("/internal"):
            continue
        for given in ({}, *asked):
            if "GET" in methods:
                answer = await client.get(path, params=given)
            elif path.endswith("/search"):
                answer = await client.post(path, data=given)
            elif path.endswith("/searches"):
                answer = await client.post(path, json=given)
            else:
                break
            if wanted in answer.text + answer.headers.get("location", ""):
                shown.add(f"{','.join(sorted(methods))} {path}")
    return shown


async def ask(
    client: httpx.AsyncClient,
    route: Route,
    ids: Mapping[str, str],
    fields: Mapping[str, Any],
    bodies: Mapping[str, Any],
) -> httpx.Response:
    """The request with everything that the route wants; bodies: {last part of an API's address:
    JSON}."""
    address = route.address(ids)
    if "/api/" in address:
        body = bodies.get(address.rpartition("/")[2]) if route.method != "GET" else None
        return await client.request(route.method, address, json=body)
    form = route.fields(fields) if route.method != "GET" else None
    return await client.request(route.method, address, data=form)
