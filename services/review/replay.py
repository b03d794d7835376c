"""A candidate policy run over all past decisions, by several processes, with progress and resume.

What was done is written down batch by batch, so that a run that was stopped goes on where it was;
two runs over the same decisions end in the same bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import asyncpg

from services.review.accounts import early_arrears
from services.review.policy import Policy, PolicyInputs, canonical
from services.review.portfolio import Past, Tally
from services.review.workers import INPUTS_FIELD, VERDICT_FIELD
from shared.calendar import business_day
from shared.parameters import EarlyArrears, load_accounts
from shared.postgres.pool import connect
from shared.privacy.sealing import Sealed
from shared.privacy.vault import Vault
from shared.privacy.vault_database import open_vault
from shared.settings import Settings

BATCH = 1_000  # decisions that are asked about and written down at a time

_COUNTED = """
SELECT count(*) AS decisions, min(decided_at) AS first, max(decided_at) AS last
FROM decision WHERE decided_at >= $1 AND decided_at < $2
"""
# where each batch begins
_BATCHES = """
SELECT decided_at, application_id FROM (
    SELECT decided_at, application_id, row_number() OVER (ORDER BY decided_at, application_id) AS n
    FROM decision WHERE decided_at >= $1 AND decided_at < $2
) numbered WHERE n % $3 = 1 ORDER BY decided_at, application_id
"""
_DECISIONS = """
SELECT d.application_id, d.decided_at, d.outcome, d.granted_limit, d.inputs, d.verdict,
    c.region, c.product, c.applicant_type, c.state, f.body #>> '{hand_over,age_band}' AS age_band
FROM decision d JOIN review_case c USING (application_id) JOIN case_file f USING (application_id)
WHERE (d.decided_at, d.application_id) >= ($1, $2) AND d.decided_at < $3
ORDER BY d.decided_at, d.application_id LIMIT $4
"""
# what core banking had told of these accounts by then; of a month its last correction
_MONTHS = """
SELECT DISTINCT ON (application_id, month) application_id, month, days_past_due, opened_on,
    last_transaction
FROM account_month WHERE application_id = ANY ($1) AND known_at < $2
ORDER BY application_id, month, revision DESC
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a replay is about; with the same answer to all of it two reports are the same bytes.

    facts_until: what was heard of accounts before then is known. early_arrears: when one counts as
    in arrears early.
    """

    candidate_version: str
    candidate_digest: str
    since: datetime
    until: datetime
    facts_until: datetime
    early_arrears: EarlyArrears
    decisions: int

    def as_json(self) -> dict[str, Any]:
        return {
            "candidate_version": self.candidate_version,
            "candidate_digest": self.candidate_digest,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "facts_until": self.facts_until.isoformat(),
            "early_arrears": self.early_arrears.model_dump(),
            "decisions": self.decisions,
        }


@dataclass(slots=True)
class Part:
    """What one batch came to. `closed`: decisions of people whose data was erased or is
    restricted: what they rested on cannot be read any more."""

    number: int
    tally: Tally
    differences: list[dict[str, Any]]
    closed: int = 0

    def line(self) -> str:
        told = {
            "part": self.number,
            "closed": self.closed,
            "tally": self.tally.as_json(),
            "differences": self.differences,
        }
        return json.dumps(told, ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, line: str) -> Part:
        told = json.loads(line)
        return cls(
            told["part"], Tally.from_json(told["tally"]), told["differences"], told["closed"]
        )


@dataclass(slots=True)
class Replay:
    """The whole of it: what was asked, what it came to, and every application that would have been
    decided otherwise, in the order in which they were decided."""

    asked: Asked
    tally: Tally = field(default_factory=Tally)
    differences: list[dict[str, Any]] = field(default_factory=list)
    closed: int = 0

    def report(self) -> bytes:
        """Canonical JSON with its own digest: {"asked", "closed", "tally", "differences",
        "sha256"}."""
        told: dict[str, Any] = {
            "asked": self.asked.as_json(),
            "closed": self.closed,
            "tally": self.tally.as_json(),
            "differences": self.differences,
        }
        told["sha256"] = hashlib.sha256(canonical(told).encode()).hexdigest()
        return canonical(told).encode() + b"\n"


async def ask(
    conn: Any, candidate: Policy, since: datetime, until: datetime, facts_until: datetime
) -> Asked:
    """What a replay of this candidate would be about."""
    row = await conn.fetchrow(_COUNTED, since, until)
    terms, count = load_accounts().early_arrears, row["decisions"]
    return Asked(candidate.version, candidate.digest, since, until, facts_until, terms, count)


async def batches(conn: Any, asked: Asked, size: int = BATCH) -> list[tuple[datetime, str]]:
    """Where each batch of `size` decisions begins."""
    rows = await conn.fetch(_BATCHES, asked.since, asked.until, size)
    return [(row["decided_at"], row["application_id"]) for row in rows]


def run(
    settings: Settings,
    database: str | None,
    candidate: Policy,
    asked: Asked,
    begins: list[tuple[datetime, str]],
    journal: Path,
    *,
    processes: int,
    told: Callable[[int], None],
    size: int = BATCH,
) -> Replay:
    """Ask the candidate about every decision; `told` is called with how many a batch had.

    `journal` has what was done; where it is of another question, it is begun anew.
    """
    done = dict(done_before(journal, asked))
    for part in done.values():
        told(part.tally.decisions + part.closed)
    left = [(number, *begin) for number, begin in enumerate(begins) if number not in done]
    if left:
        spawning = multiprocessing.get_context("spawn")
        with (
            journal.open("a", encoding="utf-8") as file,
            ProcessPoolExecutor(
                min(processes, len(left)),
                mp_context=spawning,
                initializer=_Process.begin,
                initargs=(settings, database, candidate.source, asked, size),
            ) as pool,
        ):
            if not done:
                file.write(json.dumps(asked.as_json(), sort_keys=True) + "\n")
            waiting = [pool.submit(_Process.batch, *one) for one in left]
            try:
                for future in as_completed(waiting):
                    part = future.result()
                    done[part.number] = part
                    file.write(part.line() + "\n")
                    file.flush()
                    told(part.tally.decisions + part.closed)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    whole = Replay(asked)
    for number in sorted(done):
        whole.tally.take(done[number].tally)
        whole.differences += done[number].differences
        whole.closed += done[number].closed
    return whole


def times_of(journal: Path) -> tuple[datetime, datetime] | None:
    """The end of the time that a journal is about, and until when facts about accounts count in it;
    None where it does not say."""
    with journal.open(encoding="utf-8") as file:
        try:
            told = json.loads(file.readline())
            return (
                datetime.fromisoformat(told["until"]),
                datetime.fromisoformat(told["facts_until"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


def done_before(journal: Path, asked: Asked) -> Iterator[tuple[int, Part]]:
    """The parts that an earlier run has written down; a last line that was cut is left out."""
    if not journal.exists():
        return
    first, *lines = journal.read_text(encoding="utf-8").splitlines() or [""]
    if first != json.dumps(asked.as_json(), sort_keys=True):
        journal.unlink()
        return
    whole = []
    for line in lines:
        try:
            whole.append(Part.read(line))
        except (ValueError, KeyError, TypeError):
            break
    kept = [first, *(part.line() for part in whole)]
    journal.write_text("\n".join(kept) + "\n", encoding="utf-8")
    for part in whole:
        yield part.number, part


class _Process:
    """What one process of a replay holds: a connection, the vault, the candidate."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    conn: ClassVar[asyncpg.Connection[asyncpg.Record]]
    vault: ClassVar[Vault]
    candidate: ClassVar[Policy]
    asked: ClassVar[Asked]
    size: ClassVar[int]

    @classmethod
    def begin(
        cls, settings: Settings, database: str | None, source: str, asked: Asked, size: int
    ) -> None:
        cls.loop = asyncio.new_event_loop()
        cls.candidate, cls.asked, cls.size = Policy(source), asked, size

        async def open_both() -> None:
            cls.conn = await connect(settings, "review", database=database, patient=True)
            cls.vault, _pool = await open_vault(settings, "review", max_size=1)

        cls.loop.run_until_complete(open_both())

    @classmethod
    def batch(cls, number: int, at: datetime, application_id: str) -> Part:
        """One batch from its first decision."""
        return cls.loop.run_until_complete(cls._batch(number, at, application_id))

    @classmethod
    async def _batch(cls, number: int, at: datetime, application_id: str) -> Part:
        rows = await cls.conn.fetch(_DECISIONS, at, application_id, cls.asked.until, cls.size)
        keys = await cls.vault.data_keys(
            {Sealed(row["inputs"]).parts.data_key_id for row in rows}
            | {Sealed(row["verdict"]).parts.data_key_id for row in rows},
            leave_out_unavailable=True,
        )
        approved = [row["application_id"] for row in rows if row["outcome"] == "approve"]
        told: dict[str, list[Any]] = {}
        for month in await cls.conn.fetch(_MONTHS, approved, cls.asked.facts_until):
            told.setdefault(month["application_id"], []).append(month)
        part = Part(number, Tally(), [])
        for row in rows:
            past = _past(row, keys, told.get(row["application_id"], []), cls.asked.early_arrears)
            if past is None:
                part.closed += 1
            elif (found := part.tally.add(past, cls.candidate)) is not None:
                part.differences.append(found.as_json())
        return part


def _past(
    row: Any, keys: Mapping[str, Any], months: Sequence[Any], terms: EarlyArrears
) -> Past | None:
    """A decision with what it rested on and what its account did; None where the keys are gone.
    `months`: what is known of each, in order."""
    opened = {}
    for name, column in ((INPUTS_FIELD, "inputs"), (VERDICT_FIELD, "verdict")):
        sealed = Sealed(row[column])
        key = keys.get(sealed.parts.data_key_id)
        if key is None:
            return None
        opened[column] = key.open(name, sealed)
    return Past(
        application_id=row["application_id"],
        region=row["region"],
        age_band=row["age_band"] or "unknown",
        product=row["product"],
        applicant_type=row["applicant_type"],
        month=f"{business_day(row['decided_at']):%Y-%m}",
        outcome=row["outcome"],
        granted=row["granted_limit"],
        state=row["state"],
        inputs=PolicyInputs.thaw(opened["inputs"]),
        verdict=json.loads(opened["verdict"]),
        arrears=early_arrears(
            {month["month"]: month["days_past_due"] for month in months},
            months[-1]["opened_on"] if months else None,
            terms,
        ),
        used=any(month["last_transaction"] is not None for month in months),
    )
