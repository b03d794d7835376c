"""Review's table of the screening system's lists: the last change of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.review.watchlists import LONG_AGO, ListChange, Lists, ToldOfList
from shared.messaging import Connection

# One that was stated before counts as it did, whenever it comes. A number is drawn for each that is
# written: by whoever reads the topic, which is one process at a time.
_SAVE = """
INSERT INTO watchlist (name, version, changed_at, since)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
ON CONFLICT (name) DO UPDATE SET
    version = excluded.version, changed_at = excluded.changed_at, since = excluded.since,
    number = excluded.number
WHERE (excluded.changed_at, excluded.version COLLATE "C")
    > (watchlist.changed_at, watchlist.version COLLATE "C")
"""

LISTS: Final = "SELECT max(number) AS lists_number, max(since) AS lists_since FROM watchlist"


class WatchlistStore:
    """Statements for the kernel: of each list the latest counts, in whatever order they come.
    Nothing is loaded. Never commits."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, ToldOfList]:  # noqa: ARG002
        return {subject: ToldOfList(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[ToldOfList]) -> None:
        """Keep what was stated; rows locked in order of the lists' names."""
        latest: dict[str, ListChange] = {}
        for change in sorted(
            (one for state in states for one in state.changes), key=lambda one: one.place
        ):
            latest[change.name] = change
        if latest:
            rows = [
                (one.name, one.version, one.changed_at, one.since)
                for _, one in sorted(latest.items())
            ]
            await conn.execute(_SAVE, *(list(column) for column in zip(*rows, strict=True)))


async def lists(conn: Any) -> Lists:
    """What review knows of the lists now."""
    return lists_of(await conn.fetchrow(LISTS))


def lists_of(row: Any) -> Lists:
    """The same from the columns of `LISTS`; empty ones before the first change."""
    return Lists(row["lists_number"] or 0, row["lists_since"] or LONG_AGO)
