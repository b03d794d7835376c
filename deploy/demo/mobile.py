"""The plan's customers who use the bank's app: what they do becomes events, answers come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from deploy.demo.customers import Ledger, Taken, UnexpectedAnswerError
from deploy.demo.handed_in import content, form, party_form
from deploy.demo.mobile_app import PARTNER, Documents, MobileApp, NoAnswerError, fetch_keys
from deploy.demo.plan import Action, Application, Malformed
from deploy.demo.site import Site
from deploy.partner_link import settings_for
from shared.clock import SteppedClock


class MobileChannel:
    """Carries out in the app what the plan says, and holds each answer against it."""

    def __init__(self, app: MobileApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger
        self._taken_any = False

    @classmethod
    @asynccontextmanager
    async def connected(cls, site: Site, ledger: Ledger) -> AsyncIterator[MobileChannel]:
        """Connected to the broker, with the office's public keys."""
        keys = await fetch_keys(site.gateway)
        settings, clock = settings_for(site.stack, PARTNER), SteppedClock(site.clock_file)
        async with MobileApp.open(settings, keys, clock) as app:
            yield cls(app, ledger)

    async def apply(self, application: Application, now: datetime) -> None:
        action, reference = application.actions[0], _reference(application.key)
        body, papers = form(application, now), _papers(application, action)
        payload = self._app.application(reference, body, papers)
        event_id = await self._app.send(payload)
        if action.twice:  # the very same event; sealed anew it would be another one
            await self._app.send(payload, event_id=event_id)
        await self._compare(application, action, event_id)

    async def supply(self, application: Application, action: Action) -> None:
        papers = _papers(application, action)
        event_id = await self._app.supply(_reference(application.key), papers)
        await self._compare(application, action, event_id)

    async def withdraw(self, application: Application, action: Action) -> None:
        event_id = await self._app.withdraw(_reference(application.key))
        await self._compare(application, action, event_id)

    async def send_malformed(self, malformed: Malformed) -> None:
        """An event that is wrong in one way; it has to be answered and nothing more."""
        kind = malformed.kind
        if kind == "same-id-other-content" and not self._taken_any:
            kind = "unknown-field"  # a very small plan has no id yet that could be used again
        body = {
            "branch": malformed.branch.code,
            "product": "standard",
            "applicant_type": "salaried",
            "parties": [party_form("applicant", malformed.person)],
        }
        await self._app.send_malformed(kind, _reference(f"wrong-{kind}"), body)

    async def _compare(self, application: Application, action: Action, event_id: str) -> None:
        self._ledger.requests["events of the app"] += 1
        what = f"{application.key} ({application.story}, mobile): {action.kind}"
        try:
            answer = await self._app.answer(event_id)
        except NoAnswerError:
            raise UnexpectedAnswerError(f"{what} was never answered") from None
        if answer.accepted:
            self._taken_any = True
            taken = Taken(answer.application_id, answer.application_number)
            self._ledger.taken.setdefault(application.key, taken)
            if action.refused:
                raise UnexpectedAnswerError(f"{what} was taken, not {action.refused}")
            return
        if action.kind == "apply":
            self._ledger.refused.add(application.key)
        if action.refused.upper().replace("-", "_") not in answer.codes:
            raise UnexpectedAnswerError(f"{what} was refused: {' '.join(answer.codes)}")


def _papers(application: Application, action: Action) -> Documents:
    return [
        (paper.item, content(paper, application.key), paper.issued_on) for paper in action.papers
    ]


def _reference(key: str) -> str:
    return f"app-{key}"
