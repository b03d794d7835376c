"""Lists of work beside the queue, each with a clock of its own: read from place to place, and
counted as far as anybody counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from shared.parameters import load_clocks
from shared.web.lists import MOST_COUNTED, Page, Place, Total, page_from

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many of a list wait, and how many of them are overdue or nearly so."""

    open: Total
    overdue: int
    near: int


async def read_page(
    conn: Any,
    rows: str,
    arguments: Sequence[Any],
    size: int,
    make: Callable[[Any], R],
    *,
    key: str,
    identity: str,
    newest_first: bool = False,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[R]:
    """The page behind a place, or the one in front of it; else the first. rows: a statement with a
    condition, and its arguments; key, identity: its columns by which it is sorted, a time first."""
    way = "DESC" if newest_first != (before is not None) else "ASC"
    place, values = before or after, list(arguments)
    if place is not None:
        than, first = "<" if way == "DESC" else ">", len(values) + 1
        rows += f" AND ({key}, {identity}) {than} (${first}::timestamptz, ${first + 1})"
        values += [place.key, place.id]
    found = await conn.fetch(
        f"{rows} ORDER BY {key} {way}, {identity} {way} LIMIT {size + 1}", *values
    )
    places = [Place(row[key.rpartition(".")[2]], row[identity]) for row in found]
    return page_from([make(row) for row in found], places, size, after=after, before=before)


async def counted(conn: Any, rows: str, arguments: Sequence[Any]) -> Total:
    """How many rows there are, as far as is counted."""
    return Total.of(
        await conn.fetchval(
            f"SELECT count(*) FROM ({rows} LIMIT {MOST_COUNTED + 1}) one",  # noqa: S608 - our own text
            *arguments,
        )
    )


async def waiting(conn: Any, rows: str, arguments: Sequence[Any], now: datetime) -> Waiting:
    """How many rows there are, as far as is counted, and of how many `due` has passed or lies
    within the office's `warning_days`."""
    row = await conn.fetchrow(
        "SELECT count(*) AS open,"  # noqa: S608 - our own text
        f" count(*) FILTER (WHERE due < ${len(arguments) + 1}) AS overdue,"
        f" count(*) FILTER (WHERE due BETWEEN ${len(arguments) + 1} AND ${len(arguments) + 2})"
        " AS near"
        f" FROM ({rows} LIMIT {MOST_COUNTED + 1}) one",
        *arguments,
        now,
        now + timedelta(days=load_clocks().warning_days),
    )
    return Waiting(Total.of(row["open"]), row["overdue"], row["near"])
