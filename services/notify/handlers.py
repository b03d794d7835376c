"""From events to messages, and from what the channels answered to what became of each message.

Every function takes state and business time and returns effects; the kernel writes both together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.notify.application import (
    Application,
    LanguageChange,
    Message,
    MessageState,
    SentEvidence,
    UnsentEvidence,
    message_id,
)
from services.notify.messages import (
    Channel,
    Template,
    Wish,
    channels_for,
    next_channel,
    still_makes_sense,
    wish_of,
)
from services.notify.schedule import next_look, send_moment
from services.notify.wording import compose
from shared.events import intake, lifecycle, notify
from shared.events.payload import FIELD_CLASSES, ApplicationEvent, Party, PartyRole
from shared.messaging import (
    Call,
    Effect,
    Exhausted,
    Fact,
    Received,
    Refused,
    Result,
    Succeeded,
    Unknown,
)
from shared.messaging.errors import Permanent
from shared.parameters.models import SendWindow

REPORT = "sms-report"
"""Kind of the call that asks the SMS gateway what became of a message; sending is the channel's."""

_CONTACT_FIELDS = frozenset(name for name, kind in FIELD_CLASSES.items() if kind == "contact")

# A telephone number may be put right after the hand-in: whoever writes to the customer writes to
# the newest.
_WITH_PARTIES = (
    intake.ApplicationSubmitted,
    intake.ApplicationCorrected,
    intake.PreCheckPassed,
    intake.ApplicationImported,
)

Decide = Callable[[Application, datetime], Iterable[Effect]]


class Handlers:
    """The handlers with the bank's own parameters: when messages may go out, in which zone."""

    def __init__(self, window: Callable[[], SendWindow], zone: ZoneInfo) -> None:
        self._window = window  # asked for each message: the clocks may change meanwhile
        self.zone = zone

    # --- events of applications -------------------------------------------------------------------

    def on_event(
        self, event: Received[ApplicationEvent], application: Application, now: datetime
    ) -> Iterable[Effect]:
        """Keeps the application's state, and asks for the message that the event calls for.

        Nobody is told of what came over from another system.
        """
        moves = _advance(event, application)
        _learn(event.data, application)
        if event.origin == "imported":
            return []
        effects = list(_drop_outdated(application, now))
        wish = wish_of(event.data, event.time, moves=moves)
        if wish is not None and application.party_id is not None:
            effects.extend(self._request(event, application, wish, now))
        return effects

    def _request(
        self,
        event: Received[ApplicationEvent],
        application: Application,
        wish: Wish,
        now: datetime,
    ) -> Iterator[Effect]:
        if wish.template is Template.ACCESS_CODE:
            yield from _drop_waiting(application, wish.template, now)
        channels = channels_for(
            wish.template,
            application.channel,
            has_mobile=application.has_mobile,
            has_email=application.has_email,
        )
        for channel in channels or (Channel.SMS,):
            message = self._compose(
                application, wish, channel, event.id, event.type.removesuffix(".v1"), now
            )
            yield from self._send(application, message)
            if not channels:
                message.failed(now, "no-address")
                yield Fact(_failed(application, message, "no-address"))
                return
            yield _call(application, message)

    def _compose(
        self,
        application: Application,
        wish: Wish,
        channel: Channel,
        cause_id: str,
        cause_type: str,
        now: datetime,
    ) -> Message:
        text = compose(
            wish.template,
            application.language,
            channel,
            application_number=application.number,
            product=application.product,
            details=wish.details,
            zone=self.zone,
        )
        return Message(
            message_id=message_id(cause_id, wish.template, channel),
            template=wish.template,
            template_version=text.template_version,
            channel=channel,
            language=application.language,
            cause_id=cause_id,
            cause_type=cause_type,
            title=text.title,
            body=text.body,
            details=wish.details,
            not_before=send_moment(
                wish.template, application.channel, now, self._window(), self.zone
            ),
            requested_at=now,
        )

    def _send(self, application: Application, message: Message) -> Iterator[Effect]:
        application.touch(message).requested(message.requested_at)
        yield Fact(
            notify.MessageRequested(**_about(application, message), not_before=message.not_before)
        )

    # --- answers of channels ----------------------------------------------------------------------

    def on_sent(self, result: Result, application: Application, now: datetime) -> Iterable[Effect]:
        """What became of the attempt to send a message."""
        message = _message_of(result, application)
        if message is None or message.state is not MessageState.REQUESTED:
            return []  # dropped or settled meanwhile
        application.touch(message)
        match result:
            case Succeeded(value=value):
                return self._on_taken(application, message, value, now)
            case Refused(reason=reason, detail=detail):
                message.failed(now, detail or reason)
                known = reason if reason in ("no-address", "exhausted") else "refused"
                return [
                    Fact(_failed(application, message, known)),
                    *self._elsewhere(application, message, now),
                ]
            # Exhausted as well: no worker of ours gives up without having asked whether the message
            # arrived, so whoever ends here does not know
            case Unknown(reason=reason) | Exhausted(reason=reason):
                message.unresolved(now, reason)
                return [Fact(notify.MessageUnresolved(**_about(application, message)))]

    def _on_taken(
        self, application: Application, message: Message, value: dict[str, Any], now: datetime
    ) -> list[Effect]:
        message.sent(now, gateway_id=value.get("id", ""))
        effects: list[Effect] = [Fact(notify.MessageSent(**_about(application, message)))]
        if value.get("status") == "delivered":
            message.delivered(now)
            effects.append(Fact(notify.MessageDelivered(**_about(application, message))))
        elif message.channel is Channel.SMS and message.gateway_id:
            effects.extend(_look(application, message, 0, now))
        return effects

    def on_report(
        self, result: Result, application: Application, now: datetime
    ) -> Iterable[Effect]:
        """What the gateway says became of a message that it took."""
        message = _message_of(result, application)
        if message is None or message.state is not MessageState.SENT or result.call is None:
            return []
        status = result.value.get("status") if isinstance(result, Succeeded) else None
        if status == "delivered":
            application.touch(message).delivered(now)
            return [Fact(notify.MessageDelivered(**_about(application, message)))]
        if status == "failed":
            application.touch(message).failed(now, "undelivered")
            return [
                Fact(_failed(application, message, "undelivered")),
                *self._elsewhere(application, message, now),
            ]
        return list(_look(application, message, result.call.payload["look"] + 1, now))

    def _elsewhere(
        self, application: Application, failed: Message, now: datetime
    ) -> Iterator[Effect]:
        """The same news by another channel, where the first has certainly failed."""
        channel = next_channel(
            failed.template,
            failed.channel,
            has_mobile=application.has_mobile,
            has_email=application.has_email,
        )
        if channel is None or not still_makes_sense(failed.template, application.state):
            return
        wish = Wish(failed.template, failed.details)
        message = self._compose(application, wish, channel, failed.cause_id, failed.cause_type, now)
        yield from self._send(application, message)
        yield _call(application, message)

    # --- decisions by hand ------------------------------------------------------------------------

    def decide_sent(self, unresolved: str, actor: str, evidence: SentEvidence) -> Decide:
        """A person found out that an unresolved message went out."""

        def decide(application: Application, now: datetime) -> Iterable[Effect]:
            message = application.messages[unresolved]
            message.settle_as_sent(now, actor, evidence)
            application.touch(message)
            return [Fact(notify.MessageSent(**_about(application, message)))]

        return decide

    def decide_send_again(self, unresolved: str, actor: str, evidence: UnsentEvidence) -> Decide:
        """A person decided that an unresolved message is sent once more, keeping to the window."""

        def decide(application: Application, now: datetime) -> Iterable[Effect]:
            message = application.messages[unresolved]
            moment = send_moment(
                message.template, application.channel, now, self._window(), self.zone
            )
            message.send_again(now, moment, actor, evidence)
            application.touch(message)
            requested = notify.MessageRequested(**_about(application, message), not_before=moment)
            return [Fact(requested), _call(application, message)]

        return decide


def decide_language(language: str, actor: str) -> Decide:
    """The customer prefers this language for what is to come."""

    def decide(application: Application, now: datetime) -> Iterable[Effect]:
        if language != application.language:
            change = LanguageChange(now, actor, application.language, language)
            application.languages.append(change)
        application.language = language
        return []

    return decide


def _advance(event: Received[ApplicationEvent], application: Application) -> bool:
    """Takes the application's state on; True if the event moved it. Raises Permanent."""
    into = event.data.state if isinstance(event.data, intake.ApplicationImported) else None
    try:
        transition = lifecycle.advance(application.state, event.type, into=into)
    except lifecycle.IllegalTransition as error:
        raise Permanent(str(error)) from error
    application.state = transition.state.value
    if event.state_version is not None:
        application.state_version = event.state_version
    return transition.moves


def _learn(data: ApplicationEvent, application: Application) -> None:
    """Keeps what addressing the customer needs; sealed fields stay sealed."""
    application.number = data.application_number
    application.branch = data.branch
    application.region = data.region
    application.channel = data.channel.value
    application.product = data.product
    application.product_version = data.product_version
    applicant = _applicant(data)
    if applicant is not None:
        application.party_id = applicant.party_id
        application.contact = {
            name: str(value) for name, value in applicant.fields.items() if name in _CONTACT_FIELDS
        }


def _applicant(data: ApplicationEvent) -> Party | None:
    """The one who is told, as the event has them: never a contact, an employer or another party."""
    if isinstance(data, intake.DraftReminded):
        return data.addressee
    parties = data.parties if isinstance(data, _WITH_PARTIES) else []
    return next((party for party in parties if party.role is PartyRole.APPLICANT), None)


def _drop_outdated(application: Application, now: datetime) -> Iterator[Effect]:
    """A message that waits for the morning is not sent once it is no longer true."""
    for message in application.waiting(now):
        if not still_makes_sense(message.template, application.state):
            application.touch(message).failed(now, "outdated")
            yield Fact(_failed(application, message, "refused"))


def _drop_waiting(application: Application, template: Template, now: datetime) -> Iterator[Effect]:
    """What waits for the morning gives way to a newer one of its kind: the code in it lets in
    nobody any more."""
    for message in application.waiting(now):
        if message.template is template:
            application.touch(message).failed(now, "outdated")
            yield Fact(_failed(application, message, "refused"))


def _message_of(result: Result, application: Application) -> Message | None:
    if result.call is None:
        return None
    return application.messages.get(result.call.payload["message_id"])


def _call(application: Application, message: Message) -> Call:
    return Call(
        kind=message.channel.value,
        key=message.call_key,
        payload={"message_id": message.message_id},
        not_before=message.not_before,
        subject=application.application_id,
    )


def _look(
    application: Application, message: Message, looks: int, now: datetime
) -> Iterator[Effect]:
    moment = next_look(looks, now)
    if moment is not None:
        yield Call(
            kind=REPORT,
            key=f"{message.call_key}/{looks + 1}",
            payload={
                "message_id": message.message_id,
                "gateway_id": message.gateway_id,
                "look": looks,
            },
            not_before=moment,
            subject=application.application_id,
        )


def _about(application: Application, message: Message) -> dict[str, Any]:
    return {
        "message_id": message.message_id,
        "application_id": application.application_id,
        "branch": application.branch,
        "template": message.template.value,
        "template_version": message.template_version,
        "channel": message.channel.value,
        "language": message.language,
    }


def _failed(application: Application, message: Message, reason: Any) -> notify.MessageFailed:
    return notify.MessageFailed(**_about(application, message), reason=reason)
