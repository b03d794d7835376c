"""What is said of an error never holds a value: a line goes to logs and to the dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import asyncpg
import pytest

from deploy import local
from shared.messaging.errors import one_line
from tests.eventually import eventually
from tests.integration.messaging.ledger import Moods, Noted, World, consumer

ID, MOBILE, HAN, LATIN = "11010519491231002X", "13800001234", "张伟", "Zhang Wei"


@pytest.fixture
async def conn(stack: local.Stack) -> AsyncIterator[asyncpg.Connection[Any]]:
    conn = await asyncpg.connect(stack.superuser_url())
    await conn.execute(
        f"""
        CREATE TEMP TABLE person (
            id_number text CONSTRAINT one_person UNIQUE,
            name      varchar(10) NOT NULL,
            mobile    text CONSTRAINT eleven CHECK (length(mobile) = 11)
        );
        INSERT INTO person VALUES ('{ID}', '{HAN}', '{MOBILE}');
        CREATE FUNCTION pg_temp.refuse(mobile text) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'nobody answers at %', mobile; END $$
        """
    )
    yield conn
    await conn.close()


_INSERT = "INSERT INTO person VALUES ($1, $2, $3)"
_TOO_LONG = f"{LATIN} {HAN} {MOBILE}"


@pytest.mark.parametrize(
    ("statement", "values", "line"),
    [
        (
            _INSERT,
            (ID, HAN, MOBILE),
            "UniqueViolationError: SQLSTATE 23505, constraint one_person, table person",
        ),
        (
            _INSERT,
            ("1", HAN, MOBILE + "0"),
            "CheckViolationError: SQLSTATE 23514, constraint eleven, table person",
        ),
        (
            _INSERT,
            (LATIN, None, MOBILE),
            "NotNullViolationError: SQLSTATE 23502, table person, column name",
        ),
        (_INSERT, ("1", _TOO_LONG, MOBILE), "StringDataRightTruncationError: SQLSTATE 22001, in "),
        ("SELECT $1::text::int", (MOBILE,), "NumericValueOutOfRangeError: SQLSTATE 22003, in "),
        ("SELECT $1::text::int", (LATIN,), "InvalidTextRepresentationError: SQLSTATE 22P02, in "),
        ("SELECT $1::text::uuid", (HAN,), "InvalidTextRepresentationError: SQLSTATE 22P02, in "),
        ("SELECT $1::text::json", (HAN,), "InvalidTextRepresentationError: SQLSTATE 22P02, in "),
        ("SELECT $1::text::date", (ID,), "InvalidDatetimeFormatError: SQLSTATE 22007, in "),
        (
            "SELECT $1::text::date",
            ("1949-12-32",),
            "DatetimeFieldOverflowError: SQLSTATE 22008, in ",
        ),
        ("SELECT $2::text, $1::int", (LATIN, ""), "DataError: query argument $1 (TypeError)"),
        ("SELECT $1::int", (int(MOBILE),), "DataError: query argument $1 (OverflowError)"),
        ("SELECT $1::date", (HAN,), "DataError: query argument $1 (AttributeError)"),
        ("SELECT $1::text", (date(1949, 12, 31),), "DataError: query argument $1 (TypeError)"),
        ("SELECT $1::uuid", (ID,), "DataError: query argument $1 (ValueError)"),
        ("SELECT pg_temp.refuse($1)", (MOBILE,), "RaiseError: nobody answers at [mobile]"),
        ("SELECT 1 WHERE", (), "PostgresSyntaxError: syntax error at end of input"),
        ("SELECT nme FROM person", (), 'UndefinedColumnError: column "nme" does not exist'),
        ("SELECT 1", (ID,), "InterfaceError: the server expects 0 arguments for this query, 1 was"),
    ],
)
async def test_what_a_database_refuses_is_named_and_not_repeated(
    conn: asyncpg.Connection[Any], statement: str, values: tuple[Any, ...], line: str
) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as caught:
        await conn.execute(statement, *values)
    _says(caught.value, line)


async def test_a_row_of_many_that_cannot_be_sent_is_named(
    conn: asyncpg.Connection[Any],
) -> None:
    with pytest.raises(asyncpg.DataError) as caught:
        await conn.executemany("SELECT $1::text, $2::int", [("", 1), (HAN, MOBILE)])
    _says(caught.value, "DataError: query argument $2 of row #1 (TypeError)")


async def test_the_machinerys_errors_stay_readable(conn: asyncpg.Connection[Any]) -> None:
    await conn.close()
    with pytest.raises(asyncpg.InterfaceError) as caught:
        await conn.execute("SELECT 1")
    assert one_line(caught.value) == "InterfaceError: connection is closed"


def _says(error: BaseException, line: str) -> None:
    said = one_line(error)
    assert said.startswith(line)
    if line.endswith(" in "):
        assert said.removeprefix(line).isidentifier(), said
    for value in (ID, MOBILE, HAN, LATIN, "1949"):
        assert value not in said


async def test_the_reason_of_a_parked_event_and_its_dead_letter_name_the_constraint(
    world: World,
) -> None:
    topic = world.topic("ledger")
    group = f"errors.{world.tag}"
    dead = world.topic("", 1, full=f"{group}.dead-letters")
    database = await world.database()
    reader = consumer(topic, Moods(), group, attempts=1)
    await world.service(database, consumers=[reader]).start()
    await world.send(topic, "A", Noted(number=1, mood="negative"), 1)

    async def copies() -> list[Any]:
        return await world.read(dead)

    (copy,) = await eventually(copies)
    reason = "CheckViolationError: SQLSTATE 23514, constraint ledger_entries_check, table ledger"
    (row,) = await world.rows(database, "SELECT reason FROM messaging.blocked_key")
    assert row["reason"] == reason
    assert dict(copy.headers)["banka-reason"] == reason.encode()
