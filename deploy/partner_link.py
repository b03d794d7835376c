"""A partner's way to the office: it writes its inbound topic and reads its outbound one, under its
own name and rights.

Readers belong to no group and begin at the beginning: a partner of the demo keeps nothing on disk
and learns what it did before from the answers that it got.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from shared.events.catalog import MAX_MESSAGE_BYTES
from shared.events.envelope import Envelope, decode
from shared.messaging.broker import Observer, connection, fetch_cluster
from shared.settings import Environment, Settings

if TYPE_CHECKING:
    from deploy.local import Stack

Headers = Sequence[tuple[str, bytes | None]]
_FETCH_WAIT_MS = 200  # the most that a broker with nothing new lets us wait


@dataclass(frozen=True, slots=True)
class Heard:
    """What the office said to a partner."""

    envelope: Envelope
    data: dict[str, Any]


class PartnerLink:
    """The two topics of one partner. Open it with `open_link`."""

    def __init__(
        self,
        partner: str,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        observer: Observer,
        parts: Sequence[TopicPartition],
    ) -> None:
        self.partner = partner
        self.inbound = f"banka.inbound.{partner}"
        self._producer = producer
        self._consumer = consumer
        self._observer = observer
        self._parts = list(parts)

    async def send(self, value: bytes | None, *, key: str | None, headers: Headers) -> None:
        """Write one record, whatever it holds; returns when the broker has it on disk.

        Raises KafkaError where it does not take it.
        """
        await self._producer.send_and_wait(
            self.inbound,
            value,
            key=None if key is None else key.encode(),
            headers=list(headers),
        )

    async def hear(self, seconds: float = 0.2) -> list[Heard]:
        """What has been said since the last call; waits so long for something."""
        batches = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        heard = []
        for records in batches.values():
            for record in records:
                envelope, body = decode(record.headers, record.value)
                heard.append(Heard(envelope, json.loads(body)))
        return heard

    async def lag(self) -> int:
        """Records on the outbound topic that `hear` has not given yet. Raises KafkaError."""
        ends = await self._observer.ends({f"banka.outbound.{self.partner}": len(self._parts)})
        return sum(
            [
                end - await self._consumer.position(TopicPartition(*place))
                for place, end in ends.items()
            ]
        )


@asynccontextmanager
async def open_link(
    settings: Settings, partner: str, *, from_now: bool = False
) -> AsyncIterator[PartnerLink]:
    """A partner's link, closed at the end. `from_now`: what was said before is not heard.

    Raises KafkaError where the broker is away or has no such topic.
    """
    own = settings.model_copy(update={"kafka_user": partner})
    outbound = f"banka.outbound.{partner}"
    topic = (await fetch_cluster(own)).topics.get(outbound)
    if topic is None:
        raise KafkaError(f"{partner} sees no topic {outbound}: banka provision")
    producer = AIOKafkaProducer(
        **connection(own),
        client_id=f"partner-{partner}",
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_MESSAGE_BYTES,
    )
    consumer = AIOKafkaConsumer(
        **connection(own),
        client_id=f"partner-{partner}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
    )
    observer = Observer(own)
    parts = [TopicPartition(outbound, number) for number in range(topic.partitions)]
    consumer.assign(parts)
    try:
        await producer.start()
        await consumer.start()
        await (consumer.seek_to_end if from_now else consumer.seek_to_beginning)(*parts)
        yield PartnerLink(partner, producer, consumer, observer, parts)
    finally:
        await observer.stop()
        await consumer.stop()
        await producer.stop()


def settings_for(stack: Stack, partner: str) -> Settings:
    """How a partner reaches the broker of a stack."""
    return Settings(
        service=partner,
        kafka_user=partner,
        environment=Environment(stack.environment()["BANKA_ENVIRONMENT"]),
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        secrets_dir=stack.secrets_dir,
    )
