"""Applications that come over from another system, in the state and with the dates that they had
there. Their events say `origin: imported`: nobody is told, no alarm is raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.intake import application as applications
from services.intake import cards
from services.intake.application import Application, ApplicationError, Card
from services.intake.desk import Desk, Found, Remember, Repeated
from services.intake.form import ApplicationForm
from shared.calendar import business_day
from shared.events import intake
from shared.events.lifecycle import State
from shared.events.payload import Instant
from shared.identifiers import new_id
from shared.messaging import Effect, Fact
from shared.money import Money
from shared.web import Problem, Viewer
from shared.web.problems import field_errors

_GRANTED = frozenset({State.APPROVED, *applications.CARD_STATES})
_WITH_THE_CUSTOMER = frozenset(
    {State.DRAFT, State.SUBMITTED, State.PRE_CHECK, State.AWAITING_MATERIAL}
)


class ImportedApplication(ApplicationForm):
    """A form with the state that the application is in there, and its dates. `limit` where it was
    granted, `card_id` where a card was ordered."""

    state: State
    submitted_at: Instant
    state_since: Instant | None = None
    limit: Money | None = None
    card_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,80}$")] | None = None


class ImportIn(BaseModel):
    """Many applications; each is taken or refused by itself."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    applications: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=500)]


class ImportedOut(BaseModel):
    """What became of one entry."""

    index: int
    application_id: str | None = None
    application_number: str | None = None
    state: str | None = None
    problems: list[dict[str, Any]] = []


class ImportOut(BaseModel):
    """What became of each entry."""

    results: list[ImportedOut]


async def take(
    desk: Desk, viewer: Viewer, entries: Sequence[dict[str, Any]], key: str | None
) -> ImportOut:
    """Import entry by entry, each in a transaction of its own; under a key a repetition makes
    nothing twice."""
    results = []
    for index, raw in enumerate(entries):
        try:
            entry = ImportedApplication.model_validate(raw)
            obstacle = obstacle_to(entry, desk.now())
            if obstacle is not None:
                results.append(ImportedOut(index=index, problems=[obstacle]))
                continue
            results.append(await _take_one(desk, viewer, entry, index, key))
        except ValidationError as error:
            found = field_errors(error.errors(include_input=False, include_url=False))
            results.append(ImportedOut(index=index, problems=[one.as_json() for one in found]))
        except Problem as problem:
            told = {"pointer": "", "code": problem.code, "detail": problem.title}
            results.append(ImportedOut(index=index, problems=[told]))
    return ImportOut(results=results)


def obstacle_to(entry: ImportedApplication, now: datetime) -> dict[str, str] | None:
    """Why an entry cannot be imported as it is."""
    since = entry.state_since or entry.submitted_at
    for name, at in (("submitted_at", entry.submitted_at), ("state_since", since)):
        if at > now:
            return {"pointer": f"/{name}", "code": "in-future", "detail": "This lies ahead"}
    if since < entry.submitted_at:
        return {
            "pointer": "/state_since",
            "code": "before-submission",
            "detail": "No application is in a state before it was handed in",
        }
    if entry.state is State.SCORING:
        return {
            "pointer": "/state",
            "code": "not-importable",
            "detail": "Import an application that is being scored as checking",
        }
    if entry.state in _GRANTED and entry.limit is None:
        return {"pointer": "/limit", "code": "missing", "detail": "A granted limit is needed"}
    return None


async def _take_one(
    desk: Desk, viewer: Viewer, entry: ImportedApplication, index: int, key: str | None
) -> ImportedOut:
    def answer(app: Application) -> tuple[int, Any]:
        return 200, _out(index, app).model_dump(mode="json")

    def decide(app: Application, found: Found, now: datetime) -> list[Effect]:
        return take_over(app, entry, found, viewer.actor, now)

    remember = None
    if key is not None:
        digest = desk.digest("import", entry.model_dump_json())
        remember = Remember(viewer.actor, f"import:{key}:{index}", digest, answer)
    day = business_day(entry.submitted_at)
    try:
        app = await desk.bring_in(viewer, entry, day, decide, remember=remember)
        return _out(index, app)
    except Repeated as before:
        return ImportedOut.model_validate(before.answer.body)


def take_over(
    app: Application, entry: ImportedApplication, found: Found, actor: str, now: datetime
) -> list[Effect]:
    """The application goes on from where it stood. What intake has to do in that state is done at
    once. Raises ApplicationError where nothing is wanted of an application that waits for material.
    """
    since = entry.state_since or entry.submitted_at
    app.imported = True
    app.created_at = entry.submitted_at
    app.submitted_at = None if entry.state is State.DRAFT else entry.submitted_at
    app.new_to_bank = found.new_to_bank
    applications.note_findings(app, found.examination)
    if entry.state not in _WITH_THE_CUSTOMER:
        app.passed_at = since
    app.limit = entry.limit if entry.state in _GRANTED else None
    if entry.state in applications.CARD_STATES and entry.limit is not None:
        app.card = Card(entry.card_id or new_id(), entry.limit, since)
    app.note(now, actor, "imported", state=str(entry.state))
    imported = intake.ApplicationImported(
        **app.fields(),
        state=str(entry.state),
        parties=app.parties,
        consent=app.consent,
        new_to_bank=app.new_to_bank,
        age_band=app.age_band,
        income_band=app.income_band,
        submitted_at=entry.submitted_at,
        limit=app.limit,
        card_id=app.card.card_id if app.card else None,
    )
    effects: list[Effect] = [applications.publish(app, imported, now, time=since)]
    effects += _go_on(app, found, since, now)
    return [
        replace(effect, origin="imported") if isinstance(effect, Fact) else effect
        for effect in effects
    ]


def _go_on(app: Application, found: Found, since: datetime, now: datetime) -> list[Effect]:
    """What intake owes an application in the state that it came in. A term that ran out before is
    given anew."""
    if app.state is State.DRAFT:
        applications.settle(app, found.examination, now)
        return applications.draft_term(app, now)
    if app.state is State.SUBMITTED:
        started = applications.publish(app, intake.PreCheckStarted(**app.fields()), now)
        return [started, *applications.verdict(app, found.examination, (), now)]
    if app.state is State.PRE_CHECK:
        return applications.verdict(app, found.examination, (), now)
    if app.state is State.AWAITING_MATERIAL:
        applications.settle(app, found.examination, now)
        items = applications.open_items(app, found.examination)
        if not items:
            raise ApplicationError("nothing-wanted", "Nothing is missing: import it as checking")
        return applications.request_material(app, items, now)
    if app.state is State.APPROVED and app.limit is not None:
        return cards.order(app, app.limit, now)
    if app.state is State.DELIVERED:
        ended = applications.term_ends(app, State.DELIVERED, since) <= now
        return cards.activation_term(app, now if ended else since, now)
    return []


def _out(index: int, app: Application) -> ImportedOut:
    return ImportedOut(
        index=index,
        application_id=app.application_id,
        application_number=app.need_scope().application_number,
        state=str(app.state),
    )
