"""One running office for all end-to-end tests: to start it takes longer than most of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.end_to_end.town import Town, open_town
from tests.stack import running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncIterator[Town]:
    with running("end-to-end") as stack:
        async with open_town(stack) as town:
            yield town
