"""What officers of the pre-check (初审) do: verdicts on items and cases, waivers of two people, and
the record that somebody saw the customer (三亲见). Each step locks the application, decides, saves
and publishes, as the desk's do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence
from datetime import datetime, timedelta

from services.intake import application as applications
from services.intake import precheck, store
from services.intake.application import Application, ApplicationError, product_for
from services.intake.desk import Desk, Step
from services.intake.items import Reason
from services.intake.precheck import Obstacle
from shared.events.intake import Meeting
from shared.events.lifecycle import State
from shared.messaging import Effect
from shared.parameters import load_checklist_items, load_return_codes
from shared.web import FieldError, Problem, Viewer

_LOOKED_AT = (State.PRE_CHECK, State.AWAITING_MATERIAL)
OLDEST_MEETING = timedelta(days=366)

Expect = Collection[int] | None  # the revisions that the officer may have looked at; None: any


class Officers:
    """Commands of the pre-check. Each raises Problem: 404 for an application or item that the
    viewer may not see, 403 for a machine and for the person who may not, 409 or 422 with a code
    where the application does not allow it. `expect`: as the desk's."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # -- one item ---------------------------------------------------------------------------------

    async def accept(
        self,
        viewer: Viewer,
        application_id: str,
        party: str,
        item: str,
        document_id: str | None = None,
        *,
        expect: Expect = None,
    ) -> Application:
        """It will do. `document_id`: the paper that was looked at; 409 `newer-paper` where
        another has come."""

        def act(app: Application, now: datetime, _remark: str | None) -> None:
            one = app.items.find(party, item)
            app.items.accept(one, viewer.actor, now, document_id=document_id)

        return await self._say(viewer, application_id, act, expect=expect)

    async def give_back(
        self,
        viewer: Viewer,
        application_id: str,
        party: str,
        item: str,
        codes: Sequence[str],
        remark: str = "",
        *,
        expect: Expect = None,
    ) -> Application:
        """It will not do, and why. 409 `item-accepted` for what was settled."""

        def act(app: Application, now: datetime, sealed: str | None) -> None:
            _know(codes, load_return_codes().codes, "unknown-code")
            one = app.items.find(party, item)
            app.items.give_back(one, codes, viewer.actor, now, remark=sealed)

        return await self._say(viewer, application_id, act, remark, expect=expect)

    async def ask(
        self,
        viewer: Viewer,
        application_id: str,
        item: str,
        codes: Sequence[str],
        why: str | None = None,
        remark: str = "",
        *,
        expect: Expect = None,
    ) -> Application:
        """The customer has to bring it. What was accepted is asked for again with a reason `why`
        alone, and that is counted: 409 `item-accepted` without one."""

        def act(app: Application, now: datetime, sealed: str | None) -> None:
            _know(codes, load_return_codes().codes, "unknown-code")
            _know([item], load_checklist_items().items, "unknown-item")
            if why is not None:
                _know([why], load_checklist_items().ask_again_reasons, "unknown-reason")
            reasons = [Reason(code) for code in codes]
            app.items.ask(item, reasons, viewer.actor, now, why=why, remark=sealed)

        return await self._say(viewer, application_id, act, remark, expect=expect)

    async def ask_waiver(
        self,
        viewer: Viewer,
        application_id: str,
        party: str,
        item: str,
        reason: str,
        remark: str = "",
        *,
        expect: Expect = None,
    ) -> Application:
        """The officer would do without it; a second person has to agree."""

        def act(app: Application, now: datetime, sealed: str | None) -> None:
            _know([reason], load_checklist_items().waiver_reasons, "unknown-reason")
            one = app.items.find(party, item)
            app.items.ask_waiver(one, reason, viewer.actor, now, remark=sealed)

        return await self._say(viewer, application_id, act, remark, expect=expect)

    async def answer_waiver(
        self,
        viewer: Viewer,
        application_id: str,
        party: str,
        item: str,
        agreed: bool,
        remark: str = "",
        *,
        expect: Expect = None,
    ) -> Application:
        """The second person agrees, or does not. 403 `same-person` for whoever asked."""

        def act(app: Application, now: datetime, sealed: str | None) -> None:
            one = app.items.find(party, item)
            app.items.answer_waiver(one, agreed, viewer.actor, now, remark=sealed)

        return await self._say(viewer, application_id, act, remark, expect=expect)

    # -- the case ---------------------------------------------------------------------------------

    async def pass_on(
        self, viewer: Viewer, application_id: str, *, expect: Expect = None
    ) -> Application:
        """The pre-check is passed. Raises Problem 422 `not-passable` with every obstacle."""
        _people_only(viewer)
        async with self._desk.changing(viewer, application_id, expect=expect) as step:
            app, now = step.app, step.now
            _in_pre_check(app)
            found = await self._desk.examine(step.conn, app, now)
            step.effects.extend(applications.settle(app, found.examination, now))
            obstacles = precheck.against_passing(
                app,
                product_for(app).pre_check,
                (*found.examination.refusals, *found.refusals),
                officer=viewer.actor,
                entered=await store.who_entered(step.conn, application_id),
            )
            if obstacles:
                raise obstacle_problem("not-passable", obstacles)
            applications.note_findings(app, found.examination)
            step.effects.extend(applications.hand_over(app, now, officer=viewer.actor))
        return app

    async def send_back(
        self, viewer: Viewer, application_id: str, *, expect: Expect = None
    ) -> Application:
        """The customer gets one list of everything that is open. Raises Problem 422
        `not-returnable` while something was not looked at, and where nothing is open."""
        _people_only(viewer)
        async with self._desk.changing(viewer, application_id, expect=expect) as step:
            app, now = step.app, step.now
            _in_pre_check(app)
            found = await self._desk.examine(step.conn, app, now)
            step.effects.extend(applications.settle(app, found.examination, now))
            obstacles = precheck.against_returning(app)
            items = applications.open_items(app, found.examination, found.refusals)
            if not items:
                obstacles.append(Obstacle("nothing-open"))
            if obstacles:
                raise obstacle_problem("not-returnable", obstacles)
            applications.note_findings(app, found.examination)
            app.note(now, viewer.actor, "sent_back")
            step.effects.extend(applications.request_material(app, items, now))
        return app

    async def record_meeting(
        self,
        viewer: Viewer,
        application_id: str,
        *,
        saw_person: bool,
        saw_original: bool,
        saw_signing: bool,
        at: datetime,
        evidence: Sequence[str],
        expect: Expect = None,
    ) -> Application:
        """The viewer saw the person, the original ID, the signing (三亲见); evidence: ids of papers
        of this application that show it. Raises Problem 422."""
        _people_only(viewer)
        async with self._desk.changing(viewer, application_id, expect=expect) as step:
            app, now = step.app, step.now
            if not (applications.before_hand_over(app) or app.state in applications.AFTER_PASS):
                raise ApplicationError("not-open", "The application was decided")
            papers = {document.document_id for document in app.documents}
            if not evidence or not papers.issuperset(evidence):
                raise Problem(
                    422,
                    "no-evidence",
                    "Name papers of this application that show it",
                    errors=[FieldError("/evidence", "no-evidence")],
                )
            if not now - OLDEST_MEETING < at <= now:
                raise Problem(
                    422,
                    "not-then",
                    "The meeting lies within the last year, and not ahead",
                    errors=[FieldError("/at", "not-then")],
                )
            app.meeting = Meeting(
                saw_person=saw_person,
                saw_original=saw_original,
                saw_signing=saw_signing,
                staff_id=viewer.staff_id,
                at=at,
                evidence=list(evidence),
            )
            app.note(
                now, viewer.actor, "meeting_recorded", meeting=app.meeting.model_dump(mode="json")
            )
            step.effects.extend(await self._go_on(step))
        return app

    async def record_contact(
        self, viewer: Viewer, application_id: str, *, expect: Expect = None
    ) -> Application:
        """The viewer spoke with the customer, whose case lies with review."""
        _people_only(viewer)
        async with self._desk.changing(viewer, application_id, expect=expect) as step:
            applications.record_contact(step.app, viewer.actor, step.now)
        return step.app

    # -- inside -----------------------------------------------------------------------------------

    async def _say(
        self,
        viewer: Viewer,
        application_id: str,
        act: Callable[[Application, datetime, str | None], None],
        remark: str = "",
        *,
        expect: Expect,
    ) -> Application:
        _people_only(viewer)
        async with self._desk.changing(viewer, application_id, expect=expect) as step:
            app, now = step.app, step.now
            if app.state not in _LOOKED_AT:
                raise ApplicationError("not-in-pre-check", "The application is not in pre-check")
            if app.never_settled:
                step.effects.extend(await self._desk.recheck(step.conn, app, now))
            act(app, now, await self._desk.seal_note(app, remark) or None)
            step.effects.extend(applications.asked_again(app, now))
            step.effects.extend(await self._go_on(step))
        return app

    async def _go_on(self, step: Step) -> list[Effect]:
        """What follows by the rules: a list may be complete now, or nothing may stand in the way of
        a case that the rules pass."""
        app, now = step.app, step.now
        if app.state is State.AWAITING_MATERIAL:
            return await self._desk.recheck(step.conn, app, now)
        if app.state is not State.PRE_CHECK or product_for(app).pre_check.by == "officer":
            return []
        found = await self._desk.examine(step.conn, app, now)
        return applications.verdict(app, found.examination, found.refusals, now)


def obstacle_problem(code: str, obstacles: Sequence[Obstacle]) -> Problem:
    """Everything that stands in the way, each with the place of its item."""
    return Problem(
        422,
        code,
        "The pre-check cannot end like that yet",
        errors=[
            FieldError(f"/items/{one.party}/{one.item}" if one.item else "", one.code, one.detail)
            for one in obstacles
        ],
    )


def _people_only(viewer: Viewer) -> None:
    if viewer.client is not None:
        raise Problem(403, "people-only", "A verdict is a person's, not a program's")


def _in_pre_check(app: Application) -> None:
    if app.state is not State.PRE_CHECK:
        raise ApplicationError("not-in-pre-check", "The application is not in pre-check")


def _know(codes: Sequence[str], known: Container[str], problem: str) -> None:
    unknown = [code for code in codes if code not in known]
    if unknown or not codes:
        raise Problem(
            422,
            problem,
            "This is none of the office's codes",
            errors=[FieldError("", problem)],
        )
