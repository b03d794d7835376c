"""The JSON API of limits' changes: a customer wants another limit for their card."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from services.intake.api_once import IfMatch, Key, expected, once
from services.intake.application import Application
from services.intake.desk import Desk, Remember
from services.intake.limit_changes import LimitWish
from shared.events.intake import LimitChangeKind
from shared.money import Money
from shared.web import Permission, Viewer, requires
from shared.web.openapi import about

EXAMPLE: dict[str, Any] = {
    "kind": "temporary",
    "wanted": {"minor": 3_000_000},
    "until": "2027-02-20",
    "agreed_on": "2027-01-25",
    "credit_consent_on": "2027-01-25",
    "note": "春节前装修",
}


class LimitChangeIn(BaseModel):
    """What the customer wants: the whole limit that the card shall have. `agreed_on`: the day on
    which they asked for it themselves; `credit_consent_on`: on which they signed a consent to a new
    query of the credit bureau; `guarantee_on`: on which a student's second source of repayment
    agreed in writing. An income stated anew has the day of its proof. `note` is kept sealed."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: LimitChangeKind
    wanted: Money
    until: date | None = None
    agreed_on: date | None = None
    credit_consent_on: date | None = None
    guarantee_on: date | None = None
    monthly_income: Money | None = None
    income_on: date | None = None
    note: Annotated[str, Field(max_length=2000)] = ""

    def wish(self) -> LimitWish:
        """As the rules look at it."""
        return LimitWish(
            kind=self.kind,
            wanted=self.wanted,
            agreed_on=self.agreed_on,
            until=self.until,
            consent_on=self.credit_consent_on,
            guarantee_on=self.guarantee_on,
            income_on=self.income_on,
        )


class LimitChangeAskedOut(BaseModel):
    """Review has it now, and answers by its own clock."""

    application_id: str
    change_id: str
    revision: int


MayEdit = Annotated[Viewer, requires(Permission.APPLICATION_EDIT)]


def add(routes: APIRouter, desk: Desk) -> None:
    """The one command: review decides."""

    @routes.post(
        "/applications/{application_id}/limit-changes",
        status_code=202,
        response_model=LimitChangeAskedOut,
        openapi_extra=about(
            *("not-found", "erased", "changed-meanwhile", "key-reused", "if-match-needed"),
            *("limit-not-changeable", "not-agreed", "limit-not-fitting", "until-not-fitting"),
            *("no-guarantee", "income-not-proved"),
            example=EXAMPLE,
            revised=True,
        ),
    )
    async def api_change_limit(
        viewer: MayEdit,
        application_id: str,
        body: LimitChangeIn,
        key: Key = None,
        if_match: IfMatch = None,
    ) -> Response:
        """The customer wants another limit for the card of this application, for good or for a
        time. The decided application stays as it is; review opens a case of its own."""
        expect = expected(viewer, if_match)

        def answer(app: Application) -> tuple[int, Any]:
            told = LimitChangeAskedOut(
                application_id=app.application_id,
                change_id=app.limit_changes[-1].change_id,
                revision=app.revision,
            )
            return 202, told.model_dump(mode="json")

        async def run(remember: Remember | None) -> Application:
            return await desk.change_limit(
                viewer,
                application_id,
                body.wish(),
                income=body.monthly_income,
                words=body.note,
                expect=expect,
                remember=remember,
            )

        asked = ("limit-change", application_id, body.model_dump_json())
        return await once(desk, viewer, key, asked, run, answer)
