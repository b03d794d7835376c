"""The organisation's file: read whole or refused with every fault and its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.intake.organisation import (
    Branch,
    Organisation,
    OrganisationError,
    Staff,
    changed_branches,
    changed_staff,
    read_organisation,
)
from shared.web.permissions import Role

DEMO = Path(__file__).parents[3] / "deploy" / "demo" / "organisation.yaml"
BRANCH = {"branch": "1101", "name_zh": "甲支行", "name_en": "First", "region": "11"}
MEMBER = {
    "staff_id": "A0001",
    "username": "assistant",
    "display_name": "甲",
    "roles": ["assistant"],
    "branches": ["1101"],
    "desk": "assistant",
}


def read(**parts: Any) -> Organisation:
    return read_organisation(yaml.safe_dump({"branches": [BRANCH], "staff": [MEMBER], **parts}))


def test_the_demos_organisation_has_every_role_and_desk() -> None:
    found = read_organisation(DEMO.read_text(encoding="utf-8"))
    assert {role for one in found.staff for role in one.roles} == set(Role)
    assert {one.desk for one in found.staff} == {
        "assistant",
        "credit_review",
        "risk",
        "compliance",
        "operations",
    }
    assert len({one.region for one in found.branches}) >= 6
    assert sum(Role.ASSISTANT in one.roles for one in found.staff) >= 2


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"staff": []}, "staff: "),
        ({"staff": [{**MEMBER, "roles": ["king"]}]}, "staff[1].roles[1]: "),
        ({"staff": [{**MEMBER, "password": "x"}]}, "staff[1].password: "),
        ({"staff": [{**MEMBER, "branches": ["9999"]}]}, "staff A0001: no branch 9999"),
        ({"staff": [MEMBER, {**MEMBER, "staff_id": "A0002"}]}, "username assistant stands"),
        ({"branches": [{**BRANCH, "region": "99"}]}, "branches[1]: region is no province"),
        ({"branches": [BRANCH, BRANCH]}, "branch 1101 stands there twice"),
    ],
)
def test_a_fault_is_told_with_its_place(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(OrganisationError) as refusal:
        read(**parts)
    assert told in str(refusal.value)


def test_broken_yaml_is_told_with_its_line() -> None:
    with pytest.raises(OrganisationError, match="line 2"):
        read_organisation("branches: [\nstaff: }")


def test_only_what_differs_is_changed() -> None:
    wanted = read()
    branch, member = wanted.branches[0], wanted.staff[0]
    assert changed_branches({}, wanted) == [branch]
    assert changed_staff({}, wanted) == [member]
    assert changed_branches({"1101": branch}, wanted) == []
    assert changed_staff({"A0001": member}, wanted) == []
    renamed = member.model_copy(update={"display_name": "乙"})
    assert changed_staff({"A0001": renamed}, wanted) == [member]


def test_who_is_left_out_has_left() -> None:
    old_branch = Branch(branch="3101", name_zh="乙支行", name_en="Second", region="31")
    old_member = Staff.model_validate({**MEMBER, "staff_id": "A0009", "username": "gone"})
    wanted = read()
    closed = changed_branches({"1101": wanted.branches[0], "3101": old_branch}, wanted)
    assert [(one.branch, one.open) for one in closed] == [("3101", False)]
    left = changed_staff({"A0001": wanted.staff[0], "A0009": old_member}, wanted)
    assert [(one.staff_id, one.active) for one in left] == [("A0009", False)]
    # told once: whoever has left is not told of again
    assert changed_staff({"A0001": wanted.staff[0], "A0009": left[0]}, wanted) == []
