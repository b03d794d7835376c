"""Channels that call the JSON API: each has a bearer token, permissions and branches of its own.

`api-clients.json` in the secrets directory lists them:
`[{"id": "mobile-app", "token": "…", "channel": "mobile_app",
   "permissions": ["application.create"], "branches": ["0101"] or null for all}]`, and where it is
not as here: `"sees": "own"` (the applications that it began itself; "branch": all of its branches),
`"must_match": false` (whether its changes have to say by If-Match what they were decided on),
`"rate": {"per_second": 20, "burst": 100}`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.events.payload import Channel
from shared.web.permissions import Permission

FILE = "api-clients.json"


class Rate(BaseModel):
    """How often a client may call: so many requests at once, so many a second in the long run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_second: Annotated[float, Field(gt=0, le=100_000)] = 20
    burst: Annotated[int, Field(ge=1, le=100_000)] = 100


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    token: str = Field(min_length=24)
    channel: Channel
    permissions: frozenset[Permission]
    branches: frozenset[str] | None = None
    sees: Literal["own", "branch"] = "own"
    must_match: bool = False
    rate: Rate = Rate()

    def client(self) -> ApiClient:
        return ApiClient(
            self.id,
            self.channel,
            self.permissions,
            self.branches,
            own_only=self.sees == "own",
            must_match=self.must_match,
            rate=self.rate,
        )


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A channel that has shown its token. `branches` None means every branch; `own_only`: of them
    only the applications that it began."""

    id: str
    channel: Channel
    permissions: frozenset[Permission]
    branches: frozenset[str] | None
    own_only: bool = True
    must_match: bool = False
    rate: Rate = field(default_factory=Rate)


class ApiClients:
    """The channels that may call; tokens are kept as digests only."""

    def __init__(self, entries: Iterable[tuple[str, ApiClient]] = ()) -> None:
        self._by_digest = [(_digest(token), client) for token, client in entries]

    @classmethod
    def load(cls, secrets_dir: Path) -> ApiClients:
        """Reads the list; without a file no channel may call. Raises ValueError if it is broken."""
        path = secrets_dir / FILE
        if not path.exists():
            return cls()
        entries = TypeAdapter(list[_Entry]).validate_python(json.loads(path.read_text("utf-8")))
        return cls((entry.token, entry.client()) for entry in entries)

    def find(self, token: str) -> ApiClient | None:
        """Whose token this is. Every entry is compared, so that timing tells nothing."""
        wanted = _digest(token)
        found = None
        for digest, client in self._by_digest:
            if hmac.compare_digest(digest, wanted):
                found = client
        return found

    def calling(self, authorization: str | None) -> ApiClient | None:
        """Who calls with this header; None for nobody, or for a token that is nobody's."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.find(token.strip()) if scheme.lower() == "bearer" else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
