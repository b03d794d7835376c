"""Signing in and out: the pages; who may, and how often wrong, is the owner of passwords' to say.

Intake includes `sign_in_router(...)`; all services accept the session that it sets.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from shared.web.access import SignInNeeded, check_form_token, public, signed_in
from shared.web.i18n import _
from shared.web.pages import page, redirect
from shared.web.permissions import Role
from shared.web.session import Session, clear_session, set_session
from shared.web.state import web_state

_TOKEN_COOKIE = "banka_sign_in"  # noqa: S105 - a cookie's name
_HOUR = 3600  # seconds that a sign-in page stays usable


@dataclass(frozen=True, slots=True)
class Verified:
    """The password was right: whose account it is and under which epoch the session starts."""

    staff_id: str
    session_epoch: int


@dataclass(frozen=True, slots=True)
class LockedOut:
    """Too many wrong passwords: nobody may try this account for so many seconds."""

    seconds: int


Verify = Callable[[str, str], Awaitable[Verified | LockedOut | None]]
SignedOut = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DemoUser:
    """An account that the sign-in page of a demo names; never its password."""

    username: str
    name: str
    role: Role


def sign_in_router(
    verify: Verify,
    *,
    signed_out: SignedOut,
    demo_users: Sequence[DemoUser] = (),
) -> APIRouter:
    """`/sign-in` and `/sign-out`.

    verify(username, password): counts failures itself, takes equally long for unknown names, and
    answers None for a wrong pair. signed_out(session): ends it, in every service.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/sign-in", dependencies=[public("nobody is signed in yet")])
    async def sign_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002
        try:
            await signed_in(request)
        except SignInNeeded:
            return _form(request, _inside(next))
        return redirect(request, _inside(next))

    @router.post("/sign-in", dependencies=[public("nobody is signed in yet")])
    async def sign_in(
        request: Request,
        username: Annotated[str, Form(max_length=64)] = "",
        password: Annotated[str, Form(max_length=256)] = "",
        csrf_token: Annotated[str, Form(max_length=128)] = "",
        next: Annotated[str, Form(max_length=2048)] = "/",  # noqa: A002
    ) -> Response:
        state = web_state(request)
        target = _inside(next)
        nonce = request.cookies.get(_TOKEN_COOKIE)
        if nonce is None or not state.signer.accepts_form(f"sign-in {nonce}", csrf_token):
            return _form(request, target, username, _("The page had expired. Please try again."))
        outcome = await verify(username.strip(), password)
        match outcome:
            case None:
                return _form(
                    request, target, username, _("User name or password is not right."), 401
                )
            case LockedOut(seconds):
                minutes = max(1, -(-seconds // 60))
                return _form(
                    request,
                    target,
                    username,
                    _("Too many wrong attempts. Try again in %(minutes)s minutes.")
                    % {"minutes": minutes},
                    429,
                )
            case Verified(staff_id, session_epoch):
                session = Session.begin(staff_id, session_epoch, time.time())
                response = redirect(request, target)
                set_session(response, state.signer.seal(session), secure=state.secure_cookies)
                response.delete_cookie(_TOKEN_COOKIE, path="/sign-in")
                return response

    @router.post("/sign-out", dependencies=[public("ends the session of whoever asks")])
    async def sign_out(request: Request) -> Response:
        try:
            session, _member = await signed_in(request)
        except SignInNeeded:
            pass
        else:
            await check_form_token(request, session)
            await signed_out(session)
        response = redirect(request, "/sign-in", flash=_("You are signed out."), tone="info")
        clear_session(response, secure=web_state(request).secure_cookies)
        return response

    def _form(
        request: Request,
        target: str,
        username: str = "",
        error: str | None = None,
        status_code: int = 200,
    ) -> Response:
        state = web_state(request)
        nonce = request.cookies.get(_TOKEN_COOKIE) or secrets.token_urlsafe(12)
        response = page(
            request,
            "sign_in.html",
            status_code=status_code,
            next=target,
            username=username,
            error=error,
            sign_in_token=state.signer.form_token(f"sign-in {nonce}"),
            demo_users=demo_users,
        )
        response.set_cookie(
            _TOKEN_COOKIE,
            nonce,
            max_age=_HOUR,
            path="/sign-in",
            secure=state.secure_cookies,
            httponly=True,
            samesite="strict",
        )
        return response

    return router


def _inside(target: str) -> str:
    """Where to go after signing in: a path of ours, never another host's address."""
    parts = urlsplit(target)
    outside = parts.scheme or parts.netloc or not target.startswith("/")
    tricky = target.startswith(("//", "/\\")) or any(ord(mark) < 32 for mark in target)
    return "/" if outside or tricky or parts.path in {"/sign-in", "/sign-out"} else target
