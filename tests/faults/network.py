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
    await _away_beyond_its_session(office, laid, "review")
    return "a black hole between one of two members of review and the broker, beyond its session"


async def _away_beyond_its_session(office: Office, laid: Lines, stage: str) -> None:
    """Until the group has given what the member had to the other, and it is back in its group."""
    await asyncio.sleep(SESSION_MS / 1000 + 2.0)
    await office.ended(office.driver.ended + 20)  # the other one has everything
    await laid.broker.mend()
    await office.until(lambda: office.shared_by(stage, 2), "it is in its group again")


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


async def reporting_cut_from_the_broker(office: Office) -> str:
    """One of two members has no line: the group gives what it had to the other."""
    laid = await _behind(office, "reporting")
    laid.broker.cut()
    await _away_beyond_its_session(office, laid, "reporting")
    return "no line between one of two members of reporting and the broker, beyond its session"


async def reporting_stalled_from_the_database(office: Office) -> str:
    """A member that goes on with the broker and comes no further: it keeps its partitions, and what
    it had in hand is written when the line is mended. Whoever waits for its locks waits, too."""
    laid = await _behind(office, "reporting")
    await office.until(lambda: office.shared_by("reporting", 2), "two share the partitions")
    laid.database.stall()
    await asyncio.sleep(SESSION_MS / 1000 + 2.0)
    await laid.database.mend()
    return "a black hole between one of two members of reporting and PostgreSQL for 12 s"


async def notify_cut_from_the_broker(office: Office) -> str:
    """Messages go out all the same: what is said of them waits in the outbox."""
    laid = await _behind(office, "notify")
    await _in_the_air(office)
    laid.broker.cut()
    office.world.answering.set()
    await asyncio.sleep(SESSION_MS / 1000 + 2.0)
    if not (waiting := await office.outbox("notify")):
        raise RuntimeError("notify had nothing to say")
    await laid.broker.mend()
    return f"no line from notify to the broker for 12 s; {waiting} facts waited"


async def _in_the_air(office: Office) -> set[str]:
    """Until notify has asked the world outside for something and has no answer, which it gets when
    `World.answering` is set; returns the keys of all calls before."""
    arrivals = office.history.outside.arrivals
    office.world.answering.clear()
    before = set(arrivals)

    async def asked() -> bool:
        return len(arrivals.keys() - before) >= 8

    await office.until(asked, "messages are on their way")
    return before


async def notify_stalled_from_the_database(office: Office) -> str:
    """One of two processes hears what the world outside says and cannot write it down, until the
    other has its calls; then it wants to write it after all."""
    laid = await _behind(office, "notify")
    await office.start("notify", "notify-2")
    seen = office.history.outside
    before = await _in_the_air(office)
    office.driver.pausing = True
    await asyncio.sleep(0.5)  # whatever else it writes is written by then
    laid.database.stall()
    office.world.answering.set()
    office.driver.pausing = False
    await asyncio.sleep(2.0)
    left = [
        row["key"]
        for row in await office.fetch(
            "notify", "SELECT key FROM messaging.call WHERE state = 'leased' AND key = ANY ($1)",
            sorted(seen.arrivals.keys() - before),
        )
    ]  # fmt: skip
    if not left:
        raise RuntimeError("the stalled process had no call in hand")

    async def taken_over() -> bool:
        (row,) = await office.fetch(
            "notify",
            "SELECT count(*) AS n FROM messaging.call WHERE state = 'done' AND key = ANY ($1)",
            left,
        )
        return bool(row["n"] == len(left))

    await office.until(taken_over, "the other process makes its calls")
    twice = sum(seen.arrivals[key] > 1 for key in left)
    await laid.database.mend()
    await office.until(lambda: office.shared_by("notify", 2), "both share the partitions")
    return (
        f"a black hole between one of two processes of notify and PostgreSQL; the other made its"
        f" {len(left)} open calls, {twice} of them for the second time"
    )


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
