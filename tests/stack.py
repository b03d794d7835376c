"""The broker and the database that tests run against: real ones, started here and removed again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy import local


@contextmanager
def running(name: str, *, partitions: int = 6) -> Iterator[local.Stack]:
    """A stack with fresh state while the block runs.

    `BANKA_STACK` names one that is up already, such as a developer's, and is then left as it is.
    """
    mine = os.environ.get("BANKA_STACK")
    if mine:
        yield local.up(mine, partitions=partitions)
        return
    local.purge(name)
    try:
        yield local.up(name, partitions=partitions)
    finally:
        local.purge(name)
