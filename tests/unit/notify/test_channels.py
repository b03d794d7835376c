"""What an HTTP gateway's answers, and its silence, mean for a message."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from services.notify.application import MessageState
from services.notify.channels import ATTEMPTS, Desk, HttpChannel, Letter, UnansweredError
from services.notify.messages import Channel, Template
from services.notify.store import Dispatch
from shared.messaging import ClaimedCall, Refused, Result, Succeeded, Unknown
from shared.messaging.errors import one_line

DISPATCH = Dispatch(
    message_id="m-1",
    number="110120261102000017",
    state=MessageState.REQUESTED,
    template=Template.RECEIVED,
    channel=Channel.SMS,
    language="zh-CN",
    title="x",
    body="x",
    party_id="p-1",
    contact={},
)


class OpenedDesk(Desk):
    """A desk whose letter is written already."""

    def __init__(self) -> None: ...

    async def prepare(self, call: ClaimedCall) -> tuple[Dispatch, Letter] | Refused:
        return DISPATCH, Letter("x", "x", "x")


def fails(kind: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind("", request=request)

    return fail


def answers(status: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(status, json={"id": "g-1", "status": "accepted"})


async def sent(
    posted: Callable[[httpx.Request], httpx.Response],
    asked: Callable[[httpx.Request], httpx.Response],
    attempt: int = ATTEMPTS,
    before: str = "UnansweredError: http-503",
) -> Result:
    def gateway(request: httpx.Request) -> httpx.Response:
        return posted(request) if request.method == "POST" else asked(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(gateway)) as client:
        channel = HttpChannel(client, OpenedDesk(), "http://gateway.test", "/messages")
        return await channel.send(ClaimedCall("sms", "m-1/1", "a-1", {}, attempt, before))


@pytest.mark.parametrize(
    "cut_off", [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.RemoteProtocolError]
)
async def test_a_message_that_was_cut_off_on_its_way_may_still_arrive(
    cut_off: type[httpx.TransportError],
) -> None:
    """The gateway is slow: it says that it knows nothing, and delivers a moment later."""
    outcome = await sent(fails(cut_off), answers(404))
    assert outcome == Unknown(f"no-answer: cut-off {cut_off.__name__}, http-404")
    with pytest.raises(UnansweredError):
        await sent(fails(cut_off), answers(404), attempt=1)


@pytest.mark.parametrize("posted", [fails(httpx.ConnectError), answers(503), answers(429)])
async def test_what_was_never_taken_has_failed_for_certain(
    posted: Callable[[httpx.Request], httpx.Response],
) -> None:
    outcome = await sent(posted, answers(404))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "exhausted"
    with pytest.raises(UnansweredError):
        await sent(posted, answers(404), attempt=ATTEMPTS - 1)


@pytest.mark.parametrize(
    "before",
    [
        "UnansweredError: cut-off ReadTimeout",
        "UnansweredError: cut-off earlier, http-503",
        "no answer within 15 s",
        "",  # the worker died over it
    ],
)
@pytest.mark.parametrize("posted", [fails(httpx.ConnectError), answers(503), answers(422)])
async def test_an_earlier_attempt_that_was_cut_off_may_still_arrive(
    posted: Callable[[httpx.Request], httpx.Response], before: str
) -> None:
    assert isinstance(await sent(posted, answers(404), before=before), Unknown)


async def test_that_an_attempt_was_cut_off_is_passed_on() -> None:
    with pytest.raises(UnansweredError) as first:
        await sent(fails(httpx.ReadTimeout), answers(404), attempt=1, before="")
    with pytest.raises(UnansweredError) as second:
        await sent(answers(503), answers(404), attempt=2, before=one_line(first.value))
    last = await sent(answers(429), answers(404), before=one_line(second.value))
    assert isinstance(last, Unknown)


async def test_what_the_gateway_knows_by_its_key_was_taken() -> None:
    outcome = await sent(fails(httpx.ReadTimeout), answers(202))
    assert outcome == Succeeded({"id": "g-1", "status": "accepted"})


async def test_where_it_cannot_be_asked_nobody_knows() -> None:
    for asked in (fails(httpx.ConnectError), answers(503)):
        assert isinstance(await sent(answers(503), asked), Unknown)
