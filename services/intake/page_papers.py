"""The pages of papers: a paper page by page, its original, the register of who used it."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.intake import words
from services.intake.papers import Papers
from shared.messaging import Service
from shared.web import Permission, Viewer, page, redirect, requires
from shared.web.directory import staff_names
from shared.web.i18n import _
from shared.web.limits import RowNumber
from shared.web.pages import asks_within, last_page, page_number

REGISTER_SIZE = 50  # lines of a page

_MAY_LOOK = requires(Permission.MATERIAL_VIEW)
_MAY_PREPARE = requires(Permission.MATERIAL_RECEIVE)
_MAY_TAKE = requires(Permission.ORIGINAL_TAKE)
_ENDINGS = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}
_CASE = "/applications/{application_id}"
_PAPER = _CASE + "/documents/{document_id}"


def router(service: Service, papers: Papers) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)

    @routes.get(_PAPER)
    async def page_paper(
        request: Request,
        application_id: str,
        document_id: str,
        viewer: Annotated[Viewer, _MAY_LOOK],
    ) -> Response:
        """A paper, one page at a time; for a place of another page without the frame around it."""
        within = asks_within(request)
        app, shown = await papers.find(viewer, application_id, document_id)
        branch = app.need_scope().branch
        most = shown.preview.pages if shown.preview is not None else 0
        return page(
            request,
            "paper_page.html" if within else "paper.html",
            within=within,
            app=app,
            shown=shown,
            document=shown.document,
            number=min(page_number(request), most),
            can={
                "original": viewer.may_in(Permission.ORIGINAL_TAKE, branch),
                "prepare": viewer.may_in(Permission.MATERIAL_RECEIVE, branch),
            },
            words=words,
        )

    @routes.get(_PAPER + "/pages/{number}")
    async def page_image(
        application_id: str,
        document_id: str,
        number: RowNumber,
        viewer: Annotated[Viewer, _MAY_LOOK],
    ) -> Response:
        """A page as a picture, with who looks at it."""
        return _picture(await papers.page(viewer, application_id, document_id, number))

    @routes.get(_PAPER + "/thumbnail")
    async def thumbnail(
        application_id: str, document_id: str, viewer: Annotated[Viewer, _MAY_LOOK]
    ) -> Response:
        """The first page in small."""
        return _picture(await papers.thumbnail(viewer, application_id, document_id))

    @routes.post(_PAPER + "/original")
    async def original(
        application_id: str,
        document_id: str,
        reason: Annotated[str, Form(min_length=4, max_length=300)],
        viewer: Annotated[Viewer, _MAY_TAKE],
    ) -> Response:
        """The file itself, to be kept and not to be shown: whoever takes it is recorded."""
        document, content = await papers.original(viewer, application_id, document_id, reason)
        name = f"{document.document_number}.{_ENDINGS[document.media_type]}"
        return Response(
            content,
            media_type=document.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
                # what a customer uploaded runs nothing, whatever it holds
                "Content-Security-Policy": "sandbox; default-src 'none'",
            },
        )

    @routes.post(_PAPER + "/prepare")
    async def prepare(
        request: Request,
        application_id: str,
        document_id: str,
        viewer: Annotated[Viewer, _MAY_PREPARE],
    ) -> Response:
        """Have the pages prepared anew."""
        await papers.prepare_again(viewer, application_id, document_id)
        return redirect(
            request,
            f"/intake/applications/{application_id}/documents/{document_id}",
            flash=_("The pages are being prepared."),
        )

    @routes.get(_CASE + "/register")
    async def page_register(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_LOOK]
    ) -> Response:
        """Entry, use and end of every paper of the application, page by page."""
        app, lines = await papers.register(viewer, application_id)
        number = min(page_number(request), last_page(len(lines), REGISTER_SIZE))
        shown = lines[(number - 1) * REGISTER_SIZE : number * REGISTER_SIZE]
        async with service.pool.acquire() as conn:
            staff = await staff_names(conn, words.staff_in(one.who for one in shown))
        response = page(
            request,
            "register.html",
            app=app,
            lines=shown,
            staff=staff,
            page_number=number,
            page_size=REGISTER_SIZE,
            total=len(lines),
            words=words,
        )
        response.headers["Cache-Control"] = "no-store"  # the reasons are somebody's words
        return response

    return routes


def _picture(content: bytes) -> Response:
    return Response(
        content,
        media_type="image/jpeg",
        headers={
            # made for this viewer and this moment
            "Cache-Control": "no-store",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )
