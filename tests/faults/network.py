"""Faults of the network between a service and the servers that it speaks to."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from shared.messaging.subscribe import SESSION_MS
from tests.faults.history import Outcome
from tests.faults.proxy import Lines, lines

if TYPE_CHECKING:
    from tests.faults.running import Office


_COMMITS = 6


async def _behind(office: Office, stage: str) -> Lines:
    """Start the stage's process again, with lines of its own between it and everything."""
    laid = await office.closing.enter_async_context(lines(office.stack, office.world.url))
    member = office.of(stage)
    await office.stop(member)
    await office.start(stage, member.instance, lines=laid)
    return laid


async def intake_cut_from_the_broker(office: Office) -> str:
    """Commands are acknowledged all the same: what they say waits in the outbox."""
    laid = await _behind(office, "intake")
    laid.broker.cut()
    await asyncio.sleep(14.0)
    command = office.driver.command(office.driver.next_id(), "http", "submit")
    await office.driver.until_known(command, seconds=10.0)
    waiting = await office.outbox("intake")
    await laid.broker.mend()
    if command.outcome is not Outcome.ACKNOWLEDGED or not waiting:
        raise RuntimeError(f"a command without the broker is {command.outcome}")
    return f"no line from intake to the broker for 15 s; {waiting} facts waited"


async def review_stalled_from_the_broker(office: Office) -> str:
    """A black hole between one of two members and the broker, until the group has given its
    partitions to the other; then all that it sent arrives late."""
    laid = await _behind(office, "review")
    await office.start("review", "review-2")
    laid.broker.stall()
    await asyncio.sleep(SESSION_MS / 1000 + 2.0)
    await office.ended(office.driver.ended + 20)  # the other one has everything
    await laid.broker.mend()
    await office.until(lambda: office.shared_by("review", 2), "it is in its group again")
    return "a black hole between one of two members of review and the broker, beyond its session"


async def review_cut_from_the_database(office: Office) -> str:
    """The line breaks in the middle of a transaction."""
    laid = await _behind(office, "review")
    async with office.held("review", "applied"):
        await office.waits_for_lock("review")
        laid.database.cut()
        await asyncio.sleep(1.0)
    await asyncio.sleep(5.0)
    await laid.database.mend()
    return "no line from review to PostgreSQL for 6 s, from the middle of a transaction on"


async def answers_to_commit_lost(office: Office) -> str:
    """PostgreSQL commits, and whoever asked for it never hears of it."""
    for stage in ("intake", "review"):
        laid = await _behind(office, stage)
        await office.ended(office.driver.ended + 5)
        laid.database.snap, laid.database.snaps = b"COMMIT;", _COMMITS

        async def all_lost(laid: Lines = laid) -> bool:
            return laid.database.snaps == 0

        await office.until(all_lost, f"the answers to {stage}'s commits are lost", 30.0)
    return f"the answer to COMMIT lost, {_COMMITS} times for intake and for review"


async def slow_lines(office: Office) -> str:
    """A tenth of a second each way between two services and everything."""
    laid = [line for stage in ("intake", "review") for line in (await _behind(office, stage)).all()]
    await office.ended(office.driver.ended + 5)
    for line in laid:
        line.delay = 0.1
    begun = time.monotonic()
    await office.ended(office.driver.ended + 40)
    took = time.monotonic() - begun
    for line in laid:
        line.delay = 0.0
    return f"100 ms each way on every line of intake and review; 40 applications in {took:.0f} s"


async def outside_cut(office: Office) -> str:
    """The world outside is away, then silent, and what was sent arrives late."""
    laid = [await _behind(office, stage) for stage in ("review", "notify")]
    for one in laid:
        one.outside.cut()
    await asyncio.sleep(5.0)
    for one in laid:
        await one.outside.mend()
        one.outside.stall()
    await asyncio.sleep(5.0)
    for one in laid:
        await one.outside.mend()
    return "no line to the world outside for 5 s, then a black hole for 5 s"
