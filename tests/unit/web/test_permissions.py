"""The table of roles: what must hold of it whoever edits it."""

from __future__ import annotations

import pytest

from shared.web.i18n import gettext, in_language
from shared.web.permissions import (
    GRANTS,
    NOWHERE,
    ROLE_NAMES,
    WHOLE_BANK,
    Permission,
    Reach,
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
        grants=dict.fromkeys(scopes_of(roles), Reach(branches)),
        reach=Reach(branches),
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


@pytest.mark.parametrize(
    "permission",
    [Permission.OPERATIONS_VIEW, Permission.OPERATIONS_REDRIVE, Permission.HOLD_VIEW],
)
def test_the_machinery_and_holds_are_for_the_whole_bank_or_not_at_all(
    permission: Permission,
) -> None:
    for granted in GRANTS.values():
        assert granted.get(permission, Scope.ALL) is Scope.ALL


def test_who_may_know_of_holds_in_some_branches_alone_knows_of_none() -> None:
    assert viewer(Role.REVIEWER).knows_holds
    assert not viewer(Role.REVIEWER, branches=frozenset({"0101"})).knows_holds
    assert not viewer(Role.REVIEWER, client="mobile-app").knows_holds
    assert not viewer(Role.MANAGER).knows_holds


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


def test_what_lies_within_two_reaches_is_what_both_cover() -> None:
    some, other = Reach(frozenset({"0101", "0102"})), Reach(frozenset({"0102", "0201"}))
    assert some & other == Reach(frozenset({"0102"}))
    assert some & WHOLE_BANK == WHOLE_BANK & some == some
    assert WHOLE_BANK & WHOLE_BANK == WHOLE_BANK
    assert some & NOWHERE == NOWHERE
    own = Reach(None, "web")
    assert own & some == some & own == Reach(some.branches, "web")
    assert not own.everywhere
    assert WHOLE_BANK.everywhere
    assert not some.everywhere


def test_a_report_lies_within_a_reach_with_all_of_its_branches() -> None:
    some = Reach(frozenset({"0101", "0102"}))
    assert some.covers_all(["0101"])
    assert not some.covers_all(["0101", "0201"])
    assert not some.covers_all(None)  # the whole bank
    assert WHOLE_BANK.covers_all(None)


def test_a_permission_that_nobody_granted_reaches_nowhere() -> None:
    one = viewer(Role.ASSISTANT, branches=frozenset({"0101"}))
    assert one.reach_of(Permission.REVIEW_SIGN) == NOWHERE
    assert not one.may_in(Permission.REVIEW_SIGN, "0101")
    assert not one.may_somewhere(Permission.REVIEW_SIGN)


def test_people_and_machines_are_told_apart_in_the_audit_log() -> None:
    assert viewer(Role.ASSISTANT).actor == "staff:A0101"
    assert viewer(client="mobile-app").actor == "client:mobile-app"


def test_the_form_token_is_not_printed() -> None:
    assert "csrf" not in repr(viewer(Role.ASSISTANT))
