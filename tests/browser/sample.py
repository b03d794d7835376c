"""A small app that shows every shared component once: for the browser tests and for designers.

`python -m tests.browser.sample` serves it; the password of every account is its user name.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, FastAPI, Form, Request, UploadFile
from pydantic import BaseModel, Field
from starlette.responses import Response

from shared.events.payload import Channel
from shared.messaging import Quiet, Readiness
from shared.settings import Environment, Settings
from shared.web import Permission, Problem, Scope, Viewer, page, redirect, requires
from shared.web.clients import ApiClient, ApiClients
from shared.web.directory import StaffMember
from shared.web.i18n import _
from shared.web.oidc import IdentityProvider
from shared.web.permissions import Role
from shared.web.problems import FieldError
from shared.web.service import create_app
from shared.web.session import Session
from shared.web.sign_in import AtProvider, Verified, sign_in_router
from shared.web.states import STATES

NOW = datetime(2026, 3, 10, 1, 32, tzinfo=UTC)
CLIENT_TOKEN = "sample-token-of-the-mobile-app"
PACKAGE = Path(__file__).parent / "sample_package"


def member(staff_id: str, name: str, role: Role, *branches: str) -> StaffMember:
    """A member of staff whose region has the branches 0101 and 0102."""
    return StaffMember(
        staff_id=staff_id,
        name=name,
        roles=frozenset({role}),
        branches=frozenset(branches),
        region_branches=frozenset({"0101", "0102"}),
        desk="assistant",
        active=True,
        session_epoch=3,
    )


STAFF = {
    one.staff_id: one
    for one in (
        member("A0101", "林晓岚", Role.ASSISTANT, "0101"),
        member("R0001", "周启明", Role.REVIEWER, "*"),
        member("M0101", "沈佩", Role.MANAGER, "0101"),
        member("P0001", "丁一", Role.OPS, "*"),
    )
}


class StandingClock:
    """Always the same business time."""

    def now(self) -> datetime:
        return NOW


@dataclass
class QuietService:
    """A service without broker and database."""

    name: str = "sample"
    clock: Any = None
    pool: Any = None
    started: bool = False

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False

    async def readiness(self) -> Readiness:
        return Readiness(ready=self.started, checks={"broker": "ok" if self.started else "stopped"})

    async def quiet(self) -> Quiet:
        return Quiet(outbox=0, unapplied=2, parked=0, open_calls=0, due_deadlines=0, next_due=NOW)


class Party(BaseModel):
    """A person in a request of the sample API."""

    name: str = Field(min_length=2, max_length=20)
    id_number: str = Field(pattern=r"^\d{17}[\dX]$")


class Draft(BaseModel):
    """A request body of the sample API."""

    product: str
    parties: list[Party]


router = APIRouter()

_STATES = tuple(STATES)
_PRODUCTS = ("standard", "gold", "student", "business", "supplementary")
_PEOPLE = ("王**", "欧阳**", "张*", "阿**·买**", "刘*", "陈**")


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "number": f"01012026031{index % 10}{index:05d}7",
            "name": _PEOPLE[index % len(_PEOPLE)],
            "product": _PRODUCTS[index % len(_PRODUCTS)],
            "state": state,
            "branch": "0101",
            "limit": 1_500_000 + index * 250_000 if index % 3 else None,
            "since": NOW - timedelta(hours=7 * index + 2),
            "waiting": ("customer", "bank", "partner")[index % 3],
            "late": index == 5,
        }
        for index, state in enumerate(_STATES)
    ]


@router.get("/sample/components")
async def components(
    request: Request, viewer: Viewer = requires(Permission.BOARD_VIEW)
) -> Response:
    """Every component once."""
    return page(
        request,
        "components_sample.html",
        rows=_rows(),
        volume={
            "xAxis": {"type": "category", "data": ["3/2", "3/3", "3/4", "3/5", "3/6", "3/9"]},
            "yAxis": {"type": "value"},
            "legend": {},
            "series": [
                {
                    "name": _("Submitted"),
                    "type": "bar",
                    "stack": "a",
                    "data": [52, 61, 58, 66, 49, 60],
                },
                {"name": _("Returned"), "type": "bar", "stack": "a", "data": [8, 11, 6, 9, 12, 7]},
                {"name": _("Approved"), "type": "line", "data": [31, 35, 40, 38, 36, 41]},
            ],
        },
        reasons={
            "legend": {"orient": "vertical", "right": 0, "top": "middle", "bottom": None},
            "series": [
                {
                    "type": "pie",
                    "radius": ["45%", "75%"],
                    "center": ["35%", "50%"],
                    "label": {"show": False},
                    "data": [
                        {"name": name, "value": value}
                        for name, value in (
                            ("征信逾期", 14),
                            ("收入负债", 9),
                            ("信息不一致", 6),
                            ("准入", 4),
                        )
                    ],
                }
            ],
        },
        stages={
            "banka": {"format": "duration"},
            "yAxis": {"type": "category", "data": ["核验", "待补件", "初审"]},
            "xAxis": {"type": "value"},
            "series": [
                {
                    "type": "bar",
                    "data": [6.5, 41, 3.2],
                    "label": {"show": True, "position": "right"},
                }
            ],
        },
        timeline=[
            {
                "at": NOW - timedelta(days=3, hours=4),
                "title": _("Submitted"),
                "actor": "手机银行",
                "tone": "info",
                "icon": "inbox",
            },
            {
                "at": NOW - timedelta(days=2, hours=22),
                "title": _("Awaiting material"),
                "detail": "工作证明未盖章（NO_STAMP）；收入证明超过 3 个月（DOC_STALE）",
                "actor": "林晓岚",
                "tone": "waiting",
                "icon": "paperclip",
                "gap": timedelta(hours=6),
                "waiting": _("the customer"),
            },
            {
                "at": NOW - timedelta(hours=2),
                "title": _("Approved"),
                "actor": "周启明",
                "tone": "good",
                "icon": "circle-check",
                "gap": timedelta(days=2, hours=20),
            },
        ],
    )


@router.get("/sample/operations")
async def operations(viewer: Viewer = requires(Permission.OPERATIONS_VIEW, scope=Scope.ALL)) -> str:
    """A page for operations only."""
    return f"hello {viewer.staff_id}"


@router.post("/sample/decide")
async def decide(
    request: Request,
    reason: Annotated[str, Form()] = "",
    viewer: Viewer = requires(Permission.BOARD_VIEW),
) -> Response:
    """A form that changes something."""
    if reason == "conflict":
        raise Problem(409, "conflict", "The case was decided")
    return redirect(request, "/sample/components", flash=_("Approved"))


@router.post("/sample/upload")
async def upload(
    request: Request, document: UploadFile, viewer: Viewer = requires(Permission.BOARD_VIEW)
) -> Response:
    """A form with a file."""
    size = len(await document.read())
    return redirect(request, "/sample/components", flash=f"{size}")


@router.get("/sample/refused/{status}")
async def refused(status: int, viewer: Viewer = requires(Permission.BOARD_VIEW)) -> None:
    """A request that is refused."""
    wrong = FieldError("/parties/0/name", "string_too_long", "String should have at most 200")
    raise Problem(status, "refused", "No", errors=[wrong] if status == 422 else [])


@router.get("/sample/crash")
async def crash(viewer: Viewer = requires(Permission.BOARD_VIEW)) -> None:
    """Something that breaks."""
    raise RuntimeError("secret detail 440101199001011234")


@router.get("/sample/api/v1/whoami")
async def whoami(viewer: Viewer = requires(Permission.APPLICATION_CREATE)) -> dict[str, Any]:
    """Who the API takes the caller for."""
    return {"actor": viewer.actor, "branches": viewer.branch_list, "language": viewer.language}


@router.post("/sample/api/v1/drafts")
async def draft(
    body: Draft, viewer: Viewer = requires(Permission.APPLICATION_CREATE)
) -> dict[str, Any]:
    """Takes a body with personal fields."""
    return {"product": body.product, "actor": viewer.actor}


async def verify(username: str, password: str) -> Verified | None:
    """The password of a sample account is its user name."""
    if username in STAFF and password == username:
        return Verified(username, STAFF[username].session_epoch)
    return None


ended: set[str] = set()  # sessions of people who signed out


async def find(session: Session) -> StaffMember | None:
    """The sample's directory."""
    return None if session.digest in ended else STAFF.get(session.staff_id)


async def signed_out(session: Session) -> None:
    """Nobody gets in with it again."""
    ended.add(session.digest)


async def find_at_provider(claim: str) -> Verified | None:
    """Whom the sample's identity provider vouches for, by staff id."""
    known = STAFF.get(claim)
    return None if known is None else Verified(claim, known.session_epoch)


def make_app(secrets_dir: Path, provider: IdentityProvider | None = None) -> FastAPI:
    """The sample app, with its session key in a folder of its own."""
    (secrets_dir / "session-key").write_text("k" * 48)
    settings = Settings(
        service="sample",
        environment=Environment.TEST,
        secrets_dir=secrets_dir,
        clock_file=secrets_dir / "clock",
    )
    return create_app(
        QuietService(clock=StandingClock()),
        routers=[
            router,
            sign_in_router(
                verify,
                signed_out=signed_out,
                at_provider=AtProvider(provider, find_at_provider) if provider else None,
            ),
        ],
        settings=settings,
        package=PACKAGE,
        find=find,
        clients=ApiClients(
            [
                (
                    CLIENT_TOKEN,
                    ApiClient(
                        "mobile-app",
                        Channel.MOBILE_APP,
                        frozenset({Permission.APPLICATION_CREATE}),
                        frozenset({"0101"}),
                    ),
                )
            ]
        ),
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        uvicorn.run(make_app(Path(folder)), port=8099)
