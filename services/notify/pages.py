"""The pages: message log, one message with its history, and the desk's word on unresolved ones."""

from typing import Annotated, Any

from asyncpg import Record
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.notify import words
from services.notify.application import NotUnresolvedError, SentEvidence, UnsentEvidence
from services.notify.handlers import Decide, Handlers, decide_language
from services.notify.store import (
    ApplicationStore,
    MessageFilter,
    count_by_state,
    find_message,
    history_of,
    list_messages,
)
from services.notify.wording import LANGUAGES, MASKED_ADDRESSEE, fill
from shared.calendar import day_of
from shared.messaging import Service
from shared.parameters import product_of
from shared.parameters.load import UnknownVersionError
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language

PAGE_SIZE = 30  # of the list, which stays under 100 KB with so many rows


def router(service: Service, handlers: Handlers) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/notify", include_in_schema=False)
    may_view = requires(Permission.MESSAGE_VIEW)
    may_resolve = requires(Permission.MESSAGE_RESOLVE)
    may_edit = requires(Permission.APPLICATION_EDIT)
    store = ApplicationStore()

    @routes.get("/messages")
    async def page_messages(
        request: Request,
        viewer: Annotated[Viewer, may_view],
        state: str = "",
        channel: str = "",
        branch: str = "",
        template: str = "",
        q: str = "",
        first: str = "",
        last: str = "",
        sort: str = "-requested_at",
    ) -> Response:
        """The log of all messages, newest first."""
        digits = "".join(character for character in q if character.isdigit())
        everything = MessageFilter(branches=viewer.branch_list)
        wanted = MessageFilter(
            branches=viewer.branch_list,
            states=[state] if state else (),
            channel=channel,
            branch=branch,
            template=template,
            # letters cannot be part of a number: nothing fits
            number=(digits or "-") if q.strip() else "",
            first_day=day_of(first),
            last_day=day_of(last),
        )
        number = _page(request.query_params.get("page"))
        rows, total = await list_messages(
            service.pool, wanted, sort=sort, page=number, page_size=PAGE_SIZE
        )
        counts = await count_by_state(service.pool, everything)
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
        return page(
            request,
            "messages.html",
            rows=rows,
            total=total,
            page_number=number,
            page_size=PAGE_SIZE,
            sort=sort,
            counts=counts,
            state=state,
            branches=branches,
            filters=_filters({code: branches[code] for code in branches if viewer.sees(code)}),
            words=words,
        )

    @routes.get("/messages/{message_id}")
    async def page_message(
        request: Request, message_id: str, viewer: Annotated[Viewer, may_view]
    ) -> Response:
        """One message: the text as sent with the name masked, and what happened to it."""
        row = await _visible(message_id, viewer)
        history = await history_of(service.pool, message_id)
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            names = await staff_names(
                conn,
                [
                    entry["actor"].removeprefix("staff:")
                    for entry in history
                    if entry["actor"] is not None
                ],
            )
        siblings, _total = await list_messages(
            service.pool,
            MessageFilter(branches=viewer.branch_list, application_id=row["application_id"]),
        )
        return page(
            request,
            "message.html",
            message=row,
            text=fill(row["body"], MASKED_ADDRESSEE[row["language"]]),
            history=[_happening(entry, names) for entry in history],
            siblings=[one for one in siblings if one["message_id"] != message_id],
            branch_name=branches.get(row["branch"], row["branch"]),
            product_name=_product(row["product"]),
            sent_evidence=[(code, _(name)) for code, name in words.SENT.items()],
            unsent_evidence=[(code, _(name)) for code, name in words.UNSENT.items()],
            words=words,
        )

    @routes.post("/messages/{message_id}/mark-sent")
    async def mark_sent(
        request: Request,
        message_id: str,
        evidence: Annotated[SentEvidence, Form()],
        viewer: Annotated[Viewer, may_resolve],
    ) -> Response:
        """The desk found out that the message went out."""
        await _decide(message_id, viewer, handlers.decide_sent(message_id, viewer.actor, evidence))
        return redirect(
            request, f"/notify/messages/{message_id}", flash=_("The message counts as sent.")
        )

    @routes.post("/messages/{message_id}/send-again")
    async def send_again(
        request: Request,
        message_id: str,
        evidence: Annotated[UnsentEvidence, Form()],
        viewer: Annotated[Viewer, may_resolve],
    ) -> Response:
        """The desk wants the message sent once more."""
        await _decide(
            message_id, viewer, handlers.decide_send_again(message_id, viewer.actor, evidence)
        )
        return redirect(
            request, f"/notify/messages/{message_id}", flash=_("The message is sent again.")
        )

    @routes.post("/messages/{message_id}/language")
    async def choose_language(
        request: Request,
        message_id: str,
        language: Annotated[str, Form()],
        viewer: Annotated[Viewer, may_edit],
    ) -> Response:
        """The customer prefers this language for what is to come."""
        if language not in LANGUAGES:
            raise Problem(422, "invalid-request", "Messages are written in Chinese and English")
        await _decide(message_id, viewer, decide_language(language))
        return redirect(
            request,
            f"/notify/messages/{message_id}",
            flash=_("Further messages are written in this language."),
        )

    async def _visible(message_id: str, viewer: Viewer) -> Record:
        row = await find_message(service.pool, message_id, viewer.branch_list)
        if row is None:
            raise Problem(404, "not-found", "There is no such message")
        return row

    async def _decide(message_id: str, viewer: Viewer, decide: Decide) -> None:
        row = await _visible(message_id, viewer)
        try:
            await service.execute(store, row["application_id"], decide, actor=viewer.actor)
        except (NotUnresolvedError, KeyError):
            # a message that is final is no longer loaded
            raise Problem(409, "conflict", "The message is no longer unresolved") from None

    return routes


def _filters(branches: dict[str, str]) -> list[dict[str, Any]]:
    """The fields above the log."""
    return [
        {
            "name": "q",
            "label": _("Application number"),
            "type": "search",
            "placeholder": _("Number or its last digits"),
        },
        _choice("state", _("State"), {c: _(badge.label) for c, badge in words.STATES.items()}),
        _choice("channel", _("Channel"), {c: _(b.label) for c, b in words.CHANNELS.items()}),
        _choice("template", _("Message"), {c: _(name) for c, name in words.TEMPLATES.items()}),
        _choice("branch", _("Branch"), {c: f"{c} {name}" for c, name in branches.items()}),
        {"name": "first", "label": _("From"), "type": "date"},
        {"name": "last", "label": _("To"), "type": "date"},
    ]


def _choice(name: str, label: str, options: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "label": label, "type": "select", "options": list(options.items())}


def _happening(entry: Record, names: dict[str, str]) -> dict[str, object]:
    """A line of the history in the words of the timeline."""
    by_hand = entry["actor"] is not None
    title = (words.BY_HAND if by_hand else words.HAPPENINGS)[entry["state"]]
    badge = words.STATES[entry["state"]]
    actor = (entry["actor"] or "").removeprefix("staff:")
    return {
        "at": entry["at"],
        "title": _(title),
        "detail": _(words.reason_words(entry["detail"])) if entry["detail"] else "",
        "actor": names.get(actor, actor),
        "tone": badge.tone,
        "icon": badge.icon,
    }


def _product(code: str) -> str:
    try:
        return product_of(code).names.in_language(current_language())
    except UnknownVersionError:
        return code


def _page(text: str | None) -> int:
    return (
        min(int(text), 100_000) if text and text.isascii() and text.isdecimal() and int(text) else 1
    )
