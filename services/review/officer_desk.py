"""The workload: who has how much, who is away, who takes which products; for pages and API.

Whoever may sign sees the officers with whom they share a branch; an officer sees oneself. What is
changed of an officer stands in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date

from services.review import officer_store
from services.review.officers import Away, Load, Officer
from shared.calendar import business_day
from shared.messaging import Service
from shared.parameters import load_products
from shared.web import Permission, Problem, Viewer
from shared.web.audit import record_office


@dataclass(frozen=True, slots=True)
class Line:
    """An officer with what they have, and what the viewer may change of them."""

    officer: Officer
    load: Load
    away: bool
    may_mark_away: bool
    may_choose_products: bool
    may_take_over: bool
    left: bool = False  # claims no more, and has something open still


@dataclass(frozen=True, slots=True)
class Workload:
    """The officers whom the viewer sees, and what is nobody's."""

    lines: list[Line]
    nobodys: Load
    today: date


class OfficerDesk:
    """Commands on officers. Each raises Problem: 404 for an officer whom the viewer does not see,
    403 for what they may not change, 422 for days or products that cannot be."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def look(self, viewer: Viewer) -> Workload:
        """Who has how many. Raises Problem 403 for who neither is an officer nor may see one."""
        now = self._service.clock.now()
        async with self._service.pool.acquire() as conn:
            known = await officer_store.officers(conn)
            loads = await officer_store.loads(
                conn, viewer.branch_list, now, knows_holds=viewer.knows_holds
            )
            ids = {one.staff_id for one in known}
            gone = [one for one in loads if one is not None and one not in ids]
            left = await officer_store.holders(conn, gone)
        today = business_day(now)
        lines = [
            Line(
                one,
                loads.get(one.staff_id, Load()),
                one.away_on(today),
                may_mark_away(viewer, one),
                may_choose_products(viewer, one),
                one.stood_in_for_by(viewer.staff_id, today),
            )
            for one in known
            if sees(viewer, one) or one.stood_in_for_by(viewer.staff_id, today)
        ]
        lines += [
            Line(
                one,
                loads[one.staff_id],
                away=one.away_on(today),
                may_mark_away=False,
                may_choose_products=False,
                may_take_over=one.stood_in_for_by(viewer.staff_id, today),
                left=True,
            )
            for one in left
            if may_see_others(viewer) or one.stood_in_for_by(viewer.staff_id, today)
        ]
        # by name; whoever is late or will be stands first
        lines.sort(key=lambda one: (-one.load.overdue, -one.load.today, -one.load.open))
        if not lines and not may_see_others(viewer):
            raise Problem(403, "not-permitted", "You may not do this")
        return Workload(lines, loads.get(None, Load()), today)

    async def mark_away(self, viewer: Viewer, staff_id: str, away: Away | None) -> None:
        """From when to when an officer is away, and who stands in for them; None: they are
        there."""
        today = business_day(self._service.clock.now())
        if away is not None and (away.last < away.first or away.last < today):
            raise Problem(422, "time-passed", "The last day is before the first, or has passed")

        def changed(one: Officer, others: Mapping[str, Officer]) -> Officer:
            if not may_mark_away(viewer, one):
                raise Problem(403, "not-permitted", "You may not do this")
            if away is not None and away.deputy is not None:
                deputy = others.get(away.deputy)
                if deputy is None or not may_stand_in(deputy, one, away):
                    raise Problem(422, "no-deputy", "The other officer is away, or elsewhere")
            return replace(one, away=away)

        await self._change(viewer, staff_id, "officer-away", changed)

    async def choose_products(
        self, viewer: Viewer, staff_id: str, products: Collection[str] | None
    ) -> None:
        """Which products an officer takes; None: every one, those to come too."""
        if products is not None and not set(products) <= load_products().keys():
            raise Problem(422, "unknown-product", "There is no such product")

        def changed(one: Officer, _others: Mapping[str, Officer]) -> Officer:
            if not may_choose_products(viewer, one):
                raise Problem(403, "not-permitted", "You may not do this")
            return replace(one, products=None if products is None else frozenset(products))

        await self._change(viewer, staff_id, "officer-products", changed)

    async def _change(
        self,
        viewer: Viewer,
        staff_id: str,
        action: str,
        change: Callable[[Officer, Mapping[str, Officer]], Officer],
    ) -> None:
        async with self._service.transaction(actor=viewer.actor) as tx:
            await officer_store.lock(tx.conn)
            known = {one.staff_id: one for one in await officer_store.officers(tx.conn)}
            before = known.get(staff_id)
            if before is None or not sees(viewer, before):
                raise Problem(404, "not-found", "There is no such officer")
            after = change(before, known)
            await officer_store.save(tx.conn, after)
            old, new = _told(before, known), _told(after, known)
            differs = [name for name in new if old[name] != new[name]]
            if differs:
                await record_office(
                    tx.conn,
                    tx.now,
                    viewer.actor,
                    action,
                    staff_id,
                    old={name: old[name] for name in differs},
                    new={name: new[name] for name in differs},
                )


def _told(one: Officer, known: Mapping[str, Officer]) -> dict[str, str]:
    """What is kept of an officer, as the audit log has it."""
    deputy = one.away.deputy if one.away else None
    return {
        "away_from": one.away.first.isoformat() if one.away else "—",
        "away_to": one.away.last.isoformat() if one.away else "—",
        "deputy": "—" if deputy is None else known[deputy].name if deputy in known else deputy,
        "products": "*" if one.products is None else ", ".join(sorted(one.products)) or "—",
    }


def may_see_others(viewer: Viewer) -> bool:
    """Whether somebody sees more than their own line: who may sign, or manages staff."""
    return any(
        viewer.may_somewhere(one) for one in (Permission.REVIEW_SIGN, Permission.STAFF_MANAGE)
    )


def sees(viewer: Viewer, one: Officer) -> bool:
    """Whether the officer is the viewer, or the viewer may change something of them."""
    return (
        one.staff_id == viewer.staff_id
        or may_mark_away(viewer, one)
        or may_choose_products(viewer, one)
    )


def may_stand_in(deputy: Officer, one: Officer, away: Away) -> bool:
    """Whether another officer can take over somebody's cases on those days: they claim cases of one
    of the same branches at least, and are not away then themselves."""
    shared = deputy.reach & one.reach
    return (
        deputy.staff_id != one.staff_id
        and deputy.member.active
        and shared.branches != frozenset()
        and not deputy.away_within(away.first, away.last)
    )


def may_mark_away(viewer: Viewer, one: Officer) -> bool:
    """Oneself, or whose cases the viewer may give to others."""
    shared = one.reach & viewer.reach_of(Permission.REVIEW_SIGN)
    return one.staff_id == viewer.staff_id or shared.branches != frozenset()


def may_choose_products(viewer: Viewer, one: Officer) -> bool:
    """Who manages every branch to which the officer belongs."""
    branches = None if one.member.sees_every_branch else one.member.branches
    reach = viewer.reach_of(Permission.STAFF_MANAGE)
    return reach.branches != frozenset() and reach.covers_all(branches)
