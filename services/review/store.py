"""Review's tables: cases with what hangs on them, decisions, history, who looked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median_low
from typing import Any

from pydantic import TypeAdapter

from services.review import account_store, trace_store, watchlist_store, work_list
from services.review.account_store import Own
from services.review.appeal_store import BESIDE, DISPUTED, know_appeals, save_appeals
from services.review.case import (
    REPORT_DISPUTED,
    UNWEIGHED,
    Case,
    Check,
    Decision,
    Entry,
    Escalation,
    HandOver,
    Proposal,
    Recommendation,
    Scope,
    ShadowVerdict,
    Snooze,
)
from services.review.checks.fraud import Trace
from services.review.holds import Hold
from services.review.limit_store import know_cards, save_changes
from services.review.policy import Policy
from services.review.policy_store import PolicyShelf
from services.review.queue import Section, SortKey
from services.review.telephone import Telephone
from services.review.watchlists import Lists
from shared.events.lifecycle import OWNERS, State
from shared.messaging import Connection
from shared.money import Money
from shared.parameters import load_checks
from shared.web.lists import Page, Place, Total, page_from

_REVIEW_STATES = sorted(state for state, owner in OWNERS.items() if owner.authority == "review")


@dataclass(slots=True)
class _CaseFile:
    """The part of a case that lists do not need, as it is written to `case_file`."""

    hand_over: HandOver | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    round: int = 0
    scoring_round: int = 0
    weighed_round: int | None = None
    scoring_failures: int = 0
    unweighed_since: datetime | None = None
    recommendation: Recommendation | None = None
    proposal: Proposal | None = None
    returned: str | None = None
    looked_into: str | None = None
    cleared: tuple[str, ...] = ()
    hold: Hold | None = None
    telephone: Telephone | None = None
    escalation: Escalation | None = None
    awaited_since: datetime | None = None
    first_due: datetime | None = None
    has_read: tuple[tuple[str, str], ...] = ()


_FILE: TypeAdapter[_CaseFile] = TypeAdapter(_CaseFile)

_LOCK = """
SELECT * FROM review_case WHERE application_id = ANY ($1) ORDER BY application_id FOR UPDATE
"""

# What stands beside a case and a person, `one`: the newest figure of dormant cards, what is known
# of the screening system's lists, whether the policy alone approved it, and appeals.
_KNOWN = f"""
LEFT JOIN ({account_store.LAST_FIGURE}) AS figure ON true
CROSS JOIN ({watchlist_store.LISTS}) AS lists
LEFT JOIN decision AS granted
    ON granted.application_id = one.application_id AND granted.outcome = 'approve'
LEFT JOIN LATERAL ({BESIDE}) AS beside ON true
"""

_FILES = f"""
SELECT figure.*, lists.*, one.application_id AS of, body, granted.automatic AS by_policy, beside.*
FROM unnest($1::text[], $2::text[]) AS one (application_id, person)
LEFT JOIN case_file
    ON case_file.application_id = one.application_id AND case_file.application_id = ANY ($1)
{_KNOWN}
"""  # noqa: S608 - constants of ours

_KNOWN_OF_ONE = f"""
SELECT figure.*, lists.*, granted.automatic AS by_policy, beside.*
FROM (VALUES ($1::text, $2::text)) AS one (application_id, person) {_KNOWN}
"""  # noqa: S608 - constants of ours

# Everything that a move usually writes, in one round trip: the case, its file, its history and its
# decision. Empty arrays where there is nothing.
_SAVE = """
WITH cases AS (
INSERT INTO review_case (application_id, state, state_version, application_number, branch, region,
    channel, product, product_version, applicant_type, person, claimed_by, claimed_at, proposed_by,
    queued_at, held_at, due, findings, advice, granted_limit, category, imported, snoozed_until,
    snoozed_for, amount, language, hold_reason, hold_due, escalated_by)
SELECT application_id, state, state_version, application_number, branch, region, channel, product,
    product_version, applicant_type, person, claimed_by, claimed_at, proposed_by, queued_at,
    held_at, due, ARRAY(SELECT jsonb_array_elements_text(findings)), advice, granted_limit,
    category, imported, snoozed_until, snoozed_for, amount, language, hold_reason, hold_due,
    escalated_by
FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::text[],
    $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::jsonb[], $19::text[],
    $20::bigint[], $21::text[], $22::boolean[], $23::timestamptz[], $24::text[],
    $25::bigint[], $26::text[], $27::text[], $28::timestamptz[], $29::text[])
AS row (application_id, state, state_version, application_number, branch, region, channel, product,
    product_version, applicant_type, person, claimed_by, claimed_at, proposed_by, queued_at,
    held_at, due, findings, advice, granted_limit, category, imported, snoozed_until, snoozed_for,
    amount, language, hold_reason, hold_due, escalated_by)
ON CONFLICT (application_id) DO UPDATE SET
    state = excluded.state, state_version = excluded.state_version, product = excluded.product,
    product_version = excluded.product_version, applicant_type = excluded.applicant_type,
    person = excluded.person,
    claimed_by = excluded.claimed_by, claimed_at = excluded.claimed_at,
    proposed_by = excluded.proposed_by, queued_at = excluded.queued_at,
    held_at = excluded.held_at, due = excluded.due, findings = excluded.findings,
    advice = excluded.advice, granted_limit = excluded.granted_limit,
    category = excluded.category, imported = excluded.imported,
    snoozed_until = excluded.snoozed_until, snoozed_for = excluded.snoozed_for,
    amount = excluded.amount, language = excluded.language,
    hold_reason = excluded.hold_reason, hold_due = excluded.hold_due,
    escalated_by = excluded.escalated_by
), files AS (
INSERT INTO case_file (application_id, body) SELECT * FROM unnest($30::text[], $31::jsonb[])
ON CONFLICT (application_id) DO UPDATE SET body = excluded.body
), decisions AS (
INSERT INTO decision (decision_id, application_id, outcome, automatic, decided_by, reasons,
    granted_limit, category, reapply_from, inputs, verdict, policy_version, policy_digest,
    decided_at, points, pricing_class)
SELECT decision_id, application_id, outcome, automatic,
    ARRAY(SELECT jsonb_array_elements_text(decided_by)),
    ARRAY(SELECT jsonb_array_elements_text(reasons)),
    granted_limit, category, reapply_from, inputs, verdict, policy_version, policy_digest,
    decided_at, points, pricing_class
FROM unnest($32::text[], $33::text[], $34::text[], $35::boolean[], $36::jsonb[], $37::jsonb[],
    $38::bigint[], $39::text[], $40::date[], $41::text[], $42::text[], $43::text[], $44::text[],
    $45::timestamptz[], $46::int[], $47::text[])
AS row (decision_id, application_id, outcome, automatic, decided_by, reasons, granted_limit,
    category, reapply_from, inputs, verdict, policy_version, policy_digest, decided_at, points,
    pricing_class)
)
INSERT INTO case_history (application_id, at, actor, action, details, confidential)
SELECT application_id, at, actor, action, details, confidential
FROM unnest($48::text[], $49::timestamptz[], $50::text[], $51::text[], $52::jsonb[], $53::boolean[])
    WITH ORDINALITY AS row (application_id, at, actor, action, details, confidential, place)
ORDER BY place
"""
_CASE_COLUMNS, _FILE_COLUMNS, _DECISION_COLUMNS, _ENTRY_COLUMNS = 29, 2, 16, 6

_SAVE_SHADOW = """
INSERT INTO shadow_verdict (application_id, digest, scoring_round, outcome, advice, findings,
    recommended, points, pricing_class, at, live_digest, live_outcome, live_findings,
    live_recommended, live_points)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (application_id, digest, scoring_round) DO NOTHING
"""


_FORGET_WAITING = "DELETE FROM check_waiting WHERE application_id = ANY ($1)"

_SAVE_WAITING = """
INSERT INTO check_waiting (application_id, check_name, since)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
"""

_SAVE_SCREENED = """
INSERT INTO screened (application_id, list, lists, asked_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])
ON CONFLICT (application_id) DO UPDATE SET
    list = excluded.list, lists = excluded.lists, asked_at = excluded.asked_at
"""

SCREENED_OTHERWISE = f"""
SELECT application_id FROM review_case LEFT JOIN screened USING (application_id)
WHERE state IN ({", ".join(f"'{state}'" for state in _REVIEW_STATES)}) AND application_id > $4
    AND (coalesce(list, '') <> $1
        OR coalesce(lists, 0) < $2 AND coalesce(asked_at, '-infinity') < $3)
ORDER BY application_id LIMIT 1000
"""  # noqa: S608 - states of ours, said for the index


class CaseStore:
    """Cases for the kernel: loaded under lock, written in bulk. Never commits."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Case]:
        """{application id: case}; rows locked in order of their ids."""
        rows = await conn.fetch(_LOCK, list(subjects))
        if not rows:
            return {subject: Case(subject) for subject in subjects}
        # In a statement of its own, after the lock: a join would read the file as it was before
        # whoever held the lock wrote it.
        files = await conn.fetch(
            _FILES, [row["application_id"] for row in rows], [row["person"] for row in rows]
        )
        by_case: dict[str, list[Any]] = {}
        for file in files:
            by_case.setdefault(file["of"], []).append(file)
        found = {}
        for row in rows:
            hang_on = by_case[row["application_id"]]
            case = found[row["application_id"]] = _case(row, hang_on[0]["body"])
            _know(case, hang_on)
        await know_cards(conn, list(found.values()), locked=True)
        return {subject: found.get(subject) or Case(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Case]) -> None:
        """Write cases, and of what hangs on them only what is new or was touched."""
        known = [case for case in states if case.state is not None and case.scope is not None]
        if not known:
            return
        rows = [row for case in known if (row := _row(case)) != case.stored]
        files = [
            (case.application_id, _FILE.dump_json(_file(case)).decode())
            for case in known
            if case.touched
        ]
        decisions = [_decision_row(case, one) for case in known for one in case.decisions]
        entries = [_entry_row(case, entry) for case in known for entry in case.entries]
        if rows or files or decisions or entries:
            await conn.execute(
                _SAVE,
                *_columns(rows, _CASE_COLUMNS),
                *_columns(files, _FILE_COLUMNS),
                *_columns(decisions, _DECISION_COLUMNS),
                *_columns(entries, _ENTRY_COLUMNS),
            )
        waiting = [case for case in known if case.waits_changed]
        if waiting:
            await conn.execute(_FORGET_WAITING, [case.application_id for case in waiting])
            rows = [(case.application_id, *one) for case in waiting for one in _waits_for(case)]
            if rows:
                await conn.execute(_SAVE_WAITING, *(list(one) for one in zip(*rows, strict=True)))
        screened = [case for case in known if case.screened_changed]
        if screened:
            await conn.execute(
                _SAVE_SCREENED,
                [case.application_id for case in screened],
                [case.checks["watchlist"].screened_with for case in screened],
                [case.checks["watchlist"].lists_known for case in screened],
                [case.checks["watchlist"].requested_at for case in screened],
            )
        appeals = [(case, one) for case in known for one in case.appeals if one.changed]
        if appeals:
            await save_appeals(conn, appeals)
        changes = [(case, one) for case in known for one in case.limit_changes if one.changed]
        if changes:
            await save_changes(conn, changes)
        shadows = [_shadow_row(case, said) for case in known for said in case.shadows]
        if shadows:
            await conn.executemany(_SAVE_SHADOW, shadows)


def _waits_for(case: Case) -> list[tuple[str, datetime | None]]:
    """For what a case waits, and since when: for systems that are away, and for a policy that can
    be applied to it."""
    found = [(check.name, check.waits_since) for check in case.checks.values() if check.waits]
    unweighed = [(UNWEIGHED, case.unweighed_since)] if case.unweighed_since else []
    return [*found, *unweighed]


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    """So many columns, each empty where there are no rows."""
    return [[row[nth] for row in rows] for nth in range(count)]


def _entry_row(case: Case, entry: Entry) -> tuple[Any, ...]:
    return (
        case.application_id,
        entry.at,
        entry.actor,
        entry.action,
        json.dumps(dict(entry.details), ensure_ascii=False),
        entry.confidential,
    )


def _file(case: Case) -> _CaseFile:
    return _CaseFile(
        hand_over=case.hand_over,
        checks=dict(case.checks),
        round=case.round,
        scoring_round=case.scoring_round,
        weighed_round=case.weighed_round,
        scoring_failures=case.scoring_failures,
        unweighed_since=case.unweighed_since,
        recommendation=case.recommendation,
        proposal=case.proposal,
        returned=case.returned,
        looked_into=case.looked_into,
        cleared=case.cleared,
        hold=case.hold,
        telephone=case.telephone,
        escalation=case.escalation,
        awaited_since=case.awaited_since,
        first_due=case.first_due,
        has_read=case.has_read,
    )


def _row(case: Case) -> tuple[Any, ...]:
    scope = case.need_scope()
    hold = case.hold if case.state is State.ON_HOLD else None
    found = case.recommendation
    return (
        case.application_id,
        str(case.state),
        case.state_version,
        scope.application_number,
        scope.branch,
        scope.region,
        scope.channel,
        scope.product,
        scope.product_version,
        scope.applicant_type,
        case.hand_over.examined.person if case.hand_over else None,
        case.claimed_by,
        case.claimed_at,
        case.proposal.staff_id if case.proposal else None,
        case.queued_at,
        case.held_at,
        case.due,
        json.dumps(list(found.findings) if found else []),
        found.advice if found else None,
        case.limit.minor if case.limit else None,
        case.category,
        case.imported,
        case.snooze.until if case.snooze else None,
        case.snooze.awaited if case.snooze else None,
        case.amount.minor if case.amount else None,
        case.language,
        hold.reason.value if hold else None,
        hold.due if hold else None,
        case.escalation.by if case.escalation else None,
    )


def _decision_row(case: Case, decision: Decision) -> tuple[Any, ...]:
    return (
        decision.decision_id,
        case.application_id,
        decision.outcome,
        decision.automatic,
        json.dumps(list(decision.decided_by)),
        json.dumps(list(decision.reasons)),
        decision.limit.minor if decision.limit else None,
        decision.category,
        decision.reapply_from,
        decision.inputs,
        decision.verdict,
        decision.policy_version,
        decision.policy_digest,
        decision.at,
        decision.points,
        decision.pricing_class,
    )


def _shadow_row(case: Case, said: ShadowVerdict) -> tuple[Any, ...]:
    return (
        case.application_id,
        said.digest,
        said.scoring_round,
        said.outcome,
        said.advice,
        list(said.findings),
        said.recommended.minor,
        said.points,
        said.pricing_class,
        said.at,
        said.live.policy_digest,
        said.live.outcome,
        list(said.live.findings),
        said.live.limit.minor,
        said.live.points,
    )


def _know(case: Case, files: Sequence[Any]) -> None:
    """Give a case what stands beside it, in its rows of `_KNOWN`."""
    case.dormancy = account_store.figure_of(files[0])
    case.lists = watchlist_store.lists_of(files[0])
    case.by_policy = bool(files[0]["by_policy"])
    know_appeals(case, [file for file in files if file["appeal_id"] is not None])


def _case(row: Any, body: str | None) -> Case:
    file = _FILE.validate_json(body) if body else _CaseFile()
    open_case = row["state"] == State.MANUAL_REVIEW
    case = Case(
        application_id=row["application_id"],
        state=State(row["state"]),
        state_version=row["state_version"],
        scope=Scope(
            row["application_number"],
            row["branch"],
            row["region"],
            row["channel"],
            row["product"],
            row["product_version"],
            row["applicant_type"],
        ),
        hand_over=file.hand_over,
        checks=file.checks,
        round=file.round,
        scoring_round=file.scoring_round,
        weighed_round=file.weighed_round,
        scoring_failures=file.scoring_failures,
        unweighed_since=file.unweighed_since,
        recommendation=file.recommendation,
        claimed_by=row["claimed_by"],
        claimed_at=row["claimed_at"],
        snooze=Snooze(row["snoozed_until"], row["snoozed_for"]) if row["snoozed_until"] else None,
        # the file is not rewritten when a case is closed by an event of another service
        proposal=file.proposal if open_case else None,
        returned=file.returned,
        looked_into=file.looked_into,
        cleared=file.cleared,
        hold=file.hold,
        telephone=file.telephone,
        escalation=file.escalation,
        awaited_since=file.awaited_since,
        first_due=file.first_due,
        has_read=file.has_read,
        due=row["due"],
        queued_at=row["queued_at"],
        held_at=row["held_at"],
        limit=Money(minor=row["granted_limit"]) if row["granted_limit"] is not None else None,
        category=row["category"],
        imported=row["imported"],
    )
    case.stored = _row(case)
    return case


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One case in a list."""

    application_id: str
    application_number: str
    branch: str
    product: str
    applicant_type: str
    channel: str
    state: str
    queued_at: datetime | None
    held_at: datetime | None
    due: datetime | None
    findings: tuple[str, ...]
    advice: str | None
    claimed_by: str | None
    proposed_by: str | None
    snoozed_until: datetime | None
    snoozed_for: str | None
    amount: int | None  # fen
    language: str | None
    escalated_by: str | None = None
    hold_reason: str | None = None  # these two are compliance's
    hold_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list shall hold. `branches` None: all. `staff_id`: who looks. `knows_holds`: whether
    they may know of held cases; to others these lie in the queue."""

    section: Section
    staff_id: str
    branches: list[str] | None
    knows_holds: bool = False
    number: str | None = None
    product: str | None = None
    branch: str | None = None
    flag: str | None = None
    holder: str | None = None
    language: str | None = None
    new_to_bank: bool | None = None
    products: list[str] | None = None  # any of these
    amount_from: int | None = None  # fen; both included
    amount_to: int | None = None


_SECTIONS: dict[Section, str] = {
    "open": "state = 'manual_review' AND proposed_by IS NULL AND snoozed_until IS NULL",
    "mine": "state = 'manual_review' AND proposed_by IS NULL AND claimed_by = $1"
    " AND snoozed_until IS NULL",
    "snoozed": "state = 'manual_review' AND snoozed_until IS NOT NULL",
    "escalated": "state = 'manual_review' AND proposed_by IS NULL AND escalated_by IS NOT NULL"
    " AND snoozed_until IS NULL",
    "to_sign": "state = 'manual_review' AND proposed_by <> $1",
    "waiting": "state = 'checking' AND EXISTS (SELECT FROM check_waiting w"
    " WHERE w.application_id = review_case.application_id)",
    # nothing is proposed or snoozed while compliance looks into a case: said for the index
    "held": "state = 'on_hold' AND proposed_by IS NULL AND snoozed_until IS NULL",
}
_NO_HOLDS: dict[Section, str] = {
    **_SECTIONS,
    "open": "state IN ('manual_review', 'on_hold') AND proposed_by IS NULL"
    " AND snoozed_until IS NULL",
    "escalated": "false",
    "held": "false",
}


_ROW = (
    "application_id, application_number, branch, product, applicant_type, channel, state,"
    " coalesce(queued_at, held_at) AS queued_at, held_at, due,"
    f" array_remove(findings, '{REPORT_DISPUTED}')"
    f" || CASE WHEN {DISPUTED} THEN ARRAY['{REPORT_DISPUTED}'] ELSE '{{}}' END AS findings,"
    " advice, claimed_by,"
    " proposed_by, snoozed_until, snoozed_for, amount, language, escalated_by, hold_reason,"
    " hold_due"
)
_COLUMNS: dict[SortKey, str] = {
    "due": "due",
    "since": "coalesce(queued_at, held_at)",  # a case lies in the queue or is held
    "number": 'application_number COLLATE "C"',
}


# The policy finds it of every new customer; before it has spoken the hand-over says so.
_NEW_TO_BANK = """
CASE WHEN advice IS NOT NULL THEN 'NEW_TO_BANK' = ANY (findings)
ELSE (SELECT (body -> 'hand_over' ->> 'new_to_bank')::boolean FROM case_file
    WHERE case_file.application_id = review_case.application_id) END
"""


def _fitting(wanted: Wanted) -> tuple[str, list[Any]]:
    """The condition of a list and its arguments: of the filters only those that are set, or no
    index by branch would serve."""
    section = (_SECTIONS if wanted.knows_holds else _NO_HOLDS)[wanted.section]
    conditions = [section, "$1::text IS NOT NULL"]
    arguments: list[Any] = [wanted.staff_id]
    for condition, value in (
        ("branch = ANY ({}::text[])", wanted.branches),
        ("application_number = {}::text", wanted.number),
        ("product = {}::text", wanted.product),
        ("branch = {}::text", wanted.branch),
        # one may be disputed beside another application since it was weighed, or no more
        (f"{DISPUTED} = {{}}::boolean", True if wanted.flag == REPORT_DISPUTED else None),
        ("{}::text = ANY (findings)", wanted.flag if wanted.flag != REPORT_DISPUTED else None),
        ("claimed_by = {}::text", wanted.holder),
        ("language = {}::text", wanted.language),
        (f"{_NEW_TO_BANK} = {{}}::boolean", wanted.new_to_bank),
        ("product = ANY ({}::text[])", wanted.products),
        ("amount >= {}::bigint", wanted.amount_from),
        ("amount <= {}::bigint", wanted.amount_to),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))
    return " AND ".join(conditions), arguments


def _queue_row(row: Any) -> QueueRow:
    values = {**row, "findings": tuple(row["findings"])}
    values.pop("key", None)
    return QueueRow(**values)


async def page_of(
    conn: Any,
    wanted: Wanted,
    size: int,
    key: SortKey,
    *,
    descending: bool = False,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[QueueRow]:
    """The page of a section behind a place, or the one in front of it; else the first."""
    statement, arguments = page_statement(
        wanted, size, key, descending=descending, after=after, before=before
    )
    rows = await conn.fetch(statement, *arguments)
    places = [Place(row["key"], row["application_id"]) for row in rows]
    found = [_queue_row(row) for row in rows]
    return page_from(found, places, size, after=after, before=before)


def page_statement(
    wanted: Wanted,
    size: int,
    key: SortKey,
    *,
    descending: bool = False,
    after: Place | None = None,
    before: Place | None = None,
) -> tuple[str, list[Any]]:
    """The rows of a page and one more, which tells whether the list goes on; the statement and its
    arguments."""
    condition, arguments = _fitting(wanted)
    column, kind = _COLUMNS[key], "text" if key == "number" else "timestamptz"
    way = "DESC" if descending != (before is not None) else "ASC"
    place = before or after
    if place is not None:
        than, count = "<" if way == "DESC" else ">", len(arguments)
        condition += f" AND ({column}, application_id) {than} (${count + 1}::{kind}, ${count + 2})"
        arguments += [place.key, place.id]
    statement = (
        f"SELECT {_ROW}, {column} AS key FROM review_case WHERE {condition}"  # noqa: S608 - our own text
        f" ORDER BY {column} {way}, application_id {way} LIMIT {size + 1}"
    )
    return statement, arguments


async def total_of(conn: Any, wanted: Wanted) -> Total:
    """How many fit, as far as is counted."""
    condition, arguments = _fitting(wanted)
    rows = f"SELECT FROM review_case WHERE {condition}"
    return await work_list.counted(conn, rows, arguments)


@dataclass(frozen=True, slots=True)
class Away:
    """A system that does not answer, for how many cases, and since when; `UNWEIGHED` is the policy,
    where it could not be applied to them."""

    check: str
    since: datetime
    cases: int


async def away(conn: Any, branches: list[str] | None) -> list[Away]:
    """Systems for which cases of these branches (None: of all) wait."""
    rows = await conn.fetch(
        "SELECT check_name, min(since) AS since, count(*) AS cases FROM check_waiting"
        " JOIN review_case USING (application_id) WHERE state = 'checking'"
        " AND ($1::text[] IS NULL OR branch = ANY ($1)) GROUP BY check_name ORDER BY since",
        branches,
    )
    return [Away(row["check_name"], row["since"], row["cases"]) for row in rows]


async def waits_of(conn: Any, cases: Sequence[str]) -> dict[str, list[tuple[str, datetime]]]:
    """{application id: [(check, or `UNWEIGHED`, since when it waits for it)]} of those that
    wait."""
    rows = await conn.fetch(
        "SELECT application_id, check_name, since FROM check_waiting"
        " WHERE application_id = ANY ($1) ORDER BY since, check_name",
        list(cases),
    )
    found: dict[str, list[tuple[str, datetime]]] = {}
    for row in rows:
        found.setdefault(row["application_id"], []).append((row["check_name"], row["since"]))
    return found


async def screened_otherwise(conn: Any, mark: str, lists: Lists, after: str) -> list[str]:
    """Open cases, by id and beyond that one, that were not screened with the own list of that mark
    and the screening system's lists as they are; some at a time."""
    rows = await conn.fetch(SCREENED_OTHERWISE, mark, lists.number, lists.since, after)
    return [row["application_id"] for row in rows]


_UNWEIGHED = """
SELECT application_id FROM review_case JOIN case_file USING (application_id)
WHERE state = 'checking' AND application_id > $2
    AND (body ->> 'unweighed_since' IS NOT NULL OR (body ->> 'scoring_failures')::int >= $1)
ORDER BY application_id LIMIT 1000
"""


async def unweighed(conn: Any, failures: int, after: str) -> list[str]:
    """Cases, by id and beyond that one, to which the policy could not be applied in so many tries
    and that nobody has; some at a time."""
    rows = await conn.fetch(_UNWEIGHED, failures, after)
    return [row["application_id"] for row in rows]


async def list_cases(
    conn: Any, wanted: Wanted, *, page: int, page_size: int
) -> tuple[list[QueueRow], int]:
    """A page of a section by its number and how many there are: what is due first stands first."""
    condition, arguments = _fitting(wanted)
    total = await conn.fetchval(
        f"SELECT count(*) FROM review_case WHERE {condition}",  # noqa: S608 - our own text
        *arguments,
    )
    rows = await conn.fetch(
        f"SELECT {_ROW} FROM review_case WHERE {condition}"  # noqa: S608 - our own text
        f" ORDER BY due, application_id LIMIT {page_size} OFFSET {(page - 1) * page_size}",
        *arguments,
    )
    return [_queue_row(row) for row in rows], total


async def id_of_number(conn: Any, branches: list[str] | None, number: str) -> str | None:
    """The case with this application number, if it may be shown."""
    found: str | None = await conn.fetchval(
        "SELECT application_id FROM review_case WHERE application_number = $1"
        " AND ($2::text[] IS NULL OR branch = ANY ($2))",
        number,
        branches,
    )
    return found


def _nobodys(
    wanted: Wanted, products: Iterable[str] | None, escalated_in: list[str] | None
) -> tuple[str, list[Any]]:
    """The condition of what may be taken of a part of the queue, and its arguments; products: of
    which alone, None for any; escalated_in: the branches of which it may be an escalated one."""
    condition, arguments = _fitting(replace(wanted, section="open", knows_holds=True, holder=None))
    own, escalated = len(arguments) + 1, len(arguments) + 2
    condition += (
        " AND claimed_by IS NULL"
        f" AND (${own}::text[] IS NULL OR product = ANY (${own}))"
        f" AND (escalated_by IS NULL OR ${escalated}::text[] IS NULL"
        f" OR branch = ANY (${escalated}))"
    )
    return condition, [*arguments, None if products is None else list(products), escalated_in]


async def next_waiting(
    conn: Any, wanted: Wanted, products: Iterable[str] | None, escalated_in: list[str] | None
) -> str | None:
    """The case that is due first of those that are nobody's in a part of the queue, locked. One
    that somebody is just taking is passed over, so that two who ask at once get two cases."""
    condition, arguments = _nobodys(wanted, products, escalated_in)
    found: str | None = await conn.fetchval(
        f"SELECT application_id FROM review_case WHERE {condition}"  # noqa: S608 - our own text
        " ORDER BY due, application_id LIMIT 1 FOR UPDATE SKIP LOCKED",
        *arguments,
    )
    return found


async def first_due(
    conn: Any, wanted: Wanted, products: Iterable[str] | None, escalated_in: list[str] | None
) -> datetime | None:
    """When the case of `next_waiting` is due; None: there is none."""
    condition, arguments = _nobodys(wanted, products, escalated_in)
    found: datetime | None = await conn.fetchval(
        f"SELECT due FROM review_case WHERE {condition}"  # noqa: S608 - our own text
        " ORDER BY due, application_id LIMIT 1",
        *arguments,
    )
    return found


async def find_case(conn: Any, application_id: str) -> Case | None:
    """A case to look at, without a lock."""
    row = await conn.fetchrow(
        "SELECT c.*, f.body FROM review_case c LEFT JOIN case_file f USING (application_id)"
        " WHERE application_id = $1",
        application_id,
    )
    if row is None:
        return None
    case = _case(row, row["body"])
    _know(case, await conn.fetch(_KNOWN_OF_ONE, application_id, row["person"]))
    await know_cards(conn, [case], locked=False)
    return case


async def history_of(conn: Any, application_id: str, *, confidential: bool) -> list[Entry]:
    """What was done with a case, oldest first; confidential lines only where asked for."""
    rows = await conn.fetch(
        "SELECT at, actor, action, details, confidential FROM case_history"
        " WHERE application_id = $1 AND (NOT confidential OR $2) ORDER BY id",
        application_id,
        confidential,
    )
    return [
        Entry(
            row["at"], row["actor"], row["action"], json.loads(row["details"]), row["confidential"]
        )
        for row in rows
    ]


async def decision_of(conn: Any, application_id: str) -> Decision | None:
    """The decision of an application, if there is one."""
    row = await conn.fetchrow("SELECT * FROM decision WHERE application_id = $1", application_id)
    return None if row is None else _decision(row)


def _decision(row: Any) -> Decision:
    return Decision(
        decision_id=row["decision_id"],
        outcome=row["outcome"],
        automatic=row["automatic"],
        decided_by=tuple(row["decided_by"]),
        reasons=tuple(row["reasons"]),
        limit=Money(minor=row["granted_limit"]) if row["granted_limit"] is not None else None,
        category=row["category"],
        reapply_from=row["reapply_from"],
        inputs=row["inputs"],
        verdict=row["verdict"],
        policy_version=row["policy_version"],
        policy_digest=row["policy_digest"],
        at=row["decided_at"],
        points=row["points"],
        pricing_class=row["pricing_class"],
    )


LIKE_IT = 20  # points of the score card within which a case is like another
LOOKED_THROUGH = 500  # decided cases, the latest first


@dataclass(frozen=True, slots=True)
class Alike:
    """What was decided about cases like one: how many approved and declined, the middle one of the
    limits that were granted, and the latest: [(number, decision, application id)]."""

    approved: int
    declined: int
    middle: Money | None
    latest: list[tuple[str, Decision, str]]


_ALIKE = """
SELECT d.*, c.application_number FROM (
    SELECT application_id, application_number FROM review_case
    WHERE product = $1 AND applicant_type = $2
        AND (granted_limit IS NOT NULL OR category IS NOT NULL) AND application_id <> $3
        AND ($4::text[] IS NULL OR branch = ANY ($4))
    ORDER BY application_id DESC LIMIT $6
) c JOIN decision d USING (application_id)
WHERE d.points BETWEEN $5::int - $7 AND $5::int + $7
ORDER BY d.decided_at DESC, d.application_id
"""


async def alike(
    conn: Any, case: Case, points: int, branches: list[str] | None, latest: int = 5
) -> Alike:
    """Of the latest decided cases of the same product and kind of applicant, in these branches
    (None: in all), those with nearly as many points. An application's id tells when it was
    begun."""
    scope = case.need_scope()
    rows = await conn.fetch(
        _ALIKE,
        scope.product,
        scope.applicant_type,
        case.application_id,
        branches,
        points,
        LOOKED_THROUGH,
        LIKE_IT,
    )
    limits = sorted(row["granted_limit"] for row in rows if row["granted_limit"] is not None)
    return Alike(
        approved=len(limits),
        declined=len(rows) - len(limits),
        middle=Money(minor=median_low(limits)) if limits else None,
        latest=[
            (row["application_number"], _decision(row), row["application_id"])
            for row in rows[:latest]
        ],
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What review's tables add up to: `declines` by category sum to `states["declined"]`, as far
    as review declined them itself."""

    applications: int
    states: dict[str, int]
    declines: dict[str, int]
    automatic: int
    by_people: int


async def count_everything(conn: Any, branches: list[str] | None, *, knows_holds: bool) -> Counts:
    """Counts to hold against the other services."""
    states = await conn.fetch(
        "SELECT CASE WHEN state = 'on_hold' AND NOT $2 THEN 'manual_review' ELSE state END"
        " AS state, count(*) AS n FROM review_case"
        " WHERE $1::text[] IS NULL OR branch = ANY ($1) GROUP BY 1",
        branches,
        knows_holds,
    )
    decisions = await conn.fetch(
        "SELECT d.category, d.automatic, count(*) AS n FROM decision d"
        " JOIN review_case c USING (application_id)"
        " WHERE $1::text[] IS NULL OR c.branch = ANY ($1) GROUP BY d.category, d.automatic",
        branches,
    )
    declines: dict[str, int] = {}
    for row in decisions:
        if row["category"] is not None:
            declines[row["category"]] = declines.get(row["category"], 0) + row["n"]
    return Counts(
        applications=sum(row["n"] for row in states),
        states={row["state"]: row["n"] for row in states},
        declines=declines,
        automatic=sum(row["n"] for row in decisions if row["automatic"]),
        by_people=sum(row["n"] for row in decisions if not row["automatic"]),
    )


class CaseRecords:
    """What workers read of the cases and policies, outside any transaction of a case.

    `shelf`: the versions that the installation came with, or that the bank put there. `blind`:
    (kind, text) -> its keyed digest.
    """

    def __init__(
        self, pool: Callable[[], Any], shelf: PolicyShelf, blind: Callable[[str, str], bytes]
    ) -> None:
        self._pool = pool
        self._shelf = shelf
        self._blind = blind

    async def shared(
        self,
        application_id: str,
        person: str,
        handed_at: datetime,
        traces: Mapping[Trace, str],
        now: datetime,
    ) -> dict[str, int]:
        """How many there are with what this application has, within the fraud rules' terms; kept
        first as keyed digests, so that of two at once the later sees both."""
        rules, digests = load_checks().fraud, self._digests(traces)
        async with self._pool().acquire() as conn:
            await trace_store.leave(conn, application_id, person, handed_at, digests, now, rules)
            return await trace_store.shared(conn, digests, now, rules)

    async def counted(self, traces: Mapping[Trace, str], now: datetime) -> dict[str, int]:
        """How many there are with these traces within the fraud rules' terms; nothing is kept."""
        async with self._pool().acquire() as conn:
            return await trace_store.shared(conn, self._digests(traces), now, load_checks().fraud)

    def _digests(self, traces: Mapping[Trace, str]) -> dict[Trace, bytes]:
        return {kind: self._blind(f"fraud.{kind}", text) for kind, text in traces.items()}

    async def policies(self, at: datetime) -> tuple[Policy, list[Policy]]:
        """The policy that decides at that time, and those that run beside it without effect."""
        async with self._pool().acquire() as conn:
            return await self._shelf.deciding(conn, at)

    async def is_open(self, application_id: str) -> bool:
        return bool(
            await self._pool().fetchval(
                "SELECT EXISTS (SELECT FROM review_case"
                " WHERE application_id = $1 AND state = ANY ($2)) OR EXISTS (SELECT"
                " FROM limit_change WHERE application_id = $1 AND state = 'checking')",
                application_id,
                _REVIEW_STATES,
            )
        )

    async def own_cards(self, person: str, application_id: str) -> Own:
        """What this person has of the bank's cards, this application aside."""
        async with self._pool().acquire() as conn:
            return await account_store.own_cards(conn, person, application_id)
