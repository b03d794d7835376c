"""What all tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from deploy import local
from tests.browser.chromium import INSTALL, find_chromium
from tests.stack import running

_UNTESTED = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a browser the tests of the pages cannot run: all others do, and the run fails."""
    pages = [item for item in items if item.get_closest_marker("browser")]
    if pages and find_chromium() is None:
        config.stash[_UNTESTED] = len(pages)
        config.hook.pytest_deselected(items=pages)
        items[:] = [item for item in items if item not in pages]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash.get(_UNTESTED, 0):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of the run is what to do."""
    untested = config.stash.get(_UNTESTED, 0)
    if untested:
        sys.stderr.write(
            f"{untested} tests of the pages did not run, for want of a browser: {INSTALL}\n"
        )


@pytest.fixture(scope="session")
def stack() -> Iterator[local.Stack]:
    """A broker and a database for tests that make topics and databases of their own on it."""
    with running("test") as stack:
        yield stack
