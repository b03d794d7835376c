"""Releases of the credit policy: who proposed a version, who approved it, since when it decides.

A version lies in the folder of policies until somebody proposes it; from then on its text is kept
and it is fixed. It decides once another person has approved it and its time has come, and until the
next one's has. Nothing is dated back, and nothing decides that only one person has seen. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.review.case import CaseError
from services.review.policy_cases import Report
from shared.identifiers import new_id

Outcome = Literal["approved", "rejected", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Release:
    """One proposal to let a version decide, and what became of it. `why` and `words` are said about
    the policy, never about a customer. `baseline`: what the installation began with, by nobody's
    decision; there is one."""

    release_id: str
    version: str
    digest: str
    proposed_by: str
    proposed_at: datetime
    effective_from: datetime
    why: str
    outcome: Outcome | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    words: str = ""
    baseline: bool = False

    @property
    def begins(self) -> datetime | None:
        """When it begins to decide; None: never, as far as is known."""
        if self.outcome != "approved":
            return None
        if self.decided_at is None:
            return self.effective_from
        return max(self.effective_from, self.decided_at)


def in_force(releases: Iterable[Release], at: datetime) -> Release | None:
    """The release that decides at that time."""
    begun = [one for one in releases if one.begins and one.begins <= at]
    return max(begun, key=lambda one: (one.begins or at, one.decided_at or at), default=None)


def first(version: str, digest: str, now: datetime) -> Release:
    """What an installation begins with: the newest version that it came with."""
    return Release(
        release_id=new_id(),
        version=version,
        digest=digest,
        proposed_by="",
        proposed_at=now,
        effective_from=now,
        why="",
        outcome="approved",
        decided_at=now,
        baseline=True,
    )


def tried(report: Report) -> None:
    """Whether a version may decide, or run beside the one that does. Raises CaseError where its own
    cases do not hold."""
    if not report.holds:
        raise CaseError("cases-fail", "The policy's own cases do not hold: run `banka policy test`")


def propose(
    releases: Iterable[Release],
    report: Report,
    digest: str,
    *,
    staff_id: str,
    effective_from: datetime,
    why: str,
    now: datetime,
) -> Release:
    """Somebody wants this version to decide from a time on.

    Raises CaseError: its own cases do not hold, the time has passed, it decides already, waits for
    its second person, or why is not said.
    """
    known = list(releases)
    tried(report)
    if not why.strip():
        raise CaseError("no-opinion", "Say what the new version is for")
    if effective_from < now:
        raise CaseError("time-passed", "A policy begins now or later, never in the past")
    if any(one.digest == digest and one.outcome is None for one in known):
        raise CaseError("proposed", "This version waits for its second person already")
    if any(one.version == report.version and one.digest != digest for one in known):
        raise CaseError(
            "version-taken", "Another text was proposed under this version: give it a new number"
        )
    current = in_force(known, now)
    if current is not None and current.digest == digest:
        raise CaseError("in-force", "This version decides already")
    return Release(
        release_id=new_id(),
        version=report.version,
        digest=digest,
        proposed_by=staff_id,
        proposed_at=now,
        effective_from=effective_from,
        why=why.strip(),
    )


def decide(
    release: Release, outcome: Literal["approved", "rejected"], staff_id: str, words: str
) -> None:
    """Whether a second person may approve or reject this. Raises CaseError."""
    if release.outcome is not None:
        raise CaseError("decided", "What becomes of this proposal was decided already")
    if release.proposed_by == staff_id:
        raise CaseError("same-person", "Whoever proposed a policy does not approve it")
    if outcome == "rejected" and not words.strip():
        raise CaseError("no-opinion", "Say why not")


def withdraw(release: Release, staff_id: str) -> None:
    """Whether somebody may take this proposal back. Raises CaseError."""
    if release.outcome is not None:
        raise CaseError("decided", "What becomes of this proposal was decided already")
    if release.proposed_by != staff_id:
        raise CaseError("not-yours", "Only who proposed it takes it back")
