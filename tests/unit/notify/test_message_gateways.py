"""The demo's gateways: the same seed meets the same troubles, and a key goes out once."""

from __future__ import annotations

import httpx
import pytest

from deploy.demo.message_gateways import SILENT_ASKS, Gateways, create_app


def client_of(gateways: Gateways) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(gateways)), base_url="http://gateway.test"
    )


async def post(
    client: httpx.AsyncClient, key: str, to: str = "13900001234", path: str = "/messages"
) -> httpx.Response:
    body = {"to": to, "text": "x", "signature": "y", "template": "received"}
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


def test_the_same_seed_draws_the_same_fate_whatever_the_key() -> None:
    recipients = [str(13900000000 + number) for number in range(4000)]
    first, second, other = Gateways(seed=1), Gateways(seed=1), Gateways(seed=2)
    fates = [first.fate("sms", to, "received") for to in recipients]
    assert fates == [second.fate("sms", to, "received") for to in recipients]
    assert fates != [other.fate("sms", to, "received") for to in recipients]
    assert set(fates) == {"well", *first.fates["sms"]}
    assert fates.count("well") > 0.9 * len(fates)


async def test_a_key_goes_out_once_however_often_it_comes() -> None:
    gateways = Gateways(fates={"sms": {}, "app": {}, "email": {}})
    async with client_of(gateways) as client:
        answers = [(await post(client, "k-1")).json() for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert (await client.get("/messages/by-key/k-1")).json() == answers[0]
        assert (await client.get("/messages/by-key/k-2")).status_code == 404
        told = (await client.get("/receipts")).json()
    assert told["channels"]["sms"] == {"keys": 1, "received": 3, "taken": 1, "not_taken": 0}
    assert told["repeated"] == []


@pytest.mark.parametrize(("path", "channel"), [("/messages", "sms"), ("/push", "app")])
async def test_a_busy_gateway_takes_the_second_attempt(path: str, channel: str) -> None:
    gateways = Gateways(fates={"sms": {}, "app": {}, "email": {}, channel: {"busy-once": 1000}})
    async with client_of(gateways) as client:
        assert (await post(client, "k", path=path)).status_code == 503
        assert (await client.get(f"{path}/by-key/k")).status_code == 404
        assert (await post(client, "k", path=path)).status_code == 202


async def test_a_silent_gateway_has_taken_the_message_and_can_be_asked_later() -> None:
    gateways = Gateways()
    entry = gateways.entry("sms", "k", "13900001234", "received")
    gateways.take(entry, "x")
    entry.silent = True
    async with client_of(gateways) as client:
        asked = [
            (await client.get("/messages/by-key/k")).status_code for _ in range(SILENT_ASKS + 1)
        ]
    assert asked == [503] * SILENT_ASKS + [202]
    assert gateways.kept["sms"]["k"].taken == 1


def test_what_goes_out_twice_is_reported() -> None:
    gateways = Gateways()
    entry = gateways.entry("email", "k", "a@b.example", "")
    gateways.take(entry, "x", once=False)
    assert gateways.receipts()["repeated"] == []
    gateways.take(entry, "x", once=False)
    assert gateways.receipts()["repeated"] == ["k"]
    assert gateways.kept["email"]["k"].texts == []
