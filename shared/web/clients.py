"""Channels that call the JSON API: each has a bearer token, permissions and branches of its own.

`api-clients.json` in the secrets directory lists them:
`[{"id": "mobile-app", "token": "…", "channel": "mobile_app",
   "permissions": ["application.create"], "branches": ["0101"] or null for all}]`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.events.payload import Channel
from shared.web.permissions import Permission

FILE = "api-clients.json"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    token: str = Field(min_length=24)
    channel: Channel
    permissions: frozenset[Permission]
    branches: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A channel that has shown its token. `branches` None means every branch."""

    id: str
    channel: Channel
    permissions: frozenset[Permission]
    branches: frozenset[str] | None


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
        return cls(
            (entry.token, ApiClient(entry.id, entry.channel, entry.permissions, entry.branches))
            for entry in entries
        )

    def find(self, token: str) -> ApiClient | None:
        """Whose token this is. Every entry is compared, so that timing tells nothing."""
        wanted = _digest(token)
        found = None
        for digest, client in self._by_digest:
            if hmac.compare_digest(digest, wanted):
                found = client
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
