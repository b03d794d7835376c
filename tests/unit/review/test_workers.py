"""What a worker makes of whatever one of the bank's systems sends back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from services.review import workers
from services.review.checks import CheckName
from services.review.checks.breaker import Breaker
from services.review.checks.credit_system import (
    MOST_BYTES,
    CreditSystem,
    SystemUnavailableError,
)
from shared.formats import make_synthetic_resident_id
from shared.messaging import ClaimedCall, Exhausted, Refused, Result, Succeeded
from shared.parameters import load_checks
from tests.unit.review.builders import NOW, SEALED

pytestmark = pytest.mark.asyncio

PERSON = {"name": "司徒测试", "id_number": make_synthetic_resident_id("31", NOW.date(), 101)}
RECORD = {
    "score": 700, "overdue_24m": 0, "max_overdue_days_24m": 0, "queries_3m": 1, "open_cards": 1,
    "other_bank_limits": 0, "monthly_debt": 0, "adverse": False, "lenders_6m": 1,
}  # fmt: skip
GOOD: dict[CheckName, Any] = {
    "identity": {"match": True, "status": "normal"},
    "bureau": RECORD,
    "watchlist": {"hits": [{"list": "pep", "score": 0.5}]},
}
CALL = {
    "application_id": "a", "party_id": "p", "fields": {}, "request_id": "a:bureau:1",
    "consent_signed_at": NOW.isoformat(), "purpose": "信用卡审批",
}  # fmt: skip


def http(body: bytes | str, status: str = "200 OK", *headers: str, length: int = 0) -> bytes:
    """What a system sends; length: more than it does send, where it breaks off."""
    sent = body.encode() if isinstance(body, str) else body
    lines = (f"HTTP/1.1 {status}", f"content-length: {length or len(sent)}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + sent


def record(**changes: Any) -> bytes:
    return http(json.dumps({**RECORD, **changes}))


@asynccontextmanager
async def system(answers: Callable[[bytes], bytes]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A system that sends these bytes to whatever it is asked; gives its address and what it was
    asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        writer.write(answers(head))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", asked


async def _vault() -> Any:
    async def keys(*_: Any) -> Any:
        return SimpleNamespace(seal=lambda *_: SEALED)

    async def opened(*_: Any) -> dict[str, str]:
        return PERSON

    return SimpleNamespace(party_keys=keys, open=opened)


async def _open(_application_id: str) -> bool:
    return True


async def ask(answer: bytes, name: CheckName = "bureau") -> tuple[list[Result | str], Breaker]:
    """What the worker says each time, as often as questions fail until a system counts as away;
    of one that raises the words that the kernel keeps."""
    breaker = Breaker(name, lambda: NOW)
    said: list[Result | str] = []
    async with system(lambda _head: answer) as (url, _asked), httpx.AsyncClient() as client:
        worker = workers.check_worker(
            name,
            store=cast("Any", None),
            client=lambda: client,
            url=url,
            open_vault=_vault,
            records=cast("Any", SimpleNamespace(is_open=_open)),
            breaker=breaker,
            backoff=0,
        )
        for attempt in range(load_checks().outage.failures):
            try:
                said.append(await worker.call(ClaimedCall(worker.kind, "k", "a", CALL, attempt)))
            except SystemUnavailableError as error:
                said.append(str(error))
            if not isinstance(said[-1], str):
                break
    return said, breaker


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_answer_is_sealed(name: CheckName) -> None:
    (said,), breaker = await ask(http(json.dumps(GOOD[name])), name)
    assert isinstance(said, Succeeded)
    assert said.value["answer"] == str(SEALED)
    assert breaker.away_since is None


@pytest.mark.parametrize("status", ["400 Bad Request", "409 Conflict", "422 Unprocessable"])
async def test_what_a_system_will_not_answer_is_refused_and_it_is_not_away(status: str) -> None:
    (said,), breaker = await ask(http("{}", status))
    assert said == Refused(f"status-{status[:3]}")
    assert breaker.away_since is None


MISSHAPEN = {
    "moved": http("", "307 Temporary Redirect", "location: /elsewhere"),
    "key not taken": http("{}", "401 Unauthorized"),
    "forbidden": http("{}", "403 Forbidden"),
    "not there": http("{}", "404 Not Found"),
    "too many": http("{}", "429 Too Many Requests"),
    "broken": http("{}", "500 Internal Server Error"),
    "not yet": http("{}", "202 Accepted"),
    "empty": http(""),
    "nothing": http("", "204 No Content"),
    "a page": http("<html>login</html>"),
    "not a record": http("[]"),
    "null": http("null"),
    "another record": http(json.dumps(GOOD["identity"])),
    "broken off": http(json.dumps(RECORD), length=4_000),
    "half a record": http(json.dumps(RECORD)[:40]),
    "no HTTP": b"\x16\x03\x01 nonsense",
    "not compressed": http("plain", "200 OK", "content-encoding: gzip"),
    "not text": http(b'{"score": "\xff"}'),
    "huge": http(json.dumps({**RECORD, "more": "x" * MOST_BYTES})),
    "endlessly deep": http('{"score":' * 100_000),
    "a number as text": record(score="700"),
    "a fraction": record(score=700.5),
    "yes for a number": record(overdue_24m=True),
    "text for yes": record(adverse="no"),
    "a number for yes": record(adverse=0),
    "below nothing": record(monthly_debt=-1),
    "beyond all": http(
        json.dumps({**RECORD, "score": 1}).replace(" 1,", " 1" + "0" * 5000 + ",", 1)
    ),
    "not a number": http(json.dumps({**RECORD, "score": float("nan")})),
    "without end": http(json.dumps({**RECORD, "monthly_debt": float("inf")})),
}


@pytest.mark.parametrize("answer", MISSHAPEN.values(), ids=MISSHAPEN)
async def test_whatever_is_no_answer_has_the_system_count_as_away(answer: bytes) -> None:
    said, breaker = await ask(answer)
    assert said[-1] == Exhausted("away")
    assert all(isinstance(one, str) for one in said[:-1])
    assert len(said) == load_checks().outage.failures
    assert breaker.away_since == NOW
    assert "司徒" not in str(said)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("identity", {"match": "true", "status": "normal"}),
        ("identity", {"match": True, "status": "lost"}),
        ("watchlist", {"hits": [{"list": "pep", "score": float("nan")}]}),
        ("watchlist", {"hits": [{"list": "pep", "score": "0.5"}]}),
        ("watchlist", {"hits": {}}),
        ("watchlist", {"hits": [{"list": "pep", "score": 0.5}] * 101}),
    ],
)
async def test_an_answer_of_another_shape_never_counts_as_one(name: CheckName, answer: Any) -> None:
    said, breaker = await ask(http(json.dumps(answer)), name)
    assert (said[-1], breaker.away_since) == (Exhausted("away"), NOW)


async def test_a_redirect_is_not_followed() -> None:
    """Name and number would go where nobody meant them to."""
    moved = http("", "307 Temporary Redirect", "location: /elsewhere")
    async with system(lambda _head: moved) as (url, asked), httpx.AsyncClient() as client:
        one = CreditSystem(client, url, "reports", 60.0)
        with pytest.raises(SystemUnavailableError, match="307"):
            await one.ask("r", {})
    assert len(asked) == 1


async def test_after_a_time_out_only_the_answer_to_this_very_question_counts() -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadTimeout("late")
        return httpx.Response(404 if request.url.path.endswith("/unknown") else 200, json=RECORD)

    async with httpx.AsyncClient(transport=httpx.MockTransport(slow)) as client:
        one = CreditSystem(client, "http://bureau", "reports", 1.0)
        assert json.loads(await one.ask("known", {})) == RECORD
        with pytest.raises(SystemUnavailableError):
            await one.ask("unknown", {})
