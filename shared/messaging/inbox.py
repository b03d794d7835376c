"""Applying events: one transaction per poll, each event's effects exactly once, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.messaging.effects import Handler, Store


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One reading of one topic by one aggregate.

    name: Kafka group id; a rebuild uses a new one (`reporting.applications@2`).
    handlers: {payload class: on_<event>}. A type that is not named here moves the cursor on; an
      unknown version of a named one pauses the partition.
    max_records: upper bound of events in one transaction.
    attempts: how often a failing event is tried (`Transient` and unexpected errors) before it
      stays parked.
    halt_after: so many failing applications in a row, none applied between, stop the consumer.
    """

    name: str
    topic: str
    store: Store[Any]
    handlers: Mapping[type[Any], Handler]
    max_records: int = 500
    attempts: int = 5
    halt_after: int = 20
