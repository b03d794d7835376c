"""How one of the bank's systems is asked over HTTP: once per key, and never guessed about.

A time-out says nothing about the other side, so the system is asked what became of the request
before anything is sent again; sending again uses the same key.
"""

from __future__ import annotations

from typing import Any

import httpx


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

    async def ask(self, request_id: str, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question, asked under its idempotency key.

        Raises SystemRefusedError, or SystemUnavailableError where trying again may help.
        """
        try:
            response = await self._client.post(
                self._address,
                json={**question, "request_id": request_id},
                headers={"Idempotency-Key": request_id},
                timeout=self._timeout,
            )
        except httpx.TimeoutException:
            return await self._what_became_of(request_id)
        except httpx.TransportError as error:
            # its text may name the address, so only its kind is kept
            raise SystemUnavailableError(type(error).__name__) from None
        return _answer(response)

    async def _what_became_of(self, request_id: str) -> dict[str, Any]:
        try:
            response = await self._client.get(
                f"{self._address}/{request_id}", timeout=self._timeout
            )
        except httpx.TransportError as error:
            raise SystemUnavailableError(type(error).__name__) from None
        if response.status_code == httpx.codes.NOT_FOUND:
            raise SystemUnavailableError("timed out, request unknown to the system")
        return _answer(response)


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code in (408, 425, 429) or response.is_server_error:
        raise SystemUnavailableError(f"status {response.status_code}")
    if not response.is_success:
        raise SystemRefusedError(response.status_code)
    try:
        answer = response.json()
    except ValueError:
        raise SystemUnavailableError("answer is not JSON") from None
    if not isinstance(answer, dict):
        raise SystemUnavailableError("answer is not a JSON object")
    return answer
