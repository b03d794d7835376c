"""The sections of the product as the side bar lists them; one list, shown by permission.

All services share one origin, so every service's pages show the same bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.web.i18n import mark
from shared.web.permissions import Permission, Viewer


@dataclass(frozen=True, slots=True)
class Entry:
    """One link; `icon` is a symbol of the vendored sprite."""

    label: str
    href: str
    icon: str
    permission: Permission


@dataclass(frozen=True, slots=True)
class Section:
    """Links that belong together under one heading."""

    label: str
    entries: tuple[Entry, ...]


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
                Permission.APPLICATION_EDIT,
            ),
            Entry(mark("Review queue"), "/review/queue", "gavel", Permission.REVIEW_VIEW),
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
)


def sections_for(viewer: Viewer, sections: Sequence[Section] = SECTIONS) -> list[Section]:
    """What this viewer may open; a section without any link is left out."""
    return [
        Section(section.label, entries)
        for section in sections
        if (entries := tuple(e for e in section.entries if viewer.may(e.permission)))
    ]


def current_entry(path: str, sections: Sequence[Section] = SECTIONS) -> str | None:
    """The href whose page, or a page below it, is shown: the longest that fits."""
    fitting = [
        entry.href
        for section in sections
        for entry in section.entries
        if path == entry.href or path.startswith(entry.href + "/")
    ]
    return max(fitting, key=len, default=None)
