"""The pages: message log, one message with its history, and the desk's word on unresolved ones."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from asyncpg import Record
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.notify import words
from services.notify.application import NotUnresolvedError, SentEvidence, UnsentEvidence
from services.notify.filters import MessagesChosen
from services.notify.handlers import Decide, Handlers, decide_language
from services.notify.revealing import Masked, Revealing
from services.notify.store import (
    ApplicationStore,
    MessageFilter,
    count_by_state,
    find_message,
    history_of,
    ids_of_number,
    list_messages,
    page_of,
    total_of,
)
from services.notify.wording import LANGUAGES, MASKED_ADDRESSEE, fill
from shared.messaging import Service
from shared.parameters import product_of
from shared.parameters.load import UnknownVersionError
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web import reveal as shared_reveal
from shared.web.audit import record_view
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language
from shared.web.kept_views import Listed, sharing, views_of
from shared.web.lists import Place
from shared.web.reveal import Text, Why, missing_reason
from shared.web.states import named, options

MayView = Annotated[Viewer, requires(Permission.MESSAGE_VIEW)]
MayResolve = Annotated[Viewer, requires(Permission.MESSAGE_RESOLVE)]
MayEdit = Annotated[Viewer, requires(Permission.APPLICATION_EDIT)]
MayReveal = Annotated[Viewer, requires(Permission.PERSONAL_REVEAL, Permission.MESSAGE_VIEW)]

MESSAGES = Listed("/notify/messages", MessagesChosen.read)
_FIELD = "/messages/{message_id}/fields/{field}"
_FEWEST_DIGITS = 4  # of the end of a number

PAGE_SIZE = 30  # of the list, which stays under 100 KB with so many rows


def router(service: Service, handlers: Handlers, revealing: Revealing) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/notify", include_in_schema=False)
    _add_log(routes, service)
    _add_reveal(routes, revealing)
    store = ApplicationStore()

    @routes.get("/messages/{message_id}")
    async def page_message(request: Request, message_id: str, viewer: MayView) -> Response:
        """One message: the text as sent with the name masked, and what happened to it."""
        row = await _visible(message_id, viewer)
        async with service.transaction(actor=viewer.actor) as tx:
            await record_view(tx.conn, row["application_id"], viewer.staff_id, "message", tx.now)
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
            reveal=viewer.may_in(Permission.PERSONAL_REVEAL, row["branch"]),
            words=words,
        )

    @routes.post("/messages/{message_id}/mark-sent")
    async def mark_sent(
        request: Request,
        message_id: str,
        evidence: Annotated[SentEvidence, Form()],
        viewer: MayResolve,
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
        viewer: MayResolve,
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
        viewer: MayEdit,
    ) -> Response:
        """The customer prefers this language for what is to come."""
        if language not in LANGUAGES:
            raise Problem(422, "invalid-request", "Messages are written in Chinese and English")
        await _decide(message_id, viewer, decide_language(language, viewer.actor))
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


def _add_log(routes: APIRouter, service: Service) -> None:
    @routes.get("/messages")
    async def page_messages(request: Request, viewer: MayView) -> Response:
        """The log of all messages, newest first."""
        chosen = replace(MessagesChosen.read(request.query_params), section="")
        first, last = chosen.days
        wanted = MessageFilter(
            branches=viewer.branch_list,
            states=[chosen.state] if chosen.state else (),
            channel=chosen.channel,
            branch=chosen.branch,
            template=chosen.template,
            application_id=chosen.application,
            first_day=first,
            last_day=last,
        )
        key, descending = chosen.order
        kind = str if key == "number" else datetime
        after = Place.read(request.query_params.get("after", ""), kind)
        before = None if after else Place.read(request.query_params.get("before", ""), kind)
        found = await page_of(
            service.pool,
            wanted,
            PAGE_SIZE,
            key,
            descending=descending,
            after=after,
            before=before,
        )
        total = await total_of(service.pool, wanted)
        counts = await count_by_state(service.pool, MessageFilter(branches=viewer.branch_list))
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            views = await views_of(conn, viewer, "messages", MESSAGES)
        seen = {code: name for code, name in branches.items() if viewer.sees(code)}
        return page(
            request,
            "messages.html",
            chosen=chosen,
            found=found,
            total=total,
            sort=chosen.sort or "-requested",
            current=MESSAGES.at(chosen.query()),
            counts=counts,
            views=views,
            sharing=sharing(viewer, branches),
            branches=branches,
            filters=_filters(seen),
            everything=MESSAGES.at(replace(chosen, application="").query()),
            words=words,
        )

    @routes.post("/messages/search")
    async def find_messages(
        request: Request,
        viewer: MayView,
        value: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        """The messages of the application with that number, or one that ends so; what was typed
        stays out of the address."""
        number = "".join(value.split())
        digits = number.isascii() and number.isdecimal() and len(number) >= _FEWEST_DIGITS
        found = await ids_of_number(service.pool, viewer.branch_list, number) if digits else []
        if len(found) == 1:
            return redirect(request, MESSAGES.at(urlencode({"application": found[0]})))
        told = (
            _("Several applications have a number that ends so: type more of its digits.")
            if found
            else _("No application that you may see has this number, or one that ends so.")
        )
        return redirect(request, MESSAGES.address, flash=told, tone="warning")


def _add_reveal(routes: APIRouter, revealing: Revealing) -> None:
    @routes.get(_FIELD)
    async def page_ask(
        request: Request,
        message_id: str,
        field: str,
        viewer: MayReveal,
    ) -> Response:
        """Asks why it is needed."""
        return _revealing(request, await revealing.find(viewer, message_id, field))

    @routes.post(_FIELD)
    async def reveal(
        request: Request,
        message_id: str,
        field: str,
        viewer: MayReveal,
        why: Why = "",
        text: Text = "",
    ) -> Response:
        """What is masked of a message in clear; recorded with the reason before it is shown."""
        masked = await revealing.find(viewer, message_id, field)
        if error := missing_reason(why, text):
            return _revealing(request, masked, why=why, error=error)
        return _revealing(request, masked, clear=await revealing.show(viewer, masked, why, text))


def _revealing(request: Request, masked: Masked, **more: Any) -> Response:
    here = f"/notify/messages/{masked.dispatch.message_id}"
    label = _(words.FIELDS[masked.field])
    return shared_reveal.revealing(
        request,
        masked.field,
        action=f"{here}/fields/{masked.field}",
        back=here,
        back_label=named(masked.dispatch.template, "message"),
        heading=label,
        label=label,
        **more,
    )


def _filters(branches: dict[str, str]) -> list[dict[str, Any]]:
    """The fields above the log; `more`: what is asked for seldom."""
    found = [
        _choice("state", _("State"), {c: _(badge.label) for c, badge in words.STATES.items()}),
        _choice("channel", _("Channel"), {c: _(b.label) for c, b in words.CHANNELS.items()}),
        _choice("template", _("Message"), dict(options("message"))),
        _choice("branch", _("Branch"), {c: f"{c} {name}" for c, name in branches.items()}),
        {"name": "first", "label": _("From"), "type": "date", "more": True},
        {"name": "last", "label": _("To"), "type": "date", "more": True},
    ]
    return [one for one in found if one["name"] != "branch" or len(branches) > 1]


def _choice(name: str, label: str, options: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "label": label, "options": list(options.items())}


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
