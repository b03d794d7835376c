"""The one place that decides who gets into a route.

`requires(Permission.X)` on every route, once, `own_page(find)` where customers look at what is
theirs, or `public("why")`; a test lists routes that have none of these, or several.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from shared.web.directory import StaffMember
from shared.web.i18n import current_language
from shared.web.permissions import (
    NOWHERE,
    Permission,
    Reach,
    Scope,
    Viewer,
    scopes_of,
)
from shared.web.problems import Problem
from shared.web.session import COOKIE, Session
from shared.web.state import web_state

CSRF_FIELD = "csrf_token"
CSRF_HEADER = "x-csrf-token"
_GUESTS_FIELDS = 100  # of one form: more than any form of theirs has
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SignInNeeded(Exception):
    """Nobody is signed in; a page leads to the sign-in page and back, the API answers 401."""

    def __init__(self, back_to: str) -> None:
        super().__init__("nobody is signed in")
        self.location = f"/sign-in?next={quote(back_to, safe='/')}"


class CodeNeeded(SignInNeeded):
    """A customer's session is over, or there was none: back to where codes are entered."""

    def __init__(self, location: str) -> None:
        Exception.__init__(self, "no customer is in")
        self.location = location


@dataclass(frozen=True, slots=True)
class _Gate:
    """Lets in who holds every permission within at least the scope; narrows to where all hold."""

    permissions: tuple[Permission, ...]
    scope: Scope

    async def __call__(self, request: Request) -> Viewer:
        viewer = await self._enter(request)
        request.state.viewer = viewer
        return viewer

    async def _enter(self, request: Request) -> Viewer:
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return self._client(request, authorization)
        session, member = await self._staff(request)
        await check_form_token(request, session)
        if request.method not in _SAFE_METHODS:  # to read the form may have taken any time
            session, member = await self._staff(request)
        return viewer_of(request, session, member, self.permissions)

    async def _staff(self, request: Request) -> tuple[Session, StaffMember]:
        session, member = await signed_in(request)
        scopes = scopes_of(member.roles)
        for permission in self.permissions:
            if scopes.get(permission, 0) < self.scope:
                raise _not_permitted("You may not do this", permission)
        return session, member

    def _client(self, request: Request, authorization: str) -> Viewer:
        client = web_state(request).clients.by_token(authorization)
        if client is None or "/api/" not in request.url.path:
            raise Problem(
                401,
                "bad-credentials",
                "The client's token is not accepted",
                headers={"WWW-Authenticate": 'Bearer realm="banka"'},
            )
        reach = Reach(client.branches, client.id if client.own_only else None)
        wide_enough = reach.everywhere or self.scope < Scope.ALL
        for permission in self.permissions:
            if permission not in client.permissions or not wide_enough:
                raise _not_permitted("The client may not do this", permission)
        return Viewer(
            staff_id=client.id,
            name=client.id,
            roles=frozenset(),
            grants=dict.fromkeys(client.permissions, reach),
            reach=reach,
            language=current_language(),
            client=client.id,
            channel=client.channel,
            must_match=client.must_match,
        )


def _not_permitted(words: str, permission: Permission) -> Problem:
    return Problem(403, "not-permitted", words, extra={"permission": permission.value})


def requires(*permissions: Permission, scope: Scope = Scope.BRANCH) -> Any:
    """Declares a route's permissions and gives it the `Viewer`, whose reach is where all of them
    hold.

    `scope` is the least reach that may enter: BRANCH for what is narrowed by `viewer.reach`, ALL
    for what cannot be narrowed (operations). Also checks the form token on every unsafe method.
    """
    assert permissions, "a route that anybody may enter is public"
    return Depends(_Gate(permissions, scope))


@dataclass(frozen=True, slots=True)
class Guest:
    """A customer on a page of their own: one application, no role, no permission. `nonce` is what
    the forms of this session are bound to."""

    application_id: str
    nonce: str


FindGuest = Callable[[Request], Awaitable[Guest]]


@dataclass(frozen=True, slots=True)
class _OwnPage:
    """Lets in a customer, to what the session says is theirs; nothing in the address says so."""

    find: FindGuest

    async def __call__(self, request: Request) -> Guest:
        guest = await self.find(request)
        await _check_token(request, guest.nonce, max_files=1, max_fields=_GUESTS_FIELDS)
        if request.method not in _SAFE_METHODS:  # to read the form may have taken any time
            guest = await self.find(request)
        request.state.form_token = web_state(request).signer.form_token(guest.nonce)
        return guest


def own_page(find: FindGuest) -> Any:
    """Demands that a customer is in, and gives the route a Guest. find: who it is; raises
    CodeNeeded for nobody, and is asked again once a form was read. Also checks the form token on
    every unsafe method."""
    return Depends(_OwnPage(find))


@dataclass(frozen=True, slots=True)
class _Open:
    why: str

    async def __call__(self) -> None:
        return None


def public(why: str) -> Any:
    """Declares that a route needs nobody to be signed in, and says why that is right."""
    return Depends(_Open(why))


async def signed_in(request: Request) -> tuple[Session, StaffMember]:
    """The session and its member of staff. Raises SignInNeeded if there is none or it has ended."""
    state = web_state(request)
    session = state.signer.open(request.cookies.get(COOKIE), time.time())
    member = None if session is None else await state.find_staff(session)
    if (
        session is None
        or member is None
        or not member.active
        or member.session_epoch != session.epoch
    ):
        back_to = request.url.path if request.method in _SAFE_METHODS else "/"
        if request.url.query and back_to != "/":
            back_to = f"{back_to}?{request.url.query}"
        raise SignInNeeded(back_to)
    _note_use(request, session)
    return session, member


def _note_use(request: Request, session: Session) -> None:
    """Have the answer say that the session is in use; what a page asks for by itself is no use."""
    by_itself = request.method in _SAFE_METHODS and "hx-request" in request.headers
    if not by_itself:
        request.state.renewed_session = web_state(request).signer.renewed(session, time.time())


async def current_viewer(request: Request) -> Viewer | None:
    """Who is signed in, for pages that anybody may see (errors); None for nobody."""
    known = getattr(request.state, "viewer", None)
    if isinstance(known, Viewer):
        return known
    try:
        session, member = await signed_in(request)
    except SignInNeeded:
        return None
    return viewer_of(request, session, member, ())


def viewer_of(
    request: Request, session: Session, member: StaffMember, entered: Sequence[Permission]
) -> Viewer:
    """The member of staff, each permission with the branches that it opens; `entered`: those that
    the route demands."""
    grants = member.grants
    return Viewer(
        staff_id=member.staff_id,
        name=member.name,
        roles=member.roles,
        grants=grants,
        reach=reduce(and_, (grants[one] for one in entered)) if entered else NOWHERE,
        language=current_language(),
        home_branch=member.home_branch,
        csrf_token=web_state(request).signer.form_token(session.nonce),
    )


async def check_form_token(request: Request, session: Session) -> None:
    """Refuses a change that did not come from one of our own pages in this session."""
    await _check_token(request, session.nonce)


async def _check_token(
    request: Request, nonce: str, *, max_files: int = 1000, max_fields: int = 1000
) -> None:
    if request.method in _SAFE_METHODS:
        return
    token = request.headers.get(CSRF_HEADER)
    # read here whoever sends the token, so that no route waits for it after we have let it in
    form = await request.form(max_files=max_files, max_fields=max_fields)
    sent = form.get(CSRF_FIELD)
    if token is None:
        token = sent if isinstance(sent, str) else None
    if not web_state(request).signer.accepts_form(nonce, token):
        raise Problem(
            403,
            "form-expired",
            "The form is no longer valid; open the page again",
        )


def _declarations(dependant: Dependant) -> Iterator[_Gate | _OwnPage | _Open]:
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, _Gate | _OwnPage | _Open):
            yield dependency.call
        yield from _declarations(dependency)


def routes_without_permission(app: FastAPI) -> list[str]:
    """Routes that declare neither permissions, nor a customer's own page, nor that they are public,
    or more than one of these; must be empty.

    Our styles and scripts and the description of the API are for everybody. Anything else that is
    not a FastAPI route (a mount, a bare Starlette route) cannot declare and is therefore listed.
    """
    return [
        route
        for route, declared in _declared(app)
        if len(declared) != 1 and not _for_everybody(route)
    ]


def declared_access(app: FastAPI) -> dict[str, str]:
    """What each route demands, for documentation and tests: {"GET /x": "board.view@branch"}."""
    return {route: " + ".join(map(_said, declared)) for route, declared in _declared(app)}


def _said(one: _Gate | _OwnPage | _Open) -> str:
    match one:
        case _Gate(permissions, scope):
            return " + ".join(f"{one.value}@{scope.name.lower()}" for one in permissions)
        case _OwnPage():
            return "customer@own"
        case _Open(why):
            return f"public: {why}"


def _declared(app: FastAPI) -> Iterator[tuple[str, list[_Gate | _OwnPage | _Open]]]:
    # an included router is one entry of app.routes: its routes are only seen through this
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        methods = ",".join(sorted(route.methods or ())) or "*"
        declared = list(_declarations(dependant)) if isinstance(dependant, Dependant) else []
        yield f"{methods} {route.path}", declared


def _for_everybody(route: str) -> bool:
    methods, path = route.split(" ", 1)
    return methods == "GET,HEAD" and (
        path == "/static/{path:path}" or path.endswith("/api/v1/openapi.json")
    )
