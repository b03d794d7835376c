"""The page on which somebody reads an ID card with a machine's suggestions beside it.

Nothing that the machine read counts: it is held against the form, field by field, and whoever reads
the card takes over what is right. What counts is what they send, as `services.intake.readings`
keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.intake import application as applications
from services.intake import store, store_reading, words
from services.intake.application import Application
from services.intake.desk import Desk, masked_field
from services.intake.form import PartyForm
from services.intake.idcard import FIELDS, CardReading
from services.intake.papers import Papers, Shown
from services.intake.reader import KEPT
from services.intake.rules import READABLE, mismatch, person_of
from shared.messaging import Service
from shared.parameters import load_papers
from shared.privacy.vault import KeyUnavailableError
from shared.web import Permission, Problem, Viewer, page, requires
from shared.web.audit import record_view

_MAY_READ = requires(Permission.MATERIAL_RECEIVE, Permission.MATERIAL_VIEW)

Part = tuple[str, bool]  # characters, and whether the other text has others in their place


@dataclass(frozen=True, slots=True)
class Row:
    """A field of a card. `said`: what the machine suggests, `written`: what the form says, each in
    parts; None where there is nothing. `value`: what the reader's own field holds; None where the
    form has no such field, so that it is shown and not read. `differs` None: not to be compared."""

    name: str
    value: str | None
    suggestion: str | None
    said: list[Part] | None
    written: list[Part] | None
    differs: bool | None
    percent: int
    sure: bool
    doubts: tuple[str, ...]


_ON_FORM = frozenset(READABLE) - {"birth_date"}
"""What of a card is held against the form: of who has one no form asks for the day of birth, which
the number tells."""


def rows_of(
    reading: CardReading,
    suggested: Mapping[str, str],
    written: Mapping[str, str],
    differing: Iterable[str],
    values: Mapping[str, str],
    *,
    clear: bool,
) -> list[Row]:
    """The fields of a card's side, as the page has them. What the form says is masked; where the
    card says otherwise, and the viewer may know it (`clear`), it is not."""
    sure, differing = load_papers().cards.sure, set(differing)
    rows = []
    for name in FIELDS[reading.side]:
        if name not in KEPT:
            continue
        said, form = suggested.get(name), written.get(name)
        confidence, doubts = reading.told.get(name, (0.0, ()))
        differs = name in differing if said and form and name in _ON_FORM else None
        parts = compared(form, said) if differs and clear and said and form else None
        shown = None if form is None else masked_field(name, form)
        rows.append(
            Row(
                name=name,
                value=values.get(name, "") if name in _ON_FORM else None,
                suggestion=said,
                said=parts[1]
                if parts
                else [(words.card_value(name, said), False)]
                if said
                else None,
                written=parts[0] if parts else [(shown, False)] if shown else None,
                differs=differs,
                percent=int(100 * confidence),
                sure=reading.is_sure(name, sure),
                doubts=doubts,
            )
        )
    return rows


def compared(one: str, other: str) -> tuple[list[Part], list[Part]]:
    """Two texts in parts that are the same, and such that are not."""
    first: list[Part] = []
    second: list[Part] = []
    for what, begin, end, from_, to in SequenceMatcher(None, one, other, False).get_opcodes():
        first.append((one[begin:end], what != "equal"))
        second.append((other[from_:to], what != "equal"))
    return [part for part in first if part[0]], [part for part in second if part[0]]


async def of_papers(conn: Any, papers: Iterable[str]) -> dict[str, CardReading]:
    """How far the machine came with an application's cards."""
    return await store_reading.card_readings(conn, list(papers))


def router(service: Service, desk: Desk, papers: Papers) -> APIRouter:
    """The page of one service instance."""
    routes = APIRouter(
        prefix="/intake/applications/{application_id}/documents/{document_id}",
        include_in_schema=False,
    )

    @routes.get("/reading")
    async def page_reading(
        request: Request,
        application_id: str,
        document_id: str,
        viewer: Annotated[Viewer, _MAY_READ],
    ) -> Response:
        """The card, the machine's suggestions, the form; the viewer's own fields hold what somebody
        read on it last."""
        return await _shown(request, viewer, application_id, document_id, {}, "")

    @routes.post("/reading")
    async def take_over(
        request: Request,
        application_id: str,
        document_id: str,
        viewer: Annotated[Viewer, _MAY_READ],
    ) -> Response:
        """The same page with one suggestion in the viewer's field: nothing is kept by it. Where the
        browser runs the page's script, it does this itself."""
        sent = await request.form()
        values = {name: str(sent.get(name, ""))[:200] for name in _ON_FORM if name in sent}
        taken = str(sent.get("take", ""))
        return await _shown(request, viewer, application_id, document_id, values, taken)

    async def _shown(
        request: Request,
        viewer: Viewer,
        application_id: str,
        document_id: str,
        values: Mapping[str, str],
        taken: str,
    ) -> Response:
        app, paper, reading = await _find(viewer, application_id, document_id)
        may_compare = viewer.may_in(Permission.PERSONAL_REVEAL, app.need_scope().branch)
        suggested = await _opened(document_id, reading.says)
        written, differing = await _form(app, paper.document.item, suggested)
        # recorded before it is shown: the card as a machine read it, and what the form says instead
        async with service.transaction(actor=viewer.actor) as tx:
            await record_view(tx.conn, application_id, viewer.staff_id, "card", tx.now)
            if written and may_compare:
                for field in differing:
                    await record_view(
                        tx.conn,
                        application_id,
                        viewer.staff_id,
                        "field",
                        tx.now,
                        field=(written.role.value, field),
                        why="compare",
                    )
            before = (await store.readings_of(tx.conn, application_id)).get(document_id, {})
        kept = await _opened(document_id, before)
        values = {**kept, **values}
        if taken in suggested and taken in _ON_FORM:
            values = {**values, taken: suggested[taken]}
        response = page(
            request,
            "reading.html",
            app=app,
            shown=paper,
            document=paper.document,
            reading=reading,
            rows=rows_of(
                reading,
                suggested,
                written.fields() if written else {},
                differing,
                values,
                clear=may_compare,
            ),
            erased=reading.state == "read" and bool(reading.says) and not suggested,
            taken=taken,
            can_read=applications.before_hand_over(app),
            words=words,
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _find(
        viewer: Viewer, application_id: str, document_id: str
    ) -> tuple[Application, Shown, CardReading]:
        """Raises Problem 404 where the viewer may not see the card, or no machine reads it."""
        app, paper = await papers.find(viewer, application_id, document_id)
        async with service.pool.acquire() as conn:
            found = await store_reading.card_readings(conn, [document_id])
        if document_id not in found:
            raise Problem(404, "not-found", "There is no such paper")
        return app, paper, found[document_id]

    async def _opened(document_id: str, sealed: Mapping[str, str]) -> Mapping[str, str]:
        if not sealed:
            return {}
        return (await desk.open_readings({document_id: sealed}))[document_id]

    async def _form(
        app: Application, item: str, suggested: Mapping[str, str]
    ) -> tuple[PartyForm | None, list[str]]:
        """(whose card it is as the form has them, the fields in which the card says otherwise)."""
        try:
            person = person_of(item, await desk.open_form(app))
        except KeyUnavailableError:
            return None, []
        return person, [
            name
            for name, said in suggested.items()
            if name in _ON_FORM and mismatch(name, said, person) is not None
        ]

    return routes
