"""How much may come in: bytes of one request, requests of one client.

Both are held before anything is worked on. Rates are counted by each process for itself: n
processes of a service let a client do n times as much.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path
from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from shared.web.clients import ApiClient
from shared.web.problems import Problem

MULTIPART_MOST = 11 * 1024 * 1024  # bytes: the largest paper, with the form around it
BODY_MOST = 1024 * 1024  # bytes of any other body: JSON, a form without files
# Both gateways hold the same (deploy/gateway.py, deploy/caddy/Caddyfile).


RowNumber = Annotated[int, Path(ge=0, le=2**63 - 1)]
"""A row's number in an address: a database fails that is asked for one beyond its own."""


def lenient(default: Any) -> WrapValidator:
    """For a value in the address of a page: what is none of those that are possible there is as the
    default. People cut addresses short and keep them for years; a program is told (422)."""

    def read(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            return default

    return WrapValidator(read)


def most_bytes(content_type: str | None) -> int:
    """How large a body of this type may be."""
    multipart = (content_type or "").strip().lower().startswith("multipart/form-data")
    return MULTIPART_MOST if multipart else BODY_MOST


def too_large(headers: Mapping[str, str]) -> bool:
    """Whether the request says itself that its body is larger than is taken."""
    said = headers.get("content-length", "")
    return said.isdecimal() and int(said) > most_bytes(headers.get("content-type"))


class BodyTooLarge(HTTPException):
    """More was sent than is taken."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"A request of this kind has at most {most // (1024 * 1024)} MB")


def counted(receive: Receive, headers: Headers) -> Receive:
    """`receive` that raises BodyTooLarge where the body gets too large: at once where the length
    is said, else with the first byte too many, so that no more is held or written than allowed."""
    most = most_bytes(headers.get("content-type"))
    got = 0

    async def receive_counted() -> Message:
        nonlocal got
        if too_large(headers):
            raise BodyTooLarge(most)
        message = await receive()
        got += len(message.get("body", b""))
        if got > most:
            raise BodyTooLarge(most)
        return message

    return receive_counted


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a request of a client is taken now, and what its headers say of it."""

    taken: bool
    headers: Mapping[str, str]

    def refusal(self) -> Problem:
        """The answer to a request that is not taken."""
        return Problem(
            429, "too-many-requests", "Call again later, and less often", headers=self.headers
        )


class Turns:
    """A bucket of requests for each client: full at first, refilled at the client's rate."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets: dict[str, _Bucket] = {}

    def take(self, client: ApiClient) -> Turn:
        """Takes one request out of the client's bucket, if one is left."""
        rate, burst, now = client.rate.per_second, client.rate.burst, self._now()
        bucket = self._buckets.setdefault(client.id, _Bucket(burst, now))
        bucket.left = min(burst, bucket.left + (now - bucket.at) * rate)
        bucket.at = now
        taken = bucket.left >= 1
        if taken:
            bucket.left -= 1
        left, whole_again = int(bucket.left), math.ceil((burst - bucket.left) / rate)
        headers = {
            "RateLimit-Policy": f'"client";q={burst};w={math.ceil(burst / rate)}',
            "RateLimit": f'"client";r={left};t={whole_again}',
        }
        if not taken:
            headers["Retry-After"] = str(max(1, math.ceil((1 - bucket.left) / rate)))
        return Turn(taken, headers)


class Pacer:
    """Steps of whoever is not listed: a bucket for each key, full at first, refilled each minute.
    Of many keys those used longest ago are forgotten: what must not be tried too often altogether
    is counted elsewhere."""

    def __init__(self, now: Callable[[], float] = time.monotonic, most_keys: int = 20_000) -> None:
        self._now = now
        self._most = most_keys
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, key: str, *, per_minute: int, burst: int) -> int:
        """Takes one step of the key, if one is left: 0; else seconds until there is one."""
        now, rate = self._now(), per_minute / 60
        bucket = self._buckets.pop(key, None) or _Bucket(burst, now)
        self._buckets[key] = bucket  # the last now
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        bucket.left = min(burst, bucket.left + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.left < 1:
            return max(1, math.ceil((1 - bucket.left) / rate))
        bucket.left -= 1
        return 0

    def give_back(self, key: str) -> None:
        """The step was none of those that are counted."""
        if bucket := self._buckets.get(key):
            bucket.left += 1  # what is too much is cut off at the next step


def address_of(host: str) -> str:
    """Whom an address stands for: itself, or the network of 64 bits that one customer is given."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
