"""The table of roles: what must hold of it whoever edits it."""

from __future__ import annotations

import pytest

from shared.web.i18n import gettext, in_language
from shared.web.permissions import (
    GRANTS,
    ROLE_NAMES,
    Permission,
    Role,
    Scope,
    Viewer,
    scopes_of,
)


def viewer(
    *roles: Role, branches: frozenset[str] | None = None, client: str | None = None
) -> Viewer:
    return Viewer(
        staff_id="A0101",
        name="林晓岚",
        roles=frozenset(roles),
        permissions=frozenset(scopes_of(roles)),
        branches=branches,
        language="zh-CN",
        client=client,
    )


def holders(permission: Permission) -> set[Role]:
    return {role for role, granted in GRANTS.items() if permission in granted}


def test_every_role_has_a_name_in_both_languages_and_may_do_something() -> None:
    for role in Role:
        assert GRANTS[role]
        with in_language("en"):
            english = gettext(ROLE_NAMES[role])
        assert english
        assert english != role.value


def test_every_permission_is_granted_to_somebody() -> None:
    assert {one for granted in GRANTS.values() for one in granted} == set(Permission)


def test_roles_together_have_the_widest_scope_of_each() -> None:
    both = scopes_of([Role.ASSISTANT, Role.MANAGER])
    assert both[Permission.BOARD_VIEW] is Scope.REGION
    assert both[Permission.APPLICATION_CREATE] is Scope.BRANCH
    assert scopes_of([Role.MANAGER, Role.ASSISTANT]) == both
    assert scopes_of([]) == {}


def test_suspicion_is_for_compliance_alone_and_compliance_decides_nothing() -> None:
    assert holders(Permission.REVIEW_COMPLIANCE) == {Role.COMPLIANCE}
    decides = {Permission.REVIEW_CLAIM, Permission.REVIEW_DECIDE, Permission.REVIEW_SIGN}
    assert not decides & set(GRANTS[Role.COMPLIANCE])


def test_a_reviewer_never_signs_alone() -> None:
    assert Permission.REVIEW_SIGN not in GRANTS[Role.REVIEWER]
    assert holders(Permission.REVIEW_SIGN) == {Role.RISK_OFFICER}


def test_the_auditor_and_operations_change_no_application() -> None:
    looks = {"view", "export", "open", "own"}
    assert {one.value.split(".")[1] for one in GRANTS[Role.AUDITOR]} <= looks
    assert Permission.PERSONAL_REVEAL not in GRANTS[Role.AUDITOR]
    assert holders(Permission.AUDIT_OPEN) == {Role.AUDITOR, Role.COMPLIANCE}
    ops = set(GRANTS[Role.OPS])
    assert not {Permission.MATERIAL_VIEW, Permission.PERSONAL_REVEAL, Permission.REVIEW_VIEW} & ops


@pytest.mark.parametrize("role", [Role.ASSISTANT])
def test_an_assistant_sees_their_own_branches_only(role: Role) -> None:
    assert set(GRANTS[role].values()) == {Scope.BRANCH}


def test_the_machinery_is_seen_for_the_whole_bank_or_not_at_all() -> None:
    for granted in GRANTS.values():
        for permission in (Permission.OPERATIONS_VIEW, Permission.OPERATIONS_REDRIVE):
            assert granted.get(permission, Scope.ALL) is Scope.ALL


def test_a_viewer_sees_their_branches_and_no_other() -> None:
    one = viewer(Role.ASSISTANT, branches=frozenset({"0102", "0101"}))
    assert one.sees("0101")
    assert not one.sees("0999")
    assert one.branch_list == ["0101", "0102"]
    everywhere = viewer(Role.REVIEWER)
    assert everywhere.sees("0999")
    assert everywhere.branch_list is None
    nowhere = viewer(Role.ASSISTANT, branches=frozenset())
    assert nowhere.branch_list == []  # not None: that would be the whole bank


def test_people_and_machines_are_told_apart_in_the_audit_log() -> None:
    assert viewer(Role.ASSISTANT).actor == "staff:A0101"
    assert viewer(client="mobile-app").actor == "client:mobile-app"


def test_the_form_token_is_not_printed() -> None:
    assert "csrf" not in repr(viewer(Role.ASSISTANT))
