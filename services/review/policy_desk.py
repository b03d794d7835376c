"""The desk of the credit policy: what risk officers do with its versions, for pages and API alike.

Every command is one transaction in which nobody else changes a release; it stands in the audit log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from services.review import policy_store, releases
from services.review.case import CaseError
from services.review.policy import Policy
from services.review.policy_cases import Report, run_cases
from services.review.policy_folder import Held
from services.review.policy_store import PolicyNotHeldError, PolicyShelf
from services.review.releases import Release, in_force
from shared.messaging import Service
from shared.parameters import ParametersError
from shared.web import Problem, Viewer
from shared.web.audit import record_office

T = TypeVar("T")

_STATUS = {"same-person": 403, "no-opinion": 422, "time-passed": 422, "not-yours": 403}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a version stands: decides, waits (approved, its time has not come), proposed, shadow
    (runs without effect), retired (decided once), candidate (nobody proposed it), gone (rejected or
    taken back). `release`: the one by which it stands there. `report`: what its own cases came to;
    None where it no longer lies in the folder."""

    policy: Policy
    place: str
    release: Release | None
    shadow_since: datetime | None
    report: Report | None

    @property
    def version(self) -> str:
        return self.policy.version

    @property
    def digest(self) -> str:
        return self.policy.digest


@dataclass(frozen=True, slots=True)
class Altered:
    """A version whose text in the archive is not the one that was archived: by it nothing is
    decided and nothing verified. `decides`: it is the one that should."""

    version: str
    digest: str
    decides: bool
    shadow_since: datetime | None


@dataclass(frozen=True, slots=True)
class Shelf:
    """Every version that there is, the newest first. `fault`: why the folder cannot be read."""

    standings: list[Standing]
    releases: list[Release]
    altered: list[Altered]
    fault: str


class PolicyDesk:
    """Commands on versions of the policy. Each raises Problem: 404 for a version that nobody has,
    403, 409 or 422 with a code where it cannot be."""

    def __init__(self, service: Service, shelf: PolicyShelf) -> None:
        self._service = service
        self._shelf = shelf

    async def look(self) -> Shelf:
        """Where every version stands now."""
        now = self._service.clock.now()
        held, fault = await self._held()
        policies, altered = {}, []
        async with self._service.pool.acquire() as conn:
            await self._shelf.begun(conn, now)
            known = await policy_store.all_releases(conn)
            shadowed = await policy_store.shadowed(conn)
            release = in_force(known, now)
            live = release.digest if release else ""
            for digest, version in (await policy_store.archived(conn)).items():
                try:
                    policies[digest] = await self._shelf.policy(conn, digest)
                except PolicyNotHeldError:
                    altered.append(Altered(version, digest, digest == live, shadowed.get(digest)))
        policies |= {one.policy.digest: one.policy for one in held.values()}
        reports = await asyncio.to_thread(self._shelf.reports, held.values())
        standings = [
            _standing(policy, known, live, now, shadowed, reports.get(digest))
            for digest, policy in policies.items()
        ]
        order = ("decides", "waits", "proposed", "candidate", "retired", "gone")
        standings.sort(key=lambda one: _number(one.version), reverse=True)
        standings.sort(key=lambda one: order.index(one.place))
        return Shelf(standings, known, altered, fault)

    async def propose(
        self, viewer: Viewer, digest: str, effective_from: datetime | None, why: str
    ) -> Release:
        """Propose a version of the folder; effective_from None: as soon as it is approved."""
        held = await self._of_folder(digest)
        report = await asyncio.to_thread(run_cases, held)

        def proposed(known: list[Release], now: datetime) -> Release:
            return releases.propose(
                known,
                report,
                digest,
                staff_id=viewer.staff_id,
                effective_from=effective_from or now,
                why=why,
                now=now,
            )

        async with self._service.transaction(actor=viewer.actor) as tx:
            await policy_store.lock_releases(tx.conn)
            known = await policy_store.all_releases(tx.conn)
            release = _allowed(lambda: proposed(known, tx.now))
            await policy_store.archive(tx.conn, held.policy)
            await policy_store.add_release(tx.conn, release)
            said = {
                "version": release.version,
                "digest": digest,
                "effective_from": release.effective_from.isoformat(),
            }
            await record_office(
                tx.conn, tx.now, viewer.actor, "policy-proposed", release.version,
                new=said, why=release.why,
            )  # fmt: skip
        return release

    async def decide(
        self,
        viewer: Viewer,
        digest: str,
        outcome: Literal["approved", "rejected", "withdrawn"],
        words: str = "",
    ) -> Release:
        """Approve, reject or take back the open proposal of a version."""
        async with self._service.transaction(actor=viewer.actor) as tx:
            await policy_store.lock_releases(tx.conn)
            known = await policy_store.all_releases(tx.conn)
            found = next((one for one in reversed(known) if one.digest == digest), None)
            if found is None:
                raise unknown()
            if outcome == "withdrawn":
                _allowed(lambda: releases.withdraw(found, viewer.staff_id))
            else:
                _allowed(lambda: releases.decide(found, outcome, viewer.staff_id, words))
            ended = await policy_store.end_release(
                tx.conn, found, outcome, viewer.staff_id, words, tx.now
            )
            begins = ended.begins
            await record_office(
                tx.conn, tx.now, viewer.actor, f"policy-{outcome}", ended.version,
                new={"version": ended.version, "digest": digest}
                | ({"effective_from": begins.isoformat()} if begins else {}),
                why=ended.words or None,
            )  # fmt: skip
        return ended

    async def shadow(self, viewer: Viewer, digest: str, *, on: bool) -> None:
        """Let a version of the folder run beside the one in force without effect, or no more."""
        held = await self._of_folder(digest) if on else None
        if held is not None:
            report = await asyncio.to_thread(run_cases, held)
            _allowed(lambda: releases.tried(report))
        async with self._service.transaction(actor=viewer.actor) as tx:
            if held is not None:
                await self._shelf.begun(tx.conn, tx.now)
                live = in_force(await policy_store.all_releases(tx.conn), tx.now)
                if live is not None and live.digest == digest:
                    raise _problem(CaseError("in-force", "This version decides already"))
                version = held.policy.version
                done = await policy_store.start_shadow(
                    tx.conn, held.policy, viewer.staff_id, tx.now
                )
            else:
                # whatever runs is archived, be it in the folder or not, and as it was or not
                version = (await policy_store.archived(tx.conn)).get(digest, "")
                if not version:
                    raise unknown()
                done = await policy_store.end_shadow(tx.conn, digest, viewer.staff_id, tx.now)
            if done:
                await record_office(
                    tx.conn, tx.now, viewer.actor,
                    "policy-shadow-started" if on else "policy-shadow-ended", version,
                    new={"version": version, "digest": digest},
                )  # fmt: skip

    async def shadow_since(self, digest: str) -> datetime | None:
        """Since when a version runs beside the one in force; None where it does not."""
        async with self._service.pool.acquire() as conn:
            return (await policy_store.shadowed(conn)).get(digest)

    async def was_shadow(self, digest: str) -> bool:
        """Whether a version runs beside the one in force, or has done so."""
        async with self._service.pool.acquire() as conn:
            return await policy_store.was_shadow(conn, digest)

    async def _held(self) -> tuple[Mapping[str, Held], str]:
        try:
            return await asyncio.to_thread(self._shelf.read), ""
        except ParametersError as error:
            return {}, str(error)

    async def _of_folder(self, digest: str) -> Held:
        held, _fault = await self._held()
        for one in held.values():
            if one.policy.digest == digest:
                return one
        raise unknown()


def _standing(
    policy: Policy,
    known: list[Release],
    live: str,
    now: datetime,
    shadowed: Mapping[str, datetime],
    report: Report | None,
) -> Standing:
    digest = policy.digest
    own = [one for one in known if one.digest == digest]
    last = own[-1] if own else None
    waiting = [one for one in own if one.begins and one.begins > now]
    begun = [one for one in own if one.begins and one.begins <= now]
    release = last
    if live == digest:
        place, release = "decides", in_force(known, now)
    elif waiting:
        place, release = "waits", waiting[-1]
    elif last is not None and last.outcome is None:
        place = "proposed"
    elif begun:
        place, release = "retired", begun[-1]
    elif last is not None:
        place = "gone"
    else:
        place = "candidate" if report is not None else "retired"
    return Standing(policy, place, release, shadowed.get(digest), report)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _allowed(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except CaseError as error:
        raise _problem(error) from error


def _problem(error: CaseError) -> Problem:
    return Problem(_STATUS.get(error.code, 409), error.code, error.words)


def unknown() -> Problem:
    """For a version that nobody has."""
    return Problem(404, "not-found", "There is no such version of the policy")
