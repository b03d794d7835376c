"""The pages about all past decisions: replays of a candidate, and what a version without effect
says beside the one in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.review import portfolio_store, words
from services.review.pages import PAGE_SIZE
from services.review.policy_desk import PolicyDesk, unknown
from services.review.policy_pages import MayPropose, MayRead
from services.review.portfolio import GROUPS, NO_CLASS, Tally
from services.review.portfolio_desk import PortfolioDesk, compare_shadow
from services.review.portfolio_store import Run, Wanted
from services.review.reason_codes import REASONS
from services.review.run_pages import EARLIER, Day, RunId, asked, progress, report_file
from shared.calendar import day_of
from shared.identifiers import new_id
from shared.messaging import Service
from shared.parameters import load_figures
from shared.web import Permission, Viewer, page
from shared.web.directory import branch_names, staff_names
from shared.web.i18n import _
from shared.web.limits import lenient
from shared.web.pages import last_page, page_number

Said = Annotated[Literal["", "approve", "refer", "decline"], Query(), lenient("")]
Group = Annotated[str, Query(max_length=40), lenient("")]
Value = Annotated[str, Query(max_length=80), lenient("")]

OUTCOMES = ("approve", "refer", "decline")


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One value of a group. Limits in fen: what the policy alone approved, then and now."""

    value: str
    label: str
    decisions: int
    old: int
    new: int
    old_limit: int
    new_limit: int


def router(service: Service, policies: PolicyDesk, desk: PortfolioDesk) -> APIRouter:
    """The pages of one service instance."""
    routes = APIRouter(prefix="/review", include_in_schema=False)
    _add_replays(routes, service, desk)
    _add_shadow(routes, service, policies, desk)
    return routes


def _add_replays(routes: APIRouter, service: Service, desk: PortfolioDesk) -> None:
    @routes.get("/policies/{digest}/replays")
    async def page_replays(request: Request, viewer: MayRead, digest: str) -> Response:
        """Ask for a replay of a version, and see those of before."""
        policy = await desk.policy(digest)
        async with service.pool.acquire() as conn:
            runs = await portfolio_store.latest_runs(conn, "replay", digest, EARLIER)
            people = await staff_names(conn, sorted({run.asked_by for run in runs}))
        return page(
            request,
            "replays.html",
            policy=policy,
            runs=runs,
            people=people,
            request_id=new_id(),
            may_ask=viewer.may_somewhere(Permission.POLICY_PROPOSE),
        )

    @routes.post("/policies/{digest}/replays")
    async def page_ask(
        request: Request,
        viewer: MayPropose,
        digest: str,
        run_id: RunId,
        since: Day = "",
        until: Day = "",
    ) -> Response:
        """`since`, `until`: days, the last one included; without it until now."""

        async def ask(last: date | None) -> None:
            await desk.ask_replay(viewer, digest, day_of(since), last, run_id)

        return await asked(request, f"/review/policies/{digest}/replays", run_id, until, ask)

    @routes.get("/policies/{digest}/replays/{run_id}")
    async def page_replay(request: Request, viewer: MayRead, digest: str, run_id: str) -> Response:
        """What a replay came to, or how far it is."""
        async with service.pool.acquire() as conn:
            run = await _replay(conn, digest, run_id)
            done = await portfolio_store.progress_of(conn, run_id)
            people = await staff_names(conn, [run.asked_by])
        tally = Tally.from_json(run.tally) if run.tally is not None else None
        return page(
            request,
            "replay.html",
            run=run,
            done=done,
            people=people,
            here=f"/review/policies/{digest}/replays/{run_id}",
            may_take=viewer.may_somewhere(Permission.POLICY_PROPOSE),
            tally=tally,
            facts_until=datetime.fromisoformat(run.asked["facts_until"]),
            outcomes=OUTCOMES,
            said=words.SAID,
            parameters=load_figures(),
            **(_shown_tally(tally) if tally is not None else {}),
        )

    @routes.get("/policies/{digest}/replays/{run_id}/progress")
    async def page_progress(
        request: Request,
        viewer: MayRead,  # noqa: ARG001 - the gate is the point
        digest: str,
        run_id: str,
    ) -> Response:
        """How far it is; once it has ended the whole page is asked for."""
        async with service.pool.acquire() as conn:
            run = await _replay(conn, digest, run_id)
            return await progress(request, conn, run)

    @routes.get("/policies/{digest}/replays/{run_id}/cases")
    async def page_cases(
        request: Request,
        viewer: MayRead,
        digest: str,
        run_id: str,
        old: Said = "",
        new: Said = "",
        group: Group = "",
        value: Value = "",
    ) -> Response:
        """The applications that would have been decided otherwise, as far as the viewer may see
        them."""
        wanted = _wanted(viewer, old, new, group, value)
        number = page_number(request)
        async with service.pool.acquire() as conn:
            run = await _replay(conn, digest, run_id)
            rows, total = await portfolio_store.list_differences(
                conn, run_id, wanted, page=number, page_size=PAGE_SIZE
            )
            branches = await branch_names(conn)
        back = (f"/review/policies/{digest}/replays/{run_id}", _("Replay"))
        version = run.asked["candidate_version"]
        return _page_of_cases(request, version, back, wanted, rows, total, number, branches)

    @routes.get("/policies/{digest}/replays/{run_id}/report")
    async def page_report(
        viewer: MayPropose,  # noqa: ARG001 - the gate is the point
        digest: str,
        run_id: str,
    ) -> Response:
        """The whole report as JSON: the same bytes as `banka policy replay --report` writes."""
        async with service.pool.acquire() as conn:
            run = await _replay(conn, digest, run_id)
            name = f"replay-{run.asked['candidate_version']}-{run_id}"
            return await report_file(conn, run, name)


def _add_shadow(
    routes: APIRouter, service: Service, policies: PolicyDesk, desk: PortfolioDesk
) -> None:
    @routes.get("/policies/{digest}/shadow")
    async def page_shadow_report(
        request: Request,
        viewer: MayRead,  # noqa: ARG001 - the gate is the point
        digest: str,
    ) -> Response:
        """What a version without effect said beside the one in force."""
        policy = await desk.policy(digest)
        async with service.pool.acquire() as conn:
            compared = await compare_shadow(conn, digest)
        return page(
            request,
            "shadow.html",
            policy=policy,
            compared=compared,
            counts=lambda old, new: compared.matrix[old, new],
            since=await policies.shadow_since(digest),
            here=f"/review/policies/{digest}/shadow",
            outcomes=OUTCOMES,
            said=words.SAID,
            reasons=[
                (code, _(REASONS[code].words), found, gone)
                for code, (found, gone) in sorted(
                    compared.reasons.items(), key=lambda one: (-sum(one[1]), one[0])
                )
            ],
        )

    @routes.get("/policies/{digest}/shadow/cases")
    async def page_shadow_cases(
        request: Request,
        viewer: MayRead,
        digest: str,
        old: Said = "",
        new: Said = "",
        group: Group = "",
        value: Value = "",
    ) -> Response:
        """The applications about which both do not say the same."""
        wanted = _wanted(viewer, old, new, group, value)
        number = page_number(request)
        policy = await desk.policy(digest)
        async with service.pool.acquire() as conn:
            rows, total = await portfolio_store.shadow_differences(
                conn, digest, wanted, page=number, page_size=PAGE_SIZE
            )
            branches = await branch_names(conn)
        back = (f"/review/policies/{digest}/shadow", _("Beside the one in force"))
        return _page_of_cases(request, policy.version, back, wanted, rows, total, number, branches)


# --- what pages show ---------------------------------------------------------------------------


async def _replay(conn: Any, digest: str, run_id: str) -> Run:
    run = await portfolio_store.find_run(conn, "replay", run_id)
    if run is None or run.asked["candidate_digest"] != digest:
        raise unknown()
    return run


def _wanted(viewer: Viewer, old: str, new: str, group: str, value: str) -> Wanted:
    """Narrowed to the cases that the viewer may open."""
    if group not in GROUPS or not value:
        group = value = ""
    branches = viewer.reach_of(Permission.REVIEW_VIEW).branch_list
    return Wanted(branches, old, new, group, value)


def _page_of_cases(
    request: Request,
    version: str,
    back: tuple[str, str],
    wanted: Wanted,
    rows: list[Any],
    total: int,
    number: int,
    branches: Mapping[str, str],
) -> Response:
    chosen = [
        *([_("was: %(what)s") % {"what": _(words.SAID[wanted.old])}] if wanted.old else []),
        *([_("would be: %(what)s") % {"what": _(words.SAID[wanted.new])}] if wanted.new else []),
        *([words.value_of(wanted.group, wanted.value)] if wanted.group else []),
    ]
    return page(
        request,
        "differences.html",
        version=version,
        back=back,
        chosen=" · ".join(chosen),
        rows=rows,
        total=total,
        number=min(number, last_page(total, PAGE_SIZE)),
        page_size=PAGE_SIZE,
        branches=branches,
        products=words.product_names(),
        said=words.SAID,
        reasons=REASONS,
    )


def _shown_tally(tally: Tally) -> dict[str, Any]:
    old, new = _scores(tally, "old"), _scores(tally, "new")
    bands = sorted(old.keys() | new.keys())
    return {
        "counts": lambda old, new: tally.matrix[f"{old}>{new}"],
        "groups": [(group, *words.GROUPS[group], _lines(tally, group)) for group in GROUPS],
        "activated": [
            (key, tally.activated[f"{key}:yes"], tally.activated[f"{key}:not yet"])
            for key in sorted({one.rpartition(":")[0] for one in tally.activated})
        ],
        "arrears": sorted(_arrears(tally).items()),
        "stability": tally.stability(load_figures()),
        "declined": _declined(tally),
        "classes": [
            (*(_("none") if one == NO_CLASS else one for one in key.split(">")), count)
            for key, count in sorted(tally.classes.items())
        ],
        "bands": [(_band(one), old[one], new[one]) for one in bands],
        "scores": {
            "legend": {},
            "xAxis": {"type": "category", "data": [_band(one) for one in bands]},
            "yAxis": {"type": "value", "minInterval": 1},
            "series": [
                {"type": "bar", "name": name, "data": [counts[one] for one in bands]}
                for name, counts in ((_("then"), old), (_("candidate"), new))
            ],
        },
    }


def _declined(tally: Tally) -> list[tuple[str, str, int, int]]:
    """(code, its words, declined for it then, by the candidate), the most frequent first."""
    codes = {key.partition(":")[2] for key in tally.declined}
    lines = [
        (code, _(REASONS[code].words), tally.declined[f"old:{code}"], tally.declined[f"new:{code}"])
        for code in codes
    ]
    return sorted(lines, key=lambda line: (-line[2] - line[3], line[0]))


def _arrears(tally: Tally) -> dict[str, Counter[str]]:
    """{way in which decisions would be otherwise, or `same`: {what became of cards: how many}}."""
    ways: dict[str, Counter[str]] = {}
    for key, count in tally.arrears.items():
        way, _sep, found = key.partition(":")
        ways.setdefault(way, Counter())[found] += count
    return ways


def _scores(tally: Tally, which: str) -> Counter[str]:
    return Counter(
        {
            key.partition(":")[2]: count
            for key, count in tally.scores.items()
            if key.startswith(f"{which}:")
        }
    )


def _band(band: str) -> str:
    return _("no score") if band == "none" else f"{int(band)}–{int(band) + 19}"


def _lines(tally: Tally, group: str) -> list[GroupLine]:
    values = sorted({key.split(":")[1] for key in tally.groups if key.startswith(f"{group}:")})

    def counted(value: str, what: str) -> int:
        return tally.groups[f"{group}:{value}:{what}"]

    lines = [
        GroupLine(
            value,
            words.value_of(group, value),
            counted(value, "all"),
            counted(value, "old:approve"),
            counted(value, "new:approve"),
            counted(value, "limit:old"),
            counted(value, "limit:new"),
        )
        for value in values
    ]
    return sorted(lines, key=lambda one: -one.decisions) if group == "reason" else lines
