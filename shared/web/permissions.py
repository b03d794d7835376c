"""Who may do what, and on whose applications: one table for all services.

A role grants permissions, each within a scope: the branches of the member of staff, the regions of
those branches, or the whole bank. A route says which permission it needs; whoever enters gets a
`Viewer` that knows which branches it may see, and every query narrows by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from shared.web.i18n import mark


class Permission(StrEnum):
    """One thing that somebody may do; routes name these, never roles."""

    BOARD_VIEW = "board.view"
    APPLICATION_VIEW = "application.view"
    APPLICATION_CREATE = "application.create"
    APPLICATION_EDIT = "application.edit"
    MATERIAL_VIEW = "material.view"  # sees a paper, watermarked; whoever shows one records it
    ORIGINAL_TAKE = "original.take"  # has a paper as it was handed in, with a reason
    MATERIAL_RECEIVE = "material.receive"
    PRE_CHECK_VIEW = "pre-check.view"  # the checklist with codes, remarks and who said what
    PRE_CHECK_DECIDE = "pre-check.decide"  # verdicts on items and cases (初审)
    PRE_CHECK_AGREE = "pre-check.agree"  # the second person, where something is done without
    PERSONAL_REVEAL = "personal.reveal"  # sees a masked personal field in clear, with a reason
    VIEW_SHARE = "view.share"  # keeps filters of a list for a whole branch
    CUSTOMER_ADMIT = "customer.admit"  # gives out, renews and ends codes of customers' own pages
    REVIEW_VIEW = "review.view"
    REVIEW_CLAIM = "review.claim"
    REVIEW_DECIDE = "review.decide"
    REVIEW_SIGN = "review.sign"  # the second signature, by another person
    REVIEW_COMPLIANCE = "review.compliance"  # sees held cases and why; releases them
    HOLD_VIEW = "hold.view"  # knows that a case is held; why is compliance's alone
    MESSAGE_VIEW = "message.view"
    MESSAGE_RESOLVE = "message.resolve"  # says what became of a message whose fate is unknown
    REPORT_VIEW = "report.view"
    REPORT_EXPORT = "report.export"
    OPERATIONS_VIEW = "operations.view"
    OPERATIONS_REDRIVE = "operations.redrive"
    STAFF_VIEW = "staff.view"
    STAFF_MANAGE = "staff.manage"
    AUDIT_VIEW = "audit.view"  # who looked at and who changed what, without the values
    AUDIT_OPEN = "audit.open"  # the values and the reasons in clear, with a reason


class Scope(IntEnum):
    """How far a permission reaches; a wider scope contains the narrower."""

    BRANCH = 1
    REGION = 2
    ALL = 3


class Role(StrEnum):
    """What a member of staff does in the office."""

    ASSISTANT = "assistant"
    REVIEWER = "reviewer"
    RISK_OFFICER = "risk_officer"
    COMPLIANCE = "compliance"
    MANAGER = "manager"
    OPS = "ops"
    AUDITOR = "auditor"


ROLE_NAMES: Mapping[Role, str] = {
    Role.ASSISTANT: mark("Account manager's assistant"),
    Role.REVIEWER: mark("Credit reviewer"),
    Role.RISK_OFFICER: mark("Risk officer"),
    Role.COMPLIANCE: mark("Compliance officer"),
    Role.MANAGER: mark("Office manager"),
    Role.OPS: mark("Operations"),
    Role.AUDITOR: mark("Auditor"),
}

_P = Permission

GRANTS: Mapping[Role, Mapping[Permission, Scope]] = {
    Role.ASSISTANT: {
        _P.BOARD_VIEW: Scope.BRANCH,
        _P.APPLICATION_VIEW: Scope.BRANCH,
        _P.APPLICATION_CREATE: Scope.BRANCH,
        _P.APPLICATION_EDIT: Scope.BRANCH,
        _P.MATERIAL_VIEW: Scope.BRANCH,
        _P.MATERIAL_RECEIVE: Scope.BRANCH,
        _P.PRE_CHECK_VIEW: Scope.BRANCH,
        _P.PRE_CHECK_DECIDE: Scope.BRANCH,
        _P.PRE_CHECK_AGREE: Scope.BRANCH,
        _P.PERSONAL_REVEAL: Scope.BRANCH,
        _P.CUSTOMER_ADMIT: Scope.BRANCH,
        _P.MESSAGE_VIEW: Scope.BRANCH,
        _P.MESSAGE_RESOLVE: Scope.BRANCH,
        _P.REPORT_VIEW: Scope.BRANCH,
        _P.REPORT_EXPORT: Scope.BRANCH,
    },
    Role.REVIEWER: {
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.ORIGINAL_TAKE: Scope.ALL,
        _P.PERSONAL_REVEAL: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.REVIEW_CLAIM: Scope.ALL,
        _P.REVIEW_DECIDE: Scope.ALL,
        _P.MESSAGE_VIEW: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
    },
    Role.RISK_OFFICER: {
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.ORIGINAL_TAKE: Scope.ALL,
        _P.PERSONAL_REVEAL: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.REVIEW_CLAIM: Scope.ALL,
        _P.REVIEW_DECIDE: Scope.ALL,
        _P.REVIEW_SIGN: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
        _P.REPORT_EXPORT: Scope.ALL,
    },
    # Suspicion is confidential (反洗钱法 35): nobody but compliance sees what a case is held for,
    # and that it is held at all is not known to who speaks to customers.
    Role.COMPLIANCE: {
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.ORIGINAL_TAKE: Scope.ALL,
        _P.PERSONAL_REVEAL: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.REVIEW_COMPLIANCE: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
        _P.AUDIT_VIEW: Scope.ALL,
        _P.AUDIT_OPEN: Scope.ALL,
    },
    Role.MANAGER: {
        _P.BOARD_VIEW: Scope.REGION,
        _P.APPLICATION_VIEW: Scope.REGION,
        _P.MATERIAL_VIEW: Scope.REGION,
        _P.ORIGINAL_TAKE: Scope.REGION,
        _P.PRE_CHECK_VIEW: Scope.REGION,
        _P.PRE_CHECK_AGREE: Scope.REGION,
        _P.VIEW_SHARE: Scope.REGION,
        _P.REVIEW_VIEW: Scope.REGION,
        _P.MESSAGE_VIEW: Scope.REGION,
        _P.REPORT_VIEW: Scope.REGION,
        _P.REPORT_EXPORT: Scope.REGION,
        _P.STAFF_VIEW: Scope.REGION,
        _P.STAFF_MANAGE: Scope.REGION,
    },
    # Operations keeps the machinery running and sees no application's content beyond its timeline.
    Role.OPS: {
        _P.BOARD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MESSAGE_VIEW: Scope.ALL,
        _P.MESSAGE_RESOLVE: Scope.ALL,
        _P.OPERATIONS_VIEW: Scope.ALL,
        _P.OPERATIONS_REDRIVE: Scope.ALL,
    },
    Role.AUDITOR: {
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.PRE_CHECK_VIEW: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.MESSAGE_VIEW: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
        _P.REPORT_EXPORT: Scope.ALL,
        _P.OPERATIONS_VIEW: Scope.ALL,
        _P.STAFF_VIEW: Scope.ALL,
        _P.AUDIT_VIEW: Scope.ALL,
        _P.AUDIT_OPEN: Scope.ALL,
    },
}


def scopes_of(roles: Iterable[Role]) -> dict[Permission, Scope]:
    """What these roles together may do: {permission: widest scope}."""
    granted: dict[Permission, Scope] = {}
    for role in roles:
        for permission, scope in GRANTS[role].items():
            granted[permission] = max(scope, granted.get(permission, scope))
    return granted


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is looking, as a route sees them.

    `branches` are the branch codes that may be seen under the permission by which the viewer
    entered; None means every branch. `client` names the machine that is calling, if one is, and
    `channel` the way by which its applications reach the bank; one that is `own_only` sees and
    changes the applications that it began itself, and no other; one that `must_match` says of its
    changes on which revision they were decided.
    """

    staff_id: str
    name: str
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    branches: frozenset[str] | None
    language: str
    home_branch: str | None = None
    client: str | None = None
    channel: str | None = None
    own_only: bool = False
    must_match: bool = False
    csrf_token: str = field(default="", repr=False)

    def may(self, permission: Permission | str) -> bool:
        """Whether a link or a button for this permission should be shown."""
        return permission in self.permissions

    def sees(self, branch: str) -> bool:
        """Whether applications of this branch may be shown to the viewer."""
        return self.branches is None or branch in self.branches

    @property
    def own_client(self) -> str | None:
        """Whose applications alone may be shown, None for anybody's. For SQL:
        `($1::text IS NULL OR client = $1)`."""
        return self.client if self.own_only else None

    @property
    def knows_holds(self) -> bool:
        """Whether the viewer may know that a case is held."""
        return self.client is None and self.may(Permission.HOLD_VIEW)

    @property
    def branch_list(self) -> list[str] | None:
        """For SQL: `($1::text[] IS NULL OR branch = ANY($1))`."""
        return None if self.branches is None else sorted(self.branches)

    @property
    def actor(self) -> str:
        """How this viewer is written into events and the audit log."""
        return f"client:{self.client}" if self.client else f"staff:{self.staff_id}"
