"""What the kernel decides without broker or database."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from asyncpg import ClientConfigurationError
from asyncpg import exceptions as pg
from pydantic import BaseModel

from shared.events.catalog import SERVICES
from shared.events.envelope import STRUCTURED_TYPE
from shared.messaging.errors import (
    ConcurrentApply,
    Permanent,
    Rejected,
    Transient,
    is_infrastructure,
    one_line,
)
from shared.messaging.outbox import Cause, partition_of
from shared.messaging.parking import arrived, backoff, freeze_headers, verdict
from shared.postgres.migrate import KERNEL, SchemaMismatch, read_migrations, service_migrations
from shared.privacy.vault import VAULT_MIGRATIONS
from shared.redrive.masks import masked_payload


@pytest.mark.parametrize(
    "error",
    [
        pg.ConnectionDoesNotExistError(),
        pg.DeadlockDetectedError(),
        pg.AdminShutdownError(),
        pg.CannotConnectNowError(),
        pg.DiskFullError(),
        pg.UndefinedTableError(),
        pg.LockNotAvailableError(),
        OSError("gone"),
        TimeoutError(),
        KafkaConnectionError(),
        ConcurrentApply("moved"),
    ],
)
def test_the_machinery_s_errors_count_no_attempt(error: Exception) -> None:
    assert is_infrastructure(error)


@pytest.mark.parametrize(
    "error",
    [
        Permanent("no"),
        Transient("later"),
        ValueError("bug"),
        KeyError("bug"),
        asyncpg.exceptions._base.DataError("a value that cannot be sent"),
        pg.UniqueViolationError(),
        pg.CheckViolationError(),
        pg.NumericValueOutOfRangeError(),
        pg.ProgramLimitExceededError(),
    ],
)
def test_an_event_s_own_errors_are_not_the_machinery_s(error: Exception) -> None:
    assert not is_infrastructure(error)


@pytest.mark.parametrize(
    "error",
    [
        Permanent("no"),
        pg.UntranslatableCharacterError(),  # a NUL in a text
        pg.NumericValueOutOfRangeError(),
        asyncpg.exceptions._base.DataError("a value that cannot be sent"),
    ],
)
def test_what_trying_again_cannot_mend_is_parked_at_once(error: Exception) -> None:
    assert verdict(error, 1, 5) == "parked"


def test_another_failure_is_parked_after_its_attempts() -> None:
    assert verdict(pg.UniqueViolationError(), 1, 5) == "retry"
    assert [verdict(ValueError("x"), n, 3) for n in (1, 2, 3)] == ["retry", "retry", "parked"]


def test_waiting_doubles_with_jitter_up_to_a_bound() -> None:
    assert 0.375 <= backoff(1) <= 0.625
    assert 1.5 <= backoff(3) <= 2.5
    assert backoff(50) <= 75


# from Kafka's own UtilsTest: what the Java client's partitioner computes
@pytest.mark.parametrize(
    ("key", "hash_"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_partitions_are_those_of_kafka_s_own_partitioner(key: str, hash_: int) -> None:
    assert partition_of(key, 24) == (hash_ & 0x7FFFFFFF) % 24


class _Form(BaseModel):
    name: str
    age: int


class _Family(BaseModel):
    ages: dict[str, int]


def test_one_line_of_an_error_holds_no_values() -> None:
    with pytest.raises(ValueError, match="age") as caught:
        _Form.model_validate({"name": "Li Lei", "age": "Li Lei"})
    assert one_line(caught.value) == "ValidationError: age: int_parsing"
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(ValueError("a\x00\ud800号")) == "ValueError: a\\x00\\ud800号"
    assert len(one_line(ValueError("号" * 9000))) == 500
    assert one_line(Rejected(("mobile", "FORMAT"))) == "Rejected: mobile: FORMAT"
    assert one_line(KeyError("13800001234")) == "KeyError: '[mobile]'"
    assert one_line(ValueError("a\x0013800001234")) == "ValueError: a\\x00[mobile]"
    assert one_line(ValueError("." * 480 + " 13800001234")).endswith(". [mobile")
    assert one_line(ClientConfigurationError("invalid: secret")) == "ClientConfigurationError"


def test_one_line_names_no_field_that_is_none_of_ours() -> None:
    with pytest.raises(ValueError, match="ages") as caught:
        _Family.model_validate({"ages": {"Li Lei": "x", "age_1": "y", "13800001234": "z"}})
    assert one_line(caught.value) == (
        "ValidationError: ages.…: int_parsing; ages.age_1: int_parsing; ages.…: int_parsing"
    )


def test_causes_survive_their_writing() -> None:
    cause = Cause("e", "c", "00-trace", "imported", "staff-1")
    assert Cause.from_json(cause.to_json()) == cause


class _Record:
    topic, partition, offset, timestamp = "t", 0, 7, 1

    def __init__(self, key: bytes | None, value: bytes | None, headers: object) -> None:
        self.key, self.value, self.headers = key, value, headers


@pytest.mark.parametrize(
    ("key", "value", "headers", "subject"),
    [
        (None, None, (), ""),
        (b"\xff", b"{}", (("ce_id", None),), "hex:ff"),
        (b"a\x00b", b"", (("ce_id", b"\xff\xfe"),), "hex:610062"),
        (b"k", b"{", (("x", b"\xff"),), "k"),
        (b"a\x85b", b"{", (), "hex:618562"),
        ("a\x85b".encode(), b"{", (), "hex:61c28562"),
        (b"k" * 1024, b"{", (), "k" * 1024),
        (b"k" * 1025, b"{", (), "sha256:" + hashlib.sha256(b"k" * 1025).hexdigest()),
        (
            "号".encode() * 342,
            b"{",
            (),
            "sha256:" + hashlib.sha256("号".encode() * 342).hexdigest(),
        ),
        (b"\xff" * 101, b"{", (), "sha256:" + hashlib.sha256(b"\xff" * 101).hexdigest()),
        (b"k", b'{"data":{"a":"\\ud800"}}', (("content-type", STRUCTURED_TYPE.encode()),), "k"),
    ],
)
def test_no_record_is_too_odd_to_be_read(
    key: bytes | None, value: bytes | None, headers: object, subject: str
) -> None:
    event = arrived(_Record(key, value, headers))
    assert event.envelope is None
    assert event.problem
    assert event.subject == subject
    assert event.event_id == "t/0/7"


def test_headers_that_are_not_text_are_kept() -> None:
    assert freeze_headers([("a", None), ("b", b"\xff")]) == '[["a", null], ["b", "/w=="]]'


def test_a_masked_payload_shows_codes_and_ids_but_no_text() -> None:
    body = b'{"application_id": "a1", "name": "Li Lei", "phones": ["138"], "code": "X", "n": 5}'
    assert masked_payload(body) == {
        "application_id": "a1",
        "name": "…",
        "phones": ["…"],
        "code": "X",
        "n": "…",
    }
    assert masked_payload(b"{broken") == "(7 bytes that are not JSON)"


def test_migrations_are_numbered_without_holes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "0003_b.sql").write_text("SELECT 1")
    with pytest.raises(SchemaMismatch, match="0002 is missing"):
        read_migrations("review", tmp_path)
    (tmp_path / "0002 c.sql").write_text("SELECT 1")
    with pytest.raises(SchemaMismatch, match="is named"):
        read_migrations("review", tmp_path)


def test_a_migration_needs_what_came_before_it(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    (tmp_path / "0002_b.sql").write_text("-- Why.\n-- needs 0001\nDROP TABLE a;")
    assert [one.needs for one in read_migrations("review", tmp_path)] == [0, 1]
    (tmp_path / "0002_b.sql").write_text("-- needs 0002\nDROP TABLE a;")
    with pytest.raises(SchemaMismatch, match=r"0002_b\.sql: needs 0002, which is not before"):
        read_migrations("review", tmp_path)


_TAKES_AWAY = re.compile(
    r"\bDROP (TABLE|VIEW|SCHEMA|COLUMN|FUNCTION|SEQUENCE)\b|\bRENAME\b|\bSET NOT NULL\b"
    r"|\bALTER COLUMN \w+ (SET DATA )?TYPE\b|\bDROP DEFAULT\b"
    r"|\bADD COLUMN (?!(?:[^,;(]|\([^)]*\))*\b(?:DEFAULT|GENERATED)\b)[^,;]*\bNOT NULL\b"
)
_COMMENT = re.compile(r"--.*")


def _takes_away(sql: str) -> bool:
    """Whether a build that does not know this migration may miss something by it."""
    return _TAKES_AWAY.search(_COMMENT.sub("", sql)) is not None


@pytest.mark.parametrize(
    ("sql", "takes"),
    [
        ("ALTER TABLE a DROP COLUMN b;", True),
        ("ALTER TABLE a RENAME b TO c;", True),
        ("ALTER TABLE a ALTER COLUMN b TYPE int;", True),
        ("ALTER TABLE a ALTER COLUMN b SET NOT NULL;", True),
        ("ALTER TABLE a ADD COLUMN b int NOT NULL;", True),
        ("ALTER TABLE a\n    ADD COLUMN b int, ADD COLUMN c text NOT NULL;", True),
        ("ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0;", False),
        ("ALTER TABLE a ADD COLUMN b bigint GENERATED ALWAYS AS IDENTITY;", False),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT 'x' CHECK (b IN ('x', 'y'));", False),
        ("CREATE TABLE a (b int NOT NULL); DROP INDEX c; -- no DROP TABLE", False),
    ],
)
def test_what_takes_something_away_is_told_from_what_adds(sql: str, takes: bool) -> None:
    assert _takes_away(sql) == takes


def test_the_build_of_before_works_with_every_migration_that_does_not_say_otherwise() -> None:
    folders = {"kernel": KERNEL, "vault": VAULT_MIGRATIONS}
    folders |= {service: service_migrations(service) for service in SERVICES}
    looked_at = [one for scope, folder in folders.items() for one in read_migrations(scope, folder)]
    assert len(looked_at) > len(folders)
    silent = [one.name for one in looked_at if _takes_away(one.sql) and not one.needs]
    assert silent == [], "a line `-- needs NNNN` says which builds still work: shared/postgres"
