"""The plan's customers who use the bank's app: what they do becomes events, answers come back.

`MobileApp` speaks with the broker; here the plan is put into its words, and its answers are held
against the plan.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from deploy.demo.customers import Ledger, Taken
from deploy.demo.handed_in import PURPOSE, content, personal
from deploy.demo.people import Person
from deploy.demo.plan import Action, Application, Malformed, Paper
from deploy.demo.site import Site
from shared.clock import format_instant
from shared.events import intake, partners
from shared.events.catalog import partner_source
from shared.events.envelope import Envelope, decode, encode
from shared.identifiers import new_id
from shared.privacy import jwe

NAME = "mobile-app"
INBOUND, OUTBOUND = f"banka.inbound.{NAME}", f"banka.outbound.{NAME}"
_ANSWER_SECONDS = 30.0


class MobileChannel:
    """The app: sends events under its own user and remembers what it asked."""

    def __init__(self, site: Site, ledger: Ledger, keys: dict[str, Any]) -> None:
        own = site.stack.kafka_admin(NAME)
        self._producer = Producer({**own, "linger.ms": 5, "acks": "all"})
        self._consumer = Consumer({**own, "group.id": f"{NAME}.demo", "enable.auto.commit": False})
        self._partitions = site.stack.partitions
        self._ledger = ledger
        self._keys = keys
        # by event id: (application's key, what was asked, code of a planned refusal)
        self._asked: dict[str, tuple[str, str, str]] = {}
        self._sent: dict[str, bytes] = {}

    @classmethod
    @asynccontextmanager
    async def connected(cls, site: Site, ledger: Ledger) -> AsyncIterator[MobileChannel]:
        """Connected to the broker, with the office's public keys."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            keys = (await client.get(f"{site.gateway}/intake/api/v1/keys")).json()
        app = cls(site, ledger, keys)
        app._consumer.assign(
            [TopicPartition(OUTBOUND, part, OFFSET_BEGINNING) for part in range(app._partitions)]
        )
        try:
            yield app
        finally:
            await asyncio.to_thread(app._consumer.close)

    # what customers do

    async def apply(self, application: Application, now: datetime) -> None:
        action = application.actions[0]
        body = self._application(application, now)
        event_id = self._send(
            application.key, partners.PartnerApplicationSubmitted.type, body, now, action
        )
        if action.twice:
            self._produce(
                event_id, partners.PartnerApplicationSubmitted.type, body["reference"], now,
                self._sent[event_id],
            )  # fmt: skip

    async def supply(self, application: Application, action: Action) -> None:
        body = {
            "reference": _reference(application.key),
            "documents": [self._paper(paper, application.key) for paper in action.papers],
        }
        self._send(application.key, partners.PartnerDocumentSupplied.type, body, action.at, action)

    async def withdraw(self, application: Application, action: Action) -> None:
        body = {"reference": _reference(application.key)}
        kind = partners.PartnerWithdrawalRequested.type
        self._send(application.key, kind, body, action.at, action)

    async def send_malformed(self, malformed: Malformed, now: datetime) -> None:
        """An event that is wrong in one way; it has to be answered and nothing more."""
        key = f"wrong-{malformed.kind}"
        kind: str = partners.PartnerApplicationSubmitted.type
        body: dict[str, Any] = {
            "reference": _reference(key),
            "branch": malformed.branch.code,
            "product": "standard",
            "applicant_type": "salaried",
            "parties": [{"role": "applicant", "personal": self._personal(malformed.person)}],
            "consent": {"signed_at": format_instant(now), "purpose": PURPOSE},
        }
        source = partner_source(NAME)
        raw: bytes | None = None
        match malformed.kind:
            case "not-json":
                raw = b'{"reference": "broken'
            case "unknown-type":
                kind = "banka.partner-wish.uttered.v1"
            case "clear-personal-data":
                body["parties"] = [{"role": "applicant", "personal": malformed.person.name}]
            case "unknown-field":
                body["loyalty"] = "gold"
            case "wrong-source":
                source = partner_source("card-factory")
            case "unknown-branch":
                body["branch"] = "9999"
            case "unknown-application":
                kind = partners.PartnerDocumentSupplied.type
                paper = Paper("work_proof")
                body = {"reference": _reference(key), "documents": [self._paper(paper, key)]}
            case "same-id-other-content":
                event_id = next(iter(self._sent), "")
                if event_id:
                    self._produce(event_id, kind, body["reference"], now, json.dumps(body).encode())
                    return
                raw = b"[]"
        value = raw if raw is not None else json.dumps(body).encode()
        self._produce(new_id(), kind, body["reference"], now, value, source=source)

    async def gather_answers(self) -> None:
        """Wait for the answer to everything that was asked, and compare it with the plan."""
        await asyncio.to_thread(self._gather)

    # in events

    def _application(self, application: Application, now: datetime) -> dict[str, Any]:
        parties = [{"role": "applicant", "personal": self._personal(application.person)}]
        if application.holder is not None:
            parties.append(
                {"role": "supplementary_holder", "personal": self._personal(application.holder)}
            )
        body: dict[str, Any] = {
            "reference": _reference(application.key),
            "branch": application.branch.code,
            "product": application.product,
            "applicant_type": application.applicant_type,
            "parties": parties,
            "consent": {"signed_at": format_instant(now), "purpose": PURPOSE},
            "documents": [
                self._paper(paper, application.key) for paper in application.actions[0].papers
            ],
        }
        if application.requested_limit is not None:
            body["requested_limit"] = {"minor": application.requested_limit, "currency": "CNY"}
        return body

    def _personal(self, person: Person) -> str:
        fields = personal(person)
        fields.setdefault("id_expires", "9999-12-31")  # 长期
        return jwe.encrypt(json.dumps(fields, ensure_ascii=False), self._keys)

    def _paper(self, paper: Paper, owner: str) -> dict[str, str]:
        return {"item": paper.item, "content": jwe.encrypt(content(paper, owner), self._keys)}

    def _send(
        self, key: str, kind: str, body: dict[str, Any], now: datetime, action: Action
    ) -> str:
        event_id = new_id()
        value = json.dumps(body).encode()
        self._asked[event_id] = (key, action.kind, action.refused)
        self._sent[event_id] = value
        self._produce(event_id, kind, str(body["reference"]), now, value)
        return event_id

    def _produce(
        self, event_id: str, kind: str, reference: str, now: datetime, value: bytes,
        *, source: str = partner_source(NAME),
    ) -> None:  # fmt: skip
        envelope = Envelope(id=event_id, type=kind, source=source, subject=reference, time=now)
        self._producer.produce(INBOUND, key=reference, value=value, headers=encode(envelope))
        self._producer.poll(0)

    def _gather(self) -> None:
        self._producer.flush(_ANSWER_SECONDS)
        waited = 0.0
        while True:
            messages = self._consumer.consume(500, timeout=0.05 if self._asked else 0.0)
            for message in messages:
                if message.error() is None:
                    envelope, body = decode(message.headers() or (), message.value())
                    self._answered(envelope.type, json.loads(body))
            if not self._asked:
                return
            waited = 0.0 if messages else waited + 0.05
            if waited > _ANSWER_SECONDS:
                for key, what, _refused in self._asked.values():
                    self._ledger.surprises.append(f"{key} (mobile): {what} was never answered")
                self._asked.clear()

    def _answered(self, kind: str, body: dict[str, Any]) -> None:
        asked = self._asked.pop(str(body.get("partner_event_id")), None)
        if asked is None:
            return
        key, what, refused = asked
        if kind == intake.InboundAccepted.type:
            if refused:
                self._ledger.surprises.append(f"{key} (mobile): {what} was taken, not {refused}")
            self._ledger.taken.setdefault(
                key, Taken(body["application_id"], body["application_number"])
            )
            return
        codes = [body["code"], *(problem["code"] for problem in body.get("problems", []))]
        if what == "apply":
            self._ledger.refused.add(key)
        if not refused or not {refused, refused.upper().replace("-", "_")} & set(codes):
            self._ledger.surprises.append(f"{key} (mobile): {what} was refused: {' '.join(codes)}")


def _reference(key: str) -> str:
    return f"app-{key}"
