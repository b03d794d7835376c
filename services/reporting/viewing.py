"""What a viewer may see of applications and reports, and how a report leaves the house; pages and
API answer alike."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from fastapi.responses import Response

from services.reporting import editions, store
from services.reporting.projections import ApplicationRow, AppliedEvent
from services.reporting.reports.daily import DailyReport
from services.reporting.reports.manifest import Manifest
from shared.calendar import business_day
from shared.messaging import Service
from shared.web import Problem, Viewer

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FIRST_DAY = date(2000, 1, 1)  # no application of ours is older


async def find_visible(
    service: Service, viewer: Viewer, application_id: str
) -> tuple[ApplicationRow, list[AppliedEvent]]:
    """The application and its events. Raises Problem 404 where the viewer may not see it, so that
    nobody learns what exists elsewhere."""
    async with service.pool.acquire() as conn:
        row = await store.find_application(conn, application_id, knows_holds=viewer.knows_holds)
        if row is None or row.branch is None or not viewer.sees(row.branch):
            raise Problem(404, "not-found", "There is no such application")
        return row, await store.events_of(conn, application_id, knows_holds=viewer.knows_holds)


async def find_visible_report(
    service: Service, viewer: Viewer, manifest_id: str
) -> store.ArchivedReport:
    """The archived report. Raises Problem 404 where it holds what is kept from the viewer."""
    async with service.pool.acquire() as conn:
        report = await store.find_report(conn, manifest_id)
    if report is None or not sees_report(viewer, report):
        raise Problem(404, "not-found", "There is no such report")
    return report


async def take_report(service: Service, viewer: Viewer, manifest_id: str) -> store.ArchivedReport:
    """The archived report, to be taken away; noted in the audit log. Raises Problem 404."""
    report = await find_visible_report(service, viewer, manifest_id)
    now = service.clock.now()
    async with service.pool.acquire() as conn:
        await editions.record_handed_out(conn, report, "report-taken", now, viewer.actor)
    return report


def sees_report(viewer: Viewer, report: store.ArchivedReport) -> bool:
    """Whether the report covers no branch, and tells of nothing, that is kept from the viewer."""
    tells = report.knows_holds and not viewer.knows_holds
    return not tells and viewer.reach.covers_all(report.branches)


async def read_visible_daily(
    service: Service, viewer: Viewer, day: date, now: datetime, zone: ZoneInfo
) -> tuple[DailyReport, Manifest]:
    """The day's report of what the viewer may see, and its manifest. Raises Problem 404 as
    `check_day`."""
    return await editions.read_daily(
        service.pool,
        check_day(day, now, zone),
        now,
        zone,
        viewer.branch_list,
        viewer.language,
        knows_holds=viewer.knows_holds,
    )


def check_day(day: date, now: datetime, zone: ZoneInfo) -> date:
    """The day itself. Raises Problem 404 for one that has not begun or lies before all records."""
    if not _FIRST_DAY <= day <= business_day(now, zone):
        raise Problem(404, "not-found", "There is no report of that day")
    return day


def excel_response(report: store.ArchivedReport) -> Response:
    """The workbook as a download; its name says what and of when it is."""
    return Response(
        report.content,
        media_type=EXCEL,
        headers={
            "Content-Disposition": f'attachment; filename="banka-{report.kind}-'
            f'{report.day.isoformat()}-{report.manifest_id[:8]}.xlsx"',
            "X-Manifest": report.manifest_id,
            "Cache-Control": "private, no-store",
        },
    )
