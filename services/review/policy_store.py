"""Review's tables of policies: their texts, their releases, those that run without effect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from services.review import releases
from services.review.policy import Policy
from services.review.policy_cases import Report, run_cases
from services.review.policy_folder import SHIPPED, Held, read_policies
from services.review.releases import Release
from shared.messaging import Connection

log = structlog.get_logger(__name__)

_DECIDING = """
(SELECT digest, false AS shadow FROM policy_release
 WHERE outcome = 'approved' AND (baseline OR greatest(effective_from, decided_at) <= $1)
 ORDER BY baseline, greatest(effective_from, decided_at) DESC, decided_at DESC LIMIT 1)
UNION ALL
SELECT digest, true FROM policy_shadow WHERE ended_at IS NULL ORDER BY shadow, digest
"""

_PROPOSE = """
INSERT INTO policy_release (release_id, version, digest, proposed_by, proposed_at, effective_from,
    why, outcome, decided_by, decided_at, words, baseline)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


def _state_of(folder: Path) -> list[tuple[str, int, int]]:
    """What tells whether a file of a folder of versions is another one: name, time, bytes."""
    found = []
    for path in (*folder.glob("*"), *folder.glob("*/*")):
        with suppress(OSError):  # gone meanwhile, or a link to nothing
            told = path.stat()
            found.append((str(path), told.st_mtime_ns, told.st_size))
    return sorted(found)


class PolicyNotHeldError(LookupError):
    """The archive has no such policy, or its text there is no longer the one that was archived."""


class PolicyShelf:
    """The versions that lie in a folder, and those that the database keeps.

    A text never changes under its digest, so what was compiled once is kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or SHIPPED
        self._compiled: dict[str, Policy] = {}
        self._read: tuple[list[tuple[str, int, int]], dict[str, Held]] | None = None
        self._reports: dict[tuple[str, str], Report] = {}

    @classmethod
    def beside(cls, parameters: Path | None) -> PolicyShelf:
        """The folder `policies` of the bank's own parameters, where it has one; else those that
        ship."""
        own = parameters / "policies" if parameters is not None else None
        return cls(own if own is not None and own.is_dir() else None)

    def read(self) -> dict[str, Held]:
        """{version: the policy} of the folder as it is now; read anew once a file in it is another
        one. Raises ParametersError."""
        state = _state_of(self.folder)
        if self._read is None or self._read[0] != state:
            self._read = state, read_policies(self.folder)
        return self._read[1]

    def reports(self, held: Iterable[Held]) -> dict[str, Report]:
        """{digest: what a version's own cases came to}; run once for each text of both."""
        wanted = {(one.policy.digest, one.cases.digest): one for one in held}
        self._reports = {
            key: self._reports.get(key) or run_cases(one) for key, one in wanted.items()
        }
        return {digest: report for (digest, _cases), report in self._reports.items()}

    async def deciding(self, conn: Any, at: datetime) -> tuple[Policy, list[Policy]]:
        """The policy that decides at that time, and those that run beside it without effect.

        The first question of an installation makes the newest version of the folder its baseline;
        another comes into force by two people's decision alone.
        """
        rows = await conn.fetch(_DECIDING, at)
        if not rows or rows[0]["shadow"]:
            await self._begin(conn, at)
            rows = await conn.fetch(_DECIDING, at)
        live = await self.policy(conn, rows[0]["digest"])
        return live, [one async for one in self._beside(conn, live, rows[1:])]

    async def _beside(self, conn: Any, live: Policy, rows: Sequence[Any]) -> AsyncIterator[Policy]:
        """Those that run beside the one that decides. One whose text is missing or another one is
        left out: it holds up nobody."""
        for row in rows:
            try:
                policy = await self.policy(conn, row["digest"])
            except PolicyNotHeldError as problem:
                log.warning("shadow policy is left out", error=str(problem))
                continue
            if policy.digest != live.digest:
                yield policy

    async def begun(self, conn: Any, at: datetime) -> None:
        """Give an installation that has never decided anything its baseline."""
        if not await conn.fetchval("SELECT EXISTS (SELECT FROM policy_release WHERE baseline)"):
            await self._begin(conn, at)

    async def policy(self, conn: Any, digest: str) -> Policy:
        """A policy of the archive. Raises PolicyNotHeldError where it is missing, or no longer the
        text that was archived: nothing is decided or verified by such a one."""
        if digest not in self._compiled:
            found: Policy | None = None
            source = await conn.fetchval(
                "SELECT source FROM policy_archive WHERE digest = $1", digest
            )
            if source is None:
                raise PolicyNotHeldError(f"policy {digest} is not in the archive")
            with suppress(ValueError):  # the text is no policy any more
                found = Policy(source)
            if found is None or found.digest != digest:
                raise PolicyNotHeldError(f"policy {digest} was changed in the archive")
            self._compiled[digest] = found
        return self._compiled[digest]

    async def _begin(self, conn: Any, at: datetime) -> None:
        policy = list(self.read().values())[-1].policy
        async with conn.transaction():
            await archive(conn, policy)
            await conn.execute(
                f"{_PROPOSE} ON CONFLICT (baseline) WHERE baseline DO NOTHING",
                *_release_row(releases.first(policy.version, policy.digest, at)),
            )


async def archive(conn: Connection, policy: Policy) -> None:
    """Keep a policy's whole text before it decides anything."""
    await conn.execute(
        "INSERT INTO policy_archive (digest, version, source) VALUES ($1, $2, $3)"
        " ON CONFLICT (digest) DO NOTHING",
        policy.digest,
        policy.version,
        policy.source,
    )


async def add_release(conn: Connection, release: Release) -> None:
    """Write a new proposal; its text is archived before."""
    await conn.execute(_PROPOSE, *_release_row(release))


async def lock_releases(conn: Connection) -> None:
    """Whoever changes releases does it alone until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('banka.policy_release'))")


async def all_releases(conn: Any) -> list[Release]:
    """Every release, the oldest first."""
    rows = await conn.fetch("SELECT * FROM policy_release ORDER BY proposed_at, release_id")
    return [Release(**{name: row[name] for name in Release.__slots__}) for row in rows]


async def end_release(
    conn: Connection,
    release: Release,
    outcome: Literal["approved", "rejected", "withdrawn"],
    staff_id: str,
    words: str,
    now: datetime,
) -> Release:
    """Write what became of a proposal."""
    ended = replace(
        release, outcome=outcome, decided_by=staff_id, decided_at=now, words=words.strip()
    )
    await conn.execute(
        "UPDATE policy_release SET outcome = $2, decided_by = $3, decided_at = $4, words = $5"
        " WHERE release_id = $1",
        ended.release_id,
        outcome,
        staff_id,
        now,
        ended.words,
    )
    return ended


async def archived(conn: Any) -> dict[str, str]:
    """{digest: version} of every text that is kept."""
    rows = await conn.fetch("SELECT digest, version FROM policy_archive")
    return {row["digest"]: row["version"] for row in rows}


async def shadowed(conn: Any) -> dict[str, datetime]:
    """{digest: since when} of the versions that run beside the one in force."""
    rows = await conn.fetch("SELECT digest, started_at FROM policy_shadow WHERE ended_at IS NULL")
    return {row["digest"]: row["started_at"] for row in rows}


async def was_shadow(conn: Any, digest: str) -> bool:
    """Whether a version ran beside the one in force at any time."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM policy_shadow WHERE digest = $1)", digest
    )
    return found


async def start_shadow(conn: Connection, policy: Policy, staff_id: str, now: datetime) -> bool:
    """Let a version run beside the one in force; False where it does already."""
    await archive(conn, policy)
    done = await conn.execute(
        "INSERT INTO policy_shadow (digest, started_by, started_at) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING",
        policy.digest,
        staff_id,
        now,
    )
    return str(done).endswith(" 1")


async def end_shadow(conn: Connection, digest: str, staff_id: str, now: datetime) -> bool:
    """Let it run no more; False where it does not run."""
    done = await conn.execute(
        "UPDATE policy_shadow SET ended_by = $2, ended_at = $3"
        " WHERE digest = $1 AND ended_at IS NULL",
        digest,
        staff_id,
        now,
    )
    return str(done).endswith(" 1")


def _release_row(release: Release) -> list[Any]:
    columns = (
        *("release_id", "version", "digest", "proposed_by", "proposed_at", "effective_from"),
        *("why", "outcome", "decided_by", "decided_at", "words", "baseline"),
    )
    return [getattr(release, name) for name in columns]
