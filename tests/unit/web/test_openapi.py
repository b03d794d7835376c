"""What a description says beyond what FastAPI sees."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from shared.web import Permission, Viewer, public, requires
from shared.web.access import declared_access
from shared.web.openapi import Kind, about, complete

KINDS = {"asleep": Kind(409, "The cat sleeps"), "gone": Kind(404, "The cat is elsewhere")}


class Cat(BaseModel):
    """A body."""

    name: str


@pytest.fixture
def described() -> dict[str, Any]:
    app, routes = FastAPI(openapi_url=None), APIRouter(prefix="/zoo/api/v1")

    @routes.get("/hours", dependencies=[public("hangs at the door")])
    async def hours() -> str:
        return ""

    @routes.post("/cats", openapi_extra=about("asleep", example={"name": "喵"}, revised=True))
    async def feed(
        viewer: Annotated[Viewer, requires(Permission.APPLICATION_EDIT)], body: Cat
    ) -> Cat:
        return body

    @routes.get("/cats/{name}", openapi_extra=about("gone"))
    async def look(
        viewer: Annotated[Viewer, requires(Permission.APPLICATION_VIEW)], name: str
    ) -> Cat:
        return Cat(name=name)

    app.include_router(routes)
    return complete(app.openapi(), declared_access(app), KINDS)


def codes(route: dict[str, Any]) -> dict[str, set[str]]:
    """{status: problems} of a route."""
    return {
        status: set(answer["content"]["application/problem+json"]["examples"])
        for status, answer in route["responses"].items()
        if not status.startswith("2")
    }


def test_each_route_says_what_it_may_answer(described: dict[str, Any]) -> None:
    paths = described["paths"]
    entering = {"401": {"sign-in-needed", "bad-credentials"}, "429": {"too-many-requests"}}
    assert codes(paths["/zoo/api/v1/hours"]["get"]) == {"500": {"internal"}}
    assert codes(paths["/zoo/api/v1/cats/{name}"]["get"]) == {
        **entering,
        "403": {"not-permitted"},
        "404": {"gone"},
        "422": {"invalid-request"},
        "500": {"internal"},
    }
    assert codes(paths["/zoo/api/v1/cats"]["post"]) == {
        **entering,
        "400": {"bad-request"},
        "403": {"not-permitted", "form-expired", "cross-site"},
        "409": {"asleep"},
        "413": {"too-large"},
        "422": {"invalid-request"},
        "500": {"internal"},
    }


def test_who_may_enter_what_is_sent_and_what_comes_back(described: dict[str, Any]) -> None:
    post = described["paths"]["/zoo/api/v1/cats"]["post"]
    assert post["security"] == [{"client": []}, {"session": []}]
    assert post["x-permission"] == "application.edit@branch"
    assert post["requestBody"]["content"]["application/json"]["example"] == {"name": "喵"}
    assert set(post["responses"]["200"]["headers"]) == {"ETag", "RateLimit", "RateLimit-Policy"}
    assert post["responses"]["200"]["description"] == "A body."
    assert "Retry-After" in post["responses"]["429"]["headers"]
    hours = described["paths"]["/zoo/api/v1/hours"]["get"]
    assert hours["security"] == []
    assert "headers" not in hours["responses"]["200"]
    assert set(described["components"]["securitySchemes"]) == {"client", "session"}
    assert set(described["components"]["schemas"]) == {"Cat", "Problem"}
    assert not any(name.startswith(("x-pro", "x-rev")) for name in post)


def test_a_problem_that_nobody_described_is_found() -> None:
    app = FastAPI(openapi_url=None)

    @app.get("/cats", dependencies=[public("a test")], openapi_extra=about("hungry"))
    async def cats() -> str:
        return ""

    with pytest.raises(KeyError, match="hungry"):
        complete(app.openapi(), declared_access(app), KINDS)
