"""What the database refuses by itself, whoever writes: each constraint that a rule of review names,
with what it refuses and what it takes, by the service's own role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Any, NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from services.review.account_store import Own
from services.review.invariants import INVARIANTS
from services.review.store import CaseRecords
from shared.identifiers import new_id
from shared.postgres.pool import app_role
from tests.integration.review.bank import Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import handed

pytestmark = pytest.mark.asyncio(loop_scope="module")

Refusal = type[asyncpg.PostgresError]
CHECK, NULL = asyncpg.CheckViolationError, asyncpg.NotNullViolationError
UNKNOWN, RIGHT = asyncpg.ForeignKeyViolationError, asyncpg.InsufficientPrivilegeError


class Three(NamedTuple):
    """What is written: a statement, or what a decision that fits is changed by. fires: refused,
    with how. quiet: taken. boundary: the last that is taken, the first that is refused."""

    fires: tuple[str | dict[str, Any], Refusal]
    quiet: str | dict[str, Any]
    boundary: tuple[str | dict[str, Any], str | dict[str, Any], Refusal]


ONE, TWO, NOBODY = ["a"], ["a", "b"], list[str]()
_APPROVED: Mapping[str, Any] = {
    "outcome": "approve", "granted_limit": 100, "category": None, "reapply_from": None,
}  # fmt: skip

_LOOKED = """
INSERT INTO personal_view (application_id, at, staff_id, what) VALUES ($1, now(), 's', 'case')
"""

_ANSWERED = """
INSERT INTO appeal (appeal_id, application_id, number, wish, asked_by, asked_at, words, due,
    deciders, automatic, outcome, answered_by, answered_at)
VALUES ('x', $1, 'x', 'human-review', 'customer', now(), '', now(), '{}', {}, 'upheld', 'a', now())
"""


_DISPUTED = """
INSERT INTO appeal (appeal_id, application_id, number, wish, asked_by, asked_at, words, due,
    deciders, automatic, person)
VALUES ('x', $1, 'x', '{}', 'customer', now(), '', now(), '{{}}', false, {})
"""


def _answered(deciders: str) -> str:
    """By `a`, an appeal against a decision of these."""
    return _ANSWERED.format(f"{{{deciders}}}", str(not deciders).lower())


def _limited(
    kind: str = "increase",
    *,
    agreed: str = "now()",
    until: str = "NULL",
    ceiling: str = "200",
    granted: str = "NULL",
) -> str:
    """A change of a limit of 100 to 300."""
    state, decided = ("deciding", "NULL") if granted == "NULL" else ("granted", "now()")
    return f"""
INSERT INTO limit_change (change_id, application_id, number, kind, asked_at, agreed_at, until,
    state, due, before, wanted, ceiling, granted, policy_digest, decided_by, decided_at, body)
SELECT 'x', $1, 'x', '{kind}', now(), {agreed}, {until}, '{state}', now(), 100, 300, {ceiling},
    {granted}, min(digest), '{{a,b}}', {decided}, '{{}}' FROM policy_archive
"""


TESTS: Mapping[tuple[str, str], Three] = {
    (
        "INCREASE_DEDUCTED",
        (
            "CHECK (kind = 'decrease' OR granted IS NULL OR"
            " coalesce(granted <= least(ceiling, wanted), false))"
        ),
    ): Three(
        (_limited(granted="301", ceiling="400"), CHECK),
        _limited(granted="150"),
        (_limited(granted="200"), _limited(granted="201"), CHECK),
    ),
    ("INCREASE_AGREED", "CHECK (kind = 'decrease' OR agreed_at IS NOT NULL)"): Three(
        (_limited(agreed="NULL"), CHECK),
        _limited(),
        (
            _limited("decrease", agreed="NULL"),
            _limited("temporary", agreed="NULL", until="current_date"),
            CHECK,
        ),
    ),
    (
        "DECREASE_ABOVE_DEBT",
        "CHECK (kind <> 'decrease' OR granted IS NULL OR granted BETWEEN 0 AND before - 1)",
    ): Three(
        (_limited("decrease", granted="-1"), CHECK),
        _limited("decrease", granted="0"),
        (_limited("decrease", granted="99"), _limited("decrease", granted="100"), CHECK),
    ),
    ("TEMPORARY_ENDS", "CHECK ((kind = 'temporary') = (until IS NOT NULL))"): Three(
        (_limited("temporary"), CHECK),
        _limited("temporary", until="current_date"),
        (_limited(), _limited(until="current_date"), CHECK),
    ),
    ("APPEAL_BY_ANOTHER", "CHECK (coalesce(answered_by <> ALL (deciders), true))"): Three(
        (_answered("a,b"), CHECK),
        _answered("b,c"),
        (_answered(""), _answered("a"), CHECK),
    ),
    (
        "DISPUTED_REPORT_BY_PEOPLE",
        "CHECK (wish <> 'report-dispute' OR person IS NOT NULL)",
    ): Three(
        (_DISPUTED.format("report-dispute", "NULL"), CHECK),
        _DISPUTED.format("report-dispute", "'p'"),
        (
            _DISPUTED.format("explanation", "NULL"),
            _DISPUTED.format("report-dispute", "NULL"),
            CHECK,
        ),
    ),
    (
        "NEW_TO_BANK_BY_PEOPLE",
        "CHECK (cardinality(decided_by) = CASE WHEN automatic THEN 0 ELSE 2 END)",
    ): Three(
        ({"decided_by": NOBODY}, CHECK),
        {"automatic": True, "decided_by": NOBODY},
        ({"decided_by": TWO}, {"decided_by": ONE}, CHECK),
    ),
    ("TWO_PEOPLE_SIGN", "CHECK (automatic OR decided_by[1] <> decided_by[2])"): Three(
        ({"decided_by": ["a", "a"]}, CHECK),
        {"decided_by": TWO},
        ({"decided_by": ["a", "A"]}, {"decided_by": ["A", "A"]}, CHECK),
    ),
    ("EVIDENCE_FROZEN", "policy_digest text NOT NULL REFERENCES policy_archive"): Three(
        ({"policy_digest": None}, NULL),
        {},
        ({}, {"policy_digest": "0" * 64}, UNKNOWN),
    ),
    ("EVIDENCE_FROZEN", "inputs text NOT NULL"): Three(
        ({"inputs": None}, NULL), {}, ({"inputs": ""}, {"inputs": None}, NULL)
    ),
    (
        "OTHER_LIMITS_DEDUCTED",
        "CHECK ((outcome = 'approve') = (granted_limit IS NOT NULL))",
    ): Three(
        ({**_APPROVED, "granted_limit": None}, CHECK),
        {**_APPROVED},
        ({"granted_limit": None}, {"granted_limit": 0}, CHECK),
    ),
    (
        "COOL_DOWN_TOLD",
        "(outcome = 'decline') = (category IS NOT NULL AND reapply_from IS NOT NULL)",
    ): Three(
        ({"category": None, "reapply_from": None}, CHECK),
        {},
        ({}, {"reapply_from": None}, CHECK),
    ),
    ("HELD_UNTIL_LOOKED_INTO", "state = 'on_hold' OR (hold_reason IS NULL"): Three(
        ("UPDATE review_case SET hold_reason = 'other' WHERE application_id = $1", CHECK),
        "UPDATE review_case SET hold_reason = NULL, hold_due = NULL WHERE application_id = $1",
        (
            "UPDATE review_case SET state = 'on_hold', hold_due = now() WHERE application_id = $1",
            "UPDATE review_case SET hold_due = now() WHERE application_id = $1",
            CHECK,
        ),
    ),
    ("REVIEW_IN_TIME", "ADD CONSTRAINT review_case_timed CHECK"): Three(
        ("UPDATE review_case SET due = NULL WHERE application_id = $1", CHECK),
        "UPDATE review_case SET due = now() WHERE application_id = $1",
        (
            "UPDATE review_case SET state = 'withdrawn', due = NULL WHERE application_id = $1",
            "UPDATE review_case SET state = 'on_hold', queued_at = NULL WHERE application_id = $1",
            CHECK,
        ),
    ),
    (
        "RECORD_KEPT",
        "REVOKE UPDATE, DELETE ON policy_archive, decision, case_history, personal_view",
    ): Three(
        ("DELETE FROM case_history WHERE application_id = $1", RIGHT),
        "SELECT * FROM case_history WHERE application_id = $1",
        (
            _LOOKED,
            "UPDATE personal_view SET staff_id = 't' WHERE application_id = $1",
            RIGHT,
        ),
    ),
}


class Refused(NamedTuple):
    """A database to which the service's role may write."""

    conn: asyncpg.Connection
    decision: Mapping[str, Any]

    async def write(self, what: str | dict[str, Any]) -> Refusal | None:
        """How it is refused; None: it is taken. Nothing of it stays."""
        within = self.conn.transaction()
        await within.start()
        try:
            if isinstance(what, str):
                await self.conn.execute(what, self.decision["application_id"])
            else:
                row = {**self.decision, **what}
                places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
                await self.conn.execute(
                    f"INSERT INTO decision ({', '.join(row)}) VALUES ({places})",
                    *row.values(),
                )
        except asyncpg.PostgresError as error:
            return type(error)
        finally:
            await within.rollback()
        return None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(bank: Bank, desks: Desks) -> AsyncIterator[Refused]:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    (policy,) = await bank.fetch("SELECT digest, version FROM policy_archive LIMIT 1")
    conn = await asyncpg.connect(bank.settings.postgres_url("banka_review", app_role("review")))
    try:
        yield Refused(
            conn,
            {
                "decision_id": new_id(),
                "application_id": applicant.application_id,
                "outcome": "decline",
                "automatic": False,
                "decided_by": TWO,
                "reasons": ["SCORE_TOO_LOW"],
                "granted_limit": None,
                "category": "credit_history",
                "reapply_from": date(2027, 2, 1),
                "inputs": "sealed",
                "verdict": "sealed",
                "policy_version": policy["version"],
                "policy_digest": policy["digest"],
                "decided_at": bank.now,
            },
        )
    finally:
        await conn.close()


async def test_every_constraint_has_its_three_tests() -> None:
    named = {(rule.code, one.says) for rule in INVARIANTS for one in rule.constraints}
    assert TESTS.keys() == named


@pytest.mark.parametrize("key", TESTS, ids=lambda key: key[0])
async def test_the_database_refuses_what_breaks_a_rule(
    database: Refused, key: tuple[str, str]
) -> None:
    wrong, refusal = TESTS[key].fires
    assert await database.write(wrong) is refusal


@pytest.mark.parametrize("key", TESTS, ids=lambda key: key[0])
async def test_the_database_takes_what_does_not(database: Refused, key: tuple[str, str]) -> None:
    assert await database.write(TESTS[key].quiet) is None


@pytest.mark.parametrize("key", TESTS, ids=lambda key: key[0])
async def test_the_database_knows_the_boundary(database: Refused, key: tuple[str, str]) -> None:
    right, wrong, refusal = TESTS[key].boundary
    assert await database.write(right) is None
    assert await database.write(wrong) is refusal


async def test_the_cards_of_a_person_are_those_granted_that_have_not_ended(
    bank: Bank, desks: Desks
) -> None:
    """For the cap on cards per customer, which is weighed again at the decision."""
    first = await handed(bank, "application.approved")
    second = await handed(bank, "application.referred", new_to_bank=True)
    pool = await asyncpg.create_pool(bank.superuser_url, min_size=1, max_size=1)
    try:
        records: Any = CaseRecords(lambda: pool, None, None)  # type: ignore[arg-type]
        person = first.party.person

        async def cards(besides: str) -> int:
            own: Own = await records.own_cards(person, besides)
            return own.cards

        assert await cards(second.application_id) == 1
        assert await cards(first.application_id) == 0, "its own is not counted"
        statement = "UPDATE review_case SET state = $2 WHERE application_id = $1"
        for state, counted in (("in_use", 1), ("withdrawn", 0), ("expired", 0)):
            await pool.execute(statement, first.application_id, state)
            assert await cards(second.application_id) == counted
    finally:
        await pool.close()
