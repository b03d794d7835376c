"""The connections by which tests look into a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg


class Kept:
    """Connections that stay open between two questions: to connect costs fifty times as much as to
    ask, and whoever waits asks thirty times a second. Of one event loop; closed by who made it."""

    def __init__(self) -> None:
        self._free: dict[str, list[asyncpg.Connection[Any]]] = defaultdict(list)

    @asynccontextmanager
    async def to(self, url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
        """One that nobody else uses for so long; who asks at the same time gets another."""
        free = self._free[url]
        while free and free[-1].is_closed():  # its server process was ended
            free.pop()
        conn = free.pop() if free else await asyncpg.connect(url)
        try:
            yield conn
        except BaseException:
            conn.terminate()  # nobody knows in what state it is
            raise
        free.append(conn)

    async def close(self) -> None:
        for free in self._free.values():
            while free:
                await free.pop().close()
