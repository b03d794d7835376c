"""The pages of fairness and drift: who was approved, group by group over time, and how far today's
scores are from those of a base period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.review import portfolio_store, words
from services.review.drift import BASE, SCORE, Drift, Figure, Line, Population, Step, figure_of
from services.review.explaining import words_of
from services.review.policy import Policy
from services.review.policy_desk import unknown
from services.review.policy_pages import MayPropose, MayRead
from services.review.policy_store import PolicyShelf
from services.review.portfolio_desk import PortfolioDesk
from services.review.portfolio_store import Run
from services.review.run_pages import EARLIER, Day, RunId, asked, progress, report_file
from shared.calendar import day_of
from shared.identifiers import new_id
from shared.messaging import Service
from shared.parameters import load_figures
from shared.web import Permission, page
from shared.web.directory import staff_names
from shared.web.i18n import _, current_language

HERE = "/review/policies/drift"
MOST_LINES: Final = 6  # of a chart; more are not told apart
_ALL: Final = ("all", "all")


def router(service: Service, desk: PortfolioDesk, shelf: PolicyShelf) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/review", include_in_schema=False)

    @routes.get("/policies/drift")
    async def page_drifts(request: Request, viewer: MayRead) -> Response:
        """Ask for the figures, and see those of before."""
        async with service.pool.acquire() as conn:
            runs = await portfolio_store.latest_runs(conn, "drift", None, EARLIER)
            people = await staff_names(conn, sorted({run.asked_by for run in runs}))
        return page(
            request,
            "drifts.html",
            runs=runs,
            people=people,
            request_id=new_id(),
            may_ask=viewer.may_somewhere(Permission.POLICY_PROPOSE),
        )

    @routes.post("/policies/drift")
    async def page_ask(
        request: Request,
        viewer: MayPropose,
        run_id: RunId,
        since: Day = "",
        base_until: Day = "",
        until: Day = "",
        step: Annotated[Step, Form()] = "month",
    ) -> Response:
        """Days, the last ones included; without `until` until now."""
        first, base_last = day_of(since), day_of(base_until)

        async def ask(last: date | None) -> None:
            await desk.ask_drift(viewer, first, base_last, last, step, run_id)

        return await asked(request, HERE, run_id, until, ask)

    @routes.get("/policies/drift/{run_id}")
    async def page_drift(request: Request, viewer: MayRead, run_id: str) -> Response:
        """What it came to, or how far it is."""
        async with service.pool.acquire() as conn:
            run = await _drift(conn, run_id)
            done = await portfolio_store.progress_of(conn, run_id)
            people = await staff_names(conn, [run.asked_by])
            policy, _shadows = await shelf.deciding(conn, service.clock.now())
        question = Drift.from_json(run.asked)
        figure = (
            figure_of(Population.from_json(run.tally), load_figures(), question.score_band)
            if run.tally is not None
            else None
        )
        return page(
            request,
            "drift.html",
            run=run,
            question=question,
            done=done,
            people=people,
            here=f"{HERE}/{run_id}",
            may_take=viewer.may_somewhere(Permission.POLICY_PROPOSE),
            parameters=load_figures(),
            figure=figure,
            **(_shown(figure, policy) if figure is not None else {}),
        )

    @routes.get("/policies/drift/{run_id}/progress")
    async def page_progress(
        request: Request,
        viewer: MayRead,  # noqa: ARG001 - the gate is the point
        run_id: str,
    ) -> Response:
        """How far it is; once it has ended the whole page is asked for."""
        async with service.pool.acquire() as conn:
            run = await _drift(conn, run_id)
            return await progress(request, conn, run)

    @routes.get("/policies/drift/{run_id}/report")
    async def page_report(
        viewer: MayPropose,  # noqa: ARG001 - the gate is the point
        run_id: str,
    ) -> Response:
        """The counts as JSON: the same bytes as `banka policy drift --report` writes."""
        async with service.pool.acquire() as conn:
            run = await _drift(conn, run_id)
            return await report_file(conn, run, f"drift-{run_id}")

    return routes


async def _drift(conn: Any, run_id: str) -> Run:
    run = await portfolio_store.find_run(conn, "drift", run_id)
    if run is None:
        raise unknown()
    return run


def _shown(figure: Figure, policy: Policy) -> dict[str, Any]:
    language = current_language()
    later = [one for one in figure.periods if one != BASE]
    names = {
        factor: _("Whole score")
        if factor == SCORE
        else words_of(policy, "factors", factor, language)
        for factor in figure.indices
    }
    groups = list(dict.fromkeys(group for group, _value in figure.lines))
    return {
        "periods": [(one, _("Base period") if one == BASE else one) for one in figure.periods],
        "later": later,
        "factors": [(names[factor], "", found) for factor, found in figure.indices.items()],
        "own_indices": [
            (words.value_of(group, value), _(words.GROUPS[group][0]), indices)
            for (group, value), lines in figure.lines.items()
            if (indices := {period: line.index for period, line in lines.items() if line.index})
        ],
        "groups": [
            (
                group,
                words.GROUPS[group],
                [
                    (words.value_of(group, value) if group != "all" else _("Everybody"), lines)
                    for (other, value), lines in figure.lines.items()
                    if other == group
                ],
            )
            for group in ["all", *(one for one in groups if one != "all")]
            if group in groups
        ],
        # a chart of nothing but what is too few says nothing
        "index_chart": _index_chart(figure, later)
        if any(one.value is not None for one in figure.indices.get(SCORE, {}).values())
        else None,
        "approval_chart": _approvals(figure, {_("Approval rate"): figure.lines.get(_ALL, {})}),
        "group_charts": _group_charts(figure, (one for one in groups if one != "all")),
        "headings": words.GROUPS,
    }


def _index_chart(figure: Figure, later: list[str]) -> dict[str, Any]:
    bounds = load_figures().index
    return {
        "banka": {"format": "index"},
        "legend": {},
        "xAxis": {"type": "category", "data": later},
        "yAxis": {"type": "value"},
        "series": [
            {
                "type": "line",
                "name": _("Whole score"),
                "data": [
                    None if (one := figure.indices[SCORE].get(period)) is None or one.value is None
                    else round(one.value, 4)
                    for period in later
                ],
                "markLine": {
                    "symbol": "none",
                    "silent": True,
                    "label": {"position": "insideEndTop"},
                    "data": [{"yAxis": bounds.little}, {"yAxis": bounds.much}],
                },
            }
        ],
    }  # fmt: skip


def _approvals(figure: Figure, named: Mapping[str, Mapping[str, Line]]) -> dict[str, Any] | None:
    """A line for each of these; None where every one rests on too few decisions."""
    series = [
        {
            "type": "line",
            "name": name,
            "data": [by_period[one].rate if one in by_period else None for one in figure.periods],
        }
        for name, by_period in named.items()
        if any(line.rate is not None for line in by_period.values())
    ]
    if not series:
        return None
    return {
        "banka": {"format": "percent"},
        **({"legend": {}} if len(named) > 1 else {}),
        "xAxis": {
            "type": "category",
            "data": [_("Base period") if one == BASE else one for one in figure.periods],
        },
        "yAxis": {"type": "value", "min": 0, "max": 1},
        "series": series,
    }


def _group_charts(figure: Figure, groups: Iterable[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """(group, what it says of itself, its chart) of those that have one."""
    found = []
    for group in groups:
        lines = {value: one for (other, value), one in figure.lines.items() if other == group}
        largest = sorted(
            lines, key=lambda value: -sum(line.decisions for line in lines[value].values())
        )
        shown = [value for value in lines if value in largest[:MOST_LINES]]
        chart = _approvals(figure, {words.value_of(group, one): lines[one] for one in shown})
        if chart is not None:
            said = _("of all decided")
            if len(shown) < len(lines):
                said = _("the %(n)s largest groups") % {"n": len(shown)}
            found.append((group, said, chart))
    return found
