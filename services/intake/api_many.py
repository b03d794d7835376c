"""The API's routes about many applications at once: tables, another system's stock, the sums."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Response, UploadFile

from services.intake import batches, imports, store
from services.intake.api_examples import BATCH, IMPORT
from services.intake.api_models import CountsOut
from services.intake.api_once import Key
from services.intake.batch_files import template
from services.intake.desk import Desk
from shared.messaging import Service
from shared.web import Permission, Problem, Scope, Viewer, i18n, requires
from shared.web.openapi import about

LARGEST_BATCH = 5 * 1024 * 1024  # bytes

MayCreate = Annotated[Viewer, requires(Permission.APPLICATION_CREATE)]
MayImport = Annotated[Viewer, requires(Permission.OPERATIONS_REDRIVE, scope=Scope.ALL)]

TABLE_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
A_TABLE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in TABLE_TYPES.values()
        }
    }
}


def add(routes: APIRouter, service: Service, desk: Desk) -> None:
    """Routes about many applications."""

    @routes.post(
        "/batches",
        openapi_extra=about(
            *("unknown-branch", "empty", "unreadable", "too-many-rows", "several-sheets"),
            *("unknown-column", "column-twice", "missing-column"),
            example=BATCH,
            media_type="multipart/form-data",
        ),
    )
    async def api_batch(
        viewer: MayCreate,
        file: Annotated[UploadFile, File()],
        branch: Annotated[str, Form(pattern=r"^\d{4}$")],
    ) -> batches.BatchOut:
        """A branch's table of applications, CSV or Excel, at most 2,000 rows. Each row by itself: a
        wrong one stops no other. The same file again gets the same answer, without a key."""
        return await batches.take(desk, viewer, await read_file(file, LARGEST_BATCH), branch)

    @routes.get(
        "/batches/template.{kind}",
        dependencies=[requires(Permission.APPLICATION_CREATE)],
        response_class=Response,
        responses=A_TABLE,
        openapi_extra=about("not-found"),
    )
    async def api_template(kind: str, language: str = "zh") -> Response:
        """An empty table with the columns, as csv or xlsx."""
        if kind not in TABLE_TYPES:
            raise Problem(404, "not-found", "There is a template as csv and as xlsx")
        with i18n.in_language("en" if language.startswith("en") else "zh-CN"):
            content = template("csv" if kind == "csv" else "xlsx")
        return Response(
            content,
            media_type=TABLE_TYPES[kind],
            headers={"Content-Disposition": f'attachment; filename="applications.{kind}"'},
        )

    @routes.post("/imports", openapi_extra=about(example=IMPORT))
    async def api_import(
        viewer: MayImport, body: imports.ImportIn, key: Key = None
    ) -> imports.ImportOut:
        """Applications from another system, in the state and with the dates that they had there;
        nobody is told, no alarm is raised."""
        return await imports.take(desk, viewer, body.applications, key)

    @routes.get(
        "/reconciliation", dependencies=[requires(Permission.APPLICATION_VIEW, scope=Scope.ALL)]
    )
    async def api_reconciliation() -> CountsOut:
        """Counts to hold against the other services and the topics."""
        async with (
            service.pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            counts = await store.count_everything(conn)
        return CountsOut(
            applications=counts.applications,
            by_state=counts.by_state,
            submitted=counts.submitted,
            cards=counts.cards,
            documents=counts.documents,
            inbound=counts.inbound,
        )


async def read_file(file: UploadFile, most: int) -> bytes:
    """The bytes of a table. Raises Problem 413."""
    content = await file.read(most + 1)
    if len(content) > most:
        raise Problem(413, "too-large", f"A file has at most {most // (1024 * 1024)} MB")
    return content
