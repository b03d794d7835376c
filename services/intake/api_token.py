"""Where a channel's secret buys a token that does not last (OAuth 2.0, client credentials: RFC
6749, 4.4), so that the secret itself is sent seldom, and a program may be given less than all."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from services.intake.api_examples import TOKEN
from shared.web import Permission, public
from shared.web.clients import TOKEN_SECONDS
from shared.web.openapi import about
from shared.web.state import web_state


class TokenOut(BaseModel):
    """A token, to be sent as `Authorization: Bearer`."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a word of the standard
    expires_in: int
    scope: str


class TokenRefusedOut(BaseModel):
    """Why there is none, in the standard's words."""

    error: Literal["invalid_client", "unsupported_grant_type", "invalid_scope"]


def add(routes: APIRouter) -> None:
    """The route that sells tokens."""

    @routes.post(
        "/token",
        dependencies=[public("a channel's secret opens it")],
        response_model=TokenOut,
        responses={
            400: {"model": TokenRefusedOut, "description": "What is asked for is not sold"},
            401: {"model": TokenRefusedOut, "description": "No client, or not its secret"},
        },
        openapi_extra=about(
            "too-many-requests", example=TOKEN, media_type="application/x-www-form-urlencoded"
        ),
    )
    async def api_token(
        request: Request,
        grant_type: Annotated[str, Form(max_length=100)],
        scope: Annotated[str | None, Form(max_length=1000)] = None,
        authorization: Annotated[
            str | None, Header(description="Basic, with the client's name and one of its secrets")
        ] = None,
    ) -> JSONResponse:
        """A token for the client's permissions, or for those of them that `scope` names (several
        with spaces between)."""
        clients = web_state(request).clients
        client = clients.by_secret(authorization)
        if client is None:
            return _refused(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="banka"'})
        if grant_type != "client_credentials":
            return _refused(400, "unsupported_grant_type")
        wanted = set(scope.split()) if scope and scope.strip() else set(client.permissions)
        if not wanted <= client.permissions:
            return _refused(400, "invalid_scope")
        granted = [Permission(one) for one in sorted(wanted)]
        told = TokenOut(
            access_token=clients.issue(client, granted),
            expires_in=TOKEN_SECONDS,
            scope=" ".join(granted),
        )
        return JSONResponse(told.model_dump())


def _refused(status: int, error: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": error}, status_code=status, headers=headers)
