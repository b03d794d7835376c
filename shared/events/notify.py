"""What notify publishes: what became of every message to a customer."""

from typing import ClassVar, Literal

from shared.events.payload import Instant, Payload


class MessageEvent(Payload):
    """What every event about a message carries; never its text, never an address. The subject is
    the application."""

    topic: ClassVar[str] = "banka.contacts"

    message_id: str
    application_id: str
    branch: str
    template: str
    template_version: str
    channel: Literal["sms", "email", "app"]
    language: Literal["zh-CN", "en"]


class MessageRequested(MessageEvent):
    """A message is to be sent, now or when the send window opens."""

    type: ClassVar[str] = "banka.message.requested.v1"

    not_before: Instant


class MessageSent(MessageEvent):
    """The gateway took the message."""

    type: ClassVar[str] = "banka.message.sent.v1"


class MessageDelivered(MessageEvent):
    """The customer's device or mail server took the message."""

    type: ClassVar[str] = "banka.message.delivered.v1"


class MessageFailed(MessageEvent):
    """The message was not sent and will not be tried again."""

    type: ClassVar[str] = "banka.message.failed.v1"

    reason: Literal["refused", "no-address", "exhausted", "undelivered"]


class MessageUnresolved(MessageEvent):
    """Nobody can tell whether the message went out; it is not sent again by itself and a person has
    to look."""

    type: ClassVar[str] = "banka.message.unresolved.v1"
