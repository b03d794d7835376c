"""A question about all past decisions: asked by several processes, with progress and resume.

What was done is written down batch by batch, so that a run that was stopped goes on where it was;
two runs over the same decisions end in the same bytes, whoever ran them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol

import asyncpg

from services.review.policy import canonical
from services.review.portfolio import Place
from services.review.workers import INPUTS_FIELD, VERDICT_FIELD
from shared.postgres.pool import connect
from shared.privacy.sealing import Sealed
from shared.privacy.vault import Vault
from shared.privacy.vault_database import open_vault
from shared.settings import Settings

BATCH = 1_000  # decisions that are asked about and written down at a time
SETTLED = timedelta(minutes=2)
"""How old what is counted has to be: what was stamped before is committed by then, or never: a
statement and a pause in its transaction take no longer (shared/postgres/pool.py)."""
_ASKED = "asked"  # in the first line of a journal: the question

_COUNTED = "SELECT count(*) FROM decision WHERE decided_at >= $1 AND decided_at < $2"
# where each batch begins
_BATCHES = """
SELECT decided_at, application_id FROM (
    SELECT decided_at, application_id, row_number() OVER (ORDER BY decided_at, application_id) AS n
    FROM decision WHERE decided_at >= $1 AND decided_at < $2
) numbered WHERE n % $3 = 1 OR $3 = 1 ORDER BY decided_at, application_id
"""
# A file is some thousand bytes, kept packed: it is unpacked once for all that is read of it.
_DECISIONS = """
SELECT d.application_id, d.decided_at, d.outcome, d.granted_limit, d.inputs, d.verdict,
    c.region, c.product, c.applicant_type, c.channel,
    coalesce(h.age_band, 'unknown') AS age_band, coalesce(h.new_to_bank, false) AS new_to_bank,
    (SELECT jsonb_agg(jsonb_build_object('month', month, 'known_at', known_at,
            'days_past_due', days_past_due, 'opened_on', opened_on,
            'last_transaction', last_transaction) ORDER BY month, revision)
        FROM account_month m
        WHERE m.application_id = d.application_id AND d.outcome = 'approve') AS months,
    CASE WHEN d.outcome = 'approve' THEN (SELECT min(at) FROM case_history e
        WHERE e.application_id = d.application_id AND e.action = 'moved'
            AND e.details ->> 'state' IN ('activated', 'in_use')) END AS activated_at
FROM decision d JOIN review_case c USING (application_id) JOIN case_file f USING (application_id)
LEFT JOIN LATERAL jsonb_to_record(nullif(f.body -> 'hand_over', 'null'))
    AS h (age_band text, new_to_bank boolean) ON true
WHERE (d.decided_at, d.application_id) >= ($1, $2)
    AND (d.decided_at, d.application_id) < ($3, $4)
ORDER BY d.decided_at, d.application_id
"""
_SEALED = {"inputs": INPUTS_FIELD, "verdict": VERDICT_FIELD}


class Tally(Protocol):
    """What many decisions came to; tallies add up in any order to the same one."""

    decisions: int

    def take(self, other: Any) -> None:
        """Add another tally to this one."""

    def as_json(self) -> dict[str, Any]:
        """To be written down; equal tallies are equal texts."""


Ask = Callable[[Any, Any, Mapping[str, str]], dict[str, Any] | None]
"""(tally, row, {sealed column: its text}) -> what is to be said of this one decision, or None."""


class Question(Protocol):
    """What is asked about the decisions from `since` to before `until`; goes to other processes.
    With the same `as_json` two reports are the same bytes."""

    opens: ClassVar[tuple[str, ...]]  # of the sealed columns `inputs` and `verdict`

    @property
    def since(self) -> datetime: ...

    @property
    def until(self) -> datetime: ...

    @property
    def decisions(self) -> int: ...

    def as_json(self) -> dict[str, Any]:
        """The question in the report."""

    def tally(self, told: Mapping[str, Any] | None = None) -> Tally:
        """An empty tally, or one that was written down."""

    def asker(self) -> Ask:
        """What asks about one decision; made once for a process."""


@dataclass(slots=True)
class Part:
    """What one batch came to. `closed`: decisions of people whose data was erased or is
    restricted: what they rested on cannot be read any more."""

    number: int
    tally: Any
    differences: list[dict[str, Any]]
    closed: int = 0

    @property
    def decisions(self) -> int:
        """How many it was about."""
        return int(self.tally.decisions) + self.closed

    def line(self) -> str:
        told = {
            "part": self.number,
            "closed": self.closed,
            "tally": self.tally.as_json(),
            "differences": self.differences,
        }
        return json.dumps(told, ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, line: str, question: Question) -> Part:
        told = json.loads(line)
        return cls(told["part"], question.tally(told["tally"]), told["differences"], told["closed"])


@dataclass(slots=True)
class Report:
    """The whole of it: what was asked, what it came to, and what was said of single applications,
    in the order in which they were decided."""

    question: Question
    tally: Any
    differences: list[dict[str, Any]] = field(default_factory=list)
    closed: int = 0

    @property
    def sha256(self) -> str:
        """The digest of what the report says."""
        return hashlib.sha256(canonical(self._told()).encode()).hexdigest()

    def text(self) -> bytes:
        """Canonical JSON with its own digest: {"asked", "closed", "tally", "differences",
        "sha256"}."""
        return canonical({**self._told(), "sha256": self.sha256}).encode() + b"\n"

    def _told(self) -> dict[str, Any]:
        return {
            "asked": self.question.as_json(),
            "closed": self.closed,
            "tally": self.tally.as_json(),
            "differences": self.differences,
        }


def settled(now: datetime) -> datetime:
    """Until when everything that was decided or heard stands in the database."""
    return now - SETTLED


async def count(conn: Any, since: datetime, until: datetime) -> int:
    """How many decisions there are from `since` to before `until`."""
    return int(await conn.fetchval(_COUNTED, since, until))


async def batches(conn: Any, question: Question, size: int = BATCH) -> list[Place]:
    """Where each batch of `size` decisions begins; it ends before the next one does."""
    rows = await conn.fetch(_BATCHES, question.since, question.until, size)
    return [(row["decided_at"], row["application_id"]) for row in rows]


class OtherQuestionError(ValueError):
    """The journal is of another question, or of none: nothing of it is used, and it stays."""


def run(
    settings: Settings,
    database: str | None,
    question: Question,
    begins: list[Place],
    journal: Path,
    *,
    processes: int,
    told: Callable[[int], None],
) -> Report:
    """Ask about every decision; `told` is called with how many a batch had.

    `journal` has what was done. Raises OtherQuestionError where it is of another question.
    """
    done = dict(done_before(journal, question, begins))
    for part in done.values():
        told(part.decisions)
    ends = [*begins[1:], (question.until, "")]
    left = [
        (number, begin, end)
        for number, (begin, end) in enumerate(zip(begins, ends, strict=False))
        if number not in done
    ]
    if left:
        with (
            journal.open("a", encoding="utf-8") as file,
            asking(settings, database, question, processes=min(processes, len(left))) as pool,
        ):
            if not file.tell():
                file.write(first_line(question, begins) + "\n")
            waiting = [pool.submit(ask_batch, *one) for one in left]
            try:
                for future in as_completed(waiting):
                    part = future.result()
                    done[part.number] = part
                    file.write(part.line() + "\n")
                    file.flush()
                    told(part.decisions)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    whole = Report(question, question.tally())
    for number in sorted(done):
        whole.tally.take(done[number].tally)
        whole.differences += done[number].differences
        whole.closed += done[number].closed
    return whole


def journal_of(kind: str, question: Question) -> Path:
    """Where a question is written down that nobody named a file for: each has one of its own."""
    digest = hashlib.sha256(canonical(question.as_json()).encode()).hexdigest()
    return Path(f"{kind}-{digest[:12]}.jsonl")


def journals(kind: str) -> list[Path]:
    """Those of this kind that lie here."""
    return sorted(Path().glob(f"{kind}-*.jsonl"))


def first_line(question: Question, begins: Sequence[Place]) -> str:
    """What a journal is about: the question and where its parts begin."""
    parts = [[at.isoformat(), application_id] for at, application_id in begins]
    return json.dumps({_ASKED: question.as_json(), "begins": parts}, sort_keys=True)


def stopped(journal: Path) -> Mapping[str, Any] | None:
    """The question of a run that was stopped, as it stands in the report; None where every part
    is done, or the file is no journal."""
    if not journal.exists():
        return None
    first, *lines = journal.read_text(encoding="utf-8").splitlines() or [""]
    try:
        told = json.loads(first)
        asked: Mapping[str, Any] = told[_ASKED]
        left = len(told["begins"])
    except (ValueError, KeyError, TypeError):
        return None
    return asked if sum(map(_is_whole, lines)) < left else None


def _is_whole(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def done_before(
    journal: Path, question: Question, begins: Sequence[Place]
) -> Iterator[tuple[int, Part]]:
    """The parts that an earlier run has written down; a last line that was cut is left out.

    Raises OtherQuestionError.
    """
    if not journal.exists():
        return
    first, *lines = journal.read_text(encoding="utf-8").splitlines() or [""]
    if first != first_line(question, begins):
        raise OtherQuestionError(f"{journal} is of another question or span: name another journal")
    whole = []
    for line in lines:
        try:
            whole.append(Part.read(line, question))
        except (ValueError, KeyError, TypeError):
            break
    kept = [first, *(part.line() for part in whole)]
    journal.write_text("\n".join(kept) + "\n", encoding="utf-8")
    for part in whole:
        yield part.number, part


def asking(
    settings: Settings,
    database: str | None,
    question: Question,
    *,
    processes: int,
) -> ProcessPoolExecutor:
    """Processes to which `ask_batch` can be submitted."""
    return ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_Process.begin,
        initargs=(settings, database, question),
    )


def ask_batch(number: int, begin: Place, end: Place) -> Part:
    """One batch from its first decision to before the end's; within a process of `asking`."""
    return _Process.loop.run_until_complete(_Process.batch(number, begin, end))


class _Process:
    """What one process holds: a connection, the vault, the question."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    conn: ClassVar[asyncpg.Connection[asyncpg.Record]]
    vault: ClassVar[Vault]
    question: ClassVar[Question]
    ask: ClassVar[list[Ask]]  # in a list, or it would be bound as a method

    @classmethod
    def begin(cls, settings: Settings, database: str | None, question: Question) -> None:
        cls.loop = asyncio.new_event_loop()
        cls.question = question
        cls.ask = [question.asker()]

        async def open_both() -> None:
            cls.conn = await connect(settings, "review", database=database, patient=True)
            cls.vault, _pool = await open_vault(settings, "review", max_size=1)

        cls.loop.run_until_complete(open_both())

    @classmethod
    async def batch(cls, number: int, begin: Place, end: Place) -> Part:
        question, (ask,) = cls.question, cls.ask
        rows = await cls.conn.fetch(_DECISIONS, *begin, *end)
        sealed = [{name: Sealed(row[name]) for name in question.opens} for row in rows]
        keys = await cls.vault.data_keys(
            {one.parts.data_key_id for columns in sealed for one in columns.values()},
            leave_out_unavailable=True,
        )
        part = Part(number, question.tally(), [])
        for row, columns in zip(rows, sealed, strict=True):
            opened = _open(columns, keys)
            if opened is None:
                part.closed += 1
            elif (said := ask(part.tally, row, opened)) is not None:
                part.differences.append(said)
        return part


def _open(columns: Mapping[str, Sealed], keys: Mapping[str, Any]) -> dict[str, str] | None:
    """{column: its text}; None where a key is gone."""
    opened = {}
    for column, sealed in columns.items():
        key = keys.get(sealed.parts.data_key_id)
        if key is None:
            return None
        opened[column] = key.open(_SEALED[column], sealed)
    return opened
