"""`make bench`: whole lifecycles per second, against the plain pipeline on the same stack."""

from __future__ import annotations

import asyncio

from tests.bench.driving import drive
from tests.bench.plain import Plain
from tests.stack import running


async def measure() -> None:
    with running("bench") as stack:
        async with Plain(stack) as plain:
            print(await drive(plain, 0, 50))
            print(await drive(plain, 1000, 500))
            print(await drive(plain, 5000, 200, per_second=20))


asyncio.run(measure())
