"""The JSON API: applications, their timelines, counts to reconcile by, and archived reports."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel

from services.reporting import kpis, store
from services.reporting.projections import ApplicationRow, AppliedEvent
from services.reporting.reports.daily import DailyReport
from services.reporting.viewing import (
    excel_response,
    find_visible,
    read_visible_daily,
    take_report,
)
from shared.calendar import span_of
from shared.messaging import Service
from shared.web import Permission, Viewer, requires

PAGE_SIZE_MAX = 200


class ApplicationOut(BaseModel):
    """An application as reporting knows it: pseudonym, bands and states, no personal data."""

    application_id: str
    number: str | None
    branch: str | None
    region: str | None
    channel: str | None
    product: str | None
    product_version: str | None
    applicant_type: str | None
    state: str | None
    state_version: int
    since: datetime | None
    desk: str | None
    waiting_on: str | None
    stalled: bool
    silence_due: datetime | None
    submitted_at: datetime | None
    decided_at: datetime | None
    closed_at: datetime | None
    decline_category: str | None
    age_band: str | None
    limit_band: str | None
    wanted: list[dict[str, str]]
    wanted_deadline: datetime | None
    waited_seconds: dict[str, int]


class ApplicationsOut(BaseModel):
    """One page of applications."""

    applications: list[ApplicationOut]
    total: int
    page: int
    page_size: int


class EventOut(BaseModel):
    """An event in an application's timeline, with its place on the broker."""

    id: str
    type: str
    source: str
    time: datetime
    recorded_time: datetime
    topic: str
    partition: int
    offset: int
    moves: bool
    state_after: str | None
    facts: dict[str, Any]


class StageOut(BaseModel):
    """A state on an application's way; `until` is null while the application is in it."""

    state: str
    desk: str
    waiting_on: str
    since: datetime
    until: datetime | None
    seconds: int


class TimelineOut(BaseModel):
    """An application, how long it was in each state, and everything that happened to it, oldest
    first."""

    application: ApplicationOut
    stages: list[StageOut]
    events: list[EventOut]


class ReconciliationOut(BaseModel):
    """What the read model adds up to. `declines` sum to `states.declined`."""

    applications: int
    states: dict[str, int]
    declines: dict[str, int]
    messages: dict[str, int]
    stalled: int
    refused_facts: int
    events: int


class FigureOut(BaseModel):
    """One number of a report; `value` is a count, a ratio of 1, or seconds, as `unit` says."""

    key: str
    value: float | None
    unit: str
    basis: str


class DailyOut(BaseModel):
    """A day's figures and the manifest of exactly these."""

    day: date
    as_of: datetime
    manifest_id: str
    figures: list[FigureOut]


class ReportOut(BaseModel):
    """An archived report; its bytes are at `/reporting/api/v1/reports/{manifest_id}/content`."""

    manifest_id: str
    kind: str
    day: date
    language: str
    branches: list[str] | None
    sha256: str
    size: int
    made_at: datetime
    made_by: str


def router(service: Service, zone: ZoneInfo) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches,
    and holds are told to nobody who may not know of them."""
    routes = APIRouter(prefix="/reporting/api/v1", tags=["reporting"])
    may_see = requires(Permission.APPLICATION_VIEW)
    may_report = requires(Permission.REPORT_VIEW)
    may_export = requires(Permission.REPORT_EXPORT)

    @routes.get("/applications")
    async def api_applications(
        viewer: Annotated[Viewer, may_see],
        number: str | None = None,
        state: str | None = None,
        branch: str | None = None,
        region: str | None = None,
        channel: str | None = None,
        product: str | None = None,
        desk: str | None = None,
        attention: str | None = None,
        submitted_from: Annotated[date | None, Query(alias="from")] = None,
        submitted_to: Annotated[date | None, Query(alias="to")] = None,
        sort: str = "-submitted",
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> ApplicationsOut:
        """Applications that fit every filter; `from` and `to` are business days of submission."""
        begin, end = span_of(submitted_from, submitted_to, zone)
        wanted = store.Wanted(
            branches=viewer.branch_list,
            knows_holds=viewer.knows_holds,
            number=number,
            state=state,
            branch=branch,
            region=region,
            channel=channel,
            product=product,
            desk=desk,
            attention=attention,
            submitted_from=begin,
            submitted_to=end,
            sort=sort,
        )
        async with service.pool.acquire() as conn:
            rows, total = await store.list_applications(
                conn, wanted, page=page, page_size=page_size
            )
        return ApplicationsOut(
            applications=[application_out(row) for row in rows],
            total=total,
            page=page,
            page_size=page_size,
        )

    @routes.get("/applications/{application_id}")
    async def api_application(
        viewer: Annotated[Viewer, may_see], application_id: str
    ) -> TimelineOut:
        """One application with its timeline."""
        row, events = await find_visible(service, viewer, application_id)
        return TimelineOut(
            application=application_out(row),
            stages=[
                StageOut(
                    state=passage.state,
                    desk=passage.desk,
                    waiting_on=passage.waiting_on,
                    since=passage.since,
                    until=passage.until,
                    seconds=passage.seconds,
                )
                for passage in kpis.passages(events, service.clock.now())
            ],
            events=[event_out(event) for event in events],
        )

    @routes.get("/reconciliation")
    async def api_reconciliation(viewer: Annotated[Viewer, may_see]) -> ReconciliationOut:
        """Counts to hold against the other services: by state, reason, message state."""
        async with (
            service.pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            counts = await store.count_everything(
                conn, viewer.branch_list, knows_holds=viewer.knows_holds
            )
        return ReconciliationOut(
            applications=counts.applications,
            states=counts.states,
            declines=counts.declines,
            messages=counts.messages,
            stalled=counts.stalled,
            refused_facts=counts.refused_facts,
            events=counts.events,
        )

    @routes.get("/reports/daily/{day}")
    async def api_daily(viewer: Annotated[Viewer, may_report], day: date) -> DailyOut:
        """A day's figures as of what has been read so far."""
        now = service.clock.now()
        report, manifest = await read_visible_daily(service, viewer, day, now, zone)
        return DailyOut(
            day=day,
            as_of=report.as_of,
            manifest_id=manifest.id,
            figures=[FigureOut(**figure) for figure in _figures(report)],
        )

    @routes.get("/reports")
    async def api_reports(viewer: Annotated[Viewer, may_report]) -> list[ReportOut]:
        """Archived reports that cover no branch beyond the caller's, the latest first."""
        async with service.pool.acquire() as conn:
            found = await store.list_reports(
                conn, viewer.branch_list, knows_holds=viewer.knows_holds
            )
        return [report_out(report) for report in found]

    @routes.get("/reports/{manifest_id}/content", response_class=Response)
    async def api_report_content(
        viewer: Annotated[Viewer, may_export], manifest_id: str
    ) -> Response:
        """The archived bytes."""
        return excel_response(await take_report(service, viewer, manifest_id))

    return routes


def application_out(row: ApplicationRow) -> ApplicationOut:
    owner = row.owner
    return ApplicationOut(
        application_id=row.application_id,
        number=row.number,
        branch=row.branch,
        region=row.region,
        channel=row.channel,
        product=row.product,
        product_version=row.product_version,
        applicant_type=row.applicant_type,
        state=row.state,
        state_version=row.state_version,
        since=row.since,
        desk=owner.desk if owner else None,
        waiting_on=owner.waiting_on if owner else None,
        stalled=row.stalled and owner is not None,
        silence_due=row.silence_due,
        submitted_at=row.submitted_at,
        decided_at=row.decided_at,
        closed_at=row.closed_at,
        decline_category=row.decline_category,
        age_band=row.age_band,
        limit_band=row.limit_band,
        wanted=row.wanted,
        wanted_deadline=row.wanted_deadline,
        waited_seconds=row.waited,
    )


def event_out(event: AppliedEvent) -> EventOut:
    seen = event.seen
    return EventOut(
        id=seen.id,
        type=seen.type,
        source=seen.source,
        time=seen.time,
        recorded_time=seen.recorded_time,
        topic=seen.topic,
        partition=seen.partition,
        offset=seen.offset,
        moves=event.moves,
        state_after=event.state_after,
        facts=dict(event.facts),
    )


def report_out(report: store.ArchivedReport) -> ReportOut:
    return ReportOut(
        manifest_id=report.manifest_id,
        kind=report.kind,
        day=report.day,
        language=report.language,
        branches=report.branches,
        sha256=report.sha256,
        size=report.size,
        made_at=report.made_at,
        made_by=report.made_by,
    )


def _figures(report: DailyReport) -> list[Mapping[str, Any]]:
    return [
        {"key": figure.key, "value": figure.value, "unit": figure.unit, "basis": figure.basis}
        for figure in report.figures.values()
    ]
