"""The card factory and core banking, played as what they are to the office: Kafka clients.

    python -m deploy.demo.partners --port 8301 --seed 7

Both read their orders, and tell of each card on the days that its fate says (`fates`), by the
business clock. They keep nothing: after a restart they read their topic from the beginning, where
an answer shows that a fact was told. A fact whose answer is missing is told again under the same
event id, which the office knows.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.responses import Response

from deploy.demo.fates import CORE, FACTORY, TROUBLES, Message, Trouble, fate_of, messages
from deploy.demo.statements import statements
from deploy.partner_link import Heard, PartnerLink, open_link
from shared.clock import Clock, ClockUnreadableError, format_instant, open_clock
from shared.events.catalog import partner_source
from shared.events.envelope import Envelope, encode
from shared.events.intake import CardOrderRequested, InboundAccepted, InboundRejected
from shared.settings import Settings, SettingsError, load_settings

PARTNERS = (FACTORY, CORE)
SAME_ID = "SAME_ID_OTHER_BODY"
_POLL_SECONDS = 0.05  # how often the business clock is looked at
_AGAIN_SECONDS = 0.5  # between attempts while the broker is away

log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    """A message that is not told yet; sorts by when it is due, then by when it was planned."""

    due: datetime
    number: int
    message: Message
    order: Envelope


@dataclass(slots=True)
class Played:
    """One partner: the orders it has, what it has told of them, and the answers it got."""

    name: str
    seed: int
    troubles: Mapping[Trouble, int] = field(default_factory=lambda: TROUBLES)
    link: PartnerLink | None = None
    caught_up: bool = False  # has read all that was said before it was started
    orders: set[str] = field(default_factory=set)
    planned: int = 0
    waiting: list[_Waiting] = field(default_factory=list)
    told: set[tuple[str, int]] = field(default_factory=set)
    met: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, bool] = field(default_factory=dict)  # event id: did it change anything
    rejected: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: Counter[str] = field(default_factory=Counter)  # how many came, by event id

    def hear(self, heard: Heard) -> None:
        """Take an order or an answer; anything may come twice."""
        if heard.envelope.type == CardOrderRequested.type:
            order = CardOrderRequested.model_validate(heard.data)
            if order.card_id not in self.orders:
                self.orders.add(order.card_id)
                self._plan(order, heard.envelope)
        elif heard.envelope.type == InboundAccepted.type:
            accepted = InboundAccepted.model_validate(heard.data)
            self.answers[accepted.partner_event_id] += 1
            self.accepted.setdefault(accepted.partner_event_id, accepted.applied)
        elif heard.envelope.type == InboundRejected.type:
            rejected = InboundRejected.model_validate(heard.data)
            name = rejected.partner_event_id or ""
            self.answers[name] += 1
            self.rejected[name] |= {rejected.code, *(one.code for one in rejected.problems)}

    def _plan(self, order: CardOrderRequested, envelope: Envelope) -> None:
        fate = fate_of(self.seed, order.application_number, envelope.time, self.troubles)
        stated = statements(
            self.seed, order.application_number, envelope.time, fate, order.card_id, order.limit
        )
        for message in (*messages(fate, order.card_id), *stated):
            if message.partner == self.name:
                self.planned += 1
                entry = _Waiting(message.due, self.planned, message, envelope)
                heapq.heappush(self.waiting, entry)

    def is_answered(self, message: Message) -> bool:
        """Whether the office has answered this very record: then it was told, if not by us then
        before we were started."""
        if message.trouble is Trouble.OTHER_BODY:
            return SAME_ID in self.rejected.get(message.event_id, ())
        return self.answers[message.event_id] > message.turn

    async def tell(self, link: PartnerLink, now: datetime) -> None:
        """Tell all that is due, in order. Raises KafkaError; the rest is told later."""
        while self.waiting and self.waiting[0].due <= now:
            entry = self.waiting[0]
            message = entry.message
            if not self.is_answered(message):
                await link.send(
                    message.kind.model_validate({"reference": message.reference, **message.body})
                    .model_dump_json()
                    .encode(),
                    key=message.key,
                    headers=encode(_envelope(message, entry.order)),
                )
            # an order that came meanwhile may have put something in front of it
            self.waiting.remove(entry)
            heapq.heapify(self.waiting)
            self.told.add((message.event_id, message.turn))
            if message.trouble is not None:
                self.met[message.trouble] += 1

    def due(self, now: datetime) -> int:
        """How many messages are due and not told."""
        if not self.waiting or self.waiting[0].due > now:
            return 0
        return sum(entry.due <= now for entry in self.waiting)

    def next_due(self, now: datetime) -> datetime | None:
        """When the next message after now falls due."""
        return min((entry.due for entry in self.waiting if entry.due > now), default=None)

    def receipts(self) -> dict[str, Any]:
        """Counts of orders, messages, and answers; every event counts once, however often it was
        answered. `unanswered`: event ids told of and not answered yet."""
        ids = {event_id for event_id, _turn in self.told}
        return {
            "orders": len(self.orders),
            "planned": self.planned,
            "told": len(self.told),
            "unanswered": sorted(ids - self.answers.keys()),
            "accepted": sum(self.accepted.values()),
            "not_applied": sum(not applied for applied in self.accepted.values()),
            "rejected": dict(
                sorted(Counter(c for codes in self.rejected.values() for c in codes).items())
            ),
            "answers": self.answers.total(),
            "troubles": dict(sorted(self.met.items())),
        }


def _envelope(message: Message, order: Envelope) -> Envelope:
    return Envelope(
        id=message.event_id,
        type=message.kind.type,
        source=partner_source(message.partner),
        subject=message.reference,
        time=message.happened,
        causation_id=order.id,
        correlation_id=order.correlation_id or order.id,
    )


class Play:
    """Both partners on one broker and one clock."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        seed: int = 0,
        troubles: Mapping[Trouble, int] = TROUBLES,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.partners = {name: Played(name, seed, troubles) for name in PARTNERS}

    async def run(self) -> None:
        """Play until cancelled; a broker that is away is waited for."""
        async with asyncio.TaskGroup() as together:
            for partner in self.partners.values():
                together.create_task(self._keep(partner))

    async def _keep(self, partner: Played) -> None:
        while True:
            try:
                async with open_link(self._settings, partner.name) as link:
                    await self._converse(partner, link)
            except* KafkaError as problems:
                causes = {type(problem).__name__ for problem in problems.exceptions}
                log.warning("%s: no broker (%s)", partner.name, ", ".join(causes))
                await asyncio.sleep(_AGAIN_SECONDS)
            finally:
                partner.link, partner.caught_up = None, False

    async def _converse(self, partner: Played, link: PartnerLink) -> None:
        # a link that was opened anew tells everything again
        partner.answers.clear()
        partner.link = link
        while not partner.caught_up:
            for heard in await link.hear():
                partner.hear(heard)
            partner.caught_up = await link.lag() == 0
        async with asyncio.TaskGroup() as together:
            together.create_task(self._hear(partner, link))
            together.create_task(self._tell(partner, link))

    async def _hear(self, partner: Played, link: PartnerLink) -> None:
        while True:
            for heard in await link.hear():
                partner.hear(heard)

    async def _tell(self, partner: Played, link: PartnerLink) -> None:
        while True:
            try:
                await partner.tell(link, self._clock.now())
            except KafkaError as problem:
                log.warning("%s: not told (%s)", partner.name, type(problem).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)
            except ClockUnreadableError as problem:
                log.warning("%s", problem)
                await asyncio.sleep(_AGAIN_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def ready(self) -> bool:
        return all(partner.caught_up for partner in self.partners.values())

    async def quiet(self) -> dict[str, Any]:
        """What is still on its way, as a service says it; raises KafkaError, ClockUnreadableError.

        The lag is asked for first: an order that arrives meanwhile then shows in the outbox.
        """
        unapplied = 0
        for partner in self.partners.values():
            if partner.link is None or not partner.caught_up:
                raise KafkaError("no broker")
            unapplied += await partner.link.lag()
        now = self._clock.now()
        due = [
            moment
            for partner in self.partners.values()
            if (moment := partner.next_due(now)) is not None
        ]
        return {
            "outbox": sum(partner.due(now) for partner in self.partners.values()),
            "unapplied": unapplied,
            "parked": 0,
            "open_calls": 0,
            "due_deadlines": 0,
            "next_due": format_instant(min(due)) if due else None,
        }


def create_app(play: Play) -> FastAPI:
    """The partners on the web: are they well, are they done, what have they told."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        playing = asyncio.create_task(play.run())
        playing.add_done_callback(_end_with)
        try:
            yield
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing

    app = FastAPI(
        title="card factory and core banking", docs_url=None, redoc_url=None, lifespan=lifespan
    )

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("ok\n") if play.ready else Response("reading\n", status_code=503)

    @app.get("/internal/quiet")
    async def quiet() -> Response:
        try:
            return JSONResponse(await play.quiet())
        except (KafkaError, ClockUnreadableError) as problem:
            return JSONResponse({"code": type(problem).__name__}, status_code=503)

    @app.get("/receipts")
    async def receipts() -> dict[str, Any]:
        return {name: partner.receipts() for name, partner in play.partners.items()}

    return app


def _end_with(playing: asyncio.Task[None]) -> None:
    """Partners that broke down must not look as if they had nothing to say."""
    if not playing.cancelled() and playing.exception() is not None:
        log.error("the partners broke down", exc_info=playing.exception())
        sys.stderr.flush()
        raise SystemExit(1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The bank's card factory and core banking, played")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-trouble", action="store_true", help="everything goes well")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = load_settings("partners")
        settings.required("kafka_bootstrap")
    except SettingsError as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2) from None
    troubles: Mapping[Trouble, int] = {} if asked.no_trouble else TROUBLES
    play = Play(settings, open_clock(settings), seed=asked.seed, troubles=troubles)
    uvicorn.run(
        create_app(play),
        host=asked.host,
        port=asked.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
