"""The pages of fairness and drift: who was approved, group by group over time, and how far today's
scores are from those of a base period."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.review import portfolio_store, words
from services.review.drift import BASE, SCORE, Drift, Figure, Population, Step, figure_of
from services.review.explaining import words_of
from services.review.policy import Policy
from services.review.policy_desk import unknown
from services.review.policy_pages import MayPropose, MayRead
from services.review.policy_store import PolicyShelf
from services.review.portfolio_desk import PortfolioDesk, report_of
from services.review.portfolio_pages import EARLIER, REFUSALS, Day, RunId
from services.review.portfolio_store import Run
from shared.calendar import day_of
from shared.identifiers import new_id
from shared.messaging import Service
from shared.parameters import load_figures
from shared.web import Permission, Problem, page, redirect
from shared.web.directory import staff_names
from shared.web.i18n import _, current_language

HERE = "/review/policies/drift"


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
        first, base_last, last = day_of(since), day_of(base_until), day_of(until)
        try:
            if until and last is None:
                raise Problem(422, "no-span", "No day")
            await desk.ask_drift(viewer, first, base_last, last, step, run_id)
        except Problem as problem:
            if problem.code not in REFUSALS:
                raise
            return redirect(request, HERE, flash=_(REFUSALS[problem.code]), tone="danger")
        return redirect(request, f"{HERE}/{run_id}")

    @routes.get("/policies/drift/{run_id}")
    async def page_drift(request: Request, viewer: MayRead, run_id: str) -> Response:
        """What it came to, or how far it is."""
        async with service.pool.acquire() as conn:
            run = await _drift(conn, run_id)
            done = await portfolio_store.progress_of(conn, run_id)
            people = await staff_names(conn, [run.asked_by])
            policy, _shadows = await shelf.deciding(conn, service.clock.now())
        figure = (
            figure_of(Population.from_json(run.tally), load_figures())
            if run.tally is not None
            else None
        )
        return page(
            request,
            "drift.html",
            run=run,
            question=Drift.from_json(run.asked),
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
            done = await portfolio_store.progress_of(conn, run_id)
        answer = page(request, "replay_progress.html", run=run, done=done)
        if run.ended_at is not None:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @routes.get("/policies/drift/{run_id}/report")
    async def page_report(
        viewer: MayPropose,  # noqa: ARG001 - the gate is the point
        run_id: str,
    ) -> Response:
        """The counts as JSON: the same bytes as `banka policy drift --report` writes."""
        async with service.pool.acquire() as conn:
            run = await _drift(conn, run_id)
            if run.tally is None:
                raise unknown()
            whole = await report_of(conn, run)
        return Response(
            await asyncio.to_thread(whole.text),
            media_type="application/json",
            headers={
                "Content-Disposition": f'attachment; filename="drift-{run_id}.json"',
                "Cache-Control": "private, no-store",
            },
        )

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
        "names": names,
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
        "approval_chart": _approval_chart(figure)
        if any(one.rate is not None for one in figure.lines.get(("all", "all"), {}).values())
        else None,
    }


def _index_chart(figure: Figure, later: list[str]) -> dict[str, Any]:
    bounds = load_figures().index
    return {
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


def _approval_chart(figure: Figure) -> dict[str, Any]:
    everybody = figure.lines.get(("all", "all"), {})
    return {
        "banka": {"format": "percent"},
        "xAxis": {
            "type": "category",
            "data": [_("Base period") if one == BASE else one for one in figure.periods],
        },
        "yAxis": {"type": "value", "min": 0, "max": 1},
        "series": [
            {
                "type": "line",
                "name": _("Approval rate"),
                "data": [
                    everybody[one].rate if one in everybody else None for one in figure.periods
                ],
            }
        ],
    }
