"""What notify knows of an application and its messages, and what may happen to a message.

Pure: no database, no broker. A message goes requested → sent → delivered, or to failed; where
nobody can tell whether it went out it is unresolved, until a person says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.notify.messages import Channel, Template

_NAMESPACE = uuid.UUID("6f6f3a52-1c0e-5d0a-9a5b-0f2a4c1d7e90")


class MessageState(StrEnum):
    """How far a message has come."""

    REQUESTED = "requested"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNRESOLVED = "unresolved"


class SentEvidence(StrEnum):
    """How somebody knows that a message went out. To be chosen, never written: a free remark about
    a customer would be personal data."""

    GATEWAY_HAS_IT = "gateway-has-it"
    CUSTOMER_HAS_IT = "customer-has-it"


class UnsentEvidence(StrEnum):
    """Why somebody has a message sent once more."""

    GATEWAY_LACKS_IT = "gateway-lacks-it"
    CUSTOMER_LACKS_IT = "customer-lacks-it"


FINAL = frozenset({MessageState.DELIVERED, MessageState.FAILED})


class NotUnresolvedError(Exception):
    """Only a message whose fate is unknown can be settled by hand; this one has moved on."""

    def __init__(self, state: MessageState) -> None:
        super().__init__(f"the message is {state.value}")
        self.state = state


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a message. detail: why, as a code; actor: who did it by hand."""

    at: datetime
    state: str
    detail: str = ""
    actor: str | None = None


@dataclass(slots=True, kw_only=True)
class Message:
    """One message to one customer by one channel. `body` holds `{addressee}`, never a name;
    `recipient` is masked, and known once a worker has looked. `round` counts from 1 how often a
    person had it sent."""

    message_id: str
    template: Template
    template_version: str
    channel: Channel
    language: str
    cause_id: str
    cause_type: str
    title: str
    body: str
    details: dict[str, Any]
    not_before: datetime
    requested_at: datetime
    state: MessageState = MessageState.REQUESTED
    reason: str = ""
    round: int = 1
    recipient: str = ""
    gateway_id: str = ""
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    ended_at: datetime | None = None
    history: list[HistoryEntry] = field(default_factory=list)  # what is new since it was loaded

    def requested(self, now: datetime) -> None:
        """It is on its way, now or at `not_before`."""
        self.history.append(HistoryEntry(now, "requested"))

    def sent(self, now: datetime, *, gateway_id: str = "") -> None:
        """The gateway took it."""
        self.state, self.reason, self.sent_at = MessageState.SENT, "", now
        self.gateway_id = gateway_id
        self.history.append(HistoryEntry(now, "sent"))

    def delivered(self, now: datetime) -> None:
        """The customer's device took it."""
        self.state, self.delivered_at, self.ended_at = MessageState.DELIVERED, now, now
        self.history.append(HistoryEntry(now, "delivered"))

    def failed(self, now: datetime, reason: str) -> None:
        """It did not go out, or did not arrive, and will not be tried again."""
        self.state, self.reason, self.ended_at = MessageState.FAILED, reason, now
        self.history.append(HistoryEntry(now, "failed", reason))

    def unresolved(self, now: datetime, reason: str) -> None:
        """Nobody can tell whether it went out."""
        self.state, self.reason = MessageState.UNRESOLVED, reason
        self.history.append(HistoryEntry(now, "unresolved", reason))

    def settle_as_sent(self, now: datetime, actor: str, evidence: SentEvidence) -> None:
        """A person found out that it went out. Raises NotUnresolvedError."""
        self._must_be_unresolved()
        self.state, self.reason, self.sent_at = MessageState.SENT, "", now
        self.history.append(HistoryEntry(now, "sent", evidence.value, actor))

    def send_again(
        self, now: datetime, not_before: datetime, actor: str, evidence: UnsentEvidence
    ) -> None:
        """A person decided that it is to be sent once more. Raises NotUnresolvedError."""
        self._must_be_unresolved()
        self.state, self.reason, self.not_before = MessageState.REQUESTED, "", not_before
        self.round += 1
        self.history.append(HistoryEntry(now, "requested", evidence.value, actor))

    def _must_be_unresolved(self) -> None:
        if self.state is not MessageState.UNRESOLVED:
            raise NotUnresolvedError(self.state)

    @property
    def call_key(self) -> str:
        """Names one round of sending; the gateway's idempotency key is the message's id itself."""
        return f"{self.message_id}/{self.round}"


@dataclass(frozen=True, slots=True)
class LanguageChange:
    """In which language the customer is written to from then on, as somebody chose by hand."""

    at: datetime
    actor: str
    was: str
    is_now: str


@dataclass(slots=True, kw_only=True)
class Application:
    """An application as far as its customer is to be told of it.

    `contact`: the applicant's sealed contact fields. `messages`: those that are not final, and what
    was added since loading, by id.
    """

    application_id: str
    state: str | None = None
    state_version: int = 0
    number: str = ""
    branch: str = ""
    region: str = ""
    channel: str = ""
    product: str = ""
    product_version: str = ""
    language: str = "zh-CN"
    party_id: str | None = None
    contact: dict[str, str] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)  # ids of messages to be written
    languages: list[LanguageChange] = field(default_factory=list)  # to be written

    def touch(self, message: Message) -> Message:
        """Notes that the message has to be written."""
        self.messages[message.message_id] = message
        self.touched.add(message.message_id)
        return message

    def waiting(self, now: datetime) -> Sequence[Message]:
        """Messages that have not gone out because their time has not come."""
        return [
            one
            for one in self.messages.values()
            if one.state is MessageState.REQUESTED and one.not_before > now
        ]

    @property
    def has_mobile(self) -> bool:
        return "mobile" in self.contact

    @property
    def has_email(self) -> bool:
        return "email" in self.contact


def message_id(cause_id: str, template: Template, channel: Channel) -> str:
    """The id of the one message about this event by this channel: the same event, handled a second
    time, can only name the same message."""
    return str(uuid.uuid5(_NAMESPACE, f"{cause_id}/{template.value}/{channel.value}"))
