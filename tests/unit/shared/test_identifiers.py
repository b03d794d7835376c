"""Ids sort by time; application numbers survive being read out and typed."""

from __future__ import annotations

import time
import uuid
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.identifiers import (
    ApplicationNumberError,
    luhn_check_digit,
    make_application_number,
    new_id,
    parse_application_number,
)

BRANCHES = st.integers(0, 9999).map(lambda number: f"{number:04d}")
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
RUNNING = st.integers(1, 99_999)


def test_new_ids_are_uuid_version_7_and_all_different() -> None:
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    for text in made[:100]:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)


def test_a_new_id_holds_the_millisecond_of_its_making() -> None:
    before = time.time_ns() // 1_000_000
    made = int(new_id().replace("-", "")[:12], 16)
    assert before <= made <= time.time_ns() // 1_000_000


@given(BRANCHES, DAYS, RUNNING)
def test_an_application_number_says_branch_day_and_running_number(
    branch: str, day: date, running: int
) -> None:
    number = make_application_number(branch, day, running)
    assert len(number) == 18
    read = parse_application_number(f" {number[:4]} {number[4:12]}-{number[12:]} ")
    assert (read.branch, read.day, read.running) == (branch, day, running)
    assert str(read) == number


@given(BRANCHES, DAYS, RUNNING, st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(
    branch: str, day: date, running: int, at: int, shift: int
) -> None:
    number = make_application_number(branch, day, running)
    wrong = number[:at] + str((int(number[at]) + shift) % 10) + number[at + 1 :]
    with pytest.raises(ApplicationNumberError):
        parse_application_number(wrong)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "form"),
        ("01012026030200001", "form"),
        ("0101202603020000１７3", "form"),
        ("01012026130200001" + luhn_check_digit("01012026130200001"), "date"),
    ],
)
def test_what_is_not_a_number_says_why(text: str, code: str) -> None:
    with pytest.raises(ApplicationNumberError) as refused:
        parse_application_number(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("branch", "running"), [("101", 1), ("01010", 1), ("0101", 0), ("0101", 100_000)]
)
def test_branch_and_running_number_must_fit(branch: str, running: int) -> None:
    with pytest.raises(ValueError, match=r"branch|running"):
        make_application_number(branch, date(2026, 3, 2), running)


def test_luhn_vector() -> None:
    assert luhn_check_digit("7992739871") == "3"
