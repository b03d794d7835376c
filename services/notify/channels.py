"""The ways to a customer: SMS gateway and app by HTTP, e-mail by SMTP.

Here, and nowhere else, contact fields are opened; what is returned and logged holds masked
recipients and codes alone. A time-out is never taken for a failure: the gateway is asked by key;
SMTP cannot be asked, so its message stays unresolved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final, Protocol

import aiosmtplib
import httpx
from asyncpg import Record
from asyncpg.pool import Pool

from services.notify.application import MessageState
from services.notify.messages import Channel
from services.notify.store import Dispatch, find_dispatch, note_recipient
from services.notify.wording import address, faults, fill, signature_of
from shared.events.payload import ACCESS_CODE
from shared.messaging import ClaimedCall, Refused, Result, Succeeded, Unknown
from shared.privacy.masking import mask_email, mask_mobile
from shared.privacy.vault import KeyUnavailableError

ATTEMPTS: Final = 5
SEND_SECONDS: Final = 3.0  # for a gateway to answer
ASK_SECONDS: Final = 2.0
CALL_SECONDS: Final = 15.0  # more than all steps of one attempt together: see Worker.timeout
SENDER: Final = "no-reply@card.invalid"


class UnansweredError(Exception):
    """The other side did not take the message this time, or not yet: try again by the same key."""


class ContactVault(Protocol):
    """Opens sealed contact fields; raises KeyUnavailableError where the person was erased."""

    async def open(self, party_id: str, fields: dict[str, str]) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it leaves: the only place where text and address stand together in clear."""

    to: str
    title: str
    text: str

    def __repr__(self) -> str:
        return "Letter(…)"


class Desk:
    """Makes the letter for a message: reads it as it is now, opens the address, checks the text."""

    def __init__(self, pool: Callable[[], Pool[Record]], vault: ContactVault) -> None:
        self._pool = pool
        self._vault = vault

    async def prepare(self, call: ClaimedCall) -> tuple[Dispatch, Letter] | Refused:
        """The letter, or why there is none: outdated, no-address, wording."""
        dispatch = await find_dispatch(self._pool(), call.payload["message_id"])
        if dispatch is None or dispatch.state is not MessageState.REQUESTED:
            return Refused("outdated")
        if dispatch.party_id is None:
            return Refused("no-address")
        wanted = {"name", "salutation", ADDRESS_FIELD.get(dispatch.channel, "name")}
        sealed = {name: value for name, value in dispatch.contact.items() if name in wanted}
        if dispatch.code is not None:
            sealed[ACCESS_CODE] = dispatch.code
        try:
            person = await self._vault.open(dispatch.party_id, sealed)
        except KeyUnavailableError:
            return Refused("no-address", "erased")
        to, recipient = _recipient(dispatch, person)
        if not to:
            return Refused("no-address")
        addressee = address(person.get("name", ""), person.get("salutation", ""), dispatch.language)
        text = fill(dispatch.body, addressee, person.get(ACCESS_CODE, ""))
        await note_recipient(self._pool(), dispatch.message_id, recipient)
        broken = faults(text, dispatch.channel, dispatch.language)
        if broken:
            return Refused("wording", "wording: " + ", ".join(broken))
        return dispatch, Letter(to, dispatch.title, text)


ADDRESS_FIELD: Final = {Channel.SMS: "mobile", Channel.EMAIL: "email"}


def _recipient(dispatch: Dispatch, person: dict[str, str]) -> tuple[str, str]:
    match dispatch.channel:
        case Channel.SMS:
            mobile = person.get("mobile", "")
            return mobile, mask_mobile(mobile)
        case Channel.EMAIL:
            email = person.get("email", "")
            return email, mask_email(email)
        case Channel.APP:  # the app knows its user by the application's number
            return dispatch.number, ""


_CUT_OFF: Final = "cut-off"
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class HttpChannel:
    """A gateway that takes a message by POST with an idempotency key and can be asked by that key.

    201/202/200 → taken; 409/4xx → refused; time-out, broken connection, 5xx, 429 → asked by key,
    then tried again; where even that cannot be told in the last attempt → unknown. So it is, too,
    where any attempt was cut off on its way: what a slow gateway does not know yet, or refuses the
    second time, it may still deliver.
    """

    def __init__(self, client: httpx.AsyncClient, desk: Desk, url: str, post: str) -> None:
        self._client = client
        self._desk = desk
        self._url = url.rstrip("/")
        self._post = post

    def _body(self, dispatch: Dispatch, letter: Letter) -> dict[str, Any]:
        return {
            "to": letter.to,
            "text": letter.text,
            "signature": signature_of(dispatch.language),
            "template": dispatch.template.value,
        }

    async def send(self, call: ClaimedCall) -> Result:
        """One attempt; raises UnansweredError where another one follows."""
        prepared = await self._desk.prepare(call)
        if isinstance(prepared, Refused):
            return prepared
        dispatch, letter = prepared
        key = dispatch.message_id  # the same in every round: the gateway takes it once, ever
        try:
            answer = await self._client.post(
                self._url + self._post,
                json=self._body(dispatch, letter),
                headers={"Idempotency-Key": key},
                timeout=SEND_SECONDS,
            )
        except _NEVER_SENT as error:
            return await self._ask(call, key, type(error).__name__)
        except httpx.TransportError as error:
            return await self._ask(call, key, f"{_CUT_OFF} {type(error).__name__}")
        if answer.is_success:
            return _taken(answer)
        if answer.status_code == 429 or answer.status_code >= 500:
            return await self._ask(call, key, f"http-{answer.status_code}")
        if _may_arrive(call):
            return Unknown(f"no-answer: {call.before}, {_code(answer)}")
        return Refused("refused", _code(answer))

    async def _ask(self, call: ClaimedCall, key: str, why: str) -> Result:
        """What the gateway knows of the key, after an attempt that ended without success."""
        last = call.attempt >= ATTEMPTS
        if _may_arrive(call) and _CUT_OFF not in why:
            why = f"{_CUT_OFF} earlier, {why}"  # the next attempt knows this one's end alone
        try:
            answer = await self._client.get(
                f"{self._url}{self._post}/by-key/{key}", timeout=ASK_SECONDS
            )
        except httpx.TransportError as error:
            if last:
                return Unknown(f"no-answer: {why}, {type(error).__name__}")
            raise UnansweredError(why) from None
        if answer.is_success:
            return _taken(answer)
        if answer.status_code == 404 and last and _CUT_OFF not in why:
            return Refused("exhausted", why)
        if last:
            return Unknown(f"no-answer: {why}, http-{answer.status_code}")
        raise UnansweredError(why)


def _may_arrive(call: ClaimedCall) -> bool:
    """Whether an attempt before this one may still be delivered: it was cut off on its way, by the
    connection, by our own time-out or with its worker."""
    never = call.before.startswith(UnansweredError.__name__) and _CUT_OFF not in call.before
    return call.attempt > 1 and not never


class SmsReports:
    """Asks the SMS gateway what became of a message that it took."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    async def look(self, call: ClaimedCall) -> Result:
        """accepted, delivered or failed; raises to be tried again."""
        answer = await self._client.get(
            f"{self._url}/messages/{call.payload['gateway_id']}", timeout=ASK_SECONDS
        )
        if answer.status_code == 404:
            return Succeeded({"status": "accepted"})  # forgotten, not undelivered
        answer.raise_for_status()
        return Succeeded({"status": str(answer.json().get("status", "accepted"))})


class EmailChannel:
    """A mail server. It knows no key: once the text was handed over and no answer came, nobody can
    tell, and nothing is sent a second time by itself."""

    def __init__(self, desk: Desk, host: str, port: int) -> None:
        self._desk = desk
        self._host = host
        self._port = port

    async def send(self, call: ClaimedCall) -> Result:
        """One attempt; raises UnansweredError where the server certainly took nothing."""
        prepared = await self._desk.prepare(call)
        if isinstance(prepared, Refused):
            return prepared
        dispatch, letter = prepared
        mail = EmailMessage()
        mail["From"] = f"{signature_of(dispatch.language)} <{SENDER}>"
        mail["To"] = letter.to
        mail["Subject"] = letter.title
        mail["Message-ID"] = f"<{dispatch.message_id}@card.invalid>"
        mail["X-Banka-Template"] = dispatch.template.value
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(letter.text)
        last = call.attempt >= ATTEMPTS
        client = aiosmtplib.SMTP(hostname=self._host, port=self._port, timeout=SEND_SECONDS)
        try:
            try:
                await client.connect()
                await client.mail(SENDER)
                await client.rcpt(letter.to)
            except aiosmtplib.SMTPResponseException as error:
                return _smtp_refusal(error.code, last=last)
            except (aiosmtplib.SMTPException, OSError) as error:
                return _unanswered(type(error).__name__, last=last)
            # from here on the server may have it, whatever we hear
            try:
                await client.data(mail.as_bytes())
            except aiosmtplib.SMTPResponseException as error:
                return _smtp_refusal(error.code, last=last)
            except (aiosmtplib.SMTPException, OSError) as error:
                return Unknown(f"after DATA: {type(error).__name__}")
            return Succeeded({})
        finally:
            client.close()


def _smtp_refusal(code: int, *, last: bool) -> Result:
    """5yz is for good, 4yz for now (RFC 5321, 4.2.1)."""
    if 500 <= code < 600:
        return Refused("refused", f"smtp-{code}")
    return _unanswered(f"smtp-{code}", last=last)


def _unanswered(why: str, *, last: bool) -> Result:
    """Nothing went out: once more, or given up in the last attempt."""
    if last:
        return Refused("exhausted", why)
    raise UnansweredError(why)


def _taken(answer: httpx.Response) -> Succeeded:
    told = answer.json()
    return Succeeded(
        {
            "id": str(told.get("id", "")),
            "status": str(told.get("status", "accepted")),
        }
    )


def _code(answer: httpx.Response) -> str:
    """The gateway's own code; never its words, which may repeat the number."""
    try:
        code = str(answer.json().get("code", ""))
    except ValueError:
        code = ""
    safe = code if code.isascii() and code.replace("-", "").isalpha() and len(code) <= 40 else ""
    return safe or f"http-{answer.status_code}"
