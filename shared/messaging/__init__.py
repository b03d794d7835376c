"""The messaging kernel: effects exactly once, order per application, nothing lost.

A service's author writes `on_<event>(event, state, now) -> effects` and SQL in a store, lists
consumers, inbound topics, workers and deadlines in one `Service`, and nothing of Kafka.
"""

from shared.messaging.calls import (
    ClaimedCall,
    Exhausted,
    Refused,
    Result,
    Succeeded,
    Unknown,
    Worker,
)
from shared.messaging.deadlines import Deadlines
from shared.messaging.effects import (
    Call,
    ClearDeadline,
    Connection,
    Deadline,
    DeadlineHandler,
    Effect,
    Fact,
    Handler,
    Payload,
    Received,
    Store,
)
from shared.messaging.inbound import Inbound, InboundEvent, InboundProblem
from shared.messaging.inbox import Consumer
from shared.messaging.service import Quiet, Readiness, Service, Transaction

__all__ = [
    "Call",
    "ClaimedCall",
    "ClearDeadline",
    "Connection",
    "Consumer",
    "Deadline",
    "DeadlineHandler",
    "Deadlines",
    "Effect",
    "Exhausted",
    "Fact",
    "Handler",
    "Inbound",
    "InboundEvent",
    "InboundProblem",
    "Payload",
    "Quiet",
    "Readiness",
    "Received",
    "Refused",
    "Result",
    "Service",
    "Store",
    "Succeeded",
    "Transaction",
    "Unknown",
    "Worker",
]
