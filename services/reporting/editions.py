"""Editions of reports: made at a cut of the event log, archived, and made again to be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.reporting.reports.daily import DailyReport, make_daily_report
from services.reporting.reports.excel import write_workbook
from services.reporting.reports.manifest import Manifest, changed_since, make_manifest
from services.reporting.store import (
    ArchivedReport,
    archive_report,
    events_up_to,
    find_report,
    take_cut,
)
from shared.calendar import business_day, end_of_day
from shared.web.audit import record_office

DAILY = "daily"
_LAST_SECOND = timedelta(microseconds=999_999)  # the day's last second belongs to it


def cut_off(day: date, now: datetime, zone: ZoneInfo) -> datetime:
    """Until when a day's report counts: the end of the day, or now while it is not over."""
    return min(end_of_day(day, zone) + _LAST_SECOND, now)


async def read_daily(
    pool: Any,
    day: date,
    now: datetime,
    zone: ZoneInfo,
    branches: Sequence[str] | None,
    language: str,
    *,
    knows_holds: bool,
) -> tuple[DailyReport, Manifest]:
    """The day's report from what has been read so far, and the manifest of exactly that.

    knows_holds: whether it tells of held cases.
    """
    # one snapshot: positions, parked events and rows belong together
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        cut = await take_cut(conn)
        events = await events_up_to(conn, cut, branches, knows_holds=knows_holds)
    manifest = make_manifest(
        kind=DAILY,
        day=day,
        as_of=cut_off(day, now, zone),
        zone=zone.key,
        language=language,
        branches=branches,
        knows_holds=knows_holds,
        cut=cut,
    )
    report = make_daily_report(events, day, manifest.as_of, zone, knows_holds=knows_holds)
    return report, manifest


async def hand_out_daily(
    pool: Any,
    day: date,
    now: datetime,
    zone: ZoneInfo,
    branches: Sequence[str] | None,
    language: str,
    who: str,
    *,
    knows_holds: bool,
) -> ArchivedReport:
    """The day's report as Excel. What is handed out is archived first; asked for again at the same
    cut, it is the same file."""
    report, manifest = await read_daily(
        pool, day, now, zone, branches, language, knows_holds=knows_holds
    )
    content = write_workbook(report, manifest)
    archived = ArchivedReport(
        manifest_id=manifest.id,
        kind=DAILY,
        day=day,
        language=language,
        branches=None if branches is None else sorted(branches),
        knows_holds=knows_holds,
        manifest=manifest.to_json(),
        sha256=hashlib.sha256(content).hexdigest(),
        made_at=now,
        made_by=who,
        size=len(content),
        content=content,
    )
    async with pool.acquire() as conn, conn.transaction():
        await archive_report(conn, archived)
        kept = await find_report(conn, manifest.id)
        assert kept is not None
        await record_handed_out(conn, kept, "report-made", now, who)
    return kept


async def record_handed_out(
    conn: Any, report: ArchivedReport, action: str, now: datetime, who: str
) -> None:
    """Note in the audit log that somebody took a report with them."""
    of_it = {
        "day": report.day.isoformat(),
        "branches": report.branches,
        "language": report.language,
    }
    await record_office(conn, now, who, action, report.manifest_id[:12], new=of_it)


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a report made anew from its manifest has the archived bytes. changed: what of this
    build is not what made it; a difference then proves nothing."""

    same: bool
    expected: str
    actual: str
    changed: tuple[str, ...]


async def verify(pool: Any, manifest_id: str) -> Verified | None:
    """Makes an archived report again from its manifest and the event rows; None if unknown."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        archived = await find_report(conn, manifest_id)
        if archived is None:
            return None
        manifest = Manifest.from_json(archived.manifest)
        events = await events_up_to(
            conn, manifest.cut, manifest.branches, knows_holds=manifest.knows_holds
        )
    zone = ZoneInfo(manifest.zone)
    report = make_daily_report(
        events, manifest.day, manifest.as_of, zone, knows_holds=manifest.knows_holds
    )
    actual = hashlib.sha256(write_workbook(report, manifest)).hexdigest()
    stored = hashlib.sha256(archived.content).hexdigest()
    return Verified(
        same=actual == archived.sha256 == stored and manifest.id == manifest_id,
        expected=archived.sha256,
        actual=actual,
        changed=tuple(changed_since(manifest)),
    )


def latest_day(now: datetime, zone: ZoneInfo) -> date:
    """The last day that is over: whose report is the newest complete one."""
    return business_day(now, zone) - timedelta(days=1)
