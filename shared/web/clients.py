"""Channels that call the JSON API: each has credentials, permissions and branches of its own.

`api-clients.json` in the secrets directory lists them:
`[{"id": "mobile-app", "token": "…", "channel": "mobile_app",
   "permissions": ["application.create"], "branches": ["0101"] or null for all}]`, and where it is
not as here: `"sees": "own"` (the applications that it began itself; "branch": all of its branches),
`"must_match": false` (whether its changes have to say by If-Match what they were decided on),
`"rate": {"per_second": 20, "burst": 100}`.

What people answer for with their name (`OF_PEOPLE`: to decide, to sign, to approve a policy) is no
client's: such a list is refused as a whole.

`token` is sent as it is with every request. Beside it or in its place stand secrets, which buy
tokens that last a quarter of an hour and may be for less than all permissions (`api_token`):
`"secrets": [{"sha256": "…", "not_before": "2026-11-01T00:00:00Z", "expires": …}]`. Several may hold
at once, so that a channel changes its secret when it likes; the list has their digests alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote_plus

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from shared.events.payload import Channel
from shared.web.permissions import OF_PEOPLE, Permission

FILE = "api-clients.json"
TOKEN_SECONDS = 15 * 60
_HEADER = {"alg": "HS256", "typ": "at+jwt"}


class Rate(BaseModel):
    """How often a client may call: so many requests at once, so many a second in the long run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_second: Annotated[float, Field(gt=0, le=100_000)] = 20
    burst: Annotated[int, Field(ge=1, le=100_000)] = 100


class Secret(BaseModel):
    """A secret of a client, by its digest, and from when until when it holds (machine time)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    not_before: AwareDatetime | None = None
    expires: AwareDatetime | None = None

    def holds(self, now: float) -> bool:
        """Whether it may be used at that time."""
        begun = self.not_before is None or self.not_before.timestamp() <= now
        return begun and (self.expires is None or now < self.expires.timestamp())


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    token: Annotated[str, Field(min_length=24)] | None = None
    secrets: list[Secret] = []
    channel: Channel
    permissions: frozenset[Permission]
    branches: frozenset[str] | None = None
    sees: Literal["own", "branch"] = "own"
    must_match: bool = False
    rate: Rate = Rate()

    @model_validator(mode="after")
    def _can_call(self) -> Self:
        if self.token is None and not self.secrets:
            raise ValueError("a client has a token or secrets")
        return self

    @model_validator(mode="after")
    def _is_nobody(self) -> Self:
        if peoples := sorted(self.permissions & OF_PEOPLE):
            raise ValueError(f"{', '.join(peoples)}: for people alone, never for a program")
        return self

    def client(self) -> ApiClient:
        return ApiClient(
            self.id,
            self.channel,
            self.permissions,
            self.branches,
            own_only=self.sees == "own",
            must_match=self.must_match,
            rate=self.rate,
            secrets=tuple(self.secrets),
        )


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A channel that has shown who it is. `branches` None means every branch; `own_only`: of them
    only the applications that it began."""

    id: str
    channel: Channel
    permissions: frozenset[Permission]
    branches: frozenset[str] | None
    own_only: bool = True
    must_match: bool = False
    rate: Rate = field(default_factory=Rate)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)


class ApiClients:
    """The channels that may call; tokens are kept as digests only. `key`: with which tokens that
    secrets buy are signed, any that all processes share; without one none is sold."""

    def __init__(
        self,
        entries: Iterable[tuple[str | None, ApiClient]] = (),
        *,
        key: bytes = b"",
        now: Callable[[], float] = time.time,
    ) -> None:
        given = list(entries)
        self._by_digest = [(_digest(token), client) for token, client in given if token]
        self._by_id = {client.id: client for _, client in given}
        # of its own, though the key serves sessions too: none is taken for the other
        own = hmac.new(key, b"client-token", hashlib.sha256).digest()
        self._key = OctKey.import_key(own) if key else None
        self._now = now

    @classmethod
    def load(cls, secrets_dir: Path, *, key: bytes = b"") -> ApiClients:
        """Reads the list; without a file no channel may call. Raises ValueError if it is broken."""
        path = secrets_dir / FILE
        if not path.exists():
            return cls()
        entries = TypeAdapter(list[_Entry]).validate_python(json.loads(path.read_text("utf-8")))
        return cls(((entry.token, entry.client()) for entry in entries), key=key)

    def by_secret(self, authorization: str | None) -> ApiClient | None:
        """Who shows one of its secrets that holds now, by a Basic header; None for nobody."""
        client_id, secret = _basic(authorization)
        client, wanted = self._by_id.get(client_id), hashlib.sha256(secret.encode()).hexdigest()
        secrets: Sequence[Secret] = client.secrets if client is not None else ()
        now, found = self._now(), False
        for one in secrets:
            found |= hmac.compare_digest(one.sha256, wanted) and one.holds(now)
        return client if found else None

    def issue(self, client: ApiClient, scope: Iterable[Permission]) -> str:
        """A token of the client for these permissions; what it has no permission for counts
        nothing, now or later."""
        assert self._key is not None  # whoever sells tokens has been given one
        now = int(self._now())
        claims = {
            "sub": client.id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "scope": " ".join(sorted(scope)),
        }
        return jwt.encode(_HEADER, claims, self._key, algorithms=["HS256"])

    def find(self, token: str) -> ApiClient | None:
        """Whose token this is, with the permissions that it is for."""
        return self._static(token) or self._issued(token)

    def _issued(self, token: str) -> ApiClient | None:
        if self._key is None:
            return None
        try:
            opened = jwt.decode(token, self._key, algorithms=["HS256"])
            jwt.JWTClaimsRegistry(now=int(self._now())).validate(opened.claims)
        except (JoseError, ValueError):
            return None
        client = self._by_id.get(str(opened.claims.get("sub")))
        if client is None:
            return None
        scope = frozenset(str(opened.claims.get("scope", "")).split())
        return replace(client, permissions=client.permissions & scope)

    def _static(self, token: str) -> ApiClient | None:
        # every entry is compared, so that timing tells nothing
        wanted = _digest(token)
        found = None
        for digest, client in self._by_digest:
            if hmac.compare_digest(digest, wanted):
                found = client
        return found

    def by_token(self, authorization: str | None) -> ApiClient | None:
        """Who calls with a token; None for nobody, or for a token that is nobody's."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.find(token.strip()) if scheme.lower() == "bearer" else None


def _basic(authorization: str | None) -> tuple[str, str]:
    """Name and secret, each form-encoded by itself (RFC 6749, 2.3.1); empty where it is none."""
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
