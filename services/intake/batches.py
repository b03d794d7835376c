"""A branch's table of applications within one request, for programs: each row is an application of
its own, taken or refused. People look at theirs first (`tables.py`)."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import date
from typing import Any

from pydantic import BaseModel

from services.intake.batch import Row, findings, read_batch
from services.intake.desk import Begun, Desk, Remember, Repeated
from services.intake.spreadsheet import BatchRefused
from shared.parameters import load_return_codes
from shared.web import Problem, Viewer

LARGEST_AT_ONCE = 2_000
"""Rows of a table that is taken within one request."""


class AcceptedRow(BaseModel):
    """A row that became an application."""

    row: int
    application_id: str
    application_number: str
    state: str


class RowProblemOut(BaseModel):
    """One thing that is wrong with a row."""

    field: str
    code: str
    detail: str


class RejectedRow(BaseModel):
    """A row that was not taken."""

    row: int
    problems: list[RowProblemOut]


class BatchOut(BaseModel):
    """What became of each row."""

    batch_id: str
    accepted: list[AcceptedRow]
    rejected: list[RejectedRow]


class NoTableError(Problem):
    """The file is no table of applications; `refusal` says why."""

    def __init__(self, refusal: BatchRefused) -> None:
        status = 413 if refusal.code == "too-large" else 422
        super().__init__(status, refusal.code, "The file cannot be read as a table", refusal.detail)
        self.refusal = refusal


async def take(desk: Desk, viewer: Viewer, content: bytes, branch: str) -> BatchOut:
    """Take a table row by row, each in a transaction of its own under a key of the file's content
    and the row's number: a repetition finishes what was interrupted, and makes nothing twice.

    Raises NoTableError, and Problem 422 for a branch that is not the viewer's.
    """
    if not viewer.sees(branch):
        raise Problem(422, "unknown-branch", "There is no such branch, or it is closed")
    try:
        rows = await asyncio.to_thread(read_batch, content, branch=branch, most=LARGEST_AT_ONCE)
    except BatchRefused as error:
        raise NoTableError(error) from None
    # of a program that sees its own alone, the same table of another program is another
    digest = desk.digest("batch", branch, content, viewer.own_client or "")
    batch_id = f"{branch}-{hashlib.sha256(digest).hexdigest()[:24]}"
    found = BatchOut(batch_id=batch_id, accepted=[], rejected=[])
    today = desk.today()
    region = await desk.region_of(branch) or ""
    for row in rows:
        outcome = await _take_row(desk, viewer, row, batch_id, digest, today, region)
        if isinstance(outcome, AcceptedRow):
            found.accepted.append(outcome)
        else:
            found.rejected.append(outcome)
    return found


async def _take_row(
    desk: Desk,
    viewer: Viewer,
    row: Row,
    batch_id: str,
    digest: bytes,
    today: date,
    region: str,
) -> AcceptedRow | RejectedRow:
    if row.form is None:
        found = findings(row, today, region)
        problems = [
            RowProblemOut(field=one.field, code=one.code, detail=one.detail)
            for one in (*row.problems, *found)
        ]
        return RejectedRow(row=row.number, problems=problems)

    def answer(begun: Begun) -> tuple[int, Any]:
        return 200, _outcome(row, begun).model_dump(mode="json")

    remember = Remember("batch", f"{batch_id}:{row.number}", digest, answer)
    try:
        return _outcome(row, await desk.create(viewer, row.form, submit=True, remember=remember))
    except Repeated as before:
        body = before.answer.body
        kind = RejectedRow if "problems" in body else AcceptedRow
        return kind.model_validate(body)
    except Problem as problem:
        words = problem.detail or problem.title
        return RejectedRow(
            row=row.number, problems=[RowProblemOut(field="", code=problem.code, detail=words)]
        )


def _outcome(row: Row, begun: Begun) -> AcceptedRow | RejectedRow:
    if begun.refused:
        return RejectedRow(row=row.number, problems=[_refusal(code) for code in begun.refused])
    return AcceptedRow(
        row=row.number,
        application_id=begun.application.application_id,
        application_number=begun.application.need_scope().application_number,
        state=str(begun.application.state),
    )


def _refusal(code: str) -> RowProblemOut:
    known = load_return_codes().codes.get(code)
    return RowProblemOut(field="", code=code, detail=known.mend.en if known else code)
