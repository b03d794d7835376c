"""The audit log as a page: who looked at what and who changed what, by time, person, application.

One module for the four services, each over its own tables; the tabs lead to the others'. Values and
people's words are sealed, and opened one line at a time, for a reason. What is typed to find a line
is posted: an address holds the application's id and staff numbers alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from shared.calendar import OFFICE_YEARS, business_day, day_of, span_of, start_of_day
from shared.events.catalog import SERVICES
from shared.redrive.masks import masked_line
from shared.web import csv_table, operations_words, reveal
from shared.web.access import requires
from shared.web.audit import (
    OFFICE,
    Line,
    Log,
    Place,
    Source,
    Told,
    Wanted,
    record_office,
)
from shared.web.directory import staff_called, staff_names
from shared.web.i18n import _, current_language, mark, show_datetime
from shared.web.limits import RowNumber, lenient
from shared.web.navigation import audit_page
from shared.web.pages import page
from shared.web.permissions import Permission, Scope, Viewer
from shared.web.problems import Problem

PAGE_SIZE = 50
MOST_TAKEN = 10_000  # lines of one file
_DAYS = 7  # that are looked through where nobody says since when
_MOST_CALLED = 10  # of one name
_NOBODY = "-"  # in an address: what was typed fits nobody, or no application

OPERATIONS = Source(
    "operations",
    "messaging.audit",
    "t.who",
    "t.action",
    subject="t.what",
    details="jsonb_build_object('why', t.why)",
)
"""What operators decided about what waits; machine time."""

COMMON: Mapping[str, Source] = {"office": OFFICE, "operations": OPERATIONS}

KINDS: Mapping[str, str] = {
    "read": mark("Personal data looked at"),
    "change": mark("Applications changed"),
    "office": mark("Lists, files and access"),
    "operations": mark("Parked events decided on"),
}
"""The kinds of lines that a service has at least; one may name them otherwise and add its own."""

_OFFICE: Mapping[str, str] = {
    "view-kept": mark("View of a list saved"),
    "view-dropped": mark("Saved view removed"),
    "log-taken": mark("Audit log taken away as a file"),
}
_OFFICE_FIELDS: Mapping[str, str] = {
    "query": mark("Filters and order"),
    "branch": mark("Branch"),
    "lines": mark("Lines"),
}
LOOKED: dict[str, str] = {
    "field": mark("One field in clear"),
    "audit": mark("A line of the audit log opened"),
}
"""What was looked at that a service has at least."""
_PROGRAMS: Mapping[str, str] = {"operator": mark("Operations")}

_MAY_VIEW = requires(Permission.AUDIT_VIEW, scope=Scope.ALL)
_MAY_OPEN = requires(Permission.AUDIT_OPEN, scope=Scope.ALL)
_VALUES = "/audit/{source}/{number}/values"

Opened = Sequence[tuple[str, str, str]]  # (what, old, new)


class Kept(Protocol):
    """What the pages need of a service."""

    name: str
    clock: Any
    pool: Any


@dataclass(frozen=True, slots=True)
class Words:
    """A service's words for its log. tell: a line with {staff id: name}; actor: likewise, who
    it was that is no member of staff; case: where an application's page is."""

    tell: Callable[[Line, Mapping[str, str]], Told]
    actor: Callable[[str, Mapping[str, str]], str]
    case: str
    kinds: Mapping[str, str]


OpenLine = Callable[[Viewer, Line, str, str], Awaitable[Opened]]


def router(service: Kept, log: Log, words: Words, open_line: OpenLine | None = None) -> APIRouter:
    """The pages of one service instance. open_line: what of a line is sealed in clear, recorded
    with the reason (code, words) first; None where nothing ever is."""
    routes = APIRouter(prefix=f"/{service.name}", include_in_schema=False)
    _add_reading(routes, service, log, words)
    if open_line is not None:
        _add_opening(routes, service, log, open_line)
    return routes


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an address asks for, read."""

    kind: str
    who: str
    application: str
    first: date
    last: date | None
    before: Place | None

    def wanted(self) -> Wanted:
        return Wanted(
            since=start_of_day(self.first),
            until=span_of(None, self.last)[1],
            kind=self.kind or None,
            # what a customer did by a code that they printed, too
            who=[f"{by}staff:{one}" for one in self.who.split(",") for by in ("", "customer:")]
            if self.who
            else None,
            application_id=self.application or None,
            before=self.before,
        )

    def query(self, **changes: str) -> str:
        given = {
            "application": self.application,
            "who": self.who,
            "kind": self.kind,
            "since": self.first.isoformat(),
            "until": "" if self.last is None else self.last.isoformat(),
        }
        return urlencode({name: value for name, value in (given | changes).items() if value})


def _add_reading(routes: APIRouter, service: Kept, log: Log, words: Words) -> None:
    here = audit_page(service.name)

    def asked(
        kind: str, who: str, application: str, since: str, until: str, before: str = ""
    ) -> _Asked:
        first = _day(since) or business_day(service.clock.now()) - timedelta(days=_DAYS)
        known = kind if kind in words.kinds else ""
        return _Asked(known, who, application, first, _day(until), Place.read(before))

    @routes.get("/audit")
    async def page_audit(
        request: Request,
        viewer: Annotated[Viewer, _MAY_VIEW],
        kind: str = "",
        who: Annotated[str, Query(max_length=400), lenient(_NOBODY)] = "",
        application: Annotated[str, Query(max_length=40), lenient(_NOBODY)] = "",
        since: str = "",
        until: str = "",
        before: str = "",
    ) -> Response:
        """What happened, the last first."""
        chosen = asked(kind, who, application, since, until, before)
        async with service.pool.acquire() as conn:
            lines = await log.seen_by(viewer).find(conn, chosen.wanted(), PAGE_SIZE + 1)
            more, lines = len(lines) > PAGE_SIZE, lines[:PAGE_SIZE]
            staff = await staff_names(conn, _staff(lines))
            number = await log.number_of(conn, application) if application else None
        return page(
            request,
            "audit.html",
            here=here,
            lines=[_shown(line, words, staff) for line in lines],
            # as it is read, not as it was asked for: whoever prints it sees what it covers
            chosen=chosen,
            number=number or "",
            unknown=_NOBODY in (application, who),
            kinds=[(code, _(text)) for code, text in words.kinds.items()],
            tabs=[
                (
                    f"{audit_page(one)}?{chosen.query(kind='')}",
                    _(operations_words.SERVICE_NAMES[one]),
                    None,
                )
                for one in SERVICES
            ],
            current=f"{here}?{chosen.query(kind='')}",
            case=words.case,
            earlier=f"{here}?{chosen.query(before=str(lines[-1].place))}" if more else None,
            latest=f"{here}?{chosen.query()}" if chosen.before else None,
            table=f"{here}/table?{chosen.query()}",
            can_open=viewer.reach_of(Permission.AUDIT_OPEN).everywhere,
        )

    @routes.post("/audit")
    async def find_lines(
        _viewer: Annotated[Viewer, _MAY_VIEW],
        number: Annotated[str, Form(max_length=40)] = "",
        who: Annotated[str, Form(max_length=80)] = "",
        kind: Annotated[str, Form(max_length=20)] = "",
        since: Annotated[str, Form(max_length=10)] = "",
        until: Annotated[str, Form(max_length=10)] = "",
    ) -> Response:
        """Leads to the lines that fit; of what was typed only ids come into the address."""
        async with service.pool.acquire() as conn:
            application = await _id_of(log, conn, number.strip())
            names = [name.strip() for name in who.split(",") if name.strip()]
            found = [one for name in names for one in await staff_called(conn, name)]
        called = ",".join(found[:_MOST_CALLED]) or (_NOBODY if names else "")
        chosen = asked(kind, called, application, since, until)
        return RedirectResponse(f"{here}?{chosen.query()}", status_code=303)

    @routes.get("/audit/table")
    async def take_lines(
        viewer: Annotated[Viewer, _MAY_VIEW],
        kind: str = "",
        who: Annotated[str, Query(max_length=400), lenient(_NOBODY)] = "",
        application: Annotated[str, Query(max_length=40), lenient(_NOBODY)] = "",
        since: str = "",
        until: str = "",
    ) -> Response:
        """The same lines as a file, without what is sealed; that somebody took them is one more."""
        async with service.pool.acquire() as conn, conn.transaction():
            # what was asked for is kept: of whom and of what there is, not what was typed
            known = await staff_names(conn, who.split(","))
            called = ",".join(known) or (_NOBODY if who else "")
            about = await log.number_of(conn, application) if application else ""
            chosen = asked(kind, called, _NOBODY if about is None else application, since, until)
            lines = await log.seen_by(viewer).find(conn, chosen.wanted(), MOST_TAKEN)
            staff = await staff_names(conn, _staff(lines))
            taken = {"query": chosen.query(), "lines": len(lines)}
            await record_office(
                conn, service.clock.now(), viewer.actor, "log-taken", service.name, new=taken
            )
        heads = (_("Time"), _("Who"), _("Staff number"), _("What"), _("About"), _("Application"))
        rows = [_cells(_shown(line, words, staff)) for line in lines]
        return csv_table.download(
            [[*heads, _("Details")], *rows], f"banka-audit-{service.name}-{chosen.first}.csv"
        )


def _add_opening(routes: APIRouter, service: Kept, log: Log, open_line: OpenLine) -> None:
    async def sealed_line(viewer: Viewer, source: str, number: int) -> Line:
        async with service.pool.acquire() as conn:
            line = await log.seen_by(viewer).get(conn, source, number)
        if line is None or not line.sealed:
            raise Problem(404, "not-found", "There is no such line, or nothing of it is sealed")
        return line

    def answer(request: Request, line: Line, **more: Any) -> Response:
        here = audit_page(service.name)
        return reveal.revealing(
            request,
            f"{line.place.source}-{line.place.id}",
            action=f"{here}/{line.place.source}/{line.place.id}/values",
            back=here,
            back_label=_("Audit log"),
            heading=line.number or "",
            label=_("the values"),
            **more,
        )

    @routes.get(_VALUES)
    async def page_ask(
        request: Request, source: str, number: RowNumber, viewer: Annotated[Viewer, _MAY_OPEN]
    ) -> Response:
        """Asks why it is needed."""
        return answer(request, await sealed_line(viewer, source, number))

    @routes.post(_VALUES)
    async def open_values(
        request: Request,
        source: str,
        number: RowNumber,
        viewer: Annotated[Viewer, _MAY_OPEN],
        why: reveal.Why = "",
        text: reveal.Text = "",
    ) -> Response:
        """What a line's values are in clear; that somebody reads them is a line of its own."""
        line = await sealed_line(viewer, source, number)
        if error := reveal.missing_reason(why, text):
            return answer(request, line, why=why, error=error)
        return answer(request, line, rows=await open_line(viewer, line, why, text))


# -- words ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    """A line with what a reader is told of it; id: the number of staff."""

    line: Line
    told: Told
    actor: str
    id: str


def _shown(line: Line, words: Words, staff: Mapping[str, str]) -> _Shown:
    kind, _colon, number = line.actor.partition(":")
    known = kind == "staff" and number in staff
    if kind == "staff":
        actor = staff.get(number, number)
    elif line.actor in _PROGRAMS:
        actor = _(_PROGRAMS[line.actor])
    else:
        actor = words.actor(line.actor, staff)
    return _Shown(line, words.tell(line, staff), actor, number if known else "")


def _cells(shown: _Shown) -> list[str]:
    line, told = shown.line, shown.told
    values = [f"{what}: {f'{old} → ' if old else ''}{new}" for what, old, new, _its in told.values]
    return [
        show_datetime(line.place.at),
        shown.actor,
        shown.id,
        told.title,
        told.about,
        line.number or "",
        "\n".join([*told.why, *values, *(["***"] if line.sealed else [])]),
    ]


def tell_common(line: Line, staff: Mapping[str, str]) -> Told:
    """A line of COMMON in words."""
    if line.place.source == "operations":
        action = operations_words.ACTIONS.get(line.action)
        about = masked_line(line.subject or "")[:140]
        why = (_("Reason"), "", str(line.details["why"]), "und")
        return Told(_(action) if action else line.action, about, values=[why], about_language="en")
    return tell_office(line, staff, _OFFICE, _OFFICE_FIELDS)


def tell_office(
    line: Line,
    staff: Mapping[str, str],
    actions: Mapping[str, str],
    fields: Mapping[str, str],
    show: Callable[[str, Any], str] = lambda _name, value: "" if value is None else str(value),
) -> Told:
    """A change of the office: of what, why, and what it was and is. show: a field's value."""
    if line.action in _OFFICE:
        actions, fields = _OFFICE, _OFFICE_FIELDS
    old, new = line.details["old"] or {}, line.details["new"] or {}
    return Told(
        _(actions[line.action]),
        staff.get(line.subject or "", line.subject or ""),
        values=[
            *([(_("Reason"), "", line.details["why"], "und")] if line.details["why"] else []),
            *(
                (
                    _(fields.get(name, name)),
                    show(name, old.get(name)),
                    shown,
                    "zh-CN" if name == "name_zh" else current_language(),
                )
                for name, value in new.items()
                if (shown := show(name, value))
            ),
        ],
    )


def tell_view(line: Line, looked: dict[str, str], about: str = "") -> Told:
    """A look at personal data; looked: {what was looked at: words}."""
    kind = line.action.split(" ")[0]
    why = line.details["why"]
    return Told(
        _((LOOKED | looked).get(kind, kind)), about, [_(reveal.REASONS[why])] if why else []
    )


def told_words(text: str | None) -> tuple[str, str, str]:
    """What somebody wrote, of a line that was opened; None where its key is gone."""
    return (_("In somebody's words"), "", _("deleted") if text is None else text)


def _staff(lines: Iterable[Line]) -> list[str]:
    """Everybody of the office who is named."""
    found = set()
    for line in lines:
        named = [line.actor, line.details.get("second") or ""]
        found |= {one.rpartition("staff:")[2] for one in named if "staff:" in one}
        found |= {str(one) for key in ("holder", "receiver") if (one := line.details.get(key))}
        if line.kind == "office" and line.subject:
            found.add(line.subject)
    return sorted(found)


# -- what is asked for ---------------------------------------------------------------------------


async def _id_of(log: Log, conn: Any, number: str) -> str:
    """The application's id; `-` where none has that number, empty where none is asked for."""
    return (await log.application_of(conn, number) or _NOBODY) if number else ""


def _day(text: str) -> date | None:
    """None for what is no day, or none on which this office can have worked."""
    found = day_of(text)
    return found if found is not None and found.year in OFFICE_YEARS else None
