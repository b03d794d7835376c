"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy import local
from tests.stack import running


@pytest.fixture(scope="session")
def stack() -> Iterator[local.Stack]:
    """A broker and a database for tests that make topics and databases of their own on it."""
    with running("test") as stack:
        yield stack
