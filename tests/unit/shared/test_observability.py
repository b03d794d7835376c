"""Logs tell what happened and nothing about whom; traces pass from hop to hop."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared.formats import make_synthetic_resident_id
from shared.identifiers import make_application_number, new_id
from shared.messaging.outbox import current_traceparent
from shared.observability import (
    ALLOWED_FIELDS,
    FloodGate,
    configure_logging,
    continue_traceparent,
    in_trace,
    mask_numbers,
    new_traceparent,
    parse_traceparent,
)
from tests.unit.shared.test_formats import BIRTHS

ROOT = Path(__file__).parents[3]


class Lines:
    """What was logged, read back as JSON."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def read(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    lines = Lines()
    configure_logging("intake", stream=lines.stream)
    yield lines
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_field_that_is_not_allowed_is_dropped_and_named(
    lines: Lines,
) -> None:
    structlog.get_logger("a").info("party added", party_id="p", name="张三", mobile="13800001234")
    (line,) = lines.read()
    assert line["event"] == "party added"
    assert line["party_id"] == "p"
    assert line["service"] == "intake"
    assert line["level"] == "info"
    assert line["dropped"] == ["mobile", "name"]
    assert "张三" not in json.dumps(line, ensure_ascii=False)


def test_an_exception_is_its_type_and_places_without_its_message(
    lines: Lines,
) -> None:
    try:
        raise ValueError("张三 lives here")
    except ValueError as error:
        structlog.get_logger("a").error("failed", exc_info=True, error=error)
        logging.getLogger("library").exception("failed too")
    assert len(lines.read()) == 2
    for line in lines.read():
        assert "张三" not in json.dumps(line, ensure_ascii=False)
        exception = line["exception"]
        assert isinstance(exception, list)
        assert exception[0] == "builtins.ValueError"
        assert "test_observability.py" in exception[1]


def test_a_library_s_text_is_masked(lines: Lines) -> None:
    logging.getLogger("library").warning("bad number %s", "13800001234")
    (line,) = lines.read()
    assert line["event"] == "bad number [mobile]"


@given(BIRTHS, st.integers(0, 999))
def test_id_numbers_are_masked_in_any_text(birth: date, sequence: int) -> None:
    number = make_synthetic_resident_id("31", birth, sequence)
    assert number not in mask_numbers(f"id={number}, next")
    assert number not in mask_numbers(f"「{number}」")


@pytest.mark.parametrize("number", ["911124198108030024", "81000019850304123X", "USA110085030412"])
def test_numbers_of_foreigners_and_permits_are_masked_too(number: str) -> None:
    assert number not in mask_numbers(f"id={number}, next")


@given(st.dates(), st.integers(1, 99_999), st.uuids())
def test_our_own_numbers_stay_readable(day: date, running: int, uid: object) -> None:
    if 2000 <= day.year <= 2099:
        number = make_application_number("3101", day, running)
        assert mask_numbers(f"application {number}") == f"application {number}"
    assert mask_numbers(f"{uid} {new_id()[:8]}").startswith(str(uid))


def test_other_personal_numbers_are_masked() -> None:
    assert mask_numbers("call 13800001234.") == "call [mobile]."
    assert mask_numbers("card 6200000000001234") == "card [card]"
    assert mask_numbers("to li.si@example.cn") == "to [email]"
    assert mask_numbers("offset 13800001 at 1.13800001234") == "offset 13800001 at 1.13800001234"


def test_nobody_fails_because_a_line_cannot_be_written(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = next(
        one for one in logging.getLogger().handlers if getattr(one, "stream", 0) is lines.stream
    )
    # pytest's own handlers, beside ours, do raise
    ours.handle(logging.LogRecord("a", 30, "f.py", 7, "%d is 13800001234", ("x",), None))
    (line,) = lines.read()
    assert line == {
        "event": "log line lost", "level": "error", "logger": "a", "error": "TypeError"
    }  # fmt: skip
    with open("/dev/full", "w") as full:  # noqa: PTH123 - no file: writing to it finds no space
        configure_logging("intake", stream=full)
        structlog.get_logger("a").warning("relay starts again", error="13800001234")
        with contextlib.suppress(OSError):
            full.close()  # what could not be written is still in its buffer
    assert capsys.readouterr() == ("", "")


def test_a_flood_is_one_line_with_its_count() -> None:
    gate = FloodGate(("aiokafka",), seconds=0.0)
    gate._seconds = 1000.0

    def record(name: str) -> logging.LogRecord:
        return logging.LogRecord(name, logging.ERROR, "f.py", 7, "no broker %s", ("x",), None)

    assert [gate.filter(record("aiokafka.client")) for _ in range(5)] == [True] + [False] * 4
    assert all(gate.filter(record("shared.messaging")) for _ in range(5))
    gate._seconds = 0.0
    last = record("aiokafka.client")
    assert gate.filter(last)
    assert last.getMessage() == "no broker x (and 4 more like it)"


def test_a_trace_passes_from_hop_to_hop() -> None:
    first = new_traceparent()
    second = continue_traceparent(first)
    assert first != second
    assert first[3:35] == second[3:35]
    assert current_traceparent() is None
    with in_trace(second):
        assert current_traceparent() == second
    assert current_traceparent() is None
    for nonsense in (None, "", "00-0-0-01", f"00-{'0' * 32}-{'1' * 16}-01"):
        assert parse_traceparent(nonsense) is None
        assert parse_traceparent(continue_traceparent(nonsense)) is not None
        with in_trace(nonsense):
            assert current_traceparent() is None


def test_what_a_line_is_to_say_is_allowed() -> None:
    """A field that is not on the list is left out when somebody needs it, and not before."""
    lost = [
        f"{file.relative_to(ROOT)}:{call.lineno} {keyword.arg}"
        for folder in ("shared", "services", "deploy")
        for file in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        for keyword in call.keywords
        if keyword.arg != "exc_info" and keyword.arg not in ALLOWED_FIELDS
    ]
    assert lost == []
