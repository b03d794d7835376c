"""The JSON API for channels and for people's programs. Personal fields go in, and come out masked;
never in an address."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, File, Form, Header, Query, Response, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.intake import batches, imports, store
from services.intake.application import Application, ApplicationError
from services.intake.batch import template
from services.intake.checklist import Line
from services.intake.desk import Begun, Desk, Filed, Remember, Repeated, problem_of
from services.intake.form import ApplicationForm, FormCorrection
from services.intake.viewing import shown_since, shown_state, shown_version, states_shown_as
from shared.events.lifecycle import State
from shared.messaging import Service
from shared.money import Money
from shared.parameters import load_papers
from shared.web import FieldError, Permission, Problem, Scope, Viewer, public, requires
from shared.web.problems import MEDIA_TYPE

PAGE_SIZE_MAX = 200
LARGEST_BATCH = 5 * 1024 * 1024  # bytes

MayView = Annotated[Viewer, requires(Permission.APPLICATION_VIEW)]
MayCreate = Annotated[Viewer, requires(Permission.APPLICATION_CREATE)]
MayEdit = Annotated[Viewer, requires(Permission.APPLICATION_EDIT)]
MayReceive = Annotated[Viewer, requires(Permission.MATERIAL_RECEIVE)]
MayCount = Annotated[Viewer, requires(Permission.APPLICATION_VIEW, Scope.ALL)]
MayImport = Annotated[Viewer, requires(Permission.OPERATIONS_REDRIVE, Scope.ALL)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[!-~]+$")
]

T = TypeVar("T")


class ApplicationIn(ApplicationForm):
    """A form; `submit` hands it in at once."""

    submit: bool = False


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class WithdrawalIn(_In):
    """Why the customer withdraws, if they say so; kept sealed."""

    reason: Annotated[str, Field(max_length=2000)] = ""


class SearchIn(_In):
    """Exactly one of the two, whole."""

    mobile: Annotated[str, Field(min_length=11, max_length=11)] | None = None
    id_number: Annotated[str, Field(min_length=18, max_length=18)] | None = None

    @model_validator(mode="after")
    def _one(self) -> SearchIn:
        if (self.mobile is None) == (self.id_number is None):
            raise ValueError("search for a mobile or for an ID number")
        return self


class LineOut(BaseModel):
    """A line of the checklist. reasons: why it is not done, as return codes, with the form's field
    where the fault is there."""

    item: str
    need: str
    group: str | None
    done: bool
    reasons: list[dict[str, str | None]]
    documents: list[str]


class BegunOut(BaseModel):
    """A new or changed application."""

    application_id: str
    application_number: str
    state: str
    checklist: list[LineOut]


class FiledOut(BaseModel):
    """A paper that arrived."""

    document_id: str
    document_number: str
    item: str
    sha256: str
    media_type: str
    size: int
    checklist: list[LineOut]
    state: str


class DocumentOut(BaseModel):
    """A paper."""

    document_id: str
    document_number: str
    item: str
    sha256: str
    media_type: str
    size: int
    received_at: datetime
    issued_on: date | None


class PartyOut(BaseModel):
    """A person of an application; fields masked."""

    role: str
    fields: dict[str, str]


class WithdrawalOut(BaseModel):
    """The customer's wish to withdraw: asked, withdrawn or refused."""

    at: datetime
    outcome: str
    why: str | None


class CardOut(BaseModel):
    """The card and what its partners reported, by kind and time."""

    card_id: str
    limit: Money
    ordered_at: datetime
    facts: dict[str, datetime]


class ApplicationOut(BaseModel):
    """An application as this caller may see it. state_version, state_since: not for channels, which
    would see review at work by them."""

    application_id: str
    application_number: str
    state: str
    state_version: int | None
    state_since: datetime | None
    branch: str
    region: str
    channel: str
    product: str
    product_version: str
    applicant_type: str
    created_at: datetime | None
    submitted_at: datetime | None
    requested_limit: Money | None
    reopens: str | None
    consent: bool
    parties: list[PartyOut]
    checklist: list[LineOut]
    wanted: list[dict[str, str | None]]
    deadline: datetime | None
    warnings: list[str]
    documents: list[DocumentOut]
    withdrawal: WithdrawalOut | None
    limit: Money | None
    reapply_from: date | None
    card: CardOut | None
    imported: bool


class RowOut(BaseModel):
    """One application of a list. state_since: not for channels."""

    application_id: str
    application_number: str
    state: str
    state_since: datetime | None
    branch: str
    region: str
    channel: str
    product: str
    applicant_type: str
    created_at: datetime
    submitted_at: datetime | None
    material_deadline: datetime | None
    imported: bool


class ListOut(BaseModel):
    """One page of a list, the newest first."""

    applications: list[RowOut]
    total: int
    page: int
    page_size: int


class WithdrawnOut(BaseModel):
    """`withdrawal`: withdrawn, or asked while review decides about it."""

    application_id: str
    state: str
    withdrawal: str


class CountsOut(BaseModel):
    """What intake's tables add up to."""

    applications: int
    by_state: dict[str, int]
    submitted: int
    cards: int
    documents: int
    inbound: dict[str, int]


def router(service: Service, desk: Desk, public_jwks: Callable[[], dict[str, Any]]) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches."""
    routes = APIRouter(prefix="/intake/api/v1", tags=["intake"])
    _add_begin(routes, desk)
    _add_changes(routes, desk)
    _add_reading(routes, service, desk)
    _add_many(routes, service, desk)

    @routes.get("/keys", dependencies=[public("partners encrypt to this public key")])
    async def api_keys() -> dict[str, Any]:
        """The office's public keys (JWK set) to which partners encrypt personal data."""
        return public_jwks()

    return routes


def _add_begin(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/applications", status_code=201, response_model=BegunOut)
    async def api_create(viewer: MayCreate, body: ApplicationIn, key: Key = None) -> Response:
        """Begin an application; with `submit` it is handed in in the same step. 422
        `not-acceptable` where the office cannot take it: it stays a draft, named in the answer."""
        if viewer.channel is not None and body.channel != viewer.channel:
            raise Problem(
                422,
                "other-channel",
                "A channel hands in applications under its own name alone",
                errors=[FieldError("/channel", "other-channel")],
            )

        def answer(begun: Begun) -> tuple[int, Any]:
            if not begun.refused:
                return 201, begun_out(begun, viewer)
            error = ApplicationError(
                "not-acceptable", "The office cannot take this application", begun.refused
            )
            return 422, {**problem_of(error).as_json(), **begun_out(begun, viewer)}

        async def run(remember: Remember | None) -> Begun:
            return await desk.create(viewer, body, submit=body.submit, remember=remember)

        remember = _remember(desk, viewer, key, answer, "create", body.model_dump_json())
        return await _once(run, remember, answer)

    @routes.post("/applications/{application_id}/submit", response_model=BegunOut)
    async def api_submit(viewer: MayCreate, application_id: str, key: Key = None) -> Response:
        """Hand the application in; it is pre-checked at once."""

        def answer(begun: Begun) -> tuple[int, Any]:
            return 200, begun_out(begun, viewer)

        async def run(remember: Remember | None) -> Begun:
            return await desk.submit(viewer, application_id, remember=remember)

        remember = _remember(desk, viewer, key, answer, "submit", application_id)
        return await _once(run, remember, answer)


def _add_changes(routes: APIRouter, desk: Desk) -> None:
    @routes.patch("/applications/{application_id}", response_model=BegunOut)
    async def api_correct(
        viewer: MayEdit, application_id: str, body: FormCorrection, key: Key = None
    ) -> Response:
        """Correct fields of a draft, or while material is awaited."""

        def answer(begun: Begun) -> tuple[int, Any]:
            return 200, begun_out(begun, viewer)

        async def run(remember: Remember | None) -> Begun:
            return await desk.correct(viewer, application_id, body, remember=remember)

        remember = _remember(
            desk, viewer, key, answer, "correct", application_id, body.model_dump_json()
        )
        return await _once(run, remember, answer)

    @routes.post(
        "/applications/{application_id}/documents", status_code=201, response_model=FiledOut
    )
    async def api_receive(
        viewer: MayReceive,
        application_id: str,
        item: Annotated[str, Form(max_length=60)],
        file: Annotated[UploadFile, File()],
        issued_on: Annotated[date | None, Form()] = None,
        key: Key = None,
    ) -> Response:
        """Hand in a paper: PDF, JPEG or PNG by its content."""
        content = await file.read(load_papers().largest_bytes + 1)

        def answer(filed: Filed) -> tuple[int, Any]:
            return 201, filed_out(filed, viewer)

        async def run(remember: Remember | None) -> Filed:
            return await desk.receive(
                viewer, application_id, item, content, issued_on, remember=remember
            )

        remember = _remember(
            desk, viewer, key, answer, "receive", application_id, item, str(issued_on), content
        )
        return await _once(run, remember, answer)

    @routes.post("/applications/{application_id}/withdraw", response_model=WithdrawnOut)
    async def api_withdraw(
        viewer: MayEdit, application_id: str, body: WithdrawalIn | None = None, key: Key = None
    ) -> Response:
        """The customer withdraws: 200 when it is done, 202 when review is asked to let go, 409 in
        plain words when it is too late."""
        reason = body.reason if body else ""

        def answer(app: Application) -> tuple[int, Any]:
            wish = app.withdrawal
            outcome = wish.outcome if wish else "withdrawn"
            told = WithdrawnOut(
                application_id=app.application_id,
                state=_state(app, viewer),
                withdrawal=outcome,
            )
            return (200 if app.state is State.WITHDRAWN else 202), told.model_dump(mode="json")

        async def run(remember: Remember | None) -> Application:
            return await desk.withdraw(viewer, application_id, reason, remember=remember)

        remember = _remember(desk, viewer, key, answer, "withdraw", application_id, reason)
        return await _once(run, remember, answer)


def _add_reading(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.get("/applications")
    async def api_list(
        viewer: MayView,
        branch: str | None = None,
        state: str | None = None,
        product: str | None = None,
        number: str | None = None,
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)] = 50,
    ) -> ListOut:
        """Applications of the caller's branches, the newest first."""
        wanted = store.Filter(
            branches=viewer.branch_list,
            branch=branch or None,
            states=states_shown_as(state, viewer) if state else None,
            product=product or None,
            number=number or None,
        )
        async with service.pool.acquire() as conn:
            rows, total = await store.list_applications(
                conn, wanted, page=page, page_size=page_size
            )
        return ListOut(
            applications=[row_out(row, viewer) for row in rows],
            total=total,
            page=page,
            page_size=page_size,
        )

    @routes.get("/applications/{application_id}")
    async def api_application(viewer: MayView, application_id: str) -> ApplicationOut:
        """One application; personal fields masked."""
        app = await desk.look(viewer, application_id)
        lines = await desk.checklist(app)
        return application_out(app, lines, await desk.masked(app), viewer)

    @routes.get("/applications/{application_id}/checklist")
    async def api_checklist(viewer: MayView, application_id: str) -> list[LineOut]:
        """Every paper and signature: done, or what is wrong with it."""
        app = await desk.look(viewer, application_id)
        return [line_out(line) for line in await desk.checklist(app)]

    @routes.post("/searches")
    async def api_search(viewer: MayView, body: SearchIn) -> list[RowOut]:
        """Applications with exactly this mobile or ID number; every search is recorded."""
        rows = await desk.search(viewer, mobile=body.mobile, id_number=body.id_number)
        return [row_out(row, viewer) for row in rows]


def _add_many(routes: APIRouter, service: Service, desk: Desk) -> None:
    @routes.post("/batches")
    async def api_batch(
        viewer: MayCreate,
        file: Annotated[UploadFile, File()],
        branch: Annotated[str, Form(pattern=r"^\d{4}$")],
    ) -> batches.BatchOut:
        """A branch's table of applications, CSV or Excel. Each row by itself: a wrong one stops no
        other. The same file again gets the same answer."""
        return await batches.take(desk, viewer, await _read(file, LARGEST_BATCH), branch)

    @routes.get("/batches/template.{kind}", dependencies=[requires(Permission.APPLICATION_CREATE)])
    async def api_template(kind: str, language: str = "zh") -> Response:
        """An empty table with the columns, as csv or xlsx."""
        if kind not in _TEMPLATES:
            raise Problem(404, "not-found", "There is a template as csv and as xlsx")
        return Response(
            template("csv" if kind == "csv" else "xlsx", language),
            media_type=_TEMPLATES[kind],
            headers={"Content-Disposition": f'attachment; filename="applications.{kind}"'},
        )

    @routes.post("/imports")
    async def api_import(
        viewer: MayImport, body: imports.ImportIn, key: Key = None
    ) -> imports.ImportOut:
        """Applications from another system, in the state and with the dates that they had there;
        nobody is told, no alarm is raised."""
        return await imports.take(desk, viewer, body.applications, key)

    @routes.get("/reconciliation", dependencies=[requires(Permission.APPLICATION_VIEW, Scope.ALL)])
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


_TEMPLATES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


# --- idempotency -------------------------------------------------------------------------------


def _remember(
    desk: Desk,
    viewer: Viewer,
    key: str | None,
    answer: Callable[[Any], tuple[int, Any]],
    *asked: str | bytes,
) -> Remember | None:
    return Remember(viewer.actor, key, desk.digest(*asked), answer) if key else None


async def _once(
    run: Callable[[Remember | None], Awaitable[T]],
    remember: Remember | None,
    answer: Callable[[T], tuple[int, Any]],
) -> Response:
    """Do it, or give the answer that the same request got before."""
    try:
        status, body = answer(await run(remember))
    except Repeated as before:
        status, body = before.answer.status, before.answer.body
    media_type = "application/json" if status < 400 else MEDIA_TYPE
    return JSONResponse(body, status_code=status, media_type=media_type)


async def _read(file: UploadFile, most: int) -> bytes:
    content = await file.read(most + 1)
    if len(content) > most:
        raise Problem(413, "too-large", f"A file has at most {most // (1024 * 1024)} MB")
    return content


# --- what is shown -----------------------------------------------------------------------------


def _state(app: Application, viewer: Viewer) -> str:
    assert app.state is not None  # whoever shows it has found it
    return shown_state(app.state.value, viewer)


def line_out(line: Line) -> LineOut:
    """A line of the checklist."""
    return LineOut(
        item=line.item,
        need=line.need,
        group=line.group,
        done=line.done,
        reasons=[{"code": code, "field": name} for code, name in line.reasons],
        documents=list(line.documents),
    )


def begun_out(begun: Begun, viewer: Viewer) -> dict[str, Any]:
    """A new or changed application as JSON."""
    app = begun.application
    told = BegunOut(
        application_id=app.application_id,
        application_number=app.need_scope().application_number,
        state=_state(app, viewer),
        checklist=[line_out(line) for line in begun.lines],
    )
    return told.model_dump(mode="json")


def filed_out(filed: Filed, viewer: Viewer) -> dict[str, Any]:
    """A paper as JSON."""
    document = filed.document
    told = FiledOut(
        document_id=document.document_id,
        document_number=document.document_number,
        item=document.item,
        sha256=document.sha256,
        media_type=document.media_type,
        size=document.size,
        checklist=[line_out(line) for line in filed.lines],
        state=_state(filed.application, viewer),
    )
    return told.model_dump(mode="json")


def row_out(row: store.Row, viewer: Viewer) -> RowOut:
    """A line of a list."""
    return RowOut(
        application_id=row.application_id,
        application_number=row.application_number,
        state=shown_state(row.state, viewer),
        state_since=shown_since(row.state, row.state_since, viewer),
        branch=row.branch,
        region=row.region,
        channel=row.channel,
        product=row.product,
        applicant_type=row.applicant_type,
        created_at=row.created_at,
        submitted_at=row.submitted_at,
        material_deadline=row.material_deadline,
        imported=row.imported,
    )


def application_out(
    app: Application, lines: list[Line], masked: dict[str, dict[str, str]], viewer: Viewer
) -> ApplicationOut:
    """An application in full."""
    scope, wish, card = app.need_scope(), app.withdrawal, app.card
    return ApplicationOut(
        application_id=app.application_id,
        application_number=scope.application_number,
        state=_state(app, viewer),
        state_version=shown_version(app.state_version, viewer),
        state_since=shown_since(str(app.state), app.state_since, viewer),
        branch=scope.branch,
        region=scope.region,
        channel=scope.channel,
        product=scope.product,
        product_version=scope.product_version,
        applicant_type=scope.applicant_type,
        created_at=app.created_at,
        submitted_at=app.submitted_at,
        requested_limit=app.requested_limit,
        reopens=app.reopens,
        consent=app.consent is not None,
        parties=[
            PartyOut(role=party.role.value, fields=masked.get(party.party_id, {}))
            for party in app.parties
        ],
        checklist=[line_out(line) for line in lines],
        wanted=[json.loads(item.model_dump_json()) for item in app.wanted],
        deadline=app.material_deadline,
        warnings=app.warnings,
        documents=[
            DocumentOut(
                document_id=one.document_id,
                document_number=one.document_number,
                item=one.item,
                sha256=one.sha256,
                media_type=one.media_type,
                size=one.size,
                received_at=one.received_at,
                issued_on=one.issued_on,
            )
            for one in app.documents
        ],
        withdrawal=WithdrawalOut(at=wish.at, outcome=wish.outcome, why=wish.why) if wish else None,
        limit=app.limit,
        reapply_from=app.reapply_from,
        card=CardOut(
            card_id=card.card_id, limit=card.limit, ordered_at=card.ordered_at, facts=card.facts
        )
        if card
        else None,
        imported=app.imported,
    )
