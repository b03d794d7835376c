"""One office for everything that is fuzzed: to open it takes longer than a small dose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy import local
from tests.fuzz.tally import Tally
from tests.fuzz.world import World, open_world
from tests.stack import running


@pytest.fixture(scope="package")
def fuzz_stack() -> Iterator[local.Stack]:
    # a stack of its own: another suite's databases would not know what this one publishes
    with running("fuzz-test", durable=False) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(fuzz_stack: local.Stack) -> AsyncIterator[World]:
    async with open_world(fuzz_stack, Tally()) as world:
        yield world
