"""How one of the bank's systems is asked over HTTP: once per key, and never guessed about.

A time-out says nothing about the other side, so the system is asked what became of the request
before anything is sent again; sending again uses the same key.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

REFUSALS: Final = frozenset({400, 409, 422})
"""The system understood the question and will not answer it. Every other status without an answer
(a key that is not taken, an address that moved, a fault) concerns all who are asked about."""

MOST_BYTES: Final = 1_000_000
"""Of an answer; the longest one is some kilobytes."""


class SystemRefusedError(Exception):
    """The system understood the request and will not answer it; asking again would not help."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with status {status}")
        self.status = status


class SystemUnavailableError(Exception):
    """The system did not answer this time."""


class CreditSystem:
    """One system at `url`; `resource` is the noun under which requests lie (`reports`), `timeout`
    the seconds for one HTTP exchange."""

    def __init__(self, client: httpx.AsyncClient, url: str, resource: str, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._address = f"{url.rstrip('/')}/{resource}"

    async def ask(self, request_id: str, question: dict[str, Any]) -> bytes:
        """The answer to a question, asked under its idempotency key, as it came.

        Raises SystemRefusedError, or SystemUnavailableError where trying again may help.
        """
        try:
            return await self._exchange(
                "POST",
                self._address,
                json={**question, "request_id": request_id},
                headers={"Idempotency-Key": request_id},
            )
        except httpx.TimeoutException:
            return await self._what_became_of(request_id)
        except httpx.RequestError as error:
            # its text may name the address, so only its kind is kept
            raise SystemUnavailableError(type(error).__name__) from None

    async def _what_became_of(self, request_id: str) -> bytes:
        try:
            return await self._exchange("GET", f"{self._address}/{request_id}")
        except httpx.RequestError as error:
            raise SystemUnavailableError(type(error).__name__) from None

    async def _exchange(self, method: str, address: str, **more: Any) -> bytes:
        async with self._client.stream(method, address, timeout=self._timeout, **more) as response:
            if response.status_code in REFUSALS:
                raise SystemRefusedError(response.status_code)
            if not response.is_success:
                raise SystemUnavailableError(f"status {response.status_code}")
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise SystemUnavailableError("answer too long")
            return bytes(body)
