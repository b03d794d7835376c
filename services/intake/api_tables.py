"""Branches' tables for programs, as people have them: kept and looked at row by row, taken when
that is said, the rows that were not taken given back to be corrected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from pydantic import BaseModel

from services.intake import words
from services.intake.api_examples import BATCH
from services.intake.api_many import A_TABLE, TABLE_TYPES, read_file
from services.intake.batch_files import Kind, result
from services.intake.store_batches import BatchRow, TakenRow
from services.intake.tables import LARGEST_FILE, Shown, Tables
from services.intake.viewing import shown_state
from shared.web import Permission, Problem, Viewer, i18n, requires
from shared.web.openapi import about

PAGE_SIZE_MAX = 200
MayCreate = Annotated[Viewer, requires(Permission.APPLICATION_CREATE)]


class TableOut(BaseModel):
    """A table. state: `checking` (its rows are being looked at), `checked` (it waits for `take`),
    `taking`, `done`, or `closed` (what stood in it is forgotten). stopped: why taking it stopped;
    `take` goes on. counts: rows by what became of them: `new` (not looked at yet), `good`, `bad`,
    `taken`, `known` (the same row of another table was taken before)."""

    table_id: str
    branch: str
    state: str
    stopped: str | None
    rows: int
    counts: dict[str, int]
    uploaded_at: datetime
    ended_at: datetime | None
    keep_until: datetime


class TableProblemOut(BaseModel):
    """One thing that is wrong with a row: column, code, and how to correct it. other: the row with
    which it collides."""

    column: str
    code: str
    detail: str
    other: int | None


class BadRowOut(BaseModel):
    """A row that is not taken, by its number in the file; never what stands in it."""

    row: int
    problems: list[TableProblemOut]


class TakenRowOut(BaseModel):
    """A row that is an application. Of one that somebody else began, only that it is there."""

    row: int
    outcome: str
    application_id: str | None
    application_number: str | None
    application_state: str | None


class TablePageOut(TableOut):
    """A table with a page of its rows: those that are not taken, those that are."""

    bad: list[BadRowOut]
    taken: list[TakenRowOut]
    page: int
    page_size: int


def add(routes: APIRouter, tables: Tables) -> None:
    """Routes about tables."""

    @routes.post(
        "/tables",
        status_code=201,
        response_model=TableOut,
        responses={200: {"model": TableOut, "description": "This very file was loaded before"}},
        openapi_extra=about(
            *("unknown-branch", "empty", "unreadable", "too-many-rows", "several-sheets"),
            *("unknown-column", "column-twice", "missing-column"),
            example=BATCH,
            media_type="multipart/form-data",
        ),
    )
    async def api_load(
        viewer: MayCreate,
        response: Response,
        file: Annotated[UploadFile, File()],
        branch: Annotated[str, Form(pattern=r"^\d{4}$")],
    ) -> TableOut:
        """Load a branch's table of at most 10,000 rows; its rows are looked at in the background.
        Nothing is taken before `take`. The same file again is the same table, without a key."""
        batch, new = await tables.keep(viewer, await read_file(file, LARGEST_FILE), branch)
        response.status_code = 201 if new else 200
        return _out(await tables.look(viewer, batch.batch_id))

    @routes.get("/tables")
    async def api_tables(viewer: MayCreate) -> list[TableOut]:
        """The latest 20 tables that the caller may see, the newest first."""
        return [
            _out(await tables.look(viewer, one.batch_id)) for one in await tables.recent(viewer)
        ]

    @routes.get("/tables/{table_id}", openapi_extra=about("not-found"))
    async def api_table(
        viewer: MayCreate,
        table_id: str,
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> TablePageOut:
        """How far a table is, and what was found in its rows, page by page."""
        shown = await tables.look(viewer, table_id, page=page, page_size=page_size)
        with i18n.in_language("en"):
            bad = [_bad(row) for row in shown.bad]
        return TablePageOut(
            **_out(shown).model_dump(),
            bad=bad,
            taken=[_taken(row, viewer) for row in shown.taken],
            page=page,
            page_size=page_size,
        )

    @routes.post(
        "/tables/{table_id}/take",
        status_code=202,
        openapi_extra=about("not-found", "not-checked"),
    )
    async def api_take(viewer: MayCreate, table_id: str) -> TableOut:
        """Have the good rows taken, in the background; asked twice it is done once."""
        await tables.take_good(viewer, table_id)
        return _out(await tables.look(viewer, table_id))

    @routes.get(
        "/tables/{table_id}/rejected.{kind}",
        response_class=Response,
        responses=A_TABLE,
        openapi_extra=about("not-found", "forgotten"),
    )
    async def api_rejected(
        viewer: MayCreate, table_id: str, kind: str, language: str = "zh"
    ) -> Response:
        """The rows not taken with what is wrong, as csv or xlsx, to be corrected and loaded
        again as they are; that they were taken away is recorded."""
        if kind not in TABLE_TYPES:
            raise Problem(404, "not-found", "There are csv and xlsx")
        rows = await tables.bad_rows(viewer, table_id)
        chosen: Kind = "csv" if kind == "csv" else "xlsx"
        with i18n.in_language("en" if language.startswith("en") else "zh-CN"):
            lines = [(cells, [words.finding(one) for one in wrong]) for cells, wrong in rows]
            content = await asyncio.to_thread(result, chosen, lines)
        return Response(
            content,
            media_type=TABLE_TYPES[kind],
            headers={"Content-Disposition": f'attachment; filename="to-correct.{kind}"'},
        )


def _out(shown: Shown) -> TableOut:
    batch = shown.batch
    return TableOut(
        table_id=batch.batch_id,
        branch=batch.branch,
        state=batch.state,
        stopped=batch.stopped,
        rows=batch.rows,
        counts={str(state): count for state, count in shown.counts.items()},
        uploaded_at=batch.uploaded_at,
        ended_at=batch.ended_at,
        keep_until=batch.keep_until,
    )


def _bad(row: BatchRow) -> BadRowOut:
    return BadRowOut(row=row.row, problems=[_problem(one) for one in row.problems])


def _problem(one: Mapping[str, Any]) -> TableProblemOut:
    other = one.get("other")
    return TableProblemOut(
        column=one["field"],
        code=one["code"],
        detail=words.row_problem(one["field"], one["code"], other),
        other=other,
    )


def _taken(row: TakenRow, viewer: Viewer) -> TakenRowOut:
    theirs = viewer.own_client in (None, row.client)
    return TakenRowOut(
        row=row.row,
        outcome=row.state,
        application_id=row.application_id if theirs else None,
        application_number=row.application_number if theirs else None,
        application_state=shown_state(row.application_state, viewer) if theirs else None,
    )
