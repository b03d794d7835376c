"""The pages: morning board, applications with their timelines, daily report, archive."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from services.reporting import board, editions, kpis, store, words
from services.reporting.charts import daily_charts
from services.reporting.filters import ApplicationsChosen
from services.reporting.projections import ApplicationRow, AppliedEvent
from services.reporting.viewing import (
    check_day,
    excel_response,
    find_visible,
    read_visible_daily,
    take_report,
)
from shared.calendar import business_day, span_of
from shared.events.lifecycle import OWNERS, TERMINAL, State
from shared.messaging import Service
from shared.places import PROVINCES
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, local
from shared.web.kept_views import Listed, sharing, views_of
from shared.web.lists import Place
from shared.web.pages import last_page, page_number
from shared.web.states import options, shown_state

PAGE_SIZE = 25
APPLICATIONS = Listed("/reporting/applications", ApplicationsChosen.read)
_FEWEST_DIGITS = 4  # of the end of a number
_BOARD_DAYS = 20  # of events read for the board: the longest holiday and the day before it

# The main road of an application, as the steps above its timeline show it.
_ROAD = (
    State.SUBMITTED,
    State.PRE_CHECK,
    State.CHECKING,
    State.MANUAL_REVIEW,
    State.APPROVED,
    State.CARD_PRODUCING,
    State.POSTED,
    State.DELIVERED,
    State.ACTIVATED,
    State.IN_USE,
)


def router(service: Service, zone: ZoneInfo) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/reporting", include_in_schema=False)
    may_board = requires(Permission.BOARD_VIEW)
    may_see = requires(Permission.APPLICATION_VIEW)
    may_report = requires(Permission.REPORT_VIEW)
    may_export = requires(Permission.REPORT_EXPORT)

    @routes.get("/board")
    async def page_board(request: Request, viewer: Annotated[Viewer, may_board]) -> Response:
        """The morning board 晨会."""
        now = service.clock.now()
        async with service.pool.acquire() as conn:
            rows = await store.board_rows(
                conn,
                viewer.branch_list,
                now - board.REFUSED_SHOWN_FOR,
                knows_holds=viewer.knows_holds,
            )
            events = await store.events_between(
                conn,
                viewer.branch_list,
                now - timedelta(days=_BOARD_DAYS),
                now,
                knows_holds=viewer.knows_holds,
            )
            names = await branch_names(conn)
        return page(
            request,
            "board.html",
            board=board.make_board(rows, events, now, zone, knows_holds=viewer.knows_holds),
            shown=board.SHOWN,
            branches=names,
            words=words,
        )

    @routes.get("/applications")
    async def page_applications(request: Request, viewer: Annotated[Viewer, may_see]) -> Response:
        """All applications, with search and filters."""
        chosen = replace(ApplicationsChosen.read(request.query_params), section="")
        begin, end = span_of(*chosen.days, zone)
        wanted = store.Wanted(
            branches=viewer.branch_list,
            knows_holds=viewer.knows_holds,
            state=chosen.state or None,
            branch=chosen.branch or None,
            region=chosen.region or None,
            channel=chosen.channel or None,
            product=chosen.product or None,
            desk=chosen.desk or None,
            attention=chosen.attention or None,
            submitted_from=begin,
            submitted_to=end,
        )
        key, descending = chosen.order
        kind = str if key == "number" else datetime
        after = Place.read(request.query_params.get("after", ""), kind)
        before = None if after else Place.read(request.query_params.get("before", ""), kind)
        async with service.pool.acquire() as conn:
            found = await store.page_of(
                conn, wanted, PAGE_SIZE, key, descending=descending, after=after, before=before
            )
            total = await store.total_of(conn, wanted)
            names = await branch_names(conn)
            views = await views_of(conn, viewer, "applications", APPLICATIONS)
        return page(
            request,
            "applications.html",
            chosen=chosen,
            found=found,
            total=total,
            sort=chosen.sort or "-submitted",
            current=APPLICATIONS.at(chosen.query()),
            filters=_filters(names, viewer),
            views=views,
            sharing=sharing(viewer, names),
            branches=names,
            words=words,
        )

    @routes.post("/applications/search")
    async def find_application(
        request: Request,
        viewer: Annotated[Viewer, may_see],
        value: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        """The application with that number, or one that ends so; what was typed stays out of the
        address."""
        digits = "".join(value.split())
        found: list[ApplicationRow] = []
        total = 0
        if digits.isascii() and digits.isdecimal() and len(digits) >= _FEWEST_DIGITS:
            wanted = store.Wanted(viewer.branch_list, viewer.knows_holds, number=digits)
            async with service.pool.acquire() as conn:
                found, total = await store.list_applications(conn, wanted, page=1, page_size=1)
        if total == 1:
            return redirect(request, f"/reporting/applications/{found[0].application_id}")
        told = (
            _("Several applications have a number that ends so: type more of its digits.")
            if total
            else _("No application that you may see has this number, or one that ends so.")
        )
        return redirect(request, "/reporting/applications", flash=told, tone="warning")

    @routes.get("/applications/{application_id}")
    async def page_application(
        request: Request, viewer: Annotated[Viewer, may_see], application_id: str
    ) -> Response:
        """One application: where it stands, what happened, who waits for whom."""
        row, events = await find_visible(service, viewer, application_id)
        async with service.pool.acquire() as conn:
            messages = await store.messages_of(conn, application_id)
            people = {person for event in events for person in words.people_of(event)}
            staff = await staff_names(conn, sorted(people))
            names = await branch_names(conn)
        return page(
            request,
            "application.html",
            row=row,
            owner=row.owner,
            steps=_steps(row, events),
            entries=_timeline(events, staff, row),
            passages=kpis.passages(events, service.clock.now()),
            waited=_waited(row, service.clock.now()),
            messages=messages,
            branches=names,
            words=words,
        )

    @routes.get("/reports/daily", dependencies=[may_report])
    async def page_latest() -> Response:
        """The newest day that is over."""
        latest = editions.latest_day(service.clock.now(), zone)
        return RedirectResponse(f"/reporting/reports/daily/{latest.isoformat()}", status_code=303)

    @routes.get("/reports/daily/{day}")
    async def page_daily(
        request: Request, viewer: Annotated[Viewer, may_report], day: date
    ) -> Response:
        """The daily report of one business day, as of what has been read so far."""
        now = service.clock.now()
        report, manifest = await read_visible_daily(service, viewer, day, now, zone)
        today = business_day(now, zone)
        return page(
            request,
            "daily.html",
            report=report,
            manifest=manifest,
            charts=daily_charts(report),
            link=_linker(day),
            owners=OWNERS,
            before=day - timedelta(days=1),
            after=day + timedelta(days=1) if day < today else None,
            running=day == today,
            words=words,
        )

    @routes.get("/reports/daily/{day}/figures/{key}")
    async def page_figure(
        request: Request, viewer: Annotated[Viewer, may_report], day: date, key: str
    ) -> Response:
        """The events behind one number of the daily report."""
        now = service.clock.now()
        report, _manifest = await read_visible_daily(service, viewer, day, now, zone)
        figure = report.figures.get(key)
        if figure is None:
            raise Problem(404, "not-found", "The report has no such figure")
        number = min(page_number(request), last_page(len(figure.events), PAGE_SIZE))
        events = figure.events[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
        async with service.pool.acquire() as conn:
            names = await branch_names(conn)
        return page(
            request,
            "figure.html",
            report=report,
            figure=figure,
            events=events,
            total=len(figure.events),
            number=number,
            page_size=PAGE_SIZE,
            branches=names,
            words=words,
        )

    @routes.get("/reports/daily/{day}/excel")
    async def page_excel(viewer: Annotated[Viewer, may_export], day: date) -> Response:
        """The day's report as a workbook; what is handed out is archived."""
        now = service.clock.now()
        report = await editions.hand_out_daily(
            service.pool,
            check_day(day, now, zone),
            now,
            zone,
            viewer.branch_list,
            viewer.language,
            viewer.actor,
            knows_holds=viewer.knows_holds,
        )
        return excel_response(report)

    @routes.get("/reports")
    async def page_reports(request: Request, viewer: Annotated[Viewer, may_report]) -> Response:
        """Reports that were handed out."""
        async with service.pool.acquire() as conn:
            total = await store.count_reports(
                conn, viewer.branch_list, knows_holds=viewer.knows_holds
            )
            number = min(page_number(request), last_page(total, PAGE_SIZE))
            reports = await store.list_reports(
                conn,
                viewer.branch_list,
                knows_holds=viewer.knows_holds,
                limit=PAGE_SIZE,
                offset=(number - 1) * PAGE_SIZE,
            )
            makers = [report.made_by.removeprefix("staff:") for report in reports]
            staff = await staff_names(conn, sorted(set(makers)))
        return page(
            request,
            "reports.html",
            reports=reports,
            number=number,
            total=total,
            page_size=PAGE_SIZE,
            staff=staff,
            words=words,
        )

    @routes.get("/reports/archive/{manifest_id}")
    async def page_archived(viewer: Annotated[Viewer, may_export], manifest_id: str) -> Response:
        """An archived report, the very bytes."""
        return excel_response(await take_report(service, viewer, manifest_id))

    return routes


def _filters(branches: Mapping[str, str], viewer: Viewer) -> list[dict[str, Any]]:
    """The fields above the list; `more`: what is asked for seldom."""
    states = [
        (state.value, words.state_name(state))
        for state in State
        if shown_state(state, knows_holds=viewer.knows_holds) == state
    ]
    seen = [(code, name) for code, name in branches.items() if viewer.sees(code)]
    desks = [(d, words.desk_name(d)) for d in board.desks_of(knows_holds=viewer.knows_holds)]
    attention = [
        ("stalled", _("Silent for too long")),
        ("owing", _("Material owed")),
        ("refused", _("Card fact refused")),
    ]
    found: list[dict[str, Any]] = [
        {"name": "state", "label": _("State"), "options": states},
        {"name": "branch", "label": _("Branch"), "options": seen},
        {"name": "product", "label": _("Product"), "options": options("product")},
        {"name": "desk", "label": _("Desk"), "options": desks},
        {"name": "attention", "label": _("Needs attention"), "options": attention},
        {"name": "channel", "label": _("Channel"), "options": options("channel"), "more": True},
        {
            "name": "region",
            "label": _("Region"),
            "options": [(code, words.region_name(code)) for code in PROVINCES],
            "more": True,
        },
        {"name": "first", "label": _("Submitted from"), "type": "date", "more": True},
        {"name": "last", "label": _("Submitted to"), "type": "date", "more": True},
    ]
    of_several = ("branch", "region")
    return [one for one in found if one["name"] not in of_several or len(seen) > 1]


def _steps(
    row: ApplicationRow, events: Sequence[AppliedEvent]
) -> list[tuple[str, str, str | None]]:
    """The road with what is done, where it stands, and what lies ahead."""
    entered: dict[str, datetime] = {}
    for event in events:
        if event.moves and event.state_after:
            entered[event.state_after] = event.time
    road = list(_ROAD)
    if State.MANUAL_REVIEW.value not in entered:
        road.remove(State.MANUAL_REVIEW)
    now = State(row.state) if row.state else None
    if now is not None and now not in road:
        # off the road: awaiting material, on hold, or an end before the card is in use
        reached = [place for place, state in enumerate(road) if state.value in entered]
        last = reached[-1] if reached else -1
        road = [*road[: last + 1], now] if now in TERMINAL else [
            *road[: last + 1],
            now,
            *road[last + 1 :],
        ]  # fmt: skip
    place = road.index(now) if now is not None else -1
    steps: list[tuple[str, str, str | None]] = []
    for index, state in enumerate(road):
        ended = now is not None and now in TERMINAL and index == place
        progress = "done" if index < place or ended else "now" if index == place else "ahead"
        at = entered.get(state.value)
        steps.append(
            (
                words.state_name(state.value),
                progress,
                local(at).strftime("%m-%d") if at else None,
            )
        )
    return steps


def _timeline(
    events: Sequence[AppliedEvent],
    staff: Mapping[str, str],
    row: ApplicationRow,
) -> list[dict[str, Any]]:
    """The timeline, newest first: each move with how long the state before it lasted, and with whom
    everybody waits for since then."""
    entries: list[dict[str, Any]] = []
    lasted = {
        stay.left.seen.offset: timedelta(seconds=stay.seconds)
        for journey in kpis.journeys(events).values()
        for stay in journey.stays
    }
    for event in events:
        label, icon, tone = words.event_words(event.type)
        owner = replace(row, state=event.state_after).owner if event.moves else None
        entries.append(
            {
                "at": event.time,
                "title": label,
                "detail": words.detail(event),
                "actor": words.who(event, staff),
                "tone": tone,
                "icon": icon,
                "gap": lasted.get(event.seen.offset) if event.moves else None,
                "waiting": words.waiting_name(owner.waiting_on) if owner else None,
            }
        )
    entries.reverse()
    return entries


def _waited(row: ApplicationRow, now: datetime) -> dict[str, int]:
    """{customer, bank, partner: seconds waited so far}, the present state included."""
    total = dict(row.waited)
    owner = row.owner
    if owner is not None and row.since is not None:
        total[owner.waiting_on] += max(0, int((now - row.since).total_seconds()))
    return total


def _linker(day: date) -> Any:
    """A figure as a link to the events behind it."""

    def link(figure: Any, shown: str) -> Markup:
        return Markup('<a href="/reporting/reports/daily/{}/figures/{}">{}</a>').format(
            day.isoformat(), figure.key, shown
        )

    return link
