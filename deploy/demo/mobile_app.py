"""The bank's app, played as what it is to the office: a partner that hands in applications.

    async with MobileApp.open(settings, keys, clock) as app:
        event_id = await app.submit("APP-1", form, [("work_proof", picture, date(2026, 10, 8))])
        answer = await app.answer(event_id)

A form is what intake's API takes; personal data leave the app only as JWE to the office's key.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx

from deploy.demo.papers import pdf
from deploy.demo.plan import MALFORMED
from deploy.partner_link import Headers, Heard, PartnerLink, open_link
from shared.clock import Clock
from shared.events.catalog import partner_source
from shared.events.envelope import Envelope, encode
from shared.events.intake import ApplicationStatusChanged, InboundAccepted, InboundRejected
from shared.events.partners import (
    PartnerApplicationSubmitted,
    PartnerDocument,
    PartnerDocumentSupplied,
    PartnerEvent,
    PartnerParty,
    PartnerWithdrawalRequested,
)
from shared.identifiers import new_id
from shared.privacy.jwe import encrypt
from shared.settings import Settings

PARTNER = "mobile-app"
KEYS = "/intake/api/v1/keys"
ANSWER_SECONDS = 120.0

Documents = Sequence[tuple[str, bytes, date | None]]
"""Papers as (item of the checklist, content, date of issue where it bears one)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the office said to one event. `codes`: of a refusal, its own and each problem's."""

    accepted: bool
    applied: bool = False
    application_id: str = ""
    application_number: str = ""
    state: str = ""
    codes: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()


class NoAnswerError(RuntimeError):
    """The office has not answered an event in time."""


async def fetch_keys(office: str) -> dict[str, Any]:
    """The office's public JWK set; `office` is where the gateway or intake answers HTTP.

    Raises httpx.HTTPError.
    """
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.get(office.rstrip("/") + KEYS)
        answer.raise_for_status()
        return dict(answer.json())


@dataclass(slots=True)
class MobileApp:
    """The app's side of the conversation. `answers`: by event id, in the order in which they came;
    those under "" are to events whose id could not be read. `statuses`: by reference."""

    link: PartnerLink
    keys: Mapping[str, Any]
    clock: Clock
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, list[ApplicationStatusChanged]] = field(
        default_factory=lambda: defaultdict(list)
    )
    sent: dict[str, str] = field(default_factory=dict)  # {event id: reference}
    _heard: set[str] = field(default_factory=set)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, keys: Mapping[str, Any], clock: Clock
    ) -> AsyncIterator[MobileApp]:
        """The app on a broker, under its own user; `keys` is the office's public JWK set.

        It hears everything that the office ever said to it. Raises KafkaError.
        """
        async with open_link(settings, PARTNER) as link:
            yield cls(link, keys, clock)

    # -- what customers do

    async def submit(
        self,
        reference: str,
        form: Mapping[str, Any],
        documents: Documents = (),
    ) -> str:
        """Hand in an application; gives the event's id."""
        return await self.send(self.application(reference, form, documents))

    async def supply(self, reference: str, documents: Documents) -> str:
        """Hand in papers that were missing."""
        payload = PartnerDocumentSupplied(reference=reference, documents=self._papers(documents))
        return await self.send(payload)

    async def withdraw(self, reference: str) -> str:
        """Take the application back."""
        return await self.send(PartnerWithdrawalRequested(reference=reference))

    def application(
        self, reference: str, form: Mapping[str, Any], documents: Documents = ()
    ) -> PartnerApplicationSubmitted:
        """The form of intake's API as a partner's event, personal fields encrypted."""
        return PartnerApplicationSubmitted(
            reference=reference,
            branch=form["branch"],
            product=form["product"],
            applicant_type=form["applicant_type"],
            parties=[self._party(party) for party in form["parties"]],
            consent=form.get("consent"),
            requested_limit=form.get("requested_limit"),
            documents=self._papers(documents),
        )

    def _party(self, party: Mapping[str, Any]) -> PartnerParty:
        fields = {
            name: value for name, value in party.items() if name != "role" and value is not None
        }
        return PartnerParty(
            role=party["role"], personal=encrypt(json.dumps(fields, ensure_ascii=False), self.keys)
        )

    def _papers(self, documents: Documents) -> list[PartnerDocument]:
        return [
            PartnerDocument(item=item, content=encrypt(content, self.keys), issued_on=issued_on)
            for item, content, issued_on in documents
        ]

    async def send(self, payload: PartnerEvent, *, event_id: str = "") -> str:
        """Publish it; gives its id. The same payload under the same `event_id` is the same event,
        as after a broken connection; encrypted anew it would be another one."""
        headers = self._headers(payload.type, payload.reference, event_id or new_id())
        body = payload.model_dump_json(exclude_none=True).encode()
        return await self._send_as(payload.reference, headers, body)

    async def _send_as(
        self, reference: str, headers: Sequence[tuple[str, bytes]], body: bytes
    ) -> str:
        event_id = dict(headers)["ce_id"].decode()
        await self.link.send(body, key=reference, headers=headers)
        self.sent[event_id] = reference
        return event_id

    def _headers(
        self, kind: str, reference: str, event_id: str, source: str = ""
    ) -> list[tuple[str, bytes]]:
        return encode(
            Envelope(
                id=event_id,
                type=kind,
                source=source or partner_source(PARTNER),
                subject=reference,
                time=self.clock.now(),
            )
        )

    # -- what an app in bad order does

    async def send_raw(self, value: bytes | None, *, key: str | None, headers: Headers) -> None:
        """Write any record at all."""
        await self.link.send(value, key=key, headers=headers)

    async def send_malformed(
        self, kind: str, reference: str, form: Mapping[str, Any], *, event_id: str = ""
    ) -> str:
        """Send an event that is wrong in one way and has to be refused once; gives its id, or ""
        where the office can read none. `kind` is one of `MALFORMED`; for `same-id-other-content`,
        `event_id` is that of an event that was taken, by default of the last one."""
        if kind not in MALFORMED:
            raise ValueError(f"{kind!r} is not among {', '.join(MALFORMED)}")
        if kind == "same-id-other-content":
            event_id = event_id or self._last_taken()
            reference = self.sent[event_id]
        payload = self.application(reference, form)
        data: dict[str, Any] = payload.model_dump(mode="json", exclude_none=True)
        event, source = payload.type, ""
        if kind == "unknown-type":
            event = "banka.partner-application.revoked.v1"
        elif kind == "unknown-application":
            event, data = (
                PartnerDocumentSupplied.type,
                {
                    "reference": reference,
                    "documents": [
                        {"item": "id_front", "content": encrypt(pdf(["id_front"]), self.keys)}
                    ],
                },
            )
        elif kind == "wrong-source":
            source = partner_source("card-factory")
        else:
            _spoil(data, kind, form)
        headers = self._headers(event, reference, event_id or new_id(), source)
        body = json.dumps(data, ensure_ascii=False).encode()
        if kind == "not-json":
            body = body[:-1]
        if kind in _NAMELESS:
            await self.link.send(
                None if kind == "no-content" else body,
                key=reference,
                headers=headers if kind == "no-content" else _NAMELESS[kind],
            )
            return ""
        return await self._send_as(reference, headers, body)

    def _last_taken(self) -> str:
        taken = [
            event_id
            for event_id in self.sent
            if any(answer.accepted for answer in self.answers.get(event_id, ()))
        ]
        if not taken:
            raise ValueError("no event of this app has been taken yet")
        return taken[-1]

    # -- what the office says

    async def answer(
        self, event_id: str, seconds: float = ANSWER_SECONDS, *, nth: int = 1
    ) -> Answer:
        """The answer to an event, or the `nth` where it was sent more than once.

        Raises NoAnswerError when it does not come in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while len(self.answers.get(event_id, ())) < nth:
                    await self._hear(0.2)
        except TimeoutError:
            raise NoAnswerError(f"no answer to {event_id} within {seconds:.0f} s") from None
        return self.answers[event_id][nth - 1]

    async def gather(self) -> None:
        """Take in everything that the office has said so far. Raises KafkaError."""
        while await self.link.lag():
            await self._hear(0.2)

    async def _hear(self, seconds: float) -> None:
        # one reads for all; whoever waited looks at what came before it reads itself
        waited = self._reading.locked()
        async with self._reading:
            if waited:
                return
            for heard in await self.link.hear(seconds):
                self._take(heard)

    def _take(self, heard: Heard) -> None:
        envelope, data = heard.envelope, heard.data
        if envelope.type == ApplicationStatusChanged.type:
            if envelope.id not in self._heard:
                status = ApplicationStatusChanged.model_validate(data)
                self.statuses[status.partner_reference].append(status)
        elif envelope.type == InboundAccepted.type:
            accepted = InboundAccepted.model_validate(data)
            self.answers[accepted.partner_event_id].append(
                Answer(
                    True,
                    accepted.applied,
                    accepted.application_id,
                    accepted.application_number,
                    accepted.state,
                )
            )
        elif envelope.type == InboundRejected.type:
            rejected = InboundRejected.model_validate(data)
            codes = dict.fromkeys((rejected.code, *(one.code for one in rejected.problems)))
            self.answers[rejected.partner_event_id or ""].append(
                Answer(
                    False,
                    codes=tuple(codes),
                    pointers=tuple(one.pointer for one in rejected.problems),
                )
            )
        self._heard.add(envelope.id)


def _spoil(data: dict[str, Any], kind: str, form: Mapping[str, Any]) -> None:
    """Make an application wrong that was right."""
    person = form["parties"][0]
    if kind == "missing-fields":
        del data["parties"], data["branch"]
    elif kind == "clear-personal-data":
        data["parties"][0]["name"] = person["name"]
    elif kind == "clear-in-place-of-jwe":
        data["parties"][0]["personal"] = json.dumps(person, ensure_ascii=False)
    elif kind == "unknown-field":
        data["loyalty_level"] = "gold"
    elif kind == "unknown-branch":
        data["branch"] = "0000"


# Records from which no event id can be read, and their headers where these are at fault.
_NAMELESS: dict[str, Headers] = {
    "no-headers": (),
    "empty-header": (("ce_specversion", b"1.0"), ("ce_id", None)),
    "no-content": (),
}
