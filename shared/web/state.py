"""What a running app knows: its keys, its words, its way to the directory; set once at creation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from jinja2 import Environment
from starlette.requests import HTTPConnection

from shared.web.clients import ApiClients
from shared.web.directory import StaffMember
from shared.web.session import Session, Signer

FindStaff = Callable[[Session], Awaitable[StaffMember | None]]  # None once the session has ended


@dataclass(frozen=True, slots=True)
class WebState:
    """Everything that routes and pages need beyond the request."""

    service_name: str
    signer: Signer
    find_staff: FindStaff
    clients: ApiClients
    templates: Environment
    now: Callable[[], datetime]  # the business clock
    secure_cookies: bool
    demo: bool  # stepped clock, so the header shows that the day is not today


def web_state(connection: HTTPConnection) -> WebState:
    """The state of the app that answers this request."""
    return cast("WebState", connection.app.state.web)
