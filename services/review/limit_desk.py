"""What people do about changes of limits, for `limit_api` and `limit_pages` alike."""

from __future__ import annotations

from dataclasses import replace

from services.review import limit_changes
from services.review.case import Case, Finding
from services.review.desk import Desk, is_risk_officer
from services.review.evidence import Opened
from shared.identifiers import new_id
from shared.money import Money
from shared.privacy.vault import Vault
from shared.web import Problem, Viewer


class LimitDesk(Desk):
    """Commands on the limit of a case's card. Each raises Problem as those of `Desk`."""

    async def vault(self) -> Vault:
        """Where what people wrote is opened."""
        return await self._open_vault()

    async def lower(self, viewer: Viewer, application_id: str, limit: Money, note: str) -> Case:
        """The bank's own wish, a risk measure."""
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_lower(
                case, new_id(), limit, sealed, viewer.staff_id, now
            ),
        )

    async def claim_change(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_claim(case, viewer.staff_id, now),
        )

    async def put_back_change(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_put_back(
                case, viewer.staff_id, now, may_sign=is_risk_officer(viewer, case)
            ),
        )

    async def grant(self, viewer: Viewer, application_id: str, limit: Money, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_grant(case, viewer.staff_id, limit, sealed, now),
        )

    async def refuse(self, viewer: Viewer, application_id: str, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_refuse(case, viewer.staff_id, sealed, now),
        )

    async def sign_change(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_sign(
                case, viewer.staff_id, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def return_change(self, viewer: Viewer, application_id: str, note: str) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_return(
                case, viewer.staff_id, sealed, now, risk_officer=is_risk_officer(viewer, case)
            ),
        )

    async def examine_again(self, viewer: Viewer, application_id: str) -> Case:
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_again(case, viewer.staff_id, now),
        )

    async def release_change(
        self, viewer: Viewer, application_id: str, finding: Finding, note: str
    ) -> Case:
        sealed = await self._seal(viewer, application_id, note)
        return await self._run(
            viewer,
            application_id,
            lambda case, now: limit_changes.decide_release(
                case, viewer.staff_id, finding, sealed, now
            ),
        )

    async def worked_out(self, viewer: Viewer, application_id: str) -> Case:
        """The case, with the recommendation of its last change in the place of its own. Raises
        Problem 404, or 409 `not-scored` where none was worked out."""
        case = await self.look(viewer, application_id)
        last = case.limit_changes[-1] if case.limit_changes else None
        if last is None or last.recommendation is None:
            raise Problem(409, "not-scored", "The policy has not spoken on this change yet")
        return replace(case, recommendation=last.recommendation)

    async def reveal_working(self, viewer: Viewer, case: Case, why: str, text: str) -> Opened:
        """How the limit was worked out, in clear; the look is recorded before it is shown. case: of
        `worked_out`."""
        return await self.reveal_evidence(viewer, case, "limit", why, text)
