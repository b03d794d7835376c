"""A selection of the faults, as every test run has it; `make faults` does them all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy import local
from tests.faults import running
from tests.faults.__main__ import run_fault
from tests.faults.faults import FAULTS
from tests.stack import running_here

LOAD = 10.0  # customers a second: other tests run beside it, and what waits has to be done in time


@pytest.fixture(scope="module")
def faults_stack() -> Iterator[local.Stack]:
    with running_here("faults-test") as stack:
        yield stack


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are those of a machine that does nothing else, as for `make faults`."""
    for bound in ("START_SECONDS", "UNTIL_SECONDS", "AT_REST_SECONDS"):
        monkeypatch.setattr(running, bound, 3 * getattr(running, bound))


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS.values() if fault.short])
async def test_every_promise_is_kept(faults_stack: local.Stack, name: str) -> None:
    row = await run_fault(faults_stack, FAULTS[name], per_second=LOAD)
    assert row.passed, row
