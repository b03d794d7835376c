"""A topic delivered again."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from deploy.local import Stack

_SECONDS = 20.0


def deliver_again(stack: Stack, topic: str, times: int = 1) -> int:
    """Every record of a topic so many times more, byte for byte: as a broker does after a lost
    acknowledgement, only all of them. Returns how many records that were."""
    settings: dict[str, Any] = {**stack.kafka_admin(), "group.id": "again"}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    producer = Producer(stack.kafka_admin())
    try:
        parts = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        ends = {
            part: consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=_SECONDS)[1]
            for part in parts
        }
        consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts])
        left = {part: end for part, end in ends.items() if end}
        copied = 0
        patience = time.monotonic() + _SECONDS
        while left:
            if time.monotonic() > patience:
                raise TimeoutError(f"nothing came of {topic} for {_SECONDS:.0f} s")
            # it waits until so many are there or the time is over: at the end, the time
            for message in consumer.consume(500, timeout=0.2):
                patience = time.monotonic() + _SECONDS
                part, offset = message.partition(), message.offset()
                if offset >= ends[part]:
                    continue
                for _ in range(times):
                    producer.produce(
                        topic,
                        value=message.value(),
                        key=message.key(),
                        headers=message.headers(),
                        partition=part,
                    )
                    copied += 1
                if offset == ends[part] - 1:
                    del left[part]
            producer.poll(0)
        assert producer.flush(_SECONDS) == 0
        return copied
    finally:
        consumer.close()
