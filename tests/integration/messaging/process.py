"""A service of the kernel's tests in a process of its own, to be killed."""

from __future__ import annotations

import asyncio
import sys

from deploy import local
from tests.integration.messaging.ledger import Moods, World, consumer


async def main(stack: str, tag: str, topic: str, echo: str, database: str, group: str) -> None:
    world = World(local.attach(stack), tag=tag, instance="killed")
    service = world.service(database, consumers=[consumer(topic, Moods(echo), group)])
    await service.start()
    sys.stdout.write("running\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
