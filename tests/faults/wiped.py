"""The broker loses everything, and gets it back out of the event logs."""

from __future__ import annotations

import asyncio
import shutil
import signal
from typing import TYPE_CHECKING
from unittest.mock import patch

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy import local
from shared.postgres.pool import connect
from shared.redrive import CannotRedrive
from shared.redrive.restore import restore
from tests.faults.history import Outcome
from tests.faults.office import STAGES

if TYPE_CHECKING:
    from tests.faults.running import Office


async def broker_wiped(office: Office) -> str:
    """It comes back empty, under its old name. Whoever runs refuses it, whoever starts refuses it;
    then the operators do what the runbook says."""
    await asyncio.to_thread(_wipe, office)
    await _provision(office)

    async def all_refuse() -> bool:
        return all(
            "refuses to run" in one.output.read_text(errors="replace")
            for one in office.members.values()
        )

    await office.until(all_refuse, "every service refuses the empty broker", 30.0)
    members = list(office.members.values())
    for member in members:
        await office.stop(member)
    try:
        await office.start("intake", office.members["intake-1"].instance)
    except RuntimeError as refusal:
        if "was made anew since we published to it" not in str(refusal):
            raise
    else:
        raise RuntimeError("an empty broker was taken for the old one")
    while True:
        try:
            sent = await _restore(office)
            break
        except CannotRedrive as stray:  # a send under way when the broker went
            if "is deleted" not in str(stray):
                raise
            await _provision(office)
    for member in members:
        await office.start(member.stage, member.instance, wait=False)
    for one in list(office.members.values()):
        await office.await_start(one)
    again = await _ask_again(office)
    return (
        f"the broker's data wiped: refused by all; {sent} events restored from the logs;"
        f" {again} of the partner's, which nobody had read, sent again by the partner"
    )


async def _provision(office: Office) -> None:
    """Make the topics that are missing."""
    admin = AdminClient(office.stack.kafka_admin())

    async def made() -> bool:
        there = await asyncio.to_thread(admin.list_topics, timeout=10)
        try:
            for topic in office.bench.made.keys() - there.topics.keys():
                office.bench.topic("", office.bench.made[topic], full=topic)
        except KafkaException:  # one that was deleted is still going
            return False
        return True

    await office.until(made, "the topics are made")


def _wipe(office: Office) -> None:
    """Kill the broker, and make it anew as a deployment does: with the same cluster id."""
    folder = office.stack.folder
    data = folder / "kafka" / "data"
    known = dict(
        line.split("=", 1)
        for line in (data / "meta.properties").read_text().splitlines()
        if "=" in line
    )
    local.stop(folder, "kafka", ask=signal.SIGKILL)
    shutil.rmtree(data)
    with patch.object(local, "cluster_id", lambda: known["cluster.id"]):
        local.up(office.stack.name)


async def _restore(office: Office) -> int:
    conns = {
        stage: await connect(
            office.bench.settings, stage, database=office.database(stage), patient=True
        )
        for stage in STAGES
    }
    try:
        sent = await restore(conns, office.bench.settings, who="o.perator", why="a lost disk")
    finally:
        for conn in conns.values():
            await conn.close()
    return sum(sent.values())


async def _ask_again(office: Office) -> int:
    """The partner sends again what it had no answer to, as it does after a time."""
    unanswered = [
        command
        for command in office.history.commands.values()
        if command.way == "partner" and command.outcome is Outcome.UNKNOWN
    ]
    await office.driver.forget_broker()
    await asyncio.gather(*(office.driver.publish(command) for command in unanswered))
    return len(unanswered)
