"""How a service reaches Kafka, and which cluster and topics it really found there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from shared.events.envelope import Envelope, EnvelopeError, decode

if TYPE_CHECKING:
    from io import BytesIO

    from shared.settings import Settings


# A broker that is gone without a word (power, network) is given up after so long, and another is
# asked who leads now. Longer than a group's join waits for its other members.
REQUEST_MS = 12_000


def connection(settings: Settings) -> dict[str, Any]:
    """The arguments that every aiokafka client of ours starts with."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.required("kafka_bootstrap"),
        "request_timeout_ms": REQUEST_MS,
    }
    if settings.kafka_security == "SASL_PLAINTEXT":
        arguments |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password(),
        }
    return arguments


async def take(
    consumer: Any, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Assign partitions; returns where they begin and where they end now.

    consumer: of aiokafka, started, in no group. In this order: of a topic that was not assigned it
    may hear late or never.
    """
    consumer.assign(partitions)
    return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)


async def read_events(
    consumer: Any, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[tuple[TopicPartition, Envelope]]:
    """The events between two offsets of each partition; what is no event of ours is left out.

    consumer: one that took these partitions.
    """
    for partition, begin in begins.items():
        consumer.seek(partition, begin)
    open_ = {partition for partition, begin in begins.items() if ends[partition] > begin}
    while open_:
        for partition, records in (await consumer.getmany(*open_, timeout_ms=500)).items():
            for record in records:
                try:
                    envelope, _ = decode(record.headers, record.value or b"-")
                except EnvelopeError:
                    continue
                yield partition, envelope
        open_ = {p for p in open_ if await consumer.position(p) < ends[p]}


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """A topic as it exists now: a re-created one has another id under the same name."""

    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The broker's own name for itself, and the topics that this user may see."""

    cluster_id: str
    topics: dict[str, TopicIdentity]


async def fetch_cluster(settings: Settings) -> Cluster:
    """Ask the broker who it is. Raises KafkaError while it is away."""
    client = AIOKafkaClient(**connection(settings), client_id="banka-identity")
    try:
        await client.bootstrap()
        node = client.get_random_node()
        if node is None:
            raise NodeNotReadyError("no broker known yet")
        answer = await client.send(node, _TopicIds())
    finally:
        await client.close()
    found = answer.to_object()
    topics = {
        topic["name"]: TopicIdentity(str(topic["topic_id"]), len(topic["partitions"]))
        for topic in found["topics"]
        if topic["error_code"] == 0
    }
    if not found["cluster_id"]:
        raise KafkaError("the broker names no cluster id")
    return Cluster(found["cluster_id"], topics)


def links(producer: Any) -> frozenset[Any]:
    """A producer's open connections, to be compared: behind a new one may be another broker."""
    return frozenset(one for one in producer.client._conns.values() if one.connected())


class Observer:
    """Asks where topics end, on a connection of its own: on a consumer's, the question would wait
    behind the fetch that waits for events. Opened with the first question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._opening = asyncio.Lock()

    async def ends(self, topics: Mapping[str, int]) -> dict[tuple[str, int], int]:
        """{(topic, partition): offset after its last event}, asked now, of `{topic: partitions}`.

        Raises KafkaError.
        """
        async with self._opening:
            if self._consumer is None:
                consumer = AIOKafkaConsumer(
                    **connection(self._settings),
                    client_id="banka-observer",
                    enable_auto_commit=False,
                )
                await consumer.start()
                self._consumer = consumer
        wanted = [
            TopicPartition(topic, part) for topic, parts in topics.items() for part in range(parts)
        ]
        found = await self._consumer.end_offsets(wanted)
        return {(place.topic, place.partition): end for place, end in found.items()}

    async def stop(self) -> None:
        """Close the connection, if there is one."""
        if self._consumer is not None:
            await self._consumer.stop()


# aiokafka speaks Metadata up to version 5; topic ids came with 10. These few lines of the protocol
# spare every service a second Kafka library in memory.
class _Uuid:
    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def repr(cls, value: uuid.UUID) -> str:
        return str(value)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid),
                ("name", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIds(Request[_MetadataRequest]):
    API_KEY = 3

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class(None, False, False, {})  # null: every topic we may see
