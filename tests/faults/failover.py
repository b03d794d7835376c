"""Faults that take three brokers: each says in its words how long the two that are left needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from deploy.local import HOST
from tests.faults.cluster import NODES, Cluster
from tests.faults.history import Outcome
from tests.faults.office import STAGES
from tests.faults.proxy import Line
from tests.faults.running import PARTITIONS, Office

AWAY_SECONDS = 15.0  # longer than a produce request, a group's session and a client's patience
_COMMANDS = 25  # that are tried while nothing can be published

T = TypeVar("T")


async def _do(blocking: Callable[..., T], *arguments: object) -> T:
    return await asyncio.to_thread(blocking, *arguments)


async def _cluster(office: Office) -> Cluster:
    """The nodes, with what the office stands on: three copies, of which two must be written."""
    cluster = Cluster(office.stack)
    topic = office.names.topic("applications")
    await _do(cluster.mend)
    if (least := await _do(cluster.least_in_sync, topic)) != len(NODES) - 1:
        raise RuntimeError(f"{least} nodes must have a record, of {len(NODES)}")
    return cluster


async def leader_killed(office: Office) -> str:
    """Others lead what it led, with every record that was acknowledged."""
    cluster, topic = await _cluster(office), office.names.topic("applications")
    node, led = await _do(cluster.led_most, topic)
    await _do(cluster.kill, node)
    seconds = await _do(cluster.led_by_others, topic, node)
    probe = await office.probe(led[0])
    await _do(cluster.start, node)
    return (
        f"kill -9 of node {node}, leader of {len(led)} of {PARTITIONS}: others lead after"
        f" {seconds:.1f} s, one of theirs through {probe:.1f} s later"
    )


async def leader_frozen(office: Office) -> str:
    """It wakes when others lead, and takes itself for the leader still; who asks it, waits."""
    cluster, topic = await _cluster(office), office.names.topic("applications")
    node, led = await _do(cluster.led_most, topic)
    process = cluster.process(node)
    process.suspend()
    try:
        seconds = await _do(cluster.led_by_others, topic, node)
        probe = await office.probe(led[0])
    finally:
        process.resume()
    await _do(cluster.whole)
    return (
        f"SIGSTOP node {node}, leader of {len(led)} of {PARTITIONS}: others lead after"
        f" {seconds:.1f} s, one of theirs through {probe:.1f} s later; SIGCONT"
    )


async def followers_cut(office: Office) -> str:
    """Whoever asks the leader still reaches it, the controller too, and its followers do not: it
    may not acknowledge what it alone has. The line between brokers is a proxy."""
    cluster, topic = await _cluster(office), office.names.topic("applications")
    node, led = await _do(cluster.led_most, topic)
    own = await _do(cluster.followers_port, node)
    async with Line((HOST, own)).laid() as line:
        await _do(cluster.follow_by, node, line.port)
        try:
            line.cut()
            alone = await _do(cluster.alone, topic, led[0])
            said = await _commands_meanwhile(office, AWAY_SECONDS, 1)  # others' partitions go on
            await line.mend()
            probe = await office.probe(led[0])
            await _do(cluster.whole)
        finally:
            await line.mend()
            await _do(cluster.follow_by, node, own)
    return (
        f"no line to node {node}, leader of {len(led)} of {PARTITIONS}, from its followers: alone"
        f" after {alone:.1f} s; {said}; mended, one of its through after {probe:.1f} s"
    )


async def controller_killed(office: Office) -> str:
    """Nobody decides who leads until another controller is elected."""
    cluster = await _cluster(office)
    node = await _do(cluster.controller)
    await _do(cluster.kill, node)
    seconds = await _do(cluster.controlled_by_another, node)
    probe = await office.probe()
    await _do(cluster.start, node)
    return (
        f"kill -9 of node {node}, the controller: another after {seconds:.1f} s, a new application"
        f" through {probe:.1f} s later"
    )


async def coordinator_moved(office: Office) -> str:
    """The node that coordinates review's group dies; when it is back it coordinates again, which
    moves the group a second time, with nobody dying."""
    cluster = await _cluster(office)
    groups = [office.names.group(stage, "applications") for stage in STAGES]
    await office.start("review", "review-2")
    node = (await _do(cluster.coordinators, groups))[office.names.group("review", "applications")]
    its = [name for name, at in (await _do(cluster.coordinators, groups)).items() if at == node]
    await _do(cluster.kill, node)
    seconds = await _do(cluster.coordinated_by_others, its, node)
    probe = await office.probe()
    await _do(cluster.start, node)
    await _do(cluster.coordinated_by, its, node)
    return (
        f"kill -9 of node {node}, coordinator of {len(its)} of {len(groups)} groups: others after"
        f" {seconds:.1f} s, a new application through {probe:.1f} s later; moved back to it"
    )


async def rolled(office: Office) -> str:
    """A cluster is brought up to date: each node stops in order, and the next one only when all
    are in sync again."""
    cluster, took = await _cluster(office), []
    for node in NODES:
        begun = time.monotonic()
        await _do(cluster.stop, node)
        await _do(cluster.start, node)
        took.append(f"{time.monotonic() - begun:.0f} s")
    return f"SIGTERM and start of nodes 1, 2 and 3 in turn under load: {', '.join(took)}"


async def below_least_in_sync(office: Office) -> str:
    """The leaders are there and refuse to write, because too few have what they write."""
    cluster, topic = await _cluster(office), office.names.topic("applications")
    node, _ = await _do(cluster.led_most, topic)
    await _do(cluster.kill, node)
    await _do(cluster.led_by_others, topic, node)
    await _do(cluster.ask_for, topic, len(NODES))
    try:
        said = await _commands_meanwhile(office, AWAY_SECONDS)
    finally:
        await _do(cluster.ask_for, topic, len(NODES) - 1)
    probe = await office.probe()
    await _do(cluster.start, node)
    return f"three in sync asked for of two: {said}; allowed two, through after {probe:.1f} s"


async def two_of_three_away(office: Office) -> str:
    """Neither a quorum of controllers nor enough copies: the office goes on taking applications,
    and one node that comes back is enough."""
    cluster = await _cluster(office)
    first, second, _ = NODES
    await _do(cluster.kill, first)
    await _do(cluster.kill, second)
    said = await _commands_meanwhile(office, AWAY_SECONDS)
    await _do(cluster.spawn, first)
    through = await office.probe()
    await _do(cluster.start, second)
    return f"kill -9 of nodes {first} and {second}: {said}; one back, through after {through:.1f} s"


async def _commands_meanwhile(office: Office, seconds: float, least: int = _COMMANDS) -> str:
    """What becomes of commands while facts cannot go out: taken, and at least so many wait."""
    driver, end = office.driver, time.monotonic() + seconds
    commands = [driver.command(driver.next_id(), "http", "submit") for _ in range(_COMMANDS)]
    await asyncio.gather(*(driver.until_known(one, seconds=seconds) for one in commands))
    taken = sum(one.outcome is Outcome.ACKNOWLEDGED for one in commands)
    await asyncio.sleep(end - time.monotonic())
    waiting = sum([await office.outbox(stage) for stage in STAGES])
    if taken < len(commands) or waiting < least:
        raise RuntimeError(f"{taken} of {len(commands)} commands taken, {waiting} facts wait")
    return f"{taken} of {taken} commands taken, {waiting} facts waited"
