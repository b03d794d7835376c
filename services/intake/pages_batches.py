"""The pages of branches' tables: load one, look at it row by row, have the good rows taken, take
the bad ones away to be mended."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from services.intake import words
from services.intake.batch import LARGEST_TABLE
from services.intake.batch_files import Kind, result
from services.intake.batches import NoTableError
from services.intake.store_batches import Batch
from services.intake.tables import LARGEST_FILE, Tables
from shared.messaging import Service
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _
from shared.web.pages import last_page, page_number

PAGE_SIZE = 30
_MEGABYTES = LARGEST_FILE // 2**20
TEMPLATES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

_MAY_CREATE = requires(Permission.APPLICATION_CREATE)


def router(service: Service, tables: Tables) -> APIRouter:
    """The pages of one service instance; everything is narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    _loading(routes, service, tables)
    _looking(routes, service, tables)
    return routes


def _loading(routes: APIRouter, service: Service, tables: Tables) -> None:
    """A table comes in."""

    @routes.get("/batches/new")
    async def page_new(request: Request, viewer: Annotated[Viewer, _MAY_CREATE]) -> Response:
        """Where a branch loads its table, and the latest ones."""
        return await _new_page(request, viewer, "")

    @routes.post("/batches")
    async def load(
        request: Request,
        viewer: Annotated[Viewer, _MAY_CREATE],
        branch: Annotated[str, Form(max_length=4)],
        file: Annotated[UploadFile, File()],
    ) -> Response:
        """Keep the table; its page says what is found in each row."""
        content = await file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            return await _new_page(request, viewer, _too_large())
        try:
            batch, new = await tables.keep(viewer, content, branch)
        except NoTableError as problem:
            return await _new_page(request, viewer, words.no_table(problem.refusal))
        except Problem as problem:
            if problem.status != 422:
                raise
            return await _new_page(request, viewer, words.row_problem("", problem.code))
        known = None if new else _("This very table was loaded before; here is what became of it.")
        return redirect(request, f"/intake/batches/{batch.batch_id}", flash=known, tone="info")

    async def _new_page(request: Request, viewer: Viewer, error: str) -> Response:
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
        recent = await tables.recent(viewer)
        return page(
            request,
            "batches.html",
            status_code=422 if error else 200,
            error=error,
            recent=recent,
            names=branches,
            branches=[(code, name) for code, name in branches.items() if viewer.sees(code)],
            words=words,
            most_rows=LARGEST_TABLE,
            most_mb=_MEGABYTES,
        )


def _too_large() -> str:
    return _("The file is larger than %(size)s MB.") % {"size": _MEGABYTES}


def _looking(routes: APIRouter, service: Service, tables: Tables) -> None:
    """One table."""

    @routes.get("/batches/{batch_id}")
    async def page_batch(
        request: Request, batch_id: str, viewer: Annotated[Viewer, _MAY_CREATE]
    ) -> Response:
        """What was found in each row, and what became of it."""
        counts = (await tables.look(viewer, batch_id)).counts
        most = max(counts.get("bad", 0), counts.get("taken", 0) + counts.get("known", 0))
        number = min(page_number(request), last_page(most, PAGE_SIZE))
        shown = await tables.look(viewer, batch_id, page=number, page_size=PAGE_SIZE)
        async with service.pool.acquire() as conn:
            branches = await branch_names(conn)
            staff = await staff_names(conn, [shown.batch.uploaded_by.partition(":")[2]])
        return page(
            request,
            "batch.html",
            shown=shown,
            batch=shown.batch,
            counts=shown.counts,
            branch=branches.get(shown.batch.branch, shown.batch.branch),
            staff=staff,
            page_number=number,
            page_size=PAGE_SIZE,
            **_progress(shown.batch, shown.steps),
            words=words,
        )

    @routes.get("/batches/{batch_id}/progress")
    async def page_progress(
        request: Request, batch_id: str, viewer: Annotated[Viewer, _MAY_CREATE]
    ) -> Response:
        """How far it is; the page is shown anew when nothing goes on any more."""
        shown = await tables.look(viewer, batch_id)
        if not shown.batch.working:
            return Response(status_code=204, headers={"HX-Refresh": "true"})
        return page(request, "batch_progress.html", **_progress(shown.batch, shown.steps))

    @routes.post("/batches/{batch_id}/take")
    async def take(
        request: Request, batch_id: str, viewer: Annotated[Viewer, _MAY_CREATE]
    ) -> Response:
        """Have the good rows taken."""
        here = f"/intake/batches/{batch_id}"
        try:
            await tables.take_good(viewer, batch_id)
        except Problem as problem:
            if problem.status != 409:
                raise
            return redirect(request, here, flash=_("That is not possible now."), tone="danger")
        return redirect(request, here)

    @routes.get("/batches/{batch_id}/rejected.{kind}")
    async def rejected(
        batch_id: str, kind: str, viewer: Annotated[Viewer, _MAY_CREATE]
    ) -> Response:
        """The rows that were not taken, as a file to be mended and loaded again."""
        if kind not in TEMPLATES:
            raise Problem(404, "not-found", "There are csv and xlsx")
        rows = await tables.bad_rows(viewer, batch_id)
        lines = [(cells, [words.finding(one) for one in problems]) for cells, problems in rows]
        chosen: Kind = "csv" if kind == "csv" else "xlsx"
        content = await asyncio.to_thread(result, chosen, lines)
        return Response(
            content,
            media_type=TEMPLATES[kind],
            headers={"Content-Disposition": f'attachment; filename="to-correct.{kind}"'},
        )


def _progress(batch: Batch, steps: tuple[int, int]) -> dict[str, Any]:
    done, total = steps
    checking = batch.state == "checking"
    return {
        "done": done,
        "total": total,
        "doing": _("Looking at the rows") if checking else _("Taking the good rows"),
    }
