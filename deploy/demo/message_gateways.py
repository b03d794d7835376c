"""The bank's ways to its customers, played: SMS gateway and app webhook (HTTP), mail server (SMTP).

    python -m deploy.demo.message_gateways --port 8201 --smtp-port 8225 --seed 7

They are late, refuse, break off and forget to answer like real ones. What happens to a message is
drawn from the seed, its recipient and its template, because idempotency keys are new in every run:
two runs of a demo meet the same troubles. Nothing is written down but keys and counts.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default as POLICY  # noqa: N812 - a constant
from typing import Annotated, Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

LATE_SECONDS = 4.0  # longer than any client of ours waits
SILENT_ASKS = 12  # how often a gateway that lost its index cannot say what it has

# fate: how many of a thousand meet it; the rest go well
SMS_FATES = {"unknown-number": 8, "busy-once": 12, "late": 4, "broken": 6, "silent": 2}
APP_FATES = {"no-device": 25, "busy-once": 12, "broken": 6}
MAIL_FATES = {"no-mailbox": 12, "busy-once": 15, "silent": 8}
UNDELIVERED_PER_THOUSAND = 12


@dataclass(slots=True)
class Kept:
    """What a gateway knows of one key. `taken`: how often it went out to the customer."""

    id: str
    asked: int = 0
    received: int = 0
    taken: int = 0
    looks: int = 0
    silent: bool = False  # cannot be asked by key for a while
    draw: int = 0  # 0–999, decides on delivery
    texts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Gateways:
    """The state of all three. `keep_texts` is for tests: the demo keeps none."""

    seed: int = 0
    keep_texts: bool = False
    late_seconds: float = LATE_SECONDS
    fates: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"sms": SMS_FATES, "app": APP_FATES, "email": MAIL_FATES}
    )
    kept: dict[str, dict[str, Kept]] = field(
        default_factory=lambda: {"sms": {}, "app": {}, "email": {}}
    )
    by_id: dict[str, str] = field(default_factory=dict)  # key of an SMS by the gateway's own id
    undelivered_per_thousand: int = UNDELIVERED_PER_THOUSAND
    met: Counter[str] = field(default_factory=Counter)

    def draw(self, *parts: str) -> int:
        """0–999, the same for the same seed and parts."""
        digest = hashlib.sha256("|".join((str(self.seed), *parts)).encode()).digest()
        return int.from_bytes(digest[:8], "big") % 1000

    def fate(self, channel: str, to: str, template: str) -> str:
        """What this recipient's message of this kind meets; `well` for most."""
        drawn = self.draw(channel, to, template)
        for fate, share in self.fates[channel].items():
            if drawn < share:
                return fate
            drawn -= share
        return "well"

    def entry(self, channel: str, key: str, to: str, template: str) -> Kept:
        """The key's entry, made on first sight."""
        found = self.kept[channel].get(key)
        if found is None:
            name = hashlib.sha256(f"{channel}|{key}".encode()).hexdigest()[:24]
            found = Kept(id=name, draw=self.draw("delivery", channel, to, template))
            self.kept[channel][key] = found
            self.by_id[name] = key
        found.received += 1
        return found

    def take(self, entry: Kept, text: str, *, once: bool = True) -> None:
        """Hands the message on; a gateway that knows keys does it once."""
        if once and entry.taken:
            return
        entry.taken += 1
        if self.keep_texts:
            entry.texts.append(text)

    def receipts(self) -> dict[str, Any]:
        """Counts per channel, and every key that went out to a customer more than once."""
        return {
            "channels": {
                channel: {
                    "keys": len(kept),
                    "received": sum(one.received for one in kept.values()),
                    "taken": sum(one.taken for one in kept.values()),
                    "not_taken": sum(not one.taken for one in kept.values()),
                }
                for channel, kept in self.kept.items()
            },
            "repeated": sorted(
                key for kept in self.kept.values() for key, one in kept.items() if one.taken > 1
            ),
            "troubles": dict(sorted(self.met.items())),
        }


class BreakOff(Response):
    """An answer that begins and never ends; the server closes the connection after it."""

    def __init__(self, after: float = 0.0) -> None:
        super().__init__(status_code=202)
        self.after = after

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(self.after)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"64")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})


def _problem(status: int, code: str) -> JSONResponse:
    return JSONResponse({"code": code}, status_code=status)


def create_app(gateways: Gateways) -> FastAPI:
    """SMS gateway under `/messages`, app webhook under `/push`, counts under `/receipts`."""
    app = FastAPI(title="message gateways of the demo", docs_url=None, redoc_url=None)

    @app.post("/messages", response_model=None)
    async def send_sms(body: dict[str, Any], idempotency_key: Annotated[str, Header()]) -> Response:
        return await _receive(gateways, "sms", idempotency_key, body)

    @app.post("/push", response_model=None)
    async def send_app(body: dict[str, Any], idempotency_key: Annotated[str, Header()]) -> Response:
        return await _receive(gateways, "app", idempotency_key, body)

    @app.get("/messages/by-key/{key}", response_model=None)
    async def sms_by_key(key: str) -> Response:
        return _by_key(gateways, "sms", key)

    @app.get("/push/by-key/{key}", response_model=None)
    async def app_by_key(key: str) -> Response:
        return _by_key(gateways, "app", key)

    @app.get("/messages/{message_id}", response_model=None)
    async def report(message_id: str) -> Response:
        return _report(gateways, message_id)

    @app.get("/receipts")
    async def receipts() -> dict[str, Any]:
        return gateways.receipts()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


async def _receive(gateways: Gateways, channel: str, key: str, body: dict[str, Any]) -> Response:
    """A message to hand on, once for each key."""
    to, template = str(body.get("to", "")), str(body.get("template", ""))
    if not to or not body.get("text"):
        return _problem(422, "incomplete")
    entry = gateways.entry(channel, key, to, template)
    if entry.taken:  # known: nothing goes out again
        return BreakOff() if _cannot_tell(entry) else _answer(channel, entry)
    fate = gateways.fate(channel, to, template)
    if fate != "well" and entry.received == 1:
        gateways.met[f"{channel}:{fate}"] += 1
    await asyncio.sleep(gateways.draw("latency", to, template) / 50_000)  # up to 20 ms
    if fate in ("unknown-number", "no-device"):
        return _problem(422, fate)
    if fate == "busy-once" and entry.received == 1:
        return _problem(503, "busy")
    gateways.take(entry, str(body["text"]))
    entry.silent = fate == "silent"
    if fate in ("late", "broken", "silent"):
        return BreakOff(after=gateways.late_seconds if fate == "late" else 0.0)
    return _answer(channel, entry)


def _by_key(gateways: Gateways, channel: str, key: str) -> Response:
    """What became of a key, for a client that heard nothing."""
    entry = gateways.kept[channel].get(key)
    if entry is None or not entry.taken:
        return _problem(404, "unknown-key")
    entry.asked += 1
    return _problem(503, "index-away") if _cannot_tell(entry) else _answer(channel, entry)


def _cannot_tell(entry: Kept) -> bool:
    return entry.silent and entry.asked <= SILENT_ASKS


def _answer(channel: str, entry: Kept) -> Response:
    # an app's device answers at once; a handset's report has to be asked for
    status = "delivered" if channel == "app" else "accepted"
    return JSONResponse({"id": entry.id, "status": status}, status_code=202)


def _report(gateways: Gateways, message_id: str) -> Response:
    """The delivery report of an SMS; some come late, some say that it did not arrive."""
    key = gateways.by_id.get(message_id)
    if key is None:
        return _problem(404, "unknown-id")
    entry = gateways.kept["sms"][key]
    entry.looks += 1
    if entry.looks <= entry.draw % 3:  # 0, 1 or 2 looks too early
        return JSONResponse({"status": "accepted"})
    failed = entry.draw < gateways.undelivered_per_thousand
    return JSONResponse({"status": "failed" if failed else "delivered"})


class MailServer:
    """The mail server's answers; it knows no keys and hands on whatever it is given."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways
        self._refused: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Refuses some mailboxes for good and some for now."""
        drawn = self._gateways.fate("email", address, "")
        if drawn == "no-mailbox":
            self._gateways.met["email:no-mailbox"] += 1
            return "550 5.1.1 no such mailbox"
        if drawn == "busy-once" and not self._refused[address]:
            self._refused[address] += 1
            self._gateways.met["email:busy-once"] += 1
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Takes the mail; sometimes the connection ends before the answer."""
        content = envelope.content
        mail = message_from_bytes(content if isinstance(content, bytes) else b"", policy=POLICY)
        to, key = envelope.rcpt_tos[0], str(mail["Message-ID"]).strip("<>").partition("@")[0]
        entry = self._gateways.entry("email", key, to, "")
        text = mail.get_content() if self._gateways.keep_texts else ""
        self._gateways.take(entry, text, once=False)
        if self._gateways.fate("email", to, "") == "silent" and entry.received == 1:
            self._gateways.met["email:silent"] += 1
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 OK"


async def start_mail(gateways: Gateways, host: str, port: int) -> asyncio.Server:
    """The mail server, listening; port 0 takes a free one."""
    handler = MailServer(gateways)
    return await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="gateway.invalid", enable_SMTPUTF8=True), host, port
    )


async def serve(gateways: Gateways, host: str, port: int, smtp_port: int) -> None:
    """All three, until SIGTERM or SIGINT."""
    mail = await start_mail(gateways, host, smtp_port)
    http = uvicorn.Server(
        uvicorn.Config(
            create_app(gateways),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
    )
    try:
        await http.serve()
    finally:
        mail.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The demo's SMS gateway, app webhook, mail server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="SMS gateway and app webhook")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-trouble", action="store_true", help="everything goes well")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what libraries log may hold addresses
    gateways = Gateways(seed=asked.seed)
    if asked.no_trouble:
        gateways.fates = {channel: {} for channel in gateways.fates}
        gateways.undelivered_per_thousand = 0
    asyncio.run(serve(gateways, asked.host, asked.port, asked.smtp_port))


if __name__ == "__main__":
    main()
