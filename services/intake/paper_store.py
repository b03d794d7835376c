"""The register of papers in the database: what was drawn, who looked, what was destroyed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.intake.application import years_after
from shared.events.lifecycle import TERMINAL, State
from shared.messaging import Connection
from shared.paper_images import DRAWING
from shared.parameters import load_clocks

# a card in use is a customer's: the relation goes on, whatever its application's last state is
_OVER = sorted(TERMINAL - {State.IN_USE})


RETENTION_ENDED, ASKED_FOR = "retention-ended", "asked-for"  # why a paper was destroyed


@dataclass(frozen=True, slots=True)
class Preview:
    """What was drawn of a paper: so many pages, or why none. `drawing`: by which version."""

    document_id: str
    at: datetime
    pages: int
    failure: str | None = None
    drawing: int = DRAWING


@dataclass(frozen=True, slots=True)
class Use:
    """Somebody saw a page (0: the first one, small), or had the original. `reason` is sealed."""

    document_id: str
    at: datetime
    staff_id: str
    what: str
    page: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class End:
    """A paper was destroyed."""

    document_id: str
    at: datetime
    why: str


@dataclass(slots=True)
class Drawn:
    """What results of calls add to the register; the kernel's state of a subject, always fresh."""

    previews: list[Preview] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)


class RegisterStore:
    """Adds to the register for the kernel. Nothing is changed there, so nothing is locked."""

    async def load(
        self,
        conn: Connection,  # noqa: ARG002 - the kernel's stores are asked so
        subjects: Sequence[str],
    ) -> dict[str, Drawn]:
        """Nothing known, for each subject."""
        return {subject: Drawn() for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Drawn]) -> None:
        """Write what is new."""
        previews = [one for state in states for one in state.previews]
        ends = [one for state in states for one in state.ends]
        if previews:
            await conn.executemany(
                "INSERT INTO paper_preview (document_id, at, pages, failure, drawing)"
                " VALUES ($1, $2, $3, $4, $5)",
                [
                    (one.document_id, one.at, one.pages, one.failure, one.drawing)
                    for one in previews
                ],
            )
        if ends:
            await conn.executemany(
                "INSERT INTO paper_end (document_id, at, why) VALUES ($1, $2, $3)"
                " ON CONFLICT DO NOTHING",
                [(one.document_id, one.at, one.why) for one in ends],
            )
            # what a machine read on it ends with it
            await conn.execute(
                "DELETE FROM card_reading WHERE document_id = ANY ($1)",
                [one.document_id for one in ends],
            )


async def previews_of(conn: Any, document_ids: Collection[str]) -> dict[str, Preview]:
    """{document id: what was drawn of it last}. Pages that could not be drawn again stay."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (document_id) document_id, at, pages, failure, drawing"
        " FROM paper_preview WHERE document_id = ANY ($1)"
        " ORDER BY document_id, pages > 0 DESC, id DESC",
        list(document_ids),
    )
    return {row["document_id"]: Preview(**row) for row in rows}


async def ends_of(conn: Any, document_ids: Collection[str]) -> dict[str, End]:
    """{document id: how it was destroyed}."""
    rows = await conn.fetch(
        "SELECT document_id, at, why FROM paper_end WHERE document_id = ANY ($1)",
        list(document_ids),
    )
    return {row["document_id"]: End(**row) for row in rows}


async def uses_of(conn: Any, document_ids: Collection[str]) -> list[Use]:
    """Who saw what of these papers, the latest first."""
    rows = await conn.fetch(
        "SELECT document_id, at, staff_id, what, page, reason FROM paper_use"
        " WHERE document_id = ANY ($1) ORDER BY id DESC",
        list(document_ids),
    )
    return [Use(**row) for row in rows]


async def record_use(conn: Any, use: Use) -> None:
    """Note that somebody is shown something of a paper."""
    await conn.execute(
        "INSERT INTO paper_use (document_id, at, staff_id, what, page, reason)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        use.document_id,
        use.at,
        use.staff_id,
        use.what,
        use.page,
        use.reason,
    )


async def record_thumbnail(conn: Any, document_id: str, staff_id: str, now: datetime) -> None:
    """Note that somebody saw a paper in small: once an hour, for a page with all of a case's papers
    asks for them each time."""
    await conn.execute(
        "INSERT INTO paper_use (document_id, at, staff_id, what, page)"
        " SELECT $1, $3::timestamptz, $2, 'thumbnail', 1 WHERE NOT EXISTS (SELECT FROM paper_use"
        " WHERE document_id = $1 AND staff_id = $2 AND what = 'thumbnail'"
        " AND at > $3::timestamptz - interval '1 hour' AND at <= $3)",
        document_id,
        staff_id,
        now,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A paper in the store."""

    document_id: str
    application_id: str
    sha256: str


async def over(conn: Any, application_ids: Collection[str]) -> tuple[set[str], set[str]]:
    """Of these applications: those known, and those that are over for good."""
    rows = await conn.fetch(
        "SELECT application_id, state FROM application WHERE application_id = ANY ($1)",
        list(application_ids),
    )
    known = {row["application_id"] for row in rows}
    return known, {row["application_id"] for row in rows if row["state"] in _OVER}


async def has_others(conn: Any, person: str) -> bool:
    """Whether somebody holds, or will hold, a card by an application that is not over."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM application WHERE person = $1 AND state <> ALL ($2))",
        person,
        _OVER,
    )
    return found


async def duty_until(conn: Any, application_ids: Collection[str]) -> datetime | None:
    """Until when the bank has to keep what belongs to somebody, by the last of these applications
    that it took; None where it took none, and so has no duty."""
    since: datetime | None = await conn.fetchval(
        "SELECT max(greatest(passed_at, state_since)) FROM application"
        " WHERE application_id = ANY ($1) AND (submitted_at IS NOT NULL OR imported)",
        list(application_ids),
    )
    return years_after(since, load_clocks().retention_years) if since is not None else None


async def papers_of_person(conn: Any, person: str) -> list[Kept]:
    """The papers that lie under somebody's key and were not destroyed."""
    rows = await conn.fetch(
        "SELECT d.document_id, d.application_id, d.sha256 FROM document d"
        " JOIN application a USING (application_id)"
        " WHERE a.person = $1 AND NOT EXISTS"
        " (SELECT FROM paper_end e WHERE e.document_id = d.document_id)",
        person,
    )
    return [Kept(**row) for row in rows]
