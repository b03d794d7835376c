"""Notify's audit log: who looked at which message, what was decided by hand, which language a
customer was given. What messages do by themselves is no line of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.notify import words
from shared.web import audit_pages
from shared.web.audit import VIEWS, Line, Log, Source, Told
from shared.web.i18n import LANGUAGES, _, mark
from shared.web.states import named

LOG: Final = Log(
    {
        "view": VIEWS,
        "history": Source(
            "change",
            "message_history",
            "t.actor",
            "t.state",
            "m.application_id",
            "m.template",
            "jsonb_build_object('detail', t.detail)",
            "JOIN message m USING (message_id)",
            where="t.actor IS NOT NULL",
        ),
        "language": Source(
            "change",
            "language_change",
            "t.actor",
            "'language'",
            "t.application_id",
            details="jsonb_build_object('was', t.was, 'is_now', t.is_now)",
        ),
        **audit_pages.COMMON,
    },
    "SELECT application_id, number FROM application",
)

KINDS: Final[Mapping[str, str]] = {
    **audit_pages.KINDS,
    "change": mark("Messages decided on by hand"),
}

_LOOKED: dict[str, str] = {
    "message": mark("Message, addressee masked"),
}


def _told(line: Line, staff: Mapping[str, str]) -> Told:
    match line.place.source:
        case "view":
            field = line.details["field"]
            about = _(words.FIELDS.get(field, field)) if field else ""
            return audit_pages.tell_view(line, _LOOKED, about)
        case "history":
            happened = words.BY_HAND.get(line.action, line.action)
            detail = line.details["detail"]
            about = named(line.subject or "", "message")
            return Told(_(happened), about, [_(words.reason_words(detail))] if detail else [])
        case "language":
            was, is_now = (LANGUAGES.get(line.details[one], "") for one in ("was", "is_now"))
            title = _("Language of further messages")
            return Told(title, values=[(_("Language"), was, is_now, line.details["is_now"])])
        case _:
            return audit_pages.tell_common(line, staff)


WORDS: Final = audit_pages.Words(
    _told, lambda actor, _staff: actor, "/reporting/applications/", KINDS
)
