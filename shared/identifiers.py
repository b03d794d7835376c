"""Names of things: UUIDv7 for machines, an application number that people can read out."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import date

RUNNING_NUMBER_MAX = 99_999  # applications per branch and day that a number can tell apart

_APPLICATION_NUMBER = re.compile(r"[0-9]{18}")
_BRANCH_CODE = re.compile(r"[0-9]{4}")


def new_id() -> str:
    """A new UUIDv7 in its usual form; sorts by the millisecond of its making (wall clock)."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | noise
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class ApplicationNumberError(ValueError):
    """The text is not an application number; `code` says why: form, date or check_digit."""

    def __init__(self, code: str) -> None:
        super().__init__(f"not an application number ({code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class ApplicationNumber:
    """Where and when an application was accepted: branch, business day, running number."""

    branch: str  # 4 digits
    day: date  # business day in the business zone
    running: int  # 1–99,999, per branch and day

    def __str__(self) -> str:
        body = f"{self.branch}{self.day:%Y%m%d}{self.running:05d}"
        return body + luhn_check_digit(body)


def make_application_number(branch: str, day: date, running: int) -> str:
    """The 18 digits for people: branch (4), day (yyyymmdd), running number (5), check digit.

    Raises ValueError where branch or running number do not fit.
    """
    if _BRANCH_CODE.fullmatch(branch) is None:
        raise ValueError("a branch code has 4 digits")
    if not 1 <= running <= RUNNING_NUMBER_MAX:
        raise ValueError(f"a running number lies between 1 and {RUNNING_NUMBER_MAX}")
    return str(ApplicationNumber(branch, day, running))


def parse_application_number(text: str) -> ApplicationNumber:
    """Read a number as people type it (spaces and hyphens are ignored).

    Raises ApplicationNumberError: every single wrong digit is noticed by the check digit.
    """
    digits = re.sub(r"[\s-]", "", text)
    if _APPLICATION_NUMBER.fullmatch(digits) is None:
        raise ApplicationNumberError("form")
    if luhn_check_digit(digits[:-1]) != digits[-1]:
        raise ApplicationNumberError("check_digit")
    try:
        day = date(int(digits[4:8]), int(digits[8:10]), int(digits[10:12]))
    except ValueError:
        raise ApplicationNumberError("date") from None
    return ApplicationNumber(digits[:4], day, int(digits[12:17]))


def luhn_check_digit(digits: str) -> str:
    """The digit that makes `digits` + digit pass the Luhn test (ISO/IEC 7812-1)."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        value = int(character)
        if position % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return str(-total % 10)
