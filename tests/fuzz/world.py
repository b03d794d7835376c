"""The whole office as processes, with a few cases in it: what is fuzzed, and how it is watched.

The fuzzers are not asynchronous, as hypothesis is not: they run in a thread, and ask the loop that
holds the office for what they need (`World.run`).
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import httpx
from confluent_kafka import Producer
from fastapi import FastAPI

from deploy.demo.customers import Ledger
from deploy.demo.reconcile import agreement, replay
from deploy.demo.records import read_records
from deploy.demo.staff import Desk
from deploy.local import Stack
from deploy.secret_files import read_secret
from services.intake.customer import COOKIE as CUSTOMER_COOKIE
from shared.clock import format_instant
from shared.events.catalog import SERVICES
from shared.postgres.pool import database_of
from shared.settings import Environment, Settings
from shared.web.access import CSRF_HEADER
from shared.web.session import COOKIE, Session, Signer
from tests.end_to_end.places import files, tables, topics
from tests.end_to_end.town import PAPERS, Town, open_town
from tests.fuzz.hostile import CANARY, made
from tests.fuzz.judging import Answer
from tests.fuzz.tally import Tally

T = TypeVar("T")
BRANCH = "1101"
TERMINAL = "branch-terminal"
CUSTOMER = "customer"  # who is in on their own page
STAFF = {
    "assistant": "A0001",
    "reviewer": "R0001",
    "risk": "K0001",
    "compliance": "C0001",
    "ops": "P0002",
    "manager": "M0001",
    "auditor": "U0001",
}
_TIMEOUT = 120.0  # seconds after which a request hangs; a machine may do other things too
_CASES = 4
_WANTING = 3

# What a refusal may not change; all of it is written within requests and by handlers of events.
_BOOKS = {
    "intake": (
        *("application", "application_file", "application_history", "document"),
        *("checklist_item", "checklist_change", "batch", "paper_reading", "paper_end"),
        *("early_withdrawal", "account_statement", "staff", "branch"),
    ),
    "review": (
        *("review_case", "case_file", "case_history", "decision", "appeal", "policy_release"),
        *("policy_shadow", "officer", "messaging.audit"),
    ),
    "notify": ("message", "application", "messaging.audit"),
    "reporting": ("projection.application", "messaging.audit"),
}


class World:
    """What the fuzzers send to, with what they may name."""

    def __init__(self, town: Town, pools: Mapping[str, asyncpg.Pool], tally: Tally) -> None:
        self.town = town
        self.stack: Stack = town.stack
        self.tally = tally
        self.keys: Mapping[str, Any] = town.app.keys
        self.ids: dict[str, list[str]] = defaultdict(list)
        self.references: list[str] = []
        self._pools = pools
        self._loop = asyncio.get_running_loop()
        self._signer = Signer(read_secret(self.stack.secrets_dir, "session-key").encode())
        self._token = read_secret(self.stack.secrets_dir, f"token-{TERMINAL}")
        self._epochs: dict[str, int] = {}
        self._refused: dict[str, tuple[str, str, str]] = {}  # {trace: (way, where, what was sent)}
        self._http = httpx.Client(timeout=_TIMEOUT, trust_env=False)
        self._apps: dict[str, FastAPI] = {}

    # -- the office's side ------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do it; from a fuzzer's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def rows(self, service: str, sql: str, *arguments: Any) -> list[Any]:
        """Rows of a service's database."""
        return list(self.run(self._pools[service].fetch(sql, *arguments)))

    def settle(self) -> None:
        """Wait until nothing is on its way."""
        self.run(self.town.settle())

    def now(self) -> str:
        return format_instant(self.town.clockwork.now)

    def url(self, service: str) -> str:
        return self.town.office.url(service)

    def app(self, service: str) -> FastAPI:
        """The service's routes, to read them; it is not started."""
        if service not in self._apps:
            settings = Settings(
                service=service,
                environment=Environment.TEST,
                kafka_bootstrap=self.stack.kafka_bootstrap,
                postgres_dsn=self.stack.postgres_dsn,
                secrets_dir=self.stack.secrets_dir,
                documents_url=self.stack.documents_url,
                clock_file=self.town.site.clock_file,
                **_elsewhere(self.url("credit-systems")),
            )
            self._apps[service] = importlib.import_module(f"services.{service}.app").build(settings)
        return self._apps[service]

    def described(self, service: str) -> dict[str, Any]:
        """The description of its API, as the service serves it."""
        answer = self._http.get(f"{self.url(service)}/{service}/api/v1/openapi.json")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    # -- who sends --------------------------------------------------------------------------------

    def token(self) -> dict[str, str]:
        """The headers of a channel."""
        return {"Authorization": f"Bearer {self._token}"}

    def session(self, who: str) -> dict[str, str]:
        """The headers of somebody who signed in just now, or of a customer who came in."""
        if who == CUSTOMER:
            return self._customer()
        session = Session.begin(STAFF[who], self._epochs[who], time.time())
        return {
            "Cookie": f"{COOKIE}={self._signer.seal(session)}",
            CSRF_HEADER: self._signer.form_token(session.nonce),
        }

    def _customer(self) -> dict[str, str]:
        """Whoever has most to bring; somebody else once their case went on."""
        ((application_id,),) = self.rows(
            "intake",
            "SELECT application_id FROM application"
            " ORDER BY state = 'awaiting_material' DESC, application_id DESC LIMIT 1",
        )
        token = secrets.token_urlsafe(16)
        digest = hashlib.sha256(token.encode()).digest()
        self.rows(
            "intake",
            "INSERT INTO customer_session (digest, application_id, began_at, seen_at)"
            " VALUES ($1, $2, now(), now())",
            digest,
            application_id,
        )
        return {
            "Cookie": f"{CUSTOMER_COOKIE}={token}",
            CSRF_HEADER: self._signer.form_token(f"customer {digest.hex()}"),
        }

    def send(self, method: str, url: str, **more: Any) -> Answer:
        """One request; a connection that breaks, or an answer that does not come, is status 599."""
        try:
            got = self._http.request(method, url, **more)
        except httpx.TransportError as error:
            return Answer(599, {"content-type": "text/plain"}, type(error).__name__.encode())
        headers = {name.lower(): value for name, value in got.headers.items()}
        return Answer(got.status_code, headers, got.content)

    def producer(self, partner: str) -> Producer:
        """A partner's own log-in on the broker."""
        return Producer({**self.stack.kafka_admin(partner), "message.max.bytes": 900_000})

    # -- what may not change ----------------------------------------------------------------------

    def books(self, service: str) -> str:
        """Another text whenever a row was added, changed or taken away."""
        parts = (f"(SELECT count(*) || '/' || coalesce(max(xmin::text::bigint), 0) FROM {table})"
                 for table in _BOOKS[service])  # fmt: skip
        ((found,),) = self.rows(service, f"SELECT concat_ws(' ', {', '.join(parts)})")
        return str(found)

    def unchanged_by_refusal(
        self, service: str, send: Callable[[], Answer], *, may_keep: Sequence[str] = ()
    ) -> tuple[Answer, list[str]]:
        """Send it, and see whether something changed although it was refused. What events do in the
        meantime looks the same: then it is sent again, when nothing is on its way. may_keep:
        refusals that keep something and say so."""
        before = self.books(service)
        answer = send()
        for _ in range(2):
            refused = answer.status >= 400 and answer.problem.get("code") not in may_keep
            if not refused or self.books(service) == before:
                return answer, []
            self.settle()
            before = self.books(service)
            answer = send()
        if answer.status < 400 or self.books(service) == before:
            return answer, []
        return answer, ["was refused and changed something"]

    def refused(self, answer: Answer, way: str, where: str, sent: object) -> None:
        """Remember a refusal: no event may come from it."""
        trace = answer.headers.get("x-request-id")
        if trace and answer.status >= 400:
            self._refused[trace] = (way, where, repr(sent))

    def forget(self, trace: str) -> None:
        """It was none."""
        self._refused.pop(trace, None)

    # -- at the end -------------------------------------------------------------------------------

    def judge_the_end(self) -> None:
        """Whatever shows only when all is over."""
        self.settle()
        self._judge_events()
        self._judge_services()
        self._judge_canaries()
        ((count,),) = self.rows("intake", "SELECT count(*) FROM application")
        for line in self.run(_disagreement(self.town)):
            self.tally.found("end", "the books", ["they do not agree"], line)
        self.tally.saw("end", "the books", f"{count} applications compared")

    def _judge_events(self) -> None:
        """No refusal published anything."""
        for service in SERVICES:
            told = self.rows(service, "SELECT type, attributes FROM messaging.event_log")
            for kind, attributes in told:
                traceparent = dict(json.loads(attributes)).get("traceparent") or "--"
                found = self._refused.get(traceparent.split("-")[1])
                if found is not None:
                    way, where, sent = found
                    self.tally.found(way, where, [f"was refused and published {kind}"], sent)
            self.tally.saw("end", f"events of {service}", "looked at", len(told))

    def _judge_services(self) -> None:
        for service in SERVICES:
            ready = self.send("GET", f"{self.url(service)}/readyz")
            faults = [] if ready.status == 200 else [f"is not ready: {ready.text[:300]}"]
            ((parked,),) = self.rows(service, "SELECT count(*) FROM messaging.parked_event")
            rows = self.rows(service, "SELECT reason FROM messaging.blocked_key LIMIT 5")
            if parked or rows:
                faults.append(f"{parked} events are parked: {[row['reason'] for row in rows]}")
            self.tally.found("end", service, faults, "")
            log = self.town.office.log(service).read_text(encoding="utf-8", errors="replace")
            crashed = [line for line in log.splitlines() if '"request failed"' in line]
            self.tally.found("end", service, ["a request failed"] * bool(crashed), crashed[:1])
            self.tally.saw("end", service, "readiness, parking lot and log looked at")

    def _judge_canaries(self) -> None:
        """Nothing that was sent as a person's own lies anywhere in clear, but where it came in."""
        marks = (CANARY, CANARY.lower())
        written = [*topics(self.stack), *self.run(tables(self.stack)), *files(self.stack)]
        places: Counter[str] = Counter()
        for place, content in written:
            places[place.partition("/")[0].partition(".")[0]] += 1
            if place.startswith("banka.inbound."):
                continue  # what a partner wrote there in clear is his doing, and goes no further
            text = _readable(content)
            if any(mark in text for mark in marks):
                where = text.index(next(mark for mark in marks if mark in text))
                shown = text[max(0, where - 150) : where + 100]
                self.tally.found("end", place, ["what was sent lies there in clear"], shown)
        for place, count in places.items():
            self.tally.saw("end", f"clear text in {place}", "looked at", count)


async def _disagreement(town: Town) -> list[str]:
    """What the demo's reconciliation says of records alone and does not hold."""
    records = await read_records(town.stack)
    # partners repeat themselves here, are answered again, and send what is no event at all
    records.repeated.clear()
    for topic in [one for one in records.unreadable if one.startswith("banka.inbound.")]:
        del records.unreadable[topic]
    outcome = replay(records, Ledger(), seed=town.office.seed)
    url = f"{town.site.message_gateways}/receipts"
    receipts = (await town.clockwork.client.get(url)).json()
    lines = agreement(records, outcome, receipts)
    return [f"{line.statement}: {line.differences}" for line in lines if not line.holds]


def _readable(content: object) -> str:
    if isinstance(content, bytes):
        return content.decode("utf-8", "replace")
    if isinstance(content, tuple | list):
        return " ".join(map(_readable, content))
    return str(content)


def _elsewhere(url: str) -> dict[str, Any]:
    names = ("identity_url", "bureau_url", "watchlist_url", "sms_url", "app_message_url")
    return {**dict.fromkeys(names, url), "smtp_host": "127.0.0.1"}


@asynccontextmanager
async def open_world(stack: Stack, tally: Tally) -> AsyncIterator[World]:
    """The office with some cases: in review, waiting for papers, with a card, as a draft."""
    async with AsyncExitStack() as closing:
        town = await closing.enter_async_context(open_town(stack))
        pools = {}
        for service in SERVICES:
            pool = asyncpg.create_pool(
                stack.superuser_url(database_of(service)), min_size=1, max_size=2
            )
            pools[service] = await closing.enter_async_context(pool)
        world = World(town, pools, tally)
        await _fill(world)
        yield world


async def _fill(world: World) -> None:
    town = world.town
    for row in await world._pools["intake"].fetch("SELECT staff_id, session_epoch FROM staff"):
        for who, staff_id in STAFF.items():
            if staff_id == row["staff_id"]:
                world._epochs[who] = row["session_epoch"]
    for number in range(_CASES):
        reference = f"FUZZ-{number}"
        world.references.append(reference)
        await town.apply(reference, town.person(BRANCH), BRANCH)
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers=world.token()) as client:
        for submit in (True, False):
            form = {**town.form(BRANCH, town.person(BRANCH)), "submit": submit}
            url = f"{world.url('intake')}/intake/api/v1/applications"
            (await client.post(url, json=form)).raise_for_status()
        for _ in range(_WANTING):  # papers, a field and the consent, on the customer's own page
            form = {**town.form(BRANCH, town.person(BRANCH)), "submit": True, "consent": None}
            form["parties"][0]["office_phone"] = "1"
            (await client.post(url, json=form)).raise_for_status()
    async with httpx.AsyncClient(trust_env=False, headers=world.session("assistant")) as client:
        file = {"file": ("sheet.xlsx", made("good sheet"))}
        url = f"{world.url('intake')}/intake/batches"
        answer = await client.post(url, data={"branch": BRANCH}, files=file)
        assert answer.status_code == 303, answer.text
    await town.settle()
    await _approve(town)
    await town.settle()
    await learn(world)


async def _approve(town: Town) -> None:
    """The first case that a person may decide gets its card."""
    reviewer, signer = [await Desk.sign_in(town.gateway, who) for who in ("reviewer", "risk")]
    try:
        case = (await reviewer.cases("open"))[0]
        path = f"/review/api/v1/cases/{case['application_id']}"
        limit = {"minor": 1_000_000, "currency": "CNY"}
        opinion = {"outcome": "approve", "limit": limit, "note": "材料齐全，同意核发。"}
        for desk, step, body in (
            (reviewer, "claim", None),
            (reviewer, "decision", opinion),
            (signer, "signature", {"outcome": "confirmed"}),
        ):
            (await desk.post(f"{path}/{step}", body)).raise_for_status()
    finally:
        await reviewer.close()
        await signer.close()


async def learn(world: World) -> None:
    """What there is by now that a request may name, each kind by its path parameter."""
    for service, name, sql in (
        ("intake", "application_id", "SELECT application_id FROM application ORDER BY 1 LIMIT 40"),
        ("intake", "document_id", "SELECT document_id FROM document ORDER BY 1 LIMIT 10"),
        ("intake", "batch_id", "SELECT batch_id FROM batch WHERE rows < 50 ORDER BY 1 LIMIT 10"),
        ("intake", "card_id", "SELECT card_id FROM application WHERE card_id IS NOT NULL"),
        ("notify", "message_id", "SELECT message_id::text FROM message ORDER BY 1 LIMIT 10"),
        ("review", "digest", "SELECT digest FROM policy_archive ORDER BY 1"),
        ("review", "run_id", "SELECT run_id FROM portfolio_run ORDER BY asked_at LIMIT 10"),
    ):
        world.ids[name] = [str(row[0]) for row in await world._pools[service].fetch(sql)]
    today = world.town.clockwork.now.date().isoformat()
    world.ids |= {
        "party": ["applicant", "holder"],
        "item": list(PAPERS),
        "day": [today],
        "kind": ["csv", "xlsx"],
        "number": ["1", "2"],
        "key": ["received"],
        "table_id": world.ids["batch_id"],
        "role": ["applicant"],
        "field": ["mobile", "name"],
    }


Fuzz = Callable[[World], None]


async def fuzz(world: World, *fuzzers: Fuzz, judge: bool = True) -> None:
    """Each in turn, beside the loop that the office needs; then the end is judged."""
    for one in fuzzers:
        await asyncio.to_thread(one, world)
        await learn(world)
    if judge:
        await asyncio.to_thread(world.judge_the_end)
