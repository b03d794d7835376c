"""What the pages of all questions about past decisions have in common: asking one, how far it is,
and its report to take along."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi.responses import Response

from services.review import portfolio_store
from services.review.policy_desk import unknown
from services.review.portfolio_desk import report_of
from services.review.portfolio_store import Run
from shared.calendar import day_of
from shared.web import Problem, page, redirect
from shared.web.i18n import _, mark

Day = Annotated[str, Form(max_length=10)]
RunId = Annotated[str, Form(pattern=r"^[0-9a-f-]{36}$")]

EARLIER = 50  # runs that a list shows
_REFUSALS: Mapping[str, str] = {
    "no-span": mark("Give a first day in the past, and no last day before it."),
}


async def asked(
    request: Request,
    here: str,
    run_id: str,
    until: str,
    ask: Callable[[date | None], Awaitable[None]],
) -> Response:
    """Asks, and leads to the answer; or back, with why it cannot be asked. here: the list of
    questions; until: the last day as it was typed, empty for until now."""
    last = day_of(until)
    try:
        if until and last is None:
            raise Problem(422, "no-span", "No day")
        await ask(last)
    except Problem as problem:
        if problem.code not in _REFUSALS:
            raise
        return redirect(request, here, flash=_(_REFUSALS[problem.code]), tone="danger")
    return redirect(request, f"{here}/{run_id}")


async def progress(request: Request, conn: Any, run: Run) -> Response:
    """How far it is; once it has ended the whole page is asked for."""
    done = await portfolio_store.progress_of(conn, run.run_id)
    answer = page(request, "replay_progress.html", run=run, done=done)
    if run.ended_at is not None:
        answer.headers["HX-Refresh"] = "true"
    return answer


async def report_file(conn: Any, run: Run, name: str) -> Response:
    """The whole report as JSON, with the bytes that the command line writes; 404 while there is
    none. name: of the file, without its ending."""
    if run.tally is None:
        raise unknown()
    whole = await report_of(conn, run)
    return Response(
        await asyncio.to_thread(whole.text),
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.json"',
            "Cache-Control": "private, no-store",
        },
    )
