"""A small OpenID provider that runs for real: it holds whoever asks to the protocol, signs with
keys of its own, and can be told to be wrong in one way at a time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from starlette.responses import Response

from tests.eventually import eventually

CLIENT, SECRET = "banka-office", "s/cret+of the=office"


@dataclass
class Provider:
    """`who`: whom it vouches for. `claims` replaces some of what a token says, `key` signs in place
    of its own; `refuses` is the error that it sends people back with; `away` answers with 503."""

    port: int = 0
    who: str = "A0101"
    claims: dict[str, Any] = field(default_factory=dict)
    key: RSAKey | ECKey | None = None
    refuses: str = ""
    away: bool = False
    issuer_sent: str | None = None
    asked: dict[str, str] = field(default_factory=dict)  # of the last authorization request
    tokens: int = 0
    keys: list[Key] = field(default_factory=lambda: [new_key()])
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/bank"

    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.middleware("http")
        async def not_while_away(request: Request, go_on: Any) -> Response:
            if self.away:
                return JSONResponse({"error": "maintenance"}, status_code=503)
            answer: Response = await go_on(request)
            return answer

        @app.get("/realms/bank/.well-known/openid-configuration")
        async def configuration() -> dict[str, Any]:
            return {
                "issuer": self.claims.get("metadata issuer", self.issuer),
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            }

        @app.get("/realms/bank/keys")
        async def keys() -> dict[str, Any]:
            return dict(KeySet(self.keys).as_dict(private=False))

        @app.get("/realms/bank/authorize")
        async def authorize(request: Request) -> Response:
            return self._authorize(dict(request.query_params))

        @app.post("/realms/bank/token")
        async def token(request: Request) -> Response:
            form = {
                name: value[0] for name, value in parse_qs((await request.body()).decode()).items()
            }
            return self._token(request.headers.get("authorization", ""), form)

        return app

    def _authorize(self, asked: dict[str, str]) -> Response:
        """As if somebody had signed in there at once."""
        self.asked = asked
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        answer = {"error": self.refuses} if self.refuses else {"code": code}
        answer |= {
            "state": asked["state"],
            "session_state": "x",
            "iss": self.issuer_sent or self.issuer,
        }
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", status_code=302)

    def _token(self, authorization: str, form: dict[str, str]) -> Response:
        scheme, _, shown = authorization.partition(" ")
        if scheme != "Basic" or base64.b64decode(shown).decode() != f"{CLIENT}:{SECRET}":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self.tokens += 1
        return JSONResponse(
            {"access_token": "at", "token_type": "Bearer", "id_token": self._id_token(asked)}
        )

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "f:1",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": self.who,
            **self.claims,
        }
        if claims.get("alg") == "none":
            head, body = (_part(one) for one in (b'{"alg":"none"}', json.dumps(claims).encode()))
            return f"{head}.{body}."
        key = self.key or self.keys[-1]
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        header = {"alg": algorithm, "kid": key.kid or "", "typ": "JWT"}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, kept, key, algorithms=[algorithm])


def new_key() -> RSAKey:
    """A key to sign with, under an id of its own."""
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    """A provider on a free port."""
    provider = Provider()
    config = uvicorn.Config(provider.app(), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    provider.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.should_exit = True
        await serving
