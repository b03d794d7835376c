"""The organisation as a file: branches and staff, whole, as the bank wants them to be.

Pure. Whoever the file no longer names has left; a branch that it no longer names is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.events.intake import BranchChanged, StaffChanged
from shared.places import PROVINCES
from shared.web.directory import EVERY_BRANCH
from shared.web.permissions import Role

_Words = Annotated[str, Field(min_length=1, max_length=80)]


class OrganisationError(ValueError):
    """The file is wrong; one line per fault, each with its place."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Branch(_Entry):
    """A legal branch. region: its province, two digits as in the resident ID."""

    branch: str = Field(pattern=r"^[0-9]{4}$")
    name_zh: _Words
    name_en: _Words
    region: str
    open: bool = True

    @model_validator(mode="after")
    def _known_region(self) -> Self:
        if self.region not in PROVINCES:
            raise ValueError("region is no province of GB/T 2260")
        return self

    def event(self) -> BranchChanged:
        """The branch as the other services are told."""
        return BranchChanged(**self.model_dump())


class Staff(_Entry):
    """A member of staff, by the number and the name they go by at work. branches: whose cases they
    may see, `*` for all."""

    staff_id: str = Field(pattern=r"^[A-Z0-9]{2,12}$")
    username: str = Field(pattern=r"^[a-z][a-z0-9._-]{1,31}$")
    display_name: _Words
    roles: list[Role] = Field(min_length=1)
    branches: list[str] = Field(min_length=1)
    desk: str = Field(pattern=r"^(assistant|credit_review|risk|compliance|operations)$")
    active: bool = True

    def event(self, session_epoch: int) -> StaffChanged:
        """The member of staff as the other services are told."""
        return StaffChanged(
            staff_id=self.staff_id,
            username=self.username,
            display_name=self.display_name,
            roles=[role.value for role in self.roles],
            branches=self.branches,
            desk=self.desk,
            session_epoch=session_epoch,
            active=self.active,
        )


class Organisation(_Entry):
    """All branches and staff."""

    branches: list[Branch] = Field(min_length=1)
    staff: list[Staff] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _refuse_repeated("branch", (one.branch for one in self.branches))
        _refuse_repeated("staff_id", (one.staff_id for one in self.staff))
        _refuse_repeated("username", (one.username for one in self.staff))
        known = {one.branch for one in self.branches} | {EVERY_BRANCH}
        for one in self.staff:
            unknown = sorted(set(one.branches) - known)
            if unknown:
                raise ValueError(f"staff {one.staff_id}: no branch {', '.join(unknown)}")
        return self


def read_organisation(text: str) -> Organisation:
    """The file's content. Raises OrganisationError that names every fault and its place."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        place = getattr(problem, "problem_mark", None)
        line = f"line {place.line + 1}: " if place is not None else ""
        raise OrganisationError(f"{line}{getattr(problem, 'problem', 'not YAML')}") from None
    try:
        return Organisation.model_validate(content)
    except ValidationError as problem:
        raise OrganisationError(
            "\n".join(
                f"{_place(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in problem.errors(include_url=False)
            )
        ) from None


def changed_branches(known: Mapping[str, Branch], wanted: Organisation) -> list[Branch]:
    """Branches that are new or other than known, and those that are closed by being left out."""
    named = {one.branch: one for one in wanted.branches}
    left_out = [
        one.model_copy(update={"open": False})
        for code, one in known.items()
        if code not in named and one.open
    ]
    return [one for one in wanted.branches if known.get(one.branch) != one] + left_out


def changed_staff(known: Mapping[str, Staff], wanted: Organisation) -> list[Staff]:
    """Staff that are new or other than known, and those who have left."""
    named = {one.staff_id for one in wanted.staff}
    left = [
        one.model_copy(update={"active": False})
        for staff_id, one in known.items()
        if staff_id not in named and one.active
    ]
    return [one for one in wanted.staff if known.get(one.staff_id) != one] + left


def differences(
    old: Branch | Staff | None, new: Branch | Staff
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What an entry said and says, of that in which the two differ; None for nothing before."""
    after = new.model_dump(mode="json")
    if old is None:
        return None, after
    before = old.model_dump(mode="json")
    names = [name for name in after if before[name] != after[name]]
    return {name: before[name] for name in names}, {name: after[name] for name in names}


def _refuse_repeated(name: str, values: Iterable[str]) -> None:
    twice = sorted(value for value, count in Counter(values).items() if count > 1)
    if twice:
        raise ValueError(f"{name} {', '.join(twice)} stands there twice")


def _place(location: tuple[Any, ...]) -> str:
    """`branches[2].region`, counted from 1 as people count."""
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "file"
