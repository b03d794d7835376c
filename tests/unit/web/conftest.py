"""The sample app and browsers that talk to it; no broker is needed."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from shared.web.session import COOKIE, Session, Signer
from shared.web.state import WebState
from tests.browser.sample import STAFF, make_app

BROWSER = {"accept": "text/html,application/xhtml+xml"}


@dataclass
class Visitor:
    """Somebody with a browser, signed in or not."""

    client: httpx.AsyncClient
    session: Session | None
    form_token: str

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={**BROWSER, **headers})

    async def post(self, path: str, data: dict[str, str], **headers: str) -> httpx.Response:
        return await self.client.post(path, data=data, headers={**BROWSER, **headers})


Visit = Callable[..., Visitor]


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return make_app(tmp_path)


@pytest.fixture
async def visit(app: FastAPI) -> AsyncIterator[Visit]:
    """visit("A0101"): a browser in which this member of staff signed in; visit(): nobody did."""
    opened: list[httpx.AsyncClient] = []
    signer: Signer = state_of(app).signer

    def visit(
        staff_id: str | None = None,
        *,
        epoch: int | None = None,
        age: float = 0,
        idle: float | None = None,
        address: str = "127.0.0.1",
    ) -> Visitor:
        client = httpx.AsyncClient(
            # an error that reaches the server is answered, as it is in production
            transport=httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4000)),
            base_url="http://banka.test",
        )
        opened.append(client)
        if staff_id is None:
            return Visitor(client, None, "")
        known = STAFF[staff_id].session_epoch if staff_id in STAFF else 0
        session = Session.begin(staff_id, known if epoch is None else epoch, time.time() - age)
        if idle is not None:  # used since it began
            session = replace(session, seen_at=int(time.time() - idle))
        client.cookies.set(COOKIE, signer.seal(session), domain="banka.test")
        return Visitor(client, session, signer.form_token(session.nonce))

    with capture_logs():  # a crash that a test provokes is not printed
        yield visit
    for client in opened:
        await client.aclose()


def state_of(app: FastAPI) -> WebState:
    """What the app knows."""
    state: WebState = app.state.web
    return state


def hidden(html: str, name: str) -> str:
    """The value of a hidden field of a form."""
    found = re.search(f'name="{name}" value="([^"]*)"', html)
    assert found, f"the page has no field {name}"
    return found[1]
