"""The assistant's form: a new application at the counter, a draft that is gone on with, and what is
said of each field while it is filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, Response

from services.intake import application as applications
from services.intake import store, words
from services.intake.application import Application, product_for
from services.intake.counter import Looked, asked_of_others, look_at, papers
from services.intake.desk import Desk
from services.intake.pages import after, done_since, sent_fields
from services.intake.pages_precheck import Revision, expected
from services.intake.typed import PREFIXES, Kept, Read, read_in_part, typed
from shared.calendar import business_day
from shared.events.payload import FIELD_CLASSES
from shared.messaging import Service
from shared.parameters import load_products
from shared.web import Permission, Problem, Viewer, page, redirect, requires
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _, current_language
from shared.web.limits import lenient
from shared.web.reveal import missing_reason

_MAY_CREATE = requires(Permission.APPLICATION_CREATE)
_MAY_RESUME = requires(Permission.APPLICATION_EDIT, Permission.PERSONAL_REVEAL)


@dataclass(frozen=True, slots=True)
class _Typing:
    """A form on its way: what was typed, what could be read of it, and what is said of it."""

    values: Mapping[str, str] = field(repr=False)
    read: Read = field(repr=False)
    looked: Looked | None = field(repr=False)

    def notes(self, *, missing: bool) -> dict[str, dict[str, str]]:
        """{field: {"tone", "words"}}; of fields that are needed and empty only where `missing`."""
        notes = {
            name: {"tone": one.tone, "words": words.field_words(one.codes)}
            for name, one in (self.looked.marks if self.looked else {}).items()
            if missing or one.tone != "missing"
        }
        faults = {
            name: {"tone": "bad", "words": words.fault(kind, name)}
            for name, kind in self.read.faults.items()
        }
        return {**notes, **faults}


def router(service: Service, desk: Desk) -> APIRouter:
    """The form of one service instance, narrowed to the viewer's branches."""
    routes = APIRouter(prefix="/intake", include_in_schema=False)
    counter = _Counter(service, desk)
    _new(routes, counter, desk)
    _draft(routes, counter, desk)
    return routes


def _new(routes: APIRouter, counter: _Counter, desk: Desk) -> None:
    """A new application."""

    @routes.get("/applications/new")
    async def page_new(
        request: Request,
        viewer: Annotated[Viewer, _MAY_CREATE],
        reopens: Annotated[str, Query(max_length=40, pattern=r"^[0-9a-f-]*$"), lenient("")] = "",
    ) -> Response:
        """An empty form. reopens: the application that it takes up again."""
        chosen = {"branch": viewer.home_branch or "", **_FIRST}
        if reopens:
            chosen["reopens"] = reopens
        return await counter.show(request, viewer, await counter.look(chosen), quiet=True)

    @routes.post("/applications/check", dependencies=[_MAY_CREATE])
    async def check(request: Request) -> Response:
        """What is to be said of the form as it stands; nothing of it is kept or logged."""
        sent = await sent_fields(request)
        asked = sent.pop("field", "")
        typing = await counter.look(sent)
        return counter.told(request, typing, asked)

    @routes.post("/applications")
    async def create(request: Request, viewer: Annotated[Viewer, _MAY_CREATE]) -> Response:
        """Keep the form as a draft, or hand it in at once."""
        sent = await sent_fields(request)
        typing = await counter.look(sent)
        if sent.get("then") == "check":
            return await counter.show(request, viewer, typing)
        if typing.read.form is None or typing.read.faults:
            return await counter.show(request, viewer, typing, status_code=422)
        try:
            begun = await desk.create(viewer, typing.read.form, submit=sent.get("then") == "submit")
        except Problem as problem:
            if problem.code == "unknown-branch":
                typing.read.faults["branch"] = problem.code
            elif problem.code == "other-person":
                holder = PREFIXES[typing.read.form.holder.role]
                typing.read.faults[f"{holder}id_number"] = problem.code
            else:
                raise
            return await counter.show(request, viewer, typing, status_code=422)
        return after(request, begun)


def _draft(routes: APIRouter, counter: _Counter, desk: Desk) -> None:
    """A draft is gone on with."""

    @routes.get("/applications/{application_id}/form")
    async def page_draft(
        request: Request, application_id: str, viewer: Annotated[Viewer, _MAY_RESUME]
    ) -> Response:
        """The form as it was left, in clear, to whoever began it or took it over, which is
        recorded; anybody else is asked why they would."""
        try:
            app, form = await desk.resume(viewer, application_id)
        except Problem as problem:
            if problem.code == "others-draft":
                return await counter.ask_why(request, viewer, application_id)
            return _no_draft(request, application_id, problem)
        typing = await counter.look(typed(form), app)
        return await counter.show(request, viewer, typing, app=app)

    @routes.post("/applications/{application_id}/take-over")
    async def take_over(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_RESUME],
        why: Annotated[str, Form(max_length=20)] = "",
        text: Annotated[str, Form(max_length=300)] = "",
    ) -> Response:
        """The draft is the viewer's from now on, for a reason that the audit log keeps."""
        try:
            if error := missing_reason(why, text, words.TAKE_OVER_REASONS):
                return await counter.ask_why(request, viewer, application_id, why, error)
            await desk.take_over(viewer, application_id, why, text)
        except Problem as problem:
            return _no_draft(request, application_id, problem)
        return redirect(request, f"/intake/applications/{application_id}/form")

    @routes.post("/applications/{application_id}/form")
    async def save(
        request: Request,
        application_id: str,
        viewer: Annotated[Viewer, _MAY_RESUME],
        revision: Revision = None,
    ) -> Response:
        """Save the draft as it stands now, or hand it in."""
        sent = await sent_fields(request)
        app = await desk.look(viewer, application_id)
        typing = await counter.look(sent, app)
        if sent.get("then") == "check":
            return await counter.show(request, viewer, typing, app=app, revision=revision)
        if typing.read.form is None or typing.read.faults:
            return await counter.show(
                request, viewer, typing, app=app, revision=revision, status_code=422
            )
        try:
            begun = await desk.replace_draft(
                viewer,
                application_id,
                typing.read.form,
                submit=sent.get("then") == "submit",
                expect=expected(revision),
            )
        except Problem as problem:
            if problem.code in ("changed-meanwhile", "others-draft", "no-draft"):
                return await counter.unsaved(request, viewer, app, typing, revision, problem)
            if problem.code == "other-person":
                holder = PREFIXES[typing.read.form.holder.role]
                typing.read.faults[f"{holder}id_number"] = problem.code
                return await counter.show(
                    request, viewer, typing, app=app, revision=revision, status_code=422
                )
            return _no_draft(request, application_id, problem)
        return after(request, begun)


class _Counter:
    """The form as a page and as an answer to what is typed."""

    def __init__(self, service: Service, desk: Desk) -> None:
        self._service = service
        self._desk = desk

    async def look(self, sent: Mapping[str, str], app: Application | None = None) -> _Typing:
        """What can be said of the form. app: the draft whose form it is."""
        now = self._service.clock.now()
        read = read_in_part(sent, now, None if app is None else _kept(app))
        looked = None
        if read.form is not None:
            region = await self._desk.region_of(read.form.branch)
            same = app is not None and app.need_scope().product == read.form.product
            began_with = product_for(app) if app is not None and same else None
            looked = look_at(read.form, business_day(now), region, began_with)
        return _Typing(sent, read, looked)

    def told(self, request: Request, typing: _Typing, asked: str) -> Response:
        """The answer to a form that is being filled in, for the page's script."""
        looked, notes = typing.looked, typing.notes(missing=True)
        empty = {name for name in notes if notes[name]["tone"] == "missing" and name != asked}
        shown = {name: note for name, note in notes.items() if name not in empty}
        if looked is None:
            return JSONResponse({"notes": shown})
        checklist = page(request, "new_checklist.html", **self._beside(typing))
        return JSONResponse(
            {
                "notes": shown,
                "needed": sorted(looked.needed),
                "elsewhere": sorted(looked.elsewhere),
                "persons": sorted(looked.persons),
                "says": {prefix: words.id_says(said) for prefix, said in looked.says.items()},
                "suggested": looked.suggested,
                "checklist": bytes(checklist.body).decode(),
            }
        )

    async def show(
        self,
        request: Request,
        viewer: Viewer,
        typing: _Typing,
        *,
        app: Application | None = None,
        revision: int | None = None,
        quiet: bool = False,
        status_code: int = 200,
        since: Sequence[Mapping[str, Any]] = (),
        has: tuple[str, datetime] | None = None,
    ) -> Response:
        """The page with the form. quiet: nobody has typed anything yet. since: lines of what
        somebody did meanwhile, has: who has the draft and since when, where it was not saved for
        that."""
        async with self._service.pool.acquire() as conn:
            branches = await branch_names(conn)
        looked = typing.looked
        suggested = looked.suggested if looked else {}
        return page(
            request,
            "new.html",
            status_code=status_code,
            values={**suggested, **typing.values},
            notes={} if quiet else typing.notes(missing=app is not None or status_code == 200),
            needed=looked.needed if looked else frozenset(),
            elsewhere=looked.elsewhere if looked else frozenset(),
            persons=looked.persons if looked else frozenset(),
            says={} if looked is None else {p: words.id_says(s) for p, s in looked.says.items()},
            others=[
                (PREFIXES[role], role.value, _fields_of(PREFIXES[role], names, typing.values))
                for role, names in asked_of_others().items()
            ],
            failed=status_code == 422,
            too_late=status_code == 412,
            handed_in=status_code == 409,
            since=since,
            has=has,
            app=app,
            revision=app.revision if app and revision is None else revision,
            branches=[(code, name) for code, name in branches.items() if viewer.sees(code)],
            branch_names=branches,
            products=[
                (code, one.names.in_language(current_language()))
                for code, one in load_products().items()
            ],
            **self._beside(typing),
        )

    async def unsaved(
        self,
        request: Request,
        viewer: Viewer,
        app: Application,
        typing: _Typing,
        revision: int | None,
        problem: Problem,
    ) -> Response:
        """The form as it was typed, where somebody else has the draft (403 `others-draft`), changed
        it since the revision that the form was about (412 `changed-meanwhile`) or handed it in (409
        `no-draft`). Sent once more it is about what there is now."""
        app = await self._desk.look(viewer, app.application_id)
        others = problem.code == "others-draft"
        async with self._service.pool.acquire() as conn:
            history = await store.history_of(conn, app.application_id)
            has = applications.who_has_draft(history) if others else None
            done, _judged = await done_since(conn, app, None if others else revision, office=False)
            named = [one.actor for one in (*done, *([has] if has else []))]
            staff = await staff_names(conn, words.staff_in(named))
        return await self.show(
            request,
            viewer,
            typing,
            app=app,
            status_code=problem.status,
            since=[words.happening(one, staff) for one in reversed(done)],
            has=(words.actor(has.actor, staff), has.at) if has else None,
        )

    async def ask_why(
        self, request: Request, viewer: Viewer, application_id: str, why: str = "", error: str = ""
    ) -> Response:
        """The page that asks why a draft is to be taken over. Raises Problem 409 `no-draft`."""
        app, has = await self._desk.draft(viewer, application_id)
        async with self._service.pool.acquire() as conn:
            staff = await staff_names(conn, [has.actor.removeprefix("staff:")])
        return page(
            request,
            "take_over.html",
            status_code=422 if error else 200,
            app=app,
            number=app.need_scope().application_number,
            has=words.actor(has.actor, staff),
            since=has.at,
            reasons=[(code, _(text)) for code, text in words.TAKE_OVER_REASONS.items()],
            why=why,
            error=error or None,
        )

    def _beside(self, typing: _Typing) -> dict[str, Any]:
        """What stands beside the form: what is open in it, and which papers will be wanted."""
        found = typing.looked.found if typing.looked else None
        asked, welcome = papers(found.needs) if found else ([], [])
        tones = [note["tone"] for note in typing.notes(missing=True).values()]
        return {
            "asked": asked,
            "welcome": welcome,
            "there": found.there if found else frozenset(),
            "refusals": found.refusals if found else (),
            "to_mend": tones.count("bad"),
            "to_fill": tones.count("missing"),
            "to_look": tones.count("warn"),
            "words": words,
        }


_FIRST = {"product": "standard", "applicant_type": "salaried"}


def _kept(app: Application) -> Kept:
    scope = app.need_scope()
    return Kept(scope.branch, scope.channel, app.consent, app.reopens)


def _fields_of(prefix: str, names: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The fields of a person that the form asks for, and whatever else was said of them."""
    more = [name for name in FIELD_CLASSES if name not in names and prefix + name in values]
    return [*names, *more]


def _no_draft(request: Request, application_id: str, problem: Problem) -> Response:
    """Back to the case: it was handed in meanwhile, or its data is gone."""
    if problem.status != 409:
        raise problem
    told = {
        "no-draft": _("It is no draft any more: fields are corrected here."),
        "erased": _("The customer's data was deleted or is restricted."),
    }
    return redirect(
        request,
        f"/intake/applications/{application_id}",
        flash=told.get(problem.code, _("That is not possible now.")),
        tone="warning",
    )
