"""The plan's customers who use the bank's app: what they do becomes events, answers come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx

from deploy.demo.customers import Ledger, Taken, UnexpectedAnswerError
from deploy.demo.handed_in import PURPOSE, content, personal
from deploy.demo.people import Person
from deploy.demo.plan import Action, Application, Malformed, Paper
from deploy.demo.site import Site
from deploy.partner_link import Heard, PartnerLink, open_link, settings_for
from shared.clock import format_instant
from shared.events import intake, partners
from shared.events.catalog import partner_source
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.privacy import jwe

NAME = "mobile-app"
_ANSWER_SECONDS = 30.0


class MobileChannel:
    """The app: writes events under its own name, and waits for the answer to each."""

    def __init__(self, link: PartnerLink, ledger: Ledger, keys: dict[str, Any]) -> None:
        self._link = link
        self._ledger = ledger
        self._keys = keys
        self._asked: dict[str, asyncio.Future[Heard]] = {}
        self._first: str | None = None  # id of an event that was taken

    @classmethod
    @asynccontextmanager
    async def connected(cls, site: Site, ledger: Ledger) -> AsyncIterator[MobileChannel]:
        """Connected to the broker, with the office's public keys."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            keys = (await client.get(f"{site.gateway}/intake/api/v1/keys")).json()
        async with open_link(settings_for(site.stack, NAME), NAME) as link:
            app = cls(link, ledger, keys)
            listening = asyncio.create_task(app._listen())
            try:
                yield app
            finally:
                listening.cancel()

    # what customers do

    async def apply(self, application: Application, now: datetime) -> None:
        action = application.actions[0]
        kind = partners.PartnerApplicationSubmitted.type
        await self._ask(application, action, kind, self._application(application, now), now)

    async def supply(self, application: Application, action: Action) -> None:
        body = {
            "reference": _reference(application.key),
            "documents": [self._paper(paper, application.key) for paper in action.papers],
        }
        kind = partners.PartnerDocumentSupplied.type
        await self._ask(application, action, kind, body, action.at)

    async def withdraw(self, application: Application, action: Action) -> None:
        body = {"reference": _reference(application.key)}
        kind = partners.PartnerWithdrawalRequested.type
        await self._ask(application, action, kind, body, action.at)

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
        source, event_id = partner_source(NAME), new_id()
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
                if self._first is None:
                    raw = b"[]"
                else:
                    event_id = self._first
        value = raw if raw is not None else json.dumps(body).encode()
        await self._write(event_id, kind, body["reference"], now, value, source=source)

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

    async def _ask(
        self,
        application: Application,
        action: Action,
        kind: str,
        body: dict[str, Any],
        now: datetime,
    ) -> None:
        """Write an event and hold its answer against the plan."""
        event_id, value = new_id(), json.dumps(body).encode()
        answer: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._asked[event_id] = answer
        await self._write(event_id, kind, body["reference"], now, value)
        if action.twice:
            await self._write(event_id, kind, body["reference"], now, value)
        what = f"{application.key} ({application.story}, mobile): {action.kind}"
        try:
            heard = await asyncio.wait_for(answer, _ANSWER_SECONDS)
        except TimeoutError:
            raise UnexpectedAnswerError(f"{what} was never answered") from None
        finally:
            self._asked.pop(event_id, None)
        if heard.envelope.type == intake.InboundAccepted.type:
            taken = intake.InboundAccepted.model_validate(heard.data)
            self._first = self._first or event_id
            self._ledger.taken.setdefault(
                application.key, Taken(taken.application_id, taken.application_number)
            )
            if action.refused:
                raise UnexpectedAnswerError(f"{what} was taken, not {action.refused}")
            return
        refusal = intake.InboundRejected.model_validate(heard.data)
        if action.kind == "apply":
            self._ledger.refused.add(application.key)
        codes = {refusal.code, *(problem.code for problem in refusal.problems)}
        if action.refused.upper().replace("-", "_") not in codes:
            raise UnexpectedAnswerError(f"{what} was refused: {' '.join(sorted(codes))}")

    async def _write(
        self,
        event_id: str,
        kind: str,
        reference: str,
        now: datetime,
        value: bytes,
        *,
        source: str = partner_source(NAME),
    ) -> None:
        self._ledger.requests["events of the app"] += 1
        envelope = Envelope(id=event_id, type=kind, source=source, subject=reference, time=now)
        await self._link.send(value, key=reference, headers=encode(envelope))

    async def _listen(self) -> None:
        while True:
            for heard in await self._link.hear():
                waiting = self._asked.get(str(heard.data.get("partner_event_id")))
                if waiting is not None and not waiting.done():
                    waiting.set_result(heard)


def _reference(key: str) -> str:
    return f"app-{key}"
