"""What of a message is masked, in clear for a reason: the text as its addressee read it, and where
it went. Recorded before it is shown. A code for the customer's page is shown to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from services.notify.channels import ADDRESS_FIELD
from services.notify.store import Dispatch, find_dispatch, find_message
from services.notify.wording import address, fill
from shared.messaging import Service
from shared.privacy.sealing import DataClass, Sealed
from shared.privacy.vault import KeyUnavailableError, PartyKeys
from shared.web import Problem, Viewer
from shared.web.audit import Line, record_view
from shared.web.audit_pages import told_words

NOTE_FIELD: Final = "note"  # by which the words of a reason are sealed, under the contact key
_NAMED: Final = ("name", "salutation")


class ContactKeys(Protocol):
    """The vault as notify may use it: contact fields alone."""

    async def open(self, party_id: str, fields: dict[str, str]) -> dict[str, str]: ...
    async def party_keys(self, party_id: str, application_id: str) -> PartyKeys: ...


@dataclass(frozen=True, slots=True)
class Masked:
    """A field of a message that may be shown in clear; sealed: what it is made of."""

    application_id: str
    field: str
    dispatch: Dispatch
    sealed: Mapping[str, str]


class Revealing:
    """Shows fields of messages in clear. Each step raises Problem 404 for what the viewer may not
    see, or what is not there."""

    def __init__(self, service: Service, vault: ContactKeys) -> None:
        self._service = service
        self._vault = vault

    async def find(self, viewer: Viewer, message_id: str, field: str) -> Masked:
        """The field, before it is opened: `text` or `recipient`."""
        row = await find_message(self._service.pool, message_id, viewer.branch_list)
        dispatch = await find_dispatch(self._service.pool, message_id)
        if row is None or dispatch is None or dispatch.party_id is None:
            raise Problem(404, "not-found", "There is no such message")
        wanted = _NAMED if field == "text" else (ADDRESS_FIELD.get(dispatch.channel, ""),)
        sealed = {name: dispatch.contact[name] for name in wanted if name in dispatch.contact}
        if field not in ("text", "recipient") or not sealed:
            raise Problem(404, "not-found", "There is no such field")
        return Masked(row["application_id"], field, dispatch, sealed)

    async def show(self, viewer: Viewer, masked: Masked, why: str, text: str) -> str:
        """The field in clear. Raises Problem 409 where the customer's data was erased."""
        dispatch = masked.dispatch
        assert dispatch.party_id is not None
        try:
            opened = await self._vault.open(dispatch.party_id, dict(masked.sealed))
        except KeyUnavailableError:
            raise Problem(409, "erased", "The customer's data was erased or restricted") from None
        sealed = await self._seal(dispatch.party_id, masked.application_id, text)
        async with self._service.transaction(actor=viewer.actor) as tx:
            await record_view(
                tx.conn,
                masked.application_id,
                viewer.staff_id,
                "field",
                tx.now,
                field=("applicant", masked.field),
                why=why,
                reason=sealed,
            )
        if masked.field == "recipient":
            return next(iter(opened.values()))
        name, salutation = (opened.get(one, "") for one in _NAMED)
        return fill(dispatch.body, address(name, salutation, dispatch.language))

    async def open_line(
        self, viewer: Viewer, line: Line, why: str, text: str
    ) -> list[tuple[str, str, str]]:
        """What somebody wrote on a line of the audit log, in clear as far as its key is there:
        [(what, old, new)]; recorded before it is shown."""
        assert line.application_id is not None  # nothing else has anything sealed
        party_id = await self._service.pool.fetchval(
            "SELECT party_id FROM application WHERE application_id = $1", line.application_id
        )
        found: list[str | None] = []
        for one in line.sealed:
            opened: str | None = None
            with suppress(KeyUnavailableError):
                keys = await self._vault.party_keys(party_id, line.application_id)
                key = keys.by_class[DataClass.CONTACT]
                opened = key.open(NOTE_FIELD, Sealed(one.new or ""))
            found.append(opened)
        sealed = await self._seal(party_id, line.application_id, text)
        async with self._service.transaction(actor=viewer.actor) as tx:
            await record_view(
                tx.conn,
                line.application_id,
                viewer.staff_id,
                f"audit {line.place.source} {line.place.id}",
                tx.now,
                why=why,
                reason=sealed,
            )
        return [told_words(one) for one in found]

    async def _seal(self, party_id: str, application_id: str, text: str) -> str | None:
        """Words under the customer's contact key; None where there are none, or the key is gone:
        the code of the reason is kept all the same."""
        if not text.strip():
            return None
        with suppress(KeyUnavailableError):
            keys = await self._vault.party_keys(party_id, application_id)
            return str(keys.seal("contact", NOTE_FIELD, text.strip()))
        return None
