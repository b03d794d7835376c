"""The desk of questions about all past decisions, and the loop that answers them in the background.

A question is cut into parts when it is asked. Each process of review does one part at a time in a
process of its own, so that its own work goes on; a part belongs to whoever has its row, and is free
again when that process dies.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date, datetime
from typing import Any

import structlog

from services.review import policy_store, portfolio_runs, portfolio_store, replay
from services.review.drift import Drift, Step
from services.review.policy import Policy
from services.review.policy_desk import unknown
from services.review.policy_store import PolicyShelf
from services.review.portfolio import Comparison, Place
from services.review.portfolio_runs import Question, Report
from services.review.portfolio_store import Run
from services.review.replay import Replay
from shared.calendar import span_of
from shared.messaging import Service
from shared.messaging.errors import is_infrastructure, one_line
from shared.parameters import ParametersError, load_figures
from shared.settings import Settings
from shared.web import Problem, Viewer
from shared.web.audit import record_office

LOOK_SECONDS = 1.0  # between two looks for a question
AGAIN_SECONDS = 5.0  # after something was away

log = structlog.get_logger(__name__)


class PortfolioDesk:
    """Commands of whoever asks. Each raises Problem: 404 for a version that nobody has, 422 with a
    code where the span of days is none."""

    def __init__(self, service: Service, shelf: PolicyShelf) -> None:
        self._service = service
        self._shelf = shelf

    async def ask_replay(
        self, viewer: Viewer, digest: str, first: date | None, last: date | None, run_id: str
    ) -> None:
        """Ask a candidate about the decisions of these days (last None: until now), in the
        background; `run_id` is the request's: a second time it asks nothing."""
        candidate = await self.policy(digest)
        async with self._service.transaction(actor=viewer.actor) as tx:
            since, until = _span(first, last, tx.now)
            known = portfolio_runs.settled(tx.now)
            question = await replay.ask(tx.conn, candidate, since, until, known)
            await self._begin(tx, viewer, "replay", question, run_id, question.source)

    async def ask_drift(
        self, viewer: Viewer, first: date | None, base_last: date | None, last: date | None,
        step: Step, run_id: str,
    ) -> None:  # fmt: skip
        """Ask who was approved, and how far scores are from those of the days `first` to
        `base_last`; the days after that until `last` (None: until now) are held against them."""
        async with self._service.transaction(actor=viewer.actor) as tx:
            since, until = _span(first, last, tx.now)
            _since, base_until = _span(first, base_last, tx.now)
            if base_last is None or base_until >= until:
                raise Problem(422, "no-span", "The base period has to end before the other begins")
            question = await drift_between(tx.conn, since, base_until, until, step)
            await self._begin(tx, viewer, "drift", question, run_id)

    async def _begin(
        self,
        tx: Any,
        viewer: Viewer,
        kind: str,
        question: Question,
        run_id: str,
        source: str | None = None,
    ) -> None:
        asked = question.as_json()
        run = Run(
            run_id, kind, asked, source, viewer.staff_id, tx.now,
            ended_at=None, fault=None, tally=None, closed=None, sha256=None,
        )  # fmt: skip
        begins = await portfolio_runs.batches(tx.conn, question)
        if await portfolio_store.begin_run(tx.conn, run, begins):
            subject = asked.get("candidate_version", kind)
            told = {name: asked[name] for name in ("since", "until", "decisions")}
            await record_office(
                tx.conn, tx.now, viewer.actor, f"portfolio-{kind}-asked", subject, new=told
            )

    async def policy(self, digest: str) -> Policy:
        """The policy of that digest, of the folder or of the archive."""
        try:
            held = await asyncio.to_thread(self._shelf.read)
        except ParametersError:
            held = {}  # the page of policies says what is wrong with the folder
        for one in held.values():
            if one.policy.digest == digest:
                return one.policy
        async with self._service.pool.acquire() as conn:
            if digest not in await policy_store.archived(conn):
                raise unknown()
            return await self._shelf.policy(conn, digest)


def _span(first: date | None, last: date | None, now: datetime) -> tuple[datetime, datetime]:
    since, until = span_of(first, last)
    settled = portfolio_runs.settled(now)
    until = settled if until is None else min(until, settled)
    if since is None or since >= until:
        raise Problem(422, "no-span", "The days are none, or lie in the future")
    return since, until


async def drift_between(
    conn: Any, since: datetime, base_until: datetime, until: datetime, step: Step
) -> Drift:
    """The question about these decisions, grouped as the parameters say."""
    parameters = load_figures()
    decisions = await portfolio_runs.count(conn, since, until)
    return Drift(
        since, base_until, until, step, tuple(parameters.groups), parameters.score_band, decisions
    )


async def compare_shadow(conn: Any, digest: str) -> Comparison:
    """What a version without effect would have decided beside the one in force."""
    compared = Comparison()
    for row in await portfolio_store.shadow_counts(conn, digest):
        if row["live_outcome"] is None:
            compared.uncompared += row["applications"]
        else:
            compared.add(row)
    return compared


def question_of(run: Run) -> Question:
    """What a run is about."""
    if run.kind == "drift":
        return Drift.from_json(run.asked)
    assert run.source is not None
    return Replay.from_json(run.asked, run.source)


async def report_of(conn: Any, run: Run) -> Report:
    """The report of a run of which every part is done."""
    question = question_of(run)
    whole = Report(question, question.tally())
    for tally, closed in await portfolio_store.parts_of(conn, run.run_id):
        whole.tally.take(question.tally(tally))
        whole.closed += closed
    whole.differences = await portfolio_store.differences_of(conn, run.run_id)
    return whole


class PortfolioLoop:
    """One process's share of the work."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._processes: ProcessPoolExecutor | None = None
        self._of = ""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                pause = LOOK_SECONDS
                try:
                    if await self.step():
                        continue
                except Exception as error:  # noqa: BLE001 - the database is away: others say so
                    log.warning("portfolio not asked yet", error=one_line(error))
                    pause = AGAIN_SECONDS
                self._close()
                await asyncio.sleep(pause)
        finally:
            self._close()

    async def step(self) -> bool:
        """Do one part, or end one run; False where there is nothing to do."""
        async with self._service.pool.acquire() as conn, conn.transaction():
            found = await portfolio_store.next_part(conn)
            if found is None:
                return await self._end(conn)
            run, number, begin, end = found
            try:
                part = await self._ask(run, number, begin, end)
            except Exception as error:
                if isinstance(error, BrokenProcessPool) or is_infrastructure(error):
                    raise
                # what the policy says about a table is about the policy; all else may have a value
                fault = str(error) if isinstance(error, ValueError) else type(error).__name__
                log.warning("portfolio run ended with a fault", run_id=run.run_id, error=fault)
                now = self._service.clock.now()
                await portfolio_store.end_run(conn, run.run_id, now, fault=fault)
                return True
            await portfolio_store.save_part(
                conn,
                run.run_id,
                part.number,
                tally=part.tally.as_json(),
                closed=part.closed,
                decisions=part.decisions,
                differences=part.differences,
            )
        return True

    async def _ask(self, run: Run, number: int, begin: Place, end: Place) -> Any:
        if self._of != run.run_id:
            self._close()
        if self._processes is None:
            self._processes = portfolio_runs.asking(
                self._settings, self._service.database, question_of(run), processes=1
            )
            self._of = run.run_id
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._processes, portfolio_runs.ask_batch, number, begin, end
        )

    async def _end(self, conn: Any) -> bool:
        run = await portfolio_store.done_run(conn)
        if run is None:
            return False
        whole = await report_of(conn, run)
        digest = await asyncio.to_thread(lambda: whole.sha256)
        await portfolio_store.end_run(
            conn,
            run.run_id,
            self._service.clock.now(),
            tally=whole.tally.as_json(),
            closed=whole.closed,
            sha256=digest,
        )
        return True

    def _close(self) -> None:
        if self._processes is not None:
            self._processes.shutdown(wait=False, cancel_futures=True)
            self._processes, self._of = None, ""
