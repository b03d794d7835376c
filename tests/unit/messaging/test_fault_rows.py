"""What `make faults` says of a fault that could not be done: never that it passed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.faults import __main__ as faults
from tests.faults import cluster
from tests.faults.__main__ import Row, summary, table
from tests.faults.faults import Fault
from tests.faults.running import Office

PASSED = Row("restarted", "the broker stops", 1.5, 20.0, "")
FAILED = Row("killed", "kill -9", 2.5, 20.0, "B F", ("B: an entry is missing",))
NOT_RUN = Row("disk full", "", 0.0, 3.0, "", not_run="needs root")


def _shown(*rows: Row) -> str:
    written = io.StringIO()
    Console(width=150, file=written).print(table(rows))
    return written.getvalue()


def test_what_was_not_run_has_not_passed() -> None:
    assert PASSED.passed
    assert not FAILED.passed
    assert not NOT_RUN.passed


def test_the_table_says_why_it_was_not_run() -> None:
    shown = _shown(PASSED, FAILED, NOT_RUN)
    assert "not run: needs root" in shown
    assert "B F" in shown
    assert "none" in _shown(PASSED)
    assert "none" not in _shown(NOT_RUN)


def test_the_last_line_counts_what_was_not_run() -> None:
    assert summary([PASSED, FAILED, NOT_RUN]) == (
        "1 faults with every promise kept, 1 with a broken one, 1 NOT RUN"
    )
    assert "NOT RUN" not in summary([PASSED, FAILED])


async def test_a_cluster_without_memory_for_it_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def hurt(office: Office) -> str:
        raise AssertionError("there is nothing to hurt")

    monkeypatch.setattr(cluster, "_LEAST_MEMORY", 10**18)
    monkeypatch.setattr(faults, "DONE", tmp_path / "faults.json")
    (row,) = await faults.run(
        [Fault("leader killed", hurt, stack=cluster.running_cluster)], again=False
    )
    assert "GB of memory" in row.not_run
    assert not faults.DONE.exists()
