"""The pages of lists: applications and the office's work, people who are looked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.intake import store_lists, viewing, words
from services.intake.desk import Desk, Hits
from services.intake.filters import ListFilter, Span
from services.intake.pages_precheck import answers_for, contact_due
from services.intake.store_lists import Row, Wanted, WorkRow
from shared.calendar import business_day, escalated_before
from shared.events.lifecycle import OWNERS, State
from shared.formats import Severity, check_mobile, check_name, is_resident_id, person_number
from shared.messaging import Service
from shared.parameters import load_products
from shared.web import Permission, Viewer, page, redirect, requires
from shared.web.directory import branch_names
from shared.web.i18n import _, current_language
from shared.web.kept_views import Listed, sharing, views_of
from shared.web.lists import Place
from shared.web.states import options

PAGE_SIZE = 30  # of a list, and of what a search found: so many rows stay under 100 KB
LISTS: Mapping[str, Listed] = {
    "applications": Listed("/intake/applications", ListFilter.read),
    "work": Listed("/intake/work", ListFilter.read),
}

_MAY_VIEW = requires(Permission.APPLICATION_VIEW)
_MAY_WORK = requires(Permission.PRE_CHECK_VIEW)

_NUMBER = re.compile(r"\d{18}")
# at least branch and day; an ID number has no such day there
_BEGIN_OF_NUMBER = re.compile(r"\d{4}20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{0,5}")


def router(service: Service, desk: Desk) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    _applications(routes, service)
    _work(routes, service)
    _search(routes, service, desk)
    return routes


def _applications(routes: APIRouter, service: Service) -> None:
    """All applications."""

    @routes.get("/applications")
    async def page_applications(request: Request, viewer: Annotated[Viewer, _MAY_VIEW]) -> Response:
        """Applications by state, branch, product and more, in the order that is asked for."""
        chosen = replace(ListFilter.read(request.query_params), section="")
        now = service.clock.now()
        wanted = wanted_by(chosen, viewer, now)
        whole = wanted_by(replace(chosen, state=""), viewer, now)
        after, before = _places(request, wanted)
        async with service.pool.acquire() as conn:
            counts = await store_lists.counts_of(conn, whole)
            # of states in which there is nothing, nothing is looked for
            there = [one for one in wanted.states if counts.by_state.get(one)]
            found = await store_lists.page_of(
                conn, replace(wanted, states=there), PAGE_SIZE, after=after, before=before
            )
            branches = await branch_names(conn)
            views = await views_of(conn, viewer, "applications", LISTS["applications"])
        tabs = [("", _("All")), ("open", _("Under way")), ("awaiting_material", None)]
        tabs += [("draft", _("Drafts")), ("delivered", _("To be activated"))]
        return page(
            request,
            "applications.html",
            chosen=chosen,
            found=found,
            total=counts.of(wanted.states),
            since=_since(found.rows, viewer),
            owners=_owners(found.rows, viewer),
            tabs=[
                (
                    LISTS["applications"].at(chosen.query(state=state)),
                    label or _("Awaiting material"),
                    counts.of(replace(chosen, state=state).states(_knower(viewer))).shown,
                )
                for state, label in tabs
            ],
            current=LISTS["applications"].at(chosen.query()),
            branches=branches,
            filters=_filters(viewer, branches),
            views=views,
            sharing=sharing(viewer, branches),
        )


def wanted_by(chosen: ListFilter, viewer: Viewer, now: datetime) -> Wanted:
    """What the store is asked for, as far as the viewer may see it."""
    branches = viewer.branch_list
    if chosen.branch:
        branches = [chosen.branch] if viewer.sees(chosen.branch) else []
    key, descending = chosen.order
    return Wanted(
        branches=branches,
        states=chosen.states(_knower(viewer)),
        product=chosen.product,
        channel=chosen.channel,
        begun=chosen.begun(now),
        term=chosen.term(now),
        key=key,
        descending=descending,
        hidden=viewing.states_of_unknown_age(viewer),
    )


def _knower(viewer: Viewer) -> Any:
    return lambda state: viewing.shown_state(state, viewer)


def _places(request: Request, wanted: Wanted) -> tuple[Place | None, Place | None]:
    """Behind or in front of which row the page begins; of both the first counts."""
    key = None if wanted.key == "number" else datetime
    after = Place.read(request.query_params.get("after", ""), key)
    before = Place.read(request.query_params.get("before", ""), key)
    return after, None if after else before


def _since(rows: Sequence[Row], viewer: Viewer) -> dict[str, datetime | None]:
    return {
        row.application_id: viewing.shown_since(row.state, row.state_since, viewer) for row in rows
    }


def _owners(rows: Sequence[Row], viewer: Viewer) -> dict[str, Any]:
    """Whose turn it is, by the state as the viewer knows it."""
    return {
        row.application_id: OWNERS.get(State(viewing.shown_state(row.state, viewer)))
        for row in rows
    }


# -- work --------------------------------------------------------------------------------------


SECTIONS = ("to-check", "waivers", "returned", "to-contact", "to-meet", "overdue", "escalated")
# What the assistants do while review has the case.
MEANWHILE = ("to-contact", "to-meet")
# What is not done in time, whoever has to do it; of what is overdue for long the manager is told.
LATE = ("overdue", "escalated")
_IN_REVIEW = (State.CHECKING, State.SCORING, State.MANUAL_REVIEW, State.ON_HOLD)


def _work(routes: APIRouter, service: Service) -> None:
    @routes.get("/work")
    async def page_work(request: Request, viewer: Annotated[Viewer, _MAY_WORK]) -> Response:
        """What waits for an officer, the oldest first."""
        read = ListFilter.read(request.query_params)
        section = read.section if read.section in SECTIONS else SECTIONS[0]
        kept = "" if section == SECTIONS[0] else section
        chosen = ListFilter(
            branch=read.branch,
            product=read.product,
            channel=read.channel,
            section=kept,
            sort=read.sort if read.sort.removeprefix("-") in ("since", "number", "due") else "",
        )
        now = service.clock.now()
        late = {"to-meet": now, "overdue": now, "escalated": escalated_before(business_day(now))}
        ordered = replace(chosen, sort=chosen.sort or ("due" if section in LATE else "since"))
        wanted = {
            one: _of_section(one, wanted_by(ordered, viewer, now), late.get(one))
            for one in SECTIONS
        }
        after, before = _places(request, wanted[section])
        async with service.pool.acquire() as conn:
            found = await store_lists.work_of(
                conn, wanted[section], PAGE_SIZE, after=after, before=before
            )
            totals = {
                one: (await store_lists.counts_of(conn, asked)).of(asked.states)
                for one, asked in wanted.items()
            }
            branches = await branch_names(conn)
            views = await views_of(conn, viewer, "work", LISTS["work"])
        names = {
            "to-check": _("To check"),
            "waivers": _("To agree to"),
            "returned": _("With the customer"),
            "to-contact": _("To contact"),
            "to-meet": _("Interview overdue"),
            "overdue": _("Overdue"),
            "escalated": _("Overdue for long"),
        }
        tabs = {
            one: LISTS["work"].at(chosen.query(section="" if one == SECTIONS[0] else one))
            for one in SECTIONS
        }
        return page(
            request,
            "work.html",
            chosen=chosen,
            section=section,
            sort=ordered.sort,
            found=found,
            total=totals[section],
            tabs=[(tabs[one], names[one], totals[one].shown) for one in SECTIONS],
            current=tabs[section],
            address=LISTS["work"].at(chosen.query()),
            late=section in LATE,
            due={row.application_id: _due(row, section) for row in found.rows},
            since=(
                {row.application_id: row.passed_at for row in found.rows}
                if section in MEANWHILE
                else _since(found.rows, viewer)
            ),
            owners={
                row.application_id: answers_for(row.state, row.due_at, late["escalated"], viewer)
                for row in found.rows
            },
            branches=branches,
            filters=[
                one
                for one in _filters(viewer, branches)
                if one["name"] in ("branch", "product", "channel")
            ],
            views=views,
            sharing=sharing(viewer, branches),
        )


def _due(row: WorkRow, section: str) -> datetime | None:
    """Until when what the section is about has to be done."""
    match section:
        case "to-contact":
            return contact_due(row)
        case "to-meet":
            return row.interview_due
        case _:
            return row.due_at


def _of_section(section: str, wanted: Wanted, late: datetime | None) -> Wanted:
    """`late`: what was due before then stands in the section."""
    with_officer, with_customer = State.PRE_CHECK, State.AWAITING_MATERIAL
    match section:
        case "overdue" | "escalated":
            return replace(wanted, states=list(OWNERS), term=Span(end=late))
        case "waivers":
            return replace(wanted, states=[with_officer, with_customer], waivers=True)
        case "to-contact":
            # by when it entered its state, a hold would show
            found = replace(wanted, states=_IN_REVIEW, to_contact=True)
            return found if wanted.key == "number" else replace(found, key="passed")
        case "to-meet":
            found = replace(wanted, states=_IN_REVIEW, to_meet=late)
            return found if wanted.key == "number" else replace(found, key="interview")
        case "returned":
            return replace(wanted, states=[with_customer])
        case _:
            return replace(wanted, states=[with_officer])


# -- search ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody typed, and as what it can be meant; nothing of it is kept or told."""

    number: str = ""
    begin_of_number: str = ""
    mobile: str = ""
    id_number: str = ""
    name: str = ""

    @property
    def of_person(self) -> dict[str, str]:
        """What of a person is looked for."""
        given = {"mobile": self.mobile, "id_number": self.id_number, "name": self.name}
        return {kind: value for kind, value in given.items() if value}


# the country's three letters and the number; a digit in it tells it from a name
_PASSPORT = re.compile(r"([A-Z]{3})[ /]+((?=[A-Z]*[0-9])[A-Z0-9]{5,20})")


def read_search(text: str, now: datetime) -> Search | None:
    """As what a text can be meant; None for what nobody can be found by."""
    compact = re.sub(r"[\s-]", "", text).removeprefix("+86")
    if compact.isascii() and re.sub(r"[xX]$", "", compact).isdecimal():
        is_id = is_resident_id(compact, business_day(now))
        found = Search(
            number=compact if _NUMBER.fullmatch(compact) else "",
            begin_of_number=compact if _BEGIN_OF_NUMBER.fullmatch(compact) else "",
            mobile="" if _wrong(check_mobile(compact)) else compact,
            id_number=compact if is_id else "",
        )
        return found if found != Search() else None
    if passport := _PASSPORT.fullmatch(text.strip().upper()):
        given = {"id_type": "passport", "nationality": passport[1], "id_number": passport[2]}
        number = person_number(given)
        return None if number is None else Search(id_number=number)
    if is_resident_id(compact, business_day(now)):  # the 15 characters of an old residence card
        return Search(id_number=compact)
    name = " ".join(text.split())
    return None if _wrong(check_name(name)) else Search(name=name)


def _wrong(findings: Sequence[Any]) -> bool:
    return any(one.severity == Severity.ERROR for one in findings)


def _search(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.get("/applications/search")
    async def page_empty_search(request: Request, viewer: Annotated[Viewer, _MAY_VIEW]) -> Response:
        """The field alone: what was found is not at any address, so this is where a reader comes
        who changes the language there or returns later."""
        return _found(request, viewer, Hits([], more=False), by="", branches={}, asked=False)

    @routes.post("/applications/search")
    async def page_search(
        request: Request,
        viewer: Annotated[Viewer, _MAY_VIEW],
        value: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        """Applications by number, name, mobile or ID number; what was typed stays out of the
        address."""
        wanted = read_search(value, service.clock.now())
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            if wanted is not None and wanted.number:
                one = await store_lists.with_number(conn, viewer.branch_list, wanted.number)
                if one is not None:
                    return redirect(request, f"/intake/applications/{one.application_id}")
        if wanted is None:
            hits, by = Hits([], more=False), ""
        elif wanted.of_person:
            ((kind, text),) = wanted.of_person.items()
            hits, by = await desk.search(viewer, **{kind: text}), kind
        elif wanted.begin_of_number:
            hits, by = await _begins_with(service, viewer, wanted.begin_of_number), "number"
        else:
            hits, by = Hits([], more=False), "number"
        return _found(request, viewer, hits, by=by, branches=branches)


def _found(
    request: Request,
    viewer: Viewer,
    hits: Hits,
    *,
    by: str,
    branches: Mapping[str, str],
    asked: bool = True,
) -> Response:
    rows = hits.rows[:PAGE_SIZE]
    return page(
        request,
        "found.html",
        rows=rows,
        more=hits.more or len(rows) < len(hits.rows),
        since=_since(rows, viewer),
        owners=_owners(rows, viewer),
        by=by,
        asked=asked,
        found_by=words.found_by(by),
        branches=branches,
    )


async def _begins_with(service: Service, viewer: Viewer, number: str) -> Hits:
    wanted = Wanted(viewer.branch_list, list(State), number=number, key="number", descending=True)
    async with service.pool.acquire() as conn:
        found = await store_lists.page_of(conn, wanted, PAGE_SIZE)
    return Hits(found.rows, found.after is not None)


# -- filters -----------------------------------------------------------------------------------


def _filters(viewer: Viewer, branches: Mapping[str, str]) -> list[dict[str, Any]]:
    """What can be chosen; `more`: what is asked for seldom."""
    seen = [(code, name) for code, name in branches.items() if viewer.sees(code)]
    products = [
        (code, one.names.in_language(current_language())) for code, one in load_products().items()
    ]
    known = {viewing.shown_state(one.value, viewer) for one in State}
    states = [("open", _("Under way")), *(one for one in options("state") if one[0] in known)]
    desks = {owner.desk for state, owner in OWNERS.items() if state.value in known}
    found: list[dict[str, Any]] = [
        {"name": "state", "label": _("State"), "options": states},
        {"name": "branch", "label": _("Branch"), "options": seen},
        {"name": "product", "label": _("Product"), "options": products},
        {"name": "channel", "label": _("Channel"), "options": options("channel"), "more": True},
        {
            "name": "desk",
            "label": _("Owner"),
            "options": [one for one in options("desk") if one[0] in desks],
            "more": True,
        },
        {
            "name": "waiting",
            "label": _("Waiting on"),
            "options": options("waiting_on"),
            "more": True,
        },
        {"name": "age", "label": _("Begun"), "options": words.options_of(words.AGES), "more": True},
        {
            "name": "due",
            "label": _("Due"),
            "options": words.options_of(words.DUES),
            "more": True,
        },
    ]
    return [one for one in found if one["name"] != "branch" or len(seen) > 1]
