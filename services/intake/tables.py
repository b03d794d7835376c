"""Branches' tables that are looked at first: kept, looked at row by row, and taken once somebody
has said so.

Looking and taking go on in the background, chunk by chunk, each in one transaction with what is
kept of its rows. Whatever dies on the way, the rows say where it was.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import structlog

from services.intake import store, store_batches
from services.intake.application import Application
from services.intake.batch import Row, RowProblem, findings, read_batch
from services.intake.batches import NoTableError
from services.intake.desk import Desk, seer
from services.intake.form import ApplicationForm
from services.intake.spreadsheet import BatchRefused
from services.intake.store_batches import Batch, BatchRow, RowState, TakenRow
from shared.calendar import CalendarEndsError, business_day
from shared.events.lifecycle import State
from shared.identifiers import new_id
from shared.messaging import Service, Transaction
from shared.messaging.errors import is_infrastructure, one_line
from shared.messaging.waking import woken
from shared.parameters import UnknownVersionError, load_clocks, product_on
from shared.privacy.bank_key import BankKey, BankKeyError
from shared.privacy.passing import PassingKey
from shared.privacy.vault import KeyUnavailableError
from shared.web import Problem, Viewer
from shared.web.audit import record_view

LARGEST_FILE = 8 * 1024 * 1024  # bytes
_CHECKED_AT_ONCE = 500
_TAKEN_AT_ONCE = 200
_POLL_SECONDS = 2.0  # for a table that another process left
_PAUSE_SECONDS = 2.0  # before it is tried again, where the database is away
_SWEEP_SECONDS = 60.0
# after these the same row may be meant anew; otherwise it has its application
_GIVEN_UP = [State.WITHDRAWN.value, State.EXPIRED.value]

# the rows that are next in a table of this state
_WAITING: Mapping[str, RowState] = {"checking": "new", "taking": "good"}
_STOPS: Mapping[type[Exception], str] = {
    CalendarEndsError: "calendar-ends",
    UnknownVersionError: "parameters-missing",
    BankKeyError: "key-missing",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A table as people look at it: {state: rows}, and a page of the rows that matter now."""

    batch: Batch
    counts: Mapping[RowState, int]
    bad: Sequence[BatchRow] = ()
    taken: Sequence[TakenRow] = ()

    @property
    def steps(self) -> tuple[int, int]:
        """How many rows are through, and of how many, in what goes on now."""
        done, good = self.counts.get("taken", 0), self.counts.get("good", 0)
        if self.batch.state == "checking":
            return self.batch.rows - self.counts.get("new", 0), self.batch.rows
        return done, done + good


class Tables:
    """Branches' tables: kept, looked at row by row, and taken once somebody has said so."""

    def __init__(self, service: Callable[[], Service], desk: Desk, bank_key: BankKey) -> None:
        self._find_service = service
        self._desk = desk
        self._bank_key = bank_key
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()  # one file at a time: a large one takes a core for seconds
        self._swept = -_SWEEP_SECONDS

    @property
    def _service(self) -> Service:
        # asked for late: the service runs these tables' work
        return self._find_service()

    # -- what people do ---------------------------------------------------------------------------

    async def keep(self, viewer: Viewer, content: bytes, branch: str) -> tuple[Batch, bool]:
        """Keep a table to be looked at, and whether it is new: the same file again is the same
        table. Raises NoTableError, and Problem 422 for a branch that is not the viewer's."""
        async with self._service.pool.acquire() as conn:
            region = await store.region_of(conn, branch)
        if region is None or not viewer.sees(branch):
            raise Problem(422, "unknown-branch", "There is no such branch, or it is closed")
        # to a program that sees its own alone, another's table is none that is there
        own = [] if viewer.own_client is None else [viewer.own_client]
        digest = self._desk.digest("table", branch, content, *own)
        async with self._service.pool.acquire() as conn:
            known = await store_batches.of_file(conn, branch, digest)
        if known is not None:
            return known, False
        key = PassingKey.make(self._bank_key, new_id())
        try:
            async with self._reading:
                rows = await asyncio.to_thread(self._read, content, branch, key)
        except BatchRefused as error:
            raise NoTableError(error) from None
        async with self._service.transaction(actor=viewer.actor) as tx:
            batch = Batch(
                batch_id=key.subject,
                branch=branch,
                digest=digest,
                state="checking",
                stopped=None,
                rows=len(rows),
                uploaded_by=viewer.actor,
                uploaded_at=tx.now,
                taken_by=None,
                ended_at=None,
                keep_until=kept_until(tx.now),
                bank_key_id=key.bank_key_id,
                wrapped=key.wrapped,
            )
            added = await store_batches.add(tx.conn, batch, rows)
        if added:
            log.info("table kept", batch_id=batch.batch_id, branch=branch, rows=len(rows))
            self._wake.set()
            return batch, True
        async with self._service.pool.acquire() as conn:
            known = await store_batches.of_file(conn, branch, digest)
        assert known is not None  # somebody loaded it at the same moment
        return known, False

    async def recent(self, viewer: Viewer, most: int = 20) -> list[Batch]:
        """The latest tables of the viewer's branches."""
        async with self._service.pool.acquire() as conn:
            return await store_batches.recent(conn, viewer.branch_list, _own(viewer), most)

    async def look(
        self, viewer: Viewer, batch_id: str, *, page: int = 1, page_size: int = 0
    ) -> Shown:
        """The table, with a page of its bad rows and of those that are applications. Raises Problem
        404."""
        async with (
            self._service.pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            batch = _visible(await store_batches.find(conn, batch_id), viewer)
            counts = await store_batches.counts(conn, batch_id)
            if not page_size:
                return Shown(batch, counts)
            wanted = {"page": page, "page_size": page_size}
            return Shown(
                batch,
                counts,
                await store_batches.page_of_bad(conn, batch_id, **wanted),
                await store_batches.page_of_taken(conn, batch_id, **wanted),
            )

    async def take_good(self, viewer: Viewer, batch_id: str) -> Batch:
        """Have the good rows taken; asked twice it is done once. Raises Problem 404, and 409 where
        nobody has looked at the rows yet, or they are forgotten."""
        async with self._service.transaction(actor=viewer.actor) as tx:
            batch = _visible(await store_batches.lock(tx.conn, batch_id), viewer)
            if batch.state in ("taking", "done"):
                return batch
            if batch.state != "checked":
                raise Problem(409, "not-checked", "The rows are not looked at, or forgotten")
            await store_batches.move(tx.conn, batch_id, "taking", taken_by=viewer.actor)
        log.info("table to be taken", batch_id=batch_id, actor=viewer.actor)
        self._wake.set()
        return replace(batch, state="taking", taken_by=viewer.actor)

    async def bad_rows(
        self, viewer: Viewer, batch_id: str
    ) -> list[tuple[Mapping[str, str], list[dict[str, Any]]]]:
        """What stands in the rows that were not taken ({column: text}), with what is wrong; that
        somebody took it away is recorded. Raises Problem 404, 409."""
        async with self._service.transaction(actor=viewer.actor) as tx:
            batch = _visible(await store_batches.find(tx.conn, batch_id), viewer)
            if batch.wrapped is None:
                raise Problem(409, "forgotten", "What stood in the rows is not kept any more")
            rows = await store_batches.rows_in(tx.conn, batch_id, "bad", batch.rows)
            await record_view(tx.conn, None, seer(viewer), f"table {batch_id}", tx.now)
        key = self._key(batch)
        return [(_opened(key, row)["cells"], row.problems) for row in rows if row.cells]

    # -- the work itself --------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled: look at what was loaded, take what was said to be taken."""
        while True:
            self._wake.clear()
            try:
                worked = await self._go_on()
                await self._sweep()
            except Exception as error:  # noqa: BLE001 - the database is away: others say so
                # of any other error not even the words: they may quote what was written
                told = one_line(error) if is_infrastructure(error) else type(error).__name__
                log.warning("tables wait", error=told)
                worked = False
                await asyncio.sleep(_PAUSE_SECONDS)
            if not worked:
                await woken(self._wake, _POLL_SECONDS)

    async def _go_on(self) -> bool:
        """One chunk of each table that nobody else works on; False where there was none."""
        passed: list[str] = []
        worked = False
        while True:
            async with self._service.pool.acquire() as conn:
                batch = await store_batches.next_batch(conn, passed)
            if batch is None:
                return worked
            passed.append(batch.batch_id)
            most = _CHECKED_AT_ONCE if batch.state == "checking" else _TAKEN_AT_ONCE
            try:
                worked |= await self._chunk(batch, most)
            except tuple(_STOPS) as error:
                await self._stop(batch, error)
            except Exception as error:
                if is_infrastructure(error):
                    raise
                await self._one_by_one(batch, most)
                worked = True

    async def _one_by_one(self, batch: Batch, count: int) -> None:
        """A chunk in which some row fails, so that it keeps no other from being taken."""
        for _ in range(count):
            row = await self._next_row(batch)
            try:
                if not await self._chunk(batch, 1):
                    return
            except tuple(_STOPS) as error:
                await self._stop(batch, error)
                return
            except Exception as error:
                if is_infrastructure(error):
                    raise
                code = "erased" if isinstance(error, KeyUnavailableError) else "not-possible"
                log.error("row not taken", batch_id=batch.batch_id, error=type(error).__name__)
                await self._give_up(batch, row, code)

    async def _next_row(self, batch: Batch) -> int | None:
        """The row that is next."""
        async with self._service.pool.acquire() as conn:
            rows = await store_batches.rows_in(conn, batch.batch_id, _WAITING[batch.state], 1)
        return rows[0].row if rows else None

    async def _give_up(self, batch: Batch, row: int | None, code: str) -> None:
        """This row cannot be done; nothing where another process has gone on meanwhile."""
        async with self._service.transaction() as tx:
            now = await store_batches.lock(tx.conn, batch.batch_id)
            if now is None or now.state != batch.state:
                return
            rows = await store_batches.rows_in(tx.conn, batch.batch_id, _WAITING[now.state], 1)
            bad = [
                replace(one, state="bad", problems=[*one.problems, _kept(RowProblem("", code))])
                for one in rows
                if one.row == row
            ]
            await store_batches.save_rows(tx.conn, batch.batch_id, bad)

    async def _stop(self, batch: Batch, error: Exception) -> None:
        """The rows wait until somebody has them taken again; nothing is wrong with them."""
        code = next(code for kind, code in _STOPS.items() if isinstance(error, kind))
        log.error("table stopped", batch_id=batch.batch_id, code=code, error=one_line(error))
        async with self._service.transaction() as tx:
            now = await store_batches.lock(tx.conn, batch.batch_id)
            if now is not None and now.state == "taking":
                await store_batches.move(tx.conn, batch.batch_id, "checked", stopped=code)

    async def _chunk(self, batch: Batch, most: int) -> bool:
        """The next rows, in one transaction with what becomes of them. The table is locked
        meanwhile: of two processes one passes it over, and one that dies lets go of it. False where
        there was nothing to do."""
        async with self._service.transaction(actor=batch.taken_by) as tx:
            now = await store_batches.lock_free(tx.conn, batch.batch_id)
            if now is None or (now.state, now.taken_by) != (batch.state, batch.taken_by):
                return False
            if now.state == "checking":
                return await self._check(tx, now, most)
            return await self._take(tx, now, most)

    async def _check(self, tx: Transaction, batch: Batch, most: int) -> bool:
        rows = await store_batches.rows_in(tx.conn, batch.batch_id, "new", most)
        if not rows:
            await store_batches.move(tx.conn, batch.batch_id, "checked")
            return True
        key, today = self._key(batch), business_day(tx.now)
        region = await store.region_of(tx.conn, batch.branch) or ""
        drafts = {row.row: _draft_of(_opened(key, row)) for row in rows}
        refusals = await self._refusals(tx, [d.form for d in drafts.values() if d.form], today)
        before = await store_batches.taken_before(
            tx.conn, [row.content for row in rows if row.content], _GIVEN_UP
        )
        first = await store_batches.first_of(
            tx.conn, batch.batch_id, [row.who for row in rows if row.who]
        )
        checked = []
        for row in rows:
            draft = drafts[row.row]
            found = findings(
                Row(row.row, None, draft.problems, {}, draft.form, draft.guessed), today, region
            )
            problems = [*row.problems, *map(_kept, found)]
            if not problems and row.content in before:
                taken = before[row.content]
                checked.append(replace(row, state="known", application_id=taken))
                continue
            if draft.form is not None and not draft.guessed:
                number = _number(draft.form)
                codes = refusals.get((number, draft.form.product), ())
                problems += [_kept(RowProblem("id_number", code)) for code in codes]
            if row.who is not None and row.who in first:
                problems.append(_kept(RowProblem("id_number", "SAME_PERSON", "", first[row.who])))
            if not problems and row.who is not None:
                first[row.who] = row.row
            checked.append(replace(row, state="bad" if problems else "good", problems=problems))
            await asyncio.sleep(0)  # others wait for this process, too
        await store_batches.save_rows(tx.conn, batch.batch_id, checked)
        return True

    async def _refusals(
        self, tx: Transaction, forms: Sequence[ApplicationForm], today: date
    ) -> dict[tuple[str, str], list[str]]:
        """{(ID number, product): return codes} of what stands against wishes of persons whom the
        office knows."""
        numbers = {_number(form) for form in forms} - {""}
        persons = await self._desk.persons(numbers)
        standings = await store.standings_of(tx.conn, persons.values())
        found = {}
        for form in forms:
            standing = standings.get(persons.get(_number(form), ""))
            product = product_on(form.product, today)
            if standing is not None and product is not None:
                found[_number(form), form.product] = standing.refusals(product, today)
        return found

    async def _take(self, tx: Transaction, batch: Batch, most: int) -> bool:
        rows = await store_batches.rows_in(tx.conn, batch.batch_id, "good", most)
        if not rows:
            await store_batches.move(tx.conn, batch.batch_id, "done", ended_at=tx.now)
            counts = await store_batches.counts(tx.conn, batch.batch_id)
            log.info("table taken", batch_id=batch.batch_id, detail=counts)
            return True
        region = await store.region_of(tx.conn, batch.branch)
        if region is None:
            await store_batches.move(tx.conn, batch.batch_id, "checked", stopped="unknown-branch")
            return True
        key = self._key(batch)
        forms: dict[str, tuple[BatchRow, ApplicationForm]] = {}
        for row in rows:
            form = _draft_of(_opened(key, row)).form
            assert form is not None  # it was found good
            # of a person's two wishes the second is looked at when the first is there
            forms.setdefault(_number(form), (row, form))
        sealed = await self._desk.seal_many([form for _, form in forms.values()])
        entries = [(form, one) for (_, form), one in zip(forms.values(), sealed, strict=True)]
        client = _client_of(batch.taken_by)
        # who loaded the table entered what stands in it, whoever has it taken: four eyes see that
        outcome = await self._desk.begin_many(
            tx, entries, region, entered_by=batch.uploaded_by, client=client
        )
        done = [
            replace(row, state="taken", application_id=one.application_id)
            if isinstance(one, Application)
            else replace(
                row,
                state="bad",
                problems=[_kept(RowProblem("id_number", code)) for code in one],
            )
            for (row, _), one in zip(forms.values(), outcome, strict=True)
        ]
        await store_batches.save_rows(tx.conn, batch.batch_id, done)
        return True

    async def _sweep(self) -> None:
        """Forget what is kept no longer."""
        if time.monotonic() - self._swept < _SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        async with self._service.transaction() as tx:
            closed = await store_batches.close_old(tx.conn, tx.now)
        if closed:
            log.info("tables forgotten", count=len(closed))

    # -- inside -----------------------------------------------------------------------------------

    def _read(self, content: bytes, branch: str, key: PassingKey) -> list[BatchRow]:
        """The rows of a file, sealed. Raises BatchRefused."""
        kept = []
        for row in read_batch(content, branch=branch):
            draft = row.draft
            text = {
                "cells": row.cells,
                "draft": None if draft is None else draft.model_dump_json(),
                "guessed": sorted(row.guessed),
                "problems": [one.field for one in row.problems],
            }
            digest = self._desk.digest
            known = draft is not None and not row.guessed and _number(draft) != ""
            kept.append(
                BatchRow(
                    row=row.number,
                    state="new",
                    who=digest("who", _number(draft), draft.product) if known and draft else None,
                    content=digest("row", branch, draft.model_dump_json())
                    if row.form is not None and draft is not None
                    else None,
                    problems=list(map(_kept, row.problems)),
                    cells=key.seal(str(row.number), json.dumps(text, ensure_ascii=False)),
                )
            )
        return kept

    def _key(self, batch: Batch) -> PassingKey:
        assert batch.bank_key_id is not None and batch.wrapped is not None  # noqa: PT018
        return PassingKey.unwrap(self._bank_key, batch.batch_id, batch.bank_key_id, batch.wrapped)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What was read of a row's form, and which columns were told already."""

    form: ApplicationForm | None
    guessed: frozenset[str]
    problems: tuple[RowProblem, ...]


def _opened(key: PassingKey, row: BatchRow) -> Any:
    assert row.cells is not None
    return json.loads(key.open(str(row.row), row.cells))


def _draft_of(opened: Any) -> _Draft:
    text = opened["draft"]
    return _Draft(
        None if text is None else ApplicationForm.model_validate_json(text),
        frozenset(opened["guessed"]),
        tuple(RowProblem(name, "") for name in opened["problems"]),
    )


def _kept(problem: RowProblem) -> dict[str, Any]:
    """A problem as it is kept: no words, which are the reader's, and no value."""
    kept: dict[str, Any] = {"field": problem.field, "code": problem.code}
    return kept if problem.other is None else {**kept, "other": problem.other}


def kept_until(now: datetime) -> datetime:
    """Until when a table that is loaded now is kept, for its bad rows to be mended."""
    return now + timedelta(days=load_clocks().table_days)


def _number(form: ApplicationForm) -> str:
    return form.applicant.number or ""


def _own(viewer: Viewer) -> str | None:
    """Whose tables alone the viewer sees; None for anybody's."""
    return None if viewer.own_client is None else viewer.actor


def _client_of(actor: str | None) -> str | None:
    """The program that had a table taken, whose applications its rows become."""
    kind, _, name = (actor or "").partition(":")
    return name if kind == "client" else None


def _visible(batch: Batch | None, viewer: Viewer) -> Batch:
    if (
        batch is None
        or not viewer.sees(batch.branch)
        or _own(viewer) not in (None, batch.uploaded_by)
    ):
        raise Problem(404, "not-found", "There is no such table")
    return batch
