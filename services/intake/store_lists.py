"""Lists of applications from intake's tables: a page at a time, in any order, at any size.

A list is merged from runs: one for each state that it shows, and for each branch where the viewer
does not see all. Each run is read from the index that has it in the order of the list, from where
the page before ended, so a page costs what it shows, and nothing is sorted or counted as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from services.intake.filters import ALWAYS, SortKey, Span
from shared.events.lifecycle import State
from shared.web.lists import MOST_COUNTED, Page, Place, Total, page_from

MOST_FOUND: Final = 200
_MOST_BRANCHES = 40  # of whom more see: what they see is no small part of the whole

_ROW = (
    "a.application_id, a.application_number, a.state, a.state_since, a.branch, a.region, a.channel,"
    " a.product, a.applicant_type, a.created_at, a.submitted_at, a.material_deadline, a.due_at,"
    " a.imported, a.revision"
)
_COLUMNS = {
    "begun": "a.created_at",
    "since": "a.state_since",
    "due": "a.due_at",
    "passed": "a.passed_at",
    "interview": "a.interview_due",
    "number": 'a.application_number COLLATE "C"',
}

Key = SortKey | Literal["passed", "interview"]


@dataclass(frozen=True, slots=True)
class Row:
    """One application in a list."""

    application_id: str
    application_number: str
    state: str
    state_since: datetime
    branch: str
    region: str
    channel: str
    product: str
    applicant_type: str
    created_at: datetime
    submitted_at: datetime | None
    material_deadline: datetime | None
    due_at: datetime | None
    imported: bool
    revision: int


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list shall hold. `branches` None: of all. `number`: how the number begins. `waivers`:
    only where a second person has to answer one. `to_contact`: only whose customer nobody has
    spoken with since the pre-check was passed. `to_meet`: only whose customer somebody should have
    seen before then. `hidden`: states of which the viewer may not know since when an application is
    in them: in that order these stand by when they were begun."""

    branches: Sequence[str] | None
    states: Sequence[State]
    product: str = ""
    channel: str = ""
    number: str = ""
    begun: Span = ALWAYS
    term: Span = ALWAYS
    waivers: bool = False
    to_contact: bool = False
    to_meet: datetime | None = None
    key: Key = "begun"
    descending: bool = True
    hidden: frozenset[State] = frozenset()


@dataclass(frozen=True, slots=True)
class Counts:
    """{state: how many fit}; of no state are more counted than MOST_COUNTED and one."""

    by_state: Mapping[str, int]

    def of(self, states: Iterable[str]) -> Total:
        """How many there are of these states together."""
        return Total.of(sum(self.by_state.get(state, 0) for state in states))


@dataclass(frozen=True, slots=True)
class WorkRow(Row):
    """A case that waits for an officer or for the customer, with what its checklist counts."""

    passed_at: datetime | None
    interview_due: datetime | None
    product_version: str
    unchecked: int
    open: int
    waivers: int


_ITEMS = (
    "SELECT count(*) FILTER (WHERE i.state = 'received') AS unchecked,"
    " count(*) FILTER (WHERE i.state IN ('wanted', 'returned', 'expired')"
    " AND i.reasons <> '[]') AS open,"
    " count(*) FILTER (WHERE i.waiver IS NOT NULL AND i.state <> 'waived') AS waivers"
    " FROM checklist_item i WHERE i.application_id = a.application_id"
)


async def page_of(
    conn: Any,
    wanted: Wanted,
    size: int,
    *,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[Row]:
    """The page of the list behind a place, or the one in front of it; else the first."""
    statement, values = page_statement(wanted, size, after=after, before=before)
    rows = [Row(**row) for row in await conn.fetch(statement, *values)]
    return _page(rows, wanted, size, after=after, before=before)


async def work_of(
    conn: Any,
    wanted: Wanted,
    size: int,
    *,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[WorkRow]:
    """`page_of` with what the checklists count."""
    statement, values = page_statement(wanted, size, after=after, before=before, items=True)
    rows = [WorkRow(**row) for row in await conn.fetch(statement, *values)]
    return _page(rows, wanted, size, after=after, before=before)


async def counts_of(conn: Any, wanted: Wanted) -> Counts:
    """How many fit, by state."""
    statement, values = counts_statement(wanted)
    return Counts({row["state"]: row["n"] for row in await conn.fetch(statement, *values)})


async def with_ids(
    conn: Any, branches: Sequence[str] | None, client: str | None, ids: Sequence[str]
) -> tuple[list[Row], bool]:
    """Those of these applications that may be shown, the newest first, and whether there are more
    than MOST_FOUND."""
    rows = await conn.fetch(
        f"SELECT {_ROW} FROM application a"  # noqa: S608 - our own text
        " WHERE a.application_id = ANY ($1) AND ($2::text[] IS NULL OR a.branch = ANY ($2))"
        " AND ($3::text IS NULL OR a.client = $3)"
        " ORDER BY a.created_at DESC, a.application_number DESC LIMIT $4",
        list(ids),
        branches,
        client,
        MOST_FOUND + 1,
    )
    return [Row(**row) for row in rows[:MOST_FOUND]], len(rows) > MOST_FOUND


async def with_number(conn: Any, branches: Sequence[str] | None, number: str) -> Row | None:
    """The application with this number, if it may be shown."""
    row = await conn.fetchrow(
        f"SELECT {_ROW} FROM application a"  # noqa: S608 - our own text
        " WHERE a.application_number = $1 AND ($2::text[] IS NULL OR a.branch = ANY ($2))",
        number,
        branches,
    )
    return Row(**row) if row else None


async def numbered_page(
    conn: Any,
    wanted: Wanted,
    *,
    client: str | None,
    number: str | None,
    page: int,
    page_size: int,
) -> tuple[list[Row], int]:
    """A page by its place among all, the newest first, and how many there are: for programs, which
    go through a list once. `client`: only what that program began. `number`: the whole one."""
    asked = _Asked()
    conditions = ["true", *_fitting(wanted, asked)]
    if len(wanted.states) < len(State):
        conditions.append(f"a.state = ANY ({asked.give(list(wanted.states), 'text[]')})")
    if wanted.branches is not None:
        conditions.append(f"a.branch = ANY ({asked.give(list(wanted.branches), 'text[]')})")
    if client is not None:
        conditions.append(f"a.client = {asked.give(client, 'text')}")
    if number is not None:
        conditions.append(f"a.application_number = {asked.give(number, 'text')}")
    where = " AND ".join(conditions)
    # all rows are asked for, of which there is one: only so may workers of the database count along
    ((total,),) = await conn.fetch(
        f"SELECT count(*) FROM application a WHERE {where}",  # noqa: S608 - our own text
        *asked.values,
    )
    offset = (page - 1) * page_size
    if client is None and number is None:
        statement, values = page_statement(wanted, page_size - 1, offset=offset)
    else:
        order = "a.created_at DESC, a.application_number DESC"
        statement = (
            f"SELECT {_ROW} FROM application a WHERE {where}"  # noqa: S608 - our own text
            f" ORDER BY {order} LIMIT {page_size} OFFSET {offset}"
        )
        values = asked.values
    return [Row(**row) for row in await conn.fetch(statement, *values)], total


# -- statements ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    """A statement's arguments."""

    values: list[Any] = field(default_factory=list)

    def give(self, value: Any, kind: str) -> str:
        """How the statement names a value."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def page_statement(
    wanted: Wanted,
    size: int,
    *,
    after: Place | None = None,
    before: Place | None = None,
    offset: int = 0,
    items: bool = False,
) -> tuple[str, list[Any]]:
    """The rows of a page and one more, which tells whether the list goes on; the statement and its
    arguments. `items`: with what the checklists count."""
    asked = _Asked()
    backwards = before is not None
    way = "DESC" if wanted.descending != backwards else "ASC"
    runs = []
    for column, states in _columns(wanted):
        further = _beyond(column, before or after, way, wanted, asked)
        order = "" if wanted.key == "number" else f", a.application_number {way}"
        run = (
            f"SELECT {column} AS key, a.application_number AS number FROM application a"  # noqa: S608
            f" WHERE {{where}} ORDER BY {column} {way}{order} LIMIT {offset + size + 1}"
        )
        source = " CROSS JOIN ".join(_runs(wanted, column, states, run, further, asked))
        runs.append(f"SELECT run.key, run.number FROM {source}")  # noqa: S608 - our own text
    keys = (
        f"SELECT key, number FROM ({' UNION ALL '.join(runs)}) runs"  # noqa: S608 - our own text
        f" ORDER BY key {way}, number {way} LIMIT {size + 1} OFFSET {offset}"
    )
    of_work = ", a.passed_at, a.interview_due, a.product_version, c.*"
    counted, join = (of_work, f" CROSS JOIN LATERAL ({_ITEMS}) c") if items else ("", "")
    statement = (
        f"SELECT {_ROW}{counted} FROM ({keys}) k"  # noqa: S608 - our own text
        f" JOIN application a ON a.application_number = k.number{join}"
        f" ORDER BY k.key {way}, k.number {way}"
    )
    return statement, asked.values


def counts_statement(wanted: Wanted) -> tuple[str, list[Any]]:
    """How many of each state, as far as is counted; the statement and its arguments."""
    asked = _Asked()
    column = _COLUMNS["due"] if _by_term(wanted) else _COLUMNS["begun"]
    if wanted.to_contact:
        column = _COLUMNS["passed"]
    if wanted.to_meet is not None:
        column = _COLUMNS["interview"]
    most = MOST_COUNTED + 1
    run = (
        "SELECT FROM application a"
        f" WHERE {{where}} ORDER BY {column}, a.application_number LIMIT {most}"
    )
    states, *rest = _runs(wanted, column, list(wanted.states), run, [], asked)
    source = " CROSS JOIN ".join(rest)
    counted = f"SELECT count(*) AS n FROM (SELECT FROM {source} LIMIT {most}) one"  # noqa: S608
    statement = f"SELECT s.state, c.n FROM {states} CROSS JOIN LATERAL ({counted}) c"  # noqa: S608
    return statement, asked.values


def _page(
    rows: list[R], wanted: Wanted, size: int, *, after: Place | None, before: Place | None
) -> Page[R]:
    places = [_place(row, wanted) for row in rows]
    return page_from(rows, places, size, after=after, before=before)


def _place(row: Row, wanted: Wanted) -> Place:
    since = row.created_at if row.state in wanted.hidden else row.state_since
    keys = {"begun": row.created_at, "since": since, "due": row.due_at}
    if isinstance(row, WorkRow):
        keys |= {"passed": row.passed_at, "interview": row.interview_due}
    return Place(keys.get(wanted.key), row.application_number)


def _by_term(wanted: Wanted) -> bool:
    return wanted.key == "due" or wanted.term != ALWAYS


def _columns(wanted: Wanted) -> list[tuple[str, list[State]]]:
    """By which column which states are sorted."""
    if wanted.key != "since":
        return [(_COLUMNS[wanted.key], list(wanted.states))]
    known = [state for state in wanted.states if state not in wanted.hidden]
    hidden = [state for state in wanted.states if state in wanted.hidden]
    both = [(_COLUMNS["since"], known), (_COLUMNS["begun"], hidden)]
    return [one for one in both if one[1]] or both[:1]


def _beyond(column: str, place: Place | None, way: str, wanted: Wanted, asked: _Asked) -> list[str]:
    """The condition for what stands behind a place."""
    if place is None:
        return []
    than = "<" if way == "DESC" else ">"
    number = asked.give(place.id, "text")
    if wanted.key == "number":
        return [f"{column} {than} {number}"]
    key = asked.give(place.key, "timestamptz")
    return [f"({column}, a.application_number) {than} ({key}, {number})"]


def _runs(
    wanted: Wanted,
    column: str,
    states: Sequence[State],
    run: str,
    further: Sequence[str],
    asked: _Asked,
) -> list[str]:
    """What to select from: states, branches where they are told apart, and a `run` of each."""
    tables = [f"unnest({asked.give(list(states), 'text[]')}) s (state)"]
    conditions = ["a.state = s.state", *further, *_fitting(wanted, asked)]
    if column == _COLUMNS["due"]:
        conditions.append("a.due_at IS NOT NULL")  # as the index has it
    if column == _COLUMNS["since"] and wanted.begun.start is not None:
        # nothing is in a state from before it was begun: a shorter way to the same rows
        start = asked.give(wanted.begun.start, "timestamptz")
        conditions.append(f"a.state_since >= {start}")
    if wanted.to_contact:
        conditions.append("a.contacted_at IS NULL AND a.passed_at IS NOT NULL")
    if wanted.to_meet is not None:
        conditions.append(f"a.interview_due < {asked.give(wanted.to_meet, 'timestamptz')}")
    if wanted.waivers:
        conditions.append(
            "a.application_id IN (SELECT i.application_id FROM checklist_item i"
            " WHERE i.waiver IS NOT NULL AND i.state <> 'waived')"
        )
    if wanted.branches is not None and len(wanted.branches) <= _MOST_BRANCHES:
        tables.append(f"unnest({asked.give(list(wanted.branches), 'text[]')}) b (branch)")
        conditions.append("a.branch = b.branch")
        if column == _COLUMNS["number"]:
            # a number begins with its branch
            conditions.append(f"{column} >= b.branch AND {column} < b.branch || ':'")
    elif wanted.branches is not None:
        # passed over where it does not fit: an index by branches would have to be sorted first
        seen = asked.give(list(wanted.branches), "text[]")
        conditions.append(f"a.branch || '' = ANY ({seen})")
    tables.append(f"LATERAL ({run.format(where=' AND '.join(conditions))}) run")
    return tables


def _fitting(wanted: Wanted, asked: _Asked) -> list[str]:
    """The conditions of the filters that are set."""
    conditions = []
    if wanted.product:
        conditions.append(f"a.product = {asked.give(wanted.product, 'text')}")
    if wanted.channel:
        conditions.append(f"a.channel = {asked.give(wanted.channel, 'text')}")
    if wanted.number:
        column, number = _COLUMNS["number"], asked.give(wanted.number, "text")
        conditions.append(f"{column} >= {number} AND {column} < {number} || ':'")
    for key, span in (("begun", wanted.begun), ("due", wanted.term)):
        if span.start is not None:
            conditions.append(f"{_COLUMNS[key]} >= {asked.give(span.start, 'timestamptz')}")
        if span.end is not None:
            conditions.append(f"{_COLUMNS[key]} < {asked.give(span.end, 'timestamptz')}")
    return conditions
