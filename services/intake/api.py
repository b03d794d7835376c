"""The JSON API for channels and for people's programs. Personal fields go in, and come out masked;
never in an address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Response, UploadFile

from services.intake import api_limits, api_many, api_tables, api_token, store_lists
from services.intake.api_examples import (
    APPLICATION,
    CORRECTION,
    DOCUMENT,
    DRAFT,
    DRAFT_ANSWER,
    SEARCH,
    WITHDRAWAL,
)
from services.intake.api_models import (
    ApplicationIn,
    ApplicationOut,
    BegunOut,
    FiledOut,
    LineOut,
    ListOut,
    RowOut,
    SearchIn,
    WithdrawalIn,
    WithdrawnOut,
    application_out,
    begun_out,
    filed_out,
    line_out,
    row_out,
    state_out,
)
from services.intake.api_once import IfMatch, Key, etag, expected, once
from services.intake.api_problems import NO_PAPER
from services.intake.application import Application, ApplicationError
from services.intake.desk import Begun, Desk, Filed, Remember, problem_of
from services.intake.form import FormCorrection
from services.intake.tables import Tables
from services.intake.viewing import states_shown_as
from shared.events.lifecycle import State
from shared.messaging import Service
from shared.parameters import load_papers
from shared.web import FieldError, Permission, Problem, Viewer, public, requires
from shared.web.openapi import about

PAGE_SIZE_MAX = 200

MayView = Annotated[Viewer, requires(Permission.APPLICATION_VIEW)]
MayCreate = Annotated[Viewer, requires(Permission.APPLICATION_CREATE)]
MayEdit = Annotated[Viewer, requires(Permission.APPLICATION_EDIT)]
MayReceive = Annotated[Viewer, requires(Permission.MATERIAL_RECEIVE)]

_CHANGED = ("not-found", "erased", "changed-meanwhile", "key-reused", "calendar-ends")


def router(
    service: Service, desk: Desk, tables: Tables, public_jwks: Callable[[], dict[str, Any]]
) -> APIRouter:
    """The API of one service instance; every answer is narrowed to the caller's branches, and to
    what the caller began where it is a program that sees its own alone."""
    routes = APIRouter(prefix="/intake/api/v1", tags=["intake"])
    _add_begin(routes, desk)
    _add_changes(routes, desk)
    _add_reading(routes, service, desk)
    api_limits.add(routes, desk)
    api_many.add(routes, service, desk)
    api_tables.add(routes, tables)
    api_token.add(routes)

    @routes.get("/keys", dependencies=[public("partners encrypt to this public key")])
    async def api_keys() -> dict[str, Any]:
        """The office's public keys (JWK set) to which partners encrypt personal data."""
        return public_jwks()

    return routes


def _add_begin(routes: APIRouter, desk: Desk) -> None:
    @routes.post(
        "/applications",
        status_code=201,
        response_model=BegunOut,
        openapi_extra=about(
            *("unknown-branch", "unknown-application", "too-late", "other-person", "other-channel"),
            *("not-acceptable", "erased", "key-reused", "calendar-ends"),
            example=APPLICATION,
            revised=True,
        ),
    )
    async def api_create(viewer: MayCreate, body: ApplicationIn, key: Key = None) -> Response:
        """Begin an application; with `submit` it is handed in in the same step. 422
        `not-acceptable` where the office cannot take it: it stays a draft, named in the answer."""

        async def run(remember: Remember | None) -> Begun:
            if viewer.channel is not None and body.channel != viewer.channel:
                raise Problem(
                    422,
                    "other-channel",
                    "A channel hands in applications under its own name alone",
                    errors=[FieldError("/channel", "other-channel")],
                )
            return await desk.create(viewer, body, submit=body.submit, remember=remember)

        asked = ("create", body.model_dump_json())
        return await once(desk, viewer, key, asked, run, lambda begun: _begun(begun, viewer, 201))

    @routes.post(
        "/applications/{application_id}/submit",
        response_model=BegunOut,
        openapi_extra=about(
            *(*_CHANGED, "already-submitted", "other-person", "not-acceptable", "if-match-needed"),
            revised=True,
        ),
    )
    async def api_submit(
        viewer: MayCreate, application_id: str, key: Key = None, if_match: IfMatch = None
    ) -> Response:
        """Hand the application in; it is pre-checked at once."""
        expect = expected(viewer, if_match)

        def answer(begun: Begun) -> tuple[int, Any]:
            return 200, begun_out(begun, viewer)

        async def run(remember: Remember | None) -> Begun:
            return await desk.submit(viewer, application_id, expect=expect, remember=remember)

        return await once(desk, viewer, key, ("submit", application_id), run, answer)


def _begun(begun: Begun, viewer: Viewer, status: int) -> tuple[int, Any]:
    """The answer where a form was kept; 422 where it was to be handed in and stays a draft."""
    told = begun_out(begun, viewer)
    if not begun.refused:
        return status, told
    error = ApplicationError(
        "not-acceptable", "The office cannot take this application", begun.refused
    )
    return 422, {**problem_of(error).as_json(), **told}


def _add_changes(routes: APIRouter, desk: Desk) -> None:
    @routes.put(
        "/applications/{application_id}",
        response_model=BegunOut,
        openapi_extra=about(
            *(*_CHANGED, "no-draft", "others-draft", "differs-from-draft"),
            *("unknown-application", "too-late", "other-person"),
            *("not-acceptable", "if-match-needed"),
            example=DRAFT,
            revised=True,
        ),
    )
    async def api_replace(
        viewer: MayEdit,
        application_id: str,
        body: ApplicationIn,
        key: Key = None,
        if_match: IfMatch = None,
    ) -> Response:
        """Save a draft as a whole: the form takes the place of what stood there, and what it does
        not name is gone. Branch and channel stay. With `submit` it is handed in as well, as in
        `POST /applications`. 403 `others-draft` where a member of staff has it, or, for a member of
        staff, anybody else: it is taken over on its page."""
        expect = expected(viewer, if_match)

        async def run(remember: Remember | None) -> Begun:
            if body.submit and not viewer.may_in(Permission.APPLICATION_CREATE, body.branch):
                raise Problem(403, "not-permitted", "Handing in needs the permission to begin, too")
            return await desk.replace_draft(
                viewer,
                application_id,
                body,
                submit=body.submit,
                expect=expect,
                remember=remember,
            )

        asked = ("replace", application_id, body.model_dump_json())
        return await once(desk, viewer, key, asked, run, lambda begun: _begun(begun, viewer, 200))

    @routes.patch(
        "/applications/{application_id}",
        response_model=BegunOut,
        openapi_extra=about(
            *(*_CHANGED, "not-open", "if-match-needed"), example=CORRECTION, revised=True
        ),
    )
    async def api_correct(
        viewer: MayEdit,
        application_id: str,
        body: FormCorrection,
        key: Key = None,
        if_match: IfMatch = None,
    ) -> Response:
        """Correct fields of a draft, or while material is awaited."""
        expect = expected(viewer, if_match)

        def answer(begun: Begun) -> tuple[int, Any]:
            return 200, begun_out(begun, viewer)

        async def run(remember: Remember | None) -> Begun:
            return await desk.correct(
                viewer, application_id, body, expect=expect, remember=remember
            )

        asked = ("correct", application_id, body.model_dump_json())
        return await once(desk, viewer, key, asked, run, answer)

    @routes.post(
        "/applications/{application_id}/documents",
        status_code=201,
        response_model=FiledOut,
        openapi_extra=about(
            *(*_CHANGED, "already-ended", "too-many-papers", "unknown-item", "issued-in-future"),
            *NO_PAPER,
            example=DOCUMENT,
            media_type="multipart/form-data",
            revised=True,
        ),
    )
    async def api_receive(
        viewer: MayReceive,
        application_id: str,
        item: Annotated[str, Form(max_length=60)],
        file: Annotated[UploadFile, File()],
        issued_on: Annotated[date | None, Form()] = None,
        key: Key = None,
        if_match: IfMatch = None,
    ) -> Response:
        """Hand in a paper: PDF, JPEG or PNG by its content. If-Match is never demanded here: a
        paper overwrites nothing, and several may be sent side by side."""
        expect = expected(viewer, if_match, needed=False)
        # more is refused by the desk
        content = await file.read(load_papers().largest_bytes + 1)

        def answer(filed: Filed) -> tuple[int, Any]:
            return 201, filed_out(filed, viewer)

        async def run(remember: Remember | None) -> Filed:
            return await desk.receive(
                viewer, application_id, item, content, issued_on, expect=expect, remember=remember
            )

        asked = ("receive", application_id, item, str(issued_on), content)
        return await once(desk, viewer, key, asked, run, answer)

    @routes.post(
        "/applications/{application_id}/withdraw",
        response_model=WithdrawnOut,
        responses={202: {"model": WithdrawnOut, "description": "Review is asked to let it go"}},
        openapi_extra=about(
            *(*_CHANGED, "already-ended", "card-ordered", "if-match-needed"),
            example=WITHDRAWAL,
            revised=True,
        ),
    )
    async def api_withdraw(
        viewer: MayEdit,
        application_id: str,
        body: WithdrawalIn | None = None,
        key: Key = None,
        if_match: IfMatch = None,
    ) -> Response:
        """The customer withdraws: 200 when it is done, 202 when review is asked to let go, 409 in
        plain words when it is too late."""
        expect = expected(viewer, if_match)
        reason = body.reason if body else ""

        def answer(app: Application) -> tuple[int, Any]:
            wish = app.withdrawal
            outcome = wish.outcome if wish else "withdrawn"
            told = WithdrawnOut(
                application_id=app.application_id,
                state=state_out(app, viewer),
                withdrawal=outcome,
                revision=app.revision,
            )
            return (200 if app.state is State.WITHDRAWN else 202), told.model_dump(mode="json")

        async def run(remember: Remember | None) -> Application:
            return await desk.withdraw(
                viewer, application_id, reason, expect=expect, remember=remember
            )

        asked = ("withdraw", application_id, reason)
        return await once(desk, viewer, key, asked, run, answer)


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
        """Applications that the caller may see, the newest first."""
        states = states_shown_as(state, viewer) if state else list(State)
        branches = viewer.branch_list
        if branch:
            branches = [branch] if viewer.sees(branch) else []
        wanted = store_lists.Wanted(branches, [State(one) for one in states], product=product or "")
        async with service.pool.acquire() as conn:
            rows, total = await store_lists.numbered_page(
                conn,
                wanted,
                client=viewer.own_client,
                number=number or None,
                page=page,
                page_size=page_size,
            )
        return ListOut(
            applications=[row_out(row, viewer) for row in rows],
            total=total,
            page=page,
            page_size=page_size,
        )

    @routes.get(
        "/applications/{application_id}",
        openapi_extra=about("not-found", answer=DRAFT_ANSWER, revised=True),
    )
    async def api_application(
        viewer: MayView, application_id: str, response: Response
    ) -> ApplicationOut:
        """One application; personal fields masked: `parties[].fields` has those that are set, and
        `checklist[].reasons` names each that is wanted. Its ETag names the revision, which changes
        with whatever is done here, not with the steps of review: state and dates may move under
        it."""
        app = await desk.look(viewer, application_id)
        response.headers["ETag"] = etag(app.revision)
        lines = await desk.checklist(app)
        return application_out(app, lines, await desk.masked(app), viewer)

    @routes.get(
        "/applications/{application_id}/checklist",
        openapi_extra=about("not-found", revised=True),
    )
    async def api_checklist(
        viewer: MayView, application_id: str, response: Response
    ) -> list[LineOut]:
        """Every paper and signature: done, or what is wrong with it."""
        app = await desk.look(viewer, application_id)
        response.headers["ETag"] = etag(app.revision)
        return [line_out(line) for line in await desk.checklist(app)]

    @routes.post("/searches", openapi_extra=about(example=SEARCH))
    async def api_search(viewer: MayView, body: SearchIn) -> list[RowOut]:
        """Applications with exactly this mobile, ID number or name, at most 200 of them, the newest
        first; every search is recorded."""
        found = await desk.search(viewer, mobile=body.mobile, id_number=body.number, name=body.name)
        return [row_out(row, viewer) for row in found.rows]
