"""Signing in costs memory; nobody may spend the process's by trying often."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.intake import accounts
from shared.clock import SystemClock


class _NobodyThere:
    async def fetchrow(self, *_: object) -> None:
        return None

    async def execute(self, *_: object) -> None:
        """A try is written down; nobody reads it here."""


SERVICE = cast("Any", SimpleNamespace(pool=_NobodyThere(), clock=SystemClock()))


async def test_passwords_are_compared_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0
    guard = threading.Lock()

    class Slow:
        def verify(self, _password: str, _digest: str) -> bool:
            nonlocal running, most
            with guard:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with guard:
                running -= 1
            return False

    monkeypatch.setattr(accounts, "_hasher", Slow())
    desk = accounts.Accounts(SERVICE)
    found = await asyncio.gather(*(desk.verify(f"user{n}", "wrong") for n in range(8)))
    assert found == [None] * 8
    assert most == 1
