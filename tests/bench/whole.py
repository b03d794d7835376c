"""banka itself as the driver sees it: four services as processes, the bank's systems around them.

A lifecycle goes from the app's event (sealed form, six papers) through pre-check, three checks,
the policy's approval, limit and card order to a card in use. The customer is one of long standing,
whose first card came over from another system: everybody else waits for a person, and persons are
not what is measured. What the app would seal on the customer's phone is sealed before the
measurement begins; the driver also plays card factory and core banking, as it does for the
baseline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from random import Random
from typing import Any, Self

import asyncpg
import httpx

from deploy.demo.credit_systems import bureau_answer
from deploy.demo.handed_in import PURPOSE, SIGNED_BEFORE, party_form
from deploy.demo.mobile_app import PARTNER, MobileApp, fetch_keys
from deploy.demo.people import Crowd, Person
from deploy.demo.site import Clockwork, Site
from deploy.demo.staff import OPERATIONS, Desk
from deploy.local import Stack
from deploy.partner_link import PartnerLink, open_link, settings_for
from deploy.processes import GATEWAY, running
from deploy.provision import provision
from deploy.secret_files import make_channels
from shared.clock import SteppedClock, format_instant, step_clock
from shared.events.catalog import SERVICES, partner_source
from shared.events.envelope import Envelope, encode
from shared.events.intake import CardOrderRequested, InboundAccepted
from shared.events.partners import (
    PartnerApplicationSubmitted,
    PartnerCardActivated,
    PartnerCardDelivered,
    PartnerCardEvent,
    PartnerCardFirstUsed,
    PartnerCardPosted,
    PartnerCardProduced,
)
from shared.identifiers import new_id
from shared.postgres.pool import database_of
from shared.settings import Settings
from tests.end_to_end.town import import_customers, load_organisation
from tests.papers import picture

MORNING = datetime(2026, 10, 12, 1, 30, tzinfo=UTC)  # a Monday, 9:30 in Shanghai: messages may go
BRANCH, REGION = "1101", "11"
PAPERS = (
    "application_form_signed",
    "id_front",
    "id_back",
    "work_proof",
    "income_proof",
)
FACTORY, CORE = "card-factory", "core-banking"
_PROCESSES = ("credit-systems", "message-gateways", *SERVICES, GATEWAY)


class Whole:
    """banka on a stack that `Plain` may use, too."""

    name = "banka"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._open = AsyncExitStack()
        self._crowd = Crowd(Random(7), MORNING.date())
        self._prepared: dict[int, PartnerApplicationSubmitted] = {}
        self._taken: dict[str, str] = {}  # {reference: application}
        self._delivered: dict[str, str] = {}  # event id of a delivery: its card
        self._sending: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        make_channels(self._stack.secrets_dir)
        await provision(self._stack)
        clock_file = self._stack.folder / "clock"
        step_clock(clock_file, MORNING)
        environment = {"BANKA_ENVIRONMENT": "test", "BANKA_CLOCK_FILE": str(clock_file)}
        enter = self._open.enter_async_context
        office = self._office = await enter(
            running(self._stack, names=_PROCESSES, extra_env=environment)
        )
        await load_organisation(office)
        keys = await fetch_keys(office.url(GATEWAY))
        self._clock = SteppedClock(clock_file)
        site = Site(
            stack=self._stack,
            gateway=office.url(GATEWAY),
            machines={name: office.url(name) for name in SERVICES},
            credit_systems=office.url("credit-systems"),
            message_gateways=office.url("message-gateways"),
            clock_file=clock_file,
        )
        client = await enter(httpx.AsyncClient(trust_env=False, timeout=30))
        self._clockwork = Clockwork(site, client, MORNING)
        self._operations = await Desk.sign_in(office.url(GATEWAY), OPERATIONS)
        self._open.push_async_callback(self._operations.close)
        self._app = await enter(MobileApp.open(self._settings(PARTNER), keys, self._clock))
        self._factory = await enter(open_link(self._settings(FACTORY), FACTORY, from_now=True))
        self._core = await enter(open_link(self._settings(CORE), CORE, from_now=True))
        databases = [self._stack.superuser_url(database_of(n)) for n in ("intake", "reporting")]
        self._intake, self._reporting = [
            await enter(asyncpg.create_pool(url, min_size=1, max_size=1)) for url in databases
        ]
        playing = asyncio.create_task(self._play_cards())
        self._open.push_async_callback(_end, playing)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def _settings(self, partner: str) -> Settings:
        return settings_for(self._stack, partner)

    async def prepare(self, first: int, lifecycles: int) -> None:
        """Make customers of long standing, and seal what they will hand in."""
        people = [self._creditworthy() for _ in range(lifecycles)]
        await import_customers(self._operations, people, BRANCH, MORNING)
        await self._clockwork.settle()  # what the import set off is nobody's lifecycle
        for nth, person in enumerate(people, start=first):
            papers = [(item, picture(f"{item} {nth}"), MORNING.date()) for item in PAPERS]
            self._prepared[nth] = self._app.application(_reference(nth), self._form(person), papers)

    def _form(self, person: Person) -> dict[str, object]:
        return {
            "branch": BRANCH,
            "product": "gold",
            "applicant_type": "existing_customer",
            "parties": [party_form("applicant", person)],
            "consent": {"signed_at": format_instant(MORNING - SIGNED_BEFORE), "purpose": PURPOSE},
        }

    def _creditworthy(self) -> Person:
        """Somebody whom the policy approves without a person."""
        while True:
            person = self._crowd.make(REGION, work_region=REGION, ages=(27, 50))
            known = bureau_answer(person.id_number)
            if known["score"] >= 740 and not known["other_bank_limits"] and known["queries_3m"] < 3:
                return person

    async def submit(self, nth: int) -> str:
        """Hand in one application and do not wait for the broker, as an app under load would."""
        self._begin(self._app.send(self._prepared.pop(nth)))
        return _reference(nth)

    async def finished(self, keys: Collection[str]) -> Sequence[str]:
        """References of applications whose card is in use on reporting's page."""
        known = await self._intake.fetch(
            "SELECT partner_reference, application_id FROM application"
            " WHERE partner = $1 AND partner_reference = ANY ($2::text[])",
            PARTNER,
            [key for key in keys if key not in self._taken],
        )
        self._taken |= {row["partner_reference"]: row["application_id"] for row in known}
        references = {self._taken[key]: key for key in keys if key in self._taken}
        rows = await self._reporting.fetch(
            "SELECT application_id FROM projection.application"
            " WHERE state = 'in_use' AND application_id = ANY ($1)",
            list(references),
        )
        return [references[row["application_id"]] for row in rows]

    async def hops(self, keys: Collection[str]) -> Sequence[float]:
        """Not told: no service keeps when it applied what."""
        return []

    def processes(self) -> Mapping[str, int]:
        """Everything that runs for the office."""
        return self._office.pids

    async def _play_cards(self) -> None:
        """A card is made, posted and delivered as soon as it is ordered, and used as soon as the
        office knows that it was delivered."""
        while True:
            for heard in await self._factory.hear(0.05):
                if heard.envelope.type == CardOrderRequested.type:
                    card = CardOrderRequested.model_validate(heard.data).card_id
                    for kind in (PartnerCardProduced, PartnerCardPosted):
                        self._tell(self._factory, kind, card)
                    self._delivered[self._tell(self._factory, PartnerCardDelivered, card)] = card
                elif heard.envelope.type == InboundAccepted.type:
                    accepted = InboundAccepted.model_validate(heard.data)
                    delivered = self._delivered.pop(accepted.partner_event_id, "")
                    if delivered:
                        for use in (PartnerCardActivated, PartnerCardFirstUsed):
                            self._tell(self._core, use, delivered)

    def _tell(self, link: PartnerLink, kind: type[PartnerCardEvent], card: str) -> str:
        envelope = Envelope(
            id=new_id(),
            type=kind.type,
            source=partner_source(link.partner),
            subject=card,
            time=self._clock.now(),
        )
        body = kind(reference=card).model_dump_json().encode()
        self._begin(link.send(body, key=card, headers=encode(envelope)))
        return envelope.id

    def _begin(self, sending: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def _reference(nth: int) -> str:
    return f"bench-{nth}"


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
