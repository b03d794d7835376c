"""The JSON API: what was sent to customers, for other systems of the bank; never the addressee."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from asyncpg import Record
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.notify.application import MessageState
from services.notify.messages import Channel, Template
from services.notify.store import (
    PAGE_SIZE,
    MessageFilter,
    count_by_state,
    find_message,
    history_of,
    list_messages,
)
from services.notify.wording import MASKED_ADDRESSEE, fill
from shared.messaging import Service
from shared.web import Permission, Problem, Viewer, requires
from shared.web.audit import record_view


class MessageOut(BaseModel):
    """A message and how far it has come. `recipient` is masked."""

    message_id: str
    application_id: str
    application_number: str
    branch: str
    template: Template
    template_version: str
    channel: Channel
    language: Literal["zh-CN", "en"]
    state: MessageState
    reason: str
    recipient: str
    round: int = Field(description="1, and one more each time a person had it sent again")
    cause_id: str = Field(description="the event that called for the message")
    cause_type: str
    not_before: datetime
    requested_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None


class MessagesOut(BaseModel):
    """One page of messages, newest first."""

    messages: list[MessageOut]
    total: int
    page: int
    page_size: int


class HistoryOut(BaseModel):
    """One thing that happened to a message; `detail` is a code, `actor` who decided it by hand."""

    at: datetime
    state: MessageState
    detail: str
    actor: str | None


class MessageDetailOut(MessageOut):
    """A message with its text, the addressee masked, and its history, oldest first."""

    title: str
    text: str
    history: list[HistoryOut]


class CountsOut(BaseModel):
    """How many messages there are in each state."""

    states: dict[MessageState, int]
    total: int


def router(service: Service) -> APIRouter:
    """The API of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/notify/api/v1", tags=["messages"])
    may_view = requires(Permission.MESSAGE_VIEW)

    @routes.get("/messages")
    async def list_of_messages(
        viewer: Annotated[Viewer, may_view],
        state: Annotated[list[MessageState] | None, Query()] = None,
        channel: Channel | None = None,
        template: Template | None = None,
        branch: str = "",
        application_id: str = "",
        application_number: str = "",
        first_day: date | None = None,
        last_day: date | None = None,
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    ) -> MessagesOut:
        """Messages, filtered; days are business days by when the message was requested."""
        rows, total = await list_messages(
            service.pool,
            MessageFilter(
                branches=viewer.branch_list,
                states=[one.value for one in state or ()],
                channel=channel.value if channel else "",
                template=template.value if template else "",
                branch=branch,
                application_id=application_id,
                number=application_number,
                first_day=first_day,
                last_day=last_day,
            ),
            page=page,
        )
        return MessagesOut(
            messages=[MessageOut(**_out(row)) for row in rows],
            total=total,
            page=page,
            page_size=PAGE_SIZE,
        )

    @routes.get("/messages/counts")
    async def counts_of_messages(viewer: Annotated[Viewer, may_view]) -> CountsOut:
        """How many messages are in each state, to reconcile with the topic by."""
        counted = await count_by_state(service.pool, MessageFilter(branches=viewer.branch_list))
        return CountsOut(
            states={MessageState(state): number for state, number in counted.items()},
            total=sum(counted.values()),
        )

    @routes.get("/messages/{message_id}")
    async def one_message(message_id: str, viewer: Annotated[Viewer, may_view]) -> MessageDetailOut:
        """One message with its text and history."""
        row = await find_message(service.pool, message_id, viewer.branch_list)
        if row is None:
            raise Problem(404, "not-found", "There is no such message")
        async with service.transaction(actor=viewer.actor) as tx:
            await record_view(tx.conn, row["application_id"], viewer.staff_id, "message", tx.now)
        return MessageDetailOut(
            **_out(row),
            title=row["title"],
            text=fill(row["body"], MASKED_ADDRESSEE[row["language"]]),
            history=[
                HistoryOut(
                    at=entry["at"],
                    state=entry["state"],
                    detail=entry["detail"],
                    actor=entry["actor"],
                )
                for entry in await history_of(service.pool, message_id)
            ],
        )

    return routes


def _out(row: Record) -> dict[str, Any]:
    fields = set(MessageOut.model_fields) - {"application_number"}
    return {**{name: row[name] for name in fields}, "application_number": row["number"]}
