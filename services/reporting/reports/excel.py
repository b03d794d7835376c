"""The daily report as an Excel workbook with native charts.

The same report and manifest give the same bytes: nothing here asks the time, and the file's own
dates come from the manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from io import BytesIO
from typing import Any, get_args

import xlsxwriter

from services.reporting import words
from services.reporting.kpis import Asked, Became, Figure
from services.reporting.reports.daily import WINDOW_DAYS, DailyReport
from services.reporting.reports.manifest import Manifest
from shared.web.i18n import _, in_language, show_date, show_datetime

_BLUE, _GREEN, _AMBER, _RED, _GREY = "#2B6CB5", "#35A27C", "#E0A030", "#D1605E", "#8F9BB0"
_HOUR = 3600  # seconds; durations stand in hours, because Excel's own durations end at 24


def write_workbook(report: DailyReport, manifest: Manifest) -> bytes:
    """The workbook's bytes, in the manifest's language."""
    with in_language(manifest.language):
        return _Workbook(report, manifest).write()


class _Workbook:
    """One workbook while it is written; each `_sheet` method adds a sheet with its chart."""

    def __init__(self, report: DailyReport, manifest: Manifest) -> None:
        self.report = report
        self.manifest = manifest
        self.bytes = BytesIO()
        self.book = xlsxwriter.Workbook(self.bytes, {"in_memory": True})
        self.book.set_properties(
            {
                "title": f"{_('Daily report')} {report.day.isoformat()}",
                "author": "banka",
                "comments": manifest.id,
                "created": manifest.as_of.astimezone(UTC).replace(tzinfo=None, microsecond=0),
            }
        )
        font = {"font_name": "Microsoft YaHei", "font_size": 10}
        self.plain = self.book.add_format(font)
        self.fine = self.book.add_format({**font, "font_color": "#56617A", "text_wrap": True})
        self.title = self.book.add_format({**font, "bold": True, "font_size": 15})
        self.head = self.book.add_format(
            {**font, "bold": True, "bg_color": "#E8F0FA", "bottom": 1, "text_wrap": True}
        )
        self.total = self.book.add_format({**font, "bold": True, "top": 1})
        self.number = self.book.add_format({**font, "num_format": "#,##0"})
        self.percent = self.book.add_format({**font, "num_format": "0.0%"})
        self.hours = self.book.add_format({**font, "num_format": "#,##0.0"})

    def write(self) -> bytes:
        self._summary()
        self._regions()
        self._declines()
        self._funnel()
        self._stages()
        self._trend()
        self._messages()
        self._after()
        self._evidence()
        self._recipe()
        self.book.close()
        return self.bytes.getvalue()

    def _sheet(self, name: str, note: str, widths: Sequence[int]) -> Any:
        sheet = self.book.add_worksheet(name[:31])
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width, self.plain)
        sheet.write(0, 0, f"{name} · {show_date(self.report.day)}", self.title)
        sheet.write(1, 0, note, self.fine)
        sheet.set_row(0, 24)
        return sheet

    def _table(self, sheet: Any, top: int, heads: Sequence[str], rows: Sequence[Any]) -> int:
        """Writes heads and rows; returns the row after the last. Figures show their own unit."""
        for column, head in enumerate(heads):
            sheet.write(top, column, head, self.head)
        for line, row in enumerate(rows, start=top + 1):
            for column, cell in enumerate(row):
                if isinstance(cell, Figure):
                    self._figure(sheet, line, column, cell)
                elif isinstance(cell, int):
                    sheet.write_number(line, column, cell, self.number)
                else:
                    sheet.write_string(line, column, str(cell), self.plain)
        return top + 1 + len(rows)

    def _figure(self, sheet: Any, line: int, column: int, figure: Figure) -> None:
        if figure.value is None:
            sheet.write_string(line, column, "—", self.plain)
        elif figure.unit == "ratio":
            sheet.write_number(line, column, round(figure.value, 6), self.percent)
        elif figure.unit == "seconds":
            sheet.write_number(line, column, round(figure.value / _HOUR, 4), self.hours)
        else:
            sheet.write_number(line, column, figure.value, self.number)

    def _chart(
        self,
        sheet: Any,
        kind: dict[str, str],
        title: str,
        top: int,
        count: int,
        series: Sequence[tuple[int, str]],
        *,
        at: str,
    ) -> None:
        """A native chart over a table: its first column are the categories. series: (column,
        colour)."""
        if count == 0:
            return
        chart = self.book.add_chart(kind)
        for column, colour in series:
            chart.add_series(
                {
                    "name": [sheet.name, top, column],
                    "categories": [sheet.name, top + 1, 0, top + count, 0],
                    "values": [sheet.name, top + 1, column, top + count, column],
                    "fill": {"color": colour},
                    "line": {"color": colour, "width": 2 if kind["type"] == "line" else 0.75},
                    "data_labels": {"value": kind["type"] != "line" and len(series) == 1},
                }
            )
        chart.set_title({"name": title, "name_font": {"size": 12}})
        chart.set_legend({"position": "bottom"} if len(series) > 1 else {"none": True})
        if kind["type"] == "bar":
            chart.set_y_axis({"reverse": True})
            chart.set_x_axis({"major_gridlines": {"visible": True, "line": {"color": "#E4E8EF"}}})
        else:
            chart.set_y_axis({"major_gridlines": {"visible": True, "line": {"color": "#E4E8EF"}}})
        chart.set_size({"width": 680, "height": 340})
        sheet.insert_chart(at, chart, {"description": title})

    def _note(self, basis: str) -> str:
        return _("%(basis)s; cut-off %(time)s (business time)") % {
            "basis": basis,
            "time": show_datetime(self.report.as_of),
        }

    def _window_note(self, basis: str) -> str:
        return self._note(
            _("%(basis)s; 30 days are %(first)s to %(last)s")
            % {
                "basis": basis,
                "first": self.report.window.first.isoformat(),
                "last": self.report.window.last.isoformat(),
            }
        )

    def _summary(self) -> None:
        report = self.report
        sheet = self._sheet(_("Summary"), self._window_note(_("Each line says what it counts by")),
                            (34, 14, 34))  # fmt: skip
        rows: list[tuple[Any, ...]] = [
            (words.figure_name(key), figure, words.name(words.BASES, figure.basis))
            for key, figure in report.headline.items()
        ]
        rows.append(
            (
                words.figure_name("stalled_open"),
                report.stalled_open,
                words.name(words.BASES, "stock"),
            )
        )
        after = self._table(sheet, 3, (_("Figure"), _("Day"), _("Counts by")), rows)
        after = self._table(
            sheet,
            after + 1,
            (_("Rate"), _("30 days"), _("Counts by")),
            [(words.figure_name(f.key), f, words.name(words.BASES, f.basis)) for f in report.rates],
        )
        tat = (
            (report.tat_day.gross_median, report.tat_window.gross_median),
            (report.tat_day.gross_p90, report.tat_window.gross_p90),
            (report.tat_day.net_median, report.tat_window.net_median),
            (report.tat_day.net_p90, report.tat_window.net_p90),
        )
        self._table(
            sheet,
            after + 1,
            (_("Submission to decision, hours"), _("Day"), _("30 days")),
            [(words.figure_name(day.key), day, window) for day, window in tat],
        )

    def _regions(self) -> None:
        sheet = self._sheet(
            _("By region"),
            self._window_note(_("Submitted applications by province of the accepting branch")),
            (22, 12, 12),
        )
        rows = [
            (words.region_name(region), day, window)
            for region, (day, window) in self.report.regions.items()
        ]
        self._table(sheet, 3, (_("Region"), _("Day"), _("30 days")), rows)
        self._chart(sheet, {"type": "column"}, _("Handed in, by region"), 3, len(rows),
                    ((1, _BLUE), (2, _GREY)), at="E3")  # fmt: skip

    def _declines(self) -> None:
        report = self.report
        sheet = self._sheet(
            _("Reasons for declining"),
            self._window_note(_("Declines by primary reason; they sum to the declines")),
            (38, 12, 12),
        )
        rows = [
            (words.category_name(category), day, window)
            for category, (day, window) in report.declines.items()
        ]
        after = self._table(sheet, 3, (_("Reason"), _("Day"), _("30 days")), rows)
        sheet.write(after, 0, _("All declines"), self.total)
        for column, figure in ((1, report.headline["declined"]), (2, report.declined_in_window)):
            sheet.write_formula(
                after,
                column,
                f"=SUM({chr(65 + column)}5:{chr(65 + column)}{after})",
                self.total,
                figure.value,
            )
        self._chart(sheet, {"type": "bar"}, _("Declines in 30 days by reason"), 3, len(rows),
                    ((2, _RED),), at="E3")  # fmt: skip

    def _funnel(self) -> None:
        sheet = self._sheet(
            _("Funnel"),
            self._window_note(_("Cohort: applications submitted in 30 days")),
            (30, 12, 16),
        )
        first = self.report.funnel[0].value or 0
        top = 3
        rows = [
            (words.figure_name(figure.key.removeprefix("funnel.")), figure)
            for figure in self.report.funnel
        ]
        self._table(sheet, top, (_("Step"), _("Applications"), _("Of submitted")), rows)
        for line, figure in enumerate(self.report.funnel, start=top + 1):
            if first:
                share = round((figure.value or 0) / first, 6)
                sheet.write_number(line, 2, share, self.percent)
        self._chart(sheet, {"type": "bar"}, _("Funnel"), top, len(rows), ((1, _BLUE),), at="E3")

    def _stages(self) -> None:
        report = self.report
        sheet = self._sheet(
            _("Time per stage"),
            self._window_note(_("Stays that ended in 30 days, in hours")),
            (26, 18, 12, 12, 12),
        )
        heads = (_("Stage"), _("Waits on"), _("Stays"), _("Median"), _("P90"))
        rows = [
            (
                words.state_name(stage.state.value),
                words.waiting_name(stage.waiting_on),
                stage.stays,
                stage.median,
                stage.p90,
            )
            for stage in report.stages
        ]
        after = self._table(sheet, 3, heads, rows)
        self._chart(sheet, {"type": "bar"}, _("Hours per stage"), 3, len(rows),
                    ((3, _BLUE), (4, _AMBER)), at="G3")  # fmt: skip
        self._table(
            sheet,
            after + 1,
            (_("Mean wait until the decision"), _("Hours")),
            [(words.waiting_name(whom), figure) for whom, figure in report.waiting.items()],
        )

    def _trend(self) -> None:
        sheet = self._sheet(
            _("Trend"), self._note(_("Flow, by day of the event")), (16, 12, 12, 12)
        )
        rows = [
            (day.isoformat(), figures["submitted"], figures["approved"], figures["declined"])
            for day, figures in self.report.trend
        ]
        heads = (_("Day"), _("Handed in"), _("Approved"), _("Declined"))
        self._table(sheet, 3, heads, rows)
        self._chart(sheet, {"type": "line"}, _("Last 14 days"), 3, len(rows),
                    ((1, _BLUE), (2, _GREEN), (3, _RED)), at="F3")  # fmt: skip

    def _messages(self) -> None:
        sheet = self._sheet(
            _("Messages"),
            self._window_note(_("Messages asked for in 30 days, by what became of them")),
            (18, 18, 12),
        )
        rows = [
            (words.channel_name(channel), words.message_state(state), figure)
            for (channel, state), figure in self.report.messages.items()
        ]
        self._table(sheet, 3, (_("Channel"), _("State"), _("Messages")), rows)

    def _after(self) -> None:
        sheet = self._sheet(
            _("After the decision"),
            self._window_note(_("Appeals, reconsiderations and disputes; overdue at the cut-off")),
            (34, *(18 for _became in words.BECAME)),
        )
        rows = [
            (
                words.name(words.ASKED, asked),
                *(self.report.after_window[asked, became] for became in get_args(Became)),
            )
            for asked in get_args(Asked)
        ]
        heads = [words.name(words.BECAME, became) for became in get_args(Became)]
        self._table(sheet, 3, (_("Asked"), *heads), rows)

    def _evidence(self) -> None:
        """The day's events behind the headline: each number can be counted again here."""
        sheet = self._sheet(
            _("Behind the numbers"),
            self._note(_("Every event that the day's figures count")),
            (26, 24, 20, 10, 16, 38),
        )
        rows = [
            (
                words.figure_name(key),
                event.number or event.application_id,
                show_datetime(event.time),
                event.branch or "",
                words.product_name(event.product),
                event.seen.id,
            )
            for key, figure in self.report.headline.items()
            for event in figure.events
        ]
        heads = (
            _("Figure"),
            _("Application"),
            _("Time"),
            _("Branch"),
            _("Product"),
            _("Event"),
        )
        after = self._table(sheet, 3, heads, rows)
        sheet.autofilter(3, 0, max(after - 1, 3), len(heads) - 1)
        sheet.freeze_panes(4, 0)

    def _recipe(self) -> None:
        manifest = self.manifest
        sheet = self._sheet(
            _("Manifest"),
            _("With these, the same bytes can be made again from the event log."),
            (30, 60),
        )
        rows = [
            (_("Manifest"), manifest.id),
            (_("Day"), manifest.day.isoformat()),
            (_("Cut-off (business time)"), show_datetime(manifest.as_of)),
            (_("Branches"), "、".join(manifest.branches) if manifest.branches else _("All")),
            (_("Window in days"), str(WINDOW_DAYS)),
            (_("Code"), manifest.code),
            (_("Template"), manifest.template),
            *((name, version) for name, version in sorted(manifest.parameters.items())),
            *((name, version) for name, version in sorted(manifest.libraries.items())),
            *(
                (f"{position.topic} [{position.partition}]", f"< {position.next}")
                for position in manifest.cut.positions
            ),
            *(
                (f"{parked.topic} [{parked.partition}]", f"≠ {parked.offset}")
                for parked in manifest.cut.parked
            ),
        ]
        self._table(sheet, 3, (_("What"), _("Value")), rows)
