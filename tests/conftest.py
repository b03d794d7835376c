"""What all tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from deploy import local
from tests.browser.chromium import INSTALL, find_chromium
from tests.stack import running

HERE = Path(__file__).parent
_UNTESTED = pytest.StashKey[int]()

# an example takes as long as the machine lets it: speed is measured in tests/bench
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


# What takes minutes, longest first: it begins before all else, or the others end and it runs alone.
_LONG = (
    "tests/browser",
    "tests/integration/intake",
    "tests/integration/review",
    "tests/fuzz",
    "tests/end_to_end/test_day.py",
    "tests/faults/test_faults.py",
    "tests/faults/test_small_faults.py",
    "tests/faults/test_withdrawal_race.py",
    "tests/integration/reporting",
    "tests/integration/notify",
)


class _ByWhatIsShared(LoadScopeScheduling):  # type: ignore[misc]
    """Tests that share what a conftest starts stay in one process; all others go by files."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope_of(nodeid)


def _scope_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    folder = Path(file).parent
    return str(folder) if _starts_something(HERE.parent / folder / "conftest.py") else file


def _turn(item: pytest.Item) -> int:
    scope = _scope_of(item.nodeid)
    return _LONG.index(scope) if scope in _LONG else len(_LONG)


@cache
def _starts_something(conftest: Path) -> bool:
    """Whether all tests of a folder have one of what is expensive to start."""
    return conftest.exists() and 'scope="package"' in conftest.read_text(encoding="utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByWhatIsShared:
    """Whoever runs tests side by side (`--numprocesses 2`) gets this division of them."""
    return _ByWhatIsShared(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long ones first. Without a browser the tests of the pages cannot run: all others do, and the
    run fails."""
    items.sort(key=_turn)
    pages = [item for item in items if item.get_closest_marker("browser")]
    if pages and find_chromium() is None:
        config.stash[_UNTESTED] = len(pages)
        config.hook.pytest_deselected(items=pages)
        items[:] = [item for item in items if item not in pages]


def pytest_testnodedown(node: Any) -> None:
    """What one of several processes left untested, its parent tells; each collects all tests."""
    # a process that died has no last words
    node.config.stash[_UNTESTED] = getattr(node, "workeroutput", {}).get("untested", 0)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    untested = session.config.stash.get(_UNTESTED, 0)
    if not untested:
        return
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["untested"] = untested
    else:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of the run is what to do."""
    untested = config.stash.get(_UNTESTED, 0)
    if untested and not hasattr(config, "workerinput"):
        sys.stderr.write(
            f"{untested} tests of the pages did not run, for want of a browser: {INSTALL}\n"
        )


@pytest.fixture(scope="session")
def stack(worker_id: str) -> Iterator[local.Stack]:
    """A broker and a database for tests that make topics and databases of their own on it."""
    with running(f"test-{worker_id}", durable=False) as stack:
        yield stack
