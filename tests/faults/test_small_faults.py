"""The small faults: every service killed in the middle of a hundred applications, and a whole
topic delivered a second time. What the office knows afterwards must be what it would know without.
`make faults` does it with 500."""

from __future__ import annotations

import asyncio
import os

from shared.events import catalog
from tests.end_to_end.town import APPLICATIONS, BRANCHES, Town, check_agreement, open_town
from tests.eventually import eventually
from tests.faults.repeating import deliver_again
from tests.stack import running

CUSTOMERS = int(os.environ.get("BANKA_CUSTOMERS", "100"))


async def test_services_are_killed_and_a_topic_comes_twice() -> None:
    with running("faults", durable=False) as stack:
        async with open_town(stack) as town:
            await _kill_each_service_in_the_middle(town)
            await town.settle()
            await check_agreement(town, CUSTOMERS, repeated=True)
            before = await town.contents()
            copied = await asyncio.to_thread(deliver_again, stack, APPLICATIONS)
            assert copied > CUSTOMERS * 5
            await town.settle()
            assert await town.contents() == before
            await check_agreement(town, CUSTOMERS, repeated=True)


async def _kill_each_service_in_the_middle(town: Town) -> None:
    branches = list(BRANCHES)

    async def apply(nth: int) -> str:
        branch = branches[nth % len(branches)]
        return await town.apply(f"fault-{nth}", town.person(branch), branch)

    events: list[str] = []

    async def answered() -> int:
        await town.app.gather()
        return sum(bool(town.app.answers.get(event)) for event in events)

    # a service goes after each fifth of the applications, while the fifth is still on its way
    share = CUSTOMERS // (len(catalog.SERVICES) + 1)
    for turn, service in enumerate((*catalog.SERVICES, None)):
        first = turn * share
        events += await asyncio.gather(*(apply(nth) for nth in range(first, first + share)))
        if service is None:
            break

        async def some(least: int = first + share // 4) -> bool:
            return await answered() >= least

        await eventually(some)
        await town.office.kill(service)
        await town.office.start(service)
    for event in events:
        answer = await town.app.answer(event)
        assert answer.accepted, answer.codes
