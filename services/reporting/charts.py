"""The charts of the daily report as ECharts options; the figures beside them are the templates'."""

from __future__ import annotations

from typing import Any

from services.reporting import words
from services.reporting.reports.daily import DailyReport
from shared.web.i18n import _

_HOUR = 3600  # seconds; ECharts gets hours


def daily_charts(report: DailyReport) -> dict[str, dict[str, Any]]:
    """{chart: option} in the reader's language."""
    return {
        "trend": _trend(report),
        "regions": _regions(report),
        "declines": _declines(report),
        "funnel": _funnel(report),
        "stages": _stages(report),
        "waiting": _waiting(report),
    }


def _trend(report: DailyReport) -> dict[str, Any]:
    names = {"submitted": _("Handed in"), "approved": _("Approved"), "declined": _("Declined")}
    return {
        "legend": {},
        "xAxis": {"type": "category", "data": [f"{day:%m-%d}" for day, _figures in report.trend]},
        "yAxis": {"type": "value", "minInterval": 1},
        "series": [
            {
                "type": "line",
                "name": name,
                "data": [figures[key].value for _day, figures in report.trend],
            }
            for key, name in names.items()
        ],
    }


def _regions(report: DailyReport) -> dict[str, Any]:
    return {
        "legend": {},
        "xAxis": {
            "type": "category",
            "data": [words.region_name(region) for region in report.regions],
        },
        "yAxis": {"type": "value", "minInterval": 1},
        "series": [
            {
                "type": "bar",
                "name": _("Day"),
                "data": [day.value for day, _window in report.regions.values()],
            },
            {
                "type": "bar",
                "name": _("30 days"),
                "data": [window.value for _day, window in report.regions.values()],
            },
        ],
    }


def _declines(report: DailyReport) -> dict[str, Any]:
    ordered = sorted(report.declines.items(), key=lambda item: item[1][1].value or 0)
    return {
        "xAxis": {"type": "value", "minInterval": 1},
        "yAxis": {
            "type": "category",
            "data": [words.category_name(category) for category, _pair in ordered],
        },
        "grid": {"right": 36},
        "series": [
            {
                "type": "bar",
                "name": _("30 days"),
                "data": [window.value for _category, (_day, window) in ordered],
                "label": {"show": True, "position": "right"},
            }
        ],
    }


def _funnel(report: DailyReport) -> dict[str, Any]:
    steps = list(reversed(report.funnel))
    return {
        "xAxis": {"type": "value", "minInterval": 1},
        "yAxis": {
            "type": "category",
            "data": [words.figure_name(step.key.removeprefix("funnel.")) for step in steps],
        },
        "grid": {"right": 36},
        "series": [
            {
                "type": "bar",
                "name": _("Applications"),
                "data": [step.value for step in steps],
                "label": {"show": True, "position": "right"},
            }
        ],
    }


def _stages(report: DailyReport) -> dict[str, Any]:
    stages = list(reversed(report.stages))

    def hours(value: float | None) -> float:
        return round((value or 0) / _HOUR, 1)

    return {
        "banka": {"format": "duration"},
        "legend": {},
        "xAxis": {"type": "value", "splitNumber": 4},
        "yAxis": {
            "type": "category",
            "data": [words.state_name(stage.state.value) for stage in stages],
        },
        "series": [
            {
                "type": "bar",
                "name": _("Median"),
                "data": [hours(stage.median.value) for stage in stages],
            },
            {"type": "bar", "name": _("P90"), "data": [hours(stage.p90.value) for stage in stages]},
        ],
    }


def _waiting(report: DailyReport) -> dict[str, Any]:
    return {
        "banka": {"format": "duration"},
        "legend": {},
        "xAxis": {"type": "value", "splitNumber": 4},
        "yAxis": {"type": "category", "data": [_("Until the decision")]},
        "series": [
            {
                "type": "bar",
                "stack": "waiting",
                "name": words.waiting_name(whom),
                "data": [round((figure.value or 0) / _HOUR, 1)],
            }
            for whom, figure in report.waiting.items()
        ],
    }
