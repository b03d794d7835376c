"""Who may be given a case: the officers of review, and what they can take."""

from __future__ import annotations

from dataclasses import dataclass

from shared.web import Permission
from shared.web.directory import StaffMember
from shared.web.permissions import Reach


@dataclass(frozen=True, slots=True)
class Officer:
    """A member of staff who claims cases."""

    member: StaffMember

    @property
    def staff_id(self) -> str:
        return self.member.staff_id

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def reach(self) -> Reach:
        """Of which branches they may claim cases."""
        return self.member.reach_of(Permission.REVIEW_CLAIM)

    def why_not(self, branch: str) -> str | None:
        """Why they cannot be given a case of that branch, as a code; None: they can.

        unknown-officer: no active member of staff who may claim cases there.
        """
        if not self.member.active or not self.reach.covers(branch):
            return "unknown-officer"
        return None
