"""Signing in and out: the pages; who may, and how often wrong, is the owner of passwords' to say.

With a password of ours, at the bank's identity provider, or either. Intake includes
`sign_in_router(...)`; all services accept the session that it sets.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from shared.parameters import load_sign_in
from shared.web.access import SignInNeeded, check_form_token, public, signed_in
from shared.web.i18n import _
from shared.web.limits import Pacer, address_of
from shared.web.oidc import CALLBACK, AnswerRefused, Attempt, IdentityProvider, ProviderAway
from shared.web.pages import page, redirect
from shared.web.session import Session, clear_session, set_session
from shared.web.state import web_state

_TOKEN_COOKIE = "banka_sign_in"  # noqa: S105 - a cookie's name
_HOUR = 3600  # seconds that a sign-in page stays usable
_ATTEMPT = 600  # seconds to sign in at the provider

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verified:
    """The password was right: whose account it is and under which epoch the session starts."""

    staff_id: str
    session_epoch: int


Verify = Callable[[str, str], Awaitable[Verified | None]]
SignedOut = Callable[[Session], Awaitable[None]]
Way = Literal["password", "provider"]
# a session begins: how, and from which address
Began = Callable[[Session, Way, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AtProvider:
    """Sign-in at the bank's identity provider. find(claim): whose account it is; None where nobody
    of the organisation has it."""

    provider: IdentityProvider
    find: Callable[[str], Awaitable[Verified | None]]


@dataclass(frozen=True, slots=True)
class _Ways:
    """How one gets in here."""

    verify: Verify
    began: Began | None
    at_provider: AtProvider | None
    addresses: Pacer
    accounts: Pacer

    @property
    def local(self) -> bool:
        """Whether a password opens anything."""
        return self.at_provider is None or self.at_provider.provider.settings.local_users


def sign_in_router(
    verify: Verify,
    *,
    signed_out: SignedOut,
    began: Began | None = None,
    at_provider: AtProvider | None = None,
) -> APIRouter:
    """`/sign-in` and `/sign-out`.

    verify(username, password): counts failures itself and answers None for a wrong pair and for an
    account that is locked, takes equally long for a name that nobody has. signed_out(session): ends
    it, in every service. began: keeps that there is a session, before it opens anything.

    Whatever does not let in is answered alike, and counted for the address and for the name that
    was typed: nobody learns whether there is such an account, or whether it is locked.
    """
    router = APIRouter(include_in_schema=False)
    ways = _Ways(verify, began, at_provider, Pacer(), Pacer())

    @router.get("/sign-in", dependencies=[public("nobody is signed in yet")])
    async def sign_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002
        try:
            await signed_in(request)
        except SignInNeeded:
            return _form(request, ways, _inside(next))
        return redirect(request, _inside(next))

    @router.post("/sign-in", dependencies=[public("nobody is signed in yet")])
    async def sign_in(
        request: Request,
        username: Annotated[str, Form(max_length=64)] = "",
        password: Annotated[str, Form(max_length=256)] = "",
        csrf_token: Annotated[str, Form(max_length=128)] = "",
        next: Annotated[str, Form(max_length=2048)] = "/",  # noqa: A002
    ) -> Response:
        return await _with_password(
            request, ways, username.strip(), password, csrf_token, _inside(next)
        )

    @router.post("/sign-out", dependencies=[public("ends the session of whoever asks")])
    async def sign_out(request: Request) -> Response:
        try:
            session, _member = await signed_in(request)
        except SignInNeeded:
            pass
        else:
            await check_form_token(request, session)
            await signed_out(session)
        words = _("You are signed out.")
        if at_provider is not None:
            words += " " + _("At the bank's sign-in you may still be signed in; close the browser.")
        response = redirect(request, "/sign-in", flash=words, tone="info")
        clear_session(response, secure=web_state(request).secure_cookies)
        return response

    if at_provider is not None:
        _add_provider(router, ways, at_provider)
    return router


async def _with_password(
    request: Request, ways: _Ways, username: str, password: str, token: str, target: str
) -> Response:
    state = web_state(request)
    if not ways.local:
        return _form(
            request, ways, target, error=_("Sign in with your account of the bank."), status=403
        )
    paces = load_sign_in()
    address = address_of(request.client.host if request.client else "")
    account = username.lower()
    for pacer, key, pace in (
        (ways.addresses, address, paces.addresses),
        (ways.accounts, account, paces.accounts),
    ):
        seconds = pacer.wait(key, per_minute=pace.per_minute, burst=pace.burst)
        if seconds:
            words = _("Too many tries. Wait a minute, then try again.")
            answer = _form(request, ways, target, username, words, 429)
            answer.headers["Retry-After"] = str(seconds)
            return answer
    nonce = request.cookies.get(_TOKEN_COOKIE)
    if nonce is None or not state.signer.accepts_form(f"sign-in {nonce}", token):
        return _form(request, ways, target, username, _("The page had expired. Please try again."))
    found = await ways.verify(username, password)
    if found is None:
        words = _(
            "User name or password is not right, or the account is locked for a while after several"
            " wrong tries. Your manager can open it."
        )
        return _form(request, ways, target, username, words, 401)
    ways.addresses.give_back(address)
    ways.accounts.give_back(account)
    response = await _let_in(request, ways, found, "password", target)
    response.delete_cookie(_TOKEN_COOKIE, path="/sign-in")
    return response


def _add_provider(router: APIRouter, ways: _Ways, at: AtProvider) -> None:
    """`/sign-in/provider` leads to the bank's provider, and back through its callback."""

    @router.get("/sign-in/provider", dependencies=[public("nobody is signed in yet")])
    async def to_provider(request: Request, next: str = "/") -> Response:  # noqa: A002
        attempt = Attempt.begin(_inside(next), time.time())
        try:
            address = await at.provider.address(attempt)
        except ProviderAway:
            return _away(request, ways, attempt.target)
        state = web_state(request)
        response = RedirectResponse(address, status_code=303)
        response.set_cookie(
            _attempt_cookie(attempt.state),
            state.signer.sign("attempt", attempt.kept()),
            max_age=_ATTEMPT,
            path=CALLBACK,
            secure=state.secure_cookies,
            httponly=True,
            samesite="lax",  # the provider sends the browser back from another site
        )
        return response

    @router.get(CALLBACK, dependencies=[public("the provider sends people back here")])
    async def from_provider(
        request: Request,
        state: Annotated[str, Query(max_length=200)] = "",
        code: Annotated[str, Query(max_length=4096)] = "",
        iss: Annotated[str | None, Query(max_length=400)] = None,
        error: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        cookie = _attempt_cookie(state)
        kept = web_state(request).signer.signed("attempt", request.cookies.get(cookie))
        attempt = None if kept is None else Attempt.read(kept)
        if attempt is None or attempt.state != state or time.time() - attempt.begun > _ATTEMPT:
            # begun elsewhere, too long ago, or taken already by going back
            return _form(
                request, ways, "/", error=_("This sign-in had expired. Please begin it again.")
            )
        response = await _come_back(request, ways, at, attempt, code, iss, error)
        response.delete_cookie(cookie, path=CALLBACK)
        return response


async def _come_back(
    request: Request,
    ways: _Ways,
    at: AtProvider,
    attempt: Attempt,
    code: str,
    issuer: str | None,
    error: str,
) -> Response:
    target = attempt.target
    if error or not code:
        log.info("sign-in not finished at the provider", error=error[:40])
        words = _("The bank's sign-in was not finished. You can try it again.")
        return _form(request, ways, target, error=words, status=401)
    try:
        claim = await at.provider.who(attempt, code, issuer)
    except ProviderAway:
        return _away(request, ways, target)
    except AnswerRefused as refused:
        log.warning("sign-in refused", reason=str(refused))
        words = _("The answer of the bank's sign-in could not be verified. Please try again.")
        return _form(request, ways, target, error=words, status=401)
    found = await at.find(claim)
    if found is None:
        log.warning("sign-in refused", reason="nobody of the organisation")
        words = _(
            "The bank knows you as %(name)s, but nobody of that name works in this office. Ask the"
            " office manager to have you entered, or sign in with another account."
        ) % {"name": claim[:64]}
        return _form(request, ways, target, error=words, status=403)
    return await _let_in(request, ways, found, "provider", target)


async def _let_in(
    request: Request, ways: _Ways, found: Verified, way: Way, target: str
) -> Response:
    state = web_state(request)
    session = Session.begin(found.staff_id, found.session_epoch, time.time())
    if ways.began is not None:
        await ways.began(session, way, request.client.host if request.client else "")
    response = redirect(request, target)
    set_session(response, state.signer.seal(session), secure=state.secure_cookies)
    return response


def _away(request: Request, ways: _Ways, target: str) -> Response:
    words = _(
        "The bank's sign-in does not answer at the moment. Whoever is signed in can go on working."
        " Try again in a minute; if it goes on, tell operations."
    )
    return _form(request, ways, target, error=words, status=503)


def _form(
    request: Request,
    ways: _Ways,
    target: str,
    username: str = "",
    error: str | None = None,
    status: int = 200,
) -> Response:
    state = web_state(request)
    nonce = request.cookies.get(_TOKEN_COOKIE) or secrets.token_urlsafe(12)
    response = page(
        request,
        "sign_in.html",
        status_code=status,
        next=target,
        username=username,
        error=error,
        sign_in_token=state.signer.form_token(f"sign-in {nonce}"),
        local=ways.local,
        provider=ways.at_provider is not None,
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


def _attempt_cookie(state: str) -> str:
    """One for each sign-in on its way: people have several windows."""
    return "banka_attempt_" + "".join(
        mark for mark in state[:12] if mark.isascii() and mark.isalnum()
    )


def _inside(target: str) -> str:
    """Where to go after signing in: a path of ours, never another host's address."""
    try:
        parts = urlsplit(target)
    except ValueError:  # a host that cannot be one
        return "/"
    outside = parts.scheme or parts.netloc or not target.startswith("/")
    tricky = target.startswith(("//", "/\\")) or any(ord(mark) < 32 for mark in target)
    return "/" if outside or tricky or parts.path in {"/sign-in", "/sign-out"} else target
