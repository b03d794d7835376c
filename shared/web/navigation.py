"""The sections of the product as the side bar lists them; one list, shown by permission.

All services share one origin, so every service's pages show the same bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.events.catalog import SERVICES
from shared.web.i18n import mark
from shared.web.permissions import Permission, Viewer


@dataclass(frozen=True, slots=True)
class Entry:
    """One link; `icon` is a symbol of the vendored sprite. also: where the same page stands for
    the other services."""

    label: str
    href: str
    icon: str
    permission: Permission
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Links that belong together under one heading."""

    label: str
    entries: tuple[Entry, ...]


def parked_page(service: str) -> str:
    """Where a service shows what waits for an operator: each has a parking lot of its own."""
    return f"/{service}/operations/parked"


def audit_page(service: str) -> str:
    """Where a service shows its audit log: each keeps its own."""
    return f"/{service}/audit"


SECTIONS: tuple[Section, ...] = (
    Section(
        mark("Today"),
        (
            Entry(
                mark("Morning board"), "/reporting/board", "layout-dashboard", Permission.BOARD_VIEW
            ),
        ),
    ),
    Section(
        mark("Applications"),
        (
            Entry(
                mark("All applications"),
                "/reporting/applications",
                "files",
                Permission.APPLICATION_VIEW,
            ),
            Entry(
                mark("Intake and checklist"),
                "/intake/applications",
                "clipboard-check",
                Permission.PRE_CHECK_VIEW,
            ),
            Entry(mark("Pre-check work"), "/intake/work", "checklist", Permission.PRE_CHECK_AGREE),
            Entry(mark("Review queue"), "/review/queue", "gavel", Permission.REVIEW_VIEW),
            Entry(mark("Credit policy"), "/review/policies", "scale", Permission.POLICY_VIEW),
            Entry(mark("Messages"), "/notify/messages", "message", Permission.MESSAGE_VIEW),
        ),
    ),
    Section(
        mark("Reports"),
        (
            Entry(
                mark("Daily report"),
                "/reporting/reports/daily",
                "report-analytics",
                Permission.REPORT_VIEW,
            ),
        ),
    ),
    Section(
        mark("Oversight"),
        (
            Entry(
                mark("Audit log"),
                audit_page(SERVICES[0]),
                "history",
                Permission.AUDIT_VIEW,
                tuple(audit_page(service) for service in SERVICES[1:]),
            ),
            Entry(mark("Staff and sign-ins"), "/intake/staff", "users", Permission.STAFF_VIEW),
        ),
    ),
    Section(
        mark("Operations"),
        (
            Entry(
                mark("Parked events"),
                parked_page(SERVICES[0]),
                "player-pause",
                Permission.OPERATIONS_VIEW,
                tuple(parked_page(service) for service in SERVICES[1:]),
            ),
        ),
    ),
)


def sections_for(viewer: Viewer, sections: Sequence[Section] = SECTIONS) -> list[Section]:
    """What this viewer may open; a section without any link is left out."""
    return [
        Section(section.label, entries)
        for section in sections
        if (entries := tuple(e for e in section.entries if viewer.may_somewhere(e.permission)))
    ]


def current_entry(path: str, sections: Sequence[Section] = SECTIONS) -> str | None:
    """The href whose page, or a page below it, is shown: the longest that fits."""
    fitting = [
        (len(place), entry.href)
        for section in sections
        for entry in section.entries
        for place in (entry.href, *entry.also)
        if path == place or path.startswith(place + "/")
    ]
    return max(fitting, default=(0, None))[1]
