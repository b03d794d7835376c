"""Pages for operators: what waits in a service's parking lot, and what can be done about it.

One module for the four services, each over its own database: none reads another's, so the tabs
lead to the others. Everything is done by the functions behind `banka parked`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from shared import redrive
from shared.events.catalog import SERVICES
from shared.events.review import ApplicationHeld, ApplicationReferred, ApplicationReleased
from shared.redrive import CannotRedrive, ParkedKey, Selection
from shared.redrive.masks import masked_line
from shared.web import operations_words as words
from shared.web.access import requires
from shared.web.directory import staff_names
from shared.web.i18n import _
from shared.web.limits import RowNumber, lenient
from shared.web.navigation import parked_page
from shared.web.pages import last_page, page, page_number, redirect
from shared.web.permissions import Permission, Scope, Viewer
from shared.web.problems import Problem

PAGE_SIZE = 25
MOST = 200  # of one bulk from a page: somebody waits for it
PER_SECOND = 50.0
_SHOWN = 50  # of a bulk that the preview names one by one
_WORKS = 100
_LONGEST = 500  # characters of a reason
_APPLICATIONS = ("banka.applications", "banka.contacts", "banka.cases")  # keyed by application
_AGES = {"15m": timedelta(minutes=15), "2h": timedelta(hours=2), "1d": timedelta(days=1),
         "7d": timedelta(days=7)}  # fmt: skip
# Told alike to who may not know of holds (反洗钱法 35), payload and error left out.
_HOLDS = (ApplicationHeld.type, ApplicationReleased.type, ApplicationReferred.type)

MaySee = Annotated[Viewer, requires(Permission.OPERATIONS_VIEW, scope=Scope.ALL)]
MayRedrive = Annotated[Viewer, requires(Permission.OPERATIONS_REDRIVE, scope=Scope.ALL)]
Why = Annotated[str, Form(pattern=r"\S", max_length=_LONGEST)]


class OverParkingLot(Protocol):
    """What the pages need of a service."""

    name: str
    pool: Any


class Chosen(BaseModel):
    """The filter, as it stands in an address or a form."""

    consumer: str = ""
    type: str = ""
    state: str = ""
    text: str = ""
    subject: str = ""
    age: str = ""

    def selection(self, viewer: Viewer, until: datetime | None = None) -> Selection:
        """The same for the parking lot; what the viewer may not know of cannot be asked for."""
        known = viewer.knows_holds or self.type not in _HOLDS
        return Selection(
            consumer=self.consumer or None,
            subject=self.subject.strip() or None,
            event_type=self.type if known and self.type else None,
            state=self.state if self.state in words.WAITS else None,
            text=self.text.strip() or None,
            older=_AGES.get(self.age),
            until=until,
        )

    def query(self, **more: str) -> str:
        """As the query of an address."""
        return urlencode({n: v for n, v in (self.model_dump() | more).items() if v})


def _from_query(
    consumer: str = "",
    kind: Annotated[str, Query(alias="type")] = "",
    state: str = "",
    text: str = "",
    subject: str = "",
    age: str = "",
) -> Chosen:
    return Chosen(consumer=consumer, type=kind, state=state, text=text, subject=subject, age=age)


Filter = Annotated[Chosen, Depends(_from_query)]


@dataclass(frozen=True, slots=True)
class Told:
    """A parked key as this viewer may see it. hidden: what it says is not for them."""

    key: ParkedKey
    type: str
    reason: str
    subject: str
    href: str | None  # of the application
    hidden: bool


def _told(key: ParkedKey, viewer: Viewer) -> Told:
    hidden = key.type in _HOLDS and not viewer.knows_holds
    shown = ApplicationReferred.type if hidden else key.type
    href = None
    if key.topic in _APPLICATIONS and viewer.may_somewhere(Permission.APPLICATION_VIEW):
        href = f"/reporting/applications/{key.subject}"
    return Told(
        key=key,
        type=_short(shown),
        reason="" if hidden else key.reason,
        subject=masked_line(key.subject),
        href=href,
        hidden=hidden,
    )


def _text(payload: Any) -> str:
    return json.dumps(payload, ensure_ascii=False, indent=2, default=str)


def _short(event_type: str) -> str:
    return event_type.removeprefix("banka.") if event_type != "?" else _("no event")


def router(service: OverParkingLot) -> APIRouter:
    """The operators' pages of one service."""
    routes = APIRouter(prefix=parked_page(service.name), include_in_schema=False)
    _add_list(routes, service)
    _add_many(routes, service)
    _add_failed(routes, service)
    _add_event(routes, service)
    return routes


def _frame(service: OverParkingLot, viewer: Viewer) -> dict[str, Any]:
    """What every page of an operator shows or asks."""
    return {
        "service": service.name,
        "home": parked_page(service.name),
        "tabs": [(parked_page(name), _(words.SERVICE_NAMES[name]), None) for name in SERVICES],
        "may_redrive": viewer.reach_of(Permission.OPERATIONS_REDRIVE).everywhere,
        "machine_now": datetime.now(UTC),
        "words": words,
        "short": _short,
        "masked": masked_line,
        "longest": _LONGEST,
    }


def _add_list(routes: APIRouter, service: OverParkingLot) -> None:
    @routes.get("")
    async def page_parked(request: Request, viewer: MaySee, chosen: Filter) -> Response:
        """Everything that does not go on by itself."""
        which = chosen.selection(viewer)
        async with service.pool.acquire() as conn:
            total, events = await redrive.count_parked(conn, which)
            number = min(page_number(request), last_page(total, PAGE_SIZE))
            offset = (number - 1) * PAGE_SIZE
            keys = await redrive.list_parked(conn, which, limit=PAGE_SIZE, offset=offset)
            kinds = await redrive.kinds_parked(conn)
            works = await redrive.list_failed(conn, which, limit=_WORKS)
            halted = await redrive.list_halted(conn)
            decisions = await redrive.list_decisions(conn, limit=10)
            people = await _people(conn, decisions)
        if not viewer.knows_holds:
            kinds["type"] = [name for name in kinds["type"] if name not in _HOLDS]
        return page(
            request,
            "parked.html",
            **_frame(service, viewer),
            keys=[_told(key, viewer) for key in keys],
            total=total,
            events=events,
            page_number=number,
            page_size=PAGE_SIZE,
            filters=_filters(kinds),
            works=works,
            halted=halted,
            decisions=decisions,
            people=people,
            chosen=chosen,
            narrowed=bool(chosen.query()),
        )

    @routes.post("/resume")
    async def resume(
        request: Request, viewer: MayRedrive, consumer: Annotated[str, Form()], why: Why
    ) -> Response:
        """Have a consumer go on that stopped by itself."""
        async with service.pool.acquire() as conn:
            return await _decided(
                request,
                parked_page(service.name),
                redrive.resume_consumer(conn, consumer, who=viewer.actor, why=why),
                _("The consumer goes on within seconds."),
            )


def _filters(kinds: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """The fields of the filter form, with what there is to choose from."""

    def chosen_from(name: str, label: str, options: list[tuple[str, str]]) -> dict[str, Any]:
        return {"name": name, "label": label, "type": "select", "options": options}

    return [
        {"name": "text", "label": _("In the error's line"), "type": "search"},
        chosen_from("consumer", _("Consumer"), [(one, one) for one in kinds["consumer"]]),
        chosen_from("type", _("Event"), [(one, _short(one)) for one in kinds["type"]]),
        chosen_from(
            "state", _("State"), [(one, _(badge.label)) for one, badge in words.WAITS.items()]
        ),
        chosen_from(
            "age", _("Waits for more than"), [(one, _(text)) for one, text in words.AGES.items()]
        ),
        {"name": "subject", "label": _("Application (id)"), "type": "text"},
    ]


async def _people(conn: Any, decisions: Sequence[redrive.Decision]) -> Mapping[str, str]:
    """{who, as the audit trail has it: name}"""
    staff = [d.who.removeprefix("staff:") for d in decisions if d.who.startswith("staff:")]
    return {f"staff:{one}": name for one, name in (await staff_names(conn, staff)).items()}


def _add_event(routes: APIRouter, service: OverParkingLot) -> None:
    home = parked_page(service.name)

    @routes.get("/{number}")
    async def page_event(request: Request, viewer: MaySee, number: RowNumber) -> Response:
        """One parked event, what it says with its texts masked, and what waits behind it."""
        async with service.pool.acquire() as conn:
            try:
                found = await redrive.show_parked(conn, number)
            except CannotRedrive as refusal:
                raise Problem(404, "not-found", str(refusal)) from None
        told = _told(found.key, viewer)
        if told.hidden:
            found = replace(found, payload=None)
        return page(
            request,
            "parked_event.html",
            **_frame(service, viewer),
            found=found,
            payload=_text(found.payload),
            told=told,
            number=number,
            behind=[
                (one, _short(ApplicationReferred.type) if hidden else _short(kind), sequence)
                for one, kind, sequence in found.behind
                for hidden in [kind in _HOLDS and not viewer.knows_holds]
            ],
            cure=redrive.cure_of_gap(found.key.topic, found.key.subject, found.source)
            if found.key.state == "gap"
            else "",
            partners=found.key.topic.startswith("banka.inbound."),
        )

    @routes.post("/{number}/retry")
    async def retry(
        request: Request,
        viewer: MayRedrive,
        number: RowNumber,
        why: Why,
        seen: Annotated[AwareDatetime, Form()],
    ) -> Response:
        """Have the service try it again."""
        async with service.pool.acquire() as conn:
            return await _decided(
                request,
                home,
                redrive.retry_parked(conn, number, who=viewer.actor, why=why, seen=seen),
                _("It is tried again now."),
            )

    @routes.post("/{number}/skip")
    async def skip(
        request: Request,
        viewer: MayRedrive,
        number: RowNumber,
        why: Why,
        seen: Annotated[AwareDatetime, Form()],
    ) -> Response:
        """Never apply it."""
        async with service.pool.acquire() as conn:
            return await _decided(
                request,
                home,
                redrive.skip_parked(conn, number, who=viewer.actor, why=why, seen=seen),
                _("It is skipped; what waits behind it goes on."),
            )


def _add_failed(routes: APIRouter, service: OverParkingLot) -> None:
    home = parked_page(service.name)

    @routes.get("/failed")
    async def page_failed(request: Request, viewer: MaySee, reference: str) -> Response:
        """The answer of a call, or a deadline, that its handler failed on."""
        async with service.pool.acquire() as conn:
            try:
                found = await redrive.show_failed(conn, reference)
            except CannotRedrive as refusal:
                raise Problem(404, "not-found", str(refusal)) from None
        return page(
            request,
            "parked_failed.html",
            **_frame(service, viewer),
            found=found,
            payload=_text(found.payload),
        )

    @routes.post("/failed/retry")
    async def retry(
        request: Request, viewer: MayRedrive, reference: Annotated[str, Form()], why: Why
    ) -> Response:
        """Have its handler tried again."""
        async with service.pool.acquire() as conn:
            return await _decided(
                request,
                home,
                redrive.retry_failed(conn, reference, who=viewer.actor, why=why),
                _("It is tried again now."),
            )


def _add_many(routes: APIRouter, service: OverParkingLot) -> None:
    home = parked_page(service.name)

    @routes.get("/many")
    async def page_many(
        request: Request,
        viewer: MayRedrive,
        chosen: Filter,
        action: Annotated[Literal["retry", "skip"], lenient("retry")] = "retry",
    ) -> Response:
        """What a retry or a skip of all that is chosen would do; nothing is done yet."""
        which = chosen.selection(viewer)
        async with service.pool.acquire() as conn:
            # by the clock that says since when they wait
            until = await conn.fetchval("SELECT clock_timestamp()")
            items = await redrive.select_waiting(conn, which, limit=MOST)
            total, events = await redrive.count_parked(conn, which)
        able = sum(not redrive.objection(item, action) for item in items)
        return page(
            request,
            "parked_many.html",
            **_frame(service, viewer),
            action=action,
            chosen=chosen,
            until=until.isoformat(),
            items=[
                (_told(item, viewer), redrive.objection(item, action))
                for item in items[:_SHOWN]
                if isinstance(item, ParkedKey)
            ],
            able=able,
            left=len(items) - able,
            total=total,
            events=events,
            most=MOST,
        )

    @routes.post("/many")
    async def do_many(
        request: Request,
        viewer: MayRedrive,
        form: Annotated[_Many, Form()],
    ) -> Response:
        """Do it, no faster than the service can follow."""
        chosen = Chosen(**form.model_dump(include=set(Chosen.model_fields)))
        which = chosen.selection(viewer, form.until)
        done = left = 0
        async with service.pool.acquire() as conn:
            items = await redrive.select_waiting(conn, which, limit=MOST)
            async for outcome in redrive.redrive_many(
                conn, items, form.action, who=viewer.actor, why=form.why, per_second=PER_SECOND
            ):
                done, left = (done, left + 1) if outcome.refused else (done + 1, left)
        said = (_("Tried again: %(n)s.") if form.action == "retry" else _("Skipped: %(n)s.")) % {
            "n": done
        }
        if left:
            said += " " + _("Left alone, because it had changed or is not possible: %(n)s.") % {
                "n": left
            }
        return redirect(request, home, flash=said, tone="success" if done else "warning")


class _Many(Chosen):
    action: Literal["retry", "skip"]
    why: str = Field(pattern=r"\S", max_length=_LONGEST)
    until: AwareDatetime


async def _decided(request: Request, back: str, command: Any, done: str) -> Response:
    """Run a command; its outcome is said in one line on the page that it leads back to."""
    try:
        await command
    except CannotRedrive as refusal:
        said = _(words.REFUSALS.get(refusal.code, words.REFUSALS["other"]))
        return redirect(request, back, flash=said, tone="danger")
    return redirect(request, back, flash=done)
