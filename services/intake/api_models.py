"""What goes into the JSON API and what comes out, narrowed to what each caller may know."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.intake import store_lists
from services.intake.application import Application
from services.intake.checklist import Line
from services.intake.desk import Begun, Filed
from services.intake.form import ApplicationForm
from services.intake.viewing import shown_since, shown_state, shown_version, shown_warnings
from shared.formats import person_number
from shared.money import Money
from shared.web import Viewer


class ApplicationIn(ApplicationForm):
    """A form; `submit` hands it in at once."""

    submit: bool = False


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class WithdrawalIn(_In):
    """Why the customer withdraws, if they say so; kept sealed."""

    reason: Annotated[str, Field(max_length=2000)] = ""


class SearchIn(_In):
    """Exactly one of them, whole."""

    mobile: Annotated[str, Field(min_length=11, max_length=11)] | None = None
    id_number: Annotated[str, Field(min_length=4, max_length=18)] | None = None
    nationality: Annotated[str, Field(min_length=3, max_length=3)] | None = Field(
        default=None, description="with the number of a passport: the country whose it is"
    )
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _one(self) -> SearchIn:
        if [self.mobile, self.id_number, self.name].count(None) != 2:
            raise ValueError("search for a mobile, for an ID number or for a name")
        if self.nationality is not None and self.id_number is None:
            raise ValueError("a nationality goes with the number of a passport")
        return self

    @property
    def number(self) -> str | None:
        """By what number the person is known."""
        if self.id_number is None or self.nationality is None:
            return self.id_number
        given = {"id_number": self.id_number, "nationality": self.nationality}
        return person_number({"id_type": "passport", **given})


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
    revision: int
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
    revision: int


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
    would see review at work by them. revision: of what is done here, for If-Match."""

    application_id: str
    application_number: str
    state: str
    revision: int
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
    revision: int


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
    revision: int


class CountsOut(BaseModel):
    """What intake's tables add up to."""

    applications: int
    by_state: dict[str, int]
    submitted: int
    cards: int
    documents: int
    inbound: dict[str, int]


# --- as each caller may see it ---------------------------------------------------------------


def state_out(app: Application, viewer: Viewer) -> str:
    """The state of an application that was found."""
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
        state=state_out(app, viewer),
        revision=app.revision,
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
        state=state_out(filed.application, viewer),
        revision=filed.application.revision,
    )
    return told.model_dump(mode="json")


def row_out(row: store_lists.Row, viewer: Viewer) -> RowOut:
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
        revision=row.revision,
    )


def application_out(
    app: Application, lines: list[Line], masked: dict[str, dict[str, str]], viewer: Viewer
) -> ApplicationOut:
    """An application in full."""
    scope, wish, card = app.need_scope(), app.withdrawal, app.card
    return ApplicationOut(
        application_id=app.application_id,
        application_number=scope.application_number,
        state=state_out(app, viewer),
        revision=app.revision,
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
        warnings=shown_warnings(app.warnings, viewer),
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
