"""The pages of the credit policy: its versions, one version row by row, and what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.review import issuing, words
from services.review.explaining import words_of
from services.review.pages import act_and_say
from services.review.policy import Policy
from services.review.policy_desk import PolicyDesk, Shelf, Standing, unknown
from services.review.policy_folder import Change, compare, tables_of
from services.review.reason_codes import REASONS
from shared.calendar import instant_typed
from shared.messaging import Service
from shared.web import Permission, Scope, Viewer, page, redirect, requires
from shared.web.directory import staff_names
from shared.web.i18n import _, current_language, mark
from shared.web.limits import lenient

# A policy decides on the whole bank's applications: nobody has a part of it.
MayRead = Annotated[Viewer, requires(Permission.POLICY_VIEW, scope=Scope.ALL)]
MayPropose = Annotated[Viewer, requires(Permission.POLICY_PROPOSE, scope=Scope.ALL)]
MayApprove = Annotated[Viewer, requires(Permission.POLICY_APPROVE, scope=Scope.ALL)]

Words = Annotated[str, Form(max_length=500)]
_HERE = "/review/policies"
_HIDDEN_CELLS = ("_id",)
_COLUMNS = (
    *("factor", "band", "points", "rule", "income_share", "cap_share"),
    *("counts_income", "code", "effect", "pricing_class", "when"),
)

REFUSALS: Mapping[str, str] = {
    "cases-fail": mark(
        "The policy's own cases do not hold: it can neither be proposed nor run beside another."
    ),
    "no-opinion": mark("Please say why in words."),
    "time-passed": mark("A policy begins now or later, never in the past."),
    "proposed": mark("This version waits for its second person already."),
    "version-taken": mark("Another text was proposed under this version: give it a new number."),
    "in-force": mark("This version decides already."),
    "decided": mark("What becomes of this proposal was decided already."),
    "same-person": mark("Whoever proposed a policy does not approve it."),
    "not-yours": mark("Only who proposed it takes it back."),
}


def router(service: Service, desk: PolicyDesk) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    _add_reading(routes, service, desk)
    _add_deciding(routes, desk)
    return routes


def _add_reading(routes: APIRouter, service: Service, desk: PolicyDesk) -> None:
    @routes.get("/policies")
    async def page_policies(request: Request, viewer: MayRead) -> Response:
        """Every version, what decides first."""
        shelf = await desk.look()
        async with service.pool.acquire() as conn:
            outlook = await issuing.look(conn, service.clock.now())
        return page(
            request,
            "policies.html",
            shelf=shelf,
            outlook=outlook,
            changes={one.digest: _manifest(one.policy, "changes") for one in shelf.standings},
            people=await _people(service, shelf),
            places=words.POLICY_PLACES,
            may_propose=viewer.may_somewhere(Permission.POLICY_PROPOSE),
        )

    @routes.get("/policies/{digest}")
    async def page_policy(
        request: Request,
        viewer: MayRead,
        digest: str,
        against: Annotated[str, Query(max_length=64), lenient("")] = "",
    ) -> Response:
        """One version row by row, beside another one."""
        shelf = await desk.look()
        standing = next((one for one in shelf.standings if one.digest == digest), None)
        if standing is None:
            raise unknown()
        policy, other = standing.policy, _beside(shelf, standing, against)
        changes = compare(other.policy, policy) if other else []
        return page(
            request,
            "policy.html",
            policy=policy,
            standing=standing,
            others=[(one.digest, one.version) for one in shelf.standings if one.digest != digest],
            other=other,
            changes=[(change, _lines(change)) for change in changes],
            kinds=words.CHANGES,
            said=_manifest(policy, "changes"),
            tables=[(name, rows, _columns(rows)) for name, rows in tables_of(policy).items()],
            changed={(one.table, one.row): one.kind for one in changes},
            table_names=words.POLICY_TABLES,
            column_names=words.POLICY_COLUMNS,
            cell=lambda name, row: _cell(policy, name, row),
            history=[one for one in reversed(shelf.releases) if one.digest == digest],
            people=await _people(service, shelf),
            places=words.POLICY_PLACES,
            shadowed=await desk.was_shadow(digest),
            can=_abilities(standing, viewer),
        )


def _add_deciding(routes: APIRouter, desk: PolicyDesk) -> None:
    @routes.post("/policies/{digest}/propose")
    async def page_propose(
        request: Request,
        viewer: MayPropose,
        digest: str,
        why: Words = "",
        effective_from: Annotated[str, Form(max_length=30)] = "",
    ) -> Response:
        """`effective_from` by the bank's clock; empty: as soon as it is approved."""
        try:
            begins = instant_typed(effective_from)
        except ValueError:
            told = _("Give day and time, as 2026-12-01 08:00.")
            return redirect(request, f"{_HERE}/{digest}", flash=told, tone="danger")
        command = desk.propose(viewer, digest, begins, why)
        return await _act(request, digest, command, _("Proposed. A second person decides now."))

    @routes.post("/policies/{digest}/approve")
    async def page_approve(
        request: Request, viewer: MayApprove, digest: str, why: Words = ""
    ) -> Response:
        command = desk.decide(viewer, digest, "approved", why)
        return await _act(request, digest, command, _("Approved."))

    @routes.post("/policies/{digest}/reject")
    async def page_reject(
        request: Request, viewer: MayApprove, digest: str, why: Words = ""
    ) -> Response:
        command = desk.decide(viewer, digest, "rejected", why)
        return await _act(request, digest, command, _("Rejected."))

    @routes.post("/policies/{digest}/withdraw")
    async def page_withdraw(request: Request, viewer: MayPropose, digest: str) -> Response:
        command = desk.decide(viewer, digest, "withdrawn")
        return await _act(request, digest, command, _("The proposal is taken back."))

    @routes.post("/policies/{digest}/shadow")
    async def page_shadow(
        request: Request,
        viewer: MayPropose,
        digest: str,
        on: Annotated[Literal["yes", "no"], Form()],
    ) -> Response:
        """Run beside the policy that decides, without effect, or no more."""
        command = desk.shadow(viewer, digest, on=on == "yes")
        if on == "yes":
            done = _("It runs beside the policy that decides, without effect.")
            return await _act(request, digest, command, done)
        # what was changed in the archive has no page of its own to go back to
        return await act_and_say(request, _HERE, command, _("It runs no more."), REFUSALS)


async def _act(request: Request, digest: str, command: Any, done: str) -> Response:
    return await act_and_say(request, f"{_HERE}/{digest}", command, done, REFUSALS)


# --- what pages show ---------------------------------------------------------------------------


async def _people(service: Service, shelf: Shelf) -> Mapping[str, str]:
    ids = {who for one in shelf.releases for who in (one.proposed_by, one.decided_by) if who}
    async with service.pool.acquire() as conn:
        return await staff_names(conn, sorted(ids))


def _abilities(standing: Standing, viewer: Viewer) -> dict[str, bool]:
    """What this viewer may do with a version as it stands."""
    release, place = standing.release, standing.place
    own = release is not None and release.proposed_by == viewer.staff_id
    proposes = viewer.may_somewhere(Permission.POLICY_PROPOSE)
    approves = viewer.may_somewhere(Permission.POLICY_APPROVE)
    ready = standing.report is not None and standing.report.holds
    return {
        "propose": proposes and ready and place in ("candidate", "retired", "gone"),
        "decide": approves and place == "proposed" and not own,
        "withdraw": proposes and place == "proposed" and own,
        # begun where its cases hold, ended whatever became of them
        "shadow": proposes and place != "decides" and (ready or standing.shadow_since is not None),
    }


def _beside(shelf: Shelf, standing: Standing, against: str) -> Standing | None:
    """The version to compare with: the one asked for, else the one that it was made from, else the
    one that decides."""
    others = [one for one in shelf.standings if one.digest != standing.digest]
    follows = standing.policy.manifest.get("follows")
    wanted = [
        *(one for one in others if one.digest == against),
        *(one for one in others if one.version == follows),
        *(one for one in others if one.place == "decides"),
    ]
    return wanted[0] if wanted else None


def _manifest(policy: Policy, part: str) -> str:
    said: Mapping[str, str] = policy.manifest.get(part, {})
    return said.get("en" if current_language().startswith("en") else "zh", "")


def _columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What the row says first, then its condition, its note last."""
    there = rows[0] if rows else {}
    # the note of a band would say the band again
    noted = ("_description",) if "band" not in there else ()
    return [name for name in (*_COLUMNS, *noted) if name in there]


def _lines(change: Change) -> list[tuple[str, str, str]]:
    """(column, before, after) of every cell that differs."""
    before, after = change.before or {}, change.after or {}
    names = [*before, *(name for name in after if name not in before)]
    return [
        (name, before.get(name, ""), after.get(name, ""))
        for name in names
        if name not in _HIDDEN_CELLS and before.get(name) != after.get(name)
    ]


def _cell(policy: Policy, name: str, row: Mapping[str, str]) -> tuple[str, str]:
    """(a cell in words where the policy or the catalogue has some, the cell itself)"""
    text = str(row.get(name, ""))
    plain = text.strip("'")
    language = current_language()
    match name:
        case "factor":
            return words_of(policy, "factors", plain, language), plain
        case "band":
            factor = str(row["factor"]).strip("'")
            return words_of(policy, "bands", f"{factor}.{plain}", language), plain
        case "pricing_class":
            return words_of(policy, "pricing", plain, language), plain
        case "code" if plain in REASONS:
            return _(REASONS[plain].words), plain
        case "effect":
            return _(words.EFFECTS.get(plain, plain)), ""
        case "_description":
            # a policy of the first form has its notes in English alone
            return words_of(policy, "notes", str(row["_id"]), language, text), ""
        case "when":
            return "", text
        case _:
            return "", plain
