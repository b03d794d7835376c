"""Who may do what, and on whose applications: one table for all services.

A role grants permissions, each within a scope: the branches of the member of staff, the regions of
those branches, or the whole bank. So each permission of somebody has a reach of its own: who has
two roles sees remarks as far as the one goes, and reveals as far as the other. A route says which
permissions it needs; whoever enters gets a `Viewer` whose `reach` is what all of these allow, and
every query narrows by it. Whatever needs another permission asks for the reach of that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

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
    POLICY_VIEW = "policy.view"  # reads the credit policy, its versions and who approved them
    POLICY_PROPOSE = "policy.propose"  # proposes a version, lets one run without effect
    POLICY_APPROVE = "policy.approve"  # the second person for a version
    REVIEW_COMPLIANCE = "review.compliance"  # sees held cases and why; releases them
    HOLD_VIEW = "hold.view"  # knows that a case is held; why is compliance's alone
    MESSAGE_VIEW = "message.view"
    MESSAGE_RESOLVE = "message.resolve"  # says what became of a message whose fate is unknown
    REPORT_VIEW = "report.view"
    REPORT_EXPORT = "report.export"
    OPERATIONS_VIEW = "operations.view"
    OPERATIONS_REDRIVE = "operations.redrive"
    STAFF_VIEW = "staff.view"  # who is signed in, and last was
    STAFF_MANAGE = "staff.manage"  # ends sessions, unlocks accounts
    SESSION_OWN = "session.own"  # sees and ends one's own sessions
    AUDIT_VIEW = "audit.view"  # who looked at and who changed what, without the values
    AUDIT_OPEN = "audit.open"  # the values and the reasons in clear, with a reason


# What two people answer for, each with their own name: a program has none to give.
OF_PEOPLE = frozenset(
    {
        Permission.PRE_CHECK_AGREE,
        Permission.REVIEW_CLAIM,
        Permission.REVIEW_DECIDE,
        Permission.REVIEW_SIGN,
        Permission.REVIEW_COMPLIANCE,
        Permission.POLICY_PROPOSE,
        Permission.POLICY_APPROVE,
    }
)


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
        _P.SESSION_OWN: Scope.BRANCH,
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
        _P.SESSION_OWN: Scope.BRANCH,
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.ORIGINAL_TAKE: Scope.ALL,
        _P.PERSONAL_REVEAL: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.POLICY_VIEW: Scope.ALL,
        _P.REVIEW_CLAIM: Scope.ALL,
        _P.REVIEW_DECIDE: Scope.ALL,
        _P.MESSAGE_VIEW: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
    },
    Role.RISK_OFFICER: {
        _P.SESSION_OWN: Scope.BRANCH,
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.ORIGINAL_TAKE: Scope.ALL,
        _P.PERSONAL_REVEAL: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.POLICY_VIEW: Scope.ALL,
        _P.POLICY_PROPOSE: Scope.ALL,
        _P.POLICY_APPROVE: Scope.ALL,
        _P.REVIEW_CLAIM: Scope.ALL,
        _P.REVIEW_DECIDE: Scope.ALL,
        _P.REVIEW_SIGN: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
        _P.REPORT_EXPORT: Scope.ALL,
    },
    # Suspicion is confidential (反洗钱法 35): nobody but compliance sees what a case is held for,
    # and that it is held at all is not known to who speaks to customers.
    Role.COMPLIANCE: {
        _P.SESSION_OWN: Scope.BRANCH,
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.ORIGINAL_TAKE: Scope.ALL,
        _P.PERSONAL_REVEAL: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.POLICY_VIEW: Scope.ALL,
        _P.POLICY_APPROVE: Scope.ALL,
        _P.REVIEW_COMPLIANCE: Scope.ALL,
        _P.REPORT_VIEW: Scope.ALL,
        _P.AUDIT_VIEW: Scope.ALL,
        _P.AUDIT_OPEN: Scope.ALL,
    },
    Role.MANAGER: {
        _P.SESSION_OWN: Scope.BRANCH,
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
        _P.SESSION_OWN: Scope.BRANCH,
        _P.BOARD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MESSAGE_VIEW: Scope.ALL,
        _P.MESSAGE_RESOLVE: Scope.ALL,
        _P.OPERATIONS_VIEW: Scope.ALL,
        _P.OPERATIONS_REDRIVE: Scope.ALL,
    },
    Role.AUDITOR: {
        _P.SESSION_OWN: Scope.BRANCH,
        _P.BOARD_VIEW: Scope.ALL,
        _P.HOLD_VIEW: Scope.ALL,
        _P.APPLICATION_VIEW: Scope.ALL,
        _P.MATERIAL_VIEW: Scope.ALL,
        _P.PRE_CHECK_VIEW: Scope.ALL,
        _P.REVIEW_VIEW: Scope.ALL,
        _P.POLICY_VIEW: Scope.ALL,
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


def roles_with(permission: Permission) -> list[Role]:
    """The roles that grant it."""
    return [role for role, granted in GRANTS.items() if permission in granted]


@dataclass(frozen=True, slots=True)
class Reach:
    """Which applications somebody may do something with.

    `branches`: their branch codes, None for every branch. `own_client`: the program of whose own
    applications alone it holds, None for anybody's; for SQL: `($1::text IS NULL OR client = $1)`.
    """

    branches: frozenset[str] | None
    own_client: str | None = None

    def covers(self, branch: str) -> bool:
        """Whether the branch lies within it."""
        return self.branches is None or branch in self.branches

    def covers_all(self, branches: Iterable[str] | None) -> bool:
        """Whether all of these lie within it; None: every branch of the bank."""
        if self.branches is None:
            return True
        return branches is not None and self.branches.issuperset(branches)

    @property
    def everywhere(self) -> bool:
        """Whether it is the whole bank."""
        return self.branches is None and self.own_client is None

    @property
    def branch_list(self) -> list[str] | None:
        """For SQL: `($1::text[] IS NULL OR branch = ANY($1))`."""
        return None if self.branches is None else sorted(self.branches)

    def __and__(self, other: Reach) -> Reach:
        """What lies within both."""
        branches = self.branches
        if branches is None:
            branches = other.branches
        elif other.branches is not None:
            branches &= other.branches
        return Reach(branches, self.own_client or other.own_client)


NOWHERE: Final = Reach(frozenset())
WHOLE_BANK: Final = Reach(None)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is looking, as a route sees them.

    `grants`: how far each of their permissions reaches. `reach`: how far all of those reach by
    which they entered; lists and cases of the route are narrowed to it. `client` names the machine
    that is calling, if one is, and `channel` the way by which its applications reach the bank; one
    that `must_match` says of its changes on which revision they were decided.
    """

    staff_id: str
    name: str
    roles: frozenset[Role]
    grants: Mapping[Permission, Reach]
    reach: Reach
    language: str
    home_branch: str | None = None
    client: str | None = None
    channel: str | None = None
    must_match: bool = False
    csrf_token: str = field(default="", repr=False)

    def reach_of(self, permission: Permission) -> Reach:
        """How far one permission reaches, whatever the viewer entered by; NOWHERE without it."""
        return self.grants.get(permission, NOWHERE)

    def may_in(self, permission: Permission, branch: str) -> bool:
        """Whether the permission holds for what belongs to this branch."""
        return self.reach_of(permission).covers(branch)

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether a link should be shown to a page that narrows what it has by itself. Of what
        belongs to a branch `may_in` says whether the viewer may do it."""
        return permission in self.grants

    def sees(self, branch: str) -> bool:
        """Whether the reach of this route covers the branch."""
        return self.reach.covers(branch)

    @property
    def branch_list(self) -> list[str] | None:
        """The reach of this route, as SQL has it."""
        return self.reach.branch_list

    @property
    def own_client(self) -> str | None:
        """Whose applications alone this route may show, None for anybody's."""
        return self.reach.own_client

    @property
    def knows_holds(self) -> bool:
        """Whether the viewer may know that a case is held: of every case, or of none."""
        return self.client is None and self.reach_of(Permission.HOLD_VIEW).everywhere

    @property
    def actor(self) -> str:
        """How this viewer is written into events and the audit log."""
        return f"client:{self.client}" if self.client else f"staff:{self.staff_id}"
