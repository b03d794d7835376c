"""A machine without a browser: the other tests run, and the run does not pass for a good one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.chromium import INSTALL

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("side_by_side", [(), ("--numprocesses", "2")])
def test_without_a_browser_the_run_fails_and_ends_with_the_line_that_mends_it(
    side_by_side: tuple[str, ...],
) -> None:
    tests = ("tests/browser/test_operations.py", "tests/unit/shared/test_money.py")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *side_by_side, *tests],
        cwd=ROOT,
        env={**os.environ, "BANKA_CHROMIUM": "/no/such/browser"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout
    assert " passed" in ran.stdout
    assert ran.stderr.strip().splitlines()[-1].endswith(f"for want of a browser: {INSTALL}")
    assert INSTALL in (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
